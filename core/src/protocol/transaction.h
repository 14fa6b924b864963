/* What protocols of atomic commit share: sets of members, transaction numbers, and what a proposal of a
 * transaction says.
 *
 * A number names the node that took the transaction and that node's count of them:
 *
 *   63        48                       0
 *   | node    | sequence, from 1       |
 *
 * A proposal is either opaque bytes, in which every member takes part, or a list of parts:
 *
 *   8 bytes magic | u16 count | (u16 node, u8 vote, u32 size, work) * count, nodes ascending
 *
 * The vote of a part is fixed in it; that of opaque bytes is a function of the bytes and the voter, so that a second
 * copy of a question gets the same answer. */
#ifndef PROTOCOL_TRANSACTION_H
#define PROTOCOL_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "quorate.h"

#define TRANSACTION_MEMBERS_MAX 128
#define TRANSACTION_DATA_MAX (512u * 1024u)
#define TRANSACTION_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1)

/* ---- sets of members, by their place in the ascending list of all members ---- */

struct member_set {
    uint64_t bits[TRANSACTION_MEMBERS_MAX / 64];
};

static inline bool members_has(const struct member_set *s, unsigned place) {
    return s->bits[place / 64] >> (place % 64) & 1;
}
static inline void members_add(struct member_set *s, unsigned place) {
    s->bits[place / 64] |= UINT64_C(1) << (place % 64);
}
static inline void members_remove(struct member_set *s, unsigned place) {
    s->bits[place / 64] &= ~(UINT64_C(1) << (place % 64));
}
static inline void members_unite(struct member_set *s, const struct member_set *with) {
    for (unsigned i = 0; i < TRANSACTION_MEMBERS_MAX / 64; i++) s->bits[i] |= with->bits[i];
}
static inline bool members_none(const struct member_set *s) {
    return !(s->bits[0] | s->bits[1]);
}
static inline unsigned members_count(const struct member_set *s) {
    return (unsigned)(__builtin_popcountll(s->bits[0]) + __builtin_popcountll(s->bits[1]));
}

/* ---- numbers ---- */

static inline uint64_t transaction_number(uint16_t node, uint64_t sequence) {
    return (uint64_t)node << 48 | sequence;
}
static inline uint16_t transaction_node(uint64_t number) {
    return (uint16_t)(number >> 48);
}
static inline uint64_t transaction_sequence(uint64_t number) {
    return number & TRANSACTION_SEQUENCE_MAX;
}

/* ---- proposals ---- */

struct transaction_part {
    uint16_t node;
    uint8_t vote; /* qrt_vote */
    struct bytes work;
};

/* Whether these bytes are a list of parts; what is none is opaque. */
bool transaction_is_listed(struct bytes data);
/* Appends a list; false when nodes do not ascend, a vote is none, there are none or too many, or it is too large. */
bool transaction_encode(const struct transaction_part *parts, size_t count, struct buffer *out);

struct transaction {                         /* a proposal, read by one of its members */
    struct member_set participants, writers; /* writers: those whose part is not read-only */
    uint64_t digest;
    uint8_t vote; /* the reader's own; 0: it takes no part */
};

/* members: ascending, `count` of them; place: the reader's. refuse: of opaque bytes, the share that a member
 * refuses. False: a malformed list, or one that names no member. */
bool transaction_read(struct bytes data, const uint16_t *members, uint16_t count, uint16_t place, double refuse,
                      struct transaction *out);

#endif
