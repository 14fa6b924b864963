/* Placement on a circle: consistent hashing with virtual nodes (Karger and others, STOC 1997).
 *
 * A hash divided by its maximum is a position on the unit circle; here positions are 64-bit integers, the
 * numerators, so that comparing them is exact. A node stands at several points (virtual nodes). A key belongs
 * to
 *   clockwise  the first point at or after its position, around the circle (the default);
 *   nearest    the point at the least circular distance; of two equally near, the one ahead.
 *
 *        keys -> hash -> bucket (its first bits) -> a cell's bound -> owner
 *
 *   index   [0][ ][ ][3][ ] ...     bucket b holds the first cell whose bound is at or after b
 *                    |
 *   bounds  ...  [ ][b3][ ] ...     ascending; the cell of h is the first with bound >= h, wrapping to cell 0
 *   owners  ...  [ ][o3][ ] ...
 *
 * Both rules are one lookup: under `nearest` a cell's bound is the last position nearer to its point than to
 * the next one. The index has at least two buckets a cell, so that a lookup looks at one or two bounds.
 *
 * Invariants
 *  1. `points` is ordered by (position, name). Of several points at one position the first owns it, so that a
 *     placement depends on the set of nodes alone and never on the order in which they came.
 *  2. A node's points depend on its own name and weight alone, except in the ketama dialects with weights,
 *     where they depend on its share of all weight (their authors' rule: adding one moves a few more keys).
 *  3. A slot (the number of a node) stays the node's until it is removed; then it may be given to another.
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/option.h"
#include "base/status.h"

/* Whose points and key hash; by position in RING_DIALECTS. Node names of the ketamas carry their port. */
enum ring_dialect {
    RING_XXH3 = 0,              /* XXH3 of the name, seeded with the point's number; 160 points */
    RING_MD5_INDEX = 1,         /* MD5 of the name followed by the number; 100 points */
    RING_LIBMEMCACHED = 2,      /* weighted ketama as in libmemcached; 160 points on average */
    RING_LIBMEMCACHED_EVEN = 3, /* unweighted, with the MD5 hash; 100 points, one a digest */
    RING_LIBKETAMA = 4,         /* the original */
    RING_SPYMEMCACHED = 5,      /* the Java client's; 160 points, four a digest */
};
#define RING_DIALECTS "xxh3|md5-index|libmemcached|libmemcached-unweighted|libketama|spymemcached"

enum ring_rule { RING_CLOCKWISE = 0, RING_NEAREST = 1 };

enum {
    RING_NODES_MAX = 65536,
    RING_POINTS_MAX = 1 << 22, /* of all nodes: some 200 MiB */
    RING_NAME_MAX = 255,
    RING_REPLICAS_MAX = 64,
};
#define RING_NONE UINT32_MAX /* no node */

struct ring_options {
    int32_t dialect, rule, bug;
    int64_t vnodes; /* points of a node of weight 1; 0: the dialect's own number */
    int64_t bits;   /* precision of a position; fewer bits make collisions, which is what tests want */
};
extern const struct option_table ring_option_table;

struct ring_node {
    char *name; /* NULL: a free slot */
    uint32_t zone;
    double weight;
};

struct ring_point {
    uint64_t position;
    uint32_t node;
};

struct ring {
    struct ring_options options;
    struct ring_node *nodes; /* by slot */
    uint32_t node_count, slot_count;
    size_t node_capacity;
    uint32_t *by_name; /* slots in ascending order of name; node_count of them */
    size_t by_name_capacity;
    char **zones; /* names of zones, by number */
    uint32_t zone_count;
    size_t zone_capacity;
    struct ring_point *points; /* invariant 1 */
    size_t point_count, point_capacity;
    struct ring_point *winners; /* the points that own their position, ascending */
    uint64_t *bounds;           /* cell_count of them, and a sentinel */
    uint32_t *owners;           /* likewise; the sentinel is owners[0] */
    uint32_t *index;
    uint32_t cell_count;
    uint32_t shift;                      /* 64 less the bits of the index */
    uint32_t placed_nodes, placed_zones; /* that own a cell; a node without a zone is a zone of its own */
};

struct ring_member { /* one node to add */
    struct bytes name, zone;
    double weight;
};

qrt_status ring_init(struct ring *r, const struct ring_options *options, struct error *e);
void ring_free(struct ring *r);
void ring_clone(struct ring *to, const struct ring *from);
/* Adds all of them or, when one is refused, none. An empty zone means a zone of the node's own. */
qrt_status ring_add_many(struct ring *r, const struct ring_member *members, size_t count, struct error *e);
qrt_status ring_remove(struct ring *r, struct bytes name, struct error *e);
/* The slot of a name, or RING_NONE. */
uint32_t ring_find(const struct ring *r, struct bytes name);
/* Equal for rings that place every key alike, whatever the order of insertion. */
uint64_t ring_fingerprint(const struct ring *r);

/* The position of a key: text as the dialect hashes it; a number as its 8 bytes (xxh3) or its decimal text.
 * */
uint64_t ring_hash_text(const struct ring *r, struct bytes key);
uint64_t ring_hash_number(const struct ring *r, uint64_t key);

/* The cell of a position; the ring must have a node. */
static inline uint32_t ring_cell(const struct ring *r, uint64_t position) {
    uint32_t i = r->index[position >> r->shift];
    i += r->bounds[i] < position; /* without a branch: which of the first two it is, nobody can predict */
    while (__builtin_expect(r->bounds[i] < position, 0)) i++;
    return i;
}
static inline uint32_t ring_owner(const struct ring *r, uint64_t position) {
    return r->owners[ring_cell(r, position)];
}

qrt_status ring_lookup_numbers(const struct ring *r, const uint64_t *keys, size_t count, uint32_t *slots,
                               struct error *e);
/* Key i is the bytes from offsets[i] to offsets[i + 1] of text; count + 1 offsets. */
qrt_status ring_lookup_texts(const struct ring *r, const char *text, const int64_t *offsets, size_t count,
                             uint32_t *slots, struct error *e);

/* The first `count` distinct nodes on the way from a position, in distinct zones as long as there are any. */
qrt_status ring_replicas(const struct ring *r, uint64_t position, uint32_t count, uint32_t *slots, struct error *e);

/* A node's load is its share over its fair share. */
struct ring_balance {
    double sigma_over_mu; /* of the loads: standard deviation over mean */
    double least, most;   /* loads; 1 is fair */
};
/* Exact: from the cells' lengths, not from sampled keys. shares (by slot; 0 for a free one) may be NULL. */
qrt_status ring_measure(const struct ring *r, double *shares, struct ring_balance *balance, struct error *e);

struct ring_move {
    uint64_t first, last; /* positions, both inclusive */
    uint32_t from, to;    /* a slot of the ring before, a slot of the ring after */
};
/* The arcs whose owner differs by name, ascending; *moves belongs to the caller (free). */
qrt_status ring_moves(const struct ring *before, const struct ring *after, struct ring_move **moves, size_t *count,
                      struct error *e);

/* For ring.c: appends the points of one node. total_weight and live count are the ring's. */
void ring_append_points(struct ring *r, uint32_t slot, double total_weight);
/* How many points a node of this weight would have; more than RING_POINTS_MAX reads as RING_POINTS_MAX + 1.
 * */
size_t ring_points_of(const struct ring *r, double weight, double total_weight, uint32_t nodes);
/* Invariant 2's exception. */
bool ring_weights_relative(const struct ring *r);

#endif
