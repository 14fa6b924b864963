/* Histories as JSON: our own export, which reads back to exactly the same history.
 *
 *   {"history": [
 *   {"process": 1, "f": "cas", "key": "k", "expected": "a", "value": "b", "outcome": "ok",
 *    "status": "cas-mismatch", "result": "c", "invoke_order": 7, "invoke_ns": 12000, "return_order": 9,
 *    "return_ns": 15000}
 *   ], "order": 10}
 *
 * Text is a string; bytes that are no UTF-8 are {"hex": "ff00"}; what is nil is left out (null reads as nil,
 * too). An open operation has no return_order and return_ns. Status is "ok" and the
 * outcome "pending" where left out. Operations stand in order of invocation; "order" is the next free
 * position. */
#include <inttypes.h>
#include <jansson.h>

#include "trace/history_text.h"

struct parse {
    struct history *history;
    struct bytes text;
    struct buffer scratch;
    uint64_t base; /* position that this text's position 0 gets */
    size_t index;  /* of the operation being read */
};

static const char *const outcome_names[] = {"pending", "ok", "failed", "unknown"};

/* Past a JSON string; p stands on its opening quote. */
static const uint8_t *string_skip(const uint8_t *p, const uint8_t *end) {
    for (p++; p < end && *p != '"'; p++) p += *p == '\\';
    return p + 1;
}

/* Where the name stands in the object or, with name NULL, the number-th element of the array that begins at
 * p; p where it is not found. The text is known to be well-formed, which makes counting brackets enough. */
static const uint8_t *inside_find(const uint8_t *p, const uint8_t *end, const char *name, size_t number) {
    const uint8_t *start = p;
    size_t length = name ? strlen(name) : 0;
    int depth = 0;
    bool fresh = true; /* an element or a name begins at the next token */
    for (; p < end; p++) {
        if (strchr(" \t\r\n:", *p)) continue;
        if (*p == '}' || *p == ']') {
            if (--depth == 0) return start;
            continue;
        }
        if (depth == 1 && *p == ',') fresh = true;
        if (depth == 1 && fresh && *p != ',') {
            fresh = false;
            if (!name && number-- == 0) return p;
            if (name && (size_t)(end - p) > length + 2 && memcmp(p + 1, name, length) == 0 && p[length + 1] == '"')
                return p;
        }
        if (*p == '"') p = string_skip(p, end) - 1;
        if (p < end && (*p == '{' || *p == '[')) depth++;
    }
    return start;
}

/* jansson keeps no places, so an operation's is looked for again when something is wrong with it. */
static qrt_status field_error(const struct parse *p, const char *name, const char *wants, struct error *e) {
    const uint8_t *at = p->text.data, *end = at + p->text.size;
    while (at < end && *at != '{') at++;
    at = inside_find(at, end, "history", 0);
    while (at < end && *at != '[') at++;
    at = inside_find(at, end, NULL, p->index);
    if (at < end && *at == '{') at = inside_find(at, end, name, 0);
    return history_error(e, p->text, at, "operation %zu: \"%s\" %s", p->index, name, wants);
}

static qrt_status text_read(struct parse *p, const json_t *op, const char *name, struct bytes *kept, struct error *e) {
    const json_t *value = json_object_get(op, name), *hex = json_object_get(value, "hex");
    if (!value || json_is_null(value)) return QRT_OK;
    if (json_is_string(value)) {
        *kept = history_copy(p->history, bytes_of(json_string_value(value), json_string_length(value)));
        return QRT_OK;
    }
    buffer_clear(&p->scratch);
    struct bytes digits = {0};
    if (json_is_string(hex)) digits = bytes_of(json_string_value(hex), json_string_length(hex));
    if (!digits.data || json_object_size(value) != 1 || !text_parse_hex(digits, &p->scratch))
        return field_error(p, name, "wants a string, {\"hex\": \"00ff\"} or null", e);
    *kept = history_copy(p->history, bytes_of(buffer_text(&p->scratch), p->scratch.size));
    return QRT_OK;
}

/* absent < 0: the field is required. */
static qrt_status number_read(struct parse *p, const json_t *op, const char *name, int64_t absent, int64_t *number,
                              struct error *e) {
    const json_t *value = json_object_get(op, name);
    *number = absent;
    if ((!value || json_is_null(value)) && absent >= 0) return QRT_OK;
    if (!json_is_integer(value)) return field_error(p, name, "wants a whole number", e);
    *number = json_integer_value(value);
    return QRT_OK;
}

static qrt_status order_read(struct parse *p, const json_t *op, struct history_operation *to, struct error *e) {
    int64_t invoked, returned;
    qrt_status status = number_read(p, op, "invoke_order", -1, &invoked, e);
    if (status == QRT_OK) status = number_read(p, op, "return_order", INT64_MAX, &returned, e);
    if (status != QRT_OK) return status;
    const struct history *h = p->history;
    if (invoked < 0 || invoked > INT64_MAX / 4) return field_error(p, "invoke_order", "is out of range", e);
    to->invoke_order = p->base + (uint64_t)invoked;
    if (p->index > 0 && to->invoke_order <= h->operations[h->count - 1].invoke_order)
        return field_error(p, "invoke_order", "is not after that of the operation before", e);
    to->return_order = UINT64_MAX;
    if (returned == INT64_MAX) return QRT_OK;
    if (returned <= invoked || returned > INT64_MAX / 4)
        return field_error(p, "return_order", "is not after invoke_order", e);
    to->return_order = p->base + (uint64_t)returned;
    return QRT_OK;
}

static qrt_status names_read(struct parse *p, const json_t *op, struct history_operation *to, struct error *e) {
    const char *f = json_string_value(json_object_get(op, "f"));
    to->function = f ? history_function_find(bytes_text(f)) : 0;
    if (!to->function) return field_error(p, "f", "wants the name of an operation, such as \"get\"", e);
    const json_t *outcome = json_object_get(op, "outcome"), *status = json_object_get(op, "status");
    while (outcome && to->outcome < 4 &&
           (!json_is_string(outcome) || strcmp(json_string_value(outcome), outcome_names[to->outcome]) != 0))
        to->outcome++;
    if (to->outcome == 4) return field_error(p, "outcome", "wants \"ok\", \"failed\", \"unknown\" or \"pending\"", e);
    qrt_status code = QRT_OK;
    bool known = !status || (json_is_string(status) && status_find(bytes_text(json_string_value(status)), &code));
    if (!known && json_is_integer(status) && json_integer_value(status) == (int32_t)json_integer_value(status))
        to->status = (int32_t)json_integer_value(status);
    else if (!known)
        return field_error(p, "status", "wants the name of a status, such as \"ok\"", e);
    else
        to->status = code;
    return QRT_OK;
}

static qrt_status operation_read(struct parse *p, const json_t *op, struct error *e) {
    struct history_operation to = {0};
    int64_t process = 0;
    if (!json_is_object(op)) return field_error(p, "process", "is missing: an operation is an object", e);
    qrt_status status = number_read(p, op, "process", -1, &process, e);
    if (status == QRT_OK && (process < 0 || process > UINT32_MAX))
        status = field_error(p, "process", "is out of range", e);
    to.process = (uint32_t)process;
    if (status == QRT_OK) status = names_read(p, op, &to, e);
    if (status == QRT_OK) status = order_read(p, op, &to, e);
    if (status == QRT_OK) status = number_read(p, op, "invoke_ns", 0, &to.invoke_ns, e);
    if (status == QRT_OK) status = number_read(p, op, "return_ns", INT64_MAX, &to.return_ns, e);
    if (status == QRT_OK) status = text_read(p, op, "key", &to.key, e);
    if (status == QRT_OK) status = text_read(p, op, "value", &to.value, e);
    if (status == QRT_OK) status = text_read(p, op, "expected", &to.expected, e);
    if (status == QRT_OK) status = text_read(p, op, "result", &to.result, e);
    if (status != QRT_OK) return status;
    bool returned = to.outcome == HISTORY_OK || to.outcome == HISTORY_FAILED;
    if (returned != (to.return_order != UINT64_MAX))
        return field_error(p, "return_order", "is there exactly when the outcome is \"ok\" or \"failed\"", e);
    if (to.return_order != UINT64_MAX && to.return_order >= p->history->order) p->history->order = to.return_order + 1;
    if (to.invoke_order >= p->history->order) p->history->order = to.invoke_order + 1;
    history_append(p->history, &to);
    return QRT_OK;
}

static qrt_status root_read(struct parse *p, const json_t *root, struct error *e) {
    const json_t *list = json_object_get(root, "history"), *order = json_object_get(root, "order");
    if (!json_is_array(list))
        return history_error(e, p->text, p->text.data, "there is no list \"history\" in this JSON object");
    size_t count = json_array_size(list);
    for (p->index = 0; p->index < count; p->index++) {
        qrt_status status = operation_read(p, json_array_get(list, p->index), e);
        if (status != QRT_OK) return status;
    }
    int64_t next = json_is_integer(order) ? json_integer_value(order) : 0;
    if (next > 0 && next <= INT64_MAX / 4 && p->base + (uint64_t)next > p->history->order)
        p->history->order = p->base + (uint64_t)next;
    return QRT_OK;
}

qrt_status history_parse_json(struct history *h, struct bytes text, struct error *e) {
    json_error_t wrong;
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    if (!root) {
        int line = wrong.line > 0 ? wrong.line : 1, column = wrong.column > 0 ? wrong.column : 1;
        return error_set(e, QRT_EPARSE, "line %d, column %d: %.200s", line, column, wrong.text);
    }
    struct parse p = {.history = h, .text = text, .base = h->order};
    qrt_status status = root_read(&p, root, e);
    buffer_free(&p.scratch);
    json_decref(root);
    return status;
}

static void field_print(struct buffer *out, const char *name, struct bytes value) {
    if (!value.data) return;
    buffer_printf(out, ", \"%s\": ", name);
    if (text_is_utf8(value)) {
        text_print_quoted(out, value);
        return;
    }
    buffer_printf(out, "{\"hex\": \"");
    text_print_hex(out, value);
    buffer_printf(out, "\"}");
}

static void operation_print(struct buffer *out, const struct history_operation *op) {
    buffer_printf(out, "{\"process\": %" PRIu32 ", \"f\": \"%s\"", op->process, history_function_name(op->function));
    field_print(out, "key", op->key);
    field_print(out, "expected", op->expected);
    field_print(out, "value", op->value);
    buffer_printf(out, ", \"outcome\": \"%s\"", outcome_names[op->outcome]);
    const char *status = status_name((qrt_status)op->status);
    if (strcmp(status, "unknown-status") == 0)
        buffer_printf(out, ", \"status\": %" PRId32, op->status);
    else if (op->status != QRT_OK)
        buffer_printf(out, ", \"status\": \"%s\"", status);
    field_print(out, "result", op->result);
    buffer_printf(out, ", \"invoke_order\": %" PRIu64 ", \"invoke_ns\": %" PRId64, op->invoke_order, op->invoke_ns);
    if (op->return_order != UINT64_MAX) buffer_printf(out, ", \"return_order\": %" PRIu64, op->return_order);
    if (op->return_ns != INT64_MAX) buffer_printf(out, ", \"return_ns\": %" PRId64, op->return_ns);
    buffer_append(out, "}", 1);
}

void history_print_json(const struct history *h, struct buffer *out) {
    buffer_printf(out, "{\"history\": [");
    for (size_t i = 0; i < h->count; i++) {
        buffer_printf(out, i ? ",\n" : "\n");
        operation_print(out, &h->operations[i]);
    }
    buffer_printf(out, "\n], \"order\": %" PRIu64 "}\n", h->order);
}
