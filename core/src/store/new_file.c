/* A whole new file on a thread; see new_file.h. */
#include "store/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"

enum { PIECE = 64 * 1024, PIECES_SYNCED = 8 };

static bool failed(struct new_file *n, const char *what) {
    n->number = errno;
    n->failed = what;
    return false;
}

static bool synced(struct new_file *n, int fd, int (*sync)(int)) {
    if (sync(fd) == 0) return true;
    n->sync_failed = true; /* EINTR too: it says nothing about what was written */
    return failed(n, "syncing");
}

/* One part behind `at` bytes of the file. *pieces counts on over the parts. */
static bool write_part(struct new_file *n, int fd, struct bytes part, uint64_t at, uint64_t *pieces) {
    for (uint32_t done = 0; done < part.size; done += PIECE) {
        uint32_t size = part.size - done < PIECE ? part.size - done : PIECE;
        errno = ECANCELED;
        if (atomic_load(&n->unwanted) || !file_write_at(fd, part.data + done, size, at + done))
            return failed(n, "writing");
        if (++*pieces % PIECES_SYNCED == 0 && !synced(n, fd, fdatasync)) return false;
    }
    return true;
}

/* All that it needs, before anything of it is written, so that a full disk is met here. */
static bool take_room(struct new_file *n, int fd) {
    off_t size = 0;
    for (int i = 0; i < DISK_PARTS; i++) size += n->parts[i].size;
    if (!size || !fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size)) return true;
    bool unknown = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EINTR;
    return unknown || failed(n, "taking room for");
}

static bool write_parts(struct new_file *n, int fd) {
    uint64_t at = 0, pieces = 0;
    for (int i = 0; i < DISK_PARTS; i++) {
        if (!write_part(n, fd, n->parts[i], at, &pieces)) return false;
        at += n->parts[i].size;
    }
    return synced(n, fd, fdatasync);
}

static bool make_named(struct new_file *n) {
    int fd;
    do fd = openat(n->folder, n->made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return failed(n, "creating");
    bool ok = take_room(n, fd) && write_parts(n, fd);
    /* Its pages are wanted by nobody, and would take long to give up when the file goes: whoever syncs meanwhile waits for that. */
    if (ok) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    if (ok && renameat(n->folder, n->made, n->folder, n->name)) ok = failed(n, "renaming");
    if (!ok) unlinkat(n->folder, n->made, 0);
    return ok;
}

static void *make(void *self) {
    struct new_file *n = self;
    n->file.fill(n->file.context, n->parts);
    bool there = make_named(n) && synced(n, n->folder, fsync);
    if (there && *n->gone && unlinkat(n->folder, n->gone, 0)) failed(n, "removing the old file behind");
    atomic_store_explicit(&n->ended, true, memory_order_release);
    n->file.ended(n->file.context);
    return NULL;
}

void new_file_begin(struct new_file *n, int folder, const struct disk_file *file) {
    sigset_t all, before;
    CHECK(!n->begun);
    n->file = *file;
    snprintf(n->made, sizeof n->made, "%s", file->made);
    snprintf(n->name, sizeof n->name, "%s", file->name);
    snprintf(n->gone, sizeof n->gone, "%s", file->gone ? file->gone : "");
    memset(n->parts, 0, sizeof n->parts);
    n->folder = folder;
    n->failed = NULL;
    n->sync_failed = false;
    atomic_store(&n->unwanted, false);
    atomic_store(&n->ended, false);
    sigfillset(&all); /* signals are for the threads that the process had before */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    n->threaded = pthread_create(&n->thread, NULL, make, n) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    n->begun = true;
    if (!n->threaded) make(n);
}

void new_file_take(struct new_file *n) {
    CHECK(n->begun);
    if (n->threaded) pthread_join(n->thread, NULL);
    n->begun = false;
}

void new_file_abandon(struct new_file *n) {
    if (!n->begun) return;
    atomic_store(&n->unwanted, true);
    new_file_take(n);
}
