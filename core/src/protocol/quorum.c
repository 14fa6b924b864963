/* Quorum arithmetic. See quorum.h. */
#include "protocol/quorum.h"

uint64_t quorum_reached(const uint64_t *values, size_t n, size_t k) {
    if (k == 0 || k > n) return 0;
    /* Clusters are small, so counting beats sorting: the answer is the largest value that k members reach. */
    uint64_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i] <= best) continue;
        size_t reached = 0;
        for (size_t j = 0; j < n; j++) reached += values[j] >= values[i];
        if (reached >= k) best = values[i];
    }
    return best;
}

enum quorum_result quorum_vote(size_t granted, size_t refused, size_t members) {
    size_t needed = quorum_majority(members);
    if (granted >= needed) return QUORUM_WON;
    return refused > members - needed ? QUORUM_LOST : QUORUM_PENDING;
}
