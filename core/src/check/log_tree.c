/* The tree of all logs; see the header for its shape.
 *
 * Invariants:
 *   1. The records of one index have different hashes.
 *   2. A record's parent, once known, never changes; nor does its term.
 *   3. Index 0 has one record, the empty log, which counts as committed. */
#include "check/log_tree.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"

/* Beyond this an index is nonsense, and a table up to it would not fit into any memory. */
#define INDEX_MAX ((uint64_t)1 << 40)

struct log_chunk {
    uint32_t references; /* atomic: clones may live on several threads */
    struct log_record records[LOG_TREE_CHUNK];
};

void log_tree_init(struct log_tree *t, struct log_budget *budget) {
    *t = (struct log_tree){.budget = budget};
    t->others = mem_grow(NULL, &t->other_capacity, 1, sizeof *t->others);
    t->other_count = 1;
    t->chunks = mem_grow(NULL, &t->chunk_capacity, 1, sizeof(struct log_chunk *));
    t->chunks[0] = mem_zero(1, sizeof(struct log_chunk));
    t->chunks[0]->references = 1;
    t->chunks[0]->records[0] = (struct log_record){
        .parent = LOG_TREE_UNKNOWN, .decided = 1, .present = true, .applied = true, .term_known = true};
    t->chunk_count = 1;
    budget->taken += sizeof(struct log_chunk);
}

static void chunk_release(struct log_chunk *chunk) {
    if (chunk && __atomic_sub_fetch(&chunk->references, 1, __ATOMIC_ACQ_REL) == 0) free(chunk);
}

void log_tree_free(struct log_tree *t) {
    for (size_t i = 0; i < t->chunk_count; i++) chunk_release(t->chunks[i]);
    free(t->chunks);
    free(t->others);
    *t = (struct log_tree){0};
}

void log_tree_clone(struct log_tree *to, const struct log_tree *from, struct log_budget *budget) {
    *to = *from;
    to->budget = budget;
    to->chunks = mem_copy(from->chunks, from->chunk_count * sizeof(struct log_chunk *));
    to->chunk_capacity = from->chunk_count;
    to->others = mem_copy(from->others, from->other_count * sizeof *from->others);
    to->other_capacity = from->other_count;
    for (size_t i = 0; i < from->chunk_count; i++)
        if (from->chunks[i]) __atomic_add_fetch(&from->chunks[i]->references, 1, __ATOMIC_RELAXED);
}

const struct log_record *log_tree_at(const struct log_tree *t, struct log_place place) {
    if (place.record) return &t->others[place.record];
    return &t->chunks[place.index / LOG_TREE_CHUNK]->records[place.index % LOG_TREE_CHUNK];
}

struct log_record *log_tree_edit(struct log_tree *t, struct log_place place) {
    if (place.record) return &t->others[place.record];
    struct log_chunk **chunk = &t->chunks[place.index / LOG_TREE_CHUNK];
    if (__builtin_expect(__atomic_load_n(&(*chunk)->references, __ATOMIC_ACQUIRE) > 1, 0)) {
        struct log_chunk *mine = mem_copy(*chunk, sizeof **chunk);
        mine->references = 1;
        chunk_release(*chunk);
        *chunk = mine;
    }
    return &(*chunk)->records[place.index % LOG_TREE_CHUNK];
}

bool log_tree_first(const struct log_tree *t, uint64_t index, struct log_place *place) {
    if (index / LOG_TREE_CHUNK >= t->chunk_count || !t->chunks[index / LOG_TREE_CHUNK]) return false;
    *place = (struct log_place){index, 0};
    return log_tree_at(t, *place)->present;
}

bool log_tree_next(const struct log_tree *t, struct log_place *place) {
    place->record = log_tree_at(t, *place)->next;
    return place->record != 0;
}

bool log_tree_find(const struct log_tree *t, uint64_t index, uint64_t hash, struct log_place *place) {
    if (index == 0) {
        *place = (struct log_place){0};
        return true;
    }
    if (!log_tree_first(t, index, place)) return false;
    do {
        if (log_tree_at(t, *place)->hash == hash) return true;
    } while (log_tree_next(t, place));
    return false;
}

static bool budget_take(struct log_budget *budget, uint64_t bytes) {
    if (budget->taken + bytes > budget->limit) return false;
    budget->taken += bytes;
    return true;
}

/* Makes sure that the index has a chunk. */
static bool tree_reach(struct log_tree *t, uint64_t index) {
    if (index >= INDEX_MAX) return false;
    size_t chunk = (size_t)(index / LOG_TREE_CHUNK);
    if (chunk < t->chunk_count && t->chunks[chunk]) return true;
    size_t more = chunk < t->chunk_count ? 0 : chunk + 1 - t->chunk_count;
    if (!budget_take(t->budget, sizeof(struct log_chunk) + more * sizeof(struct log_chunk *))) return false;
    t->chunks = mem_grow(t->chunks, &t->chunk_capacity, chunk + 1, sizeof(struct log_chunk *));
    while (t->chunk_count <= chunk) t->chunks[t->chunk_count++] = NULL;
    t->chunks[chunk] = mem_zero(1, sizeof(struct log_chunk));
    t->chunks[chunk]->references = 1;
    return true;
}

/* Room for a second record of an index that has one; linked behind the first. */
static bool tree_branch(struct log_tree *t, uint64_t index, struct log_place *place) {
    if (t->other_count >= LOG_TREE_UNKNOWN || !budget_take(t->budget, sizeof *t->others)) return false;
    t->others = mem_grow(t->others, &t->other_capacity, t->other_count + 1, sizeof *t->others);
    *place = (struct log_place){index, (uint32_t)t->other_count++};
    struct log_record *first = log_tree_edit(t, (struct log_place){index, 0});
    t->others[place->record] = (struct log_record){.next = first->next};
    first->next = place->record;
    return true;
}

bool log_tree_add(struct log_tree *t, uint64_t index, uint64_t hash, uint32_t parent, struct log_place *place) {
    CHECK(index > 0);
    if (!tree_reach(t, index)) return false;
    *place = (struct log_place){index, 0};
    if (log_tree_at(t, *place)->present && !tree_branch(t, index, place)) return false;
    struct log_record *r = log_tree_edit(t, *place);
    r->hash = hash;
    r->parent = parent;
    r->present = true;
    return true;
}

bool log_tree_decided(const struct log_tree *t, uint64_t index, struct log_place *place) {
    if (!log_tree_first(t, index, place)) return false;
    do {
        if (log_tree_at(t, *place)->decided) return true;
    } while (log_tree_next(t, place));
    return false;
}

bool log_tree_ancestor(const struct log_tree *t, struct log_place tip, uint64_t index, struct log_place *place) {
    if (index > tip.index || tip.record == LOG_TREE_UNKNOWN) return false;
    bool shortcut = true; /* below a committed entry all is committed: no need to walk */
    while (tip.index > index) {
        const struct log_record *r = log_tree_at(t, tip);
        if (shortcut && r->decided) {
            if (log_tree_decided(t, index, place)) return true;
            shortcut = false;
        }
        if (r->parent == LOG_TREE_UNKNOWN) return false;
        tip = (struct log_place){tip.index - 1, r->parent};
    }
    *place = tip;
    return true;
}

enum log_holds log_tree_holds(const struct log_tree *t, struct log_place tip, struct log_place place) {
    if (tip.index < place.index) return LOG_HOLDS_NO;
    struct log_place found;
    if (!log_tree_ancestor(t, tip, place.index, &found)) return LOG_HOLDS_UNKNOWN;
    return found.record == place.record ? LOG_HOLDS_YES : LOG_HOLDS_NO;
}

bool log_tree_meet(const struct log_tree *t, struct log_place a, struct log_place b, struct log_place *common) {
    uint64_t index = a.index < b.index ? a.index : b.index;
    if (!log_tree_ancestor(t, a, index, &a) || !log_tree_ancestor(t, b, index, &b)) return false;
    while (a.record != b.record) {
        uint32_t before_a = log_tree_at(t, a)->parent, before_b = log_tree_at(t, b)->parent;
        if (before_a == LOG_TREE_UNKNOWN || before_b == LOG_TREE_UNKNOWN) return false;
        a = (struct log_place){a.index - 1, before_a};
        b = (struct log_place){b.index - 1, before_b};
    }
    *common = a;
    return true;
}
