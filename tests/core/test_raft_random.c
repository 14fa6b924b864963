/* Raft under random schedules: messages lost, doubled and in any order, partitions, crashes between any two
 * effects, unsynced writes lost, disks wiped from a minority; then everything heals and the cluster must go
 * on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/raft_net.h"

/* How many members are down, or wiped and not yet caught up. The fault model allows a minority of the latter.
 * */
static int count_wiped(const struct net *n) {
    int wiped = 0;
    for (uint16_t i = 1; i <= n->count; i++) wiped += n->nodes[i].wiped;
    return wiped;
}

static void act_on_message(struct net *n, uint64_t what) {
    if (!n->frame_count) return;
    size_t i = (size_t)random_below(&n->random, n->frame_count);
    if (what < 94)
        net_deliver(n, what < 60 ? 0 : i);
    else if (what < 97)
        net_drop(n, i);
    else if (n->frame_count < 500)
        net_duplicate(n, i);
}

/* Two groups, drawn node by node, that cannot hear each other. */
static void partition(struct net *n) {
    uint64_t side = random_u64(&n->random);
    for (uint16_t i = 1; i <= n->count; i++)
        for (uint16_t k = 1; k <= n->count; k++) n->cut[i][k] = (side >> i & 1) != (side >> k & 1);
}

static void act_on_node(struct net *n, uint64_t what) {
    uint16_t node = (uint16_t)(1 + random_below(&n->random, n->count)), leader = net_leader(n);
    if (leader && random_below(&n->random, 2)) node = leader; /* leaders are where it hurts */
    if (what < 25) {
        bool may_wipe = 2 * (count_wiped(n) + 1 + (n->nodes[node].wiped ? -1 : 0)) < n->count;
        uint64_t fate = random_below(&n->random, 8);
        net_crash(n, node, fate == 0 && may_wipe ? NET_WIPED : fate < 5 ? NET_UNSYNCED_LOST : NET_KEPT);
    } else if (what < 70) {
        net_start(n, node);
    } else if (what < 75) {
        net_cut(n, node, true);
    } else if (what < 85) {
        partition(n);
    } else if (what < 88) {
        n->cut[node][1 + random_below(&n->random, n->count)] = true;
    } else {
        net_heal(n);
    }
}

static void act(struct net *n) {
    uint64_t what = random_below(&n->random, 1000);
    uint16_t node = (uint16_t)(1 + random_below(&n->random, n->count));
    if (random_below(&n->random, 400) == 0) n->crash_after = (long)random_below(&n->random, 6);
    if (what < 730)
        act_on_message(n, random_below(&n->random, 100));
    else if (what < 800)
        net_fire_next(n);
    else if (what < 900)
        net_flush(n, node);
    else if (what < 960)
        net_propose(n, random_below(&n->random, 3) && net_leader(n) ? net_leader(n) : node, "value");
    else if (what < 980)
        net_read(n, net_leader(n) ? net_leader(n) : node);
    else
        act_on_node(n, random_below(&n->random, 100));
}

static struct net *draw(uint64_t seed, uint64_t bugs) {
    static const char *const small[] = {"snapshot_threshold", "12", "snapshot_keep",    "3",   "chunk_size", "100",
                                        "max_in_flight",      "3",  "max_append_bytes", "100", NULL};
    static const char *const plain[] = {NULL};
    static const char *const bare[] = {"pre_vote", "false", "check_quorum", "false", "max_append_bytes", "1", NULL};
    struct random r = random_stream(seed, 1, RANDOM_CONFIG);
    struct net_setup setup = {.seed = seed, .bugs = bugs, .delayed = random_below(&r, 4) != 0};
    setup.count = (uint16_t)(3 + random_below(&r, 3));
    uint64_t kind = random_below(&r, 4);
    setup.options = kind == 0 ? plain : kind == 1 ? bare : small;
    return net_new(&setup);
}

static void heal(struct net *n) {
    n->crash_after = -1;
    net_heal(n);
    for (uint16_t i = 1; i <= n->count; i++) net_start(n, i);
}

struct totals {
    int restores, caught_up, truncated, leaders, reads, snapshots;
};

static void run_seed(uint64_t seed, int actions, struct totals *t) {
    struct net *n = draw(seed, 0);
    for (int i = 0; i < actions && !n->broken[0]; i++) act(n);
    heal(n);
    bool elected = net_run(n, 3000, net_has_leader);
    if (elected) net_propose(n, net_leader(n), "last");
    bool agreed = elected && net_run(n, 3000, net_agreed);
    if (n->broken[0] || !agreed) {
        for (uint16_t i = 1; i <= n->count; i++) {
            char line[200];
            raft_describe(net_raft(n, i), line, sizeof line);
            print_error("%s\n", line);
        }
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 n->broken[0] ? n->broken
                 : elected    ? "no agreement"
                              : "no leader");
    }
    t->restores += n->restores;
    t->caught_up += n->caught_up;
    t->truncated += n->truncated;
    t->leaders += n->leaders;
    t->reads += n->reads_served;
    t->snapshots += n->snapshots;
    net_free(n);
}

/* Figure 3.2: election safety, state machine safety and linearizable reads hold under every schedule of the
 * fault model, and progress follows when the faults end. Each hard path must really have been walked. */
static void test_raft_random_schedules_keep_the_promises(void **state) {
    (void)state;
    const char *only = getenv("QUORATE_SEED"), *more = getenv("QUORATE_SEEDS");
    struct totals t = {0};
    if (only) {
        run_seed(strtoull(only, NULL, 10), 3000, &t);
        return;
    }
    uint64_t seeds = more ? strtoull(more, NULL, 10) : 1500;
    for (uint64_t seed = 1; seed <= seeds; seed++) run_seed(seed, 1500, &t);
    print_message("leaders %d, truncations %d, snapshots %d, restores %d, caught up %d, reads %d\n", t.leaders,
                  t.truncated, t.snapshots, t.restores, t.caught_up, t.reads);
    assert_true(t.restores > 0 && t.caught_up > 0 && t.truncated > 0 && t.reads > 0 && t.snapshots > 0);
}

/* The same seeds that are clean without a mistake show it when it is switched on. */
static void test_raft_random_schedules_show_mistakes(void **state) {
    (void)state;
    for (int bug = RAFT_VOTE_BEFORE_SYNC; bug <= RAFT_AMNESIA_VOTES; bug++) {
        uint64_t seed = 0;
        bool caught = false;
        while (!caught && seed < 1000) {
            struct net *n = draw(++seed, UINT64_C(1) << bug);
            for (int i = 0; i < 3000 && !n->broken[0]; i++) act(n);
            caught = n->broken[0] != 0;
            if (caught)
                print_message("%s: seed %llu: %s\n", protocol_find("raft")->bugs[bug].name, (unsigned long long)seed,
                              n->broken);
            net_free(n);
        }
        if (!caught) fail_msg("%s: not seen within 1000 seeds", protocol_find("raft")->bugs[bug].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_random_schedules_keep_the_promises),
        cmocka_unit_test(test_raft_random_schedules_show_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
