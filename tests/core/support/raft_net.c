/* A small cluster of Raft instances for tests. See raft_net.h. */
#include "support/raft_net.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

static void net_break(struct net *n, const char *format, ...) {
    if (n->broken[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(n->broken, sizeof n->broken, format, args);
    va_end(args);
}

static struct bytes net_copy(struct bytes b) {
    return (struct bytes){mem_copy(b.data, b.size), b.size};
}
static void net_drop_bytes(struct bytes *b) {
    free((void *)(uintptr_t)b->data);
    *b = (struct bytes){0};
}

/* Sending and what happens to messages */

static void net_send(struct net *n, uint16_t from, uint16_t to, struct bytes data) {
    if (n->cut[from][to]) return;
    n->frames = mem_grow(n->frames, &n->frame_capacity, n->frame_count + 1, sizeof *n->frames);
    n->frames[n->frame_count++] = (struct net_frame){from, to, net_copy(data)};
}
void net_drop(struct net *n, size_t i) {
    net_drop_bytes(&n->frames[i].data);
    memmove(n->frames + i, n->frames + i + 1, (--n->frame_count - i) * sizeof *n->frames);
}
void net_drop_all(struct net *n) {
    while (n->frame_count) net_drop(n, n->frame_count - 1);
}
bool net_message(const struct net *n, size_t i, struct message *m) {
    return wire_decode_unsealed(n->frames[i].data, m);
}
void net_deliver(struct net *n, size_t i) {
    struct net_frame f = n->frames[i];
    memmove(n->frames + i, n->frames + i + 1, (--n->frame_count - i) * sizeof *n->frames);
    struct message m;
    if (!n->cut[f.from][f.to] && n->nodes[f.to].up && wire_decode_unsealed(f.data, &m)) {
        struct event e = {.kind = EVENT_MESSAGE};
        e.as.message = &m;
        net_step(n, f.to, &e);
    }
    net_drop_bytes(&f.data);
}
/* Delivers in order until nothing is left. */
void net_settle(struct net *n) {
    for (int limit = 0; n->frame_count && limit < 100000; limit++) net_deliver(n, 0);
}

/* Carrying out effects */

static void net_apply(struct net *n, struct net_node *node, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i <= to; i++) {
        struct entry e;
        if (i != node->applied + 1 || !raft_entry(node->state, i, &e)) {
            net_break(n, "apply out of order at index %llu", (unsigned long long)i);
            return;
        }
        if (!n->hash_of[i]) n->hash_of[i] = e.hash;
        if (n->hash_of[i] != e.hash) net_break(n, "two histories applied at index %llu", (unsigned long long)i);
        node->applied = i;
        node->applied_hash = e.hash;
        if (i > n->applied_max) n->applied_max = i;
    }
}

static void net_checkpoint(struct net_node *node, const struct effect *e, struct bytes meta, struct blob *blob) {
    node->checkpoint_index = e->index;
    node->checkpoint_term = e->term;
    node->checkpoint_hash = e->d;
    buffer_clear(&node->checkpoint_meta);
    buffer_append(&node->checkpoint_meta, meta.data, meta.size);
    blob_unref(&node->checkpoint_blob);
    node->checkpoint_blob = blob;
    node->checkpoint_due = true;
    /* Records in front that the checkpoint makes superfluous go, durable or not: they were flushed first. */
    node->durable = node->record_count;
    size_t gone = 0;
    while (gone < node->record_count && node->records[gone].index <= e->index) gone++;
    for (size_t i = 0; i < gone; i++) net_drop_bytes(&node->records[i].data);
    node->record_count -= gone;
    node->durable -= gone;
    memmove(node->records, node->records + gone, node->record_count * sizeof *node->records);
}

static struct blob *net_snapshot(const struct net_node *node) {
    uint8_t content[16 + NET_PADDING] = {0};
    memcpy(content, &node->applied, 8);
    memcpy(content + 8, &node->applied_hash, 8);
    return blob_new(bytes_of(content, sizeof content));
}

static void net_restore(struct net *n, struct net_node *node, const struct effect *e, struct bytes meta) {
    uint64_t index, hash;
    memcpy(&index, e->blob->data, 8);
    memcpy(&hash, e->blob->data + 8, 8);
    if (index != e->index || hash != e->d) net_break(n, "a snapshot came out different");
    if (index <= node->applied) net_break(n, "a snapshot took the machine back");
    if (n->hash_of[index] && n->hash_of[index] != hash) net_break(n, "a snapshot of another history");
    node->applied = index;
    node->applied_hash = hash;
    n->restores++;
    net_checkpoint(node, e, meta, blob_ref(e->blob));
}

static void net_note(struct net *n, uint16_t id, const struct effect *e) {
    switch (e->a) {
    case QRT_KIND_ROLE:
        if (e->b != QRT_ROLE_LEADER) break;
        n->leaders++;
        if (n->leader_of[e->term] && n->leader_of[e->term] != id)
            net_break(n, "two leaders in term %llu", (unsigned long long)e->term);
        n->leader_of[e->term] = id;
        break;
    case QRT_KIND_TRUNCATE: n->truncated++; break;
    case QRT_KIND_CAUGHT_UP:
        n->caught_up++;
        n->nodes[id].wiped = false;
        break;
    case QRT_KIND_VOTE: n->votes_sent++; break;
    default: break;
    }
}

static void net_carry_out(struct net *n, uint16_t id, const struct effect *e, struct bytes data) {
    struct net_node *node = &n->nodes[id];
    switch (e->kind) {
    case FX_SEND: net_send(n, id, e->peer, data); break;
    case FX_TIMER: node->timers[e->a] = e->b == (uint64_t)INT64_MAX ? INT64_MAX : node->mono + (int64_t)e->b; break;
    case FX_PERSIST:
        node->written++;
        node->records = mem_grow(node->records, &node->record_capacity, node->record_count + 1, sizeof *node->records);
        node->records[node->record_count++] = (struct net_record){e->index, e->term, net_copy(data)};
        break;
    case FX_APPLY: net_apply(n, node, e->a, e->b); break;
    case FX_REPLY:
        n->replies[-(int64_t)e->b & 63]++;
        n->last_reply = *e;
        break;
    case FX_READ_READY:
        n->reads_served++;
        if (node->applied < n->read_floor[e->a & 4095]) net_break(n, "a stale read was served");
        break;
    case FX_CHECKPOINT:
        n->snapshots++;
        net_checkpoint(node, e, data, net_snapshot(node));
        break;
    case FX_RESTORE: net_restore(n, node, e, data); break;
    case FX_NOTE: net_note(n, id, e); break;
    default: break;
    }
}

static bool net_must_wait(const struct net_node *node, const struct effect *e) {
    if (node->stored == node->written || e->flags & FX_BEFORE_DURABLE) return false;
    return e->kind == FX_SEND ||
           (e->kind == FX_NOTE && (e->a == QRT_KIND_VOTE || e->a == QRT_KIND_ACK || e->a == QRT_KIND_CAUGHT_UP));
}

static void net_hold(struct net_node *node, const struct effect *e, struct bytes data) {
    node->held = mem_grow(node->held, &node->held_capacity, node->held_count + 1, sizeof *node->held);
    node->held[node->held_count++] = (struct net_held){*e, net_copy(data), 0};
}

void net_crash(struct net *n, uint16_t id, enum net_fate fate) {
    struct net_node *node = &n->nodes[id];
    if (!node->up) return;
    protocol_find("raft")->destroy(node->state);
    node->state = NULL;
    node->up = false;
    for (size_t i = 0; i < node->held_count; i++) net_drop_bytes(&node->held[i].data);
    node->held_count = 0;
    size_t kept = fate == NET_KEPT ? node->record_count : fate == NET_WIPED ? 0 : node->durable;
    for (size_t i = kept; i < node->record_count; i++) net_drop_bytes(&node->records[i].data);
    node->record_count = node->durable = kept;
    node->checkpoint_due = false;
    if (fate == NET_WIPED) {
        node->wiped = true;
        node->checkpoint_index = 0;
        blob_unref(&node->checkpoint_blob);
    }
}

static void net_tell_checkpoint(struct net *n, uint16_t id, bool recovered) {
    struct net_node *node = &n->nodes[id];
    struct event e = {.kind = EVENT_CHECKPOINT};
    e.as.checkpoint.index = node->checkpoint_index;
    e.as.checkpoint.term = node->checkpoint_term;
    e.as.checkpoint.meta = bytes_of(node->checkpoint_meta.data, node->checkpoint_meta.size);
    struct blob *blob = blob_ref(node->checkpoint_blob); /* the step may replace it */
    e.as.checkpoint.blob = blob;
    e.as.checkpoint.recovered = recovered;
    node->checkpoint_due = false;
    net_step(n, id, &e);
    blob_unref(&blob);
}

/* Everything written is durable: what waited for it goes, then the protocol hears of it. */
void net_flush(struct net *n, uint16_t id) {
    struct net_node *node = &n->nodes[id];
    if (!node->up) return;
    uint64_t fresh = node->written - node->stored;
    node->durable = node->record_count;
    node->stored = node->written;
    struct net_held *held = node->held;
    size_t count = node->held_count;
    node->held = NULL;
    node->held_count = node->held_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        net_carry_out(n, id, &held[i].effect, held[i].data);
        net_drop_bytes(&held[i].data);
    }
    free(held);
    for (uint64_t i = 0; i < fresh && node->up; i++) {
        struct event e = {.kind = EVENT_STORED};
        net_step(n, id, &e);
    }
}

static void net_after(struct net *n, uint16_t id) {
    struct net_node *node = &n->nodes[id];
    struct error error = {0};
    if (node->up && !raft_invariants(node->state, &error)) net_break(n, "%s", error.text);
    if (node->up && !n->delayed && node->stored < node->written) net_flush(n, id);
    if (node->up && node->checkpoint_due) net_tell_checkpoint(n, id, false);
}

void net_step(struct net *n, uint16_t id, struct event *event) {
    struct net_node *node = &n->nodes[id];
    if (!node->up) return;
    event->mono = node->mono = n->clock;
    event->wall = n->clock;
    struct outbox out = node->out; /* steps nest while flushing */
    node->out = (struct outbox){.node = id};
    out.node = id;
    outbox_clear(&out);
    protocol_find("raft")->step(node->state, event, &out);
    long crash = n->crash_after;
    n->crash_after = -1;
    for (size_t i = 0; i < out.count; i++) {
        struct bytes data = outbox_bytes(&out, &out.effects[i]);
        if (crash >= 0 && (long)i >= crash) break;
        if (net_must_wait(node, &out.effects[i]))
            net_hold(node, &out.effects[i], data);
        else
            net_carry_out(n, id, &out.effects[i], data);
    }
    for (size_t i = 0; i < out.count; i++) blob_unref(&out.effects[i].blob);
    if (crash >= 0) net_crash(n, id, NET_UNSYNCED_LOST);
    outbox_free(&node->out);
    node->out = out;
    net_after(n, id);
}

void net_start(struct net *n, uint16_t id) {
    struct net_node *node = &n->nodes[id];
    if (node->up) return;
    struct protocol_config config = {.node = id,
                                     .members = n->members,
                                     .member_count = n->count,
                                     .seed = n->seed + (uint64_t)node->lives++,
                                     .options = &n->options,
                                     .bugs = n->bugs};
    node->state = protocol_find("raft")->create(&config);
    node->up = true;
    node->written = node->stored = 0;
    for (size_t i = 0; i < 8; i++) node->timers[i] = INT64_MAX;
    node->applied = node->checkpoint_index;
    node->applied_hash = node->checkpoint_index ? node->checkpoint_hash : 0;
    uint8_t how = !node->existed                                                  ? QRT_START_FORMAT
                  : node->wiped && !node->record_count && !node->checkpoint_index ? QRT_START_WIPED
                                                                                  : QRT_START_RECOVERED;
    node->existed = true;
    bool delayed = n->delayed;
    n->delayed = true; /* no completions while recovering */
    if (node->checkpoint_index) net_tell_checkpoint(n, id, true);
    for (size_t i = 0; i < node->record_count; i++) {
        struct event e = {.kind = EVENT_RECORD};
        e.as.record.data = node->records[i].data;
        struct bytes copy = net_copy(e.as.record.data);
        e.as.record.data = copy;
        net_step(n, id, &e);
        net_drop_bytes(&copy);
    }
    n->delayed = delayed;
    struct event e = {.kind = EVENT_START};
    e.as.start.how = how;
    net_step(n, id, &e);
}

struct raft *net_raft(struct net *n, uint16_t node) {
    return n->nodes[node].state;
}

void net_options(struct raft_options *options, const char *const *changes) {
    const struct option_table *table = &protocol_find("raft")->options;
    option_defaults(table, options);
    void *targets[] = {options};
    struct error e = {0};
    for (; changes && changes[0]; changes += 2) {
        qrt_status status = option_set(table, targets, 1, changes[0], changes[1], &e);
        if (status) fprintf(stderr, "%s\n", e.text);
        CHECK(status == QRT_OK);
    }
}

struct net *net_new(const struct net_setup *setup) {
    struct net *n = mem_zero(1, sizeof *n);
    n->count = setup->count;
    n->seed = setup->seed;
    n->bugs = setup->bugs;
    n->delayed = setup->delayed;
    n->crash_after = -1;
    n->random = random_stream(setup->seed, 0, RANDOM_BENCH);
    net_options(&n->options, setup->options);
    for (uint16_t i = 0; i < n->count; i++) n->members[i] = (uint16_t)(i + 1);
    for (uint16_t i = 1; i <= n->count; i++) net_start(n, i);
    return n;
}

void net_free(struct net *n) {
    net_drop_all(n);
    for (uint16_t i = 1; i <= n->count; i++) {
        struct net_node *node = &n->nodes[i];
        net_crash(n, i, NET_WIPED);
        outbox_free(&node->out);
        blob_unref(&node->checkpoint_blob);
        for (size_t k = 0; k < node->record_count; k++) net_drop_bytes(&node->records[k].data);
        free(node->records);
        free(node->held);
        buffer_free(&node->checkpoint_meta);
    }
    free(n->frames);
    free(n);
}

void net_inject(struct net *n, uint16_t to, struct message *m, uint16_t from) {
    m->from = from;
    m->to = to;
    struct event e = {.kind = EVENT_MESSAGE};
    e.as.message = m;
    net_step(n, to, &e);
}

void net_duplicate(struct net *n, size_t i) {
    struct net_frame f = n->frames[i];
    net_send(n, f.from, f.to, f.data);
}

static bool frame_matches(const struct net_frame *f, uint8_t kind, uint16_t from, uint16_t to) {
    return (!kind || f->data.data[9] == kind) && (!from || f->from == from) && (!to || f->to == to);
}

size_t net_count(const struct net *n, uint8_t kind, uint16_t from, uint16_t to) {
    size_t count = 0;
    for (size_t i = 0; i < n->frame_count; i++) {
        const struct net_frame *f = &n->frames[i];
        count += frame_matches(f, kind, from, to);
    }
    return count;
}

void net_timer(struct net *n, uint16_t node, uint32_t id) {
    n->nodes[node].timers[id] = INT64_MAX;
    struct event e = {.kind = EVENT_TIMER};
    e.as.timer.id = id;
    net_step(n, node, &e);
}

bool net_fire_next(struct net *n) {
    uint16_t node = 0;
    uint32_t id = 0;
    int64_t first = INT64_MAX;
    for (uint16_t i = 1; i <= n->count; i++) {
        for (uint32_t t = 0; n->nodes[i].up && t < 8; t++) {
            if (n->nodes[i].timers[t] >= first) continue;
            first = n->nodes[i].timers[t];
            node = i;
            id = t;
        }
    }
    if (!node) return false;
    if (first > n->clock) n->clock = first;
    net_timer(n, node, id);
    return true;
}

void net_time_out(struct net *n, uint16_t node) {
    n->clock += 2 * n->options.election_timeout;
    net_timer(n, node, RAFT_TIMER_ELECTION);
}

bool net_run(struct net *n, int limit, bool (*done)(struct net *n)) {
    for (int i = 0; i < limit; i++) {
        net_settle(n);
        for (uint16_t node = 1; node <= n->count; node++)
            if (n->delayed) net_flush(n, node);
        net_settle(n);
        if (n->frame_count == 0 && done(n)) return true;
        if (!net_fire_next(n)) return false;
    }
    return false;
}

uint16_t net_leader(struct net *n) {
    uint16_t leader = 0;
    for (uint16_t i = 1; i <= n->count; i++) {
        if (!n->nodes[i].up || net_raft(n, i)->role != QRT_ROLE_LEADER) continue;
        if (!leader || net_raft(n, i)->term > net_raft(n, leader)->term) leader = i;
    }
    return leader;
}

bool net_has_leader(struct net *n) {
    uint16_t leader = net_leader(n);
    return leader && net_raft(n, leader)->commit >= net_raft(n, leader)->term_start;
}

bool net_agreed(struct net *n) {
    uint16_t leader = net_leader(n);
    if (!leader) return false;
    const struct raft *l = net_raft(n, leader);
    if (l->commit < l->log.last) return false;
    for (uint16_t i = 1; i <= n->count; i++) {
        if (!n->nodes[i].up) continue;
        const struct raft *r = net_raft(n, i);
        if (n->nodes[i].applied != l->log.last || r->term != l->term || r->recovering) return false;
    }
    return true;
}

uint64_t net_propose(struct net *n, uint16_t node, const char *text) {
    struct event e = {.kind = EVENT_PROPOSE};
    e.as.propose.token = ++n->tokens;
    e.as.propose.kind = ENTRY_OPAQUE;
    e.as.propose.data = bytes_text(text);
    uint64_t token = n->tokens;
    net_step(n, node, &e);
    return token;
}

uint64_t net_read(struct net *n, uint16_t node) {
    struct event e = {.kind = EVENT_READ};
    uint64_t token = ++n->tokens;
    e.as.read.token = token;
    n->read_floor[token & 4095] = n->applied_max;
    net_step(n, node, &e);
    return token;
}

void net_cut(struct net *n, uint16_t node, bool cut) {
    for (uint16_t i = 1; i <= n->count; i++) n->cut[node][i] = n->cut[i][node] = cut;
}

void net_heal(struct net *n) {
    memset(n->cut, 0, sizeof n->cut);
}

void net_deliver_kind(struct net *n, uint8_t kind, uint16_t from, uint16_t to) {
    for (size_t i = 0; i < n->frame_count;) {
        if (!frame_matches(&n->frames[i], kind, from, to)) {
            i++;
            continue;
        }
        net_deliver(n, i);
        i = 0;
    }
}

void net_elect(struct net *n, uint16_t node) {
    for (int tries = 0; tries < 5 && net_raft(n, node)->role != QRT_ROLE_LEADER; tries++) {
        net_time_out(n, node);
        net_settle(n);
    }
    CHECK(net_raft(n, node)->role == QRT_ROLE_LEADER);
}
