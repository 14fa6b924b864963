/* Captures: every input of a node, written down before its step, and a fingerprint behind it, in files that a kill cannot
 * tear. What is read back (capture_read.h) is fed to hosts again (replay.h), without sockets, disks or time.
 *
 *   capture.json             what the cluster is: version, protocol, options
 *   n<node>-<number>.capture segments: a head of CAPTURE_HEAD bytes, then records, each at a multiple of 8
 *   clients-<number>.capture the same of clients: capture_history.h
 *
 *   record  0        4      6       7   8        16
 *           | size   | kind | flags | 0 | check  | body ... |      size: of head and body; 0: nothing follows
 *
 * A segment is taken from the disk whole before anything is written into it, and written through a mapping: so a full disk
 * is an error of one call and no signal, and what a killed process wrote is there. A record's size is written last, so a
 * record is there whole or not at all; its check covers body, kind, size, place, node and cluster.
 *
 * Invariants
 *  1. The node never waits for its capture and never fails by it. What cannot be written stops the capture, is counted, and
 *     said in the node's view and, in room that is kept for it, in the capture itself.
 *  2. A record that follows from a record (what a step met, its outcome) is in the same segment, except what a start
 *     recovered.
 *  3. `progress` in the head is raised before an event leaves the node, so that of a step that a kill cut short one knows
 *     which of its events may have been seen by others. */
#ifndef RUNTIME_CAPTURE_H
#define RUNTIME_CAPTURE_H

#include "runtime/host.h"

#define CAPTURE_FORMAT 2 /* 1: of version 0.1.0; its checks and fingerprints are made in another way */
#define CAPTURE_FILE "capture.json"
#define CAPTURE_HEAD 256
#define CAPTURE_SEGMENT (4u << 20)
#define CAPTURE_RECORD_MAX (256u << 20)
#define CAPTURE_NAME_MAX 40
#define CAPTURE_WHY_MAX 160

enum capture_kind {
    CAPTURE_START = 1,       /* flags: qrt_start, and whether the host is new; what it had counted */
    CAPTURE_CHECKPOINT = 2,  /* recovered: group, index, term, meta, blob */
    CAPTURE_RECORD = 3,      /* recovered: group, data */
    CAPTURE_RECOVERED = 4,   /* nothing more was; the start's own steps follow */
    CAPTURE_FRAME = 5,       /* flags: its seal is not checked; the frame */
    CAPTURE_TIMER = 6,       /* group, id */
    CAPTURE_PROPOSE = 7,     /* group, ticket, data */
    CAPTURE_FLUSH_BEGIN = 8, /* may stand within a step of the simulator */
    CAPTURE_FLUSH_END = 9,   /* number: 1 + the group whose checkpoint is still being saved; 0: none is */
    CAPTURE_STOP = 10,       /* the incarnation ends */
    CAPTURE_ARM = 11,        /* the inputs that follow die behind that many effects */
    CAPTURE_EVENT = 12,      /* the runtime put it into the trace: crash, pause, drop */
    CAPTURE_OUTCOME = 13,    /* of the last input: state, hash of its events; flags: how */
    CAPTURE_ENDED = 14,      /* the capture stopped here; why */
    CAPTURE_INVOKE = 15,     /* of clients: capture_history.h */
    CAPTURE_RETURN = 16,
    CAPTURE_SAVED = 17, /* group: its checkpoint, saved on a thread, is durable */
    CAPTURE_ROOM = 18,  /* flags: the disk is full, or has room again */
};

#define CAPTURE_LAST CAPTURE_ROOM

#define CAPTURE_NEW_HOST 0x10 /* no earlier incarnation was in this process */

enum capture_outcome { CAPTURE_DYING = 1, CAPTURE_DISK_FAILED = 2 };

struct capture_head { /* at the beginning of a segment */
    char magic[8];
    uint32_t format, number;
    uint64_t identity; /* of capture.json */
    uint16_t node;
    uint8_t zero[6];
    char version[32];
    uint64_t check; /* of all before it */
    /* What changes. */
    uint64_t used;        /* bytes, at least */
    uint64_t progress_at; /* where the input under way stands */
    uint64_t progress;    /* its events so far */
};

struct capture_record_head {
    uint32_t size;
    uint16_t kind;
    uint8_t flags, zero;
    uint64_t check;
};

struct capture;

/* What a cluster is, into a folder that is made, or that holds no capture yet; shared: or one of the same cluster. */
qrt_status capture_begin(const char *folder, struct bytes about, bool shared, struct error *e);

/* Never NULL: what goes wrong stops it at once. limit: bytes of the node's segments, those of earlier incarnations too.
 * node: or QRT_CLIENT, of clients. */
struct capture *capture_open(const char *folder, uint16_t node, int64_t limit);
void capture_close(struct capture **c);
/* Sees the node's events: those of a step enter its outcome, others are written down. */
void capture_event(struct capture *c, const qrt_event *e);
/* Does so for all that enters this trace, and passes it on to the sink that was there. */
void capture_tap(struct capture *c, struct trace *t);
/* Inputs that were not written, and why (NULL: nothing is wrong). */
uint64_t capture_lost(const struct capture *c);
const char *capture_why(const struct capture *c);
struct node_view;
void capture_view(const struct capture *c, struct node_view *v); /* NULL: there is none */

/* By the host, whose `capture` is not NULL. */
void capture_start(struct host *h, uint8_t how);
void capture_checkpoint(struct host *h, const struct store_checkpoint *c);
void capture_record(struct host *h, const struct store_record *r);
void capture_recovered(struct host *h);
void capture_input(struct host *h, enum capture_kind kind, uint8_t flags, uint16_t group, uint64_t number,
                   struct bytes data);
void capture_outcome(struct host *h);
void capture_stop(struct host *h);

/* Place for a record's body, which record_done makes a record; NULL: the capture has stopped, which is counted. */
uint8_t *capture_record_begin(struct capture *c, size_t body);
void capture_record_done(struct capture *c, enum capture_kind kind, uint8_t flags, size_t body);

/* A process that was killed cannot say so: its owner adds the event (NULL: none) behind what it wrote, and gives back what the
 * last segment did not need. Nothing is done where there is no segment. */
void capture_bury(const char *folder, uint16_t node, const qrt_event *crash);

/* capture_read.c, capture.c: the same seed for both. */
uint64_t capture_identity(struct bytes about);
uint64_t capture_seed(const struct capture_head *head);
uint64_t capture_check(uint64_t seed, uint64_t offset, const struct capture_record_head *r, const void *body);
uint64_t capture_fold_event(uint64_t hash, const qrt_event *e);
void capture_name(char name[CAPTURE_NAME_MAX], uint16_t node, uint32_t number);
/* The numbers of a node's segments, ascending, taken from the heap. */
uint32_t *capture_segments(const char *folder, uint16_t node, size_t *count);
static inline size_t capture_room(size_t body) { /* of a record */
    return (sizeof(struct capture_record_head) + body + 7) & ~(size_t)7;
}

#endif
