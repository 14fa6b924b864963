/* A damaged store that may take from its peers what it lost: it opens with the sound part, says so until something behind
 * that part is durable, and never comes up unmarked with less than it held, wherever the power fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "store/store.h"
#include "support/store_model.h"

enum { RECORDS = 200, DEEP = 40 };

/* ---- stores, and what befalls them ------------------------------------------------------- */

/* 200 synced records in many log files; `saves` checkpoints, the last of which is a peer's if it stands alone. */
static struct disk *disk_with(unsigned saves, bool alone) {
    struct store *s = model_open(model_disk(1), true);
    qrt_status status = QRT_OK;
    for (uint64_t i = 1; i <= RECORDS; i++) {
        model_append(s, 0, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
        if (i % DEEP == 0 && i / DEEP <= saves) model_save(s, 0, i - 5, !(alone && i / DEEP == saves), &status);
        assert_int_equal(status, QRT_OK);
    }
    return store_release(&s);
}

struct names {
    char at[64][64];
    uint64_t size[64];
    size_t count;
};

static void see_name(void *context, const char *name, uint64_t size) {
    struct names *n = context;
    bool data = !strncmp(name, "wal-", 4) || !strncmp(name, "checkpoint-", 11);
    if (!data) return;
    assert_true(n->count < 64);
    snprintf(n->at[n->count], sizeof n->at[0], "%s", name);
    n->size[n->count++] = size;
}

static struct names names_of(struct disk *d) {
    struct names n = {0};
    assert_int_equal(d->class->list(d, see_name, &n, NULL), QRT_OK);
    return n;
}

/* One byte rots, a file is cut off, or one in the middle is gone: drawn. */
static struct disk *damaged_copy(struct disk *d, struct random *r) {
    struct disk *copy = d->class->clone(d);
    struct names n = names_of(copy);
    struct buffer content = {0};
    size_t i = (size_t)random_below(r, n.count);
    uint64_t kind = random_below(r, 8);
    assert_int_equal(copy->class->read(copy, n.at[i], &content, NULL), QRT_OK);
    if (kind == 0 && i + 1 < n.count) {
        assert_int_equal(copy->class->remove(copy, n.at[i], NULL), QRT_OK);
    } else if (kind == 1) {
        assert_int_equal(copy->class->create(copy, n.at[i], 0, NULL), QRT_OK);
        struct bytes half = bytes_of(content.data, content.size / 2);
        assert_int_equal(copy->class->write(copy, n.at[i], 0, half, NULL), QRT_OK);
    } else {
        uint64_t at = random_below(r, n.size[i]);
        uint8_t flipped = content.data[at] ^ (uint8_t)(1 << random_below(r, 8));
        assert_int_equal(copy->class->write(copy, n.at[i], at, bytes_of(&flipped, 1), NULL), QRT_OK);
    }
    disk_sim_crash(copy, QRT_DISK_KEPT);
    buffer_free(&content);
    return copy;
}

/* ---- what must hold ---------------------------------------------------------------------- */

struct opened {
    struct store *store;
    bool wiped, damaged;
    uint64_t last; /* the last record or checkpoint that came back */
};

static struct opened open_repaired(struct disk *d, uint64_t seed) {
    struct opened o = {0};
    struct seen seen;
    struct error e = {0};
    qrt_status status = store_open_repaired(&o.store, d, model_me, &o.wiped, &o.damaged, &e);
    if (!status) status = model_recover(o.store, &seen, &e);
    if (status) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
    if (seen.wrong) fail_msg("seed %llu: %s", (unsigned long long)seed, seen.why);
    o.last = seen.last[0] > seen.checkpoint[0] ? seen.last[0] : seen.checkpoint[0];
    if (o.wiped || o.last > RECORDS || (o.last < RECORDS && !o.damaged))
        fail_msg("seed %llu: records up to %llu came back, damaged %d", (unsigned long long)seed,
                 (unsigned long long)o.last, o.damaged);
    return o;
}

static bool says(const struct store *s, const char *text) {
    return strstr(store_damage(s), text) != NULL;
}

static bool refused(const struct disk *d) {
    struct seen seen;
    struct error e = {0};
    qrt_status status = model_try(d, &seen, &e);
    assert_true(status == QRT_OK || status == QRT_ECORRUPT);
    return status == QRT_ECORRUPT;
}

/* From here on the store is one like any other: what is appended behind the sound part comes back, unmarked, and so it
 * does after further files and checkpoints. */
static void goes_on(struct opened *o, uint64_t seed) {
    uint64_t last = o->last;
    qrt_status status = QRT_OK;
    for (uint64_t i = last + 1; i <= last + 60; i++) {
        model_append(o->store, 0, i);
        assert_int_equal(store_flush(o->store, NULL), QRT_OK);
        if (i % 20 == 0) model_save(o->store, 0, i - 3, true, &status);
        assert_int_equal(status, QRT_OK);
        if (i > last + 2 && i < last + 60) continue;
        struct disk *d = store_release(&o->store);
        struct seen seen;
        struct error e = {0};
        if (store_open_repaired(&o->store, d, model_me, &o->wiped, &o->damaged, &e) ||
            model_recover(o->store, &seen, &e) || seen.wrong)
            fail_msg("seed %llu: %s%s", (unsigned long long)seed, e.text, seen.why);
        if (seen.last[0] != i || o->damaged || o->wiped)
            fail_msg("seed %llu: %llu came back for %llu, damaged %d", (unsigned long long)seed,
                     (unsigned long long)seen.last[0], (unsigned long long)i, o->damaged);
    }
    store_free(&o->store);
}

/* ---- tests ------------------------------------------------------------------------------- */

/* The sound records before the damage stay; the report says what is lost; and the mark stays until a record behind it is
 * durable, whoever opens the store. What was cut off is kept. */
static void test_repair_keeps_the_sound_records(void **state) {
    (void)state;
    struct disk *d = disk_with(0, false);
    uint8_t rot = 0xa5;
    struct names n = names_of(d);
    struct disk *copy = model_damage(d, n.at[3], 1024 + 100, bytes_of(&rot, 1));
    assert_true(refused(copy));
    struct opened o = open_repaired(copy, 1);
    assert_true(o.damaged && o.last > 0 && o.last < RECORDS);
    char lost[80];
    snprintf(lost, sizeof lost, "; records of index %llu to %d are taken from the peers",
             (unsigned long long)o.last + 1, RECORDS);
    assert_true(says(o.store, n.at[3]) && says(o.store, lost));
    copy = store_release(&o.store);
    assert_int_equal(model_last_file(copy, "damaged-").count, n.count - 3);
    for (int i = 0; i < 2; i++) { /* nothing was durable: it is still damaged, and nothing more is lost */
        struct opened again = open_repaired(copy, 1);
        assert_true(again.damaged && again.last == o.last && says(again.store, lost));
        copy = store_release(&again.store);
    }
    bool wiped = false;
    struct error e = {0};
    assert_int_equal(store_open(&o.store, copy, model_me, false, &wiped, &e), QRT_OK);
    assert_true(wiped); /* for a caller that knows no damaged stores */
    goes_on(&o, 1);
    d->class->free(d);
}

/* Any damage of log and checkpoints, with none, some and a peer's checkpoint: either it costs nothing, or the store is
 * marked, and goes on. */
static void test_repair_stands_any_damage(void **state) {
    (void)state;
    uint64_t marked = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PROTOCOL);
        struct disk *d = disk_with((unsigned)(seed % 5), seed % 2);
        struct disk *copy = damaged_copy(d, &r);
        if (random_below(&r, 4) == 0) { /* in two places */
            struct disk *once = copy;
            copy = damaged_copy(once, &r);
            once->class->free(once);
        }
        bool corrupt = refused(copy);
        struct opened o = open_repaired(copy, seed);
        if (o.damaged != corrupt) fail_msg("seed %llu", (unsigned long long)seed);
        marked += o.damaged;
        goes_on(&o, seed);
        d->class->free(d);
    }
    assert_true(marked > 300);
}

/* The power fails at each operation of a repair, with each way to lose what is unsynced, and again in the repair after it. */
static void test_repair_is_marked_at_every_crash_point(void **state) {
    (void)state;
    uint64_t cut_short = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct disk *d = disk_with((unsigned)(seed % 5), seed % 2);
        bool finished = false;
        for (uint64_t step = 0; !finished; step++) {
            struct random r = random_stream(seed, 1, RANDOM_PROTOCOL);
            struct disk *copy = damaged_copy(d, &r);
            bool corrupt = refused(copy);
            for (uint64_t power = step;; power = random_below(&r, step + 1)) {
                struct opened o = {0};
                struct error e = {0};
                disk_sim_fail_after(copy, power);
                qrt_status status =
                    store_open_repaired(&o.store, model_lasting(copy), model_me, &o.wiped, &o.damaged, &e);
                if (status && status != QRT_EIO) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
                finished = finished || (power == step && !status);
                store_free(&o.store);
                disk_sim_crash(copy, QRT_DISK_UNSYNCED_LOST);
                cut_short += status != QRT_OK;
                if (random_below(&r, 2)) break;
            }
            struct opened o = open_repaired(copy, seed);
            if (o.damaged && !corrupt) fail_msg("seed %llu: a sound store is marked", (unsigned long long)seed);
            goes_on(&o, seed);
            if (!corrupt) break;
        }
        d->class->free(d);
    }
    assert_true(cut_short > 1000);
}

/* The damage was one of reading, and is not there any more when the store is opened after a crash: either nothing was
 * changed yet and all is there, or the store is marked. */
static void test_repair_stands_damage_that_goes_away(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct disk *d = disk_with((unsigned)(seed % 5), seed % 2);
        for (uint64_t step = 0; step < 40; step++) {
            struct random r = random_stream(seed, 2, RANDOM_PROTOCOL);
            struct names n = names_of(d);
            size_t i = (size_t)random_below(&r, n.count);
            struct buffer content = {0};
            assert_int_equal(d->class->read(d, n.at[i], &content, NULL), QRT_OK);
            uint64_t at = random_below(&r, n.size[i]);
            uint8_t flipped = content.data[at] ^ 4;
            struct disk *copy = model_damage(d, n.at[i], at, bytes_of(&flipped, 1));
            struct opened o = {0};
            disk_sim_fail_after(copy, step);
            (void)!store_open_repaired(&o.store, model_lasting(copy), model_me, &o.wiped, &o.damaged, NULL);
            store_free(&o.store);
            disk_sim_crash(copy, QRT_DISK_UNSYNCED_LOST);
            struct buffer now = {0};
            if (!copy->class->read(copy, n.at[i], &now, NULL) && now.size > at && now.data[at] == flipped)
                assert_int_equal(copy->class->write(copy, n.at[i], at, bytes_of(content.data + at, 1), NULL), QRT_OK);
            disk_sim_crash(copy, QRT_DISK_KEPT);
            buffer_free(&now);
            buffer_free(&content);
            o = open_repaired(copy, seed);
            goes_on(&o, seed);
        }
        d->class->free(d);
    }
}

/* What a repair must not touch: another cluster's data, a newer format, a root that does not say whose the folder is. */
static void test_repair_leaves_what_is_not_its_own(void **state) {
    (void)state;
    struct disk *d = disk_with(2, false);
    struct store *s;
    bool wiped, damaged;
    struct error e = {0};
    struct store_identity other = {model_me.cluster_id + 1, model_me.node};
    uint8_t rot = 0x77;
    struct disk *copy = d->class->clone(d);
    uint64_t before = disk_sim_fingerprint(copy);
    assert_int_equal(store_open_repaired(&s, model_lasting(copy), other, &wiped, &damaged, &e), QRT_EFOREIGN);
    assert_int_equal(disk_sim_fingerprint(copy), before);
    copy->class->free(copy);
    copy = model_damage(d, "root", 20, bytes_of(&rot, 1));
    before = disk_sim_fingerprint(copy);
    assert_int_equal(store_open_repaired(&s, model_lasting(copy), model_me, &wiped, &damaged, &e), QRT_ECORRUPT);
    assert_int_equal(disk_sim_fingerprint(copy), before);
    copy->class->free(copy);
    d->class->free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair_keeps_the_sound_records),
        cmocka_unit_test(test_repair_stands_any_damage),
        cmocka_unit_test(test_repair_is_marked_at_every_crash_point),
        cmocka_unit_test(test_repair_stands_damage_that_goes_away),
        cmocka_unit_test(test_repair_leaves_what_is_not_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
