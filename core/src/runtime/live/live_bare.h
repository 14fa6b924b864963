/* What a live commit is measured against: quorum rounds over bare ZeroMQ, with nothing around them. */
#ifndef RUNTIME_LIVE_BARE_H
#define RUNTIME_LIVE_BARE_H

#include <stdbool.h>

#include "runtime/live/live_load.h"

#define BARE_LEAST 128u /* bytes of an answer, and of the smallest message */

/* Three parties, with the sockets that live nodes have, and over tcp in processes of their own as they are: one sends a message to
 * the two others, which answer with its first 128 bytes; a round is over with the first answer, which makes a majority with
 * the sender. */
struct bare;

/* Messages of `size` bytes, from BARE_LEAST to WIRE_FRAME_MAX. Party i's threads run on the processor cpus[i] alone; NULL:
 * wherever. */
struct bare *bare_new(bool tcp, uint32_t size, const int *cpus, struct error *e);
/* As many rounds as the spec has proposals, as many of them under way and as often; its size is not asked. */
qrt_status bare_rounds(struct bare *b, const struct load_spec *spec, struct load_report *r, struct error *e);
void bare_free(struct bare *b);

/* This thread, and those that it starts from now on; -1: any processor again. */
void live_pin_here(int cpu);
/* All threads of a node's process, or a node's thread. */
void live_pin(void *runtime, uint16_t node, int cpu);

#endif
