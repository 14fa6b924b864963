/* The properties of consensus on numbered instances, judged from the trace (Lamport 2001, section 2.1; Lynch 1996,
 * section 6.1): what is decided, by whom, how often, and what stands behind it.
 *
 *   agreement       on_decide: no two decisions of an instance differ, whoever decides, whenever, across crashes
 *   validity        on_decide: what is decided was proposed
 *   integrity       on_decide: a node decides an instance once in each of its lives, and always alike
 *   ballot-quorum   on_ballot: a ballot carries one value; on_decide: a quorum of acceptors has accepted it
 *
 * Why no false alarm. A decision is noted when it leaves the node, a proposal before the step that handles it, an
 * acceptance when it is durable and before it is sent; so what a decision rests on stands before it in the trace. A node
 * that lost the record of a decision in a crash learns it again, which is a decision of its next life. Protocols that note
 * no ballots are not judged by them. Termination is a matter of time, and is judged by a campaign's demand for progress. */
#include <stdlib.h>

#include "base/memory.h"
#include "check/ballots.h"
#include "check/checker.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)
#define SET_MIN 64u

enum property_number { AGREEMENT, VALIDITY, INTEGRITY, BALLOT_QUORUM, PROPERTIES };

static const struct property_entry properties[PROPERTIES] = {
    {"agreement", "no two nodes ever decide differently in one instance"},
    {"validity", "what is decided was proposed"},
    {"integrity", "a node decides an instance once, and after a crash in the same way again"},
    {"ballot-quorum", "a ballot has one value, and what is decided was accepted by a quorum in one ballot"},
};

struct decision { /* of one node */
    uint64_t value;
    uint32_t incarnation;
    uint32_t next; /* another node's, of the same instance; position + 1, 0 none */
    uint16_t node;
};

struct instance { /* the first decision of it */
    uint64_t value;
    uint16_t node;   /* 0: nobody has decided */
    uint32_t latest; /* of the decisions; position + 1 */
};

struct group {
    struct instance *instances;
    size_t instance_count, instance_capacity;
    uint64_t *proposed; /* hashes of proposed values: open addressing, 0 is empty */
    size_t proposed_count, proposed_capacity;
    bool proposed_zero; /* a value whose hash is 0 */
    bool ballots;       /* it notes them */
};

struct consensus {
    struct group *groups;
    size_t group_count, group_capacity;
    struct decision *decisions;
    size_t decision_count, decision_capacity;
    uint32_t incarnations[BALLOTS_NODES];
    struct ballots ballots;
    void *rule; /* of rule_size bytes */
    size_t rule_size;
    uint64_t memory;
};

static struct group *group_of(struct consensus *c, uint16_t number) {
    c->groups = mem_grow(c->groups, &c->group_capacity, (size_t)number + 1, sizeof *c->groups);
    while (c->group_count <= number) c->groups[c->group_count++] = (struct group){0};
    return &c->groups[number];
}

static void budget(const struct consensus *c, struct judge *j) {
    uint64_t taken = ballots_memory(&c->ballots) + c->decision_capacity * sizeof *c->decisions;
    for (size_t i = 0; i < c->group_count; i++)
        taken += c->groups[i].instance_capacity * sizeof(struct instance) + c->groups[i].proposed_capacity * 8;
    if (taken > c->memory) j->spent = true;
}

/* ---- what was proposed ---- */

static bool set_has(const struct group *g, uint64_t value) {
    if (!value) return g->proposed_zero;
    if (!g->proposed_capacity) return false;
    size_t at = (size_t)value & (g->proposed_capacity - 1);
    while (g->proposed[at] && g->proposed[at] != value) at = (at + 1) & (g->proposed_capacity - 1);
    return g->proposed[at] != 0;
}

static void set_place(uint64_t *set, size_t capacity, uint64_t value) {
    size_t at = (size_t)value & (capacity - 1);
    while (set[at] && set[at] != value) at = (at + 1) & (capacity - 1);
    set[at] = value;
}

static void set_add(struct group *g, uint64_t value) {
    if (!value) g->proposed_zero = true;
    if (!value || set_has(g, value)) return;
    if (2 * (g->proposed_count + 1) > g->proposed_capacity) {
        size_t capacity = g->proposed_capacity ? 2 * g->proposed_capacity : SET_MIN;
        uint64_t *grown = mem_zero(capacity, sizeof *grown);
        for (size_t i = 0; i < g->proposed_capacity; i++)
            if (g->proposed[i]) set_place(grown, capacity, g->proposed[i]);
        free(g->proposed);
        g->proposed = grown;
        g->proposed_capacity = capacity;
    }
    set_place(g->proposed, g->proposed_capacity, value);
    g->proposed_count++;
}

/* ---- events ---- */

static void on_ballot(struct consensus *c, struct judge *j, const qrt_event *e) {
    const struct ballot *b = ballots_event(&c->ballots, e);
    if (!b) return;
    group_of(c, e->group)->ballots = true;
    if (b->split)
        judge_violate(j, BALLOT_QUORUM, "round %llu of n%u carries two values in instance %llu, the second at n%u",
                      (unsigned long long)(e->term >> 16), (unsigned)(e->term & 0xffff), (unsigned long long)e->index,
                      e->node);
}

static void judge_quorum(const struct consensus *c, struct judge *j, const qrt_event *e) {
    const struct ballot *b = ballots_find(&c->ballots, e->group, e->index, e->term);
    if (!b || b->chosen_at < 0)
        judge_violate(j, BALLOT_QUORUM,
                      "n%u decides instance %llu by round %llu of n%u, which %u acceptors have accepted: no quorum",
                      e->node, (unsigned long long)e->index, (unsigned long long)(e->term >> 16),
                      (unsigned)(e->term & 0xffff), b ? b->accepted : 0u);
    else if (b->value != e->value)
        judge_violate(j, BALLOT_QUORUM, "n%u decides in instance %llu another value than its ballot carried", e->node,
                      (unsigned long long)e->index);
}

static struct decision *decision_of(struct consensus *c, const struct instance *i, uint16_t node) {
    for (uint32_t at = i->latest; at; at = c->decisions[at - 1].next)
        if (c->decisions[at - 1].node == node) return &c->decisions[at - 1];
    return NULL;
}

static void judge_integrity(struct consensus *c, struct judge *j, struct instance *i, const qrt_event *e) {
    uint32_t incarnation = c->incarnations[e->node];
    struct decision *d = decision_of(c, i, e->node);
    if (!d) {
        c->decisions = mem_grow(c->decisions, &c->decision_capacity, c->decision_count + 1, sizeof *c->decisions);
        c->decisions[c->decision_count] = (struct decision){e->value, incarnation, i->latest, e->node};
        i->latest = (uint32_t)++c->decision_count;
        return;
    }
    if (d->value != e->value)
        judge_violate(j, INTEGRITY, "n%u decides instance %llu a second time, and differently", e->node,
                      (unsigned long long)e->index);
    else if (d->incarnation == incarnation)
        judge_violate(j, INTEGRITY, "n%u decides instance %llu twice in one life", e->node,
                      (unsigned long long)e->index);
    d->incarnation = incarnation;
}

static void on_decide(struct consensus *c, struct judge *j, const qrt_event *e) {
    struct group *g = group_of(c, e->group);
    g->instances = mem_grow(g->instances, &g->instance_capacity, (size_t)e->index + 1, sizeof *g->instances);
    while (g->instance_count <= e->index) g->instances[g->instance_count++] = (struct instance){0};
    struct instance *i = &g->instances[e->index];
    if (!i->node) {
        i->node = e->node;
        i->value = e->value;
    } else if (i->value != e->value) {
        judge_violate(j, AGREEMENT, "n%u and n%u decide differently in instance %llu", i->node, e->node,
                      (unsigned long long)e->index);
    }
    if (!set_has(g, e->value))
        judge_violate(j, VALIDITY, "n%u decides in instance %llu what nobody proposed", e->node,
                      (unsigned long long)e->index);
    judge_integrity(c, j, i, e);
    if (g->ballots) judge_quorum(c, j, e);
}

static void consensus_event(void *state, struct judge *j, const qrt_event *e) {
    struct consensus *c = state;
    if (j->spent || e->node == 0 || e->node >= BALLOTS_NODES || e->index >= BALLOTS_INSTANCE_MAX) return;
    switch (e->kind) {
    case QRT_KIND_PROPOSE: set_add(group_of(c, e->group), e->value); break;
    case QRT_KIND_START: c->incarnations[e->node]++; break;
    case QRT_KIND_STATE:
    case QRT_KIND_BALLOT: on_ballot(c, j, e); break;
    case QRT_KIND_DECIDE: on_decide(c, j, e); break;
    default: break;
    }
    budget(c, j);
}

/* ---- the interface ---- */

static void *consensus_create(const struct check_config *config) {
    struct consensus *c = mem_zero(1, sizeof *c);
    c->rule = mem_copy(config->rule, config->rule_size);
    c->rule_size = config->rule_size;
    ballots_init(&c->ballots, config->member_count, config->quorum, c->rule);
    c->memory = config->memory ? config->memory : MEMORY_DEFAULT;
    return c;
}

static void consensus_destroy(void *state) {
    struct consensus *c = state;
    for (size_t i = 0; i < c->group_count; i++) {
        free(c->groups[i].instances);
        free(c->groups[i].proposed);
    }
    ballots_free(&c->ballots);
    free(c->rule);
    free(c->groups);
    free(c->decisions);
    free(c);
}

static void *consensus_clone(const void *state) {
    const struct consensus *from = state;
    struct consensus *c = mem_copy(from, sizeof *from);
    ballots_clone(&c->ballots, &from->ballots);
    c->rule = mem_copy(from->rule, from->rule_size);
    c->ballots.rule = c->rule;
    c->groups = mem_copy(from->groups, from->group_count * sizeof *from->groups);
    c->group_capacity = from->group_count;
    for (size_t i = 0; i < c->group_count; i++) {
        struct group *g = &c->groups[i];
        g->instances = mem_copy(g->instances, g->instance_count * sizeof *g->instances);
        g->instance_capacity = g->instance_count;
        g->proposed = mem_copy(g->proposed, g->proposed_capacity * sizeof *g->proposed);
    }
    c->decisions = mem_copy(from->decisions, from->decision_count * sizeof *from->decisions);
    c->decision_capacity = from->decision_count;
    return c;
}

#define WANTS(kind) (1u << QRT_KIND_##kind)
const struct checker consensus_checker = {
    .name = "consensus",
    .kinds = WANTS(PROPOSE) | WANTS(START) | WANTS(STATE) | WANTS(BALLOT) | WANTS(DECIDE),
    .properties = properties,
    .property_count = PROPERTIES,
    .create = consensus_create,
    .destroy = consensus_destroy,
    .clone = consensus_clone,
    .event = consensus_event,
};
#undef WANTS
