#include "check/agreement.h"

#include <stdlib.h>

#include "base/memory.h"

void agreement_init(struct agreement *a, uint16_t members) {
    a->values = mem_zero((size_t)members + 1, sizeof *a->values);
    a->values[0].members = members;
    a->count = members ? 1 : 0;
}

void agreement_free(struct agreement *a) {
    free(a->values);
    *a = (struct agreement){0};
}

void agreement_clone(struct agreement *to, const struct agreement *from, uint16_t members) {
    to->values = mem_copy(from->values, ((size_t)members + 1) * sizeof *from->values);
    to->count = from->count;
}

void agreement_clock_init(struct agreement_clock *clock) {
    *clock = (struct agreement_clock){.equal = true, .first_inconsistent = -1};
}

static void values_remove(struct agreement *a, uint64_t value) {
    for (size_t i = 0; i < a->count; i++) {
        if (a->values[i].value != value) continue;
        if (--a->values[i].members == 0) a->values[i] = a->values[--a->count];
        return;
    }
}

static void values_add(struct agreement *a, uint64_t value) {
    for (size_t i = 0; i < a->count; i++) {
        if (a->values[i].value != value) continue;
        a->values[i].members++;
        return;
    }
    a->values[a->count++] = (struct value_count){value, 1};
}

static void clock_differ(struct agreement_clock *clock, int64_t time) {
    clock->equal = false;
    clock->equal_before = clock->since;
    clock->equal_ns += time - clock->since;
    clock->since = time;
}

/* Back within the instant: as if it had never been otherwise. */
static void clock_agree(struct agreement_clock *clock, int64_t time) {
    clock->equal = true;
    if (time == clock->since) {
        clock->since = clock->equal_before;
        clock->equal_ns -= time - clock->since;
        return;
    }
    if (clock->first_inconsistent < 0) clock->first_inconsistent = clock->since;
    clock->since = time;
}

void agreement_change(struct agreement *a, struct agreement_clock *clock, uint64_t from, uint64_t to, int64_t time) {
    if (from == to) return;
    bool was_split = a->count > 1;
    values_remove(a, from);
    values_add(a, to);
    bool split = a->count > 1;
    if (split == was_split) return;
    clock->split = split ? clock->split + 1 : clock->split - 1;
    if (time < clock->since) time = clock->since; /* clocks of live nodes may be a little apart */
    if (clock->equal && clock->split)
        clock_differ(clock, time);
    else if (!clock->equal && !clock->split)
        clock_agree(clock, time);
}

void agreement_measure_at(const struct agreement_clock *clock, int64_t now, struct agreement_measure *m) {
    if (now < clock->since) now = clock->since;
    int64_t equal_ns = clock->equal_ns + (clock->equal ? now - clock->since : 0);
    m->consistent_share = now > 0 ? (double)equal_ns / (double)now : clock->equal ? 1.0 : 0.0;
    m->first_inconsistent = clock->first_inconsistent;
    if (!clock->equal && m->first_inconsistent < 0) m->first_inconsistent = clock->since;
    m->consensus_at = clock->equal ? clock->since : -1;
}
