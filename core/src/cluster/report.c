/* What users read, as JSON: the verdicts of a check, the table of nodes, one node's fields, a workload's figures. */
#include "cluster/cluster.h"
#include "cluster/transaction.h"
#include "cluster/values.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- check ---- */

static json_t *property_value(const char *name, const char *says, enum verdict v, const char *text, json_t *event,
                              json_t *time, uint16_t node) {
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:i}", "name", name, "says", says, "verdict", verdict_name(v),
                     "text", text_value(bytes_text(text)), "event", event, "time", time, "node", node);
}

static void add_step_properties(struct cluster *c, json_t *list) {
    size_t count = 0;
    const struct property *p = c->checkers ? checkers_properties(c->checkers, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        bool bad = p[i].verdict == VERDICT_VIOLATED;
        json_array_append_new(list, property_value(p[i].name, p[i].says, p[i].verdict, p[i].text,
                                                   bad ? json_integer((json_int_t)p[i].event) : json_null(),
                                                   bad ? seconds_value(p[i].time) : json_null(), p[i].node));
        worsen(&c->verdict, p[i].verdict);
    }
}

static json_t *history_value(const struct history *h, const struct linear_result *r) {
    size_t outcomes[4] = {0};
    for (size_t i = 0; i < h->count; i++) outcomes[h->operations[i].outcome & 3]++;
    json_t *v = json_pack("{s:I, s:I, s:I, s:I}", "operations", (json_int_t)h->count, "ok",
                          (json_int_t)outcomes[HISTORY_OK], "failed", (json_int_t)outcomes[HISTORY_FAILED], "unknown",
                          (json_int_t)(outcomes[HISTORY_UNKNOWN] + outcomes[HISTORY_PENDING]));
    if (r) {
        json_object_set_new(v, "prefix", json_integer((json_int_t)r->prefix_count));
        json_object_set_new(v, "states", json_integer((json_int_t)r->states));
        json_object_set_new(v, "seconds", json_real(r->seconds));
    }
    return v;
}

static void add_linearizability(struct cluster *c, json_t *list, const struct history *h,
                                const struct linear_result *r) {
    json_t *event = json_null(), *time = json_null();
    uint16_t node = 0;
    if (r->verdict == VERDICT_VIOLATED && r->bad < h->count) {
        const struct history_operation *op = &h->operations[r->bad];
        json_decref(time);
        time = seconds_value(op->return_ns);
        node = (uint16_t)(QRT_CLIENT + op->process);
    }
    json_array_append_new(
        list, property_value("linearizability", LINEARIZABILITY_SAYS, r->verdict, r->explanation, event, time, node));
    worsen(&c->verdict, r->verdict);
}

static void add_measures(struct cluster *c, json_t *root) {
    if (!c->checkers) return;
    struct agreement_measure m;
    if (!checkers_measure(c->checkers, c->class->now(c->runtime), &m)) return;
    json_object_set_new(root, "consistency",
                        json_pack("{s:f, s:o}", "share", m.consistent_share, "first_inconsistent",
                                  m.first_inconsistent < 0 ? json_null() : seconds_value(m.first_inconsistent)));
    json_object_set_new(root, "consensus",
                        json_pack("{s:o}", "at", m.consensus_at < 0 ? json_null() : seconds_value(m.consensus_at)));
}

static json_t *counts_value(const struct runtime_counts *n) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "delivered", (json_int_t)n->delivered,
                     "dropped", (json_int_t)n->dropped, "duplicated", (json_int_t)n->duplicated, "corrupted",
                     (json_int_t)n->corrupted, "lied", (json_int_t)n->lied, "reordered", (json_int_t)n->reordered,
                     "crashes", (json_int_t)n->crashes, "restarts", (json_int_t)n->restarts, "pauses",
                     (json_int_t)n->pauses, "wipes", (json_int_t)n->wipes, "raised", (json_int_t)n->raised, "faults",
                     (json_int_t)n->faults, "late", (json_int_t)n->late, "left_out", (json_int_t)n->left_out);
}

static void add_lateness(struct cluster *c) {
    struct node_view v;
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) {
        c->class->view(c->runtime, i, &v);
        bounds_late(c->bounds, i, v.late, v.late_at);
    }
}

bool report_assumption(struct cluster *c, json_t *root, char *text, size_t size) {
    if (!c->bounds) return false;
    if (c->runtime) add_lateness(c); /* a replay has none */
    const struct breach *b = bounds_first(c->bounds);
    if (b->at < 0) return false;
    snprintf(text, size, "assumption broken: %s at %.4g s; %s assumes that %s", b->how, (double)b->at / 1e9,
             c->config.protocol->name, b->assumes);
    json_object_set_new(root, "assumption",
                        json_pack("{s:s, s:s, s:o, s:o}", "assumes", b->assumes, "broken_by", b->how, "time",
                                  seconds_value(b->at), "text", text_value(bytes_text(text))));
    return true;
}

/* A live plan that could not be kept up with. */
static bool say_late(const struct runtime_counts *n, char *text, size_t size) {
    char node[32] = "";
    if (!n->late && !n->left_out) return false;
    if (n->late_node) snprintf(node, sizeof node, " of n%u", n->late_node);
    int at =
        snprintf(text, size, "the plan was ahead of its processes: %llu faults came late", (unsigned long long)n->late);
    if (n->late)
        at += snprintf(text + at, size - (size_t)at, ", the %s%s by %.3g s", fault_verb_name(n->late_verb), node,
                       (double)n->late_most / 1e9);
    if (n->left_out)
        snprintf(text + at, size - (size_t)at, "; %llu crashes and pauses, overdue by a second, were left out",
                 (unsigned long long)n->left_out);
    return true;
}

void report_check(struct cluster *c, const struct linear_result *linear) {
    const struct trace *t = c->class->trace(c->runtime);
    const struct history *h = c->class->history(c->runtime);
    json_t *list = json_array();
    char note[ERROR_TEXT_MAX];
    struct runtime_counts counts; /* taken once: a live cluster goes on */
    c->class->counts(c->runtime, &counts);
    c->verdict = VERDICT_OK;
    add_step_properties(c, list);
    if (linear && h->count) add_linearizability(c, list, h, linear);
    json_t *root = json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "verdict", verdict_name(c->verdict), "hash",
                             hash_value(trace_hash(t)), "events", (json_int_t)t->count, "time",
                             seconds_value(c->class->now(c->runtime)), "properties", list, "history",
                             history_value(h, linear), "counts", counts_value(&counts));
    add_measures(c, root);
    json_t *notes = json_array();
    if (report_assumption(c, root, note, sizeof note)) json_array_append_new(notes, json_string(note));
    if (say_late(&counts, note, sizeof note)) json_array_append_new(notes, json_string(note));
    json_object_set_new(root, "notes", notes);
    json_t *transactions = report_transactions(c);
    if (transactions) json_object_set_new(root, "transactions", transactions);
    dump_value(root, &c->report, 15);
}

/* ---- status ---- */

/* Where every member is as good as any other, nobody follows. */
static const char *role_word(const struct cluster *c, const struct node_view *v) {
    if (!v->up) return "down";
    if (!cluster_has_leaders(c) && v->status.role == QRT_ROLE_FOLLOWER) return "up";
    return trace_role_name(v->status.role);
}

static json_t *node_value(struct cluster *c, uint16_t node) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    const struct protocol_status *s = &v.status;
    json_t *o = json_pack("{s:i, s:b, s:b, s:s, s:I, s:i, s:I, s:I, s:I, s:I}", "node", node, "up", v.up, "paused",
                          v.paused, "role", role_word(c, &v), "term", (json_int_t)s->term, "leader", s->leader, "first",
                          (json_int_t)s->first, "last", (json_int_t)s->last, "commit", (json_int_t)s->commit, "applied",
                          (json_int_t)s->applied);
    json_t *counts = json_pack("{s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)v.counts.sent, "received",
                               (json_int_t)v.counts.received, "rejected", (json_int_t)v.counts.rejected, "persisted",
                               (json_int_t)v.counts.persisted, "bytes_sent", (json_int_t)v.counts.bytes_sent);
    json_object_update(o, counts);
    json_decref(counts);
    json_t *suspects = json_array();
    for (uint16_t i = 1; i <= 128; i++)
        if (v.suspects[(i - 1) / 64] >> (i - 1) % 64 & 1) json_array_append_new(suspects, json_integer(i));
    json_object_set_new(o, "suspects", suspects);
    if (c->config.options.transport) {
        json_object_set_new(o, "pid", json_integer(v.pid));
        json_t *own = json_pack("{s:I, s:I, s:I, s:I, s:I}", "refused", (json_int_t)v.refused, "shut",
                                (json_int_t)v.shut, "unaccepted", (json_int_t)v.unaccepted, "memory",
                                (json_int_t)v.memory, "memory_budget", (json_int_t)v.memory_budget);
        json_object_update(o, own);
        json_decref(own);
    }
    if (*c->config.options.capture || v.captured || v.uncaptured)
        json_object_set_new(o, "capture",
                            json_pack("{s:I, s:I, s:o}", "bytes", (json_int_t)v.captured, "lost",
                                      (json_int_t)v.uncaptured, "why", text_value(bytes_text(v.why_uncaptured))));
    if (v.metrics_port) json_object_set_new(o, "metrics_port", json_integer(v.metrics_port));
    char warning[ERROR_TEXT_MAX] = "";
    view_warning_text(&v, warning, sizeof warning);
    json_t *disk = json_pack("{s:b, s:I, s:I, s:I}", "full", v.full, "reserve", (json_int_t)v.reserve, "refused",
                             (json_int_t)v.counts.disk_refused, "skipped", (json_int_t)v.skipped);
    json_object_set_new(o, "disk", disk);
    json_object_set_new(o, "other_version", json_integer((json_int_t)v.counts.other_version));
    json_object_set_new(o, "warning", text_value(bytes_text(warning)));
    json_object_set_new(o, "why_down", text_value(bytes_text(v.why_down)));
    return o;
}

const char *report_status(struct cluster *c) {
    char why[ERROR_TEXT_MAX] = "", headline[2 * ERROR_TEXT_MAX], full[ERROR_TEXT_MAX / 2];
    uint16_t leader = c->class->leader(c->runtime);
    if (!leader) cluster_no_leader(c, why, sizeof why);
    if (leader)
        snprintf(headline, sizeof headline, "n%u leads", leader);
    else
        snprintf(headline, sizeof headline, "%s%s", cluster_has_leaders(c) ? "no leader: " : "", why);
    if (cluster_full(c, full, sizeof full)) {
        size_t length = strlen(headline);
        snprintf(headline + length, sizeof headline - length, "; %s", full);
    }
    struct runtime_counts counts;
    c->class->counts(c->runtime, &counts);
    json_t *nodes = json_array(), *options = json_object();
    for (uint16_t i = 1; i <= c->config.options.nodes; i++) json_array_append_new(nodes, node_value(c, i));
    add_options(options, &cluster_option_table, &c->config.options, NULL);
    add_options(options, &c->config.protocol->options, c->protocol_options, NULL);
    json_t *root = json_pack("{s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "protocol", c->config.protocol->name,
                             "runtime", c->class->name, "machine", text_value(bytes_text(c->config.machine->name)),
                             "now", seconds_value(c->class->now(c->runtime)), "leader", leader, "reason",
                             text_value(bytes_text(why)), "headline", text_value(bytes_text(headline)), "nodes", nodes,
                             "counts", counts_value(&counts), "options", options);
    dump_value(root, &c->text, 15);
    return (const char *)c->text.data;
}

static void inspect_field(void *context, const char *name, const char *value) {
    json_object_set_new(context, name, text_value(bytes_text(value)));
}

static void say_no_state(struct cluster *c, uint16_t node, struct error *e) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    if (c->afar && *v.why_down)
        error_set(e, v.denied ? QRT_EDENIED : QRT_EDOWN, "n%u: %s", node, v.why_down);
    else
        error_set(e, QRT_EDOWN, "n%u is down: a crashed node has no state to show; restart it first", node);
}

const char *report_inspect(struct cluster *c, uint16_t node, struct error *e) {
    if (node < 1 || node > c->config.options.nodes) {
        error_set(e, QRT_ENOTFOUND, "there is no node %u; nodes are 1 to %lld", node,
                  (long long)c->config.options.nodes);
        return NULL;
    }
    json_t *root = json_object();
    if (!c->class->inspect(c->runtime, node, inspect_field, root)) {
        json_decref(root);
        say_no_state(c, node, e);
        return NULL;
    }
    dump_value(root, &c->text, 15);
    return (const char *)c->text.data;
}

static void add_text(void *context, const char *text) {
    json_t *value = json_string(text);
    json_array_append_new(context, value ? value : json_string("a traceback that is no UTF-8"));
}

const char *report_tracebacks(struct cluster *c) {
    json_t *root = json_array();
    if (c->class->tracebacks) c->class->tracebacks(c->runtime, add_text, root);
    dump_value(root, &c->text, 15);
    return (const char *)c->text.data;
}

/* ---- load ---- */

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static json_t *latency_value(int64_t *times, size_t count) {
    qsort(times, count, sizeof *times, compare_times);
    const struct {
        const char *name;
        double share;
    } points[] = {{"p50", .5}, {"p99", .99}, {"p999", .999}, {"max", 1}};
    json_t *o = json_object();
    for (size_t i = 0; i < 4; i++) {
        size_t at = count ? (size_t)((double)(count - 1) * points[i].share + 0.5) : 0;
        json_object_set_new(o, points[i].name, count ? seconds_value(times[at]) : json_null());
    }
    return o;
}

const char *report_load(struct cluster *c) {
    const struct history *h = c->class->history(c->runtime);
    int64_t *times = mem_alloc((h->count + 1) * sizeof *times);
    size_t outcomes[4] = {0}, timed = 0, by_operation[COMMAND_PROPOSE + 1] = {0};
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *op = &h->operations[i];
        outcomes[op->outcome & 3]++;
        if (op->function <= COMMAND_PROPOSE) by_operation[op->function]++;
        if (op->outcome == HISTORY_OK) times[timed++] = op->return_ns - op->invoke_ns;
    }
    json_t *each = json_object();
    for (uint8_t f = 1; f <= COMMAND_PROPOSE; f++)
        if (by_operation[f] && command_name(f))
            json_object_set_new(each, command_name(f), json_integer((json_int_t)by_operation[f]));
    json_t *root = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "clients",
                             (json_int_t)(c->loaded ? c->workload.clients : 0), "operations", (json_int_t)h->count,
                             "ok", (json_int_t)outcomes[HISTORY_OK], "failed", (json_int_t)outcomes[HISTORY_FAILED],
                             "unknown", (json_int_t)(outcomes[HISTORY_UNKNOWN] + outcomes[HISTORY_PENDING]), "latency",
                             latency_value(times, timed), "by_operation", each);
    free(times);
    dump_value(root, &c->text, 15);
    return (const char *)c->text.data;
}
