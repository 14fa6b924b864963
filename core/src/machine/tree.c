/* An ordered copy-on-write map: AVL trees (Adelson-Velsky and Landis 1962) with path copying. See tree.h.
 *
 * Invariants
 *  1. A node's height is one more than the greater of its children's, which differ by at most one.
 *  2. Keys ascend in order; a node's prefix is the big-endian number of its first eight bytes, zero-filled.
 *     Where two prefixes differ they order as the keys do; where they agree the keys decide.
 *  3. A node that is changed is referred to once, and so is every node on the way to it (node_own).
 *  4. tree.hash is the sum of the pairs' hashes, tree.count their number. */
#include "machine/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

struct pair {
    uint32_t references;
    uint32_t key_size, value_size;
    uint32_t capacity; /* room for the value */
    uint64_t hash;     /* of key and value */
    uint8_t data[];    /* key, then value */
};

struct tree_node {
    struct tree_node *left, *right;
    struct pair *pair;
    uint64_t prefix;
    uint32_t references;
    uint32_t height;
};

/* ---- pairs ---- */

static inline bool reference_is_sole(const uint32_t *references) {
    return __atomic_load_n(references, __ATOMIC_ACQUIRE) == 1;
}

static inline void reference_add(uint32_t *references) {
    __atomic_add_fetch(references, 1, __ATOMIC_RELAXED);
}

/* True when that was the last one. */
static inline bool reference_drop(uint32_t *references) {
    return reference_is_sole(references) || __atomic_sub_fetch(references, 1, __ATOMIC_ACQ_REL) == 0;
}

static inline struct bytes pair_key(const struct pair *p) {
    return (struct bytes){p->data, p->key_size};
}

static inline struct bytes pair_value(const struct pair *p) {
    return (struct bytes){p->data + p->key_size, p->value_size};
}

static inline void pair_hash(struct pair *p) {
    p->hash = hash_bytes(p->data, (size_t)p->key_size + p->value_size, p->key_size);
}

/* Room beyond the value lets it be overwritten and appended to without another allocation. */
static struct pair *pair_new(struct bytes key, struct bytes value, uint32_t capacity) {
    struct pair *p = mem_alloc(sizeof *p + key.size + capacity);
    p->references = 1;
    p->key_size = key.size;
    p->value_size = value.size;
    p->capacity = capacity;
    if (key.size) memcpy(p->data, key.data, key.size);
    if (value.size) memcpy(p->data + key.size, value.data, value.size);
    return p;
}

static void pair_drop(struct pair *p) {
    if (reference_drop(&p->references)) free(p);
}

static uint32_t capacity_for(uint32_t size) {
    return (size + 15) & ~15u;
}

/* ---- nodes ---- */

static inline uint64_t key_prefix(struct bytes key) {
    uint64_t prefix = 0;
    if (key.size >= 8)
        memcpy(&prefix, key.data, 8);
    else if (key.size)
        memcpy(&prefix, key.data, key.size);
    return __builtin_bswap64(prefix); /* bytes.h has made sure of a little-endian machine */
}

static inline int node_order(const struct tree_node *n, struct bytes key, uint64_t prefix) {
    if (prefix != n->prefix) return prefix < n->prefix ? -1 : 1;
    return bytes_compare(key, pair_key(n->pair));
}

static struct tree_node *node_new(struct pair *pair, uint64_t prefix) {
    struct tree_node *n = mem_alloc(sizeof *n);
    *n = (struct tree_node){.pair = pair, .prefix = prefix, .references = 1, .height = 1};
    return n;
}

static void node_drop(struct tree_node *n) {
    while (n && reference_drop(&n->references)) {
        struct tree_node *right = n->right;
        node_drop(n->left);
        pair_drop(n->pair);
        free(n);
        n = right;
    }
}

/* A copy of a shared node shares its children and its pair. */
static struct tree_node *node_copy(struct tree_node *n) {
    struct tree_node *copy = mem_alloc(sizeof *copy);
    *copy = *n;
    copy->references = 1;
    reference_add(&copy->pair->references);
    if (copy->left) reference_add(&copy->left->references);
    if (copy->right) reference_add(&copy->right->references);
    node_drop(n);
    return copy;
}

/* Makes the node in this place the tree's own; the place itself must be. */
static inline struct tree_node *node_own(struct tree_node **place) {
    if (!reference_is_sole(&(*place)->references)) *place = node_copy(*place);
    return *place;
}

/* ---- balance ---- */

static inline uint32_t node_height(const struct tree_node *n) {
    return n ? n->height : 0;
}

static inline void node_measure(struct tree_node *n) {
    uint32_t left = node_height(n->left), right = node_height(n->right);
    n->height = 1 + (left > right ? left : right);
}

/*      n            l
 *     / \          / \
 *    l   c   ->   a   n       and its mirror image
 *   / \              / \
 *  a   b            b   c   */
static void rotate_right(struct tree_node **place) {
    struct tree_node *n = *place, *l = node_own(&n->left);
    n->left = l->right;
    l->right = n;
    node_measure(n);
    node_measure(l);
    *place = l;
}

static void rotate_left(struct tree_node **place) {
    struct tree_node *n = *place, *r = node_own(&n->right);
    n->right = r->left;
    r->left = n;
    node_measure(n);
    node_measure(r);
    *place = r;
}

static void node_balance(struct tree_node **place) {
    struct tree_node *n = *place;
    uint32_t left = node_height(n->left), right = node_height(n->right);
    if (left > right + 1) {
        if (node_height(n->left->left) < node_height(n->left->right)) {
            node_own(&n->left);
            rotate_left(&n->left);
        }
        rotate_right(place);
    } else if (right > left + 1) {
        if (node_height(n->right->right) < node_height(n->right->left)) {
            node_own(&n->right);
            rotate_right(&n->right);
        }
        rotate_left(place);
    } else {
        node_measure(n);
    }
}

/* ---- ways down ---- */

/* The places from the root on; all nodes before the last place are the tree's own. */
struct path {
    struct tree_node **places[TREE_HEIGHT_MAX];
    int depth;
};

/* Goes down to the place where the key is or would be. */
static struct tree_node **path_find(struct tree *t, struct bytes key, uint64_t prefix, struct path *path) {
    struct tree_node **place = &t->root;
    path->depth = 0;
    while (*place) {
        struct tree_node *n = node_own(place);
        int order = node_order(n, key, prefix);
        if (order == 0) break;
        path->places[path->depth++] = place;
        place = order < 0 ? &n->left : &n->right;
    }
    return place;
}

/* A change of height ends where a subtree is as high as before. */
static void path_balance(struct path *path) {
    while (path->depth > 0) {
        struct tree_node **place = path->places[--path->depth];
        uint32_t before = (*place)->height;
        node_balance(place);
        if ((*place)->height == before) break;
    }
}

static const struct tree_node *node_find(const struct tree *t, struct bytes key) {
    uint64_t prefix = key_prefix(key);
    const struct tree_node *n = t->root;
    while (n) {
        int order = node_order(n, key, prefix);
        if (order == 0) break;
        n = order < 0 ? n->left : n->right;
    }
    return n;
}

/* ---- the interface ---- */

void tree_free(struct tree *t) {
    node_drop(t->root);
    *t = (struct tree){0};
}

void tree_clone(struct tree *to, const struct tree *from) {
    *to = *from;
    if (to->root) reference_add(&to->root->references);
}

bool tree_get(const struct tree *t, struct bytes key, struct bytes *value) {
    const struct tree_node *n = node_find(t, key);
    if (n) *value = pair_value(n->pair);
    return n;
}

static void tree_insert(struct tree *t, struct tree_node **place, struct path *path, struct pair *pair,
                        uint64_t prefix) {
    pair_hash(pair);
    *place = node_new(pair, prefix);
    t->count++;
    t->hash += pair->hash;
    path_balance(path);
}

void tree_put(struct tree *t, struct bytes key, struct bytes value) {
    uint64_t prefix = key_prefix(key);
    struct path path;
    struct tree_node **place = path_find(t, key, prefix, &path);
    if (!*place) {
        tree_insert(t, place, &path, pair_new(key, value, capacity_for(value.size)), prefix);
        return;
    }
    struct tree_node *n = *place;
    struct pair *old = n->pair;
    t->hash -= old->hash;
    if (reference_is_sole(&old->references) && value.size <= old->capacity && old->capacity / 4 <= value.size + 16) {
        if (value.size) memcpy(old->data + old->key_size, value.data, value.size);
        old->value_size = value.size;
    } else { /* shared, too small, or far too large */
        n->pair = pair_new(key, value, capacity_for(value.size));
        pair_drop(old);
    }
    pair_hash(n->pair);
    t->hash += n->pair->hash;
}

uint32_t tree_append(struct tree *t, struct bytes key, struct bytes tail) {
    uint64_t prefix = key_prefix(key);
    struct path path;
    struct tree_node **place = path_find(t, key, prefix, &path);
    if (!*place) {
        tree_insert(t, place, &path, pair_new(key, tail, capacity_for(tail.size)), prefix);
        return tail.size;
    }
    struct tree_node *n = *place;
    struct pair *p = n->pair;
    uint32_t size = p->value_size + tail.size;
    CHECK(size >= tail.size);
    t->hash -= p->hash;
    if (!reference_is_sole(&p->references) || size > p->capacity) {
        n->pair = pair_new(key, pair_value(p), capacity_for(size + size / 2));
        pair_drop(p);
        p = n->pair;
    }
    if (tail.size) memcpy(p->data + p->key_size + p->value_size, tail.data, tail.size);
    p->value_size = size;
    pair_hash(p);
    t->hash += p->hash;
    return size;
}

/* Puts the next greater pair into a node with two children and returns the place where that one stood. */
static struct tree_node **successor_move(struct tree_node **place, struct path *path) {
    struct tree_node *n = *place;
    path->places[path->depth++] = place;
    struct tree_node **next = &n->right;
    while (node_own(next)->left) {
        path->places[path->depth++] = next;
        next = &(*next)->left;
    }
    struct pair *pair = n->pair;
    n->pair = (*next)->pair;
    n->prefix = (*next)->prefix;
    (*next)->pair = pair; /* dropped with the node */
    return next;
}

bool tree_delete(struct tree *t, struct bytes key) {
    if (!node_find(t, key)) return false; /* before anything is copied */
    struct path path;
    struct tree_node **place = path_find(t, key, key_prefix(key), &path);
    t->hash -= (*place)->pair->hash;
    t->count--;
    if ((*place)->left && (*place)->right) place = successor_move(place, &path);
    struct tree_node *n = *place;
    *place = n->left ? n->left : n->right;
    n->left = n->right = NULL;
    node_drop(n);
    path_balance(&path);
    return true;
}

uint64_t tree_fingerprint(const struct tree *t) {
    return hash_fold(t->hash, t->count);
}

/* ---- in order ---- */

void tree_seek(const struct tree *t, struct bytes lower, struct tree_cursor *cursor) {
    uint64_t prefix = key_prefix(lower);
    const struct tree_node *n = t->root;
    cursor->depth = 0;
    while (n) {
        bool before = node_order(n, lower, prefix) > 0; /* the node stands before the bound */
        if (!before) cursor->stack[cursor->depth++] = n;
        n = before ? n->right : n->left;
    }
}

/* The stack holds the nodes whose turn will come, the next one on top. */
bool tree_next(struct tree_cursor *cursor, struct bytes *key, struct bytes *value) {
    if (cursor->depth == 0) return false;
    const struct tree_node *n = cursor->stack[--cursor->depth];
    *key = pair_key(n->pair);
    *value = pair_value(n->pair);
    for (n = n->right; n; n = n->left) cursor->stack[cursor->depth++] = n;
    return true;
}

/* ---- bytes ---- */

static void write_string(struct buffer *out, struct bytes b) {
    uint8_t *at = buffer_extend(out, 4 + (size_t)b.size);
    memcpy(at, &b.size, 4);
    if (b.size) memcpy(at + 4, b.data, b.size);
}

void tree_write(const struct tree *t, struct buffer *out) {
    struct tree_cursor cursor;
    struct bytes key, value;
    buffer_append(out, &t->count, sizeof t->count);
    tree_seek(t, (struct bytes){0}, &cursor);
    while (tree_next(&cursor, &key, &value)) {
        write_string(out, key);
        write_string(out, value);
    }
    buffer_append(out, &t->hash, sizeof t->hash);
}

/* Builds a balanced tree of `count` pairs that the reader gives in ascending order: left half, node, right
 * half. The depth of the recursion is the tree's height. */
static struct tree_node *node_build(struct tree *t, struct reader *in, uint64_t count, const uint32_t max[2],
                                    struct bytes *last) {
    if (count == 0 || in->failed) return NULL;
    struct tree_node *left = node_build(t, in, count / 2, max, last);
    struct bytes key = read_bytes(in), value = read_bytes(in);
    bool sorted = !last->data || bytes_compare(*last, key) < 0;
    if (in->failed || !sorted || key.size > max[0] || value.size > max[1]) {
        in->failed = true;
        node_drop(left);
        return NULL;
    }
    *last = key;
    struct tree_node *n = node_new(pair_new(key, value, capacity_for(value.size)), key_prefix(key));
    pair_hash(n->pair);
    t->hash += n->pair->hash;
    t->count++;
    n->left = left;
    n->right = node_build(t, in, count - 1 - count / 2, max, last);
    node_measure(n);
    return n;
}

bool tree_read(struct tree *t, struct reader *in, uint32_t key_max, uint32_t value_max) {
    CHECK(!t->root);
    uint64_t count = read_u64(in);
    if (count > reader_left(in) / 8) in->failed = true; /* a pair takes eight bytes at least */
    const uint32_t max[2] = {key_max, value_max};
    struct bytes last = {0};
    t->root = node_build(t, in, count, max, &last);
    uint64_t hash = read_u64(in);
    if (!in->failed && t->count == count && t->hash == hash) return true;
    in->failed = true;
    tree_free(t);
    return false;
}
