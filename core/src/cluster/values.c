#include "cluster/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *verdict_name(enum verdict v) {
    switch (v) {
    case VERDICT_OK: return "ok";
    case VERDICT_VIOLATED: return "violated";
    case VERDICT_UNKNOWN: return "unknown";
    }
    return "unknown";
}

json_t *text_value(struct bytes b) {
    json_t *plain = json_stringn((const char *)b.data, b.size);
    if (plain) return plain;
    struct buffer out = {0};
    for (uint32_t i = 0; i < b.size; i++) {
        if (b.data[i] < 0x80)
            buffer_append(&out, &b.data[i], 1);
        else
            buffer_printf(&out, "\\x%02x", b.data[i]);
    }
    plain = json_stringn((const char *)out.data, out.size);
    buffer_free(&out);
    return plain;
}

json_t *seconds_value(int64_t ns) {
    return json_real((double)ns / 1e9);
}

json_t *hash_value(uint64_t hash) {
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return json_string(text);
}

void add_options(json_t *out, const struct option_table *table, const void *values, bool (*wanted)(const char *name)) {
    struct buffer text = {0};
    for (const struct option_spec *s = table->specs; s && s->name; s++) {
        if (wanted && !wanted(s->name)) continue;
        buffer_clear(&text);
        option_print(s, values, &text);
        json_object_set_new(out, s->name, text_value(bytes_of(text.data, text.size)));
    }
    buffer_free(&text);
}

const char *dump_value(json_t *root, struct buffer *out, int digits) {
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION((size_t)digits));
    buffer_clear(out);
    buffer_append(out, text, strlen(text));
    free(text);
    json_decref(root);
    return buffer_text(out);
}

void worsen(enum verdict *whole, enum verdict one) {
    if (one == VERDICT_VIOLATED || *whole == VERDICT_OK) *whole = *whole == VERDICT_VIOLATED ? *whole : one;
}
