/* Three-phase commit (Skeen 1981, 1982; Bernstein, Hadzilacos and Goodman 1987, section 7.5). three_phase.h says where the
 * rest is.
 *
 * This file: life and death of an instance, its log, recovery, dispatch, the interface table.
 *
 * Between the votes and the commit stands a further round that tells every participant that all have agreed. So nobody has
 * committed while an operational participant is uncertain, and the operational ones can decide without their coordinator.
 * That needs a bound on delays, because only with it is silence a crash; it is what the fault model says.
 *
 * Invariants
 *  1. A yes leaves the node only when the record that it is prepared is durable; a decision only when it is.
 *  2. In the fault model nobody commits while an operational participant is prepared and not precommitted.
 *  3. Who has crashed since it voted takes no part in a decision, unless all have, and all are there.
 *  4. Numbers are never given out twice: a record reserves them in blocks.
 *
 * A record is one of
 *
 *   u8 RESERVED | u64 sequence              up to it, numbers are this node's
 *   u8 PREPARED | u64 id | data             it has voted yes
 *   u8 DECIDED  | u64 id | u8 commit
 *
 * Being precommitted is not written: who crashes may not act upon it. */
#include "protocol/three_phase.h"

#include <stdlib.h>

#include "base/check.h"

/* ---- the log ---- */

void three_phase_reserve(struct three_phase *t, uint64_t upto) {
    uint8_t *p = outbox_persist(t->out, 9, 0, RECORD_RESERVED);
    struct writer w = writer_of(p, 9);
    write_u8(&w, RECORD_RESERVED);
    write_u64(&w, upto);
    t->reserved = upto;
}

void three_phase_prepare(struct three_phase *t, struct three_phase_live *x, struct bytes data) {
    size_t size = 9 + (size_t)data.size;
    uint8_t *p = outbox_persist(t->out, size, x->id, RECORD_PREPARED);
    struct writer w = writer_of(p, size);
    write_u8(&w, RECORD_PREPARED);
    write_u64(&w, x->id);
    writer_put(&w, data.data, data.size);
    x->own = OWN_PREPARED;
    three_phase_state(t, x, QRT_TRANSACTION_PREPARED);
}

/* Forced, remembered and noted. */
static void decided(struct three_phase *t, uint64_t id, bool commit) {
    uint8_t *p = outbox_persist(t->out, 10, id, RECORD_DECIDED), outcome = commit ? OUTCOME_COMMIT : OUTCOME_ABORT;
    struct writer w = writer_of(p, 10);
    write_u8(&w, RECORD_DECIDED);
    write_u64(&w, id);
    write_u8(&w, commit);
    int taker = three_phase_place(t, transaction_node(id));
    CHECK(taker >= 0);
    ledger_remember(&t->ledgers[taker], transaction_sequence(id), commit);
    t->committed += commit;
    t->aborted += !commit;
    outbox_note(t->out, QRT_KIND_DECIDE, outcome, 0, 0, id, 0, outcome);
    outbox_note(t->out, QRT_KIND_STATE, commit ? QRT_TRANSACTION_COMMITTED : QRT_TRANSACTION_ABORTED,
                transaction_node(id), 0, id, 0, 0);
}

static void end_transaction(struct three_phase *t, struct three_phase_live *x) {
    three_phase_timer(t, x, INT64_MAX);
    *x = (struct three_phase_live){0};
}

void three_phase_decide(struct three_phase *t, struct three_phase_live *x, bool commit, const struct member_set *told) {
    struct message m = {.kind = WIRE_COMMIT_DECISION};
    m.as.commit_decision.transaction = x->id;
    m.as.commit_decision.outcome = commit ? OUTCOME_COMMIT : OUTCOME_ABORT;
    decided(t, x->id, commit);
    if (x->token) outbox_answer(t->out, x->token, QRT_OK, t->node, 0, x->id, bytes_text(commit ? "commit" : "abort"));
    three_phase_send_all(t, told, &m, x->id);
    end_transaction(t, x);
}

void three_phase_abort_unheard(struct three_phase *t, uint64_t id) {
    decided(t, id, false);
}

/* ---- live transactions ---- */

int three_phase_place(const struct three_phase *t, uint16_t node) {
    return members_slot(t->members, t->member_count, node);
}

struct three_phase_live *three_phase_find(struct three_phase *t, uint64_t id) {
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used && t->live[i].id == id) return &t->live[i];
    return NULL;
}

struct three_phase_live *three_phase_take(struct three_phase *t, uint64_t id) {
    size_t place = 0;
    while (place < t->live_count && t->live[place].used) place++;
    if (place >= (size_t)t->options.max_transactions) return NULL;
    if (place == t->live_count) {
        t->live = mem_grow(t->live, &t->live_capacity, place + 1, sizeof *t->live);
        t->live_count++;
    }
    t->live[place] = (struct three_phase_live){.used = true, .id = id};
    return &t->live[place];
}

void three_phase_timer(struct three_phase *t, const struct three_phase_live *x, int64_t delay_ns) {
    outbox_timer(t->out, (uint32_t)(x - t->live) + 1, delay_ns);
}

enum transaction_outcome three_phase_outcome(const struct three_phase *t, uint64_t id) {
    int taker = three_phase_place(t, transaction_node(id));
    return taker < 0 ? OUTCOME_UNKNOWN : ledger_outcome(&t->ledgers[taker], transaction_sequence(id));
}

/* ---- what all parts say ---- */

void three_phase_reject(struct three_phase *t, const struct message *m) {
    outbox_note(t->out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, m->id, 0);
}

void three_phase_state(struct three_phase *t, const struct three_phase_live *x, uint8_t state) {
    outbox_note(t->out, QRT_KIND_STATE, state, transaction_node(x->id), 0, x->id, 0, 0);
}

void three_phase_tell(struct three_phase *t, uint16_t node, uint64_t id, bool commit) {
    struct message m = {.kind = WIRE_COMMIT_DECISION};
    m.as.commit_decision.transaction = id;
    m.as.commit_decision.outcome = commit ? OUTCOME_COMMIT : OUTCOME_ABORT;
    outbox_send(t->out, node, &m, 0, 0, id);
}

void three_phase_send_all(struct three_phase *t, const struct member_set *who, struct message *m, uint64_t id) {
    for (uint16_t i = 0; i < t->member_count; i++)
        if (i != t->place && members_has(who, i)) outbox_send(t->out, t->members[i], m, 0, 0, id);
}

/* ---- recovery ---- */

static bool recall_prepared(struct three_phase *t, struct reader *in) {
    uint64_t id = read_u64(in);
    struct bytes data = {in->at, (uint32_t)reader_left(in)};
    struct transaction what;
    int taker = three_phase_place(t, transaction_node(id));
    if (in->failed || taker < 0 || three_phase_find(t, id) ||
        !transaction_read(data, t->members, t->member_count, t->place, t->options.refuse, &what))
        return false;
    struct three_phase_live *x = three_phase_take(t, id);
    if (!x) return false;
    x->everyone = x->writers = what.writers;
    members_add(&x->everyone, (unsigned)taker);
    x->own = OWN_PREPARED;
    x->recovering = true;
    return true;
}

static bool recall_decided(struct three_phase *t, struct reader *in) {
    uint64_t id = read_u64(in);
    bool commit = read_u8(in) != 0;
    int taker = three_phase_place(t, transaction_node(id));
    if (in->failed || taker < 0) return false;
    struct three_phase_live *x = three_phase_find(t, id);
    if (x) *x = (struct three_phase_live){0}; /* nothing has a timer yet */
    ledger_remember(&t->ledgers[taker], transaction_sequence(id), commit);
    return true;
}

static bool recall(struct three_phase *t, struct reader *in) {
    switch (read_u8(in)) {
    case RECORD_RESERVED: {
        uint64_t upto = read_u64(in);
        if (upto > t->reserved) t->reserved = upto;
        return !in->failed && upto <= TRANSACTION_SEQUENCE_MAX;
    }
    case RECORD_PREPARED: return recall_prepared(t, in);
    case RECORD_DECIDED: return recall_decided(t, in);
    default: return false;
    }
}

static void on_record(struct three_phase *t, struct bytes data) {
    struct reader in = reader_of(data);
    if (!recall(t, &in)) outbox_note(t->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
}

static void on_start(struct three_phase *t, uint8_t how) {
    outbox_note(t->out, QRT_KIND_START, how, 0, 0, 0, 0, 0);
    t->next = t->reserved + 1;
    for (size_t i = 0; i < t->live_count; i++) {
        struct three_phase_live *x = &t->live[i];
        if (!x->used) continue;
        three_phase_state(t, x, QRT_TRANSACTION_PREPARED);
        three_phase_ask(t, x);
    }
}

/* ---- events ---- */

static void on_message(struct three_phase *t, const struct message *m) {
    int place = three_phase_place(t, m->from);
    if (place < 0 || place == t->place) {
        three_phase_reject(t, m);
        return;
    }
    switch (m->kind) {
    case WIRE_COMMIT_PREPARE: three_phase_on_prepare(t, m); break;
    case WIRE_COMMIT_VOTE: three_phase_on_vote(t, m, (unsigned)place); break;
    case WIRE_COMMIT_PRECOMMIT: three_phase_on_precommit(t, m, (unsigned)place); break;
    case WIRE_COMMIT_PRECOMMIT_ACK: three_phase_on_precommit_ack(t, m, (unsigned)place); break;
    case WIRE_COMMIT_DECISION: three_phase_on_decision(t, m); break;
    case WIRE_COMMIT_STATE_REQUEST: three_phase_on_state_request(t, m, (unsigned)place); break;
    case WIRE_COMMIT_STATE_REPLY: three_phase_on_state_reply(t, m, (unsigned)place); break;
    default: three_phase_reject(t, m); break;
    }
}

static void on_timer(struct three_phase *t, uint32_t id) {
    if (id < 1 || id > t->live_count || !t->live[id - 1].used) return;
    struct three_phase_live *x = &t->live[id - 1];
    if (x->duty == THREE_COLLECT || x->duty == THREE_PRECOMMIT)
        three_phase_coordinator_timer(t, x);
    else
        three_phase_participant_timer(t, x);
}

static void three_phase_step(void *state, const struct event *e, struct outbox *out) {
    struct three_phase *t = state;
    t->out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(t, e->as.message); break;
    case EVENT_PROPOSE: three_phase_on_propose(t, e); break;
    case EVENT_TIMER: on_timer(t, e->as.timer.id); break;
    case EVENT_RECORD: on_record(t, e->as.record.data); break;
    case EVENT_START: on_start(t, e->as.start.how); break;
    case EVENT_READ: outbox_reply(out, e->as.read.token, QRT_EUNSUPPORTED, 0); break;
    case EVENT_STORED: /* the driver holds what waits for it */
    case EVENT_CHECKPOINT:
    case EVENT_OPINION:
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    t->out = NULL;
}

/* ---- life and death ---- */

static void *three_phase_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= TRANSACTION_MEMBERS_MAX);
    struct three_phase *t = mem_zero(1, sizeof *t);
    t->node = c->node;
    t->group = c->group;
    t->member_count = c->member_count;
    memcpy(t->members, c->members, c->member_count * sizeof *c->members);
    memcpy(&t->options, c->options, sizeof t->options);
    int place = three_phase_place(t, c->node);
    CHECK(place >= 0);
    t->place = (uint16_t)place;
    t->ledgers = mem_zero(c->member_count, sizeof *t->ledgers);
    return t;
}

static void three_phase_destroy(void *state) {
    struct three_phase *t = state;
    ledgers_free(t->ledgers, t->member_count);
    free(t->live);
    free(t);
}

static void *three_phase_clone(const void *state) {
    const struct three_phase *from = state;
    struct three_phase *t = mem_copy(from, sizeof *from);
    t->out = NULL;
    t->live = mem_copy(from->live, from->live_count * sizeof *from->live);
    t->live_capacity = from->live_count;
    t->ledgers = ledgers_clone(from->ledgers, from->member_count);
    return t;
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct three_phase_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    OPTION(refuse, OPTION_REAL, 0, 1, "0",
           "of proposals that are opaque bytes, the share that each participant refuses"),
    OPTION(phase_timeout, OPTION_DURATION, 0.001, 3600, "150ms",
           "the bound on a round, disk included: who is silent for longer has crashed"),
    OPTION(max_transactions, OPTION_INTEGER, 1, 1048576, "1024",
           "transactions under way at one node before it takes no more"),
    {0},
};
#undef OPTION
/* clang-format on */

static const struct bug bugs[] = {{0}};

static const struct fault_model model = {
    .synchrony = true,
    .tolerates_duplicates = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .loses_unsynced = true,
    .crashes = "0",
    .liars = "0",
    .assumes =
        "a message, and the write before its answer, takes less than phase_timeout, none is lost, and nodes fail by "
        "crashing only; a node that has crashed waits for the others, and when all have, for all; nobody lies",
};

/* Of a round: a message, the write before its answer, and the answer. */
static int64_t delay_bound(const void *options) {
    return ((const struct three_phase_options *)options)->phase_timeout / 2;
}

const struct protocol protocol_three_phase = {
    .name = "3pc",
    .judged_by = "atomic-commit",
    .sometimes = "transaction-committed transaction-aborted transaction-refused coordinator-crashed termination-begun "
                 "crashed-in-step unsynced-lost sent-to-dead outcome-unknown",
    .summary = "three-phase commit with its termination protocol: no blocking, given a bound on delays (Skeen 1981)",
    .leaderless = true,
    .values = true,
    .options = {"3pc", option_specs},
    .options_size = sizeof(struct three_phase_options),
    .model = &model,
    .bound = delay_bound,
    .bugs = bugs,
    .create = three_phase_create,
    .destroy = three_phase_destroy,
    .clone = three_phase_clone,
    .fingerprint = three_phase_fingerprint,
    .step = three_phase_step,
    .status = three_phase_status,
    .describe = three_phase_describe,
    .inspect = three_phase_inspect,
    .invariants = three_phase_invariants,
};
