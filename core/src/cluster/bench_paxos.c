/* Single-decree Paxos with nothing around it: three nodes that are acceptors each, whose messages go through one queue, first in
 * first out, without delays, timers, faults or disk. Drivers, frames, services and the trace's hash are the real ones; both
 * phases of every decision are run, and its learning. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/stopwatch.h"
#include "cluster/bench.h"
#include "runtime/host.h"

enum { NODES = 3, QUEUE = 256, FRAME_MAX = 128 };

struct queued {
    uint16_t to;
    uint32_t size;
    uint8_t bytes[FRAME_MAX];
};

struct world {
    struct host hosts[NODES];
    struct trace trace;
    struct queued queue[QUEUE]; /* a ring */
    uint32_t head, tail;
    uint64_t answers, messages;
};

static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    struct world *w = runtime;
    struct queued *q = &w->queue[w->tail++ % QUEUE];
    (void)h;
    CHECK(w->tail - w->head <= QUEUE && size <= FRAME_MAX);
    q->to = to;
    q->size = size;
    memcpy(q->bytes, frame, size);
    w->messages++;
}

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    (void)runtime, (void)h, (void)group, (void)id, (void)delay;
}

static void port_persist(void *runtime, struct host *h) {
    (void)runtime, (void)h;
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    (void)h;
    ((struct world *)runtime)->answers += a->status == QRT_OK;
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    (void)runtime, (void)h, (void)why, (void)text;
    CHECK(false && "no node of a benchmark dies");
}

static const struct host_port port = {port_send, port_timer, port_persist, port_answer, port_died};

static void drain(struct world *w) {
    while (w->head != w->tail) {
        const struct queued *q = &w->queue[w->head++ % QUEUE];
        host_receive_intact(&w->hosts[q->to - 1], bytes_of(q->bytes, q->size));
    }
}

static struct world *world_new(const void *options) {
    static const uint16_t members[NODES] = {1, 2, 3};
    struct world *w = mem_zero(1, sizeof *w);
    struct error e = {0};
    trace_init(&w->trace, 0);
    for (uint16_t i = 0; i < NODES; i++) {
        struct host_config config = {
            .node = members[i],
            .cluster_id = 1,
            .seed = 1,
            .members = members,
            .member_count = NODES,
            .protocol = protocol_find("paxos"),
            .protocol_options = options,
            .machine = machine_find("register"),
            .sessions_limit = 16,
            .inline_store = true,
        };
        host_init(&w->hosts[i], &config, NULL, &port, w, &w->trace);
        CHECK(host_start(&w->hosts[i], QRT_START_FORMAT, &e) == QRT_OK);
    }
    drain(w);
    return w;
}

static void world_free(struct world *w) {
    for (uint16_t i = 0; i < NODES; i++) host_stop(&w->hosts[i]);
    for (uint16_t i = 0; i < NODES; i++) host_free(&w->hosts[i]);
    trace_free(&w->trace);
    free(w);
}

int64_t bench_paxos_decisions(uint64_t decisions, uint64_t *messages) {
    const struct protocol *paxos = protocol_find("paxos");
    const uint8_t value[16] = "benchmark value";
    void *options = mem_zero(1, paxos->options_size);
    option_defaults(&paxos->options, options);
    struct world *w = world_new(options);
    uint64_t before = w->messages;
    int64_t begin = stopwatch_ns();
    for (uint64_t i = 0; i < decisions; i++) {
        host_propose(&w->hosts[0], 0, bytes_of(value, sizeof value), i + 1);
        drain(w);
    }
    int64_t spent = stopwatch_ns() - begin;
    CHECK(w->answers == decisions);
    *messages = w->messages - before;
    world_free(w);
    free(options);
    return spent;
}
