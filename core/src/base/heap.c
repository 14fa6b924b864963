#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void allocate(struct heap *h, size_t capacity) {
    /* The root is put 48 bytes into a cache line, so that keys 1-4, 5-8, ... each fill one. */
    h->memory = mem_alloc(capacity * sizeof(struct heap_key) + 128);
    uintptr_t base = ((uintptr_t)h->memory + 63) & ~(uintptr_t)63;
    h->keys = (struct heap_key *)(base + 48);
    h->capacity = capacity;
}

void heap_init(struct heap *h) {
    *h = (struct heap){0};
    allocate(h, 64);
}

void heap_free(struct heap *h) {
    free(h->memory);
    *h = (struct heap){0};
}

void heap_reserve(struct heap *h, size_t capacity) {
    if (capacity <= h->capacity) return;
    struct heap old = *h;
    allocate(h, capacity);
    memcpy(h->keys, old.keys, old.count * sizeof *h->keys);
    free(old.memory);
}

void heap_clone(struct heap *to, const struct heap *from) {
    *to = *from;
    allocate(to, from->capacity);
    memcpy(to->keys, from->keys, from->count * sizeof *to->keys);
}
