/* The Gaussian mixture: scikit-learn's numbers from shared initial parameters, and what it must refuse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "detect/detector.h"

enum { SAMPLES = 600 };

/* Three clusters from a linear congruential generator, so that any language makes the same samples. */
static void samples_draw(double *samples) {
    static const double shift[] = {0, 4, 1}, scale[] = {1, .5, 2}, rise[] = {0, 3, -5};
    uint64_t x = 12345;
    for (int i = 0; i < SAMPLES; i++) {
        double *s = samples + 2 * i;
        for (int j = 0; j < 2; j++) {
            double sum = 0;
            for (int k = 0; k < 4; k++) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                sum += (double)(x >> 11) * 0x1p-53;
            }
            s[j] = sum - 2.0;
        }
        s[0] += shift[i % 3];
        s[1] = s[1] * scale[i % 3] + rise[i % 3] + .5 * s[0];
    }
}

static struct mixture *mixture_start(bool diagonal) {
    static const double weights[] = {.2, .3, .5}, means[] = {0, 0, 3, 3, 1, -3};
    static const double full[] = {1, 0, 0, 1, 2, 0, 0, 2, .5, 0, 0, .5}, diagonals[] = {1, 1, 2, 2, .5, .5};
    struct mixture *m;
    assert_int_equal(mixture_new(3, 2, diagonal, &m, NULL), QRT_OK);
    assert_int_equal(mixture_set(m, weights, means, diagonal ? diagonals : full, NULL), QRT_OK);
    return m;
}

/* scikit-learn 1.9.1, GaussianMixture(3, weights_init, means_init, precisions_init).fit(X): iterations, lower
 * bound, score, score_samples of the first four, weights. */
static void test_mixture_is_scikit_learns(void **state) {
    (void)state;
    static const struct {
        double bound, score, first[4], weights[3];
    } expected[2] = {{-2.892012392344318,
                      -2.892012352299876,
                      {-1.8824604949010928, -2.485246936704047, -4.287605259297529, -2.0610237360104104},
                      {0.33292699691399075, 0.3333333333167556, 0.3337396697692536}},
                     {-3.0822811988906142,
                      -3.0822811305557063,
                      {-1.9789865707014755, -3.0778929585160966, -4.399137709883504, -2.0739112514381017},
                      {0.33214687158619277, 0.33333333333259296, 0.3345197950812142}}};
    double samples[2 * SAMPLES], scores[SAMPLES], total = 0;
    samples_draw(samples);
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        struct mixture *m = mixture_start(diagonal);
        assert_int_equal(mixture_train(m, samples, SAMPLES, &MIXTURE_FIT_DEFAULTS, NULL), QRT_OK);
        assert_int_equal(m->iterations, 4);
        assert_true(m->converged && fabs(m->log_likelihood - expected[diagonal].bound) < 1e-9);
        assert_int_equal(mixture_score(m, samples, SAMPLES, scores, NULL), QRT_OK);
        total = 0;
        for (int i = 0; i < SAMPLES; i++) total += scores[i] / SAMPLES;
        assert_true(fabs(total - expected[diagonal].score) < 1e-9);
        for (int i = 0; i < 4; i++) assert_true(fabs(scores[i] - expected[diagonal].first[i]) < 1e-9);
        for (int k = 0; k < 3; k++) assert_true(fabs(mixture_weights(m)[k] - expected[diagonal].weights[k]) < 1e-9);
        mixture_free(&m);
    }
}

/* predict_proba of the first sample for component 2, and the labels' arithmetic. */
static void test_mixture_failure_probability(void **state) {
    (void)state;
    double samples[2 * SAMPLES], p;
    samples_draw(samples);
    struct mixture *m = mixture_start(false);
    assert_int_equal(mixture_train(m, samples, SAMPLES, &MIXTURE_FIT_DEFAULTS, NULL), QRT_OK);
    assert_int_equal(mixture_failure(m, samples, 1, &p, NULL), QRT_OK);
    assert_true(p == 0);
    assert_int_equal(mixture_label(m, 2, true, NULL), QRT_OK);
    assert_int_equal(mixture_failure(m, samples, 1, &p, NULL), QRT_OK);
    assert_true(fabs(p - 1.6808198085060415e-05) < 1e-12);
    for (uint32_t k = 0; k < 3; k++) assert_int_equal(mixture_label(m, k, true, NULL), QRT_OK);
    assert_int_equal(mixture_failure(m, samples, 1, &p, NULL), QRT_OK);
    assert_true(fabs(p - 1) < 1e-12);
    uint8_t failed[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) failed[i] = i % 3 == 1; /* the cluster of component 1 */
    assert_int_equal(mixture_label_by(m, samples, failed, SAMPLES, NULL), QRT_OK);
    assert_true(!mixture_failed(m, 0) && mixture_failed(m, 1) && !mixture_failed(m, 2));
    struct detector *d;
    struct detector_options options = {0};
    option_defaults(&detector_tables[DETECTOR_MIXTURE], &options);
    assert_int_equal(detector_new(DETECTOR_MIXTURE, &options, m, &d, NULL), QRT_OK);
    unsigned right = 0;
    for (int i = 0; i < SAMPLES; i++) {
        assert_int_equal(detector_observe_vector(d, i, samples + 2 * i, 2, NULL), QRT_OK);
        right += detector_suspected(d, i) == failed[i];
    }
    assert_true(right > 590);
    struct detector *copy = detector_clone(d);
    assert_true(detector_fingerprint(copy, SAMPLES) == detector_fingerprint(d, SAMPLES));
    detector_free(&copy);
    detector_free(&d);
    mixture_free(&m);
}

/* The k-means start finds well separated clusters from any seed. */
static void test_mixture_starts_from_clusters(void **state) {
    (void)state;
    double samples[900];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random random = random_stream(seed, 0, RANDOM_BENCH);
        for (int i = 0; i < 900; i++) samples[i] = (i % 3) * 100 + random_unit(&random);
        struct mixture *m;
        struct mixture_fit fit = MIXTURE_FIT_DEFAULTS;
        fit.seed = seed;
        assert_int_equal(mixture_new(3, 1, seed % 2, &m, NULL), QRT_OK);
        assert_int_equal(mixture_train(m, samples, 900, &fit, NULL), QRT_OK);
        double product = 1;
        for (int k = 0; k < 3; k++) product *= mixture_means(m)[k];
        if (fabs(product / (.5 * 100.5 * 200.5) - 1) > .2)
            fail_msg("seed %llu: means %g %g %g", (unsigned long long)seed, mixture_means(m)[0], mixture_means(m)[1],
                     mixture_means(m)[2]);
        mixture_free(&m);
    }
}

/* Bad input is refused with a reason, and the parameters stay. */
static void test_mixture_refuses_bad_input(void **state) {
    (void)state;
    struct error e = {0};
    struct mixture *m = NULL;
    double line[20], score;
    assert_int_equal(mixture_new(0, 2, false, &m, &e), QRT_ERANGE);
    assert_int_equal(mixture_new(1, 0, false, &m, &e), QRT_ERANGE);
    assert_int_equal(mixture_new(1000, 2, false, &m, &e), QRT_ERANGE);
    assert_int_equal(mixture_new(2, 2, false, &m, NULL), QRT_OK);
    assert_int_equal(mixture_score(m, (double[]){1, 1}, 1, &score, &e), QRT_EINVAL);
    struct mixture_fit plain = MIXTURE_FIT_DEFAULTS;
    plain.regularisation = 0;
    for (int i = 0; i < 20; i++) line[i] = i / 2; /* both dimensions equal: singular */
    assert_int_equal(mixture_train(m, line, 10, &plain, &e), QRT_ERANGE);
    assert_non_null(strstr(e.text, "singular"));
    assert_int_equal(mixture_train(m, line, 1, &MIXTURE_FIT_DEFAULTS, &e), QRT_EINVAL);
    line[3] = NAN;
    assert_int_equal(mixture_train(m, line, 10, &MIXTURE_FIT_DEFAULTS, &e), QRT_EINVAL);
    assert_string_equal(e.text, "sample 1, dimension 1 is NaN: a mixture needs finite numbers");
    assert_false(m->fitted);
    mixture_free(&m);
    m = mixture_start(false);
    uint64_t print = mixture_fingerprint(m);
    double weights[] = {.2, .3, .5}, means[6] = {0}, covariances[12] = {1, 0, 0, 1, 1, 2, 2, 1, 1, 0, 0, 1};
    assert_int_equal(mixture_set(m, weights, means, covariances, &e), QRT_ERANGE); /* not positive definite */
    covariances[5] = 0;
    assert_int_equal(mixture_set(m, weights, means, covariances, &e), QRT_EINVAL); /* not symmetric */
    covariances[6] = 0;
    weights[0] = 0;
    assert_int_equal(mixture_set(m, weights, means, covariances, &e), QRT_ERANGE);
    weights[0] = .3;
    assert_int_equal(mixture_set(m, weights, means, covariances, &e), QRT_ERANGE); /* sum 1.1 */
    assert_int_equal(mixture_label(m, 3, true, &e), QRT_ERANGE);
    assert_true(print == mixture_fingerprint(m));
    weights[0] = .2;
    assert_int_equal(mixture_set(m, weights, means, covariances, &e), QRT_OK);
    mixture_free(&m);
}

/* All samples alike, and fewer distinct samples than components: regularised, not crashed. */
static void test_mixture_survives_constants(void **state) {
    (void)state;
    double same[40];
    struct mixture *m;
    for (int i = 0; i < 40; i++) same[i] = 7;
    assert_int_equal(mixture_new(4, 2, false, &m, NULL), QRT_OK);
    assert_int_equal(mixture_train(m, same, 20, &MIXTURE_FIT_DEFAULTS, NULL), QRT_OK);
    assert_true(isfinite(m->log_likelihood));
    mixture_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixture_is_scikit_learns),     cmocka_unit_test(test_mixture_failure_probability),
        cmocka_unit_test(test_mixture_starts_from_clusters), cmocka_unit_test(test_mixture_refuses_bad_input),
        cmocka_unit_test(test_mixture_survives_constants),
    };
    return cmocka_run_group_tests_name("mixture", tests, NULL, NULL);
}
