/* A counter of 64 bits: add, read. An addition that would overflow is refused and changes nothing. */
#include <stdlib.h>

#include "base/hash.h"
#include "machine/machines.h"

struct counter {
    int64_t value;
};

static void *counter_create(void *context) {
    (void)context;
    return mem_zero(1, sizeof(struct counter));
}

static void counter_destroy(void *state) {
    free(state);
}

static void *counter_clone(const void *state) {
    return mem_copy(state, sizeof(struct counter));
}

static uint64_t counter_fingerprint(const void *state) {
    const struct counter *counter = state;
    return hash_fold(SNAPSHOT_COUNTER, (uint64_t)counter->value);
}

static qrt_status counter_add(struct counter *counter, struct bytes delta, struct buffer *reply) {
    int64_t number, sum;
    if (!command_number(delta, &number)) return QRT_EINVAL;
    if (__builtin_add_overflow(counter->value, number, &sum)) return QRT_ERANGE;
    counter->value = sum;
    return reply_number(reply, sum);
}

static qrt_status counter_apply(void *state, uint64_t index, struct bytes command, struct buffer *reply,
                                struct error *e) {
    (void)index;
    (void)e;
    struct counter *counter = state;
    struct command c;
    if (!command_decode(command, &c)) return QRT_EINVAL;
    if (c.operation == COMMAND_READ) return reply_number(reply, counter->value);
    return c.operation == COMMAND_ADD ? counter_add(counter, c.value, reply) : QRT_EINVAL;
}

static qrt_status counter_query(const void *state, struct bytes command, struct buffer *reply, struct error *e) {
    (void)e;
    const struct counter *counter = state;
    struct command c;
    if (!command_decode(command, &c) || c.operation != COMMAND_READ) return QRT_EINVAL;
    return reply_number(reply, counter->value);
}

static qrt_status counter_snapshot(const void *state, struct buffer *out, struct error *e) {
    (void)e;
    uint64_t fingerprint = counter_fingerprint(state);
    snapshot_head(out, SNAPSHOT_COUNTER);
    buffer_append(out, state, sizeof(struct counter));
    buffer_append(out, &fingerprint, sizeof fingerprint);
    return QRT_OK;
}

static qrt_status counter_restore(void *state, struct bytes snapshot, struct error *e) {
    struct reader in = reader_of(snapshot);
    bool mine = snapshot_is(&in, SNAPSHOT_COUNTER);
    struct counter counter = {read_i64(&in)};
    uint64_t fingerprint = read_u64(&in);
    if (!mine || in.failed || reader_left(&in) || fingerprint != counter_fingerprint(&counter))
        return error_set(e, QRT_ECORRUPT, "the snapshot is not one of a counter, or it is damaged");
    *(struct counter *)state = counter;
    return QRT_OK;
}

const struct machine_class machine_counter = {
    .name = "counter",
    .summary = "a counter of 64 bits: add, read",
    .create = counter_create,
    .destroy = counter_destroy,
    .clone = counter_clone,
    .fingerprint = counter_fingerprint,
    .apply = counter_apply,
    .query = counter_query,
    .snapshot = counter_snapshot,
    .restore = counter_restore,
    .clones_apart = true,
};
