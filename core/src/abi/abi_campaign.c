/* Campaigns, replays and drawn plans across the ABI. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi_cluster.h"
#include "cluster/campaign.h"
#include "cluster/compare.h"
#include "cluster/runner.h"

struct qrt_campaign {
    struct handle handle;
    struct campaign *campaign;
};

static _Thread_local struct buffer text;

static void campaign_end(struct handle *h) {
    campaign_free(((qrt_campaign *)h)->campaign);
}

QRT_API qrt_status qrt_campaign_new(qrt_campaign **out, const char *spec_json) {
    struct error e = {0};
    if (!out || !spec_json) return last_error_null("out and spec_json");
    *out = NULL;
    struct campaign *c = campaign_new(bytes_text(spec_json), &e);
    if (!c) return last_error_set(&e);
    *out = mem_zero(1, sizeof **out);
    handle_init(&(*out)->handle, HANDLE_CAMPAIGN, campaign_end);
    (*out)->campaign = c;
    return QRT_OK;
}

QRT_API void qrt_campaign_free(qrt_campaign **c) {
    if (c && *c && handle_free(&(*c)->handle, HANDLE_CAMPAIGN)) *c = NULL;
}

QRT_API qrt_status qrt_campaign_run(qrt_campaign *c, uint64_t *done, uint64_t *total) {
    qrt_status s = handle_enter(c ? &c->handle : NULL, HANDLE_CAMPAIGN);
    return s ? s : handle_leave(&c->handle, campaign_run(c->campaign, c->handle.slice_ns, done, total));
}

QRT_API const char *qrt_campaign_report(qrt_campaign *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CAMPAIGN)) return NULL;
    const char *report = NULL;
    if (campaign_run(c->campaign, 0, NULL, NULL) == QRT_MORE)
        error_set(&c->handle.error, QRT_EINVAL,
                  "the campaign is still running; call qrt_campaign_run until it is done");
    else
        report = campaign_report(c->campaign);
    handle_leave(&c->handle, QRT_OK);
    return report;
}

QRT_API const qrt_campaign_row *qrt_campaign_rows(const qrt_campaign *c, size_t *count) {
    if (count) *count = 0;
    return c && count && handle_open(&c->handle, HANDLE_CAMPAIGN) ? campaign_rows(c->campaign, count) : NULL;
}

QRT_API const char *qrt_campaign_run_file(const char *spec_json, uint64_t seed) {
    struct error e = {0};
    buffer_clear(&text);
    if (!spec_json || campaign_run_file(bytes_text(spec_json), seed, &text, &e)) {
        if (!spec_json) error_set(&e, QRT_EINVAL, "spec_json must not be NULL");
        last_error_set(&e);
        return NULL;
    }
    return buffer_text(&text);
}

QRT_API const char *qrt_compare(const char *spec_json) {
    struct error e = {0};
    buffer_clear(&text);
    if (!spec_json) error_set(&e, QRT_EINVAL, "spec_json must not be NULL");
    if (!spec_json || compare_protocol(bytes_text(spec_json), &text, &e)) {
        last_error_set(&e);
        return NULL;
    }
    return buffer_text(&text);
}

QRT_API qrt_status qrt_cluster_replay(qrt_cluster **out, const char *run_json) {
    struct error e = {0};
    struct run_spec spec;
    if (!out || !run_json) return last_error_null("out and run_json");
    *out = NULL;
    struct runner *r = NULL;
    if (!spec_parse(&spec, bytes_text(run_json), &e)) r = runner_new(&spec, true, &e);
    if (!r) return last_error_set(&e);
    *out = abi_cluster_wrap(r->cluster, NULL);
    (*out)->runner = r;
    return QRT_OK;
}

QRT_API qrt_status qrt_cluster_replay_run(qrt_cluster *c) {
    qrt_status s = handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER);
    if (s) return s;
    if (!c->runner)
        return handle_leave(&c->handle,
                            error_set(&c->handle.error, QRT_EINVAL, "this cluster was not made from a run file"));
    if (!runner_step(c->runner, c->handle.slice_ns)) return handle_leave(&c->handle, QRT_MORE);
    uint64_t recorded = c->runner->spec.hash, hash = c->runner->result.hash;
    if (recorded && recorded != hash)
        s = error_set(&c->handle.error, QRT_EFAILED,
                      "the replay's trace hash is %016llx, the run's was %016llx: another version of Quorate, or of "
                      "the state machine, made it",
                      (unsigned long long)hash, (unsigned long long)recorded);
    return handle_leave(&c->handle, s);
}

QRT_API qrt_status qrt_cluster_shrink(qrt_cluster *c, uint64_t *tries, uint64_t *directives) {
    qrt_status s = handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER);
    if (s) return s;
    struct error *e = &c->handle.error;
    if (!c->runner || c->script)
        return handle_leave(
            &c->handle,
            error_set(e, QRT_EUNSUPPORTED, "only a run of a built-in protocol is shrunk: read one from its file"));
    if (!c->shrinker) c->shrinker = shrinker_new(c->runner, e);
    if (!c->shrinker) return handle_leave(&c->handle, e->status);
    bool done = shrinker_step(c->shrinker, c->handle.slice_ns, e);
    if (tries) *tries = shrinker_tries(c->shrinker);
    if (directives) *directives = shrinker_directives(c->shrinker);
    return handle_leave(&c->handle, e->status ? e->status : done ? QRT_OK : QRT_MORE);
}

QRT_API const char *qrt_cluster_shrunk(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    bool begun = c->shrinker;
    buffer_clear(&text);
    if (begun)
        shrinker_print(c->shrinker, &text);
    else
        error_set(&c->handle.error, QRT_EINVAL, "nothing was shrunk yet; call qrt_cluster_shrink first");
    handle_leave(&c->handle, QRT_OK);
    return begun ? buffer_text(&text) : NULL;
}

static const char *print_seed(const struct run_result *r) {
    static const char *const verdicts[] = {"ok", "violated", "unknown", "stuck"};
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    json_t *judged = json_array(), *violated = json_array(), *words = json_string(r->text);
    for (size_t i = 0; i < r->property_count; i++) {
        json_array_append_new(judged, json_string(r->properties[i]));
        if (r->violated >> i & 1) json_array_append_new(violated, json_string(r->properties[i]));
    }
    json_t *root = json_pack("{s:s, s:o, s:o, s:o, s:f, s:I, s:I, s:i, s:s}", "verdict", verdicts[r->verdict],
                             "violated", violated, "properties", judged, "text", words ? words : json_string(""),
                             "time", (double)r->violated_at / 1e9, "events", (json_int_t)r->events, "faults",
                             (json_int_t)r->faults, "nodes", r->nodes, "hash", hash);
    char *printed = json_dumps(root, 0);
    buffer_clear(&text);
    buffer_append(&text, printed, strlen(printed));
    free(printed);
    json_decref(root);
    return buffer_text(&text);
}

QRT_API const char *qrt_cluster_seed_report(qrt_cluster *c) {
    if (handle_enter(c ? &c->handle : NULL, HANDLE_CLUSTER)) return NULL;
    bool ended = c->runner && c->runner->phase == RUN_DONE;
    if (!ended)
        error_set(
            &c->handle.error, QRT_EINVAL,
            "this cluster has not run to the end of a seed or replay; call qrt_cluster_replay_run until it is done");
    const char *printed = ended ? print_seed(&c->runner->result) : NULL;
    handle_leave(&c->handle, QRT_OK);
    return printed;
}

QRT_API const char *qrt_plan_draw(const char *protocol, uint16_t nodes, uint64_t seed, int64_t duration_ns) {
    const struct protocol *p = protocol ? protocol_find(protocol) : NULL;
    if (!p || !p->model || nodes < 1 || nodes > FAULT_NODES_MAX || duration_ns <= 0) {
        last_error_format(QRT_EINVAL, "a plan is drawn for a known protocol, 1 to %d nodes, and a time above 0",
                          FAULT_NODES_MAX);
        return NULL;
    }
    struct plan plan = {0};
    spec_draw_plan(&plan, p, nodes, seed, duration_ns);
    buffer_clear(&text);
    plan_print(&plan, &text);
    plan_free(&plan);
    return buffer_text(&text);
}
