/* The ballots of a run, as its trace tells them: for each instance, which value each ballot carried, who accepted it, and
 * when that was a quorum. Fed with events in order; the checker of consensus judges by it, and a report prints it. */
#ifndef CHECK_BALLOTS_H
#define CHECK_BALLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "quorate.h"

#define BALLOTS_NODES 129                        /* node ids below this */
#define BALLOTS_INSTANCE_MAX (UINT64_C(1) << 24) /* beyond: not followed */

struct ballot {
    uint64_t instance, number, value;
    int64_t chosen_at;       /* when a quorum had accepted it; -1: never */
    uint64_t accepted_by[2]; /* bit i: node i + 1 */
    uint16_t group, accepted;
    bool has_value;
    bool split;    /* it carried two values */
    uint32_t next; /* an older ballot of the same instance, as a position + 1; 0 none */
};

struct ballots {
    struct ballot *all; /* in the order in which they were first heard of */
    size_t count, capacity;
    struct ballots_group {
        uint32_t *latest; /* by instance: position + 1 */
        size_t count, capacity;
        uint64_t acceptors[2]; /* bit i: node i + 1; none: every member accepts */
        uint16_t acceptor_count;
    } * groups;
    size_t group_count, group_capacity;
    uint16_t member_count;
    bool (*quorum)(const void *rule, const uint64_t members[2]);
    const void *rule; /* borrowed */
};

/* quorum: whether these members (bit i: node i + 1) hold one, where all are acceptors; NULL, and where acceptors stand apart:
 * a majority of them does. */
void ballots_init(struct ballots *b, uint16_t member_count, bool (*quorum)(const void *rule, const uint64_t members[2]),
                  const void *rule);
void ballots_free(struct ballots *b);
void ballots_clone(struct ballots *to, const struct ballots *from);
/* Takes QRT_KIND_BALLOT and QRT_KIND_STATE; the ballot that a BALLOT event spoke of, NULL when none is kept of it. */
const struct ballot *ballots_event(struct ballots *b, const qrt_event *e);
/* NULL: never heard of. */
const struct ballot *ballots_find(const struct ballots *b, uint16_t group, uint64_t instance, uint64_t number);
size_t ballots_memory(const struct ballots *b);
/* JSON; see qrt_trace_ballots. */
void ballots_print(const struct ballots *b, struct buffer *out);

#endif
