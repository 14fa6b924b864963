/* The store: a write-ahead log and checkpoints of one node (all its groups) over a disk.
 *
 * A record is opaque bytes of one protocol instance, with the log index up to which it can be superseded by a
 * checkpoint. store_append buffers; store_flush writes and syncs everything buffered as one group commit. The
 * runtime decides when to flush (as soon as the previous flush has completed: records that arrive meanwhile
 * share the next one). */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/blob.h"
#include "store/disk.h"

struct store;

enum { STORE_DAMAGE_MAX = 384 }; /* bytes of store_damage's text, with its zero byte */

struct store_identity {
    uint64_t cluster_id;
    uint16_t node;
};

struct store_record {
    uint16_t group;
    uint64_t index, term;
    struct bytes data;
};

struct store_checkpoint {
    uint16_t group;
    uint64_t index, term;
    struct bytes meta;
    struct blob *blob;
    /* This store's log leads up to index: a snapshot of the node's own machine. False: it came from
     * elsewhere, so that an older checkpoint and the log cannot take its place when it is damaged. */
    bool from_log;
};

/* Recovery hands out, for each group in ascending order, its newest sound checkpoint (if any) and then its
 * records in the order in which they were appended. Pointers live for the call. */
struct store_visitor {
    void (*checkpoint)(void *context, const struct store_checkpoint *c);
    void (*record)(void *context, const struct store_record *r);
    void *context;
};

/* Takes the disk, also when it fails. `format` true: the explicit first start; refuses a folder that already
 * holds a store. false: opens; an empty folder gives *wiped = true and a store that starts empty, and so do
 * later openings until its first record or checkpoint is durable: before that it knows no more than a wiped
 * one. QRT_EFOREIGN, QRT_ENEWER, QRT_ECORRUPT say which file, where and what to do; the folder is then left
 * as it was. */
qrt_status store_open(struct store **out, struct disk *disk, struct store_identity identity, bool format, bool *wiped,
                      struct error *e);
/* The same for a node that may take from its peers what its disk has lost: QRT_ECORRUPT from log or checkpoints is repaired
 * (repair.c), and *damaged says that the store holds a part of what it held. So do later openings until a record behind
 * that part is durable, as with *wiped. What was lost stays in the folder, as damaged-..., until the next repair. */
qrt_status store_open_repaired(struct store **out, struct disk *disk, struct store_identity identity, bool *wiped,
                               bool *damaged, struct error *e);
/* What the last repair found, for people; "": there was none. The store's. */
const char *store_damage(const struct store *s);
/* A store without a disk, that keeps nothing: what is flushed is at once "durable" (benchmarks). */
struct store *store_memory_new(void);
/* The same for a replay: recovery calls `give`, which hands out what some other store had recovered. */
struct store *store_given_new(void (*give)(void *context, const struct store_visitor *visitor), void *context);
qrt_status store_recover(struct store *s, const struct store_visitor *visitor, struct error *e);
void store_append(struct store *s, const struct store_record *r);
bool store_dirty(const struct store *s);   /* something is buffered */
bool store_stopped(const struct store *s); /* a write or sync has failed */
/* After an error nothing more is accepted: a failed sync is never retried, the node stops.
 * store_write puts what is buffered on the disk, unsynced; store_sync makes all that was written durable. The
 * simulator calls them apart, with the disk's latency and perhaps a crash between; store_flush is both in
 * one. */
qrt_status store_write(struct store *s, struct error *e);
qrt_status store_sync(struct store *s, struct error *e);
qrt_status store_flush(struct store *s, struct error *e);
/* Writes a checkpoint file (write, sync, rename, sync the folder), then removes segments whose records of
 * every group are superseded, and older checkpoints but one. Flushes first. A checkpoint of the node's own log
 * (from_log) that finds no room on the disk is left out and counted: the log, which then stays, says the same. */
qrt_status store_save(struct store *s, const struct store_checkpoint *c, struct error *e);
/* The disk has no room for the log's next file: what need not be written should not be appended, so that votes and the like
 * find room in the reserve (wal.h). Where the reserve is used up too, the next write fails. */
bool store_full(const struct store *s);
void store_look(struct store *s); /* whether there is room again; to be called from time to time while full */
void store_fill(struct store *s, bool full);   /* a fault: see disk_class.fill */
uint64_t store_reserve(const struct store *s); /* bytes of log that can be written all the same */
uint64_t store_skipped(const struct store *s); /* checkpoints that were left out */
/* How a checkpoint is saved on a thread of the disk's. */
struct store_saver {
    /* On that thread, once, whatever happens: the snapshot, with a reference that is the store's. NULL: it is there already, in the
     * checkpoint. */
    struct blob *(*take)(void *taking);
    void *taking;
    /* On that thread (or, where the system gives none, within store_save_begin): store_save_end will not wait. */
    void (*ended)(void *context);
    void *context;
};
bool store_saves_apart(const struct store *s); /* its disk has such a thread */
/* Begins to save a checkpoint on that thread, behind which the log goes on; where there is none it saves it (and nothing may be left
 * to take). Meanwhile nothing of the log is removed. One at a time: where another is under way, this waits for its end. *blob as of
 * store_save_end, if there is nothing to end although a snapshot was taken. */
qrt_status store_save_begin(struct store *s, const struct store_checkpoint *c, const struct store_saver *saver,
                            struct blob **blob, struct error *e);
bool store_saving(const struct store *s); /* one is begun and not ended */
bool store_saved(const struct store *s);  /* and store_save_end will not wait */
/* Waits until the one under way is durable, then removes what it supersedes. *blob: its snapshot, and a reference to it; NULL: not
 * wanted. Nothing under way: QRT_OK, and *blob is as it was. */
qrt_status store_save_end(struct store *s, struct blob **blob, struct error *e);
struct disk *store_disk(struct store *s);
struct store *store_clone(const struct store *s); /* with its simulated disk */
uint64_t store_fingerprint(const struct store *s);
/* Frees the store (unflushed records are dropped; a checkpoint under way ends now, whatever becomes of it) and hands its disk back, open, to crash and reopen. */
struct disk *store_release(struct store **s);
void store_free(struct store **s); /* unflushed records are dropped, as a crash would */

#endif
