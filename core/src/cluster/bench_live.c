/* Live clusters, measured from within: the proposer is in the leader's process (live_load.h). Each round is a fresh cluster;
 * it and its baseline take turns of a slice each, so that both see the same machine. Both are pinned alike: the leader and
 * everything of it to one processor, the first follower to the next, and so on. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "cluster/bench_case.h"
#ifdef QRT_HAVE_LIVE
#include "runtime/live/live_bare.h"
#include "runtime/live/live_commits.h"
#include "runtime/live/live_parcel.h"
#include "runtime/live/live_share.h"
#endif

/* A case's size. */
enum { OVER_TCP = 0, OVER_CURVE = 1, OVER_INPROC = 2, ON_DISK = 3, CAPTURED = 4, ON_ONE_DISK = 5 };

#ifdef QRT_HAVE_LIVE
enum { NODES = 3, VALUE = 128, SLICES = 4, PATIENCE_S = 20 };

static bool on_disk(uint32_t over) {
    return over == ON_DISK || over == ON_ONE_DISK;
}

/* Of large values the log keeps few, so that it is not the kernel's work for fresh memory that is measured. folder: of the data,
 * or of the capture. */
static struct cluster *live_cluster(const struct bench_case *k, uint32_t over, const char *folder, struct error *e) {
    const char *kept = k->bytes ? "256" : "8192", *behind = k->bytes ? "0" : "1024";
    const char *transport = over == OVER_INPROC || over == CAPTURED ? "inproc" : "tcp";
    const char *curve = over == OVER_CURVE ? "true" : "false", *disk = on_disk(over) ? "folder" : "memory";
    struct setting settings[] = {{"runtime", "live"},
                                 {"transport", transport},
                                 {"nodes", "3"},
                                 {"disk", disk},
                                 {"record", "none"},
                                 {"check", "false"},
                                 {"machine", "register"},
                                 {"curve", curve},
                                 {"election_timeout", "2"},
                                 {"snapshot_threshold", kept},
                                 {"snapshot_keep", behind},
                                 {over == CAPTURED ? "capture" : "data", folder},
                                 {"capture_size", "64GiB"}};
    size_t count = sizeof settings / sizeof *settings - (over == CAPTURED ? 0 : on_disk(over) ? 1 : 2);
    return cluster_new("raft", settings, count, NULL, e);
}

static uint32_t value_size(const struct bench_case *k) {
    return k->bytes ? k->bytes : VALUE;
}

/* [0]: of the one that proposes. */
static void choose_cpus(int cpus[NODES]) {
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < NODES; i++) cpus[i] = i % (n > 0 ? n : 1);
}

#define LOOK_NS 50000000 /* how often a wait looks for Ctrl-C */

/* Until the condition holds, for so long at most. */
static bool wait_for(struct cluster *c, const struct condition *condition) {
    int64_t until = c->class->now(c->runtime) + PATIENCE_S * INT64_C(1000000000);
    qrt_status status = QRT_MORE;
    while (status == QRT_MORE && !interrupt_seen()) status = c->class->run(c->runtime, until, condition, LOOK_NS);
    return status == QRT_OK;
}

static qrt_status load(struct cluster *c, uint16_t leader, const struct load_spec *spec, struct load_report *r,
                       struct error *e) {
    uint64_t number;
    struct ticket t;
    struct bytes data;
    qrt_status status = live_load(c->runtime, leader, spec, &number);
    if (status) return error_set(e, status, "the leader is down or takes no such load");
    struct condition answered = {CONDITION_TICKET, 0, number};
    if (!wait_for(c, &answered) || !c->class->ticket(c->runtime, number, &t, &data) || t.status ||
        data.size != sizeof *r)
        return error_set(e, QRT_EUNKNOWN, "the leader changed while it was measured: try again");
    memcpy(r, data.data, sizeof *r);
    return QRT_OK;
}

struct pair {                     /* a cluster beside what it is measured against */
    struct cluster *live, *other; /* other: NULL, or a cluster too */
    struct bare *bare;
    char folder[64]; /* of a cluster on disk; "": none */
    struct commits commits;
    uint16_t leader, other_leader;
    int cpus[NODES];
};

static struct load_spec warm_up(const struct bench_case *k) {
    return (struct load_spec){.window = k->window, .count = 500 + 4 * k->window, .size = value_size(k)};
}

static uint16_t start(struct cluster *c, const int *cpus, const struct bench_case *k, struct error *e) {
    struct load_spec warm = warm_up(k);
    struct load_report r;
    struct condition led = {.kind = CONDITION_LEADER};
    if (!c) return 0;
    uint16_t leader = wait_for(c, &led) ? c->class->leader(c->runtime) : 0;
    if (!leader) error_set(e, QRT_ENOLEADER, "nobody came to lead the cluster that was to be measured: try again");
    for (uint16_t i = 1; leader && i <= NODES; i++) live_pin(c->runtime, i, cpus[(i + NODES - leader) % NODES]);
    return leader && !load(c, leader, &warm, &r, e) ? leader : 0;
}

/* Not below /tmp, which may be memory. */
static qrt_status open_folder(struct pair *p, struct error *e) {
    snprintf(p->folder, sizeof p->folder, "quorate-bench-live-%d", (int)getpid());
    if (!mkdir(p->folder, 0700)) return QRT_OK;
    return error_set(e, QRT_EIO, "%s cannot be made: %s", p->folder, strerror(errno));
}

static qrt_status pair_open(struct pair *p, const struct bench_case *k, struct error *e) {
    struct load_spec warm = warm_up(k);
    struct load_report r;
    char data[80];
    choose_cpus(p->cpus);
    if ((on_disk(k->size) || k->size == CAPTURED) && open_folder(p, e)) return e->status;
    if (k->size == ON_DISK && commits_open(&p->commits, p->folder, 1, NULL, e)) return e->status;
    if (k->size == ON_ONE_DISK && commits_open(&p->commits, p->folder, NODES, p->cpus, e)) return e->status;
    snprintf(data, sizeof data, "%s/data", p->folder);
    p->live = live_cluster(k, k->size, data, e);
    if (p->live && !(p->leader = start(p->live, p->cpus, k, e))) return e->status;
    if (k->size == OVER_CURVE || k->size == CAPTURED) {
        if (!e->status) p->other = live_cluster(k, k->size == CAPTURED ? OVER_INPROC : OVER_TCP, data, e);
        if (p->other) p->other_leader = start(p->other, p->cpus, k, e);
    } else if (!e->status && !on_disk(k->size)) {
        p->bare = bare_new(k->size == OVER_TCP, value_size(k), p->cpus, e);
        if (p->bare) bare_rounds(p->bare, &warm, &r, e);
    }
    return e->status;
}

static void pair_close(struct pair *p) {
    if (p->live) cluster_free(p->live);
    if (p->other) cluster_free(p->other);
    bare_free(p->bare);
    commits_close(&p->commits);
    if (*p->folder) place_remove(p->folder);
}

static qrt_status baseline(struct pair *p, const struct load_spec *spec, struct load_report *r, struct error *e) {
    if (p->other) return load(p->other, p->other_leader, spec, r, e);
    return p->commits.count ? commits_run(&p->commits, spec, r, e) : bare_rounds(p->bare, spec, r, e);
}

static qrt_status run_live(const struct bench_case *k, struct sample *s, struct error *e) {
    struct pair p = {0};
    struct load_spec slice = {.window = k->window, .count = k->commits / SLICES, .size = value_size(k)};
    struct load_report r;
    int64_t ours = 0, theirs = 0;
    qrt_status status = pair_open(&p, k, e);
    for (int i = 0; i < SLICES && !status; i++) {
        status = baseline(&p, &slice, &r, e);
        theirs += status ? 0 : r.ns;
        if (!status) status = load(p.live, p.leader, &slice, &r, e);
        ours += status ? 0 : r.ns;
    }
    double unit = k->bytes ? k->bytes / 1e6 : 1;
    s->baseline = per_second(k->commits, theirs) * unit;
    s->value = per_second(k->commits, ours) * unit;
    pair_close(&p);
    return status;
}
/* Open: one proposal is due each interval. Half of what the cluster commits with the window full, in proposals a second. */
static qrt_status half_load(const struct bench_case *k, struct pair *p, struct load_spec *spec, struct error *e) {
    struct load_report r;
    struct load_spec full = {.window = k->window, .count = k->commits, .size = VALUE};
    qrt_status status = load(p->live, p->leader, &full, &r, e);
    *spec = (struct load_spec){.window = 4096, .count = k->commits / 2, .size = VALUE};
    if (!status) spec->interval = 2 * r.ns / full.count;
    return status;
}

static double latency_us(const struct bench_case *k, const struct load_report *r) {
    return (double)(k->permille == 500 ? r->p50 : k->permille == 990 ? r->p99 : r->p999) / 1e3;
}

/* The baseline: bare rounds at the same times. */
static qrt_status run_latency(const struct bench_case *k, struct sample *s, struct error *e) {
    struct pair p = {0};
    struct load_spec half;
    struct load_report r = {0};
    qrt_status status = pair_open(&p, k, e);
    if (!status) status = half_load(k, &p, &half, e);
    if (!status) status = baseline(&p, &half, &r, e);
    s->baseline = latency_us(k, &r);
    if (!status) status = load(p.live, p.leader, &half, &r, e);
    s->value = latency_us(k, &r);
    s->extra = status ? 0 : 1e6 / (double)half.interval; /* thousands a second */
    pair_close(&p);
    return status;
}

/* ---- frames by themselves ---- */

struct pipe {
    void *context, *in, *out;
    struct outbox outbox;
};

/* As many at a time as fit a window: a step's outbox, the messages that it becomes, their receiver. */
static bool pass_frames(struct pipe *p, const struct bench_case *k, const uint8_t *value) {
    struct message m = {.kind = WIRE_CLIENT_REQUEST, .as.client_request.data = bytes_of(value, k->bytes)};
    zmq_msg_t one;
    bool sound = true;
    for (uint32_t i = 0; i < k->window && sound; i++) {
        outbox_clear(&p->outbox);
        outbox_send(&p->outbox, 2, &m, 0, 0, 0);
        struct effect *e = &p->outbox.effects[0];
        struct parcel bare = {.frame = effect_bytes(e, p->outbox.arena.data), .size = e->size};
        struct parcel parcel = e->blob ? parcel_large(bare.head, e->blob) : bare;
        sound = parcel_pack(&one, &parcel, NULL) && zmq_msg_send(&one, p->out, 0) >= 0;
        blob_unref(&e->blob);
    }
    zmq_msg_init(&one);
    for (uint32_t i = 0; i < k->window && sound; i++)
        sound = zmq_msg_recv(&one, p->in, 0) >= 0 && zmq_msg_size(&one) > k->bytes;
    zmq_msg_close(&one);
    return sound;
}

/* large: from which size on frames are not copied; 0: all are. */
static int64_t time_frames(struct pipe *p, const struct bench_case *k, const uint8_t *value, uint32_t large) {
    p->outbox.large = large;
    int64_t begin = stopwatch_ns();
    for (uint32_t i = 0; i < k->commits; i += k->window)
        if (interrupt_seen() || !pass_frames(p, k, value)) return -1;
    return stopwatch_ns() - begin;
}

/* The same frames with and without the copy, in turn. */
static qrt_status run_frames(const struct bench_case *k, struct sample *s, struct error *e) {
    struct pipe p = {.context = zmq_ctx_new()};
    uint8_t *value = mem_zero(k->bytes, 1);
    int64_t ns = 0, copied = 0, ours = 0;
    p.in = zmq_socket(p.context, ZMQ_PULL);
    p.out = zmq_socket(p.context, ZMQ_PUSH);
    bool sound = p.in && p.out && !zmq_bind(p.in, "inproc://frames") && !zmq_connect(p.out, "inproc://frames");
    for (uint32_t i = 0; i < 2 * SLICES && sound && ns >= 0; i++) {
        ns = time_frames(&p, k, value, i % 2);
        *(i % 2 ? &ours : &copied) += ns;
    }
    if (p.in) zmq_close(p.in);
    if (p.out) zmq_close(p.out);
    zmq_ctx_term(p.context);
    outbox_free(&p.outbox);
    free(value);
    s->baseline = per_second((uint64_t)SLICES * k->commits, copied) * k->bytes / 1e6;
    s->value = per_second((uint64_t)SLICES * k->commits, ours) * k->bytes / 1e6;
    return sound && ns >= 0 ? QRT_OK : error_set(e, QRT_EIO, "frames over inproc failed: %s", strerror(errno));
}
#else
static qrt_status run_frames(const struct bench_case *k, struct sample *s, struct error *e) {
    (void)k;
    (void)s;
    return error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
}

static qrt_status run_latency(const struct bench_case *k, struct sample *s, struct error *e) {
    (void)k;
    (void)s;
    return error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
}

static qrt_status run_live(const struct bench_case *k, struct sample *s, struct error *e) {
    (void)k;
    (void)s;
    return error_set(e, QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
}
#endif

#define BARE "; against quorum rounds of bare ZeroMQ"

#define LARGE " of this size; against quorum rounds of bare ZeroMQ with messages of this size"

#define FRAMES "made, sent over inproc and let go, without a copy; against the same with one"

#define COMMITS "; against bare group commits of as many"
#define THREE "; against three that commit such groups on this disk at once, over with the second"

#define SYNCED "processes over tcp, synced before it is acknowledged"

#define LATENCY "thousand proposals a second over tcp, half of full load; against bare rounds at the same times"

/* clang-format off */
const struct bench_case bench_live_cases[] = {
    {"live", "live/tcp-w1",     "commits/s", OVER_TCP,    3, 1,  false, 8000,   run_live, "processes over tcp without CURVE" BARE},
    {"live", "live/tcp-w64",    "commits/s", OVER_TCP,    3, 64, false, 200000, run_live, "processes over tcp without CURVE" BARE},
    {"live", "live/inproc-w1",  "commits/s", OVER_INPROC, 3, 1,  false, 20000,  run_live, "threads" BARE},
    {"live", "live/inproc-w64", "commits/s", OVER_INPROC, 3, 64, false, 200000, run_live, "threads" BARE},
    {"live", "live/durable-w1",   "commits/s", ON_DISK,   3, 1,   false, 1000,  run_live, SYNCED COMMITS},
    {"live", "live/durable-w64",  "commits/s", ON_DISK,   3, 64,  false, 40000, run_live, SYNCED COMMITS},
    {"live", "live/durable-w256", "commits/s", ON_DISK,   3, 256, false, 80000, run_live, SYNCED COMMITS},
    {"live", "live/one-disk-w1", "commits/s", ON_ONE_DISK, 3, 1, false, 1000, run_live, SYNCED THREE},
    {"live", "live/one-disk-w64", "commits/s", ON_ONE_DISK, 3, 64, false, 40000, run_live, SYNCED THREE},
    {"live", "live/one-disk-w256", "commits/s", ON_ONE_DISK, 3, 256, false, 80000, run_live, SYNCED THREE},
    {"live", "live/latency-p50",  "us", OVER_TCP, 3, 64, false, 50000, run_latency, LATENCY, 500},
    {"live", "live/latency-p99",  "us", OVER_TCP, 3, 64, false, 50000, run_latency, LATENCY, 990},
    {"live", "live/latency-p999", "us", OVER_TCP, 3, 64, false, 50000, run_latency, LATENCY, 999},
    {"live", "live/curve-w1",   "commits/s", OVER_CURVE,  3, 1,  false, 8000,   run_live, "processes over tcp with CURVE; against the same without it"},
    {"live", "live/curve-w64",  "commits/s", OVER_CURVE,  3, 64, false, 100000, run_live, "processes over tcp with CURVE; against the same without it"},
    {"live", "live/capture-w1",  "commits/s", CAPTURED,   3, 1,  false, 20000,  run_live, "threads that capture what they do; against the same without it"},
    {"live", "live/capture-w64", "commits/s", CAPTURED,   3, 64, false, 200000, run_live, "threads that capture what they do; against the same without it"},
    {"large", "large/tcp-1k-w16", "MB/s", OVER_TCP, 3, 16, false, 40000, run_live, "values" LARGE, 0, 1 << 10},
    {"large", "large/tcp-16k-w1", "MB/s", OVER_TCP, 3, 1, false, 6000, run_live, "values" LARGE, 0, 16 << 10},
    {"large", "large/tcp-16k-w16", "MB/s", OVER_TCP, 3, 16, false, 12000, run_live, "values" LARGE, 0, 16 << 10},
    {"large", "large/tcp-64k-w1", "MB/s", OVER_TCP, 3, 1, false, 2400, run_live, "values" LARGE, 0, 64 << 10},
    {"large", "large/tcp-64k-w16", "MB/s", OVER_TCP, 3, 16, false, 4800, run_live, "values" LARGE, 0, 64 << 10},
    {"large", "large/inproc-16k-w16", "MB/s", OVER_INPROC, 3, 16, false, 12000, run_live, "values" LARGE, 0, 16 << 10},
    {"large", "large/inproc-64k-w16", "MB/s", OVER_INPROC, 3, 16, false, 4800, run_live, "values" LARGE, 0, 64 << 10},
    {"large", "large/frame-1k", "MB/s", 0, 0, 16, false, 400000, run_frames, FRAMES, 0, 1024},
    {"large", "large/frame-4k", "MB/s", 0, 0, 16, false, 122070, run_frames, FRAMES, 0, 4096},
    {"large", "large/frame-8k", "MB/s", 0, 0, 16, false, 61035, run_frames, FRAMES, 0, 8192},
    {"large", "large/frame-16k", "MB/s", 0, 0, 16, false, 30517, run_frames, FRAMES, 0, 16384},
    {"large", "large/frame-64k", "MB/s", 0, 0, 16, false, 16000, run_frames, FRAMES, 0, 65536},
    {"large", "large/frame-256k", "MB/s", 0, 0, 16, false, 16000, run_frames, FRAMES, 0, 262144},
};
/* clang-format on */
const size_t bench_live_count = sizeof bench_live_cases / sizeof *bench_live_cases;
