#include "check/ballots.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROLE_ACCEPTS 2 /* in the detail of QRT_KIND_STATE */

void ballots_init(struct ballots *b, uint16_t member_count, bool (*quorum)(const void *rule, const uint64_t members[2]),
                  const void *rule) {
    *b = (struct ballots){.member_count = member_count, .quorum = quorum, .rule = rule};
}

void ballots_free(struct ballots *b) {
    for (size_t i = 0; i < b->group_count; i++) free(b->groups[i].latest);
    free(b->groups);
    free(b->all);
    *b = (struct ballots){0};
}

void ballots_clone(struct ballots *to, const struct ballots *from) {
    *to = *from;
    to->all = mem_copy(from->all, from->count * sizeof *from->all);
    to->capacity = from->count;
    to->groups = mem_copy(from->groups, from->group_count * sizeof *from->groups);
    to->group_capacity = from->group_count;
    for (size_t i = 0; i < to->group_count; i++) {
        struct ballots_group *g = &to->groups[i];
        g->latest = mem_copy(g->latest, g->count * sizeof *g->latest);
        g->capacity = g->count;
    }
}

size_t ballots_memory(const struct ballots *b) {
    size_t bytes = b->capacity * sizeof *b->all;
    for (size_t i = 0; i < b->group_count; i++) bytes += b->groups[i].capacity * sizeof *b->groups[i].latest;
    return bytes;
}

static struct ballots_group *group_of(struct ballots *b, uint16_t group) {
    b->groups = mem_grow(b->groups, &b->group_capacity, (size_t)group + 1, sizeof *b->groups);
    while (b->group_count <= group) b->groups[b->group_count++] = (struct ballots_group){0};
    return &b->groups[group];
}

static uint32_t *latest_of(struct ballots_group *g, uint64_t instance) {
    g->latest = mem_grow(g->latest, &g->capacity, (size_t)instance + 1, sizeof *g->latest);
    while (g->count <= instance) g->latest[g->count++] = 0;
    return &g->latest[instance];
}

const struct ballot *ballots_find(const struct ballots *b, uint16_t group, uint64_t instance, uint64_t number) {
    if (group >= b->group_count || instance >= b->groups[group].count) return NULL;
    for (uint32_t at = b->groups[group].latest[instance]; at; at = b->all[at - 1].next)
        if (b->all[at - 1].number == number) return &b->all[at - 1];
    return NULL;
}

static bool is_quorum(const struct ballots *b, const struct ballot *at) {
    uint16_t acceptors = b->groups[at->group].acceptor_count;
    bool apart = acceptors && acceptors < b->member_count;
    if (!apart && b->quorum) return b->quorum(b->rule, at->accepted_by);
    return at->accepted > (apart ? acceptors : b->member_count) / 2;
}

static struct ballot *ballot_of(struct ballots *b, const qrt_event *e) {
    const struct ballot *known = ballots_find(b, e->group, e->index, e->term);
    if (known) return &b->all[known - b->all];
    uint32_t *latest = latest_of(group_of(b, e->group), e->index);
    b->all = mem_grow(b->all, &b->capacity, b->count + 1, sizeof *b->all);
    b->all[b->count] =
        (struct ballot){.instance = e->index, .number = e->term, .chosen_at = -1, .group = e->group, .next = *latest};
    *latest = (uint32_t)++b->count;
    return &b->all[b->count - 1];
}

static bool set_add(uint64_t *set, uint16_t node) {
    uint16_t i = (uint16_t)(node - 1);
    bool fresh = !(set[i / 64] >> (i % 64) & 1);
    set[i / 64] |= UINT64_C(1) << (i % 64);
    return fresh;
}

static void on_state(struct ballots *b, const qrt_event *e) {
    if (e->index || !(e->detail & ROLE_ACCEPTS)) return;
    struct ballots_group *g = group_of(b, e->group);
    if (set_add(g->acceptors, e->node)) g->acceptor_count++;
}

const struct ballot *ballots_event(struct ballots *b, const qrt_event *e) {
    if (e->node < 1 || e->node >= BALLOTS_NODES || e->index >= BALLOTS_INSTANCE_MAX || b->count >= UINT32_MAX)
        return NULL;
    if (e->kind == QRT_KIND_STATE) on_state(b, e);
    if (e->kind != QRT_KIND_BALLOT || !e->index) return NULL;
    if (e->detail != QRT_BALLOT_ACCEPT && e->detail != QRT_BALLOT_ACCEPTED) return NULL;
    struct ballot *at = ballot_of(b, e);
    if (at->has_value && at->value != e->value) at->split = true;
    if (!at->has_value) at->value = e->value;
    at->has_value = true;
    if (e->detail == QRT_BALLOT_ACCEPT || !set_add(at->accepted_by, e->node)) return at;
    at->accepted++;
    if (at->chosen_at < 0 && is_quorum(b, at)) at->chosen_at = e->time;
    return at;
}

static void print_quorum(const struct ballot *at, struct buffer *out) {
    bool first = true;
    for (unsigned i = 0; i + 1 < BALLOTS_NODES; i++) {
        if (!(at->accepted_by[i / 64] >> (i % 64) & 1)) continue;
        buffer_printf(out, "%s%u", first ? "" : ", ", i + 1);
        first = false;
    }
}

void ballots_print(const struct ballots *b, struct buffer *out) {
    buffer_printf(out, "[");
    for (size_t i = 0; i < b->count; i++) {
        const struct ballot *at = &b->all[i];
        buffer_printf(out, "%s{\"group\": %u, \"instance\": %" PRIu64 ", \"ballot\": %" PRIu64, i ? ",\n" : "",
                      at->group, at->instance, at->number);
        buffer_printf(out, ", \"round\": %" PRIu64 ", \"node\": %u, \"value\": \"%016" PRIx64 "\", \"quorum\": [",
                      at->number >> 16, (unsigned)(at->number & 0xffff), at->value);
        print_quorum(at, out);
        if (at->chosen_at < 0)
            buffer_printf(out, "], \"time\": null}");
        else
            buffer_printf(out, "], \"time\": %" PRId64 ".%09" PRId64 "}", at->chosen_at / 1000000000,
                          at->chosen_at % 1000000000);
    }
    buffer_printf(out, "]");
}
