/* What clients asked and were told, as the nodes saw it: a request's arrival begins an operation, the answer that leaves ends
 * it. A replay makes it out of the nodes' own captures, so it needs no word of the clients, who may be other processes on
 * other hosts.
 *
 * Why it is sound. The order of its beginnings and ends is the order in which the replay takes the nodes' steps: each
 * node's own order, and every frame behind its sending (replay.c). So there is a run of the same nodes, with the same
 * inputs in the same order at each, which had exactly this order in real time, whatever the hosts' clocks said. A protocol
 * whose safety rests on no clock must be linearizable in that run; if this history is not, it is broken.
 * What it cannot show: an order that only the clients had, from an answer of one node to a request to another.
 *
 * Invariants
 *  1. An operation begins no later than its first copy arrived and ends no earlier than its first answer left. One whose
 *     answer may not have left (a kill cut the step short), or that was not answered, is open.
 *  2. A write is one operation wherever its copies arrive, because its session and sequence name it; a read is one at each
 *     node; a proposal without a session that is a command is one for each copy. */
#ifndef RUNTIME_REPLAY_HISTORY_H
#define RUNTIME_REPLAY_HISTORY_H

#include "client/client.h"
#include "trace/history.h"

struct replay_request; /* what a request or a write is remembered by */

struct replay_history {
    struct history history;
    struct replay_request *table; /* open addressing; capacity: a power of two */
    size_t count, capacity;
    const char *spoilt; /* why it proves nothing any more; NULL: it does */
};

/* At that node, in its `life`-th life: answers of one are not for requests of another. time: for people. */
void replay_history_request(struct replay_history *h, uint16_t node, uint32_t life, const struct message *m,
                            int64_t time);
void replay_history_reply(struct replay_history *h, uint16_t node, uint32_t life, const struct message *m,
                          int64_t time);
void replay_history_free(struct replay_history *h);

#endif
