/* The simulator's queue and loop. See sim.h. */
#include "runtime/sim.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/stopwatch.h"

uint32_t slot_new(struct sim *s) {
    uint32_t slot = s->slot_count++;
    CHECK(slot < HEAP_SLOT_MAX);
    if (slot >> SLOT_CHUNK_BITS == s->chunk_count) {
        s->chunks = mem_grow(s->chunks, &s->chunk_capacity, s->chunk_count + 1, sizeof *s->chunks);
        s->chunks[s->chunk_count++] = mem_aligned(64, SLOT_CHUNK * sizeof(struct slot));
    }
    slot_at(s, slot)->type = SLOT_FREE;
    return slot;
}

/* Timers: each has one slot for ever and at most one live heap entry. Setting a timer later than its entry only moves
 * `due`: the entry, when it comes, is put back. So the commonest case, an election timer pushed on by every append,
 * never touches the heap. */
static struct sim_timer *timer_find(struct sim *s, struct timers *t, uint16_t owner, uint16_t group, uint32_t id) {
    for (size_t i = 0; i < t->count; i++)
        if (t->timers[i].id == id && t->timers[i].group == group) return &t->timers[i];
    t->timers = mem_grow(t->timers, &t->capacity, t->count + 1, sizeof *t->timers);
    struct sim_timer *timer = &t->timers[t->count];
    uint32_t slot = slot_take(s);
    slot_at(s, slot)->type = SLOT_TIMER;
    slot_at(s, slot)->to = owner;
    slot_at(s, slot)->timer = (uint32_t)t->count++;
    *timer = (struct sim_timer){group, id, slot, NO_TIMER, NO_TIMER, 0};
    return timer;
}

static void timer_queue(struct sim *s, struct sim_timer *timer) {
    timer->queued_time = timer->due;
    timer->queued_order = s->heap.sequence << HEAP_SLOT_BITS | timer->slot;
    sim_schedule(s, timer->due, timer->slot);
}

void timers_set(struct sim *s, struct timers *t, uint16_t owner, uint16_t group, uint32_t id, int64_t due) {
    struct sim_timer *timer = timer_find(s, t, owner, group, id);
    timer->due = due;
    if (due != NO_TIMER && due < timer->queued_time) timer_queue(s, timer);
}

void timers_clear(struct sim *s, struct timers *t) {
    (void)s;
    for (size_t i = 0; i < t->count; i++) t->timers[i].due = NO_TIMER;
}

/* The timer whose entry just came, when it is really due; NULL for a stale or postponed one. */
static struct sim_timer *timers_due(struct sim *s, struct timers *t, uint32_t index, uint64_t order) {
    struct sim_timer *timer = &t->timers[index];
    if (timer->queued_order != order || timer->queued_time == NO_TIMER) return NULL;
    timer->queued_time = NO_TIMER;
    if (timer->due == NO_TIMER) return NULL;
    if (timer->due > s->now) {
        timer_queue(s, timer);
        return NULL;
    }
    timer->due = NO_TIMER;
    return timer;
}

static void node_timer(struct sim *s, uint32_t slot, uint64_t order) {
    struct sim_node *n = &s->nodes[slot_at(s, slot)->to];
    struct sim_timer *timer = timers_due(s, &n->timers, slot_at(s, slot)->timer, order);
    if (!timer || !n->host.up) return;
    if (n->paused) {
        timer->due = s->now; /* rings when the node wakes */
        return;
    }
    sim_clock(s, n);
    host_timer(&n->host, timer->group, timer->id);
    sim_node_after(s, n);
}

/* What comes next is known early: by the time it is wanted, its frame is in the cache. */
static inline void prefetch_next(const struct sim *s) {
    const struct slot *next = slot_at(s, heap_slot(s->heap.keys[0]));
    __builtin_prefetch(next);
    __builtin_prefetch((const char *)next + 64);
}

bool sim_step(struct sim *s) {
    if (s->heap.count == 0) return false;
    struct heap_key key = heap_pop(&s->heap);
    uint32_t slot = heap_slot(key);
    struct slot *at = slot_at(s, slot);
    prefetch_next(s);
    s->now = key.time;
    s->events++;
    switch ((enum slot_type)at->type) {
    case SLOT_FRAME: sim_deliver(s, at, slot); break;
    case SLOT_TIMER:
        if (at->to >= QRT_CLIENT) {
            struct sim_client *c = &s->clients[at->to - QRT_CLIENT - 1];
            struct sim_timer *timer = timers_due(s, &c->timers, at->timer, key.order);
            if (timer) sim_client_timer(s, at->to, timer->id);
        } else {
            node_timer(s, slot, key.order);
        }
        break;
    case SLOT_FLUSH: {
        uint16_t node = at->to;
        slot_release(s, at, slot);
        sim_node_flushed(s, node, key.order);
        break;
    }
    case SLOT_FAULT:
        slot_release(s, at, slot);
        if (key.order == s->fault_order) sim_fault_tick(s);
        break;
    case SLOT_FREE: CHECK(false && "a scheduled slot is never free");
    }
    return true;
}

uint16_t sim_leader(const struct sim *s) {
    uint16_t leader = 0;
    uint64_t term = 0;
    for (uint16_t i = 1; i <= s->config.options.nodes; i++) {
        const struct host *h = &s->nodes[i].host;
        if (!h->up || s->nodes[i].paused) continue;
        struct protocol_status st;
        h->instances[0].protocol->status(h->instances[0].state, &st);
        if (st.role == QRT_ROLE_LEADER && (!leader || st.term > term)) {
            leader = i;
            term = st.term;
        }
    }
    return leader;
}

static bool nodes_reached(const struct sim *s, const struct condition *c) {
    bool any = false, all = true;
    for (uint16_t i = 1; i <= s->config.options.nodes; i++) {
        const struct host *h = &s->nodes[i].host;
        if (!h->up) continue;
        struct protocol_status st;
        h->instances[0].protocol->status(h->instances[0].state, &st);
        uint64_t value = c->kind == CONDITION_COMMIT ? st.commit
                         : c->kind == CONDITION_TERM ? st.term
                                                     : h->instances[0].applied;
        any = any || value >= c->value;
        all = all && value >= c->value;
    }
    return c->kind == CONDITION_APPLIED ? any && all : any;
}

static bool clients_idle(const struct sim *s) {
    for (size_t i = 0; i < s->client_count; i++)
        if (!client_idle(s->clients[i].client)) return false;
    return true;
}

static bool holds(const struct sim *s, const struct condition *c) {
    switch ((enum condition_kind)c->kind) {
    case CONDITION_NONE: return false;
    case CONDITION_LEADER: {
        uint16_t leader = sim_leader(s);
        return leader && leader != c->except;
    }
    case CONDITION_COMMIT:
    case CONDITION_APPLIED:
    case CONDITION_TERM: return nodes_reached(s, c);
    case CONDITION_EVENTS: return s->trace.count >= c->value;
    case CONDITION_IDLE: return clients_idle(s);
    case CONDITION_TICKET: {
        const struct ticket *t = tickets_at(&s->tickets, c->value);
        return !t || t->done;
    }
    }
    return true;
}

qrt_status sim_run(struct sim *s, int64_t until, const struct condition *condition, int64_t slice_ns) {
    int64_t deadline = slice_ns ? stopwatch_ns() + slice_ns : 0;
    bool conditional = condition && condition->kind != CONDITION_NONE;
    if (conditional && holds(s, condition)) return QRT_OK;
    for (uint32_t n = 1; s->heap.count && s->heap.keys[0].time <= until; n++) {
        sim_step(s);
        if (conditional && holds(s, condition)) return QRT_OK;
        if (slice_ns && (n & 255) == 0 && stopwatch_ns() >= deadline) return QRT_MORE;
    }
    if (until > s->now) s->now = until;
    return conditional ? QRT_ETIMEOUT : QRT_OK;
}

static void init_links(struct sim *s) {
    size_t n = (size_t)s->config.options.nodes;
    s->link_count = s->link_capacity = n * n;
    s->links = mem_zero(n * n, sizeof *s->links);
    for (uint16_t from = 1; from <= n; from++)
        for (uint16_t to = 1; to <= n; to++)
            sim_link(s, from, to)->key =
                random_keyed((uint64_t)s->config.options.seed, RANDOM_LINK, (uint64_t)from << 16 | to);
}

struct sim *sim_new(const struct runtime_config *config, struct trace_sink sink, struct error *e) {
    struct sim *s = mem_zero(1, sizeof *s);
    const struct cluster_options *o = &config->options;
    s->config = *config;
    s->slot_free = NO_SLOT;
    s->fault_queued = NO_TIMER;
    heap_init(&s->heap);
    uint64_t keep = o->record == RECORD_ALL ? UINT64_MAX : o->record == RECORD_LAST ? (uint64_t)o->record_last : 0;
    trace_init(&s->trace, keep);
    s->trace.sink = sink;
    history_init(&s->history);
    sim_capture_begin(s);
    s->delay = cluster_link_delay(o);
    s->nodes = mem_zero((size_t)o->nodes + 1, sizeof *s->nodes);
    for (uint16_t i = 0; i < o->nodes; i++) s->members[i] = (uint16_t)(i + 1);
    init_links(s);
    s->faults = faults_new(config->plan, (uint64_t)o->seed, (uint16_t)o->nodes);
    for (uint16_t i = 1; i <= o->nodes; i++)
        if (sim_node_boot(s, i, e)) {
            sim_free(s);
            return NULL;
        }
    sim_faults_changed(s);
    return s;
}

static void timers_free(struct timers *t) {
    free(t->timers);
}

static void slots_free(struct sim *s) {
    for (uint32_t i = 0; i < s->slot_count; i++)
        if (slot_at(s, i)->type == SLOT_FRAME) slot_release(s, slot_at(s, i), i);
    for (size_t i = 0; i < s->chunk_count; i++) free(s->chunks[i]);
    free(s->chunks);
}

static void slots_clone(struct sim *to, const struct sim *from) {
    to->chunks = mem_alloc(from->chunk_count * sizeof *to->chunks);
    to->chunk_capacity = from->chunk_count;
    for (size_t i = 0; i < from->chunk_count; i++) {
        size_t used = from->slot_count - i * SLOT_CHUNK;
        to->chunks[i] = mem_aligned(64, SLOT_CHUNK * sizeof(struct slot));
        memcpy(to->chunks[i], from->chunks[i], (used < SLOT_CHUNK ? used : SLOT_CHUNK) * sizeof(struct slot));
    }
    for (uint32_t i = 0; i < to->slot_count; i++) {
        struct slot *at = slot_at(to, i);
        if (at->type == SLOT_FRAME && at->size > SLOT_INLINE) at->frame.large = mem_copy(at->frame.large, at->size);
    }
}

void sim_free(struct sim *s) {
    if (!s) return;
    sim_capture_end(s);
    for (uint16_t i = 1; i <= s->config.options.nodes; i++) {
        struct sim_node *n = &s->nodes[i];
        if (n->host.port) host_free(&n->host);
        if (n->disk) n->disk->class->free(n->disk);
        timers_free(&n->timers);
        free(n->waiting);
    }
    for (size_t i = 0; i < s->client_count; i++) {
        client_free(s->clients[i].client);
        outbox_free(&s->clients[i].out);
        timers_free(&s->clients[i].timers);
    }
    slots_free(s);
    free(s->nodes);
    free(s->clients);
    free(s->links);
    heap_free(&s->heap);
    trace_free(&s->trace);
    faults_free(s->faults);
    history_free(&s->history);
    tickets_free(&s->tickets);
    free(s);
}

static void timers_copy(struct timers *to, const struct timers *from) {
    *to = *from;
    to->timers = mem_copy(from->timers, from->count * sizeof *from->timers);
    to->capacity = from->count;
}

static void node_clone(struct sim *to, struct sim_node *n, const struct sim_node *from) {
    *n = *from;
    host_clone(&n->host, &from->host, to, &to->trace);
    if (from->disk) n->disk = from->disk->class->clone(from->disk);
    timers_copy(&n->timers, &from->timers);
    n->waiting = mem_copy(from->waiting, from->waiting_count * sizeof *from->waiting);
    n->waiting_capacity = from->waiting_count;
}

struct sim *sim_clone(const struct sim *from, const struct runtime_config *config) {
    struct sim *s = mem_copy(from, sizeof *from);
    s->config = *config; /* its pointers must not be those of a cluster that may be freed first */
    size_t nodes = (size_t)from->config.options.nodes;
    s->capture = NULL;
    heap_clone(&s->heap, &from->heap);
    slots_clone(s, from);
    trace_clone(&s->trace, &from->trace);
    s->faults = faults_clone(from->faults);
    s->nodes = mem_zero(nodes + 1, sizeof *s->nodes);
    for (size_t i = 1; i <= nodes; i++) {
        node_clone(s, &s->nodes[i], &from->nodes[i]);
        struct host *h = &s->nodes[i].host;
        h->config.members = s->members;
        h->config.machine = config->machine;
        h->config.protocol_options = config->protocol_options;
        h->config.watch = &s->config.watch;
        h->config.quorum = &s->config.quorum;
        for (uint16_t k = 0; k < h->instance_count; k++) h->instances[k].machine = config->machine;
    }
    s->clients = mem_copy(from->clients, from->client_count * sizeof *from->clients);
    s->client_capacity = from->client_count;
    for (size_t i = 0; i < s->client_count; i++) {
        s->clients[i].client = client_clone(from->clients[i].client);
        s->clients[i].out = (struct outbox){.node = from->clients[i].out.node};
        timers_copy(&s->clients[i].timers, &from->clients[i].timers);
    }
    s->links = mem_copy(from->links, from->link_count * sizeof *from->links);
    s->link_capacity = from->link_count;
    history_clone(&s->history, &from->history);
    tickets_clone(&s->tickets, &from->tickets);
    return s;
}

/* Over everything that decides how the run goes on, except absolute time: pending events enter by how far off they are. */
uint64_t sim_fingerprint(const struct sim *s) {
    uint64_t f = 0;
    for (uint16_t i = 1; i <= s->config.options.nodes; i++) f = hash_fold(f, host_fingerprint(&s->nodes[i].host));
    for (size_t i = 0; i < s->client_count; i++) f = hash_fold(f, client_fingerprint(s->clients[i].client));
    f = hash_fold(f, faults_fingerprint(s->faults));
    uint64_t pending = 0; /* a sum: the heap's shape must not matter */
    for (size_t i = 0; i < s->heap.count; i++) {
        const struct slot *at = slot_at(s, heap_slot(s->heap.keys[i]));
        uint64_t one = hash_fold((uint64_t)(s->heap.keys[i].time - s->now), at->type);
        if (at->type == SLOT_FRAME) one = hash_bytes(slot_frame(at), at->size, one);
        pending += hash_fold(one, at->to);
    }
    return hash_fold(f, pending);
}
