/* Files of zeros: what a log file is before its first commit. Made at once, or ahead of time on a thread of its own.
 *
 * Zeros are written after posix_fallocate. Fallocated blocks alone are "unwritten": the first fdatasync after a write into one
 * has to journal its conversion (measured on ext4: 200-250 us a commit, against 120-150 us into blocks that hold zeros, and
 * 180-200 us for plain appending).
 *
 * The thread syncs piece by piece, so that whoever syncs another file meanwhile waits for one piece and not for all. */
#ifndef STORE_ZEROS_H
#define STORE_ZEROS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { ZEROS_NAME_SIZE = 64 };

struct zeros { /* a file that is being made; all zero: none */
    char name[ZEROS_NAME_SIZE];
    uint64_t size;
    bool begun;
    /* The thread's, until it has ended. */
    int fd;
    bool whole; /* written and synced */
    int number; /* errno where it is not; 0: it was unwanted */
    atomic_bool ended;
    pthread_t thread;
    atomic_bool unwanted;
};

/* An empty file becomes `size` zeros, unsynced; false with errno. */
bool zeros_write(int fd, uint64_t size);

/* Takes fd, of an empty file of that name. None may be under way. */
void zeros_begin(struct zeros *z, int fd, const char *name, uint64_t size);
bool zeros_under_way(const struct zeros *z, const char *name);
bool zeros_ended(const struct zeros *z); /* zeros_take would not wait */
/* Waits for the end. True: the file is there, whole and synced. */
bool zeros_take(struct zeros *z);
/* Ends it soon; the file stays, and is of no use. None may be under way. */
void zeros_abandon(struct zeros *z);

#endif
