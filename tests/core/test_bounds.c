/* What a live run did to the assumptions of a protocol that needs a bound on delays (cluster/bounds.h), by traces made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/bounds.h"

#define MS 1000000
#define NODES 3

static const struct fault_model strict = {
    .synchrony = true, .crash_recovers = true, .loses_unsynced = true, .liars = "0"};

static uint64_t passed; /* events that reached the checkers' sink */

static void count(void *context, const qrt_event *e, uint64_t number) {
    (void)context, (void)e, (void)number;
    passed++;
}

static struct bounds *watch(void) {
    passed = 0;
    return bounds_new(&strict, NODES, 50 * MS, (struct trace_sink){1u << QRT_KIND_RECEIVE, count, NULL});
}

static void tell(struct bounds *b, int64_t at, uint8_t kind, uint8_t detail, uint16_t node, uint16_t peer,
                 uint64_t link) {
    qrt_event e = {.time = at, .kind = kind, .detail = detail, .node = node, .peer = peer, .link = link};
    struct trace_sink sink = bounds_sink(b);
    assert_true(sink.kinds >> kind & 1);
    sink.event(sink.context, &e, 0);
}

static void assert_breach(struct bounds *b, int64_t at, const char *how) {
    assert_int_equal(bounds_first(b)->at, at);
    if (how) assert_string_equal(bounds_first(b)->how, how);
    bounds_free(b);
}

/* A message that takes as long as the bound breaks nothing; one that takes longer is named, and so is the first only. */
static void test_a_late_message_is_named(void **state) {
    struct bounds *b = watch();
    (void)state;
    tell(b, 0, QRT_KIND_SEND, 1, 2, 3, 7);
    tell(b, 1 * MS, QRT_KIND_SEND, 1, 1, 3, 8);
    tell(b, 50 * MS, QRT_KIND_RECEIVE, 1, 3, 2, 7);
    assert_int_equal(bounds_first(b)->at, -1);
    tell(b, 60 * MS, QRT_KIND_SEND, 1, 2, 3, 9);
    tell(b, 72 * MS, QRT_KIND_RECEIVE, 1, 3, 1, 8);
    tell(b, 200 * MS, QRT_KIND_RECEIVE, 1, 3, 2, 9);
    assert_int_equal(passed, 3); /* of the kinds that the checkers want */
    assert_breach(b, 72 * MS, "delay bound 50 ms, n1 to n3 took 71 ms");
}

/* Clients are no members: what they wait for is nobody's bound. */
static void test_clients_have_no_bound(void **state) {
    struct bounds *b = watch();
    (void)state;
    tell(b, 0, QRT_KIND_SEND, 1, 1, QRT_CLIENT + 1, 7);
    tell(b, 90 * MS, QRT_KIND_RECEIVE, 1, QRT_CLIENT + 1, 1, 7);
    tell(b, 91 * MS, QRT_KIND_DROP, QRT_DROP_FULL, 1, QRT_CLIENT + 1, 9);
    assert_breach(b, -1, NULL);
}

/* A write counts from the sending of the message that caused it; one of its own from its beginning. */
static void test_a_slow_write_is_named(void **state) {
    struct bounds *b = watch();
    (void)state;
    tell(b, 0, QRT_KIND_SEND, 1, 1, 2, 7);
    tell(b, 30 * MS, QRT_KIND_RECEIVE, 1, 2, 1, 7);
    tell(b, 30 * MS, QRT_KIND_PERSIST, 0, 2, 0, 1);
    tell(b, 40 * MS, QRT_KIND_PERSIST, 0, 2, 0, 2);
    tell(b, 60 * MS, QRT_KIND_STORED, 0, 2, 0, 2);
    assert_int_equal(bounds_first(b)->at, -1);
    tell(b, 61 * MS, QRT_KIND_STORED, 0, 2, 0, 1);
    assert_breach(b, 61 * MS, "delay bound 50 ms, n2 took 61 ms until what a message made it write was durable");
}

/* What a plan did beyond the model, a message without a place to wait in, a timer: of several the earliest. */
static void test_the_earliest_breach_counts(void **state) {
    struct bounds *b = watch();
    (void)state;
    bounds_late(b, 1, 50 * MS, 10 * MS);
    tell(b, 10 * MS, QRT_KIND_CRASH, QRT_DISK_UNSYNCED_LOST, 1, 0, 0); /* the model has room for it */
    tell(b, 10 * MS, QRT_KIND_FAULT, FAULT_HEAL, 0, 0, 0);
    tell(b, 10 * MS, QRT_KIND_DROP, QRT_DROP_DOWN, 1, 2, 4);
    assert_int_equal(bounds_first(b)->at, -1);
    tell(b, 30 * MS, QRT_KIND_FAULT, FAULT_LOSS, 0, 0, 0);
    assert_string_equal(bounds_first(b)->assumes, "no message is lost");
    assert_string_equal(bounds_first(b)->how, "a fault of the plan: loss");
    bounds_late(b, 3, 71 * MS, 25 * MS);
    assert_string_equal(bounds_first(b)->how, "delay bound 50 ms, a timer of n3 rang 71 ms late");
    tell(b, 20 * MS, QRT_KIND_DROP, QRT_DROP_FULL, 1, 2, 5);
    assert_breach(b, 20 * MS, "n2 to n1 lost one: its queue was full, or its link did not stand");
    b = watch();
    tell(b, 5 * MS, QRT_KIND_CRASH, QRT_DISK_WIPED, 2, 0, 0);
    assert_string_equal(bounds_first(b)->assumes, "no disk is lost");
    assert_breach(b, 5 * MS, "the crash of n2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_late_message_is_named),
        cmocka_unit_test(test_clients_have_no_bound),
        cmocka_unit_test(test_a_slow_write_is_named),
        cmocka_unit_test(test_the_earliest_breach_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
