#include "cluster/runner.h"

#include "base/stopwatch.h"
#include "check/atomic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_EVENTS 512 /* how often a run looks at its verdicts and at the clock */
#define CHECK_SECONDS 5
#define CHECK_MEMORY ((size_t)128 << 20)

static struct trace_sink wrap(void *context, struct trace_sink checkers) {
    struct coverage *c = context;
    coverage_init(c, checkers);
    return coverage_sink(c);
}

static int64_t plan_end(const struct plan *p, int64_t least) {
    int64_t end = least;
    for (size_t i = 0; i < p->count; i++) {
        const struct directive *d = &p->directives[i];
        if (d->at > end) end = d->at;
        if (d->timing == FAULT_DURING && d->until != INT64_MAX && d->until > end) end = d->until;
    }
    return end;
}

struct runner *runner_new(struct run_spec *spec, bool keep, struct error *e) {
    return runner_new_of(spec, NULL, keep, e);
}

struct runner *runner_new_of(struct run_spec *spec, const struct protocol *own, bool keep, struct error *e) {
    struct runner *r = mem_zero(1, sizeof *r);
    struct setting settings[RUN_SETTINGS_MAX + 1];
    r->spec = *spec;
    *spec = (struct run_spec){0};
    for (size_t i = 0; i < r->spec.settings; i++) settings[i] = (struct setting){r->spec.names[i], r->spec.values[i]};
    settings[r->spec.settings] = (struct setting){"record", keep ? "all" : "none"};
    struct cluster_extras extras = {&r->spec.plan, wrap, &r->coverage, own};
    r->cluster = cluster_new_with(r->spec.protocol, settings, r->spec.settings + 1, NULL, &extras, e);
    if (!r->cluster || cluster_load(r->cluster, &r->spec.workload, e)) {
        runner_free(r, NULL);
        return NULL;
    }
    r->phase = RUN_FAULTS;
    r->end = plan_end(&r->spec.plan, 10 * r->spec.election_timeout) + r->spec.election_timeout;
    r->result.nodes = (uint16_t)r->cluster->config.options.nodes;
    r->result.clients = (uint16_t)r->spec.workload.clients;
    r->result.broken = assumption_broken(&r->spec.plan, r->cluster->config.protocol->model);
    return r;
}

void runner_free(struct runner *r, struct cluster **cluster) {
    if (cluster)
        *cluster = r->cluster;
    else
        cluster_free(r->cluster);
    spec_free(&r->spec);
    free(r);
}

static const struct trace *trace_of(struct runner *r) {
    return r->cluster->class->trace(r->cluster->runtime);
}

static int64_t now_of(struct runner *r) {
    return r->cluster->class->now(r->cluster->runtime);
}

/* A chunk of events, but not past `until`. */
static void advance(struct runner *r, int64_t until) {
    struct condition enough = {CONDITION_EVENTS, 0, trace_of(r)->count + CHUNK_EVENTS};
    r->cluster->class->run(r->cluster->runtime, until, &enough, 0);
}

static void do_now(struct runner *r, uint8_t verb, uint16_t node) {
    struct directive d = {.verb = verb, .timing = FAULT_AT, .target = FAULT_NODE, .node = node, .effect = -1};
    struct plan p = {0};
    plan_add(&p, &d);
    r->cluster->class->fault(r->cluster->runtime, &p, NULL);
    plan_free(&p);
}

/* What keeps a node from taking part, inside the fault model. */
static uint8_t stopping_verb(const struct runner *r) {
    return r->cluster->config.protocol->model->tolerates_pause ? FAULT_PAUSE : FAULT_CRASH;
}

/* The core: a quorum of nodes that may vote (of those that come back with their data), by the seed's choice. The rest
 * is frozen. Nobody else is needed for progress, whoever else there is. */
static void heal_core(struct runner *r) {
    const struct fault_model *model = r->cluster->config.protocol->model;
    bool all = !strcmp(model->crashes, "0") || !model->tolerates_pause; /* it needs everybody, or stands no freezing */
    struct quorum_report quorum = quorum_rule_report(&r->cluster->config.quorum);
    uint16_t n = r->result.nodes, core = 0, wanted = quorum.read > quorum.write ? quorum.read : quorum.write;
    if (all) wanted = n;
    struct random random = random_stream(r->spec.seed, 1, RANDOM_PLAN);
    uint16_t order[FAULT_NODES_MAX];
    do_now(r, FAULT_HEAL, 0);
    for (uint16_t i = 1; i <= n; i++) {
        struct node_view v;
        r->cluster->class->view(r->cluster->runtime, i, &v);
        if (v.filled) do_now(r, FAULT_FREE, i); /* only a plan by hand fills disks */
        do_now(r, FAULT_RESUME, i);
        do_now(r, FAULT_RESTART, i);
        order[i - 1] = i;
    }
    for (uint16_t i = 0; i < n; i++) {
        uint64_t j = i + random_below(&random, (uint64_t)(n - i));
        uint16_t node = order[j];
        order[j] = order[i];
        order[i] = node;
    }
    for (int pass = 0; pass < 2; pass++) /* first those with their data, then, if need be, the others */
        for (uint16_t i = 0; i < n; i++) {
            struct node_view v;
            if (!order[i]) continue;
            r->cluster->class->view(r->cluster->runtime, order[i], &v);
            bool votes = v.up && v.status.role != QRT_ROLE_RECOVERING;
            if (core < wanted && (votes || pass)) {
                core++;
                order[i] = 0;
            }
        }
    for (uint16_t i = 0; i < n; i++)
        if (order[i]) do_now(r, stopping_verb(r), order[i]);
}

static void begin_progress(struct runner *r) {
    struct error e;
    heal_core(r);
    r->phase = RUN_PROGRESS;
    r->probe_deadline = now_of(r) + RUN_PROGRESS_TIMEOUTS * r->spec.election_timeout;
    if (cluster_propose(r->cluster, 0, bytes_text("progress"), &r->probe, &e)) r->probe = 0;
}

static void begin_drain(struct runner *r) {
    uint8_t back = stopping_verb(r) == FAULT_CRASH ? FAULT_RESTART : FAULT_RESUME;
    for (uint16_t i = 1; i <= r->result.nodes; i++) do_now(r, back, i);
    r->cluster->class->stop_clients(r->cluster->runtime);
    r->phase = RUN_DRAIN;
    r->deadline = now_of(r) + r->spec.workload.timeout_ns + 20 * r->spec.election_timeout;
}

static bool violated(struct runner *r) {
    return r->cluster->checkers && checkers_violated(r->cluster->checkers);
}

static void in_faults(struct runner *r) {
    if (now_of(r) < r->end)
        advance(r, r->end);
    else
        advance(r, INT64_MAX / 2);
    if (violated(r)) {
        r->phase = RUN_AFTERMATH;
        r->aftermath_end = trace_of(r)->count + RUN_AFTERMATH_EVENTS;
    } else if (now_of(r) >= r->end && trace_of(r)->count >= r->spec.events_min) {
        begin_progress(r);
    }
}

/* The probe may be on its way for longer than one look at it: slow disks. It is lost when its node fell back or was frozen. */
static bool still_led(struct runner *r, const qrt_result *result) {
    qrt_result ended;
    struct error e;
    struct node_view v;
    if (cluster_result(r->cluster, r->probe, &ended, &e) != QRT_MORE) return false;
    if (!r->cluster->config.protocol->leaderless) return r->cluster->class->leader(r->cluster->runtime) == result->node;
    r->cluster->class->view(r->cluster->runtime, result->node, &v);
    return v.up && !v.paused;
}

static void in_progress(struct runner *r) {
    qrt_result result;
    struct error e;
    int64_t begun = now_of(r), step = begun + r->spec.election_timeout / 4;
    if (step > r->probe_deadline) step = r->probe_deadline;
    qrt_status s = cluster_await(r->cluster, r->probe, step, 0, &result, &e);
    if (s == QRT_OK && result.status == QRT_OK) {
        begin_drain(r);
        return;
    }
    if (now_of(r) == begun) r->cluster->class->run(r->cluster->runtime, step, NULL, 0); /* it failed on the spot */
    if (now_of(r) >= r->probe_deadline) {
        r->result.verdict = RUN_STUCK;
        cluster_no_leader(r->cluster, r->result.text, sizeof r->result.text);
        begin_drain(r);
    } else if (s == QRT_OK && result.status != QRT_ENOLEADER && !still_led(r, &result)) { /* propose again */
        if (cluster_propose(r->cluster, 0, bytes_text("progress"), &r->probe, &e)) r->probe = 0;
    }
}

static void in_drain(struct runner *r) {
    struct condition idle = {CONDITION_IDLE, 0, 0};
    struct atomic_counts n;
    r->cluster->class->run(r->cluster->runtime, r->deadline, &idle, 0);
    r->phase = RUN_CHECK;
    if (!atomic_counts_of(r->cluster->checkers, &n) || !n.undecided || r->result.verdict == RUN_STUCK) return;
    int64_t now = now_of(r), next = now + r->spec.election_timeout / 4;
    if (now < r->deadline) { /* nothing fails any more: everybody must come to know every decision */
        advance(r, next < r->deadline ? next : r->deadline);
        r->phase = RUN_DRAIN;
        return;
    }
    r->result.verdict = RUN_STUCK;
    snprintf(r->result.text, sizeof r->result.text,
             "%llu votes still wait for a decision, long after all failures were healed",
             (unsigned long long)n.undecided);
}

static void judge(struct runner *r, const char *name, enum verdict v, int64_t time, const char *text) {
    struct run_result *result = &r->result;
    if (result->property_count == RUN_PROPERTIES_MAX) return;
    size_t i = result->property_count++;
    result->properties[i] = name;
    if (v == VERDICT_UNKNOWN && result->verdict == RUN_OK) result->verdict = RUN_UNKNOWN;
    if (v != VERDICT_VIOLATED) return;
    if (!result->violated || time < result->violated_at) {
        result->violated_at = time;
        snprintf(result->text, sizeof result->text, "%s", text);
    }
    result->violated |= 1u << i;
    result->verdict = RUN_VIOLATED;
}

static void judge_history(struct runner *r) {
    const struct history *h = r->cluster->class->history(r->cluster->runtime);
    struct linear_options options = {.model = LINEAR_KV, .seconds = CHECK_SECONDS, .memory = CHECK_MEMORY};
    struct linear *l = linear_new(h, &options);
    while (!linear_step(l, INT64_MAX)) continue;
    const struct linear_result *v = linear_result(l);
    int64_t time = v->verdict == VERDICT_VIOLATED && v->bad < h->count ? h->operations[v->bad].return_ns : 0;
    judge(r, "linearizability", v->verdict, time, v->explanation);
    for (size_t i = 0; i < h->count; i++)
        if (command_is_read(h->operations[i].function) && h->operations[i].outcome == HISTORY_OK)
            coverage_see(&r->coverage, COVERAGE_READ_SERVED);
    linear_free(l);
}

static void in_check(struct runner *r) {
    size_t count = 0;
    const struct property *p = r->cluster->checkers ? checkers_properties(r->cluster->checkers, &count) : NULL;
    bool stuck = r->result.verdict == RUN_STUCK;
    struct runtime_counts counts;
    for (size_t i = 0; i < count; i++) judge(r, p[i].name, p[i].verdict, p[i].time, p[i].text);
    if (cluster_promises_linearizability(r->cluster)) judge_history(r);
    judge(r, "progress", stuck ? VERDICT_VIOLATED : VERDICT_OK, r->probe_deadline, r->result.text);
    if (stuck && !(r->result.violated & (r->result.violated - 1))) r->result.verdict = RUN_STUCK;
    r->cluster->class->counts(r->cluster->runtime, &counts);
    r->result.faults = counts.faults;
    r->result.events = trace_of(r)->count;
    r->result.hash = trace_hash(trace_of(r));
    r->result.sometimes = r->coverage.seen;
    r->phase = RUN_DONE;
}

bool runner_step(struct runner *r, int64_t slice_ns) {
    int64_t deadline = slice_ns ? stopwatch_ns() + slice_ns : INT64_MAX;
    while (r->phase != RUN_DONE) {
        switch (r->phase) {
        case RUN_FAULTS: in_faults(r); break;
        case RUN_AFTERMATH:
            advance(r, INT64_MAX / 2);
            if (trace_of(r)->count >= r->aftermath_end && now_of(r) >= r->end) r->phase = RUN_CHECK;
            break;
        case RUN_PROGRESS: in_progress(r); break;
        case RUN_DRAIN: in_drain(r); break;
        case RUN_CHECK: in_check(r); break;
        case RUN_DONE: break;
        }
        if (slice_ns && stopwatch_ns() >= deadline) break;
    }
    return r->phase == RUN_DONE;
}
