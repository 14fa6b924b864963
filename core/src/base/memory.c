#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

_Noreturn void check_failed(const char *fact, const char *file, int line) {
    fprintf(stderr, "quorate: internal error: %s does not hold (%s:%d)\n", fact, file, line);
    abort();
}

static void *require(void *p, size_t size) {
    if (p) return p;
    fprintf(stderr, "quorate: out of memory: %zu bytes were refused\n", size);
    abort();
}

void *mem_alloc(size_t size) {
    return require(malloc(size ? size : 1), size);
}

void *mem_zero(size_t count, size_t size) {
    return require(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_resize(void *p, size_t size) {
    return require(realloc(p, size ? size : 1), size);
}

void *mem_aligned(size_t alignment, size_t size) {
    return require(aligned_alloc(alignment, size), size);
}

void *mem_copy(const void *p, size_t size) {
    void *copy = mem_alloc(size);
    if (size) memcpy(copy, p, size);
    return copy;
}

char *mem_string(const char *s) {
    return mem_copy(s, strlen(s) + 1);
}

char *mem_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    char *text = mem_alloc((size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

size_t text_format(char *out, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(out, size, format, args);
    va_end(args);
    if (length < 0 || size == 0) return 0;
    return (size_t)length < size ? (size_t)length : size - 1;
}

void *mem_grow_more(void *p, size_t *capacity, size_t need, size_t element_size) {
    size_t wanted = *capacity ? *capacity * 2 : 8;
    while (wanted < need) wanted *= 2;
    CHECK(wanted <= SIZE_MAX / element_size);
    *capacity = wanted;
    return mem_resize(p, wanted * element_size);
}

bool text_lists(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == 0 || at[length] == ' ')) return true;
    return false;
}

void buffer_append(struct buffer *b, const void *data, size_t size) {
    if (size) memcpy(buffer_extend(b, size), data, size);
}

void buffer_printf(struct buffer *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    char *place = (char *)buffer_extend(b, (size_t)length);
    va_start(args, format);
    vsnprintf(place, (size_t)length + 1, format, args);
    va_end(args);
}

char *buffer_text(struct buffer *b) {
    *buffer_extend(b, 0) = 0;
    return (char *)b->data;
}

void buffer_clear(struct buffer *b) {
    b->size = 0;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}
