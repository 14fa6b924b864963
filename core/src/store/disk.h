/* The small disk interface under the store: files by name in one folder, append or overwrite at an offset,
 * sync. Two implementations under the same store code: POSIX (disk_posix.c, behind disk_held.c in a
 * process that may be killed) and simulated (disk_sim.c).
 *
 * All calls are synchronous in effect; what a simulated disk takes in time is returned as a latency in ns,
 * which the runtime turns into a delayed completion. What is written is durable only after sync of that file
 * (and, for a file's existence and name, sync_folder). A crash of the simulated disk keeps everything, loses
 * what was not synced (tearing at most one write at a sector boundary of 512 bytes or keeping any subset of
 * unsynced sectors), or wipes it all; or loses what was not synced and flips bits in a sector of the log. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"

struct disk {
    const struct disk_class *class;
    uint32_t block;   /* commits of the log begin at its multiples: no synced block is written again */
    uint32_t segment; /* preallocated size of a log file */
};

/* Whether the file that was asked for by `prepare` finds room. */
enum disk_room { DISK_ROOM_UNKNOWN, DISK_ROOM_THERE, DISK_ROOM_NONE };
enum { DISK_PARTS = 2 };

struct disk_file {           /* a whole new file */
    const char *made, *name; /* made: what it is called until it is whole and synced */
    const char *gone;        /* a file that is removed behind it; NULL: none */
    /* On the thread, once, whatever happens: the content, which stays as it is until save_end. */
    void (*fill)(void *context, struct bytes parts[DISK_PARTS]);
    /* On the thread: it is written, or this has failed. */
    void (*ended)(void *context);
    void *context;
};

typedef void disk_list_fn(void *context, const char *name, uint64_t size);

struct disk_class {
    /* In name order. */
    qrt_status (*list)(struct disk *d, disk_list_fn *each, void *context, struct error *e);
    /* Or truncates. */
    qrt_status (*create)(struct disk *d, const char *name, uint64_t preallocate, struct error *e);
    /* Begins to make that file on a thread of the disk's own, and returns. The next create of this name and length takes it
     * over, and waits where it is not yet whole; until then nothing but remove may be done with it. One at a time: a second
     * one is passed over. What goes wrong is left to create. NULL: this disk has no such thread. */
    void (*prepare)(struct disk *d, const char *name, uint64_t preallocate);
    /* What became of it so far. THERE: its blocks are taken, and create cannot lack them. NONE: it came to nothing for lack of
     * room, and may be asked for again. NULL: nobody knows before create. */
    enum disk_room (*room)(struct disk *d, const char *name, uint64_t preallocate);
    /* Takes blocks for the first `size` bytes of a file whose length stays, so that no write into them meets a full disk:
     * QRT_EFULL is said here, where nothing has begun yet. NULL: the disk is never full. */
    qrt_status (*reserve)(struct disk *d, const char *name, uint64_t size, struct error *e);
    /* A fault: from now on the disk has no room for what `prepare`, `create` with a length and `reserve` ask for, although
     * it may have; false: again what it has. What was taken stays taken. NULL: it cannot be told so. */
    void (*fill)(struct disk *d, bool full);
    /* Begins to write a whole new file on a thread of the disk's own, durable with its name, and returns. Names live for the
     * call. One at a time. An error: nothing is begun or called. NULL: this disk has no such thread. */
    qrt_status (*save)(struct disk *d, const struct disk_file *file, struct error *e);
    /* It is written, or this has failed: save_end will not wait. */
    bool (*saved)(struct disk *d);
    /* Waits for the end, and says how it went; the file that had the name is as it was unless this is QRT_OK or a sync failed.
     * Not wanted: it ends soon, with the file as it was or with the new one. */
    qrt_status (*save_end)(struct disk *d, bool wanted, struct error *e);
    /* The whole file. */
    qrt_status (*read)(struct disk *d, const char *name, struct buffer *out, struct error *e);
    qrt_status (*write)(struct disk *d, const char *name, uint64_t offset, struct bytes data, struct error *e);
    qrt_status (*sync)(struct disk *d, const char *name, struct error *e);
    qrt_status (*rename)(struct disk *d, const char *from, const char *to, struct error *e);
    qrt_status (*remove)(struct disk *d, const char *name, struct error *e);
    qrt_status (*sync_folder)(struct disk *d, struct error *e);
    struct disk *(*clone)(const struct disk *d); /* simulated only: else the member is NULL */
    void (*free)(struct disk *d);
};

/* Creates the folder with mode 0700 where it is missing; takes an exclusive lock on it. */
struct disk *disk_posix_new(const char *folder, struct error *e);

/* Takes `below`, and gives it no write before a sync: whoever is killed loses what it had not synced. */
struct disk *disk_held_new(struct disk *below);

struct disk_sim_options {
    int64_t write_ns, sync_ns, jitter_ns; /* mean latencies of the profile; jitter uniform in [0, jitter) */
};
struct disk *disk_sim_new(const struct disk_sim_options *options, uint64_t seed, uint64_t node);
/* What the operations since the last call took. */
int64_t disk_sim_latency(struct disk *d);
void disk_sim_crash(struct disk *d, qrt_disk_fate fate); /* random choices from the disk's own stream */
/* Flips bits of one sector of the log that holds something. For disks that are synced, and whose node is down. */
void disk_damage(struct disk *d, struct random *random);
uint64_t disk_sim_fingerprint(const struct disk *d);
/* Power fails after that many more operations: they and all later ones give QRT_EIO until disk_sim_crash.
 * Reads and lists do not count. For tests that visit every crash point. */
void disk_sim_fail_after(struct disk *d, uint64_t operations);

#endif
