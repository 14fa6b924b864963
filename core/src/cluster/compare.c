#include "cluster/compare.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster.h"
#include "cluster/values.h"

#define SECOND INT64_C(1000000000)
#define UNIT INT64_C(1000000)   /* what a message takes in the probe */
#define PROBES 40               /* proposals of the probe */
#define PROBE_PAUSE (60 * UNIT) /* between two of them: whatever one has set off is over */
#define RUN_MOST (120 * SECOND)
#define OPTIONS_MAX 32

struct wanted {
    const char *protocol;
    json_int_t nodes, seed, clients, operations;
    struct plan plan;
    struct setting settings[OPTIONS_MAX + 8];
    size_t setting_count;
    char texts[4][24];
};

/* Who did what, from the trace: the coordinator is whoever leads, or else who was proposed to last. */
struct tally {
    struct trace_sink next;
    uint16_t coordinator;
    bool leads;
    uint64_t with_coordinator, among_others; /* messages between nodes */
    uint64_t steps[2], writes[2];            /* [0] of the coordinator, [1] of the others */
};

static void on_event(void *context, const qrt_event *e, uint64_t number) {
    struct tally *t = context;
    bool other = e->node != t->coordinator;
    if (t->next.kinds >> e->kind & 1) t->next.event(t->next.context, e, number);
    if (e->node > QRT_CLIENT) return;
    switch (e->kind) {
    case QRT_KIND_ROLE:
        if (e->detail == QRT_ROLE_LEADER) t->coordinator = e->node, t->leads = true;
        break;
    case QRT_KIND_PROPOSE:
        if (!t->leads) t->coordinator = e->node;
        break;
    case QRT_KIND_SEND:
        if (e->peer > QRT_CLIENT) break;
        if (other && e->peer != t->coordinator)
            t->among_others++;
        else
            t->with_coordinator++;
        break;
    case QRT_KIND_RECEIVE:
    case QRT_KIND_TIMER: t->steps[other]++; break;
    case QRT_KIND_PERSIST: t->writes[other]++; break;
    default: break;
    }
}

static struct trace_sink tally_wrap(void *context, struct trace_sink next) {
    struct tally *t = context;
    uint64_t own = 1u << QRT_KIND_ROLE | 1u << QRT_KIND_PROPOSE | 1u << QRT_KIND_SEND | 1u << QRT_KIND_RECEIVE |
                   1u << QRT_KIND_TIMER | 1u << QRT_KIND_PERSIST;
    *t = (struct tally){.next = next};
    return (struct trace_sink){own | next.kinds, on_event, t};
}

/* ---- what is wanted ---- */

static qrt_status read_number(const json_t *root, const char *name, json_int_t low, json_int_t high, json_int_t *value,
                              struct error *e) {
    const json_t *v = json_object_get(root, name);
    if (!v) return QRT_OK;
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return error_set(e, QRT_ERANGE, "%s must be a whole number from %lld to %lld", name, (long long)low,
                         (long long)high);
    *value = json_integer_value(v);
    return QRT_OK;
}

static qrt_status read_options(struct wanted *w, json_t *options, struct error *e) {
    const char *name;
    json_t *value;
    json_object_foreach(options, name, value) {
        if (!json_is_string(value)) return error_set(e, QRT_ETYPE, "the option '%s' must be given as text", name);
        if (w->setting_count == OPTIONS_MAX)
            return error_set(e, QRT_ERANGE, "there are more than %d options", OPTIONS_MAX);
        w->settings[w->setting_count++] = (struct setting){name, json_string_value(value)};
    }
    return QRT_OK;
}

static qrt_status read_plan(struct wanted *w, const json_t *plan, struct error *e) {
    if (!plan) return QRT_OK;
    char *text = json_dumps(plan, JSON_ENCODE_ANY);
    qrt_status s = plan_parse(&w->plan, bytes_text(text), (uint16_t)w->nodes, e);
    free(text);
    return s;
}

static qrt_status read_wanted(struct wanted *w, json_t *root, struct error *e) {
    qrt_status s;
    *w = (struct wanted){.nodes = 5, .seed = 1, .clients = 4, .operations = 400};
    w->protocol = json_string_value(json_object_get(root, "protocol"));
    if (!w->protocol) return error_set(e, QRT_EINVAL, "a comparison needs the name of a protocol");
    if ((s = read_number(root, "nodes", 1, FAULT_NODES_MAX, &w->nodes, e))) return s;
    if ((s = read_number(root, "seed", 0, INT64_MAX, &w->seed, e))) return s;
    if ((s = read_number(root, "clients", 1, 1000, &w->clients, e))) return s;
    if ((s = read_number(root, "operations", 1, 1000000, &w->operations, e))) return s;
    if ((s = read_options(w, json_object_get(root, "options"), e))) return s;
    return read_plan(w, json_object_get(root, "plan"), e);
}

static struct cluster *make(struct wanted *w, const char *record, struct tally *tally, struct error *e) {
    size_t n = w->setting_count;
    snprintf(w->texts[0], sizeof w->texts[0], "%lld", (long long)w->nodes);
    snprintf(w->texts[1], sizeof w->texts[1], "%lld", (long long)w->seed);
    w->settings[n++] = (struct setting){"nodes", w->texts[0]};
    w->settings[n++] = (struct setting){"seed", w->texts[1]};
    w->settings[n++] = (struct setting){"record", record};
    struct cluster_extras extras = {w->plan.count ? &w->plan : NULL, tally_wrap, tally};
    return cluster_new_with(w->protocol, w->settings, n, NULL, &extras, e);
}

/* ---- the run ---- */

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static json_t *ratio(uint64_t x, uint64_t other) {
    return x + other ? json_real((double)x / (double)(x + other)) : json_null();
}

static void add_ratios(json_t *root, const struct tally *t) {
    uint64_t x = t->with_coordinator;
    json_t *r = json_object();
    json_object_set_new(r, "x/(x+y)", ratio(x, t->among_others));
    json_object_set_new(r, "x/(x+z)", ratio(x, t->steps[0]));
    json_object_set_new(r, "x/(x+w)", ratio(x, t->steps[1]));
    json_object_set_new(r, "x/(x+u)", ratio(x, t->writes[0]));
    json_object_set_new(r, "x/(x+v)", ratio(x, t->writes[1]));
    json_object_set_new(root, "ratios", r);
}

static json_t *seconds_of(const int64_t *times, size_t count, double share) {
    return count ? json_real((double)times[(size_t)((double)(count - 1) * share + 0.5)] / 1e9) : json_null();
}

/* How operations ended, how long they took, and the longest time in which none succeeded. */
static void add_history(json_t *root, const struct history *h) {
    int64_t *latencies = mem_alloc((h->count + 1) * sizeof *latencies),
            *ends = mem_alloc((h->count + 1) * sizeof *ends);
    size_t ok = 0, failed = 0;
    int64_t gap = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        failed += op->outcome == HISTORY_FAILED;
        if (op->outcome != HISTORY_OK) continue;
        latencies[ok] = op->return_ns - op->invoke_ns;
        ends[ok++] = op->return_ns;
    }
    qsort(latencies, ok, sizeof *latencies, compare_times);
    qsort(ends, ok, sizeof *ends, compare_times);
    for (size_t i = 1; i < ok; i++)
        if (ends[i] - ends[i - 1] > gap) gap = ends[i] - ends[i - 1];
    json_object_set_new(root, "operations", json_integer((json_int_t)h->count));
    json_object_set_new(root, "ok", json_integer((json_int_t)ok));
    json_object_set_new(root, "failed", json_integer((json_int_t)failed));
    json_object_set_new(root, "unknown", json_integer((json_int_t)(h->count - ok - failed)));
    json_object_set_new(root, "p50", seconds_of(latencies, ok, 0.5));
    json_object_set_new(root, "p99", seconds_of(latencies, ok, 0.99));
    json_object_set_new(root, "unavailable", json_real((double)gap / 1e9));
    free(latencies);
    free(ends);
}

static void add_traffic(json_t *root, struct cluster *c, const struct tally *t) {
    uint64_t bytes = 0, forced = 0;
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) {
        struct node_view v;
        c->class->view(c->runtime, i, &v);
        bytes += v.counts.bytes_sent;
        forced += v.counts.flushes;
    }
    json_object_set_new(root, "messages", json_integer((json_int_t)(t->with_coordinator + t->among_others)));
    json_object_set_new(root, "bytes", json_integer((json_int_t)bytes));
    json_object_set_new(root, "writes", json_integer((json_int_t)(t->writes[0] + t->writes[1])));
    json_object_set_new(root, "syncs", json_integer((json_int_t)forced));
}

static qrt_status measure_run(struct wanted *w, json_t *root, struct error *e) {
    struct tally tally;
    struct workload load;
    struct condition idle = {CONDITION_IDLE, 0, 0};
    struct cluster *c = make(w, "none", &tally, e);
    if (!c) return e->status;
    workload_standard(&load, c->config.protocol->values ? "values" : "kv");
    load.clients = (uint32_t)w->clients;
    load.operations = (uint64_t)w->operations;
    load.think_ns = 5 * UNIT;
    qrt_status s = cluster_load(c, &load, e);
    if (!s) {
        c->class->run(c->runtime, RUN_MOST, &idle, 0);
        cluster_check(c, 20, 0, 0, e);
        add_history(root, c->class->history(c->runtime));
        add_traffic(root, c, &tally);
        add_ratios(root, &tally);
        json_object_set_new(root, "verdict", json_string(verdict_name(c->verdict)));
        json_object_set_new(root, "hash", hash_value(trace_hash(c->class->trace(c->runtime))));
    }
    cluster_free(c);
    return s;
}

/* ---- the probe ---- */

/* A proposal at the leader, or anywhere where none leads; how long it took, -1 when it came to nothing. */
static int64_t probe_once(struct cluster *c, uint64_t number) {
    qrt_result result;
    struct error e;
    uint64_t ticket;
    char value[32];
    snprintf(value, sizeof value, "probe %llu", (unsigned long long)number);
    if (cluster_propose(c, 0, bytes_text(value), &ticket, &e)) return -1;
    int64_t now = c->class->now(c->runtime);
    qrt_status s = cluster_await(c, ticket, now + PROBE_PAUSE, 0, &result, &e);
    return s == QRT_OK && result.status == QRT_OK ? result.latency_ns : -1;
}

struct counted {
    uint64_t messages, writes;
};

static struct counted counted_now(const struct tally *t) {
    return (struct counted){t->with_coordinator + t->among_others, t->writes[0] + t->writes[1]};
}

static struct counted counted_between(struct counted from, struct counted to) {
    return (struct counted){to.messages - from.messages, to.writes - from.writes};
}

static json_t *each(uint64_t with, uint64_t without) {
    double n = with > without ? (double)(with - without) / PROBES : 0;
    return json_real((double)(int64_t)(n * 100 + 0.5) / 100);
}

/* What a proposal costs beyond what goes on anyway: as much time without proposals is taken off. */
static void probe(struct cluster *c, struct tally *t, json_t *root) {
    struct error e;
    int64_t took[PROBES];
    size_t answered = 0;
    if (c->config.protocol->leaderless)
        cluster_run(c, SECOND, NULL, 0, &e);
    else
        cluster_run(c, 10 * SECOND, "leader", 0, &e);
    int64_t begin = c->class->now(c->runtime) / PROBE_PAUSE * PROBE_PAUSE + 10 * PROBE_PAUSE;
    c->class->run(c->runtime, begin, &(struct condition){0}, 0);
    struct counted start = counted_now(t);
    for (uint64_t i = 0; i < PROBES; i++) {
        int64_t ns = probe_once(c, i);
        if (ns >= 0) took[answered++] = ns;
        c->class->run(c->runtime, begin + (int64_t)(i + 1) * PROBE_PAUSE, &(struct condition){0}, 0);
    }
    struct counted busy = counted_between(start, counted_now(t));
    start = counted_now(t);
    c->class->run(c->runtime, begin + 2 * PROBES * PROBE_PAUSE, &(struct condition){0}, 0);
    struct counted quiet = counted_between(start, counted_now(t));
    qsort(took, answered, sizeof *took, compare_times);
    json_t *o = json_object();
    json_object_set_new(o, "messages", each(busy.messages, quiet.messages));
    json_object_set_new(o, "writes", each(busy.writes, quiet.writes));
    json_object_set_new(o, "delays", answered ? json_real((double)took[answered / 2] / (double)UNIT) : json_null());
    json_object_set_new(root, "proposal", o);
}

static qrt_status measure_probe(struct wanted *w, json_t *root, struct error *e) {
    static const struct setting calm[] = {{"delay", "1ms"}, {"jitter", "1ns"}, {"delay_kind", "constant"},
                                          {"write", "0"},   {"sync", "0"},     {"disk_jitter", "0"}};
    struct tally tally;
    struct wanted plain = *w;
    plain.plan = (struct plan){0};
    for (size_t i = 0; i < sizeof calm / sizeof *calm; i++) {
        if (plain.setting_count == OPTIONS_MAX) return error_set(e, QRT_ERANGE, "there are too many options");
        plain.settings[plain.setting_count++] = calm[i];
    }
    struct cluster *c = make(&plain, "none", &tally, e);
    if (!c) return e->status;
    probe(c, &tally, root);
    cluster_free(c);
    return QRT_OK;
}

qrt_status compare_protocol(struct bytes spec_json, struct buffer *report, struct error *e) {
    json_error_t je;
    struct wanted w = {0};
    json_t *root = json_loadb((const char *)spec_json.data, spec_json.size, JSON_REJECT_DUPLICATES, &je);
    json_t *out = json_object();
    if (!root)
        error_set(e, QRT_EPARSE, "the comparison is no JSON: %s, line %d, column %d", je.text, je.line, je.column);
    qrt_status s = root ? read_wanted(&w, root, e) : QRT_EPARSE;
    if (!s) json_object_set_new(out, "protocol", json_string(w.protocol));
    if (!s) s = measure_run(&w, out, e);
    if (!s) s = measure_probe(&w, out, e);
    char *text = json_dumps(out, 0);
    buffer_clear(report);
    if (!s) buffer_append(report, text, strlen(text));
    free(text);
    json_decref(out);
    json_decref(root);
    plan_free(&w.plan);
    return s;
}
