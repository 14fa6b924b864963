/* The properties of primary-backup replication, judged from the trace. A node's log is a place in the tree of all
 * logs (log_tree.h); what a primary has acknowledged is a row of places, one an index.
 *
 *   one primary an epoch          on_role
 *   no acknowledged write lost    acknowledge: a primary of a later epoch acknowledges another log
 *   backups prefix                on_apply: whoever applies an entry, a primary has acknowledged it before
 *   lost window                   the same loss where it is no violation: measured, in entries and in time
 *
 * A commit of detail 1 is acknowledged by all backups in sync: it must never be lost. One of detail 2 is answered
 * by the primary on its own promise (the asynchronous modes), and may be.
 *
 * Why no false alarm. A new primary's first acknowledgement covers all that it took over, so an entry that was
 * acknowledged in an earlier epoch and does not stand in the log that is acknowledged now is lost: its primary can
 * come back only as a backup of this log. Where a log is not known (an entry heard of by its hash alone) nothing
 * is said. Acknowledged means the primary's own commit: every word of it, to a client or a backup, leaves later. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check/checker.h"
#include "check/log_tree.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)

enum property_number { ONE_PRIMARY, NO_ACKNOWLEDGED_LOST, BACKUPS_PREFIX, LOST_WINDOW, PROPERTIES };

static const struct property_entry properties[PROPERTIES] = {
    {"one-primary-an-epoch", "at most one node is the primary of an epoch"},
    {"no-acknowledged-write-lost", "what a primary acknowledged with its backups, every later primary has"},
    {"backups-prefix", "nodes apply only what a primary has acknowledged, in its order, without a gap"},
    {"lost-window", "what a primary answered on its own and a switch-over lost: measured, not judged"},
};

struct acknowledged {
    uint64_t epoch;
    int64_t time;
    uint32_t record; /* of the tree, at this index */
    uint16_t node;
    bool present, promised;
};

struct reign {
    uint64_t epoch;
    uint32_t incarnation;
    uint16_t node;
};

struct member {
    struct log_place tip;
    uint64_t applied;
    uint32_t incarnation;
};

struct loss { /* measured */
    uint64_t entries, switch_overs, epoch;
    uint64_t window_entries, widest_entries; /* of the switch-over into `epoch`; of the widest */
    int64_t window_first, window_last, widest_ns;
};

struct group {
    struct log_tree tree;
    struct member *members; /* by node id */
    size_t member_count, member_capacity;
    struct acknowledged *acks; /* [i - 1]: index i */
    size_t ack_count, ack_capacity;
    struct reign *reigns; /* ascending in epoch */
    size_t reign_count, reign_capacity;
    struct loss loss;
    bool blind; /* part of an acknowledged log is not known */
};

struct primary {
    struct group **groups; /* by number; NULL: not seen */
    size_t group_count, group_capacity;
    struct log_budget budget;
};

struct scene { /* one event as it is judged */
    struct judge *judge;
    struct group *group;
    struct member *member;
    const qrt_event *event;
};

/* ---- groups and members ---- */

static struct group *group_of(struct primary *c, uint16_t number) {
    if (number < c->group_count && c->groups[number]) return c->groups[number];
    c->groups = mem_grow(c->groups, &c->group_capacity, (size_t)number + 1, sizeof(struct group *));
    while (c->group_count <= number) c->groups[c->group_count++] = NULL;
    struct group *g = c->groups[number] = mem_zero(1, sizeof *g);
    log_tree_init(&g->tree, &c->budget);
    return g;
}

static struct member *member_of(struct group *g, uint16_t node) {
    size_t before = g->member_count;
    if (node >= before) {
        g->members = mem_grow(g->members, &g->member_capacity, (size_t)node + 1, sizeof *g->members);
        g->member_count = (size_t)node + 1;
        memset(g->members + before, 0, (g->member_count - before) * sizeof *g->members);
    }
    return &g->members[node];
}

static bool place_named(struct scene *s, uint64_t index, uint64_t hash, struct log_place *place) {
    if (log_tree_find(&s->group->tree, index, hash, place)) return true;
    if (log_tree_add(&s->group->tree, index, hash, LOG_TREE_UNKNOWN, place)) return true;
    s->judge->spent = true;
    return false;
}

/* ---- logs ---- */

static void cut(struct scene *s, uint64_t from) {
    struct member *m = s->member;
    struct log_place kept;
    if (from == 0 || from > m->tip.index) return;
    if (!log_tree_ancestor(&s->group->tree, m->tip, from - 1, &kept))
        kept = (struct log_place){from - 1, LOG_TREE_UNKNOWN};
    m->tip = kept;
}

static void on_append(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_tree *tree = &s->group->tree;
    struct log_place place;
    if (e->index == 0) return;
    cut(s, e->index);
    uint32_t parent = m->tip.index + 1 == e->index ? m->tip.record : LOG_TREE_UNKNOWN;
    if (!log_tree_find(tree, e->index, e->value, &place)) {
        if (!log_tree_add(tree, e->index, e->value, parent, &place)) {
            s->judge->spent = true;
            return;
        }
    } else if (log_tree_at(tree, place)->parent == LOG_TREE_UNKNOWN && parent != LOG_TREE_UNKNOWN) {
        log_tree_edit(tree, place)->parent = parent;
    }
    m->tip = place;
}

static void on_start(struct scene *s) {
    const qrt_event *e = s->event;
    struct log_place tip;
    s->member->incarnation++;
    if (!place_named(s, e->index, e->value, &tip)) return;
    s->member->tip = tip;
    s->member->applied = e->link;
}

/* ---- what was acknowledged ---- */

/* An acknowledged entry is gone: `mine` tells whose it was, the epoch that has something else in its place. */
static void lose(struct scene *s, uint64_t index, const struct acknowledged *mine, uint64_t epoch, uint16_t winner) {
    struct loss *l = &s->group->loss;
    if (mine->promised) {
        judge_violate(s->judge, NO_ACKNOWLEDGED_LOST,
                      "n%u acknowledged index %" PRIu64 " in epoch %" PRIu64 " with its backups; the log of n%u, "
                      "primary of epoch %" PRIu64 ", is without it",
                      mine->node, index, mine->epoch, winner, epoch);
        return;
    }
    if (l->epoch != epoch || !l->switch_overs) {
        l->epoch = epoch;
        l->switch_overs++;
        l->window_entries = 0;
        l->window_first = l->window_last = mine->time;
    }
    l->entries++;
    l->window_entries++;
    if (mine->time < l->window_first) l->window_first = mine->time;
    if (mine->time > l->window_last) l->window_last = mine->time;
    if (l->window_entries > l->widest_entries) l->widest_entries = l->window_entries;
    if (l->window_last - l->window_first > l->widest_ns) l->widest_ns = l->window_last - l->window_first;
    snprintf(s->judge->properties[LOST_WINDOW].text, PROPERTY_TEXT_MAX,
             "%" PRIu64 " answered entries were lost in %" PRIu64 " switch-overs; the widest window: %" PRIu64
             " entries, answered within %.6f s",
             l->entries, l->switch_overs, l->widest_entries, (double)l->widest_ns / 1e9);
}

/* One entry of an acknowledged log. False when it was acknowledged before: then so was all below it. */
static bool acknowledge_one(struct scene *s, struct log_place place, bool promised) {
    struct group *g = s->group;
    const qrt_event *e = s->event;
    struct acknowledged *a = &g->acks[place.index - 1], old = *a;
    struct acknowledged new = {e->term, e->time, place.record, e->node, true, promised};
    if (old.present && old.record == place.record) {
        a->promised = old.promised || promised;
        return false;
    }
    log_tree_edit(&g->tree, place)->applied = true; /* a primary has acknowledged it */
    if (old.present && old.epoch > e->term) {       /* a later primary has spoken already */
        lose(s, place.index, &new, old.epoch, old.node);
        return true;
    }
    *a = new;
    if (old.present) lose(s, place.index, &old, e->term, e->node);
    return true;
}

static bool acks_reach(struct scene *s, uint64_t index) {
    struct group *g = s->group;
    while (g->ack_count < index) {
        if (g->ack_count == g->ack_capacity) {
            if (index - g->ack_count > g->tree.budget->limit / sizeof *g->acks) {
                s->judge->spent = true;
                return false;
            }
            g->acks = mem_grow(g->acks, &g->ack_capacity, g->ack_count + 1, sizeof *g->acks);
        }
        g->acks[g->ack_count++] = (struct acknowledged){0};
    }
    return true;
}

/* What earlier epochs acknowledged further on, and this primary's log does not hold. */
static void lose_the_rest(struct scene *s, uint64_t index) {
    struct group *g = s->group;
    while (g->ack_count > index) {
        const struct acknowledged a = g->acks[g->ack_count - 1];
        struct log_place place = {g->ack_count, a.record};
        bool older = a.present && a.epoch < s->event->term;
        if (!older || log_tree_holds(&g->tree, s->member->tip, place) != LOG_HOLDS_NO) return;
        g->ack_count--;
        lose(s, place.index, &a, s->event->term, s->event->node);
    }
}

static void acknowledge(struct scene *s, bool promised) {
    struct group *g = s->group;
    struct log_place at;
    if (!s->event->index || !place_named(s, s->event->index, s->event->value, &at)) return;
    if (!acks_reach(s, at.index)) return;
    while (at.index > 0 && acknowledge_one(s, at, promised)) {
        uint32_t parent = log_tree_at(&g->tree, at)->parent;
        if (parent == LOG_TREE_UNKNOWN) {
            g->blind = true;
            break;
        }
        at = (struct log_place){at.index - 1, parent};
    }
    lose_the_rest(s, s->event->index);
}

static void on_commit(struct scene *s) {
    if (s->event->detail) acknowledge(s, s->event->detail == 1);
}

/* ---- who applies what ---- */

static void on_apply(struct scene *s) {
    const qrt_event *e = s->event;
    struct member *m = s->member;
    struct log_place place;
    if (e->index != m->applied + 1)
        judge_violate(s->judge, BACKUPS_PREFIX, "n%u applied index %" PRIu64 " after index %" PRIu64, e->node, e->index,
                      m->applied);
    m->applied = e->index;
    if (s->group->blind) return;
    if (!log_tree_find(&s->group->tree, e->index, e->value, &place) || !log_tree_at(&s->group->tree, place)->applied)
        judge_violate(s->judge, BACKUPS_PREFIX,
                      "n%u applied an entry at index %" PRIu64 " that no primary acknowledged", e->node, e->index);
}

/* ---- epochs ---- */

static void on_role(struct scene *s) {
    struct group *g = s->group;
    const qrt_event *e = s->event;
    const struct member *m = s->member;
    if (e->detail != QRT_ROLE_LEADER) return;
    size_t i = g->reign_count;
    while (i > 0 && g->reigns[i - 1].epoch > e->term) i--;
    const struct reign *same = i > 0 && g->reigns[i - 1].epoch == e->term ? &g->reigns[i - 1] : NULL;
    if (same && (same->node != e->node || same->incarnation != m->incarnation))
        judge_violate(s->judge, ONE_PRIMARY, "n%u became the primary of epoch %" PRIu64 ", which had one in n%u%s",
                      e->node, e->term, same->node, same->node == e->node ? ", before its crash" : "");
    if (same) return;
    g->reigns = mem_grow(g->reigns, &g->reign_capacity, g->reign_count + 1, sizeof *g->reigns);
    memmove(&g->reigns[i + 1], &g->reigns[i], (g->reign_count - i) * sizeof *g->reigns);
    g->reigns[i] = (struct reign){e->term, m->incarnation, e->node};
    g->reign_count++;
}

static void primary_event(void *state, struct judge *j, const qrt_event *e) {
    struct primary *c = state;
    if (__builtin_expect(j->spent, 0) || e->node == 0 || e->node >= QRT_CLIENT) return;
    struct group *g = group_of(c, e->group);
    struct scene s = {j, g, member_of(g, e->node), e};
    switch (e->kind) {
    case QRT_KIND_START: on_start(&s); break;
    case QRT_KIND_ROLE: on_role(&s); break;
    case QRT_KIND_APPEND: on_append(&s); break;
    case QRT_KIND_TRUNCATE: cut(&s, e->index); break;
    case QRT_KIND_COMMIT: on_commit(&s); break;
    case QRT_KIND_APPLY: on_apply(&s); break;
    case QRT_KIND_RESTORE: s.member->applied = e->index; break;
    default: break;
    }
}

/* ---- the interface ---- */

static void *primary_create(const struct check_config *config) {
    struct primary *c = mem_zero(1, sizeof *c);
    c->budget.limit = config->memory ? config->memory : MEMORY_DEFAULT;
    return c;
}

static void group_free(struct group *g) {
    if (!g) return;
    log_tree_free(&g->tree);
    free(g->members);
    free(g->acks);
    free(g->reigns);
    free(g);
}

static void primary_destroy(void *state) {
    struct primary *c = state;
    for (size_t i = 0; i < c->group_count; i++) group_free(c->groups[i]);
    free(c->groups);
    free(c);
}

static struct group *group_clone(const struct group *from, struct primary *c) {
    if (!from) return NULL;
    struct group *g = mem_copy(from, sizeof *from);
    log_tree_clone(&g->tree, &from->tree, &c->budget);
    g->members = mem_copy(from->members, from->member_count * sizeof *from->members);
    g->member_capacity = from->member_count;
    g->acks = mem_copy(from->acks, from->ack_count * sizeof *from->acks);
    g->ack_capacity = from->ack_count;
    g->reigns = mem_copy(from->reigns, from->reign_count * sizeof *from->reigns);
    g->reign_capacity = from->reign_count;
    return g;
}

static void *primary_clone(const void *state) {
    const struct primary *from = state;
    struct primary *c = mem_copy(from, sizeof *from);
    c->groups = mem_copy(from->groups, from->group_count * sizeof(struct group *));
    c->group_capacity = from->group_count;
    for (size_t i = 0; i < from->group_count; i++) c->groups[i] = group_clone(from->groups[i], c);
    return c;
}

#define WANTS(kind) (1u << QRT_KIND_##kind)
const struct checker primary_checker = {
    .name = "primary-backup",
    .kinds =
        WANTS(START) | WANTS(ROLE) | WANTS(APPEND) | WANTS(TRUNCATE) | WANTS(COMMIT) | WANTS(APPLY) | WANTS(RESTORE),
    .properties = properties,
    .property_count = PROPERTIES,
    .create = primary_create,
    .destroy = primary_destroy,
    .clone = primary_clone,
    .event = primary_event,
};
#undef WANTS
