/* Histories that nodes' captures tell. See replay_history.h. */
#include "runtime/replay_history.h"

#include <stdlib.h>

#include "base/hash.h"
#include "machine/command.h"

#define NONE UINT64_MAX /* an answer to it ends nothing: its operation has ended, or is one of several */

enum request_kind { REQUEST = 1, WRITE = 2 };

/* A request is (client and number, node and life), a write (session, sequence). */
struct replay_request {
    uint64_t first, second, third;
    uint64_t number; /* of the history's operation */
    uint64_t check;  /* of a write's command */
    uint8_t kind;    /* enum request_kind; 0: an empty place */
};

/* ---- the table ---- */

static struct replay_request *place_of(struct replay_request *table, size_t capacity,
                                       const struct replay_request *key) {
    uint64_t hash = hash_fold(hash_fold(hash_fold(key->kind, key->first), key->second), key->third);
    for (size_t at = hash & (capacity - 1);; at = (at + 1) & (capacity - 1)) {
        struct replay_request *p = &table[at];
        if (!p->kind) return p;
        if (p->kind == key->kind && p->first == key->first && p->second == key->second && p->third == key->third)
            return p;
    }
}

static void grow(struct replay_history *h) {
    size_t capacity = h->capacity ? h->capacity * 2 : 1024;
    struct replay_request *table = mem_zero(capacity, sizeof *table);
    for (size_t i = 0; i < h->capacity; i++)
        if (h->table[i].kind) *place_of(table, capacity, &h->table[i]) = h->table[i];
    free(h->table);
    h->table = table;
    h->capacity = capacity;
}

/* Its place, with kind 0 where it was not known: the caller fills it. */
static struct replay_request *find(struct replay_history *h, const struct replay_request *key) {
    if (h->count * 2 >= h->capacity) grow(h);
    return place_of(h->table, h->capacity, key);
}

static void put(struct replay_history *h, struct replay_request *place, const struct replay_request *key) {
    h->count += !place->kind;
    *place = *key;
}

static struct replay_request request_of(uint16_t node, uint32_t life, uint16_t client, uint64_t number) {
    return (struct replay_request){client, number, (uint64_t)life << 16 | node, NONE, 0, REQUEST};
}

/* ---- requests ---- */

static uint64_t invoke(struct replay_history *h, uint16_t client, const struct command *c, int64_t time) {
    struct history_operation op = {
        .process = (uint32_t)(client - QRT_CLIENT),
        .function = c->operation,
        .invoke_ns = time,
        .return_ns = INT64_MAX,
        .return_order = UINT64_MAX,
        .key = c->key,
        .value = c->value,
        .expected = c->has_expected ? c->expected : (struct bytes){0},
    };
    return history_invoke(&h->history, &op);
}

/* The operation of a write: begun by its first copy. */
static uint64_t write_number(struct replay_history *h, const struct message *m, const struct command *c, int64_t time) {
    const struct wire_client_request *r = &m->as.client_request;
    struct replay_request key = {r->session, r->sequence, 0, NONE, hash_bytes(r->data.data, r->data.size, 0), WRITE};
    struct replay_request *place = find(h, &key);
    if (place->kind && place->check != key.check) h->spoilt = "two commands came under one number of one session";
    if (place->kind) return place->number;
    key.number = invoke(h, m->from, c, time);
    put(h, place, &key);
    return key.number;
}

static bool is_open(const struct replay_history *h, uint64_t number) {
    return number != NONE && h->history.operations[number].outcome == HISTORY_PENDING;
}

void replay_history_request(struct replay_history *h, uint16_t node, uint32_t life, const struct message *m,
                            int64_t time) {
    const struct wire_client_request *r = &m->as.client_request;
    struct command c;
    bool write = r->operation == CLIENT_WRITE && r->session, read = r->operation == CLIENT_READ;
    if (!write && !read && r->operation != CLIENT_RAW) return;
    if (!command_decode(r->data, &c) || c.operation == COMMAND_SCAN || !history_function_name(c.operation)) return;
    struct replay_request key = request_of(node, life, m->from, r->number);
    if (write) {
        key.number = write_number(h, m, &c, time);
        put(h, find(h, &key), &key);
        return;
    }
    struct replay_request *known = find(h, &key);
    bool again = known->kind != 0;
    if (again && read && is_open(h, known->number)) return;
    key.number = invoke(h, m->from, &c, time);
    if (again && !read) key.number = NONE; /* of which copy an answer speaks is not known */
    put(h, known, &key);
}

/* ---- answers ---- */

void replay_history_reply(struct replay_history *h, uint16_t node, uint32_t life, const struct message *m,
                          int64_t time) {
    const struct wire_client_reply *r = &m->as.client_reply;
    struct replay_request key = request_of(node, life, m->to, r->number);
    struct replay_request *known = find(h, &key);
    if (!known->kind || !is_open(h, known->number)) return;
    const struct history_operation *op = &h->history.operations[known->number];
    qrt_status status = (qrt_status)(int32_t)r->status;
    if (status == QRT_OK || status == QRT_ECAS || status == QRT_ENOTFOUND)
        history_return(&h->history, known->number, HISTORY_OK, status, client_told(op->function, status, r->data),
                       time);
    else if (command_is_read(op->function))
        history_return(&h->history, known->number, HISTORY_FAILED, status, (struct bytes){0}, time);
}

void replay_history_free(struct replay_history *h) {
    history_free(&h->history);
    free(h->table);
    *h = (struct replay_history){0};
}
