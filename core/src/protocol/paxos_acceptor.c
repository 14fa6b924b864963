/* Paxos: the acceptor (Lamport 2001, section 2.2: P1a, phases 1b and 2b).
 *
 * A promise for ballot b: no ballot below b is accepted here any more. An acceptance: this is the value of ballot b. Both
 * are in the record before the answer leaves; the driver holds the answer until then. */
#include "protocol/paxos.h"

#include "base/hash.h"

static void refuse(struct paxos *p, uint16_t to, uint64_t instance, uint64_t ballot, uint64_t promised) {
    struct message m = {.kind = WIRE_PAXOS_REFUSE};
    m.as.paxos_refuse.instance = instance;
    m.as.paxos_refuse.ballot = ballot;
    m.as.paxos_refuse.promised = promised;
    paxos_note(p, QRT_BALLOT_REFUSE, to, instance, ballot, promised, (struct bytes){0});
    outbox_send(p->out, to, &m, 0, ballot, instance);
}

/* Raises the promise; whether anything changed. */
static bool promise(struct paxos *p, uint64_t instance, uint64_t ballot) {
    struct decree *i = instances_edit(&p->instances, instance);
    if (ballot <= i->promised) return false;
    i->promised = ballot;
    if (paxos_has_bug(p, PAXOS_ONE_BALLOT_VARIABLE) && i->accepted) i->accepted = ballot;
    return true;
}

/* Records the acceptance; whether anything changed. */
static bool accept_(struct paxos *p, uint64_t instance, uint64_t ballot, struct bytes value) {
    struct decree *i = instances_edit(&p->instances, instance);
    bool repeated = i->accepted == ballot && i->promised == ballot;
    if (repeated) return false;
    if (!paxos_has_bug(p, PAXOS_ACCEPT_WITHOUT_PROMISE)) i->promised = ballot;
    i->accepted = ballot;
    instances_put(&p->instances, instance, value);
    return true;
}

/* Phase 1b. A repeated question gets the same answer. */
void paxos_on_prepare(struct paxos *p, const struct message *m) {
    const struct wire_paxos_prepare *q = &m->as.paxos_prepare;
    if (!instances_fits(q->instance) || !paxos_ballot_fits(p, q->ballot)) {
        paxos_reject(p, m);
        return;
    }
    const struct decree before = *instances_at(&p->instances, q->instance);
    if (before.decided) {
        paxos_tell(p, m->from, q->instance, false);
        return;
    }
    if (!paxos_accepts(p)) return;
    if (q->ballot < before.promised) {
        refuse(p, m->from, q->instance, q->ballot, before.promised);
        return;
    }
    struct message a = {.kind = WIRE_PAXOS_PROMISE};
    a.as.paxos_promise.instance = q->instance;
    a.as.paxos_promise.ballot = q->ballot;
    a.as.paxos_promise.accepted = before.accepted < q->ballot ? before.accepted : 0;
    if (promise(p, q->instance, q->ballot)) paxos_save(p, q->instance);
    if (a.as.paxos_promise.accepted) a.as.paxos_promise.value = instances_value(&p->instances, q->instance);
    paxos_note(p, QRT_BALLOT_PROMISE, m->from, q->instance, q->ballot, a.as.paxos_promise.accepted,
               a.as.paxos_promise.value);
    outbox_send(p->out, m->from, &a, 0, q->ballot, q->instance);
    paxos_hear(p, m->from, q->instance - 1);
}

/* Phase 2b. */
void paxos_on_accept(struct paxos *p, const struct message *m) {
    const struct wire_paxos_accept *q = &m->as.paxos_accept;
    if (!instances_fits(q->instance) || !paxos_ballot_fits(p, q->ballot) || q->value.size > PAXOS_VALUE_MAX) {
        paxos_reject(p, m);
        return;
    }
    const struct decree before = *instances_at(&p->instances, q->instance);
    if (before.decided) {
        paxos_tell(p, m->from, q->instance, false);
        return;
    }
    if (!paxos_accepts(p)) return;
    if (q->ballot < before.promised) {
        refuse(p, m->from, q->instance, q->ballot, before.promised);
        return;
    }
    if (accept_(p, q->instance, q->ballot, q->value)) paxos_save(p, q->instance);
    struct message a = {.kind = WIRE_PAXOS_ACCEPTED};
    a.as.paxos_accepted.instance = q->instance;
    a.as.paxos_accepted.ballot = q->ballot;
    paxos_note(p, QRT_BALLOT_ACCEPTED, m->from, q->instance, q->ballot, 0, q->value);
    outbox_send(p->out, m->from, &a, 0, q->ballot, q->instance);
    paxos_hear(p, m->from, q->instance - 1);
}

uint64_t paxos_promise_own(struct paxos *p, uint64_t instance, uint64_t ballot) {
    uint64_t accepted = instances_at(&p->instances, instance)->accepted;
    promise(p, instance, ballot);
    uint64_t record = paxos_save(p, instance);
    if (paxos_accepts(p))
        paxos_note(p, QRT_BALLOT_PROMISE, p->node, instance, ballot, accepted,
                   accepted ? instances_value(&p->instances, instance) : (struct bytes){0});
    return record;
}

uint64_t paxos_accept_own(struct paxos *p, uint64_t instance, uint64_t ballot, struct bytes value) {
    if (ballot < instances_at(&p->instances, instance)->promised) return 0;
    accept_(p, instance, ballot, value);
    uint64_t record = paxos_save(p, instance);
    paxos_note(p, QRT_BALLOT_ACCEPTED, p->node, instance, ballot, 0, value);
    return record;
}
