#include "support/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[4096];

static const char *path_try(const char *folder, const char *between, const char *relative) {
    snprintf(path, sizeof path, "%s%s/%s", folder, between, relative);
    return access(path, R_OK) ? NULL : path;
}

const char *data_path(const char *relative) {
    static const char *const parents[] = {"..", "../..", "../../..", "../../../.."};
    const char *given = getenv("QUORATE_DATA"), *found = NULL;
    if (given) found = path_try(given, "", relative);
#ifdef QUORATE_SOURCE_DIR
    if (!found && !given) found = path_try(QUORATE_SOURCE_DIR, "/../shared/data", relative);
#endif
    for (size_t i = 0; !found && !given && i < sizeof parents / sizeof *parents; i++)
        found = path_try(parents[i], "/shared/data", relative);
    if (!found) fprintf(stderr, "skipped: %s is not here; set QUORATE_DATA to the folder of the vectors\n", relative);
    return found;
}
