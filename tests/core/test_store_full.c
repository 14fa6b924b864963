/* A store whose disk is full: it says so while there is room left for what must be written, loses nothing, and goes on when there
 * is room again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "store/store.h"
#include "support/store_model.h"

static void append_flush(struct store *s, uint64_t index) {
    struct error e = {0};
    model_append(s, 0, index);
    if (store_flush(s, &e)) fail_msg("index %llu: %s", (unsigned long long)index, e.text);
}

static void assert_holds(struct disk *d, uint64_t last) {
    struct seen seen;
    struct error e = {0};
    if (model_try(d, &seen, &e)) fail_msg("%s", e.text);
    if (seen.wrong) fail_msg("%s", seen.why);
    assert_int_equal(seen.last[0], last);
}

/* A disk that has no room for the next log file is told of once a quarter of the last one is used, so that three quarters are
 * left; it is told of at once where the fault says so. Room is noticed when it is looked for. */
static void test_store_is_full_before_it_must_stop(void **state) {
    (void)state;
    struct disk *d = model_disk(1);
    struct store *s = model_open(d, true);
    uint64_t segment = d->segment, index = 0;
    assert_false(store_full(s));
    d->class->fill(d, true);
    while (!store_full(s)) append_flush(s, ++index);
    assert_true(store_reserve(s) >= segment / 2 && store_reserve(s) <= segment * 3 / 4);
    store_look(s);
    assert_true(store_full(s));
    d->class->fill(d, false);
    store_look(s);
    assert_false(store_full(s));
    store_fill(s, true);
    assert_true(store_full(s));
    store_fill(s, false);
    assert_false(store_full(s));
    for (uint64_t last = index + 100; index < last;) append_flush(s, ++index);
    d = store_release(&s);
    assert_true(model_last_file(d, "wal-").count > 2);
    assert_holds(d, index);
    d->class->free(d);
}

/* The reserve can be written to its last block, on the full disk the store opens again, and what was synced is there. Only what
 * comes behind the reserve stops it. */
static void test_store_writes_its_reserve_and_then_stops(void **state) {
    (void)state;
    struct error e = {0};
    struct store *s = model_open(model_disk(2), true);
    uint64_t index = 0, before;
    append_flush(s, ++index);
    store_fill(s, true);
    do {
        before = store_reserve(s);
        model_append(s, 0, ++index);
    } while (store_flush(s, &e) == QRT_OK);
    assert_int_equal(e.status, QRT_EFULL);
    assert_true(before < PAYLOAD_MAX + 1024 && index > 5);
    assert_true(store_stopped(s));
    struct disk *d = store_release(&s);
    assert_holds(d, index - 1);
    d->class->fill(d, false);
    s = model_open(d, false);
    struct seen seen;
    assert_int_equal(model_recover(s, &seen, NULL), QRT_OK);
    append_flush(s, index);
    store_free(&s);
}

/* A checkpoint of the node's own log that finds no room is left out: nothing of it stays, and the log does. One that came
 * from elsewhere stands for what no log of this node says, so it is not. */
static void test_store_leaves_out_a_checkpoint_without_room(void **state) {
    (void)state;
    qrt_status status;
    struct disk *d = model_disk(3);
    struct store *s = model_open(d, true);
    uint64_t index = 0;
    for (; index < 20;) append_flush(s, ++index);
    store_fill(s, true);
    model_save(s, 0, 10, true, &status);
    assert_int_equal(status, QRT_OK);
    assert_int_equal(store_skipped(s), 1);
    assert_int_equal(model_last_file(d, "checkpoint").count, 0);
    append_flush(s, ++index);
    store_fill(s, false);
    model_save(s, 0, 20, true, &status);
    assert_int_equal(status, QRT_OK);
    assert_int_equal(model_last_file(d, "checkpoint").count, 1);
    assert_int_equal(store_skipped(s), 1);
    store_fill(s, true);
    model_save(s, 0, 30, false, &status);
    assert_int_equal(status, QRT_EFULL);
    assert_true(store_stopped(s));
    d = store_release(&s);
    assert_holds(d, index);
    d->class->free(d);
}

static uint64_t ids_size(struct disk *d) {
    return model_last_file(d, "ids-").size;
}

/* Entries of the directory that find no room are left out and stop nobody. The next opening that finds room writes them. */
static void test_store_leaves_out_entries_without_room(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(4), true);
    struct disk *d = store_release(&s);
    d->segment = 1 << 20; /* of which the second file is made: one directory's piece of room is soon used up */
    s = model_open(d, false);
    uint64_t index = 0;
    while (model_last_file(d, "wal-").count < 2) append_flush(s, ++index);
    d->class->fill(d, true);
    while (model_last_file(d, "wal-").count == 2 && store_reserve(s) > (1 << 18)) {
        for (uint64_t i = 0; i < 64; i++) store_append(s, &(struct store_record){1, ++index, 1, {0}});
        assert_int_equal(store_flush(s, NULL), QRT_OK);
    }
    uint64_t listed = ids_size(d);
    d = store_release(&s);
    assert_int_equal(ids_size(d), listed);
    s = model_open(d, false);
    assert_int_equal(ids_size(d), listed);
    d = store_release(&s);
    d->class->fill(d, false);
    s = model_open(d, false);
    assert_true(ids_size(d) > listed);
    store_free(&s);
}

/* Whatever order it comes in: full, room, crashes that lose what was not synced, checkpoints. What was flushed is there. */
static void test_store_loses_nothing_by_a_full_disk(void **state) {
    (void)state;
    uint64_t refused = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct disk *d = model_disk(seed);
        struct store *s = model_open(d, true);
        uint64_t index = 0, saved = 0;
        bool full = false;
        for (int step = 0; step < 150; step++) {
            qrt_status status = QRT_OK;
            uint64_t what = random_below(&r, 20);
            if (what == 0) store_fill(s, full = !full);
            if (what == 1 && index > saved) model_save(s, 0, saved = index, true, &status);
            if (what == 2) {
                d = store_release(&s);
                disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
                assert_holds(d, index);
                s = model_open(d, false);
                struct seen seen;
                assert_int_equal(model_recover(s, &seen, NULL), QRT_OK);
                store_fill(s, full);
            }
            assert_int_equal(status, QRT_OK);
            store_look(s);
            assert_true(!full || store_full(s));
            if (store_full(s) && store_reserve(s) < 2 * PAYLOAD_MAX)
                refused++;
            else if (what > 2)
                append_flush(s, ++index);
        }
        d = store_release(&s);
        assert_holds(d, index);
        d->class->free(d);
    }
    assert_true(refused > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_is_full_before_it_must_stop),
        cmocka_unit_test(test_store_writes_its_reserve_and_then_stops),
        cmocka_unit_test(test_store_leaves_out_a_checkpoint_without_room),
        cmocka_unit_test(test_store_leaves_out_entries_without_room),
        cmocka_unit_test(test_store_loses_nothing_by_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
