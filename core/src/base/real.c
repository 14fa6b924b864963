#include "base/real.h"

#include <string.h>

static uint64_t bits_of(double x) {
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static double of_bits(uint64_t b) {
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

static const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;

double real_sqrt(double x) {
    return __builtin_sqrt(x); /* correctly rounded by IEEE 754 */
}

/* x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = 2s + s R(s^2), s = f / (2 + f). */
double real_log(double x) {
    if (x != x || x < 0) return of_bits(0x7ff8000000000000u);
    if (x == 0) return -of_bits(0x7ff0000000000000u);
    int k = 0;
    if (bits_of(x) < 0x0010000000000000u) { /* subnormal */
        x *= 0x1p54;
        k -= 54;
    }
    uint64_t b = bits_of(x);
    if (b >= 0x7ff0000000000000u) return x;
    k += (int)(b >> 52) - 1023;
    double m = of_bits((b & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    double f = m - 1, s = f / (2 + f), z = s * s, w = z * z;
    double odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double even = z * (6.666666666666735130e-01 +
                       w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    double r = odd + even, half = 0.5 * f * f, dk = (double)k;
    return dk * LN2_HIGH - ((half - (s * (half + r) + dk * LN2_LOW)) - f);
}

double real_log10(double x) {
    return real_log(x) / 2.30258509299404568402;
}

/* x = k ln2 + r, |r| <= ln2 / 2; exp(r) = 1 + r + r c / (2 - c), c = r - P(r^2). */
double real_exp(double x) {
    if (x != x) return x;
    if (x > 709.782712893383973096) return of_bits(0x7ff0000000000000u);
    if (x < -745.13321910194110842) return 0;
    double scaled = x * 1.44269504088896338700;
    int k = (int)(scaled + (x < 0 ? -0.5 : 0.5));
    double high = x - k * LN2_HIGH, low = k * LN2_LOW, r = high - low, t = r * r;
    double c = r - t * (1.66666666666666019037e-01 +
                        t * (-2.77777777770155933842e-03 +
                             t * (6.61375632143793436117e-05 +
                                  t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    double y = 1 + (r * c / (2 - c) - low + high);
    if (k >= -1021 && k <= 1023) return y * of_bits((uint64_t)(k + 1023) << 52);
    if (k > 1023) return y * 2 * of_bits((uint64_t)(k - 1 + 1023) << 52);
    return y * of_bits((uint64_t)(k + 1000 + 1023) << 52) * 0x1p-1000;
}

double real_pow(double x, double y) {
    if (x == 0) return 0;
    return real_exp(y * real_log(x));
}

/* cos(2 pi x): folded into an eighth of a turn, then Taylor polynomials that are exact to the last bits there. */
double real_cos_turn(double x) {
    if (x >= 0.5) x = 1 - x; /* cos is even about a half turn */
    double sign = 1;
    if (x > 0.25) {
        x = 0.5 - x;
        sign = -1;
    }
    const double tau = 6.283185307179586477;
    if (x <= 0.125) {
        double a = x * tau, z = a * a;
        return sign *
               (1 + z * (-1.0 / 2 +
                         z * (1.0 / 24 +
                              z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 +
                                                                        z * (1.0 / 479001600 +
                                                                             z * (-1.0 / 87178291200.0 +
                                                                                  z * (1.0 / 20922789888000.0)))))))));
    }
    double a = (0.25 - x) * tau, z = a * a;
    return sign * a *
           (1 + z * (-1.0 / 6 +
                     z * (1.0 / 120 +
                          z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800 +
                                                                      z * (1.0 / 6227020800.0 +
                                                                           z * (-1.0 / 1307674368000.0 +
                                                                                z * (1.0 / 355687428096000.0)))))))));
}

int64_t real_to_ns(double seconds) {
    if (seconds != seconds) return 0;
    double ns = seconds * 1e9;
    if (ns >= 9.2e18) return INT64_MAX;
    if (ns <= -9.2e18) return INT64_MIN;
    return (int64_t)(ns + (ns < 0 ? -0.5 : 0.5));
}
