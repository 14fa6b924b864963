/* The service: client requests become proposals and reads; applied entries become answers.
 *
 * A request that waits has a slot in the instance's pending table; its token (generation << 32 | slot + 1) travels
 * through the protocol and comes back with the entry, the read or the refusal. The table is volatile: a request
 * whose node dies is simply never answered, and the client finds out by its own timer.
 *
 * A snapshot of an instance is the session table and the machine: u32 size, sessions, machine. */
#include "runtime/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define PENDING_MAX 65536u /* requests that wait in one instance; beyond: QRT_EFULL */
#define NO_SLOT UINT32_MAX

static uint32_t pending_take(struct instance *in) {
    if (in->pending_free == NO_SLOT) {
        if (in->pending_count >= PENDING_MAX) return NO_SLOT;
        uint32_t old = in->pending_count, grown = old ? old * 2 : 16;
        in->pending = mem_resize(in->pending, grown * sizeof *in->pending);
        memset(in->pending + old, 0, (grown - old) * sizeof *in->pending);
        for (uint32_t i = grown; i-- > old;) {
            in->pending[i].next_free = in->pending_free;
            in->pending_free = i;
        }
        in->pending_count = grown;
    }
    uint32_t slot = in->pending_free;
    in->pending_free = in->pending[slot].next_free;
    return slot;
}

/* Who does not lead writes nothing of a proposal, and its protocol says who does. */
bool service_has_room(const struct host *h, const struct instance *in) {
    struct protocol_status st;
    if (__builtin_expect(!h->full, 1) || in->protocol->elects) return true;
    in->protocol->status(in->state, &st);
    return !in->protocol->leaderless && st.role != QRT_ROLE_LEADER;
}

uint64_t service_pend(struct instance *in, uint8_t operation, uint16_t client, uint64_t number, struct bytes command) {
    uint32_t slot = pending_take(in);
    if (slot == NO_SLOT) return 0;
    struct pending *p = &in->pending[slot];
    p->used = true;
    p->operation = operation;
    p->client = client;
    p->number = number;
    buffer_clear(&p->command);
    buffer_append(&p->command, command.data, command.size);
    return (uint64_t)p->generation << 32 | (slot + 1);
}

static struct pending *pending_find(struct instance *in, uint64_t token) {
    uint32_t slot = (uint32_t)token - 1;
    if (slot >= in->pending_count) return NULL;
    struct pending *p = &in->pending[slot];
    return p->used && p->generation == (uint32_t)(token >> 32) ? p : NULL;
}

static void pending_done(struct instance *in, struct pending *p) {
    p->used = false;
    p->generation++;
    p->next_free = in->pending_free;
    in->pending_free = (uint32_t)(p - in->pending);
}

static void reply_to_client(struct instance *in, uint16_t client, uint64_t number, const struct answer *a) {
    struct message m = {.kind = WIRE_CLIENT_REPLY};
    m.as.client_reply.number = number;
    m.as.client_reply.term = a->term;
    m.as.client_reply.index = a->index;
    m.as.client_reply.status = (uint32_t)(int32_t)a->status;
    m.as.client_reply.leader = a->leader;
    m.as.client_reply.data = a->data;
    outbox_send(&in->service, client, &m, 0, a->term, a->index);
}

static void answer_api(struct instance *in, uint64_t ticket, const struct answer *a) {
    uint32_t offset = (uint32_t)in->service.arena.size;
    buffer_append(&in->service.arena, a->data.data, a->data.size);
    struct effect *e = outbox_add(&in->service, FX_ANSWER);
    e->a = ticket;
    e->b = (uint64_t)(int64_t)a->status;
    e->peer = a->leader;
    e->term = a->term;
    e->index = a->index;
    e->offset = offset;
    e->size = a->data.size;
}

/* Ends the request behind a token, if it still waits. */
static void finish(struct instance *in, uint64_t token, const struct answer *a) {
    struct pending *p = pending_find(in, token);
    if (!p) return;
    if (p->client)
        reply_to_client(in, p->client, p->number, a);
    else
        answer_api(in, p->number, a);
    pending_done(in, p);
}

void service_propose(struct host *h, struct instance *in, uint8_t kind, uint64_t session, uint64_t sequence,
                     struct bytes data, uint64_t token) {
    struct event event = {.kind = EVENT_PROPOSE, .mono = h->mono, .wall = h->wall};
    event.as.propose.token = token;
    event.as.propose.kind = kind;
    event.as.propose.session = session;
    event.as.propose.sequence = sequence;
    event.as.propose.data = data;
    h->counts.proposals++;
    host_emit(h, in->group, QRT_KIND_PROPOSE, kind, 0, session, sequence, token,
              host_told_hash(h, QRT_KIND_PROPOSE, data, 0));
    driver_step(h, in, &event);
}

static void stale_read(struct host *h, struct instance *in, const struct message *m) {
    struct error e = {0};
    struct answer a = {.index = in->applied};
    buffer_clear(&in->reply);
    a.status = in->machine->query(in->machine_state, m->as.client_request.data, &in->reply, &e);
    a.data = (struct bytes){in->reply.data, (uint32_t)in->reply.size};
    reply_to_client(in, m->from, m->as.client_request.number, &a);
    driver_carry_out(h, in, &in->service);
}

/* Ends a request that never reached the protocol. leader: who will take it later; 0: another node may at once. */
static void refuse(struct host *h, struct instance *in, const struct message *m, qrt_status status, uint16_t leader) {
    struct answer a = {.status = status, .leader = leader};
    reply_to_client(in, m->from, m->as.client_request.number, &a);
    driver_carry_out(h, in, &in->service);
}

void service_request(struct host *h, struct instance *in, const struct message *m) {
    const struct wire_client_request *r = &m->as.client_request;
    if (in->protocol->values && r->operation != CLIENT_RAW) {
        refuse(h, in, m, QRT_EUNSUPPORTED, 0); /* there is no machine to execute it */
        return;
    }
    if (r->operation == CLIENT_STALE) {
        stale_read(h, in, m);
        return;
    }
    bool read = r->operation == CLIENT_READ;
    if (!read && !service_has_room(h, in)) {
        h->counts.disk_refused++;
        refuse(h, in, m, QRT_EFULL, 0);
        return;
    }
    uint64_t token = service_pend(in, r->operation, m->from, r->number, read ? r->data : (struct bytes){0});
    if (!token) {
        refuse(h, in, m, QRT_EFULL, h->config.node);
        return;
    }
    switch (r->operation) {
    case CLIENT_OPEN: service_propose(h, in, ENTRY_OPEN, 0, 0, (struct bytes){0}, token); break;
    case CLIENT_WRITE: service_propose(h, in, ENTRY_COMMAND, r->session, r->sequence, r->data, token); break;
    case CLIENT_READ: {
        struct event event = {.kind = EVENT_READ, .mono = h->mono, .wall = h->wall};
        event.as.read.token = token;
        h->counts.reads++;
        driver_step(h, in, &event);
        break;
    }
    default: service_propose(h, in, ENTRY_OPAQUE, 0, 0, r->data, token);
    }
}

void service_reply(struct host *h, struct instance *in, const struct effect *e, struct bytes decided) {
    (void)h;
    struct answer a = {.status = (qrt_status)(int64_t)e->b, .leader = e->peer, .term = e->term, .index = e->index};
    a.data = decided;
    finish(in, e->a, &a);
}

void service_read_ready(struct host *h, struct instance *in, uint64_t token) {
    struct pending *p = pending_find(in, token);
    if (!p) return;
    struct error e = {0};
    struct answer a = {.index = in->applied, .leader = h->config.node};
    buffer_clear(&in->reply);
    a.status = in->machine->query(in->machine_state, bytes_of(p->command.data, p->command.size), &in->reply, &e);
    a.data = bytes_of(in->reply.data, in->reply.size);
    finish(in, token, &a);
}

/* A session's command: applied once, answered as often as it is asked. */
static bool apply_command(struct host *h, struct instance *in, const struct entry *entry, struct answer *a) {
    struct error e;
    error_clear(&e);
    switch (sessions_check(in->sessions, entry->index, entry->session, entry->sequence, &a->status, &a->data)) {
    case SESSION_FRESH:
        a->status = in->machine->apply(in->machine_state, entry->index, entry->data, &in->reply, &e);
        if (a->status == QRT_ESCRIPT) {
            driver_raise(h, e.text);
            return false;
        }
        a->data = bytes_of(in->reply.data, in->reply.size);
        sessions_record(in->sessions, entry->session, entry->sequence, a->status, a->data);
        break;
    case SESSION_REPEATED: break;
    case SESSION_STALE:
    case SESSION_UNKNOWN: a->status = QRT_ESESSION; break;
    }
    return true;
}

static bool apply_entry(struct host *h, struct instance *in, const struct entry *entry, struct answer *a) {
    struct error e;
    error_clear(&e);
    buffer_clear(&in->reply);
    switch ((enum entry_kind)entry->kind) {
    case ENTRY_NOOP:
    case ENTRY_CONFIG: break;
    case ENTRY_OPEN:
        sessions_open(in->sessions, entry->index);
        buffer_append(&in->reply, &entry->index, sizeof entry->index);
        a->data = bytes_of(in->reply.data, in->reply.size);
        break;
    case ENTRY_COMMAND: return apply_command(h, in, entry, a);
    case ENTRY_OPAQUE:
        a->status = in->machine->apply(in->machine_state, entry->index, entry->data, &in->reply, &e);
        if (a->status == QRT_ESCRIPT) {
            driver_raise(h, e.text);
            return false;
        }
        if (a->status == QRT_EINVAL) a->status = QRT_OK; /* no command of this machine: agreed upon all the same */
        a->data = bytes_of(in->reply.data, in->reply.size);
        break;
    }
    return true;
}

void service_apply(struct host *h, struct instance *in, uint64_t from, uint64_t to) {
    struct entry entry;
    for (uint64_t i = from; i <= to && in->protocol->entry; i++) {
        if (!in->protocol->entry(in->state, i, &entry)) return;
        struct answer a = {.term = entry.term, .index = i, .leader = h->config.node};
        if (!apply_entry(h, in, &entry, &a)) return;
        in->applied = i;
        h->counts.applied++;
        uint64_t status = (uint64_t)(int64_t)a.status;
        uint64_t told = a.data.size ? host_told_hash(h, QRT_KIND_APPLY, a.data, status) : status;
        host_emit(h, in->group, QRT_KIND_APPLY, 0, 0, entry.term, i, told, entry.hash);
        if (entry.token) finish(in, entry.token, &a);
    }
}

/* NULL: the user's own machine has failed, which the error says. */
static struct blob *write_snapshot(const struct machine_class *machine, const void *state,
                                   const struct sessions *sessions, struct error *e) {
    struct buffer b = {0};
    size_t sessions_at = sizeof(struct blob) + 4;
    buffer_extend(&b, sessions_at);
    sessions_snapshot(sessions, &b);
    uint32_t sessions_size = (uint32_t)(b.size - sessions_at);
    memcpy(b.data + sizeof(struct blob), &sessions_size, 4);
    if (machine->snapshot(state, &b, e) == QRT_OK) return blob_take(&b);
    buffer_free(&b);
    return NULL;
}

static struct blob *take_snapshot(struct host *h, struct instance *in) {
    struct error e = {0};
    struct blob *blob = write_snapshot(in->machine, in->machine_state, in->sessions, &e);
    if (!blob) driver_raise(h, e.text);
    return blob;
}

/* What an instance was when its checkpoint was asked for, as clones, which cost little: the snapshot is written from them on the
 * disk's thread, while the instance goes on. */
struct image {
    const struct machine_class *machine;
    void *state;
    struct sessions *sessions;
};

static bool takes_image(const struct host *h, const struct instance *in) {
    return !h->config.inline_store && in->machine->clones_apart && store_saves_apart(h->store);
}

static struct image *image_new(const struct instance *in) {
    struct image image = {in->machine, in->machine->clone(in->machine_state), sessions_clone(in->sessions)};
    return mem_copy(&image, sizeof image);
}

/* On the disk's thread; the image is gone then. */
static struct blob *image_take(void *taking) {
    struct image *image = taking;
    struct error e = {0};
    struct blob *blob = write_snapshot(image->machine, image->state, image->sessions, &e);
    CHECK(blob); /* clones_apart */
    image->machine->destroy(image->state);
    sessions_free(image->sessions);
    free(image);
    return blob;
}

bool service_load(struct instance *in, struct bytes snapshot, struct error *e) {
    struct reader r = reader_of(snapshot);
    struct bytes sessions = read_bytes(&r);
    struct bytes machine = {r.at, (uint32_t)reader_left(&r)};
    struct reader s = reader_of(sessions);
    if (r.failed || !sessions_restore(in->sessions, &s)) {
        error_set(e, QRT_ECORRUPT, "the snapshot's session table is malformed");
        return false;
    }
    return in->machine->restore(in->machine_state, machine, e) == QRT_OK;
}

void service_taken(struct instance *in, struct blob *snapshot) {
    blob_unref(&in->checkpoint.blob);
    in->checkpoint.blob = snapshot;
}

static void saving_ended(void *host) {
    const struct host *h = host;
    if (h->port->saved) h->port->saved(h->runtime, host);
}

/* Saves it; the event follows when the runtime (or, inline, the driver) says that it is durable. A disk with a thread of its own goes
 * on with it behind the step; then host_saved says so, else the next flush. Takes blob or image. */
static void save(struct host *h, struct instance *in, const struct effect *e, struct bytes meta, struct blob *blob,
                 struct image *image) {
    struct error error = {0};
    struct blob *taken = NULL;
    struct store_saver saver = {image ? image_take : NULL, image, saving_ended, h};
    buffer_clear(&in->checkpoint_meta);
    buffer_append(&in->checkpoint_meta, meta.data, meta.size);
    blob_unref(&in->checkpoint.blob);
    in->checkpoint = (struct store_checkpoint){
        .group = in->group,
        .index = e->index,
        .term = e->term,
        .meta = bytes_of(in->checkpoint_meta.data, in->checkpoint_meta.size),
        .blob = blob,
        .from_log = e->kind == FX_CHECKPOINT, /* then the log still leads to it from the one before */
    };
    in->checkpoint_pending = true;
    if (h->config.inline_store) return;
    if (store_save_begin(h->store, &in->checkpoint, &saver, &taken, &error)) {
        driver_die(h);
        h->port->died(h->runtime, h, error.status, error.text);
    }
    if (taken) service_taken(in, taken);
    h->saving = store_saving(h->store) ? in->group + 1u : 0;
}

void service_checkpoint(struct host *h, struct instance *in, const struct effect *e, struct bytes meta) {
    struct image *image = takes_image(h, in) ? image_new(in) : NULL;
    struct blob *blob = image ? NULL : take_snapshot(h, in);
    if (!image && !blob) return;
    host_emit(h, in->group, QRT_KIND_CHECKPOINT, 0, 0, e->term, e->index, 0, e->d);
    save(h, in, e, meta, blob, image);
}

void service_restore(struct host *h, struct instance *in, const struct effect *e, struct bytes meta) {
    struct error error = {0};
    if (!service_load(in, blob_bytes(e->blob), &error)) {
        host_emit(h, in->group, QRT_KIND_REJECT, QRT_DROP_CORRUPT, e->peer, e->term, e->index, 0, 0);
        h->counts.rejected++;
        return;
    }
    in->applied = e->index;
    host_emit(h, in->group, QRT_KIND_RESTORE, 0, 0, e->term, e->index, 0, e->d);
    save(h, in, e, meta, blob_ref(e->blob), NULL);
}

void service_checkpointed(struct host *h, struct instance *in) {
    struct store_checkpoint c = in->checkpoint;
    in->checkpoint_pending = false;
    in->checkpoint.blob = NULL;
    struct event event = {.kind = EVENT_CHECKPOINT, .mono = h->mono, .wall = h->wall};
    event.as.checkpoint.index = c.index;
    event.as.checkpoint.term = c.term;
    event.as.checkpoint.meta = c.meta;
    event.as.checkpoint.blob = c.blob;
    driver_step(h, in, &event);
    blob_unref(&c.blob);
}

void service_clear(struct instance *in) {
    if (in->machine_state) in->machine->destroy(in->machine_state);
    in->machine_state = NULL;
    sessions_free(in->sessions);
    in->sessions = NULL;
    in->applied = 0;
    in->checkpoint_pending = false;
    blob_unref(&in->checkpoint.blob);
    in->pending_free = NO_SLOT;
    for (uint32_t i = in->pending_count; i-- > 0;) {
        in->pending[i].used = false;
        in->pending[i].generation++;
        in->pending[i].next_free = in->pending_free;
        in->pending_free = i;
    }
}
