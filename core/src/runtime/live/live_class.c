/* The live runtime behind the table that every runtime offers. All calls come from the one thread that has the handle. */
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/live/live_load.h"

static int64_t now(void *runtime) {
    return live_now(runtime);
}

static uint16_t leader(void *runtime) {
    return live_leader(runtime);
}

static uint64_t memory_of(int32_t pid) {
    char path[32];
    unsigned long long pages, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%llu %llu", &pages, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void view(void *runtime, uint16_t node, struct node_view *v) {
    struct live_node *n = &((struct live *)runtime)->nodes[node];
    bool afar = ((struct live *)runtime)->remote != NULL;
    robust_lock(&n->shown->mutex);
    *v = n->shown->view;
    if (!afar) v->metrics_port = n->shown->meters.port;
    pthread_mutex_unlock(&n->shown->mutex);
    if (afar || !live_apart(runtime)) return; /* from afar: the node itself has said it */
    v->memory = memory_of(v->pid);
    v->memory_budget = live_budget(runtime);
}

static bool cut(void *runtime, uint16_t from, uint16_t to) {
    return live_cut(runtime, from, to);
}

/* The node's thread writes the fields down; the caller's function is called on the caller's thread. */
static bool inspect(void *runtime, uint16_t node, inspect_fn *field, void *context) {
    struct live *l = runtime;
    struct order o = {.kind = ORDER_INSPECT};
    if (l->remote) return remote_inspect(l, node, field, context);
    live_order(l, node, &o);
    for (size_t at = 0; at < o.data.size;) {
        const char *name = (char *)o.data.data + at, *value = name + strlen(name) + 1;
        field(context, name, value);
        at += strlen(name) + strlen(value) + 2;
    }
    buffer_free(&o.data);
    return o.status == QRT_OK;
}

/* An order that has a ticket: a proposal, or a load of them. */
static qrt_status give(struct live *l, uint16_t node, uint8_t kind, struct bytes data, uint64_t *ticket) {
    struct node_view v;
    if (l->remote) return remote_propose(l, data, ticket);
    view(l, node, &v);
    if (!v.up || v.paused) return QRT_EDOWN;
    struct order *o = mem_zero(1, sizeof *o);
    o->kind = kind;
    buffer_append(&o->data, data.data, data.size);
    pthread_mutex_lock(&l->ticket_mutex);
    *ticket = o->ticket = tickets_add(&l->tickets, node, live_now(l));
    pthread_mutex_unlock(&l->ticket_mutex);
    if (l->keeper)
        process_give(l, node, o);
    else
        order_give(&l->nodes[node].actor, o);
    return QRT_OK;
}

static qrt_status propose(void *runtime, uint16_t node, struct bytes data, uint64_t *ticket) {
    return give(runtime, node, ORDER_PROPOSE, data, ticket);
}

qrt_status live_load(void *runtime, uint16_t node, const struct load_spec *s, uint64_t *ticket) {
    if (!s->window || !s->count || s->count > LOAD_COUNT_MAX || s->size > LOAD_SIZE_MAX || s->interval < 0)
        return QRT_ERANGE;
    return give(runtime, node, ORDER_LOAD, bytes_of(s, sizeof *s), ticket);
}

static bool ticket(void *runtime, uint64_t number, struct ticket *out, struct bytes *data) {
    struct live *l = runtime;
    pthread_mutex_lock(&l->ticket_mutex);
    const struct ticket *t = tickets_at(&l->tickets, number);
    buffer_clear(&l->answer);
    if (t) {
        *out = *t;
        if (t->data_size) buffer_append(&l->answer, l->tickets.arena.data + t->data, t->data_size);
    }
    pthread_mutex_unlock(&l->ticket_mutex);
    *data = bytes_of(l->answer.data, l->answer.size);
    return t != NULL;
}

static uint16_t client(void *runtime, const struct workload *w, uint64_t operations) {
    struct live *l = runtime;
    uint16_t id = (uint16_t)(QRT_CLIENT + 1 + l->client_count++);
    struct order o = {.kind = ORDER_CLIENT, .client = id, .workload = w, .operations = operations};
    order_wait(&l->clients.actor, &o);
    return id;
}

static qrt_status submit(void *runtime, uint16_t id, uint8_t operation, struct bytes command, uint64_t *number) {
    struct live *l = runtime;
    struct order o = {.kind = ORDER_SUBMIT, .client = id, .detail = operation};
    buffer_append(&o.data, command.data, command.size);
    order_wait(&l->clients.actor, &o);
    buffer_free(&o.data);
    *number = o.ticket;
    return o.status;
}

/* Only of nodes by hand it may be that none is reached. */
static void withdraw(void *runtime, uint64_t number) {
    struct live *l = runtime;
    struct ticket t;
    struct bytes data;
    if (!l->remote || !ticket(l, number, &t, &data) || t.done) return;
    struct order o = {.kind = ORDER_WITHDRAW, .client = t.node, .ticket = number};
    order_wait(&l->clients.actor, &o);
}

static void stop_clients(void *runtime) {
    struct order o = {.kind = ORDER_STOP};
    order_wait(&((struct live *)runtime)->clients.actor, &o);
}

/* What is due at once has been done when this returns. */
static qrt_status fault(void *runtime, const struct plan *plan, struct error *e) {
    struct live *l = runtime;
    if (l->remote) return remote_fault(l, plan, e);
    director_enter(l);
    live_fault_add(l, plan, live_now(l));
    director_tick(l);
    pthread_cond_signal(&l->director.changed);
    pthread_mutex_unlock(&l->director.mutex);
    return QRT_OK;
}

static const struct trace *trace_of(void *runtime) {
    struct live *l = runtime;
    live_merge(l, true);
    return &l->trace;
}

static const struct history *history_of(void *runtime) {
    struct live *l = runtime;
    history_free(&l->history);
    pthread_mutex_lock(&l->clients.mutex);
    history_clone(&l->history, &l->clients.history);
    pthread_mutex_unlock(&l->clients.mutex);
    return &l->history;
}

static void counts_add(struct runtime_counts *sum, const struct runtime_counts *c) {
    sum->delivered += c->delivered;
    sum->dropped += c->dropped;
    sum->duplicated += c->duplicated;
    sum->corrupted += c->corrupted;
    sum->lied += c->lied;
    sum->reordered += c->reordered;
    sum->crashes += c->crashes;
    sum->restarts += c->restarts;
    sum->pauses += c->pauses;
    sum->wipes += c->wipes;
    sum->raised += c->raised;
    sum->torn += c->torn;
    sum->faults += c->faults;
    sum->late += c->late;
    sum->left_out += c->left_out;
    if (c->late_most <= sum->late_most) return;
    sum->late_most = c->late_most;
    sum->late_verb = c->late_verb;
    sum->late_node = c->late_node;
}

static void counts(void *runtime, struct runtime_counts *out) {
    struct live *l = runtime;
    *out = (struct runtime_counts){0};
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        robust_lock(&l->nodes[i].shown->mutex);
        counts_add(out, &l->nodes[i].shown->counts);
        pthread_mutex_unlock(&l->nodes[i].shown->mutex);
    }
    pthread_mutex_lock(&l->clients.mutex);
    counts_add(out, &l->clients.counts);
    pthread_mutex_unlock(&l->clients.mutex);
    director_enter(l);
    counts_add(out, &l->director.counts);
    pthread_mutex_unlock(&l->director.mutex);
}

/* A running cluster has no one state that a number could stand for. */
static uint64_t fingerprint(void *runtime) {
    (void)runtime;
    return 0;
}

static bool inherited(void *runtime) {
    struct live *l = runtime;
    if (l->remote) return true;
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        if (l->nodes[i].start != QRT_START_FORMAT) return true;
    return false;
}

static void tracebacks(void *runtime, void (*each)(void *context, const char *text), void *context) {
    process_tracebacks(runtime, each, context);
}

const struct runtime_class live_class = {
    "live",       live_new, live_free, NULL,       now,    live_run,    NULL,      leader,
    view,         cut,      inspect,   propose,    ticket, client,      submit,    withdraw,
    stop_clients, fault,    trace_of,  history_of, counts, fingerprint, inherited, tracebacks,
};
