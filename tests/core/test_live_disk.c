/* Live nodes whose disk fails a sync, or is slow at it. The system's fdatasync is this program's own, so that a node's disk
 * can be made to: nodes are threads here, and their folders tell them apart. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "support/folder.h"

#define SECOND INT64_C(1000000000)
#define PATIENCE (20 * SECOND)
#define NODES 3

static atomic_int failing[NODES + 1];     /* errno of the node's next sync */
static atomic_int slow_ms[NODES + 1];     /* how long each of its syncs takes */
static atomic_uint syncs_made[NODES + 1]; /* that it has asked for */
static atomic_int saving_ms;              /* how long each sync of a checkpoint takes, anywhere */
static atomic_uint saves;                 /* such syncs that have ended */
static atomic_bool saving_fails;          /* one of them fails */

static void path_of(int fd, char path[512]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, 511);
    path[size < 0 ? 0 : size] = 0;
}

/* Whose file it is: that of a folder .../n<node>/. */
static unsigned node_of(const char *path) {
    char *slash = strrchr(path, '/');
    unsigned node = slash && slash - path >= 3 && !strncmp(slash - 3, "/n", 2) ? (unsigned)(slash[-1] - '0') : 0;
    return node <= NODES ? node : 0;
}

static void wait_ms(int ms) {
    if (ms) nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static int sync_checkpoint(int fd) {
    wait_ms(atomic_load(&saving_ms));
    errno = atomic_exchange(&saving_fails, false) ? EIO : 0;
    int result = errno ? -1 : (int)syscall(SYS_fdatasync, fd);
    atomic_fetch_add(&saves, 1);
    return result;
}

int fdatasync(int fd) {
    char path[512];
    path_of(fd, path);
    if (strstr(path, "/checkpoint")) return sync_checkpoint(fd);
    unsigned node = node_of(path);
    int wait = atomic_load(&slow_ms[node]), number = atomic_exchange(&failing[node], 0);
    atomic_fetch_add(&syncs_made[node], 1);
    wait_ms(wait);
    errno = number;
    return number ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static struct cluster *cluster_with(const char *snapshot_threshold) {
    struct setting settings[] = {{"runtime", "live"},
                                 {"nodes", "3"},
                                 {"disk", "folder"},
                                 {"data", folder},
                                 {"election_timeout", "200ms"},
                                 {"log", "error"},
                                 {"snapshot_threshold", snapshot_threshold}};
    struct error e = {0};
    struct cluster *c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    if (!c) fail_msg("%s", e.text);
    return c;
}

static struct cluster *cluster_on_disk(void) {
    return cluster_with("8192");
}

static void wait_for(struct cluster *c, const char *condition) {
    struct error e = {0};
    if (cluster_run(c, c->class->now(c->runtime) + PATIENCE, condition, 0, &e)) fail_msg("%s: %s", condition, e.text);
}

static uint16_t wait_leader(struct cluster *c) {
    wait_for(c, "leader");
    return c->class->leader(c->runtime);
}

static struct node_view view_of(struct cluster *c, uint16_t node) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    return v;
}

static uint64_t propose(struct cluster *c, uint16_t node) {
    struct error e = {0};
    uint64_t ticket;
    if (cluster_propose(c, node, bytes_text("x"), &ticket, &e)) fail_msg("%s", e.text);
    return ticket;
}

static qrt_status outcome(struct cluster *c, uint64_t ticket) {
    struct error e = {0};
    qrt_result result;
    if (cluster_await(c, ticket, c->class->now(c->runtime) + PATIENCE, 0, &result, &e)) fail_msg("%s", e.text);
    return result.status;
}

static void restart(struct cluster *c, uint16_t node) {
    struct plan plan = {0};
    struct directive d;
    char text[64];
    snprintf(text, sizeof text, "{\"do\": \"restart\", \"node\": %u}", node);
    assert_int_equal(directive_parse(&d, bytes_text(text), NODES, NULL), QRT_OK);
    plan_add(&plan, &d);
    c->class->fault(c->runtime, &plan, NULL);
    plan_free(&plan);
}

static void free_checked(struct cluster *c) {
    struct error e = {0};
    while (cluster_check(c, 20, 0, 20000000, &e) == QRT_MORE) continue;
    if (c->verdict != VERDICT_OK) fail_msg("%s", buffer_text(&c->report));
    cluster_free(c);
}

/* A node whose sync has failed stops, says why, and asks for no second one, which might succeed although the data is gone,
 * not even when it is told to start again; the others go on. */
static void test_live_a_failed_sync_stops_its_node(void **state) {
    (void)state;
    for (int of_leader = 0; of_leader < 2; of_leader++) {
        struct cluster *c = cluster_on_disk();
        uint16_t leader = wait_leader(c), victim = of_leader ? leader : leader % 3 + 1;
        assert_int_equal(outcome(c, propose(c, 0)), QRT_OK);
        atomic_store(&failing[victim], EIO);
        uint64_t ticket = propose(c, leader);
        int64_t until = c->class->now(c->runtime) + PATIENCE;
        while (view_of(c, victim).up && c->class->now(c->runtime) < until)
            assert_int_equal(cluster_run(c, c->class->now(c->runtime) + SECOND / 100, NULL, 0, NULL), QRT_OK);
        unsigned asked = atomic_load(&syncs_made[victim]);
        assert_non_null(strstr(view_of(c, victim).why_down, "syncing"));
        assert_non_null(strstr(view_of(c, victim).why_down, strerror(EIO)));
        qrt_status ended = outcome(c, ticket);
        assert_true(ended == QRT_OK || (of_leader && ended == QRT_EUNKNOWN));
        wait_leader(c);
        assert_int_equal(outcome(c, propose(c, 0)), QRT_OK);
        assert_int_equal(atomic_load(&syncs_made[victim]), asked);
        restart(c, victim);
        assert_non_null(strstr(view_of(c, victim).why_down, "an earlier sync"));
        assert_int_equal(atomic_load(&syncs_made[victim]), asked);
        free_checked(c);
        folder_remove(NULL);
        folder_make(NULL);
    }
}

/* A leader whose disk takes longer than an election loses its place to one whose disk does not, and writes go on. */
static void test_live_a_slow_disk_does_not_lead(void **state) {
    (void)state;
    struct cluster *c = cluster_on_disk();
    char condition[32];
    uint16_t leader = wait_leader(c);
    assert_int_equal(outcome(c, propose(c, 0)), QRT_OK);
    snprintf(condition, sizeof condition, "leader != %u", leader);
    atomic_store(&slow_ms[leader], 3000);
    propose(c, leader);
    wait_for(c, condition);
    int64_t begin = c->class->now(c->runtime);
    assert_int_equal(outcome(c, propose(c, c->class->leader(c->runtime))), QRT_OK);
    assert_true(c->class->now(c->runtime) - begin < 3 * SECOND);
    atomic_store(&slow_ms[leader], 0);
    free_checked(c);
}

/* All nodes save a checkpoint whose sync takes five election timeouts: the leader keeps its office and its term, and writes are
 * acknowledged meanwhile. Each finds the next checkpoint as well. */
static void test_live_a_checkpoint_holds_up_nobody(void **state) {
    (void)state;
    struct cluster *c = cluster_with("20");
    uint16_t leader = wait_leader(c);
    uint64_t term = view_of(c, leader).status.term;
    atomic_store(&saves, 0);
    atomic_store(&saving_ms, 1000);
    unsigned meanwhile = 0;
    while (atomic_load(&saves) < 2 * NODES) {
        assert_int_equal(outcome(c, propose(c, leader)), QRT_OK);
        meanwhile++;
    }
    atomic_store(&saving_ms, 0);
    assert_true(meanwhile > 100); /* one save of two takes a second, and each of 20 writes wants one */
    assert_int_equal(c->class->leader(c->runtime), leader);
    assert_int_equal(view_of(c, leader).status.term, term);
    free_checked(c);
}

/* Its end is as another failed sync's is. */
static void test_live_a_failed_checkpoint_stops_its_node(void **state) {
    (void)state;
    struct cluster *c = cluster_with("20");
    uint16_t down = 0;
    wait_leader(c);
    atomic_store(&saving_fails, true);
    int64_t until = c->class->now(c->runtime) + PATIENCE;
    while (!down && c->class->now(c->runtime) < until) {
        propose(c, 0);
        assert_int_equal(cluster_run(c, c->class->now(c->runtime) + SECOND / 100, NULL, 0, NULL), QRT_OK);
        for (uint16_t i = 1; i <= NODES; i++)
            if (!view_of(c, i).up) down = i;
    }
    assert_int_not_equal(down, 0);
    assert_non_null(strstr(view_of(c, down).why_down, "checkpoint"));
    assert_non_null(strstr(view_of(c, down).why_down, strerror(EIO)));
    wait_leader(c);
    assert_int_equal(outcome(c, propose(c, 0)), QRT_OK);
    free_checked(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_live_a_failed_sync_stops_its_node, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_live_a_slow_disk_does_not_lead, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_live_a_checkpoint_holds_up_nobody, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_live_a_failed_checkpoint_stops_its_node, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
