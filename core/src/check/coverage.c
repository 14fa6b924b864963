#include "check/coverage.h"

#include "base/check.h"

void coverage_init(struct coverage *c, struct trace_sink next) {
    *c = (struct coverage){.next = next};
}

void coverage_see(struct coverage *c, enum coverage_condition condition) {
    c->seen |= 1ull << condition;
}

static void on_leader(struct coverage *c, uint16_t node) {
    if (c->last_leader && c->last_leader != node) coverage_see(c, COVERAGE_SWITCH_OVER);
    c->last_leader = node;
    c->led[node] = true;
}

static void on_candidate(struct coverage *c, uint16_t node) {
    for (size_t i = 0; i < sizeof c->roles; i++)
        if (i != node && c->roles[i] == QRT_ROLE_CANDIDATE) coverage_see(c, COVERAGE_ELECTION_CONCURRENT);
}

static void on_truncate(struct coverage *c, const qrt_event *e) {
    coverage_see(c, COVERAGE_LOG_TRUNCATED);
    if (e->node < sizeof c->led && c->led[e->node]) coverage_see(c, COVERAGE_OLD_PRIMARY_RESYNCHRONISED);
}

static void on_role(struct coverage *c, const qrt_event *e) {
    if (e->node >= sizeof c->roles) return;
    uint8_t before = c->roles[e->node];
    c->roles[e->node] = e->detail;
    if (e->detail == QRT_ROLE_LEADER && e->term > 1) coverage_see(c, COVERAGE_LEADER_REPLACED);
    if (e->detail == QRT_ROLE_LEADER) on_leader(c, e->node);
    if (e->detail == QRT_ROLE_CANDIDATE) on_candidate(c, e->node);
    if (before == QRT_ROLE_LEADER && e->detail == QRT_ROLE_FOLLOWER) coverage_see(c, COVERAGE_LEADER_DEPOSED);
    bool again = before == e->detail && (before == QRT_ROLE_CANDIDATE || before == QRT_ROLE_PRE_CANDIDATE);
    if (again || (before == QRT_ROLE_CANDIDATE && e->detail == QRT_ROLE_PRE_CANDIDATE))
        coverage_see(c, COVERAGE_ELECTION_REPEATED);
}

static void on_crash(struct coverage *c, const qrt_event *e) {
    if (e->detail == QRT_DISK_UNSYNCED_LOST) coverage_see(c, COVERAGE_UNSYNCED_LOST);
    if (e->detail == QRT_DISK_WIPED) coverage_see(c, COVERAGE_DISK_WIPED);
    if (e->link) coverage_see(c, COVERAGE_CRASHED_IN_STEP);
    if (e->node >= sizeof c->roles) return;
    if (c->roles[e->node] == QRT_ROLE_LEADER) coverage_see(c, COVERAGE_LEADER_CRASHED);
    if (c->begun[e->node]) coverage_see(c, COVERAGE_COORDINATOR_CRASHED);
    c->roles[e->node] = QRT_ROLE_NONE;
    c->begun[e->node] = c->blocked[e->node] = 0;
}

static void on_state(struct coverage *c, const qrt_event *e) {
    if (e->node >= sizeof c->roles) return;
    if (e->detail == QRT_BACKUP_REMOVED) coverage_see(c, COVERAGE_BACKUP_REMOVED);
    if (e->detail == QRT_TRANSACTION_BEGUN) c->begun[e->node] = e->index;
    if (e->detail == QRT_TRANSACTION_TERMINATING) coverage_see(c, COVERAGE_TERMINATION_BEGUN);
    if (e->detail != QRT_TRANSACTION_BLOCKED) return;
    coverage_see(c, COVERAGE_PARTICIPANT_BLOCKED);
    c->blocked[e->node] = e->index;
}

static void on_decide(struct coverage *c, const qrt_event *e) {
    if (e->term > 1) coverage_see(c, COVERAGE_ROUND_REPEATED);
    if (e->node >= sizeof c->roles) return;
    if (e->detail == 1) coverage_see(c, COVERAGE_TRANSACTION_COMMITTED);
    if (e->detail == 2) coverage_see(c, COVERAGE_TRANSACTION_ABORTED);
    if (c->blocked[e->node] == e->index) coverage_see(c, COVERAGE_BLOCKED_RELEASED);
    if (c->begun[e->node] == e->index) c->begun[e->node] = 0;
}

static void on_drop(struct coverage *c, const qrt_event *e) {
    if (e->detail == QRT_DROP_PARTITION) coverage_see(c, COVERAGE_PARTITION_DROPPED);
    if (e->detail == QRT_DROP_LOSS) coverage_see(c, COVERAGE_MESSAGE_LOST);
    if (e->detail == QRT_DROP_DOWN) coverage_see(c, COVERAGE_SENT_TO_DEAD);
}

static void on_ballot(struct coverage *c, const qrt_event *e) {
    if (e->detail == QRT_BALLOT_REFUSE) coverage_see(c, COVERAGE_BALLOT_PREEMPTED);
    if (e->detail == QRT_BALLOT_ACCEPT && e->link) coverage_see(c, COVERAGE_VALUE_ADOPTED);
}

static void coverage_event(void *context, const qrt_event *e, uint64_t number) {
    struct coverage *c = context;
    if (c->next.kinds >> e->kind & 1) c->next.event(c->next.context, e, number);
    switch (e->kind) {
    case QRT_KIND_ROLE: on_role(c, e); break;
    case QRT_KIND_CRASH: on_crash(c, e); break;
    case QRT_KIND_DROP: on_drop(c, e); break;
    case QRT_KIND_BALLOT: on_ballot(c, e); break;
    case QRT_KIND_START:
        if (e->detail != QRT_START_FORMAT) coverage_see(c, COVERAGE_NODE_RETURNED);
        break;
    case QRT_KIND_REJECT:
        if (e->detail == QRT_DROP_CORRUPT) coverage_see(c, COVERAGE_CORRUPT_REJECTED);
        break;
    case QRT_KIND_TRUNCATE: on_truncate(c, e); break;
    case QRT_KIND_CHECKPOINT: coverage_see(c, COVERAGE_CHECKPOINT_TAKEN); break;
    case QRT_KIND_RESTORE: coverage_see(c, COVERAGE_SNAPSHOT_INSTALLED); break;
    case QRT_KIND_CAUGHT_UP: coverage_see(c, COVERAGE_WIPED_CAUGHT_UP); break;
    case QRT_KIND_PAUSE: coverage_see(c, COVERAGE_NODE_PAUSED); break;
    case QRT_KIND_RETURN:
        if (e->detail == 1) coverage_see(c, COVERAGE_OPERATION_FAILED);
        if (e->detail == 2) coverage_see(c, COVERAGE_OUTCOME_UNKNOWN);
        break;
    case QRT_KIND_VOTE:
        if (e->detail == QRT_VOTE_NO) coverage_see(c, COVERAGE_TRANSACTION_REFUSED);
        break;
    case QRT_KIND_DECIDE: on_decide(c, e); break;
    case QRT_KIND_STATE: on_state(c, e); break;
    default: break;
    }
}

struct trace_sink coverage_sink(struct coverage *c) {
    uint64_t own = 1u << QRT_KIND_ROLE | 1u << QRT_KIND_CRASH | 1u << QRT_KIND_DROP | 1u << QRT_KIND_REJECT |
                   1u << QRT_KIND_TRUNCATE | 1u << QRT_KIND_CHECKPOINT | 1u << QRT_KIND_RESTORE |
                   1u << QRT_KIND_CAUGHT_UP | 1u << QRT_KIND_PAUSE | 1u << QRT_KIND_RETURN | 1u << QRT_KIND_VOTE |
                   1u << QRT_KIND_DECIDE | 1u << QRT_KIND_STATE | 1u << QRT_KIND_BALLOT | 1u << QRT_KIND_START;
    return (struct trace_sink){own | c->next.kinds, coverage_event, c};
}

const char *coverage_name(size_t condition) {
#define X(id, name, says) name,
    static const char *const names[] = {COVERAGE_LIST(X)};
#undef X
    return condition < COVERAGE_COUNT ? names[condition] : NULL;
}
