/* A disk that keeps what is written in its own memory until a sync, and only then gives it to the disk below.
 *
 * For a node in a process of its own. A killed process leaves its written pages to the kernel, so on a plain folder a kill
 * would lose nothing that was written, and no missing sync would ever be found. Here it loses what a power failure would:
 * everything since the last sync; and of a sync under way any first part. Every other operation gives the held writes to
 * the disk below first, in their order, as a kernel may at any time. */
#include <stdlib.h>

#include "base/check.h"
#include "store/disk.h"

struct held_write {
    char *name;
    uint64_t offset;
    uint8_t *data;
    uint32_t size;
};

struct held {
    struct disk base;
    struct disk *below;
    struct held_write *writes;
    size_t count, capacity;
};

static struct held *held_of(struct disk *d) {
    return (struct held *)d;
}

static void forget(struct held *h) {
    for (size_t i = 0; i < h->count; i++) {
        free(h->writes[i].name);
        free(h->writes[i].data);
    }
    h->count = 0;
}

/* What is above a write that fails is lost, as the store stops then. */
static qrt_status give(struct held *h, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t i = 0; i < h->count && !status; i++) {
        const struct held_write *w = &h->writes[i];
        status = h->below->class->write(h->below, w->name, w->offset, bytes_of(w->data, w->size), e);
    }
    forget(h);
    return status;
}

static qrt_status held_list(struct disk *d, disk_list_fn *each, void *context, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->list(h->below, each, context, e);
}

static qrt_status held_create(struct disk *d, const char *name, uint64_t preallocate, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->create(h->below, name, preallocate, e);
}

/* Nothing that is held belongs to it. */
static void held_prepare(struct disk *d, const char *name, uint64_t preallocate) {
    struct held *h = held_of(d);
    if (h->below->class->prepare) h->below->class->prepare(h->below, name, preallocate);
}

static enum disk_room held_room(struct disk *d, const char *name, uint64_t preallocate) {
    struct held *h = held_of(d);
    return h->below->class->room ? h->below->class->room(h->below, name, preallocate) : DISK_ROOM_UNKNOWN;
}

/* The file's own writes change nothing of what it needs. */
static qrt_status held_reserve(struct disk *d, const char *name, uint64_t size, struct error *e) {
    struct held *h = held_of(d);
    return h->below->class->reserve ? h->below->class->reserve(h->below, name, size, e) : QRT_OK;
}

static void held_fill(struct disk *d, bool full) {
    struct held *h = held_of(d);
    if (h->below->class->fill) h->below->class->fill(h->below, full);
}

/* Nor does any of this: what its thread has not synced, a kill leaves under a name that is removed at opening. */
static qrt_status held_save(struct disk *d, const struct disk_file *file, struct error *e) {
    struct held *h = held_of(d);
    return h->below->class->save(h->below, file, e);
}

static bool held_saved(struct disk *d) {
    struct held *h = held_of(d);
    return h->below->class->saved(h->below);
}

static qrt_status held_save_end(struct disk *d, bool wanted, struct error *e) {
    struct held *h = held_of(d);
    return h->below->class->save_end(h->below, wanted, e);
}

static qrt_status held_read(struct disk *d, const char *name, struct buffer *out, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->read(h->below, name, out, e);
}

static qrt_status held_write(struct disk *d, const char *name, uint64_t offset, struct bytes data, struct error *e) {
    struct held *h = held_of(d);
    (void)e;
    h->writes = mem_grow(h->writes, &h->capacity, h->count + 1, sizeof *h->writes);
    h->writes[h->count++] = (struct held_write){mem_string(name), offset, mem_copy(data.data, data.size), data.size};
    return QRT_OK;
}

static qrt_status held_sync(struct disk *d, const char *name, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->sync(h->below, name, e);
}

static qrt_status held_rename(struct disk *d, const char *from, const char *to, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->rename(h->below, from, to, e);
}

static qrt_status held_remove(struct disk *d, const char *name, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->remove(h->below, name, e);
}

static qrt_status held_sync_folder(struct disk *d, struct error *e) {
    struct held *h = held_of(d);
    qrt_status status = give(h, e);
    return status ? status : h->below->class->sync_folder(h->below, e);
}

/* As a crash would: what is held is lost. */
static void held_free(struct disk *d) {
    struct held *h = held_of(d);
    forget(h);
    free(h->writes);
    h->below->class->free(h->below);
    free(h);
}

static const struct disk_class held_class = {
    .list = held_list,
    .create = held_create,
    .prepare = held_prepare,
    .room = held_room,
    .reserve = held_reserve,
    .fill = held_fill,
    .save = held_save,
    .saved = held_saved,
    .save_end = held_save_end,
    .read = held_read,
    .write = held_write,
    .sync = held_sync,
    .rename = held_rename,
    .remove = held_remove,
    .sync_folder = held_sync_folder,
    .clone = NULL, /* what is below has none */
    .free = held_free,
};

struct disk *disk_held_new(struct disk *below) {
    struct held *h = mem_zero(1, sizeof *h);
    CHECK(below && below->class->save);
    h->base = (struct disk){.class = &held_class, .block = below->block, .segment = below->segment};
    h->below = below;
    return &h->base;
}
