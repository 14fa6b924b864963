/* A Gaussian mixture as a model of a node's samples (CPU, memory, queue length, latency): expectation
 * maximisation (Dempster, Laird and Rubin 1977) as scikit-learn's GaussianMixture does it, so that with
 * shared initial parameters log-likelihoods agree to 1e-9. Components that a user labels failed turn the
 * density into a probability of failure: their weighted likelihood over that of the whole mixture.
 *
 * One block of memory, laid out for d dimensions and k components as
 *   weights k | means k x d | covariances k x c | factors k x c | constants k | failed k
 * where c is d x d (full) or d (diagonal). A factor is the inverse of the covariance's Cholesky factor, lower
 * triangular (or the reciprocal deviations), so that a squared distance is |factor (x - mean)|^2. */
#ifndef DETECT_MIXTURE_H
#define DETECT_MIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { MIXTURE_COMPONENTS_MAX = 256, MIXTURE_DIMENSIONS_MAX = 64 };

struct mixture {
    uint32_t components, dimensions;
    bool diagonal;
    bool fitted; /* it has parameters */
    bool converged;
    uint32_t iterations;
    double log_likelihood; /* mean a sample, of the last expectation step */
    double memory[];
};

struct mixture_fit {
    double regularisation;   /* added to the diagonal of covariances: 1e-6 */
    double tolerance;        /* on the mean log-likelihood: 1e-3 */
    uint32_t iterations_max; /* 100 */
    uint64_t seed;           /* of the k-means start */
};
#define MIXTURE_FIT_DEFAULTS ((struct mixture_fit){1e-6, 1e-3, 100, 0})

qrt_status mixture_new(uint32_t components, uint32_t dimensions, bool diagonal, struct mixture **out, struct error *e);
void mixture_free(struct mixture **m);
struct mixture *mixture_clone(const struct mixture *m);

/* Sets weights (k), means (k x d) and covariances (k x d x d, or k x d), row by row. Weights are positive and
 * sum to 1 within 1e-6; covariances are symmetric and positive definite. */
qrt_status mixture_set(struct mixture *m, const double *weights, const double *means, const double *covariances,
                       struct error *e);
/* Expectation maximisation over samples (count x d), from the present parameters if the mixture has any, else
 * from k-means. On an error the parameters are as before. */
qrt_status mixture_train(struct mixture *m, const double *samples, size_t count, const struct mixture_fit *fit,
                         struct error *e);

/* The log-density of each sample; scores may be written over nothing else. */
qrt_status mixture_score(const struct mixture *m, const double *samples, size_t count, double *scores, struct error *e);
/* Labels a component; then the probability of failure of each sample. */
qrt_status mixture_label(struct mixture *m, uint32_t component, bool failed, struct error *e);
/* Labels each component failed when most of the responsibility it takes is for samples flagged failed. */
qrt_status mixture_label_by(struct mixture *m, const double *samples, const uint8_t *failed, size_t count,
                            struct error *e);
qrt_status mixture_failure(const struct mixture *m, const double *samples, size_t count, double *probabilities,
                           struct error *e);

double *mixture_weights(const struct mixture *m);
double *mixture_means(const struct mixture *m);
double *mixture_covariances(const struct mixture *m);
bool mixture_failed(const struct mixture *m, uint32_t component);
uint64_t mixture_fingerprint(const struct mixture *m);

#endif
