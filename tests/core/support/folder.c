#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>

char folder[64];

int folder_make(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/var/tmp/quorate-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int folder_remove(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}
