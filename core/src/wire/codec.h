/* The encoder and the decoder themselves, for the two places that every message of a simulated run passes:
 * there they stand in line. Everything else calls wire.h. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "wire/wire.h"

#define IN_LINE static inline __attribute__((always_inline))

enum { /* the bytes that the fixed fields of each message take */
#define F(type, name) +sizeof(type)
#define M(number, name, NAME) WIRE_##NAME##_FIXED_SIZE = 0 WIRE_##NAME##_FIXED(F),
       WIRE_MESSAGES(M)
#undef M
#undef F
};

IN_LINE uint8_t *codec_put(uint8_t *at, const void *value, size_t size) {
    if (size) memcpy(at, value, size);
    return at + size;
}

#define F(type, name) at = codec_put(at, &from->name, sizeof(type));
#define B(name)                              \
    at = codec_put(at, &from->name.size, 4); \
    at = codec_put(at, from->name.data, from->name.size);
#define M(number, name, NAME)                                                 \
    IN_LINE void encode_##name(const struct wire_##name *from, uint8_t *at) { \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B)(void) at;               \
    }
WIRE_MESSAGES(M)
#undef M
#undef B
#undef F

/* The word behind the checksum in one store: it is soon read back as one, by the checksum. */
IN_LINE uint8_t *encode_header(const struct message *m, uint8_t *out) {
    uint64_t word = WIRE_VERSION | (uint64_t)m->kind << 8 | (uint64_t)m->group << 16 | (uint64_t)m->from << 32 |
                    (uint64_t)m->to << 48;
    codec_put(out, &(uint64_t){0}, 8); /* unsealed: a held frame is part of a fingerprint */
    codec_put(out + 8, &word, 8);
    return codec_put(out + 16, &m->id, 8);
}

/* Encodes where `place` says, when it is told the size. Returns the size; 0, and no place was asked for, when wire_size would. */
IN_LINE size_t codec_place(const struct message *m, uint8_t *(*place)(void *self, size_t size), void *self) {
    switch ((enum wire_kind)m->kind) {
#define B(name) +4 + (uint64_t)from->name.size
#define M(number, name, NAME)                                                                    \
    case WIRE_##NAME: {                                                                          \
        const struct wire_##name *from = &m->as.name;                                            \
        uint64_t size = (uint64_t)WIRE_HEADER + WIRE_##NAME##_FIXED_SIZE WIRE_##NAME##_BLOBS(B); \
        if (size > WIRE_FRAME_MAX) return 0;                                                     \
        encode_##name(from, encode_header(m, place(self, (size_t)size)));                        \
        return (size_t)size;                                                                     \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
    }
    return 0;
}

static inline uint8_t *place_behind(void *buffer, size_t size) {
    return buffer_extend(buffer, size);
}

/* See wire_append. */
IN_LINE size_t codec_append(const struct message *m, struct buffer *out) {
    return codec_place(m, place_behind, out);
}

/* The caller has checked that the fixed fields fit; the blobs are checked here, and so is the exact end. */
#define F(type, name)                      \
    memcpy(&to->name, r.at, sizeof(type)); \
    r.at += sizeof(type);
#define B(name) to->name = read_bytes(&r);
#define M(number, name, NAME)                                                            \
    IN_LINE bool decode_##name(struct reader r, struct wire_##name *to) {                \
        if ((size_t)(r.end - r.at) < (size_t)WIRE_##NAME##_FIXED_SIZE) return false;     \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) return !r.failed && r.at == r.end; \
    }
WIRE_MESSAGES(M)
#undef M
#undef B
#undef F

/* See wire_decode_unsealed. */
IN_LINE bool codec_decode(struct bytes frame, struct message *m) {
    if (frame.size < WIRE_HEADER || frame.size > WIRE_FRAME_MAX || frame.data[WIRE_VERSION_AT] != WIRE_VERSION)
        return false;
    m->kind = frame.data[9];
    memcpy(&m->group, frame.data + 10, 2);
    memcpy(&m->from, frame.data + WIRE_FROM, 2);
    memcpy(&m->to, frame.data + WIRE_TO, 2);
    memcpy(&m->id, frame.data + 16, 8);
    struct reader r = {frame.data + WIRE_HEADER, frame.data + frame.size, false};
    switch ((enum wire_kind)m->kind) {
#define M(number, name, NAME) \
    case WIRE_##NAME: return decode_##name(r, &m->as.name);
        WIRE_MESSAGES(M)
#undef M
    }
    return false;
}

#undef IN_LINE

#endif
