/* A register: read, write, cas. Its value is the one pair of a tree, under the empty key, which gives it the
 * tree's cheap clone; before the first write there is none, and a read answers QRT_ENOTFOUND. */
#include <stdlib.h>

#include "machine/machines.h"
#include "machine/tree.h"

struct cell {
    struct tree tree; /* empty, or the one pair ("", value) */
};

static const struct bytes CELL_KEY = {0};

static void *cell_create(void *context) {
    (void)context;
    return mem_zero(1, sizeof(struct cell));
}

static void cell_destroy(void *state) {
    struct cell *cell = state;
    if (!cell) return;
    tree_free(&cell->tree);
    free(cell);
}

static void *cell_clone(const void *state) {
    const struct cell *from = state;
    struct cell *to = mem_alloc(sizeof *to);
    tree_clone(&to->tree, &from->tree);
    return to;
}

static uint64_t cell_fingerprint(const void *state) {
    const struct cell *cell = state;
    return tree_fingerprint(&cell->tree);
}

static qrt_status cell_read(const struct cell *cell, struct buffer *reply) {
    struct bytes value;
    if (!tree_get(&cell->tree, CELL_KEY, &value)) return QRT_ENOTFOUND;
    return reply_bytes(reply, QRT_OK, value);
}

static qrt_status cell_cas(struct cell *cell, const struct command *c, struct buffer *reply) {
    struct bytes found = {0};
    bool there = tree_get(&cell->tree, CELL_KEY, &found);
    bool wanted = there ? c->has_expected && bytes_equal(found, c->expected) : !c->has_expected;
    if (!wanted) return reply_bytes(reply, QRT_ECAS, found);
    tree_put(&cell->tree, CELL_KEY, c->value);
    return QRT_OK;
}

static qrt_status cell_apply(void *state, uint64_t index, struct bytes command, struct buffer *reply, struct error *e) {
    (void)index;
    (void)e;
    struct cell *cell = state;
    struct command c;
    if (!command_decode(command, &c)) return QRT_EINVAL;
    if (c.operation == COMMAND_READ) return cell_read(cell, reply);
    if (c.operation == COMMAND_CAS && c.key.size == 0) return cell_cas(cell, &c, reply);
    if (c.operation != COMMAND_WRITE) return QRT_EINVAL;
    tree_put(&cell->tree, CELL_KEY, c.value);
    return QRT_OK;
}

static qrt_status cell_query(const void *state, struct bytes command, struct buffer *reply, struct error *e) {
    (void)e;
    struct command c;
    if (!command_decode(command, &c) || c.operation != COMMAND_READ) return QRT_EINVAL;
    return cell_read(state, reply);
}

static qrt_status cell_snapshot(const void *state, struct buffer *out, struct error *e) {
    (void)e;
    const struct cell *cell = state;
    snapshot_head(out, SNAPSHOT_REGISTER);
    tree_write(&cell->tree, out);
    return QRT_OK;
}

static qrt_status cell_restore(void *state, struct bytes snapshot, struct error *e) {
    struct cell *cell = state;
    struct reader in = reader_of(snapshot);
    struct tree tree = {0};
    if (!snapshot_is(&in, SNAPSHOT_REGISTER) || !tree_read(&tree, &in, 0, COMMAND_VALUE_MAX) || reader_left(&in)) {
        tree_free(&tree);
        return error_set(e, QRT_ECORRUPT, "the snapshot is not one of a register, or it is damaged");
    }
    tree_free(&cell->tree);
    cell->tree = tree;
    return QRT_OK;
}

const struct machine_class machine_register = {
    .name = "register",
    .summary = "one register: read, write, cas",
    .create = cell_create,
    .destroy = cell_destroy,
    .clone = cell_clone,
    .fingerprint = cell_fingerprint,
    .apply = cell_apply,
    .query = cell_query,
    .snapshot = cell_snapshot,
    .restore = cell_restore,
    .clones_apart = true,
};
