/* Live clusters, measured from within: the proposer is in the leader's process (live_load.h). Each round is a fresh cluster;
 * it and its baseline take turns of a slice each, so that both see the same machine. Both are pinned alike: the leader and
 * everything of it to one processor, the first follower to the next, and so on. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/bench_case.h"
#ifdef QRT_HAVE_LIVE
#include "runtime/live/live_bare.h"
#endif

#ifdef QRT_HAVE_LIVE
enum { NODES = 3, VALUE = 128, SLICES = 4, PATIENCE_S = 20 };

enum { OVER_TCP = 0, OVER_CURVE = 1, OVER_INPROC = 2 }; /* a case's size */

static struct cluster *live_cluster(uint32_t over, struct error *e) {
    const char *transport = over == OVER_INPROC ? "inproc" : "tcp", *curve = over == OVER_CURVE ? "true" : "false";
    struct setting settings[] = {{"runtime", "live"},     {"transport", transport}, {"nodes", "3"},
                                 {"disk", "memory"},      {"record", "none"},       {"check", "false"},
                                 {"machine", "register"}, {"curve", curve},         {"election_timeout", "2"}};
    return cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, e);
}

/* [0]: of the one that proposes. */
static void choose_cpus(int cpus[NODES]) {
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < NODES; i++) cpus[i] = i % (n > 0 ? n : 1);
}

static qrt_status load(struct cluster *c, uint16_t leader, const struct load_spec *spec, struct load_report *r,
                       struct error *e) {
    uint64_t number;
    struct ticket t;
    struct bytes data;
    qrt_status status = live_load(c->runtime, leader, spec, &number);
    if (status) return error_set(e, status, "the leader is down or takes no such load");
    struct condition answered = {CONDITION_TICKET, 0, number};
    status = c->class->run(c->runtime, c->class->now(c->runtime) + PATIENCE_S * INT64_C(1000000000), &answered, 0);
    if (status || !c->class->ticket(c->runtime, number, &t, &data) || t.status || data.size != sizeof *r)
        return error_set(e, QRT_EUNKNOWN, "the leader changed while it was measured: try again");
    memcpy(r, data.data, sizeof *r);
    return QRT_OK;
}

struct pair {                     /* a cluster beside what it is measured against */
    struct cluster *live, *other; /* other: NULL, or a cluster too */
    struct bare *bare;
    uint16_t leader, other_leader;
    int cpus[NODES];
};

static uint16_t start(struct cluster *c, const int *cpus, uint32_t window, struct error *e) {
    struct load_spec warm = {.window = window, .count = 500 + 4 * window, .size = VALUE};
    struct load_report r;
    if (!c || cluster_run(c, PATIENCE_S * INT64_C(1000000000), "leader", 0, e)) return 0;
    uint16_t leader = c->class->leader(c->runtime);
    for (uint16_t i = 1; leader && i <= NODES; i++) live_pin(c->runtime, i, cpus[(i + NODES - leader) % NODES]);
    return leader && !load(c, leader, &warm, &r, e) ? leader : 0;
}

static qrt_status pair_open(struct pair *p, const struct bench_case *k, struct error *e) {
    struct load_spec warm = {.window = k->window, .count = 500 + 4 * k->window, .size = VALUE};
    struct load_report r;
    choose_cpus(p->cpus);
    p->live = live_cluster(k->size, e);
    if (p->live && !(p->leader = start(p->live, p->cpus, k->window, e))) return e->status;
    if (k->size == OVER_CURVE) {
        if (!e->status) p->other = live_cluster(OVER_TCP, e);
        if (p->other) p->other_leader = start(p->other, p->cpus, k->window, e);
    } else if (!e->status) {
        p->bare = bare_new(k->size == OVER_TCP, p->cpus, e);
        if (p->bare) bare_rounds(p->bare, &warm, &r, e);
    }
    return e->status;
}

static void pair_close(struct pair *p) {
    if (p->live) cluster_free(p->live);
    if (p->other) cluster_free(p->other);
    bare_free(p->bare);
}

static qrt_status baseline(struct pair *p, const struct load_spec *spec, struct load_report *r, struct error *e) {
    return p->other ? load(p->other, p->other_leader, spec, r, e) : bare_rounds(p->bare, spec, r, e);
}

static qrt_status run_live(const struct bench_case *k, struct sample *s, struct error *e) {
    struct pair p = {0};
    struct load_spec slice = {.window = k->window, .count = k->commits / SLICES, .size = VALUE};
    struct load_report r;
    int64_t ours = 0, theirs = 0;
    qrt_status status = pair_open(&p, k, e);
    for (int i = 0; i < SLICES && !status; i++) {
        status = baseline(&p, &slice, &r, e);
        theirs += status ? 0 : r.ns;
        if (!status) status = load(p.live, p.leader, &slice, &r, e);
        ours += status ? 0 : r.ns;
    }
    s->baseline = per_second(k->commits, theirs);
    s->value = per_second(k->commits, ours);
    pair_close(&p);
    return status;
}
#else
static qrt_status run_live(const struct bench_case *k, struct sample *s, struct error *e) {
    (void)k;
    (void)s;
    return error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
}
#define OVER_TCP 0
#define OVER_CURVE 1
#define OVER_INPROC 2
#endif

#define BARE "; against quorum rounds of bare ZeroMQ"

/* clang-format off */
const struct bench_case bench_live_cases[] = {
    {"live", "live/tcp-w1",     "commits/s", OVER_TCP,    3, 1,  false, 8000,   run_live, "processes over tcp without CURVE" BARE},
    {"live", "live/tcp-w64",    "commits/s", OVER_TCP,    3, 64, false, 200000, run_live, "processes over tcp without CURVE" BARE},
    {"live", "live/inproc-w1",  "commits/s", OVER_INPROC, 3, 1,  false, 20000,  run_live, "threads" BARE},
    {"live", "live/inproc-w64", "commits/s", OVER_INPROC, 3, 64, false, 200000, run_live, "threads" BARE},
    {"live", "live/curve-w1",   "commits/s", OVER_CURVE,  3, 1,  false, 8000,   run_live, "processes over tcp with CURVE; against the same without it"},
    {"live", "live/curve-w64",  "commits/s", OVER_CURVE,  3, 64, false, 100000, run_live, "processes over tcp with CURVE; against the same without it"},
};
/* clang-format on */
const size_t bench_live_count = sizeof bench_live_cases / sizeof *bench_live_cases;
