/* All clients of a live cluster on one thread: the simulator's actors, in real time, with an order for what the handle
 * asks of them. Their clock is the trace's, so that a history's intervals and the trace agree. */
#include "runtime/capture_history.h"
#include "runtime/live/live_hand.h"
#include "runtime/live/live_log.h"

#include <stdlib.h>

#define CLIENT_TIMERS 4 /* alarms a client; client.c numbers its timers from 1 to 3 */

static struct live_clients *clients_of(struct actor *a) {
    return &a->live->clients;
}

static uint16_t id_of(const struct live_clients *all, const struct live_client *c) {
    return (uint16_t)(QRT_CLIENT + 1 + (c - all->clients));
}

/* A manual operation that has ended answers its ticket. */
static void settle(struct live_clients *all, struct live_client *c) {
    struct live *l = all->actor.live;
    const struct client_result *r = client_result(c->client);
    if (!c->ticket || !r->done) return;
    struct answer a = {c->ticket, r->status, r->last_leader, r->term, r->index, r->data, r->unsent};
    if (r->outcome == HISTORY_UNKNOWN || r->outcome == HISTORY_PENDING)
        a.status = QRT_EUNKNOWN;
    else if (r->outcome == HISTORY_FAILED && r->status >= 0)
        a.status = QRT_EFAILED;
    c->ticket = 0;
    pthread_mutex_lock(&l->ticket_mutex);
    tickets_answer(&l->tickets, &a, all->actor.time);
    pthread_mutex_unlock(&l->ticket_mutex);
    live_ring(l);
}

static void send_request(struct live_clients *all, struct live_client *c, struct effect *e) {
    uint8_t *frame = effect_bytes(e, c->out.arena.data);
    struct actor *a = &all->actor;
    uint16_t id = id_of(all, c);
    uint64_t message = (uint64_t)id << 40 | ++c->sends, departed = a->departed;
    wire_seal(frame, e->size, message, a->live->cluster_id);
    qrt_event event = {a->time, id,      0,        QRT_KIND_SEND, frame[9],
                       e->peer, e->term, e->index, message,       wire_checksum(frame)};
    trace_emit(&a->trace, &event);
    if (e->blob)
        actor_send_large(a, id, e->peer, e->blob);
    else
        actor_send(a, id, e->peer, frame, e->size);
    blob_unref(&e->blob);
    if (a->live->remote && a->departed == departed) client_unsent(c->client);
}

static void set_timer(struct live_clients *all, struct live_client *c, const struct effect *e) {
    int64_t due = e->b == (uint64_t)INT64_MAX ? NEVER : all->actor.time + (int64_t)e->b;
    size_t slot = (size_t)(c - all->clients) * CLIENT_TIMERS + (size_t)(e->a % CLIENT_TIMERS);
    alarm_set(&all->actor.alarms, (uint32_t)slot, due);
}

static void carry_out(struct live_clients *all, struct live_client *c) {
    struct actor *a = &all->actor;
    for (size_t i = 0; i < c->out.count; i++) {
        struct effect *e = &c->out.effects[i];
        if (e->kind == FX_SEND) send_request(all, c, e);
        if (e->kind == FX_TIMER) set_timer(all, c, e);
        if (e->kind != FX_NOTE) continue;
        qrt_event event = {a->time, id_of(all, c), 0,        (uint8_t)e->a, (uint8_t)e->b,
                           e->peer, e->term,       e->index, e->c,          e->d};
        trace_emit(&a->trace, &event);
    }
    outbox_clear(&c->out);
    settle(all, c);
    bool idle = client_idle(c->client);
    if (idle == c->idle) return;
    c->idle = idle;
    if (!idle)
        atomic_fetch_add(&all->busy, 1);
    else if (atomic_fetch_sub(&all->busy, 1) == 1)
        live_ring(a->live);
}

static struct client_io input_begin(struct live_clients *all, struct live_client *c, int64_t after) {
    all->actor.time = journal_open(&all->actor.journal, all->actor.live, after);
    pthread_mutex_lock(&all->mutex);
    return (struct client_io){c ? &c->out : NULL, &all->history, all->actor.time};
}

static void look_at_capture(struct live_clients *all) {
    const char *why = all->capture && !all->uncaptured ? capture_why(all->capture) : NULL;
    if (why) log_line(all->actor.live->log, LOG_WARN, 0, "the capture of the clients' history stops: %s", why);
    all->uncaptured |= why != NULL;
}

static void input_end(struct live_clients *all, struct live_client *c) {
    look_at_capture(all);
    all->counts = all->actor.counts;
    pthread_mutex_unlock(&all->mutex);
    if (c) carry_out(all, c);
    journal_close(&all->actor.journal);
}

static void on_arrival(void *self, const struct arrival *arrival) {
    struct live_clients *all = self;
    struct actor *a = &all->actor;
    struct message m;
    size_t number = (size_t)(arrival->to - QRT_CLIENT - 1);
    struct live_client *c = number < all->count ? &all->clients[number] : NULL;
    struct client_io io = input_begin(all, c, arrival->sent);
    bool sound = c && wire_decode(arrival->frame, a->live->cluster_id, &m) && m.to == arrival->to &&
                 m.kind == WIRE_CLIENT_REPLY && m.from < QRT_CLIENT;
    const uint8_t *frame = arrival->frame.data;
    qrt_event e = {a->time, arrival->to, 0, QRT_KIND_RECEIVE, 0, 0, 0, 0, wire_id(frame), wire_checksum(frame)};
    a->counts.delivered++;
    if (sound) {
        e.detail = m.kind;
        e.peer = m.from;
    } else {
        e.kind = QRT_KIND_REJECT;
        e.detail = QRT_DROP_CORRUPT;
    }
    trace_emit(&a->trace, &e);
    if (sound) client_message(c->client, &io, &m);
    input_end(all, c);
}

static bool ring_timers(struct live_clients *all) {
    bool any = false;
    int64_t now = live_now(all->actor.live);
    for (int64_t slot; (slot = alarm_take(&all->actor.alarms, now)) >= 0; any = true) {
        struct live_client *c = &all->clients[slot / CLIENT_TIMERS];
        struct client_io io = input_begin(all, c, 0);
        client_timer(c->client, &io, (uint32_t)(slot % CLIENT_TIMERS));
        input_end(all, c);
    }
    return any;
}

/* ---- orders ---- */

static void add_client(struct live_clients *all, const struct order *o) {
    struct live *l = all->actor.live;
    all->clients = mem_grow(all->clients, &all->capacity, all->count + 1, sizeof *all->clients);
    struct live_client *c = &all->clients[all->count++];
    *c = (struct live_client){
        .out = {.node = o->client, .large = live_port.large}, .manual = o->workload == NULL, .idle = true};
    struct client_config config = {
        .id = o->client,
        .nodes = l->members,
        .node_count = live_node_count(l),
        .seed = (uint64_t)l->config.options.seed,
        .workload = o->workload,
        .operations = o->operations,
        .timeout_ns = l->config.options.timeout,
        .retry_ns = l->config.options.client_retry,
        .first = l->remote ? remote_first(l) : 0,
    };
    c->client = client_new(&config);
    struct client_io io = input_begin(all, c, o->time);
    client_start(c->client, &io);
    input_end(all, c);
}

static void submit(struct live_clients *all, struct order *o) {
    struct live *l = all->actor.live;
    size_t number = (size_t)(o->client - QRT_CLIENT - 1);
    struct live_client *c = number < all->count ? &all->clients[number] : NULL;
    if (!c || c->ticket) {
        o->status = c ? QRT_EBUSY : QRT_ENOTFOUND;
        return;
    }
    struct client_io io = input_begin(all, c, o->time);
    int64_t deadline = io.now + l->config.options.timeout;
    o->status = client_submit(c->client, &io, o->detail, bytes_of(o->data.data, o->data.size), deadline);
    if (!o->status) {
        pthread_mutex_lock(&l->ticket_mutex);
        o->ticket = c->ticket = tickets_add(&l->tickets, o->client, io.now);
        pthread_mutex_unlock(&l->ticket_mutex);
    }
    input_end(all, c);
}

static void withdraw(struct live_clients *all, const struct order *o) {
    size_t number = (size_t)(o->client - QRT_CLIENT - 1);
    struct live_client *c = number < all->count ? &all->clients[number] : NULL;
    if (!c || c->ticket != o->ticket) return;
    struct client_io io = input_begin(all, c, o->time);
    client_withdraw(c->client, &io);
    input_end(all, c);
}

static void stop(struct live_clients *all, const struct order *o) {
    for (size_t i = 0; i < all->count; i++) {
        struct live_client *c = &all->clients[i];
        if (c->manual) continue;
        input_begin(all, c, o->time);
        client_stop(c->client);
        input_end(all, c);
    }
}

static void take_orders(struct live_clients *all) {
    for (struct order *o; (o = order_take(&all->actor));) {
        if (o->kind == ORDER_QUIT) all->actor.quit = true;
        if (o->kind == ORDER_CLIENT) add_client(all, o);
        if (o->kind == ORDER_SUBMIT) submit(all, o);
        if (o->kind == ORDER_WITHDRAW) withdraw(all, o);
        if (o->kind == ORDER_STOP) stop(all, o);
        if (o->kind == ORDER_ASK) remote_send(&all->actor, o);
        order_end(&all->actor, o);
    }
}

void *clients_main(void *clients) {
    struct live_clients *all = clients;
    struct actor *a = &all->actor;
    for (;;) {
        take_orders(all);
        if (a->quit) break;
        actor_depart(a);
        bool busy = actor_arrivals(a, on_arrival, clients_of(a)) > 0;
        busy |= ring_timers(all);
        if (!busy) actor_sleep(a, true, NEVER);
    }
    return NULL;
}

void clients_init(struct live_clients *c) {
    pthread_mutex_init(&c->mutex, NULL);
    history_init(&c->history);
}

void clients_capture(struct live_clients *all) {
    const struct cluster_options *o = &all->actor.live->config.options;
    if (*o->capture) all->capture = capture_history_open(o->capture, o->capture_size, &all->history);
}

void clients_free(struct live_clients *all) {
    if (!all->actor.live) return;
    for (size_t i = 0; i < all->count; i++) {
        client_free(all->clients[i].client);
        outbox_free(&all->clients[i].out);
    }
    free(all->clients);
    capture_history_close(&all->capture, &all->history);
    history_free(&all->history);
    pthread_mutex_destroy(&all->mutex);
    actor_free(&all->actor);
}
