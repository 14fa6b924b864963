#include "wire/wire.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "wire/codec.h"

size_t wire_size(const struct message *m) {
    uint64_t size = 0;
    switch ((enum wire_kind)m->kind) {
#define B(name) +4 + (uint64_t)from->name.size
#define M(number, name, NAME)                                                           \
    case WIRE_##NAME: {                                                                 \
        const struct wire_##name *from = &m->as.name;                                   \
        (void)from;                                                                     \
        size = (uint64_t)WIRE_HEADER + WIRE_##NAME##_FIXED_SIZE WIRE_##NAME##_BLOBS(B); \
        break;                                                                          \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
    }
    return size <= WIRE_FRAME_MAX ? (size_t)size : 0;
}

void wire_encode(const struct message *m, uint8_t *out) {
    uint8_t *at = encode_header(m, out);
    switch ((enum wire_kind)m->kind) {
#define M(number, name, NAME) \
    case WIRE_##NAME: encode_##name(&m->as.name, at); break;
        WIRE_MESSAGES(M)
#undef M
    }
}

size_t wire_append(const struct message *m, struct buffer *out) {
    return codec_append(m, out);
}

void wire_seal(uint8_t *frame, size_t size, uint64_t id, uint64_t cluster_id) {
    memcpy(frame + 16, &id, sizeof id);
    uint64_t checksum = hash_bytes(frame + 8, size - 8, cluster_id);
    memcpy(frame, &checksum, sizeof checksum);
}

bool wire_decode_unsealed(struct bytes frame, struct message *m) {
    return codec_decode(frame, m);
}

bool wire_is_sealed(struct bytes frame, uint64_t cluster_id) {
    if (frame.size < WIRE_HEADER || frame.size > WIRE_FRAME_MAX) return false;
    return hash_bytes(frame.data + 8, frame.size - 8, cluster_id) == wire_checksum(frame.data);
}

bool wire_decode(struct bytes frame, uint64_t cluster_id, struct message *m) {
    return wire_is_sealed(frame, cluster_id) && wire_decode_unsealed(frame, m);
}

const char *wire_kind_name(uint8_t kind) {
    switch ((enum wire_kind)kind) {
#define M(number, name, NAME) \
    case WIRE_##NAME: return #name;
        WIRE_MESSAGES(M)
#undef M
    }
    return "unknown";
}

int wire_describe(const struct message *m, char *out, size_t size) {
    int used = snprintf(out, size, "%s n%u->n%u", wire_kind_name(m->kind), m->from, m->to);
    switch ((enum wire_kind)m->kind) {
#define F(type, name)                     \
    if (used >= 0 && (size_t)used < size) \
        used += snprintf(out + used, size - (size_t)used, " " #name "=%" PRIu64, (uint64_t)from->name);
#define B(name)                           \
    if (used >= 0 && (size_t)used < size) \
        used += snprintf(out + used, size - (size_t)used, " " #name "=[%" PRIu32 " B]", from->name.size);
#define M(number, name, NAME)                                \
    case WIRE_##NAME: {                                      \
        const struct wire_##name *from = &m->as.name;        \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) break; \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
#undef F
    }
    return used;
}
