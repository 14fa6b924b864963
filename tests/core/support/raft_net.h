/* A small cluster of Raft instances for tests: a bag of messages delivered in any order, disks that forget
 * what was not flushed, crashes between any two effects, and the promises of the paper checked as they are
 * made:
 *
 *   - at most one leader a term (5.2);
 *   - what is applied at an index is the same entry, with the same history, everywhere (5.4.3);
 *   - a read is answered from a state that holds all that was applied anywhere when it was asked (6.4).
 *
 * A broken promise is recorded in net.broken rather than asserted, because some tests switch a mistake on and
 * want to see it. The machine is its own prefix hash: a snapshot is (index, hash) and some padding. */
#ifndef TESTS_RAFT_NET_H
#define TESTS_RAFT_NET_H

#include "protocol/raft.h"

#define NET_NODES 7
#define NET_TERMS 65536
#define NET_INDICES 65536
#define NET_CLUSTER 42
#define NET_PADDING 300

struct net_frame {
    uint16_t from, to;
    struct bytes data; /* owned */
};

struct net_record {
    uint64_t index, term;
    struct bytes data; /* owned */
};

struct net_held {
    struct effect effect;
    struct bytes data; /* owned */
    uint64_t barrier;
};

struct net_node {
    void *state;
    bool up, existed, wiped;
    struct outbox out;
    int64_t mono, timers[8];    /* deadlines; INT64_MAX: not set */
    struct net_record *records; /* the disk; the first `durable` of them are synced */
    size_t record_count, record_capacity, durable;
    uint64_t written, stored; /* records of this life, and how many of them were told to be durable */
    struct net_held *held;
    size_t held_count, held_capacity;
    uint64_t checkpoint_index, checkpoint_term, checkpoint_hash;
    struct buffer checkpoint_meta;
    struct blob *checkpoint_blob;
    bool checkpoint_due; /* durable, not yet told */
    uint64_t applied, applied_hash;
    int lives;
};

struct net {
    uint16_t count, members[NET_NODES];
    struct raft_options options;
    uint64_t bugs, seed;
    struct random random;
    struct net_node nodes[NET_NODES + 1]; /* by id */
    struct net_frame *frames;
    size_t frame_count, frame_capacity;
    bool cut[NET_NODES + 1][NET_NODES + 1];
    bool delayed; /* flushes are actions of their own; otherwise a record is durable at once */
    int64_t clock;
    long crash_after; /* effects of the next step; -1 none */
    uint16_t leader_of[NET_TERMS];
    uint64_t hash_of[NET_INDICES]; /* what was applied there; 0 nothing yet */
    uint64_t applied_max;
    uint64_t read_floor[4096]; /* by token */
    uint64_t tokens;
    int replies[64]; /* how often each status was replied, by -status */
    int reads_served, caught_up, snapshots, restores, truncated, leaders, votes_sent;
    char broken[256];
    struct effect last_reply;
};

enum net_fate { NET_KEPT, NET_UNSYNCED_LOST, NET_WIPED };

struct net_setup {
    uint16_t count;
    uint64_t seed, bugs;
    bool delayed;
    const char *const *options; /* name, text, name, text, ..., NULL; NULL is allowed */
};

/* All nodes formatted and started. */
struct net *net_new(const struct net_setup *setup);
void net_free(struct net *n);
struct raft *net_raft(struct net *n, uint16_t node);
/* The options' defaults changed by name; fails the test when one is refused. */
void net_options(struct raft_options *options, const char *const *changes);

void net_start(struct net *n, uint16_t node); /* nothing when it is up */
void net_crash(struct net *n, uint16_t node, enum net_fate fate);
void net_flush(struct net *n, uint16_t node);
void net_step(struct net *n, uint16_t node, struct event *event);
/* Feeds a message that no node sent. */
void net_inject(struct net *n, uint16_t to, struct message *m, uint16_t from);

void net_deliver(struct net *n, size_t i);
void net_drop(struct net *n, size_t i);
void net_drop_all(struct net *n);
void net_duplicate(struct net *n, size_t i);
bool net_message(const struct net *n, size_t i, struct message *m);
void net_settle(struct net *n); /* in order, until nothing is left */
/* Delivers, in order, the messages of that kind between those two (0: any), and those of that kind that
 * follow. */
void net_deliver_kind(struct net *n, uint8_t kind, uint16_t from, uint16_t to);
/* Elects that node, with everything that can be delivered delivered; fails the test when it does not come to
 * lead. */
void net_elect(struct net *n, uint16_t node);
/* How many messages of that kind are under way from one node to another (0: any). */
size_t net_count(const struct net *n, uint8_t kind, uint16_t from, uint16_t to);

/* Moves the clock to the earliest timer of an up node and fires it; false when none is set. */
bool net_fire_next(struct net *n);
void net_timer(struct net *n, uint16_t node, uint32_t id);
/* The node's election timeout has passed and its timer fires. */
void net_time_out(struct net *n, uint16_t node);
/* Timers and messages in turn until the condition holds; false when it does not within `limit` rounds. */
bool net_run(struct net *n, int limit, bool (*done)(struct net *n));
bool net_has_leader(struct net *n);
bool net_agreed(struct net *n);     /* all up nodes have applied the same, and one leads */
uint16_t net_leader(struct net *n); /* of the highest term; 0 none */

uint64_t net_propose(struct net *n, uint16_t node, const char *text); /* the token */
uint64_t net_read(struct net *n, uint16_t node);
void net_cut(struct net *n, uint16_t node, bool cut); /* both ways, from everyone */
void net_heal(struct net *n);

#endif
