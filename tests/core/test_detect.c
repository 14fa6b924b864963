/* Failure detectors: published vectors, the definitions, the closed forms, and what bad input must not do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/real.h"
#include "detect/meter.h"
#include "detect/phi.h"

#define MS INT64_C(1000000)
#define S INT64_C(1000000000)

static struct detector *detector_make(const char *name, int count, const char *const *settings) {
    enum detector_kind kind;
    struct detector_options options;
    struct error e = {0};
    struct detector *d;
    assert_int_equal(detector_kind_of(name, &kind, &e), QRT_OK);
    memset(&options, 0, sizeof options);
    option_defaults(&detector_tables[kind], &options);
    void *place = &options;
    for (int i = 0; i < count; i += 2)
        if (option_set(&detector_tables[kind], &place, 1, settings[i], settings[i + 1], &e)) fail_msg("%s", e.text);
    if (detector_new(kind, &options, NULL, &d, &e)) fail_msg("%s", e.text);
    return d;
}
#define DETECTOR(name, ...) \
    detector_make(name, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})
#define DETECTOR_PLAIN(name) detector_make(name, 0, NULL)

static void observe(struct detector *d, int64_t time) {
    struct error e = {0};
    if (detector_observe(d, time, NAN, &e)) fail_msg("%s", e.text);
}

/* Akka's vectors of the logistic form. */
static void test_phi_vectors(void **state) {
    (void)state;
    static const double cases[][2] = {{0, 0},      {500, .1},    {1000, .3},  {1200, 1.6},
                                      {1400, 4.7}, {1600, 10.8}, {1700, 15.3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(fabs(phi_normal(cases[i][0], 1000, 100) - cases[i][1]) <= .1);
    assert_true(fabs(phi_normal(10, 0, 1) - 38) <= 1);
    assert_true(phi_normal(-25, 0, 1) == 0);
    assert_true(isfinite(phi_normal(1e9, 0, 1)));
    assert_true(fabs(phi_exponential(1000, 100) - 4.34294481903) < 1e-10);
}

/* The window of {100, 200, 125, 340, 130}: mean 179, variance 7584; and it stays exact while it slides. */
static void test_window_is_exact(void **state) {
    (void)state;
    static const int64_t given[] = {100, 200, 125, 340, 130};
    int64_t samples[5];
    struct window w = {.capacity = 5};
    for (int i = 0; i < 5; i++) window_add(&w, samples, given[i]);
    assert_true(window_mean(&w) == 179 && window_variance(&w) == 7584);
    for (int i = 0; i < 5; i++) window_add(&w, samples, WINDOW_SAMPLE_MAX - i);
    for (int i = 0; i < 5; i++) window_add(&w, samples, given[i]);
    assert_true(window_mean(&w) == 179 && window_variance(&w) == 7584);
}

/* A detector suspects from its deadline on, not a nanosecond sooner, and exactly when phi reaches the
 * threshold. */
static void test_phi_deadline_is_the_threshold(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random random = random_stream(seed, 0, RANDOM_BENCH);
        char threshold[32];
        snprintf(threshold, sizeof threshold, "%.3f", 0.5 + 15 * random_unit(&random));
        struct detector *d = DETECTOR("phi", "threshold", threshold, "window", "20", "min_deviation", "10ms");
        int64_t time = 0;
        for (int i = 0; i < 40; i++) observe(d, time += random_between(&random, 50 * MS, 250 * MS));
        double wanted = strtod(threshold, NULL);
        double before = detector_suspicion(d, d->deadline - 2), at = detector_suspicion(d, d->deadline + 1);
        if (before > wanted || at < wanted || detector_suspected(d, d->deadline - 1) ||
            !detector_suspected(d, d->deadline))
            fail_msg("seed %llu: phi %.12f just before and %.12f just after the deadline, threshold %s",
                     (unsigned long long)seed, before, at, threshold);
        detector_free(&d);
    }
}

/* The first interval is mean +- mean/4; an interval that ends a suspicion is not learnt unless asked for. */
static void test_phi_learns_as_akka(void **state) {
    (void)state;
    struct detector *d = DETECTOR("phi", "first_interval", "400ms");
    observe(d, 0);
    assert_true(window_mean(&d->window) == 4e8 && window_variance(&d->window) == 1e16);
    for (int i = 1; i <= 50; i++) observe(d, i * S);
    assert_true(d->window.count == 2); /* every interval was beyond the deadline */
    detector_free(&d);
    d = DETECTOR("phi", "first_interval", "400ms", "learn_late", "true");
    for (int i = 0; i <= 50; i++) observe(d, i * S);
    assert_int_equal(d->window.count, 52);
    detector_free(&d);
}

/* Cassandra: the first sample is two intervals, long ones are ignored, a local pause excuses the peer. */
static void test_phi_exponential_as_cassandra(void **state) {
    (void)state;
    struct detector *d = DETECTOR("phi-exponential", "interval", "1", "max_interval", "2");
    observe(d, 0);
    assert_true(d->mean == 2e9);
    observe(d, 1 * S);
    assert_true(d->mean == 1.5e9);
    observe(d, 4 * S);
    assert_true(d->mean == 1.5e9); /* three seconds: not learnt */
    double limit = 8 * log(10) * 1.5;
    assert_false(detector_suspected(d, 4 * S + (int64_t)(limit * 1e9) - 10));
    assert_true(detector_suspected(d, 4 * S + (int64_t)(limit * 1e9) + 10));
    assert_true(fabs(detector_suspicion(d, 5 * S) - .434 / 1.5) < 1e-3);
    assert_false(detector_poll(d, 31 * S));
    assert_true(detector_suspected(d, 40 * S) && !detector_poll(d, 40 * S)); /* nine seconds since the last poll */
    assert_false(detector_poll(d, 44 * S));
    assert_true(detector_poll(d, 46 * S));
    detector_free(&d);
}

/* timeout = interval x nodes by name; a ping's timer runs from the oldest unanswered one. */
static void test_timeouts(void **state) {
    (void)state;
    struct detector *d = DETECTOR("timeout", "interval", "100ms", "nodes", "5");
    assert_false(detector_suspected(d, 100 * S));
    observe(d, S);
    assert_int_equal(d->deadline, S + 500 * MS);
    assert_true(detector_suspicion(d, S + 250 * MS) == 0.5);
    detector_free(&d);
    d = DETECTOR("polling", "timeout", "300ms");
    assert_int_equal(detector_ping(d, 0, NULL), QRT_OK);
    assert_int_equal(detector_ping(d, 200 * MS, NULL), QRT_OK);
    assert_true(!detector_suspected(d, 299 * MS) && detector_suspected(d, 300 * MS));
    observe(d, 400 * MS);
    assert_false(detector_suspected(d, 100 * S));
    detector_free(&d);
}

/* threshold = alpha x parameter + beta, lowered only `hysteresis` on the other side; steps and drifts. */
static void test_threshold_has_hysteresis(void **state) {
    (void)state;
    struct detector *d = DETECTOR("threshold", "alpha", "2", "parameter", "10", "beta", "5", "hysteresis", "3");
    static const struct {
        double sample;
        bool raised;
    } steps[] = {{24.9, false}, {25, true},    {24, true}, {22.1, true},
                 {22, false},   {24.9, false}, {30, true}, {-5, false}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(detector_observe(d, (int64_t)i, steps[i].sample, NULL), QRT_OK);
        assert_int_equal(detector_suspected(d, (int64_t)i), steps[i].raised);
    }
    assert_int_equal(detector_set_parameter(d, 1, NULL), QRT_OK); /* now 7 */
    assert_int_equal(detector_observe(d, 100, 8, NULL), QRT_OK);
    assert_true(detector_suspected(d, 100));
    unsigned changes = 0;
    bool last = false;
    for (int i = 0; i < 1000; i++) { /* a drift through the limit with a ripple smaller than the hysteresis */
        assert_int_equal(detector_observe(d, 200 + i, i * 0.014 + (i % 2 ? 1 : -1), NULL), QRT_OK);
        changes += d->raised != last;
        last = d->raised;
    }
    assert_int_equal(changes, 1);
    detector_free(&d);
    d = DETECTOR("threshold", "beta", "10", "below", "true");
    assert_int_equal(detector_observe(d, 0, 11, NULL), QRT_OK);
    assert_false(d->raised);
    assert_int_equal(detector_observe(d, 1, 9, NULL), QRT_OK);
    assert_true(d->raised && d->level > 1);
    detector_free(&d);
}

/* NFD-E's estimate: the mean of arrivals less their intervals; old and doubled heartbeats change nothing. */
static void test_nfd_e_estimates(void **state) {
    (void)state;
    struct detector *d = DETECTOR("nfd-e", "interval", "1", "shift", "100ms", "window", "4");
    static const double numbers[] = {3, 4, 6, 5, 6};
    static const int64_t times[] = {3 * S + 10 * MS, 4 * S + 30 * MS, 6 * S + 50 * MS, 6 * S + 60 * MS,
                                    6 * S + 70 * MS};
    for (int i = 0; i < 5; i++) assert_int_equal(detector_observe(d, times[i], numbers[i], NULL), QRT_OK);
    assert_int_equal(d->deadline, 7 * S + 30 * MS + 100 * MS);
    detector_free(&d);
}

struct heartbeats {
    int64_t *times;
    double *numbers;
    size_t count;
};

static int arrival_order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* `sent` heartbeats a second apart, lost and delayed (exponentially), in order of arrival. */
static struct heartbeats heartbeats_draw(uint64_t seed, size_t sent, double loss, double delay) {
    struct random random = random_stream(seed, 0, RANDOM_LINK);
    struct {
        int64_t time;
        double number;
    } *all = malloc(sent * sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < sent; i++) {
        bool lost = random_chance(&random, loss);
        double late = -delay * real_log(1 - random_unit(&random));
        if (lost) continue;
        all[count].time = (int64_t)i * S + real_to_ns(late);
        all[count++].number = (double)i;
    }
    qsort(all, count, sizeof *all, arrival_order);
    struct heartbeats h = {malloc(count * sizeof *h.times), malloc(count * sizeof *h.numbers), count};
    for (size_t i = 0; i < count; i++) h.times[i] = all[i].time, h.numbers[i] = all[i].number;
    free(all);
    return h;
}

static struct meter_quality quality_of(struct detector *d, const struct heartbeats *h, int64_t end) {
    struct meter m;
    struct error e = {0};
    meter_begin(&m, h->times[0], DETECTOR_NEVER);
    if (meter_run(&m, d, h->times, h->numbers, h->count, &e)) fail_msg("%s", e.text);
    assert_int_equal(meter_finish(&m, d, end, &e), QRT_OK);
    return meter_read(&m, end);
}

/* The closed form of NFD-S with exponential delays, and the meter over a simulation of it. */
static void test_nfd_attains_the_closed_form(void **state) {
    (void)state;
    static const struct {
        double shift, loss, delay, recurrence, duration, accuracy;
    } rows[] = {{1.0, .01, .02, 101.01, .0301, .999702},
                {.1, .01, .02, 60.59, .5659, .990660},
                {2.0, .1, .3, 83.16, .3453, .995848}};
    for (size_t i = 0; i < 3; i++) {
        struct meter_quality q;
        assert_int_equal(nfd_quality(1, rows[i].shift, rows[i].loss, rows[i].delay, &q, NULL), QRT_OK);
        assert_true(fabs(q.recurrence - rows[i].recurrence) < .005);
        assert_true(fabs(q.duration - rows[i].duration) < .00005);
        assert_true(fabs(q.accuracy - rows[i].accuracy) < .0000005);
        char shift[16];
        snprintf(shift, sizeof shift, "%.1f", rows[i].shift);
        struct heartbeats h = heartbeats_draw(7 + i, 1500000, rows[i].loss, rows[i].delay);
        struct detector *s = DETECTOR("nfd-s", "shift", shift), *estimating;
        struct meter_quality seen = quality_of(s, &h, 1500000 * S);
        if (fabs(seen.recurrence / q.recurrence - 1) > .03 || fabs(seen.duration / q.duration - 1) > .05 ||
            fabs(seen.accuracy - q.accuracy) > .05 * (1 - q.accuracy))
            fail_msg("row %zu: T_MR %.2f T_M %.4f P_A %.6f", i, seen.recurrence, seen.duration, seen.accuracy);
        /* NFD-E knows no sender's clock: the same quality at a shift less the mean delay. */
        snprintf(shift, sizeof shift, "%.3f", rows[i].shift - rows[i].delay);
        estimating = DETECTOR("nfd-e", "shift", shift);
        seen = quality_of(estimating, &h, 1500000 * S);
        if (fabs(seen.recurrence / q.recurrence - 1) > .06 || fabs(seen.duration / q.duration - 1) > .08)
            fail_msg("row %zu, estimating: T_MR %.2f T_M %.4f P_A %.6f", i, seen.recurrence, seen.duration,
                     seen.accuracy);
        detector_free(&s);
        detector_free(&estimating);
        free(h.times);
        free(h.numbers);
    }
}

/* Every kind notices a crash, and the meter finds it without sampling. */
static void test_meter_measures_a_crash(void **state) {
    (void)state;
    static const char *const kinds[] = {"timeout", "phi", "phi-exponential", "nfd-s", "nfd-e", "bertier"};
    struct heartbeats h = heartbeats_draw(3, 1000, 0, .02);
    for (size_t i = 0; i < 6; i++) {
        struct detector *d = DETECTOR_PLAIN(kinds[i]);
        struct meter m;
        meter_begin(&m, h.times[0], 1000 * S);
        assert_int_equal(meter_run(&m, d, h.times, h.numbers, h.count, NULL), QRT_OK);
        assert_int_equal(meter_finish(&m, d, 2000 * S, NULL), QRT_OK);
        struct meter_quality q = meter_read(&m, 2000 * S);
        if (!q.detected || !(q.detection >= 0 && q.detection < 25) || q.accuracy < .9)
            fail_msg("%s: detected %d after %.3f s, accuracy %.4f", kinds[i], q.detected, q.detection, q.accuracy);
        detector_free(&d);
    }
    free(h.times);
    free(h.numbers);
}

/* The meter's own arithmetic, by hand: mistakes 10-12 and 30-31, crash at 50, suspected for good at 53. */
static void test_meter_by_hand(void **state) {
    (void)state;
    struct meter m;
    static const struct {
        int64_t time;
        bool suspected;
    } opinions[] = {{10, true}, {11, true}, {12, false}, {30, true}, {31, false}, {51, true}, {52, false}, {53, true}};
    meter_begin(&m, 0, 50 * S);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(meter_opinion(&m, opinions[i].time * S, opinions[i].suspected, NULL), QRT_OK);
    struct meter_quality q = meter_read(&m, 100 * S);
    assert_int_equal(q.mistakes, 2);
    assert_true(q.detected && q.detection == 3 && q.recurrence == 20 && q.duration == 1.5);
    assert_true(fabs(q.accuracy - .94) < 1e-12 && fabs(q.rate - .04) < 1e-12);
    struct error e;
    assert_int_equal(meter_opinion(&m, 99 * S, true, &e), QRT_EINVAL);
}

/* Arrays at once are the single calls; a clone and a saved copy go on alike; fingerprints shift with time. */
static void test_detectors_batch_clone_save(void **state) {
    (void)state;
    for (int kind = 0; kind < DETECTOR_MIXTURE; kind++) {
        struct random random = random_stream((uint64_t)kind, 0, RANDOM_BENCH);
        struct detector *one = DETECTOR_PLAIN(detector_names[kind]), *many = detector_clone(one),
                        *later = detector_clone(one);
        int64_t times[300], shifted[300], time = 0;
        double values[300], suspicions[300];
        uint8_t suspected[300];
        for (int i = 0; i < 300; i++) {
            times[i] = time += random_between(&random, 0, 2 * S);
            shifted[i] = times[i] + 12345;
            values[i] = kind == DETECTOR_THRESHOLD ? random_unit(&random) * 2 : i + (double)random_below(&random, 3);
        }
        size_t done;
        if (kind == DETECTOR_NFD_S) later->options.origin_ns += 12345;
        assert_int_equal(detector_observe_many(many, times, values, 300, suspicions, suspected, &done, NULL), QRT_OK);
        assert_int_equal(detector_observe_many(later, shifted, values, 300, NULL, NULL, &done, NULL), QRT_OK);
        assert_int_equal(done, 300);
        for (int i = 0; i < 300; i++) {
            double before = detector_suspicion(one, times[i]);
            assert_int_equal(detector_observe(one, times[i], values[i], NULL), QRT_OK);
            if (kind == DETECTOR_THRESHOLD) before = detector_suspicion(one, times[i]);
            assert_true(before == suspicions[i]);
        }
        uint64_t print = detector_fingerprint(one, time);
        assert_true(print == detector_fingerprint(many, time) && print == detector_fingerprint(later, time + 12345));
        struct buffer saved = {0};
        struct detector *loaded;
        struct error e;
        assert_int_equal(detector_save(one, &saved, &e), QRT_OK);
        if (detector_load(bytes_of(saved.data, saved.size), &loaded, &e))
            fail_msg("%s: %s", detector_names[kind], e.text);
        assert_true(print == detector_fingerprint(loaded, time));
        assert_int_equal(detector_observe(loaded, time + S, 301, NULL), QRT_OK);
        assert_int_equal(detector_observe(one, time + S, 301, NULL), QRT_OK);
        assert_true(detector_suspicion(loaded, time + 3 * S) == detector_suspicion(one, time + 3 * S));
        assert_true(detector_fingerprint(loaded, time + S) == detector_fingerprint(one, time + S));
        for (size_t i = 0; i < saved.size; i += 7) { /* damage and truncation are noticed */
            struct detector *none = NULL;
            assert_int_equal(detector_load(bytes_of(saved.data, i), &none, &e), QRT_ECORRUPT);
            saved.data[i] ^= 16;
            assert_int_equal(detector_load(bytes_of(saved.data, saved.size), &none, &e), QRT_ECORRUPT);
            saved.data[i] ^= 16;
        }
        buffer_free(&saved);
        detector_free(&one);
        detector_free(&many);
        detector_free(&later);
        detector_free(&loaded);
    }
}

/* Bad input is refused with a sentence and changes nothing. */
static void test_detectors_refuse_bad_input(void **state) {
    (void)state;
    struct error e = {0};
    enum detector_kind kind;
    assert_int_equal(detector_kind_of("phy", &kind, &e), QRT_ENOTFOUND);
    assert_non_null(strstr(e.text, "did you mean 'phi'"));
    struct detector *d = DETECTOR_PLAIN("phi");
    observe(d, 5 * S);
    uint64_t print = detector_fingerprint(d, 6 * S);
    assert_int_equal(detector_observe(d, 4 * S, 0, &e), QRT_EINVAL);
    assert_string_equal(e.text, "time runs backwards: 4.000000000 s comes after 5.000000000 s");
    assert_int_equal(detector_observe(d, INT64_MAX, 0, &e), QRT_ERANGE);
    assert_int_equal(detector_observe(d, INT64_MIN, 0, &e), QRT_EINVAL);
    assert_int_equal(detector_observe_vector(d, 6 * S, (double[]){1}, 1, &e), QRT_EINVAL);
    assert_int_equal(detector_ping(d, 6 * S, &e), QRT_EINVAL);
    assert_true(print == detector_fingerprint(d, 6 * S));
    assert_true(isfinite(detector_suspicion(d, INT64_MAX)) &&
                detector_suspicion(d, INT64_MIN) == detector_suspicion(d, 5 * S));
    int64_t times[] = {6 * S, 7 * S, 6 * S, 8 * S};
    size_t done;
    assert_int_equal(detector_observe_many(d, times, NULL, 4, NULL, NULL, &done, &e), QRT_EINVAL);
    assert_int_equal(done, 2);
    struct detector_options options = d->options;
    options.window = 0;
    struct detector *none;
    assert_int_equal(detector_new(DETECTOR_PHI, &options, NULL, &none, &e), QRT_ERANGE);
    assert_int_equal(detector_new(DETECTOR_MIXTURE, &options, NULL, &none, &e), QRT_EINVAL);
    detector_free(&d);
    d = DETECTOR_PLAIN("threshold");
    assert_int_equal(detector_observe(d, 0, NAN, &e), QRT_EINVAL);
    assert_int_equal(detector_observe(d, 0, INFINITY, &e), QRT_EINVAL);
    detector_free(&d);
    d = DETECTOR_PLAIN("nfd-e");
    static const double wrong[] = {-1, 0.5, 1e13, INFINITY};
    for (int i = 0; i < 4; i++) assert_int_equal(detector_observe(d, 0, wrong[i], &e), QRT_ERANGE);
    assert_int_equal(detector_observe(d, 0, 1e12, &e), QRT_ERANGE); /* 1e12 seconds */
    detector_free(&d);
    struct meter_quality q;
    assert_int_equal(nfd_quality(0, 1, 0, 1, &q, &e), QRT_ERANGE);
    assert_int_equal(nfd_quality(1, 1, 1, 1, &q, &e), QRT_ERANGE);
}

/* Any bytes and any times: refused or taken, never a crash (run under the sanitizers). */
static void test_detectors_survive_noise(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random random = random_stream(seed, 1, RANDOM_BENCH);
        struct detector *d = DETECTOR_PLAIN(detector_names[seed % DETECTOR_MIXTURE]);
        for (int i = 0; i < 100; i++) {
            int64_t time = (int64_t)random_u64(&random) >> random_below(&random, 64);
            double value;
            uint64_t bits = random_u64(&random);
            memcpy(&value, &bits, sizeof value);
            (void)detector_observe(
                d, time, random_chance(&random, .5) ? value : (double)(bits >> random_below(&random, 64)), NULL);
            (void)detector_poll(d, (int64_t)random_u64(&random));
            double suspicion = detector_suspicion(d, (int64_t)random_u64(&random));
            if (suspicion != suspicion) fail_msg("seed %llu: suspicion is NaN", (unsigned long long)seed);
        }
        detector_free(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phi_vectors),
        cmocka_unit_test(test_window_is_exact),
        cmocka_unit_test(test_phi_deadline_is_the_threshold),
        cmocka_unit_test(test_phi_learns_as_akka),
        cmocka_unit_test(test_phi_exponential_as_cassandra),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_threshold_has_hysteresis),
        cmocka_unit_test(test_nfd_e_estimates),
        cmocka_unit_test(test_nfd_attains_the_closed_form),
        cmocka_unit_test(test_meter_measures_a_crash),
        cmocka_unit_test(test_meter_by_hand),
        cmocka_unit_test(test_detectors_batch_clone_save),
        cmocka_unit_test(test_detectors_refuse_bad_input),
        cmocka_unit_test(test_detectors_survive_noise),
    };
    return cmocka_run_group_tests_name("failure detectors", tests, NULL, NULL);
}
