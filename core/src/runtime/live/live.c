/* A live cluster's beginning and end: what is made in one thread before the others start, and freed after they ended. */
#include "base/stopwatch.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"
#include "runtime/live/live_log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <zmq.h>

#define SPARE_DESCRIPTORS 64 /* for everything else in the process */

int64_t live_now(const struct live *l) {
    return stopwatch_ns() - l->epoch;
}

void live_ring(struct live *l) {
    if (l->agent) {
        agent_ring(l);
        return;
    }
    pthread_mutex_lock(&l->bell_mutex);
    l->rings++;
    pthread_cond_signal(&l->bell);
    pthread_mutex_unlock(&l->bell_mutex);
}

static qrt_status check_config(const struct runtime_config *config, struct error *e) {
    struct rlimit limit;
    uint64_t n = (uint64_t)config->options.nodes;
    if (config->machine->context)
        return error_set(e, QRT_EUNSUPPORTED,
                         "a state machine of your own runs only with runtime=\"sim\": live nodes have "
                         "threads of their own, "
                         "and Python or Lua code is called on none but yours");
    if (getrlimit(RLIMIT_NOFILE, &limit)) return QRT_OK;
    uint64_t need = live_descriptors(&config->options) + SPARE_DESCRIPTORS;
    if (limit.rlim_cur == RLIM_INFINITY || need <= limit.rlim_cur) return QRT_OK;
    return error_set(
        e, QRT_ERANGE,
        "%llu live nodes need about %llu descriptors, and this process may open %llu: raise it (ulimit -n)",
        (unsigned long long)n, (unsigned long long)need, (unsigned long long)limit.rlim_cur);
}

void live_condition(pthread_cond_t *c) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct live *live_empty(const struct runtime_config *config, struct trace_sink sink) {
    struct live *l = mem_zero(1, sizeof *l);
    const struct cluster_options *o = &config->options;
    l->config = *config;
    l->config.plan = NULL;
    l->cluster_id = cluster_options_id(o);
    l->epoch = live_now(l);
    l->nodes = mem_zero((size_t)o->nodes + 1, sizeof *l->nodes);
    l->cpus = mem_zero((size_t)o->nodes + 1, sizeof *l->cpus);
    for (uint16_t i = 0; i < o->nodes; i++) l->members[i] = (uint16_t)(i + 1);
    trace_init(&l->trace, o->record == RECORD_ALL    ? UINT64_MAX
                          : o->record == RECORD_LAST ? (uint64_t)o->record_last
                                                     : 0);
    l->trace.sink = sink;
    l->silent = l->trace.passing = o->record == RECORD_NONE && !sink.kinds && !config->hand;
    journal_init(&l->director.journal, NULL, NULL);
    l->director.journal.silent = l->silent;
    pthread_mutex_init(&l->director.mutex, NULL);
    pthread_mutex_init(&l->fault_mutex, NULL);
    pthread_mutex_init(&l->wipe_mutex, NULL);
    pthread_mutex_init(&l->ticket_mutex, NULL);
    pthread_mutex_init(&l->bell_mutex, NULL);
    live_condition(&l->director.changed);
    live_condition(&l->bell);
    clients_init(&l->clients);
    l->faults = faults_new(NULL, (uint64_t)o->seed, (uint16_t)o->nodes);
    live_fault_add(l, config->plan, 0);
    atomic_store(&l->calm, faults_calm(l->faults));
    return l;
}

static qrt_status open_actor(struct live *l, struct actor *a, uint16_t id, struct error *e) {
    qrt_status status = actor_init(a, l, id, NULL, NULL, -1, e);
    return status ? status : actor_bind(a, -1, e);
}

static qrt_status open_sockets(struct live *l, struct error *e) {
    uint16_t n = live_node_count(l);
    qrt_status status = live_context(l, (n + 1) * (n + 2) + 16, e);
    if (!status) status = open_actor(l, &l->clients.actor, 0, e);
    for (uint16_t i = 1; i <= n && !status; i++) {
        status = open_actor(l, &l->nodes[i].actor, i, e);
        node_init(&l->nodes[i]);
    }
    for (uint16_t i = 1; i <= n && !status; i++) status = actor_connect(&l->nodes[i].actor, e);
    return status ? status : actor_connect(&l->clients.actor, e);
}

/* Signals are for the threads that the process had before: Ctrl-C must find Python's. */
qrt_status live_thread(pthread_t *thread, bool *running, void *(*body)(void *), void *self, const char *name,
                       struct error *e) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(thread, NULL, body, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number) return error_set(e, QRT_EIO, "the system gives no thread for %s: %s", name, strerror(number));
    *running = true;
    pthread_setname_np(*thread, name);
    return QRT_OK;
}

static qrt_status start_threads(struct live *l, struct error *e) {
    char name[16];
    struct actor *c = &l->clients.actor;
    qrt_status status = live_thread(&c->thread, &c->running, clients_main, &l->clients, "qrt-clients", e);
    for (uint16_t i = 1; i <= live_node_count(l) && !status && !l->keeper; i++) {
        struct actor *a = &l->nodes[i].actor;
        snprintf(name, sizeof name, "qrt-n%u", i);
        status = live_thread(&a->thread, &a->running, node_main, &l->nodes[i], name, e);
    }
    struct director *d = &l->director;
    if (!status) status = live_thread(&d->thread, &d->running, director_main, l, "qrt-director", e);
    return status;
}

static qrt_status start_nodes(struct live *l, struct error *e) {
    qrt_status status = open_sockets(l, e);
    if (!status) status = live_disks(l, e);
    for (uint16_t i = 1; i <= live_node_count(l) && !status; i++) {
        status = node_start(&l->nodes[i], e);
        if (!status) node_publish(&l->nodes[i]);
    }
    return status;
}

void *live_new(const struct runtime_config *config, struct trace_sink sink, struct error *e) {
    struct error ignored;
    if (!e) e = &ignored;
    if (check_config(config, e)) return NULL;
    if (config->hand) return config->hand->self ? hand_new(config, sink, e) : remote_new(config, sink, e);
    struct live *l = live_empty(config, sink);
    qrt_status status = log_open_named(l, 0, e);
    if (!status) status = live_apart(l) ? keeper_start(l, e) : start_nodes(l, e);
    if (!status) clients_capture(&l->clients);
    if (!status) status = start_threads(l, e);
    if (!status && !l->keeper) status = metrics_start(l, 1, live_node_count(l), config->options.metrics, e);
    if (!status) return l;
    live_free(l);
    return NULL;
}

static void actor_stop(struct actor *a) {
    if (!a->running) return;
    struct order quit = {.kind = ORDER_QUIT};
    order_wait(a, &quit);
    pthread_join(a->thread, NULL);
    a->running = false;
}

/* The director first: it waits for orders that only running nodes carry out. */
static void stop_threads(struct live *l) {
    struct director *d = &l->director;
    if (d->running) {
        atomic_store(&d->quit, true);
        director_enter(l);
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->mutex);
        pthread_join(d->thread, NULL);
    }
    actor_stop(&l->clients.actor);
    for (uint16_t i = 1; i <= live_node_count(l); i++) actor_stop(&l->nodes[i].actor);
}

void live_free(void *runtime) {
    struct live *l = runtime;
    metrics_stop(l);
    stop_threads(l);
    if (!l->hand && l->clients.actor.inbox) doorman_leave(l, l->clients.actor.inbox);
    clients_free(&l->clients);
    if (l->hand) hand_leave(l);
    hand_free(l);
    remote_free(l);
    keeper_stop(l);
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        if (!l->nodes[i].host.port) store_free(&l->nodes[i].host.store); /* opened, never started */
        node_free(&l->nodes[i]);
    }
    if (l->context) zmq_ctx_term(l->context);
    free(l->owed);
    journal_free(&l->director.journal);
    pthread_mutex_destroy(&l->director.mutex);
    pthread_cond_destroy(&l->director.changed);
    pthread_mutex_destroy(&l->fault_mutex);
    pthread_mutex_destroy(&l->wipe_mutex);
    pthread_mutex_destroy(&l->ticket_mutex);
    pthread_mutex_destroy(&l->bell_mutex);
    pthread_cond_destroy(&l->bell);
    faults_free(l->faults);
    tickets_free(&l->tickets);
    buffer_free(&l->fault_log);
    buffer_free(&l->answer);
    trace_free(&l->trace);
    history_free(&l->history);
    log_close(l);
    free(l->nodes);
    free(l->cpus);
    free(l);
}
