/* The guard: what one peer may make a node hold.
 *
 * libzmq bounds the size of a frame and the number of complete messages that wait. Neither bounds a message of many frames
 * whose last one never comes: it is kept until it is complete (measured on 4.3.4: 600 MiB resident from one such peer).
 * Strangers end at the handshake, so this is about a peer with an allowed key that has gone mad, and about strangers that
 * connect and say nothing.
 *
 *   bytes that have come on the connection
 *   - bytes that the node has taken from it, message by message     = what is held for it
 *
 * That is summed over the connections of a key, and over those that have not said yet whose they are: the key is known with the
 * first message that the node takes. Where it is more than the limit, the connection that holds most is shut down; libzmq then
 * drops what it has kept. A key's connections and handshakes are counted too. Every message is counted with more overhead than
 * it has on the wire, and the two sums start anew whenever nothing is held, so neither that surplus nor a long life is a
 * credit. What is never taken by the node are ZeroMQ's own commands. Nodes send none once the handshake is over; a peer that
 * sends heartbeats all the same comes to its limit in hours, and its connection is renewed without being called an offender.
 *
 * What a node by hand owes to a client counts as held as well: answers that libzmq has not sent, because he does not read.
 *
 * What has come over tcp says the kernel (TCP_INFO). A Unix socket has no such count, but an offset for those who peek
 * (SO_PEEK_OFF), which goes down by each byte that is taken from the socket. Nobody peeks here, so it is the count of what
 * libzmq has read; it begins when the doorman hears of the connection.
 *
 * Invariants
 *  1. A connection is an inode. A descriptor that has come to stand for something else is never shut down: the duplicate
 *     that is shut down was seen to have the inode.
 *  2. `taken` of a descriptor only grows and has one writer, the node's thread; the rest is the doorman's. */
#include "runtime/live/live_guard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"
#include "runtime/live/live_hand.h"

#define OVERHEAD 64     /* of a message on the wire: CURVE makes it 42 */
#define QUIET_RATE 4096 /* bytes a second: slower, it is ZeroMQ's commands */
#define CURVE_BYTES 500 /* a handshake has more; its first half has less */
#define PLAIN_BYTES 80
#define HANDSHAKE_NS INT64_C(3000000000) /* more than a handshake may take (live_socket.c) */
#define UNNAMED 0
#define PLACES 8            /* addresses of a key */
#define COUNT_MAX INT32_MAX /* where a local connection's count begins, downwards */

struct connection {
    bool used, local;
    bool shaken; /* as much has come as a handshake has */
    size_t key;  /* whose it is: a place among the keys; UNNAMED until its first message was taken */
    uint64_t inode, order;
    uint64_t held;            /* at the last look */
    uint64_t before;          /* local: bytes read before the count was last set to COUNT_MAX */
    uint64_t received, taken; /* when nothing was held */
    int64_t since;            /* when that was */
    int64_t seen;             /* the first time */
};

/* Connections that a key was let in with, and those of them that have said something and so are known to be its own. */
struct key_count {
    int64_t who;
    uint64_t admitted, named;
    int64_t next; /* a handshake is due then; many may come before they are due, and then no more (guard_admitted) */
    uint64_t
        places[PLACES]; /* hashes of the addresses that it was let in from; of more than that, any address may be one */
    size_t place_count;
    /* at the last look: */
    size_t open;
    uint64_t held;
};

struct guard {
    bool curve;
    uint64_t handshake_bytes, orders;
    uint64_t unclaimed;   /* handshakes granted to whom has said nothing so far */
    uint64_t turned_away; /* connections that are refused, counted, and still to be closed */
    int top;              /* descriptors below it are or were watched */
    struct connection connections[GUARD_DESCRIPTORS]; /* by descriptor */
    struct {
        atomic_uint_fast64_t taken;
        atomic_int_fast64_t who;
    } from[GUARD_DESCRIPTORS];
    struct key_count *keys; /* the first for all connections that are UNNAMED */
    size_t key_count, key_capacity;
    pthread_mutex_t mutex; /* over the expelled */
    int64_t *expelled;
    size_t expelled_count, expelled_capacity;
};

/* May move the keys: C leaves open whether `g->keys[key_of(...)]` reads their place before or after. */
static size_t key_of(struct guard *g, int64_t who) {
    for (size_t i = 0; i < g->key_count; i++)
        if (g->keys[i].who == who) return i;
    g->keys = mem_grow(g->keys, &g->key_capacity, g->key_count + 1, sizeof *g->keys);
    g->keys[g->key_count] = (struct key_count){.who = who};
    return g->key_count++;
}

struct guard *guard_new(bool curve) {
    struct guard *g = mem_zero(1, sizeof *g);
    g->curve = curve;
    g->handshake_bytes = curve ? CURVE_BYTES : PLAIN_BYTES;
    key_of(g, -1);
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

void guard_free(struct guard *g) {
    pthread_mutex_destroy(&g->mutex);
    free(g->keys);
    free(g->expelled);
    free(g);
}

/* ---- the node's thread ---- */

void guard_took(struct guard *g, int fd, size_t bytes, int64_t who) {
    if (fd < 0 || fd >= GUARD_DESCRIPTORS) return;
    uint64_t before = atomic_load_explicit(&g->from[fd].taken, memory_order_relaxed);
    atomic_store_explicit(&g->from[fd].taken, before + bytes + OVERHEAD, memory_order_relaxed);
    if (atomic_load_explicit(&g->from[fd].who, memory_order_relaxed) != who)
        atomic_store_explicit(&g->from[fd].who, who, memory_order_relaxed);
}

/* ---- connections ---- */

static bool bytes_read(struct connection *w, int fd, uint64_t *received) {
    int left = -1, full = COUNT_MAX;
    socklen_t size = sizeof left;
    if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &left, &size) || left < 0) return false;
    *received = w->before + (uint64_t)(COUNT_MAX - left);
    if (left > COUNT_MAX / 2) return true;
    w->before = *received; /* what is read meanwhile is not counted: once in a gigabyte */
    return !setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &full, sizeof full);
}

static bool bytes_received(struct connection *w, int fd, uint64_t *received) {
    if (w->local) return bytes_read(w, fd, received);
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    bool known = !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) &&
                 size >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;
    *received = known ? info.tcpi_bytes_received : 0;
    return known;
}

static uint64_t inode_of(int fd) {
    struct stat about;
    return fstat(fd, &about) ? 0 : (uint64_t)about.st_ino;
}

/* False: the descriptor has come to stand for something else, which is left alone. */
static bool shut(int fd, uint64_t inode) {
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return false;
    bool same = inode && inode_of(own) == inode;
    if (same) shutdown(own, SHUT_RDWR);
    close(own);
    return same;
}

static bool same_port(in_port_t number, const char *address) {
    const char *port = strrchr(address, ':');
    return port && ntohs(number) == strtoul(port + 1, NULL, 10);
}

/* A name in the abstract namespace begins with a zero byte, which an address says as "@". */
static bool same_path(const struct sockaddr_un *own, const char *address) {
    if (strncmp(address, "ipc://", 6)) return false;
    const char *path = address + 6;
    if (own->sun_path[0]) return !strncmp(own->sun_path, path, sizeof own->sun_path);
    return path[0] == '@' && !strncmp(own->sun_path + 1, path + 1, sizeof own->sun_path - 1);
}

/* Is its own end what the monitor says it was accepted at? By now the number may be another connection's. */
static bool comes_to(int fd, const char *address, bool *local) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &size)) return false;
    *local = own.ss_family == AF_UNIX;
    if (*local) return same_path((struct sockaddr_un *)&own, address);
    if (own.ss_family == AF_INET6) return same_port(((struct sockaddr_in6 *)&own)->sin6_port, address);
    return own.ss_family == AF_INET && same_port(((struct sockaddr_in *)&own)->sin_port, address);
}

void guard_accepted(struct guard *g, int fd, const char *address) {
    struct connection w = {.used = true};
    int full = COUNT_MAX;
    if (fd < 0) return;
    if (!comes_to(fd, address, &w.local)) {
        if (g->curve && fd < GUARD_DESCRIPTORS)
            g->connections[fd] = w; /* gone already: guard_closed is to hear of it */
        return;
    }
    if (w.local && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &full, sizeof full)) return;
    if (!bytes_received(&w, fd, &w.received)) return;
    if (!w.local) w.received = 0; /* what came before this was heard of counts as well */
    w.inode = inode_of(fd);
    if (fd >= GUARD_DESCRIPTORS) {
        shut(fd, w.inode);
        return;
    }
    w.order = g->orders++;
    w.taken = atomic_load(&g->from[fd].taken);
    g->connections[fd] = w;
    atomic_store(&g->from[fd].who, -1);
    if (fd >= g->top) g->top = fd + 1;
}

/* ---- whose they are ---- */

static bool comes_from(const struct key_count *k, uint64_t place) {
    for (size_t i = 0; i < k->place_count && i < PLACES; i++)
        if (k->places[i] == place) return true;
    return k->place_count > PLACES;
}

/* Whose handshake has come so far since the last look: one of them is about to be let in, and may be closed before the next. */
static void see_shaken(struct guard *g) {
    for (int fd = 0; fd < g->top; fd++) {
        uint64_t received;
        struct connection *w = &g->connections[fd];
        if (w->used && w->seen && !w->shaken && w->key == UNNAMED && bytes_received(w, fd, &received))
            w->shaken = received >= g->handshake_bytes;
    }
}

bool guard_admitted(struct guard *g, int64_t who, struct bytes address, int64_t now) {
    size_t key = key_of(g, who);
    struct key_count *k = &g->keys[key];
    uint64_t place = hash_bytes(address.data, address.size, 0);
    if (k->next > now + GUARD_AHEAD * GUARD_HANDSHAKE_NS) return false;
    k->next = (k->next > now ? k->next : now) + GUARD_HANDSHAKE_NS;
    k->admitted++;
    g->unclaimed++;
    see_shaken(g);
    if (comes_from(k, place)) return true;
    if (k->place_count < PLACES) k->places[k->place_count] = place;
    k->place_count++;
    return true;
}

/* The hash of a peer's address, as libzmq tells it to the doorman: without its port, but with who is at the other end of a Unix
 * socket. */
static uint64_t place_of(int fd) {
    struct sockaddr_storage peer = {0};
    struct ucred other;
    socklen_t size = sizeof peer, other_size = sizeof other;
    char host[NI_MAXHOST] = "", text[NI_MAXHOST + 48];
    if (getpeername(fd, (struct sockaddr *)&peer, &size) ||
        getnameinfo((struct sockaddr *)&peer, size, host, sizeof host, NULL, 0, NI_NUMERICHOST))
        return 0;
    snprintf(text, sizeof text, "%s", host);
    if (peer.ss_family == AF_UNIX && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &other_size))
        snprintf(text, sizeof text, "%s:%u:%u:%d", host, other.uid, other.gid, other.pid);
    return hash_bytes(text, strlen(text), 0);
}

static void name(struct guard *g, int fd) {
    struct connection *w = &g->connections[fd];
    int64_t who = atomic_load_explicit(&g->from[fd].who, memory_order_relaxed);
    if (!w->used || w->key != UNNAMED || who < 0) return;
    w->key = key_of(g, who);
    g->keys[w->key].named++;
    if (g->unclaimed) g->unclaimed--;
}

void guard_turned_away(struct guard *g) {
    g->turned_away++;
}

/* With keys, one that is closed, did not go by itself and was never let in is a stranger's. Which those are is not known of connections by which nothing
 * was said; how many of them were let in is. */
void guard_closed(struct guard *g, struct live *l, int fd) {
    if (fd < 0 || fd >= GUARD_DESCRIPTORS) return;
    struct connection *w = &g->connections[fd];
    name(g, fd);
    bool stranger = g->curve && w->used && w->key == UNNAMED;
    w->used = false;
    if (!stranger) return;
    if (g->turned_away)
        g->turned_away--;
    else if ((w->shaken || !w->seen) && g->unclaimed)
        g->unclaimed--;
    else
        atomic_fetch_add(&l->refused, 1);
}

/* ---- looking ---- */

static void measure(struct guard *g, const struct live *l, int fd, uint64_t received, int64_t now) {
    struct connection *w = &g->connections[fd];
    uint64_t taken = atomic_load_explicit(&g->from[fd].taken, memory_order_relaxed);
    uint64_t got = received - w->received, went = taken - w->taken;
    w->held = (got > went ? got - went : 0) + (l->owed ? atomic_load(&l->owed[fd]) : 0);
    if (!w->since) w->since = now;
    if (got > went) return;
    w->received = received;
    w->taken = taken;
    w->since = now;
}

static void shut_offender(struct guard *g, struct live *l, int fd, int64_t now) {
    struct connection *w = &g->connections[fd];
    bool quiet = w->held && (double)(now - w->since) * 1e-9 * QUIET_RATE > (double)w->held;
    if (shut(fd, w->inode) && !quiet) atomic_fetch_add(&l->shut, 1);
    w->used = false;
    if (w->key == UNNAMED && g->unclaimed) g->unclaimed--;
    g->keys[w->key].open--;
    g->keys[w->key].held -= w->held;
}

/* The one of a key that holds most, or that is the oldest. -1: it has none. */
static int worst(const struct guard *g, size_t key, bool oldest) {
    int found = -1;
    for (int fd = 0; fd < g->top; fd++) {
        const struct connection *w = &g->connections[fd], *other = found < 0 ? NULL : &g->connections[found];
        if (!w->used || w->key != key) continue;
        if (!other || (oldest ? w->order < other->order : w->held > other->held)) found = fd;
    }
    return found;
}

/* What all connections of each key make the node hold together, and how many they are. */
static void limit_keys(struct guard *g, struct live *l, int64_t now) {
    for (size_t i = 0; i < g->key_count; i++) g->keys[i].open = g->keys[i].held = 0;
    for (int fd = 0; fd < g->top; fd++) {
        const struct connection *w = &g->connections[fd];
        if (!w->used) continue;
        g->keys[w->key].open++;
        g->keys[w->key].held += w->held;
    }
    for (size_t i = 0; i < g->key_count; i++) {
        const struct key_count *k = &g->keys[i];
        size_t most = i == UNNAMED ? GUARD_STRANGERS + live_node_count(l) : GUARD_CONNECTIONS;
        for (int fd; k->held > (k->who ? LIVE_LINK_BYTES : LIVE_OWNER_BYTES) && (fd = worst(g, i, false)) >= 0;)
            shut_offender(g, l, fd, now);
        for (int fd; k->open > most && (fd = worst(g, i, true)) >= 0;) shut_offender(g, l, fd, now);
    }
}

/* What the key has open. Where it was let in more often than it has spoken, a silent connection may be its own if it comes from
 * where the key did: such ones go as well, and those of others come again. */
static void expel_key(struct guard *g, int64_t gone) {
    size_t key = key_of(g, gone);
    struct key_count *k = &g->keys[key];
    bool silent = k->admitted > k->named;
    for (int fd = 0; fd < g->top; fd++) {
        int64_t who = atomic_load(&g->from[fd].who);
        if (!g->connections[fd].used || (who >= 0 && who != gone)) continue;
        if (who == gone || (silent && comes_from(k, place_of(fd)))) shut(fd, g->connections[fd].inode);
    }
    k->admitted = k->named = k->place_count = 0;
}

static void expel(struct guard *g) {
    pthread_mutex_lock(&g->mutex);
    for (size_t i = 0; i < g->expelled_count; i++) expel_key(g, g->expelled[i]);
    g->expelled_count = 0;
    pthread_mutex_unlock(&g->mutex);
}

/* The oldest of those that have not finished their handshake, until so many are left as may be. */
static void thin_out(struct guard *g, struct live *l, const int *fds, size_t count) {
    for (size_t left = count; left > GUARD_STRANGERS; left--) {
        int oldest = -1;
        for (size_t i = 0; i < count; i++)
            if (g->connections[fds[i]].used &&
                (oldest < 0 || g->connections[fds[i]].order < g->connections[oldest].order))
                oldest = fds[i];
        if (oldest < 0) return;
        if (shut(oldest, g->connections[oldest].inode)) atomic_fetch_add(&l->refused, 1);
        g->connections[oldest].used = false;
    }
}

void guard_look(struct guard *g, struct live *l) {
    int strangers[GUARD_DESCRIPTORS], top = 0;
    size_t count = 0;
    int64_t now = live_now(l);
    for (int fd = 0; fd < g->top; fd++) name(g, fd);
    expel(g);
    for (int fd = 0; fd < g->top; fd++) {
        uint64_t received;
        struct connection *w = &g->connections[fd];
        if (w->used && !bytes_received(w, fd, &received)) w->used = false;
        if (!w->used) continue;
        if (!w->seen) w->seen = now;
        top = fd + 1;
        measure(g, l, fd, received, now);
        w->shaken = received >= g->handshake_bytes;
        /* Libzmq itself ends a handshake that takes longer than that. */
        if (received < g->handshake_bytes && now < w->seen + HANDSHAKE_NS) strangers[count++] = fd;
    }
    g->top = top;
    thin_out(g, l, strangers, count);
    limit_keys(g, l, now);
}

void guard_expel(struct guard *g, int64_t who) {
    bool known = false;
    pthread_mutex_lock(&g->mutex);
    for (size_t i = 0; i < g->expelled_count && !known; i++) known = g->expelled[i] == who;
    if (!known) {
        g->expelled = mem_grow(g->expelled, &g->expelled_capacity, g->expelled_count + 1, sizeof *g->expelled);
        g->expelled[g->expelled_count++] = who;
    }
    pthread_mutex_unlock(&g->mutex);
}

int64_t guard_key(const char *public_key) {
    return (int64_t)(hash_bytes(public_key, strlen(public_key), 0) >> 2 | UINT64_C(1) << 62);
}

/* ---- sums ---- */

uint64_t live_option(const struct live *l, const char *name) {
    const struct option_spec *s = l->config.protocol->options.specs;
    for (; s && s->name; s++) {
        int64_t value;
        if (strcmp(s->name, name)) continue;
        memcpy(&value, (const char *)l->config.protocol_options + s->offset, sizeof value);
        return value > 0 ? (uint64_t)value : 0;
    }
    return 0;
}

/* Bytes of all keys but the nodes'. By hand each client has one. */
static uint64_t clients_limits(const struct live *l) {
    if (!l->hand) return LIVE_OWNER_BYTES;
    pthread_mutex_lock(&l->hand->mutex);
    uint64_t clients = l->hand->config->client_count;
    pthread_mutex_unlock(&l->hand->mutex);
    return clients * LIVE_LINK_BYTES;
}

/* In: its limit for each key, and for those that have not said whose they are, with what a message of a few bytes costs above
 * them; and half a handshake for each stranger. Out: a queue for each link. And what the faults delay, and what the protocol's
 * own options let it keep uncommitted. */
uint64_t live_budget(const struct live *l) {
    uint64_t peers = live_node_count(l) - 1u, limits = (peers + 1) * LIVE_LINK_BYTES + clients_limits(l);
    uint64_t in = LIVE_HELD_COST * limits + (uint64_t)GUARD_STRANGERS * 65536;
    uint64_t out = (peers + 1) * LIVE_HIGH_WATER * 65536;
    return LIVE_BASE_BYTES + in + out + LIVE_DELAYED_BYTES + live_option(l, "max_pending_bytes");
}

/* The owner has a letters' socket, memory and a listener for each node, and the links; a node the links and its files. */
uint64_t live_descriptors(const struct cluster_options *o) {
    uint64_t n = (uint64_t)o->nodes, files = o->disk == DISK_FOLDER ? 8 * n : 0;
    return o->transport == TRANSPORT_INPROC ? (n + 1) * (n + 2) + files : 8 * n + GUARD_STRANGERS + files;
}
