/* Voting consensus by the minimum value: FloodSet (Lynch 1996, section 6.2) over synchronous rounds (rounds.h).
 *
 * In each of f + 1 rounds every node sends all others the least value that it knows, or that it knows none; at the end of the
 * last one it decides that value. At most f nodes fail while an instance lasts, so in one round nobody does, and behind
 * it all know the same. An instance in which no value reached a living node ends void, alike for all.
 *
 *   idle --- a proposal, or the first message of an instance (begin) ---> round 1 .. f + 1 ---> decided, or void
 *
 * Invariants
 *  1. A node takes part in an instance from its beginning, or not at all.
 *  2. Nothing is written: a node that comes back has forgotten everything. It listens first, asks all others
 *     how far they are, and stays out of every instance that it may have missed the beginning of.
 *  3. At most two instances are under way at a node: whoever has ended the first may begin the next while others
 *     are up to one bound behind. Nodes that have come back may begin a third, which this node then stays out of.
 *
 * Outside of the model (messages lost or late, clocks that drift, nodes that pause) nodes may decide differently. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "protocol/instances.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/rounds.h"
#include "protocol/view.h"

#define MEMBERS_MAX 128
#define VALUE_MAX (512u * 1024u)
#define RUNS 2u

/* identifies timers in the trace; a run's is its place */
enum floodset_timer { TIMER_RUN = 0, TIMER_LISTEN = 2 };

/* detail of QRT_KIND_NOTE: term is the round, index the instance, peer the sender */
enum floodset_note { NOTE_LATE = 1, NOTE_VOID = 2 };

struct floodset_options {
    int64_t faults, bound, max_waiting;
};

struct run {           /* an instance under way */
    uint64_t instance; /* 0: none */
    struct rounds rounds;
    bool has_value;
    struct buffer value; /* the least that is known */
};

struct floodset {
    uint16_t node, slot, count, members[MEMBERS_MAX]; /* ascending */
    struct floodset_options options;
    struct outbox *out;    /* of the step under way */
    int64_t now;           /* its mono time */
    bool listening;        /* invariant 2 */
    bool answered;         /* somebody who listens no more has told how far it is */
    uint64_t base;         /* the first instance to take part in */
    uint64_t highest;      /* the last instance that was begun */
    struct run runs[RUNS]; /* by instance, modulo their number */
    struct instances instances;
    uint64_t waiting_for; /* the instance that those who proposed here are waiting for; 0 none */
    struct buffer mine;   /* what the first of them proposed */
    uint64_t *waiting;
    size_t waiting_count, waiting_capacity;
};

static uint32_t rounds_wanted(const struct floodset *s) {
    return (uint32_t)s->options.faults + 1;
}

static struct bytes bytes_in(const struct buffer *b) {
    return bytes_of(b->data, b->size);
}

static int slot_of(const struct floodset *s, uint16_t node) {
    return members_slot(s->members, s->count, node);
}

static void send_all(struct floodset *s, struct message *m, uint64_t term, uint64_t index) {
    for (uint16_t i = 0; i < s->count; i++)
        if (i != s->slot) outbox_send(s->out, s->members[i], m, 0, term, index);
}

/* ---- rounds ---- */

static void flood(struct floodset *s, const struct run *run) {
    struct message m = {.kind = WIRE_FLOOD};
    m.as.flood.instance = run->instance;
    m.as.flood.round = run->rounds.round;
    m.as.flood.knows = run->has_value;
    if (run->has_value) m.as.flood.value = bytes_in(&run->value);
    send_all(s, &m, run->rounds.round, run->instance);
    outbox_timer(s->out, TIMER_RUN + (uint32_t)(run - s->runs), rounds_left(&run->rounds, s->now));
}

static void merge(struct run *run, struct bytes value) {
    if (run->has_value && bytes_compare(value, bytes_in(&run->value)) >= 0) return;
    run->has_value = true;
    buffer_clear(&run->value);
    buffer_append(&run->value, value.data, value.size);
}

/* Round 1. value: NULL, it knows none. */
static struct run *begin(struct floodset *s, uint64_t instance, const struct bytes *value) {
    struct run *run = &s->runs[instance % RUNS];
    run->instance = instance;
    run->has_value = false;
    rounds_begin(&run->rounds, s->now, s->options.bound, rounds_wanted(s));
    if (instance > s->highest) s->highest = instance;
    if (value) merge(run, *value);
    flood(s, run);
    return run;
}

static void answer_waiting(struct floodset *s, uint64_t instance, uint32_t round, struct bytes value) {
    for (size_t i = 0; i < s->waiting_count; i++)
        outbox_answer(s->out, s->waiting[i], QRT_OK, s->node, round, instance, value);
    s->waiting_count = 0;
    s->waiting_for = 0;
    buffer_clear(&s->mine);
}

/* In the next free instance, with the value of the first who waits here. */
static void begin_own(struct floodset *s) {
    uint64_t instance = (s->highest >= s->base ? s->highest : s->base - 1) + 1;
    struct bytes value = bytes_in(&s->mine);
    s->waiting_for = instance;
    begin(s, instance, &value);
}

static void end(struct floodset *s, struct run *run) {
    uint64_t instance = run->instance;
    uint32_t last = run->rounds.last;
    run->instance = 0;
    if (!run->has_value) {
        outbox_note(s->out, QRT_KIND_NOTE, NOTE_VOID, 0, last, instance, 0, 0);
        if (s->waiting_for == instance) begin_own(s);
        return;
    }
    struct bytes value = bytes_in(&run->value);
    instances_decide(&s->instances, instance, last, value);
    outbox_note(s->out, QRT_KIND_DECIDE, 0, 0, last, instance, 0, hash_bytes(value.data, value.size, 0));
    if (s->waiting_for == instance) answer_waiting(s, instance, last, value);
}

static void on_run_timer(struct floodset *s, struct run *run) {
    if (!run->instance) return;
    if (!rounds_advance(&run->rounds, s->now)) {
        outbox_timer(s->out, (uint32_t)(run - s->runs), rounds_left(&run->rounds, s->now));
        return;
    }
    if (rounds_over(&run->rounds))
        end(s, run);
    else
        flood(s, run);
}

static void reject(struct floodset *s, const struct message *m, uint8_t why) {
    outbox_note(s->out, QRT_KIND_REJECT, why, m->from, 0, 0, m->id, 0);
}

static void on_flood(struct floodset *s, const struct message *m) {
    const struct wire_flood *f = &m->as.flood;
    if (!instances_fits(f->instance) || f->round < 1 || f->round > rounds_wanted(s) || f->knows > 1 ||
        f->value.size > VALUE_MAX || (!f->knows && f->value.size)) {
        reject(s, m, QRT_DROP_CORRUPT);
        return;
    }
    if (s->listening) {
        if (f->instance >= s->base) s->base = f->instance + 1;
        return;
    }
    if (f->instance < s->base) return;
    struct run *run = &s->runs[f->instance % RUNS];
    if (run->instance != f->instance) {
        bool late = f->instance <= s->highest || run->instance;
        if (late) {
            outbox_note(s->out, QRT_KIND_NOTE, NOTE_LATE, m->from, f->round, f->instance, 0, 0);
            if (f->instance > s->highest) s->highest = f->instance; /* no room: not at all, then (invariant 1) */
            return;
        }
        begin(s, f->instance, NULL);
    }
    if (rounds_late(&run->rounds, f->round))
        outbox_note(s->out, QRT_KIND_NOTE, NOTE_LATE, m->from, f->round, f->instance, 0, 0);
    else if (f->knows)
        merge(run, f->value);
}

/* ---- coming back ---- */

static void listen(struct floodset *s) {
    struct message m = {.kind = WIRE_FLOOD_STATE};
    m.as.flood_state.asks = 1;
    send_all(s, &m, 0, 0);
    outbox_timer(s->out, TIMER_LISTEN, 2 * rounds_length(s->options.bound));
}

/* It goes on when somebody has told it how far the others are: two message times behind its question. If nobody can, nobody
 * remembers, and it asks for ever. */
static void on_listen_timer(struct floodset *s) {
    if (!s->listening) return;
    if (!s->answered) {
        listen(s);
        return;
    }
    s->listening = false;
    s->highest = s->base - 1;
    outbox_note(s->out, QRT_KIND_CAUGHT_UP, 0, 0, 0, s->highest, 0, 0);
}

static void on_state(struct floodset *s, const struct message *m) {
    const struct wire_flood_state *q = &m->as.flood_state;
    if (q->asks > 1 || q->begun > INSTANCES_MAX) {
        reject(s, m, QRT_DROP_CORRUPT);
    } else if (q->asks && !s->listening) {
        struct message a = {.kind = WIRE_FLOOD_STATE};
        a.as.flood_state.begun = s->highest;
        outbox_send(s->out, m->from, &a, 0, 0, s->highest);
    } else if (!q->asks && s->listening) {
        s->answered = true;
        if (q->begun >= s->base) s->base = q->begun + 1;
    }
}

static void on_start(struct floodset *s, uint8_t how) {
    outbox_note(s->out, QRT_KIND_START, how, 0, 0, 0, 0, 0);
    s->base = 1;
    s->listening = how != QRT_START_FORMAT && s->count > 1;
    if (s->listening) listen(s);
}

/* ---- proposals, dispatch ---- */

static qrt_status refusal(const struct floodset *s, const struct event *e) {
    if (s->listening) return QRT_ENOTLEADER;
    if (e->as.propose.data.size > VALUE_MAX) return QRT_ETOOLARGE;
    if (s->waiting_count >= (size_t)s->options.max_waiting || s->highest + RUNS >= INSTANCES_MAX) return QRT_EFULL;
    return QRT_OK;
}

/* The earliest instance under way here; 0: none. */
static uint64_t under_way(const struct floodset *s) {
    uint64_t a = s->runs[0].instance, b = s->runs[1].instance;
    return a && b ? (a < b ? a : b) : a + b;
}

static void on_propose(struct floodset *s, const struct event *e) {
    qrt_status status = refusal(s, e);
    if (status) {
        outbox_reply(s->out, e->as.propose.token, status, s->members[s->slot ? 0 : s->count - 1]);
        return;
    }
    s->waiting = mem_grow(s->waiting, &s->waiting_capacity, s->waiting_count + 1, sizeof *s->waiting);
    s->waiting[s->waiting_count++] = e->as.propose.token;
    if (s->waiting_for) return;
    buffer_append(&s->mine, e->as.propose.data.data, e->as.propose.data.size);
    s->waiting_for = under_way(s);
    if (!s->waiting_for) begin_own(s);
}

static void on_message(struct floodset *s, const struct message *m) {
    int slot = slot_of(s, m->from);
    if (slot < 0 || slot == s->slot)
        reject(s, m, QRT_DROP_FOREIGN);
    else if (m->kind == WIRE_FLOOD)
        on_flood(s, m);
    else if (m->kind == WIRE_FLOOD_STATE)
        on_state(s, m);
    else
        reject(s, m, QRT_DROP_FOREIGN);
}

static void floodset_step(void *state, const struct event *e, struct outbox *out) {
    struct floodset *s = state;
    s->out = out;
    s->now = e->mono;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(s, e->as.message); break;
    case EVENT_PROPOSE: on_propose(s, e); break;
    case EVENT_TIMER:
        if (e->as.timer.id < RUNS) on_run_timer(s, &s->runs[e->as.timer.id]);
        if (e->as.timer.id == TIMER_LISTEN) on_listen_timer(s);
        break;
    case EVENT_START: on_start(s, e->as.start.how); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_RECORD:
    case EVENT_CHECKPOINT:
    case EVENT_STORED:
    case EVENT_OPINION:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    s->out = NULL;
}

/* ---- life and death ---- */

static void *floodset_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= MEMBERS_MAX);
    struct floodset *s = mem_zero(1, sizeof *s);
    s->node = c->node;
    memcpy(&s->options, c->options, sizeof s->options);
    s->count = c->member_count;
    memcpy(s->members, c->members, c->member_count * sizeof *c->members);
    int slot = slot_of(s, c->node);
    CHECK(slot >= 0);
    s->slot = (uint16_t)slot;
    s->base = 1;
    return s;
}

static void floodset_destroy(void *state) {
    struct floodset *s = state;
    for (size_t i = 0; i < RUNS; i++) buffer_free(&s->runs[i].value);
    instances_free(&s->instances);
    buffer_free(&s->mine);
    free(s->waiting);
    free(s);
}

static struct buffer buffer_clone(const struct buffer *from) {
    struct buffer b = {0};
    if (from->size) buffer_append(&b, from->data, from->size);
    return b;
}

static void *floodset_clone(const void *state) {
    const struct floodset *from = state;
    struct floodset *s = mem_copy(from, sizeof *from);
    s->out = NULL;
    for (size_t i = 0; i < RUNS; i++) s->runs[i].value = buffer_clone(&from->runs[i].value);
    instances_clone(&s->instances, &from->instances);
    s->mine = buffer_clone(&from->mine);
    s->waiting = mem_copy(from->waiting, from->waiting_count * sizeof *from->waiting);
    s->waiting_capacity = from->waiting_count;
    return s;
}

static uint64_t fold_bytes(uint64_t f, const struct buffer *b) {
    return hash_bytes(b->size ? b->data : (const uint8_t *)"", b->size, f);
}

static uint64_t floodset_fingerprint(const void *state) {
    const struct floodset *s = state;
    uint64_t f = hash_fold(s->node, instances_fingerprint(&s->instances));
    f = hash_fold(f, (uint64_t)s->listening | (uint64_t)s->answered << 1);
    f = hash_fold(hash_fold(hash_fold(f, s->base), s->highest), s->waiting_for);
    for (size_t i = 0; i < RUNS; i++) {
        const struct run *run = &s->runs[i];
        f = hash_fold(f, run->instance);
        if (!run->instance) continue;
        f = hash_fold(hash_fold(f, run->rounds.round), run->has_value);
        if (run->has_value) f = fold_bytes(f, &run->value);
    }
    for (size_t i = 0; i < s->waiting_count; i++) f = hash_fold(f, s->waiting[i]);
    return fold_bytes(f, &s->mine);
}

/* ---- looked at from outside ---- */

static void floodset_status(const void *state, struct protocol_status *st) {
    const struct floodset *s = state;
    uint64_t running = under_way(s);
    *st = (struct protocol_status){
        .role = s->listening ? QRT_ROLE_RECOVERING : QRT_ROLE_FOLLOWER,
        .term = running ? s->runs[running % RUNS].rounds.round : 0,
        .first = s->base,
        .last = s->highest,
        .commit = s->instances.highest,
        .applied = s->instances.highest,
    };
}

static bool floodset_entry(const void *state, uint64_t index, struct entry *entry) {
    const struct floodset *s = state;
    const struct decree *d = instances_fits(index) ? instances_at(&s->instances, index) : NULL;
    if (!d || !d->decided) return false;
    *entry = (struct entry){.index = index, .term = d->decided, .kind = ENTRY_OPAQUE};
    entry->data = instances_value(&s->instances, index);
    return true;
}

static int floodset_describe(const void *state, char *out, size_t size) {
    const struct floodset *s = state;
    uint64_t running = under_way(s);
    struct buffer text = {0};
    buffer_printf(&text, "n%u %s, instances begun %" PRIu64, s->node, s->listening ? "listening" : "taking part",
                  s->highest);
    if (running)
        buffer_printf(&text, ", instance %" PRIu64 " in round %" PRIu32 " of %" PRIu32, running,
                      s->runs[running % RUNS].rounds.round, rounds_wanted(s));
    return view_finish(&text, out, size);
}

static void floodset_inspect(const void *state, inspect_fn *field, void *context) {
    const struct floodset *s = state;
    uint64_t running = under_way(s);
    field(context, "listening", s->listening ? "true" : "false");
    view_number(field, context, "takes_part_from", s->base);
    view_number(field, context, "begun", s->highest);
    view_number(field, context, "instance", running);
    view_number(field, context, "round", running ? s->runs[running % RUNS].rounds.round : 0);
    view_number(field, context, "rounds", rounds_wanted(s));
    view_number(field, context, "waiting", s->waiting_count);
}

#define HOLDS(fact) VIEW_HOLDS(e, "floodset", s->node, fact)

static bool floodset_invariants(const void *state, struct error *e) {
    const struct floodset *s = state;
    for (size_t i = 0; i < RUNS; i++) {
        const struct run *run = &s->runs[i];
        if (!run->instance) continue;
        HOLDS(!s->listening);
        HOLDS(run->instance >= s->base && run->instance <= s->highest);
        HOLDS(run->instance % RUNS == i);
        HOLDS(!rounds_over(&run->rounds));
    }
    HOLDS((s->waiting_for != 0) == (s->waiting_count != 0));
    return true;
}
#undef HOLDS

static qrt_status floodset_fits(const void *options, uint16_t members, struct error *e) {
    long long faults = ((const struct floodset_options *)options)->faults;
    if (faults < members) return QRT_OK;
    return error_set(e, QRT_ERANGE,
                     "floodset stands fewer crashes than it has nodes: faults=%lld needs %lld nodes, there are %u",
                     faults, faults + 1, members);
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct floodset_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    OPTION(faults, OPTION_INTEGER, 0, MEMBERS_MAX, "1",
           "how many nodes may fail while an instance lasts; it takes one round more than that"),
    OPTION(bound, OPTION_DURATION, 0.00001, 3600, "10ms",
           "no message takes longer than this; a round lasts twice as long"),
    OPTION(max_waiting, OPTION_INTEGER, 1, 1048576, "65536",
           "proposals that wait at one node for a decision before it refuses more"),
    {0},
};
#undef OPTION
/* clang-format on */

static const struct bug bugs[] = {{0}};

static const struct fault_model model = {
    .synchrony = true,
    .crash_recovers = true,
    .loses_unsynced = true,
    .crashes = "faults",
    .liars = "0",
    .assumes = "no message is lost or takes longer than the bound, clocks keep time, and no more nodes than the option "
               "`faults` fail while an instance lasts (one that comes back counts until it has listened); nobody lies",
};

static int64_t delay_bound(const void *options) {
    return ((const struct floodset_options *)options)->bound;
}

const struct protocol protocol_floodset = {
    .name = "floodset",
    .judged_by = "consensus",
    .sometimes = "crashed-in-step sent-to-dead node-returned outcome-unknown",
    .leaderless = true,
    .values = true,
    .summary = "the minimum value by flooding in synchronous rounds (Lynch 1996, section 6.2)",
    .options = {"floodset", option_specs},
    .options_size = sizeof(struct floodset_options),
    .fits = floodset_fits,
    .model = &model,
    .bound = delay_bound,
    .bugs = bugs,
    .create = floodset_create,
    .destroy = floodset_destroy,
    .clone = floodset_clone,
    .fingerprint = floodset_fingerprint,
    .step = floodset_step,
    .status = floodset_status,
    .entry = floodset_entry,
    .describe = floodset_describe,
    .inspect = floodset_inspect,
    .invariants = floodset_invariants,
};
