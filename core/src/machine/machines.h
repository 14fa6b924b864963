/* The tables of the built-in machines, and what they share: the head of a snapshot and numbers as text. */
#ifndef MACHINE_MACHINES_H
#define MACHINE_MACHINES_H

#include <inttypes.h>

#include "machine/command.h"
#include "machine/machine.h"

extern const struct machine_class machine_kv, machine_register, machine_counter, machine_lock;

/* Every snapshot begins with its machine's letter and the version of its layout. */
enum { SNAPSHOT_KV = 'k', SNAPSHOT_REGISTER = 'r', SNAPSHOT_COUNTER = 'c', SNAPSHOT_LOCK = 'l' };
enum { SNAPSHOT_VERSION = 1 };

static inline void snapshot_head(struct buffer *out, uint8_t machine) {
    uint8_t head[2] = {machine, SNAPSHOT_VERSION};
    buffer_append(out, head, sizeof head);
}
static inline bool snapshot_is(struct reader *in, uint8_t machine) {
    bool mine = read_u8(in) == machine;
    return read_u8(in) == SNAPSHOT_VERSION && mine && !in->failed;
}
static inline qrt_status reply_number(struct buffer *reply, int64_t number) {
    buffer_printf(reply, "%" PRId64, number);
    return QRT_OK;
}
static inline qrt_status reply_bytes(struct buffer *reply, qrt_status status, struct bytes b) {
    buffer_append(reply, b.data, b.size);
    return status;
}

#endif
