/* The manager of a transaction (in the coordinator-initiated forms: its coordinator).
 *
 *   begin --> COLLECT --all yes--> commit: forced --> TELL_COMMIT --all acknowledged--> over
 *                |                                         (participant-initiated: over at once)
 *                +--a no, or the time is up--> abort ----> TELL_ABORT  --all acknowledged, or all have voted--> over
 *
 * A manager that crashes in COLLECT knows nothing of the transaction when it comes back, and answers "abort" to whoever
 * asks: it had not decided, and never will decide otherwise. With presumed commit it knows whom it had asked, from a
 * record that stood before the question, and tells them of the abort until all have acknowledged; of what it does not
 * know, it answers "commit". What it decided to commit is in its log, with those who
 * have yet to acknowledge. */
#include "base/check.h"
#include "protocol/two_phase.h"

#define RESERVE 4096 /* sequences a record makes this node's own */

/* ---- the end of a transaction here ---- */

static void over(struct two_phase *t, struct two_phase_live *x) {
    bool logged = two_phase_acknowledged(t, x->duty == DUTY_TELL_COMMIT);
    if (logged) two_phase_log_over(t, x->id);
    two_phase_end(t, x);
}

static bool is_over(const struct two_phase_live *x) {
    if (!members_none(&x->owed)) return false;
    return x->duty == DUTY_TELL_COMMIT || (x->duty == DUTY_TELL_ABORT && members_none(&x->awaited));
}

/* ---- the decision ---- */

/* Whether the decision is written before it is spoken. A commit always is, unless nobody changed anything; an abort
 * where it is not presumed, and where a late copy of the first message could begin the transaction anew. */
static bool decision_is_forced(const struct two_phase *t, const struct two_phase_live *x, bool commit) {
    if (t->options.form == FORM_COMMIT) return commit;
    if (commit) return x->yes || !members_none(&x->voted);
    if (t->options.form == FORM_PARTICIPANT) return transaction_node(x->id) != t->node;
    return t->options.form == FORM_NOTHING;
}

static void tell_all(struct two_phase *t, uint64_t id, const struct member_set *who, bool commit, bool early) {
    for (uint16_t i = 0; i < t->member_count; i++)
        if (members_has(who, i)) two_phase_tell(t, t->members[i], id, commit, early);
}

static void decide(struct two_phase *t, struct two_phase_live *x, bool commit) {
    struct member_set told = x->voted, nobody = {0};
    bool acknowledged = two_phase_acknowledged(t, commit), forced = decision_is_forced(t, x, commit);
    bool early = commit && two_phase_has_bug(t, TWO_PHASE_COMMIT_BEFORE_DECISION_DURABLE);
    if (!commit) members_unite(&told, &x->awaited); /* they may have prepared by now */
    if (forced || t->options.form == FORM_PARTICIPANT)
        two_phase_log_decided(t, x->id, commit, acknowledged ? &told : &nobody);
    if (forced) two_phase_force(t, x->id, ENTRY_DECIDED);
    if (t->options.form == FORM_PARTICIPANT) two_phase_remember(t, x->id, commit);
    two_phase_decided(t, x->id, commit, x->token, early);
    x->token = 0;
    x->prepared = false;
    x->duty = commit ? DUTY_TELL_COMMIT : DUTY_TELL_ABORT;
    x->owed = acknowledged ? told : nobody;
    tell_all(t, x->id, &told, commit, early);
    if (is_over(x))
        over(t, x);
    else
        two_phase_timer(t, x, acknowledged ? t->options.retry_interval : t->options.vote_timeout);
}

static void maybe_commit(struct two_phase *t, struct two_phase_live *x) {
    if (members_none(&x->awaited)) decide(t, x, true);
}

/* ---- beginning ---- */

static uint64_t next_number(struct two_phase *t) {
    if (t->next > t->reserved) {
        t->reserved += RESERVE;
        two_phase_log_reserved(t, t->reserved);
        two_phase_force(t, 0, ENTRY_RESERVED);
    }
    return transaction_number(t->node, t->next++);
}

/* All of this node's transactions below it are over, so that nobody will ask about them any more. */
static uint64_t settled(const struct two_phase *t) {
    if (t->options.form == FORM_PARTICIPANT) return 0; /* nothing is acknowledged: nothing is ever forgotten */
    uint64_t least = t->next;
    for (size_t i = 0; i < t->live_count; i++) {
        const struct two_phase_live *x = &t->live[i];
        if (!x->used || x->duty == DUTY_NONE) continue;
        uint64_t sequence = transaction_sequence(x->id);
        if (sequence < least) least = sequence;
    }
    return least;
}

static void ask_for_votes(struct two_phase *t, struct two_phase_live *x, struct bytes data) {
    struct message m = {.kind = WIRE_COMMIT_PREPARE};
    m.as.commit_prepare.transaction = x->id;
    m.as.commit_prepare.settled = settled(t);
    m.as.commit_prepare.data = data;
    for (uint16_t i = 0; i < t->member_count; i++)
        if (members_has(&x->awaited, i)) outbox_send(t->out, t->members[i], &m, 0, 0, x->id);
    two_phase_timer(t, x, t->options.vote_timeout);
}

/* The manager's own vote. Its decision record stands for its prepare record, but in the participant-initiated form,
 * which counts a forced write for every participant. */
static void vote_self(struct two_phase *t, struct two_phase_live *x, const struct transaction *what,
                      struct bytes data) {
    if (!what->vote) return;
    members_remove(&x->awaited, t->place);
    x->yes = what->vote == QRT_VOTE_YES;
    if (x->yes && t->options.form == FORM_PARTICIPANT) two_phase_prepare(t, x, what, 0, data);
    outbox_note(t->out, QRT_KIND_VOTE, what->vote, t->node, 0, x->id, 0, 0);
}

static void collect(struct two_phase *t, struct two_phase_live *x, const struct transaction *what, struct bytes data) {
    x->duty = DUTY_COLLECT;
    x->awaited = what->participants;
    vote_self(t, x, what, data);
    if (what->vote == QRT_VOTE_NO) {
        x->awaited = (struct member_set){0}; /* nobody has heard of it */
        decide(t, x, false);
        return;
    }
    if (t->options.form == FORM_COMMIT && !members_none(&x->awaited)) {
        two_phase_log_collecting(t, x->id, &x->awaited);
        two_phase_force(t, x->id, ENTRY_COLLECTING);
    }
    ask_for_votes(t, x, data);
    maybe_commit(t, x);
}

/* Participant-initiated, with the manager elsewhere: this node's readiness begins the transaction. */
static void initiate(struct two_phase *t, struct two_phase_live *x, const struct transaction *what, struct bytes data) {
    if (what->vote == QRT_VOTE_NO) {
        two_phase_log_decided(t, x->id, false, &(struct member_set){0});
        outbox_note(t->out, QRT_KIND_VOTE, QRT_VOTE_NO, t->node, 0, x->id, 0, 0);
        two_phase_remember(t, x->id, false);
        two_phase_decided(t, x->id, false, x->token, false);
        two_phase_end(t, x);
        return;
    }
    uint16_t manager = two_phase_manager(t, x->id);
    struct message m = {.kind = WIRE_COMMIT_BEGIN};
    m.as.commit_begin.transaction = x->id;
    m.as.commit_begin.data = data;
    two_phase_prepare(t, x, what, 0, data);
    outbox_note(t->out, QRT_KIND_VOTE, QRT_VOTE_YES, manager, 0, x->id, 0, 0);
    outbox_send(t->out, manager, &m, 0, 0, x->id);
}

/* What a participant-initiated transaction needs beside: the one who takes it takes part, and its manager exists. */
static bool may_begin(const struct two_phase *t, const struct transaction *what) {
    if (t->options.form != FORM_PARTICIPANT) return true;
    if (what->vote == 0 || what->vote == QRT_VOTE_READ_ONLY) return false;
    return !t->options.manager || two_phase_place(t, (uint16_t)t->options.manager) >= 0;
}

void two_phase_on_propose(struct two_phase *t, const struct event *e) {
    struct bytes data = e->as.propose.data;
    uint64_t token = e->as.propose.token;
    struct transaction what;
    bool sound = transaction_read(data, t->members, t->member_count, t->place, t->options.refuse, &what);
    if (!sound || !may_begin(t, &what)) {
        outbox_reply(t->out, token, data.size > TRANSACTION_DATA_MAX ? QRT_ETOOLARGE : QRT_EINVAL, 0);
        return;
    }
    uint64_t id = t->next <= TRANSACTION_SEQUENCE_MAX ? next_number(t) : 0;
    struct two_phase_live *x = id ? two_phase_take(t, id) : NULL;
    if (!x) {
        outbox_reply(t->out, token, QRT_EFULL, 0);
        return;
    }
    t->begun++;
    x->token = token;
    outbox_note(t->out, QRT_KIND_STATE, QRT_TRANSACTION_BEGUN, 0, members_count(&what.participants), id, 0,
                what.digest);
    if (two_phase_manager(t, id) == t->node)
        collect(t, x, &what, data);
    else
        initiate(t, x, &what, data);
}

/* The message is the vote of the one who sends it. */
void two_phase_on_begin(struct two_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_begin.transaction;
    struct bytes data = m->as.commit_begin.data;
    struct transaction what;
    int from = two_phase_place(t, m->from);
    bool mine = t->options.form == FORM_PARTICIPANT && two_phase_manager(t, id) == t->node;
    if (!mine || transaction_node(id) != m->from || from < 0 || !transaction_sequence(id) ||
        !transaction_read(data, t->members, t->member_count, t->place, t->options.refuse, &what) ||
        !members_has(&what.writers, (unsigned)from)) {
        two_phase_reject(t, m);
        return;
    }
    enum transaction_outcome known = two_phase_outcome(t, id);
    if (known) two_phase_tell(t, m->from, id, known == OUTCOME_COMMIT, false);
    if (known || two_phase_find(t, id)) return;
    struct two_phase_live *x = two_phase_take(t, id);
    if (!x) return; /* it will ask, and be told that it was aborted */
    members_add(&x->voted, (unsigned)from);
    members_remove(&what.participants, (unsigned)from);
    collect(t, x, &what, data);
}

/* ---- votes and acknowledgements ---- */

/* The first message was lost, or is late: it must not begin anything when it comes. */
static void abort_unheard(struct two_phase *t, uint64_t id) {
    two_phase_log_decided(t, id, false, &(struct member_set){0});
    two_phase_force(t, id, ENTRY_DECIDED);
    two_phase_remember(t, id, false);
    two_phase_decided(t, id, false, 0, false);
}

/* To a participant that waits, of a transaction that is not live: what is presumed, where it is not known. */
static void answer_late(struct two_phase *t, const struct message *m, uint64_t id) {
    bool elsewhere = transaction_node(id) != t->node;
    if (!elsewhere && transaction_sequence(id) >= t->next) {
        two_phase_reject(t, m); /* this node has not given out that number */
        return;
    }
    if (elsewhere && two_phase_outcome(t, id) == OUTCOME_UNKNOWN) abort_unheard(t, id);
    two_phase_tell(t, m->from, id, t->options.form == FORM_COMMIT || two_phase_outcome(t, id) == OUTCOME_COMMIT, false);
}

void two_phase_on_vote(struct two_phase *t, const struct message *m, unsigned place) {
    uint64_t id = m->as.commit_vote.transaction;
    uint8_t vote = m->as.commit_vote.vote;
    if (two_phase_manager(t, id) != t->node || vote < QRT_VOTE_YES || vote > QRT_VOTE_READ_ONLY) {
        two_phase_reject(t, m);
        return;
    }
    struct two_phase_live *x = two_phase_find(t, id);
    if (!x && vote == QRT_VOTE_YES) answer_late(t, m, id);
    if (!x || x->duty == DUTY_NONE || !members_has(&x->awaited, place)) return;
    members_remove(&x->awaited, place);
    if (x->duty == DUTY_TELL_ABORT) { /* the decision is on its way to it, or it decided so itself */
        if (vote == QRT_VOTE_READ_ONLY) members_remove(&x->owed, place);
        if (is_over(x)) over(t, x);
        return;
    }
    if (vote == QRT_VOTE_YES) members_add(&x->voted, place);
    if (vote == QRT_VOTE_NO)
        decide(t, x, false);
    else
        maybe_commit(t, x);
}

void two_phase_on_ack(struct two_phase *t, const struct message *m, unsigned place) {
    struct two_phase_live *x = two_phase_find(t, m->as.commit_ack.transaction);
    if (two_phase_manager(t, m->as.commit_ack.transaction) != t->node) {
        two_phase_reject(t, m);
        return;
    }
    if (!x || x->duty < DUTY_TELL_COMMIT) return;
    members_remove(&x->owed, place);
    members_remove(&x->awaited, place);
    if (is_over(x)) over(t, x);
}

/* ---- inquiries, time ---- */

void two_phase_manager_asked(struct two_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_inquiry.transaction;
    struct two_phase_live *x = two_phase_find(t, id);
    if (x && x->duty == DUTY_COLLECT) return; /* not yet decided */
    if (x && x->duty != DUTY_NONE) {
        two_phase_tell(t, m->from, id, x->duty == DUTY_TELL_COMMIT, false);
        return;
    }
    answer_late(t, m, id);
}

void two_phase_manager_timer(struct two_phase *t, struct two_phase_live *x) {
    if (x->duty == DUTY_COLLECT) {
        decide(t, x, false);
        return;
    }
    bool commit = x->duty == DUTY_TELL_COMMIT;
    if (!two_phase_acknowledged(t, commit)) { /* who has not voted by now will ask */
        over(t, x);
        return;
    }
    tell_all(t, x->id, &x->owed, commit, false);
    two_phase_timer(t, x, t->options.retry_interval);
}

/* After a restart: a decision that not all have acknowledged, or, where the manager had voted for itself, none. */
void two_phase_manager_recovered(struct two_phase *t, struct two_phase_live *x) {
    if (x->duty == DUTY_NONE) {
        CHECK(x->prepared && two_phase_manager(t, x->id) == t->node);
        x->duty = DUTY_COLLECT;
        decide(t, x, false);
        return;
    }
    two_phase_decided(t, x->id, x->duty == DUTY_TELL_COMMIT, 0, false);
    two_phase_manager_timer(t, x);
}
