/* Histories of clients in captures, both sides. See capture_history.h. */
#include "runtime/capture_history.h"

#include <stdio.h>
#include <string.h>

#define KEY_THERE 0x20 /* nil is not "" */
#define VALUE_THERE 0x40
#define EXPECTED_THERE 0x80
#define FUNCTION_MASK 0x1f
#define RESULT_THERE 0x10
#define OUTCOME_MASK 0x0f

/* ---- writing ---- */

static void on_invoke(void *capture, size_t number, const struct history_operation *op) {
    size_t size = 36 + (size_t)op->key.size + op->value.size + op->expected.size;
    int flags = op->function | (op->key.data ? KEY_THERE : 0) | (op->value.data ? VALUE_THERE : 0) |
                (op->expected.data ? EXPECTED_THERE : 0);
    uint8_t *at = capture_record_begin(capture, size);
    if (!at) return;
    struct writer w = writer_of(at, size);
    write_u64(&w, number);
    write_u64(&w, op->process);
    write_i64(&w, op->invoke_ns);
    write_bytes(&w, op->key);
    write_bytes(&w, op->value);
    write_bytes(&w, op->expected);
    capture_record_done(capture, CAPTURE_INVOKE, (uint8_t)flags, size);
}

static void on_return(void *capture, size_t number, const struct history_operation *op, int64_t time) {
    size_t size = 24 + (size_t)op->result.size;
    uint8_t *at = capture_record_begin(capture, size);
    if (!at) return;
    struct writer w = writer_of(at, size);
    write_u64(&w, number);
    write_i64(&w, op->status);
    write_i64(&w, time);
    writer_put(&w, op->result.data, op->result.size);
    capture_record_done(capture, CAPTURE_RETURN, (uint8_t)(op->outcome | (op->result.data ? RESULT_THERE : 0)), size);
}

struct capture *capture_history_open(const char *folder, int64_t limit, struct history *h) {
    struct capture *c = capture_open(folder, QRT_CLIENT, limit);
    h->sink = (struct history_sink){on_invoke, on_return, c};
    return c;
}

void capture_history_close(struct capture **c, struct history *h) {
    h->sink = (struct history_sink){0};
    capture_close(c);
}

/* ---- reading ---- */

/* False: it is nil and has bytes. */
static bool nil_or_bytes(struct bytes *b, bool there) {
    if (!there && b->size) return false;
    if (!b->size) *b = there ? bytes_text("") : (struct bytes){0};
    return true;
}

static bool take_invoke(struct history *h, const struct capture_record *r) {
    struct reader at = reader_of(r->body);
    uint64_t number = read_u64(&at), process = read_u64(&at);
    struct history_operation op = {.function = r->flags & FUNCTION_MASK, .process = (uint32_t)process};
    op.invoke_ns = read_i64(&at);
    op.key = read_bytes(&at);
    op.value = read_bytes(&at);
    op.expected = read_bytes(&at);
    bool sound = !at.failed && !reader_left(&at) && number == h->count && process <= UINT32_MAX &&
                 history_function_name(op.function) && nil_or_bytes(&op.key, r->flags & KEY_THERE) &&
                 nil_or_bytes(&op.value, r->flags & VALUE_THERE) &&
                 nil_or_bytes(&op.expected, r->flags & EXPECTED_THERE);
    if (sound) history_invoke(h, &op);
    return sound;
}

static bool take_return(struct history *h, const struct capture_record *r) {
    struct reader at = reader_of(r->body);
    uint64_t number = read_u64(&at);
    int64_t status = read_i64(&at), time = read_i64(&at);
    uint8_t outcome = r->flags & OUTCOME_MASK;
    struct bytes result = bytes_of(at.at, reader_left(&at));
    bool sound = !at.failed && number < h->count && h->operations[number].outcome == HISTORY_PENDING &&
                 outcome >= HISTORY_OK && outcome <= HISTORY_UNKNOWN && status >= INT32_MIN && status <= INT32_MAX &&
                 nil_or_bytes(&result, r->flags & RESULT_THERE);
    if (sound) history_return(h, number, (enum history_outcome)outcome, (qrt_status)status, result, time);
    return sound;
}

bool captured_history_take(struct history *h, const struct capture_record *r) {
    if (r->kind == CAPTURE_INVOKE) return take_invoke(h, r);
    return r->kind == CAPTURE_RETURN && take_return(h, r);
}

void captured_history_open(struct captured_history *c, const char *folder, uint64_t identity) {
    *c = (struct captured_history){0};
    capture_reader_open(&c->reader, folder, QRT_CLIENT, identity);
}

bool captured_history_there(const struct captured_history *c) {
    return c->reader.segment_count > 0;
}

static void end(struct captured_history *c, const struct capture_record *r) {
    char name[CAPTURE_NAME_MAX];
    const struct capture_reader *reader = &c->reader;
    capture_name(name, reader->node, reader->segment_at ? reader->numbers[reader->segment_at - 1] : 1);
    c->ended = true;
    if (r->kind == CAPTURE_GAP)
        snprintf(c->why, sizeof c->why, "%.*s", (int)r->body.size, (const char *)r->body.data);
    else
        snprintf(c->why, sizeof c->why, "%s: a record is malformed", name);
}

bool captured_history_read(struct captured_history *c, size_t records) {
    for (; records && !c->ended; records--) {
        const struct capture_record *r = capture_peek(&c->reader, 0);
        if (!r) return true;
        if (!captured_history_take(&c->history, r)) end(c, r);
        capture_take(&c->reader);
    }
    return c->ended;
}

void captured_history_close(struct captured_history *c) {
    capture_reader_close(&c->reader);
    history_free(&c->history);
    *c = (struct captured_history){0};
}
