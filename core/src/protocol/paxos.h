/* Paxos's state, and what its files offer each other (Lamport 1998, 2001): single decrees, numbered instances.
 *
 *   paxos.c            life and death of a node, records, proposals, dispatch, the interface table
 *   paxos_proposer.c   ballots: prepare, adopt, accept, back off
 *   paxos_acceptor.c   promises and acceptances, each durable before it is spoken
 *   paxos_learner.c    decisions: told, asked for, handed on
 *   paxos_view.c       status, describe, inspect, fingerprint, invariants
 *
 * A node has up to three roles. Together (the default) every node has all; apart, the last `acceptors` nodes accept and
 * nothing else, the first `proposers` nodes propose, and everybody learns.
 *
 * Invariants
 *  1. A ballot is round << 16 | node, and durable before it is spoken; so no two ballots are alike, across crashes too.
 *  2. What an acceptor promised and what it accepted are two variables, written together in one record.
 *  3. A proposer works on one instance: the first whose decision this node does not know. Whoever proposes here
 *     meanwhile waits for that decision too.
 *  4. An acceptor that knows a decision answers with it, and neither promises nor accepts any more.
 *  5. A node whose disk was wiped, or found damaged, learns and never promises, accepts or proposes again. */
#ifndef PROTOCOL_PAXOS_H
#define PROTOCOL_PAXOS_H

#include "protocol/instances.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/quorum_rules.h"

#define PAXOS_MEMBERS_MAX 128
#define PAXOS_VALUE_MAX (512u * 1024u)
#define PAXOS_ROUND_MAX (UINT64_C(1) << 47) /* no honest peer's round comes near */

/* identifies timers in the trace */
enum paxos_timer { PAXOS_TIMER_BALLOT = 1, PAXOS_TIMER_LEARN = 2 };

/* detail of QRT_KIND_STATE with index 0, and of the option's effect */
enum paxos_role { PAXOS_PROPOSER = 1, PAXOS_ACCEPTOR = 2, PAXOS_LEARNER = 4 };

/* positions in the list of paxos.c */
enum paxos_bug {
    PAXOS_ACCEPT_WITHOUT_PROMISE = 0,
    PAXOS_STALE_PROMISE_COUNTED = 1,
    PAXOS_ONE_BALLOT_VARIABLE = 2,
};

struct paxos_options {
    int64_t acceptors, proposers;
    bool thrifty;
    int64_t retry, backoff, learn_interval;
    int64_t max_waiting;
};

enum paxos_phase { PAXOS_IDLE = 0, PAXOS_PREPARING = 1, PAXOS_ACCEPTING = 2 };

struct paxos_proposer {
    uint8_t phase;
    bool preempted;    /* an acceptor has promised a higher ballot: the timer begins the next */
    uint32_t attempts; /* ballots of this instance that were preempted */
    uint64_t instance, ballot;
    uint64_t round_seen;                       /* the highest round that stood in our way */
    uint64_t adopted;                          /* the highest ballot that a promise reported a value of; 0 none */
    uint64_t answered[PAXOS_MEMBERS_MAX / 64]; /* by slot: who has answered in this phase */
    uint16_t count;
    uint64_t own_record;       /* our own answer counts when this record is durable; 0 none */
    struct buffer mine, value; /* what was proposed here; what this ballot asks for */
};

struct paxos {
    uint16_t node, group, slot;
    uint16_t count, members[PAXOS_MEMBERS_MAX]; /* ascending */
    uint16_t first_acceptor, proposers;         /* slots: [first_acceptor, count) accept, [0, proposers) propose */
    uint8_t roles;                              /* enum paxos_role */
    bool started, recovering;                   /* invariant 5 */
    bool damaged;                               /* recovery met a record that it cannot read */
    bool asking;                                /* an answer to a question of ours is on its way, or lost */
    uint64_t bugs;
    struct paxos_options options;
    struct random random;
    struct outbox *out;        /* of the step under way */
    struct quorum_rule quorum; /* of the acceptors: promises read, acceptances write (Howard and others 2016) */
    struct instances instances;
    uint64_t written, stored; /* records of this incarnation */
    uint64_t heard;           /* somebody knows all decisions up to here */
    struct paxos_proposer proposer;
    uint64_t *waiting; /* tokens of those who wait for the proposer's instance */
    size_t waiting_count, waiting_capacity;
};

static inline bool paxos_has_bug(const struct paxos *p, enum paxos_bug bug) {
    return __builtin_expect(p->bugs >> bug & 1, 0);
}
static inline uint64_t paxos_round(uint64_t ballot) {
    return ballot >> 16;
}
static inline bool paxos_accepts(const struct paxos *p) {
    return (p->roles & PAXOS_ACCEPTOR) && !p->recovering;
}
/* A ballot that some proposer of this cluster may have made. */
bool paxos_ballot_fits(const struct paxos *p, uint64_t ballot);

/* paxos.c */
void paxos_reject(struct paxos *p, const struct message *m);
/* What the acceptor remembers of an instance, in one record; its number, from 1. */
uint64_t paxos_save(struct paxos *p, uint64_t instance);
void paxos_save_decision(struct paxos *p, uint64_t instance);
void paxos_note(struct paxos *p, uint8_t what, uint16_t peer, uint64_t instance, uint64_t ballot, uint64_t link,
                struct bytes value);

/* paxos_proposer.c */
void paxos_on_propose(struct paxos *p, const struct event *e);
void paxos_on_ballot_timer(struct paxos *p);
void paxos_on_promise(struct paxos *p, const struct message *m, int slot);
void paxos_on_accepted(struct paxos *p, const struct message *m, int slot);
void paxos_on_refuse(struct paxos *p, const struct message *m, int slot);
void paxos_on_own_record(struct paxos *p);
/* The instance is decided: those who wait for it are told. */
void paxos_end_ballot(struct paxos *p, uint64_t ballot, struct bytes decided);

/* paxos_acceptor.c */
void paxos_on_prepare(struct paxos *p, const struct message *m);
void paxos_on_accept(struct paxos *p, const struct message *m);
/* The same for a ballot of our own; the number of the record behind the answer, 0: refused. */
uint64_t paxos_promise_own(struct paxos *p, uint64_t instance, uint64_t ballot);
uint64_t paxos_accept_own(struct paxos *p, uint64_t instance, uint64_t ballot, struct bytes value);

/* paxos_learner.c */
/* `announce`: we are the one who found out, and tell all others. */
void paxos_decide(struct paxos *p, uint64_t instance, uint64_t ballot, struct bytes value, bool announce);
void paxos_tell(struct paxos *p, uint16_t to, uint64_t instance, bool more);
void paxos_on_learn(struct paxos *p, const struct message *m);
void paxos_on_ask(struct paxos *p, const struct message *m);
void paxos_on_learn_timer(struct paxos *p);
void paxos_start_learning(struct paxos *p);
/* `from` speaks of an instance whose predecessors it knows. */
void paxos_hear(struct paxos *p, uint16_t from, uint64_t known);

/* paxos_view.c: the interface's read-only half */
void paxos_status(const void *state, struct protocol_status *status);
bool paxos_entry(const void *state, uint64_t index, struct entry *entry);
int paxos_describe(const void *state, char *out, size_t size);
void paxos_inspect(const void *state, inspect_fn *field, void *context);
uint64_t paxos_fingerprint(const void *state);
bool paxos_invariants(const void *state, struct error *e);

#endif
