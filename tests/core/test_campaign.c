/* Campaigns: many seeds, whatever the number of jobs the same; clean without a mistake, and with one caught by its property;
 * a failing run is a file that replays. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/campaign.h"
#include "protocol/protocol.h"
#include "support/campaigns.h"

static struct run_result run_of(struct run_spec *spec) {
    struct error e = {0};
    struct runner *r = runner_new(spec, false, &e);
    if (!r) fail_msg("%s", e.text);
    runner_step(r, 0);
    struct run_result result = r->result;
    runner_free(r, NULL);
    return result;
}

static void print_spec(const struct run_spec *spec, uint64_t hash, struct buffer *out) {
    spec_print(spec, hash, NULL, 0, out);
    buffer_text(out);
}

static int64_t number(json_t *o, const char *name) {
    json_t *v = json_object_get(o, name);
    if (!json_is_integer(v)) fail_msg("the report has no number '%s'", name);
    return json_integer_value(v);
}

/* Issue, "what it must show": a campaign's hash, and every row, is the same with 1 and 2 jobs. */
static void test_campaign_is_the_same_with_one_and_two_jobs(void **unused) {
    (void)unused;
    json_t *one =
        campaigns_run("{\"protocol\": \"raft\", \"seeds\": 24, \"first\": 90, \"jobs\": 1, \"events\": 3000}");
    json_t *two =
        campaigns_run("{\"protocol\": \"raft\", \"seeds\": 24, \"first\": 90, \"jobs\": 2, \"events\": 3000}");
    const char *fields[] = {"hash", "events", "sometimes", "properties", "violations", "stuck", "seeds"};
    for (int i = 0; i < 7; i++)
        assert_true(json_equal(json_object_get(one, fields[i]), json_object_get(two, fields[i])));
    assert_int_equal(number(two, "jobs"), 2);
    json_decref(one);
    json_decref(two);
}

/* DESIGN 5: default seeds are clean, have at least 10,000 events and 5 faults each, make progress after healing, and every
 * named condition was really exercised. */
static void test_campaign_default_seeds_are_clean_and_exercise_everything(void **unused) {
    (void)unused;
    json_t *report = campaigns_run("{\"protocol\": \"raft\", \"seeds\": 300, \"first\": 1}");
    campaigns_expect_clean(report);
    for (size_t i = 0; coverage_name(i); i++) /* what is wanted is listed, and nothing else */
        assert_int_equal(json_object_get(json_object_get(report, "sometimes"), coverage_name(i)) != NULL,
                         text_lists(protocol_find("raft")->sometimes, coverage_name(i)));
    assert_true(number(report, "events_least") >= 10000);
    assert_true(number(report, "faults_least") >= 5);
    assert_int_equal(number(report, "unknown"), 0);
    json_decref(report);
}

/* Swarm: seeds differ in kind; the configuration is drawn first, from 3 to 7 nodes and 4 to 16 clients. */
static void test_campaign_seeds_differ_in_kind(void **unused) {
    (void)unused;
    uint32_t nodes = 0, clients = 0;
    struct draw_request request = {protocol_find("raft"), 0, "", NULL, 10000, false, false};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct run_spec spec;
        spec_draw(&spec, &request, seed);
        assert_true(spec.nodes >= 3 && spec.nodes <= 7);
        assert_true(spec.workload.clients >= 4 && spec.workload.clients <= 16);
        nodes |= 1u << spec.nodes;
        clients |= 1u << spec.workload.clients;
        spec_free(&spec);
    }
    assert_int_equal(nodes, 0xf8);
    assert_int_equal(clients, 0x1fff0);
}

/* DESIGN 5: a failing run is a file; written and read it is the same file, and runs to the same hash. */
static void test_campaign_a_run_file_replays_to_the_same_hash(void **unused) {
    (void)unused;
    struct draw_request request = {protocol_find("raft"), 0, "", NULL, 3000, false, false};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct run_spec spec, again;
        struct error e = {0};
        struct buffer once = {0}, twice = {0};
        spec_draw(&spec, &request, seed);
        print_spec(&spec, 0, &once);
        if (spec_parse(&again, bytes_of(once.data, once.size), &e)) fail_msg("seed %d: %s", (int)seed, e.text);
        print_spec(&again, 0, &twice);
        assert_string_equal((char *)once.data, (char *)twice.data);
        struct run_result a = run_of(&spec), b = run_of(&again);
        if (a.hash != b.hash || a.events != b.events)
            fail_msg("seed %d: the run hashes to %016llx, its file to %016llx", (int)seed, (unsigned long long)a.hash,
                     (unsigned long long)b.hash);
        buffer_free(&once);
        buffer_free(&twice);
    }
}

static bool fired(const struct run_result *r, const char *property) {
    for (size_t i = 0; i < r->property_count; i++)
        if (!strcmp(r->properties[i], property)) return r->violated >> i & 1;
    return false;
}

/* The first seed that the property catches; its file must replay to the same violation. */
static void expect_caught(const char *bug, const char *property, uint64_t seeds) {
    struct draw_request request = {protocol_find("raft"), 0, bug, NULL, 10000, false, false};
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct run_spec spec, again;
        struct error e = {0};
        struct buffer file = {0};
        spec_draw(&spec, &request, seed);
        print_spec(&spec, 0, &file);
        struct run_result a = run_of(&spec);
        if (!fired(&a, property)) {
            buffer_free(&file);
            continue;
        }
        if (spec_parse(&again, bytes_of(file.data, file.size), &e)) fail_msg("%s, seed %d: %s", bug, (int)seed, e.text);
        struct run_result b = run_of(&again);
        assert_int_equal(a.verdict, RUN_VIOLATED);
        assert_true(a.hash == b.hash && a.violated == b.violated && a.violated_at == b.violated_at);
        assert_string_equal(a.text, b.text);
        assert_true(strlen(a.text) > 10);
        print_message("    %s: caught by %s at seed %d\n", bug, property, (int)seed);
        buffer_free(&file);
        return;
    }
    fail_msg("%s is not caught by %s within %d seeds", bug, property, (int)seeds);
}

/* Issue, part 12: a switched mistake is caught by its named property, and its run file replays to the same violation. */
static void test_campaign_catches_mistakes_by_their_property(void **unused) {
    (void)unused;
    expect_caught("late-heartbeat-truncates", "committed-never-truncated", 300);
    expect_caught("even-quorum", "commit-quorum", 300);
    expect_caught("amnesia-votes", "durability", 300);
    expect_caught("read-before-confirm", "linearizability", 300);
}

/* The report of a campaign with a mistake lists the failing seeds with run files that replay across the ABI. */
static void test_campaign_report_has_run_files_that_replay(void **unused) {
    (void)unused;
    json_t *report = campaigns_run("{\"protocol\": \"raft\", \"seeds\": 4, \"bug\": \"even-quorum\", \"nodes\": 4}");
    json_t *first = json_array_get(json_object_get(report, "violations"), 0);
    assert_non_null(first);
    char *file = json_dumps(json_object_get(first, "run"), 0);
    qrt_cluster *c = NULL;
    qrt_status s;
    assert_int_equal(qrt_cluster_replay(&c, file), QRT_OK);
    while ((s = qrt_cluster_replay_run(c)) == QRT_MORE) continue;
    if (s) fail_msg("%s", qrt_last_error(c));
    uint64_t hash;
    char hex[20];
    qrt_cluster_hash(c, &hash, NULL);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
    assert_string_equal(hex, json_string_value(json_object_get(json_object_get(first, "run"), "hash")));
    qrt_cluster_free(&c);
    json_object_set_new(json_object_get(first, "run"), "hash", json_string("00000000deadbeef"));
    free(file);
    file = json_dumps(json_object_get(first, "run"), 0);
    assert_int_equal(qrt_cluster_replay(&c, file), QRT_OK);
    while ((s = qrt_cluster_replay_run(c)) == QRT_MORE) continue;
    assert_int_equal(s, QRT_EFAILED); /* another run than the file's */
    qrt_cluster_free(&c);
    free(file);
    json_decref(report);
}

/* Bad input: what is no campaign is refused; text that is no JSON with its line and column, a name with the nearest one. */
static void test_campaign_refuses_malformed_specs(void **unused) {
    (void)unused;
    const struct {
        const char *spec;
        qrt_status status;
        const char *says;
    } bad[] = {
        {"", QRT_EPARSE, "line 1"},
        {"{\n\"protocol\": raft}", QRT_EPARSE, "line 2"},
        {"[]", QRT_EPARSE, "object"},
        {"{\"protocol\": \"raft\", \"seeds\": 0}", QRT_ERANGE, "seeds"},
        {"{\"protocol\": \"raft\", \"seeds\": \"x\"}", QRT_ETYPE, "seeds"},
        {"{\"protocol\": \"raft\", \"seed\": 3}", QRT_EOPTION, "'seeds'"},
        {"{\"protocol\": \"raft\", \"nodes\": 1000}", QRT_ERANGE, "nodes"},
        {"{\"protocol\": \"rafty\"}", QRT_ENOTFOUND, "rafty"},
        {"{\"protocol\": 3}", QRT_ETYPE, "protocol"},
        {"{\"protocol\": \"raft\", \"bug\": \"even-quorm\"}", QRT_ENOTFOUND, "even-quorum"},
        {"{\"protocol\": \"raft\", \"jobs\": -1}", QRT_ERANGE, "jobs"},
        {"{\"protocol\": \"raft\", \"plan\": {\"directives\": [{\"at\": 1, \"do\": \"crush\"}]}}", QRT_EPARSE, "crush"},
        {"{\"protocol\": \"raft\", \"plan\": 3}", QRT_EPARSE, ""},
        {"{\"protocol\": \"raft\", \"protocol\": \"raft\"}", QRT_EPARSE, "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e = {0};
        if (campaign_new(bytes_text(bad[i].spec), &e)) fail_msg("%s is taken", bad[i].spec);
        if (e.status >= 0 || !strstr(e.text, bad[i].says))
            fail_msg("%s: %s: %s", bad[i].spec, status_name(e.status), e.text);
        if (bad[i].status != QRT_EPARSE) assert_int_equal(e.status, bad[i].status);
    }
}

/* Bad input: a run file that is none, is of a newer format, or lies about its numbers is refused, and leaves nothing behind. */
static void test_campaign_refuses_malformed_run_files(void **unused) {
    (void)unused;
    const char *whole = "{\"format\": %d, \"protocol\": \"raft\", \"events_min\": %s, \"hash\": \"00\", "
                        "\"options\": {\"nodes\": %s, \"seed\": \"1\"}, \"workload\": %s, \"plan\": %s}";
    const struct {
        int format;
        const char *events, *nodes, *workload, *plan;
        qrt_status status;
    } cases[] = {
        {1, "1000", "\"3\"", "{}", "{\"directives\": []}", QRT_OK},
        {2, "1000", "\"3\"", "{}", "{\"directives\": []}", QRT_ENEWER},
        {1, "-1", "\"3\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "\"x\"", "\"3\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "1000", "3", "{}", "{\"directives\": []}", QRT_EPARSE},
        {1, "1000", "\"0\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "1000", "\"1000\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "1000", "\"x\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "1000", "\"65539\"", "{}", "{\"directives\": []}", QRT_ERANGE},
        {1, "1000", "\"3\"", "3", "{\"directives\": []}", QRT_EPARSE},
        {1, "1000", "\"3\"", "{}", "3", QRT_EPARSE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[600];
        struct run_spec spec;
        struct error e = {0};
        snprintf(text, sizeof text, whole, cases[i].format, cases[i].events, cases[i].nodes, cases[i].workload,
                 cases[i].plan);
        qrt_status s = spec_parse(&spec, bytes_text(text), &e);
        if (s != cases[i].status) fail_msg("case %d: %s: %s", (int)i, status_name(s), e.text);
        if (s == QRT_OK)
            spec_free(&spec);
        else
            assert_true(strlen(e.text) > 10);
    }
    const char *seedless = "{\"format\": 1, \"protocol\": \"raft\", \"events_min\": 1, \"options\": {}, "
                           "\"workload\": {}, \"plan\": {\"directives\": []}}";
    struct run_spec whatever;
    struct error ignored;
    struct buffer out = {0};
    assert_int_equal(spec_parse(&whatever, bytes_text(seedless), &ignored), QRT_OK);
    print_spec(&whatever, 0, &out); /* what is left at its default is written as that */
    assert_non_null(strstr((char *)out.data, "\"seed\": \"1\""));
    buffer_free(&out);
    spec_free(&whatever);
    const char *none[] = {"", "{\n  \"format\": oops", "[]", "3", "{}", "{\"format\": 1}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct run_spec spec;
        struct error e = {0};
        assert_int_equal(spec_parse(&spec, bytes_text(none[i]), &e), QRT_EPARSE);
        if (i == 1) assert_non_null(strstr(e.text, "line 2"));
    }
}

/* DESIGN section 5: beyond its fault model every protocol breaks, and the report names the assumption and its time. */
static void test_campaign_breaks_every_protocol_outside_of_its_model(void **unused) {
    (void)unused;
    for (size_t i = 0; protocol_at(i); i++) {
        const struct protocol *p = protocol_at(i);
        if (!p->model || strcmp(p->model->liars, "0")) continue;
        json_t *report =
            campaigns_run("{\"protocol\": \"%s\", \"seeds\": 120, \"outside\": true, \"events\": 3000}", p->name);
        json_t *violations = json_object_get(report, "violations");
        if (!json_array_size(violations)) fail_msg("%s: nothing breaks it", p->name);
        json_t *broken = json_object_get(json_array_get(violations, 0), "assumption");
        assert_non_null(json_string_value(json_object_get(broken, "assumes")));
        assert_true(json_number_value(json_object_get(broken, "time")) > 0);
        json_decref(report);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_campaign_is_the_same_with_one_and_two_jobs),
        cmocka_unit_test(test_campaign_default_seeds_are_clean_and_exercise_everything),
        cmocka_unit_test(test_campaign_seeds_differ_in_kind),
        cmocka_unit_test(test_campaign_a_run_file_replays_to_the_same_hash),
        cmocka_unit_test(test_campaign_catches_mistakes_by_their_property),
        cmocka_unit_test(test_campaign_report_has_run_files_that_replay),
        cmocka_unit_test(test_campaign_refuses_malformed_specs),
        cmocka_unit_test(test_campaign_refuses_malformed_run_files),
        cmocka_unit_test(test_campaign_breaks_every_protocol_outside_of_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
