/* Two-phase commit, looked at from outside: status, describe, inspect, fingerprint, invariants. */
#include <inttypes.h>

#include "base/hash.h"
#include "protocol/two_phase.h"
#include "protocol/view.h"

void two_phase_status(const void *state, struct protocol_status *s) {
    const struct two_phase *t = state;
    uint64_t decided = t->committed + t->aborted;
    *s = (struct protocol_status){
        .role = QRT_ROLE_FOLLOWER, .first = 1, .last = decided, .commit = t->committed, .applied = decided};
}

struct tally {
    unsigned collecting, telling, prepared, blocked;
};

static struct tally tally_of(const struct two_phase *t) {
    struct tally n = {0};
    for (size_t i = 0; i < t->live_count; i++) {
        const struct two_phase_live *x = &t->live[i];
        n.collecting += x->duty == DUTY_COLLECT;
        n.telling += x->duty > DUTY_COLLECT;
        n.prepared += x->prepared;
        n.blocked += x->blocked;
    }
    return n;
}

int two_phase_describe(const void *state, char *out, size_t size) {
    const struct two_phase *t = state;
    struct tally n = tally_of(t);
    struct buffer text = {0};
    buffer_printf(&text, "n%u collects votes for %u, tells of %u, is prepared in %u, blocked in %u; ", t->node,
                  n.collecting, n.telling, n.prepared, n.blocked);
    buffer_printf(&text, "committed %" PRIu64 ", aborted %" PRIu64, t->committed, t->aborted);
    return view_finish(&text, out, size);
}

static const char *live_name(const struct two_phase_live *x) {
    static const char *const duties[] = {"prepared", "collecting votes", "telling commit", "telling abort"};
    return x->blocked ? "blocked" : duties[x->duty & 3];
}

static void live_field(inspect_fn *field, void *context, const struct two_phase_live *x) {
    char name[48];
    struct buffer b = {0};
    buffer_printf(&b, "n%u:%" PRIu64, transaction_node(x->id), transaction_sequence(x->id));
    view_finish(&b, name, sizeof name);
    field(context, name, live_name(x));
}

void two_phase_inspect(const void *state, inspect_fn *field, void *context) {
    const struct two_phase *t = state;
    static const char *const forms[] = {"presumed-nothing", "presumed-abort", "participant-initiated",
                                        "presumed-commit"};
    struct tally n = tally_of(t);
    size_t remembered = 0;
    for (uint16_t i = 0; i < t->member_count; i++) remembered += t->ledgers[i].count;
    field(context, "form", forms[t->options.form]);
    view_number(field, context, "begun", t->begun);
    view_number(field, context, "committed", t->committed);
    view_number(field, context, "aborted", t->aborted);
    view_number(field, context, "collecting", n.collecting);
    view_number(field, context, "telling", n.telling);
    view_number(field, context, "prepared", n.prepared);
    view_number(field, context, "blocked", n.blocked);
    view_number(field, context, "remembered", remembered);
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used) live_field(field, context, &t->live[i]);
}

static uint64_t fold_set(uint64_t f, const struct member_set *s) {
    return hash_fold(hash_fold(f, s->bits[0]), s->bits[1]);
}

static uint64_t fold_live(uint64_t f, const struct two_phase_live *x, size_t place) {
    f = hash_fold(hash_fold(f, place), x->id); /* the place is the timer's number */
    f = hash_fold(f, (uint64_t)x->prepared | (uint64_t)x->blocked << 1 | (uint64_t)x->yes << 2 |
                         (uint64_t)x->duty << 8 | (uint64_t)x->rounds << 16);
    f = hash_fold(hash_fold(f, x->token), x->digest);
    f = fold_set(fold_set(f, &x->awaited), &x->voted);
    return fold_set(fold_set(f, &x->owed), &x->peers);
}

uint64_t two_phase_fingerprint(const void *state) {
    const struct two_phase *t = state;
    uint64_t f = hash_fold(t->node, (uint64_t)t->gap);
    f = hash_fold(hash_fold(f, t->next), t->reserved);
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used) f = fold_live(f, &t->live[i], i);
    f = ledgers_fold(f, t->ledgers, t->member_count);
    f = hash_bytes(t->lazy.data, t->lazy.size, f);
    return hash_fold(hash_fold(hash_fold(f, t->begun), t->committed), t->aborted);
}

#define HOLDS(fact) VIEW_HOLDS(e, "2pc", t->node, fact)

static bool live_invariants(const struct two_phase *t, const struct two_phase_live *x, struct error *e) {
    bool manages = two_phase_manager(t, x->id) == t->node;
    HOLDS(x->prepared || x->duty);
    HOLDS(!x->duty || manages);
    HOLDS(!x->blocked || x->prepared);
    HOLDS(x->duty != DUTY_COLLECT || members_none(&x->owed));
    HOLDS(x->duty != DUTY_TELL_COMMIT || (members_none(&x->awaited) && !members_none(&x->owed)));
    HOLDS(x->duty != DUTY_COLLECT || !members_none(&x->awaited));
    HOLDS(!members_has(&x->owed, t->place) && !members_has(&x->peers, t->place));
    return true;
}

bool two_phase_invariants(const void *state, struct error *e) {
    const struct two_phase *t = state;
    HOLDS(!t->out);
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used && !live_invariants(t, &t->live[i], e)) return false;
    for (uint16_t i = 0; i < t->member_count; i++) HOLDS(ledger_is_sound(&t->ledgers[i]));
    return true;
}
#undef HOLDS
