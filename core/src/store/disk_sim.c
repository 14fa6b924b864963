/* The simulated disk: files in memory, with the exact state that a power cut would leave.
 *
 * A file is an array of references to 4 KiB pages, so that a clone copies pointers and the two sides part
 * page by page as they write; a page that was never written is NULL and reads as zeros, so that preallocation
 * costs nothing. What may be lost at a crash is kept as undo records:
 *
 *   unsynced sector   -> its old 512 bytes, in the order of the first writes since the last sync
 *   unsynced name     -> the folder operation (create, rename, remove) with the file that it displaced
 *
 * A sync drops the undo records; a crash plays some of them back. Folder operations are lost from the last
 * one backwards, as a journalling file system does; sectors are lost in any of three manners (see
 * sectors_lose).
 *
 * Invariants
 *  1. files are in ascending order of name, whatever was done in which order.
 *  2. bit s of dirty[p] is set if and only if the file's undo records hold sector s of page p.
 *  3. a page with more than one reference is never written.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "store/disk.h"

enum {
    PAGE = 4096,
    SECTOR = 512,
    PAGE_SECTORS = PAGE / SECTOR,
    NAME_MAX_SIZE = 64,
    SIM_SEGMENT = 64 * 1024,
    FILE_SIZE_MAX = 1 << 30,
};

struct page {
    uint32_t references; /* atomic: clones may live on several threads */
    uint64_t hash;       /* of the bytes; 0: not computed since the last write */
    uint8_t bytes[PAGE];
};

struct undo {
    uint32_t sector;
    bool blank; /* the old content is zeros and is not kept */
    uint8_t old[SECTOR];
};

struct file {
    char name[NAME_MAX_SIZE];
    uint64_t size, synced_size;
    uint64_t reserved; /* bytes from its beginning that it may have although the disk is full */
    struct page **pages;
    uint8_t *dirty;
    size_t page_count;
    struct undo *undos;
    size_t undo_count, undo_capacity;
};

enum folder_kind { FOLDER_CREATE, FOLDER_RENAME, FOLDER_REMOVE };

struct folder_op {
    enum folder_kind kind;
    char from[NAME_MAX_SIZE], to[NAME_MAX_SIZE];
    struct file *displaced; /* owned; NULL for none */
};

struct sim {
    struct disk base;
    struct disk_sim_options options;
    struct random random;
    int64_t latency;
    uint64_t fail_after;
    bool full;
    uint64_t aside; /* room for a file of that length that was asked for by prepare */
    struct file **files;
    size_t file_count, file_capacity, last; /* last: where the latest lookup ended */
    struct folder_op *ops;
    size_t op_count, op_capacity;
};

static struct sim *sim_of(struct disk *d) {
    return (struct sim *)d;
}

/* ---- pages and files --------------------------------------------------------------------- */

static struct page *page_ref(struct page *p) {
    if (p) __atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
    return p;
}

static void page_unref(struct page *p) {
    if (p && __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) == 0) free(p);
}

/* The page to write into: made when there was none, parted from its clones when it is shared. */
static struct page *page_own(struct file *f, size_t i) {
    struct page *p = f->pages[i];
    if (!p) {
        p = mem_zero(1, sizeof *p);
        p->references = 1;
        f->pages[i] = p;
    } else if (__atomic_load_n(&p->references, __ATOMIC_ACQUIRE) > 1) {
        struct page *copy = mem_copy(p, sizeof *p);
        copy->references = 1;
        page_unref(p);
        f->pages[i] = p = copy;
    }
    p->hash = 0;
    return p;
}

static struct file *file_new(const char *name) {
    struct file *f = mem_zero(1, sizeof *f);
    CHECK(strlen(name) < NAME_MAX_SIZE);
    strcpy(f->name, name);
    return f;
}

static void file_free(struct file *f) {
    if (!f) return;
    for (size_t i = 0; i < f->page_count; i++) page_unref(f->pages[i]);
    free(f->pages);
    free(f->dirty);
    free(f->undos);
    free(f);
}

static struct file *file_clone(const struct file *from) {
    if (!from) return NULL;
    struct file *f = mem_copy(from, sizeof *from);
    f->pages = mem_copy(from->pages, from->page_count * sizeof(struct page *));
    for (size_t i = 0; i < f->page_count; i++) page_ref(f->pages[i]);
    f->dirty = mem_copy(from->dirty, from->page_count);
    f->undos = mem_copy(from->undos, from->undo_count * sizeof(struct undo));
    f->undo_capacity = from->undo_count;
    return f;
}

static void file_extend(struct file *f, uint64_t size) {
    size_t pages = (size_t)((size + PAGE - 1) / PAGE);
    if (pages > f->page_count) {
        f->pages = mem_resize(f->pages, pages * sizeof(struct page *));
        f->dirty = mem_resize(f->dirty, pages);
        memset(f->pages + f->page_count, 0, (pages - f->page_count) * sizeof(struct page *));
        memset(f->dirty + f->page_count, 0, pages - f->page_count);
        f->page_count = pages;
    }
    if (size > f->size) f->size = size;
}

static void file_shrink(struct file *f, uint64_t size) {
    size_t keep = (size_t)((size + PAGE - 1) / PAGE);
    while (f->page_count > keep) page_unref(f->pages[--f->page_count]);
    if (size % PAGE && keep && f->pages[keep - 1])
        memset(page_own(f, keep - 1)->bytes + size % PAGE, 0, PAGE - size % PAGE);
    f->size = size;
}

/* Remembers what the sectors [first, last] of a page held when they were last synced. */
static void file_remember(struct file *f, size_t page, size_t first, size_t last) {
    const struct page *p = f->pages[page];
    for (size_t s = first; s <= last; s++) {
        if (f->dirty[page] & (1u << s)) continue;
        f->dirty[page] |= (uint8_t)(1u << s);
        f->undos = mem_grow(f->undos, &f->undo_capacity, f->undo_count + 1, sizeof(struct undo));
        struct undo *u = &f->undos[f->undo_count++];
        u->sector = (uint32_t)(page * PAGE_SECTORS + s);
        u->blank = p == NULL;
        if (p) memcpy(u->old, p->bytes + s * SECTOR, SECTOR);
    }
}

static void file_write(struct file *f, uint64_t offset, struct bytes data) {
    file_extend(f, offset + data.size);
    for (uint32_t done = 0; done < data.size;) {
        size_t page = (size_t)((offset + done) / PAGE), at = (size_t)((offset + done) % PAGE);
        uint32_t part = (uint32_t)(PAGE - at);
        if (part > data.size - done) part = data.size - done;
        file_remember(f, page, at / SECTOR, (at + part - 1) / SECTOR);
        memcpy(page_own(f, page)->bytes + at, data.data + done, part);
        done += part;
    }
}

static void file_sync(struct file *f) {
    for (size_t i = 0; i < f->undo_count; i++) f->dirty[f->undos[i].sector / PAGE_SECTORS] = 0;
    f->undo_count = 0;
    f->synced_size = f->size;
}

static void sector_revert(struct file *f, const struct undo *u) {
    uint8_t *place = page_own(f, u->sector / PAGE_SECTORS)->bytes + u->sector % PAGE_SECTORS * SECTOR;
    if (u->blank)
        memset(place, 0, SECTOR);
    else
        memcpy(place, u->old, SECTOR);
}

/* ---- the folder -------------------------------------------------------------------------- */

/* Where name is, or (not found) where it belongs. */
static size_t folder_place(struct sim *s, const char *name, bool *found) {
    if (s->last < s->file_count && strcmp(s->files[s->last]->name, name) == 0) {
        *found = true;
        return s->last;
    }
    size_t low = 0, high = s->file_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(s->files[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < s->file_count && strcmp(s->files[low]->name, name) == 0;
    s->last = low;
    return low;
}

/* Takes the file out of the folder; NULL when there is none of that name. */
static struct file *folder_take(struct sim *s, const char *name) {
    bool found;
    size_t i = folder_place(s, name, &found);
    if (!found) return NULL;
    struct file *f = s->files[i];
    memmove(s->files + i, s->files + i + 1, (--s->file_count - i) * sizeof *s->files);
    return f;
}

/* Puts a file in under its name, which must be free. */
static void folder_put(struct sim *s, struct file *f) {
    bool found;
    size_t i = folder_place(s, f->name, &found);
    CHECK(!found);
    s->files = mem_grow(s->files, &s->file_capacity, s->file_count + 1, sizeof *s->files);
    memmove(s->files + i + 1, s->files + i, (s->file_count++ - i) * sizeof *s->files);
    s->files[i] = f;
}

static void folder_note(struct sim *s, enum folder_kind kind, const char *from, const char *to,
                        struct file *displaced) {
    s->ops = mem_grow(s->ops, &s->op_capacity, s->op_count + 1, sizeof *s->ops);
    struct folder_op *op = &s->ops[s->op_count++];
    *op = (struct folder_op){.kind = kind, .displaced = displaced};
    strcpy(op->from, from);
    strcpy(op->to, to);
}

static void folder_undo(struct sim *s, struct folder_op *op) {
    if (op->kind == FOLDER_CREATE) file_free(folder_take(s, op->from));
    if (op->kind == FOLDER_RENAME) {
        struct file *f = folder_take(s, op->to);
        CHECK(f);
        strcpy(f->name, op->from);
        folder_put(s, f);
    }
    if (op->displaced) folder_put(s, op->displaced);
    op->displaced = NULL;
}

static void folder_forget(struct sim *s) {
    for (size_t i = 0; i < s->op_count; i++) file_free(s->ops[i].displaced);
    s->op_count = 0;
}

/* ---- operations -------------------------------------------------------------------------- */

static void sim_charge(struct sim *s, int64_t mean) {
    s->latency += mean;
    if (s->options.jitter_ns > 0) s->latency += (int64_t)random_below(&s->random, (uint64_t)s->options.jitter_ns);
}

static qrt_status sim_powered(struct sim *s, struct error *e) {
    if (__builtin_expect(s->fail_after == 0, 0)) return error_set(e, QRT_EIO, "the simulated disk has no power");
    if (s->fail_after != UINT64_MAX) s->fail_after--;
    return QRT_OK;
}

static qrt_status sim_find(struct sim *s, const char *name, struct file **out, struct error *e) {
    bool found;
    size_t i = folder_place(s, name, &found);
    if (!found) return error_set(e, QRT_ENOTFOUND, "there is no file %s on the simulated disk", name);
    *out = s->files[i];
    return QRT_OK;
}

static qrt_status sim_list(struct disk *d, disk_list_fn *each, void *context, struct error *e) {
    (void)e;
    struct sim *s = sim_of(d);
    for (size_t i = 0; i < s->file_count; i++) each(context, s->files[i]->name, s->files[i]->size);
    return QRT_OK;
}

static qrt_status sim_create(struct disk *d, const char *name, uint64_t preallocate, struct error *e) {
    struct sim *s = sim_of(d);
    qrt_status status = sim_powered(s, e);
    if (status) return status;
    if (preallocate > FILE_SIZE_MAX)
        return error_set(e, QRT_EFULL, "%s would be too large for the simulated disk", name);
    if (preallocate && s->full && s->aside != preallocate)
        return error_set(e, QRT_EFULL, "preallocating %s failed: no room is left on the simulated disk", name);
    if (s->aside == preallocate) s->aside = 0;
    folder_note(s, FOLDER_CREATE, name, "", folder_take(s, name));
    struct file *f = file_new(name);
    file_extend(f, preallocate);
    folder_put(s, f);
    sim_charge(s, s->options.write_ns);
    return QRT_OK;
}

/* Nothing is made ahead of time; only its room is set aside. */
static void sim_prepare(struct disk *d, const char *name, uint64_t preallocate) {
    struct sim *s = sim_of(d);
    (void)name;
    if (!s->full) s->aside = preallocate;
}

static enum disk_room sim_room(struct disk *d, const char *name, uint64_t preallocate) {
    (void)name;
    return sim_of(d)->aside == preallocate ? DISK_ROOM_THERE : DISK_ROOM_NONE;
}

static qrt_status sim_reserve(struct disk *d, const char *name, uint64_t size, struct error *e) {
    struct sim *s = sim_of(d);
    struct file *f = NULL;
    qrt_status status = sim_find(s, name, &f, e);
    if (status || size <= f->size || size <= f->reserved) return status;
    if (s->full)
        return error_set(e, QRT_EFULL, "taking room for %s failed: no room is left on the simulated disk", name);
    f->reserved = size;
    return QRT_OK;
}

static void sim_fill(struct disk *d, bool full) {
    struct sim *s = sim_of(d);
    s->full = full;
    s->aside = 0;
}

static qrt_status sim_read(struct disk *d, const char *name, struct buffer *out, struct error *e) {
    struct file *f = NULL;
    qrt_status status = sim_find(sim_of(d), name, &f, e);
    if (status) return status;
    uint8_t *to = buffer_extend(out, (size_t)f->size);
    for (size_t i = 0, left = (size_t)f->size; left; i++) {
        size_t part = left < PAGE ? left : PAGE;
        if (f->pages[i])
            memcpy(to, f->pages[i]->bytes, part);
        else
            memset(to, 0, part);
        to += part;
        left -= part;
    }
    return QRT_OK;
}

static qrt_status sim_write(struct disk *d, const char *name, uint64_t offset, struct bytes data, struct error *e) {
    struct sim *s = sim_of(d);
    struct file *f = NULL;
    qrt_status status = sim_powered(s, e);
    if (!status) status = sim_find(s, name, &f, e);
    if (status) return status;
    if (offset > FILE_SIZE_MAX - data.size)
        return error_set(e, QRT_EFULL, "%s is too large for the simulated disk", name);
    uint64_t end = offset + data.size;
    if (s->full && end > f->size && end > f->reserved)
        return error_set(e, QRT_EFULL, "writing %s failed: no room is left on the simulated disk", name);
    if (data.size) file_write(f, offset, data);
    sim_charge(s, s->options.write_ns);
    return QRT_OK;
}

static qrt_status sim_sync(struct disk *d, const char *name, struct error *e) {
    struct sim *s = sim_of(d);
    struct file *f = NULL;
    qrt_status status = sim_powered(s, e);
    if (!status) status = sim_find(s, name, &f, e);
    if (status) return status;
    file_sync(f);
    sim_charge(s, s->options.sync_ns);
    return QRT_OK;
}

static qrt_status sim_rename(struct disk *d, const char *from, const char *to, struct error *e) {
    struct sim *s = sim_of(d);
    struct file *f = NULL;
    qrt_status status = sim_powered(s, e);
    if (!status) status = sim_find(s, from, &f, e);
    if (status) return status;
    folder_take(s, from);
    folder_note(s, FOLDER_RENAME, from, to, folder_take(s, to));
    CHECK(strlen(to) < NAME_MAX_SIZE);
    strcpy(f->name, to);
    folder_put(s, f);
    sim_charge(s, s->options.write_ns);
    return QRT_OK;
}

static qrt_status sim_remove(struct disk *d, const char *name, struct error *e) {
    struct sim *s = sim_of(d);
    struct file *f = NULL;
    qrt_status status = sim_powered(s, e);
    if (!status) status = sim_find(s, name, &f, e);
    if (status) return status;
    folder_note(s, FOLDER_REMOVE, name, "", folder_take(s, name));
    sim_charge(s, s->options.write_ns);
    return QRT_OK;
}

static qrt_status sim_sync_folder(struct disk *d, struct error *e) {
    struct sim *s = sim_of(d);
    qrt_status status = sim_powered(s, e);
    if (status) return status;
    folder_forget(s);
    sim_charge(s, s->options.sync_ns);
    return QRT_OK;
}

static struct disk *sim_clone(const struct disk *d) {
    const struct sim *from = (const struct sim *)d;
    struct sim *s = mem_copy(from, sizeof *from);
    s->files = mem_copy(from->files, from->file_count * sizeof *from->files);
    s->file_capacity = from->file_count;
    for (size_t i = 0; i < s->file_count; i++) s->files[i] = file_clone(from->files[i]);
    s->ops = mem_copy(from->ops, from->op_count * sizeof *from->ops);
    s->op_capacity = from->op_count;
    for (size_t i = 0; i < s->op_count; i++) s->ops[i].displaced = file_clone(from->ops[i].displaced);
    return &s->base;
}

static void sim_free(struct disk *d) {
    struct sim *s = sim_of(d);
    folder_forget(s);
    for (size_t i = 0; i < s->file_count; i++) file_free(s->files[i]);
    free(s->files);
    free(s->ops);
    free(s);
}

/* ---- crashes ----------------------------------------------------------------------------- */

/* What becomes of the sectors that were in flight: the drive had done none of them, or the first few, or any
 * subset (it reorders its queue). */
enum loss { LOSS_ALL = 0, LOSS_SUFFIX = 1, LOSS_SUBSET = 2, LOSS_KINDS = 3 };

static void sectors_lose(struct file *f, enum loss loss, struct random *random) {
    if (f->undo_count == 0 && f->size == f->synced_size) return;
    uint64_t bits = random_u64(random);
    size_t kept = loss == LOSS_SUFFIX ? (size_t)random_scale(bits, f->undo_count + 1) : 0;
    for (size_t i = kept; i < f->undo_count; i++) {
        bool survives = loss == LOSS_SUBSET && (random_u64(random) & 1);
        if (!survives) sector_revert(f, &f->undos[i]);
    }
    bool size_lost = loss == LOSS_ALL || (bits & 1);
    if (size_lost && f->size > f->synced_size) {
        f->undo_count = 0;
        memset(f->dirty, 0, f->page_count);
        file_shrink(f, f->synced_size);
    }
}

static void sim_lose_unsynced(struct sim *s) {
    enum loss loss = (enum loss)random_below(&s->random, LOSS_KINDS);
    size_t kept = loss == LOSS_ALL ? 0 : (size_t)random_below(&s->random, s->op_count + 1);
    while (s->op_count > kept) folder_undo(s, &s->ops[--s->op_count]);
    for (size_t i = 0; i < s->file_count; i++) sectors_lose(s->files[i], loss, &s->random);
}

void disk_sim_crash(struct disk *d, qrt_disk_fate fate) {
    struct sim *s = sim_of(d);
    s->fail_after = UINT64_MAX;
    s->aside = 0;
    if (fate == QRT_DISK_UNSYNCED_LOST || fate == QRT_DISK_DAMAGED) sim_lose_unsynced(s);
    if (fate == QRT_DISK_WIPED)
        while (s->file_count) file_free(s->files[--s->file_count]);
    folder_forget(s);
    if (fate == QRT_DISK_DAMAGED) disk_damage(d, &s->random);
    for (size_t i = 0; i < s->file_count; i++) file_sync(s->files[i]); /* what is there now is what there is */
}

void disk_sim_fail_after(struct disk *d, uint64_t operations) {
    sim_of(d)->fail_after = operations;
}

int64_t disk_sim_latency(struct disk *d) {
    int64_t latency = sim_of(d)->latency;
    sim_of(d)->latency = 0;
    return latency;
}

/* ---- fingerprint ------------------------------------------------------------------------- */

static uint64_t page_hash(struct page *p) {
    uint64_t hash = __atomic_load_n(&p->hash, __ATOMIC_RELAXED);
    if (hash) return hash;
    hash = hash_bytes(p->bytes, PAGE, 0);
    __atomic_store_n(&p->hash, hash, __ATOMIC_RELAXED); /* clones on other threads would store the same */
    return hash;
}

static uint64_t file_hash(uint64_t hash, const struct file *f) {
    static const uint8_t zeros[PAGE];
    hash = hash_bytes(f->name, strlen(f->name), hash);
    hash = hash_fold(hash_fold(hash, f->size), f->synced_size);
    for (size_t i = 0; i < f->page_count; i++)
        hash = hash_fold(hash, f->pages[i] ? page_hash(f->pages[i]) : hash_bytes(zeros, PAGE, 0));
    for (size_t i = 0; i < f->undo_count; i++) {
        const struct undo *u = &f->undos[i];
        hash = hash_fold(hash, u->sector);
        hash = hash_bytes(u->blank ? zeros : u->old, SECTOR, hash);
    }
    return hash;
}

uint64_t disk_sim_fingerprint(const struct disk *d) {
    const struct sim *s = (const struct sim *)d;
    uint64_t hash = hash_bytes(s->random.s, sizeof s->random.s, s->file_count);
    if (s->full) hash = hash_fold(hash, s->full);
    for (size_t i = 0; i < s->file_count; i++) hash = file_hash(hash, s->files[i]);
    for (size_t i = 0; i < s->op_count; i++) {
        const struct folder_op *op = &s->ops[i];
        hash = hash_fold(hash, op->kind);
        hash = hash_bytes(op->from, strlen(op->from), hash);
        hash = hash_bytes(op->to, strlen(op->to), hash);
        if (op->displaced) hash = file_hash(hash, op->displaced);
    }
    return hash;
}

static const struct disk_class sim_class = {
    .list = sim_list,
    .create = sim_create,
    .prepare = sim_prepare,
    .room = sim_room,
    .reserve = sim_reserve,
    .fill = sim_fill,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .rename = sim_rename,
    .remove = sim_remove,
    .sync_folder = sim_sync_folder,
    .clone = sim_clone,
    .free = sim_free,
};

struct disk *disk_sim_new(const struct disk_sim_options *options, uint64_t seed, uint64_t node) {
    struct sim *s = mem_zero(1, sizeof *s);
    s->base = (struct disk){.class = &sim_class, .block = SECTOR, .segment = SIM_SEGMENT};
    s->options = *options;
    s->random = random_stream(seed, node, RANDOM_DISK);
    s->fail_after = UINT64_MAX;
    return &s->base;
}
