#include "protocol/transaction.h"

#include "base/hash.h"
#include "base/random.h"

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
