/* The trace: one hash whatever is recorded and however a run is cut, blocks that clones share, a ring of the last events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "trace/trace.h"

static qrt_event event_of(uint64_t number) {
    uint64_t x = random_mix(number);
    return (qrt_event){.time = (int64_t)number * 1000,
                       .node = (uint16_t)(x % 5 + 1),
                       .kind = (uint8_t)(x % 28 + 1),
                       .detail = (uint8_t)(x >> 8),
                       .peer = (uint16_t)(x >> 16),
                       .term = x >> 40,
                       .index = number};
}

static void emit(struct trace *t, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        qrt_event e = event_of(t->count);
        trace_emit(t, &e);
    }
}

/* Issue, determinism: the hash is the same with recording on and off, and for the last events only, at every count. */
static void test_trace_hash_does_not_depend_on_what_is_recorded(void **unused) {
    (void)unused;
    const uint64_t keeps[] = {UINT64_MAX, 0, 1, 63, 64, 65, 100, 1000};
    struct trace t[8];
    for (int k = 0; k < 8; k++) trace_init(&t[k], keeps[k]);
    for (uint64_t n = 0; n < 1000; n++) {
        for (int k = 1; k < 8; k++) assert_true(trace_hash(&t[k]) == trace_hash(&t[0]));
        for (int k = 0; k < 8; k++) emit(&t[k], 1);
    }
    for (int k = 0; k < 8; k++) trace_free(&t[k]);
}

/* The hash is over the fixed bytes of all records, so that any field of any event shows, and their order and number too. */
static void test_trace_hash_tells_every_field_of_every_event(void **unused) {
    (void)unused;
    for (uint64_t at = 0; at < 200; at += 13)
        for (size_t byte = 0; byte < sizeof(qrt_event); byte++) {
            struct trace a, b;
            trace_init(&a, 0);
            trace_init(&b, 0);
            for (uint64_t i = 0; i < 200; i++) {
                qrt_event e = event_of(i);
                e.kind = QRT_KIND_NOTE;
                trace_emit(&a, &e);
                if (i == at) ((uint8_t *)&e)[byte] ^= 1;
                trace_emit(&b, &e);
            }
            if (trace_hash(&a) == trace_hash(&b)) fail_msg("byte %zu of event %d does not show", byte, (int)at);
            trace_free(&a);
            trace_free(&b);
        }
}

/* A ring of the last N: what is still kept is at least N, is exactly what was emitted, and nothing else is handed out. */
static void test_trace_keeps_the_last_events(void **unused) {
    (void)unused;
    const uint64_t keeps[] = {1, 64, 100, 128, 1000};
    for (int k = 0; k < 5; k++) {
        struct trace t;
        trace_init(&t, keeps[k]);
        for (uint64_t n = 0; n < 3000; n += 7) {
            uint64_t first = trace_first(&t), kept = t.count - first;
            assert_true(kept == (t.count < keeps[k] ? t.count : keeps[k]));
            for (uint64_t i = first; i < t.count; i++) {
                qrt_event e = event_of(i);
                assert_memory_equal(trace_at(&t, i), &e, sizeof e);
            }
            if (first) assert_null(trace_at(&t, first - 1));
            assert_null(trace_at(&t, t.count));
            assert_null(trace_at(&t, UINT64_MAX));
            emit(&t, 7);
        }
        assert_true(t.kept_count <= 2 * (keeps[k] / TRACE_BLOCK + 1)); /* memory is bounded */
        trace_free(&t);
    }
}

/* Nothing recorded: nothing is handed out, and no memory grows. */
static void test_trace_keeps_nothing_when_told_so(void **unused) {
    (void)unused;
    struct trace t;
    trace_init(&t, 0);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(trace_first(&t), t.count);
        if (t.count) assert_null(trace_at(&t, t.count - 1));
        emit(&t, 1);
    }
    assert_int_equal(t.kept_count, 0);
    trace_free(&t);
}

/* fork(): a clone shares the full blocks, has the same events and hash, and then goes its own way; either may go first. */
static void test_trace_clones_share_blocks_and_go_apart(void **unused) {
    (void)unused;
    for (uint64_t n = 0; n < 300; n += 9)
        for (int keep = 0; keep < 3; keep++) {
            struct trace a, b;
            trace_init(&a, keep == 0 ? UINT64_MAX : keep == 1 ? 100 : 0);
            emit(&a, n);
            trace_clone(&b, &a);
            assert_true(trace_hash(&a) == trace_hash(&b) && trace_first(&a) == trace_first(&b));
            if (a.kept_count) assert_ptr_equal(a.kept[0], b.kept[0]);
            assert_ptr_not_equal(a.block, b.block);
            emit(&a, 150);
            qrt_event other = {.time = 1, .kind = QRT_KIND_NOTE};
            trace_emit(&b, &other);
            if (keep == 0) {
                assert_memory_equal(trace_at(&b, n), &other, sizeof other);
                qrt_event e = event_of(n);
                assert_memory_equal(trace_at(&a, n), &e, sizeof e);
            }
            uint64_t hash = trace_hash(&b);
            trace_free(&a);
            assert_true(trace_hash(&b) == hash);
            for (uint64_t i = trace_first(&b); i < n; i++) assert_int_equal(trace_at(&b, i)->index, i);
            trace_free(&b);
        }
}

struct seen {
    uint64_t count, last, kinds;
};
static void see(void *context, const qrt_event *e, uint64_t number) {
    struct seen *s = context;
    s->count++;
    s->last = number;
    s->kinds |= UINT64_C(1) << e->kind;
}

/* DESIGN 6: checkers are sinks fed before the recording filter; each sees the kinds it asked for, and a clone's events not. */
static void test_trace_sinks_see_what_they_asked_for(void **unused) {
    (void)unused;
    struct trace t, clone;
    struct seen s = {0};
    trace_init(&t, 0);
    t.sink = (struct trace_sink){1u << QRT_KIND_COMMIT | 1u << QRT_KIND_RAISE, see, &s};
    emit(&t, 1000);
    uint64_t expected = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint8_t kind = event_of(i).kind;
        expected += kind == QRT_KIND_COMMIT || kind == QRT_KIND_RAISE;
    }
    assert_true(expected > 10);
    assert_int_equal(s.count, expected);
    assert_true(s.kinds == (UINT64_C(1) << QRT_KIND_COMMIT | UINT64_C(1) << QRT_KIND_RAISE));
    trace_clone(&clone, &t);
    emit(&clone, 1000);
    assert_int_equal(s.count, expected);
    trace_free(&clone);
    trace_free(&t);
}

/* A line for people: any event at all, in any room, within it. */
static void test_trace_prints_in_bounds(void **unused) {
    (void)unused;
    char whole[512], part[513];
    for (int kind = 0; kind < 256; kind++)
        for (int detail = 0; detail < 256; detail += kind % 28 == 1 ? 1 : 51) {
            qrt_event e = {INT64_MAX, 65535,      0,          (uint8_t)kind, (uint8_t)detail,
                           65535,     UINT64_MAX, UINT64_MAX, UINT64_MAX,    UINT64_MAX};
            assert_true(trace_print(&e, whole, sizeof whole) < (int)sizeof whole);
            for (size_t size = 1; size < 200; size += 1 + size / 8) {
                part[size] = 0x5a;
                trace_print(&e, part, size);
                assert_int_equal(part[size], 0x5a);
                assert_int_equal(strncmp(part, whole, strlen(part)), 0);
            }
        }
    qrt_event e = {1204567000, 3, 0, QRT_KIND_SEND, 12, 1, 2, 17, 0, 0};
    trace_print(&e, whole, sizeof whole);
    assert_string_equal(whole, "1.204567000  n3   send       append_request to n1 t2 i17");
    e = (qrt_event){5, QRT_CLIENT + 2, 0, QRT_KIND_RETURN, 2, 0, 0, 0, 0, 0};
    trace_print(&e, whole, sizeof whole);
    assert_string_equal(whole, "0.000000005  c2   return     unknown");
}

/* Every kind and role of the public header has a name of its own. */
static void test_trace_kinds_and_roles_have_names(void **unused) {
    (void)unused;
    for (int i = QRT_KIND_SEND; i <= QRT_KIND_ROOM; i++)
        for (int j = QRT_KIND_SEND; j < i; j++)
            assert_string_not_equal(qrt_kind_name((uint8_t)i), qrt_kind_name((uint8_t)j));
    assert_string_equal(qrt_kind_name(QRT_KIND_CAUGHT_UP), "caught-up");
    assert_string_equal(qrt_kind_name(QRT_KIND_LIE), "lie");
    assert_string_equal(qrt_kind_name(QRT_KIND_ROOM), "room");
    assert_string_equal(qrt_kind_name(QRT_KIND_ROOM + 1), "unknown");
    assert_string_equal(qrt_role_name(QRT_ROLE_RECOVERING), "recovering");
    assert_string_equal(qrt_role_name(200), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_hash_does_not_depend_on_what_is_recorded),
        cmocka_unit_test(test_trace_hash_tells_every_field_of_every_event),
        cmocka_unit_test(test_trace_keeps_the_last_events),
        cmocka_unit_test(test_trace_keeps_nothing_when_told_so),
        cmocka_unit_test(test_trace_clones_share_blocks_and_go_apart),
        cmocka_unit_test(test_trace_sinks_see_what_they_asked_for),
        cmocka_unit_test(test_trace_prints_in_bounds),
        cmocka_unit_test(test_trace_kinds_and_roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
