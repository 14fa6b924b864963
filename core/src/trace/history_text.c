/* Text of histories: strings that JSON and EDN both read, hexadecimal for what is no UTF-8, and the table of
 * open operations that pairs invocations with their completions. */
#include "trace/history_text.h"

#include <stdlib.h>
#include <string.h>

size_t *open_operations_at(struct open_operations *open, uint32_t process) {
    size_t low = 0, high = open->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (open->items[middle].process < process)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == open->count || open->items[low].process != process) {
        open->items = mem_grow(open->items, &open->capacity, open->count + 1, sizeof *open->items);
        memmove(open->items + low + 1, open->items + low, (open->count - low) * sizeof *open->items);
        open->items[low] = (struct open_operation){process, SIZE_MAX};
        open->count++;
    }
    return &open->items[low].number;
}

void open_operations_free(struct open_operations *open) {
    free(open->items);
    *open = (struct open_operations){0};
}

/* The length of the character at p, 0 when it is malformed: overlong forms, surrogates and what lies beyond
 * U+10FFFF are malformed, as RFC 3629 says. */
static size_t utf8_length(const uint8_t *p, size_t left) {
    if (p[0] < 0x80) return 1;
    size_t length = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return length;
}

bool text_is_utf8(struct bytes text) {
    for (size_t i = 0, step; i < text.size; i += step) {
        step = utf8_length(text.data + i, text.size - i);
        if (step == 0) return false;
    }
    return true;
}

void text_print_quoted(struct buffer *out, struct bytes text) {
    buffer_append(out, "\"", 1);
    for (uint32_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if (c == '\n')
            buffer_append(out, "\\n", 2);
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(out, "\\u%04x", c);
        else
            buffer_append(out, &c, 1);
    }
    buffer_append(out, "\"", 1);
}

void text_print_hex(struct buffer *out, struct bytes text) {
    for (uint32_t i = 0; i < text.size; i++) buffer_printf(out, "%02x", text.data[i]);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool text_parse_hex(struct bytes digits, struct buffer *out) {
    if (digits.size % 2) return false;
    for (uint32_t i = 0; i < digits.size; i += 2) {
        int high = hex_digit(digits.data[i]), low = hex_digit(digits.data[i + 1]);
        if (high < 0 || low < 0) return false;
        uint8_t byte = (uint8_t)(high << 4 | low);
        buffer_append(out, &byte, 1);
    }
    return true;
}

bool status_find(struct bytes name, qrt_status *status) {
    for (int code = QRT_MORE; code >= QRT_EINTERNAL; code--) {
        const char *known = status_name((qrt_status)code);
        if (strcmp(known, "unknown-status") == 0 || !bytes_equal(name, bytes_text(known))) continue;
        *status = (qrt_status)code;
        return true;
    }
    return false;
}
