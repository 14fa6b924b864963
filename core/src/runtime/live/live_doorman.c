/* The doorman: who may speak to a bound socket.
 *
 * With CURVE it answers ZeroMQ's authentication protocol (ZAP, RFC 27) on a thread of its own, from before the socket is
 * bound: it admits the keys of this run, and names the sender of every message by its key (User-Id). A stranger ends at the
 * handshake, and is counted by what the socket's monitor tells. Measured on libzmq 4.3.4: without a ZAP handler a CURVE
 * socket accepts any key, even with a domain set. */
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_hand.h"

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
};

qrt_status gates_keys(struct gates *g, uint16_t nodes, char (*secrets)[KEY_TEXT], struct error *e) {
    for (uint16_t i = 0; i <= nodes; i++)
        if (zmq_curve_keypair(g->public_keys[i], secrets[i]))
            return error_set(e, QRT_EUNSUPPORTED,
                             "this libzmq makes no CURVE keys (%s): install one that does, or say curve=false",
                             zmq_strerror(zmq_errno()));
    return QRT_OK;
}

/* Whose key it is, as User-Id says it: a node's number, 0 for the owner's clients, a client's name by hand. */
static bool known_key(struct live *l, zmq_msg_t *credentials, char user[USER_TEXT]) {
    char text[KEY_TEXT];
    if (zmq_msg_size(credentials) != 32 || !zmq_z85_encode(text, zmq_msg_data(credentials), 32)) return false;
    if (l->hand) return hand_knows(l, text, user);
    for (int i = 0; i <= live_node_count(l); i++)
        if (!memcmp(text, l->gates.public_keys[i], KEY_TEXT)) {
            snprintf(user, USER_TEXT, "%d", i);
            return true;
        }
    return false;
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
    bool known = curve && known_key(d->live, &parts[6], user);
    send_words(d->zap, "1.0", true);
    send_part(d->zap, zmq_msg_data(&parts[count > 1]), zmq_msg_size(&parts[count > 1]), true);
    send_words(d->zap, known ? "200" : "400", true);
    send_words(d->zap, known ? "OK" : "no key of this cluster", true);
    send_words(d->zap, user, true);
    send_words(d->zap, "", false);
    for (size_t i = 0; i < count; i++) zmq_msg_close(&parts[i]);
}

/* An event has two parts: u16 kind and u32 value, then an address. */
static bool count_stranger(struct doorman *d) {
    uint8_t event[6];
    char address[ENDPOINT_MAX];
    uint16_t kind;
    if (zmq_recv(d->watch, event, sizeof event, 0) < (int)sizeof event) return true;
    zmq_recv(d->watch, address, sizeof address, 0);
    memcpy(&kind, event, sizeof kind);
    if (kind & (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH))
        atomic_fetch_add(&d->live->refused, 1);
    return kind != ZMQ_EVENT_MONITOR_STOPPED; /* doorman_leave */
}

static void *doorman_main(void *self) {
    struct doorman *d = self;
    zmq_pollitem_t items[] = {{d->zap, 0, ZMQ_POLLIN, 0}, {d->watch, 0, ZMQ_POLLIN, 0}};
    while (zmq_poll(items, 2, -1) >= 0 || zmq_errno() == EINTR) {
        if (items[0].revents & ZMQ_POLLIN) judge_key(d);
        if (items[1].revents & ZMQ_POLLIN && !count_stranger(d)) break;
    }
    zmq_close(d->zap);
    zmq_close(d->watch);
    return NULL;
}

static bool no_linger(void *socket) {
    return zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int)) == 0;
}

qrt_status doorman_start(struct live *l, void *socket, struct error *e) {
    struct doorman *d = l->doorman = mem_zero(1, sizeof *d);
    int failures = ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_MONITOR_STOPPED;
    d->live = l;
    d->zap = zmq_socket(l->context, ZMQ_REP);
    d->watch = zmq_socket(l->context, ZMQ_PAIR);
    if (d->zap && d->watch && no_linger(d->zap) && no_linger(d->watch) && !zmq_bind(d->zap, ZAP_ENDPOINT) &&
        !zmq_socket_monitor(socket, WATCH_ENDPOINT, failures) && !zmq_connect(d->watch, WATCH_ENDPOINT))
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

void doorman_leave(struct live *l, void *socket) {
    struct doorman *d = l->doorman;
    if (!d) return;
    zmq_socket_monitor(socket, NULL, 0); /* which is the last that its thread hears */
    if (d->running) pthread_join(d->thread, NULL);
    if (!d->running && d->zap) zmq_close(d->zap);
    if (!d->running && d->watch) zmq_close(d->watch);
    free(d);
    l->doorman = NULL;
}
