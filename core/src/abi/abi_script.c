/* A user's own protocol across the ABI: callbacks of qrt_script behind struct script_class, and back. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi_cluster.h"
#include "base/hash.h"
#include "cluster/campaign.h"
#include "protocol/script.h"
#ifdef QRT_HAVE_LIVE
#include "runtime/live/live_share.h"
#endif

struct own_script {
    int references;
    qrt_script user;
    char name[64], judged_by[128], crashes[32];
    struct fault_model model;
    struct script_class class;
    struct protocol protocol;
    struct launch launch;
    struct buffer cargo;
    struct error failed; /* the first state that could not be saved or loaded */
};

/* ---- the class, as protocol/script.c calls it ---- */

static uint64_t own_create(void *context, uint16_t node, const uint16_t *members, uint16_t count) {
    const struct own_script *s = context;
    uint16_t peers[FAULT_NODES_MAX];
    size_t n = 0;
    for (uint16_t i = 0; i < count; i++)
        if (members[i] != node) peers[n++] = members[i];
    return s->user.create(s->user.context, node, peers, n);
}

static void own_destroy(void *context, uint64_t own) {
    const struct own_script *s = context;
    s->user.destroy(s->user.context, own);
}

static bool settle(struct own_script *s, const struct qrt_reply *r) {
    if (r->raised && !s->failed.status) error_set(&s->failed, QRT_EUNSUPPORTED, "%s", r->text);
    return !r->raised;
}

static bool own_save(void *context, uint64_t own, struct buffer *out) {
    struct own_script *s = context;
    struct qrt_reply r = {.out = out};
    s->user.save(s->user.context, own, &r);
    return settle(s, &r);
}

static bool own_load(void *context, uint64_t own, struct bytes saved) {
    struct own_script *s = context;
    struct buffer ignored = {0};
    struct qrt_reply r = {.out = &ignored};
    s->user.load(s->user.context, own, saved.data, saved.size, &r);
    buffer_free(&ignored);
    return settle(s, &r);
}

static void own_describe(void *context, uint64_t own, struct buffer *out) {
    const struct own_script *s = context;
    struct qrt_reply r = {.out = out};
    s->user.describe(s->user.context, own, &r);
    if (r.raised) buffer_append(out, r.text, strlen(r.text));
}

static void own_start(void *context, uint64_t own, struct script *x, uint8_t how, bool has_stored,
                      struct bytes stored) {
    const struct own_script *s = context;
    static const uint8_t empty[1];
    const uint8_t *data = stored.size ? stored.data : empty;
    s->user.start(s->user.context, own, (qrt_ctx *)x, how, has_stored ? data : NULL, stored.size);
}

static void own_message(void *context, uint64_t own, struct script *x, uint16_t from, struct bytes data) {
    const struct own_script *s = context;
    s->user.message(s->user.context, own, (qrt_ctx *)x, from, data.data, data.size);
}

static void own_timer(void *context, uint64_t own, struct script *x, const char *name) {
    const struct own_script *s = context;
    s->user.timer(s->user.context, own, (qrt_ctx *)x, name);
}

static void own_propose(void *context, uint64_t own, struct script *x, uint64_t ticket, struct bytes value) {
    const struct own_script *s = context;
    s->user.propose(s->user.context, own, (qrt_ctx *)x, ticket, value.data, value.size);
}

static void own_opinion(void *context, uint64_t own, struct script *x, uint16_t peer, bool suspected,
                        double suspicion) {
    const struct own_script *s = context;
    s->user.opinion(s->user.context, own, (qrt_ctx *)x, peer, suspected, suspicion);
}

/* ---- its fault model ---- */

static const struct model_field {
    const char *name;
    size_t offset;
} model_fields[] = {
    {"synchrony", offsetof(struct fault_model, synchrony)},
    {"loss", offsetof(struct fault_model, tolerates_loss)},
    {"reorder", offsetof(struct fault_model, tolerates_reorder)},
    {"duplicates", offsetof(struct fault_model, tolerates_duplicates)},
    {"corruption", offsetof(struct fault_model, tolerates_corruption)},
    {"partition", offsetof(struct fault_model, tolerates_partition)},
    {"pause", offsetof(struct fault_model, tolerates_pause)},
    {"skew", offsetof(struct fault_model, tolerates_skew)},
    {"crash_recovers", offsetof(struct fault_model, crash_recovers)},
    {"crash_wipes", offsetof(struct fault_model, crash_wipes)},
    {"loses_unsynced", offsetof(struct fault_model, loses_unsynced)},
};
enum { MODEL_FIELDS = sizeof model_fields / sizeof *model_fields };

static qrt_status unknown_field(const char *name, struct error *e) {
    const char *known[MODEL_FIELDS + 1] = {"crashes"};
    for (size_t i = 0; i < MODEL_FIELDS; i++) known[i + 1] = model_fields[i].name;
    const char *nearest = option_nearest(name, known, MODEL_FIELDS + 1);
    return error_set(e, QRT_EOPTION, "a fault model has no field '%.40s'%s%s%s", name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static qrt_status set_field(struct own_script *s, const char *name, json_t *value, struct error *e) {
    if (!strcmp(name, "crashes")) {
        if (!json_is_string(value))
            return error_set(e, QRT_ETYPE, "a fault model's crashes is text: \"(n-1)/2\", \"0\"");
        snprintf(s->crashes, sizeof s->crashes, "%s", json_string_value(value));
        return QRT_OK;
    }
    for (size_t i = 0; i < MODEL_FIELDS; i++) {
        if (strcmp(name, model_fields[i].name)) continue;
        if (!json_is_boolean(value)) return error_set(e, QRT_ETYPE, "a fault model's %s is true or false", name);
        *(bool *)((char *)&s->model + model_fields[i].offset) = json_is_true(value);
        return QRT_OK;
    }
    return unknown_field(name, e);
}

static qrt_status parse_model(struct own_script *s, const char *text, struct error *e) {
    json_error_t je;
    s->model = *protocol_script.model;
    snprintf(s->crashes, sizeof s->crashes, "%s", s->model.crashes);
    s->model.crashes = s->crashes;
    if (!text) return QRT_OK;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &je), *value;
    const char *name;
    qrt_status status = QRT_OK;
    if (!json_is_object(root))
        status = error_set(e, QRT_EPARSE, "a fault model is a JSON object; this is not: %.60s", text);
    if (!status) json_object_foreach(root, name, value) if (!status) status = set_field(s, name, value, e);
    json_decref(root);
    return status;
}

/* Every word of judged_by is a checker. */
static qrt_status find_checkers(const char *judged_by, struct error *e) {
    const char *known[16], *at = judged_by;
    size_t count = 0;
    for (; count < 16 && checkers_name(count); count++) known[count] = checkers_name(count);
    while (*at) {
        char word[64];
        size_t length = strcspn(at, " ");
        bool found = false;
        snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), at);
        for (size_t i = 0; i < count; i++) found = found || !strcmp(word, known[i]);
        const char *nearest = found ? NULL : option_nearest(word, known, count);
        if (!found)
            return error_set(e, QRT_ENOTFOUND, "there is no checker '%s' to judge a script%s%s%s", word,
                             nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        at += length + (at[length] == ' ');
    }
    return QRT_OK;
}

/* ---- life ---- */

static void copy_launch(struct own_script *s, const qrt_script *user) {
    size_t count = 0;
    if (!user->launch) return;
    while (user->launch[count]) count++;
    s->launch.argv = mem_zero(count + 1, sizeof *s->launch.argv);
    for (size_t i = 0; i < count; i++) s->launch.argv[i] = mem_format("%s", user->launch[i]);
    if (user->cargo_size) buffer_append(&s->cargo, user->cargo, user->cargo_size);
    s->launch.cargo = bytes_of(s->cargo.data, s->cargo.size);
}

static struct own_script *own_script_new(const qrt_script *user, struct error *e) {
    bool whole = user && user->create && user->destroy && user->save && user->load && user->describe && user->start &&
                 user->message && user->timer && user->propose;
    if (!whole) {
        error_set(e, QRT_EINVAL,
                  "a script needs all of create, destroy, save, load, describe, start, message, timer, "
                  "propose");
        return NULL;
    }
    struct own_script *s = mem_zero(1, sizeof *s);
    s->references = 1;
    s->user = *user;
    snprintf(s->name, sizeof s->name, "%s", user->name ? user->name : "script");
    snprintf(s->judged_by, sizeof s->judged_by, "%s", user->judged_by ? user->judged_by : "consensus");
    s->class = (struct script_class){s->name,
                                     "a user's own protocol",
                                     s,
                                     own_create,
                                     own_destroy,
                                     own_save,
                                     own_load,
                                     own_describe,
                                     own_start,
                                     own_message,
                                     own_timer,
                                     own_propose,
                                     user->opinion ? own_opinion : NULL};
    s->protocol = protocol_script;
    s->protocol.name = s->name;
    s->protocol.judged_by = s->judged_by;
    s->protocol.context = &s->class;
    s->protocol.model = &s->model;
    copy_launch(s, user);
    if (!parse_model(s, user->fault_model, e) && !find_checkers(s->judged_by, e)) return s;
    own_script_unref(s);
    return NULL;
}

struct own_script *own_script_ref(struct own_script *s) {
    if (s) __atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
    return s;
}

void own_script_unref(struct own_script *s) {
    if (!s || __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL)) return;
    for (size_t i = 0; s->launch.argv && s->launch.argv[i]; i++) free(s->launch.argv[i]);
    free(s->launch.argv);
    buffer_free(&s->cargo);
    free(s);
}

bool own_script_failed(struct own_script *s, struct error *e) {
    if (!s || !s->failed.status) return false;
    *e = s->failed;
    s->failed.status = QRT_OK;
    return true;
}

/* ---- clusters and runs of one ---- */

QRT_API qrt_status qrt_cluster_new_script(qrt_cluster **out, const qrt_script *script, const qrt_option *options,
                                          size_t count) {
    struct error e = {0};
    if (!out || (count && !options))
        return last_error_format(QRT_EINVAL, "qrt_cluster_new_script wants a place for the handle, and options when it "
                                             "has a count of them");
    *out = NULL;
    struct own_script *s = own_script_new(script, &e);
    struct cluster *c = NULL;
    if (s) {
        struct setting *settings = mem_alloc((count + 1) * sizeof *settings);
        for (size_t i = 0; i < count; i++) settings[i] = (struct setting){options[i].name, options[i].value};
        struct cluster_extras extras = {.protocol = &s->protocol, .launch = &s->launch};
        c = cluster_new_with(s->name, settings, count, NULL, &extras, &e);
        free(settings);
    }
    if (!c) {
        own_script_unref(s);
        return last_error_set(&e);
    }
    *out = abi_cluster_wrap(c, NULL);
    (*out)->script = s;
    return QRT_OK;
}

QRT_API qrt_status qrt_cluster_seed(qrt_cluster **out, const qrt_script *script, const char *spec_json, uint64_t seed,
                                    bool record) {
    struct error e = {0};
    struct run_spec spec;
    if (!out || !spec_json) return last_error_null("out and spec_json");
    *out = NULL;
    struct own_script *s = own_script_new(script, &e);
    struct runner *r = NULL;
    if (s && !campaign_draw(bytes_text(spec_json), &s->protocol, seed, &spec, &e))
        r = runner_new_of(&spec, &s->protocol, record, &e);
    if (!r) {
        own_script_unref(s);
        return last_error_set(&e);
    }
    *out = abi_cluster_wrap(r->cluster, NULL);
    (*out)->runner = r;
    (*out)->script = s;
    return QRT_OK;
}

/* ---- an interpreter as a live node ---- */

#ifdef QRT_HAVE_LIVE
QRT_API int qrt_node_main(const qrt_script *script) {
    struct error e = {0};
    struct own_script *s = own_script_new(script, &e);
    if (!s) {
        agent_fail(e.text);
        last_error_set(&e);
        return 2;
    }
    int code = agent_main(&s->protocol);
    own_script_unref(s);
    return code;
}

QRT_API void qrt_node_fail(const char *why) {
    agent_fail(why ? why : "");
}

QRT_API void qrt_node_traceback(const char *text) {
    agent_traceback(text ? text : "");
}
#else
QRT_API int qrt_node_main(const qrt_script *script) {
    (void)script;
    last_error_format(QRT_EUNSUPPORTED, "this build has no live runtime: build it with -DQUORATE_LIVE=ON and libzmq");
    return 2;
}

QRT_API void qrt_node_fail(const char *why) {
    (void)why;
}

QRT_API void qrt_node_traceback(const char *text) {
    (void)text;
}
#endif

/* ---- what a callback asks for ---- */

static struct script *node_of(qrt_ctx *x) {
    return (struct script *)x;
}

/* A callback's mistake is that node's crash, like its other mistakes; without a context there is no node to blame. */
static bool sound(qrt_ctx *x, const void *data, size_t size) {
    if (x && size && !data) script_raise(node_of(x), "data must not be NULL where its size is not 0");
    return x && (data || !size);
}

/* What is too large for a slice is too large for every limit: it is refused by its size, and never read. */
static struct bytes slice(const uint8_t *data, size_t size) {
    return bytes_of(data, size < UINT32_MAX ? size : UINT32_MAX);
}

QRT_API void qrt_ctx_send(qrt_ctx *x, uint16_t to, const uint8_t *data, size_t size) {
    if (sound(x, data, size)) script_send(node_of(x), to, slice(data, size), false);
}

QRT_API void qrt_ctx_send_now(qrt_ctx *x, uint16_t to, const uint8_t *data, size_t size) {
    if (sound(x, data, size)) script_send(node_of(x), to, slice(data, size), true);
}

QRT_API void qrt_ctx_timer(qrt_ctx *x, const char *name, int64_t delay_ns) {
    if (x) script_timer(node_of(x), name ? name : "", delay_ns);
}

QRT_API void qrt_ctx_persist(qrt_ctx *x, const uint8_t *data, size_t size) {
    if (sound(x, data, size)) script_persist(node_of(x), slice(data, size));
}

QRT_API void qrt_ctx_answer(qrt_ctx *x, uint64_t ticket, qrt_status status, uint16_t leader, uint64_t term,
                            uint64_t index, const uint8_t *data, size_t size) {
    if (sound(x, data, size)) script_answer(node_of(x), ticket, status, leader, term, index, slice(data, size));
}

QRT_API uint64_t qrt_hash(const uint8_t *data, size_t size) {
    return hash_bytes(data, data ? size : 0, 0);
}

QRT_API void qrt_ctx_decide(qrt_ctx *x, uint64_t instance, uint64_t ballot, uint8_t outcome, const uint8_t *data,
                            size_t size) {
    if (sound(x, data, size))
        script_note(node_of(x), QRT_KIND_DECIDE, outcome, 0, ballot, instance, 0, qrt_hash(data, size));
}

QRT_API void qrt_ctx_note(qrt_ctx *x, uint8_t kind, uint8_t detail, uint16_t peer, uint64_t term, uint64_t index,
                          uint64_t link, uint64_t value) {
    if (x) script_note(node_of(x), kind, detail, peer, term, index, link, value);
}

QRT_API uint64_t qrt_ctx_random(qrt_ctx *x) {
    return x ? script_random(node_of(x)) : 0;
}

QRT_API int64_t qrt_ctx_mono(qrt_ctx *x) {
    return x ? script_mono(node_of(x)) : 0;
}

QRT_API int64_t qrt_ctx_wall(qrt_ctx *x) {
    return x ? script_wall(node_of(x)) : 0;
}

QRT_API void qrt_ctx_raise(qrt_ctx *x, const char *text) {
    if (x) script_raise(node_of(x), text ? text : "the script raised an error");
}
