/* Raft: checkpoints, compaction, and snapshots in resumable chunks (Ongaro 2014, section 5).
 *
 *   stream:  | u64 prefix hash | u16 members | u16 ids ... |  the machine's bytes  |
 *            |<------------------ head ------------------->|<-------- blob ------->|
 *
 * The stream is what a leader sends; its checksum names it together with index, term and length. A follower
 * that has part of the same stream answers with its length, and the leader goes on there, whoever the leader
 * is; part of another stream is thrown away. One chunk is under way at a time; a heartbeat sends an empty
 * one, whose answer says where the follower stands, and repeats the chunk if nothing has moved since the
 * heartbeat before.
 *
 * A checkpoint's meta: head, u64 term, u16 vote, u8 flags: what must outlive the records that it makes
 * superfluous.
 *
 * While a peer's snapshot is being made durable (restoring) nothing is applied. If our log conflicts with it,
 * the conflict leaves the log, durably, before the snapshot comes; so whatever survives a crash fits
 * together. */
#include "protocol/raft.h"

#include <stdlib.h>

#include "base/check.h"

enum { META_RECOVERING = 1, META_TAIL = 11 };

struct head { /* what a stream or a checkpoint's meta begins with */
    uint64_t hash;
    uint16_t members;
    uint32_t size;
};

static bool head_take(struct reader *in, struct head *h) {
    const uint8_t *begin = in->at;
    h->hash = read_u64(in);
    h->members = read_u16(in);
    if (h->members > RAFT_MEMBERS_MAX) in->failed = true;
    for (uint16_t i = 0; i < h->members && !in->failed; i++) (void)read_u16(in);
    h->size = (uint32_t)(in->at - begin);
    return !in->failed && h->members > 0;
}

static uint32_t head_write(const struct raft *r, uint64_t hash, uint8_t *out) {
    struct writer w = writer_of(out, RAFT_HEAD_MAX);
    write_u64(&w, hash);
    write_u16(&w, r->configuration.count);
    for (uint16_t i = 0; i < r->configuration.count; i++) write_u16(&w, r->configuration.members[i]);
    return (uint32_t)(w.at - out);
}

struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *s) {
    if (s) __atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
    return s;
}

void raft_snapshot_unref(struct raft_snapshot **s) {
    struct raft_snapshot *gone = *s;
    *s = NULL;
    if (!gone || __atomic_sub_fetch(&gone->references, 1, __ATOMIC_ACQ_REL)) return;
    blob_unref(&gone->blob);
    free(gone);
}

static struct raft_snapshot *snapshot_new(uint64_t index, uint64_t term, uint64_t hash, struct bytes head,
                                          struct blob *blob) {
    struct raft_snapshot *s = mem_zero(1, sizeof *s);
    s->references = 1;
    s->index = index;
    s->term = term;
    s->hash = hash;
    s->blob = blob_ref(blob);
    s->head_size = head.size;
    memcpy(s->head, head.data, head.size);
    s->total = (uint64_t)head.size + blob_bytes(blob).size;
    s->checksum = hash_bytes(head.data, head.size, blob ? blob->hash : 0);
    return s;
}

void raft_incoming_clear(struct raft_incoming *in) {
    buffer_free(&in->stream);
    *in = (struct raft_incoming){0};
}

/* Taking checkpoints */

/* FX_CHECKPOINT or FX_RESTORE, with the meta that the checkpoint shall carry. */
static void add_checkpoint(struct raft *r, uint8_t kind, uint64_t index, uint64_t term, uint64_t hash,
                           struct bytes head, struct blob *blob) {
    struct effect *e = outbox_add(r->out, kind);
    e->index = index;
    e->term = term;
    e->d = hash;
    e->blob = blob;
    e->size = head.size + META_TAIL;
    e->offset = (uint32_t)r->out->arena.size;
    struct writer w = writer_of(buffer_extend(&r->out->arena, e->size), e->size);
    writer_put(&w, head.data, head.size);
    write_u64(&w, r->term);
    write_u16(&w, r->vote);
    write_u8(&w, r->recovering ? META_RECOVERING : 0);
}

void raft_maybe_checkpoint(struct raft *r) {
    uint64_t since = r->snapshot ? r->snapshot->index : 0;
    if (r->snapshotting || r->restoring || r->applied < since + (uint64_t)r->options.snapshot_threshold) return;
    if (!log_knows(&r->log, r->applied)) return;
    uint8_t head[RAFT_HEAD_MAX];
    uint64_t hash = log_hash(&r->log, r->applied);
    uint32_t size = head_write(r, hash, head);
    r->snapshotting = true;
    add_checkpoint(r, FX_CHECKPOINT, r->applied, log_term(&r->log, r->applied), hash, bytes_of(head, size), NULL);
}

static void compact(struct raft *r, uint64_t index) {
    uint64_t keep = (uint64_t)r->options.snapshot_keep;
    uint64_t to = index > keep ? index - keep : 0;
    if (to > r->log.base && log_knows(&r->log, to)) log_compact(&r->log, to);
}

/* Proposals whose entries go, or are overtaken by a snapshot: nobody here can say how they ended. */
static void orphan_tokens(struct raft *r, uint64_t to) {
    for (uint64_t i = r->applied + 1; i <= to && i <= r->log.last; i++) {
        uint64_t token = log_has(&r->log, i) ? log_slot_of(&r->log, i)->token : 0;
        if (token) outbox_reply(r->out, token, QRT_EUNKNOWN, r->leader);
    }
}

static void reply_chunk(struct raft *r, uint16_t to, uint64_t index, uint64_t offset, uint64_t round, bool done) {
    struct message m = {.kind = WIRE_SNAPSHOT_REPLY};
    struct wire_snapshot_reply *a = &m.as.snapshot_reply;
    a->term = r->term;
    a->index = index;
    a->offset = offset;
    a->round = round;
    a->done = done;
    a->counts = !r->recovering;
    raft_save(r);
    if (done) raft_acknowledge(r, to, index);
    outbox_send(r->out, to, &m, 0, r->term, index);
}

/* The log begins anew behind the snapshot, unless it holds the snapshot's last entry: then what follows it
 * stays. */
static void fit_log(struct raft *r, const struct raft_snapshot *s) {
    if (log_knows(&r->log, s->index) && log_term(&r->log, s->index) == s->term) {
        orphan_tokens(r, s->index);
        compact(r, s->index);
    } else {
        orphan_tokens(r, r->log.last);
        if (r->log.last > s->index) {
            outbox_note(r->out, QRT_KIND_TRUNCATE, 0, 0, r->term, s->index + 1, 0, 0);
            r->unsaved = true;
        }
        log_reset(&r->log, s->index, s->term, s->hash);
        raft_cut_log(r, s->index);
        r->commit = r->commit < s->index ? r->commit : s->index;
    }
    if (r->durable < s->index) r->durable = s->index;
}

static void restored(struct raft *r, const struct raft_snapshot *s) {
    fit_log(r, s);
    r->restoring = 0;
    r->applied = s->index;
    if (r->commit < s->index) {
        r->commit = s->index;
        outbox_note(r->out, QRT_KIND_COMMIT, 0, 0, r->term, s->index, 0, s->hash);
    }
    if (r->leader && r->leader != r->node) reply_chunk(r, r->leader, s->index, s->total, 0, true);
    raft_apply(r);
    if (r->recovering) raft_maybe_caught_up(r);
}

static void recalled(struct raft *r, const struct raft_snapshot *s) {
    log_reset(&r->log, s->index, s->term, s->hash);
    r->commit = r->applied = s->index;
}

static void try_install(struct raft *r);

/* A checkpoint is durable: our own, a peer's, or, during recovery, the one found. */
void raft_on_checkpoint(struct raft *r, const struct event *e) {
    uint64_t index = e->as.checkpoint.index;
    struct reader in = reader_of(e->as.checkpoint.meta);
    struct head head;
    bool sound = head_take(&in, &head);
    uint64_t term = read_u64(&in);
    uint16_t vote = read_u16(&in);
    uint8_t flags = read_u8(&in);
    if (!sound || in.failed) {
        outbox_note(r->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
        r->gap = true;
        return;
    }
    raft_snapshot_unref(&r->snapshot);
    r->snapshot = snapshot_new(index, e->as.checkpoint.term, head.hash,
                               (struct bytes){e->as.checkpoint.meta.data, head.size}, e->as.checkpoint.blob);
    if (e->as.checkpoint.recovered) {
        raft_recall(r, term, vote, flags & META_RECOVERING);
        recalled(r, r->snapshot);
    } else if (r->restoring == index) {
        restored(r, r->snapshot);
    } else {
        r->snapshotting = false;
        compact(r, index);
        try_install(r);
    }
}

/* Sending */

static void send_chunk(struct raft *r, uint16_t slot, bool empty) {
    struct raft_peer *p = &r->peers[slot];
    const struct raft_snapshot *s = p->transfer;
    uint64_t left = s->total - p->chunk_offset, size = (uint64_t)r->options.chunk_size;
    if (size > left) size = left;
    if (empty) size = 0;
    buffer_clear(&r->scratch);
    uint64_t at = p->chunk_offset, end = at + size;
    if (at < s->head_size) {
        uint64_t stop = end < s->head_size ? end : s->head_size;
        buffer_append(&r->scratch, s->head + at, (size_t)(stop - at));
        at = stop;
    }
    if (at < end) buffer_append(&r->scratch, s->blob->data + (at - s->head_size), (size_t)(end - at));
    struct message m = {.kind = WIRE_SNAPSHOT_CHUNK};
    m.as.snapshot_chunk = (struct wire_snapshot_chunk){.term = r->term,
                                                       .index = s->index,
                                                       .index_term = s->term,
                                                       .total = s->total,
                                                       .offset = p->chunk_offset,
                                                       .checksum = s->checksum,
                                                       .round = r->round,
                                                       .data = bytes_of(r->scratch.data, (size_t)size)};
    outbox_send(r->out, r->configuration.members[slot], &m, FX_BEFORE_DURABLE, r->term, s->index);
    if (!empty) p->chunk_stalled = false;
}

void raft_send_snapshot(struct raft *r, uint16_t slot) {
    struct raft_peer *p = &r->peers[slot];
    CHECK(r->snapshot && r->snapshot->index >= r->log.base);
    raft_snapshot_unref(&p->transfer);
    p->transfer = raft_snapshot_ref(r->snapshot);
    p->flow = RAFT_SNAPSHOT;
    p->chunk_offset = 0;
    send_chunk(r, slot, false);
}

void raft_nudge_snapshot(struct raft *r, uint16_t slot) {
    r->peers[slot].chunk_stalled = true;
    send_chunk(r, slot, true);
}

static void on_progress(struct raft *r, uint16_t slot, uint64_t offset) {
    struct raft_peer *p = &r->peers[slot];
    if (offset > p->transfer->total) return;
    if (offset == p->chunk_offset && !p->chunk_stalled) return; /* it answers the empty chunk of a heartbeat */
    p->chunk_offset = offset;
    if (offset < p->transfer->total) send_chunk(r, slot, false);
}

void raft_on_snapshot_reply(struct raft *r, const struct message *m, int slot) {
    const struct wire_snapshot_reply *a = &m->as.snapshot_reply;
    if (a->term > RAFT_NUMBER_MAX || a->done > 1 || a->counts > 1) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->term > r->term) {
        become_follower(r, a->term, 0);
        return;
    }
    if (a->term < r->term || !raft_leads(r)) return;
    struct raft_peer *p = &r->peers[slot];
    raft_peer_answered(r, p, a->round, a->counts);
    if (p->flow != RAFT_SNAPSHOT || a->index != p->transfer->index) return;
    if (a->done) {
        raft_probe_from(r, p, a->index + 1);
        raft_agrees(r, (uint16_t)slot, a->index, a->counts);
    } else {
        on_progress(r, (uint16_t)slot, a->offset);
    }
}

/* Receiving */

static bool is_sound(const struct wire_snapshot_chunk *q) {
    return q->term && q->term <= RAFT_NUMBER_MAX && q->index && q->index <= RAFT_NUMBER_MAX &&
           q->index_term <= q->term && q->round <= RAFT_NUMBER_MAX && q->total <= RAFT_SNAPSHOT_MAX &&
           q->offset <= q->total && q->data.size <= q->total - q->offset;
}

static bool is_same_stream(const struct raft_incoming *in, const struct wire_snapshot_chunk *q) {
    return in->index == q->index && in->term == q->index_term && in->total == q->total && in->checksum == q->checksum;
}

/* The stream is whole: if it is what it claims to be, it replaces the machine. */
static void try_install(struct raft *r) {
    struct raft_incoming *in = &r->incoming;
    if (!in->index || in->stream.size < in->total || r->snapshotting || r->restoring) return;
    if (in->index <= r->commit) { /* overtaken while it came */
        raft_incoming_clear(in);
        return;
    }
    struct reader reader = reader_of(bytes_of(in->stream.data, in->stream.size));
    struct head head;
    struct blob *blob = NULL;
    if (head_take(&reader, &head)) blob = blob_new(bytes_of(reader.at, reader_left(&reader)));
    if (!blob || hash_bytes(in->stream.data, head.size, blob->hash) != in->checksum) {
        blob_unref(&blob);
        outbox_note(r->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, r->leader, 0, 0, 0, 0);
        raft_incoming_clear(in);
        return;
    }
    r->restoring = in->index;
    if (log_has(&r->log, in->index)) raft_truncate(r, in->index);
    raft_save(r);
    add_checkpoint(r, FX_RESTORE, in->index, in->term, head.hash, bytes_of(in->stream.data, head.size), blob);
    raft_incoming_clear(in);
}

static void receive_chunk(struct raft *r, const struct wire_snapshot_chunk *q) {
    struct raft_incoming *in = &r->incoming;
    if (!is_same_stream(in, q)) {
        raft_incoming_clear(in);
        in->index = q->index;
        in->term = q->index_term;
        in->total = q->total;
        in->checksum = q->checksum;
    }
    if (q->offset == in->stream.size && q->data.size) buffer_append(&in->stream, q->data.data, q->data.size);
}

void raft_on_snapshot_chunk(struct raft *r, const struct message *m) {
    const struct wire_snapshot_chunk *q = &m->as.snapshot_chunk;
    if (!is_sound(q)) {
        raft_reject(r, m, QRT_DROP_CORRUPT);
        return;
    }
    if (!raft_follow(r, q->term, m->from)) {
        if (q->term < r->term) reply_chunk(r, m->from, q->index, 0, q->round, false);
        return;
    }
    /* 5: what our log already holds needs no snapshot; a leader's snapshot is committed. */
    if (log_has(&r->log, q->index) && log_term(&r->log, q->index) == q->index_term) raft_commit(r, q->index, 0);
    if (q->index <= r->commit) {
        if (r->restoring != q->index) reply_chunk(r, m->from, q->index, q->total, q->round, true);
        return;
    }
    if (r->restoring) {
        reply_chunk(r, m->from, q->index, r->restoring == q->index ? q->total : 0, q->round, false);
        return;
    }
    receive_chunk(r, q);
    uint64_t offset = r->incoming.stream.size;
    try_install(r);
    bool thrown_away = !r->incoming.index && !r->restoring;
    reply_chunk(r, m->from, q->index, thrown_away ? 0 : offset, q->round, false);
}
