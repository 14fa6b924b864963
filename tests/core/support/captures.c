#include "support/captures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

char captures_folder[64];

int captures_setup(void **state) {
    (void)state;
    snprintf(captures_folder, sizeof captures_folder, "/tmp/quorate-capture-XXXXXX");
    return mkdtemp(captures_folder) ? 0 : -1;
}

void captures_remove(const char *suffix) {
    DIR *d = opendir(captures_folder);
    char path[512];
    for (struct dirent *entry; d && (entry = readdir(d));) {
        size_t length = strlen(entry->d_name), end = strlen(suffix);
        snprintf(path, sizeof path, "%s/%s", captures_folder, entry->d_name);
        if (entry->d_name[0] != '.' && length >= end && !strcmp(entry->d_name + length - end, suffix)) unlink(path);
    }
    if (d) closedir(d);
}

int captures_teardown(void **state) {
    (void)state;
    captures_remove("");
    rmdir(captures_folder);
    return 0;
}

struct capture_replay *captures_replayed(void) {
    struct error e = {0};
    struct capture_replay *r = capture_replay_new(captures_folder, NULL, &e);
    if (!r) fail_msg("%s", e.text);
    r->replay->tells = true;
    while (!capture_replay_run(r, 1000000)) continue;
    return r;
}

enum verdict captures_judged(const struct history *h) {
    struct linear_options options = {.model = LINEAR_KV, .seconds = 30};
    struct linear *l = linear_new(h, &options);
    while (!linear_step(l, 1000000)) continue;
    enum verdict verdict = linear_result(l)->verdict;
    if (verdict != VERDICT_OK) print_message("    %s\n", linear_result(l)->explanation);
    linear_free(l);
    return verdict;
}
