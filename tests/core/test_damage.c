/* Damaged logs in whole simulated clusters: a member keeps what is sound, takes the rest from its peers, and neither votes
 * nor counts before it has it; who has no peers to take it from halts, and says which record it was. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/sim.h"
#include "support/campaigns.h"
#include "support/scenario.h"

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not say '%s'", text, part);
}

/* A member dies under load and a synced sector of its log rots. It starts with the rest, says what it lost, catches up, and
 * the run is sound. (A sector that nobody needs any more may rot too: then it starts as ever.) */
static void test_damage_is_taken_from_the_peers(void **unused) {
    (void)unused;
    unsigned damaged = 0;
    for (int seed = 1; seed <= 60; seed++) {
        char options[128];
        snprintf(options, sizeof options, "nodes=%d seed=%d snapshot_threshold=%d snapshot_keep=20", 3 + seed % 3 * 2,
                 seed, seed % 2 ? 50 : 100000);
        struct cluster *c = scenario_new(options);
        scenario_leader(c);
        scenario_load(c, "{\"clients\": 4, \"operations\": 0}");
        scenario_run(c, 200 * MS);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": 2, \"disk\": \"damaged\"}");
        scenario_run(c, seed % 4 * 50 * MS);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": 2}");
        struct node_view v = scenario_node(c, 2);
        assert_true(v.up);
        bool hit = v.status.role == QRT_ROLE_RECOVERING;
        assert_int_equal(scenario_events(c, 2, QRT_KIND_START, QRT_START_DAMAGED), hit);
        damaged += hit;
        if (hit) expect_text(v.damage, "wal-");
        if (hit) expect_text(v.damage, " taken from the peers");
        scenario_run(c, 500 * MS);
        v = scenario_node(c, 2);
        if (v.status.role == QRT_ROLE_RECOVERING || *v.damage) fail_msg("seed %d: it does not catch up", seed);
        assert_int_equal(scenario_events(c, 2, QRT_KIND_CAUGHT_UP, 0), hit);
        scenario_expect_sound(c, options);
        cluster_free(c);
    }
    assert_true(damaged > 40);
}

/* It dies again before it has caught up, wherever that falls: it is still recovering, and catches up in the end. */
static void test_damage_outlives_further_crashes(void **unused) {
    (void)unused;
    for (int seed = 1; seed <= 40; seed++) {
        char options[128];
        snprintf(options, sizeof options, "nodes=3 seed=%d snapshot_threshold=100 snapshot_keep=20", seed);
        struct cluster *c = scenario_new(options);
        uint16_t leader = scenario_leader(c), node = (uint16_t)(leader % 3 + 1);
        scenario_load(c, "{\"clients\": 4, \"operations\": 0}");
        scenario_run(c, 200 * MS);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"disk\": \"damaged\"}", node);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": %d}", node);
        bool hit = scenario_node(c, node).status.role == QRT_ROLE_RECOVERING;
        for (int again = 0; again < 3; again++) {
            scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"effect\": %d}", node, (seed + again) % 7);
            scenario_run(c, 2 * MS);
            scenario_fault(c, "{\"do\": \"crash\", \"node\": %d}", node);
            scenario_fault(c, "{\"do\": \"restart\", \"node\": %d}", node);
            bool told = scenario_events(c, node, QRT_KIND_CAUGHT_UP, 0) > 0;
            bool recovering = scenario_node(c, node).status.role == QRT_ROLE_RECOVERING;
            if (hit && !told && !recovering) fail_msg("seed %d: it votes without having caught up", seed);
        }
        scenario_run(c, 500 * MS);
        if (scenario_node(c, node).status.role == QRT_ROLE_RECOVERING) fail_msg("seed %d: it does not catch up", seed);
        scenario_expect_sound(c, options);
        cluster_free(c);
    }
}

/* Drawn runs with damaged and wiped disks of a minority, among all other faults, are clean, and the probe gets through. */
static void test_damage_campaign_is_clean(void **unused) {
    (void)unused;
    json_t *report =
        campaigns_run("{\"protocol\": \"raft\", \"seeds\": %d, \"damage\": true}", CAMPAIGNS_ARE_SLOW ? 50 : 200);
    campaigns_expect_clean(report);
    json_decref(report);
}

/* That a damaged member keeps still matters: with the published mistake it votes at once, and that is seen. */
static void test_damage_with_amnesia_is_caught(void **unused) {
    (void)unused;
    unsigned caught = 0;
    for (int seed = 1; seed <= 20; seed++) {
        char options[96];
        struct error e = {0};
        snprintf(options, sizeof options, "nodes=3 seed=%d bug=amnesia-votes snapshot_threshold=100000", seed);
        struct cluster *c = scenario_new(options);
        scenario_leader(c);
        scenario_load(c, "{\"clients\": 4, \"operations\": 0}");
        scenario_plan(
            c, "[{\"every\": 0.4, \"do\": \"crash\", \"node\": \"random\", \"disk\": \"damaged\", \"for\": 0.05},"
               " {\"every\": 0.7, \"do\": \"crash\", \"node\": \"leader\", \"for\": 0.2}]");
        scenario_run(c, 3 * SECOND);
        assert_int_equal(cluster_check(c, 10, (size_t)256 << 20, 0, &e), QRT_OK);
        caught += c->verdict == VERDICT_VIOLATED && strstr((const char *)c->report.data, "durability");
        cluster_free(c);
    }
    assert_true(caught > 10);
}

/* A majority is damaged at once: nobody votes and nothing is invented, and the reason names the damage. */
static void test_damage_of_a_majority_is_said(void **unused) {
    (void)unused;
    unsigned met = 0;
    for (int seed = 1; seed <= 20; seed++) {
        char options[64];
        snprintf(options, sizeof options, "nodes=3 seed=%d", seed);
        struct cluster *c = scenario_new(options);
        struct error e = {0};
        uint16_t leader = scenario_leader(c);
        assert_int_equal(scenario_propose(c, "kept", &e), QRT_OK);
        scenario_run(c, SECOND);
        uint64_t commit = scenario_node(c, leader).status.commit;
        for (int n = 1; n <= 2; n++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"disk\": \"damaged\"}", n);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
        bool both = scenario_node(c, 1).status.role == QRT_ROLE_RECOVERING &&
                    scenario_node(c, 2).status.role == QRT_ROLE_RECOVERING;
        scenario_run(c, 5 * SECOND);
        if (both) {
            met++;
            assert_int_equal(cluster_leader(c, &leader, &e), QRT_ENOLEADER);
            expect_text(e.text, "2 of them lost their data and may not vote yet, 2 are needed; n1 is damaged: ");
            assert_true(scenario_node(c, 3).status.commit == commit);
        }
        scenario_expect_sound(c, options);
        cluster_free(c);
    }
    assert_true(met > 5);
}

/* Who has no peers, and a protocol that stands no lost disk, halts as ever: the record is named, and why it stays so. */
static void test_damage_without_a_way_back_halts(void **unused) {
    (void)unused;
    static const struct {
        const char *protocol, *nodes, *load, *why;
    } cases[] = {
        {"raft", "1", "{\"clients\": 2, \"operations\": 0}", "as a single node has no peers to take it from"},
        {"paxos", "3", "{\"machine\": \"values\", \"operations\": 0}", "as paxos does not stand a lost disk"},
        {"2pc", "3", "{\"machine\": \"values\", \"operations\": 0}", "as 2pc does not stand a lost disk"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned halted = 0;
        for (int seed = 1; seed <= 20; seed++) {
            char options[64];
            snprintf(options, sizeof options, "nodes=%s seed=%d", cases[i].nodes, seed);
            struct cluster *c = scenario_new_of(cases[i].protocol, options);
            scenario_run(c, SECOND);
            scenario_load(c, cases[i].load);
            scenario_run(c, 200 * MS);
            scenario_fault(c, "{\"do\": \"crash\", \"node\": 1, \"disk\": \"damaged\"}");
            scenario_fault(c, "{\"do\": \"restart\", \"node\": 1}");
            struct node_view v = scenario_node(c, 1);
            if (!v.up) {
                halted++;
                expect_text(v.why_down, "wal-0000");
                expect_text(v.why_down, cases[i].why);
                expect_text(v.why_down, "put back an undamaged copy of this folder");
            }
            cluster_free(c);
        }
        if (halted < 10) fail_msg("%s: %u", cases[i].protocol, halted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage_is_taken_from_the_peers), cmocka_unit_test(test_damage_outlives_further_crashes),
        cmocka_unit_test(test_damage_campaign_is_clean),       cmocka_unit_test(test_damage_with_amnesia_is_caught),
        cmocka_unit_test(test_damage_of_a_majority_is_said),   cmocka_unit_test(test_damage_without_a_way_back_halts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
