/* Two-phase commit: its state, and what its files offer each other.
 *
 *   two_phase.c              life and death of an instance, the log, recovery, dispatch, the interface table
 *   two_phase_manager.c      who decides: begins, collects votes, decides, tells, is asked
 *   two_phase_participant.c  who votes: prepares, is told, asks
 *   two_phase_view.c         status, describe, inspect, fingerprint, invariants
 *
 * Four forms (option `form`):
 *
 *   presumed-nothing        Gray 1978; Mohan, Lindsay and Obermarck 1986, section 2: every decision is forced and acknowledged
 *   presumed-abort          the same paper, section 3: of a transaction that is unknown, the answer is "abort"
 *   presumed-commit         the same: who collects votes is forced before they are asked for; then only aborts are acknowledged
 *   participant-initiated   Gray and Lamport 2006, section 2: a participant's readiness begins it; no acknowledgements, and
 *                           participants do not force the decision. Option `manager` names the node that decides; 0: the
 *                           one that took the transaction
 *
 * A transaction's manager follows from its number and the options, so that no message need name it. */
#ifndef PROTOCOL_TWO_PHASE_H
#define PROTOCOL_TWO_PHASE_H

#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/transaction.h"

enum two_phase_form { FORM_NOTHING = 0, FORM_ABORT = 1, FORM_PARTICIPANT = 2, FORM_COMMIT = 3 };

/* positions in the list of two_phase.c */
enum two_phase_bug {
    TWO_PHASE_COMMIT_BEFORE_DECISION_DURABLE = 0,
    TWO_PHASE_REFUSE_AFTER_YES = 1,
};

struct two_phase_options {
    int32_t form;
    double refuse;
    int64_t vote_timeout, retry_interval, manager, max_transactions;
    bool cooperative;
};

enum two_phase_duty { /* what a node owes a transaction as its manager */
                      DUTY_NONE = 0,
                      DUTY_COLLECT = 1,     /* votes are awaited */
                      DUTY_TELL_COMMIT = 2, /* decided; acknowledgements are awaited */
                      DUTY_TELL_ABORT = 3,  /* decided; acknowledgements, or votes under way, are awaited */
};

/* A transaction that is not over here. Its place in the table is its timer. */
struct two_phase_live {
    bool used;
    bool prepared; /* this node has voted yes, durably, and does not know the outcome */
    bool blocked;  /* and its questions found no answer */
    bool yes;      /* manager: its own vote */
    uint8_t duty;  /* enum two_phase_duty */
    uint8_t rounds;
    uint64_t id, token, digest; /* token: the proposer's, volatile; 0 none */
    struct member_set awaited;  /* manager: who has not voted */
    struct member_set voted;    /* manager: who has voted yes, itself left out */
    struct member_set owed;     /* manager: who has not acknowledged */
    struct member_set peers;    /* prepared: whom to ask beside the manager */
};

struct two_phase {
    uint16_t node, group, place, member_count;
    uint16_t members[TRANSACTION_MEMBERS_MAX];
    struct two_phase_options options;
    uint64_t bugs;
    struct outbox *out;      /* of the step under way */
    uint64_t next, reserved; /* the next sequence; those up to `reserved` are this node's by a durable record */
    struct two_phase_live *live;
    size_t live_count, live_capacity;   /* places ever used */
    struct transaction_ledger *ledgers; /* by member */
    struct buffer lazy;                 /* log entries that nothing waits for: they travel with the next forced write */
    uint64_t begun, committed, aborted; /* here, in this life */
    bool gap;                           /* recovery met a record that it could not read */
};

static inline bool two_phase_has_bug(const struct two_phase *t, enum two_phase_bug bug) {
    return t->bugs >> bug & 1;
}
static inline bool two_phase_is_apart(const struct two_phase *t) { /* the manager is a fixed node */
    return t->options.form == FORM_PARTICIPANT && t->options.manager;
}
static inline uint16_t two_phase_manager(const struct two_phase *t, uint64_t id) {
    return two_phase_is_apart(t) ? (uint16_t)t->options.manager : transaction_node(id);
}
/* Whether the outcome is forced by participants, and acknowledged. */
static inline bool two_phase_acknowledged(const struct two_phase *t, bool commit) {
    return t->options.form == FORM_NOTHING || t->options.form == (commit ? FORM_ABORT : FORM_COMMIT);
}

/* two_phase.c */
int two_phase_place(const struct two_phase *t, uint16_t node); /* among the members; -1: none */
struct two_phase_live *two_phase_find(struct two_phase *t, uint64_t id);
struct two_phase_live *two_phase_take(struct two_phase *t, uint64_t id); /* a new one; NULL: too many */
void two_phase_end(struct two_phase *t, struct two_phase_live *x);
void two_phase_timer(struct two_phase *t, const struct two_phase_live *x, int64_t delay_ns);
enum transaction_outcome two_phase_outcome(const struct two_phase *t, uint64_t id);
void two_phase_remember(struct two_phase *t, uint64_t id, bool commit);
/* The log. What is noted is written with the next force, whose cookie is (id, term = the entry's kind). */
enum two_phase_entry {
    ENTRY_RESERVED = 1,
    ENTRY_PREPARED = 2,
    ENTRY_DECIDED = 3,
    ENTRY_OVER = 4,
    ENTRY_COLLECTING = 5
};
void two_phase_log_reserved(struct two_phase *t, uint64_t upto);
void two_phase_log_prepared(struct two_phase *t, uint64_t id, uint64_t settled, struct bytes data);
void two_phase_log_decided(struct two_phase *t, uint64_t id, bool commit, const struct member_set *owed);
void two_phase_log_collecting(struct two_phase *t, uint64_t id, const struct member_set *asked);
void two_phase_log_over(struct two_phase *t, uint64_t id);
void two_phase_force(struct two_phase *t, uint64_t id, enum two_phase_entry kind);
/* The outcome as this node's own: notes, and the answer to whoever proposed it here. */
void two_phase_decided(struct two_phase *t, uint64_t id, bool commit, uint64_t token, bool early);
void two_phase_reject(struct two_phase *t, const struct message *m);
void two_phase_state(struct two_phase *t, uint64_t id, uint8_t state);
void two_phase_tell(struct two_phase *t, uint16_t node, uint64_t id, bool commit, bool early);

/* two_phase_manager.c */
void two_phase_on_propose(struct two_phase *t, const struct event *e);
void two_phase_on_begin(struct two_phase *t, const struct message *m);
void two_phase_on_vote(struct two_phase *t, const struct message *m, unsigned place);
void two_phase_on_ack(struct two_phase *t, const struct message *m, unsigned place);
void two_phase_manager_asked(struct two_phase *t, const struct message *m);
void two_phase_manager_timer(struct two_phase *t, struct two_phase_live *x);
void two_phase_manager_recovered(struct two_phase *t, struct two_phase_live *x);

/* two_phase_participant.c */
/* Records the yes of this node: the log entry is forced, so that what is sent behind it waits. */
void two_phase_prepare(struct two_phase *t, struct two_phase_live *x, const struct transaction *what, uint64_t settled,
                       struct bytes data);
void two_phase_on_prepare(struct two_phase *t, const struct message *m, unsigned place);
void two_phase_on_decision(struct two_phase *t, const struct message *m);
void two_phase_on_inquiry(struct two_phase *t, const struct message *m);
void two_phase_participant_timer(struct two_phase *t, struct two_phase_live *x);
void two_phase_ask(struct two_phase *t, struct two_phase_live *x);
struct member_set two_phase_peers(const struct two_phase *t, uint64_t id, const struct transaction *what);

/* two_phase_view.c */
void two_phase_status(const void *state, struct protocol_status *status);
int two_phase_describe(const void *state, char *out, size_t size);
void two_phase_inspect(const void *state, inspect_fn *field, void *context);
uint64_t two_phase_fingerprint(const void *state);
bool two_phase_invariants(const void *state, struct error *e);

#endif
