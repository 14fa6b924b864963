/* Raft: a member whose disk was wiped, or damaged.
 *
 * It has forgotten three things that others may still rely on: its term, votes that it gave, and entries that
 * it acknowledged. Until it can stand by all three it is `recovering`: it follows and stores, but it neither
 * votes nor stands for election, and its answers say that they do not count, for commitment, reads or the
 * quorum check. The mark is in every record, so that a crash on the way leaves it recovering.
 *
 * The rule. It asks all members, with a nonce drawn for this life, until
 *  1. a (write) quorum of the members, none recovering itself, has answered: it adopts the highest term that it
 *     hears;
 *  2. among them a leader, which has appended a fresh entry f after the question and told its index;
 *  3. f (same index and term) is in its own durable log, and it has learnt that f is committed.
 * Then it counts again, and spends its vote of the current term on itself.
 *
 * Why that is safe. Let t be the term in which f was committed and R the quorum that made it so; W, the
 * recovering member, is not in R, because its answers did not count.
 *  - Entries. Let W have acknowledged e in term s before the wipe. s > t cannot be: the leader of s was
 *    elected before the wipe by a majority V, which shares a member other than W with R; that member had
 *    voted in s when it acknowledged f in t < s, and nobody does that. So s <= t, and the leader of t has e
 *    if e can ever be committed: it wrote e itself, or was elected by votes each checked against a log that
 *    still held what its voter had acknowledged. It has f too, and e stands before f, for the leader of s was
 *    in office before f was born, and a log that holds e agrees with that leader's up to e. So W's log, which
 *    reaches f, holds whatever may be committed on W's word. (What the answering majority holds when it is
 *    asked would not do: an acknowledgement of W may be on its way, and be completed to a majority by others,
 *    later.)
 *  - Votes. Let W have voted for C in term s before the wipe. If s <= t, W knows t when it learns of the
 *    commit, and votes only above it. If s > t, nobody who answered needs to know of s, so no answer can warn
 *    W; but C cannot win any more. It needs a majority, which shares a member X other than W with R. X
 *    acknowledged f before it voted in s, and so votes only for a log that reaches f's; but C drew up its
 *    candidacy before the wipe, before f was born.
 *  - X itself may have been wiped and recovered in between; then the same argument applies to X's recovery,
 *    which is earlier, and so on to the first.
 * If what was compacted away hides f from W (a snapshot went past it), W asks again with a new nonce.
 *
 * A damaged member keeps what its log and checkpoints still hold: a term, perhaps a vote, and a log, all of one moment before
 * the damage. It follows the same rule, and the argument holds as it stands, because it nowhere needs W to be empty:
 *  - What W keeps was true once. An older term and vote make it refuse what it refused then, and never let it grant more: it
 *    grants nothing before it has caught up, and then in no term up to t. If its kept term is above the others', its answers
 *    carry it, and the leader that it needs is elected above it.
 *  - Its log was W's log at that moment, so every entry in it was its leader's at the time and log matching holds: once f is
 *    in it, it agrees with the leader of t up to f. What conflicts is truncated on the way as from any follower. f itself
 *    cannot be in what was kept, as it was born after the question.
 *  - If W led a term, entries of that term may be lost with the record of it. W cannot lead that term again: its vote there
 *    went to itself, and the argument on votes covers that vote like any other.
 *  - What W acknowledged stays counted with the leader of that term, rightly or not: that is the argument on entries. The
 *    leader's view of where W's log ends falls as it does for a wiped one. */
#include "protocol/raft.h"

static void ask(struct raft *r) {
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        if (i == r->slot) continue;
        struct message m = {.kind = WIRE_RECOVER_REQUEST};
        m.as.recover_request.nonce = r->recover_nonce;
        outbox_send(r->out, r->configuration.members[i], &m, 0, r->term, r->log.last);
    }
    outbox_timer(r->out, RAFT_TIMER_RECOVER, r->options.heartbeat_interval);
}

static void ask_anew(struct raft *r) {
    /* Two lives must not share a nonce, even if their seeds do. */
    r->recover_nonce = (random_u64(&r->random) ^ random_mix((uint64_t)r->now)) | 1;
    r->recover_target = r->recover_term = 0;
    ask(r);
}

void raft_recover_begin(struct raft *r) {
    r->recovering = true;
    raft_set_role(r, QRT_ROLE_RECOVERING);
    r->unsaved = true;
    raft_save(r);
    ask_anew(r);
}

void raft_on_recover_timer(struct raft *r) {
    if (r->recovering) ask(r);
}

void raft_on_recover_request(struct raft *r, const struct message *m, int slot) {
    if (r->recovering) return;
    struct raft_peer *p = &r->peers[slot];
    uint64_t nonce = m->as.recover_request.nonce, last = r->log.last;
    if (raft_leads(r)) {
        if (p->recover_nonce != nonce) {
            if (raft_is_full(r)) return; /* it asks again */
            raft_append(r, ENTRY_NOOP, 0, 0, (struct bytes){0}, 0);
            p->recover_nonce = nonce;
            p->recover_index = r->log.last;
            raft_probe_from(r, p, r->log.last);
            raft_replicate_all(r);
        }
        last = p->recover_index;
    }
    struct message a = {.kind = WIRE_RECOVER_REPLY};
    a.as.recover_reply.nonce = nonce;
    a.as.recover_reply.term = r->term;
    a.as.recover_reply.last_index = last;
    a.as.recover_reply.commit = r->commit;
    a.as.recover_reply.leader = raft_leads(r);
    outbox_send(r->out, m->from, &a, 0, r->term, last);
}

void raft_on_recover_reply(struct raft *r, const struct message *m, int slot) {
    const struct wire_recover_reply *a = &m->as.recover_reply;
    if (a->term > RAFT_NUMBER_MAX || a->last_index > RAFT_NUMBER_MAX || a->leader > 1) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (!r->recovering || a->nonce != r->recover_nonce) return;
    r->recover_answered[slot / 64] |= UINT64_C(1) << (slot % 64);
    if (a->term > r->term) {
        become_follower(r, a->term, 0);
        raft_save(r);
    }
    if (a->leader && a->term >= r->recover_term) {
        r->recover_term = a->term;
        r->recover_target = a->last_index;
    }
    raft_maybe_caught_up(r);
}

void raft_maybe_caught_up(struct raft *r) {
    uint64_t target = r->recover_target;
    if (!r->recovering || !target || !quorum_rule_met(&r->quorum, QUORUM_WRITE, r->recover_answered)) return;
    if (r->restoring || r->commit < target || r->durable < target) return;
    if (!log_knows(&r->log, target) || log_term(&r->log, target) != r->recover_term) {
        ask_anew(r); /* another entry took its place, or a snapshot went past it */
        return;
    }
    r->recovering = false;
    r->vote = r->node;
    r->unsaved = true;
    r->caught_up = target; /* the note waits for the record: until it is durable a crash would undo it */
    outbox_timer(r->out, RAFT_TIMER_RECOVER, INT64_MAX);
    raft_set_role(r, QRT_ROLE_FOLLOWER);
    raft_start_election_timer(r);
}
