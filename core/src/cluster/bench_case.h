/* What bench.c and its parts share: a measurement, and the table of those of live clusters. */
#ifndef CLUSTER_BENCH_CASE_H
#define CLUSTER_BENCH_CASE_H

#include "base/stopwatch.h"
#include "cluster/bench.h"

#define BENCH_ROUNDS 5 /* pairs of baseline and subject; medians of these */
#define BENCH_CASES_MAX 64

struct sample {             /* one round */
    double value, baseline; /* in the case's unit */
    double extra;           /* stands before what the case says; 0: nothing does */
};

struct bench_case {
    const char *group, *name, *unit;
    uint32_t size; /* pending events, or records a group; live: the case's own */
    uint16_t nodes;
    uint32_t window;
    bool checked;
    uint32_t commits;
    qrt_status (*run)(const struct bench_case *k, struct sample *s, struct error *e);
    const char *says;
    uint32_t permille; /* live: which latency it is */
    uint32_t bytes;    /* live: of a value, and it is measured in MB/s; 0: 128 */
};

/* bench_live.c */
extern const struct bench_case bench_live_cases[];
extern const size_t bench_live_count;

/* bench_checkpoint.c */
extern const struct bench_case bench_checkpoint_cases[];
extern const size_t bench_checkpoint_count;

/* bench_data.c */
extern const struct bench_case bench_data_cases[];
extern const size_t bench_data_count;

static inline double per_second(uint64_t count, int64_t ns) {
    return (double)count * 1e9 / (double)(ns > 0 ? ns : 1);
}

#endif
