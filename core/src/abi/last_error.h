/* The last error of this thread's calls that had no handle, or whose handle refused to be entered. */
#ifndef ABI_LAST_ERROR_H
#define ABI_LAST_ERROR_H

#include "base/status.h"

/* Each sets it, and returns its status. */
qrt_status last_error_set(const struct error *e);
qrt_status last_error_null(const char *what); /* "out must not be NULL" */
qrt_status last_error_format(qrt_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
