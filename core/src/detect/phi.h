/* The phi accrual failure detector's arithmetic (Hayashibara and others, SRDS 2004): phi is -log10 of the
 * probability that a heartbeat later than this one still comes. */
#ifndef DETECT_PHI_H
#define DETECT_PHI_H

#include <stddef.h>

/* With normally distributed intervals, the tail by Akka's logistic form: y = (t - mean) / deviation,
 * e = exp(-y (1.5976 + 0.070566 y^2)), probability e / (1 + e). Written as log10(1 + 1/e), which does not
 * overflow: a long silence reads as a large phi, not as infinity. */
double phi_normal(double elapsed, double mean, double deviation);
/* The same of at most PHI_CHUNK samples at once, to the same bits. */
enum { PHI_CHUNK = 256 };
void phi_normal_many(const double *elapsed, const double *means, const double *deviations, size_t count, double *phis);
/* With exponentially distributed intervals (Cassandra): t / (mean ln 10). */
double phi_exponential(double elapsed, double mean);
/* The y at which phi_normal reaches a threshold > 0. */
double phi_normal_inverse(double threshold);

#endif
