#include "cluster/shrinker.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/stopwatch.h"
#include "fault/shrink.h"

struct shrinker {
    struct run_spec spec;     /* its plan: the smallest so far */
    struct run_result result; /* of that run */
    size_t before;            /* directives of the plan as it was */
    struct shrink *shrink;
    struct plan candidate;
    struct runner *trial; /* of the candidate; NULL: none is under way */
};

struct shrinker *shrinker_new(const struct runner *of, struct error *e) {
    if (of->phase != RUN_DONE) {
        error_set(e, QRT_EINVAL, "the run is not over, so it cannot be shrunk: run it to its end first");
        return NULL;
    }
    if (of->result.verdict != RUN_VIOLATED && of->result.verdict != RUN_STUCK) {
        error_set(e, QRT_EINVAL,
                  "the run violates nothing and is not stuck, so there is no failure to keep while it is shrunk");
        return NULL;
    }
    struct shrinker *s = mem_zero(1, sizeof *s);
    s->spec = of->spec;
    plan_clone(&s->spec.plan, &of->spec.plan);
    s->result = of->result;
    s->before = of->spec.plan.count;
    s->shrink = shrink_new(&s->spec.plan);
    return s;
}

void shrinker_free(struct shrinker *s) {
    if (!s) return;
    if (s->trial) runner_free(s->trial, NULL);
    shrink_free(s->shrink);
    plan_free(&s->candidate);
    spec_free(&s->spec);
    free(s);
}

static bool fails_alike(const struct shrinker *s, const struct run_result *r) {
    return r->verdict == s->result.verdict && (r->verdict == RUN_STUCK || r->violated & s->result.violated);
}

static void take_verdict(struct shrinker *s) {
    const struct run_result *r = &s->trial->result;
    bool fails = fails_alike(s, r);
    if (fails) {
        s->result = *r;
        plan_free(&s->spec.plan);
        plan_clone(&s->spec.plan, &s->candidate);
    }
    shrink_report(s->shrink, fails);
    runner_free(s->trial, NULL);
    s->trial = NULL;
}

static qrt_status begin_trial(struct shrinker *s, struct error *e) {
    struct run_spec spec = s->spec;
    plan_clone(&spec.plan, &s->candidate);
    s->trial = runner_new(&spec, false, e);
    return s->trial ? QRT_OK : e->status;
}

bool shrinker_step(struct shrinker *s, int64_t slice_ns, struct error *e) {
    int64_t deadline = slice_ns ? stopwatch_ns() + slice_ns : INT64_MAX;
    do {
        if (!s->trial && !shrink_next(s->shrink, &s->candidate)) return true;
        if (!s->trial && begin_trial(s, e)) return true;
        if (runner_step(s->trial, slice_ns)) take_verdict(s);
    } while (!slice_ns || stopwatch_ns() < deadline);
    return false;
}

uint32_t shrinker_tries(const struct shrinker *s) {
    return shrink_tries(s->shrink);
}

size_t shrinker_directives(const struct shrinker *s) {
    return s->spec.plan.count;
}

void shrinker_print(const struct shrinker *s, struct buffer *out) {
    const char *violated[RUN_PROPERTIES_MAX];
    struct buffer file = {0};
    size_t count = 0;
    for (size_t i = 0; i < s->result.property_count; i++)
        if (s->result.violated >> i & 1) violated[count++] = s->result.properties[i];
    spec_print(&s->spec, s->result.hash, violated, count, &file);
    json_t *root = json_loadb((const char *)file.data, file.size, 0, NULL);
    json_object_set_new(root, "shrunk",
                        json_pack("{s:I, s:I, s:I}", "from", (json_int_t)s->before, "to",
                                  (json_int_t)s->spec.plan.count, "tries", (json_int_t)shrinker_tries(s)));
    char *text = json_dumps(root, JSON_INDENT(1));
    buffer_append(out, text, strlen(text));
    free(text);
    json_decref(root);
    buffer_free(&file);
}
