/* The write-ahead log, the reading half: verifies every file from its head to its end, tells a torn tail from
 * damage as wal.h says, and names what is damaged. Nothing is changed on disk before wal_settle. */
#include <stdlib.h>

#include "store/wal.h"

struct scan { /* of one log file */
    struct wal *w;
    struct bytes file, ids;
    char name[WAL_NAME_SIZE];
    uint64_t number, next_first; /* next_first: the commit that the file after it begins with; 0: there is none */
    uint32_t at;                 /* the offset of the commit being looked at */
};

/* ---- what is damaged --------------------------------------------------------------------- */

static const uint8_t *scan_sector(const struct scan *s, uint32_t sector) {
    return s->file.data + (size_t)sector * SECTOR_SIZE;
}

static uint32_t scan_sectors(const struct scan *s) {
    return s->file.size / SECTOR_SIZE;
}

static enum sector_state scan_check(const struct scan *s, uint32_t sector, struct sector *head) {
    return sector_check(scan_sector(s, sector), head, s->w->seed, sector);
}

static bool scan_entry(const struct scan *s, uint32_t slot, struct entry_id *entry) {
    if ((size_t)slot >= s->ids.size / sizeof *entry) return false;
    memcpy(entry, s->ids.data + (size_t)slot * sizeof *entry, sizeof *entry);
    return entry_sound(entry, s->w->seed, s->number, slot);
}

/* Finds in the directory the record of the commit at s->at that the byte `offset` of the file belongs to. */
static bool scan_identify(const struct scan *s, uint32_t offset, struct entry_id *entry) {
    uint64_t wanted = (uint64_t)(offset - s->at) / SECTOR_SIZE * SECTOR_DATA, end = 0;
    for (uint32_t slot = 0; slot < s->ids.size / sizeof(struct entry_id); slot++) {
        if (!scan_entry(s, slot, entry) || entry->sector != s->at / SECTOR_SIZE) continue;
        end += sizeof(struct record_header) + entry->length;
        if (end > wanted) return true;
    }
    return false;
}

static qrt_status scan_fault(const struct scan *s, uint32_t offset, const char *what, struct error *e) {
    unsigned long long commit = s->w->commit;
    struct entry_id entry;
    s->w->damaged = s->number;
    s->w->damaged_at = s->at;
    if (scan_identify(s, offset, &entry))
        return error_set(e, QRT_ECORRUPT,
                         "%s is damaged at offset %u, in the record of index %llu, term %llu, "
                         "group %u (commit %llu): %s; " STORE_ADVICE,
                         s->name, offset, (unsigned long long)entry.index, (unsigned long long)entry.term, entry.group,
                         commit, what);
    const struct wal *w = s->w;
    unsigned long long last = w->found_count ? w->found[w->found_count - 1].index : 0;
    return error_set(e, QRT_ECORRUPT,
                     "%s is damaged at offset %u, in the first record of commit %llu, which "
                     "follows the record of index %llu: %s; " STORE_ADVICE,
                     s->name, offset, commit, last, what);
}

/* ---- commits ----------------------------------------------------------------------------- */

/* The number of sectors of the commit at s->at if each of them is there and sound, else 0. */
static uint32_t commit_whole(const struct scan *s) {
    struct sector head = {0};
    uint32_t first = s->at / SECTOR_SIZE, count = 0;
    for (uint32_t i = 0; i == 0 || i < count; i++) {
        if (first + i >= scan_sectors(s) || scan_check(s, first + i, &head) != SECTOR_SOUND) return 0;
        if (i == 0) count = head.left;
        if (head.commit != s->w->commit || head.left != count - i || count == 0) return 0;
    }
    return count;
}

static void found_add(struct wal *w, const struct record_header *h, struct bytes payload) {
    w->found = mem_grow(w->found, &w->found_capacity, w->found_count + 1, sizeof *w->found);
    w->found[w->found_count++] = (struct wal_record){h->index, h->term, w->found_bytes.size, payload.size, h->group};
    buffer_append(&w->found_bytes, payload.data, payload.size);
}

/* Notes the record for the directory of the last file, and whether its entry is missing there. */
static void entry_expect(const struct scan *s, const struct record_header *h) {
    struct wal *w = s->w;
    struct entry_id stored, *entry = wal_ids_add(&w->ids);
    uint32_t slot = (uint32_t)w->ids.count - 1;
    *entry = (struct entry_id){h->index, h->term, h->length, h->group, 0, s->at / SECTOR_SIZE, 0};
    entry_seal(entry, w->seed, s->number, slot);
    if (!scan_entry(s, slot, &stored) || stored.check != entry->check) w->unlisted = true;
}

static qrt_status commit_decode(const struct scan *s, uint32_t sectors, struct buffer *stream, struct error *e) {
    struct wal *w = s->w;
    struct record_header header;
    struct bytes payload = {0};
    buffer_clear(stream);
    for (uint32_t i = 0; i < sectors; i++)
        buffer_append(stream, scan_sector(s, s->at / SECTOR_SIZE + i) + SECTOR_HEAD, SECTOR_DATA);
    struct reader in = reader_of(bytes_of(stream->data, stream->size));
    for (;;) {
        uint32_t offset = s->at + (uint32_t)(in.at - stream->data) / SECTOR_DATA * SECTOR_SIZE;
        enum record_fault fault = record_read(&in, &header, &payload, w->seed, w->chain);
        if (fault == RECORD_END) return QRT_OK;
        if (fault != RECORD_SOUND) return scan_fault(s, offset, record_fault_text(fault), e);
        w->chain = header.check;
        found_add(w, &header, payload);
        entry_expect(s, &header);
        wal_file_reach(&w->files[w->file_count - 1], header.group, header.index);
    }
}

/* ---- the end of the log ------------------------------------------------------------------ */

struct tail {        /* what stands behind the last whole commit, in sectors */
    uint32_t end;    /* where the broken commit ends, as far as its sectors tell; else one behind its beginning */
    uint32_t rotten; /* the first rotten sector; UINT32_MAX: none */
    uint32_t dirty;  /* one behind the last sector that is to be blanked; 0: none */
    bool later;      /* there is a sector of a later commit */
};

static struct tail tail_survey(const struct scan *s) {
    uint32_t first = s->at / SECTOR_SIZE;
    struct tail t = {.end = first + 1, .rotten = UINT32_MAX};
    for (uint32_t i = first; i < scan_sectors(s); i++) {
        struct sector head;
        enum sector_state state = scan_check(s, i, &head);
        if (state == SECTOR_BLANK || (state == SECTOR_SOUND && head.commit < s->w->commit)) continue;
        t.dirty = i + 1;
        if (state == SECTOR_ROTTEN) {
            if (t.rotten == UINT32_MAX) t.rotten = i;
        } else if (head.commit > s->w->commit) {
            t.later = true;
        } else if (head.left <= scan_sectors(s) - i && i + head.left > t.end) {
            t.end = i + head.left;
        }
    }
    return t;
}

/* The first sector in [first, end) that is not a sound one of the commit being looked at. */
static uint32_t tail_missing(const struct scan *s, uint32_t first, uint32_t end) {
    struct sector head;
    for (uint32_t i = first; i < end; i++)
        if (scan_check(s, i, &head) != SECTOR_SOUND || head.commit != s->w->commit) return i;
    return first;
}

static bool tail_listed(const struct scan *s) {
    struct entry_id entry;
    for (uint32_t slot = (uint32_t)s->w->ids.count; slot < s->ids.size / sizeof(struct entry_id); slot++)
        if (scan_entry(s, slot, &entry) && entry.sector >= s->at / SECTOR_SIZE) return true;
    return false;
}

/* Decides what a log whose next commit is not whole has suffered; see the table in wal.h. */
static qrt_status scan_tail(const struct scan *s, struct error *e) {
    if (s->next_first == s->w->commit) return QRT_OK;
    uint32_t first = s->at / SECTOR_SIZE;
    if (first >= scan_sectors(s) && !s->next_first) return QRT_OK; /* full to the last sector */
    struct tail t = tail_survey(s);
    uint32_t missing = tail_missing(s, first, t.end) * SECTOR_SIZE;
    if (s->next_first) return scan_fault(s, missing, "a commit that the next file follows is missing or damaged", e);
    if (t.later) return scan_fault(s, missing, "a later commit stands behind it", e);
    if (tail_listed(s)) return scan_fault(s, missing, "the directory says that it was synced", e);
    if (t.rotten < t.end)
        return scan_fault(s, t.rotten * SECTOR_SIZE, "these bytes are no unfinished write, so it may have been synced",
                          e);
    if (t.dirty) {
        s->w->torn_from = s->at;
        s->w->torn_to = t.dirty * SECTOR_SIZE;
    }
    return QRT_OK;
}

/* ---- files ------------------------------------------------------------------------------- */

struct wal_head {
    uint64_t number, first, chain;
    uint32_t size, start;
};

static qrt_status head_read(const struct wal *w, struct bytes file, uint64_t number, struct wal_head *h,
                            struct error *e) {
    char name[WAL_NAME_SIZE];
    struct reader fields;
    wal_file_name(name, "wal-", number);
    qrt_status status = head_open(&fields, file, wal_magic, w->id, name, e);
    if (status) return status;
    h->number = read_u64(&fields);
    h->first = read_u64(&fields);
    h->chain = read_u64(&fields);
    h->size = read_u32(&fields);
    h->start = read_u32(&fields);
    if (h->size != file.size)
        return error_set(e, QRT_ECORRUPT,
                         "%s is %u bytes long and should be %u: it was cut off at offset %u or "
                         "grew; " STORE_ADVICE,
                         name, file.size, h->size, file.size);
    if (h->number != number || h->start < SECTOR_SIZE || h->start > h->size || h->start % SECTOR_SIZE ||
        h->size % SECTOR_SIZE || h->first == 0)
        return error_set(e, QRT_ECORRUPT, "the head of %s is of another file; " STORE_ADVICE, name);
    return QRT_OK;
}

/* The first file that is left begins the chain; every other one continues it. */
static qrt_status head_follows(struct wal *w, const struct wal_head *h, struct error *e) {
    bool begins = w->file_count == 0;
    if (begins && h->number > 1) {
        w->commit = h->first;
        w->chain = h->chain;
    }
    if (h->first == w->commit && h->chain == w->chain) return QRT_OK;
    return error_set(e, QRT_ECORRUPT,
                     "wal-%016llx does not follow the file before it: it begins with commit %llu "
                     "and commit %llu was expected; " STORE_ADVICE,
                     (unsigned long long)h->number, (unsigned long long)h->first, (unsigned long long)w->commit);
}

struct scan_buffers {
    struct buffer now, before, stream, ids;
};

/* A directory that is missing tells nothing, and is made again. */
static qrt_status ids_read(struct wal *w, struct buffer *ids, struct error *e) {
    struct error own;
    buffer_clear(ids);
    qrt_status status = w->disk->class->read(w->disk, w->ids_name, ids, &own);
    w->no_ids = status == QRT_ENOTFOUND;
    return status && !w->no_ids ? error_set(e, status, "%s", own.text) : QRT_OK;
}

static qrt_status scan_file(struct wal *w, uint64_t number, uint64_t next_first, struct scan_buffers *b,
                            struct error *e) {
    struct wal_head head;
    struct bytes file = bytes_of(b->before.data, b->before.size);
    qrt_status status = head_read(w, file, number, &head, e);
    if (!status) status = head_follows(w, &head, e);
    if (status) w->damaged = number;
    if (status) return status;
    struct wal_file *f = wal_file_add(w, number, head.first, head.size);
    status = ids_read(w, &b->ids, e);
    struct scan s = {.w = w, .file = file, .number = number, .next_first = next_first, .at = head.start};
    s.ids = bytes_of(b->ids.data, b->ids.size);
    strcpy(s.name, w->name);
    w->ids.count = 0;
    w->unlisted = false;
    for (uint32_t sectors; !status && (sectors = commit_whole(&s)) != 0;) {
        status = commit_decode(&s, sectors, &b->stream, e);
        if (status) return status;
        f->last = w->commit++;
        s.at += wal_round(w, (size_t)sectors * SECTOR_SIZE);
    }
    w->at = s.at;
    w->slot = (uint32_t)w->ids.count;
    return status ? status : scan_tail(&s, e);
}

/* Reads the file after this one as well, because where this one ends is written in that one's head. */
static qrt_status scan_all(struct wal *w, const uint64_t *numbers, size_t count, struct scan_buffers *b,
                           struct error *e) {
    char name[WAL_NAME_SIZE];
    qrt_status status = QRT_OK;
    for (size_t i = 0; i <= count && !status; i++) {
        struct wal_head head = {0};
        buffer_clear(&b->now);
        if (i < count) {
            wal_file_name(name, "wal-", numbers[i]);
            status = w->disk->class->read(w->disk, name, &b->now, e);
            if (!status) status = head_read(w, bytes_of(b->now.data, b->now.size), numbers[i], &head, e);
            if (!status && i && numbers[i] != numbers[i - 1] + 1)
                status = error_set(e, QRT_ECORRUPT, "the log file before %s is missing; " STORE_ADVICE, name);
            if (status) w->damaged = numbers[i];
        }
        if (!status && i) status = scan_file(w, numbers[i - 1], head.first, b, e);
        struct buffer other = b->before;
        b->before = b->now;
        b->now = other;
    }
    return status;
}

qrt_status wal_scan(struct wal *w, const uint64_t *numbers, size_t count, struct error *e) {
    struct scan_buffers b = {0};
    qrt_status status = scan_all(w, numbers, count, &b, e);
    buffer_free(&b.now);
    buffer_free(&b.before);
    buffer_free(&b.stream);
    buffer_free(&b.ids);
    return status;
}

/* ---- making it ready --------------------------------------------------------------------- */

static qrt_status torn_blank(struct wal *w, struct error *e) {
    if (w->torn_to <= w->torn_from) return QRT_OK;
    uint32_t size = w->torn_to - w->torn_from;
    uint8_t *zeros = mem_zero(1, size);
    qrt_status status = w->disk->class->write(w->disk, w->name, w->torn_from, bytes_of(zeros, size), e);
    free(zeros);
    w->torn_from = w->torn_to = 0;
    return status;
}

/* What was read may stand in the kernel's memory only, so it is synced before anybody builds on it. Stale
 * sectors within a torn commit are blanked with it, which changes nothing. */
qrt_status wal_settle(struct wal *w, struct error *e) {
    const struct disk_class *disk = w->disk->class;
    qrt_status status = torn_blank(w, e);
    if (!status) status = disk->sync(w->disk, w->name, e);
    if (!status) status = disk->sync_folder(w->disk, e);
    if (!status && w->no_ids) status = disk->create(w->disk, w->ids_name, 0, e);
    struct bytes entries = bytes_of(w->ids.at, w->ids.count * sizeof *w->ids.at);
    if (!status && w->unlisted && w->ids.count && wal_ids_room(w, entries.size, &status, e))
        status = disk->write(w->disk, w->ids_name, 0, entries, e);
    w->ids.count = 0;
    return status;
}
