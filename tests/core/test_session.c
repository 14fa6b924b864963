/* Replicated sessions against a naive model: exactly once, least recently used first out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "machine/session.h"

static struct bytes reply_for(uint64_t session, uint64_t sequence, uint8_t scratch[6000]) {
    size_t size = (size_t)(random_keyed(session, sequence, 0) % (sequence % 7 ? 40 : 6000));
    memset(scratch, (int)(session + sequence), size);
    return bytes_of(scratch, size);
}

/* The first use of a sequence number is fresh, the same again is answered from the cache, an older one is
 * stale. */
static void test_session_answers_exactly_once(void **unused) {
    (void)unused;
    struct sessions *s = sessions_new(10);
    qrt_status status;
    struct bytes reply;
    assert_int_equal(sessions_check(s, 3, 2, 1, &status, &reply), SESSION_UNKNOWN);
    sessions_open(s, 2);
    sessions_open(s, 2);
    assert_int_equal(sessions_check(s, 3, 2, 0, &status, &reply), SESSION_STALE);
    assert_int_equal(sessions_check(s, 3, 2, 1, &status, &reply), SESSION_FRESH);
    sessions_record(s, 2, 1, QRT_ECAS, bytes_text("found"));
    assert_int_equal(sessions_check(s, 4, 2, 1, &status, &reply), SESSION_REPEATED);
    assert_int_equal(status, QRT_ECAS);
    assert_true(bytes_equal(reply, bytes_text("found")));
    assert_int_equal(sessions_check(s, 5, 2, 2, &status, &reply), SESSION_FRESH);
    sessions_record(s, 2, 2, QRT_OK, bytes_text(""));
    assert_int_equal(sessions_check(s, 6, 2, 1, &status, &reply), SESSION_STALE);
    assert_int_equal(sessions_check(s, 7, 2, 2, &status, &reply), SESSION_REPEATED);
    assert_int_equal(reply.size, 0);
    sessions_free(s);
}

/* ---- a naive model: an array in order of use ---- */

#define LIMIT 23

struct row {
    uint64_t id, sequence;
    qrt_status status;
};
struct model {
    struct row rows[LIMIT + 1]; /* oldest first */
    int count;
};

static int model_use(struct model *m, uint64_t id) {
    for (int i = 0; i < m->count; i++) {
        if (m->rows[i].id != id) continue;
        struct row row = m->rows[i];
        memmove(&m->rows[i], &m->rows[i + 1], (size_t)(m->count - i - 1) * sizeof row);
        m->rows[m->count - 1] = row;
        return m->count - 1;
    }
    return -1;
}

static void model_open(struct model *m, uint64_t id) {
    m->rows[m->count++] = (struct row){.id = id};
    if (m->count <= LIMIT) return;
    memmove(&m->rows[0], &m->rows[1], LIMIT * sizeof m->rows[0]);
    m->count = LIMIT;
}

static enum session_verdict model_check(struct model *m, uint64_t id, uint64_t sequence, struct row **row) {
    int i = model_use(m, id);
    if (i < 0) return SESSION_UNKNOWN;
    *row = &m->rows[i];
    if (sequence > (*row)->sequence) return SESSION_FRESH;
    return sequence == (*row)->sequence && sequence ? SESSION_REPEATED : SESSION_STALE;
}

static void step(struct sessions *s, struct model *m, struct random *r, uint64_t index, uint64_t seed) {
    uint8_t scratch[6000];
    if (random_chance(r, 0.1)) {
        sessions_open(s, index);
        model_open(m, index);
        return;
    }
    uint64_t id = m->count && random_chance(r, 0.8) ? m->rows[random_below(r, (uint64_t)m->count)].id
                                                    : 1 + random_below(r, index);
    uint64_t sequence = random_below(r, 12);
    struct row *row = NULL;
    qrt_status status = QRT_EINTERNAL;
    struct bytes reply = {0};
    enum session_verdict wanted = model_check(m, id, sequence, &row);
    enum session_verdict got = sessions_check(s, index, id, sequence, &status, &reply);
    if (got != wanted)
        fail_msg("seed %lu, index %lu: verdict %d, the model %d", (unsigned long)seed, (unsigned long)index, got,
                 wanted);
    if (got == SESSION_REPEATED) {
        assert_int_equal(status, row->status);
        assert_true(bytes_equal(reply, reply_for(id, sequence, scratch)));
    } else if (got == SESSION_FRESH) {
        row->sequence = sequence;
        row->status = sequence % 3 ? QRT_OK : QRT_ENOTFOUND;
        sessions_record(s, id, sequence, row->status, reply_for(id, sequence, scratch));
    }
}

static struct sessions *through_snapshot(const struct sessions *s) {
    struct buffer b = {0};
    sessions_snapshot(s, &b);
    struct sessions *to = sessions_new(LIMIT);
    sessions_open(to, 77777777); /* is replaced */
    struct reader in = reader_of(bytes_of(b.data, b.size));
    assert_true(sessions_restore(to, &in));
    assert_int_equal(reader_left(&in), 0);
    buffer_free(&b);
    return to;
}

/* Random logs: verdicts, cached replies and evictions are the model's, on the original as on clones and
 * restored snapshots, which then stand in for it; their fingerprints agree. */
static void test_session_agrees_with_model(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        struct sessions *s = sessions_new(LIMIT);
        struct model m = {0};
        for (uint64_t index = 1; index <= 3000; index++) {
            step(s, &m, &r, index, seed);
            if (index % 97) continue;
            struct sessions *clone = sessions_clone(s), *restored = through_snapshot(s);
            assert_true(sessions_fingerprint(clone) == sessions_fingerprint(s));
            assert_true(sessions_fingerprint(restored) == sessions_fingerprint(s));
            sessions_open(clone, index + 1000000);
            assert_true(sessions_fingerprint(clone) != sessions_fingerprint(s));
            sessions_free(s);
            sessions_free(index % 2 ? clone : restored);
            s = index % 2 ? restored : clone;
            if (index % 2 == 0) { /* the clone went on; so does the model */
                model_open(&m, index + 1000000);
            }
        }
        sessions_free(s);
    }
}

/* The order of use is part of the state: it decides who is dropped. */
static void test_session_fingerprint_covers_order(void **unused) {
    (void)unused;
    struct sessions *a = sessions_new(4), *b = sessions_new(4);
    qrt_status status;
    struct bytes reply;
    for (uint64_t id = 1; id <= 3; id++) {
        sessions_open(a, id);
        sessions_open(b, id);
    }
    assert_true(sessions_fingerprint(a) == sessions_fingerprint(b));
    sessions_check(a, 4, 1, 1, &status, &reply);
    assert_true(sessions_fingerprint(a) != sessions_fingerprint(b));
    sessions_check(b, 4, 1, 1, &status, &reply);
    assert_true(sessions_fingerprint(a) == sessions_fingerprint(b));
    sessions_free(a);
    sessions_free(b);
}

/* A snapshot that is cut anywhere, names a session twice or none, or holds more than the limit is rejected,
 * and the table stays as it was. */
static void test_session_rejects_malformed_snapshots(void **unused) {
    (void)unused;
    struct sessions *s = sessions_new(4), *to = sessions_new(3);
    struct buffer b = {0};
    for (uint64_t id = 1; id <= 3; id++) {
        sessions_open(s, id);
        sessions_record(s, id, 1, QRT_OK, bytes_text("some reply that is longer than what a slot holds inline"));
    }
    sessions_snapshot(s, &b);
    sessions_open(to, 9);
    uint64_t before = sessions_fingerprint(to);
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *exact = mem_copy(b.data, size);
        struct reader in = reader_of(bytes_of(exact, size));
        assert_false(sessions_restore(to, &in));
        free(exact);
    }
    for (int wrong = 0; wrong < 2; wrong++) {
        uint64_t id = wrong ? 2 : 0; /* twice, none */
        uint8_t *bad = mem_copy(b.data, b.size);
        memcpy(bad + 4, &id, sizeof id);
        struct reader in = reader_of(bytes_of(bad, b.size));
        assert_false(sessions_restore(to, &in));
        free(bad);
    }
    sessions_open(s, 4);
    buffer_clear(&b);
    sessions_snapshot(s, &b);
    struct reader in = reader_of(bytes_of(b.data, b.size));
    assert_false(sessions_restore(to, &in));
    assert_true(sessions_fingerprint(to) == before);
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    for (int n = 0; n < 20000; n++) { /* random damage does no harm */
        uint8_t *bad = mem_copy(b.data, b.size);
        bad[random_below(&r, b.size)] ^= (uint8_t)(1 + random_below(&r, 255));
        struct reader damaged = reader_of(bytes_of(bad, b.size));
        sessions_restore(s, &damaged);
        free(bad);
    }
    sessions_free(s);
    sessions_free(to);
    buffer_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_answers_exactly_once),
        cmocka_unit_test(test_session_agrees_with_model),
        cmocka_unit_test(test_session_fingerprint_covers_order),
        cmocka_unit_test(test_session_rejects_malformed_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
