/* The fault engine: plan + seed -> verdicts. Every runtime asks it the same questions. It holds the
 * standing conditions (partitions, link conditions, skews) and tells the runtime which node directives are
 * due. Cloneable.
 *
 * A runtime's part, at faults_next and after every faults_apply:
 *
 *     while (faults_take(f, now, &action)) {
 *         trace a QRT_KIND_FAULT;
 *         if (action.applied) continue;
 *         if (action.directive.verb == FAULT_PARTITION) { faults_partition(f, &action, leader); continue; }
 *         count = fault_targets(&action.directive, action.random, nodes, leader, up, who);
 *         for each who: carry it out on the node; faults_hit(f, &action, who);
 *     }
 *
 * How conditions compose: a link is open only when no standing partition cuts it; link conditions of
 * different directives act independently; of the skews (and slownesses) of a node the latest that stands
 * holds. A directive that fires again replaces its earlier self, and a condition without an end replaces
 * an earlier one without an end of the same verb and selectors, so that a script's loss of 0 ends its loss
 * of 0.1. A node stays down (paused) until the last crash (pause) with an end that hit it has ended. */
#ifndef FAULT_FAULTS_H
#define FAULT_FAULTS_H

#include "fault/plan.h"

struct faults;

/* One thing to do to nodes now; partition, link and clock directives are carried out inside the engine,
 * and are reported with applied = true so that the runtime can trace them. */
struct fault_action {
    /* Its verb may be the undoing one: RESTART for the end of a crash, RESUME, HEAL. Then it keeps the id and
     * the number of the firing, and names one node that faults_hit told of. */
    struct directive directive;
    uint64_t random; /* keyed bits for resolving targets: (seed, directive id, firing) */
    uint32_t number; /* firing */
    bool applied;
};

struct fault_fate { /* of one message, from (seed, link, sequence) alone and what stands now */
    uint8_t drop;   /* qrt_drop; 0: delivered */
    bool duplicate, corrupt, reorder;
    uint32_t corrupt_bit; /* of the frame, already below its size */
    uint64_t lie;         /* what wire_lie draws from; 0: the message is true */
    int64_t extra_ns;     /* added delay */
    int64_t wire_ns;      /* how long the link is taken by it alone; 0: no time */
    int64_t duplicate_ns; /* the copy's own extra delay */
};

/* The engine shares nothing with the plan afterwards. plan may be NULL. */
struct faults *faults_new(const struct plan *plan, uint64_t seed, uint16_t nodes);
void faults_free(struct faults *f);
struct faults *faults_clone(const struct faults *f);
uint64_t faults_fingerprint(const struct faults *f);
/* Adds the directives of a plan, their times counted from `now`. A directive whose id is taken gets
 * another. */
void faults_add(struct faults *f, const struct plan *plan, int64_t now);
/* When the next directive begins, repeats or ends; INT64_MAX: never. */
int64_t faults_next(const struct faults *f);
/* Takes the next action due at or before now, in (time, id) order; false when there is none. */
bool faults_take(struct faults *f, int64_t now, struct fault_action *action);
/* One directive now (a verb of a script); it is reported by faults_take like any other. */
void faults_apply(struct faults *f, const struct directive *d, int64_t now);
/* Who a node directive concerns, in increasing order; returns how many. leader 0: nobody leads. up[id]
 * (may be NULL: all are): a random one and a follower are drawn among the nodes that are up, for a restart
 * or resume among those that are not; the other targets do not ask. out has room for `nodes`. */
uint16_t fault_targets(const struct directive *d, uint64_t random, uint16_t nodes, uint16_t leader, const bool *up,
                       uint16_t *out);
/* The runtime carried a node action out on this node (or it was down, or paused, already). The end of a
 * crash or pause that has one comes as one action for each node told here; for a directive by node id it
 * comes in any case. */
void faults_hit(struct faults *f, const struct fault_action *action, uint16_t node);

/* Standing conditions (not crashed or paused nodes, which the runtime keeps) all end: heal. */
void faults_heal(struct faults *f);

/* Fast, one load: true when nothing stands on any link and no node is slow, so that neither faults_message
 * nor faults_slowness need be asked. */
bool faults_calm(const struct faults *f);
bool faults_cut(const struct faults *f, uint16_t from, uint16_t to);
/* from and to are node ids; clients (ids from QRT_CLIENT on) are hit by link verbs that name them or say
 * "any", but stand in no partition. */
void faults_message(const struct faults *f, uint16_t from, uint16_t to, uint64_t sequence, uint32_t frame_size,
                    struct fault_fate *fate);
int64_t faults_offset(const struct faults *f, uint16_t node);   /* wall clock offset, ns */
double faults_drift(const struct faults *f, uint16_t node);     /* ppm */
int64_t faults_slowness(const struct faults *f, uint16_t node); /* ns a step */
bool faults_full(const struct faults *f, uint16_t node);        /* its disk has no room */
/* Resolves a partition shape into cuts: leader 0 unknown, then nothing is cut. Called by the runtime for
 * actions whose shape wants the leader (they come with applied = false); harmless for others. */
void faults_partition(struct faults *f, const struct fault_action *action, uint16_t leader);

#endif
