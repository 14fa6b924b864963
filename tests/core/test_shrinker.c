/* A failing run made small: it fails in the same way, under fewer faults, and is a file that replays; the ABI does the same in
 * slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/shrinker.h"
#include "protocol/protocol.h"
#include "quorate.h"

static struct runner *run_of(struct run_spec *spec) {
    struct error e = {0};
    struct runner *r = runner_new(spec, false, &e);
    if (!r) fail_msg("%s", e.text);
    runner_step(r, 0);
    return r;
}

/* The first seed of a mistake that fails; the caller's. */
static struct runner *failing_run(const char *bug, uint64_t *seed) {
    struct draw_request request = {protocol_find("raft"), 0, bug, NULL, 10000, false, false};
    for (*seed = 1; *seed <= 40; ++*seed) {
        struct run_spec spec;
        spec_draw(&spec, &request, *seed);
        struct runner *r = run_of(&spec);
        if (r->result.verdict == RUN_VIOLATED) return r;
        runner_free(r, NULL);
    }
    fail_msg("%s: no seed of 40 fails", bug);
    return NULL;
}

static void test_shrinker_keeps_the_failure_and_drops_faults(void **state) {
    (void)state;
    static const char *const bugs[] = {"vote-before-sync", "step-down-clears-vote", "late-heartbeat-truncates"};
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        struct error e = {0};
        uint64_t seed;
        struct runner *first = failing_run(bugs[i], &seed);
        struct shrinker *s = shrinker_new(first, &e);
        assert_non_null(s);
        assert_true(shrinker_step(s, 0, &e));
        assert_int_equal(e.status, QRT_OK);
        struct buffer file = {0};
        struct run_spec small;
        shrinker_print(s, &file);
        if (spec_parse(&small, bytes_of(file.data, file.size), &e)) fail_msg("%s", e.text);
        assert_true(small.plan.count < first->spec.plan.count);
        assert_int_equal(small.plan.count, shrinker_directives(s));
        uint64_t hash = small.hash;
        struct runner *again = run_of(&small);
        assert_int_equal(again->result.verdict, RUN_VIOLATED);
        assert_true(again->result.violated & first->result.violated);
        assert_true(again->result.hash == hash);
        print_message("    %s, seed %d: %zu directives, then %zu, in %u runs\n", bugs[i], (int)seed,
                      first->spec.plan.count, shrinker_directives(s), shrinker_tries(s));
        runner_free(again, NULL);
        runner_free(first, NULL);
        shrinker_free(s);
        buffer_free(&file);
    }
}

/* No single directive of what is left can go. */
static void test_shrinker_ends_at_a_plan_that_needs_all_it_has(void **state) {
    (void)state;
    struct error e = {0};
    uint64_t seed;
    struct runner *first = failing_run("vote-before-sync", &seed);
    struct shrinker *s = shrinker_new(first, &e);
    struct buffer file = {0};
    assert_true(shrinker_step(s, 0, &e));
    shrinker_print(s, &file);
    for (size_t without = 0; without < shrinker_directives(s); without++) {
        struct run_spec spec;
        assert_int_equal(spec_parse(&spec, bytes_of(file.data, file.size), &e), QRT_OK);
        struct directive *at = spec.plan.directives + without;
        memmove(at, at + 1, (--spec.plan.count - without) * sizeof *at);
        struct runner *r = run_of(&spec);
        assert_false(r->result.verdict == RUN_VIOLATED && r->result.violated & first->result.violated);
        runner_free(r, NULL);
    }
    runner_free(first, NULL);
    shrinker_free(s);
    buffer_free(&file);
}

static void test_shrinker_refuses_a_run_that_does_not_fail(void **state) {
    (void)state;
    struct draw_request request = {protocol_find("raft"), 3, "", NULL, 3000, false, false};
    struct run_spec spec;
    struct error e = {0};
    spec_draw(&spec, &request, 1);
    struct runner *r = runner_new(&spec, false, &e);
    assert_null(shrinker_new(r, &e));
    assert_non_null(strstr(e.text, "not over"));
    runner_step(r, 0);
    assert_int_equal(r->result.verdict, RUN_OK);
    assert_null(shrinker_new(r, &e));
    assert_non_null(strstr(e.text, "violates nothing"));
    runner_free(r, NULL);
}

static char *file_of(qrt_cluster *c) {
    const char *text = qrt_cluster_shrunk(c);
    assert_non_null(text);
    return strdup(text);
}

/* Across the ABI, in slices that are as short as can be and in one: the same file. */
static void test_shrinker_in_slices_finds_the_same(void **state) {
    (void)state;
    char *files[2] = {NULL, NULL};
    uint64_t seed, tries = 0, directives = 0;
    runner_free(failing_run("vote-before-sync", &seed), NULL);
    for (int i = 0; i < 2; i++) {
        qrt_cluster *c;
        qrt_status status;
        const char *text = qrt_campaign_run_file("{\"bug\": \"vote-before-sync\"}", seed);
        assert_int_equal(qrt_cluster_replay(&c, text), QRT_OK);
        assert_null(qrt_cluster_shrunk(c));
        assert_int_equal(qrt_cluster_shrink(c, NULL, NULL), QRT_EINVAL); /* its run is not over */
        while (qrt_cluster_replay_run(c) == QRT_MORE) continue;
        assert_int_equal(qrt_slice(c, i ? 0 : INT64_C(60000000000)), QRT_OK);
        while ((status = qrt_cluster_shrink(c, &tries, &directives)) == QRT_MORE) continue;
        assert_int_equal(status, QRT_OK);
        assert_true(tries > directives && directives > 0);
        assert_int_equal(qrt_cluster_shrink(c, &tries, &directives), QRT_OK);
        files[i] = file_of(c);
        qrt_cluster_free(&c);
    }
    assert_string_equal(files[0], files[1]);
    free(files[0]);
    free(files[1]);
}

static void test_shrinker_is_for_replays(void **state) {
    (void)state;
    qrt_cluster *c;
    assert_int_equal(qrt_cluster_new(&c, "raft", NULL, 0, NULL), QRT_OK);
    assert_int_equal(qrt_cluster_shrink(c, NULL, NULL), QRT_EUNSUPPORTED);
    assert_null(qrt_cluster_shrunk(c));
    qrt_cluster_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shrinker_keeps_the_failure_and_drops_faults),
        cmocka_unit_test(test_shrinker_ends_at_a_plan_that_needs_all_it_has),
        cmocka_unit_test(test_shrinker_refuses_a_run_that_does_not_fail),
        cmocka_unit_test(test_shrinker_in_slices_finds_the_same),
        cmocka_unit_test(test_shrinker_is_for_replays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
