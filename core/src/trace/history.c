/* Histories in memory: an array of operations, and an arena for their text.
 *
 *   history -> operations [ put k1 v1 | get k1 | ... ]
 *           -> arena -> chunk (filling) -> chunk (full) -> chunk (full)
 *
 * Text never moves and never changes, so a clone shares the chunks and copies the array alone. Only the
 * owner of a chunk with one reference writes into it; whoever else needs room begins a chunk of his own. */
#include "trace/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "trace/history_text.h"

enum { CHUNK_SIZE_MIN = 1 << 10, CHUNK_SIZE_MAX = 1 << 16 };

struct chunk {
    struct chunk *previous;
    uint32_t references; /* from a history or from the chunk after it */
    size_t size, used;
    uint8_t text[];
};

static const char *const function_names[] = {
    [HISTORY_GET] = "get", [HISTORY_PUT] = "put",         [HISTORY_DELETE] = "delete",   [HISTORY_APPEND] = "append",
    [HISTORY_CAS] = "cas", [HISTORY_SCAN] = "scan",       [HISTORY_READ] = "read",       [HISTORY_WRITE] = "write",
    [HISTORY_ADD] = "add", [HISTORY_ACQUIRE] = "acquire", [HISTORY_RELEASE] = "release", [HISTORY_PROPOSE] = "propose",
};
enum { FUNCTION_COUNT = sizeof function_names / sizeof *function_names };

static void chunk_release(struct chunk *c) {
    while (c && __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct chunk *previous = c->previous;
        free(c);
        c = previous;
    }
}

static struct chunk *chunk_with_room(struct chunk *last, size_t need) {
    bool own = last && __atomic_load_n(&last->references, __ATOMIC_ACQUIRE) == 1;
    if (own && last->size - last->used >= need) return last;
    size_t size = own && last->size * 2 <= CHUNK_SIZE_MAX ? last->size * 2 : CHUNK_SIZE_MIN;
    if (own && last->size >= CHUNK_SIZE_MAX) size = CHUNK_SIZE_MAX;
    if (size < need) size = need;
    struct chunk *c = mem_alloc(sizeof *c + size);
    *c = (struct chunk){.previous = last, .references = 1, .size = size};
    return c;
}

struct bytes history_copy(struct history *h, struct bytes text) {
    if (!text.data) return (struct bytes){0};
    if (text.size == 0) return bytes_text("");
    struct chunk *c = h->arena = chunk_with_room(h->arena, text.size);
    uint8_t *place = c->text + c->used;
    memcpy(place, text.data, text.size);
    c->used += text.size;
    return (struct bytes){place, text.size};
}

void history_init(struct history *h) {
    *h = (struct history){0};
}

void history_free(struct history *h) {
    free(h->operations);
    chunk_release(h->arena);
    *h = (struct history){0};
}

void history_clone(struct history *to, const struct history *from) {
    *to = *from;
    to->operations = mem_copy(from->operations, from->count * sizeof *from->operations);
    to->capacity = from->count;
    to->sink = (struct history_sink){0};
    struct chunk *shared = from->arena;
    if (shared) __atomic_add_fetch(&shared->references, 1, __ATOMIC_RELAXED);
}

size_t history_append(struct history *h, const struct history_operation *op) {
    h->operations = mem_grow(h->operations, &h->capacity, h->count + 1, sizeof *h->operations);
    h->operations[h->count] = *op;
    return h->count++;
}

size_t history_invoke(struct history *h, const struct history_operation *op) {
    struct history_operation copy = {
        .process = op->process,
        .function = op->function,
        .outcome = HISTORY_PENDING,
        .invoke_ns = op->invoke_ns,
        .return_ns = INT64_MAX,
        .invoke_order = h->order++,
        .return_order = UINT64_MAX,
        .key = history_copy(h, op->key),
        .value = history_copy(h, op->value),
        .expected = history_copy(h, op->expected),
    };
    size_t number = history_append(h, &copy);
    if (h->sink.invoked) h->sink.invoked(h->sink.context, number, &h->operations[number]);
    return number;
}

/* An unknown outcome takes a position too, as its line in a file does, but its operation stays open to the
 * end. */
void history_return(struct history *h, size_t number, enum history_outcome outcome, qrt_status status,
                    struct bytes result, int64_t time_ns) {
    CHECK(number < h->count);
    struct history_operation *op = &h->operations[number];
    CHECK(op->outcome == HISTORY_PENDING);
    uint64_t order = h->order++;
    op->outcome = (uint8_t)outcome;
    op->status = status;
    op->result = history_copy(h, result);
    if (outcome == HISTORY_OK || outcome == HISTORY_FAILED) {
        op->return_ns = time_ns;
        op->return_order = order;
    }
    if (h->sink.returned) h->sink.returned(h->sink.context, number, op, time_ns);
}

const char *history_function_name(uint8_t function) {
    return function < FUNCTION_COUNT ? function_names[function] : NULL;
}

uint8_t history_function_find(struct bytes name) {
    for (uint8_t i = HISTORY_GET; i < FUNCTION_COUNT; i++)
        if (bytes_equal(name, bytes_text(function_names[i]))) return i;
    return 0;
}

qrt_status history_error(struct error *e, struct bytes text, const uint8_t *at, const char *format, ...) {
    size_t line = 1, column = 1;
    for (const uint8_t *p = text.data; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    char words[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return error_set(e, QRT_EPARSE, "line %zu, column %zu: %.400s", line, column, words);
}

/* The first character that is neither space nor EDN comment, NULL when there is none. */
static const uint8_t *text_first(struct bytes text) {
    const uint8_t *p = text.data, *end = p ? p + text.size : p;
    for (; p < end; p++) {
        if (*p == ';')
            while (p + 1 < end && p[1] != '\n') p++;
        else if (!strchr(" \t\r\n,", *p) || !*p)
            return p;
    }
    return NULL;
}

static qrt_status text_parse(struct history *h, struct bytes text, struct error *e) {
    const uint8_t *first = text_first(text), *end = text.data + text.size;
    if (!first) return history_error(e, text, text.data, "there is no history in this text");
    if (*first == '[' || *first == '(' || *first == '#') return history_parse_edn(h, text, e);
    if (*first != '{') return history_parse_log(h, text, e);
    const uint8_t *second = text_first(bytes_of(first + 1, (size_t)(end - first - 1)));
    bool json = second && (*second == '"' || *second == '}');
    return json ? history_parse_json(h, text, e) : history_parse_edn(h, text, e);
}

qrt_status history_parse(struct history *h, struct bytes text, struct error *e) {
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf}; /* some editors begin a file with it */
    if (text.size >= sizeof mark && memcmp(text.data, mark, sizeof mark) == 0)
        text = bytes_of(text.data + sizeof mark, text.size - sizeof mark);
    size_t count = h->count;
    uint64_t order = h->order;
    qrt_status status = text_parse(h, text, e);
    if (status != QRT_OK) {
        h->count = count;
        h->order = order;
    }
    return status;
}
