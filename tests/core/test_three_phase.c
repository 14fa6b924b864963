/* Three-phase commit: its cost, that it does not block when its coordinator crashes, and that a partition splits it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "check/atomic.h"
#include "protocol/transaction.h"
#include "support/campaigns.h"
#include "support/scenario.h"

#define QUIET "delay_kind=constant delay=1ms jitter=0 disk_jitter=0 "

/* A proposal in which `count` nodes from `first` on take part; one of them refuses (0: none). */
static struct bytes parts_of(struct buffer *out, uint16_t first, uint16_t count, uint16_t refuser) {
    struct transaction_part parts[8];
    for (uint16_t i = 0; i < count; i++) {
        uint16_t node = (uint16_t)(first + i);
        parts[i] = (struct transaction_part){node, node == refuser ? QRT_VOTE_NO : QRT_VOTE_YES, bytes_text("work")};
    }
    buffer_clear(out);
    assert_true(transaction_encode(parts, count, out));
    return bytes_of(out->data, out->size);
}

static uint64_t propose_at(struct cluster *c, uint16_t node, struct bytes data) {
    struct error e = {0};
    uint64_t ticket = 0;
    if (cluster_propose(c, node, data, &ticket, &e)) fail_msg("%s", e.text);
    return ticket;
}

static struct atomic_counts counts_of(struct cluster *c) {
    struct atomic_counts counts;
    assert_true(atomic_counts_of(c->checkers, &counts));
    return counts;
}

/* One round more than two-phase commit: prepare, vote, precommit, acknowledgement, decision. Each participant forces its yes
 * and the decision; the coordinator the decision, and its yes when it takes part. */
static void test_three_phase_costs_one_round_more(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (uint16_t n = 1; n <= 5; n++)
        for (uint16_t first = 1; first <= 2; first++) {
            struct cluster *c = scenario_new_of("3pc", QUIET "nodes=6");
            unsigned messages = 0, forced = 0;
            qrt_result r;
            struct error e = {0};
            scenario_run(c, 10 * MS);
            uint64_t ticket = propose_at(c, 1, parts_of(&data, first, (uint16_t)(n + 2 - first), 0));
            assert_int_equal(cluster_await(c, ticket, 5 * SECOND, 0, &r, &e), QRT_OK);
            assert_memory_equal(r.data, "commit", 6);
            scenario_run(c, SECOND);
            const struct trace *t = scenario_trace(c);
            for (uint64_t i = 0; i < t->count; i++) {
                messages += trace_at(t, i)->kind == QRT_KIND_SEND && trace_at(t, i)->index == r.index;
                forced += trace_at(t, i)->kind == QRT_KIND_PERSIST && trace_at(t, i)->index == r.index;
            }
            assert_int_equal(messages, 5 * n);
            assert_int_equal(forced, 2 * n + 1 + (first == 1));
            scenario_expect_sound(c, "cost");
            cluster_free(c);
        }
    buffer_free(&data);
}

/* PROTOCOLS: "no blocking on a coordinator crash". It is killed at every tenth of a millisecond of a transaction's life and
 * stays away: the participants decide alike without it, and it learns what they did when it is back. The same when others die
 * with it, down to a last one. */
static void test_three_phase_does_not_block_when_its_coordinator_crashes(void **unused) {
    (void)unused;
    struct buffer data = {0};
    uint64_t outcomes[2] = {0};
    for (int victims = 1; victims <= 4; victims++)
        for (uint16_t first = 1; first <= 2; first++)
            for (int64_t at = 0; at < 70; at++) {
                struct cluster *c = scenario_new_of("3pc", QUIET "nodes=5");
                scenario_run(c, 10 * MS);
                propose_at(c, 1, parts_of(&data, first, (uint16_t)(6 - first), 0));
                scenario_run(c, at * MS / 10);
                scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
                for (int v = 2; v <= victims; v++) scenario_fault(c, "{\"do\": \"crash\", \"node\": %d}", v);
                scenario_run(c, 2 * SECOND);
                struct atomic_counts n = counts_of(c);
                if (n.undecided || n.episodes)
                    fail_msg("%d victims, from n%u: blocked after %d tenths of a ms", victims, first, (int)at);
                scenario_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
                scenario_run(c, SECOND);
                assert_int_equal(counts_of(c).undecided, 0);
                scenario_expect_sound(c, "without its coordinator");
                outcomes[0] += n.committed;
                outcomes[1] += n.aborted;
                cluster_free(c);
            }
    assert_true(outcomes[0] > 20 && outcomes[1] > 20);
    buffer_free(&data);
}

/* One crash, behind the k-th effect of a node's next step after `at`, losing what was not synced. Whether it fell. */
static bool crash_at(uint16_t node, int effect, int64_t at, uint16_t refuser) {
    struct cluster *c = scenario_new_of("3pc", QUIET "nodes=4");
    struct buffer data = {0};
    scenario_run(c, 10 * MS);
    propose_at(c, 1, parts_of(&data, 1, 4, refuser));
    scenario_run(c, at);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": %u, \"effect\": %d}", node, effect);
    scenario_run(c, 2 * SECOND);
    bool fell = !scenario_node(c, node).up;
    struct atomic_counts n = counts_of(c);
    if (n.undecided) fail_msg("n%u died behind effect %d, and a vote waits", node, effect);
    scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", node);
    scenario_run(c, SECOND);
    if (counts_of(c).undecided) fail_msg("n%u died behind effect %d, and a vote still waits", node, effect);
    scenario_expect_sound(c, "crash between two effects");
    buffer_free(&data);
    cluster_free(c);
    return fell;
}

static void test_three_phase_recovers_from_a_crash_between_any_two_effects(void **unused) {
    (void)unused;
    int fell = 0;
    for (uint16_t node = 1; node <= 2; node++)
        for (int effect = 1; effect <= 9; effect++)
            for (int64_t at = 0; at < 8 * MS; at += MS / 2)
                for (uint16_t refuser = 0; refuser <= 4; refuser += 4) fell += crash_at(node, effect, at, refuser);
    assert_true(fell > 200);
}

/* When all have crashed since they voted, nobody may decide alone; when all are back, they abort, unless one had decided. */
static void test_three_phase_recovers_from_a_total_failure(void **unused) {
    (void)unused;
    struct buffer data = {0};
    for (int64_t at = 0; at < 80; at++) {
        struct cluster *c = scenario_new_of("3pc", QUIET "nodes=4");
        scenario_run(c, 10 * MS);
        propose_at(c, 1, parts_of(&data, 1, 4, 0));
        scenario_run(c, at * MS / 10);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": \"all\"}");
        for (uint16_t node = 4; node >= 1; node--) {
            scenario_run(c, 400 * MS);
            scenario_fault(c, "{\"do\": \"restart\", \"node\": %u}", node);
        }
        scenario_run(c, SECOND);
        if (counts_of(c).undecided) fail_msg("a vote still waits, after %d tenths of a ms", (int)at);
        scenario_expect_sound(c, "total failure");
        cluster_free(c);
    }
    buffer_free(&data);
}

/* PROTOCOLS: "its known violation under a partition". Those who know that all agree are cut off from those who do not: each
 * side takes the other for crashed; one commits, one aborts. Two-phase commit blocks there, and is sound. */
static void test_three_phase_is_split_by_a_partition(void **unused) {
    (void)unused;
    const char *protocols[] = {"2pc", "3pc"};
    struct buffer data = {0};
    for (int i = 0; i < 2; i++) {
        struct cluster *c = scenario_new_of(protocols[i], QUIET "nodes=5");
        struct error e = {0};
        scenario_run(c, 10 * MS);
        propose_at(c, 1, parts_of(&data, 1, 5, 0));
        scenario_run(c, 27 * MS / 10); /* the votes are in, or about to be */
        scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1, 2, 3], [4, 5]]}");
        scenario_run(c, 3 * SECOND);
        assert_int_equal(cluster_check(c, 10, (size_t)256 << 20, 0, &e), QRT_OK);
        assert_int_equal(c->verdict, i ? VERDICT_VIOLATED : VERDICT_OK);
        assert_int_equal(counts_of(c).blocked, i ? 0 : 2);
        if (i)
            assert_non_null(strstr((const char *)c->report.data,
                                   "\"text\": \"n4 aborted transaction n1:1, which n1 had committed\""));
        cluster_free(c);
    }
    buffer_free(&data);
}

/* In its fault model seeds are clean, and meet every named condition; beyond it a partition is found by a seed. */
static void test_three_phase_campaigns(void **unused) {
    (void)unused;
    json_t *report = campaigns_run("{\"protocol\": \"3pc\", \"seeds\": 120, \"jobs\": 1}"), *value;
    size_t i, partitions = 0;
    campaigns_expect_clean(report);
    json_decref(report);
    report = campaigns_run("{\"protocol\": \"3pc\", \"seeds\": 120, \"jobs\": 1, \"outside\": true}");
    json_array_foreach(json_object_get(report, "violations"), i, value) {
        const char *verb = json_string_value(json_object_get(json_object_get(value, "assumption"), "broken_by"));
        partitions += verb && !strcmp(verb, "partition");
    }
    assert_true(partitions > 0);
    assert_true(campaigns_hits(report, "atomicity") > 0);
    json_decref(report);
}

/* What no sound peer sends is counted and changes nothing. */
static void test_three_phase_rejects_impossible_messages(void **unused) {
    (void)unused;
    const struct protocol *p = protocol_find("3pc");
    const uint16_t members[] = {1, 2, 3};
    void *options = mem_zero(1, p->options_size);
    option_defaults(&p->options, options);
    struct protocol_config config = {.node = 1, .members = members, .member_count = 3, .seed = 1, .options = options};
    void *state = p->create(&config);
    struct outbox out = {.node = 1};
    struct event start = {.kind = EVENT_START};
    start.as.start.how = QRT_START_FORMAT;
    p->step(state, &start, &out);
    uint64_t before = p->fingerprint(state), mine = transaction_number(1, 7), theirs = transaction_number(2, 1);
    struct message bad[] = {
        {.kind = WIRE_COMMIT_VOTE, .from = 2, .as.commit_vote = {mine, QRT_VOTE_YES}},        /* never begun */
        {.kind = WIRE_COMMIT_VOTE, .from = 2, .as.commit_vote = {theirs, QRT_VOTE_YES}},      /* not decided here */
        {.kind = WIRE_COMMIT_DECISION, .from = 2, .as.commit_decision = {theirs, 3}},         /* no outcome */
        {.kind = WIRE_COMMIT_PREPARE, .from = 3, .as.commit_prepare = {theirs, 0, {0}}},      /* not its coordinator */
        {.kind = WIRE_COMMIT_PREPARE, .from = 2, .as.commit_prepare = {theirs, 1, {0}}},      /* settles nothing */
        {.kind = WIRE_COMMIT_PREPARE, .from = 2, .as.commit_prepare = {2ull << 48, 0, {0}}},  /* no sequence */
        {.kind = WIRE_COMMIT_PRECOMMIT, .from = 2, .as.commit_precommit = {theirs}},          /* never voted */
        {.kind = WIRE_COMMIT_STATE_REQUEST, .from = 2, .as.commit_state_request = {mine, 0}}, /* never begun */
        {.kind = WIRE_COMMIT_STATE_REQUEST, .from = 2, .as.commit_state_request = {theirs, 2}},     /* no truth value */
        {.kind = WIRE_COMMIT_STATE_REQUEST, .from = 2, .as.commit_state_request = {9ull << 48, 0}}, /* no n9 */
        {.kind = WIRE_COMMIT_STATE_REPLY, .from = 2, .as.commit_state_reply = {theirs, 7, 0}},      /* no state */
        {.kind = WIRE_COMMIT_ACK, .from = 2, .as.commit_ack = {theirs}}, /* another protocol's */
        {.kind = WIRE_COMMIT_VOTE, .from = 9, .as.commit_vote = {mine, QRT_VOTE_YES}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct event e = {.kind = EVENT_MESSAGE};
        e.as.message = &bad[i];
        outbox_clear(&out);
        p->step(state, &e, &out);
        if (out.count != 1 || out.effects[0].a != QRT_KIND_REJECT) fail_msg("message %zu was not rejected", i);
        assert_int_equal(p->fingerprint(state), before);
    }
    outbox_free(&out);
    p->destroy(state);
    free(options);
}

/* A fork goes on as its parent does. */
static void test_three_phase_forks_alike(void **unused) {
    (void)unused;
    struct error e;
    struct cluster *c = scenario_new_of("3pc", "nodes=5 seed=4 refuse=0.2");
    struct workload w;
    workload_standard(&w, "values");
    w.operations = 200;
    assert_int_equal(cluster_load(c, &w, &e), QRT_OK);
    scenario_run(c, 20 * MS);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 2, \"for\": 0.3}");
    scenario_run(c, 5 * MS);
    struct cluster *f = cluster_fork(c, &e);
    scenario_run(c, SECOND);
    scenario_run(f, SECOND);
    assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
    assert_int_equal(scenario_hash(c), scenario_hash(f));
    scenario_expect_sound(c, "parent");
    cluster_free(c);
    cluster_free(f);
}

/* The state's own consistency, after every event of a run with crashes and lost messages. */
static void test_three_phase_keeps_its_invariants(void **unused) {
    (void)unused;
    const char *options[] = {"nodes=5 seed=9 refuse=0.05"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct cluster *c = scenario_new_of("3pc", options[i]);
        scenario_load(c, "{\"machine\": \"values\", \"operations\": 300}");
        scenario_plan(c, "[{\"every\": 0.031, \"do\": \"crash\", \"node\": \"random\", \"effect\": 3, \"for\": 0.002},"
                         " {\"during\": [0, 2], \"do\": \"duplicate\", \"probability\": 0.2, \"spread\": \"5ms\"}]");
        scenario_step_soundly(c, 20000);
        assert_true(counts_of(c).committed > 20 && counts_of(c).aborted > 5);
        scenario_expect_sound(c, options[i]);
        cluster_free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_phase_costs_one_round_more),
        cmocka_unit_test(test_three_phase_does_not_block_when_its_coordinator_crashes),
        cmocka_unit_test(test_three_phase_recovers_from_a_crash_between_any_two_effects),
        cmocka_unit_test(test_three_phase_recovers_from_a_total_failure),
        cmocka_unit_test(test_three_phase_is_split_by_a_partition),
        cmocka_unit_test(test_three_phase_campaigns),
        cmocka_unit_test(test_three_phase_rejects_impossible_messages),
        cmocka_unit_test(test_three_phase_forks_alike),
        cmocka_unit_test(test_three_phase_keeps_its_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
