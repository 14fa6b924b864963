/* Raft's state, and what its files offer each other.
 *
 *   raft.c              life and death of an instance, records, proposals, dispatch, the interface table
 *   raft_election.c     terms, roles, pre-vote, votes, check-quorum, leader stickiness     (Ongaro 2014, 3.4, 4.2.3, 9.6)
 *   raft_leader.c       replication: windows, probing, heartbeats, commitment              (3.5, 3.6, 10.2)
 *   raft_follower.c     append requests: the log check, truncation, commitment             (3.5)
 *   raft_snapshot.c     checkpoints, compaction, chunks out and in                         (5)
 *   raft_read.c         ReadIndex                                                          (6.4)
 *   raft_recover.c      a member whose disk was wiped or damaged
 *   raft_view.c         status, describe, inspect, fingerprint, invariants
 *
 * Everything here is one node's volatile picture; what must outlive a crash is in its records (raft.c).
 * Nothing holds an absolute time but contact_mono, reset_mono and now, which fingerprints leave out. */
#ifndef PROTOCOL_RAFT_H
#define PROTOCOL_RAFT_H

#include "protocol/log.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/quorum.h"

#define RAFT_MEMBERS_MAX 128
#define RAFT_DATA_MAX (512u * 1024u)        /* the largest proposal: one entry always fits into one frame */
#define RAFT_NUMBER_MAX (UINT64_C(1) << 56) /* no honest peer's term, index or round comes near */
#define RAFT_RECORD_HEADER 23u
#define RAFT_HEAD_MAX (10 + 2 * RAFT_MEMBERS_MAX)
#define RAFT_SNAPSHOT_MAX (UINT64_C(1) << 31)

/* identifies timers in the trace */
enum raft_timer {
    RAFT_TIMER_ELECTION = 1,
    RAFT_TIMER_HEARTBEAT = 2, /* a leader's heartbeats; a candidate's repeated questions */
    RAFT_TIMER_QUORUM = 3,
    RAFT_TIMER_RECOVER = 4,
    RAFT_TIMER_SUSPECT = 5, /* the leader was suspected: stand, unless it or another is heard until then */
    RAFT_TIMER_GATHER = 6,  /* at once, but behind all that has arrived: what was proposed leaves together */
};

/* positions in the list of raft.c */
enum raft_bug {
    RAFT_VOTE_BEFORE_SYNC = 0,
    RAFT_STEP_DOWN_CLEARS_VOTE = 1,
    RAFT_EVEN_QUORUM = 2,
    RAFT_FOLLOWER_COMMIT_UNCAPPED = 3,
    RAFT_LATE_HEARTBEAT_TRUNCATES = 4,
    RAFT_COMMIT_OLDER_TERM = 5,
    RAFT_READ_BEFORE_CONFIRM = 6,
    RAFT_AMNESIA_VOTES = 7,
};

struct raft_options {
    int64_t election_timeout, heartbeat_interval;
    bool pre_vote, check_quorum;
    int64_t max_append_bytes, max_in_flight, max_in_flight_bytes;
    int64_t max_pending, max_pending_bytes, max_reads;
    int64_t snapshot_threshold, snapshot_keep, chunk_size;
};

/* Who belongs to the cluster. An object of its own: it travels in snapshots, and later in ENTRY_CONFIG
 * entries. */
struct raft_configuration {
    uint16_t count;
    uint16_t members[RAFT_MEMBERS_MAX]; /* ascending */
};

enum raft_flow {                    /* how a leader talks to a follower */
                 RAFT_PROBE = 0,    /* one message at a time until its log is found to agree */
                 RAFT_PIPELINE = 1, /* optimistic: next moves on as messages leave */
                 RAFT_SNAPSHOT = 2, /* it needs what the log no longer holds */
};

enum { RAFT_COUNTS = 1, RAFT_FULL = 2 }; /* append_reply.counts */

struct raft_flight { /* an append request under way */
    uint64_t last, bytes;
};

struct raft_peer {
    uint8_t flow;
    bool probe_sent;       /* RAFT_PROBE: a message is out */
    bool granted, refused; /* its answer to our candidacy of this term and kind */
    bool active;           /* heard from since the last check of the quorum */
    bool chunk_sent, chunk_stalled;
    bool full;        /* its last answer said that its disk has no room for entries */
    uint64_t match;   /* flow: it agrees up to here; falls when a member turns out to have lost its disk */
    uint64_t next;    /* the next entry to send */
    uint64_t counted; /* commitment: what it acknowledged while it counted; never falls within a term */
    uint64_t round;   /* the latest round that it echoed while it counted */
    uint64_t flight_bytes;
    uint32_t flight_head, flight_count; /* in its part of raft.flights */
    uint64_t chunk_offset;              /* acknowledged bytes of the transfer */
    struct raft_snapshot *transfer;
    uint64_t recover_nonce, recover_index; /* which question of it the entry at recover_index answers */
};

/* A snapshot of the machine with what a follower needs beside it. Shared by reference, immutable. */
struct raft_snapshot {
    uint32_t references;
    uint64_t index, term, hash; /* hash: the prefix hash at index */
    uint64_t total, checksum;   /* of the stream: head, then the blob */
    struct blob *blob;
    uint32_t head_size;
    uint8_t head[RAFT_HEAD_MAX];
};

struct raft_incoming { /* a snapshot on its way in, chunk by chunk */
    uint64_t index, term, total, checksum;
    struct buffer stream; /* its size is the offset at which the transfer resumes */
};

struct raft_read {
    uint64_t token, round, index;
};

struct raft_pending { /* a record that is not durable yet */
    uint64_t last;    /* the log's last index when it was written; lowered by truncation */
    uint64_t term;
};

struct raft {
    uint16_t node, group;
    uint16_t slot; /* our place among the members */
    uint64_t bugs;
    struct raft_options options;
    struct raft_configuration configuration;
    struct random random;
    struct outbox *out; /* of the step under way */
    int64_t now;        /* its mono time */

    uint64_t term;
    uint16_t vote, leader;
    uint8_t role;    /* qrt_role */
    bool unsaved;    /* term, vote or the log's end changed since the last record */
    bool recalled;   /* recovery has seen a record or a checkpoint */
    bool gap;        /* recovery found records missing or damaged */
    bool recovering; /* the disk was wiped or damaged and we have not caught up: durable, in every record */
    bool full;       /* our disk has no room for entries: raft_room.c */

    struct quorum_rule quorum; /* elections read, commitment and reads write (Howard and others 2016) */
    struct log log;
    uint64_t commit, applied;
    uint64_t durable;             /* our log is durable up to here */
    struct raft_pending *pending; /* a ring of power-of-two size */
    uint32_t pending_head, pending_count, pending_capacity;

    int64_t timeout_ns;   /* of this election period, uniform in [t, 2t) */
    int64_t contact_mono; /* the leader's last sign of life */
    int64_t reset_mono;   /* the election timer counts from here */

    struct raft_peer *peers;     /* by slot */
    struct raft_flight *flights; /* max_in_flight a peer */
    bool bursts, gathering;      /* gathering: proposals wait for the end of their burst */
    uint64_t term_start;         /* leader: index of the first entry of its own term */

    uint64_t round, round_confirmed;
    struct raft_read *reads;
    size_t read_count, read_capacity;

    struct raft_snapshot *snapshot; /* the newest durable checkpoint */
    bool snapshotting;              /* FX_CHECKPOINT is under way */
    struct raft_incoming incoming;
    uint64_t restoring; /* FX_RESTORE up to this index is under way; 0 none */

    uint64_t recover_nonce, recover_term, recover_target;
    bool recall_ends;                                 /* while starting: a recalled record ended a recovery */
    uint64_t caught_up;                               /* for the record that ends the recovery */
    uint64_t recover_answered[RAFT_MEMBERS_MAX / 64]; /* by slot */

    struct buffer scratch;
};

static inline bool raft_has_bug(const struct raft *r, enum raft_bug bug) {
    return __builtin_expect(r->bugs >> bug & 1, 0);
}
static inline int raft_slot(const struct raft *r, uint16_t node) { /* -1 for a stranger */
    return members_slot(r->configuration.members, r->configuration.count, node);
}
static inline bool raft_leads(const struct raft *r) {
    return r->role == QRT_ROLE_LEADER;
}

/* raft.c: the record of term, vote and entries first..log.last, one atomic write. first = log.last + 1 writes
 * term and vote alone. */
void raft_persist(struct raft *r, uint64_t first);
/* The same where only term and vote, or the place of a truncation, have changed; nothing when they have not.
 * */
void raft_save(struct raft *r);
/* Recovery: what a record or checkpoint says of term, vote and the mark of a recovering member. */
void raft_recall(struct raft *r, uint64_t term, uint16_t vote, bool recovering);
/* The log beyond `last` was replaced: no record under way makes it durable. */
void raft_cut_log(struct raft *r, uint64_t last);
/* A leader holds as much uncommitted as it may. */
bool raft_is_full(const struct raft *r);
/* Removes entries from `from` on, telling their proposers that nobody knows. Not yet durable: a record
 * follows. */
void raft_truncate(struct raft *r, uint64_t from);
/* Advances the commit index (detail 1: decided as leader) and hands the machine what it may apply. */
void raft_commit(struct raft *r, uint64_t index, uint8_t decided);
void raft_apply(struct raft *r);
/* Appends an entry of the current term as leader and makes it durable; sending is the caller's. */
void raft_append(struct raft *r, uint8_t kind, uint64_t session, uint64_t sequence, struct bytes data, uint64_t token);
void raft_reject(struct raft *r, const struct message *m, uint8_t why);

/* raft_election.c */
void raft_start_election_timer(struct raft *r);
void become_follower(struct raft *r, uint64_t term, uint16_t leader);
void raft_on_election_timer(struct raft *r);
void raft_on_candidate_timer(struct raft *r);
void raft_on_opinion(struct raft *r, uint16_t peer, bool suspected);
void raft_on_suspect_timer(struct raft *r);
void raft_on_quorum_timer(struct raft *r);
void raft_on_vote_request(struct raft *r, const struct message *m);
void raft_on_vote_reply(struct raft *r, const struct message *m, int slot);
void raft_on_own_vote_stored(struct raft *r);
void raft_set_role(struct raft *r, uint8_t role);

/* raft_leader.c */
void raft_lead(struct raft *r); /* the first acts of a new leader */
void raft_replicate_all(struct raft *r);
void raft_replicate_soon(struct raft *r); /* at the end of the burst, where the runtime has bursts */
void raft_on_gather_timer(struct raft *r);
void raft_heartbeat_all(struct raft *r);
void raft_on_heartbeat_timer(struct raft *r);
void raft_on_append_reply(struct raft *r, const struct message *m, int slot);
void raft_advance_commit(struct raft *r);
void raft_probe_from(struct raft *r, struct raft_peer *p, uint64_t next);
/* A follower's log agrees with ours up to match, durably; it goes on from there. */
void raft_agrees(struct raft *r, uint16_t slot, uint64_t match, bool counts);
void raft_peer_answered(struct raft *r, struct raft_peer *p, uint64_t round, bool counts);

/* raft_follower.c */
void raft_on_append_request(struct raft *r, const struct message *m);
/* A message of a leader of this or a later term: follow it. False when it is of an older term. */
bool raft_follow(struct raft *r, uint64_t term, uint16_t from);
void raft_acknowledge(struct raft *r, uint16_t to, uint64_t index);

/* raft_snapshot.c */
struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *s); /* NULL is allowed, in both */
void raft_snapshot_unref(struct raft_snapshot **s);
void raft_incoming_clear(struct raft_incoming *in);
void raft_on_checkpoint(struct raft *r, const struct event *e);
void raft_maybe_checkpoint(struct raft *r);
void raft_send_snapshot(struct raft *r, uint16_t slot);
void raft_nudge_snapshot(struct raft *r, uint16_t slot);
void raft_on_snapshot_chunk(struct raft *r, const struct message *m);
void raft_on_snapshot_reply(struct raft *r, const struct message *m, int slot);

/* raft_read.c */
void raft_on_read(struct raft *r, uint64_t token);
void raft_serve_reads(struct raft *r);
void raft_fail_reads(struct raft *r);
void raft_advance_round(struct raft *r);

/* raft_room.c */
void raft_on_room(struct raft *r, bool full);
/* Steps down where others have room and we have none. */
void raft_yield(struct raft *r);
/* As far as we know, a quorum has room for an entry. */
bool raft_has_room(const struct raft *r);
/* Nothing need be sent to this follower: its disk is full, and it would drop it. */
bool raft_spares(const struct raft *r, const struct raft_peer *p);
bool raft_grows(const struct message *m);

/* raft_recover.c */
void raft_recover_begin(struct raft *r);
void raft_on_recover_timer(struct raft *r);
void raft_on_recover_request(struct raft *r, const struct message *m, int slot);
void raft_on_recover_reply(struct raft *r, const struct message *m, int slot);
void raft_maybe_caught_up(struct raft *r);

/* raft_view.c: the interface's read-only half */
void raft_status(const void *state, struct protocol_status *status);
bool raft_entry(const void *state, uint64_t index, struct entry *entry);
int raft_describe(const void *state, char *out, size_t size);
void raft_inspect(const void *state, inspect_fn *field, void *context);
uint64_t raft_fingerprint(const void *state);
bool raft_invariants(const void *state, struct error *e);

#endif
