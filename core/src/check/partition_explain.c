/* Why an operation fits nowhere, in a sentence: who did what and was told what, and what the state could
 * have been after any order of what came before. */
#include <inttypes.h>
#include <stdio.h>

#include "check/partition.h"

static void operation_print(const struct history_operation *op, struct buffer *out) {
    buffer_printf(out, "%s(", history_function_name(op->function));
    const char *comma = "";
    if (op->key.size) {
        model_print_text(op->key, out);
        comma = ", ";
    }
    bool read = op->function == HISTORY_GET || op->function == HISTORY_READ || op->function == HISTORY_DELETE;
    if (!read) {
        buffer_printf(out, "%s", comma);
        if (op->function == HISTORY_CAS) {
            model_print_text(op->expected, out);
            buffer_printf(out, " -> ");
        }
        model_print_text(op->value, out);
    }
    buffer_printf(out, ") by client %" PRIu32, op->process);
}

static void answer_print(const struct history_operation *op, struct buffer *out) {
    if (op->status == QRT_ENOTFOUND) {
        buffer_printf(out, " found nothing");
    } else if (op->status == QRT_ECAS) {
        buffer_printf(out, " failed because it found ");
        if (op->result.size)
            model_print_text(op->result, out);
        else
            buffer_printf(out, op->function == HISTORY_CAS ? "another value" : "another owner");
    } else if (op->result.data || op->function == HISTORY_GET || op->function == HISTORY_READ) {
        buffer_printf(out, " returned ");
        model_print_text(op->result, out);
    } else {
        buffer_printf(out, " succeeded");
    }
}

static bool is_possible(const struct partition *p, const uint32_t *states, size_t count, struct bytes value) {
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        const struct value *v = &p->model.values[states[i]];
        if (states[i] == STATE_NIL)
            found = !value.data;
        else
            found = value.data && v->text && bytes_equal(bytes_of(v->text, (size_t)v->length), value);
    }
    return found;
}

/* Writes of unknown outcome that nobody saw could have left their value there as well. */
static size_t unseen_print(const struct partition *p, uint64_t until, size_t count, struct buffer *out) {
    size_t printed = 0, known = count < POSSIBLE_MAX ? count : POSSIBLE_MAX;
    for (size_t i = 0; i < p->dropped_count && count + printed < POSSIBLE_MAX; i++) {
        const struct history_operation *op = &p->history->operations[p->dropped[i]];
        struct bytes value = op->function == HISTORY_DELETE ? (struct bytes){0} : op->value;
        bool reachable = op->function != HISTORY_CAS || is_possible(p, p->possible, known, op->expected);
        if (op->invoke_order > until || !reachable || is_possible(p, p->possible, known, value)) continue;
        buffer_printf(out, count + printed ? " or " : "");
        model_print_text(value, out);
        printed++;
    }
    return printed;
}

static void possible_print(const struct partition *p, uint64_t until, bool complete, struct buffer *out) {
    size_t count = p->possible_count < POSSIBLE_MAX ? p->possible_count : POSSIBLE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_printf(out, " or ");
        model_print(&p->model, p->possible[i], out);
    }
    if (count < POSSIBLE_MAX) count += unseen_print(p, until, count, out);
    if (p->possible_count > POSSIBLE_MAX || count == POSSIBLE_MAX || !complete) buffer_printf(out, " or others");
}

void partition_explain(const struct partition *p, size_t number, bool complete, char *out, size_t size) {
    const struct history_operation *op = &p->history->operations[number];
    static const char *const leaves[] = {
        [LINEAR_CAS_REGISTER] = "leave the register at ",
        [LINEAR_APPEND_KV] = "leave there ",
        [LINEAR_KV] = "leave there ",
        [LINEAR_COUNTER] = "leave the counter at ",
        [LINEAR_LOCK] = "leave as the lock's owner ",
    };
    struct buffer text = {0};
    operation_print(op, &text);
    answer_print(op, &text);
    buffer_printf(&text, " (operation %zu), but no order of the operations up to then explains that", number);
    bool here = p->possible_count > 0 && partition_stuck(p)->number == number;
    if (here) {
        buffer_printf(&text, ": they %s", leaves[p->model.kind]);
        possible_print(p, op->return_order, complete, &text);
    }
    if (op->function == HISTORY_ACQUIRE && op->result.size)
        buffer_printf(&text, ", and a token is greater than all before it");
    snprintf(out, size, "%s", buffer_text(&text));
    buffer_free(&text);
}
