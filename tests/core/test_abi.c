/* The ABI from a user's side, and the table of bad input: every misuse gives a clear error, and nothing crashes. */
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "quorate.h"

#define SECOND INT64_C(1000000000)

static void expect(qrt_status got, qrt_status wanted, const void *handle, const char *what) {
    if (got != wanted)
        fail_msg("%s: %s, not %s (%s)", what, qrt_status_name(got), qrt_status_name(wanted), qrt_last_error(handle));
    if (wanted < 0 && strlen(qrt_last_error(handle)) < 10) fail_msg("%s: no reason is given", what);
    if (wanted < 0) assert_int_equal(qrt_last_status(handle), wanted);
}

static void expect_text(const void *handle, const char *part) {
    if (!strstr(qrt_last_error(handle), part)) fail_msg("'%s' does not say '%s'", qrt_last_error(handle), part);
}

static qrt_cluster *make(const char *seed) {
    qrt_option options[] = {{"nodes", "3"}, {"seed", seed}};
    qrt_cluster *c = NULL;
    expect(qrt_cluster_new(&c, "raft", options, 2, NULL), QRT_OK, NULL, "a cluster of three");
    return c;
}

static qrt_status run(qrt_cluster *c, int64_t ns, const char *condition) {
    int64_t now = 0;
    qrt_status s = qrt_cluster_now(c, &now);
    while (!s && (s = qrt_cluster_run(c, now + ns, condition)) == QRT_MORE) s = QRT_OK;
    return s;
}

/* ---- options ---- */

/* Bad input: unknown option, wrong type or range, zero or a thousand nodes; each error names the option. */
static void test_abi_refuses_bad_options(void **unused) {
    (void)unused;
    const struct {
        const char *name, *value;
        qrt_status status;
        const char *says;
    } bad[] = {
        {"node", "3", QRT_EOPTION, "did you mean 'nodes'"},
        {"nodes", "0", QRT_ERANGE, "between 1 and"},
        {"nodes", "1000", QRT_ERANGE, "between 1 and"},
        {"nodes", "three", QRT_ETYPE, "integer"},
        {"nodes", "-1", QRT_ERANGE, "nodes"},
        {"nodes", "2.5", QRT_ETYPE, "nodes"},
        {"nodes", "", QRT_ETYPE, "nodes"},
        {"seed", "-1", QRT_ERANGE, "seed"},
        {"election_timeout", "soon", QRT_ETYPE, "150ms"},
        {"election_timeout", "0", QRT_ERANGE, "election_timeout"},
        {"record", "some", QRT_ETYPE, "all|last|none"},
        {"pre_vote", "2", QRT_ETYPE, "true or false"},
        {"disk", "folder", QRT_EINVAL, "data="},
        {"data", "/tmp", QRT_EINVAL, "disk=folder"},
        {"heartbeat_interval", "150ms", QRT_ERANGE, "must be below election_timeout"},
        {"election_timeout", "20ms", QRT_ERANGE, "must be below election_timeout"},
        {"bug", "no-such-bug", QRT_ENOTFOUND, "no-such-bug"},
        {"machine", "abacus", QRT_ENOTFOUND, "abacus"},
        {NULL, "3", QRT_EINVAL, "no name"},
        {"nodes", NULL, QRT_EINVAL, "no value"},
        {"\xff\xfe", "3", QRT_EOPTION, "no option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        qrt_cluster *c = (qrt_cluster *)&bad;
        qrt_option option = {bad[i].name, bad[i].value};
        expect(qrt_cluster_new(&c, "raft", &option, 1, NULL), bad[i].status, NULL, bad[i].name ? bad[i].name : "NULL");
        expect_text(NULL, bad[i].says);
        assert_null(c);
    }
    qrt_cluster *c;
    expect(qrt_cluster_new(&c, "paxoss", NULL, 0, NULL), QRT_ENOTFOUND, NULL, "no such protocol");
    expect(qrt_cluster_new(&c, NULL, NULL, 0, NULL), QRT_ENOTFOUND, NULL, "no protocol");
    expect(qrt_cluster_new(NULL, "raft", NULL, 0, NULL), QRT_EINVAL, NULL, "nowhere to put it");
    expect(qrt_cluster_new(&c, "raft", NULL, 3, NULL), QRT_EINVAL, NULL, "three options at NULL");
    qrt_machine lame = {.name = "lame"};
    expect(qrt_cluster_new(&c, "raft", NULL, 0, &lame), QRT_EINVAL, NULL, "a machine without callbacks");
}

/* ---- texts ---- */

/* Bad input: a malformed plan, directive or workload names line and column, or the field; the cluster goes on as before. */
static void test_abi_refuses_malformed_texts(void **unused) {
    (void)unused;
    const char *plans[] = {"",
                           "{",
                           "nonsense",
                           "[1]",
                           "{\"directives\": 3}",
                           "{\"directives\": [{\"at\": 1}]}",
                           "{\"directives\": [{\"at\": 1, \"do\": \"crush\", \"node\": 1}]}",
                           "{\"directives\": [{\"at\": -1, \"do\": \"heal\"}]}",
                           "{\"directives\": [{\"at\": 1, \"do\": \"crash\", \"node\": 9}]}",
                           "{\"directives\": [{\"at\": 1, \"do\": \"loss\", \"probability\": 2}]}",
                           "{\"directives\": [{\"at\": 1, \"do\": \"crash\", \"node\": 1, \"nod\": 1}]}",
                           "\xff"};
    const char *workloads[] = {"",
                               "[",
                               "7",
                               "{\"clients\": 0}",
                               "{\"clients\": \"x\"}",
                               "{\"client\": 3}",
                               "{\"mix\": {\"fly\": 1}}",
                               "{\"timeout\": -1}",
                               "{\"clients\": 3,}"};
    qrt_cluster *c = make("1");
    uint64_t before, after;
    qrt_cluster_hash(c, &before, NULL);
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        if (qrt_cluster_plan(c, plans[i]) >= 0) fail_msg("plan %s is taken", plans[i]);
        assert_true(strlen(qrt_last_error(c)) > 10);
        assert_null(qrt_plan_canonical(plans[i], 3));
        assert_true(strlen(qrt_last_error(NULL)) > 10);
    }
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (qrt_cluster_load(c, workloads[i]) >= 0) fail_msg("workload %s is taken", workloads[i]);
        assert_true(strlen(qrt_last_error(c)) > 10);
    }
    expect(qrt_cluster_plan(c, "{\n \"directives\": [\n  oops"), QRT_EPARSE, c, "a plan that breaks off");
    expect_text(c, "line 3");
    if (qrt_cluster_fault(c, "{\"do\": \"crush\", \"node\": 1}") >= 0) fail_msg("crush is taken");
    expect_text(c, "crash");
    qrt_cluster_hash(c, &after, NULL);
    assert_true(before == after);
    expect(run(c, SECOND, "leader"), QRT_OK, c, "it runs on");
    qrt_cluster_free(&c);
}

/* Bad input: a malformed history names line and column; a model that does not exist is named; text that is no UTF-8 in a
 * violated history comes back in a report that is JSON. */
static void test_abi_refuses_malformed_histories(void **unused) {
    (void)unused;
    const char *bad[] = {"{", "[{:process 0", "{:type :invoke", "{\"operations\": 3}", "\xff\xfe\xfd", "]"};
    qrt_history *h;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (qrt_history_parse(&h, bad[i], strlen(bad[i])) >= 0) fail_msg("%s is taken", bad[i]);
        assert_null(h);
        expect_text(NULL, "line");
    }
    const char *text =
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n";
    expect(qrt_history_parse(&h, text, strlen(text)), QRT_OK, NULL, "a history");
    assert_int_equal(qrt_history_count(h), 1);
    expect(qrt_history_check(h, "cas-regster", NULL, 1, 0), QRT_ENOTFOUND, h, "no such model");
    expect(qrt_history_check(h, NULL, NULL, 1, 0), QRT_ENOTFOUND, h, "no model");
    assert_null(qrt_history_report(h));
    assert_null(qrt_history_print(h, "xml"));
    assert_null(qrt_history_print(h, NULL));
    qrt_history_free(&h);
    expect(qrt_history_parse(NULL, "", 0), QRT_EINVAL, NULL, "nowhere");
    expect(qrt_history_parse(&h, NULL, 3), QRT_EINVAL, NULL, "no text");
    const char *odd = "{:process 0, :type :invoke, :f :write, :value #quorate/hex \"ff00fe\"}\n"
                      "{:process 0, :type :ok, :f :write, :value #quorate/hex \"ff00fe\"}\n"
                      "{:process 0, :type :invoke, :f :read, :value nil}\n{:process 0, :type :ok, :f :read, "
                      ":value #quorate/hex \"fefe\"}\n";
    expect(qrt_history_parse(&h, odd, strlen(odd)), QRT_OK, NULL, "a history of odd bytes");
    while (qrt_history_check(h, "cas-register", NULL, 1, 0) == QRT_MORE) continue;
    json_t *report = json_loads(qrt_history_report(h), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(report, "verdict")), "violated");
    json_decref(report);
    qrt_history_free(&h);
}

/* ---- NULL ---- */

/* Every pointer that must be there may be NULL by mistake: refused, and the cluster is as it was. */
static void test_abi_refuses_null(void **unused) {
    (void)unused;
    qrt_cluster *c = make("2"), *none = NULL;
    uint64_t n;
    uint16_t u;
    qrt_result r;
    expect(qrt_cluster_now(c, NULL), QRT_EINVAL, c, "now");
    expect(qrt_cluster_fork(c, NULL), QRT_EINVAL, c, "fork");
    expect(qrt_cluster_leader(c, NULL), QRT_EINVAL, c, "leader");
    expect(qrt_cluster_size(c, NULL), QRT_EINVAL, c, "size");
    expect(qrt_cluster_fingerprint(c, NULL), QRT_EINVAL, c, "fingerprint");
    expect(qrt_cluster_propose(c, 0, (const uint8_t *)"x", 1, NULL), QRT_EINVAL, c, "propose");
    expect(qrt_cluster_propose(c, 0, NULL, 1, &n), QRT_EINVAL, c, "propose");
    expect(qrt_cluster_propose_many(c, 0, (const uint8_t *)"x", NULL, 1, &n), QRT_EINVAL, c, "propose_many");
    expect(qrt_cluster_propose_many(c, 0, NULL, (const uint32_t[]){1}, 1, &n), QRT_EINVAL, c, "propose_many");
    expect(qrt_cluster_await(c, 1, 0, NULL), QRT_EINVAL, c, "await");
    expect(qrt_cluster_await(c, 1, 0, &r), QRT_ENOTFOUND, c, "await");
    expect(qrt_cluster_result(c, 1, NULL), QRT_EINVAL, c, "result");
    expect(qrt_client_new(c, NULL), QRT_EINVAL, c, "client");
    expect(qrt_client_submit(c, QRT_CLIENT + 1, NULL, &n), QRT_EINVAL, c, "submit");
    expect(qrt_client_submit_raw(c, QRT_CLIENT + 1, true, NULL, 1, &n), QRT_EINVAL, c, "submit_raw");
    expect(qrt_cluster_load(c, NULL), QRT_EINVAL, c, "load");
    expect(qrt_cluster_fault(c, NULL), QRT_EINVAL, c, "fault");
    expect(qrt_cluster_plan(c, NULL), QRT_EINVAL, c, "plan");
    expect(qrt_cluster_history(c, NULL), QRT_EINVAL, c, "history");
    expect(qrt_cluster_trace(c, NULL), QRT_EINVAL, c, "trace");
    expect(qrt_campaign_new(NULL, "{}"), QRT_EINVAL, NULL, "campaign");
    expect(qrt_cluster_replay(&none, NULL), QRT_EINVAL, NULL, "replay");
    assert_int_equal(qrt_cluster_hash(c, NULL, NULL), QRT_OK);
    assert_int_equal(qrt_cluster_step(c, 1), 1);
    expect((qrt_status)qrt_cluster_step(c, -1), QRT_ERANGE, c, "less than no events");
    /* and no handle at all, as after close */
    int64_t now;
    expect(qrt_cluster_now(none, &now), QRT_ECLOSED, NULL, "now of none");
    expect(qrt_cluster_run(none, 0, NULL), QRT_ECLOSED, NULL, "run of none");
    expect(qrt_cluster_leader(none, &u), QRT_ECLOSED, NULL, "leader of none");
    expect(qrt_cluster_check(none, 0, 0), QRT_ECLOSED, NULL, "check of none");
    expect(qrt_campaign_run(NULL, NULL, NULL), QRT_ECLOSED, NULL, "campaign of none");
    assert_null(qrt_cluster_status(none));
    assert_null(qrt_cluster_report(none));
    assert_null(qrt_history_report(NULL));
    assert_null(qrt_campaign_report(NULL));
    assert_int_equal(qrt_history_count(NULL), 0);
    qrt_cluster_free(&c);
}

/* One free contract: NULL, a pointer to NULL, twice; and the caller's pointer is nulled. */
static void test_abi_free_accepts_null_and_nulls(void **unused) {
    (void)unused;
    qrt_cluster *c = make("3"), *none = NULL;
    qrt_cluster_free(NULL);
    qrt_cluster_free(&none);
    qrt_cluster_free(&c);
    assert_null(c);
    qrt_cluster_free(&c);
    qrt_trace_free(NULL);
    qrt_history_free(NULL);
    qrt_campaign_free(NULL);
    qrt_bench_free(NULL);
}

/* Clients, operations and nodes that do not exist; values too large; keys that are not there. */
static void test_abi_refuses_what_does_not_exist(void **unused) {
    (void)unused;
    qrt_cluster *c = make("4");
    uint64_t ticket;
    uint16_t client;
    static uint8_t large[1 << 21];
    qrt_command get = {.operation = QRT_GET, .key = (const uint8_t *)"k", .key_size = 1};
    expect(qrt_client_submit(c, QRT_CLIENT + 1, &get, &ticket), QRT_ENOTFOUND, c, "no client yet");
    assert_int_equal(qrt_client_new(c, &client), QRT_OK);
    const uint16_t wrong[] = {0, 1, QRT_CLIENT, QRT_CLIENT + 2, 65535};
    for (int i = 0; i < 5; i++)
        expect(qrt_client_submit(c, wrong[i], &get, &ticket), QRT_ENOTFOUND, c, "no such client");
    qrt_command odd = get;
    odd.operation = 99;
    expect(qrt_client_submit(c, client, &odd, &ticket), QRT_EINVAL, c, "no such operation");
    odd = get;
    odd.operation = QRT_PUT;
    odd.value = large;
    odd.value_size = sizeof large;
    expect(qrt_client_submit(c, client, &odd, &ticket), QRT_ETOOLARGE, c, "a value too large");
    odd.value = NULL;
    odd.value_size = 5;
    expect(qrt_client_submit(c, client, &odd, &ticket), QRT_EINVAL, c, "five bytes at NULL");
    expect(qrt_cluster_propose(c, 0, large, sizeof large, &ticket), QRT_ETOOLARGE, c, "a proposal too large");
    expect(qrt_cluster_propose(c, 9, large, 1, &ticket), QRT_ENOTFOUND, c, "no node 9");
    assert_null(qrt_cluster_inspect(c, 0));
    assert_null(qrt_cluster_inspect(c, 4));
    assert_int_equal(qrt_last_status(c), QRT_ENOTFOUND);
    assert_int_equal(qrt_client_submit(c, client, &get, &ticket), QRT_OK);
    expect(qrt_client_submit(c, client, &get, &ticket), QRT_EBUSY, c, "a second operation at once");
    qrt_result r;
    while (qrt_cluster_await(c, ticket, 5 * SECOND, &r) == QRT_MORE) continue;
    assert_int_equal(r.status, QRT_ENOTFOUND); /* executed, with that answer */
    qrt_cluster_free(&c);
}

/* ---- last_error ---- */

/* The sentence is about the last failed call on that handle; a call that succeeds clears it; handles keep their own. */
static void test_abi_last_error_is_of_its_handle(void **unused) {
    (void)unused;
    qrt_cluster *a = make("5"), *b = make("6");
    int64_t now;
    uint16_t leader;
    assert_string_equal(qrt_last_error(a), "");
    expect(qrt_cluster_leader(a, &leader), QRT_ENOLEADER, a, "no leader yet");
    expect(qrt_cluster_run(b, 0, "nonsense"), QRT_EPARSE, b, "no condition");
    expect_text(a, "no leader");
    expect_text(b, "nonsense");
    assert_int_equal(qrt_cluster_now(a, &now), QRT_OK);
    assert_string_equal(qrt_last_error(a), "");
    assert_int_equal(qrt_last_status(a), QRT_OK);
    expect_text(b, "nonsense");
    qrt_cluster_free(&a);
    qrt_cluster_free(&b);
}

/* ---- state machines of one's own ---- */

struct own {
    qrt_cluster *cluster;
    qrt_status inner; /* what the cluster said when a callback called it */
    char inner_text[200];
    const char *raise_on;
    bool block;
    sem_t entered, go;
    uint64_t made, alive, values[256];
};

static uint64_t own_create(void *context) {
    struct own *o = context;
    o->alive++;
    return ++o->made;
}
static void own_destroy(void *context, uint64_t machine) {
    (void)machine;
    ((struct own *)context)->alive--;
}
static void own_apply(void *context, uint64_t machine, uint64_t index, const uint8_t *command, size_t size,
                      qrt_reply *reply) {
    struct own *o = context;
    int64_t now;
    (void)index;
    if (o->cluster) {
        o->inner = qrt_cluster_now(o->cluster, &now);
        snprintf(o->inner_text, sizeof o->inner_text, "%s", qrt_last_error(o->cluster));
    }
    if (o->block) {
        o->block = false;
        sem_post(&o->entered);
        sem_wait(&o->go);
    }
    if (o->raise_on && size == strlen(o->raise_on) && !memcmp(command, o->raise_on, size)) {
        qrt_reply_raise(reply, "division by zero in line 7 \xff");
        return;
    }
    o->values[machine & 255] += size;
    qrt_reply_put(reply, (const uint8_t *)"done", 4);
}
static void own_query(void *context, uint64_t machine, const uint8_t *command, size_t size, qrt_reply *reply) {
    (void)command, (void)size;
    qrt_reply_put(reply, (const uint8_t *)&((struct own *)context)->values[machine & 255], 8);
}
static void own_snapshot(void *context, uint64_t machine, qrt_reply *reply) {
    qrt_reply_put(reply, (const uint8_t *)&((struct own *)context)->values[machine & 255], 8);
}
static void own_restore(void *context, uint64_t machine, const uint8_t *snapshot, size_t size, qrt_reply *reply) {
    if (size == 8)
        memcpy(&((struct own *)context)->values[machine & 255], snapshot, 8);
    else
        qrt_reply_raise(reply, "no snapshot");
}

static qrt_cluster *make_own(struct own *o) {
    qrt_machine m = {"m\xff", o, own_create, own_destroy, own_apply, own_query, own_snapshot, own_restore};
    qrt_cluster *c = NULL;
    *o = (struct own){0};
    sem_init(&o->entered, 0, 0);
    sem_init(&o->go, 0, 0);
    expect(qrt_cluster_new(&c, "raft", (qrt_option[]){{"seed", "7"}, {"nodes", "3"}}, 2, &m), QRT_OK, NULL,
           "a machine of one's own");
    return c;
}

static qrt_result propose(qrt_cluster *c, const char *value) {
    uint64_t ticket = 0;
    int64_t now = 0;
    qrt_result r = {.status = QRT_MORE};
    qrt_cluster_now(c, &now);
    assert_int_equal(qrt_cluster_propose(c, 0, (const uint8_t *)value, strlen(value), &ticket), QRT_OK);
    while (qrt_cluster_await(c, ticket, now + 5 * SECOND, &r) == QRT_MORE) continue;
    return r;
}

/* Calling the cluster from a callback is refused; the call that is under way is not harmed. */
static void test_abi_refuses_calls_from_a_callback(void **unused) {
    (void)unused;
    struct own o;
    qrt_cluster *c = make_own(&o);
    o.cluster = c;
    qrt_result r = propose(c, "x");
    assert_int_equal(r.status, QRT_OK);
    assert_int_equal(r.size, 4);
    assert_memory_equal(r.data, "done", 4);
    assert_int_equal(o.inner, QRT_EBUSY);
    assert_non_null(strstr(o.inner_text, "callback"));
    json_t *status = json_loads(qrt_cluster_status(c), 0, NULL); /* a machine's name that is no UTF-8 */
    assert_non_null(status);
    json_decref(status);
    o.cluster = NULL;
    qrt_cluster *f = NULL;
    expect(qrt_cluster_fork(c, &f), QRT_OK, c, "a fork with its own machines");
    qrt_cluster_free(&c);
    assert_int_equal(propose(f, "y").status, QRT_OK);
    qrt_cluster_free(&f);
    assert_int_equal(o.alive, 0); /* every machine made was destroyed */
}

/* Bad input: an exception inside a user's machine is that node's crash, reported where the node is looked at; the call
 * comes back, and the cluster is still there to be looked at. */
static void test_abi_a_machine_that_raises_crashes_its_node(void **unused) {
    (void)unused;
    struct own o;
    qrt_cluster *c = make_own(&o);
    assert_int_equal(propose(c, "fine").status, QRT_OK);
    o.raise_on = "poison";
    qrt_result r = propose(c, "poison");
    assert_int_not_equal(r.status, QRT_OK);
    o.raise_on = NULL;
    json_t *status = json_loads(qrt_cluster_status(c), 0, NULL), *node;
    size_t down = 0;
    for (size_t i = 0; (node = json_array_get(json_object_get(status, "nodes"), i)) != NULL; i++) {
        if (json_is_true(json_object_get(node, "up"))) continue;
        down++;
        if (!strstr(json_string_value(json_object_get(node, "why_down")), "division by zero in line 7"))
            fail_msg("why_down is '%s'", json_string_value(json_object_get(node, "why_down")));
    }
    assert_true(down >= 1);
    json_decref(status);
    expect(qrt_cluster_fault(c, "{\"do\": \"restart\", \"node\": \"all\"}"), QRT_OK, c, "restart");
    assert_int_equal(propose(c, "healed").status, QRT_OK);
    qrt_cluster_free(&c);
    assert_int_equal(o.alive, 0);
}

static void *run_it(void *context) {
    qrt_cluster *c = context;
    propose(c, "blocks");
    return NULL;
}

/* One handle is used by one thread at a time: a second one is refused at once, and may not free it either. */
static void test_abi_refuses_a_second_thread(void **unused) {
    (void)unused;
    struct own o;
    pthread_t thread;
    int64_t now;
    qrt_cluster *c = make_own(&o), *kept = c;
    o.block = true;
    assert_int_equal(pthread_create(&thread, NULL, run_it, c), 0);
    sem_wait(&o.entered);
    expect(qrt_cluster_now(c, &now), QRT_EBUSY, c, "a second thread");
    assert_null(qrt_cluster_status(c));
    qrt_cluster_free(&kept);
    assert_ptr_equal(kept, c);
    sem_post(&o.go);
    pthread_join(thread, NULL);
    assert_int_equal(qrt_cluster_now(c, &now), QRT_OK);
    assert_string_equal(qrt_last_error(c), "");
    qrt_cluster_free(&c);
}

struct other_thread {
    qrt_cluster *cluster;
    qrt_status now, hold, release, close;
    char text[200];
};

static void *try_it(void *at) {
    struct other_thread *o = at;
    int64_t now;
    o->now = qrt_cluster_now(o->cluster, &now);
    snprintf(o->text, sizeof o->text, "%s", qrt_last_error(o->cluster));
    o->hold = qrt_hold(o->cluster);
    o->release = qrt_release(o->cluster);
    o->close = qrt_close(o->cluster);
    return NULL;
}

static struct other_thread tried_elsewhere(qrt_cluster *c) {
    struct other_thread o = {.cluster = c};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, try_it, &o), 0);
    pthread_join(thread, NULL);
    return o;
}

/* What a thread holds is its own between its calls too, as often as it holds it; its error outlives the release. */
static void test_abi_a_held_handle_is_one_threads(void **unused) {
    (void)unused;
    qrt_cluster *c = make("8");
    uint16_t leader;
    expect(qrt_release(c), QRT_EINVAL, NULL, "a release of what nobody holds");
    assert_int_equal(qrt_hold(c), QRT_OK);
    assert_int_equal(qrt_hold(c), QRT_OK);
    for (int held = 2; held > 0; held--) {
        expect(qrt_cluster_leader(c, &leader), QRT_ENOLEADER, c, "nobody leads yet");
        struct other_thread o = tried_elsewhere(c);
        assert_true(o.now == QRT_EBUSY && o.hold == QRT_EBUSY && o.release == QRT_EBUSY && o.close == QRT_EBUSY);
        assert_non_null(strstr(o.text, "another thread"));
        assert_int_equal(qrt_release(c), QRT_OK);
        expect_text(c, "no leader");
    }
    struct other_thread o = tried_elsewhere(c);
    assert_true(!o.now && !o.hold && !o.release && !o.close);
    qrt_cluster_free(&c);
}

/* A sentence is about the last failure of the thread that asks, whatever another one does with the handle meanwhile. */
static void test_abi_an_error_is_its_threads(void **unused) {
    (void)unused;
    qrt_cluster *c = make("8");
    expect(qrt_cluster_run(c, 0, "nonsense"), QRT_EPARSE, c, "no condition");
    struct other_thread o = tried_elsewhere(c);
    assert_true(!o.now && !*o.text);
    expect_text(c, "nonsense");
    qrt_cluster_free(&c);
}

/* Closing frees what a handle owns and leaves its pointer sound: every call is refused, closing again is nothing. */
static void test_abi_a_closed_handle_refuses(void **unused) {
    (void)unused;
    qrt_cluster *c = make("8");
    qrt_trace *t = NULL;
    qrt_history *h = NULL;
    int64_t now;
    char line[100];
    expect(run(c, SECOND, NULL), QRT_OK, c, "a second");
    expect(qrt_cluster_trace(c, &t), QRT_OK, c, "its trace");
    expect(qrt_cluster_history(c, &h), QRT_OK, c, "its history");
    void *all[] = {c, t, h, NULL};
    for (int again = 0; again < 2; again++)
        for (int i = 0; i < 4; i++) assert_int_equal(qrt_close(all[i]), QRT_OK);
    expect(qrt_cluster_now(c, &now), QRT_ECLOSED, c, "now");
    expect_text(c, "the cluster is closed");
    expect((qrt_status)qrt_cluster_step(c, 1), QRT_ECLOSED, c, "step");
    expect(qrt_hold(c), QRT_ECLOSED, c, "hold");
    struct other_thread o = tried_elsewhere(c);
    assert_true(o.now == QRT_ECLOSED && o.close == QRT_OK);
    assert_null(qrt_trace_columns(t));
    assert_int_equal(qrt_trace_line(t, 0, line, sizeof line), 0);
    assert_null(qrt_trace_svg(t, 0));
    assert_int_equal(qrt_history_count(h), 0);
    assert_null(qrt_history_print(h, "edn"));
    qrt_cluster_free(&c);
    qrt_trace_free(&t);
    qrt_history_free(&h);
    assert_true(!c && !t && !h);
}

struct storm {
    qrt_cluster *cluster;
    int64_t events;
    int refused, wrong;
};

static void *step_until_closed(void *at) {
    struct storm *s = at;
    for (int64_t n; (n = qrt_cluster_step(s->cluster, 10)) != QRT_ECLOSED;) {
        if (n >= 0)
            s->events += n;
        else if (n == QRT_EBUSY)
            s->refused++;
        else
            s->wrong++;
    }
    return NULL;
}

/* Four threads on one handle, which a fifth closes under them: each call is let in alone, or refused. */
static void test_abi_closing_under_many_threads(void **unused) {
    (void)unused;
    enum { THREADS = 4 };
    for (int round = 0; round < 20; round++) {
        qrt_cluster *c = make("8");
        struct storm s[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            s[i] = (struct storm){.cluster = c};
            assert_int_equal(pthread_create(&threads[i], NULL, step_until_closed, &s[i]), 0);
        }
        uint64_t done = 0, sum = 0;
        while (done < 500)
            if (qrt_hold(c) == QRT_OK) {
                qrt_cluster_hash(c, NULL, &done);
                qrt_release(c);
            }
        while (qrt_close(c)) continue;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(s[i].wrong, 0);
            sum += (uint64_t)s[i].events;
        }
        assert_true(sum > 0);
        qrt_cluster_free(&c);
    }
}

/* After fork(2) a handle is its parent's: refused in the child, untouched in the parent; a new one works in the child. */
static void test_abi_refuses_a_handle_from_before_fork(void **unused) {
    (void)unused;
    qrt_cluster *c = make("8");
    int64_t now;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        qrt_cluster *mine = NULL, *kept = c;
        int bad = qrt_cluster_now(c, &now) != QRT_EFORKED || !strstr(qrt_last_error(c), "fork");
        bad |= qrt_cluster_status(c) != NULL;
        qrt_cluster_free(&kept);
        bad |= qrt_cluster_new(&mine, "raft", NULL, 0, NULL) != QRT_OK || qrt_cluster_now(mine, &now) != QRT_OK;
        _exit(bad);
    }
    int how = 1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_int_equal(qrt_cluster_now(c, &now), QRT_OK);
    qrt_cluster_free(&c);
}

/* ---- traces ---- */

/* An exported view is an immutable snapshot that outlives its cluster. */
static void test_abi_a_trace_outlives_its_cluster(void **unused) {
    (void)unused;
    qrt_cluster *c = make("9");
    qrt_trace *t = NULL;
    char line[200];
    expect(run(c, SECOND, NULL), QRT_OK, c, "a second");
    expect(qrt_cluster_trace(c, &t), QRT_OK, c, "its trace");
    uint64_t events = 0;
    qrt_cluster_hash(c, NULL, &events);
    run(c, SECOND, NULL);
    qrt_cluster_free(&c);
    const qrt_columns *k = qrt_trace_columns(t);
    assert_int_equal(k->count, events);
    for (size_t i = 1; i < k->count; i++) assert_true(k->time[i] >= k->time[i - 1]);
    assert_true(qrt_trace_line(t, 0, line, sizeof line) > 10);
    qrt_trace_line(t, k->count, line, sizeof line);
    qrt_trace_line(t, SIZE_MAX, line, sizeof line);
    assert_non_null(strstr(qrt_trace_svg(t, UINT64_MAX), "<svg"));
    assert_non_null(strstr(qrt_trace_svg(t, 5), "<svg"));
    assert_non_null(strstr(qrt_trace_svg_between(t, 0, 40), "<svg"));
    assert_null(qrt_trace_svg_between(t, 3, 2));
    assert_non_null(strstr(qrt_last_error(t), "at most 300 are drawn"));
    assert_null(qrt_trace_svg_between(t, 0, 300));
    qrt_trace_free(&t);
    assert_null(t);
}

/* The verbs of single systems, as C has them. */
static void test_abi_elects_and_compares(void **unused) {
    (void)unused;
    qrt_option options[] = {{"nodes", "3"}};
    qrt_cluster *c = NULL;
    qrt_result r = {0};
    uint64_t ticket = 0;
    assert_int_equal(qrt_cluster_new(&c, "bully", options, 1, NULL), QRT_OK);
    assert_int_equal(qrt_cluster_elect(c, 1, &ticket), QRT_OK);
    while (qrt_cluster_await(c, ticket, INT64_C(5000000000), &r) == QRT_MORE) continue;
    assert_int_equal(r.status, QRT_OK);
    assert_int_equal(r.leader, 3); /* the highest id */
    qrt_cluster_free(&c);
    assert_int_equal(qrt_cluster_new(&c, "raft", options, 1, NULL), QRT_OK);
    assert_int_equal(qrt_cluster_elect(c, 1, &ticket), QRT_EUNSUPPORTED);
    assert_non_null(strstr(qrt_last_error(c), "raft has no elections to ask for"));
    qrt_cluster_free(&c);
    assert_non_null(
        strstr(qrt_compare("{\"protocol\": \"raft\", \"nodes\": 3, \"operations\": 20}"), "\"delays\": 2.0"));
    assert_null(qrt_compare("{\"protocol\": \"raft\", \"nodes\": }"));
    assert_non_null(strstr(qrt_last_error(NULL), "line 1, column"));
    assert_null(qrt_compare(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abi_elects_and_compares),
        cmocka_unit_test(test_abi_refuses_bad_options),
        cmocka_unit_test(test_abi_refuses_malformed_texts),
        cmocka_unit_test(test_abi_refuses_malformed_histories),
        cmocka_unit_test(test_abi_refuses_null),
        cmocka_unit_test(test_abi_free_accepts_null_and_nulls),
        cmocka_unit_test(test_abi_refuses_what_does_not_exist),
        cmocka_unit_test(test_abi_last_error_is_of_its_handle),
        cmocka_unit_test(test_abi_refuses_calls_from_a_callback),
        cmocka_unit_test(test_abi_a_machine_that_raises_crashes_its_node),
        cmocka_unit_test(test_abi_refuses_a_second_thread),
        cmocka_unit_test(test_abi_a_held_handle_is_one_threads),
        cmocka_unit_test(test_abi_an_error_is_its_threads),
        cmocka_unit_test(test_abi_a_closed_handle_refuses),
        cmocka_unit_test(test_abi_closing_under_many_threads),
        cmocka_unit_test(test_abi_refuses_a_handle_from_before_fork),
        cmocka_unit_test(test_abi_a_trace_outlives_its_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
