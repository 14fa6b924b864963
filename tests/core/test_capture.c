/* Captures and their replay. A simulated cluster is captured, which makes every case repeatable: the replay must do in every
 * step what the run did, under every fault, and must name the first step that it does not; and files that are cut, damaged or
 * another cluster's are seen. Live captures have the same files (test_live.c, tests/python/test_capture.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <cmocka.h>

#include "cluster/capture_replay.h"

#define SECOND INT64_C(1000000000)

static char folder[64];

static void remove_folder(void) {
    DIR *d = opendir(folder);
    char path[512];
    for (struct dirent *entry; d && (entry = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    if (d) closedir(d);
    rmdir(folder);
}

static int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/quorate-capture-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    remove_folder();
    return 0;
}

static void say(const struct error *e) {
    if (e->status) print_error("%s\n", e->text);
}

static struct cluster *cluster_of(const char *protocol, const struct setting *more, size_t count) {
    struct setting settings[16] = {{"nodes", "5"}, {"seed", "11"}, {"capture", folder}};
    struct error e = {0};
    for (size_t i = 0; i < count; i++) settings[3 + i] = more[i];
    struct cluster *c = cluster_new(protocol, settings, 3 + count, NULL, &e);
    say(&e);
    assert_non_null(c);
    return c;
}

static void load(struct cluster *c, uint64_t operations) {
    struct workload w;
    struct error e = {0};
    workload_standard(&w, "kv");
    w.clients = 4;
    w.operations = operations;
    qrt_status s = cluster_load(c, &w, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
}

static void plan(struct cluster *c, const char *json) {
    struct plan p = {0};
    struct error e = {0};
    qrt_status s = plan_parse(&p, bytes_text(json), (uint16_t)c->config.options.nodes, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
    c->class->fault(c->runtime, &p);
    plan_free(&p);
}

static void run(struct cluster *c, int64_t until) {
    struct error e = {0};
    assert_int_equal(cluster_run(c, until, NULL, 0, &e), QRT_OK);
}

static json_t *replay(const char *bug) {
    struct error e = {0};
    struct capture_replay *r = capture_replay_new(folder, bug, &e);
    say(&e);
    assert_non_null(r);
    while (!capture_replay_run(r, 1000000)) continue;
    json_t *report = json_loads(capture_replay_report(r), 0, NULL);
    capture_replay_free(r);
    assert_non_null(report);
    return report;
}

static json_int_t number(json_t *report, const char *name) {
    return json_integer_value(json_object_get(report, name));
}

static const char *text(json_t *report, const char *name) {
    return json_string_value(json_object_get(report, name));
}

/* Everything was compared but what kills cut short, and nothing differs. */
static void assert_whole(json_t *report) {
    if (strcmp(text(report, "verdict"), "ok")) print_error("%s\n", json_dumps(report, JSON_INDENT(1)));
    assert_string_equal(text(report, "verdict"), "ok");
    assert_true(number(report, "steps") > 100);
    assert_int_equal(number(report, "matched") + number(report, "uncompared"), number(report, "steps"));
    assert_int_equal(number(report, "uncompared"), 0);
    assert_int_equal(number(report, "gaps"), 0);
    json_decref(report);
}

static const char *const faults =
    "[{\"at\": 1, \"do\": \"crash\", \"node\": 1}, {\"at\": 1.2, \"do\": \"crash\", \"node\": 2, \"effect\": 3},"
    " {\"at\": 1.5, \"do\": \"restart\", \"node\": \"all\"}, {\"at\": 1.8, \"do\": \"pause\", \"node\": 3},"
    " {\"at\": 2.1, \"do\": \"resume\", \"node\": 3},"
    " {\"at\": 2.2, \"do\": \"crash\", \"node\": 4, \"disk\": \"wiped\"},"
    " {\"at\": 2.4, \"do\": \"restart\", \"node\": 4}, {\"at\": 2.5, \"do\": \"skew\", \"node\": 2, \"drift\": 900},"
    " {\"at\": 2.6, \"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]]}, {\"at\": 3, \"do\": \"heal\"},"
    " {\"at\": 3.1, \"do\": \"crash\", \"node\": \"leader\", \"effect\": 2, \"disk\": \"kept\"},"
    " {\"at\": 3.2, \"do\": \"crash\", \"node\": \"majority\"}, {\"at\": 3.5, \"do\": \"restart\", \"node\": \"all\"}]";

/* Each step of a run without faults comes out as it was, over its state and all its events. */
static void test_capture_replays(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", NULL, 0);
    load(c, 300);
    run(c, 3 * SECOND);
    cluster_free(c);
    assert_whole(replay(NULL));
}

/* The same under crashes between effects, lost and wiped disks, a pause and a partition. */
static void test_capture_replays_faults(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", (struct setting[]){{"detector", "phi"}}, 1);
    plan(c, faults);
    load(c, 500);
    run(c, 5 * SECOND);
    cluster_free(c);
    assert_whole(replay(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_capture_replays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_capture_replays_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
