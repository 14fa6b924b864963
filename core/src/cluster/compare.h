/* What a protocol costs: one run on a given seed, load and plan, and one probe of single proposals in a network without
 * faults whose every message takes one unit of time. */
#ifndef CLUSTER_COMPARE_H
#define CLUSTER_COMPARE_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

/* JSON in: {"protocol", "nodes": 5, "seed": 1, "clients": 4, "operations": 400, "plan": {..}, "options": {name: value}}.
 * Only protocol is required. JSON out: see qrt_compare in quorate.h. */
qrt_status compare_protocol(struct bytes spec_json, struct buffer *report, struct error *e);

#endif
