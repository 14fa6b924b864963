/* Frames. A message is one frame:
 *
 *   0        8         9      10      12     14   16        24
 *   +--------+---------+------+-------+------+----+---------+--------------+-------------------+
 *   |checksum| version | kind | group | from | to |   id    | fixed fields | (u32 size, bytes)*|
 *   +--------+---------+------+-------+------+----+---------+--------------+-------------------+
 *
 * little-endian. The checksum is XXH3-64 over bytes 8.. with the cluster id as its seed: the envelope's seal.
 * `id` is unique in a run: sender << 40 | the sender's count of sends; it links a receive to its send. */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/messages.h"

#define WIRE_VERSION 1
/* Where a frame has its version, its sender and its receiver. */
#define WIRE_VERSION_AT 8
#define WIRE_FROM 12
#define WIRE_TO 14
#define WIRE_HEADER 24
#define WIRE_FRAME_MAX (1u << 20) /* no frame is larger; larger things go in chunks */

enum wire_kind {
#define M(number, name, NAME) WIRE_##NAME = number,
    WIRE_MESSAGES(M)
#undef M
};

#define F(type, name) type name;
#define B(name) struct bytes name;
#define M(number, name, NAME)                         \
    struct wire_##name {                              \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) \
    };
WIRE_MESSAGES(M)
#undef M
#undef B
#undef F

struct message {
    uint8_t kind; /* enum wire_kind */
    uint16_t group, from, to;
    uint64_t id;
    union {
#define M(number, name, NAME) struct wire_##name name;
        WIRE_MESSAGES(M)
#undef M
    } as;
};

/* The frame's size, 0 for a kind that does not exist or a frame over WIRE_FRAME_MAX. */
size_t wire_size(const struct message *m);
/* Encodes into out, which has room for wire_size(m) bytes. Checksum and id are left to wire_seal. */
void wire_encode(const struct message *m, uint8_t *out);
/* Both at once, behind what stands in out. Returns the frame's size, 0 when wire_size would. */
size_t wire_append(const struct message *m, struct buffer *out);
/* Gives the frame its id and its checksum. */
void wire_seal(uint8_t *frame, size_t size, uint64_t id, uint64_t cluster_id);
/* True when a frame of at least a header's size bears the checksum of its bytes. */
bool wire_is_sealed(struct bytes frame, uint64_t cluster_id);
/* True when checksum, version, kind and structure are right; then m is filled, its blobs point into the frame. */
bool wire_decode(struct bytes frame, uint64_t cluster_id, struct message *m);
/* The same without the checksum: for fuzzing the structure, and for frames that never left this process's hands. */
bool wire_decode_unsealed(struct bytes frame, struct message *m);

static inline uint64_t wire_checksum(const uint8_t *frame) {
    uint64_t v;
    memcpy(&v, frame, sizeof v);
    return v;
}
static inline uint64_t wire_id(const uint8_t *frame) {
    uint64_t v;
    memcpy(&v, frame + 16, sizeof v);
    return v;
}

/* Makes one field of a sealed frame false, drawn from the bits, and seals it again: what a liar says. False: the frame has
 * nothing to lie about. */
bool wire_lie(uint8_t *frame, size_t size, uint64_t bits, uint64_t cluster_id);

/* "append_request" for WIRE_APPEND_REQUEST, "unknown" for a number that is no message. */
const char *wire_kind_name(uint8_t kind);
/* One line for people: "append_request n1->n2 term=3 previous_index=17 ...". Returns the length written. */
int wire_describe(const struct message *m, char *out, size_t size);

#endif
