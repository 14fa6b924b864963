/* Shrinking: from a plan that fails to the least that still does, keeping ids, and in few tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault/shrink.h"

#define MS ((int64_t)1000000)
#define S ((int64_t)1000000000)

typedef bool (*predicate)(const struct plan *p, uint64_t key);

static struct plan shrunk(const struct plan *p, predicate fails, uint64_t key, uint32_t *tries) {
    struct shrink *s = shrink_new(p);
    struct plan candidate = {0}, best;
    while (shrink_next(s, &candidate)) shrink_report(s, fails(&candidate, key));
    *tries = shrink_tries(s);
    plan_clone(&best, shrink_best(s));
    plan_free(&candidate);
    shrink_free(s);
    return best;
}

static struct plan drawn(uint64_t seed, uint32_t faults) {
    struct random r = random_stream(seed, 0, RANDOM_PLAN);
    struct plan_profile f = {5, 0, 60 * S, 200 * MS, faults, faults, UINT32_MAX, true, true, true};
    struct plan p = {0};
    plan_draw(&p, &f, &r);
    return p;
}

static bool has(const struct plan *p, uint32_t id) {
    for (size_t i = 0; i < p->count; i++)
        if (p->directives[i].id == id) return true;
    return false;
}

/* Fails while three directives, told by the key, are all there. */
static bool fails_with_three(const struct plan *p, uint64_t key) {
    return has(p, (uint32_t)(key & 0xff)) && has(p, (uint32_t)(key >> 8 & 0xff)) &&
           has(p, (uint32_t)(key >> 16 & 0xff));
}

/* ddmin finds exactly the directives that the failure needs, whichever they are, and keeps their ids. */
static void test_shrink_finds_the_needed_directives(void **state) {
    (void)state;
    uint32_t most = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct random r = random_stream(seed, 1, RANDOM_PLAN);
        struct plan p = drawn(seed, (uint32_t)random_between(&r, 5, 40));
        uint64_t a = 1 + random_below(&r, p.count), b = 1 + random_below(&r, p.count),
                 c = 1 + random_below(&r, p.count);
        size_t distinct = 1u + (b != a) + (c != a && c != b);
        uint32_t tries;
        struct plan best = shrunk(&p, fails_with_three, a | b << 8 | c << 16, &tries);
        if (best.count != distinct || !fails_with_three(&best, a | b << 8 | c << 16))
            fail_msg("seed %llu: %zu of %zu", (unsigned long long)seed, best.count, distinct);
        if (tries > most) most = tries;
        plan_free(&p);
        plan_free(&best);
    }
    assert_in_range(most, 1, 400);
}

static bool fails_always(const struct plan *p, uint64_t key) {
    (void)p;
    (void)key;
    return true;
}

/* A failure that needs no fault is found in one try. */
static void test_shrink_tries_the_empty_plan_first(void **state) {
    (void)state;
    uint32_t tries;
    struct plan p = drawn(1, 30), best = shrunk(&p, fails_always, 0, &tries);
    assert_int_equal(best.count, 0);
    assert_int_equal(tries, 1);
    plan_free(&p);
    plan_free(&best);
}

/* Needs a crash that lasts 100 ms and any loss at all. */
static bool fails_with_outage_and_loss(const struct plan *p, uint64_t key) {
    bool outage = false, loss = false;
    (void)key;
    for (size_t i = 0; i < p->count; i++) {
        const struct directive *d = &p->directives[i];
        outage |= d->verb == FAULT_CRASH && d->hold >= 100 * MS;
        loss |= d->verb == FAULT_LOSS && d->probability > 0;
    }
    return outage && loss;
}

static void add_noise(struct plan *p) {
    struct directive crash = {.verb = FAULT_CRASH,
                              .timing = FAULT_EVERY,
                              .target = FAULT_LEADER,
                              .disk = QRT_DISK_WIPED,
                              .guarded = true,
                              .effect = 3,
                              .at = 1234 * MS,
                              .period = 2 * S,
                              .until = 9 * S,
                              .hold = S};
    struct directive loss = {
        .verb = FAULT_LOSS, .timing = FAULT_DURING, .at = S, .until = 9 * S, .probability = 0.137, .effect = -1};
    plan_add(p, &crash);
    plan_add(p, &loss);
}

/* What is left is made plain: once instead of often, the disk kept, no effect, shorter, a certain loss,
 * round times. */
static void test_shrink_simplifies_fields(void **state) {
    (void)state;
    struct plan p = {0};
    add_noise(&p);
    uint32_t tries;
    struct plan best = shrunk(&p, fails_with_outage_and_loss, 0, &tries);
    assert_int_equal(best.count, 2);
    const struct directive *crash = &best.directives[0], *loss = &best.directives[1];
    assert_true(crash->timing == FAULT_AT && crash->disk == QRT_DISK_KEPT && crash->effect == -1 && !crash->guarded);
    assert_true(crash->hold >= 100 * MS && crash->hold < 200 * MS && crash->at == 1200 * MS && crash->id == 1);
    assert_true(loss->probability == 1 && loss->until - loss->at <= 2 * MS && loss->id == 2);
    plan_free(&p);
    plan_free(&best);
}

/* Keyed nonsense: whatever the predicate says, shrinking ends, and its best is a plan that failed. */
static bool fails_by_hash(const struct plan *p, uint64_t key) {
    uint64_t h = key;
    for (size_t i = 0; i < p->count; i++)
        h = random_keyed(h, p->directives[i].id, (uint64_t)p->directives[i].at + (uint64_t)p->directives[i].hold);
    return h % 3 == 0;
}

static void test_shrink_always_ends(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct plan p = drawn(seed, 5 + (uint32_t)(seed % 20));
        uint32_t tries;
        struct plan best = shrunk(&p, fails_by_hash, seed, &tries);
        struct plan absolute;
        plan_clone(&absolute, &p);
        plan_absolute(&absolute);
        bool untouched = best.count == absolute.count && tries > 0 && !fails_by_hash(&best, seed);
        if (!fails_by_hash(&best, seed) && !untouched) fail_msg("seed %llu", (unsigned long long)seed);
        assert_true(tries < 3000);
        plan_free(&p);
        plan_free(&absolute);
        plan_free(&best);
    }
}

/* Removing a directive must not move those that came `after` it. */
static void test_shrink_keeps_times_of_after(void **state) {
    (void)state;
    struct plan p = {0};
    for (int i = 0; i < 4; i++)
        plan_add(&p, &(struct directive){.verb = FAULT_HEAL, .timing = FAULT_AFTER, .at = S, .effect = -1});
    uint32_t tries;
    struct plan best = shrunk(&p, fails_with_three, 4 | 4 << 8 | 4 << 16, &tries);
    assert_int_equal(best.count, 1);
    assert_int_equal(best.directives[0].at, 4 * S);
    assert_int_equal(best.directives[0].timing, FAULT_AT);
    plan_free(&p);
    plan_free(&best);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shrink_finds_the_needed_directives),
        cmocka_unit_test(test_shrink_tries_the_empty_plan_first),
        cmocka_unit_test(test_shrink_simplifies_fields),
        cmocka_unit_test(test_shrink_always_ends),
        cmocka_unit_test(test_shrink_keeps_times_of_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
