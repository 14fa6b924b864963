/* Maglev's lookup table (Eisenbud and others, NSDI 2016, section 3.4). */
#ifndef RING_MAGLEV_H
#define RING_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { MAGLEV_TABLE_MAX = 1 << 24 };

/* Fills table[size] with backends 0..count-1. Backend i prefers the entries (offsets[i] + j skips[i]) mod
 * size, j = 0, 1, ...; in turn each takes its most preferred free entry, so that the numbers of entries
 * differ by at most one. size is a prime (every skip then visits every entry), offsets < size, 1 <= skips <
 * size. */
qrt_status maglev_fill(const uint32_t *offsets, const uint32_t *skips, size_t count, uint32_t *table, uint32_t size,
                       struct error *e);
/* The offset and skip of a backend's name: two halves of one hash. */
void maglev_preference(uint64_t name_hash, uint32_t size, uint32_t *offset, uint32_t *skip);

#endif
