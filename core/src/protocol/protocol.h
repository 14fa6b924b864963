/* One interface for every protocol.
 *
 * A protocol instance is a deterministic function: step(state, event) -> outbox. No callback in the middle of a
 * step, no clock read, no socket, no file, no global, no allocation in the hot path once it has warmed up. Time
 * arrives inside the event; randomness is a stream in the state. The driver (runtime/driver.c) carries out the
 * outbox, effect by effect, in order, and a crash may fall between any two of them.
 *
 * Durability contract: a send or reply that stands behind a persist in the outbox order of this instance leaves
 * the node only when that persist (and every earlier one) is durable, unless it is flagged before_durable. A
 * protocol may therefore persist, then send, in one step, and think no more of it. Completions arrive as
 * EVENT_STORED in the order of the persists.
 */
#ifndef PROTOCOL_PROTOCOL_H
#define PROTOCOL_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/memory.h"
#include "base/option.h"
#include "base/random.h"
#include "protocol/quorum_rules.h"
#include "wire/wire.h"

/* ---- entries: what a protocol agrees upon ------------------------------------------------- */

/* crosses wire and disk */
enum entry_kind {
    ENTRY_NOOP = 0,    /* a new leader's first entry */
    ENTRY_OPAQUE = 1,  /* proposed bytes; handed to the machine as they are */
    ENTRY_OPEN = 2,    /* opens a client session; its index becomes the session's id */
    ENTRY_COMMAND = 3, /* a session's command: applied once, by (session, sequence) */
    ENTRY_CONFIG = 4,  /* membership; not given to the machine */
};

struct entry {
    uint64_t index, term;
    uint64_t session, sequence; /* ENTRY_COMMAND */
    uint64_t hash;              /* prefix hash: over this entry and all before it */
    uint64_t token;             /* volatile: the proposer's ticket on this node in this term, else 0 */
    uint8_t kind;
    struct bytes data;
};

/* ---- events in --------------------------------------------------------------------------- */

enum event_kind {
    EVENT_START = 1,      /* first event of an incarnation, after all EVENT_CHECKPOINT and EVENT_RECORD of recovery */
    EVENT_RECORD = 2,     /* recovery: one durable record, oldest first */
    EVENT_CHECKPOINT = 3, /* a checkpoint is durable (or, while recovering, was found); the machine is at it */
    EVENT_MESSAGE = 4,
    EVENT_TIMER = 5,
    EVENT_PROPOSE = 6,
    EVENT_READ = 7,    /* wants a linearizable point for a read: answered by FX_READ_READY or FX_REPLY */
    EVENT_STORED = 8,  /* a persist is durable: cookie as given */
    EVENT_OPINION = 9, /* a failure detector's opinion of a peer */
    EVENT_LOCAL = 10,  /* from another instance on this node */
    EVENT_ROOM = 11,   /* the node's disk is full, or has room again; until the first one it has */
};

struct event {
    uint8_t kind;
    int64_t mono; /* ns; drifts, never jumps; for timers and leases */
    int64_t wall; /* ns; skews and jumps */
    union {
        struct {
            uint8_t how;
        } start; /* qrt_start */
        struct {
            struct bytes data;
        } record;
        struct {
            uint64_t index, term;
            struct bytes meta;
            struct blob *blob;
            bool recovered;
        } checkpoint;
        const struct message *message;
        struct {
            uint32_t id;
        } timer;
        struct {
            uint64_t token;
            uint8_t kind;
            uint64_t session, sequence;
            struct bytes data;
        } propose;
        struct {
            uint64_t token;
        } read;
        struct {
            uint64_t index, term;
        } stored; /* the cookie of FX_PERSIST */
        struct {
            uint16_t peer;
            double suspicion;
            bool suspected;
        } opinion;
        struct {
            uint16_t group;
            struct bytes data;
        } local;
        struct {
            bool full;
        } room;
    } as;
};

/* ---- effects out ------------------------------------------------------------------------- */

enum effect_kind {
    FX_SEND = 1,    /* peer, bytes: an encoded, unsealed frame; flag FX_BEFORE_DURABLE; term and index for the trace */
    FX_TIMER = 2,   /* id (a), delay in ns of mono time (b); replaces an earlier setting; INT64_MAX clears */
    FX_PERSIST = 3, /* bytes: one atomic record; index, term: cookie for EVENT_STORED. index is also the log
                          index up to which a later checkpoint makes this record superfluous */
    FX_APPLY = 4,   /* entries a..b are committed: hand them to the machine, then to their proposers */
    FX_REPLY = 5,   /* token (a), status (b, a qrt_status), peer: leader hint, term, index, bytes: the proposal or
                          read ends without being applied here */
    FX_READ_READY = 6, /* token (a): the machine as it is now (applied up to index) may answer that read */
    FX_CHECKPOINT = 7, /* take a snapshot of the machine, applied up to index, term; bytes: meta (configuration);
                          EVENT_CHECKPOINT follows once it is durable, perhaps many steps later; before it,
                          neither this nor FX_RESTORE is asked for again */
    FX_RESTORE = 8,    /* replace the machine by a peer's snapshot (blob), up to index, term; made durable first;
                          bytes: meta; EVENT_CHECKPOINT follows. The effect owns one reference to the blob */
    FX_NOTE = 9,       /* a trace event: the kind in a, the detail in b, peer, term, index, link (c), value (d) */
    FX_LOCAL = 10,     /* bytes to instance a on this node */
    FX_RAISE = 11,     /* bytes: why. The node's own code has failed, and its incarnation ends here */
};

enum { FX_BEFORE_DURABLE = 1 };

struct effect {
    uint8_t kind, flags;
    uint16_t peer;
    uint32_t offset, size; /* bytes in the outbox's arena */
    uint64_t term, index;
    uint64_t a, b, c, d;
    struct blob *blob;
};

/* A large frame has memory of its own, which may outlive the step: the effect owns one reference to it, and nothing of it is
 * in the arena. Before the frame there is room for what a transport puts there. */
#define OUTBOX_ROOM 16u

/* Bounded and ordered. The owner keeps it between steps, so that its memory is reused. */
struct outbox {
    struct effect *effects;
    size_t count, capacity;
    struct buffer arena;
    uint16_t node, group; /* the sender of what is sent */
    uint32_t large;       /* bytes from which on a frame has memory of its own; 0: none has */
};

static inline void outbox_clear(struct outbox *o) {
    o->count = 0;
    o->arena.size = 0;
}
void outbox_free(struct outbox *o);
void outbox_grow(struct outbox *o);
static inline struct effect *outbox_add(struct outbox *o, uint8_t kind) { /* zeroed but for kind */
    if (__builtin_expect(o->count == o->capacity, 0)) outbox_grow(o);
    struct effect *e = &o->effects[o->count++];
    *e = (struct effect){.kind = kind};
    return e;
}
/* Encodes m (group, from and to are filled in here) and adds the send; term and index go to the trace. */
void outbox_send(struct outbox *o, uint16_t to, struct message *m, uint8_t flags, uint64_t term, uint64_t index);
void outbox_timer(struct outbox *o, uint32_t id, int64_t delay_ns);
/* Room for a record of `size` bytes; the caller fills it before the next call on the outbox. */
uint8_t *outbox_persist(struct outbox *o, size_t size, uint64_t index, uint64_t term);
void outbox_note(struct outbox *o, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                 uint64_t link, uint64_t value);
void outbox_reply(struct outbox *o, uint64_t token, qrt_status status, uint16_t leader);
/* The same, with what was decided: where (term, index: ballot and instance, as the protocol counts) and what. */
void outbox_answer(struct outbox *o, uint64_t token, qrt_status status, uint16_t leader, uint64_t term, uint64_t index,
                   struct bytes decided);
/* arena: of the outbox, or of where the effect is held. */
static inline uint8_t *effect_bytes(const struct effect *e, uint8_t *arena) {
    return __builtin_expect(e->blob && e->kind == FX_SEND, 0) ? e->blob->data + OUTBOX_ROOM : arena + e->offset;
}
static inline struct bytes outbox_bytes(const struct outbox *o, const struct effect *e) {
    return (struct bytes){effect_bytes(e, o->arena.data), e->size};
}

/* ---- the interface ----------------------------------------------------------------------- */

struct protocol_config {
    uint16_t node, group;
    const uint16_t *members; /* ascending node ids of the initial configuration */
    uint16_t member_count;
    uint64_t seed;       /* the protocol derives its stream: random_stream(seed, node, RANDOM_PROTOCOL) */
    const void *options; /* the protocol's own options struct, validated */
    uint64_t bugs;       /* bit set of switched-on mistakes, by position in the protocol's list */
    bool bursts; /* the runtime hands over all that has arrived before a timer that is due at once: gathering pays */
    const struct quorum_rule *quorum; /* of these members; copied; NULL: majority */
    const void *context;              /* the protocol's own: struct protocol.context */
};

struct protocol_status { /* cheap to read after every step; what conditions and clients look at */
    uint8_t role;        /* qrt_role */
    uint16_t leader;     /* 0 unknown */
    uint64_t term, first, last, commit, applied;
};

/* The store holds less than this member has told others: nothing, or a part. how: qrt_start. */
static inline bool start_forgot(uint8_t how) {
    return how == QRT_START_WIPED || how == QRT_START_DAMAGED;
}

/* What must hold for the protocol to keep its promises, as data. */
struct fault_model {
    bool synchrony; /* needs a bound on delays and clock rates for safety */
    bool tolerates_loss, tolerates_reorder, tolerates_duplicates, tolerates_corruption;
    bool tolerates_partition;
    bool tolerates_pause, tolerates_skew;
    bool crash_recovers; /* a crashed node may come back with its disk */
    bool crash_wipes;    /* and a minority without it, one catch-up at a time */
    bool loses_unsynced; /* unsynced writes may be lost at a crash */
    const char *crashes; /* how many may be down for progress: "(n-1)/2" */
    const char *liars;   /* how many may lie: "0" */
    const char *assumes; /* one sentence for people */
};

struct bug { /* one switchable published mistake */
    const char *name, *mistake, *property, *source;
};

typedef void inspect_fn(void *context, const char *name, const char *value);

struct protocol {
    const char *name, *summary;
    const char *judged_by; /* the checkers whose properties it promises, by name, separated by spaces */
    /* The same where it depends on the options, "linearizability" among them where that is promised; else NULL: then
     * histories are judged whenever there is a machine. */
    const char *(*judged_as)(const void *options);
    const char *sometimes; /* what its campaigns must meet at least once: conditions of check/coverage.h, by name */
    bool votes;            /* it decides by quorums: the option `quorum` applies */
    unsigned quorum_needs; /* enum quorum_need: what its safety needs of them */
    /* How many of the members decide, the last ones: the nodes of its quorums. NULL: all. */
    uint16_t (*voters)(const void *options, uint16_t members);
    bool leaderless; /* every member takes proposals, and there may be no leader at all */
    bool values;     /* it decides values and runs no machine: clients propose, and are told what was decided */
    bool elects;     /* a proposal asks for an election, and is told the leader (text) and its epoch (term) */
    struct option_table options;
    size_t options_size;
    /* Whether options that are each in range go together with so many members; NULL: always. The error has the arithmetic. */
    qrt_status (*fits)(const void *options, uint16_t members, struct error *e);
    const struct fault_model *model;
    /* Where the model needs a bound on delays: what a message, with the write that it causes, may take, ns. NULL: it needs none. */
    int64_t (*bound)(const void *options);
    const struct bug *bugs; /* ends with a NULL name */
    const void *context;    /* handed to create; NULL but for a script, whose class it is */
    void *(*create)(const struct protocol_config *config);
    void (*destroy)(void *state);
    void *(*clone)(const void *state);
    uint64_t (*fingerprint)(const void *state); /* canonical, no absolute time, no pointers */
    void (*step)(void *state, const struct event *event, struct outbox *out);
    void (*status)(const void *state, struct protocol_status *status);
    /* Whether a message would make its receiver write what it need not: values of clients, snapshots. A node whose disk is full
     * drops it unread, as if the network had. Votes and the like it must take. NULL: no message would, or none may be lost. */
    bool (*grows)(const struct message *m);
    /* The committed or uncommitted entry at index; false when it is not in the log. Points into the state. NULL: nothing is
     * applied to a machine. */
    bool (*entry)(const void *state, uint64_t index, struct entry *entry);
    int (*describe)(const void *state, char *out, size_t size);           /* a line for people */
    void (*inspect)(const void *state, inspect_fn *field, void *context); /* named fields for scripts */
    bool (*invariants)(const void *state, struct error *e);               /* the state's own consistency */
};

/* All protocols of this build, in the order in which they are listed; NULL past the end. */
const struct protocol *protocol_at(size_t i);
/* NULL when there is none of that name. */
const struct protocol *protocol_find(const char *name);
/* The same, and why: the error names the nearest known one. */
const struct protocol *protocol_named(const char *name, struct error *e);

#endif
