/* Primary-backup: epochs, views and switch-over.
 *
 *   backup -- silence --> pre-candidate -- a quorum would ---> candidate -- promised --> reconciling -- view --> primary
 *     ^   (on_election_timer)       (become_candidate)        (begin_reconciling)      (become_primary)   |
 *     +--------- a later epoch, another primary, no quorum heard (become_backup) <---------------------+
 *
 * Every member is a monitor too. A quorum of them plays the configuration manager of PacificA (Lin et al. 2008,
 * 3.2), by two rounds in the manner of Paxos:
 *  - an epoch is promised to one candidate, and the monitor tells it the latest view that it has accepted;
 *  - a view (epoch, version, who is in sync) is accepted unless a later epoch was promised.
 *
 * Why no acknowledged write is lost (synchronous mode). A primary acknowledges what every member of its view has
 * on disk, and while a change of view is under way every member of both. So
 *  1. whoever is in the latest accepted view holds all that was acknowledged: a backup enters a view only after it
 *     has acknowledged everything, and a new epoch's first view names only those whose logs equal its candidate's;
 *  2. a candidate hears of the latest view that may ever be in force: a quorum (to read) has promised it the epoch, and
 *     one of these has accepted any view that a quorum (to write) accepted; the others can be accepted no more;
 *  3. it goes on only if it is in that view itself; and what its log holds beyond is unacknowledged, but may stay.
 * No step of this rests on a clock; the timeouts decide only when somebody asks.
 *
 * A view is itself a quorum to write, so that among any quorum to read somebody is in it.
 *
 * In the modes that answer early there are no views to wait for: a monitor promises an epoch only to a candidate
 * whose log reaches as far as its own, which keeps the loss small. */
#include "protocol/primary.h"

void primary_set_role(struct primary *p, uint8_t role) {
    p->role = role;
    outbox_note(p->out, QRT_KIND_ROLE, role, 0, p->epoch, p->log.last, 0, p->log.last_hash);
}

static void set_epoch(struct primary *p, uint64_t epoch, uint16_t vote) {
    p->epoch = epoch;
    p->vote = vote;
    p->unsaved = true;
    outbox_note(p->out, QRT_KIND_TERM, 0, 0, epoch, 0, 0, 0);
}

void primary_start_election_timer(struct primary *p) {
    int64_t t = p->options.election_timeout;
    p->timeout_ns = t + (int64_t)random_below(&p->random, (uint64_t)t);
    p->reset_mono = p->now;
    outbox_timer(p->out, PRIMARY_TIMER_ELECTION, p->timeout_ns);
}

void become_backup(struct primary *p, uint64_t epoch, uint16_t leader) {
    uint8_t was = p->role;
    if (epoch > p->epoch) set_epoch(p, epoch, 0);
    p->leader = leader;
    if (was == QRT_ROLE_FOLLOWER) return;
    p->reconciling = p->proposing = false;
    primary_set_role(p, QRT_ROLE_FOLLOWER);
    primary_fail_reads(p);
    outbox_timer(p->out, PRIMARY_TIMER_HEARTBEAT, INT64_MAX);
    primary_start_election_timer(p);
}

/* Whoever hears the primary promises nothing, so that a node that was cut off cannot depose one that works. */
static bool hears_primary(const struct primary *p) {
    if (primary_leads(p)) return true;
    int slot = p->leader ? primary_slot(p, p->leader) : -1;
    if (slot < 0 || p->peers[slot].suspected) return false;
    return p->now - p->contact_mono < p->options.election_timeout;
}

/* ---- asking for an epoch ---- */

/* Asks everyone who has not answered. Repeated while the candidacy lasts: messages get lost. */
static void ask_for_epoch(struct primary *p) {
    bool pre = p->role == QRT_ROLE_PRE_CANDIDATE;
    for (uint16_t i = 0; i < p->count; i++) {
        if (i == p->slot || p->peers[i].granted || p->peers[i].refused) continue;
        struct message m = {.kind = WIRE_EPOCH_REQUEST};
        m.as.epoch_request.epoch = pre ? p->epoch + 1 : p->epoch;
        m.as.epoch_request.last_index = p->log.last;
        m.as.epoch_request.last_epoch = p->log.last_term;
        m.as.epoch_request.pre = pre;
        outbox_send(p->out, p->members[i], &m, 0, m.as.epoch_request.epoch, p->log.last);
    }
    outbox_timer(p->out, PRIMARY_TIMER_HEARTBEAT, p->options.heartbeat_interval);
}

static void begin_candidacy(struct primary *p, uint8_t role) {
    p->leader = 0;
    p->best = p->view;
    p->reconciling = p->proposing = false;
    for (uint16_t i = 0; i < p->count; i++) p->peers[i].granted = p->peers[i].refused = false;
    primary_set_role(p, role);
    primary_start_election_timer(p);
}

/* Our own promise counts when it is durable (primary_on_own_promise_stored), as everyone's does. */
static void become_candidate(struct primary *p) {
    set_epoch(p, p->epoch + 1, p->node);
    begin_candidacy(p, QRT_ROLE_CANDIDATE);
    primary_save(p);
    outbox_note(p->out, QRT_KIND_VOTE, 0, p->node, p->epoch, 0, 0, 0);
    ask_for_epoch(p);
}

/* Only a member of the latest view holds all that was acknowledged. */
static bool is_in_sync(const struct primary *p) {
    if (p->options.mode != PRIMARY_SYNC || primary_has_bug(p, PRIMARY_UNCLEAN_SWITCH_OVER)) return true;
    return set_has(&p->best.in_sync, p->slot);
}

static void become_primary(struct primary *p) {
    p->leader = p->node;
    p->reconciling = false;
    outbox_timer(p->out, PRIMARY_TIMER_ELECTION, INT64_MAX);
    primary_set_role(p, QRT_ROLE_LEADER);
}

/* The epoch is ours and nobody else's. PacificA's reconciliation (3.4): first the logs are made alike. */
static void begin_reconciling(struct primary *p) {
    if (p->options.mode == PRIMARY_SYNC)
        p->reconciling = true;
    else
        become_primary(p);
    primary_begin_replication(p);
}

static void count_promises(struct primary *p) {
    struct primary_set granted = {0}, refused = {0};
    for (uint16_t i = 0; i < p->count; i++) {
        if (p->peers[i].granted) set_add(&granted, i);
        if (p->peers[i].refused) set_add(&refused, i);
    }
    enum quorum_result result = quorum_rule_vote(&p->quorum, QUORUM_READ, granted.words, refused.words);
    if (result == QUORUM_PENDING) return;
    if (result == QUORUM_LOST || !is_in_sync(p))
        become_backup(p, p->epoch, 0);
    else if (p->role == QRT_ROLE_PRE_CANDIDATE)
        become_candidate(p);
    else
        begin_reconciling(p);
}

static void become_pre_candidate(struct primary *p) {
    begin_candidacy(p, QRT_ROLE_PRE_CANDIDATE);
    ask_for_epoch(p);
    p->peers[p->slot].granted = true;
    count_promises(p);
}

void primary_on_election_timer(struct primary *p) {
    if (primary_leads(p) || p->silent) return;
    int64_t left = p->timeout_ns - (p->now - p->reset_mono);
    if (left > 0)
        outbox_timer(p->out, PRIMARY_TIMER_ELECTION, left);
    else
        become_pre_candidate(p);
}

void primary_on_ask_timer(struct primary *p) {
    if (p->role == QRT_ROLE_CANDIDATE || p->role == QRT_ROLE_PRE_CANDIDATE) ask_for_epoch(p);
}

/* A detector's verdict does what the timeout would. On the primary: a switch-over, by whoever stands first in a part of
 * the election timeout. On a backup: its removal from the view. A wrong one costs that, and nothing else. */
void primary_on_opinion(struct primary *p, int slot, bool suspected) {
    if (slot < 0 || slot == p->slot || p->silent) return;
    p->peers[slot].suspected = suspected;
    if (!suspected) return;
    if (p->role == QRT_ROLE_FOLLOWER && p->leader == p->members[slot])
        outbox_timer(p->out, PRIMARY_TIMER_SUSPECT,
                     (int64_t)random_below(&p->random, (uint64_t)p->options.election_timeout / 4));
    if (primary_leads(p)) primary_review(p);
}

void primary_on_suspect_timer(struct primary *p) {
    if (p->role == QRT_ROLE_FOLLOWER && !hears_primary(p)) become_pre_candidate(p);
}

void primary_on_own_promise_stored(struct primary *p) {
    p->peers[p->slot].granted = true;
    count_promises(p);
}

/* ---- the monitor: promises ---- */

/* The modes that answer early: the candidate's log reaches as far as ours. */
static bool reaches_as_far(const struct primary *p, const struct wire_epoch_request *q) {
    if (p->options.mode == PRIMARY_SYNC) return true;
    if (q->last_epoch != p->log.last_term) return q->last_epoch > p->log.last_term;
    return q->last_index >= p->log.last;
}

static void answer_epoch(struct primary *p, uint16_t to, uint64_t epoch, bool pre, bool granted) {
    uint8_t flags = 0;
    if (granted && !pre) {
        if (primary_has_bug(p, PRIMARY_PROMISE_BEFORE_SYNC)) flags = FX_BEFORE_DURABLE;
        outbox_note(p->out, QRT_KIND_VOTE, 0, to, epoch, 0, 0, 0);
        p->out->effects[p->out->count - 1].flags = flags;
    }
    struct message m = {.kind = WIRE_EPOCH_REPLY};
    m.as.epoch_reply = (struct wire_epoch_reply){.epoch = epoch,
                                                 .view_epoch = p->view.epoch,
                                                 .view_version = p->view.version,
                                                 .in_sync_low = p->view.in_sync.words[0],
                                                 .in_sync_high = p->view.in_sync.words[1],
                                                 .pre = pre,
                                                 .granted = granted};
    outbox_send(p->out, to, &m, flags, epoch, 0);
}

/* What would be granted changes nothing here; a refusal carries our own epoch, so that one that lags learns of it. */
static void on_pre_request(struct primary *p, uint16_t from, const struct wire_epoch_request *q) {
    bool granted =
        (q->epoch > p->epoch || (q->epoch == p->epoch && (!p->vote || p->vote == from))) && reaches_as_far(p, q);
    answer_epoch(p, from, granted ? q->epoch : p->epoch, true, granted);
}

void primary_on_epoch_request(struct primary *p, const struct message *m) {
    const struct wire_epoch_request *q = &m->as.epoch_request;
    if (q->epoch == 0 || q->epoch > PRIMARY_NUMBER_MAX || q->last_index > PRIMARY_NUMBER_MAX ||
        q->last_epoch > q->epoch || q->pre > 1) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (q->epoch > p->epoch && hears_primary(p)) return;
    if (q->pre) {
        on_pre_request(p, m->from, q);
        return;
    }
    if (q->epoch > p->epoch) become_backup(p, q->epoch, 0);
    bool granted = q->epoch == p->epoch && (!p->vote || p->vote == m->from) && reaches_as_far(p, q);
    if (granted && !p->vote) {
        if (p->role == QRT_ROLE_PRE_CANDIDATE) become_backup(p, p->epoch, 0);
        p->vote = m->from;
        p->unsaved = true;
        p->reset_mono = p->now;
    }
    primary_save(p);
    answer_epoch(p, m->from, p->epoch, false, granted);
}

static bool is_sound_set(const struct primary *p, uint64_t low, uint64_t high) {
    struct primary_set s = {{low, high}};
    for (size_t i = p->count; i < PRIMARY_MEMBERS_MAX; i++)
        if (set_has(&s, i)) return false;
    return set_count(&s) > 0;
}

static bool is_sound_reply(const struct primary *p, const struct wire_epoch_reply *a) {
    return a->epoch <= PRIMARY_NUMBER_MAX && a->view_epoch <= a->epoch && a->view_version <= PRIMARY_NUMBER_MAX &&
           a->pre <= 1 && a->granted <= 1 && is_sound_set(p, a->in_sync_low, a->in_sync_high);
}

void primary_on_epoch_reply(struct primary *p, const struct message *m, int slot) {
    const struct wire_epoch_reply *a = &m->as.epoch_reply;
    if (!is_sound_reply(p, a)) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->epoch > p->epoch && !(a->pre && a->granted)) {
        become_backup(p, a->epoch, 0);
        return;
    }
    uint8_t asked = a->pre ? QRT_ROLE_PRE_CANDIDATE : QRT_ROLE_CANDIDATE;
    if (p->role != asked || p->reconciling) return;
    if (a->epoch != (a->pre && a->granted ? p->epoch + 1 : p->epoch)) return; /* about an older candidacy */
    p->peers[slot].granted = a->granted;
    p->peers[slot].refused = !a->granted;
    struct primary_view told = {a->view_epoch, a->view_version, {{a->in_sync_low, a->in_sync_high}}};
    if (a->granted && view_after(&told, &p->best)) p->best = told;
    count_promises(p);
}

/* ---- views ---- */

static void ask_for_view(struct primary *p) {
    for (uint16_t i = 0; i < p->count; i++) {
        if (i == p->slot || p->peers[i].accepted) continue;
        struct message m = {.kind = WIRE_VIEW_REQUEST};
        m.as.view_request.epoch = p->epoch;
        m.as.view_request.version = p->proposed.version;
        m.as.view_request.in_sync_low = p->proposed.in_sync.words[0];
        m.as.view_request.in_sync_high = p->proposed.in_sync.words[1];
        outbox_send(p->out, p->members[i], &m, 0, p->epoch, p->proposed.version);
    }
}

static void propose_view(struct primary *p, const struct primary_set *in_sync) {
    uint64_t version = p->role == QRT_ROLE_LEADER ? p->active.version + 1 : 1;
    p->proposed = (struct primary_view){p->epoch, version, *in_sync};
    p->proposing = true;
    for (uint16_t i = 0; i < p->count; i++) p->peers[i].accepted = false;
    p->view = p->proposed;
    p->unsaved = true;
    primary_save(p);
    ask_for_view(p);
}

static bool is_heard(const struct primary *p, size_t slot, bool heeding) {
    const struct primary_peer *peer = &p->peers[slot];
    if (slot == p->slot) return true;
    return !(heeding && peer->suspected) && p->now - peer->heard_mono < p->options.backup_timeout;
}

/* Who is in step. A new primary's first backups hold all that it holds itself. Later, whoever is in the view stays in it
 * for as long as it is heard, and whoever has caught up with what is acknowledged comes in. heeding: a detector's
 * suspicion is as good as silence. */
static struct primary_set in_step(const struct primary *p, bool heeding) {
    struct primary_set s = {0};
    bool leads = primary_leads(p);
    uint64_t least = p->commit > p->epoch_start ? p->commit : p->epoch_start;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t match = i == p->slot ? p->durable : p->peers[i].match;
        bool level = match >= least || (leads && set_has(&p->active.in_sync, i));
        if (level && (!leads || is_heard(p, i, heeding))) set_add(&s, i);
    }
    return s;
}

void primary_review(struct primary *p) {
    if (p->options.mode != PRIMARY_SYNC || !primary_replicates(p)) return;
    if (p->proposing) {
        ask_for_view(p);
        return;
    }
    struct primary_set s = in_step(p, true);
    if (!primary_is_quorum(p, &s)) s = in_step(p, false); /* they cannot all be gone */
    if (!primary_is_quorum(p, &s) || !set_has(&s, p->slot)) return;
    if (primary_leads(p) && set_equal(&s, &p->active.in_sync)) return;
    if (primary_leads(p) && primary_has_bug(p, PRIMARY_SHRINK_WITHOUT_GRANT)) {
        p->active.in_sync = s;
        primary_advance(p);
        return;
    }
    propose_view(p, &s);
}

static void note_view(struct primary *p, const struct primary_set *before) {
    const struct primary_view *v = &p->active;
    outbox_note(p->out, QRT_KIND_STATE, QRT_VIEW_GRANTED, 0, v->epoch, v->version, 0, set_count(&v->in_sync));
    for (uint16_t i = 0; before && i < p->count; i++) {
        bool was = set_has(before, i), is = set_has(&v->in_sync, i);
        if (was == is) continue;
        uint8_t what = is ? QRT_BACKUP_ADDED : QRT_BACKUP_REMOVED;
        outbox_note(p->out, QRT_KIND_STATE, what, p->members[i], v->epoch, v->version, 0, 0);
    }
}

/* A quorum has accepted the view: it is in force. */
static void count_accepts(struct primary *p) {
    struct primary_set accepted = {0};
    for (uint16_t i = 0; i < p->count; i++)
        if (p->peers[i].accepted) set_add(&accepted, i);
    if (!p->proposing || !primary_is_quorum(p, &accepted)) return;
    struct primary_set before = p->active.in_sync;
    bool first = !primary_leads(p);
    p->active = p->proposed;
    p->proposing = false;
    note_view(p, first ? NULL : &before);
    if (first) become_primary(p);
    primary_advance(p);
    primary_serve_reads(p);
}

void primary_on_own_view_stored(struct primary *p) {
    p->peers[p->slot].accepted = true;
    count_accepts(p);
}

void primary_on_view_request(struct primary *p, const struct message *m) {
    const struct wire_view_request *q = &m->as.view_request;
    if (q->epoch == 0 || q->epoch > PRIMARY_NUMBER_MAX || q->version == 0 || q->version > PRIMARY_NUMBER_MAX ||
        !is_sound_set(p, q->in_sync_low, q->in_sync_high)) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (q->epoch == p->epoch && primary_replicates(p)) return; /* two primaries: only a switched-on mistake */
    struct primary_view asked = {q->epoch, q->version, {{q->in_sync_low, q->in_sync_high}}};
    struct message a = {.kind = WIRE_VIEW_REPLY};
    if (q->epoch >= p->epoch) {
        if (q->epoch > p->epoch || p->role != QRT_ROLE_FOLLOWER) become_backup(p, q->epoch, m->from);
        p->reset_mono = p->now;
        if (view_after(&asked, &p->view)) {
            p->view = asked;
            p->unsaved = true;
        }
        primary_save(p);
        a.as.view_reply.version = q->version;
    }
    a.as.view_reply.epoch = p->epoch;
    outbox_send(p->out, m->from, &a, 0, p->epoch, a.as.view_reply.version);
}

void primary_on_view_reply(struct primary *p, const struct message *m, int slot) {
    const struct wire_view_reply *a = &m->as.view_reply;
    if (a->epoch > PRIMARY_NUMBER_MAX || a->version > PRIMARY_NUMBER_MAX) {
        primary_reject(p, m, QRT_DROP_CORRUPT);
        return;
    }
    if (a->epoch > p->epoch) {
        become_backup(p, a->epoch, 0);
        return;
    }
    if (!p->proposing || a->epoch != p->epoch || a->version != p->proposed.version) return;
    p->peers[slot].accepted = true;
    count_accepts(p);
}
