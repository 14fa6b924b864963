/* One protocol instance, fed event by event, and what it wants done: for tests of a rule at a time. No driver stands
 * between, so a test sees the order of effects as the protocol gave it. */
#ifndef TESTS_SUPPORT_STEPS_H
#define TESTS_SUPPORT_STEPS_H

#include "protocol/protocol.h"

struct steps {
    const struct protocol *protocol;
    void *state;
    struct outbox out; /* of the last event */
    uint16_t node;
    int64_t mono;
};

/* Members 1..count; options as "name=value name=value" or NULL. Started, as formatted. */
struct steps *steps_new(const char *protocol, uint16_t node, uint16_t count, const char *options, uint64_t bugs);
/* The same, recovered from the records that `from` wrote in its last event (and nothing else). */
struct steps *steps_recovered(const struct steps *from, uint16_t count);
void steps_free(struct steps *s);
void steps_start(struct steps *s, uint8_t how);
void steps_message(struct steps *s, uint16_t from, struct message *m);
void steps_propose(struct steps *s, uint64_t token, const char *value);
void steps_timer(struct steps *s, uint32_t id);
/* Every record of the last event is durable: EVENT_STORED, as often as there were records. */
void steps_stored(struct steps *s);
/* The i-th message of that kind that the last event sends (from 0); fails the test when there is none. */
struct message steps_sent(const struct steps *s, uint8_t kind, size_t i);
size_t steps_count(const struct steps *s, uint8_t effect); /* enum effect_kind */
size_t steps_count_sent(const struct steps *s, uint8_t kind);
size_t steps_count_noted(const struct steps *s, uint8_t kind); /* qrt_kind */
/* The place of the first effect of that kind; SIZE_MAX: none. */
size_t steps_place(const struct steps *s, uint8_t effect);

/* A simulated cluster of any protocol. */
struct cluster;
struct cluster *steps_cluster(const char *protocol, const char *options);
/* Events of a trace: those of that kind, whose detail is between two (inclusive). */
size_t steps_traced(struct cluster *c, uint8_t kind, uint8_t low, uint8_t high);
/* Fails the test, with the property's text, when one is violated or unknown. */
void steps_expect_sound(struct cluster *c);

#endif
