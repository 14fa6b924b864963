/* A blob: immutable bytes shared by reference (snapshots, checkpoints), so that a cluster's clone and several
 * slow followers cost no copy. References are atomic: clones may live on several threads. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/bytes.h"
#include "base/memory.h"

struct blob {
    uint32_t references;
    uint32_t size;
    uint64_t hash; /* of the bytes, seed 0 */
    uint8_t data[];
};

struct blob *blob_new(struct bytes content); /* copies; one reference, the caller's */
/* Of so many bytes, still to be written, and with no hash: for who alone has the reference to it. */
struct blob *blob_room(uint32_t size);
/* Without a copy: of what was appended behind a first buffer_extend(b, sizeof(struct blob)). Takes the buffer, which is then empty. */
struct blob *blob_take(struct buffer *b);
struct blob *blob_ref(struct blob *b); /* NULL is allowed */
void blob_unref(struct blob **b);      /* NULL inside is allowed; nulls the pointer */

static inline struct bytes blob_bytes(const struct blob *b) {
    return b ? (struct bytes){b->data, b->size} : (struct bytes){0};
}

#endif
