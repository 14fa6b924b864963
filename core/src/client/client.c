/* A client as an actor: Jepsen's process (Kingsbury 2013) with a replicated session (Ongaro 2014, 6.3).
 *
 *                  .------------- opens a session: exchange of CLIENT_OPEN, resent for ever
 *                  v
 *   REST --> OPENING --> WORKING (one operation: exchange of its request) --> THINKING --> WORKING ...
 *     ^         ^                         |
 *     |         '---- unknown outcome ----'---- known outcome, nothing left --> REST
 *
 * An exchange is one request and its resends, all under one number: the next node when nothing comes within
 * retry_ns; at once the leader that a refusal names; after a short pause another node when it names none, or the same one
 * when it names itself: it is full of requests.
 *
 * Invariants
 *  1. At most one operation is under way, and at most one exchange.
 *  2. A write is sent with the same session and sequence every time, so that it is applied at most once.
 *  3. A write that was ever sent and was not answered ends unknown: it may take effect at any later time,
 *     also after a refusal, because the network may have duplicated it. The client then gives its session up,
 *     and goes on in the history as a new process, since one whose operation is open can begin no other.
 *  4. A read has no effect, so that one without an answer has failed.
 *  5. Answers count only from a known node, with the number of the exchange under way.
 *
 * An opaque proposal has no session: resent after silence it may be committed twice (section 6.3's
 * at-least-once). Opaque proposals, stale reads, scans and bytes that are no command are not in the history:
 * no model judges them. */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/real.h"

enum client_timer { TIMER_RESEND = 1, TIMER_DEADLINE = 2, TIMER_THINK = 3 };

enum client_phase { PHASE_REST = 1, PHASE_OPENING = 2, PHASE_WORKING = 3, PHASE_THINKING = 4 };

#define PROCESS_STEP 100000u /* client 7 goes on as process 100007, 200007, ...: no client has so great a number */

struct exchange {
    uint64_t number; /* the request counter */
    uint16_t target;
    uint8_t operation;  /* enum client_operation; 0: none under way */
    bool pausing;       /* TIMER_RESEND ends a pause, not a silence */
    uint32_t redirects; /* refusals followed since the last pause: two stale hints must not spin */
};

struct operation {
    bool busy;
    uint32_t copies;  /* of its request that left, or may have */
    uint8_t kind;     /* enum client_operation */
    uint8_t function; /* enum command_operation; 0: no command */
    bool recorded;
    uint64_t number; /* of the history */
    int64_t invoked;
    struct buffer request;
};

struct client {
    uint16_t id, node_count;
    uint16_t *nodes;
    bool manual, stopped, retry;
    bool proposes; /* its workload proposes values, and needs no session */
    struct workload workload;
    uint64_t operations, begun; /* this client's share; 0: no end */
    int64_t timeout_ns, retry_ns;

    struct random draws, timing;
    uint64_t written; /* values drawn */
    struct tree seen; /* what it last saw or wrote, for cas */

    uint8_t phase;              /* enum client_phase */
    uint16_t leader;            /* where the last answer came from, or the last hint; 0 unknown */
    uint16_t cursor;            /* round robin: position in nodes */
    uint64_t session, sequence; /* session 0: none */
    uint32_t generation;        /* unknown outcomes so far */
    struct exchange exchange;
    struct operation operation;

    struct buffer answer;
    struct client_result result;
    uint64_t ok, failed, unknown;
};

/* ---- exchanges ---- */

static bool node_is_known(const struct client *c, uint16_t node) {
    for (uint16_t i = 0; i < c->node_count; i++)
        if (c->nodes[i] == node) return true;
    return false;
}

static uint16_t node_next(struct client *c) {
    c->cursor = (uint16_t)((c->cursor + 1) % c->node_count);
    return c->nodes[c->cursor];
}

static void exchange_send(struct client *c, struct client_io *io) {
    struct exchange *x = &c->exchange;
    struct message m = {.kind = WIRE_CLIENT_REQUEST};
    struct wire_client_request *r = &m.as.client_request;
    r->number = x->number;
    r->operation = x->operation;
    if (x->operation != CLIENT_OPEN) {
        r->data = bytes_of(c->operation.request.data, c->operation.request.size);
        c->operation.copies++;
    }
    if (x->operation == CLIENT_WRITE) {
        r->session = c->session;
        r->sequence = c->sequence;
    }
    x->pausing = false;
    outbox_send(io->out, x->target, &m, 0, 0, 0);
    if (c->retry || x->operation == CLIENT_OPEN) outbox_timer(io->out, TIMER_RESEND, c->retry_ns);
}

static void exchange_begin(struct client *c, struct client_io *io, uint8_t operation) {
    uint16_t target = c->leader ? c->leader : c->nodes[c->cursor];
    c->exchange = (struct exchange){.number = c->exchange.number + 1, .target = target, .operation = operation};
    exchange_send(c, io);
}

static void exchange_end(struct client *c, struct client_io *io) {
    c->exchange.operation = 0;
    outbox_timer(io->out, TIMER_RESEND, INT64_MAX);
}

/* Some time between an eighth and a quarter of the patience, so that refused clients do not march in step. */
static void exchange_pause(struct client *c, struct client_io *io) {
    int64_t eighth = c->retry_ns / 8 + 1;
    c->exchange.pausing = true;
    c->exchange.redirects = 0;
    outbox_timer(io->out, TIMER_RESEND, random_between(&c->timing, eighth, 2 * eighth));
}

static void exchange_resend(struct client *c, struct client_io *io) {
    if (!c->exchange.pausing) { /* silence: whoever that was leads no more, or cannot be heard */
        c->leader = 0;
        c->exchange.target = node_next(c);
    }
    exchange_send(c, io);
}

/* The asked node did not execute it. */
static void exchange_refused(struct client *c, struct client_io *io, const struct message *m) {
    const struct wire_client_reply *r = &m->as.client_reply;
    struct exchange *x = &c->exchange;
    if (m->from != x->target || x->pausing) return; /* a late answer to an earlier copy */
    qrt_status status = (qrt_status)(int32_t)r->status;
    bool hint = node_is_known(c, r->leader) && r->leader != m->from;
    c->leader = hint ? r->leader : 0;
    c->result.last_leader = c->leader;
    if (hint && x->redirects++ < c->node_count) {
        x->target = r->leader;
        exchange_send(c, io);
        return;
    }
    if (status != QRT_EFULL || r->leader != m->from) x->target = hint ? r->leader : node_next(c);
    exchange_pause(c, io);
}

/* ---- history ---- */

static uint32_t process_of(const struct client *c) {
    return (uint32_t)(c->id - QRT_CLIENT) + c->generation * PROCESS_STEP;
}

static void history_begin(struct client *c, struct client_io *io, const struct command *command) {
    struct operation *op = &c->operation;
    op->function = command->operation;
    op->recorded = io->history && command->operation && command->operation != COMMAND_SCAN &&
                   (op->kind == CLIENT_WRITE || op->kind == CLIENT_READ || op->function == COMMAND_PROPOSE);
    if (!op->recorded) return;
    struct history_operation h = {
        .process = process_of(c),
        .function = command->operation,
        .invoke_ns = io->now,
        .return_ns = INT64_MAX,
        .return_order = UINT64_MAX,
        .key = command->key,
        .value = command->value,
        .expected = command->has_expected ? command->expected : (struct bytes){0},
    };
    op->number = history_invoke(io->history, &h);
    outbox_note(io->out, QRT_KIND_INVOKE, 0, 0, 0, 0, op->number, 0);
}

/* Nil, as opposed to "", where there is no value. */
struct bytes client_told(uint8_t function, qrt_status status, struct bytes data) {
    static const uint8_t EMPTY[1] = {0};
    bool value = status == QRT_OK || (status == QRT_ECAS && data.size);
    bool silent = function == COMMAND_PUT || function == COMMAND_WRITE || function == COMMAND_DELETE ||
                  function == COMMAND_RELEASE || (function == COMMAND_CAS && status == QRT_OK);
    if (!value || silent) return (struct bytes){0};
    return data.size ? data : (struct bytes){EMPTY, 0};
}

static void history_end(struct client *c, struct client_io *io, enum history_outcome outcome, qrt_status status,
                        struct bytes data) {
    struct operation *op = &c->operation;
    if (!op->recorded) return;
    struct bytes result = outcome == HISTORY_OK ? client_told(op->function, status, data) : (struct bytes){0};
    history_return(io->history, op->number, outcome, status, result, io->now);
    uint8_t detail = outcome == HISTORY_OK ? 0 : outcome == HISTORY_FAILED ? 1 : 2;
    outbox_note(io->out, QRT_KIND_RETURN, detail, 0, 0, 0, op->number, 0);
}

/* ---- operations ---- */

static void seen_set(struct client *c, const struct command *command, qrt_status status, struct bytes data) {
    bool found = status == QRT_ECAS && data.size;
    switch (command->operation) {
    case COMMAND_GET:
    case COMMAND_READ:
        if (status == QRT_OK)
            tree_put(&c->seen, command->key, data);
        else
            tree_delete(&c->seen, command->key);
        break;
    case COMMAND_CAS:
        if (status == QRT_OK || found)
            tree_put(&c->seen, command->key, found ? data : command->value);
        else
            tree_delete(&c->seen, command->key);
        break;
    case COMMAND_PUT:
    case COMMAND_WRITE: tree_put(&c->seen, command->key, command->value); break;
    case COMMAND_DELETE:
    case COMMAND_APPEND: /* its value is known to nobody but the store */ tree_delete(&c->seen, command->key); break;
    default: break;
    }
}

static void operation_count(struct client *c, enum history_outcome outcome) {
    c->ok += outcome == HISTORY_OK;
    c->failed += outcome == HISTORY_FAILED;
    c->unknown += outcome == HISTORY_UNKNOWN;
}

static void work_next(struct client *c, struct client_io *io);

static void operation_end(struct client *c, struct client_io *io, enum history_outcome outcome, qrt_status status,
                          const struct wire_client_reply *reply) {
    struct bytes data = reply ? reply->data : (struct bytes){0};
    struct command command;
    exchange_end(c, io);
    outbox_timer(io->out, TIMER_DEADLINE, INT64_MAX);
    history_end(c, io, outcome, status, data);
    operation_count(c, outcome);
    if (!c->manual && outcome == HISTORY_OK &&
        command_decode(bytes_of(c->operation.request.data, c->operation.request.size), &command))
        seen_set(c, &command, status, data);
    buffer_clear(&c->answer);
    buffer_append(&c->answer, data.data, data.size);
    c->result.done = true;
    c->result.outcome = outcome;
    c->result.status = status;
    c->result.data = bytes_of(c->answer.data, c->answer.size);
    c->result.term = reply ? reply->term : 0;
    c->result.index = reply ? reply->index : 0;
    c->result.latency_ns = io->now - c->operation.invoked;
    c->result.unsent = !reply && !c->operation.copies;
    c->operation.busy = false;
    c->phase = PHASE_REST;
    if (outcome == HISTORY_UNKNOWN && c->operation.kind == CLIENT_WRITE) { /* invariant 3 */
        c->session = 0;
        c->generation++;
    }
    work_next(c, io);
}

static void operation_expire(struct client *c, struct client_io *io) {
    bool open = c->operation.copies && (c->operation.kind == CLIENT_WRITE || c->operation.kind == CLIENT_RAW);
    if (open)
        operation_end(c, io, HISTORY_UNKNOWN, QRT_EUNKNOWN, NULL);
    else
        operation_end(c, io, HISTORY_FAILED, QRT_EFAILED, NULL);
}

/* Sends the operation's request for the first time, after opening a session where it needs one. */
static void operation_send(struct client *c, struct client_io *io) {
    if (c->operation.kind == CLIENT_WRITE && !c->session) {
        c->phase = PHASE_OPENING;
        exchange_begin(c, io, CLIENT_OPEN);
        return;
    }
    c->phase = PHASE_WORKING;
    if (c->operation.kind == CLIENT_WRITE) c->sequence++;
    exchange_begin(c, io, c->operation.kind);
}

/* The request is in c->operation.request. */
static void operation_begin(struct client *c, struct client_io *io, uint8_t kind, const struct command *command,
                            int64_t deadline) {
    struct operation *op = &c->operation;
    op->busy = true;
    op->copies = 0;
    op->kind = kind;
    op->invoked = io->now;
    c->begun++;
    c->result = (struct client_result){.last_leader = c->result.last_leader};
    history_begin(c, io, command);
    outbox_timer(io->out, TIMER_DEADLINE, deadline - io->now);
    operation_send(c, io);
}

/* ---- the workload ---- */

static bool work_is_left(const struct client *c) {
    return !c->manual && !c->stopped && (c->operations == 0 || c->begun < c->operations);
}

static void work_begin(struct client *c, struct client_io *io) {
    struct workload_draw draw;
    workload_draw(&c->workload, &c->draws, (uint16_t)(c->id - QRT_CLIENT), &c->written, &c->seen, &draw);
    buffer_clear(&c->operation.request);
    uint8_t kind = command_is_read(draw.command.operation) ? CLIENT_READ : CLIENT_WRITE;
    if (draw.command.operation == COMMAND_PROPOSE) { /* the value as it is: no machine will look at it */
        kind = CLIENT_RAW;
        buffer_append(&c->operation.request, draw.command.value.data, draw.command.value.size);
    } else {
        command_encode(&draw.command, &c->operation.request);
    }
    operation_begin(c, io, kind, &draw.command, io->now + c->timeout_ns);
}

static void work_next(struct client *c, struct client_io *io) {
    if (!work_is_left(c)) return;
    if (!c->session && !c->proposes) {
        c->phase = PHASE_OPENING;
        exchange_begin(c, io, CLIENT_OPEN);
    } else if (c->workload.think_ns > 0) {
        c->phase = PHASE_THINKING;
        double pause = (double)c->workload.think_ns * -real_log(1 - random_unit(&c->timing));
        outbox_timer(io->out, TIMER_THINK, (int64_t)pause);
    } else {
        work_begin(c, io);
    }
}

/* ---- answers ---- */

/* Statuses with which a node says that it did not execute a request; with an index they are the machine's. */
static bool reply_refuses(const struct wire_client_reply *r) {
    if (r->index) return false;
    switch ((int32_t)r->status) {
    case QRT_ENOLEADER:
    case QRT_ENOTLEADER:
    case QRT_EFULL:
    case QRT_EDOWN:
    case QRT_EFAILED:
    case QRT_EUNKNOWN:
    case QRT_ETIMEOUT:
    case QRT_EBUSY: return true;
    default: return false;
    }
}

static bool scan_is_sound(struct bytes data) {
    struct reader r = reader_of(data);
    while (reader_left(&r)) {
        if (read_bytes(&r).size > COMMAND_KEY_MAX || r.failed) return false;
        if (read_bytes(&r).size > COMMAND_VALUE_MAX || r.failed) return false;
    }
    return true;
}

/* What the built-in machines answer to a workload's commands. */
static bool reply_fits(uint8_t function, qrt_status status, struct bytes data) {
    int64_t number;
    if (status == QRT_ECAS) return data.size <= COMMAND_VALUE_MAX;
    if (status != QRT_OK) return data.size == 0;
    switch (function) {
    case COMMAND_APPEND:
    case COMMAND_ADD:
    case COMMAND_ACQUIRE: return command_number(data, &number);
    case COMMAND_SCAN: return scan_is_sound(data);
    case COMMAND_GET:
    case COMMAND_PROPOSE:
    case COMMAND_READ: return data.size <= COMMAND_VALUE_MAX;
    default: return data.size == 0;
    }
}

static bool reply_is_sound(const struct client *c, const struct wire_client_reply *r) {
    int32_t status = (int32_t)r->status;
    if (status > 0 || status < -127) return false;
    if (reply_refuses(r)) return true;
    uint64_t session = 0;
    if (c->exchange.operation == CLIENT_OPEN) {
        if (status == QRT_EUNSUPPORTED || status == QRT_EDENIED) return true;
        if (status != QRT_OK || r->data.size != sizeof session) return false;
        memcpy(&session, r->data.data, sizeof session);
        return session != 0;
    }
    if (status == QRT_EUNSUPPORTED) return r->data.size == 0;
    if (status == QRT_EDENIED) return true;
    return c->manual || status == QRT_ESESSION || reply_fits(c->operation.function, (qrt_status)status, r->data);
}

static void on_open_reply(struct client *c, struct client_io *io, const struct wire_client_reply *r) {
    qrt_status status = (qrt_status)(int32_t)r->status;
    if (status == QRT_EUNSUPPORTED || status == QRT_EDENIED) {
        client_stop(c);
        exchange_end(c, io);
        if (c->operation.busy) operation_end(c, io, HISTORY_FAILED, status, r);
        return;
    }
    memcpy(&c->session, r->data.data, sizeof c->session);
    c->sequence = 0;
    exchange_end(c, io);
    c->phase = PHASE_REST;
    if (c->operation.busy)
        operation_send(c, io);
    else
        work_next(c, io);
}

static void on_operation_reply(struct client *c, struct client_io *io, const struct wire_client_reply *r) {
    qrt_status status = (qrt_status)(int32_t)r->status;
    bool command = c->operation.kind == CLIENT_WRITE;
    bool known = status == QRT_OK || status == QRT_ECAS || status == QRT_ENOTFOUND;
    if (command && status == QRT_ESESSION)
        operation_end(c, io, HISTORY_UNKNOWN, QRT_EUNKNOWN, NULL);
    else
        operation_end(c, io, known ? HISTORY_OK : HISTORY_FAILED, status, r);
}

/* ---- the interface ---- */

struct client *client_new(const struct client_config *config) {
    CHECK(config->node_count > 0 && config->id > QRT_CLIENT);
    struct client *c = mem_zero(1, sizeof *c);
    const struct workload *w = config->workload;
    c->id = config->id;
    c->node_count = config->node_count;
    c->nodes = mem_copy(config->nodes, config->node_count * sizeof *config->nodes);
    c->manual = !w;
    if (w) c->workload = *w;
    c->proposes = w && !strcmp(w->machine, "values");
    c->retry = w ? w->retry : true;
    c->operations = config->operations;
    c->timeout_ns = w ? w->timeout_ns : config->timeout_ns;
    c->retry_ns = w ? w->retry_ns : config->retry_ns;
    if (c->retry_ns < 1) c->retry_ns = 1;
    c->draws = random_stream(config->seed, config->id, RANDOM_WORKLOAD);
    c->timing = random_stream(config->seed, config->id, RANDOM_CLIENT);
    c->cursor = (uint16_t)random_below(&c->timing, c->node_count);
    c->phase = PHASE_REST;
    c->exchange.number = config->first;
    return c;
}

void client_free(struct client *c) {
    if (!c) return;
    free(c->nodes);
    tree_free(&c->seen);
    buffer_free(&c->operation.request);
    buffer_free(&c->answer);
    free(c);
}

static struct buffer buffer_copy(const struct buffer *from) {
    struct buffer to = {0};
    buffer_append(&to, from->data, from->size);
    return to;
}

struct client *client_clone(const struct client *c) {
    struct client *to = mem_copy(c, sizeof *c);
    to->nodes = mem_copy(c->nodes, c->node_count * sizeof *c->nodes);
    tree_clone(&to->seen, &c->seen);
    to->operation.request = buffer_copy(&c->operation.request);
    to->answer = buffer_copy(&c->answer);
    to->result.data = bytes_of(to->answer.data, c->result.data.size);
    return to;
}

static uint64_t random_fingerprint(uint64_t hash, const struct random *r) {
    for (int i = 0; i < 4; i++) hash = hash_fold(hash, r->s[i]);
    return hash;
}

/* Without times: when a timer is due is known to the runtime. */
uint64_t client_fingerprint(const struct client *c) {
    const struct exchange *x = &c->exchange;
    const struct operation *op = &c->operation;
    const uint64_t fields[] = {
        c->id,
        c->stopped,
        c->begun,
        c->written,
        c->phase,
        c->leader,
        c->cursor,
        c->session,
        c->sequence,
        c->generation,
        c->ok,
        c->failed,
        c->unknown,
        x->number,
        x->target,
        x->operation,
        x->pausing,
        x->redirects,
        op->busy,
        op->copies != 0,
        op->kind,
        op->recorded,
        c->result.done,
        (uint64_t)c->result.outcome,
        (uint64_t)(int64_t)c->result.status,
        c->result.term,
        c->result.index,
        c->result.last_leader,
    };
    uint64_t hash = tree_fingerprint(&c->seen);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) hash = hash_fold(hash, fields[i]);
    hash = random_fingerprint(random_fingerprint(hash, &c->draws), &c->timing);
    if (op->busy) hash = hash_fold(hash, hash_bytes(op->request.data, op->request.size, op->request.size));
    return hash_fold(hash, hash_bytes(c->answer.data, c->answer.size, c->answer.size));
}

void client_start(struct client *c, struct client_io *io) {
    if (c->phase == PHASE_REST && !c->operation.busy) work_next(c, io);
}

void client_message(struct client *c, struct client_io *io, const struct message *m) {
    const struct wire_client_reply *r = &m->as.client_reply;
    if (m->kind != WIRE_CLIENT_REPLY || !node_is_known(c, m->from)) {
        outbox_note(io->out, QRT_KIND_REJECT, QRT_DROP_FOREIGN, m->from, 0, 0, 0, 0);
        return;
    }
    if (!c->exchange.operation || r->number != c->exchange.number) return; /* late */
    if (!reply_is_sound(c, r)) {
        outbox_note(io->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, m->from, 0, 0, 0, 0);
        return;
    }
    if (c->exchange.operation != CLIENT_STALE) {
        if (reply_refuses(r)) {
            exchange_refused(c, io, m);
            return;
        }
        c->leader = c->result.last_leader = m->from;
    }
    if (c->exchange.operation == CLIENT_OPEN)
        on_open_reply(c, io, r);
    else
        on_operation_reply(c, io, r);
}

void client_timer(struct client *c, struct client_io *io, uint32_t id) {
    switch ((enum client_timer)id) {
    case TIMER_RESEND:
        if (c->exchange.operation) exchange_resend(c, io);
        break;
    case TIMER_DEADLINE:
        if (c->operation.busy) operation_expire(c, io);
        break;
    case TIMER_THINK:
        if (c->phase != PHASE_THINKING) break;
        c->phase = PHASE_REST;
        if (work_is_left(c)) work_begin(c, io);
        break;
    }
}

qrt_status client_submit(struct client *c, struct client_io *io, uint8_t operation, struct bytes command,
                         int64_t deadline_ns) {
    struct command decoded;
    if (!c->manual || operation < CLIENT_WRITE || operation > CLIENT_RAW) return QRT_EINVAL;
    if (c->operation.busy) return QRT_EBUSY;
    if (command.size > COMMAND_SIZE_MAX) return QRT_ETOOLARGE;
    if (deadline_ns <= io->now) return QRT_ETIMEOUT;
    buffer_clear(&c->operation.request);
    buffer_append(&c->operation.request, command.data, command.size);
    if (!command_decode(bytes_of(c->operation.request.data, command.size), &decoded)) decoded = (struct command){0};
    operation_begin(c, io, operation, &decoded, deadline_ns);
    return QRT_OK;
}

void client_unsent(struct client *c) {
    uint8_t under_way = c->exchange.operation;
    if (c->operation.busy && under_way && under_way != CLIENT_OPEN && c->operation.copies) c->operation.copies--;
}

void client_withdraw(struct client *c, struct client_io *io) {
    if (c->operation.busy && !c->operation.copies) operation_end(c, io, HISTORY_FAILED, QRT_EFAILED, NULL);
}

const struct client_result *client_result(const struct client *c) {
    return &c->result;
}

void client_stop(struct client *c) {
    c->stopped = true;
    if (c->operation.busy) return;
    c->exchange.operation = 0;
    c->phase = PHASE_REST;
}

bool client_idle(const struct client *c) {
    return !c->operation.busy && !c->exchange.operation && !work_is_left(c);
}

void client_report(const struct client *c, uint64_t *ok, uint64_t *failed, uint64_t *unknown) {
    *ok = c->ok;
    *failed = c->failed;
    *unknown = c->unknown;
}
