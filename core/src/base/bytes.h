/* Bytes: a borrowed slice, a bounded reader and a bounded writer, little-endian. A reader never goes past its
 * end: after a short read `failed` is set, everything reads as zero, and the caller checks once at the end.
 * A writer that runs out of room sets `failed` and writes no more. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes { /* borrowed; never freed through this */
    const uint8_t *data;
    uint32_t size;
};

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

struct writer {
    uint8_t *at, *end;
    bool failed;
};

static inline struct bytes bytes_of(const void *data, size_t size) {
    return (struct bytes){data, (uint32_t)size};
}
static inline struct bytes bytes_text(const char *text) {
    return (struct bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}
static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* memcmp order, the shorter first when one is a prefix of the other. */
static inline int bytes_compare(struct bytes a, struct bytes b) {
    uint32_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order) return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline struct reader reader_of(struct bytes b) {
    return (struct reader){b.data, b.data ? b.data + b.size : b.data, false};
}
static inline size_t reader_left(const struct reader *r) {
    return r->failed ? 0 : (size_t)(r->end - r->at);
}
static inline bool reader_take(struct reader *r, void *out, size_t size) {
    if (__builtin_expect(r->failed || (size_t)(r->end - r->at) < size, 0)) {
        r->failed = true;
        memset(out, 0, size);
        return false;
    }
    memcpy(out, r->at, size);
    r->at += size;
    return true;
}
static inline struct writer writer_of(void *data, size_t size) {
    return (struct writer){data, (uint8_t *)data + size, false};
}
static inline void writer_put(struct writer *w, const void *data, size_t size) {
    if (__builtin_expect(w->failed || (size_t)(w->end - w->at) < size, 0)) {
        w->failed = true;
        return;
    }
    if (size) memcpy(w->at, data, size);
    w->at += size;
}

/* Integers are little-endian on the wire and on disk. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Quorate's wire and disk formats are little-endian; this machine needs byte swaps in base/bytes.h"
#endif
#define BYTES_INTEGER(type, name)                               \
    static inline type read_##name(struct reader *r) {          \
        type v;                                                 \
        reader_take(r, &v, sizeof v);                           \
        return v;                                               \
    }                                                           \
    static inline void write_##name(struct writer *w, type v) { \
        writer_put(w, &v, sizeof v);                            \
    }
BYTES_INTEGER(uint8_t, u8)
BYTES_INTEGER(uint16_t, u16)
BYTES_INTEGER(uint32_t, u32)
BYTES_INTEGER(uint64_t, u64)
BYTES_INTEGER(int64_t, i64)
#undef BYTES_INTEGER

/* A blob is a u32 length and its bytes; what is read points into the reader's memory. */
static inline struct bytes read_bytes(struct reader *r) {
    uint32_t size = read_u32(r);
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return (struct bytes){0};
    }
    struct bytes b = {r->at, size};
    r->at += size;
    return b;
}
static inline void write_bytes(struct writer *w, struct bytes b) {
    write_u32(w, b.size);
    writer_put(w, b.data, b.size);
}

#endif
