/* Placement and quorum rules across the ABI. */
#include <stdlib.h>
#include <string.h>

#include "abi/handle.h"
#include "base/hash.h"
#include "base/memory.h"
#include "protocol/quorum_rules.h"
#include "ring/jump.h"
#include "ring/maglev.h"
#include "ring/picture.h"
#include "ring/rendezvous.h"
#include "ring/ring.h"

struct qrt_ring {
    struct handle handle;
    struct ring ring;
    struct ring_move *moves;
    struct buffer picture;
};

static void ring_end(struct handle *h) {
    qrt_ring *r = (qrt_ring *)h;
    ring_free(&r->ring);
    free(r->moves);
    buffer_free(&r->picture);
}

static qrt_ring *ring_wrap(void) {
    qrt_ring *r = mem_zero(1, sizeof *r);
    handle_init(&r->handle, HANDLE_RING, ring_end);
    return r;
}

static qrt_status ring_enter(qrt_ring *r) {
    return handle_enter(r ? &r->handle : NULL, HANDLE_RING);
}

QRT_API qrt_status qrt_ring_new(qrt_ring **out, const qrt_option *options, size_t count) {
    struct ring_options set;
    struct error e = {0};
    if (!out || (count && !options)) return last_error_null("out and options");
    *out = NULL;
    memset(&set, 0, sizeof set);
    if (option_read(&ring_option_table, &set, options, count, &e)) return last_error_set(&e);
    qrt_ring *r = ring_wrap();
    if (ring_init(&r->ring, &set, &e)) {
        free(r);
        return last_error_set(&e);
    }
    *out = r;
    return QRT_OK;
}

QRT_API void qrt_ring_free(qrt_ring **r) {
    if (r && *r && handle_free(&(*r)->handle, HANDLE_RING)) *r = NULL;
}

QRT_API qrt_status qrt_ring_clone(qrt_ring *r, qrt_ring **out) {
    if (!out) return handle_null(r, "out");
    *out = NULL;
    qrt_status status = ring_enter(r);
    if (status) return status;
    *out = ring_wrap();
    ring_clone(&(*out)->ring, &r->ring);
    return handle_leave(&r->handle, QRT_OK);
}

QRT_API const char *qrt_ring_options(void) {
    static _Thread_local struct buffer text;
    buffer_clear(&text);
    option_json(&ring_option_table, 1, &text);
    return buffer_text(&text);
}

QRT_API qrt_status qrt_ring_add(qrt_ring *r, const char *const *nodes, const double *weights, const char *const *zones,
                                size_t count) {
    if (count && !nodes) return handle_null(r, "nodes");
    qrt_status status = ring_enter(r);
    if (status) return status;
    if (count > RING_NODES_MAX)
        return handle_leave(&r->handle, error_set(&r->handle.error, QRT_ETOOLARGE,
                                                  "a ring has at most %d nodes, not %zu", RING_NODES_MAX, count));
    struct ring_member *members = mem_zero(count, sizeof *members);
    for (size_t i = 0; i < count; i++) {
        members[i].name = bytes_text(nodes[i] ? nodes[i] : "");
        members[i].zone = bytes_text(zones && zones[i] ? zones[i] : "");
        members[i].weight = weights ? weights[i] : 1;
    }
    status = ring_add_many(&r->ring, members, count, &r->handle.error);
    free(members);
    return handle_leave(&r->handle, status);
}

QRT_API qrt_status qrt_ring_remove(qrt_ring *r, const char *node) {
    qrt_status status = ring_enter(r);
    if (status) return status;
    return handle_leave(&r->handle, ring_remove(&r->ring, bytes_text(node ? node : ""), &r->handle.error));
}

QRT_API uint32_t qrt_ring_slots(const qrt_ring *r) {
    return r && handle_open(&r->handle, HANDLE_RING) ? r->ring.slot_count : 0;
}

QRT_API const char *qrt_ring_node(const qrt_ring *r, uint32_t slot) {
    return slot < qrt_ring_slots(r) ? r->ring.nodes[slot].name : NULL;
}

QRT_API double qrt_ring_weight(const qrt_ring *r, uint32_t slot) {
    return qrt_ring_node(r, slot) ? r->ring.nodes[slot].weight : 0;
}

static struct bytes key_bytes(const uint8_t *key, size_t size) {
    return bytes_of(key, size < UINT32_MAX ? size : UINT32_MAX);
}

QRT_API qrt_status qrt_ring_lookup(qrt_ring *r, const uint8_t *key, size_t size, uint32_t *slot, uint64_t *position) {
    if ((size && !key) || !slot) return handle_null(r, "key and slot");
    qrt_status status = ring_enter(r);
    if (status) return status;
    status = ring_replicas(&r->ring, ring_hash_text(&r->ring, key_bytes(key, size)), 1, slot, &r->handle.error);
    if (!status && position) *position = ring_hash_text(&r->ring, key_bytes(key, size));
    return handle_leave(&r->handle, status);
}

QRT_API qrt_status qrt_ring_lookup_many(qrt_ring *r, const uint64_t *keys, size_t count, uint32_t *slots) {
    if (count && (!keys || !slots)) return handle_null(r, "keys and slots");
    qrt_status status = ring_enter(r);
    if (status) return status;
    return handle_leave(&r->handle, ring_lookup_numbers(&r->ring, keys, count, slots, &r->handle.error));
}

QRT_API qrt_status qrt_ring_lookup_texts(qrt_ring *r, const uint8_t *text, const int64_t *offsets, size_t count,
                                         uint32_t *slots) {
    if (count && (!offsets || !slots || (!text && offsets[count]))) return handle_null(r, "text, offsets and slots");
    qrt_status status = ring_enter(r);
    if (status) return status;
    const char *bytes = text ? (const char *)text : "";
    return handle_leave(&r->handle, ring_lookup_texts(&r->ring, bytes, offsets, count, slots, &r->handle.error));
}

QRT_API qrt_status qrt_ring_replicas(qrt_ring *r, const uint8_t *key, size_t size, uint32_t count, uint32_t *slots) {
    if ((size && !key) || !slots) return handle_null(r, "key and slots");
    qrt_status status = ring_enter(r);
    if (status) return status;
    uint64_t position = ring_hash_text(&r->ring, key_bytes(key, size));
    return handle_leave(&r->handle, ring_replicas(&r->ring, position, count, slots, &r->handle.error));
}

QRT_API qrt_status qrt_ring_measure(qrt_ring *r, double *shares, qrt_ring_balance *balance) {
    if (!balance) return handle_null(r, "balance");
    qrt_status status = ring_enter(r);
    if (status) return status;
    struct ring_balance b = {0};
    status = ring_measure(&r->ring, shares, &b, &r->handle.error);
    *balance = (qrt_ring_balance){b.sigma_over_mu, b.least, b.most};
    return handle_leave(&r->handle, status);
}

_Static_assert(sizeof(qrt_ring_move) == sizeof(struct ring_move) &&
                   offsetof(qrt_ring_move, to) == offsetof(struct ring_move, to),
               "a move crosses the ABI as it is");

QRT_API qrt_status qrt_ring_moves(qrt_ring *before, qrt_ring *after, const qrt_ring_move **moves, size_t *count) {
    if (!moves || !count) return handle_null(after, "moves and count");
    qrt_status status = ring_enter(after);
    if (status) return status;
    bool two = before != after; /* a ring may be compared with itself */
    if (two && (status = ring_enter(before))) {
        error_set(&after->handle.error, status, "the ring before: %s", qrt_last_error(before));
        return handle_leave(&after->handle, status);
    }
    free(after->moves);
    after->moves = NULL;
    *count = 0;
    status = ring_moves(&before->ring, &after->ring, &after->moves, count, &after->handle.error);
    *moves = (const qrt_ring_move *)after->moves;
    if (two) handle_leave(&before->handle, status);
    return handle_leave(&after->handle, status);
}

QRT_API qrt_status qrt_ring_fingerprint(qrt_ring *r, uint64_t *fingerprint) {
    if (!fingerprint) return handle_null(r, "fingerprint");
    qrt_status status = ring_enter(r);
    if (status) return status;
    *fingerprint = ring_fingerprint(&r->ring);
    return handle_leave(&r->handle, QRT_OK);
}

QRT_API const char *qrt_ring_svg(qrt_ring *r) {
    if (ring_enter(r)) return NULL;
    buffer_clear(&r->picture);
    qrt_status status = ring_picture(&r->ring, &r->picture, &r->handle.error);
    const char *text = status ? NULL : buffer_text(&r->picture);
    handle_leave(&r->handle, status);
    return text;
}

QRT_API qrt_status qrt_jump_many(const uint64_t *keys, size_t count, uint32_t buckets, uint32_t *out) {
    if (count && (!keys || !out)) return last_error_null("keys and out");
    if (!buckets) return last_error_format(QRT_ERANGE, "jump hash needs at least one bucket");
    jump_buckets(keys, count, buckets, out);
    return QRT_OK;
}

QRT_API qrt_status qrt_maglev_fill(const uint32_t *offsets, const uint32_t *skips, size_t count, uint32_t *table,
                                   uint32_t size) {
    struct error e = {0};
    if (!offsets || !skips || !table) return last_error_null("offsets, skips and table");
    return maglev_fill(offsets, skips, count, table, size, &e) ? last_error_set(&e) : QRT_OK;
}

/* The hashes of names, each not empty and no two alike; NULL when one is refused. */
static uint64_t *names_hash(const char *const *names, size_t count) {
    uint64_t *hashes = mem_alloc(count * sizeof *hashes);
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i] ? names[i] : "";
        hashes[i] = hash_bytes(name, strlen(name), 0);
        bool twin = false;
        for (size_t j = 0; j < i && !twin; j++) twin = hashes[j] == hashes[i];
        if (*name && !twin) continue;
        last_error_format(QRT_EINVAL, twin ? "node '%.60s' is named twice" : "a node's name must not be empty%s", name);
        free(hashes);
        return NULL;
    }
    return hashes;
}

QRT_API qrt_status qrt_maglev_names(const char *const *names, size_t count, uint32_t *table, uint32_t size) {
    if ((count && !names) || !table) return last_error_null("names and table");
    if (count > RING_NODES_MAX || !size)
        return last_error_format(QRT_ERANGE, "a Maglev table has at least one entry and at most %d backends",
                                 RING_NODES_MAX);
    uint64_t *hashes = names_hash(names, count);
    if (!hashes) return QRT_EINVAL;
    uint32_t *offsets = mem_alloc(count * sizeof *offsets), *skips = mem_alloc(count * sizeof *skips);
    for (size_t i = 0; i < count; i++) maglev_preference(hashes[i], size, &offsets[i], &skips[i]);
    qrt_status status = qrt_maglev_fill(offsets, skips, count, table, size);
    free(hashes);
    free(offsets);
    free(skips);
    return status;
}

QRT_API qrt_status qrt_rendezvous_many(const char *const *names, const double *weights, size_t count,
                                       const uint64_t *keys, size_t key_count, uint32_t *out) {
    if (!names || (key_count && (!keys || !out))) return last_error_null("names, keys and out");
    if (!count || count > RING_NODES_MAX)
        return last_error_format(QRT_ERANGE, "rendezvous hashing needs between 1 and %d nodes", RING_NODES_MAX);
    for (size_t i = 0; weights && i < count; i++)
        if (!(weights[i] > 0) || weights[i] - weights[i] != 0)
            return last_error_format(QRT_ERANGE, "node %zu: a weight must be a positive number, not %g", i, weights[i]);
    uint64_t *hashes = names_hash(names, count);
    if (!hashes) return QRT_EINVAL;
    for (size_t i = 0; i < key_count; i++) {
        uint64_t key = hash_bytes(&keys[i], sizeof keys[i], 0);
        out[i] = rendezvous_pick(key, hashes, weights, count);
    }
    free(hashes);
    return QRT_OK;
}

QRT_API qrt_status qrt_quorum_rule(const char *rule, uint32_t nodes, uint32_t needs, qrt_quorum *out) {
    struct quorum_rule parsed;
    struct error e = {0};
    if (!rule || !out) return last_error_null("rule and out");
    memset(out, 0, sizeof *out);
    if (quorum_rule_parse(rule, nodes, &parsed, &e) || quorum_rule_validate(&parsed, needs, &e))
        return last_error_set(&e);
    struct quorum_report report = quorum_rule_report(&parsed);
    out->nodes = parsed.nodes;
    out->read = report.read;
    out->write = report.write;
    out->crashes = report.crashes;
    out->liars = report.liars;
    quorum_rule_describe(&parsed, out->text, sizeof out->text);
    return QRT_OK;
}

QRT_API qrt_status qrt_quorum_met(const char *rule, uint32_t nodes, int phase, const uint8_t *members, bool *met) {
    struct quorum_rule parsed;
    struct error e = {0};
    uint64_t set[QUORUM_WORDS] = {0};
    if (!rule || !members || !met) return last_error_null("rule, members and met");
    if (phase != QUORUM_READ && phase != QUORUM_WRITE)
        return last_error_format(QRT_EINVAL, "a phase is 0 (read) or 1 (write), not %d", phase);
    if (quorum_rule_parse(rule, nodes, &parsed, &e)) return last_error_set(&e);
    for (uint32_t i = 0; i < nodes; i++)
        if (members[i]) set[i / 64] |= (uint64_t)1 << (i % 64);
    *met = quorum_rule_met(&parsed, (enum quorum_phase)phase, set);
    return QRT_OK;
}
