/* A sliding window over integer samples whose mean and variance are exact: the sums are integers of 128 bits,
 * so that adding and removing a sample leaves no rounding behind, however long a detector runs, and a window
 * has the same bits on every machine. Samples of at most WINDOW_SAMPLE_MAX (39 hours in nanoseconds) and at
 * most WINDOW_MAX of them keep count * squares and sum * sum below 2^127. */
#ifndef DETECT_WINDOW_H
#define DETECT_WINDOW_H

#include <stdint.h>

#include "base/real.h"

#define WINDOW_SAMPLE_MAX ((INT64_C(1) << 47) - 1)
enum { WINDOW_MAX = 65536 };

struct window {
    uint32_t capacity, count, next; /* next: where the next sample goes */
    __int128 sum;
    unsigned __int128 squares;
};

static inline void window_add(struct window *w, int64_t *samples, int64_t sample) {
    __int128 leaving = 0;
    if (w->count == w->capacity)
        leaving = samples[w->next];
    else
        w->count++;
    samples[w->next] = sample;
    w->next = w->next + 1 == w->capacity ? 0 : w->next + 1;
    w->sum += (__int128)sample - leaving;
    w->squares += (unsigned __int128)((__int128)sample * sample) - (unsigned __int128)(leaving * leaving);
}

static inline double window_mean(const struct window *w) {
    return (double)w->sum / w->count;
}
/* Population variance: (n sum x^2 - (sum x)^2) / n^2. */
static inline double window_variance(const struct window *w) {
    unsigned __int128 sum = (unsigned __int128)w->sum, n = w->count;
    return (double)(n * w->squares - sum * sum) / ((double)w->count * (double)w->count);
}

#endif
