/* Coverage: which of the conditions that make a campaign worth its time really happened in a run. A sink of the trace
 * like the checkers; each condition is a bit. A campaign in which one never fires has not tested what it claims. */
#ifndef CHECK_COVERAGE_H
#define CHECK_COVERAGE_H

#include "trace/trace.h"

/* clang-format off */
#define COVERAGE_LIST(X) \
    X(LEADER_REPLACED,     "a second leader was elected") \
    X(ELECTION_REPEATED,   "an election ended without a leader and began again") \
    X(LOG_TRUNCATED,       "a follower dropped conflicting entries") \
    X(CHECKPOINT_TAKEN,    "a node compacted its log into a snapshot") \
    X(SNAPSHOT_INSTALLED,  "a follower was brought up by a peer's snapshot") \
    X(WIPED_CAUGHT_UP,     "a wiped member caught up and voted again") \
    X(CRASHED_IN_STEP,     "a node died between two effects of one step") \
    X(UNSYNCED_LOST,       "a crash lost unsynced writes") \
    X(DISK_WIPED,          "a disk was wiped") \
    X(NODE_PAUSED,         "a node was paused") \
    X(PARTITION_DROPPED,   "a partition dropped a message") \
    X(MESSAGE_LOST,        "a link lost a message") \
    X(CORRUPT_REJECTED,    "a corrupted frame was rejected") \
    X(SENT_TO_DEAD,        "a message reached a dead node") \
    X(LEADER_CRASHED,      "a leader crashed") \
    X(LEADER_DEPOSED,      "a leader stepped down alive") \
    X(OUTCOME_UNKNOWN,     "a client could not tell whether its operation was executed") \
    X(OPERATION_FAILED,    "an operation certainly failed") \
    X(READ_SERVED,         "a linearizable read was answered") \
    X(BALLOT_PREEMPTED,    "a proposer met a higher ballot than its own") \
    X(VALUE_ADOPTED,       "a proposer had to take over a value accepted in an earlier ballot")
/* clang-format on */

enum coverage_condition {
#define X(name, says) COVERAGE_##name,
    COVERAGE_LIST(X)
#undef X
        COVERAGE_COUNT
};

struct coverage {
    uint64_t seen;          /* bit per condition */
    uint8_t roles[129];     /* by node */
    struct trace_sink next; /* the checkers' */
};

void coverage_init(struct coverage *c, struct trace_sink next);
struct trace_sink coverage_sink(struct coverage *c);
void coverage_see(struct coverage *c, enum coverage_condition condition);
const char *coverage_name(size_t condition); /* "leader-replaced"; NULL past the end */
const char *coverage_says(size_t condition);

#endif
