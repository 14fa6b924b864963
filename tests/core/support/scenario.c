#include "support/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/sim.h"

struct cluster *scenario_new(const char *options) {
    return scenario_new_of("raft", options);
}

struct cluster *scenario_new_of(const char *protocol, const char *options) {
    struct setting settings[32];
    struct error e = {0};
    size_t count = 0;
    char *text = mem_string(options);
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        char *value = strchr(word, '=');
        assert_true(value && count < 32);
        *value++ = 0;
        settings[count++] = (struct setting){word, value};
    }
    struct cluster *c = cluster_new(protocol, settings, count, NULL, &e);
    if (!c) fail_msg("%s %s: %s", protocol, options, e.text);
    free(text);
    return c;
}

void scenario_run(struct cluster *c, int64_t ns) {
    struct error e;
    assert_int_equal(cluster_run(c, scenario_now(c) + ns, NULL, 0, &e), QRT_OK);
}

void scenario_fault(struct cluster *c, const char *format, ...) {
    char text[512];
    struct directive d;
    struct plan plan = {0};
    struct error e = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (directive_parse(&d, bytes_text(text), (uint16_t)c->config.options.nodes, &e)) fail_msg("%s: %s", text, e.text);
    plan_add(&plan, &d);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
}

void scenario_plan(struct cluster *c, const char *json) {
    struct plan plan = {0};
    struct error e = {0};
    if (plan_parse(&plan, bytes_text(json), (uint16_t)c->config.options.nodes, &e)) fail_msg("%s: %s", json, e.text);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
}

void scenario_load(struct cluster *c, const char *json) {
    struct workload w;
    struct error e = {0};
    workload_standard(&w, c->config.machine->name);
    if (workload_parse(&w, bytes_text(json), &e) || cluster_load(c, &w, &e)) fail_msg("%s: %s", json, e.text);
}

uint16_t scenario_leader(struct cluster *c) {
    struct error e = {0};
    uint16_t leader = 0;
    if (cluster_run(c, scenario_now(c) + 5 * SECOND, "leader", 0, &e) || cluster_leader(c, &leader, &e))
        fail_msg("%s", e.text);
    return leader;
}

qrt_status scenario_propose(struct cluster *c, const char *value, struct error *e) {
    uint64_t ticket = 0;
    qrt_result r = {0};
    *e = (struct error){0};
    qrt_status s = cluster_propose(c, 0, bytes_text(value), &ticket, e);
    if (s) return s;
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + 5 * SECOND, 0, &r, e), QRT_OK);
    return r.status;
}

int64_t scenario_now(struct cluster *c) {
    return c->class->now(c->runtime);
}

uint64_t scenario_hash(struct cluster *c) {
    return trace_hash(scenario_trace(c));
}

uint64_t scenario_fingerprint(struct cluster *c) {
    return c->class->fingerprint(c->runtime);
}

struct node_view scenario_node(struct cluster *c, uint16_t node) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    return v;
}

const struct trace *scenario_trace(struct cluster *c) {
    return c->class->trace(c->runtime);
}

uint64_t scenario_events(struct cluster *c, uint16_t node, uint8_t kind, uint8_t detail) {
    const struct trace *t = scenario_trace(c);
    uint64_t count = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        count += e->node == node && e->kind == kind && e->detail == detail;
    }
    return count;
}

void scenario_expect_sound(struct cluster *c, const char *story) {
    struct error e = {0};
    assert_int_equal(cluster_check(c, 10, (size_t)256 << 20, 0, &e), QRT_OK);
    if (c->verdict != VERDICT_OK) fail_msg("%s: %s", story, (const char *)c->report.data);
}

void scenario_step_soundly(struct cluster *c, int events) {
    struct sim *sim = c->runtime;
    struct error e = {0};
    for (int event = 0; event < events; event++) {
        c->class->step(c->runtime, 1);
        for (uint16_t node = 1; node <= c->config.options.nodes; node++) {
            const struct instance *in = &sim->nodes[node].host.instances[0];
            if (sim->nodes[node].host.up && !in->protocol->invariants(in->state, &e))
                fail_msg("n%u after %d events: %s", node, event + 1, e.text);
        }
    }
}
