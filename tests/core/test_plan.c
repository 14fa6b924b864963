/* Plans: what JSON means, that a plan survives being written and read, that errors say where and what,
 * that drawn plans keep what their profile promises, and that no bytes crash the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault/plan.h"

#define MS ((int64_t)1000000)
#define S ((int64_t)1000000000)

static struct plan parsed(const char *json) {
    struct plan p;
    struct error e = {0};
    if (plan_parse(&p, bytes_text(json), 5, &e)) fail_msg("%s\n%s", e.text, json);
    return p;
}

/* The error of a plan that must be refused. */
static const char *refused(const char *json, qrt_status status) {
    static struct error e;
    struct plan p;
    e = (struct error){0};
    qrt_status got = plan_parse(&p, bytes_text(json), 5, &e);
    if (got != status) fail_msg("status %d instead of %d (%s) for %s", (int)got, (int)status, e.text, json);
    assert_null(p.directives);
    return e.text;
}

static bool same_delay(const struct distribution *a, const struct distribution *b) {
    return a->kind == b->kind && a->a == b->a && a->b == b->b && a->shape == b->shape;
}

static bool same_directive(const struct directive *a, const struct directive *b) {
    return a->id == b->id && a->verb == b->verb && a->timing == b->timing && a->target == b->target &&
           a->disk == b->disk && a->shape == b->shape && a->one_way == b->one_way && a->guarded == b->guarded &&
           a->both == b->both && a->node == b->node && a->from == b->from && a->to == b->to && a->effect == b->effect &&
           memcmp(a->group_of, b->group_of, sizeof a->group_of) == 0 && a->group_count == b->group_count &&
           a->at == b->at && a->until == b->until && a->period == b->period && a->hold == b->hold &&
           a->probability == b->probability && same_delay(&a->delay, &b->delay) && a->offset_ns == b->offset_ns &&
           a->drift_ppm == b->drift_ppm && a->rate == b->rate;
}

/* Written, read, and written again: the same directives, the same text. */
static void round_trip(const struct plan *p, uint16_t nodes, uint64_t seed) {
    struct buffer once = {0}, twice = {0};
    struct plan read;
    struct error e = {0};
    plan_print(p, &once);
    if (plan_parse(&read, bytes_of(once.data, once.size), nodes, &e))
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, e.text, buffer_text(&once));
    plan_print(&read, &twice);
    if (strcmp(buffer_text(&once), buffer_text(&twice)) != 0)
        fail_msg("seed %llu: text differs", (unsigned long long)seed);
    assert_int_equal(read.count, p->count);
    for (size_t i = 0; i < p->count; i++)
        if (!same_directive(&p->directives[i], &read.directives[i]))
            fail_msg("seed %llu: directive %zu differs in\n%s", (unsigned long long)seed, i + 1, buffer_text(&once));
    buffer_free(&once);
    buffer_free(&twice);
    plan_free(&read);
}

/* Every verb has an example in the header's comment, and it means what the comment says. */
static void test_plan_reads_every_verb(void **state) {
    (void)state;
    struct plan p =
        parsed("{\"directives\": ["
               "{\"at\": 1.5, \"do\": \"crash\", \"node\": 3, \"disk\": \"wiped\", \"guarded\": true},"
               "{\"after\": \"250ms\", \"do\": \"crash\", \"node\": \"leader\", \"effect\": 2},"
               "{\"every\": 2, \"for\": 1, \"do\": \"pause\", \"node\": \"follower\"},"
               "{\"every\": 0.5, \"start\": 1, \"until\": 3, \"do\": \"restart\", \"node\": \"all\"},"
               "{\"at\": 1, \"do\": \"resume\", \"node\": 2},"
               "{\"during\": [1, \"2500ms\"], \"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]], \"one_way\": "
               "true},"
               "{\"at\": 4, \"do\": \"partition\", \"shape\": \"one\", \"node\": 4},"
               "{\"at\": 5, \"do\": \"heal\"},"
               "{\"at\": 6, \"do\": \"loss\", \"from\": 1, \"to\": \"any\", \"both\": true, \"probability\": 0.1},"
               "{\"at\": 6, \"do\": \"delay\", \"to\": \"c3\", \"delay\": {\"pareto\": [\"5ms\", 1.5]}},"
               "{\"at\": 6, \"do\": \"reorder\", \"probability\": 0.2, \"spread\": \"20ms\"},"
               "{\"at\": 6, \"do\": \"duplicate\", \"probability\": 0.05},"
               "{\"at\": 6, \"do\": \"corrupt\", \"probability\": 1},"
               "{\"at\": 6, \"do\": \"skew\", \"node\": 2, \"offset\": \"-80ms\", \"drift\": 200},"
               "{\"at\": 6, \"do\": \"slow\", \"node\": \"random\", \"delay\": \"2ms\"},"
               "{\"at\": 6, \"do\": \"lie\", \"from\": 2, \"to\": 3, \"probability\": 0.2},"
               "{\"at\": 6, \"do\": \"bandwidth\", \"from\": 1, \"both\": true, \"rate\": 125000},"
               "{\"at\": 7, \"do\": \"fill\", \"node\": 2, \"for\": 1},"
               "{\"at\": 7, \"do\": \"free\", \"node\": \"all\"}]}");
    const struct directive *d = p.directives;
    assert_int_equal(p.count, 19);
    assert_true(d[0].at == 1500 * MS && d[0].node == 3 && d[0].disk == QRT_DISK_WIPED && d[0].guarded && d[0].id == 1);
    assert_true(d[1].timing == FAULT_AFTER && d[1].at == 250 * MS && d[1].target == FAULT_LEADER && d[1].effect == 2);
    assert_true(d[1].disk == QRT_DISK_UNSYNCED_LOST && d[0].effect == -1);
    assert_true(d[2].timing == FAULT_EVERY && d[2].at == 2 * S && d[2].hold == S && d[2].until == INT64_MAX);
    assert_true(d[3].at == S && d[3].period == 500 * MS && d[3].until == 3 * S && d[3].target == FAULT_ALL);
    assert_true(d[5].timing == FAULT_DURING && d[5].until == 2500 * MS && d[5].group_of[2] == 1 &&
                d[5].group_of[5] == 2);
    assert_true(d[5].one_way && d[5].group_count == 2 && d[6].shape == FAULT_ONE && d[6].node == 4);
    assert_true(d[8].from == 1 && d[8].to == 0 && d[8].both && d[8].probability == 0.1);
    assert_true(d[9].to == QRT_CLIENT + 3 && d[9].delay.kind == DIST_PARETO && d[9].delay.a == 5 * MS);
    assert_true(d[10].delay.kind == DIST_UNIFORM && d[10].delay.b == 20 * MS && d[11].delay.b == 10 * MS);
    assert_true(d[13].offset_ns == -80 * MS && d[13].drift_ppm == 200 && d[14].delay.a == 2 * MS);
    assert_true(d[15].verb == FAULT_LIE && d[15].from == 2 && d[15].to == 3 && d[15].probability == 0.2);
    assert_true(d[16].verb == FAULT_BANDWIDTH && d[16].from == 1 && d[16].both && d[16].rate == 125000);
    assert_true(d[17].verb == FAULT_FILL && d[17].node == 2 && d[17].hold == S && d[18].target == FAULT_ALL);
    round_trip(&p, 5, 0);
    plan_free(&p);
}

/* A list alone is a plan too, and so is an empty one. */
static void test_plan_reads_a_bare_list(void **state) {
    (void)state;
    struct plan p = parsed("[{\"id\": 9, \"at\": 1, \"do\": \"heal\"}, {\"at\": 2, \"do\": \"heal\"}]");
    assert_int_equal(p.directives[0].id, 9);
    assert_int_equal(p.directives[1].id, 10);
    plan_free(&p);
    p = parsed("{\"directives\": []}");
    assert_int_equal(p.count, 0);
    round_trip(&p, 5, 0);
    plan_free(&p);
}

/* A malformed plan names line and column; the issue demands it. */
static void test_plan_error_names_line_and_column(void **state) {
    (void)state;
    const char *text =
        refused("{\"directives\": [\n  {\"at\": 1, \"do\": \"heal\"},\n  {\"at\": 1 \"do\"}\n]}", QRT_EPARSE);
    assert_non_null(strstr(text, "line 3, column"));
    assert_non_null(strstr(refused("", QRT_EPARSE), "line 1"));
    assert_non_null(strstr(refused("[{\"at\": 1, \"at\": 2, \"do\": \"heal\"}]", QRT_EPARSE), "line 1"));
}

struct refusal {
    const char *json;
    qrt_status status;
    const char *part; /* of the error's text */
};

static const struct refusal refusals[] = {
    {"[{\"at\": 1, \"do\": \"heal\"}, {\"at\": 1, \"do\": \"heal\"}, {\"at\": 1, \"do\": \"loss\", "
     "\"probabilty\": 1}]",
     QRT_EOPTION, "directive 3: field 'probabilty' is not known; did you mean 'probability'?"},
    {"[{\"at\": 1, \"do\": \"crsh\", \"node\": 1}]", QRT_ENOTFOUND, "did you mean 'crash'?"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": \"leadr\"}]", QRT_ENOTFOUND, "did you mean 'leader'?"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": 6}]", QRT_ERANGE, "between 1 and 5, not 6"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": 0}]", QRT_ERANGE, "'node' must be"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": 1.5}]", QRT_ETYPE, "'node' must be a number, or leader"},
    {"[{\"at\": 1, \"do\": \"crash\"}]", QRT_EINVAL, "'crash' needs 'node'"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": 1, \"disk\": \"wipe\"}]", QRT_ENOTFOUND, "did you mean 'wiped'?"},
    {"[{\"at\": 1, \"do\": \"crash\", \"node\": 1, \"probability\": 1}]", QRT_EINVAL,
     "'crash' has no field 'probability'"},
    {"[{\"at\": 1, \"do\": \"loss\", \"probability\": 1.5}]", QRT_ERANGE, "between 0 and 1, not 1.5"},
    {"[{\"at\": 1, \"do\": \"loss\", \"probability\": -0.1}]", QRT_ERANGE, "between 0 and 1"},
    {"[{\"at\": 1, \"do\": \"loss\", \"probability\": \"often\"}]", QRT_ETYPE,
     "a number between 0 and 1, not \"often\""},
    {"[{\"at\": -1, \"do\": \"heal\"}]", QRT_ERANGE, "'at' must be between 0 and"},
    {"[{\"at\": 1e300, \"do\": \"heal\"}]", QRT_ERANGE, "'at' must be between"},
    {"[{\"at\": 99999999999, \"do\": \"heal\"}]", QRT_ERANGE, "'at' must be between"},
    {"[{\"at\": \"99999999999999999999ns\", \"do\": \"heal\"}]", QRT_ERANGE, "'at' must be between"},
    {"[{\"at\": \"soon\", \"do\": \"heal\"}]", QRT_ETYPE, "'at' must be seconds"},
    {"[{\"do\": \"heal\"}]", QRT_EINVAL, "no time"},
    {"[{\"at\": 1}]", QRT_EINVAL, "no 'do'"},
    {"[{\"at\": 1, \"after\": 2, \"do\": \"heal\"}]", QRT_EINVAL, "both 'at' and 'after'"},
    {"[{\"during\": [2, 1], \"do\": \"loss\", \"probability\": 1}]", QRT_ERANGE, "the earlier first"},
    {"[{\"during\": [1], \"do\": \"loss\", \"probability\": 1}]", QRT_ETYPE, "a list of two times"},
    {"[{\"during\": [1, 2], \"do\": \"heal\"}]", QRT_EINVAL, "'heal' has no field 'during'"},
    {"[{\"at\": 1, \"until\": 2, \"do\": \"loss\", \"probability\": 1}]", QRT_EINVAL, "use 'during' or 'for'"},
    {"[{\"every\": 1, \"for\": 1, \"do\": \"loss\", \"probability\": 1}]", QRT_ERANGE, "shorter than 'every'"},
    {"[{\"every\": 1, \"until\": 0.5, \"do\": \"heal\"}]", QRT_ERANGE, "'until' is before"},
    {"[{\"every\": 0, \"do\": \"heal\"}]", QRT_ERANGE, "'every' must be"},
    {"[{\"at\": 1, \"do\": \"partition\"}]", QRT_EINVAL, "needs 'groups' or 'shape'"},
    {"[{\"at\": 1, \"do\": \"partition\", \"shape\": \"hlaves\"}]", QRT_ENOTFOUND, "did you mean 'halves'?"},
    {"[{\"at\": 1, \"do\": \"partition\", \"groups\": [[1, 2], [2, 3]]}]", QRT_EINVAL, "node 2 is there twice"},
    {"[{\"at\": 1, \"do\": \"partition\", \"groups\": [[1], []]}]", QRT_ETYPE, "none empty"},
    {"[{\"at\": 1, \"do\": \"partition\", \"groups\": [[7]]}]", QRT_ERANGE, "between 1 and 5, not 7"},
    {"[{\"at\": 1, \"do\": \"partition\", \"shape\": \"ring\", \"node\": 1}]", QRT_EINVAL, "'one' and 'bridge'"},
    {"[{\"at\": 1, \"do\": \"loss\", \"from\": \"c0\", \"probability\": 1}]", QRT_ETYPE, "a client as \"c3\""},
    {"[{\"at\": 1, \"do\": \"loss\", \"from\": \"c99999\", \"probability\": 1}]", QRT_ERANGE, "c32767"},
    {"[{\"at\": 1, \"do\": \"delay\", \"delay\": {\"unform\": [0, 1]}}]", QRT_ENOTFOUND, "did you mean 'uniform'?"},
    {"[{\"at\": 1, \"do\": \"delay\", \"delay\": {\"uniform\": [1, 0]}}]", QRT_ERANGE, "'uniform' must be"},
    {"[{\"at\": 1, \"do\": \"delay\", \"delay\": {\"pareto\": [1, 0]}}]", QRT_ERANGE, "shape of the Pareto"},
    {"[{\"at\": 1, \"do\": \"skew\", \"node\": 1}]", QRT_EINVAL, "'offset' or 'drift'"},
    {"[{\"at\": 1, \"do\": \"skew\", \"node\": \"leader\", \"offset\": 1}]", QRT_ERANGE, "a number, random"},
    {"[{\"id\": 3, \"at\": 1, \"do\": \"heal\"}, {\"id\": 3, \"at\": 1, \"do\": \"heal\"}]", QRT_EINVAL, "the id 3"},
    {"[7]", QRT_ETYPE, "directive 1: it must be an object"},
    {"{\"directive\": []}", QRT_EOPTION, "did you mean 'directives'?"},
    {"7", QRT_EPARSE, "line 1"},
    {"{\"directives\": 7}", QRT_ETYPE, "a plan is"},
};

/* What is wrong with a directive is said by its number, the field, and the nearest known word. */
static void test_plan_error_names_directive_and_field(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const char *text = refused(refusals[i].json, refusals[i].status);
        if (!strstr(text, refusals[i].part))
            fail_msg("'%s' is not in '%s' for %s", refusals[i].part, text, refusals[i].json);
    }
}

/* A script's verb has no time: it means now. */
static void test_directive_parse_without_time(void **state) {
    (void)state;
    struct directive d;
    struct error e = {0};
    assert_int_equal(directive_parse(&d, bytes_text("{\"do\": \"loss\", \"probability\": 0.5, \"for\": 2}"), 3, &e),
                     QRT_OK);
    assert_true(d.timing == FAULT_AT && d.at == 0 && d.hold == 2 * S && d.id == 0);
    assert_int_equal(directive_parse(&d, bytes_text("{\"do\": \"crash\", \"node\": 4}"), 3, &e), QRT_ERANGE);
    assert_non_null(strstr(e.text, "directive: 'node'"));
}

/* `after` counts from the beginning of the directive before it, and becomes an absolute time for
 * shrinking. */
static void test_plan_absolute_resolves_after(void **state) {
    (void)state;
    struct plan p = parsed("[{\"after\": 1, \"do\": \"heal\"}, {\"after\": 2, \"do\": \"heal\"}, {\"every\": "
                           "5, \"do\": \"heal\"},"
                           "{\"after\": 1, \"do\": \"heal\"}]");
    plan_absolute(&p);
    assert_int_equal(p.directives[0].at, 1 * S);
    assert_int_equal(p.directives[1].at, 3 * S);
    assert_int_equal(p.directives[3].at, 6 * S);
    assert_int_equal(p.directives[3].timing, FAULT_AT);
    plan_free(&p);
}

/* Times of every size, down to the nanosecond, come back exactly. */
static void test_plan_times_are_exact(void **state) {
    (void)state;
    struct random r = random_stream(1, 0, RANDOM_PLAN);
    struct plan p = {0};
    for (int i = 0; i < 20000; i++) {
        struct directive d = {.verb = FAULT_SKEW, .timing = FAULT_AT, .target = FAULT_NODE, .node = 1, .effect = -1};
        d.at = (int64_t)(random_u64(&r) >> (8 + random_below(&r, 55)));
        if (d.at > FAULT_TIME_MAX_NS) d.at = FAULT_TIME_MAX_NS;
        d.offset_ns = random_chance(&r, 0.5) ? -d.at : d.at / 3;
        d.drift_ppm = random_unit(&r) * 1000 - 500;
        plan_add(&p, &d);
    }
    round_trip(&p, 5, 1);
    plan_free(&p);
}

static struct plan_profile profile_drawn(struct random *r) {
    struct plan_profile f = {.nodes = (uint16_t)random_between(r, 1, 9)};
    f.scale_ns = random_chance(r, 0.2) ? random_between(r, 100000, 5 * MS) : random_between(r, 20, 800) * MS;
    f.start_ns = random_below(r, 3) ? (int64_t)random_below(r, 5) * f.scale_ns : 0;
    f.end_ns = f.start_ns + f.scale_ns * random_between(r, 1, 100);
    f.faults_min = 5;
    f.faults_max = (uint32_t)random_between(r, 3, 20);
    f.verbs = (uint32_t)random_u64(r);
    if (random_chance(r, 0.3)) f.verbs = 1u << random_between(r, FAULT_LOSS, FAULT_BANDWIDTH);
    if (random_chance(r, 0.3)) f.verbs = UINT32_MAX;
    f.wipes = random_chance(r, 0.5);
    f.loses_unsynced = random_chance(r, 0.5);
    f.effects = random_chance(r, 0.5);
    return f;
}

static bool undoes(uint8_t verb) {
    return verb == FAULT_HEAL || verb == FAULT_RESTART || verb == FAULT_RESUME;
}

static void check_drawn_directive(const struct directive *d, const struct plan_profile *f, uint64_t seed) {
    int64_t end = d->timing == FAULT_EVERY ? d->until + d->hold : d->at + d->hold;
    bool inside = d->at >= f->start_ns && end <= f->end_ns && d->hold > 0;
    bool allowed = f->verbs >> d->verb & 1;
    bool wipe_fits = d->disk != QRT_DISK_WIPED || (f->wipes && d->guarded && d->target != FAULT_ALL &&
                                                   d->target != FAULT_MAJORITY && d->target != FAULT_MINORITY);
    bool unsynced_fits = d->disk != QRT_DISK_UNSYNCED_LOST || f->loses_unsynced;
    bool effect_fits = d->effect < 0 || (f->effects && d->effect <= 8);
    char line[200];
    directive_describe(d, line, sizeof line);
    if (!inside || !allowed || !wipe_fits || !unsynced_fits || !effect_fits)
        fail_msg("seed %llu: %d%d%d%d%d %s", (unsigned long long)seed, inside, allowed, wipe_fits, unsynced_fits,
                 effect_fits, line);
}

/* A default seed has at least five faults, within its window and mask; everything ends by end_ns; and a
 * plan goes through JSON without a change. 10,000 drawn plans. */
static void test_plan_draw_keeps_its_promises(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct plan_profile f = profile_drawn(&r);
        struct plan p = {0};
        plan_draw(&p, &f, &r);
        uint32_t faults = 0, most = f.faults_max > 5 ? f.faults_max : 5;
        for (size_t i = 0; i < p.count; i++) {
            const struct directive *d = &p.directives[i];
            if (i + 3 >= p.count) {
                assert_true(undoes(d->verb) && d->at == f.end_ns);
                continue;
            }
            faults++;
            check_drawn_directive(d, &f, seed);
        }
        uint32_t usable = f.verbs & 0xffaau & ~(f.nodes < 2 ? 1u << FAULT_PARTITION : 0u);
        if (usable && (faults < 5 || faults > most)) fail_msg("seed %llu: %u faults", (unsigned long long)seed, faults);
        round_trip(&p, f.nodes, seed);
        plan_free(&p);
    }
}

static size_t drawn_text(uint64_t seed, struct buffer *out) {
    struct random r = random_stream(seed, 0, RANDOM_PLAN);
    struct plan_profile f = {5, 0, 20 * S, 200 * MS, 5, 12, UINT32_MAX, true, true, true};
    struct plan p = {0};
    plan_draw(&p, &f, &r);
    plan_print(&p, out);
    size_t count = p.count;
    plan_free(&p);
    return count;
}

/* The same stream, the same plan; another, another. */
static void test_plan_draw_is_deterministic(void **state) {
    (void)state;
    struct buffer a = {0}, b = {0}, c = {0};
    drawn_text(7, &a);
    drawn_text(7, &b);
    drawn_text(8, &c);
    assert_string_equal(buffer_text(&a), buffer_text(&b));
    assert_string_not_equal(buffer_text(&a), buffer_text(&c));
    buffer_free(&a);
    buffer_free(&b);
    buffer_free(&c);
}

/* Over many seeds every verb is drawn, so that no campaign misses one for want of luck. */
static void test_plan_draw_uses_every_verb(void **state) {
    (void)state;
    uint32_t seen = 0, shapes = 0;
    struct plan_profile f = {5, 0, 20 * S, 200 * MS, 5, 12, UINT32_MAX, true, true, true};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct plan p = {0};
        plan_draw(&p, &f, &r);
        for (size_t i = 0; i < p.count; i++) {
            seen |= 1u << p.directives[i].verb;
            if (p.directives[i].verb == FAULT_PARTITION) shapes |= 1u << p.directives[i].shape;
        }
        plan_free(&p);
    }
    /* Disks are filled by hand: a draw more would make every seed's plan another. */
    assert_int_equal(seen, (1u << (FAULT_BANDWIDTH + 1)) - 2);
    assert_int_equal(shapes, (1u << (FAULT_RUNNER + 1)) - 2);
}

/* A line for people fits any room, and says what it would have needed. */
static void test_directive_describe(void **state) {
    (void)state;
    struct plan p = parsed("[{\"at\": 1.5, \"do\": \"crash\", \"node\": \"leader\", \"effect\": 2},"
                           "{\"during\": [1, 2], \"do\": \"partition\", \"groups\": [[1, 2], [3]], \"one_way\": true},"
                           "{\"every\": 0.25, \"do\": \"loss\", \"from\": 1, \"both\": true, \"probability\": 0.1}]");
    char line[200];
    directive_describe(&p.directives[0], line, sizeof line);
    assert_string_equal(line, "at 1.5 s: crash the leader after 2 effects, disk unsynced lost");
    directive_describe(&p.directives[1], line, sizeof line);
    assert_string_equal(line, "from 1 s to 2 s: partition {1 2} | {3}, one way");
    int length = directive_describe(&p.directives[2], line, sizeof line);
    assert_string_equal(line, "every 250 ms from 250 ms: loss between node 1 and any of 10%");
    assert_int_equal(length, (int)strlen(line));
    for (size_t size = 0; size < 70; size++) {
        char small[70];
        memset(small, 'x', sizeof small);
        assert_int_equal(directive_describe(&p.directives[2], small, size), length);
        if (size) assert_memory_equal(small, line, size - 1 < (size_t)length ? size - 1 : (size_t)length);
        if (size < sizeof small) assert_int_equal(small[size], 'x');
    }
    plan_free(&p);
}

/* Random bytes, and valid plans with bytes changed, cut and doubled: refused or read, never a crash; and
 * what is read goes through JSON again. */
static void test_plan_parse_survives_fuzz(void **state) {
    (void)state;
    struct random r = random_stream(4, 0, RANDOM_PLAN);
    struct buffer text = {0};
    size_t accepted = 0;
    for (int round = 0; round < 30000; round++) {
        buffer_clear(&text);
        if (round % 3 == 0) {
            size_t size = random_below(&r, 200);
            uint8_t *place = buffer_extend(&text, size);
            for (size_t i = 0; i < size; i++) place[i] = (uint8_t)random_u64(&r);
        } else {
            drawn_text(random_u64(&r), &text);
            uint64_t edits = 1 + random_below(&r, 4);
            for (uint64_t i = 0; i < edits && text.size > 1; i++) {
                static const char alphabet[] = "0123456789-.eE\"[]{}:, acdnorst\\\x80\xff";
                size_t at = random_below(&r, text.size);
                if (random_chance(&r, 0.8))
                    text.data[at] = (uint8_t)alphabet[random_below(&r, sizeof alphabet)];
                else if (random_chance(&r, 0.5))
                    text.size = at;
                else
                    memmove(text.data + at / 2, text.data + at, text.size - at);
            }
        }
        struct plan p;
        struct error e = {0};
        if (plan_parse(&p, bytes_of(text.data, text.size), 5, &e)) {
            assert_true(e.text[0] != 0);
            continue;
        }
        accepted++;
        round_trip(&p, 5, (uint64_t)round);
        plan_free(&p);
    }
    assert_true(accepted > 100);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_reads_every_verb),
        cmocka_unit_test(test_plan_reads_a_bare_list),
        cmocka_unit_test(test_plan_error_names_line_and_column),
        cmocka_unit_test(test_plan_error_names_directive_and_field),
        cmocka_unit_test(test_directive_parse_without_time),
        cmocka_unit_test(test_plan_absolute_resolves_after),
        cmocka_unit_test(test_plan_times_are_exact),
        cmocka_unit_test(test_plan_draw_keeps_its_promises),
        cmocka_unit_test(test_plan_draw_is_deterministic),
        cmocka_unit_test(test_plan_draw_uses_every_verb),
        cmocka_unit_test(test_directive_describe),
        cmocka_unit_test(test_plan_parse_survives_fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
