/* Stories about a simulated cluster, told in few words: make it, let it run, break it, look at it. Everything that goes wrong
 * ends the test with the sentence that a user would read. */
#ifndef TESTS_SUPPORT_SCENARIO_H
#define TESTS_SUPPORT_SCENARIO_H

#include "cluster/cluster.h"

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* Options as "nodes=5 seed=7". */
struct cluster *scenario_new(const char *options); /* of Raft */
struct cluster *scenario_new_of(const char *protocol, const char *options);
void scenario_run(struct cluster *c, int64_t ns);
/* One directive, or a plan whose times count from now. */
void scenario_fault(struct cluster *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void scenario_plan(struct cluster *c, const char *json);
void scenario_load(struct cluster *c, const char *json);
uint16_t scenario_leader(struct cluster *c); /* waits for one */
/* Proposes at the leader and waits at most 5 s; how it ended, and why. */
qrt_status scenario_propose(struct cluster *c, const char *value, struct error *e);
int64_t scenario_now(struct cluster *c);
uint64_t scenario_hash(struct cluster *c);
uint64_t scenario_fingerprint(struct cluster *c);
struct node_view scenario_node(struct cluster *c, uint16_t node);
const struct trace *scenario_trace(struct cluster *c);
/* How many events of that kind and detail a node has in the trace. */
uint64_t scenario_events(struct cluster *c, uint16_t node, uint8_t kind, uint8_t detail);
/* That many events, and after each the states' own consistency (struct protocol.invariants) of every node that is up. */
void scenario_step_soundly(struct cluster *c, int events);
/* Checks all and fails, with the report, when something is violated or unknown. */
void scenario_expect_sound(struct cluster *c, const char *story);

#endif
