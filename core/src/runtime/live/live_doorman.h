/* Who may speak to a node: the keys of this run, asked for at every handshake; and how much, see live_guard.h. */
#ifndef RUNTIME_LIVE_DOORMAN_H
#define RUNTIME_LIVE_DOORMAN_H

#include <zmq.h>

#include "runtime/live/live.h"

/* Says who may connect to the socket, which is about to be bound, and counts who was refused and who sent too much. */
qrt_status doorman_start(struct live *l, void *socket, struct error *e);
/* Before its socket is closed in a life that goes on, from the socket's own thread: another may be started then. */
void doorman_leave(struct live *l, void *socket);
/* The thread that receives: this message, of so many bytes in all its parts, was taken; who: by its key, -1: not known. */
void doorman_took(struct live *l, zmq_msg_t *m, size_t bytes, int64_t who);
/* Another key for a peer, or "" for none, once the doorman is there: what it has open under the old one is closed. From any
 * one thread. A peer that was refused does not come again by itself: libzmq takes "400" for final. */
void doorman_admit(struct live *l, uint16_t peer, const char *public_key);
/* By hand, where the keys are the cluster file's: what a key (guard_key) has open is closed. From any thread. */
void doorman_expel(struct live *l, int64_t who);
/* A pair of keys for each node, [0] for the clients. */
qrt_status gates_keys(struct gates *g, uint16_t nodes, char (*secrets)[KEY_TEXT], struct error *e);

#endif
