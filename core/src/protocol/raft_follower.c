/* Raft: the follower's side of replication (Ongaro 2014, 3.5; figure 3.1, AppendEntries).
 *
 * What an append request claims is checked before anything changes; what it says is done in this order: the
 * log check, truncation of what conflicts, the new entries, one record, the answer behind it, commitment. */
#include "protocol/raft.h"

bool raft_follow(struct raft *r, uint64_t term, uint16_t from) {
    if (term < r->term) return false;
    if (term == r->term && r->role == QRT_ROLE_LEADER) return false; /* two leaders: only a switched-on mistake */
    bool follows = r->role == QRT_ROLE_FOLLOWER || r->role == QRT_ROLE_RECOVERING;
    if (term > r->term || !follows || r->leader != from) become_follower(r, term, from);
    r->contact_mono = r->reset_mono = r->now;
    return true;
}

static void answer(struct raft *r, uint16_t to, struct wire_append_reply a) {
    struct message m = {.kind = WIRE_APPEND_REPLY};
    m.as.append_reply = a;
    m.as.append_reply.term = r->term;
    m.as.append_reply.counts = (uint8_t)((r->recovering ? 0 : RAFT_COUNTS) | (r->full ? RAFT_FULL : 0));
    outbox_send(r->out, to, &m, 0, r->term, a.match);
}

/* The note leaves with the answer, behind every record before it; a member that does not count says nothing.
 * */
void raft_acknowledge(struct raft *r, uint16_t to, uint64_t index) {
    if (!r->recovering) outbox_note(r->out, QRT_KIND_ACK, 0, to, r->term, index, 0, 0);
}

static void accept(struct raft *r, uint16_t to, uint64_t match, uint64_t round) {
    raft_save(r);
    raft_acknowledge(r, to, match);
    answer(r, to, (struct wire_append_reply){.success = 1, .match = match, .round = round});
}

/* Where the leader may try next: our last entry before the refused place that is not of a later term than its
 * own. */
static void refuse(struct raft *r, uint16_t to, const struct wire_append_request *q) {
    uint64_t place = log_find_term(&r->log, q->previous_index - 1, q->previous_term);
    struct wire_append_reply a = {.refused = q->previous_index, .match = place, .round = q->round};
    a.conflict_term = log_term(&r->log, place);
    raft_save(r);
    answer(r, to, a);
}

/* Takes over what is new. Entries that we have stay, even if there are more behind them than were sent: an
 * old request may arrive late (figure 3.1, AppendEntries 3). */
static void take_entries(struct raft *r, const struct wire_append_request *q) {
    uint64_t index = q->previous_index, first = 0;
    struct reader in = reader_of(q->entries);
    struct bytes raw;
    for (uint32_t i = 0; i < q->count && entry_take(&in, &raw); i++) {
        index++;
        uint64_t term;
        memcpy(&term, raw.data, sizeof term);
        if (index <= r->log.base) continue; /* committed and compacted: it agrees */
        if (index <= r->log.last) {
            if (log_term(&r->log, index) == term) continue;
            raft_truncate(r, index);
        }
        if (!first) first = index;
        log_append(&r->log, raw, 0);
        outbox_note(r->out, QRT_KIND_APPEND, 0, 0, term, index, 0, r->log.last_hash);
    }
    if (first) raft_persist(r, first);
    if (raft_has_bug(r, RAFT_LATE_HEARTBEAT_TRUNCATES)) raft_truncate(r, q->previous_index + q->count + 1);
}

static bool is_sound(const struct wire_append_request *q) {
    if (q->term == 0 || q->term > RAFT_NUMBER_MAX || q->previous_index > RAFT_NUMBER_MAX ||
        q->previous_term > q->term || q->round > RAFT_NUMBER_MAX || (q->previous_index == 0 && q->previous_term))
        return false;
    return entries_sound(q->entries, q->count, q->previous_term, q->term);
}

void raft_on_append_request(struct raft *r, const struct message *m) {
    const struct wire_append_request *q = &m->as.append_request;
    if (!is_sound(q)) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (!raft_follow(r, q->term, m->from)) {
        if (q->term < r->term) answer(r, m->from, (struct wire_append_reply){.round = q->round});
        return;
    }
    uint64_t previous = q->previous_index;
    if (previous > r->log.last || (previous >= r->log.base && log_term(&r->log, previous) != q->previous_term)) {
        refuse(r, m->from, q);
        return;
    }
    take_entries(r, q);
    uint64_t agreed = previous + q->count;
    accept(r, m->from, agreed, q->round);
    if (raft_has_bug(r, RAFT_FOLLOWER_COMMIT_UNCAPPED)) agreed = r->log.last;
    raft_commit(r, q->commit < agreed ? q->commit : agreed, 0);
}
