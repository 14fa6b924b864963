/* Workloads: their JSON form, what is wrong with one, and what is drawn from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/workload.h"

static qrt_status parse(const char *json, struct workload *w, struct error *e) {
    *e = (struct error){0};
    workload_standard(w, "kv");
    return workload_parse(w, bytes_text(json), e);
}

static void assert_same(const struct workload *a, const struct workload *b) {
    struct buffer x = {0}, y = {0};
    workload_print(a, &x);
    workload_print(b, &y);
    assert_string_equal(buffer_text(&x), buffer_text(&y));
    assert_int_equal(a->timeout_ns, b->timeout_ns);
    assert_int_equal(a->retry_ns, b->retry_ns);
    buffer_free(&x);
    buffer_free(&y);
}

static void assert_refused(const char *json, qrt_status status, const char *says) {
    struct workload w, before;
    struct error e;
    workload_standard(&before, "kv");
    assert_int_equal(parse(json, &w, &e), status);
    assert_same(&w, &before);
    if (!strstr(e.text, says)) fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

/* What is absent has its default, what is there is taken. */
static void test_workload_parses(void **unused) {
    (void)unused;
    struct workload w, standard;
    struct error e;
    assert_int_equal(parse("{}", &w, &e), QRT_OK);
    workload_standard(&standard, "kv");
    assert_same(&w, &standard);
    assert_int_equal(parse("{\"clients\": 3, \"operations\": 0, \"mix\": {\"get\": 1, \"cas\": 0.25}, \"keys\": 9,"
                           " \"key_skew\": 0.9, \"value_size\": 64, \"timeout\": \"250ms\", \"retry_after\": 0.05, "
                           "\"think\": "
                           "1e-3}",
                           &w, &e),
                     QRT_OK);
    assert_int_equal(w.clients, 3);
    assert_int_equal(w.operations, 0);
    assert_int_equal(w.mix_count, 2);
    assert_int_equal(w.mix[1].operation, COMMAND_CAS);
    assert_int_equal(w.timeout_ns, 250000000);
    assert_true(w.retry);
    assert_int_equal(w.retry_ns, 50000000);
    assert_int_equal(w.think_ns, 1000000);
    assert_int_equal(parse("{\"mix\": {\"add\": 1}, \"machine\": \"counter\", \"retry\": false}", &w, &e), QRT_OK);
    assert_string_equal(w.machine, "counter");
    assert_false(w.retry);
    workload_standard(&w, "register");
    assert_int_equal(workload_parse(&w, bytes_text("{\"timeout\": 0.1}"), &e), QRT_OK);
    assert_string_equal(w.machine, "register");
    assert_int_equal(w.retry_ns, 25000000);
}

/* Printed and read again, a workload is the same. */
static void test_workload_prints_what_it_parses(void **unused) {
    (void)unused;
    const char *const texts[] = {
        "{}",
        "{\"machine\": \"register\"}",
        "{\"machine\": \"lock\", \"retry\": false}",
        "{\"mix\": {\"get\": 0.1, \"scan\": 0.2}, \"key_skew\": 1.1}",
        "{\"timeout\": 3.000000001, \"retry\": false, \"retry_after\": 0.3, \"think\": 0.5}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct workload w, again;
        struct error e;
        struct buffer b = {0};
        assert_int_equal(parse(texts[i], &w, &e), QRT_OK);
        workload_print(&w, &b);
        workload_standard(&again, "kv");
        assert_int_equal(workload_parse(&again, bytes_of(b.data, b.size), &e), QRT_OK);
        assert_same(&w, &again);
        buffer_free(&b);
    }
}

/* A run file replays exactly: weights, skew and times survive to the last bit. */
static void test_workload_survives_its_text_exactly(void **unused) {
    (void)unused;
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    for (int n = 0; n < 2000; n++) {
        struct workload w, again;
        struct error e;
        struct buffer b = {0};
        workload_standard(&w, "kv");
        for (uint32_t i = 0; i < w.mix_count; i++) w.mix[i].weight = random_unit(&r) + 0.1;
        w.key_skew = random_unit(&r);
        w.timeout_ns = random_between(&r, 1000, 5000000000);
        w.retry_ns = random_between(&r, 1000, 5000000000);
        w.think_ns = random_between(&r, 0, 5000000000);
        w.retry = random_chance(&r, 0.5);
        workload_print(&w, &b);
        workload_standard(&again, "kv");
        assert_int_equal(workload_parse(&again, bytes_of(b.data, b.size), &e), QRT_OK);
        assert_same(&w, &again);
        assert_true(again.key_skew == w.key_skew && again.think_ns == w.think_ns && again.retry == w.retry);
        for (uint32_t i = 0; i < w.mix_count; i++) {
            assert_int_equal(again.mix[i].operation, w.mix[i].operation);
            assert_true(again.mix[i].weight == w.mix[i].weight);
        }
        buffer_free(&b);
    }
}

/* What is wrong is said with line, column and the nearest known name, and nothing is changed. */
static void test_workload_refuses(void **unused) {
    (void)unused;
    assert_refused("{\"clients\": 8,\n \"keys\" 5}", QRT_EPARSE, "line 2");
    assert_refused("", QRT_EPARSE, "line 1");
    assert_refused("[]", QRT_ETYPE, "object");
    assert_refused("{\"keys\": 5,\n  \"client\": 3}", QRT_EOPTION, "line 2, column 3: client");
    assert_refused("{\"client\": 3}", QRT_EOPTION, "clients?");
    assert_refused("{\"clients\": 0}", QRT_ERANGE, "1 to 1000");
    assert_refused("{\"clients\": 1001}", QRT_ERANGE, "1 to 1000");
    assert_refused("{\"clients\": 2.5}", QRT_ETYPE, "whole number");
    assert_refused("{\"clients\": \"2\"}", QRT_ETYPE, "whole number");
    assert_refused("{\"mix\": {\"get\": -1}}", QRT_ERANGE, "get");
    assert_refused("{\"mix\": {\"get\": 0}}", QRT_ERANGE, "above 0");
    assert_refused("{\"mix\": {}}", QRT_ERANGE, "above 0");
    assert_refused("{\"mix\": [1]}", QRT_ETYPE, "object");
    assert_refused("{\"mix\": {\"git\": 1}}", QRT_EOPTION, "get?");
    assert_refused("{\"mix\": {\"read\": 1}}", QRT_EOPTION, "machine kv");
    assert_refused("{\"machine\": \"registre\"}", QRT_ENOTFOUND, "register?");
    assert_refused("{\"machine\": 4}", QRT_ETYPE, "name");
    assert_refused("{\"timeout\": 0}", QRT_ERANGE, "timeout");
    assert_refused("{\"timeout\": \"soon\"}", QRT_ETYPE, "timeout");
    assert_refused("{\"timeout\": []}", QRT_ETYPE, "seconds");
    assert_refused("{\"retry\": 1}", QRT_ETYPE, "true or false");
    assert_refused("{\"retry_after\": -1}", QRT_ERANGE, "retry_after");
    assert_refused("{\"think\": null}", QRT_ETYPE, "think");
    assert_refused("{\"keys\": 1, \"keys\": 2}", QRT_EPARSE, "duplicate");
}

/* The mix is respected, written values are unique, keys stay in their range, for every machine. */
static void test_workload_draws_its_mix(void **unused) {
    (void)unused;
    static const char *const machines[] = {"kv", "register", "counter", "lock"};
    for (size_t i = 0; i < 4; i++) {
        struct workload w;
        struct tree seen = {0}, written_values = {0};
        struct random r = random_stream(i, 1, RANDOM_WORKLOAD);
        uint64_t written = 0, counts[16] = {0};
        workload_standard(&w, machines[i]);
        for (int n = 0; n < 20000; n++) {
            struct workload_draw d;
            struct buffer b = {0};
            struct command back;
            struct bytes found;
            workload_draw(&w, &r, 3, &written, &seen, &d);
            command_encode(&d.command, &b);
            assert_true(command_decode(bytes_of(b.data, b.size), &back));
            counts[d.command.operation]++;
            bool writes = i < 2 && d.command.value.size;
            if (writes) assert_false(tree_get(&written_values, d.command.value, &found));
            if (writes) tree_put(&written_values, d.command.value, bytes_text(""));
            if (writes) assert_true(d.command.value.size >= 8);
            buffer_free(&b);
        }
        for (uint32_t k = 0; k < w.mix_count; k++) {
            double share = (double)counts[w.mix[k].operation] / 20000;
            assert_true(share > w.mix[k].weight - 0.02 && share < w.mix[k].weight + 0.02);
        }
        tree_free(&seen);
        tree_free(&written_values);
    }
}

/* A cas expects what was seen; one time in eight it expects what nobody wrote; without anything seen,
 * absence. */
static void test_workload_cas_expects_what_was_seen(void **unused) {
    (void)unused;
    struct workload w;
    struct error e;
    assert_int_equal(parse("{\"mix\": {\"cas\": 1}, \"keys\": 2}", &w, &e), QRT_OK);
    struct tree seen = {0};
    struct random r = random_stream(1, 1, RANDOM_WORKLOAD);
    uint64_t written = 0;
    int last = 0, wrong = 0, absent = 0;
    tree_put(&seen, bytes_text("k0"), bytes_text("c1-1...."));
    for (int n = 0; n < 8000; n++) {
        struct workload_draw d;
        workload_draw(&w, &r, 1, &written, &seen, &d);
        if (!d.command.has_expected)
            absent++;
        else if (d.command.expected.data[0] == 'w')
            wrong++;
        else
            last += bytes_equal(d.command.expected, bytes_text("c1-1....")) && d.command.key.data[1] == '0';
    }
    assert_int_equal(last + wrong + absent, 8000);
    assert_in_range(wrong, 800, 1200);
    assert_in_range(last, 3200, 3800);
    tree_free(&seen);
}

/* Skew makes the first keys frequent, and no key falls out of the range. */
static void test_workload_skew(void **unused) {
    (void)unused;
    const double skews[] = {0, 0.5, 1, 1.5, 10};
    for (size_t i = 0; i < 5; i++) {
        struct workload w;
        struct tree seen = {0};
        struct random r = random_stream(1, 1, RANDOM_WORKLOAD);
        uint64_t written = 0;
        int first = 0;
        workload_standard(&w, "kv");
        w.keys = 100;
        w.key_skew = skews[i];
        for (int n = 0; n < 10000; n++) {
            struct workload_draw d;
            workload_draw(&w, &r, 1, &written, &seen, &d);
            char key[8] = {0};
            memcpy(key, d.command.key.data, d.command.key.size);
            assert_in_range(atoi(key + 1), 0, 99);
            first += strcmp(key, "k0") == 0;
        }
        static const int low[] = {60, 300, 1000, 3000, 9000};
        if (first < low[i]) fail_msg("skew %g: the first key was drawn %d times of 10000", skews[i], first);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workload_parses),
        cmocka_unit_test(test_workload_prints_what_it_parses),
        cmocka_unit_test(test_workload_survives_its_text_exactly),
        cmocka_unit_test(test_workload_refuses),
        cmocka_unit_test(test_workload_draws_its_mix),
        cmocka_unit_test(test_workload_cas_expects_what_was_seen),
        cmocka_unit_test(test_workload_skew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
