/* Captures, the reading side. See capture_read.h. */
#include "runtime/capture_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"

#define FILE_MAX (CAPTURE_RECORD_MAX + 4 * CAPTURE_SEGMENT)
#define WHY_MAX 320

struct capture_segment {
    uint8_t *bytes;
    size_t size, waiting; /* waiting: records of it that were not taken */
    char why[WHY_MAX];    /* of its gap */
};

/* ---- files ---- */

static qrt_status read_file(const char *path, struct buffer *out, struct error *e) {
    struct stat about;
    if (stat(path, &about) && errno == ENOENT) return error_set(e, QRT_ENOTFOUND, "%s: %s", path, strerror(errno));
    return file_read(path, FILE_MAX, out, e);
}

qrt_status capture_about(const char *folder, struct buffer *about, struct error *e) {
    char path[OPTION_TEXT_MAX + CAPTURE_NAME_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, CAPTURE_FILE);
    qrt_status status = read_file(path, about, e);
    if (status != QRT_ENOTFOUND) return status;
    return error_set(e, QRT_ENOTFOUND, "%s holds no capture: there is no %s in it", folder, CAPTURE_FILE);
}

void capture_reader_open(struct capture_reader *r, const char *folder, uint16_t node, uint64_t identity) {
    *r = (struct capture_reader){.node = node, .identity = identity};
    snprintf(r->folder, sizeof r->folder, "%s", folder);
    r->numbers = capture_segments(folder, node, &r->segment_count);
}

void capture_reader_close(struct capture_reader *r) {
    while (r->head < r->count) capture_take(r);
    free(r->numbers);
    free(r->records);
    *r = (struct capture_reader){0};
}

/* ---- records ---- */

static void add(struct capture_reader *r, struct capture_segment *s, struct capture_record record) {
    r->records = mem_grow(r->records, &r->capacity, r->count + 1, sizeof *r->records);
    record.segment = s;
    s->waiting++;
    r->records[r->count++] = record;
}

static void add_gap(struct capture_reader *r, struct capture_segment *s, uint32_t number, const char *what, size_t at) {
    char name[CAPTURE_NAME_MAX];
    capture_name(name, r->node, number);
    snprintf(s->why, sizeof s->why, "%s, byte %zu: %s", name, at, what);
    r->gaps++;
    add(r, s, (struct capture_record){.kind = CAPTURE_GAP, .progress = -1, .body = bytes_text(s->why)});
}

static const char *head_problem(const struct capture_reader *r, uint32_t number, const struct capture_segment *s,
                                struct capture_head *head) {
    if (s->size < CAPTURE_HEAD) return "it is shorter than its head";
    memcpy(head, s->bytes, sizeof *head);
    if (memcmp(head->magic, "QRTCAPT", 8)) return "it is no segment of a capture";
    if (head->format != CAPTURE_FORMAT) return "it has another format, that of another version of Quorate";
    if (hash_bytes(s->bytes, offsetof(struct capture_head, check), 0) != head->check) return "its head is damaged";
    if (head->identity != r->identity) return "it belongs to another capture: protocol or options are not the same";
    if (head->node != r->node || head->number != number) return "it belongs to another place of the capture";
    return NULL;
}

bool capture_is_input(uint16_t kind) {
    return kind == CAPTURE_RECOVERED || kind == CAPTURE_FRAME || kind == CAPTURE_TIMER || kind == CAPTURE_PROPOSE ||
           kind == CAPTURE_FLUSH_END || kind == CAPTURE_SAVED || kind == CAPTURE_ROOM;
}

/* Why the record at `at` is not sound; NULL: it is. */
static const char *record_problem(const struct capture_segment *s, uint64_t seed, size_t at,
                                  struct capture_record_head *h) {
    memcpy(h, s->bytes + at, sizeof *h);
    if (h->size < sizeof *h) return "a record's size makes no sense";
    if (h->size > s->size - at) return "the file ends within a record";
    if (capture_check(seed, at, h, s->bytes + at + sizeof *h) != h->check) return "a record's check is wrong";
    if (h->kind < CAPTURE_START || h->kind > CAPTURE_LAST || h->zero) return "a record is of an unknown kind";
    return NULL;
}

static void read_records(struct capture_reader *r, struct capture_segment *s, const struct capture_head *head) {
    uint64_t seed = capture_seed(head);
    size_t at = CAPTURE_HEAD;
    struct capture_record_head h;
    while (at < s->size) {
        uint32_t size = 0;
        if (s->size - at >= sizeof size) memcpy(&size, s->bytes + at, sizeof size);
        if (!size && s->size - at >= sizeof size) break;
        const char *why = s->size - at < sizeof h ? "the file ends within a record" : record_problem(s, seed, at, &h);
        if (why) {
            add_gap(r, s, head->number, why, at);
            return;
        }
        struct bytes body = bytes_of(s->bytes + at + sizeof h, h.size - sizeof h);
        if (h.kind == CAPTURE_ENDED) { /* its own words, which are checked */
            char text[CAPTURE_WHY_MAX + 32];
            snprintf(text, sizeof text, "the capture stopped here: %.*s",
                     (int)(body.size < CAPTURE_WHY_MAX ? body.size : CAPTURE_WHY_MAX), (const char *)body.data);
            add_gap(r, s, head->number, text, at);
            return;
        }
        int64_t progress = capture_is_input(h.kind) && head->progress_at == at ? (int64_t)head->progress : -1;
        add(r, s, (struct capture_record){.kind = h.kind, .flags = h.flags, .progress = progress, .body = body});
        at += capture_room(body.size);
    }
    /* A kill in the middle of a record leaves its body behind a size of 0, and `used` before it: that is no gap. */
    if (at < head->used) add_gap(r, s, head->number, "it ends before the place that its head names", at);
}

void capture_load(struct capture_reader *r, uint32_t number, struct buffer *bytes) {
    struct capture_segment *s = mem_zero(1, sizeof *s);
    struct capture_head head;
    s->bytes = bytes->data;
    s->size = bytes->size;
    *bytes = (struct buffer){0};
    r->bytes += s->size;
    s->waiting = 1; /* until it is read */
    const char *why = head_problem(r, number, s, &head);
    if (why) {
        add_gap(r, s, number, why, 0);
    } else {
        memcpy(r->version, head.version, sizeof r->version);
        r->version[sizeof r->version - 1] = 0;
        read_records(r, s, &head);
    }
    if (--s->waiting) return;
    free(s->bytes);
    free(s);
}

static void load_next(struct capture_reader *r) {
    char path[OPTION_TEXT_MAX + CAPTURE_NAME_MAX], name[CAPTURE_NAME_MAX];
    struct buffer bytes = {0};
    uint32_t number = r->numbers[r->segment_at++];
    capture_name(name, r->node, number);
    snprintf(path, sizeof path, "%s/%s", r->folder, name);
    read_file(path, &bytes, NULL); /* what cannot be read is shorter than its head */
    capture_load(r, number, &bytes);
}

/* A segment that is missing is seen by the numbers. */
static void see_missing(struct capture_reader *r) {
    uint32_t before = r->segment_at ? r->numbers[r->segment_at - 1] : 0;
    if (r->numbers[r->segment_at] == before + 1) return;
    struct capture_segment *s = mem_zero(1, sizeof *s);
    add_gap(r, s, before + 1, "it is missing", 0);
}

const struct capture_record *capture_peek(struct capture_reader *r, size_t ahead) {
    while (r->count - r->head <= ahead && r->segment_at < r->segment_count) {
        see_missing(r);
        load_next(r);
    }
    return r->count - r->head > ahead ? &r->records[r->head + ahead] : NULL;
}

void capture_take(struct capture_reader *r) {
    struct capture_segment *s = r->records[r->head++].segment;
    if (--s->waiting == 0) {
        free(s->bytes);
        free(s);
    }
    if (r->head == r->count) r->head = r->count = 0;
}

void capture_drop(struct capture_reader *r, size_t ahead) {
    r->records[r->head + ahead].kind = CAPTURE_NONE;
}

/* ---- bodies ---- */

bool capture_read_input(const struct capture_record *r, struct capture_input *out) {
    struct reader at = reader_of(r->body);
    out->time = read_i64(&at);
    out->mono = read_i64(&at);
    out->wall = read_i64(&at);
    out->number = read_u64(&at);
    uint64_t group = read_u64(&at);
    out->group = (uint16_t)group;
    out->data = bytes_of(at.at, reader_left(&at));
    return !at.failed && group <= UINT16_MAX;
}

bool capture_read_start(const struct capture_record *r, struct capture_start *out) {
    struct reader at = reader_of(r->body);
    out->time = read_i64(&at);
    out->mono = read_i64(&at);
    out->wall = read_i64(&at);
    uint64_t incarnation = read_u64(&at);
    out->incarnation = (uint32_t)incarnation;
    out->sends = read_u64(&at);
    out->proposals = read_u64(&at);
    out->armed = read_u64(&at);
    out->cluster_id = read_u64(&at);
    uint64_t bursts = read_u64(&at);
    out->bursts = bursts == 1;
    return !at.failed && !reader_left(&at) && incarnation < UINT32_MAX && bursts <= 1;
}

bool capture_read_checkpoint(const struct capture_record *r, struct store_checkpoint *out, struct bytes *blob) {
    struct reader at = reader_of(r->body);
    *out = (struct store_checkpoint){0};
    uint64_t group = read_u64(&at);
    out->group = (uint16_t)group;
    out->index = read_u64(&at);
    out->term = read_u64(&at);
    out->meta = read_bytes(&at);
    *blob = read_bytes(&at);
    return !at.failed && !reader_left(&at) && group < UINT16_MAX;
}

bool capture_read_record(const struct capture_record *r, struct store_record *out) {
    struct reader at = reader_of(r->body);
    *out = (struct store_record){0};
    uint64_t group = read_u64(&at);
    out->group = (uint16_t)group;
    out->data = bytes_of(at.at, reader_left(&at));
    return !at.failed && group < UINT16_MAX;
}

bool capture_read_event(const struct capture_record *r, qrt_event *out) {
    if (r->body.size != sizeof *out) return false;
    memcpy(out, r->body.data, sizeof *out);
    return out->kind < 64;
}

bool capture_read_outcome(const struct capture_record *r, uint64_t *state, uint64_t *events) {
    struct reader at = reader_of(r->body);
    *state = read_u64(&at);
    *events = read_u64(&at);
    return !at.failed && !reader_left(&at);
}
