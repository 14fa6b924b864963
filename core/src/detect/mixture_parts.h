/* What the two halves of the mixture share. */
#ifndef DETECT_MIXTURE_PARTS_H
#define DETECT_MIXTURE_PARTS_H

#include "detect/mixture.h"

/* Doubles in one component's covariance. */
static inline size_t mixture_block(const struct mixture *m) {
    return m->diagonal ? m->dimensions : (size_t)m->dimensions * m->dimensions;
}
/* Factors and constants from weights and covariances. */
qrt_status mixture_prepare(struct mixture *m, struct error *e);
/* Takes over everything of a mixture of the same shape. */
void mixture_assign(struct mixture *m, const struct mixture *from);
/* Fills logs[k] with log(weight density) of each component; the log-density of the mixture. */
double mixture_logs(const struct mixture *m, const double *sample, double *logs);
qrt_status samples_validate(const double *samples, size_t count, uint32_t dimensions, const char *what,
                            struct error *e);

#endif
