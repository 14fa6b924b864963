/* A node: its instances (one a group), its store, its clients' requests. The same in every runtime.
 *
 * The runtime gives a host its inputs (a frame, a timer, a proposal, a completed flush) after setting its clocks, and
 * carries out what comes back through the port. Everything else is here: the driver applies each outbox effect by
 * effect (driver.c), holds what must wait for the disk, and the service (service.c) turns client requests into
 * proposals and reads, and applied entries into answers.
 *
 * Invariants
 *  1. Effects of an instance leave in outbox order; a send, reply, vote or acknowledgement leaves only when every
 *     record that its instance persisted before it is durable, unless flagged before_durable.
 *  2. Effects are counted (effects_done); an armed crash falls between two of them and nothing of the step is
 *     carried out behind it.
 *  3. Whatever is volatile (instances, held effects, pending requests) dies with the incarnation; only the store stays.
 */
#ifndef RUNTIME_HOST_H
#define RUNTIME_HOST_H

#include "base/hash.h"
#include "client/client.h"
#include "machine/machine.h"
#include "machine/session.h"
#include "protocol/protocol.h"
#include "runtime/watch.h"
#include "store/store.h"
#include "trace/trace.h"

struct host;
struct capture;

/* How a proposal or read that came from the API ends. */
struct answer {
    uint64_t ticket;
    qrt_status status;
    uint16_t leader; /* hint */
    uint64_t term, index;
    struct bytes data; /* the machine's reply; lives for the call */
    bool unsent;       /* a client's operation: QRT_EFAILED, and no request of it ever left */
};

struct host_port {
    void (*send)(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size);
    void (*timer)(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay_ns);
    void (*persist)(void *runtime, struct host *h); /* the store has something to flush, or a checkpoint was saved */
    void (*answer)(void *runtime, struct host *h, const struct answer *a);
    void (*died)(void *runtime, struct host *h, qrt_status why, const char *text); /* the incarnation is over */
    /* A frame with memory of its own, behind OUTBOX_ROOM bytes that are the port's to write. It may take references; the
     * frame does not change any more. Only frames of at least `large` bytes go this way; 0: none does. */
    void (*send_large)(void *runtime, struct host *h, uint16_t to, struct blob *frame);
    uint32_t large;
    /* What the disk's thread was saving is durable, or this failed: host_saved is due. Called on that thread. NULL: the runtime looks
     * by itself. */
    void (*saved)(void *runtime, struct host *h);
};

struct held { /* an effect that waits for the disk */
    struct effect effect;
    uint64_t barrier; /* leaves when durable >= barrier */
};

struct cookie {
    uint64_t index, term;
};

struct pending { /* a request whose answer an instance owes */
    bool used;
    uint8_t operation; /* enum client_operation; 0: API */
    uint16_t client;
    uint32_t generation;
    uint32_t next_free;
    uint64_t number;       /* client's request number, or the API's ticket */
    struct buffer command; /* a read's command */
};

struct instance {
    uint16_t group;
    const struct protocol *protocol;
    void *state;
    struct outbox out;     /* of the step under way */
    struct outbox service; /* replies made while applying */

    uint64_t issued, flushing, durable; /* persist tickets */
    uint64_t told;          /* the last whose completion the protocol was given; behind durable only within a step */
    struct cookie *cookies; /* of tickets told+1 .. issued, in a ring of power-of-two size */
    size_t cookies_capacity;
    struct held *held; /* [held_head, held_count) wait */
    size_t held_head, held_count, held_capacity;
    struct buffer held_bytes;

    const struct machine_class *machine;
    void *machine_state;
    struct sessions *sessions;
    uint64_t applied;
    struct buffer reply; /* scratch */

    bool checkpoint_pending;
    struct store_checkpoint checkpoint; /* saved; its event not yet delivered; meta in checkpoint_meta */
    struct buffer checkpoint_meta;

    struct pending *pending;
    uint32_t pending_count, pending_free; /* free list, UINT32_MAX ends it */
};

struct host_config {
    uint16_t node;
    uint64_t cluster_id, seed;
    const uint16_t *members;
    uint16_t member_count;
    const struct protocol *protocol;
    const void *protocol_options;
    uint64_t bugs;
    const struct machine_class *machine;
    uint32_t sessions_limit;
    bool inline_store;                /* the store completes inline (memory) */
    bool bursts;                      /* see protocol_config */
    const struct watch_config *watch; /* NULL or off: no failure detector */
    const struct quorum_rule *quorum; /* NULL: majority */
};

#define HOST_NO_CRASH UINT64_MAX

struct host_counts {
    uint64_t sent, received, rejected, bytes_sent, persisted, flushes, applied, proposals, reads;
    uint64_t
        other_version; /* among the rejected: sound frames of another WIRE_VERSION; what it was, and who sent the last */
    uint16_t their_version, their_node;
    uint64_t disk_refused, disk_dropped; /* proposals and messages that were not taken because its disk is full */
};

struct host {
    struct host_config config;
    const struct host_port *port;
    void *runtime;
    struct trace *trace;
    struct store *store;
    struct capture *capture;  /* every input is written into it; NULL: none */
    int64_t time, mono, wall; /* set by the runtime before every input: trace time and the node's own clocks */
    bool up;
    bool full;       /* its disk has no room: what would only add to the log is refused (host_room) */
    uint32_t saving; /* 1 + the group whose checkpoint the disk's thread saves; 0: none */
    uint32_t incarnation;
    uint64_t sends;        /* message ids are node << 40 | sends */
    uint64_t effects_done; /* in the current input */
    uint64_t crash_after;  /* HOST_NO_CRASH: not armed; else the next input with more effects dies behind that many */
    bool dying;
    struct instance *instances;
    uint16_t instance_count;
    struct watch watch;
    struct host_counts counts;
};

/* The host takes the store. It is down until host_start. */
void host_init(struct host *h, const struct host_config *config, struct store *store, const struct host_port *port,
               void *runtime, struct trace *trace);
void host_free(struct host *h);
/* Into an uninitialised struct; runtime and trace are the clone's. */
void host_clone(struct host *to, const struct host *from, void *runtime, struct trace *trace);
uint64_t host_fingerprint(const struct host *h);
/* The same without the store: what inputs alone decide. */
uint64_t host_state_fingerprint(const struct host *h);
/* All groups vote, and what they wrote about that is durable: a wiped member has caught up. Not within a step, whose
 * effects may never be carried out. */
bool host_caught_up(const struct host *h);

/* Recovers from the store and starts the instances. how: qrt_start. */
qrt_status host_start(struct host *h, uint8_t how, struct error *e);
/* The incarnation ends now: everything volatile is gone. */
void host_stop(struct host *h);
void host_receive(struct host *h, struct bytes frame);
/* The same for a frame that is, byte for byte, what a peer of this process sealed: its seal is not checked again. */
void host_receive_intact(struct host *h, struct bytes frame);
void host_timer(struct host *h, uint16_t group, uint32_t id);
/* The node's disk is full, or has room again. While it is full clients' proposals are refused, and messages that would make it
 * write values of clients are dropped before the protocol sees them (protocol.grows); the rest finds room in the store's
 * reserve. An input, so that a replay, which has no disk, does the same. */
void host_room(struct host *h, bool full);
/* Says so where the store has changed its mind. Cheap; to be called between inputs, after each flush at least. */
static inline void host_look(struct host *h) {
    if (h->store && h->up && !h->dying && __builtin_expect(store_full(h->store) != h->full, 0)) host_room(h, !h->full);
}
/* A proposal from the API; its answer carries the ticket. */
void host_propose(struct host *h, uint16_t group, struct bytes data, uint64_t ticket);
/* The flush that the runtime began (host_flush_begin) is durable. */
bool host_flush_begin(struct host *h, struct error *e);     /* writes, unsynced; false: nothing to do */
qrt_status host_flush_end(struct host *h, struct error *e); /* syncs, releases, tells */
/* What the disk's thread was saving is durable, or this failed, so that host_saved will not wait. */
static inline bool host_saving_ended(const struct host *h) {
    return h->saving && store_saved(h->store);
}
/* Ends the saving and tells the instance whose checkpoint it is. An error is the node's end, as one of a flush is. */
qrt_status host_saved(struct host *h, struct error *e);
/* Within an input, by the watch: every instance hears of it. */
void host_opinion(struct host *h, uint16_t peer, bool suspected, double suspicion);

/* driver.c and service.c, among themselves */
/* A flush has to say that something is durable. */
static inline bool host_wants_flush(const struct host *h, const struct instance *in) {
    return in->issued > in->flushing || (in->checkpoint_pending && h->saving != in->group + 1u);
}
void driver_step(struct host *h, struct instance *in, const struct event *event);
void driver_durable(struct host *h, struct instance *in);
void driver_carry_out(struct host *h, struct instance *in, struct outbox *out);
void driver_init(struct host *h, struct instance *in);
void driver_clear(struct instance *in);
/* The incarnation ends here: nothing more of the input is carried out (invariant 2). */
static inline void driver_die(struct host *h) {
    h->dying = true;
    h->crash_after = 0;
}
/* The user's own code on this node failed: the event that says so, and the end of the incarnation. */
void driver_raise(struct host *h, const char *text);
/* Counts an effect; false when the armed crash falls here, or the node is dying already. */
static inline bool driver_alive(struct host *h) {
    if (__builtin_expect(h->effects_done >= h->crash_after, 0)) {
        driver_die(h);
        return false;
    }
    h->effects_done++;
    return true;
}
void service_request(struct host *h, struct instance *in, const struct message *m);
void service_propose(struct host *h, struct instance *in, uint8_t kind, uint64_t session, uint64_t sequence,
                     struct bytes data, uint64_t token);
bool service_has_room(const struct host *h, const struct instance *in); /* for a proposal of a client */
uint64_t service_pend(struct instance *in, uint8_t operation, uint16_t client, uint64_t number, struct bytes command);
void service_apply(struct host *h, struct instance *in, uint64_t from, uint64_t to);
void service_reply(struct host *h, struct instance *in, const struct effect *e, struct bytes decided);
void service_read_ready(struct host *h, struct instance *in, uint64_t token);
void service_checkpoint(struct host *h, struct instance *in, const struct effect *e, struct bytes meta);
void service_restore(struct host *h, struct instance *in, const struct effect *e, struct bytes meta);
/* The snapshot of the checkpoint that is pending; takes the reference. */
void service_taken(struct instance *in, struct blob *snapshot);
void service_checkpointed(struct host *h, struct instance *in);
void service_clear(struct instance *in);
bool service_load(struct instance *in, struct bytes snapshot, struct error *e);
/* A hash that only events of that kind tell; 0 where nobody hears them. */
static inline uint64_t host_told_hash(const struct host *h, uint8_t kind, struct bytes data, uint64_t seed) {
    return trace_hears(h->trace, kind) ? hash_bytes(data.data, data.size, seed) : 0;
}

static inline void host_emit(struct host *h, uint16_t group, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term,
                             uint64_t index, uint64_t link, uint64_t value) {
    qrt_event *e = trace_next(h->trace);
    e->time = h->time;
    e->node = h->config.node;
    e->group = group;
    e->kind = kind;
    e->detail = detail;
    e->peer = peer;
    e->term = term;
    e->index = index;
    e->link = link;
    e->value = value;
    trace_filled(h->trace, e);
}

#define FX_ANSWER 64 /* internal: an API answer that waits its turn; a: ticket, b: status, peer: leader, bytes: data */

#endif
