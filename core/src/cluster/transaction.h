/* Transactions of a cluster whose protocol is one of atomic commit: begun by hand, waited for, reported. What is known of one
 * beyond its answer (who has voted and decided what, who was blocked for how long) comes from its checker. */
#ifndef CLUSTER_TRANSACTION_H
#define CLUSTER_TRANSACTION_H

#include <jansson.h>

#include "cluster/cluster.h"

/* Proposes it at `coordinator` (0: the first participant). Nodes in any order. QRT_ENOTFOUND, QRT_EDOWN: of a node that does
 * not exist or is not up; QRT_EUNSUPPORTED: the protocol has no transactions. */
qrt_status cluster_transact(struct cluster *c, uint16_t coordinator, const qrt_participant *participants, size_t count,
                            uint64_t *ticket, struct error *e);
/* As cluster_await; an unknown outcome is waited for further, until every participant that is up has decided. */
qrt_status cluster_transaction_await(struct cluster *c, uint64_t ticket, int64_t until, int64_t slice_ns,
                                     struct error *e);
/* JSON into c->text; NULL: no such transaction. */
const char *report_transaction(struct cluster *c, uint64_t ticket, struct error *e);
/* For the report of a check; NULL where there are none. */
json_t *report_transactions(struct cluster *c);

#endif
