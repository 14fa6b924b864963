/* Simulated clusters of which some disks are full: those take nothing on and go on voting, the others go on; nothing that was
 * acknowledged is lost, and whoever gets room takes part again by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "machine/command.h"
#include "support/captures.h"
#include "support/scenario.h"

#define LOAD "{\"clients\": 4, \"operations\": 0, \"keys\": 6, \"timeout\": 0.5, \"think\": 0.002}"

static void fill(struct cluster *c, uint16_t node) {
    scenario_fault(c, "{\"do\": \"fill\", \"node\": %u}", node);
}

static void free_all(struct cluster *c) {
    scenario_fault(c, "{\"do\": \"free\", \"node\": \"all\"}");
}

static qrt_status read_key(struct cluster *c, struct error *e) {
    struct buffer request = {0};
    struct command get = {.operation = COMMAND_GET, .key = bytes_text("k")};
    uint64_t ticket = 0;
    qrt_result result = {0};
    command_encode(&get, &request);
    uint16_t client = c->class->client(c->runtime, NULL, 0);
    qrt_status status = cluster_submit(c, client, CLIENT_READ, bytes_of(request.data, request.size), &ticket, e);
    buffer_free(&request);
    if (!status) status = cluster_await(c, ticket, scenario_now(c) + SECOND, 0, &result, e);
    return status ? status : result.status;
}

/* A leader whose disk is full makes room for one that has room, and a majority commits. Who is full votes, and takes no entry;
 * with room again it has what the others have. */
static void test_full_minority_costs_no_commit(void **state) {
    (void)state;
    struct error e = {0};
    struct cluster *c = scenario_new("nodes=5 seed=3");
    uint16_t old = scenario_leader(c), other = old % 5 + 1;
    assert_int_equal(scenario_propose(c, "before", &e), QRT_OK);
    scenario_run(c, SECOND / 5);
    fill(c, other);
    assert_int_equal(scenario_propose(c, "sent before its leader hears of it", &e), QRT_OK);
    fill(c, old);
    scenario_run(c, SECOND);
    uint16_t leader = scenario_leader(c);
    assert_true(leader != old && leader != other);
    uint64_t last[6];
    for (uint16_t n = 1; n <= 5; n++) last[n] = scenario_node(c, n).status.last;
    for (int i = 0; i < 20; i++) assert_int_equal(scenario_propose(c, "while", &e), QRT_OK);
    for (uint16_t n = 1; n <= 5; n++) {
        struct node_view v = scenario_node(c, n);
        bool full = n == old || n == other;
        assert_int_equal(v.full, full);
        assert_int_equal(scenario_events(c, n, QRT_KIND_ROOM, 1), full);
        if (full)
            assert_true(v.up && v.status.last == last[n] && v.status.term == scenario_node(c, leader).status.term);
    }
    assert_true(scenario_node(c, other).counts.disk_dropped > 0);
    free_all(c);
    scenario_run(c, SECOND);
    for (uint16_t n = 1; n <= 5; n++) {
        assert_false(scenario_node(c, n).full);
        assert_int_equal(scenario_node(c, n).status.last, scenario_node(c, leader).status.last);
    }
    assert_int_equal(scenario_leader(c), leader);
    scenario_expect_sound(c, "a minority was full");
    cluster_free(c);
}

/* Without a majority that has room nothing is acknowledged, and the error says why; reads are served all the same. With room
 * writes go on, and what was acknowledged before is there. */
static void test_full_majority_refuses_and_still_reads(void **state) {
    (void)state;
    for (int leader_too = 0; leader_too < 2; leader_too++) {
        struct error e = {0};
        struct cluster *c = scenario_new("nodes=3 seed=5");
        uint16_t leader = scenario_leader(c);
        assert_int_equal(scenario_propose(c, "before", &e), QRT_OK);
        for (uint16_t n = 1; n <= 3; n++)
            if (n != leader) fill(c, n);
        scenario_run(c, SECOND);
        if (leader_too) fill(c, leader);
        scenario_run(c, SECOND);
        assert_int_equal(scenario_leader(c), leader);
        uint64_t commit = scenario_node(c, leader).status.commit, last = scenario_node(c, leader).status.last;
        assert_int_equal(scenario_propose(c, "refused", &e), QRT_EFULL);
        assert_non_null(strstr(e.text, "the disks of n"));
        assert_non_null(strstr(e.text, "are full: make room there; they still vote"));
        assert_int_equal(scenario_node(c, leader).status.commit, commit);
        assert_int_equal(scenario_node(c, leader).status.last, last);
        qrt_status read = read_key(c, &e);
        assert_true(read == QRT_OK || read == QRT_ENOTFOUND);
        free_all(c);
        scenario_run(c, SECOND / 2);
        assert_int_equal(scenario_propose(c, "after", &e), QRT_OK);
        scenario_expect_sound(c, "a majority was full");
        cluster_free(c);
    }
}

/* Nobody leads, and all disks are full: a leader is elected from the reserve, its first entry too, and it serves reads. */
static void test_full_nodes_elect_a_leader_that_reads(void **state) {
    (void)state;
    struct error e = {0};
    struct cluster *c = scenario_new("nodes=3 seed=9");
    uint16_t old = scenario_leader(c);
    assert_int_equal(scenario_propose(c, "before", &e), QRT_OK);
    scenario_run(c, SECOND / 5);
    scenario_fault(c, "{\"do\": \"fill\", \"node\": \"all\"}");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", old);
    scenario_run(c, 3 * SECOND);
    assert_true(scenario_leader(c) != old);
    qrt_status read = read_key(c, &e);
    assert_true(read == QRT_OK || read == QRT_ENOTFOUND);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", old);
    scenario_run(c, SECOND);
    assert_true(scenario_node(c, old).up && scenario_node(c, old).full);
    free_all(c);
    scenario_run(c, SECOND);
    assert_int_equal(scenario_propose(c, "after", &e), QRT_OK);
    scenario_expect_sound(c, "all were full");
    cluster_free(c);
}

/* Clients of a workload go on to whoever has room. */
static void test_full_leader_sends_clients_on(void **state) {
    (void)state;
    struct cluster *c = scenario_new("nodes=3 seed=4");
    scenario_load(c, LOAD);
    scenario_run(c, SECOND);
    fill(c, scenario_leader(c));
    scenario_run(c, SECOND);
    const struct history *h = c->class->history(c->runtime);
    size_t before = h->count, ok = 0;
    scenario_run(c, SECOND);
    for (size_t i = before; i < h->count; i++) ok += h->operations[i].outcome == HISTORY_OK;
    assert_true(ok > 200);
    scenario_expect_sound(c, "a leader was full");
    cluster_free(c);
}

static void break_at_random(struct cluster *c, struct random *r, uint16_t nodes) {
    static const char *const fates[] = {"kept", "unsynced"};
    uint16_t node = (uint16_t)(1 + random_below(r, nodes));
    switch (random_below(r, 6)) {
    case 0:
    case 1: fill(c, node); break;
    case 2: scenario_fault(c, "{\"do\": \"free\", \"node\": %u}", node); break;
    case 3:
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %u, \"disk\": \"%s\"}", node, fates[random_below(r, 2)]);
        break;
    case 4: scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", node); break;
    default: scenario_fault(c, "{\"do\": \"partition\", \"shape\": \"one\", \"node\": %u, \"for\": 0.2}", node);
    }
}

/* Disks fill and are freed while nodes die with what they had not synced, under load: all that was promised holds, and with
 * room and everybody back the cluster goes on at once. */
static void test_full_disks_lose_nothing(void **state) {
    (void)state;
    uint64_t refused = 0, dropped = 0, skipped = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct error e = {0};
        char options[96];
        uint16_t nodes = seed % 2 ? 3 : 5;
        snprintf(options, sizeof options, "nodes=%u seed=%d snapshot_threshold=%d", nodes, (int)seed,
                 seed % 3 ? 10000 : 10);
        struct cluster *c = scenario_new(options);
        scenario_load(c, LOAD);
        for (int i = 0; i < 24; i++) {
            break_at_random(c, &r, nodes);
            scenario_run(c, random_between(&r, 20 * MS, 300 * MS));
        }
        for (uint16_t n = 1; n <= nodes; n++) {
            struct node_view v = scenario_node(c, n);
            refused += v.counts.disk_refused;
            dropped += v.counts.disk_dropped;
            skipped += v.skipped;
        }
        free_all(c);
        scenario_fault(c, "{\"do\": \"heal\"}");
        scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
        scenario_run(c, 3 * SECOND);
        if (scenario_propose(c, "progress", &e)) fail_msg("seed %d: %s", (int)seed, e.text);
        scenario_expect_sound(c, options);
        cluster_free(c);
    }
    assert_true(refused > 50 && dropped > 500 && skipped > 0);
}

/* Every protocol with a store stands it: what it promises holds, and with room it goes on. */
static void test_full_disks_break_no_protocol(void **state) {
    (void)state;
    static const char *const protocols[] = {"primary-backup", "paxos", "2pc", "3pc", "benor", "floodset"};
    for (size_t p = 0; p < sizeof protocols / sizeof *protocols; p++)
        for (int seed = 1; seed <= 8; seed++) {
            char options[64];
            struct error e = {0};
            snprintf(options, sizeof options, "nodes=5 seed=%d", seed);
            struct cluster *c = scenario_new_of(protocols[p], options);
            scenario_run(c, SECOND / 2);
            fill(c, (uint16_t)(1 + seed % 5));
            if (seed > 4) fill(c, (uint16_t)(1 + (seed + 1) % 5));
            for (int i = 0; i < 6; i++) {
                uint64_t ticket;
                if (cluster_propose(c, (uint16_t)(1 + i % 5), bytes_text("value"), &ticket, &e) == QRT_OK)
                    scenario_run(c, SECOND / 10);
            }
            free_all(c);
            scenario_run(c, 3 * SECOND);
            for (uint16_t n = 1; n <= 5; n++) assert_true(scenario_node(c, n).up && !scenario_node(c, n).full);
            scenario_expect_sound(c, protocols[p]);
            cluster_free(c);
        }
}

/* What was refused is refused in the replay too, which has no disk: step by step. */
static void test_full_disks_replay(void **state) {
    (void)state;
    char options[128];
    snprintf(options, sizeof options, "nodes=3 seed=6 capture=%s", captures_folder);
    struct cluster *c = scenario_new(options);
    scenario_load(c, LOAD);
    scenario_plan(c, "[{\"at\": 0.5, \"do\": \"fill\", \"node\": 3, \"for\": \"100ms\"},"
                     " {\"at\": 1, \"do\": \"fill\", \"node\": 1}, {\"at\": 1.5, \"do\": \"fill\", \"node\": 2},"
                     " {\"at\": 1.7, \"do\": \"crash\", \"node\": 1}, {\"at\": 2, \"do\": \"restart\", \"node\": 1},"
                     " {\"at\": 2.5, \"do\": \"free\", \"node\": \"all\"}]");
    scenario_run(c, 4 * SECOND);
    assert_true(scenario_events(c, 1, QRT_KIND_ROOM, 1) == 2 && scenario_events(c, 2, QRT_KIND_ROOM, 0) == 1);
    uint64_t refused = scenario_node(c, 1).counts.disk_refused + scenario_node(c, 2).counts.disk_refused +
                       scenario_node(c, 3).counts.disk_refused;
    uint64_t dropped = scenario_node(c, 1).counts.disk_dropped + scenario_node(c, 2).counts.disk_dropped +
                       scenario_node(c, 3).counts.disk_dropped;
    assert_true(refused > 0 && dropped > 0);
    cluster_free(c);
    struct capture_replay *r = captures_replayed();
    for (uint16_t i = 1; i <= 3; i++)
        for (size_t k = 0; k < r->replay->nodes[i].count; k++) {
            const struct replay_incarnation *in = &r->replay->nodes[i].incarnations[k];
            if (in->differs || !in->matched) fail_msg("%s", capture_replay_report(r));
            assert_true(in->matched + in->unfinished == in->steps);
        }
    assert_int_equal(r->replay->gaps, 0);
    capture_replay_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_minority_costs_no_commit),
        cmocka_unit_test(test_full_majority_refuses_and_still_reads),
        cmocka_unit_test(test_full_nodes_elect_a_leader_that_reads),
        cmocka_unit_test(test_full_leader_sends_clients_on),
        cmocka_unit_test(test_full_disks_lose_nothing),
        cmocka_unit_test(test_full_disks_break_no_protocol),
        cmocka_unit_test_setup_teardown(test_full_disks_replay, captures_setup, captures_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
