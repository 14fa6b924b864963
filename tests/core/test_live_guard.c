/* The guard by itself, over connections whose other end is here: what it shuts, what it leaves alone, and what it counts. All of it
 * over tcp and over Unix sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/live/live_guard.h"

#define SECOND INT64_C(1000000000)
#define PIECE 65536
#define MORE (GUARD_STRANGERS + 6)
#define CROWD (3 * GUARD_STRANGERS)
#define NODES 3

struct door {
    struct live live;
    struct guard *guard;
    int listener;
    char address[64], folder[32];
    struct sockaddr_storage at;
    socklen_t size;
};

static int family = AF_INET;

struct line { /* a connection; ours is what the guard watches */
    int ours, theirs;
};

static void door_open(struct door *d) {
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    memset(d, 0, sizeof *d);
    d->guard = guard_new(true);
    d->live.config.options.nodes = NODES;
    strcpy(d->folder, "/tmp/quorate-guard-XXXXXX");
    if (family == AF_UNIX) assert_non_null(mkdtemp(d->folder));
    snprintf(local.sun_path, sizeof local.sun_path, "%s/door", d->folder);
    d->size = family == AF_UNIX ? sizeof local : sizeof inet;
    memcpy(&d->at, family == AF_UNIX ? (void *)&local : (void *)&inet, d->size);
    d->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->listener, (struct sockaddr *)&d->at, d->size), 0);
    assert_int_equal(listen(d->listener, 128), 0);
    assert_int_equal(getsockname(d->listener, (struct sockaddr *)&d->at, &d->size), 0);
    if (family == AF_UNIX)
        snprintf(d->address, sizeof d->address, "ipc://%s", local.sun_path);
    else
        snprintf(d->address, sizeof d->address, "tcp://127.0.0.1:%u", ntohs(((struct sockaddr_in *)&d->at)->sin_port));
    d->live.epoch = live_now(&d->live) - SECOND;
}

static void door_close(struct door *d) {
    guard_free(d->guard);
    close(d->listener);
    if (family != AF_UNIX) return;
    assert_int_equal(unlink(d->address + strlen("ipc://")), 0);
    assert_int_equal(rmdir(d->folder), 0);
}

/* host: of the loopback network, as 127.0.0.host; 1 is what it would be anyway. */
static int connect_from(struct door *d, unsigned host) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (host > 1) assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&d->at, d->size), 0);
    return fd;
}

static int connect_to(struct door *d) {
    return connect_from(d, 1);
}

static struct line line_from(struct door *d, unsigned host) {
    struct line k = {.theirs = connect_from(d, host)};
    k.ours = accept(d->listener, NULL, NULL);
    assert_true(k.ours >= 0);
    guard_accepted(d->guard, k.ours, d->address);
    return k;
}

static struct line line_new(struct door *d) {
    return line_from(d, 1);
}

/* As the doorman does it, with the address that libzmq tells it. */
static bool admit(struct door *d, int64_t who, unsigned host) {
    char address[64];
    if (family == AF_UNIX)
        snprintf(address, sizeof address, "localhost:%u:%u:%d", geteuid(), getegid(), getpid());
    else
        snprintf(address, sizeof address, "127.0.0.%u", host);
    return guard_admitted(d->guard, who, bytes_text(address), live_now(&d->live));
}

static void line_free(struct line *k) {
    close(k->ours);
    close(k->theirs);
}

/* It arrives, as far as the kernel knows, and is read by somebody who is not the node. */
static void arrive(const struct line *k, size_t bytes) {
    static uint8_t piece[PIECE];
    for (size_t left = bytes; left;) {
        size_t size = left < sizeof piece ? left : sizeof piece;
        assert_int_equal(send(k->theirs, piece, size, MSG_NOSIGNAL), size);
        assert_int_equal(recv(k->ours, piece, size, MSG_WAITALL), size);
        left -= size;
    }
}

static void look(struct door *d) {
    guard_look(d->guard, &d->live);
}

static bool is_shut(int theirs) {
    uint8_t byte;
    return recv(theirs, &byte, 1, MSG_DONTWAIT) == 0;
}

static void pass(struct door *d, double seconds) {
    d->live.epoch -= (int64_t)(seconds * 1e9);
}

/* What the node takes is no debt, however much it is. */
static void test_live_guard_leaves_honest_peers(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line k = line_new(&d);
    look(&d);
    for (int i = 0; i < 20; i++) {
        arrive(&k, 4u << 20);
        guard_took(d.guard, k.ours, 4u << 20, 2);
        look(&d);
    }
    assert_false(is_shut(k.theirs));
    assert_int_equal(d.live.shut, 0);
    line_free(&k);
    door_close(&d);
}

/* What is not taken is, up to the limit of a peer, or of the owner. */
static void test_live_guard_shuts_who_sends_too_much(void **state) {
    (void)state;
    const size_t limits[] = {LIVE_OWNER_BYTES, LIVE_LINK_BYTES};
    for (int who = 0; who < 2; who++) {
        struct door d;
        door_open(&d);
        struct line k = line_new(&d);
        look(&d);
        arrive(&k, PIECE);
        guard_took(d.guard, k.ours, PIECE, who);
        look(&d);
        arrive(&k, limits[who]);
        look(&d);
        assert_false(is_shut(k.theirs));
        arrive(&k, PIECE);
        look(&d);
        assert_true(is_shut(k.theirs));
        assert_int_equal(d.live.shut, 1);
        line_free(&k);
        door_close(&d);
    }
}

/* What comes before the first look counts as well. */
static void test_live_guard_counts_from_the_beginning(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line k = line_new(&d);
    arrive(&k, LIVE_LINK_BYTES + PIECE);
    look(&d);
    assert_true(is_shut(k.theirs));
    assert_int_equal(d.live.shut, 1);
    line_free(&k);
    door_close(&d);
}

/* A thousand honest messages, each counted with more overhead than it had, are no credit for what comes then. */
static void test_live_guard_gives_no_credit(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line k = line_new(&d);
    look(&d);
    for (int i = 0; i < 100000; i++) guard_took(d.guard, k.ours, 100, 1);
    look(&d);
    arrive(&k, LIVE_LINK_BYTES + 1);
    look(&d);
    assert_true(is_shut(k.theirs));
    line_free(&k);
    door_close(&d);
}

/* A link that comes to the limit in hours has carried heartbeats: it is renewed, and nobody is blamed. */
static void test_live_guard_renews_quiet_links(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line k = line_new(&d);
    look(&d);
    for (int i = 0; i < 16; i++, pass(&d, 600)) {
        arrive(&k, LIVE_LINK_BYTES / 16);
        look(&d);
        assert_false(is_shut(k.theirs));
    }
    arrive(&k, PIECE);
    look(&d);
    assert_true(is_shut(k.theirs));
    assert_int_equal(d.live.shut, 0);
    line_free(&k);
    door_close(&d);
}

/* A descriptor that has come to stand for another connection is not shut for what the old one did. */
static void test_live_guard_knows_connections_apart(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line bad = line_new(&d), other;
    look(&d);
    arrive(&bad, PIECE); /* and then that connection ends, and its number is given to another one */
    other.theirs = connect_to(&d);
    int accepted = accept(d.listener, NULL, NULL);
    other.ours = bad.ours;
    assert_int_equal(dup2(accepted, bad.ours), bad.ours);
    close(accepted);
    arrive(&other, LIVE_LINK_BYTES * 2);
    look(&d);
    assert_false(is_shut(other.theirs));
    line_free(&other);
    close(bad.theirs);
    door_close(&d);
}

/* Of those that have not finished their handshake the oldest go; one that has spoken is none of them. */
static void test_live_guard_thins_out_strangers(void **state) {
    (void)state;
    struct door d;
    struct line lines[MORE];
    door_open(&d);
    struct line peer = line_new(&d);
    arrive(&peer, 2000);
    for (int i = 0; i < MORE; i++) lines[i] = line_new(&d);
    look(&d);
    for (int i = 0; i < MORE; i++) assert_int_equal(is_shut(lines[i].theirs), i < MORE - GUARD_STRANGERS);
    assert_false(is_shut(peer.theirs));
    assert_int_equal(d.live.refused, MORE - GUARD_STRANGERS);
    for (int i = 0; i < MORE; i++) line_free(&lines[i]);
    line_free(&peer);
    door_close(&d);
}

/* However many have come since the last look: after it there are no more than may be. */
static void test_live_guard_thins_out_a_crowd(void **state) {
    (void)state;
    struct door d;
    struct line lines[CROWD];
    door_open(&d);
    for (int i = 0; i < CROWD; i++) lines[i] = line_new(&d);
    look(&d);
    for (int i = 0; i < CROWD; i++) assert_int_equal(is_shut(lines[i].theirs), i < CROWD - GUARD_STRANGERS);
    assert_int_equal(d.live.refused, CROWD - GUARD_STRANGERS);
    assert_int_equal(d.live.shut, 0);
    for (int i = 0; i < CROWD; i++) line_free(&lines[i]);
    door_close(&d);
}

/* Libzmq ends what has not finished its handshake in time, so one that is older has finished it, however little came. Of those
 * too the oldest go when they are too many, which nobody has to be. */
static void test_live_guard_leaves_silent_peers(void **state) {
    (void)state;
    struct door d;
    struct line lines[MORE];
    door_open(&d);
    for (int i = 0; i < MORE - 6; i++) {
        lines[i] = line_new(&d);
        if (i == MORE / 2) look(&d), pass(&d, 4);
    }
    look(&d);
    for (int i = 0; i < MORE - 6; i++) assert_false(is_shut(lines[i].theirs));
    pass(&d, 4);
    for (int i = MORE - 6; i < MORE; i++) lines[i] = line_new(&d);
    look(&d);
    for (int i = 0; i < MORE; i++) assert_int_equal(is_shut(lines[i].theirs), i < 6 - NODES);
    assert_int_equal(d.live.shut, 6 - NODES);
    for (int i = 0; i < MORE; i++) line_free(&lines[i]);
    door_close(&d);
}

/* Many connections of one key are one peer: what they hold is summed, and who holds most of it goes. */
static void test_live_guard_sums_a_key(void **state) {
    (void)state;
    struct door d;
    struct line lines[4];
    door_open(&d);
    for (int i = 0; i < 4; i++) lines[i] = line_new(&d);
    look(&d);
    for (int i = 0; i < 4; i++) {
        arrive(&lines[i], PIECE);
        guard_took(d.guard, lines[i].ours, PIECE, i < 3 ? 2 : 1);
    }
    look(&d);
    for (int i = 0; i < 4; i++) arrive(&lines[i], LIVE_LINK_BYTES / 4);
    look(&d);
    for (int i = 0; i < 4; i++) assert_false(is_shut(lines[i].theirs));
    arrive(&lines[1], LIVE_LINK_BYTES / 4 + PIECE);
    look(&d);
    for (int i = 0; i < 4; i++) assert_int_equal(is_shut(lines[i].theirs), i == 1);
    assert_int_equal(d.live.shut, 1);
    for (int i = 0; i < 4; i++) line_free(&lines[i]);
    door_close(&d);
}

/* So are many connections that have not said whose they are. */
static void test_live_guard_sums_the_silent(void **state) {
    (void)state;
    struct door d;
    struct line lines[5];
    door_open(&d);
    for (int i = 0; i < 5; i++) lines[i] = line_new(&d);
    look(&d);
    for (int i = 0; i < 5; i++) arrive(&lines[i], LIVE_LINK_BYTES / 4 + (i == 3 ? PIECE : 0));
    look(&d);
    for (int i = 0; i < 5; i++) assert_int_equal(is_shut(lines[i].theirs), i == 3);
    for (int i = 0; i < 5; i++) line_free(&lines[i]);
    door_close(&d);
}

/* A key has so many connections at once; of more the oldest go, and nobody else's. */
static void test_live_guard_counts_connections(void **state) {
    (void)state;
    enum { ALL = GUARD_CONNECTIONS + 5 };
    struct door d;
    struct line lines[ALL];
    door_open(&d);
    for (int i = 0; i < ALL; i++) {
        lines[i] = line_new(&d);
        arrive(&lines[i], PIECE);
        guard_took(d.guard, lines[i].ours, PIECE, i ? 2 : 1);
        look(&d);
    }
    for (int i = 0; i < ALL; i++) assert_int_equal(is_shut(lines[i].theirs), i > 0 && i <= 4);
    assert_int_equal(d.live.shut, 4);
    for (int i = 0; i < ALL; i++) line_free(&lines[i]);
    door_close(&d);
}

/* Handshakes of one key may come in a crowd, and then at a rate; another key's do not wait for it. */
static void test_live_guard_paces_handshakes(void **state) {
    (void)state;
    struct door d;
    int granted = 0;
    door_open(&d);
    while (granted < 2 * GUARD_AHEAD && admit(&d, 2, 1)) granted++;
    assert_in_range(granted, GUARD_AHEAD, GUARD_AHEAD + 20); /* some are due meanwhile */
    assert_true(admit(&d, 1, 1));
    pass(&d, 1);
    for (granted = 0; granted < 2 * GUARD_AHEAD && admit(&d, 2, 1);) granted++;
    assert_in_range(granted, 50, 70);
    door_close(&d);
}

/* A removed key's connections are closed, and nobody else's: not the silent one either, while all that the key was let in with
 * have spoken. The key is a node's number or, by hand, a name of its own. */
static void test_live_guard_expels(void **state) {
    (void)state;
    const int64_t keys[] = {2, guard_key("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")};
    for (int i = 0; i < 2; i++) {
        struct door d;
        door_open(&d);
        struct line lines[4];
        for (int k = 0; k < 4; k++) lines[k] = line_new(&d);
        const int64_t who[] = {1, keys[i], keys[i], 3};
        for (int k = 0; k < 4; k++) assert_true(admit(&d, who[k], 1));
        for (int k = 0; k < 3; k++) guard_took(d.guard, lines[k].ours, 10, who[k]);
        guard_expel(d.guard, keys[i]);
        look(&d);
        for (int k = 0; k < 4; k++) assert_int_equal(is_shut(lines[k].theirs), k == 1 || k == 2);
        assert_int_equal(d.live.shut, 0); /* nobody did wrong */
        for (int k = 0; k < 4; k++) line_free(&lines[k]);
        door_close(&d);
    }
}

/* One that the removed key was let in with, and that has said nothing, is among the silent ones: they all go. What others have
 * spoken by stays; and what went before the key was removed does not count. */
static void test_live_guard_expels_the_silent(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line lines[3], gone = line_new(&d);
    assert_true(admit(&d, 2, 1));
    guard_took(d.guard, gone.ours, 10, 2);
    guard_closed(d.guard, &d.live, gone.ours);
    for (int k = 0; k < 3; k++) lines[k] = line_new(&d);
    assert_true(admit(&d, 1, 1));
    guard_took(d.guard, lines[0].ours, 10, 1);
    guard_expel(d.guard, 2);
    look(&d);
    for (int k = 0; k < 3; k++) assert_false(is_shut(lines[k].theirs));
    assert_true(admit(&d, 2, 1));
    guard_expel(d.guard, 2);
    look(&d);
    for (int k = 0; k < 3; k++) assert_int_equal(is_shut(lines[k].theirs), k > 0);
    for (int k = 0; k < 3; k++) line_free(&lines[k]);
    line_free(&gone);
    door_close(&d);
}

/* Who goes and was never let in is counted once; who was let in and said nothing is not, nor is who spoke. */
static void test_live_guard_counts_strangers_as_they_go(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line stranger = line_new(&d), silent = line_new(&d), spoken = line_new(&d), refused = line_new(&d);
    assert_true(admit(&d, 1, 1) && admit(&d, 2, 1));
    arrive(&silent, 1000);
    arrive(&spoken, 1000);
    guard_took(d.guard, spoken.ours, 10, 2);
    look(&d);
    guard_closed(d.guard, &d.live, silent.ours);
    guard_closed(d.guard, &d.live, spoken.ours);
    guard_turned_away(d.guard);
    guard_closed(d.guard, &d.live, refused.ours);
    assert_int_equal(d.live.refused, 0);
    guard_closed(d.guard, &d.live, stranger.ours);
    guard_closed(d.guard, &d.live, stranger.ours);
    assert_int_equal(d.live.refused, 1);
    line_free(&stranger);
    line_free(&silent);
    line_free(&spoken);
    line_free(&refused);
    door_close(&d);
}

/* Who was seen in the middle of his handshake, was let in and went before the next look, as a node does that is killed as it
 * starts, is no stranger; who went in the middle of his is one. */
static void test_live_guard_sees_who_was_let_in_between_two_looks(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line killed = line_new(&d), stranger = line_new(&d);
    arrive(&killed, 100);
    arrive(&stranger, 100);
    look(&d);
    arrive(&killed, 1000);
    assert_true(admit(&d, 1, 1));
    guard_closed(d.guard, &d.live, stranger.ours);
    assert_int_equal(d.live.refused, 1);
    guard_closed(d.guard, &d.live, killed.ours);
    assert_int_equal(d.live.refused, 1);
    line_free(&killed);
    line_free(&stranger);
    door_close(&d);
}

/* What another peer has opened from another host is left alone, and so it is where the key was let in from another process of
 * this host. */
static void test_live_guard_expels_by_address(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line near = line_new(&d), far = family == AF_INET ? line_from(&d, 2) : line_new(&d);
    assert_true(admit(&d, 1, 1));
    if (family == AF_INET)
        assert_true(admit(&d, 2, 2));
    else
        assert_true(guard_admitted(d.guard, 2, bytes_text("localhost:0:0:1"), 0));
    guard_expel(d.guard, 2);
    look(&d);
    assert_false(is_shut(near.theirs));
    assert_int_equal(is_shut(far.theirs), family == AF_INET);
    line_free(&near);
    line_free(&far);
    door_close(&d);
}

/* Of a hundred keys each has its own count of handshakes, from the first one on, wherever the keys were moved to meanwhile. */
static void test_live_guard_counts_every_key(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    for (int64_t who = 1; who <= 100; who++) {
        int granted = 0;
        while (granted < 2 * GUARD_AHEAD && guard_admitted(d.guard, who, bytes_text("127.0.0.1"), 0)) granted++;
        assert_int_equal(granted, GUARD_AHEAD + 1);
    }
    door_close(&d);
}

/* More than a count holds at once: it is set anew on the way, and stays true. */
static void test_live_guard_counts_beyond_two_gigabytes(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    struct line k = line_new(&d);
    for (int i = 0; i < 5 * 128; i++) {
        arrive(&k, 4u << 20);
        guard_took(d.guard, k.ours, (4u << 20) - 64, 1); /* with its overhead, exactly */
        look(&d);
    }
    assert_false(is_shut(k.theirs));
    arrive(&k, LIVE_LINK_BYTES + PIECE);
    look(&d);
    assert_true(is_shut(k.theirs));
    line_free(&k);
    door_close(&d);
}

/* Files, other sockets, closed and impossible descriptors: none of them is watched. */
static void test_live_guard_ignores_what_is_no_connection(void **state) {
    (void)state;
    struct door d;
    door_open(&d);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC), pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const int fds[] = {-1, 1 << 20, file, pair[0], d.listener};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        guard_accepted(d.guard, fds[i], d.address);
        guard_took(d.guard, fds[i], 100, 1);
        look(&d);
        guard_closed(d.guard, &d.live, fds[i]);
    }
    assert_int_equal(d.live.shut, 0);
    assert_int_equal(d.live.refused, 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    close(file);
    close(pair[0]);
    close(pair[1]);
    door_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_guard_leaves_honest_peers),
        cmocka_unit_test(test_live_guard_shuts_who_sends_too_much),
        cmocka_unit_test(test_live_guard_counts_from_the_beginning),
        cmocka_unit_test(test_live_guard_gives_no_credit),
        cmocka_unit_test(test_live_guard_renews_quiet_links),
        cmocka_unit_test(test_live_guard_knows_connections_apart),
        cmocka_unit_test(test_live_guard_thins_out_strangers),
        cmocka_unit_test(test_live_guard_thins_out_a_crowd),
        cmocka_unit_test(test_live_guard_leaves_silent_peers),
        cmocka_unit_test(test_live_guard_sums_a_key),
        cmocka_unit_test(test_live_guard_sums_the_silent),
        cmocka_unit_test(test_live_guard_counts_connections),
        cmocka_unit_test(test_live_guard_paces_handshakes),
        cmocka_unit_test(test_live_guard_expels),
        cmocka_unit_test(test_live_guard_expels_by_address),
        cmocka_unit_test(test_live_guard_counts_strangers_as_they_go),
        cmocka_unit_test(test_live_guard_sees_who_was_let_in_between_two_looks),
        cmocka_unit_test(test_live_guard_expels_the_silent),
        cmocka_unit_test(test_live_guard_counts_every_key),
        cmocka_unit_test(test_live_guard_counts_beyond_two_gigabytes),
        cmocka_unit_test(test_live_guard_ignores_what_is_no_connection),
    };
    int failed = cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
    family = AF_UNIX;
    return failed + cmocka_run_group_tests_name("ipc", tests, NULL, NULL);
}
