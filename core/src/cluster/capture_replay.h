/* A capture as its user sees it: the cluster that capture.json describes, its nodes' inputs replayed, its checkers over what
 * came of it, the linearizability of its clients' history, and a report. */
#ifndef CLUSTER_CAPTURE_REPLAY_H
#define CLUSTER_CAPTURE_REPLAY_H

#include "cluster/cluster.h"
#include "runtime/capture_history.h"
#include "runtime/replay.h"

struct capture_replay {
    struct cluster *cluster; /* configured; it never runs */
    struct replay *replay;
    struct captured_history clients;
    bool of_nodes;         /* their history is not captured, but is what the nodes received and answered */
    struct linear *linear; /* its check; NULL: it has not begun, or there is none */
    struct buffer report;
    bool with_clients; /* whose history ought to be there: the cluster's own process had them */
    bool replayed, done;
};

/* bug: NULL, as it was captured; else the mistake to switch on ("": none). */
struct capture_replay *capture_replay_new(const char *folder, const char *bug, struct error *e);
bool capture_replay_run(struct capture_replay *r, int64_t slice_ns); /* true: done */
/* JSON; see qrt_replay_report. */
const char *capture_replay_report(struct capture_replay *r);
void capture_replay_free(struct capture_replay *r);

#endif
