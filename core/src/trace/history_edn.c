/* Histories as EDN and as Jepsen's log lines, in and out.
 *
 *   {:process 3, :type :invoke, :f :cas, :key "k", :value [1 2]}     a vector of these, or one after another
 *   INFO  jepsen.util - 3<tab>:invoke<tab>:cas<tab>[1 2]             what Jepsen's etcd test wrote in 2014
 *
 * Each event takes one position, whether or not it concerns a client: so positions agree with the indices
 * that other checkers report. Two things mean something else in etcd's logs than in EDN:
 *
 *   :fail        EDN: never executed, except that `:error :cas-mismatch` is an observation of a cas, acquire
 *                or release: there was another value, perhaps the one in :found. Logs: so fails every cas.
 *   :read of nil EDN: tells nothing, as in knossos, unless `:error :not-found` says that nothing was there.
 *                Logs: nothing was there. (A :get of nil found nothing, everywhere.)
 *
 * Beside Jepsen's keys, ours are :result (the answer of an append, add or acquire), :found, and :error with
 * the name of a status. Bytes that are no UTF-8 are written #quorate/hex "ff00". */
#include <inttypes.h>
#include <stdlib.h>

#include "trace/edn.h"
#include "trace/history_text.h"

#define FAIL(r, at, ...) history_error(e, (r)->whole, at, __VA_ARGS__)

struct event { /* the forms that matter; kind EDN_END where there is none */
    const uint8_t *start;
    struct edn_form process, type, function, key, value, result, found, error, time;
};

struct parse {
    struct history *history;
    struct edn_reader reader;
    struct open_operations open;
    struct buffer scratch;
    bool log; /* etcd's, with its own meanings */
};

static qrt_status text_keep(struct parse *p, const struct edn_form *form, struct bytes *kept, struct error *e) {
    struct bytes text;
    buffer_clear(&p->scratch);
    qrt_status status = edn_decode(&p->reader, form, &p->scratch, &text, e);
    if (status == QRT_OK) *kept = history_copy(p->history, text);
    return status;
}

/* A decimal number that fits; false for anything else. */
static bool number_parse(const struct edn_form *form, int64_t *number) {
    char digits[24] = {0}, *end;
    if (form->kind != EDN_ATOM || form->text.size >= sizeof digits) return false;
    memcpy(digits, form->text.data, form->text.size);
    long long value = strtoll(digits, &end, 10);
    *number = value;
    return end != digits && (*end == 0 || (*end == 'N' && end[1] == 0)) && value != INT64_MIN && value != INT64_MAX;
}

static qrt_status time_parse(struct parse *p, const struct event *v, int64_t *time, struct error *e) {
    *time = (int64_t)p->history->order;
    if (v->time.kind == EDN_END || v->time.kind == EDN_NIL) return QRT_OK;
    if (number_parse(&v->time, time)) return QRT_OK;
    return FAIL(&p->reader, v->time.text.data, ":time wants nanoseconds, a whole number");
}

static qrt_status cas_parse(struct parse *p, const struct event *v, struct history_operation *op, struct error *e) {
    static const char wanted[] = "a cas wants :value [expected new]";
    if (v->value.kind != EDN_SEQUENCE) return FAIL(&p->reader, v->value.kind ? v->value.text.data : v->start, wanted);
    struct edn_reader inside = edn_inside(&p->reader, &v->value);
    struct edn_form forms[3];
    for (int i = 0; i < 3; i++) {
        qrt_status status = edn_next(&inside, &forms[i], e);
        if (status != QRT_OK) return status;
        if ((forms[i].kind == EDN_END) != (i == 2)) return FAIL(&p->reader, v->value.text.data, wanted);
    }
    qrt_status status = text_keep(p, &forms[0], &op->expected, e);
    return status == QRT_OK ? text_keep(p, &forms[1], &op->value, e) : status;
}

static qrt_status event_invoke(struct parse *p, const struct event *v, uint32_t process, uint8_t function,
                               struct error *e) {
    size_t *open = open_operations_at(&p->open, process);
    if (*open != SIZE_MAX)
        return FAIL(&p->reader, v->start, "process %" PRIu32 " invokes %s while its %s is still open", process,
                    history_function_name(function), history_function_name(p->history->operations[*open].function));
    struct history_operation op = {.process = process, .function = function};
    op.return_ns = INT64_MAX;
    op.return_order = UINT64_MAX;
    qrt_status status = time_parse(p, v, &op.invoke_ns, e);
    if (status == QRT_OK) status = text_keep(p, &v->key, &op.key, e);
    if (status == QRT_OK && function == HISTORY_CAS) status = cas_parse(p, v, &op, e);
    if (status == QRT_OK && function != HISTORY_CAS && function != HISTORY_GET && function != HISTORY_READ)
        status = text_keep(p, &v->value, &op.value, e);
    if (status != QRT_OK) return status;
    op.invoke_order = p->history->order;
    *open = history_append(p->history, &op);
    return QRT_OK;
}

/* :error names a status of ours, or is somebody else's word, which tells no more than the type does. */
static qrt_status event_status(const struct parse *p, const struct event *v, enum history_outcome outcome,
                               uint8_t function) {
    qrt_status status = outcome == HISTORY_OK ? QRT_OK : outcome == HISTORY_FAILED ? QRT_EFAILED : QRT_EUNKNOWN;
    bool arguments = function == HISTORY_CAS && v->value.kind == EDN_SEQUENCE;
    if (p->log && outcome == HISTORY_FAILED && arguments) return QRT_ECAS;
    if (p->log && outcome == HISTORY_OK && function == HISTORY_READ && v->value.kind == EDN_NIL) return QRT_ENOTFOUND;
    if (v->error.kind == EDN_ATOM && v->error.text.data[0] == ':')
        status_find(bytes_of(v->error.text.data + 1, v->error.text.size - 1), &status);
    return status;
}

static qrt_status event_return(struct parse *p, const struct event *v, uint32_t process, uint8_t function,
                               enum history_outcome outcome, struct error *e) {
    const char *name = history_function_name(function);
    size_t *open = open_operations_at(&p->open, process);
    if (*open == SIZE_MAX)
        return FAIL(&p->reader, v->start, "process %" PRIu32 " completes a %s that it has not invoked", process, name);
    struct history_operation *op = &p->history->operations[*open];
    if (op->function != function)
        return FAIL(&p->reader, v->function.text.data, "process %" PRIu32 " completes a %s, but invoked a %s", process,
                    name, history_function_name(op->function));
    op->status = event_status(p, v, outcome, function);
    if (outcome == HISTORY_FAILED && op->status == QRT_ECAS) outcome = HISTORY_OK;
    op->outcome = (uint8_t)outcome;
    const struct edn_form *result = op->status == QRT_ECAS ? &v->found : &v->result;
    if (result == &v->result && (function == HISTORY_GET || function == HISTORY_READ)) result = &v->value;
    qrt_status status = outcome == HISTORY_OK ? text_keep(p, result, &op->result, e) : QRT_OK;
    *open = SIZE_MAX;
    if (status != QRT_OK || outcome == HISTORY_UNKNOWN) return status;
    op->return_order = p->history->order;
    return time_parse(p, v, &op->return_ns, e);
}

/* An event of the nemesis, or of anything else that is not a numbered client, takes its position and no
 * more. */
static qrt_status event_add(struct parse *p, const struct event *v, struct error *e) {
    int64_t process;
    if (v->process.kind == EDN_END) return FAIL(&p->reader, v->start, "the event has no :process");
    if (v->process.kind == EDN_ATOM && v->process.text.data[0] == ':') {
        p->history->order++;
        return QRT_OK;
    }
    if (!number_parse(&v->process, &process) || process < 0 || process > UINT32_MAX)
        return FAIL(&p->reader, v->process.text.data, ":process wants a number from 0, or a keyword");
    if (v->function.kind != EDN_ATOM) return FAIL(&p->reader, v->start, "the event has no function, such as :f :read");
    struct bytes name = v->function.text;
    uint8_t function = name.data[0] == ':' ? history_function_find(bytes_of(name.data + 1, name.size - 1)) : 0;
    if (!function)
        return FAIL(&p->reader, name.data, "the function %.*s is not known", (int)(name.size < 40 ? name.size : 40),
                    (const char *)name.data);
    static const char *const types[] = {":invoke", ":ok", ":fail", ":info"};
    int type = 0;
    while (type < 4 && !(v->type.kind == EDN_ATOM && edn_is(&v->type, types[type]))) type++;
    if (type == 4)
        return FAIL(&p->reader, v->type.kind ? v->type.text.data : v->start,
                    "an event's :type is :invoke, :ok, :fail or :info");
    static const enum history_outcome outcomes[] = {0, HISTORY_OK, HISTORY_FAILED, HISTORY_UNKNOWN};
    qrt_status status = type == 0 ? event_invoke(p, v, (uint32_t)process, function, e)
                                  : event_return(p, v, (uint32_t)process, function, outcomes[type], e);
    p->history->order++;
    return status;
}

static struct edn_form *event_field(struct event *v, const struct edn_form *key) {
    struct {
        const char *name;
        struct edn_form *field;
    } const fields[] = {
        {":process", &v->process}, {":type", &v->type},   {":f", &v->function},
        {":key", &v->key},         {":value", &v->value}, {":result", &v->result},
        {":found", &v->found},     {":error", &v->error}, {":time", &v->time},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (key->kind == EDN_ATOM && edn_is(key, fields[i].name)) return fields[i].field;
    return NULL;
}

static qrt_status map_parse(struct parse *p, const struct edn_form *map, struct error *e) {
    struct event v = {.start = map->text.data};
    struct edn_reader inside = edn_inside(&p->reader, map);
    for (;;) {
        struct edn_form key, value;
        qrt_status status = edn_next(&inside, &key, e);
        if (status != QRT_OK) return status;
        if (key.kind == EDN_END) return event_add(p, &v, e);
        status = edn_next(&inside, &value, e);
        if (status != QRT_OK) return status;
        struct edn_form *field = event_field(&v, &key);
        if (!field) continue;
        if (field->kind != EDN_END)
            return FAIL(&p->reader, key.text.data, "the key %.*s appears twice", (int)key.text.size,
                        (const char *)key.text.data);
        *field = value;
    }
}

/* Maps one after another; at the outside they may stand in one vector or list. */
static qrt_status maps_parse(struct parse *p, struct edn_reader r, bool outside, struct error *e) {
    for (bool first = true;; first = false) {
        struct edn_form form, rest;
        qrt_status status = edn_next(&r, &form, e);
        if (status != QRT_OK) return status;
        if (form.kind == EDN_END) return QRT_OK;
        if (outside && first && form.kind == EDN_SEQUENCE) {
            status = edn_next(&r, &rest, e);
            if (status != QRT_OK) return status;
            if (rest.kind != EDN_END) return FAIL(&r, rest.text.data, "something follows the end of the history");
            return maps_parse(p, edn_inside(&r, &form), false, e);
        }
        if (form.kind != EDN_MAP)
            return FAIL(&r, form.text.data, "an event is a map, such as {:process 0, :type :invoke, :f :read}");
        status = map_parse(p, &form, e);
        if (status != QRT_OK) return status;
    }
}

qrt_status history_parse_edn(struct history *h, struct bytes text, struct error *e) {
    struct edn_reader reader = {text, text.data, text.data + text.size};
    struct parse p = {.history = h, .reader = reader};
    qrt_status status = maps_parse(&p, reader, true, e);
    open_operations_free(&p.open);
    buffer_free(&p.scratch);
    return status;
}

/* Lines of other loggers are no events. Anything that does not look like a log line at all is malformed. */
static bool line_is_foreign(struct bytes line) {
    static const char *const levels[] = {"INFO", "WARN", "ERROR", "DEBUG", "TRACE", "FATAL"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        size_t size = strlen(levels[i]);
        if (line.size > size && memcmp(line.data, levels[i], size) == 0 && line.data[size] == ' ')
            return !memmem(line.data, line.size, "jepsen.util", 11);
    }
    return false;
}

static qrt_status line_parse(struct parse *p, struct bytes line, struct error *e) {
    static const char head[] = "jepsen.util - ";
    if (line_is_foreign(line)) return QRT_OK;
    const uint8_t *end = line.data + line.size, *at = memmem(line.data, line.size, head, strlen(head));
    if (!at) return FAIL(&p->reader, line.data, "this is no log line \"INFO  jepsen.util - process :type :f value\"");
    struct edn_reader r = {p->reader.whole, at + strlen(head), end};
    struct event v = {.start = at + strlen(head)};
    struct edn_form *const fields[] = {&v.process, &v.type, &v.function, &v.value};
    static const char *const names[] = {"process", "type", "function", "value"};
    struct edn_form rest;
    for (size_t i = 0; i < 4; i++) {
        qrt_status status = edn_next(&r, fields[i], e);
        if (status != QRT_OK) return status;
        if (fields[i]->kind == EDN_END) return FAIL(&r, end, "the line ends before its %s", names[i]);
    }
    qrt_status status = edn_next(&r, &rest, e);
    if (status != QRT_OK) return status;
    bool nemesis = v.process.kind == EDN_ATOM && v.process.text.data[0] == ':';
    if (rest.kind != EDN_END && !nemesis) return FAIL(&r, rest.text.data, "the line goes on after its value");
    return event_add(p, &v, e);
}

qrt_status history_parse_log(struct history *h, struct bytes text, struct error *e) {
    const uint8_t *at = text.data, *end = text.data + text.size;
    struct parse p = {.history = h, .reader = {text, at, end}, .log = true};
    qrt_status status = QRT_OK;
    while (at < end && status == QRT_OK) {
        const uint8_t *next = memchr(at, '\n', (size_t)(end - at));
        if (!next) next = end;
        struct bytes line = bytes_of(at, (size_t)(next - at));
        while (line.size && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == ' ')) line.size--;
        if (line.size) status = line_parse(&p, line, e);
        at = next + 1;
    }
    open_operations_free(&p.open);
    buffer_free(&p.scratch);
    return status;
}
