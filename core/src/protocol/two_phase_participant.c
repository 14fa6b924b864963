/* A participant of a transaction.
 *
 *   asked --> no:        aborted
 *         --> read-only: out of it
 *         --> yes:       PREPARED (forced) --told--> committed or aborted
 *                            |
 *                            +--time is up--> asks the manager, and who else takes part --nobody knows--> BLOCKED, asks on
 *
 * Who is asked by another participant before it was asked to vote may still decide alone, and then does: its abort is
 * forced before it is told, because its vote must never be yes from then on. */
#include "base/check.h"
#include "protocol/two_phase.h"

/* ---- voting ---- */

struct member_set two_phase_peers(const struct two_phase *t, uint64_t id, const struct transaction *what) {
    struct member_set peers = what->writers;
    int manager = two_phase_place(t, two_phase_manager(t, id));
    members_remove(&peers, t->place);
    if (manager >= 0) members_remove(&peers, (unsigned)manager);
    return t->options.cooperative ? peers : (struct member_set){0};
}

void two_phase_prepare(struct two_phase *t, struct two_phase_live *x, const struct transaction *what, uint64_t settled,
                       struct bytes data) {
    x->prepared = true;
    x->digest = what->digest;
    x->peers = two_phase_peers(t, x->id, what);
    two_phase_log_prepared(t, x->id, settled, data);
    two_phase_force(t, x->id, ENTRY_PREPARED);
    two_phase_state(t, x->id, QRT_TRANSACTION_PREPARED);
    /* The manager needs up to its own timeout to decide; before that there is nothing to ask. */
    two_phase_timer(t, x, t->options.vote_timeout + t->options.retry_interval);
}

/* The note, and the message to the manager. */
static void send_vote(struct two_phase *t, uint64_t id, uint8_t vote) {
    uint16_t manager = two_phase_manager(t, id);
    struct message m = {.kind = WIRE_COMMIT_VOTE};
    m.as.commit_vote.transaction = id;
    m.as.commit_vote.vote = vote;
    outbox_note(t->out, QRT_KIND_VOTE, vote, manager, 0, id, 0, 0);
    outbox_send(t->out, manager, &m, 0, 0, id);
}

/* Decided alone: by a no, or for another participant that asked before this one was. */
static void abort_alone(struct two_phase *t, uint64_t id, bool forced) {
    two_phase_log_decided(t, id, false, &(struct member_set){0});
    if (forced) two_phase_force(t, id, ENTRY_DECIDED);
    two_phase_remember(t, id, false);
    two_phase_decided(t, id, false, 0, false);
}

static void vote_yes(struct two_phase *t, const struct message *m, const struct transaction *what) {
    const struct wire_commit_prepare *p = &m->as.commit_prepare;
    struct two_phase_live *x = two_phase_take(t, p->transaction);
    if (!x) return; /* too many under way: silence is a no */
    two_phase_prepare(t, x, what, p->settled, p->data);
    send_vote(t, p->transaction, QRT_VOTE_YES);
}

static bool prepare_is_sound(const struct two_phase *t, const struct message *m, struct transaction *what) {
    const struct wire_commit_prepare *p = &m->as.commit_prepare;
    uint64_t sequence = transaction_sequence(p->transaction);
    return m->from == two_phase_manager(t, p->transaction) && sequence && p->settled <= sequence &&
           two_phase_place(t, transaction_node(p->transaction)) >= 0 &&
           transaction_read(p->data, t->members, t->member_count, t->place, t->options.refuse, what) && what->vote;
}

void two_phase_on_prepare(struct two_phase *t, const struct message *m, unsigned place) {
    const struct wire_commit_prepare *p = &m->as.commit_prepare;
    uint64_t id = p->transaction;
    struct transaction what;
    if (!prepare_is_sound(t, m, &what)) {
        two_phase_reject(t, m);
        return;
    }
    if (t->options.form != FORM_PARTICIPANT) ledger_settle(&t->ledgers[place], p->settled);
    enum transaction_outcome known = two_phase_outcome(t, id);
    if (known == OUTCOME_ABORT) send_vote(t, id, QRT_VOTE_NO); /* for another that asked */
    if (known || two_phase_find(t, id)) return;                /* a second copy */
    int taker = two_phase_place(t, transaction_node(id));
    if (transaction_sequence(id) < t->ledgers[taker].settled) return; /* it is over */
    switch ((qrt_vote)what.vote) {
    case QRT_VOTE_YES: vote_yes(t, m, &what); break;
    case QRT_VOTE_READ_ONLY: send_vote(t, id, QRT_VOTE_READ_ONLY); break;
    case QRT_VOTE_NO:
        abort_alone(t, id, t->options.form == FORM_NOTHING);
        send_vote(t, id, QRT_VOTE_NO);
        break;
    }
}

/* ---- the decision ---- */

static void acknowledge(struct two_phase *t, uint16_t to, uint64_t id) {
    struct message m = {.kind = WIRE_COMMIT_ACK};
    m.as.commit_ack.transaction = id;
    outbox_send(t->out, to, &m, 0, 0, id);
}

/* A switched-on mistake: it looks at the work again before it commits, and refuses one in eight that it had agreed to. */
static bool second_look_refuses(const struct two_phase *t, const struct two_phase_live *x) {
    return two_phase_has_bug(t, TWO_PHASE_REFUSE_AFTER_YES) && random_mix(x->digest ^ t->node) % 8 == 0;
}

static void conclude(struct two_phase *t, struct two_phase_live *x, bool commit, uint16_t teller) {
    uint64_t id = x->id, token = x->token;
    bool forced = two_phase_acknowledged(t, commit);
    if (commit && second_look_refuses(t, x)) commit = false;
    two_phase_log_decided(t, id, commit, &(struct member_set){0});
    if (forced) two_phase_force(t, id, ENTRY_DECIDED);
    two_phase_remember(t, id, commit);
    two_phase_end(t, x);
    two_phase_decided(t, id, commit, token, false);
    if (forced && teller == two_phase_manager(t, id)) acknowledge(t, teller, id);
}

/* Told again, or of what it never prepared: its acknowledgement was lost, or it had none to give. */
static void told_again(struct two_phase *t, const struct message *m, uint64_t id, bool commit) {
    enum transaction_outcome known = two_phase_outcome(t, id);
    int taker = two_phase_place(t, transaction_node(id));
    bool forgotten = transaction_sequence(id) < t->ledgers[taker].settled;
    if (m->from != two_phase_manager(t, id) || !two_phase_acknowledged(t, commit)) return;
    if (!known && commit && !forgotten) {
        two_phase_reject(t, m); /* nobody commits without this node's vote */
        return;
    }
    /* Its coordinator will forget, and then presume a commit: the question, if it is still to come, must find a no. */
    if (!known && !forgotten && t->options.form == FORM_COMMIT) abort_alone(t, id, true);
    acknowledge(t, m->from, id);
}

void two_phase_on_decision(struct two_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_decision.transaction;
    uint8_t outcome = m->as.commit_decision.outcome;
    if (two_phase_place(t, transaction_node(id)) < 0 || two_phase_manager(t, id) == t->node ||
        (outcome != OUTCOME_COMMIT && outcome != OUTCOME_ABORT)) {
        two_phase_reject(t, m);
        return;
    }
    struct two_phase_live *x = two_phase_find(t, id);
    if (x && x->prepared)
        conclude(t, x, outcome == OUTCOME_COMMIT, m->from);
    else
        told_again(t, m, id, outcome == OUTCOME_COMMIT);
}

/* ---- inquiries ---- */

void two_phase_ask(struct two_phase *t, struct two_phase_live *x) {
    struct message m = {.kind = WIRE_COMMIT_INQUIRY};
    m.as.commit_inquiry.transaction = x->id;
    outbox_send(t->out, two_phase_manager(t, x->id), &m, 0, 0, x->id);
    for (uint16_t i = 0; i < t->member_count; i++)
        if (members_has(&x->peers, i)) outbox_send(t->out, t->members[i], &m, 0, 0, x->id);
    two_phase_timer(t, x, t->options.retry_interval);
}

void two_phase_participant_timer(struct two_phase *t, struct two_phase_live *x) {
    if (x->rounds && !x->blocked) {
        x->blocked = true;
        two_phase_state(t, x->id, QRT_TRANSACTION_BLOCKED);
    }
    if (x->rounds < UINT8_MAX) x->rounds++;
    two_phase_ask(t, x);
}

/* From another participant that is prepared. This one knows, or is as uncertain, or has not voted and ends it. */
static void peer_asked(struct two_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_inquiry.transaction;
    int taker = two_phase_place(t, transaction_node(id));
    enum transaction_outcome known = two_phase_outcome(t, id);
    if (!known) {
        if (two_phase_find(t, id) || transaction_sequence(id) < t->ledgers[taker].settled) return;
        abort_alone(t, id, true);
        known = OUTCOME_ABORT;
    }
    two_phase_tell(t, m->from, id, known == OUTCOME_COMMIT, false);
}

void two_phase_on_inquiry(struct two_phase *t, const struct message *m) {
    uint64_t id = m->as.commit_inquiry.transaction;
    bool known = two_phase_place(t, transaction_node(id)) >= 0 && transaction_sequence(id);
    if (!known)
        two_phase_reject(t, m);
    else if (two_phase_manager(t, id) == t->node)
        two_phase_manager_asked(t, m);
    else
        peer_asked(t, m);
}
