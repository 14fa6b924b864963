/* A group commit at its least: one write into a file whose blocks are there already, one fdatasync. */
#include "runtime/live/live_commits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/stopwatch.h"
#include "runtime/live/live_bare.h"

enum { BLOCK = 4096, FILE_SIZE = 16 << 20 };

static bool make_file(struct commit_writer *w, const char *name) {
    static const uint8_t zeros[1 << 16];
    w->file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (off_t at = 0; at < FILE_SIZE && w->file >= 0; at += (off_t)sizeof zeros)
        if (pwrite(w->file, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros) return false;
    return w->file >= 0 && !fsync(w->file);
}

qrt_status commits_open(struct commits *c, const char *folder, int writers, const int *cpus, struct error *e) {
    char name[96];
    for (; c->count < writers; c->count++) {
        struct commit_writer *w = &c->writers[c->count];
        *w = (struct commit_writer){.folder = folder, .cpu = cpus ? cpus[c->count] : -1};
        snprintf(name, sizeof name, "%s/bare-%d", folder, c->count);
        if (make_file(w, name)) continue;
        error_set(e, QRT_EIO, "%s cannot be made: %s", name, strerror(errno));
        if (w->file >= 0) close(w->file);
        return e->status;
    }
    return QRT_OK;
}

static void *write_groups(void *writer) {
    struct commit_writer *w = writer;
    uint32_t done = 0;
    size_t size = ((size_t)w->spec->window * w->spec->size + BLOCK - 1) / BLOCK * BLOCK;
    uint8_t *group = mem_zero(1, size);
    if (w->cpu >= 0) live_pin_here(w->cpu);
    int64_t begin = stopwatch_ns();
    w->number = 0;
    for (; done < w->spec->count && !w->number; done += w->spec->window) {
        if (interrupt_seen()) w->number = EINTR;
        if (w->at + (off_t)size > FILE_SIZE) w->at = 0;
        memset(group, (int)(done & 0xff) + 1, w->spec->size);
        if (pwrite(w->file, group, size, w->at) != (ssize_t)size || fdatasync(w->file)) w->number = errno ? errno : EIO;
        w->at += (off_t)size;
    }
    w->ns = (stopwatch_ns() - begin) * (int64_t)w->spec->count / (int64_t)done; /* the last group may be one of more */
    free(group);
    return NULL;
}

static int by_time(const void *a, const void *b) {
    int64_t x = ((const struct commit_writer *)a)->ns, y = ((const struct commit_writer *)b)->ns;
    return (x > y) - (x < y);
}

qrt_status commits_run(struct commits *c, const struct load_spec *spec, struct load_report *r, struct error *e) {
    for (int i = 0; i < c->count; i++) {
        struct commit_writer *w = &c->writers[i];
        w->spec = spec;
        w->running = c->count > 1 && !pthread_create(&w->thread, NULL, write_groups, w);
        if (!w->running) write_groups(w);
    }
    for (int i = 0; i < c->count; i++)
        if (c->writers[i].running) pthread_join(c->writers[i].thread, NULL);
    for (int i = 0; i < c->count; i++)
        if (c->writers[i].number)
            return error_set(e, QRT_EIO, "a bare group commit in %s failed: %s", c->writers[i].folder,
                             strerror(c->writers[i].number));
    qsort(c->writers, (size_t)c->count, sizeof *c->writers, by_time);
    r->ns = c->writers[c->count / 2].ns;
    r->committed = spec->count;
    return QRT_OK;
}

void commits_close(struct commits *c) {
    while (c->count) close(c->writers[--c->count].file);
}
