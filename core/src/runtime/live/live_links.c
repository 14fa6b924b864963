/* A cluster of processes is ready when its links stand. A message for a peer whose handshake is still under way has no queue to
 * wait in (ZMQ_IMMEDIATE) and is dropped, as it must be where the peer has gone; but at the beginning nobody has gone, and the
 * first proposal would be lost. So the first incarnation of a node waits for its links before it starts its protocol, and the
 * owner for the clients'. A restarted node does not wait: who is down would hold it up. */
#include <stdio.h>
#include <time.h>

#include "runtime/live/live_log.h"

#define LINK_LOOK_NS 500000

/* Writable only once a connection's handshake is over. */
static bool stands(const struct actor *a, uint16_t peer) {
    int events = 0;
    size_t size = sizeof events;
    if (!a->out[peer] || (a->live->agent && peer && agent_sees_down(a->live, peer))) return true;
    return !zmq_getsockopt(a->out[peer], ZMQ_EVENTS, &events, &size) && events & ZMQ_POLLOUT;
}

uint16_t links_wait(struct actor *a, int64_t patience) {
    int64_t until = live_now(a->live) + patience;
    uint16_t missing = 0;
    for (uint16_t i = 0; i <= live_node_count(a->live); i++) {
        char who[16] = "the clients";
        if (i) snprintf(who, sizeof who, "n%u", i);
        while (!stands(a, i) && live_now(a->live) < until) nanosleep(&(struct timespec){0, LINK_LOOK_NS}, NULL);
        if (stands(a, i)) continue;
        log_line(a->live->log, LOG_WARN, a->id, "no link to %s stands after %.3g s: what is sent there is lost", who,
                 (double)patience / 1e9);
        missing++;
    }
    return missing;
}
