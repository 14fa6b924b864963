/* What a live run did to the assumptions of a protocol that needs a bound on delays, found in its trace: a machine that is busy,
 * a long pause or a fault of the plan breaks them, and a violation then is no mistake of the protocol. The verdict stays what it
 * is, as in a campaign beyond the fault model; the report says which assumption was broken first, how, and when.
 *
 * Watched are: how long messages between nodes took from their sending to their step, with the write that begins in that step;
 * timers that rang late (the nodes tell, runtime.h); messages that a full queue or a missing link lost; and what plans did
 * beyond the model (assumption.h). Two delays that break a bound only together are not seen. */
#ifndef CLUSTER_BOUNDS_H
#define CLUSTER_BOUNDS_H

#include "cluster/assumption.h"
#include "trace/trace.h"

struct bounds;

#define BOUNDS_TEXT_MAX 160

struct breach {
    int64_t at; /* ns; -1: there was none */
    const char *assumes;
    char how[BOUNDS_TEXT_MAX]; /* "delay bound 50 ms, n2 to n3 took 71 ms" */
};

/* Sits before the checkers' sink. bound: ns, of a message and what it causes. */
struct bounds *bounds_new(const struct fault_model *model, uint16_t nodes, int64_t bound, struct trace_sink checkers);
void bounds_free(struct bounds *b);
struct trace_sink bounds_sink(struct bounds *b);
/* A node's timer rang so late; such as are within the bound are passed over. */
void bounds_late(struct bounds *b, uint16_t node, int64_t late, int64_t at);
const struct breach *bounds_first(const struct bounds *b);

#endif
