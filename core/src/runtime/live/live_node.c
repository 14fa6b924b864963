/* A live node's thread: it drains what came, steps its host, flushes once for the whole burst, tells what it is now, and
 * sleeps. The host is the simulator's; what differs is that time passes by itself. */
#include "runtime/live/live_hand.h"
#include "runtime/live/live_log.h"
#include "runtime/live/live_reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/live/live_load.h"

/* ---- the port ---- */

static struct live_node *node_of(struct host *h) {
    return &((struct live *)h->runtime)->nodes[h->config.node];
}

static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    (void)runtime;
    actor_send(&node_of(h)->actor, h->config.node, to, frame, size);
}

static void port_send_large(void *runtime, struct host *h, uint16_t to, struct blob *frame) {
    (void)runtime;
    actor_send_large(&node_of(h)->actor, h->config.node, to, frame);
}

static uint32_t timer_slot(struct live_node *n, uint16_t group, uint32_t id) {
    for (uint32_t i = 0; i < n->timer_count; i++)
        if (n->timers[i].id == id && n->timers[i].group == group) return i;
    n->timers = mem_grow(n->timers, &n->timer_capacity, n->timer_count + 1, sizeof *n->timers);
    n->timers[n->timer_count] = (struct node_timer){group, id};
    return (uint32_t)n->timer_count++;
}

static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    struct live_node *n = node_of(h);
    (void)runtime;
    int64_t due = NEVER;
    if (delay != INT64_MAX) { /* the node counts by its own clock: a fast one rings early */
        double drift = n->clock->drift_ppm;
        if (drift != 0) delay = (int64_t)((double)delay / (1 + drift / 1e6)) + 2;
        due = h->time + (delay > 0 ? delay : 0);
    }
    alarm_set(&n->actor.alarms, timer_slot(n, group, id), due);
}

static void port_persist(void *runtime, struct host *h) {
    (void)runtime;
    node_of(h)->flush_wanted = true;
}

static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    struct live *l = runtime;
    if (a->ticket & LOAD_TICKET) {
        load_answered(node_of(h), a);
        return;
    }
    if (l->agent) {
        agent_answer(l, a, h->time);
        return;
    }
    pthread_mutex_lock(&l->ticket_mutex);
    tickets_answer(&l->tickets, a, h->time);
    pthread_mutex_unlock(&l->ticket_mutex);
    live_ring(l);
}

static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    struct live_node *n = node_of(h);
    (void)runtime;
    if (why == QRT_OK) return; /* an armed crash: node_after sees it */
    log_line(n->actor.live->log, LOG_ERROR, n->actor.id, "stops: %s", text);
    n->death = why;
    snprintf(n->death_text, sizeof n->death_text, "%s", text);
    driver_die(h);
}

/* On the disk's thread. */
static void port_saved(void *runtime, struct host *h) {
    (void)runtime;
    actor_nudge(&node_of(h)->actor);
}

const struct host_port live_port = {.send = port_send,
                                    .timer = port_timer,
                                    .persist = port_persist,
                                    .answer = port_answer,
                                    .died = port_died,
                                    .send_large = port_send_large,
                                    .large = LIVE_LARGE,
                                    .saved = port_saved};

/* ---- inputs ---- */

/* The inputs of a burst share one opening of the journal, and so a time, unless one has to be later. */
void node_input(struct live_node *n, int64_t after) {
    if (n->actor.journal.gate->open == n->actor.time && n->actor.time > after) return;
    n->actor.time = journal_open(&n->actor.journal, n->actor.live, after);
    node_clock(n);
}

void node_input_end(struct live_node *n) {
    node_after(n);
}

static void burst_end(struct live_node *n) {
    if (n->actor.journal.gate->open != NEVER) journal_close(&n->actor.journal);
}

static void on_arrival(void *self, const struct arrival *arrival) {
    struct live_node *n = self;
    node_input(n, arrival->sent);
    if (!n->host.up) {
        actor_drop(&n->actor, arrival->from, arrival->to, QRT_DROP_DOWN, wire_id(arrival->frame.data));
    } else if (live_cut(n->actor.live, arrival->from, arrival->to)) {
        actor_drop(&n->actor, arrival->from, arrival->to, QRT_DROP_PARTITION, wire_id(arrival->frame.data));
    } else {
        n->actor.counts.delivered++;
        host_receive(&n->host, arrival->frame);
    }
    node_input_end(n);
}

/* A process that was stopped, or a busy machine: the protocol may have assumed that this does not happen. */
static void note_late(struct live_node *n) {
    const struct runtime_config *config = &n->actor.live->config;
    int64_t late = n->actor.time - n->actor.alarms.rang;
    if (n->late || !config->protocol->bound || late <= config->protocol->bound(config->protocol_options)) return;
    n->late = late;
    n->late_at = n->actor.time;
}

static bool ring_due(struct live_node *n, int64_t time) {
    bool any = false;
    for (int64_t slot; n->host.up && (slot = alarm_take(&n->actor.alarms, time)) >= 0; any = true) {
        node_input(n, 0);
        note_late(n);
        host_timer(&n->host, n->timers[slot].group, n->timers[slot].id);
        node_input_end(n);
    }
    return any;
}

/* What is due by the time of the burst, which is now where nothing has begun it; the next burst sees what has become due since.
 * No timer rings at a time before it is due: one that is set again from there would be due at once, for ever. */
static bool ring_timers(struct live_node *n) {
    const struct heap *queued = &n->actor.alarms.heap;
    if (!n->host.up || !queued->count) return false;
    if (n->actor.journal.gate->open == NEVER) {
        if (queued->keys[0].time > live_now(n->actor.live)) return false;
        node_input(n, 0);
    }
    return ring_due(n, n->actor.time);
}

/* A checkpoint that the disk's thread has saved meanwhile. */
static bool take_saved(struct live_node *n) {
    struct error e = {0};
    if (!n->host.up || !host_saving_ended(&n->host)) return false;
    node_input(n, 0);
    if (host_saved(&n->host, &e)) port_died(n->actor.live, &n->host, e.status, e.text);
    node_input_end(n);
    return true;
}

/* One group commit of all that the burst has written. What follows from it may want the next. */
static void flush(struct live_node *n) {
    while (n->flush_wanted && n->host.up) {
        struct error e = {0};
        n->flush_wanted = false;
        burst_end(n);
        node_input(n, 0);
        if (host_flush_begin(&n->host, &e) && host_flush_end(&n->host, &e))
            port_died(n->actor.live, &n->host, e.status, e.text);
        log_flush(n, n->actor.time);
        host_look(&n->host);
        node_input_end(n);
    }
    n->flush_wanted = false;
}

/* ---- orders ---- */

static void propose(struct live_node *n, struct order *o) {
    node_input(n, o->time);
    if (n->host.up) {
        host_propose(&n->host, 0, bytes_of(o->data.data, o->data.size), o->ticket);
    } else { /* it died meanwhile: certainly not proposed */
        struct answer a = {.ticket = o->ticket, .status = QRT_ENOTLEADER};
        port_answer(n->actor.live, &n->host, &a);
    }
    node_input_end(n);
    order_end(&n->actor, o);
}

static void postpone(struct live_node *n, struct order *o) {
    o->next = NULL;
    if (n->waiting_last)
        n->waiting_last->next = o;
    else
        n->waiting = o;
    n->waiting_last = o;
}

static void propose_waiting(struct live_node *n) {
    while (n->waiting && !n->paused) {
        struct order *o = n->waiting;
        n->waiting = o->next;
        if (!n->waiting) n->waiting_last = NULL;
        propose(n, o);
    }
}

static void pause_or_resume(struct live_node *n, bool pause) {
    if (n->paused == pause || !n->host.up) return;
    n->paused = pause;
    n->actor.counts.pauses += pause;
    host_emit(&n->host, 0, pause ? QRT_KIND_PAUSE : QRT_KIND_RESUME, 0, 0, 0, 0, 0, 0);
}

static void set_clock(struct live_node *n, const struct order *o) {
    if (o->data.size) agent_faults(n->actor.live, bytes_of(o->data.data, o->data.size));
    node_set_clock(n->clock, n->actor.time, o->offset, o->drift);
    node_fill(n, false);
}

static void add_field(void *context, const char *name, const char *value) {
    buffer_append(context, name, strlen(name) + 1);
    buffer_append(context, value, strlen(value) + 1);
}

static void inspect(struct live_node *n, struct order *o) {
    if (n->host.up)
        n->host.instances[0].protocol->inspect(n->host.instances[0].state, add_field, &o->data);
    else
        o->status = QRT_EDOWN;
}

static void crash(struct live_node *n, const struct order *o) {
    if (o->effect >= 0 && n->host.up) {
        n->crash_fate = o->detail;
        n->crash_guarded = o->guarded;
        n->host.crash_after = (uint64_t)o->effect;
    } else if (o->guarded) {
        node_crash_guarded(n, o->detail);
    } else {
        node_crash(n, o->detail);
    }
}

static void carry_out(struct live_node *n, struct order *o) {
    switch ((enum order_kind)o->kind) {
    case ORDER_QUIT: n->actor.quit = true; break;
    case ORDER_CRASH: crash(n, o); break;
    case ORDER_RESTART:
        n->host.crash_after = HOST_NO_CRASH; /* a crash that still waits for its effect is called off */
        node_restart(n);
        break;
    case ORDER_PAUSE:
    case ORDER_RESUME: pause_or_resume(n, o->kind == ORDER_PAUSE); break;
    case ORDER_CLOCK: set_clock(n, o); break;
    case ORDER_INSPECT: inspect(n, o); break;
    case ORDER_REPLY: hand_answer(n, o); break;
    case ORDER_REKEY: hand_rekey(n); break;
    case ORDER_LOAD: load_begin(n, o); break;
    case ORDER_PROPOSE:
    case ORDER_CLIENT:
    case ORDER_SUBMIT:
    case ORDER_WITHDRAW:
    case ORDER_STOP:
    case ORDER_START:
    case ORDER_ASK: break; /* not for here */
    }
}

static void take_orders(struct live_node *n) {
    for (struct order *o; (o = order_take(&n->actor));) {
        if (o->kind == ORDER_PROPOSE) {
            postpone(n, o);
            propose_waiting(n);
            continue;
        }
        propose_waiting(n);
        node_input(n, o->time);
        carry_out(n, o);
        node_input_end(n);
        flush(n);
        burst_end(n);
        node_publish(n); /* who waits for the order sees what became of it */
        order_end(&n->actor, o);
    }
    propose_waiting(n);
    if (n->paused && n->actor.live->agent && !n->actor.quit) agent_stop(n);
}

/* All that has arrived, what is proposed here, what is due: one burst. True: there may be more at once. */
static bool burst(struct live_node *n) {
    size_t arrived = 0;
    bool busy = false, hand = n->actor.live->hand;
    actor_depart(&n->actor);
    if (n->paused && hand) busy = hand_park(n);
    if (!n->paused) {
        arrived = actor_arrivals(&n->actor, on_arrival, n);
        busy = load_propose(n) || arrived;
        busy |= ring_timers(n);
        node_look(n);
        busy |= take_saved(n);
        flush(n);
    }
    burst_end(n);
    if (busy) node_publish(n);
    return arrived == LIVE_BURST || (hand && busy); /* an answer by the inbox may have taken its signal */
}

void *node_main(void *node) {
    struct live_node *n = node;
    struct actor *a = &n->actor;
    flush(n);
    burst_end(n);
    node_publish(n);
    for (;;) {
        take_orders(n);
        if (a->quit) break;
        bool more = burst(n);
        if (a->live->agent) agent_flush(a->live);
        int64_t until = n->paused ? NEVER : load_due(n), look = a->reach ? reach_tick(a) : NEVER;
        actor_sleep(a, !n->paused, more ? 0 : look < until ? look : until);
    }
    return NULL;
}

void node_init(struct live_node *n) {
    if (!n->shown) {
        mutex_init(&n->own_shown.mutex, false);
        n->shown = &n->own_shown;
        n->clock = &n->own_clock;
        log_tap(n);
    }
    n->shown->view.node = n->actor.id;
}

void node_free(struct live_node *n) {
    if (!n->actor.live) return;
    n->paused = false;
    while (n->waiting) {
        struct order *o = n->waiting;
        n->waiting = o->next;
        order_free(o);
    }
    capture_close(&n->host.capture);
    if (n->host.port) host_free(&n->host);
    if (n->disk) n->disk->class->free(n->disk);
    load_free(n);
    free(n->timers);
    if (n->shown == &n->own_shown) pthread_mutex_destroy(&n->own_shown.mutex);
    actor_free(&n->actor);
}
