/* The sockets of an actor, and who may reach them.
 *
 * inproc: one PULL bound, one PUSH to each peer, all in one context; what runs in one process is trusted.
 * ipc, tcp: one ROUTER bound, on a listening descriptor that the owner made before any node ran, so that a restarted node
 * is found where it was; one DEALER to each peer, for sending only. Both ends are bounded and never block.
 *
 * With CURVE a node is who its key says: the doorman (live_doorman.c) runs before the bind and names the sender of every
 * message by its key. A frame that claims another sender is rejected (actor_arrivals). Options follow what was measured on
 * libzmq 4.3.4: without a limit of the handshake's time silent connections hold their descriptors. Only a node by hand sends
 * by its ROUTER, and then with ROUTER_MANDATORY.
 *
 * ZeroMQ's heartbeats are not used, because they abort libzmq 4.3.4 (upstream issue 4364, "!_io_error" in out_event; seen here in
 * a soak of kills and pauses, and at will since). A connection whose queue is full is not read; when its peer goes, it leaves the
 * poller; and the next heartbeat, whose interval is below its timeout, asserts that it is still there. On the side that
 * connects there is 3937 ("_input_stopped", explained in pull request 4830): the heartbeat's timeout replaces such a
 * connection. Without heartbeats of our own there are no such timers. TCP's keepalive finds dead hosts instead.
 *
 * A PING of the peer's is answered all the same. Were it read ahead behind a full queue, and had the peer reset the connection
 * since, it would meet the same assertion. So with CURVE an inbox has no high-water mark: it is always read, and what a peer
 * may make it hold is the guard's alone to limit, by bytes (live_guard.c). Without keys a byte could become a message of 64,
 * which no guard could keep up with, so there the mark stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "base/check.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"
#include "runtime/live/live_reach.h"

#define HANDSHAKE_MS 2000
#define RECONNECT_MS 10
#define RECONNECT_MAX_MS 100
#define LAST_WORD_MS 2000
#define KEEPALIVE_S 2 /* idle, and between two probes */
#define KEEPALIVE_COUNT 3
#define HOST_GONE_MS 5000      /* without an answer to what was sent; by hand a pause stops no process */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN /* in every libzmq since 4.3.0, in its header only among the drafts */
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif
#define AHEAD_NS INT64_C(1000000000) /* a frame from further in the future than that is no peer's */

/* ---- making them ---- */

static qrt_status socket_fail(const struct actor *a, const char *what, struct error *e) {
    return error_set(e, QRT_EIO, "%s of node %u's sockets failed: %s", what, a->id, zmq_strerror(zmq_errno()));
}

/* A ROUTER names peers that give no name by a number that it counts up from rand(), and takes such a name from a peer as well: when
 * the count comes to one that is taken, the process ends. The context has set rand() by the clock; so it is set anew. */
static void unguessable(void) {
    unsigned seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) srand(seed);
}

static void *pass(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* libzmq makes its threads with the first socket, and ends the process where the system gives it none: so they are tried out. */
static qrt_status threads_exist(struct live *l, struct error *e) {
    pthread_t made[2];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int wanted = live_apart(l) ? 2 : 1, count = 0, number = 0;
    pthread_mutex_lock(&gate); /* all of them at a time */
    while (count < wanted && !(number = pthread_create(&made[count], NULL, pass, &gate))) count++;
    pthread_mutex_unlock(&gate);
    while (count) pthread_join(made[--count], NULL);
    if (!number) return QRT_OK;
    return error_set(e, QRT_EIO, "the system gives no threads for ZeroMQ: %s; see ulimit -u", strerror(number));
}

qrt_status live_context(struct live *l, int sockets, struct error *e) {
    if (threads_exist(l, e)) return e->status;
    l->context = zmq_ctx_new();
    if (live_apart(l)) unguessable();
    if (l->context && !zmq_ctx_set(l->context, ZMQ_IO_THREADS, live_apart(l)) &&
        (sockets < 1000 || !zmq_ctx_set(l->context, ZMQ_MAX_SOCKETS, sockets)))
        return QRT_OK;
    return error_set(e, QRT_EIO, "ZeroMQ gives no context: %s", zmq_strerror(zmq_errno()));
}

static bool set_number(void *socket, int option, int value) {
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_text(void *socket, int option, const char *value) {
    return zmq_setsockopt(socket, option, value, strlen(value)) == 0;
}

static bool between_hosts(const struct actor *a) {
    return a->live->hand || a->live->remote;
}

static bool set_apart(const struct actor *a, void *s) {
    int64_t largest = WIRE_FRAME_MAX + (int64_t)sizeof(struct envelope);
    if (between_hosts(a) && !set_number(s, ZMQ_IPV6, 1)) return false;
    return set_number(s, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0;
}

/* The kernel finds out whether the other host is there. A node that is paused is: its kernel answers. */
static bool set_keepalive(const struct actor *a, void *s) {
    if (between_hosts(a) && !set_number(s, ZMQ_TCP_MAXRT, HOST_GONE_MS)) return false;
    return set_number(s, ZMQ_TCP_KEEPALIVE, 1) && set_number(s, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S) &&
           set_number(s, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S) && set_number(s, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT);
}

/* Without keys whoever can open a Unix socket can pose as a node: so only the user's own processes may. Libzmq calls the option
 * old and has no other that acts before the first byte. */
static bool set_own_user(const struct actor *a, void *s) {
    uid_t user = geteuid();
    bool local = !strncmp(a->live->gates.endpoints[a->id], "ipc://", 6);
    return a->live->gates.curve || !local || zmq_setsockopt(s, ZMQ_IPC_FILTER_UID, &user, sizeof user) == 0;
}

static bool set_inbox(struct actor *a, void *s, int listener) {
    const struct gates *g = &a->live->gates;
    char domain[24];
    if (listener == -1) return true;
    snprintf(domain, sizeof domain, "%016llx", (unsigned long long)a->live->cluster_id);
    if (!set_apart(a, s) || !set_keepalive(a, s) || !set_own_user(a, s) ||
        (listener >= 0 && !set_number(s, ZMQ_USE_FD, listener)))
        return false;
    /* By hand clients are answered by their routes, also with a last word. */
    if (a->live->hand && (!set_number(s, ZMQ_ROUTER_MANDATORY, 1) || !set_number(s, ZMQ_LINGER, LAST_WORD_MS)))
        return false;
    return !g->curve || (set_number(s, ZMQ_CURVE_SERVER, 1) && set_text(s, ZMQ_CURVE_SECRETKEY, g->secret_key) &&
                         set_text(s, ZMQ_ZAP_DOMAIN, domain) && set_number(s, ZMQ_ZAP_ENFORCE_DOMAIN, 1));
}

static bool set_outbox(struct actor *a, void *s, uint16_t peer) {
    const struct gates *g = &a->live->gates;
    if (!live_apart(a->live)) return true;
    int slow = reach_patience(a, peer);
    if (!set_apart(a, s) || !set_number(s, ZMQ_IMMEDIATE, 1) ||
        !set_number(s, ZMQ_RECONNECT_IVL, slow ? slow : RECONNECT_MS) ||
        !set_number(s, ZMQ_RECONNECT_IVL_MAX, slow ? slow : RECONNECT_MAX_MS) ||
        !set_number(s, ZMQ_RCVHWM, a->live->remote ? LIVE_HIGH_WATER : 1) || !set_keepalive(a, s))
        return false;
    return !g->curve ||
           (set_text(s, ZMQ_CURVE_SERVERKEY, g->public_keys[peer]) &&
            set_text(s, ZMQ_CURVE_PUBLICKEY, g->public_keys[a->id]) && set_text(s, ZMQ_CURVE_SECRETKEY, g->secret_key));
}

static void address_of(const struct live *l, uint16_t id, char *out, size_t size) {
    if (live_apart(l))
        snprintf(out, size, "%s", l->gates.endpoints[id]);
    else
        snprintf(out, size, "inproc://actor-%u", id);
}

qrt_status actor_bind(struct actor *a, int listener, struct error *e) {
    char address[ENDPOINT_MAX];
    size_t size = sizeof a->inbox_signal;
    bool apart = live_apart(a->live);
    address_of(a->live, a->id, address, sizeof address);
    a->inbox = zmq_socket(a->live->context, apart ? ZMQ_ROUTER : ZMQ_PULL);
    int most = apart && a->live->gates.curve ? 0 : LIVE_HIGH_WATER;
    if (!a->inbox || !set_number(a->inbox, ZMQ_RCVHWM, most) || !set_number(a->inbox, ZMQ_LINGER, 0) ||
        !set_inbox(a, a->inbox, listener) || zmq_getsockopt(a->inbox, ZMQ_FD, &a->inbox_signal, &size))
        return socket_fail(a, "the making", e);
    if (apart && doorman_start(a->live, a->inbox, e)) return e->status;
    if (zmq_bind(a->inbox, address)) return socket_fail(a, "the binding", e);
    if (a->live->hand) return QRT_OK;
    if (!apart) return actor_rope(a, address, e);
    snprintf(address, sizeof address, "inproc://orders-%u", a->id);
    return zmq_bind(a->inbox, address) ? socket_fail(a, "the binding", e) : actor_rope(a, address, e);
}

qrt_status actor_connect_to(struct actor *a, uint16_t peer, struct error *e) {
    char address[ENDPOINT_MAX];
    address_of(a->live, peer, address, sizeof address);
    void *s = a->out[peer] = zmq_socket(a->live->context, live_apart(a->live) ? ZMQ_DEALER : ZMQ_PUSH);
    if (!s || !set_number(s, ZMQ_SNDHWM, LIVE_HIGH_WATER) || !set_number(s, ZMQ_LINGER, 0) || !set_outbox(a, s, peer))
        return socket_fail(a, "the connecting", e);
    reach_watch(a, peer);
    return zmq_connect(s, address) ? socket_fail(a, "the connecting", e) : QRT_OK;
}

void actor_disconnect(struct actor *a, uint16_t peer) {
    if (!a->out[peer]) return;
    reach_leave(a, peer);
    zmq_close(a->out[peer]);
    a->out[peer] = NULL;
}

qrt_status actor_connect(struct actor *a, struct error *e) {
    qrt_status status = QRT_OK;
    for (uint16_t i = 0; i <= live_node_count(a->live) && !status; i++)
        if (i != a->id && (i || !a->live->hand)) status = actor_connect_to(a, i, e);
    return status;
}

void actor_unplug(struct actor *a) {
    actor_unrope(a);
    if (a->inbox) zmq_close(a->inbox);
    for (uint16_t i = 0; a->out && i <= live_node_count(a->live); i++) actor_disconnect(a, i);
}

/* ---- receiving ---- */

#define STRANGER UINT16_MAX

/* Whose key it was: a node, 0 for the owner's clients. */
static uint16_t sender_of(zmq_msg_t *m) {
    const char *user = zmq_msg_gets(m, "User-Id");
    char *end;
    if (!user || !*user) return STRANGER;
    unsigned long number = strtoul(user, &end, 10);
    return *end || number > FAULT_NODES_MAX ? STRANGER : (uint16_t)number;
}

/* The next message's last part in m; of how many parts, and how large they are together. */
static bool next_message(struct actor *a, zmq_msg_t *m, int *parts, size_t *bytes) {
    *parts = 1;
    if (!actor_next(a, m)) return false;
    for (*bytes = zmq_msg_size(m); zmq_msg_more(m); ++*parts) { /* a message comes whole: its further parts are there */
        if (zmq_msg_recv(m, a->inbox, ZMQ_DONTWAIT) < 0) return false;
        *bytes += zmq_msg_size(m);
    }
    return true;
}

/* The envelope's sender is the key's, and so is the frame's, unless its seal says that it was damaged on the way. */
static bool entitled(const struct actor *a, const struct envelope *head, struct bytes frame, zmq_msg_t *m,
                     uint16_t *sender) {
    bool client = head->from > QRT_CLIENT;
    uint16_t inside;
    *sender = client ? 0 : head->from;
    if (a->live->gates.curve) *sender = sender_of(m);
    if (*sender > live_node_count(a->live) || *sender == a->id) return false;
    if (client ? *sender != 0 : *sender != head->from || head->from == 0) return false;
    if (a->id ? head->to != a->id : head->to <= QRT_CLIENT) return false;
    if (head->sent < 0) return false;
    if (head->sent > a->time + AHEAD_NS && head->sent > live_now(a->live) + AHEAD_NS) return false;
    memcpy(&inside, frame.data + WIRE_FROM, sizeof inside);
    return inside == head->from || !wire_is_sealed(frame, a->live->cluster_id);
}

void actor_reject(struct actor *a, uint16_t sender) {
    a->time = journal_open(&a->journal, a->live, 0);
    qrt_event e = {a->time, a->id ? a->id : (uint16_t)QRT_CLIENT, 0, QRT_KIND_REJECT, QRT_DROP_FOREIGN, sender, 0, 0, 0,
                   0};
    trace_emit(&a->trace, &e);
    journal_close(&a->journal);
    if (a->id) a->live->nodes[a->id].host.counts.rejected++; /* shown with the next input's */
}

size_t actor_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self) {
    if (a->live->hand) return hand_arrivals(a, each, self);
    if (a->live->remote) return remote_arrivals(a, each, self);
    bool apart = live_apart(a->live);
    size_t count = 0, most = actor_burst_limit(a), bytes;
    int parts;
    zmq_msg_t m;
    zmq_msg_init(&m);
    for (; count < most && next_message(a, &m, &parts, &bytes); count++) {
        if (actor_pulled(a, &m)) continue;
        struct envelope head = {0};
        size_t size = zmq_msg_size(&m);
        uint8_t *data = zmq_msg_data(&m);
        uint16_t sender = STRANGER;
        QUEUE_ACQUIRE(a);
        bool sound = parts == (apart ? 2 : 1) && size >= sizeof head + (apart ? WIRE_HEADER : 0);
        CHECK(sound || apart); /* nobody but our own actors can reach an inproc socket */
        if (sound) memcpy(&head, data, sizeof head);
        struct bytes frame = sound ? bytes_of(data + sizeof head, size - sizeof head) : (struct bytes){0};
        bool right = !apart || (sound && entitled(a, &head, frame, &m, &sender));
        doorman_took(a->live, &m, bytes, right ? sender : -1);
        if (!right) {
            actor_reject(a, sender == STRANGER ? 0 : sender);
            continue;
        }
        struct arrival arrival = {head.from, head.to, head.sent, frame};
        each(self, &arrival);
    }
    zmq_msg_close(&m);
    actor_burst_was(a, count);
    return count;
}
