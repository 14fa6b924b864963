/* The properties of elections, judged from the trace. Two checkers: what every election promises, and what only those
 * promise that may rely on a bound of delays.
 *
 *   one leader an epoch        on_decide, on_role: an epoch has one leader, whoever says so, then and later
 *   one leader at a time       on_role: while a node that is up leads, no other begins to
 *
 * Why no false alarm. A node that decides names the leader; a node that begins to lead names the epoch; both are the
 * protocol's own words, and an epoch's leader never changes. A leader stops leading when it takes another role, crashes
 * or starts anew; what a paused node would say is not asked, for the promise is about what it would do. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check/checker.h"

#define MEMORY_DEFAULT ((uint64_t)1 << 30)

struct epoch_leader {
    uint64_t epoch, leader;
    uint16_t said_by;
};

struct group {
    struct epoch_leader *epochs; /* ascending */
    size_t epoch_count, epoch_capacity;
    uint64_t *leading; /* by node: the epoch that it leads, plus 1; 0 none */
    size_t leading_count, leading_capacity;
};

struct election {
    struct group **groups; /* by number; NULL: not seen */
    size_t group_count, group_capacity;
    uint64_t memory;
};

static struct group *group_of(struct election *c, uint16_t number) {
    if (number < c->group_count && c->groups[number]) return c->groups[number];
    c->groups = mem_grow(c->groups, &c->group_capacity, (size_t)number + 1, sizeof(struct group *));
    while (c->group_count <= number) c->groups[c->group_count++] = NULL;
    return c->groups[number] = mem_zero(1, sizeof(struct group));
}

/* ---- one leader an epoch ---- */

static void say(struct election *c, struct judge *j, const qrt_event *e, uint64_t leader) {
    struct group *g = group_of(c, e->group);
    size_t i = g->epoch_count;
    while (i > 0 && g->epochs[i - 1].epoch > e->term) i--;
    const struct epoch_leader *known = i > 0 && g->epochs[i - 1].epoch == e->term ? &g->epochs[i - 1] : NULL;
    if (known) {
        if (known->leader != leader)
            judge_violate(j, 0, "n%u takes n%llu for the leader of epoch %llu, n%u took n%llu", e->node,
                          (unsigned long long)leader, (unsigned long long)e->term, known->said_by,
                          (unsigned long long)known->leader);
        return;
    }
    if ((g->epoch_count + 1) * sizeof *g->epochs > c->memory) {
        j->spent = true;
        return;
    }
    g->epochs = mem_grow(g->epochs, &g->epoch_capacity, g->epoch_count + 1, sizeof *g->epochs);
    memmove(&g->epochs[i + 1], &g->epochs[i], (g->epoch_count - i) * sizeof *g->epochs);
    g->epochs[i] = (struct epoch_leader){e->term, leader, e->node};
    g->epoch_count++;
}

static void epochs_event(void *state, struct judge *j, const qrt_event *e) {
    if (j->spent || e->node == 0 || e->node >= QRT_CLIENT) return;
    if (e->kind == QRT_KIND_DECIDE)
        say(state, j, e, e->value);
    else if (e->detail == QRT_ROLE_LEADER)
        say(state, j, e, e->node);
}

/* ---- one leader at a time ---- */

static uint64_t *leading_of(struct group *g, uint16_t node) {
    size_t before = g->leading_count;
    if (node < before) return &g->leading[node];
    g->leading = mem_grow(g->leading, &g->leading_capacity, (size_t)node + 1, sizeof *g->leading);
    g->leading_count = (size_t)node + 1;
    memset(g->leading + before, 0, (g->leading_count - before) * sizeof *g->leading);
    return &g->leading[node];
}

static void on_role(struct election *c, struct judge *j, const qrt_event *e) {
    struct group *g = group_of(c, e->group);
    bool leads = e->detail == QRT_ROLE_LEADER;
    *leading_of(g, e->node) = leads ? e->term + 1 : 0;
    for (size_t i = 0; leads && i < g->leading_count; i++)
        if (i != e->node && g->leading[i])
            judge_violate(j, 0, "n%u leads epoch %llu while n%u still leads epoch %llu", e->node,
                          (unsigned long long)e->term, (unsigned)i, (unsigned long long)(g->leading[i] - 1));
}

static void on_gone(struct election *c, uint16_t node) {
    for (size_t i = 0; i < c->group_count; i++)
        if (c->groups[i]) *leading_of(c->groups[i], node) = 0;
}

static void leaders_event(void *state, struct judge *j, const qrt_event *e) {
    if (e->node == 0 || e->node >= QRT_CLIENT) return;
    if (e->kind == QRT_KIND_ROLE)
        on_role(state, j, e);
    else
        on_gone(state, e->node);
}

/* ---- the interface ---- */

static void *election_create(const struct check_config *config) {
    struct election *c = mem_zero(1, sizeof *c);
    c->memory = config->memory ? config->memory : MEMORY_DEFAULT;
    return c;
}

static void election_destroy(void *state) {
    struct election *c = state;
    for (size_t i = 0; i < c->group_count; i++) {
        if (!c->groups[i]) continue;
        free(c->groups[i]->epochs);
        free(c->groups[i]->leading);
        free(c->groups[i]);
    }
    free(c->groups);
    free(c);
}

static struct group *group_clone(const struct group *from) {
    if (!from) return NULL;
    struct group *g = mem_copy(from, sizeof *from);
    g->epochs = mem_copy(from->epochs, from->epoch_count * sizeof *from->epochs);
    g->epoch_capacity = from->epoch_count;
    g->leading = mem_copy(from->leading, from->leading_count * sizeof *from->leading);
    g->leading_capacity = from->leading_count;
    return g;
}

static void *election_clone(const void *state) {
    const struct election *from = state;
    struct election *c = mem_copy(from, sizeof *from);
    c->groups = mem_copy(from->groups, from->group_count * sizeof(struct group *));
    c->group_capacity = from->group_count;
    for (size_t i = 0; i < from->group_count; i++) c->groups[i] = group_clone(from->groups[i]);
    return c;
}

static const struct property_entry epochs_properties[] = {
    {"one-leader-an-epoch", "no two nodes take different leaders for those of one epoch"},
};

static const struct property_entry leaders_properties[] = {
    {"one-leader-at-a-time", "no node leads while another one that is up still leads"},
};

#define WANTS(kind) (1u << QRT_KIND_##kind)
const struct checker election_checker = {
    .name = "election",
    .kinds = WANTS(DECIDE) | WANTS(ROLE),
    .properties = epochs_properties,
    .property_count = 1,
    .create = election_create,
    .destroy = election_destroy,
    .clone = election_clone,
    .event = epochs_event,
};

const struct checker leaders_checker = {
    .name = "leaders",
    .kinds = WANTS(ROLE) | WANTS(CRASH) | WANTS(START),
    .properties = leaders_properties,
    .property_count = 1,
    .create = election_create,
    .destroy = election_destroy,
    .clone = election_clone,
    .event = leaders_event,
};
#undef WANTS
