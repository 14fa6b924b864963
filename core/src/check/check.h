/* Checkers are sinks of the trace, fed before any recording filter: they see events, never nodes. One
 * registry of properties serves every runtime. */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "check/verdict.h"
#include "trace/trace.h"

#define PROPERTY_TEXT_MAX 256

struct property {
    const char *name; /* "election-safety" */
    const char *says; /* one sentence */
    enum verdict verdict;
    uint64_t event; /* violated: number of the first bad event */
    int64_t time;
    uint16_t node;
    char text[PROPERTY_TEXT_MAX]; /* violated: shortest explanation, with terms, indices and nodes */
};

struct check_config {
    const uint16_t *members;
    uint16_t member_count;
    uint64_t memory;    /* bytes; beyond it a property is unknown; 0: 1 GiB */
    bool fixed_members; /* the membership never changes: judge commit-quorum */
    /* Whether these members (bit i % 64 of word i / 64: the i-th) hold a quorum to commit; NULL: a majority does. */
    bool (*quorum)(const void *rule, const uint64_t members[2]);
    const void *rule; /* copied */
    size_t rule_size;
    const char *judged_by; /* names of the checkers that judge, separated by spaces; NULL: all */
};

/* Share of time in which all nodes had applied the same (PROTOCOLS: `consistency`), and from when on they
 * agree. */
struct agreement_measure {
    double consistent_share;    /* of the time since the start, nodes up or not: all v_i(t) equal */
    int64_t first_inconsistent; /* ns; -1: never */
    int64_t consensus_at;       /* first t from which all are equal until now; -1: not equal now */
};

const char *checkers_name(size_t i); /* of the registry; NULL past the end */

struct checkers;
struct checkers *checkers_new(const struct check_config *config);
void checkers_free(struct checkers *c);
struct checkers *checkers_clone(const struct checkers *c);
/* The sink to put into the trace. */
struct trace_sink checkers_sink(struct checkers *c);
/* All registered properties with their verdicts as of now; the array belongs to c. */
const struct property *checkers_properties(const struct checkers *c, size_t *count);
bool checkers_violated(const struct checkers *c); /* cheap */
/* False when nothing that judges here knows the replicated values. */
bool checkers_measure(const struct checkers *c, int64_t now, struct agreement_measure *m);

#endif
