/* Paxos: the proposer (Lamport 2001, section 2.2: phases 1a and 2a).
 *
 *   idle --- a proposal ---> preparing --- a quorum of promises ---> accepting --- a quorum of acceptances ---> decided
 *              (begin_ballot)    ^ ^           (begin_accepting)         |
 *              silence: ask again' '------ preempted, after a pause -----'
 *
 * Rivals that preempt each other for ever would keep all from deciding; each pauses for a random time, whose bound doubles
 * with every ballot that it lost. */
#include "protocol/paxos.h"

#include "base/check.h"
#include "base/hash.h"

#define BACKOFF_DOUBLINGS 10

static struct bytes bytes_in(const struct buffer *b) {
    return bytes_of(b->data, b->size);
}

static void set_value(struct buffer *b, struct bytes value) {
    buffer_clear(b);
    buffer_append(b, value.data, value.size);
}

static bool has_answered(const struct paxos_proposer *a, int slot) {
    return a->answered[slot / 64] >> (slot % 64) & 1;
}

static size_t majority_of_acceptors(const struct paxos *p) {
    return quorum_majority((size_t)(p->count - p->first_acceptor));
}

/* Any quorum of promises meets any quorum of acceptances; more is not needed (Howard and others 2016). */
static bool is_quorum(const struct paxos *p) {
    enum quorum_phase phase = p->proposer.phase == PAXOS_PREPARING ? QUORUM_READ : QUORUM_WRITE;
    if (p->first_acceptor) return p->proposer.count >= majority_of_acceptors(p);
    return quorum_rule_met(&p->quorum, phase, p->proposer.answered);
}

/* Whether that makes a quorum: the phase is over then. */
static bool count_answer(struct paxos *p, int slot) {
    struct paxos_proposer *a = &p->proposer;
    if (has_answered(a, slot)) return false;
    a->answered[slot / 64] |= UINT64_C(1) << (slot % 64);
    a->count++;
    return is_quorum(p);
}

static void clear_answers(struct paxos_proposer *a) {
    memset(a->answered, 0, sizeof a->answered);
    a->count = 0;
    a->own_record = 0;
}

/* How many of the acceptors but ourselves are asked at first: all, or a thrifty proposer's bare quorum. */
static size_t asked_at_first(const struct paxos *p) {
    if (!p->options.thrifty) return p->count;
    size_t own = paxos_accepts(p), others = (size_t)(p->count - p->first_acceptor) - own;
    struct quorum_report least = quorum_rule_report(&p->quorum);
    size_t needed = p->proposer.phase == PAXOS_PREPARING ? least.read : least.write;
    if (p->first_acceptor) needed = majority_of_acceptors(p);
    return needed - own < others ? needed - own : others;
}

/* `wanted` of the acceptors that have not answered in this phase, drawn at random if those are more. */
static void ask_acceptors(struct paxos *p, size_t wanted) {
    const struct paxos_proposer *a = &p->proposer;
    size_t left = 0;
    struct message m = {.kind = a->phase == PAXOS_PREPARING ? WIRE_PAXOS_PREPARE : WIRE_PAXOS_ACCEPT};
    if (a->phase == PAXOS_PREPARING) {
        m.as.paxos_prepare.instance = a->instance;
        m.as.paxos_prepare.ballot = a->ballot;
    } else {
        m.as.paxos_accept.instance = a->instance;
        m.as.paxos_accept.ballot = a->ballot;
        m.as.paxos_accept.value = bytes_in(&a->value);
    }
    for (uint16_t i = p->first_acceptor; i < p->count; i++) left += i != p->slot && !has_answered(a, i);
    for (uint16_t i = p->first_acceptor; i < p->count; i++) {
        if (i == p->slot || has_answered(a, i)) continue;
        bool asked = wanted >= left || random_below(&p->random, left) < wanted;
        left--;
        if (!asked) continue;
        wanted--;
        outbox_send(p->out, p->members[i], &m, 0, a->ballot, a->instance);
    }
}

/* Silence: after once to twice the option's time. */
static void wait_for_answers(struct paxos *p) {
    int64_t t = p->options.retry;
    outbox_timer(p->out, PAXOS_TIMER_BALLOT, t + (int64_t)random_below(&p->random, (uint64_t)t));
}

/* Somebody has promised a higher ballot: the next of ours comes after a pause. */
static void preempt(struct paxos *p, uint64_t promised) {
    struct paxos_proposer *a = &p->proposer;
    if (paxos_round(promised) > a->round_seen) a->round_seen = paxos_round(promised);
    if (a->preempted) return;
    a->preempted = true;
    uint32_t doublings = a->attempts < BACKOFF_DOUBLINGS ? a->attempts : BACKOFF_DOUBLINGS;
    a->attempts++;
    outbox_timer(p->out, PAXOS_TIMER_BALLOT,
                 (int64_t)random_below(&p->random, (uint64_t)p->options.backoff << doublings) + 1);
}

/* Phase 1a. The record of our own promise makes the ballot durable, and the driver holds the questions until it is. */
static void begin_ballot(struct paxos *p) {
    struct paxos_proposer *a = &p->proposer;
    uint64_t round = paxos_round(instances_at(&p->instances, a->instance)->promised);
    if (a->round_seen > round) round = a->round_seen;
    CHECK(round + 1 < PAXOS_ROUND_MAX);
    a->ballot = (round + 1) << 16 | p->node;
    a->phase = PAXOS_PREPARING;
    a->preempted = false;
    a->adopted = 0;
    set_value(&a->value, bytes_in(&a->mine));
    clear_answers(a);
    a->own_record = paxos_promise_own(p, a->instance, a->ballot);
    paxos_note(p, QRT_BALLOT_PREPARE, 0, a->instance, a->ballot, 0, (struct bytes){0});
    ask_acceptors(p, asked_at_first(p));
    wait_for_answers(p);
}

/* Phase 2a. Our own acceptance stands behind the questions, so that they need not wait for its record. */
static void begin_accepting(struct paxos *p) {
    struct paxos_proposer *a = &p->proposer;
    struct bytes value = bytes_in(&a->value);
    a->phase = PAXOS_ACCEPTING;
    clear_answers(a);
    paxos_note(p, QRT_BALLOT_ACCEPT, 0, a->instance, a->ballot, a->adopted, value);
    ask_acceptors(p, asked_at_first(p));
    if (!a->preempted) wait_for_answers(p);
    if (!paxos_accepts(p)) return;
    a->own_record = paxos_accept_own(p, a->instance, a->ballot, value);
    if (!a->own_record) preempt(p, instances_at(&p->instances, a->instance)->promised);
}

static void conclude(struct paxos *p) {
    const struct paxos_proposer *a = &p->proposer;
    if (a->phase == PAXOS_PREPARING)
        begin_accepting(p);
    else
        paxos_decide(p, a->instance, a->ballot, bytes_in(&a->value), true);
}

/* P2c: the value of the highest ballot that any of the quorum has accepted must be proposed again. */
static void adopt(struct paxos *p, uint64_t accepted, struct bytes value) {
    struct paxos_proposer *a = &p->proposer;
    if (accepted <= a->adopted) return;
    a->adopted = accepted;
    set_value(&a->value, value);
}

void paxos_on_promise(struct paxos *p, const struct message *m, int slot) {
    const struct wire_paxos_promise *q = &m->as.paxos_promise;
    const struct paxos_proposer *a = &p->proposer;
    if (!instances_fits(q->instance) || !paxos_ballot_fits(p, q->ballot) || q->value.size > PAXOS_VALUE_MAX ||
        q->accepted >= q->ballot || (q->accepted && !paxos_ballot_fits(p, q->accepted)) || slot < p->first_acceptor) {
        paxos_reject(p, m);
        return;
    }
    bool current = q->ballot == a->ballot || paxos_has_bug(p, PAXOS_STALE_PROMISE_COUNTED);
    if (a->phase != PAXOS_PREPARING || q->instance != a->instance || !current) return;
    if (!has_answered(a, slot)) adopt(p, q->accepted, q->value);
    if (count_answer(p, slot)) conclude(p);
}

void paxos_on_accepted(struct paxos *p, const struct message *m, int slot) {
    const struct wire_paxos_accepted *q = &m->as.paxos_accepted;
    const struct paxos_proposer *a = &p->proposer;
    if (!instances_fits(q->instance) || !paxos_ballot_fits(p, q->ballot) || slot < p->first_acceptor) {
        paxos_reject(p, m);
        return;
    }
    if (a->phase != PAXOS_ACCEPTING || q->instance != a->instance || q->ballot != a->ballot) return;
    if (count_answer(p, slot)) conclude(p);
}

/* A quorum may still be found among the others; the pause runs meanwhile. */
void paxos_on_refuse(struct paxos *p, const struct message *m, int slot) {
    const struct wire_paxos_refuse *q = &m->as.paxos_refuse;
    if (!instances_fits(q->instance) || !paxos_ballot_fits(p, q->ballot) || !paxos_ballot_fits(p, q->promised) ||
        q->promised <= q->ballot || slot < p->first_acceptor) {
        paxos_reject(p, m);
        return;
    }
    if (!p->proposer.phase || q->instance != p->proposer.instance || q->ballot != p->proposer.ballot) return;
    preempt(p, q->promised);
}

/* Our own promise or acceptance is durable, and counts as everyone's does. */
void paxos_on_own_record(struct paxos *p) {
    struct paxos_proposer *a = &p->proposer;
    if (!a->phase || !a->own_record || p->stored < a->own_record) return;
    a->own_record = 0;
    if (!paxos_accepts(p)) return; /* a proposer apart: only its ballot was to be durable */
    const struct decree *i = instances_at(&p->instances, a->instance);
    if (a->phase == PAXOS_PREPARING && i->accepted < a->ballot)
        adopt(p, i->accepted, instances_value(&p->instances, a->instance));
    if (count_answer(p, p->slot)) conclude(p);
}

void paxos_on_ballot_timer(struct paxos *p) {
    if (!p->proposer.phase) return;
    if (p->proposer.preempted) {
        begin_ballot(p);
        return;
    }
    ask_acceptors(p, p->count);
    wait_for_answers(p);
}

void paxos_end_ballot(struct paxos *p, uint64_t ballot, struct bytes decided) {
    struct paxos_proposer *a = &p->proposer;
    for (size_t i = 0; i < p->waiting_count; i++)
        outbox_answer(p->out, p->waiting[i], QRT_OK, p->node, ballot, a->instance, decided);
    p->waiting_count = 0;
    a->phase = PAXOS_IDLE;
    a->preempted = false;
    a->attempts = 0;
    a->instance = a->ballot = a->adopted = a->round_seen = 0;
    buffer_clear(&a->mine);
    buffer_clear(&a->value);
    clear_answers(a);
    outbox_timer(p->out, PAXOS_TIMER_BALLOT, INT64_MAX);
}

/* Why the proposal is refused; QRT_OK: it is not. */
static qrt_status refusal(const struct paxos *p, const struct event *e) {
    if (!(p->roles & PAXOS_PROPOSER) || p->recovering) return QRT_ENOTLEADER;
    if (e->as.propose.data.size > PAXOS_VALUE_MAX) return QRT_ETOOLARGE;
    if (p->waiting_count >= (size_t)p->options.max_waiting || p->instances.known == INSTANCES_MAX) return QRT_EFULL;
    return QRT_OK;
}

void paxos_on_propose(struct paxos *p, const struct event *e) {
    qrt_status status = refusal(p, e);
    if (status) {
        outbox_reply(p->out, e->as.propose.token, status, p->slot == 0 ? 0 : p->members[0]);
        return;
    }
    p->waiting = mem_grow(p->waiting, &p->waiting_capacity, p->waiting_count + 1, sizeof *p->waiting);
    p->waiting[p->waiting_count++] = e->as.propose.token;
    if (p->proposer.phase) return; /* it joins the ballot under way (invariant 3) */
    p->proposer.instance = p->instances.known + 1;
    set_value(&p->proposer.mine, e->as.propose.data);
    begin_ballot(p);
}
