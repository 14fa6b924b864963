/* What the checker of atomic commit has seen, beside its verdicts: transactions, and who was blocked for how long. Blocking
 * is what two-phase commit does, and no violation; it is told as data. Times are ns since the run began. */
#ifndef CHECK_ATOMIC_H
#define CHECK_ATOMIC_H

#include "check/check.h"

struct atomic_counts {
    uint64_t begun, committed, aborted;
    uint64_t undecided; /* (transaction, node) pairs: prepared, up, and not told */
    uint64_t blocked;   /* of these, those that have asked and found nobody who knew */
    size_t episodes;    /* times that a participant was blocked */
};

struct atomic_episode {
    uint64_t transaction;
    uint16_t node, manager;
    int64_t since, until; /* until: INT64_MAX while it lasts; it ends with the decision or with a crash */
};

struct atomic_part { /* one node in one transaction */
    uint8_t vote, decision, state;
};

/* False when atomic commit is not judged here; then nothing is known. */
bool atomic_counts_of(const struct checkers *c, struct atomic_counts *counts);
/* In order of their beginning; false past the end. */
bool atomic_episode_at(const struct checkers *c, size_t i, struct atomic_episode *episode);
/* The first transaction with these bytes (their hash) that the node has begun at `since` or later; 0 none. */
uint64_t atomic_begun(const struct checkers *c, uint16_t node, uint64_t digest, int64_t since);
/* False when nothing is known of it. */
bool atomic_part_of(const struct checkers *c, uint64_t transaction, uint16_t node, struct atomic_part *part);

#endif
