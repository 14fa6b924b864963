/* Random streams and keyed draws. Everything random in a run comes from its one seed: a stream for every
 * (node, purpose), and for a fault's verdict on a message a keyed function of (seed, link, sequence), which is
 * no position in a stream, so that removing one fault leaves all others as they were.
 *
 * Streams are xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64 (Steele, Lea, Flood 2014). */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t s[4];
};

/* part of every seed's meaning: never renumber */
enum random_purpose {
    RANDOM_PROTOCOL = 1,
    RANDOM_LINK = 2,
    RANDOM_DISK = 3,
    RANDOM_CLIENT = 4,
    RANDOM_PLAN = 5,
    RANDOM_CONFIG = 6,
    RANDOM_CLOCK = 7,
    RANDOM_BENCH = 8,
    RANDOM_WORKLOAD = 9,
    RANDOM_SCRIPT = 10,
};

static inline uint64_t random_mix(uint64_t x) { /* splitmix64's finaliser over the golden-ratio step */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A keyed draw: 64 uniform bits from (seed, a, b). */
static inline uint64_t random_keyed(uint64_t seed, uint64_t a, uint64_t b) {
    return random_mix(random_mix(random_mix(seed) ^ a) ^ b);
}

struct random random_stream(uint64_t seed, uint64_t node, enum random_purpose purpose);

static inline uint64_t random_rotate(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}
static inline uint64_t random_u64(struct random *r) {
    uint64_t *s = r->s, result = random_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = random_rotate(s[3], 45);
    return result;
}
/* Uniform in [0, bound), bound >= 1, from 64 given bits (multiply-shift; bias below 2^-32 for bounds below
 * 2^32, accepted). */
static inline uint64_t random_scale(uint64_t bits, uint64_t bound) {
    return (uint64_t)(((unsigned __int128)bits * bound) >> 64);
}
static inline uint64_t random_below(struct random *r, uint64_t bound) {
    return random_scale(random_u64(r), bound);
}
/* Uniform in [low, high]. */
static inline int64_t random_between(struct random *r, int64_t low, int64_t high) {
    return low + (int64_t)random_below(r, (uint64_t)(high - low) + 1);
}
/* Uniform in [0, 1) with 53 bits. */
static inline double random_unit_of(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}
static inline double random_unit(struct random *r) {
    return random_unit_of(random_u64(r));
}
static inline bool random_chance(struct random *r, double p) {
    return random_unit(r) < p;
}

#endif
