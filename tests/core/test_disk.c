/* The two disks. Simulated: exactly what was synced survives a power cut, and of the rest any part. POSIX:
 * the store on a real folder, its lock, kill -9, a full disk, syncs that are real and that fail. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/store.h"
#include "support/folder.h"

enum { SECTOR = 512 };

/* The system's syncs, in this program: counted, by what was synced, and failing once with `fails`. */
static struct {
    unsigned files, folders;
    int fails;
} syncs;

static int sync_seen(int fd, long number) {
    struct stat about;
    bool is_folder = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    *(is_folder ? &syncs.folders : &syncs.files) += 1;
    errno = syncs.fails;
    syncs.fails = 0;
    return errno ? -1 : (int)syscall(number, fd);
}

int fdatasync(int fd) {
    return sync_seen(fd, SYS_fdatasync);
}

int fsync(int fd) {
    return sync_seen(fd, SYS_fsync);
}

/* What a drive has of the files whose pages a failed sync has left clean: the kernel goes back to it once it forgets the pages.
 * Only of one file, of `size` bytes; 0: of none. */
static struct {
    uint8_t *bytes;
    size_t size;
    ino_t file;
} drive;

static void drive_note(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    drive.bytes = malloc((size_t)about.st_size);
    assert_int_equal(read(fd, drive.bytes, (size_t)about.st_size), about.st_size);
    drive.size = (size_t)about.st_size;
    drive.file = about.st_ino;
    close(fd);
}

int posix_fadvise(int fd, off_t offset, off_t size, int advice) {
    struct stat about;
    char path[64];
    if (!drive.size || fstat(fd, &about) || about.st_ino != drive.file) return 0;
    assert_true(offset == 0 && size == 0 && advice == POSIX_FADV_DONTNEED);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY);
    assert_int_equal(pwrite(again, drive.bytes, drive.size, 0), drive.size);
    close(again);
    return 0;
}

static struct disk *sim_new(uint64_t seed) {
    struct disk_sim_options options = {1000, 50000, 1000};
    return disk_sim_new(&options, seed, 1);
}

static void write_ok(struct disk *d, const char *name, uint64_t at, const void *data, size_t size) {
    assert_int_equal(d->class->write(d, name, at, bytes_of(data, size), NULL), QRT_OK);
}

static void fill(struct disk *d, const char *name, uint64_t sector, int value) {
    uint8_t data[SECTOR];
    memset(data, value, sizeof data);
    write_ok(d, name, sector * SECTOR, data, sizeof data);
}

/* The first byte of a sector; -1 when the file or the sector is not there, -2 when the sector is torn inside.
 * */
static int sector_value(struct disk *d, const char *name, uint64_t sector) {
    struct buffer file = {0};
    int value = -1;
    if (d->class->read(d, name, &file, NULL) == QRT_OK && (sector + 1) * SECTOR <= file.size) {
        value = file.data[sector * SECTOR];
        for (size_t i = 0; i < SECTOR; i++)
            if (file.data[sector * SECTOR + i] != value) value = -2;
    }
    buffer_free(&file);
    return value;
}

static struct disk *with_file(uint64_t seed, const char *name, unsigned sectors) {
    struct disk *d = sim_new(seed);
    assert_int_equal(d->class->create(d, name, 0, NULL), QRT_OK);
    for (unsigned i = 0; i < sectors; i++) fill(d, name, i, 'a');
    assert_int_equal(d->class->sync(d, name, NULL), QRT_OK);
    assert_int_equal(d->class->sync_folder(d, NULL), QRT_OK);
    return d;
}

static void names_join(void *context, const char *name, uint64_t size) {
    (void)size;
    strcat(context, name);
    strcat(context, " ");
}

static void assert_names(struct disk *d, const char *expected) {
    char names[256] = "";
    assert_int_equal(d->class->list(d, names_join, names, NULL), QRT_OK);
    assert_string_equal(names, expected);
}

/* ---- simulated --------------------------------------------------------------------------- */

/* What was synced survives every crash but a wipe; unsynced sectors come out old or new, each whole; over
 * many seeds all is lost, all is kept, and all between. */
static void test_disk_sim_loses_only_what_is_unsynced(void **state) {
    (void)state;
    unsigned survivors[5] = {0};
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct disk *d = with_file(seed, "f", 8);
        for (unsigned i = 0; i < 4; i++) fill(d, "f", 2 + i, 'b');
        fill(d, "f", 3, 'c'); /* twice in flight */
        disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
        unsigned kept = 0;
        for (unsigned i = 0; i < 8; i++) {
            int value = sector_value(d, "f", i), newest = i == 3 ? 'c' : 'b';
            bool in_flight = i >= 2 && i < 6;
            if (value != 'a' && !(in_flight && value == newest))
                fail_msg("seed %d: sector %u is %d", (int)seed, i, value);
            kept += value == newest;
        }
        survivors[kept]++;
        disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST); /* what came out is synced */
        for (unsigned i = 0; i < 8; i++) kept -= sector_value(d, "f", i) != 'a';
        assert_int_equal(kept, 0);
        d->class->free(d);
    }
    for (unsigned i = 0; i < 5; i++) assert_true(survivors[i] > 10);
}

/* A kept disk keeps even what is unsynced, as a killed process does; a wiped one keeps nothing. */
static void test_disk_sim_keeps_or_wipes(void **state) {
    (void)state;
    struct disk *d = with_file(1, "f", 2);
    fill(d, "f", 1, 'b');
    assert_int_equal(d->class->create(d, "g", 1024, NULL), QRT_OK);
    disk_sim_crash(d, QRT_DISK_KEPT);
    assert_names(d, "f g ");
    assert_int_equal(sector_value(d, "f", 1), 'b');
    disk_sim_crash(d, QRT_DISK_WIPED);
    assert_names(d, "");
    d->class->free(d);
}

/* Names are durable after the folder's sync only; before, the last operations may be undone, from the last
 * backwards, with the file that was displaced back in its place. */
static void test_disk_sim_loses_unsynced_names(void **state) {
    (void)state;
    unsigned old = 0, new = 0, removed = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct disk *d = with_file(seed, "f", 1);
        assert_int_equal(d->class->create(d, "f.new", 0, NULL), QRT_OK);
        fill(d, "f.new", 0, 'b');
        assert_int_equal(d->class->sync(d, "f.new", NULL), QRT_OK);
        assert_int_equal(d->class->rename(d, "f.new", "f", NULL), QRT_OK);
        assert_int_equal(d->class->remove(d, "f", NULL), QRT_OK);
        disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
        int value = sector_value(d, "f", 0);
        old += value == 'a';
        new += value == 'b';
        removed += value == -1;
        d->class->free(d);
        d = with_file(seed, "f", 1);
        assert_int_equal(d->class->rename(d, "f", "g", NULL), QRT_OK);
        assert_int_equal(d->class->sync_folder(d, NULL), QRT_OK);
        disk_sim_crash(d, QRT_DISK_UNSYNCED_LOST);
        assert_names(d, "g ");
        d->class->free(d);
    }
    assert_true(old > 10 && new > 10 && removed > 10);
}

/* Clones share pages until one writes; crashes of one leave the other alone; equal histories have equal
 * fingerprints. */
static void test_disk_sim_clones_part(void **state) {
    (void)state;
    struct disk *a = with_file(7, "f", 20);
    fill(a, "f", 5, 'b');
    struct disk *b = a->class->clone(a);
    assert_true(disk_sim_fingerprint(a) == disk_sim_fingerprint(b));
    fill(b, "f", 6, 'c');
    assert_true(disk_sim_fingerprint(a) != disk_sim_fingerprint(b));
    assert_int_equal(sector_value(a, "f", 6), 'a');
    fill(a, "f", 6, 'c');
    assert_true(disk_sim_fingerprint(a) == disk_sim_fingerprint(b));
    disk_sim_crash(a, QRT_DISK_UNSYNCED_LOST);
    assert_int_equal(sector_value(b, "f", 5), 'b');
    disk_sim_crash(b, QRT_DISK_UNSYNCED_LOST);
    assert_true(disk_sim_fingerprint(a) == disk_sim_fingerprint(b)); /* the same stream, the same fate */
    a->class->free(a);
    b->class->free(b);
}

/* Writes and syncs take the profile's time, with jitter below its bound, the same for the same seed. */
static void test_disk_sim_takes_time(void **state) {
    (void)state;
    struct disk *a = with_file(3, "f", 1), *b = with_file(3, "f", 1);
    assert_true(disk_sim_latency(a) == disk_sim_latency(b));
    assert_int_equal(disk_sim_latency(a), 0);
    fill(a, "f", 0, 'b');
    int64_t latency = disk_sim_latency(a);
    assert_true(latency >= 1000 && latency < 2000);
    assert_int_equal(a->class->sync(a, "f", NULL), QRT_OK);
    latency = disk_sim_latency(a);
    assert_true(latency >= 50000 && latency < 51000);
    a->class->free(a);
    b->class->free(b);
}

/* ---- POSIX ------------------------------------------------------------------------------- */

static const struct store_identity me = {42, 1};

static struct disk *posix_ok(void) {
    struct error e = {0};
    struct disk *d = disk_posix_new(folder, &e);
    if (!d) fail_msg("%s", e.text);
    return d;
}

static struct store *posix_store(bool format) {
    struct store *s;
    struct error e = {0};
    bool wiped;
    if (store_open(&s, posix_ok(), me, format, &wiped, &e)) fail_msg("%s", e.text);
    assert_false(wiped);
    return s;
}

static qrt_status append_flush(struct store *s, uint64_t index, struct error *e) {
    store_append(s, &(struct store_record){0, index, 1, bytes_of(&index, sizeof index)});
    return store_flush(s, e);
}

static void count_record(void *context, const struct store_record *r) {
    uint64_t *last = context, index;
    assert_int_equal(r->data.size, sizeof index);
    memcpy(&index, r->data.data, sizeof index);
    assert_true(index == r->index && index == *last + 1);
    *last = index;
}

static void note_checkpoint(void *context, const struct store_checkpoint *c) {
    (void)context;
    assert_true(bytes_equal(blob_bytes(c->blob), bytes_text("snapshot")));
}

static uint64_t recovered(struct store *s) {
    uint64_t last = 0;
    struct error e = {0};
    if (store_recover(s, &(struct store_visitor){note_checkpoint, count_record, &last}, &e)) fail_msg("%s", e.text);
    return last;
}

/* The primitive operations, as the interface promises them. */
static void test_disk_posix_reads_what_it_wrote(void **state) {
    (void)state;
    struct disk *d = posix_ok();
    struct buffer file = {0};
    struct error e = {0};
    assert_int_equal(d->class->create(d, "b", 10000, &e), QRT_OK);
    assert_int_equal(d->class->create(d, "a", 0, &e), QRT_OK);
    write_ok(d, "a", 5, "hello", 5);
    assert_int_equal(d->class->sync(d, "a", &e), QRT_OK);
    assert_int_equal(d->class->rename(d, "a", "c", &e), QRT_OK);
    write_ok(d, "c", 10, "!", 1); /* the descriptor follows the name */
    assert_names(d, "b c ");
    assert_int_equal(d->class->read(d, "c", &file, &e), QRT_OK);
    assert_int_equal(file.size, 11);
    assert_memory_equal(file.data, "\0\0\0\0\0hello!", 11);
    buffer_clear(&file);
    assert_int_equal(d->class->read(d, "b", &file, &e), QRT_OK);
    assert_int_equal(file.size, 10000);
    assert_int_equal(d->class->remove(d, "b", &e), QRT_OK);
    assert_int_equal(d->class->read(d, "b", &file, &e), QRT_ENOTFOUND);
    assert_non_null(strstr(e.text, folder));
    assert_int_equal(d->class->sync_folder(d, &e), QRT_OK);
    buffer_free(&file);
    d->class->free(d);
}

/* A folder belongs to one node at a time; the second is told so. It is free again when the first has gone. */
static void test_disk_posix_refuses_a_folder_in_use(void **state) {
    (void)state;
    struct disk *d = posix_ok();
    struct error e = {0};
    assert_null(disk_posix_new(folder, &e));
    assert_int_equal(e.status, QRT_EBUSY);
    assert_non_null(strstr(e.text, "in use by another node"));
    d->class->free(d);
    d = posix_ok();
    d->class->free(d);
    assert_null(disk_posix_new("/var/tmp/there/is/no/such/folder", &e));
    assert_int_equal(e.status, QRT_EIO);
}

/* Closed and opened again, with a checkpoint and across log files. */
static void test_disk_posix_store_comes_back(void **state) {
    (void)state;
    struct store *s = posix_store(true);
    struct error e = {0};
    for (uint64_t i = 1; i <= 50; i++)
        if (append_flush(s, i, &e)) fail_msg("%s", e.text);
    struct store_checkpoint c = {0, 40, 1, {0}, blob_new(bytes_text("snapshot")), true};
    if (store_save(s, &c, &e)) fail_msg("%s", e.text);
    blob_unref(&c.blob);
    append_flush(s, 51, &e);
    store_append(s, &(struct store_record){0, 52, 1, {0}}); /* never flushed */
    store_free(&s);
    s = posix_store(false);
    assert_int_equal(recovered(s), 51);
    append_flush(s, 52, &e);
    store_free(&s);
    s = posix_store(false);
    assert_int_equal(recovered(s), 52);
    store_free(&s);
    bool wiped;
    assert_int_equal(store_open(&s, posix_ok(), me, true, &wiped, &e), QRT_EINVAL);
    assert_int_equal(store_open(&s, posix_ok(), (struct store_identity){42, 2}, false, &wiped, &e), QRT_EFOREIGN);
}

static void write_until_killed(int report) {
    struct store *s;
    bool wiped;
    struct disk *d = disk_posix_new(folder, NULL);
    if (!d || store_open(&s, d, me, false, &wiped, NULL)) _exit(1);
    for (uint64_t i = recovered(s) + 1;; i++)
        if (append_flush(s, i, NULL) || write(report, &i, sizeof i) != sizeof i) _exit(2);
}

/* kill -9 at any moment: everything that was reported as flushed is there, and the lock is gone with the
 * process. */
static void test_disk_posix_store_survives_kill(void **state) {
    (void)state;
    struct store *s = posix_store(true);
    store_free(&s);
    for (int round = 0; round < 5; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) write_until_killed(ends[1]);
        close(ends[1]);
        uint64_t index = 0, reported = 0;
        for (int i = 0; i < 10 + round && read(ends[0], &index, sizeof index) == sizeof index; i++) reported = index;
        kill(child, SIGKILL);
        while (read(ends[0], &index, sizeof index) == sizeof index) reported = index;
        waitpid(child, NULL, 0);
        close(ends[0]);
        s = posix_store(false);
        uint64_t last = recovered(s);
        assert_true(reported > 0 && (last == reported || last == reported + 1));
        store_free(&s);
    }
}

/* A store that says that it is durable has asked the system, before; and a new file's name is in a synced folder. What a kill
 * shows is the page cache, so only this tells. */
static void test_disk_posix_really_syncs(void **state) {
    (void)state;
    unsigned folders = syncs.folders;
    struct store *s = posix_store(true);
    assert_true(syncs.folders > folders);
    for (uint64_t i = 1; i <= 3; i++) {
        unsigned files = syncs.files;
        assert_int_equal(append_flush(s, i, NULL), QRT_OK);
        assert_true(syncs.files > files);
    }
    struct store_checkpoint c = {0, 2, 1, {0}, blob_new(bytes_text("snapshot")), true};
    unsigned files = syncs.files;
    folders = syncs.folders;
    assert_int_equal(store_save(s, &c, NULL), QRT_OK);
    assert_true(syncs.files > files && syncs.folders > folders);
    blob_unref(&c.blob);
    store_free(&s);
}

/* After a failed sync the kernel has forgotten what it could not write, and the next one would succeed: nothing more is
 * written or synced, whatever the failure was (Rebello et al. 2020). */
static void test_disk_posix_never_syncs_again(void **state) {
    (void)state;
    static const int failures[] = {EIO, ENOSPC, EINTR};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct disk *d = posix_ok();
        struct error e = {0};
        assert_int_equal(d->class->create(d, "log", 4 * SECTOR, NULL), QRT_OK);
        bool of_folder = i == 0;
        fill(d, "log", 0, 'a');
        syncs.fails = failures[i];
        assert_int_not_equal(of_folder ? d->class->sync_folder(d, &e) : d->class->sync(d, "log", &e), QRT_OK);
        assert_non_null(strstr(e.text, strerror(failures[i])));
        unsigned files = syncs.files, folders = syncs.folders;
        assert_int_equal(d->class->sync(d, "log", &e), QRT_EIO);
        assert_non_null(strstr(e.text, "an earlier sync"));
        assert_int_equal(d->class->sync_folder(d, NULL), QRT_EIO);
        assert_int_equal(d->class->write(d, "log", 0, bytes_text("x"), NULL), QRT_EIO);
        assert_int_equal(d->class->create(d, "new", 0, NULL), QRT_EIO);
        assert_int_equal(d->class->rename(d, "log", "other", NULL), QRT_EIO);
        assert_int_equal(d->class->remove(d, "log", NULL), QRT_EIO);
        assert_true(syncs.files == files && syncs.folders == folders);
        d->class->free(d);
    }
}

/* The same of a store: what it could not sync it never says to be durable. */
static void test_disk_posix_store_stops_with_its_sync(void **state) {
    (void)state;
    struct store *s = posix_store(true);
    struct error e = {0};
    assert_int_equal(append_flush(s, 1, NULL), QRT_OK);
    syncs.fails = EIO;
    assert_int_equal(append_flush(s, 2, &e), QRT_EIO);
    assert_int_equal(append_flush(s, 3, &e), QRT_EIO);
    store_free(&s);
    s = posix_store(false);
    assert_true(recovered(s) >= 1);
    store_free(&s);
}

/* After a failed sync the page cache has what the drive has not. Who opens the store next, in the same boot, recovers what the
 * drive has: else it would build on what a power cut takes away, and a second sync would not write it. */
static void test_disk_posix_believes_no_page(void **state) {
    (void)state;
    char log[96];
    struct store *s = posix_store(true);
    snprintf(log, sizeof log, "%s/wal-0000000000000001", folder);
    assert_int_equal(append_flush(s, 1, NULL), QRT_OK);
    drive_note(log);
    syncs.fails = EIO;
    assert_int_equal(append_flush(s, 2, NULL), QRT_EIO);
    store_free(&s);
    s = posix_store(false);
    assert_int_equal(recovered(s), 1);
    store_free(&s);
    free(drive.bytes);
    drive.size = 0;
}

/* What a disk that is full does to a child whose files may not grow: EFULL in words, and the store opens
 * again. */
static void test_disk_posix_reports_a_full_disk(void **state) {
    (void)state;
    struct store *s = posix_store(true);
    append_flush(s, 1, NULL);
    store_free(&s);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        struct error e = {0};
        static uint8_t large[9 << 20];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        s = posix_store(false);
        store_append(s, &(struct store_record){0, 2, 1, bytes_of(large, sizeof large)});
        qrt_status first = store_flush(s, &e);
        bool said = strstr(e.text, "File too large") != NULL;
        _exit(first == QRT_EFULL && said && append_flush(s, 2, &e) == QRT_EFULL ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    s = posix_store(false);
    assert_int_equal(recovered(s), 1);
    assert_int_equal(append_flush(s, 2, NULL), QRT_OK);
    store_free(&s);
}

/* What a file is: 0 where there is none. Of another file, another inode. */
static struct stat about_file(const char *name) {
    char path[128];
    struct stat about = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (stat(path, &about)) about.st_ino = 0;
    return about;
}

/* create hands out the very file that was prepared, whole, and no other; what was prepared otherwise is made anew. */
static void test_disk_posix_takes_over_what_it_prepared(void **state) {
    (void)state;
    enum { SIZE = 3 << 20 };
    struct disk *d = disk_held_new(posix_ok());
    d->class->prepare(d, "new", SIZE);
    ino_t first = about_file("new").st_ino;
    d->class->prepare(d, "new", SIZE / 2); /* one at a time */
    assert_int_equal(d->class->create(d, "new", SIZE, NULL), QRT_OK);
    assert_true(first && about_file("new").st_ino == first);
    struct buffer file = {0};
    uint8_t *zeros = mem_zero(1, SIZE);
    assert_int_equal(d->class->read(d, "new", &file, NULL), QRT_OK);
    assert_int_equal(file.size, SIZE);
    assert_memory_equal(file.data, zeros, SIZE);
    buffer_free(&file);
    free(zeros);
    d->class->prepare(d, "other", SIZE);
    assert_int_equal(d->class->create(d, "other", 2 * SIZE, NULL), QRT_OK);
    assert_int_equal(about_file("other").st_size, 2 * SIZE);
    d->class->prepare(d, "gone", SIZE);
    assert_int_equal(d->class->remove(d, "gone", NULL), QRT_OK);
    assert_names(d, "new other ");
    assert_int_equal(d->class->create(d, "gone", SIZE, NULL), QRT_OK);
    assert_int_equal(about_file("gone").st_size, SIZE);
    d->class->prepare(d, "last", SIZE);
    d->class->free(d); /* ends it; the folder is free for the next one, which begins anew */
    d = posix_ok();
    assert_int_equal(d->class->create(d, "last", SIZE, NULL), QRT_OK);
    assert_int_equal(about_file("last").st_size, SIZE);
    d->class->free(d);
}

/* A file that could not be prepared is made when it is asked for, and only then somebody hears what is wrong. */
static void test_disk_posix_prepares_or_says_nothing(void **state) {
    (void)state;
    enum { SIZE = 3 << 20 };
    struct rlimit before, limit;
    struct error e = {0};
    struct disk *d = posix_ok();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){1 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    d->class->prepare(d, "new", SIZE);
    qrt_status status = d->class->create(d, "new", SIZE, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, QRT_EFULL);
    assert_non_null(strstr(e.text, "preallocating"));
    assert_int_equal(d->class->create(d, "new", SIZE, &e), QRT_OK);
    assert_int_equal(about_file("new").st_size, SIZE);
    d->class->free(d);
}

/* Records in group commits of many, so that log files fill up soon. */
static uint64_t append_many(struct store *s, uint64_t from) {
    enum { MANY = 4000 };
    for (uint64_t i = from; i < from + MANY; i++)
        store_append(s, &(struct store_record){0, i, 1, bytes_of(&i, sizeof i)});
    assert_int_equal(store_flush(s, NULL), QRT_OK);
    return from + MANY;
}

/* The log's next file is begun while the last one still has room, and is the one that the log goes on in. What a node that
 * ends meanwhile leaves of it is removed. */
static void test_disk_posix_next_log_file_is_there_in_time(void **state) {
    (void)state;
    static const char next[] = "wal-0000000000000002";
    struct store *s = posix_store(true);
    uint64_t index = append_many(s, 1);
    assert_true(about_file("wal.new").st_ino == 0);
    while (!about_file("wal.new").st_ino && !about_file(next).st_ino) index = append_many(s, index);
    store_free(&s);
    assert_true(about_file("wal.new").st_ino && !about_file(next).st_ino);
    s = posix_store(false);
    assert_true(about_file("wal.new").st_ino == 0);
    assert_int_equal(recovered(s), index - 1);
    index = append_many(s, index);
    ino_t made = about_file("wal.new").st_ino;
    while (!about_file(next).st_ino) index = append_many(s, index);
    assert_true(made && about_file(next).st_ino == made);
    index = append_many(s, index);
    store_free(&s);
    s = posix_store(false);
    assert_int_equal(recovered(s), index - 1);
    store_free(&s);
}

/* What holds writes back hands the sync on behind them, and says what became of it: else a process would promise what only the page
 * cache has. */
static void test_disk_held_really_syncs(void **state) {
    (void)state;
    struct error e = {0};
    struct disk *d = disk_held_new(posix_ok());
    assert_int_equal(d->class->create(d, "log", 4 * SECTOR, NULL), QRT_OK);
    fill(d, "log", 0, 'a');
    unsigned files = syncs.files, folders = syncs.folders;
    assert_int_equal(d->class->sync(d, "log", NULL), QRT_OK);
    assert_int_equal(syncs.files, files + 1);
    assert_int_equal(d->class->sync_folder(d, NULL), QRT_OK);
    assert_int_equal(syncs.folders, folders + 1);
    fill(d, "log", 1, 'b');
    syncs.fails = EIO;
    assert_int_equal(d->class->sync(d, "log", &e), QRT_EIO);
    assert_int_equal(d->class->sync(d, "log", &e), QRT_EIO);
    assert_int_equal(syncs.files, files + 2);
    d->class->free(d);
}

/* Whoever dies loses what it had not synced, as if the power had failed; what it reads meanwhile is what it wrote. */
static void test_disk_held_loses_what_is_unsynced(void **state) {
    (void)state;
    for (int synced = 0; synced < 2; synced++) {
        struct disk *d = disk_held_new(posix_ok());
        assert_int_equal(d->class->create(d, "log", 4 * SECTOR, NULL), QRT_OK);
        fill(d, "log", 0, 'a');
        assert_int_equal(d->class->sync(d, "log", NULL), QRT_OK);
        fill(d, "log", 1, 'b');
        if (synced) assert_int_equal(d->class->sync(d, "log", NULL), QRT_OK);
        d->class->free(d);
        d = posix_ok();
        assert_int_equal(sector_value(d, "log", 0), 'a');
        assert_int_equal(sector_value(d, "log", 1), synced ? 'b' : 0);
        d->class->free(d);
    }
    struct disk *d = disk_held_new(posix_ok());
    fill(d, "log", 2, 'c');
    assert_int_equal(sector_value(d, "log", 2), 'c');
    assert_int_equal(d->class->write(d, "none", 0, bytes_text("x"), NULL), QRT_OK);
    assert_int_equal(d->class->sync(d, "none", NULL), QRT_ENOTFOUND);
    d->class->free(d);
}

#define POSIX_TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk_sim_loses_only_what_is_unsynced),
        cmocka_unit_test(test_disk_sim_keeps_or_wipes),
        cmocka_unit_test(test_disk_sim_loses_unsynced_names),
        cmocka_unit_test(test_disk_sim_clones_part),
        cmocka_unit_test(test_disk_sim_takes_time),
        POSIX_TEST(test_disk_posix_reads_what_it_wrote),
        POSIX_TEST(test_disk_posix_refuses_a_folder_in_use),
        POSIX_TEST(test_disk_posix_store_comes_back),
        POSIX_TEST(test_disk_posix_store_survives_kill),
        POSIX_TEST(test_disk_posix_really_syncs),
        POSIX_TEST(test_disk_posix_never_syncs_again),
        POSIX_TEST(test_disk_posix_store_stops_with_its_sync),
        POSIX_TEST(test_disk_posix_believes_no_page),
        POSIX_TEST(test_disk_posix_reports_a_full_disk),
        POSIX_TEST(test_disk_posix_takes_over_what_it_prepared),
        POSIX_TEST(test_disk_posix_prepares_or_says_nothing),
        POSIX_TEST(test_disk_posix_next_log_file_is_there_in_time),
        POSIX_TEST(test_disk_held_really_syncs),
        POSIX_TEST(test_disk_held_loses_what_is_unsynced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
