/* Conditions are data, evaluated in C at every event:
 *
 *   leader                someone leads (the leader of the highest term that is up)
 *   leader != 3           someone other than node 3 leads
 *   commit >= 10          some node's commit index is at least 10
 *   applied >= 10         every up node has applied 10
 *   term >= 4             some node's term is at least 4
 *   events >= 1000        that many events have been recorded in all
 *   idle                  every client of the workload is done
 *   ticket 7              the proposal or operation with that ticket has ended
 */
#ifndef RUNTIME_CONDITION_H
#define RUNTIME_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum condition_kind {
    CONDITION_NONE = 0,
    CONDITION_LEADER = 1,
    CONDITION_COMMIT = 2,
    CONDITION_APPLIED = 3,
    CONDITION_TERM = 4,
    CONDITION_EVENTS = 5,
    CONDITION_IDLE = 6,
    CONDITION_TICKET = 7,
};

struct condition {
    uint8_t kind;
    uint16_t except; /* leader != */
    uint64_t value;
};

qrt_status condition_parse(struct condition *c, const char *text, struct error *e);

#endif
