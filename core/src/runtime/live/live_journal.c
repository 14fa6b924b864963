/* Journals: each actor's events, and their merging into one trace. A process writes its events into a ring that its owner
 * has mapped too, each as it happens: whatever kills it, what it did is there.
 *
 * An input opens its actor's journal, which fixes the time of all its events, and closes it, which hands them over. Inputs
 * of one burst may share an opening, and so a time. The
 * merging thread asks each journal, under its mutex, up to which time nothing more can come: before the open input, or
 * before now. The least of these is the horizon; everything up to it is merged by (time, actor, order of emission). A
 * journal then gives no time at or below the horizon any more. A frame carries the time of its send, and its receiver
 * opens later than that; so in the merged trace a send always precedes its receive.
 *
 * Silent journals (record=none, and no checker or tool that looks at the merged trace) count their events. Nothing is
 * merged then, so no time needs a mutex. */
#include "runtime/live/live.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_NS 100000000 /* how long a merge waits for an input under way (a slow sync) */

void mutex_init(pthread_mutex_t *m, bool shared) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (shared) {
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    pthread_mutex_init(m, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void gate_init(struct gate *g, bool shared) {
    mutex_init(&g->mutex, shared);
    g->open = NEVER;
    g->floor = -1;
}

/* The one writer waits while the ring is full: whoever takes from it has been told when it was half full. */
static void ring_put(struct journal *j, const qrt_event *e) {
    struct ring *r = j->ring;
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t waiting = tail - atomic_load_explicit(&r->head, memory_order_acquire);
    if (waiting == RING_EVENTS / 2 && j->crowded) j->crowded(j->context);
    while (tail - atomic_load_explicit(&r->head, memory_order_acquire) >= RING_EVENTS)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    r->events[tail % RING_EVENTS] = *e;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

static void journal_event(void *context, const qrt_event *e, uint64_t number) {
    struct journal *j = context;
    (void)number;
    if (j->silent) {
        j->fresh_count += !j->emitted;
        return;
    }
    if (j->ring) {
        ring_put(j, e);
        return;
    }
    j->fresh = mem_grow(j->fresh, &j->fresh_capacity, j->fresh_count + 1, sizeof *j->fresh);
    j->fresh[j->fresh_count++] = *e;
}

void journal_init(struct journal *j, struct gate *gate, struct ring *ring) {
    if (!gate) gate_init(&j->own, false);
    j->gate = gate ? gate : &j->own;
    j->ring = ring;
    j->silent = ring && ring->silent;
}

void journal_free(struct journal *j) {
    if (j->gate == &j->own) pthread_mutex_destroy(&j->own.mutex);
    free(j->ready);
    free(j->fresh);
    free(j->pulled);
}

struct trace_sink journal_sink(struct journal *j) {
    return (struct trace_sink){UINT64_MAX, journal_event, j};
}

static void add_ready(struct journal *j, const qrt_event *events, size_t count) {
    j->ready = mem_grow(j->ready, &j->ready_capacity, j->ready_count + count, sizeof *j->ready);
    memcpy(j->ready + j->ready_count, events, count * sizeof *j->ready);
    j->ready_count += count;
}

/* With the gate's mutex. */
static void hand_over(struct journal *j) {
    if (!j->fresh_count) return;
    add_ready(j, j->fresh, j->fresh_count);
    atomic_fetch_add_explicit(&j->total, j->fresh_count, memory_order_relaxed);
    j->fresh_count = 0;
}

/* A ring's tail is its total. Only the journal's one writer adds to it. */
static void count_fresh(struct journal *j) {
    atomic_uint_fast64_t *total = j->ring ? &j->ring->tail : &j->total;
    uint64_t count = j->fresh_count;
    if (j->emitted) count += *j->emitted - j->counted;
    if (j->emitted) j->counted = *j->emitted;
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + count, memory_order_relaxed);
    j->fresh_count = 0;
}

static int64_t open_silently(struct journal *j, const struct live *l, int64_t after) {
    struct gate *g = j->gate;
    int64_t time = live_now(l);
    if (time <= after) time = after + 1;
    if (time < g->last) time = g->last;
    g->open = g->last = time;
    return time;
}

int64_t journal_open(struct journal *j, const struct live *l, int64_t after) {
    struct gate *g = j->gate;
    if (j->silent) return open_silently(j, l, after);
    robust_lock(&g->mutex);
    hand_over(j); /* what the open input has emitted ends with it */
    int64_t time = live_now(l);
    if (time <= after) time = after + 1;
    if (time <= g->floor) time = g->floor + 1;
    if (time < g->last) time = g->last;
    g->open = g->last = time;
    pthread_mutex_unlock(&g->mutex);
    return time;
}

void journal_close(struct journal *j) {
    if (j->silent) {
        j->gate->open = NEVER;
        count_fresh(j);
        return;
    }
    robust_lock(&j->gate->mutex);
    j->gate->open = NEVER;
    hand_over(j);
    pthread_mutex_unlock(&j->gate->mutex);
}

/* With the gate's mutex, which makes one taker of several. */
static void ring_take(struct journal *j) {
    struct ring *r = j->ring;
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (tail - head > RING_EVENTS) tail = head; /* a process gone mad */
    while (head < tail) {
        uint64_t at = head % RING_EVENTS, run = tail - head;
        if (run > RING_EVENTS - at) run = RING_EVENTS - at;
        add_ready(j, r->events + at, (size_t)run);
        head += run;
    }
    atomic_store_explicit(&r->head, head, memory_order_release);
    atomic_store_explicit(&j->total, head, memory_order_relaxed);
}

void journal_drain(struct journal *j) {
    if (j->silent) return;
    robust_lock(&j->gate->mutex);
    ring_take(j);
    pthread_mutex_unlock(&j->gate->mutex);
}

/* In the order in which ties are broken: what the director did, then nodes, then clients. */
static struct journal *journal_at(struct live *l, size_t i) {
    if (i == 0) return &l->director.journal;
    return i <= live_node_count(l) ? &l->nodes[i].actor.journal : &l->clients.actor.journal;
}

static size_t journal_count(const struct live *l) {
    return (size_t)live_node_count(l) + 2;
}

static uint64_t journal_total(struct journal *j) {
    return j->ring ? atomic_load_explicit(&j->ring->tail, memory_order_relaxed)
                   : atomic_load_explicit(&j->total, memory_order_relaxed);
}

uint64_t live_events(struct live *l) {
    uint64_t total = 0;
    for (size_t i = 0; i < journal_count(l); i++) total += journal_total(journal_at(l, i));
    return total;
}

static void append_ready(struct journal *j, size_t left) {
    j->pulled_count = left + j->ready_count;
    j->pulled = mem_grow(j->pulled, &j->pulled_capacity, j->pulled_count, sizeof *j->pulled);
    if (j->ready_count) memcpy(j->pulled + left, j->ready, j->ready_count * sizeof *j->ready);
}

/* Nothing is left: no copy is needed. */
static void swap_ready(struct journal *j) {
    qrt_event *events = j->pulled;
    size_t capacity = j->pulled_capacity;
    j->pulled = j->ready;
    j->pulled_capacity = j->ready_capacity;
    j->pulled_count = j->ready_count;
    j->ready = events;
    j->ready_capacity = capacity;
}

/* Takes what is ready; returns up to when nothing more can come. */
static int64_t journal_pull(struct journal *j, const struct live *l) {
    struct gate *g = j->gate;
    size_t left = j->pulled_count - j->pulled_head;
    if (j->pulled_head && left) memmove(j->pulled, j->pulled + j->pulled_head, left * sizeof *j->pulled);
    j->pulled_head = 0;
    robust_lock(&g->mutex);
    if (j->ring) ring_take(j);
    if (left)
        append_ready(j, left);
    else
        swap_ready(j);
    j->ready_count = 0;
    int64_t until = live_now(l);
    if (until < g->last) until = g->last; /* a clock drawn forward */
    if (g->open != NEVER) until = g->open - 1;
    if (until > g->floor) g->floor = until;
    pthread_mutex_unlock(&g->mutex);
    return until;
}

static int64_t head_time(const struct journal *j) {
    return j->pulled_head < j->pulled_count ? j->pulled[j->pulled_head].time : NEVER;
}

/* The journal that is next, and up to which time it stays so: one further on gives way to it where times are equal. */
static struct journal *next_journal(struct live *l, int64_t *until) {
    struct journal *least = NULL;
    int64_t time = NEVER;
    for (size_t i = 0; i < journal_count(l); i++) {
        struct journal *j = journal_at(l, i);
        int64_t t = head_time(j);
        if (t < time) {
            if (time - 1 < *until) *until = time - 1;
            least = j;
            time = t;
        } else if (t < *until) {
            *until = t;
        }
    }
    return least;
}

static void merge_until(struct live *l, int64_t horizon) {
    for (;;) {
        int64_t until = horizon;
        struct journal *j = next_journal(l, &until);
        if (!j || head_time(j) > horizon) return;
        while (head_time(j) <= until) trace_emit(&l->trace, &j->pulled[j->pulled_head++]);
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
    if (l->silent) {
        l->trace.count = live_events(l);
        l->merged = wanted;
        return;
    }
    while (merge_once(l) < wanted && patient && live_now(l) < wanted + PATIENCE_NS)
        nanosleep(&(struct timespec){0, 20000}, NULL);
}
