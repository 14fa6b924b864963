/* See store_model.h. */
#include "support/store_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

const struct store_identity model_me = {0x1122334455667788u, 3};

struct disk *model_disk(uint64_t seed) {
    struct disk_sim_options options = {1000, 100000, 1000};
    struct disk *d = disk_sim_new(&options, seed, model_me.node);
    d->segment = 8192; /* many files in short tests */
    return d;
}

uint32_t model_payload_size(uint16_t group, uint64_t index) {
    uint64_t bits = random_keyed(99, group, index);
    return bits % 16 == 0 ? (uint32_t)(bits >> 8) % PAYLOAD_MAX : (uint32_t)(bits >> 8) % 200;
}

static void payload_fill(uint8_t *to, uint16_t group, uint64_t index) {
    uint32_t size = model_payload_size(group, index);
    for (uint32_t i = 0; i < size; i++) to[i] = (uint8_t)random_keyed(group, index, i / 8) + (uint8_t)i;
}

void model_append(struct store *s, uint16_t group, uint64_t index) {
    uint8_t data[PAYLOAD_MAX];
    payload_fill(data, group, index);
    store_append(s, &(struct store_record){group, index, index / 10, bytes_of(data, model_payload_size(group, index))});
}

static void seen_wrong(struct seen *seen, const char *why, uint16_t group, uint64_t index) {
    if (seen->wrong) return;
    seen->wrong = true;
    snprintf(seen->why, sizeof seen->why, "%s (group %u, index %llu)", why, group, (unsigned long long)index);
}

static void see_checkpoint(void *context, const struct store_checkpoint *c) {
    struct seen *seen = context;
    char text[40];
    if (c->group >= GROUPS || c->group <= seen->group) {
        seen_wrong(seen, "a checkpoint out of order", c->group, c->index);
        return;
    }
    seen->group = c->group;
    seen->checkpoint[c->group] = c->index;
    snprintf(text, sizeof text, "state at %llu", (unsigned long long)c->index);
    if (!bytes_equal(blob_bytes(c->blob), bytes_text(text)) || !bytes_equal(c->meta, bytes_text("meta")) ||
        c->term != c->index / 10)
        seen_wrong(seen, "a wrong checkpoint", c->group, c->index);
}

static void see_record(void *context, const struct store_record *r) {
    struct seen *seen = context;
    uint8_t expected[PAYLOAD_MAX];
    if (r->group >= GROUPS || r->group < seen->group) {
        seen_wrong(seen, "a group out of order", r->group, r->index);
        return;
    }
    seen->group = r->group;
    if (!seen->first[r->group])
        seen->first[r->group] = r->index;
    else if (r->index != seen->last[r->group] + 1)
        seen_wrong(seen, "a record missing or twice", r->group, r->index);
    seen->last[r->group] = r->index;
    payload_fill(expected, r->group, r->index);
    if (!bytes_equal(r->data, bytes_of(expected, model_payload_size(r->group, r->index))) || r->term != r->index / 10)
        seen_wrong(seen, "a wrong record", r->group, r->index);
}

qrt_status model_recover(struct store *s, struct seen *seen, struct error *e) {
    *seen = (struct seen){.group = -1};
    return store_recover(s, &(struct store_visitor){see_checkpoint, see_record, seen}, e);
}

struct store *model_open(struct disk *d, bool format) {
    struct store *s;
    struct error e = {0};
    bool wiped;
    if (store_open(&s, d, model_me, format, &wiped, &e)) fail_msg("opening: %s", e.text);
    return s;
}

void model_save(struct store *s, uint16_t group, uint64_t index, bool from_log, qrt_status *status) {
    char text[40];
    struct error e = {0};
    snprintf(text, sizeof text, "state at %llu", (unsigned long long)index);
    struct store_checkpoint c = {group, index, index / 10, bytes_text("meta"), blob_new(bytes_text(text)), from_log};
    *status = store_save(s, &c, &e);
    blob_unref(&c.blob);
}

struct disk *model_disk_with(uint64_t commits) {
    struct store *s = model_open(model_disk(1), true);
    for (uint64_t i = 1; i <= commits; i++) {
        model_append(s, 0, i);
        assert_int_equal(store_flush(s, NULL), QRT_OK);
    }
    return store_release(&s);
}

qrt_status model_try(const struct disk *d, struct seen *seen, struct error *e) {
    struct store *s;
    bool wiped;
    qrt_status status = store_open(&s, d->class->clone(d), model_me, false, &wiped, e);
    if (status) return status;
    status = model_recover(s, seen, e);
    store_free(&s);
    return status;
}

struct disk *model_damage(const struct disk *d, const char *name, uint64_t offset, struct bytes with) {
    struct disk *copy = d->class->clone(d);
    assert_int_equal(copy->class->write(copy, name, offset, with, NULL), QRT_OK);
    assert_int_equal(copy->class->sync(copy, name, NULL), QRT_OK);
    return copy;
}

static void see_name(void *context, const char *name, uint64_t size) {
    struct model_file *l = context;
    if (strncmp(name, l->prefix, strlen(l->prefix)) != 0) return;
    snprintf(l->name, sizeof l->name, "%s", name);
    l->size = size;
    l->count++;
}

struct model_file model_last_file(const struct disk *d, const char *prefix) {
    struct model_file l = {.prefix = prefix};
    struct disk *copy = d->class->clone(d);
    copy->class->list(copy, see_name, &l, NULL);
    copy->class->free(copy);
    return l;
}

/* ---- a disk that outlives its store ---- */

struct lasting {
    struct disk base;
    struct disk *inner;
};

static struct disk *inner_of(struct disk *d) {
    return ((struct lasting *)d)->inner;
}
static qrt_status lasting_list(struct disk *d, disk_list_fn *each, void *context, struct error *e) {
    return inner_of(d)->class->list(inner_of(d), each, context, e);
}
static qrt_status lasting_create(struct disk *d, const char *name, uint64_t size, struct error *e) {
    return inner_of(d)->class->create(inner_of(d), name, size, e);
}
static qrt_status lasting_read(struct disk *d, const char *name, struct buffer *out, struct error *e) {
    return inner_of(d)->class->read(inner_of(d), name, out, e);
}
static qrt_status lasting_write(struct disk *d, const char *name, uint64_t at, struct bytes data, struct error *e) {
    return inner_of(d)->class->write(inner_of(d), name, at, data, e);
}
static qrt_status lasting_sync(struct disk *d, const char *name, struct error *e) {
    return inner_of(d)->class->sync(inner_of(d), name, e);
}
static qrt_status lasting_rename(struct disk *d, const char *from, const char *to, struct error *e) {
    return inner_of(d)->class->rename(inner_of(d), from, to, e);
}
static qrt_status lasting_remove(struct disk *d, const char *name, struct error *e) {
    return inner_of(d)->class->remove(inner_of(d), name, e);
}
static qrt_status lasting_sync_folder(struct disk *d, struct error *e) {
    return inner_of(d)->class->sync_folder(inner_of(d), e);
}
static void lasting_free(struct disk *d) {
    free(d);
}

static const struct disk_class lasting_class = {
    .list = lasting_list,
    .create = lasting_create,
    .read = lasting_read,
    .write = lasting_write,
    .sync = lasting_sync,
    .rename = lasting_rename,
    .remove = lasting_remove,
    .sync_folder = lasting_sync_folder,
    .free = lasting_free,
};

struct disk *model_lasting(struct disk *d) {
    struct lasting *l = mem_zero(1, sizeof *l);
    l->base = (struct disk){&lasting_class, d->block, d->segment};
    l->inner = d;
    return &l->base;
}
