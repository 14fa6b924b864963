/* The properties of atomic commit (Bernstein, Hadzilacos and Goodman 1987, section 7.3), judged from the votes, decisions
 * and states that the nodes have noted:
 *
 *   AC1 atomicity         all that decide decide alike
 *   AC2 decision-stable   no node reverses its decision, crashes or not
 *   AC3 commit-validity   commit only if all have voted yes (or were read-only)
 *   AC4 non-triviality    without failures, and with all votes yes, the decision is commit
 *   AC5 termination       is no property of a trace that ends: a campaign heals everything and judges it as its progress
 *
 * Why no false alarm. Votes and decisions are noted when they leave the node, which is after the record behind them is
 * durable; so what is judged here cannot have been forgotten by a sound node, and a vote always stands before the
 * decision that rests on it. A no is never taken back: not by a second copy of the question either, because votes are
 * functions of it. AC3 counts votes only where the event that began the transaction told how many take part. For AC4 a
 * time-out is a failure too: it is judged only when from the beginning of the transaction to the abort nothing failed,
 * nothing was dropped and no timer rang anywhere. */
#include "check/atomic.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "check/checker.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)
#define NO_EPISODE UINT32_MAX

enum property_number { ATOMICITY, DECISION_STABLE, COMMIT_VALIDITY, NON_TRIVIALITY, PROPERTIES };

static const struct property_entry properties[PROPERTIES] = {
    {"atomicity", "all that decide on a transaction decide alike"},
    {"decision-stable", "no node reverses its decision on a transaction, whatever crashes"},
    {"commit-validity", "a transaction commits only if every participant has voted yes"},
    {"non-triviality", "a transaction commits if every participant votes yes and nothing fails"},
};

struct seen {
    uint64_t id, digest, number; /* number: of the event that began it */
    int64_t begun;               /* -1: not seen to begin */
    uint32_t wanted, agreed;     /* participants (0: not known); those who voted yes or read-only */
    uint16_t refuser, first;     /* who voted no; who decided first; 0 nobody */
    uint8_t outcome;             /* 1 commit, 2 abort */
};

struct seen_part {
    struct atomic_part part;
    uint32_t episode; /* NO_EPISODE: not blocked */
};

struct atomic {
    struct seen *list;
    size_t count, capacity;
    struct seen_part *parts; /* [i * stride + node] */
    size_t part_capacity;
    uint32_t *table; /* of list positions plus one, by hash of the id; 0 free */
    size_t table_size;
    struct atomic_episode *episodes;
    size_t episode_count, episode_capacity;
    uint16_t stride;
    uint64_t trouble; /* number of the last event that was a failure, or a time-out */
    uint64_t limit;
    struct atomic_counts counts;
};

/* One event as it is judged. */
struct scene {
    struct atomic *atomic;
    struct judge *judge;
    const qrt_event *event;
    struct seen *seen;
    struct seen_part *mine;
};

/* ---- transactions by number ---- */

static size_t table_place(const struct atomic *a, uint64_t id) {
    size_t at = (size_t)hash_fold(0, id) & (a->table_size - 1);
    while (a->table[at] && a->list[a->table[at] - 1].id != id) at = (at + 1) & (a->table_size - 1);
    return at;
}

static void table_grow(struct atomic *a) {
    free(a->table);
    a->table_size = a->table_size ? a->table_size * 2 : 256;
    a->table = mem_zero(a->table_size, sizeof *a->table);
    for (size_t i = 0; i < a->count; i++) a->table[table_place(a, a->list[i].id)] = (uint32_t)i + 1;
}

static const struct seen *seen_find(const struct atomic *a, uint64_t id) {
    if (!a->table_size) return NULL;
    uint32_t at = a->table[table_place(a, id)];
    return at ? &a->list[at - 1] : NULL;
}

static uint64_t memory_used(const struct atomic *a) {
    return a->capacity * sizeof *a->list + a->part_capacity * sizeof *a->parts + a->table_size * sizeof *a->table +
           a->episode_capacity * sizeof *a->episodes;
}

/* NULL when memory is spent. */
static struct seen *seen_of(struct atomic *a, uint64_t id) {
    if (2 * (a->count + 1) > a->table_size) table_grow(a);
    size_t place = table_place(a, id);
    if (a->table[place]) return &a->list[a->table[place] - 1];
    if (memory_used(a) > a->limit) return NULL;
    a->list = mem_grow(a->list, &a->capacity, a->count + 1, sizeof *a->list);
    a->parts = mem_grow(a->parts, &a->part_capacity, (a->count + 1) * a->stride, sizeof *a->parts);
    struct seen_part *parts = &a->parts[a->count * a->stride];
    for (uint16_t i = 0; i < a->stride; i++) parts[i] = (struct seen_part){.episode = NO_EPISODE};
    a->list[a->count] = (struct seen){.id = id, .begun = -1};
    a->table[place] = (uint32_t)++a->count;
    return &a->list[a->count - 1];
}

static unsigned node_of(uint64_t id) {
    return (unsigned)(id >> 48);
}

static unsigned long long sequence_of(uint64_t id) {
    return id & 0xffffffffffffu;
}

/* ---- states ---- */

static bool is_undecided(uint8_t state) {
    return state == QRT_TRANSACTION_PREPARED || state == QRT_TRANSACTION_BLOCKED ||
           state == QRT_TRANSACTION_PRECOMMITTED || state == QRT_TRANSACTION_TERMINATING;
}

static void part_enter(struct atomic *a, struct seen_part *p, uint8_t state) {
    a->counts.undecided -= is_undecided(p->part.state);
    a->counts.undecided += is_undecided(state);
    p->part.state = state;
}

static void episode_end(struct atomic *a, struct seen_part *p, int64_t now) {
    if (p->episode == NO_EPISODE) return;
    a->episodes[p->episode].until = now;
    p->episode = NO_EPISODE;
    a->counts.blocked--;
}

static void episode_begin(struct scene *s) {
    struct atomic *a = s->atomic;
    const qrt_event *e = s->event;
    if (s->mine->episode != NO_EPISODE) return;
    a->episodes = mem_grow(a->episodes, &a->episode_capacity, a->episode_count + 1, sizeof *a->episodes);
    s->mine->episode = (uint32_t)a->episode_count;
    a->episodes[a->episode_count++] = (struct atomic_episode){e->index, e->node, e->peer, e->time, INT64_MAX};
    a->counts.blocked++;
}

static void on_begun(struct scene *s) {
    const qrt_event *e = s->event;
    s->atomic->counts.begun += s->seen->begun < 0;
    s->seen->begun = e->time;
    s->seen->number = s->judge->number;
    s->seen->digest = e->value;
    s->seen->wanted = (uint32_t)e->term;
}

static void on_state(struct scene *s) {
    const qrt_event *e = s->event;
    if (e->detail == QRT_TRANSACTION_BEGUN) {
        on_begun(s);
        return;
    }
    part_enter(s->atomic, s->mine, e->detail);
    if (e->detail == QRT_TRANSACTION_BLOCKED) episode_begin(s);
    if (e->detail == QRT_TRANSACTION_COMMITTED || e->detail == QRT_TRANSACTION_ABORTED)
        episode_end(s->atomic, s->mine, e->time);
}

/* A node that is down waits for nothing; it notes what it is still prepared for when it is back. */
static void on_crash(struct atomic *a, const qrt_event *e) {
    for (size_t i = 0; i < a->count; i++) {
        struct seen_part *p = &a->parts[i * a->stride + e->node];
        if (!is_undecided(p->part.state)) continue;
        part_enter(a, p, 0);
        episode_end(a, p, e->time);
    }
}

/* ---- votes and decisions ---- */

static void on_vote(struct scene *s) {
    const qrt_event *e = s->event;
    uint8_t before = s->mine->part.vote;
    bool agreed = before == QRT_VOTE_YES || before == QRT_VOTE_READ_ONLY;
    if (e->detail == QRT_VOTE_NO) s->seen->refuser = e->node;
    if (e->detail != QRT_VOTE_NO && !agreed) s->seen->agreed++;
    if (e->detail == QRT_VOTE_NO && agreed) s->seen->agreed--;
    s->mine->part.vote = e->detail;
}

static const char *did(uint8_t outcome) {
    return outcome == 1 ? "committed" : "aborted";
}

static void judge_alike(struct scene *s) {
    const qrt_event *e = s->event;
    const struct seen *t = s->seen;
    if (t->outcome && t->outcome != e->detail)
        judge_violate(s->judge, ATOMICITY, "n%u %s transaction n%u:%llu, which n%u had %s", e->node, did(e->detail),
                      node_of(t->id), sequence_of(t->id), t->first, did(t->outcome));
    if (s->mine->part.decision && s->mine->part.decision != e->detail)
        judge_violate(s->judge, DECISION_STABLE, "n%u %s transaction n%u:%llu, which it had %s before", e->node,
                      did(e->detail), node_of(t->id), sequence_of(t->id), did(s->mine->part.decision));
}

static void judge_commit(struct scene *s) {
    const struct seen *t = s->seen;
    if (t->refuser)
        judge_violate(s->judge, COMMIT_VALIDITY, "n%u committed transaction n%u:%llu, but n%u had voted no",
                      s->event->node, node_of(t->id), sequence_of(t->id), t->refuser);
    else if (t->wanted && t->agreed < t->wanted)
        judge_violate(s->judge, COMMIT_VALIDITY,
                      "n%u committed transaction n%u:%llu when only %u of %u participants had voted yes",
                      s->event->node, node_of(t->id), sequence_of(t->id), t->agreed, t->wanted);
}

static void judge_abort(struct scene *s) {
    const struct seen *t = s->seen;
    if (!t->wanted || t->refuser || t->agreed < t->wanted || s->atomic->trouble > t->number) return;
    judge_violate(s->judge, NON_TRIVIALITY,
                  "n%u aborted transaction n%u:%llu, though all %u participants had voted yes and nothing had failed",
                  s->event->node, node_of(t->id), sequence_of(t->id), t->wanted);
}

static void on_decide(struct scene *s) {
    const qrt_event *e = s->event;
    struct atomic *a = s->atomic;
    if (e->detail != 1 && e->detail != 2) return;
    judge_alike(s);
    if (e->detail == 1)
        judge_commit(s);
    else
        judge_abort(s);
    if (!s->seen->outcome) {
        s->seen->outcome = e->detail;
        s->seen->first = e->node;
        a->counts.committed += e->detail == 1;
        a->counts.aborted += e->detail == 2;
    }
    s->mine->part.decision = e->detail;
}

/* ---- dispatch ---- */

static bool about_transaction(const qrt_event *e) {
    if (e->kind == QRT_KIND_VOTE) return e->detail >= QRT_VOTE_YES && e->detail <= QRT_VOTE_READ_ONLY;
    return e->kind == QRT_KIND_DECIDE || e->kind == QRT_KIND_STATE;
}

static void atomic_event(void *state, struct judge *j, const qrt_event *e) {
    struct atomic *a = state;
    if (__builtin_expect(j->spent, 0) || e->node == 0 || e->node >= a->stride) return;
    if (!about_transaction(e)) {
        a->trouble = j->number;
        if (e->kind == QRT_KIND_CRASH) on_crash(a, e);
        return;
    }
    struct seen *t = seen_of(a, e->index);
    if (!t) {
        j->spent = true;
        return;
    }
    struct scene s = {a, j, e, t, &a->parts[(size_t)(t - a->list) * a->stride + e->node]};
    switch (e->kind) {
    case QRT_KIND_VOTE: on_vote(&s); break;
    case QRT_KIND_DECIDE: on_decide(&s); break;
    default: on_state(&s); break;
    }
}

/* ---- the interface ---- */

static void *atomic_create(const struct check_config *config) {
    struct atomic *a = mem_zero(1, sizeof *a);
    a->limit = config->memory ? config->memory : MEMORY_DEFAULT;
    a->stride = 1;
    for (uint16_t i = 0; i < config->member_count; i++)
        if (config->members[i] >= a->stride) a->stride = (uint16_t)(config->members[i] + 1);
    return a;
}

static void atomic_destroy(void *state) {
    struct atomic *a = state;
    free(a->list);
    free(a->parts);
    free(a->table);
    free(a->episodes);
    free(a);
}

static void *atomic_clone(const void *state) {
    const struct atomic *from = state;
    struct atomic *a = mem_copy(from, sizeof *from);
    a->list = mem_copy(from->list, from->count * sizeof *from->list);
    a->capacity = from->count;
    a->part_capacity = from->count * from->stride;
    a->parts = mem_copy(from->parts, a->part_capacity * sizeof *from->parts);
    a->table = mem_copy(from->table, from->table_size * sizeof *from->table);
    a->episodes = mem_copy(from->episodes, from->episode_count * sizeof *from->episodes);
    a->episode_capacity = from->episode_count;
    return a;
}

#define WANTS(kind) (1u << QRT_KIND_##kind)
const struct checker atomic_checker = {
    .name = "atomic-commit",
    .kinds = WANTS(START) | WANTS(CRASH) | WANTS(PAUSE) | WANTS(TIMER) | WANTS(DROP) | WANTS(REJECT) | WANTS(FAULT) |
             WANTS(VOTE) | WANTS(DECIDE) | WANTS(STATE),
    .properties = properties,
    .property_count = PROPERTIES,
    .create = atomic_create,
    .destroy = atomic_destroy,
    .clone = atomic_clone,
    .event = atomic_event,
};
#undef WANTS

bool atomic_counts_of(const struct checkers *c, struct atomic_counts *counts) {
    const struct atomic *a = checkers_state(c, &atomic_checker);
    *counts = a ? a->counts : (struct atomic_counts){0};
    if (a) counts->episodes = a->episode_count;
    return a != NULL;
}

bool atomic_episode_at(const struct checkers *c, size_t i, struct atomic_episode *episode) {
    const struct atomic *a = checkers_state(c, &atomic_checker);
    if (!a || i >= a->episode_count) return false;
    *episode = a->episodes[i];
    return true;
}

uint64_t atomic_begun(const struct checkers *c, uint16_t node, uint64_t digest, int64_t since) {
    const struct atomic *a = checkers_state(c, &atomic_checker);
    if (!a) return 0;
    size_t i = a->count;
    uint64_t found = 0;
    while (i-- > 0 && (a->list[i].begun < 0 || a->list[i].begun >= since))
        if (a->list[i].begun >= 0 && node_of(a->list[i].id) == node && a->list[i].digest == digest)
            found = a->list[i].id;
    return found;
}

bool atomic_part_of(const struct checkers *c, uint64_t transaction, uint16_t node, struct atomic_part *part) {
    const struct atomic *a = checkers_state(c, &atomic_checker);
    const struct seen *t = a ? seen_find(a, transaction) : NULL;
    if (!t || node >= a->stride) return false;
    *part = a->parts[(size_t)(t - a->list) * a->stride + node].part;
    return true;
}
