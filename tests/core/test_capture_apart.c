/* Captures of hosts whose clocks are apart. The nodes here are bare hosts on a small network of one thread, each with a clock
 * of its own; clients are the actors of every runtime. The replay must take every frame behind its sending, whatever the clocks
 * say, and the history that the nodes' captures tell must be linearizable, because Raft's safety rests on no clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#include "support/captures.h"
#include "wire/wire.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define NODES 3
#define CLIENTS 3
#define TIMERS 64
#define NEVER INT64_MAX
#define CLUSTER 77

static char *const folder = captures_folder;

struct flying {
    int64_t at;
    uint16_t to;
    struct buffer frame;
};

struct actor {
    struct client *client;
    struct outbox out;
    uint64_t sends;
    int64_t due[TIMERS];
};

struct net {
    int64_t now; /* true time, which nobody knows */
    int64_t ahead[NODES + 1];
    struct host hosts[NODES + 1];
    struct trace traces[NODES + 1];
    int64_t due[NODES + 1][TIMERS];
    struct flying *frames;
    size_t count, capacity;
    struct actor actors[CLIENTS + 1];
    struct history history;
};

static struct net net;

/* ---- the network ---- */

static void fly(uint16_t to, const uint8_t *frame, uint32_t size) {
    net.frames = mem_grow(net.frames, &net.capacity, net.count + 1, sizeof *net.frames);
    struct flying *f = &net.frames[net.count++];
    *f = (struct flying){.at = net.now + MS, .to = to};
    buffer_append(&f->frame, frame, size);
}

static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    (void)runtime, (void)h;
    fly(to, frame, size);
}

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    (void)runtime;
    assert_true(group == 0 && id < TIMERS);
    net.due[h->config.node][id] = delay == NEVER ? NEVER : net.now + delay;
}

static void port_persist(void *runtime, struct host *h) {
    (void)runtime, (void)h;
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    (void)runtime, (void)h, (void)a;
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    (void)runtime, (void)h, (void)why, (void)text;
    fail_msg("a node died");
}

static const struct host_port port = {
    .send = port_send, .timer = port_timer, .persist = port_persist, .answer = port_answer, .died = port_died};

static struct host *host_now(uint16_t node) {
    struct host *h = &net.hosts[node];
    h->time = h->wall = SECOND * 10000 + net.now + net.ahead[node];
    h->mono = net.now;
    return h;
}

/* ---- clients ---- */

static void carry_out(uint16_t number) {
    struct actor *a = &net.actors[number];
    for (size_t i = 0; i < a->out.count; i++) {
        struct effect *e = &a->out.effects[i];
        uint8_t *frame = effect_bytes(e, a->out.arena.data);
        if (e->kind == FX_SEND) {
            wire_seal(frame, e->size, (uint64_t)(QRT_CLIENT + number) << 40 | ++a->sends, CLUSTER);
            fly(e->peer, frame, e->size);
        }
        if (e->kind == FX_TIMER) a->due[e->a] = e->b == (uint64_t)NEVER ? NEVER : net.now + (int64_t)e->b;
    }
    outbox_clear(&a->out);
}

static struct client_io io_of(uint16_t number) {
    return (struct client_io){&net.actors[number].out, &net.history, net.now};
}

static void add_client(uint16_t number, const struct workload *w) {
    static const uint16_t members[NODES] = {1, 2, 3};
    struct actor *a = &net.actors[number];
    struct client_config config = {
        .id = (uint16_t)(QRT_CLIENT + number), .nodes = members, .node_count = NODES, .seed = 5, .workload = w};
    a->out.node = config.id;
    for (int i = 0; i < TIMERS; i++) a->due[i] = NEVER;
    a->client = client_new(&config);
    struct client_io io = io_of(number);
    client_start(a->client, &io);
    carry_out(number);
}

/* ---- time ---- */

static void deliver(const struct flying *f) {
    struct message m;
    struct bytes frame = bytes_of(f->frame.data, f->frame.size);
    if (f->to < QRT_CLIENT) {
        host_receive(host_now(f->to), frame);
        return;
    }
    uint16_t number = (uint16_t)(f->to - QRT_CLIENT);
    assert_true(wire_decode(frame, CLUSTER, &m));
    struct client_io io = io_of(number);
    client_message(net.actors[number].client, &io, &m);
    carry_out(number);
}

static void ring(void) {
    for (uint16_t i = 1; i <= NODES; i++)
        for (uint32_t id = 0; id < TIMERS; id++)
            if (net.due[i][id] <= net.now) {
                net.due[i][id] = NEVER;
                host_timer(host_now(i), 0, id);
            }
    for (uint16_t i = 1; i <= CLIENTS; i++)
        for (uint32_t id = 0; id < TIMERS; id++)
            if (net.actors[i].due[id] <= net.now) {
                struct client_io io = io_of(i);
                net.actors[i].due[id] = NEVER;
                client_timer(net.actors[i].client, &io, id);
                carry_out(i);
            }
}

/* `cut`: nobody hears that node while the time lasts. */
static void run(int64_t time, uint16_t cut) {
    for (int64_t end = net.now + time; net.now < end; net.now += MS / 4) {
        size_t done = 0;
        for (; done < net.count && net.frames[done].at <= net.now; done++) {
            struct flying f = net.frames[done];
            if (f.to != cut) deliver(&f);
            buffer_free(&f.frame);
        }
        memmove(net.frames, net.frames + done, (net.count - done) * sizeof *net.frames);
        net.count -= done;
        ring();
    }
}

/* ---- a run ---- */

static struct cluster *configured(const char *capture) {
    struct error e = {0};
    struct setting settings[] = {{"nodes", "3"}, {"seed", "11"}, {"disk", "memory"}, {"capture", capture}};
    struct cluster *c = cluster_new("raft", settings, capture ? 4 : 3, NULL, &e);
    if (!c) print_error("%s\n", e.text);
    assert_non_null(c);
    return c;
}

static void start_hosts(const struct cluster *c) {
    static const uint16_t members[NODES] = {1, 2, 3};
    struct error e = {0};
    for (uint16_t i = 1; i <= NODES; i++) {
        struct host_config config = {.node = i,
                                     .cluster_id = CLUSTER,
                                     .seed = 11,
                                     .members = members,
                                     .member_count = NODES,
                                     .protocol = c->config.protocol,
                                     .protocol_options = c->config.protocol_options,
                                     .machine = c->config.machine,
                                     .sessions_limit = (uint32_t)c->config.options.sessions,
                                     .inline_store = true,
                                     .watch = &c->config.watch,
                                     .quorum = &c->config.quorum};
        for (int k = 0; k < TIMERS; k++) net.due[i][k] = NEVER;
        trace_init(&net.traces[i], 0);
        host_init(&net.hosts[i], &config, NULL, &port, NULL, &net.traces[i]);
        net.hosts[i].capture = capture_open(folder, i, 64 << 20);
        capture_tap(net.hosts[i].capture, &net.traces[i]);
        assert_int_equal(host_start(host_now(i), QRT_START_FORMAT, &e), QRT_OK);
    }
}

static uint16_t leader(void) {
    for (uint16_t i = 1; i <= NODES; i++) {
        struct protocol_status s;
        net.hosts[i].instances[0].protocol->status(net.hosts[i].instances[0].state, &s);
        if (s.role == QRT_ROLE_LEADER) return i;
    }
    return 0;
}

static void stop_all(void) {
    for (uint16_t i = 1; i <= NODES; i++) {
        host_stop(&net.hosts[i]);
        capture_close(&net.hosts[i].capture);
        host_free(&net.hosts[i]);
        trace_free(&net.traces[i]);
    }
    for (size_t i = 0; i < net.count; i++) buffer_free(&net.frames[i].frame);
    for (uint16_t i = 1; i <= CLIENTS; i++) {
        client_free(net.actors[i].client);
        outbox_free(&net.actors[i].out);
    }
    free(net.frames);
    history_free(&net.history);
}

/* Three nodes whose clocks are that far ahead of the true time; their leader is cut off for a while, so that another one leads. */
static void capture_apart(int64_t first, int64_t second, int64_t third) {
    struct workload w;
    cluster_free(configured(folder)); /* for its capture.json */
    captures_remove(".capture");
    struct cluster *c = configured(NULL);
    net = (struct net){.ahead = {0, first, second, third}};
    workload_standard(&w, "kv");
    w.keys = 2;
    w.retry_ns = 50 * MS;
    start_hosts(c);
    for (uint16_t i = 1; i <= CLIENTS; i++) add_client(i, &w);
    run(SECOND, 0);
    run(SECOND, leader());
    run(SECOND, 0);
    assert_true(net.history.count > 300);
    stop_all();
    cluster_free(c);
}

static struct capture_replay *replayed(void) {
    struct capture_replay *r = captures_replayed();
    for (uint16_t i = 1; i <= NODES; i++) {
        assert_int_equal(r->replay->nodes[i].count, 1);
        assert_int_equal(r->replay->nodes[i].incarnations[0].matched, r->replay->nodes[i].incarnations[0].steps);
        assert_true(r->replay->nodes[i].incarnations[0].steps > 1000);
    }
    return r;
}

/* Whether every receive of a node's frame stands behind its send, and no time before the one before it. */
struct order {
    uint64_t sent[NODES + 1];
    int64_t time;
    size_t receives;
};

static void see(void *context, const qrt_event *e, uint64_t number) {
    struct order *o = context;
    (void)number;
    uint64_t from = e->link >> 40, count = e->link & 0xffffffffff;
    assert_true(e->time >= o->time);
    o->time = e->time;
    if (e->kind == QRT_KIND_SEND) o->sent[e->node] = count;
    if (e->kind != QRT_KIND_RECEIVE || from > NODES) return;
    assert_true(count <= o->sent[from]);
    o->receives++;
}

static void assert_ordered(int64_t first, int64_t second, int64_t third) {
    struct order order = {.time = INT64_MIN};
    struct error e = {0};
    capture_apart(first, second, third);
    struct capture_replay *r = capture_replay_new(folder, NULL, &e);
    assert_non_null(r);
    r->replay->sink = (struct trace_sink){UINT64_MAX, see, &order};
    while (!capture_replay_run(r, 1000000)) continue;
    capture_replay_free(r);
    assert_true(order.receives > 1000);
    r = replayed();
    const struct history *h = &r->replay->history.history;
    size_t told = 0;
    for (size_t i = 0; i < h->count; i++) told += h->operations[i].outcome == HISTORY_OK;
    assert_true(told > 250);
    assert_int_equal(r->replay->unsent, 0);
    assert_null(r->replay->history.spoilt);
    assert_int_equal(captures_judged(h), VERDICT_OK);
    capture_replay_free(r);
}

/* Clocks that agree, that are apart by less than a message takes, by seconds, in each direction. */
static void test_capture_clocks_apart(void **state) {
    static const int64_t ahead[][NODES] = {
        {0, 0, 0}, {0, MS / 2, -MS / 3}, {0, 3 * SECOND, -2 * SECOND}, {-4 * SECOND, 0, 4 * SECOND}};
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
        captures_setup(state);
        assert_ordered(ahead[i][0], ahead[i][1], ahead[i][2]);
        captures_teardown(state);
    }
}

/* An hour is too much to wait for: it is counted, and nothing is said of the history. */
static void test_capture_clocks_an_hour_apart(void **state) {
    (void)state;
    capture_apart(0, 3600 * SECOND, 0);
    struct capture_replay *r = replayed();
    assert_true(r->replay->unsent > 100);
    capture_replay_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capture_clocks_apart),
        cmocka_unit_test_setup_teardown(test_capture_clocks_an_hour_apart, captures_setup, captures_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
