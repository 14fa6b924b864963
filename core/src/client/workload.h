/* A workload is seeded data beside the plan: how many clients ask for what, how often, how patiently.
 * JSON: {"clients": 8, "operations": 2000, "machine": "kv", "mix": {"get": 0.5, "put": 0.3, "cas": 0.2},
 *        "keys": 5, "key_skew": 0, "value_size": 8, "timeout": 1.0, "retry": true, "retry_after": 0.2,
 *        "think": 0.0}
 * Times are seconds, or text with a unit ("250ms"). retry_after: else 0.2 s or timeout / 4. */
#ifndef CLIENT_WORKLOAD_H
#define CLIENT_WORKLOAD_H

#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "machine/command.h"
#include "machine/tree.h"

#define WORKLOAD_MIX_MAX 12
#define WORKLOAD_MACHINE_MAX 16 /* bytes of a machine's name, with its end */
#define WORKLOAD_VALUE_MAX 4000 /* bytes of a drawn value */

struct workload {
    char machine[WORKLOAD_MACHINE_MAX]; /* whose commands: "kv", "register", "counter", "lock" */
    uint32_t clients;
    uint64_t operations; /* in all, shared evenly; 0: until stopped */
    struct {
        uint8_t operation;
        double weight;
    } mix[WORKLOAD_MIX_MAX];
    uint32_t mix_count;
    uint32_t keys;       /* "k0" .. */
    double key_skew;     /* 0 uniform; else Zipf-like exponent */
    uint32_t value_size; /* bytes; every written value is unique ("c3-17" padded) */
    int64_t timeout_ns;  /* an operation not answered by then ends unknown, or failed when it was never sent */
    int64_t retry_ns;    /* resend to the next node (or the hinted leader) when not answered by then */
    bool retry;          /* false: resent after a refusal only, never after silence */
    int64_t think_ns;    /* mean pause between operations, exponential */
};

/* w holds the defaults for what is absent: begin with workload_standard. Where the text names a machine, they
 * are that machine's. Errors name line and column, and leave w as it was. */
qrt_status workload_parse(struct workload *w, struct bytes json, struct error *e);
void workload_print(const struct workload *w, struct buffer *out);
void workload_standard(struct workload *w, const char *machine);

/* A drawn command; its bytes point into scratch or into what the client saw. */
struct workload_draw {
    struct command command;
    uint8_t scratch[4096];
};
/* Draws the next command of a client (its number, without QRT_CLIENT). written counts the values that it
 * wrote, so that each is new; seen maps keys to the values that the client last saw or wrote: a cas expects
 * that one, or now and then another. */
void workload_draw(const struct workload *w, struct random *r, uint16_t client, uint64_t *written,
                   const struct tree *seen, struct workload_draw *draw);

#endif
