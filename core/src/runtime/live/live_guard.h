/* The guard of a listening socket, the sums that follow from its limits, and its counters. */
#ifndef RUNTIME_LIVE_GUARD_H
#define RUNTIME_LIVE_GUARD_H

#include "runtime/live/live.h"

#define GUARD_LOOK_MS 20                     /* between two looks at every connection */
#define GUARD_STRANGERS 64                   /* connections that have not finished their handshake */
#define GUARD_CONNECTIONS 64                 /* of one key, at once */
#define GUARD_DESCRIPTORS 4096               /* a connection with a higher descriptor is closed */
#define GUARD_HANDSHAKE_NS INT64_C(20000000) /* between two handshakes of one key, in the long run */
#define GUARD_AHEAD 200                      /* so many may come sooner */
#define LIVE_LINK_BYTES (8u << 20)           /* from a node, and not yet taken by the one that it was sent to */
#define LIVE_HELD_COST 3                     /* bytes of memory for each of these, where messages are small */
#define LIVE_OWNER_BYTES (32u << 20)         /* the same from the owner, who is all clients together */
#define LIVE_DELAYED_BYTES (32u << 20)       /* of the messages that a fault delays */
#define LIVE_BASE_BYTES (24u << 20)          /* program, libraries, memory shared with the owner, ZeroMQ at rest */

struct guard *guard_new(bool curve);
void guard_free(struct guard *g);

/* The doorman's thread: what the socket's monitor told, and a look at every connection. */
void guard_accepted(struct guard *g, int fd, const char *address);
void guard_closed(struct guard *g, struct live *l, int fd);
void guard_turned_away(struct guard *g); /* one that is about to close is not to be counted */
void guard_look(struct guard *g, struct live *l);
/* The doorman's thread as well: a handshake is about to be granted; address: the peer's, as libzmq says it. False: the key has
 * had too many lately. */
bool guard_admitted(struct guard *g, int64_t who, struct bytes address, int64_t now);
/* Any thread: at the next look what this key has open is closed. */
void guard_expel(struct guard *g, int64_t who);
/* The node's thread: a message of this many bytes was taken from a connection; who: its sender by key, -1: not known. */
void guard_took(struct guard *g, int fd, size_t bytes, int64_t who);
/* By hand a key is its own name, above all node numbers. */
int64_t guard_key(const char *public_key);

/* A number among the protocol's options; 0: it has none of that name. */
uint64_t live_option(const struct live *l, const char *name);
/* What a node may hold in memory beside the data of its log and its machine, in bytes, from the options. */
uint64_t live_budget(const struct live *l);
/* Descriptors that the owner and a node may have open. */
uint64_t live_descriptors(const struct cluster_options *o);

#endif
