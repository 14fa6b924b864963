#include "ring/maglev.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

static bool number_is_prime(uint32_t n) {
    if (n < 2) return false;
    for (uint64_t d = 2; d * d <= n; d++)
        if (n % d == 0) return false;
    return true;
}

void maglev_preference(uint64_t name_hash, uint32_t size, uint32_t *offset, uint32_t *skip) {
    *offset = (uint32_t)(name_hash >> 32) % size;
    *skip = size > 1 ? (uint32_t)name_hash % (size - 1) + 1 : 0;
}

static qrt_status arguments_validate(const uint32_t *offsets, const uint32_t *skips, size_t count, uint32_t size,
                                     struct error *e) {
    if (!count) return error_set(e, QRT_EINVAL, "a Maglev table needs at least one backend");
    if (size > MAGLEV_TABLE_MAX || !number_is_prime(size))
        return error_set(e, QRT_EINVAL,
                         "a Maglev table's size must be a prime of at most %d, so that every skip visits every "
                         "entry; %u is not",
                         MAGLEV_TABLE_MAX, size);
    if (count > size)
        return error_set(e, QRT_ERANGE, "%zu backends need at least %zu entries, and the table has %u", count, count,
                         size);
    for (size_t i = 0; i < count; i++)
        if (offsets[i] >= size || !skips[i] || skips[i] >= size)
            return error_set(e, QRT_ERANGE,
                             "backend %zu: offset %u must be below the size %u, and skip %u between 1 and %u", i,
                             offsets[i], size, skips[i], size - 1);
    return QRT_OK;
}

qrt_status maglev_fill(const uint32_t *offsets, const uint32_t *skips, size_t count, uint32_t *table, uint32_t size,
                       struct error *e) {
    qrt_status status = arguments_validate(offsets, skips, count, size, e);
    if (status) return status;
    uint64_t *next = mem_alloc(count * sizeof *next); /* the next preferred entry of each backend */
    for (size_t i = 0; i < count; i++) next[i] = offsets[i];
    for (uint32_t i = 0; i < size; i++) table[i] = UINT32_MAX;
    for (uint32_t filled = 0; filled < size;) {
        for (size_t i = 0; i < count && filled < size; i++, filled++) {
            while (table[next[i]] != UINT32_MAX) next[i] = (next[i] + skips[i]) % size;
            table[next[i]] = (uint32_t)i;
        }
    }
    free(next);
    return QRT_OK;
}
