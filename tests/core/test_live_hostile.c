/* Peers that mean harm: strangers without a key, strangers with one, and a peer with an allowed key that has gone mad. While
 * each of them does what it can to one node, the cluster keeps its leader and its term and acknowledges writes, and no node
 * takes more memory than the budget that it prints. Every attack that was measured to hurt libzmq 4.3.4 is here.
 *
 * QUORATE_HOSTILE_FRAMES=10000000 makes the two storms of random frames as long as that; `make hostile` does so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>
#include <cmocka.h>

#include "base/random.h"
#include "cluster/cluster.h"
#include "runtime/live/live_doorman.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_share.h"
#include "support/raw_peer.h"

#if defined(QUEUE_TRACED) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define SECOND INT64_C(1000000000)
#define PATIENCE (20 * SECOND)
#define NODES 3
#define SILENT 200
#define STRANGE_KEYS 40
#define HALVES 3000
#define PART 65536
#define MANY_PARTS 8192 /* 512 MiB in one message */
#define MAD_MESSAGES 3

/* ---- a cluster under siege ---- */

struct siege {
    struct cluster *c;
    struct live *live;
    uint16_t leader, target, thief; /* thief: whose key the attacker has */
    uint64_t term;
    atomic_bool over;
    void (*attack)(struct siege *s);
    uint64_t frames;
    struct random random;
};

static struct node_view view_of(struct cluster *c, uint16_t node) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    return v;
}

static void run_for(struct cluster *c, int64_t ns) {
    struct error e = {0};
    assert_int_equal(cluster_run(c, c->class->now(c->runtime) + ns, NULL, 0, &e), QRT_OK);
}

static const char *transport = "tcp";

static void siege_begin(struct siege *s, void (*attack)(struct siege *s)) {
    struct setting settings[] = {{"runtime", "live"},  {"nodes", "3"},     {"transport", transport},
                                 {"disk", "memory"},   {"record", "last"}, {"election_timeout", "1500ms"},
                                 {"sessions", "1000"}, {"timeout", "20"}};
    struct error e = {0};
    *s = (struct siege){.attack = attack};
    s->c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    if (!s->c) fail_msg("%s", e.text);
    s->live = s->c->runtime;
    if (cluster_run(s->c, PATIENCE, "leader", 0, &e)) fail_msg("%s", e.text);
    s->leader = s->c->class->leader(s->c->runtime);
    s->target = s->leader;
    s->thief = (uint16_t)(s->leader % NODES + 1);
    s->term = view_of(s->c, s->leader).status.term;
}

static int64_t write_once(struct siege *s) {
    struct error e = {0};
    qrt_result result;
    uint64_t ticket;
    int64_t began = s->c->class->now(s->c->runtime);
    assert_int_equal(cluster_propose(s->c, 0, bytes_text("x = 1"), &ticket, &e), QRT_OK);
    if (cluster_await(s->c, ticket, began + PATIENCE, 0, &result, &e)) fail_msg("%s", e.text);
    assert_int_equal(result.status, QRT_OK);
    return s->c->class->now(s->c->runtime) - began;
}

static void *attack_main(void *siege) {
    struct siege *s = siege;
    s->attack(s);
    atomic_store(&s->over, true);
    return NULL;
}

static uint64_t peak_memory(int32_t pid) {
    char path[32], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1) break;
    fclose(f);
    return kib << 10;
}

/* A sanitizer's shadow is no memory of ours. */
static void assert_within_budget(const struct node_view *v) {
    assert_true(v->memory > 0 && v->memory_budget > 0);
    if (SANITIZED) return;
    if (peak_memory(v->pid) > v->memory_budget)
        fail_msg("n%u took %llu bytes", v->node, (unsigned long long)peak_memory(v->pid));
}

/* Writes go on until the attack is over; then the leader is who it was, and no node went beyond its budget. */
static void endure(struct siege *s) {
    pthread_t thread;
    int64_t longest = 0;
    unsigned writes = 0;
    assert_int_equal(pthread_create(&thread, NULL, attack_main, s), 0);
    for (; !atomic_load(&s->over) || writes < 10; writes++) {
        int64_t took = write_once(s);
        longest = took > longest ? took : longest;
        run_for(s->c, SECOND / 1000);
    }
    pthread_join(thread, NULL);
    run_for(s->c, SECOND / 10); /* what the nodes have counted is published with their next input */
    for (uint16_t i = 1; i <= NODES; i++) {
        struct node_view v = view_of(s->c, i);
        assert_true(v.up);
        assert_int_equal(v.status.term, s->term);
        assert_int_equal(v.memory_budget, live_budget(s->live));
        assert_within_budget(&v);
    }
    struct node_view v = view_of(s->c, s->target);
    assert_int_equal(s->c->class->leader(s->c->runtime), s->leader);
    print_message("  %u writes, the slowest %.1f ms; peak %.1f of %.1f MiB; refused %llu, rejected %llu, shut %llu\n",
                  writes, (double)longest / 1e6, (double)peak_memory(v.pid) / 1048576.0,
                  (double)v.memory_budget / 1048576.0, (unsigned long long)v.refused,
                  (unsigned long long)v.counts.rejected, (unsigned long long)v.shut);
}

static void siege_end(struct siege *s) {
    cluster_free(s->c);
}

/* ---- what attackers have ---- */

static void wait_ms(int ms) {
    zmq_poll(NULL, 0, ms);
}

static int connect_raw(const struct siege *s) {
    int fd = raw_connect(s->live->gates.endpoints[s->target]);
    assert_true(fd >= 0);
    return fd;
}

static bool say_raw(int fd, const void *data, size_t size) {
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The first 64 bytes of ZMTP 3.0 (RFC 23). */
static void greet(int fd, const char *mechanism) {
    uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3};
    snprintf((char *)greeting + 12, 20, "%s", mechanism);
    (void)say_raw(fd, greeting, sizeof greeting);
}

struct dealer {
    void *context, *socket;
};

/* keys NULL: a new pair, unknown to everybody; name: the routing id, or NULL. */
static struct dealer dealer_open(const struct siege *s, const char *public_key, const char *secret_key,
                                 const char *name, int heartbeat_ms) {
    struct dealer d = {.context = zmq_ctx_new()};
    char own_public[KEY_TEXT], own_secret[KEY_TEXT];
    d.socket = zmq_socket(d.context, ZMQ_DEALER);
    assert_int_equal(zmq_curve_keypair(own_public, own_secret), 0);
    zmq_setsockopt(d.socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(d.socket, ZMQ_SNDTIMEO, &(int){5000}, sizeof(int));
    if (name) zmq_setsockopt(d.socket, ZMQ_ROUTING_ID, name, strlen(name));
    if (heartbeat_ms) zmq_setsockopt(d.socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms);
    zmq_setsockopt(d.socket, ZMQ_CURVE_SERVERKEY, s->live->gates.public_keys[s->target], KEY_TEXT - 1);
    zmq_setsockopt(d.socket, ZMQ_CURVE_PUBLICKEY, public_key ? public_key : own_public, KEY_TEXT - 1);
    zmq_setsockopt(d.socket, ZMQ_CURVE_SECRETKEY, public_key ? secret_key : own_secret, KEY_TEXT - 1);
    assert_int_equal(zmq_connect(d.socket, s->live->gates.endpoints[s->target]), 0);
    return d;
}

static struct dealer dealer_thief(const struct siege *s, const char *name, int heartbeat_ms) {
    return dealer_open(s, s->live->gates.public_keys[s->thief], process_share(s->live, s->thief)->gates.secret_key,
                       name, heartbeat_ms);
}

static void dealer_close(struct dealer *d) {
    zmq_close(d->socket);
    zmq_ctx_term(d->context);
}

static void keep(void *data, void *hint) {
    (void)data;
    (void)hint;
}

/* One message of so many parts; it takes no memory here. */
static void send_parts(struct dealer *d, int parts) {
    static uint8_t part[PART];
    for (int i = 0; i < parts; i++) {
        zmq_msg_t m;
        zmq_msg_init_data(&m, part, sizeof part, keep, NULL);
        if (zmq_msg_send(&m, d->socket, i + 1 < parts ? ZMQ_SNDMORE : 0) < 0) zmq_msg_close(&m);
    }
}

/* ---- strangers without a key ---- */

/* A peer that speaks ZMTP without a key, and sends a message of many frames that never ends. */
static void endless_without_key(struct siege *s) {
    static uint8_t frame[9 + PART] = {3, [6] = 1}; /* more, long; 65,536 bytes */
    static const uint8_t ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                   "DEALER";
    for (int i = 0; i < 100; i++) {
        int fd = connect_raw(s);
        greet(fd, "NULL");
        (void)say_raw(fd, ready, sizeof ready - 1);
        for (int k = 0; k < 1000 && say_raw(fd, frame, sizeof frame); k++) continue;
        close(fd);
    }
}

static void test_live_endless_message_of_a_stranger(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, endless_without_key);
    endure(&s);
    assert_int_equal(view_of(s.c, s.target).counts.rejected, 0); /* not a byte came to the node */
    siege_end(&s);
}

/* Greetings of any bytes, commands of 2^62 bytes, and none at all. */
static void giant_headers(struct siege *s) {
    uint8_t giant[9] = {6, 0x40}, noise[4096];
    static const char *mechanisms[] = {"NULL", "PLAIN", "CURVE", "GSSAPI", "", "CURVECURVECURVECURVE"};
    s->random = random_stream(1, 1, RANDOM_BENCH);
    for (int i = 0; i < 300; i++) {
        int fd = connect_raw(s);
        for (size_t k = 0; k < sizeof noise; k++) noise[k] = (uint8_t)random_u64(&s->random);
        if (i % 7 < 6) greet(fd, mechanisms[i % 7]);
        if (i % 2) (void)say_raw(fd, giant, sizeof giant);
        (void)say_raw(fd, noise, sizeof noise);
        close(fd);
    }
}

static void test_live_giant_headers(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, giant_headers);
    endure(&s);
    assert_int_equal(view_of(s.c, s.target).counts.rejected, 0);
    siege_end(&s);
}

static size_t descriptors_of(int32_t pid) {
    char path[32];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d)) count++;
    closedir(d);
    return count - 2;
}

static bool few_descriptors(const struct siege *s, size_t most) {
    for (int i = 0; i < 500; i++, wait_ms(10))
        if (descriptors_of(process_share(s->live, s->target)->shown.view.pid) <= most) return true;
    return false;
}

/* Two hundred connections that say nothing, held open by the other side. */
static void silent(struct siege *s) {
    int fds[SILENT];
    size_t before = descriptors_of(process_share(s->live, s->target)->shown.view.pid);
    for (int i = 0; i < SILENT; i++) fds[i] = connect_raw(s);
    s->frames = few_descriptors(s, before + GUARD_STRANGERS + 2); /* soon no more than may be */
    s->frames = s->frames && few_descriptors(s, before + 2);      /* and none when a handshake's time is over */
    for (int i = 0; i < SILENT; i++) close(fds[i]);
}

static void test_live_silent_connections(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, silent);
    endure(&s);
    assert_true(s.frames);
    assert_true(view_of(s.c, s.target).refused >= SILENT - GUARD_STRANGERS);
    siege_end(&s);
}

/* Strangers who know the node's public key and stop half way, thousands of them; the last ones stay. */
static void half_handshakes(struct siege *s) {
    enum { STAY = 300 };
    static struct raw_peer peers[STAY];
    uint8_t server[32];
    size_t before = descriptors_of(process_share(s->live, s->target)->shown.view.pid);
    zmq_z85_decode(server, s->live->gates.public_keys[s->target]);
    for (int i = 0; i < HALVES; i++) {
        struct raw_peer *p = &peers[i % STAY];
        if (i >= STAY) raw_shut(p);
        (void)!raw_hello(p, connect_raw(s), server);
    }
    s->frames = few_descriptors(s, before + GUARD_STRANGERS + 2);
    for (int i = 0; i < STAY; i++) raw_shut(&peers[i]);
}

static void test_live_half_handshakes(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, half_handshakes);
    endure(&s);
    assert_true(s.frames);
    assert_true(view_of(s.c, s.target).refused >= HALVES - 300);
    siege_end(&s);
}

/* A node that may open no more descriptors. */
static void exhaust(struct siege *s) {
    int32_t pid = process_share(s->live, s->target)->shown.view.pid;
    struct rlimit before, few;
    int fds[8];
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &before), 0);
    few = before;
    few.rlim_cur = descriptors_of(pid);
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < 8; i++) fds[i] = connect_raw(s);
    for (int i = 0; i < 500 && !view_of(s->c, s->target).unaccepted; i++) wait_ms(10);
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &before, NULL), 0);
    for (int i = 0; i < 8; i++) close(fds[i]);
}

/* Connections that the system cannot give are counted; those that there are go on. */
static void test_live_no_descriptor_left(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, exhaust);
    endure(&s);
    assert_true(view_of(s.c, s.target).unaccepted > 0);
    siege_end(&s);
}

/* ---- strangers with a key of their own ---- */

static void strange_keys(struct siege *s) {
    for (int i = 0; i < STRANGE_KEYS; i++) {
        uint64_t before = view_of(s->c, s->target).refused;
        struct dealer d = dealer_open(s, NULL, NULL, NULL, 0);
        zmq_setsockopt(d.socket, ZMQ_SNDTIMEO, &(int){0}, sizeof(int));
        send_parts(&d, 100);
        for (int k = 0; k < 500 && view_of(s->c, s->target).refused == before; k++) wait_ms(5);
        dealer_close(&d);
    }
}

static void test_live_strange_keys(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, strange_keys);
    endure(&s);
    assert_true(view_of(s.c, s.target).refused >= STRANGE_KEYS);
    assert_int_equal(view_of(s.c, s.target).counts.rejected, 0);
    siege_end(&s);
}

/* ---- a peer with an allowed key ---- */

/* A gigabyte and a half, in messages of 512 MiB. Without the guard each of them is kept whole. */
static void endless_with_key(struct siege *s) {
    struct dealer d = dealer_thief(s, NULL, 0);
    for (int i = 1; i <= MAD_MESSAGES; i++) {
        send_parts(&d, MANY_PARTS);
        for (int k = 0; k < 1000 && view_of(s->c, s->target).shut < (uint64_t)i; k++) wait_ms(10);
    }
    dealer_close(&d);
}

static void test_live_endless_message_of_a_peer(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, endless_with_key);
    endure(&s);
    assert_int_equal(view_of(s.c, s.target).shut, MAD_MESSAGES);
    assert_true(SANITIZED || peak_memory(view_of(s.c, s.target).pid) < (uint64_t)MANY_PARTS * PART / 2);
    siege_end(&s);
}

/* A frame that is larger than any may be ends its connection. */
static void giant_frames(struct siege *s) {
    uint8_t *giant = mem_zero(1, 64u << 20);
    struct dealer d = dealer_thief(s, NULL, 0);
    for (int i = 0; i < 20; i++) {
        zmq_msg_t m;
        zmq_msg_init_data(&m, giant, (size_t)2 << 20 << i % 6, keep, NULL);
        if (zmq_msg_send(&m, d.socket, 0) < 0) zmq_msg_close(&m);
        wait_ms(20);
    }
    dealer_close(&d);
    free(giant);
}

static void test_live_giant_frames(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, giant_frames);
    endure(&s);
    assert_int_equal(view_of(s.c, s.target).counts.rejected, 0);
    siege_end(&s);
}

/* Routing ids that are others' names: they mean nothing, and whoever squats on one locks nobody out. */
static void claimed_identities(struct siege *s) {
    static const char *names[] = {"1", "2", "3", "n1", "n2", "n3", "0"};
    struct envelope head = {s->leader, s->target, 0, live_now(s->live)};
    uint8_t message[sizeof head + 64] = {0};
    memcpy(message, &head, sizeof head);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct dealer first = dealer_thief(s, names[i], 0), second = dealer_thief(s, names[i], 0);
        for (int k = 0; k < 20; k++) {
            zmq_send(first.socket, message, sizeof message, 0);
            zmq_send(second.socket, message, sizeof message, ZMQ_DONTWAIT);
        }
        wait_ms(50);
        dealer_close(&first);
        dealer_close(&second);
    }
}

static void test_live_claimed_identities(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, claimed_identities);
    endure(&s);
    assert_true(view_of(s.c, s.target).counts.rejected > 0);
    siege_end(&s);
}

/* ---- storms ---- */

static uint64_t storm_frames(void) {
    const char *text = getenv("QUORATE_HOSTILE_FRAMES");
    return text ? strtoull(text, NULL, 10) : 100000;
}

static size_t fill_noise(struct siege *s, uint8_t *out, size_t size) {
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = random_u64(&s->random);
        memcpy(out + i, &word, size - i < 8 ? size - i : 8);
    }
    return size;
}

/* Noise; noise behind an envelope that is in order; a frame without its seal; a sealed one of a version that is not ours. */
static size_t make_noise(struct siege *s, uint8_t *out) {
    struct envelope head = {s->thief, s->target, 0, live_now(s->live)};
    size_t size = sizeof head + WIRE_HEADER + random_u64(&s->random) % 200;
    unsigned kind = (unsigned)(random_u64(&s->random) % 4);
    uint8_t *frame = out + sizeof head;
    fill_noise(s, out, size);
    if (kind == 0) return random_u64(&s->random) % size;
    memcpy(out, &head, sizeof head);
    if (kind == 1) return size;
    frame[8] = kind == 2 ? WIRE_VERSION : 0xff;
    frame[9] = (uint8_t)(random_u64(&s->random) % 32);
    memcpy(frame + 12, &s->thief, sizeof s->thief);
    memcpy(frame + 14, &s->target, sizeof s->target);
    if (kind == 3) wire_seal(frame, size - sizeof head, (uint64_t)s->thief << 40 | 77, s->live->cluster_id);
    return size;
}

/* A message that there is, of the thief's own, with up to eight of its bytes changed, and sealed. Most of them get to the
 * protocol, which trusts its members: it may be led astray, but never ended. */
static size_t make_lie(struct siege *s, uint8_t *out) {
    struct envelope head = {s->thief, s->target, 0, live_now(s->live)};
    struct message m = {.from = s->thief, .to = s->target};
    struct buffer frame = {0};
    while (!frame.size) {
        m.kind = (uint8_t)(random_u64(&s->random) % 100);
        wire_append(&m, &frame);
    }
    for (uint64_t i = random_u64(&s->random) % 9; i && frame.size > WIRE_HEADER; i--)
        frame.data[WIRE_HEADER + random_u64(&s->random) % (frame.size - WIRE_HEADER)] = (uint8_t)random_u64(&s->random);
    wire_seal(frame.data, frame.size, (uint64_t)s->thief << 40 | 77, s->live->cluster_id);
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, frame.data, frame.size);
    size_t size = sizeof head + frame.size;
    buffer_free(&frame);
    return size;
}

static void storm_of(struct siege *s, size_t (*make)(struct siege *s, uint8_t *out)) {
    struct dealer d = dealer_thief(s, NULL, 0);
    uint8_t frame[4096];
    s->random = random_stream(2, 1, RANDOM_BENCH);
    for (uint64_t i = 0; i < storm_frames(); i++) {
        size_t size = make(s, frame);
        if (random_u64(&s->random) % 64 == 0) zmq_send(d.socket, frame, size / 2, ZMQ_SNDMORE);
        s->frames += zmq_send(d.socket, frame, size, 0) >= 0;
    }
    for (int i = 0; i < 500; i++) { /* until nothing more comes of it */
        struct node_view v = view_of(s->c, s->target);
        if (v.counts.rejected + v.counts.received >= s->frames) break;
        wait_ms(10);
    }
    dealer_close(&d);
}

static void storm_of_noise(struct siege *s) {
    storm_of(s, make_noise);
}

/* Not one of these frames gets to the protocol. */
static void test_live_random_frames(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, storm_of_noise);
    endure(&s);
    assert_true(s.frames >= storm_frames() && view_of(s.c, s.target).counts.rejected >= s.frames * 9 / 10);
    siege_end(&s);
}

/* Every node stays up, within its budget, whatever a member says. */
static void test_live_lying_frames(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, NULL);
    storm_of(&s, make_lie);
    run_for(s.c, SECOND / 10);
    for (uint16_t i = 1; i <= NODES; i++) {
        struct node_view v = view_of(s.c, i);
        if (!v.up) fail_msg("n%u: %s", i, v.why_down);
        assert_within_budget(&v);
    }
    struct node_view v = view_of(s.c, s.target);
    print_message("  %llu lies sent: %llu messages received, %llu rejected\n", (unsigned long long)s.frames,
                  (unsigned long long)v.counts.received, (unsigned long long)v.counts.rejected);
    assert_true(v.counts.received > s.frames / 4);
    siege_end(&s);
}

static void fault(struct siege *s, const char *verb) {
    char json[64];
    struct plan plan = {0};
    struct directive d;
    struct error e = {0};
    snprintf(json, sizeof json, "{\"do\":\"%s\",\"node\":%u}", verb, s->target);
    assert_int_equal(directive_parse(&d, bytes_text(json), NODES, &e), QRT_OK);
    plan_add(&plan, &d);
    assert_int_equal(s->c->class->fault(s->c->runtime, &plan, &e), QRT_OK);
    plan_free(&plan);
}

static void ignore_field(void *context, const char *name, const char *value) {
    (void)context;
    (void)name;
    (void)value;
}

/* A node that takes nothing for a while is sent frames with ZeroMQ's own heartbeats in between, by a peer that is gone when
 * it goes on. Our own soak met libzmq's assertion (upstream 4364, see live_socket.c) while nodes still sent heartbeats; they no longer
 * do. */
static void test_live_heartbeats_of_a_peer_that_goes(void **state) {
    (void)state;
    struct siege s;
    uint8_t frame[512];
    siege_begin(&s, NULL);
    s.random = random_stream(3, 1, RANDOM_BENCH);
    s.target = (uint16_t)(s.leader % NODES + 1);
    s.thief = s.leader;
    int32_t pid = view_of(s.c, s.target).pid;
    for (int i = 0; i < 3; i++) {
        uint64_t before = view_of(s.c, s.target).counts.rejected;
        struct dealer d = dealer_thief(&s, NULL, 1);
        assert_true(zmq_send(d.socket, "hello", 5, 0) >= 0);
        for (int k = 0; k < 500 && view_of(s.c, s.target).counts.rejected == before; k++) run_for(s.c, SECOND / 100);
        fault(&s, "pause");
        for (int k = 0; k < 4000; k++) {
            zmq_send(d.socket, frame, make_noise(&s, frame) % 64, ZMQ_DONTWAIT);
            if (k % 8 == 0) wait_ms(1);
        }
        for (int k = 0; k < 10; k++) /* each wakes it, but takes nothing from its queues */
            s.c->class->inspect(s.c->runtime, s.target, ignore_field, NULL);
        dealer_close(&d);
        for (int k = 0; k < 10; k++) s.c->class->inspect(s.c->runtime, s.target, ignore_field, NULL);
        fault(&s, "resume");
        write_once(&s);
        run_for(s.c, SECOND / 10);
        assert_true(view_of(s.c, s.target).up);
        assert_int_equal(view_of(s.c, s.target).pid, pid);
    }
    siege_end(&s);
}

/* ---- the door ---- */

/* A peer whose key is taken away is closed though it had been let in, and comes in again with none that is refused. */
static void test_live_removed_peers_are_closed(void **state) {
    (void)state;
    struct siege s;
    siege_begin(&s, NULL);
    for (int i = 0; i < 10; i++) write_once(&s);
    uint64_t before = atomic_load(&s.live->refused);
    doorman_admit(s.live, s.leader, ""); /* the clients' door: the leader's answers no longer come */
    for (int i = 0; i < 500 && atomic_load(&s.live->refused) == before; i++) run_for(s.c, SECOND / 100);
    assert_true(atomic_load(&s.live->refused) > before);
    siege_end(&s);
}

/* The folder with the sockets is the user's alone. */
static void test_live_sockets_are_the_users(void **state) {
    (void)state;
    struct siege s;
    struct stat about;
    siege_begin(&s, NULL);
    assert_int_equal(stat(s.live->folder, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0700);
    assert_int_equal(about.st_uid, geteuid());
    for (int i = 0; i <= NODES; i++)
        assert_memory_equal(s.live->gates.endpoints[i] + strlen("ipc://"), s.live->folder, strlen(s.live->folder));
    siege_end(&s);
}

int main(void) {
    cmocka_set_test_filter(getenv("QUORATE_HOSTILE_TEST"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_endless_message_of_a_stranger),
        cmocka_unit_test(test_live_giant_headers),
        cmocka_unit_test(test_live_silent_connections),
        cmocka_unit_test(test_live_half_handshakes),
        cmocka_unit_test(test_live_no_descriptor_left),
        cmocka_unit_test(test_live_strange_keys),
        cmocka_unit_test(test_live_endless_message_of_a_peer),
        cmocka_unit_test(test_live_giant_frames),
        cmocka_unit_test(test_live_claimed_identities),
        cmocka_unit_test(test_live_random_frames),
        cmocka_unit_test(test_live_lying_frames),
        cmocka_unit_test(test_live_heartbeats_of_a_peer_that_goes),
        cmocka_unit_test(test_live_removed_peers_are_closed),
    };
    const struct CMUnitTest same_host[] = {
        /* what the guard and the doorman do by themselves */
        cmocka_unit_test(test_live_endless_message_of_a_stranger),
        cmocka_unit_test(test_live_giant_headers),
        cmocka_unit_test(test_live_silent_connections),
        cmocka_unit_test(test_live_strange_keys),
        cmocka_unit_test(test_live_endless_message_of_a_peer),
        cmocka_unit_test(test_live_giant_frames),
        cmocka_unit_test(test_live_removed_peers_are_closed),
        cmocka_unit_test(test_live_sockets_are_the_users),
    };
    int failed = cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
    transport = "ipc";
    return failed + cmocka_run_group_tests_name("ipc", same_host, NULL, NULL);
}
