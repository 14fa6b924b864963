/* Captures: what a cluster writes about itself, and the replay with its report. */
#include "cluster/capture_replay.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/values.h"

#define SETTINGS_MAX 256
#define HISTORY_SLICE 20000 /* records read at a time, some milliseconds */
#define KEEP 20000          /* of the last events: a megabyte */
#define CHECK_SECONDS 60.0  /* that the history's check may take, as that of a live cluster */

/* ---- capture.json ---- */

/* Where the run lived is no part of what its nodes did. */
static bool of_nodes(const char *name) {
    static const char *const others[] = {"runtime", "transport",   "curve", "data", "capture", "capture_size",
                                         "record",  "record_last", "check", "log",  "metrics"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(name, others[i])) return false;
    return true;
}

qrt_status cluster_capture(struct cluster *c, bool own, bool shared, struct error *e) {
    struct cluster_options *o = &c->config.options;
    if (own)
        return error_set(
            e, QRT_EUNSUPPORTED,
            "a protocol or state machine of your own cannot be captured: a replay would not have its code");
    if (options_absolute(o->capture, sizeof o->capture, e)) return e->status;
    json_t *options = json_object();
    add_options(options, &cluster_option_table, o, of_nodes);
    add_options(options, &c->config.protocol->options, c->protocol_options, of_nodes);
    if (o->disk != DISK_MEMORY) json_object_del(options, "disk"); /* whichever it is */
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s, s:b, s:o}", "quorate", qrt_version(), "capture", CAPTURE_FORMAT, "protocol",
                  c->config.protocol->name, "runtime", c->class->name, "clients", !shared, "options", options);
    char *text = json_dumps(root, JSON_INDENT(1));
    qrt_status status = capture_begin(o->capture, bytes_text(text), shared, e);
    free(text);
    json_decref(root);
    return status;
}

static qrt_status parse_about(const struct buffer *about, const char *folder, json_t **root, struct error *e) {
    json_error_t why;
    int format = 0;
    const char *version = "", *protocol;
    json_t *options;
    *root = json_loadb((const char *)about->data, about->size, 0, &why);
    if (!*root)
        return error_set(e, QRT_EPARSE, "%s/" CAPTURE_FILE ", line %d, column %d: %s", folder, why.line, why.column,
                         why.text);
    if (json_unpack(*root, "{s:s, s:i, s:s, s:o}", "quorate", &version, "capture", &format, "protocol", &protocol,
                    "options", &options) ||
        !json_is_object(options))
        return error_set(e, QRT_EPARSE, "%s/" CAPTURE_FILE " does not describe a capture", folder);
    if (format == CAPTURE_FORMAT) return QRT_OK;
    return error_set(e, format > CAPTURE_FORMAT ? QRT_ENEWER : QRT_EUNSUPPORTED,
                     "the capture in %s has format %d, of Quorate %s; this version reads format %d", folder, format,
                     version, CAPTURE_FORMAT);
}

static struct cluster *configure(json_t *root, const char *bug, struct error *e) {
    struct setting settings[SETTINGS_MAX];
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(root, "options"), name, value) {
        if (!json_is_string(value) || count + 2 > SETTINGS_MAX) {
            error_set(e, QRT_EPARSE, CAPTURE_FILE ": the option %s is no text, or one of too many", name);
            return NULL;
        }
        if (!of_nodes(name) || (bug && !strcmp(name, "bug"))) continue;
        settings[count++] = (struct setting){name, json_string_value(value)};
    }
    if (bug) settings[count++] = (struct setting){"bug", bug};
    return cluster_configured(json_string_value(json_object_get(root, "protocol")), settings, count, NULL,
                              &(struct cluster_extras){0}, e);
}

/* ---- the replay ---- */

struct capture_replay *capture_replay_new(const char *folder, const char *bug, struct error *e) {
    struct buffer about = {0};
    struct capture_replay *r = mem_zero(1, sizeof *r);
    json_t *root = NULL;
    if (strlen(folder) >= OPTION_TEXT_MAX)
        error_set(e, QRT_ERANGE, "the path %.200s... is too long", folder);
    else if (!capture_about(folder, &about, e) && !parse_about(&about, folder, &root, e))
        r->cluster = configure(root, bug, e);
    if (r->cluster) {
        struct cluster *c = r->cluster;
        uint64_t identity = capture_identity(bytes_of(about.data, about.size));
        r->replay = replay_new(&c->config, folder, identity, cluster_sink(c, true));
        r->replay->kept.keep = KEEP;
        captured_history_open(&r->clients, folder, identity);
        r->with_clients = json_is_true(json_object_get(root, "clients"));
        r->of_nodes = r->replay->tells = !r->with_clients && !captured_history_there(&r->clients);
    }
    json_decref(root);
    buffer_free(&about);
    if (r->replay) return r;
    capture_replay_free(r);
    return NULL;
}

void capture_replay_free(struct capture_replay *r) {
    if (!r) return;
    replay_free(r->replay);
    linear_free(r->linear);
    captured_history_close(&r->clients);
    cluster_free(r->cluster);
    buffer_free(&r->report);
    free(r);
}

static const struct history *history_of(const struct capture_replay *r) {
    return r->of_nodes ? &r->replay->history.history : &r->clients.history;
}

/* Why nothing can be said by what the nodes answered; NULL: something can. */
static const char *unproven(const struct replay *r) {
    if (r->first.node) return "a step differs, so what clients were told then is not known";
    if (r->unsent) return "frames came before they were sent: a node's steps are missing, or clocks are far apart";
    return r->history.spoilt;
}

/* Why what clients were told cannot be judged; NULL: it can. */
static const char *unjudged(const struct capture_replay *r) {
    if (r->replay->inherited) return "the nodes began with an earlier cluster's data, of which no history is known";
    if (r->of_nodes) return unproven(r->replay);
    return captured_history_there(&r->clients) ? NULL : "no client's history was captured";
}

/* Where the history ends before its time: why; NULL: it is whole. */
static const char *history_end(const struct capture_replay *r) {
    if (!r->of_nodes) return r->clients.ended ? r->clients.why : NULL;
    return r->replay->blind_from == INT64_MAX ? NULL : "from there on a node could not be followed";
}

/* The clients' history is read, then judged; true: it is, or there is nothing to judge. */
static bool judge_history(struct capture_replay *r, int64_t slice_ns) {
    enum linear_model model = cluster_linear_model(r->cluster);
    if (!model || unjudged(r)) return true;
    if (!r->linear) {
        if (!r->of_nodes && !captured_history_read(&r->clients, slice_ns ? HISTORY_SLICE : SIZE_MAX)) return false;
        struct linear_options options = {.model = model, .seconds = CHECK_SECONDS};
        r->linear = linear_new(history_of(r), &options);
    }
    return linear_step(r->linear, slice_ns ? slice_ns : INT64_MAX);
}

bool capture_replay_run(struct capture_replay *r, int64_t slice_ns) {
    if (!r->replayed) r->replayed = replay_run(r->replay, slice_ns);
    if (r->replayed && !r->done) r->done = judge_history(r, slice_ns);
    return r->done;
}

/* ---- the report ---- */

static json_t *side_value(uint64_t state, uint64_t events, bool dying) {
    return json_pack("{s:o, s:o, s:b}", "state", hash_value(state), "events", hash_value(events), "died", dying);
}

static json_t *difference_value(const struct replay_difference *d) {
    if (!d->node) return json_null();
    return json_pack("{s:i, s:I, s:I, s:o, s:s, s:o, s:o}", "node", d->node, "incarnation", (json_int_t)d->incarnation,
                     "step", (json_int_t)d->step, "time", seconds_value(d->time), "input", d->input, "recorded",
                     side_value(d->recorded_state, d->recorded_events, d->recorded_dying), "replayed",
                     side_value(d->replayed_state, d->replayed_events, d->replayed_dying));
}

static json_t *incarnation_value(const struct replay_incarnation *i) {
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:b, s:b, s:b}", "incarnation", (json_int_t)i->number, "time",
                     seconds_value(i->time), "steps", (json_int_t)i->steps, "matched", (json_int_t)i->matched,
                     "uncompared", (json_int_t)i->uncompared, "unfinished", i->unfinished, "unrecovered",
                     i->unrecovered, "differs", i->differs);
}

static json_t *nodes_value(const struct replay *r, uint64_t *steps, uint64_t *matched, uint64_t *uncompared) {
    json_t *nodes = json_array();
    for (uint16_t i = 1; i <= r->config.options.nodes; i++) {
        const struct replay_node *n = &r->nodes[i];
        json_t *incarnations = json_array();
        for (size_t k = 0; k < n->count; k++) {
            *steps += n->incarnations[k].steps;
            *matched += n->incarnations[k].matched;
            *uncompared += n->incarnations[k].uncompared;
            json_array_append_new(incarnations, incarnation_value(&n->incarnations[k]));
        }
        json_array_append_new(nodes, json_pack("{s:i, s:I, s:I, s:s, s:o}", "node", i, "bytes",
                                               (json_int_t)n->reader.bytes, "gaps", (json_int_t)n->reader.gaps,
                                               "version", n->reader.version, "incarnations", incarnations));
    }
    return nodes;
}

static json_t *notes_value(const struct replay *r) {
    json_t *notes = json_array();
    for (size_t i = 0; i < r->note_count; i++)
        json_array_append_new(
            notes, json_pack("{s:i, s:o}", "node", r->notes[i].node, "text", text_value(bytes_text(r->notes[i].text))));
    return notes;
}

/* Of a history that ends before its time nothing but a violation is certain. */
static void judge_clients(const struct capture_replay *r, const struct linear_result *result, struct property *p) {
    const struct history *h = history_of(r);
    const char *end = history_end(r);
    p->verdict = result->verdict;
    snprintf(p->text, sizeof p->text, "%.*s", PROPERTY_TEXT_MAX - 1, result->explanation);
    if (result->verdict == VERDICT_VIOLATED && result->bad < h->count)
        p->node = (uint16_t)(QRT_CLIENT + h->operations[result->bad].process);
    if (result->verdict != VERDICT_OK || !end) return;
    p->verdict = VERDICT_UNKNOWN;
    snprintf(p->text, sizeof p->text, "it holds for the first %zu operations, behind which the history ends: %.180s",
             h->count, end);
}

/* False: nobody promised it, or nobody asked anything. */
static bool linearizability(const struct capture_replay *r, struct property *p) {
    const char *why = unjudged(r);
    if (!cluster_linear_model(r->cluster)) return false;
    *p = (struct property){.name = "linearizability", .says = LINEARIZABILITY_SAYS, .verdict = VERDICT_UNKNOWN};
    if (why)
        snprintf(p->text, sizeof p->text, "%s", why);
    else
        judge_clients(r, linear_result(r->linear), p);
    return why || history_end(r) || history_of(r)->count;
}

static json_t *property_value(const struct property *p) {
    return json_pack("{s:s, s:s, s:s, s:o, s:i}", "name", p->name, "says", p->says, "verdict", verdict_name(p->verdict),
                     "text", text_value(bytes_text(p->text)), "node", p->node);
}

/* Adds the checkers' verdicts; the worst. */
static enum verdict add_properties(const struct capture_replay *r, json_t *list) {
    size_t count = 0;
    enum verdict worst = VERDICT_OK;
    const struct checkers *k = r->cluster->checkers;
    const struct property *p = k ? checkers_properties(k, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, property_value(&p[i]));
        worsen(&worst, p[i].verdict);
    }
    struct property history;
    if (!linearizability(r, &history)) return worst;
    json_array_append_new(list, property_value(&history));
    if (!r->replay->inherited) worsen(&worst, history.verdict); /* else nothing is missing that could be there */
    return worst;
}

/* differs: a step did something else; violated, or unknown, where something is missing, as the checkers say. */
static const char *whole_verdict(const struct replay *r, enum verdict properties) {
    if (r->first.node) return "differs";
    if (properties == VERDICT_OK && r->gaps) return verdict_name(VERDICT_UNKNOWN);
    return verdict_name(properties);
}

/* ---- the same in words ---- */

static void say_incarnation(struct buffer *out, uint16_t node, const struct replay_incarnation *i) {
    buffer_printf(out, "n%u incarnation %u  %" PRIu64 " steps", node, i->number, i->steps);
    if (i->matched == i->steps)
        buffer_printf(out, ", all matched");
    else
        buffer_printf(out, ", %" PRIu64 " matched, %" PRIu64 " not compared", i->matched, i->uncompared);
    if (i->unfinished) buffer_printf(out, "; a kill cut the last one short");
    if (i->unrecovered) buffer_printf(out, "; it ended before it had recovered");
    if (i->differs) buffer_printf(out, "; differs");
    buffer_printf(out, "\n");
}

static void say_difference(struct buffer *out, const struct replay_difference *d) {
    buffer_printf(out, "the first step that differs: n%u, incarnation %u, step %" PRIu64 ", at %.9f s, %s\n", d->node,
                  d->incarnation, d->step, (double)d->time / 1e9, d->input);
    buffer_printf(out, "  captured: state %016" PRIx64 ", events %016" PRIx64 "%s\n", d->recorded_state,
                  d->recorded_events, d->recorded_dying ? ", and it died" : "");
    buffer_printf(out, "  replayed: state %016" PRIx64 ", events %016" PRIx64 "%s\n", d->replayed_state,
                  d->replayed_events, d->replayed_dying ? ", and it died" : "");
}

/* of: by outcome; what is pending is unknown. */
static void count_outcomes(const struct history *h, size_t of[4]) {
    memset(of, 0, 4 * sizeof *of);
    for (size_t i = 0; i < h->count; i++) of[h->operations[i].outcome]++;
    of[HISTORY_UNKNOWN] += of[HISTORY_PENDING];
}

static void say_property(struct buffer *out, const struct property *p) {
    buffer_printf(out, "%-25s %s  %s\n", p->name, verdict_name(p->verdict),
                  p->verdict == VERDICT_OK ? p->says : p->text);
}

static void say_properties(struct buffer *out, const struct capture_replay *r) {
    size_t count = 0;
    const struct checkers *k = r->cluster->checkers;
    const struct property *p = k ? checkers_properties(k, &count) : NULL;
    struct property history;
    for (size_t i = 0; i < count; i++) say_property(out, &p[i]);
    if (linearizability(r, &history)) say_property(out, &history);
    if (history_of(r)->count) {
        size_t of[4];
        count_outcomes(history_of(r), of);
        buffer_printf(out, "%zu client operations%s: %zu ok, %zu failed, %zu unknown\n", history_of(r)->count,
                      r->of_nodes ? ", as the nodes received and answered them" : "", of[HISTORY_OK],
                      of[HISTORY_FAILED], of[HISTORY_UNKNOWN]);
    }
    if (r->replay->blind_from == INT64_MIN)
        buffer_printf(out, "judged as far as the nodes could be followed: one of them not even at its beginning\n");
    else if (r->replay->blind_from != INT64_MAX)
        buffer_printf(out, "judged as far as the nodes could be followed: up to %.6f s\n",
                      (double)r->replay->blind_from / 1e9);
}

static json_t *words_value(const struct capture_replay *r, uint64_t steps, uint64_t matched, const char *assumption) {
    const struct replay *p = r->replay;
    struct buffer out = {0};
    for (uint16_t i = 1; i <= p->config.options.nodes; i++)
        for (size_t k = 0; k < p->nodes[i].count; k++) say_incarnation(&out, i, &p->nodes[i].incarnations[k]);
    for (size_t i = 0; i < p->note_count; i++) buffer_printf(&out, "n%u: %s\n", p->notes[i].node, p->notes[i].text);
    if (p->first.node) say_difference(&out, &p->first);
    say_properties(&out, r);
    if (*assumption) buffer_printf(&out, "%s\n", assumption);
    buffer_printf(&out, "%" PRIu64 " steps of %d nodes, %" PRIu64 " matched", steps, (int)p->config.options.nodes,
                  matched);
    if (p->gaps) buffer_printf(&out, "; %zu gap%s in the capture", p->gaps, p->gaps == 1 ? "" : "s");
    json_t *value = text_value(bytes_text(buffer_text(&out)));
    buffer_free(&out);
    return value;
}

static json_t *history_value(const struct capture_replay *r) {
    size_t of[4];
    if (!r->of_nodes && !captured_history_there(&r->clients)) return json_null();
    count_outcomes(history_of(r), of);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "of", r->of_nodes ? "nodes" : "clients", "operations",
                     (json_int_t)history_of(r)->count, "ok", (json_int_t)of[HISTORY_OK], "failed",
                     (json_int_t)of[HISTORY_FAILED], "unknown", (json_int_t)of[HISTORY_UNKNOWN], "whole",
                     !history_end(r));
}

const char *capture_replay_report(struct capture_replay *r) {
    const struct replay *p = r->replay;
    uint64_t steps = 0, matched = 0, uncompared = 0;
    json_t *properties = json_array(), *nodes = nodes_value(p, &steps, &matched, &uncompared);
    enum verdict verdict = add_properties(r, properties);
    json_t *until = p->blind_from == INT64_MAX ? json_null() : seconds_value(p->blind_from > 0 ? p->blind_from : 0);
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "verdict",
                  whole_verdict(p, verdict), "protocol", r->cluster->config.protocol->name, "steps", (json_int_t)steps,
                  "matched", (json_int_t)matched, "uncompared", (json_int_t)uncompared, "gaps", (json_int_t)p->gaps,
                  "differs", difference_value(&p->first), "nodes", nodes, "notes", notes_value(p), "events",
                  (json_int_t)p->events, "hash", hash_value(p->hash), "judged_until", until, "properties", properties);
    json_object_set_new(root, "history", history_value(r));
    char assumption[ERROR_TEXT_MAX] = "";
    if (!r->of_nodes) report_assumption(r->cluster, root, assumption, sizeof assumption); /* hosts' clocks may differ */
    json_object_set_new(root, "text", words_value(r, steps, matched, assumption));
    return dump_value(root, &r->report, 15);
}
