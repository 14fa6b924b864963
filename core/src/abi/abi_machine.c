/* A user's own state machine, behind the table of the built-in ones. Cloning is a snapshot restored into a new one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi_cluster.h"
#include "base/hash.h"

struct own_machine {
    int references;
    qrt_machine user;
    char name[64];
    struct machine_class class;
};

struct own_state {
    const struct own_machine *machine;
    uint64_t id;
};

QRT_API void qrt_reply_put(qrt_reply *r, const uint8_t *data, size_t size) {
    if (!r) return;
    if (data || !size)
        buffer_append(r->out, data, size);
    else
        qrt_reply_raise(r, "data must not be NULL where its size is not 0");
}

QRT_API void qrt_reply_raise(qrt_reply *r, const char *text) {
    if (!r) return;
    r->raised = true;
    snprintf(r->text, sizeof r->text, "%s", text ? text : "the state machine raised an error");
}

static qrt_status finish(const struct qrt_reply *r, struct error *e) {
    return r->raised ? error_set(e, QRT_ESCRIPT, "%s", r->text) : QRT_OK;
}

static void *own_create(void *context) {
    const struct own_machine *m = context;
    struct own_state *s = mem_zero(1, sizeof *s);
    s->machine = m;
    s->id = m->user.create(m->user.context);
    return s;
}

static void own_destroy(void *state) {
    struct own_state *s = state;
    s->machine->user.destroy(s->machine->user.context, s->id);
    free(s);
}

static qrt_status own_snapshot(const void *state, struct buffer *out, struct error *e) {
    const struct own_state *s = state;
    struct qrt_reply r = {.out = out};
    s->machine->user.snapshot(s->machine->user.context, s->id, &r);
    return finish(&r, e);
}

static qrt_status own_restore(void *state, struct bytes snapshot, struct error *e) {
    struct own_state *s = state;
    struct buffer ignored = {0};
    struct qrt_reply r = {.out = &ignored};
    s->machine->user.restore(s->machine->user.context, s->id, snapshot.data, snapshot.size, &r);
    buffer_free(&ignored);
    return r.raised ? error_set(e, QRT_ECORRUPT, "%s", r.text) : QRT_OK;
}

static void *own_clone(const void *state) {
    const struct own_state *s = state;
    struct own_state *copy = own_create((void *)(uintptr_t)s->machine);
    struct buffer snapshot = {0};
    if (own_snapshot(state, &snapshot, NULL) == QRT_OK) own_restore(copy, bytes_of(snapshot.data, snapshot.size), NULL);
    buffer_free(&snapshot);
    return copy;
}

static uint64_t own_fingerprint(const void *state) {
    struct buffer snapshot = {0};
    own_snapshot(state, &snapshot, NULL);
    uint64_t f = hash_bytes(snapshot.data, snapshot.size, 0);
    buffer_free(&snapshot);
    return f;
}

static qrt_status own_apply(void *state, uint64_t index, struct bytes command, struct buffer *reply, struct error *e) {
    struct own_state *s = state;
    struct qrt_reply r = {.out = reply};
    s->machine->user.apply(s->machine->user.context, s->id, index, command.data, command.size, &r);
    return finish(&r, e);
}

static qrt_status own_query(const void *state, struct bytes command, struct buffer *reply, struct error *e) {
    const struct own_state *s = state;
    struct qrt_reply r = {.out = reply};
    s->machine->user.query(s->machine->user.context, s->id, command.data, command.size, &r);
    return finish(&r, e);
}

struct own_machine *own_machine_new(const qrt_machine *user) {
    struct own_machine *m = mem_zero(1, sizeof *m);
    m->references = 1;
    m->user = *user;
    snprintf(m->name, sizeof m->name, "%s", user->name ? user->name : "custom");
    m->class = (struct machine_class){.name = m->name,
                                      .summary = "a state machine of the user's own",
                                      .create = own_create,
                                      .destroy = own_destroy,
                                      .clone = own_clone,
                                      .fingerprint = own_fingerprint,
                                      .apply = own_apply,
                                      .query = own_query,
                                      .snapshot = own_snapshot,
                                      .restore = own_restore,
                                      .context = m};
    return m;
}

struct own_machine *own_machine_ref(struct own_machine *m) {
    if (m) __atomic_add_fetch(&m->references, 1, __ATOMIC_RELAXED);
    return m;
}

void own_machine_unref(struct own_machine *m) {
    if (m && __atomic_sub_fetch(&m->references, 1, __ATOMIC_ACQ_REL) == 0) free(m);
}

const struct machine_class *own_machine_class(const struct own_machine *m) {
    return &m->class;
}
