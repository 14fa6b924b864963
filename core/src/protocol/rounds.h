/* A round synchroniser: rounds of equal length by a node's own clock, from a bound on how long a message takes.
 *
 *   first node to begin  |--- round 1 ---|--- round 2 ---|--- round 3 ---|
 *   one that it woke         |--- round 1 ---|--- round 2 ---|--- round 3 ---|
 *                        <-->  at most the bound
 *
 * A run begins at a node when it wants to, or with the first message of it that the node hears. Whoever begins speaks to
 * all, so nodes that do not fail in that moment begin within one bound of each other. A message of a round is sent at
 * its beginning and takes one bound at most; with rounds longer than two bounds it reaches everyone before their own same
 * round ends (Lynch 1996, sections 2 and 25: the time-bounded synchroniser). Drift is taken to be nothing within a run.
 *
 * Pure arithmetic: the owner sets the timer, sends, and hands in the time. */
#ifndef PROTOCOL_ROUNDS_H
#define PROTOCOL_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

struct rounds {
    int64_t began, length; /* ns of the owner's monotonic clock; began is absolute: no part of a fingerprint */
    uint32_t round, last;  /* from 1; round last + 1: over */
};

static inline int64_t rounds_length(int64_t bound_ns) {
    return 2 * bound_ns + 1;
}
static inline void rounds_begin(struct rounds *r, int64_t now, int64_t bound_ns, uint32_t last) {
    *r = (struct rounds){.began = now, .length = rounds_length(bound_ns), .round = 1, .last = last};
}
/* Until the present round ends; never negative. */
static inline int64_t rounds_left(const struct rounds *r, int64_t now) {
    int64_t left = r->began + (int64_t)r->round * r->length - now;
    return left > 0 ? left : 0;
}
/* Moves on when the present round has ended; whether it did. */
static inline bool rounds_advance(struct rounds *r, int64_t now) {
    if (rounds_left(r, now) > 0) return false;
    r->round++;
    return true;
}
static inline bool rounds_over(const struct rounds *r) {
    return r->round > r->last;
}
/* A message of an earlier round is too late: the bound was broken. */
static inline bool rounds_late(const struct rounds *r, uint32_t round) {
    return round < r->round;
}

#endif
