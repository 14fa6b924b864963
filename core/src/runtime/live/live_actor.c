/* What every live thread is made of: sockets, orders, alarms, and the links with their faults.
 *
 * Queues are bounded and never block: a message that finds one full is counted and traced. What a fault delays waits on
 * the sender's side, which is the wire: among threads it arrives whatever has become of its sender; a process that is
 * killed takes it along. */
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"
#include "runtime/live/live_parcel.h"
#include "runtime/live/live_reach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "base/check.h"

qrt_status actor_init(struct actor *a, struct live *l, uint16_t id, struct gate *gate, struct ring *ring, int bell,
                      struct error *e) {
    a->live = l;
    a->id = id;
    a->delayed_free = UINT32_MAX;
    heap_init(&a->alarms.heap);
    heap_init(&a->departures);
    journal_init(&a->journal, gate, ring);
    a->journal.silent |= l->silent;
    trace_init(&a->trace, 0);
    a->trace.passing = true; /* the merged one is hashed */
    if (a->journal.silent) a->journal.emitted = &a->trace.count;
    actor_tap(a, 0, NULL, NULL);
    pthread_mutex_init(&a->orders.mutex, NULL);
    atomic_store(&a->orders.pending, l->agent != NULL); /* letters may have come with the first ones */
    pthread_cond_init(&a->orders.done, NULL);
    a->out = mem_zero((size_t)live_node_count(l) + 1, sizeof *a->out);
    a->pool = pool_new();
    if (l->hand || l->remote) a->reach = reach_new();
    a->bell = bell >= 0 ? bell : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->bell >= 0) return QRT_OK;
    return error_set(e, QRT_EIO, "node %u gets no event descriptor: %s", id, strerror(errno));
}

void actor_tap(struct actor *a, uint64_t kinds, void (*event)(void *, const qrt_event *, uint64_t), void *context) {
    struct trace_sink tap = {kinds, event, context};
    if (!a->journal.silent) tap.kinds = UINT64_MAX;
    a->trace.sink = a->journal.silent || event ? tap : journal_sink(&a->journal);
}

void actor_free(struct actor *a) {
    if (!a->live) return;
    for (struct order *o; (o = order_take(a));) order_end(a, o);
    actor_unplug(a);
    if (a->bell >= 0) close(a->bell);
    for (uint32_t i = 0; i < a->delayed_count; i++) blob_unref(&a->delayed[i].message);
    free(a->delayed);
    free(a->out);
    pool_leave(a->pool);
    reach_free(a->reach);
    free(a->links);
    free(a->alarms.alarms);
    heap_free(&a->alarms.heap);
    heap_free(&a->departures);
    trace_free(&a->trace);
    journal_free(&a->journal);
    pthread_mutex_destroy(&a->orders.mutex);
    pthread_cond_destroy(&a->orders.done);
}

/* ---- orders ---- */

void order_free(struct order *o) {
    buffer_free(&o->data);
    free(o);
}

void order_give(struct actor *a, struct order *o) {
    struct orders *q = &a->orders;
    pthread_mutex_lock(&q->mutex);
    o->next = NULL;
    if (q->last)
        q->last->next = o;
    else
        q->first = o;
    q->last = o;
    atomic_store(&q->pending, true);
    actor_wake(a);
    pthread_mutex_unlock(&q->mutex);
}

/* Orders are said to be pending although there may be none: whoever goes to sleep looks at that last. */
void actor_nudge(struct actor *a) {
    pthread_mutex_lock(&a->orders.mutex);
    atomic_store(&a->orders.pending, true);
    actor_wake(a);
    pthread_mutex_unlock(&a->orders.mutex);
}

void order_wait(struct actor *a, struct order *o) {
    o->waited = true;
    order_give(a, o);
    pthread_mutex_lock(&a->orders.mutex);
    while (!o->done) pthread_cond_wait(&a->orders.done, &a->orders.mutex);
    pthread_mutex_unlock(&a->orders.mutex);
}

static void orders_taken(struct actor *a) {
    pthread_mutex_lock(&a->orders.mutex);
    atomic_store(&a->orders.pending, false);
    pthread_cond_broadcast(&a->orders.done);
    pthread_mutex_unlock(&a->orders.mutex);
}

struct order *order_take(struct actor *a) {
    struct orders *q = &a->orders;
    if (!atomic_load(&q->pending)) return NULL;
    if (a->live->agent) {
        struct order *letter = agent_order(a->live, a);
        if (!letter) orders_taken(a); /* until the socket has more */
        return letter;
    }
    pthread_mutex_lock(&q->mutex);
    struct order *o = q->first;
    if (o) q->first = o->next;
    if (!q->first) {
        q->last = NULL;
        atomic_store(&q->pending, false);
    }
    pthread_mutex_unlock(&q->mutex);
    return o;
}

void order_end(struct actor *a, struct order *o) {
    if (a->live->agent) agent_end(a->live, o);
    if (!o->waited) {
        order_free(o);
        return;
    }
    pthread_mutex_lock(&a->orders.mutex);
    o->done = true;
    pthread_cond_broadcast(&a->orders.done);
    pthread_mutex_unlock(&a->orders.mutex);
}

/* ---- alarms ---- */

static void alarm_queue(struct alarms *t, uint32_t slot) {
    struct alarm *at = &t->alarms[slot];
    at->queued = at->due;
    at->order = t->heap.sequence << HEAP_SLOT_BITS | slot;
    heap_push(&t->heap, at->due, slot);
}

/* Set later than its entry, only `due` moves: the entry, when it comes, is put back. */
void alarm_set(struct alarms *t, uint32_t slot, int64_t due) {
    if (slot >= t->count) t->alarms = mem_grow(t->alarms, &t->capacity, slot + 1, sizeof *t->alarms);
    while (t->count <= slot) t->alarms[t->count++] = (struct alarm){NEVER, NEVER, 0};
    t->alarms[slot].due = due;
    if (due < t->alarms[slot].queued) alarm_queue(t, slot);
}

void alarms_clear(struct alarms *t) {
    for (size_t i = 0; i < t->count; i++) t->alarms[i].due = NEVER;
}

int64_t alarm_take(struct alarms *t, int64_t now) {
    while (t->heap.count && t->heap.keys[0].time <= now) {
        struct heap_key key = heap_pop(&t->heap);
        uint32_t slot = heap_slot(key);
        struct alarm *at = &t->alarms[slot];
        if (at->queued == NEVER || at->order != key.order) continue;
        at->queued = NEVER;
        if (at->due > now) {
            if (at->due != NEVER) alarm_queue(t, slot);
            continue;
        }
        t->rang = at->due;
        at->due = NEVER;
        return slot;
    }
    return -1;
}

/* ---- sending ---- */

void actor_drop(struct actor *a, uint16_t from, uint16_t to, uint8_t why, uint64_t id) {
    a->counts.dropped++;
    a->drops[why & 7]++;
    qrt_event e = {a->time, to, 0, QRT_KIND_DROP, why, from, 0, 0, id, 0};
    trace_emit(&a->trace, &e);
}

static struct live_link *link_of(struct actor *a, uint16_t from, uint16_t to) {
    size_t n = live_node_count(a->live), at = to;
    if (to > QRT_CLIENT)
        at = n + (to - QRT_CLIENT);
    else if (from > QRT_CLIENT)
        at = (size_t)(from - QRT_CLIENT - 1) * n + to;
    if (at >= a->link_count) {
        a->links = mem_grow(a->links, &a->link_capacity, at + 1, sizeof *a->links);
        memset(a->links + a->link_count, 0, (at + 1 - a->link_count) * sizeof *a->links);
        a->link_count = at + 1;
    }
    return &a->links[at];
}

static uint16_t peer_of(uint16_t to) {
    return to > QRT_CLIENT ? 0 : to;
}

/* A process that is down is not there to drop what comes for it, as a thread does. */
static bool peer_is_down(struct live *l, uint16_t peer) {
    if (l->agent || !peer) return l->agent && agent_sees_down(l, peer);
    struct shown *shown = l->nodes[peer].shown;
    robust_lock(&shown->mutex);
    bool up = shown->view.up;
    pthread_mutex_unlock(&shown->mutex);
    return !up;
}

/* A socket that sends without waiting looks at what the other side has taken only now and then (libzmq spares itself the
 * look for a millisecond), so it may seem full when it is not. Asked for its events, it looks. */
static bool send_now(zmq_msg_t *m, void *socket) {
    int events = 0;
    size_t size = sizeof events;
    if (zmq_msg_send(m, socket, ZMQ_DONTWAIT) >= 0) return true;
    return !zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) && events & ZMQ_POLLOUT &&
           zmq_msg_send(m, socket, ZMQ_DONTWAIT) >= 0;
}

static void queue_message(struct actor *a, uint16_t peer, const struct parcel *p) {
    const struct envelope *head = &p->head;
    const uint8_t *frame = p->frame;
    zmq_msg_t m;
    if (!peer && a->live->hand) { /* its clients have no endpoint */
        hand_reply(a, head, frame, p->size);
        return;
    }
    if (!a->out[peer] || !parcel_pack(&m, p, a->pool)) {
        actor_drop(a, head->from, head->to, QRT_DROP_FULL, wire_id(frame));
        return;
    }
    QUEUE_RELEASE(a->out[peer]);
    struct actor *receiver = peer ? &a->live->nodes[peer].actor : &a->live->clients.actor;
    QUEUE_RELEASE(receiver);
    if (send_now(&m, a->out[peer])) {
        a->departed++;
        return;
    }
    zmq_msg_close(&m);
    uint8_t why = live_apart(a->live) && peer_is_down(a->live, peer) ? QRT_DROP_DOWN : QRT_DROP_FULL;
    actor_drop(a, head->from, head->to, why, wire_id(frame));
    if (a->reach) reach_failed(a, peer);
}

static void delay_message(struct actor *a, uint16_t peer, const struct parcel *p, int64_t time) {
    uint32_t slot = a->delayed_free;
    if (a->delayed_bytes + p->size > LIVE_DELAYED_BYTES) {
        actor_drop(a, p->head.from, p->head.to, QRT_DROP_FULL, wire_id(p->frame));
        return;
    }
    a->delayed_bytes += p->size;
    a->departed++; /* it will, and nobody takes it back */
    if (slot == UINT32_MAX) {
        a->delayed = mem_grow(a->delayed, &a->delayed_capacity, (size_t)a->delayed_count + 1, sizeof *a->delayed);
        slot = a->delayed_count++;
        CHECK(slot <= HEAP_SLOT_MAX);
    } else {
        a->delayed_free = a->delayed[slot].next_free;
    }
    a->delayed[slot] = (struct delayed){peer, 0, parcel_keep(p)};
    heap_push(&a->departures, time, slot);
}

static void send_at(struct actor *a, const struct parcel *p, int64_t time) {
    if (time > a->time)
        delay_message(a, peer_of(p->head.to), p, time);
    else
        queue_message(a, peer_of(p->head.to), p);
}

/* The changed copy of a message that is a lie, or NULL. */
static uint8_t *lie_of(struct actor *a, const struct parcel *p, uint64_t bits) {
    uint8_t *copy = bits ? mem_copy(p->frame, p->size) : NULL;
    if (!copy || !wire_lie(copy, p->size, bits, a->live->cluster_id)) return copy;
    a->counts.lied++;
    qrt_event e = {a->time, p->head.from, 0, QRT_KIND_LIE, p->frame[9], p->head.to, 0, 0, wire_id(p->frame), 0};
    trace_emit(&a->trace, &e);
    return copy;
}

/* As the simulator's links do it, on the sender's side: a partition drops, the engine judges, order is kept. */
static void send_troubled(struct actor *a, struct live_link *k, const struct parcel *p) {
    const struct envelope *head = &p->head;
    struct live *l = a->live;
    struct fault_fate fate = {0};
    int64_t time = a->time;
    pthread_mutex_lock(&l->fault_mutex);
    bool cut = faults_cut(l->faults, head->from, head->to);
    faults_message(l->faults, head->from, head->to, k->sequence, p->size, &fate);
    if (head->to < QRT_CLIENT) time += faults_slowness(l->faults, head->to);
    pthread_mutex_unlock(&l->fault_mutex);
    if (cut || fate.drop) {
        actor_drop(a, head->from, head->to, cut ? QRT_DROP_PARTITION : fate.drop, wire_id(p->frame));
        return;
    }
    time += fate.extra_ns;
    if (fate.wire_ns) {
        k->free = (k->free > a->time ? k->free : a->time) + fate.wire_ns;
        time += k->free - a->time;
    }
    if (fate.reorder)
        a->counts.reordered++;
    else if (time < k->last)
        time = k->last;
    else
        k->last = time;
    uint8_t *lie = lie_of(a, p, fate.lie);
    struct parcel told = lie ? parcel_changed(p, lie) : *p;
    uint8_t *damaged = fate.corrupt ? mem_copy(told.frame, told.size) : NULL;
    if (damaged) {
        a->counts.corrupted++;
        damaged[fate.corrupt_bit / 8] ^= (uint8_t)(1u << (fate.corrupt_bit % 8));
    }
    struct parcel arrives = damaged ? parcel_changed(p, damaged) : told;
    send_at(a, &arrives, time);
    free(damaged);
    a->counts.duplicated += fate.duplicate;
    if (fate.duplicate) send_at(a, &told, time + fate.duplicate_ns);
    free(lie);
}

static void send_parcel(struct actor *a, const struct parcel *p) {
    struct live_link *k = link_of(a, p->head.from, p->head.to);
    k->sequence++;
    if (!atomic_load_explicit(&a->live->calm, memory_order_acquire))
        send_troubled(a, k, p);
    else
        send_at(a, p, k->last > a->time ? k->last : a->time);
}

void actor_send(struct actor *a, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size) {
    send_parcel(a, &(struct parcel){{from, to, 0, a->time}, frame, size, NULL});
}

void actor_send_large(struct actor *a, uint16_t from, uint16_t to, struct blob *large) {
    struct parcel p = parcel_large((struct envelope){from, to, 0, a->time}, large);
    send_parcel(a, &p);
}

void actor_depart(struct actor *a) {
    if (!a->departures.count) return;
    int64_t now = live_now(a->live);
    if (a->departures.keys[0].time > now) return;
    a->time = journal_open(&a->journal, a->live, 0);
    while (a->departures.count && a->departures.keys[0].time <= now) {
        uint32_t slot = heap_slot(heap_pop(&a->departures));
        struct delayed *d = &a->delayed[slot];
        struct parcel p = parcel_kept(d->message);
        queue_message(a, d->peer, &p);
        a->delayed_bytes -= p.size;
        blob_unref(&d->message);
        d->next_free = a->delayed_free;
        a->delayed_free = slot;
    }
    journal_close(&a->journal);
}

/* ---- receiving ---- */

bool live_cut(struct live *l, uint16_t from, uint16_t to) {
    if (atomic_load_explicit(&l->calm, memory_order_acquire)) return false;
    pthread_mutex_lock(&l->fault_mutex);
    bool cut = faults_cut(l->faults, from, to);
    pthread_mutex_unlock(&l->fault_mutex);
    return cut;
}
