/* Replays of captures across the ABI. */
#include <stdlib.h>

#include "abi/abi_cluster.h"
#include "cluster/capture_replay.h"

struct qrt_replay {
    struct handle handle;
    struct capture_replay *replay;
    bool begun;
};

static void replay_end(struct handle *h) {
    capture_replay_free(((qrt_replay *)h)->replay);
}

QRT_API qrt_status qrt_replay_new(qrt_replay **out, const char *folder, const char *bug) {
    struct error e = {0};
    if (!out || !folder) return last_error_null("out and folder");
    *out = NULL;
    struct capture_replay *r = capture_replay_new(folder, bug, &e);
    if (!r) return last_error_set(&e);
    *out = mem_zero(1, sizeof **out);
    handle_init(&(*out)->handle, HANDLE_REPLAY, replay_end);
    (*out)->replay = r;
    return QRT_OK;
}

QRT_API void qrt_replay_free(qrt_replay **r) {
    if (r && *r && handle_free(&(*r)->handle, HANDLE_REPLAY)) *r = NULL;
}

QRT_API qrt_status qrt_replay_run(qrt_replay *r) {
    qrt_status s = handle_enter(r ? &r->handle : NULL, HANDLE_REPLAY);
    if (s) return s;
    r->begun = true;
    return handle_leave(&r->handle, capture_replay_run(r->replay, r->handle.slice_ns) ? QRT_OK : QRT_MORE);
}

QRT_API qrt_status qrt_replay_record(qrt_replay *r, uint64_t events) {
    qrt_status s = handle_enter(r ? &r->handle : NULL, HANDLE_REPLAY);
    if (s) return s;
    if (r->begun)
        s = error_set(&r->handle.error, QRT_EINVAL, "the replay has begun: say before it how much to record");
    else
        r->replay->replay->kept.keep = events;
    return handle_leave(&r->handle, s);
}

QRT_API qrt_status qrt_replay_trace(qrt_replay *r, qrt_trace **out) {
    qrt_status s = handle_enter(r ? &r->handle : NULL, HANDLE_REPLAY);
    if (s) return s;
    if (!out) return handle_leave(&r->handle, error_set(&r->handle.error, QRT_EINVAL, "out must not be NULL"));
    const struct replay *p = r->replay->replay;
    *out = trace_snapshot(&p->kept, r->replay->cluster, p->first.node && p->events ? p->events - 1 : UINT64_MAX);
    return handle_leave(&r->handle, QRT_OK);
}

QRT_API const char *qrt_replay_report(qrt_replay *r) {
    if (handle_enter(r ? &r->handle : NULL, HANDLE_REPLAY)) return NULL;
    const char *report = NULL;
    if (r->replay->done)
        report = capture_replay_report(r->replay);
    else
        error_set(&r->handle.error, QRT_EINVAL, "the replay is still running; call qrt_replay_run until it is done");
    handle_leave(&r->handle, QRT_OK);
    return report;
}
