/* Counting under one majority configuration or under two at once (joint consensus, Raft's dissertation 4.3):
 * what is decided jointly is decided by each majority alone. The empty configuration agrees with everything,
 * so that it is the neutral half of a joint one. */
#ifndef PROTOCOL_JOINT_H
#define PROTOCOL_JOINT_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/quorum.h"

#define JOINT_UNBOUNDED UINT64_MAX /* the commit index of the empty configuration */

enum joint_ballot { JOINT_SILENT = 0, JOINT_YES = 1, JOINT_NO = 2 };

/* The greatest index that a majority has acknowledged; a voter that has said nothing counts as 0. */
uint64_t joint_majority_commit(const uint64_t *acknowledged, size_t voters);
enum quorum_result joint_majority_vote(const uint8_t *ballots, size_t voters);

static inline uint64_t joint_commit(uint64_t one, uint64_t other) {
    return one < other ? one : other;
}
static inline enum quorum_result joint_vote(enum quorum_result one, enum quorum_result other) {
    if (one == QUORUM_LOST || other == QUORUM_LOST) return QUORUM_LOST;
    return one == QUORUM_WON && other == QUORUM_WON ? QUORUM_WON : QUORUM_PENDING;
}

#endif
