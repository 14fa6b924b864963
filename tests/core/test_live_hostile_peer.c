/* A member that lies, byte by byte: what it can say within CURVE that libzmq never would. It does so to one inbox, in this
 * process, so that an end of the process is this test's end, and the sanitizers see both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>
#include <cmocka.h>

#include "base/random.h"
#include "runtime/live/live_guard.h"
#include "support/live_inbox.h"
#include "support/raw_peer.h"
#include "support/symbolizer.h"

#if defined(QUEUE_TRACED) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define PATIENCE_MS 10000
#define THIEF 2 /* whose key it has */

static int32_t transport = TRANSPORT_TCP;

static const char ping[] = "\4PING\0\0";
#define PING ping, sizeof ping - 1

struct said { /* a frame without its seal, as one that was damaged on the way: it is handed on */
    struct envelope head;
    uint8_t frame[WIRE_HEADER];
};

static void wait_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void count_arrival(void *count, const struct arrival *arrival) {
    assert_int_equal(arrival->from, THIEF);
    ++*(unsigned *)count;
}

static unsigned take(struct inbox *f) {
    unsigned count = 0;
    while (actor_arrivals(&f->actor, count_arrival, &count)) continue;
    return count;
}

static void server_key(const struct inbox *f, uint8_t out[32]) {
    assert_non_null(zmq_z85_decode(out, f->live.gates.public_keys[0]));
}

static struct raw_key key_of(const struct inbox *f, int node) {
    struct raw_key k;
    assert_non_null(zmq_z85_decode(k.public, f->live.gates.public_keys[node]));
    assert_non_null(zmq_z85_decode(k.secret, f->secrets[node]));
    return k;
}

static bool open_named(const struct inbox *f, struct raw_peer *p, const void *name, size_t size) {
    struct raw_key key = key_of(f, THIEF);
    uint8_t server[32];
    server_key(f, server);
    return raw_open(p, raw_connect(f->live.gates.endpoints[0]), server, &key, name, size);
}

static void open_peer(const struct inbox *f, struct raw_peer *p) {
    assert_true(open_named(f, p, NULL, 0));
}

static void say(struct raw_peer *p, unsigned times) {
    struct said message = {.head = {THIEF, QRT_CLIENT + 1, 0, 0}};
    for (unsigned i = 0; i < times; i++) raw_frame(p, 0, &message, sizeof message);
}

/* Somebody who does no harm is still heard. */
static void assert_heard(struct inbox *f) {
    struct raw_peer p;
    unsigned heard = 0;
    open_peer(f, &p);
    say(&p, 3);
    assert_true(raw_flush(&p));
    for (int i = 0; i < PATIENCE_MS && heard < 3; i++, wait_ms(1)) heard += take(f);
    assert_true(heard >= 3); /* what others said before may come with it */
    raw_shut(&p);
}

/* Messages that nobody takes, more than any queue would hold, PINGs behind them, and a reset: a PING that was read ahead is
 * answered to a connection that has gone, which ends libzmq 4.3.4 (upstream 4364) if it had stopped to read. */
static void test_live_pings_of_a_peer_that_has_gone(void **state) {
    (void)state;
    for (unsigned pings = 1; pings <= 1000; pings *= 10) {
        struct inbox f;
        struct raw_peer p;
        inbox_begin(&f, transport, true);
        open_peer(&f, &p);
        say(&p, LIVE_HIGH_WATER + 8);
        for (unsigned i = 0; i < pings; i++) raw_frame(&p, RAW_COMMAND, PING);
        assert_true(raw_flush(&p));
        wait_ms(100);
        raw_reset(&p);
        wait_ms(100);
        assert_true(take(&f) > 0);
        assert_heard(&f);
        inbox_end(&f);
    }
}

/* ---- whatever there is to say ---- */

enum { VISITS = 200, SAYINGS = 100 };

/* A command of any name, cut off anywhere; a frame of noise; now and then a message that is sound. */
static void say_anything(struct raw_peer *p, struct random *r) {
    static const char *const names[] = {"PING",  "PONG", "SUBSCRIBE", "CANCEL",  "READY", "ERROR",
                                        "HELLO", "JOIN", "INITIATE",  "MESSAGE", "LEAVE", ""};
    uint8_t body[400];
    const char *name = names[random_u64(r) % (sizeof names / sizeof *names)];
    size_t size = random_u64(r) % sizeof body, length = strlen(name);
    for (size_t i = 0; i < size; i++) body[i] = (uint8_t)random_u64(r);
    if (random_u64(r) % 4 && size > length + 1) {
        body[0] = (uint8_t)length;
        memcpy(body + 1, name, length);
        size = random_u64(r) % 3 ? size : length + 1 + random_u64(r) % 3;
    }
    raw_frame(p, (unsigned)(random_u64(r) % 8 ? random_u64(r) % 4 : random_u64(r) % 256), body, size);
    if (random_u64(r) % 8 == 0) say(p, 1);
}

/* A routing id: none, another's, one that is not the peer's to give, a long one. */
static size_t any_name(struct random *r, uint8_t name[255]) {
    static const uint8_t given[] = {0, 0, 0, 0, 1};
    size_t size = random_u64(r) % 4 == 3 ? 255 : sizeof given;
    memset(name, 'n', 255);
    if (random_u64(r) % 2) memcpy(name, given, sizeof given);
    return random_u64(r) % 4 ? size : 0;
}

/* Nothing that is said within CURVE ends the process or keeps others from being heard. */
static void test_live_anything_within_curve(void **state) {
    (void)state;
    struct inbox f;
    struct random r = random_stream(4, 1, RANDOM_BENCH);
    inbox_begin(&f, transport, true);
    for (int i = 0; i < VISITS; i++) {
        struct raw_peer p;
        uint8_t name[255];
        size_t size = any_name(&r, name);
        if (open_named(&f, &p, name, size)) {
            for (int k = 0; k < SAYINGS; k++) say_anything(&p, &r);
            raw_flush(&p);
        }
        if (i % 3 == 0) take(&f);
        if (i % 2)
            raw_shut(&p);
        else
            raw_reset(&p);
    }
    take(&f);
    assert_heard(&f);
    inbox_end(&f);
}

/* ---- handshakes ---- */

enum { HALVES = 1000 };

static size_t descriptors(void) {
    size_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) count++;
    closedir(d);
    return count;
}

/* Strangers who know the inbox's public key and stop half way, a thousand of them at a time: few are kept, and a member comes in. */
static void test_live_half_handshakes(void **state) {
    (void)state;
    struct inbox f;
    struct raw_peer halves[HALVES];
    uint8_t server[32];
    struct rlimit before, many;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    many = before;
    many.rlim_cur = before.rlim_max < 3 * HALVES ? before.rlim_max : 3 * HALVES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
    inbox_begin(&f, transport, true);
    server_key(&f, server);
    size_t at_rest = descriptors() + SYMBOLIZER_PIPES;
    for (int i = 0; i < HALVES; i++) {
        int fd = raw_connect(f.live.gates.endpoints[0]);
        assert_true(fd >= 0);
        if (!raw_hello(&halves[i], fd, server)) halves[i].fd = fd;
    }
    for (int i = 0; i < PATIENCE_MS && descriptors() > at_rest + HALVES + GUARD_STRANGERS + 2; i++) wait_ms(1);
    assert_true(descriptors() <= at_rest + HALVES + GUARD_STRANGERS + 2);
    assert_heard(&f);
    for (int i = 0; i < HALVES; i++) raw_shut(&halves[i]);
    for (int i = 0; i < PATIENCE_MS && descriptors() > at_rest + 1; i++) wait_ms(1);
    assert_true(descriptors() <= at_rest + 1);
    inbox_end(&f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* What was overheard is worth nothing: another connection's cookie and keys are refused, and so is a message sent twice. */
static void test_live_replays(void **state) {
    (void)state;
    struct inbox f;
    struct raw_peer first, second;
    struct raw_key key;
    uint8_t server[32];
    inbox_begin(&f, transport, true);
    key = key_of(&f, THIEF);
    server_key(&f, server);
    assert_true(raw_hello(&first, raw_connect(f.live.gates.endpoints[0]), server));
    assert_true(raw_hello(&second, raw_connect(f.live.gates.endpoints[0]), server));
    int fd = second.fd;
    second = first;
    second.fd = fd;
    assert_false(raw_initiate(&second, server, &key, NULL, 0));
    raw_shut(&second);
    first.out = NULL; /* was `second`'s too */
    first.capacity = 0;
    assert_true(raw_initiate(&first, server, &key, NULL, 0));
    for (int i = 0; i < 2; i++) {
        uint64_t nonce = first.nonce;
        say(&first, 1);
        first.nonce = nonce; /* the same bytes again */
    }
    assert_true(raw_flush(&first));
    for (int i = 0; i < PATIENCE_MS && !raw_is_closed(&first); i++) wait_ms(1);
    assert_true(raw_is_closed(&first));
    assert_int_equal(take(&f), 1);
    raw_shut(&first);
    assert_heard(&f);
    inbox_end(&f);
}

/* ---- what it makes the inbox hold ---- */

static uint64_t resident(void) {
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %llu", &pages), 1);
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t shut_so_far(const struct inbox *f) {
    return atomic_load(&f->live.shut);
}

/* Messages of a size, without end, while nobody takes any: how much memory it was when the guard had shut the connection. */
static uint64_t flood(struct inbox *f, size_t size) {
    static uint8_t payload[65536];
    struct raw_peer p;
    malloc_trim(0);
    uint64_t before = resident(), most = 0, shut = shut_so_far(f);
    open_peer(f, &p);
    do {
        for (size_t bytes = 0; bytes < sizeof payload; bytes += size + 64) raw_frame(&p, 0, payload, size);
        uint64_t now = resident();
        most = now > before + most ? now - before : most;
    } while (raw_flush(&p) && shut_so_far(f) == shut);
    for (int i = 0; i < PATIENCE_MS && shut_so_far(f) == shut; i++) wait_ms(1);
    assert_int_equal(shut_so_far(f), shut + 1);
    raw_shut(&p);
    return most;
}

/* The smallest messages take the most room for a byte that has come. */
static void test_live_a_flood_stays_in_the_budget(void **state) {
    (void)state;
    const size_t sizes[] = {0, 34, 1000, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct inbox f;
        inbox_begin(&f, transport, true);
        uint64_t most = flood(&f, sizes[i]);
        print_message("  messages of %zu bytes: %.1f MiB before it is shut\n", sizes[i], (double)most / 1048576.0);
        assert_true(SANITIZED || most <= 2 * LIVE_HELD_COST * (uint64_t)LIVE_LINK_BYTES);
        take(&f);
        assert_heard(&f);
        inbox_end(&f);
    }
}

int main(void) {
    cmocka_set_test_filter(getenv("QUORATE_HOSTILE_TEST"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_pings_of_a_peer_that_has_gone),
        cmocka_unit_test(test_live_anything_within_curve),
        cmocka_unit_test(test_live_half_handshakes),
        cmocka_unit_test(test_live_replays),
        cmocka_unit_test(test_live_a_flood_stays_in_the_budget),
    };
    int failed = cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
    transport = TRANSPORT_IPC;
    return failed + cmocka_run_group_tests_name("ipc", tests, NULL, NULL);
}
