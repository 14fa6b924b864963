/* The C side of bench/bindings.py: the loops that Python and Lua are measured against.
 *
 * As a shared object it calls the library that a Python process has loaded, through addresses, so that both sides run the
 * same machine code. As a program (-DPROGRAM, linked with libquorate) it makes the cluster itself, as the Lua side does, and
 * prints the processor seconds of: a run to the given time, steps of the given size. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "quorate.h"

typedef qrt_status run_call(qrt_cluster *c, int64_t until_ns, const char *condition);
typedef int64_t step_call(qrt_cluster *c, int64_t count);

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double drive_run(run_call *run, qrt_cluster *c, int64_t until_ns);
double drive_steps(step_call *step, qrt_cluster *c, int64_t events, int64_t chunk);

double drive_run(run_call *run, qrt_cluster *c, int64_t until_ns) {
    double begun = processor_seconds();
    while (run(c, until_ns, NULL) == QRT_MORE) continue;
    return processor_seconds() - begun;
}

double drive_steps(step_call *step, qrt_cluster *c, int64_t events, int64_t chunk) {
    double begun = processor_seconds();
    for (int64_t n = 0; n < events; n += chunk) {
        if (step(c, chunk) < chunk) return -1;
    }
    return processor_seconds() - begun;
}

#ifdef PROGRAM
/* bindings WORKLOAD UNTIL_NS EVENTS CHUNK; a workload "" is none. */
static qrt_cluster *make(const char *workload) {
    static const qrt_option options[] = {{"nodes", "5"}, {"seed", "7"}, {"record", "none"}};
    qrt_cluster *c = NULL;
    if (qrt_cluster_new(&c, "raft", options, sizeof options / sizeof *options, NULL)) return NULL;
    while (qrt_cluster_run(c, 10000000000, "leader") == QRT_MORE) continue;
    if (*workload && qrt_cluster_load(c, workload)) return NULL;
    return c;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    qrt_cluster *c = make(argv[1]);
    if (!c) return 1;
    printf("%.9f ", drive_run(qrt_cluster_run, c, strtoll(argv[2], NULL, 10)));
    qrt_cluster_free(&c);
    c = make(argv[1]);
    if (!c) return 1;
    printf("%.9f\n", drive_steps(qrt_cluster_step, c, strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10)));
    qrt_cluster_free(&c);
    return 0;
}
#endif
