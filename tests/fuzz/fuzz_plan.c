/* Plans from arbitrary bytes: refused with a reason, or read and then written and read again to the same text; and what
 * was read can be carried out. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fault/faults.h"

#define NODES 5

static void carry_out(const struct plan *p) {
    struct faults *f = faults_new(p, 1, NODES);
    struct fault_action action;
    struct fault_fate fate;
    for (int steps = 0; steps < 200 && faults_next(f) != INT64_MAX; steps++) {
        if (!faults_take(f, faults_next(f), &action)) continue;
        uint16_t who[NODES];
        uint16_t count = fault_targets(&action.directive, action.random, NODES, 1, NULL, who);
        for (uint16_t i = 0; i < count && !action.applied; i++) faults_hit(f, &action, who[i]);
        if (action.directive.verb == FAULT_PARTITION) faults_partition(f, &action, 1);
        faults_message(f, 1, 2, (uint64_t)steps, 64, &fate);
        CHECK(!fate.corrupt || fate.corrupt_bit < 512);
    }
    faults_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct plan p, again;
    struct error e = {0};
    if (size > 65536) return 0;
    if (plan_parse(&p, bytes_of(data, size), NODES, &e)) {
        CHECK(e.text[0]);
        return 0;
    }
    struct buffer once = {0}, twice = {0};
    plan_print(&p, &once);
    CHECK(plan_parse(&again, bytes_of(once.data, once.size), NODES, &e) == QRT_OK);
    plan_print(&again, &twice);
    CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    carry_out(&p);
    plan_free(&p);
    plan_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
    return 0;
}
