/* Bare quorum rounds; see live_bare.h. Each party has a context, a thread for its input and output, a ROUTER to receive and
 * a DEALER to each peer to send, drained in bursts, as a live node's process has. */
#include "runtime/live/live_bare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "base/memory.h"

enum { PARTIES = 3, MESSAGE = 128, WARM = 200, ENDPOINT = 64 };

struct party {
    void *context, *inbox, *out[PARTIES];
    char endpoint[ENDPOINT];
    pthread_t thread;
    bool running;
};

static bool party_open(struct party *p) {
    size_t size = sizeof p->endpoint;
    int none = 0;
    p->context = zmq_ctx_new();
    p->inbox = p->context ? zmq_socket(p->context, ZMQ_ROUTER) : NULL;
    return p->inbox && !zmq_setsockopt(p->inbox, ZMQ_LINGER, &none, sizeof none) &&
           !zmq_bind(p->inbox, "tcp://127.0.0.1:*") && !zmq_getsockopt(p->inbox, ZMQ_LAST_ENDPOINT, p->endpoint, &size);
}

static bool party_connect(struct party *all, int self, int peer) {
    int none = 0;
    void *s = all[self].out[peer] = zmq_socket(all[self].context, ZMQ_DEALER);
    return s && !zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none) && !zmq_connect(s, all[peer].endpoint);
}

static void party_close(struct party *p) {
    if (p->running) pthread_join(p->thread, NULL);
    for (int i = 0; i < PARTIES; i++)
        if (p->out[i]) zmq_close(p->out[i]);
    if (p->inbox) zmq_close(p->inbox);
    if (p->context) zmq_ctx_term(p->context);
}

/* The next message's size; it waits. The sender's routing id is dropped. */
static int receive(void *inbox, uint8_t *message) {
    zmq_pollitem_t item = {inbox, 0, ZMQ_POLLIN, 0};
    uint8_t id[16];
    while (zmq_recv(inbox, id, sizeof id, ZMQ_DONTWAIT) < 0)
        if (zmq_errno() != EAGAIN || zmq_poll(&item, 1, -1) < 0) return -1;
    return zmq_recv(inbox, message, MESSAGE, 0);
}

/* Sends back what comes, until something shorter comes. */
static void *echo_main(void *party) {
    struct party *p = party;
    uint8_t message[MESSAGE];
    while (receive(p->inbox, message) == MESSAGE) zmq_send(p->out[0], message, MESSAGE, 0);
    return NULL;
}

static void send_round(struct party *p, uint64_t number) {
    uint8_t message[MESSAGE] = {0};
    memcpy(message, &number, sizeof number);
    for (int i = 1; i < PARTIES; i++) zmq_send(p->out[i], message, MESSAGE, 0);
}

/* Rounds first, first + 1, ...; answers of earlier ones are passed over. */
static bool drive(struct party *p, uint32_t window, uint64_t first, uint64_t rounds) {
    uint8_t message[MESSAGE], *answered = mem_zero(rounds, 1);
    uint64_t number, sent = 0, done = 0;
    while (sent < window && sent < rounds) send_round(p, first + sent++);
    while (done < rounds && receive(p->inbox, message) == MESSAGE) {
        memcpy(&number, message, sizeof number);
        if (number < first || number - first >= rounds || answered[number - first]++) continue;
        done++;
        if (sent < rounds) send_round(p, first + sent++);
    }
    free(answered);
    return done == rounds;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool measure(struct party *all, uint32_t window, uint64_t rounds, int64_t *ns) {
    bool sound = true;
    for (int i = 0; i < PARTIES; i++) sound = sound && party_open(&all[i]);
    for (int i = 1; i < PARTIES; i++) sound = sound && party_connect(all, 0, i) && party_connect(all, i, 0);
    for (int i = 1; i < PARTIES && sound; i++)
        sound = all[i].running = pthread_create(&all[i].thread, NULL, echo_main, &all[i]) == 0;
    sound = sound && drive(all, window, 0, WARM);
    int64_t begin = now_ns();
    sound = sound && drive(all, window, WARM, rounds);
    *ns = now_ns() - begin;
    for (int i = 1; i < PARTIES; i++)
        if (all[i].running) zmq_send(all[0].out[i], "", 1, 0);
    return sound;
}

qrt_status live_bare_rounds(uint32_t window, uint64_t rounds, int64_t *ns, struct error *e) {
    struct party all[PARTIES] = {{0}};
    bool sound = measure(all, window, rounds, ns);
    int number = zmq_errno();
    for (int i = 1; i < PARTIES; i++) party_close(&all[i]);
    party_close(&all[0]);
    return sound ? QRT_OK : error_set(e, QRT_EIO, "bare ZeroMQ rounds failed: %s", zmq_strerror(number));
}
