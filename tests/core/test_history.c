/* Histories: storage and clones, the three formats in and out, malformed input of each with its line and
 * column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/random.h"
#include "machine/command.h"
#include "support/data.h"
#include "trace/history.h"

_Static_assert(HISTORY_GET == (int)COMMAND_GET && HISTORY_PUT == (int)COMMAND_PUT, "numbers agree");
_Static_assert(HISTORY_DELETE == (int)COMMAND_DELETE && HISTORY_APPEND == (int)COMMAND_APPEND, "numbers agree");
_Static_assert(HISTORY_CAS == (int)COMMAND_CAS && HISTORY_SCAN == (int)COMMAND_SCAN, "numbers agree");
_Static_assert(HISTORY_READ == (int)COMMAND_READ && HISTORY_WRITE == (int)COMMAND_WRITE, "numbers agree");
_Static_assert(HISTORY_ADD == (int)COMMAND_ADD && HISTORY_ACQUIRE == (int)COMMAND_ACQUIRE, "numbers agree");
_Static_assert(HISTORY_RELEASE == (int)COMMAND_RELEASE, "numbers agree");

static bool text_same(struct bytes a, struct bytes b) {
    return bytes_equal(a, b) && !a.data == !b.data;
}

/* Positions and times are compared too when `exact`. */
static bool history_same(const struct history *a, const struct history *b, bool exact) {
    if (a->count != b->count || (exact && a->order != b->order)) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct history_operation *x = &a->operations[i], *y = &b->operations[i];
        bool same = x->process == y->process && x->function == y->function && x->outcome == y->outcome &&
                    x->status == y->status && text_same(x->key, y->key) && text_same(x->value, y->value) &&
                    text_same(x->expected, y->expected) && text_same(x->result, y->result);
        bool placed = x->invoke_ns == y->invoke_ns && x->return_ns == y->return_ns &&
                      x->invoke_order == y->invoke_order && x->return_order == y->return_order;
        if (!same || (exact && !placed)) return false;
    }
    return true;
}

static qrt_status text_parse(struct history *h, const char *text, struct error *e) {
    history_init(h);
    return history_parse(h, bytes_text(text), e);
}

enum { TEXTS = 9 };
static const struct bytes texts[TEXTS] = {{0},
                                          {(const uint8_t *)"", 0},
                                          {(const uint8_t *)"plain", 5},
                                          {(const uint8_t *)"nil", 3},
                                          {(const uint8_t *)"a\"b\\c\n\t\r\x01\x7f", 10},
                                          {(const uint8_t *)"zero\0inside", 11},
                                          {(const uint8_t *)"\xff\x00\xfe", 3},
                                          {(const uint8_t *)"h\xc3\xa9t\xe2\x82\xac \xf0\x9f\x98\x80", 11},
                                          {(const uint8_t *)"\xed\xa0\x80", 3}};

/* A history with everything in it: every function, outcome and status, nil, "", bytes that are no UTF-8. */
static void history_draw(struct history *h, uint64_t seed, bool sequential) {
    static const qrt_status statuses[] = {QRT_OK, QRT_OK, QRT_ENOTFOUND, QRT_ETOOLARGE};
    struct random r = random_stream(seed, 0, RANDOM_BENCH);
    size_t open[6];
    history_init(h);
    for (int i = 0; i < 6; i++) open[i] = SIZE_MAX;
    for (int step = 0; step < 60; step++) {
        uint32_t client = (uint32_t)random_below(&r, 6);
        struct bytes text = texts[random_below(&r, TEXTS)];
        if (open[client] == SIZE_MAX) {
            struct history_operation op = {.process = client, .invoke_ns = step * 1000};
            op.function = (uint8_t)(1 + random_below(&r, 11));
            op.key = texts[random_below(&r, TEXTS)];
            if (op.function != HISTORY_GET && op.function != HISTORY_READ) op.value = text;
            if (op.function == HISTORY_CAS) op.expected = texts[random_below(&r, TEXTS)];
            open[client] = history_invoke(h, &op);
            continue;
        }
        enum history_outcome outcome = HISTORY_OK + (enum history_outcome)random_below(&r, 3);
        qrt_status status = statuses[random_below(&r, 4)];
        bool cas = h->operations[open[client]].function == HISTORY_CAS;
        if (cas && status != QRT_OK) status = QRT_ECAS;
        if (outcome != HISTORY_OK) status = outcome == HISTORY_FAILED ? QRT_EFAILED : QRT_EUNKNOWN;
        struct bytes result = outcome == HISTORY_OK ? text : (struct bytes){0};
        history_return(h, open[client], outcome, status, result, sequential ? step * 1000 : 1 - step);
        open[client] = SIZE_MAX;
    }
}

/* JSON reads back to exactly the same history, and EDN to the same operations. */
static void test_history_round_trips(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct history h, json, edn;
        struct buffer out = {0};
        struct error e = {0};
        history_draw(&h, seed, true);
        history_print_json(&h, &out);
        history_init(&json);
        if (history_parse(&json, bytes_of(out.data, out.size), &e) != QRT_OK || !history_same(&h, &json, true))
            fail_msg("seed %llu: JSON: %s\n%s", (unsigned long long)seed, e.text, buffer_text(&out));
        buffer_clear(&out);
        history_print_edn(&h, &out);
        history_init(&edn);
        if (history_parse(&edn, bytes_of(out.data, out.size), &e) != QRT_OK || !history_same(&h, &edn, false))
            fail_msg("seed %llu: EDN: %s\n%s", (unsigned long long)seed, e.text, buffer_text(&out));
        buffer_free(&out);
        history_free(&h);
        history_free(&json);
        history_free(&edn);
    }
}

/* A clone stays what it was while its original grows, and outlives it. */
static void test_history_clone(void **state) {
    (void)state;
    struct history h, clone, again, reference;
    history_draw(&h, 3, true);
    history_draw(&reference, 3, true);
    history_clone(&clone, &h);
    for (int i = 0; i < 2000; i++) {
        struct history_operation op = {.function = HISTORY_PUT, .key = bytes_text("key"), .value = texts[i % TEXTS]};
        history_invoke(&h, &op);
        if (i % 2) history_invoke(&clone, &op);
    }
    history_clone(&again, &clone);
    history_free(&h);
    history_free(&clone);
    again.count = reference.count;
    again.order = reference.order;
    assert_true(history_same(&again, &reference, true));
    history_free(&again);
    history_free(&reference);
}

/* knossos' EDN: a vector or one map a line, comments, :fail never executed, :info open, the nemesis no
 * client. */
static void test_history_reads_edn(void **state) {
    (void)state;
    struct history h;
    struct error e;
    assert_int_equal(
        text_parse(&h,
                   "; a comment\n[{:process 0, :type :invoke, :f :cas, :value [1 nil]}\n"
                   " {:process :nemesis, :type :info, :f :start, :value \"Cut off [:n3 #[:n4]]\"}\n"
                   " #_{:ignored 1} {:process 0 :type :fail :f :cas :value [1 nil] :extra #{1 #inst \"x\"}}\n"
                   "{:process 1, :type :invoke, :f :write, :value \"\\u00e9\\n\"}"
                   "{:process 1, :type :info, :f :write, :value :timed-out, :error \\( }\n"
                   "{:process 2, :type :invoke, :f :read, :value nil, :time 77}"
                   "{:process 2, :type :ok, :f :read, :value 3N}]",
                   &e),
        QRT_OK);
    assert_int_equal(h.count, 3);
    assert_int_equal(h.operations[0].outcome, HISTORY_FAILED);
    assert_int_equal(h.operations[0].return_order, 2);
    assert_true(bytes_equal(h.operations[0].expected, bytes_text("1")));
    assert_null(h.operations[0].value.data);
    assert_int_equal(h.operations[1].outcome, HISTORY_UNKNOWN);
    assert_true(h.operations[1].return_order == UINT64_MAX);
    assert_true(bytes_equal(h.operations[1].value, bytes_text("\xc3\xa9\n")));
    assert_int_equal(h.operations[2].invoke_ns, 77);
    assert_true(bytes_equal(h.operations[2].result, bytes_text("3")));
    history_free(&h);
    assert_int_equal(text_parse(&h, "[]", &e), QRT_OK);
    assert_int_equal(h.count, 0);
    history_free(&h);
}

/* etcd's logs: a failed cas has seen another value, a read of nil found nothing, other loggers' lines are
 * none. */
static void test_history_reads_log(void **state) {
    (void)state;
    struct history h;
    struct error e;
    assert_int_equal(text_parse(&h,
                                "INFO  jepsen.core - Worker 3 starting\n"
                                "INFO  jepsen.util - 0\t:invoke\t:read\tnil\r\n\n"
                                "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
                                "INFO  jepsen.util - 1\t:invoke\t:cas\t[3 0]\n"
                                "INFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n"
                                "INFO  jepsen.util - 1\t:fail\t:cas\t[3 0]\n"
                                "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
                                "INFO  jepsen.util - 0\t:ok\t:read\tnil\n"
                                "INFO  jepsen.util - 1\t:invoke\t:cas\t[3 0]\n"
                                "INFO  jepsen.util - 1\t:info\t:cas\t:timed-out",
                                &e),
                     QRT_OK);
    assert_int_equal(h.count, 4);
    assert_int_equal(h.operations[0].outcome, HISTORY_FAILED);
    assert_int_equal(h.operations[1].outcome, HISTORY_OK);
    assert_int_equal(h.operations[1].status, QRT_ECAS);
    assert_int_equal(h.operations[2].status, QRT_ENOTFOUND);
    assert_int_equal(h.operations[3].outcome, HISTORY_UNKNOWN);
    history_free(&h);
}

#define OP "{\"history\": [\n{\"process\": 1, \"f\": \"get\", \"invoke_order\": 4}"
/* A text and how its error begins. */
static const char *const malformed[][2] = {
    {"", "line 1, column 1: there is no history"},
    {" \n ; only a comment\n", "line 1, column 1: there is no history"},
    {"hello", "line 1, column 1: this is no log line"},
    {"INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read",
     "line 2, column 32: the line ends"},
    {"INFO  jepsen.util - 0\t:invoke\t:read\tnil 4", "line 1, column 41: the line goes on"},
    {"INFO  jepsen.util - x\t:invoke\t:read\tnil", "line 1, column 21: :process wants a number"},
    {"INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2", "line 1, column 36: the '[' that begins here is not closed"},
    {"[{:process 0, :type :invoke, :f :read}", "line 1, column 1: the '[' that begins here is not closed"},
    {"[{:process 0, :type :invoke, :f :read]}", "line 1, column 38: ']' closes nothing"},
    {"[]\n\n 3", "line 3, column 2: something follows"},
    {"{:process 0, :type :invoke, :f :read}\n{:process 0}", "line 2, column 1: the event has no function"},
    {"{:process 0, :type :invoke, :f :read}\n{:process 0, :type :invoke, :f :read}",
     "line 2, column 1: process 0 invokes"},
    {"{:process 0, :type :ok, :f :read}", "line 1, column 1: process 0 completes a read that it has not invoked"},
    {"{:process 0, :type :invoke, :f :read}{:process 0, :type :ok, :f :get}",
     "line 1, column 65: process 0 completes a get"},
    {"{:process -1, :type :invoke, :f :read}", "line 1, column 11: :process wants"},
    {"{:process 0, :type :begin, :f :read}", "line 1, column 20: an event's :type"},
    {"{:process 0, :type :invoke, :f :transmogrify}", "line 1, column 32: the function :transmogrify is not known"},
    {"{:process 0, :type :invoke, :f :cas, :value 3}", "line 1, column 45: a cas wants"},
    {"{:process 0, :type :invoke, :f :cas, :value [3]}", "line 1, column 45: a cas wants"},
    {"{:process 0, :type :invoke, :f :cas}", "line 1, column 1: a cas wants"},
    {"{:process 0, :process 1}", "line 1, column 14: the key :process appears twice"},
    {"{:process 0, :type}", "line 1, column 19: the last key of the map has no value"},
    {"{:process 0, :type :invoke, :f :write, :value \"\\q\"}", "line 1, column 48: there is no such escape"},
    {"{:process 0, :type :invoke, :f :write, :value \"\\ud800\"}", "line 1, column 48: half a surrogate"},
    {"{:process 0, :type :invoke, :f :write, :value #quorate/hex \"0g\"}",
     "line 1, column 61: these are no hexadecimal"},
    {"{:process 0, :type :invoke, :f :write, :value \"abc", "line 1, column 47: the string that begins here"},
    {"{:process 0, :type :invoke, :f :write, :value 1, :time soon}", "line 1, column 56: :time wants"},
    {"#_", "line 1, column 1: #_ discards nothing"},
    {"{\"history\": 3}", "line 1, column 1: there is no list"},
    {"{}", "line 1, column 1: there is no list"},
    {"{\"history\": [\n  1,\n]}", "line 3, column 1: "},
    {"{\"history\": [\n  1\n]}", "line 2, column 3: operation 0: \"process\" is missing"},
    {"{\"other\": [{\"history\": 3}], \"history\": [{}]}", "line 1, column 41: operation 0: \"process\" wants"},
    {OP ",\n {\"process\": 1, \"f\": \"walk\"}]}", "line 3, column 17: operation 1: \"f\" wants"},
    {OP ",\n {\"process\": 1, \"f\": \"get\", \"invoke_order\": 4}]}",
     "line 3, column 29: operation 1: \"invoke_order\" is not after"},
    {OP ",\n {\"process\": 1, \"f\": \"get\", \"key\": {\"hex\": \"1\"}, \"invoke_order\": 5}]}",
     "line 3, column 29: operation 1: \"key\" wants"},
    {OP ",\n {\"process\": 1, \"f\": \"get\", \"invoke_order\": 5, \"outcome\": \"well\"}]}",
     "line 3, column 48: operation 1: \"outcome\" wants"},
    {OP ",\n {\"process\": 1, \"f\": \"get\", \"invoke_order\": 5, \"outcome\": \"ok\"}]}",
     "line 3, column 2: operation 1: \"return_order\" is there"},
    {OP ",\n {\"process\": 1, \"f\": \"get\", \"invoke_order\": 5, \"status\": \"fine\"}]}",
     "line 3, column 48: operation 1: \"status\" wants"},
    {OP, "line 2, column 45: "},
};
#undef OP

/* Malformed input of every format is refused with its line and column, and leaves the history as it was. */
static void test_history_refuses_malformed_input(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct history h, before;
        struct error e = {0};
        history_draw(&h, 1, true);
        history_clone(&before, &h);
        qrt_status status = history_parse(&h, bytes_text(malformed[i][0]), &e);
        if (status != QRT_EPARSE || strncmp(e.text, malformed[i][1], strlen(malformed[i][1])) != 0)
            fail_msg("%s\n gives: %s\n not: %s", malformed[i][0], e.text, malformed[i][1]);
        assert_true(history_same(&h, &before, true));
        history_free(&before);
        history_free(&h);
    }
}

/* However deep a malicious file nests its forms, the parser refuses instead of running out of stack. */
static void test_history_refuses_deep_nesting(void **state) {
    (void)state;
    static const char *const openings[] = {"[", "(", "{:a ", "#{", "#a ", "#_ ", "{\"history\":", "[#_"};
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        struct buffer text = {0};
        struct history h;
        struct error e;
        for (int j = 0; j < 100000; j++) buffer_append(&text, openings[i], strlen(openings[i]));
        history_init(&h);
        assert_int_equal(history_parse(&h, bytes_of(text.data, text.size), &e), QRT_EPARSE);
        history_free(&h);
        buffer_free(&text);
    }
}

/* Bytes that are no history, and histories with a few bytes changed, are refused or read, and never crash. */
static void test_history_survives_random_bytes(void **state) {
    (void)state;
    static const char alphabet[] =
        "{}[]()\"\\:;,#_ \n\tINFO jepsen.util - 0123:process:type:invoke:ok:f:read:cas:value nil";
    struct buffer text = {0};
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct random r = random_stream(seed, 1, RANDOM_BENCH);
        struct history h, drawn;
        struct error e;
        buffer_clear(&text);
        if (seed % 4 == 0) {
            for (uint64_t n = random_below(&r, 200); n > 0; n--)
                buffer_append(&text, &alphabet[random_below(&r, sizeof alphabet)], 1);
        } else {
            history_draw(&drawn, seed % 50, true);
            if (seed % 4 == 1)
                buffer_printf(&text, "INFO  jepsen.util - 0\t:invoke\t:cas\t[\"a\" 2]\n");
            else if (seed % 4 == 2)
                history_print_edn(&drawn, &text);
            else
                history_print_json(&drawn, &text);
            history_free(&drawn);
            for (uint64_t n = 1 + random_below(&r, 4); n > 0; n--) {
                uint8_t byte = random_chance(&r, 0.7) ? (uint8_t)alphabet[random_below(&r, sizeof alphabet)]
                                                      : (uint8_t)random_u64(&r);
                text.data[random_below(&r, text.size)] = byte;
            }
            if (random_chance(&r, 0.3)) text.size = random_below(&r, text.size);
        }
        history_init(&h);
        uint8_t *exact = mem_copy(text.data, text.size); /* so that a sanitizer sees a read past the end */
        qrt_status status = history_parse(&h, bytes_of(exact, text.size), &e);
        assert_true(status == QRT_OK || (status == QRT_EPARSE && strstr(e.text, "line ") == e.text));
        free(exact);
        history_free(&h);
    }
    buffer_free(&text);
}

/* The published files are read whole: their operations, their nils, their process numbers. */
static void test_history_reads_published_files(void **state) {
    (void)state;
    static const struct {
        const char *file;
        size_t operations;
        uint64_t events;
    } files[] = {{"histories/etcd/etcd_000.log", 85, 170},
                 {"histories/knossos/cas-failure.edn", 291, 590},
                 {"histories/knossos/rethink-fail-minimal.edn", 4, 8},
                 {"histories/kv/c10-bad.txt", 405, 810}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = data_path(files[i].file);
        if (!path) skip();
        struct buffer text = {0};
        struct history h;
        struct error e = {0};
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        uint8_t block[4096];
        for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) buffer_append(&text, block, n);
        fclose(f);
        history_init(&h);
        if (history_parse(&h, bytes_of(text.data, text.size), &e) != QRT_OK) fail_msg("%s: %s", files[i].file, e.text);
        if (h.count != files[i].operations || h.order != files[i].events)
            fail_msg("%s: %zu operations, %llu events", files[i].file, h.count, (unsigned long long)h.order);
        buffer_free(&text);
        history_free(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history_round_trips),
        cmocka_unit_test(test_history_clone),
        cmocka_unit_test(test_history_reads_edn),
        cmocka_unit_test(test_history_reads_log),
        cmocka_unit_test(test_history_refuses_malformed_input),
        cmocka_unit_test(test_history_refuses_deep_nesting),
        cmocka_unit_test(test_history_survives_random_bytes),
        cmocka_unit_test(test_history_reads_published_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
