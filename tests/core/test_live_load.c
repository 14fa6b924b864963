/* Loads that a node makes by itself, and the bare rounds that they are measured against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live_bare.h"

#define SECOND INT64_C(1000000000)

static struct cluster *cluster_with(const char *transport, const char *disk) {
    struct setting settings[] = {{"runtime", "live"},       {"nodes", "3"},           {"disk", disk},
                                 {"election_timeout", "2"}, {"transport", transport}, {"curve", "false"}};
    struct error e = {0};
    struct cluster *c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    if (!c) fail_msg("%s", e.text);
    if (cluster_run(c, 30 * SECOND, "leader", 0, &e)) fail_msg("%s", e.text);
    return c;
}

static uint64_t begin(struct cluster *c, uint16_t node, const struct load_spec *spec) {
    uint64_t number;
    assert_int_equal(live_load(c->runtime, node, spec, &number), QRT_OK);
    return number;
}

static qrt_status end(struct cluster *c, uint64_t number, struct load_report *r) {
    struct condition answered = {CONDITION_TICKET, 0, number};
    struct ticket t;
    struct bytes data;
    assert_int_equal(c->class->run(c->runtime, c->class->now(c->runtime) + 60 * SECOND, &answered, 0), QRT_OK);
    assert_true(c->class->ticket(c->runtime, number, &t, &data));
    if (data.size == sizeof *r) memcpy(r, data.data, sizeof *r);
    return t.status;
}

/* All is committed, and nothing is lost on the way: a queue that is not full never looks full, however fast the burst. */
static void loads(const char *transport, const char *disk, uint32_t count) {
    struct cluster *c = cluster_with(transport, disk);
    struct load_spec spec = {.window = 64, .count = count, .size = 128};
    struct load_report r = {0};
    struct runtime_counts counts;
    struct node_view v;
    struct error e = {0};
    uint16_t leader = c->class->leader(c->runtime);
    assert_int_equal(end(c, begin(c, leader, &spec), &r), QRT_OK);
    assert_int_equal(r.committed, count);
    assert_true(0 < r.p50 && r.p50 <= r.p99 && r.p99 <= r.p999 && r.p999 <= r.max && r.max <= r.ns);
    c->class->view(c->runtime, leader, &v);
    assert_true(v.status.commit >= count);
    c->class->counts(c->runtime, &counts);
    assert_int_equal(counts.dropped, 0);
    while (cluster_check(c, 20, 0, 20000000, &e) == QRT_MORE) continue;
    assert_int_equal(c->verdict, VERDICT_OK);
    cluster_free(c);
}

static void test_live_load_on_threads(void **state) {
    (void)state;
    loads("inproc", "memory", 20000);
}

static void test_live_load_on_processes(void **state) {
    (void)state;
    loads("tcp", "memory", 20000);
}

static void test_live_load_on_disk(void **state) {
    (void)state;
    loads("ipc", "sim", 2000);
}

/* An open load proposes at its times; the first refusal ends a load, and so does the end of its node. */
static void test_live_load_times_and_ends(void **state) {
    (void)state;
    static const char *const transports[] = {"inproc", "tcp"};
    for (int i = 0; i < 2; i++) {
        struct cluster *c = cluster_with(transports[i], "memory");
        struct load_report r = {0};
        struct load_spec open = {.window = 1000, .count = 50, .size = 16, .interval = 2000000};
        struct load_spec endless = {.window = 1, .count = 3, .size = 16, .interval = 3600 * SECOND};
        uint16_t leader = c->class->leader(c->runtime);
        assert_int_equal(end(c, begin(c, leader, &open), &r), QRT_OK);
        assert_true(r.ns >= 49 * open.interval);
        assert_int_equal(end(c, begin(c, (uint16_t)(leader % 3 + 1), &open), &r), QRT_ENOTLEADER);
        uint64_t number = begin(c, leader, &endless);
        struct plan plan = {0};
        struct directive d;
        struct error e = {0};
        char crash[64];
        snprintf(crash, sizeof crash, "{\"do\": \"crash\", \"node\": %u}", leader);
        assert_int_equal(directive_parse(&d, bytes_text(crash), 3, &e), QRT_OK);
        plan_add(&plan, &d);
        c->class->fault(c->runtime, &plan, NULL);
        plan_free(&plan);
        assert_int_equal(end(c, number, &r), QRT_EUNKNOWN);
        cluster_free(c);
    }
}

static void test_live_load_refuses_nonsense(void **state) {
    (void)state;
    struct cluster *c = cluster_with("inproc", "memory");
    uint64_t number;
    struct load_spec none = {.window = 1}, blind = {.count = 1}, huge = {.window = 1, .count = LOAD_COUNT_MAX + 1};
    assert_int_equal(live_load(c->runtime, 1, &none, &number), QRT_ERANGE);
    assert_int_equal(live_load(c->runtime, 1, &blind, &number), QRT_ERANGE);
    assert_int_equal(live_load(c->runtime, 1, &huge, &number), QRT_ERANGE);
    cluster_free(c);
}

static void test_live_bare_rounds(void **state) {
    (void)state;
    struct error e = {0};
    for (int tcp = 0; tcp < 2; tcp++) {
        const int cpus[] = {0, 0, 0};
        struct bare *b = bare_new(tcp, tcp ? cpus : NULL, &e);
        assert_non_null(b);
        struct load_spec closed = {.window = 16, .count = 1000},
                         open = {.window = 16, .count = 20, .interval = 1000000};
        struct load_report r;
        assert_int_equal(bare_rounds(b, &closed, &r, &e), QRT_OK);
        assert_int_equal(r.committed, 1000);
        assert_int_equal(bare_rounds(b, &open, &r, &e), QRT_OK);
        assert_true(r.committed == 20 && r.ns >= 19000000);
        bare_free(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_load_on_threads),       cmocka_unit_test(test_live_load_on_processes),
        cmocka_unit_test(test_live_load_on_disk),          cmocka_unit_test(test_live_load_times_and_ends),
        cmocka_unit_test(test_live_load_refuses_nonsense), cmocka_unit_test(test_live_bare_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
