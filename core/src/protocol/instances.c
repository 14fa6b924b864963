#include "protocol/instances.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define ARENA_MIN 1024u

struct instance_chunk {
    uint32_t references;
    uint32_t used, capacity; /* bytes of values; what was replaced stays until the chunk goes */
    uint8_t *arena;
    struct decree at[INSTANCES_CHUNK];
};

static void chunk_unref(struct instance_chunk *c) {
    if (!c || __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL)) return;
    free(c->arena);
    free(c);
}

void instances_free(struct instances *t) {
    for (size_t i = 0; i < t->count; i++) chunk_unref(t->chunks[i]);
    free(t->chunks);
    *t = (struct instances){0};
}

void instances_clone(struct instances *to, const struct instances *from) {
    *to = *from;
    to->chunks = from->count ? mem_copy(from->chunks, from->count * sizeof *from->chunks) : NULL;
    to->capacity = from->count;
    for (size_t i = 0; i < from->count; i++)
        if (from->chunks[i]) __atomic_add_fetch(&from->chunks[i]->references, 1, __ATOMIC_RELAXED);
}

static const struct instance_chunk *chunk_of(const struct instances *t, uint64_t number) {
    size_t i = (size_t)((number - 1) / INSTANCES_CHUNK);
    return i < t->count ? t->chunks[i] : NULL;
}

const struct decree *instances_at(const struct instances *t, uint64_t number) {
    static const struct decree nothing;
    const struct instance_chunk *c = chunk_of(t, number);
    return c ? &c->at[(number - 1) % INSTANCES_CHUNK] : &nothing;
}

struct bytes instances_value(const struct instances *t, uint64_t number) {
    const struct instance_chunk *c = chunk_of(t, number);
    if (!c) return (struct bytes){0};
    const struct decree *i = &c->at[(number - 1) % INSTANCES_CHUNK];
    return (struct bytes){i->size ? c->arena + i->offset : NULL, i->size};
}

static struct instance_chunk *chunk_copy(const struct instance_chunk *from) {
    struct instance_chunk *c = mem_copy(from, sizeof *from);
    c->references = 1;
    c->capacity = from->used;
    c->arena = from->used ? mem_copy(from->arena, from->used) : NULL;
    return c;
}

static struct instance_chunk *chunk_edit(struct instances *t, uint64_t number) {
    CHECK(instances_fits(number));
    size_t i = (size_t)((number - 1) / INSTANCES_CHUNK);
    if (__builtin_expect(i >= t->count, 0)) {
        t->chunks = mem_grow(t->chunks, &t->capacity, i + 1, sizeof *t->chunks);
        while (t->count <= i) t->chunks[t->count++] = NULL;
    }
    if (number > t->highest) t->highest = number;
    struct instance_chunk *c = t->chunks[i];
    if (__builtin_expect(!c, 0)) {
        c = t->chunks[i] = mem_zero(1, sizeof *c);
        c->references = 1;
    } else if (__builtin_expect(__atomic_load_n(&c->references, __ATOMIC_ACQUIRE) > 1, 0)) {
        t->chunks[i] = chunk_copy(c);
        chunk_unref(c);
    }
    return t->chunks[i];
}

struct decree *instances_edit(struct instances *t, uint64_t number) {
    return &chunk_edit(t, number)->at[(number - 1) % INSTANCES_CHUNK];
}

static void chunk_reserve(struct instance_chunk *c, uint32_t size) {
    size_t need = (size_t)c->used + size;
    CHECK(need <= UINT32_MAX / 2); /* 64 instances of the largest values, accepted in many ballots */
    if (need <= c->capacity) return;
    size_t grown = c->capacity ? c->capacity : ARENA_MIN;
    while (grown < need) grown *= 2;
    c->arena = mem_resize(c->arena, grown);
    c->capacity = (uint32_t)grown;
}

/* Drops the bytes of values that were replaced, so that a chunk never holds more than twice what it needs. */
static void chunk_compact(struct instance_chunk *c) {
    uint32_t used = 0, live = 0;
    for (size_t i = 0; i < INSTANCES_CHUNK; i++) live += c->at[i].size;
    if (c->used < ARENA_MIN || c->used / 2 < live) return;
    uint8_t *arena = mem_alloc(live + 1);
    for (size_t i = 0; i < INSTANCES_CHUNK; i++) {
        struct decree *at = &c->at[i];
        if (at->size) memcpy(arena + used, c->arena + at->offset, at->size);
        at->offset = used;
        used += at->size;
    }
    free(c->arena);
    c->arena = arena;
    c->used = c->capacity = live;
}

void instances_put(struct instances *t, uint64_t number, struct bytes value) {
    struct instance_chunk *c = chunk_edit(t, number);
    struct decree *i = &c->at[(number - 1) % INSTANCES_CHUNK];
    if (i->size == value.size) {
        if (value.size) memmove(c->arena + i->offset, value.data, value.size);
        return;
    }
    bool replaces = i->size != 0;
    chunk_reserve(c, value.size);
    i->offset = c->used;
    i->size = value.size;
    if (value.size) memcpy(c->arena + i->offset, value.data, value.size);
    c->used += value.size;
    if (replaces) chunk_compact(c);
}

bool instances_decide(struct instances *t, uint64_t number, uint64_t ballot, struct bytes value) {
    struct decree *i = instances_edit(t, number);
    if (i->decided) return false;
    i->decided = ballot;
    instances_put(t, number, value);
    while (t->known < INSTANCES_MAX && instances_at(t, t->known + 1)->decided) t->known++;
    return true;
}

uint64_t instances_fingerprint(const struct instances *t) {
    uint64_t f = hash_fold(t->known, t->highest);
    for (size_t k = 0; k < t->count; k++) {
        const struct instance_chunk *c = t->chunks[k];
        for (size_t i = 0; c && i < INSTANCES_CHUNK; i++) {
            const struct decree *at = &c->at[i];
            if (!at->promised && !at->decided && !at->accepted) continue;
            f = hash_fold(hash_fold(f, k * INSTANCES_CHUNK + i), at->promised);
            f = hash_fold(hash_fold(f, at->accepted), at->decided);
            f = hash_bytes(at->size ? c->arena + at->offset : (const uint8_t *)"", at->size, f);
        }
    }
    return f;
}
