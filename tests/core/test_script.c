/* Protocols of the user's own, written here in C behind qrt_script: what they may ask for, what they may not, what
 * becomes of them when they fail, crash, or are forked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quorate.h"

enum { NODES_MAX = 4096 };

/* A node counts what it has heard, and does with a proposal what its first letter says. */
struct node {
    uint16_t id, peer;
    uint64_t heard, drawn, starts, how;
    char stored[32];
};

static struct node nodes[NODES_MAX];
static uint64_t made;
static bool refuses_to_save;

static uint64_t on_create(void *context, uint16_t id, const uint16_t *peers, size_t count) {
    (void)context;
    assert_true(++made < NODES_MAX);
    nodes[made] = (struct node){.id = id, .peer = count ? peers[0] : 0};
    return made;
}

static void on_destroy(void *context, uint64_t node) {
    (void)context;
    nodes[node].id = 0;
}

static void on_save(void *context, uint64_t node, qrt_reply *reply) {
    (void)context;
    if (refuses_to_save) qrt_reply_raise(reply, "field 7 is a socket");
    qrt_reply_put(reply, (const uint8_t *)&nodes[node], sizeof nodes[node]);
}

static void on_load(void *context, uint64_t node, const uint8_t *state, size_t size, qrt_reply *reply) {
    (void)context, (void)reply;
    assert_int_equal(size, sizeof nodes[node]);
    memcpy(&nodes[node], state, size);
}

static void on_describe(void *context, uint64_t node, qrt_reply *reply) {
    (void)context;
    char text[64];
    int length = snprintf(text, sizeof text, "heard %llu, stored '%s'", (unsigned long long)nodes[node].heard,
                          nodes[node].stored);
    qrt_reply_put(reply, (const uint8_t *)text, (size_t)length);
}

static void on_start(void *context, uint64_t node, qrt_ctx *x, uint8_t how, const uint8_t *stored, size_t size) {
    (void)context, (void)x;
    struct node *n = &nodes[node];
    n->how = how;
    if (stored && size < sizeof n->stored) memcpy(n->stored, stored, size);
}

static void on_message(void *context, uint64_t node, qrt_ctx *x, uint16_t from, const uint8_t *data, size_t size) {
    (void)context;
    nodes[node].heard++;
    if (size == 4 && !memcmp(data, "ping", 4)) qrt_ctx_send(x, from, (const uint8_t *)"pong", 4);
}

static void on_timer(void *context, uint64_t node, qrt_ctx *x, const char *name) {
    (void)context;
    nodes[node].heard += 100;
    if (!strcmp(name, "raise")) qrt_ctx_raise(x, "the timer went off");
}

static void ask_too_much(qrt_ctx *x, uint64_t ticket, char what) {
    static uint8_t large[600 << 10];
    char name[16];
    switch (what) {
    case 'e':
        for (int i = 0; i < 20000; i++) qrt_ctx_send(x, 0, large, 1);
        break;
    case 'l': qrt_ctx_send(x, 0, large, sizeof large); break;
    case 'm':
        for (int i = 0; i < 20; i++) qrt_ctx_persist(x, large, 300 << 10);
        break;
    case 't':
        for (int i = 0; i < 65; i++) {
            snprintf(name, sizeof name, "timer %d", i);
            qrt_ctx_timer(x, name, 1000);
        }
        break;
    case 'p': qrt_ctx_timer(x, "past", -1); break;
    case 'n': qrt_ctx_timer(x, "", 1); break;
    case 's': qrt_ctx_send(x, 77, large, 1); break;
    case 'k': qrt_ctx_note(x, QRT_KIND_CRASH, 0, 0, 0, 0, 0, 0); break;
    case 'i': qrt_ctx_note(x, QRT_KIND_APPEND, 0, 0, 1, 0, 0, 0); break;
    default: qrt_ctx_answer(x, ticket, QRT_MORE, 0, 0, 0, NULL, 0);
    }
}

static void on_propose(void *context, uint64_t node, qrt_ctx *x, uint64_t ticket, const uint8_t *value, size_t size) {
    (void)context;
    struct node *n = &nodes[node];
    assert_true(size > 0);
    switch (value[0]) {
    case 'p': qrt_ctx_send(x, 0, (const uint8_t *)"ping", 4); break;
    case 't': qrt_ctx_timer(x, "ring", 1000000); break;
    case 'c': qrt_ctx_timer(x, "ring", INT64_MAX); break;
    case 'd': n->drawn = qrt_ctx_random(x); break;
    case 's': qrt_ctx_persist(x, value, size); break;
    case 'r':
        qrt_ctx_send(x, 0, (const uint8_t *)"last", 4);
        qrt_ctx_raise(x, "it was told to");
        qrt_ctx_send(x, 0, (const uint8_t *)"never", 5);
        break;
    case 'D': qrt_ctx_decide(x, 1, 0, 0, value, size); break;
    case 'L': qrt_ctx_note(x, QRT_KIND_ROLE, QRT_ROLE_LEADER, n->id, 7, 0, 0, 0); break;
    case '!': ask_too_much(x, ticket, (char)value[1]); break;
    default: break;
    }
    qrt_ctx_answer(x, ticket, QRT_OK, 0, 3, 4, (const uint8_t *)"done", 4);
}

static qrt_script script(void) {
    return (qrt_script){"tester", NULL,        NULL,     NULL,       on_create, on_destroy, on_save,
                        on_load,  on_describe, on_start, on_message, on_timer,  on_propose};
}

static qrt_cluster *started(void) {
    qrt_cluster *c = NULL;
    qrt_script s = script();
    qrt_option options[] = {{"nodes", "3"}, {"seed", "5"}};
    assert_int_equal(qrt_cluster_new_script(&c, &s, options, 2), QRT_OK);
    return c;
}

static qrt_status propose(qrt_cluster *c, uint16_t node, const char *what, qrt_result *r) {
    uint64_t ticket;
    int64_t now;
    qrt_cluster_now(c, &now);
    assert_int_equal(qrt_cluster_propose(c, node, (const uint8_t *)what, strlen(what), &ticket), QRT_OK);
    while (qrt_cluster_await(c, ticket, now + 1000000000, r) == QRT_MORE) continue;
    return r->status;
}

static void run(qrt_cluster *c, int64_t ns) {
    int64_t now;
    qrt_cluster_now(c, &now);
    while (qrt_cluster_run(c, now + ns, NULL) == QRT_MORE) continue;
}

static const char *inspect(qrt_cluster *c, uint16_t node) {
    const char *text = qrt_cluster_inspect(c, node);
    return text ? text : qrt_last_error(c);
}

/* DESIGN 2: messages, timers and proposals reach the handlers, and what they ask for happens. */
static void test_script_handlers_and_effects(void **unused) {
    (void)unused;
    qrt_cluster *c = started();
    qrt_result r;
    uint16_t leader;
    assert_int_equal(propose(c, 1, "ping", &r), QRT_OK);
    assert_memory_equal(r.data, "done", 4);
    assert_int_equal(r.term, 3);
    assert_int_equal(r.index, 4);
    run(c, 10000000);
    assert_non_null(strstr(inspect(c, 1), "heard 2,")); /* two pongs */
    assert_non_null(strstr(inspect(c, 2), "heard 1,"));
    assert_int_equal(propose(c, 2, "timer", &r), QRT_OK);
    run(c, 10000000);
    assert_non_null(strstr(inspect(c, 2), "heard 101,"));
    assert_int_equal(propose(c, 2, "timer", &r), QRT_OK);
    assert_int_equal(propose(c, 2, "clear", &r), QRT_OK);
    run(c, 10000000);
    assert_non_null(strstr(inspect(c, 2), "heard 101,"));
    assert_int_equal(propose(c, 3, "L", &r), QRT_OK);
    assert_int_equal(qrt_cluster_leader(c, &leader), QRT_OK);
    assert_int_equal(leader, 3);
    qrt_cluster_free(&c);
}

/* DESIGN 2: an error is that node's crash, with its text; what it had asked for before is done, nothing after. */
static void test_script_errors_crash_their_node(void **unused) {
    (void)unused;
    qrt_cluster *c = started();
    qrt_result r;
    assert_int_equal(propose(c, 1, "raise", &r), QRT_EUNKNOWN);
    run(c, 10000000);
    assert_non_null(strstr(inspect(c, 1), "down"));
    assert_non_null(strstr(qrt_cluster_status(c), "it was told to"));
    assert_non_null(strstr(inspect(c, 2), "heard 1,"));
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"restart\", \"node\": 1}"), QRT_OK);
    assert_int_equal(propose(c, 1, "ping", &r), QRT_OK);
    qrt_cluster_free(&c);
}

/* What goes beyond the limits of a step, or makes no sense, is refused in a sentence, and is the node's own failure. */
static void test_script_limits(void **unused) {
    (void)unused;
    const char *const cases[][2] = {
        {"!e", "endless loop"},      {"!l", "614400 bytes"}, {"!m", "more than 4194304 bytes"},
        {"!t", "at most 64 timers"}, {"!p", "in the past"},  {"!n", "1 to 31 bytes"},
        {"!s", "no member"},         {"!k", "kind 9"},       {"!i", "its index"},
        {"!a", "not with status"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qrt_cluster *c = started();
        qrt_result r;
        assert_int_not_equal(propose(c, 2, cases[i][0], &r), QRT_OK);
        if (!strstr(qrt_cluster_status(c), cases[i][1])) fail_msg("%s: %s", cases[i][0], qrt_cluster_status(c));
        assert_int_equal(propose(c, 3, "ping", &r), QRT_OK);
        qrt_cluster_free(&c);
    }
}

/* What is persisted comes back, once it was durable; the reply behind it waits for that. A wiped disk gives nothing. */
static void test_script_persisted_values_come_back(void **unused) {
    (void)unused;
    qrt_cluster *c = started();
    qrt_result r;
    int64_t before, after;
    qrt_cluster_now(c, &before);
    assert_int_equal(propose(c, 1, "s1", &r), QRT_OK);
    qrt_cluster_now(c, &after);
    assert_true(after - before >= 200000); /* a sync */
    assert_int_equal(propose(c, 1, "s2", &r), QRT_OK);
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"crash\", \"node\": 1, \"disk\": \"unsynced\"}"), QRT_OK);
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"restart\", \"node\": 1}"), QRT_OK);
    assert_non_null(strstr(inspect(c, 1), "stored 's2'"));
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"crash\", \"node\": 1, \"disk\": \"wiped\"}"), QRT_OK);
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"restart\", \"node\": 1}"), QRT_OK);
    assert_non_null(strstr(inspect(c, 1), "stored ''"));
    qrt_cluster_free(&c);
}

/* A fork is a copy of state and random stream; both sides go on alike, apart. A state that cannot be saved refuses. */
static void test_script_forks(void **unused) {
    (void)unused;
    qrt_cluster *c = started(), *f = NULL;
    qrt_result r;
    uint64_t one, two, drawn[2];
    assert_int_equal(propose(c, 1, "ping", &r), QRT_OK);
    assert_int_equal(qrt_cluster_fork(c, &f), QRT_OK);
    assert_int_equal(qrt_cluster_fingerprint(c, &one), QRT_OK);
    assert_int_equal(qrt_cluster_fingerprint(f, &two), QRT_OK);
    assert_true(one == two);
    assert_int_equal(propose(c, 1, "draw", &r), QRT_OK);
    assert_int_equal(propose(f, 1, "draw", &r), QRT_OK);
    size_t found = 0;
    for (uint64_t i = 1; i <= made; i++)
        if (nodes[i].id == 1 && nodes[i].drawn && found < 2) drawn[found++] = nodes[i].drawn;
    assert_int_equal(found, 2);
    assert_true(drawn[0] == drawn[1]);
    qrt_cluster_free(&f);
    refuses_to_save = true;
    assert_int_equal(qrt_cluster_fork(c, &f), QRT_EUNSUPPORTED);
    assert_non_null(strstr(qrt_last_error(c), "field 7 is a socket"));
    assert_int_equal(qrt_cluster_fingerprint(c, &one), QRT_EUNSUPPORTED);
    refuses_to_save = false;
    assert_int_equal(qrt_cluster_fingerprint(c, &one), QRT_OK);
    qrt_cluster_free(&c);
}

/* The checkers of consensus judge what scripts decide: here every node decides what it was told. */
static void test_script_decisions_are_judged(void **unused) {
    (void)unused;
    qrt_cluster *c = started();
    qrt_result r;
    assert_int_equal(propose(c, 1, "D one", &r), QRT_OK);
    assert_int_equal(propose(c, 2, "D one", &r), QRT_OK);
    while (qrt_cluster_check(c, 0, 0) == QRT_MORE) continue;
    assert_null(strstr(qrt_cluster_report(c), "\"violated\""));
    assert_int_equal(propose(c, 3, "D two", &r), QRT_OK);
    while (qrt_cluster_check(c, 0, 0) == QRT_MORE) continue;
    assert_non_null(strstr(qrt_cluster_report(c), "\"violated\""));
    qrt_cluster_free(&c);
}

/* Misuse is said in a sentence: a missing callback, an unknown checker or field, a runtime on other threads. */
static void test_script_misuse(void **unused) {
    (void)unused;
    qrt_cluster *c = NULL;
    qrt_script s = script();
    qrt_option live = {"runtime", "live"};
    s.judged_by = "consensus raff";
    assert_int_equal(qrt_cluster_new_script(&c, &s, NULL, 0), QRT_ENOTFOUND);
    assert_non_null(strstr(qrt_last_error(NULL), "did you mean 'raft'"));
    s = script();
    s.fault_model = "{\"los\": false}";
    assert_int_equal(qrt_cluster_new_script(&c, &s, NULL, 0), QRT_EOPTION);
    assert_non_null(strstr(qrt_last_error(NULL), "did you mean 'loss'"));
    s.fault_model = "{\"loss\": 1}";
    assert_int_equal(qrt_cluster_new_script(&c, &s, NULL, 0), QRT_ETYPE);
    s = script();
    s.timer = NULL;
    assert_int_equal(qrt_cluster_new_script(&c, &s, NULL, 0), QRT_EINVAL);
    s = script();
    assert_int_equal(qrt_cluster_new_script(&c, &s, &live, 1), QRT_EUNSUPPORTED);
    assert_null(c);
}

static void run_seed(uint64_t seed, char *report, size_t size) {
    qrt_cluster *c = NULL;
    qrt_script s = script();
    assert_int_equal(qrt_cluster_seed(&c, &s, "{\"events\": 3000}", seed, false), QRT_OK);
    assert_null(qrt_cluster_seed_report(c));
    while (qrt_cluster_replay_run(c) == QRT_MORE) continue;
    snprintf(report, size, "%s", qrt_cluster_seed_report(c));
    qrt_cluster_free(&c);
}

/* One seed of a campaign: faults are drawn, and the same seed gives the same run. */
static void test_script_seeds_replay(void **unused) {
    (void)unused;
    char first[2048], second[2048], other[2048];
    run_seed(3, first, sizeof first);
    run_seed(3, second, sizeof second);
    run_seed(4, other, sizeof other);
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
    assert_non_null(strstr(first, "\"progress\""));
    assert_null(strstr(first, "\"faults\": 0"));
}

/* A live node of a script is a process, so the script says how one is started, and threads are refused. */
static void test_live_needs_an_interpreter(void **state) {
    (void)state;
    qrt_cluster *c = NULL;
    qrt_script s = script();
    qrt_option options[] = {{"runtime", "live"}, {"transport", "tcp"}};
    assert_int_equal(qrt_cluster_new_script(&c, &s, options, 1), QRT_EUNSUPPORTED);
    if (strstr(qrt_last_error(NULL), "no live runtime")) return;
    assert_non_null(strstr(qrt_last_error(NULL), "transport=\"tcp\""));
    assert_int_equal(qrt_cluster_new_script(&c, &s, options, 2), QRT_EUNSUPPORTED);
    assert_non_null(strstr(qrt_last_error(NULL), "qrt_script.launch"));
    assert_null(c);
}

/* A process that no cluster has started is no node, whatever it says. */
static void test_no_owner_no_node(void **state) {
    (void)state;
    qrt_script s = script();
    qrt_node_fail("nobody hears this");
    qrt_node_traceback(NULL);
    assert_int_equal(qrt_node_main(&s), 2);
    assert_int_equal(qrt_node_main(NULL), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_handlers_and_effects),
        cmocka_unit_test(test_script_errors_crash_their_node),
        cmocka_unit_test(test_script_limits),
        cmocka_unit_test(test_script_persisted_values_come_back),
        cmocka_unit_test(test_script_forks),
        cmocka_unit_test(test_script_decisions_are_judged),
        cmocka_unit_test(test_script_misuse),
        cmocka_unit_test(test_script_seeds_replay),
        cmocka_unit_test(test_live_needs_an_interpreter),
        cmocka_unit_test(test_no_owner_no_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
