/* Three-phase commit: its state, and what its files offer each other.
 *
 *   three_phase.c              life and death of an instance, the log, recovery, dispatch, the interface table
 *   three_phase_coordinator.c  begins, collects votes, tells that all have agreed, decides
 *   three_phase_participant.c  votes, is told; without its coordinator: the termination protocol; after a crash: asks
 *   three_phase_view.c         status, describe, inspect, fingerprint, invariants */
#ifndef PROTOCOL_THREE_PHASE_H
#define PROTOCOL_THREE_PHASE_H

#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/transaction.h"

struct three_phase_options {
    double refuse;
    int64_t phase_timeout, max_transactions;
};

enum three_phase_own {                   /* where this node stands itself; crosses the wire as the state of a reply */
                       OWN_NONE = 0,     /* it takes no part, or has not voted yet */
                       OWN_PREPARED = 1, /* it has voted yes: uncertain */
                       OWN_PRECOMMITTED = 2,
};

enum three_phase_duty { /* what it does for the others */
                        THREE_NONE = 0,
                        THREE_COLLECT = 1,   /* coordinator: votes are awaited */
                        THREE_PRECOMMIT = 2, /* coordinator, or who took its place: acknowledgements are awaited */
                        THREE_TERMINATE =
                            3, /* took its place, or is back after a crash: the others' states are awaited */
};

/* A transaction that is not over here. Its place in the table is its timer. */
struct three_phase_live {
    bool used;
    bool recovering; /* it crashed since it voted: it counts for nothing, unless all are there */
    bool blocked;    /* and it asked and found nobody who knew */
    bool leads;      /* it is the coordinator */
    bool precommits; /* terminating: somebody that counts is precommitted */
    uint8_t own, duty;
    uint64_t id, token;         /* token: the proposer's, volatile; 0 none */
    struct member_set everyone; /* who votes yes or no, and the coordinator */
    struct member_set writers;  /* of these, who has something to decide */
    struct member_set awaited;  /* by the duty: who has not voted, acknowledged or answered */
    struct member_set voted;    /* coordinator: who has voted yes, itself left out */
    struct member_set counted;  /* terminating: who has answered, and has not crashed since it voted */
};

struct three_phase {
    uint16_t node, group, place, member_count;
    uint16_t members[TRANSACTION_MEMBERS_MAX];
    struct three_phase_options options;
    struct outbox *out;      /* of the step under way */
    uint64_t next, reserved; /* the next sequence; those up to `reserved` are this node's by a durable record */
    struct three_phase_live *live;
    size_t live_count, live_capacity;   /* places ever used */
    struct transaction_ledger *ledgers; /* by member */
    uint64_t begun, committed, aborted; /* here, in this life */
};

/* three_phase.c */
int three_phase_place(const struct three_phase *t, uint16_t node); /* among the members; -1: none */
struct three_phase_live *three_phase_find(struct three_phase *t, uint64_t id);
struct three_phase_live *three_phase_take(struct three_phase *t, uint64_t id); /* a new one; NULL: too many */
void three_phase_timer(struct three_phase *t, const struct three_phase_live *x, int64_t delay_ns);
enum transaction_outcome three_phase_outcome(const struct three_phase *t, uint64_t id);
enum three_phase_record { RECORD_RESERVED = 1, RECORD_PREPARED = 2, RECORD_DECIDED = 3 }; /* the cookie's term */
void three_phase_reserve(struct three_phase *t, uint64_t upto);
void three_phase_prepare(struct three_phase *t, struct three_phase_live *x, struct bytes data); /* its yes, forced */
/* The outcome as this node's own: forced, remembered, noted, told to whoever proposed it here, and to `told`. */
void three_phase_decide(struct three_phase *t, struct three_phase_live *x, bool commit, const struct member_set *told);
void three_phase_abort_unheard(struct three_phase *t, uint64_t id); /* before it was asked: it will never vote yes */
void three_phase_reject(struct three_phase *t, const struct message *m);
void three_phase_state(struct three_phase *t, const struct three_phase_live *x, uint8_t state);
void three_phase_tell(struct three_phase *t, uint16_t node, uint64_t id, bool commit);
/* The same bare message to all of a set but this node. */
void three_phase_send_all(struct three_phase *t, const struct member_set *who, struct message *m, uint64_t id);

/* three_phase_coordinator.c */
void three_phase_on_propose(struct three_phase *t, const struct event *e);
void three_phase_on_vote(struct three_phase *t, const struct message *m, unsigned place);
void three_phase_on_precommit_ack(struct three_phase *t, const struct message *m, unsigned place);
void three_phase_coordinator_timer(struct three_phase *t, struct three_phase_live *x);
void three_phase_precommit(struct three_phase *t, struct three_phase_live *x, const struct member_set *who);

/* three_phase_participant.c */
void three_phase_on_prepare(struct three_phase *t, const struct message *m);
void three_phase_on_precommit(struct three_phase *t, const struct message *m, unsigned place);
void three_phase_on_decision(struct three_phase *t, const struct message *m);
void three_phase_on_state_request(struct three_phase *t, const struct message *m, unsigned place);
void three_phase_on_state_reply(struct three_phase *t, const struct message *m, unsigned place);
void three_phase_participant_timer(struct three_phase *t, struct three_phase_live *x);
void three_phase_ask(struct three_phase *t, struct three_phase_live *x);

/* three_phase_view.c */
void three_phase_status(const void *state, struct protocol_status *status);
int three_phase_describe(const void *state, char *out, size_t size);
void three_phase_inspect(const void *state, inspect_fn *field, void *context);
uint64_t three_phase_fingerprint(const void *state);
bool three_phase_invariants(const void *state, struct error *e);

#endif
