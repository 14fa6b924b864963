/* Raft, looked at from outside: status, describe, inspect, fingerprint, invariants. Nothing here changes
 * anything. */
#include <inttypes.h>

#include "protocol/raft.h"
#include "protocol/view.h"

void raft_status(const void *state, struct protocol_status *s) {
    const struct raft *r = state;
    s->role = r->role;
    s->leader = r->leader;
    s->term = r->term;
    s->first = log_first(&r->log);
    s->last = r->log.last;
    s->commit = r->commit;
    s->applied = r->applied;
}

bool raft_entry(const void *state, uint64_t index, struct entry *entry) {
    const struct raft *r = state;
    return log_entry(&r->log, index, entry);
}

static const char *role_name(uint8_t role) {
    static const char *const names[] = {"starting", "follower", "pre-candidate", "candidate", "leader", "recovering"};
    return role < sizeof names / sizeof *names ? names[role] : "?";
}

int raft_describe(const void *state, char *out, size_t size) {
    const struct raft *r = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s term %" PRIu64, r->node, role_name(r->role), r->term);
    if (r->leader && r->leader != r->node) buffer_printf(&text, " of n%u", r->leader);
    buffer_printf(&text, ", log %" PRIu64 "..%" PRIu64 ", committed %" PRIu64 ", applied %" PRIu64, log_first(&r->log),
                  r->log.last, r->commit, r->applied);
    if (r->restoring) buffer_printf(&text, ", restoring %" PRIu64, r->restoring);
    return view_finish(&text, out, size);
}

static void peer_field(inspect_fn *field, void *context, uint16_t node, const char *what, uint64_t value) {
    char name[48];
    struct buffer b = {0};
    buffer_printf(&b, "n%u.%s", node, what);
    view_finish(&b, name, sizeof name);
    view_number(field, context, name, value);
}

static const char *flow_name(uint8_t flow) {
    static const char *const names[] = {"probe", "pipeline", "snapshot"};
    return flow < sizeof names / sizeof *names ? names[flow] : "?";
}

static void inspect_peers(const struct raft *r, inspect_fn *field, void *context) {
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        if (i == r->slot) continue;
        const struct raft_peer *p = &r->peers[i];
        uint16_t node = r->configuration.members[i];
        char name[48];
        struct buffer b = {0};
        buffer_printf(&b, "n%u.flow", node);
        view_finish(&b, name, sizeof name);
        field(context, name, flow_name(p->flow));
        peer_field(field, context, node, "match", p->match);
        peer_field(field, context, node, "next", p->next);
        peer_field(field, context, node, "in_flight", p->flight_count);
    }
}

void raft_inspect(const void *state, inspect_fn *field, void *context) {
    const struct raft *r = state;
    field(context, "role", role_name(r->role));
    view_number(field, context, "term", r->term);
    view_number(field, context, "leader", r->leader);
    view_number(field, context, "vote", r->vote);
    view_number(field, context, "commit", r->commit);
    view_number(field, context, "applied", r->applied);
    view_number(field, context, "durable", r->durable);
    view_number(field, context, "first", log_first(&r->log));
    view_number(field, context, "last", r->log.last);
    view_number(field, context, "snapshot", r->snapshot ? r->snapshot->index : 0);
    view_number(field, context, "pending_reads", r->read_count);
    if (r->role == QRT_ROLE_LEADER) inspect_peers(r, field, context);
}

/* What a state consists of enters the fingerprint as a sum of hashes, each with its place, so that none waits for another:
 * captures hash every step. What is nested has a sum of its own, hashed again where it enters. */
struct sum {
    uint64_t total, place;
};

static inline void sum_add(struct sum *s, uint64_t value) {
    s->place += 0x9e3779b97f4a7c15u; /* far apart: no two small values at their places are alike */
    s->total += hash_fold(s->place, value);
}

static uint64_t sum_peer(const struct raft *r, size_t slot) {
    const struct raft_peer *p = &r->peers[slot];
    struct sum s = {0};
    sum_add(&s, (uint64_t)p->flow | (uint64_t)p->probe_sent << 8 | (uint64_t)p->granted << 9 |
                    (uint64_t)p->refused << 10 | (uint64_t)p->active << 11 | (uint64_t)p->chunk_stalled << 13 |
                    (uint64_t)p->full << 14);
    sum_add(&s, p->match);
    sum_add(&s, p->next);
    sum_add(&s, p->counted);
    sum_add(&s, p->round);
    sum_add(&s, p->flight_bytes);
    sum_add(&s, p->flight_count);
    sum_add(&s, p->recover_index);
    uint32_t window = (uint32_t)r->options.max_in_flight;
    uint64_t flights = 0;
    for (uint32_t i = 0, at = p->flight_head; i < p->flight_count; i++, at = at + 1 == window ? 0 : at + 1) {
        const struct raft_flight *flight = &r->flights[slot * window + at];
        flights += hash_fold(i ^ flight->bytes << 32, flight->last);
    }
    sum_add(&s, flights);
    sum_add(&s, p->transfer ? hash_fold(p->transfer->checksum, p->chunk_offset) : 0);
    return s.total;
}

/* Of the entries that are not yet applied: whose proposal each of them is, where it is one of this node's. */
static uint64_t sum_tokens(const struct log *l, uint64_t applied) {
    uint64_t tokens = 0, i = (applied > l->base ? applied : l->base) + 1;
    while (i <= l->last) {
        const struct log_segment *segment = log_segment_of(l, i);
        uint64_t end = segment->first + LOG_SEGMENT - 1;
        for (; i <= end && i <= l->last; i++) {
            uint64_t token = segment->slots[i - segment->first].token;
            if (token) tokens += hash_fold(i, token);
        }
    }
    return tokens;
}

static uint64_t sum_log(const struct raft *r) {
    const struct log *l = &r->log;
    struct sum s = {0};
    sum_add(&s, l->base);
    sum_add(&s, l->last);
    sum_add(&s, l->base_hash);
    sum_add(&s, l->last_hash); /* the chain stands for all that lies between */
    sum_add(&s, r->commit);
    sum_add(&s, r->applied);
    sum_add(&s, r->durable);
    sum_add(&s, sum_tokens(l, r->applied));
    uint64_t pending = 0;
    for (uint32_t i = 0; i < r->pending_count; i++) {
        const struct raft_pending *p = &r->pending[(r->pending_head + i) & (r->pending_capacity - 1)];
        pending += hash_fold(i ^ p->term << 32, p->last);
    }
    sum_add(&s, pending);
    return s.total;
}

static uint64_t sum_reads(const struct raft *r) {
    uint64_t reads = 0;
    for (size_t i = 0; i < r->read_count; i++)
        reads += hash_fold(hash_fold(hash_fold(i, r->reads[i].token), r->reads[i].round), r->reads[i].index);
    return reads;
}

static uint64_t sum_peers(const struct raft *r) {
    uint64_t peers = 0;
    for (size_t i = 0; i < r->configuration.count; i++) peers += hash_fold(i, sum_peer(r, i));
    return peers;
}

uint64_t raft_fingerprint(const void *state) {
    const struct raft *r = state;
    struct sum s = {0};
    sum_add(&s, r->node);
    sum_add(&s, r->term);
    sum_add(&s, (uint64_t)r->vote | (uint64_t)r->leader << 16 | (uint64_t)r->role << 32 |
                    (uint64_t)r->recovering << 40 | (uint64_t)r->snapshotting << 41 | (uint64_t)r->gathering << 42 |
                    (uint64_t)r->full << 43);
    for (size_t i = 0; i < 4; i++) sum_add(&s, r->random.s[i]);
    sum_add(&s, sum_log(r));
    sum_add(&s, sum_peers(r));
    sum_add(&s, r->round);
    sum_add(&s, r->round_confirmed);
    sum_add(&s, sum_reads(r));
    sum_add(&s, r->restoring);
    sum_add(&s, r->snapshot ? r->snapshot->checksum : 0);
    sum_add(&s, hash_bytes(r->incoming.stream.data, r->incoming.stream.size, 0));
    sum_add(&s, r->incoming.index);
    sum_add(&s, r->incoming.checksum);
    sum_add(&s, r->recover_term);
    sum_add(&s, r->recover_target);
    for (size_t i = 0; i < RAFT_MEMBERS_MAX / 64; i++) sum_add(&s, r->recover_answered[i]);
    sum_add(&s, (uint64_t)r->timeout_ns);
    return s.total;
}

#define HOLDS(fact) VIEW_HOLDS(e, "raft", r->node, fact)

static bool peer_invariants(const struct raft *r, struct error *e) {
    for (uint16_t i = 0; i < r->configuration.count; i++) {
        const struct raft_peer *p = &r->peers[i];
        if (i == r->slot) continue;
        HOLDS(p->next >= 1 && p->next <= r->log.last + 1);
        HOLDS(p->counted <= r->log.last);
        HOLDS(p->match < p->next || p->flow == RAFT_SNAPSHOT);
        HOLDS(p->flight_count <= (uint32_t)r->options.max_in_flight);
        HOLDS((p->flow == RAFT_SNAPSHOT) == (p->transfer != NULL));
        HOLDS(p->round <= r->round);
    }
    return true;
}

bool raft_invariants(const void *state, struct error *e) {
    const struct raft *r = state;
    /* Switched-on mistakes break these too, and the checkers are to see them from outside. */
    if (r->bugs || r->role == QRT_ROLE_NONE) return true;
    HOLDS(r->commit <= r->log.last);
    HOLDS(r->applied <= r->commit);
    HOLDS(r->durable <= r->log.last);
    HOLDS(r->log.base <= r->applied);
    HOLDS(r->log.base_term <= r->log.last_term);
    HOLDS(r->log.last_term <= r->term);
    HOLDS(r->log.last == r->log.base || log_term(&r->log, r->log.base + 1) >= r->log.base_term);
    HOLDS((r->role == QRT_ROLE_RECOVERING) == r->recovering);
    HOLDS((r->leader == r->node) == (r->role == QRT_ROLE_LEADER));
    HOLDS(r->role != QRT_ROLE_CANDIDATE || r->vote == r->node);
    HOLDS(r->role == QRT_ROLE_LEADER || r->read_count == 0);
    HOLDS(!r->unsaved);
    HOLDS(r->round_confirmed <= r->round);
    return r->role != QRT_ROLE_LEADER || peer_invariants(r, e);
}
#undef HOLDS
