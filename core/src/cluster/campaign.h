/* A campaign: many seeds on all cores, each a run of its own (runner.h). What it reports does not depend on the number
 * of jobs: rows stand in seed order, and the campaign's hash is over all trace hashes in that order. */
#ifndef CLUSTER_CAMPAIGN_H
#define CLUSTER_CAMPAIGN_H

#include "cluster/runner.h"

struct campaign;

/* JSON: {"protocol", "seeds", "first", "nodes", "bug", "plan", "jobs", "outside", "damage", "events"}; only protocol is required. */
struct campaign *campaign_new(struct bytes spec_json, struct error *e);
/* Stops the workers after the seeds that they are at, waits for them, frees. */
void campaign_free(struct campaign *c);
/* Starts the workers when called first; waits at most wait_ns. QRT_MORE until all seeds have run. */
qrt_status campaign_run(struct campaign *c, int64_t wait_ns, uint64_t *done, uint64_t *total);
const char *campaign_report(struct campaign *c); /* JSON; the campaign's until the next call */
const qrt_campaign_row *campaign_rows(const struct campaign *c, size_t *count);
/* The run file of one seed of such a campaign, without running it. */
qrt_status campaign_run_file(struct bytes spec_json, uint64_t seed, struct buffer *out, struct error *e);

/* What one seed of such a campaign runs. own: a script's protocol, or NULL for the one that the spec names. */
qrt_status campaign_draw(struct bytes spec_json, const struct protocol *own, uint64_t seed, struct run_spec *spec,
                         struct error *e);

#endif
