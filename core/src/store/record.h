/* Bytes on disk: sectors, records, directory entries and file heads. Pure; it knows no file.
 *
 * Sectors. The log is a stream of bytes cut into sectors of 512, the unit that a drive writes whole or not at
 * all. Each sector verifies by itself:
 *
 *   0        4        8                16                                        512
 *   | seal   | left   | commit number  | 496 bytes of the stream ...              |
 *
 * `left` counts the sectors of its group commit from here to the end, this one included, so that any one of
 * them tells where the commit ends. The seal covers the rest, the cluster, the node and the sector's place in
 * the file; it is never 0. So a sector of a preallocated or recycled file is exactly one of: blank (never
 * written), stale (sound, but of an older commit), sound, or rotten. A crash leaves blank and stale sectors;
 * rot leaves rotten ones.
 *
 * Records. A 40-byte header (struct record_header) and the payload. Cluster and node stand in the file's head
 * and enter every checksum. Each check covers the one before: a chain over the whole log.
 *
 * Directory entries. (index, term, length, group, place) of every durable record, in a file of their own.
 *
 * Heads. Root, log files and checkpoints begin with 512 bytes: magic, version, cluster and node, then fields
 * of their own, and a check in the last 8. These places are the same in every version. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "store/store.h"

enum {
    STORE_VERSION = 1,
    SECTOR_SIZE = 512,
    SECTOR_HEAD = 16,
    SECTOR_DATA = SECTOR_SIZE - SECTOR_HEAD,
};

enum sector_state { SECTOR_BLANK, SECTOR_SOUND, SECTOR_ROTTEN };

struct sector {
    uint32_t left;
    uint64_t commit;
};

uint64_t store_seed(struct store_identity id); /* what every checksum of a store begins with */
/* Fills in the head of a sector whose data is in place. */
void sector_seal(uint8_t *sector, struct sector head, uint64_t seed, uint32_t place);
/* head is filled in when the sector is sound. */
enum sector_state sector_check(const uint8_t *sector, struct sector *head, uint64_t seed, uint32_t place);

struct record_header {
    uint8_t magic, version;
    uint16_t group;
    uint32_t length;
    uint64_t index, term;
    uint32_t previous; /* low half of the check of the record before, whichever group it is of */
    uint32_t payload;  /* checksum of the payload */
    uint64_t check;    /* of all this, cluster, node and the whole check of the record before */
};

enum record_fault { RECORD_SOUND, RECORD_END, RECORD_HEADER, RECORD_CHAIN, RECORD_PAYLOAD };

void record_seal(struct record_header *h, const struct store_record *r, uint64_t seed, uint64_t previous);
/* Reads one record; RECORD_END where the stream holds only padding. */
enum record_fault record_read(struct reader *in, struct record_header *h, struct bytes *payload, uint64_t seed,
                              uint64_t previous);
const char *record_fault_text(enum record_fault fault);

struct entry_id { /* a directory entry */
    uint64_t index, term;
    uint32_t length;
    uint16_t group, check_high;
    uint32_t sector; /* where its commit begins */
    uint32_t check;
};

/* The seal (48 bits) binds the entry to the log file's number, so that another file's entries are void. */
void entry_seal(struct entry_id *entry, uint64_t seed, uint64_t file, uint32_t slot);
bool entry_sound(const struct entry_id *entry, uint64_t seed, uint64_t file, uint32_t slot);

/* Begins a head of SECTOR_SIZE zeroed bytes; the caller writes its fields; then it is sealed. */
struct writer head_begin(uint8_t *head, const char magic[8], struct store_identity id);
void head_seal(uint8_t *head);
/* Where the fields begin, after magic, check, version and identity were found right; else says in e what is
 * wrong with the file `name`. */
qrt_status head_open(struct reader *fields, struct bytes file, const char magic[8], struct store_identity id,
                     const char *name, struct error *e);

#define STORE_ADVICE                                                                                        \
    "nothing was changed; put back an undamaged copy of this folder, or move it away: started on an empty " \
    "folder the node catches up from its peers"

#endif
