/* Benchmarks of what needs no cluster: placement and failure detectors, each through its batch call, against the bare loop of
 * the same method. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/real.h"
#include "cluster/bench_case.h"
#include "detect/detector.h"
#include "detect/phi.h"
#include "ring/jump.h"
#include "ring/ring.h"

#define KEYS 1000000u
#define ARRIVALS 1000000u

static uint64_t *keys_new(void) {
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    uint64_t *keys = mem_alloc(KEYS * sizeof *keys);
    for (uint32_t i = 0; i < KEYS; i++) keys[i] = random_u64(&r);
    return keys;
}

/* ---- placement ---- */

static qrt_status fill_ring(struct ring *r, uint32_t nodes, struct error *e) {
    struct ring_options options = {0};
    option_defaults(&ring_option_table, &options);
    char(*names)[16] = mem_alloc(nodes * sizeof *names);
    struct ring_member *members = mem_zero(nodes, sizeof *members);
    for (uint32_t i = 0; i < nodes; i++) {
        snprintf(names[i], sizeof names[i], "node-%u", i);
        members[i] = (struct ring_member){.name = bytes_text(names[i]), .weight = 1};
    }
    qrt_status status = ring_init(r, &options, e);
    if (!status) status = ring_add_many(r, members, nodes, e);
    free(members);
    free(names);
    return status;
}

/* What a program would write that had the sorted points, and an index over their first bits, to itself. */
static int64_t bare_lookups(const struct ring *r, const uint64_t *keys, uint32_t *slots) {
    const uint64_t *bounds = r->bounds;
    const uint32_t *index = r->index, *owners = r->owners, shift = r->shift;
    int64_t begin = stopwatch_ns();
    for (uint32_t k = 0; k < KEYS; k++) {
        uint64_t position = hash_bytes(&keys[k], sizeof keys[k], 0);
        uint32_t i = index[position >> shift];
        while (bounds[i] < position) i++;
        slots[k] = owners[i];
    }
    return stopwatch_ns() - begin;
}

static qrt_status run_ring(const struct bench_case *k, struct sample *s, struct error *e) {
    struct ring r;
    qrt_status status = fill_ring(&r, k->size, e);
    if (status) return status;
    uint64_t *keys = keys_new();
    uint32_t *bare = mem_zero(KEYS, sizeof *bare), *slots = mem_zero(KEYS, sizeof *slots);
    s->baseline = per_second(KEYS, bare_lookups(&r, keys, bare));
    int64_t begin = stopwatch_ns();
    status = ring_lookup_numbers(&r, keys, KEYS, slots, e);
    s->value = per_second(KEYS, stopwatch_ns() - begin);
    for (uint32_t i = 0; i < KEYS; i++) CHECK(bare[i] == slots[i]); /* the same method, the same answers */
    free(keys);
    free(bare);
    free(slots);
    ring_free(&r);
    return status;
}

static qrt_status run_jump(const struct bench_case *k, struct sample *s, struct error *e) {
    uint64_t *keys = keys_new();
    uint32_t *bare = mem_zero(KEYS, sizeof *bare), *buckets = mem_zero(KEYS, sizeof *buckets);
    (void)e;
    int64_t begin = stopwatch_ns();
    for (uint32_t i = 0; i < KEYS; i++) bare[i] = jump_bucket(keys[i], k->size);
    s->baseline = per_second(KEYS, stopwatch_ns() - begin);
    begin = stopwatch_ns();
    jump_buckets(keys, KEYS, k->size, buckets);
    s->value = per_second(KEYS, stopwatch_ns() - begin);
    for (uint32_t i = 0; i < KEYS; i++) CHECK(bare[i] == buckets[i]);
    free(keys);
    free(bare);
    free(buckets);
    return QRT_OK;
}

/* ---- detectors ---- */

enum { WINDOW = 100 };
#define INTERVAL 100000000 /* 100 ms */

static int64_t *arrivals_new(void) {
    struct random r = random_stream(2, 0, RANDOM_BENCH);
    int64_t *times = mem_alloc(ARRIVALS * sizeof *times), now = 0;
    for (uint32_t i = 0; i < ARRIVALS; i++) times[i] = now += INTERVAL / 2 + random_between(&r, 0, INTERVAL);
    return times;
}

/* A window's mean and deviation kept up from one arrival to the next, and the suspicion that each arrival found. */
static int64_t bare_phi(const int64_t *times, double *suspicions) {
    double window[WINDOW] = {0}, sum = 0, squares = 0;
    int64_t begin = stopwatch_ns();
    for (uint32_t i = 1; i < ARRIVALS; i++) {
        double elapsed = (double)(times[i] - times[i - 1]), *place = &window[i % WINDOW];
        double filled = i < WINDOW ? i : WINDOW, mean = sum / filled, variance = squares / filled - mean * mean;
        suspicions[i] = i > 1 ? phi_normal(elapsed, mean, real_sqrt(variance > 1e14 ? variance : 1e14)) : 0;
        sum += elapsed - *place;
        squares += elapsed * elapsed - *place * *place;
        *place = elapsed;
    }
    return stopwatch_ns() - begin;
}

static qrt_status run_phi(const struct bench_case *k, struct sample *s, struct error *e) {
    struct detector_options options = {0};
    struct detector *d = NULL;
    size_t done = 0;
    (void)k;
    option_defaults(&detector_tables[DETECTOR_PHI], &options);
    options.window = WINDOW;
    qrt_status status = detector_new(DETECTOR_PHI, &options, NULL, &d, e);
    if (status) return status;
    int64_t *times = arrivals_new();
    double *suspicions = mem_zero(ARRIVALS, sizeof *suspicions);
    s->baseline = per_second(ARRIVALS, bare_phi(times, suspicions));
    int64_t begin = stopwatch_ns();
    status = detector_observe_many(d, times, NULL, ARRIVALS, suspicions, NULL, &done, e);
    s->value = per_second(done, stopwatch_ns() - begin);
    free(times);
    free(suspicions);
    detector_free(&d);
    return status;
}

/* clang-format off */
const struct bench_case bench_data_cases[] = {
    {"place", "place/ring-10",   "lookups/s",      10,   0, 0, false, 0, run_ring, "160 points a node; against the bare loop over them"},
    {"place", "place/ring-100",  "lookups/s",      100,  0, 0, false, 0, run_ring, "160 points a node; against the bare loop over them"},
    {"place", "place/ring-1000", "lookups/s",      1000, 0, 0, false, 0, run_ring, "160 points a node; against the bare loop over them"},
    {"place", "place/jump-10",   "lookups/s",      10,   0, 0, false, 0, run_jump, "against the paper's loop"},
    {"place", "place/jump-100",  "lookups/s",      100,  0, 0, false, 0, run_jump, "against the paper's loop"},
    {"place", "place/jump-1000", "lookups/s",      1000, 0, 0, false, 0, run_jump, "against the paper's loop"},
    {"detect", "detect/phi",     "observations/s", 0,    0, 0, false, 0, run_phi,  "a window of 100, a suspicion each; against the bare loop"},
};
/* clang-format on */
const size_t bench_data_count = sizeof bench_data_cases / sizeof *bench_data_cases;
