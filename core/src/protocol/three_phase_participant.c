/* A participant of a transaction.
 *
 *   asked --yes--> PREPARED --told that all agree--> PRECOMMITTED --told--> committed
 *                      |                                  |
 *                      +--its coordinator is silent-------+--> termination protocol
 *
 * Termination (Skeen 1982; Bernstein, Hadzilacos and Goodman 1987, section 7.5). Whoever comes first by rank asks all others
 * for their states, and the rest of the operational ones follow:
 *
 *   somebody has decided              that is the decision: who knows it says so instead of its state      (rules 1, 2)
 *   somebody is precommitted          the others are precommitted too, and then all commit                  (rule 4)
 *   all operational ones are uncertain   abort: nobody can have committed                                   (rule 3)
 *
 * A rank waits longer than all before it need, so that the next takes over only when the one before has crashed. That, and
 * that silence means a crash, rests on the bound of delays; a partition breaks it, and then the two sides may decide
 * differently.
 *
 * A node that has crashed since it voted may have missed what the others did: it only asks. When all have crashed so, and all
 * are back, nobody has decided (a decision is durable before it is spoken), and they abort. */
#include "base/check.h"
#include "protocol/three_phase.h"

/* ---- voting ---- */

/* How many participants come before this one, the coordinator left out. */
static unsigned rank_of(const struct three_phase *t, const struct three_phase_live *x, unsigned place) {
    int leader = three_phase_place(t, transaction_node(x->id));
    unsigned rank = 0;
    for (unsigned i = 0; i < place; i++) rank += members_has(&x->writers, i) && (int)i != leader;
    return rank;
}

/* The coordinator, or whoever stands before this one, needs two rounds at most. */
static void wait_for_others(struct three_phase *t, struct three_phase_live *x) {
    x->duty = THREE_NONE;
    three_phase_timer(t, x, 2 * t->options.phase_timeout * (1 + (int64_t)rank_of(t, x, t->place)));
}

static void vote(struct three_phase *t, uint64_t id, uint8_t which) {
    uint16_t leader = transaction_node(id);
    struct message m = {.kind = WIRE_COMMIT_VOTE};
    m.as.commit_vote.transaction = id;
    m.as.commit_vote.vote = which;
    outbox_note(t->out, QRT_KIND_VOTE, which, leader, 0, id, 0, 0);
    outbox_send(t->out, leader, &m, 0, 0, id);
}

static void vote_yes(struct three_phase *t, const struct message *m, const struct transaction *what) {
    struct three_phase_live *x = three_phase_take(t, m->as.commit_prepare.transaction);
    if (!x) return; /* too many under way: silence is a no */
    x->everyone = x->writers = what->writers;
    members_add(&x->everyone, (unsigned)three_phase_place(t, m->from));
    three_phase_prepare(t, x, m->as.commit_prepare.data);
    vote(t, x->id, QRT_VOTE_YES);
    wait_for_others(t, x);
}

void three_phase_on_prepare(struct three_phase *t, const struct message *m) {
    const struct wire_commit_prepare *p = &m->as.commit_prepare;
    struct transaction what;
    if (m->from != transaction_node(p->transaction) || !transaction_sequence(p->transaction) || p->settled ||
        !transaction_read(p->data, t->members, t->member_count, t->place, t->options.refuse, &what) || !what.vote) {
        three_phase_reject(t, m);
        return;
    }
    enum transaction_outcome known = three_phase_outcome(t, p->transaction);
    if (known == OUTCOME_ABORT) vote(t, p->transaction, QRT_VOTE_NO); /* for another that asked */
    if (known || three_phase_find(t, p->transaction)) return;         /* a second copy */
    switch ((qrt_vote)what.vote) {
    case QRT_VOTE_YES: vote_yes(t, m, &what); break;
    case QRT_VOTE_READ_ONLY: vote(t, p->transaction, QRT_VOTE_READ_ONLY); break;
    case QRT_VOTE_NO:
        three_phase_abort_unheard(t, p->transaction);
        vote(t, p->transaction, QRT_VOTE_NO);
        break;
    }
}

/* ---- told ---- */

static void acknowledge(struct three_phase *t, uint16_t to, uint64_t id) {
    struct message m = {.kind = WIRE_COMMIT_PRECOMMIT_ACK};
    m.as.commit_precommit_ack.transaction = id;
    outbox_send(t->out, to, &m, 0, 0, id);
}

void three_phase_on_precommit(struct three_phase *t, const struct message *m, unsigned place) {
    uint64_t id = m->as.commit_precommit.transaction;
    struct three_phase_live *x = three_phase_find(t, id);
    enum transaction_outcome known = three_phase_outcome(t, id);
    if (known) three_phase_tell(t, m->from, id, known == OUTCOME_COMMIT);
    if (known) return;
    if (!x || x->leads || !members_has(&x->everyone, place)) {
        three_phase_reject(t, m); /* nobody has this node's yes */
        return;
    }
    if (x->recovering) return;
    if (x->own == OWN_PREPARED) three_phase_state(t, x, QRT_TRANSACTION_PRECOMMITTED);
    x->own = OWN_PRECOMMITTED;
    acknowledge(t, m->from, id);
    wait_for_others(t, x);
}

void three_phase_on_decision(struct three_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_decision.transaction;
    uint8_t outcome = m->as.commit_decision.outcome;
    struct member_set nobody = {0};
    struct three_phase_live *x = three_phase_find(t, id);
    if (outcome != OUTCOME_COMMIT && outcome != OUTCOME_ABORT) {
        three_phase_reject(t, m);
        return;
    }
    if (!x) return;                                         /* it is over here, or was never begun */
    bool leads_on = x->leads || x->duty == THREE_TERMINATE; /* others may wait for this one */
    struct member_set told = leads_on && !x->recovering ? x->everyone : nobody;
    three_phase_decide(t, x, outcome == OUTCOME_COMMIT, &told);
}

/* ---- termination ---- */

void three_phase_ask(struct three_phase *t, struct three_phase_live *x) {
    struct message m = {.kind = WIRE_COMMIT_STATE_REQUEST};
    m.as.commit_state_request.transaction = x->id;
    m.as.commit_state_request.recovering = x->recovering;
    x->duty = THREE_TERMINATE;
    x->precommits = false;
    x->counted = (struct member_set){0};
    x->awaited = x->everyone;
    members_remove(&x->awaited, t->place);
    three_phase_send_all(t, &x->awaited, &m, x->id);
    three_phase_timer(t, x, t->options.phase_timeout);
}

/* Rules 3 and 4, once all have answered or the time is up. */
static void terminate(struct three_phase *t, struct three_phase_live *x) {
    struct member_set counted = x->counted, everyone = x->everyone;
    if (x->precommits || x->own == OWN_PRECOMMITTED)
        three_phase_precommit(t, x, &counted);
    else
        three_phase_decide(t, x, false, &everyone);
}

/* Back after a crash: nobody has told it the decision yet. */
static void still_recovering(struct three_phase *t, struct three_phase_live *x) {
    if (members_none(&x->awaited) && members_none(&x->counted)) {
        struct member_set everyone = x->everyone;
        three_phase_decide(t, x, false, &everyone);
        return;
    }
    if (!x->blocked) three_phase_state(t, x, QRT_TRANSACTION_BLOCKED);
    x->blocked = true;
    three_phase_ask(t, x);
}

void three_phase_participant_timer(struct three_phase *t, struct three_phase_live *x) {
    if (x->recovering) {
        still_recovering(t, x);
    } else if (x->duty == THREE_TERMINATE) {
        terminate(t, x);
    } else {
        three_phase_state(t, x, QRT_TRANSACTION_TERMINATING);
        three_phase_ask(t, x);
        if (members_none(&x->awaited)) terminate(t, x);
    }
}

static void reply_state(struct three_phase *t, uint16_t to, uint64_t id, uint8_t state, bool recovering) {
    struct message m = {.kind = WIRE_COMMIT_STATE_REPLY};
    m.as.commit_state_reply.transaction = id;
    m.as.commit_state_reply.state = state;
    m.as.commit_state_reply.recovering = recovering;
    outbox_send(t->out, to, &m, 0, 0, id);
}

/* Of a transaction that is neither live nor finished here. Its taker never decided on it, and never will; another has not
 * voted, and now never will. */
static void asked_unknown(struct three_phase *t, const struct message *m, uint64_t id) {
    if (transaction_node(id) != t->node) {
        three_phase_abort_unheard(t, id);
        three_phase_tell(t, m->from, id, false);
    } else if (transaction_sequence(id) < t->next) {
        reply_state(t, m->from, id, OWN_NONE, true);
    } else {
        three_phase_reject(t, m);
    }
}

void three_phase_on_state_request(struct three_phase *t, const struct message *m, unsigned place) {
    uint64_t id = m->as.commit_state_request.transaction;
    struct three_phase_live *x = three_phase_find(t, id);
    enum transaction_outcome known = three_phase_outcome(t, id);
    if (three_phase_place(t, transaction_node(id)) < 0 || !transaction_sequence(id) ||
        m->as.commit_state_request.recovering > 1) {
        three_phase_reject(t, m);
    } else if (known) {
        three_phase_tell(t, m->from, id, known == OUTCOME_COMMIT);
    } else if (!x) {
        asked_unknown(t, m, id);
    } else if (!x->leads) { /* a coordinator that is at work decides soon, and tells */
        bool before = x->duty == THREE_NONE || rank_of(t, x, place) < rank_of(t, x, t->place);
        bool takes_over = !m->as.commit_state_request.recovering; /* who is back after a crash only asks */
        reply_state(t, m->from, id, x->own, x->recovering);
        if (before && takes_over && !x->recovering) wait_for_others(t, x);
    }
}

void three_phase_on_state_reply(struct three_phase *t, const struct message *m, unsigned place) {
    const struct wire_commit_state_reply *r = &m->as.commit_state_reply;
    struct three_phase_live *x = three_phase_find(t, r->transaction);
    if (r->state > OWN_PRECOMMITTED || r->recovering > 1) {
        three_phase_reject(t, m);
        return;
    }
    if (!x || x->duty != THREE_TERMINATE || !members_has(&x->awaited, place)) return;
    members_remove(&x->awaited, place);
    if (!r->recovering) {
        members_add(&x->counted, place);
        x->precommits = x->precommits || r->state == OWN_PRECOMMITTED;
    }
    if (!members_none(&x->awaited)) return;
    if (!x->recovering)
        terminate(t, x);
    else if (members_none(&x->counted))
        still_recovering(t, x);
}
