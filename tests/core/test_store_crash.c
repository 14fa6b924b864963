/* The store over the simulated disk, with power cuts at any operation: what was synced is there, in order,
 * the last saved checkpoint or a newer one with it; and its clones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "store/store.h"
#include "support/store_model.h"

/* ---- checkpoints ------------------------------------------------------------------------- */

/* Checkpoints bound the disk: superseded log files are recycled, two checkpoints stay. */
static void test_store_checkpoints_bound_the_disk(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    qrt_status status;
    for (uint64_t i = 1; i <= 3000; i++) {
        model_append(s, 0, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
        if (i % 100) continue;
        model_save(s, 0, i - 10, true, &status);
        assert_int_equal(status, QRT_OK);
    }
    struct disk *d = store_release(&s);
    assert_int_equal(model_last_file(d, "checkpoint-").count, 2);
    assert_true(model_last_file(d, "wal-").count < 40);
    assert_true(model_last_file(d, "spare-").count <= 4);
    struct seen seen;
    struct error e = {0};
    if (model_try(d, &seen, &e)) fail_msg("%s", e.text);
    if (seen.wrong) fail_msg("%s", seen.why);
    assert_int_equal(seen.checkpoint[0], 2990);
    assert_int_equal(seen.last[0], 3000);
    assert_true(seen.first[0] <= 2991 && seen.first[0] > 2700);
    d->class->free(d);
}

/* A log file stays while any group's records in it are not superseded by a checkpoint that came after them.
 * */
static void test_store_keeps_what_another_group_needs(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    qrt_status status;
    model_append(s, 1, 1);
    for (uint64_t i = 1; i <= 300; i++) {
        model_append(s, 0, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
        if (i % 100 == 0) model_save(s, 0, i, true, &status);
    }
    struct disk *d = store_release(&s);
    struct seen seen;
    assert_int_equal(model_try(d, &seen, NULL), QRT_OK);
    assert_int_equal(seen.last[1], 1);
    assert_int_equal(seen.first[0], 1);
    d->class->free(d);
}

static void count_late(void *context, const struct store_record *r) {
    *(unsigned *)context += r->term == 7;
}
static void ignore_checkpoint(void *context, const struct store_checkpoint *c) {
    (void)context;
    (void)c;
}

/* A record that came after a checkpoint stays, even when its index is below the checkpoint's: a vote adds no
 * entry. */
static void test_store_keeps_votes_after_a_checkpoint(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    qrt_status status;
    for (uint64_t i = 1; i <= 100; i++) {
        model_append(s, 0, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
    }
    model_save(s, 0, 100, true, &status);
    for (unsigned i = 0; i < 100; i++) {
        store_append(s, &(struct store_record){0, 100, 7, {0}});
        assert_int_equal(store_flush(s, NULL), QRT_OK);
    }
    model_append(s, 0, 101);
    model_save(s, 0, 101, true, &status);
    struct disk *d = store_release(&s);
    assert_true(model_last_file(d, "spare-").count > 0);
    s = model_open(d, false);
    unsigned late = 0;
    assert_int_equal(store_recover(s, &(struct store_visitor){ignore_checkpoint, count_late, &late}, NULL), QRT_OK);
    assert_int_equal(late, 100);
    store_free(&s);
}

/* A damaged newest checkpoint is replaced by the one before and the log, at every bit; one that stands alone
 * is reported. */
static void test_store_falls_back_on_the_older_checkpoint(void **state) {
    (void)state;
    for (int from_log = 0; from_log < 2; from_log++) {
        struct store *s = model_open(model_disk(1), true);
        qrt_status status;
        for (uint64_t i = 1; i <= 90; i++) {
            model_append(s, 0, i);
            assert_int_equal(store_flush(s, NULL), QRT_OK);
            if (i % 30 == 0) model_save(s, 0, i, i < 90 || from_log, &status);
        }
        struct disk *d = store_release(&s);
        struct model_file file = model_last_file(d, "checkpoint-");
        for (uint64_t at = 0; at < file.size; at++) {
            struct buffer content = {0};
            assert_int_equal(d->class->read(d, file.name, &content, NULL), QRT_OK);
            uint8_t flipped = content.data[at] ^ 0x10;
            struct disk *copy = model_damage(d, file.name, at, bytes_of(&flipped, 1));
            struct seen seen;
            struct error e = {0};
            assert_int_equal(model_try(copy, &seen, &e), from_log ? QRT_OK : QRT_ECORRUPT);
            if (from_log && (seen.wrong || seen.checkpoint[0] != 60 || seen.last[0] != 90 || seen.first[0] > 61))
                fail_msg("byte %llu: %s", (unsigned long long)at, seen.why);
            copy->class->free(copy);
            buffer_free(&content);
        }
        d->class->free(d);
    }
}

/* ---- crashes ----------------------------------------------------------------------------- */

struct life {
    uint64_t appended[GROUPS], synced[GROUPS], saving[GROUPS], saved[GROUPS];
};

static void life_synced(struct life *m, const uint64_t written[GROUPS]) {
    memcpy(m->synced, written, sizeof m->synced);
}

/* What a reopened store must say; then the model goes on from there. */
static void life_check(struct life *m, struct store *s, uint64_t seed) {
    struct seen seen;
    struct error e = {0};
    if (model_recover(s, &seen, &e)) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
    if (seen.wrong) fail_msg("seed %llu: %s", (unsigned long long)seed, seen.why);
    for (uint16_t g = 0; g < GROUPS; g++) {
        uint64_t checkpoint = seen.checkpoint[g], last = seen.last[g] > checkpoint ? seen.last[g] : checkpoint;
        bool lost = last < m->synced[g] || checkpoint < m->saved[g];
        bool invented = last > m->appended[g] || (checkpoint != m->saved[g] && checkpoint != m->saving[g]);
        bool gap = seen.first[g] > checkpoint + 1;
        if (lost || invented || gap)
            fail_msg("seed %llu group %u: checkpoint %llu, records %llu..%llu; synced %llu, saved %llu, "
                     "appended %llu",
                     (unsigned long long)seed, g, (unsigned long long)checkpoint, (unsigned long long)seen.first[g],
                     (unsigned long long)seen.last[g], (unsigned long long)m->synced[g],
                     (unsigned long long)m->saved[g], (unsigned long long)m->appended[g]);
        m->appended[g] = m->synced[g] = last;
        m->saved[g] = m->saving[g] = checkpoint;
    }
}

static bool life_save(struct life *m, struct store *s, uint16_t g, struct random *r) {
    qrt_status status;
    if (m->synced[g] <= m->saved[g]) return true;
    m->saving[g] = m->saved[g] + 1 + random_below(r, m->synced[g] - m->saved[g]);
    model_save(s, g, m->saving[g], true, &status);
    if (status) return false;
    m->saved[g] = m->saving[g];
    life_synced(m, m->appended);
    return true;
}

/* One life of a store, until the power fails or the script ends. */
static void life_run(struct life *m, struct store *s, struct random *r) {
    for (uint64_t left = random_below(r, 60); left; left--) {
        uint64_t written[GROUPS];
        uint64_t records = 1 + random_below(r, 4);
        for (uint64_t i = 0; i < records; i++) {
            uint16_t g = (uint16_t)random_below(r, GROUPS);
            model_append(s, g, ++m->appended[g]);
        }
        memcpy(written, m->appended, sizeof written);
        if (random_below(r, 8) == 0) continue; /* shares the next commit */
        if (store_write(s, NULL)) return;
        if (random_below(r, 8) == 0) { /* a second commit is written: the first is synced before */
            model_append(s, 0, ++m->appended[0]);
            if (store_write(s, NULL)) return;
            life_synced(m, written);
            memcpy(written, m->appended, sizeof written);
        }
        if (random_below(r, 2)) {
            uint16_t g = (uint16_t)random_below(r, GROUPS);
            model_append(s, g, ++m->appended[g]); /* arrives while the commit is in flight */
        }
        if (left == 1) return; /* the crash falls between write and sync */
        if (store_sync(s, NULL)) return;
        life_synced(m, written);
        if (random_below(r, 10) == 0 && !life_save(m, s, (uint16_t)random_below(r, GROUPS), r)) return;
    }
}

/* Opens a store whose power fails after that many operations, lets it go again and loses what is unsynced. */
static qrt_status open_interrupted(struct disk *d, bool format, uint64_t operations, struct error *e) {
    struct store *s;
    bool wiped;
    disk_sim_fail_after(d, operations);
    qrt_status status = store_open(&s, model_lasting(d), model_me, format, &wiped, e);
    store_free(&s);
    disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
    return status;
}

/* Now and then the power fails in the middle of recovery as well. */
static struct store *reopen(struct disk *d, uint64_t seed, struct random *r) {
    struct store *s;
    struct error e = {0};
    bool wiped;
    while (random_below(r, 3) == 0) {
        qrt_status status = open_interrupted(d, false, random_below(r, 6), &e);
        if (status && status != QRT_EIO) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
    }
    if (store_open(&s, d, model_me, false, &wiped, &e)) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
    if (wiped) fail_msg("seed %llu: a formatted store came back as wiped", (unsigned long long)seed);
    return s;
}

/* Thousands of lives with power cuts at any operation: what was synced is there, in order, and nothing else
 * than what was appended; the last saved checkpoint or a newer one; and no torn write is ever taken for
 * damage. */
static void test_store_survives_random_crashes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PROTOCOL);
        struct life m = {0};
        struct store *s = model_open(model_disk(seed), true);
        for (int life = 0; life < 4; life++) {
            if (random_below(&r, 2)) disk_sim_fail_after(store_disk(s), random_below(&r, 200));
            life_run(&m, s, &r);
            struct disk *d = store_release(&s);
            disk_sim_crash(d, random_below(&r, 4) ? QRT_DISK_UNSYNCED_LOST : QRT_DISK_KEPT);
            s = reopen(d, seed, &r);
            life_check(&m, s, seed);
        }
        store_free(&s);
    }
}

/* Power cut at each disk operation of a save, with each way to lose what is unsynced: the old checkpoint or
 * the new one, and every record. */
static void test_store_survives_a_crash_at_every_step_of_a_save(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        bool finished = false;
        for (uint64_t step = 0; !finished; step++) {
            struct store *s = model_open(model_disk(seed), true);
            struct life m = {0};
            qrt_status status = QRT_OK;
            for (uint64_t i = 1; i <= 120; i++) {
                model_append(s, 0, ++m.appended[0]);
                assert_int_equal(store_flush(s, NULL), QRT_OK);
                if (i % 30 == 0 && i < 120) model_save(s, 0, m.saved[0] = i, true, &status);
            }
            assert_int_equal(status, QRT_OK);
            m.synced[0] = 120;
            m.saving[0] = 110;
            disk_sim_fail_after(store_disk(s), step);
            model_save(s, 0, 110, true, &status);
            finished = status == QRT_OK;
            if (finished) m.saved[0] = 110;
            struct disk *d = store_release(&s);
            disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
            s = model_open(d, false);
            life_check(&m, s, seed);
            store_free(&s);
        }
    }
}

/* Power cut at each step of the first start: either it can be formatted, or it was and opens; never damage,
 * and never both. */
static void test_store_survives_a_crash_at_every_step_of_a_format(void **state) {
    (void)state;
    unsigned opened = 0, formatted = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        for (uint64_t step = 0; step < 12; step++) {
            struct disk *d = model_disk(seed);
            struct store *s;
            struct error e = {0};
            bool wiped;
            qrt_status status = open_interrupted(d, true, step, &e);
            assert_true(status == QRT_OK || status == QRT_EIO);
            qrt_status again = store_open(&s, d->class->clone(d), model_me, true, &wiped, &e);
            if (again != QRT_OK && again != QRT_EINVAL) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
            if (status == QRT_OK) assert_int_equal(again, QRT_EINVAL);
            store_free(&s);
            if (store_open(&s, d, model_me, false, &wiped, &e))
                fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
            assert_int_equal(wiped, again == QRT_OK);
            store_free(&s);
            opened += again != QRT_OK;
            formatted += again == QRT_OK;
        }
    }
    assert_true(opened > 60 && formatted > 60);
}

/* After a failed sync nothing is accepted, even when the disk works again: the node stops. */
static void test_store_never_retries_a_failed_sync(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    struct error e = {0};
    model_append(s, 0, 1);
    assert_int_equal(store_write(s, &e), QRT_OK);
    disk_sim_fail_after(store_disk(s), 0);
    assert_int_equal(store_sync(s, &e), QRT_EIO);
    disk_sim_fail_after(store_disk(s), UINT64_MAX);
    assert_int_equal(store_sync(s, &e), QRT_EIO);
    assert_non_null(strstr(e.text, "has stopped"));
    model_append(s, 0, 2);
    assert_int_equal(store_flush(s, &e), QRT_EIO);
    qrt_status status;
    model_save(s, 0, 1, true, &status);
    assert_int_equal(status, QRT_EIO);
    store_free(&s);
}

/* ---- copies ------------------------------------------------------------------------------ */

/* A clone has the fingerprint of its origin, goes its own way, and neither disturbs the other; the same steps
 * give the same fingerprint. */
static void test_store_clones_part(void **state) {
    (void)state;
    struct store *a = model_open(model_disk(1), true);
    for (uint64_t i = 1; i <= 100; i++) {
        model_append(a, 0, i);
        assert_int_equal(store_flush(a, NULL), QRT_OK);
    }
    model_append(a, 0, 101);
    assert_int_equal(store_write(a, NULL), QRT_OK);
    model_append(a, 0, 102); /* one commit in flight, one record gathered */
    struct store *b = store_clone(a), *c = store_clone(a);
    assert_true(store_fingerprint(a) == store_fingerprint(b));
    model_append(b, 0, 103);
    assert_true(store_fingerprint(a) != store_fingerprint(b));
    assert_int_equal(store_flush(b, NULL), QRT_OK);
    assert_true(store_fingerprint(a) == store_fingerprint(c));
    model_append(a, 0, 103);
    assert_int_equal(store_flush(a, NULL), QRT_OK);
    assert_true(store_fingerprint(a) == store_fingerprint(b));
    struct disk *d = store_release(&c);
    disk_sim_crash(d, QRT_DISK_KEPT);
    struct seen seen;
    assert_int_equal(model_try(d, &seen, NULL), QRT_OK);
    assert_int_equal(seen.last[0], 101);
    d->class->free(d);
    d = store_release(&b);
    assert_int_equal(model_try(d, &seen, NULL), QRT_OK);
    assert_int_equal(seen.last[0], 103);
    d->class->free(d);
    store_free(&a);
}

/* The store without a disk takes everything and gives back nothing. */
static void test_store_memory_keeps_nothing(void **state) {
    (void)state;
    struct store *s = store_memory_new();
    model_append(s, 0, 1);
    assert_true(store_dirty(s));
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    assert_false(store_dirty(s));
    struct seen seen;
    assert_int_equal(model_recover(s, &seen, NULL), QRT_OK);
    assert_int_equal(seen.last[0], 0);
    assert_null(store_disk(s));
    struct store *copy = store_clone(s);
    store_free(&copy);
    store_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_checkpoints_bound_the_disk),
        cmocka_unit_test(test_store_keeps_what_another_group_needs),
        cmocka_unit_test(test_store_keeps_votes_after_a_checkpoint),
        cmocka_unit_test(test_store_falls_back_on_the_older_checkpoint),
        cmocka_unit_test(test_store_survives_random_crashes),
        cmocka_unit_test(test_store_survives_a_crash_at_every_step_of_a_save),
        cmocka_unit_test(test_store_survives_a_crash_at_every_step_of_a_format),
        cmocka_unit_test(test_store_never_retries_a_failed_sync),
        cmocka_unit_test(test_store_clones_part),
        cmocka_unit_test(test_store_memory_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
