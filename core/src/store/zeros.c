/* Files of zeros; see zeros.h. */
#include "store/zeros.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"

enum { PIECE = 64 * 1024, PIECES_SYNCED = 8 };

static uint8_t zeros[PIECE]; /* not const: so it takes no place in the library's file */

static bool allocate(int fd, uint64_t size) {
    int number;
    do number = posix_fallocate(fd, 0, (off_t)size);
    while (number == EINTR);
    errno = number;
    return number == 0 || number == EOPNOTSUPP || number == EINVAL;
}

static bool write_piece(int fd, uint64_t at, uint64_t size) {
    return file_write_at(fd, zeros, size - at < PIECE ? size - at : PIECE, at);
}

bool zeros_write(int fd, uint64_t size) {
    bool ok = allocate(fd, size);
    for (uint64_t at = 0; ok && at < size; at += PIECE) ok = write_piece(fd, at, size);
    return ok;
}

/* ---- ahead of time ---- */

static bool write_and_sync(struct zeros *z) {
    errno = 0;
    bool ok = allocate(z->fd, z->size);
    for (uint64_t at = 0, pieces = 1; ok && at < z->size; at += PIECE, pieces++) {
        ok = !atomic_load(&z->unwanted) && write_piece(z->fd, at, z->size);
        if (ok && pieces % PIECES_SYNCED == 0) ok = fdatasync(z->fd) == 0;
    }
    return ok && fdatasync(z->fd) == 0;
}

/* What came to nothing gives its blocks back: the disk may be full. */
static void *make(void *self) {
    struct zeros *z = self;
    z->whole = write_and_sync(z);
    z->number = z->whole || atomic_load(&z->unwanted) ? 0 : errno;
    if (!z->whole && ftruncate(z->fd, 0)) z->whole = false;
    close(z->fd);
    atomic_store(&z->ended, true);
    return NULL;
}

void zeros_begin(struct zeros *z, int fd, const char *name, uint64_t size) {
    sigset_t all, before;
    CHECK(!z->begun && strlen(name) < sizeof z->name);
    strcpy(z->name, name);
    z->size = size;
    z->fd = fd;
    z->whole = false;
    z->number = 0;
    atomic_store(&z->unwanted, false);
    atomic_store(&z->ended, false);
    sigfillset(&all); /* signals are for the threads that the process had before */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    z->begun = pthread_create(&z->thread, NULL, make, z) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!z->begun) close(fd);
}

bool zeros_under_way(const struct zeros *z, const char *name) {
    return z->begun && strcmp(z->name, name) == 0;
}

bool zeros_ended(const struct zeros *z) {
    return z->begun && atomic_load(&z->ended);
}

bool zeros_take(struct zeros *z) {
    CHECK(z->begun);
    pthread_join(z->thread, NULL);
    z->begun = false;
    return z->whole;
}

void zeros_abandon(struct zeros *z) {
    if (!z->begun) return;
    atomic_store(&z->unwanted, true);
    (void)zeros_take(z);
}
