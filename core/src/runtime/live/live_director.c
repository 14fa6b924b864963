/* The director: what a plan does, at its time. It asks the same fault engine and chooses targets by the same keyed draws
 * as the simulator (sim_fault.c), then gives orders to the nodes' threads and waits until each was carried out. */
#include "runtime/live/live.h"

#include <limits.h>
#include <time.h>

#include "base/check.h"

struct scene { /* what the director sees of the nodes before it acts */
    bool up[FAULT_NODES_MAX + 1], paused[FAULT_NODES_MAX + 1];
};

static void look(struct live *l, struct scene *s) {
    *s = (struct scene){0};
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct live_node *n = &l->nodes[i];
        robust_lock(&n->shown->mutex);
        s->up[i] = n->shown->view.up;
        s->paused[i] = n->shown->view.paused;
        pthread_mutex_unlock(&n->shown->mutex);
    }
}

static uint8_t order_kind_of(uint8_t verb) {
    if (verb == FAULT_CRASH) return ORDER_CRASH;
    if (verb == FAULT_RESTART) return ORDER_RESTART;
    CHECK(verb == FAULT_PAUSE ||
          verb == FAULT_RESUME); /* the engine carries out verbs of links, clocks and disks itself */
    return verb == FAULT_PAUSE ? ORDER_PAUSE : ORDER_RESUME;
}

void live_order(struct live *l, uint16_t node, struct order *o) {
    if (l->hand && !l->nodes[node].actor.live) return; /* the others have directors of their own */
    if (l->keeper)
        process_order(l, node, o);
    else
        order_wait(&l->nodes[node].actor, o);
}

static void apply_to_node(struct live *l, uint16_t node, const struct fault_action *a, int64_t time) {
    struct order o = {.kind = order_kind_of(a->directive.verb), .effect = a->directive.effect, .time = time};
    live_fault_hit(l, a, node); /* so that the end of this crash or pause finds it again */
    o.detail = a->directive.disk;
    o.guarded = a->directive.guarded;
    live_order(l, node, &o);
}

static bool suits(const struct scene *s, uint16_t node, const struct fault_action *a) {
    if (a->directive.verb == FAULT_RESTART) return !s->up[node];
    if (a->directive.verb == FAULT_RESUME) return s->paused[node];
    return s->up[node];
}

/* `count` distinct nodes that suit the verb, by a keyed shuffle. */
static void hit_some(struct live *l, const struct fault_action *a, int64_t time, uint16_t count, uint16_t except) {
    uint16_t order[FAULT_NODES_MAX], candidates = 0;
    struct scene s;
    look(l, &s);
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        if (i != except && suits(&s, i, a)) order[candidates++] = i;
    for (uint16_t k = 0; k < count && k < candidates; k++) {
        uint64_t pick = k + random_scale(random_keyed(a->random, k, 0), (uint64_t)(candidates - k));
        uint16_t node = order[pick];
        order[pick] = order[k];
        apply_to_node(l, node, a, time);
    }
}

/* A restart goes to those that are up as well: it calls off a crash that waits for its effect. */
static void hit_all(struct live *l, const struct fault_action *a, int64_t time) {
    struct scene s;
    look(l, &s);
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        if (suits(&s, i, a) || a->directive.verb == FAULT_RESTART) apply_to_node(l, i, a, time);
}

static void act(struct live *l, const struct fault_action *a, int64_t time) {
    uint16_t n = live_node_count(l), leader = live_leader(l);
    switch ((enum fault_target)a->directive.target) {
    case FAULT_NODE:
        if (a->directive.node >= 1 && a->directive.node <= n) apply_to_node(l, a->directive.node, a, time);
        break;
    case FAULT_LEADER:
        if (leader) apply_to_node(l, leader, a, time);
        break;
    case FAULT_FOLLOWER: hit_some(l, a, time, 1, leader); break;
    case FAULT_RANDOM: hit_some(l, a, time, 1, 0); break;
    case FAULT_ALL: hit_all(l, a, time); break;
    case FAULT_MAJORITY: hit_some(l, a, time, (uint16_t)(n / 2 + 1), 0); break;
    case FAULT_MINORITY: hit_some(l, a, time, (uint16_t)(n >= 3 ? (n - 1) / 2 : 0), 0); break;
    }
}

/* Whoever stands for election, of the highest term; 0: nobody. */
static uint16_t candidate_of(struct live *l) {
    uint16_t candidate = 0;
    uint64_t term = 0;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct live_node *n = &l->nodes[i];
        robust_lock(&n->shown->mutex);
        const struct node_view *v = &n->shown->view;
        if (v->up && !v->paused && v->status.role == QRT_ROLE_CANDIDATE && v->status.term >= term) {
            candidate = i;
            term = v->status.term;
        }
        pthread_mutex_unlock(&n->shown->mutex);
    }
    return candidate;
}

static int64_t record(struct live *l, const struct fault_action *a) {
    struct director *d = &l->director;
    int64_t time = journal_open(&d->journal, l, 0);
    qrt_event e = {time, a->directive.node, 0, QRT_KIND_FAULT, a->directive.verb, 0, 0, a->directive.id, a->number, 0};
    struct trace_sink sink = journal_sink(&d->journal);
    sink.event(sink.context, &e, 0);
    journal_close(&d->journal);
    d->counts.faults++;
    return time;
}

static void refresh(struct live *l, int64_t time) {
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct order o = {.kind = ORDER_CLOCK, .time = time};
        pthread_mutex_lock(&l->fault_mutex);
        o.offset = faults_offset(l->faults, i);
        o.drift = faults_drift(l->faults, i);
        atomic_store_explicit(&l->calm, faults_calm(l->faults), memory_order_release);
        pthread_mutex_unlock(&l->fault_mutex);
        live_order(l, i, &o);
    }
}

/* How late is too late: to be told, and for what would only pile up to be done at all. */
#define LATE_NS INT64_C(100000000)
#define LEFT_OUT_NS INT64_C(1000000000)

static void note_late(struct live *l, const struct fault_action *a, int64_t late) {
    struct runtime_counts *c = &l->director.counts;
    if (late < LATE_NS) return;
    c->late++;
    if (late <= c->late_most) return;
    c->late_most = late;
    c->late_verb = a->directive.verb;
    c->late_node = a->directive.target == FAULT_NODE ? a->directive.node : 0;
}

/* A plan that crashes and restarts faster than processes start would fall behind for ever. What undoes is always done. */
static bool left_out(struct live *l, const struct fault_action *a, int64_t due) {
    bool harms = a->directive.verb == FAULT_CRASH || a->directive.verb == FAULT_PAUSE;
    if (!harms || live_now(l) - due < LEFT_OUT_NS) return false;
    l->director.counts.left_out++;
    return true;
}

static int64_t carry_out(struct live *l, const struct fault_action *a) {
    int64_t time = record(l, a);
    if (a->applied) return time;
    if (a->directive.verb != FAULT_PARTITION)
        act(l, a, time);
    else
        live_fault_partition(l, a, a->directive.shape == FAULT_RUNNER ? candidate_of(l) : live_leader(l));
    return time;
}

static bool tick(struct live *l, int64_t until, int most) {
    struct fault_action a;
    int64_t time = -1, due;
    int done = 0;
    for (; done < most && !atomic_load(&l->director.quit) && live_fault_take(l, until, &a, &due); done++) {
        if (left_out(l, &a, due)) continue;
        time = carry_out(l, &a);
        note_late(l, &a, live_now(l) - due);
    }
    if (time >= 0) refresh(l, time);
    return done == most;
}

void director_tick(struct live *l) {
    tick(l, live_now(l), INT_MAX);
}

void director_enter(struct live *l) {
    atomic_fetch_add(&l->director.wanted, 1);
    pthread_mutex_lock(&l->director.mutex);
    atomic_fetch_sub(&l->director.wanted, 1);
}

/* With the mutex: lets them in who wait for it. */
static void breathe(struct director *d) {
    while (atomic_load(&d->wanted)) {
        pthread_mutex_unlock(&d->mutex);
        nanosleep(&(struct timespec){0, 20000}, NULL);
        pthread_mutex_lock(&d->mutex);
    }
}

#define AT_ONCE 4 /* things done before the nodes are told what stands on their links */

void *director_main(void *live) {
    struct live *l = live;
    struct director *d = &l->director;
    pthread_mutex_lock(&d->mutex);
    while (!atomic_load(&d->quit)) {
        bool more = tick(l, live_now(l), AT_ONCE);
        breathe(d);
        if (more || atomic_load(&d->quit)) continue;
        pthread_mutex_lock(&l->fault_mutex);
        int64_t next = faults_next(l->faults);
        pthread_mutex_unlock(&l->fault_mutex);
        if (next > live_now(l) + INT64_C(3600000000000)) { /* until something is added */
            pthread_cond_wait(&d->changed, &d->mutex);
            continue;
        }
        int64_t at = l->epoch + next;
        pthread_cond_timedwait(&d->changed, &d->mutex, &(struct timespec){at / 1000000000, at % 1000000000});
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}
