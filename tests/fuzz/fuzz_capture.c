/* A segment of a capture from arbitrary bytes: read to its end without harm. The first byte says how: as they are, or as
 * records whose checks are made good, so that what lies behind the checks is reached as well. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "runtime/capture_history.h"

static void put_record(struct buffer *out, uint64_t seed, uint8_t kind, uint8_t flags, struct bytes body) {
    struct capture_record_head r = {(uint32_t)(sizeof r + body.size), kind, flags, 0, 0};
    size_t at = out->size, room = capture_room(body.size);
    r.check = capture_check(seed, at, &r, body.data);
    memset(buffer_extend(out, room), 0, room);
    memcpy(out->data + at, &r, sizeof r);
    if (body.size) memcpy(out->data + at + sizeof r, body.data, body.size);
}

static void sealed_segment(struct buffer *out, struct bytes data) {
    struct capture_head head = {.magic = "QRTCAPT", .format = CAPTURE_FORMAT, .number = 1, .identity = 7, .node = 1};
    head.check = hash_bytes(&head, offsetof(struct capture_head, check), 0);
    memset(buffer_extend(out, CAPTURE_HEAD), 0, CAPTURE_HEAD);
    memcpy(out->data, &head, sizeof head);
    struct reader r = reader_of(data);
    while (reader_left(&r) >= 4) {
        uint8_t kind = read_u8(&r), flags = read_u8(&r);
        uint32_t size = read_u8(&r);
        if (size > reader_left(&r)) size = (uint32_t)reader_left(&r);
        put_record(out, capture_seed(&head), kind % (CAPTURE_LAST + 2), flags, (struct bytes){r.at, size});
        r.at += size;
    }
}

/* What a record does to a history. */
static void read_clients(const struct capture_record *r, struct history *h) {
    size_t count = h->count;
    bool taken = captured_history_take(h, r);
    CHECK(h->count == count + (taken && r->kind == CAPTURE_INVOKE));
}

static void read_body(const struct capture_record *r) {
    struct capture_input input;
    struct capture_start start;
    struct store_checkpoint checkpoint;
    struct store_record record;
    struct bytes blob;
    qrt_event event;
    uint64_t state, events;
    capture_read_input(r, &input);
    capture_read_start(r, &start);
    if (capture_read_checkpoint(r, &checkpoint, &blob)) CHECK(blob.size <= r->body.size);
    if (capture_read_record(r, &record)) CHECK(record.data.size <= r->body.size);
    capture_read_event(r, &event);
    capture_read_outcome(r, &state, &events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct capture_reader r = {.node = 1, .identity = 7};
    struct buffer segment = {0};
    if (size < 1 || size > 65536) return 0;
    if (data[0] & 1)
        sealed_segment(&segment, bytes_of(data + 1, size - 1));
    else
        buffer_append(&segment, data + 1, size - 1);
    capture_load(&r, 1, &segment);
    struct history h = {0};
    for (const struct capture_record *next; (next = capture_peek(&r, 0)); capture_take(&r)) {
        read_body(next);
        read_clients(next, &h);
    }
    history_free(&h);
    capture_reader_close(&r);
    return 0;
}
