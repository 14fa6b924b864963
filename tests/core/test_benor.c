/* Ben-Or's rules one by one on a single node, then clusters: rounds it takes, agreement under crashes, what it says twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/campaign.h"
#include "support/steps.h"

#define MS INT64_C(1000000)

enum { REPORT = 1, SUGGEST = 2, DECIDED = 3, ASK = 4 };

static void hear(struct steps *s, uint16_t from, uint8_t what, uint32_t round, const char *value) {
    struct message m = {.kind = WIRE_BENOR};
    m.as.benor.instance = 1;
    m.as.benor.round = round;
    m.as.benor.what = what;
    m.as.benor.has = value != NULL;
    if (value) m.as.benor.value = bytes_text(value);
    steps_message(s, from, &m);
}

static struct wire_benor said(const struct steps *s) {
    return steps_sent(s, WIRE_BENOR, 0).as.benor;
}

/* The node of five proposes and its record is durable: it waits for two more reports. */
static struct steps *proposer(const char *value) {
    struct steps *s = steps_new("benor", 1, 5, NULL, 0);
    steps_propose(s, 9, value);
    assert_true(steps_place(s, FX_PERSIST) < steps_place(s, FX_SEND)); /* durable before it is said */
    assert_int_equal(steps_count_sent(s, WIRE_BENOR), 4);
    assert_int_equal(said(s).what, REPORT);
    steps_stored(s);
    return s;
}

/* Ben-Or 1983, step 2: a majority of all that reports v suggests v; less suggests nothing, for all that were heard. */
static void test_benor_suggests_what_a_majority_reports(void **unused) {
    (void)unused;
    struct steps *s = proposer("a");
    hear(s, 2, REPORT, 1, "a");
    assert_int_equal(steps_count(s, FX_SEND), 0);
    hear(s, 2, REPORT, 1, "a"); /* twice from one is once */
    assert_int_equal(steps_count(s, FX_SEND), 0);
    hear(s, 3, REPORT, 1, "a");
    assert_true(said(s).what == SUGGEST && said(s).has && said(s).round == 1);
    steps_free(s);
    s = proposer("a");
    hear(s, 2, REPORT, 1, "a");
    hear(s, 3, REPORT, 1, "b");
    assert_true(said(s).what == SUGGEST && !said(s).has);
    steps_free(s);
}

/* Step 3: f + 1 suggestions decide (3 of 5); one is the next estimate; none leaves it to the coin. */
static void test_benor_decides_by_f_plus_one_suggestions(void **unused) {
    (void)unused;
    for (int others = 0; others <= 2; others++) {
        struct steps *s = proposer("a");
        hear(s, 2, REPORT, 1, "a");
        hear(s, 3, REPORT, 1, "a");
        steps_stored(s);
        hear(s, 2, SUGGEST, 1, others >= 1 ? "a" : NULL);
        hear(s, 3, SUGGEST, 1, others >= 2 ? "a" : NULL);
        if (others == 2) {
            assert_int_equal(said(s).what, DECIDED);
            assert_int_equal(steps_count(s, FX_REPLY), 1);
            assert_int_equal(steps_count_noted(s, QRT_KIND_DECIDE), 1);
        } else {
            assert_true(said(s).what == REPORT && said(s).round == 2);
            assert_true(bytes_equal(said(s).value, bytes_text("a")));
            assert_int_equal(steps_count_noted(s, QRT_KIND_NOTE), 0); /* no coin: its own suggestion counts */
        }
        steps_free(s);
    }
    int heads = 0;
    for (int i = 0; i < 2; i++) {
        struct steps *s = proposer(i ? "b" : "a");
        hear(s, 2, REPORT, 1, i ? "a" : "b");
        hear(s, 3, REPORT, 1, i ? "a" : "b");
        steps_stored(s);
        hear(s, 2, SUGGEST, 1, NULL);
        hear(s, 3, SUGGEST, 1, NULL);
        assert_int_equal(steps_count_noted(s, QRT_KIND_NOTE), 1);
        assert_true(said(s).what == REPORT && said(s).has && said(s).value.size == 1);
        heads += *said(s).value.data == 'a';
        steps_free(s);
    }
    assert_int_equal(heads, 1); /* the same draw of two reported values that stand in the other order */
}

/* A node that was silent takes the first value that it hears of for its estimate. */
static void test_benor_wakes_with_what_it_hears(void **unused) {
    (void)unused;
    struct steps *s = steps_new("benor", 4, 5, NULL, 0);
    hear(s, 2, SUGGEST, 1, NULL); /* no value to wake with */
    assert_int_equal(steps_count(s, FX_SEND), 0);
    hear(s, 2, REPORT, 1, "b");
    assert_true(said(s).what == REPORT && bytes_equal(said(s).value, bytes_text("b")));
    steps_free(s);
}

/* Whoever asks about a phase that it has passed is answered with what it said there; nobody else is. */
static void test_benor_answers_those_behind(void **unused) {
    (void)unused;
    struct steps *s = proposer("a");
    hear(s, 2, REPORT, 1, "a");
    hear(s, 3, REPORT, 1, "a");
    hear(s, 4, REPORT, 1, "b"); /* late, but it has been told */
    assert_int_equal(steps_count(s, FX_SEND), 0);
    struct message m = {.kind = WIRE_BENOR};
    m.as.benor = (struct wire_benor){.instance = 1, .round = 1, .what = REPORT, .asks = 1, .has = 1};
    m.as.benor.value = bytes_text("b");
    steps_message(s, 4, &m);
    assert_int_equal(steps_count_sent(s, WIRE_BENOR), 1);
    assert_true(said(s).what == REPORT && !said(s).asks && bytes_equal(said(s).value, bytes_text("a")));
    steps_timer(s, 1); /* it asks itself: all whose suggestion it has not heard */
    assert_int_equal(steps_count_sent(s, WIRE_BENOR), 4);
    assert_true(said(s).what == SUGGEST && said(s).asks);
    steps_free(s);
}

/* What it said before a crash it says again, and nothing else, whatever is proposed then. */
static void test_benor_repeats_itself_after_a_crash(void **unused) {
    (void)unused;
    struct steps *s = steps_new("benor", 1, 5, NULL, 0);
    steps_propose(s, 9, "first");
    struct steps *r = steps_recovered(s, 5);
    assert_true(said(r).what == REPORT && bytes_equal(said(r).value, bytes_text("first")));
    steps_propose(r, 9, "second");
    assert_int_equal(steps_count(r, FX_SEND), 0);
    steps_free(r);
    steps_start(s, QRT_START_WIPED);
    r = steps_recovered(s, 5); /* wiped: it says nothing any more, also after the next start */
    hear(r, 2, REPORT, 1, "b");
    assert_int_equal(steps_count(r, FX_SEND), 0);
    hear(r, 2, DECIDED, 3, "b"); /* but learns */
    assert_int_equal(steps_count_noted(r, QRT_KIND_DECIDE), 1);
    steps_free(r);
    steps_free(s);
}

/* Bytes from a peer are validated: what no honest node says is rejected, and changes nothing. */
static void test_benor_rejects_what_no_peer_can_mean(void **unused) {
    (void)unused;
    struct steps *s = proposer("a");
    uint64_t before = s->protocol->fingerprint(s->state);
    hear(s, 2, REPORT, 1, NULL);
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    hear(s, 2, REPORT, 0, "a");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    hear(s, 2, 5, 1, "a");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    hear(s, 2, DECIDED, UINT32_MAX, "a");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    hear(s, 9, REPORT, 1, "a");
    assert_int_equal(steps_count_noted(s, QRT_KIND_REJECT), 1);
    assert_true(s->protocol->fingerprint(s->state) == before);
    steps_free(s);
}

static int64_t now_of(struct cluster *c) {
    return c->class->now(c->runtime);
}

/* Proposes value[node] everywhere and waits; the round of the decision. */
static uint64_t decide(struct cluster *c, const char *const *values) {
    uint16_t n = (uint16_t)c->config.options.nodes;
    uint64_t tickets[8], round = 0;
    struct error e = {0};
    qrt_result r;
    for (uint16_t node = 1; node <= n; node++)
        assert_int_equal(cluster_propose(c, node, bytes_text(values[node - 1]), &tickets[node], &e), QRT_OK);
    for (uint16_t node = 1; node <= n; node++) {
        cluster_await(c, tickets[node], now_of(c) + 5000 * MS, 0, &r, &e);
        if (r.status) fail_msg("%s", e.text);
        round = r.term > round ? r.term : round;
    }
    c->class->run(c->runtime, now_of(c) + 20 * MS, &(struct condition){0}, 0);
    return round;
}

/* Who agrees from the beginning decides in the first round: 2n(n-1) messages, and then each tells its decision. */
static void test_benor_unanimity_takes_one_round(void **unused) {
    (void)unused;
    static const char *const same[] = {"v", "v", "v", "v", "v"};
    struct cluster *c = steps_cluster("benor", "nodes=5 jitter=0 repeat=1s learn_interval=10s");
    assert_int_equal(decide(c, same), 1);
    assert_true(steps_traced(c, QRT_KIND_SEND, WIRE_BENOR, WIRE_BENOR) <= 3 * 5 * 4);
    assert_int_equal(steps_traced(c, QRT_KIND_DECIDE, 0, 0), 5);
    steps_expect_sound(c);
    cluster_free(c);
}

static double mean_rounds(unsigned nodes, const char *const *values) {
    uint64_t total = 0, decisions = 0;
    for (unsigned seed = 1; seed <= 10; seed++) {
        char options[48];
        snprintf(options, sizeof options, "nodes=%u seed=%u", nodes, seed);
        struct cluster *c = steps_cluster("benor", options);
        for (int i = 0; i < 30; i++, decisions++) total += decide(c, values);
        steps_expect_sound(c);
        cluster_free(c);
    }
    return (double)total / (double)decisions;
}

/* Termination with probability 1: bits split evenly, and as many values as nodes, are decided in a few rounds. */
static void test_benor_expected_rounds(void **unused) {
    (void)unused;
    static const char *const bits[] = {"0", "1", "0", "1", "0", "1"}, *const many[] = {"a", "b", "c", "d", "e", "f"};
    for (unsigned n = 2; n <= 6; n += 2) {
        double two = mean_rounds(n, bits), all = mean_rounds(n, many);
        print_message("%u nodes: %.2f rounds with bits, %.2f with a value each\n", n, two, all);
        assert_true(two >= 1 && two < 8);
        assert_true(all >= 1 && all < 16);
    }
}

/* A clone is equal, and goes its own way. */
static void test_benor_clones_are_independent(void **unused) {
    (void)unused;
    static const char *const values[] = {"a", "b", "c"};
    struct cluster *c = steps_cluster("benor", "nodes=3 seed=5");
    struct error e = {0};
    uint64_t ticket;
    for (int i = 0; i < 70; i++) decide(c, values);
    assert_int_equal(cluster_propose(c, 1, bytes_text("under way"), &ticket, &e), QRT_OK);
    struct cluster *f = cluster_fork(c, &e);
    assert_true(c->class->fingerprint(c->runtime) == f->class->fingerprint(f->runtime));
    decide(f, values);
    assert_true(c->class->fingerprint(c->runtime) != f->class->fingerprint(f->runtime));
    cluster_free(f);
    decide(c, values);
    steps_expect_sound(c);
    cluster_free(c);
}

/* Default seeds never disagree, and go on when the faults end. */
static void test_benor_campaign_is_clean(void **unused) {
    (void)unused;
    struct draw_request request = {protocol_find("benor"), 0, "", NULL, 10000, false, false};
    for (uint64_t seed = 1; seed <= 100; seed++) {
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
        cmocka_unit_test(test_benor_suggests_what_a_majority_reports),
        cmocka_unit_test(test_benor_decides_by_f_plus_one_suggestions),
        cmocka_unit_test(test_benor_wakes_with_what_it_hears),
        cmocka_unit_test(test_benor_answers_those_behind),
        cmocka_unit_test(test_benor_repeats_itself_after_a_crash),
        cmocka_unit_test(test_benor_rejects_what_no_peer_can_mean),
        cmocka_unit_test(test_benor_unanimity_takes_one_round),
        cmocka_unit_test(test_benor_expected_rounds),
        cmocka_unit_test(test_benor_clones_are_independent),
        cmocka_unit_test(test_benor_campaign_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
