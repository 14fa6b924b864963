/* Raft on a full disk. Not in the dissertation: there a server's storage never ends.
 *
 * A node without room takes no entry of a client. Its host drops what would bring one (raft_grows) and refuses proposals;
 * terms, votes and a leader's first entry still find room in the store's reserve. What is left to do here is not to stand in
 * others' way:
 *
 *   a leader without room       steps down once a quorum that it hears has room, so that one of those leads. Where none has,
 *                               it stays: a successor could commit nothing either, not even its first entry, and reads
 *                               (raft_read.c) need a leader whose first entry is committed.
 *   a follower without room     says so in its answers (append_reply.counts), and is sent no entries; it stands for election
 *                               two timeouts later than others do.
 *   a leader with room          refuses proposals while it knows that no quorum has: they could not be committed, and its log
 *                               would grow.
 *
 * Safety does not depend on any of it: what is dropped is a lost message, and who stands when was always free. */
#include "protocol/raft.h"

static bool leads_with(const struct raft *r, const uint64_t *roomy) {
    return quorum_rule_met(&r->quorum, QUORUM_WRITE, roomy) && quorum_rule_met(&r->quorum, QUORUM_READ, roomy);
}

bool raft_has_room(const struct raft *r) {
    uint64_t roomy[QUORUM_WORDS] = {0};
    for (uint16_t i = 0; i < r->configuration.count; i++)
        roomy[i / 64] |= (uint64_t) !(i == r->slot ? r->full : r->peers[i].full) << i % 64;
    return quorum_rule_met(&r->quorum, QUORUM_WRITE, roomy);
}

void raft_yield(struct raft *r) {
    uint64_t roomy[QUORUM_WORDS] = {0};
    if (!r->full || r->role != QRT_ROLE_LEADER) return;
    for (uint16_t i = 0; i < r->configuration.count; i++)
        roomy[i / 64] |= (uint64_t)(i != r->slot && r->peers[i].active && !r->peers[i].full) << i % 64;
    if (leads_with(r, roomy)) become_follower(r, r->term, 0);
}

void raft_on_room(struct raft *r, bool full) {
    r->full = full;
    raft_yield(r);
}

bool raft_spares(const struct raft *r, const struct raft_peer *p) {
    return p->full && r->log.last > r->term_start;
}

/* A leader's first entry must find its way to those that are full as well: without it nothing can be read. */
static bool holds_values(const struct wire_append_request *q) {
    struct reader in = reader_of(q->entries);
    struct bytes raw;
    for (uint32_t i = 0; i < q->count && entry_take(&in, &raw); i++)
        if (entry_view(raw.data).kind != ENTRY_NOOP) return true;
    return false;
}

bool raft_grows(const struct message *m) {
    if (m->kind == WIRE_SNAPSHOT_CHUNK) return m->as.snapshot_chunk.data.size > 0;
    return m->kind == WIRE_APPEND_REQUEST && holds_values(&m->as.append_request);
}
