/* Clients against a fake cluster: three nodes before one shared store, a leader that moves, links that lose,
 * delay and duplicate, refusals with true, stale and no hints. Time is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/random.h"
#include "check/linear.h"
#include "client/client.h"
#include "machine/machine.h"
#include "machine/session.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define NODES 3
#define CLIENTS 4
#define TIMERS 4
#define MESSAGES 100000

static const uint16_t NODE_IDS[NODES] = {1, 2, 3};

/* One delivery or timer; the heap orders their slots. */
struct due {
    uint16_t to;      /* node or client */
    uint32_t timer;   /* 0: a frame */
    uint64_t setting; /* of the timer: an older one is void */
    struct buffer frame;
};

struct world {
    uint64_t seed;
    int64_t now;
    struct heap heap;
    struct due dues[MESSAGES];
    uint32_t used;
    struct random random;
    const struct machine_class *machine;
    void *state;
    struct sessions *sessions;
    uint64_t index;
    uint16_t leader; /* 0: nobody */
    double loss, duplicate, refuse_full;
    bool ping_pong; /* node 1 hints 2, node 2 hints 3, node 3 hints 1: nobody leads */
    bool moves;     /* the leader changes now and then */
    struct client *clients[CLIENTS];
    uint64_t settings[CLIENTS][TIMERS];
    struct outbox outboxes[CLIENTS];
    struct history history;
    uint64_t requests, applied;
};

static struct world *world_new(uint64_t seed) {
    struct world *w = mem_zero(1, sizeof *w);
    w->seed = seed;
    heap_init(&w->heap);
    heap_reserve(&w->heap, 1024);
    w->random = random_stream(seed, 0, RANDOM_LINK);
    w->machine = machine_find("kv");
    w->state = w->machine->create(NULL);
    w->sessions = sessions_new(64);
    w->leader = 1;
    history_init(&w->history);
    return w;
}

static void world_free(struct world *w) {
    for (uint32_t i = 0; i < w->used; i++) buffer_free(&w->dues[i].frame);
    for (int i = 0; i < CLIENTS; i++) {
        client_free(w->clients[i]);
        outbox_free(&w->outboxes[i]);
    }
    heap_free(&w->heap);
    w->machine->destroy(w->state);
    sessions_free(w->sessions);
    history_free(&w->history);
    free(w);
}

static struct due *world_push(struct world *w, int64_t delay, uint16_t to) {
    if (w->used == MESSAGES) fail_msg("seed %lu: %d events and no end", (unsigned long)w->seed, MESSAGES);
    struct due *due = &w->dues[w->used];
    due->to = to;
    heap_push(&w->heap, w->now + delay, w->used++);
    return due;
}

/* Sends a frame through the bad network. */
static void world_send(struct world *w, uint16_t to, const uint8_t *frame, size_t size) {
    int copies = random_chance(&w->random, w->loss) ? 0 : random_chance(&w->random, w->duplicate) ? 2 : 1;
    while (copies-- > 0) {
        struct due *due = world_push(w, random_between(&w->random, MS, 20 * MS), to);
        buffer_append(&due->frame, frame, size);
    }
}

static void carry_out(struct world *w, int i) {
    struct outbox *o = &w->outboxes[i];
    for (size_t k = 0; k < o->count; k++) {
        const struct effect *e = &o->effects[k];
        if (e->kind == FX_SEND) {
            uint8_t *frame = o->arena.data + e->offset;
            wire_seal(frame, e->size, 1, 0);
            world_send(w, e->peer, frame, e->size);
            w->requests++;
        } else if (e->kind == FX_TIMER) {
            uint64_t setting = ++w->settings[i][e->a];
            if (e->b == (uint64_t)INT64_MAX) continue;
            struct due *due = world_push(w, (int64_t)e->b, o->node);
            due->timer = (uint32_t)e->a;
            due->setting = setting;
        } else {
            assert_int_equal(e->kind, FX_NOTE);
        }
    }
    outbox_clear(o);
}

static struct client_io io_of(struct world *w, int i) {
    return (struct client_io){&w->outboxes[i], &w->history, w->now};
}

static void world_client(struct world *w, int i, const struct workload *workload, uint64_t operations) {
    struct client_config config = {.id = (uint16_t)(QRT_CLIENT + 1 + i),
                                   .nodes = NODE_IDS,
                                   .node_count = NODES,
                                   .seed = w->seed,
                                   .workload = workload,
                                   .operations = operations,
                                   .timeout_ns = SECOND,
                                   .retry_ns = 100 * MS};
    w->clients[i] = client_new(&config);
    w->outboxes[i].node = config.id;
    struct client_io io = io_of(w, i);
    client_start(w->clients[i], &io);
    carry_out(w, i);
}

/* ---- the fake node ---- */

static void serve_write(struct world *w, const struct wire_client_request *r, struct wire_client_reply *a,
                        struct buffer *reply) {
    struct error e;
    qrt_status status = QRT_ESESSION;
    struct bytes cached = {0};
    a->index = ++w->index;
    switch (sessions_check(w->sessions, w->index, r->session, r->sequence, &status, &cached)) {
    case SESSION_FRESH:
        status = w->machine->apply(w->state, w->index, r->data, reply, &e);
        sessions_record(w->sessions, r->session, r->sequence, status, bytes_of(reply->data, reply->size));
        w->applied++;
        break;
    case SESSION_REPEATED: buffer_append(reply, cached.data, cached.size); break;
    case SESSION_STALE:
    case SESSION_UNKNOWN: status = QRT_ESESSION; break;
    }
    a->status = (uint32_t)status;
}

static void serve(struct world *w, const struct message *m) {
    const struct wire_client_request *r = &m->as.client_request;
    struct message answer = {.kind = WIRE_CLIENT_REPLY, .from = m->to, .to = m->from};
    struct wire_client_reply *a = &answer.as.client_reply;
    struct buffer reply = {0};
    struct error e;
    a->number = r->number;
    a->term = 7;
    if (w->moves && random_chance(&w->random, 0.02)) w->leader = (uint16_t)random_below(&w->random, NODES + 1);
    if (w->ping_pong) {
        a->status = (uint32_t)QRT_ENOTLEADER;
        a->leader = (uint16_t)(m->to % NODES + 1);
    } else if (m->to != w->leader && r->operation != CLIENT_STALE) {
        a->status = (uint32_t)(w->leader ? QRT_ENOTLEADER : QRT_ENOLEADER);
        a->leader = random_chance(&w->random, 0.7) ? w->leader : (uint16_t)random_below(&w->random, 9);
    } else if (random_chance(&w->random, w->refuse_full)) {
        a->status = (uint32_t)QRT_EFULL;
    } else if (r->operation == CLIENT_OPEN) {
        sessions_open(w->sessions, ++w->index);
        buffer_append(&reply, &w->index, sizeof w->index);
    } else if (r->operation == CLIENT_WRITE) {
        serve_write(w, r, a, &reply);
    } else if (r->operation == CLIENT_RAW) {
        a->index = ++w->index;
        w->applied++;
    } else {
        a->status = (uint32_t)w->machine->query(w->state, r->data, &reply, &e);
    }
    a->data = bytes_of(reply.data, reply.size);
    struct buffer frame = {0};
    uint8_t *place = buffer_extend(&frame, wire_size(&answer));
    wire_encode(&answer, place);
    wire_seal(frame.data, frame.size, 1, 0);
    world_send(w, m->from, frame.data, frame.size);
    buffer_free(&frame);
    buffer_free(&reply);
}

static void dispatch(struct world *w, struct due *due) {
    struct message m;
    int i = due->to - QRT_CLIENT - 1;
    if (due->to < QRT_CLIENT) {
        assert_true(wire_decode(bytes_of(due->frame.data, due->frame.size), 0, &m));
        serve(w, &m);
        return;
    }
    struct client_io io = io_of(w, i);
    if (due->timer) {
        if (due->setting == w->settings[i][due->timer]) client_timer(w->clients[i], &io, due->timer);
    } else {
        assert_true(wire_decode(bytes_of(due->frame.data, due->frame.size), 0, &m));
        client_message(w->clients[i], &io, &m);
    }
    carry_out(w, i);
}

static bool world_idle(const struct world *w) {
    for (int i = 0; i < CLIENTS; i++)
        if (w->clients[i] && !client_idle(w->clients[i])) return false;
    return true;
}

/* Runs until every client is idle or the time is over. */
static void world_run(struct world *w, int64_t until) {
    while (w->heap.count && !world_idle(w) && w->heap.keys[0].time <= until) {
        struct heap_key key = heap_pop(&w->heap);
        w->now = key.time;
        dispatch(w, &w->dues[heap_slot(key)]);
    }
    if (w->now < until && !world_idle(w)) w->now = until;
}

/* Delivers what is still under way. */
static void world_drain(struct world *w) {
    while (w->heap.count) {
        struct heap_key key = heap_pop(&w->heap);
        w->now = key.time;
        dispatch(w, &w->dues[heap_slot(key)]);
    }
}

/* ---- what must hold of every history ---- */

/* A process has one operation at a time, and none after an open one (Jepsen's rule). */
static void check_processes(const struct world *w) {
    const struct history *h = &w->history;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        bool open = op->outcome == HISTORY_PENDING || op->outcome == HISTORY_UNKNOWN;
        for (size_t k = i + 1; k < h->count; k++) {
            if (h->operations[k].process != op->process) continue;
            if (open)
                fail_msg("seed %lu: process %u goes on after operation %zu", (unsigned long)w->seed, op->process, i);
            assert_true(h->operations[k].invoke_order > op->return_order);
            break;
        }
        if (op->outcome == HISTORY_OK || op->outcome == HISTORY_FAILED) assert_true(op->return_ns >= op->invoke_ns);
    }
}

static int count_in_store(const struct world *w, const struct history_operation *op) {
    struct command get = {.operation = COMMAND_GET, .key = op->key};
    struct buffer bytes = {0}, value = {0};
    struct error e;
    int count = 0;
    command_encode(&get, &bytes);
    w->machine->query(w->state, bytes_of(bytes.data, bytes.size), &value, &e);
    for (size_t at = 0; at + op->value.size <= value.size; at++)
        count += memcmp(value.data + at, op->value.data, op->value.size) == 0;
    buffer_free(&bytes);
    buffer_free(&value);
    return count;
}

/* Every acknowledged append is in the store once, every unknown one at most once, a failed one never. */
static void check_exactly_once(const struct world *w) {
    for (size_t i = 0; i < w->history.count; i++) {
        const struct history_operation *op = &w->history.operations[i];
        if (op->function != COMMAND_APPEND) continue;
        int count = count_in_store(w, op), least = op->outcome == HISTORY_OK, most = op->outcome != HISTORY_FAILED;
        if (count < least || count > most)
            fail_msg("seed %lu: operation %zu, outcome %d, is %d times in the store", (unsigned long)w->seed, i,
                     op->outcome, count);
    }
}

static void parse(struct workload *workload, const char *json) {
    struct error e;
    workload_standard(workload, "kv");
    if (workload_parse(workload, bytes_text(json), &e)) fail_msg("%s", e.text);
}

/* Under loss, duplicates, moving leaders and full queues every append happens exactly once. */
static void test_client_appends_exactly_once(void **unused) {
    (void)unused;
    struct workload workload;
    uint64_t oks = 0, unknowns = 0;
    parse(&workload, "{\"mix\": {\"append\": 0.8, \"get\": 0.2}, \"keys\": 3, \"value_size\": 10, "
                     "\"timeout\": 0.4, \"retry_after\": 0.05}");
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world *w = world_new(seed);
        w->loss = (double)(seed % 4) * 0.08;
        w->duplicate = (double)(seed % 3) * 0.2;
        w->refuse_full = (double)(seed % 2) * 0.1;
        w->moves = seed % 5 != 0;
        for (int i = 0; i < CLIENTS; i++) world_client(w, i, &workload, 50);
        world_run(w, 600 * SECOND);
        if (!world_idle(w)) fail_msg("seed %lu: not idle after 600 s", (unsigned long)seed);
        world_drain(w);
        check_processes(w);
        check_exactly_once(w);
        uint64_t total = 0;
        for (int i = 0; i < CLIENTS; i++) {
            uint64_t ok, failed, unknown;
            client_report(w->clients[i], &ok, &failed, &unknown);
            total += ok + failed + unknown;
            oks += ok;
            unknowns += unknown;
        }
        assert_int_equal(total, 50 * CLIENTS);
        assert_int_equal(w->history.count, 50 * CLIENTS);
        world_free(w);
    }
    assert_in_range(unknowns, 20, oks / 4); /* both happen */
}

static void check_linear(const struct world *w, enum linear_model model) {
    struct linear_options options = {.model = model, .seconds = 10};
    struct linear *check = linear_new(&w->history, &options);
    while (!linear_step(check, SECOND)) continue;
    const struct linear_result *result = linear_result(check);
    if (result->verdict != VERDICT_OK)
        fail_msg("seed %lu, model %s: verdict %d: %s", (unsigned long)w->seed, linear_model_name(model),
                 result->verdict, result->explanation);
    linear_free(check);
}

/* What clients record of a store without faults is linearizable, for every machine, however bad the links. */
static void test_client_histories_are_linearizable(void **unused) {
    (void)unused;
    static const enum linear_model models[] = {LINEAR_KV, LINEAR_CAS_REGISTER, LINEAR_COUNTER, LINEAR_LOCK};
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct world *w = world_new(seed);
        struct workload workload;
        workload_standard(&workload, machine_at(seed % 4)->name);
        workload.timeout_ns = 300 * MS;
        workload.retry_ns = 50 * MS;
        w->machine->destroy(w->state);
        w->machine = machine_at(seed % 4);
        w->state = w->machine->create(NULL);
        w->loss = 0.15;
        w->duplicate = 0.2;
        w->moves = true;
        for (int i = 0; i < CLIENTS; i++) world_client(w, i, &workload, 40);
        world_run(w, 600 * SECOND);
        assert_true(world_idle(w));
        check_processes(w);
        check_linear(w, models[seed % 4]);
        world_free(w);
    }
}

/* On a sound network nothing is resent: with the leader known, one request an operation; the history tells
 * what the store did, and a cas that fails is an ok operation with its status. */
static void test_client_on_a_sound_network(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(3);
    uint64_t ok, failed, unknown, mismatches = 0, absent = 0;
    workload_standard(&workload, "kv");
    world_client(w, 0, &workload, 500);
    world_run(w, 600 * SECOND);
    client_report(w->clients[0], &ok, &failed, &unknown);
    assert_int_equal(ok, 500);
    assert_in_range(w->requests, 501, 503); /* the session, and one refusal or two */
    for (size_t i = 0; i < w->history.count; i++) {
        const struct history_operation *op = &w->history.operations[i];
        mismatches += op->status == QRT_ECAS;
        absent += op->function == COMMAND_GET && op->status == QRT_ENOTFOUND;
        if (op->function == COMMAND_GET) assert_true((op->status == QRT_OK) == (op->result.data != NULL));
        assert_int_equal(op->process, 1);
    }
    assert_in_range(mismatches, 2, 60);
    assert_in_range(absent, 1, 100);
    check_processes(w);
    world_free(w);
}

static uint64_t world_hash(const struct world *w) {
    uint64_t hash = w->requests;
    for (int i = 0; i < CLIENTS; i++) hash = hash * 31 + client_fingerprint(w->clients[i]);
    return hash;
}

/* The same seed, the same run; and a clone that takes its origin's place changes nothing. */
static void test_client_clones_go_on_alike(void **unused) {
    (void)unused;
    struct workload workload;
    parse(&workload, "{\"timeout\": 0.2, \"retry_after\": 0.05, \"think\": 0.01}");
    uint64_t hashes[3];
    for (int run = 0; run < 3; run++) {
        struct world *w = world_new(9);
        w->loss = 0.2;
        w->moves = true;
        for (int i = 0; i < CLIENTS; i++) world_client(w, i, &workload, 60);
        for (int64_t at = 0; at < 600 && !world_idle(w); at++) {
            world_run(w, at * SECOND / 4);
            for (int i = 0; run == 2 && i < CLIENTS; i++) {
                struct client *clone = client_clone(w->clients[i]);
                assert_true(client_fingerprint(clone) == client_fingerprint(w->clients[i]));
                client_free(w->clients[i]);
                w->clients[i] = clone;
            }
        }
        assert_true(world_idle(w));
        hashes[run] = world_hash(w);
        world_free(w);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] == hashes[2]);
}

/* While nobody leads and every node says so at once, a client does not spin. */
static void test_client_does_not_spin(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(5);
    workload_standard(&workload, "kv");
    w->leader = 0;
    world_client(w, 0, &workload, 10);
    world_run(w, 10 * SECOND);
    assert_false(client_idle(w->clients[0]));
    assert_in_range(w->requests, 50, 2000); /* 10 s of pauses of 25 to 50 ms, with some stale hints followed */
    client_stop(w->clients[0]);
    assert_true(client_idle(w->clients[0]));
    assert_int_equal(w->history.count, 0);
    world_free(w);
}

/* Nodes that send a client in circles are not followed at their pace for ever: it pauses after a round. */
static void test_client_pauses_between_circling_hints(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(5);
    workload_standard(&workload, "kv");
    w->ping_pong = true;
    world_client(w, 0, &workload, 10);
    world_run(w, 10 * SECOND);
    /* A round of four requests takes about 4 * 21 ms and a pause of 37 ms; without
     * pauses it would be 475 requests. */
    assert_in_range(w->requests, 200, 400);
    world_free(w);
}

/* A stopped client finishes what is under way and begins nothing new. */
static void test_client_stops(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(6);
    workload_standard(&workload, "kv");
    world_client(w, 0, &workload, 0);
    world_run(w, 5 * SECOND);
    assert_false(client_idle(w->clients[0]));
    size_t begun = w->history.count;
    client_stop(w->clients[0]);
    world_run(w, 20 * SECOND);
    assert_true(client_idle(w->clients[0]));
    assert_int_equal(w->history.count, begun);
    assert_int_equal(w->history.operations[begun - 1].outcome, HISTORY_OK);
    world_free(w);
}

/* A session that the cluster has dropped leaves its operation unknown; the client opens another. */
static void test_client_survives_expired_sessions(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(7);
    parse(&workload, "{\"mix\": {\"append\": 1}, \"value_size\": 10}");
    sessions_free(w->sessions);
    w->sessions = sessions_new(2); /* for four clients */
    for (int i = 0; i < CLIENTS; i++) world_client(w, i, &workload, 20);
    world_run(w, 600 * SECOND);
    assert_true(world_idle(w));
    check_processes(w);
    check_exactly_once(w);
    uint64_t ok, failed, unknown;
    client_report(w->clients[0], &ok, &failed, &unknown);
    assert_true(unknown > 0);
    world_free(w);
}

/* ---- by hand ---- */

static qrt_status submit(struct world *w, uint8_t operation, const struct command *c, int64_t timeout) {
    struct buffer bytes = {0};
    struct client_io io = io_of(w, 0);
    command_encode(c, &bytes);
    qrt_status status =
        client_submit(w->clients[0], &io, operation, bytes_of(bytes.data, bytes.size), w->now + timeout);
    carry_out(w, 0);
    buffer_free(&bytes);
    return status;
}

/* A manual client answers with outcome, status, data and latency, one operation at a time. */
static void test_client_by_hand(void **unused) {
    (void)unused;
    struct world *w = world_new(8);
    world_client(w, 0, NULL, 0);
    assert_true(client_idle(w->clients[0]));
    struct command put = {.operation = COMMAND_PUT, .key = bytes_text("k"), .value = bytes_text("v")};
    struct command get = {.operation = COMMAND_GET, .key = bytes_text("k")};
    assert_int_equal(submit(w, CLIENT_OPEN, &put, SECOND), QRT_EINVAL);
    assert_int_equal(submit(w, CLIENT_WRITE, &put, 0), QRT_ETIMEOUT);
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    assert_false(client_result(w->clients[0])->done);
    assert_int_equal(submit(w, CLIENT_READ, &get, SECOND), QRT_EBUSY);
    world_run(w, 2 * SECOND);
    const struct client_result *r = client_result(w->clients[0]);
    assert_true(r->done && r->outcome == HISTORY_OK && r->status == QRT_OK);
    assert_true(r->index > 0 && r->term == 7 && r->latency_ns > 0 && r->last_leader == 1);
    assert_int_equal(submit(w, CLIENT_READ, &get, SECOND), QRT_OK);
    world_run(w, 4 * SECOND);
    assert_true(bytes_equal(r->data, bytes_text("v")));
    get.key = bytes_text("other");
    assert_int_equal(submit(w, CLIENT_STALE, &get, SECOND), QRT_OK);
    world_run(w, 6 * SECOND);
    assert_true(r->outcome == HISTORY_OK && r->status == QRT_ENOTFOUND);
    assert_int_equal(w->history.count, 2); /* stale reads are not in it */
    struct client_io io = io_of(w, 0);
    assert_int_equal(client_submit(w->clients[0], &io, CLIENT_RAW, bytes_text("x = 1"), w->now + SECOND), QRT_OK);
    carry_out(w, 0);
    world_run(w, 8 * SECOND);
    assert_true(r->outcome == HISTORY_OK && r->index > 0);
    uint8_t *large = mem_zero(1, COMMAND_SIZE_MAX + 1);
    assert_int_equal(
        client_submit(w->clients[0], &io, CLIENT_RAW, bytes_of(large, COMMAND_SIZE_MAX + 1), w->now + SECOND),
        QRT_ETOOLARGE);
    free(large);
    world_free(w);
}

/* Not answered in time: a write that was sent is unknown, one that never was (no session yet) and a read have
 * failed; the deadline is met to the nanosecond, and the client is usable afterwards, as a new process. */
static void test_client_by_hand_times_out(void **unused) {
    (void)unused;
    struct world *w = world_new(10);
    world_client(w, 0, NULL, 0);
    struct command put = {.operation = COMMAND_PUT, .key = bytes_text("k"), .value = bytes_text("v")};
    struct command get = {.operation = COMMAND_GET, .key = bytes_text("k")};
    const struct client_result *r = client_result(w->clients[0]);
    w->loss = 1;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    world_run(w, 9 * SECOND);
    assert_true(r->done && r->outcome == HISTORY_FAILED && r->status == QRT_EFAILED && r->latency_ns == SECOND);
    w->loss = 0;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    world_run(w, 20 * SECOND);
    assert_int_equal(r->outcome, HISTORY_OK);
    w->loss = 1;
    assert_int_equal(submit(w, CLIENT_READ, &get, SECOND), QRT_OK);
    world_run(w, 30 * SECOND);
    assert_int_equal(r->outcome, HISTORY_FAILED);
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    world_run(w, 40 * SECOND);
    assert_true(r->outcome == HISTORY_UNKNOWN && r->status == QRT_EUNKNOWN);
    w->loss = 0;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    world_run(w, 50 * SECOND);
    assert_int_equal(r->outcome, HISTORY_OK);
    assert_int_equal(w->history.operations[3].process, 1);
    assert_int_equal(w->history.operations[4].process, 100001);
    check_processes(w);
    world_free(w);
}

/* A runtime that knows that nothing left says so: then a write has failed, and who waits no longer ends it. What may have left
 * once stays unknown, whatever becomes of its copies. */
static void test_client_by_hand_knows_what_never_left(void **unused) {
    (void)unused;
    struct world *w = world_new(12);
    world_client(w, 0, NULL, 0);
    struct command put = {.operation = COMMAND_PUT, .key = bytes_text("k"), .value = bytes_text("v")};
    struct client *c = w->clients[0];
    const struct client_result *r = client_result(c);
    struct client_io io;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK); /* opens its session */
    world_run(w, 9 * SECOND);
    assert_int_equal(r->outcome, HISTORY_OK);
    w->loss = 1;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    client_unsent(c);
    io = io_of(w, 0);
    client_withdraw(c, &io);
    carry_out(w, 0);
    assert_true(r->done && r->unsent && r->outcome == HISTORY_FAILED && r->status == QRT_EFAILED);
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK);
    world_run(w, w->now + 150 * MS); /* sent, and sent again */
    client_unsent(c);
    io = io_of(w, 0);
    client_withdraw(c, &io);
    assert_false(r->done);
    world_run(w, w->now + 2 * SECOND);
    assert_true(r->done && !r->unsent && r->outcome == HISTORY_UNKNOWN);
    w->loss = 0;
    assert_int_equal(submit(w, CLIENT_WRITE, &put, SECOND), QRT_OK); /* the gap in its sequence harms nobody */
    world_run(w, w->now + 9 * SECOND);
    assert_int_equal(r->outcome, HISTORY_OK);
    check_processes(w);
    world_free(w);
}

/* Answers from strangers, to other requests, of impossible status or shape are not taken for the answer. */
static void test_client_rejects_forged_answers(void **unused) {
    (void)unused;
    struct workload workload;
    struct world *w = world_new(11);
    parse(&workload, "{\"mix\": {\"append\": 1}}");
    w->loss = 1;
    world_client(w, 0, &workload, 5);
    uint64_t before = client_fingerprint(w->clients[0]);
    for (int n = 0; n < 7; n++) {
        uint64_t session = n == 4 ? 0 : 5;
        struct message m = {
            .kind = n == 0 ? WIRE_PING : WIRE_CLIENT_REPLY, .from = n == 1 ? 9 : 1, .to = QRT_CLIENT + 1};
        if (n)
            m.as.client_reply =
                (struct wire_client_reply){.number = n == 2 ? 2 : 1, .data = bytes_of(&session, n == 3 ? 7 : 8)};
        if (n == 5) m.as.client_reply.status = 17;
        if (n == 6) m.as.client_reply.status = (uint32_t)-1000;
        struct client_io io = io_of(w, 0);
        client_message(w->clients[0], &io, &m);
        assert_true(client_fingerprint(w->clients[0]) == before);
        carry_out(w, 0);
    }
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    for (int n = 0; n < 50000; n++) {
        uint8_t data[12];
        for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_below(&r, 3);
        struct message m = {.kind = WIRE_CLIENT_REPLY, .from = (uint16_t)random_below(&r, 5), .to = QRT_CLIENT + 1};
        m.as.client_reply = (struct wire_client_reply){.number = random_below(&r, 12),
                                                       .index = random_below(&r, 2),
                                                       .status = (uint32_t) - (int)random_below(&r, 40),
                                                       .leader = (uint16_t)random_below(&r, 6),
                                                       .data = bytes_of(data, random_below(&r, 13))};
        struct client_io io = io_of(w, 0);
        client_message(w->clients[0], &io, &m);
        outbox_clear(&w->outboxes[0]);
    }
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_appends_exactly_once),
        cmocka_unit_test(test_client_histories_are_linearizable),
        cmocka_unit_test(test_client_on_a_sound_network),
        cmocka_unit_test(test_client_clones_go_on_alike),
        cmocka_unit_test(test_client_does_not_spin),
        cmocka_unit_test(test_client_pauses_between_circling_hints),
        cmocka_unit_test(test_client_stops),
        cmocka_unit_test(test_client_survives_expired_sessions),
        cmocka_unit_test(test_client_by_hand),
        cmocka_unit_test(test_client_by_hand_times_out),
        cmocka_unit_test(test_client_by_hand_knows_what_never_left),
        cmocka_unit_test(test_client_rejects_forged_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
