/* Benchmarks across the ABI. */
#include <stdlib.h>

#include "abi/handle.h"
#include "cluster/bench.h"

struct qrt_bench {
    struct handle handle;
    struct bench *bench;
};

static void bench_end(struct handle *h) {
    bench_free(((qrt_bench *)h)->bench);
}

QRT_API qrt_status qrt_bench_new(qrt_bench **out, const char *name) {
    struct error e = {0};
    if (!out || !name) return last_error_null("out and name");
    *out = NULL;
    struct bench *b = bench_new(name, &e);
    if (!b) return last_error_set(&e);
    *out = mem_zero(1, sizeof **out);
    handle_init(&(*out)->handle, HANDLE_BENCH, bench_end);
    (*out)->bench = b;
    return QRT_OK;
}

QRT_API void qrt_bench_free(qrt_bench **b) {
    if (b && *b && handle_free(&(*b)->handle, HANDLE_BENCH)) *b = NULL;
}

QRT_API qrt_status qrt_bench_run(qrt_bench *b) {
    qrt_status s = handle_enter(b ? &b->handle : NULL, HANDLE_BENCH);
    return s ? s : handle_leave(&b->handle, bench_run(b->bench, &b->handle.error));
}

QRT_API const char *qrt_bench_report(qrt_bench *b) {
    if (handle_enter(b ? &b->handle : NULL, HANDLE_BENCH)) return NULL;
    const char *text = bench_report(b->bench);
    handle_leave(&b->handle, QRT_OK);
    return text;
}
