/* The trace as an immutable snapshot of columns. */
#include <stdlib.h>
#include <string.h>

#include "abi/abi_cluster.h"
#include "check/ballots.h"
#include "check/explain.h"
#include "trace/diagram.h"

#define DRAWN_MAX 150 /* of the 300 that a diagram holds: what still reads well */

struct qrt_trace {
    struct handle handle;
    qrt_columns columns;
    void *memory;       /* all columns, one block */
    struct trace trace; /* shares its blocks with the cluster's; for lines and diagrams */
    uint16_t nodes;
    struct quorum_rule quorum; /* the cluster's */
    uint64_t first_bad;        /* the first violation; UINT64_MAX: none */
    struct buffer svg, ballots;
};

/* One block, the 8-byte columns first, so that all are aligned. */
static void lay_out(qrt_trace *t, size_t n) {
    uint8_t *at = t->memory = mem_alloc(n * 48 + 8);
    qrt_columns *c = &t->columns;
    c->time = (const int64_t *)(void *)at;
    c->term = (const uint64_t *)(void *)(at + 8 * n);
    c->index = (const uint64_t *)(void *)(at + 16 * n);
    c->link = (const uint64_t *)(void *)(at + 24 * n);
    c->value = (const uint64_t *)(void *)(at + 32 * n);
    c->node = (const uint16_t *)(void *)(at + 40 * n);
    c->group = (const uint16_t *)(void *)(at + 42 * n);
    c->peer = (const uint16_t *)(void *)(at + 44 * n);
    c->kind = at + 46 * n;
    c->detail = at + 47 * n;
    c->count = n;
}

static void fill(qrt_trace *t, size_t n) {
    uint8_t *at = t->memory;
    int64_t *time = (int64_t *)(void *)at;
    uint64_t *term = (uint64_t *)(void *)(at + 8 * n), *index = term + n, *link = index + n, *value = link + n;
    uint16_t *node = (uint16_t *)(void *)(at + 40 * n), *group = node + n, *peer = group + n;
    uint8_t *kind = at + 46 * n, *detail = kind + n;
    for (size_t i = 0; i < n; i++) {
        const qrt_event *e = trace_at(&t->trace, t->columns.first + i);
        time[i] = e->time;
        term[i] = e->term;
        index[i] = e->index;
        link[i] = e->link;
        value[i] = e->value;
        node[i] = e->node;
        group[i] = e->group;
        peer[i] = e->peer;
        kind[i] = e->kind;
        detail[i] = e->detail;
    }
}

static uint64_t first_violation(const struct cluster *c) {
    size_t count = 0;
    uint64_t first = UINT64_MAX;
    const struct property *p = c->checkers ? checkers_properties(c->checkers, &count) : NULL;
    for (size_t i = 0; i < count; i++)
        if (p[i].verdict == VERDICT_VIOLATED && p[i].event < first) first = p[i].event;
    return first;
}

static void trace_end(struct handle *h) {
    qrt_trace *t = (qrt_trace *)h;
    free(t->memory);
    trace_free(&t->trace);
    buffer_free(&t->svg);
    buffer_free(&t->ballots);
}

qrt_trace *trace_snapshot(const struct trace *from, const struct cluster *c, uint64_t bad) {
    qrt_trace *t = mem_zero(1, sizeof *t);
    uint64_t first = trace_first(from);
    size_t n = (size_t)(from->count - first);
    handle_init(&t->handle, HANDLE_TRACE, trace_end);
    trace_clone(&t->trace, from);
    lay_out(t, n);
    t->columns.first = first;
    fill(t, n);
    t->nodes = (uint16_t)c->config.options.nodes;
    t->quorum = c->config.quorum;
    t->first_bad = bad != UINT64_MAX ? bad : first_violation(c);
    return t;
}

QRT_API qrt_status qrt_cluster_trace(qrt_cluster *c, qrt_trace **out) {
    qrt_status s = handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER);
    if (s) return s;
    if (!out) return handle_leave(&c->handle, error_set(&c->handle.error, QRT_EINVAL, "out must not be NULL"));
    *out = trace_snapshot(c->cluster->class->trace(c->cluster->runtime), c->cluster, UINT64_MAX);
    return handle_leave(&c->handle, QRT_OK);
}

QRT_API void qrt_trace_free(qrt_trace **t) {
    if (t && *t && handle_free(&(*t)->handle, HANDLE_TRACE)) *t = NULL;
}

QRT_API const qrt_columns *qrt_trace_columns(const qrt_trace *t) {
    return t && handle_open(&t->handle, HANDLE_TRACE) ? &t->columns : NULL;
}

QRT_API size_t qrt_trace_line(const qrt_trace *t, size_t i, char *out, size_t size) {
    if (!t || !handle_open(&t->handle, HANDLE_TRACE) || i >= t->columns.count || !out || !size) return 0;
    int n = trace_print(trace_at(&t->trace, t->columns.first + i), out, size);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* What matters when nobody says: the first violation, else the last time that somebody came to lead, else the end. */
static uint64_t focus_of(const qrt_trace *t, uint64_t around) {
    if (around != UINT64_MAX) return around;
    if (t->first_bad != UINT64_MAX) return t->first_bad;
    for (size_t i = t->columns.count; i-- > 0;)
        if (t->columns.kind[i] == QRT_KIND_ROLE && t->columns.detail[i] == QRT_ROLE_LEADER) return t->columns.first + i;
    return t->columns.first + (t->columns.count ? t->columns.count - 1 : 0);
}

/* The nodes, and those clients that take part in what was chosen. */
static size_t columns_of(const qrt_trace *t, const qrt_event *events, size_t count, uint16_t *columns, size_t room) {
    size_t n = 0;
    for (uint16_t i = 1; i <= t->nodes && n < room; i++) columns[n++] = i;
    for (size_t i = 0; i < count; i++) {
        bool known = events[i].node < QRT_CLIENT;
        for (size_t k = 0; k < n && !known; k++) known = columns[k] == events[i].node;
        if (!known && n < room) columns[n++] = events[i].node;
    }
    return n;
}

static void draw(qrt_trace *t, uint64_t focus) {
    uint64_t numbers[EXPLAIN_MAX], highlight = DIAGRAM_NONE;
    qrt_event events[EXPLAIN_MAX];
    uint16_t columns[FAULT_NODES_MAX + 16];
    size_t count = explain_events(&t->trace, focus, numbers, DRAWN_MAX);
    for (size_t i = 0; i < count; i++) {
        events[i] = *trace_at(&t->trace, numbers[i]);
        if (numbers[i] == focus) highlight = i;
    }
    size_t n = columns_of(t, events, count, columns, sizeof columns / sizeof *columns);
    diagram_svg(events, count, columns, n, highlight, &t->svg);
}

QRT_API const char *qrt_trace_svg(qrt_trace *t, uint64_t around) {
    if (handle_enter(t ? &t->handle : NULL, HANDLE_TRACE)) return NULL;
    uint64_t focus = focus_of(t, around);
    buffer_clear(&t->svg);
    if (focus < t->columns.first || focus - t->columns.first >= t->columns.count) {
        error_set(&t->handle.error, QRT_ENOTFOUND, "event %llu was not recorded; recorded are %llu to %llu",
                  (unsigned long long)focus, (unsigned long long)t->columns.first,
                  (unsigned long long)(t->columns.first + t->columns.count));
        handle_leave(&t->handle, QRT_ENOTFOUND);
        return NULL;
    }
    draw(t, focus);
    handle_leave(&t->handle, QRT_OK);
    return buffer_text(&t->svg);
}

QRT_API const char *qrt_trace_svg_between(qrt_trace *t, uint64_t first, uint64_t last) {
    if (handle_enter(t ? &t->handle : NULL, HANDLE_TRACE)) return NULL;
    uint64_t kept = t->columns.first, end = kept + t->columns.count;
    uint16_t columns[FAULT_NODES_MAX + 16];
    if (first < kept || last < first || last >= end || last - first >= EXPLAIN_MAX) {
        error_set(&t->handle.error, QRT_ERANGE,
                  "a picture of events %llu to %llu: recorded are %llu to %llu, and at most %d are drawn",
                  (unsigned long long)first, (unsigned long long)last, (unsigned long long)kept,
                  (unsigned long long)end, EXPLAIN_MAX);
        handle_leave(&t->handle, QRT_ERANGE);
        return NULL;
    }
    size_t count = (size_t)(last - first + 1);
    qrt_event *events = mem_alloc(count * sizeof *events);
    for (size_t i = 0; i < count; i++) events[i] = *trace_at(&t->trace, first + i);
    size_t n = columns_of(t, events, count, columns, sizeof columns / sizeof *columns);
    buffer_clear(&t->svg);
    diagram_svg(events, count, columns, n, DIAGRAM_NONE, &t->svg);
    free(events);
    handle_leave(&t->handle, QRT_OK);
    return buffer_text(&t->svg);
}

QRT_API const char *qrt_trace_ballots(qrt_trace *t) {
    if (handle_enter(t ? &t->handle : NULL, HANDLE_TRACE)) return NULL;
    struct ballots b;
    ballots_init(&b, t->nodes, quorum_rule_writes, &t->quorum);
    for (size_t i = 0; i < t->columns.count; i++) ballots_event(&b, trace_at(&t->trace, t->columns.first + i));
    buffer_clear(&t->ballots);
    ballots_print(&b, &t->ballots);
    ballots_free(&b);
    handle_leave(&t->handle, QRT_OK);
    return buffer_text(&t->ballots);
}
