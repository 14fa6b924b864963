/* The simulator's links: delays, first-in first-out order, and what the fault engine does to a message.
 *
 * A message's delay is a keyed draw from (seed, link, position on the link), its fate a keyed draw of the fault engine, so
 * that taking one message or fault away leaves all others as they were. A partition drops what is sent or would be
 * delivered while it stands. */
#include "runtime/sim.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Between nodes: row from, column to. Behind those, for each client: n links from it, n links to it. */
struct link *sim_link(struct sim *s, uint16_t from, uint16_t to) {
    size_t n = (size_t)s->config.options.nodes;
    if (__builtin_expect((from | to) < QRT_CLIENT, 1)) return &s->links[(size_t)(from - 1) * n + (size_t)(to - 1)];
    if (from > QRT_CLIENT) return &s->links[n * n + (size_t)(from - QRT_CLIENT - 1) * 2 * n + (size_t)(to - 1)];
    return &s->links[n * n + (size_t)(to - QRT_CLIENT - 1) * 2 * n + n + (size_t)(from - 1)];
}

void sim_links_grow(struct sim *s) {
    size_t n = (size_t)s->config.options.nodes, first = s->link_count;
    s->link_count += 2 * n;
    s->links = mem_grow(s->links, &s->link_capacity, s->link_count, sizeof *s->links);
    for (size_t i = first; i < s->link_count; i++) {
        s->links[i] = (struct link){0};
        s->links[i].key = random_keyed((uint64_t)s->config.options.seed, RANDOM_LINK, 1u << 31 | i);
    }
}

/* memcpy for small frames, inline: whole words, and the last one over again when it is cut. */
static inline void copy_frame(uint8_t *to, const uint8_t *from, uint32_t size) {
    CHECK(size >= WIRE_HEADER);
    for (uint32_t i = 0; i + 16 <= size; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + size - 16, from + size - 16, 16);
}

static inline __attribute__((always_inline)) void
put_frame(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size, int64_t time, bool intact) {
    uint32_t slot = slot_take(s);
    struct slot *at = slot_at(s, slot);
    at->type = SLOT_FRAME;
    at->intact = intact;
    at->from = from;
    at->to = to;
    at->size = size;
    if (__builtin_expect(size <= SLOT_INLINE, 1))
        copy_frame(at->frame.bytes, frame, size);
    else
        at->frame.large = mem_copy(frame, size);
    sim_schedule(s, time, slot);
}

static void drop(struct sim *s, uint16_t from, uint16_t to, uint8_t why, uint64_t id) {
    s->counts.dropped++;
    qrt_event e = {s->now, to, 0, QRT_KIND_DROP, why, from, 0, 0, id, 0};
    trace_emit(&s->trace, &e);
}

/* A message that is not what its sender's protocol sent goes as a changed copy. A lie is sealed anew, and so arrives. */
static void send_changed(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size,
                         const struct fault_fate *fate, int64_t time) {
    uint8_t *copy = mem_copy(frame, size);
    if (fate->lie && wire_lie(copy, size, fate->lie, sim_cluster_id(s))) {
        s->counts.lied++;
        qrt_event e = {s->now, from, 0, QRT_KIND_LIE, frame[9], to, 0, 0, wire_id(frame), 0};
        trace_emit(&s->trace, &e);
    }
    uint8_t *damaged = copy + fate->corrupt_bit / 8, bit = (uint8_t)(fate->corrupt << fate->corrupt_bit % 8);
    s->counts.corrupted += fate->corrupt;
    *damaged ^= bit;
    put_frame(s, from, to, copy, size, time, !fate->corrupt);
    *damaged ^= bit;
    if (fate->duplicate) put_frame(s, from, to, copy, size, time + fate->duplicate_ns, true);
    free(copy);
}

static void send_troubled(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size,
                          struct link *l, int64_t time) {
    struct fault_fate fate;
    if (faults_cut(s->faults, from, to)) {
        drop(s, from, to, QRT_DROP_PARTITION, wire_id(frame));
        return;
    }
    faults_message(s->faults, from, to, l->sequence, size, &fate);
    if (fate.drop) {
        drop(s, from, to, fate.drop, wire_id(frame));
        return;
    }
    time += fate.extra_ns;
    if (fate.wire_ns) {
        l->free = (l->free > s->now ? l->free : s->now) + fate.wire_ns;
        time += l->free - s->now;
    }
    if (to < QRT_CLIENT) time += faults_slowness(s->faults, to);
    if (fate.reorder)
        s->counts.reordered++;
    else if (time < l->last)
        time = l->last;
    else
        l->last = time;
    s->counts.duplicated += fate.duplicate;
    if (fate.lie || fate.corrupt) {
        send_changed(s, from, to, frame, size, &fate, time);
        return;
    }
    put_frame(s, from, to, frame, size, time, true);
    if (fate.duplicate) put_frame(s, from, to, frame, size, time + fate.duplicate_ns, true);
}

static inline __attribute__((always_inline)) void send(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame,
                                                       uint32_t size) {
    struct link *l = sim_link(s, from, to);
    uint64_t bits = random_mix(l->key + l->sequence++ * 0x9e3779b97f4a7c15u);
    int64_t time = s->now;
    if (s->delay.kind == DIST_UNIFORM)
        time += s->delay.a + (int64_t)random_scale(bits, (uint64_t)(s->delay.b - s->delay.a) + 1);
    else
        time += distribution_draw(&s->delay, bits);
    if (__builtin_expect(!faults_calm(s->faults), 0)) {
        send_troubled(s, from, to, frame, size, l, time);
        return;
    }
    if (time < l->last) time = l->last;
    l->last = time;
    put_frame(s, from, to, frame, size, time, true);
}

void sim_send(struct sim *s, uint16_t from, uint16_t to, const uint8_t *frame, uint32_t size) {
    send(s, from, to, frame, size);
}

void sim_port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    send(runtime, h->config.node, to, frame, size);
}

static void wait_for_resume(struct sim_node *n, uint32_t slot) {
    n->waiting = mem_grow(n->waiting, &n->waiting_capacity, n->waiting_count + 1, sizeof *n->waiting);
    n->waiting[n->waiting_count++] = slot;
}

void sim_deliver(struct sim *s, struct slot *at, uint32_t slot) {
    uint16_t from = at->from, to = at->to;
    struct bytes frame = {slot_frame(at), at->size};
    if (to > QRT_CLIENT) {
        s->counts.delivered++;
        sim_client_deliver(s, to, frame);
        slot_release(s, at, slot);
        return;
    }
    struct sim_node *n = &s->nodes[to];
    if (n->paused && n->host.up) {
        wait_for_resume(n, slot);
        return;
    }
    if (!n->host.up) {
        drop(s, from, to, QRT_DROP_DOWN, wire_id(frame.data));
    } else if (__builtin_expect(!faults_calm(s->faults), 0) && faults_cut(s->faults, from, to)) {
        drop(s, from, to, QRT_DROP_PARTITION, wire_id(frame.data));
    } else {
        s->counts.delivered++;
        sim_clock(s, n);
        if (__builtin_expect(at->intact, 1))
            host_receive_intact(&n->host, frame);
        else
            host_receive(&n->host, frame);
        sim_node_after(s, n);
    }
    slot_release(s, at, slot);
}
