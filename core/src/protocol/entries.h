/* Entries as bytes, the same on the wire, on disk and in the log's memory:
 *
 *   0      8      9         17         25      29
 *   +------+------+---------+----------+-------+------+
 *   | term | kind | session | sequence | size  | data |      little-endian; the index is implied by the place
 *   +------+------+---------+----------+-------+------+
 *
 * so that an entry is encoded once, where it is born, and copied from then on. */
#ifndef PROTOCOL_ENTRIES_H
#define PROTOCOL_ENTRIES_H

#include "base/hash.h"
#include "protocol/protocol.h"

#define ENTRY_HEADER 29u

static inline size_t entry_size(struct bytes data) {
    return ENTRY_HEADER + (size_t)data.size;
}

/* Writes entry_size(e->data) bytes. */
static inline void entry_encode(uint8_t *out, const struct entry *e) {
    memcpy(out, &e->term, 8);
    out[8] = e->kind;
    memcpy(out + 9, &e->session, 8);
    memcpy(out + 17, &e->sequence, 8);
    memcpy(out + 25, &e->data.size, 4);
    if (e->data.size) memcpy(out + ENTRY_HEADER, e->data.data, e->data.size);
}

/* Reads the fields of one sound encoded entry; index, hash and token are not among them and stay 0. */
static inline struct entry entry_view(const uint8_t *at) {
    struct entry e = {.kind = at[8]};
    memcpy(&e.term, at, 8);
    memcpy(&e.session, at + 9, 8);
    memcpy(&e.sequence, at + 17, 8);
    memcpy(&e.data.size, at + 25, 4);
    e.data.data = at + ENTRY_HEADER;
    return e;
}

/* Takes the next entry off the reader; *raw is its encoded form. False (and the reader failed) when the bytes
 * are no entry: cut short, or of a kind that does not exist. */
bool entry_take(struct reader *r, struct bytes *raw);

/* True when the bytes are exactly `count` entries whose terms never fall, begin at `low` or later and end at
 * `high` or earlier. */
bool entries_sound(struct bytes encoded, uint32_t count, uint64_t low, uint64_t high);

/* The prefix hash: over this entry and, through `previous`, all before it. */
static inline uint64_t entry_hash(uint64_t previous, struct bytes raw) {
    return hash_bytes(raw.data, raw.size, previous);
}

#endif
