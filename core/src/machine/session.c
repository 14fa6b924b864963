/* Replicated client sessions (Ongaro 2014, section 6.3). See session.h.
 *
 *   table (open addressing, linear probing)        slots
 *   [ ][2][ ][1][ ][ ][3][ ]  -- slot + 1 -->   [0: id 17][1: id 4][2: id 29]
 *                                                  ^ older/newer: the order of last use, by indices
 *
 * Invariants
 *  1. Slots 0 .. count-1 are in use, each reachable from the table by its id; count <= limit.
 *  2. From oldest to newest every slot stands once in the list; using a session moves it to the newest end.
 *  3. Everything is a function of the applied log: no clock, address or order of the table reaches a verdict.
 *
 * Replies of up to REPLY_INLINE bytes live in the slot, longer ones in a blob that clones share; so a clone
 * copies the two arrays and counts references. */
#include "machine/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"

#define REPLY_INLINE 32u
#define NO_SLOT UINT32_MAX
#define ROOM_FIRST 8u /* slots; the table has twice as many places */

struct slot {
    uint64_t id, sequence;
    int32_t status;
    uint32_t older, newer;
    uint32_t reply_size;
    struct blob *blob; /* NULL while the reply is inline */
    uint8_t reply[REPLY_INLINE];
};

struct sessions {
    uint32_t limit, count, room; /* room: slots allocated, a power of two */
    uint32_t oldest, newest;
    struct slot *slots;
    uint32_t *table; /* 2 * room places: slot + 1, 0 for none */
};

/* ---- the table ---- */

static inline uint32_t place_of(const struct sessions *s, uint64_t id) {
    return (uint32_t)random_mix(id) & (2 * s->room - 1);
}

static inline uint32_t place_next(const struct sessions *s, uint32_t place) {
    return (place + 1) & (2 * s->room - 1);
}

/* The place that holds the id, or the free one where it would go. */
static uint32_t place_find(const struct sessions *s, uint64_t id) {
    uint32_t place = place_of(s, id);
    while (s->table[place] && s->slots[s->table[place] - 1].id != id) place = place_next(s, place);
    return place;
}

static uint32_t slot_find(const struct sessions *s, uint64_t id) {
    return s->table[place_find(s, id)] - 1; /* 0 - 1 is NO_SLOT */
}

/* Closes the gap, so that probing never needs tombstones (Knuth, TAOCP 3, 6.4, algorithm R). */
static void place_free(struct sessions *s, uint32_t gap) {
    for (uint32_t place = place_next(s, gap); s->table[place]; place = place_next(s, place)) {
        uint32_t home = place_of(s, s->slots[s->table[place] - 1].id);
        bool stays = gap <= place ? home > gap && home <= place : home > gap || home <= place;
        if (stays) continue;
        s->table[gap] = s->table[place];
        gap = place;
    }
    s->table[gap] = 0;
}

/* ---- the order of use ---- */

static void list_remove(struct sessions *s, uint32_t i) {
    struct slot *slot = &s->slots[i];
    if (slot->older == NO_SLOT)
        s->oldest = slot->newer;
    else
        s->slots[slot->older].newer = slot->newer;
    if (slot->newer == NO_SLOT)
        s->newest = slot->older;
    else
        s->slots[slot->newer].older = slot->older;
}

static void list_append(struct sessions *s, uint32_t i) {
    s->slots[i].older = s->newest;
    s->slots[i].newer = NO_SLOT;
    if (s->newest == NO_SLOT)
        s->oldest = i;
    else
        s->slots[s->newest].newer = i;
    s->newest = i;
}

static void list_use(struct sessions *s, uint32_t i) {
    if (s->newest == i) return;
    list_remove(s, i);
    list_append(s, i);
}

/* ---- slots ---- */

static void room_set(struct sessions *s, uint32_t room) {
    s->room = room;
    s->slots = mem_resize(s->slots, room * sizeof *s->slots);
    free(s->table);
    s->table = mem_zero(2 * (size_t)room, sizeof *s->table);
    for (uint32_t i = 0; i < s->count; i++) s->table[place_find(s, s->slots[i].id)] = i + 1;
}

/* A slot that is in neither the table nor the list: a new one, or at the limit that of the oldest session. */
static uint32_t slot_take(struct sessions *s) {
    if (s->count == s->limit) {
        uint32_t i = s->oldest;
        place_free(s, place_find(s, s->slots[i].id));
        list_remove(s, i);
        blob_unref(&s->slots[i].blob);
        return i;
    }
    if (s->count == s->room) room_set(s, 2 * s->room);
    return s->count++;
}

static struct bytes slot_reply(const struct slot *slot) {
    return slot->blob ? blob_bytes(slot->blob) : (struct bytes){slot->reply, slot->reply_size};
}

static void slot_set_reply(struct slot *slot, struct bytes reply) {
    blob_unref(&slot->blob);
    slot->reply_size = reply.size;
    if (reply.size > REPLY_INLINE)
        slot->blob = blob_new(reply);
    else if (reply.size)
        memcpy(slot->reply, reply.data, reply.size);
}

static struct slot *slot_add(struct sessions *s, uint64_t id) {
    uint32_t i = slot_take(s);
    s->slots[i] = (struct slot){.id = id};
    s->table[place_find(s, id)] = i + 1;
    list_append(s, i);
    return &s->slots[i];
}

/* ---- the interface ---- */

struct sessions *sessions_new(uint32_t limit) {
    CHECK(limit >= 1 && limit < UINT32_MAX / 4);
    struct sessions *s = mem_zero(1, sizeof *s);
    s->limit = limit;
    s->oldest = s->newest = NO_SLOT;
    room_set(s, ROOM_FIRST);
    return s;
}

void sessions_free(struct sessions *s) {
    if (!s) return;
    for (uint32_t i = 0; i < s->count; i++) blob_unref(&s->slots[i].blob);
    free(s->slots);
    free(s->table);
    free(s);
}

struct sessions *sessions_clone(const struct sessions *s) {
    struct sessions *to = mem_copy(s, sizeof *s);
    to->slots = mem_alloc(s->room * sizeof *s->slots);
    memcpy(to->slots, s->slots, s->count * sizeof *s->slots);
    to->table = mem_copy(s->table, 2 * (size_t)s->room * sizeof *s->table);
    for (uint32_t i = 0; i < to->count; i++) blob_ref(to->slots[i].blob);
    return to;
}

/* In order of use, which is the only order that matters. */
uint64_t sessions_fingerprint(const struct sessions *s) {
    uint64_t sum = 0, rank = 0; /* a sum, so that the folds do not wait for one another: captures hash every step */
    for (uint32_t i = s->oldest; i != NO_SLOT; i = s->slots[i].newer) {
        const struct slot *slot = &s->slots[i];
        struct bytes reply = slot_reply(slot);
        uint64_t hash = hash_fold(hash_fold(++rank, slot->id), slot->sequence);
        hash = hash_fold(hash, (uint64_t)(int64_t)slot->status);
        sum += hash_fold(hash, hash_bytes(reply.data, reply.size, reply.size));
    }
    return hash_fold(hash_fold(s->limit, s->count), sum);
}

void sessions_open(struct sessions *s, uint64_t index) {
    uint32_t i = slot_find(s, index);
    if (i == NO_SLOT)
        slot_add(s, index);
    else
        list_use(s, i);
}

/* Calls come in the order of the log, so that the order of use needs no index. */
enum session_verdict sessions_check(struct sessions *s, uint64_t index, uint64_t session, uint64_t sequence,
                                    qrt_status *status, struct bytes *reply) {
    (void)index;
    uint32_t i = slot_find(s, session);
    if (i == NO_SLOT) return SESSION_UNKNOWN;
    list_use(s, i);
    const struct slot *slot = &s->slots[i];
    if (sequence > slot->sequence) return SESSION_FRESH;
    if (sequence < slot->sequence || sequence == 0) return SESSION_STALE; /* sequences begin at 1 */
    *status = slot->status;
    *reply = slot_reply(slot);
    return SESSION_REPEATED;
}

void sessions_record(struct sessions *s, uint64_t session, uint64_t sequence, qrt_status status, struct bytes reply) {
    uint32_t i = slot_find(s, session);
    CHECK(i != NO_SLOT);
    struct slot *slot = &s->slots[i];
    CHECK(sequence > slot->sequence);
    slot->sequence = sequence;
    slot->status = status;
    slot_set_reply(slot, reply);
}

/* ---- snapshots: u32 count, then from oldest to newest id, sequence, status, reply ---- */

void sessions_snapshot(const struct sessions *s, struct buffer *out) {
    buffer_append(out, &s->count, sizeof s->count);
    for (uint32_t i = s->oldest; i != NO_SLOT; i = s->slots[i].newer) {
        const struct slot *slot = &s->slots[i];
        struct bytes reply = slot_reply(slot);
        size_t size = 8 + 8 + 4 + 4 + (size_t)reply.size;
        struct writer w = writer_of(buffer_extend(out, size), size);
        write_u64(&w, slot->id);
        write_u64(&w, slot->sequence);
        write_u32(&w, (uint32_t)slot->status);
        write_bytes(&w, reply);
    }
}

static bool slot_read(struct sessions *s, struct reader *in) {
    uint64_t id = read_u64(in), sequence = read_u64(in);
    int32_t status = (int32_t)read_u32(in);
    struct bytes reply = read_bytes(in);
    if (in->failed || id == 0 || slot_find(s, id) != NO_SLOT) return false;
    if (sequence == 0 && (status || reply.size)) return false;
    struct slot *slot = slot_add(s, id);
    slot->sequence = sequence;
    slot->status = status;
    slot_set_reply(slot, reply);
    return true;
}

bool sessions_restore(struct sessions *s, struct reader *in) {
    uint32_t count = read_u32(in);
    bool sound = !in->failed && count <= s->limit && count <= reader_left(in) / 24;
    struct sessions *fresh = sessions_new(s->limit);
    for (uint32_t i = 0; sound && i < count; i++) sound = slot_read(fresh, in);
    if (sound) {
        struct sessions old = *s;
        *s = *fresh;
        *fresh = old;
    }
    sessions_free(fresh);
    return sound;
}
