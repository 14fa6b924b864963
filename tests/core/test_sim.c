/* The simulator: links, partitions, pauses, clocks, timers, forks, and nodes that come back in every state of their disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/sim.h"
#include "support/scenario.h"

#define LOAD "{\"clients\": 4, \"operations\": 0, \"keys\": 6, \"timeout\": 0.5, \"think\": 0.002}"

/* ---- links ---- */

/* How many messages overtook an earlier one of the same link. */
static size_t count_overtakings(struct cluster *c) {
    uint64_t last[16][16] = {{0}};
    size_t overtakings = 0;
    const struct trace *t = scenario_trace(c);
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        if (e->kind != QRT_KIND_RECEIVE) continue;
        size_t from = e->peer & 15, to = e->node & 15;
        if (e->peer >= QRT_CLIENT || e->node >= QRT_CLIENT) continue;
        overtakings += e->link < last[from][to];
        if (e->link > last[from][to]) last[from][to] = e->link;
    }
    return overtakings;
}

/* DESIGN 4: links are first-in first-out, as TCP is, however delays are distributed; unless a plan says reorder. */
static void test_sim_links_keep_order_unless_told_to_reorder(void **unused) {
    (void)unused;
    const char *kinds[] = {"uniform", "normal", "exponential", "pareto"};
    for (int i = 0; i < 4; i++) {
        char options[128];
        snprintf(options, sizeof options, "nodes=3 seed=%d delay_kind=%s delay=3ms jitter=3ms", i + 1, kinds[i]);
        struct cluster *c = scenario_new(options);
        scenario_load(c, LOAD);
        scenario_run(c, SECOND);
        assert_int_equal(count_overtakings(c), 0);
        scenario_fault(c, "{\"do\": \"delay\", \"delay\": {\"exponential\": \"4ms\"}}");
        scenario_fault(c, "{\"do\": \"loss\", \"probability\": 0.05}");
        scenario_run(c, SECOND);
        assert_int_equal(count_overtakings(c), 0);
        scenario_fault(c, "{\"do\": \"reorder\", \"probability\": 0.5, \"spread\": \"20ms\"}");
        scenario_run(c, SECOND);
        assert_true(count_overtakings(c) > 10);
        scenario_expect_sound(c, options);
        cluster_free(c);
    }
}

/* DESIGN 4: a partition drops what is sent or would be delivered while it stands; one way cuts one way only. */
static void test_sim_a_partition_lets_nothing_through(void **unused) {
    (void)unused;
    for (int one_way = 0; one_way < 2; one_way++) {
        struct cluster *c = scenario_new("nodes=5 seed=3 delay=20ms jitter=5ms");
        scenario_leader(c);
        scenario_load(c, LOAD);
        scenario_run(c, SECOND);
        uint64_t begin = scenario_trace(c)->count;
        scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]], \"one_way\": %s}",
                       one_way ? "true" : "false");
        scenario_run(c, 2 * SECOND);
        uint64_t end = scenario_trace(c)->count, crossed = 0, back = 0, dropped = 0;
        for (uint64_t i = begin; i < end; i++) {
            const qrt_event *e = trace_at(scenario_trace(c), i);
            bool nodes = e->node < QRT_CLIENT && e->peer < QRT_CLIENT && e->node && e->peer;
            if (e->kind == QRT_KIND_RECEIVE && nodes) {
                crossed += e->peer <= 2 && e->node > 2;
                back += e->peer > 2 && e->node <= 2;
            }
            dropped += e->kind == QRT_KIND_DROP && e->detail == QRT_DROP_PARTITION;
        }
        assert_int_equal(crossed, 0);
        assert_int_equal(back > 0, one_way);
        assert_true(dropped > 10);
        scenario_fault(c, "{\"do\": \"heal\"}");
        scenario_run(c, SECOND);
        scenario_leader(c);
        struct error e;
        assert_int_equal(scenario_propose(c, "after", &e), QRT_OK);
        scenario_expect_sound(c, "partition");
        cluster_free(c);
    }
}

/* DESIGN 4: a paused node does nothing; its deliveries wait, and come in order when it wakes. */
static void test_sim_a_paused_nodes_deliveries_wait_in_order(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=5");
    uint16_t leader = scenario_leader(c), node = leader % 3 + 1;
    scenario_load(c, LOAD);
    scenario_run(c, SECOND / 2);
    uint64_t begin = scenario_trace(c)->count;
    scenario_fault(c, "{\"do\": \"pause\", \"node\": %u}", node);
    scenario_run(c, SECOND / 2);
    uint64_t resumed = scenario_trace(c)->count, received = scenario_node(c, node).counts.received;
    for (uint64_t i = begin + 2; i < resumed; i++) /* behind the fault and the pause */
        if (trace_at(scenario_trace(c), i)->node == node)
            assert_int_equal(trace_at(scenario_trace(c), i)->kind, QRT_KIND_FAULT);
    scenario_fault(c, "{\"do\": \"resume\", \"node\": %u}", node);
    int64_t now = scenario_now(c);
    scenario_run(c, 0);
    assert_true(scenario_node(c, node).counts.received > received + 10); /* all at once */
    assert_int_equal(scenario_now(c), now);
    scenario_run(c, SECOND / 2);
    assert_int_equal(count_overtakings(c), 0);
    assert_true(scenario_node(c, node).status.commit + 100 > scenario_node(c, scenario_leader(c)).status.commit);
    scenario_expect_sound(c, "pause");
    cluster_free(c);
}

/* A paused node that crashes forgets what waited for it. */
static void test_sim_a_paused_node_can_crash(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=6");
    scenario_leader(c);
    scenario_load(c, LOAD);
    for (int i = 0; i < 20; i++) {
        scenario_fault(c, "{\"do\": \"pause\", \"node\": %d}", i % 3 + 1);
        scenario_run(c, 50 * MS);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"disk\": \"unsynced\"}", i % 3 + 1);
        scenario_fault(c, "{\"do\": \"resume\", \"node\": %d}", i % 3 + 1);
        assert_false(scenario_node(c, (uint16_t)(i % 3 + 1)).up);
        scenario_run(c, 20 * MS);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": %d}", i % 3 + 1);
        assert_true(scenario_node(c, (uint16_t)(i % 3 + 1)).up && !scenario_node(c, (uint16_t)(i % 3 + 1)).paused);
        scenario_run(c, 100 * MS);
    }
    scenario_expect_sound(c, "pause and crash");
    cluster_free(c);
}

/* ---- clocks ---- */

/* DESIGN 2: mono drifts but never jumps; wall skews and jumps. */
static void test_sim_mono_never_jumps_and_wall_does(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=8");
    struct sim *s = c->runtime;
    int64_t mono[4] = {0}, at[4] = {0}, wall_jumps = 0, wall_before = 0;
    for (int round = 0; round < 200; round++) {
        int node = round % 3 + 1;
        scenario_fault(c, "{\"do\": \"skew\", \"node\": %d, \"offset\": %d, \"drift\": %d}", node, round % 7 - 3,
                       (round % 5 - 2) * 50000);
        for (int k = 0; k < 20; k++) {
            sim_step(s);
            for (int i = 1; i <= 3; i++) {
                sim_clock(s, &s->nodes[i]);
                int64_t passed = s->nodes[i].host.mono - mono[i], real = s->now - at[i];
                if (passed < real * 9 / 10 - 1 || passed > real * 11 / 10 + 1)
                    fail_msg("round %d: n%d's mono moved %lld ns in %lld", round, i, (long long)passed,
                             (long long)real);
                mono[i] = s->nodes[i].host.mono;
                at[i] = s->now;
            }
            int64_t wall = s->nodes[1].host.wall - s->now;
            wall_jumps += wall - wall_before > SECOND / 2 || wall_before - wall > SECOND / 2;
            wall_before = wall;
        }
    }
    assert_true(wall_jumps > 20);
    cluster_free(c);
}

/* A clock that runs fast by one part in a hundred gains 10 ms a second, and its timers ring as much earlier. */
static void test_sim_drift_is_what_the_plan_says(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=9");
    struct sim *s = c->runtime;
    scenario_fault(c, "{\"do\": \"skew\", \"node\": 2, \"offset\": \"-80ms\", \"drift\": 10000}");
    scenario_run(c, 10 * SECOND);
    sim_clock(s, &s->nodes[1]);
    sim_clock(s, &s->nodes[2]);
    int64_t gained = s->nodes[2].host.mono - s->nodes[1].host.mono;
    assert_true(gained > 99 * MS && gained < 101 * MS);
    assert_int_equal(s->nodes[2].host.wall - s->nodes[1].host.wall, gained - 80 * MS);
    cluster_free(c);
}

/* ---- forks ---- */

static const char *const trouble =
    "{\"directives\": [{\"every\": 0.31, \"do\": \"crash\", \"node\": \"random\", \"for\": 0.2, \"disk\": "
    "\"unsynced\"},"
    "{\"every\": 0.5, \"do\": \"partition\", \"shape\": \"halves\", \"for\": 0.2},"
    "{\"every\": 0.7, \"do\": \"pause\", \"node\": \"leader\", \"for\": 0.2},"
    "{\"every\": 0.9, \"do\": \"crash\", \"node\": \"leader\", \"effect\": 2, \"for\": 0.1},"
    "{\"at\": 0, \"do\": \"loss\", \"probability\": 0.02}, {\"at\": 0, \"do\": \"duplicate\", "
    "\"probability\": 0.05}]}";

static struct cluster *troubled(uint64_t seed) {
    char options[128];
    snprintf(options, sizeof options, "nodes=5 seed=%llu snapshot_threshold=40 snapshot_keep=5",
             (unsigned long long)seed);
    struct cluster *c = scenario_new(options);
    scenario_plan(c, trouble);
    scenario_load(c, LOAD);
    return c;
}

/* DESIGN 2 and issue, part 7: an independent copy of a whole running cluster at any event. Parent and clone that do the same
 * stay equal; what one does otherwise, or its end, is nothing to the other. */
static void test_sim_forks_stay_equal_and_go_apart(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct cluster *c = troubled(seed), *control = troubled(seed);
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        struct error e;
        for (int round = 0; round < 25; round++) {
            uint64_t before = 1 + random_below(&r, 400), after = 1 + random_below(&r, 400);
            c->class->step(c->runtime, before);
            struct cluster *f = cluster_fork(c, &e), *astray = cluster_fork(c, &e);
            if (scenario_fingerprint(f) != scenario_fingerprint(c))
                fail_msg("seed %d, round %d: a fork differs at once", (int)seed, round);
            scenario_fault(astray, "{\"do\": \"crash\", \"node\": \"all\", \"disk\": \"wiped\"}");
            scenario_run(astray, 100 * MS);
            c->class->step(c->runtime, after);
            f->class->step(f->runtime, after);
            if (scenario_fingerprint(f) != scenario_fingerprint(c))
                fail_msg("seed %d, round %d: fork and parent go apart", (int)seed, round);
            if (scenario_hash(f) != scenario_hash(c))
                fail_msg("seed %d, round %d: fork and parent have other hashes", (int)seed, round);
            if (scenario_hash(astray) == scenario_hash(c))
                fail_msg("seed %d, round %d: a wiped cluster has the same hash", (int)seed, round);
            control->class->step(control->runtime, before + after);
            if (scenario_hash(control) != scenario_hash(c))
                fail_msg("seed %d, round %d: being forked shows", (int)seed, round);
            cluster_free(astray);
            struct cluster *gone = round % 2 ? c : f; /* go on with either */
            if (gone == c) c = f;
            cluster_free(gone);
        }
        scenario_expect_sound(c, "after forks");
        cluster_free(c);
        cluster_free(control);
    }
}

/* Determinism: in one call, event by event, and in slices of virtual time. */
static void test_sim_hash_does_not_depend_on_how_it_is_run(void **unused) {
    (void)unused;
    struct cluster *a = troubled(11), *b = troubled(11), *d = troubled(11);
    scenario_run(a, 3 * SECOND);
    for (int i = 0; i < 3000; i++) scenario_run(b, MS);
    struct sim *s = d->runtime;
    while (s->heap.keys[0].time <= 3 * SECOND) sim_step(s);
    assert_true(scenario_hash(a) == scenario_hash(b));
    assert_true(scenario_hash(a) == scenario_hash(d));
    assert_true(scenario_trace(a)->count > 5000);
    cluster_free(a);
    cluster_free(b);
    cluster_free(d);
}

/* ---- nodes that come back ---- */

static void everyone(struct cluster *c, const char *verb, const char *disk) {
    scenario_fault(c, "{\"do\": \"%s\", \"node\": \"all\"%s%s%s}", verb, disk ? ", \"disk\": \"" : "", disk ? disk : "",
                   disk ? "\"" : "");
}

/* All nodes crashed and restarted, again and again: what was acknowledged is there, with synced writes only. */
static void test_sim_a_whole_cluster_comes_back(void **unused) {
    (void)unused;
    const char *disks[] = {"kept", "unsynced"};
    for (int k = 0; k < 2; k++) {
        struct cluster *c = scenario_new("nodes=3 seed=21");
        struct error e;
        for (int i = 0; i < 10; i++) {
            char value[16];
            snprintf(value, sizeof value, "x = %d", i);
            assert_int_equal(scenario_propose(c, value, &e), QRT_OK);
            uint64_t commit = scenario_node(c, scenario_leader(c)).status.commit;
            everyone(c, "crash", disks[k]);
            scenario_run(c, 30 * MS);
            for (uint16_t n = 1; n <= 3; n++) assert_false(scenario_node(c, n).up);
            everyone(c, "restart", NULL);
            everyone(c, "restart", NULL); /* a second one finds them up, and does nothing */
            assert_int_equal(scenario_propose(c, "again", &e), QRT_OK);
            assert_true(scenario_node(c, scenario_leader(c)).status.commit > commit);
        }
        struct runtime_counts counts;
        c->class->counts(c->runtime, &counts);
        assert_int_equal(counts.crashes, 30);
        assert_int_equal(counts.restarts, 30);
        scenario_expect_sound(c, "all crashed and restarted");
        cluster_free(c);
    }
}

/* DESIGN 2: a wiped node neither votes nor counts until it has caught up; then it is a member like any other. */
static void test_sim_a_wiped_node_recovers(void **unused) {
    (void)unused;
    for (uint16_t node = 1; node <= 3; node++) {
        struct cluster *c = scenario_new("nodes=3 seed=22");
        struct error e;
        assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %u, \"disk\": \"wiped\"}", node);
        scenario_run(c, 500 * MS);
        scenario_leader(c);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", node);
        assert_int_equal(scenario_node(c, node).status.role, QRT_ROLE_RECOVERING);
        scenario_run(c, SECOND);
        assert_int_not_equal(scenario_node(c, node).status.role, QRT_ROLE_RECOVERING);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", node % 3 + 1); /* now it is needed */
        assert_int_equal(scenario_propose(c, "y", &e), QRT_OK);
        scenario_expect_sound(c, "wiped and caught up");
        cluster_free(c);
    }
}

/* A majority wiped at once: nobody may vote, so there is no leader ever, and that is said. */
static void test_sim_a_wiped_majority_elects_nobody(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=23");
    struct error e;
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    for (int n = 1; n <= 2; n++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"disk\": \"wiped\"}", n);
    everyone(c, "restart", NULL);
    scenario_run(c, 5 * SECOND);
    uint16_t leader;
    assert_int_equal(cluster_leader(c, &leader, &e), QRT_ENOLEADER);
    assert_non_null(strstr(e.text, "lost their data"));
    cluster_free(c);
}

/* ---- many small runs ---- */

/* A thousand seeds with drawn plans of every verb, short, each with its own shape: nothing is violated, nothing falls over. */
static void test_sim_a_thousand_small_runs(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        char options[128];
        struct plan plan = {0};
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct plan_profile profile = {.nodes = (uint16_t)(seed % 6 + 2),
                                       .start_ns = 200 * MS,
                                       .end_ns = 800 * MS,
                                       .scale_ns = 100 * MS,
                                       .faults_min = 3,
                                       .faults_max = 12,
                                       .verbs = UINT32_MAX & ~(1u << FAULT_LIE),
                                       .wipes = true,
                                       .loses_unsynced = true,
                                       .effects = true};
        snprintf(options, sizeof options,
                 "nodes=%u seed=%llu record=none election_timeout=50ms snapshot_threshold=%d snapshot_keep=3",
                 profile.nodes, (unsigned long long)seed, seed % 2 ? 20 : 1000);
        struct cluster *c = scenario_new(options);
        plan_draw(&plan, &profile, &r);
        c->class->fault(c->runtime, &plan, NULL);
        plan_free(&plan);
        scenario_load(c, "{\"clients\": 3, \"operations\": 40, \"keys\": 3, \"timeout\": 0.3, \"think\": 0.005}");
        scenario_run(c, SECOND);
        if (checkers_violated(c->checkers)) scenario_expect_sound(c, options);
        if (seed % 10 == 0) scenario_expect_sound(c, options);
        cluster_free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_links_keep_order_unless_told_to_reorder),
        cmocka_unit_test(test_sim_a_partition_lets_nothing_through),
        cmocka_unit_test(test_sim_a_paused_nodes_deliveries_wait_in_order),
        cmocka_unit_test(test_sim_a_paused_node_can_crash),
        cmocka_unit_test(test_sim_mono_never_jumps_and_wall_does),
        cmocka_unit_test(test_sim_drift_is_what_the_plan_says),
        cmocka_unit_test(test_sim_forks_stay_equal_and_go_apart),
        cmocka_unit_test(test_sim_hash_does_not_depend_on_how_it_is_run),
        cmocka_unit_test(test_sim_a_whole_cluster_comes_back),
        cmocka_unit_test(test_sim_a_wiped_node_recovers),
        cmocka_unit_test(test_sim_a_wiped_majority_elects_nobody),
        cmocka_unit_test(test_sim_a_thousand_small_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
