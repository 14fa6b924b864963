/* Bare group commits: what durable clusters are measured against. */
#ifndef RUNTIME_LIVE_COMMITS_H
#define RUNTIME_LIVE_COMMITS_H

#include <pthread.h>
#include <sys/types.h>

#include "runtime/live/live_load.h"

#define COMMIT_WRITERS_MAX 3

struct commit_writer {
    const char *folder;
    const struct load_spec *spec;
    int file, cpu; /* cpu: which it is pinned to; -1: none */
    off_t at;      /* of the next group */
    int64_t ns;    /* that the last groups took */
    int number;    /* errno of what failed; 0: nothing */
    pthread_t thread;
    bool running;
};

struct commits {
    struct commit_writer writers[COMMIT_WRITERS_MAX];
    int count; /* writers; 0: none was opened */
};

/* One writer: the least that a group commit can be. As many as a cluster has nodes: what its disks have to do where they are
 * one disk. Files are made in the folder, 16 MiB each, with their blocks. cpus: NULL, or a writer's each. */
qrt_status commits_open(struct commits *c, const char *folder, int writers, const int *cpus, struct error *e);
/* So many records, a group of `window` at a time, each writer for itself; over when more than half of the writers are. */
qrt_status commits_run(struct commits *c, const struct load_spec *spec, struct load_report *r, struct error *e);
void commits_close(struct commits *c);

#endif
