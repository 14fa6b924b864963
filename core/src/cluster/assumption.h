/* What a plan does beyond the fault model of a protocol: the assumption that a violation may rest on. */
#ifndef CLUSTER_ASSUMPTION_H
#define CLUSTER_ASSUMPTION_H

#include "fault/plan.h"
#include "protocol/protocol.h"

struct broken_assumption {
    const char *assumes; /* "no message is lost"; NULL: the plan stays inside the model */
    uint8_t verb;        /* of the directive that breaks it first */
    int64_t at;          /* ns: when that takes effect */
};

/* What the model assumes and the directive does not keep to; NULL: it keeps to all. */
const char *directive_breaks(const struct directive *d, const struct fault_model *m);
struct broken_assumption assumption_broken(const struct plan *plan, const struct fault_model *model);

#endif
