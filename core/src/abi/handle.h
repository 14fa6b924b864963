/* What every handle begins with: who it is, whether somebody is inside, who holds it, and its last error.
 *
 * A handle is used by one thread at a time. Entering one that another thread (or a callback of this one) is inside of, that
 * another thread holds between its calls, that was closed, or that another process made before fork(2), is refused with a
 * sentence; nothing is touched.
 *
 * Closing and freeing are two things. What was closed refuses every call but owns nothing; its few bytes stay until it is
 * freed. So a front end may close on one thread while another is on its way in with the pointer, without a lock of its own. */
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
    uint32_t kind;                 /* enum handle_kind; 0: freed */
    int state;                     /* enum handle_state in handle.c; atomic */
    uint64_t process;              /* the fork generation that made it */
    const void *holder;            /* the thread that holds it, while one does */
    uint32_t holds;                /* how often; of whoever is inside */
    int64_t slice_ns;              /* a long call comes back after this much work */
    void (*end)(struct handle *h); /* frees what it owns */
    struct error error;
};

/* end: called once, when nobody is inside; frees what the handle owns, and not the handle. */
void handle_init(struct handle *h, enum handle_kind kind, void (*end)(struct handle *h));
/* QRT_OK: the caller is inside and leaves by handle_leave. Clears the handle's last error. */
qrt_status handle_enter(struct handle *h, enum handle_kind kind);
/* Leaves, with the result of the call. What went wrong is from then on told to this thread, whatever others do. */
qrt_status handle_leave(struct handle *h, qrt_status status);
/* Refuses a call without entering: "key must not be NULL", told of that handle (which may be NULL as well). */
qrt_status handle_null(const void *handle, const char *what);
/* For calls that do not enter: is it there, and neither closed nor freed? */
bool handle_open(const struct handle *h, enum handle_kind kind);
/* Ends a handle, unless it was closed, and frees it. False, with nothing done and the error set, while somebody is inside; and
 * in a child of fork(2), whose parent it belongs to. */
bool handle_free(struct handle *h, enum handle_kind kind);

#endif
