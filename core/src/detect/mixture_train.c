/* Expectation maximisation and its k-means start (k-means++ seeding, Arthur and Vassilvitskii 2007; Lloyd's
 * iterations). The order of every sum is fixed, so that a fit has the same bits on every machine. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/real.h"
#include "detect/mixture_parts.h"

#define RESPONSIBILITIES_MAX ((size_t)1 << 28) /* 2 GiB of doubles */

struct data {
    const double *samples;
    size_t count;
    uint32_t d, k;
};

static double gap_squared(const double *a, const double *b, uint32_t d) {
    double sum = 0;
    for (uint32_t i = 0; i < d; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Draws a sample with a chance in proportion to its gap; any sample when all gaps are 0. */
static size_t sample_draw(const double *gaps, size_t count, struct random *random) {
    double total = 0;
    for (size_t i = 0; i < count; i++) total += gaps[i];
    if (!(total > 0)) return (size_t)random_below(random, count);
    double left = random_unit(random) * total;
    for (size_t i = 0; i < count; i++) {
        left -= gaps[i];
        if (left < 0 && gaps[i] > 0) return i;
    }
    return count - 1;
}

static void centres_seed(const struct data *data, double *centres, double *gaps, struct random *random) {
    uint32_t d = data->d;
    size_t chosen = (size_t)random_below(random, data->count);
    for (uint32_t k = 0; k < data->k; k++) {
        double *centre = centres + (size_t)k * d;
        memcpy(centre, data->samples + chosen * d, d * sizeof *centre);
        for (size_t i = 0; i < data->count; i++) {
            double gap = gap_squared(data->samples + i * d, centre, d);
            if (k == 0 || gap < gaps[i]) gaps[i] = gap;
        }
        chosen = sample_draw(gaps, data->count, random);
    }
}

/* Assigns every sample to its nearest centre; true when an assignment changed. */
static bool centres_assign(const struct data *data, const double *centres, uint32_t *owner, double *gaps) {
    bool changed = false;
    for (size_t i = 0; i < data->count; i++) {
        uint32_t best = 0;
        for (uint32_t k = 0; k < data->k; k++) {
            double gap = gap_squared(data->samples + i * data->d, centres + (size_t)k * data->d, data->d);
            if (k && !(gap < gaps[i])) continue;
            gaps[i] = gap;
            best = k;
        }
        changed |= owner[i] != best;
        owner[i] = best;
    }
    return changed;
}

/* Moves every centre to the mean of its samples; one without samples to the sample farthest from its centre.
 */
static void centres_move(const struct data *data, double *centres, const uint32_t *owner, double *gaps) {
    uint32_t d = data->d;
    for (uint32_t k = 0; k < data->k; k++) {
        double *centre = centres + (size_t)k * d;
        size_t members = 0, farthest = 0;
        memset(centre, 0, d * sizeof *centre);
        for (size_t i = 0; i < data->count; i++) {
            if (gaps[i] > gaps[farthest]) farthest = i;
            if (owner[i] != k) continue;
            members++;
            for (uint32_t j = 0; j < d; j++) centre[j] += data->samples[i * d + j];
        }
        for (uint32_t j = 0; members && j < d; j++) centre[j] /= (double)members;
        if (members) continue;
        memcpy(centre, data->samples + farthest * d, d * sizeof *centre);
        gaps[farthest] = 0;
    }
}

/* Responsibilities of the k-means start: 1 for the sample's cluster. */
static void start_by_clusters(const struct data *data, uint64_t seed, double *responsibilities) {
    struct random random = random_stream(seed, 0, RANDOM_CONFIG);
    double *centres = mem_alloc((size_t)data->k * data->d * sizeof *centres);
    double *gaps = mem_alloc(data->count * sizeof *gaps);
    uint32_t *owner = mem_zero(data->count, sizeof *owner);
    centres_seed(data, centres, gaps, &random);
    for (int i = 0; centres_assign(data, centres, owner, gaps) && i < 100; i++)
        centres_move(data, centres, owner, gaps);
    memset(responsibilities, 0, data->count * data->k * sizeof *responsibilities);
    for (size_t i = 0; i < data->count; i++) responsibilities[i * data->k + owner[i]] = 1;
    free(centres);
    free(gaps);
    free(owner);
}

/* The mean log-likelihood; responsibilities by the way. */
static double expectation(const struct mixture *m, const struct data *data, double *responsibilities) {
    double total = 0;
    for (size_t i = 0; i < data->count; i++) {
        double *row = responsibilities + i * data->k;
        double likelihood = mixture_logs(m, data->samples + i * data->d, row);
        for (uint32_t k = 0; k < data->k; k++) row[k] = real_exp(row[k] - likelihood);
        total += likelihood;
    }
    return total / (double)data->count;
}

static void covariance_of(const struct mixture *m, const struct data *data, uint32_t k, const double *responsibilities,
                          double mass, double regularisation) {
    uint32_t d = data->d;
    const double *mean = mixture_means(m) + (size_t)k * d;
    double *c = mixture_covariances(m) + k * mixture_block(m), centred[MIXTURE_DIMENSIONS_MAX];
    memset(c, 0, mixture_block(m) * sizeof *c);
    for (size_t n = 0; n < data->count; n++) {
        double share = responsibilities[n * data->k + k];
        for (uint32_t i = 0; i < d; i++) {
            centred[i] = data->samples[n * d + i] - mean[i];
            if (m->diagonal) c[i] += share * centred[i] * centred[i];
            for (uint32_t j = 0; !m->diagonal && j <= i; j++) c[i * d + j] += share * centred[i] * centred[j];
        }
    }
    for (uint32_t i = 0; i < d; i++) {
        if (m->diagonal) c[i] = c[i] / mass + regularisation;
        for (uint32_t j = 0; !m->diagonal && j <= i; j++)
            c[j * d + i] = c[i * d + j] = c[i * d + j] / mass + (i == j ? regularisation : 0);
    }
}

/* scikit-learn adds 10 epsilons to a component's mass, so that none divides by zero; so it is here. */
static qrt_status maximisation(struct mixture *m, const struct data *data, const double *responsibilities,
                               double regularisation, struct error *e) {
    uint32_t d = data->d;
    double total = 0;
    for (uint32_t k = 0; k < data->k; k++) {
        double mass = 10 * 2.220446049250313e-16, *mean = mixture_means(m) + (size_t)k * d;
        memset(mean, 0, d * sizeof *mean);
        for (size_t n = 0; n < data->count; n++) {
            double share = responsibilities[n * data->k + k];
            mass += share;
            for (uint32_t i = 0; i < d; i++) mean[i] += share * data->samples[n * d + i];
        }
        for (uint32_t i = 0; i < d; i++) mean[i] /= mass;
        covariance_of(m, data, k, responsibilities, mass, regularisation);
        mixture_weights(m)[k] = mass;
        total += mass;
    }
    for (uint32_t k = 0; k < data->k; k++) mixture_weights(m)[k] /= total;
    return mixture_prepare(m, e);
}

static qrt_status train(struct mixture *m, const struct data *data, const struct mixture_fit *fit,
                        double *responsibilities, struct error *e) {
    qrt_status status = QRT_OK;
    if (!m->fitted) {
        start_by_clusters(data, fit->seed, responsibilities);
        status = maximisation(m, data, responsibilities, fit->regularisation, e);
    }
    m->converged = false;
    double previous = 0;
    for (m->iterations = 0; !status && !m->converged && m->iterations < fit->iterations_max; m->iterations++) {
        m->log_likelihood = expectation(m, data, responsibilities);
        status = maximisation(m, data, responsibilities, fit->regularisation, e);
        double change = m->log_likelihood - previous;
        m->converged = m->iterations && change < fit->tolerance && -change < fit->tolerance;
        previous = m->log_likelihood;
    }
    return status;
}

static qrt_status fit_validate(const struct mixture *m, const double *samples, size_t count,
                               const struct mixture_fit *fit, struct error *e) {
    if (count < m->components)
        return error_set(e, QRT_EINVAL,
                         "%zu samples cannot be fitted by %u components: at least as many samples "
                         "are needed",
                         count, m->components);
    if (count > RESPONSIBILITIES_MAX / m->components / m->dimensions)
        return error_set(e, QRT_ETOOLARGE, "%zu samples of %u dimensions and %u components are too many: at most %zu",
                         count, m->dimensions, m->components, RESPONSIBILITIES_MAX / m->components / m->dimensions);
    if (!(fit->regularisation >= 0) || !(fit->tolerance >= 0) || fit->regularisation > 1e300)
        return error_set(e, QRT_ERANGE, "regularisation and tolerance must not be negative (they are %g and %g)",
                         fit->regularisation, fit->tolerance);
    if (!fit->iterations_max) return error_set(e, QRT_ERANGE, "a fit needs at least one iteration");
    return samples_validate(samples, count, m->dimensions, "sample", e);
}

qrt_status mixture_train(struct mixture *m, const double *samples, size_t count, const struct mixture_fit *fit,
                         struct error *e) {
    qrt_status status = fit_validate(m, samples, count, fit, e);
    if (status) return status;
    struct data data = {samples, count, m->dimensions, m->components};
    struct mixture *trial = mixture_clone(m);
    double *responsibilities = mem_alloc(count * m->components * sizeof *responsibilities);
    status = train(trial, &data, fit, responsibilities, e);
    if (!status) mixture_assign(m, trial);
    free(responsibilities);
    mixture_free(&trial);
    return status;
}
