/* The fault engine of a live cluster. Threads share one under a mutex. Processes have a copy each, which is told, in the
 * same order, what the first one was told; the engine is a deterministic function of that, so all of them give the same
 * verdicts. What was told is a log: a header for each call, and the directives behind one that adds them. */
#include <string.h>

#include "runtime/live/live.h"

enum told_kind { TOLD_ADD = 1, TOLD_TAKE = 2, TOLD_HIT = 3, TOLD_PARTITION = 4 };

struct told {
    int64_t now;
    uint32_t kind;
    uint32_t number; /* of directives behind it; or the node that was hit, or leads */
};

static void note_told(struct live *l, enum told_kind kind, int64_t now, uint32_t number, const struct directive *d) {
    struct told t = {now, kind, number};
    if (!live_apart(l) || l->hand) return;
    buffer_append(&l->fault_log, &t, sizeof t);
    if (d) buffer_append(&l->fault_log, d, number * sizeof *d);
}

void live_fault_add(struct live *l, const struct plan *plan, int64_t now) {
    if (!plan || !plan->count) return;
    pthread_mutex_lock(&l->fault_mutex);
    faults_add(l->faults, plan, now);
    note_told(l, TOLD_ADD, now, (uint32_t)plan->count, plan->directives);
    pthread_mutex_unlock(&l->fault_mutex);
}

bool live_fault_take(struct live *l, int64_t until, struct fault_action *a, int64_t *due) {
    bool taken = false;
    pthread_mutex_lock(&l->fault_mutex);
    while (!taken && (*due = faults_next(l->faults)) <= until) { /* one moment at a time, so that each has its own */
        taken = faults_take(l->faults, *due, a);
        note_told(l, TOLD_TAKE, *due, 0, NULL);
    }
    pthread_mutex_unlock(&l->fault_mutex);
    return taken;
}

void live_fault_hit(struct live *l, const struct fault_action *a, uint16_t node) {
    pthread_mutex_lock(&l->fault_mutex);
    faults_hit(l->faults, a, node);
    note_told(l, TOLD_HIT, 0, node, NULL);
    pthread_mutex_unlock(&l->fault_mutex);
}

void live_fault_partition(struct live *l, const struct fault_action *a, uint16_t leader) {
    pthread_mutex_lock(&l->fault_mutex);
    faults_partition(l->faults, a, leader);
    note_told(l, TOLD_PARTITION, 0, leader, NULL);
    pthread_mutex_unlock(&l->fault_mutex);
}

static bool replay_add(struct live *l, const struct told *t, struct reader *r) {
    struct plan plan = {0};
    struct directive d;
    for (uint32_t i = 0; i < t->number; i++) {
        if (reader_left(r) < sizeof d) break;
        memcpy(&d, r->at, sizeof d);
        r->at += sizeof d;
        plan_add(&plan, &d);
    }
    bool whole = plan.count == t->number;
    if (whole) faults_add(l->faults, &plan, t->now);
    plan_free(&plan);
    return whole;
}

static bool replay_one(struct live *l, struct fault_action *last, const struct told *t, struct reader *r) {
    switch ((enum told_kind)t->kind) {
    case TOLD_ADD: return replay_add(l, t, r);
    case TOLD_TAKE: faults_take(l->faults, t->now, last); return true;
    case TOLD_HIT: faults_hit(l->faults, last, (uint16_t)t->number); return true;
    case TOLD_PARTITION: faults_partition(l->faults, last, (uint16_t)t->number); return true;
    }
    return false;
}

bool live_fault_replay(struct live *l, struct fault_action *last, struct bytes log) {
    struct reader r = reader_of(log);
    struct told t;
    bool sound = true;
    pthread_mutex_lock(&l->fault_mutex);
    while (sound && reader_left(&r) >= sizeof t) {
        memcpy(&t, r.at, sizeof t);
        r.at += sizeof t;
        sound = replay_one(l, last, &t, &r);
    }
    sound = sound && reader_left(&r) == 0;
    atomic_store_explicit(&l->calm, faults_calm(l->faults), memory_order_release);
    pthread_mutex_unlock(&l->fault_mutex);
    return sound;
}
