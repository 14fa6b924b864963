/* The linearizability checker against published verdicts, histories written by hand, and a brute-force
 * oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <cmocka.h>

#include "base/random.h"
#include "base/stopwatch.h"
#include "check/linear.h"
#include "support/data.h"

/* One check from beginning to end, in slices of slice_ns. The caller frees it. */
static struct linear *check_run(const struct history *h, const struct linear_options *options, int64_t slice_ns) {
    struct linear *l = linear_new(h, options);
    while (!linear_step(l, slice_ns)) {}
    return l;
}

static bool file_parse(const char *path, struct history *h, struct error *e) {
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    struct buffer text = {0};
    uint8_t block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) buffer_append(&text, block, n);
    fclose(f);
    qrt_status status = history_parse(h, bytes_of(text.data, text.size), e);
    buffer_free(&text);
    return status == QRT_OK;
}

struct verdict_line {
    char file[128], model[32], initial[32], expected[8], bad[16];
};

/* "etcd/etcd_000.log \t cas-register(nil) \t no \t 491" */
static bool verdict_read(char *line, struct verdict_line *v) {
    char *fields[4] = {line, NULL, NULL, NULL};
    for (int i = 1; i < 4; i++) {
        fields[i] = fields[i - 1] ? strchr(fields[i - 1], '\t') : NULL;
        if (fields[i]) *fields[i]++ = 0;
    }
    if (!fields[3]) return false;
    char *parenthesis = strchr(fields[1], '(');
    if (!parenthesis) return false;
    *parenthesis++ = 0;
    *strchr(parenthesis, ')') = 0;
    fields[3][strcspn(fields[3], "\r\n")] = 0;
    snprintf(v->file, sizeof v->file, "%.127s", fields[0]);
    snprintf(v->model, sizeof v->model, "%.31s", fields[1]);
    snprintf(v->initial, sizeof v->initial, "%s", parenthesis);
    snprintf(v->expected, sizeof v->expected, "%s", fields[2]);
    snprintf(v->bad, sizeof v->bad, "%s", fields[3]);
    return true;
}

static void verdict_check(const struct verdict_line *v) {
    char relative[160];
    struct history h;
    struct error e = {0};
    history_init(&h);
    snprintf(relative, sizeof relative, "histories/%s", v->file);
    const char *path = data_path(relative);
    assert_non_null(path);
    if (!file_parse(path, &h, &e)) fail_msg("%s: %s", v->file, e.text);
    struct linear_options options = {.model = linear_model_find(v->model)};
    if (strcmp(v->initial, "''") == 0)
        options.initial = bytes_text("");
    else if (strcmp(v->initial, "nil") != 0)
        options.initial = bytes_text(v->initial);
    struct linear *l = check_run(&h, &options, INT64_MAX);
    const struct linear_result *r = linear_result(l);
    enum verdict expected = strcmp(v->expected, "yes") == 0 ? VERDICT_OK : VERDICT_VIOLATED;
    if (r->verdict != expected) fail_msg("%s: %d: %s", v->file, r->verdict, r->explanation);
    if (v->bad[0]) assert_int_equal(r->bad_event, atoi(v->bad));
    if (v->bad[0]) printf("%s: %s\n", v->file, r->explanation);
    linear_free(l);
    history_free(&h);
}

/* Every published verdict of porcupine's and knossos' histories is right, and the first bad event where it
 * is known. */
static void test_linear_published_verdicts(void **state) {
    (void)state;
    const char *path = data_path("histories/verdicts.tsv");
    if (!path) skip();
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char line[512];
    struct verdict_line v;
    size_t count = 0;
    assert_non_null(fgets(line, sizeof line, f));
    for (; fgets(line, sizeof line, f); count++) {
        assert_true(verdict_read(line, &v));
        verdict_check(&v);
    }
    fclose(f);
    assert_true(count >= 62);
}

/* The 50 etcd logs together take less than 0.1 s, reading included (issue 2); sanitizers and -O0 get ten
 * times that. */
static void test_linear_etcd_logs_are_quick(void **state) {
    (void)state;
    if (!data_path("histories/etcd/etcd_000.log")) skip();
    struct linear_options options = {.model = LINEAR_CAS_REGISTER};
    double times[5];
    for (int round = 0; round < 5; round++) {
        int64_t start = stopwatch_ns();
        for (int i = 0; i < 50; i++) {
            char relative[64];
            struct history h;
            history_init(&h);
            snprintf(relative, sizeof relative, "histories/etcd/etcd_%03d.log", i);
            assert_true(file_parse(data_path(relative), &h, NULL));
            linear_free(check_run(&h, &options, INT64_MAX));
            history_free(&h);
        }
        double seconds = (double)(stopwatch_ns() - start) * 1e-9;
        int at = round;
        for (; at > 0 && times[at - 1] > seconds; at--) times[at] = times[at - 1];
        times[at] = seconds;
    }
    printf("50 etcd logs: %.1f ms, median of 5\n", times[2] * 1e3);
    assert_true(times[2] < 1.0);
}

/* One operation of a history written by hand: who, what, from when to when (0: open), arguments, answer. */
struct line {
    uint32_t process;
    uint8_t function;
    uint64_t from, to;
    const char *key, *expected, *value, *result;
    int32_t status;
};

static struct bytes text_or_nil(const char *text) {
    return text ? bytes_text(text) : (struct bytes){0};
}

static void lines_append(struct history *h, const struct line *lines, size_t count) {
    h->operations = mem_grow(h->operations, &h->capacity, h->count + count, sizeof *h->operations);
    for (size_t i = 0; i < count; i++) {
        struct history_operation op = {.process = lines[i].process,
                                       .function = lines[i].function,
                                       .outcome = lines[i].to ? HISTORY_OK : HISTORY_UNKNOWN,
                                       .invoke_order = lines[i].from,
                                       .return_order = lines[i].to ? lines[i].to : UINT64_MAX,
                                       .key = text_or_nil(lines[i].key),
                                       .value = text_or_nil(lines[i].value),
                                       .expected = text_or_nil(lines[i].expected),
                                       .result = text_or_nil(lines[i].result),
                                       .status = lines[i].status};
        h->operations[h->count++] = op;
    }
}

/* Checks the lines and returns the number of the first bad operation, SIZE_MAX when all is well. */
static size_t lines_check(enum linear_model model, const struct line *lines, size_t count, const char *explanation) {
    struct history h;
    history_init(&h);
    lines_append(&h, lines, count);
    struct linear_options options = {.model = model};
    struct linear *l = check_run(&h, &options, INT64_MAX);
    const struct linear_result *r = linear_result(l);
    size_t bad = r->bad;
    assert_int_equal(r->verdict, bad == SIZE_MAX ? VERDICT_OK : VERDICT_VIOLATED);
    if (explanation) assert_string_equal(r->explanation, explanation);
    linear_free(l);
    history_free(&h);
    return bad;
}
#define CHECK_LINES(model, explanation, ...)               \
    lines_check(model, (const struct line[]){__VA_ARGS__}, \
                sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line), explanation)

/* A register holds what was written or swapped in last; a lost swap is seen, and said in words. */
static void test_linear_cas_register(void **state) {
    (void)state;
    assert_int_equal(CHECK_LINES(LINEAR_CAS_REGISTER, NULL,
                                 {.process = 1, .function = HISTORY_READ, .from = 1, .to = 2},
                                 {.process = 1, .function = HISTORY_WRITE, .from = 3, .to = 6, .value = "a"},
                                 {.process = 2, .function = HISTORY_READ, .from = 4, .to = 5, .result = "a"},
                                 {.process = 2, .function = HISTORY_CAS, .from = 7, .expected = "a", .value = "b"},
                                 {.process = 1, .function = HISTORY_READ, .from = 8, .to = 9, .result = "a"},
                                 {.process = 1, .function = HISTORY_READ, .from = 10, .to = 11, .result = "b"}),
                     SIZE_MAX);
    assert_int_equal(
        CHECK_LINES(LINEAR_CAS_REGISTER,
                    "read() by client 3 returned \"a\" (operation 2), but no order of the operations up to then "
                    "explains "
                    "that: they leave the register at \"b\" or \"c\"",
                    {.process = 1, .function = HISTORY_WRITE, .from = 1, .to = 2, .value = "a"},
                    {.process = 1, .function = HISTORY_CAS, .from = 3, .to = 4, .expected = "a", .value = "b"},
                    {.process = 3, .function = HISTORY_READ, .from = 5, .to = 6, .result = "a"},
                    {.process = 2, .function = HISTORY_WRITE, .from = 3, .value = "c"}),
        2);
}

/* Appends of one key may be seen in either order when they overlap, but not each alone. */
static void test_linear_append_kv(void **state) {
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        size_t found = CHECK_LINES(LINEAR_APPEND_KV, NULL, {1, HISTORY_APPEND, 1, 4, "k", NULL, "x", NULL, 0},
                                   {2, HISTORY_APPEND, 2, 3, "k", NULL, "y", NULL, 0},
                                   {1, HISTORY_APPEND, 1, 4, "other", NULL, "z", NULL, 0},
                                   {3, HISTORY_GET, 5, 6, "k", NULL, NULL, "yx", 0},
                                   {4, HISTORY_GET, 7, 8, "k", NULL, NULL, bad ? "xy" : "yx", 0});
        assert_int_equal(found, bad ? 4 : SIZE_MAX);
    }
}

/* A store's statuses are observations: what is absent, what a failed cas found, how long an append became. */
static void test_linear_kv(void **state) {
    (void)state;
    const char *const found[] = {"b", "a", "b", "b", "b"}, *const length[] = {"3", "3", "2", "3", "3"};
    const int32_t last[] = {QRT_OK, QRT_OK, QRT_OK, QRT_ENOTFOUND, QRT_OK}, first[] = {-10, -10, -10, -10, 0};
    const size_t bad[] = {SIZE_MAX, 3, 4, 5, 0};
    for (int i = 0; i < 5; i++) {
        size_t number = CHECK_LINES(LINEAR_KV, NULL, {1, HISTORY_DELETE, 1, 2, "k", NULL, NULL, NULL, first[i]},
                                    {1, HISTORY_CAS, 3, 4, "k", NULL, "a", NULL, QRT_OK},
                                    {1, HISTORY_PUT, 5, 6, "k", NULL, "b", NULL, QRT_OK},
                                    {1, HISTORY_CAS, 7, 8, "k", "x", "c", found[i], QRT_ECAS},
                                    {1, HISTORY_APPEND, 9, 10, "k", NULL, "cd", length[i], QRT_OK},
                                    {2, HISTORY_DELETE, 11, 12, "k", NULL, NULL, NULL, last[i]},
                                    {1, HISTORY_GET, 13, 14, "k", NULL, NULL, NULL, QRT_ENOTFOUND},
                                    {1, HISTORY_SCAN, 15, 16, "k", NULL, NULL, "whatever", QRT_OK});
        assert_int_equal(number, bad[i]);
    }
}

/* Overlapping additions see each other once; an addition of unknown outcome may count later, or never. */
static void test_linear_counter(void **state) {
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        size_t number = CHECK_LINES(
            LINEAR_COUNTER, NULL, {1, HISTORY_ADD, 1, 4, NULL, NULL, "2", "5", 0},
            {2, HISTORY_ADD, 2, 3, NULL, NULL, "3", "3", 0}, {3, HISTORY_ADD, 5, 0, NULL, NULL, "-7", NULL, 0},
            {1, HISTORY_READ, 6, 7, NULL, NULL, NULL, "5", 0}, {1, HISTORY_READ, 8, 9, NULL, NULL, NULL, "-2", 0},
            {1, HISTORY_READ, 10, 11, NULL, NULL, NULL, bad ? "5" : "-2", 0});
        assert_int_equal(number, bad ? 5 : SIZE_MAX);
    }
}

/* Two clients never hold one lock at a time, and fencing tokens grow. */
static void test_linear_lock(void **state) {
    (void)state;
    const char *const second[] = {"9", "4", "9"};
    const int32_t refused[] = {QRT_ECAS, QRT_ECAS, QRT_OK};
    const size_t bad[] = {SIZE_MAX, 3, 1};
    for (int i = 0; i < 3; i++) {
        size_t number = CHECK_LINES(LINEAR_LOCK, NULL, {1, HISTORY_ACQUIRE, 1, 2, "l", NULL, "A", "4", 0},
                                    {2, HISTORY_ACQUIRE, 3, 4, "l", NULL, "B", refused[i] ? "A" : "5", refused[i]},
                                    {1, HISTORY_RELEASE, 5, 8, "l", NULL, "A", NULL, 0},
                                    {2, HISTORY_ACQUIRE, 6, 7, "l", NULL, "B", second[i], 0},
                                    {1, HISTORY_RELEASE, 9, 10, "l", NULL, "A", "B", QRT_ECAS},
                                    {2, HISTORY_RELEASE, 11, 12, "l", NULL, "B", NULL, 0},
                                    {2, HISTORY_RELEASE, 13, 14, "l", NULL, "B", NULL, QRT_ENOTFOUND});
        assert_int_equal(number, bad[i]);
    }
}

/* An operation that the model does not know leaves the verdict open and is named. */
static void test_linear_unknown_operation(void **state) {
    (void)state;
    struct history h;
    history_init(&h);
    lines_append(&h, (const struct line[]){{1, HISTORY_ACQUIRE, 1, 2, "l", NULL, "A", "4", 0}}, 1);
    struct linear_options options = {.model = LINEAR_COUNTER};
    struct linear *l = check_run(&h, &options, INT64_MAX);
    assert_int_equal(linear_result(l)->verdict, VERDICT_UNKNOWN);
    assert_non_null(strstr(linear_result(l)->explanation, "operation 0 is a acquire"));
    linear_free(l);
    history_free(&h);
}

/* The oracle: an independent, naive reading of what each operation means, over states as text. */
struct plain {
    bool absent;
    char text[64];
    int64_t number; /* the counter; the lock's last token */
};

static bool plain_is(const struct plain *s, struct bytes value) {
    if (s->absent || !value.data) return s->absent && !value.data;
    return bytes_equal(bytes_text(s->text), value);
}

static void plain_set(struct plain *s, struct bytes value) {
    s->absent = !value.data;
    snprintf(s->text, sizeof s->text, "%.*s", (int)value.size, value.data ? (const char *)value.data : "");
}

static int64_t number_of(struct bytes text) {
    char digits[32];
    snprintf(digits, sizeof digits, "%.*s", (int)text.size, (const char *)text.data);
    return atoll(digits);
}

static bool plain_lock(struct plain *s, const struct history_operation *op, bool open) {
    bool held = !s->absent, mine = plain_is(s, op->value);
    if (!open && op->status == QRT_ECAS) return held && plain_is(s, op->result);
    if (!open && op->status == QRT_ENOTFOUND) return !held;
    if (op->function == HISTORY_RELEASE) {
        s->absent = true;
        return held && mine;
    }
    if (held || (!open && number_of(op->result) <= s->number)) return false;
    if (!open) s->number = number_of(op->result);
    plain_set(s, op->value);
    return true;
}

/* Whether the operation can happen in the state, and the state after it. */
static bool plain_step(struct plain *s, const struct history_operation *op, bool open) {
    switch (op->function) {
    case HISTORY_GET: return !open && plain_is(s, op->status == QRT_ENOTFOUND ? (struct bytes){0} : op->result);
    case HISTORY_PUT: plain_set(s, op->value); return true;
    case HISTORY_DELETE: {
        bool was = !s->absent;
        s->absent = true;
        return open || was == (op->status == QRT_OK);
    }
    case HISTORY_APPEND: {
        size_t length = s->absent ? 0 : strlen(s->text);
        snprintf(s->text + length, sizeof s->text - length, "%.*s", (int)op->value.size, (const char *)op->value.data);
        s->absent = false;
        return open || !op->result.data || number_of(op->result) == (int64_t)strlen(s->text);
    }
    case HISTORY_CAS: {
        bool match = plain_is(s, op->expected);
        if (open || op->status == QRT_OK) {
            plain_set(s, op->value);
            return match;
        }
        bool empty = op->result.data && op->result.size == 0 && s->absent; /* machines answer "" for nil */
        return !match && (!op->result.data || empty || plain_is(s, op->result));
    }
    case HISTORY_ADD: s->number += number_of(op->value); return open || s->number == number_of(op->result);
    case HISTORY_READ: return !open && s->number == number_of(op->result);
    default: return plain_lock(s, op, open);
    }
}

/* Tries every order: an operation may go next when nothing that is left returned before it was invoked.
 * Operations that return after `until` need not go, and those invoked after it may not. */
static bool oracle_order(const struct history *h, uint32_t left, const struct plain *s, uint64_t until) {
    bool complete = true;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        if (!(left >> i & 1) || op->outcome == HISTORY_FAILED || op->return_order > until) continue;
        complete = complete && op->return_order == UINT64_MAX;
        if (op->return_order < first) first = op->return_order;
    }
    if (complete) return true;
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        struct plain after = *s;
        if (!(left >> i & 1) || op->outcome == HISTORY_FAILED || op->invoke_order > first) continue;
        if (!plain_step(&after, op, op->return_order == UINT64_MAX)) continue;
        if (oracle_order(h, left & ~(1u << i), &after, until)) return true;
    }
    return false;
}

static bool oracle_is_linearizable(const struct history *h, uint64_t until) {
    struct plain s = {.absent = true};
    return oracle_order(h, (1u << h->count) - 1, &s, until);
}

/* The first return such that the history up to it is not linearizable. */
static uint64_t oracle_first_bad(const struct history *h) {
    uint64_t bad = UINT64_MAX;
    for (size_t i = 0; i < h->count; i++) {
        uint64_t until = h->operations[i].return_order;
        if (until < bad && !oracle_is_linearizable(h, until)) bad = until;
    }
    return bad;
}

enum { CLIENTS = 4, OPERATIONS = 7 };

/* Runs a true machine under overlapping clients: each invokes, its operation happens at some moment, it is
 * answered or not. So the history is linearizable. */
struct run {
    struct history history;
    struct random random;
    struct plain truth;
    enum linear_model model;
    int64_t token;
    double loss;
    size_t number[CLIENTS]; /* of the operation under way; SIZE_MAX: none */
    bool happened[CLIENTS];
    struct history_operation answer[CLIENTS]; /* result and status */
    char result[CLIENTS][64];
};

static const uint8_t functions[][6] = {
    [LINEAR_CAS_REGISTER] = {HISTORY_GET, HISTORY_GET, HISTORY_PUT, HISTORY_PUT, HISTORY_CAS, HISTORY_CAS},
    [LINEAR_APPEND_KV] = {HISTORY_GET, HISTORY_GET, HISTORY_PUT, HISTORY_APPEND, HISTORY_APPEND, HISTORY_APPEND},
    [LINEAR_KV] = {HISTORY_GET, HISTORY_PUT, HISTORY_DELETE, HISTORY_APPEND, HISTORY_CAS, HISTORY_CAS},
    [LINEAR_COUNTER] = {HISTORY_ADD, HISTORY_ADD, HISTORY_READ, HISTORY_ADD, HISTORY_ADD, HISTORY_READ},
    [LINEAR_LOCK] = {HISTORY_ACQUIRE, HISTORY_RELEASE, HISTORY_ACQUIRE, HISTORY_RELEASE, HISTORY_ACQUIRE,
                     HISTORY_RELEASE},
};

static void run_invoke(struct run *r, uint32_t client) {
    static const char *const values[] = {"a", "b", "ab", "", "c"}, *const deltas[] = {"1", "2", "-1", "5", "1"};
    struct history_operation op = {.process = client, .function = functions[r->model][random_below(&r->random, 6)]};
    op.value = bytes_text((r->model == LINEAR_COUNTER ? deltas : values)[random_below(&r->random, 5)]);
    if (r->model == LINEAR_LOCK) op.value = bytes_text(values[client % 3]);
    if (op.function == HISTORY_CAS && random_chance(&r->random, 0.8))
        op.expected = bytes_text(values[random_below(&r->random, 4)]);
    r->number[client] = history_invoke(&r->history, &op);
    r->happened[client] = false;
}

static void run_answer(struct run *r, uint32_t client, qrt_status status, const char *result) {
    if (result) snprintf(r->result[client], sizeof r->result[client], "%s", result);
    r->answer[client].result = result ? bytes_text(r->result[client]) : (struct bytes){0};
    r->answer[client].status = status;
}

static void run_answer_number(struct run *r, uint32_t client, int64_t number) {
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    run_answer(r, client, QRT_OK, digits);
}

/* The operation happens: the machine's own words, written apart from plain_step. */
static void run_happen(struct run *r, uint32_t client) {
    const struct history_operation *op = &r->history.operations[r->number[client]];
    struct plain *s = &r->truth, before = *s;
    r->happened[client] = true;
    run_answer(r, client, QRT_OK, NULL);
    switch (op->function) {
    case HISTORY_GET: run_answer(r, client, s->absent ? QRT_ENOTFOUND : QRT_OK, s->absent ? NULL : s->text); return;
    case HISTORY_READ: run_answer_number(r, client, s->number); return;
    case HISTORY_PUT: plain_set(s, op->value); return;
    case HISTORY_DELETE:
        s->absent = true;
        run_answer(r, client, before.absent ? QRT_ENOTFOUND : QRT_OK, NULL);
        return;
    case HISTORY_APPEND:
        if (s->absent) plain_set(s, bytes_text(""));
        snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%.*s", (int)op->value.size,
                 (const char *)op->value.data);
        run_answer_number(r, client, (int64_t)strlen(s->text));
        return;
    case HISTORY_CAS:
        if (plain_is(s, op->expected))
            plain_set(s, op->value);
        else
            run_answer(r, client, QRT_ECAS, s->absent ? "" : s->text);
        return;
    case HISTORY_ADD: run_answer_number(r, client, s->number += number_of(op->value)); return;
    case HISTORY_ACQUIRE:
        if (!s->absent)
            run_answer(r, client, QRT_ECAS, s->text);
        else
            run_answer_number(r, client, r->token += 1 + (int64_t)random_below(&r->random, 2));
        if (s->absent) plain_set(s, op->value);
        return;
    default:
        if (s->absent)
            run_answer(r, client, QRT_ENOTFOUND, NULL);
        else if (!plain_is(s, op->value))
            run_answer(r, client, QRT_ECAS, s->text);
        else
            s->absent = true;
    }
}

static void run_return(struct run *r, uint32_t client) {
    const struct history_operation *a = &r->answer[client];
    bool lost = random_chance(&r->random, r->loss);
    enum history_outcome outcome = r->happened[client] && !lost ? HISTORY_OK : HISTORY_UNKNOWN;
    if (outcome == HISTORY_OK)
        history_return(&r->history, r->number[client], HISTORY_OK, a->status, a->result, 0);
    else
        history_return(&r->history, r->number[client], outcome, QRT_EUNKNOWN, (struct bytes){0}, 0);
    r->number[client] = SIZE_MAX;
}

static void run_make(struct run *r, uint64_t seed) {
    *r = (struct run){.random = random_stream(seed, 0, RANDOM_BENCH), .truth = {.absent = true}};
    history_init(&r->history);
    r->model = LINEAR_CAS_REGISTER + (enum linear_model)random_below(&r->random, 5);
    r->loss = random_chance(&r->random, 0.5) ? 0.15 : 0.5;
    for (uint32_t i = 0; i < CLIENTS; i++) r->number[i] = SIZE_MAX;
    for (int step = 0; step < 60; step++) {
        uint32_t client = (uint32_t)random_below(&r->random, CLIENTS);
        bool idle = r->number[client] == SIZE_MAX;
        if (idle && r->history.count < OPERATIONS)
            run_invoke(r, client);
        else if (!idle && !r->happened[client] && random_chance(&r->random, 0.9))
            run_happen(r, client);
        else if (!idle)
            run_return(r, client);
    }
}

/* Changes what one answered operation was told, or when it was invoked. It may or may not be wrong then. */
static void run_mutate(struct run *r) {
    static const char *const lies[] = {"a", "b", "ab", "1", "2", "3"};
    struct history *h = &r->history;
    struct history_operation *op = h->operations;
    for (int i = 0; i < 20; i++) {
        op = &h->operations[random_below(&r->random, h->count)];
        if (op->outcome == HISTORY_OK && op->function != HISTORY_PUT) break;
    }
    if (op->outcome != HISTORY_OK) return;
    if (random_chance(&r->random, 0.3)) {
        op->status = op->function == HISTORY_CAS && op->status == QRT_OK ? QRT_ECAS : QRT_OK;
        op->result = op->status == QRT_ECAS ? (struct bytes){0} : op->result;
        if (r->model == LINEAR_LOCK && op->function == HISTORY_ACQUIRE) op->result = bytes_text("9");
        return;
    }
    if (op->function == HISTORY_ADD || op->function == HISTORY_APPEND || op->function == HISTORY_READ)
        op->result = bytes_text(lies[3 + random_below(&r->random, 3)]);
    else if (op->function == HISTORY_GET) {
        op->result = bytes_text(lies[random_below(&r->random, 3)]);
        op->status = QRT_OK;
    } else if (op->function == HISTORY_DELETE) {
        op->status = op->status == QRT_OK ? QRT_ENOTFOUND : QRT_OK;
    }
}

/* What a store calls get and put is read and write for a register. */
static void run_rename(struct run *r) {
    for (size_t i = 0; i < r->history.count; i++) {
        uint8_t *function = &r->history.operations[i].function;
        if (r->model == LINEAR_CAS_REGISTER && *function == HISTORY_GET) *function = HISTORY_READ;
        if (r->model == LINEAR_CAS_REGISTER && *function == HISTORY_PUT) *function = HISTORY_WRITE;
    }
}

/* The prefix that a result shows is a legal order: every step possible, nothing before what returned before
 * it. */
static void prefix_verify(const struct run *r, const struct linear_result *result, uint64_t seed) {
    struct plain s = {.absent = true};
    uint64_t latest = 0;
    for (size_t i = 0; i < result->prefix_count; i++) {
        const struct history_operation *op = &r->history.operations[result->prefix[i]];
        if (!plain_step(&s, op, op->return_order == UINT64_MAX))
            fail_msg("seed %llu: illegal prefix", (unsigned long long)seed);
        if (op->return_order < latest) fail_msg("seed %llu: the prefix breaks real time", (unsigned long long)seed);
        if (op->invoke_order > latest) latest = op->invoke_order;
    }
}

/* 20,000 small random histories, half of them with a lie in them: the checker says what trying all orders
 * says, names the same first bad event, and the same in one go and in the smallest steps. */
static void test_linear_agrees_with_brute_force(void **state) {
    (void)state;
    size_t violated = 0;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct run r;
        run_make(&r, seed);
        if (seed % 2) run_mutate(&r);
        uint64_t bad = oracle_first_bad(&r.history);
        struct linear_options options = {.model = r.model};
        struct run named = r;
        history_clone(&named.history, &r.history);
        run_rename(&named);
        struct linear *l = check_run(&named.history, &options, seed % 3 ? INT64_MAX : 0);
        const struct linear_result *result = linear_result(l);
        history_free(&named.history);
        enum verdict expected = bad == UINT64_MAX ? VERDICT_OK : VERDICT_VIOLATED;
        if (result->verdict != expected || result->bad_event != bad)
            fail_msg("seed %llu, %s: verdict %d at %lld, by brute force %d at %lld: %s", (unsigned long long)seed,
                     linear_model_name(r.model), result->verdict, (long long)result->bad_event, expected,
                     (long long)bad, result->explanation);
        if (seed % 2 == 0 && expected != VERDICT_OK)
            fail_msg("seed %llu: the oracle is wrong", (unsigned long long)seed);
        prefix_verify(&r, result, seed);
        violated += expected == VERDICT_VIOLATED;
        linear_free(l);
        history_free(&r.history);
    }
    printf("%zu of 20000 violated\n", violated);
    assert_true(violated > 3000);
}

/* A subset-sum in disguise: additions of unknown outcome, and a sum that none of their 2^n subsets has. */
static void hard_make(struct history *h, uint32_t count) {
    history_init(h);
    for (uint32_t i = 0; i < count; i++) {
        char delta[32];
        snprintf(delta, sizeof delta, "%llu", 2 * (1ull << i) + 2);
        struct history_operation op = {.process = i, .function = HISTORY_ADD, .value = bytes_text(delta)};
        history_invoke(h, &op);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct history_operation op = {.process = 1000, .function = HISTORY_READ};
        size_t number = history_invoke(h, &op);
        history_return(h, number, HISTORY_OK, QRT_OK, bytes_text(i == 2 ? "777777" : "0"), 0);
    }
}

/* A hard history with 50 ms to spend is unknown after 50 ms of work, with the longest legal prefix. */
static void test_linear_honours_its_time(void **state) {
    (void)state;
    struct history h;
    hard_make(&h, 40);
    struct linear_options options = {.model = LINEAR_COUNTER, .seconds = 0.05, .memory = (size_t)1 << 30};
    int64_t start = stopwatch_work_ns();
    struct linear *l = check_run(&h, &options, 20000000);
    double seconds = (double)(stopwatch_work_ns() - start) * 1e-9;
    const struct linear_result *r = linear_result(l);
    assert_int_equal(r->verdict, VERDICT_UNKNOWN);
    assert_true(r->prefix_count >= 2);
    if (seconds < 0.05 || seconds > 0.4) fail_msg("%.3f s for a budget of 0.05 s", seconds);
    assert_non_null(strstr(r->explanation, "the budget of 0.05 s is spent"));
    printf("budget 50 ms: %.1f ms; %s\n", seconds * 1e3, r->explanation);
    linear_free(l);
    history_free(&h);
}

static void sleep_on(int number) {
    (void)number;
    nanosleep(&(struct timespec){0, 600000000}, NULL);
}

/* What the program did not work is not spent: held up for longer than its budget in the middle of a search, it still finds
 * what it would have found. */
static void test_linear_counts_work_only(void **state) {
    (void)state;
    struct history h;
    hard_make(&h, 14);
    struct linear_options options = {.model = LINEAR_COUNTER, .seconds = 0.5};
    bool held_up = false;
    signal(SIGALRM, sleep_on);
    for (int i = 0; i < 20 && !held_up; i++) { /* the alarm may come before the search has begun */
        struct linear *l = linear_new(&h, &options);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 200}}, NULL);
        while (!linear_step(l, INT64_MAX)) {}
        assert_int_equal(linear_result(l)->verdict, VERDICT_VIOLATED);
        held_up = linear_result(l)->seconds > options.seconds;
        linear_free(l);
    }
    signal(SIGALRM, SIG_DFL);
    assert_true(held_up);
    history_free(&h);
}

/* A hard history with a megabyte to spend is unknown, and the process never holds much more for it. */
static void test_linear_honours_its_memory(void **state) {
    (void)state;
    struct history h;
    hard_make(&h, 40);
    for (size_t memory = 1; memory <= (size_t)4 << 20; memory *= 4) {
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, most = 0;
        struct linear_options options = {.model = LINEAR_COUNTER, .memory = memory};
        struct linear *l = linear_new(&h, &options);
        for (bool done = false; !done;) {
            done = linear_step(l, 0);
            size_t now = mallinfo2().uordblks + mallinfo2().hblkhd - before;
            if (now > most && now < SIZE_MAX / 2) most = now;
        }
        assert_int_equal(linear_result(l)->verdict, VERDICT_UNKNOWN);
        if (most > memory + 40000) fail_msg("%zu bytes for a budget of %zu", most, memory);
        linear_free(l);
    }
    history_free(&h);
}

/* A hard key does not hide a violation on an easy one, wherever it stands. */
static void test_linear_finds_the_easy_violation(void **state) {
    (void)state;
    struct history h;
    hard_make(&h, 40);
    struct history_operation op = {.process = 2000, .function = HISTORY_READ, .key = bytes_text("z")};
    size_t number = history_invoke(&h, &op);
    history_return(&h, number, HISTORY_OK, QRT_OK, bytes_text("1"), 0);
    struct linear_options options = {.model = LINEAR_COUNTER, .seconds = 5};
    struct linear *l = check_run(&h, &options, INT64_MAX);
    assert_int_equal(linear_result(l)->verdict, VERDICT_VIOLATED);
    assert_int_equal(linear_result(l)->bad, number);
    assert_true(bytes_equal(linear_result(l)->key, bytes_text("z")));
    assert_true(linear_result(l)->seconds < 4);
    linear_free(l);
    history_free(&h);
}

/* Long histories are no problem where clients are few: 200,000 operations, some of unknown outcome. */
static void test_linear_long_history(void **state) {
    (void)state;
    struct history h;
    history_init(&h);
    struct random random = random_stream(5, 0, RANDOM_BENCH);
    char held[16] = "";
    for (int i = 0; i < 100000; i++) {
        char value[16];
        snprintf(value, sizeof value, "v%d", i);
        struct history_operation put = {.process = 1, .function = HISTORY_PUT, .value = bytes_text(value)};
        struct history_operation get = {.process = 2, .function = HISTORY_GET};
        bool lost = random_chance(&random, 0.01), before = random_chance(&random, 0.5);
        size_t written = history_invoke(&h, &put), read = history_invoke(&h, &get);
        if (!before && !lost) snprintf(held, sizeof held, "%s", value);
        struct bytes result = *held ? bytes_text(held) : (struct bytes){0};
        history_return(&h, read, HISTORY_OK, QRT_OK, result, 0);
        history_return(&h, written, lost ? HISTORY_UNKNOWN : HISTORY_OK, QRT_OK, (struct bytes){0}, 0);
        if (!lost) snprintf(held, sizeof held, "%s", value);
    }
    struct linear_options options = {.model = LINEAR_KV};
    struct linear *l = check_run(&h, &options, 20000000);
    assert_int_equal(linear_result(l)->verdict, VERDICT_OK);
    printf("200000 operations: %.3f s, %zu states\n", linear_result(l)->seconds, linear_result(l)->states);
    linear_free(l);
    history_free(&h);
}

/* Appends to one key cost no copy of its text: 4,000 appends of 1 KiB fit into a small budget. */
static void test_linear_long_appends(void **state) {
    (void)state;
    struct history h;
    history_init(&h);
    char piece[1025], length[16];
    for (int i = 0; i < 4000; i++) {
        memset(piece, 'a' + i % 26, 1024);
        piece[1024] = 0;
        struct history_operation op = {.process = 1, .function = HISTORY_APPEND, .value = bytes_text(piece)};
        snprintf(length, sizeof length, "%d", 1024 * (i + 1));
        history_return(&h, history_invoke(&h, &op), HISTORY_OK, QRT_OK, bytes_text(length), 0);
    }
    struct linear_options options = {.model = LINEAR_KV, .memory = (size_t)2 << 20};
    struct linear *l = check_run(&h, &options, 20000000);
    assert_int_equal(linear_result(l)->verdict, VERDICT_OK);
    linear_free(l);
    history_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_published_verdicts),
        cmocka_unit_test(test_linear_etcd_logs_are_quick),
        cmocka_unit_test(test_linear_cas_register),
        cmocka_unit_test(test_linear_append_kv),
        cmocka_unit_test(test_linear_kv),
        cmocka_unit_test(test_linear_counter),
        cmocka_unit_test(test_linear_lock),
        cmocka_unit_test(test_linear_unknown_operation),
        cmocka_unit_test(test_linear_agrees_with_brute_force),
        cmocka_unit_test(test_linear_honours_its_time),
        cmocka_unit_test(test_linear_counts_work_only),
        cmocka_unit_test(test_linear_honours_its_memory),
        cmocka_unit_test(test_linear_finds_the_easy_violation),
        cmocka_unit_test(test_linear_long_history),
        cmocka_unit_test(test_linear_long_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
