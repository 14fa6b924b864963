/* The POSIX disk: the files of one folder, reached through its descriptor, under an exclusive lock.
 *
 * Preallocation writes zeros (zeros.h), at once or ahead of time on a thread that touches nothing else of the disk. So does the
 * thread that writes a new file (new_file.h).
 *
 * A failed sync is never retried. After it the kernel may have dropped the dirty pages and marked them clean,
 * so that a second fdatasync would succeed without having written them ("fsyncgate", 2018); from then on
 * every operation that changes anything is refused. Nor does whoever opens the folder next believe such pages:
 * the kernel is told to forget what is clean before a file is read, so that what is read is what the drive has.
 *
 * No room is told before anything is half done: by prepare, by create with a length, and by reserve. A write into blocks that
 * were taken meets a full disk only where the file system copies on write.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/disk.h"
#include "store/new_file.h"
#include "store/zeros.h"

enum {
    POSIX_BLOCK = 4096,
    POSIX_SEGMENT = 8 * 1024 * 1024,
    POSIX_FILE_MAX = 1 << 30,
    NAME_MAX_SIZE = 64,
    HANDLES = 4, /* descriptors kept open: the log's tail and its successor, a checkpoint, the root */
};

#define LOCK_NAME "lock"

struct handle {
    char name[NAME_MAX_SIZE]; /* empty: free */
    int fd;
};

struct posix {
    struct disk base;
    char *path;
    int folder, lock;
    bool broken;  /* a sync has failed */
    bool full;    /* a fault: there is no room, whatever the file system says */
    bool no_room; /* for the file that prepare was asked for last */
    struct handle handles[HANDLES];
    unsigned oldest; /* the handle that is given up next */
    struct zeros ahead;
    struct new_file new;
};

static struct posix *posix_of(struct disk *d) {
    return (struct posix *)d;
}

static bool says_full(int number) {
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

static qrt_status posix_fail(const struct posix *p, const char *what, const char *name, int number, struct error *e) {
    qrt_status status = says_full(number) ? QRT_EFULL : number == ENOENT ? QRT_ENOTFOUND : QRT_EIO;
    return error_set(e, status, "%s %s/%s failed: %s", what, p->path, name, strerror(number));
}

static qrt_status posix_usable(const struct posix *p, struct error *e) {
    if (!p->broken) return QRT_OK;
    return error_set(e, QRT_EIO,
                     "an earlier sync in %s failed, so nothing more is written there: "
                     "what was in flight may be lost although a second sync would succeed",
                     p->path);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static int open_again(int folder, const char *name, int flags) {
    int fd;
    do fd = openat(folder, name, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static void handle_close(struct handle *h) {
    if (h->name[0]) close(h->fd);
    h->name[0] = 0;
}

static void handle_forget(struct posix *p, const char *name) {
    for (int i = 0; i < HANDLES; i++)
        if (strcmp(p->handles[i].name, name) == 0) handle_close(&p->handles[i]);
}

static int handle_keep(struct posix *p, const char *name, int fd) {
    struct handle *h = &p->handles[p->oldest];
    p->oldest = (p->oldest + 1) % HANDLES;
    CHECK(strlen(name) < NAME_MAX_SIZE);
    handle_close(h);
    strcpy(h->name, name);
    h->fd = fd;
    return fd;
}

/* A descriptor for writing, kept for the next time; -1 with errno. */
static int handle_get(struct posix *p, const char *name) {
    for (int i = 0; i < HANDLES; i++)
        if (strcmp(p->handles[i].name, name) == 0) return p->handles[i].fd;
    int fd = open_again(p->folder, name, O_RDWR);
    return fd < 0 ? fd : handle_keep(p, name, fd);
}

/* ---- operations -------------------------------------------------------------------------- */

struct listing {
    char name[NAME_MAX_SIZE];
    uint64_t size;
};

static int listing_compare(const void *a, const void *b) {
    return strcmp(((const struct listing *)a)->name, ((const struct listing *)b)->name);
}

static qrt_status posix_list(struct disk *d, disk_list_fn *each, void *context, struct error *e) {
    struct posix *p = posix_of(d);
    int fd = open_again(p->folder, ".", O_RDONLY | O_DIRECTORY);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int number = errno;
        if (fd >= 0) close(fd);
        return posix_fail(p, "listing", "", number, e);
    }
    struct listing *found = NULL;
    size_t count = 0, capacity = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        struct stat about;
        if (strlen(entry->d_name) >= NAME_MAX_SIZE || strcmp(entry->d_name, LOCK_NAME) == 0) continue;
        if (fstatat(fd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) || !S_ISREG(about.st_mode)) continue;
        found = mem_grow(found, &capacity, count + 1, sizeof *found);
        strcpy(found[count].name, entry->d_name);
        found[count++].size = (uint64_t)about.st_size;
    }
    closedir(stream);
    if (count) qsort(found, count, sizeof *found, listing_compare);
    for (size_t i = 0; i < count; i++) each(context, found[i].name, found[i].size);
    free(found);
    return QRT_OK;
}

/* The file as prepared, or -1. One of another length is made anew. */
static int posix_prepared(struct posix *p, const char *name, uint64_t preallocate) {
    if (!zeros_under_way(&p->ahead, name)) return -1;
    if (p->ahead.size == preallocate && zeros_take(&p->ahead)) return open_again(p->folder, name, O_RDWR);
    zeros_abandon(&p->ahead);
    return -1;
}

static qrt_status posix_create(struct disk *d, const char *name, uint64_t preallocate, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    handle_forget(p, name);
    int fd = posix_prepared(p, name, preallocate);
    bool whole = fd >= 0;
    if (!whole) fd = open_again(p->folder, name, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0) return posix_fail(p, "creating", name, errno, e);
    handle_keep(p, name, fd);
    if (whole || !preallocate) return QRT_OK;
    if (p->full) return posix_fail(p, "preallocating", name, ENOSPC, e);
    if (zeros_write(fd, preallocate)) return QRT_OK;
    int number = errno;
    if (ftruncate(fd, 0)) number = errno; /* what it took of the last room is given back */
    return posix_fail(p, "preallocating", name, number, e);
}

static void posix_prepare(struct disk *d, const char *name, uint64_t preallocate) {
    struct posix *p = posix_of(d);
    if (p->broken || p->ahead.begun) return;
    p->no_room = p->full;
    if (p->full) return;
    int fd = open_again(p->folder, name, O_RDWR | O_CREAT | O_TRUNC);
    if (fd >= 0)
        zeros_begin(&p->ahead, fd, name, preallocate);
    else
        p->no_room = says_full(errno);
}

static enum disk_room posix_room(struct disk *d, const char *name, uint64_t preallocate) {
    struct posix *p = posix_of(d);
    if (!zeros_under_way(&p->ahead, name)) return p->no_room ? DISK_ROOM_NONE : DISK_ROOM_UNKNOWN;
    if (p->ahead.size != preallocate || !zeros_ended(&p->ahead)) return DISK_ROOM_UNKNOWN;
    if (p->ahead.whole) return DISK_ROOM_THERE;
    if (!says_full(p->ahead.number)) return DISK_ROOM_UNKNOWN; /* create will say what is wrong */
    (void)zeros_take(&p->ahead);
    p->no_room = true;
    return DISK_ROOM_NONE;
}

/* Blocks behind the end of the file; zeros where the file system knows of no such thing. */
static bool take_blocks(int fd, uint64_t size) {
    struct stat about;
    int failed;
    do failed = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
    while (failed && errno == EINTR);
    if (!failed) return true;
    if ((errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) || fstat(fd, &about)) return false;
    uint64_t have = (uint64_t)about.st_size;
    if (have >= size) return true;
    uint8_t *zeros = mem_zero(1, size - have);
    bool written = file_write_at(fd, zeros, size - have, have);
    int number = errno;
    free(zeros);
    errno = number;
    return written;
}

static qrt_status posix_reserve(struct disk *d, const char *name, uint64_t size, struct error *e) {
    struct posix *p = posix_of(d);
    struct stat about;
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    int fd = handle_get(p, name);
    if (fd < 0 || fstat(fd, &about)) return posix_fail(p, "taking room for", name, errno, e);
    if ((uint64_t)about.st_size >= size) return QRT_OK;
    if (p->full) return posix_fail(p, "taking room for", name, ENOSPC, e);
    return take_blocks(fd, size) ? QRT_OK : posix_fail(p, "taking room for", name, errno, e);
}

static void posix_fill(struct disk *d, bool full) {
    struct posix *p = posix_of(d);
    p->full = p->no_room = full;
    if (full) zeros_abandon(&p->ahead);
}

/* ---- a whole new file, on a thread ---- */

static qrt_status posix_save(struct disk *d, const struct disk_file *file, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    if (p->full) return posix_fail(p, "taking room for", file->made, ENOSPC, e);
    handle_forget(p, file->made);
    handle_forget(p, file->name);
    new_file_begin(&p->new, p->folder, file);
    return QRT_OK;
}

static bool posix_saved(struct disk *d) {
    return new_file_ended(&posix_of(d)->new);
}

static qrt_status posix_save_end(struct disk *d, bool wanted, struct error *e) {
    struct posix *p = posix_of(d);
    struct new_file *n = &p->new;
    if (wanted)
        new_file_take(n);
    else
        new_file_abandon(n);
    p->broken = p->broken || n->sync_failed;
    return n->failed ? posix_fail(p, n->failed, n->made, n->number, e) : QRT_OK;
}

/* ---- operations, on ---- */

static qrt_status posix_read(struct disk *d, const char *name, struct buffer *out, struct error *e) {
    struct posix *p = posix_of(d);
    struct stat about;
    int fd = open_again(p->folder, name, O_RDONLY);
    if (fd < 0) return posix_fail(p, "opening", name, errno, e);
    qrt_status status = QRT_OK;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a file system without pages has nothing to forget */
    if (fstat(fd, &about)) {
        status = posix_fail(p, "reading", name, errno, e);
    } else if (!S_ISREG(about.st_mode) || about.st_size > POSIX_FILE_MAX) {
        status = error_set(e, QRT_ECORRUPT, "%s/%s is no file that a store would make", p->path, name);
    }
    size_t size = status ? 0 : (size_t)about.st_size, done = 0;
    uint8_t *to = buffer_extend(out, size);
    while (!status && done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = posix_fail(p, "reading", name, errno, e);
        if (n == 0) break; /* it shrank meanwhile */
        if (n > 0) done += (size_t)n;
    }
    out->size -= size - done;
    close(fd);
    return status;
}

static qrt_status posix_write(struct disk *d, const char *name, uint64_t offset, struct bytes data, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    int fd = handle_get(p, name);
    if (fd < 0 || !file_write_at(fd, data.data, data.size, offset)) return posix_fail(p, "writing", name, errno, e);
    return QRT_OK;
}

static qrt_status posix_sync(struct disk *d, const char *name, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    int fd = handle_get(p, name);
    if (fd >= 0 && fdatasync(fd) == 0) return QRT_OK;
    p->broken = true; /* EINTR too: it says nothing about what was written */
    return posix_fail(p, "syncing", name, errno, e);
}

static qrt_status posix_rename(struct disk *d, const char *from, const char *to, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    handle_forget(p, to);
    if (renameat(p->folder, from, p->folder, to)) return posix_fail(p, "renaming", from, errno, e);
    for (int i = 0; i < HANDLES; i++)
        if (strcmp(p->handles[i].name, from) == 0) strcpy(p->handles[i].name, to);
    return QRT_OK;
}

static qrt_status posix_remove(struct disk *d, const char *name, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    handle_forget(p, name);
    if (zeros_under_way(&p->ahead, name)) zeros_abandon(&p->ahead);
    if (unlinkat(p->folder, name, 0)) return posix_fail(p, "removing", name, errno, e);
    return QRT_OK;
}

static qrt_status posix_sync_folder(struct disk *d, struct error *e) {
    struct posix *p = posix_of(d);
    qrt_status status = posix_usable(p, e);
    if (status) return status;
    if (fsync(p->folder) == 0) return QRT_OK;
    p->broken = true;
    return posix_fail(p, "syncing", "", errno, e);
}

static void posix_free(struct disk *d) {
    struct posix *p = posix_of(d);
    zeros_abandon(&p->ahead);
    new_file_abandon(&p->new);
    for (int i = 0; i < HANDLES; i++) handle_close(&p->handles[i]);
    if (p->lock >= 0) { /* closing alone would leave the lock to whatever this process has forked */
        flock(p->lock, LOCK_UN);
        close(p->lock);
    }
    if (p->folder >= 0) close(p->folder);
    free(p->path);
    free(p);
}

static const struct disk_class posix_class = {
    .list = posix_list,
    .create = posix_create,
    .prepare = posix_prepare,
    .room = posix_room,
    .reserve = posix_reserve,
    .fill = posix_fill,
    .save = posix_save,
    .saved = posix_saved,
    .save_end = posix_save_end,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .rename = posix_rename,
    .remove = posix_remove,
    .sync_folder = posix_sync_folder,
    .clone = NULL, /* there is one folder */
    .free = posix_free,
};

static qrt_status posix_open(struct posix *p, struct error *e) {
    if (mkdir(p->path, 0700) && errno != EEXIST)
        return error_set(e, QRT_EIO, "making the data folder %s failed: %s", p->path, strerror(errno));
    p->folder = open_again(AT_FDCWD, p->path, O_RDONLY | O_DIRECTORY);
    if (p->folder < 0) return error_set(e, QRT_EIO, "opening the data folder %s failed: %s", p->path, strerror(errno));
    p->lock = open_again(p->folder, LOCK_NAME, O_RDWR | O_CREAT);
    if (p->lock < 0) return posix_fail(p, "opening", LOCK_NAME, errno, e);
    if (flock(p->lock, LOCK_EX | LOCK_NB) == 0) return QRT_OK;
    if (errno != EWOULDBLOCK) return posix_fail(p, "locking", LOCK_NAME, errno, e);
    return error_set(e, QRT_EBUSY,
                     "the data folder %s is in use by another node or process; "
                     "stop that one first, or give this one a folder of its own",
                     p->path);
}

struct disk *disk_posix_new(const char *folder, struct error *e) {
    struct posix *p = mem_zero(1, sizeof *p);
    p->base = (struct disk){.class = &posix_class, .block = POSIX_BLOCK, .segment = POSIX_SEGMENT};
    p->path = mem_string(folder);
    p->folder = p->lock = -1;
    if (posix_open(p, e) == QRT_OK) return &p->base;
    posix_free(&p->base);
    return NULL;
}
