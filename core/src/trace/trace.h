/* The trace: every run's one stream of events (struct qrt_event, 48 bytes, quorate.h).
 *
 *   trace_emit --> interested sink (checkers; before any filter)
 *        |
 *        v
 *   block of TRACE_BLOCK events --full--> hashed (always) --> kept, a ring of the last N, or reused
 *
 * The hash covers the fixed record bytes of all events since the run began, block by block, chained; it is the
 * same whatever is recorded and however a run is cut into steps. Blocks are immutable once full and shared by
 * reference between a trace and its clones, so that fork() copies one block at most. */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quorate.h"

#define TRACE_BLOCK 64
_Static_assert(sizeof(qrt_event) == 48, "the trace hash is over these bytes");

struct trace_block {
    qrt_event events[TRACE_BLOCK];
    uint64_t first; /* number of the first event */
    uint32_t references;
};

/* A sink sees each event of the kinds in its mask, in order, as it is emitted. */
struct trace_sink {
    uint64_t kinds; /* bit k set: wants events of kind k */
    void (*event)(void *context, const qrt_event *e, uint64_t number);
    void *context;
};

struct trace {
    struct trace_block *block; /* the one being filled: the event of number n goes to place n % TRACE_BLOCK */
    uint64_t count;            /* events emitted since the run began */
    uint64_t hash;             /* over all full blocks */
    uint64_t keep;             /* how many events to keep; 0 none, UINT64_MAX all */
    struct trace_block **kept; /* full blocks, oldest first */
    size_t kept_count, kept_capacity;
    bool passing; /* its sink is all that it is for: nothing is hashed, nothing is kept */
    struct trace_sink sink;
};

void trace_init(struct trace *t, uint64_t keep);
void trace_free(struct trace *t);
void trace_clone(struct trace *to, const struct trace *from); /* the sink is not cloned */
void trace_block_full(struct trace *t);
/* The hash over everything up to now; 0 where events only pass. */
uint64_t trace_hash(const struct trace *t);
/* Events that are still kept: [trace_first, t->count). */
uint64_t trace_first(const struct trace *t);
/* The event of that number, NULL when it is not kept. */
const qrt_event *trace_at(const struct trace *t, uint64_t number);

/* The record of the next event, to be written in place, every field of it, and then told of by trace_filled. */
static inline qrt_event *trace_next(struct trace *t) {
    return &t->block->events[t->count % TRACE_BLOCK];
}
static inline void trace_filled(struct trace *t, const qrt_event *e) {
    if (t->sink.kinds >> e->kind & 1) t->sink.event(t->sink.context, e, t->count);
    if (__builtin_expect(++t->count % TRACE_BLOCK == 0, 0)) trace_block_full(t);
}
/* Whether events of that kind become part of anything. What is only for an event that nobody hears need not be computed. */
static inline bool trace_hears(const struct trace *t, uint8_t kind) {
    return !t->passing || t->sink.kinds >> kind & 1;
}
static inline void trace_emit(struct trace *t, const qrt_event *e) {
    qrt_event *next = trace_next(t);
    *next = *e;
    trace_filled(t, next);
}

/* Names for people and files. */
const char *trace_kind_name(uint8_t kind);
const char *trace_role_name(uint8_t role);
const char *trace_drop_name(uint8_t why); /* of a qrt_drop; "" for another number */
/* One line: "1.204567  n3  append  t2 i17 ...". Returns the length that it wrote (cut at size). */
int trace_print(const qrt_event *e, char *out, size_t size);

#endif
