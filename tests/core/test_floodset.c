/* FloodSet and its rounds: the synchroniser's arithmetic, the message count, crashes in the middle of every broadcast, nodes
 * that come back, and what happens outside of the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/campaign.h"
#include "protocol/rounds.h"
#include "support/steps.h"

#define MS INT64_C(1000000)

/* A message sent at a round's beginning and delayed by the bound reaches a node that began one bound earlier before that
 * node's same round ends. */
static void test_rounds_outlast_the_bound(void **unused) {
    (void)unused;
    struct rounds early, late;
    rounds_begin(&early, 1000, 50, 3);
    rounds_begin(&late, 1050, 50, 3);
    for (uint32_t round = 1; round <= 3; round++) {
        int64_t sent = 1050 + (int64_t)(round - 1) * late.length;
        assert_true(rounds_left(&early, sent + 50) > 0); /* it is still in that round */
        assert_int_equal(early.round, round);
        assert_false(rounds_over(&early));
        assert_false(rounds_advance(&early, 1000 + (int64_t)round * early.length - 1));
        assert_true(rounds_advance(&early, 1000 + (int64_t)round * early.length));
        assert_true(rounds_late(&early, round) && !rounds_late(&early, round + 1));
    }
    assert_true(rounds_over(&early));
    assert_int_equal(rounds_left(&late, INT64_MAX / 2), 0);
}

static int64_t now_of(struct cluster *c) {
    return c->class->now(c->runtime);
}

static void run(struct cluster *c, int64_t ns) {
    c->class->run(c->runtime, now_of(c) + ns, &(struct condition){0}, 0);
}

static void fault(struct cluster *c, const char *json) {
    struct directive d;
    struct plan plan = {0};
    struct error e = {0};
    if (directive_parse(&d, bytes_text(json), (uint16_t)c->config.options.nodes, &e)) fail_msg("%s: %s", json, e.text);
    plan_add(&plan, &d);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
}

static uint64_t propose(struct cluster *c, uint16_t node, const char *value) {
    struct error e = {0};
    uint64_t ticket = 0;
    if (cluster_propose(c, node, bytes_text(value), &ticket, &e)) fail_msg("%s", e.text);
    return ticket;
}

static void expect_told(struct cluster *c, uint64_t ticket, const char *value) {
    struct error e = {0};
    qrt_result r;
    cluster_await(c, ticket, now_of(c) + 1000 * MS, 0, &r, &e);
    if (r.status) fail_msg("%s", e.text);
    if (r.size != strlen(value) || memcmp(r.data, value, r.size))
        fail_msg("told %.*s, not %s", (int)r.size, (const char *)r.data, value);
}

/* Lynch 1996, 6.2: f + 1 rounds in which everybody speaks to everybody; the least value is decided, by all. */
static void test_floodset_message_count_and_minimum(void **unused) {
    (void)unused;
    for (unsigned n = 2; n <= 7; n++)
        for (unsigned f = 0; f < 3 && f < n; f++) {
            char options[64], value[16];
            snprintf(options, sizeof options, "nodes=%u faults=%u bound=1ms", n, f);
            struct cluster *c = steps_cluster("floodset", options);
            uint64_t last = 0;
            for (unsigned node = n; node >= 1; node--) {
                snprintf(value, sizeof value, "v%u", 9 - node);
                last = propose(c, (uint16_t)node, value);
            }
            snprintf(value, sizeof value, "v%u", 9 - n);
            expect_told(c, last, value);
            run(c, 20 * MS);
            assert_int_equal(steps_traced(c, QRT_KIND_SEND, WIRE_FLOOD, WIRE_FLOOD), (f + 1) * n * (n - 1));
            assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), n);
            steps_expect_sound(c);
            cluster_free(c);
        }
}

/* A proposal at one node wakes all others, at the same cost. */
static void test_floodset_one_proposer_wakes_all(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("floodset", "nodes=5 faults=1 bound=1ms");
    expect_told(c, propose(c, 3, "only"), "only");
    run(c, 20 * MS);
    assert_int_equal(steps_traced(c, QRT_KIND_SEND, WIRE_FLOOD, WIRE_FLOOD), 2 * 5 * 4);
    assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), 5);
    expect_told(c, propose(c, 1, "next"), "next");
    steps_expect_sound(c);
    cluster_free(c);
}

static bool disagrees(struct cluster *c) {
    size_t count;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].name, "agreement")) return p[i].verdict == VERDICT_VIOLATED;
    return false;
}

/* The node with the least value dies in the middle of its broadcast, behind each of its effects. */
static bool crashes_disagree(const char *options, int effects) {
    bool seen = false;
    for (int k = 0; k <= effects; k++) {
        char crash[80];
        struct cluster *c = steps_cluster("floodset", options);
        for (uint16_t node = 2; node <= 4; node++) propose(c, node, "much");
        snprintf(crash, sizeof crash, "{\"do\": \"crash\", \"node\": 1, \"effect\": %d}", k);
        fault(c, crash);
        propose(c, 1, "least");
        run(c, 50 * MS);
        seen = seen || disagrees(c);
        cluster_free(c);
    }
    return seen;
}

/* f + 1 rounds stand f crashes, wherever they fall; f rounds do not. */
static void test_floodset_needs_one_round_more_than_faults(void **unused) {
    (void)unused;
    assert_false(crashes_disagree("nodes=4 faults=1 bound=1ms", 12));
    assert_true(crashes_disagree("nodes=4 faults=0 bound=1ms", 12));
}

/* A value that only dying nodes knew is lost with them, and the instance ends void for all; whoever waits proposes again. */
static void test_floodset_a_void_instance_is_followed_by_the_next(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("floodset", "nodes=3 faults=2 bound=1ms jitter=0");
    fault(c, "{\"do\": \"crash\", \"node\": 2, \"effect\": 2}"); /* it wakes n3, and dies with the value */
    fault(c, "{\"do\": \"crash\", \"node\": 1, \"effect\": 1}"); /* its broadcast reaches n2 only */
    propose(c, 1, "lost");
    run(c, 50 * MS);
    assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), 0);
    assert_int_equal(steps_traced(c, QRT_KIND_NOTE, 2, 2), 1);
    expect_told(c, propose(c, 3, "alone"), "alone");
    steps_expect_sound(c);
    cluster_free(c);
}

/* A node that comes back listens first: it stays out of what began before, and takes part in what comes then. */
static void test_floodset_a_returning_node_abstains(void **unused) {
    (void)unused;
    struct cluster *c = steps_cluster("floodset", "nodes=3 faults=1 bound=5ms");
    struct node_view v;
    propose(c, 1, "first");
    run(c, 2 * MS);
    fault(c, "{\"do\": \"crash\", \"node\": 3}");
    fault(c, "{\"do\": \"restart\", \"node\": 3}");
    c->class->view(c->runtime, 3, &v);
    assert_int_equal(v.status.role, QRT_ROLE_RECOVERING);
    run(c, 60 * MS);
    assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), 2);
    c->class->view(c->runtime, 3, &v);
    assert_int_equal(v.status.role, QRT_ROLE_FOLLOWER);
    assert_int_equal(v.status.first, 2);
    expect_told(c, propose(c, 3, "second"), "second");
    run(c, 20 * MS);
    assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), 5);
    steps_expect_sound(c);
    cluster_free(c);
}

/* Outside of the model: both sides of a partition decide by themselves, always; under loss some runs disagree. */
static void test_floodset_disagrees_outside_of_its_model(void **unused) {
    (void)unused;
    int lossy = 0;
    for (unsigned seed = 1; seed <= 200; seed++) {
        char options[80];
        snprintf(options, sizeof options, "nodes=4 faults=1 bound=1ms seed=%u", seed);
        struct cluster *c = steps_cluster("floodset", options);
        fault(c, seed <= 20 ? "{\"do\": \"partition\", \"groups\": [[1, 2], [3, 4]]}"
                            : "{\"do\": \"loss\", \"probability\": 0.3}");
        propose(c, 1, "a");
        propose(c, 2, "b");
        propose(c, 3, "c");
        propose(c, 4, "d");
        run(c, 20 * MS);
        if (seed <= 20) assert_true(disagrees(c));
        lossy += seed > 20 && disagrees(c);
        cluster_free(c);
    }
    print_message("30 %% loss: %d of 180 runs disagree\n", lossy);
    assert_true(lossy > 0 && lossy < 90);
}

static void flood(struct steps *s, uint16_t from, uint64_t instance, uint32_t round, const char *value) {
    struct message m = {.kind = WIRE_FLOOD};
    m.as.flood.instance = instance;
    m.as.flood.round = round;
    m.as.flood.knows = value != NULL;
    if (value) m.as.flood.value = bytes_text(value);
    steps_message(s, from, &m);
}

/* Bytes from a peer are validated; a message of a round that is over is not counted, and is noted. */
static void test_floodset_rejects_and_notes(void **unused) {
    (void)unused;
    struct steps *s = steps_new("floodset", 1, 3, "faults=1 bound=1ms", 0);
    flood(s, 2, 0, 1, "x");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    flood(s, 2, 1, 3, "x");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    flood(s, 9, 1, 1, "x");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    flood(s, 2, 1, 1, "x"); /* wakes it */
    assert_int_equal(steps_count_sent(s, WIRE_FLOOD), 2);
    assert_int_equal(steps_sent(s, WIRE_FLOOD, 0).as.flood.knows, 0);
    s->mono = rounds_length(MS);
    steps_timer(s, 1);
    assert_int_equal(steps_sent(s, WIRE_FLOOD, 0).as.flood.round, 2);
    flood(s, 3, 1, 1, "a");
    assert_int_equal(steps_count_noted(s, QRT_KIND_NOTE), 1);
    s->mono = 2 * rounds_length(MS);
    steps_timer(s, 1);
    assert_int_equal(steps_count_noted(s, QRT_KIND_DECIDE), 1);
    struct entry entry;
    assert_true(s->protocol->entry(s->state, 1, &entry) && bytes_equal(entry.data, bytes_text("x")));
    steps_free(s);
}

/* Nodes that came back may begin a third instance while two are under way here. Whoever has missed the beginning of one
 * stays out of it for good: begun late, it would decide without the others' values (seed 7606 of the default campaign). */
static void test_floodset_stays_out_of_a_third_instance(void **unused) {
    (void)unused;
    struct steps *s = steps_new("floodset", 1, 3, "faults=1 bound=1ms", 0);
    flood(s, 2, 1, 1, "a");
    flood(s, 2, 2, 1, "b");
    flood(s, 3, 3, 1, "c");
    assert_int_equal(steps_count_sent(s, WIRE_FLOOD), 0);
    assert_int_equal(steps_count_noted(s, QRT_KIND_NOTE), 1);
    for (int round = 1; round <= 2; round++) {
        s->mono = round * rounds_length(MS);
        steps_timer(s, 1);
        steps_timer(s, 0);
    }
    steps_propose(s, 1, "d");
    assert_int_equal(steps_sent(s, WIRE_FLOOD, 0).as.flood.instance, 4);
    flood(s, 3, 3, 2, "c");
    assert_int_equal(steps_count_noted(s, QRT_KIND_NOTE), 1);
    steps_free(s);
}

/* Default seeds crash up to f nodes in the middle of broadcasts, and never disagree. */
static void test_floodset_campaign_is_clean(void **unused) {
    (void)unused;
    struct draw_request request = {protocol_find("floodset"), 0, "", NULL, 10000, false, false};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct run_spec spec;
        struct error e = {0};
        spec_draw(&spec, &request, seed);
        struct runner *r = runner_new(&spec, false, &e);
        if (!r) fail_msg("%s", e.text);
        runner_step(r, 0);
        if (r->result.verdict != RUN_OK) fail_msg("seed %llu: %s", (unsigned long long)seed, r->result.text);
        runner_free(r, NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_outlast_the_bound),
        cmocka_unit_test(test_floodset_message_count_and_minimum),
        cmocka_unit_test(test_floodset_one_proposer_wakes_all),
        cmocka_unit_test(test_floodset_needs_one_round_more_than_faults),
        cmocka_unit_test(test_floodset_a_void_instance_is_followed_by_the_next),
        cmocka_unit_test(test_floodset_a_returning_node_abstains),
        cmocka_unit_test(test_floodset_disagrees_outside_of_its_model),
        cmocka_unit_test(test_floodset_rejects_and_notes),
        cmocka_unit_test(test_floodset_stays_out_of_a_third_instance),
        cmocka_unit_test(test_floodset_campaign_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
