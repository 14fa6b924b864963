/* What clients may ask of a node's process, on its main thread. An answer has the number of its question, and "status": 0,
 * or an error's number and its sentence as "error".
 *
 *   ask        role    answer
 *   status     read    cluster: its name; node: the node as it sees itself (live_hand_view.c)
 *   inspect    read    fields: the protocol's own
 *   trace      read    events: the last ones; last: how many (50), at most 2,000
 *   fault      admin   carried out what of the plan concerns this node, now or at its time; plan: see fault/plan.h
 *   stop       admin   the process ends once everything under way is on the disk */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/live/live_hand.h"
#include "runtime/live/live_hand_view.h"

#define TRACE_LINE 256
#define LAST_WORD_NS INT64_C(300000000) /* so that who said stop has read the answer: a reset would take it from him */
#define TRACE_MAX 2000                  /* events in one answer */
#define TRACE_DEFAULT 50                /* where none are asked for */

struct question {
    struct live *live;
    struct request *request;
    json_t *asked, *answer;
    struct error error;
};

static json_t *text_value(const char *text) {
    json_t *value = json_string(text);
    return value ? value : json_string("(not UTF-8)");
}

/* ---- answers ---- */

static void ask_status(struct question *q) {
    struct node_view v;
    live_class.view(q->live, q->live->hand->self, &v);
    v.refused = atomic_load(&q->live->refused); /* its thread shows them with its next input only */
    v.shut = atomic_load(&q->live->shut);
    v.unaccepted = atomic_load(&q->live->unaccepted);
    json_object_set_new(q->answer, "version", json_string(qrt_version()));
    json_object_set_new(q->answer, "cluster", json_string(q->live->hand->config->cluster));
    json_object_set_new(q->answer, "node", view_write(&v, live_node_count(q->live)));
}

static void ask_inspect(struct question *q) {
    struct order o = {.kind = ORDER_INSPECT};
    json_t *fields = json_object();
    live_order(q->live, q->live->hand->self, &o);
    for (size_t at = 0; at < o.data.size;) {
        const char *name = (char *)o.data.data + at, *value = name + strlen(name) + 1;
        json_object_set_new(fields, name, text_value(value));
        at += strlen(name) + strlen(value) + 2;
    }
    buffer_free(&o.data);
    json_object_set_new(q->answer, "fields", fields);
    if (o.status) error_set(&q->error, o.status, "the node is down");
}

static json_t *event_value(const qrt_event *e, uint64_t number) {
    char line[TRACE_LINE], value[20];
    trace_print(e, line, sizeof line);
    snprintf(value, sizeof value, "%016llx", (unsigned long long)e->value);
    return json_pack("{s:I, s:I, s:i, s:s, s:i, s:i, s:I, s:I, s:I, s:s, s:o}", "number", (json_int_t)number, "time",
                     (json_int_t)e->time, "node", e->node, "kind", trace_kind_name(e->kind), "detail", e->detail,
                     "peer", e->peer, "term", (json_int_t)e->term, "index", (json_int_t)e->index, "link",
                     (json_int_t)e->link, "value", value, "text", text_value(line));
}

static void ask_trace(struct question *q) {
    const struct trace *t = &q->live->trace;
    json_t *asked = json_object_get(q->asked, "last");
    json_int_t wanted = asked ? json_integer_value(asked) : TRACE_DEFAULT;
    if (wanted < 1) {
        error_set(&q->error, QRT_ERANGE, "the last events are counted from 1: ask for between 1 and %d", TRACE_MAX);
        return;
    }
    json_t *events = json_array();
    live_merge(q->live, true);
    uint64_t last = wanted < TRACE_MAX ? (uint64_t)wanted : TRACE_MAX, first = trace_first(t);
    if (t->count - first > last) first = t->count - last;
    for (uint64_t i = first; i < t->count; i++) json_array_append_new(events, event_value(trace_at(t, i), i));
    json_object_set_new(q->answer, "events", events);
}

/* Who is meant must be said by number, or be everybody or the leader: one node alone cannot draw among all. */
static bool each_can_tell(const struct plan *p, struct error *e) {
    for (size_t i = 0; i < p->count; i++) {
        if (directive_is_drawn(&p->directives[i]) || p->directives[i].shape == FAULT_RUNNER) {
            error_set(e, QRT_EUNSUPPORTED,
                      "nodes by hand carry out faults each for itself: name a node, \"leader\" or \"all\"");
            return false;
        }
    }
    return true;
}

static void ask_fault(struct question *q) {
    struct live *l = q->live;
    struct plan plan = {0};
    char *text = json_dumps(json_object_get(q->asked, "plan"), JSON_COMPACT | JSON_ENCODE_ANY);
    if (plan_parse(&plan, bytes_text(text ? text : ""), live_node_count(l), &q->error) ||
        !each_can_tell(&plan, &q->error))
        goto out;
    director_enter(l);
    live_fault_add(l, &plan, live_now(l));
    director_tick(l);
    pthread_cond_signal(&l->director.changed);
    pthread_mutex_unlock(&l->director.mutex);
out:
    plan_free(&plan);
    free(text);
}

static void ask_stop(struct question *q) {
    q->live->hand->stops = live_now(q->live) + LAST_WORD_NS;
}

static const struct {
    const char *name;
    uint8_t role;
    void (*answer)(struct question *q);
} questions[] = {
    {"status", HAND_READ, ask_status}, {"inspect", HAND_READ, ask_inspect}, {"trace", HAND_READ, ask_trace},
    {"fault", HAND_ADMIN, ask_fault},  {"stop", HAND_ADMIN, ask_stop},
};

/* ---- */

static void answer(struct question *q) {
    const char *name = json_string_value(json_object_get(q->asked, "ask"));
    const struct request *r = q->request;
    for (size_t i = 0; name && i < sizeof questions / sizeof *questions; i++) {
        if (strcmp(name, questions[i].name)) continue;
        if (r->role >= questions[i].role)
            questions[i].answer(q);
        else
            error_set(&q->error, QRT_EDENIED, "%s has the role %s; %s needs %s", r->name, hand_role_name(r->role), name,
                      hand_role_name(questions[i].role));
        return;
    }
    error_set(&q->error, QRT_EUNSUPPORTED, "this node, of version %s, knows no such question", qrt_version());
}

void hand_serve(struct live *l, struct request *r) {
    struct question q = {.live = l, .request = r};
    q.asked = json_loadb((char *)r->text.data, r->text.size, 0, NULL);
    if (!json_is_object(q.asked)) { /* no client of ours sends this */
        json_decref(q.asked);
        return;
    }
    q.answer = json_object();
    answer(&q);
    json_object_set(q.answer, "number", json_object_get(q.asked, "number"));
    json_object_set_new(q.answer, "status", json_integer(q.error.status));
    if (q.error.status) json_object_set_new(q.answer, "error", text_value(q.error.text));
    char *text = json_dumps(q.answer, JSON_COMPACT);
    struct order *o = mem_zero(1, sizeof *o);
    uint8_t size = (uint8_t)r->route_size;
    o->kind = ORDER_REPLY;
    buffer_append(&o->data, &r->fd, sizeof r->fd);
    buffer_append(&o->data, &size, 1);
    buffer_append(&o->data, r->route, r->route_size);
    buffer_append(&o->data, text, strlen(text));
    free(text);
    json_decref(q.answer);
    json_decref(q.asked);
    order_give(&l->nodes[l->hand->self].actor, o);
}
