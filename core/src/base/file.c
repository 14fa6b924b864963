#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static qrt_status judge(const char *path, const struct stat *about, uint64_t most, struct error *e) {
    if (!S_ISREG(about->st_mode))
        return error_set(e, QRT_EIO, "%.300s is %s, not a file: save what is meant in a file, and name that", path,
                         kind_of(about->st_mode));
    if (about->st_size >= 0 && (uint64_t)about->st_size <= most) return QRT_OK;
    return error_set(e, QRT_EIO, "%.300s has %lld bytes, and such a file has at most %llu", path,
                     (long long)about->st_size, (unsigned long long)most);
}

static qrt_status unreadable(const char *path, struct error *e) {
    return error_set(e, QRT_EIO, "%.300s cannot be read: %s", path, strerror(errno));
}

qrt_status file_check(const char *path, uint64_t most, struct error *e) {
    struct stat about;
    if (stat(path, &about)) return unreadable(path, e);
    qrt_status status = judge(path, &about, most, e);
    if (status) return status;
    return access(path, R_OK) ? unreadable(path, e) : QRT_OK;
}

/* A file may grow while it is read, and those of /proc have no size: so what counts is what comes. */
static qrt_status take_all(int fd, const char *path, uint64_t most, struct buffer *out, struct error *e) {
    size_t before = out->size;
    for (ssize_t n = 1; n;) {
        n = read(fd, buffer_extend(out, CHUNK), CHUNK);
        out->size -= CHUNK - (size_t)(n > 0 ? n : 0);
        if (n < 0 && errno != EINTR) return unreadable(path, e);
        if (out->size - before > most)
            return error_set(e, QRT_EIO, "%.300s has more than the %llu bytes that such a file may have", path,
                             (unsigned long long)most);
    }
    return QRT_OK;
}

qrt_status file_read(const char *path, uint64_t most, struct buffer *out, struct error *e) {
    struct stat about;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe without a writer must not hold us up */
    if (fd < 0) return unreadable(path, e);
    qrt_status status = fstat(fd, &about) ? unreadable(path, e) : judge(path, &about, most, e);
    if (!status) status = take_all(fd, path, most, out, e);
    close(fd);
    return status;
}

bool file_write_at(int fd, const void *data, uint64_t size, uint64_t offset) {
    const uint8_t *at = data;
    while (size) {
        ssize_t n = pwrite(fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO;
        if (n <= 0) return false;
        at += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return true;
}
