/* The registry of checkers, and the sink that feeds them. All properties of all checkers stand in one array,
 * in the order of the registry; each checker's judge points at its own part of it. */
#include "check/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "check/checker.h"

static const struct checker *const registry[] = {&raft_checker,    &atomic_checker,   &consensus_checker,
                                                 &primary_checker, &election_checker, &leaders_checker};
enum { CHECKERS = sizeof registry / sizeof *registry, RAFT = 0 };

struct checkers {
    struct property *properties; /* of those that judge */
    size_t property_count;
    struct judge judges[CHECKERS];
    void *states[CHECKERS]; /* NULL: does not judge this run */
};

const char *checkers_name(size_t i) {
    return i < CHECKERS ? registry[i]->name : NULL;
}

static void properties_list(struct checkers *c) {
    for (size_t i = 0; i < CHECKERS; i++)
        if (c->states[i]) c->property_count += registry[i]->property_count;
    c->properties = mem_zero(c->property_count + 1, sizeof *c->properties);
    struct property *p = c->properties;
    for (size_t i = 0; i < CHECKERS; i++) {
        c->judges[i].properties = p;
        for (size_t k = 0; c->states[i] && k < registry[i]->property_count; k++, p++) {
            p->name = registry[i]->properties[k].name;
            p->says = registry[i]->properties[k].says;
        }
    }
}

struct checkers *checkers_new(const struct check_config *config) {
    struct checkers *c = mem_zero(1, sizeof *c);
    for (size_t i = 0; i < CHECKERS; i++)
        if (!config->judged_by || text_lists(config->judged_by, registry[i]->name))
            c->states[i] = registry[i]->create(config);
    properties_list(c);
    return c;
}

void checkers_free(struct checkers *c) {
    if (!c) return;
    for (size_t i = 0; i < CHECKERS; i++)
        if (c->states[i]) registry[i]->destroy(c->states[i]);
    free(c->properties);
    free(c);
}

struct checkers *checkers_clone(const struct checkers *from) {
    struct checkers *c = mem_copy(from, sizeof *from);
    c->properties = mem_copy(from->properties, (from->property_count + 1) * sizeof *from->properties);
    for (size_t i = 0; i < CHECKERS; i++) {
        c->judges[i].properties = c->properties + (from->judges[i].properties - from->properties);
        if (c->states[i]) c->states[i] = registry[i]->clone(from->states[i]);
    }
    return c;
}

void judge_violate(struct judge *j, size_t property, const char *format, ...) {
    struct property *p = &j->properties[property];
    if (p->verdict != VERDICT_OK) return;
    p->verdict = VERDICT_VIOLATED;
    p->event = j->number;
    p->time = j->event->time;
    p->node = j->event->node;
    va_list args;
    va_start(args, format);
    vsnprintf(p->text, sizeof p->text, format, args);
    va_end(args);
    j->violated = true;
}

static void properties_unknown(struct judge *j, size_t count) {
    for (size_t k = 0; k < count; k++) {
        struct property *p = &j->properties[k];
        if (p->verdict != VERDICT_OK) continue;
        p->verdict = VERDICT_UNKNOWN;
        snprintf(p->text, sizeof p->text, "the memory budget of the checkers was spent at event %llu",
                 (unsigned long long)j->number);
    }
}

static void on_event(void *context, const qrt_event *e, uint64_t number) {
    struct checkers *c = context;
    for (size_t i = 0; i < CHECKERS; i++) {
        if (!c->states[i] || !(registry[i]->kinds >> e->kind & 1)) continue;
        struct judge *j = &c->judges[i];
        bool spent = j->spent;
        j->event = e;
        j->number = number;
        registry[i]->event(c->states[i], j, e);
        if (__builtin_expect(j->spent && !spent, 0)) properties_unknown(j, registry[i]->property_count);
    }
}

struct trace_sink checkers_sink(struct checkers *c) {
    struct trace_sink sink = {.event = on_event, .context = c};
    for (size_t i = 0; i < CHECKERS; i++)
        if (c->states[i]) sink.kinds |= registry[i]->kinds;
    return sink;
}

const struct property *checkers_properties(const struct checkers *c, size_t *count) {
    *count = c->property_count;
    return c->properties;
}

const void *checkers_state(const struct checkers *c, const struct checker *checker) {
    for (size_t i = 0; c && i < CHECKERS; i++)
        if (registry[i] == checker) return c->states[i];
    return NULL;
}

bool checkers_violated(const struct checkers *c) {
    bool violated = false;
    for (size_t i = 0; i < CHECKERS; i++) violated |= c->judges[i].violated;
    return violated;
}

bool checkers_measure(const struct checkers *c, int64_t now, struct agreement_measure *m) {
    *m = (struct agreement_measure){.consensus_at = -1, .first_inconsistent = -1};
    if (c->states[RAFT]) raft_checker_measure(c->states[RAFT], now, m);
    return c->states[RAFT] != NULL;
}
