/* Raft: terms, roles and elections (Ongaro 2014, 3.4; pre-vote 9.6; check-quorum 6.2, stickiness 4.2.3).
 *
 *   follower --- timeout ---> pre-candidate --- a quorum would vote ---> candidate --- votes ---> leader
 *      ^        (on_election_timer)                        (become_candidate)       (become_leader) |
 *      +---------- a leader of this term, a later term, no quorum heard (become_follower) ----------+
 *
 * A wiped member is `recovering` in the follower's place and leaves that role only through raft_recover.c.
 *
 * The election timer is lazy: an append request only notes the time, and a timer that fires early is set
 * again for the rest. The timeout is drawn anew for every period without a leader, not for every heartbeat,
 * which leaves it as uniform and costs a follower's common step nothing. */
#include "protocol/raft.h"

void raft_set_role(struct raft *r, uint8_t role) {
    r->role = role;
    outbox_note(r->out, QRT_KIND_ROLE, role, 0, r->term, r->log.last, 0, r->log.last_hash);
}

static void set_term(struct raft *r, uint64_t term, uint16_t vote) {
    r->term = term;
    r->vote = vote;
    r->unsaved = true;
    outbox_note(r->out, QRT_KIND_TERM, 0, 0, term, 0, 0, 0);
}

void raft_start_election_timer(struct raft *r) {
    int64_t t = r->options.election_timeout;
    r->timeout_ns = t + (int64_t)random_below(&r->random, (uint64_t)t);
    if (r->full) r->timeout_ns += 2 * t; /* whoever has room stands first */
    r->reset_mono = r->now;
    outbox_timer(r->out, RAFT_TIMER_ELECTION, r->timeout_ns);
}

static void leave_leadership(struct raft *r) {
    raft_fail_reads(r);
    for (uint16_t i = 0; i < r->configuration.count; i++) raft_snapshot_unref(&r->peers[i].transfer);
    outbox_timer(r->out, RAFT_TIMER_QUORUM, INT64_MAX);
}

void become_follower(struct raft *r, uint64_t term, uint16_t leader) {
    uint8_t was = r->role;
    if (term > r->term) {
        set_term(r, term, 0);
    } else if (raft_has_bug(r, RAFT_STEP_DOWN_CLEARS_VOTE) && r->vote) {
        r->vote = 0;
        r->unsaved = true;
    }
    r->leader = leader;
    if (was == QRT_ROLE_FOLLOWER || was == QRT_ROLE_RECOVERING) return;
    raft_set_role(r, QRT_ROLE_FOLLOWER);
    if (was == QRT_ROLE_LEADER) leave_leadership(r);
    outbox_timer(r->out, RAFT_TIMER_HEARTBEAT, INT64_MAX);
    raft_start_election_timer(r);
}

/* Asks everyone who has not answered. Repeated while the candidacy lasts: messages get lost (5.1). */
static void ask_for_votes(struct raft *r) {
    bool pre = r->role == QRT_ROLE_PRE_CANDIDATE;
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (i == r->slot || p->granted || p->refused) continue;
        struct message m = {.kind = WIRE_VOTE_REQUEST};
        m.as.vote_request.term = pre ? r->term + 1 : r->term;
        m.as.vote_request.last_index = r->log.last;
        m.as.vote_request.last_term = r->log.last_term;
        m.as.vote_request.pre = pre;
        outbox_send(r->out, r->configuration.members[i], &m, 0, m.as.vote_request.term, r->log.last);
    }
    outbox_timer(r->out, RAFT_TIMER_HEARTBEAT, r->options.heartbeat_interval);
}

static void become_leader(struct raft *r) {
    r->leader = r->node;
    raft_set_role(r, QRT_ROLE_LEADER);
    outbox_timer(r->out, RAFT_TIMER_ELECTION, INT64_MAX);
    outbox_timer(r->out, RAFT_TIMER_HEARTBEAT, r->options.heartbeat_interval);
    if (r->options.check_quorum) outbox_timer(r->out, RAFT_TIMER_QUORUM, r->options.election_timeout);
    raft_lead(r);
}

static void begin_candidacy(struct raft *r, uint8_t role) {
    r->leader = 0;
    for (uint16_t i = 0; i < r->configuration.count; i++) r->peers[i].granted = r->peers[i].refused = false;
    raft_set_role(r, role);
    raft_start_election_timer(r);
}

/* The candidate's own vote counts when it is durable (raft_on_own_vote_stored), as everyone's does. */
static void become_candidate(struct raft *r) {
    set_term(r, r->term + 1, r->node);
    begin_candidacy(r, QRT_ROLE_CANDIDATE);
    raft_save(r);
    outbox_note(r->out, QRT_KIND_VOTE, 0, r->node, r->term, 0, 0, 0);
    ask_for_votes(r);
}

static enum quorum_result tally(const struct raft *r) {
    uint64_t granted[QUORUM_WORDS] = {0}, refused[QUORUM_WORDS] = {0};
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        granted[i / 64] |= (uint64_t)r->peers[i].granted << i % 64;
        refused[i / 64] |= (uint64_t)r->peers[i].refused << i % 64;
    }
    return quorum_rule_vote(&r->quorum, QUORUM_READ, granted, refused);
}

static void become_pre_candidate(struct raft *r) {
    begin_candidacy(r, QRT_ROLE_PRE_CANDIDATE);
    r->peers[r->slot].granted = true;
    if (tally(r) == QUORUM_WON)
        become_candidate(r);
    else
        ask_for_votes(r);
}

static void stand(struct raft *r) {
    if (r->options.pre_vote)
        become_pre_candidate(r);
    else
        become_candidate(r);
}

void raft_on_election_timer(struct raft *r) {
    if (r->role == QRT_ROLE_LEADER || r->recovering) return;
    int64_t left = r->timeout_ns - (r->now - r->reset_mono);
    if (left > 0) {
        outbox_timer(r->out, RAFT_TIMER_ELECTION, left);
        return;
    }
    stand(r);
}

/* A failure detector has given the leader up: nobody need keep to it any more (is_sticky), and whoever stands first in a
 * part of the election timeout does so early. Wrong suspicions cost an election, and nothing else. */
void raft_on_opinion(struct raft *r, uint16_t peer, bool suspected) {
    if (!suspected || peer != r->leader || r->role != QRT_ROLE_FOLLOWER) return;
    r->leader = 0;
    outbox_timer(r->out, RAFT_TIMER_SUSPECT,
                 (int64_t)random_below(&r->random, (uint64_t)r->options.election_timeout / 4));
}

void raft_on_suspect_timer(struct raft *r) {
    if (r->role == QRT_ROLE_FOLLOWER && !r->leader && !r->recovering && !r->full) stand(r);
}

void raft_on_candidate_timer(struct raft *r) {
    if (r->role == QRT_ROLE_CANDIDATE || r->role == QRT_ROLE_PRE_CANDIDATE) ask_for_votes(r);
}

void raft_on_own_vote_stored(struct raft *r) {
    r->peers[r->slot].granted = true;
    if (tally(r) == QUORUM_WON) become_leader(r);
}

/* Check-quorum: a leader that a majority no longer answers makes room, so that its clients look elsewhere. */
void raft_on_quorum_timer(struct raft *r) {
    if (!raft_leads(r)) return;
    uint64_t active[QUORUM_WORDS] = {0};
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        active[i / 64] |= (uint64_t)(i == r->slot || r->peers[i].active) << i % 64;
        r->peers[i].active = false;
    }
    if (!quorum_rule_met(&r->quorum, QUORUM_WRITE, active))
        become_follower(r, r->term, 0);
    else
        outbox_timer(r->out, RAFT_TIMER_QUORUM, r->options.election_timeout);
}

/* 4.2.3: whoever has heard a leader within the least timeout ignores candidates, so that a node that was cut
 * off, or no longer belongs, cannot depose a leader that works. */
static bool is_sticky(const struct raft *r) {
    if (!r->options.check_quorum || !r->leader) return false;
    return raft_leads(r) || r->now - r->contact_mono < r->options.election_timeout;
}

/* 5.4.1: the candidate's log is at least as far as ours. */
static bool is_up_to_date(const struct raft *r, const struct wire_vote_request *q) {
    if (q->last_term != r->log.last_term) return q->last_term > r->log.last_term;
    return q->last_index >= r->log.last;
}

static void answer_vote(struct raft *r, uint16_t to, uint64_t term, bool pre, bool granted) {
    uint8_t flags = 0;
    if (granted && !pre) {
        if (raft_has_bug(r, RAFT_VOTE_BEFORE_SYNC)) flags = FX_BEFORE_DURABLE;
        outbox_note(r->out, QRT_KIND_VOTE, 0, to, term, 0, 0, 0);
        r->out->effects[r->out->count - 1].flags = flags;
    }
    struct message m = {.kind = WIRE_VOTE_REPLY};
    m.as.vote_reply.term = term;
    m.as.vote_reply.pre = pre;
    m.as.vote_reply.granted = granted;
    outbox_send(r->out, to, &m, flags, term, 0);
}

/* A pre-vote changes nothing here; it is granted for the term that is asked for, refused with our own, so
 * that a candidate that lags learns of it. */
static void on_pre_vote(struct raft *r, uint16_t from, const struct wire_vote_request *q) {
    bool free = q->term > r->term || (q->term == r->term && (!r->vote || r->vote == from));
    bool granted = free && !r->recovering && is_up_to_date(r, q);
    answer_vote(r, from, granted ? q->term : r->term, true, granted);
}

void raft_on_vote_request(struct raft *r, const struct message *m) {
    const struct wire_vote_request *q = &m->as.vote_request;
    if (q->term == 0 || q->term > RAFT_NUMBER_MAX || q->last_index > RAFT_NUMBER_MAX || q->last_term >= q->term ||
        q->pre > 1) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (q->term > r->term && is_sticky(r)) return;
    if (q->pre) {
        on_pre_vote(r, m->from, q);
        return;
    }
    if (q->term > r->term) become_follower(r, q->term, 0);
    bool granted = q->term == r->term && !r->recovering && (!r->vote || r->vote == m->from) && is_up_to_date(r, q);
    if (granted && !r->vote) {
        if (r->role == QRT_ROLE_PRE_CANDIDATE) become_follower(r, r->term, 0);
        r->vote = m->from;
        r->unsaved = true;
        r->reset_mono = r->now;
    }
    raft_save(r);
    answer_vote(r, m->from, r->term, false, granted);
}

void raft_on_vote_reply(struct raft *r, const struct message *m, int slot) {
    const struct wire_vote_reply *a = &m->as.vote_reply;
    if (a->term > RAFT_NUMBER_MAX || a->pre > 1 || a->granted > 1) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->term > r->term && !(a->pre && a->granted)) {
        become_follower(r, a->term, 0);
        return;
    }
    uint8_t asked = a->pre ? QRT_ROLE_PRE_CANDIDATE : QRT_ROLE_CANDIDATE;
    if (r->role != asked) return;
    if (a->granted && a->term == (a->pre ? r->term + 1 : r->term))
        r->peers[slot].granted = true;
    else if (!a->granted && (a->pre || a->term == r->term))
        r->peers[slot].refused = true;
    else
        return; /* an answer to an older candidacy */
    enum quorum_result result = tally(r);
    if (result == QUORUM_WON && a->pre)
        become_candidate(r);
    else if (result == QUORUM_WON)
        become_leader(r);
    else if (result == QUORUM_LOST)
        become_follower(r, r->term, 0);
}
