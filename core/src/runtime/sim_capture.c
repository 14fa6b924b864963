/* Captures of a simulated cluster: the trace is one for all nodes, so its events are dealt out here. */
#include <stdlib.h>

#include "runtime/capture_history.h"
#include "runtime/sim.h"

struct sim_capture {
    struct trace_sink behind;
    uint16_t nodes;
    struct capture *clients;
    struct capture *of[]; /* [1..n] */
};

static void on_event(void *captures, const qrt_event *e, uint64_t number) {
    struct sim_capture *k = captures;
    if (e->node >= 1 && e->node <= k->nodes) capture_event(k->of[e->node], e);
    if (k->behind.event && k->behind.kinds >> e->kind & 1) k->behind.event(k->behind.context, e, number);
}

void sim_capture_begin(struct sim *s) {
    const struct cluster_options *o = &s->config.options;
    if (!*o->capture) return;
    struct sim_capture *k = mem_zero(1, sizeof *k + ((size_t)o->nodes + 1) * sizeof *k->of);
    k->nodes = (uint16_t)o->nodes;
    k->behind = s->trace.sink;
    for (uint16_t i = 1; i <= k->nodes; i++) k->of[i] = capture_open(o->capture, i, o->capture_size);
    k->clients = capture_history_open(o->capture, o->capture_size, &s->history);
    s->trace.sink = (struct trace_sink){UINT64_MAX, on_event, k};
    s->capture = k;
}

struct capture *sim_capture_of(const struct sim *s, uint16_t node) {
    return s->capture ? s->capture->of[node] : NULL;
}

void sim_capture_end(struct sim *s) {
    if (!s->capture) return;
    for (uint16_t i = 1; i <= s->capture->nodes; i++) capture_close(&s->capture->of[i]);
    capture_history_close(&s->capture->clients, &s->history);
    free(s->capture);
    s->capture = NULL;
}
