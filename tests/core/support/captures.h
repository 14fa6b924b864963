/* Captures in tests: a folder for one, its replay, its clients' history. */
#ifndef TESTS_SUPPORT_CAPTURES_H
#define TESTS_SUPPORT_CAPTURES_H

#include "cluster/capture_replay.h"

extern char captures_folder[64];

/* Makes the folder; cmocka's set-up. */
int captures_setup(void **state);
/* Removes its files whose names end so ("": all); and, torn down, the folder too. */
void captures_remove(const char *suffix);
int captures_teardown(void **state);
/* The folder's capture, replayed to its end with the nodes' history; the caller's, for capture_replay_free. */
struct capture_replay *captures_replayed(void);
/* Whether the operations are linearizable, as those of a key-value store. */
enum verdict captures_judged(const struct history *h);

#endif
