/* What the tests of the store share: small simulated disks, and records whose payload follows from their
 * group and index, so that a wrong one cannot hide. A helper that fails ends the test. */
#ifndef SUPPORT_STORE_MODEL_H
#define SUPPORT_STORE_MODEL_H

#include "store/store.h"

enum { GROUPS = 3, PAYLOAD_MAX = 3000 };

extern const struct store_identity model_me;

/* What a recovery handed out, and the first thing that was wrong with it. */
struct seen {
    uint64_t checkpoint[GROUPS], first[GROUPS], last[GROUPS];
    int32_t group;
    bool wrong;
    char why[200];
};

struct model_file {
    const char *prefix;
    char name[64];
    uint64_t size;
    unsigned count;
};

struct disk *model_disk(uint64_t seed); /* with log files so short that every test needs many */
uint32_t model_payload_size(uint16_t group, uint64_t index);
void model_append(struct store *s, uint16_t group, uint64_t index);
struct store *model_open(struct disk *d, bool format);
qrt_status model_recover(struct store *s, struct seen *seen, struct error *e);
void model_save(struct store *s, uint16_t group, uint64_t index, bool from_log, qrt_status *status);
/* A store with that many commits of one record each in group 0, all synced; closed. */
struct disk *model_disk_with(uint64_t commits);
/* Opens and recovers a clone of the disk. */
qrt_status model_try(const struct disk *d, struct seen *seen, struct error *e);
/* A clone of the disk with other bytes in one place of a file. */
struct disk *model_damage(const struct disk *d, const char *name, uint64_t offset, struct bytes with);
/* The last file whose name begins so, and how many there are. */
struct model_file model_last_file(const struct disk *d, const char *prefix);
/* The same disk for a store that frees it: it outlives the store, so that an opening can fail in its middle. */
struct disk *model_lasting(struct disk *d);

#endif
