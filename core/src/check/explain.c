/* Choosing events: one sweep backward from the event to be explained. A node is on stage from its latest
 * event that is in the causal past (Lamport 1978) of that event. Of a node on stage every telling event is
 * taken, and of the steps that led to a telling event also the input: a message, whose sender then comes on
 * stage with its send. Steps that changed nothing (most heartbeats) thereby drop out by themselves. */
#include "check/explain.h"

#include <stdlib.h>

#include "base/memory.h"

#define SWEEP_MAX ((uint64_t)1 << 20) /* events looked at: a fraction of a second */
#define OPENING_MAX 16                /* places kept for how the nodes stood when the story begins */

struct sweep {
    const qrt_event *bad;
    uint64_t *numbers;
    size_t count, max;
    size_t related;  /* of those, the ones taken for their index or term alone */
    uint64_t *links; /* messages that were received and whose sends are still to come */
    size_t link_count;
    uint8_t *on_stage, *telling; /* by node */
    uint8_t *appended;           /* by node: this step's last append is taken, which stands for those before it */
    uint8_t *introduced;         /* by node: its latest start, crash or role is taken */
};

#define KIND(kind) ((uint64_t)1 << QRT_KIND_##kind)

static bool kind_in(uint8_t kind, uint64_t set) {
    return kind < 64 && (set >> kind & 1);
}

static bool is_telling(const qrt_event *e) {
    return kind_in(e->kind, KIND(START) | KIND(CRASH) | KIND(ROLE) | KIND(VOTE) | KIND(APPEND) | KIND(TRUNCATE) |
                                KIND(ACK) | KIND(COMMIT) | KIND(RESTORE) | KIND(CAUGHT_UP) | KIND(NOTE) | KIND(RAISE) |
                                KIND(INVOKE) | KIND(RETURN));
}

static bool is_input(const qrt_event *e) {
    return kind_in(e->kind, KIND(RECEIVE) | KIND(TIMER) | KIND(PROPOSE) | KIND(STORED) | KIND(START));
}

/* What speaks of the same index, or of who voted and led in the same term, whatever led to what. */
static bool is_related(const qrt_event *e, const qrt_event *bad) {
    if (e->group != bad->group) return false;
    if (bad->index && e->index == bad->index &&
        kind_in(e->kind, KIND(APPEND) | KIND(TRUNCATE) | KIND(COMMIT) | KIND(RESTORE) |
                             (bad->kind == QRT_KIND_APPLY ? KIND(APPLY) : 0)))
        return true;
    if (!bad->term || e->term != bad->term) return false;
    return e->kind == QRT_KIND_VOTE || (e->kind == QRT_KIND_ROLE && e->detail == QRT_ROLE_LEADER);
}

static bool link_take(struct sweep *s, uint64_t link) {
    for (size_t i = 0; i < s->link_count; i++) {
        if (s->links[i] != link) continue;
        s->links[i] = s->links[--s->link_count];
        return true;
    }
    return false;
}

static bool is_opening(const qrt_event *e) {
    return kind_in(e->kind, KIND(START) | KIND(CRASH) | KIND(ROLE));
}

static bool sweep_take(struct sweep *s, uint64_t number) {
    if (s->count == s->max) return false;
    s->numbers[s->count++] = number;
    return true;
}

static void sweep_node(struct sweep *s, const qrt_event *e, uint64_t number) {
    bool again = e->kind == QRT_KIND_APPEND && s->appended[e->node] && e->index != s->bad->index;
    if (is_telling(e) && !again && sweep_take(s, number)) {
        s->telling[e->node] = true;
        s->appended[e->node] |= e->kind == QRT_KIND_APPEND;
        s->introduced[e->node] |= is_opening(e);
    }
    if (!is_input(e)) return;
    if (e->kind == QRT_KIND_RECEIVE && s->telling[e->node] && sweep_take(s, number))
        s->links[s->link_count++] = e->link;
    s->telling[e->node] = s->appended[e->node] = false;
}

static void sweep_event(struct sweep *s, const qrt_event *e, uint64_t number) {
    if (kind_in(e->kind,
                KIND(CRASH) | KIND(PAUSE) | KIND(RESUME))) { /* whoever it hit: the reader asks where a node went */
        sweep_take(s, number);
        s->introduced[e->node] |= e->kind == QRT_KIND_CRASH;
    } else if (e->kind == QRT_KIND_SEND && link_take(s, e->link)) {
        sweep_take(s, number);
        s->on_stage[e->node] = s->telling[e->node] = true;
    } else if (s->on_stage[e->node]) {
        sweep_node(s, e, number);
    } else if (s->related < s->max / 3 && is_related(e, s->bad) && sweep_take(s, number)) {
        s->related++;
        s->on_stage[e->node] = s->telling[e->node] = true; /* how it came to that is part of the story */
    }
}

/* The story is told; what is still wanted is how each of its nodes came to be what it was. */
static void sweep_opening(struct sweep *s, const qrt_event *e, uint64_t number) {
    if (!s->on_stage[e->node] || s->introduced[e->node] || !is_opening(e)) return;
    sweep_take(s, number);
    s->introduced[e->node] = true;
}

size_t explain_events(const struct trace *t, uint64_t number, uint64_t *numbers, size_t max) {
    const qrt_event *bad = trace_at(t, number);
    if (!bad || !max) return 0;
    size_t opening = max > 4 * OPENING_MAX ? OPENING_MAX : 0;
    struct sweep s = {.bad = bad, .numbers = numbers, .max = max - opening};
    s.links = mem_alloc(max * sizeof *s.links);
    s.on_stage = mem_zero(UINT16_MAX + 1, 1);
    s.telling = mem_zero(UINT16_MAX + 1, 1);
    s.appended = mem_zero(UINT16_MAX + 1, 1);
    s.introduced = mem_zero(UINT16_MAX + 1, 1);
    sweep_take(&s, number);
    s.on_stage[bad->node] = s.telling[bad->node] = true;
    uint64_t first = trace_first(t);
    if (number - first > SWEEP_MAX) first = number - SWEEP_MAX;
    uint64_t i = number;
    while (i > first && s.count < s.max) {
        i--;
        sweep_event(&s, trace_at(t, i), i);
    }
    for (s.max = max; i-- > first && s.count < max;) sweep_opening(&s, trace_at(t, i), i);
    for (size_t k = 0; k < s.count / 2; k++) {
        uint64_t swap = numbers[k];
        numbers[k] = numbers[s.count - 1 - k];
        numbers[s.count - 1 - k] = swap;
    }
    free(s.links);
    free(s.on_stage);
    free(s.telling);
    free(s.appended);
    free(s.introduced);
    return s.count;
}
