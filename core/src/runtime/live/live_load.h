/* A load that a node makes by itself: the proposer is in the leader's process, so that what is measured is the protocol and
 * not the way from the owner to the leader.
 *
 * Closed (interval 0): `window` proposals are kept outstanding. Open: one is due each interval, whatever became of those
 * before it, with at most `window` outstanding; its time counts from when it was due, so that a stall is seen by all that
 * should have been proposed meanwhile (Tene, "coordinated omission"). */
#ifndef RUNTIME_LIVE_LOAD_H
#define RUNTIME_LIVE_LOAD_H

#include "base/memory.h"
#include "base/status.h"
#include "runtime/runtime.h"

#define LOAD_COUNT_MAX (1u << 20)
#define LOAD_SIZE_MAX (1u << 16)
#define LOAD_TICKET (UINT64_C(1) << 63) /* of the proposals of a load: answered in their node */

struct load_spec {
    uint32_t window, count, size;
    uint32_t zero;
    int64_t interval; /* ns */
};

struct load_report {
    uint64_t committed;
    int64_t ns;                  /* from the first proposal to the last answer */
    int64_t p50, p99, p999, max; /* of a proposal's time, ns */
};

/* Begins it on a node that is up. The ticket is answered when all is committed, its data a struct load_report; or with the
 * status of the first proposal that was not. */
qrt_status live_load(void *runtime, uint16_t node, const struct load_spec *spec, uint64_t *ticket);

/* Of so many times, which it sorts. */
void load_summary(struct load_report *r, int64_t *times, uint32_t count, int64_t ns);

/* ---- in the node ---- */

struct live_node;
struct order;
struct load;

void load_begin(struct live_node *n, const struct order *o);
bool load_propose(struct live_node *n);      /* what is due now; false: nothing was */
int64_t load_due(const struct live_node *n); /* when the next is; INT64_MAX: when an answer comes, or never */
void load_answered(struct live_node *n, const struct answer *a); /* within an input */
void load_stop(struct live_node *n);                             /* its node died */
void load_free(struct live_node *n);

#endif
