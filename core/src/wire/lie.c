/* What a liar says: the message that its protocol sent, with one field made false. Each message is drawn on its own, so a
 * liar tells different peers different things (Lamport, Shostak and Pease 1982), and the frame bears a sound seal: only
 * what the receiver knows itself can tell. */
#include "base/random.h"
#include "wire/wire.h"

enum { FIELDS_MAX = 16 };

struct field {
    uint32_t at, size; /* of the frame's bytes */
    bool bytes;        /* a byte string, not a number */
};

/* The numbers and the byte strings that are not empty; 0 for a frame that is not whole. */
static size_t fields_of(const uint8_t *frame, size_t size, struct field fields[FIELDS_MAX]) {
    size_t count = 0;
    uint32_t at = WIRE_HEADER, length;
    switch ((enum wire_kind)frame[9]) {
#define F(type, name)                                                    \
    if (at + sizeof(type) > size) return 0;                              \
    fields[count++] = (struct field){at, (uint32_t)sizeof(type), false}; \
    at += (uint32_t)sizeof(type);
#define B(name)                                                     \
    if (at + sizeof length > size) return 0;                        \
    memcpy(&length, frame + at, sizeof length);                     \
    at += (uint32_t)sizeof length;                                  \
    if (length > size - at) return 0;                               \
    if (length) fields[count++] = (struct field){at, length, true}; \
    at += length;
#define M(number, name, NAME)                                \
    case WIRE_##NAME: {                                      \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) break; \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
#undef F
    }
    return count;
}

/* A number is off by one to four, and never below zero; a flag says the opposite. */
static void change_number(uint8_t *at, uint32_t size, uint64_t bits) {
    uint64_t value = 0, step = 1 + (bits >> 8 & 3);
    memcpy(&value, at, size);
    if (size == 1)
        value ^= 1;
    else if (bits & 1 && value >= step)
        value -= step;
    else
        value += step;
    memcpy(at, &value, size);
}

bool wire_lie(uint8_t *frame, size_t size, uint64_t bits, uint64_t cluster_id) {
    struct field fields[FIELDS_MAX];
    size_t count = size >= WIRE_HEADER ? fields_of(frame, size, fields) : 0;
    if (!count) return false;
    const struct field *f = &fields[random_scale(random_mix(bits), count)];
    uint64_t how = random_mix(bits + 1);
    if (f->bytes)
        frame[f->at + random_scale(how, f->size)] ^= (uint8_t)(1 + random_scale(random_mix(how), 255));
    else
        change_number(frame + f->at, f->size, how);
    wire_seal(frame, size, wire_id(frame), cluster_id);
    return true;
}
