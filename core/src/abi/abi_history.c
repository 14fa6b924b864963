/* Histories and their check across the ABI. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi_cluster.h"

struct qrt_history {
    struct handle handle;
    struct history history;
    struct linear *linear;
    char *initial;
    struct buffer text, report;
};

static void history_end(struct handle *handle) {
    qrt_history *h = (qrt_history *)handle;
    linear_free(h->linear);
    history_free(&h->history);
    buffer_free(&h->text);
    buffer_free(&h->report);
    free(h->initial);
}

static qrt_history *history_wrap(void) {
    qrt_history *h = mem_zero(1, sizeof *h);
    handle_init(&h->handle, HANDLE_HISTORY, history_end);
    return h;
}

QRT_API qrt_status qrt_cluster_history(qrt_cluster *c, qrt_history **out) {
    qrt_status s = handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER);
    if (s) return s;
    if (!out) return handle_leave(&c->handle, error_set(&c->handle.error, QRT_EINVAL, "out must not be NULL"));
    *out = history_wrap();
    history_clone(&(*out)->history, c->cluster->class->history(c->cluster->runtime));
    return handle_leave(&c->handle, QRT_OK);
}

QRT_API qrt_status qrt_history_parse(qrt_history **out, const char *text, size_t size) {
    struct error e = {0};
    if (!out || (size && !text)) return last_error_null("out and text");
    *out = NULL;
    if (size > UINT32_MAX)
        return last_error_format(QRT_ETOOLARGE, "a history holds at most 4 GiB, not %zu bytes", size);
    qrt_history *h = history_wrap();
    history_init(&h->history);
    if (history_parse(&h->history, bytes_of(text, size), &e)) {
        history_free(&h->history);
        free(h);
        return last_error_set(&e);
    }
    *out = h;
    return QRT_OK;
}

QRT_API void qrt_history_free(qrt_history **h) {
    if (h && *h && handle_free(&(*h)->handle, HANDLE_HISTORY)) *h = NULL;
}

QRT_API size_t qrt_history_count(const qrt_history *h) {
    return h && handle_open(&h->handle, HANDLE_HISTORY) ? h->history.count : 0;
}

QRT_API const char *qrt_history_print(qrt_history *h, const char *format) {
    if (handle_enter(h ? &h->handle : NULL, HANDLE_HISTORY)) return NULL;
    const char *text = NULL;
    buffer_clear(&h->text);
    if (format && !strcmp(format, "edn"))
        history_print_edn(&h->history, &h->text), text = buffer_text(&h->text);
    else if (format && !strcmp(format, "json"))
        history_print_json(&h->history, &h->text), text = buffer_text(&h->text);
    else
        error_set(&h->handle.error, QRT_EINVAL, "histories are printed as 'edn' or 'json', not '%s'",
                  format ? format : "");
    handle_leave(&h->handle, QRT_OK);
    return text;
}

static void write_report(qrt_history *h, const struct linear_result *r) {
    static const char *const names[] = {"ok", "violated", "unknown"};
    json_t *prefix = json_array();
    for (size_t i = 0; i < r->prefix_count; i++) json_array_append_new(prefix, json_integer((json_int_t)r->prefix[i]));
    json_t *root =
        json_pack("{s:s, s:f, s:I, s:o, s:s, s:I, s:I, s:o}", "verdict", names[r->verdict], "seconds", r->seconds,
                  "prefix", (json_int_t)r->prefix_count, "bad",
                  r->verdict == VERDICT_VIOLATED && r->bad != SIZE_MAX ? json_integer((json_int_t)r->bad) : json_null(),
                  "explanation", r->explanation, "partitions", (json_int_t)r->partitions, "states",
                  (json_int_t)r->states, "order", prefix);
    json_t *key = json_stringn((const char *)r->key.data, r->key.size);
    json_object_set_new(root, "key", key ? key : json_null());
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    buffer_clear(&h->report);
    buffer_append(&h->report, text, strlen(text));
    buffer_text(&h->report);
    free(text);
    json_decref(root);
}

QRT_API qrt_status qrt_history_check(qrt_history *h, const char *model, const char *initial, double seconds,
                                     size_t memory) {
    qrt_status s = handle_enter(h ? &h->handle : NULL, HANDLE_HISTORY);
    if (s) return s;
    if (!h->linear) {
        struct linear_options options = {
            .model = linear_model_find(model ? model : ""), .seconds = seconds, .memory = memory};
        if (!options.model)
            return handle_leave(
                &h->handle, error_set(&h->handle.error, QRT_ENOTFOUND,
                                      "there is no model '%s'; there are cas-register, append-kv, kv, counter, lock",
                                      model ? model : ""));
        free(h->initial);
        h->initial = initial ? mem_string(initial) : NULL;
        if (initial) options.initial = bytes_text(h->initial);
        h->linear = linear_new(&h->history, &options);
    }
    if (!linear_step(h->linear, h->handle.slice_ns)) return handle_leave(&h->handle, QRT_MORE);
    write_report(h, linear_result(h->linear));
    linear_free(h->linear);
    h->linear = NULL;
    return handle_leave(&h->handle, QRT_OK);
}

QRT_API const char *qrt_history_report(qrt_history *h) {
    if (handle_enter(h ? &h->handle : NULL, HANDLE_HISTORY)) return NULL;
    bool there = h->report.size > 0;
    if (!there) error_set(&h->handle.error, QRT_EINVAL, "nothing was checked yet; call qrt_history_check first");
    handle_leave(&h->handle, QRT_OK);
    return there ? (const char *)h->report.data : NULL;
}
