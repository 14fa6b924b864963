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
static inline bool members_hold(const struct member_set *s, const struct member_set *part) {
    return !((part->bits[0] & ~s->bits[0]) | (part->bits[1] & ~s->bits[1]));
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

/* ---- finished transactions ---- */

enum transaction_outcome { OUTCOME_UNKNOWN = 0, OUTCOME_COMMIT = 1, OUTCOME_ABORT = 2 };

/* What is known of the finished transactions of one node, by ascending sequence. A node that is told of every
 * acknowledgement says below which sequence all are over (settled), and those are forgotten. */
struct transaction_ledger {
    uint64_t settled;
    uint64_t *entries; /* sequence << 1 | committed */
    size_t count, capacity;
};

enum transaction_outcome ledger_outcome(const struct transaction_ledger *l, uint64_t sequence);
void ledger_remember(struct transaction_ledger *l, uint64_t sequence, bool commit); /* the first word stays */
void ledger_settle(struct transaction_ledger *l, uint64_t settled);
/* Of `count` nodes; independent of the original. */
struct transaction_ledger *ledgers_clone(const struct transaction_ledger *from, size_t count);
void ledgers_free(struct transaction_ledger *ledgers, size_t count);
uint64_t ledgers_fold(uint64_t hash, const struct transaction_ledger *ledgers, size_t count);
bool ledger_is_sound(const struct transaction_ledger *l);

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
