/* XXH3 once more, compiled for AVX2: the trace is hashed in blocks of 3 KiB, which takes half the time this
 * way. The result is that of every other machine; hash_long in hash.h asks the processor first. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

#pragma GCC target("avx2")
#include "base/hash.h"

uint64_t hash_long_avx2(const void *data, size_t size, uint64_t seed) {
    return hash_bytes(data, size, seed);
}

#else

typedef int hash_long_is_hash_bytes; /* a translation unit is not empty */

#endif
