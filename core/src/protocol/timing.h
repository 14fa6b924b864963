/* Timing options that two protocols have: those of a leader who is followed as long as it is heard. */
#ifndef PROTOCOL_TIMING_H
#define PROTOCOL_TIMING_H

#include "base/status.h"

/* ns. Between half the timeout and the whole, half of it is used; from the whole on, nobody can have meant it. */
static inline qrt_status timing_fits(int64_t heartbeat, int64_t timeout, struct error *e) {
    if (heartbeat < timeout) return QRT_OK;
    return error_set(
        e, QRT_ERANGE,
        "heartbeat_interval must be below election_timeout: with %.6g s and %.6g s the others would ask for "
        "an election before the first heartbeat is due; a fifth of the timeout is usual",
        (double)heartbeat / 1e9, (double)timeout / 1e9);
}

#endif
