/* What a checkpoint does to its node: a Raft group of one member over a real folder, whose key-value store is full. Bursts of writes
 * go through it, each flushed, as a live node's thread does; the longest burst while a checkpoint is taken and saved is what the node
 * was held up by. The baseline is the same node on a disk that has no thread, so that all of it is done within the burst.
 *
 * The folder is made in the current one, which must lie on a real disk: on tmpfs a sync costs nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/check.h"
#include "base/interrupt.h"
#include "cluster/bench_case.h"
#include "machine/command.h"
#include "runtime/host.h"

enum { VALUE = 4096, BURST = 64, CHECKPOINTS = 3 };
#define ELECTION_NS INT64_C(10000000000) /* longer than any timeout */

struct node {
    struct host host;
    struct trace trace;
    struct disk_class without; /* a thread */
    uint32_t timer;            /* set last */
    uint64_t keys, written;
    uint8_t value[VALUE];
    struct buffer command;
    int64_t held_up; /* the longest burst with a checkpoint, ns */
    struct error error;
};

static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    (void)runtime, (void)h, (void)to, (void)frame, (void)size;
}

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    (void)h, (void)group;
    if (delay != INT64_MAX) ((struct node *)runtime)->timer = id;
}

static void port_persist(void *runtime, struct host *h) {
    (void)runtime, (void)h;
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    (void)runtime, (void)h, (void)a;
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    struct node *n = runtime;
    (void)h;
    error_set(&n->error, why, "%s", text);
}

static const struct host_port port = {port_send, port_timer, port_persist, port_answer, port_died};

/* Until nothing waits for the disk. */
static void flush(struct node *n) {
    while (!n->error.status && host_flush_begin(&n->host, &n->error)) {
        if (host_flush_end(&n->host, &n->error)) return;
    }
    if (!n->error.status && host_saving_ended(&n->host)) host_saved(&n->host, &n->error);
}

static void set_time(struct node *n, int64_t now) {
    n->host.time = n->host.mono = n->host.wall = now;
}

static void write_one(struct node *n) {
    char key[32];
    snprintf(key, sizeof key, "key-%" PRIu64, n->written++ % n->keys);
    struct command c = {.operation = COMMAND_PUT, .key = bytes_text(key), .value = bytes_of(n->value, VALUE)};
    buffer_clear(&n->command);
    command_encode(&c, &n->command);
    host_propose(&n->host, 0, bytes_of(n->command.data, n->command.size), n->written);
}

static void burst(struct node *n) {
    const struct instance *in = &n->host.instances[0];
    uint64_t before = in->checkpoint.index;
    bool saving = n->host.saving != 0;
    int64_t begin = stopwatch_ns();
    set_time(n, begin + ELECTION_NS);
    for (int i = 0; i < BURST; i++) write_one(n);
    flush(n);
    int64_t spent = stopwatch_ns() - begin;
    saving = saving || in->checkpoint.index != before;
    if (saving && spent > n->held_up) n->held_up = spent;
}

/* Fills the store, with checkpoints on the way, then goes over it again until it was saved so many times whole. */
static void work(struct node *n) {
    uint64_t end = (1 + CHECKPOINTS) * n->keys + 2 * BURST;
    while (n->written < end && !n->error.status && !interrupt_seen()) {
        if (n->written < n->keys) n->held_up = 0;
        burst(n);
    }
}

/* ---- its life ---- */

static void *options_new(const struct protocol *raft, uint64_t threshold, struct error *e) {
    char text[24];
    void *options = mem_zero(1, raft->options_size);
    snprintf(text, sizeof text, "%" PRIu64, threshold);
    option_defaults(&raft->options, options);
    if (option_set(&raft->options, &options, 1, "snapshot_threshold", text, e)) CHECK(false && "raft has this option");
    return options;
}

static struct store *store_new(struct node *n, const char *folder, bool apart) {
    struct store *store = NULL;
    bool wiped;
    struct disk *disk = disk_posix_new(folder, &n->error);
    if (!disk) return NULL;
    if (!apart) {
        n->without = *disk->class;
        n->without.save = NULL;
        disk->class = &n->without;
    }
    return store_open(&store, disk, (struct store_identity){1, 1}, true, &wiped, &n->error) ? NULL : store;
}

static void host_begin(struct node *n, struct store *store, const void *options) {
    static const uint16_t members[] = {1};
    struct host_config config = {.node = 1,
                                 .cluster_id = 1,
                                 .seed = 1,
                                 .members = members,
                                 .member_count = 1,
                                 .protocol = protocol_find("raft"),
                                 .protocol_options = options,
                                 .machine = machine_find("kv"),
                                 .sessions_limit = 16};
    host_init(&n->host, &config, store, &port, n, &n->trace);
    set_time(n, stopwatch_ns());
    if (host_start(&n->host, QRT_START_FORMAT, &n->error)) return;
    set_time(n, n->host.time + ELECTION_NS);
    host_timer(&n->host, 0, n->timer); /* it stands for election, and is its own majority */
    flush(n);
    struct protocol_status st;
    config.protocol->status(n->host.instances[0].state, &st);
    CHECK(st.role == QRT_ROLE_LEADER);
}

static void unlink_one(void *folder, const char *name, uint64_t size) {
    char *path = mem_format("%s/%s", (const char *)folder, name);
    (void)size;
    unlink(path);
    free(path);
}

static void host_end(struct node *n, char *folder) {
    host_stop(&n->host);
    struct disk *disk = store_release(&n->host.store);
    disk->class->list(disk, unlink_one, folder, NULL);
    disk->class->free(disk);
    host_free(&n->host);
    unlink_one(folder, "lock", 0);
    rmdir(folder);
}

/* The longest burst in ms, of a state of so many MiB. */
static qrt_status measure(uint32_t mib, bool apart, double *held_up, struct error *e) {
    struct node *n = mem_zero(1, sizeof *n);
    char folder[64];
    n->keys = (uint64_t)mib * (1 << 20) / VALUE;
    snprintf(folder, sizeof folder, "quorate-bench-%d", (int)getpid());
    trace_init(&n->trace, 0);
    void *options = options_new(protocol_find("raft"), n->keys, &n->error);
    struct store *store = store_new(n, folder, apart);
    if (store) {
        host_begin(n, store, options);
        work(n);
        host_end(n, folder);
    }
    *held_up = (double)n->held_up / 1e6;
    qrt_status status = n->error.status;
    if (status) error_set(e, status, "%s", n->error.text);
    trace_free(&n->trace);
    buffer_free(&n->command);
    free(options);
    free(n);
    return status;
}

/* Memory as a node has it: what is large comes from the kernel, and goes back to it. */
static void fresh_memory(bool fresh) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, fresh ? 32 << 20 : 1 << 30);
#else
    (void)fresh;
#endif
}

static qrt_status run_checkpoint(const struct bench_case *k, struct sample *s, struct error *e) {
    fresh_memory(true);
    qrt_status status = measure(k->size, false, &s->baseline, e);
    if (!status) status = measure(k->size, true, &s->value, e);
    fresh_memory(false);
    return status;
}

#define SAYS "the longest burst of 64 writes with a checkpoint, against taking and saving it within the burst"

/* clang-format off */
const struct bench_case bench_checkpoint_cases[] = {
    {"checkpoint", "checkpoint/4m",  "ms", 4,  0, 0, false, 0, run_checkpoint, SAYS, 0, 0},
    {"checkpoint", "checkpoint/16m", "ms", 16, 0, 0, false, 0, run_checkpoint, SAYS, 0, 0},
    {"checkpoint", "checkpoint/64m", "ms", 64, 0, 0, false, 0, run_checkpoint, SAYS, 0, 0},
};
/* clang-format on */
const size_t bench_checkpoint_count = sizeof bench_checkpoint_cases / sizeof *bench_checkpoint_cases;
