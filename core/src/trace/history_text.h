/* What the parsers and printers of histories share: places in a text, copies into a history's arena, who has
 * an operation under way, and how text that may be no UTF-8 is written. Internal to history*.c. */
#ifndef TRACE_HISTORY_TEXT_H
#define TRACE_HISTORY_TEXT_H

#include <stdbool.h>

#include "trace/history.h"

/* Fills e with QRT_EPARSE and "line L, column C: ...", both counted from 1, columns in bytes. */
qrt_status history_error(struct error *e, struct bytes text, const uint8_t *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The formats behind history_parse. They append to h and may leave a part behind when they fail. */
qrt_status history_parse_edn(struct history *h, struct bytes text, struct error *e);
qrt_status history_parse_log(struct history *h, struct bytes text, struct error *e);
qrt_status history_parse_json(struct history *h, struct bytes text, struct error *e);

/* Text in, a copy that lives as long as the history out; nil stays nil. */
struct bytes history_copy(struct history *h, struct bytes text);
/* Appends an operation whose text is already the history's own. */
size_t history_append(struct history *h, const struct history_operation *op);

/* The operation that each process has open, in order of process. */
struct open_operation {
    uint32_t process;
    size_t number; /* SIZE_MAX: none */
};
struct open_operations {
    struct open_operation *items;
    size_t count, capacity;
};
size_t *open_operations_at(struct open_operations *open, uint32_t process); /* made when new; valid until the next */
void open_operations_free(struct open_operations *open);

bool text_is_utf8(struct bytes text);
/* A string literal that JSON and EDN both read: quotes, and escapes of what must be escaped. Needs UTF-8. */
void text_print_quoted(struct buffer *out, struct bytes text);
void text_print_hex(struct buffer *out, struct bytes text);
/* Decodes hexadecimal digits to the end of out; false when they are none. */
bool text_parse_hex(struct bytes digits, struct buffer *out);
/* The status of that name ("cas-mismatch"); false for none. */
bool status_find(struct bytes name, qrt_status *status);

#endif
