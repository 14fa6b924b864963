/* The inbox of one actor, number 0, with its doorman and guard as in a live cluster, and nobody else: what comes is taken by the
 * test. Its peers are to be found nowhere. */
#ifndef TESTS_SUPPORT_LIVE_INBOX_H
#define TESTS_SUPPORT_LIVE_INBOX_H

#include "runtime/live/live.h"

#define INBOX_NODES 3

struct inbox {
    struct live live;
    struct {
        int64_t timeout;
    } options;
    struct protocol protocol;
    struct actor actor;
    char secrets[FAULT_NODES_MAX + 1][KEY_TEXT]; /* of the nodes, with CURVE */
};

extern const struct option_table inbox_options; /* one: election_timeout */

void inbox_begin(struct inbox *f, int32_t transport, bool curve);
void inbox_end(struct inbox *f);

#endif
