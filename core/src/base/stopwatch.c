#include "base/stopwatch.h"

#include <time.h>

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t stopwatch_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t stopwatch_work_ns(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
