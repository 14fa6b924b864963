/* What the election protocols share: who the members are, who leads in which epoch, and who waits to be told.
 *
 *   election_timestamp.c   the highest (timestamp, id) of a majority; safe whatever the network does
 *   election_bully.c       Garcia-Molina 1982: the highest id that is up; needs a bound on delays
 *   election_ring.c        Chang and Roberts 1979: ids round a ring; needs a bound on delays
 *
 * A proposal, whatever its bytes, asks its node to have a leader elected. It is answered with the leader's id as text,
 * the epoch as term and index. Nobody is elected unasked: not by a proposal, a detector's opinion that the leader is gone,
 * or (bully, ring) the return of a node that was down. */
#ifndef PROTOCOL_ELECTION_H
#define PROTOCOL_ELECTION_H

#include "base/hash.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/quorum.h"

#define ELECTION_MEMBERS_MAX 128
#define ELECTION_NUMBER_MAX (UINT64_C(1) << 56) /* no honest peer's epoch comes near */

struct election { /* the first member of each protocol's state */
    uint16_t node, slot, count;
    uint16_t members[ELECTION_MEMBERS_MAX]; /* ascending */
    struct random random;
    struct outbox *out; /* of the step under way */
    int64_t timeout;    /* ns; see each protocol */
    uint64_t seen;      /* the highest epoch heard of */
    uint64_t epoch;     /* of the last leader heard of */
    uint16_t leader;    /* 0: none is known, or it is being replaced */
    uint8_t role;       /* qrt_role; RECOVERING: the disk does not hold what others were told; takes no part */
    bool damaged;       /* recovery found a record that is none */
    uint64_t *waiting;  /* tokens of those who asked */
    size_t waiting_count, waiting_capacity;
};

void election_init(struct election *e, const struct protocol_config *config, int64_t timeout);
void election_free(struct election *e);
void election_clone(struct election *to, const struct election *from); /* the rest is copied by value */
int election_slot(const struct election *e, uint16_t node);            /* -1 for a stranger */
void election_set_role(struct election *e, uint8_t role, uint64_t epoch);
/* The first event of a life. False: this member takes no part. */
bool election_start(struct election *e, uint8_t how);
void election_wait(struct election *e, uint64_t token);
/* The leader of an epoch is known: noted, and told to all who wait. */
void election_decide(struct election *e, uint64_t epoch, uint16_t leader);
void election_reject(struct election *e, const struct message *m, uint8_t why);
/* The least epoch above all that were heard of that only this member gives itself, so that no two leaders share one. */
uint64_t election_next_epoch(const struct election *e);
/* One record: u64 epoch, u16 node. */
void election_persist(struct election *e, uint64_t epoch, uint16_t node);
bool election_recall(struct election *e, struct bytes data, uint64_t *epoch, uint16_t *node);

/* The interface's read-only half; state begins with struct election. */
void election_status(const void *state, struct protocol_status *status);
int election_describe(const void *state, char *out, size_t size);
void election_inspect(const void *state, inspect_fn *field, void *context);
uint64_t election_fold(const struct election *e);
bool election_invariants(const void *state, struct error *e);

#endif
