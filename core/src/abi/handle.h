/* What every handle begins with: who it is, whether somebody is inside, and its last error.
 *
 * A handle is used by one thread at a time. Entering one that another thread (or a callback of this one) is inside of, or
 * that another process made before fork(2), is refused with a sentence; nothing is touched. */
#ifndef ABI_HANDLE_H
#define ABI_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/last_error.h"

enum handle_kind {
    HANDLE_CLUSTER = 0x71636c31,
    HANDLE_TRACE = 0x71747231,
    HANDLE_HISTORY = 0x71686931,
    HANDLE_CAMPAIGN = 0x71636131,
    HANDLE_BENCH = 0x71626531,
    HANDLE_RING = 0x71726931,
    HANDLE_DETECTOR = 0x71646531,
    HANDLE_MIXTURE = 0x716d6931,
    HANDLE_METER = 0x716d6531,
    HANDLE_REPLAY = 0x71727031
};

struct handle {
    uint32_t kind;
    int inside;       /* atomic */
    uint64_t process; /* the fork generation that made it */
    int64_t slice_ns; /* a long call comes back after this much work */
    struct error error;
};

void handle_init(struct handle *h, enum handle_kind kind);
/* QRT_OK: the caller is inside and leaves by handle_leave. Clears the handle's last error. */
qrt_status handle_enter(struct handle *h, enum handle_kind kind);
/* Leaves, with the result of the call. */
qrt_status handle_leave(struct handle *h, qrt_status status);
/* May it be freed? False, with the error set, when somebody is inside. */
bool handle_close(struct handle *h, enum handle_kind kind);

#endif
