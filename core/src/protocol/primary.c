/* Primary-backup replication (Alsberg and Day 1976), with its views agreed upon as in PacificA (Lin, Yang, Zhang and
 * Zhou 2008) and the monitors' part played by a quorum of the members themselves.
 *
 * This file: life and death of an instance, its records, proposals, dispatch, the interface table. primary.h says
 * where the rest is, primary_epoch.c why nothing acknowledged is lost.
 *
 * Invariants
 *  1. Epoch, promise, accepted view and the entries that changed are one record, one atomic write. Every record
 *     says where it begins: replayed, it cuts the log there and adds its entries, if it has any.
 *  2. Nothing that another node may rely on (a promise, an accepted view, an acknowledgement) is sent before the
 *     record behind it. Only a primary's writes go in parallel with its disk, and it counts itself when its record
 *     is durable.
 *  3. applied <= commit <= last. The log is kept whole: there are no snapshots, and a restart applies it anew.
 *  4. A member that came back with less than it had told others takes no part from then on (role recovering).
 *
 * A record: u64 epoch, u16 promised to, u64 view epoch, u64 view version, 2 u64 in sync (bit = slot), u64 first,
 * u32 count, entries (entries.h). */
#include "protocol/primary.h"

#include <stdlib.h>

#include "base/check.h"
#include "protocol/timing.h"

/* ---- records ---- */

static struct primary_pending *pending_at(const struct primary *p, uint32_t i) {
    return &p->pending[(p->pending_head + i) & (p->pending_capacity - 1)];
}

static void pending_push(struct primary *p, struct primary_pending record) {
    if (__builtin_expect(p->pending_count == p->pending_capacity, 0)) {
        uint32_t capacity = p->pending_capacity ? p->pending_capacity * 2 : 16;
        struct primary_pending *grown = mem_alloc(capacity * sizeof *grown);
        for (uint32_t i = 0; i < p->pending_count; i++) grown[i] = *pending_at(p, i);
        free(p->pending);
        p->pending = grown;
        p->pending_head = 0;
        p->pending_capacity = capacity;
    }
    *pending_at(p, p->pending_count++) = record;
}

/* What lies beyond `last` is gone: no record under way can make it durable any more. */
static void pending_cut(struct primary *p, uint64_t last) {
    if (p->durable > last) p->durable = last;
    for (uint32_t i = 0; i < p->pending_count; i++)
        if (pending_at(p, i)->last > last) pending_at(p, i)->last = last;
}

void primary_persist(struct primary *p, uint64_t first) {
    uint64_t last = p->log.last;
    uint32_t count = first <= last ? (uint32_t)(last - first + 1) : 0;
    struct bytes entries = {0};
    if (count) entries = log_slice(&p->log, first, last, &p->scratch);
    size_t size = PRIMARY_RECORD_HEADER + (size_t)entries.size;
    struct writer w = writer_of(outbox_persist(p->out, size, last + 1, p->epoch), size);
    write_u64(&w, p->epoch);
    write_u16(&w, p->vote);
    write_u64(&w, p->view.epoch);
    write_u64(&w, p->view.version);
    write_u64(&w, p->view.in_sync.words[0]);
    write_u64(&w, p->view.in_sync.words[1]);
    write_u64(&w, first);
    write_u32(&w, count);
    writer_put(&w, entries.data, entries.size);
    pending_push(p, (struct primary_pending){last, p->epoch, p->view.epoch, p->view.version});
    p->unsaved = false;
}

void primary_save(struct primary *p) {
    if (p->unsaved) primary_persist(p, p->log.last + 1);
}

static void replay_entries(struct primary *p, uint64_t first, uint32_t count, struct bytes entries) {
    if (first > p->log.last + 1) { /* what stood before it is lost */
        p->gap = true;
        return;
    }
    if (first <= p->log.last) log_truncate(&p->log, first);
    struct reader in = reader_of(entries);
    struct bytes raw;
    for (uint32_t i = 0; i < count && entry_take(&in, &raw); i++) log_append(&p->log, raw, 0);
}

static bool is_sound_recall(const struct primary *p, const struct primary_view *v, uint64_t epoch, uint64_t first) {
    return epoch <= PRIMARY_NUMBER_MAX && v->epoch <= epoch && first > 0 && first <= PRIMARY_NUMBER_MAX &&
           set_count(&v->in_sync) > 0 && set_count(&v->in_sync) <= p->count;
}

static void on_record(struct primary *p, struct bytes data) {
    struct reader in = reader_of(data);
    struct primary_view view;
    uint64_t epoch = read_u64(&in);
    uint16_t vote = read_u16(&in);
    view.epoch = read_u64(&in);
    view.version = read_u64(&in);
    view.in_sync.words[0] = read_u64(&in);
    view.in_sync.words[1] = read_u64(&in);
    uint64_t first = read_u64(&in);
    uint32_t count = read_u32(&in);
    struct bytes entries = {in.at, (uint32_t)reader_left(&in)};
    if (in.failed || !is_sound_recall(p, &view, epoch, first) || !entries_sound(entries, count, 0, epoch)) {
        outbox_note(p->out, QRT_KIND_REJECT, QRT_DROP_CORRUPT, 0, 0, 0, 0, 0);
        p->gap = true;
        return;
    }
    p->epoch = epoch;
    p->vote = vote;
    p->view = view;
    p->recalled = true;
    replay_entries(p, first, count, entries);
}

/* ---- the machine ---- */

static void add_checkpoint(struct primary *p, uint8_t kind) {
    struct effect *e = outbox_add(p->out, kind);
    if (kind == FX_RESTORE) e->blob = blob_ref(p->genesis);
}

/* What was applied is lost: the machine begins anew. */
static void rewind_machine(struct primary *p) {
    CHECK(p->genesis);
    p->restoring = true;
    p->applied = 0;
    add_checkpoint(p, FX_RESTORE);
}

static void apply(struct primary *p) {
    if (p->restoring || p->applied >= p->commit || (primary_rewinds(p) && !p->genesis)) return;
    struct effect *e = outbox_add(p->out, FX_APPLY);
    e->a = p->applied + 1;
    e->b = p->commit;
    p->applied = p->commit;
    if (p->read_count) primary_serve_reads(p);
}

static void on_checkpoint(struct primary *p, const struct event *e) {
    if (!p->genesis) p->genesis = blob_ref(e->as.checkpoint.blob);
    if (e->as.checkpoint.recovered) return;
    p->restoring = false;
    apply(p);
}

void primary_commit(struct primary *p, uint64_t index, uint8_t detail) {
    if (index > p->log.last) index = p->log.last;
    if (index <= p->commit) return;
    p->commit = index;
    outbox_note(p->out, QRT_KIND_COMMIT, detail, 0, p->epoch, index, 0, log_hash(&p->log, index));
    apply(p);
}

void primary_append(struct primary *p, uint8_t kind, uint64_t session, uint64_t sequence, struct bytes data,
                    uint64_t token) {
    struct entry e = {.term = p->epoch, .kind = kind, .session = session, .sequence = sequence, .data = data};
    size_t size = entry_size(data);
    buffer_clear(&p->scratch);
    uint8_t *raw = buffer_extend(&p->scratch, size);
    entry_encode(raw, &e);
    log_append(&p->log, bytes_of(raw, size), token);
    outbox_note(p->out, QRT_KIND_APPEND, 0, 0, p->epoch, p->log.last, 0, p->log.last_hash);
    primary_persist(p, p->log.last);
}

void primary_truncate(struct primary *p, uint64_t from) {
    for (uint64_t i = from > p->applied ? from : p->applied + 1; i <= p->log.last; i++) {
        uint64_t token = log_slot_of(&p->log, i)->token;
        if (token) outbox_reply(p->out, token, QRT_EUNKNOWN, p->leader);
    }
    outbox_note(p->out, QRT_KIND_TRUNCATE, 0, 0, p->epoch, from, 0, 0);
    log_truncate(&p->log, from);
    pending_cut(p, p->log.last);
    if (p->commit > p->log.last) p->commit = p->log.last;
    if (p->applied > p->log.last) rewind_machine(p);
    p->unsaved = true;
}

void primary_reject(struct primary *p, const struct message *m, uint8_t why) {
    outbox_note(p->out, QRT_KIND_REJECT, why, m->from, 0, 0, m->id, 0);
}

/* ---- events ---- */

static void on_start(struct primary *p, uint8_t how) {
    p->silent = start_forgot(how) || p->gap;
    p->durable = p->log.last;
    outbox_note(p->out, QRT_KIND_START, how, p->vote, p->epoch, p->log.last, 0, p->log.last_hash);
    if (p->silent) {
        primary_set_role(p, QRT_ROLE_RECOVERING);
        return;
    }
    if (primary_rewinds(p) && !p->genesis) add_checkpoint(p, FX_CHECKPOINT);
    primary_set_role(p, QRT_ROLE_FOLLOWER);
    primary_start_election_timer(p);
}

static bool is_full(const struct primary *p) {
    return p->log.last - p->commit >= (uint64_t)p->options.max_pending ||
           log_bytes(&p->log, p->commit, p->log.last) >= (uint64_t)p->options.max_pending_bytes;
}

static void on_propose(struct primary *p, const struct event *e) {
    struct bytes data = e->as.propose.data;
    uint64_t token = e->as.propose.token;
    qrt_status refused = QRT_OK;
    if (!primary_leads(p))
        refused = QRT_ENOTLEADER;
    else if (data.size > PRIMARY_DATA_MAX)
        refused = QRT_ETOOLARGE;
    else if (is_full(p))
        refused = QRT_EFULL;
    if (refused) {
        outbox_reply(p->out, token, refused, p->leader);
        return;
    }
    primary_append(p, e->as.propose.kind, e->as.propose.session, e->as.propose.sequence, data, token);
    primary_replicate_all(p);
}

/* A record is durable. Records complete in the order in which they were written. */
static void on_stored(struct primary *p) {
    if (!p->pending_count) return;
    struct primary_pending record = *pending_at(p, 0);
    p->pending_head = (p->pending_head + 1) & (p->pending_capacity - 1);
    p->pending_count--;
    bool longer = record.last > p->durable;
    if (longer) p->durable = record.last;
    if (p->role == QRT_ROLE_CANDIDATE && !p->reconciling && record.epoch == p->epoch) {
        primary_on_own_promise_stored(p);
        return;
    }
    if (!primary_replicates(p)) return;
    if (longer) {
        outbox_note(p->out, QRT_KIND_ACK, 0, p->node, p->epoch, p->durable, 0, 0);
        primary_advance(p);
        if (p->reconciling && p->count == 1) primary_review(p);
    }
    if (p->proposing && record.view_epoch == p->epoch && record.view_version == p->proposed.version)
        primary_on_own_view_stored(p);
}

static void on_timer(struct primary *p, uint32_t id) {
    switch (id) {
    case PRIMARY_TIMER_ELECTION: primary_on_election_timer(p); break;
    case PRIMARY_TIMER_SUSPECT: primary_on_suspect_timer(p); break;
    case PRIMARY_TIMER_HEARTBEAT:
        if (primary_replicates(p))
            primary_on_heartbeat_timer(p);
        else
            primary_on_ask_timer(p);
        break;
    default: break;
    }
}

static void on_message(struct primary *p, const struct message *m) {
    int slot = primary_slot(p, m->from);
    if (slot < 0 || slot == p->slot) {
        primary_reject(p, m, QRT_DROP_FOREIGN);
        return;
    }
    if (p->silent) return;
    switch (m->kind) {
    case WIRE_REPLICATE_REQUEST: primary_on_replicate_request(p, m); break;
    case WIRE_REPLICATE_REPLY: primary_on_replicate_reply(p, m, slot); break;
    case WIRE_EPOCH_REQUEST: primary_on_epoch_request(p, m); break;
    case WIRE_EPOCH_REPLY: primary_on_epoch_reply(p, m, slot); break;
    case WIRE_VIEW_REQUEST: primary_on_view_request(p, m); break;
    case WIRE_VIEW_REPLY: primary_on_view_reply(p, m, slot); break;
    default: primary_reject(p, m, QRT_DROP_FOREIGN); break;
    }
}

static bool primary_grows(const struct message *m) {
    return m->kind == WIRE_REPLICATE_REQUEST && m->as.replicate_request.count > 0;
}

static void primary_step(void *state, const struct event *e, struct outbox *out) {
    struct primary *p = state;
    p->out = out;
    p->now = e->mono;
    switch ((enum event_kind)e->kind) {
    case EVENT_MESSAGE: on_message(p, e->as.message); break;
    case EVENT_STORED: on_stored(p); break;
    case EVENT_PROPOSE: on_propose(p, e); break;
    case EVENT_READ: primary_on_read(p, e->as.read.token); break;
    case EVENT_TIMER: on_timer(p, e->as.timer.id); break;
    case EVENT_CHECKPOINT: on_checkpoint(p, e); break;
    case EVENT_RECORD: on_record(p, e->as.record.data); break;
    case EVENT_START: on_start(p, e->as.start.how); break;
    case EVENT_OPINION: primary_on_opinion(p, primary_slot(p, e->as.opinion.peer), e->as.opinion.suspected); break;
    case EVENT_LOCAL:
    case EVENT_ROOM: break;
    }
    if (__builtin_expect(p->unsaved, 0)) primary_save(p);
    p->out = NULL;
}

/* ---- life and death ---- */

static void *primary_create(const struct protocol_config *c) {
    CHECK(c->member_count >= 1 && c->member_count <= PRIMARY_MEMBERS_MAX);
    struct primary *p = mem_zero(1, sizeof *p);
    p->node = c->node;
    p->group = c->group;
    p->bugs = c->bugs;
    memcpy(&p->options, c->options, sizeof p->options);
    /* A backup must hear several heartbeats within one timeout, whatever the options say. */
    if (p->options.heartbeat_interval > p->options.election_timeout / 2)
        p->options.heartbeat_interval = p->options.election_timeout / 2;
    if (p->options.backup_timeout < 2 * p->options.heartbeat_interval)
        p->options.backup_timeout = 2 * p->options.heartbeat_interval;
    p->count = c->member_count;
    p->quorum = quorum_rule_or_majority(c->quorum, c->member_count);
    memcpy(p->members, c->members, c->member_count * sizeof *c->members);
    int slot = primary_slot(p, c->node);
    CHECK(slot >= 0);
    p->slot = (uint16_t)slot;
    for (size_t i = 0; i < p->count; i++) set_add(&p->view.in_sync, i); /* all logs are empty: everybody is in sync */
    p->random = random_stream(c->seed, c->node, RANDOM_PROTOCOL);
    p->peers = mem_zero(c->member_count, sizeof *p->peers);
    return p;
}

static void primary_destroy(void *state) {
    struct primary *p = state;
    log_free(&p->log);
    blob_unref(&p->genesis);
    buffer_free(&p->scratch);
    free(p->pending);
    free(p->peers);
    free(p->reads);
    free(p);
}

static void *primary_clone(const void *state) {
    const struct primary *from = state;
    struct primary *p = mem_copy(from, sizeof *from);
    p->out = NULL;
    log_clone(&p->log, &from->log);
    p->pending = mem_copy(from->pending, from->pending_capacity * sizeof *from->pending);
    p->peers = mem_copy(from->peers, from->count * sizeof *from->peers);
    p->reads = mem_copy(from->reads, from->read_capacity * sizeof *from->reads);
    p->genesis = blob_ref(from->genesis);
    p->scratch = (struct buffer){0};
    return p;
}

static qrt_status primary_fits(const void *options, uint16_t members, struct error *e) {
    const struct primary_options *o = options;
    (void)members;
    return timing_fits(o->heartbeat_interval, o->election_timeout, e);
}

/* clang-format off */
#define OPTION(name, type, low, high, standard, help) \
    {#name, type, offsetof(struct primary_options, name), low, high, standard, NULL, help}
static const struct option_spec option_specs[] = {
    {"mode", OPTION_CHOICE, offsetof(struct primary_options, mode), 0, 0, "sync", "sync|semi-sync|async",
     "when a write is answered: all backups in sync have it, one backup has it, the primary has it"},
    OPTION(election_timeout, OPTION_DURATION, 0.001, 3600, "150ms",
           "a backup that hears no primary for a random time of once to twice this asks for an epoch"),
    OPTION(heartbeat_interval, OPTION_DURATION, 0.0001, 3600, "30ms",
           "a primary speaks to its backups at least this often; at most half the election timeout is used"),
    OPTION(backup_timeout, OPTION_DURATION, 0.001, 3600, "100ms",
           "a backup silent for this long leaves the view; at least two heartbeats are waited for"),
    OPTION(check_quorum, OPTION_BOOL, 0, 1, "true",
           "a primary that hears no quorum for an election timeout steps down"),
    OPTION(max_append_bytes, OPTION_SIZE, 1, 524288, "64KiB",
           "entries in one message to a backup, in bytes (one entry always goes)"),
    OPTION(max_in_flight, OPTION_INTEGER, 1, 1e9, "1024",
           "entries sent to one backup and not yet answered"),
    OPTION(max_pending, OPTION_INTEGER, 1, 16777216, "65536",
           "unanswered writes that a primary holds before it refuses more"),
    OPTION(max_pending_bytes, OPTION_SIZE, 1, 4294967296.0, "64MiB",
           "unanswered bytes that a primary holds before it refuses more"),
    OPTION(max_reads, OPTION_INTEGER, 1, 16777216, "65536",
           "reads that wait for their confirmation before a primary refuses more"),
    {0},
};
#undef OPTION

static const struct bug bugs[] = {
    [PRIMARY_ACKNOWLEDGE_BEFORE_BACKUP] = {"acknowledge-before-backup",
        "a synchronous primary answers when it alone has the write", "no-acknowledged-write-lost",
        "Jepsen: Redis (2013)"},
    [PRIMARY_STALE_PRIMARY_SERVES] = {"stale-primary-serves",
        "a primary serves reads without asking whether its epoch still stands", "linearizability",
        "Jepsen: MongoDB stale reads (2015)"},
    [PRIMARY_UNCLEAN_SWITCH_OVER] = {"unclean-switch-over", "a backup that is not in sync may become the primary",
        "no-acknowledged-write-lost", "Jepsen: Kafka (2013)"},
    [PRIMARY_SHRINK_WITHOUT_GRANT] = {"shrink-without-grant",
        "a primary waits no longer for a silent backup before the monitors have removed it",
        "no-acknowledged-write-lost", "PacificA (2008), 3.3"},
    [PRIMARY_PROMISE_BEFORE_SYNC] = {"promise-before-sync", "an epoch is promised before the promise is durable",
        "one-primary-an-epoch", "seaweedfs/raft#9"},
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
    .crash_wipes = false,
    .loses_unsynced = true,
    .crashes = "(n-1)/2",
    .liars = "0",
    .assumes = "synced writes survive on every member; nobody lies; in the modes that answer early, a switch-over may "
               "lose what was answered",
};

/* What is answered early may be lost, by promise: that is measured, and nothing else is promised of the order. */
static const char *primary_judged_by(const void *options) {
    const struct primary_options *o = options;
    return o->mode == PRIMARY_SYNC ? "raft primary-backup linearizability" : "primary-backup";
}

const struct protocol protocol_primary_backup = {
    .name = "primary-backup",
    .judged_by = "raft primary-backup",
    .judged_as = primary_judged_by,
    .sometimes = "switch-over backup-removed old-primary-resynchronised log-truncated crashed-in-step unsynced-lost "
                 "node-paused partition-dropped message-lost corrupt-rejected sent-to-dead leader-crashed "
                 "leader-deposed outcome-unknown operation-failed read-served",
    .summary = "a primary and its backups, their views granted by a majority (Alsberg and Day 1976; PacificA 2008)",
    .votes = true,
    .quorum_needs = QUORUM_READS_MEET, /* one promise an epoch, one primary an epoch */
    .options = {"primary-backup", option_specs},
    .options_size = sizeof(struct primary_options),
    .fits = primary_fits,
    .model = &model,
    .bugs = bugs,
    .create = primary_create,
    .destroy = primary_destroy,
    .clone = primary_clone,
    .fingerprint = primary_fingerprint,
    .step = primary_step,
    .grows = primary_grows,
    .status = primary_status,
    .entry = primary_entry,
    .describe = primary_describe,
    .inspect = primary_inspect,
    .invariants = primary_invariants,
};
