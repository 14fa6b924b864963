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

/* Parts and lists enter the fingerprint as sums, so that their folds do not wait for one another: captures hash every
 * step. */
static uint64_t fold_peer(uint64_t f, const struct raft *r, size_t slot) {
    const struct raft_peer *p = &r->peers[slot];
    f = hash_fold(f, (uint64_t)p->flow | (uint64_t)p->probe_sent << 8 | (uint64_t)p->granted << 9 |
                         (uint64_t)p->refused << 10 | (uint64_t)p->active << 11 | (uint64_t)p->chunk_stalled << 13);
    f = hash_fold(hash_fold(f, p->match), p->next);
    f = hash_fold(hash_fold(f, p->counted), p->round);
    f = hash_fold(hash_fold(f, p->flight_bytes), p->flight_count);
    uint32_t window = (uint32_t)r->options.max_in_flight;
    uint64_t flights = 0;
    for (uint32_t i = 0, at = p->flight_head; i < p->flight_count; i++, at = at + 1 == window ? 0 : at + 1) {
        const struct raft_flight *flight = &r->flights[slot * window + at];
        flights += hash_fold(i ^ flight->bytes << 32, flight->last);
    }
    f = hash_fold(hash_fold(f, flights), p->recover_index);
    return p->transfer ? hash_fold(hash_fold(f, p->transfer->checksum), p->chunk_offset) : f;
}

static uint64_t fold_log(uint64_t f, const struct raft *r) {
    const struct log *l = &r->log;
    f = hash_fold(hash_fold(f, l->base), l->last);
    f = hash_fold(hash_fold(f, l->base_hash), l->last_hash); /* the chain stands for all that lies between */
    f = hash_fold(hash_fold(f, r->commit), r->applied);
    f = hash_fold(f, r->durable);
    uint64_t tokens = 0;
    for (uint64_t i = r->applied + 1; i <= l->last; i++)
        if (log_has(l, i)) tokens += hash_fold(i, log_slot_of(l, i)->token);
    f = hash_fold(f, tokens);
    uint64_t pending = 0;
    for (uint32_t i = 0; i < r->pending_count; i++) {
        const struct raft_pending *p = &r->pending[(r->pending_head + i) & (r->pending_capacity - 1)];
        pending += hash_fold(i ^ p->term << 32, p->last);
    }
    return hash_fold(f, pending);
}

uint64_t raft_fingerprint(const void *state) {
    const struct raft *r = state;
    uint64_t f = hash_fold(r->node, r->term);
    f = hash_fold(f, (uint64_t)r->vote | (uint64_t)r->leader << 16 | (uint64_t)r->role << 32 |
                         (uint64_t)r->recovering << 40 | (uint64_t)r->snapshotting << 41 |
                         (uint64_t)r->gathering << 42);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, r->random.s[i]);
    uint64_t peers = 0;
    for (size_t i = 0; i < r->configuration.count; i++) peers += fold_peer(i, r, i);
    f = hash_fold(hash_fold(f, fold_log(0, r)), peers);
    f = hash_fold(hash_fold(f, r->round), r->round_confirmed);
    for (size_t i = 0; i < r->read_count; i++)
        f = hash_fold(hash_fold(hash_fold(f, r->reads[i].token), r->reads[i].round), r->reads[i].index);
    f = hash_fold(hash_fold(f, r->restoring), r->snapshot ? r->snapshot->checksum : 0);
    f = hash_bytes(r->incoming.stream.data, r->incoming.stream.size, f);
    f = hash_fold(hash_fold(f, r->incoming.index), r->incoming.checksum);
    f = hash_fold(hash_fold(f, r->recover_term), r->recover_target);
    for (size_t i = 0; i < RAFT_MEMBERS_MAX / 64; i++) f = hash_fold(f, r->recover_answered[i]);
    return hash_fold(f, (uint64_t)r->timeout_ns);
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
