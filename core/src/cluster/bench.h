/* Benchmarks that carry their own baselines: each measurement runs baseline and subject in turn, several times, and
 * reports the medians and the median of the ratios pair by pair, so that a noisy machine spoils neither. */
#ifndef CLUSTER_BENCH_H
#define CLUSTER_BENCH_H

#include "cluster/cluster.h"

struct bench;

struct bench *bench_new(const char *name, struct error *e); /* a group ("sim", "place", ...) or one result's name */
void bench_free(struct bench *b);
/* One measurement; QRT_MORE until all are made. Ctrl-C cuts it short: QRT_MORE, and the next call makes it anew. */
qrt_status bench_run(struct bench *b, struct error *e);
const char *bench_report(struct bench *b);

/* The bare loop: a 4-ary heap of 16-byte keys over 64-byte messages; pop, decode, update, re-encode, draw a delay, push.
 * Returns the wall ns of `events` events with `pending` of them in the heap. */
int64_t bench_bare_loop(uint32_t pending, uint64_t events);
/* Wall ns of so many single-decree Paxos decisions among three acceptors, one after the other, both phases each, over a queue
 * without an event heap; *messages: how many they took. */
int64_t bench_paxos_decisions(uint64_t decisions, uint64_t *messages);

#endif
