/* Coverage: which of the conditions that make a campaign worth its time really happened in a run. A sink of the trace
 * like the checkers; each condition is a bit. A campaign in which one never fires has not tested what it claims. */
#ifndef CHECK_COVERAGE_H
#define CHECK_COVERAGE_H

#include "trace/trace.h"

/* clang-format off */
#define COVERAGE_LIST(X) \
    X(LEADER_REPLACED, "leader-replaced", "a second leader was elected") \
    X(ELECTION_REPEATED, "election-repeated", "an election ended without a leader and began again") \
    X(LOG_TRUNCATED, "log-truncated", "a follower dropped conflicting entries") \
    X(CHECKPOINT_TAKEN, "checkpoint-taken", "a node compacted its log into a snapshot") \
    X(SNAPSHOT_INSTALLED, "snapshot-installed", "a follower was brought up by a peer's snapshot") \
    X(WIPED_CAUGHT_UP, "wiped-caught-up", "a wiped member caught up and voted again") \
    X(CRASHED_IN_STEP, "crashed-in-step", "a node died between two effects of one step") \
    X(UNSYNCED_LOST, "unsynced-lost", "a crash lost unsynced writes") \
    X(DISK_WIPED, "disk-wiped", "a disk was wiped") \
    X(NODE_PAUSED, "node-paused", "a node was paused") \
    X(PARTITION_DROPPED, "partition-dropped", "a partition dropped a message") \
    X(MESSAGE_LOST, "message-lost", "a link lost a message") \
    X(CORRUPT_REJECTED, "corrupt-rejected", "a corrupted frame was rejected") \
    X(SENT_TO_DEAD, "sent-to-dead", "a message reached a dead node") \
    X(LEADER_CRASHED, "leader-crashed", "a leader crashed") \
    X(LEADER_DEPOSED, "leader-deposed", "a leader stepped down alive") \
    X(OUTCOME_UNKNOWN, "outcome-unknown", "a client could not tell whether its operation was executed") \
    X(OPERATION_FAILED, "operation-failed", "an operation certainly failed") \
    X(READ_SERVED, "read-served", "a linearizable read was answered") \
    X(TRANSACTION_COMMITTED, "transaction-committed", "a transaction committed") \
    X(TRANSACTION_ABORTED, "transaction-aborted", "a transaction aborted") \
    X(TRANSACTION_REFUSED, "transaction-refused", "a participant voted no") \
    X(PARTICIPANT_BLOCKED, "participant-blocked", "a prepared participant asked for the decision and found nobody who knew it") \
    X(BLOCKED_RELEASED, "blocked-released", "a blocked participant learnt the decision") \
    X(COORDINATOR_CRASHED, "coordinator-crashed", "a node crashed before it had decided on a transaction that it took") \
    X(BALLOT_PREEMPTED, "ballot-preempted", "a proposer met a higher ballot than its own") \
    X(VALUE_ADOPTED, "value-adopted", "a proposer had to take over a value accepted in an earlier ballot") \
    X(SWITCH_OVER, "switch-over", "another node became the leader than the one before") \
    X(BACKUP_REMOVED, "backup-removed", "a silent backup was removed from the view") \
    X(OLD_PRIMARY_RESYNCHRONISED, "old-primary-resynchronised", "a former primary gave up entries that nobody had acknowledged") \
    X(TERMINATION_BEGUN, "termination-begun", "a participant took the place of a silent coordinator") \
    X(ELECTION_CONCURRENT, "election-concurrent", "a node stood for election while another one did") \
    X(NODE_RETURNED, "node-returned", "a crashed node came back") \
    X(ROUND_REPEATED, "round-repeated", "a decision took more than one round")
/* clang-format on */

enum coverage_condition {
#define X(id, name, says) COVERAGE_##id,
    COVERAGE_LIST(X)
#undef X
        COVERAGE_COUNT
};

struct coverage {
    uint64_t seen;         /* bit per condition */
    uint8_t roles[129];    /* by node */
    uint64_t begun[129];   /* by node: the last transaction that it took, until it has decided; 0 none */
    uint64_t blocked[129]; /* by node: the last in which it was blocked */
    bool led[129];         /* by node: has led before */
    uint16_t last_leader;
    struct trace_sink next; /* the checkers' */
};

void coverage_init(struct coverage *c, struct trace_sink next);
struct trace_sink coverage_sink(struct coverage *c);
void coverage_see(struct coverage *c, enum coverage_condition condition);
const char *coverage_name(size_t condition); /* "leader-replaced"; NULL past the end */

#endif
