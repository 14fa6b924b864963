/* Numbered instances of a consensus protocol: what an acceptor remembers of each, and what was decided.
 *
 *   chunks  [ 1..64 ]  [ 65..128 ]   NULL   [ 193..256 ] ...     each with the bytes of its values behind it
 *                                                ^ an instance that was heard of before those between
 *
 * Nothing is forgotten: an instance costs some 40 bytes and its value. Chunks are shared copy-on-write between clones. */
#ifndef PROTOCOL_INSTANCES_H
#define PROTOCOL_INSTANCES_H

#include "base/bytes.h"
#include "base/memory.h"

#define INSTANCES_CHUNK 64u
#define INSTANCES_MAX (UINT64_C(1) << 24) /* the highest number; bounds what a peer can make us reserve */

struct decree {
    uint64_t promised; /* the highest ballot promised; 0 none */
    uint64_t accepted; /* the ballot in which the value was accepted; 0 none */
    uint64_t decided;  /* the ballot in which it was chosen; 0: not known */
    uint32_t offset, size;
};

struct instance_chunk;

struct instances {
    struct instance_chunk **chunks; /* NULL: nothing is known of those */
    size_t count, capacity;
    uint64_t known;   /* the decisions of all instances up to here are known */
    uint64_t highest; /* the highest instance that was touched */
};

void instances_free(struct instances *t);
void instances_clone(struct instances *to, const struct instances *from);
uint64_t instances_fingerprint(const struct instances *t);
static inline bool instances_fits(uint64_t number) {
    return number >= 1 && number <= INSTANCES_MAX;
}
/* A zeroed one where nothing is known. */
const struct decree *instances_at(const struct instances *t, uint64_t number);
struct bytes instances_value(const struct instances *t, uint64_t number);
/* For writing, ours alone; valid until the next call. */
struct decree *instances_edit(struct instances *t, uint64_t number);
void instances_put(struct instances *t, uint64_t number, struct bytes value);
/* False, and nothing changes, when it was decided before. */
bool instances_decide(struct instances *t, uint64_t number, uint64_t ballot, struct bytes value);

#endif
