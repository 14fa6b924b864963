/* Failure detectors inside a cluster: every node watches every other, and its opinions reach protocol and trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/scenario.h"

/* phi-exponential suspects at 18 intervals, all others within 6. */
static const char *const detectors[] = {"timeout", "polling", "phi", "phi-exponential", "nfd-e", "bertier"};
#define DETECTORS (sizeof detectors / sizeof *detectors)
#define SLOWEST (400 * MS)

static struct cluster *watched(const char *detector, const char *options) {
    char text[256];
    snprintf(text, sizeof text, "nodes=5 seed=3 detector=%s %s", detector, options);
    return scenario_new(text);
}

/* How many up nodes suspect `node`. */
static int suspected_by(struct cluster *c, uint16_t node) {
    int count = 0;
    for (uint16_t i = 1; i <= 5; i++) {
        struct node_view v = scenario_node(c, i);
        count += v.up && v.suspects[0] >> (node - 1) & 1;
    }
    return count;
}

static uint16_t follower_of(struct cluster *c) {
    return (uint16_t)(scenario_leader(c) % 5 + 1);
}

static void test_watch_a_crashed_peer_is_suspected_by_all_and_trusted_again(void **unused) {
    (void)unused;
    for (size_t i = 0; i < DETECTORS; i++) {
        struct cluster *c = watched(detectors[i], "");
        uint16_t victim = follower_of(c);
        scenario_run(c, SECOND);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", victim);
        scenario_run(c, SLOWEST);
        if (suspected_by(c, victim) != 4) fail_msg("%s: %d of 4 suspect it", detectors[i], suspected_by(c, victim));
        scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", victim);
        scenario_run(c, SLOWEST);
        for (uint16_t node = 1; node <= 5; node++)
            if (suspected_by(c, node)) fail_msg("%s: n%u is still suspected", detectors[i], node);
        scenario_expect_sound(c, detectors[i]);
        cluster_free(c);
    }
}

static void test_watch_a_paused_peer_is_suspected_until_it_wakes(void **unused) {
    (void)unused;
    struct cluster *c = watched("timeout", "detector_timeout=60ms");
    uint16_t victim = follower_of(c);
    scenario_fault(c, "{\"do\": \"pause\", \"node\": %u}", victim);
    scenario_run(c, SECOND / 2);
    assert_int_equal(suspected_by(c, victim), 4);
    scenario_fault(c, "{\"do\": \"resume\", \"node\": %u}", victim);
    scenario_run(c, SECOND / 2);
    assert_int_equal(suspected_by(c, victim), 0);
    cluster_free(c);
}

/* Whoever never speaks is suspected as well. */
static void test_watch_a_peer_that_was_never_heard_is_suspected(void **unused) {
    (void)unused;
    struct cluster *c = watched("timeout", "");
    scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1], [2, 3, 4, 5]]}");
    scenario_run(c, SECOND);
    assert_int_equal(suspected_by(c, 1), 4);
    assert_int_equal(suspected_by(c, 2), 1);
    cluster_free(c);
}

static int64_t outage(const char *options) {
    struct cluster *c = scenario_new(options);
    uint16_t old = scenario_leader(c), leader;
    struct error e;
    scenario_run(c, SECOND);
    int64_t crashed = scenario_now(c);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", old);
    while (cluster_leader(c, &leader, &e) != QRT_OK) scenario_run(c, MS);
    int64_t took = scenario_now(c) - crashed;
    scenario_expect_sound(c, options);
    cluster_free(c);
    return took;
}

/* Raft acts on an opinion of its leader: the outage ends long before an election timeout is over. */
static void test_watch_a_suspected_leader_is_replaced_early(void **unused) {
    (void)unused;
    const char *manners[] = {"", " pre_vote=true", " check_quorum=true", " pre_vote=true check_quorum=true"};
    for (int i = 0; i < 4; i++) {
        char with[256], without[160];
        snprintf(without, sizeof without, "nodes=5 seed=%d election_timeout=400ms%s", i + 1, manners[i]);
        snprintf(with, sizeof with, "%s detector=timeout detector_timeout=60ms", without);
        assert_true(outage(without) >= 300 * MS);
        assert_true(outage(with) <= 200 * MS);
    }
}

/* An opinion that is wrong costs at most an election: here heartbeats are late again and again. */
static void test_watch_wrong_suspicions_do_no_harm(void **unused) {
    (void)unused;
    struct cluster *c = watched("bertier", "detector_interval=5ms");
    scenario_load(c, "{\"clients\": 4, \"operations\": 0, \"keys\": 6, \"timeout\": 0.5, \"think\": 0.002}");
    scenario_fault(c, "{\"do\": \"delay\", \"delay\": {\"exponential\": \"4ms\"}}");
    scenario_run(c, 3 * SECOND);
    uint64_t changes = 0;
    const struct trace *t = scenario_trace(c);
    for (uint64_t i = 0; i < t->count; i++) changes += trace_at(t, i)->kind == QRT_KIND_OPINION;
    assert_true(changes > 100);
    scenario_expect_sound(c, "bertier under jitter");
    cluster_free(c);
}

/* Detectors belong to the state: a fork goes on with its own, and does the same. */
static void test_watch_forks_are_whole(void **unused) {
    (void)unused;
    for (size_t i = 0; i < DETECTORS; i++) {
        struct error e;
        struct cluster *c = watched(detectors[i], "");
        scenario_run(c, SECOND);
        struct cluster *fork = cluster_fork(c, &e);
        assert_true(scenario_fingerprint(c) == scenario_fingerprint(fork));
        scenario_fault(c, "{\"do\": \"crash\", \"node\": 2}");
        scenario_fault(fork, "{\"do\": \"crash\", \"node\": 2}");
        scenario_run(c, SECOND);
        cluster_free(c);
        scenario_run(fork, SECOND);
        assert_int_equal(suspected_by(fork, 2), 4);
        cluster_free(fork);
    }
}

static void test_watch_refuses_what_makes_no_detector(void **unused) {
    (void)unused;
    struct error e;
    struct setting settings[] = {{"detector", "fi"}};
    assert_null(cluster_new("raft", settings, 1, NULL, &e));
    assert_non_null(strstr(e.text, "detector"));
    struct setting negative[] = {{"detector", "phi"}, {"detector_threshold", "-1"}};
    assert_null(cluster_new("raft", negative, 2, NULL, &e));
    assert_int_equal(e.status, QRT_ERANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_a_crashed_peer_is_suspected_by_all_and_trusted_again),
        cmocka_unit_test(test_watch_a_paused_peer_is_suspected_until_it_wakes),
        cmocka_unit_test(test_watch_a_peer_that_was_never_heard_is_suspected),
        cmocka_unit_test(test_watch_a_suspected_leader_is_replaced_early),
        cmocka_unit_test(test_watch_wrong_suspicions_do_no_harm),
        cmocka_unit_test(test_watch_forks_are_whole),
        cmocka_unit_test(test_watch_refuses_what_makes_no_detector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
