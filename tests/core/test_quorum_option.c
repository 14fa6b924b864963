/* The option `quorum`: who decides, in a cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/scenario.h"

static void crash_all_but(struct cluster *c, uint16_t nodes, uint16_t first, uint16_t second) {
    for (uint16_t i = 1; i <= nodes; i++)
        if (i != first && i != second) scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", i);
}

/* Leaders need 4 of 5, commits 2: with two nodes left who leads goes on; when he goes, two elect nobody, and all of them
 * somebody again. */
static void expect_few_commit_and_many_elect(struct cluster *c, const char *what) {
    struct error e;
    uint16_t leader = scenario_leader(c), other = (uint16_t)(leader % 5 + 1);
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    crash_all_but(c, 5, leader, other);
    assert_int_equal(scenario_propose(c, "y", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", other % 5 + 1);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", leader);
    scenario_run(c, 3 * SECOND);
    assert_int_equal(cluster_leader(c, &other, &e), QRT_ENOLEADER);
    assert_non_null(strstr(e.text, "2 of 5 nodes are up, 4 are needed"));
    scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    scenario_leader(c);
    assert_int_equal(scenario_propose(c, "z", &e), QRT_OK);
    scenario_expect_sound(c, what);
    cluster_free(c);
}

/* Howard and others 2016: elections by 4 of 5 let 2 commit; but then 2 elect nobody. */
static void test_quorum_flexible_commits_with_few_and_elects_with_many(void **unused) {
    (void)unused;
    expect_few_commit_and_many_elect(scenario_new("nodes=5 seed=3 quorum=flexible:4,2"), "flexible:4,2");
}

static void test_quorum_all_waits_for_everybody(void **unused) {
    (void)unused;
    struct error e;
    struct cluster *c = scenario_new("nodes=3 seed=3 quorum=all timeout=0.5");
    uint16_t leader = scenario_leader(c), other = (uint16_t)(leader % 3 + 1);
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", other);
    assert_int_not_equal(scenario_propose(c, "y", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", other);
    assert_int_equal(scenario_propose(c, "z", &e), QRT_OK);
    scenario_expect_sound(c, "all");
    cluster_free(c);
}

/* Node 1 has more than half of the weight: nothing goes without it, and nobody else is needed. */
static void test_quorum_weighted_goes_by_weight(void **unused) {
    (void)unused;
    struct error e;
    uint16_t leader;
    struct cluster *c = scenario_new("nodes=3 seed=3 quorum=weighted:3,1,1");
    scenario_leader(c);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 2}");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 3}");
    assert_int_equal(scenario_leader(c), 1);
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    scenario_run(c, SECOND);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
    scenario_run(c, 3 * SECOND);
    assert_int_equal(cluster_leader(c, &leader, &e), QRT_ENOLEADER);
    assert_non_null(strstr(e.text, "hold no quorum"));
    scenario_expect_sound(c, "weighted:3,1,1");
    cluster_free(c);
}

/* Paxos asks 2 of 5 to promise and 4 to accept: with two down nothing is decided, with one down it is. */
static void test_quorum_flexible_paxos_needs_more_to_accept(void **unused) {
    (void)unused;
    struct error e;
    struct cluster *c = scenario_new_of("paxos", "nodes=5 seed=3 quorum=flexible:2,4 timeout=1");
    assert_int_equal(scenario_propose(c, "x", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 4}");
    assert_int_equal(scenario_propose(c, "y", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 5}");
    assert_int_not_equal(scenario_propose(c, "z", &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": 5}");
    scenario_run(c, SECOND);
    assert_int_equal(scenario_propose(c, "w", &e), QRT_OK);
    scenario_expect_sound(c, "paxos, flexible:2,4");
    cluster_free(c);
}

/* Primary-backup with views of 2 of 5: three backups may go, and then nobody can be promised an epoch by 4. */
static void test_quorum_flexible_views_go_on_with_few(void **unused) {
    (void)unused;
    expect_few_commit_and_many_elect(scenario_new_of("primary-backup", "nodes=5 seed=3 quorum=flexible:4,2"),
                                     "primary-backup, flexible:4,2");
}

/* A rule is for those who accept. */
static void test_quorum_of_paxos_is_of_its_acceptors(void **unused) {
    (void)unused;
    struct error e;
    struct cluster *c = scenario_new_of("paxos", "nodes=5 seed=3 acceptors=3 quorum=weighted:3,1,1");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 4}");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 5}");
    assert_int_equal(scenario_propose(c, "node 3 has the weight", &e), QRT_OK);
    scenario_expect_sound(c, "paxos, weighted acceptors");
    cluster_free(c);
}

static void refused(const char *protocol, const char *rule, const char *why) {
    struct error e = {0};
    struct setting settings[] = {{"nodes", "6"}, {"quorum", rule}};
    assert_null(cluster_new(protocol, settings, 2, NULL, &e));
    if (!strstr(e.text, why)) fail_msg("%s: %s", rule, e.text);
}

/* Two elections of one term must share a voter; a rule is for as many nodes as there are. */
static void test_quorum_refuses_what_is_not_safe(void **unused) {
    (void)unused;
    refused("raft", "flexible:3,4", "two elections must share a voter");
    refused("raft", "flexible:4,2", "meet");
    refused("raft", "grid:2x3", "two elections must share a voter");
    refused("raft", "grid:2x2", "6");
    refused("raft", "weighted:1,1", "6");
    refused("raft", "most", "most");
    refused("paxos", "flexible:2,2", "meet");
    refused("primary-backup", "flexible:3,4", "two elections must share a voter");
    refused("null", "all", "takes no rule of quorums");
}

/* A reached number and a vote agree with the rule's sets, whatever the rule. */
static void test_quorum_numbers_and_votes_follow_the_sets(void **unused) {
    (void)unused;
    static const char *const rules[] = {"majority",     "two-thirds", "all", "weighted:4,3,2,1,1,1",
                                        "flexible:5,2", "grid:2x3"};
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
        struct quorum_rule rule;
        assert_int_equal(quorum_rule_parse(rules[k], 6, &rule, NULL), QRT_OK);
        for (uint64_t have = 0; have < 64; have++) {
            uint64_t set[QUORUM_WORDS] = {have}, rest[QUORUM_WORDS] = {have ^ 63}, values[6];
            for (int i = 0; i < 6; i++) values[i] = have >> i & 1 ? 9 : 4;
            for (int phase = 0; phase < 2; phase++) {
                bool met = quorum_rule_met(&rule, (enum quorum_phase)phase, set);
                assert_int_equal(quorum_rule_reached(&rule, (enum quorum_phase)phase, values), met ? 9 : 4);
                assert_int_equal(quorum_rule_vote(&rule, (enum quorum_phase)phase, set, rest),
                                 met ? QUORUM_WON : QUORUM_LOST);
                assert_int_equal(quorum_rule_vote(&rule, (enum quorum_phase)phase, set, (uint64_t[QUORUM_WORDS]){0}),
                                 met ? QUORUM_WON : QUORUM_PENDING);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_flexible_commits_with_few_and_elects_with_many),
        cmocka_unit_test(test_quorum_all_waits_for_everybody),
        cmocka_unit_test(test_quorum_weighted_goes_by_weight),
        cmocka_unit_test(test_quorum_flexible_paxos_needs_more_to_accept),
        cmocka_unit_test(test_quorum_flexible_views_go_on_with_few),
        cmocka_unit_test(test_quorum_of_paxos_is_of_its_acceptors),
        cmocka_unit_test(test_quorum_refuses_what_is_not_safe),
        cmocka_unit_test(test_quorum_numbers_and_votes_follow_the_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
