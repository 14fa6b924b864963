/* A node started by hand, in a process of its own: its beginning, its data, its keys, and what its main thread does.
 *
 * Data. The first start of a cluster is an explicit format, which leaves a mark beside the empty store. A node starts
 *   with the mark                 as formatted; the mark goes, durably, before the node says anything: protocols that write nothing
 *                                 must know that this was not its first life
 *   with a store                  as recovered
 *   with neither                  not at all, unless it is told that its data was lost: then it catches up from the others
 *                                 before it votes
 * Writes are held back until the sync (disk_held.c), so that kill -9 loses what a power failure would. The folder's lock
 * refuses a second process.
 *
 * Time is the host's real time, running on by CLOCK_MONOTONIC since the start: traces of several hosts can be laid side by
 * side as far as their clocks agree. The node's own clocks begin at 0, as in every runtime.
 *
 * Faults. Each node has a director and a fault engine of its own, of the same seed; a client that asks for a fault tells all
 * of them. A crash abandons the host inside the process, which stays to be asked and to restart it; what was not synced is
 * lost. A pause stops the host between two inputs.
 *
 * Keys. A reload takes over keys and roles. When a key has gone, the guard closes what it has open, and nothing of others
 * (live_guard.c); what it sent before is rejected. A node whose key has changed is connected to anew. */
#include "runtime/live/live_hand.h"
#include "runtime/live/live_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"

#define MARK "formatted" /* in a node's folder, from its format to its first start */

/* ---- keys ---- */

qrt_status hand_key_new(char public_key[HAND_KEY_TEXT], char secret_key[HAND_KEY_TEXT], struct error *e) {
    if (!zmq_curve_keypair(public_key, secret_key)) return QRT_OK;
    return error_set(e, QRT_EUNSUPPORTED, "this libzmq makes no CURVE keys (%s): install one that does",
                     zmq_strerror(zmq_errno()));
}

bool hand_key_public(const char *secret_key, char public_key[HAND_KEY_TEXT]) {
    return !zmq_curve_public(public_key, secret_key);
}

/* ---- data ---- */

struct found {
    bool mark, root, log;
};

static void see_file(void *context, const char *name, uint64_t size) {
    struct found *f = context;
    (void)size;
    f->mark = f->mark || !strcmp(name, MARK);
    f->root = f->root || !strcmp(name, "root");
    f->log = f->log || !strncmp(name, "wal-", 4);
}

static qrt_status make_folder(const char *data, struct error *e) {
    if (!mkdir(data, 0700) || errno == EEXIST) return QRT_OK;
    return error_set(e, QRT_EIO, "the data folder %s cannot be made: %s", data, strerror(errno));
}

static struct disk *disk_of(const struct hand_config *c, struct error *e) {
    char path[OPTION_TEXT_MAX + 16];
    if (make_folder(c->data, e)) return NULL;
    snprintf(path, sizeof path, "%s/n%u", c->data, c->self);
    return disk_posix_new(path, e);
}

/* What the store says names files only, and no way to start on an empty folder. */
static qrt_status say_where(const struct hand_config *c, struct error *e) {
    struct error said = *e;
    return error_set(e, said.status, "%.160s/n%u: %.320s%s", c->data, c->self, said.text,
                     strstr(said.text, "empty folder") ? ", with --lost-data" : "");
}

static qrt_status leave_mark(struct disk *disk, struct error *e) {
    qrt_status status = disk->class->create(disk, MARK, 0, e);
    return status ? status : disk->class->sync(disk, MARK, e);
}

/* The mark comes first: a store without one has lived. So none may come to a store that is there, which refuses the format. */
qrt_status hand_format(const struct hand_config *c, struct error *e) {
    struct disk *disk = disk_of(c, e);
    struct store *store = NULL;
    struct found found = {0};
    bool wiped;
    if (!disk) return e->status;
    qrt_status status = disk->class->list(disk, see_file, &found, e);
    if (!status && !found.root && !found.log) status = leave_mark(disk, e);
    if (status) {
        disk->class->free(disk);
        return status;
    }
    status = store_open(&store, disk, (struct store_identity){c->cluster_id, c->self}, true, &wiped, e);
    store_free(&store);
    return status ? say_where(c, e) : QRT_OK;
}

static qrt_status refuse_empty(const struct hand_config *c, struct error *e) {
    return error_set(
        e, QRT_ENOTFOUND,
        "%s/n%u holds no data of node %u. If the cluster is new, format it once: quorate-node format FILE %u. "
        "If its data was lost, run it with --lost-data: it catches up from the others before it votes",
        c->data, c->self, c->self, c->self);
}

static qrt_status open_store(struct live *l, struct live_node *n, struct error *e) {
    const struct hand_config *c = l->hand->config;
    struct found found = {0};
    uint8_t how = QRT_START_RECOVERED;
    qrt_status status = make_folder(c->data, e);
    struct disk *disk = status ? NULL : live_disk(l, c->self, e);
    if (!disk) return e->status;
    status = disk->class->list(disk, see_file, &found, e);
    if (!status && !found.root && !found.log && c->begin != HAND_LOST) status = refuse_empty(c, e);
    if (!status && found.mark) status = disk->class->remove(disk, MARK, e);
    if (!status && found.mark) status = disk->class->sync_folder(disk, e);
    if (status) {
        disk->class->free(disk);
        return status;
    }
    status = node_store(l, c->self, disk, &how, e);
    if (status) return say_where(c, e);
    bool first = found.mark && c->begin != HAND_LOST;
    n->start = first ? QRT_START_FORMAT : how;
    n->wiped = start_forgot(n->start);
    return QRT_OK;
}

/* ---- beginning and end ---- */

static void take_config(struct live *l, const struct hand_config *c) {
    l->gates.curve = c->curve;
    memcpy(l->gates.secret_key, c->secret_key, KEY_TEXT);
    for (uint16_t i = 1; i <= c->node_count; i++) {
        memcpy(l->gates.public_keys[i], c->nodes[i].public_key, KEY_TEXT);
        memcpy(l->gates.endpoints[i], i == c->self ? c->nodes[i].bind : c->nodes[i].endpoint, ENDPOINT_MAX);
    }
}

static void begin_time(struct live *l) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    l->epoch = live_now(l) + l->epoch - ((int64_t)real.tv_sec * 1000000000 + real.tv_nsec);
}

/* Frames are numbered on from what no earlier process of this node has come to, so that a captured frame's sending is found:
 * 65,536 a second, from a time on that comes again after half a year. */
uint64_t hand_sends(void) {
    return ((uint64_t)time(NULL) & 0xffffff) << 16;
}

/* ZeroMQ would take an ipc socket's path from whoever listens there. */
static bool somebody_listens(const char *endpoint) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = strncmp(endpoint, "ipc://", 6) ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) return false;
    text_format(address.sun_path, sizeof address.sun_path, "%s", endpoint + 6);
    bool taken = !connect(s, (struct sockaddr *)&address, sizeof address);
    close(s);
    return taken;
}

static qrt_status say_unbound(const struct live *l, int why, struct error *e) {
    const char *advice = why == EADDRINUSE ? "; another process has it: stop that one, or give this node another"
                         : why == EADDRNOTAVAIL || why == ENODEV
                             ? "; it is no address of this host: `bind` says where it listens"
                             : "";
    return error_set(e, QRT_EIO, "node %u cannot listen on %s: %s%s", l->hand->self, l->gates.endpoints[l->hand->self],
                     zmq_strerror(why), advice);
}

static qrt_status begin(struct live *l, struct error *e) {
    uint16_t self = l->hand->self;
    struct live_node *n = &l->nodes[self];
    qrt_status status = log_open_named(l, self, e);
    if (!status) status = live_context(l, live_node_count(l) + 16, e);
    if (!status) status = actor_init(&n->actor, l, self, NULL, NULL, -1, e);
    for (uint16_t i = 1; i <= live_node_count(l); i++) {
        if (i != self) journal_init(&l->nodes[i].actor.journal, NULL, NULL);
        l->nodes[i].actor.id = i;
        node_init(&l->nodes[i]);
    }
    journal_init(&l->clients.actor.journal, NULL, NULL);
    n->clock->mono_at = live_now(l);
    log_tap(n);
    if (!status) status = open_store(l, n, e);
    if (!status && somebody_listens(l->gates.endpoints[self])) status = say_unbound(l, EADDRINUSE, e);
    if (!status && actor_bind(&n->actor, LISTEN_BY_NAME, e)) status = say_unbound(l, zmq_errno(), e);
    if (!status) status = actor_connect(&n->actor, e);
    if (*l->config.options.capture) capture_bury(l->config.options.capture, self, NULL); /* of a run that was killed */
    if (!status) status = node_start(n, e);
    if (!status) status = metrics_start(l, self, self, l->config.options.metrics, e);
    if (status) return status;
    n->shown->view.pid = getpid();
    node_publish(n);
    status = live_thread(&n->actor.thread, &n->actor.running, node_main, n, "qrt-node", e);
    struct director *d = &l->director;
    return status ? status : live_thread(&d->thread, &d->running, director_main, l, "qrt-director", e);
}

void *hand_new(const struct runtime_config *config, struct trace_sink sink, struct error *e) {
    struct live *l = live_empty(config, sink);
    struct hand *h = l->hand = mem_zero(1, sizeof *h);
    h->config = mem_copy(config->hand, sizeof *config->hand);
    h->self = h->config->self;
    h->routes = routes_new();
    l->owed = mem_zero(GUARD_DESCRIPTORS, sizeof *l->owed);
    h->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&h->mutex, NULL);
    l->config.hand = NULL;
    l->cluster_id = h->config->cluster_id;
    begin_time(l);
    take_config(l, h->config);
    if (h->bell >= 0 && !begin(l, e)) return l;
    if (h->bell < 0) error_set(e, QRT_EIO, "no event descriptor: %s", strerror(errno));
    live_free(l);
    return NULL;
}

static struct request *next_request(struct hand *h) {
    pthread_mutex_lock(&h->mutex);
    struct request *r = h->requests;
    if (r) {
        h->requests = r->next;
        h->request_count--;
    }
    if (!h->requests) h->last = NULL;
    pthread_mutex_unlock(&h->mutex);
    return r;
}

static void request_free(struct request *r) {
    buffer_free(&r->text);
    free(r);
}

void hand_free(struct live *l) {
    struct hand *h = l->hand;
    if (!h) return;
    for (struct request *r; (r = next_request(h));) request_free(r);
    hand_unpark(h);
    for (uint16_t i = 1; i <= live_node_count(l); i++)
        if (i != h->self) journal_free(&l->nodes[i].actor.journal);
    journal_free(&l->clients.actor.journal);
    if (h->bell >= 0) close(h->bell);
    pthread_mutex_destroy(&h->mutex);
    free(h->routes);
    free(h->config);
    free(h);
    l->hand = NULL;
}

void hand_leave(struct live *l) {
    struct actor *a = &l->nodes[l->hand->self].actor;
    if (a->inbox) doorman_leave(l, a->inbox);
}

/* ---- the main thread ---- */

int hand_bell(void *runtime) {
    return ((struct live *)runtime)->hand->bell;
}

uint16_t hand_leader(struct live *l) {
    struct live_node *n = &l->nodes[l->hand->self];
    robust_lock(&n->shown->mutex);
    uint16_t leader = n->shown->view.up ? n->shown->view.status.leader : 0;
    pthread_mutex_unlock(&n->shown->mutex);
    return leader;
}

enum hand_state hand_tick(void *runtime, struct error *e) {
    struct live *l = runtime;
    struct hand *h = l->hand;
    struct live_node *n = &l->nodes[h->self];
    struct node_view v;
    uint64_t rings;
    ssize_t ignored = read(h->bell, &rings, sizeof rings);
    (void)ignored;
    live_merge(l, false);
    for (struct request *r; (r = next_request(h));) {
        hand_serve(l, r);
        request_free(r);
    }
    robust_lock(&n->shown->mutex);
    v = n->shown->view;
    pthread_mutex_unlock(&n->shown->mutex);
    pthread_mutex_lock(&h->mutex);
    if (h->death.status) *e = h->death;
    bool dead = h->death.status != QRT_OK;
    pthread_mutex_unlock(&h->mutex);
    if (!dead && !v.up && v.why_down[0]) dead = error_set(e, QRT_EIO, "%.500s", v.why_down) != QRT_OK;
    return dead ? HAND_DEAD : h->stops && live_now(l) >= h->stops ? HAND_STOPS : HAND_RUNS;
}

/* ---- other keys ---- */

static bool key_known(const struct hand_config *c, const char *key) {
    bool known = false;
    for (uint16_t i = 1; i <= c->node_count; i++) known = known || !strcmp(c->nodes[i].public_key, key);
    for (size_t i = 0; i < c->client_count; i++) known = known || !strcmp(c->clients[i].public_key, key);
    return known;
}

static void expel_unknown(struct live *l, const struct hand_config *c, const char *key) {
    if (l->doorman && *key && !key_known(c, key)) doorman_expel(l, guard_key(key));
}

/* Who was let in and would not be any more. */
static void expel_gone(struct live *l, const struct hand_config *old, const struct hand_config *new) {
    for (uint16_t i = 1; i <= old->node_count; i++) expel_unknown(l, new, old->nodes[i].public_key);
    for (size_t i = 0; i < old->client_count; i++) expel_unknown(l, new, old->clients[i].public_key);
}

static bool nodes_changed(const struct hand_config *old, const struct hand_config *new) {
    bool changed = false;
    for (uint16_t i = 1; i <= old->node_count; i++)
        changed = changed || strcmp(old->nodes[i].public_key, new->nodes[i].public_key) != 0;
    return changed;
}

/* The node's thread: sockets belong to it. */
void hand_rekey(struct live_node *n) {
    struct live *l = n->actor.live;
    struct hand *h = l->hand;
    struct error e = {0};
    struct gates old = l->gates;
    pthread_mutex_lock(&h->mutex);
    take_config(l, h->config);
    pthread_mutex_unlock(&h->mutex);
    for (uint16_t i = 1; i <= live_node_count(l) && !e.status; i++) {
        if (i == n->actor.id || !strcmp(old.public_keys[i], l->gates.public_keys[i])) continue;
        actor_disconnect(&n->actor, i);
        actor_connect_to(&n->actor, i, &e);
    }
    if (!e.status) return;
    pthread_mutex_lock(&h->mutex);
    h->death = e;
    pthread_mutex_unlock(&h->mutex);
}

static bool same_members(const struct hand_config *a, const struct hand_config *b) {
    bool same = a->node_count == b->node_count && a->curve == b->curve && !strcmp(a->cluster, b->cluster);
    for (uint16_t i = 1; same && i <= a->node_count; i++)
        same = !strcmp(a->nodes[i].endpoint, b->nodes[i].endpoint) && !strcmp(a->nodes[i].bind, b->nodes[i].bind);
    return same;
}

qrt_status hand_reload(void *runtime, const struct hand_config *config, struct error *e) {
    struct live *l = runtime;
    struct hand *h = l->hand;
    if (!same_members(h->config, config))
        return error_set(
            e, QRT_EUNSUPPORTED,
            "more than keys and roles has changed: restart the node to take over the cluster's name, nodes or "
            "endpoints");
    if (strcmp(h->config->public_key, config->nodes[config->self].public_key))
        return error_set(e, QRT_EUNSUPPORTED, "the node's own key has changed: restart it with its new secret key");
    struct hand_config *new = mem_copy(config, sizeof *config);
    pthread_mutex_lock(&h->mutex);
    struct hand_config *old = h->config;
    h->config = new;
    pthread_mutex_unlock(&h->mutex);
    expel_gone(l, old, new);
    bool changed = nodes_changed(old, new);
    free(old);
    if (!changed) return QRT_OK;
    struct order *o = mem_zero(1, sizeof *o);
    o->kind = ORDER_REKEY;
    order_give(&l->nodes[new->self].actor, o);
    return QRT_OK;
}
