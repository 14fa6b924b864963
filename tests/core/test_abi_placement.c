/* Placement, quorum rules and detectors as a user of the shared library sees them: handles, errors in words.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "quorate.h"

static qrt_ring *ring_make(const char *dialect) {
    qrt_ring *r;
    assert_int_equal(qrt_ring_new(&r, &(qrt_option){"dialect", dialect}, 1), QRT_OK);
    return r;
}

/* The dialects' example, through the ABI; batch and single lookups agree. */
static void test_abi_ring(void **state) {
    (void)state;
    static const char *const nodes[] = {"node1", "node2", "node3"};
    qrt_ring *r = ring_make("md5-index");
    uint32_t slot, slots[2], shares_of;
    uint64_t position;
    assert_int_equal(qrt_ring_lookup(r, (const uint8_t *)"example", 7, &slot, &position), QRT_EINVAL);
    assert_non_null(strstr(qrt_last_error(r), "no nodes"));
    assert_int_equal(qrt_ring_add(r, nodes, NULL, NULL, 3), QRT_OK);
    assert_int_equal(qrt_ring_lookup(r, (const uint8_t *)"example", 7, &slot, &position), QRT_OK);
    assert_string_equal(qrt_ring_node(r, slot), "node2");
    assert_int_equal(qrt_ring_lookup_texts(r, (const uint8_t *)"example", (int64_t[]){0, 7, 7}, 2, slots), QRT_OK);
    assert_int_equal(slots[0], slot);
    double shares[3];
    qrt_ring_balance balance;
    assert_int_equal(qrt_ring_measure(r, shares, &balance), QRT_OK);
    assert_true(fabs(shares[0] + shares[1] + shares[2] - 1) < 1e-9);
    shares_of = qrt_ring_slots(r);
    assert_int_equal(shares_of, 3);
    assert_non_null(strstr(qrt_ring_svg(r), "node3"));
    qrt_ring *after;
    const qrt_ring_move *moves;
    size_t count;
    assert_int_equal(qrt_ring_clone(r, &after), QRT_OK);
    assert_int_equal(qrt_ring_remove(after, "node1"), QRT_OK);
    assert_int_equal(qrt_ring_remove(after, "node1"), QRT_ENOTFOUND);
    assert_int_equal(qrt_ring_moves(r, after, &moves, &count), QRT_OK);
    for (size_t i = 0; i < count; i++) assert_string_equal(qrt_ring_node(r, moves[i].from), "node1");
    assert_true(count > 20);
    assert_int_equal(qrt_ring_moves(r, r, &moves, &count), QRT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(qrt_ring_lookup(r, NULL, 3, &slot, NULL), QRT_EINVAL);
    assert_string_equal(qrt_last_error(r), "key and slot must not be NULL");
    assert_int_equal(qrt_last_status(r), QRT_EINVAL);
    assert_int_equal(qrt_ring_moves(NULL, after, &moves, &count), QRT_ECLOSED);
    assert_non_null(strstr(qrt_last_error(after), "closed"));
    qrt_ring_free(&after);
    qrt_ring_free(&r);
    assert_null(r);
    qrt_ring_free(&r);
    assert_int_equal(qrt_ring_new(&r, &(qrt_option){"dialct", "x"}, 1), QRT_EOPTION);
    assert_non_null(strstr(qrt_last_error(NULL), "dialect"));
    assert_null(r);
    assert_int_equal(qrt_ring_new(&r, (const qrt_option[]){{"dialect", "libketama"}, {"vnodes", "9"}}, 2), QRT_EINVAL);
    assert_int_equal(qrt_ring_new(&r, (const qrt_option[]){{"bits", "64"}, {"vnodes", NULL}}, 2), QRT_EINVAL);
    assert_non_null(strstr(qrt_last_error(NULL), "option number 2 has no name or no value"));
}

static void test_abi_hashes(void **state) {
    (void)state;
    uint32_t out[1], table[7];
    assert_int_equal(qrt_jump_many((const uint64_t[]){256}, 1, 1024, out), QRT_OK);
    assert_int_equal(out[0], 520);
    assert_int_equal(qrt_jump_many((const uint64_t[]){256}, 1, 0, out), QRT_ERANGE);
    static const char *const names[] = {"a", "b"}, *const twins[] = {"a", "a"};
    assert_int_equal(qrt_maglev_names(names, 2, table, 7), QRT_OK);
    assert_int_equal(qrt_maglev_names(twins, 2, table, 7), QRT_EINVAL);
    assert_int_equal(qrt_rendezvous_many(names, (const double[]){1, NAN}, 2, (const uint64_t[]){1}, 1, out),
                     QRT_ERANGE);
    assert_int_equal(qrt_rendezvous_many(names, NULL, 2, (const uint64_t[]){1}, 1, out), QRT_OK);
}

static void test_abi_quorum(void **state) {
    (void)state;
    qrt_quorum q;
    bool met;
    assert_int_equal(qrt_quorum_rule("byzantine", 4, 0, &q), QRT_OK);
    assert_true(q.write == 3 && q.crashes == 1 && q.liars == 1);
    assert_int_equal(qrt_quorum_rule("flexible:2,4", 5, QRT_QUORUM_READS_MEET, &q), QRT_EINVAL);
    assert_non_null(strstr(qrt_last_error(NULL), "share a voter"));
    assert_int_equal(qrt_quorum_met("weighted:3,1,1", 3, 1, (const uint8_t[]){1, 0, 0}, &met), QRT_OK);
    assert_true(met);
}

static void test_abi_detectors(void **state) {
    (void)state;
    qrt_detector *d, *copy;
    double seconds[] = {0, 1, 2, NAN}, suspicion, mean, variance;
    int64_t ns[4];
    size_t done, count;
    assert_int_equal(qrt_seconds_to_ns(seconds, 4, ns), QRT_EINVAL);
    assert_string_equal(qrt_last_error(NULL), "time 3 is NaN");
    assert_int_equal(qrt_detector_new(&d, "phi", &(qrt_option){"threshold", "8"}, 1), QRT_OK);
    assert_int_equal(qrt_detector_window(d, &count, &mean, &variance), QRT_EINVAL);
    assert_int_equal(qrt_detector_observe_many(d, ns, NULL, 3, NULL, NULL, &done), QRT_OK);
    assert_int_equal(qrt_detector_window(d, &count, &mean, &variance), QRT_OK);
    assert_true(count == 4 && mean == 1e9 && variance == 31250000000000000.0);
    assert_int_equal(qrt_detector_evaluate(d, 4000000000, &suspicion, NULL), QRT_OK);
    assert_true(suspicion > 8);
    assert_int_equal(qrt_detector_observe(d, 1, 0), QRT_EINVAL);
    assert_non_null(strstr(qrt_last_error(d), "time runs backwards"));
    const uint8_t *data;
    size_t size;
    uint64_t one, two;
    assert_int_equal(qrt_detector_save(d, &data, &size), QRT_OK);
    assert_int_equal(qrt_detector_load(&copy, data, size), QRT_OK);
    assert_int_equal(qrt_detector_fingerprint(d, 5, &one), QRT_OK);
    assert_int_equal(qrt_detector_fingerprint(copy, 5, &two), QRT_OK);
    assert_true(one == two);
    qrt_meter *m;
    qrt_quality q;
    assert_int_equal(qrt_meter_new(&m, 0, 3000000000), QRT_OK);
    assert_int_equal(qrt_meter_finish(m, copy, 90000000000), QRT_OK);
    assert_int_equal(qrt_meter_read(m, 90000000000, &q), QRT_OK);
    assert_true(q.detected && q.accuracy == 1);
    qrt_meter_free(&m);
    qrt_detector_free(&copy);
    qrt_detector_free(&d);
    assert_int_equal(qrt_detector_new(&d, "mixture", NULL, 0), QRT_EINVAL);
    qrt_mixture *mixture;
    qrt_mixture_info info;
    double samples[] = {0, 1, 2, 10, 11, 12}, p[6];
    assert_int_equal(qrt_mixture_new(&mixture, 2, 1, false), QRT_OK);
    assert_int_equal(qrt_mixture_fit(mixture, samples, 6, 1e-6, 1e-3, 100, 1), QRT_OK);
    assert_int_equal(qrt_mixture_label_by(mixture, samples, (const uint8_t[]){0, 0, 0, 1, 1, 1}, 6), QRT_OK);
    assert_int_equal(qrt_mixture_failure(mixture, samples, 6, p), QRT_OK);
    assert_true(p[1] < 1e-6 && p[4] > 1 - 1e-6);
    assert_int_equal(qrt_mixture_info_get(mixture, &info), QRT_OK);
    assert_true(info.fitted && fabs(info.weights[0] - .5) < 1e-6);
    assert_int_equal(qrt_detector_of_mixture(&d, mixture, .5), QRT_OK);
    assert_int_equal(qrt_detector_observe_vector(d, 0, samples, 2), QRT_EINVAL);
    assert_int_equal(qrt_detector_observe_vector(d, 0, samples + 4, 1), QRT_OK);
    qrt_detector_free(&d);
    qrt_mixture_free(&mixture);
    assert_int_equal(qrt_mixture_score(mixture, samples, 1, p), QRT_ECLOSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abi_ring),
        cmocka_unit_test(test_abi_hashes),
        cmocka_unit_test(test_abi_quorum),
        cmocka_unit_test(test_abi_detectors),
    };
    return cmocka_run_group_tests_name("placement and detectors, by the ABI", tests, NULL, NULL);
}
