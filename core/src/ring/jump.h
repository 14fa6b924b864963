/* Jump consistent hashing (Lamping and Veach 2014): buckets are numbered 0..n-1, and only the last can come
 * or go; no memory, a perfect balance. */
#ifndef RING_JUMP_H
#define RING_JUMP_H

#include <stddef.h>
#include <stdint.h>

/* The paper's figure 1: the keys that jump at bucket b + 1 are chosen by a linear congruential generator
 * seeded with the key; the expected number of jumps is ln(buckets). buckets is at least 1. */
static inline uint32_t jump_bucket(uint64_t key, uint32_t buckets) {
    int64_t bucket = -1, next = 0;
    while (next < (int64_t)buckets) {
        bucket = next;
        key = key * 2862933555777941757u + 1;
        next = (int64_t)((double)(bucket + 1) * (0x1p31 / (double)((key >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

static inline void jump_buckets(const uint64_t *keys, size_t count, uint32_t buckets, uint32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = jump_bucket(keys[i], buckets);
}

#endif
