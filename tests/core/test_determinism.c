/* Same script and seed, same trace hash: whatever the language, compiler, machine, what is recorded, and however the run is cut
 * into calls. The script is that of tests/scenarios/same_hash.{py,lua}, with the data of same_hash.json; same_hash.txt holds
 * the hash that it has on every machine. When a protocol is meant to behave otherwise, write the new one:
 *
 *     build/dev/tests/test_determinism --hash >tests/scenarios/same_hash.txt
 *     build/dev/tests/test_determinism --campaign >tests/scenarios/same_campaign.txt */
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quorate.h"

#define SCENARIO QUORATE_SOURCE_DIR "/tests/scenarios/same_hash"
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define OPTIONS_MAX 16

/* How a script is carried out; none of it may show in the trace. */
struct manner {
    const char *record; /* NULL: the default, all */
    const char *check;  /* NULL: the default, true */
    int64_t slice_ns;   /* runs are cut at multiples of it; 0: one call */
    bool forks;         /* goes on with a fork now and then, and lets the original go astray first */
};

struct script {
    qrt_cluster *c;
    struct manner manner;
    json_t *data;
    char texts[OPTIONS_MAX][64];
};

static void expect(struct script *s, qrt_status status) {
    if (status >= 0) return;
    fail_msg("tests/scenarios/same_hash, seed 7: %s: %s", qrt_status_name(status), qrt_last_error(s->c));
}

/* --- the verbs, as the other languages have them --- */

static size_t read_options(struct script *s, qrt_option options[OPTIONS_MAX]) {
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(json_object_get(s->data, "options"), name, value) {
        assert_true(count < OPTIONS_MAX - 2);
        char *text = s->texts[count];
        if (json_is_string(value))
            snprintf(text, sizeof s->texts[0], "%s", json_string_value(value));
        else
            snprintf(text, sizeof s->texts[0], "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        options[count++] = (qrt_option){name, text};
    }
    if (s->manner.record) options[count++] = (qrt_option){"record", s->manner.record};
    if (s->manner.check) options[count++] = (qrt_option){"check", s->manner.check};
    return count;
}

static void script_begin(struct script *s, const struct manner *manner) {
    json_error_t e;
    qrt_option options[OPTIONS_MAX];
    *s = (struct script){.manner = *manner, .data = json_load_file(SCENARIO ".json", 0, &e)};
    if (!s->data) fail_msg("%s.json, line %d: %s", SCENARIO, e.line, e.text);
    size_t count = read_options(s, options);
    if (qrt_cluster_new(&s->c, "raft", options, count, NULL)) fail_msg("%s", qrt_last_error(NULL));
}

static void script_end(struct script *s) {
    qrt_cluster_free(&s->c);
    json_decref(s->data);
}

static int64_t now_of(struct script *s) {
    int64_t now = 0;
    expect(s, qrt_cluster_now(s->c, &now));
    return now;
}

/* What a fork or its original does afterwards is nothing to the other. */
static void swap_with_fork(struct script *s) {
    qrt_cluster *fork = NULL;
    uint64_t before = 0, after = 0;
    expect(s, qrt_cluster_fork(s->c, &fork));
    expect(s, qrt_cluster_fingerprint(s->c, &before));
    expect(s, qrt_cluster_fingerprint(fork, &after));
    assert_int_equal(before, after);
    while (qrt_cluster_run(s->c, now_of(s) + 20 * MS, NULL) == QRT_MORE) continue;
    qrt_cluster_free(&s->c);
    s->c = fork;
}

/* Runs until that time or condition, in one call or cut into pieces. */
static qrt_status script_run(struct script *s, int64_t until, const char *condition) {
    qrt_status status;
    for (uint64_t piece = 1;; piece++) {
        int64_t slice = s->manner.slice_ns, now = now_of(s);
        int64_t stop = slice && now / slice * slice + slice < until ? now / slice * slice + slice : until;
        if (s->manner.forks && piece % 16 == 0) swap_with_fork(s);
        do status = qrt_cluster_run(s->c, stop, condition);
        while (status == QRT_MORE);
        bool early = stop < until && (status == QRT_ETIMEOUT || (status == QRT_OK && !condition));
        if (!early) break;
    }
    expect(s, status);
    return status;
}

static void script_sleep(struct script *s, int64_t ns) {
    script_run(s, now_of(s) + ns, NULL);
}

static uint16_t script_leader(struct script *s) {
    uint16_t leader = 0;
    script_run(s, now_of(s) + 5 * SECOND, "leader");
    expect(s, qrt_cluster_leader(s->c, &leader));
    return leader;
}

static void script_await(struct script *s, uint64_t ticket, const char *answer) {
    qrt_result r = {0};
    char condition[32];
    snprintf(condition, sizeof condition, "ticket %" PRIu64, ticket);
    if (s->manner.slice_ns) script_run(s, now_of(s) + 5 * SECOND, condition);
    while (qrt_cluster_await(s->c, ticket, now_of(s) + 5 * SECOND, &r) == QRT_MORE) continue;
    expect(s, r.status);
    if (!answer) return;
    assert_int_equal(r.size, strlen(answer));
    assert_memory_equal(r.data, answer, r.size);
}

static void script_propose(struct script *s, const char *value) {
    uint64_t ticket = 0;
    expect(s, qrt_cluster_propose(s->c, 0, (const uint8_t *)value, strlen(value), &ticket));
    script_await(s, ticket, NULL);
}

static void script_fault(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void script_fault(struct script *s, const char *format, ...) {
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    expect(s, qrt_cluster_fault(s->c, text));
}

static void script_partition(struct script *s, uint16_t alone) {
    char others[32] = "";
    for (unsigned node = 1; node <= 5; node++)
        if (node != alone) snprintf(others + strlen(others), 8, "%s%u", *others ? "," : "", node);
    script_fault(s, "{\"do\": \"partition\", \"groups\": [[%u], [%s]]}", alone, others);
}

static void script_operation(struct script *s, uint16_t client, qrt_operation operation, const char *value,
                             const char *expected, const char *answer) {
    uint64_t ticket = 0;
    qrt_command m = {.operation = (uint8_t)operation, .key = (const uint8_t *)"k", .key_size = 1};
    m.value = (const uint8_t *)value;
    m.value_size = strlen(value);
    m.expected = (const uint8_t *)expected;
    m.expected_size = expected ? strlen(expected) : 0;
    expect(s, qrt_client_submit(s->c, client, &m, &ticket));
    script_await(s, ticket, answer);
}

static void script_json(struct script *s, const char *name, qrt_status (*call)(qrt_cluster *, const char *)) {
    char *text = json_dumps(json_object_get(s->data, name), 0);
    expect(s, call(s->c, text));
    free(text);
}

/* --- the script --- */

static void elect_and_break(struct script *s) {
    uint16_t old = script_leader(s);
    script_propose(s, "x = 1");
    script_fault(s, "{\"do\": \"crash\", \"node\": %u}", old);
    uint16_t new = script_leader(s);
    script_propose(s, "x = 2");
    script_partition(s, new);
    script_sleep(s, SECOND / 2);
    script_fault(s, "{\"do\": \"heal\"}");
    script_fault(s, "{\"do\": \"restart\", \"node\": %u}", old);
    script_sleep(s, SECOND / 4);
}

static void use_and_load(struct script *s) {
    uint16_t client = 0;
    expect(s, qrt_client_new(s->c, &client));
    script_operation(s, client, QRT_PUT, "v", NULL, "");
    script_operation(s, client, QRT_GET, "", NULL, "v");
    script_operation(s, client, QRT_CAS, "w", "v", NULL);
    script_operation(s, client, QRT_APPEND, "!", NULL, "2");
    script_json(s, "plan", qrt_cluster_plan);
    script_json(s, "workload", qrt_cluster_load);
    script_run(s, INT64_MAX, "idle");
    script_sleep(s, SECOND);
}

static uint64_t hash_of(struct script *s, uint64_t *events) {
    uint64_t hash = 0;
    expect(s, qrt_cluster_hash(s->c, &hash, events));
    return hash;
}

static uint64_t script_hash(const struct manner *manner) {
    struct script s;
    script_begin(&s, manner);
    elect_and_break(&s);
    use_and_load(&s);
    uint64_t hash = hash_of(&s, NULL);
    script_end(&s);
    return hash;
}

static void assert_same_hash(const struct manner *manner, const char *what) {
    uint64_t one = script_hash(&(struct manner){0}), other = script_hash(manner);
    if (one != other)
        fail_msg("tests/scenarios/same_hash, seed 7: trace hash %016" PRIx64 ", but %016" PRIx64 " %s", one, other,
                 what);
}

/* --- the tests --- */

/* A file of tests/scenarios holds what every machine gives. */
static void assert_recorded(const char *path, const char *actual, const char *how) {
    char expected[64] = "";
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s is missing", path);
    int read = fscanf(file, "%63s", expected);
    fclose(file);
    if (read != 1 || strcmp(expected, actual))
        fail_msg("the hash is %s, %s says %s: if that is meant, run test_determinism %s >%s", actual, path, expected,
                 how, path);
}

/* The issue: the same hash with every compiler, at every level of optimisation, on every machine. */
static void test_determinism_same_hash_as_everywhere(void **unused) {
    (void)unused;
    char actual[32];
    snprintf(actual, sizeof actual, "%016" PRIx64, script_hash(&(struct manner){0}));
    assert_recorded(SCENARIO ".txt", actual, "--hash");
}

/* Over the trace hashes of all seeds. */
static void campaign_hash(int jobs, char hash[32]) {
    char spec[96];
    qrt_campaign *c = NULL;
    uint64_t done, total;
    snprintf(spec, sizeof spec, "{\"protocol\": \"raft\", \"seeds\": 40, \"jobs\": %d}", jobs);
    if (qrt_campaign_new(&c, spec)) fail_msg("%s", qrt_last_error(NULL));
    while (qrt_campaign_run(c, &done, &total) == QRT_MORE) continue;
    json_t *report = json_loads(qrt_campaign_report(c), 0, NULL);
    snprintf(hash, 32, "%s", json_string_value(json_object_get(report, "hash")));
    json_decref(report);
    qrt_campaign_free(&c);
}

/* What a seed draws (its cluster, load and plan) and how it runs is the same everywhere too, on any number of threads. */
static void test_determinism_same_campaign_as_everywhere(void **unused) {
    (void)unused;
    char one[32], two[32];
    campaign_hash(1, one);
    campaign_hash(2, two);
    assert_string_equal(one, two);
    assert_recorded(QUORATE_SOURCE_DIR "/tests/scenarios/same_campaign.txt", one, "--campaign");
}

/* One process, twice: nothing is left over from a run, and no address shows. */
static void test_determinism_same_hash_twice(void **unused) {
    (void)unused;
    assert_same_hash(&(struct manner){0}, "when run again");
}

/* The issue: recording on and off; checkers look, and touch nothing. */
static void test_determinism_same_hash_whatever_is_recorded_and_checked(void **unused) {
    (void)unused;
    assert_same_hash(&(struct manner){.record = "none"}, "when nothing is recorded");
    assert_same_hash(&(struct manner){.record = "last"}, "when the last events are recorded");
    assert_same_hash(&(struct manner){.record = "none", .check = "false"}, "when nothing is checked");
}

/* The issue: in one call and in steps. */
static void test_determinism_same_hash_in_pieces(void **unused) {
    (void)unused;
    assert_same_hash(&(struct manner){.slice_ns = 777777}, "when run in pieces of 0.78 ms");
    assert_same_hash(&(struct manner){.slice_ns = 50 * MS}, "when run in pieces of 50 ms");
}

/* A fork is an independent copy of the whole run, at any moment. */
static void test_determinism_same_hash_in_a_fork(void **unused) {
    (void)unused;
    assert_same_hash(&(struct manner){.slice_ns = 10 * MS, .forks = true}, "when it goes on in forks");
}

/* A fingerprint is of the pure state: two copies that do the same have the same, at any moment, and whatever became of the
 * cluster that they were forked from. */
static void test_determinism_forks_have_one_fingerprint(void **unused) {
    (void)unused;
    struct script s;
    qrt_cluster *twin = NULL;
    script_begin(&s, &(struct manner){0});
    script_json(&s, "plan", qrt_cluster_plan);
    script_json(&s, "workload", qrt_cluster_load);
    for (int i = 0; i < 400; i++) {
        uint64_t one = 0, other = 0;
        int64_t until = now_of(&s) + 7 * MS;
        if (i % 10 == 0) {
            qrt_cluster_free(&twin);
            expect(&s, qrt_cluster_fork(s.c, &twin));
            if (i % 20 == 0) swap_with_fork(&s);
        }
        script_run(&s, until, NULL);
        while (qrt_cluster_run(twin, until, NULL) == QRT_MORE) continue;
        expect(&s, qrt_cluster_fingerprint(s.c, &one));
        expect(&s, qrt_cluster_fingerprint(twin, &other));
        assert_int_equal(one, other);
    }
    qrt_cluster_free(&twin);
    script_end(&s);
}

/* The issue: in one call and in steps, event by event, under a plan and a load. */
static void test_determinism_same_hash_step_by_step(void **unused) {
    (void)unused;
    uint64_t hashes[3], events[3] = {0};
    int64_t done = 1;
    for (uint64_t way = 0; way < 3; way++) { /* one call; single events; growing steps */
        struct script s;
        script_begin(&s, &(struct manner){0});
        script_json(&s, "plan", qrt_cluster_plan);
        script_json(&s, "workload", qrt_cluster_load);
        if (!way) script_sleep(&s, 3 * SECOND);
        for (int64_t count = 1; way && events[way] < events[0] && done; count = way == 1 ? 1 : count % 97 + 1) {
            done = qrt_cluster_step(s.c, events[0] - events[way] > 1000 ? count : 1);
            assert_true(done >= 0);
            hash_of(&s, &events[way]);
        }
        hashes[way] = hash_of(&s, &events[way]);
        assert_int_equal(events[way], events[0]);
        assert_int_equal(hashes[way], hashes[0]);
        script_end(&s);
    }
    assert_true(events[0] > 10000);
}

/* Another seed is another run: the hash says something. */
static void test_determinism_other_seed_other_hash(void **unused) {
    (void)unused;
    uint64_t hashes[20];
    for (int seed = 0; seed < 20; seed++) {
        char text[8];
        snprintf(text, sizeof text, "%d", seed);
        qrt_option options[] = {{"nodes", "3"}, {"seed", text}};
        struct script s = {0};
        assert_int_equal(qrt_cluster_new(&s.c, "raft", options, 2, NULL), QRT_OK);
        script_sleep(&s, SECOND);
        hashes[seed] = hash_of(&s, NULL);
        qrt_cluster_free(&s.c);
        for (int i = 0; i < seed; i++) assert_true(hashes[i] != hashes[seed]);
    }
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "--hash")) {
        printf("%016" PRIx64 "\n", script_hash(&(struct manner){0}));
        return 0;
    }
    if (count > 1 && !strcmp(arguments[1], "--campaign")) {
        char hash[32];
        campaign_hash(1, hash);
        puts(hash);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_determinism_same_hash_as_everywhere),
        cmocka_unit_test(test_determinism_same_campaign_as_everywhere),
        cmocka_unit_test(test_determinism_same_hash_twice),
        cmocka_unit_test(test_determinism_same_hash_whatever_is_recorded_and_checked),
        cmocka_unit_test(test_determinism_same_hash_in_pieces),
        cmocka_unit_test(test_determinism_same_hash_in_a_fork),
        cmocka_unit_test(test_determinism_forks_have_one_fingerprint),
        cmocka_unit_test(test_determinism_same_hash_step_by_step),
        cmocka_unit_test(test_determinism_other_seed_other_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
