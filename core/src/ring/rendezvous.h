/* Rendezvous (highest random weight) hashing (Thaler and Ravishankar 1998; weights by Schindelhauer and
 * Schomaker 2005): every node draws a number for the key, and the highest score wins. No structure, O(n) a
 * lookup. */
#ifndef RING_RENDEZVOUS_H
#define RING_RENDEZVOUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "base/real.h"

/* The winner of key_hash among nodes given by the hashes of their names and their positive weights (NULL: all
 * 1). Of two equal scores the greater name hash wins, so that the order of the nodes does not matter. count
 * >= 1. */
static inline uint32_t rendezvous_pick(uint64_t key_hash, const uint64_t *name_hashes, const double *weights,
                                       size_t count) {
    uint32_t best = 0;
    double best_score = -1;
    uint64_t best_draw = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t draw = random_mix(random_mix(name_hashes[i]) ^ key_hash);
        if (!weights) { /* the score is monotone in the draw: no logarithm */
            if (i && (draw < best_draw || (draw == best_draw && name_hashes[i] < name_hashes[best]))) continue;
        } else {
            double score = weights[i] / -real_log(((double)(draw >> 11) + 0.5) * 0x1p-53);
            if (i && (score < best_score || (score == best_score && name_hashes[i] < name_hashes[best]))) continue;
            best_score = score;
        }
        best_draw = draw;
        best = i;
    }
    return best;
}

#endif
