/* The store of one node: root, log and checkpoints in one folder; see store.h.
 *
 *   root                what this folder is: cluster, node, how it began
 *   wal-<number>        the log (wal.h)
 *   ids-<number>        its records' identities
 *   spare-, idle-...    superseded ones of either kind, that will be written over
 *   checkpoint-...      at most two a group are kept (checkpoint.h)
 *   *.new               unfinished; removed at opening
 *   damaged-...         set aside by the last repair (repair.c), for people
 *
 * Invariants
 *  1. The root is made last: a folder without one was never a store, unless somebody removed it.
 *  2. Before a log file goes, two checkpoints of each group in it supersede its records (or one that stands
 *     alone), so that one damaged checkpoint costs nothing.
 *  3. After a failed write or sync nothing more is written. That a checkpoint finds no room is no failure: its room is taken
 *     before anything of it is written. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "store/checkpoint.h"
#include "store/repair.h"
#include "store/root.h"
#include "store/wal.h"

enum { REPAIRS_MAX = 8 }; /* each sets something aside: a log file and what follows, checkpoints, what is left */

struct saving { /* a checkpoint that the disk's thread writes */
    bool under_way, goes;
    struct checkpoint_file gone; /* where it goes: one that the thread removes behind it */
    struct store_identity id;
    struct store_checkpoint checkpoint; /* the store's own reference to its blob; its meta is below */
    uint64_t commit;
    struct buffer meta, front;
    struct store_saver saver;
};

struct store {
    struct disk *disk; /* NULL: a memory store, which keeps nothing */
    struct store_identity id;
    struct root root;
    struct wal wal;
    struct checkpoint_file *checkpoints; /* by group, then index, ascending */
    size_t checkpoint_count, checkpoint_capacity;
    struct checkpoint_loaded *loaded; /* until recovery: the newest sound one of each group, ascending */
    size_t loaded_count, loaded_capacity;
    struct saving saving;
    bool memory_dirty;
    uint64_t skipped;                                                 /* checkpoints that found no room */
    void (*give)(void *context, const struct store_visitor *visitor); /* a memory store's recovery; NULL: nothing */
    void *give_context;
    struct error failed; /* what stopped it; QRT_OK: nothing */
};

static qrt_status store_usable(const struct store *s, struct error *e) {
    if (__builtin_expect(s->failed.status == QRT_OK, 1)) return QRT_OK;
    return error_set(e, s->failed.status, "the store has stopped: %.400s", s->failed.text);
}

static qrt_status store_fail(struct store *s, qrt_status status, const struct error *e) {
    s->failed = *e;
    s->failed.status = status;
    return status;
}

/* ---- the folder -------------------------------------------------------------------------- */

struct folder {
    struct store *s;
    uint64_t *numbers; /* of log files, ascending */
    size_t count, capacity;
    uint64_t *ids;
    size_t ids_count, ids_capacity;
    bool root;
    bool leftovers[3];
    bool loading, scanned; /* how far the opening came: the root was read; the log was */
};

static const char *const leftover_names[3] = {ROOT_TEMPORARY, WAL_TEMPORARY, CHECKPOINT_TEMPORARY};

static void folder_see(void *context, const char *name, uint64_t size) {
    struct folder *f = context;
    struct store *s = f->s;
    uint64_t number;
    struct checkpoint_file checkpoint;
    if (strcmp(name, ROOT) == 0) {
        f->root = true;
    } else if (wal_number(name, "wal-", &number)) {
        f->numbers = mem_grow(f->numbers, &f->capacity, f->count + 1, sizeof *f->numbers);
        f->numbers[f->count++] = number;
    } else if (wal_number(name, "ids-", &number)) {
        f->ids = mem_grow(f->ids, &f->ids_capacity, f->ids_count + 1, sizeof *f->ids);
        f->ids[f->ids_count++] = number;
    } else if (wal_number(name, "spare-", &number)) {
        wal_spare(&s->wal, number, size);
    } else if (checkpoint_parse(name, &checkpoint)) {
        s->checkpoints =
            mem_grow(s->checkpoints, &s->checkpoint_capacity, s->checkpoint_count + 1, sizeof *s->checkpoints);
        s->checkpoints[s->checkpoint_count++] = checkpoint;
    }
    for (int i = 0; i < 3; i++)
        if (strcmp(name, leftover_names[i]) == 0) f->leftovers[i] = true;
}

static bool folder_has_log(const struct folder *f, uint64_t number) {
    for (size_t i = 0; i < f->count; i++)
        if (f->numbers[i] == number) return true;
    return false;
}

/* What crashes left behind: unfinished files, and directories whose log file never came or has gone. */
static qrt_status leftovers_remove(struct store *s, const struct folder *f, struct error *e) {
    qrt_status status = QRT_OK;
    for (int i = 0; i < 3 && !status; i++)
        if (f->leftovers[i]) status = s->disk->class->remove(s->disk, leftover_names[i], e);
    for (size_t i = 0; i < f->ids_count && !status; i++) {
        char name[WAL_NAME_SIZE];
        wal_file_name(name, "ids-", f->ids[i]);
        if (!folder_has_log(f, f->ids[i])) status = s->disk->class->remove(s->disk, name, e);
    }
    return status;
}

/* ---- checkpoints at opening -------------------------------------------------------------- */

static struct checkpoint_loaded *loaded_add(struct store *s) {
    s->loaded = mem_grow(s->loaded, &s->loaded_capacity, s->loaded_count + 1, sizeof *s->loaded);
    return &s->loaded[s->loaded_count++];
}

/* Loads the newest sound checkpoint of the group whose files are [first, end). A damaged one is passed over
 * only if an older one and the log, or the log alone, say the same. */
static qrt_status group_load(struct store *s, size_t first, size_t end, struct error *e) {
    struct error why = {0}, newest = {0};
    for (size_t i = end; i-- > first;) {
        struct checkpoint_loaded loaded;
        struct checkpoint_file *f = &s->checkpoints[i];
        qrt_status status = checkpoint_read(s->disk, s->id, f, &loaded, &why);
        if (status == QRT_OK) {
            f->commit = loaded.commit;
            *loaded_add(s) = loaded;
            return QRT_OK;
        }
        if (status != QRT_ECORRUPT || !f->from_log) return error_set(e, status, "%s", why.text);
        f->damaged = true;
        if (newest.status == QRT_OK) newest = why;
    }
    if (end - first == 1 && s->wal.files[0].number == 1) return QRT_OK;
    return error_set(e, QRT_ECORRUPT, "%s", newest.text);
}

/* What an older checkpoint covers is needed for removing log files; a damaged one covers nothing. */
static void older_note(struct store *s, struct checkpoint_file *f) {
    struct checkpoint_loaded loaded;
    struct error ignored;
    if (f->commit || f->damaged) return;
    f->damaged = checkpoint_read(s->disk, s->id, f, &loaded, &ignored) != QRT_OK;
    if (f->damaged) return;
    f->commit = loaded.commit;
    buffer_free(&loaded.meta);
    blob_unref(&loaded.blob);
}

/* Log files go only when a checkpoint covers them, so what is left begins no later than behind one. */
static qrt_status log_reaches_back(const struct store *s, struct error *e) {
    const struct wal_file *oldest = &s->wal.files[0];
    uint64_t covered = 0;
    if (oldest->number == 1) return QRT_OK;
    for (size_t i = 0; i < s->loaded_count; i++)
        if (s->loaded[i].commit > covered) covered = s->loaded[i].commit;
    if (s->loaded_count && oldest->first <= covered + 1) return QRT_OK;
    /* A repair began it behind what was lost, on what was then the newest checkpoint. */
    if (s->root.begin == ROOT_DAMAGED && oldest->first == s->root.commit && covered >= s->root.covered) return QRT_OK;
    return error_set(e, QRT_ECORRUPT,
                     "the log files before wal-%016llx are missing, and no checkpoint covers them; " STORE_ADVICE,
                     (unsigned long long)oldest->number);
}

static qrt_status checkpoints_load(struct store *s, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t first = 0, end; first < s->checkpoint_count && !status; first = end) {
        for (end = first + 1; end < s->checkpoint_count; end++)
            if (s->checkpoints[end].group != s->checkpoints[first].group) break;
        status = group_load(s, first, end, e);
        if (end - first > 1) older_note(s, &s->checkpoints[end - 2]);
    }
    return status ? status : log_reaches_back(s, e);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Without a root: nothing yet, or the first log file of a start that did not come to its end. */
static qrt_status folder_empty(struct store *s, const struct folder *f, bool *empty, struct error *e) {
    *empty = f->count == 0 && s->checkpoint_count == 0;
    if (*empty) return QRT_OK;
    bool first_only = f->count == 1 && f->numbers[0] == 1 && s->checkpoint_count == 0;
    if (first_only) {
        qrt_status status = wal_scan(&s->wal, f->numbers, f->count, e);
        if (status) return status;
        *empty = s->wal.commit == 1;
        if (*empty) return QRT_OK;
    }
    return error_set(e, QRT_ECORRUPT, "the file root is missing beside a log and checkpoints; " STORE_ADVICE);
}

static qrt_status store_begin(struct store *s, const struct folder *f, enum root_begin begin, struct error *e) {
    struct disk *disk = s->disk;
    wal_free(&s->wal);
    wal_init(&s->wal, disk, s->id);
    qrt_status status = leftovers_remove(s, f, e);
    if (!status) status = wal_create(&s->wal, 1, e);
    s->root = (struct root){.begin = begin};
    return status ? status : root_write(disk, s->id, &s->root, e);
}

static qrt_status store_load(struct store *s, struct folder *f, bool *wiped, struct error *e) {
    qrt_status status = root_read(s->disk, s->id, &s->root, e);
    f->loading = !status;
    if (!status && f->count == 0) status = error_set(e, QRT_ECORRUPT, "the log files are missing; " STORE_ADVICE);
    if (!status) status = wal_scan(&s->wal, f->numbers, f->count, e);
    f->scanned = !status;
    if (!status) status = checkpoints_load(s, e);
    if (!status) status = leftovers_remove(s, f, e);
    if (!status) status = wal_settle(&s->wal, e);
    *wiped = s->root.begin == ROOT_WIPED && s->wal.found_count == 0 && s->checkpoint_count == 0;
    return status;
}

static qrt_status store_enter(struct store *s, struct folder *f, bool format, bool *wiped, struct error *e) {
    if (f->root && format)
        return error_set(e, QRT_EINVAL,
                         "the data folder already holds a store: start the node without format, or "
                         "format an empty folder");
    if (f->root) return store_load(s, f, wiped, e);
    bool empty = false;
    qrt_status status = folder_empty(s, f, &empty, e);
    if (status) return status;
    *wiped = !format;
    return store_begin(s, f, format ? ROOT_FORMATTED : ROOT_WIPED, e);
}

static struct store *store_new(struct disk *disk, struct store_identity identity) {
    struct store *s = mem_zero(1, sizeof *s);
    s->disk = disk;
    s->id = identity;
    wal_init(&s->wal, disk, identity);
    return s;
}

static void folder_free(struct folder *f) {
    free(f->numbers);
    free(f->ids);
}

/* Nothing behind the damage is durable yet, so the protocol's own mark is not. */
static bool store_marked(const struct store *s) {
    return s->root.begin == ROOT_DAMAGED && s->wal.commit <= s->root.commit;
}

qrt_status store_open(struct store **out, struct disk *disk, struct store_identity identity, bool format, bool *wiped,
                      struct error *e) {
    struct store *s = store_new(disk, identity);
    struct folder f = {.s = s};
    *wiped = false;
    qrt_status status = disk->class->list(disk, folder_see, &f, e);
    if (!status) status = store_enter(s, &f, format, wiped, e);
    if (!status) *wiped = *wiped || store_marked(s); /* who does not ask is told the more careful thing */
    folder_free(&f);
    if (status) store_free(&s);
    *out = s;
    return status;
}

/* One try; what is damaged is repaired for the next one. *again: it was. */
static qrt_status store_try(struct store *s, bool *wiped, bool *again, struct error *e) {
    struct folder f = {.s = s};
    struct error why = {0};
    *again = *wiped = false;
    qrt_status status = s->disk->class->list(s->disk, folder_see, &f, &why);
    if (!status) status = store_enter(s, &f, false, wiped, &why);
    if (status == QRT_ECORRUPT && f.loading) {
        struct repair r = {s->disk,   s->id,   s->root, f.numbers, f.count, s->checkpoints, s->checkpoint_count,
                           f.scanned, why.text};
        status = store_repair(&r, e);
        *again = !status;
    } else if (status) {
        error_set(e, status, "%s", why.text);
    }
    folder_free(&f);
    return status;
}

qrt_status store_open_repaired(struct store **out, struct disk *disk, struct store_identity identity, bool *wiped,
                               bool *damaged, struct error *e) {
    qrt_status status = QRT_ECORRUPT;
    bool again = true;
    *out = NULL;
    *damaged = false;
    for (int tries = 0; again && tries < REPAIRS_MAX; tries++) {
        if (*out) store_release(out);
        *out = store_new(disk, identity);
        status = store_try(*out, wiped, &again, e);
    }
    if (!status && again) status = error_set(e, QRT_ECORRUPT, "the folder is damaged anew as often as it is repaired");
    if (status)
        store_free(out);
    else
        *damaged = store_marked(*out);
    return status;
}

const char *store_damage(const struct store *s) {
    return s->root.begin == ROOT_DAMAGED ? s->root.text : "";
}

/* ---- recovery ---------------------------------------------------------------------------- */

static void records_visit(const struct store *s, uint16_t group, const struct store_visitor *visitor) {
    const struct wal *w = &s->wal;
    for (size_t i = 0; i < w->found_count; i++) {
        const struct wal_record *f = &w->found[i];
        if (f->group != group) continue;
        struct store_record r = {group, f->index, f->term, bytes_of(w->found_bytes.data + f->offset, f->size)};
        visitor->record(visitor->context, &r);
    }
}

static void checkpoint_visit(const struct checkpoint_loaded *l, const struct store_visitor *visitor) {
    struct store_checkpoint c = {.group = l->group,
                                 .index = l->index,
                                 .term = l->term,
                                 .meta = bytes_of(l->meta.data, l->meta.size),
                                 .blob = l->blob};
    visitor->checkpoint(visitor->context, &c);
}

/* The least group above `above` that has a checkpoint or a record; false when there is none. */
static bool group_next(const struct store *s, int32_t above, int32_t *group) {
    int32_t least = INT32_MAX;
    for (size_t i = 0; i < s->loaded_count; i++)
        if (s->loaded[i].group > above && s->loaded[i].group < least) least = s->loaded[i].group;
    for (size_t i = 0; i < s->wal.found_count; i++)
        if (s->wal.found[i].group > above && s->wal.found[i].group < least) least = s->wal.found[i].group;
    *group = least;
    return least != INT32_MAX;
}

static void loaded_free(struct store *s) {
    for (size_t i = 0; i < s->loaded_count; i++) {
        buffer_free(&s->loaded[i].meta);
        blob_unref(&s->loaded[i].blob);
    }
    free(s->loaded);
    s->loaded = NULL;
    s->loaded_count = s->loaded_capacity = 0;
}

qrt_status store_recover(struct store *s, const struct store_visitor *visitor, struct error *e) {
    qrt_status status = store_usable(s, e);
    if (s->give) s->give(s->give_context, visitor);
    if (status || !s->disk) return status;
    for (int32_t group = -1; group_next(s, group, &group);) {
        for (size_t i = 0; i < s->loaded_count; i++)
            if (s->loaded[i].group == group) checkpoint_visit(&s->loaded[i], visitor);
        records_visit(s, (uint16_t)group, visitor);
    }
    loaded_free(s);
    wal_forget(&s->wal);
    return QRT_OK;
}

/* ---- appending --------------------------------------------------------------------------- */

void store_append(struct store *s, const struct store_record *r) {
    if (!s->disk)
        s->memory_dirty = true;
    else if (s->failed.status == QRT_OK)
        wal_append(&s->wal, r);
}

bool store_dirty(const struct store *s) {
    return s->disk ? wal_dirty(&s->wal) : s->memory_dirty;
}

bool store_stopped(const struct store *s) {
    return s->failed.status != QRT_OK;
}

/* The error is kept for later calls even where the caller wants none. */
static qrt_status store_run(struct store *s, qrt_status (*step)(struct wal *, struct error *), struct error *e) {
    struct error own;
    if (!s->disk) {
        s->memory_dirty = false;
        return QRT_OK;
    }
    qrt_status status = store_usable(s, e);
    if (status) return status;
    if (!e) e = &own;
    status = step(&s->wal, e);
    return __builtin_expect(status == QRT_OK, 1) ? QRT_OK : store_fail(s, status, e);
}

qrt_status store_write(struct store *s, struct error *e) {
    return store_run(s, wal_write, e);
}

qrt_status store_sync(struct store *s, struct error *e) {
    return store_run(s, wal_sync, e);
}

qrt_status store_flush(struct store *s, struct error *e) {
    qrt_status status = store_write(s, e);
    return status ? status : store_sync(s, e);
}

/* ---- checkpoints ------------------------------------------------------------------------- */

static qrt_status checkpoint_remove(struct store *s, size_t i, struct error *e) {
    char name[CHECKPOINT_NAME_SIZE];
    checkpoint_name(name, &s->checkpoints[i]);
    memmove(s->checkpoints + i, s->checkpoints + i + 1, (--s->checkpoint_count - i) * sizeof *s->checkpoints);
    return s->disk->class->remove(s->disk, name, e);
}

/* Where a checkpoint belongs in the list; *present: one of that group and index is there. */
static size_t checkpoint_place(const struct store *s, uint16_t group, uint64_t index, bool *present) {
    size_t i = 0;
    while (i < s->checkpoint_count) {
        const struct checkpoint_file *f = &s->checkpoints[i];
        if (f->group > group || (f->group == group && f->index >= index)) break;
        i++;
    }
    *present = i < s->checkpoint_count && s->checkpoints[i].group == group && s->checkpoints[i].index == index;
    return i;
}

static qrt_status checkpoint_enter(struct store *s, const struct store_checkpoint *c, uint64_t commit,
                                   struct error *e) {
    bool present;
    size_t i = checkpoint_place(s, c->group, c->index, &present);
    struct checkpoint_file f = {c->index, commit, c->group, c->from_log, false};
    if (present && s->checkpoints[i].from_log != c->from_log) {
        qrt_status status = checkpoint_remove(s, i, e);
        if (status) return status;
        present = false;
    }
    if (!present) {
        s->checkpoints =
            mem_grow(s->checkpoints, &s->checkpoint_capacity, s->checkpoint_count + 1, sizeof *s->checkpoints);
        memmove(s->checkpoints + i + 1, s->checkpoints + i, (s->checkpoint_count++ - i) * sizeof *s->checkpoints);
    }
    s->checkpoints[i] = f;
    return QRT_OK;
}

static bool checkpoint_last_of_group(const struct store *s, size_t i) {
    return i + 1 == s->checkpoint_count || s->checkpoints[i + 1].group != s->checkpoints[i].group;
}

/* Removes log files that the checkpoint before a group's newest supersedes, or the newest where it stands
 * alone. */
static qrt_status log_trim(struct store *s, struct error *e) {
    struct wal_floor *floors = mem_alloc(s->checkpoint_count * sizeof *floors);
    size_t count = 0;
    for (size_t i = 0; i < s->checkpoint_count; i++) {
        const struct checkpoint_file *f = &s->checkpoints[i];
        if (!checkpoint_last_of_group(s, i)) continue;
        if (f->from_log) {
            if (i == 0 || s->checkpoints[i - 1].group != f->group) continue;
            f--;
        }
        if (f->damaged) continue;
        floors[count++] = (struct wal_floor){f->index, f->commit, f->group};
    }
    qrt_status status = count ? wal_trim(&s->wal, floors, count, e) : QRT_OK;
    free(floors);
    return status;
}

static qrt_status checkpoints_trim(struct store *s, uint16_t group, struct error *e) {
    qrt_status status = QRT_OK;
    for (size_t i = s->checkpoint_count, kept = 0; i-- > 0 && !status;) {
        const struct checkpoint_file *f = &s->checkpoints[i];
        if (f->group == group && (f->damaged || ++kept > 2)) status = checkpoint_remove(s, i, e);
    }
    return status;
}

/* The log says what it would have said, and none of it goes before two checkpoints are there (invariant 2). */
static qrt_status checkpoint_skip(struct store *s, struct error *e) {
    s->skipped++;
    qrt_status status = s->disk->class->remove(s->disk, CHECKPOINT_TEMPORARY, e);
    return status == QRT_ENOTFOUND ? QRT_OK : status;
}

/* What has become of a checkpoint: behind a durable one goes what it supersedes. */
static qrt_status checkpoint_done(struct store *s, const struct store_checkpoint *c, uint64_t commit,
                                  qrt_status written, struct error *e) {
    if (written == QRT_EFULL && c->from_log) return checkpoint_skip(s, e);
    if (written) return written;
    qrt_status status = checkpoint_enter(s, c, commit, e);
    if (!status) status = checkpoints_trim(s, c->group, e);
    return status ? status : log_trim(s, e);
}

static qrt_status checkpoint_save(struct store *s, const struct store_checkpoint *c, struct error *e) {
    uint64_t commit = s->wal.commit - 1;
    return checkpoint_done(s, c, commit, checkpoint_write(s->disk, s->id, c, commit, e), e);
}

/* What a checkpoint follows from is durable before it is begun. */
static qrt_status save_prepare(struct store *s, struct error *e) {
    qrt_status status = store_save_end(s, NULL, e);
    return status ? status : store_flush(s, e);
}

qrt_status store_save(struct store *s, const struct store_checkpoint *c, struct error *e) {
    struct error own;
    qrt_status status = save_prepare(s, e);
    if (status || !s->disk) return status;
    if (!e) e = &own;
    status = checkpoint_save(s, c, e);
    return status ? store_fail(s, status, e) : QRT_OK;
}

/* ---- checkpoints, on a thread ------------------------------------------------------------ */

static void saving_clear(struct saving *w) {
    blob_unref(&w->checkpoint.blob);
    buffer_free(&w->meta);
    buffer_free(&w->front);
    w->under_way = w->goes = false;
}

static void saving_take(struct saving *w) {
    if (w->saver.take) w->checkpoint.blob = w->saver.take(w->saver.taking);
}

/* On the disk's thread. */
static void saving_fill(void *saving, struct bytes parts[DISK_PARTS]) {
    struct saving *w = saving;
    saving_take(w);
    checkpoint_front(&w->front, w->id, &w->checkpoint, w->commit);
    parts[0] = bytes_of(w->front.data, w->front.size);
    parts[1] = blob_bytes(w->checkpoint.blob);
}

static void saving_ended(void *saving) {
    const struct store_saver *saver = &((const struct saving *)saving)->saver;
    if (saver->ended) saver->ended(saver->context);
}

/* The one that is left over once c, the newest of its group, is there: a large file that takes long to remove. */
static void saving_supersede(struct saving *w, const struct store *s, const struct store_checkpoint *c) {
    size_t kept = 1;
    for (size_t i = s->checkpoint_count; i-- > 0 && !w->goes;) {
        const struct checkpoint_file *f = &s->checkpoints[i];
        if (f->group != c->group) continue;
        if (f->index >= c->index) return;
        w->gone = *f;
        w->goes = f->damaged || ++kept > 2;
    }
}

static void saving_init(struct saving *w, const struct store *s, const struct store_checkpoint *c,
                        const struct store_saver *saver) {
    w->id = s->id;
    w->commit = s->wal.commit - 1;
    w->saver = *saver;
    buffer_append(&w->meta, c->meta.data, c->meta.size);
    w->checkpoint = *c;
    w->checkpoint.meta = bytes_of(w->meta.data, w->meta.size);
    w->checkpoint.blob = saver->take ? NULL : blob_ref(c->blob);
    saving_supersede(w, s, c);
}

static qrt_status saving_begin(struct saving *w, struct disk *disk, struct error *e) {
    const struct store_checkpoint *c = &w->checkpoint;
    struct checkpoint_file f = {.index = c->index, .group = c->group, .from_log = c->from_log};
    char name[CHECKPOINT_NAME_SIZE], gone[CHECKPOINT_NAME_SIZE];
    checkpoint_name(name, &f);
    checkpoint_name(gone, &w->gone);
    struct disk_file file = {.made = CHECKPOINT_TEMPORARY,
                             .name = name,
                             .gone = w->goes ? gone : NULL,
                             .fill = saving_fill,
                             .ended = saving_ended,
                             .context = w};
    return disk->class->save(disk, &file, e);
}

bool store_saves_apart(const struct store *s) {
    return s->disk && s->disk->class->save;
}

qrt_status store_save_begin(struct store *s, const struct store_checkpoint *c, const struct store_saver *saver,
                            struct blob **blob, struct error *e) {
    struct saving *w = &s->saving;
    struct error own;
    CHECK(store_saves_apart(s) || !saver->take);
    if (!store_saves_apart(s)) return store_save(s, c, e);
    if (!e) e = &own;
    qrt_status status = save_prepare(s, e);
    saving_init(w, s, c, saver);
    if (!status) {
        status = saving_begin(w, s->disk, e);
        w->under_way = status == QRT_OK;
        if (w->under_way) return QRT_OK;
        status = checkpoint_done(s, c, w->commit, status, e);
    }
    saving_take(w); /* as it was promised */
    if (blob && !status) *blob = blob_ref(w->checkpoint.blob);
    saving_clear(w);
    return status && !store_stopped(s) ? store_fail(s, status, e) : status;
}

bool store_saving(const struct store *s) {
    return s->saving.under_way;
}

bool store_saved(const struct store *s) {
    return s->saving.under_way && s->disk->class->saved(s->disk);
}

/* The disk's thread has removed it. */
static void checkpoint_forget(struct store *s, const struct checkpoint_file *gone) {
    bool present;
    size_t i = checkpoint_place(s, gone->group, gone->index, &present);
    if (!present) return;
    memmove(s->checkpoints + i, s->checkpoints + i + 1, (--s->checkpoint_count - i) * sizeof *s->checkpoints);
}

qrt_status store_save_end(struct store *s, struct blob **blob, struct error *e) {
    struct saving *w = &s->saving;
    struct error own;
    if (!w->under_way) return store_usable(s, e);
    if (!e) e = &own;
    qrt_status written = s->disk->class->save_end(s->disk, true, e), status = store_usable(s, e);
    if (!written && w->goes) checkpoint_forget(s, &w->gone);
    if (!status) status = checkpoint_done(s, &w->checkpoint, w->commit, written, e);
    if (blob) *blob = blob_ref(w->checkpoint.blob);
    saving_clear(w);
    return status && !store_stopped(s) ? store_fail(s, status, e) : status;
}

/* It is left to the next opening to find what it has come to. */
static void saving_abandon(struct store *s) {
    struct error ignored;
    if (s->saving.under_way) s->disk->class->save_end(s->disk, false, &ignored);
    saving_clear(&s->saving);
}

/* ---- life -------------------------------------------------------------------------------- */

struct store *store_memory_new(void) {
    return mem_zero(1, sizeof(struct store));
}

struct store *store_given_new(void (*give)(void *context, const struct store_visitor *visitor), void *context) {
    struct store *s = store_memory_new();
    s->give = give;
    s->give_context = context;
    return s;
}

bool store_full(const struct store *s) {
    return s->disk && (s->wal.full || s->wal.filled);
}

void store_look(struct store *s) {
    if (s->disk && s->failed.status == QRT_OK) wal_look(&s->wal);
}

void store_fill(struct store *s, bool full) {
    if (s->disk) wal_fill(&s->wal, full);
}

uint64_t store_reserve(const struct store *s) {
    return s->disk ? wal_reserve(&s->wal) : 0;
}

uint64_t store_skipped(const struct store *s) {
    return s->skipped;
}

struct disk *store_disk(struct store *s) {
    return s->disk;
}

struct store *store_clone(const struct store *from) {
    struct store *s = mem_copy(from, sizeof *from);
    if (!from->disk) return s;
    s->disk = from->disk->class->clone(from->disk);
    CHECK(s->disk && !from->saving.under_way); /* only simulated clusters are forked */
    wal_clone(&s->wal, &from->wal, s->disk);
    s->checkpoints = mem_copy(from->checkpoints, from->checkpoint_count * sizeof *from->checkpoints);
    s->checkpoint_capacity = from->checkpoint_count;
    s->loaded = mem_copy(from->loaded, from->loaded_count * sizeof *from->loaded);
    s->loaded_capacity = from->loaded_count;
    for (size_t i = 0; i < s->loaded_count; i++) {
        struct checkpoint_loaded *l = &s->loaded[i];
        const struct buffer meta = l->meta;
        l->meta = (struct buffer){0};
        buffer_append(&l->meta, meta.data, meta.size);
        blob_ref(l->blob);
    }
    return s;
}

uint64_t store_fingerprint(const struct store *s) {
    uint64_t hash = hash_fold(s->memory_dirty, (uint64_t)s->failed.status);
    if (!s->disk) return hash;
    hash = hash_fold(hash, wal_fingerprint(&s->wal));
    return s->disk->class->clone ? hash_fold(hash, disk_sim_fingerprint(s->disk)) : hash;
}

struct disk *store_release(struct store **s) {
    struct store *store = *s;
    struct disk *disk = store->disk;
    *s = NULL;
    saving_abandon(store);
    loaded_free(store);
    free(store->checkpoints);
    if (disk) wal_free(&store->wal);
    free(store);
    return disk;
}

void store_free(struct store **s) {
    if (!*s) return;
    struct disk *disk = store_release(s);
    if (disk) disk->class->free(disk);
}
