/* Paxos: the learner. Whoever finds a quorum of acceptances tells all others; who misses that asks: at once when somebody
 * speaks of a later instance, and now and then a node drawn at random.
 *
 * The record of a decision is written behind the answers, which need not wait for it: what was chosen stays chosen,
 * and a node that forgets it is told again. */
#include "protocol/paxos.h"

#include "base/hash.h"

#define BATCH_DECISIONS 32u /* an answer to an ask */
#define BATCH_BYTES (256u * 1024u)

void paxos_tell(struct paxos *p, uint16_t to, uint64_t instance, bool more) {
    struct message m = {.kind = WIRE_PAXOS_LEARN};
    m.as.paxos_learn.instance = instance;
    m.as.paxos_learn.ballot = instances_at(&p->instances, instance)->decided;
    m.as.paxos_learn.known = p->instances.known;
    m.as.paxos_learn.more = more;
    m.as.paxos_learn.value = instances_value(&p->instances, instance);
    outbox_send(p->out, to, &m, 0, m.as.paxos_learn.ballot, instance);
}

void paxos_decide(struct paxos *p, uint64_t instance, uint64_t ballot, struct bytes value, bool announce) {
    if (!instances_decide(&p->instances, instance, ballot, value)) return;
    struct bytes decided = instances_value(&p->instances, instance);
    outbox_note(p->out, QRT_KIND_DECIDE, 0, 0, ballot, instance, 0, hash_bytes(decided.data, decided.size, 0));
    for (uint16_t i = 0; announce && i < p->count; i++)
        if (i != p->slot) paxos_tell(p, p->members[i], instance, false);
    if (p->proposer.phase && p->proposer.instance == instance) paxos_end_ballot(p, ballot, decided);
    paxos_save_decision(p, instance);
}

static void ask(struct paxos *p, uint16_t whom) {
    struct message m = {.kind = WIRE_PAXOS_ASK};
    m.as.paxos_ask.instance = p->instances.known + 1;
    p->asking = true;
    outbox_send(p->out, whom, &m, 0, 0, p->instances.known + 1);
}

void paxos_hear(struct paxos *p, uint16_t from, uint64_t known) {
    if (known > p->heard) p->heard = known;
    if (known > p->instances.known && !p->asking) ask(p, from);
}

void paxos_on_learn(struct paxos *p, const struct message *m) {
    const struct wire_paxos_learn *l = &m->as.paxos_learn;
    if (!instances_fits(l->instance) || !paxos_ballot_fits(p, l->ballot) || l->known > INSTANCES_MAX || l->more > 1 ||
        l->value.size > PAXOS_VALUE_MAX) {
        paxos_reject(p, m);
        return;
    }
    paxos_decide(p, l->instance, l->ballot, l->value, false);
    if (!l->more) p->asking = false;
    if (!l->more) paxos_hear(p, m->from, l->known);
}

/* Answers with a bounded batch; nothing when there is nothing to tell. */
void paxos_on_ask(struct paxos *p, const struct message *m) {
    uint64_t first = m->as.paxos_ask.instance;
    if (!instances_fits(first)) {
        paxos_reject(p, m);
        return;
    }
    uint64_t last = first, bytes = 0;
    while (last <= p->instances.known && last - first < BATCH_DECISIONS && bytes < BATCH_BYTES)
        bytes += instances_at(&p->instances, last++)->size;
    for (uint64_t i = first; i < last; i++) paxos_tell(p, m->from, i, i + 1 < last);
    paxos_hear(p, m->from, first - 1);
}

void paxos_start_learning(struct paxos *p) {
    int64_t t = p->options.learn_interval;
    if (p->count > 1) outbox_timer(p->out, PAXOS_TIMER_LEARN, t + (int64_t)random_below(&p->random, (uint64_t)t));
}

void paxos_on_learn_timer(struct paxos *p) {
    uint64_t other = random_below(&p->random, p->count - 1u);
    p->asking = false;
    ask(p, p->members[other < p->slot ? other : other + 1]);
    p->asking = false; /* nobody may have news: the next hint may be followed at once */
    paxos_start_learning(p);
}
