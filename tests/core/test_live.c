/* The live runtime: the simulator's host and protocols on threads or processes and ZeroMQ, in real time: each test runs over
 * every transport. Every wait is for a condition, with a bound; what a run is judged by are the same checkers that judge
 * simulated ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "cluster/values.h"
#include "machine/command.h"
#include "support/symbolizer.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (10 * SECOND)

static void say(const struct error *e) {
    if (e->status) print_error("%s\n", e->text);
}

static const char *transport = "inproc";

static struct cluster *cluster_with(const struct setting *more, size_t count) {
    struct setting settings[16] = {{"runtime", "live"}, {"transport", transport},      {"nodes", "3"},
                                   {"seed", "7"},       {"election_timeout", "150ms"}, {"heartbeat_interval", "30ms"}};
    struct error e = {0};
    for (size_t i = 0; i < count; i++) settings[6 + i] = more[i];
    struct cluster *c = cluster_new("raft", settings, 6 + count, NULL, &e);
    say(&e);
    assert_non_null(c);
    return c;
}

static void wait_for(struct cluster *c, const char *condition) {
    struct error e = {0};
    qrt_status s = cluster_run(c, c->class->now(c->runtime) + PATIENCE, condition, 0, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
}

static void run_for(struct cluster *c, int64_t ns) {
    struct error e = {0};
    assert_int_equal(cluster_run(c, c->class->now(c->runtime) + ns, NULL, 0, &e), QRT_OK);
}

static uint16_t wait_leader(struct cluster *c) {
    wait_for(c, "leader");
    return c->class->leader(c->runtime);
}

static qrt_status propose(struct cluster *c, const char *text) {
    struct error e = {0};
    qrt_result result;
    uint64_t ticket;
    assert_int_equal(cluster_propose(c, 0, bytes_text(text), &ticket, &e), QRT_OK);
    int64_t until = c->class->now(c->runtime) + PATIENCE;
    assert_int_equal(cluster_await(c, ticket, until, 0, &result, &e), QRT_OK);
    say(&e);
    return result.status;
}

static void fault(struct cluster *c, const char *json) {
    struct plan plan = {0};
    struct directive d;
    struct error e = {0};
    qrt_status s = directive_parse(&d, bytes_text(json), (uint16_t)c->config.options.nodes, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
    plan_add(&plan, &d);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
}

static void faultf(struct cluster *c, const char *format, unsigned node) {
    char text[256];
    snprintf(text, sizeof text, format, node);
    fault(c, text);
}

static void check_is_ok(struct cluster *c) {
    struct error e = {0};
    while (cluster_check(c, 20, 0, 20000000, &e) == QRT_MORE) continue;
    size_t count;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (p[i].verdict != VERDICT_OK) fprintf(stderr, "%s: %s\n", p[i].name, p[i].text);
    if (c->verdict != VERDICT_OK) fprintf(stderr, "%s\n", buffer_text(&c->report));
    assert_int_equal(c->verdict, VERDICT_OK);
}

/* What waits at a node ends with it, at once and as unknown: here a leader that is cut off, so that nothing was decided. */
static void test_live_a_crash_ends_what_waits(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    uint16_t leader = wait_leader(c);
    struct error e = {0};
    qrt_result result;
    uint64_t ticket;
    faultf(c, "{\"do\": \"partition\", \"shape\": \"one\", \"node\": %u}", leader);
    assert_int_equal(cluster_propose(c, leader, bytes_text("x = 1"), &ticket, &e), QRT_OK);
    faultf(c, "{\"do\": \"crash\", \"node\": %u}", leader);
    int64_t begin = c->class->now(c->runtime);
    assert_int_equal(cluster_await(c, ticket, begin + 6 * PATIENCE, 0, &result, &e), QRT_OK);
    assert_int_equal(result.status, QRT_EUNKNOWN);
    assert_true(c->class->now(c->runtime) - begin < PATIENCE);
    cluster_free(c);
}

/* A cluster elects, commits, loses its leader, elects another and goes on: and every property held. */
static void test_live_survives_its_leader(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    uint16_t old = wait_leader(c);
    assert_int_equal(propose(c, "x = 1"), QRT_OK);
    faultf(c, "{\"do\": \"crash\", \"node\": %u}", old);
    struct node_view v;
    c->class->view(c->runtime, old, &v);
    assert_false(v.up);
    uint16_t new = wait_leader(c);
    assert_int_not_equal(new, old);
    assert_int_equal(propose(c, "x = 2"), QRT_OK);
    faultf(c, "{\"do\": \"restart\", \"node\": %u}", old);
    wait_for(c, "applied >= 4");
    c->class->view(c->runtime, old, &v);
    assert_true(v.up);
    assert_true(v.status.applied >= 4);
    check_is_ok(c);
    cluster_free(c);
}

/* How many are up, and who of them stands for election (0: nobody). */
static size_t look_around(struct cluster *c, uint16_t *candidate) {
    size_t up = 0;
    *candidate = 0;
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) {
        struct node_view v;
        c->class->view(c->runtime, i, &v);
        up += v.up;
        if (v.up && v.status.role == QRT_ROLE_CANDIDATE) *candidate = i;
    }
    return up;
}

/* A plan's targets are the simulator's: a minority is one of three, a majority two; and a partition by its shape cuts off whoever
 * stands for election, which is he who is left. */
static void test_live_targets_by_number_and_role(void **state) {
    (void)state;
    struct cluster *c =
        cluster_with(&(struct setting){"pre_vote", "false"}, 1); /* with it he asks, and does not stand */
    uint16_t candidate;
    wait_leader(c);
    fault(c, "{\"do\": \"crash\", \"node\": \"minority\"}");
    assert_int_equal(look_around(c, &candidate), 2);
    fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    assert_int_equal(look_around(c, &candidate), 3);
    fault(c, "{\"do\": \"crash\", \"node\": \"majority\"}");
    int64_t end = c->class->now(c->runtime) + PATIENCE;
    for (char more[48]; look_around(c, &candidate) == 1 && !candidate;) {
        assert_true(c->class->now(c->runtime) < end);
        snprintf(more, sizeof more, "events >= %llu", (unsigned long long)c->class->trace(c->runtime)->count + 1);
        wait_for(c, more);
    }
    uint16_t other = candidate % 3 + 1;
    fault(c, "{\"do\": \"partition\", \"shape\": \"candidate\"}");
    assert_true(c->class->cut(c->runtime, candidate, other) && c->class->cut(c->runtime, other, candidate));
    assert_false(c->class->cut(c->runtime, other, other % 3 + 1)); /* the other two have each other */
    fault(c, "{\"do\": \"heal\"}");
    assert_false(c->class->cut(c->runtime, candidate, other));
    fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    wait_leader(c);
    assert_int_equal(propose(c, "x = 1"), QRT_OK);
    check_is_ok(c);
    cluster_free(c);
}

/* A leader that a partition leaves alone commits nothing; the majority goes on; healed, all agree. */
static void test_live_partition_and_heal(void **state) {
    (void)state;
    struct cluster *c = cluster_with(&(struct setting){"check_quorum", "false"}, 1);
    struct error e = {0};
    qrt_result result;
    uint64_t ticket;
    uint16_t old = wait_leader(c);
    assert_int_equal(propose(c, "before"), QRT_OK);
    faultf(c, "{\"do\": \"partition\", \"shape\": \"one\", \"node\": %u}", old);
    assert_int_equal(cluster_propose(c, old, bytes_text("alone"), &ticket, &e), QRT_OK);
    char other[32];
    snprintf(other, sizeof other, "leader != %u", old);
    wait_for(c, other);
    assert_true(c->class->cut(c->runtime, old, old % 3 + 1));
    assert_int_equal(cluster_result(c, ticket, &result, &e), QRT_MORE);
    assert_int_equal(propose(c, "with the majority"), QRT_OK);
    fault(c, "{\"do\": \"heal\"}");
    assert_false(c->class->cut(c->runtime, old, old % 3 + 1));
    wait_for(c, "applied >= 4");
    check_is_ok(c);
    struct runtime_counts counts;
    c->class->counts(c->runtime, &counts);
    assert_true(counts.dropped > 0);
    assert_int_equal(counts.faults, 2);
    cluster_free(c);
}

/* A paused leader is replaced; what came for it meanwhile waits in order, and it learns that it leads no more. */
static void test_live_pause_and_resume(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    struct node_view v;
    struct error e = {0};
    uint64_t ticket;
    uint16_t old = wait_leader(c);
    assert_int_equal(propose(c, "one"), QRT_OK);
    faultf(c, "{\"do\": \"pause\", \"node\": %u}", old);
    c->class->view(c->runtime, old, &v);
    assert_true(v.up && v.paused);
    assert_int_equal(cluster_propose(c, old, bytes_text("refused"), &ticket, &e), QRT_EDOWN);
    char other[32];
    snprintf(other, sizeof other, "leader != %u", old);
    wait_for(c, other);
    assert_int_equal(propose(c, "two"), QRT_OK);
    faultf(c, "{\"do\": \"resume\", \"node\": %u}", old);
    wait_for(c, "applied >= 4");
    check_is_ok(c);
    cluster_free(c);
}

static void client_does(struct cluster *c, uint16_t id, uint8_t operation, uint8_t kind, const char *key,
                        const char *value, char *answer, size_t size) {
    struct command command = {.operation = operation, .key = bytes_text(key), .value = bytes_text(value ? value : "")};
    struct buffer bytes = {0};
    struct error e = {0};
    qrt_result result;
    uint64_t ticket;
    command_encode(&command, &bytes);
    qrt_status s = cluster_submit(c, id, kind, bytes_of(bytes.data, bytes.size), &ticket, &e);
    buffer_free(&bytes);
    say(&e);
    assert_int_equal(s, QRT_OK);
    assert_int_equal(cluster_await(c, ticket, c->class->now(c->runtime) + PATIENCE, 0, &result, &e), QRT_OK);
    say(&e);
    assert_int_equal(result.status, QRT_OK);
    if (answer) snprintf(answer, size, "%.*s", (int)result.size, (const char *)result.data);
}

/* Whatever the disk's fate, a majority that comes back still has all that was acknowledged; a wiped member catches up. */
static void test_live_restart_keeps_data(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    char answer[32];
    uint16_t id = c->class->client(c->runtime, NULL, 0);
    client_does(c, id, COMMAND_PUT, CLIENT_WRITE, "k", "kept", NULL, 0);
    fault(c, "{\"do\": \"crash\", \"node\": \"all\", \"disk\": \"unsynced\"}");
    assert_int_equal(c->class->leader(c->runtime), 0);
    fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    client_does(c, id, COMMAND_GET, CLIENT_READ, "k", NULL, answer, sizeof answer);
    assert_string_equal(answer, "kept");
    fault(c, "{\"do\": \"crash\", \"node\": \"follower\", \"disk\": \"wiped\"}");
    fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    wait_for(c, "applied >= 3");
    check_is_ok(c);
    cluster_free(c);
}

/* A crash may be armed to fall between two effects of a step. */
static void test_live_crash_between_effects(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    wait_leader(c);
    for (int effect = 0; effect < 4; effect++) {
        char text[96];
        uint16_t old = wait_leader(c);
        struct node_view v = {.up = true};
        snprintf(text, sizeof text, "{\"do\": \"crash\", \"node\": %u, \"effect\": %d}", old, effect);
        fault(c, text);
        for (int64_t end = c->class->now(c->runtime) + PATIENCE; v.up && c->class->now(c->runtime) < end;) {
            run_for(c, 5000000);
            c->class->view(c->runtime, old, &v);
        }
        assert_false(v.up);
        fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
        assert_int_equal(propose(c, "and on"), QRT_OK);
    }
    check_is_ok(c);
    cluster_free(c);
}

static void load(struct cluster *c, uint32_t clients, uint64_t operations) {
    struct workload w;
    struct error e = {0};
    workload_standard(&w, "kv");
    w.clients = clients;
    w.operations = operations;
    w.keys = 8;
    assert_int_equal(cluster_load(c, &w, &e), QRT_OK);
}

/* Eight clients work while links lose, delay, reorder, double and corrupt, nodes crash and pause: no property breaks, and
 * the histories are linearizable. */
static void test_live_workload_under_faults(void **state) {
    (void)state;
    static const char plan_json[] =
        "[{\"at\": 0.2, \"for\": 1.5, \"do\": \"loss\", \"probability\": 0.05},"
        " {\"at\": 0.3, \"for\": 1.5, \"do\": \"delay\", \"delay\": {\"uniform\": [\"0ms\", \"2ms\"]}},"
        " {\"at\": 0.4, \"for\": 1.5, \"do\": \"duplicate\", \"probability\": 0.1, \"spread\": \"3ms\"},"
        " {\"at\": 0.4, \"for\": 1.0, \"do\": \"reorder\", \"probability\": 0.1, \"spread\": \"3ms\"},"
        " {\"at\": 0.5, \"for\": 1.0, \"do\": \"corrupt\", \"probability\": 0.02},"
        " {\"at\": 0.6, \"for\": 0.4, \"do\": \"crash\", \"node\": \"leader\"},"
        " {\"at\": 1.3, \"for\": 0.3, \"do\": \"pause\", \"node\": \"leader\"},"
        " {\"at\": 1.4, \"for\": 1.0, \"do\": \"skew\", \"node\": 2, \"offset\": \"-80ms\", \"drift\": "
        "20000},"
        " {\"at\": 1.8, \"for\": 0.3, \"do\": \"partition\", \"shape\": \"leader\"},"
        " {\"at\": 2.2, \"for\": 0.3, \"do\": \"crash\", \"node\": \"random\", \"disk\": \"wiped\", "
        "\"guarded\": true}]";
    struct cluster *c = cluster_with(&(struct setting){"nodes", "5"}, 1);
    struct plan plan = {0};
    struct error e = {0};
    qrt_status s = plan_parse(&plan, bytes_text(plan_json), 5, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
    load(c, 8, 0);
    run_for(c, 3 * SECOND);
    for (int i = 0; i < 20 && c->class->history(c->runtime)->count <= 200; i++)
        run_for(c, SECOND); /* on a busy machine */
    c->class->stop_clients(c->runtime);
    wait_for(c, "idle");
    wait_for(c, "leader");
    assert_int_equal(propose(c, "at the end"), QRT_OK);
    check_is_ok(c);
    const struct history *h = c->class->history(c->runtime);
    struct runtime_counts counts;
    c->class->counts(c->runtime, &counts);
    print_message("%zu operations, %llu events; %llu faults, %llu crashes, %llu restarts, %llu pauses\n", h->count,
                  (unsigned long long)c->class->trace(c->runtime)->count, (unsigned long long)counts.faults,
                  (unsigned long long)counts.crashes, (unsigned long long)counts.restarts,
                  (unsigned long long)counts.pauses);
    assert_true(h->count > 200);
    assert_true(counts.faults >= 18 && counts.crashes >= 2 && counts.restarts >= 2 && counts.pauses >= 1);
    assert_true(counts.duplicated && counts.corrupted && counts.reordered && counts.dropped);
    cluster_free(c);
}

/* Values whose frames are sent without a copy, on links that delay, double and corrupt them: what was acknowledged is the same
 * on all nodes, and a doubled or delayed frame is the one that was sent. */
static void test_live_large_values_under_faults(void **state) {
    (void)state;
    enum { SIZE = 40000, VALUES = 30 };
    struct cluster *c = cluster_with(NULL, 0);
    struct runtime_counts counts;
    char *value = mem_zero(SIZE + 1, 1);
    wait_leader(c);
    fault(c, "{\"do\": \"duplicate\", \"probability\": 0.5, \"spread\": \"2ms\"}");
    fault(c, "{\"do\": \"delay\", \"delay\": {\"uniform\": [\"0ms\", \"2ms\"]}}");
    fault(c, "{\"do\": \"corrupt\", \"probability\": 0.05}");
    for (int i = 0; i < VALUES; i++) {
        memset(value, 'a' + i % 26, SIZE);
        assert_int_equal(propose(c, value), QRT_OK);
    }
    check_is_ok(c);
    c->class->counts(c->runtime, &counts);
    assert_true(counts.duplicated > VALUES && counts.corrupted);
    free(value);
    cluster_free(c);
}

/* The merged trace is in order of time, and every receive stands behind its send. */
static void test_live_trace_is_causal(void **state) {
    (void)state;
    struct cluster *c = cluster_with(NULL, 0);
    wait_leader(c);
    load(c, 4, 200);
    wait_for(c, "idle");
    const struct trace *t = c->class->trace(c->runtime);
    uint64_t last[4 + 4] = {0}, received = 0; /* of each sender: the number of its latest send */
    int64_t time = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        assert_true(e->time >= time);
        time = e->time;
        uint16_t sender = (uint16_t)(e->link >> 40),
                 at = sender > QRT_CLIENT ? (uint16_t)(3 + sender - QRT_CLIENT) : sender;
        if (e->kind == QRT_KIND_SEND) last[at] = e->link;
        if (e->kind != QRT_KIND_RECEIVE) continue;
        received++;
        assert_true(e->link <= last[at]);
    }
    assert_true(received > 400);
    check_is_ok(c);
    cluster_free(c);
}

static void remove_tree(const char *path) {
    DIR *d = opendir(path);
    char inner[512];
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner)) remove_tree(inner);
    }
    if (d) closedir(d);
    rmdir(path);
}

/* What one cluster acknowledged in a folder, a later cluster over the same folder has, even if one member lost all. */
static void test_live_folder_outlives_its_cluster(void **state) {
    (void)state;
    char folder[] = "/tmp/quorate-live-XXXXXX", lost[64], answer[32];
    assert_non_null(mkdtemp(folder));
    const struct setting settings[] = {{"disk", "folder"}, {"data", folder}};
    struct cluster *c = cluster_with(settings, 2);
    client_does(c, c->class->client(c->runtime, NULL, 0), COMMAND_PUT, CLIENT_WRITE, "k", "kept", NULL, 0);
    wait_for(c, "applied >= 3");
    check_is_ok(c);
    cluster_free(c);
    snprintf(lost, sizeof lost, "%s/n2", folder);
    remove_tree(lost);
    c = cluster_with(settings, 2);
    client_does(c, c->class->client(c->runtime, NULL, 0), COMMAND_GET, CLIENT_READ, "k", NULL, answer, sizeof answer);
    assert_string_equal(answer, "kept");
    wait_for(c, "applied >= 4");
    fault(c, "{\"do\": \"crash\", \"node\": \"follower\", \"disk\": \"wiped\"}");
    fault(c, "{\"do\": \"restart\", \"node\": \"all\"}");
    wait_for(c, "applied >= 4");
    check_is_ok(c);
    struct error e = {0};
    struct setting again[] = {{"runtime", "live"}, {"transport", transport}, {"disk", "folder"}, {"data", folder}};
    assert_null(cluster_new("raft", again, 4, NULL, &e)); /* it is in use */
    assert_int_not_equal(e.status, QRT_OK);
    cluster_free(c);
    remove_tree(folder);
}

static size_t entries_of(const char *path) {
    size_t count = 0;
    DIR *d = opendir(path);
    while (d && readdir(d)) count++;
    if (d) closedir(d);
    return count;
}

/* Twenty clusters come and go; no descriptor and no thread stays. */
static void test_live_leaves_nothing_behind(void **state) {
    (void)state;
    size_t descriptors = 0, threads = 0;
    for (int round = 0; round < 20; round++) {
        struct cluster *c = cluster_with(NULL, 0);
        if (round % 5 == 0) wait_leader(c);
        if (round % 2) fault(c, "{\"do\": \"pause\", \"node\": 1}");
        if (round % 3 == 1) fault(c, "{\"do\": \"crash\", \"node\": 2}");
        cluster_free(c);
        if (round == 1) {
            descriptors = entries_of("/proc/self/fd");
            threads = entries_of("/proc/self/task");
        }
    }
    assert_in_range(entries_of("/proc/self/fd"), descriptors - SYMBOLIZER_PIPES, descriptors + SYMBOLIZER_PIPES);
    assert_int_equal(entries_of("/proc/self/task"), threads);
}

/* What live cannot do is refused with a reason. */
static void test_live_refuses_with_reasons(void **state) {
    (void)state;
    struct error e = {0};
    int script = 0;
    struct machine_class machine = *machine_find("kv");
    machine.context = &script;
    struct setting live = {"runtime", "live"};
    assert_null(cluster_new("raft", &live, 1, &machine, &e));
    assert_int_equal(e.status, QRT_EUNSUPPORTED);
    assert_non_null(strstr(e.text, "runtime=\"sim\""));
    e = (struct error){0};
    struct setting lost[] = {live, {"disk", "folder"}, {"data", "/proc/none/of/this"}};
    assert_null(cluster_new("raft", lost, 3, NULL, &e));
    assert_int_equal(e.status, QRT_EIO);
    e = (struct error){0};
    struct cluster *c = cluster_with(NULL, 0);
    assert_null(cluster_fork(c, &e));
    assert_int_equal(e.status, QRT_EUNSUPPORTED);
    struct condition never = {CONDITION_COMMIT, 0, 1000000};
    int64_t now = c->class->now(c->runtime);
    assert_int_equal(c->class->run(c->runtime, now + 60 * SECOND, &never, 10000000), QRT_MORE);
    assert_int_equal(c->class->run(c->runtime, now + 30000000, &never, 0), QRT_ETIMEOUT);
    cluster_free(c);
}

static void note_field(void *context, const char *name, const char *value) {
    (void)value;
    if (!strcmp(name, "term")) *(bool *)context = true;
}

/* Nodes can be looked into while they run; a crashed one says so. */
static void test_live_inspects_nodes(void **state) {
    (void)state;
    struct cluster *c = cluster_with(&(struct setting){"disk", "memory"}, 1);
    bool term = false;
    uint16_t leader = wait_leader(c);
    assert_true(c->class->inspect(c->runtime, leader, note_field, &term));
    assert_true(term);
    faultf(c, "{\"do\": \"crash\", \"node\": %u}", leader);
    assert_false(c->class->inspect(c->runtime, leader, note_field, &term));
    cluster_free(c);
}

struct outcome {
    enum verdict verdict;
    char names[1024]; /* "election-safety ok, ..." */
};

/* The script of both runtimes. */
static void play(const char *runtime, struct outcome *o) {
    const char *over = strcmp(runtime, "live") ? "inproc" : transport;
    struct cluster *c = cluster_with((struct setting[]){{"runtime", runtime}, {"transport", over}}, 2);
    struct error e = {0};
    uint16_t old = wait_leader(c);
    assert_int_equal(propose(c, "x = 1"), QRT_OK);
    faultf(c, "{\"do\": \"crash\", \"node\": %u}", old);
    assert_int_equal(propose(c, "x = 2"), QRT_OK);
    faultf(c, "{\"do\": \"partition\", \"shape\": \"one\", \"node\": %u}", wait_leader(c));
    run_for(c, SECOND / 2);
    fault(c, "{\"do\": \"heal\"}");
    faultf(c, "{\"do\": \"restart\", \"node\": %u}", old);
    load(c, 4, 200);
    wait_for(c, "idle");
    while (cluster_check(c, 20, 0, 20000000, &e) == QRT_MORE) continue;
    o->verdict = c->verdict;
    size_t count, used = 0;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        used +=
            (size_t)snprintf(o->names + used, sizeof o->names - used, "%s %s, ", p[i].name, verdict_name(p[i].verdict));
    cluster_free(c);
}

/* One script's verdicts agree simulated and live. */
static void test_live_verdicts_are_the_simulators(void **state) {
    (void)state;
    struct outcome sim, live;
    play("sim", &sim);
    play("live", &live);
    assert_int_equal(sim.verdict, VERDICT_OK);
    assert_int_equal(live.verdict, sim.verdict);
    assert_string_equal(live.names, sim.names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_survives_its_leader),
        cmocka_unit_test(test_live_partition_and_heal),
        cmocka_unit_test(test_live_pause_and_resume),
        cmocka_unit_test(test_live_restart_keeps_data),
        cmocka_unit_test(test_live_crash_between_effects),
        cmocka_unit_test(test_live_workload_under_faults),
        cmocka_unit_test(test_live_large_values_under_faults),
        cmocka_unit_test(test_live_trace_is_causal),
        cmocka_unit_test(test_live_folder_outlives_its_cluster),
        cmocka_unit_test(test_live_leaves_nothing_behind),
        cmocka_unit_test(test_live_a_crash_ends_what_waits),
        cmocka_unit_test(test_live_refuses_with_reasons),
        cmocka_unit_test(test_live_inspects_nodes),
        cmocka_unit_test(test_live_targets_by_number_and_role),
        cmocka_unit_test(test_live_verdicts_are_the_simulators),
    };
    static const char *const transports[] = {"inproc", "ipc", "tcp"};
    int failed = 0;
    for (size_t i = 0; i < 3; i++) {
        transport = transports[i];
        failed += cmocka_run_group_tests_name(transport, tests, NULL, NULL);
    }
    return failed;
}
