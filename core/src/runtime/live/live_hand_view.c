/* A node's view as a JSON object, from the process of a node by hand to its clients: one table for both ends.
 *
 * What an answer lacks is 0, so that a node of another version can be asked; what has the wrong type, or is no value of its
 * field, makes the whole answer unsound. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/live/live_hand_view.h"

enum kind { FLAG, NUMBER, WORDS };

struct field {
    const char *name;
    size_t at, size; /* in struct node_view */
    enum kind kind;
};

#define FIELD(name, member, kind) \
    { name, offsetof(struct node_view, member), sizeof((struct node_view *)0)->member, kind }

static const struct field fields[] = {
    FIELD("node", node, NUMBER),
    FIELD("up", up, FLAG),
    FIELD("paused", paused, FLAG),
    FIELD("pid", pid, NUMBER),
    FIELD("captured", captured, NUMBER),
    FIELD("uncaptured", uncaptured, NUMBER),
    FIELD("why_uncaptured", why_uncaptured, WORDS),
    FIELD("refused", refused, NUMBER),
    FIELD("shut", shut, NUMBER),
    FIELD("unaccepted", unaccepted, NUMBER),
    FIELD("memory", memory, NUMBER),
    FIELD("memory_budget", memory_budget, NUMBER),
    FIELD("metrics_port", metrics_port, NUMBER),
    FIELD("role", status.role, NUMBER),
    FIELD("term", status.term, NUMBER),
    FIELD("leader", status.leader, NUMBER),
    FIELD("first", status.first, NUMBER),
    FIELD("last", status.last, NUMBER),
    FIELD("commit", status.commit, NUMBER),
    FIELD("applied", status.applied, NUMBER),
    FIELD("sent", counts.sent, NUMBER),
    FIELD("received", counts.received, NUMBER),
    FIELD("rejected", counts.rejected, NUMBER),
    FIELD("bytes_sent", counts.bytes_sent, NUMBER),
    FIELD("persisted", counts.persisted, NUMBER),
    FIELD("flushes", counts.flushes, NUMBER),
    FIELD("applied_entries", counts.applied, NUMBER),
    FIELD("proposals", counts.proposals, NUMBER),
    FIELD("reads", counts.reads, NUMBER),
    FIELD("other_version", counts.other_version, NUMBER),
    FIELD("their_version", counts.their_version, NUMBER),
    FIELD("their_node", counts.their_node, NUMBER),
    FIELD("disk_refused", counts.disk_refused, NUMBER),
    FIELD("disk_dropped", counts.disk_dropped, NUMBER),
    FIELD("full", full, FLAG),
    FIELD("filled", filled, FLAG),
    FIELD("reserve", reserve, NUMBER),
    FIELD("skipped", skipped, NUMBER),
    FIELD("why_down", why_down, WORDS),
    FIELD("damage", damage, WORDS),
};
#undef FIELD
#define FIELDS (sizeof fields / sizeof *fields)

/* ---- writing ---- */

static uint64_t number_of(const void *place, size_t size) {
    switch (size) {
    case 1: return *(const uint8_t *)place;
    case 2: return *(const uint16_t *)place;
    case 4: return *(const uint32_t *)place;
    default: return *(const uint64_t *)place;
    }
}

json_t *view_write(const struct node_view *v, uint16_t nodes) {
    json_t *o = json_object(), *suspects = json_array();
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const char *place = (const char *)v + f->at;
        json_t *value = f->kind == FLAG     ? json_boolean(*(const bool *)place)
                        : f->kind == NUMBER ? json_integer((json_int_t)number_of(place, f->size))
                                            : json_string(place);
        json_object_set_new(o, f->name, value ? value : json_string("(not UTF-8)"));
    }
    for (uint16_t i = 1; i <= nodes; i++)
        if (v->suspects[(i - 1) / 64] >> (i - 1) % 64 & 1) json_array_append_new(suspects, json_integer(i));
    json_object_set_new(o, "suspects", suspects);
    return o;
}

/* ---- reading ---- */

static bool read_number(const json_t *value, void *place, size_t size) {
    uint64_t n = (uint64_t)json_integer_value(value);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (size < 8 && n >> 8 * size)) return false;
    switch (size) {
    case 1: *(uint8_t *)place = (uint8_t)n; break;
    case 2: *(uint16_t *)place = (uint16_t)n; break;
    case 4: *(uint32_t *)place = (uint32_t)n; break;
    default: *(uint64_t *)place = n;
    }
    return true;
}

static bool read_field(const json_t *value, const struct field *f, struct node_view *v) {
    char *place = (char *)v + f->at;
    if (f->kind == NUMBER) return read_number(value, place, f->size);
    if (f->kind == FLAG) {
        *(bool *)place = json_is_true(value);
        return json_is_boolean(value);
    }
    if (!json_is_string(value)) return false;
    text_format(place, f->size, "%s", json_string_value(value));
    return true;
}

static bool read_suspects(const json_t *list, struct node_view *v) {
    json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        json_int_t id = json_integer_value(one);
        if (!json_is_integer(one) || id < 1 || id > FAULT_NODES_MAX) return false;
        v->suspects[(id - 1) / 64] |= UINT64_C(1) << (id - 1) % 64;
    }
    return !list || json_is_array(list);
}

bool view_read(const json_t *o, struct node_view *v) {
    *v = (struct node_view){0};
    bool sound = json_is_object(o);
    for (size_t i = 0; i < FIELDS && sound; i++) {
        const json_t *value = json_object_get(o, fields[i].name);
        sound = !value || read_field(value, &fields[i], v);
    }
    return sound && read_suspects(json_object_get(o, "suspects"), v);
}
