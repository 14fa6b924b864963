#include "trace/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "wire/wire.h"

static struct trace_block *block_new(uint64_t first) {
    struct trace_block *b = mem_alloc(sizeof *b);
    b->first = first;
    b->references = 1;
    return b;
}

/* Clones of a cluster may live on several threads, hence the atomic count. */
static void block_release(struct trace_block *b) {
    if (__atomic_sub_fetch(&b->references, 1, __ATOMIC_ACQ_REL) == 0) free(b);
}

void trace_init(struct trace *t, uint64_t keep) {
    *t = (struct trace){.keep = keep};
    t->block = block_new(0);
}

void trace_free(struct trace *t) {
    for (size_t i = 0; i < t->kept_count; i++) block_release(t->kept[i]);
    free(t->kept);
    if (t->block) block_release(t->block);
    *t = (struct trace){0};
}

void trace_clone(struct trace *to, const struct trace *from) {
    *to = *from;
    to->sink = (struct trace_sink){0};
    to->block = block_new(from->block->first);
    memcpy(to->block->events, from->block->events, from->count % TRACE_BLOCK * sizeof(qrt_event));
    to->kept = mem_copy(from->kept, from->kept_count * sizeof *from->kept);
    to->kept_capacity = from->kept_count;
    for (size_t i = 0; i < from->kept_count; i++) __atomic_add_fetch(&from->kept[i]->references, 1, __ATOMIC_RELAXED);
}

static void forget_oldest(struct trace *t) {
    size_t blocks = (size_t)(t->keep / TRACE_BLOCK + 1), drop = 0;
    if (t->kept_count < 2 * blocks) return; /* now and then, so that it costs nothing a block */
    drop = t->kept_count - blocks;
    for (size_t i = 0; i < drop; i++) block_release(t->kept[i]);
    memmove(t->kept, t->kept + drop, blocks * sizeof *t->kept);
    t->kept_count = blocks;
}

void trace_block_full(struct trace *t) {
    if (t->passing) return;
    t->hash = hash_long(t->block->events, sizeof t->block->events, t->hash);
    if (t->keep == 0) {
        t->block->first = t->count;
        return;
    }
    t->kept = mem_grow(t->kept, &t->kept_capacity, t->kept_count + 1, sizeof(struct trace_block *));
    t->kept[t->kept_count++] = t->block;
    if (t->keep != UINT64_MAX) forget_oldest(t);
    t->block = block_new(t->count);
}

uint64_t trace_hash(const struct trace *t) {
    if (t->passing) return 0;
    return hash_bytes(t->block->events, t->count % TRACE_BLOCK * sizeof(qrt_event), t->hash);
}

uint64_t trace_first(const struct trace *t) {
    if (t->keep == 0) return t->count;
    uint64_t first = t->kept_count ? t->kept[0]->first : t->block->first;
    if (t->keep != UINT64_MAX && t->count - first > t->keep) first = t->count - t->keep;
    return first;
}

const qrt_event *trace_at(const struct trace *t, uint64_t number) {
    if (number < trace_first(t) || number >= t->count) return NULL;
    if (number >= t->block->first) return &t->block->events[number - t->block->first];
    size_t i = (size_t)((number - t->kept[0]->first) / TRACE_BLOCK);
    return &t->kept[i]->events[number - t->kept[i]->first];
}

/* clang-format off */
static const char *const kind_names[] = {
    "", "send", "receive", "drop", "timer", "propose", "persist", "stored", "start", "crash", "pause", "resume",
    "fault", "term", "role", "vote", "append", "truncate", "ack", "commit", "apply", "checkpoint", "restore",
    "caught-up", "invoke", "return", "reject", "note", "raise",
    "ballot",    "decide", "state", "opinion", "lie", "room",
};
static const char *const role_names[] = {"none", "follower", "pre-candidate", "candidate", "leader", "recovering"};
/* clang-format on */

const char *trace_kind_name(uint8_t kind) {
    return kind < sizeof kind_names / sizeof *kind_names ? kind_names[kind] : "unknown";
}

const char *trace_role_name(uint8_t role) {
    return role < sizeof role_names / sizeof *role_names ? role_names[role] : "unknown";
}

const char *trace_drop_name(uint8_t why) {
    static const char *const names[] = {"", "loss", "partition", "down", "corrupt", "foreign", "full", "disk-full"};
    return why < sizeof names / sizeof *names ? names[why] : "";
}

static int print_address(char *out, size_t size, uint16_t node) {
    if (node >= QRT_CLIENT) return snprintf(out, size, "c%u", node - QRT_CLIENT);
    return snprintf(out, size, "n%u", node);
}

static const char *detail_name(const qrt_event *e) {
    static const char *const starts[] = {"", "format", "recovered", "wiped", "damaged"};
    static const char *const outcomes[] = {"ok", "failed", "unknown"};
    static const char *const fates[] = {"disk kept", "unsynced lost", "wiped", "damaged"};
    uint8_t d = e->detail;
    switch (e->kind) {
    case QRT_KIND_SEND:
    case QRT_KIND_LIE:
    case QRT_KIND_RECEIVE: return wire_kind_name(d);
    case QRT_KIND_ROLE: return trace_role_name(d);
    case QRT_KIND_START: return d < 5 ? starts[d] : "";
    case QRT_KIND_DROP:
    case QRT_KIND_REJECT: return trace_drop_name(d);
    case QRT_KIND_RETURN: return d < 3 ? outcomes[d] : "";
    case QRT_KIND_CRASH: return d < 3 ? fates[d] : "";
    default: return "";
    }
}

int trace_print(const qrt_event *e, char *out, size_t size) {
    char node[16], peer[16] = "";
    print_address(node, sizeof node, e->node);
    if (e->peer) print_address(peer, sizeof peer, e->peer);
    const char *detail = detail_name(e);
    int n = snprintf(out, size, "%" PRId64 ".%09" PRId64 "  %-4s %-10s%s%s%s%s", e->time / 1000000000,
                     e->time % 1000000000, node, trace_kind_name(e->kind), *detail ? " " : "", detail,
                     *peer ? (e->kind == QRT_KIND_SEND ? " to " : " peer ") : "", peer);
    if (n < 0 || (size_t)n >= size) return n;
    size_t used = (size_t)n;
    const struct {
        const char *name;
        uint64_t value;
        bool hex;
    } fields[] = {{"t", e->term, false}, {"i", e->index, false}, {"#", e->link, true}, {"=", e->value, true}};
    for (size_t i = 0; i < 4 && used < size; i++)
        if (fields[i].value)
            used += (size_t)snprintf(out + used, size - used, fields[i].hex ? " %s%" PRIx64 : " %s%" PRIu64,
                                     fields[i].name, fields[i].value);
    return (int)used;
}
