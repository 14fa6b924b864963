/* A damaged store goes on with the part of it that is sound, marked as damaged; see repair.c. */
#ifndef STORE_REPAIR_H
#define STORE_REPAIR_H

#include "store/checkpoint.h"
#include "store/root.h"

struct repair {
    struct disk *disk; /* the store's */
    struct store_identity id;
    struct root root;        /* as it was found */
    const uint64_t *numbers; /* of log files, ascending */
    size_t count;
    const struct checkpoint_file *checkpoints;
    size_t checkpoint_count;
    bool whole; /* the log cannot be used at all: a checkpoint that it goes on from is damaged, or files before it are
                        missing */
    const char *why; /* what the opening found */
};

/* Makes the folder one that can be opened again, and its root say ROOT_DAMAGED before anything else changes. Done again it
 * goes on where a crash left it. */
qrt_status store_repair(const struct repair *r, struct error *e);

#endif
