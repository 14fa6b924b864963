/* The simulator behind the table that every runtime offers. */
#include "runtime/sim.h"
#include "runtime/sim_client.h"

#include <stdio.h>

static void *create(const struct runtime_config *config, struct trace_sink sink, struct error *e) {
    return sim_new(config, sink, e);
}

static void destroy(void *runtime) {
    sim_free(runtime);
}

static void *clone(const void *runtime, const struct runtime_config *config, struct trace_sink sink) {
    struct sim *s = sim_clone(runtime, config);
    s->trace.sink = sink;
    return s;
}

static int64_t now(void *runtime) {
    return ((struct sim *)runtime)->now;
}

static qrt_status run(void *runtime, int64_t until, const struct condition *condition, int64_t slice_ns) {
    return sim_run(runtime, until, condition, slice_ns);
}

static uint64_t step(void *runtime, uint64_t count) {
    uint64_t done = 0;
    while (done < count && sim_step(runtime)) done++;
    return done;
}

static uint16_t leader(void *runtime) {
    return sim_leader(runtime);
}

static void view(void *runtime, uint16_t node, struct node_view *v) {
    struct sim *s = runtime;
    struct sim_node *n = &s->nodes[node];
    *v = (struct node_view){.node = node, .up = n->host.up, .paused = n->paused, .counts = n->host.counts};
    watch_suspects(&n->host, v->suspects);
    if (n->host.up)
        n->host.instances[0].protocol->status(n->host.instances[0].state, &v->status);
    else
        snprintf(v->why_down, sizeof v->why_down, "%s", n->death_text);
    v->status.applied = n->host.instances[0].applied;
    view_damage(&n->host, v);
    v->full = n->host.full;
    v->filled = n->filled;
    if (n->host.store) {
        v->reserve = store_reserve(n->host.store);
        v->skipped = store_skipped(n->host.store);
    }
    capture_view(n->host.capture, v);
}

static bool cut(void *runtime, uint16_t from, uint16_t to) {
    return faults_cut(((struct sim *)runtime)->faults, from, to);
}

static bool inspect(void *runtime, uint16_t node, inspect_fn *field, void *context) {
    const struct host *h = &((struct sim *)runtime)->nodes[node].host;
    if (!h->up) return false;
    h->instances[0].protocol->inspect(h->instances[0].state, field, context);
    return true;
}

static qrt_status propose(void *runtime, uint16_t node, struct bytes data, uint64_t *ticket) {
    struct sim *s = runtime;
    struct sim_node *n = &s->nodes[node];
    if (!n->host.up || n->paused) return QRT_EDOWN;
    *ticket = tickets_add(&s->tickets, node, s->now);
    sim_clock(s, n);
    host_propose(&n->host, 0, data, *ticket);
    sim_node_after(s, n);
    return QRT_OK;
}

static bool ticket(void *runtime, uint64_t number, struct ticket *out, struct bytes *data) {
    struct sim *s = runtime;
    const struct ticket *t = tickets_at(&s->tickets, number);
    if (!t) return false;
    *out = *t;
    *data = bytes_of(s->tickets.arena.data ? s->tickets.arena.data + t->data : NULL, t->data_size);
    return true;
}

static uint16_t client(void *runtime, const struct workload *w, uint64_t operations) {
    return sim_client_add(runtime, w, operations);
}

static qrt_status submit(void *runtime, uint16_t id, uint8_t operation, struct bytes command, uint64_t *number) {
    return sim_client_submit(runtime, id, operation, command, number);
}

static void stop_clients(void *runtime) {
    sim_clients_stop(runtime);
}

static qrt_status fault(void *runtime, const struct plan *plan, struct error *e) {
    struct sim *s = runtime;
    (void)e;
    faults_add(s->faults, plan, s->now);
    if (faults_next(s->faults) <= s->now)
        sim_fault_tick(s);
    else
        sim_faults_changed(s);
    return QRT_OK;
}

static const struct trace *trace_of(void *runtime) {
    return &((struct sim *)runtime)->trace;
}

static const struct history *history_of(void *runtime) {
    return &((struct sim *)runtime)->history;
}

static void counts(void *runtime, struct runtime_counts *out) {
    *out = ((struct sim *)runtime)->counts;
}

static uint64_t fingerprint(void *runtime) {
    return sim_fingerprint(runtime);
}

const struct runtime_class sim_class = {
    "sim",  create, destroy, clone, now,          run,   step,     leader,     view,   cut,         inspect, propose,
    ticket, client, submit,  NULL,  stop_clients, fault, trace_of, history_of, counts, fingerprint, NULL,
};

const struct runtime_class *runtime_find(enum runtime_kind kind) {
    if (kind == RUNTIME_SIM) return &sim_class;
#ifdef QRT_HAVE_LIVE
    if (kind == RUNTIME_LIVE) return &live_class;
#endif
    return NULL;
}
