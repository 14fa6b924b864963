/* Why a node by hand is not reached. ZeroMQ reconnects in silence; what it knows of the reason only a socket's monitor says.
 *
 *   state      by the monitor's event
 *   absent     no connection came about, or the one that was open has gone
 *   open       the handshake succeeded
 *   refused    it failed with the peer's "400": our key is not in its cluster file (live_doorman.c)
 *   strange    it failed otherwise, or ended: who is there cannot read what was meant for the peer's key, or is no node
 *
 * A peer that answers and cannot show its key is tried again by libzmq after a hundredth of a second, for ever. After SLOW_AFTER
 * such handshakes in a row its socket is made anew with a patience of SLOW_MS, and once more, as at first, when one has
 * succeeded. A node that is being started refuses the connection, which is no handshake and slows nothing down.
 *
 * libzmq takes a refused handshake for final: a peer that learns of a key later would never be reached again. So a socket by
 * which nothing has left for REACH_NS is made anew.
 *
 * A monitor is left before its socket is closed (live_doorman.c says why), and takes any number of events: libzmq's thread would
 * wait for room. So its events are taken twice a second, sends or not. */
#include "runtime/live/live_reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "runtime/live/live_log.h"

struct reach {
    int64_t since[FAULT_NODES_MAX + 1], last[FAULT_NODES_MAX + 1]; /* of the sends that fail; [i]: to node i */
    void *watch[FAULT_NODES_MAX + 1];
    atomic_uchar state[FAULT_NODES_MAX + 1];
    int64_t look;                          /* when all are looked at next */
    uint8_t failures[FAULT_NODES_MAX + 1]; /* handshakes in a row, up to SLOW_AFTER */
    bool slow[FAULT_NODES_MAX + 1];        /* its socket is made with SLOW_MS */
    uint32_t watches;                      /* so far: no two monitors of a context have one name */
};

struct reach *reach_new(void) {
    return mem_zero(1, sizeof(struct reach));
}

void reach_free(struct reach *r) {
    free(r);
}

/* ---- monitors ---- */

int reach_patience(const struct actor *a, uint16_t peer) {
    return a->reach && a->reach->slow[peer] ? SLOW_MS : 0;
}

void reach_watch(struct actor *a, uint16_t peer) {
    struct reach *r = a->reach;
    char name[64];
    int none = 0, events = ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED |
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    if (!r) return;
    snprintf(name, sizeof name, "inproc://reach-%u-%u", a->id, r->watches++);
    void *s = r->watch[peer] = zmq_socket(a->live->context, ZMQ_PAIR);
    if (s && !zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none) && !zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof none) &&
        !zmq_socket_monitor(a->out[peer], name, events) && !zmq_connect(s, name))
        return;
    zmq_socket_monitor(a->out[peer], NULL, 0);
    if (s) zmq_close(s);
    r->watch[peer] = NULL;
}

void reach_leave(struct actor *a, uint16_t peer) {
    struct reach *r = a->reach;
    if (!r || !r->watch[peer]) return;
    reach_look(a, peer);
    zmq_socket_monitor(a->out[peer], NULL, 0);
    zmq_close(r->watch[peer]);
    r->watch[peer] = NULL;
}

static uint8_t state_after(uint8_t before, uint16_t event) {
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return REACH_OPEN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return REACH_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return REACH_STRANGE;
    case ZMQ_EVENT_CLOSED: return REACH_ABSENT;
    case ZMQ_EVENT_CONNECT_RETRIED: return before == REACH_NONE ? REACH_ABSENT : before; /* a name without an address */
    default: return before == REACH_OPEN || before == REACH_OTHER ? REACH_ABSENT : before; /* disconnected */
    }
}

/* What people should know of it at once: nobody looks at a node's states. */
static void say(struct actor *a, uint16_t peer, uint8_t state) {
    if (!a->live->hand) return;
    if (state == REACH_REFUSED)
        log_line(a->live->log, LOG_WARN, a->id, "n%u refuses this node's key: its cluster file has another", peer);
    if (state == REACH_STRANGE)
        log_line(a->live->log, LOG_WARN, a->id, "who is at %s does not show the key of n%u, or is stopped",
                 a->live->gates.endpoints[peer], peer);
}

static void count_failures(struct reach *r, uint16_t peer, uint16_t event) {
    bool failed = event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL || event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    if (failed && r->failures[peer] < SLOW_AFTER) r->failures[peer]++;
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED || event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) r->failures[peer] = 0;
}

void reach_look(struct actor *a, uint16_t peer) {
    struct reach *r = a->reach;
    uint8_t data[6], before = atomic_load(&r->state[peer]), now = before;
    char address[ENDPOINT_MAX];
    uint16_t event;
    while (r->watch[peer] && zmq_recv(r->watch[peer], data, sizeof data, ZMQ_DONTWAIT) == (int)sizeof data) {
        zmq_recv(r->watch[peer], address, sizeof address, ZMQ_DONTWAIT);
        memcpy(&event, data, sizeof event);
        now = state_after(now, event);
        count_failures(r, peer, event);
    }
    if (now == before) return;
    atomic_store(&r->state[peer], now);
    say(a, peer, now);
}

static void make_anew(struct actor *a, uint16_t peer) {
    struct error e = {0};
    actor_disconnect(a, peer);
    actor_connect_to(a, peer, &e); /* what fails is tried again */
}

/* A new socket, as libzmq takes no other interval for one that is connecting. */
void reach_pace(struct actor *a, uint16_t peer) {
    struct reach *r = a->reach;
    bool slow = r->failures[peer] == SLOW_AFTER;
    if (slow == r->slow[peer] || (!slow && r->failures[peer])) return;
    r->slow[peer] = slow;
    make_anew(a, peer);
}

int64_t reach_tick(struct actor *a) {
    struct reach *r = a->reach;
    int64_t now = live_now(a->live);
    if (now < r->look) return r->look;
    for (uint16_t i = 1; i <= live_node_count(a->live); i++) {
        reach_look(a, i);
        reach_pace(a, i);
    }
    return r->look = now + REACH_LOOK_NS;
}

/* ---- what follows ---- */

void reach_failed(struct actor *a, uint16_t peer) {
    struct reach *r = a->reach;
    int64_t now = live_now(a->live);
    reach_look(a, peer);
    if (now - r->last[peer] > REACH_NS / 2) r->since[peer] = now;
    r->last[peer] = now;
    if (now - r->since[peer] < REACH_NS) return;
    r->since[peer] = now;
    if (!r->slow[peer]) make_anew(a, peer);
}

void reach_other(struct actor *a, uint16_t peer, bool other) {
    atomic_store(&a->reach->state[peer], other ? REACH_OTHER : REACH_OPEN);
}

enum reach_state reach_state(const struct actor *a, uint16_t peer) {
    return a->reach ? (enum reach_state)atomic_load(&a->reach->state[peer]) : REACH_NONE;
}

void reach_why(const struct actor *a, uint16_t peer, char *out, size_t size) {
    const char *at = a->live->gates.endpoints[peer];
    switch (reach_state(a, peer)) {
    case REACH_REFUSED:
        snprintf(out, size, "it refuses this key: in its cluster file is none, or another, of this client");
        break;
    case REACH_STRANGE:
        snprintf(
            out, size,
            "it does not answer: who is at %s does not show its key (is this cluster file up to date?), or is stopped",
            at);
        break;
    case REACH_OTHER: snprintf(out, size, "it does not answer: at %s is a node of another cluster", at); break;
    case REACH_OPEN: snprintf(out, size, "it does not answer, though it is connected"); break;
    case REACH_ABSENT: snprintf(out, size, "it does not answer: nobody takes a connection to %s", at); break;
    case REACH_NONE: snprintf(out, size, "it does not answer"); break;
    }
}
