/* The mixture's parameters and what is computed from them; training is in mixture_train.c. */
#include "detect/mixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/real.h"
#include "detect/mixture_parts.h"

static const double HALF_LOG_TAU = 0.91893853320467274178; /* log(2 pi) / 2 */

/* Doubles in a mixture's memory. */
static size_t mixture_size(uint32_t k, uint32_t d, bool diagonal) {
    size_t c = diagonal ? d : (size_t)d * d;
    return (size_t)k * (3 + d + 2 * c);
}

double *mixture_weights(const struct mixture *m) {
    return (double *)m->memory;
}
double *mixture_means(const struct mixture *m) {
    return mixture_weights(m) + m->components;
}
double *mixture_covariances(const struct mixture *m) {
    return mixture_means(m) + (size_t)m->components * m->dimensions;
}
static double *mixture_factors(const struct mixture *m) {
    return mixture_covariances(m) + m->components * mixture_block(m);
}
static double *mixture_constants(const struct mixture *m) {
    return mixture_factors(m) + m->components * mixture_block(m);
}
static double *mixture_labels(const struct mixture *m) {
    return mixture_constants(m) + m->components;
}
bool mixture_failed(const struct mixture *m, uint32_t component) {
    return mixture_labels(m)[component] != 0;
}

qrt_status mixture_new(uint32_t components, uint32_t dimensions, bool diagonal, struct mixture **out, struct error *e) {
    if (!components || components > MIXTURE_COMPONENTS_MAX)
        return error_set(e, QRT_ERANGE, "a mixture has between 1 and %d components, not %u", MIXTURE_COMPONENTS_MAX,
                         components);
    if (!dimensions || dimensions > MIXTURE_DIMENSIONS_MAX)
        return error_set(e, QRT_ERANGE, "a mixture has between 1 and %d dimensions, not %u", MIXTURE_DIMENSIONS_MAX,
                         dimensions);
    size_t doubles = mixture_size(components, dimensions, diagonal);
    struct mixture *m = mem_zero(1, sizeof *m + doubles * sizeof *m->memory);
    m->components = components;
    m->dimensions = dimensions;
    m->diagonal = diagonal;
    *out = m;
    return QRT_OK;
}

void mixture_free(struct mixture **m) {
    if (!m) return;
    free(*m);
    *m = NULL;
}

struct mixture *mixture_clone(const struct mixture *m) {
    size_t doubles = mixture_size(m->components, m->dimensions, m->diagonal);
    return mem_copy(m, sizeof *m + doubles * sizeof *m->memory);
}

/* The Cholesky factor of a (d x d, lower part read) into l; false when a is not positive definite. */
static bool cholesky(const double *a, double *l, uint32_t d) {
    for (uint32_t i = 0; i < d; i++) {
        for (uint32_t j = 0; j <= i; j++) {
            double sum = a[i * d + j];
            for (uint32_t k = 0; k < j; k++) sum -= l[i * d + k] * l[j * d + k];
            if (i != j) {
                l[i * d + j] = sum / l[j * d + j];
                continue;
            }
            if (!(sum > 0) || sum - sum != 0) return false;
            l[i * d + i] = real_sqrt(sum);
        }
    }
    return true;
}

/* The inverse of a lower triangular matrix, column by column. */
static void triangle_invert(const double *l, double *inverse, uint32_t d) {
    memset(inverse, 0, (size_t)d * d * sizeof *inverse);
    for (uint32_t j = 0; j < d; j++) {
        inverse[j * d + j] = 1 / l[j * d + j];
        for (uint32_t i = j + 1; i < d; i++) {
            double sum = 0;
            for (uint32_t k = j; k < i; k++) sum -= l[i * d + k] * inverse[k * d + j];
            inverse[i * d + j] = sum / l[i * d + i];
        }
    }
}

static bool component_factor(struct mixture *m, uint32_t component) {
    uint32_t d = m->dimensions;
    size_t block = mixture_block(m);
    const double *covariance = mixture_covariances(m) + component * block;
    double *factor = mixture_factors(m) + component * block, logs = 0;
    double lower[MIXTURE_DIMENSIONS_MAX * MIXTURE_DIMENSIONS_MAX];
    if (m->diagonal) {
        for (uint32_t i = 0; i < d; i++) {
            if (!(covariance[i] > 0) || covariance[i] - covariance[i] != 0) return false;
            factor[i] = 1 / real_sqrt(covariance[i]);
            logs += real_log(factor[i]);
        }
    } else {
        if (!cholesky(covariance, lower, d)) return false;
        triangle_invert(lower, factor, d);
        for (uint32_t i = 0; i < d; i++) logs += real_log(factor[i * d + i]);
    }
    mixture_constants(m)[component] = real_log(mixture_weights(m)[component]) + logs - d * HALF_LOG_TAU;
    return logs - logs == 0;
}

qrt_status mixture_prepare(struct mixture *m, struct error *e) {
    for (uint32_t k = 0; k < m->components; k++)
        if (!component_factor(m, k))
            return error_set(e, QRT_ERANGE,
                             "component %u of the mixture: its covariance is singular (not positive definite); "
                             "give more samples, fewer components or dimensions, or a larger regularisation",
                             k);
    m->fitted = true;
    return QRT_OK;
}

static qrt_status weights_validate(const struct mixture *m, const double *weights, struct error *e) {
    double sum = 0;
    for (uint32_t k = 0; k < m->components; k++) {
        if (!(weights[k] > 0) || weights[k] > 1)
            return error_set(e, QRT_ERANGE, "component %u: a weight lies above 0 and at most at 1, not at %g", k,
                             weights[k]);
        sum += weights[k];
    }
    if (sum < 1 - 1e-6 || sum > 1 + 1e-6)
        return error_set(e, QRT_ERANGE, "the weights of a mixture sum to 1, not to %.9g", sum);
    return QRT_OK;
}

static qrt_status covariances_validate(const struct mixture *m, const double *covariances, struct error *e) {
    uint32_t d = m->dimensions;
    for (uint32_t k = 0; !m->diagonal && k < m->components; k++)
        for (uint32_t i = 0; i < d; i++)
            for (uint32_t j = 0; j < i; j++) {
                const double *c = covariances + (size_t)k * d * d;
                double gap = c[i * d + j] - c[j * d + i], scale = c[i * d + i] + c[j * d + j];
                if (!(gap <= 1e-9 * scale) || !(-gap <= 1e-9 * scale))
                    return error_set(e, QRT_EINVAL,
                                     "component %u: a covariance is symmetric, but (%u,%u) is %g and "
                                     "(%u,%u) is %g",
                                     k, i, j, c[i * d + j], j, i, c[j * d + i]);
            }
    return QRT_OK;
}

qrt_status mixture_set(struct mixture *m, const double *weights, const double *means, const double *covariances,
                       struct error *e) {
    qrt_status status = weights_validate(m, weights, e);
    if (!status) status = samples_validate(means, m->components, m->dimensions, "mean", e);
    if (!status) status = covariances_validate(m, covariances, e);
    if (status) return status;
    struct mixture *trial = mixture_clone(m);
    memcpy(mixture_weights(trial), weights, m->components * sizeof *weights);
    memcpy(mixture_means(trial), means, (size_t)m->components * m->dimensions * sizeof *means);
    memcpy(mixture_covariances(trial), covariances, m->components * mixture_block(m) * sizeof *covariances);
    status = mixture_prepare(trial, e);
    if (!status) mixture_assign(m, trial);
    mixture_free(&trial);
    return status;
}

void mixture_assign(struct mixture *m, const struct mixture *from) {
    memcpy(m, from, sizeof *m + mixture_size(m->components, m->dimensions, m->diagonal) * sizeof *m->memory);
}

qrt_status samples_validate(const double *samples, size_t count, uint32_t dimensions, const char *what,
                            struct error *e) {
    for (size_t i = 0; i < count * dimensions; i++)
        if (samples[i] - samples[i] != 0)
            return error_set(e, QRT_EINVAL, "%s %zu, dimension %zu is %s: a mixture needs finite numbers", what,
                             i / dimensions, i % dimensions, samples[i] != samples[i] ? "NaN" : "infinite");
    return QRT_OK;
}

static double distance_squared(const struct mixture *m, uint32_t component, const double *sample) {
    uint32_t d = m->dimensions;
    const double *mean = mixture_means(m) + (size_t)component * d;
    const double *factor = mixture_factors(m) + component * mixture_block(m);
    double centred[MIXTURE_DIMENSIONS_MAX], squares = 0;
    for (uint32_t i = 0; i < d; i++) centred[i] = sample[i] - mean[i];
    for (uint32_t i = 0; i < d; i++) {
        double row = 0;
        if (m->diagonal)
            row = factor[i] * centred[i];
        else
            for (uint32_t j = 0; j <= i; j++) row += factor[i * d + j] * centred[j];
        squares += row * row;
    }
    return squares;
}

double mixture_logs(const struct mixture *m, const double *sample, double *logs) {
    double most = 0, sum = 0;
    for (uint32_t k = 0; k < m->components; k++) {
        logs[k] = mixture_constants(m)[k] - 0.5 * distance_squared(m, k, sample);
        if (k == 0 || logs[k] > most) most = logs[k];
    }
    for (uint32_t k = 0; k < m->components; k++) sum += real_exp(logs[k] - most);
    return most + real_log(sum);
}

static qrt_status ready_validate(const struct mixture *m, const double *samples, size_t count, struct error *e) {
    if (!m->fitted)
        return error_set(e, QRT_EINVAL, "the mixture has no parameters yet: fit it to samples, or set them");
    return samples_validate(samples, count, m->dimensions, "sample", e);
}

qrt_status mixture_score(const struct mixture *m, const double *samples, size_t count, double *scores,
                         struct error *e) {
    double logs[MIXTURE_COMPONENTS_MAX];
    qrt_status status = ready_validate(m, samples, count, e);
    for (size_t i = 0; !status && i < count; i++) scores[i] = mixture_logs(m, samples + i * m->dimensions, logs);
    return status;
}

qrt_status mixture_label(struct mixture *m, uint32_t component, bool failed, struct error *e) {
    if (component >= m->components)
        return error_set(e, QRT_ERANGE, "there is no component %u: the mixture has %u, numbered from 0", component,
                         m->components);
    mixture_labels(m)[component] = failed;
    return QRT_OK;
}

qrt_status mixture_label_by(struct mixture *m, const double *samples, const uint8_t *failed, size_t count,
                            struct error *e) {
    double logs[MIXTURE_COMPONENTS_MAX], balance[MIXTURE_COMPONENTS_MAX] = {0};
    qrt_status status = ready_validate(m, samples, count, e);
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        double total = mixture_logs(m, samples + i * m->dimensions, logs);
        for (uint32_t k = 0; k < m->components; k++) balance[k] += (failed[i] ? 1 : -1) * real_exp(logs[k] - total);
    }
    for (uint32_t k = 0; k < m->components; k++) mixture_labels(m)[k] = balance[k] > 0;
    return QRT_OK;
}

qrt_status mixture_failure(const struct mixture *m, const double *samples, size_t count, double *probabilities,
                           struct error *e) {
    double logs[MIXTURE_COMPONENTS_MAX];
    qrt_status status = ready_validate(m, samples, count, e);
    for (size_t i = 0; !status && i < count; i++) {
        double total = mixture_logs(m, samples + i * m->dimensions, logs), failure = 0;
        for (uint32_t k = 0; k < m->components; k++)
            if (mixture_labels(m)[k] != 0) failure += real_exp(logs[k] - total);
        probabilities[i] = failure < 1 ? failure : 1;
    }
    return status;
}

uint64_t mixture_fingerprint(const struct mixture *m) {
    uint64_t shape = (uint64_t)m->components << 32 | m->dimensions << 2 | (uint64_t)m->diagonal << 1 | m->fitted;
    size_t doubles = mixture_size(m->components, m->dimensions, m->diagonal);
    return hash_bytes(m->memory, doubles * sizeof *m->memory, shape);
}
