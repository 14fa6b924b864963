/* What a live commit is measured against: quorum rounds over bare ZeroMQ, with nothing around them. */
#ifndef RUNTIME_LIVE_BARE_H
#define RUNTIME_LIVE_BARE_H

#include "base/status.h"

/* Three parties over tcp on this host, with the sockets that live nodes have: one sends 128 bytes to the two others, which
 * send them back; a round is over with the first answer, which makes a majority with the sender. `window` rounds are under way
 * at a time. Fills the wall ns of `rounds` of them. */
qrt_status live_bare_rounds(uint32_t window, uint64_t rounds, int64_t *ns, struct error *e);

#endif
