/* Checkpoint files: one each, written to a temporary name, synced, renamed, the folder synced.
 *
 *   checkpoint-<group>-<index>-l    this node's log leads up to it: the one before and the log say the same
 *   checkpoint-<group>-<index>-s    it stands alone (it came from a peer): nothing here can take its place
 *
 * The kind is part of the name because the question arises when the content is damaged. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "store/record.h"

enum { CHECKPOINT_NAME_SIZE = 64 };
#define CHECKPOINT_TEMPORARY "checkpoint.new"

struct checkpoint_file {
    uint64_t index;
    uint64_t commit; /* the last commit of the log when it was saved; 0 until it was read */
    uint16_t group;
    bool from_log, damaged;
};

struct checkpoint_loaded {
    uint64_t index, term, commit;
    uint16_t group;
    struct buffer meta;
    struct blob *blob;
};

bool checkpoint_parse(const char *name, struct checkpoint_file *f);
void checkpoint_name(char name[CHECKPOINT_NAME_SIZE], const struct checkpoint_file *f);
qrt_status checkpoint_write(struct disk *disk, struct store_identity id, const struct store_checkpoint *c,
                            uint64_t commit, struct error *e);
/* The file's first bytes, head and meta, appended to `front`; the blob follows them. */
void checkpoint_front(struct buffer *front, struct store_identity id, const struct store_checkpoint *c,
                      uint64_t commit);
/* loaded is untouched unless the file is sound. */
qrt_status checkpoint_read(struct disk *disk, struct store_identity id, const struct checkpoint_file *f,
                           struct checkpoint_loaded *loaded, struct error *e);

#endif
