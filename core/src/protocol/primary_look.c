/* Primary-backup, looked at from outside: status, describe, inspect, fingerprint, invariants. Nothing here changes
 * anything. */
#include <inttypes.h>

#include "protocol/primary.h"
#include "protocol/view.h"

void primary_status(const void *state, struct protocol_status *s) {
    const struct primary *p = state;
    s->role = p->role;
    s->leader = p->leader;
    s->term = p->epoch;
    s->first = log_first(&p->log);
    s->last = p->log.last;
    s->commit = p->commit;
    s->applied = p->applied;
}

bool primary_entry(const void *state, uint64_t index, struct entry *entry) {
    const struct primary *p = state;
    return log_entry(&p->log, index, entry);
}

static const char *role_name(const struct primary *p) {
    static const char *const names[] = {"starting", "backup", "asking", "candidate", "primary", "silent"};
    if (p->role == QRT_ROLE_CANDIDATE && p->reconciling) return "reconciling";
    return p->role < sizeof names / sizeof *names ? names[p->role] : "?";
}

int primary_describe(const void *state, char *out, size_t size) {
    const struct primary *p = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s epoch %" PRIu64, p->node, role_name(p), p->epoch);
    if (p->leader && p->leader != p->node) buffer_printf(&text, " of n%u", p->leader);
    buffer_printf(&text, ", log 1..%" PRIu64 ", acknowledged %" PRIu64 ", applied %" PRIu64, p->log.last, p->commit,
                  p->applied);
    return view_finish(&text, out, size);
}

static void field_set(inspect_fn *field, void *context, const char *name, const struct primary *p,
                      const struct primary_set *s) {
    struct buffer b = {0};
    for (uint16_t i = 0; i < p->count; i++)
        if (set_has(s, i)) buffer_printf(&b, "%sn%u", b.size ? " " : "", p->members[i]);
    field(context, name, buffer_text(&b));
    buffer_free(&b);
}

static void inspect_peers(const struct primary *p, inspect_fn *field, void *context) {
    for (uint16_t i = 0; i < p->count; i++) {
        if (i == p->slot) continue;
        char name[48];
        struct buffer b = {0};
        buffer_printf(&b, "n%u.match", p->members[i]);
        view_finish(&b, name, sizeof name);
        view_number(field, context, name, p->peers[i].match);
    }
}

void primary_inspect(const void *state, inspect_fn *field, void *context) {
    const struct primary *p = state;
    field(context, "role", role_name(p));
    view_number(field, context, "epoch", p->epoch);
    view_number(field, context, "primary", p->leader);
    view_number(field, context, "promised", p->vote);
    view_number(field, context, "commit", p->commit);
    view_number(field, context, "applied", p->applied);
    view_number(field, context, "durable", p->durable);
    view_number(field, context, "last", p->log.last);
    view_number(field, context, "view.epoch", p->view.epoch);
    view_number(field, context, "view.version", p->view.version);
    field_set(field, context, "view.in_sync", p, &p->view.in_sync);
    view_number(field, context, "pending_reads", p->read_count);
    if (primary_leads(p)) field_set(field, context, "in_sync", p, &p->active.in_sync);
    if (primary_leads(p)) inspect_peers(p, field, context);
}

static uint64_t fold_view(uint64_t f, const struct primary_view *v) {
    f = hash_fold(hash_fold(f, v->epoch), v->version);
    return hash_fold(hash_fold(f, v->in_sync.words[0]), v->in_sync.words[1]);
}

static uint64_t fold_peer(uint64_t f, const struct primary_peer *q) {
    f = hash_fold(f, (uint64_t)q->granted | (uint64_t)q->refused << 1 | (uint64_t)q->accepted << 2 |
                         (uint64_t)q->probing << 3 | (uint64_t)q->probe_sent << 4 | (uint64_t)q->suspected << 5);
    return hash_fold(hash_fold(hash_fold(f, q->match), q->next), q->round);
}

static uint64_t fold_log(uint64_t f, const struct primary *p) {
    f = hash_fold(hash_fold(f, p->log.last), p->log.last_hash); /* the chain stands for all that lies before */
    f = hash_fold(hash_fold(hash_fold(f, p->commit), p->applied), p->durable);
    for (uint64_t i = p->applied + 1; i <= p->log.last; i++) f = hash_fold(f, log_slot_of(&p->log, i)->token);
    for (uint32_t i = 0; i < p->pending_count; i++) {
        const struct primary_pending *r = &p->pending[(p->pending_head + i) & (p->pending_capacity - 1)];
        f = hash_fold(hash_fold(f, r->last), r->epoch);
        f = hash_fold(hash_fold(f, r->view_epoch), r->view_version);
    }
    return f;
}

uint64_t primary_fingerprint(const void *state) {
    const struct primary *p = state;
    uint64_t f = hash_fold(p->node, p->epoch);
    f = hash_fold(f, (uint64_t)p->vote | (uint64_t)p->leader << 16 | (uint64_t)p->role << 32 |
                         (uint64_t)p->silent << 40 | (uint64_t)p->reconciling << 41 | (uint64_t)p->proposing << 42 |
                         (uint64_t)p->restoring << 43 | (uint64_t)(p->genesis != NULL) << 44);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, p->random.s[i]);
    f = fold_view(fold_view(f, &p->view), &p->best);
    f = fold_view(fold_view(f, &p->active), &p->proposed);
    f = fold_log(f, p);
    for (size_t i = 0; i < p->count; i++) f = fold_peer(f, &p->peers[i]);
    f = hash_fold(hash_fold(hash_fold(f, p->round), p->round_confirmed), p->epoch_start);
    for (size_t i = 0; i < p->read_count; i++)
        f = hash_fold(hash_fold(hash_fold(f, p->reads[i].token), p->reads[i].round), p->reads[i].index);
    return hash_fold(f, (uint64_t)p->timeout_ns);
}

#define HOLDS(fact) VIEW_HOLDS(e, "primary-backup", p->node, fact)

static bool replicating_invariants(const struct primary *p, struct error *e) {
    for (uint16_t i = 0; i < p->count; i++) {
        const struct primary_peer *peer = &p->peers[i];
        if (i == p->slot) continue;
        HOLDS(peer->next >= 1 && peer->next <= p->log.last + 1);
        HOLDS(peer->match < peer->next);
        HOLDS(peer->round <= p->round);
    }
    HOLDS(p->round_confirmed <= p->round);
    if (p->options.mode != PRIMARY_SYNC || !primary_leads(p)) return true;
    HOLDS(p->active.epoch == p->epoch);
    HOLDS(set_has(&p->active.in_sync, p->slot));
    HOLDS(primary_is_quorum(p, &p->active.in_sync));
    return true;
}

bool primary_invariants(const void *state, struct error *e) {
    const struct primary *p = state;
    /* Switched-on mistakes break these too, and the checkers are to see them from outside. */
    if (p->bugs || p->role == QRT_ROLE_NONE) return true;
    HOLDS(p->commit <= p->log.last);
    HOLDS(p->applied <= p->commit);
    HOLDS(p->durable <= p->log.last);
    HOLDS(p->log.last_term <= p->epoch);
    HOLDS(p->view.epoch <= p->epoch);
    HOLDS((p->role == QRT_ROLE_RECOVERING) == p->silent);
    HOLDS((p->leader == p->node) == (p->role == QRT_ROLE_LEADER));
    HOLDS(p->role != QRT_ROLE_CANDIDATE || p->vote == p->node);
    HOLDS(p->role == QRT_ROLE_LEADER || p->read_count == 0);
    HOLDS(!p->unsaved);
    return !primary_replicates(p) || replicating_invariants(p, e);
}
#undef HOLDS
