/* The simulator: one thread, one event queue, virtual time, one seed.
 *
 *   heap of (time, order|slot) --> slot: a frame under way, a node's timer, a flush, a fault, a client's timer
 *
 * Every event is one input to one host or client. What it sends goes over a link (first-in first-out, delays drawn by
 * a key of seed, link and position), through the fault engine when anything stands there, into a slot of its own.
 *
 * Invariants
 *  1. Virtual time never goes back; ties are broken by the order of scheduling.
 *  2. A run is a function of its configuration and the calls made on it; clones are independent of each other.
 *  3. A crashed node has no timers, no flush under way, and gets no input until it is restarted.
 */
#ifndef RUNTIME_SIM_H
#define RUNTIME_SIM_H

#include <stdlib.h>

#include "base/heap.h"
#include "fault/faults.h"
#include "runtime/condition.h"
#include "runtime/host.h"
#include "runtime/options.h"
#include "runtime/runtime.h"

#define SLOT_INLINE 176
#define SLOT_CHUNK_BITS 12
#define SLOT_CHUNK (1u << SLOT_CHUNK_BITS)
#define NO_SLOT UINT32_MAX
#define NO_TIMER INT64_MAX

enum slot_type { SLOT_FREE = 0, SLOT_FRAME = 1, SLOT_TIMER = 2, SLOT_FLUSH = 3, SLOT_FAULT = 4 };

struct slot { /* 192 bytes: three cache lines, of which a small frame touches two */
    uint8_t type;
    bool intact; /* SLOT_FRAME: no fault changed it, so its seal need not be checked */
    uint16_t from, to;
    union {
        uint32_t size;      /* SLOT_FRAME */
        uint32_t timer;     /* SLOT_TIMER: its place in the owner's table */
        uint32_t next_free; /* SLOT_FREE */
    };
    union {
        uint8_t bytes[SLOT_INLINE];
        uint8_t *large; /* frames over SLOT_INLINE */
    } frame;
};

struct sim_timer {
    uint16_t group;
    uint32_t id, slot;
    int64_t due;         /* virtual; NO_TIMER: not set */
    int64_t queued_time; /* of the one live heap entry; NO_TIMER: none */
    uint64_t queued_order;
};

struct timers {
    struct sim_timer *timers;
    size_t count, capacity;
};

struct sim_node {
    struct host host;
    struct timers timers;
    bool paused, wiped; /* wiped, or damaged: not yet caught up */
    bool crash_guarded; /* of an armed crash: a wipe, judged when it dies */
    bool formatted;
    bool filled; /* a fault: its disk is full */
    bool flush_busy;
    uint64_t flush_order; /* the live flush entry */
    uint32_t *waiting;    /* slots that came while paused, in order */
    size_t waiting_count, waiting_capacity;
    struct disk *disk;          /* while the node is down; else inside its store */
    int64_t mono_base, mono_at; /* mono = mono_base + (now - mono_at) scaled by drift */
    double drift_ppm;
    int64_t offset;
    struct random disk_random;
    uint8_t crash_fate; /* of an armed crash */
    qrt_status death;   /* why the host died; QRT_OK: an armed crash */
    char death_text[ERROR_TEXT_MAX];
};

struct sim_client {
    struct client *client;
    struct outbox out;
    struct timers timers;
    uint64_t sends;
    uint64_t ticket; /* manual: of the operation under way; 0 none */
    bool manual;
};

struct link {
    uint64_t key;      /* of its random draws */
    uint64_t sequence; /* messages so far */
    int64_t last;      /* delivery time of the last: first-in first-out */
    int64_t free;      /* until then the last one leaves, where bandwidth is short */
};

struct sim {
    struct runtime_config config;
    uint16_t members[FAULT_NODES_MAX];
    int64_t now;
    struct heap heap;
    struct slot **chunks; /* of SLOT_CHUNK slots each, which never move: a frame is read where it lies */
    size_t chunk_count, chunk_capacity;
    uint32_t slot_count, slot_free; /* slots ever used; the first that is free again, NO_SLOT: none */
    struct trace trace;
    struct faults *faults;
    int64_t fault_queued; /* time of the live fault entry; NO_TIMER: none */
    uint64_t fault_order;
    struct sim_node *nodes;     /* [1..n] */
    struct sim_client *clients; /* [0..m) */
    size_t client_count, client_capacity;
    struct link *links; /* see sim_link */
    size_t link_count, link_capacity;
    struct distribution delay;
    struct history history;
    struct tickets tickets;
    struct runtime_counts counts;
    struct sim_capture *capture; /* NULL: none; a clone has none */
    uint64_t events;
    bool stopping;
};

struct sim *sim_new(const struct runtime_config *config, struct trace_sink sink, struct error *e);
void sim_free(struct sim *s);
struct sim *sim_clone(const struct sim *s, const struct runtime_config *config);
uint64_t sim_fingerprint(const struct sim *s);
/* One event; false when nothing is pending. */
bool sim_step(struct sim *s);
/* Until virtual time `until` (reached exactly) or the condition holds; comes back with QRT_MORE after slice_ns of wall
 * time (0: never). QRT_ETIMEOUT: the time came first (only with a condition). */
qrt_status sim_run(struct sim *s, int64_t until, const struct condition *condition, int64_t slice_ns);

/* among sim*.c */
void sim_capture_begin(struct sim *s); /* with its sink, before any node */
struct capture *sim_capture_of(const struct sim *s, uint16_t node);
void sim_capture_end(struct sim *s);
static inline struct slot *slot_at(const struct sim *s, uint32_t slot) {
    return &s->chunks[slot >> SLOT_CHUNK_BITS][slot & (SLOT_CHUNK - 1)];
}
uint32_t slot_new(struct sim *s);
static inline uint32_t slot_take(struct sim *s) {
    uint32_t slot = s->slot_free;
    if (__builtin_expect(slot == NO_SLOT, 0)) return slot_new(s);
    s->slot_free = slot_at(s, slot)->next_free;
    return slot;
}
static inline void slot_release(struct sim *s, struct slot *at, uint32_t slot) {
    if (at->type == SLOT_FRAME && __builtin_expect(at->size > SLOT_INLINE, 0)) free(at->frame.large);
    at->type = SLOT_FREE;
    at->next_free = s->slot_free;
    s->slot_free = slot;
}
static inline void sim_schedule(struct sim *s, int64_t time, uint32_t slot) {
    heap_push(&s->heap, time, slot);
}
static inline const uint8_t *slot_frame(const struct slot *at) {
    return at->size > SLOT_INLINE ? at->frame.large : at->frame.bytes;
}
void sim_clock(struct sim *s, struct sim_node *n);
void sim_send(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size);
void sim_port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame,
                   uint32_t size); /* host_port.send */
void sim_deliver(struct sim *s, struct slot *at, uint32_t slot);
void timers_set(struct sim *s, struct timers *t, uint16_t owner, uint16_t group, uint32_t id, int64_t due);
void timers_clear(struct sim *s, struct timers *t);
extern const struct host_port sim_port;
qrt_status sim_node_boot(struct sim *s, uint16_t node, struct error *e);
void sim_node_crash(struct sim *s, uint16_t node, uint8_t fate);
/* What a guarded crash may do to the disk. fate, answer: qrt_disk_fate. */
uint8_t sim_fate_guarded(struct sim *s, uint16_t node, uint8_t fate);
qrt_status sim_node_restart(struct sim *s, uint16_t node, struct error *e);
void sim_node_pause(struct sim *s, uint16_t node);
void sim_node_fill(struct sim *s, uint16_t node, bool full); /* a fault: its disk has no room, or has again */
void sim_node_resume(struct sim *s, uint16_t node);
void sim_node_flushed(struct sim *s, uint16_t node, uint64_t order);
void sim_node_after(struct sim *s, struct sim_node *n); /* after every input: did it die? */
void sim_fault_tick(struct sim *s);
void sim_faults_changed(struct sim *s); /* reschedules the fault entry, refreshes clocks */
void sim_client_deliver(struct sim *s, uint16_t id, struct bytes frame);
void sim_client_timer(struct sim *s, uint16_t id, uint32_t timer);
uint16_t sim_leader(const struct sim *s);
static inline uint64_t sim_cluster_id(const struct sim *s) {
    return cluster_options_id(&s->config.options);
}
struct link *sim_link(struct sim *s, uint16_t from, uint16_t to);
void sim_links_grow(struct sim *s); /* room for one more client's links */

#endif
