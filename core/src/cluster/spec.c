/* What a run is, and its file; spec_draw.c draws one from a seed. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/runner.h"
#include "cluster/values.h"

#define EVENTS_MAX 1000000000 /* as a campaign's */

void spec_free(struct run_spec *spec) {
    plan_free(&spec->plan);
}

void spec_set(struct run_spec *spec, const char *name, const char *format, ...) {
    CHECK(spec->settings < RUN_SETTINGS_MAX);
    size_t i = spec->settings++;
    va_list args;
    snprintf(spec->names[i], sizeof spec->names[i], "%s", name);
    va_start(args, format);
    vsnprintf(spec->values[i], sizeof spec->values[i], format, args);
    va_end(args);
}

const char *spec_get(const struct run_spec *spec, const char *name) {
    for (size_t i = 0; i < spec->settings; i++)
        if (!strcmp(spec->names[i], name)) return spec->values[i];
    return NULL;
}

/* ---- the file of a run ---- */

static json_t *parsed(struct buffer *b) {
    json_t *v = json_loadb((const char *)b->data, b->size, 0, NULL);
    buffer_clear(b);
    return v;
}

void spec_print(const struct run_spec *spec, uint64_t hash, const char *const *violated, size_t count,
                struct buffer *out) {
    struct buffer part = {0};
    char hex[20];
    json_t *options = json_object(), *names = json_array();
    for (size_t i = 0; i < spec->settings; i++)
        json_object_set_new(options, spec->names[i], json_string(spec->values[i]));
    for (size_t i = 0; i < count; i++) json_array_append_new(names, json_string(violated[i]));
    workload_print(&spec->workload, &part);
    json_t *workload = parsed(&part);
    plan_print(&spec->plan, &part);
    json_t *plan = parsed(&part);
    const char *seed = spec_get(spec, "seed");
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "quorate", qrt_version(), "format", 1,
                  "protocol", spec->protocol, "seed", seed ? seed : "1", "events_min", (json_int_t)spec->events_min,
                  "hash", hash_value(hash), "violated", names, "options", options, "workload", workload, "plan", plan);
    if (!spec_get(spec, "election_timeout")) { /* then no option says what the run is measured in */
        snprintf(hex, sizeof hex, "%lldns", (long long)spec->election_timeout);
        json_object_set_new(root, "time_scale", json_string(hex));
    }
    char *text = json_dumps(root, JSON_INDENT(1));
    buffer_append(out, text, strlen(text));
    buffer_free(&part);
    free(text);
    json_decref(root);
}

static qrt_status parse_options(struct run_spec *spec, json_t *options, struct error *e) {
    const char *name;
    json_t *value;
    json_object_foreach(options, name, value) {
        if (!json_is_string(value) || strlen(name) >= sizeof spec->names[0] ||
            strlen(json_string_value(value)) >= sizeof spec->values[0] || spec->settings >= RUN_SETTINGS_MAX)
            return error_set(e, QRT_EPARSE, "the run file's option '%.40s' is not a short text", name);
        spec_set(spec, name, "%s", json_string_value(value));
    }
    const char *nodes = spec_get(spec, "nodes"), *seed = spec_get(spec, "seed"),
               *timeout = spec_get(spec, "election_timeout");
    long count = nodes ? atol(nodes) : 3;
    spec->nodes = (uint16_t)count;
    spec->seed = seed ? strtoull(seed, NULL, 10) : 1;
    spec->election_timeout = RUN_TIME_SCALE_NS;
    if (count < 1 || count > FAULT_NODES_MAX)
        return error_set(e, QRT_ERANGE, "the run file has %s nodes; a cluster has 1 to %d", nodes, FAULT_NODES_MAX);
    return timeout ? option_parse_duration(timeout, &spec->election_timeout, e) : QRT_OK;
}

/* Of a protocol without an option election_timeout: the time in which its run is measured. */
static qrt_status parse_scale(struct run_spec *spec, json_t *scale, struct error *e) {
    if (!scale || spec_get(spec, "election_timeout")) return QRT_OK;
    const char *text = json_string_value(scale);
    qrt_status s = text ? option_parse_duration(text, &spec->election_timeout, e) : QRT_EPARSE;
    if (s || spec->election_timeout < 1000 || spec->election_timeout > INT64_C(3600) * 1000000000)
        return error_set(e, QRT_ERANGE,
                         "the run file's time_scale is a time from a microsecond to an hour, like 150ms");
    return QRT_OK;
}

static qrt_status parse_part(json_t *part, const char *what, struct run_spec *spec, struct error *e) {
    if (!json_is_object(part)) return error_set(e, QRT_EPARSE, "the run file has no %s object", what);
    char *text = json_dumps(part, 0);
    qrt_status s = *what == 'w' ? workload_parse(&spec->workload, bytes_text(text), e)
                                : plan_parse(&spec->plan, bytes_text(text), spec->nodes, e);
    free(text);
    return s;
}

qrt_status spec_parse(struct run_spec *spec, struct bytes text, struct error *e) {
    json_error_t je;
    *spec = (struct run_spec){0};
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return error_set(e, QRT_EPARSE, "the run file is no JSON: %s, line %d, column %d", je.text, je.line, je.column);
    const char *protocol = json_string_value(json_object_get(root, "protocol"));
    const char *hash = json_string_value(json_object_get(root, "hash"));
    json_t *format = json_object_get(root, "format");
    json_t *events = json_object_get(root, "events_min");
    qrt_status s = QRT_OK;
    if (!protocol || strlen(protocol) >= sizeof spec->protocol || !json_is_integer(format) ||
        !json_is_object(json_object_get(root, "options")))
        s = error_set(e, QRT_EPARSE, "this is no run file: it lacks protocol, format or options");
    else if (json_integer_value(format) > 1)
        s = error_set(e, QRT_ENEWER, "the run file has format %d, this version reads 1; use a newer Quorate",
                      (int)json_integer_value(format));
    else if (!json_is_integer(events) || json_integer_value(events) < 0 || json_integer_value(events) > EVENTS_MAX)
        s = error_set(e, QRT_ERANGE, "the run file's events_min is a whole number from 0 to %d", EVENTS_MAX);
    if (!s) s = parse_options(spec, json_object_get(root, "options"), e);
    if (!s) s = parse_scale(spec, json_object_get(root, "time_scale"), e);
    workload_standard(&spec->workload, "kv");
    if (!s) s = parse_part(json_object_get(root, "workload"), "workload", spec, e);
    if (!s) s = parse_part(json_object_get(root, "plan"), "plan", spec, e);
    if (!s) {
        snprintf(spec->protocol, sizeof spec->protocol, "%s", protocol);
        spec->events_min = (uint64_t)json_integer_value(events);
        spec->hash = hash ? strtoull(hash, NULL, 16) : 0;
    }
    json_decref(root);
    if (s) spec_free(spec);
    return s;
}
