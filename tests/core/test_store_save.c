/* Checkpoints that the disk's thread writes, on a real folder. The system's fdatasync is this program's own, so that the thread can
 * be held, or fail, at the sync of a checkpoint: the log goes on behind it; a crash before its end or behind it loses nothing. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/store.h"
#include "support/folder.h"

enum { LARGE = 3 << 20 }; /* bytes: more than one sync's piece, so that the thread can be stopped within */

/* ---- the thread's syncs ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool held;
    int fails; /* errno of the next one */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

static bool of_checkpoint(int fd) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    return strstr(path, "/checkpoint") != NULL;
}

int fdatasync(int fd) {
    int number = 0;
    if (of_checkpoint(fd)) {
        pthread_mutex_lock(&gate.mutex);
        while (gate.held) pthread_cond_wait(&gate.changed, &gate.mutex);
        number = gate.fails;
        gate.fails = 0;
        pthread_mutex_unlock(&gate.mutex);
    }
    errno = number;
    return number ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static void hold(bool held) {
    pthread_mutex_lock(&gate.mutex);
    gate.held = held;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

static void *let_go(void *unused) {
    hold(false);
    return unused;
}

/* ---- a saving, and its end ---- */

struct job {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned taken, ended;
    uint32_t size; /* of the snapshot */
};

static void job_init(struct job *j, uint32_t size) {
    *j = (struct job){.size = size};
    pthread_mutex_init(&j->mutex, NULL);
    pthread_cond_init(&j->changed, NULL);
}

static void job_count(struct job *j, unsigned *what) {
    pthread_mutex_lock(&j->mutex);
    ++*what;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mutex);
}

static struct blob *snapshot_of(uint32_t size) {
    uint8_t *content = malloc(size);
    assert_non_null(content);
    memset(content, 's', size);
    struct blob *b = blob_new(bytes_of(content, size));
    free(content);
    return b;
}

static struct blob *take(void *job) {
    struct job *j = job;
    job_count(j, &j->taken);
    return snapshot_of(j->size);
}

static void ended(void *job) {
    struct job *j = job;
    job_count(j, &j->ended);
}

static void await_end(struct job *j) {
    pthread_mutex_lock(&j->mutex);
    while (!j->ended) pthread_cond_wait(&j->changed, &j->mutex);
    pthread_mutex_unlock(&j->mutex);
}

static qrt_status begin(struct store *s, struct job *j, uint64_t index, struct error *e) {
    struct store_checkpoint c = {.index = index, .term = 1, .meta = bytes_text("meta"), .from_log = true};
    struct store_saver saver = {take, j, ended, j};
    return store_save_begin(s, &c, &saver, NULL, e);
}

static void begin_ok(struct store *s, struct job *j, uint64_t index) {
    struct error e = {0};
    if (begin(s, j, index, &e)) fail_msg("%s", e.text);
}

static void end_ok(struct store *s) {
    struct error e = {0};
    struct blob *blob = NULL;
    if (store_save_end(s, &blob, &e)) fail_msg("%s", e.text);
    blob_unref(&blob);
}

/* ---- the store ---- */

static const struct store_identity me = {42, 1};

static int gate_and_folder_make(void **state) {
    gate.held = false;
    gate.fails = 0;
    return folder_make(state);
}

static struct store *store_new(bool format) {
    struct store *s = NULL;
    struct error e = {0};
    bool wiped;
    struct disk *d = disk_posix_new(folder, &e);
    if (!d || store_open(&s, disk_held_new(d), me, format, &wiped, &e)) fail_msg("%s", e.text);
    return s;
}

static qrt_status append(struct store *s, uint64_t index, struct error *e) {
    uint8_t data[100] = {(uint8_t)index};
    store_append(s, &(struct store_record){0, index, 1, bytes_of(data, sizeof data)});
    return store_flush(s, e);
}

static void append_ok(struct store *s, uint64_t from, uint64_t to) {
    struct error e = {0};
    for (uint64_t i = from; i <= to; i++)
        if (append(s, i, &e)) fail_msg("%s", e.text);
}

struct found {
    uint64_t checkpoint, first, last;
    uint32_t size; /* of the snapshot */
};

static void see_checkpoint(void *context, const struct store_checkpoint *c) {
    struct found *f = context;
    f->checkpoint = c->index;
    f->size = c->blob->size;
    assert_true(bytes_equal(c->meta, bytes_text("meta")));
    for (uint32_t i = 0; i < c->blob->size; i++) assert_int_equal(c->blob->data[i], 's');
}

static void see_record(void *context, const struct store_record *r) {
    struct found *f = context;
    assert_int_equal(r->data.data[0], (uint8_t)r->index);
    assert_true(!f->last || r->index == f->last + 1);
    if (!f->first) f->first = r->index;
    f->last = r->index;
}

static void recover(struct store *s, struct found *f) {
    struct error e = {0};
    struct store_visitor visitor = {see_checkpoint, see_record, f};
    if (store_recover(s, &visitor, &e)) fail_msg("%s", e.text);
}

/* What an opening finds: that checkpoint, and every record up to `last`. */
static void assert_found(uint64_t checkpoint, uint64_t last) {
    struct found f = {0};
    struct store *s = store_new(false);
    recover(s, &f);
    assert_int_equal(f.checkpoint, checkpoint);
    assert_int_equal(f.last, last);
    assert_int_equal(f.first, 1);
    store_free(&s);
}

static void join_name(void *context, const char *name, uint64_t size) {
    char *all = context, one[96];
    bool directory = !strncmp(name, "ids-", 4); /* its length tells when it was last written */
    snprintf(one, sizeof one, "%s %llu\n", name, directory ? 0 : (unsigned long long)size);
    assert_true(strlen(all) + strlen(one) < 4096);
    strcat(all, one);
}

static void list(struct store *s, char names[4096]) {
    *names = 0;
    assert_int_equal(store_disk(s)->class->list(store_disk(s), join_name, names, NULL), QRT_OK);
}

/* ---- tests ---- */

/* The thread stands still at its first sync: commits go on, nothing of the checkpoint is to be seen, nothing of the log goes; when it
 * has ended, the checkpoint is there, and what was committed meanwhile. */
static void test_save_the_log_goes_on_behind_it(void **state) {
    (void)state;
    struct store *s = store_new(true);
    struct job j;
    char names[4096];
    job_init(&j, LARGE);
    append_ok(s, 1, 10);
    hold(true);
    begin_ok(s, &j, 10);
    assert_true(store_saving(s));
    append_ok(s, 11, 200);
    assert_true(store_saving(s) && !store_saved(s));
    assert_int_equal(j.ended, 0);
    list(s, names);
    assert_null(strstr(names, "checkpoint-"));
    hold(false);
    await_end(&j);
    assert_true(store_saved(s));
    list(s, names);
    assert_non_null(strstr(names, "checkpoint-0000-000000000000000a-l"));
    end_ok(s);
    assert_false(store_saving(s) || store_saved(s));
    assert_int_equal(j.taken, 1);
    append_ok(s, 201, 210);
    store_free(&s);
    assert_found(10, 210);
}

/* One after the other, on the thread and without it: the same files are left, of the same lengths. What a checkpoint supersedes goes
 * only behind it. */
static void test_save_leaves_what_saving_at_once_leaves(void **state) {
    (void)state;
    char names[2][4096];
    for (int apart = 0; apart < 2; apart++) {
        struct store *s = store_new(true);
        for (uint64_t round = 1; round <= 5; round++) {
            struct job j;
            job_init(&j, 1000 * (uint32_t)round);
            append_ok(s, round * 50 - 49, round * 50);
            struct blob *blob = snapshot_of(j.size);
            struct store_checkpoint c = {0, round * 50, 1, bytes_text("meta"), blob, true};
            if (apart) {
                begin_ok(s, &j, round * 50);
                end_ok(s);
            } else {
                assert_int_equal(store_save(s, &c, NULL), QRT_OK);
            }
            blob_unref(&blob);
        }
        list(s, names[apart]);
        store_free(&s);
        folder_remove(NULL);
        gate_and_folder_make(NULL);
    }
    assert_string_equal(names[1], names[0]);
    assert_non_null(strstr(names[0], "checkpoint-0000-00000000000000c8-l 4"));
    assert_non_null(strstr(names[0], "checkpoint-0000-00000000000000fa-l 5"));
    assert_null(strstr(names[0], "checkpoint-0000-0000000000000096-l"));
}

/* A child that is killed while its thread stands at a sync, or when this has ended and nothing else was done: the checkpoint before or
 * the new one, and in both cases every record that was flushed. */
static void test_save_a_kill_leaves_the_old_or_the_new(void **state) {
    (void)state;
    for (int done = 0; done < 2; done++) {
        struct store *s = store_new(true);
        struct job first;
        job_init(&first, LARGE);
        append_ok(s, 1, 10);
        begin_ok(s, &first, 10);
        end_ok(s);
        store_free(&s);
        pid_t child = fork();
        if (child == 0) {
            struct found f = {0};
            struct job j;
            job_init(&j, LARGE);
            s = store_new(false);
            recover(s, &f);
            append_ok(s, 11, 20);
            hold(!done);
            begin_ok(s, &j, 20);
            append_ok(s, 21, 30);
            if (done) await_end(&j);
            kill(getpid(), SIGKILL);
        }
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        assert_found(done ? 20 : 10, 30);
        folder_remove(NULL);
        gate_and_folder_make(NULL);
    }
}

/* One that is asked for while another is under way waits for it; both are there. */
static void test_save_a_second_one_waits_for_the_first(void **state) {
    (void)state;
    struct store *s = store_new(true);
    struct job first, second;
    char names[4096];
    pthread_t thread;
    job_init(&first, LARGE);
    job_init(&second, 1000);
    append_ok(s, 1, 10);
    hold(true);
    begin_ok(s, &first, 10);
    append_ok(s, 11, 20);
    assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
    begin_ok(s, &second, 20);
    assert_int_equal(first.ended, 1);
    end_ok(s);
    pthread_join(thread, NULL);
    list(s, names);
    assert_non_null(strstr(names, "checkpoint-0000-000000000000000a-l"));
    assert_non_null(strstr(names, "checkpoint-0000-0000000000000014-l"));
    assert_int_equal(store_save_end(s, NULL, NULL), QRT_OK); /* nothing is under way */
    store_free(&s);
    assert_found(20, 20);
}

/* A failed sync of the thread stops the store as one of the log does, and its reason is told; nothing of the log has gone. */
static void test_save_a_failed_sync_stops_the_store(void **state) {
    (void)state;
    struct store *s = store_new(true);
    struct error e = {0};
    struct job j;
    job_init(&j, LARGE);
    append_ok(s, 1, 10);
    gate.fails = EIO;
    begin_ok(s, &j, 10);
    await_end(&j);
    assert_true(store_saved(s));
    assert_int_equal(store_save_end(s, NULL, &e), QRT_EIO);
    assert_non_null(strstr(e.text, "syncing"));
    assert_non_null(strstr(e.text, strerror(EIO)));
    assert_true(store_stopped(s));
    assert_int_equal(append(s, 11, &e), QRT_EIO);
    assert_int_equal(begin(s, &j, 10, &e), QRT_EIO);
    assert_int_equal(j.taken, 2); /* as promised, so that nobody keeps what it was to be taken from */
    store_free(&s);
    assert_found(0, 10);
}

/* A store that is closed while the thread is at work ends it, with the checkpoint before or the new one, and leaves nothing
 * unfinished behind the next opening. */
static void test_save_closing_ends_it(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct store *s = store_new(true);
        struct found f = {0};
        struct job j;
        char names[4096];
        job_init(&j, LARGE);
        append_ok(s, 1, 10);
        begin_ok(s, &j, 10);
        if (round % 2) append_ok(s, 11, 20);
        store_free(&s);
        assert_true(j.taken == 1 && j.ended == 1);
        s = store_new(false);
        recover(s, &f);
        assert_true(f.checkpoint == 0 || (f.checkpoint == 10 && f.size == LARGE));
        assert_int_equal(f.last, round % 2 ? 20 : 10);
        list(s, names);
        assert_null(strstr(names, ".new"));
        store_free(&s);
        folder_remove(NULL);
        gate_and_folder_make(NULL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gate_and_folder_make, folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_save_the_log_goes_on_behind_it),        TEST(test_save_leaves_what_saving_at_once_leaves),
        TEST(test_save_a_kill_leaves_the_old_or_the_new), TEST(test_save_a_second_one_waits_for_the_first),
        TEST(test_save_a_failed_sync_stops_the_store),    TEST(test_save_closing_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
