/* The driver: carries out an outbox, effect by effect, and is the one place where persist-before-send lives.
 *
 *   step --> outbox --> [effect] --> free to go ---------> carry_out
 *                          |
 *                          +--> waits for the disk --> held --(durable >= barrier)--> carry_out
 *
 * Each persist gets the next ticket of its instance; a held effect's barrier is the last ticket issued before it.
 * Completions come in ticket order, so the held queue is first-in first-out. */
#include "runtime/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

static inline void send_frame(struct host *h, struct instance *in, struct effect *e, uint8_t *frame) {
    uint64_t id = (uint64_t)h->config.node << 40 | ++h->sends;
    wire_seal(frame, e->size, id, h->config.cluster_id);
    h->counts.sent++;
    h->counts.bytes_sent += e->size;
    host_emit(h, in->group, QRT_KIND_SEND, frame[9], e->peer, e->term, e->index, id, wire_checksum(frame));
    if (__builtin_expect(e->blob == NULL, 1)) {
        h->port->send(h->runtime, h, e->peer, frame, e->size);
    } else {
        h->port->send_large(h->runtime, h, e->peer, e->blob);
        blob_unref(&e->blob);
    }
}

/* For the ticket just issued. */
static void grow_cookies(struct instance *in) {
    size_t capacity = in->cookies_capacity ? in->cookies_capacity * 2 : 16;
    struct cookie *grown = mem_alloc(capacity * sizeof *grown);
    for (uint64_t t = in->told + 1; t < in->issued; t++)
        grown[t & (capacity - 1)] = in->cookies[t & (in->cookies_capacity - 1)];
    free(in->cookies);
    in->cookies = grown;
    in->cookies_capacity = capacity;
}

static inline void persist(struct host *h, struct instance *in, const struct effect *e, const uint8_t *bytes) {
    uint64_t ticket = ++in->issued;
    if (__builtin_expect(ticket - in->told > in->cookies_capacity, 0)) grow_cookies(in);
    in->cookies[ticket & (in->cookies_capacity - 1)] = (struct cookie){e->index, e->term};
    h->counts.persisted++;
    if (h->config.inline_store) return; /* kept nowhere: nothing to trace but the step that follows */
    struct bytes data = {bytes, e->size};
    host_emit(h, in->group, QRT_KIND_PERSIST, 0, 0, e->term, e->index, ticket,
              host_told_hash(h, QRT_KIND_PERSIST, data, 0));
    store_append(h->store, &(struct store_record){in->group, e->index, e->term, data});
}

static void local_message(struct host *h, struct instance *in, const struct effect *e, struct bytes data) {
    for (uint16_t i = 0; i < h->instance_count; i++) {
        if (h->instances[i].group != (uint16_t)e->a) continue;
        struct event event = {.kind = EVENT_LOCAL, .mono = h->mono, .wall = h->wall};
        event.as.local.group = in->group;
        event.as.local.data = data;
        driver_step(h, &h->instances[i], &event);
    }
}

static void tell(struct host *h, const struct effect *e, struct bytes data) {
    struct answer a = {e->a, (qrt_status)(int64_t)e->b, e->peer, e->term, e->index, data};
    h->port->answer(h->runtime, h, &a);
}

void driver_raise(struct host *h, const char *text) {
    host_emit(h, 0, QRT_KIND_RAISE, 0, 0, 0, 0, 0, hash_bytes(text, strlen(text), 0));
    driver_die(h);
    h->port->died(h->runtime, h, QRT_ESCRIPT, text);
}

static void raise_effect(struct host *h, struct bytes text) {
    char *why = mem_format("%.*s", (int)text.size, (const char *)text.data);
    driver_raise(h, why);
    free(why);
}

static inline void note(struct host *h, const struct instance *in, const struct effect *e) {
    host_emit(h, in->group, (uint8_t)e->a, (uint8_t)e->b, e->peer, e->term, e->index, e->c, e->d);
}

static void carry_out_other(struct host *h, struct instance *in, struct effect *e, uint8_t *bytes) {
    struct bytes data = {bytes, e->size};
    switch (e->kind) {
    case FX_TIMER: h->port->timer(h->runtime, h, in->group, (uint32_t)e->a, (int64_t)e->b); break;
    case FX_APPLY: service_apply(h, in, e->a, e->b); break;
    case FX_REPLY: service_reply(h, in, e, data); break;
    case FX_READ_READY: service_read_ready(h, in, e->a); break;
    case FX_CHECKPOINT: service_checkpoint(h, in, e, data); break;
    case FX_RESTORE: service_restore(h, in, e, data); break;
    case FX_LOCAL: local_message(h, in, e, data); break;
    case FX_ANSWER: tell(h, e, data); break;
    case FX_RAISE: raise_effect(h, data); break;
    default: CHECK(false && "an effect of a known kind");
    }
    if (e->blob) blob_unref(&e->blob);
}

/* One effect that is free to go, the commonest kinds first. bytes: its own (effect_bytes). */
static inline __attribute__((always_inline)) void carry_out(struct host *h, struct instance *in, struct effect *e,
                                                            uint8_t *bytes) {
    if (e->kind == FX_SEND)
        send_frame(h, in, e, bytes);
    else if (e->kind == FX_NOTE)
        note(h, in, e);
    else if (e->kind == FX_PERSIST)
        persist(h, in, e, bytes);
    else
        carry_out_other(h, in, e, bytes);
}

/* What a node has told others binds it from when it leaves, not from when it was decided. */
#define BINDING                                                                                    \
    (1u << QRT_KIND_VOTE | 1u << QRT_KIND_ACK | 1u << QRT_KIND_CAUGHT_UP | 1u << QRT_KIND_BALLOT | \
     1u << QRT_KIND_DECIDE)

/* Replies to clients are made by the service as sends and answers of its own, so they wait in their turn. */
static inline bool must_wait(const struct instance *in, const struct effect *e) {
    if (in->durable == in->issued || (e->flags & FX_BEFORE_DURABLE)) return false;
    if (e->kind == FX_NOTE) return BINDING >> e->a & 1;
    return e->kind == FX_SEND || e->kind == FX_ANSWER || e->kind == FX_LOCAL;
}

static void hold(struct instance *in, const struct effect *e, const uint8_t *bytes) {
    in->held = mem_grow(in->held, &in->held_capacity, in->held_count + 1, sizeof *in->held);
    struct held *held = &in->held[in->held_count++];
    *held = (struct held){*e, in->issued};
    held->effect.offset = (uint32_t)in->held_bytes.size;
    if (!e->blob) buffer_append(&in->held_bytes, bytes, e->size); /* else it takes the reference along */
}

static inline __attribute__((always_inline)) void carry_out_all(struct host *h, struct instance *in,
                                                                struct outbox *out) {
    size_t i = 0;
    for (; i < out->count && driver_alive(h); i++) {
        struct effect *e = &out->effects[i];
        uint8_t *bytes = effect_bytes(e, out->arena.data);
        if (__builtin_expect(must_wait(in, e), 0))
            hold(in, e, bytes);
        else
            carry_out(h, in, e, bytes);
    }
    for (; i < out->count; i++) blob_unref(&out->effects[i].blob); /* the crash came first */
    outbox_clear(out);
}

void driver_carry_out(struct host *h, struct instance *in, struct outbox *out) {
    carry_out_all(h, in, out);
}

/* Moves the waiting effects to the front once most of the queue is gone. */
static void compact_held(struct instance *in) {
    if (in->held_head == in->held_count) {
        in->held_head = in->held_count = 0;
        buffer_clear(&in->held_bytes);
        return;
    }
    if (in->held_head < 64 || in->held_head < in->held_count / 2) return;
    uint32_t shift = in->held[in->held_head].effect.offset;
    memmove(in->held_bytes.data, in->held_bytes.data + shift, in->held_bytes.size - shift);
    in->held_bytes.size -= shift;
    in->held_count -= in->held_head;
    memmove(in->held, in->held + in->held_head, in->held_count * sizeof *in->held);
    for (size_t i = 0; i < in->held_count; i++) in->held[i].effect.offset -= shift;
    in->held_head = 0;
}

static void release(struct host *h, struct instance *in) {
    while (in->held_head < in->held_count && in->held[in->held_head].barrier <= in->durable && driver_alive(h)) {
        struct held *held = &in->held[in->held_head++];
        carry_out(h, in, &held->effect, held->effect.size ? effect_bytes(&held->effect, in->held_bytes.data) : NULL);
    }
    if (!h->dying) compact_held(in);
}

static inline __attribute__((always_inline)) void step_once(struct host *h, struct instance *in,
                                                            const struct event *event) {
    in->protocol->step(in->state, event, &in->out);
    carry_out_all(h, in, &in->out);
    if (in->service.count) driver_carry_out(h, in, &in->service);
}

/* Tickets up to `flushing` are durable: their effects go, then the protocol hears of each. */
void driver_durable(struct host *h, struct instance *in) {
    uint64_t first = in->durable + 1;
    in->durable = in->flushing;
    uint64_t last = in->durable;
    release(h, in);
    for (uint64_t t = first; t <= last && !h->dying; t++) {
        struct cookie c = in->cookies[t & (in->cookies_capacity - 1)];
        in->told = t; /* its place is free: the step below may persist */
        if (!h->config.inline_store) host_emit(h, in->group, QRT_KIND_STORED, 0, 0, c.term, c.index, t, 0);
        struct event event;
        event.kind = EVENT_STORED;
        event.mono = h->mono;
        event.wall = h->wall;
        event.as.stored.index = c.index;
        event.as.stored.term = c.term;
        step_once(h, in, &event);
    }
}

void driver_step(struct host *h, struct instance *in, const struct event *event) {
    step_once(h, in, event);
    if (h->config.inline_store) {
        while (in->durable < in->issued && !h->dying) {
            in->flushing = in->issued;
            driver_durable(h, in);
        }
        if (in->checkpoint_pending && !h->dying) service_checkpointed(h, in);
    } else if (!h->dying && host_wants_flush(h, in)) {
        h->port->persist(h->runtime, h);
    }
}

void driver_init(struct host *h, struct instance *in) {
    struct protocol_config config = {
        .node = h->config.node,
        .group = in->group,
        .members = h->config.members,
        .member_count = h->config.member_count,
        .seed = h->config.seed + h->incarnation,
        .options = h->config.protocol_options,
        .bugs = h->config.bugs,
        .bursts = h->config.bursts,
        .quorum = h->config.quorum,
        .context = h->config.protocol->context,
    };
    in->protocol = h->config.protocol;
    in->state = in->protocol->create(&config);
    in->out.node = in->service.node = h->config.node;
    in->out.group = in->service.group = in->group;
    in->out.large = in->service.large = h->port->large;
}

void driver_clear(struct instance *in) {
    if (in->state) in->protocol->destroy(in->state);
    in->state = NULL;
    for (size_t i = 0; i < in->out.count; i++) blob_unref(&in->out.effects[i].blob);
    for (size_t i = 0; i < in->service.count; i++) blob_unref(&in->service.effects[i].blob);
    for (size_t i = in->held_head; i < in->held_count; i++) blob_unref(&in->held[i].effect.blob);
    outbox_clear(&in->out);
    outbox_clear(&in->service);
    in->issued = in->flushing = in->durable = in->told = 0;
    in->held_head = in->held_count = 0;
    buffer_clear(&in->held_bytes);
}
