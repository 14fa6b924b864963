/* When a node looks on before it sleeps, and when not: seen by how often its thread gave its processor up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <sched.h>
#include <unistd.h>
#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live.h"
#include "runtime/live/live_bare.h"
#include "runtime/live/live_load.h"

#define SECOND INT64_C(1000000000)
enum { NODES = 3, COMMITS = 5000, ATTEMPTS = 20 };

#if defined(QUEUE_TRACED) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* How often a node's thread has slept so far, by the kernel's account. */
static uint64_t sleeps_of(uint16_t node) {
    char path[64], line[128], wanted[16];
    unsigned long long count = 0;
    snprintf(wanted, sizeof wanted, "qrt-n%u\n", node);
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *t; (t = readdir(tasks));) {
        if (*t->d_name == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", t->d_name);
        FILE *f = fopen(path, "r");
        bool is_it = false;
        while (f && fgets(line, sizeof line, f)) {
            char *name = strchr(line, '\t');
            if (!strncmp(line, "Name:", 5)) is_it = name && !strcmp(name + 1, wanted);
            if (is_it) sscanf(line, "voluntary_ctxt_switches: %llu", &count);
        }
        if (f) fclose(f);
    }
    closedir(tasks);
    return count;
}

static const struct load_spec one_by_one = {.window = 1, .count = COMMITS, .size = 128};

/* One proposal after the other at the leader; ns that they took. */
static int64_t commit_some(struct cluster *c, uint16_t leader) {
    uint64_t number;
    struct ticket t;
    struct bytes data;
    struct load_report r;
    assert_int_equal(live_load(c->runtime, leader, &one_by_one, &number), QRT_OK);
    struct condition answered = {CONDITION_TICKET, 0, number};
    assert_int_equal(c->class->run(c->runtime, c->class->now(c->runtime) + 20 * SECOND, &answered, 0), QRT_OK);
    assert_true(c->class->ticket(c->runtime, number, &t, &data) && t.status == QRT_OK && data.size == sizeof r);
    memcpy(&r, data.data, sizeof r);
    return r.ns;
}

static struct cluster *cluster_of_threads(uint16_t *leader) {
    struct setting settings[] = {{"runtime", "live"}, {"nodes", "3"},     {"disk", "memory"},
                                 {"record", "none"},  {"check", "false"}, {"election_timeout", "1"}};
    struct error e = {0};
    struct cluster *c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    assert_non_null(c);
    assert_int_equal(cluster_run(c, 20 * SECOND, "leader", 0, &e), QRT_OK);
    *leader = c->class->leader(c->runtime);
    return c;
}

/* The processors that this process may use, at most two. */
static int usable_cpus(int cpus[2]) {
    cpu_set_t set;
    int count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (int i = 0; i < CPU_SETSIZE && count < 2; i++)
        if (CPU_ISSET((size_t)i, &set)) cpus[count++] = i;
    return count;
}

/* A follower that has its processor to itself does not sleep between the entries that it is sent one after the other. On a busy
 * machine the leader is not always there to keep it awake: so the best of some loads tells. */
static void test_live_alone_on_a_processor_looks_on(void **state) {
    (void)state;
    int cpus[2];
    uint16_t leader;
    uint64_t least = UINT64_MAX;
    if (usable_cpus(cpus) < 2 || SANITIZED) skip();
    struct cluster *c = cluster_of_threads(&leader);
    uint16_t follower = leader % NODES + 1;
    for (uint16_t i = 1; i <= NODES; i++) live_pin(c->runtime, i, cpus[i == follower]);
    for (int i = 0; i < ATTEMPTS && least > COMMITS / 10; i++) {
        uint64_t before = sleeps_of(follower);
        commit_some(c, leader);
        uint64_t sleeps = sleeps_of(follower) - before;
        if (sleeps < least) least = sleeps;
    }
    cluster_free(c);
    assert_in_range(least, 0, COMMITS / 10);
}

/* Where all are on one processor nobody looks on, as no other could go on meanwhile: a commit takes no more than some times what
 * three bare threads take for a round, and not as long as a look. */
static void test_live_on_one_processor_sleep_at_once(void **state) {
    (void)state;
    int cpu[2];
    uint16_t leader;
    int64_t ours = INT64_MAX, bare = 0;
    struct load_report r;
    struct error e;
    if (usable_cpus(cpu) < 1 || SANITIZED) skip();
    const int cpus[NODES] = {cpu[0], cpu[0], cpu[0]};
    struct cluster *c = cluster_of_threads(&leader);
    struct bare *b = bare_new(false, 128, cpus, &e);
    assert_non_null(b);
    for (uint16_t i = 1; i <= NODES; i++) live_pin(c->runtime, i, cpu[0]);
    for (int i = 0; i < ATTEMPTS && ours > 4 * bare; i++) {
        assert_int_equal(bare_rounds(b, &one_by_one, &r, &e), QRT_OK);
        bare = r.ns;
        ours = commit_some(c, leader);
    }
    bare_free(b);
    cluster_free(c);
    assert_in_range(ours, 0, 4 * bare);
}

/* With nothing to do nobody looks on: a second of idling takes little of the processors' time. */
static void test_live_idle_nodes_sleep(void **state) {
    (void)state;
    uint16_t leader;
    struct cluster *c = cluster_of_threads(&leader);
    struct timespec begun, ended;
    commit_some(c, leader);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    assert_int_equal(cluster_run(c, c->class->now(c->runtime) + SECOND, NULL, 0, NULL), QRT_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    int64_t used = (ended.tv_sec - begun.tv_sec) * SECOND + ended.tv_nsec - begun.tv_nsec;
    assert_in_range(used, 0, SECOND / (SANITIZED ? 2 : 10));
    cluster_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_alone_on_a_processor_looks_on),
        cmocka_unit_test(test_live_on_one_processor_sleep_at_once),
        cmocka_unit_test(test_live_idle_nodes_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
