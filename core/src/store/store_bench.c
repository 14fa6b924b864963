/* The bench of the durable log; see store_bench.h. */
#include "store/store_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/stopwatch.h"

enum { RECORD = 128, BLOCK = 4096, BARE_SIZE = 16 << 20, CHECKPOINT_BYTES = 16 << 20, WARM_GROUP = 256 };

struct store_bench {
    char *folder, *bare_name;
    struct store *store;
    int bare;
    uint64_t bare_at, index, since_checkpoint;
    uint8_t *block;
    size_t block_size;
};

static qrt_status bench_fail(const struct store_bench *b, const char *what, struct error *e) {
    return error_set(e, QRT_EIO, "%s %s failed: %s", what, b->bare_name, strerror(errno));
}

static qrt_status bare_open(struct store_bench *b, struct error *e) {
    static const uint8_t zeros[1 << 16];
    b->bare = open(b->bare_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (b->bare < 0) return bench_fail(b, "opening", e);
    for (off_t at = 0; at < BARE_SIZE; at += (off_t)sizeof zeros)
        if (pwrite(b->bare, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros) return bench_fail(b, "writing", e);
    return fsync(b->bare) ? bench_fail(b, "syncing", e) : QRT_OK;
}

static qrt_status bench_commit(struct store_bench *b, uint32_t group_size, struct error *e) {
    uint8_t data[RECORD];
    memset(data, (int)(b->index & 0xff), sizeof data);
    for (uint32_t i = 0; i < group_size; i++)
        store_append(b->store, &(struct store_record){0, ++b->index, 1, {data, RECORD}});
    b->since_checkpoint += (uint64_t)group_size * RECORD + BLOCK;
    qrt_status status = store_flush(b->store, e);
    if (status || b->since_checkpoint < CHECKPOINT_BYTES) return status;
    b->since_checkpoint = 0;
    struct store_checkpoint c = {.index = b->index, .term = 1, .from_log = true};
    return store_save(b->store, &c, e);
}

/* Until superseded files are there to be written over. */
static qrt_status bench_warm(struct store_bench *b, struct error *e) {
    qrt_status status = QRT_OK;
    for (uint64_t bytes = 0; !status && !interrupt_seen() && bytes < 4 * (uint64_t)CHECKPOINT_BYTES;
         bytes += WARM_GROUP * RECORD)
        status = bench_commit(b, WARM_GROUP, e);
    return status;
}

struct store_bench *store_bench_new(const char *folder, struct error *e) {
    struct store_bench *b = mem_zero(1, sizeof *b);
    struct store_identity id = {1, 1};
    bool wiped;
    b->folder = mem_string(folder);
    b->bare_name = mem_format("%s/bare", folder);
    b->bare = -1;
    struct disk *disk = disk_posix_new(folder, e);
    qrt_status status = disk ? store_open(&b->store, disk, id, true, &wiped, e) : QRT_EIO;
    if (!status) status = bare_open(b, e);
    if (!status) status = bench_warm(b, e);
    if (status) store_bench_free(&b);
    return b;
}

int64_t store_bench_group(struct store_bench *b, uint32_t groups, uint32_t group_size, struct error *e) {
    int64_t begin = stopwatch_ns();
    for (uint32_t i = 0; i < groups; i++)
        if (interrupt_seen() || bench_commit(b, group_size, e)) return -1;
    return stopwatch_ns() - begin;
}

int64_t store_bench_bare(struct store_bench *b, uint32_t groups, uint32_t group_size, struct error *e) {
    size_t size = ((size_t)group_size * RECORD + BLOCK - 1) / BLOCK * BLOCK;
    b->block = mem_grow(b->block, &b->block_size, size, 1);
    memset(b->block, (int)(b->bare_at & 0xff) + 1, size);
    int64_t begin = stopwatch_ns();
    for (uint32_t i = 0; i < groups; i++) {
        if (interrupt_seen()) return -1;
        if (b->bare_at + size > BARE_SIZE) b->bare_at = 0;
        if (pwrite(b->bare, b->block, size, (off_t)b->bare_at) != (ssize_t)size) {
            bench_fail(b, "writing", e);
            return -1;
        }
        if (fdatasync(b->bare)) {
            bench_fail(b, "syncing", e);
            return -1;
        }
        b->bare_at += size;
    }
    return stopwatch_ns() - begin;
}

static void bench_unlink(void *context, const char *name, uint64_t size) {
    struct store_bench *b = context;
    char *path = mem_format("%s/%s", b->folder, name);
    (void)size;
    unlink(path);
    free(path);
}

void store_bench_free(struct store_bench **bench) {
    struct store_bench *b = *bench;
    if (!b) return;
    *bench = NULL;
    if (b->bare >= 0) close(b->bare);
    if (b->store) {
        struct disk *disk = store_release(&b->store);
        disk->class->list(disk, bench_unlink, b, NULL);
        disk->class->free(disk);
        bench_unlink(b, "lock", 0);
        rmdir(b->folder);
    }
    free(b->folder);
    free(b->bare_name);
    free(b->block);
    free(b);
}
