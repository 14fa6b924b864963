#include "abi/handle.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

enum { SLICE_NS = 20000000 };

static _Thread_local struct error thread_error;
static _Thread_local const void *refused; /* the handle that the thread's error is about; NULL: about none */
static uint64_t generation = 1;           /* of this process: counts forks */
static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void forked(void) {
    generation++;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forked);
}

void last_error_set(const struct error *e) {
    thread_error = *e;
    refused = NULL;
}

qrt_status last_error_format(qrt_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    thread_error.status = status;
    vsnprintf(thread_error.text, sizeof thread_error.text, format, args);
    va_end(args);
    refused = NULL;
    return status;
}

void handle_init(struct handle *h, enum handle_kind kind) {
    pthread_once(&watched, watch_forks);
    *h = (struct handle){.kind = kind, .process = generation, .slice_ns = SLICE_NS};
}

static qrt_status refuse(const struct handle *h, qrt_status status, const char *text) {
    last_error_format(status, "%s", text);
    refused = h;
    return status;
}

static qrt_status admit(struct handle *h, enum handle_kind kind) {
    if (!h) return refuse(h, QRT_ECLOSED, "the handle is closed (or was never made)");
    if (h->kind != kind) return refuse(h, QRT_EINVAL, "the handle is of another kind, or was freed");
    if (h->process != generation)
        return refuse(h, QRT_EFORKED,
                      "the handle was made before fork(2) by another process; make one in this process");
    if (__atomic_exchange_n(&h->inside, 1, __ATOMIC_ACQUIRE))
        return refuse(
            h, QRT_EBUSY,
            "the handle is in use: by another thread, or by the call whose callback this is; one call at a time");
    return QRT_OK;
}

qrt_status handle_enter(struct handle *h, enum handle_kind kind) {
    qrt_status s = admit(h, kind);
    if (s) return s;
    error_clear(&h->error);
    if (refused == h) refused = NULL;
    return QRT_OK;
}

qrt_status handle_leave(struct handle *h, qrt_status status) {
    __atomic_store_n(&h->inside, 0, __ATOMIC_RELEASE);
    return status;
}

bool handle_close(struct handle *h, enum handle_kind kind) {
    if (!h || h->process != generation)
        return false; /* a child of fork must not tear down its parent's sockets and threads */
    if (admit(h, kind)) return false;
    h->kind = 0;
    return true;
}

/* A runtime takes a slice of 0 for one without end, so "at once" is the shortest there is. */
QRT_API qrt_status qrt_slice(void *handle, int64_t ns) {
    struct handle *h = handle;
    qrt_status s = handle_enter(h, h ? (enum handle_kind)h->kind : HANDLE_CLUSTER);
    if (s) return s;
    h->slice_ns = ns < 0 ? SLICE_NS : ns ? ns : 1;
    return handle_leave(h, QRT_OK);
}

QRT_API const char *qrt_last_error(const void *handle) {
    if (!handle || refused == handle) return thread_error.text;
    return ((const struct handle *)handle)->error.text;
}

QRT_API qrt_status qrt_last_status(const void *handle) {
    if (!handle || refused == handle) return thread_error.status;
    return ((const struct handle *)handle)->error.status;
}
