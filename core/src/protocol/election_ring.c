/* Election on a ring (Chang and Roberts 1979): every node that takes part sends its id round a one-way ring; an id that
 * meets a higher one goes no further; the one that comes home has won, and its news goes round once more.
 *
 *   ELECTION(c) at a node i:  c > i  forward it       c < i  send i instead, once       c = i  won: send ELECTED(i)
 *   ELECTED(l) at i:          l > i  follow, forward  l < i  i was not counted: begin   l = i  lead
 *
 * n(n+1)/2 + n messages at worst (everybody begins, ids falling along the ring), n H_n + n on the average over the
 * arrangements, when all begin at once. Each is confirmed by the neighbour, which is counted apart; a neighbour that does
 * not confirm within reply_timeout is taken for dead and passed over. An id whose node died on its way would go round for
 * ever; after n nodes it is taken off, and another election begins.
 *
 * It needs that bound. Then nobody leads beside another: a winner's id has passed every node that is up, whoever led has
 * stepped down as it passed, and whoever had won with a lower id gives up as a higher one passes; and it leads only when
 * its news has come home. Without the bound, parts of the ring close upon themselves, and two lead. */
#include <stdlib.h>

#include "protocol/election.h"

enum stage { STAGE_ELECTION = 1, STAGE_ELECTED = 2 };
enum arrangement { ARRANGED_ASCENDING = 0, ARRANGED_DESCENDING = 1, ARRANGED_SHUFFLED = 2 };
enum timer { TIMER_WATCH = 1, TIMER_FLIGHT = 16 }; /* TIMER_FLIGHT + i: of flight i */

#define FLIGHTS_MAX \
    16 /* messages that the neighbour has not confirmed; one too many is lost, and the watch sees to it */

enum ring_bug { RING_LEADS_AT_ONCE = 0 };

struct ring_options {
    int64_t timeout;
    int32_t arrangement;
    int64_t shuffle;
};

struct flight {
    uint64_t number, epoch; /* number 0: free */
    uint16_t candidate, hops;
    uint16_t skipped; /* neighbours that have been passed over */
    uint8_t stage;
};

struct ring {
    struct election base;
    uint64_t bugs;
    uint16_t next[ELECTION_MEMBERS_MAX]; /* our successors, the nearest first: count - 1 of them */
    bool participant, candidate;         /* an id has left us; it was our own and no higher one has passed since */
    bool announcing;
    uint64_t announced, number;
    struct flight flights[FLIGHTS_MAX];
};

static void receive(struct ring *r, uint8_t stage, uint16_t who, uint64_t epoch, uint16_t hops);

/* ---- along the ring ---- */

static void send_flight(struct ring *r, const struct flight *f) {
    struct message m = {.kind = WIRE_RING};
    m.as.ring = (struct wire_ring){f->number, f->epoch, f->candidate, f->hops, f->stage};
    outbox_send(r->base.out, r->next[f->skipped], &m, FX_BEFORE_DURABLE, f->epoch, f->candidate);
    outbox_timer(r->base.out, (uint32_t)(TIMER_FLIGHT + (f - r->flights)), r->base.timeout);
}

/* To the next who is up; to ourselves when nobody is. */
static void pass_on(struct ring *r, uint8_t stage, uint16_t who, uint64_t epoch, uint16_t hops) {
    if (r->base.count == 1) {
        receive(r, stage, who, epoch, hops);
        return;
    }
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        if (r->flights[i].number) continue;
        r->flights[i] = (struct flight){++r->number, epoch, who, hops, 0, stage};
        send_flight(r, &r->flights[i]);
        return;
    }
}

static void on_flight_timer(struct ring *r, size_t i) {
    if (i >= FLIGHTS_MAX || !r->flights[i].number) return;
    struct flight *f = &r->flights[i];
    if (++f->skipped < r->base.count - 1) {
        f->number = ++r->number;
        send_flight(r, f);
        return;
    }
    struct flight home = *f;
    *f = (struct flight){0};
    receive(r, home.stage, home.candidate, home.epoch, home.hops);
}

static void on_confirmed(struct ring *r, uint64_t number) {
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        if (r->flights[i].number != number) continue;
        r->flights[i] = (struct flight){0};
        outbox_timer(r->base.out, (uint32_t)(TIMER_FLIGHT + i), INT64_MAX);
    }
}

/* ---- the algorithm ---- */

static void watch(struct ring *r) {
    outbox_timer(r->base.out, TIMER_WATCH, (2 * r->base.count + 2) * r->base.timeout);
}

static void take_part(struct ring *r, bool own) {
    r->participant = true;
    r->candidate = own;
    r->announcing = false;
    r->base.leader = 0;
    uint8_t role = own ? QRT_ROLE_CANDIDATE : QRT_ROLE_FOLLOWER;
    if (r->base.role != role || own) election_set_role(&r->base, role, r->base.seen);
    watch(r);
}

static void begin(struct ring *r) {
    take_part(r, true);
    pass_on(r, STAGE_ELECTION, r->base.node, r->base.seen, 1);
}

/* Our id has come home: the news goes round when its epoch is durable. */
static void win(struct ring *r) {
    r->candidate = false;
    r->announcing = true;
    r->announced = election_next_epoch(&r->base);
    r->base.seen = r->announced;
    outbox_note(r->base.out, QRT_KIND_TERM, 0, 0, r->announced, 0, 0, 0);
    election_persist(&r->base, r->announced, r->base.node);
    watch(r);
}

static void settle(struct ring *r, uint64_t epoch, uint16_t leader) {
    r->participant = r->candidate = r->announcing = false;
    outbox_timer(r->base.out, TIMER_WATCH, INT64_MAX);
    election_decide(&r->base, epoch, leader);
}

static void on_stored(struct ring *r, uint64_t epoch) {
    if (!r->announcing || epoch != r->announced) return;
    bool at_once = r->bugs >> RING_LEADS_AT_ONCE & 1;
    pass_on(r, STAGE_ELECTED, r->base.node, epoch, 1);
    if (at_once && r->announcing) settle(r, epoch, r->base.node);
}

static void on_election(struct ring *r, uint16_t who, uint16_t hops) {
    if (who == r->base.node) {
        if (r->candidate) win(r);
    } else if (who > r->base.node && hops >= r->base.count) {
        begin(r); /* it has been all round, and its node was not there to take it */
    } else if (who > r->base.node) {
        take_part(r, false);
        pass_on(r, STAGE_ELECTION, who, r->base.seen, (uint16_t)(hops + 1));
    } else if (!r->participant) {
        begin(r);
    }
}

static void on_elected(struct ring *r, uint16_t who, uint64_t epoch, uint16_t hops) {
    if (who == r->base.node) {
        if (r->announcing && epoch == r->announced) settle(r, epoch, who);
    } else if (who < r->base.node) {
        if (!r->participant) begin(r);
    } else if (epoch > r->base.epoch) {
        settle(r, epoch, who);
        pass_on(r, STAGE_ELECTED, who, epoch, (uint16_t)(hops + 1));
    }
}

static void receive(struct ring *r, uint8_t stage, uint16_t who, uint64_t epoch, uint16_t hops) {
    if (epoch > r->base.seen) r->base.seen = epoch;
    if (stage == STAGE_ELECTION)
        on_election(r, who, hops);
    else
        on_elected(r, who, epoch, hops);
}

/* ---- events ---- */

static bool is_sound(const struct ring *r, const struct wire_ring *q) {
    return q->epoch <= ELECTION_NUMBER_MAX && (q->stage == STAGE_ELECTION || q->stage == STAGE_ELECTED) &&
           election_slot(&r->base, q->candidate) >= 0 && q->hops > 0 && q->hops <= 2 * ELECTION_MEMBERS_MAX &&
           (q->epoch > 0 || q->stage != STAGE_ELECTED);
}

static void on_message(struct ring *r, const struct message *m) {
    const struct wire_ring *q = &m->as.ring;
    bool known = m->kind == WIRE_RING || m->kind == WIRE_RING_CONFIRMED;
    if (election_slot(&r->base, m->from) < 0 || !known) {
        election_reject(&r->base, m, QRT_DROP_FOREIGN);
        return;
    }
    if (r->base.role == QRT_ROLE_RECOVERING) return;
    if (m->kind == WIRE_RING_CONFIRMED) {
        if (m->as.ring_confirmed.number) on_confirmed(r, m->as.ring_confirmed.number);
        return;
    }
    if (!is_sound(r, q)) {
        election_reject(&r->base, m, QRT_DROP_CORRUPT);
        return;
    }
    struct message a = {.kind = WIRE_RING_CONFIRMED};
    a.as.ring_confirmed.number = q->number;
    outbox_send(r->base.out, m->from, &a, FX_BEFORE_DURABLE, q->epoch, 0);
    receive(r, q->stage, q->candidate, q->epoch, q->hops);
}

/* What went round has not come back: whoever wants a leader begins again. */
static void on_watch(struct ring *r) {
    bool own = r->candidate || r->announcing || r->base.waiting_count;
    r->participant = r->candidate = r->announcing = false;
    if (own) begin(r);
}

static void on_propose(struct ring *r, uint64_t token) {
    if (r->base.role == QRT_ROLE_RECOVERING) {
        outbox_reply(r->base.out, token, QRT_EFAILED, 0);
        return;
    }
    election_wait(&r->base, token);
    if (!r->participant) begin(r);
}

static void on_start(struct ring *r, uint8_t how) {
    if (election_start(&r->base, how) && how == QRT_START_RECOVERED) begin(r);
}

static void on_opinion(struct ring *r, uint16_t peer, bool suspected) {
    bool gone = suspected && peer == r->base.leader && r->base.role == QRT_ROLE_FOLLOWER;
    if (gone && !r->participant) begin(r);
}

static void on_timer(struct ring *r, uint32_t id) {
    if (id == TIMER_WATCH)
        on_watch(r);
    else if (id >= TIMER_FLIGHT)
        on_flight_timer(r, id - TIMER_FLIGHT);
}

static void ring_step(void *state, const struct event *e, struct outbox *out) {
    struct ring *r = state;
    uint16_t whose;
    uint64_t epoch;
    r->base.out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(r, e->as.message); break;
    case EVENT_TIMER: on_timer(r, e->as.timer.id); break;
    case EVENT_STORED: on_stored(r, e->as.stored.term); break;
    case EVENT_PROPOSE: on_propose(r, e->as.propose.token); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD: election_recall(&r->base, e->as.record.data, &epoch, &whose); break;
    case EVENT_START: on_start(r, e->as.start.how); break;
    case EVENT_OPINION: on_opinion(r, e->as.opinion.peer, e->as.opinion.suspected); break;
    case EVENT_CHECKPOINT:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    r->base.out = NULL;
}

/* ---- life and death ---- */

/* The order of the members round the ring, the same at every node. */
static void arrange(const struct election *e, const struct ring_options *o, uint16_t order[ELECTION_MEMBERS_MAX]) {
    uint16_t n = e->count;
    for (uint16_t i = 0; i < n; i++) order[i] = e->members[o->arrangement == ARRANGED_DESCENDING ? n - 1 - i : i];
    if (o->arrangement != ARRANGED_SHUFFLED) return;
    struct random random = random_stream((uint64_t)o->shuffle, 0, RANDOM_PROTOCOL);
    for (uint16_t i = (uint16_t)(n - 1); i > 0; i--) {
        uint64_t j = random_below(&random, (uint64_t)i + 1);
        uint16_t held = order[j];
        order[j] = order[i];
        order[i] = held;
    }
}

static void *ring_create(const struct protocol_config *c) {
    struct ring *r = mem_zero(1, sizeof *r);
    const struct ring_options *o = c->options;
    uint16_t order[ELECTION_MEMBERS_MAX], place = 0, n = c->member_count;
    election_init(&r->base, c, o->timeout);
    r->bugs = c->bugs;
    arrange(&r->base, o, order);
    while (order[place] != c->node) place++;
    for (uint16_t i = 0; i + 1 < n; i++) r->next[i] = order[(place + 1 + i) % n];
    r->number = random_u64(&r->base.random) >> 1; /* what confirms a message of an earlier life confirms none of this */
    return r;
}

static void ring_destroy(void *state) {
    struct ring *r = state;
    election_free(&r->base);
    free(r);
}

static void *ring_clone(const void *state) {
    struct ring *r = mem_copy(state, sizeof *r);
    election_clone(&r->base, state);
    return r;
}

static uint64_t ring_fingerprint(const void *state) {
    const struct ring *r = state;
    uint64_t f = hash_fold(hash_fold(election_fold(&r->base), r->announced), r->number);
    f = hash_fold(f, (uint64_t)r->participant | (uint64_t)r->candidate << 1 | (uint64_t)r->announcing << 2);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        const struct flight *q = &r->flights[i];
        f = hash_fold(hash_fold(f, q->number), q->epoch);
        f = hash_fold(f, (uint64_t)q->candidate | (uint64_t)q->hops << 16 | (uint64_t)q->skipped << 32 |
                             (uint64_t)q->stage << 48);
    }
    return f;
}

static const struct option_spec option_specs[] = {
    {"reply_timeout", OPTION_DURATION, offsetof(struct ring_options, timeout), 0.0001, 3600, "50ms", NULL,
     "a message there and its confirmation back take no longer; a neighbour silent for longer is taken for dead"},
    {"arrangement", OPTION_CHOICE, offsetof(struct ring_options, arrangement), 0, 0, "ascending",
     "ascending|descending|shuffled", "how the ids follow each other along the ring"},
    {"shuffle", OPTION_INTEGER, offsetof(struct ring_options, shuffle), 0, 1e15, "1", NULL,
     "the seed of a shuffled arrangement"},
    {0},
};

static const struct bug bugs[] = {
    [RING_LEADS_AT_ONCE] = {"leads-before-heard", "the winner leads before its news has come home",
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

/* A message and its acknowledgement, each with its step. */
static int64_t delay_bound(const void *options) {
    return ((const struct ring_options *)options)->timeout / 2;
}

const struct protocol protocol_ring = {
    .name = "ring",
    .summary = "election on a ring: the highest id comes home (Chang and Roberts 1979); needs a bound on delays",
    .judged_by = "election leaders",
    .sometimes = "election-concurrent switch-over crashed-in-step unsynced-lost sent-to-dead leader-crashed",
    .leaderless = true,
    .values = true,
    .elects = true,
    .options = {"ring", option_specs},
    .options_size = sizeof(struct ring_options),
    .model = &model,
    .bound = delay_bound,
    .bugs = bugs,
    .create = ring_create,
    .destroy = ring_destroy,
    .clone = ring_clone,
    .fingerprint = ring_fingerprint,
    .step = ring_step,
    .status = election_status,
    .describe = election_describe,
    .inspect = election_inspect,
    .invariants = election_invariants,
};
