/* The event queue: a 4-ary min-heap of 16-byte keys, (time, sequence | slot). Ties in time are broken by
 * sequence, the order of insertion, so that a run never depends on the heap's shape. The slot is an index into
 * the owner's own pool; the heap knows nothing of what it orders.
 *
 *   level 0            [0]                 children of i are 4i+1 .. 4i+4, so that the four keys that a
 *   level 1   [1] [2] [3] [4]              sift-down compares lie in one cache line (64 bytes)
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_SLOT_BITS 24 /* 16.7 million pending events */
#define HEAP_SLOT_MAX ((1u << HEAP_SLOT_BITS) - 1)

struct heap_key {
    int64_t time;
    uint64_t order; /* sequence << HEAP_SLOT_BITS | slot */
};

struct heap {
    struct heap_key *keys; /* keys[0] is the root; aligned so that child groups share cache lines */
    void *memory;
    size_t count, capacity;
    uint64_t sequence;
};

void heap_init(struct heap *h);
void heap_free(struct heap *h);
void heap_clone(struct heap *to, const struct heap *from);
void heap_reserve(struct heap *h, size_t capacity);

static inline uint32_t heap_slot(struct heap_key k) {
    return (uint32_t)(k.order & HEAP_SLOT_MAX);
}
static inline bool heap_before(struct heap_key a, struct heap_key b) {
    unsigned __int128 x = (unsigned __int128)(uint64_t)a.time << 64 | a.order;
    unsigned __int128 y = (unsigned __int128)(uint64_t)b.time << 64 | b.order;
    return x < y; /* times are never negative */
}

static inline void heap_push(struct heap *h, int64_t time, uint32_t slot) {
    if (__builtin_expect(h->count == h->capacity, 0)) heap_reserve(h, h->capacity * 2);
    struct heap_key key = {time, h->sequence++ << HEAP_SLOT_BITS | slot};
    size_t i = h->count++;
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        if (!heap_before(key, h->keys[parent])) break;
        h->keys[i] = h->keys[parent];
        i = parent;
    }
    h->keys[i] = key;
}

/* Removes and returns the least key; count must not be 0. */
static inline struct heap_key heap_pop(struct heap *h) {
    struct heap_key *keys = h->keys, least = keys[0], last = keys[--h->count];
    size_t count = h->count, i = 0;
    for (;;) {
        size_t child = 4 * i + 1;
        if (child >= count) break;
        size_t best = child;
        size_t end = child + 4 < count ? child + 4 : count;
        for (size_t c = child + 1; c < end; c++) best = heap_before(keys[c], keys[best]) ? c : best;
        if (!heap_before(keys[best], last)) break;
        keys[i] = keys[best];
        i = best;
    }
    keys[i] = last;
    return least;
}

#endif
