/* Repairing a damaged store as far as one node can: it keeps what is sound, and says what it lost.
 *
 * The rest comes from the peers, through the protocol, which starts with QRT_START_DAMAGED and takes no part before it has
 * caught up (Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018: who repairs without asking
 * the protocol loses data). So only a node that has peers, and whose protocol stands a lost disk, may be repaired;
 * runtime/opening.c decides that.
 *
 * The sound part is one that the store once was: the commits before the damage, and every sound checkpoint. Where a
 * checkpoint covers the damage, or one that the log goes on from is damaged itself, the log goes as a whole.
 *
 * Steps, each durable before the next begins
 *  1. The root says ROOT_DAMAGED, which commit the log will go on with, and what was lost.
 *  2. Spare files go, whose stale commits may have higher numbers than the new ones, and what an earlier repair set aside.
 *  3. The damaged file is copied to damaged-<number>, and a file of its sound commits alone takes its name.
 *  4. The files behind it, in ascending order, and damaged checkpoints become damaged-<number>, damaged-checkpoint-...
 *  5. Where no log file is left, a new one begins.
 *
 * Why no crash in between goes unnoticed: until step 3 (or the first file of step 4) the folder holds all that it held. From
 * then on no opening finds a commit behind the one in the root but those of a log that is whole, because a file is missing
 * or ends before the next one begins; and up to that commit the root marks the store as damaged. This holds too where the
 * damage was one of reading, and is not there the next time. */
#include "store/repair.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/wal.h"

#define ASIDE "damaged-"

struct cut {
    size_t first;          /* the first file that the damage is in, by its place among the numbers */
    uint32_t at;           /* where the sound commits in it end; 0: it goes as a whole */
    uint64_t commit;       /* the first one that is not sound */
    uint64_t covered;      /* the last commit that a sound checkpoint covers; 0: none */
    uint64_t lost[2];      /* the least and the highest index of the lost records; 0: not known */
    bool goes_on;          /* an earlier repair did not come to its end */
    struct buffer aside;   /* names that an earlier repair set aside, each with its zero byte */
    struct buffer spares;  /* likewise, of spare files */
    uint64_t number_above; /* above the numbers of all log files, set aside or not */
};

/* ---- what is sound ----------------------------------------------------------------------- */

static size_t place_of(const struct repair *r, uint64_t number) {
    size_t i = 0;
    while (i < r->count && r->numbers[i] < number) i++;
    return i;
}

/* A file whose head is damaged is found before the one before it was read to its end: that one is looked at then. */
static qrt_status sound_part(const struct repair *r, struct cut *cut, struct error *e) {
    qrt_status status;
    cut->first = r->count;
    do {
        struct wal w;
        wal_init(&w, r->disk, r->id);
        status = wal_scan(&w, r->numbers, cut->first, e);
        cut->commit = w.commit;
        if (status == QRT_ECORRUPT) {
            cut->first = place_of(r, w.damaged);
            cut->at = w.damaged_at;
        }
        wal_free(&w);
    } while (status == QRT_ECORRUPT && !cut->at && cut->first);
    return status == QRT_ECORRUPT ? QRT_OK : status;
}

static qrt_status covered_part(const struct repair *r, struct cut *cut, struct error *e) {
    for (size_t i = 0; i < r->checkpoint_count; i++) {
        struct checkpoint_loaded loaded;
        qrt_status status = checkpoint_read(r->disk, r->id, &r->checkpoints[i], &loaded, e);
        if (status == QRT_ECORRUPT) continue;
        if (status) return status;
        if (loaded.commit > cut->covered) cut->covered = loaded.commit;
        buffer_free(&loaded.meta);
        blob_unref(&loaded.blob);
    }
    return QRT_OK;
}

/* The directories tell which records the files held, as far as they are there themselves. */
static void lost_records(const struct repair *r, struct cut *cut) {
    struct buffer ids = {0};
    struct error ignored;
    for (size_t i = cut->first; i < r->count; i++) {
        char name[WAL_NAME_SIZE];
        struct entry_id entry;
        wal_file_name(name, "ids-", r->numbers[i]);
        buffer_clear(&ids);
        if (r->disk->class->read(r->disk, name, &ids, &ignored)) continue;
        for (uint32_t slot = 0; slot < ids.size / sizeof entry; slot++) {
            memcpy(&entry, ids.data + slot * sizeof entry, sizeof entry);
            if (!entry_sound(&entry, store_seed(r->id), r->numbers[i], slot)) continue;
            if (i == cut->first && entry.sector < cut->at / SECTOR_SIZE) continue;
            if (!cut->lost[0] || entry.index < cut->lost[0]) cut->lost[0] = entry.index;
            if (entry.index > cut->lost[1]) cut->lost[1] = entry.index;
        }
    }
    buffer_free(&ids);
}

static void see_file(void *context, const char *name, uint64_t size) {
    struct cut *cut = context;
    uint64_t number = 0;
    (void)size;
    bool spare = wal_number(name, "spare-", &number) || wal_number(name, "idle-", &number);
    if (strncmp(name, ASIDE, strlen(ASIDE)) == 0) buffer_append(&cut->aside, name, strlen(name) + 1);
    if (spare) buffer_append(&cut->spares, name, strlen(name) + 1);
    bool log = wal_number(name, ASIDE, &number) || wal_number(name, "wal-", &number);
    if ((log || spare) && number >= cut->number_above) cut->number_above = number + 1;
}

static qrt_status cut_find(const struct repair *r, struct cut *cut, struct error *e) {
    cut->number_above = 2; /* a log file of number 1 would say that nothing is missing before it */
    qrt_status status = r->disk->class->list(r->disk, see_file, cut, e);
    if (!status) status = sound_part(r, cut, e);
    if (!status) status = covered_part(r, cut, e);
    if (status) return status;
    cut->goes_on = r->root.begin == ROOT_DAMAGED && (cut->commit <= r->root.commit || !r->count);
    if (r->whole) cut->first = 0;
    lost_records(r, cut);
    if (!r->whole && cut->covered < cut->commit && (cut->first || cut->at)) return QRT_OK;
    cut->first = cut->at = 0;
    if (cut->commit <= cut->covered) cut->commit = cut->covered + 1;
    if (cut->goes_on && cut->commit < r->root.commit) cut->commit = r->root.commit;
    return QRT_OK;
}

/* ---- the mark ---------------------------------------------------------------------------- */

static void root_text(const struct repair *r, const struct cut *cut, char text[STORE_DAMAGE_MAX]) {
    const char *advice = strstr(r->why, "; " STORE_ADVICE);
    int size = advice ? (int)(advice - r->why) : (int)strlen(r->why);
    if (size > STORE_DAMAGE_MAX - 100) size = STORE_DAMAGE_MAX - 100;
    unsigned long long first = cut->lost[0], last = cut->lost[1];
    if (cut->goes_on)
        memcpy(text, r->root.text, STORE_DAMAGE_MAX); /* what it was at first */
    else if (!last)
        snprintf(text, STORE_DAMAGE_MAX, "%.*s; what was lost is taken from the peers", size, r->why);
    else if (first == last)
        snprintf(text, STORE_DAMAGE_MAX, "%.*s; records of index %llu are taken from the peers", size, r->why, first);
    else
        snprintf(text, STORE_DAMAGE_MAX, "%.*s; records of index %llu to %llu are taken from the peers", size, r->why,
                 first, last);
}

static qrt_status mark(const struct repair *r, const struct cut *cut, struct error *e) {
    struct root root = {.begin = ROOT_DAMAGED, .commit = cut->commit, .covered = cut->covered};
    root_text(r, cut, root.text);
    return root_write(r->disk, r->id, &root, e);
}

/* ---- the folder -------------------------------------------------------------------------- */

static qrt_status remove_names(const struct repair *r, const struct buffer *names, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t at = 0; at < names->size && !status; at += strlen((char *)names->data + at) + 1)
        status = r->disk->class->remove(r->disk, (char *)names->data + at, e);
    return status;
}

static qrt_status make_room(const struct repair *r, const struct cut *cut, struct error *e) {
    qrt_status status = remove_names(r, &cut->spares, e);
    if (!status && !cut->goes_on) status = remove_names(r, &cut->aside, e);
    return status ? status : r->disk->class->sync_folder(r->disk, e);
}

static qrt_status file_make(const struct repair *r, const char *name, struct bytes content, uint32_t size,
                            struct error *e) {
    const struct disk_class *disk = r->disk->class;
    qrt_status status = disk->create(r->disk, name, size, e);
    if (!status) status = disk->write(r->disk, name, 0, content, e);
    return status ? status : disk->sync(r->disk, name, e);
}

/* Its directory goes with what is cut off, or entries of lost records would stand for new ones; opening makes it again. */
static qrt_status file_shorten(const struct repair *r, uint64_t number, uint32_t at, struct error *e) {
    const struct disk_class *disk = r->disk->class;
    char name[WAL_NAME_SIZE], ids[WAL_NAME_SIZE], aside[WAL_NAME_SIZE];
    struct buffer file = {0};
    wal_file_name(name, "wal-", number);
    wal_file_name(ids, "ids-", number);
    wal_file_name(aside, ASIDE, number);
    qrt_status status = disk->read(r->disk, name, &file, e);
    uint32_t size = (uint32_t)file.size;
    if (!status) status = file_make(r, aside, bytes_of(file.data, size), size, e);
    if (!status) status = file_make(r, WAL_TEMPORARY, bytes_of(file.data, at), size, e);
    buffer_free(&file);
    if (!status) status = disk->sync_folder(r->disk, e);
    if (!status) status = disk->remove(r->disk, ids, e);
    if (!status || status == QRT_ENOTFOUND) status = disk->rename(r->disk, WAL_TEMPORARY, name, e);
    return status ? status : disk->sync_folder(r->disk, e);
}

static qrt_status set_aside(const struct repair *r, const char *name, const char *aside, struct error *e) {
    qrt_status status = r->disk->class->rename(r->disk, name, aside, e);
    return status ? status : r->disk->class->sync_folder(r->disk, e);
}

static qrt_status files_aside(const struct repair *r, size_t first, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t i = first; i < r->count && !status; i++) {
        char name[WAL_NAME_SIZE], aside[WAL_NAME_SIZE];
        wal_file_name(name, "wal-", r->numbers[i]);
        wal_file_name(aside, ASIDE, r->numbers[i]);
        status = set_aside(r, name, aside, e);
    }
    return status;
}

static qrt_status checkpoints_aside(const struct repair *r, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t i = 0; i < r->checkpoint_count && !status; i++) {
        char name[CHECKPOINT_NAME_SIZE], aside[CHECKPOINT_NAME_SIZE + sizeof ASIDE];
        struct checkpoint_loaded loaded;
        status = checkpoint_read(r->disk, r->id, &r->checkpoints[i], &loaded, e);
        if (!status) {
            buffer_free(&loaded.meta);
            blob_unref(&loaded.blob);
        }
        if (status != QRT_ECORRUPT) continue;
        checkpoint_name(name, &r->checkpoints[i]);
        snprintf(aside, sizeof aside, ASIDE "%s", name);
        status = set_aside(r, name, aside, e);
    }
    return status;
}

static qrt_status log_begin(const struct repair *r, const struct cut *cut, struct error *e) {
    struct wal w;
    wal_init(&w, r->disk, r->id);
    w.commit = cut->commit;
    qrt_status status = wal_create(&w, cut->number_above, e);
    wal_free(&w);
    return status;
}

static qrt_status carry_out(const struct repair *r, struct cut *cut, struct error *e) {
    size_t goes = cut->first;
    qrt_status status = mark(r, cut, e);
    if (!status) status = make_room(r, cut, e);
    if (!status && cut->at) status = file_shorten(r, r->numbers[goes++], cut->at, e);
    if (!status) status = files_aside(r, goes, e);
    if (!status && r->whole) status = checkpoints_aside(r, e);
    return status || goes ? status : log_begin(r, cut, e);
}

qrt_status store_repair(const struct repair *r, struct error *e) {
    struct cut cut = {0};
    qrt_status status = cut_find(r, &cut, e);
    if (!status) status = carry_out(r, &cut, e);
    buffer_free(&cut.aside);
    buffer_free(&cut.spares);
    return status;
}
