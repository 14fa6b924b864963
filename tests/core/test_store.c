/* The store over the simulated disk: what was flushed comes back, what is damaged is reported and never
 * handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"
#include "store/store.h"
#include "support/store_model.h"

/* ---- opening ----------------------------------------------------------------------------- */

/* Records of several groups come back group by group in the order in which they were appended, across many
 * files. */
static void test_store_gives_back_what_was_flushed(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    for (uint64_t i = 1; i <= 500; i++) {
        for (uint16_t g = 0; g < GROUPS; g++) model_append(s, g, i);
        assert_true(store_dirty(s));
        if (i % 3 == 0) assert_int_equal(store_flush(s, NULL), QRT_OK);
    }
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    assert_false(store_dirty(s));
    struct disk *d = store_release(&s);
    assert_true(model_last_file(d, "wal-").count > 5);
    struct seen seen;
    struct error e = {0};
    if (model_try(d, &seen, &e)) fail_msg("%s", e.text);
    if (seen.wrong) fail_msg("%s", seen.why);
    for (uint16_t g = 0; g < GROUPS; g++) assert_true(seen.first[g] == 1 && seen.last[g] == 500);
    d->class->free(d);
}

/* A record larger than a log file gets a file of its own size; so does a commit of many small records. */
static void test_store_takes_records_larger_than_a_file(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    static uint8_t large[100000];
    for (size_t i = 0; i < sizeof large; i++) large[i] = (uint8_t)(i * 7);
    model_append(s, 0, 1);
    store_append(s, &(struct store_record){1, 1, 0, bytes_of(large, sizeof large)});
    for (uint64_t i = 2; i < 2000; i++) store_append(s, &(struct store_record){2, i, 0, {0}});
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    model_append(s, 0, 2);
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    struct disk *d = store_release(&s);
    s = model_open(d, false);
    struct seen seen;
    assert_int_equal(model_recover(s, &seen, NULL), QRT_OK);
    assert_int_equal(seen.last[0], 2);
    assert_int_equal(seen.last[1], 1);
    assert_int_equal(seen.last[2], 1999);
    store_free(&s);
}

/* A first start is explicit: format refuses a folder that holds a store, and tells what to do. */
static void test_store_format_refuses_a_store(void **state) {
    (void)state;
    struct disk *d = model_disk_with(3);
    struct store *s;
    struct error e = {0};
    bool wiped;
    assert_int_equal(store_open(&s, d, model_me, true, &wiped, &e), QRT_EINVAL);
    assert_null(s);
    assert_non_null(strstr(e.text, "already holds a store"));
}

/* A folder of another node or cluster is refused by name; a foreign log file inside a right folder too. */
static void test_store_refuses_a_foreign_folder(void **state) {
    (void)state;
    const struct store_identity others[] = {{model_me.cluster_id, 4}, {model_me.cluster_id + 1, model_me.node}};
    for (int i = 0; i < 2; i++) {
        struct store *s;
        struct error e = {0};
        bool wiped;
        assert_int_equal(store_open(&s, model_disk_with(3), others[i], false, &wiped, &e), QRT_EFOREIGN);
        assert_non_null(strstr(e.text, "belongs to node 3 of cluster 1122334455667788"));
    }
    struct store *s;
    bool wiped;
    struct error e = {0};
    assert_int_equal(store_open(&s, model_disk(2), others[0], true, &wiped, &e), QRT_OK);
    struct disk *foreign = store_release(&s), *d = model_disk_with(3);
    struct buffer file = {0};
    assert_int_equal(foreign->class->read(foreign, "wal-0000000000000001", &file, NULL), QRT_OK);
    struct disk *mixed = model_damage(d, "wal-0000000000000001", 0, bytes_of(file.data, file.size));
    struct seen seen;
    assert_int_equal(model_try(mixed, &seen, &e), QRT_EFOREIGN);
    buffer_free(&file);
    mixed->class->free(mixed);
    foreign->class->free(foreign);
    d->class->free(d);
}

/* A folder of a newer version is refused with both versions named; the head's layout is promised for ever. */
static void test_store_refuses_a_newer_version(void **state) {
    (void)state;
    struct disk *d = model_disk_with(3);
    struct buffer root = {0};
    assert_int_equal(d->class->read(d, "root", &root, NULL), QRT_OK);
    root.data[8] = 9;
    uint64_t check = hash_bytes(root.data, 504, 0);
    memcpy(root.data + 504, &check, 8);
    struct disk *newer = model_damage(d, "root", 0, bytes_of(root.data, root.size));
    struct seen seen;
    struct error e = {0};
    assert_int_equal(model_try(newer, &seen, &e), QRT_ENEWER);
    assert_non_null(strstr(e.text, "written in format 9"));
    buffer_free(&root);
    newer->class->free(newer);
    d->class->free(d);
}

/* A node whose folder is empty is wiped, and stays so at later openings until something of its own is
 * durable. */
static void test_store_knows_that_it_was_wiped(void **state) {
    (void)state;
    struct store *s;
    bool wiped = false;
    struct disk *d = model_disk(1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_open(&s, d, model_me, false, &wiped, NULL), QRT_OK);
        assert_true(wiped);
        d = store_release(&s);
    }
    assert_int_equal(store_open(&s, d, model_me, false, &wiped, NULL), QRT_OK);
    model_append(s, 0, 1);
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    d = store_release(&s);
    assert_int_equal(store_open(&s, d, model_me, false, &wiped, NULL), QRT_OK);
    assert_false(wiped);
    d = store_release(&s);
    disk_sim_crash(d, QRT_DISK_WIPED);
    assert_int_equal(store_open(&s, d, model_me, false, &wiped, NULL), QRT_OK);
    assert_true(wiped);
    store_free(&s);
}

/* A log without its root, and a root without its log, are damage and no fresh start. */
static void test_store_reports_missing_files(void **state) {
    (void)state;
    struct disk *d = model_disk_with(60);
    const char *const names[] = {"root", "wal-0000000000000001", "wal-0000000000000002"};
    for (size_t i = 0; i < 3; i++) {
        struct disk *copy = d->class->clone(d);
        struct seen seen;
        struct error e = {0};
        assert_int_equal(copy->class->remove(copy, names[i], NULL), QRT_OK);
        assert_int_equal(model_try(copy, &seen, &e), QRT_ECORRUPT);
        assert_non_null(strstr(e.text, "missing"));
        copy->class->free(copy);
    }
    d->class->free(d);
}

/* ---- damage ------------------------------------------------------------------------------ */

static void each_bit_of(const struct disk *d, const char *name, uint64_t last) {
    struct model_file file = model_last_file(d, name);
    struct buffer content = {0};
    struct disk *source = d->class->clone(d);
    assert_int_equal(source->class->read(source, file.name, &content, NULL), QRT_OK);
    unsigned refused = 0;
    for (size_t bit = 0; bit < content.size * 8; bit++) {
        uint8_t flipped = content.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
        struct disk *copy = model_damage(d, file.name, bit / 8, bytes_of(&flipped, 1));
        struct seen seen;
        struct error e = {0};
        qrt_status status = model_try(copy, &seen, &e);
        copy->class->free(copy);
        if (status == QRT_ECORRUPT) refused++;
        if (status != QRT_OK && status != QRT_ECORRUPT) fail_msg("%s bit %zu: %s", file.name, bit, e.text);
        if (status == QRT_OK && (seen.wrong || seen.last[0] != last))
            fail_msg("%s bit %zu flipped: %llu of %llu records, %s", file.name, bit, (unsigned long long)seen.last[0],
                     (unsigned long long)last, seen.why);
    }
    assert_true(refused > 512 * 8 - 64);
    buffer_free(&content);
    source->class->free(source);
}

/* Every single bit that rots in root or log: either nothing is lost, or it is reported. The last synced
 * record too. */
static void test_store_never_hides_a_flipped_bit(void **state) {
    (void)state;
    struct disk *d = model_disk_with(8);
    each_bit_of(d, "root", 8);
    each_bit_of(d, "wal-", 8);
    /* Without the directory too: rot is told from a torn write by what it looks like. */
    assert_int_equal(d->class->remove(d, "ids-0000000000000001", NULL), QRT_OK);
    each_bit_of(d, "wal-", 8);
    d->class->free(d);
}

/* A whole commit that is gone from the middle is damage, known by the commits behind it. */
static void test_store_reports_a_hole(void **state) {
    (void)state;
    struct disk *d = model_disk_with(8);
    uint8_t blank[512] = {0};
    assert_int_equal(d->class->remove(d, "ids-0000000000000001", NULL), QRT_OK);
    for (uint64_t offset = 512, index = 1; index <= 8; index++) {
        struct disk *copy = model_damage(d, "wal-0000000000000001", offset, bytes_of(blank, sizeof blank));
        struct seen seen;
        struct error e = {0};
        assert_int_equal(model_try(copy, &seen, &e), index < 8 ? QRT_ECORRUPT : QRT_OK);
        if (index < 8) assert_non_null(strstr(e.text, "a later commit stands behind it"));
        copy->class->free(copy);
        offset += (40 + model_payload_size(0, index) + 495) / 496 * 512;
    }
    d->class->free(d);
}

/* Sectors exchanged, blanked, overwritten, bytes changed, several at once and in any file: nothing crashes,
 * and what is handed out is what was written, in order. */
static void test_store_stands_any_bytes(void **state) {
    (void)state;
    struct store *s = model_open(model_disk(1), true);
    qrt_status status;
    for (uint64_t i = 1; i <= 40; i++) {
        model_append(s, 0, i);
        model_append(s, 1, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
        if (i % 15 == 0) model_save(s, 0, i, true, &status);
    }
    struct disk *d = store_release(&s);
    const char *const prefixes[] = {"root", "wal-", "wal-", "ids-", "checkpoint-"};
    unsigned refused = 0;
    for (uint64_t seed = 1; seed <= 8000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        struct disk *copy = d->class->clone(d);
        for (uint64_t faults = 1 + random_below(&r, 3); faults; faults--) {
            struct model_file file = model_last_file(copy, prefixes[random_below(&r, 5)]);
            struct buffer content = {0};
            assert_int_equal(copy->class->read(copy, file.name, &content, NULL), QRT_OK);
            uint64_t kind = random_below(&r, 4), size = kind ? 1 + random_below(&r, 512) : 512;
            uint64_t to = random_below(&r, file.size), from = random_below(&r, file.size);
            if (random_below(&r, 2)) to -= to % 512;
            if (random_below(&r, 2)) from -= from % 512;
            if (size > file.size - to) size = file.size - to;
            if (size > file.size - from) size = file.size - from;
            uint8_t with[512] = {0};
            if (kind < 2) memcpy(with, content.data + from, size);
            for (size_t i = 0; kind == 2 && i < size; i++) with[i] = (uint8_t)random_u64(&r);
            copy->class->write(copy, file.name, to, bytes_of(with, size), NULL);
            buffer_free(&content);
        }
        struct seen seen;
        struct error e = {0};
        status = model_try(copy, &seen, &e);
        if (status == QRT_OK && seen.wrong) fail_msg("seed %llu: %s", (unsigned long long)seed, seen.why);
        if (status && status != QRT_ECORRUPT) fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
        refused += status != QRT_OK;
        copy->class->free(copy);
    }
    assert_true(refused > 2000);
    d->class->free(d);
}

/* A file cut off anywhere is reported: log files have their full length before they are used. */
static void test_store_reports_every_truncation(void **state) {
    (void)state;
    struct disk *d = model_disk_with(8);
    const char *const names[] = {"root", "wal-0000000000000001"};
    for (size_t n = 0; n < 2; n++) {
        struct buffer content = {0};
        assert_int_equal(d->class->read(d, names[n], &content, NULL), QRT_OK);
        for (size_t size = 0; size < content.size; size++) {
            struct disk *copy = d->class->clone(d);
            struct seen seen;
            struct error e = {0};
            assert_int_equal(copy->class->create(copy, names[n], 0, NULL), QRT_OK);
            assert_int_equal(copy->class->write(copy, names[n], 0, bytes_of(content.data, size), NULL), QRT_OK);
            if (model_try(copy, &seen, &e) != QRT_ECORRUPT) fail_msg("%s cut off at %zu was accepted", names[n], size);
            copy->class->free(copy);
        }
        buffer_free(&content);
    }
    d->class->free(d);
}

/* The report names file, offset and record, even when it is the record's own header that rotted. */
static void test_store_names_the_damaged_record(void **state) {
    (void)state;
    struct disk *d = model_disk_with(8);
    uint8_t rot[32];
    memset(rot, 0xa5, sizeof rot);
    for (uint64_t offset = 512, index = 1; index <= 8; index++) {
        struct disk *copy = model_damage(d, "wal-0000000000000001", offset + 16, bytes_of(rot, sizeof rot));
        struct seen seen;
        struct error e = {0};
        char expected[80];
        assert_int_equal(model_try(copy, &seen, &e), QRT_ECORRUPT);
        snprintf(expected, sizeof expected,
                 "wal-0000000000000001 is damaged at offset %llu, in the record of index %llu,",
                 (unsigned long long)offset, (unsigned long long)index);
        if (!strstr(e.text, expected)) fail_msg("expected '%s' in '%s'", expected, e.text);
        assert_non_null(strstr(e.text, "empty folder the node catches up from its peers"));
        copy->class->free(copy);
        offset += (40 + model_payload_size(0, index) + 495) / 496 * 512;
    }
    d->class->free(d);
}

/* Any subset of the last commit's sectors may be on the disk if it was not synced: the log ends before it,
 * and can be written to again. The same picture of a commit whose directory entry is there is damage. */
static void test_store_tells_a_torn_tail_from_rot(void **state) {
    (void)state;
    enum { SECTORS = 5 };
    uint8_t large[2000], blank[512] = {0};
    memset(large, 0x5a, sizeof large);
    struct store *s = model_open(model_disk_with(4), false);
    struct disk *before = store_disk(s)->class->clone(store_disk(s));
    struct buffer old = {0}, new = {0};
    const char *name = "wal-0000000000000001";
    store_append(s, &(struct store_record){1, 1, 0, bytes_of(large, sizeof large)});
    assert_int_equal(store_write(s, NULL), QRT_OK);
    struct disk *written = store_disk(s)->class->clone(store_disk(s));
    assert_int_equal(store_sync(s, NULL), QRT_OK);
    struct disk *synced = store_disk(s)->class->clone(store_disk(s));
    assert_int_equal(before->class->read(before, name, &old, NULL), QRT_OK);
    assert_int_equal(written->class->read(written, name, &new, NULL), QRT_OK);
    size_t at = 0;
    while (memcmp(old.data + at, new.data + at, 512) == 0) at += 512;
    for (unsigned kept = 0; kept < 1u << SECTORS; kept++) {
        struct disk *torn = written->class->clone(written), *rotten = synced->class->clone(synced);
        for (unsigned i = 0; i < SECTORS; i++) {
            if (kept & 1u << i) continue;
            torn->class->write(torn, name, at + i * 512, bytes_of(blank, 512), NULL);
            rotten->class->write(rotten, name, at + i * 512, bytes_of(blank, 512), NULL);
        }
        struct seen seen;
        bool whole = kept == (1u << SECTORS) - 1;
        assert_int_equal(model_try(torn, &seen, NULL), QRT_OK);
        assert_int_equal(seen.last[0], 4);
        assert_int_equal(seen.last[1], whole);
        assert_int_equal(model_try(rotten, &seen, NULL), whole ? QRT_OK : QRT_ECORRUPT);
        rotten->class->free(rotten);
        struct store *again = model_open(torn, false);
        model_append(again, 0, 5);
        assert_int_equal(store_flush(again, NULL), QRT_OK);
        torn = store_release(&again);
        assert_int_equal(model_try(torn, &seen, NULL), QRT_OK);
        assert_int_equal(seen.last[0], 5);
        torn->class->free(torn);
    }
    buffer_free(&old);
    buffer_free(&new);
    before->class->free(before);
    written->class->free(written);
    synced->class->free(synced);
    store_free(&s);
}

/* What a crash left of one commit is blanked before the next one takes its place, or halves of two commits
 * would look like one that was damaged. */
static void test_store_blanks_a_torn_tail(void **state) {
    (void)state;
    enum { SECTORS = 5, HALF = 3 };
    uint8_t large[2000], blank[HALF * 512] = {0};
    const char *name = "wal-0000000000000001";
    struct disk *d = model_disk_with(0);
    struct buffer file = {0};
    for (int round = 0; round < 2; round++) {
        struct store *s = model_open(d, false);
        buffer_clear(&file);
        assert_int_equal(d->class->read(d, name, &file, NULL), QRT_OK);
        memset(large, 'a' + round, sizeof large);
        store_append(s, &(struct store_record){1, 1, 0, bytes_of(large, sizeof large)});
        assert_int_equal(store_write(s, NULL), QRT_OK);
        d = store_release(&s);
        struct bytes second_half = bytes_of(file.data + (1 + HALF) * 512, (SECTORS - HALF) * 512);
        if (round == 0) d->class->write(d, name, 512, bytes_of(blank, sizeof blank), NULL);
        if (round == 1) d->class->write(d, name, (1 + HALF) * 512, second_half, NULL);
    }
    struct seen seen;
    struct error e = {0};
    if (model_try(d, &seen, &e)) fail_msg("%s", e.text);
    assert_int_equal(seen.last[1], 0);
    buffer_free(&file);
    d->class->free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_gives_back_what_was_flushed),
        cmocka_unit_test(test_store_takes_records_larger_than_a_file),
        cmocka_unit_test(test_store_format_refuses_a_store),
        cmocka_unit_test(test_store_refuses_a_foreign_folder),
        cmocka_unit_test(test_store_refuses_a_newer_version),
        cmocka_unit_test(test_store_knows_that_it_was_wiped),
        cmocka_unit_test(test_store_reports_missing_files),
        cmocka_unit_test(test_store_never_hides_a_flipped_bit),
        cmocka_unit_test(test_store_reports_a_hole),
        cmocka_unit_test(test_store_stands_any_bytes),
        cmocka_unit_test(test_store_reports_every_truncation),
        cmocka_unit_test(test_store_names_the_damaged_record),
        cmocka_unit_test(test_store_tells_a_torn_tail_from_rot),
        cmocka_unit_test(test_store_blanks_a_torn_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
