/* Files. Those that people name: plans, runs, histories, scripts, keys. One that is no regular file is refused before a byte of it is
 * read: a pipe would block, a device might never end. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/memory.h"
#include "base/status.h"

#define FILE_SIZE_MAX (UINT64_C(1) << 30) /* of what may be read whole */

/* Whether it can be read whole, of at most that many bytes. QRT_EIO says why not. */
qrt_status file_check(const char *path, uint64_t most, struct error *e);
/* Appends what is in it. QRT_EIO says why that cannot be. */
qrt_status file_read(const char *path, uint64_t most, struct buffer *out, struct error *e);

/* Writes all of it at that offset; false with errno. */
bool file_write_at(int fd, const void *data, uint64_t size, uint64_t offset);

#endif
