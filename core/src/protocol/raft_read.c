/* Raft: linearizable reads without the log (ReadIndex; Ongaro 2014, 6.4).
 *
 * A read may be answered from the machine once
 *  1. the leader knows what was committed when the read came: everything up to max(commit, the first entry of
 *     its own term), by leader completeness;
 *  2. it was still the leader then: a majority answered a round that began after the read came;
 *  3. the machine has applied that far.
 *
 * A round is a number that every append request carries and every answer echoes. Reads that come while a
 * round is under way share the next one. Rounds are numbered within a term, and answers of other terms are
 * ignored, so that no late answer can confirm a round that it does not know of. */
#include "protocol/raft.h"

static void begin_round(struct raft *r) {
    r->round++;
    raft_heartbeat_all(r);
}

static void read_ready(struct raft *r, uint64_t token) {
    struct effect *e = outbox_add(r->out, FX_READ_READY);
    e->a = token;
    e->index = r->applied;
    e->term = r->term;
}

void raft_serve_reads(struct raft *r) {
    size_t served = 0;
    while (served < r->read_count) {
        const struct raft_read *read = &r->reads[served];
        if (read->round > r->round_confirmed || read->index > r->applied) break;
        read_ready(r, read->token);
        served++;
    }
    if (!served) return;
    r->read_count -= served;
    memmove(r->reads, r->reads + served, r->read_count * sizeof *r->reads);
}

void raft_fail_reads(struct raft *r) {
    for (size_t i = 0; i < r->read_count; i++) outbox_reply(r->out, r->reads[i].token, QRT_ENOTLEADER, r->leader);
    r->read_count = 0;
}

void raft_advance_round(struct raft *r) {
    uint64_t echoed[RAFT_MEMBERS_MAX];
    r->peers[r->slot].round = r->round;
    for (uint16_t i = 0; i < r->configuration.count; i++) echoed[i] = r->peers[i].round;
    /* Whoever is elected later has met one of these, and they answered before that. */
    uint64_t confirmed = quorum_rule_reached(&r->quorum, QUORUM_WRITE, echoed);
    if (confirmed <= r->round_confirmed) return;
    r->round_confirmed = confirmed;
    raft_serve_reads(r);
    if (confirmed == r->round && r->read_count && r->reads[r->read_count - 1].round > r->round) begin_round(r);
}

void raft_on_read(struct raft *r, uint64_t token) {
    if (!raft_leads(r)) {
        outbox_reply(r->out, token, QRT_ENOTLEADER, r->leader);
        return;
    }
    if (raft_has_bug(r, RAFT_READ_BEFORE_CONFIRM)) {
        read_ready(r, token);
        return;
    }
    if (r->read_count >= (size_t)r->options.max_reads) {
        outbox_reply(r->out, token, QRT_EFULL, r->node);
        return;
    }
    r->reads = mem_grow(r->reads, &r->read_capacity, r->read_count + 1, sizeof *r->reads);
    uint64_t index = r->commit > r->term_start ? r->commit : r->term_start;
    r->reads[r->read_count++] = (struct raft_read){token, r->round + 1, index};
    if (r->round == r->round_confirmed) begin_round(r);
    raft_advance_round(r);
}
