/* The root file: what a data folder is (whose, by its head) and how its store began. One sector, replaced as a whole. */
#ifndef STORE_ROOT_H
#define STORE_ROOT_H

#include "store/record.h"

#define ROOT "root"
#define ROOT_TEMPORARY "root.new"

enum root_begin { ROOT_FORMATTED = 1, ROOT_WIPED = 2, ROOT_DAMAGED = 3 }; /* on disk */

struct root {
    enum root_begin begin;
    /* ROOT_DAMAGED: the commit that the log goes on with behind what was lost; the last commit that a sound checkpoint
     * covered then (0: there was none); and what was lost, for people. */
    uint64_t commit, covered;
    char text[STORE_DAMAGE_MAX];
};

/* Durable when it returns; a crash in the middle leaves the root that was there. */
qrt_status root_write(struct disk *disk, struct store_identity id, const struct root *root, struct error *e);
qrt_status root_read(struct disk *disk, struct store_identity id, struct root *root, struct error *e);

#endif
