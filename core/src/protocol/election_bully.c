/* The bully algorithm (Garcia-Molina 1982): the highest id that is up leads.
 *
 *   asking ---- nobody above answers for reply_timeout ----> announcing ---- reply_timeout ----> leader
 *     |                                                          |
 *     +-- somebody above answers --> waiting (for its word)      +-- somebody above announces --> follower
 *
 * Whoever is asked by somebody below answers and holds an election itself; so does whoever hears somebody below announce
 * itself, and a node that comes back. With all up and the lowest asked, n(n-1)/2 ELECTION, as many ANSWER and n-1
 * COORDINATOR: n^2 - 1 messages, the worst case.
 *
 * It needs a bound: a message, and the step that it causes, takes at most half of reply_timeout. Then nobody leads beside
 * another. The leader's announcement has reached everybody by the time it leads (that is what it waits for), so whoever led
 * before has stepped down; and nobody below it that asks from then on fails to hear its answer. Without the bound, two lead.
 *
 * An epoch is one that only its leader gives itself, above all that it has heard of; whoever knows a later one says so, and
 * the announcement is made again. */
#include <stdlib.h>

#include "protocol/election.h"

enum stage { STAGE_ELECTION = 1, STAGE_ANSWER = 2, STAGE_COORDINATOR = 3, STAGE_STALE = 4 };
enum phase { PHASE_IDLE = 0, PHASE_ASKING = 1, PHASE_WAITING = 2, PHASE_ANNOUNCING = 3 };
enum timer { TIMER_PHASE = 1 };

enum bully_bug { BULLY_LEADS_AT_ONCE = 0 };

struct bully_options {
    int64_t timeout;
};

struct bully {
    struct election base;
    uint64_t bugs;
    uint8_t phase;
    uint64_t announced; /* with PHASE_ANNOUNCING: the epoch */
};

static void send(struct bully *b, uint16_t to, uint8_t stage, uint64_t epoch) {
    struct message m = {.kind = WIRE_BULLY};
    m.as.bully.epoch = epoch;
    m.as.bully.stage = stage;
    outbox_send(b->base.out, to, &m, stage == STAGE_COORDINATOR ? 0 : FX_BEFORE_DURABLE, epoch, stage);
}

static void enter(struct bully *b, enum phase phase, int64_t timeout) {
    b->phase = (uint8_t)phase;
    outbox_timer(b->base.out, TIMER_PHASE, timeout);
}

static void begin_announcing(struct bully *b) {
    b->announced = election_next_epoch(&b->base);
    b->base.seen = b->announced;
    outbox_note(b->base.out, QRT_KIND_TERM, 0, 0, b->announced, 0, 0, 0);
    enter(b, PHASE_ANNOUNCING, INT64_MAX); /* the time begins when the announcement leaves */
    election_persist(&b->base, b->announced, b->base.node);
}

static void begin_election(struct bully *b) {
    bool above = b->base.slot + 1 < b->base.count;
    b->base.leader = 0;
    election_set_role(&b->base, QRT_ROLE_CANDIDATE, b->base.seen);
    if (!above) {
        begin_announcing(b);
        return;
    }
    enter(b, PHASE_ASKING, b->base.timeout);
    for (uint16_t i = (uint16_t)(b->base.slot + 1); i < b->base.count; i++)
        send(b, b->base.members[i], STAGE_ELECTION, b->base.seen);
}

static void announce(struct bully *b) {
    for (uint16_t i = 0; i < b->base.count; i++)
        if (i != b->base.slot) send(b, b->base.members[i], STAGE_COORDINATOR, b->announced);
}

static void lead(struct bully *b) {
    b->phase = PHASE_IDLE;
    election_decide(&b->base, b->announced, b->base.node);
}

static void on_stored(struct bully *b, uint64_t epoch) {
    if (b->phase != PHASE_ANNOUNCING || epoch != b->announced) return;
    announce(b);
    if (b->bugs >> BULLY_LEADS_AT_ONCE & 1 || b->base.count == 1)
        lead(b);
    else
        outbox_timer(b->base.out, TIMER_PHASE, b->base.timeout);
}

static void on_election(struct bully *b, uint16_t from) {
    if (from > b->base.node) return; /* it does not ask below itself */
    send(b, from, STAGE_ANSWER, b->base.seen);
    if (b->phase == PHASE_IDLE) begin_election(b);
}

static void on_coordinator(struct bully *b, uint16_t from, uint64_t epoch) {
    if (from < b->base.node) {
        if (b->phase == PHASE_IDLE) begin_election(b);
        return;
    }
    if (epoch <= b->base.epoch) {
        send(b, from, STAGE_STALE, b->base.seen);
        return;
    }
    enter(b, PHASE_IDLE, INT64_MAX);
    election_decide(&b->base, epoch, from);
}

static void on_stale(struct bully *b, uint64_t epoch) {
    bool ours = b->phase == PHASE_ANNOUNCING ? epoch >= b->announced
                                             : b->base.role == QRT_ROLE_LEADER && epoch >= b->base.epoch;
    if (!ours) return;
    b->base.leader = 0;
    election_set_role(&b->base, QRT_ROLE_CANDIDATE, b->base.seen);
    begin_announcing(b);
}

static bool is_sound(const struct wire_bully *q) {
    return q->epoch <= ELECTION_NUMBER_MAX && q->stage >= STAGE_ELECTION && q->stage <= STAGE_STALE &&
           (q->epoch > 0 || q->stage < STAGE_COORDINATOR);
}

static void on_message(struct bully *b, const struct message *m) {
    const struct wire_bully *q = &m->as.bully;
    bool foreign = election_slot(&b->base, m->from) < 0 || m->kind != WIRE_BULLY;
    if (foreign || !is_sound(q)) {
        election_reject(&b->base, m, foreign ? QRT_DROP_FOREIGN : QRT_DROP_CORRUPT);
        return;
    }
    if (b->base.role == QRT_ROLE_RECOVERING) return;
    if (q->epoch > b->base.seen) b->base.seen = q->epoch;
    switch ((enum stage)q->stage) {
    case STAGE_ELECTION: on_election(b, m->from); break;
    case STAGE_ANSWER:
        if (b->phase == PHASE_ASKING && m->from > b->base.node) enter(b, PHASE_WAITING, 4 * b->base.timeout);
        break;
    case STAGE_COORDINATOR: on_coordinator(b, m->from, q->epoch); break;
    case STAGE_STALE: on_stale(b, q->epoch); break;
    }
}

static void on_timer(struct bully *b) {
    switch ((enum phase)b->phase) {
    case PHASE_ASKING: begin_announcing(b); break;
    case PHASE_WAITING: begin_election(b); break; /* who answered has died since */
    case PHASE_ANNOUNCING: lead(b); break;
    case PHASE_IDLE: break;
    }
}

static void on_propose(struct bully *b, uint64_t token) {
    if (b->base.role == QRT_ROLE_RECOVERING) {
        outbox_reply(b->base.out, token, QRT_EFAILED, 0);
        return;
    }
    election_wait(&b->base, token);
    if (b->phase == PHASE_IDLE) begin_election(b);
}

static void on_start(struct bully *b, uint8_t how) {
    if (election_start(&b->base, how) && how == QRT_START_RECOVERED) begin_election(b);
}

static void on_opinion(struct bully *b, uint16_t peer, bool suspected) {
    bool gone = suspected && peer == b->base.leader && b->base.role == QRT_ROLE_FOLLOWER;
    if (gone && b->phase == PHASE_IDLE) begin_election(b);
}

static void bully_step(void *state, const struct event *e, struct outbox *out) {
    struct bully *b = state;
    uint16_t whose;
    uint64_t epoch;
    b->base.out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(b, e->as.message); break;
    case EVENT_TIMER: on_timer(b); break;
    case EVENT_STORED: on_stored(b, e->as.stored.term); break;
    case EVENT_PROPOSE: on_propose(b, e->as.propose.token); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD: election_recall(&b->base, e->as.record.data, &epoch, &whose); break;
    case EVENT_START: on_start(b, e->as.start.how); break;
    case EVENT_OPINION: on_opinion(b, e->as.opinion.peer, e->as.opinion.suspected); break;
    case EVENT_CHECKPOINT:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    b->base.out = NULL;
}

static void *bully_create(const struct protocol_config *c) {
    struct bully *b = mem_zero(1, sizeof *b);
    const struct bully_options *o = c->options;
    election_init(&b->base, c, o->timeout);
    b->bugs = c->bugs;
    return b;
}

static void bully_destroy(void *state) {
    struct bully *b = state;
    election_free(&b->base);
    free(b);
}

static void *bully_clone(const void *state) {
    struct bully *b = mem_copy(state, sizeof *b);
    election_clone(&b->base, state);
    return b;
}

static uint64_t bully_fingerprint(const void *state) {
    const struct bully *b = state;
    return hash_fold(hash_fold(election_fold(&b->base), b->announced), b->phase);
}

static const struct option_spec option_specs[] = {
    {"reply_timeout", OPTION_DURATION, offsetof(struct bully_options, timeout), 0.0001, 3600, "50ms", NULL,
     "a message there and its answer back take no longer than this; whoever stays silent longer is taken for dead"},
    {0},
};

static const struct bug bugs[] = {
    [BULLY_LEADS_AT_ONCE] = {"leads-before-heard", "the winner leads before its announcement can have arrived",
                             "one-leader-at-a-time", "the algorithm as it is often sketched"},
    {0},
};

static const struct fault_model model = {
    .synchrony = true,
    .crash_recovers = true,
    .loses_unsynced = true,
    .crashes = "n-1",
    .liars = "0",
    .assumes =
        "a message and the step that it causes take at most half of reply_timeout, and none is lost; synced writes "
        "survive; nobody lies",
};

/* The question and the answer, each with its step. */
static int64_t delay_bound(const void *options) {
    return ((const struct bully_options *)options)->timeout / 2;
}

const struct protocol protocol_bully = {
    .name = "bully",
    .summary = "the bully election: the highest id that is up (Garcia-Molina 1982); needs a bound on delays",
    .judged_by = "election leaders",
    .sometimes = "election-concurrent switch-over crashed-in-step unsynced-lost sent-to-dead leader-crashed",
    .leaderless = true,
    .values = true,
    .elects = true,
    .options = {"bully", option_specs},
    .options_size = sizeof(struct bully_options),
    .model = &model,
    .bound = delay_bound,
    .bugs = bugs,
    .create = bully_create,
    .destroy = bully_destroy,
    .clone = bully_clone,
    .fingerprint = bully_fingerprint,
    .step = bully_step,
    .status = election_status,
    .describe = election_describe,
    .inspect = election_inspect,
    .invariants = election_invariants,
};
