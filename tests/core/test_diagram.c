/* What is chosen to explain an event, and the picture that is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/explain.h"
#include "trace/diagram.h"

static const uint16_t nodes[] = {1, 2, 3, QRT_CLIENT + 1};

static uint64_t emit(struct trace *t, qrt_event e) {
    e.time = (int64_t)t->count * 1000000;
    trace_emit(t, &e);
    return t->count - 1;
}

static void heartbeat(struct trace *t, uint16_t from, uint16_t to, uint64_t link) {
    emit(t, (qrt_event){.kind = QRT_KIND_TIMER, .node = from});
    emit(t, (qrt_event){.kind = QRT_KIND_SEND, .node = from, .peer = to, .link = link});
    emit(t, (qrt_event){.kind = QRT_KIND_RECEIVE, .node = to, .peer = from, .link = link});
}

/* n1 became leader long ago; n2 truncates what n1 tells it to, amid heartbeats between n1 and n3. */
static uint64_t story(struct trace *t, uint64_t noise) {
    trace_init(t, UINT64_MAX);
    uint64_t link = 1;
    emit(t, (qrt_event){.kind = QRT_KIND_ROLE, .node = 1, .detail = QRT_ROLE_LEADER, .term = 3});
    for (uint64_t i = 0; i < noise; i++) heartbeat(t, 1, 3, link++);
    emit(t, (qrt_event){.kind = QRT_KIND_APPEND, .node = 1, .term = 3, .index = 9});
    emit(t, (qrt_event){.kind = QRT_KIND_SEND, .node = 1, .peer = 2, .link = link});
    for (uint64_t i = 1; i < noise; i++) heartbeat(t, 1, 3, link + i);
    emit(t, (qrt_event){.kind = QRT_KIND_RECEIVE, .node = 2, .peer = 1, .link = link});
    return emit(t, (qrt_event){.kind = QRT_KIND_TRUNCATE, .node = 2, .index = 4});
}

/* DESIGN: at most 300 events around what matters: the causal past, without what changed nothing. */
static void test_explain_follows_the_causes(void **state) {
    (void)state;
    struct trace t;
    uint64_t bad = story(&t, 1000), numbers[EXPLAIN_MAX];
    size_t count = explain_events(&t, bad, numbers, EXPLAIN_MAX);
    const uint8_t expected[] = {QRT_KIND_ROLE, QRT_KIND_APPEND, QRT_KIND_SEND, QRT_KIND_RECEIVE, QRT_KIND_TRUNCATE};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) assert_int_equal(trace_at(&t, numbers[i])->kind, expected[i]);
    trace_free(&t);
}

/* However long a run was, no more are chosen than there is room for, in order, with the roles at the
 * beginning. */
static void test_explain_is_bounded(void **state) {
    (void)state;
    struct trace t;
    trace_init(&t, UINT64_MAX);
    for (uint16_t n = 1; n <= 2; n++) emit(&t, (qrt_event){.kind = QRT_KIND_ROLE, .node = n, .term = 1});
    uint64_t bad = 0;
    for (uint64_t i = 1; i < 5000; i++) {
        emit(&t, (qrt_event){.kind = QRT_KIND_APPEND, .node = 1, .index = i});
        emit(&t, (qrt_event){.kind = QRT_KIND_SEND, .node = 1, .peer = 2, .link = i});
        emit(&t, (qrt_event){.kind = QRT_KIND_RECEIVE, .node = 2, .peer = 1, .link = i});
        bad = emit(&t, (qrt_event){.kind = QRT_KIND_APPEND, .node = 2, .index = i});
    }
    uint64_t numbers[EXPLAIN_MAX];
    for (size_t max = 0; max <= EXPLAIN_MAX; max += 50) {
        size_t count = explain_events(&t, bad, numbers, max);
        assert_true(count <= max && (max == 0 || count > max - 20));
        for (size_t i = 1; i < count; i++) assert_true(numbers[i - 1] < numbers[i]);
        if (count) assert_int_equal(numbers[count - 1], bad);
        if (max == EXPLAIN_MAX) assert_true(numbers[0] == 0 && numbers[1] == 1);
    }
    assert_int_equal(explain_events(&t, t.count, numbers, EXPLAIN_MAX), 0);
    trace_free(&t);
}

/* Tags of the few kinds that are used are balanced, attributes quoted, text escaped. */
static void assert_well_formed(const char *svg) {
    char stack[16][16];
    size_t depth = 0;
    for (const char *c = strchr(svg, '<'); c; c = strchr(c, '<')) {
        const char *end = strchr(c, '>');
        assert_non_null(end);
        char name[16] = "";
        sscanf(c + 1 + (c[1] == '/'), "%15[a-z]", name);
        if (c[1] == '/') {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (end[-1] != '/') {
            assert_true(depth < 16);
            memcpy(stack[depth++], name, sizeof name);
        }
        c = end;
    }
    assert_int_equal(depth, 0);
}

static size_t occurrences(const char *text, const char *what) {
    size_t count = 0;
    for (const char *c = strstr(text, what); c; c = strstr(c + 1, what)) count++;
    return count;
}

static char *draw(const struct trace *t, uint64_t highlight, struct buffer *out) {
    qrt_event *events = malloc(t->count * sizeof *events + 1);
    for (uint64_t i = 0; i < t->count; i++) events[i] = *trace_at(t, i);
    diagram_svg(events, t->count, nodes, 4, highlight, out);
    free(events);
    return buffer_text(out);
}

/* A lifeline each, arrows from send to receipt, crosses for losses and crashes, labels and tooltips. */
static void test_diagram_shows_what_happened(void **state) {
    (void)state;
    struct trace t;
    struct buffer out = {0};
    uint64_t bad = story(&t, 2);
    emit(&t, (qrt_event){.kind = QRT_KIND_SEND, .node = 3, .peer = 1, .link = 900});
    emit(&t, (qrt_event){.kind = QRT_KIND_DROP, .node = 1, .peer = 3, .link = 900, .detail = QRT_DROP_LOSS});
    emit(&t, (qrt_event){.kind = QRT_KIND_CRASH, .node = 1});
    emit(&t, (qrt_event){.kind = QRT_KIND_START, .node = 1, .detail = QRT_START_RECOVERED});
    emit(&t, (qrt_event){.kind = QRT_KIND_INVOKE, .node = QRT_CLIENT + 1});
    const char *svg = draw(&t, bad, &out);
    assert_well_formed(svg);
    assert_int_equal(occurrences(svg, "class=\"qrt-head\""), 4);
    assert_int_equal(occurrences(svg, "class=\"qrt-tip\""), 4); /* three heartbeats and what led to the truncation */
    assert_int_equal(occurrences(svg, "class=\"qrt-cross\""), 1);
    assert_int_equal(occurrences(svg, "class=\"qrt-band\""), 1);
    assert_int_equal(occurrences(svg, "class=\"qrt-lead\""), 1);
    assert_int_equal(occurrences(svg, "class=\"qrt-down\""), 1);
    assert_int_equal(occurrences(svg, "stroke-dasharray=\"2 3\""), 0); /* no message came from or went nowhere */
    assert_non_null(strstr(svg, "leader t3"));
    assert_non_null(strstr(svg, "truncate i4"));
    assert_non_null(strstr(svg, ">c1</text>"));
    assert_non_null(strstr(svg, "<title>"));
    trace_free(&t);
    buffer_free(&out);
}

/* Many entries of one step are one mark. */
static void test_diagram_joins_appends(void **state) {
    (void)state;
    struct trace t;
    struct buffer out = {0};
    trace_init(&t, UINT64_MAX);
    for (uint64_t i = 1; i <= 9; i++)
        trace_emit(&t, &(qrt_event){.kind = QRT_KIND_APPEND, .node = 1, .term = i == 9 ? 4 : 3, .index = i});
    const char *svg = draw(&t, DIAGRAM_NONE, &out);
    assert_int_equal(occurrences(svg, "<circle"), 2);
    assert_non_null(strstr(svg, "append i1-8 t3"));
    assert_non_null(strstr(svg, "append i9 t4"));
    trace_free(&t);
    buffer_free(&out);
}

/* No events, strangers, too many, senders that are not in the picture: always a picture. */
static void test_diagram_of_anything(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct trace t;
        struct buffer out = {0};
        trace_init(&t, UINT64_MAX);
        uint32_t x = seed * 2654435761u;
        for (uint32_t i = 0; i < seed * 2; i++) {
            x = x * 1664525u + 1013904223u;
            emit(&t, (qrt_event){.kind = (uint8_t)(x >> 24 & 31),
                                 .node = (uint16_t)(x >> 20 & 7),
                                 .term = UINT64_MAX,
                                 .detail = (uint8_t)(x >> 16),
                                 .peer = (uint16_t)(x >> 8 & 7),
                                 .index = UINT64_MAX,
                                 .link = x >> 12 & 15});
        }
        assert_well_formed(draw(&t, seed % 3 ? seed : DIAGRAM_NONE, &out));
        trace_free(&t);
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain_follows_the_causes),  cmocka_unit_test(test_explain_is_bounded),
        cmocka_unit_test(test_diagram_shows_what_happened), cmocka_unit_test(test_diagram_joins_appends),
        cmocka_unit_test(test_diagram_of_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
