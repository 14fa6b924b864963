/* What a checker fills in: the properties that it judges, the kinds of event that it wants, and one function
 * that sees them in order. check.c lists all checkers; a later protocol adds its own there. A checker says
 * only what the events prove: where something is not known (an entry heard of by its hash alone), it is
 * silent. */
#ifndef CHECK_CHECKER_H
#define CHECK_CHECKER_H

#include "check/check.h"

/* Where one checker's judgements go. */
struct judge {
    struct property *properties; /* the checker's own, in its order */
    const qrt_event *event;      /* being judged */
    uint64_t number;             /* of that event */
    bool violated;               /* any of them */
    bool spent;                  /* the memory budget is: what is not violated is unknown from here on */
};

/* Records the first violation of a property; later ones of the same property are its consequences. */
void judge_violate(struct judge *j, size_t property, const char *format, ...)
    __attribute__((cold, format(printf, 3, 4)));

struct property_entry {
    const char *name, *says;
};

struct checker {
    const char *name;
    uint64_t kinds; /* bit k set: wants events of kind k */
    const struct property_entry *properties;
    size_t property_count;
    void *(*create)(const struct check_config *config);
    void (*destroy)(void *state);
    void *(*clone)(const void *state);
    void (*event)(void *state, struct judge *j, const qrt_event *e);
};

/* The state of that checker in this run; NULL: it does not judge it. */
const void *checkers_state(const struct checkers *c, const struct checker *checker);

/* The properties of atomic commit; what else it has seen: atomic.h. */
extern const struct checker atomic_checker;
/* Raft's properties; and with them the measure of agreement, of which the replicated value is known there. */
extern const struct checker raft_checker;
void raft_checker_measure(const void *state, int64_t now, struct agreement_measure *m);

/* Agreement, validity, integrity of decisions, and the quorums behind them. */
extern const struct checker consensus_checker;

/* Primary-backup's, for every protocol in which a primary acknowledges a log. */
extern const struct checker primary_checker;
/* What every election promises; and what only those do that may rely on a bound of delays. */
extern const struct checker election_checker;
extern const struct checker leaders_checker;

#endif
