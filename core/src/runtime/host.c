/* A node: inputs, recovery, cloning. See host.h. */
#include "runtime/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "runtime/capture.h"
#include "wire/codec.h"

void host_init(struct host *h, const struct host_config *config, struct store *store, const struct host_port *port,
               void *runtime, struct trace *trace) {
    *h = (struct host){.config = *config, .port = port, .runtime = runtime, .trace = trace, .store = store};
    h->crash_after = HOST_NO_CRASH;
    h->instance_count = 1;
    h->instances = mem_zero(1, sizeof *h->instances);
    h->instances[0].pending_free = UINT32_MAX;
}

static void instance_free(struct instance *in) {
    driver_clear(in);
    service_clear(in);
    outbox_free(&in->out);
    outbox_free(&in->service);
    free(in->cookies);
    free(in->held);
    buffer_free(&in->held_bytes);
    buffer_free(&in->reply);
    buffer_free(&in->checkpoint_meta);
    for (uint32_t i = 0; i < in->pending_count; i++) buffer_free(&in->pending[i].command);
    free(in->pending);
}

void host_free(struct host *h) {
    for (uint16_t i = 0; i < h->instance_count; i++) instance_free(&h->instances[i]);
    free(h->instances);
    watch_stop(h);
    store_free(&h->store);
    *h = (struct host){0};
}

bool host_caught_up(const struct host *h) {
    if (!h->up || h->dying) return false;
    for (uint16_t i = 0; i < h->instance_count; i++) {
        const struct instance *in = &h->instances[i];
        struct protocol_status st;
        in->protocol->status(in->state, &st);
        if (st.role == QRT_ROLE_RECOVERING || in->issued != in->durable) return false;
    }
    return true;
}

static struct buffer buffer_clone(const struct buffer *b) {
    return (struct buffer){b->size ? mem_copy(b->data, b->size) : NULL, b->size, b->size};
}

static void instance_clone(struct instance *to, const struct instance *from) {
    *to = *from;
    to->out = (struct outbox){.node = from->out.node, .group = from->out.group};
    to->service = to->out;
    to->reply = (struct buffer){0};
    if (from->state) to->state = from->protocol->clone(from->state);
    to->cookies = mem_copy(from->cookies, from->cookies_capacity * sizeof *from->cookies);
    to->held = mem_copy(from->held, from->held_count * sizeof *from->held);
    to->held_capacity = from->held_count;
    for (size_t i = to->held_head; i < to->held_count; i++) blob_ref(to->held[i].effect.blob);
    to->held_bytes = buffer_clone(&from->held_bytes);
    if (from->machine_state) to->machine_state = from->machine->clone(from->machine_state);
    if (from->sessions) to->sessions = sessions_clone(from->sessions);
    to->checkpoint_meta = buffer_clone(&from->checkpoint_meta);
    to->checkpoint.meta = bytes_of(to->checkpoint_meta.data, to->checkpoint_meta.size);
    blob_ref(to->checkpoint.blob);
    to->pending = mem_copy(from->pending, from->pending_count * sizeof *from->pending);
    for (uint32_t i = 0; i < to->pending_count; i++) to->pending[i].command = buffer_clone(&from->pending[i].command);
}

void host_clone(struct host *to, const struct host *from, void *runtime, struct trace *trace) {
    *to = *from;
    to->runtime = runtime;
    to->trace = trace;
    to->store = from->store ? store_clone(from->store) : NULL;
    to->capture = NULL; /* there is one run to capture */
    to->instances = mem_zero(from->instance_count, sizeof *to->instances);
    for (uint16_t i = 0; i < from->instance_count; i++) instance_clone(&to->instances[i], &from->instances[i]);
    watch_clone(&to->watch, &from->watch);
}

uint64_t host_state_fingerprint(const struct host *h) {
    uint64_t f = hash_fold(h->config.node, (uint64_t)h->up | (uint64_t)h->full << 1);
    for (uint16_t i = 0; i < h->instance_count && h->up; i++) {
        const struct instance *in = &h->instances[i];
        f = hash_fold(f, in->protocol->fingerprint(in->state));
        f = hash_fold(f, in->machine->fingerprint(in->machine_state));
        f = hash_fold(f, sessions_fingerprint(in->sessions));
        f = hash_fold(f, in->applied);
        f = hash_fold(f, in->issued - in->durable);
        for (size_t k = in->held_head; k < in->held_count; k++) {
            const struct effect *e = &in->held[k].effect;
            f = hash_fold(hash_fold(f, e->kind), e->peer);
            if (e->size) f = hash_bytes(effect_bytes(e, in->held_bytes.data), e->size, f);
        }
    }
    return h->watch.count ? hash_fold(f, watch_fingerprint(h)) : f;
}

uint64_t host_fingerprint(const struct host *h) {
    uint64_t f = host_state_fingerprint(h);
    return h->store ? hash_fold(f, store_fingerprint(h->store)) : f;
}

struct recovery {
    struct host *host;
    struct error *error;
    bool failed;
};

static struct instance *instance_of(struct host *h, uint16_t group) {
    return group < h->instance_count ? &h->instances[group] : NULL;
}

static void recover_checkpoint(void *context, const struct store_checkpoint *c) {
    struct recovery *r = context;
    struct instance *in = instance_of(r->host, c->group);
    if (r->host->capture) capture_checkpoint(r->host, c);
    if (!in || r->failed) return;
    if (!service_load(in, blob_bytes(c->blob), r->error)) {
        r->failed = true;
        return;
    }
    in->applied = c->index;
    struct event event = {.kind = EVENT_CHECKPOINT, .mono = r->host->mono, .wall = r->host->wall};
    event.as.checkpoint.index = c->index;
    event.as.checkpoint.term = c->term;
    event.as.checkpoint.meta = c->meta;
    event.as.checkpoint.blob = c->blob;
    event.as.checkpoint.recovered = true;
    driver_step(r->host, in, &event);
}

static void recover_record(void *context, const struct store_record *record) {
    struct recovery *r = context;
    struct instance *in = instance_of(r->host, record->group);
    if (r->host->capture) capture_record(r->host, record);
    if (!in || r->failed) return;
    struct event event = {.kind = EVENT_RECORD, .mono = r->host->mono, .wall = r->host->wall};
    event.as.record.data = record->data;
    driver_step(r->host, in, &event);
}

static void input_begin(struct host *h) {
    h->effects_done = 0;
}

/* What comes in is written down before anything becomes of it. */
static inline void capture(struct host *h, enum capture_kind kind, uint8_t flags, uint16_t group, uint64_t number,
                           struct bytes data) {
    if (__builtin_expect(h->capture != NULL, 0)) capture_input(h, kind, flags, group, number, data);
}

/* After every input: a step that met its armed crash is the last of this incarnation. */
static void input_end(struct host *h) {
    /* An armed crash behind the last effect of a step falls here: what the step wrote is not yet synced. */
    if (__builtin_expect(h->effects_done >= h->crash_after, 0) && h->effects_done) driver_die(h);
    if (__builtin_expect(h->capture != NULL, 0)) capture_outcome(h);
    if (__builtin_expect(!h->dying, 1)) return;
    h->port->died(h->runtime, h, QRT_OK, "");
}

qrt_status host_start(struct host *h, uint8_t how, struct error *e) {
    if (h->capture) capture_start(h, how);
    h->incarnation++;
    h->up = true;
    h->full = false;
    h->dying = false;
    input_begin(h);
    for (uint16_t i = 0; i < h->instance_count; i++) {
        struct instance *in = &h->instances[i];
        in->group = i;
        driver_init(h, in);
        in->machine = h->config.machine;
        in->machine_state = in->machine->create(in->machine->context);
        in->sessions = sessions_new(h->config.sessions_limit);
    }
    struct recovery r = {h, e, false};
    struct store_visitor visitor = {recover_checkpoint, recover_record, &r};
    if (h->store && store_recover(h->store, &visitor, e)) return e ? e->status : QRT_ECORRUPT;
    if (r.failed) return e ? e->status : QRT_ECORRUPT;
    if (h->capture) capture_recovered(h);
    for (uint16_t i = 0; i < h->instance_count && !h->dying; i++) {
        struct event event = {.kind = EVENT_START, .mono = h->mono, .wall = h->wall};
        event.as.start.how = how;
        driver_step(h, &h->instances[i], &event);
    }
    if (!h->dying) watch_start(h);
    input_end(h);
    return QRT_OK;
}

void host_stop(struct host *h) {
    if (h->capture) capture_stop(h);
    h->up = false;
    h->dying = false;
    h->saving = 0;
    h->crash_after = HOST_NO_CRASH;
    watch_stop(h);
    for (uint16_t i = 0; i < h->instance_count; i++) {
        driver_clear(&h->instances[i]);
        service_clear(&h->instances[i]);
    }
}

static void reject(struct host *h, uint16_t from, uint8_t why, uint64_t id) {
    h->counts.rejected++;
    host_emit(h, 0, QRT_KIND_REJECT, why, from, 0, 0, id, 0);
    if (__builtin_expect(h->capture != NULL, 0)) capture_outcome(h);
}

/* The head's first bytes mean the same in every version: the check, the version, and who sent it. */
static void see_version(struct host *h, struct bytes frame) {
    if (frame.size < WIRE_HEADER || frame.data[WIRE_VERSION_AT] == WIRE_VERSION) return;
    if (!wire_is_sealed(frame, h->config.cluster_id)) return; /* noise */
    h->counts.other_version++;
    h->counts.their_version = frame.data[WIRE_VERSION_AT];
    memcpy(&h->counts.their_node, frame.data + WIRE_FROM, sizeof h->counts.their_node);
}

static void reject_corrupt(struct host *h, struct bytes frame) {
    see_version(h, frame);
    reject(h, 0, QRT_DROP_CORRUPT, frame.size >= WIRE_HEADER ? wire_id(frame.data) : 0);
}

/* As if the network had lost it. */
static void drop_for_room(struct host *h, const struct message *m) {
    h->counts.disk_dropped++;
    host_emit(h, m->group, QRT_KIND_DROP, QRT_DROP_DISK, m->from, 0, 0, m->id, 0);
    if (__builtin_expect(h->capture != NULL, 0)) capture_outcome(h);
}

static inline __attribute__((always_inline)) void receive(struct host *h, struct bytes frame) {
    struct message m;
    if (!codec_decode(frame, &m)) {
        reject_corrupt(h, frame);
        return;
    }
    struct instance *in = instance_of(h, m.group);
    bool request = m.kind == WIRE_CLIENT_REQUEST, from_client = m.from > QRT_CLIENT;
    if (m.to != h->config.node || !in || m.from == h->config.node || m.from == 0 || request != from_client) {
        reject(h, m.from, QRT_DROP_FOREIGN, m.id);
        return;
    }
    if (__builtin_expect(h->full, 0) && in->protocol->grows && in->protocol->grows(&m)) {
        drop_for_room(h, &m);
        return;
    }
    input_begin(h);
    h->counts.received++;
    host_emit(h, m.group, QRT_KIND_RECEIVE, m.kind, m.from, 0, 0, m.id, wire_checksum(frame.data));
    if (request) {
        service_request(h, in, &m);
    } else if (__builtin_expect(m.kind == WIRE_HEARTBEAT, 0)) {
        watch_receive(h, &m);
    } else {
        struct event event;
        event.kind = EVENT_MESSAGE;
        event.mono = h->mono;
        event.wall = h->wall;
        event.as.message = &m;
        driver_step(h, in, &event);
    }
    input_end(h);
}

void host_receive_intact(struct host *h, struct bytes frame) {
    capture(h, CAPTURE_FRAME, true, 0, 0, frame);
    receive(h, frame);
}

void host_receive(struct host *h, struct bytes frame) {
    capture(h, CAPTURE_FRAME, false, 0, 0, frame);
    if (wire_is_sealed(frame, h->config.cluster_id))
        receive(h, frame);
    else
        reject_corrupt(h, frame);
}

void host_timer(struct host *h, uint16_t group, uint32_t id) {
    struct instance *in = instance_of(h, group);
    CHECK(in || group == WATCH_GROUP);
    capture(h, CAPTURE_TIMER, 0, group, id, (struct bytes){0});
    input_begin(h);
    host_emit(h, group, QRT_KIND_TIMER, 0, 0, 0, id, 0, 0);
    struct event event = {.kind = EVENT_TIMER, .mono = h->mono, .wall = h->wall};
    event.as.timer.id = id;
    if (in)
        driver_step(h, in, &event);
    else
        watch_timer(h, id);
    input_end(h);
}

void host_propose(struct host *h, uint16_t group, struct bytes data, uint64_t ticket) {
    struct instance *in = instance_of(h, group);
    CHECK(in);
    capture(h, CAPTURE_PROPOSE, 0, group, ticket, data);
    input_begin(h);
    bool room = service_has_room(h, in);
    uint64_t token = room ? service_pend(in, 0, 0, ticket, (struct bytes){0}) : 0;
    if (token) {
        service_propose(h, in, ENTRY_OPAQUE, 0, 0, data, token);
    } else {
        struct answer a = {.ticket = ticket, .status = QRT_EFULL, .leader = room ? h->config.node : 0};
        h->counts.disk_refused += !room;
        h->port->answer(h->runtime, h, &a);
    }
    input_end(h);
}

void host_room(struct host *h, bool full) {
    capture(h, CAPTURE_ROOM, full, 0, 0, (struct bytes){0});
    input_begin(h);
    h->full = full;
    host_emit(h, 0, QRT_KIND_ROOM, full, 0, 0, 0, 0, 0);
    for (uint16_t i = 0; i < h->instance_count && !h->dying; i++) {
        struct event event = {.kind = EVENT_ROOM, .mono = h->mono, .wall = h->wall};
        event.as.room.full = full;
        driver_step(h, &h->instances[i], &event);
    }
    input_end(h);
}

void host_opinion(struct host *h, uint16_t peer, bool suspected, double suspicion) {
    for (uint16_t i = 0; i < h->instance_count && !h->dying; i++) {
        struct event event = {.kind = EVENT_OPINION, .mono = h->mono, .wall = h->wall};
        event.as.opinion.peer = peer;
        event.as.opinion.suspected = suspected;
        event.as.opinion.suspicion = suspicion;
        driver_step(h, &h->instances[i], &event);
    }
}

bool host_flush_begin(struct host *h, struct error *e) {
    bool work = false;
    capture(h, CAPTURE_FLUSH_BEGIN, 0, 0, 0, (struct bytes){0});
    for (uint16_t i = 0; i < h->instance_count; i++) {
        struct instance *in = &h->instances[i];
        work = work || host_wants_flush(h, in);
        in->flushing = in->issued;
    }
    if (work) h->counts.flushes++;
    if (work && store_write(h->store, e)) {
        driver_die(h);
        h->port->died(h->runtime, h, e->status, e->text);
        return false;
    }
    return work;
}

qrt_status host_flush_end(struct host *h, struct error *e) {
    capture(h, CAPTURE_FLUSH_END, 0, 0, h->saving, (struct bytes){0});
    if (store_sync(h->store, e)) {
        if (h->capture) capture_outcome(h);
        return e->status;
    }
    input_begin(h);
    for (uint16_t i = 0; i < h->instance_count && !h->dying; i++) {
        struct instance *in = &h->instances[i];
        if (in->durable < in->flushing) driver_durable(h, in);
        bool saved = in->checkpoint_pending && h->saving != in->group + 1u;
        if (saved && !h->dying) service_checkpointed(h, in);
        if (!h->dying && host_wants_flush(h, in)) h->port->persist(h->runtime, h);
    }
    input_end(h);
    return QRT_OK;
}

qrt_status host_saved(struct host *h, struct error *e) {
    struct instance *in = instance_of(h, (uint16_t)(h->saving - 1));
    struct blob *snapshot = NULL;
    CHECK(in);
    capture(h, CAPTURE_SAVED, 0, in->group, 0, (struct bytes){0});
    h->saving = 0;
    qrt_status status = store_save_end(h->store, &snapshot, e);
    if (snapshot) service_taken(in, snapshot);
    if (status) {
        if (h->capture) capture_outcome(h);
        return status;
    }
    input_begin(h);
    if (in->checkpoint_pending) service_checkpointed(h, in);
    input_end(h);
    return QRT_OK;
}
