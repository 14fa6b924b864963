/* Election by timestamp and id: the node with the highest (timestamp, id) leads, found by request and reply, and made
 * safe. The timestamp is the wall clock of a node's own start: the latest to come leads.
 *
 *   who is asked:  REQUEST(epoch) to all --> each promises the epoch to one and replies with its timestamp
 *                  a majority has replied: the highest (timestamp, id) among them leads --> RESULT to all
 *
 * 3(n-1) messages to the point where all know; each confirms the result, which is repeated until it does.
 *
 * Why one leader an epoch: a majority's promises name one asker an epoch, durably; it chooses once, from the first
 * majority of replies, and a later life of it asks for a later epoch. Nothing rests on a clock: a timestamp that is wrong
 * makes another leader, not two. An asker that is refused, or loses its replies, asks again, so that a majority that is up
 * and connected elects. */
#include <stdlib.h>

#include "protocol/election.h"

enum stage { STAGE_REQUEST = 1, STAGE_REPLY = 2, STAGE_REFUSAL = 3, STAGE_RESULT = 4, STAGE_CONFIRMED = 5 };
enum timer { TIMER_ASK = 1, TIMER_RESULT = 2 };

#define RESULT_REPEATS 10
#define GIVEN_WAY_MAX 6

enum timestamp_bug { TIMESTAMP_PROMISE_BEFORE_SYNC = 0, TIMESTAMP_MINORITY = 1 };

struct timestamp_options {
    int64_t timeout;
};

struct timestamp {
    struct election base;
    uint64_t bugs;
    uint64_t timestamp; /* ns of wall time */
    uint64_t promised;  /* the epoch; to whom: */
    uint16_t vote;
    bool wanted;    /* somebody wants a leader, and none has been elected since */
    bool asking;    /* for the epoch `promised` */
    bool confirmed; /* our own promise of it is durable */
    bool replied[ELECTION_MEMBERS_MAX], told[ELECTION_MEMBERS_MAX];
    uint64_t best_timestamp;
    uint16_t best;
    uint16_t result_repeats; /* left */
    uint16_t given_way;      /* how often since there was a leader: rivals pause for longer each time */
};

static void send(struct timestamp *t, uint16_t to, uint64_t epoch, uint8_t stage, uint16_t leader, uint8_t flags) {
    struct message m = {.kind = WIRE_TIMESTAMP_ELECTION};
    m.as.timestamp_election.epoch = epoch;
    m.as.timestamp_election.timestamp = stage == STAGE_REPLY ? t->timestamp : 0;
    m.as.timestamp_election.leader = leader;
    m.as.timestamp_election.stage = stage;
    outbox_send(t->base.out, to, &m, flags, epoch, stage);
}

static void request_all(struct timestamp *t) {
    for (uint16_t i = 0; i < t->base.count; i++)
        if (i != t->base.slot && !t->replied[i]) send(t, t->base.members[i], t->promised, STAGE_REQUEST, 0, 0);
    outbox_timer(t->base.out, TIMER_ASK, t->base.timeout);
}

static void promise(struct timestamp *t, uint64_t epoch, uint16_t to) {
    t->promised = epoch;
    t->vote = to;
    if (epoch > t->base.seen) t->base.seen = epoch;
    outbox_note(t->base.out, QRT_KIND_TERM, 0, 0, epoch, 0, 0, 0);
    election_persist(&t->base, epoch, to);
}

static void ask(struct timestamp *t) {
    memset(t->replied, 0, sizeof t->replied);
    t->wanted = t->asking = true;
    t->confirmed = false;
    t->base.leader = 0;
    t->best = t->base.node;
    t->best_timestamp = t->timestamp;
    promise(t, t->base.seen + 1, t->base.node);
    outbox_note(t->base.out, QRT_KIND_VOTE, 0, t->base.node, t->promised, 0, 0, 0);
    election_set_role(&t->base, QRT_ROLE_CANDIDATE, t->promised);
    request_all(t);
}

/* Somebody else asks, or has been faster: those who wait here are told his result, or we ask again. */
static void give_way(struct timestamp *t) {
    if (!t->asking) return;
    t->asking = false;
    election_set_role(&t->base, QRT_ROLE_FOLLOWER, t->base.seen);
    if (t->given_way < GIVEN_WAY_MAX) t->given_way++;
    int64_t pause = (int64_t)random_below(&t->base.random, (uint64_t)t->base.timeout << t->given_way);
    outbox_timer(t->base.out, TIMER_ASK, t->base.timeout / 2 + pause);
}

static void settle(struct timestamp *t, uint64_t epoch, uint16_t leader) {
    t->wanted = t->asking = false;
    t->given_way = 0;
    outbox_timer(t->base.out, TIMER_ASK, INT64_MAX);
    election_decide(&t->base, epoch, leader);
}

static void tell_result(struct timestamp *t) {
    bool missing = false;
    for (uint16_t i = 0; i < t->base.count; i++) {
        if (i == t->base.slot || t->told[i]) continue;
        missing = true;
        send(t, t->base.members[i], t->base.epoch, STAGE_RESULT, t->base.leader, 0);
    }
    if (missing && t->result_repeats--) outbox_timer(t->base.out, TIMER_RESULT, t->base.timeout);
}

static void count_replies(struct timestamp *t) {
    size_t replies = t->confirmed, wanted = quorum_majority(t->base.count);
    for (uint16_t i = 0; i < t->base.count; i++) replies += t->replied[i];
    if (t->bugs >> TIMESTAMP_MINORITY & 1) wanted = 1;
    if (!t->asking || !t->confirmed || replies < wanted) return;
    settle(t, t->promised, t->best);
    memset(t->told, 0, sizeof t->told);
    t->result_repeats = RESULT_REPEATS;
    tell_result(t);
}

static void on_request(struct timestamp *t, uint16_t from, uint64_t epoch) {
    bool again = epoch == t->promised && t->vote == from;
    if (epoch <= t->promised && !again) {
        send(t, from, t->promised, STAGE_REFUSAL, 0, 0);
        return;
    }
    if (!again) {
        give_way(t);
        promise(t, epoch, from);
    }
    uint8_t flags = t->bugs >> TIMESTAMP_PROMISE_BEFORE_SYNC & 1 ? FX_BEFORE_DURABLE : 0;
    outbox_note(t->base.out, QRT_KIND_VOTE, 0, from, epoch, 0, 0, 0);
    t->base.out->effects[t->base.out->count - 1].flags = flags;
    send(t, from, epoch, STAGE_REPLY, 0, flags);
}

static void on_reply(struct timestamp *t, uint16_t from, int slot, const struct wire_timestamp_election *q) {
    if (!t->asking || q->epoch != t->promised) return;
    t->replied[slot] = true;
    if (q->timestamp > t->best_timestamp || (q->timestamp == t->best_timestamp && from > t->best)) {
        t->best_timestamp = q->timestamp;
        t->best = from;
    }
    count_replies(t);
}

static void on_result(struct timestamp *t, uint16_t from, uint64_t epoch, uint16_t leader) {
    send(t, from, epoch, STAGE_CONFIRMED, 0, 0);
    if (epoch <= t->base.epoch) return;
    t->result_repeats = 0; /* ours, if we have one, is of the past */
    if (t->asking && epoch < t->promised) {
        t->base.epoch = epoch;
        t->base.leader = leader;
        return; /* those who wait are told what comes of ours */
    }
    settle(t, epoch, leader);
}

static bool is_sound(const struct timestamp *t, const struct wire_timestamp_election *q) {
    if (q->epoch == 0 || q->epoch > ELECTION_NUMBER_MAX || q->stage < STAGE_REQUEST || q->stage > STAGE_CONFIRMED)
        return false;
    return q->stage != STAGE_RESULT || election_slot(&t->base, q->leader) >= 0;
}

static void on_message(struct timestamp *t, const struct message *m) {
    const struct wire_timestamp_election *q = &m->as.timestamp_election;
    int slot = election_slot(&t->base, m->from);
    if (slot < 0 || m->kind != WIRE_TIMESTAMP_ELECTION || !is_sound(t, q)) {
        election_reject(&t->base, m,
                        slot < 0 || m->kind != WIRE_TIMESTAMP_ELECTION ? QRT_DROP_FOREIGN : QRT_DROP_CORRUPT);
        return;
    }
    if (t->base.role == QRT_ROLE_RECOVERING) return;
    if (q->epoch > t->base.seen) t->base.seen = q->epoch;
    switch ((enum stage)q->stage) {
    case STAGE_REQUEST: on_request(t, m->from, q->epoch); break;
    case STAGE_REPLY: on_reply(t, m->from, slot, q); break;
    case STAGE_REFUSAL:
        if (q->epoch >= t->promised) give_way(t);
        break;
    case STAGE_RESULT: on_result(t, m->from, q->epoch, q->leader); break;
    case STAGE_CONFIRMED:
        if (q->epoch == t->base.epoch) t->told[slot] = true;
        break;
    }
}

static void on_timer(struct timestamp *t, uint32_t id) {
    if (id == TIMER_RESULT && t->result_repeats)
        tell_result(t);
    else if (id == TIMER_ASK && t->asking)
        request_all(t);
    else if (id == TIMER_ASK && t->wanted)
        ask(t);
}

/* Our promise to ourselves is durable: it counts, as everyone's does. */
static void on_stored(struct timestamp *t, uint64_t epoch) {
    if (!t->asking || epoch != t->promised) return;
    t->confirmed = true;
    count_replies(t);
}

static void on_propose(struct timestamp *t, uint64_t token) {
    if (t->base.role == QRT_ROLE_RECOVERING) {
        outbox_reply(t->base.out, token, QRT_EFAILED, 0);
        return;
    }
    election_wait(&t->base, token);
    if (!t->asking) ask(t);
}

static void on_opinion(struct timestamp *t, uint16_t peer, bool suspected) {
    if (!suspected || peer != t->base.leader || t->base.role != QRT_ROLE_FOLLOWER) return;
    t->base.leader = 0;
    if (!t->asking) ask(t);
}

static void timestamp_step(void *state, const struct event *e, struct outbox *out) {
    struct timestamp *t = state;
    t->base.out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(t, e->as.message); break;
    case EVENT_TIMER: on_timer(t, e->as.timer.id); break;
    case EVENT_STORED: on_stored(t, e->as.stored.term); break;
    case EVENT_PROPOSE: on_propose(t, e->as.propose.token); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD: election_recall(&t->base, e->as.record.data, &t->promised, &t->vote); break;
    case EVENT_START:
        t->timestamp = e->wall > 0 ? (uint64_t)e->wall : 0;
        election_start(&t->base, e->as.start.how);
        break;
    case EVENT_OPINION: on_opinion(t, e->as.opinion.peer, e->as.opinion.suspected); break;
    case EVENT_CHECKPOINT:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    t->base.out = NULL;
}

static void *timestamp_create(const struct protocol_config *c) {
    struct timestamp *t = mem_zero(1, sizeof *t);
    const struct timestamp_options *o = c->options;
    election_init(&t->base, c, o->timeout);
    t->bugs = c->bugs;
    return t;
}

static void timestamp_destroy(void *state) {
    struct timestamp *t = state;
    election_free(&t->base);
    free(t);
}

static void *timestamp_clone(const void *state) {
    struct timestamp *t = mem_copy(state, sizeof *t);
    election_clone(&t->base, state);
    return t;
}

static uint64_t timestamp_fingerprint(const void *state) {
    const struct timestamp *t = state;
    uint64_t f = hash_fold(hash_fold(election_fold(&t->base), t->promised), t->timestamp);
    f = hash_fold(f, (uint64_t)t->vote | (uint64_t)t->best << 16 | (uint64_t)t->result_repeats << 32 |
                         (uint64_t)t->asking << 48 | (uint64_t)t->confirmed << 49 | (uint64_t)t->given_way << 50 |
                         (uint64_t)t->wanted << 60);
    f = hash_fold(f, t->best_timestamp);
    for (uint16_t i = 0; i < t->base.count; i++) f = hash_fold(f, (uint64_t)t->replied[i] | (uint64_t)t->told[i] << 1);
    return f;
}

static const struct option_spec option_specs[] = {
    {"reply_timeout", OPTION_DURATION, offsetof(struct timestamp_options, timeout), 0.0001, 3600, "50ms", NULL,
     "requests and results are repeated after this; one that was refused asks again after a random time of some of "
     "these"},
    {0},
};

static const struct bug bugs[] = {
    [TIMESTAMP_PROMISE_BEFORE_SYNC] = {"promise-before-sync", "an epoch is promised before the promise is durable",
                                       "one-leader-an-epoch", "seaweedfs/raft#9"},
    [TIMESTAMP_MINORITY] = {"first-reply-decides", "the asker decides without waiting for a majority",
                            "one-leader-an-epoch", "the timestamp election as it is often sketched"},
    {0},
};

static const struct fault_model model = {
    .synchrony = false,
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .crash_wipes = false,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes = "synced writes survive on every member; nobody lies",
};

const struct protocol protocol_timestamp = {
    .name = "timestamp",
    .summary = "election of the highest (timestamp, id) of a majority, by request and reply",
    .judged_by = "election",
    .sometimes = "election-concurrent switch-over crashed-in-step unsynced-lost node-paused partition-dropped "
                 "message-lost corrupt-rejected sent-to-dead leader-crashed leader-deposed outcome-unknown",
    .leaderless = true,
    .values = true,
    .elects = true,
    .options = {"timestamp", option_specs},
    .options_size = sizeof(struct timestamp_options),
    .model = &model,
    .bugs = bugs,
    .create = timestamp_create,
    .destroy = timestamp_destroy,
    .clone = timestamp_clone,
    .fingerprint = timestamp_fingerprint,
    .step = timestamp_step,
    .status = election_status,
    .describe = election_describe,
    .inspect = election_inspect,
    .invariants = election_invariants,
};
