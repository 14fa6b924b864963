/* Clients as simulated actors: an id, links, a clock without faults. */
#include "runtime/sim_client.h"

#include "base/hash.h"

static struct sim_client *client_of(struct sim *s, uint16_t id) {
    return &s->clients[id - QRT_CLIENT - 1];
}

/* A manual operation that has ended answers its ticket. */
static void settle(struct sim *s, struct sim_client *c) {
    if (!c->ticket) return;
    const struct client_result *r = client_result(c->client);
    if (!r->done) return;
    struct answer a = {c->ticket, r->status, r->last_leader, r->term, r->index, r->data};
    if (r->outcome == HISTORY_UNKNOWN || r->outcome == HISTORY_PENDING)
        a.status = QRT_EUNKNOWN;
    else if (r->outcome == HISTORY_FAILED && r->status >= 0)
        a.status = QRT_EFAILED;
    c->ticket = 0;
    tickets_answer(&s->tickets, &a, s->now);
}

static void carry_out(struct sim *s, struct sim_client *c) {
    uint16_t id = c->out.node;
    for (size_t i = 0; i < c->out.count; i++) {
        const struct effect *e = &c->out.effects[i];
        uint8_t *bytes = c->out.arena.data + e->offset;
        if (e->kind == FX_SEND) {
            uint64_t message = (uint64_t)id << 40 | ++c->sends;
            wire_seal(bytes, e->size, message, sim_cluster_id(s));
            qrt_event event = {s->now,  id,      0,        QRT_KIND_SEND, bytes[9],
                               e->peer, e->term, e->index, message,       wire_checksum(bytes)};
            trace_emit(&s->trace, &event);
            sim_send(s, id, e->peer, bytes, e->size);
        } else if (e->kind == FX_TIMER) {
            int64_t due = e->b == (uint64_t)INT64_MAX ? NO_TIMER : s->now + (int64_t)e->b;
            timers_set(s, &c->timers, id, 0, (uint32_t)e->a, due);
        } else if (e->kind == FX_NOTE) {
            qrt_event event = {s->now, id, 0, (uint8_t)e->a, (uint8_t)e->b, e->peer, e->term, e->index, e->c, e->d};
            trace_emit(&s->trace, &event);
        }
    }
    outbox_clear(&c->out);
    settle(s, c);
}

static struct client_io io_of(struct sim *s, struct sim_client *c) {
    return (struct client_io){&c->out, &s->history, s->now};
}

uint16_t sim_client_add(struct sim *s, const struct workload *w, uint64_t operations) {
    s->clients = mem_grow(s->clients, &s->client_capacity, s->client_count + 1, sizeof *s->clients);
    uint16_t id = (uint16_t)(QRT_CLIENT + 1 + s->client_count);
    struct sim_client *c = &s->clients[s->client_count++];
    sim_links_grow(s);
    *c = (struct sim_client){.out = {.node = id}, .manual = w == NULL};
    struct client_config config = {
        .id = id,
        .nodes = s->members,
        .node_count = (uint16_t)s->config.options.nodes,
        .seed = (uint64_t)s->config.options.seed,
        .workload = w,
        .operations = operations,
        .timeout_ns = s->config.options.timeout,
        .retry_ns = s->config.options.client_retry,
    };
    c->client = client_new(&config);
    struct client_io io = io_of(s, c);
    client_start(c->client, &io);
    carry_out(s, c);
    return id;
}

qrt_status sim_client_submit(struct sim *s, uint16_t id, uint8_t operation, struct bytes command, uint64_t *ticket) {
    if (id <= QRT_CLIENT || (size_t)(id - QRT_CLIENT) > s->client_count) return QRT_ENOTFOUND;
    struct sim_client *c = client_of(s, id);
    if (c->ticket) return QRT_EBUSY;
    struct client_io io = io_of(s, c);
    qrt_status status = client_submit(c->client, &io, operation, command, s->now + s->config.options.timeout);
    if (status) return status;
    *ticket = c->ticket = tickets_add(&s->tickets, id, s->now);
    carry_out(s, c);
    return QRT_OK;
}

void sim_client_deliver(struct sim *s, uint16_t id, struct bytes frame) {
    struct sim_client *c = client_of(s, id);
    struct message m;
    bool sound =
        wire_decode(frame, sim_cluster_id(s), &m) && m.to == id && m.kind == WIRE_CLIENT_REPLY && m.from < QRT_CLIENT;
    qrt_event e = {s->now,
                   id,
                   0,
                   QRT_KIND_RECEIVE,
                   sound ? m.kind : 0,
                   sound ? m.from : 0,
                   0,
                   0,
                   wire_id(frame.data),
                   wire_checksum(frame.data)};
    if (!sound) {
        e.kind = QRT_KIND_REJECT;
        e.detail = QRT_DROP_CORRUPT;
    }
    trace_emit(&s->trace, &e);
    if (!sound) return;
    struct client_io io = io_of(s, c);
    client_message(c->client, &io, &m);
    carry_out(s, c);
}

void sim_client_timer(struct sim *s, uint16_t id, uint32_t timer) {
    struct sim_client *c = client_of(s, id);
    struct client_io io = io_of(s, c);
    client_timer(c->client, &io, timer);
    carry_out(s, c);
}

void sim_clients_stop(struct sim *s) {
    for (size_t i = 0; i < s->client_count; i++)
        if (!s->clients[i].manual) client_stop(s->clients[i].client);
}
