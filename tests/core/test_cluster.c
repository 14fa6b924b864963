/* The cluster as its user sees it: reasons instead of codes, proposals that find their leader, outcomes that are unknown,
 * conditions, verdicts as JSON, the published mistakes by name. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/scenario.h"

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not say '%s'", text, part);
}

static void expect_no_leader(struct cluster *c, const char *why) {
    struct error e = {0};
    uint16_t leader = 0;
    assert_int_equal(cluster_leader(c, &leader, &e), QRT_ENOLEADER);
    expect_text(e.text, why);
}

/* ---- why nobody leads ---- */

/* DESIGN 7: an error says why: "no leader: 2 of 5 nodes are up, 3 are needed". */
static void test_cluster_too_few_nodes_up_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=5 seed=1");
    scenario_leader(c);
    for (int n = 1; n <= 3; n++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d}", n);
    scenario_run(c, 2 * SECOND);
    expect_no_leader(c, "no leader: 2 of 5 nodes are up, 3 are needed");
    cluster_free(c);
}

/* Paused nodes are up, and do not help. */
static void test_cluster_too_many_paused_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=5 seed=1");
    scenario_leader(c);
    for (int n = 1; n <= 3; n++) scenario_fault(c, "{\"do\": \"pause\", \"node\": %d}", n);
    scenario_run(c, 2 * SECOND);
    expect_no_leader(c, "5 of 5 nodes are up but 3 of them are paused, 3 are needed");
    cluster_free(c);
}

/* One of them is, in the singular. */
static void test_cluster_one_too_many_paused_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=1");
    scenario_leader(c);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %d}", 1);
    scenario_fault(c, "{\"do\": \"pause\", \"node\": %d}", 2);
    scenario_run(c, 2 * SECOND);
    expect_no_leader(c, "2 of 3 nodes are up but 1 of them is paused, 2 are needed");
    cluster_free(c);
}

/* Wiped nodes are up, and may not vote. */
static void test_cluster_too_many_wiped_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=1");
    scenario_leader(c);
    for (int n = 1; n <= 2; n++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d, \"disk\": \"wiped\"}", n);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    scenario_run(c, 2 * SECOND);
    expect_no_leader(c, "3 of 3 nodes are up but 2 of them lost their data and may not vote yet, 2 are needed");
    cluster_free(c);
}

/* All up, and too few of them reach each other. */
static void test_cluster_a_partition_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=5 seed=1");
    scenario_leader(c);
    scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1, 2], [3, 4], [5]]}");
    scenario_run(c, 3 * SECOND);
    expect_no_leader(
        c, "5 of 5 nodes are up, but no node reaches more than 2 of them through the partition, 3 are needed");
    cluster_free(c);
}

/* Nothing is wrong yet: an election takes its time. */
static void test_cluster_an_election_under_way_is_said(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=1");
    expect_no_leader(c, "3 of 3 nodes are up and reach each other; an election is under way");
    scenario_leader(c);
    cluster_free(c);
}

/* ---- proposals ---- */

/* A proposal at a node that is down is refused, and says that nothing was taken. */
static void test_cluster_refuses_proposals_to_a_node_that_is_down(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=2");
    struct error e;
    uint64_t ticket;
    scenario_leader(c);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 2}");
    assert_int_equal(cluster_propose(c, 2, bytes_text("x"), &ticket, &e), QRT_EDOWN);
    expect_text(e.text, "n2 is down");
    assert_int_equal(cluster_propose(c, 4, bytes_text("x"), &ticket, &e), QRT_ENOTFOUND);
    expect_text(e.text, "nodes are 1 to 3");
    assert_null(report_inspect(c, 2, &e));
    expect_text(e.text, "n2 is down");
    cluster_free(c);
}

/* A proposal at a follower ends there, and names the leader; the user asked for that node. */
static void test_cluster_a_follower_names_the_leader(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=2");
    struct error e = {0};
    qrt_result r;
    uint64_t ticket;
    uint16_t leader = scenario_leader(c);
    scenario_run(c, 200 * MS);
    assert_int_equal(cluster_propose(c, leader % 3 + 1, bytes_text("x"), &ticket, &e), QRT_OK);
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_ENOTLEADER);
    assert_int_equal(r.leader, leader);
    expect_text(e.text, "does not lead; it believes that n");
    cluster_free(c);
}

/* A proposal made while nobody leads waits and finds the leader to come; awaited, or as the condition of a run. */
static void test_cluster_proposals_find_the_leader_to_come(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=3");
    struct error e = {0};
    qrt_result r;
    uint64_t first, second;
    assert_int_equal(cluster_propose(c, 0, bytes_text("early"), &first, &e), QRT_OK);
    assert_int_equal(cluster_result(c, first, &r, &e), QRT_MORE);
    if (cluster_run(c, 5 * SECOND, "ticket 1", 0, &e)) fail_msg("%s", e.text);
    assert_int_equal(cluster_result(c, first, &r, &e), QRT_OK); /* the condition held, so it has ended */
    assert_int_equal(r.status, QRT_OK);
    assert_true(r.index > 0 && r.latency_ns > 0);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": \"leader\"}");
    assert_int_equal(cluster_propose(c, 0, bytes_text("between"), &second, &e), QRT_OK);
    assert_int_equal(cluster_await(c, second, scenario_now(c) + 5 * SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_OK);
    assert_int_equal(cluster_run(c, 6 * SECOND, "ticket 3", 0, &e), QRT_ENOTFOUND);
    assert_int_equal(cluster_result(c, 99, &r, &e), QRT_ENOTFOUND);
    scenario_expect_sound(c, "proposals");
    cluster_free(c);
}

/* Nobody ever leads: the proposal was certainly not executed, and the reason is said. */
static void test_cluster_a_proposal_without_leader_ends_with_the_reason(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=3");
    struct error e = {0};
    for (int n = 1; n <= 2; n++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d}", n);
    assert_int_equal(scenario_propose(c, "x", &e), QRT_ENOLEADER);
    expect_text(e.text, "no leader: 1 of 3 nodes are up, 2 are needed; nothing was proposed");
    assert_int_equal(cluster_run(c, scenario_now(c) + SECOND, "ticket 1", 0, &e), QRT_ETIMEOUT);
    expect_text(e.text, "1 of 3 nodes are up");
    cluster_free(c);
}

/* DESIGN 7: unknown outcome and failure are different: a leader that took the proposal and died may have spread it. */
static void test_cluster_an_unknown_outcome_is_no_failure(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=4");
    struct error e = {0};
    qrt_result r;
    uint64_t ticket;
    uint16_t leader = scenario_leader(c);
    assert_int_equal(cluster_propose(c, 0, bytes_text("x"), &ticket, &e), QRT_OK);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", leader);
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_EUNKNOWN);
    expect_text(e.text, "may or may not be");
    cluster_free(c);

    c = scenario_new("nodes=3 seed=4 check_quorum=false"); /* cut off, it lives, leads, and cannot commit */
    leader = scenario_leader(c);
    scenario_fault(c, "{\"do\": \"partition\", \"shape\": \"one\", \"node\": %u}", leader);
    assert_int_equal(cluster_propose(c, leader, bytes_text("x"), &ticket, &e), QRT_OK);
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + SECOND / 4, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_EUNKNOWN);
    expect_text(e.text, "has not committed the proposal in time");
    cluster_free(c);
}

/* A value too large is refused before anything is done; the largest is not. */
static void test_cluster_refuses_a_value_too_large(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=5");
    struct error e = {0};
    qrt_result r;
    uint64_t ticket;
    uint8_t *value = mem_zero(1, COMMAND_VALUE_MAX + 1);
    scenario_leader(c);
    assert_int_equal(cluster_propose(c, 0, bytes_of(value, COMMAND_VALUE_MAX + 1), &ticket, &e), QRT_ETOOLARGE);
    expect_text(e.text, "holds at most");
    assert_int_equal(cluster_propose(c, 0, bytes_of(value, COMMAND_VALUE_MAX), &ticket, &e), QRT_OK);
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + SECOND, 0, &r, &e), QRT_OK);
    assert_int_equal(r.status, QRT_OK);
    free(value);
    scenario_run(c, SECOND / 2);
    scenario_expect_sound(c, "largest value");
    cluster_free(c);
}

/* ---- conditions ---- */

/* Conditions are data; each comes true at an event, and a time that comes first says why. */
static void test_cluster_conditions_hold_when_they_say_so(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=6");
    struct error e = {0};
    char text[40];
    uint16_t leader = scenario_leader(c);
    scenario_load(c, "{\"clients\": 2, \"operations\": 60}");
    assert_int_equal(cluster_run(c, 10 * SECOND, "commit >= 20", 0, &e), QRT_OK);
    assert_int_equal(scenario_node(c, leader).status.commit, 20); /* at that event, not later */
    assert_int_equal(cluster_run(c, 10 * SECOND, "applied >= 25", 0, &e), QRT_OK);
    for (uint16_t n = 1; n <= 3; n++) assert_true(scenario_node(c, n).status.applied >= 25);
    assert_int_equal(cluster_run(c, 10 * SECOND, "idle", 0, &e), QRT_OK);
    uint64_t events = scenario_trace(c)->count + 100;
    snprintf(text, sizeof text, "events >= %llu", (unsigned long long)events);
    assert_int_equal(cluster_run(c, 100 * SECOND, text, 0, &e), QRT_OK);
    assert_true(scenario_trace(c)->count >= events && scenario_trace(c)->count < events + 20);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", leader);
    snprintf(text, sizeof text, "leader != %u", leader);
    assert_int_equal(cluster_run(c, scenario_now(c) + 10 * SECOND, text, 0, &e), QRT_OK);
    assert_int_equal(cluster_run(c, scenario_now(c) + SECOND, "term >= 1000", 0, &e), QRT_ETIMEOUT);
    expect_text(e.text, "'term >= 1000' did not come true in time");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": \"all\"}");
    assert_int_equal(cluster_run(c, scenario_now(c) + SECOND, "leader", 0, &e), QRT_ETIMEOUT);
    expect_text(e.text, "0 of 3 nodes are up");
    cluster_free(c);
}

/* Bad input: what is no condition is refused, quoting it and saying which there are; nothing runs. */
static void test_cluster_refuses_what_is_no_condition(void **unused) {
    (void)unused;
    const char *bad[] = {"",           "leder",      "leader == 3",   "leader !=",   "leader != x", "commit",
                         "commit > 3", "commit >= ", "commit >= 3 4", "commit >= x", "ticket",      "ticket x",
                         "foo >= 3",   "idle now",   "leader leader", "\xff\xfe",    "%s%n"};
    struct cluster *c = scenario_new("nodes=3 seed=7");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e = {0};
        qrt_status s = cluster_run(c, SECOND, bad[i], 0, &e);
        if (s != QRT_EPARSE) fail_msg("'%s' is taken: %s", bad[i], status_name(s));
        expect_text(e.text, "there are: leader");
        assert_int_equal(scenario_now(c), 0);
    }
    cluster_free(c);
}

/* ---- JSON ---- */

static json_t *loaded(const char *text) {
    json_error_t je;
    json_t *root = text ? json_loads(text, 0, &je) : NULL;
    if (!root) fail_msg("no JSON: %s", text ? je.text : "NULL");
    return root;
}

static void expect_fields(json_t *o, const char *names) {
    char *text = mem_string(names);
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest)) != NULL;)
        if (!json_object_get(o, word)) fail_msg("there is no field '%s'", word);
    free(text);
}

/* quorate.h documents the fields of every report; others read them. */
static void test_cluster_reports_have_the_documented_fields(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new("nodes=3 seed=8");
    struct error e = {0};
    scenario_leader(c);
    scenario_load(c, "{\"clients\": 2, \"operations\": 40}");
    scenario_run(c, 2 * SECOND);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 3}");
    scenario_expect_sound(c, "reports");
    json_t *check = loaded((const char *)c->report.data), *status = loaded(report_status(c)), *one;
    expect_fields(check, "verdict hash events time properties consistency consensus history counts");
    for (size_t i = 0; (one = json_array_get(json_object_get(check, "properties"), i)) != NULL; i++)
        expect_fields(one, "name says verdict text event time node");
    expect_fields(json_object_get(check, "consistency"), "share first_inconsistent");
    expect_fields(json_object_get(check, "consensus"), "at");
    assert_string_equal(json_string_value(json_object_get(check, "verdict")), "ok");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(check, "history"), "operations")), 40);
    expect_fields(status, "protocol runtime now leader reason nodes counts options");
    for (size_t i = 0; i < 3; i++)
        expect_fields(json_array_get(json_object_get(status, "nodes"), i),
                      "node up paused role term leader first last commit applied sent received rejected "
                      "persisted why_down");
    assert_true(json_is_false(json_object_get(json_array_get(json_object_get(status, "nodes"), 2), "up")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(status, "options"), "nodes")), "3");
    json_t *load = loaded(report_load(c)), *inspect = loaded(report_inspect(c, 1, &e));
    expect_fields(load, "clients operations ok failed unknown latency by_operation");
    expect_fields(json_object_get(load, "latency"), "p50 p99 p999 max");
    assert_true(json_object_size(inspect) > 3);
    json_decref(check);
    json_decref(status);
    json_decref(load);
    json_decref(inspect);
    cluster_free(c);
}

/* Issue, part 11: verdicts name the five properties of Raft, and linearizability where there were clients. */
static void test_cluster_judges_every_property(void **unused) {
    (void)unused;
    const char *names[] = {"election-safety",     "leader-append-only",   "log-matching",
                           "leader-completeness", "state-machine-safety", "linearizability"};
    struct cluster *c = scenario_new("nodes=3 seed=9");
    scenario_load(c, "{\"clients\": 2, \"operations\": 20}");
    scenario_run(c, 2 * SECOND);
    scenario_expect_sound(c, "properties");
    json_t *check = loaded((const char *)c->report.data), *list = json_object_get(check, "properties");
    for (size_t k = 0; k < 6; k++) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(list); i++)
            found = found || !strcmp(json_string_value(json_object_get(json_array_get(list, i), "name")), names[k]);
        if (!found) fail_msg("%s is not judged", names[k]);
    }
    json_decref(check);
    cluster_free(c);
}

/* ---- names ---- */

/* Every published mistake can be switched on by its name; a mistyped one names the nearest, and so do machine and protocol. */
static void test_cluster_names_are_known_or_the_nearest_is_named(void **unused) {
    (void)unused;
    struct error e = {0};
    const struct bug *bugs = protocol_find("raft")->bugs;
    for (size_t i = 0; bugs[i].name; i++) {
        char options[80];
        snprintf(options, sizeof options, "nodes=3 bug=%s", bugs[i].name);
        struct cluster *c = scenario_new(options);
        assert_int_equal(c->config.bugs, UINT64_C(1) << i);
        cluster_free(c);
    }
    assert_null(cluster_new("raft", &(struct setting){"bug", "vote-befor-sync"}, 1, NULL, &e));
    assert_int_equal(e.status, QRT_ENOTFOUND);
    expect_text(e.text, "did you mean 'vote-before-sync'?");
    assert_null(cluster_new("raft", &(struct setting){"machine", "registr"}, 1, NULL, &e));
    expect_text(e.text, "did you mean 'register'?");
    assert_null(cluster_new("rafft", NULL, 0, NULL, &e));
    expect_text(e.text, "did you mean 'raft'?");
    assert_null(cluster_new(NULL, NULL, 0, NULL, &e));
    assert_int_equal(e.status, QRT_ENOTFOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster_too_few_nodes_up_is_said),
        cmocka_unit_test(test_cluster_too_many_paused_is_said),
        cmocka_unit_test(test_cluster_one_too_many_paused_is_said),
        cmocka_unit_test(test_cluster_too_many_wiped_is_said),
        cmocka_unit_test(test_cluster_a_partition_is_said),
        cmocka_unit_test(test_cluster_an_election_under_way_is_said),
        cmocka_unit_test(test_cluster_refuses_proposals_to_a_node_that_is_down),
        cmocka_unit_test(test_cluster_a_follower_names_the_leader),
        cmocka_unit_test(test_cluster_proposals_find_the_leader_to_come),
        cmocka_unit_test(test_cluster_a_proposal_without_leader_ends_with_the_reason),
        cmocka_unit_test(test_cluster_an_unknown_outcome_is_no_failure),
        cmocka_unit_test(test_cluster_refuses_a_value_too_large),
        cmocka_unit_test(test_cluster_conditions_hold_when_they_say_so),
        cmocka_unit_test(test_cluster_refuses_what_is_no_condition),
        cmocka_unit_test(test_cluster_reports_have_the_documented_fields),
        cmocka_unit_test(test_cluster_judges_every_property),
        cmocka_unit_test(test_cluster_names_are_known_or_the_nearest_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
