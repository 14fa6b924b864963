/* Three-phase commit, looked at from outside: status, describe, inspect, fingerprint, invariants. */
#include <inttypes.h>

#include "base/hash.h"
#include "protocol/three_phase.h"
#include "protocol/view.h"

void three_phase_status(const void *state, struct protocol_status *s) {
    const struct three_phase *t = state;
    uint64_t decided = t->committed + t->aborted;
    *s = (struct protocol_status){
        .role = QRT_ROLE_FOLLOWER, .first = 1, .last = decided, .commit = t->committed, .applied = decided};
}

static const char *live_name(const struct three_phase_live *x) {
    static const char *const duties[] = {"", "collecting votes", "telling that all agree", "terminating"};
    static const char *const owns[] = {"none", "prepared", "precommitted"};
    if (x->recovering) return x->blocked ? "recovering, blocked" : "recovering";
    return x->duty ? duties[x->duty & 3] : owns[x->own < 3 ? x->own : 0];
}

int three_phase_describe(const void *state, char *out, size_t size) {
    const struct three_phase *t = state;
    struct buffer text = {0};
    unsigned live = 0;
    for (size_t i = 0; i < t->live_count; i++) live += t->live[i].used;
    buffer_printf(&text, "n%u has %u transactions under way; committed %" PRIu64 ", aborted %" PRIu64, t->node, live,
                  t->committed, t->aborted);
    return view_finish(&text, out, size);
}

void three_phase_inspect(const void *state, inspect_fn *field, void *context) {
    const struct three_phase *t = state;
    view_number(field, context, "begun", t->begun);
    view_number(field, context, "committed", t->committed);
    view_number(field, context, "aborted", t->aborted);
    for (size_t i = 0; i < t->live_count; i++) {
        const struct three_phase_live *x = &t->live[i];
        char name[48];
        struct buffer b = {0};
        if (!x->used) continue;
        buffer_printf(&b, "n%u:%" PRIu64, transaction_node(x->id), transaction_sequence(x->id));
        view_finish(&b, name, sizeof name);
        field(context, name, live_name(x));
    }
}

static uint64_t fold_set(uint64_t f, const struct member_set *s) {
    return hash_fold(hash_fold(f, s->bits[0]), s->bits[1]);
}

static uint64_t fold_live(uint64_t f, const struct three_phase_live *x, size_t place) {
    f = hash_fold(hash_fold(f, place), x->id); /* the place is the timer's number */
    f = hash_fold(f, (uint64_t)x->recovering | (uint64_t)x->blocked << 1 | (uint64_t)x->leads << 2 |
                         (uint64_t)x->precommits << 3 | (uint64_t)x->own << 8 | (uint64_t)x->duty << 16);
    f = fold_set(fold_set(hash_fold(f, x->token), &x->everyone), &x->writers);
    return fold_set(fold_set(fold_set(f, &x->awaited), &x->voted), &x->counted);
}

uint64_t three_phase_fingerprint(const void *state) {
    const struct three_phase *t = state;
    uint64_t f = hash_fold(t->node, t->next);
    f = hash_fold(f, t->reserved);
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used) f = fold_live(f, &t->live[i], i);
    f = ledgers_fold(f, t->ledgers, t->member_count);
    return hash_fold(hash_fold(hash_fold(f, t->begun), t->committed), t->aborted);
}

#define HOLDS(fact) VIEW_HOLDS(e, "3pc", t->node, fact)

bool three_phase_invariants(const void *state, struct error *e) {
    const struct three_phase *t = state;
    HOLDS(!t->out);
    for (size_t i = 0; i < t->live_count; i++) {
        const struct three_phase_live *x = &t->live[i];
        if (!x->used) continue;
        HOLDS(x->leads || x->own);
        HOLDS(!x->leads || transaction_node(x->id) == t->node);
        HOLDS(x->duty != THREE_COLLECT || x->leads);
        HOLDS(!x->recovering || x->duty == THREE_TERMINATE);
        HOLDS(!x->recovering || x->own == OWN_PREPARED);
        HOLDS(!x->blocked || x->recovering);
        HOLDS(members_has(&x->everyone, t->place) && members_hold(&x->everyone, &x->writers));
        HOLDS(ledger_outcome(&t->ledgers[three_phase_place(t, transaction_node(x->id))], transaction_sequence(x->id)) ==
              OUTCOME_UNKNOWN);
    }
    for (uint16_t i = 0; i < t->member_count; i++) HOLDS(ledger_is_sound(&t->ledgers[i]));
    return true;
}
#undef HOLDS
