/* A cluster as its user sees it: a runtime, its checkers, proposals that find their leader, clients, workloads, verdicts.
 * This layer is where runtime and check meet; neither includes the other. */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include <jansson.h>

#include "check/check.h"
#include "check/linear.h"
#include "cluster/bounds.h"
#include "runtime/runtime.h"

struct proposal {          /* a ticket of the cluster: a proposal on its way to a leader, or an operation of a client */
    uint64_t inner;        /* the runtime's ticket; 0: not yet at any node */
    uint16_t node;         /* wanted node; 0: whoever leads */
    uint32_t offset, size; /* of its bytes, in the cluster's arena; operations have none */
    int64_t made;
    int64_t tried; /* when it was last handed to a node; a node that refuses at once is not asked twice at one time */
    int64_t pause; /* until then it rests: it met a full disk */
};

struct cluster {
    struct runtime_config config;
    void *protocol_options;
    struct machine_class machine; /* a user's own, when config.machine points here */
    char machine_name[64];
    const struct runtime_class *class;
    void *runtime;
    struct checkers *checkers;
    struct bounds *bounds;      /* live, and in replays, of protocols that need a bound on delays; else NULL */
    struct proposal *proposals; /* ticket 1 is [0] */
    size_t proposal_count, proposal_capacity;
    struct buffer proposal_bytes;
    struct workload workload; /* of the last load */
    bool loaded;
    bool afar;             /* its nodes were started by hand, and this is a client of them */
    struct linear *linear; /* a check under way */
    int64_t check_started;
    struct buffer report; /* JSON of the last complete check */
    enum verdict verdict;
    struct buffer text; /* JSON handed out by other calls */
};

struct setting {
    const char *name, *value;
};

/* machine: NULL, or the user's own (copied). */
struct cluster *cluster_new(const char *protocol, const struct setting *settings, size_t count,
                            const struct machine_class *machine, struct error *e);
/* The same, with a plan from the first instant on, a way to put a further sink before the checkers (NULL: none), and a
 * protocol that is no part of this build: a script's, which outlives the cluster (NULL: the one of that name). */
struct cluster_extras {
    const struct plan *plan;
    struct trace_sink (*wrap)(void *context, struct trace_sink checkers);
    void *context;
    const struct protocol *protocol;
    const struct hand_config *hand; /* of nodes started by hand; NULL: none. Borrowed until the cluster is made. */
    const struct launch *launch;
};
struct cluster *cluster_new_with(const char *protocol, const struct setting *settings, size_t count,
                                 const struct machine_class *machine, const struct cluster_extras *extras,
                                 struct error *e);
/* All but its runtime: what a replay needs of it. */
struct cluster *cluster_configured(const char *protocol, const struct setting *settings, size_t count,
                                   const struct machine_class *machine, const struct cluster_extras *extras,
                                   struct error *e);
void cluster_free(struct cluster *c);
/* Where its events go: its checkers, and before them what watches its bounds, if it is live. */
struct trace_sink cluster_sink(struct cluster *c, bool live);
struct cluster *cluster_fork(struct cluster *c, struct error *e);

qrt_status cluster_run(struct cluster *c, int64_t until, const char *condition, int64_t slice_ns, struct error *e);
qrt_status cluster_leader(struct cluster *c, uint16_t *node, struct error *e);
/* False where every member is as good as any other, and nobody should be told that none leads. */
bool cluster_has_leaders(const struct cluster *c);
/* Why nobody leads, in the user's terms: "2 of 5 nodes are up, 3 are needed". */
void cluster_no_leader(struct cluster *c, char *out, size_t size);
/* Whose disks are full, in words; false: nobody's. */
bool cluster_full(struct cluster *c, char *out, size_t size);

qrt_status cluster_propose(struct cluster *c, uint16_t node, struct bytes data, uint64_t *ticket, struct error *e);
/* Asks a node, or any, for an election. */
qrt_status cluster_elect(struct cluster *c, uint16_t node, uint64_t *ticket, struct error *e);
qrt_status cluster_await(struct cluster *c, uint64_t ticket, int64_t until, int64_t slice_ns, qrt_result *result,
                         struct error *e);
qrt_status cluster_result(struct cluster *c, uint64_t ticket, qrt_result *result, struct error *e);
qrt_status cluster_submit(struct cluster *c, uint16_t client, uint8_t operation, struct bytes command, uint64_t *ticket,
                          struct error *e);
qrt_status cluster_load(struct cluster *c, const struct workload *w, struct error *e);

/* Every property and every client history. QRT_MORE after slice_ns. */
qrt_status cluster_check(struct cluster *c, double seconds, size_t memory, int64_t slice_ns, struct error *e);
void cluster_check_reset(struct cluster *c);
/* The model of its state machine; 0: there is none, or histories need not be linearizable. */
enum linear_model cluster_linear_model(const struct cluster *c);
/* Whether its protocol, with the options it has, promises that client histories are linearizable. */
bool cluster_promises_linearizability(const struct cluster *c);

/* capture_replay.c: begins the capture that the options want. own: it has code that only its user has.
 * shared: others of this cluster may have begun it, or this node when it ran before. */
qrt_status cluster_capture(struct cluster *c, bool own, bool shared, struct error *e);

/* report.c: JSON into c->text (or c->report) */
void report_check(struct cluster *c, const struct linear_result *linear);
#define LINEARIZABILITY_SAYS "every client sees one copy of the data that changes in real-time order"
/* The assumption that was broken first, as the field `assumption` of a report, and as a line. False: none was. */
bool report_assumption(struct cluster *c, json_t *root, char *text, size_t size);
const char *report_status(struct cluster *c);
const char *report_inspect(struct cluster *c, uint16_t node, struct error *e);
const char *report_tracebacks(struct cluster *c);
const char *report_load(struct cluster *c);

#endif
