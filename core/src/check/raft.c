/* The properties of Raft (Ongaro and Ousterhout 2014, figure 3), and what stands beside them, judged from the
 * trace after every event. A node's log is a place in the tree of all logs (log_tree.h), so each property
 * costs the same however long the logs are:
 *
 *   election safety         on_role: no term has two leaders
 *   leader append-only      log_truncate, log_settle: a leader's log only grows
 *   log matching            on_append: an index and a term name one entry, with one history
 *   leader completeness     on_role: the new leader holds what was committed in earlier terms;
 *                           commit_advance: what is committed late, by an old leader, the newer leaders held
 *   state machine safety    commit_judge, on_apply: an index is committed, applied, answered in one way only
 *   committed never truncated   truncate_judge
 *   durability              on_start compares what came back with what on_vote and on_ack saw leave the node
 *   commit in log, commit quorum, monotonic   on_commit, commit_quorum, on_term, on_restore
 *
 * Why no false alarm. Each judgement rests on facts that the paper's proof gives for every legal run:
 *
 *  - Committed entries may be truncated by a node in an older term. A delayed AppendEntries of a deposed
 *    leader may remove an entry that was committed later, in a higher term, from a node that has not heard of
 *    that term. So a truncation of a committed entry counts only when the node's own commit index covers it,
 *    or when its term has reached the term in which the entry was decided: its leader then holds the entry.
 *  - A vote or acknowledgement binds a node from when it leaves, not from when it is decided; the driver
 *    holds those events back as it holds the messages. An acknowledgement of an older term may leave after
 *    the log has changed for a newer leader; it speaks of a log that is no more, and binds nothing here.
 *  - What is acknowledged may be truncated for a newer leader; the promise shrinks to what remains. If a
 *    crash then loses that truncation, the node comes back with more than it promised, which is fine.
 *  - A node that forgot a promise has not yet done harm. It must not vote, acknowledge or lead until it has
 *    caught up; the first that it does is the violation. While it shows the role `recovering` its
 *    acknowledgements do not count, and are allowed.
 *  - A restored snapshot is in the machine before it is in the log: the log may live on until it is durable.
 *  - An entry known by its hash alone (its append was lost with the effects of an interrupted step) has no
 *    known history; what would need that history is not judged. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check/agreement.h"
#include "check/checker.h"
#include "check/log_tree.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)

enum property_number {
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LOG_MATCHING,
    LEADER_COMPLETENESS,
    STATE_MACHINE_SAFETY,
    COMMITTED_NEVER_TRUNCATED,
    DURABILITY,
    COMMIT_IN_LOG,
    COMMIT_QUORUM,
    MONOTONIC,
    PROPERTIES,
};

static const struct property_entry properties[PROPERTIES] = {
    {"election-safety", "at most one leader is elected in a term"},
    {"leader-append-only", "a leader never overwrites or deletes entries of its log"},
    {"log-matching", "entries of the same index and term are the same, and so is everything before them"},
    {"leader-completeness", "an entry committed in a term is in the log of every leader of a higher term"},
    {"state-machine-safety", "no two nodes commit, apply or answer different entries at one index, nor out of order"},
    {"committed-never-truncated", "an entry that a node knows, or its leader holds, as committed stays in its log"},
    {"durability", "what a node has told others (votes, acknowledged entries) survives its crashes, or it abstains"},
    {"commit-in-log", "a node commits only what its own log holds"},
    {"commit-quorum", "a leader commits only what a quorum of the members, itself among them, has acknowledged"},
    {"monotonic", "between crashes the term, the commit index and the applied state never go back"},
};

enum forgotten { FORGOT_NOTHING = 0, FORGOT_VOTE = 1, FORGOT_LOG = 2 };

/* What is known of one member. */
struct member {
    struct log_place tip;      /* its log */
    struct log_place snapshot; /* restored, but the log may not have been fitted to it yet; index 0: none */
    uint64_t term, commit, applied;
    uint64_t value;             /* prefix hash of what it has applied */
    uint64_t led_term;          /* with role leader: the term in which it became that */
    uint64_t vote_term;         /* the last vote that left it; 0: none that still binds */
    uint64_t acked, acked_term; /* up to here it has told a leader, last in that term, that its log is durable */
    uint64_t told;              /* the highest index that it ever acknowledged, whatever became of it */
    uint64_t forgot_term, forgot_index, kept_index; /* with `forgot`: what it came back without */
    uint32_t incarnation;
    uint16_t vote_peer, forgot_peer;
    uint8_t role, forgot;
    bool counts; /* among the configured members, for the measure of agreement */
};

/* A leader's log when it was elected. */
struct reign {
    uint64_t term;
    struct log_place tip;
    uint16_t node;
    uint32_t incarnation;
};

/* A stretch of the committed log that one node was the first to commit in one term. */
struct decision {
    uint64_t term;
    struct log_place end;
    uint16_t node;
};

/* One replicated log: the instances of one group. */
struct group {
    struct log_tree tree;
    struct member *members; /* by node id */
    size_t member_count, member_capacity;
    struct reign *reigns; /* ascending in term */
    size_t reign_count, reign_capacity;
    struct decision *decisions; /* in order of the run; [0] is the empty log */
    size_t decision_count, decision_capacity;
    bool appends; /* it keeps a log: a protocol that notes no appends is not judged by its log */
    struct agreement agreement;
};

struct raft {
    struct group **groups; /* by number; NULL: not seen */
    size_t group_count, group_capacity;
    uint16_t *members;
    uint16_t member_count;
    bool fixed_members;
    bool (*quorum)(const void *rule, const uint64_t members[2]);
    void *rule; /* of rule_size bytes */
    size_t rule_size;
    struct log_budget budget;
    struct agreement_clock clock;
};

/* One event as it is judged. */
struct scene {
    struct raft *raft;
    struct judge *judge;
    struct group *group;
    struct member *member;
    const qrt_event *event;
};

/* ---- groups and members: made when they are first heard of ---- */

static void group_reach(const struct raft *raft, struct group *g, uint16_t node) {
    if (node < g->member_count) return;
    size_t before = g->member_count;
    g->members = mem_grow(g->members, &g->member_capacity, (size_t)node + 1, sizeof *g->members);
    g->member_count = (size_t)node + 1;
    memset(g->members + before, 0, (g->member_count - before) * sizeof *g->members);
    for (uint16_t i = 0; i < raft->member_count; i++)
        if (raft->members[i] < g->member_count) g->members[raft->members[i]].counts = true;
}

static struct group *group_new(struct raft *raft) {
    struct group *g = mem_zero(1, sizeof *g);
    log_tree_init(&g->tree, &raft->budget);
    g->decisions = mem_grow(NULL, &g->decision_capacity, 1, sizeof *g->decisions);
    g->decisions[g->decision_count++] = (struct decision){0};
    agreement_init(&g->agreement, raft->member_count);
    uint16_t last = 0;
    for (uint16_t i = 0; i < raft->member_count; i++)
        if (raft->members[i] > last) last = raft->members[i];
    group_reach(raft, g, last);
    return g;
}

static struct group *group_of(struct raft *raft, uint16_t number) {
    if (number < raft->group_count && raft->groups[number]) return raft->groups[number];
    raft->groups = mem_grow(raft->groups, &raft->group_capacity, (size_t)number + 1, sizeof(struct group *));
    while (raft->group_count <= number) raft->groups[raft->group_count++] = NULL;
    return raft->groups[number] = group_new(raft);
}

static void group_free(struct group *g) {
    if (!g) return;
    log_tree_free(&g->tree);
    agreement_free(&g->agreement);
    free(g->members);
    free(g->reigns);
    free(g->decisions);
    free(g);
}

static struct group *group_clone(const struct group *from, struct raft *raft) {
    if (!from) return NULL;
    struct group *g = mem_copy(from, sizeof *from);
    log_tree_clone(&g->tree, &from->tree, &raft->budget);
    agreement_clone(&g->agreement, &from->agreement, raft->member_count);
    g->members = mem_copy(from->members, from->member_count * sizeof *from->members);
    g->member_capacity = from->member_count;
    g->reigns = mem_copy(from->reigns, from->reign_count * sizeof *from->reigns);
    g->reign_capacity = from->reign_count;
    g->decisions = mem_copy(from->decisions, from->decision_count * sizeof *from->decisions);
    g->decision_capacity = from->decision_count;
    return g;
}

/* ---- small parts ---- */

static uint64_t term_at(const struct scene *s, struct log_place place) {
    return log_tree_at(&s->group->tree, place)->term;
}

static const struct decision *decision_last(const struct group *g) {
    return &g->decisions[g->decision_count - 1];
}

/* Which decision committed the record at `place`. */
static const struct decision *decision_of(const struct group *g, struct log_place place) {
    return &g->decisions[log_tree_at(&g->tree, place)->decided - 1];
}

/* A node that has moved on to another term leads no more, even before it notes its new role. */
static bool member_leads(const struct member *m) {
    return m->role == QRT_ROLE_LEADER && m->led_term == m->term;
}

static void member_value(struct scene *s, uint64_t value) {
    struct member *m = s->member;
    if (m->counts) agreement_change(&s->group->agreement, &s->raft->clock, m->value, value, s->event->time);
    m->value = value;
}

/* The record of (index, hash), made as an orphan when it is first heard of. False when memory is spent. */
static bool place_named(struct scene *s, uint64_t index, uint64_t hash, struct log_place *place) {
    if (log_tree_find(&s->group->tree, index, hash, place)) return true;
    if (log_tree_add(&s->group->tree, index, hash, LOG_TREE_UNKNOWN, place)) return true;
    s->judge->spent = true;
    return false;
}

/* ---- a log takes another shape ---- */

/* A log takes another shape at once: what was acknowledged binds as far as both shapes agree. False when that
 * is not known, and nothing binds any more. */
static bool log_become(struct scene *s, struct log_place tip) {
    struct member *m = s->member;
    struct log_place common = {0};
    bool known = !m->acked || log_tree_meet(&s->group->tree, m->tip, tip, &common);
    if (m->acked > common.index) m->acked = common.index;
    m->tip = tip;
    return known;
}

/* The log has reached the snapshot that was restored. It keeps the entries behind it if it held its last
 * entry, and begins anew with it otherwise (figure 13, steps 6 and 7). */
static void log_settle(struct scene *s) {
    struct member *m = s->member;
    struct log_place snapshot = m->snapshot;
    m->snapshot = (struct log_place){0};
    switch (log_tree_holds(&s->group->tree, m->tip, snapshot)) {
    case LOG_HOLDS_YES: break;
    case LOG_HOLDS_UNKNOWN: m->tip.record = LOG_TREE_UNKNOWN; break;
    case LOG_HOLDS_NO:
        if (member_leads(m))
            judge_violate(s->judge, LEADER_APPEND_ONLY, "n%u, leading term %llu, replaced its log by a snapshot",
                          s->event->node, (unsigned long long)m->term);
        log_become(s, snapshot);
        break;
    }
}

/* Whether an event that speaks of the log up to `index` shows that it has been fitted to the snapshot. */
static inline bool log_reaches_snapshot(const struct member *m, uint64_t index) {
    return __builtin_expect(m->snapshot.index != 0, 0) && index >= m->snapshot.index;
}

/* ---- what is committed ---- */

static uint32_t decision_extend(struct group *g, uint16_t node, uint64_t term, struct log_place end) {
    struct decision *last = &g->decisions[g->decision_count - 1];
    if (g->decision_count == 1 || last->term != term || last->node != node) {
        g->decisions = mem_grow(g->decisions, &g->decision_capacity, g->decision_count + 1, sizeof *g->decisions);
        last = &g->decisions[g->decision_count++];
        *last = (struct decision){.term = term, .node = node};
    }
    last->end = end;
    return (uint32_t)g->decision_count;
}

/* Leaders of higher terms, elected before this decision of an older term was made, held the entry all the
 * same: the quorum that acknowledged it shares a voter with theirs. */
static void commit_against_leaders(struct scene *s, struct log_place place, uint64_t term) {
    const struct group *g = s->group;
    for (size_t i = g->reign_count; i-- > 0 && g->reigns[i].term > term;) {
        const struct reign *r = &g->reigns[i];
        if (log_tree_holds(&g->tree, r->tip, place) != LOG_HOLDS_NO) continue;
        judge_violate(s->judge, LEADER_COMPLETENESS,
                      "n%u committed index %llu in term %llu, but n%u was elected leader of term %llu without it",
                      s->event->node, (unsigned long long)place.index, (unsigned long long)term, r->node,
                      (unsigned long long)r->term);
    }
}

/* The committed log grows up to `place`; it must grow out of what was committed before. */
static void commit_advance(struct scene *s, struct log_place place, uint64_t term) {
    struct group *g = s->group;
    struct log_place before = decision_last(g)->end, at = place;
    uint16_t before_node = decision_last(g)->node;
    uint32_t number = decision_extend(g, s->event->node, term, place);
    while (at.index > before.index) {
        struct log_record *r = log_tree_edit(&g->tree, at);
        r->decided = number;
        if (r->parent == LOG_TREE_UNKNOWN) break;
        at = (struct log_place){at.index - 1, r->parent};
    }
    if (at.index == before.index && at.record != before.record)
        judge_violate(s->judge, STATE_MACHINE_SAFETY,
                      "n%u committed index %llu over an entry of term %llu at index %llu, where n%u had committed "
                      "an entry of term %llu",
                      s->event->node, (unsigned long long)place.index, (unsigned long long)term_at(s, at),
                      (unsigned long long)at.index, before_node, (unsigned long long)term_at(s, before));
    if (g->appends) commit_against_leaders(s, place, term);
}

/* A node takes the entry at `place` for committed, by committing, applying or restoring it. The term in which
 * it was decided is at most `term`, that of the node. */
static void commit_judge(struct scene *s, struct log_place place, uint64_t term, const char *did) {
    struct group *g = s->group;
    if (log_tree_at(&g->tree, place)->decided) return;
    if (place.index > decision_last(g)->end.index) {
        commit_advance(s, place, term);
        return;
    }
    struct log_place other;
    if (!log_tree_decided(&g->tree, place.index, &other)) { /* the first that is known of this index */
        log_tree_edit(&g->tree, place)->decided = (uint32_t)g->decision_count;
        return;
    }
    judge_violate(s->judge, STATE_MACHINE_SAFETY,
                  "n%u %s index %llu with an entry of term %llu, n%u had committed it with one of term %llu",
                  s->event->node, did, (unsigned long long)place.index, (unsigned long long)term_at(s, place),
                  decision_of(g, other)->node, (unsigned long long)term_at(s, other));
}

/* Counts generously: every index that a member ever acknowledged, to whomever. A quorum that is too small is
 * seen here even while no election has yet gone wrong by it (and with n / 2 of an even n none ever does: the
 * two quorums still overlap). */
static void commit_quorum(struct scene *s) {
    const struct raft *raft = s->raft;
    unsigned holders = 0;
    uint64_t set[2] = {0};
    for (uint16_t i = 0; i < raft->member_count && i < 128; i++) {
        bool own = raft->members[i] == s->event->node;
        if (!own && s->group->members[raft->members[i]].told < s->event->index) continue;
        set[i / 64] |= UINT64_C(1) << i % 64;
        holders++;
    }
    if (raft->quorum ? raft->quorum(raft->rule, set) : holders > raft->member_count / 2u) return;
    judge_violate(s->judge, COMMIT_QUORUM,
                  "n%u committed index %llu in term %llu when only %u of %u members had acknowledged it",
                  s->event->node, (unsigned long long)s->event->index, (unsigned long long)s->event->term, holders,
                  raft->member_count);
}

static void on_commit(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_place place;
    if (e->index < m->commit)
        judge_violate(s->judge, MONOTONIC, "the commit index of n%u went back from %llu to %llu", e->node,
                      (unsigned long long)m->commit, (unsigned long long)e->index);
    if (log_reaches_snapshot(m, e->index)) log_settle(s);
    if (e->index > m->tip.index && s->group->appends)
        judge_violate(s->judge, COMMIT_IN_LOG, "n%u committed up to index %llu, but its log ends at index %llu",
                      e->node, (unsigned long long)e->index, (unsigned long long)m->tip.index);
    if (!place_named(s, e->index, e->value, &place)) return;
    commit_judge(s, place, e->term, "committed");
    if (e->detail == 1 && s->raft->fixed_members) commit_quorum(s);
    m->commit = e->index;
}

/* ---- the log ---- */

/* The entries from `from` on leave a log: is any of them committed? If so, the lowest is. */
static void truncate_judge(struct scene *s, uint64_t from) {
    const struct member *m = s->member;
    struct log_place lowest;
    if (from <= m->commit) {
        judge_violate(s->judge, COMMITTED_NEVER_TRUNCATED,
                      "n%u truncated its log from index %llu on, but had committed up to index %llu", s->event->node,
                      (unsigned long long)from, (unsigned long long)m->commit);
        return;
    }
    if (!log_tree_ancestor(&s->group->tree, m->tip, from, &lowest)) return;
    if (!log_tree_at(&s->group->tree, lowest)->decided) return;
    const struct decision *d = decision_of(s->group, lowest);
    if (m->term < d->term) return; /* it still follows an older leader: allowed, see above */
    judge_violate(s->judge, COMMITTED_NEVER_TRUNCATED,
                  "n%u, in term %llu, truncated index %llu, which n%u had committed in term %llu", s->event->node,
                  (unsigned long long)m->term, (unsigned long long)from, d->node, (unsigned long long)d->term);
}

static void log_truncate(struct scene *s, uint64_t from) {
    struct member *m = s->member;
    if (from == 0 || from > m->tip.index) return;
    if (member_leads(m))
        judge_violate(s->judge, LEADER_APPEND_ONLY, "n%u, leading term %llu, removed its entries from index %llu on",
                      s->event->node, (unsigned long long)m->term, (unsigned long long)from);
    truncate_judge(s, from);
    if (m->acked >= from) m->acked = from - 1;
    struct log_place kept;
    if (log_tree_ancestor(&s->group->tree, m->tip, from - 1, &kept))
        m->tip = kept;
    else
        m->tip = (struct log_place){from - 1, LOG_TREE_UNKNOWN};
}

static void on_truncate(struct scene *s) {
    log_truncate(s, s->event->index);
}

/* Another entry of the same index and term would break log matching. */
static void append_against_others(struct scene *s, struct log_place mine) {
    const qrt_event *e = s->event;
    struct log_place other;
    if (!log_tree_first(&s->group->tree, e->index, &other)) return;
    do {
        const struct log_record *r = log_tree_at(&s->group->tree, other);
        if (other.record == mine.record || !r->term_known || r->term != e->term) continue;
        judge_violate(s->judge, LOG_MATCHING,
                      "n%u appended an entry at index %llu with term %llu that differs, in itself or in what is "
                      "before it, from another of that index and term",
                      e->node, (unsigned long long)e->index, (unsigned long long)e->term);
    } while (log_tree_next(&s->group->tree, &other));
}

/* The entry has been in some log already: it must stand upon the same entries here; what was not known of it
 * now is. */
static void append_known(struct scene *s, struct log_place place, uint32_t parent) {
    const struct log_record *r = log_tree_at(&s->group->tree, place);
    if (parent != LOG_TREE_UNKNOWN && r->parent != LOG_TREE_UNKNOWN && r->parent != parent)
        judge_violate(s->judge, LOG_MATCHING,
                      "n%u appended the entry of term %llu at index %llu, but its log differs before it from others "
                      "with that entry",
                      s->event->node, (unsigned long long)s->event->term, (unsigned long long)s->event->index);
    if (r->parent == LOG_TREE_UNKNOWN && parent != LOG_TREE_UNKNOWN)
        log_tree_edit(&s->group->tree, place)->parent = parent;
    if (r->term_known) return;
    struct log_record *edited = log_tree_edit(&s->group->tree, place);
    edited->term = s->event->term;
    edited->term_known = true;
    append_against_others(s, place);
}

static void on_append(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_tree *tree = &s->group->tree;
    struct log_place place;
    if (e->index == 0) return;
    s->group->appends = true;
    if (log_reaches_snapshot(m, e->index - 1)) log_settle(s);
    if (e->index <= m->tip.index) log_truncate(s, e->index);
    uint32_t parent = m->tip.index + 1 == e->index ? m->tip.record : LOG_TREE_UNKNOWN;
    if (log_tree_find(tree, e->index, e->value, &place)) {
        append_known(s, place, parent);
    } else if (log_tree_add(tree, e->index, e->value, parent, &place)) {
        struct log_record *r = log_tree_edit(tree, place);
        r->term = e->term;
        r->term_known = true;
        if (place.record) append_against_others(s, place);
    } else {
        s->judge->spent = true;
        return;
    }
    m->tip = place;
}

/* A peer's snapshot replaces the machine at once, the log when it is durable; what shows that is the next
 * event that reaches it. Until then the old log goes on. */
static void on_restore(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_place place;
    if (e->index < m->applied)
        judge_violate(s->judge, MONOTONIC, "n%u, which had applied up to index %llu, restored a snapshot of index %llu",
                      e->node, (unsigned long long)m->applied, (unsigned long long)e->index);
    if (!place_named(s, e->index, e->value, &place)) return;
    commit_judge(s, place, m->term, "restored a snapshot up to");
    m->snapshot = place;
    m->applied = e->index;
    member_value(s, e->value);
}

/* ---- the machine ---- */

static void reply_judge(struct scene *s, struct log_place place) {
    const qrt_event *e = s->event;
    const struct log_record *r = log_tree_at(&s->group->tree, place);
    if (!r->applied) {
        struct log_record *edited = log_tree_edit(&s->group->tree, place);
        edited->reply = e->link;
        edited->applied = true;
    } else if (r->reply != e->link) {
        judge_violate(s->judge, STATE_MACHINE_SAFETY,
                      "the machine of n%u answered index %llu otherwise than another node's: it is not deterministic",
                      e->node, (unsigned long long)e->index);
    }
}

static void on_apply(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_place place;
    if (e->index != m->applied + 1)
        judge_violate(s->judge, STATE_MACHINE_SAFETY, "n%u applied index %llu after index %llu", e->node,
                      (unsigned long long)e->index, (unsigned long long)m->applied);
    if (!place_named(s, e->index, e->value, &place)) return;
    commit_judge(s, place, m->term, "applied");
    reply_judge(s, place);
    m->applied = e->index;
    member_value(s, e->value);
}

static void on_checkpoint(struct scene *s) {
    struct log_place place;
    if (!place_named(s, s->event->index, s->event->value, &place)) return;
    commit_judge(s, place, s->member->term, "took a snapshot up to");
}

/* ---- terms and leaders ---- */

static void on_term(struct scene *s) {
    const qrt_event *e = s->event;
    if (e->term < s->member->term)
        judge_violate(s->judge, MONOTONIC, "the term of n%u went back from %llu to %llu", e->node,
                      (unsigned long long)s->member->term, (unsigned long long)e->term);
    s->member->term = e->term;
}

/* Figure 3: the log of a new leader holds everything that was committed in earlier terms. */
static void elect_complete(struct scene *s, struct log_place tip) {
    const struct group *g = s->group;
    const struct decision *d = decision_last(g);
    while (d > g->decisions && d->term >= s->event->term) d--;
    if (log_tree_holds(&g->tree, tip, d->end) != LOG_HOLDS_NO) return;
    struct log_place common;
    uint64_t missing = d->end.index;
    if (log_tree_meet(&g->tree, tip, d->end, &common)) missing = common.index + 1;
    judge_violate(s->judge, LEADER_COMPLETENESS,
                  "n%u leads term %llu without the entry at index %llu, committed by n%u in term %llu or before",
                  s->event->node, (unsigned long long)s->event->term, (unsigned long long)missing, d->node,
                  (unsigned long long)d->term);
}

static void elect(struct scene *s) {
    struct group *g = s->group;
    const qrt_event *e = s->event;
    const struct member *m = s->member;
    size_t i = g->reign_count;
    while (i > 0 && g->reigns[i - 1].term > e->term) i--;
    const struct reign *same = i > 0 && g->reigns[i - 1].term == e->term ? &g->reigns[i - 1] : NULL;
    if (same && same->node != e->node)
        judge_violate(s->judge, ELECTION_SAFETY, "n%u and n%u both led term %llu", same->node, e->node,
                      (unsigned long long)e->term);
    else if (same && same->incarnation != m->incarnation)
        judge_violate(s->judge, ELECTION_SAFETY, "n%u led term %llu before a crash and was elected to it again",
                      e->node, (unsigned long long)e->term);
    struct log_place tip = m->tip.index < m->snapshot.index ? m->snapshot : m->tip;
    if (g->appends) elect_complete(s, tip);
    if (same) return;
    g->reigns = mem_grow(g->reigns, &g->reign_capacity, g->reign_count + 1, sizeof *g->reigns);
    memmove(&g->reigns[i + 1], &g->reigns[i], (g->reign_count - i) * sizeof *g->reigns);
    g->reigns[i] = (struct reign){e->term, tip, e->node, m->incarnation};
    g->reign_count++;
}

/* ---- promises ---- */

/* A node that forgot a promise does something that others will count on. */
static void promise_broken(struct scene *s, const char *did) {
    const qrt_event *e = s->event;
    const struct member *m = s->member;
    unsigned long long term = (unsigned long long)e->term;
    if (m->forgot == FORGOT_VOTE)
        judge_violate(s->judge, DURABILITY,
                      "n%u %s in term %llu, but had come back without its vote for n%u in term %llu", e->node, did,
                      term, m->forgot_peer, (unsigned long long)m->forgot_term);
    else
        judge_violate(s->judge, DURABILITY,
                      "n%u %s in term %llu, but had come back with its log as promised only up to index %llu of %llu",
                      e->node, did, term, (unsigned long long)m->kept_index, (unsigned long long)m->forgot_index);
}

static void on_role(struct scene *s) {
    struct member *m = s->member;
    const qrt_event *e = s->event;
    bool led = member_leads(m) && m->led_term == e->term;
    m->role = e->detail;
    if (e->detail == QRT_ROLE_CANDIDATE && m->forgot) promise_broken(s, "became a candidate");
    if (e->detail != QRT_ROLE_LEADER) return;
    if (m->forgot) promise_broken(s, "became the leader");
    m->led_term = e->term;
    if (m->term < e->term) m->term = e->term;
    if (!led) elect(s);
}

static void on_vote(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    if (m->forgot) promise_broken(s, "voted");
    if (m->vote_term == e->term && m->vote_peer != e->peer && e->term)
        judge_violate(s->judge, DURABILITY, "n%u voted for n%u and for n%u in term %llu", e->node, m->vote_peer,
                      e->peer, (unsigned long long)e->term);
    if (e->term < m->vote_term) return;
    m->vote_term = e->term;
    m->vote_peer = e->peer;
}

/* The term is that of the acknowledgement that reaches furthest, which covers all before it. */
static void promise(struct member *m, uint64_t index, uint64_t term) {
    if (index > m->tip.index) index = m->tip.index;
    if (index < m->acked) return;
    m->acked = index;
    m->acked_term = term;
}

static void on_ack(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    if (m->forgot && m->role != QRT_ROLE_RECOVERING) promise_broken(s, "acknowledged entries");
    if (m->told < e->index) m->told = e->index;
    if (e->term < m->term) return; /* it speaks of the log of an older term */
    if (log_reaches_snapshot(m, e->index)) log_settle(s);
    promise(m, e->index, e->term);
}

/* From here on the node counts again; what it promised before is void, what it has told since holds. */
static void on_caught_up(struct scene *s) {
    struct member *m = s->member;
    m->forgot = FORGOT_NOTHING;
    m->vote_term = 0;
    m->vote_peer = 0;
    if (m->role == QRT_ROLE_RECOVERING) m->role = QRT_ROLE_FOLLOWER;
    promise(m, s->event->index, m->term);
}

static void start_votes(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    if (!m->vote_term || e->term > m->vote_term || (e->term == m->vote_term && e->peer == m->vote_peer)) return;
    m->forgot = FORGOT_VOTE;
    m->forgot_term = m->vote_term;
    m->forgot_peer = m->vote_peer;
}

/* A log that is shorter, or older, than promised. Not one in which, for a leader of a later term, other
 * entries stand in the place of what was promised: that is legal, though the event that told of it may be
 * lost with an interrupted step, or the log may have been fitted to a snapshot just now. */
static void start_log(struct scene *s, struct log_place tip) {
    struct member *m = s->member;
    uint64_t promised = m->acked;
    bool known = log_become(s, tip);
    if (m->acked == promised) return;
    if (tip.index > m->acked && s->event->term > m->acked_term) return;
    if (!known && tip.index >= promised) return;
    m->forgot = FORGOT_LOG;
    m->forgot_index = promised;
    m->kept_index = m->acked;
}

static void start_value(struct scene *s) {
    const qrt_event *e = s->event;
    struct log_place place;
    if (e->link == 0)
        member_value(s, 0);
    else if (e->link == e->index)
        member_value(s, e->value);
    else if (log_tree_ancestor(&s->group->tree, s->member->tip, e->link, &place))
        member_value(s, log_tree_at(&s->group->tree, place)->hash);
}

static void on_start(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_place tip;
    m->incarnation++;
    if (m->role == QRT_ROLE_LEADER) m->role = QRT_ROLE_NONE; /* killed: no crash was noted */
    if (!place_named(s, e->index, e->value, &tip)) return;
    m->snapshot = (struct log_place){0};
    start_votes(s);
    start_log(s, tip);
    m->term = e->term;
    m->commit = m->applied = e->link;
    start_value(s);
}

/* A crash takes down every instance of the node. */
static void on_crash(struct raft *raft, const qrt_event *e) {
    for (size_t i = 0; i < raft->group_count; i++) {
        struct group *g = raft->groups[i];
        if (g && e->node < g->member_count) g->members[e->node].role = QRT_ROLE_NONE;
    }
}

/* ---- dispatch ---- */

static void raft_event(void *state, struct judge *j, const qrt_event *e) {
    struct raft *raft = state;
    if (__builtin_expect(j->spent, 0) || e->node == 0 || e->node >= QRT_CLIENT) return;
    if (e->kind == QRT_KIND_CRASH) {
        on_crash(raft, e);
        return;
    }
    struct group *g = group_of(raft, e->group);
    group_reach(raft, g, e->node);
    struct scene s = {raft, j, g, &g->members[e->node], e};
    switch (e->kind) {
    case QRT_KIND_START: on_start(&s); break;
    case QRT_KIND_TERM: on_term(&s); break;
    case QRT_KIND_ROLE: on_role(&s); break;
    case QRT_KIND_VOTE: on_vote(&s); break;
    case QRT_KIND_APPEND: on_append(&s); break;
    case QRT_KIND_TRUNCATE: on_truncate(&s); break;
    case QRT_KIND_ACK: on_ack(&s); break;
    case QRT_KIND_COMMIT: on_commit(&s); break;
    case QRT_KIND_APPLY: on_apply(&s); break;
    case QRT_KIND_CHECKPOINT: on_checkpoint(&s); break;
    case QRT_KIND_RESTORE: on_restore(&s); break;
    case QRT_KIND_CAUGHT_UP: on_caught_up(&s); break;
    default: break;
    }
}

/* ---- the interface ---- */

static void *raft_create(const struct check_config *config) {
    struct raft *raft = mem_zero(1, sizeof *raft);
    raft->members = mem_copy(config->members, config->member_count * sizeof *config->members);
    raft->member_count = config->member_count;
    raft->budget.limit = config->memory ? config->memory : MEMORY_DEFAULT;
    raft->fixed_members = config->fixed_members;
    raft->quorum = config->quorum;
    raft->rule = mem_copy(config->rule, config->rule_size);
    raft->rule_size = config->rule_size;
    agreement_clock_init(&raft->clock);
    return raft;
}

static void raft_destroy(void *state) {
    struct raft *raft = state;
    for (size_t i = 0; i < raft->group_count; i++) group_free(raft->groups[i]);
    free(raft->groups);
    free(raft->members);
    free(raft->rule);
    free(raft);
}

static void *raft_clone(const void *state) {
    const struct raft *from = state;
    struct raft *raft = mem_copy(from, sizeof *from);
    raft->members = mem_copy(from->members, from->member_count * sizeof *from->members);
    raft->rule = mem_copy(from->rule, from->rule_size);
    raft->groups = mem_copy(from->groups, from->group_count * sizeof(struct group *));
    raft->group_capacity = from->group_count;
    for (size_t i = 0; i < from->group_count; i++) raft->groups[i] = group_clone(from->groups[i], raft);
    return raft;
}

void raft_checker_measure(const void *state, int64_t now, struct agreement_measure *m) {
    agreement_measure_at(&((const struct raft *)state)->clock, now, m);
}

#define WANTS(kind) (1u << QRT_KIND_##kind)
const struct checker raft_checker = {
    .name = "raft",
    .kinds = WANTS(START) | WANTS(CRASH) | WANTS(TERM) | WANTS(ROLE) | WANTS(VOTE) | WANTS(APPEND) | WANTS(TRUNCATE) |
             WANTS(ACK) | WANTS(COMMIT) | WANTS(APPLY) | WANTS(CHECKPOINT) | WANTS(RESTORE) | WANTS(CAUGHT_UP),
    .properties = properties,
    .property_count = PROPERTIES,
    .create = raft_create,
    .destroy = raft_destroy,
    .clone = raft_clone,
    .event = raft_event,
};
#undef WANTS
