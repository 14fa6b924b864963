#include <stdlib.h>

#include "runtime/runtime.h"

uint64_t tickets_add(struct tickets *t, uint16_t node, int64_t now) {
    if (!t->first) t->first = 1;
    t->tickets = mem_grow(t->tickets, &t->capacity, t->count + 1, sizeof *t->tickets);
    t->tickets[t->count] = (struct ticket){.node = node, .proposed = now};
    return t->first + t->count++;
}

struct ticket *tickets_at(const struct tickets *t, uint64_t ticket) {
    if (ticket < t->first || ticket - t->first >= t->count) return NULL;
    return &t->tickets[ticket - t->first];
}

void tickets_answer(struct tickets *t, const struct answer *a, int64_t now) {
    struct ticket *k = tickets_at(t, a->ticket);
    if (!k || k->done) return;
    k->done = true;
    k->status = a->status;
    k->unsent = a->unsent;
    k->leader = a->leader;
    k->term = a->term;
    k->index = a->index;
    k->answered = now;
    k->data = (uint32_t)t->arena.size;
    k->data_size = a->data.size;
    buffer_append(&t->arena, a->data.data, a->data.size);
}

void tickets_orphan(struct tickets *t, uint16_t node, int64_t now) {
    while (t->open_from < t->count && t->tickets[t->open_from].done) t->open_from++;
    for (size_t i = t->open_from; i < t->count; i++) {
        struct ticket *k = &t->tickets[i];
        if (k->done || k->node != node) continue;
        k->done = true;
        k->status = QRT_EUNKNOWN;
        k->answered = now;
    }
}

void tickets_clone(struct tickets *to, const struct tickets *from) {
    *to = *from;
    to->tickets = mem_copy(from->tickets, from->count * sizeof *from->tickets);
    to->capacity = from->count;
    to->arena = (struct buffer){0};
    buffer_append(&to->arena, from->arena.data, from->arena.size);
}

void tickets_free(struct tickets *t) {
    free(t->tickets);
    buffer_free(&t->arena);
    *t = (struct tickets){0};
}
