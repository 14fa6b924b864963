/* The checker of atomic commit, on traces made by hand: it sees each broken property, and stays silent where a sound run looks
 * odd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/atomic.h"

#define T1 ((UINT64_C(1) << 48) | 1)
#define T2 ((UINT64_C(2) << 48) | 1)

struct run {
    struct checkers *checkers;
    struct trace_sink sink;
    uint64_t number;
    int64_t time;
};

static struct run run_new(uint64_t memory) {
    static const uint16_t members[] = {1, 2, 3};
    struct check_config config = {
        .members = members, .member_count = 3, .memory = memory, .judged_by = "atomic-commit"};
    struct run r = {.checkers = checkers_new(&config)};
    r.sink = checkers_sink(r.checkers);
    return r;
}

static void emit(struct run *r, uint16_t node, uint8_t kind, uint8_t detail, uint64_t id, uint64_t term) {
    qrt_event e = {.time = ++r->time, .node = node, .kind = kind, .detail = detail, .term = term, .index = id};
    if (kind == QRT_KIND_STATE) e.peer = (uint16_t)(id >> 48);
    if (r->sink.kinds >> kind & 1) r->sink.event(r->sink.context, &e, r->number);
    r->number++;
}

static void begin(struct run *r, uint64_t id, unsigned participants) {
    emit(r, (uint16_t)(id >> 48), QRT_KIND_STATE, QRT_TRANSACTION_BEGUN, id, participants);
}

static void vote(struct run *r, uint16_t node, uint8_t which, uint64_t id) {
    emit(r, node, QRT_KIND_VOTE, which, id, 0);
}

static void decide(struct run *r, uint16_t node, bool commit, uint64_t id) {
    emit(r, node, QRT_KIND_DECIDE, commit ? 1 : 2, id, 0);
    emit(r, node, QRT_KIND_STATE, commit ? QRT_TRANSACTION_COMMITTED : QRT_TRANSACTION_ABORTED, id, 0);
}

/* The names of all violated properties, separated by spaces; frees the run. */
static void expect(struct run *r, const char *violated) {
    char found[256] = "";
    size_t count;
    const struct property *p = checkers_properties(r->checkers, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        if (p[i].verdict != VERDICT_VIOLATED) continue;
        if (*found) strcat(found, " ");
        strcat(found, p[i].name);
        assert_true(*p[i].text);
    }
    assert_string_equal(found, violated);
    checkers_free(r->checkers);
}

/* AC1: two nodes that decide otherwise, whoever is first. */
static void test_atomic_sees_two_outcomes(void **unused) {
    (void)unused;
    for (int first = 0; first < 2; first++) {
        struct run r = run_new(0);
        begin(&r, T1, 2);
        vote(&r, 1, QRT_VOTE_YES, T1);
        vote(&r, 2, QRT_VOTE_YES, T1);
        emit(&r, 3, QRT_KIND_TIMER, 0, 1, 0);
        decide(&r, 1, first, T1);
        decide(&r, 2, !first, T1);
        expect(&r, "atomicity");
    }
}

/* AC2: a node that reverses its decision, here over a crash. It is a second outcome as well. */
static void test_atomic_sees_a_reversed_decision(void **unused) {
    (void)unused;
    struct run r = run_new(0);
    begin(&r, T1, 1);
    vote(&r, 1, QRT_VOTE_YES, T1);
    decide(&r, 1, true, T1);
    emit(&r, 1, QRT_KIND_CRASH, 1, 0, 0);
    emit(&r, 1, QRT_KIND_START, 2, 0, 0);
    decide(&r, 1, false, T1);
    expect(&r, "atomicity decision-stable");
}

/* AC3: a commit over a no, and a commit that did not wait for every vote. A read-only vote agrees. */
static void test_atomic_sees_a_commit_without_the_votes(void **unused) {
    (void)unused;
    struct run r = run_new(0);
    begin(&r, T1, 2);
    vote(&r, 1, QRT_VOTE_YES, T1);
    vote(&r, 2, QRT_VOTE_NO, T1);
    decide(&r, 1, true, T1);
    expect(&r, "commit-validity");
    r = run_new(0);
    begin(&r, T1, 3);
    vote(&r, 1, QRT_VOTE_YES, T1);
    vote(&r, 1, QRT_VOTE_YES, T1); /* twice is once */
    vote(&r, 2, QRT_VOTE_READ_ONLY, T1);
    decide(&r, 1, true, T1);
    expect(&r, "commit-validity");
    r = run_new(0);
    begin(&r, T1, 2);
    vote(&r, 1, QRT_VOTE_YES, T1);
    vote(&r, 2, QRT_VOTE_READ_ONLY, T1);
    decide(&r, 1, true, T1);
    expect(&r, "");
}

/* AC4: an abort for no reason. A no, a lost message, a crash or a time-out anywhere is a reason. */
static void test_atomic_sees_a_trivial_abort(void **unused) {
    (void)unused;
    const uint8_t reasons[] = {0, QRT_KIND_TIMER, QRT_KIND_DROP, QRT_KIND_CRASH, QRT_KIND_PAUSE, QRT_KIND_FAULT};
    for (size_t i = 0; i < sizeof reasons; i++) {
        struct run r = run_new(0);
        emit(&r, 3, QRT_KIND_TIMER, 0, 1, 0); /* before it began: no reason */
        begin(&r, T1, 2);
        vote(&r, 1, QRT_VOTE_YES, T1);
        if (reasons[i]) emit(&r, 3, reasons[i], 1, 1, 0);
        vote(&r, 2, QRT_VOTE_YES, T1);
        decide(&r, 1, false, T1);
        expect(&r, i ? "" : "non-triviality");
    }
    struct run r = run_new(0);
    begin(&r, T1, 2);
    vote(&r, 1, QRT_VOTE_YES, T1);
    decide(&r, 1, false, T1); /* n2 has not voted */
    vote(&r, 2, QRT_VOTE_YES, T1);
    expect(&r, "");
}

/* What is not known is not judged: a transaction whose beginning was not seen, votes of an election, other transactions. */
static void test_atomic_is_silent_about_what_it_does_not_know(void **unused) {
    (void)unused;
    struct run r = run_new(0);
    vote(&r, 2, QRT_VOTE_YES, T1);
    decide(&r, 2, true, T1);
    decide(&r, 1, true, T1);
    emit(&r, 1, QRT_KIND_VOTE, 0, T1, 7);
    decide(&r, 3, false, T2);
    decide(&r, 2, false, T2);
    emit(&r, 3, QRT_KIND_DECIDE, 0, T1, 0); /* of a consensus protocol */
    expect(&r, "");
}

/* Who is blocked, since when and until when; a crash ends it, and so does the decision. */
static void test_atomic_measures_blocking(void **unused) {
    (void)unused;
    struct run r = run_new(0);
    struct atomic_counts n;
    struct atomic_episode b;
    begin(&r, T1, 2);
    for (uint16_t node = 2; node <= 3; node++) vote(&r, node, QRT_VOTE_YES, T1);
    emit(&r, 2, QRT_KIND_STATE, QRT_TRANSACTION_PREPARED, T1, 0);
    emit(&r, 3, QRT_KIND_STATE, QRT_TRANSACTION_PREPARED, T1, 0);
    r.time = 100;
    emit(&r, 2, QRT_KIND_STATE, QRT_TRANSACTION_BLOCKED, T1, 0);
    emit(&r, 3, QRT_KIND_STATE, QRT_TRANSACTION_BLOCKED, T1, 0);
    assert_true(atomic_counts_of(r.checkers, &n));
    assert_int_equal(n.undecided, 2);
    assert_int_equal(n.blocked, 2);
    r.time = 200;
    emit(&r, 2, QRT_KIND_CRASH, 1, 0, 0);
    struct checkers *clone = checkers_clone(r.checkers);
    r.time = 300;
    decide(&r, 3, true, T1);
    assert_true(atomic_counts_of(r.checkers, &n) && n.undecided == 0 && n.blocked == 0 && n.episodes == 2);
    assert_true(atomic_episode_at(r.checkers, 0, &b) && b.node == 2 && b.manager == 1 && b.since == 101 &&
                b.until == 201);
    assert_true(atomic_episode_at(r.checkers, 1, &b) && b.node == 3 && b.since == 102 && b.until == 302);
    assert_false(atomic_episode_at(r.checkers, 2, &b));
    assert_true(atomic_episode_at(clone, 1, &b) && b.until == INT64_MAX);
    assert_true(atomic_counts_of(clone, &n) && n.undecided == 1 && n.blocked == 1);
    assert_int_equal(atomic_begun(r.checkers, 1, 0, 0), T1);
    assert_int_equal(atomic_begun(r.checkers, 1, 0, 50), 0);
    assert_int_equal(atomic_begun(r.checkers, 2, 0, 0), 0);
    checkers_free(clone);
    expect(&r, "");
}

/* A spent budget is unknown, never a verdict. */
static void test_atomic_memory_budget(void **unused) {
    (void)unused;
    struct run r = run_new(1 << 16);
    size_t count;
    for (uint64_t i = 1; i < 10000; i++) decide(&r, 1, true, i);
    const struct property *p = checkers_properties(r.checkers, &count);
    for (size_t i = 0; i < count; i++) assert_int_equal(p[i].verdict, VERDICT_UNKNOWN);
    checkers_free(r.checkers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomic_sees_two_outcomes),
        cmocka_unit_test(test_atomic_sees_a_reversed_decision),
        cmocka_unit_test(test_atomic_sees_a_commit_without_the_votes),
        cmocka_unit_test(test_atomic_sees_a_trivial_abort),
        cmocka_unit_test(test_atomic_is_silent_about_what_it_does_not_know),
        cmocka_unit_test(test_atomic_measures_blocking),
        cmocka_unit_test(test_atomic_memory_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
