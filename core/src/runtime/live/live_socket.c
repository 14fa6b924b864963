/* The sockets of an actor, and who may reach them.
 *
 * inproc: one PULL bound, one PUSH to each peer, all in one context; what runs in one process is trusted.
 * ipc, tcp: one ROUTER bound, on a listening descriptor that the owner made before any node ran, so that a restarted node
 * is found where it was; one DEALER to each peer, for sending only. Both ends are bounded and never block.
 *
 * With CURVE a node is who its key says: the doorman (ZAP, RFC 27) runs before the bind, admits the keys of this run, and
 * names the sender of every message by its key. A frame that claims another sender is rejected (actor_arrivals). A stranger
 * ends at the handshake. Options follow what was measured on libzmq 4.3.4: without a ZAP handler a CURVE socket accepts
 * any key, and without a limit of the handshake's time silent connections hold their descriptors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/check.h"
#include "runtime/live/live.h"

#define HANDSHAKE_MS 2000
#define RECONNECT_MS 10
#define RECONNECT_MAX_MS 100
#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define WATCH_ENDPOINT "inproc://doorman-watch"
#define WIRE_FROM 12                 /* where a frame has its sender */
#define AHEAD_NS INT64_C(1000000000) /* a frame from further in the future than that is no peer's */

/* ---- making them ---- */

static qrt_status socket_fail(const struct actor *a, const char *what, struct error *e) {
    return error_set(e, QRT_EIO, "%s of node %u's sockets failed: %s", what, a->id, zmq_strerror(zmq_errno()));
}

qrt_status live_context(struct live *l, int sockets, struct error *e) {
    l->context = zmq_ctx_new();
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

static bool set_apart(void *s) {
    int64_t largest = WIRE_FRAME_MAX + (int64_t)sizeof(struct envelope);
    return set_number(s, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0;
}

static bool set_inbox(struct actor *a, void *s, int listener) {
    const struct gates *g = &a->live->gates;
    char domain[24];
    if (listener < 0) return true;
    snprintf(domain, sizeof domain, "%016llx", (unsigned long long)a->live->cluster_id);
    if (!set_apart(s) || !set_number(s, ZMQ_USE_FD, listener)) return false;
    return !g->curve || (set_number(s, ZMQ_CURVE_SERVER, 1) && set_text(s, ZMQ_CURVE_SECRETKEY, g->secret_key) &&
                         set_text(s, ZMQ_ZAP_DOMAIN, domain));
}

static bool set_outbox(struct actor *a, void *s, uint16_t peer) {
    const struct gates *g = &a->live->gates;
    if (!live_apart(a->live)) return true;
    if (!set_apart(s) || !set_number(s, ZMQ_IMMEDIATE, 1) || !set_number(s, ZMQ_RECONNECT_IVL, RECONNECT_MS) ||
        !set_number(s, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) || !set_number(s, ZMQ_RCVHWM, 1))
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
    bool apart = live_apart(a->live);
    address_of(a->live, a->id, address, sizeof address);
    a->inbox = zmq_socket(a->live->context, apart ? ZMQ_ROUTER : ZMQ_PULL);
    if (!a->inbox || !set_number(a->inbox, ZMQ_RCVHWM, LIVE_HIGH_WATER) || !set_number(a->inbox, ZMQ_LINGER, 0) ||
        !set_inbox(a, a->inbox, listener))
        return socket_fail(a, "the making", e);
    if (a->live->gates.curve && doorman_start(a->live, a->inbox, e)) return e->status;
    return zmq_bind(a->inbox, address) ? socket_fail(a, "the binding", e) : QRT_OK;
}

qrt_status actor_connect(struct actor *a, struct error *e) {
    char address[ENDPOINT_MAX];
    for (uint16_t i = 0; i <= live_node_count(a->live); i++) {
        if (i == a->id) continue;
        address_of(a->live, i, address, sizeof address);
        void *s = a->out[i] = zmq_socket(a->live->context, live_apart(a->live) ? ZMQ_DEALER : ZMQ_PUSH);
        if (!s || !set_number(s, ZMQ_SNDHWM, LIVE_HIGH_WATER) || !set_number(s, ZMQ_LINGER, 0) ||
            !set_outbox(a, s, i) || zmq_connect(s, address))
            return socket_fail(a, "the connecting", e);
    }
    return QRT_OK;
}

void actor_unplug(struct actor *a) {
    if (a->inbox) zmq_close(a->inbox);
    for (uint16_t i = 0; a->out && i <= live_node_count(a->live); i++)
        if (a->out[i]) zmq_close(a->out[i]);
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

/* The next message in m; count: of its parts. */
static bool next_message(struct actor *a, zmq_msg_t *m, int *parts) {
    *parts = 1;
    if (zmq_msg_recv(m, a->inbox, ZMQ_DONTWAIT) < 0) return false;
    for (; zmq_msg_more(m); ++*parts) /* a message comes whole: its further parts are there */
        if (zmq_msg_recv(m, a->inbox, ZMQ_DONTWAIT) < 0) return false;
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
    if (head->sent < 0 || head->sent > live_now(a->live) + AHEAD_NS) return false;
    memcpy(&inside, frame.data + WIRE_FROM, sizeof inside);
    return inside == head->from || !wire_is_sealed(frame, a->live->cluster_id);
}

static void actor_reject(struct actor *a, uint16_t sender) {
    a->time = journal_open(&a->journal, a->live, 0);
    qrt_event e = {a->time,
                   a->id ? a->id : (uint16_t)QRT_CLIENT,
                   0,
                   QRT_KIND_REJECT,
                   QRT_DROP_FOREIGN,
                   sender == STRANGER ? 0 : sender,
                   0,
                   0,
                   0,
                   0};
    trace_emit(&a->trace, &e);
    journal_close(&a->journal);
    if (a->id) a->live->nodes[a->id].host.counts.rejected++; /* shown with the next input's */
}

size_t actor_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self) {
    bool apart = live_apart(a->live);
    size_t count = 0;
    int parts;
    zmq_msg_t m;
    zmq_msg_init(&m);
    for (; count < LIVE_BURST && next_message(a, &m, &parts); count++) {
        struct envelope head = {0};
        size_t size = zmq_msg_size(&m);
        uint8_t *data = zmq_msg_data(&m);
        uint16_t sender = STRANGER;
        QUEUE_ACQUIRE(a);
        bool sound = parts == (apart ? 2 : 1) && size >= sizeof head + (apart ? WIRE_HEADER : 0);
        CHECK(sound || apart); /* nobody but our own actors can reach an inproc socket */
        if (sound) memcpy(&head, data, sizeof head);
        struct bytes frame = sound ? bytes_of(data + sizeof head, size - sizeof head) : (struct bytes){0};
        if (apart && !(sound && entitled(a, &head, frame, &m, &sender))) {
            actor_reject(a, sender);
            continue;
        }
        struct arrival arrival = {head.from, head.to, head.sent, frame};
        each(self, &arrival);
    }
    zmq_msg_close(&m);
    return count;
}

/* ---- the doorman ---- */

struct doorman {
    pthread_t thread;
    bool running;
    struct live *live;
    void *zap, *watch;
};

qrt_status gates_keys(struct gates *g, uint16_t nodes, char (*secrets)[KEY_TEXT], struct error *e) {
    for (uint16_t i = 0; i <= nodes; i++)
        if (zmq_curve_keypair(g->public_keys[i], secrets[i]))
            return error_set(e, QRT_EUNSUPPORTED,
                             "this libzmq makes no CURVE keys (%s): install one that does, or say curve=false",
                             zmq_strerror(zmq_errno()));
    return QRT_OK;
}

static int known_key(const struct live *l, zmq_msg_t *credentials) {
    char text[KEY_TEXT];
    if (zmq_msg_size(credentials) != 32 || !zmq_z85_encode(text, zmq_msg_data(credentials), 32)) return -1;
    for (int i = 0; i <= live_node_count(l); i++)
        if (!memcmp(text, l->gates.public_keys[i], KEY_TEXT)) return i;
    return -1;
}

static void send_part(void *socket, const void *data, size_t size, bool more) {
    zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0);
}

static void send_words(void *socket, const char *word, bool more) {
    send_part(socket, word, strlen(word), more);
}

/* A request has seven parts: version, id, domain, address, identity, mechanism, credentials. */
static void judge_key(struct doorman *d) {
    zmq_msg_t parts[8];
    size_t count = 0;
    do {
        zmq_msg_init(&parts[count]);
        if (zmq_msg_recv(&parts[count++], d->zap, 0) < 0) break;
    } while (count < 8 && zmq_msg_more(&parts[count - 1]));
    bool curve = count == 7 && zmq_msg_size(&parts[5]) == 5 && !memcmp(zmq_msg_data(&parts[5]), "CURVE", 5);
    int who = curve ? known_key(d->live, &parts[6]) : -1;
    char user[16];
    snprintf(user, sizeof user, "%d", who);
    send_words(d->zap, "1.0", true);
    send_part(d->zap, zmq_msg_data(&parts[count > 1]), zmq_msg_size(&parts[count > 1]), true);
    send_words(d->zap, who >= 0 ? "200" : "400", true);
    send_words(d->zap, who >= 0 ? "OK" : "no key of this cluster", true);
    send_words(d->zap, who >= 0 ? user : "", true);
    send_words(d->zap, "", false);
    for (size_t i = 0; i < count; i++) zmq_msg_close(&parts[i]);
}

/* An event has two parts: u16 kind and u32 value, then an address. */
static void count_stranger(struct doorman *d) {
    uint8_t event[6];
    char address[ENDPOINT_MAX];
    uint16_t kind;
    if (zmq_recv(d->watch, event, sizeof event, 0) < (int)sizeof event) return;
    zmq_recv(d->watch, address, sizeof address, 0);
    memcpy(&kind, event, sizeof kind);
    if (kind & (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH))
        atomic_fetch_add(&d->live->refused, 1);
}

static void *doorman_main(void *self) {
    struct doorman *d = self;
    zmq_pollitem_t items[] = {{d->zap, 0, ZMQ_POLLIN, 0}, {d->watch, 0, ZMQ_POLLIN, 0}};
    while (zmq_poll(items, 2, -1) >= 0 || zmq_errno() == EINTR) {
        if (items[0].revents & ZMQ_POLLIN) judge_key(d);
        if (items[1].revents & ZMQ_POLLIN) count_stranger(d);
    }
    zmq_close(d->zap);
    zmq_close(d->watch);
    return NULL;
}

qrt_status doorman_start(struct live *l, void *socket, struct error *e) {
    struct doorman *d = l->doorman = mem_zero(1, sizeof *d);
    int failures = ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    d->live = l;
    d->zap = zmq_socket(l->context, ZMQ_REP);
    d->watch = zmq_socket(l->context, ZMQ_PAIR);
    if (d->zap && d->watch && set_number(d->zap, ZMQ_LINGER, 0) && set_number(d->watch, ZMQ_LINGER, 0) &&
        !zmq_bind(d->zap, ZAP_ENDPOINT) && !zmq_socket_monitor(socket, WATCH_ENDPOINT, failures) &&
        !zmq_connect(d->watch, WATCH_ENDPOINT))
        return live_thread(&d->thread, &d->running, doorman_main, d, "qrt-doorman", e);
    return error_set(e, QRT_EIO, "the keys' handler cannot start: %s", zmq_strerror(zmq_errno()));
}

void doorman_stop(struct live *l) {
    struct doorman *d = l->doorman;
    if (!d) return;
    if (d->running) {
        zmq_ctx_shutdown(l->context); /* its wait ends, and it closes its sockets */
        pthread_join(d->thread, NULL);
    } else {
        if (d->zap) zmq_close(d->zap);
        if (d->watch) zmq_close(d->watch);
    }
    free(d);
    l->doorman = NULL;
}
