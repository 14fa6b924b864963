/* Memory. Running out of it ends the process with a message: a simulator of whole clusters has no state to
 * save that would be worth a failure path in every function (decided; see docs/design.md). Sizes that come
 * from outside are bounded before they reach these functions. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);                     /* uninitialised; size 0 gives a unique pointer */
void *mem_zero(size_t count, size_t size);        /* zeroed */
void *mem_resize(void *p, size_t size);           /* NULL p allocates */
void *mem_aligned(size_t alignment, size_t size); /* uninitialised; size is a multiple of alignment */
void *mem_copy(const void *p, size_t size);       /* a fresh copy; NULL p with size 0 is allowed */
char *mem_string(const char *s);                  /* a fresh copy of s */
/* snprintf for layers that have no stdio; always terminated, cut at size. Returns the length that it wrote. */
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Whether `word` is one of the words of `list`, which single spaces separate. */
bool text_lists(const char *list, const char *word);
/* mem_grow makes room for `need` elements in a growing array: doubles *capacity (in elements) as needed. */
void *mem_grow_more(void *p, size_t *capacity, size_t need, size_t element_size);
static inline void *mem_grow(void *p, size_t *capacity, size_t need, size_t element_size) {
    return __builtin_expect(need <= *capacity, 1) ? p : mem_grow_more(p, capacity, need, element_size);
}

/* A growing byte buffer; zero-initialise, then use; buffer_free when done. */
struct buffer {
    uint8_t *data;
    size_t size, capacity;
};
void buffer_append(struct buffer *b, const void *data, size_t size);
/* Room for size more bytes, uninitialised; one byte more is always there, for buffer_text. */
static inline uint8_t *buffer_extend(struct buffer *b, size_t size) {
    b->data = (uint8_t *)mem_grow(b->data, &b->capacity, b->size + size + 1, 1);
    uint8_t *place = b->data + b->size;
    b->size += size;
    return place;
}
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buffer_text(struct buffer *b); /* NUL-terminates (size unchanged) and returns data */
void buffer_clear(struct buffer *b);
void buffer_free(struct buffer *b);

#endif
