/* Who may speak to a node: the keys of this run, asked for at every handshake. */
#ifndef RUNTIME_LIVE_DOORMAN_H
#define RUNTIME_LIVE_DOORMAN_H

#include "runtime/live/live.h"

/* Says who may connect to the socket, which is about to be bound, and counts who was refused. */
qrt_status doorman_start(struct live *l, void *socket, struct error *e);
void doorman_stop(struct live *l);
/* Before its socket is closed in a life that goes on, from the socket's own thread: another may be started then. */
void doorman_leave(struct live *l, void *socket);
/* A pair of keys for each node, [0] for the clients. */
qrt_status gates_keys(struct gates *g, uint16_t nodes, char (*secrets)[KEY_TEXT], struct error *e);

#endif
