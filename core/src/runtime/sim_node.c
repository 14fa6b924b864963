/* The simulator's nodes: boot, crash, restart, pause, clocks, disks, and carrying out the plan's directives. */
#include "runtime/opening.h"
#include "runtime/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FLUSH_WAITS UINT64_MAX         /* the disk finished while the node was paused; taken up again on resume */
#define WALL_EPOCH 1700000000000000000 /* where every wall clock begins, ns since 1970 */

static int64_t scaled(int64_t elapsed, double ppm) {
    return elapsed + (int64_t)((double)elapsed * ppm / 1e6);
}

/* Sets the host's clocks for an input at the present time. */
void sim_clock(struct sim *s, struct sim_node *n) {
    int64_t elapsed = s->now - n->mono_at;
    n->host.time = s->now;
    n->host.mono = n->mono_base + (n->drift_ppm == 0 ? elapsed : scaled(elapsed, n->drift_ppm));
    n->host.wall = WALL_EPOCH + n->host.mono + n->offset;
}

static void emit(struct sim *s, uint16_t node, uint8_t kind, uint8_t detail, uint64_t index) {
    qrt_event e = {s->now, node, 0, kind, detail, 0, 0, index, 0, 0};
    trace_emit(&s->trace, &e);
}

/* ---- the port ---- */

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    struct sim *s = runtime;
    struct sim_node *n = &s->nodes[h->config.node];
    int64_t due = NO_TIMER;
    if (delay != INT64_MAX) { /* the node counts by its own clock: a fast one rings early */
        /* Never before its own clock says so: rounded up, or a timer of the last nanosecond would ring for ever. */
        if (n->drift_ppm != 0) delay = (int64_t)((double)delay / (1 + n->drift_ppm / 1e6)) + 2;
        due = s->now + (delay > 0 ? delay : 0);
    }
    timers_set(s, &n->timers, h->config.node, group, id, due);
}

static void queue_flush(struct sim *s, struct sim_node *n, int64_t time) {
    uint32_t slot = slot_take(s);
    slot_at(s, slot)->type = SLOT_FLUSH;
    slot_at(s, slot)->to = n->host.config.node;
    n->flush_busy = true;
    n->flush_order = s->heap.sequence << HEAP_SLOT_BITS | slot;
    sim_schedule(s, time, slot);
}

static void port_persist(void *runtime, struct host *h) {
    struct sim *s = runtime;
    struct sim_node *n = &s->nodes[h->config.node];
    struct error e = {0};
    if (n->flush_busy || !host_flush_begin(h, &e)) return;
    const struct cluster_options *o = &s->config.options;
    int64_t latency = o->write + o->sync;
    if (o->disk_jitter > 0) latency += (int64_t)random_below(&n->disk_random, (uint64_t)o->disk_jitter + 1);
    queue_flush(s, n, s->now + latency);
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    struct sim *s = runtime;
    (void)h;
    tickets_answer(&s->tickets, a, s->now);
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    struct sim *s = runtime;
    struct sim_node *n = &s->nodes[h->config.node];
    if (why == QRT_OK) return; /* an armed crash: sim_node_after sees it */
    n->death = why;
    snprintf(n->death_text, sizeof n->death_text, "%s", text);
    driver_die(h);
}

const struct host_port sim_port = {sim_port_send, port_timer, port_persist, port_answer, port_died};

/* ---- life and death ---- */

static struct store_identity identity_of(const struct sim *s, uint16_t node) {
    return (struct store_identity){sim_cluster_id(s), node};
}

static struct disk *fresh_disk(const struct sim *s, uint16_t node) {
    const struct cluster_options *o = &s->config.options;
    struct disk_sim_options profile = {o->write, o->sync, o->disk_jitter};
    return disk_sim_new(&profile, (uint64_t)o->seed, node);
}

qrt_status sim_node_boot(struct sim *s, uint16_t node, struct error *e) {
    struct sim_node *n = &s->nodes[node];
    const struct cluster_options *o = &s->config.options;
    struct host_config config = {
        .node = node,
        .cluster_id = identity_of(s, node).cluster_id,
        .seed = (uint64_t)o->seed,
        .members = s->members,
        .member_count = (uint16_t)o->nodes,
        .protocol = s->config.protocol,
        .protocol_options = s->config.protocol_options,
        .bugs = s->config.bugs,
        .machine = s->config.machine,
        .sessions_limit = (uint32_t)o->sessions,
        .inline_store = o->disk == DISK_MEMORY,
        .watch = &s->config.watch,
        .quorum = &s->config.quorum,
    };
    n->disk_random = random_stream((uint64_t)o->seed, node, RANDOM_DISK);
    n->death = QRT_OK;
    struct store *store = NULL;
    if (o->disk != DISK_MEMORY) {
        qrt_status status = store_open(&store, fresh_disk(s, node), identity_of(s, node), true, &(bool){false}, e);
        if (status) return status;
    }
    host_init(&n->host, &config, store, &sim_port, s, &s->trace);
    n->host.capture = sim_capture_of(s, node);
    sim_clock(s, n);
    qrt_status status = host_start(&n->host, QRT_START_FORMAT, e);
    sim_node_after(s, n);
    return status;
}

void sim_node_crash(struct sim *s, uint16_t node, uint8_t fate) {
    struct sim_node *n = &s->nodes[node];
    if (!n->host.up) return;
    if (n->wiped) n->wiped = !host_caught_up(&n->host);
    s->counts.crashes++;
    bool in_step = n->host.dying;
    qrt_event event = {s->now, node, 0, QRT_KIND_CRASH, fate, 0, 0, in_step ? n->host.effects_done : 0, in_step, 0};
    trace_emit(&s->trace, &event);
    host_stop(&n->host);
    timers_clear(s, &n->timers);
    tickets_orphan(&s->tickets, node, s->now);
    n->flush_busy = false;
    n->paused = false;
    for (size_t i = 0; i < n->waiting_count; i++) slot_release(s, slot_at(s, n->waiting[i]), n->waiting[i]);
    n->waiting_count = 0;
    if (!n->host.store) return;
    n->disk = store_release(&n->host.store);
    disk_sim_crash(n->disk, (qrt_disk_fate)fate);
    n->wiped = n->wiped || disk_forgets(fate);
    s->counts.wipes += fate == QRT_DISK_WIPED;
}

qrt_status sim_node_restart(struct sim *s, uint16_t node, struct error *e) {
    struct sim_node *n = &s->nodes[node];
    if (n->host.up) return QRT_OK;
    if (!n->disk && s->config.options.disk != DISK_MEMORY)
        return n->death;           /* its store was found damaged: it stays down */
    uint8_t how = QRT_START_WIPED; /* as it is without a disk */
    if (n->disk) {
        struct disk *disk = n->disk;
        n->disk = NULL;
        qrt_status status = opening_store(&n->host.store, disk, identity_of(s, node), s->config.protocol,
                                          (uint16_t)s->config.options.nodes, &how, e);
        if (status) {
            snprintf(n->death_text, sizeof n->death_text, "%s", e ? e->text : "its store cannot be opened");
            n->death = status;
            return status;
        }
    }
    if (n->host.store && n->filled) store_fill(n->host.store, true);
    s->counts.restarts++;
    n->death = QRT_OK;
    n->death_text[0] = 0;
    sim_clock(s, n);
    qrt_status status = host_start(&n->host, how, e);
    host_look(&n->host);
    sim_node_after(s, n);
    return status;
}

void sim_node_pause(struct sim *s, uint16_t node) {
    struct sim_node *n = &s->nodes[node];
    if (!n->host.up || n->paused) return;
    n->paused = true;
    s->counts.pauses++;
    emit(s, node, QRT_KIND_PAUSE, 0, 0);
}

/* What came while it was paused is delivered now, in order, and overdue timers ring behind it. */
void sim_node_resume(struct sim *s, uint16_t node) {
    struct sim_node *n = &s->nodes[node];
    if (!n->paused) return;
    n->paused = false;
    emit(s, node, QRT_KIND_RESUME, 0, 0);
    for (size_t i = 0; i < n->waiting_count; i++) sim_schedule(s, s->now, n->waiting[i]);
    n->waiting_count = 0;
    for (size_t i = 0; i < n->timers.count; i++) {
        struct sim_timer *t = &n->timers.timers[i];
        if (t->due != NO_TIMER && t->queued_time == NO_TIMER) timers_set(s, &n->timers, node, t->group, t->id, s->now);
    }
    if (n->flush_busy && n->flush_order == FLUSH_WAITS) queue_flush(s, n, s->now);
    sim_clock(s, n);
    host_look(&n->host);
    sim_node_after(s, n);
}

/* A paused node hears of it when it goes on. */
void sim_node_fill(struct sim *s, uint16_t node, bool full) {
    struct sim_node *n = &s->nodes[node];
    if (n->filled == full) return;
    n->filled = full;
    if (n->disk) n->disk->class->fill(n->disk, full);
    if (!n->host.store) return;
    store_fill(n->host.store, full);
    if (n->paused || !n->host.up) return;
    sim_clock(s, n);
    host_look(&n->host);
    sim_node_after(s, n);
}

void sim_node_flushed(struct sim *s, uint16_t node, uint64_t order) {
    struct sim_node *n = &s->nodes[node];
    struct error e = {0};
    if (!n->host.up || !n->flush_busy || n->flush_order != order) return; /* of an earlier incarnation */
    if (n->paused) {
        n->flush_order = FLUSH_WAITS;
        return;
    }
    n->flush_busy = false;
    sim_clock(s, n);
    if (host_flush_end(&n->host, &e)) port_died(s, &n->host, e.status, e.text);
    host_look(&n->host);
    sim_node_after(s, n);
}

void sim_node_after(struct sim *s, struct sim_node *n) {
    if (__builtin_expect(!n->host.dying, 1)) return;
    if (n->death != QRT_OK) s->counts.raised++;
    uint16_t node = n->host.config.node;
    uint8_t fate = n->crash_guarded ? sim_fate_guarded(s, node, n->crash_fate) : n->crash_fate;
    sim_node_crash(s, node, n->death != QRT_OK ? QRT_DISK_KEPT : fate);
}
