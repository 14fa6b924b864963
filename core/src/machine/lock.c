/* Locks with fencing tokens: acquire, release. Every acquisition, of whatever name, gets a token greater than
 * all before it in the machine's life, so that a resource can refuse a holder whose time has passed
 * (Kleppmann 2016). A lock is not reentrant: a held lock's acquisition answers its owner, also to that one.
 *
 * A held lock is a pair of a tree: its name, and u64 token followed by the owner. Released locks leave it. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "machine/machines.h"
#include "machine/tree.h"

#define TOKEN_SIZE 8u

struct locks {
    struct tree held;
    uint64_t issued; /* the last token given out */
};

static void *locks_create(void *context) {
    (void)context;
    return mem_zero(1, sizeof(struct locks));
}

static void locks_destroy(void *state) {
    struct locks *locks = state;
    if (!locks) return;
    tree_free(&locks->held);
    free(locks);
}

static void *locks_clone(const void *state) {
    const struct locks *from = state;
    struct locks *to = mem_alloc(sizeof *to);
    to->issued = from->issued;
    tree_clone(&to->held, &from->held);
    return to;
}

static uint64_t locks_fingerprint(const void *state) {
    const struct locks *locks = state;
    return hash_fold(tree_fingerprint(&locks->held), locks->issued);
}

static struct bytes record_owner(struct bytes record) {
    return (struct bytes){record.data + TOKEN_SIZE, record.size - TOKEN_SIZE};
}

static uint64_t record_token(struct bytes record) {
    uint64_t token;
    memcpy(&token, record.data, sizeof token);
    return token;
}

static qrt_status locks_acquire(struct locks *locks, const struct command *c, struct buffer *reply) {
    struct bytes record;
    if (tree_get(&locks->held, c->key, &record)) return reply_bytes(reply, QRT_ECAS, record_owner(record));
    locks->issued++;
    tree_put(&locks->held, c->key, bytes_of(&locks->issued, TOKEN_SIZE));
    tree_append(&locks->held, c->key, c->value);
    return reply_number(reply, (int64_t)locks->issued);
}

static qrt_status locks_release(struct locks *locks, const struct command *c, struct buffer *reply) {
    struct bytes record;
    if (!tree_get(&locks->held, c->key, &record)) return QRT_ENOTFOUND;
    if (!bytes_equal(record_owner(record), c->value)) return reply_bytes(reply, QRT_ECAS, record_owner(record));
    tree_delete(&locks->held, c->key);
    return QRT_OK;
}

static qrt_status locks_apply(void *state, uint64_t index, struct bytes command, struct buffer *reply,
                              struct error *e) {
    (void)index;
    (void)e;
    struct command c;
    if (!command_decode(command, &c)) return QRT_EINVAL;
    if (c.operation == COMMAND_ACQUIRE) return locks_acquire(state, &c, reply);
    return c.operation == COMMAND_RELEASE ? locks_release(state, &c, reply) : QRT_EINVAL;
}

/* Whoever wants to know a lock's holder asks for it: there is nothing to read. */
static qrt_status locks_query(const void *state, struct bytes command, struct buffer *reply, struct error *e) {
    (void)state;
    (void)command;
    (void)reply;
    (void)e;
    return QRT_EINVAL;
}

static qrt_status locks_snapshot(const void *state, struct buffer *out, struct error *e) {
    (void)e;
    const struct locks *locks = state;
    uint64_t fingerprint = locks_fingerprint(state);
    snapshot_head(out, SNAPSHOT_LOCK);
    buffer_append(out, &locks->issued, sizeof locks->issued);
    tree_write(&locks->held, out);
    buffer_append(out, &fingerprint, sizeof fingerprint);
    return QRT_OK;
}

/* Every held lock has a token that was given out. */
static bool locks_are_sound(const struct locks *locks) {
    struct tree_cursor cursor;
    struct bytes name, record;
    tree_seek(&locks->held, (struct bytes){0}, &cursor);
    while (tree_next(&cursor, &name, &record)) {
        if (record.size < TOKEN_SIZE) return false;
        if (record_token(record) == 0 || record_token(record) > locks->issued) return false;
    }
    return true;
}

static qrt_status locks_restore(void *state, struct bytes snapshot, struct error *e) {
    struct locks *locks = state, fresh = {0};
    struct reader in = reader_of(snapshot);
    bool sound = snapshot_is(&in, SNAPSHOT_LOCK);
    fresh.issued = read_u64(&in);
    sound = sound && tree_read(&fresh.held, &in, COMMAND_KEY_MAX, COMMAND_VALUE_MAX + TOKEN_SIZE);
    uint64_t fingerprint = read_u64(&in);
    sound = sound && !in.failed && !reader_left(&in) && fingerprint == locks_fingerprint(&fresh);
    if (!sound || !locks_are_sound(&fresh)) {
        tree_free(&fresh.held);
        return error_set(e, QRT_ECORRUPT, "the snapshot is not one of locks, or it is damaged");
    }
    tree_free(&locks->held);
    *locks = fresh;
    return QRT_OK;
}

const struct machine_class machine_lock = {
    .name = "lock",
    .summary = "locks with fencing tokens: acquire, release",
    .create = locks_create,
    .destroy = locks_destroy,
    .clone = locks_clone,
    .fingerprint = locks_fingerprint,
    .apply = locks_apply,
    .query = locks_query,
    .snapshot = locks_snapshot,
    .restore = locks_restore,
    .clones_apart = true,
};
