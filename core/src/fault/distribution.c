/* Delay distributions: a delay from 64 given uniform bits, by inversion where the distribution has a
 * closed inverse, by Box and Muller (1958) for the normal. Only integers and base/real.h are used, so a
 * delay has the same value on every machine. */
#include "base/real.h"
#include "fault/plan.h"

#define PARETO_CUT 100 /* a tail without an end would put single messages past any run's horizon */

/* The nearest integer of a delay, which is never negative. */
static int64_t delay_round(double ns) {
    if (!(ns > 0)) return 0;
    return ns >= 9e18 ? (int64_t)9e18 : (int64_t)(ns + 0.5);
}

/* Uniform in (0, 1], so that its logarithm is finite. */
static double unit_open(uint64_t bits) {
    return (double)((bits >> 11) + 1) * 0x1p-53;
}

/* Two uniforms of 32 bits each make one standard normal. */
static double normal_draw(uint64_t bits) {
    double u = (double)((bits >> 32) + 1) * 0x1p-32, turn = (double)(bits & 0xffffffffu) * 0x1p-32;
    return real_sqrt(-2 * real_log(u)) * real_cos_turn(turn);
}

int64_t distribution_draw(const struct distribution *d, uint64_t bits) {
    double a = (double)d->a;
    switch (d->kind) {
    case DIST_UNIFORM: return d->b <= d->a ? d->a : d->a + (int64_t)random_scale(bits, (uint64_t)(d->b - d->a) + 1);
    case DIST_NORMAL: return delay_round(a + (double)d->b * normal_draw(bits));
    case DIST_EXPONENTIAL: return delay_round(-a * real_log(unit_open(bits)));
    case DIST_PARETO: {
        double ns = a * real_exp(-real_log(unit_open(bits)) / d->shape);
        return ns < a * PARETO_CUT ? delay_round(ns) : d->a * PARETO_CUT;
    }
    default: return d->a; /* DIST_CONSTANT, and the zero of no distribution */
    }
}
