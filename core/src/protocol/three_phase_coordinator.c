/* The coordinator of a transaction, and the steps that whoever takes its place shares with it.
 *
 *   begin --> COLLECT --all yes--> PRECOMMIT --all acknowledged, or the time is up--> commit
 *                |
 *                +--a no, or the time is up--> abort
 *
 * When the time for acknowledgements is up, those that are missing have crashed: that is what the bound on delays says. */
#include "base/check.h"
#include "protocol/three_phase.h"

#define RESERVE 4096 /* sequences a record makes this node's own */

static void abort_all(struct three_phase *t, struct three_phase_live *x) {
    struct member_set told = x->voted;
    members_unite(&told, &x->awaited); /* they may have prepared by now */
    three_phase_decide(t, x, false, &told);
}

/* All that count have voted yes. They are told so; once they know, a commit cannot surprise anybody. */
void three_phase_precommit(struct three_phase *t, struct three_phase_live *x, const struct member_set *who) {
    struct message m = {.kind = WIRE_COMMIT_PRECOMMIT};
    m.as.commit_precommit.transaction = x->id;
    x->duty = THREE_PRECOMMIT;
    x->awaited = *who;
    members_remove(&x->awaited, t->place);
    if (x->own == OWN_PREPARED) {
        x->own = OWN_PRECOMMITTED;
        three_phase_state(t, x, QRT_TRANSACTION_PRECOMMITTED);
    }
    if (members_none(&x->awaited)) {
        three_phase_decide(t, x, true, who);
        return;
    }
    three_phase_send_all(t, &x->awaited, &m, x->id);
    three_phase_timer(t, x, t->options.phase_timeout);
}

/* ---- beginning ---- */

static uint64_t next_number(struct three_phase *t) {
    if (t->next > t->reserved) three_phase_reserve(t, t->reserved + RESERVE);
    return transaction_number(t->node, t->next++);
}

static void collect(struct three_phase *t, struct three_phase_live *x, const struct transaction *what,
                    struct bytes data) {
    struct message m = {.kind = WIRE_COMMIT_PREPARE};
    m.as.commit_prepare.transaction = x->id;
    m.as.commit_prepare.data = data;
    x->duty = THREE_COLLECT;
    x->leads = true;
    x->awaited = what->participants;
    members_remove(&x->awaited, t->place);
    if (what->vote == QRT_VOTE_YES) three_phase_prepare(t, x, data);
    if (what->vote) outbox_note(t->out, QRT_KIND_VOTE, what->vote, t->node, 0, x->id, 0, 0);
    if (what->vote == QRT_VOTE_NO) {
        three_phase_decide(t, x, false, &(struct member_set){0}); /* nobody has heard of it */
        return;
    }
    three_phase_send_all(t, &x->awaited, &m, x->id);
    three_phase_timer(t, x, t->options.phase_timeout);
    if (members_none(&x->awaited)) three_phase_precommit(t, x, &x->voted);
}

void three_phase_on_propose(struct three_phase *t, const struct event *e) {
    struct bytes data = e->as.propose.data;
    uint64_t token = e->as.propose.token;
    struct transaction what;
    if (!transaction_read(data, t->members, t->member_count, t->place, t->options.refuse, &what)) {
        outbox_reply(t->out, token, data.size > TRANSACTION_DATA_MAX ? QRT_ETOOLARGE : QRT_EINVAL, 0);
        return;
    }
    uint64_t id = t->next <= TRANSACTION_SEQUENCE_MAX ? next_number(t) : 0;
    struct three_phase_live *x = id ? three_phase_take(t, id) : NULL;
    if (!x) {
        outbox_reply(t->out, token, QRT_EFULL, 0);
        return;
    }
    t->begun++;
    x->token = token;
    x->everyone = x->writers = what.writers;
    members_add(&x->everyone, t->place);
    outbox_note(t->out, QRT_KIND_STATE, QRT_TRANSACTION_BEGUN, 0, members_count(&what.participants), id, 0,
                what.digest);
    collect(t, x, &what, data);
}

/* ---- votes and acknowledgements ---- */

void three_phase_on_vote(struct three_phase *t, const struct message *m, unsigned place) {
    uint64_t id = m->as.commit_vote.transaction;
    uint8_t vote = m->as.commit_vote.vote;
    if (transaction_node(id) != t->node || transaction_sequence(id) >= t->next || vote < QRT_VOTE_YES ||
        vote > QRT_VOTE_READ_ONLY) {
        three_phase_reject(t, m);
        return;
    }
    struct three_phase_live *x = three_phase_find(t, id);
    if (!x || x->duty != THREE_COLLECT || !members_has(&x->awaited, place)) return;
    members_remove(&x->awaited, place);
    if (vote == QRT_VOTE_YES) members_add(&x->voted, place);
    if (vote == QRT_VOTE_NO)
        abort_all(t, x);
    else if (members_none(&x->awaited))
        three_phase_precommit(t, x, &x->voted);
}

/* Everybody that is awaited was told, and hears of the decision, whether it has acknowledged or not. */
static void commit_all(struct three_phase *t, struct three_phase_live *x) {
    struct member_set told = x->leads ? x->voted : x->everyone;
    three_phase_decide(t, x, true, &told);
}

void three_phase_on_precommit_ack(struct three_phase *t, const struct message *m, unsigned place) {
    struct three_phase_live *x = three_phase_find(t, m->as.commit_precommit_ack.transaction);
    if (!x || x->duty != THREE_PRECOMMIT) return; /* a late one */
    members_remove(&x->awaited, place);
    if (members_none(&x->awaited)) commit_all(t, x);
}

void three_phase_coordinator_timer(struct three_phase *t, struct three_phase_live *x) {
    if (x->duty == THREE_COLLECT)
        abort_all(t, x);
    else
        commit_all(t, x);
}
