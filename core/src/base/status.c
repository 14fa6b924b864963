#include "base/status.h"

#include <stdio.h>

/* clang-format off */
#define STATUS_LIST(X) \
    X(QRT_OK,           "ok",           "success") \
    X(QRT_MORE,         "more",         "not finished yet; call again") \
    X(QRT_EINVAL,       "invalid",      "an argument makes no sense") \
    X(QRT_EOPTION,      "no-option",    "there is no option of that name") \
    X(QRT_ETYPE,        "type",         "the value has the wrong type") \
    X(QRT_ERANGE,       "range",        "the value is outside its range") \
    X(QRT_EPARSE,       "parse",        "the text is malformed") \
    X(QRT_ECLOSED,      "closed",       "the handle was closed") \
    X(QRT_EBUSY,        "busy",         "the handle is in use on another thread or inside a callback") \
    X(QRT_EFORKED,      "forked",       "the handle was made before fork(2), by another process") \
    X(QRT_EUNSUPPORTED, "unsupported",  "this build, runtime or protocol cannot do that") \
    X(QRT_ENOTFOUND,    "not-found",    "there is nothing of that name") \
    X(QRT_EDENIED,      "denied",       "the key has no right to ask for that") \
    X(QRT_ENOLEADER,    "no-leader",    "there is no leader") \
    X(QRT_ENOTLEADER,   "not-leader",   "this node does not lead") \
    X(QRT_EDOWN,        "down",         "the node is not up") \
    X(QRT_EFAILED,      "failed",       "the operation was not executed") \
    X(QRT_EUNKNOWN,     "unknown",      "the operation may or may not have been executed") \
    X(QRT_ETOOLARGE,    "too-large",    "the value is larger than the limit") \
    X(QRT_ETIMEOUT,     "timeout",      "the condition did not come true in time") \
    X(QRT_EFULL,        "full",         "a bounded queue or disk is full") \
    X(QRT_ECAS,         "cas-mismatch", "compare-and-set found another value") \
    X(QRT_ESESSION,     "session",      "the client session has expired or is unknown") \
    X(QRT_ECORRUPT,     "corrupt",      "a checksum or structure is wrong") \
    X(QRT_EFOREIGN,     "foreign",      "the data belongs to another cluster or node") \
    X(QRT_ENEWER,       "newer",        "the data was written by a newer version") \
    X(QRT_EIO,          "io",           "reading, writing or syncing failed") \
    X(QRT_ESCRIPT,      "script",       "a state machine or script raised an error") \
    X(QRT_ENOMEM,       "no-memory",    "out of memory") \
    X(QRT_EINTERNAL,    "internal",     "a bug in Quorate; please report it with this message")
/* clang-format on */

const char *status_name(qrt_status status) {
    switch (status) {
#define X(code, name, text) \
    case code: return name;
        STATUS_LIST(X)
#undef X
    }
    return "unknown-status";
}

const char *status_text(qrt_status status) {
    switch (status) {
#define X(code, name, text) \
    case code: return text;
        STATUS_LIST(X)
#undef X
    }
    return "unknown status code";
}

#undef STATUS_LIST

qrt_status error_set(struct error *e, qrt_status status, const char *format, ...) {
    if (!e) return status;
    e->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return status;
}
