/* The write-ahead log: commits of records in numbered files, oldest first; see record.h for the bytes.
 *
 *   wal-<number>    | head, one block | commit | commit | ... blank or stale ... |      preallocated
 *   ids-<number>    | entry | entry | ...                                     its directory, appended to
 *
 * A commit is one write, at a multiple of the disk's block, and one sync. Behind the sync its records'
 * identities are written to the directory, which is never synced: the kernel writes it in its own time, and
 * the hot path has no second sync. So an entry in the directory proves that its commit was synced, and a
 * record's identity outlives the rot of its header. What a power cut took from the last file's directory is
 * written again at opening.
 *
 * Invariants
 *  1. A log file carries its name only after its head and its preallocated length were synced.
 *  2. Commits are numbered without gaps through all files; records are chained through all files.
 *  3. A file receives its first commit only after every commit of the file before it was synced.
 *  4. Behind the last commit there is no sector of the next one: what a crash left of it is blanked and
 *     synced before the log is appended to.
 *
 * Room. A log file's blocks are taken when it is made, so the rest of the last one, and spare ones, can be written when the
 * disk is full: they are the reserve. The next file is asked for when a quarter of the last one is used (file_ahead); while it
 * finds no room the log is `full`, with three quarters of a file as reserve, and whoever appends is to keep to what must be
 * written. A directory's blocks are taken piece by piece; an entry that finds no room is left out, and written at the next
 * opening. It is lost proof only: of a synced commit that the drive then loses, without a trace, before the next one is
 * written.
 *
 * What can be told when the last commit in the log is not whole (scan_tail decides):
 *   its directory entry is there, or a later commit     it was synced: damage, reported
 *   a rotten sector within it                           no crash makes that: damage, reported
 *   every missing sector blank or stale, no entry       a torn write, never synced: removed
 * The last row holds if rot never turns a whole sector back into exactly what it was before. A drive that
 * lies about a sync, loses that very write and then loses power before the directory entry is out cannot be
 * told from a torn write by any log on one disk; that fault is left to the replication protocol. Damage
 * anywhere before the last commit is never taken for an end: what follows proves it. */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "store/record.h"

#define WAL_TEMPORARY "wal.new" /* a log file until it has its name */

enum { WAL_SPARES = 4, WAL_NAME_SIZE = 32 };

struct wal_reach { /* the highest index of a group's records in a file */
    uint64_t index;
    uint16_t group;
};

struct wal_file {
    uint64_t number, first, last; /* commits; last = first - 1: none */
    uint32_t size;
    struct wal_reach *reach;
    size_t reach_count, reach_capacity;
};

struct wal_record { /* found at opening, until it was handed out */
    uint64_t index, term;
    size_t offset;
    uint32_t size;
    uint16_t group;
};

struct wal_ids {
    struct entry_id *at;
    size_t count, capacity;
};

/* A checkpoint supersedes the group's records up to index that stand in commits up to commit. */
struct wal_floor {
    uint64_t index, commit;
    uint16_t group;
};

struct wal {
    struct disk *disk; /* the store's */
    struct store_identity id;
    uint64_t seed;

    struct wal_file *files; /* the last one is appended to */
    size_t file_count, file_capacity;
    uint64_t spares[WAL_SPARES]; /* numbers of superseded files, kept to be written over */
    size_t spare_count;
    bool ahead;                                        /* the disk was asked to prepare the next file */
    bool full;                                         /* it has no room for it, and there is no spare */
    bool filled;                                       /* a fault: the disk is to be full */
    uint64_t ids_room;                                 /* bytes of the last file's directory that have room */
    char name[WAL_NAME_SIZE], ids_name[WAL_NAME_SIZE]; /* of the last file and its directory */
    uint32_t at;                                       /* where the next commit goes */
    uint32_t slot;                                     /* entries in its directory */
    uint64_t commit, chain;                            /* the next commit's number; the last record's check */

    uint64_t pending_chain; /* the chain before the commit being gathered */
    uint8_t *pending;       /* sectors of the commit being gathered */
    size_t pending_capacity;
    uint32_t sectors, within; /* sectors begun; stream bytes in the last one */
    struct wal_ids ids;       /* the records in it */
    struct wal_ids flying;    /* the records of the commit that is written and not yet synced */
    uint32_t flying_sector;

    struct wal_record *found;
    size_t found_count, found_capacity;
    struct buffer found_bytes;
    uint32_t torn_from, torn_to; /* to be blanked by wal_settle; bytes of the last file */
    bool unlisted, no_ids;       /* the last file's directory lacks entries, or is not there at all */
    /* Of a scan that found damage: the file, and where in it the sound commits end; 0: nothing of it can be kept. */
    uint64_t damaged;
    uint32_t damaged_at;
};

void wal_init(struct wal *w, struct disk *disk, struct store_identity id);
void wal_free(struct wal *w);
void wal_clone(struct wal *to, const struct wal *from, struct disk *disk);
uint64_t wal_fingerprint(const struct wal *w);

void wal_forget(struct wal *w);                                          /* what the scan found was handed out */
bool wal_number(const char *name, const char *prefix, uint64_t *number); /* "wal-" and 16 hexadecimal digits */
void wal_spare(struct wal *w, uint64_t number, uint64_t size);           /* a spare file was seen */
/* The first file of a log that begins with the commit w->commit: number 1 in a new store. */
qrt_status wal_create(struct wal *w, uint64_t number, struct error *e);
/* Reads and verifies the files of these ascending numbers; changes nothing on disk. QRT_ECORRUPT: w->damaged says
 * where, and, if something of that file can be kept, w->commit which commit is the first that is not sound. */
qrt_status wal_scan(struct wal *w, const uint64_t *numbers, size_t count, struct error *e);
qrt_status wal_settle(struct wal *w,
                      struct error *e); /* after a scan: makes invariant 4 true, syncs, ready to append */

void wal_append(struct wal *w, const struct store_record *r);
static inline bool wal_dirty(const struct wal *w) {
    return w->ids.count != 0;
}
qrt_status wal_write(struct wal *w, struct error *e); /* one commit, unsynced; syncs the one before if need be */
qrt_status wal_sync(struct wal *w, struct error *e);
void wal_look(struct wal *w);              /* whether there is room again, if it is full */
void wal_fill(struct wal *w, bool full);   /* a fault: see disk_class.fill */
uint64_t wal_reserve(const struct wal *w); /* bytes that commits may take without room on the disk */
/* Room for the directory's first `end` bytes; false: there is none. */
bool wal_ids_room(struct wal *w, uint64_t end, qrt_status *status, struct error *e);
/* Removes the oldest files while every record in them is superseded. */
qrt_status wal_trim(struct wal *w, const struct wal_floor *floors, size_t count, struct error *e);

/* For wal.c and wal_scan.c. */
void wal_file_name(char name[WAL_NAME_SIZE], const char *prefix, uint64_t number);
struct wal_file *wal_file_add(struct wal *w, uint64_t number, uint64_t first, uint32_t size);
void wal_file_reach(struct wal_file *f, uint16_t group, uint64_t index);
static inline uint32_t wal_round(const struct wal *w, size_t size) { /* up to whole blocks */
    return (uint32_t)((size + w->disk->block - 1) / w->disk->block * w->disk->block);
}
struct entry_id *wal_ids_add(struct wal_ids *ids);
extern const char wal_magic[8];

#endif
