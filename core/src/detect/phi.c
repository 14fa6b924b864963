#include "detect/phi.h"

#include "base/real.h"

static const double LN10 = 2.30258509299404568402;

static inline double logit(double y) {
    return y * (1.5976 + 0.070566 * y * y);
}

/* log(1 + z) for z in [0, 1]: 2 artanh(z / (2 + z)), whose series in squares of at most 1/9 ends below the
 * last bit here. No branch depends on z: at an arrival nobody can predict on which side of the mean it is. */
static inline double log1p_unit(double z) {
    static const double series[] = {1.0 / 31, 1.0 / 29, 1.0 / 27, 1.0 / 25, 1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17,
                                    1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
    double s = z / (2 + z), square = s * s, sum = 0;
    for (int i = 0; i < 16; i++) sum = sum * square + series[i];
    return 2 * s * sum;
}

double phi_normal(double elapsed, double mean, double deviation) {
    double x = logit((elapsed - mean) / deviation), size = x < 0 ? -x : x;
    return ((x > 0 ? x : 0) + log1p_unit(real_exp(-size))) * (1 / LN10);
}

/* Three loops over a chunk, so that the compiler may compute several samples side by side; each sample's own
 * operations are those of phi_normal. */
void phi_normal_many(const double *elapsed, const double *means, const double *deviations, size_t count, double *phis) {
    double x[PHI_CHUNK], z[PHI_CHUNK];
    for (size_t i = 0; i < count; i++) x[i] = logit((elapsed[i] - means[i]) / deviations[i]);
    for (size_t i = 0; i < count; i++) z[i] = real_exp(x[i] < 0 ? x[i] : -x[i]);
    for (size_t i = 0; i < count; i++) phis[i] = ((x[i] > 0 ? x[i] : 0) + log1p_unit(z[i])) * (1 / LN10);
}

double phi_exponential(double elapsed, double mean) {
    return elapsed / (mean * LN10);
}

double phi_normal_inverse(double threshold) {
    double wanted = threshold * LN10; /* log(1 + exp(x)) = wanted */
    double x = wanted > 40 ? wanted : real_log(real_exp(wanted) - 1);
    double low = -1, high = 1;
    while (logit(low) > x) low *= 2;
    while (logit(high) < x) high *= 2;
    for (int i = 0; i < 200 && low < high; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) break;
        if (logit(middle) < x)
            low = middle;
        else
            high = middle;
    }
    return high;
}
