/* Raft: the leader's side of replication (Ongaro 2014, 3.5, 3.6, 10.2).
 *
 *   probe ---- success ----> pipeline       one message at a time until the logs are found to agree; then
 *     ^  <---- refusal -----    |           optimistically many, bounded in messages and in bytes: what is
 *     |                         |           proposed while the window is full leaves together when it opens
 *     +--- done --- snapshot <--+           when the follower needs what is compacted away
 *
 * Appends leave in parallel with the leader's own disk (10.2.1): they are the only sends that do not wait. A
 * heartbeat is an append request without entries behind the last one sent, so that it finds out what was
 * lost.
 *
 * Where inputs come in bursts (protocol_config.bursts) what one burst proposes leaves in one message to each follower,
 * behind the burst: a timer that is due at once.
 *
 * Two numbers say how far a follower is. `match` steers the flow and may fall, when a member turns out to
 * have lost its disk. `counted` decides commitment: acknowledgements of members that count, and it never
 * falls. */
#include "protocol/raft.h"

static struct raft_flight *flight_at(const struct raft *r, const struct raft_peer *p, uint32_t i) {
    uint32_t window = (uint32_t)r->options.max_in_flight, at = p->flight_head + i;
    return &r->flights[(size_t)(p - r->peers) * window + (at >= window ? at - window : at)];
}

static void flights_clear(struct raft_peer *p) {
    p->flight_head = p->flight_count = 0;
    p->flight_bytes = 0;
}

static void flights_acknowledge(struct raft *r, struct raft_peer *p, uint64_t match) {
    while (p->flight_count) {
        const struct raft_flight *f = flight_at(r, p, 0);
        if (f->last > match) return;
        p->flight_bytes -= f->bytes;
        p->flight_count--;
        if (++p->flight_head == (uint32_t)r->options.max_in_flight) p->flight_head = 0;
    }
}

/* Entries next..to, or none when to is next - 1. What stands before next must be known. */
static uint64_t send_append(struct raft *r, uint16_t slot, uint64_t to) {
    struct raft_peer *p = &r->peers[slot];
    struct message m = {.kind = WIRE_APPEND_REQUEST};
    struct wire_append_request *q = &m.as.append_request;
    q->term = r->term;
    q->previous_index = p->next - 1;
    q->previous_term = log_term(&r->log, p->next - 1);
    q->commit = r->commit;
    q->round = r->round;
    if (to >= p->next) {
        q->count = (uint32_t)(to - p->next + 1);
        q->entries = log_slice(&r->log, p->next, to, &r->scratch);
    }
    outbox_send(r->out, r->configuration.members[slot], &m, FX_BEFORE_DURABLE, r->term, to);
    return q->entries.size;
}

/* The last entry of the next message. Entries of an older term travel apart from our own: a follower can then
 * hold the ones without the others, which is what 5.4.2 is about, and rare otherwise. */
static uint64_t message_end(const struct raft *r, uint64_t next) {
    uint64_t to = log_run(&r->log, next, (uint64_t)r->options.max_append_bytes);
    return next < r->term_start && to >= r->term_start ? r->term_start - 1 : to;
}

static bool window_is_open(const struct raft *r, const struct raft_peer *p) {
    return p->flight_count < (uint32_t)r->options.max_in_flight &&
           p->flight_bytes < (uint64_t)r->options.max_in_flight_bytes;
}

static void send_pipeline(struct raft *r, uint16_t slot) {
    struct raft_peer *p = &r->peers[slot];
    while (p->next <= r->log.last && window_is_open(r, p)) {
        uint64_t to = message_end(r, p->next);
        uint64_t bytes = send_append(r, slot, to);
        *flight_at(r, p, p->flight_count++) = (struct raft_flight){to, bytes};
        p->flight_bytes += bytes;
        p->next = to + 1;
    }
}

static void send_probe(struct raft *r, uint16_t slot) {
    struct raft_peer *p = &r->peers[slot];
    if (p->probe_sent) return;
    p->probe_sent = true;
    uint64_t to = p->next - 1;
    if (p->next <= r->log.last) to = message_end(r, p->next);
    send_append(r, slot, to);
}

static void replicate(struct raft *r, uint16_t slot) {
    struct raft_peer *p = &r->peers[slot];
    if (p->flow == RAFT_SNAPSHOT || raft_spares(r, p)) return; /* driven by the answers to its chunks; full */
    if (p->next <= r->log.base)
        raft_send_snapshot(r, slot);
    else if (p->flow == RAFT_PIPELINE)
        send_pipeline(r, slot);
    else
        send_probe(r, slot);
}

void raft_replicate_all(struct raft *r) {
    for (uint16_t i = 0; i < r->configuration.count; i++)
        if (i != r->slot) replicate(r, i);
}

void raft_replicate_soon(struct raft *r) {
    if (!r->bursts) {
        raft_replicate_all(r);
        return;
    }
    if (!r->gathering) outbox_timer(r->out, RAFT_TIMER_GATHER, 0);
    r->gathering = true;
}

void raft_on_gather_timer(struct raft *r) {
    r->gathering = false;
    if (raft_leads(r)) raft_replicate_all(r);
}

static void send_heartbeat(struct raft *r, uint16_t slot) {
    struct raft_peer *p = &r->peers[slot];
    if (p->flow == RAFT_SNAPSHOT)
        raft_nudge_snapshot(r, slot);
    else if (p->next <= r->log.base)
        raft_send_snapshot(r, slot);
    else
        send_append(r, slot, p->next - 1);
}

void raft_heartbeat_all(struct raft *r) {
    for (uint16_t i = 0; i < r->configuration.count; i++)
        if (i != r->slot) send_heartbeat(r, i);
}

void raft_on_heartbeat_timer(struct raft *r) {
    raft_heartbeat_all(r);
    outbox_timer(r->out, RAFT_TIMER_HEARTBEAT, r->options.heartbeat_interval);
    raft_yield(r);
}

void raft_probe_from(struct raft *r, struct raft_peer *p, uint64_t next) {
    (void)r;
    raft_snapshot_unref(&p->transfer);
    flights_clear(p);
    p->flow = RAFT_PROBE;
    p->probe_sent = false;
    p->next = next;
    if (p->match >= next) p->match = next - 1;
}

/* 3.4: a new leader's first entry commits what earlier terms left, and gives reads a point to wait for. */
void raft_lead(struct raft *r) {
    r->term_start = r->log.last + 1;
    r->round = r->round_confirmed = 0;
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        r->peers[i] = (struct raft_peer){.flow = RAFT_PROBE, .next = r->log.last + 1};
    }
    r->peers[r->slot].counted = r->durable;
    raft_append(r, ENTRY_NOOP, 0, 0, (struct bytes){0}, 0);
    raft_replicate_all(r);
}

/* Figure 3.2, "if there exists an N": what a quorum holds durably is committed if it is of this term (5.4.2). */
void raft_advance_commit(struct raft *r) {
    uint64_t counted[RAFT_MEMBERS_MAX];
    size_t members = r->configuration.count;
    for (size_t i = 0; i < r->quorum.nodes; i++) counted[i] = r->peers[i].counted;
    uint64_t index = quorum_rule_reached(&r->quorum, QUORUM_WRITE, counted);
    /* Against a majority of votes half of an even cluster would still do (flexible quorums); one less does not. */
    if (raft_has_bug(r, RAFT_EVEN_QUORUM) && members % 2 == 0 && members > 2)
        index = quorum_reached(counted, members, members / 2 - 1);
    if (index <= r->commit || index > r->log.last) return;
    if (index < r->term_start && !raft_has_bug(r, RAFT_COMMIT_OLDER_TERM)) return;
    raft_commit(r, index, 1);
}

void raft_peer_answered(struct raft *r, struct raft_peer *p, uint64_t round, bool counts) {
    if (!counts) return;
    p->active = true;
    if (round <= p->round || round > r->round) return;
    p->round = round;
    raft_advance_round(r);
}

void raft_agrees(struct raft *r, uint16_t slot, uint64_t match, bool counts) {
    struct raft_peer *p = &r->peers[slot];
    if (match > p->match) p->match = match;
    if (p->flow == RAFT_PIPELINE) {
        flights_acknowledge(r, p, match);
        if (p->next <= match) p->next = match + 1;
    } else if (p->flow == RAFT_PROBE ? match + 1 >= p->next : match >= r->log.base) {
        raft_probe_from(r, p, match + 1);
        p->flow = RAFT_PIPELINE;
    }
    if (counts && match > p->counted) {
        p->counted = match;
        if (match > r->commit) raft_advance_commit(r);
    }
    if (!r->gathering) replicate(r, slot);
}

/* 3.5: the follower lacks what stands before our entries, or has something else there. Both sides skip a
 * whole term at a time: the place to try next is the last of our entries, up to its hint, that is not of a
 * later term. */
static void on_refusal(struct raft *r, uint16_t slot, const struct wire_append_reply *a) {
    struct raft_peer *p = &r->peers[slot];
    bool stale = p->flow == RAFT_PROBE ? a->refused != p->next - 1 : a->refused < p->match || a->refused >= p->next;
    if (p->flow == RAFT_SNAPSHOT || stale || a->match >= a->refused) return;
    uint64_t place = a->match;
    if (place >= r->log.base) place = log_find_term(&r->log, place, a->conflict_term);
    raft_probe_from(r, p, place + 1);
    replicate(r, slot);
}

void raft_on_append_reply(struct raft *r, const struct message *m, int slot) {
    const struct wire_append_reply *a = &m->as.append_reply;
    if (a->term > RAFT_NUMBER_MAX || a->match > RAFT_NUMBER_MAX || a->success > 1 || a->counts > 3) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->term > r->term) {
        become_follower(r, a->term, 0);
        return;
    }
    if (a->term < r->term || !raft_leads(r)) return;
    if (a->success && a->match > r->log.last) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    bool counts = a->counts & RAFT_COUNTS;
    r->peers[slot].full = a->counts & RAFT_FULL;
    raft_peer_answered(r, &r->peers[slot], a->round, counts);
    if (a->success)
        raft_agrees(r, (uint16_t)slot, a->match, counts);
    else
        on_refusal(r, (uint16_t)slot, a);
}
