#include "cluster/bounds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define SENT_MAX 65536 /* messages on their way; of more the oldest are forgotten, and a delay may be missed */
#define WRITES_MAX 64  /* of a node, at a time; likewise */

static const char bounded[] = "messages and steps take no longer than a known bound";

struct sent {
    uint64_t link;
    int64_t at;
};

struct write {
    uint64_t ticket;
    int64_t due; /* when it must be durable */
};

struct watched {
    int64_t received, sent; /* of the last message: its step, and its sending */
    struct write writes[WRITES_MAX];
};

struct bounds {
    const struct fault_model *model;
    struct trace_sink checkers;
    int64_t bound;
    uint16_t nodes;
    struct sent sent[SENT_MAX];
    struct breach first;
    struct watched watched[]; /* [1..nodes] */
};

__attribute__((format(printf, 4, 5))) static void breach(struct bounds *b, const char *assumes, int64_t at,
                                                         const char *format, ...) {
    va_list args;
    if (b->first.at >= 0 && b->first.at <= at) return;
    b->first = (struct breach){.at = at, .assumes = assumes};
    va_start(args, format);
    vsnprintf(b->first.how, sizeof b->first.how, format, args);
    va_end(args);
}

static double ms(int64_t ns) {
    return (double)ns / 1e6;
}

static bool between_nodes(const struct bounds *b, const qrt_event *e) {
    return e->node >= 1 && e->node <= b->nodes && e->peer >= 1 && e->peer <= b->nodes;
}

static struct sent *place_of(struct bounds *b, uint64_t link) {
    return &b->sent[hash_bytes(&link, sizeof link, 0) % SENT_MAX];
}

static void on_receive(struct bounds *b, const qrt_event *e) {
    const struct sent *s = place_of(b, e->link);
    struct watched *w = &b->watched[e->node];
    w->received = w->sent = e->time;
    if (s->link != e->link) return;
    w->sent = s->at;
    if (e->time - s->at > b->bound)
        breach(b, bounded, e->time, "delay bound %.4g ms, n%u to n%u took %.4g ms", ms(b->bound), e->peer, e->node,
               ms(e->time - s->at));
}

/* What a message made a node write counts from the message's sending. */
static void on_persist(struct bounds *b, const qrt_event *e) {
    struct watched *w = &b->watched[e->node];
    int64_t since = w->received == e->time ? w->sent : e->time;
    w->writes[e->link % WRITES_MAX] = (struct write){e->link, since + b->bound};
}

static void on_stored(struct bounds *b, const qrt_event *e) {
    const struct write *w = &b->watched[e->node].writes[e->link % WRITES_MAX];
    if (w->ticket != e->link || e->time <= w->due) return;
    breach(b, bounded, e->time, "delay bound %.4g ms, n%u took %.4g ms until what a message made it write was durable",
           ms(b->bound), e->node, ms(e->time - w->due + b->bound));
}

/* By its verb: whom it hits, and for how long, does not matter. Of crashes the disk's fate does, which their events have. */
static void on_fault(struct bounds *b, const qrt_event *e) {
    if (e->detail == FAULT_CRASH || e->detail == FAULT_RESTART) return;
    const char *assumes = directive_breaks(&(struct directive){.verb = e->detail}, b->model);
    if (assumes) breach(b, assumes, e->time, "a fault of the plan: %s", fault_verb_name(e->detail));
}

static void on_crash(struct bounds *b, const qrt_event *e) {
    struct directive d = {.verb = FAULT_CRASH, .disk = e->detail, .guarded = true};
    const char *assumes = directive_breaks(&d, b->model);
    if (assumes) breach(b, assumes, e->time, "the crash of n%u", e->node);
}

static void on_event(void *context, const qrt_event *e, uint64_t number) {
    struct bounds *b = context;
    bool node = e->node >= 1 && e->node <= b->nodes;
    if (e->kind == QRT_KIND_SEND && between_nodes(b, e)) *place_of(b, e->link) = (struct sent){e->link, e->time};
    if (e->kind == QRT_KIND_RECEIVE && between_nodes(b, e)) on_receive(b, e);
    if (e->kind == QRT_KIND_PERSIST && node) on_persist(b, e);
    if (e->kind == QRT_KIND_STORED && node) on_stored(b, e);
    if (e->kind == QRT_KIND_FAULT) on_fault(b, e);
    if (e->kind == QRT_KIND_CRASH && node) on_crash(b, e);
    if (e->kind == QRT_KIND_DROP && e->detail == QRT_DROP_FULL && between_nodes(b, e) && !b->model->tolerates_loss)
        breach(b, "no message is lost", e->time, "n%u to n%u lost one: its queue was full, or its link did not stand",
               e->peer, e->node);
    if (b->checkers.kinds >> e->kind & 1) b->checkers.event(b->checkers.context, e, number);
}

struct bounds *bounds_new(const struct fault_model *model, uint16_t nodes, int64_t bound, struct trace_sink checkers) {
    struct bounds *b = mem_zero(1, sizeof *b + ((size_t)nodes + 1) * sizeof b->watched[0]);
    b->model = model;
    b->checkers = checkers;
    b->bound = bound;
    b->nodes = nodes;
    b->first.at = -1;
    return b;
}

void bounds_free(struct bounds *b) {
    free(b);
}

struct trace_sink bounds_sink(struct bounds *b) {
    static const uint8_t kinds[] = {QRT_KIND_SEND,  QRT_KIND_RECEIVE, QRT_KIND_PERSIST, QRT_KIND_STORED,
                                    QRT_KIND_FAULT, QRT_KIND_CRASH,   QRT_KIND_DROP};
    struct trace_sink sink = {b->checkers.kinds, on_event, b};
    for (size_t i = 0; i < sizeof kinds; i++) sink.kinds |= UINT64_C(1) << kinds[i];
    return sink;
}

void bounds_late(struct bounds *b, uint16_t node, int64_t late, int64_t at) {
    if (late > b->bound)
        breach(b, bounded, at, "delay bound %.4g ms, a timer of n%u rang %.4g ms late", ms(b->bound), node, ms(late));
}

const struct breach *bounds_first(const struct bounds *b) {
    return &b->first;
}
