/* The pure parts beside Raft: quorum arithmetic, encoded entries, the copy-on-write log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "protocol/log.h"
#include "protocol/quorum.h"

/* A majority is more than half, for odd and even clusters. */
static void test_quorum_majority(void **state) {
    (void)state;
    static const size_t expected[] = {1, 1, 2, 2, 3, 3, 4, 4};
    for (size_t n = 1; n < 8; n++) assert_int_equal(quorum_majority(n), expected[n]);
}

/* Figure 3.2: the commit index is the largest N with a majority of match[i] >= N. */
static void test_quorum_reached_is_the_kth_largest(void **state) {
    (void)state;
    assert_int_equal(quorum_reached((uint64_t[]){7, 3, 5}, 3, 2), 5);
    assert_int_equal(quorum_reached((uint64_t[]){7, 3, 5, 5}, 4, 3), 5);
    assert_int_equal(quorum_reached((uint64_t[]){7, 3, 5, 4}, 4, 3), 4);
    assert_int_equal(quorum_reached((uint64_t[]){9, 0, 0}, 3, 2), 0);
    assert_int_equal(quorum_reached((uint64_t[]){9}, 1, 1), 9);
    assert_int_equal(quorum_reached((uint64_t[]){9}, 1, 2), 0);
    assert_int_equal(quorum_reached(NULL, 0, 0), 0);
}

/* A vote is won by a majority, and lost once a majority is out of reach. */
static void test_quorum_vote(void **state) {
    (void)state;
    assert_int_equal(quorum_vote(1, 0, 3), QUORUM_PENDING);
    assert_int_equal(quorum_vote(2, 1, 3), QUORUM_WON);
    assert_int_equal(quorum_vote(1, 2, 3), QUORUM_LOST);
    assert_int_equal(quorum_vote(2, 1, 4), QUORUM_PENDING);
    assert_int_equal(quorum_vote(2, 2, 4), QUORUM_LOST);
}

static struct bytes encoded(struct buffer *out, uint64_t term, const char *text) {
    struct entry e = {.term = term, .kind = ENTRY_COMMAND, .session = 7, .sequence = 8, .data = bytes_text(text)};
    buffer_clear(out);
    entry_encode(buffer_extend(out, entry_size(e.data)), &e);
    return bytes_of(out->data, out->size);
}

static void append(struct log *l, uint64_t term, const char *text) {
    struct buffer b = {0};
    log_append(l, encoded(&b, term, text), 0);
    buffer_free(&b);
}

/* Bytes from a peer or a disk: every truncation and every wrong count, kind and term is refused. */
static void test_entries_refuse_what_is_malformed(void **state) {
    (void)state;
    struct buffer b = {0};
    struct bytes one = encoded(&b, 3, "abc");
    assert_true(entries_sound(one, 1, 3, 3));
    assert_false(entries_sound(one, 1, 4, 9));
    assert_false(entries_sound(one, 1, 0, 2));
    assert_false(entries_sound(one, 2, 0, 9));
    assert_false(entries_sound(one, 0, 0, 9));
    for (uint32_t cut = 0; cut < one.size; cut++) assert_false(entries_sound((struct bytes){one.data, cut}, 1, 0, 9));
    b.data[8] = 200;
    assert_false(entries_sound(one, 1, 0, 9));
    assert_true(entries_sound((struct bytes){0}, 0, 0, 9));
    buffer_free(&b);
}

/* What is read back is what was appended, across segments, and the hash chain tells histories apart. */
static void test_log_keeps_entries_and_chains_hashes(void **state) {
    (void)state;
    struct log a = {0}, b = {0};
    char text[16];
    for (int i = 1; i <= 1000; i++) {
        snprintf(text, sizeof text, "value %d", i);
        append(&a, 1 + (uint64_t)i / 300, text);
        append(&b, 1 + (uint64_t)i / 300, i == 500 ? "other" : text);
    }
    struct entry e;
    assert_true(log_entry(&a, 777, &e));
    assert_true(bytes_equal(e.data, bytes_text("value 777")));
    assert_int_equal(e.term, 3);
    assert_int_equal(e.session, 7);
    assert_int_equal(e.kind, ENTRY_COMMAND);
    assert_true(log_hash(&a, 499) == log_hash(&b, 499));
    assert_true(log_hash(&a, 500) != log_hash(&b, 500));
    assert_true(log_hash(&a, 1000) != log_hash(&b, 1000));
    assert_false(log_entry(&a, 1001, &e));
    assert_false(log_entry(&a, 0, &e));
    log_free(&a);
    log_free(&b);
}

/* A clone shares its segments and is untouched by what happens to the other; the fork may go both ways. */
static void test_log_clone_is_independent(void **state) {
    (void)state;
    struct log a = {0}, b;
    for (int i = 0; i < 600; i++) append(&a, 1, "x");
    log_clone(&b, &a);
    uint64_t hash = a.last_hash;
    log_truncate(&a, 300);
    append(&a, 2, "y");
    append(&b, 3, "z");
    assert_int_equal(a.last, 300);
    assert_int_equal(b.last, 601);
    assert_true(log_hash(&b, 600) == hash);
    struct entry e;
    assert_true(log_entry(&b, 300, &e) && e.term == 1);
    assert_true(log_entry(&a, 300, &e) && e.term == 2);
    log_compact(&b, 550);
    assert_true(log_entry(&a, 10, &e));
    log_free(&a);
    assert_true(log_entry(&b, 601, &e) && e.term == 3);
    log_free(&b);
}

/* A run takes what fits and at least one entry; a slice is the same bytes within a segment and across. */
static void test_log_runs_and_slices(void **state) {
    (void)state;
    struct log l = {0};
    for (int i = 0; i < 600; i++) append(&l, 1, "0123456789");
    uint64_t size = ENTRY_HEADER + 10;
    assert_int_equal(log_run(&l, 1, 1), 1);
    assert_int_equal(log_run(&l, 1, size * 3), 3);
    assert_int_equal(log_run(&l, 1, size * 3 + size - 1), 3);
    assert_int_equal(log_run(&l, 598, size * 100), 600);
    assert_int_equal(log_bytes(&l, 10, 20), size * 10);
    struct buffer scratch = {0};
    assert_int_equal(log_slice(&l, 5, 9, &scratch).size, size * 5);
    struct bytes across = log_slice(&l, 200, 560, &scratch);
    assert_int_equal(across.size, size * 361);
    assert_true(entries_sound(across, 361, 1, 1));
    buffer_free(&scratch);
    log_free(&l);
}

/* 3.5: skipping back a term at a time needs the last index that is not of a later term. */
static void test_log_finds_terms(void **state) {
    (void)state;
    struct log l = {0};
    for (uint64_t i = 1; i <= 30; i++) append(&l, 1 + (i - 1) / 10 * 2, "x"); /* terms 1, 3, 5 */
    assert_int_equal(log_find_term(&l, 30, 5), 30);
    assert_int_equal(log_find_term(&l, 30, 4), 20);
    assert_int_equal(log_find_term(&l, 99, 1), 10);
    assert_int_equal(log_find_term(&l, 5, 9), 5);
    assert_int_equal(log_find_term(&l, 30, 0), 0);
    log_compact(&l, 15);
    assert_int_equal(log_find_term(&l, 30, 2), 15);
    assert_int_equal(log_find_term(&l, 3, 9), 15);
    log_free(&l);
}

/* Against a plain array: any mixture of appends, truncations, compactions, clones and resets. */
static void test_log_matches_a_plain_array(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        struct log l = {0};
        uint64_t terms[4000] = {0}, hashes[4000] = {0}, base = 0, last = 0, term = 1;
        for (int i = 0; i < 60; i++) {
            uint64_t what = random_below(&r, 10), n = random_below(&r, 300);
            if (what < 6) {
                for (; n && last < 3999; n--) {
                    append(&l, term, "abc");
                    terms[++last] = term;
                    hashes[last] = l.last_hash;
                }
            } else if (what < 7 && last > base) {
                uint64_t from = base + 1 + random_below(&r, last - base);
                log_truncate(&l, from);
                last = from - 1;
                term++;
            } else if (what < 8 && last > base) {
                base += random_below(&r, last - base + 1);
                log_compact(&l, base);
            } else if (what < 9) {
                struct log copy;
                log_clone(&copy, &l);
                log_free(&l);
                l = copy;
            }
            if (l.last != last || l.base != base) fail_msg("seed %llu: bounds", (unsigned long long)seed);
            for (uint64_t k = base + 1; k <= last; k++)
                if (log_term(&l, k) != terms[k] || log_hash(&l, k) != hashes[k])
                    fail_msg("seed %llu: index %llu", (unsigned long long)seed, (unsigned long long)k);
        }
        log_free(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_majority),
        cmocka_unit_test(test_quorum_reached_is_the_kth_largest),
        cmocka_unit_test(test_quorum_vote),
        cmocka_unit_test(test_entries_refuse_what_is_malformed),
        cmocka_unit_test(test_log_keeps_entries_and_chains_hashes),
        cmocka_unit_test(test_log_clone_is_independent),
        cmocka_unit_test(test_log_runs_and_slices),
        cmocka_unit_test(test_log_finds_terms),
        cmocka_unit_test(test_log_matches_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
