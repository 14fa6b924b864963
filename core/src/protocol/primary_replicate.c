/* Primary-backup: what the primary sends, what the backups do with it, what is acknowledged.
 *
 *   probing ---- agrees ----> streaming      one message at a time until the logs are found to agree; then each
 *      ^  <---- refuses -----    |           write leaves at once, up to max_in_flight entries ahead
 *      +-------------------------+
 *
 * A write costs 2(n-1) messages: one to each backup, one back; what is acknowledged is told with the next message
 * or heartbeat. Writes leave in parallel with the primary's own disk; a backup answers when its record is durable.
 *
 * A backup's log may hold what no primary acknowledged; it gives way to the primary's. In synchronous mode nothing
 * that was applied ever does. A primary that answers early may have applied what then is lost: coming back as a
 * backup it restores the machine as it was before the first entry, and applies the log anew.
 *
 * Fencing. A write is acknowledged by the backups' answers, which carry the epoch: one that has promised a later
 * epoch answers no more, and it is in our view. A read has no such answers; it waits for a round, a number that
 * every message carries and every answer echoes, until a quorum has echoed one that began after the read came. */
#include "protocol/primary.h"

/* Entries next..to, or none when to is next - 1. */
static void send_entries(struct primary *p, uint16_t slot, uint64_t to) {
    struct primary_peer *peer = &p->peers[slot];
    struct message m = {.kind = WIRE_REPLICATE_REQUEST};
    struct wire_replicate_request *q = &m.as.replicate_request;
    q->epoch = p->epoch;
    q->previous_index = peer->next - 1;
    q->previous_epoch = log_term(&p->log, peer->next - 1);
    q->commit = p->commit;
    q->round = p->round;
    if (to >= peer->next) {
        q->count = (uint32_t)(to - peer->next + 1);
        q->entries = log_slice(&p->log, peer->next, to, &p->scratch);
    }
    outbox_send(p->out, p->members[slot], &m, FX_BEFORE_DURABLE, p->epoch, to);
}

static uint64_t message_end(const struct primary *p, uint64_t next) {
    return log_run(&p->log, next, (uint64_t)p->options.max_append_bytes);
}

static void replicate(struct primary *p, uint16_t slot) {
    struct primary_peer *peer = &p->peers[slot];
    if (peer->probing) {
        if (peer->probe_sent) return;
        peer->probe_sent = true;
        send_entries(p, slot, peer->next <= p->log.last ? message_end(p, peer->next) : peer->next - 1);
        return;
    }
    while (peer->next <= p->log.last && peer->next - peer->match <= (uint64_t)p->options.max_in_flight) {
        uint64_t to = message_end(p, peer->next);
        send_entries(p, slot, to);
        peer->next = to + 1;
    }
}

void primary_replicate_all(struct primary *p) {
    for (uint16_t i = 0; i < p->count; i++)
        if (i != p->slot) replicate(p, i);
}

static void heartbeat_all(struct primary *p) {
    for (uint16_t i = 0; i < p->count; i++)
        if (i != p->slot) send_entries(p, i, p->peers[i].next - 1);
}

/* The epoch's first entry: once it is acknowledged, so is all that earlier epochs left. */
void primary_begin_replication(struct primary *p) {
    p->epoch_start = p->log.last + 1;
    p->round = p->round_confirmed = 0;
    for (uint16_t i = 0; i < p->count; i++)
        p->peers[i] = (struct primary_peer){.probing = true, .next = p->log.last + 1, .heard_mono = p->now};
    primary_append(p, ENTRY_NOOP, 0, 0, (struct bytes){0}, 0);
    outbox_timer(p->out, PRIMARY_TIMER_HEARTBEAT, p->options.heartbeat_interval);
    primary_replicate_all(p);
}

/* A primary that no quorum answers any more makes room, so that its clients look elsewhere. */
static bool hears_quorum(const struct primary *p) {
    struct primary_set heard = {0};
    for (uint16_t i = 0; i < p->count; i++)
        if (i == p->slot || p->now - p->peers[i].heard_mono < p->options.election_timeout) set_add(&heard, i);
    return primary_is_quorum(p, &heard);
}

void primary_on_heartbeat_timer(struct primary *p) {
    bool fenced = p->options.check_quorum && !primary_has_bug(p, PRIMARY_STALE_PRIMARY_SERVES);
    if (primary_leads(p) && fenced && !hears_quorum(p)) {
        become_backup(p, p->epoch, 0);
        return;
    }
    primary_review(p);
    heartbeat_all(p);
    outbox_timer(p->out, PRIMARY_TIMER_HEARTBEAT, p->options.heartbeat_interval);
}

/* ---- what is acknowledged ---- */

static uint64_t match_of(const struct primary *p, size_t slot) {
    return slot == p->slot ? p->durable : p->peers[slot].match;
}

/* What every member of the view has on disk, and of the proposed one while there is one. */
static uint64_t held_by_view(const struct primary *p) {
    uint64_t least = p->durable;
    for (size_t i = 0; i < p->count; i++) {
        bool counts = set_has(&p->active.in_sync, i) || (p->proposing && set_has(&p->proposed.in_sync, i));
        if (counts && match_of(p, i) < least) least = match_of(p, i);
    }
    return least;
}

/* What the primary and at least one backup have on disk. */
static uint64_t held_by_one_more(const struct primary *p) {
    uint64_t most = p->count == 1 ? p->durable : 0;
    for (size_t i = 0; i < p->count; i++)
        if (i != p->slot && p->peers[i].match > most) most = p->peers[i].match;
    return most < p->durable ? most : p->durable;
}

void primary_advance(struct primary *p) {
    if (!primary_leads(p)) return;
    uint8_t detail = p->options.mode == PRIMARY_SYNC ? 1 : 2;
    uint64_t index = p->durable;
    if (p->options.mode == PRIMARY_SEMI_SYNC)
        index = held_by_one_more(p);
    else if (p->options.mode == PRIMARY_SYNC && !primary_has_bug(p, PRIMARY_ACKNOWLEDGE_BEFORE_BACKUP))
        index = held_by_view(p);
    if (index >= p->epoch_start) primary_commit(p, index, detail);
}

/* ---- the backup ---- */

static void answer(struct primary *p, uint16_t to, struct wire_replicate_reply a) {
    struct message m = {.kind = WIRE_REPLICATE_REPLY};
    m.as.replicate_reply = a;
    m.as.replicate_reply.epoch = p->epoch;
    outbox_send(p->out, to, &m, 0, p->epoch, a.match);
}

/* Where the primary may try next: our last entry before the refused place that is of no later epoch than its own. */
static void refuse(struct primary *p, uint16_t to, const struct wire_replicate_request *q) {
    uint64_t place = log_find_term(&p->log, q->previous_index - 1, q->previous_epoch);
    struct wire_replicate_reply a = {.refused = q->previous_index, .match = place, .round = q->round};
    a.hint_epoch = log_term(&p->log, place);
    primary_save(p);
    answer(p, to, a);
}

/* Takes over what is new; what we have stays, for an old message may come late. False when it conflicts with what
 * this node holds as acknowledged by its backups, which no primary asks for. */
static bool take_entries(struct primary *p, const struct wire_replicate_request *q) {
    uint64_t index = q->previous_index, first = 0;
    struct reader in = reader_of(q->entries);
    struct bytes raw;
    for (uint32_t i = 0; i < q->count && entry_take(&in, &raw); i++) {
        uint64_t epoch;
        memcpy(&epoch, raw.data, sizeof epoch);
        if (++index <= p->log.last) {
            if (log_term(&p->log, index) == epoch) continue;
            if (index <= p->commit && !primary_rewinds(p)) return false;
            primary_truncate(p, index);
        }
        if (!first) first = index;
        log_append(&p->log, raw, 0);
        outbox_note(p->out, QRT_KIND_APPEND, 0, 0, epoch, index, 0, p->log.last_hash);
    }
    if (first) primary_persist(p, first);
    return true;
}

static bool is_sound(const struct wire_replicate_request *q) {
    if (q->epoch == 0 || q->epoch > PRIMARY_NUMBER_MAX || q->previous_index > PRIMARY_NUMBER_MAX ||
        q->previous_epoch > q->epoch || q->round > PRIMARY_NUMBER_MAX || (q->previous_index == 0 && q->previous_epoch))
        return false;
    return entries_sound(q->entries, q->count, q->previous_epoch, q->epoch);
}

/* A message of this epoch's primary, or of a later one's: follow it. */
static bool follow(struct primary *p, uint64_t epoch, uint16_t from) {
    if (epoch < p->epoch || (epoch == p->epoch && primary_replicates(p))) return false;
    if (epoch > p->epoch || p->role != QRT_ROLE_FOLLOWER || p->leader != from) become_backup(p, epoch, from);
    p->contact_mono = p->reset_mono = p->now;
    p->peers[primary_slot(p, from)].suspected = false;
    return true;
}

void primary_on_replicate_request(struct primary *p, const struct message *m) {
    const struct wire_replicate_request *q = &m->as.replicate_request;
    if (!is_sound(q)) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (!follow(p, q->epoch, m->from)) {
        if (q->epoch < p->epoch) answer(p, m->from, (struct wire_replicate_reply){.round = q->round});
        return;
    }
    uint64_t previous = q->previous_index, agreed = previous + q->count;
    if (previous > p->log.last || log_term(&p->log, previous) != q->previous_epoch) {
        refuse(p, m->from, q);
        return;
    }
    if (!take_entries(p, q)) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    primary_save(p);
    outbox_note(p->out, QRT_KIND_ACK, 0, m->from, p->epoch, agreed, 0, 0);
    answer(p, m->from, (struct wire_replicate_reply){.success = 1, .match = agreed, .round = q->round});
    primary_commit(p, q->commit < agreed ? q->commit : agreed, 0);
}

/* ---- the backups' answers ---- */

static void on_refusal(struct primary *p, uint16_t slot, const struct wire_replicate_reply *a) {
    struct primary_peer *peer = &p->peers[slot];
    bool stale = peer->probing ? a->refused != peer->next - 1 : a->refused < peer->match || a->refused >= peer->next;
    if (stale || a->match >= a->refused) return;
    uint64_t place = log_find_term(&p->log, a->match, a->hint_epoch);
    peer->next = (place > peer->match ? place : peer->match) + 1;
    peer->probing = true;
    peer->probe_sent = false;
    replicate(p, slot);
}

static void on_agreement(struct primary *p, uint16_t slot, uint64_t match) {
    struct primary_peer *peer = &p->peers[slot];
    bool further = match > peer->match;
    if (further) peer->match = match;
    if (peer->probing && match + 1 >= peer->next) peer->probing = false;
    if (peer->next <= match) peer->next = match + 1;
    if (further) primary_advance(p);
    replicate(p, slot);
}

/* While the logs are made alike: the view is asked for at once when nobody is missing. */
static void maybe_complete(struct primary *p) {
    if (!p->reconciling || p->proposing) return;
    for (size_t i = 0; i < p->count; i++)
        if (match_of(p, i) < p->epoch_start) return;
    primary_review(p);
}

static void advance_round(struct primary *p);

void primary_on_replicate_reply(struct primary *p, const struct message *m, int slot) {
    const struct wire_replicate_reply *a = &m->as.replicate_reply;
    if (a->epoch > PRIMARY_NUMBER_MAX || a->match > PRIMARY_NUMBER_MAX || a->success > 1) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->epoch > p->epoch) {
        become_backup(p, a->epoch, 0);
        return;
    }
    if (a->epoch < p->epoch || !primary_replicates(p)) return;
    if ((a->success && a->match > p->log.last) || a->round > p->round) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    struct primary_peer *peer = &p->peers[slot];
    peer->heard_mono = p->now;
    peer->suspected = false;
    if (p->reconciling) p->reset_mono = p->now; /* it gets on: its time begins anew */
    if (a->round > peer->round) peer->round = a->round;
    if (a->success)
        on_agreement(p, (uint16_t)slot, a->match);
    else
        on_refusal(p, (uint16_t)slot, a);
    maybe_complete(p);
    advance_round(p);
}

/* ---- reads ---- */

static void begin_round(struct primary *p) {
    p->round++;
    heartbeat_all(p);
}

static void read_ready(struct primary *p, uint64_t token) {
    struct effect *e = outbox_add(p->out, FX_READ_READY);
    e->a = token;
    e->index = p->applied;
    e->term = p->epoch;
}

void primary_serve_reads(struct primary *p) {
    size_t served = 0;
    while (served < p->read_count) {
        const struct primary_read *read = &p->reads[served];
        if (read->round > p->round_confirmed || read->index > p->applied) break;
        read_ready(p, read->token);
        served++;
    }
    if (!served) return;
    p->read_count -= served;
    memmove(p->reads, p->reads + served, p->read_count * sizeof *p->reads);
}

void primary_fail_reads(struct primary *p) {
    for (size_t i = 0; i < p->read_count; i++) outbox_reply(p->out, p->reads[i].token, QRT_ENOTLEADER, p->leader);
    p->read_count = 0;
}

static void advance_round(struct primary *p) {
    uint64_t echoed[PRIMARY_MEMBERS_MAX];
    if (!p->read_count) return;
    p->peers[p->slot].round = p->round;
    for (uint16_t i = 0; i < p->count; i++) echoed[i] = p->peers[i].round;
    uint64_t confirmed = quorum_rule_reached(&p->quorum, QUORUM_WRITE, echoed);
    if (confirmed <= p->round_confirmed) return;
    p->round_confirmed = confirmed;
    primary_serve_reads(p);
    if (confirmed == p->round && p->read_count && p->reads[p->read_count - 1].round > p->round) begin_round(p);
}

void primary_on_read(struct primary *p, uint64_t token) {
    if (!primary_leads(p)) {
        outbox_reply(p->out, token, QRT_ENOTLEADER, p->leader);
        return;
    }
    if (primary_has_bug(p, PRIMARY_STALE_PRIMARY_SERVES)) {
        read_ready(p, token);
        return;
    }
    if (p->read_count >= (size_t)p->options.max_reads) {
        outbox_reply(p->out, token, QRT_EFULL, p->node);
        return;
    }
    p->reads = mem_grow(p->reads, &p->read_capacity, p->read_count + 1, sizeof *p->reads);
    uint64_t index = p->commit > p->epoch_start ? p->commit : p->epoch_start;
    p->reads[p->read_count++] = (struct primary_read){token, p->round + 1, index};
    if (p->round == p->round_confirmed) begin_round(p);
    advance_round(p);
}
