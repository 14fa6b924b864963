/* The watch: a host's failure detectors, one a peer, over heartbeats of their own. It belongs to the node and not to a
 * protocol; its opinions enter every protocol as EVENT_OPINION, and the trace as QRT_KIND_OPINION.
 *
 * Heartbeats leave every interval and carry their sender's state. A detector that polls sends questions instead, and takes
 * the answers. A peer that was never heard is suspected like one that fell silent when this node started. */
#ifndef RUNTIME_WATCH_H
#define RUNTIME_WATCH_H

#include "detect/detector.h"
#include "wire/wire.h"

#define WATCH_GROUP UINT16_MAX /* of its timers */

struct host;
struct cluster_options;

struct watch_config {
    bool on;
    enum detector_kind kind;
    struct detector_options options;
    int64_t interval_ns;
};

struct watched { /* a peer */
    uint16_t node;
    bool suspected;
    uint64_t number; /* of its last heartbeat */
    struct detector *detector;
};

struct watch {
    struct watched *peers;
    uint16_t count;
    uint64_t sent; /* heartbeats of this incarnation */
};

/* From detector, detector_interval, ... of the cluster's options; an error says which of them is wrong. */
qrt_status watch_configure(struct watch_config *config, const struct cluster_options *o, struct error *e);

void watch_start(struct host *h);
void watch_stop(struct host *h);
void watch_receive(struct host *h, const struct message *m);
void watch_timer(struct host *h, uint32_t id);
void watch_clone(struct watch *to, const struct watch *from);
uint64_t watch_fingerprint(const struct host *h);
/* Bit i - 1 of the words: node i is suspected. */
void watch_suspects(const struct host *h, uint64_t suspects[2]);

#endif
