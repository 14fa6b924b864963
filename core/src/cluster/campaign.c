#include "cluster/campaign.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/stopwatch.h"
#include "cluster/values.h"

#define TWICE_EVERY 100      /* one seed in so many runs twice and must hash alike */
#define FAILURES_LISTED 1000 /* with their run files, in the report */
#define JOBS_MAX 256

struct failure {
    uint64_t seed, hash;
    struct run_result result;
    bool differed; /* the second run of the seed did not hash like the first */
    char *run_file;
};

struct campaign {
    struct draw_request request;
    char protocol[64], bug[64];
    struct plan plan;
    uint64_t seeds, first;
    uint32_t jobs;
    qrt_campaign_row *rows;
    int64_t started, ended; /* stopwatch_ns */

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t progress;
    uint64_t next, done;
    bool running, stop;
    struct failure *failures;
    size_t failure_count, failure_capacity;
    uint64_t sometimes[COVERAGE_COUNT];
    const char *properties[RUN_PROPERTIES_MAX];
    uint64_t property_hits[RUN_PROPERTIES_MAX];
    size_t property_count;
    pthread_t workers[JOBS_MAX];
    char error[ERROR_TEXT_MAX]; /* a seed that could not even be set up */
    struct buffer report;
};

/* ---- the spec ---- */

static const char *const fields[] = {"protocol", "seeds", "first",   "nodes",  "bug",
                                     "plan",     "jobs",  "outside", "damage", "events"};

static qrt_status unknown_field(const char *name, struct error *e) {
    const char *nearest = option_nearest(name, fields, sizeof fields / sizeof *fields);
    return error_set(e, QRT_EOPTION, "a campaign has no field '%.60s'%s%s%s", name, nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

static qrt_status number_field(json_t *root, const char *name, uint64_t standard, uint64_t low, uint64_t high,
                               uint64_t *out, struct error *e) {
    json_t *v = json_object_get(root, name);
    *out = standard;
    if (!v) return QRT_OK;
    if (!json_is_integer(v)) return error_set(e, QRT_ETYPE, "a campaign's %s is a whole number", name);
    if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < low || (uint64_t)json_integer_value(v) > high)
        return error_set(e, QRT_ERANGE, "a campaign's %s lies between %llu and %llu", name, (unsigned long long)low,
                         (unsigned long long)high);
    *out = (uint64_t)json_integer_value(v);
    return QRT_OK;
}

static qrt_status text_field(json_t *root, const char *name, char *out, size_t size, struct error *e) {
    json_t *v = json_object_get(root, name);
    *out = 0;
    if (!v || json_is_null(v)) return QRT_OK;
    if (!json_is_string(v) || json_string_length(v) >= size)
        return error_set(e, QRT_ETYPE, "a campaign's %s is a short text", name);
    snprintf(out, size, "%s", json_string_value(v));
    return QRT_OK;
}

static qrt_status parse_plan(struct campaign *c, json_t *plan, struct error *e) {
    if (!plan || json_is_null(plan)) return QRT_OK;
    char *text = json_dumps(plan, JSON_ENCODE_ANY);
    qrt_status s = plan_parse(&c->plan, bytes_text(text), c->request.nodes ? c->request.nodes : 7, e);
    free(text);
    c->request.plan = &c->plan;
    return s;
}

static qrt_status parse_fields(struct campaign *c, json_t *root, struct error *e) {
    const char *name;
    json_t *value;
    uint64_t nodes = 0, jobs = 0;
    json_object_foreach(root, name, value) {
        bool known = false;
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) known = known || !strcmp(name, fields[i]);
        if (!known) return unknown_field(name, e);
    }
    qrt_status s = text_field(root, "protocol", c->protocol, sizeof c->protocol, e);
    if (!s) s = text_field(root, "bug", c->bug, sizeof c->bug, e);
    if (!s) s = number_field(root, "seeds", 100, 1, 100000000, &c->seeds, e);
    if (!s) s = number_field(root, "first", 1, 0, INT64_MAX / 2, &c->first, e);
    if (!s) s = number_field(root, "nodes", 0, 0, FAULT_NODES_MAX, &nodes, e);
    if (!s) s = number_field(root, "jobs", 0, 0, JOBS_MAX, &jobs, e);
    if (!s) s = number_field(root, "events", 10000, 1, 1000000000, &c->request.events_min, e);
    if (s) return s;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->jobs = jobs ? (uint32_t)jobs : cores > 0 && cores < JOBS_MAX ? (uint32_t)cores : 1;
    c->request.nodes = (uint16_t)nodes;
    c->request.outside = json_is_true(json_object_get(root, "outside"));
    c->request.damage = json_is_true(json_object_get(root, "damage"));
    c->request.bug = c->bug;
    return parse_plan(c, json_object_get(root, "plan"), e);
}

/* Names are checked here, once, by setting up the first seed; so that a mistyped bug is an error and no verdict. */
static qrt_status try_first(struct campaign *c, const struct protocol *own, struct error *e) {
    struct run_spec spec;
    if (own) {
        c->request.protocol = own;
        return QRT_OK;
    }
    c->request.protocol = protocol_named(*c->protocol ? c->protocol : "raft", e);
    if (!c->request.protocol) return e->status;
    if (c->request.damage && !c->request.outside && !c->request.protocol->model->crash_wipes)
        return error_set(e, QRT_ERANGE,
                         "%s does not stand a lost disk (%s): its runs draw no damage but outside of its model",
                         c->request.protocol->name, c->request.protocol->model->assumes);
    if (!c->request.protocol->model)
        return error_set(e, QRT_EUNSUPPORTED, "'%s' declares no fault model, so there is nothing to judge it by",
                         c->protocol);
    spec_draw(&spec, &c->request, c->first);
    struct runner *r = runner_new(&spec, false, e);
    if (!r) return e->status;
    runner_free(r, NULL);
    return QRT_OK;
}

static struct campaign *campaign_parse(struct bytes text, const struct protocol *own, struct error *e) {
    json_error_t je;
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &je);
    if (!json_is_object(root)) {
        if (root)
            error_set(e, QRT_EPARSE, "a campaign is a JSON object");
        else
            error_set(e, QRT_EPARSE, "the campaign is no JSON: %s, line %d, column %d", je.text, je.line, je.column);
        json_decref(root);
        return NULL;
    }
    struct campaign *c = mem_zero(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->progress, NULL);
    qrt_status s = parse_fields(c, root, e);
    json_decref(root);
    if (!s) s = try_first(c, own, e);
    if (!s) return c;
    campaign_free(c);
    return NULL;
}

struct campaign *campaign_new(struct bytes text, struct error *e) {
    struct campaign *c = campaign_parse(text, NULL, e);
    if (c) c->rows = mem_zero(c->seeds, sizeof *c->rows);
    return c;
}

/* ---- the work ---- */

static uint64_t run_once(struct campaign *c, uint64_t seed, struct run_result *result, struct error *e) {
    struct run_spec spec;
    spec_draw(&spec, &c->request, seed);
    struct runner *r = runner_new(&spec, false, e);
    if (!r) return 0;
    runner_step(r, 0);
    *result = r->result;
    runner_free(r, NULL);
    return result->hash;
}

static char *run_file(struct campaign *c, uint64_t seed, const struct run_result *result) {
    struct run_spec spec;
    struct buffer out = {0};
    const char *violated[RUN_PROPERTIES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < result->property_count; i++)
        if (result->violated >> i & 1) violated[count++] = result->properties[i];
    spec_draw(&spec, &c->request, seed);
    spec_print(&spec, result->hash, violated, count, &out);
    spec_free(&spec);
    return buffer_text(&out);
}

static void note_failure(struct campaign *c, uint64_t seed, const struct run_result *result, bool differed) {
    if (c->failure_count >= FAILURES_LISTED) return;
    c->failures = mem_grow(c->failures, &c->failure_capacity, c->failure_count + 1, sizeof *c->failures);
    c->failures[c->failure_count++] =
        (struct failure){seed, result->hash, *result, differed, run_file(c, seed, result)};
}

static size_t property_slot(struct campaign *c, const char *name) {
    for (size_t i = 0; i < c->property_count; i++)
        if (!strcmp(c->properties[i], name)) return i;
    c->properties[c->property_count] = name;
    return c->property_count++;
}

/* Under the lock: one finished seed enters the books. */
static void book(struct campaign *c, uint64_t i, const struct run_result *r, bool differed, double seconds) {
    qrt_campaign_row *row = &c->rows[i];
    *row = (qrt_campaign_row){c->first + i, r->hash,  r->events,  r->faults,          0,
                              seconds,      r->nodes, r->clients, (uint8_t)r->verdict};
    for (size_t k = 0; k < r->property_count; k++) {
        size_t slot = property_slot(c, r->properties[k]);
        if (!(r->violated >> k & 1)) continue;
        c->property_hits[slot]++;
        row->violated |= 1ull << slot;
    }
    for (size_t k = 0; k < COVERAGE_COUNT; k++) c->sometimes[k] += r->sometimes >> k & 1;
    if (differed) row->verdict = RUN_VIOLATED;
    if (row->verdict == RUN_VIOLATED || row->verdict == RUN_STUCK) note_failure(c, row->seed, r, differed);
    c->done++;
    pthread_cond_signal(&c->progress);
}

static void *work(void *context) {
    struct campaign *c = context;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        uint64_t i = c->next;
        bool over = c->stop || i >= c->seeds;
        if (!over) c->next++;
        pthread_mutex_unlock(&c->lock);
        if (over) return NULL;
        struct run_result result = {0}, second = {0};
        struct error e = {0};
        int64_t begin = stopwatch_ns();
        uint64_t seed = c->first + i, hash = run_once(c, seed, &result, &e);
        bool differed = seed % TWICE_EVERY == 0 && run_once(c, seed, &second, &e) != hash;
        double seconds = (double)(stopwatch_ns() - begin) / 1e9;
        pthread_mutex_lock(&c->lock);
        if (e.status) { /* a seed that cannot even be set up is a fault of ours, and no success */
            snprintf(c->error, sizeof c->error, "%s", e.text);
            text_format(result.text, sizeof result.text, "%s", e.text);
            result.verdict = RUN_VIOLATED;
        }
        book(c, i, &result, differed, seconds);
        pthread_mutex_unlock(&c->lock);
    }
}

static void start(struct campaign *c) {
    c->started = stopwatch_ns();
    c->running = true;
    for (uint32_t i = 0; i < c->jobs; i++)
        if (pthread_create(&c->workers[i], NULL, work, c)) c->jobs = i;
    if (c->jobs == 0) work(c); /* no thread to be had: this one does it */
}

static void join(struct campaign *c) {
    if (!c->running) return;
    for (uint32_t i = 0; i < c->jobs; i++) pthread_join(c->workers[i], NULL);
    c->ended = stopwatch_ns();
    c->running = false;
}

static int compare_failures(const void *a, const void *b) {
    uint64_t x = ((const struct failure *)a)->seed, y = ((const struct failure *)b)->seed;
    return (x > y) - (x < y);
}

qrt_status campaign_run(struct campaign *c, int64_t wait_ns, uint64_t *done, uint64_t *total) {
    if (!c->running && c->done == 0) start(c);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec + wait_ns) / 1000000000;
    until.tv_nsec = (until.tv_nsec + wait_ns) % 1000000000;
    pthread_mutex_lock(&c->lock);
    while (c->done < c->seeds && pthread_cond_timedwait(&c->progress, &c->lock, &until) == 0) continue;
    uint64_t now_done = c->done;
    pthread_mutex_unlock(&c->lock);
    if (done) *done = now_done;
    if (total) *total = c->seeds;
    if (now_done < c->seeds) return QRT_MORE;
    join(c);
    if (c->failure_count) qsort(c->failures, c->failure_count, sizeof *c->failures, compare_failures);
    return QRT_OK;
}

void campaign_free(struct campaign *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_mutex_unlock(&c->lock);
    join(c);
    for (size_t i = 0; i < c->failure_count; i++) free(c->failures[i].run_file);
    free(c->failures);
    free(c->rows);
    plan_free(&c->plan);
    buffer_free(&c->report);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->progress);
    free(c);
}

/* ---- the report ---- */

static json_t *failure_value(const struct failure *f) {
    json_t *names = json_array();
    for (size_t i = 0; i < f->result.property_count; i++)
        if (f->result.violated >> i & 1) json_array_append_new(names, json_string(f->result.properties[i]));
    if (f->differed) json_array_append_new(names, json_string("determinism"));
    json_t *run = json_loads(f->run_file, 0, NULL), *text = json_string(f->result.text);
    json_t *root = json_pack("{s:I, s:o, s:f, s:o, s:o}", "seed", (json_int_t)f->seed, "properties", names, "time",
                             (double)f->result.violated_at / 1e9, "text", text ? text : json_string(""), "run", run);
    const struct broken_assumption *broken = &f->result.broken;
    if (!broken->assumes) return root;
    json_object_set_new(root, "assumption",
                        json_pack("{s:s, s:s, s:f}", "assumes", broken->assumes, "broken_by",
                                  fault_verb_name(broken->verb), "time", (double)broken->at / 1e9));
    return root;
}

static void add_counts(const struct campaign *c, json_t *root) {
    json_t *properties = json_object(), *sometimes = json_object();
    const char *wanted = c->request.protocol->sometimes;
    uint64_t events = 0, hash = 0, unknown = 0, faults_least = UINT64_MAX, events_least = UINT64_MAX;
    for (size_t i = 0; i < c->property_count; i++)
        json_object_set_new(properties, c->properties[i], json_integer((json_int_t)c->property_hits[i]));
    for (size_t i = 0; i < COVERAGE_COUNT; i++)
        if (wanted && text_lists(wanted, coverage_name(i)))
            json_object_set_new(sometimes, coverage_name(i), json_integer((json_int_t)c->sometimes[i]));
    for (uint64_t i = 0; i < c->seeds; i++) {
        const qrt_campaign_row *r = &c->rows[i];
        events += r->events;
        unknown += r->verdict == RUN_UNKNOWN;
        if (r->faults < faults_least) faults_least = r->faults;
        if (r->events < events_least) events_least = r->events;
        hash = hash_bytes(&r->hash, sizeof r->hash, hash);
    }
    json_object_set_new(root, "properties", properties);
    json_object_set_new(root, "sometimes", sometimes);
    json_object_set_new(root, "events", json_integer((json_int_t)events));
    json_object_set_new(root, "events_least", json_integer((json_int_t)events_least));
    json_object_set_new(root, "faults_least", json_integer((json_int_t)faults_least));
    json_object_set_new(root, "unknown", json_integer((json_int_t)unknown));
    json_object_set_new(root, "hash", hash_value(hash));
}

const char *campaign_report(struct campaign *c) {
    json_t *violations = json_array(), *stuck = json_array();
    for (size_t i = 0; i < c->failure_count; i++)
        json_array_append_new(c->failures[i].result.verdict == RUN_STUCK ? stuck : violations,
                              failure_value(&c->failures[i]));
    json_t *root = json_pack("{s:I, s:I, s:s, s:s, s:o, s:o, s:f, s:I, s:s}", "seeds", (json_int_t)c->done, "first",
                             (json_int_t)c->first, "protocol", c->request.protocol->name, "bug", c->bug, "violations",
                             violations, "stuck", stuck, "seconds", (double)(c->ended - c->started) / 1e9, "jobs",
                             (json_int_t)c->jobs, "error", c->error);
    add_counts(c, root);
    return dump_value(root, &c->report, 12);
}

const qrt_campaign_row *campaign_rows(const struct campaign *c, size_t *count) {
    *count = c->seeds;
    return c->rows;
}

qrt_status campaign_run_file(struct bytes text, uint64_t seed, struct buffer *out, struct error *e) {
    struct campaign *c = campaign_parse(text, NULL, e);
    if (!c) return e->status;
    struct run_spec spec;
    spec_draw(&spec, &c->request, seed);
    spec_print(&spec, 0, NULL, 0, out);
    spec_free(&spec);
    campaign_free(c);
    return QRT_OK;
}

qrt_status campaign_draw(struct bytes text, const struct protocol *own, uint64_t seed, struct run_spec *spec,
                         struct error *e) {
    struct campaign *c = campaign_parse(text, own, e);
    if (!c) return e->status;
    spec_draw(spec, &c->request, seed);
    campaign_free(c);
    return QRT_OK;
}
