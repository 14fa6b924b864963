/* Journals: each actor's events, and their merging into one trace.
 *
 * An input opens its actor's journal, which fixes the time of all its events, and closes it, which hands them over. The
 * merging thread asks each journal, under its mutex, up to which time nothing more can come: before the open input, or
 * before now. The least of these is the horizon; everything up to it is merged by (time, actor, order of emission). A
 * journal then gives no time at or below the horizon any more. A frame carries the time of its send, and its receiver
 * opens later than that; so in the merged trace a send always precedes its receive. */
#include "runtime/live/live.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_NS 100000000 /* how long a merge waits for an input under way (a slow sync) */

static void journal_event(void *context, const qrt_event *e, uint64_t number) {
    struct journal *j = context;
    (void)number;
    j->fresh = mem_grow(j->fresh, &j->fresh_capacity, j->fresh_count + 1, sizeof *j->fresh);
    j->fresh[j->fresh_count++] = *e;
}

void journal_init(struct journal *j) {
    pthread_mutex_init(&j->mutex, NULL);
    j->open = NEVER;
    j->floor = -1;
}

void journal_free(struct journal *j) {
    pthread_mutex_destroy(&j->mutex);
    free(j->ready);
    free(j->fresh);
    free(j->pulled);
}

struct trace_sink journal_sink(struct journal *j) {
    return (struct trace_sink){UINT32_MAX, journal_event, j};
}

int64_t journal_open(struct journal *j, const struct live *l, int64_t after) {
    pthread_mutex_lock(&j->mutex);
    int64_t time = live_now(l);
    if (time <= after) time = after + 1;
    if (time <= j->floor) time = j->floor + 1;
    if (time < j->last) time = j->last;
    j->open = j->last = time;
    pthread_mutex_unlock(&j->mutex);
    return time;
}

void journal_close(struct journal *j) {
    pthread_mutex_lock(&j->mutex);
    j->open = NEVER;
    if (j->fresh_count) {
        size_t count = j->ready_count + j->fresh_count;
        j->ready = mem_grow(j->ready, &j->ready_capacity, count, sizeof *j->ready);
        memcpy(j->ready + j->ready_count, j->fresh, j->fresh_count * sizeof *j->fresh);
        j->ready_count = count;
        atomic_fetch_add_explicit(&j->total, j->fresh_count, memory_order_relaxed);
        j->fresh_count = 0;
    }
    pthread_mutex_unlock(&j->mutex);
}

/* In the order in which ties are broken: what the director did, then nodes, then clients. */
static struct journal *journal_at(struct live *l, size_t i) {
    if (i == 0) return &l->director.journal;
    return i <= live_node_count(l) ? &l->nodes[i].actor.journal : &l->clients.actor.journal;
}

static size_t journal_count(const struct live *l) {
    return (size_t)live_node_count(l) + 2;
}

uint64_t live_events(struct live *l) {
    uint64_t total = 0;
    for (size_t i = 0; i < journal_count(l); i++)
        total += atomic_load_explicit(&journal_at(l, i)->total, memory_order_relaxed);
    return total;
}

/* Takes what is ready; returns up to when nothing more can come. */
static int64_t journal_pull(struct journal *j, const struct live *l) {
    size_t left = j->pulled_count - j->pulled_head;
    if (j->pulled_head) memmove(j->pulled, j->pulled + j->pulled_head, left * sizeof *j->pulled);
    j->pulled_head = 0;
    pthread_mutex_lock(&j->mutex);
    j->pulled_count = left + j->ready_count;
    j->pulled = mem_grow(j->pulled, &j->pulled_capacity, j->pulled_count, sizeof *j->pulled);
    if (j->ready_count) memcpy(j->pulled + left, j->ready, j->ready_count * sizeof *j->ready);
    j->ready_count = 0;
    int64_t until = live_now(l);
    if (until < j->last) until = j->last; /* a clock drawn forward */
    if (j->open != NEVER) until = j->open - 1;
    if (until > j->floor) j->floor = until;
    pthread_mutex_unlock(&j->mutex);
    return until;
}

static void merge_until(struct live *l, int64_t horizon) {
    for (;;) {
        struct journal *least = NULL;
        for (size_t i = 0; i < journal_count(l); i++) {
            struct journal *j = journal_at(l, i);
            if (j->pulled_head == j->pulled_count) continue;
            if (!least || j->pulled[j->pulled_head].time < least->pulled[least->pulled_head].time) least = j;
        }
        if (!least || least->pulled[least->pulled_head].time > horizon) return;
        trace_emit(&l->trace, &least->pulled[least->pulled_head++]);
    }
}

static int64_t merge_once(struct live *l) {
    int64_t horizon = NEVER;
    for (size_t i = 0; i < journal_count(l); i++) {
        int64_t until = journal_pull(journal_at(l, i), l);
        if (until < horizon) horizon = until;
    }
    merge_until(l, horizon);
    l->merged = live_now(l);
    return horizon;
}

void live_merge(struct live *l, bool patient) {
    int64_t wanted = live_now(l);
    while (merge_once(l) < wanted && patient && live_now(l) < wanted + PATIENCE_NS)
        nanosleep(&(struct timespec){0, 20000}, NULL);
}
