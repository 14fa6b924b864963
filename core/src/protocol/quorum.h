/* Quorum arithmetic: pure functions that every voting protocol shares. */
#ifndef PROTOCOL_QUORUM_H
#define PROTOCOL_QUORUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The least number of members any two sets of which share one: floor(n/2) + 1. */
static inline size_t quorum_majority(size_t members) {
    return members / 2 + 1;
}

/* The k-th largest of n values (k from 1): what at least k members have reached, which is the commit index
 * for match indices and the confirmed round for echoed rounds. 0 when k is 0 or more than n. */
uint64_t quorum_reached(const uint64_t *values, size_t n, size_t k);

enum quorum_result {
    QUORUM_PENDING = 0,
    QUORUM_WON = 1,
    QUORUM_LOST = 2, /* those who have not answered could not turn it any more */
};

/* How a vote stands with so many grants and refusals among n members. */
enum quorum_result quorum_vote(size_t granted, size_t refused, size_t members);

#endif
