/* The doorman: who may speak to a bound socket.
 *
 * With CURVE it answers ZeroMQ's authentication protocol (ZAP, RFC 27) on a thread of its own, from before the socket is
 * bound: it admits the keys of this run, and names the sender of every message by its key (User-Id). A stranger ends at the
 * handshake, and is counted by what the socket's monitor tells. Measured on libzmq 4.3.4: without a ZAP handler a CURVE
 * socket accepts any key, even with a domain set.
 *
 * With keys libzmq 4.3.4 is not to tell of protocol errors: one behind the handshake, a message that is sent twice for example,
 * loses its errno to the telling and passes for a full queue. Then the connection is neither read nor closed any more, whatever
 * becomes of its peer, and keeps its descriptor. Strangers are counted as they are closed instead (guard_closed).
 *
 * The same thread is the guard's (live_guard.c): every 20 ms it looks at what each connection makes the node hold. */
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_hand.h"

#include "runtime/live/live_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define WATCH_ENDPOINT "inproc://doorman-watch"

struct doorman {
    pthread_t thread;
    bool running;
    struct live *live;
    void *zap, *watch;
    struct guard *guard;
    pthread_mutex_t mutex; /* over the public keys, once nodes speak */
};

qrt_status gates_keys(struct gates *g, uint16_t nodes, char (*secrets)[KEY_TEXT], struct error *e) {
    for (uint16_t i = 0; i <= nodes; i++)
        if (zmq_curve_keypair(g->public_keys[i], secrets[i]))
            return error_set(e, QRT_EUNSUPPORTED,
                             "this libzmq makes no CURVE keys (%s): install one that does, or say curve=false",
                             zmq_strerror(zmq_errno()));
    return QRT_OK;
}

/* Whose key it is, as User-Id says it: a node's number, 0 for the owner's clients; by hand, the key and whose it is. */
static bool known_key(struct doorman *d, zmq_msg_t *credentials, char user[USER_TEXT], int64_t *who) {
    struct live *l = d->live;
    char text[KEY_TEXT];
    bool known = false;
    if (zmq_msg_size(credentials) != 32 || !zmq_z85_encode(text, zmq_msg_data(credentials), 32)) return false;
    *who = guard_key(text);
    if (l->hand) return hand_knows(l, text, user);
    pthread_mutex_lock(&d->mutex);
    for (int i = 0; i <= live_node_count(l) && !known; i++)
        if ((known = !memcmp(text, l->gates.public_keys[i], KEY_TEXT)))
            snprintf(user, USER_TEXT, "%d", (int)(*who = i));
    pthread_mutex_unlock(&d->mutex);
    return known;
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
    char user[USER_TEXT] = "";
    int64_t who;
    bool known = curve && known_key(d, &parts[6], user, &who);
    struct bytes address = known ? bytes_of(zmq_msg_data(&parts[3]), zmq_msg_size(&parts[3])) : (struct bytes){0};
    bool due = known && guard_admitted(d->guard, who, address, live_now(d->live));
    send_words(d->zap, "1.0", true);
    send_part(d->zap, zmq_msg_data(&parts[count > 1]), zmq_msg_size(&parts[count > 1]), true);
    send_words(d->zap, due ? "200" : known ? "300" : "400", true); /* after 300 a peer tries again */
    send_words(d->zap, due ? "OK" : known ? "too many handshakes" : "no key of this cluster", true);
    send_words(d->zap, user, true);
    send_words(d->zap, "", false);
    for (size_t i = 0; i < count; i++) zmq_msg_close(&parts[i]);
}

/* An event has two parts: u16 kind and u32 value, then an address. False: it was the last (doorman_leave). */
static bool hear_socket(struct doorman *d) {
    uint8_t event[6];
    char address[ENDPOINT_MAX];
    uint16_t kind;
    int32_t value;
    if (zmq_recv(d->watch, event, sizeof event, 0) < (int)sizeof event) return true;
    int size = zmq_recv(d->watch, address, sizeof address - 1, 0);
    address[size < 0 ? 0 : size < (int)sizeof address ? size : (int)sizeof address - 1] = 0;
    memcpy(&kind, event, sizeof kind);
    memcpy(&value, event + sizeof kind, sizeof value);
    if (kind & (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH))
        atomic_fetch_add(&d->live->refused, 1);
    if (kind & (ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)) guard_turned_away(d->guard);
    if (kind == ZMQ_EVENT_ACCEPT_FAILED && value != EAGAIN) atomic_fetch_add(&d->live->unaccepted, 1);
    if (kind == ZMQ_EVENT_ACCEPTED) guard_accepted(d->guard, value, address);
    if (kind == ZMQ_EVENT_DISCONNECTED || kind == ZMQ_EVENT_CLOSED) guard_closed(d->guard, d->live, value);
    return kind != ZMQ_EVENT_MONITOR_STOPPED;
}

static void *doorman_main(void *self) {
    struct doorman *d = self;
    int64_t look = live_now(d->live), now;
    zmq_pollitem_t items[] = {{d->watch, 0, ZMQ_POLLIN, 0}, {d->zap, 0, ZMQ_POLLIN, 0}};
    while (zmq_poll(items, d->zap ? 2 : 1, GUARD_LOOK_MS) >= 0 || zmq_errno() == EINTR) {
        if (items[0].revents & ZMQ_POLLIN && !hear_socket(d)) break;
        if (items[1].revents & ZMQ_POLLIN) judge_key(d);
        now = live_now(d->live);
        if (now - look < GUARD_LOOK_MS * INT64_C(1000000)) continue;
        guard_look(d->guard, d->live);
        look = now;
    }
    if (d->zap) zmq_close(d->zap);
    zmq_close(d->watch);
    return NULL;
}

static bool no_linger(void *socket) {
    return zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int)) == 0;
}

static bool open_zap(struct doorman *d) {
    if (!d->live->gates.curve) return true;
    d->zap = zmq_socket(d->live->context, ZMQ_REP);
    return d->zap && no_linger(d->zap) && !zmq_bind(d->zap, ZAP_ENDPOINT);
}

qrt_status doorman_start(struct live *l, void *socket, struct error *e) {
    struct doorman *d = l->doorman = mem_zero(1, sizeof *d);
    int events = (l->gates.curve ? 0 : ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                 ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                 ZMQ_EVENT_MONITOR_STOPPED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL; /* it went by itself, or took too long */
    d->live = l;
    d->guard = guard_new(l->gates.curve);
    pthread_mutex_init(&d->mutex, NULL);
    d->watch = zmq_socket(l->context, ZMQ_PAIR);
    if (d->watch && no_linger(d->watch) && open_zap(d) && !zmq_socket_monitor(socket, WATCH_ENDPOINT, events) &&
        !zmq_connect(d->watch, WATCH_ENDPOINT))
        return live_thread(&d->thread, &d->running, doorman_main, d, "qrt-doorman", e);
    return error_set(e, QRT_EIO, "the keys' handler cannot start: %s", zmq_strerror(zmq_errno()));
}

void doorman_took(struct live *l, zmq_msg_t *m, size_t bytes, int64_t who) {
    if (l->doorman) guard_took(l->doorman->guard, zmq_msg_get(m, ZMQ_SRCFD), bytes, who);
}

void doorman_admit(struct live *l, uint16_t peer, const char *public_key) {
    struct doorman *d = l->doorman;
    char *key = l->gates.public_keys[peer];
    pthread_mutex_lock(&d->mutex);
    bool changed = strcmp(key, public_key) != 0;
    memset(key, 0, KEY_TEXT);
    strncpy(key, public_key, KEY_TEXT - 1);
    pthread_mutex_unlock(&d->mutex);
    if (changed) guard_expel(d->guard, peer);
}

void doorman_expel(struct live *l, int64_t who) {
    guard_expel(l->doorman->guard, who);
}

static void doorman_free(struct live *l) {
    struct doorman *d = l->doorman;
    if (!d->running && d->zap) zmq_close(d->zap);
    if (!d->running && d->watch) zmq_close(d->watch);
    pthread_mutex_destroy(&d->mutex);
    guard_free(d->guard);
    free(d);
    l->doorman = NULL;
}

void doorman_leave(struct live *l, void *socket) {
    struct doorman *d = l->doorman;
    if (!d) return;
    zmq_socket_monitor(socket, NULL, 0); /* which is the last that its thread hears */
    if (d->running) pthread_join(d->thread, NULL);
    doorman_free(l);
}
