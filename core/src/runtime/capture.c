/* Captures, the writing side. See capture.h. */
#include "runtime/capture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "runtime/runtime.h"

#define ROOM_STEP (64u << 10) /* for what a step meets before its outcome */
#define ROOM_END 512u         /* for the outcome, and the word that the capture ends here */
#define INPUT_FIXED 40u       /* time, mono, wall, number, group */
#define PATH_SIZE (OPTION_TEXT_MAX + CAPTURE_NAME_MAX)
#define ABOUT_MAX 65536
#define BODY_LONG 240 /* from here on a hash is by vectors */
#define READY_STEP (256u << 10)

static const char magic[8] = "QRTCAPT";

struct capture {
    char folder[OPTION_TEXT_MAX];
    uint16_t node;
    uint64_t identity, seed;
    int64_t limit, taken; /* bytes of all segments but the open one */
    uint32_t number;
    int fd;
    uint8_t *map;                /* NULL: stopped, or not begun */
    size_t size, used, ready;    /* ready: the file's pages are there up to it */
    bool inside, stopped, begun; /* inside: a step is under way */
    uint64_t events;             /* hash of the step's events */
    uint64_t armed;
    uint64_t written, lost;
    struct trace_sink behind; /* of a trace that is tapped */
    char why[CAPTURE_WHY_MAX];
};

/* ---- what both sides agree on ---- */

uint64_t capture_identity(struct bytes about) {
    return hash_bytes(about.data, about.size, CAPTURE_FORMAT);
}

uint64_t capture_seed(const struct capture_head *head) {
    return hash_fold(hash_fold(head->identity, head->node), head->number);
}

uint64_t capture_check(uint64_t seed, uint64_t offset, const struct capture_record_head *r, const void *body) {
    seed = hash_fold(seed, offset << 32 | r->size);
    seed = hash_fold(seed, (uint64_t)r->kind << 8 | r->flags);
    size_t size = r->size - sizeof *r; /* the seed is folded in behind: a seed of its own costs a long hash a secret */
    return hash_fold(size > BODY_LONG ? hash_long(body, size, 0) : hash_bytes(body, size, 0), seed);
}

uint64_t capture_fold_event(uint64_t hash, const qrt_event *e) {
    return hash_bytes(e, sizeof *e, hash);
}

void capture_name(char name[CAPTURE_NAME_MAX], uint16_t node, uint32_t number) {
    if (node == QRT_CLIENT)
        snprintf(name, CAPTURE_NAME_MAX, "clients-%06u.capture", number);
    else
        snprintf(name, CAPTURE_NAME_MAX, "n%u-%06u.capture", node, number);
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t *capture_segments(const char *folder, uint16_t node, size_t *count) {
    uint32_t *numbers = NULL, number;
    size_t capacity = 0;
    char name[CAPTURE_NAME_MAX];
    *count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (sscanf(entry->d_name, "%*[^-]-%9u.capture", &number) != 1) continue;
        capture_name(name, node, number);
        if (strcmp(name, entry->d_name)) continue;
        numbers = mem_grow(numbers, &capacity, *count + 1, sizeof *numbers);
        numbers[(*count)++] = number;
    }
    if (d) closedir(d);
    if (*count) qsort(numbers, *count, sizeof *numbers, by_number);
    return numbers;
}

/* ---- beginning ---- */

static void path_of(char path[PATH_SIZE], const char *folder, const char *name) {
    snprintf(path, PATH_SIZE, "%s/%s", folder, name);
}

/* Up to `size` bytes from the file's beginning: how many there were, or -1. */
static ssize_t read_first(const char *path, uint8_t *out, size_t size) {
    size_t have = 0;
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && have < size) {
        n = read(fd, out + have, size - have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        have += (size_t)n;
    }
    if (fd >= 0) close(fd);
    return n < 0 ? -1 : (ssize_t)have;
}

static bool file_holds(const char *path, struct bytes expected) {
    uint8_t *found = mem_alloc(expected.size + 1);
    ssize_t size = read_first(path, found, expected.size + 1);
    bool same = size == (ssize_t)expected.size && !memcmp(found, expected.data, expected.size);
    free(found);
    return same;
}

qrt_status capture_begin(const char *folder, struct bytes about, bool shared, struct error *e) {
    char path[PATH_SIZE];
    if (mkdir(folder, 0700) && errno != EEXIST)
        return error_set(e, QRT_EIO, "the folder %s for the capture cannot be made: %s", folder, strerror(errno));
    path_of(path, folder, CAPTURE_FILE);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST && shared && file_holds(path, about)) return QRT_OK;
    if (fd < 0 && errno == EEXIST)
        return error_set(e, QRT_EINVAL, "%s holds %s already: name another folder, or remove it", folder,
                         shared ? "another capture, or one with other options," : "a capture");
    if (fd < 0) return error_set(e, QRT_EIO, "the capture %s cannot be made: %s", path, strerror(errno));
    bool whole = file_write_at(fd, about.data, about.size, 0);
    int number = errno;
    if (close(fd) == 0 && whole) return QRT_OK;
    return error_set(e, QRT_EIO, "the capture %s cannot be written: %s", path, strerror(number));
}

/* ---- segments ---- */

static struct capture_head *head_of(const struct capture *c) {
    return (struct capture_head *)(void *)c->map;
}

/* Gives back what was not needed. */
static void segment_close(struct capture *c) {
    if (!c->map) return;
    munmap(c->map, c->size);
    if (ftruncate(c->fd, (off_t)c->used) == 0) c->taken += (int64_t)c->used;
    close(c->fd);
    c->map = NULL;
    c->fd = -1;
}

/* The last word, in the room that is kept for it. */
static void write_end(struct capture *c) {
    struct capture_record_head r = {.kind = CAPTURE_ENDED};
    size_t size = strlen(c->why);
    r.size = (uint32_t)(sizeof r + size);
    if (c->used + capture_room(size) > c->size) return;
    r.check = capture_check(c->seed, c->used, &r, c->why);
    memcpy(c->map + c->used + sizeof r, c->why, size);
    memcpy(c->map + c->used, &r, sizeof r);
    c->used += capture_room(size);
    head_of(c)->used = c->used;
}

static void stop(struct capture *c, const char *why) {
    snprintf(c->why, sizeof c->why, "%s", why);
    c->stopped = true;
    if (c->map) write_end(c);
    segment_close(c);
}

static void stop_by(struct capture *c, const char *what) {
    char why[CAPTURE_WHY_MAX];
    snprintf(why, sizeof why, "%.60s: %.80s", what, strerror(errno));
    stop(c, why);
}

/* Pages are written before they are touched: one that a fault finds missing costs the kernel three times as much. Where it
 * fails the fault does it. */
static void pages_ready(struct capture *c, size_t end) {
    static uint8_t zeros[READY_STEP];
    while (c->ready < end) {
        size_t size = c->size - c->ready < sizeof zeros ? c->size - c->ready : sizeof zeros;
        if (pwrite(c->fd, zeros, size, (off_t)c->ready) < 0 && errno == EINTR) continue;
        c->ready += size;
    }
}

static void head_write(struct capture *c) {
    struct capture_head *head = head_of(c);
    memcpy(head->magic, magic, sizeof magic);
    head->format = CAPTURE_FORMAT;
    head->number = c->number;
    head->identity = c->identity;
    head->node = c->node;
    snprintf(head->version, sizeof head->version, "%s", qrt_version());
    head->check = hash_bytes(head, offsetof(struct capture_head, check), 0);
    c->seed = capture_seed(head);
    c->used = head->used = CAPTURE_HEAD;
}

/* The disk gives all of it now or never: a mapping into a hole would end the process when the disk is full. */
static bool segment_open(struct capture *c, size_t need) {
    char path[PATH_SIZE], name[CAPTURE_NAME_MAX];
    size_t size = (CAPTURE_HEAD + need + ROOM_END + CAPTURE_SEGMENT - 1) / CAPTURE_SEGMENT * CAPTURE_SEGMENT;
    if (c->taken + (int64_t)(c->map ? c->used : 0) + (int64_t)size > c->limit) {
        snprintf(path, sizeof path, "its budget of %" PRId64 " bytes (capture_size) is used up", c->limit);
        stop(c, path);
        return false;
    }
    capture_name(name, c->node, ++c->number);
    path_of(path, c->folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int number = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)size);
    void *map = number ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        if (!number) number = errno;
        if (fd >= 0) {
            unlink(path);
            close(fd);
        }
        errno = number;
        stop_by(c, "a segment cannot be made");
        return false;
    }
    segment_close(c);
    c->fd = fd;
    c->map = map;
    c->size = size;
    c->ready = 0;
    pages_ready(c, CAPTURE_HEAD);
    head_write(c);
    return true;
}

/* What a node's earlier incarnations have taken of its budget. */
static int64_t taken_before(struct capture *c) {
    size_t count;
    uint32_t *numbers = capture_segments(c->folder, c->node, &count);
    char path[PATH_SIZE], name[CAPTURE_NAME_MAX];
    struct stat about;
    int64_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        capture_name(name, c->node, numbers[i]);
        path_of(path, c->folder, name);
        if (!stat(path, &about)) taken += about.st_size;
    }
    if (count) c->number = numbers[count - 1];
    free(numbers);
    return taken;
}

static bool read_about(struct capture *c) {
    char path[PATH_SIZE];
    uint8_t *about = mem_alloc(ABOUT_MAX);
    path_of(path, c->folder, CAPTURE_FILE);
    ssize_t size = read_first(path, about, ABOUT_MAX);
    if (size > 0) c->identity = capture_identity(bytes_of(about, (size_t)size));
    free(about);
    return size > 0;
}

struct capture *capture_open(const char *folder, uint16_t node, int64_t limit) {
    struct capture *c = mem_zero(1, sizeof *c);
    snprintf(c->folder, sizeof c->folder, "%s", folder);
    c->node = node;
    c->fd = -1;
    c->limit = limit;
    c->armed = HOST_NO_CRASH;
    c->taken = taken_before(c);
    c->written = (uint64_t)c->taken;
    if (read_about(c))
        segment_open(c, ROOM_STEP);
    else
        stop_by(c, CAPTURE_FILE " cannot be read");
    return c;
}

void capture_close(struct capture **c) {
    if (!*c) return;
    segment_close(*c);
    free(*c);
    *c = NULL;
}

uint64_t capture_lost(const struct capture *c) {
    return c->lost;
}

const char *capture_why(const struct capture *c) {
    return c->stopped ? c->why : NULL;
}

void capture_view(const struct capture *c, struct node_view *v) {
    if (!c) return;
    v->captured = c->written;
    v->uncaptured = c->lost;
    if (c->stopped) snprintf(v->why_uncaptured, sizeof v->why_uncaptured, "%s", c->why);
}

/* ---- records ---- */

/* Place for a body; `spare`: room that must be left behind it. NULL: there is none. */
static uint8_t *record_place(struct capture *c, size_t body, size_t spare) {
    if (!c->map || body > CAPTURE_RECORD_MAX || c->used + capture_room(body) + spare > c->size) return NULL;
    if (__builtin_expect(c->used + capture_room(body) > c->ready, 0)) pages_ready(c, c->used + capture_room(body));
    return c->map + c->used + sizeof(struct capture_record_head);
}

void capture_record_done(struct capture *c, enum capture_kind kind, uint8_t flags, size_t body) {
    uint8_t *at = c->map + c->used;
    struct capture_record_head *place = (struct capture_record_head *)(void *)at;
    struct capture_record_head r = {(uint32_t)(sizeof r + body), (uint16_t)kind, flags, 0, 0};
    r.check = capture_check(c->seed, c->used, &r, at + sizeof r);
    place->kind = r.kind;
    place->flags = r.flags;
    place->check = r.check;
    __atomic_store_n(&place->size, r.size, __ATOMIC_RELEASE); /* now it is there */
    c->used += capture_room(body);
    c->written += capture_room(body);
    __atomic_store_n(&head_of(c)->used, c->used, __ATOMIC_RELEASE);
}

/* Begins a record that a step, or a further record of the start, follows: in this segment or a new one. */
static uint8_t *record_begin(struct capture *c, size_t body) {
    if (c->stopped) return NULL;
    uint8_t *place = record_place(c, body, ROOM_STEP + ROOM_END);
    if (place) return place;
    if (body > CAPTURE_RECORD_MAX) {
        stop(c, "an input was larger than a record may be");
        return NULL;
    }
    return segment_open(c, capture_room(body) + ROOM_STEP) ? record_place(c, body, 0) : NULL;
}

uint8_t *capture_record_begin(struct capture *c, size_t body) {
    uint8_t *place = record_begin(c, body);
    c->lost += !place;
    return place;
}

static void progress_begin(struct capture *c) {
    struct capture_head *head = head_of(c);
    __atomic_store_n(&head->progress, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&head->progress_at, c->used, __ATOMIC_RELEASE);
    c->inside = true;
    c->events = 0;
}

/* What hosts emit by themselves, so that a replay does. A message is dropped by the host only where its disk is full. */
static bool of_host(const struct capture *c, const qrt_event *e) {
    if (e->node != c->node) return false;
    if (e->kind == QRT_KIND_DROP) return e->detail == QRT_DROP_DISK;
    return e->kind != QRT_KIND_CRASH && e->kind != QRT_KIND_PAUSE && e->kind != QRT_KIND_RESUME &&
           e->kind != QRT_KIND_FAULT;
}

void capture_event(struct capture *c, const qrt_event *e) {
    if (c->stopped) return;
    if (c->inside && of_host(c, e)) {
        uint64_t *progress = &head_of(c)->progress;
        __atomic_store_n(progress, *progress + 1, __ATOMIC_RELEASE);
        c->events = capture_fold_event(c->events, e);
        return;
    }
    uint8_t *at = c->inside ? record_place(c, sizeof *e, ROOM_END) : record_begin(c, sizeof *e);
    if (!at) return; /* a step's room is used up: the event is of no consequence for the replay */
    memcpy(at, e, sizeof *e);
    capture_record_done(c, CAPTURE_EVENT, 0, sizeof *e);
}

static void tapped(void *capture, const qrt_event *e, uint64_t number) {
    struct capture *c = capture;
    capture_event(c, e); /* first: see invariant 3 */
    if (c->behind.event && c->behind.kinds >> e->kind & 1) c->behind.event(c->behind.context, e, number);
}

void capture_tap(struct capture *c, struct trace *t) {
    c->behind = t->sink;
    t->sink = (struct trace_sink){UINT64_MAX, tapped, c};
}

/* ---- the host's side ---- */

static void put_times(struct writer *w, const struct host *h) {
    write_i64(w, h->time);
    write_i64(w, h->mono);
    write_i64(w, h->wall);
}

/* Where an armed crash has changed, the inputs from here on die otherwise. */
static void note_arming(struct host *h) {
    struct capture *c = h->capture;
    if (__builtin_expect(h->crash_after == c->armed, 1)) return;
    uint8_t *at = record_begin(c, sizeof h->crash_after);
    if (!at) return;
    memcpy(at, &h->crash_after, sizeof h->crash_after);
    capture_record_done(c, CAPTURE_ARM, 0, sizeof h->crash_after);
    c->armed = h->crash_after;
}

void capture_start(struct host *h, uint8_t how) {
    struct capture *c = h->capture;
    c->armed = HOST_NO_CRASH; /* as in the replay's new host */
    uint8_t *at = record_begin(c, 72);
    if (!at) {
        c->lost++;
        return;
    }
    struct writer w = writer_of(at, 72);
    put_times(&w, h);
    write_u64(&w, h->incarnation);
    write_u64(&w, h->sends);
    write_u64(&w, h->counts.proposals);
    write_u64(&w, h->crash_after);
    write_u64(&w, h->config.cluster_id);
    write_u64(&w, h->config.bursts);
    c->armed = h->crash_after;
    capture_record_done(c, CAPTURE_START, (uint8_t)(how | (c->begun ? 0 : CAPTURE_NEW_HOST)), 72);
    c->begun = true;
    c->inside = true; /* what it emits while it recovers is the replay's as well */
}

void capture_checkpoint(struct host *h, const struct store_checkpoint *s) {
    struct capture *c = h->capture;
    struct bytes blob = blob_bytes(s->blob);
    size_t size = 32 + (size_t)s->meta.size + blob.size;
    uint8_t *at = record_begin(c, size);
    if (!at) return;
    struct writer w = writer_of(at, size);
    write_u64(&w, s->group);
    write_u64(&w, s->index);
    write_u64(&w, s->term);
    write_bytes(&w, s->meta);
    write_bytes(&w, blob);
    capture_record_done(c, CAPTURE_CHECKPOINT, 0, size);
}

void capture_record(struct host *h, const struct store_record *s) {
    struct capture *c = h->capture;
    size_t size = 8 + (size_t)s->data.size;
    uint8_t *at = record_begin(c, size);
    if (!at) return;
    struct writer w = writer_of(at, size);
    write_u64(&w, s->group);
    writer_put(&w, s->data.data, s->data.size);
    capture_record_done(c, CAPTURE_RECORD, 0, size);
}

void capture_recovered(struct host *h) {
    struct capture *c = h->capture;
    if (!record_begin(c, 0)) return;
    progress_begin(c);
    capture_record_done(c, CAPTURE_RECOVERED, 0, 0);
}

void capture_input(struct host *h, enum capture_kind kind, uint8_t flags, uint16_t group, uint64_t number,
                   struct bytes data) {
    struct capture *c = h->capture;
    size_t size = INPUT_FIXED + data.size;
    bool within = kind == CAPTURE_FLUSH_BEGIN && c->inside;
    if (!within && !c->stopped) note_arming(h);
    uint8_t *at = within ? record_place(c, size, ROOM_END) : record_begin(c, size);
    if (!at) {
        c->lost++;
        if (within && !c->stopped) stop(c, "a step met more than a segment has room for");
        return;
    }
    struct writer w = writer_of(at, size);
    put_times(&w, h);
    write_u64(&w, number);
    write_u64(&w, group);
    writer_put(&w, data.data, data.size);
    if (kind != CAPTURE_FLUSH_BEGIN) progress_begin(c);
    capture_record_done(c, kind, flags, size);
}

void capture_outcome(struct host *h) {
    struct capture *c = h->capture;
    c->inside = false;
    uint8_t *at = record_place(c, 16, ROOM_END / 2);
    if (!at) return;
    struct writer w = writer_of(at, 16);
    write_u64(&w, host_state_fingerprint(h));
    write_u64(&w, c->events);
    bool failed = h->store && store_stopped(h->store);
    capture_record_done(c, CAPTURE_OUTCOME,
                        (uint8_t)((h->dying ? CAPTURE_DYING : 0) | (failed ? CAPTURE_DISK_FAILED : 0)), 16);
}

void capture_stop(struct host *h) {
    struct capture *c = h->capture;
    c->inside = false;
    if (record_begin(c, 0)) capture_record_done(c, CAPTURE_STOP, 0, 0);
}

/* ---- of the dead ---- */

/* Behind the last record: `used` may be one behind, if the kill came between the two. */
static size_t end_of(const uint8_t *map, size_t size, uint64_t seed, size_t used) {
    struct capture_record_head r;
    if (used < CAPTURE_HEAD || used > size) return 0;
    while (size - used >= sizeof r) {
        memcpy(&r, map + used, sizeof r);
        if (r.size < sizeof r || r.size > size - used) break;
        if (capture_check(seed, used, &r, map + used + sizeof r) != r.check) break;
        used += capture_room(r.size - sizeof r);
    }
    return used;
}

static void bury_in(struct capture *c, const qrt_event *crash) {
    struct capture_head *head = head_of(c);
    if (memcmp(head->magic, magic, sizeof magic) || head->node != c->node) return;
    c->seed = capture_seed(head);
    c->used = end_of(c->map, c->size, c->seed, head->used);
    if (!c->used) return;
    uint8_t *at = crash ? record_place(c, sizeof *crash, 0) : NULL;
    if (at) {
        memset(c->map + c->used, 0, capture_room(sizeof *crash)); /* of a record that the kill cut short */
        memcpy(at, crash, sizeof *crash);
        capture_record_done(c, CAPTURE_EVENT, 0, sizeof *crash);
    }
    segment_close(c);
}

void capture_bury(const char *folder, uint16_t node, const qrt_event *crash) {
    struct capture c = {.node = node, .fd = -1};
    char path[PATH_SIZE], name[CAPTURE_NAME_MAX];
    struct stat about;
    snprintf(c.folder, sizeof c.folder, "%s", folder);
    taken_before(&c);
    if (!c.number) return;
    capture_name(name, node, c.number);
    path_of(path, folder, name);
    c.fd = open(path, O_RDWR | O_CLOEXEC);
    if (c.fd < 0) return;
    if (!fstat(c.fd, &about) && about.st_size > CAPTURE_HEAD) {
        c.size = c.ready = (size_t)about.st_size;
        void *map = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_SHARED, c.fd, 0);
        c.map = map == MAP_FAILED ? NULL : map;
    }
    if (c.map) bury_in(&c, crash);
    if (c.map) munmap(c.map, c.size);
    if (c.fd >= 0) close(c.fd);
}
