/* What the durable log costs, beside the least that any log must do. The caller interleaves the two calls and
 * divides.
 *
 * Both work in one folder, which must lie on a real disk: on tmpfs a sync costs nothing. The log is in its
 * steady state: checkpoints (which are timed with it) supersede old files, and those are written over. */
#ifndef STORE_STORE_BENCH_H
#define STORE_STORE_BENCH_H

#include "store/store.h"

struct store_bench;

/* Makes the folder, or uses an empty one; NULL with the reason when it cannot. */
struct store_bench *store_bench_new(const char *folder, struct error *e);
/* Nanoseconds for so many group commits of group_size records of 128 bytes: append, flush. Negative on an
 * error. */
int64_t store_bench_group(struct store_bench *b, uint32_t groups, uint32_t group_size, struct error *e);
/* The bare loop: one write of the same payload bytes, rounded up to blocks of 4 KiB, into a preallocated file
 * that holds zeros, and one fdatasync. */
int64_t store_bench_bare(struct store_bench *b, uint32_t groups, uint32_t group_size, struct error *e);
void store_bench_free(struct store_bench **b); /* removes what it made, the folder too */

#endif
