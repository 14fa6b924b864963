/* One run of a campaign: a configuration, a workload, a plan; then healing, a demand for progress, and the verdict.
 *
 *   FAULTS --plan over, enough events--> HEAL --> PROGRESS --> DRAIN --> CHECK --> DONE
 *      |
 *      +--a property is violated--> AFTERMATH --> CHECK
 *
 * The aftermath lasts to the end of the plan, and 1,000 events at least, so that every property fires that will: what a
 * wrong commitment breaks may show only when a partition ends and the next leader is elected.
 *
 * A run is a function of its spec; the spec is drawn from a seed (spec.c) or read from a failing run's file. */
#ifndef CLUSTER_RUNNER_H
#define CLUSTER_RUNNER_H

#include "check/coverage.h"
#include "cluster/assumption.h"
#include "cluster/cluster.h"

#define RUN_SETTINGS_MAX 48
#define RUN_AFTERMATH_EVENTS 1000
#define RUN_TIME_SCALE_NS INT64_C(150000000) /* where a protocol has no election timeout */
#define RUN_PROGRESS_TIMEOUTS 10             /* election timeouts within which a healed core must commit */

struct run_spec {
    char protocol[64];
    uint64_t seed;
    char names[RUN_SETTINGS_MAX][32]; /* options, as text */
    char values[RUN_SETTINGS_MAX][64];
    size_t settings;
    struct workload workload;
    struct plan plan;
    uint64_t events_min;
    uint16_t nodes;
    int64_t election_timeout; /* ns; what progress is measured in */
    uint64_t hash;            /* of the recorded run; 0 unknown */
};

struct draw_request { /* what a campaign fixes; the rest is drawn */
    const struct protocol *protocol;
    uint16_t nodes;          /* 0: drawn */
    const char *bug;         /* "" none */
    const struct plan *plan; /* NULL: drawn */
    uint64_t events_min;
    bool outside; /* draw beyond the fault model */
    bool damage;  /* draw damaged disks too, where the model stands a lost one */
};

void spec_draw(struct run_spec *spec, const struct draw_request *request, uint64_t seed);
/* A plan by itself, within the protocol's model as its options stand by default; it is over at `duration_ns`. */
void spec_draw_plan(struct plan *plan, const struct protocol *protocol, uint16_t nodes, uint64_t seed,
                    int64_t duration_ns);
void spec_free(struct run_spec *spec);
void spec_set(struct run_spec *spec, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *spec_get(const struct run_spec *spec, const char *name); /* NULL: left at its default */
/* The file of a run: JSON that spec_parse reads back. violated: names, may be NULL. */
void spec_print(const struct run_spec *spec, uint64_t hash, const char *const *violated, size_t count,
                struct buffer *out);
qrt_status spec_parse(struct run_spec *spec, struct bytes json, struct error *e);

enum run_phase { RUN_FAULTS = 1, RUN_AFTERMATH = 2, RUN_PROGRESS = 3, RUN_DRAIN = 4, RUN_CHECK = 5, RUN_DONE = 6 };
enum run_verdict { RUN_OK = 0, RUN_VIOLATED = 1, RUN_UNKNOWN = 2, RUN_STUCK = 3 };

#define RUN_PROPERTIES_MAX 24

struct run_result {
    enum run_verdict verdict;
    uint64_t hash, events, faults;
    uint16_t nodes, clients;
    uint32_t violated;                          /* bit i: properties[i] */
    const char *properties[RUN_PROPERTIES_MAX]; /* names, all that were judged */
    size_t property_count;
    int64_t violated_at;             /* virtual time of the first */
    char text[PROPERTY_TEXT_MAX];    /* of the first */
    uint64_t sometimes;              /* bit per coverage condition */
    struct broken_assumption broken; /* what its plan does beyond the protocol's fault model */
};

struct runner {
    struct run_spec spec; /* owned */
    struct cluster *cluster;
    struct coverage coverage;
    enum run_phase phase;
    int64_t end, deadline;
    uint64_t aftermath_end, probe;
    int64_t probe_deadline;
    struct run_result result;
};

/* Takes the spec's contents. keep: record the trace (for a replay that will be looked at). */
struct runner *runner_new(struct run_spec *spec, bool keep, struct error *e);
/* The same for a script's protocol, which outlives the run. */
struct runner *runner_new_of(struct run_spec *spec, const struct protocol *own, bool keep, struct error *e);
/* True when done; else comes back after about slice_ns of wall time (0: runs to the end). */
bool runner_step(struct runner *r, int64_t slice_ns);
/* Frees all but the cluster, which is handed out when `cluster` is not NULL. */
void runner_free(struct runner *r, struct cluster **cluster);

#endif
