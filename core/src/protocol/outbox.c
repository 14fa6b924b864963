/* The outbox: what a step wants done. See protocol.h. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "protocol/protocol.h"
#include "wire/codec.h"

#define OUTBOX_EFFECTS_MAX 65536 /* no step of a sound protocol comes near this */

void outbox_free(struct outbox *o) {
    free(o->effects);
    buffer_free(&o->arena);
    *o = (struct outbox){0};
}

void outbox_grow(struct outbox *o) {
    CHECK(o->count < OUTBOX_EFFECTS_MAX);
    o->effects = mem_grow(o->effects, &o->capacity, o->count + 1, sizeof *o->effects);
    if (o->arena.data) return;
    buffer_extend(&o->arena, 256); /* effects without bytes point into it as well */
    buffer_clear(&o->arena);
}

/* Where a frame of that size goes. */
static inline uint8_t *frame_place(void *outbox, size_t size) {
    struct outbox *o = outbox;
    struct effect *e = &o->effects[o->count - 1];
    if (__builtin_expect(!o->large || size < o->large, 1)) return buffer_extend(&o->arena, size);
    e->blob = blob_room((uint32_t)(OUTBOX_ROOM + size));
    return e->blob->data + OUTBOX_ROOM;
}

void outbox_send(struct outbox *o, uint16_t to, struct message *m, uint8_t flags, uint64_t term, uint64_t index) {
    m->group = o->group;
    m->from = o->node;
    m->to = to;
    m->id = 0;
    struct effect *e = outbox_add(o, FX_SEND);
    e->flags = flags;
    e->peer = to;
    e->term = term;
    e->index = index;
    e->offset = (uint32_t)o->arena.size;
    e->size = (uint32_t)codec_place(m, frame_place, o);
    CHECK(e->size > 0);
}

void outbox_timer(struct outbox *o, uint32_t id, int64_t delay_ns) {
    struct effect *e = outbox_add(o, FX_TIMER);
    e->a = id;
    e->b = (uint64_t)delay_ns;
}

uint8_t *outbox_persist(struct outbox *o, size_t size, uint64_t index, uint64_t term) {
    struct effect *e = outbox_add(o, FX_PERSIST);
    e->index = index;
    e->term = term;
    e->offset = (uint32_t)o->arena.size;
    e->size = (uint32_t)size;
    return buffer_extend(&o->arena, size);
}

void outbox_note(struct outbox *o, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                 uint64_t link, uint64_t value) {
    struct effect *e = outbox_add(o, FX_NOTE);
    e->a = kind;
    e->b = detail;
    e->peer = peer;
    e->term = term;
    e->index = index;
    e->c = link;
    e->d = value;
}

void outbox_answer(struct outbox *o, uint64_t token, qrt_status status, uint16_t leader, uint64_t term, uint64_t index,
                   struct bytes decided) {
    uint32_t offset = (uint32_t)o->arena.size;
    buffer_append(&o->arena, decided.data, decided.size);
    outbox_reply(o, token, status, leader);
    struct effect *e = &o->effects[o->count - 1];
    e->term = term;
    e->index = index;
    e->offset = offset;
    e->size = decided.size;
}

void outbox_reply(struct outbox *o, uint64_t token, qrt_status status, uint16_t leader) {
    struct effect *e = outbox_add(o, FX_REPLY);
    e->a = token;
    e->b = (uint64_t)(int64_t)status;
    e->peer = leader;
}
