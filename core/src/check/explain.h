/* Which events tell the story of one: chosen for diagrams and reports, where a few hundred can be looked at.
 * */
#ifndef CHECK_EXPLAIN_H
#define CHECK_EXPLAIN_H

#include "trace/trace.h"

#define EXPLAIN_MAX 300

/* Numbers of at most `max` kept events up to `number`, ascending, into `numbers`; returns how many. They are
 * the event itself, what speaks of its index or term, and its causal past: what its node did before, and
 * through the messages that led to it what other nodes did; the latest where not all have room. */
size_t explain_events(const struct trace *t, uint64_t number, uint64_t *numbers, size_t max);

#endif
