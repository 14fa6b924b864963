/* Elections by timestamp and id, by bullying, on a ring: who wins, what it costs, what each stands and what it does not. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/campaign.h"
#include "protocol/election.h"
#include "support/campaigns.h"
#include "support/scenario.h"

static const char *const elections[] = {"timestamp", "bully", "ring"};

static uint64_t ask(struct cluster *c, uint16_t node) {
    struct error e = {0};
    uint64_t ticket = 0;
    if (cluster_propose(c, node, bytes_text("elect"), &ticket, &e)) fail_msg("%s", e.text);
    return ticket;
}

static qrt_result answer_to(struct cluster *c, uint64_t ticket) {
    struct error e = {0};
    qrt_result r = {0};
    assert_int_equal(cluster_await(c, ticket, scenario_now(c) + 5 * SECOND, 0, &r, &e), QRT_OK);
    return r;
}

static qrt_result elect(struct cluster *c, uint16_t node) {
    qrt_result r = answer_to(c, ask(c, node));
    if (r.status) fail_msg("no election at n%u: %s", node, qrt_strerror(r.status));
    return r;
}

static size_t sends(struct cluster *c, uint8_t kind, uint64_t stage) { /* stage 0: of any */
    const struct trace *t = scenario_trace(c);
    size_t count = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        count += e->kind == QRT_KIND_SEND && e->detail == kind && (!stage || e->index == stage);
    }
    return count;
}

/* ---- what it costs ---- */

/* Everybody begins at once on a ring of that arrangement: messages until all know, confirmations apart. */
static size_t ring_messages(int n, const char *arrangement, int shuffle) {
    char options[128];
    snprintf(options, sizeof options, "nodes=%d seed=1 arrangement=%s shuffle=%d", n, arrangement, shuffle);
    struct cluster *c = scenario_new_of("ring", options);
    for (int i = 1; i <= n; i++) ask(c, (uint16_t)i);
    scenario_run(c, SECOND);
    for (int i = 1; i <= n; i++) assert_int_equal(scenario_node(c, (uint16_t)i).status.leader, n);
    size_t count = sends(c, WIRE_RING, 0);
    assert_int_equal(sends(c, WIRE_RING_CONFIRMED, 0), count);
    scenario_expect_sound(c, "ring");
    cluster_free(c);
    return count;
}

/* PROTOCOLS: Chang-Roberts costs n(n+1)/2 + n at worst, which is with the ids falling along the ring; 3n-1 at best. */
static void test_election_ring_costs_at_worst_and_at_best(void **unused) {
    (void)unused;
    for (int n = 2; n <= 12; n++) {
        assert_int_equal(ring_messages(n, "descending", 1), n * (n + 1) / 2 + n);
        assert_int_equal(ring_messages(n, "ascending", 1), 3 * n - 1);
    }
}

/* PROTOCOLS: n H_n + n on the average over the arrangements: n = 8 has 29.743; 1000 shuffles of a standard deviation below 5
 * have an average within 0.6 of it (3.8 sigma). */
static void test_election_ring_costs_on_the_average(void **unused) {
    (void)unused;
    double expected = 8, sum = 0;
    for (int k = 1; k <= 8; k++) expected += 8.0 / k;
    for (int shuffle = 1; shuffle <= 1000; shuffle++) sum += (double)ring_messages(8, "shuffled", shuffle);
    double average = sum / 1000;
    if (average < expected - 0.6 || average > expected + 0.6)
        fail_msg("average %.3f, expected %.3f", average, expected);
}

/* PROTOCOLS: the bully's worst case, summed over all elections that the lowest node's question starts: n^2 - 1. */
static void test_election_bully_costs_at_worst(void **unused) {
    (void)unused;
    for (int n = 2; n <= 12; n++) {
        char options[64];
        snprintf(options, sizeof options, "nodes=%d seed=%d", n, n);
        struct cluster *c = scenario_new_of("bully", options);
        assert_int_equal(elect(c, 1).leader, n);
        scenario_run(c, SECOND);
        assert_int_equal(sends(c, WIRE_BULLY, 1), n * (n - 1) / 2);
        assert_int_equal(sends(c, WIRE_BULLY, 2), n * (n - 1) / 2);
        assert_int_equal(sends(c, WIRE_BULLY, 3), n - 1);
        assert_int_equal(sends(c, WIRE_BULLY, 0), n * n - 1);
        cluster_free(c);
    }
}

/* Request, reply, result: 3(n-1), and n-1 confirmations apart. */
static void test_election_timestamp_costs(void **unused) {
    (void)unused;
    for (int n = 2; n <= 9; n++) {
        char options[64];
        snprintf(options, sizeof options, "nodes=%d seed=%d", n, n);
        struct cluster *c = scenario_new_of("timestamp", options);
        elect(c, 1);
        scenario_run(c, SECOND);
        for (uint64_t stage = 1; stage <= 5; stage++)
            assert_int_equal(sends(c, WIRE_TIMESTAMP_ELECTION, stage), stage == 3 ? 0 : n - 1);
        cluster_free(c);
    }
}

/* ---- who wins, whoever is down ---- */

static int set_size(unsigned set) {
    return __builtin_popcount(set);
}

/* Crashes the nodes of a set, one bit each, and asks every other one after the other. */
static void elect_without(const char *protocol, int n, unsigned down) {
    char options[64];
    uint64_t epoch = 0;
    uint16_t highest = 0;
    snprintf(options, sizeof options, "nodes=%d seed=%u", n, down + 1);
    struct cluster *c = scenario_new_of(protocol, options);
    for (uint16_t i = 1; i <= n; i++) {
        if (down >> (i - 1) & 1)
            scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", i);
        else
            highest = i;
    }
    for (uint16_t i = 1; i <= n; i++) {
        if (down >> (i - 1) & 1) continue;
        qrt_result r = elect(c, i);
        char text[8];
        snprintf(text, sizeof text, "%u", r.leader);
        assert_int_equal(r.size, strlen(text));
        assert_memory_equal(r.data, text, r.size);
        assert_false(down >> (r.leader - 1) & 1);
        if (strcmp(protocol, "timestamp")) assert_int_equal(r.leader, highest);
        assert_true(r.term > epoch);
        epoch = r.term;
        scenario_run(c, SECOND);
        for (uint16_t k = 1; k <= n; k++) {
            struct node_view v = scenario_node(c, k);
            if (!v.up) continue;
            assert_int_equal(v.status.leader, r.leader);
            assert_int_equal(v.status.role == QRT_ROLE_LEADER, k == r.leader);
        }
    }
    scenario_expect_sound(c, protocol);
    cluster_free(c);
}

/* PROTOCOLS: the timestamp election terminates under any crash of a minority; bully and ring under any crash at all. */
static void test_election_terminates_whoever_is_down(void **unused) {
    (void)unused;
    for (unsigned down = 0; down < 32; down++) {
        if (set_size(down) <= 2) elect_without("timestamp", 5, down);
        if (set_size(down) < 5) elect_without("bully", 5, down);
        if (set_size(down) < 5) elect_without("ring", 5, down);
    }
}

/* The highest (timestamp, id): who started last wins, be its id the lowest; without a majority nobody does. */
static void test_election_timestamp_prefers_the_latest(void **unused) {
    (void)unused;
    struct cluster *c = scenario_new_of("timestamp", "nodes=3 seed=5");
    scenario_run(c, SECOND);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
    scenario_fault(c, "{\"do\": \"restart\", \"node\": 1}");
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 3}");
    scenario_run(c, SECOND);
    assert_int_equal(elect(c, 2).leader, 1);
    scenario_fault(c, "{\"do\": \"crash\", \"node\": 1}");
    scenario_run(c, SECOND);
    uint64_t ticket = ask(c, 2);
    scenario_run(c, 2 * SECOND);
    qrt_result r;
    struct error e;
    assert_int_equal(cluster_result(c, ticket, &r, &e), QRT_MORE); /* one of three */
    scenario_fault(c, "{\"do\": \"restart\", \"node\": 3}");
    assert_int_equal(answer_to(c, ticket).leader, 3); /* the latest again */
    scenario_expect_sound(c, "the latest");
    cluster_free(c);
}

/* A node that was down and has the highest id takes the lead when it is back; the one before it steps down first. */
static void test_election_the_highest_takes_over_when_it_is_back(void **unused) {
    (void)unused;
    for (int i = 1; i < 3; i++) {
        struct cluster *c = scenario_new_of(elections[i], "nodes=4 seed=2");
        elect(c, 2);
        scenario_run(c, SECOND);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": 4}");
        assert_int_equal(elect(c, 2).leader, 3);
        scenario_run(c, SECOND);
        scenario_fault(c, "{\"do\": \"restart\", \"node\": 4}");
        scenario_run(c, SECOND);
        for (uint16_t k = 1; k <= 4; k++) assert_int_equal(scenario_node(c, k).status.leader, 4);
        scenario_expect_sound(c, elections[i]);
        cluster_free(c);
    }
}

static enum verdict verdict_of(struct cluster *c, const char *name) {
    size_t count;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].name, name)) return p[i].verdict;
    fail_msg("no property %s", name);
    return VERDICT_UNKNOWN;
}

/* Beyond the model: a partition gives bully and ring two leaders; the timestamp election none on the smaller side. */
static void test_election_apart_two_lead_or_one(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        struct cluster *c = scenario_new_of(elections[i], "nodes=5 seed=3");
        scenario_fault(c, "{\"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]]}");
        uint64_t small = ask(c, 1), large = ask(c, 3);
        scenario_run(c, 3 * SECOND);
        struct error e;
        qrt_result r;
        assert_int_equal(cluster_result(c, large, &r, &e), QRT_OK);
        assert_int_equal(cluster_result(c, small, &r, &e), i ? QRT_OK : QRT_MORE);
        if (i) assert_int_equal(verdict_of(c, "one-leader-at-a-time"), VERDICT_VIOLATED);
        assert_int_equal(verdict_of(c, "one-leader-an-epoch"), VERDICT_OK);
        cluster_free(c);
    }
}

/* A detector's verdict on the leader is reason enough for an election. */
static void test_election_heeds_a_detector(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        struct cluster *c = scenario_new_of(elections[i], "nodes=5 seed=4 detector=timeout");
        uint16_t first = elect(c, 2).leader;
        scenario_run(c, SECOND);
        scenario_fault(c, "{\"do\": \"crash\", \"node\": %u}", first);
        scenario_run(c, 2 * SECOND);
        uint16_t second = scenario_node(c, first == 1 ? 2 : 1).status.leader;
        assert_true(second && second != first);
        assert_int_equal(scenario_node(c, second).status.role, QRT_ROLE_LEADER);
        cluster_free(c);
    }
}

/* ---- bytes and clones ---- */

/* DESIGN: what no honest peer sends is rejected, counted, and changes nothing. */
static void test_election_rejects_what_no_honest_peer_sends(void **unused) {
    (void)unused;
    static const uint16_t members[] = {1, 2, 3};
    struct message bad[] = {{.kind = WIRE_TIMESTAMP_ELECTION},
                            {.kind = WIRE_TIMESTAMP_ELECTION},
                            {.kind = WIRE_BULLY},
                            {.kind = WIRE_BULLY},
                            {.kind = WIRE_RING},
                            {.kind = WIRE_RING},
                            {.kind = WIRE_VOTE_REQUEST},
                            {.kind = WIRE_VOTE_REQUEST},
                            {.kind = WIRE_VOTE_REQUEST}};
    const char *const whose[] = {"timestamp", "timestamp", "bully", "bully", "ring",
                                 "ring",      "timestamp", "bully", "ring"};
    bad[0].as.timestamp_election = (struct wire_timestamp_election){.epoch = 1, .stage = 9};
    bad[1].as.timestamp_election = (struct wire_timestamp_election){.epoch = 1, .stage = 4, .leader = 7};
    bad[2].as.bully = (struct wire_bully){.epoch = 0, .stage = 3};
    bad[3].as.bully = (struct wire_bully){.epoch = UINT64_MAX, .stage = 1};
    bad[4].as.ring = (struct wire_ring){.number = 1, .epoch = 1, .candidate = 9, .hops = 1, .stage = 1};
    bad[5].as.ring = (struct wire_ring){.number = 1, .epoch = 1, .candidate = 2, .hops = 9999, .stage = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct protocol *p = protocol_find(whose[i]);
        uint64_t options[8];
        option_defaults(&p->options, options);
        struct protocol_config config = {
            .node = 1, .members = members, .member_count = 3, .seed = 1, .options = options};
        void *state = p->create(&config);
        struct outbox out = {.node = 1};
        struct event start = {.kind = EVENT_START}, e = {.kind = EVENT_MESSAGE};
        start.as.start.how = QRT_START_FORMAT;
        p->step(state, &start, &out);
        uint64_t before = p->fingerprint(state);
        outbox_clear(&out);
        bad[i].from = 2;
        e.as.message = &bad[i];
        p->step(state, &e, &out);
        bool rejected = out.count == 1 && out.effects[0].kind == FX_NOTE && out.effects[0].a == QRT_KIND_REJECT;
        if (!rejected) fail_msg("message %zu was not rejected", i);
        assert_int_equal(p->fingerprint(state), before);
        p->destroy(state);
        outbox_free(&out);
    }
}

/* A fork in the middle of an election does what its parent does. */
static void test_election_forks(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        struct cluster *c = scenario_new_of(elections[i], "nodes=5 seed=9");
        struct error e;
        for (uint16_t k = 1; k <= 5; k++) ask(c, k);
        c->class->step(c->runtime, 40);
        struct cluster *f = cluster_fork(c, &e);
        assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
        scenario_run(c, SECOND);
        scenario_run(f, SECOND);
        assert_int_equal(scenario_hash(c), scenario_hash(f));
        assert_int_equal(scenario_fingerprint(c), scenario_fingerprint(f));
        assert_int_not_equal(scenario_node(f, 1).status.leader, 0);
        cluster_free(c);
        cluster_free(f);
    }
}

/* ---- campaigns ---- */

static json_t *campaign_of(const char *protocol, int seeds, const char *rest) {
    return campaigns_run("{\"protocol\": \"%s\", \"seeds\": %d%s}", protocol, seeds, rest);
}

/* Clean inside the model of each, every condition met. */
static void test_election_campaigns_are_clean(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++) {
        json_t *report = campaign_of(elections[i], 200, "");
        campaigns_expect_clean(report);
        json_decref(report);
    }
}

static bool has_lie(json_t *violation) {
    char *plan = json_dumps(json_object_get(violation, "run"), JSON_COMPACT);
    bool lie = strstr(plan, "\"do\":\"lie\"") != NULL;
    free(plan);
    return lie;
}

/* Outside of it, bully and ring have two leaders at a time; two of one epoch only where a node lies. */
static void test_election_campaigns_outside_find_two_leaders(void **unused) {
    (void)unused;
    for (int i = 1; i < 3; i++) {
        json_t *report = campaign_of(elections[i], 50, ", \"outside\": true");
        assert_true(campaigns_hits(report, "one-leader-at-a-time") > 10);
        size_t at;
        json_t *violation, *names = NULL;
        json_array_foreach(json_object_get(report, "violations"), at, violation) {
            names = json_object_get(violation, "properties");
            for (size_t k = 0; k < json_array_size(names); k++)
                if (!strcmp(json_string_value(json_array_get(names, k)), "one-leader-an-epoch"))
                    assert_true(has_lie(violation));
        }
        assert_non_null(names);
        json_decref(report);
    }
}

/* BUGS: each mistake is caught by the property that it names. */
static void test_election_campaigns_catch_every_mistake(void **unused) {
    (void)unused;
    for (int i = 0; i < 3; i++)
        for (const struct bug *b = protocol_find(elections[i])->bugs; b->name; b++) {
            char rest[64];
            snprintf(rest, sizeof rest, ", \"bug\": \"%s\"", b->name);
            json_t *report = campaign_of(elections[i], 300, rest);
            if (campaigns_hits(report, b->property) == 0)
                fail_msg("%s, %s: %s never fired", elections[i], b->name, b->property);
            json_decref(report);
        }
}

/* A run file says what its run was measured in, where no option does: a failing run replays. */
static void test_election_run_files_replay(void **unused) {
    (void)unused;
    json_t *report = campaign_of("bully", 3, ", \"bug\": \"leads-before-heard\"");
    json_t *failing = json_array_get(json_object_get(report, "violations"), 0);
    char *text = json_dumps(json_object_get(failing, "run"), 0);
    struct run_spec spec;
    struct error e = {0};
    if (spec_parse(&spec, bytes_text(text), &e)) fail_msg("%s", e.text);
    uint64_t hash = spec.hash;
    struct runner *r = runner_new(&spec, false, &e);
    runner_step(r, 0);
    assert_int_equal(r->result.hash, hash);
    runner_free(r, NULL);
    free(text);
    json_decref(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_election_ring_costs_at_worst_and_at_best),
        cmocka_unit_test(test_election_ring_costs_on_the_average),
        cmocka_unit_test(test_election_bully_costs_at_worst),
        cmocka_unit_test(test_election_timestamp_costs),
        cmocka_unit_test(test_election_terminates_whoever_is_down),
        cmocka_unit_test(test_election_timestamp_prefers_the_latest),
        cmocka_unit_test(test_election_the_highest_takes_over_when_it_is_back),
        cmocka_unit_test(test_election_apart_two_lead_or_one),
        cmocka_unit_test(test_election_heeds_a_detector),
        cmocka_unit_test(test_election_rejects_what_no_honest_peer_sends),
        cmocka_unit_test(test_election_forks),
        cmocka_unit_test(test_election_campaigns_are_clean),
        cmocka_unit_test(test_election_campaigns_outside_find_two_leaders),
        cmocka_unit_test(test_election_campaigns_catch_every_mistake),
        cmocka_unit_test(test_election_run_files_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
