/* An ordered map from bytes to bytes with copy-on-write nodes: a clone costs one reference.
 *
 *        a          b (a clone)       An AVL tree. What is referred to once is changed in place; what two
 *        |          |                 trees share is copied on the way down, so that a change after a clone
 *        v          v                 copies one path of at most 1.44 log2 n nodes. The pair (key and value)
 *      [m|h2]     [m|h2]              is an object of its own beside the node: copying a path copies no
 *       /  \       /  \               values.
 *   [c|h1]  \     /   [p|h1]'
 *            [p|h1]                   A node holds the first eight bytes of its key as a number, so that
 *                                     most comparisons touch no second cache line.
 *
 * References are atomic: clones may live on several threads, one tree is used by one thread at a time.
 * The fingerprint is the sum of a hash of every pair: kept up to date by each change, whatever the order. */
#ifndef MACHINE_TREE_H
#define MACHINE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

#define TREE_HEIGHT_MAX 64 /* 1.44 log2 of more nodes than there is memory */

struct tree_node;

struct tree { /* zero-initialise, then use; tree_free when done */
    struct tree_node *root;
    uint64_t count;
    uint64_t hash;
};

void tree_free(struct tree *t);
void tree_clone(struct tree *to, const struct tree *from); /* O(1) */
/* The value points into the tree until its next change. */
bool tree_get(const struct tree *t, struct bytes key, struct bytes *value);
/* Neither key nor value may point into the tree. */
void tree_put(struct tree *t, struct bytes key, struct bytes value);
/* Appends to what is there, or puts; the value's new size. */
uint32_t tree_append(struct tree *t, struct bytes key, struct bytes tail);
bool tree_delete(struct tree *t, struct bytes key); /* false: it was not there */
uint64_t tree_fingerprint(const struct tree *t);    /* O(1) */

/* In ascending order of keys; invalid after a change of the tree. */
struct tree_cursor {
    const struct tree_node *stack[TREE_HEIGHT_MAX];
    int depth;
};
void tree_seek(const struct tree *t, struct bytes lower, struct tree_cursor *cursor); /* the first key >= lower */
bool tree_next(struct tree_cursor *cursor, struct bytes *key, struct bytes *value);

/* u64 count, then the sorted pairs as blobs, then the u64 fingerprint. */
void tree_write(const struct tree *t, struct buffer *out);
/* Reads what tree_write wrote into an empty tree; false, and the tree stays empty, when the bytes are
 * anything else, hold a key or value over its limit, or do not add up to the fingerprint. */
bool tree_read(struct tree *t, struct reader *in, uint32_t key_max, uint32_t value_max);

#endif
