/* The write-ahead log, the writing half: gathering records, group commits, new files and old ones; see wal.h.
 * */
#include "store/wal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

enum {
    PENDING_MAX = 1 << 29,
    AHEAD = 4, /* where no spare is there, a new file is begun once this fraction of the last one is written */
    IDS_STEP = 64 * 1024, /* bytes of a directory whose blocks are taken at a time */
};

const char wal_magic[8] = "QRTWAL\0";

/* ---- names and files --------------------------------------------------------------------- */

void wal_file_name(char name[WAL_NAME_SIZE], const char *prefix, uint64_t number) {
    snprintf(name, WAL_NAME_SIZE, "%s%016llx", prefix, (unsigned long long)number);
}

bool wal_number(const char *name, const char *prefix, uint64_t *number) {
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0 || strlen(name) != length + 16) return false;
    *number = 0;
    for (const char *at = name + length; *at; at++) {
        const char *digit = strchr(digits, *at);
        if (!digit) return false;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

struct wal_file *wal_file_add(struct wal *w, uint64_t number, uint64_t first, uint32_t size) {
    w->files = mem_grow(w->files, &w->file_capacity, w->file_count + 1, sizeof *w->files);
    struct wal_file *f = &w->files[w->file_count++];
    *f = (struct wal_file){.number = number, .first = first, .last = first - 1, .size = size};
    wal_file_name(w->name, "wal-", number);
    wal_file_name(w->ids_name, "ids-", number);
    return f;
}

void wal_file_reach(struct wal_file *f, uint16_t group, uint64_t index) {
    for (size_t i = 0; i < f->reach_count; i++) {
        struct wal_reach *r = &f->reach[i];
        if (r->group != group) continue;
        if (index > r->index) r->index = index;
        return;
    }
    f->reach = mem_grow(f->reach, &f->reach_capacity, f->reach_count + 1, sizeof *f->reach);
    f->reach[f->reach_count++] = (struct wal_reach){index, group};
}

void wal_spare(struct wal *w, uint64_t number, uint64_t size) {
    if (size == w->disk->segment && w->spare_count < WAL_SPARES) w->spares[w->spare_count++] = number;
}

/* ---- a new file -------------------------------------------------------------------------- */

static qrt_status head_write(struct wal *w, const char *name, uint64_t number, uint32_t size, struct error *e) {
    uint8_t head[SECTOR_SIZE];
    struct writer fields = head_begin(head, wal_magic, w->id);
    write_u64(&fields, number);
    write_u64(&fields, w->commit);
    write_u64(&fields, w->chain);
    write_u32(&fields, size);
    write_u32(&fields, w->disk->block);
    head_seal(head);
    qrt_status status = w->disk->class->write(w->disk, name, 0, bytes_of(head, sizeof head), e);
    return status ? status : w->disk->class->sync(w->disk, name, e);
}

/* Makes the directory of a new log file: the spare's, whose blocks are there already and whose entries are
 * void by the file's number, or an empty one. */
static qrt_status ids_new(struct wal *w, uint64_t number, uint64_t spare, struct error *e) {
    char name[WAL_NAME_SIZE], idle[WAL_NAME_SIZE];
    qrt_status status = QRT_ENOTFOUND;
    wal_file_name(name, "ids-", number);
    wal_file_name(idle, "idle-", spare);
    if (spare) status = w->disk->class->rename(w->disk, idle, name, e);
    return status == QRT_ENOTFOUND ? w->disk->class->create(w->disk, name, 0, e) : status;
}

/* Makes the file that the next commit begins, from a spare one where it can: writing over blocks that hold
 * something is what preallocation pays for, and a spare has paid already. Its old sectors are stale by their
 * commit numbers. */
static qrt_status file_new(struct wal *w, uint64_t number, size_t commit_bytes, struct error *e) {
    const struct disk_class *disk = w->disk->class;
    char made[WAL_NAME_SIZE] = WAL_TEMPORARY, name[WAL_NAME_SIZE];
    uint32_t size = w->disk->segment;
    if (size < w->disk->block + commit_bytes) size = (uint32_t)(w->disk->block + commit_bytes);
    bool recycles = size == w->disk->segment && w->spare_count;
    uint64_t spare = recycles ? w->spares[--w->spare_count] : 0;
    wal_file_name(name, "wal-", number);
    qrt_status status = ids_new(w, number, spare, e);
    if (recycles)
        wal_file_name(made, "spare-", spare);
    else if (!status)
        status = disk->create(w->disk, made, size, e);
    w->ahead = w->ahead && recycles; /* else it was taken, or made anew */
    if (!status) status = head_write(w, made, number, size, e);
    if (!status) status = disk->rename(w->disk, made, name, e);
    if (!status) status = disk->sync_folder(w->disk, e);
    if (status) return status;
    wal_file_add(w, number, w->commit, size);
    w->at = w->disk->block;
    w->slot = 0;
    w->ids_room = 0;
    w->full = w->full && recycles;
    return QRT_OK;
}

qrt_status wal_create(struct wal *w, uint64_t number, struct error *e) {
    return file_new(w, number, 0, e);
}

struct entry_id *wal_ids_add(struct wal_ids *ids) {
    ids->at = mem_grow(ids->at, &ids->capacity, ids->count + 1, sizeof *ids->at);
    return &ids->at[ids->count++];
}

/* ---- gathering --------------------------------------------------------------------------- */

static void pending_begin_sector(struct wal *w) {
    size_t need = ((size_t)w->sectors + 1) * SECTOR_SIZE;
    CHECK(need <= PENDING_MAX);
    /* Room for the padding up to a whole block too. */
    w->pending = mem_grow(w->pending, &w->pending_capacity, wal_round(w, need), 1);
    w->sectors++;
    w->within = 0;
}

static void pending_put(struct wal *w, const uint8_t *data, size_t size) {
    while (size) {
        if (w->sectors == 0 || w->within == SECTOR_DATA) pending_begin_sector(w);
        size_t part = SECTOR_DATA - w->within;
        if (part > size) part = size;
        memcpy(w->pending + (size_t)(w->sectors - 1) * SECTOR_SIZE + SECTOR_HEAD + w->within, data, part);
        w->within += (uint32_t)part;
        data += part;
        size -= part;
    }
}

void wal_append(struct wal *w, const struct store_record *r) {
    struct record_header header;
    if (w->ids.count == 0) w->pending_chain = w->chain;
    record_seal(&header, r, w->seed, w->chain);
    w->chain = header.check;
    pending_put(w, (const uint8_t *)&header, sizeof header);
    pending_put(w, r->data.data, r->data.size);
    *wal_ids_add(&w->ids) = (struct entry_id){r->index, r->term, r->data.size, r->group, 0, 0, 0};
}

/* ---- committing -------------------------------------------------------------------------- */

/* Blanks the padding and seals every sector for where it will stand. */
static struct bytes pending_seal(struct wal *w) {
    size_t used = (size_t)w->sectors * SECTOR_SIZE, size = wal_round(w, used);
    size_t end = used - SECTOR_DATA + w->within;
    memset(w->pending + end, 0, size - end);
    for (uint32_t i = 0; i < w->sectors; i++) {
        struct sector head = {w->sectors - i, w->commit};
        sector_seal(w->pending + (size_t)i * SECTOR_SIZE, head, w->seed, w->at / SECTOR_SIZE + i);
    }
    return bytes_of(w->pending, size);
}

static qrt_status wal_roll(struct wal *w, size_t bytes, struct error *e) {
    uint64_t chain = w->chain;
    w->chain = w->pending_chain; /* it went on while the records were gathered; the head wants it as it was before */
    qrt_status status = file_new(w, w->files[w->file_count - 1].number + 1, bytes, e);
    w->chain = chain;
    return status;
}

/* The megabytes of a new file are written while commits go on, and not when one of them has no room any more. Where there is
 * no room for it, the log is full; it is asked for again by wal_look. */
static void file_ahead(struct wal *w) {
    const struct disk_class *disk = w->disk->class;
    const struct wal_file *last = &w->files[w->file_count - 1];
    if (!disk->prepare || w->spare_count || (!w->full && w->at < last->size / AHEAD)) return;
    if (!w->ahead) disk->prepare(w->disk, WAL_TEMPORARY, w->disk->segment);
    w->ahead = true;
    enum disk_room room = disk->room ? disk->room(w->disk, WAL_TEMPORARY, w->disk->segment) : DISK_ROOM_UNKNOWN;
    if (room == DISK_ROOM_NONE) w->ahead = false;
    if (room != DISK_ROOM_UNKNOWN) w->full = room == DISK_ROOM_NONE;
}

void wal_look(struct wal *w) {
    w->full = w->full && !w->spare_count;
    file_ahead(w);
}

void wal_fill(struct wal *w, bool full) {
    if (!w->disk->class->fill) return;
    w->disk->class->fill(w->disk, full);
    w->filled = full;
    w->ahead = false;
    wal_look(w);
}

uint64_t wal_reserve(const struct wal *w) {
    return (uint64_t)w->spare_count * w->disk->segment + w->files[w->file_count - 1].size - w->at;
}

qrt_status wal_write(struct wal *w, struct error *e) {
    qrt_status status = wal_sync(w, e); /* one commit is in flight at a time: recovery counts on it */
    if (status || !wal_dirty(w)) return status;
    uint32_t bytes = wal_round(w, (size_t)w->sectors * SECTOR_SIZE);
    if (bytes > w->files[w->file_count - 1].size - w->at) status = wal_roll(w, bytes, e);
    if (!status) status = w->disk->class->write(w->disk, w->name, w->at, pending_seal(w), e);
    if (status) return status;
    struct wal_ids flying = w->flying;
    w->flying = w->ids;
    w->flying_sector = w->at / SECTOR_SIZE;
    w->ids = flying;
    w->ids.count = 0;
    w->files[w->file_count - 1].last = w->commit++;
    w->at += bytes;
    w->sectors = w->within = 0;
    if (!w->full) file_ahead(w);
    return QRT_OK;
}

bool wal_ids_room(struct wal *w, uint64_t end, qrt_status *status, struct error *e) {
    if (end <= w->ids_room || !w->disk->class->reserve) return true;
    uint64_t size = (end + IDS_STEP - 1) / IDS_STEP * IDS_STEP;
    struct error own = {0};
    qrt_status found = w->disk->class->reserve(w->disk, w->ids_name, size, &own);
    if (found == QRT_OK) w->ids_room = size;
    if (found && found != QRT_EFULL) *status = error_set(e, found, "%s", own.text);
    return found == QRT_OK;
}

/* Entries that find no room are left out: their slots stay void, and the next opening writes them. */
static qrt_status ids_write(struct wal *w, struct bytes entries, uint64_t offset, struct error *e) {
    qrt_status status = QRT_OK;
    if (!wal_ids_room(w, offset + entries.size, &status, e)) return status;
    return w->disk->class->write(w->disk, w->ids_name, offset, entries, e);
}

qrt_status wal_sync(struct wal *w, struct error *e) {
    struct wal_ids *ids = &w->flying;
    if (ids->count == 0) return QRT_OK;
    qrt_status status = w->disk->class->sync(w->disk, w->name, e);
    if (status) return status;
    struct wal_file *f = &w->files[w->file_count - 1];
    for (size_t i = 0; i < ids->count; i++) {
        struct entry_id *entry = &ids->at[i];
        entry->sector = w->flying_sector;
        entry_seal(entry, w->seed, f->number, w->slot + (uint32_t)i);
        wal_file_reach(f, entry->group, entry->index);
    }
    uint64_t offset = (uint64_t)w->slot * sizeof(struct entry_id);
    struct bytes entries = bytes_of(ids->at, ids->count * sizeof(struct entry_id));
    w->slot += (uint32_t)ids->count;
    ids->count = 0;
    return ids_write(w, entries, offset, e);
}

/* ---- old files --------------------------------------------------------------------------- */

static bool reach_superseded(const struct wal_file *f, const struct wal_reach *r, const struct wal_floor *floors,
                             size_t count) {
    for (size_t i = 0; i < count; i++)
        if (floors[i].group == r->group) return r->index <= floors[i].index && f->last <= floors[i].commit;
    return false;
}

static bool file_superseded(const struct wal_file *f, const struct wal_floor *floors, size_t count) {
    for (size_t i = 0; i < f->reach_count; i++)
        if (!reach_superseded(f, &f->reach[i], floors, count)) return false;
    return true;
}

static qrt_status file_retire(struct wal *w, const struct wal_file *f, struct error *e) {
    char name[WAL_NAME_SIZE], ids_name[WAL_NAME_SIZE], spare[WAL_NAME_SIZE], idle[WAL_NAME_SIZE];
    bool keep = f->size == w->disk->segment && w->spare_count < WAL_SPARES;
    wal_file_name(name, "wal-", f->number);
    wal_file_name(ids_name, "ids-", f->number);
    wal_file_name(spare, "spare-", f->number);
    wal_file_name(idle, "idle-", f->number);
    qrt_status status =
        keep ? w->disk->class->rename(w->disk, ids_name, idle, e) : w->disk->class->remove(w->disk, ids_name, e);
    if (status && status != QRT_ENOTFOUND) return status;
    status = keep ? w->disk->class->rename(w->disk, name, spare, e) : w->disk->class->remove(w->disk, name, e);
    if (!status && keep) w->spares[w->spare_count++] = f->number;
    return status;
}

qrt_status wal_trim(struct wal *w, const struct wal_floor *floors, size_t count, struct error *e) {
    size_t gone = 0;
    qrt_status status = QRT_OK;
    while (!status && gone + 1 < w->file_count && file_superseded(&w->files[gone], floors, count)) {
        status = file_retire(w, &w->files[gone], e);
        free(w->files[gone++].reach);
    }
    if (!gone) return QRT_OK;
    w->file_count -= gone;
    memmove(w->files, w->files + gone, w->file_count * sizeof *w->files);
    wal_look(w);
    /* A spare may be written over only once its old name cannot come back. */
    return status ? status : w->disk->class->sync_folder(w->disk, e);
}

/* ---- life -------------------------------------------------------------------------------- */

void wal_init(struct wal *w, struct disk *disk, struct store_identity id) {
    *w = (struct wal){.disk = disk, .id = id, .seed = store_seed(id), .commit = 1};
    w->chain = w->seed;
}

void wal_forget(struct wal *w) {
    free(w->found);
    w->found = NULL;
    w->found_count = w->found_capacity = 0;
    buffer_free(&w->found_bytes);
}

void wal_free(struct wal *w) {
    for (size_t i = 0; i < w->file_count; i++) free(w->files[i].reach);
    free(w->files);
    free(w->pending);
    free(w->ids.at);
    free(w->flying.at);
    wal_forget(w);
}

static void ids_clone(struct wal_ids *to, const struct wal_ids *from) {
    to->at = mem_copy(from->at, from->count * sizeof *from->at);
    to->count = to->capacity = from->count;
}

void wal_clone(struct wal *to, const struct wal *from, struct disk *disk) {
    *to = *from;
    to->disk = disk;
    to->files = mem_copy(from->files, from->file_count * sizeof *from->files);
    to->file_capacity = from->file_count;
    for (size_t i = 0; i < to->file_count; i++) {
        struct wal_file *f = &to->files[i];
        f->reach = mem_copy(f->reach, f->reach_count * sizeof *f->reach);
        f->reach_capacity = f->reach_count;
    }
    to->pending_capacity = wal_round(from, (size_t)from->sectors * SECTOR_SIZE);
    to->pending = mem_copy(from->pending, to->pending_capacity);
    ids_clone(&to->ids, &from->ids);
    ids_clone(&to->flying, &from->flying);
    to->found = mem_copy(from->found, from->found_count * sizeof *from->found);
    to->found_capacity = from->found_count;
    to->found_bytes = (struct buffer){0};
    buffer_append(&to->found_bytes, from->found_bytes.data, from->found_bytes.size);
}

uint64_t wal_fingerprint(const struct wal *w) {
    uint64_t hash = hash_fold(hash_fold(w->seed, w->commit), w->chain);
    hash = hash_fold(hash_fold(hash, w->at), w->slot);
    hash = hash_fold(hash_fold(hash, w->sectors), w->within);
    return hash_fold(hash_fold(hash, w->ids.count), w->flying.count); /* the chain covers what the records hold */
}
