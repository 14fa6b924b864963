/* Nodes started by hand, from inside the live runtime: in a node's process, and in a client of such nodes.
 *
 *   client's process                                    node's process
 *  +---------------------------+                       +-----------------------------------------------+
 *  | handle's thread           |                       | main thread: signals, requests, trace         |
 *  |   | orders                |                       |   ^ requests        | replies (ORDER_REPLY)   |
 *  | clients' thread: actors,  |-- DEALER -> ROUTER ---|-- node's thread: host, routes of its clients  |
 *  |   statuses of the nodes   |<-- by routing id -----|                                               |
 *  +---------------------------+                       +-----------------------------------------------+
 *
 * Nodes speak to each other as an owner's processes do. Clients have no endpoint: a node answers them over the connection
 * that their request came by. Inside the node such a connection's client has an id of the node's own (its alias), so that
 * no two clients are taken for one, whatever ids they gave themselves.
 *
 * Two kinds of message share the connections: frames, as everywhere, and control, JSON behind an envelope of kind
 * HAND_CONTROL: {"number": 7, "ask": "status"} and {"number": 7, "status": 0, ...}. Control never reaches a protocol. */
#ifndef RUNTIME_LIVE_HAND_H
#define RUNTIME_LIVE_HAND_H

#include "runtime/hand.h"
#include "runtime/live/live.h"

#define USER_TEXT 128 /* who a key is, as ZAP's User-Id: the key, then "3" for node 3 or "=alice" for a client */
#define HAND_CONTROL 0x4c525443u
#define HAND_CONTROL_MAX 65536 /* bytes of a request */
#define HAND_WAITING_MAX \
    256 /* requests, and messages while paused (of LIVE_DELAYED_BYTES at most); more are dropped and counted */

struct request { /* of a client to the process: from the node's thread to the main one */
    struct request *next;
    uint8_t route[256];
    size_t route_size;
    int fd; /* the connection's */
    uint8_t role;
    char name[HAND_NAME_MAX];
    struct buffer text;
};

struct hand {
    uint16_t self;
    struct hand_config *config; /* another one after a reload: with `mutex`, but for the main thread, which reloads */
    pthread_mutex_t mutex;
    int bell;
    struct request *requests, *last;
    size_t request_count;
    struct error death; /* why the node's thread has no sockets any more */
    int64_t stops;      /* when it ends, because an admin said so; 0: he did not */
    /* The node's thread's own. */
    struct routes *routes;
    struct parked *parked, *parked_last;
    size_t parked_count, parked_bytes;
};

/* live_hand.c: a node's process */
void *hand_new(const struct runtime_config *config, struct trace_sink sink, struct error *e);
void hand_leave(struct live *l); /* its thread has ended: the socket's monitor ends before its listener does */
void hand_free(struct live *l);
uint16_t hand_leader(struct live *l); /* whom this node takes for the leader */
void hand_rekey(struct live_node *n);
uint64_t hand_sends(void); /* from where a process counts its frames */

/* live_hand_door.c: who may send what, and how answers go back */
struct routes *routes_new(void);
void hand_unpark(struct hand *h);                                              /* forgets what waits */
bool hand_knows(struct live *l, const char *public_key, char user[USER_TEXT]); /* any thread */
size_t hand_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self);
bool hand_park(struct live_node *n); /* while paused: requests are taken, all else waits in order */
void hand_reply(struct actor *a, const struct envelope *head, const uint8_t *frame, uint32_t size);
void hand_answer(struct live_node *n, const struct order *o); /* ORDER_REPLY: int fd, u8 size, route, text */

/* live_hand_control.c: what clients may ask of the process */
void hand_serve(struct live *l, struct request *r);

/* live_remote.c: a client's process */
void *remote_new(const struct runtime_config *config, struct trace_sink sink, struct error *e);
void remote_free(struct live *l);
uint64_t remote_first(struct live *l);
void remote_sleep(struct actor *a);
size_t remote_arrivals(struct actor *a, void (*each)(void *self, const struct arrival *arrival), void *self);
void remote_send(struct actor *a, struct order *o);
bool remote_inspect(struct live *l, uint16_t node, inspect_fn *field, void *context);
qrt_status remote_propose(struct live *l, struct bytes data, uint64_t *ticket);
qrt_status remote_fault(struct live *l, const struct plan *plan, struct error *e);

#endif
