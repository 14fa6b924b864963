/* The guard: what one peer may make a node hold.
 *
 * libzmq bounds the size of a frame and the number of complete messages that wait. Neither bounds a message of many frames
 * whose last one never comes: it is kept until it is complete (measured on 4.3.4: 600 MiB resident from one such peer).
 * Strangers end at the handshake, so this is about a peer with an allowed key that has gone mad, and about strangers that
 * connect and say nothing.
 *
 *   bytes that the kernel has received on the connection (TCP_INFO)
 *   - bytes that the node has taken from it, message by message     = what is held for it
 *
 * A connection for which more is held than its limit is shut down; libzmq then drops what it has kept. Every message is
 * counted with more overhead than it has on the wire, and the two sums start anew whenever nothing is held, so neither that
 * surplus nor a long life is a credit. What is never taken by the node are ZeroMQ's heartbeats: a link on which nothing else
 * is said comes to its limit in hours, and is renewed without being called an offender.
 *
 * Unix sockets have no such count. Their folder is open to the user alone who runs the cluster.
 *
 * Invariants
 *  1. A connection is an inode. A descriptor that has come to stand for something else is never shut down: the duplicate
 *     that is shut down was seen to have the inode.
 *  2. `taken` of a descriptor only grows and has one writer, the node's thread; the rest is the doorman's. */
#include "runtime/live/live_guard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define OVERHEAD 64     /* of a message on the wire: CURVE makes it 42 */
#define QUIET_RATE 4096 /* bytes a second: slower, it is heartbeats */
#define CURVE_BYTES 500 /* a handshake has more; its first half has less */
#define PLAIN_BYTES 80

struct connection {
    bool used;
    uint64_t inode, order;
    uint64_t received, taken; /* when nothing was held */
    int64_t since;            /* when that was */
};

struct guard {
    uint64_t handshake_bytes, orders;
    int top;                                          /* descriptors below it are or were watched */
    struct connection connections[GUARD_DESCRIPTORS]; /* by descriptor */
    struct {
        atomic_uint_fast64_t taken;
        atomic_int who;
    } from[GUARD_DESCRIPTORS];
    atomic_bool expelling, expelled[FAULT_NODES_MAX + 1];
};

struct guard *guard_new(bool curve) {
    struct guard *g = mem_zero(1, sizeof *g);
    g->handshake_bytes = curve ? CURVE_BYTES : PLAIN_BYTES;
    return g;
}

void guard_free(struct guard *g) {
    free(g);
}

/* ---- the node's thread ---- */

void guard_took(struct guard *g, int fd, size_t bytes, int who) {
    if (fd < 0 || fd >= GUARD_DESCRIPTORS) return;
    uint64_t before = atomic_load_explicit(&g->from[fd].taken, memory_order_relaxed);
    atomic_store_explicit(&g->from[fd].taken, before + bytes + OVERHEAD, memory_order_relaxed);
    if (atomic_load_explicit(&g->from[fd].who, memory_order_relaxed) != who)
        atomic_store_explicit(&g->from[fd].who, who, memory_order_relaxed);
}

/* ---- connections ---- */

static bool bytes_received(int fd, uint64_t *received) {
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

/* Is its own end the port that the monitor says it was accepted at? By now the number may be another connection's. */
static bool comes_to(int fd, const char *address) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    const char *port = strrchr(address, ':');
    if (!port || getsockname(fd, (struct sockaddr *)&own, &size)) return false;
    in_port_t number =
        own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port : ((struct sockaddr_in *)&own)->sin_port;
    return (own.ss_family == AF_INET || own.ss_family == AF_INET6) && ntohs(number) == strtoul(port + 1, NULL, 10);
}

void guard_accepted(struct guard *g, int fd, const char *address) {
    uint64_t received;
    if (fd < 0 || !comes_to(fd, address) || !bytes_received(fd, &received)) return;
    if (fd >= GUARD_DESCRIPTORS) {
        shut(fd, inode_of(fd));
        return;
    }
    struct connection *w = &g->connections[fd];
    *w = (struct connection){true, inode_of(fd), g->orders++, received, atomic_load(&g->from[fd].taken), 0};
    atomic_store(&g->from[fd].who, -1);
    if (fd >= g->top) g->top = fd + 1;
}

void guard_closed(struct guard *g, int fd) {
    if (fd >= 0 && fd < GUARD_DESCRIPTORS) g->connections[fd].used = false;
}

/* ---- looking ---- */

static void judge(struct guard *g, struct live *l, int fd, uint64_t received, int64_t now) {
    struct connection *w = &g->connections[fd];
    uint64_t taken = atomic_load_explicit(&g->from[fd].taken, memory_order_relaxed);
    uint64_t got = received - w->received, went = taken - w->taken;
    uint64_t limit = atomic_load_explicit(&g->from[fd].who, memory_order_relaxed) ? LIVE_LINK_BYTES : LIVE_OWNER_BYTES;
    if (went >= got || !w->since) {
        w->received = received;
        w->taken = taken;
        w->since = now;
    } else if (got - went > limit) {
        bool quiet = (double)(now - w->since) * 1e-9 * QUIET_RATE > (double)limit;
        if (shut(fd, w->inode) && !quiet) atomic_fetch_add(&l->shut, 1);
        w->used = false;
    }
}

static bool is_expelled(struct guard *g, int fd) {
    int who = atomic_load(&g->from[fd].who);
    if (who >= 0) return atomic_load(&g->expelled[who]);
    return true; /* it has said nothing yet: if it is another's, it comes again */
}

static void expel(struct guard *g) {
    if (!atomic_exchange(&g->expelling, false)) return;
    for (int fd = 0; fd < g->top; fd++)
        if (g->connections[fd].used && is_expelled(g, fd)) shut(fd, g->connections[fd].inode);
    for (int i = 0; i <= FAULT_NODES_MAX; i++) atomic_store(&g->expelled[i], false);
}

/* The oldest of those that have not finished their handshake, until so many are left as may be. */
static void thin_out(struct guard *g, struct live *l, const int *fds, size_t count) {
    for (; count > GUARD_STRANGERS; count--) {
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
    expel(g);
    for (int fd = 0; fd < g->top; fd++) {
        uint64_t received;
        struct connection *w = &g->connections[fd];
        if (w->used && !bytes_received(fd, &received)) w->used = false;
        if (!w->used) continue;
        top = fd + 1;
        judge(g, l, fd, received, now);
        if (received < g->handshake_bytes) strangers[count++] = fd;
    }
    g->top = top;
    thin_out(g, l, strangers, count);
}

void guard_expel(struct guard *g, uint16_t peer) {
    atomic_store(&g->expelled[peer], true);
    atomic_store(&g->expelling, true);
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

/* In: twice its limit for each link, as a look comes up to GUARD_LOOK_MS late, and half a handshake for each stranger. Out:
 * a queue for each link. And what the faults delay, and what the protocol's own options let it keep uncommitted. */
uint64_t live_budget(const struct live *l) {
    uint64_t peers = live_node_count(l) - 1u;
    uint64_t in = 2 * (peers * LIVE_LINK_BYTES + LIVE_OWNER_BYTES) + (uint64_t)GUARD_STRANGERS * 65536;
    uint64_t out = (peers + 1) * LIVE_HIGH_WATER * 65536;
    return LIVE_BASE_BYTES + in + out + LIVE_DELAYED_BYTES + live_option(l, "max_pending_bytes");
}

/* The owner has a letters' socket, memory and a listener for each node, and the links; a node the links and its files. */
uint64_t live_descriptors(const struct cluster_options *o) {
    uint64_t n = (uint64_t)o->nodes, files = o->disk == DISK_FOLDER ? 8 * n : 0;
    return o->transport == TRANSPORT_INPROC ? (n + 1) * (n + 2) + files : 8 * n + GUARD_STRANGERS + files;
}
