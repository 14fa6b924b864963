/* A replicated log in memory. See log.h. */
#include "protocol/log.h"

#include <stdlib.h>

#include "base/check.h"

#define LOG_ARENA_MIN 4096u

static struct log_segment *segment_new(uint64_t first, uint64_t start) {
    struct log_segment *s = mem_alloc(sizeof *s);
    s->references = 1;
    s->count = 0;
    s->first = first;
    s->start = start;
    s->arena = NULL;
    s->capacity = 0;
    return s;
}

static size_t segment_used(const struct log_segment *s) {
    return s->count ? (size_t)(s->slots[s->count - 1].end - s->start) : 0;
}

static void segment_unref(struct log_segment *s) {
    if (__atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL)) return;
    free(s->arena);
    free(s);
}

static struct log_segment *segment_copy(const struct log_segment *from) {
    struct log_segment *s = mem_copy(from, sizeof *from);
    s->references = 1;
    s->capacity = segment_used(from);
    s->arena = mem_copy(from->arena, s->capacity);
    return s;
}

/* The last segment, ours alone. */
static struct log_segment *segment_own(struct log *l) {
    struct log_segment **last = &l->segments[l->count - 1];
    if (__builtin_expect(__atomic_load_n(&(*last)->references, __ATOMIC_ACQUIRE) > 1, 0)) {
        struct log_segment *copy = segment_copy(*last);
        segment_unref(*last);
        *last = copy;
    }
    return *last;
}

static struct log_segment *segment_writable(struct log *l) {
    if (l->count && l->segments[l->count - 1]->count < LOG_SEGMENT) return segment_own(l);
    struct log_segment *s = segment_new(l->last + 1, l->last_end);
    /* Entries are much alike: what the segment before took spares this one the growing. */
    s->capacity = l->count ? segment_used(l->segments[l->count - 1]) : LOG_ARENA_MIN;
    s->arena = mem_alloc(s->capacity);
    l->segments = mem_grow(l->segments, &l->capacity, l->count + 1, sizeof *l->segments);
    return l->segments[l->count++] = s;
}

void log_free(struct log *l) {
    for (size_t i = 0; i < l->count; i++) segment_unref(l->segments[i]);
    free(l->segments);
    *l = (struct log){0};
}

void log_clone(struct log *to, const struct log *from) {
    *to = *from;
    to->segments = from->count ? mem_copy(from->segments, from->count * sizeof *from->segments) : NULL;
    to->capacity = from->count;
    for (size_t i = 0; i < from->count; i++) __atomic_add_fetch(&from->segments[i]->references, 1, __ATOMIC_RELAXED);
}

void log_reset(struct log *l, uint64_t index, uint64_t term, uint64_t hash) {
    for (size_t i = 0; i < l->count; i++) segment_unref(l->segments[i]);
    l->count = 0;
    l->base = l->last = index;
    l->base_term = l->last_term = term;
    l->base_hash = l->last_hash = hash;
    l->base_end = l->last_end = 0;
}

void log_append(struct log *l, struct bytes raw, uint64_t token) {
    struct log_segment *s = segment_writable(l);
    size_t used = (size_t)(l->last_end - s->start), need = used + raw.size;
    if (__builtin_expect(need > s->capacity, 0)) {
        size_t capacity = s->capacity * 2;
        s->capacity = capacity < need ? need : capacity;
        s->arena = mem_resize(s->arena, s->capacity);
    }
    memcpy(s->arena + used, raw.data, raw.size);
    memcpy(&l->last_term, raw.data, sizeof l->last_term);
    l->last_hash = entry_hash(l->last_hash, raw);
    l->last_end += raw.size;
    l->last++;
    s->slots[s->count++] = (struct log_slot){l->last_term, l->last_hash, token, l->last_end};
}

static void last_moved(struct log *l, uint64_t last) {
    uint64_t term = log_term(l, last), hash = log_hash(l, last), end = log_end(l, last);
    l->last = last;
    l->last_term = term;
    l->last_hash = hash;
    l->last_end = end;
}

void log_truncate(struct log *l, uint64_t from) {
    CHECK(from > l->base);
    if (from > l->last) return;
    last_moved(l, from - 1);
    while (l->count && l->segments[l->count - 1]->first >= from) segment_unref(l->segments[--l->count]);
    if (!l->count) return;
    struct log_segment *s = segment_own(l);
    s->count = (uint32_t)(from - s->first);
}

void log_compact(struct log *l, uint64_t to) {
    CHECK(log_knows(l, to));
    uint64_t term = log_term(l, to), hash = log_hash(l, to), end = log_end(l, to);
    l->base = to;
    l->base_term = term;
    l->base_hash = hash;
    l->base_end = end;
    size_t gone = 0;
    while (gone < l->count && l->segments[gone]->first + l->segments[gone]->count <= to + 1) gone++;
    if (gone && gone == l->count && l->segments[gone - 1]->count < LOG_SEGMENT) gone--; /* still being filled */
    for (size_t i = 0; i < gone; i++) segment_unref(l->segments[i]);
    l->count -= gone;
    if (gone) memmove(l->segments, l->segments + gone, l->count * sizeof *l->segments);
}

bool log_entry(const struct log *l, uint64_t index, struct entry *entry) {
    if (!log_has(l, index)) return false;
    const struct log_segment *s = log_segment_of(l, index);
    size_t i = (size_t)(index - s->first);
    uint64_t begin = i ? s->slots[i - 1].end : s->start;
    *entry = entry_view(s->arena + (begin - s->start));
    entry->index = index;
    entry->hash = s->slots[i].hash;
    entry->token = s->slots[i].token;
    return true;
}

uint64_t log_run(const struct log *l, uint64_t from, uint64_t limit) {
    uint64_t begin = log_end(l, from - 1);
    if (l->last_end - begin <= limit) return l->last;
    uint64_t low = from, high = l->last; /* low fits or is the one that must go; high does not fit */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (log_end(l, middle) - begin <= limit)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct bytes log_slice(const struct log *l, uint64_t from, uint64_t to, struct buffer *scratch) {
    const struct log_segment *s = log_segment_of(l, from);
    uint64_t begin = from == s->first ? s->start : s->slots[from - 1 - s->first].end;
    if (__builtin_expect(to < s->first + LOG_SEGMENT, 1))
        return bytes_of(s->arena + (begin - s->start), (size_t)(s->slots[to - s->first].end - begin));
    buffer_clear(scratch);
    while (from <= to) {
        s = log_segment_of(l, from);
        uint64_t stop = to < s->first + LOG_SEGMENT - 1 ? to : s->first + LOG_SEGMENT - 1;
        uint64_t end = s->slots[stop - s->first].end;
        buffer_append(scratch, s->arena + (begin - s->start), (size_t)(end - begin));
        begin = end;
        from = stop + 1;
    }
    return bytes_of(scratch->data, scratch->size);
}

uint64_t log_find_term(const struct log *l, uint64_t index, uint64_t term) {
    if (index > l->last) index = l->last;
    if (index <= l->base) return l->base;
    uint64_t low = l->base, high = index + 1; /* low qualifies (or is base), high does not (or is past the end) */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (log_term(l, middle) <= term)
            low = middle;
        else
            high = middle;
    }
    return low;
}
