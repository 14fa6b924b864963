#include <jansson.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/interrupt.h"
#include "cluster/bench_case.h"
#include "cluster/values.h"
#include "runtime/sim.h"
#include "store/store_bench.h"

#define SCHEDULE_EVENTS 1000000u
#define RAFT_COMMITS 200000u
#define FLAT_COMMITS 1000000u
#define PAXOS_DECISIONS 50000u
#define STORE_RECORDS 4096u /* a round; so that larger groups take no longer */

struct bench {
    const struct bench_case *cases[BENCH_CASES_MAX];
    size_t count, next;
    json_t *results;
    struct buffer report;
};

/* ---- the simulator ---- */

/* Otherwise the defaults: above all a log that is compacted as it goes, but where its growth is the question. */
static struct cluster *bench_cluster(const char *protocol, uint16_t nodes, bool checked, bool compacts,
                                     struct error *e) {
    char count[8];
    snprintf(count, sizeof count, "%u", nodes);
    struct setting settings[] = {{"nodes", count},        {"disk", "memory"},
                                 {"record", "none"},      {"delay", "250us"},
                                 {"jitter", "100us"},     {"check", checked ? "true" : "false"},
                                 {"machine", "register"}, {"snapshot_threshold", "1000000000"}};
    size_t n = sizeof settings / sizeof *settings - compacts;
    return cluster_new(protocol, settings, n, NULL, e);
}

static qrt_status run_schedule(const struct bench_case *k, struct sample *s, struct error *e) {
    struct cluster *c = bench_cluster("null", k->nodes, false, true, e);
    if (!c) return e->status;
    uint64_t hops = UINT64_MAX, ticket;
    for (uint32_t i = 0; i < k->size; i++)
        c->class->propose(c->runtime, (uint16_t)(i % k->nodes + 1), bytes_of(&hops, sizeof hops), &ticket);
    c->class->step(c->runtime, 2 * k->size); /* the pool, the heap and the caches warm up */
    s->baseline = per_second(SCHEDULE_EVENTS, bench_bare_loop(k->size, SCHEDULE_EVENTS));
    int64_t begin = stopwatch_ns();
    uint64_t done = c->class->step(c->runtime, SCHEDULE_EVENTS);
    s->value = per_second(done, stopwatch_ns() - begin);
    cluster_free(c);
    return QRT_OK;
}

/* Proposes, keeping `window` of them outstanding, until `commits` more are answered. */
static void drive(struct sim *sim, uint16_t leader, uint32_t window, uint32_t commits) {
    uint64_t oldest = 0, newest = 0, wanted = 0;
    const uint8_t value[16] = "benchmark value";
    for (uint32_t i = 0; i < window; i++) {
        sim_class.propose(sim, leader, bytes_of(value, sizeof value), &newest);
        if (!oldest) oldest = newest;
    }
    for (wanted = oldest + commits; oldest < wanted && !interrupt_seen();) {
        while (!tickets_at(&sim->tickets, oldest)->done) sim_step(sim);
        oldest++;
        sim_class.propose(sim, leader, bytes_of(value, sizeof value), &newest);
    }
}

static qrt_status run_raft(const struct bench_case *k, struct sample *s, struct error *e) {
    struct cluster *c = bench_cluster("raft", k->nodes, k->checked, k->commits != FLAT_COMMITS, e);
    if (!c) return e->status;
    struct sim *sim = c->runtime;
    cluster_run(c, 10000000000, "leader", 0, e);
    uint16_t leader = sim_leader(sim);
    CHECK(leader);
    drive(sim, leader, k->window, 2000);
    s->baseline = per_second(SCHEDULE_EVENTS, bench_bare_loop(64, SCHEDULE_EVENTS));
    uint64_t before = sim->counts.delivered;
    uint32_t first = k->commits / 10, rest = k->commits - 2 * first;
    int64_t t0 = stopwatch_ns();
    drive(sim, leader, k->window, first);
    int64_t t1 = stopwatch_ns();
    drive(sim, leader, k->window, rest);
    int64_t t2 = stopwatch_ns();
    drive(sim, leader, k->window, first);
    int64_t t3 = stopwatch_ns();
    s->value = per_second(sim->counts.delivered - before, t3 - t0);
    s->extra = (double)(sim->counts.delivered - before) / k->commits;
    if (k->commits == FLAT_COMMITS)
        s->extra = (double)(t1 - t0) / (double)(t3 - t2); /* last tenth's speed over the first's */
    cluster_free(c);
    return QRT_OK;
}

/* The same as a cluster has it: event heap, links with delays, tickets. */
static qrt_status run_paxos_sim(const struct bench_case *k, struct sample *s, struct error *e) {
    struct cluster *c = bench_cluster("paxos", k->nodes, false, true, e);
    if (!c) return e->status;
    struct sim *sim = c->runtime;
    drive(sim, 1, k->window, k->commits / 10);
    s->baseline = per_second(SCHEDULE_EVENTS, bench_bare_loop(64, SCHEDULE_EVENTS));
    uint64_t before = sim->counts.delivered;
    int64_t begin = stopwatch_ns();
    drive(sim, 1, k->window, k->commits);
    s->value = per_second(k->commits, stopwatch_ns() - begin);
    s->extra = (double)(sim->counts.delivered - before) / k->commits;
    cluster_free(c);
    return QRT_OK;
}

static qrt_status run_paxos(const struct bench_case *k, struct sample *s, struct error *e) {
    uint64_t messages;
    (void)e;
    s->baseline = per_second(SCHEDULE_EVENTS, bench_bare_loop(64, SCHEDULE_EVENTS));
    s->value = per_second(k->commits, bench_paxos_decisions(k->commits, &messages));
    s->extra = (double)messages / k->commits;
    return QRT_OK;
}

/* ---- the store ---- */

static qrt_status run_store(const struct bench_case *k, struct sample *s, struct error *e) {
    char folder[64];
    snprintf(folder, sizeof folder, "quorate-bench-%d", (int)getpid());
    struct store_bench *b = store_bench_new(folder, e);
    if (!b) return e->status;
    uint32_t groups = STORE_RECORDS / 4 / (k->size < 16 ? 4 : 16), half = groups / 2;
    int64_t bare = 0, ours = 0, ns = 0;
    store_bench_group(b, 16, k->size, e);
    for (uint32_t done = 0; done < groups && ns >= 0; done += half) { /* in turn, so that both see the same disk */
        ns = store_bench_bare(b, half, k->size, e);
        bare += ns;
        if (ns >= 0) ns = store_bench_group(b, half, k->size, e);
        ours += ns;
    }
    store_bench_free(&b);
    if (ns < 0) return e->status;
    s->baseline = per_second((uint64_t)groups * k->size, bare);
    s->value = per_second((uint64_t)groups * k->size, ours);
    return QRT_OK;
}

/* ---- the cases ---- */

/* clang-format off */
static const struct bench_case cases[] = {
    {"sim", "schedule/64",         "events/s",   64,     16, 0, false, 0, run_schedule, "null protocol, 64 pending events"},
    {"sim", "schedule/1000",       "events/s",   1000,   16, 0, false, 0, run_schedule, "null protocol, 1,000 pending events"},
    {"sim", "schedule/100000",     "events/s",   100000, 16, 0, false, 0, run_schedule, "null protocol, 100,000 pending events"},
    {"sim", "raft/n3-w1",          "messages/s", 0, 3, 1,  false, RAFT_COMMITS, run_raft, "messages a commit"},
    {"sim", "raft/n3-w1-checked",  "messages/s", 0, 3, 1,  true,  RAFT_COMMITS, run_raft, "messages a commit"},
    {"sim", "raft/n5-w64",         "messages/s", 0, 5, 64, false, RAFT_COMMITS, run_raft, "messages a commit"},
    {"sim", "raft/n3-w1-flat",     "messages/s", 0, 3, 1,  true,  FLAT_COMMITS, run_raft, "speed over the last 100,000 of 1,000,000 entries to that over the first 100,000"},
    {"paxos", "paxos/n3",          "decisions/s", 0, 3, 1, false, PAXOS_DECISIONS, run_paxos, "messages a decision, learning included"},
    {"paxos", "paxos/n3-sim",      "decisions/s", 0, 3, 1, false, PAXOS_DECISIONS, run_paxos_sim, "messages a decision, learning included"},
    {"store", "store/group-1",     "records/s",  1,   0, 0, false, 0, run_store, ""},
    {"store", "store/group-16",    "records/s",  16,  0, 0, false, 0, run_store, ""},
    {"store", "store/group-64",    "records/s",  64,  0, 0, false, 0, run_store, ""},
    {"store", "store/group-256",   "records/s",  256, 0, 0, false, 0, run_store, ""},
};
/* clang-format on */
#define CASES (sizeof cases / sizeof *cases)

static const char *const groups[] = {"sim", "paxos", "store", "checkpoint", "live", "large", "place", "detect"};
#define GROUPS (sizeof groups / sizeof *groups)

/* These, then those of checkpoints, of processes, then those that need no cluster. */
static const struct bench_case *case_at(size_t i) {
    if (i < CASES) return &cases[i];
    if ((i -= CASES) < bench_checkpoint_count) return &bench_checkpoint_cases[i];
    if ((i -= bench_checkpoint_count) < bench_live_count) return &bench_live_cases[i];
    return (i -= bench_live_count) < bench_data_count ? &bench_data_cases[i] : NULL;
}

/* What a round has freed serves the next one: the median is of a simulator at work, not of a kernel that clears pages
 * for the first time. */
static void keep_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

struct bench *bench_new(const char *name, struct error *e) {
    keep_memory();
    struct bench *b = mem_zero(1, sizeof *b);
    const char *known[BENCH_CASES_MAX];
    size_t count = GROUPS;
    memcpy(known, groups, sizeof groups);
    for (const struct bench_case *k; (k = case_at(count - GROUPS)); count++) {
        CHECK(count < BENCH_CASES_MAX);
        known[count] = k->name;
        if (!strcmp(k->name, name) || !strcmp(k->group, name)) b->cases[b->count++] = k;
    }
    b->results = json_array();
    if (b->count) return b;
    const char *nearest = option_nearest(name, known, count);
    error_set(e, QRT_ENOTFOUND, "there is no benchmark '%s'%s%s%s", name,
              nearest ? "; did you mean '" : "; there are sim, paxos, store, checkpoint, live, large, place and detect",
              nearest ? nearest : "", nearest ? "'?" : "");
    bench_free(b);
    return NULL;
}

void bench_free(struct bench *b) {
    if (!b) return;
    json_decref(b->results);
    buffer_free(&b->report);
    free(b);
}

static int compare_reals(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, BENCH_ROUNDS, sizeof *values, compare_reals);
    return values[BENCH_ROUNDS / 2];
}

static qrt_status measure(struct bench *b, struct error *e) {
    const struct bench_case *k = b->cases[b->next];
    double value[BENCH_ROUNDS], baseline[BENCH_ROUNDS], ratio[BENCH_ROUNDS], extra[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        struct sample s = {0};
        qrt_status status = k->run(k, &s, e);
        if (interrupt_seen()) return QRT_MORE; /* whatever it has come to: half a measurement is none */
        if (status) return status;
        value[i] = s.value;
        baseline[i] = s.baseline;
        ratio[i] = s.value / s.baseline;
        extra[i] = s.extra;
    }
    char note[160] = "";
    if (*k->says && extra[0] != 0)
        snprintf(note, sizeof note, "%.2f %s", median(extra), k->says);
    else
        snprintf(note, sizeof note, "%s", k->says);
    json_array_append_new(b->results,
                          json_pack("{s:s, s:f, s:s, s:f, s:f, s:s}", "name", k->name, "value", median(value), "unit",
                                    k->unit, "baseline", median(baseline), "ratio", median(ratio), "note", note));
    return ++b->next < b->count ? QRT_MORE : QRT_OK;
}

qrt_status bench_run(struct bench *b, struct error *e) {
    interrupt_watch();
    qrt_status status = measure(b, e);
    interrupt_leave();
    return status;
}

const char *bench_report(struct bench *b) {
    json_t *root = json_pack("{s:O}", "results", b->results);
    return dump_value(root, &b->report, 6);
}
