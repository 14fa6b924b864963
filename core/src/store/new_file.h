/* A whole new file, written durably on a thread of its own, so that whoever needs it goes on meanwhile: under a temporary name,
 * synced, then renamed, and the folder synced. What to write it is told there, so that making the content holds up nobody either; and
 * a file that the new one supersedes is removed there, since giving back 64 MiB takes 20 to 30 ms.
 *
 * A crash at any point leaves the file of that name as it was before, or the new one, whole. What ends too soon removes the
 * temporary file, so that it gives its blocks back.
 *
 * The thread syncs piece by piece, so that whoever syncs another file meanwhile waits for one piece and not for all. */
#ifndef STORE_NEW_FILE_H
#define STORE_NEW_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/disk.h"

enum { NEW_FILE_NAME_SIZE = 64 };

struct new_file { /* one that is being written; all zero: none */
    struct disk_file file;
    char made[NEW_FILE_NAME_SIZE], name[NEW_FILE_NAME_SIZE], gone[NEW_FILE_NAME_SIZE];
    struct bytes parts[DISK_PARTS];
    int folder;
    bool begun, threaded;
    pthread_t thread;
    atomic_bool unwanted, ended;
    /* The thread's, until it has ended. */
    const char *failed; /* what it was doing; NULL: the file is there */
    int number;         /* errno */
    bool sync_failed;
};

/* Into that folder, whose descriptor stays the caller's. None may be under way. Where the system gives no thread it is done at
 * once. */
void new_file_begin(struct new_file *n, int folder, const struct disk_file *file);
static inline bool new_file_ended(struct new_file *n) {
    return atomic_load_explicit(&n->ended, memory_order_acquire);
}
/* Waits for the end. `failed`, `number` and `sync_failed` then say how it went. */
void new_file_take(struct new_file *n);
/* Ends it soon, whatever has become of it. None may be under way. */
void new_file_abandon(struct new_file *n);

#endif
