/* The replay of a capture: each node's inputs go to a host again, in the order of their trace times, without sockets, disks or
 * waiting; what each step did is compared with what was written down then. The hosts' events are one trace, which checkers
 * may judge; what clients asked and were told is a history (replay_history.h).
 *
 *   capture_reader (a node) --input--> host --events--> hash of the step --> compared with the recorded outcome
 *                                                   '-> one trace --> checkers
 *
 * Invariants
 *  1. Of a step that a kill cut short only those events enter the trace that had happened, and nothing is compared.
 *  2. From the first step that differs, or the first gap, nothing more enters the trace: what came before it is what can be
 *     judged. The other nodes, and the node's later incarnations, are compared all the same, because each start brings along
 *     what it had recovered.
 *  3. A frame is taken behind its sending, however far the nodes' clocks are apart, and no event of the trace is earlier than
 *     the one before it. Where the sending is not found within REPLAY_PATIENCE of the other nodes' time, the frame is
 *     taken all the same, and counted.
 *  4. A node that ran without its capture in between is seen: it recovers more than its captured incarnations had, or its
 *     frames have ids that none of them used. */
#ifndef RUNTIME_REPLAY_H
#define RUNTIME_REPLAY_H

#include "runtime/capture_read.h"
#include "runtime/replay_history.h"
#include "runtime/runtime.h"

#define REPLAY_NOTES_MAX 16
#define REPLAY_PATIENCE INT64_C(10000000000) /* ns */

struct replay_incarnation {
    uint32_t number;
    int64_t time;
    uint64_t steps, matched;
    uint64_t uncompared; /* without an outcome, or behind a difference or gap */
    bool unrecovered;    /* it ended before it had recovered */
    bool unfinished;     /* a kill cut its last step short */
    bool differs;
};

struct replay_difference {
    uint16_t node; /* 0: none */
    uint32_t incarnation;
    uint64_t step; /* from 1 */
    int64_t time;
    char input[96];
    uint64_t recorded_state, replayed_state, recorded_events, replayed_events;
    bool recorded_dying, replayed_dying;
};

struct replay_hole {
    uint64_t above, to;
};

struct replay_node {
    struct capture_reader reader;
    struct host host;
    struct replay_incarnation *incarnations;
    size_t count, capacity;
    int64_t time;              /* of the last input */
    uint64_t sent;             /* by its earlier incarnations, as the ids of frames count */
    uint64_t last;             /* the highest index that its log has had */
    struct replay_hole *holes; /* ids that no captured incarnation has used */
    size_t hole_count, hole_capacity;
    bool begun, dead, lost; /* lost: nothing is replayed until the next start */
};

struct replay_note {
    uint16_t node;
    char text[360];
};

struct replay {
    struct runtime_config config;
    uint16_t members[FAULT_NODES_MAX];
    struct replay_node *nodes; /* [1..n] */
    struct trace trace;        /* of the hosts; keeps nothing */
    struct trace kept;         /* what is judged; its `keep`, 0, may be set before the run */
    struct trace_sink sink;
    struct replay_history history;
    bool tells;                     /* whether there is a history: set before the run */
    struct replay_difference first; /* that differs */
    struct replay_note notes[REPLAY_NOTES_MAX];
    size_t note_count, gaps;
    int64_t blind_from; /* the trace ends here; INT64_MAX: it is whole */
    uint64_t events, hash;
    int64_t last;    /* the time of the last event that was judged */
    uint64_t unsent; /* frames that were taken before their sending was found */
    bool inherited;  /* a node began with an earlier cluster's data */
    /* Of the step under way. */
    struct replay_node *at;
    uint64_t step_events, step_hash;
    int64_t limit; /* events that may enter the trace; -1: all */
    struct bytes frame;
};

/* config: of the cluster, whose pointers outlive the replay. */
struct replay *replay_new(const struct runtime_config *config, const char *folder, uint64_t identity,
                          struct trace_sink sink);
/* Goes on for about slice_ns (0: to the end); true: done. */
bool replay_run(struct replay *r, int64_t slice_ns);
void replay_free(struct replay *r);

#endif
