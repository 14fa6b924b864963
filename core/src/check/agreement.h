/* How long the members' replicated values were all equal: v_i(t) = v_j(t) for all i and j. A value is the
 * prefix hash of what a member has applied, 0 before anything; a crashed member keeps its last value until it
 * is back. A multiset of values makes a change cost as much as there are different values, which are few.
 *
 * The run's time is continuous: values that differ between two events of the same instant did not differ at
 * any t. */
#ifndef CHECK_AGREEMENT_H
#define CHECK_AGREEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/check.h"

struct value_count {
    uint64_t value;
    uint32_t members;
};

/* The values of one group. */
struct agreement {
    struct value_count *values; /* at most one per member */
    size_t count;
};

/* Over all groups: they agree when each of them does. */
struct agreement_clock {
    uint32_t split;             /* groups whose members differ now */
    bool equal;                 /* as of `since` */
    int64_t since;              /* when that began */
    int64_t equal_before;       /* since when they had been equal, before they began to differ at `since` */
    int64_t equal_ns;           /* total of the finished stretches of agreement */
    int64_t first_inconsistent; /* -1: never */
};

void agreement_init(struct agreement *a, uint16_t members);
void agreement_free(struct agreement *a);
void agreement_clone(struct agreement *to, const struct agreement *from, uint16_t members);
void agreement_clock_init(struct agreement_clock *clock);
/* A member's value changes from one to another at `time`. */
void agreement_change(struct agreement *a, struct agreement_clock *clock, uint64_t from, uint64_t to, int64_t time);
void agreement_measure_at(const struct agreement_clock *clock, int64_t now, struct agreement_measure *m);

#endif
