/* Hashing: XXH3 (xxHash 0.8), inlined. Its result is the same on every machine. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#endif
#include <xxhash.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static inline uint64_t hash_bytes(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}
/* The same function for long inputs, by the widest vectors that this machine is known to have. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
uint64_t hash_long_avx2(const void *data, size_t size, uint64_t seed);
static inline uint64_t hash_long(const void *data, size_t size, uint64_t seed) {
    if (__builtin_expect(__builtin_cpu_supports("avx2") != 0, 1)) return hash_long_avx2(data, size, seed);
    return hash_bytes(data, size, seed);
}
#else
static inline uint64_t hash_long(const void *data, size_t size, uint64_t seed) {
    return hash_bytes(data, size, seed);
}
#endif
/* Folds one number into a running hash; for fingerprints of scalar fields. */
static inline uint64_t hash_fold(uint64_t hash, uint64_t value) {
    uint64_t x = (hash ^ value) * 0x9fb21c651e98df25u;
    x ^= x >> 35;
    return (x + hash) * 0x9e3779b97f4a7c15u ^ (x >> 28);
}

#endif
