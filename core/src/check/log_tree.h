/* The tree of all logs that a run has ever seen. A prefix hash stands for an entry and everything before it,
 * so (index, hash) names one record, whose parent is the record before it; the log of a node is nothing but
 * the place of its last entry, and so is what the cluster has committed:
 *
 *     index    1      2      3      4
 *            [a]<---[b]<---[c]<---[d]     n1, n2        committed: b
 *                     ^----[x]            n3
 *
 * Truncating, overwriting, losing an unsynced tail and its reappearance after a crash only move a place.
 * Records are never removed, so an entry that one node lost is still known when another brings it back.
 *
 * A record may be an orphan (its parent and term unknown) when an entry is first heard of by its hash alone;
 * it is completed as soon as an append tells more. What depends on something unknown is answered as unknown.
 * */
#ifndef CHECK_LOG_TREE_H
#define CHECK_LOG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_TREE_CHUNK 512
#define LOG_TREE_UNKNOWN UINT32_MAX /* for a record: which one is not known */

struct log_record {
    uint64_t hash, term, reply; /* reply: hash of what the machine answered, once applied */
    uint32_t parent;            /* which record of the index before, or LOG_TREE_UNKNOWN */
    uint32_t next;              /* another record of the same index; 0: none */
    uint32_t decided;           /* number of the decision that committed it; 0: not committed */
    bool present, applied, term_known;
};

/* An entry: its index, and which of the index's records. Place {0, 0} is the empty log. */
struct log_place {
    uint64_t index;
    uint32_t record; /* 0: the first of its index, in a chunk; LOG_TREE_UNKNOWN; else a position in `others` */
};

/* Memory for the trees of several logs together. */
struct log_budget {
    uint64_t taken, limit; /* bytes */
};

struct log_chunk;

struct log_tree {
    struct log_chunk **chunks; /* LOG_TREE_CHUNK indices each; shared copy-on-write between clones */
    size_t chunk_count, chunk_capacity;
    struct log_record *others; /* second and further records of an index; [0] is not used */
    size_t other_count, other_capacity;
    struct log_budget *budget; /* borrowed */
};

enum log_holds { LOG_HOLDS_NO = 0, LOG_HOLDS_YES = 1, LOG_HOLDS_UNKNOWN = 2 };

void log_tree_init(struct log_tree *t, struct log_budget *budget);
void log_tree_free(struct log_tree *t);
void log_tree_clone(struct log_tree *to, const struct log_tree *from, struct log_budget *budget);
/* False when no record of that index has that hash. */
bool log_tree_find(const struct log_tree *t, uint64_t index, uint64_t hash, struct log_place *place);
/* Adds a record that log_tree_find does not find; its parent is a record of index - 1. False when the budget
 * is spent; then nothing has changed. */
bool log_tree_add(struct log_tree *t, uint64_t index, uint64_t hash, uint32_t parent, struct log_place *place);
const struct log_record *log_tree_at(const struct log_tree *t, struct log_place place);
struct log_record *log_tree_edit(struct log_tree *t, struct log_place place); /* for writing: unshares its chunk */
/* The first record of an index, and its next; false when there is none. */
bool log_tree_first(const struct log_tree *t, uint64_t index, struct log_place *place);
bool log_tree_next(const struct log_tree *t, struct log_place *place);
/* The record at `index` of the log that ends in `tip`; false when it is unknown or beyond the tip. Walks only
 * over what is not committed. */
bool log_tree_ancestor(const struct log_tree *t, struct log_place tip, uint64_t index, struct log_place *place);
/* Whether the log that ends in `tip` holds the entry at `place`. */
enum log_holds log_tree_holds(const struct log_tree *t, struct log_place tip, struct log_place place);
/* The last entry that two logs have in common; false when that is unknown. */
bool log_tree_meet(const struct log_tree *t, struct log_place a, struct log_place b, struct log_place *common);
/* The committed record of an index; false when none is marked. */
bool log_tree_decided(const struct log_tree *t, uint64_t index, struct log_place *place);

#endif
