/* Raft (Ongaro and Ousterhout 2014; Ongaro's dissertation, whose sections the files cite).
 *
 * This file: life and death of an instance, its records, proposals, dispatch, the interface table. raft.h
 * says where the rest is.
 *
 * Invariants
 *  1. Term, vote, the mark of a recovering member and the entries that changed are one record, one atomic
 *     write. Every record says where it begins: replayed, it cuts the log there and adds its entries, if it
 *     has any.
 *  2. Nothing that another node may rely on (a vote, an acknowledgement) is sent before the record behind it;
 *     the driver holds sends until earlier records are durable. Only a leader's appends go in parallel with
 *     its disk, and the leader counts itself when its record is durable.
 *  3. applied <= commit <= last; the log begins where the newest durable checkpoint ends, or before.
 *  4. A record that holds only term and vote names an index beyond the log, so that a checkpoint makes it
 *     superfluous only if it was taken later; every checkpoint carries term and vote as well.
 *
 * A record: u64 term, u16 vote, u8 flags, u64 first, u32 count, entries (entries.h). */
#include "protocol/raft.h"

#include <stdlib.h>

#include "base/check.h"
#include "protocol/timing.h"

enum { RECORD_RECOVERING = 1 };

static void pending_push(struct raft *r, struct raft_pending p) {
    if (__builtin_expect(r->pending_count == r->pending_capacity, 0)) {
        uint32_t capacity = r->pending_capacity ? r->pending_capacity * 2 : 16;
        struct raft_pending *grown = mem_alloc(capacity * sizeof *grown);
        for (uint32_t i = 0; i < r->pending_count; i++)
            grown[i] = r->pending[(r->pending_head + i) & (r->pending_capacity - 1)];
        free(r->pending);
        r->pending = grown;
        r->pending_head = 0;
        r->pending_capacity = capacity;
    }
    r->pending[(r->pending_head + r->pending_count++) & (r->pending_capacity - 1)] = p;
}

/* What lies beyond `last` is gone: no record under way can make it durable any more. */
static void pending_cut(struct raft *r, uint64_t last) {
    if (r->durable > last) r->durable = last;
    for (uint32_t i = 0; i < r->pending_count; i++) {
        struct raft_pending *p = &r->pending[(r->pending_head + i) & (r->pending_capacity - 1)];
        if (p->last > last) p->last = last;
    }
}

void raft_persist(struct raft *r, uint64_t first) {
    uint64_t last = r->log.last, cookie = first > last ? last + 1 : last;
    struct bytes entries = {0};
    if (first <= last) entries = log_slice(&r->log, first, last, &r->scratch);
    if (r->restoring >= cookie) cookie = r->restoring + 1; /* invariant 4, for the checkpoint under way */
    uint8_t *p = outbox_persist(r->out, RAFT_RECORD_HEADER + (size_t)entries.size, cookie, r->term);
    uint32_t count = first <= last ? (uint32_t)(last - first + 1) : 0;
    memcpy(p, &r->term, 8);
    memcpy(p + 8, &r->vote, 2);
    p[10] = r->recovering ? RECORD_RECOVERING : 0;
    memcpy(p + 11, &first, 8);
    memcpy(p + 19, &count, 4);
    if (entries.size) memcpy(p + RAFT_RECORD_HEADER, entries.data, entries.size);
    pending_push(r, (struct raft_pending){last, r->term});
    if (r->caught_up) outbox_note(r->out, QRT_KIND_CAUGHT_UP, 0, 0, r->term, r->caught_up, 0, 0);
    r->caught_up = 0;
    r->unsaved = false;
}

void raft_save(struct raft *r) {
    if (r->unsaved) raft_persist(r, r->log.last + 1);
}

void raft_truncate(struct raft *r, uint64_t from) {
    if (from <= r->log.base) from = r->log.base + 1; /* only a switched-on mistake asks for more */
    if (from > r->log.last) return;
    for (uint64_t i = from > r->applied ? from : r->applied + 1; i <= r->log.last; i++) {
        uint64_t token = log_slot_of(&r->log, i)->token;
        if (token) outbox_reply(r->out, token, QRT_EUNKNOWN, r->leader);
    }
    outbox_note(r->out, QRT_KIND_TRUNCATE, 0, 0, r->term, from, 0, 0);
    log_truncate(&r->log, from);
    pending_cut(r, r->log.last);
    if (r->commit > r->log.last) r->commit = r->log.last;
    r->unsaved = true;
}

void raft_cut_log(struct raft *r, uint64_t last) {
    pending_cut(r, last);
}

void raft_apply(struct raft *r) {
    if (r->restoring || r->applied >= r->commit) return;
    struct effect *e = outbox_add(r->out, FX_APPLY);
    e->a = r->applied + 1;
    e->b = r->commit;
    r->applied = r->commit;
    raft_maybe_checkpoint(r);
    if (r->read_count) raft_serve_reads(r);
}

void raft_commit(struct raft *r, uint64_t index, uint8_t decided) {
    if (index > r->log.last) index = r->log.last;
    if (index <= r->commit) return;
    r->commit = index;
    outbox_note(r->out, QRT_KIND_COMMIT, decided, 0, r->term, index, 0, log_hash(&r->log, index));
    raft_apply(r);
    if (r->recovering) raft_maybe_caught_up(r);
}

void raft_append(struct raft *r, uint8_t kind, uint64_t session, uint64_t sequence, struct bytes data, uint64_t token) {
    struct entry e = {.term = r->term, .kind = kind, .session = session, .sequence = sequence, .data = data};
    size_t size = entry_size(data);
    buffer_clear(&r->scratch);
    uint8_t *raw = buffer_extend(&r->scratch, size);
    entry_encode(raw, &e);
    log_append(&r->log, bytes_of(raw, size), token);
    outbox_note(r->out, QRT_KIND_APPEND, 0, 0, r->term, r->log.last, 0, r->log.last_hash);
    raft_persist(r, r->log.last);
}

void raft_reject(struct raft *r, const struct message *m, uint8_t why) {
    outbox_note(r->out, QRT_KIND_REJECT, why, m->from, 0, 0, m->id, 0);
}

/* Recovery */

/* Terms and votes only ever get newer, whatever order a checkpoint and the records before it are replayed in.
 * */
void raft_recall(struct raft *r, uint64_t term, uint16_t vote, bool recovering) {
    if (term > r->term)
        r->vote = vote;
    else if (term == r->term && vote)
        r->vote = vote;
    if (term > r->term) r->term = term;
    /* Whoever begins or ends a recovery writes a record, and no record goes before one that is older: the last one says it,
     * and a checkpoint only where no record is left. */
    r->recall_ends = !recovering && (r->recall_ends || (r->recalled && r->recovering));
    r->recovering = recovering;
    r->recalled = true;
}

static void replay_entries(struct raft *r, uint64_t first, uint32_t count, struct bytes entries) {
    if (first > r->log.last + 1) { /* what stood before it is lost: this member must be told anew */
        r->gap = true;
        return;
    }
    uint64_t cut = first > r->log.base ? first : r->log.base + 1;
    log_truncate(&r->log, cut);
    struct reader in = reader_of(entries);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes raw;
        if (!entry_take(&in, &raw)) break;
        if (first + i > r->log.base) log_append(&r->log, raw, 0);
    }
}

static void on_record(struct raft *r, struct bytes data) {
    struct reader in = reader_of(data);
    uint64_t term = read_u64(&in);
    uint16_t vote = read_u16(&in);
    uint8_t flags = read_u8(&in);
    uint64_t first = read_u64(&in);
    uint32_t count = read_u32(&in);
    struct bytes entries = {in.at, (uint32_t)reader_left(&in)};
    if (in.failed || term > RAFT_NUMBER_MAX || first == 0 || first > RAFT_NUMBER_MAX ||
        !entries_sound(entries, count, 0, term)) {
        outbox_note(r->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
        r->gap = true;
        return;
    }
    raft_recall(r, term, vote, flags & RECORD_RECOVERING);
    replay_entries(r, first, count, entries);
}

static void on_start(struct raft *r, uint8_t how) {
    if (start_forgot(how))
        r->recovering = !raft_has_bug(r, RAFT_AMNESIA_VOTES);
    else
        r->recovering = (r->recalled && r->recovering) || r->gap;
    r->durable = r->log.last;
    outbox_note(r->out, QRT_KIND_START, how, r->vote, r->term, r->log.last, r->commit, r->log.last_hash);
    /* The record that ended a recovery survived, but the crash may have come before the note of it left. */
    if (r->recall_ends && !r->recovering) outbox_note(r->out, QRT_KIND_CAUGHT_UP, 0, 0, r->term, r->log.last, 0, 0);
    r->role = QRT_ROLE_FOLLOWER;
    if (r->recovering)
        raft_recover_begin(r);
    else {
        raft_set_role(r, QRT_ROLE_FOLLOWER);
        raft_start_election_timer(r);
    }
}

/* Events */

static void on_propose(struct raft *r, const struct event *e) {
    struct bytes data = e->as.propose.data;
    uint64_t token = e->as.propose.token;
    if (!raft_leads(r)) {
        outbox_reply(r->out, token, QRT_ENOTLEADER, r->leader);
        return;
    }
    if (data.size > RAFT_DATA_MAX) {
        outbox_reply(r->out, token, QRT_ETOOLARGE, r->node);
        return;
    }
    if (raft_is_full(r)) {
        outbox_reply(r->out, token, QRT_EFULL, r->node);
        return;
    }
    if (!raft_has_room(r)) {
        outbox_reply(r->out, token, QRT_EFULL, 0);
        return;
    }
    raft_append(r, e->as.propose.kind, e->as.propose.session, e->as.propose.sequence, data, token);
    raft_replicate_soon(r);
}

bool raft_is_full(const struct raft *r) {
    return r->log.last - r->commit >= (uint64_t)r->options.max_pending ||
           log_bytes(&r->log, r->commit, r->log.last) >= (uint64_t)r->options.max_pending_bytes;
}

/* A record is durable. Records complete in the order in which they were written. */
static void on_stored(struct raft *r) {
    if (!r->pending_count) return;
    struct raft_pending p = r->pending[r->pending_head];
    r->pending_head = (r->pending_head + 1) & (r->pending_capacity - 1);
    r->pending_count--;
    bool longer = p.last > r->durable;
    if (longer) r->durable = p.last;
    if (r->role == QRT_ROLE_CANDIDATE && p.term == r->term)
        raft_on_own_vote_stored(r);
    else if (r->role == QRT_ROLE_LEADER && longer) {
        outbox_note(r->out, QRT_KIND_ACK, 0, r->node, r->term, r->durable, 0, 0);
        r->peers[r->slot].counted = r->durable;
        raft_advance_commit(r);
    } else if (r->recovering) {
        raft_maybe_caught_up(r);
    }
}

static void on_timer(struct raft *r, uint32_t id) {
    switch (id) {
    case RAFT_TIMER_ELECTION: raft_on_election_timer(r); break;
    case RAFT_TIMER_HEARTBEAT:
        if (raft_leads(r))
            raft_on_heartbeat_timer(r);
        else
            raft_on_candidate_timer(r);
        break;
    case RAFT_TIMER_QUORUM: raft_on_quorum_timer(r); break;
    case RAFT_TIMER_RECOVER: raft_on_recover_timer(r); break;
    case RAFT_TIMER_SUSPECT: raft_on_suspect_timer(r); break;
    case RAFT_TIMER_GATHER: raft_on_gather_timer(r); break;
    default: break;
    }
}

static void on_message(struct raft *r, const struct message *m) {
    int slot = raft_slot(r, m->from);
    if (slot < 0 || slot == r->slot) {
        raft_reject(r, m, QRT_DROP_FOREIGN);
        return;
    }
    switch (m->kind) {
    case WIRE_APPEND_REQUEST: raft_on_append_request(r, m); break;
    case WIRE_APPEND_REPLY: raft_on_append_reply(r, m, slot); break;
    case WIRE_VOTE_REQUEST: raft_on_vote_request(r, m); break;
    case WIRE_VOTE_REPLY: raft_on_vote_reply(r, m, slot); break;
    case WIRE_SNAPSHOT_CHUNK: raft_on_snapshot_chunk(r, m); break;
    case WIRE_SNAPSHOT_REPLY: raft_on_snapshot_reply(r, m, slot); break;
    case WIRE_RECOVER_REQUEST: raft_on_recover_request(r, m, slot); break;
    case WIRE_RECOVER_REPLY: raft_on_recover_reply(r, m, slot); break;
    default: raft_reject(r, m, QRT_DROP_FOREIGN); break;
    }
}

static void raft_step(void *state, const struct event *e, struct outbox *out) {
    struct raft *r = state;
    r->out = out;
    r->now = e->mono;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(r, e->as.message); break;
    case EVENT_STORED: on_stored(r); break;
    case EVENT_PROPOSE: on_propose(r, e); break;
    case EVENT_READ: raft_on_read(r, e->as.read.token); break;
    case EVENT_TIMER: on_timer(r, e->as.timer.id); break;
    case EVENT_CHECKPOINT: raft_on_checkpoint(r, e); break;
    case EVENT_RECORD: on_record(r, e->as.record.data); break;
    case EVENT_START: on_start(r, e->as.start.how); break;
    case EVENT_OPINION: raft_on_opinion(r, e->as.opinion.peer, e->as.opinion.suspected); break;
    case EVENT_ROOM: raft_on_room(r, e->as.room.full); break;
    case EVENT_LOCAL: break;
    }
    if (__builtin_expect(r->unsaved, 0)) raft_save(r);
    r->out = NULL;
}

/* Life and death */

static void *raft_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= RAFT_MEMBERS_MAX);
    struct raft *r = mem_zero(1, sizeof *r);
    r->node = c->node;
    r->group = c->group;
    r->bugs = c->bugs;
    r->bursts = c->bursts;
    memcpy(&r->options, c->options, sizeof r->options);
    r->quorum = quorum_rule_or_majority(c->quorum, c->member_count);
    /* A follower must hear several heartbeats within one timeout, whatever the two options say. */
    if (r->options.heartbeat_interval > r->options.election_timeout / 2)
        r->options.heartbeat_interval = r->options.election_timeout / 2;
    r->configuration.count = c->member_count;
    memcpy(r->configuration.members, c->members, c->member_count * sizeof *c->members);
    int slot = raft_slot(r, c->node);
    CHECK(slot >= 0);
    r->slot = (uint16_t)slot;
    r->random = random_stream(c->seed, c->node, RANDOM_PROTOCOL);
    r->peers = mem_zero(c->member_count, sizeof *r->peers);
    r->flights = mem_zero(c->member_count * (size_t)r->options.max_in_flight, sizeof *r->flights);
    return r;
}

static void raft_destroy(void *state) {
    struct raft *r = state;
    for (uint16_t i = 0; i < r->configuration.count; i++) raft_snapshot_unref(&r->peers[i].transfer);
    raft_snapshot_unref(&r->snapshot);
    raft_incoming_clear(&r->incoming);
    log_free(&r->log);
    buffer_free(&r->scratch);
    free(r->pending);
    free(r->peers);
    free(r->flights);
    free(r->reads);
    free(r);
}

static void *raft_clone(const void *state) {
    const struct raft *from = state;
    struct raft *r = mem_copy(from, sizeof *from);
    size_t members = from->configuration.count;
    r->out = NULL;
    log_clone(&r->log, &from->log);
    r->pending = mem_copy(from->pending, from->pending_capacity * sizeof *from->pending);
    r->peers = mem_copy(from->peers, members * sizeof *from->peers);
    for (size_t i = 0; i < members; i++) raft_snapshot_ref(r->peers[i].transfer);
    r->flights = mem_copy(from->flights, members * (size_t)from->options.max_in_flight * sizeof *from->flights);
    r->reads = mem_copy(from->reads, from->read_capacity * sizeof *from->reads);
    raft_snapshot_ref(r->snapshot);
    r->incoming.stream = (struct buffer){0};
    if (from->incoming.stream.size)
        buffer_append(&r->incoming.stream, from->incoming.stream.data, from->incoming.stream.size);
    r->scratch = (struct buffer){0};
    return r;
}

static qrt_status raft_fits(const void *options, uint16_t members, struct error *e) {
    const struct raft_options *o = options;
    (void)members;
    return timing_fits(o->heartbeat_interval, o->election_timeout, e);
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct raft_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    OPTION(election_timeout, OPTION_DURATION, 0.001, 3600, "150ms",
           "a follower that hears no leader for a random time of once to twice this stands for election"),
    OPTION(heartbeat_interval, OPTION_DURATION, 0.0001, 3600, "30ms",
           "a leader speaks to its followers at least this often; at most half the election timeout is used"),
    OPTION(pre_vote, OPTION_BOOL, 0, 1, "true",
           "before it raises its term, a candidate asks whether it could win"),
    OPTION(check_quorum, OPTION_BOOL, 0, 1, "true",
           "a leader that hears no majority steps down, and followers of a live leader ignore candidates"),
    OPTION(max_append_bytes, OPTION_SIZE, 1, 524288, "64KiB",
           "entries in one append request, in bytes (one entry always goes)"),
    OPTION(max_in_flight, OPTION_INTEGER, 1, 4096, "64",
           "append requests under way to one follower"),
    OPTION(max_in_flight_bytes, OPTION_SIZE, 1, 1073741824, "1MiB",
           "bytes of entries under way to one follower"),
    OPTION(max_pending, OPTION_INTEGER, 1, 16777216, "65536",
           "uncommitted entries that a leader holds before it refuses proposals"),
    OPTION(max_pending_bytes, OPTION_SIZE, 1, 4294967296.0, "64MiB",
           "uncommitted bytes that a leader holds before it refuses proposals"),
    OPTION(max_reads, OPTION_INTEGER, 1, 16777216, "65536",
           "reads that wait for their confirmation before a leader refuses more"),
    OPTION(snapshot_threshold, OPTION_INTEGER, 1, 1e15, "8192",
           "entries applied since the last snapshot that make a node take the next"),
    OPTION(snapshot_keep, OPTION_INTEGER, 0, 1e15, "1024",
           "entries before a snapshot that stay in the log for slow followers"),
    OPTION(chunk_size, OPTION_SIZE, 64, 524288, "64KiB",
           "bytes of a snapshot in one message"),
    {0},
};
#undef OPTION

static const struct bug bugs[] = {
    [RAFT_VOTE_BEFORE_SYNC] = {"vote-before-sync", "a vote is answered before term and vote are durable",
        "election-safety", "seaweedfs/raft#9"},
    [RAFT_STEP_DOWN_CLEARS_VOTE] = {"step-down-clears-vote", "stepping down within a term clears the vote",
        "election-safety", "CCF#8094"},
    [RAFT_EVEN_QUORUM] = {"even-quorum",
        "the commit quorum of an even cluster is one too small to meet every majority of votes",
        "state-machine-safety", "hashicorp/raft 163a55f"},
    [RAFT_FOLLOWER_COMMIT_UNCAPPED] = {"follower-commit-uncapped",
        "a follower's commit index is not capped at the last entry sent", "state-machine-safety",
        "cowsql/raft 000eacf2"},
    [RAFT_LATE_HEARTBEAT_TRUNCATES] = {"late-heartbeat-truncates", "an old heartbeat truncates the log",
        "committed-never-truncated", "willemt/raft#37"},
    [RAFT_COMMIT_OLDER_TERM] = {"commit-older-term", "an entry of an older term is committed by counting",
        "leader-completeness", "Raft paper, figure 8"},
    [RAFT_READ_BEFORE_CONFIRM] = {"read-before-confirm", "a read is served before a quorum confirms the leader",
        "linearizability", "d-engine#381"},
    [RAFT_AMNESIA_VOTES] = {"amnesia-votes", "a member whose disk was wiped or damaged votes as if nothing were lost", "durability",
        "tapir#15"},
    {0},
};
/* clang-format on */

static const struct fault_model model = {
    .synchrony = false,
    .tolerates_loss = true,
    .tolerates_reorder = true,
    .tolerates_duplicates = true,
    .tolerates_corruption = true,
    .tolerates_partition = true,
    .tolerates_pause = true,
    .tolerates_skew = true,
    .crash_recovers = true,
    .crash_wipes = true,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes = "synced writes survive, except on a minority whose disks are wiped and who then catch up; "
               "nobody lies",
};

const struct protocol protocol_raft = {
    .name = "raft",
    .judged_by = "raft",
    .votes = true,
    .quorum_needs = QUORUM_READS_MEET, /* one vote a term, one leader a term */
    .sometimes = "leader-replaced election-repeated log-truncated checkpoint-taken snapshot-installed wiped-caught-up "
                 "crashed-in-step unsynced-lost disk-wiped node-paused partition-dropped message-lost corrupt-rejected "
                 "sent-to-dead leader-crashed leader-deposed outcome-unknown operation-failed read-served",
    .summary = "a replicated log under one elected leader (Ongaro and Ousterhout 2014)",
    .options = {"raft", option_specs},
    .options_size = sizeof(struct raft_options),
    .fits = raft_fits,
    .model = &model,
    .bugs = bugs,
    .create = raft_create,
    .destroy = raft_destroy,
    .clone = raft_clone,
    .fingerprint = raft_fingerprint,
    .step = raft_step,
    .grows = raft_grows,
    .status = raft_status,
    .entry = raft_entry,
    .describe = raft_describe,
    .inspect = raft_inspect,
    .invariants = raft_invariants,
};
