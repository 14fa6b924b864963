/* What every runtime is given and what it offers: the cluster layer above drives sim and live through one table. */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "client/client.h"
#include "fault/plan.h"
#include "runtime/capture.h"
#include "runtime/condition.h"
#include "runtime/hand.h"
#include "runtime/host.h"
#include "runtime/options.h"

/* How a node's process is started that is an interpreter: the nodes of a live cluster of scripts. */
struct launch {
    char **argv; /* program and arguments, ended by NULL; NULL: there is no way */
    struct bytes cargo;
};

struct runtime_config {
    struct cluster_options options;
    const struct protocol *protocol;
    const void *protocol_options; /* owned by the cluster above; outlives the runtime */
    const struct machine_class *machine;
    uint64_t bugs;
    struct watch_config watch;
    struct quorum_rule quorum;
    const struct plan *plan;        /* may be NULL */
    const struct hand_config *hand; /* live, of nodes started by hand: copied; else NULL */
    const struct launch *launch;    /* NULL: the protocol is a built-in one; outlives the runtime */
};

/* How a proposal or operation that came through the API stands. Tickets count from 1. */
struct ticket {
    bool done, unsent; /* unsent: as of struct answer */
    qrt_status status;
    uint16_t node, leader;
    uint64_t term, index;
    int64_t proposed, answered; /* ns */
    uint32_t data, data_size;   /* in the tickets' arena */
};

struct tickets {
    struct ticket *tickets; /* [i] is ticket first + i */
    size_t count, capacity;
    uint64_t first;
    size_t open_from; /* all before it are done */
    struct buffer arena;
};

uint64_t tickets_add(struct tickets *t, uint16_t node, int64_t now);
struct ticket *tickets_at(const struct tickets *t, uint64_t ticket); /* NULL: none of that number */
void tickets_answer(struct tickets *t, const struct answer *a, int64_t now);
/* A node died: what it had not answered may or may not come true. */
void tickets_orphan(struct tickets *t, uint16_t node, int64_t now);
void tickets_clone(struct tickets *to, const struct tickets *from);
void tickets_free(struct tickets *t);

struct runtime_counts {
    uint64_t delivered, dropped, duplicated, corrupted, lied, reordered, crashes, restarts, pauses, wipes, raised;
    uint64_t torn, faults;
    /* Live: directives that were carried out more than 0.1 s after their time, and crashes and pauses that were left out. */
    uint64_t late, left_out;
    int64_t late_most; /* ns, of which verb and node (0: more than one) */
    uint8_t late_verb;
    uint16_t late_node;
};

struct node_view { /* one node, as people see it */
    uint16_t node;
    bool up, paused;
    int32_t pid;                   /* live: of the node's own process; 0: it has none, or is down */
    uint64_t captured, uncaptured; /* bytes written; inputs that were not, because the capture had stopped */
    /* Live: connections that had no right to be there, that sent more than the node could take, that the system refused. */
    uint64_t refused, shut, unaccepted;
    /* Live: its first timer to ring later than the protocol's bound, ns late, and when; 0: none. */
    int64_t late, late_at;
    bool denied; /* of a node by hand: it refuses the key of the client that asks */
    /* Of its own process, in bytes: resident, and the most beside its data; 0: not known. */
    uint64_t memory, memory_budget;
    uint16_t metrics_port; /* live: where its metrics are served; 0: nowhere */
    struct protocol_status status;
    struct host_counts counts;
    /* Its disk is full: it takes on nothing new, and can still write so many bytes of its log; filled: by a fault. Checkpoints
     * that it left out for want of room. */
    bool full, filled;
    uint64_t reserve, skipped;
    uint64_t suspects[2]; /* bit i - 1: its failure detector suspects node i */
    /* Last, as a node that is well has nothing here and publishes its view after every burst. */
    char why_uncaptured[CAPTURE_WHY_MAX], why_down[ERROR_TEXT_MAX];
    char damage[STORE_DAMAGE_MAX]; /* what its disk lost, while it takes that from its peers */
};

/* "the disk of n2 is full ...: make room there"; false where it is not. */
bool view_full_text(const struct node_view *v, char *out, size_t size);
/* "messages of n2 are of another version (theirs 3, ours 4): upgrade one of them"; false where all speak this one. */
bool view_version_text(const struct node_view *v, char *out, size_t size);
/* Both, and "damaged: wal-...; records of index 812 to 1000 are taken from the peers"; false where there is none. */
bool view_warning_text(const struct node_view *v, char *out, size_t size);
/* Fills in v->damage, of a view whose up and role are there. */
void view_damage(const struct host *h, struct node_view *v);

/* The one table through which the cluster layer drives simulator and live alike. */
struct runtime_class {
    const char *name;
    /* The sink sees every event from the first on. */
    void *(*create)(const struct runtime_config *config, struct trace_sink sink, struct error *e);
    void (*destroy)(void *runtime);
    /* config: the clone's own, with pointers that outlive it. NULL where it cannot. */
    void *(*clone)(const void *runtime, const struct runtime_config *config, struct trace_sink sink);
    int64_t (*now)(void *runtime);
    /* Until `until`, or the condition; QRT_MORE after slice_ns of wall time (0: never); QRT_ETIMEOUT with a condition. */
    qrt_status (*run)(void *runtime, int64_t until, const struct condition *condition, int64_t slice_ns);
    uint64_t (*step)(void *runtime, uint64_t count); /* events carried out; NULL where time is real */
    uint16_t (*leader)(void *runtime);
    void (*view)(void *runtime, uint16_t node, struct node_view *view);
    bool (*cut)(void *runtime, uint16_t from, uint16_t to);                          /* by a standing partition */
    bool (*inspect)(void *runtime, uint16_t node, inspect_fn *field, void *context); /* false: the node is down */
    qrt_status (*propose)(void *runtime, uint16_t node, struct bytes data, uint64_t *ticket);
    /* A copy, and the answer's bytes (valid until the next call on the runtime). False: no such ticket. */
    bool (*ticket)(void *runtime, uint64_t ticket, struct ticket *out, struct bytes *data);
    uint16_t (*client)(void *runtime, const struct workload *w, uint64_t operations); /* w NULL: manual */
    qrt_status (*submit)(void *runtime, uint16_t client, uint8_t operation, struct bytes command, uint64_t *ticket);
    /* Nobody waits for a client's operation any more: if nothing of it was sent it fails now, else it goes on. NULL where
     * sending is certain. */
    void (*withdraw)(void *runtime, uint64_t ticket);
    void (*stop_clients)(void *runtime);
    /* Times of the directives count from now; a directive at 0 takes effect at once. */
    qrt_status (*fault)(void *runtime, const struct plan *plan, struct error *e);
    const struct trace *(*trace)(void *runtime);
    const struct history *(*history)(void *runtime);
    void (*counts)(void *runtime, struct runtime_counts *counts);
    uint64_t (*fingerprint)(void *runtime);
    /* It began with an earlier cluster's data, so that its history has no known beginning. NULL: never. */
    bool (*inherited)(void *runtime);
    /* What the nodes' own code raised, in full, oldest first. NULL: whoever called it has that. */
    void (*tracebacks)(void *runtime, void (*each)(void *context, const char *text), void *context);
};

/* NULL when this build lacks it (live without libzmq). */
const struct runtime_class *runtime_find(enum runtime_kind kind);
extern const struct runtime_class sim_class;
#ifdef QRT_HAVE_LIVE
extern const struct runtime_class live_class;
#endif

#endif
