/* Primary-backup's state, and what its files offer each other.
 *
 *   primary.c             life and death of an instance, records, proposals, dispatch, the interface table
 *   primary_epoch.c       epochs and views: who asks the monitors, what they grant, switch-over
 *   primary_replicate.c   writes to the backups, their answers, what is acknowledged, reads
 *   primary_look.c        status, describe, inspect, fingerprint, invariants
 *
 * Everything here is one node's volatile picture; what must outlive a crash is in its records (primary.c).
 * Nothing holds an absolute time but contact_mono, reset_mono, heard_mono and now, which fingerprints leave out. */
#ifndef PROTOCOL_PRIMARY_H
#define PROTOCOL_PRIMARY_H

#include "protocol/log.h"
#include "protocol/members.h"
#include "protocol/protocol.h"
#include "protocol/quorum_rules.h"

#define PRIMARY_MEMBERS_MAX 128
#define PRIMARY_DATA_MAX (512u * 1024u)        /* the largest proposal: one entry always fits into one frame */
#define PRIMARY_NUMBER_MAX (UINT64_C(1) << 56) /* no honest peer's epoch, index or round comes near */
#define PRIMARY_RECORD_HEADER 54u

/* identifies timers in the trace */
enum primary_timer {
    PRIMARY_TIMER_ELECTION = 1,  /* no primary was heard */
    PRIMARY_TIMER_HEARTBEAT = 2, /* a primary's heartbeats; a candidate's repeated questions */
    PRIMARY_TIMER_SUSPECT = 3,   /* the primary was suspected: stand, unless somebody is heard until then */
};

enum primary_mode { PRIMARY_SYNC = 0, PRIMARY_SEMI_SYNC = 1, PRIMARY_ASYNC = 2 };

/* positions in the list of primary.c */
enum primary_bug {
    PRIMARY_ACKNOWLEDGE_BEFORE_BACKUP = 0,
    PRIMARY_STALE_PRIMARY_SERVES = 1,
    PRIMARY_UNCLEAN_SWITCH_OVER = 2,
    PRIMARY_SHRINK_WITHOUT_GRANT = 3,
    PRIMARY_PROMISE_BEFORE_SYNC = 4,
};

struct primary_options {
    int32_t mode;
    int64_t election_timeout, heartbeat_interval, backup_timeout;
    bool check_quorum;
    int64_t max_append_bytes, max_in_flight;
    int64_t max_pending, max_pending_bytes, max_reads;
};

struct primary_set { /* of members, by slot */
    uint64_t words[PRIMARY_MEMBERS_MAX / 64];
};

/* Who replicates: granted by a quorum of the monitors before it counts. Ordered by (epoch, version). */
struct primary_view {
    uint64_t epoch, version;
    struct primary_set in_sync; /* the primary of that epoch is one of them */
};

struct primary_peer {
    bool granted, refused;    /* its answer to our candidacy of this epoch and kind */
    bool accepted;            /* it has accepted the proposed view */
    bool probing, probe_sent; /* one message at a time until its log is found to agree */
    bool suspected;           /* a detector's opinion, until it is heard again */
    uint64_t match;           /* its durable log agrees up to here */
    uint64_t next;            /* the next entry to send */
    uint64_t round;           /* the latest round that it echoed in this epoch */
    int64_t heard_mono;       /* its last answer in this epoch */
};

struct primary_read {
    uint64_t token, round, index;
};

struct primary_pending { /* a record that is not durable yet */
    uint64_t last;       /* the log's last index when it was written; lowered by truncation */
    uint64_t epoch, view_epoch, view_version;
};

struct primary {
    uint16_t node, group, slot, count;
    uint16_t members[PRIMARY_MEMBERS_MAX]; /* ascending */
    uint64_t bugs;
    struct primary_options options;
    struct random random;
    struct outbox *out; /* of the step under way */
    int64_t now;        /* its mono time */

    uint64_t epoch; /* the highest that we promised or heard of */
    uint16_t vote;  /* whom we promised it, 0 nobody */
    uint16_t leader;
    uint8_t role;             /* qrt_role */
    struct primary_view view; /* as a monitor: the latest that we accepted */
    bool unsaved;             /* epoch, vote, view or the log's end changed since the last record */
    bool recalled, gap;       /* recovery has seen a record; found records missing or damaged */
    bool silent;              /* the disk does not hold what we have told others: we take no part */

    struct log log;
    uint64_t commit, applied, durable;
    struct primary_pending *pending; /* a ring of power-of-two size */
    uint32_t pending_head, pending_count, pending_capacity;
    struct blob *genesis; /* the machine before the first entry, where applied entries may have to be taken back */
    bool restoring;       /* FX_RESTORE of it is under way */

    struct quorum_rule quorum; /* epochs read, views write (Howard and others 2016) */
    int64_t timeout_ns;        /* of this election period, uniform in [t, 2t) */
    int64_t contact_mono, reset_mono;

    /* candidate and primary */
    struct primary_peer *peers;   /* by slot */
    struct primary_view best;     /* the latest among those who promised us this epoch */
    struct primary_view active;   /* granted: in force */
    struct primary_view proposed; /* with `proposing`: sent to the monitors */
    bool reconciling;             /* the epoch is ours; the logs are made alike before the view is asked for */
    bool proposing;
    uint64_t epoch_start; /* index of the first entry of our own epoch */

    uint64_t round, round_confirmed;
    struct primary_read *reads;
    size_t read_count, read_capacity;
    struct buffer scratch;
};

static inline bool primary_has_bug(const struct primary *p, enum primary_bug bug) {
    return __builtin_expect(p->bugs >> bug & 1, 0);
}
static inline int primary_slot(const struct primary *p, uint16_t node) { /* -1 for a stranger */
    return members_slot(p->members, p->count, node);
}
static inline bool primary_leads(const struct primary *p) {
    return p->role == QRT_ROLE_LEADER;
}
/* Sends entries: as primary, or as the candidate that makes the logs alike. */
static inline bool primary_replicates(const struct primary *p) {
    return p->role == QRT_ROLE_LEADER || (p->role == QRT_ROLE_CANDIDATE && p->reconciling);
}
/* Whether what was applied may have to be taken back: what is answered early may be lost. */
static inline bool primary_rewinds(const struct primary *p) {
    return p->options.mode != PRIMARY_SYNC || p->bugs;
}

static inline bool set_has(const struct primary_set *s, size_t slot) {
    return s->words[slot / 64] >> (slot % 64) & 1;
}
static inline void set_add(struct primary_set *s, size_t slot) {
    s->words[slot / 64] |= UINT64_C(1) << (slot % 64);
}
static inline size_t set_count(const struct primary_set *s) {
    return (size_t)__builtin_popcountll(s->words[0]) + (size_t)__builtin_popcountll(s->words[1]);
}
/* Whether they are enough to grant a view, and so to be one. */
static inline bool primary_is_quorum(const struct primary *p, const struct primary_set *s) {
    return quorum_rule_met(&p->quorum, QUORUM_WRITE, s->words);
}
static inline bool set_equal(const struct primary_set *a, const struct primary_set *b) {
    return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}
static inline bool view_after(const struct primary_view *a, const struct primary_view *b) {
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->version > b->version;
}

/* primary.c: the record of epoch, promise, view and the entries first..log.last, one atomic write. */
void primary_persist(struct primary *p, uint64_t first);
/* The same where the log has only been cut, or not changed; nothing when nothing has changed. */
void primary_save(struct primary *p);
/* Removes entries from `from` on, telling their proposers that nobody knows. Not yet durable: a record follows. */
void primary_truncate(struct primary *p, uint64_t from);
/* detail: 1 the backups have it, 2 answered by the primary's own promise, 0 learnt from it. */
void primary_commit(struct primary *p, uint64_t index, uint8_t detail);
void primary_append(struct primary *p, uint8_t kind, uint64_t session, uint64_t sequence, struct bytes data,
                    uint64_t token);
void primary_reject(struct primary *p, const struct message *m, uint8_t why);

/* primary_epoch.c */
void primary_set_role(struct primary *p, uint8_t role);
void primary_start_election_timer(struct primary *p);
void become_backup(struct primary *p, uint64_t epoch, uint16_t leader);
void primary_on_election_timer(struct primary *p);
void primary_on_ask_timer(struct primary *p);
void primary_on_suspect_timer(struct primary *p);
void primary_on_opinion(struct primary *p, int slot, bool suspected);
void primary_on_epoch_request(struct primary *p, const struct message *m);
void primary_on_epoch_reply(struct primary *p, const struct message *m, int slot);
void primary_on_view_request(struct primary *p, const struct message *m);
void primary_on_view_reply(struct primary *p, const struct message *m, int slot);
void primary_on_own_promise_stored(struct primary *p);
void primary_on_own_view_stored(struct primary *p);
/* Proposes the next view where another set of backups is in step; repeats a proposal that is under way. */
void primary_review(struct primary *p);

/* primary_replicate.c */
void primary_begin_replication(struct primary *p);
void primary_replicate_all(struct primary *p);
void primary_on_heartbeat_timer(struct primary *p);
void primary_advance(struct primary *p);
void primary_on_replicate_request(struct primary *p, const struct message *m);
void primary_on_replicate_reply(struct primary *p, const struct message *m, int slot);
void primary_on_read(struct primary *p, uint64_t token);
void primary_serve_reads(struct primary *p);
void primary_fail_reads(struct primary *p);

/* primary_look.c: the interface's read-only half */
void primary_status(const void *state, struct protocol_status *status);
bool primary_entry(const void *state, uint64_t index, struct entry *entry);
int primary_describe(const void *state, char *out, size_t size);
void primary_inspect(const void *state, inspect_fn *field, void *context);
uint64_t primary_fingerprint(const void *state);
bool primary_invariants(const void *state, struct error *e);

#endif
