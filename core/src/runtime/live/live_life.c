/* How live nodes begin, die and come back: disks, clocks, incarnations. A thread's crash abandons the node's host; of its
 * disk stays what its fate says. Bytes that were not synced were never handed to the kernel's care: a thread's flush writes
 * and syncs in one, and a process holds its writes until the sync (disk_held.c), so a folder loses exactly what was still
 * in the node's buffers. */
#include "runtime/live/live_hand.h"
#include "runtime/live/live_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/live/live_load.h"
#include "runtime/opening.h"

#define ROOM_NS 1000000000             /* between two looks for room on a full disk */
#define WALL_EPOCH 1700000000000000000 /* where every wall clock begins, ns since 1970 */

int64_t node_mono(const struct node_clock *c, int64_t now) {
    int64_t elapsed = now - c->mono_at;
    return c->mono_base + elapsed + (c->drift_ppm == 0 ? 0 : (int64_t)((double)elapsed * c->drift_ppm / 1e6));
}

/* Rebases: the monotonic clock changes its rate, never its reading. */
void node_set_clock(struct node_clock *c, int64_t now, int64_t offset, double drift_ppm) {
    *c = (struct node_clock){node_mono(c, now), now, offset, drift_ppm};
}

void node_clock(struct live_node *n) {
    n->host.time = n->actor.time;
    n->host.mono = node_mono(n->clock, n->actor.time);
    n->host.wall = WALL_EPOCH + n->host.mono + n->clock->offset;
}

/* ---- disks ---- */

struct store_identity live_identity(const struct live *l, uint16_t node) {
    return (struct store_identity){l->cluster_id, node};
}

struct disk *live_disk(struct live *l, uint16_t node, struct error *e) {
    char path[OPTION_TEXT_MAX + 16];
    if (l->config.options.disk == DISK_SIM) {
        struct disk_sim_options instant = {0};
        return disk_sim_new(&instant, (uint64_t)l->config.options.seed, node);
    }
    snprintf(path, sizeof path, "%s/n%u", l->config.options.data, node);
    struct disk *folder = disk_posix_new(path, e);
    return folder && (l->agent || l->hand) ? disk_held_new(folder) : folder;
}

static void see_file(void *context, const char *name, uint64_t size) {
    (void)name;
    (void)size;
    *(bool *)context = false;
}

qrt_status node_store(struct live *l, uint16_t node, struct disk *disk, uint8_t *how, struct error *e) {
    struct live_node *n = &l->nodes[node];
    qrt_status status =
        opening_store(&n->host.store, disk, live_identity(l, node), l->config.protocol, live_node_count(l), how, e);
    if (!status && *how == QRT_START_DAMAGED)
        log_line(l->log, LOG_WARN, node, "its data is damaged: %s", store_damage(n->host.store));
    return status;
}

/* The first start formats; later ones never do, so that a node that has lost its folder knows that it forgot something.
 * Where not one node has anything durable, nothing was ever promised, and it is the first start still. */
static qrt_status open_stores(struct live *l, struct disk **disks, bool format, struct error *e) {
    bool nothing = true;
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        struct live_node *n = &l->nodes[i];
        struct disk *disk = disks[i];
        disks[i] = NULL;
        n->start = QRT_START_FORMAT;
        qrt_status status = format ? store_open(&n->host.store, disk, live_identity(l, i), true, &n->wiped, e)
                                   : node_store(l, i, disk, &n->start, e);
        if (status) return status;
        n->wiped = start_forgot(n->start);
        nothing = nothing && n->start == QRT_START_WIPED;
    }
    for (uint16_t i = 1; nothing && i <= live_node_count(l); i++) {
        l->nodes[i].start = QRT_START_FORMAT;
        l->nodes[i].wiped = false;
    }
    return QRT_OK;
}

qrt_status live_disks(struct live *l, struct error *e) {
    struct disk *disks[FAULT_NODES_MAX + 1] = {NULL};
    const struct cluster_options *o = &l->config.options;
    bool empty = true;
    qrt_status status = QRT_OK;
    for (uint16_t i = 1; i <= live_node_count(l); i++) l->nodes[i].start = QRT_START_FORMAT;
    if (o->disk == DISK_MEMORY) return QRT_OK;
    if (o->disk == DISK_FOLDER && mkdir(o->data, 0700) && errno != EEXIST)
        return error_set(e, QRT_EIO, "the folder %s cannot be made: %s", o->data, strerror(errno));
    for (uint16_t i = 1; i <= live_node_count(l) && !status; i++) {
        disks[i] = live_disk(l, i, e);
        status = disks[i] ? disks[i]->class->list(disks[i], see_file, &empty, e) : e->status;
    }
    if (!status) status = open_stores(l, disks, empty, e);
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        if (disks[i]) disks[i]->class->free(disks[i]);
    return status;
}

static void note_name(void *context, const char *name, uint64_t size) {
    (void)size;
    buffer_append(context, name, strlen(name) + 1);
}

static void wipe_disk(struct disk *disk) {
    struct buffer names = {0};
    disk->class->list(disk, note_name, &names, NULL);
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1)
        disk->class->remove(disk, (char *)names.data + at, NULL);
    disk->class->sync_folder(disk, NULL);
    buffer_free(&names);
}

void node_wipe(struct live *l, uint16_t node) {
    struct error e = {0};
    struct disk *disk = l->config.options.disk == DISK_FOLDER ? live_disk(l, node, &e) : NULL;
    if (!disk) return;
    wipe_disk(disk);
    disk->class->free(disk);
}

/* Each time another sector, and other bits. */
static void damage_disk(struct live *l, uint16_t node, struct disk *disk) {
    struct random r = random_stream((uint64_t)l->config.options.seed ^ (uint64_t)live_now(l), node, RANDOM_DISK);
    disk_damage(disk, &r);
}

void node_damage(struct live *l, uint16_t node) {
    struct error e = {0};
    struct disk *disk = l->config.options.disk == DISK_FOLDER ? live_disk(l, node, &e) : NULL;
    if (!disk) return;
    damage_disk(l, node, disk);
    disk->class->free(disk);
}

/* ---- incarnations ---- */

qrt_status node_start(struct live_node *n, struct error *e) {
    struct live *l = n->actor.live;
    struct store *store = n->host.store;
    struct host_config config = {
        .node = n->actor.id,
        .cluster_id = l->cluster_id,
        .seed = (uint64_t)l->config.options.seed,
        .members = l->members,
        .member_count = live_node_count(l),
        .protocol = l->config.protocol,
        .protocol_options = l->config.protocol_options,
        .bugs = l->config.bugs,
        .machine = l->config.machine,
        .sessions_limit = (uint32_t)l->config.options.sessions,
        .inline_store = l->config.options.disk == DISK_MEMORY,
        .bursts = true,
        .watch = &l->config.watch,
        .quorum = &l->config.quorum,
    };
    host_init(&n->host, &config, store, &live_port, l, &n->actor.trace);
    if (*l->config.options.capture) {
        n->host.capture = capture_open(l->config.options.capture, n->actor.id, l->config.options.capture_size);
        capture_tap(n->host.capture, &n->actor.trace);
    }
    if (l->agent) agent_begin(n);
    if (l->hand) n->host.sends = hand_sends();
    n->actor.time = journal_open(&n->actor.journal, l, 0);
    node_clock(n);
    qrt_status status = host_start(&n->host, n->start, e);
    if (!status) node_fill(n, true);
    node_after(n);
    journal_close(&n->actor.journal);
    return status;
}

/* A wipe or damage that would leave more than a minority to catch up loses what was unsynced instead. */
uint8_t live_fate_guarded(struct live *l, uint16_t node, uint8_t fate) {
    struct live_node *n = &l->nodes[node];
    uint16_t nodes = live_node_count(l), behind = 1;
    if (!disk_forgets(fate)) return fate;
    pthread_mutex_lock(&l->wipe_mutex);
    for (uint16_t i = 1; i <= nodes; i++) {
        struct live_node *other = &l->nodes[i];
        robust_lock(&other->shown->mutex);
        if (other != n && other->shown->lagging) behind++;
        pthread_mutex_unlock(&other->shown->mutex);
    }
    if (behind > (nodes - 1) / 2) fate = QRT_DISK_UNSYNCED_LOST;
    robust_lock(&n->shown->mutex);
    n->shown->lagging = n->shown->lagging || disk_forgets(fate); /* from now on, for whoever asks next */
    pthread_mutex_unlock(&n->shown->mutex);
    pthread_mutex_unlock(&l->wipe_mutex);
    return fate;
}

static uint8_t node_fate_guarded(struct live_node *n, uint8_t fate) {
    return n->host.up ? live_fate_guarded(n->actor.live, n->actor.id, fate) : fate;
}

void node_crash_guarded(struct live_node *n, uint8_t fate) {
    node_crash(n, node_fate_guarded(n, fate));
}

static void meter(struct live_node *n, const struct node_view *v) {
    struct meters *m = &n->shown->meters;
    bool leaderless = v->up && !v->status.leader;
    memcpy(m->drops, n->actor.drops, sizeof m->drops);
    m->drops[QRT_DROP_DISK] = v->counts.disk_dropped;
    m->slow_flushes = n->slow_flushes;
    if (leaderless == (m->leaderless_since != 0)) return;
    int64_t now = live_now(n->actor.live);
    if (!leaderless) m->leaderless += now - m->leaderless_since;
    m->leaderless_since = leaderless ? now : 0;
}

static void drop_arrival(void *self, const struct arrival *arrival) {
    struct live_node *n = self;
    actor_drop(&n->actor, arrival->from, arrival->to, QRT_DROP_DOWN, wire_id(arrival->frame.data));
}

void node_crash(struct live_node *n, uint8_t fate) {
    struct live *l = n->actor.live;
    if (!n->host.up) return;
    if (n->wiped) n->wiped = !host_caught_up(&n->host);
    n->actor.counts.crashes++;
    bool in_step = n->host.dying;
    uint64_t effects = in_step ? n->host.effects_done : 0;
    host_emit(&n->host, 0, QRT_KIND_CRASH, fate, 0, 0, effects, in_step, 0);
    host_stop(&n->host);
    alarms_clear(&n->actor.alarms);
    n->paused = n->flush_wanted = false;
    load_stop(n);
    pthread_mutex_lock(&l->ticket_mutex);
    tickets_orphan(&l->tickets, n->actor.id, n->actor.time);
    pthread_mutex_unlock(&l->ticket_mutex);
    live_ring(l);
    if (!n->host.store) return;
    n->disk = store_release(&n->host.store);
    if (l->config.options.disk == DISK_SIM)
        disk_sim_crash(n->disk, (qrt_disk_fate)fate);
    else if (fate == QRT_DISK_WIPED)
        wipe_disk(n->disk);
    else if (fate == QRT_DISK_DAMAGED && !l->hand)
        damage_disk(l, n->actor.id, n->disk);
    if (l->hand) { /* what was held back is forgotten with it */
        n->disk->class->free(n->disk);
        n->disk = NULL;
        if (fate == QRT_DISK_DAMAGED) node_damage(l, n->actor.id);
    }
    n->wiped = n->wiped || disk_forgets(fate);
    n->actor.counts.wipes += fate == QRT_DISK_WIPED;
}

bool node_open(struct live_node *n, uint8_t *how) {
    struct live *l = n->actor.live;
    struct error e = {0};
    struct disk *disk = n->disk;
    n->disk = NULL;
    *how = QRT_START_WIPED; /* as it is without a disk */
    if (l->config.options.disk == DISK_MEMORY) return true;
    if (!disk && l->config.options.disk != DISK_FOLDER) return false; /* an earlier restart's reason stands */
    if (!disk) disk = live_disk(l, n->actor.id, &e);
    n->death = disk ? node_store(l, n->actor.id, disk, how, &e) : e.status;
    snprintf(n->death_text, sizeof n->death_text, "%s", e.text);
    return n->death == QRT_OK;
}

/* ---- room ---- */

void node_fill(struct live_node *n, bool anew) {
    struct live *l = n->actor.live;
    pthread_mutex_lock(&l->fault_mutex);
    bool full = faults_full(l->faults, n->actor.id);
    pthread_mutex_unlock(&l->fault_mutex);
    bool changes = full != n->filled || anew;
    n->filled = full;
    if (!changes || !n->host.up || !n->host.store) return;
    n->room_at = 0;
    store_fill(n->host.store, full);
    if (!n->paused) host_look(&n->host);
}

/* A flush tells by itself; this is for a node that writes nothing, and for one that waits for room. */
void node_look(struct live_node *n) {
    if (!n->host.up || !n->host.store) return;
    int64_t now = n->host.full ? live_now(n->actor.live) : n->actor.time;
    if (now < n->room_at) return;
    n->room_at = now + ROOM_NS;
    if (!n->filled) store_look(n->host.store);
    if (store_full(n->host.store) == n->host.full) return;
    node_input(n, 0);
    host_look(&n->host);
    node_input_end(n);
}

/* What goes wrong stays in the node's view. */
void node_restart(struct live_node *n) {
    struct error e = {0};
    uint8_t how = QRT_START_RECOVERED;
    if (n->host.up) return;
    /* What was sent to it while it was down must not reach the next incarnation. */
    while (actor_arrivals(&n->actor, drop_arrival, n)) continue;
    if (!node_open(n, &how)) return;
    n->actor.counts.restarts++;
    n->death = QRT_OK;
    n->death_text[0] = 0;
    if (host_start(&n->host, how, &e)) {
        n->death = e.status;
        snprintf(n->death_text, sizeof n->death_text, "%s", e.text);
        driver_die(&n->host);
    }
    node_fill(n, true);
}

void node_after(struct live_node *n) {
    if (__builtin_expect(!n->host.dying, 1)) return;
    if (n->actor.live->agent) agent_die(n);
    if (n->death != QRT_OK) n->actor.counts.raised++;
    uint8_t fate = n->crash_guarded ? node_fate_guarded(n, n->crash_fate) : n->crash_fate;
    node_crash(n, n->death != QRT_OK ? QRT_DISK_KEPT : fate);
}

/* In place, with the mutex, as this is done after every burst; true: something that others may wait for is new. What is not said
 * here is nobody's, or its owner's: pid. */
static bool show(const struct live_node *n, const struct protocol_status *now, struct node_view *v) {
    const struct host *h = &n->host;
    struct live *l = n->actor.live;
    bool news = v->up != h->up || v->status.role != now->role || v->status.term != now->term;
    v->node = n->actor.id;
    v->up = h->up;
    v->paused = n->paused;
    v->late = n->late;
    v->late_at = n->late_at;
    v->status = *now;
    v->counts = h->counts;
    v->refused = atomic_load_explicit(&l->refused, memory_order_relaxed);
    v->shut = atomic_load_explicit(&l->shut, memory_order_relaxed);
    v->unaccepted = atomic_load_explicit(&l->unaccepted, memory_order_relaxed);
    v->full = h->full;
    v->filled = n->filled;
    v->reserve = h->up && h->store ? store_reserve(h->store) : 0;
    v->skipped = h->up && h->store ? store_skipped(h->store) : 0;
    watch_suspects(h, v->suspects);
    v->captured = v->uncaptured = 0;
    v->why_uncaptured[0] = v->why_down[0] = 0;
    capture_view(h->capture, v);
    view_damage(h, v);
    if (!h->up) snprintf(v->why_down, sizeof v->why_down, "%s", n->death_text);
    return news;
}

void node_publish(struct live_node *n) {
    struct shown *shown = n->shown;
    const struct instance *in = &n->host.instances[0];
    struct protocol_status now = {0};
    if (n->host.up) in->protocol->status(in->state, &now);
    now.applied = in->applied;
    if (n->wiped) n->wiped = !host_caught_up(&n->host);
    robust_lock(&shown->mutex);
    bool news = show(n, &now, &shown->view);
    shown->counts = n->actor.counts;
    shown->lagging = n->wiped;
    meter(n, &shown->view);
    pthread_mutex_unlock(&shown->mutex);
    log_look(n, &shown->view); /* nobody else writes it while this thread is there */
    if (news) live_ring(n->actor.live);
}
