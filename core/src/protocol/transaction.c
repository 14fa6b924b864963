#include "protocol/transaction.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"

/* ---- finished transactions ---- */

/* Where the entry of that sequence is, or would be. */
static size_t ledger_at(const struct transaction_ledger *l, uint64_t sequence) {
    size_t at = l->count, low = 0;
    if (!at || l->entries[at - 1] >> 1 < sequence) return at; /* the commonest by far: it is the newest */
    while (low < at) {
        size_t middle = (low + at) / 2;
        if (l->entries[middle] >> 1 < sequence)
            low = middle + 1;
        else
            at = middle;
    }
    return at;
}

enum transaction_outcome ledger_outcome(const struct transaction_ledger *l, uint64_t sequence) {
    size_t at = ledger_at(l, sequence);
    if (at == l->count || l->entries[at] >> 1 != sequence) return OUTCOME_UNKNOWN;
    return l->entries[at] & 1 ? OUTCOME_COMMIT : OUTCOME_ABORT;
}

void ledger_remember(struct transaction_ledger *l, uint64_t sequence, bool commit) {
    size_t at = ledger_at(l, sequence);
    if (sequence < l->settled || (at < l->count && l->entries[at] >> 1 == sequence)) return;
    l->entries = mem_grow(l->entries, &l->capacity, l->count + 1, sizeof *l->entries);
    memmove(l->entries + at + 1, l->entries + at, (l->count - at) * sizeof *l->entries);
    l->entries[at] = sequence << 1 | commit;
    l->count++;
}

void ledger_settle(struct transaction_ledger *l, uint64_t settled) {
    if (settled <= l->settled) return;
    l->settled = settled;
    size_t forgotten = ledger_at(l, settled);
    if (!forgotten) return;
    l->count -= forgotten;
    memmove(l->entries, l->entries + forgotten, l->count * sizeof *l->entries);
}

struct transaction_ledger *ledgers_clone(const struct transaction_ledger *from, size_t count) {
    struct transaction_ledger *ledgers = mem_copy(from, count * sizeof *from);
    for (size_t i = 0; i < count; i++) {
        struct transaction_ledger *l = &ledgers[i];
        l->entries = mem_copy(l->entries, l->count * sizeof *l->entries);
        l->capacity = l->count;
    }
    return ledgers;
}

void ledgers_free(struct transaction_ledger *ledgers, size_t count) {
    for (size_t i = 0; i < count; i++) free(ledgers[i].entries);
    free(ledgers);
}

uint64_t ledgers_fold(uint64_t hash, const struct transaction_ledger *ledgers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hash = hash_fold(hash, ledgers[i].settled);
        if (ledgers[i].count) hash = hash_bytes(ledgers[i].entries, ledgers[i].count * sizeof(uint64_t), hash);
    }
    return hash;
}

bool ledger_is_sound(const struct transaction_ledger *l) {
    for (size_t i = 0; i < l->count; i++)
        if (l->entries[i] >> 1 < l->settled || (i && l->entries[i] >> 1 <= l->entries[i - 1] >> 1)) return false;
    return true;
}

/* ---- proposals ---- */

static const uint8_t MAGIC[8] = {0x89, 'q', 'r', 't', 't', 'x', 0x1a, 1};

bool transaction_is_listed(struct bytes data) {
    return data.size >= sizeof MAGIC && !memcmp(data.data, MAGIC, sizeof MAGIC);
}

static bool vote_is_known(uint8_t vote) {
    return vote >= QRT_VOTE_YES && vote <= QRT_VOTE_READ_ONLY;
}

bool transaction_encode(const struct transaction_part *parts, size_t count, struct buffer *out) {
    size_t size = sizeof MAGIC + 2;
    if (!count || count > TRANSACTION_MEMBERS_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        if (!vote_is_known(parts[i].vote) || (i && parts[i].node <= parts[i - 1].node)) return false;
        size += 7 + (size_t)parts[i].work.size;
    }
    if (size > TRANSACTION_DATA_MAX) return false;
    struct writer w = writer_of(buffer_extend(out, size), size);
    writer_put(&w, MAGIC, sizeof MAGIC);
    write_u16(&w, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        write_u16(&w, parts[i].node);
        write_u8(&w, parts[i].vote);
        write_bytes(&w, parts[i].work);
    }
    return !w.failed;
}

static int place_of(const uint16_t *members, uint16_t count, uint16_t node) {
    for (uint16_t i = 0; i < count; i++)
        if (members[i] == node) return i;
    return -1;
}

static bool read_parts(struct bytes data, const uint16_t *members, uint16_t count, uint16_t place,
                       struct transaction *out) {
    struct reader r = reader_of(bytes_of(data.data + sizeof MAGIC, data.size - sizeof MAGIC));
    uint16_t parts = read_u16(&r), before = 0;
    for (uint16_t i = 0; i < parts && !r.failed; i++) {
        uint16_t node = read_u16(&r);
        uint8_t vote = read_u8(&r);
        read_bytes(&r);
        int at = place_of(members, count, node);
        if (r.failed || at < 0 || node <= before || !vote_is_known(vote)) return false;
        members_add(&out->participants, (unsigned)at);
        if (vote != QRT_VOTE_READ_ONLY) members_add(&out->writers, (unsigned)at);
        if (at == place) out->vote = vote;
        before = node;
    }
    return parts && !r.failed && !reader_left(&r);
}

bool transaction_read(struct bytes data, const uint16_t *members, uint16_t count, uint16_t place, double refuse,
                      struct transaction *out) {
    *out = (struct transaction){.digest = hash_bytes(data.data, data.size, 0)};
    if (data.size > TRANSACTION_DATA_MAX) return false;
    if (transaction_is_listed(data)) return read_parts(data, members, count, place, out);
    for (uint16_t i = 0; i < count; i++) members_add(&out->participants, i);
    out->writers = out->participants;
    bool no = random_unit_of(random_mix(out->digest ^ members[place])) < refuse;
    out->vote = no ? QRT_VOTE_NO : QRT_VOTE_YES;
    return true;
}
