/* A replicated log in memory: copy-on-write segments shared by reference, so that a clone costs one pointer a
 * segment and the log's length costs a step nothing.
 *
 *      compacted away            segments[0]           segments[1]              segments[count-1]
 *   1 ............ base | base+1 ............ | 256 entries, full | ... | up to 256, the only one written |
 *
 *   segment:  entries[i] = {term, prefix hash, token, end}     arena = encoded entries, one behind the other
 *             entry i lies in arena[end(i-1) - start, end(i) - start)
 *
 * `end` counts the encoded bytes since the log began, so that the size of any range is one subtraction. All
 * segments but the last hold exactly LOG_SEGMENT entries, so that an index finds its place by division. An
 * entry below or at base may still lie in segments[0]; it is no longer part of the log.
 *
 * A segment with more than one reference is copied before it is written. */
#ifndef PROTOCOL_LOG_H
#define PROTOCOL_LOG_H

#include "protocol/entries.h"

#define LOG_SEGMENT 256u

struct log_slot {
    uint64_t term, hash, token, end;
};

struct log_segment {
    uint32_t references, count;
    uint64_t first; /* index of slots[0] */
    uint64_t start; /* encoded bytes before it */
    uint8_t *arena;
    size_t capacity;
    struct log_slot slots[LOG_SEGMENT];
};

struct log {
    struct log_segment **segments;
    size_t count, capacity;
    uint64_t base; /* compacted up to here; 0 when nothing is */
    uint64_t base_term, base_hash, base_end;
    uint64_t last;                           /* base when the log holds no entry */
    uint64_t last_term, last_hash, last_end; /* of the last entry, or of the base */
};

static inline uint64_t log_first(const struct log *l) {
    return l->base + 1;
}
static inline bool log_has(const struct log *l, uint64_t index) {
    return index > l->base && index <= l->last;
}
static inline struct log_segment *log_segment_of(const struct log *l, uint64_t index) {
    return l->segments[(index - l->segments[0]->first) / LOG_SEGMENT];
}
static inline const struct log_slot *log_slot_of(const struct log *l, uint64_t index) {
    const struct log_segment *s = log_segment_of(l, index);
    return &s->slots[index - s->first];
}
/* True when the term at index is known: in the log, or just below it. */
static inline bool log_knows(const struct log *l, uint64_t index) {
    return index >= l->base && index <= l->last;
}
/* Term and prefix hash at an index that log_knows. */
static inline uint64_t log_term(const struct log *l, uint64_t index) {
    if (index == l->last) return l->last_term;
    return index == l->base ? l->base_term : log_slot_of(l, index)->term;
}
static inline uint64_t log_hash(const struct log *l, uint64_t index) {
    if (index == l->last) return l->last_hash;
    return index == l->base ? l->base_hash : log_slot_of(l, index)->hash;
}
static inline uint64_t log_end(const struct log *l, uint64_t index) {
    if (index == l->last) return l->last_end;
    return index == l->base ? l->base_end : log_slot_of(l, index)->end;
}
/* Encoded bytes of entries (after, to]; both must be known. */
static inline uint64_t log_bytes(const struct log *l, uint64_t after, uint64_t to) {
    return log_end(l, to) - log_end(l, after);
}

void log_free(struct log *l); /* a zeroed log is an empty one */
void log_clone(struct log *to, const struct log *from);
/* Throws everything away: the log now begins behind `index`. */
void log_reset(struct log *l, uint64_t index, uint64_t term, uint64_t hash);
/* Adds one encoded entry behind the last. */
void log_append(struct log *l, struct bytes raw, uint64_t token);
/* Removes the entries from `from` on; from > base. */
void log_truncate(struct log *l, uint64_t from);
/* Forgets the entries up to `to`, which the log must know. Segments that hold nothing else are freed. */
void log_compact(struct log *l, uint64_t to);
/* False when index is not in the log. entry->data points into the log and lives until it changes. */
bool log_entry(const struct log *l, uint64_t index, struct entry *entry);
/* The last index of a run of entries that begins at `from`, takes at most `limit` encoded bytes, and at least
 * one entry. */
uint64_t log_run(const struct log *l, uint64_t from, uint64_t limit);
/* The encoded entries from..to: in place when they share a segment, else copied into scratch. */
struct bytes log_slice(const struct log *l, uint64_t from, uint64_t to, struct buffer *scratch);
/* The largest index up to `index` whose term is at most `term` (terms never fall along a log); base when
 * there is none, whatever base's term is. */
uint64_t log_find_term(const struct log *l, uint64_t index, uint64_t term);

#endif
