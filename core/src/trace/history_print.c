/* Histories as EDN for Jepsen's tools: the operations' two ends, in order of position. What it writes is
 * read by history_edn.c, which says what each key means. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "trace/history_text.h"

struct print {
    const struct history *history;
    struct buffer *out;
    size_t *returns; /* numbers of the operations that returned, in order of their return */
    size_t return_count;
    struct open_operations unknown; /* whose :info line is not written yet */
};

static void value_print(struct buffer *out, struct bytes value) {
    if (!value.data) {
        buffer_append(out, "nil", 3);
    } else if (text_is_utf8(value)) {
        text_print_quoted(out, value);
    } else {
        buffer_printf(out, "#quorate/hex \"");
        text_print_hex(out, value);
        buffer_append(out, "\"", 1);
    }
}

static void field_print(struct buffer *out, const char *name, struct bytes value) {
    if (!value.data) return;
    buffer_printf(out, ", :%s ", name);
    value_print(out, value);
}

static bool is_read(const struct history_operation *op) {
    return op->function == HISTORY_GET || op->function == HISTORY_READ;
}

static void argument_print(struct buffer *out, const struct history_operation *op) {
    bool cas = op->function == HISTORY_CAS;
    buffer_printf(out, ", :value %s", cas ? "[" : "");
    if (cas) {
        value_print(out, op->expected);
        buffer_append(out, " ", 1);
    }
    value_print(out, is_read(op) ? (struct bytes){0} : op->value);
    if (cas) buffer_append(out, "]", 1);
}

static void event_begin(struct print *p, const struct history_operation *op, const char *type, int64_t time) {
    const char *name = history_function_name(op->function);
    CHECK(name);
    buffer_printf(p->out, "{:process %" PRIu32 ", :type :%s, :f :%s", op->process, type, name);
    if (time != INT64_MAX) buffer_printf(p->out, ", :time %" PRId64, time);
    field_print(p->out, "key", op->key);
}

static void return_print(struct print *p, const struct history_operation *op) {
    bool ok = op->outcome == HISTORY_OK, mismatch = ok && op->status == QRT_ECAS;
    event_begin(p, op, mismatch || op->outcome == HISTORY_FAILED ? "fail" : ok ? "ok" : "info", op->return_ns);
    if (ok && is_read(op)) {
        buffer_printf(p->out, ", :value ");
        value_print(p->out, op->result);
    } else {
        argument_print(p->out, op);
    }
    if (!ok || op->status != QRT_OK) buffer_printf(p->out, ", :error :%s", status_name((qrt_status)op->status));
    if (ok && !is_read(op)) field_print(p->out, mismatch ? "found" : "result", op->result);
    buffer_append(p->out, "}\n", 2);
}

/* A client that goes on after an unknown outcome gave up waiting before it did: its :info comes first. */
static void invoke_print(struct print *p, size_t number) {
    const struct history_operation *op = &p->history->operations[number];
    size_t *open = open_operations_at(&p->unknown, op->process);
    if (*open != SIZE_MAX) return_print(p, &p->history->operations[*open]);
    *open = op->outcome == HISTORY_UNKNOWN ? number : SIZE_MAX;
    event_begin(p, op, "invoke", op->invoke_ns);
    argument_print(p->out, op);
    buffer_append(p->out, "}\n", 2);
}

static int return_order(const void *a, const void *b, void *context) {
    const struct history_operation *operations = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    uint64_t p = operations[x].return_order, q = operations[y].return_order;
    return p == q ? (x > y) - (x < y) : (p > q) - (p < q);
}

void history_print_edn(const struct history *h, struct buffer *out) {
    struct print p = {.history = h, .out = out, .returns = mem_alloc(h->count * sizeof(size_t))};
    for (size_t i = 0; i < h->count; i++)
        if (h->operations[i].return_order != UINT64_MAX) p.returns[p.return_count++] = i;
    qsort_r(p.returns, p.return_count, sizeof *p.returns, return_order, h->operations);
    if (h->count == 0) buffer_append(out, "[]\n", 3);
    for (size_t i = 0, j = 0; i < h->count || j < p.return_count;) {
        const struct history_operation *returned = j < p.return_count ? &h->operations[p.returns[j]] : NULL;
        if (i < h->count && (!returned || h->operations[i].invoke_order <= returned->return_order)) {
            invoke_print(&p, i++);
        } else {
            return_print(&p, returned);
            j++;
        }
    }
    for (size_t i = 0; i < p.unknown.count; i++)
        if (p.unknown.items[i].number != SIZE_MAX) return_print(&p, &h->operations[p.unknown.items[i].number]);
    open_operations_free(&p.unknown);
    free(p.returns);
}
