/* Delta debugging (Zeller and Hildebrandt 2002, ddmin by complements) over the directives of a plan, then
 * over what each directive says: shorter, sooner over, a plainer disk, a rounder number. Then single
 * directives once more, since a plainer one may have made another needless. The phases, and what ends
 * each:
 *
 *   EMPTY     no directives: the failure may not need any      one try
 *   REDUCE    without a chunk of them, finer and finer         no single directive can go
 *   SIMPLIFY  one rule on one directive                        no rule applies and still fails
 *   AGAIN     REDUCE by single directives, when SIMPLIFY found something
 *   DONE
 *
 * Every accepted step removes a directive or takes a rule's way, and every rule ends (a length halves down
 * to a floor, other fields change once), so shrinking does. */
#include "fault/shrink.h"

#include <stdlib.h>

#include "base/check.h"

#define LENGTH_FLOOR_NS 1000000 /* shorter faults than this are no plainer */
#define ROUND_NS 100000000      /* a rounder time is a multiple of this */

enum phase { PHASE_EMPTY = 1, PHASE_REDUCE = 2, PHASE_SIMPLIFY = 3, PHASE_AGAIN = 4, PHASE_DONE = 5 };

struct shrink {
    struct plan best;
    enum phase phase;
    bool waiting;              /* for a report */
    bool progress, simplified; /* in this pass over the chunks; in this SIMPLIFY */
    size_t granularity, chunk; /* REDUCE, AGAIN */
    size_t directive, rule;    /* SIMPLIFY */
    struct plan tried;
    uint32_t tries;
};

/* Rules: each makes a directive plainer, or says that it cannot. */

static bool rule_once(struct directive *d) {
    if (d->timing != FAULT_EVERY) return false;
    d->timing = FAULT_AT;
    d->until = d->period = 0;
    return true;
}

static bool rule_fewer(struct directive *d) {
    if (d->timing != FAULT_EVERY || d->until == INT64_MAX || d->until < d->at + 2 * d->period) return false;
    d->until = d->at + (d->until - d->at) / 2;
    return true;
}

static bool rule_no_effect(struct directive *d) {
    if (d->verb != FAULT_CRASH || d->effect < 0) return false;
    d->effect = -1;
    return true;
}

static bool rule_disk_kept(struct directive *d) {
    if (d->disk == QRT_DISK_KEPT) return false;
    d->disk = QRT_DISK_KEPT;
    d->guarded = false;
    return true;
}

static bool rule_disk_unsynced(struct directive *d) {
    if (!disk_forgets(d->disk)) return false;
    d->disk = QRT_DISK_UNSYNCED_LOST;
    d->guarded = false;
    return true;
}

static bool rule_both_ways(struct directive *d) {
    if (!d->one_way) return false;
    d->one_way = false;
    return true;
}

static bool rule_shorter(struct directive *d) {
    if (d->timing == FAULT_DURING && d->until - d->at > 2 * LENGTH_FLOOR_NS) {
        d->until = d->at + (d->until - d->at) / 2;
        return true;
    }
    if (d->hold <= 2 * LENGTH_FLOOR_NS) return false;
    d->hold /= 2;
    return true;
}

static bool rule_certain(struct directive *d) {
    if (!(d->probability > 0) || d->probability >= 1) return false;
    d->probability = 1;
    return true;
}

/* 0.137 becomes 0.1. */
static bool rule_round_probability(struct directive *d) {
    double tenths = (double)(int)(d->probability * 10 + 0.5) / 10;
    if (!(tenths > 0) || tenths == d->probability || d->probability >= 1) return false;
    d->probability = tenths;
    return true;
}

static bool rule_constant_delay(struct directive *d) {
    if (d->verb != FAULT_DELAY || d->delay.kind == DIST_CONSTANT) return false;
    int64_t a = d->delay.kind == DIST_UNIFORM ? d->delay.a + (d->delay.b - d->delay.a) / 2 : d->delay.a;
    d->delay = (struct distribution){.kind = DIST_CONSTANT, .a = a};
    return true;
}

static bool rule_no_drift(struct directive *d) {
    if (d->drift_ppm == 0 || d->offset_ns == 0) return false;
    d->drift_ppm = 0;
    return true;
}

static bool rule_round_time(struct directive *d) {
    int64_t at = (d->at + ROUND_NS / 2) / ROUND_NS * ROUND_NS, moved = at - d->at;
    if (!moved) return false;
    d->at = at;
    bool has_until = d->timing == FAULT_DURING || (d->timing == FAULT_EVERY && d->until != INT64_MAX);
    if (has_until) d->until += moved;
    return true;
}

static bool (*const rules[])(struct directive *d) = {
    rule_once,    rule_fewer,   rule_no_effect,         rule_disk_kept,      rule_disk_unsynced, rule_both_ways,
    rule_shorter, rule_certain, rule_round_probability, rule_constant_delay, rule_no_drift,      rule_round_time,
};
#define RULE_COUNT (sizeof rules / sizeof rules[0])

/* Candidates. */

static void chunk_bounds(const struct shrink *s, size_t *from, size_t *to) {
    *from = s->chunk * s->best.count / s->granularity;
    *to = (s->chunk + 1) * s->best.count / s->granularity;
}

static void try_without_chunk(struct shrink *s) {
    size_t from, to;
    chunk_bounds(s, &from, &to);
    for (size_t i = 0; i < s->best.count; i++)
        if (i < from || i >= to) plan_add(&s->tried, &s->best.directives[i]);
}

/* The next rule that changes something; false when all are through. */
static bool try_simpler(struct shrink *s) {
    for (; s->directive < s->best.count; s->directive++, s->rule = 0)
        for (; s->rule < RULE_COUNT; s->rule++) {
            struct directive d = s->best.directives[s->directive];
            if (!rules[s->rule](&d)) continue;
            plan_clone(&s->tried, &s->best);
            s->tried.directives[s->directive] = d;
            return true;
        }
    return false;
}

static void begin_reduce(struct shrink *s, enum phase phase) {
    s->phase = phase;
    s->chunk = 0;
    s->progress = false;
    s->granularity = s->best.count < 2 ? 0 : phase == PHASE_AGAIN ? s->best.count : 2;
}

/* A pass over the chunks is through: finer, once more, or the next phase. */
static void end_pass(struct shrink *s) {
    s->chunk = 0;
    if (s->best.count > 1 && s->granularity < s->best.count) {
        s->granularity = s->granularity * 2 < s->best.count ? s->granularity * 2 : s->best.count;
    } else if (!s->progress || s->best.count < 2) {
        s->phase = s->phase == PHASE_REDUCE ? PHASE_SIMPLIFY : PHASE_DONE;
        s->directive = s->rule = 0;
        s->simplified = false;
    }
    s->progress = false;
}

static bool phase_next(struct shrink *s) {
    switch (s->phase) {
    case PHASE_EMPTY: return true;
    case PHASE_REDUCE:
    case PHASE_AGAIN:
        if (s->chunk >= s->granularity) {
            end_pass(s);
            return false;
        }
        try_without_chunk(s);
        return true;
    case PHASE_SIMPLIFY:
        if (try_simpler(s)) return true;
        if (s->simplified && s->best.count > 1)
            begin_reduce(s, PHASE_AGAIN);
        else
            s->phase = PHASE_DONE;
        return false;
    case PHASE_DONE: break;
    }
    return false;
}

bool shrink_next(struct shrink *s, struct plan *candidate) {
    CHECK(!s->waiting);
    while (s->phase != PHASE_DONE && !s->waiting) s->waiting = phase_next(s);
    if (!s->waiting) return false;
    s->tries++;
    plan_free(candidate);
    plan_clone(candidate, &s->tried);
    return true;
}

static void report_reduce(struct shrink *s, bool still_fails) {
    if (!still_fails) {
        s->chunk++;
        return;
    }
    s->progress = true;
    if (s->granularity > 1) s->granularity--; /* the chunks keep their size, and this one's place is the next one's */
    if (s->granularity > s->best.count) s->granularity = s->best.count;
    if (s->best.count < 2) s->chunk = s->granularity = 0; /* the empty plan was tried first of all */
}

void shrink_report(struct shrink *s, bool still_fails) {
    CHECK(s->waiting);
    s->waiting = false;
    if (still_fails) {
        plan_free(&s->best);
        s->best = s->tried;
        s->tried = (struct plan){0};
    } else {
        plan_free(&s->tried);
    }
    if (s->phase == PHASE_EMPTY && still_fails)
        s->phase = PHASE_DONE;
    else if (s->phase == PHASE_EMPTY)
        begin_reduce(s, PHASE_REDUCE);
    else if (s->phase == PHASE_SIMPLIFY && !still_fails)
        s->rule++;
    else if (s->phase == PHASE_SIMPLIFY)
        s->simplified = true; /* the same rule may go further */
    else
        report_reduce(s, still_fails);
}

const struct plan *shrink_best(const struct shrink *s) {
    return &s->best;
}

uint32_t shrink_tries(const struct shrink *s) {
    return s->tries;
}

struct shrink *shrink_new(const struct plan *plan) {
    struct shrink *s = mem_zero(1, sizeof *s);
    plan_clone(&s->best, plan);
    plan_absolute(&s->best);
    s->phase = plan->count ? PHASE_EMPTY : PHASE_DONE;
    return s;
}

void shrink_free(struct shrink *s) {
    if (!s) return;
    plan_free(&s->best);
    plan_free(&s->tried);
    free(s);
}
