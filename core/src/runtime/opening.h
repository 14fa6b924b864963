/* How a node that lived before begins again: its store is opened, and what it finds says how it starts. */
#ifndef RUNTIME_OPENING_H
#define RUNTIME_OPENING_H

#include "protocol/protocol.h"
#include "store/store.h"

/* Takes the disk, also when it fails. how: qrt_start. Damage is repaired from the peers where there are some and the protocol
 * stands a lost disk; elsewhere it is QRT_ECORRUPT, with the record named and why it is not repaired. */
qrt_status opening_store(struct store **out, struct disk *disk, struct store_identity id,
                         const struct protocol *protocol, uint16_t members, uint8_t *how, struct error *e);

#endif
