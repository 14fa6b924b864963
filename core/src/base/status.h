/* Status codes in words: one X-macro gives code, name and text (the codes themselves are public, in
 * quorate.h), and struct error carries the sentence that a user reads. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

#include "quorate.h"

#define ERROR_TEXT_MAX 512

struct error {
    qrt_status status;
    char text[ERROR_TEXT_MAX];
};

/* Without an error. The text is not wiped: half a kilobyte is too much for what nearly always goes well. */
static inline void error_clear(struct error *e) {
    e->status = QRT_OK;
    e->text[0] = 0;
}
/* Fills e (which may be NULL) and returns status, so that `return error_set(e, QRT_ERANGE, ...)` reads well. */
qrt_status error_set(struct error *e, qrt_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "no-leader" for QRT_ENOLEADER; "unknown-status" for a code that does not exist. */
const char *status_name(qrt_status status);
/* "there is no leader" for QRT_ENOLEADER. */
const char *status_text(qrt_status status);

#endif
