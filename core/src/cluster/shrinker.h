/* A failing run made small: the same run under smaller and smaller plans (fault/shrink.h), as long as it fails in the same way:
 * a property that was violated still is, or nothing is committed once the faults are over. Everything else of the run, its
 * options, clients and seed, stays. */
#ifndef CLUSTER_SHRINKER_H
#define CLUSTER_SHRINKER_H

#include "cluster/runner.h"

struct shrinker;

/* of: a run of a built-in protocol that is done; copied. NULL with the error: it did not fail. */
struct shrinker *shrinker_new(const struct runner *of, struct error *e);
void shrinker_free(struct shrinker *s);
/* True when no smaller plan is found, or with the error; else comes back after about slice_ns of wall time (0: runs to the end). */
bool shrinker_step(struct shrinker *s, int64_t slice_ns, struct error *e);
/* What it has come to. */
uint32_t shrinker_tries(const struct shrinker *s);
size_t shrinker_directives(const struct shrinker *s);
/* The file of the smallest run so far, as spec_print writes it, with "shrunk": {"from", "to", "tries"}: directives, and runs. */
void shrinker_print(const struct shrinker *s, struct buffer *out);

#endif
