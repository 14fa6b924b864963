#include "support/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/cluster.h"

static size_t parse_settings(char *text, struct setting *settings) {
    size_t count = 0;
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        char *value = strchr(word, '=');
        assert_true(value && count < 32);
        *value++ = 0;
        settings[count++] = (struct setting){word, value};
    }
    return count;
}

static void step(struct steps *s, struct event *e) {
    outbox_clear(&s->out);
    e->mono = s->mono;
    s->protocol->step(s->state, e, &s->out);
}

static struct steps *create(const struct protocol *p, uint16_t node, uint16_t count, const char *options,
                            uint64_t bugs) {
    struct steps *s = mem_zero(1, sizeof *s);
    struct setting settings[32];
    struct error e = {0};
    uint16_t members[FAULT_NODES_MAX];
    void *values = mem_zero(1, p->options_size);
    char *text = mem_string(options ? options : "");
    size_t n = parse_settings(text, settings);
    for (uint16_t i = 0; i < count; i++) members[i] = (uint16_t)(i + 1);
    option_defaults(&p->options, values);
    for (size_t i = 0; i < n; i++)
        if (option_set(&p->options, &values, 1, settings[i].name, settings[i].value, &e)) fail_msg("%s", e.text);
    struct protocol_config config = {.node = node, .members = members, .member_count = count, .seed = 1, .bugs = bugs};
    config.options = values;
    s->protocol = p;
    s->node = node;
    s->out.node = node;
    s->state = p->create(&config);
    free(values);
    free(text);
    return s;
}

struct steps *steps_new(const char *protocol, uint16_t node, uint16_t count, const char *options, uint64_t bugs) {
    struct steps *s = create(protocol_find(protocol), node, count, options, bugs);
    steps_start(s, QRT_START_FORMAT);
    return s;
}

struct steps *steps_recovered(const struct steps *from, uint16_t count) {
    struct steps *s = create(from->protocol, from->node, count, NULL, 0);
    for (size_t i = 0; i < from->out.count; i++) {
        if (from->out.effects[i].kind != FX_PERSIST) continue;
        struct event e = {.kind = EVENT_RECORD};
        e.as.record.data = outbox_bytes(&from->out, &from->out.effects[i]);
        step(s, &e);
    }
    steps_start(s, QRT_START_RECOVERED);
    return s;
}

void steps_free(struct steps *s) {
    s->protocol->destroy(s->state);
    outbox_free(&s->out);
    free(s);
}

void steps_start(struct steps *s, uint8_t how) {
    struct event e = {.kind = EVENT_START};
    e.as.start.how = how;
    step(s, &e);
}

void steps_message(struct steps *s, uint16_t from, struct message *m) {
    struct event e = {.kind = EVENT_MESSAGE};
    m->from = from;
    m->to = s->node;
    e.as.message = m;
    step(s, &e);
}

void steps_propose(struct steps *s, uint64_t token, const char *value) {
    struct event e = {.kind = EVENT_PROPOSE};
    e.as.propose.token = token;
    e.as.propose.kind = ENTRY_OPAQUE;
    e.as.propose.data = bytes_text(value);
    step(s, &e);
}

void steps_timer(struct steps *s, uint32_t id) {
    struct event e = {.kind = EVENT_TIMER};
    e.as.timer.id = id;
    step(s, &e);
}

void steps_stored(struct steps *s) {
    struct {
        uint64_t index, term;
    } cookies[64];
    size_t count = 0;
    for (size_t i = 0; i < s->out.count && count < 64; i++) {
        if (s->out.effects[i].kind != FX_PERSIST) continue;
        cookies[count].index = s->out.effects[i].index;
        cookies[count++].term = s->out.effects[i].term;
    }
    for (size_t i = 0; i < count; i++) {
        struct event e = {.kind = EVENT_STORED};
        e.as.stored.index = cookies[i].index;
        e.as.stored.term = cookies[i].term;
        step(s, &e);
    }
}

static bool decode(const struct steps *s, size_t i, struct message *m) {
    const struct effect *e = &s->out.effects[i];
    return e->kind == FX_SEND && wire_decode_unsealed(outbox_bytes(&s->out, e), m);
}

struct message steps_sent(const struct steps *s, uint8_t kind, size_t i) {
    struct message m = {0};
    for (size_t k = 0; k < s->out.count; k++)
        if (decode(s, k, &m) && m.kind == kind && i-- == 0) return m;
    fail_msg("no such message '%s'", wire_kind_name(kind));
    return m;
}

size_t steps_count(const struct steps *s, uint8_t effect) {
    size_t count = 0;
    for (size_t i = 0; i < s->out.count; i++) count += s->out.effects[i].kind == effect;
    return count;
}

size_t steps_count_sent(const struct steps *s, uint8_t kind) {
    struct message m;
    size_t count = 0;
    for (size_t i = 0; i < s->out.count; i++) count += decode(s, i, &m) && m.kind == kind;
    return count;
}

size_t steps_count_noted(const struct steps *s, uint8_t kind) {
    size_t count = 0;
    for (size_t i = 0; i < s->out.count; i++) count += s->out.effects[i].kind == FX_NOTE && s->out.effects[i].a == kind;
    return count;
}

size_t steps_place(const struct steps *s, uint8_t effect) {
    for (size_t i = 0; i < s->out.count; i++)
        if (s->out.effects[i].kind == effect) return i;
    return SIZE_MAX;
}

struct cluster *steps_cluster(const char *protocol, const char *options) {
    struct setting settings[32];
    struct error e = {0};
    char *text = mem_string(options);
    size_t count = parse_settings(text, settings);
    struct cluster *c = cluster_new(protocol, settings, count, NULL, &e);
    if (!c) fail_msg("%s: %s", options, e.text);
    free(text);
    return c;
}

size_t steps_traced(struct cluster *c, uint8_t kind, uint8_t low, uint8_t high) {
    const struct trace *t = c->class->trace(c->runtime);
    size_t count = 0;
    for (uint64_t i = trace_first(t); i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        count += e->kind == kind && e->detail >= low && e->detail <= high;
    }
    return count;
}

void steps_expect_sound(struct cluster *c) {
    size_t count;
    const struct property *p = checkers_properties(c->checkers, &count);
    for (size_t i = 0; i < count; i++)
        if (p[i].verdict != VERDICT_OK) fail_msg("%s: %s", p[i].name, p[i].text);
}
