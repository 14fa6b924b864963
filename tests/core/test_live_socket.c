/* The options of every socket between processes: each of them is the answer to something that was measured. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>
#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_log.h"
#include "runtime/live/live_share.h"
#include "support/live_inbox.h"

#define ZAP_ENFORCE_DOMAIN 93

static int number_of(void *socket, int option) {
    int value = -7;
    size_t size = sizeof value;
    assert_int_equal(zmq_getsockopt(socket, option, &value, &size), 0);
    return value;
}

static void assert_common(void *socket) {
    int64_t largest;
    size_t size = sizeof largest;
    assert_int_equal(zmq_getsockopt(socket, ZMQ_MAXMSGSIZE, &largest, &size), 0);
    assert_int_equal(largest, WIRE_FRAME_MAX + sizeof(struct envelope));
    assert_int_equal(number_of(socket, ZMQ_LINGER), 0);
    assert_in_range(number_of(socket, ZMQ_HANDSHAKE_IVL), 1000, 2000);
}

static void assert_inbox(void *socket, bool curve) {
    char domain[64];
    size_t size = sizeof domain;
    assert_common(socket);
    assert_int_equal(number_of(socket, ZMQ_TYPE), ZMQ_ROUTER);
    assert_int_equal(number_of(socket, ZMQ_RCVHWM), curve ? 0 : LIVE_HIGH_WATER); /* live_socket.c: why */
    assert_int_equal(number_of(socket, ZMQ_MECHANISM), curve ? ZMQ_CURVE : ZMQ_NULL);
    if (!curve) return;
    assert_int_equal(number_of(socket, ZMQ_CURVE_SERVER), 1);
    assert_int_equal(number_of(socket, ZAP_ENFORCE_DOMAIN), 1);
    assert_int_equal(zmq_getsockopt(socket, ZMQ_ZAP_DOMAIN, domain, &size), 0);
    assert_string_equal(domain, "0000000000abcdef"); /* the cluster's id */
}

static void assert_outbox(void *socket, bool curve) {
    assert_common(socket);
    assert_int_equal(number_of(socket, ZMQ_TYPE), ZMQ_DEALER);
    assert_int_equal(number_of(socket, ZMQ_SNDHWM), LIVE_HIGH_WATER);
    assert_int_equal(number_of(socket, ZMQ_IMMEDIATE), 1);
    assert_int_equal(number_of(socket, ZMQ_HEARTBEAT_IVL), 0); /* libzmq's own end processes: live_socket.c */
    assert_int_equal(number_of(socket, ZMQ_TCP_KEEPALIVE), 1);
    assert_in_range(number_of(socket, ZMQ_TCP_KEEPALIVE_IDLE), 1, 10);
    assert_true(number_of(socket, ZMQ_RECONNECT_IVL) > 0);
    assert_in_range(number_of(socket, ZMQ_RECONNECT_IVL_MAX), 50, 1000);
    assert_int_equal(number_of(socket, ZMQ_MECHANISM), curve ? ZMQ_CURVE : ZMQ_NULL);
}

/* Frames, queues, handshakes and reconnections are bounded; nothing lingers; the domain is the cluster's. */
static void test_live_socket_options(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct inbox f;
        inbox_begin(&f, i % 2 ? TRANSPORT_TCP : TRANSPORT_IPC, i < 2);
        assert_inbox(f.actor.inbox, i < 2);
        for (int k = 1; k <= INBOX_NODES; k++) assert_outbox(f.actor.out[k], i < 2);
        inbox_end(&f);
    }
}

/* Does whoever has this user id get as far as a greeting? */
static bool greeted(const char *path, uid_t user) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        char greeting[10];
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
        if (setuid(user) || connect(fd, (struct sockaddr *)&at, sizeof at)) _exit(2);
        _exit(recv(fd, greeting, sizeof greeting, MSG_WAITALL) == sizeof greeting);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status);
}

/* A Unix socket whose folder has been opened to all: without keys other users are turned away before they hear a byte; with keys
 * these say who may speak. */
static void test_live_socket_knows_its_user(void **state) {
    (void)state;
    for (int curve = 0; curve < 2; curve++) {
        struct inbox f;
        inbox_begin(&f, TRANSPORT_IPC, curve);
        const char *path = f.live.gates.endpoints[0] + strlen("ipc://");
        assert_int_equal(chmod(f.live.folder, 0755) | chmod(path, 0777), 0);
        assert_true(greeted(path, geteuid()));
        if (!geteuid()) assert_int_equal(greeted(path, 65534), curve); /* only root can be somebody else */
        inbox_end(&f);
    }
}

/* Each part of the budget follows from an option; the protocol's own bound is one of them. */
static void test_live_budget(void **state) {
    (void)state;
    struct inbox f = {0};
    f.protocol.options = inbox_options;
    f.live.config.protocol = &f.protocol;
    f.live.config.protocol_options = &f.options;
    f.live.config.options.nodes = 3;
    uint64_t three = live_budget(&f.live);
    f.live.config.options.nodes = 5;
    assert_int_equal(live_budget(&f.live) - three, 2 * (LIVE_HELD_COST * LIVE_LINK_BYTES + LIVE_HIGH_WATER * 65536));
    assert_int_equal(live_option(&f.live, "no such option"), 0);
    f.options.timeout = 42;
    assert_int_equal(live_option(&f.live, "election_timeout"), 42);
}

/* A process that may not open enough descriptors is told so before anything is started. */
static void test_live_descriptors_are_counted_first(void **state) {
    (void)state;
    struct rlimit before, few;
    struct setting settings[] = {{"runtime", "live"}, {"nodes", "5"}, {"transport", "tcp"}};
    struct error e = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct cluster *c = cluster_new("raft", settings, 3, NULL, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(c);
    assert_int_equal(e.status, QRT_ERANGE);
    assert_non_null(strstr(e.text, "may open 64: raise it (ulimit -n)"));
}

/* ---- sleeping (live_sleep.c) ---- */

enum { ORDERS = 300, PACED = 40, CROWD = 30 };

static void pause_us(unsigned us) {
    nanosleep(&(struct timespec){0, (long)us * 1000}, NULL);
}

static void *give_orders(void *actor) {
    for (unsigned i = 0; i < ORDERS; i++) {
        struct order *o = calloc(1, sizeof *o);
        o->kind = ORDER_STOP;
        order_give(actor, o);
        pause_us(i % 7 * 50);
    }
    return NULL;
}

/* An actor with nothing to do until for ever hears of each order; what woke it is no message, and no stranger's. */
static void test_orders_wake_a_sleeper(void **state) {
    (void)state;
    struct inbox f;
    pthread_t giver;
    unsigned taken = 0;
    inbox_begin(&f, TRANSPORT_TCP, false);
    assert_int_equal(pthread_create(&giver, NULL, give_orders, &f.actor), 0);
    alarm(60); /* a wake that is lost would be for ever */
    while (taken < ORDERS) {
        for (struct order *o; (o = order_take(&f.actor)); taken++) order_end(&f.actor, o);
        actor_arrivals(&f.actor, NULL, NULL);
        if (taken < ORDERS) actor_sleep(&f.actor, true, NEVER);
    }
    alarm(0);
    pthread_join(giver, NULL);
    assert_int_equal(f.actor.trace.count, 0);
    inbox_end(&f);
}

struct damaged { /* a frame that is not sealed: as damaged on the way */
    struct envelope head;
    uint8_t frame[WIRE_HEADER];
};

static void *send_paced(void *endpoint) {
    struct damaged message = {.head = {1, QRT_CLIENT + 1, 0, 0}};
    void *context = zmq_ctx_new(), *s = zmq_socket(context, ZMQ_DEALER);
    if (!zmq_connect(s, endpoint)) {
        for (unsigned i = 0; i < PACED + CROWD; i++) {
            zmq_send(s, &message, sizeof message, 0);
            if (i < PACED) pause_us(1500);
        }
    }
    zmq_close(s);
    zmq_ctx_term(context);
    return NULL;
}

static void count_arrival(void *count, const struct arrival *arrival) {
    assert_int_equal(arrival->from, 1);
    ++*(unsigned *)count;
}

/* Where messages come one at a time none is looked for behind the first; a crowd that comes then is found all the same, also
 * with an alarm so near that the actor sleeps by descriptors. */
static void test_a_sleeper_misses_no_message(void **state) {
    (void)state;
    for (int near = 0; near < 2; near++) {
        struct inbox f;
        pthread_t sender;
        unsigned arrived = 0;
        inbox_begin(&f, TRANSPORT_TCP, false);
        assert_int_equal(pthread_create(&sender, NULL, send_paced, f.live.gates.endpoints[0]), 0);
        alarm(60);
        while (arrived < PACED + CROWD) {
            actor_arrivals(&f.actor, count_arrival, &arrived);
            if (arrived < PACED + CROWD) actor_sleep(&f.actor, true, near ? live_now(&f.live) + 1000000 : NEVER);
        }
        alarm(0);
        pthread_join(sender, NULL);
        assert_int_equal(arrived, PACED + CROWD);
        inbox_end(&f);
    }
}

/* Behind a message that ended a sleep in the inbox the descriptor is silent about the next ones: they are asked for. */
static void test_a_crowd_is_not_left_behind(void **state) {
    (void)state;
    struct inbox f;
    struct damaged message = {.head = {1, QRT_CLIENT + 1, 0, 0}};
    unsigned arrived = 0;
    inbox_begin(&f, TRANSPORT_TCP, false);
    void *s = zmq_socket(f.live.context, ZMQ_DEALER);
    assert_int_equal(zmq_connect(s, f.live.gates.endpoints[0]), 0);
    alarm(60);
    for (unsigned sent = 0; sent < 20; sent++) {
        zmq_send(s, &message, sizeof message, 0);
        for (; arrived <= sent; actor_arrivals(&f.actor, count_arrival, &arrived)) actor_sleep(&f.actor, true, NEVER);
    }
    for (unsigned i = 0; i < 3; i++) zmq_send(s, &message, sizeof message, 0);
    pause_us(100000);
    actor_sleep(&f.actor, true, NEVER);
    assert_int_equal(actor_arrivals(&f.actor, count_arrival, &arrived), 1); /* they come singly, as far as it knows */
    actor_sleep(&f.actor, true, live_now(&f.live) + 1000000);               /* by descriptors */
    assert_true(f.actor.came_early);
    while (arrived < 23) actor_arrivals(&f.actor, count_arrival, &arrived);
    alarm(0);
    zmq_close(s);
    inbox_end(&f);
}

/* Nobody is there: the wait for links ends in time, and the log says who is missing. */
static void test_links_that_do_not_stand_are_named(void **state) {
    struct inbox f;
    struct error e = {0};
    char path[] = "/tmp/quorate-links-XXXXXX", text[1024] = "", line[64];
    int file = mkstemp(path);
    (void)state;
    inbox_begin(&f, TRANSPORT_TCP, true);
    assert_int_equal(log_open(&f.live, path, LOG_WARN, &e), QRT_OK);
    int64_t began = live_now(&f.live);
    assert_int_equal(links_wait(&f.actor, 20000000), INBOX_NODES);
    assert_true(live_now(&f.live) - began >= 20000000);
    assert_true(read(file, text, sizeof text - 1) > 0);
    for (int i = 1; i <= INBOX_NODES; i++) {
        snprintf(line, sizeof line, "no link to n%d stands after 0.02 s: what is sent there is lost", i);
        assert_non_null(strstr(text, line));
    }
    log_close(&f.live);
    close(file);
    unlink(path);
    inbox_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_wake_a_sleeper),
        cmocka_unit_test(test_a_sleeper_misses_no_message),
        cmocka_unit_test(test_a_crowd_is_not_left_behind),
        cmocka_unit_test(test_live_socket_options),
        cmocka_unit_test(test_links_that_do_not_stand_are_named),
        cmocka_unit_test(test_live_socket_knows_its_user),
        cmocka_unit_test(test_live_budget),
        cmocka_unit_test(test_live_descriptors_are_counted_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
