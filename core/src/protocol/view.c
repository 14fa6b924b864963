#include "protocol/view.h"

#include <inttypes.h>

int view_finish(struct buffer *text, char *out, size_t size) {
    size_t length = text->size < size ? text->size : size ? size - 1 : 0;
    if (length) memcpy(out, text->data, length);
    if (size) out[length] = 0;
    buffer_free(text);
    return (int)length;
}

void view_number(inspect_fn *field, void *context, const char *name, uint64_t value) {
    struct buffer text = {0};
    buffer_printf(&text, "%" PRIu64, value);
    field(context, name, buffer_text(&text));
    buffer_free(&text);
}
