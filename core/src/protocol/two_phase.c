/* Two-phase commit (Gray 1978; Mohan, Lindsay and Obermarck 1986; Gray and Lamport 2006, section 2). two_phase.h
 * says what the forms are and where the rest is.
 *
 * This file: life and death of an instance, its log, what it remembers, recovery, dispatch, the interface table.
 *
 * Invariants
 *  1. A yes leaves the node only when the record that it is prepared is durable; from then on it decides what its
 *     manager, or somebody who heard it, has decided.
 *  2. A commit leaves its manager only when the decision is durable, with the list of those who must hear of it.
 *  3. Nobody forgets an outcome that somebody may still need: a manager waits for acknowledgements, or never forgets.
 *  4. Numbers are never given out twice: a record reserves them in blocks.
 *
 * The log. An entry is one of
 *
 *   u8 RESERVED | u64 sequence              up to it, numbers are this node's
 *   u8 PREPARED | u64 id | u64 settled | u32 size | data
 *   u8 DECIDED  | u64 id | u8 commit | u64 owed[2]    owed: who has yet to acknowledge, by place
 *   u8 OVER     | u64 id                    all have
 *   u8 COLLECTING | u64 id | u64 asked[2]   presumed commit: without a decision behind it, an abort that all must hear of
 *
 * A record is what is forced at once: the entries that nothing waited for (collected in `lazy`), then the one that is
 * forced. That is how a write that is not forced is modelled: it is lost by a crash that comes before the next force,
 * and no persist of its own is ever seen in the trace. So each persist is a forced write, and its term and index say
 * of what kind and transaction. */
#include "protocol/two_phase.h"

#include <stdlib.h>

#include "base/check.h"

#define LAZY_MAX 65536 /* bytes that may wait for a force; beyond, they are forced themselves */

/* ---- the log ---- */

static struct writer lazy_entry(struct two_phase *t, size_t size) {
    return writer_of(buffer_extend(&t->lazy, size), size);
}

void two_phase_log_reserved(struct two_phase *t, uint64_t upto) {
    struct writer w = lazy_entry(t, 9);
    write_u8(&w, ENTRY_RESERVED);
    write_u64(&w, upto);
}

void two_phase_log_prepared(struct two_phase *t, uint64_t id, uint64_t settled, struct bytes data) {
    struct writer w = lazy_entry(t, 21 + (size_t)data.size);
    write_u8(&w, ENTRY_PREPARED);
    write_u64(&w, id);
    write_u64(&w, settled);
    write_bytes(&w, data);
}

void two_phase_log_decided(struct two_phase *t, uint64_t id, bool commit, const struct member_set *owed) {
    struct writer w = lazy_entry(t, 26);
    write_u8(&w, ENTRY_DECIDED);
    write_u64(&w, id);
    write_u8(&w, commit);
    write_u64(&w, owed->bits[0]);
    write_u64(&w, owed->bits[1]);
}

void two_phase_log_collecting(struct two_phase *t, uint64_t id, const struct member_set *asked) {
    struct writer w = lazy_entry(t, 25);
    write_u8(&w, ENTRY_COLLECTING);
    write_u64(&w, id);
    write_u64(&w, asked->bits[0]);
    write_u64(&w, asked->bits[1]);
}

void two_phase_log_over(struct two_phase *t, uint64_t id) {
    struct writer w = lazy_entry(t, 9);
    write_u8(&w, ENTRY_OVER);
    write_u64(&w, id);
}

void two_phase_force(struct two_phase *t, uint64_t id, enum two_phase_entry kind) {
    uint8_t *p = outbox_persist(t->out, t->lazy.size, id, kind);
    memcpy(p, t->lazy.data, t->lazy.size);
    buffer_clear(&t->lazy);
}

/* ---- live transactions ---- */

int two_phase_place(const struct two_phase *t, uint16_t node) {
    return members_slot(t->members, t->member_count, node);
}

struct two_phase_live *two_phase_find(struct two_phase *t, uint64_t id) {
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].used && t->live[i].id == id) return &t->live[i];
    return NULL;
}

struct two_phase_live *two_phase_take(struct two_phase *t, uint64_t id) {
    size_t place = 0;
    while (place < t->live_count && t->live[place].used) place++;
    if (place >= (size_t)t->options.max_transactions) return NULL;
    if (place == t->live_count) {
        t->live = mem_grow(t->live, &t->live_capacity, place + 1, sizeof *t->live);
        t->live_count++;
    }
    t->live[place] = (struct two_phase_live){.used = true, .id = id};
    return &t->live[place];
}

void two_phase_timer(struct two_phase *t, const struct two_phase_live *x, int64_t delay_ns) {
    outbox_timer(t->out, (uint32_t)(x - t->live) + 1, delay_ns);
}

void two_phase_end(struct two_phase *t, struct two_phase_live *x) {
    if (t->out) two_phase_timer(t, x, INT64_MAX);
    *x = (struct two_phase_live){0};
}

/* ---- finished transactions ---- */

enum transaction_outcome two_phase_outcome(const struct two_phase *t, uint64_t id) {
    int taker = two_phase_place(t, transaction_node(id));
    return taker < 0 ? OUTCOME_UNKNOWN : ledger_outcome(&t->ledgers[taker], transaction_sequence(id));
}

void two_phase_remember(struct two_phase *t, uint64_t id, bool commit) {
    int taker = two_phase_place(t, transaction_node(id));
    CHECK(taker >= 0);
    ledger_remember(&t->ledgers[taker], transaction_sequence(id), commit);
}

/* ---- what all parts say ---- */

void two_phase_reject(struct two_phase *t, const struct message *m) {
    outbox_note(t->out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, m->id, 0);
}

void two_phase_state(struct two_phase *t, uint64_t id, uint8_t state) {
    outbox_note(t->out, QRT_KIND_STATE, state, two_phase_manager(t, id), 0, id, 0, 0);
}

void two_phase_tell(struct two_phase *t, uint16_t node, uint64_t id, bool commit, bool early) {
    struct message m = {.kind = WIRE_COMMIT_DECISION};
    m.as.commit_decision.transaction = id;
    m.as.commit_decision.outcome = commit ? OUTCOME_COMMIT : OUTCOME_ABORT;
    outbox_send(t->out, node, &m, early ? FX_BEFORE_DURABLE : 0, 0, id);
}

void two_phase_decided(struct two_phase *t, uint64_t id, bool commit, uint64_t token, bool early) {
    uint8_t outcome = commit ? OUTCOME_COMMIT : OUTCOME_ABORT;
    t->committed += commit;
    t->aborted += !commit;
    outbox_note(t->out, QRT_KIND_DECIDE, outcome, 0, 0, id, 0, outcome);
    if (early) t->out->effects[t->out->count - 1].flags = FX_BEFORE_DURABLE;
    two_phase_state(t, id, commit ? QRT_TRANSACTION_COMMITTED : QRT_TRANSACTION_ABORTED);
    if (token) outbox_answer(t->out, token, QRT_OK, t->node, 0, id, bytes_text(commit ? "commit" : "abort"));
}

/* ---- recovery ---- */

static bool recall_prepared(struct two_phase *t, struct reader *in) {
    uint64_t id = read_u64(in), settled = read_u64(in);
    struct bytes data = read_bytes(in);
    struct transaction what;
    int taker = two_phase_place(t, transaction_node(id));
    if (in->failed || taker < 0 || two_phase_find(t, id) ||
        !transaction_read(data, t->members, t->member_count, t->place, t->options.refuse, &what))
        return false;
    struct two_phase_live *x = two_phase_take(t, id);
    if (!x) return false;
    if (t->options.form != FORM_PARTICIPANT) ledger_settle(&t->ledgers[taker], settled);
    x->prepared = true;
    x->digest = what.digest;
    x->peers = two_phase_peers(t, id, &what);
    return true;
}

/* A manager that awaits acknowledgements goes on with that; for all others the transaction is finished. */
static bool recall_decided(struct two_phase *t, struct reader *in) {
    uint64_t id = read_u64(in);
    bool commit = read_u8(in) != 0;
    struct member_set owed;
    for (int i = 0; i < 2; i++) owed.bits[i] = read_u64(in);
    if (in->failed || two_phase_place(t, transaction_node(id)) < 0) return false;
    struct two_phase_live *x = two_phase_find(t, id);
    if (members_none(&owed)) {
        if (x) two_phase_end(t, x);
        if (transaction_node(id) != t->node || t->options.form == FORM_PARTICIPANT) two_phase_remember(t, id, commit);
        return true;
    }
    if (!x) x = two_phase_take(t, id);
    if (!x) return false;
    x->prepared = false;
    x->duty = commit ? DUTY_TELL_COMMIT : DUTY_TELL_ABORT;
    x->owed = owed;
    return true;
}

/* Presumed commit: unless a decision follows. */
static bool recall_collecting(struct two_phase *t, struct reader *in) {
    uint64_t id = read_u64(in);
    struct member_set asked;
    for (int i = 0; i < 2; i++) asked.bits[i] = read_u64(in);
    struct two_phase_live *x = in->failed || transaction_node(id) != t->node ? NULL : two_phase_take(t, id);
    if (!x || members_none(&asked)) return false;
    x->duty = DUTY_TELL_ABORT;
    x->owed = asked;
    return true;
}

static bool recall(struct two_phase *t, struct reader *in) {
    switch (read_u8(in)) {
    case ENTRY_RESERVED: {
        uint64_t upto = read_u64(in);
        if (upto > t->reserved) t->reserved = upto;
        return !in->failed && upto <= TRANSACTION_SEQUENCE_MAX;
    }
    case ENTRY_PREPARED: return recall_prepared(t, in);
    case ENTRY_DECIDED: return recall_decided(t, in);
    case ENTRY_COLLECTING: return recall_collecting(t, in);
    case ENTRY_OVER: {
        struct two_phase_live *x = two_phase_find(t, read_u64(in));
        if (x) two_phase_end(t, x);
        return !in->failed;
    }
    default: return false;
    }
}

static void on_record(struct two_phase *t, struct bytes data) {
    struct reader in = reader_of(data);
    struct outbox *out = t->out;
    bool sound = true;
    t->out = NULL; /* nothing has a timer yet */
    while (sound && reader_left(&in)) sound = recall(t, &in);
    t->out = out;
    if (sound) return;
    t->gap = true;
    outbox_note(out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
}

static void on_start(struct two_phase *t, uint8_t how) {
    outbox_note(t->out, QRT_KIND_START, how, 0, 0, 0, 0, 0);
    t->next = t->reserved + 1;
    for (size_t i = 0; i < t->live_count; i++) {
        struct two_phase_live *x = &t->live[i];
        if (!x->used) continue;
        if (x->duty == DUTY_NONE && two_phase_manager(t, x->id) != t->node) {
            two_phase_state(t, x->id, QRT_TRANSACTION_PREPARED);
            x->rounds = 1;
            two_phase_ask(t, x);
        } else {
            two_phase_manager_recovered(t, x);
        }
    }
}

/* ---- events ---- */

static void on_message(struct two_phase *t, const struct message *m) {
    int place = two_phase_place(t, m->from);
    if (place < 0 || place == t->place) {
        two_phase_reject(t, m);
        return;
    }
    switch (m->kind) {
    case WIRE_COMMIT_BEGIN: two_phase_on_begin(t, m); break;
    case WIRE_COMMIT_PREPARE: two_phase_on_prepare(t, m, (unsigned)place); break;
    case WIRE_COMMIT_VOTE: two_phase_on_vote(t, m, (unsigned)place); break;
    case WIRE_COMMIT_DECISION: two_phase_on_decision(t, m); break;
    case WIRE_COMMIT_ACK: two_phase_on_ack(t, m, (unsigned)place); break;
    case WIRE_COMMIT_INQUIRY: two_phase_on_inquiry(t, m); break;
    default: two_phase_reject(t, m); break;
    }
}

static void on_timer(struct two_phase *t, uint32_t id) {
    if (id < 1 || id > t->live_count || !t->live[id - 1].used) return;
    struct two_phase_live *x = &t->live[id - 1];
    if (x->duty == DUTY_NONE)
        two_phase_participant_timer(t, x);
    else
        two_phase_manager_timer(t, x);
}

/* Decisions are taken: whoever has voted is bound until it knows one. */
static bool two_phase_grows(const struct message *m) {
    return m->kind == WIRE_COMMIT_BEGIN || m->kind == WIRE_COMMIT_PREPARE;
}

static void two_phase_step(void *state, const struct event *e, struct outbox *out) {
    struct two_phase *t = state;
    t->out = out;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(t, e->as.message); break;
    case EVENT_PROPOSE: two_phase_on_propose(t, e); break;
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
    if (t->lazy.size > LAZY_MAX) two_phase_force(t, 0, ENTRY_OVER);
    t->out = NULL;
}

/* ---- life and death ---- */

static void *two_phase_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= TRANSACTION_MEMBERS_MAX);
    struct two_phase *t = mem_zero(1, sizeof *t);
    t->node = c->node;
    t->group = c->group;
    t->bugs = c->bugs;
    t->member_count = c->member_count;
    memcpy(t->members, c->members, c->member_count * sizeof *c->members);
    memcpy(&t->options, c->options, sizeof t->options);
    int place = two_phase_place(t, c->node);
    CHECK(place >= 0);
    t->place = (uint16_t)place;
    t->ledgers = mem_zero(c->member_count, sizeof *t->ledgers);
    return t;
}

static void two_phase_destroy(void *state) {
    struct two_phase *t = state;
    ledgers_free(t->ledgers, t->member_count);
    free(t->live);
    buffer_free(&t->lazy);
    free(t);
}

static void *two_phase_clone(const void *state) {
    const struct two_phase *from = state;
    struct two_phase *t = mem_copy(from, sizeof *from);
    t->out = NULL;
    t->live = mem_copy(from->live, from->live_count * sizeof *from->live);
    t->live_capacity = from->live_count;
    t->ledgers = ledgers_clone(from->ledgers, from->member_count);
    t->lazy = (struct buffer){0};
    buffer_append(&t->lazy, from->lazy.data, from->lazy.size);
    return t;
}

static qrt_status two_phase_fits(const void *options, uint16_t members, struct error *e) {
    long long manager = ((const struct two_phase_options *)options)->manager;
    if (manager <= members) return QRT_OK;
    return error_set(e, QRT_ERANGE, "there is no node %lld to be the manager; nodes are 1 to %u", manager, members);
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, choices, help) \
    {#name, type, offsetof(struct two_phase_options, name), low, high, standard, choices, help}
static const struct option_spec option_specs[] = {
    OPTION(form, OPTION_CHOICE, 0, 0, "presumed-abort", "presumed-nothing|presumed-abort|participant-initiated|presumed-commit",
           "what is forced and acknowledged, and who begins"),
    OPTION(refuse, OPTION_REAL, 0, 1, "0", NULL,
           "of proposals that are opaque bytes, the share that each participant refuses"),
    OPTION(vote_timeout, OPTION_DURATION, 0.001, 3600, "150ms", NULL,
           "a manager that lacks a vote for so long aborts"),
    OPTION(retry_interval, OPTION_DURATION, 0.001, 3600, "50ms", NULL,
           "how often a blocked participant asks, and an unacknowledged decision is told again"),
    OPTION(manager, OPTION_INTEGER, 0, TRANSACTION_MEMBERS_MAX, "0", NULL,
           "participant-initiated: the node that decides; 0: the one that took the transaction"),
    OPTION(cooperative, OPTION_BOOL, 0, 1, "true", NULL,
           "a participant that waits for its manager asks the other participants too"),
    OPTION(max_transactions, OPTION_INTEGER, 1, 1048576, "1024", NULL,
           "transactions under way at one node before it takes no more"),
    {0},
};
#undef OPTION

static const struct bug bugs[] = {
    [TWO_PHASE_COMMIT_BEFORE_DECISION_DURABLE] = {"commit-before-decision-durable",
        "the coordinator says commit before its log does", "atomicity", "infinispan#18143"},
    [TWO_PHASE_REFUSE_AFTER_YES] = {"refuse-after-yes",
        "a participant that voted yes refuses the commit on a second look", "atomicity",
        "a textbook's two-phase commit"},
    {0},
};
/* clang-format on */

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
    .loses_unsynced = true,
    .crashes = "0",
    .liars = "0",
    .assumes = "synced writes survive and every crashed node comes back; until its manager is back, a participant that "
               "voted yes is blocked; nobody lies",
};

const struct protocol protocol_two_phase = {
    .name = "2pc",
    .judged_by = "atomic-commit",
    .sometimes = "transaction-committed transaction-aborted transaction-refused participant-blocked blocked-released "
                 "coordinator-crashed crashed-in-step unsynced-lost node-paused partition-dropped message-lost "
                 "corrupt-rejected sent-to-dead outcome-unknown",
    .summary =
        "two-phase commit: presumed nothing, abort or commit; participant-initiated (Gray 1978; Mohan et al. 1986)",
    .leaderless = true,
    .values = true,
    .options = {"2pc", option_specs},
    .options_size = sizeof(struct two_phase_options),
    .fits = two_phase_fits,
    .model = &model,
    .bugs = bugs,
    .create = two_phase_create,
    .destroy = two_phase_destroy,
    .clone = two_phase_clone,
    .fingerprint = two_phase_fingerprint,
    .step = two_phase_step,
    .grows = two_phase_grows,
    .status = two_phase_status,
    .describe = two_phase_describe,
    .inspect = two_phase_inspect,
    .invariants = two_phase_invariants,
};
