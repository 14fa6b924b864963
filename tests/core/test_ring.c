/* Placement: the vectors of others, the statistics of theory, and what consistent hashing promises. */
#include <math.h>
#include <nettle/md5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"
#include "ring/jump.h"
#include "ring/maglev.h"
#include "ring/rendezvous.h"
#include "ring/ring.h"
#include "support/data.h"

static const double ketama_weights[8] = {600, 300, 200, 350, 1000, 800, 950, 100};

static struct ring ring_make(int32_t dialect, int32_t rule, int64_t vnodes) {
    struct ring_options options;
    option_defaults(&ring_option_table, &options);
    options.dialect = dialect;
    options.rule = rule;
    options.vnodes = vnodes;
    struct ring r;
    assert_int_equal(ring_init(&r, &options, NULL), QRT_OK);
    return r;
}

static void ring_join(struct ring *r, const char *name, const char *zone, double weight) {
    struct ring_member member = {bytes_text(name), bytes_text(zone), weight};
    assert_int_equal(ring_add_many(r, &member, 1, NULL), QRT_OK);
}

static void ring_join_numbered(struct ring *r, const char *prefix, int first, int count) {
    struct ring_member *members = calloc((size_t)count, sizeof *members);
    char(*names)[32] = calloc((size_t)count, sizeof *names);
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s%d", prefix, first + i);
        members[i] = (struct ring_member){bytes_text(names[i]), {0}, 1};
    }
    assert_int_equal(ring_add_many(r, members, (size_t)count, NULL), QRT_OK);
    free(names);
    free(members);
}

static const char *ring_name(const struct ring *r, const char *key) {
    return r->nodes[ring_owner(r, ring_hash_text(r, bytes_text(key)))].name;
}

/* The md5(name+index) dialect's published example. */
static void test_ring_md5_index_example(void **state) {
    (void)state;
    struct ring r = ring_make(RING_MD5_INDEX, RING_CLOCKWISE, 0);
    ring_join_numbered(&r, "node", 1, 3);
    assert_string_equal(ring_name(&r, "example"), "node2");
    assert_int_equal(r.point_count, 300);
    ring_free(&r);
}

/* libmemcached's weighted ketama: key hash, point and server of every published vector. */
static void test_ring_libmemcached_vectors(void **state) {
    (void)state;
    const char *path = data_path("hashing/libmemcached-ketama.tsv");
    if (!path) skip();
    struct ring r = ring_make(RING_LIBMEMCACHED, RING_CLOCKWISE, 0);
    for (int i = 8; i >= 1; i--) {
        char name[32];
        snprintf(name, sizeof name, i % 2 ? "10.0.1.%d" : "10.0.1.%d:11211", i);
        ring_join(&r, name, "", ketama_weights[i - 1]);
    }
    FILE *f = fopen(path, "r");
    char line[256], key[64], server[64];
    unsigned hash, point, rows = 0;
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%63[^\t]\t%u\t%u\t%63s", key, &hash, &point, server), 4);
        uint64_t position = ring_hash_text(&r, bytes_text(key));
        uint32_t cell = ring_cell(&r, position);
        assert_int_equal(position >> 32, hash);
        assert_int_equal(r.bounds[cell] >> 32, point);
        assert_memory_equal(r.nodes[r.owners[cell]].name, server, strlen(server));
        rows++;
    }
    assert_int_equal(rows, 99);
    fclose(f);
    ring_free(&r);
}

/* libketama's own test output over its ketama.servers and a million keys, by MD5. */
static void test_ring_libketama_output(void **state) {
    (void)state;
    struct ring r = ring_make(RING_LIBKETAMA, RING_CLOCKWISE, 0);
    for (int i = 1; i <= 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "10.0.1.%d:11211", i);
        ring_join(&r, name, "", ketama_weights[i - 1]);
    }
    struct md5_ctx md5;
    md5_init(&md5);
    md5_update(&md5, 1, (const uint8_t *)"\n");
    for (uint64_t k = 0; k < 1000000; k++) {
        uint64_t position = ring_hash_number(&r, k);
        uint32_t cell = ring_cell(&r, position);
        uint32_t shown = cell == r.cell_count ? 0 : cell; /* past the last point comes the first */
        char line[96];
        int size = snprintf(line, sizeof line, "%u %u %s\n", (unsigned)(position >> 32),
                            (unsigned)(r.bounds[shown] >> 32), r.nodes[r.owners[cell]].name);
        md5_update(&md5, (size_t)size, (const uint8_t *)line);
    }
    uint8_t digest[16];
    md5_digest(&md5, 16, digest);
    char text[33];
    for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, "5672b131391f5aa2b280936aec1eea74");
    ring_free(&r);
}

/* spymemcached's compatibility cases: five servers on 127.0.0.1:10000 and up. */
static void test_ring_spymemcached_cases(void **state) {
    (void)state;
    static const struct {
        const char *key, *server;
    } cases[] = {{"36", "127.0.0.1:10002"},
                 {"10037", "127.0.0.1:10003"},
                 {"22051", "127.0.0.1:10001"},
                 {"49044", "127.0.0.1:10004"},
                 {"dustin", "127.0.0.1:10000"},
                 {"noelani", "127.0.0.1:10002"},
                 {"some other key", "127.0.0.1:10004"}};
    struct ring r = ring_make(RING_SPYMEMCACHED, RING_CLOCKWISE, 0);
    ring_join_numbered(&r, "127.0.0.1:", 10000, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(ring_name(&r, cases[i].key), cases[i].server);
    ring_free(&r);
}

/* Unweighted libmemcached: 100 points a server, each the first word of one digest. */
static void test_ring_libmemcached_unweighted_points(void **state) {
    (void)state;
    struct ring r = ring_make(RING_LIBMEMCACHED_EVEN, RING_CLOCKWISE, 0);
    ring_join_numbered(&r, "10.0.1.", 1, 8);
    assert_int_equal(r.point_count, 800);
    ring_free(&r);
}

/* The owner by definition: the least distance over all points, computed without index, cells or sorting. */
static const char *owner_by_definition(const struct ring *r, uint64_t position) {
    const struct ring_point *best = NULL;
    uint64_t best_distance = 0;
    bool best_ahead = false;
    for (size_t i = 0; i < r->point_count; i++) {
        const struct ring_point *p = &r->points[i];
        uint64_t forward = p->position - position, backward = position - p->position;
        bool ahead = r->options.rule == RING_CLOCKWISE || forward <= backward;
        uint64_t distance = ahead ? forward : backward;
        bool better = !best || distance < best_distance || (distance == best_distance && ahead && !best_ahead);
        bool rival = best && p->position == best->position;
        if (rival) better = strcmp(r->nodes[p->node].name, r->nodes[best->node].name) < 0;
        if (better) best = p, best_distance = distance, best_ahead = ahead;
    }
    return r->nodes[best->node].name;
}

/* Both rules agree with their definitions on random rings, with collisions, at random and at edge positions.
 */
static void test_ring_lookup_is_the_definition(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = random_stream(seed, 0, RANDOM_BENCH);
        struct ring r =
            ring_make(RING_XXH3, seed % 2 ? RING_NEAREST : RING_CLOCKWISE, 1 + (int64_t)random_below(&random, 20));
        r.options.bits = (int64_t[]){8, 10, 16, 64}[seed % 4];
        ring_join_numbered(&r, "n", (int)seed, 1 + (int)random_below(&random, 12));
        uint64_t mask = r.options.bits == 64 ? UINT64_MAX : ~(UINT64_MAX >> r.options.bits);
        for (int i = 0; i < 400; i++) {
            uint64_t position = random_u64(&random) & mask;
            if (i % 4 == 0)
                position = r.points[random_below(&random, r.point_count)].position + random_below(&random, 3) - 1;
            const char *got = r.nodes[ring_owner(&r, position)].name;
            if (strcmp(got, owner_by_definition(&r, position)))
                fail_msg("seed %llu: position %llx belongs to %s, not %s", (unsigned long long)seed,
                         (unsigned long long)position, owner_by_definition(&r, position), got);
        }
        ring_free(&r);
    }
}

/* Placement depends on the set of nodes, not on the order of insertion; the known mistake makes it depend. */
static unsigned orders_that_differ(int32_t bug, int32_t dialect) {
    unsigned differ = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t fingerprints[2];
        for (int turn = 0; turn < 2; turn++) {
            struct ring r = ring_make(dialect, RING_CLOCKWISE, 0);
            r.options.bug = bug;
            r.options.bits = 14;
            for (int i = 0; i < 8; i++) {
                char name[32];
                snprintf(name, sizeof name, "n%d-%d", (int)seed, turn ? 7 - i : i);
                ring_join(&r, name, "", 1);
            }
            struct bytes gone = bytes_text(r.nodes[r.by_name[seed % 8]].name);
            char *again = mem_format("%.*s", (int)gone.size, (const char *)gone.data);
            if (turn) { /* leaving and coming back changes nothing either */
                assert_int_equal(ring_remove(&r, bytes_text(again), NULL), QRT_OK);
                ring_join(&r, again, "", 1);
            }
            free(again);
            fingerprints[turn] = ring_fingerprint(&r);
            ring_free(&r);
        }
        differ += fingerprints[0] != fingerprints[1];
    }
    return differ;
}

static void test_ring_is_independent_of_insertion_order(void **state) {
    (void)state;
    for (int32_t dialect = RING_XXH3; dialect <= RING_SPYMEMCACHED; dialect++) {
        assert_int_equal(orders_that_differ(0, dialect), 0);
        assert_true(orders_that_differ(1, dialect) > 40); /* ring-order-dependent */
    }
}

/* Karger's monotonicity: a joining node only takes, a leaving node only gives; and the share it takes is
 * fair. */
static void test_ring_moves_minimally(void **state) {
    (void)state;
    for (int rule = RING_CLOCKWISE; rule <= RING_NEAREST; rule++) {
        struct ring before = ring_make(RING_XXH3, rule, 160), after;
        ring_join_numbered(&before, "node", 1, 9);
        ring_clone(&after, &before);
        ring_join(&after, "node10", "", 1);
        struct ring_move *moves;
        size_t count;
        assert_int_equal(ring_moves(&before, &after, &moves, &count, NULL), QRT_OK);
        double share = 0;
        uint64_t previous = 0;
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(after.nodes[moves[i].to].name, "node10");
            assert_true(moves[i].first <= moves[i].last && (i == 0 || moves[i].first > previous));
            previous = moves[i].last;
            share += (double)(moves[i].last - moves[i].first + 1) * 0x1p-64;
        }
        assert_true(share > 0.07 && share < 0.13);
        free(moves);
        unsigned moved = 0;
        for (uint64_t k = 0; k < 20000; k++) {
            uint64_t h = ring_hash_number(&before, k);
            moved += strcmp(before.nodes[ring_owner(&before, h)].name, after.nodes[ring_owner(&after, h)].name) != 0;
        }
        assert_true(fabs(moved / 20000.0 - share) < 0.01);
        assert_int_equal(ring_remove(&after, bytes_text("node10"), NULL), QRT_OK);
        assert_true(ring_fingerprint(&after) == ring_fingerprint(&before));
        assert_int_equal(ring_moves(&before, &after, &moves, &count, NULL), QRT_OK);
        assert_int_equal(count, 0);
        free(moves);
        ring_free(&before);
        ring_free(&after);
    }
}

/* sigma/mu at 1000 nodes: .998, .315, .0997, .0316 clockwise; .70, .223, .070, .0226 nearest. */
static void test_ring_balance_is_the_theory(void **state) {
    (void)state;
    static const double expected[2][4] = {{.998, .315, .0997, .0316}, {.70, .223, .070, .0226}};
    static const int64_t vnodes[4] = {1, 10, 100, 1000};
    static const double tolerance[4] = {.09, .05, .05, .05}; /* of one sample of 1000 nodes, relative */
    for (int rule = 0; rule < 2; rule++) {
        for (int i = 0; i < 4; i++) {
            double sum = 0;
            int rings = i == 3 ? 1 : 3;
            for (int k = 0; k < rings; k++) {
                struct ring r = ring_make(RING_XXH3, rule, vnodes[i]);
                ring_join_numbered(&r, "node", 10000 * k, 1000);
                struct ring_balance balance;
                assert_int_equal(ring_measure(&r, NULL, &balance, NULL), QRT_OK);
                sum += balance.sigma_over_mu / rings;
                ring_free(&r);
            }
            if (fabs(sum / expected[rule][i] - 1) > tolerance[i])
                fail_msg("rule %d, %d points: sigma/mu %.4f, not %.4f", rule, (int)vnodes[i], sum, expected[rule][i]);
        }
    }
}

/* A node of twice the weight gets twice the keys. */
static void test_ring_honours_weights(void **state) {
    (void)state;
    struct ring r = ring_make(RING_XXH3, RING_CLOCKWISE, 1000);
    ring_join(&r, "small", "", 1);
    ring_join(&r, "large", "", 2);
    double shares[2];
    struct ring_balance balance;
    assert_int_equal(ring_measure(&r, shares, &balance, NULL), QRT_OK);
    assert_true(fabs(shares[1] - 2.0 / 3) < 0.04 && fabs(shares[0] + shares[1] - 1) < 1e-12);
    ring_free(&r);
}

/* Replicas stand on distinct nodes, the owner first, in distinct zones while there are any. */
static void test_ring_replicas_are_distinct(void **state) {
    (void)state;
    static const char *const zones[] = {"east", "west", "south"};
    for (int rule = 0; rule < 2; rule++) {
        struct ring r = ring_make(RING_XXH3, rule, 20);
        for (int i = 0; i < 9; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", i);
            ring_join(&r, name, zones[i < 7 ? 0 : i - 6], 1); /* seven in the east, one west, one south */
        }
        for (uint64_t k = 0; k < 500; k++) {
            uint32_t slots[9], zones_seen = 0, nodes_seen = 0;
            uint64_t h = ring_hash_number(&r, k);
            assert_int_equal(ring_replicas(&r, h, 9, slots, NULL), QRT_OK);
            for (int i = 0; i < 9; i++) nodes_seen |= 1u << slots[i];
            for (int i = 0; i < 3; i++) zones_seen |= 1u << r.nodes[slots[i]].zone;
            assert_int_equal(nodes_seen, 0x1ff);
            assert_int_equal(zones_seen, 7);
            assert_int_equal(slots[0], ring_owner(&r, h));
        }
        struct error e;
        uint32_t slots[10];
        assert_int_equal(ring_replicas(&r, 0, 10, slots, &e), QRT_ERANGE);
        assert_string_equal(e.text, "10 replicas on distinct nodes need 10 nodes, and the ring has 9");
        ring_free(&r);
    }
}

/* Bad input is refused with a reason, and leaves the ring as it was. */
static void test_ring_refuses_bad_input(void **state) {
    (void)state;
    struct error e;
    struct ring r = ring_make(RING_XXH3, RING_CLOCKWISE, 0);
    uint32_t slot;
    uint64_t key = 1;
    assert_int_equal(ring_lookup_numbers(&r, &key, 1, &slot, &e), QRT_EINVAL);
    ring_join(&r, "a", "", 1);
    uint64_t before = ring_fingerprint(&r);
    const struct {
        struct ring_member member;
        qrt_status status;
    } cases[] = {
        {{bytes_text(""), {0}, 1}, QRT_EINVAL},         {{bytes_text("a"), {0}, 1}, QRT_EINVAL},
        {{bytes_text("b"), {0}, 0}, QRT_ERANGE},        {{bytes_text("b"), {0}, -1}, QRT_ERANGE},
        {{bytes_text("b"), {0}, NAN}, QRT_ERANGE},      {{bytes_text("b"), {0}, INFINITY}, QRT_ERANGE},
        {{bytes_text("b"), {0}, 1e300}, QRT_ETOOLARGE}, {{bytes_of("b\0c", 3), {0}, 1}, QRT_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ring_add_many(&r, &cases[i].member, 1, &e), cases[i].status);
        assert_true(strlen(e.text) > 10);
    }
    struct ring_member twins[2] = {{bytes_text("t"), {0}, 1}, {bytes_text("t"), {0}, 1}};
    assert_int_equal(ring_add_many(&r, twins, 2, &e), QRT_EINVAL);
    assert_int_equal(ring_remove(&r, bytes_text("zz"), &e), QRT_ENOTFOUND);
    assert_true(ring_fingerprint(&r) == before && r.node_count == 1);
    assert_int_equal(ring_remove(&r, bytes_text("a"), &e), QRT_OK);
    assert_int_equal(ring_lookup_numbers(&r, &key, 1, &slot, &e), QRT_EINVAL);
    int64_t offsets[] = {3, 1};
    ring_join(&r, "a", "", 1);
    assert_int_equal(ring_lookup_texts(&r, "abc", offsets, 1, &slot, &e), QRT_EINVAL);
    ring_free(&r);
}

/* Jump hash: the published vectors, the balance, and that growth moves keys only to the new bucket. */
static void test_jump_vectors(void **state) {
    (void)state;
    const char *path = data_path("hashing/jump.tsv");
    if (!path) skip();
    FILE *f = fopen(path, "r");
    char line[128];
    unsigned long long key;
    unsigned buckets, bucket, rows = 0;
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%llu %u %u", &key, &buckets, &bucket), 3);
        assert_int_equal(jump_bucket(key, buckets), bucket);
        rows++;
    }
    assert_int_equal(rows, 6);
    fclose(f);
}

static void test_jump_grows_minimally(void **state) {
    (void)state;
    for (uint64_t k = 0; k < 20000; k++) {
        uint32_t before = jump_bucket(k, 10), after = jump_bucket(k, 11);
        assert_true(before < 10 && (after == before || after == 10));
    }
}

/* Maglev: the paper's table of three backends, and of two of them. */
static void test_maglev_table_of_the_paper(void **state) {
    (void)state;
    static const uint32_t offsets[] = {3, 0, 3}, skips[] = {4, 2, 1};
    static const uint32_t all[] = {1, 0, 1, 0, 2, 2, 0}, without_b1[] = {0, 0, 0, 0, 2, 2, 2};
    uint32_t table[7];
    assert_int_equal(maglev_fill(offsets, skips, 3, table, 7, NULL), QRT_OK);
    assert_memory_equal(table, all, sizeof all);
    uint32_t o[] = {3, 3}, s[] = {4, 1};
    assert_int_equal(maglev_fill(o, s, 2, table, 7, NULL), QRT_OK);
    for (int i = 0; i < 7; i++) assert_int_equal(table[i] * 2, without_b1[i]);
    struct error e;
    assert_int_equal(maglev_fill(o, s, 2, table, 6, &e), QRT_EINVAL);
    assert_int_equal(maglev_fill(o, s, 0, table, 7, &e), QRT_EINVAL);
    uint32_t zero[] = {0, 0};
    assert_int_equal(maglev_fill(o, zero, 2, table, 7, &e), QRT_ERANGE);
}

/* Entries differ by at most one, for any names. */
static void test_maglev_is_even(void **state) {
    (void)state;
    uint32_t offsets[100], skips[100], counts[100] = {0}, *table = malloc(10007 * sizeof *table);
    for (uint64_t i = 0; i < 100; i++) maglev_preference(random_mix(i), 10007, &offsets[i], &skips[i]);
    assert_int_equal(maglev_fill(offsets, skips, 100, table, 10007, NULL), QRT_OK);
    for (int i = 0; i < 10007; i++) counts[table[i]]++;
    for (int i = 0; i < 100; i++) assert_in_range(counts[i], 100, 101);
    free(table);
}

/* Rendezvous: order does not matter, a node that leaves moves only its own keys, weights are shares. */
static void test_rendezvous_moves_minimally(void **state) {
    (void)state;
    uint64_t names[5] = {11, 22, 33, 44, 55}, turned[5] = {55, 44, 33, 22, 11};
    double weights[5] = {1, 1, 1, 1, 4};
    unsigned heavy = 0;
    for (uint64_t k = 0; k < 20000; k++) {
        uint64_t key = random_mix(k);
        uint32_t all = rendezvous_pick(key, names, NULL, 5), four = rendezvous_pick(key, names, NULL, 4);
        assert_true(names[all] == turned[rendezvous_pick(key, turned, NULL, 5)]);
        assert_true(all == 4 || all == four);
        uint32_t weighted = rendezvous_pick(key, names, weights, 5);
        assert_true(weighted == 4 || weighted == rendezvous_pick(key, names, weights, 4));
        heavy += weighted == 4;
    }
    assert_true(fabs(heavy / 20000.0 - 0.5) < 0.02);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_md5_index_example),
        cmocka_unit_test(test_ring_libmemcached_vectors),
        cmocka_unit_test(test_ring_libketama_output),
        cmocka_unit_test(test_ring_spymemcached_cases),
        cmocka_unit_test(test_ring_libmemcached_unweighted_points),
        cmocka_unit_test(test_ring_lookup_is_the_definition),
        cmocka_unit_test(test_ring_is_independent_of_insertion_order),
        cmocka_unit_test(test_ring_moves_minimally),
        cmocka_unit_test(test_ring_balance_is_the_theory),
        cmocka_unit_test(test_ring_honours_weights),
        cmocka_unit_test(test_ring_replicas_are_distinct),
        cmocka_unit_test(test_ring_refuses_bad_input),
        cmocka_unit_test(test_jump_vectors),
        cmocka_unit_test(test_jump_grows_minimally),
        cmocka_unit_test(test_maglev_table_of_the_paper),
        cmocka_unit_test(test_maglev_is_even),
        cmocka_unit_test(test_rendezvous_moves_minimally),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
