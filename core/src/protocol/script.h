/* A protocol whose step is a user's own: a Python class or a Lua table, behind the table that every protocol fills.
 *
 *   event --> script_step --> script_class callback --> script_* effects --> outbox
 *
 * The user's code lives on the other side of the callbacks, as a number that `create` gave; its state crosses as
 * bytes, when a cluster is forked or fingerprinted. What a callback wants done it says through the functions below;
 * what is wrong with a wish, and what the callback itself raised, crashes the node behind the effects that it had
 * by then.
 *
 * Invariants
 *  1. All randomness is the stream in this state, so that a clone draws what its original draws.
 *  2. A step has bounded effects and bytes (SCRIPT_*_MAX); what goes beyond raises.
 *  3. `stored` is what the last persist gave, in this incarnation or before; every persist replaces the one before. */
#ifndef PROTOCOL_SCRIPT_H
#define PROTOCOL_SCRIPT_H

#include "protocol/protocol.h"

#define SCRIPT_FORM 1                   /* of messages: the bytes of the script's own language */
#define SCRIPT_TIMERS_MAX 64            /* names that a node may ever use */
#define SCRIPT_TIMER_NAME_MAX 32        /* bytes of one, its end included */
#define SCRIPT_EFFECTS_MAX 10000        /* of one step */
#define SCRIPT_BYTES_MAX (4u << 20)     /* sent, persisted and answered in one step */
#define SCRIPT_MESSAGE_MAX (512u << 10) /* of one message, record or answer */

struct script;

struct script_class {
    const char *name, *summary;
    void *context;
    uint64_t (*create)(void *context, uint16_t node, const uint16_t *members, uint16_t count); /* 0: it failed */
    void (*destroy)(void *context, uint64_t own);
    /* The state as deterministic bytes, appended, and back. False: it cannot, and the class has noted why. */
    bool (*save)(void *context, uint64_t own, struct buffer *out);
    bool (*load)(void *context, uint64_t own, struct bytes saved);
    void (*describe)(void *context, uint64_t own, struct buffer *out); /* one line for people, appended */
    void (*start)(void *context, uint64_t own, struct script *x, uint8_t how, bool has_stored, struct bytes stored);
    void (*message)(void *context, uint64_t own, struct script *x, uint16_t from, struct bytes data);
    void (*timer)(void *context, uint64_t own, struct script *x, const char *name);
    void (*propose)(void *context, uint64_t own, struct script *x, uint64_t ticket, struct bytes value);
    /* NULL: it does not want to know. */
    void (*opinion)(void *context, uint64_t own, struct script *x, uint16_t peer, bool suspected, double suspicion);
};

/* The protocol that runs a class: copy it, set name, summary, judged_by and context to a struct script_class. */
extern const struct protocol protocol_script;

/* ---- for callbacks, on the node whose step is under way ---- */

/* The node's code failed, or asked for the impossible: it crashes here. The first reason stands. */
void script_raise(struct script *x, const char *text);
/* to 0: all other members. before_durable: does not wait for what was persisted before it. */
void script_send(struct script *x, uint16_t to, struct bytes data, bool before_durable);
void script_timer(struct script *x, const char *name, int64_t delay_ns); /* INT64_MAX clears */
void script_persist(struct script *x, struct bytes data);
void script_answer(struct script *x, uint64_t ticket, qrt_status status, uint16_t leader, uint64_t term, uint64_t index,
                   struct bytes data);
/* An event of the trace, of the kinds that protocols emit: TERM to CAUGHT_UP, NOTE, BALLOT, DECIDE, STATE; within
 * start, START: it says what came back. ROLE (peer: who leads, to its knowledge), TERM and COMMIT also set what people
 * and conditions see of the node. */
void script_note(struct script *x, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                 uint64_t link, uint64_t value);
uint64_t script_random(struct script *x);
int64_t script_mono(const struct script *x);
int64_t script_wall(const struct script *x);

#endif
