/* What there is: names, versions, protocols, options, machines. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "abi/last_error.h"
#include "base/file.h"
#include "fault/plan.h"
#include "machine/machine.h"
#include "protocol/protocol.h"
#include "runtime/options.h"
#include "trace/trace.h"

#ifndef QRT_VERSION_STRING
#define QRT_VERSION_STRING "0.1.0"
#endif

static _Thread_local struct buffer text;

QRT_API uint32_t qrt_abi_version(void) {
    return 2;
}

QRT_API const char *qrt_version(void) {
    return QRT_VERSION_STRING;
}

QRT_API const char *qrt_strerror(qrt_status s) {
    return status_text(s);
}

QRT_API const char *qrt_status_name(qrt_status s) {
    return status_name(s);
}

QRT_API const char *qrt_kind_name(uint8_t kind) {
    return trace_kind_name(kind);
}

QRT_API const char *qrt_message_name(uint8_t message) {
    return wire_kind_name(message);
}

QRT_API const char *qrt_role_name(uint8_t role) {
    return trace_role_name(role);
}

static const char *hand_out(json_t *root) {
    char *printed = json_dumps(root, JSON_INDENT(1));
    buffer_clear(&text);
    buffer_append(&text, printed, strlen(printed));
    free(printed);
    json_decref(root);
    return buffer_text(&text);
}

static json_t *model_value(const struct fault_model *m) {
    return json_pack("{s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:s,s:s,s:s}", "synchrony", m->synchrony, "loss",
                     m->tolerates_loss, "reorder", m->tolerates_reorder, "duplicates", m->tolerates_duplicates,
                     "corruption", m->tolerates_corruption, "partition", m->tolerates_partition, "pause",
                     m->tolerates_pause, "skew", m->tolerates_skew, "crash_recovers", m->crash_recovers, "crash_wipes",
                     m->crash_wipes, "loses_unsynced", m->loses_unsynced, "crashes", m->crashes, "liars", m->liars,
                     "assumes", m->assumes);
}

static json_t *bugs_value(const struct bug *bugs) {
    json_t *list = json_array();
    for (const struct bug *b = bugs; b && b->name; b++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", b->name, "mistake", b->mistake,
                                              "property", b->property, "source", b->source));
    return list;
}

QRT_API const char *qrt_protocols(void) {
    json_t *list = json_array();
    for (size_t i = 0; protocol_at(i); i++) {
        const struct protocol *p = protocol_at(i);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:o}", "name", p->name, "summary", p->summary, "fault_model",
                                        p->model ? model_value(p->model) : json_null(), "bugs", bugs_value(p->bugs)));
    }
    return hand_out(list);
}

QRT_API const char *qrt_machines(void) {
    json_t *list = json_array();
    for (size_t i = 0; machine_at(i); i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "name", machine_at(i)->name, "summary", machine_at(i)->summary));
    return hand_out(list);
}

QRT_API const char *qrt_options(const char *protocol) {
    struct error e = {0};
    const struct protocol *p = protocol_named(protocol ? protocol : "", &e);
    if (!p) {
        last_error_set(&e);
        return NULL;
    }
    struct option_table tables[2] = {cluster_option_table, p->options};
    buffer_clear(&text);
    option_json(tables, p->options.specs ? 2 : 1, &text);
    return buffer_text(&text);
}

QRT_API qrt_status qrt_file_check(const char *path) {
    struct error e = {0};
    if (!path) return last_error_format(QRT_EINVAL, "qrt_file_check wants the path of a file");
    if (file_check(path, FILE_SIZE_MAX, &e)) last_error_set(&e);
    return e.status;
}

QRT_API const char *qrt_plan_canonical(const char *json, uint16_t nodes) {
    struct plan plan = {0};
    struct error e = {0};
    if (!json || plan_parse(&plan, bytes_text(json), nodes, &e)) {
        if (!json) error_set(&e, QRT_EINVAL, "plan_json must not be NULL");
        last_error_set(&e);
        plan_free(&plan);
        return NULL;
    }
    buffer_clear(&text);
    plan_print(&plan, &text);
    plan_free(&plan);
    return buffer_text(&text);
}
