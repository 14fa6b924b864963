#include "base/blob.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

struct blob *blob_room(uint32_t size) {
    struct blob *b = mem_alloc(sizeof *b + size);
    __atomic_store_n(&b->references, 1, __ATOMIC_RELAXED);
    b->size = size;
    b->hash = 0;
    return b;
}

struct blob *blob_new(struct bytes content) {
    struct blob *b = blob_room(content.size);
    if (content.size) memcpy(b->data, content.data, content.size);
    b->hash = hash_bytes(b->data, b->size, 0);
    return b;
}

struct blob *blob_take(struct buffer *b) {
    struct blob *taken = (struct blob *)(void *)b->data;
    __atomic_store_n(&taken->references, 1, __ATOMIC_RELAXED);
    taken->size = (uint32_t)(b->size - sizeof *taken);
    taken->hash = hash_bytes(taken->data, taken->size, 0);
    *b = (struct buffer){0};
    return taken;
}

/* Released, so that what was written before stands before what another thread's blob_unref does, whatever carries the reference
 * there: of a library that is not built with ThreadSanitizer it sees nothing. */
struct blob *blob_ref(struct blob *b) {
    if (b) __atomic_add_fetch(&b->references, 1, __ATOMIC_RELEASE);
    return b;
}

void blob_unref(struct blob **b) {
    if (*b && __atomic_sub_fetch(&(*b)->references, 1, __ATOMIC_ACQ_REL) == 0) free(*b);
    *b = NULL;
}
