#include "base/random.h"

struct random random_stream(uint64_t seed, uint64_t node, enum random_purpose purpose) {
    struct random r;
    uint64_t key = random_keyed(seed, node, (uint64_t)purpose);
    for (int i = 0; i < 4; i++) r.s[i] = random_mix(key + (uint64_t)i);
    if (!(r.s[0] | r.s[1] | r.s[2] | r.s[3])) r.s[0] = 1; /* the one state xoshiro never leaves */
    return r;
}
