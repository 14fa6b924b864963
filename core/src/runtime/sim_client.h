/* Adding and driving simulated clients. */
#ifndef RUNTIME_SIM_CLIENT_H
#define RUNTIME_SIM_CLIENT_H

#include "runtime/sim.h"

/* A client with a workload, or a manual one (NULL). Returns its id. */
uint16_t sim_client_add(struct sim *s, const struct workload *w, uint64_t operations);
/* One operation of a manual client; its ticket ends when the operation does. QRT_EBUSY while one is under way. */
qrt_status sim_client_submit(struct sim *s, uint16_t id, uint8_t operation, struct bytes command, uint64_t *ticket);
/* The workload's clients finish what is under way and begin nothing new. */
void sim_clients_stop(struct sim *s);

#endif
