/* The key-value store: get, put, delete, append, cas and scan over an ordered copy-on-write tree, so that a
 * clone costs one reference and the fingerprint none. Values are at most COMMAND_VALUE_MAX bytes; an append
 * that would go beyond is refused and changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "machine/machines.h"
#include "machine/tree.h"

struct kv {
    struct tree tree;
};

static void *kv_create(void *context) {
    (void)context;
    return mem_zero(1, sizeof(struct kv));
}

static void kv_destroy(void *state) {
    struct kv *kv = state;
    if (!kv) return;
    tree_free(&kv->tree);
    free(kv);
}

static void *kv_clone(const void *state) {
    const struct kv *from = state;
    struct kv *to = mem_alloc(sizeof *to);
    tree_clone(&to->tree, &from->tree);
    return to;
}

static uint64_t kv_fingerprint(const void *state) {
    const struct kv *kv = state;
    return tree_fingerprint(&kv->tree);
}

/* ---- commands ---- */

static qrt_status kv_get(const struct kv *kv, const struct command *c, struct buffer *reply) {
    struct bytes value;
    if (!tree_get(&kv->tree, c->key, &value)) return QRT_ENOTFOUND;
    return reply_bytes(reply, QRT_OK, value);
}

/* Pairs from the lower bound to below the upper one, as many as the limit and COMMAND_SCAN_MAX allow. */
static qrt_status kv_scan(const struct kv *kv, const struct command *c, struct buffer *reply) {
    int64_t limit = INT64_MAX;
    if (c->value.size && (!command_number(c->value, &limit) || limit < 0)) return QRT_EINVAL;
    struct tree_cursor cursor;
    struct bytes key, value;
    size_t start = reply->size;
    tree_seek(&kv->tree, c->key, &cursor);
    while (limit-- > 0 && tree_next(&cursor, &key, &value)) {
        if (c->expected.size && bytes_compare(key, c->expected) >= 0) break;
        size_t size = 8 + (size_t)key.size + value.size;
        if (reply->size - start + size > COMMAND_SCAN_MAX) break;
        struct writer w = writer_of(buffer_extend(reply, size), size);
        write_bytes(&w, key);
        write_bytes(&w, value);
    }
    return QRT_OK;
}

static qrt_status kv_append(struct kv *kv, const struct command *c, struct buffer *reply) {
    struct bytes value = {0};
    tree_get(&kv->tree, c->key, &value);
    if (value.size + c->value.size > COMMAND_VALUE_MAX) return QRT_ETOOLARGE;
    return reply_number(reply, tree_append(&kv->tree, c->key, c->value));
}

static qrt_status kv_cas(struct kv *kv, const struct command *c, struct buffer *reply) {
    struct bytes found = {0};
    bool there = tree_get(&kv->tree, c->key, &found);
    bool wanted = there ? c->has_expected && bytes_equal(found, c->expected) : !c->has_expected;
    if (!wanted) return reply_bytes(reply, QRT_ECAS, found);
    tree_put(&kv->tree, c->key, c->value);
    return QRT_OK;
}

static qrt_status kv_read(const struct kv *kv, const struct command *c, struct buffer *reply) {
    if (c->operation == COMMAND_GET) return kv_get(kv, c, reply);
    if (c->operation == COMMAND_SCAN) return kv_scan(kv, c, reply);
    return QRT_EINVAL;
}

static qrt_status kv_apply(void *state, uint64_t index, struct bytes command, struct buffer *reply, struct error *e) {
    (void)index;
    (void)e;
    struct kv *kv = state;
    struct command c;
    if (!command_decode(command, &c)) return QRT_EINVAL;
    switch (c.operation) {
    case COMMAND_PUT: tree_put(&kv->tree, c.key, c.value); return QRT_OK;
    case COMMAND_DELETE: return tree_delete(&kv->tree, c.key) ? QRT_OK : QRT_ENOTFOUND;
    case COMMAND_APPEND: return kv_append(kv, &c, reply);
    case COMMAND_CAS: return kv_cas(kv, &c, reply);
    default: return kv_read(kv, &c, reply);
    }
}

static qrt_status kv_query(const void *state, struct bytes command, struct buffer *reply, struct error *e) {
    (void)e;
    struct command c;
    return command_decode(command, &c) ? kv_read(state, &c, reply) : QRT_EINVAL;
}

/* ---- snapshots ---- */

static qrt_status kv_snapshot(const void *state, struct buffer *out, struct error *e) {
    (void)e;
    const struct kv *kv = state;
    snapshot_head(out, SNAPSHOT_KV);
    tree_write(&kv->tree, out);
    return QRT_OK;
}

static qrt_status kv_restore(void *state, struct bytes snapshot, struct error *e) {
    struct kv *kv = state;
    struct reader in = reader_of(snapshot);
    struct tree tree = {0};
    if (!snapshot_is(&in, SNAPSHOT_KV) || !tree_read(&tree, &in, COMMAND_KEY_MAX, COMMAND_VALUE_MAX) ||
        reader_left(&in)) {
        tree_free(&tree);
        return error_set(e, QRT_ECORRUPT, "the snapshot is not one of a key-value store, or it is damaged");
    }
    tree_free(&kv->tree);
    kv->tree = tree;
    return QRT_OK;
}

const struct machine_class machine_kv = {
    .name = "kv",
    .summary = "a key-value store: get, put, delete, append, cas, scan",
    .create = kv_create,
    .destroy = kv_destroy,
    .clone = kv_clone,
    .fingerprint = kv_fingerprint,
    .apply = kv_apply,
    .query = kv_query,
    .snapshot = kv_snapshot,
    .restore = kv_restore,
    .clones_apart = true,
};
