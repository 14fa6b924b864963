/* The fault engine: when directives come due and end, how standing conditions compose, that a verdict
 * depends on nothing but its key, that shapes are what they are called, and that rates and delays have the
 * stated statistics. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault/faults.h"

#define MS ((int64_t)1000000)
#define S ((int64_t)1000000000)
#define NEVER INT64_MAX

static struct plan parsed(const char *json, uint16_t nodes) {
    struct plan p;
    struct error e = {0};
    if (plan_parse(&p, bytes_text(json), nodes, &e)) fail_msg("%s\n%s", e.text, json);
    return p;
}

static struct faults *engine(const char *json, uint64_t seed, uint16_t nodes) {
    struct plan p = parsed(json, nodes);
    struct faults *f = faults_new(&p, seed, nodes);
    plan_free(&p);
    return f;
}

static void apply(struct faults *f, const char *json, int64_t now) {
    struct directive d;
    struct error e = {0};
    if (directive_parse(&d, bytes_text(json), 0, &e)) fail_msg("%s\n%s", e.text, json);
    faults_apply(f, &d, now);
}

/* Takes everything due at `now` and answers for the runtime: node 1 leads, and whoever is asked for is
 * hit. */
static size_t take_all(struct faults *f, int64_t now, uint16_t nodes, uint16_t leader) {
    struct fault_action a;
    size_t count = 0;
    for (; faults_take(f, now, &a); count++) {
        if (a.applied) continue;
        if (a.directive.verb == FAULT_PARTITION) {
            faults_partition(f, &a, leader);
            continue;
        }
        uint16_t who[FAULT_NODES_MAX], hit = fault_targets(&a.directive, a.random, nodes, leader, NULL, who);
        for (uint16_t i = 0; i < hit; i++) faults_hit(f, &a, who[i]);
    }
    return count;
}

static void expect(struct faults *f, int64_t time, uint8_t verb, uint32_t id, uint32_t number) {
    struct fault_action a;
    assert_int_equal(faults_next(f), time);
    assert_false(faults_take(f, time - 1, &a));
    assert_true(faults_take(f, time, &a));
    if (a.directive.verb != verb || a.directive.id != id || a.number != number)
        fail_msg("at %lld: %s of directive %u, firing %u", (long long)time, fault_verb_name(a.directive.verb),
                 (unsigned)a.directive.id, (unsigned)a.number);
}

/* An engine without a plan has nothing to say. */
static void test_faults_without_plan(void **state) {
    (void)state;
    struct faults *f = faults_new(NULL, 1, 5);
    struct fault_fate fate;
    assert_true(faults_calm(f) && faults_next(f) == NEVER);
    faults_message(f, 1, 2, 3, 100, &fate);
    assert_true(!fate.drop && !fate.duplicate && !fate.corrupt && !fate.reorder && !fate.extra_ns);
    assert_true(!faults_cut(f, 1, 2) && !faults_offset(f, 1) && !faults_slowness(f, 1) && faults_drift(f, 1) == 0);
    faults_free(f);
    faults_free(NULL);
}

/* at, after, every and during fire, repeat and end when they say, in (time, id) order. */
static void test_faults_timing(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"do\": \"crash\", \"node\": 1},"
                              "{\"after\": 0.5, \"do\": \"restart\", \"node\": 1},"
                              "{\"every\": 1, \"until\": 3, \"for\": 0.25, \"do\": \"partition\", \"shape\": \"one\"},"
                              "{\"during\": [1, 2], \"do\": \"pause\", \"node\": 2},"
                              "{\"at\": 2, \"do\": \"heal\"}]",
                              1, 3);
    expect(f, 1 * S, FAULT_CRASH, 1, 0);
    expect(f, 1 * S, FAULT_PARTITION, 3, 0);
    expect(f, 1 * S, FAULT_PAUSE, 4, 0);
    expect(f, 1250 * MS, FAULT_HEAL, 3, 0);
    expect(f, 1500 * MS, FAULT_RESTART, 2, 0);
    expect(f, 2 * S, FAULT_PARTITION, 3, 1);
    expect(f, 2 * S, FAULT_RESUME, 4, 0);
    expect(f, 2 * S, FAULT_HEAL, 5, 0);
    assert_true(faults_calm(f));
    struct fault_action a; /* the partition's own end finds nothing to end */
    assert_false(faults_take(f, 2250 * MS, &a));
    expect(f, 3 * S, FAULT_PARTITION, 3, 2);
    expect(f, 3250 * MS, FAULT_HEAL, 3, 2);
    assert_int_equal(faults_next(f), NEVER);
    faults_free(f);
}

/* A plan that comes late counts its times from then; ids that are taken are given anew. */
static void test_faults_add_counts_from_now(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"do\": \"heal\"}, {\"at\": 9, \"do\": \"heal\"}]", 1, 3);
    expect(f, 1 * S, FAULT_HEAL, 1, 0);
    struct plan p = parsed("[{\"at\": 1, \"do\": \"heal\"}, {\"after\": 1, \"do\": \"heal\"}, {\"id\": 7, "
                           "\"after\": 1, \"do\": \"heal\"}]",
                           3);
    faults_add(f, &p, 5 * S);
    plan_free(&p);
    expect(f, 6 * S, FAULT_HEAL, 1, 0);
    expect(f, 7 * S, FAULT_HEAL, 0x80000000u, 0);
    expect(f, 8 * S, FAULT_HEAL, 7, 0);
    expect(f, 9 * S, FAULT_HEAL, 2, 0);
    faults_free(f);
}

/* The end of a crash concerns exactly the nodes that the firing hit, and a node that a longer crash holds
 * stays down. */
static void test_faults_end_concerns_whom_it_hit(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"for\": 2, \"do\": \"crash\", \"node\": \"leader\", \"disk\": \"wiped\"},"
                              "{\"at\": 2, \"for\": 3, \"do\": \"crash\", \"node\": 3},"
                              "{\"at\": 2, \"for\": 2, \"do\": \"pause\", \"node\": \"all\"}]",
                              1, 3);
    assert_int_equal(take_all(f, 2 * S, 3, 3), 3); /* 3 leads: both crashes hit it */
    struct fault_action a;
    assert_false(faults_take(f, 3 * S, &a));
    for (uint16_t node = 1; node <= 3; node++) {
        assert_true(faults_take(f, 4 * S, &a));
        assert_true(a.directive.verb == FAULT_RESUME && a.directive.target == FAULT_NODE && a.directive.node == node);
    }
    assert_false(faults_take(f, 4 * S, &a));
    assert_true(faults_take(f, 5 * S, &a));
    assert_true(a.directive.verb == FAULT_RESTART && a.directive.node == 3 && a.directive.disk == QRT_DISK_KEPT);
    assert_int_equal(faults_next(f), NEVER);
    faults_free(f);
}

static unsigned full_of(const struct faults *f, uint16_t nodes) {
    unsigned full = 0;
    for (uint16_t i = 1; i <= nodes; i++) full |= (unsigned)faults_full(f, i) << i;
    return full;
}

/* A disk stays full through heals until it is freed or its directive ends; others that the same directive filled stay full. */
static void test_faults_fill_and_free(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"do\": \"fill\", \"node\": \"all\"},"
                              "{\"at\": 2, \"do\": \"heal\"}, {\"at\": 3, \"do\": \"free\", \"node\": 2},"
                              "{\"at\": 4, \"for\": 1, \"do\": \"fill\", \"node\": 2},"
                              "{\"at\": 6, \"do\": \"free\", \"node\": \"all\"},"
                              "{\"at\": 7, \"do\": \"fill\", \"node\": 3}]",
                              1, 3);
    assert_int_equal(full_of(f, 3), 0);
    expect(f, 1 * S, FAULT_FILL, 1, 0);
    assert_int_equal(full_of(f, 3), 14);
    assert_true(faults_calm(f));
    expect(f, 2 * S, FAULT_HEAL, 2, 0);
    assert_int_equal(full_of(f, 3), 14);
    expect(f, 3 * S, FAULT_FREE, 3, 0);
    assert_int_equal(full_of(f, 3), 10);
    struct faults *copy = faults_clone(f);
    assert_int_equal(faults_fingerprint(f), faults_fingerprint(copy));
    expect(f, 4 * S, FAULT_FILL, 4, 0);
    assert_int_equal(full_of(f, 3), 14);
    assert_int_equal(full_of(copy, 3), 10);
    expect(f, 5 * S, FAULT_FREE, 4, 0);
    assert_int_equal(full_of(f, 3), 10);
    expect(f, 6 * S, FAULT_FREE, 5, 0);
    assert_int_equal(full_of(f, 3), 0);
    expect(f, 7 * S, FAULT_FILL, 6, 0);
    assert_int_equal(full_of(f, 3), 8);
    faults_free(copy);
    faults_free(f);
}

/* Nobody leads: nobody is hit, and there is nothing to undo; a leader's partition cuts nothing. */
static void test_faults_without_leader(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"for\": 1, \"do\": \"crash\", \"node\": \"leader\"},"
                              "{\"at\": 1, \"do\": \"partition\", \"shape\": \"leader\"}]",
                              1, 3);
    assert_int_equal(take_all(f, 1 * S, 3, 0), 2);
    assert_true(faults_calm(f));
    struct fault_action a;
    assert_false(faults_take(f, NEVER, &a));
    faults_free(f);
}

/* The targets of a directive: as many as it says, distinct, in order, up where it matters, the same for
 * the same bits. */
static void test_fault_targets(void **state) {
    (void)state;
    for (uint16_t n = 1; n <= 7; n++)
        for (uint64_t random = 0; random < 200; random++) {
            bool up[8] = {0};
            uint16_t who[8], again[8], up_count = 0, leader = (uint16_t)(1 + random % n);
            for (uint16_t i = 1; i <= n; i++)
                up_count = (uint16_t)(up_count + (up[i] = i == leader || random_mix(random + i) % 2));
            for (uint8_t target = FAULT_LEADER; target <= FAULT_MINORITY; target++) {
                struct directive d = {.verb = FAULT_CRASH, .target = target};
                uint16_t count = fault_targets(&d, random_mix(random), n, leader, up, who);
                assert_int_equal(fault_targets(&d, random_mix(random), n, leader, up, again), count);
                assert_memory_equal(who, again, count * sizeof *who);
                for (uint16_t i = 0; i < count; i++)
                    assert_true(who[i] >= 1 && who[i] <= n && (!i || who[i] > who[i - 1]));
                if (target == FAULT_LEADER) assert_true(count == 1 && who[0] == leader);
                if (target == FAULT_FOLLOWER)
                    assert_true(up_count == 1 ? !count : count == 1 && who[0] != leader && up[who[0]]);
                if (target == FAULT_RANDOM) assert_true(count == 1 && up[who[0]]);
                if (target == FAULT_ALL) assert_int_equal(count, n);
                if (target == FAULT_MAJORITY) assert_int_equal(count, n / 2 + 1);
                if (target == FAULT_MINORITY) assert_true(n < 3 ? count == 0 : count >= 1 && 2 * count < n);
            }
            struct directive d = {.verb = FAULT_RESTART, .target = FAULT_RANDOM};
            uint16_t count = fault_targets(&d, random, n, leader, up, who);
            assert_true(count == (up_count < n) && (!count || !up[who[0]]));
        }
}

/* Partitions. */

static uint16_t hears(const struct faults *f, uint16_t to, uint16_t n) { /* itself among them */
    uint16_t count = 0;
    for (uint16_t from = 1; from <= n; from++) count = (uint16_t)(count + !faults_cut(f, from, to));
    return count;
}

static uint64_t heard(const struct faults *f, uint16_t to, uint16_t n) {
    uint64_t set = 0;
    for (uint16_t from = 1; from <= n; from++) set |= faults_cut(f, from, to) ? 0 : (uint64_t)1 << from;
    return set;
}

static bool symmetric(const struct faults *f, uint16_t n) {
    for (uint16_t a = 1; a <= n; a++)
        for (uint16_t b = 1; b <= n; b++)
            if (faults_cut(f, a, b) != faults_cut(f, b, a)) return false;
    return true;
}

static struct faults *partitioned(const char *fields, uint64_t seed, uint16_t n, uint16_t leader) {
    char json[200];
    snprintf(json, sizeof json, "[{\"at\": 0, \"do\": \"partition\", %s}]", fields);
    struct faults *f = engine(json, seed, n);
    take_all(f, 0, n, leader);
    return f;
}

/* Halves: two groups whose sizes differ by at most one, open inside and shut between. */
static void check_halves(const struct faults *f, uint16_t n) {
    uint16_t first = hears(f, 1, n);
    assert_true(first == n / 2 || first == (n + 1) / 2);
    assert_true(symmetric(f, n));
    for (uint16_t a = 1; a <= n; a++) {
        bool together = heard(f, a, n) == heard(f, 1, n);
        assert_int_equal(hears(f, a, n), together ? first : n - first);
        assert_int_equal(faults_cut(f, 1, a), !together);
    }
}

/* One alone hears only itself; the others hear all but it. */
static void check_alone(const struct faults *f, uint16_t n, uint16_t alone) {
    for (uint16_t a = 1; a <= n; a++) assert_int_equal(hears(f, a, n), a == alone ? 1 : n - 1);
    assert_true(symmetric(f, n));
}

/* Majorities ring: everyone hears a majority, from four nodes on no two the same one; among three somebody
 * is cut. */
static void check_ring(const struct faults *f, uint16_t n, bool one_way) {
    assert_false(faults_calm(f));
    assert_int_equal(symmetric(f, n), !one_way || n == 5 || n == 4);
    for (uint16_t a = 1; a <= n; a++) {
        assert_true(hears(f, a, n) >= n / 2 + 1);
        if (one_way) assert_int_equal(hears(f, a, n), n / 2 + 1);
        for (uint16_t b = (uint16_t)(a + 1); b <= n; b++)
            if (n > 3 || one_way) assert_true(heard(f, a, n) != heard(f, b, n));
    }
}

/* A bridge: one node hears all, the others hear their half and it. */
static void check_bridge(const struct faults *f, uint16_t n, uint16_t bridge) {
    uint16_t rest = (uint16_t)(n - 1), all = 0;
    assert_true(symmetric(f, n));
    for (uint16_t a = 1; a <= n; a++) {
        uint16_t count = hears(f, a, n);
        if (count == n && (!bridge || a == bridge))
            all++;
        else
            assert_true(count == rest / 2 + 1 || count == (rest + 1) / 2 + 1);
    }
    assert_int_equal(all, 1);
}

/* Every shape is what it is called, for every size from three to seven and many seeds. */
static void test_partition_shapes(void **state) {
    (void)state;
    for (uint16_t n = 3; n <= 7; n++)
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct faults *f = partitioned("\"shape\": \"halves\"", seed, n, 1);
            check_halves(f, n);
            faults_free(f);
            f = partitioned("\"shape\": \"one\", \"node\": 2", seed, n, 1);
            check_alone(f, n, 2);
            faults_free(f);
            f = partitioned("\"shape\": \"leader\"", seed, n, 3);
            check_alone(f, n, 3);
            faults_free(f);
            f = partitioned("\"shape\": \"ring\"", seed, n, 1);
            check_ring(f, n, false);
            faults_free(f);
            f = partitioned("\"shape\": \"ring\", \"one_way\": true", seed, n, 1);
            check_ring(f, n, true);
            faults_free(f);
            f = partitioned("\"shape\": \"bridge\"", seed, n, 1);
            check_bridge(f, n, 0);
            faults_free(f);
            f = partitioned("\"shape\": \"bridge\", \"node\": 3", seed, n, 1);
            check_bridge(f, n, 3);
            faults_free(f);
        }
}

/* Random shapes differ from seed to seed: each node is once the one alone. */
static void test_partition_shapes_are_random(void **state) {
    (void)state;
    uint64_t alone = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct faults *f = partitioned("\"shape\": \"one\"", seed, 5, 1);
        for (uint16_t a = 1; a <= 5; a++) alone |= hears(f, a, 5) == 1 ? (uint64_t)1 << a : 0;
        faults_free(f);
    }
    assert_int_equal(alone, 0x3e);
}

/* One way: the first group's sends to the rest are cut, and nothing else. */
static void test_partition_one_way(void **state) {
    (void)state;
    struct faults *f = partitioned("\"groups\": [[1, 2], [3, 4]], \"one_way\": true", 1, 5, 1);
    for (uint16_t a = 1; a <= 5; a++)
        for (uint16_t b = 1; b <= 5; b++) assert_int_equal(faults_cut(f, a, b), a <= 2 && b >= 3);
    faults_free(f);
    f = partitioned("\"shape\": \"leader\", \"one_way\": true", 1, 5, 4);
    for (uint16_t a = 1; a <= 5; a++)
        for (uint16_t b = 1; b <= 5; b++) assert_int_equal(faults_cut(f, a, b), a == 4 && b != 4);
    faults_free(f);
}

/* A node in no group is cut from all; clients stand in no partition; ids beyond the cluster are no links. */
static void test_partition_groups(void **state) {
    (void)state;
    struct faults *f = partitioned("\"groups\": [[1, 2], [3]]", 1, 5, 1);
    for (uint16_t a = 1; a <= 5; a++)
        for (uint16_t b = 1; b <= 5; b++) {
            bool open = a == b || (a <= 2 && b <= 2);
            assert_int_equal(faults_cut(f, a, b), !open);
            struct fault_fate fate;
            faults_message(f, a, b, 1, 10, &fate);
            assert_int_equal(fate.drop, open ? 0 : QRT_DROP_PARTITION);
        }
    assert_false(faults_cut(f, QRT_CLIENT + 1, 4) || faults_cut(f, 4, QRT_CLIENT + 1) || faults_cut(f, 0, 1) ||
                 faults_cut(f, 9, 1));
    faults_free(f);
}

/* Overlapping partitions compose: a link is open only when none that stands cuts it, and each ends alone. */
static void test_partitions_compose(void **state) {
    (void)state;
    struct faults *f = engine("[{\"during\": [1, 3], \"do\": \"partition\", \"groups\": [[1], [2, 3, 4, 5]]},"
                              "{\"during\": [2, 4], \"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]]}]",
                              1, 5);
    take_all(f, 1 * S, 5, 0);
    assert_true(faults_cut(f, 1, 2) && faults_cut(f, 1, 3) && !faults_cut(f, 2, 3));
    take_all(f, 2 * S, 5, 0);
    assert_true(faults_cut(f, 1, 2) && faults_cut(f, 1, 3) && faults_cut(f, 2, 3));
    take_all(f, 3 * S, 5, 0);
    assert_true(!faults_cut(f, 1, 2) && faults_cut(f, 1, 3) && faults_cut(f, 2, 3) && !faults_calm(f));
    take_all(f, 4 * S, 5, 0);
    assert_true(faults_calm(f));
    faults_free(f);
}

/* A heal ends partitions and link conditions, durings under way too, but no skew; faults_heal ends all
 * that stands. */
static void test_heal_ends_what_stands(void **state) {
    (void)state;
    struct faults *f = engine("[{\"during\": [1, 9], \"do\": \"partition\", \"shape\": \"halves\"},"
                              "{\"during\": [1, 9], \"do\": \"loss\", \"probability\": 1},"
                              "{\"at\": 1, \"do\": \"skew\", \"node\": 2, \"offset\": 1, \"drift\": 50},"
                              "{\"at\": 2, \"do\": \"heal\"}]",
                              1, 5);
    take_all(f, 1 * S, 5, 0);
    assert_true(!faults_calm(f) && faults_offset(f, 2) == S && faults_drift(f, 2) == 50 && faults_offset(f, 1) == 0);
    take_all(f, 2 * S, 5, 0);
    assert_true(faults_calm(f) && faults_offset(f, 2) == S);
    assert_int_equal(take_all(f, 9 * S, 5, 0), 0);
    faults_heal(f);
    assert_int_equal(faults_offset(f, 2), 0);
    faults_free(f);
}

/* A script's verbs: reported by faults_take, and one without an end replaces its like, so that a loss of 0
 * ends it. */
static void test_faults_apply(void **state) {
    (void)state;
    struct faults *f = faults_new(NULL, 1, 3);
    apply(f, "{\"do\": \"loss\", \"probability\": 1}", 5 * S);
    assert_int_equal(faults_next(f), 5 * S);
    assert_int_equal(take_all(f, 5 * S, 3, 0), 1);
    assert_false(faults_calm(f));
    apply(f, "{\"do\": \"loss\", \"probability\": 0}", 6 * S);
    take_all(f, 6 * S, 3, 0);
    assert_true(faults_calm(f));
    apply(f, "{\"do\": \"slow\", \"node\": 2, \"delay\": 0.5}", 6 * S);
    take_all(f, 6 * S, 3, 0);
    assert_true(!faults_calm(f) && faults_slowness(f, 2) == 500 * MS && faults_slowness(f, 1) == 0);
    apply(f, "{\"do\": \"slow\", \"node\": 2, \"delay\": 0}", 7 * S);
    apply(f, "{\"do\": \"loss\", \"probability\": 1, \"for\": 1}", 7 * S);
    take_all(f, 7 * S, 3, 0);
    assert_true(!faults_calm(f) && faults_slowness(f, 2) == 0);
    take_all(f, 8 * S, 3, 0);
    assert_true(faults_calm(f));
    faults_free(f);
}

/* The latest skew of a node holds; when it ends the one before holds again. */
static void test_skews_stack(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 1, \"do\": \"skew\", \"node\": 1, \"offset\": 1},"
                              "{\"during\": [2, 3], \"do\": \"skew\", \"node\": \"all\", \"offset\": \"-2s\"}]",
                              1, 3);
    take_all(f, 2 * S, 3, 0);
    assert_true(faults_offset(f, 1) == -2 * S && faults_offset(f, 3) == -2 * S);
    take_all(f, 3 * S, 3, 0);
    assert_true(faults_offset(f, 1) == S && faults_offset(f, 3) == 0);
    faults_free(f);
}

/* Verdicts. */

/* A link verb hits the ends that it names, one way or both, and clients by name or by "any". */
static void test_link_selectors(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        uint16_t from, to;
        bool hit;
    } cases[] = {
        {"\"from\": 1", 1, 2, true},
        {"\"from\": 1", 2, 1, false},
        {"\"from\": 1, \"both\": true", 2, 1, true},
        {"\"from\": 1, \"to\": 2", 1, 2, true},
        {"\"from\": 1, \"to\": 2", 1, 3, false},
        {"\"from\": 1, \"to\": 2", 2, 1, false},
        {"\"from\": 1, \"to\": 2, \"both\": true", 2, 1, true},
        {"\"from\": 1, \"to\": 2, \"both\": true", 2, 3, false},
        {"\"to\": \"c3\"", 1, QRT_CLIENT + 3, true},
        {"\"to\": \"c3\"", 1, QRT_CLIENT + 2, false},
        {"\"to\": \"any\"", QRT_CLIENT + 2, 1, true},
        {"\"from\": \"any\"", 1, QRT_CLIENT + 2, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[200];
        snprintf(json, sizeof json, "[{\"at\": 0, \"do\": \"loss\", \"probability\": 1, %s}]", cases[i].fields);
        struct faults *f = engine(json, 1, 3);
        struct fault_fate fate;
        take_all(f, 0, 3, 0);
        faults_message(f, cases[i].from, cases[i].to, 9, 10, &fate);
        if ((fate.drop == QRT_DROP_LOSS) != cases[i].hit) fail_msg("case %zu", i);
        faults_free(f);
    }
}

static bool same_fate(const struct fault_fate *a, const struct fault_fate *b) {
    return a->drop == b->drop && a->duplicate == b->duplicate && a->corrupt == b->corrupt && a->reorder == b->reorder &&
           a->lie == b->lie && a->corrupt_bit == b->corrupt_bit && a->extra_ns == b->extra_ns &&
           a->duplicate_ns == b->duplicate_ns;
}

static struct plan stormy(void) {
    return parsed("[{\"at\": 0, \"do\": \"loss\", \"probability\": 0.3},"
                  "{\"at\": 0, \"do\": \"duplicate\", \"probability\": 0.3},"
                  "{\"at\": 0, \"do\": \"reorder\", \"probability\": 0.3},"
                  "{\"at\": 0, \"do\": \"corrupt\", \"probability\": 0.3},"
                  "{\"at\": 0, \"do\": \"delay\", \"delay\": {\"pareto\": [\"1ms\", 1.5]}},"
                  "{\"at\": 0, \"do\": \"lie\", \"from\": 1, \"probability\": 0.3},"
                  "{\"at\": 0, \"do\": \"loss\", \"from\": 2, \"probability\": 0.4}]",
                  3);
}

/* What the verdict says about the kinds of faults other than `verb`; a loss hides nothing here. */
static struct fault_fate without(struct fault_fate f, uint8_t verb) {
    if (verb == FAULT_LOSS) f.drop = 0;
    if (verb == FAULT_DUPLICATE) f.duplicate = false, f.duplicate_ns = 0;
    if (verb == FAULT_CORRUPT) f.corrupt = false, f.corrupt_bit = 0;
    if (verb == FAULT_LIE) f.lie = 0;
    if (verb == FAULT_REORDER || verb == FAULT_DELAY) f.reorder = false, f.extra_ns = 0;
    return f;
}

/* Removing one directive leaves every other verdict as it was: DESIGN's condition for shrinking to work. */
static void test_verdicts_are_independent_of_other_directives(void **state) {
    (void)state;
    struct plan all = stormy();
    struct faults *whole = faults_new(&all, 42, 3);
    take_all(whole, 0, 3, 0);
    for (size_t removed = 0; removed < all.count; removed++) {
        struct plan some = {0};
        for (size_t i = 0; i < all.count; i++)
            if (i != removed) plan_add(&some, &all.directives[i]);
        struct faults *f = faults_new(&some, 42, 3);
        take_all(f, 0, 3, 0);
        uint8_t verb = all.directives[removed].verb;
        for (uint64_t sequence = 0; sequence < 3000; sequence++) {
            struct fault_fate a, b;
            uint16_t from = (uint16_t)(1 + sequence % 3), to = (uint16_t)(1 + (sequence + 1) % 3);
            faults_message(whole, from, to, sequence, 100, &a);
            faults_message(f, from, to, sequence, 100, &b);
            a = without(a, verb);
            b = without(b, verb);
            if (!same_fate(&a, &b))
                fail_msg("without directive %zu, message %llu", removed + 1, (unsigned long long)sequence);
        }
        faults_free(f);
        plan_free(&some);
    }
    faults_free(whole);
    plan_free(&all);
}

/* A verdict is no position in a stream: asked alone, in reverse, twice, or of a clone, it is the same;
 * another seed, link, or sequence has another. */
static void test_verdicts_are_keyed(void **state) {
    (void)state;
    struct plan p = stormy();
    struct faults *f = faults_new(&p, 42, 3), *other = faults_new(&p, 43, 3);
    take_all(f, 0, 3, 0);
    take_all(other, 0, 3, 0);
    struct faults *clone = faults_clone(f);
    size_t differ_seed = 0, differ_way = 0;
    static struct fault_fate fates[2000];
    for (uint64_t s = 0; s < 2000; s++) faults_message(f, 1, 2, s, 100, &fates[s]);
    for (uint64_t s = 2000; s-- > 0;) {
        struct fault_fate fate;
        faults_message(clone, 1, 2, s, 100, &fate);
        assert_true(same_fate(&fate, &fates[s]));
        faults_message(other, 1, 2, s, 100, &fate);
        differ_seed += fate.drop != fates[s].drop;
        faults_message(f, 1, 3, s, 100, &fate);
        differ_way += fate.drop != fates[s].drop;
    }
    assert_in_range(differ_seed, 700, 1000); /* 2 * 0.3 * 0.7 of 2000 are 840 */
    assert_in_range(differ_way, 700, 1000);
    faults_free(f);
    faults_free(clone);
    faults_free(other);
    plan_free(&p);
}

/* What a firing draws depends on (seed, id, number) alone: taking out an earlier directive changes no
 * later partition. */
static void test_firings_are_keyed(void **state) {
    (void)state;
    const char *one = "[{\"id\": 2, \"every\": 1, \"do\": \"partition\", \"shape\": \"halves\"}]";
    const char *two = "[{\"id\": 1, \"every\": 0.3, \"for\": 0.1, \"do\": \"pause\", \"node\": \"random\"},"
                      "{\"id\": 2, \"every\": 1, \"do\": \"partition\", \"shape\": \"halves\"}]";
    struct faults *a = engine(one, 5, 7), *b = engine(two, 5, 7);
    uint64_t seen = 0, before = 0, changes = 0;
    for (int64_t t = 1; t <= 20; t++) {
        take_all(a, t * S, 7, 0);
        take_all(b, t * S, 7, 0);
        for (uint16_t n = 1; n <= 7; n++) assert_int_equal(heard(a, n, 7), heard(b, n, 7));
        seen = heard(a, 1, 7);
        changes += seen != before;
        before = seen;
    }
    assert_true(changes > 15);
    faults_free(a);
    faults_free(b);
}

/* Rates are what they say, within five standard deviations of 100,000 messages; flipped bits lie inside
 * the frame and everywhere in it. */
static void test_verdict_rates(void **state) {
    (void)state;
    static const double rates[] = {0.001, 0.01, 0.1, 0.3, 0.5, 0.99};
    const int messages = 100000;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        char json[400];
        snprintf(json, sizeof json,
                 "[{\"at\": 0, \"do\": \"loss\", \"probability\": %g}, {\"at\": 0, \"do\": \"duplicate\", "
                 "\"probability\": %g},"
                 "{\"at\": 0, \"do\": \"corrupt\", \"probability\": %g}, {\"at\": 0, \"do\": \"reorder\", "
                 "\"probability\": %g}]",
                 rates[i], rates[i], rates[i], rates[i]);
        struct faults *f = engine(json, 11 + i, 3);
        take_all(f, 0, 3, 0);
        double counts[4] = {0}, both = 0;
        uint32_t bits_seen = 0;
        for (int s = 0; s < messages; s++) {
            struct fault_fate fate;
            faults_message(f, 1, 2, (uint64_t)s, 4, &fate);
            counts[0] += fate.drop == QRT_DROP_LOSS;
            counts[1] += fate.duplicate;
            counts[2] += fate.corrupt;
            counts[3] += fate.reorder;
            both += fate.drop && fate.duplicate;
            assert_true(!fate.corrupt || fate.corrupt_bit < 32);
            if (fate.corrupt) bits_seen |= 1u << fate.corrupt_bit;
        }
        double deviation = sqrt(messages * rates[i] * (1 - rates[i]));
        for (size_t k = 0; k < 4; k++)
            if (fabs(counts[k] - messages * rates[i]) > 5 * deviation)
                fail_msg("rate %g: %g of kind %zu", rates[i], counts[k], k);
        double joint = rates[i] * rates[i];
        if (fabs(both - messages * joint) > 5 * sqrt(messages * joint) + 5)
            fail_msg("rate %g: %g both", rates[i], both);
        if (rates[i] >= 0.01) assert_int_equal(bits_seen, UINT32_MAX);
        faults_free(f);
    }
}

/* A liar lies to the peers that the directive names, as often as it says, and clients hear the truth. */
static void test_a_liar_lies_to_its_peers(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 0, \"do\": \"lie\", \"from\": 2, \"probability\": 0.5}]", 1, 3);
    struct fault_fate fate;
    unsigned lies = 0;
    take_all(f, 0, 3, 0);
    for (uint64_t sequence = 0; sequence < 1000; sequence++) {
        faults_message(f, 2, 3, sequence, 100, &fate);
        lies += fate.lie != 0;
        faults_message(f, 3, 2, sequence, 100, &fate);
        assert_false(fate.lie);
        faults_message(f, 2, QRT_CLIENT + 1, sequence, 100, &fate);
        assert_false(fate.lie);
    }
    assert_in_range(lies, 440, 560);
    faults_free(f);
}

/* A message takes a link for as long as its bytes take; of two limits the lower holds. */
static void test_bandwidth_takes_the_link(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 0, \"do\": \"bandwidth\", \"from\": 1, \"rate\": 1000},"
                              " {\"at\": 0, \"do\": \"bandwidth\", \"from\": 1, \"to\": 3, \"rate\": 500}]",
                              1, 3);
    struct fault_fate fate;
    take_all(f, 0, 3, 0);
    faults_message(f, 1, 2, 1, 100, &fate);
    assert_int_equal(fate.wire_ns, 100000000);
    faults_message(f, 1, 3, 1, 100, &fate);
    assert_int_equal(fate.wire_ns, 200000000);
    faults_message(f, 2, 1, 1, 100, &fate);
    assert_int_equal(fate.wire_ns, 0);
    faults_free(f);
}

/* An empty frame has no bit to flip. */
static void test_corrupt_needs_a_frame(void **state) {
    (void)state;
    struct faults *f = engine("[{\"at\": 0, \"do\": \"corrupt\", \"probability\": 1}]", 1, 3);
    struct fault_fate fate;
    take_all(f, 0, 3, 0);
    faults_message(f, 1, 2, 1, 0, &fate);
    assert_false(fate.corrupt);
    faults_free(f);
}

/* Distributions. */

struct moments {
    double mean, deviation, least, most;
};

static struct moments measured(const struct distribution *d) {
    const int draws = 200000;
    double sum = 0, squares = 0, least = INFINITY, most = 0;
    struct random r = random_stream(3, 0, RANDOM_LINK);
    for (int i = 0; i < draws; i++) {
        double v = (double)distribution_draw(d, random_u64(&r));
        sum += v;
        squares += v * v;
        least = fmin(least, v);
        most = fmax(most, v);
    }
    double mean = sum / draws;
    return (struct moments){mean, sqrt(squares / draws - mean * mean), least, most};
}

static void check_near(const char *what, double got, double wanted, double relative) {
    if (fabs(got - wanted) > relative * fabs(wanted)) fail_msg("%s: %.10g instead of %.10g", what, got, wanted);
}

/* Means and deviations of the textbook, from 200,000 draws each. */
static void test_distribution_moments(void **state) {
    (void)state;
    struct moments m = measured(&(struct distribution){DIST_CONSTANT, 5 * MS, 0, 0});
    assert_true(m.least == (double)(5 * MS) && m.most == m.least);
    m = measured(&(struct distribution){DIST_UNIFORM, 2 * MS, 8 * MS, 0});
    check_near("uniform mean", m.mean, 5e6, 0.005);
    check_near("uniform deviation", m.deviation, 6e6 / sqrt(12), 0.01);
    assert_true(m.least >= 2e6 && m.most <= 8e6);
    m = measured(&(struct distribution){DIST_NORMAL, 50 * MS, 5 * MS, 0});
    check_near("normal mean", m.mean, 50e6, 0.005);
    check_near("normal deviation", m.deviation, 5e6, 0.01);
    m = measured(&(struct distribution){DIST_NORMAL, 1 * MS, 5 * MS, 0});
    assert_true(m.least == 0);
    m = measured(&(struct distribution){DIST_EXPONENTIAL, 10 * MS, 0, 0});
    check_near("exponential mean", m.mean, 10e6, 0.01);
    check_near("exponential deviation", m.deviation, 10e6, 0.02);
    m = measured(&(struct distribution){DIST_PARETO, 1 * MS, 0, 3});
    check_near("Pareto mean", m.mean, 1.5e6, 0.01);
    check_near("Pareto deviation", m.deviation, sqrt(0.75) * 1e6, 0.1);
    m = measured(&(struct distribution){DIST_PARETO, 1 * MS, 0, 0.5});
    assert_true(m.least >= 1e6 && m.most == 100e6);
}

/* The same bits give the same delay on every machine and compiler: golden values. */
static void test_distribution_golden(void **state) {
    (void)state;
    const uint64_t bits = 0x0123456789abcdefu;
    static const struct distribution d[] = {
        {DIST_UNIFORM, 0, 1000000000, 0},
        {DIST_NORMAL, 1000000000, 100000000, 0},
        {DIST_EXPONENTIAL, 1000000000, 0, 0},
        {DIST_PARETO, 1000000, 0, 1.5},
    };
    static const int64_t golden[] = {4444444, 680105193, 5416100402, 36993181};
    for (size_t i = 0; i < 4; i++) assert_int_equal(distribution_draw(&d[i], bits), golden[i]);
    /* the extremes of the bits stay finite and not negative */
    for (size_t i = 0; i < 4; i++)
        for (uint64_t b = 0; b < 2; b++) assert_true(distribution_draw(&d[i], b ? UINT64_MAX : 0) >= 0);
}

/* State. */

/* A clone goes its own way, alike as long as it is treated alike; the fingerprint sees a difference, and
 * no absolute time. */
static void test_faults_clone_and_fingerprint(void **state) {
    (void)state;
    struct random r = random_stream(9, 0, RANDOM_PLAN);
    struct plan_profile profile = {5, 0, 20 * S, 200 * MS, 5, 15, UINT32_MAX, true, true, true};
    for (int round = 0; round < 100; round++) {
        struct plan p = {0};
        plan_draw(&p, &profile, &r);
        struct faults *a = faults_new(&p, 7, 5), *late = faults_new(NULL, 7, 5);
        faults_add(late, &p, 1000 * S);
        assert_int_equal(faults_fingerprint(a), faults_fingerprint(late));
        for (int64_t t = 0; t < 10; t++) {
            take_all(a, t * S, 5, 1);
            take_all(late, (1000 + t) * S, 5, 1);
        }
        assert_int_equal(faults_fingerprint(a), faults_fingerprint(late));
        struct faults *b = faults_clone(a);
        assert_int_equal(faults_fingerprint(a), faults_fingerprint(b));
        int64_t next = faults_next(a);
        take_all(b, next, 5, 1);
        assert_true(faults_fingerprint(a) != faults_fingerprint(b));
        take_all(a, next, 5, 1);
        assert_int_equal(faults_fingerprint(a), faults_fingerprint(b));
        faults_free(a);
        take_all(b, 20 * S, 5, 1);
        assert_true(faults_next(b) == NEVER && faults_calm(b)); /* a drawn plan leaves nothing behind */
        assert_int_equal(faults_offset(b, 1), 0);
        faults_free(b);
        faults_free(late);
        plan_free(&p);
    }
}

/* A drawn plan, carried out: whoever it takes down comes back, at the latest at its end. */
static void test_drawn_plan_restarts_everyone(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_PLAN);
        struct plan_profile profile = {5, 0, 20 * S, 200 * MS, 5, 15, UINT32_MAX, true, true, true};
        struct plan p = {0};
        plan_draw(&p, &profile, &r);
        p.count -= 3; /* even without the three directives that end it */
        struct faults *f = faults_new(&p, seed, 5);
        struct fault_action a;
        bool up[6] = {false, true, true, true, true, true}, paused[6] = {false};
        int64_t last = 0;
        while (faults_next(f) != NEVER) {
            int64_t now = faults_next(f);
            assert_true(now >= last && now <= 20 * S);
            last = now;
            while (faults_take(f, now, &a)) {
                if (a.applied || a.directive.verb == FAULT_PARTITION) continue;
                uint16_t who[5], count = fault_targets(&a.directive, a.random, 5, (uint16_t)(1 + seed % 5), up, who);
                for (uint16_t i = 0; i < count; i++) {
                    if (a.directive.verb == FAULT_CRASH || a.directive.verb == FAULT_RESTART)
                        up[who[i]] = a.directive.verb == FAULT_RESTART;
                    else
                        paused[who[i]] = a.directive.verb == FAULT_PAUSE;
                    faults_hit(f, &a, who[i]);
                }
            }
        }
        for (uint16_t n = 1; n <= 5; n++)
            if (!up[n] || paused[n])
                fail_msg("seed %llu: node %u is still %s", (unsigned long long)seed, n, up[n] ? "paused" : "down");
        faults_free(f);
        plan_free(&p);
    }
}

/* A script that breaks and heals all day long leaves nothing behind: finished directives give up their
 * place. */
static void test_faults_apply_forever(void **state) {
    (void)state;
    struct faults *f = faults_new(NULL, 1, 5);
    for (int64_t t = 0; t < 20000; t++) {
        apply(f, "{\"do\": \"partition\", \"shape\": \"halves\", \"for\": 0.5}", t * S);
        apply(f, "{\"do\": \"loss\", \"probability\": 0.1}", t * S);
        apply(f, "{\"do\": \"crash\", \"node\": \"random\", \"for\": 0.25}", t * S);
        take_all(f, t * S + 600 * MS, 5, 1);
    }
    faults_heal(f);
    assert_true(faults_calm(f) && faults_next(f) == NEVER);
    faults_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_without_plan),
        cmocka_unit_test(test_faults_timing),
        cmocka_unit_test(test_faults_add_counts_from_now),
        cmocka_unit_test(test_faults_end_concerns_whom_it_hit),
        cmocka_unit_test(test_faults_without_leader),
        cmocka_unit_test(test_fault_targets),
        cmocka_unit_test(test_partition_shapes),
        cmocka_unit_test(test_partition_shapes_are_random),
        cmocka_unit_test(test_partition_one_way),
        cmocka_unit_test(test_partition_groups),
        cmocka_unit_test(test_partitions_compose),
        cmocka_unit_test(test_heal_ends_what_stands),
        cmocka_unit_test(test_faults_apply),
        cmocka_unit_test(test_skews_stack),
        cmocka_unit_test(test_link_selectors),
        cmocka_unit_test(test_verdicts_are_independent_of_other_directives),
        cmocka_unit_test(test_verdicts_are_keyed),
        cmocka_unit_test(test_firings_are_keyed),
        cmocka_unit_test(test_verdict_rates),
        cmocka_unit_test(test_corrupt_needs_a_frame),
        cmocka_unit_test(test_a_liar_lies_to_its_peers),
        cmocka_unit_test(test_bandwidth_takes_the_link),
        cmocka_unit_test(test_distribution_moments),
        cmocka_unit_test(test_distribution_golden),
        cmocka_unit_test(test_faults_clone_and_fingerprint),
        cmocka_unit_test(test_drawn_plan_restarts_everyone),
        cmocka_unit_test(test_faults_apply_forever),
        cmocka_unit_test(test_faults_fill_and_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
