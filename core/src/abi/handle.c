#include "abi/handle.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLICE_NS = 20000000 };

enum handle_state {
    STATE_FREE = 0,
    STATE_INSIDE = 1, /* somebody is inside */
    STATE_HELD = 2,   /* nobody is, and only the holder may enter */
    STATE_CLOSED = 3, /* nobody enters again */
};

static _Thread_local struct error thread_error;
static _Thread_local const void *told; /* the handle that the thread's error is about; NULL: about none */
static uint64_t generation = 1;        /* of this process: counts forks */
static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void forked(void) {
    generation++;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forked);
}

qrt_status last_error_set(const struct error *e) {
    thread_error = *e;
    told = NULL;
    return e->status;
}

qrt_status last_error_format(qrt_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    thread_error.status = status;
    vsnprintf(thread_error.text, sizeof thread_error.text, format, args);
    va_end(args);
    told = NULL;
    return status;
}

qrt_status last_error_null(const char *what) {
    return last_error_format(QRT_EINVAL, "%s must not be NULL", what);
}

void handle_init(struct handle *h, enum handle_kind kind, void (*end)(struct handle *h)) {
    pthread_once(&watched, watch_forks);
    if (told == h) told = NULL; /* about one that lay there before */
    *h = (struct handle){.kind = kind, .process = generation, .slice_ns = SLICE_NS, .end = end};
}

static const char *noun_of(enum handle_kind kind) {
    switch (kind) {
    case HANDLE_CLUSTER: return "cluster";
    case HANDLE_TRACE: return "trace";
    case HANDLE_HISTORY: return "history";
    case HANDLE_CAMPAIGN: return "campaign";
    case HANDLE_BENCH: return "bench";
    case HANDLE_RING: return "ring";
    case HANDLE_DETECTOR: return "detector";
    case HANDLE_MIXTURE: return "mixture";
    case HANDLE_METER: return "meter";
    case HANDLE_REPLAY: return "replay";
    }
    return "handle";
}

static const void *this_thread(void) {
    return &told;
}

/* Why it may not be entered; the thread's error says so. state: what it was found in. */
static qrt_status refuse(const struct handle *h, enum handle_kind kind, int state) {
    const char *noun = noun_of(kind);
    qrt_status status;
    if (!h)
        status = last_error_format(QRT_ECLOSED, "the %s is closed (or was never made)", noun);
    else if (h->kind != kind)
        status = last_error_format(QRT_EINVAL, "the handle is not that of a %s, or was freed", noun);
    else if (h->process != generation)
        status = last_error_format(QRT_EFORKED,
                                   "the %s was made before fork(2) by another process; make one in this process", noun);
    else if (state == STATE_CLOSED)
        status = last_error_format(QRT_ECLOSED, "the %s is closed", noun);
    else
        status = last_error_format(
            QRT_EBUSY, "the %s is in use: by another thread, or by the call whose callback this is; one call at a time",
            noun);
    told = h;
    return status;
}

static bool state_change(struct handle *h, int *from, int to) {
    return __atomic_compare_exchange_n(&h->state, from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static qrt_status admit(struct handle *h, enum handle_kind kind) {
    int state = STATE_FREE;
    if (!h || h->kind != kind || h->process != generation) return refuse(h, kind, state);
    if (state_change(h, &state, STATE_INSIDE)) return QRT_OK;
    if (state == STATE_HELD && __atomic_load_n(&h->holder, __ATOMIC_RELAXED) == this_thread() &&
        state_change(h, &state, STATE_INSIDE))
        return QRT_OK;
    return refuse(h, kind, state);
}

qrt_status handle_enter(struct handle *h, enum handle_kind kind) {
    qrt_status s = admit(h, kind);
    if (s) return s;
    error_clear(&h->error);
    if (told == h) told = NULL;
    return QRT_OK;
}

static void step_out(struct handle *h) {
    __atomic_store_n(&h->state, h->holds ? STATE_HELD : STATE_FREE, __ATOMIC_RELEASE);
}

qrt_status handle_leave(struct handle *h, qrt_status status) {
    if (status < 0 && !h->error.status) error_set(&h->error, status, "%s", status_text(status));
    if (h->error.status) {
        thread_error = h->error;
        told = h;
    }
    step_out(h);
    return status;
}

qrt_status handle_null(const void *handle, const char *what) {
    qrt_status s = last_error_null(what);
    told = handle;
    return s;
}

bool handle_open(const struct handle *h, enum handle_kind kind) {
    return h && h->kind == kind && __atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != STATE_CLOSED;
}

/* A child of fork must not tear down its parent's sockets and threads: there it only becomes unusable, which it is. */
static qrt_status handle_close(struct handle *h, enum handle_kind kind) {
    bool ended = h->process != generation || __atomic_load_n(&h->state, __ATOMIC_ACQUIRE) == STATE_CLOSED;
    if (h->kind == kind && ended) return QRT_OK;
    qrt_status s = admit(h, kind);
    if (s) return s;
    h->end(h);
    __atomic_store_n(&h->state, STATE_CLOSED, __ATOMIC_RELEASE);
    return QRT_OK;
}

bool handle_free(struct handle *h, enum handle_kind kind) {
    if (handle_close(h, kind) || h->process != generation) return false;
    h->kind = 0;
    free(h);
    return true;
}

static enum handle_kind kind_of(const struct handle *h) {
    return h ? (enum handle_kind)h->kind : HANDLE_CLUSTER;
}

QRT_API qrt_status qrt_close(void *handle) {
    struct handle *h = handle;
    return h ? handle_close(h, kind_of(h)) : QRT_OK;
}

QRT_API qrt_status qrt_hold(void *handle) {
    struct handle *h = handle;
    qrt_status s = handle_enter(h, kind_of(h));
    if (s) return s;
    h->holds++;
    __atomic_store_n(&h->holder, this_thread(), __ATOMIC_RELAXED);
    return handle_leave(h, QRT_OK);
}

/* The handle's last error stays as it is, so that it can be read after this. */
QRT_API qrt_status qrt_release(void *handle) {
    struct handle *h = handle;
    qrt_status s = admit(h, kind_of(h));
    if (s) return s;
    if (h->holds)
        h->holds--;
    else
        s = QRT_EINVAL;
    step_out(h);
    return s ? last_error_format(s, "the %s is not held, so it cannot be released", noun_of(kind_of(h))) : s;
}

/* A runtime takes a slice of 0 for one without end, so "at once" is the shortest there is. */
QRT_API qrt_status qrt_slice(void *handle, int64_t ns) {
    struct handle *h = handle;
    qrt_status s = handle_enter(h, kind_of(h));
    if (s) return s;
    h->slice_ns = ns < 0 ? SLICE_NS : ns ? ns : 1;
    return handle_leave(h, QRT_OK);
}

QRT_API const char *qrt_last_error(const void *handle) {
    if (!handle || told == handle) return thread_error.text;
    return ((const struct handle *)handle)->error.text;
}

QRT_API qrt_status qrt_last_status(const void *handle) {
    if (!handle || told == handle) return thread_error.status;
    return ((const struct handle *)handle)->error.status;
}
