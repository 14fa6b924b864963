/* Paxos, looked at from outside: status, describe, inspect, fingerprint, invariants. Nothing here changes anything. */
#include <inttypes.h>

#include "base/hash.h"
#include "protocol/paxos.h"
#include "protocol/view.h"

/* A proposer stands for its ballot until a quorum has promised, and then leads it. A node that accepts or learns only
 * takes no proposals, and has no role that others could look for. */
static uint8_t role_of(const struct paxos *p) {
    if (p->recovering) return QRT_ROLE_RECOVERING;
    if (!(p->roles & PAXOS_PROPOSER)) return QRT_ROLE_NONE;
    if (p->proposer.phase == PAXOS_IDLE) return QRT_ROLE_FOLLOWER;
    return p->proposer.phase == PAXOS_PREPARING ? QRT_ROLE_CANDIDATE : QRT_ROLE_LEADER;
}

void paxos_status(const void *state, struct protocol_status *s) {
    const struct paxos *p = state;
    *s = (struct protocol_status){
        .role = role_of(p),
        .leader = p->proposer.phase == PAXOS_ACCEPTING ? p->node : 0,
        .term = p->proposer.ballot,
        .first = 1,
        .last = p->instances.highest,
        .commit = p->instances.known,
        .applied = p->instances.known,
    };
}

bool paxos_entry(const void *state, uint64_t index, struct entry *entry) {
    const struct paxos *p = state;
    const struct decree *i = instances_fits(index) ? instances_at(&p->instances, index) : NULL;
    if (!i || !i->decided) return false;
    *entry = (struct entry){.index = index, .term = i->decided, .kind = ENTRY_OPAQUE};
    entry->data = instances_value(&p->instances, index);
    return true;
}

static const char *phase_name(uint8_t phase) {
    static const char *const names[] = {"idle", "preparing", "accepting"};
    return phase < sizeof names / sizeof *names ? names[phase] : "?";
}

int paxos_describe(const void *state, char *out, size_t size) {
    const struct paxos *p = state;
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s knows %" PRIu64 " decisions", p->node,
                  p->recovering ? "recovering" : phase_name(p->proposer.phase), p->instances.known);
    if (p->proposer.phase)
        buffer_printf(&text, ", instance %" PRIu64 " in round %" PRIu64 ", %u answers", p->proposer.instance,
                      paxos_round(p->proposer.ballot), p->proposer.count);
    return view_finish(&text, out, size);
}

static void inspect_open(const struct paxos *p, uint64_t number, inspect_fn *field, void *context) {
    const struct decree *i = instances_at(&p->instances, number);
    view_number(field, context, "promised", i->promised);
    view_number(field, context, "accepted", i->accepted);
}

void paxos_inspect(const void *state, inspect_fn *field, void *context) {
    const struct paxos *p = state;
    const struct paxos_proposer *a = &p->proposer;
    struct buffer roles = {0};
    if (p->roles & PAXOS_PROPOSER) buffer_printf(&roles, "proposer ");
    if (p->roles & PAXOS_ACCEPTOR) buffer_printf(&roles, "acceptor ");
    buffer_printf(&roles, "learner");
    field(context, "roles", buffer_text(&roles));
    buffer_free(&roles);
    field(context, "phase", phase_name(a->phase));
    field(context, "recovering", p->recovering ? "true" : "false");
    view_number(field, context, "known", p->instances.known);
    view_number(field, context, "highest", p->instances.highest);
    view_number(field, context, "instance", a->instance);
    view_number(field, context, "ballot", a->ballot);
    view_number(field, context, "adopted", a->adopted);
    view_number(field, context, "answers", a->count);
    view_number(field, context, "preempted", a->attempts);
    view_number(field, context, "waiting", p->waiting_count);
    if (p->instances.known < INSTANCES_MAX) inspect_open(p, p->instances.known + 1, field, context);
}

static uint64_t fold_proposer(uint64_t f, const struct paxos *p) {
    const struct paxos_proposer *a = &p->proposer;
    f = hash_fold(f, (uint64_t)a->phase | (uint64_t)a->preempted << 8 | (uint64_t)a->attempts << 16);
    f = hash_fold(hash_fold(f, a->instance), a->ballot);
    f = hash_fold(hash_fold(f, a->round_seen), a->adopted);
    for (size_t i = 0; i < PAXOS_MEMBERS_MAX / 64; i++) f = hash_fold(f, a->answered[i]);
    f = hash_fold(f, a->own_record ? a->own_record - p->stored : 0);
    f = hash_bytes(a->mine.size ? a->mine.data : (const uint8_t *)"", a->mine.size, f);
    return hash_bytes(a->value.size ? a->value.data : (const uint8_t *)"", a->value.size, f);
}

uint64_t paxos_fingerprint(const void *state) {
    const struct paxos *p = state;
    uint64_t f = hash_fold(p->node, instances_fingerprint(&p->instances));
    f = hash_fold(f, (uint64_t)p->recovering | (uint64_t)p->asking << 1 | (uint64_t)p->started << 2);
    for (size_t i = 0; i < 4; i++) f = hash_fold(f, p->random.s[i]);
    f = hash_fold(hash_fold(f, p->heard), p->written - p->stored);
    for (size_t i = 0; i < p->waiting_count; i++) f = hash_fold(f, p->waiting[i]);
    return fold_proposer(f, p);
}

#define HOLDS(fact) VIEW_HOLDS(e, "paxos", p->node, fact)

bool paxos_invariants(const void *state, struct error *e) {
    const struct paxos *p = state;
    const struct paxos_proposer *a = &p->proposer;
    /* Switched-on mistakes break these too, and the checkers are to see them from outside. */
    if (p->bugs || !p->started) return true;
    HOLDS(p->instances.known <= p->instances.highest);
    HOLDS(p->stored <= p->written);
    HOLDS(a->phase != PAXOS_IDLE || p->waiting_count == 0);
    if (p->instances.known < INSTANCES_MAX) {
        const struct decree *i = instances_at(&p->instances, p->instances.known + 1);
        HOLDS(i->accepted <= i->promised);
    }
    if (a->phase == PAXOS_IDLE) return true;
    HOLDS(p->roles & PAXOS_PROPOSER);
    HOLDS(!p->recovering);
    HOLDS(a->instance == p->instances.known + 1);
    HOLDS((uint16_t)a->ballot == p->node);
    HOLDS(a->ballot <= instances_at(&p->instances, a->instance)->promised);
    HOLDS(a->adopted < a->ballot);
    HOLDS(a->count <= p->count - p->first_acceptor);
    HOLDS(p->waiting_count > 0);
    return true;
}
#undef HOLDS
