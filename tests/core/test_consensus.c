/* The checker of consensus against the shortest sequences of events that break a property, each beside the nearest that is
 * legal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check/ballots.h"
#include "check/check.h"

struct run {
    struct checkers *checkers;
    struct trace_sink sink;
    uint64_t number;
};

static const uint16_t members[] = {1, 2, 3};

static struct run run_new(void) {
    struct check_config config = {.members = members, .member_count = 3, .judged_by = "consensus"};
    struct run r = {.checkers = checkers_new(&config)};
    r.sink = checkers_sink(r.checkers);
    return r;
}

static void emit(struct run *r, qrt_event e) {
    e.time = (int64_t)r->number;
    if (r->sink.kinds >> e.kind & 1) r->sink.event(r->sink.context, &e, r->number);
    r->number++;
}
static void propose(struct run *r, uint16_t node, uint64_t value) {
    emit(r, (qrt_event){.kind = QRT_KIND_PROPOSE, .node = node, .value = value});
}
static void ballot(struct run *r, uint16_t node, uint8_t what, uint64_t number, uint64_t value) {
    emit(r, (qrt_event){
                .kind = QRT_KIND_BALLOT, .node = node, .detail = what, .term = number, .index = 1, .value = value});
}
static void decide(struct run *r, uint16_t node, uint64_t number, uint64_t value) {
    emit(r, (qrt_event){.kind = QRT_KIND_DECIDE, .node = node, .term = number, .index = 1, .value = value});
}
static void restart(struct run *r, uint16_t node) {
    emit(r, (qrt_event){.kind = QRT_KIND_CRASH, .node = node});
    emit(r, (qrt_event){.kind = QRT_KIND_START, .node = node, .detail = QRT_START_RECOVERED});
}

/* Ends the run; `broken` is the one property that must be violated, NULL none. */
static void expect(struct run *r, const char *broken) {
    size_t count;
    const struct property *p = checkers_properties(r->checkers, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        bool wanted = broken && text_lists(broken, p[i].name);
        if (wanted != (p[i].verdict == VERDICT_VIOLATED)) fail_msg("%s: %s", p[i].name, p[i].text);
    }
    checkers_free(r->checkers);
}

/* Lynch 1996, 6.1: two decisions of an instance agree, whoever decides. */
static void test_consensus_two_values_break_agreement(void **unused) {
    (void)unused;
    struct run r = run_new();
    propose(&r, 1, 7);
    propose(&r, 2, 8);
    decide(&r, 1, 1, 7);
    decide(&r, 2, 1, 7);
    struct checkers *before = r.checkers;
    r.checkers = checkers_clone(before); /* a clone judges on by itself */
    r.sink = checkers_sink(r.checkers);
    decide(&r, 3, 1, 8);
    expect(&r, "agreement");
    r.checkers = before;
    expect(&r, NULL);
}

/* What nobody proposed may not be decided; what anybody did, may. */
static void test_consensus_an_invented_value_breaks_validity(void **unused) {
    (void)unused;
    struct run r = run_new();
    for (uint64_t v = 0; v < 200; v++) propose(&r, 1, v * 0x9e3779b97f4a7c15u);
    decide(&r, 2, 1, 199 * 0x9e3779b97f4a7c15u);
    expect(&r, NULL);
    r = run_new();
    propose(&r, 1, 7);
    decide(&r, 2, 1, 9);
    expect(&r, "validity");
}

/* A node decides once in each life; after a crash it may learn the same again, and nothing else. */
static void test_consensus_deciding_twice_breaks_integrity(void **unused) {
    (void)unused;
    struct run r = run_new();
    propose(&r, 1, 7);
    decide(&r, 1, 1, 7);
    restart(&r, 1);
    decide(&r, 1, 1, 7);
    expect(&r, NULL);
    r = run_new();
    propose(&r, 1, 7);
    decide(&r, 1, 1, 7);
    decide(&r, 1, 1, 7);
    expect(&r, "integrity");
    r = run_new();
    propose(&r, 1, 7);
    propose(&r, 1, 8);
    decide(&r, 1, 1, 7);
    restart(&r, 1);
    decide(&r, 1, 1, 8);
    expect(&r, "integrity agreement");
}

/* A decision stands on a quorum of acceptances of that very ballot and value. */
static void test_consensus_a_decision_needs_its_quorum(void **unused) {
    (void)unused;
    struct run r = run_new();
    propose(&r, 1, 7);
    ballot(&r, 1, QRT_BALLOT_ACCEPT, 0x10001, 7);
    ballot(&r, 1, QRT_BALLOT_ACCEPTED, 0x10001, 7);
    ballot(&r, 3, QRT_BALLOT_ACCEPTED, 0x10001, 7);
    decide(&r, 1, 0x10001, 7);
    expect(&r, NULL);
    r = run_new();
    propose(&r, 1, 7);
    ballot(&r, 1, QRT_BALLOT_ACCEPTED, 0x10001, 7);
    ballot(&r, 1, QRT_BALLOT_ACCEPTED, 0x10001, 7); /* one acceptor, twice */
    ballot(&r, 3, QRT_BALLOT_ACCEPTED, 0x20001, 7); /* another ballot */
    decide(&r, 1, 0x10001, 7);
    expect(&r, "ballot-quorum");
}

/* Lamport 2001: a ballot has one value. */
static void test_consensus_a_ballot_with_two_values(void **unused) {
    (void)unused;
    struct run r = run_new();
    ballot(&r, 1, QRT_BALLOT_ACCEPT, 0x10001, 7);
    ballot(&r, 2, QRT_BALLOT_ACCEPTED, 0x10001, 8);
    expect(&r, "ballot-quorum");
}

/* Where acceptors stand apart, their number makes the quorum, not that of the members. */
static void test_consensus_counts_the_acceptors(void **unused) {
    (void)unused;
    struct run r = run_new();
    emit(&r, (qrt_event){.kind = QRT_KIND_STATE, .node = 1, .detail = 5});
    emit(&r, (qrt_event){.kind = QRT_KIND_STATE, .node = 3, .detail = 6});
    propose(&r, 1, 7);
    ballot(&r, 3, QRT_BALLOT_ACCEPTED, 0x10001, 7);
    decide(&r, 1, 0x10001, 7);
    expect(&r, NULL);
}

/* The report has the acceptors of each ballot and the moment of its quorum. */
static void test_consensus_ballots_are_listed(void **unused) {
    (void)unused;
    struct ballots b;
    struct buffer out = {0};
    qrt_event e = {.kind = QRT_KIND_BALLOT, .node = 2, .detail = QRT_BALLOT_ACCEPTED, .term = 0x30001, .index = 4};
    ballots_init(&b, 3, NULL, NULL);
    e.value = 0xab;
    ballots_event(&b, &e);
    assert_int_equal(ballots_find(&b, 0, 4, 0x30001)->chosen_at, -1);
    e.node = 3;
    e.time = 1500000000;
    ballots_event(&b, &e);
    ballots_print(&b, &out);
    assert_string_equal(buffer_text(&out),
                        "[{\"group\": 0, \"instance\": 4, \"ballot\": 196609, \"round\": 3, \"node\": 1, \"value\": "
                        "\"00000000000000ab\", \"quorum\": [2, 3], \"time\": 1.500000000}]");
    assert_null(ballots_find(&b, 0, 5, 0x30001));
    buffer_free(&out);
    ballots_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consensus_two_values_break_agreement),
        cmocka_unit_test(test_consensus_an_invented_value_breaks_validity),
        cmocka_unit_test(test_consensus_deciding_twice_breaks_integrity),
        cmocka_unit_test(test_consensus_a_decision_needs_its_quorum),
        cmocka_unit_test(test_consensus_a_ballot_with_two_values),
        cmocka_unit_test(test_consensus_counts_the_acceptors),
        cmocka_unit_test(test_consensus_ballots_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
