/* Nodes by hand and their clients, all in one process so that the sanitizers see both sides: what clients may, what becomes
 * of keys that go, and what nonsense from a key that is allowed does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>
#include <cmocka.h>

#include "cluster/hand.h"
#include "machine/command.h"
#include "runtime/live/live_guard.h"
#include "runtime/live/live_hand.h"
#include "runtime/live/live_hand_view.h"
#include "support/raw_peer.h"

#define NODES 3
#define PATIENCE INT64_C(20000000000)

enum { ALICE = NODES, BOB, PEOPLE };

struct rig {
    char folder[40];
    char public_keys[PEOPLE][HAND_KEY_TEXT], secret_keys[PEOPLE][HAND_KEY_TEXT];
    struct cluster *nodes[NODES];
    pthread_t thread;
    atomic_bool quit;
    pthread_mutex_t mutex; /* hand_tick and hand_reload are the main thread's */
};

static void *tick(void *self) {
    struct rig *r = self;
    while (!atomic_load(&r->quit)) {
        struct error e = {0};
        pthread_mutex_lock(&r->mutex);
        for (int i = 0; i < NODES; i++)
            if (hand_tick(r->nodes[i]->runtime, &e) == HAND_DEAD) fail_msg("node %d: %s", i + 1, e.text);
        pthread_mutex_unlock(&r->mutex);
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    return NULL;
}

/* The cluster file. without_bob: his table has gone. */
static struct buffer text_of(const struct rig *r, bool without_bob) {
    struct buffer text = {0};
    buffer_printf(&text, "[cluster]\nname = \"test\"\ndata = \"%s\"\nclient_retry = \"50ms\"\n", r->folder);
    for (int i = 0; i < NODES; i++)
        buffer_printf(&text, "[node.%d]\nendpoint = \"ipc://%s/n%d.socket\"\nkey = \"%s\"\n", i + 1, r->folder, i + 1,
                      r->public_keys[i]);
    buffer_printf(&text, "[client.alice]\nrole = \"admin\"\nkey = \"%s\"\n", r->public_keys[ALICE]);
    if (!without_bob) buffer_printf(&text, "[client.bob]\nrole = \"read\"\nkey = \"%s\"\n", r->public_keys[BOB]);
    return text;
}

/* The file as `who` has it: a node 0.., or a client. */
static struct hand_file *file_of(struct rig *r, int who, bool without_bob) {
    struct buffer text = text_of(r, without_bob);
    struct error e = {0};
    struct hand_file *f = mem_zero(1, sizeof *f);
    if (hand_file_parse(f, bytes_of(text.data, text.size), "cluster.toml", true, &e)) fail_msg("%s", e.text);
    buffer_free(&text);
    f->config.self = who < NODES ? (uint16_t)(who + 1) : 0;
    memcpy(f->config.public_key, r->public_keys[who], HAND_KEY_TEXT);
    memcpy(f->config.secret_key, r->secret_keys[who], HAND_KEY_TEXT);
    return f;
}

static struct cluster *start_by(struct hand_file *f) {
    struct error e = {0};
    struct cluster *c = hand_cluster(f, &e);
    if (!c) fail_msg("%s", e.text);
    free(f);
    return c;
}

static struct cluster *start(struct rig *r, int who) {
    struct error e = {0};
    struct hand_file *f = file_of(r, who, false);
    if (who < NODES && hand_format(&f->config, &e)) fail_msg("%s", e.text);
    return start_by(f);
}

static int set_up(void **state) {
    struct rig *r = mem_zero(1, sizeof *r);
    struct error e = {0};
    snprintf(r->folder, sizeof r->folder, "/tmp/quorate-hand-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    for (int i = 0; i < PEOPLE; i++) assert_int_equal(hand_key_new(r->public_keys[i], r->secret_keys[i], &e), QRT_OK);
    for (int i = 0; i < NODES; i++) r->nodes[i] = start(r, i);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_create(&r->thread, NULL, tick, r);
    *state = r;
    return 0;
}

static int tear_down(void **state) {
    struct rig *r = *state;
    char command[64];
    atomic_store(&r->quit, true);
    pthread_join(r->thread, NULL);
    for (int i = 0; i < NODES; i++) cluster_free(r->nodes[i]);
    pthread_mutex_destroy(&r->mutex);
    snprintf(command, sizeof command, "rm -r %s", r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    return 0;
}

/* How one operation of a fresh client ended. */
static qrt_status operate(struct cluster *c, uint8_t operation, const char *key, const char *value, char *answer,
                          size_t size, int64_t patience, struct error *e) {
    struct command m = {.operation = operation, .key = bytes_text(key), .value = bytes_text(value)};
    struct buffer encoded = {0};
    uint64_t ticket;
    qrt_result result;
    uint16_t id = c->class->client(c->runtime, NULL, 0);
    uint8_t kind = command_is_read(operation) ? CLIENT_READ : CLIENT_WRITE;
    command_encode(&m, &encoded);
    assert_int_equal(cluster_submit(c, id, kind, bytes_of(encoded.data, encoded.size), &ticket, e), QRT_OK);
    buffer_free(&encoded);
    assert_int_equal(cluster_await(c, ticket, c->class->now(c->runtime) + patience, 0, &result, e), QRT_OK);
    snprintf(answer, size, "%.*s", (int)result.size, result.data ? (const char *)result.data : "");
    return result.status;
}

/* An admin writes, a reader reads and may not write, and each hears why. */
static void test_roles(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct cluster *alice = start(r, ALICE), *bob = start(r, BOB);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    assert_int_equal(operate(bob, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    assert_string_equal(answer, "1");
    assert_int_equal(operate(bob, QRT_PUT, "x", "2", answer, sizeof answer, PATIENCE, &e), QRT_EDENIED);
    assert_non_null(strstr(e.text, "bob has the role read"));
    assert_null(hand_ask(bob->runtime, 1, "{\"ask\": \"stop\"}", &e));
    assert_int_equal(e.status, QRT_EDENIED);
    assert_non_null(hand_ask(bob->runtime, 1, "{\"ask\": \"trace\", \"last\": 5}", &e));
    assert_null(hand_ask(alice->runtime, 1, "{\"ask\": \"fault\", \"plan\": [{\"do\": \"nothing\"}]}", &e));
    assert_int_not_equal(e.status, QRT_EDOWN);
    assert_null(hand_ask(alice->runtime, 1, "{\"ask\": \"x\"}", &e));
    assert_int_equal(e.status, QRT_EUNSUPPORTED);
    cluster_free(alice);
    cluster_free(bob);
}

static void reload(struct rig *r, int node, bool without_bob) {
    struct error e = {0};
    struct hand_file *f = file_of(r, node, without_bob);
    pthread_mutex_lock(&r->mutex);
    assert_int_equal(hand_reload(r->nodes[node]->runtime, &f->config, &e), QRT_OK);
    pthread_mutex_unlock(&r->mutex);
    free(f);
}

/* A reload without bob ends what he has open; alice is back at once. */
static void test_reload(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct cluster *alice = start(r, ALICE), *bob = start(r, BOB);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    assert_int_equal(operate(bob, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    for (int i = 0; i < NODES; i++) reload(r, i, true);
    assert_int_equal(operate(alice, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    assert_string_equal(answer, "1");
    assert_int_not_equal(operate(bob, QRT_GET, "x", "", answer, sizeof answer, PATIENCE / 40, &e), QRT_OK);
    struct hand_file *f = file_of(r, 0, true);
    f->config.node_count = 2;
    pthread_mutex_lock(&r->mutex);
    assert_int_equal(hand_reload(r->nodes[0]->runtime, &f->config, &e), QRT_EUNSUPPORTED);
    pthread_mutex_unlock(&r->mutex);
    free(f);
    cluster_free(alice);
    cluster_free(bob);
}

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void write_key(const char *path, const char *public_key, const char *secret_key, mode_t mode) {
    char text[256];
    snprintf(text, sizeof text, "[key]\npublic = \"%s\"\nsecret = \"%s\"\n", public_key, secret_key);
    write_file(path, text, mode);
}

static void expect_no_connection(const char *file, const char *key, qrt_status status, const char *why) {
    qrt_cluster *c = NULL;
    assert_int_equal(qrt_connect(&c, file, key), status);
    assert_null(c);
    if (!strstr(qrt_last_error(NULL), why)) fail_msg("'%s' is not in: %s", why, qrt_last_error(NULL));
}

static qrt_status do_by_abi(qrt_cluster *c, uint8_t operation, const char *value, qrt_result *result) {
    qrt_command command = {.operation = operation, .key = (const uint8_t *)"x", .key_size = 1};
    uint16_t client;
    uint64_t ticket;
    int64_t now;
    command.value = (const uint8_t *)value;
    command.value_size = strlen(value);
    assert_int_equal(qrt_client_new(c, &client), QRT_OK);
    assert_int_equal(qrt_cluster_now(c, &now), QRT_OK);
    qrt_status status = qrt_client_submit(c, client, &command, &ticket);
    if (status) return status;
    while ((status = qrt_cluster_await(c, ticket, now + PATIENCE, result)) == QRT_MORE) continue;
    return status;
}

/* The same through the C API, from files: put, get, status, a question, a fault; and what is said of a wrong key, one that others
 * may read, none, and a file with a mistake. */
static void test_the_c_api(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    struct buffer text = text_of(r, false);
    char file[64], key[64], public_key[HAND_KEY_TEXT], secret_key[HAND_KEY_TEXT];
    qrt_cluster *c = NULL;
    qrt_result result;
    snprintf(file, sizeof file, "%s/cluster.toml", r->folder);
    snprintf(key, sizeof key, "%s/alice.key", r->folder);
    write_file(file, buffer_text(&text), 0644);
    expect_no_connection(file, NULL, QRT_EINVAL, "needs its key: name its file, keys/NAME.key");
    expect_no_connection(file, key, QRT_EIO, "alice.key cannot be read: No such file");
    write_key(key, r->public_keys[ALICE], r->secret_keys[ALICE], 0644);
    expect_no_connection(file, key, QRT_EDENIED, "others may read the secret key");
    assert_int_equal(hand_key_new(public_key, secret_key, &e), QRT_OK);
    write_key(key, public_key, secret_key, 0600);
    expect_no_connection(file, key, QRT_EDENIED, "of no client that the cluster file knows");
    write_key(key, r->public_keys[ALICE], r->secret_keys[ALICE], 0600);
    assert_int_equal(qrt_connect(&c, file, key), QRT_OK);
    assert_int_equal(do_by_abi(c, QRT_PUT, "1", &result), QRT_OK);
    assert_int_equal(result.status, QRT_OK);
    assert_int_equal(do_by_abi(c, QRT_GET, "", &result), QRT_OK);
    assert_true(result.size == 1 && result.data[0] == '1');
    assert_non_null(strstr(qrt_cluster_status(c), "\"memory_budget\""));
    assert_non_null(strstr(qrt_node_ask(c, 2, "{\"ask\": \"status\"}"), "\"cluster\": \"test\""));
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"pause\", \"node\": \"leader\"}"), QRT_OK);
    assert_int_equal(qrt_cluster_fault(c, "{\"do\": \"resume\", \"node\": \"all\"}"), QRT_OK);
    qrt_cluster_free(&c);
    buffer_append(&text, "[clients.x]\n", 12);
    write_file(file, buffer_text(&text), 0644);
    expect_no_connection(file, key, QRT_EPARSE, "there is no table [clients.x]");
    buffer_free(&text);
}

static void expect_view(struct cluster *c, uint16_t node, const char *why) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    if (v.up || !strstr(v.why_down, why)) fail_msg("n%u: up %d, '%s'", node, v.up, v.why_down);
}

/* Whose key no node has is told so, at once, whatever he asks for; nothing that he asked for was sent. */
static void test_a_refused_key_is_told(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    uint64_t ticket;
    struct hand_file *f = file_of(r, BOB, false);
    assert_int_equal(hand_key_new(f->config.public_key, f->config.secret_key, &e), QRT_OK);
    struct cluster *stranger = start_by(f);
    expect_view(stranger, 1, "it refuses this key");
    uint16_t client = stranger->class->client(stranger->runtime, NULL, 0);
    assert_int_equal(cluster_submit(stranger, client, CLIENT_READ, bytes_text("x"), &ticket, &e), QRT_EDENIED);
    assert_non_null(strstr(e.text, "no node answers; n1: it refuses this key"));
    assert_int_equal(cluster_propose(stranger, 0, bytes_text("x"), &ticket, &e), QRT_EDENIED);
    assert_null(hand_ask(stranger->runtime, 2, "{\"ask\": \"status\"}", &e));
    assert_int_equal(e.status, QRT_EDENIED);
    assert_non_null(strstr(e.text, "n2: it refuses this key"));
    cluster_free(stranger);
}

/* Other reasons for which nobody answers: another cluster's nodes, another key than the file's, nobody at all. */
static void test_why_a_node_is_not_reached(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char other[HAND_KEY_TEXT], secret[HAND_KEY_TEXT];
    struct hand_file *f = file_of(r, ALICE, false);
    snprintf(f->config.cluster, sizeof f->config.cluster, "others");
    struct cluster *c = start_by(f);
    for (int i = 0; i < NODES; i++) expect_view(c, (uint16_t)(i + 1), "is a node of another cluster");
    cluster_free(c);
    f = file_of(r, ALICE, false);
    assert_int_equal(hand_key_new(other, secret, &e), QRT_OK);
    memcpy(f->config.nodes[2].public_key, other, sizeof other);
    snprintf(f->config.nodes[3].endpoint, sizeof f->config.nodes[3].endpoint, "ipc://%s/nobody", r->folder);
    c = start_by(f);
    expect_view(c, 2, "does not show its key");
    expect_view(c, 3, "nobody takes a connection to ipc:");
    assert_null(hand_ask(c->runtime, 3, "{\"ask\": \"status\"}", &e));
    assert_int_equal(e.status, QRT_EDOWN);
    cluster_free(c);
}

/* A node that listens has its address, also where a file is all that stands for it: a second one does not take it away. */
static void test_an_address_in_use_is_refused(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct hand_file *f = file_of(r, 1, false);
    snprintf(f->config.data, sizeof f->config.data, "%s/other", r->folder);
    snprintf(f->config.nodes[2].bind, sizeof f->config.nodes[2].bind, "ipc://%s/n1.socket", r->folder);
    assert_int_equal(hand_format(&f->config, &e), QRT_OK);
    assert_null(hand_cluster(f, &e));
    assert_int_equal(e.status, QRT_EIO);
    assert_non_null(strstr(e.text, "n1.socket: Address already in use; another process has it"));
    free(f);
    struct cluster *alice = start(r, ALICE);
    assert_non_null(hand_ask(alice->runtime, 1, "{\"ask\": \"status\"}", &e));
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    cluster_free(alice);
}

/* A client sees of a node what the node sees of itself. */
static void test_a_status_is_whole(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct node_view own, seen;
    struct cluster *alice = start(r, ALICE);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    for (int i = 0; i < 2000; i++) { /* until it has heard of it */
        alice->class->view(alice->runtime, 1, &seen);
        if (seen.counts.flushes && seen.counts.applied) break;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    r->nodes[0]->class->view(r->nodes[0]->runtime, 1, &own);
    assert_true(seen.up && seen.counts.flushes > 0 && seen.counts.applied > 0 && seen.counts.persisted > 0);
    assert_int_equal(seen.pid, getpid());
    assert_int_equal(seen.memory_budget, own.memory_budget);
    assert_true(seen.memory > 1000000 && seen.memory_budget > 1000000);
    cluster_free(alice);
}

/* A reason that a node gives may be long and in any language: it is cut, and the status stays JSON. */
static void test_long_reasons(void **state) {
    struct rig *r = *state;
    struct cluster *alice = start(r, ALICE);
    struct live *l = alice->runtime;
    for (uint16_t i = 1; i <= NODES; i++) {
        struct node_view *v = &l->nodes[i].shown->view;
        robust_lock(&l->nodes[i].shown->mutex);
        v->up = false;
        v->why_down[0] = 'x'; /* so that a cut at an even place goes through a letter */
        for (size_t k = 1; k + 3 <= sizeof v->why_down; k += 2) memcpy(v->why_down + k, "\xc3\xa9", 3);
        pthread_mutex_unlock(&l->nodes[i].shown->mutex);
    }
    json_t *status = json_loads(report_status(alice), 0, NULL);
    assert_true(json_is_string(json_object_get(status, "reason")));
    json_decref(status);
    cluster_free(alice);
}

/* What one end writes the other reads, field by field; what is no view is refused as a whole. */
static void test_views_cross(void **state) {
    struct node_view v = {.node = 3, .up = true, .pid = 77, .metrics_port = 9100, .shut = 5, .memory = 1 << 30}, read;
    static const char *const bad[] = {"[]",
                                      "{\"term\": -1}",
                                      "{\"role\": 256}",
                                      "{\"metrics_port\": 65536}",
                                      "{\"up\": 1}",
                                      "{\"why_down\": 7}",
                                      "{\"suspects\": [0]}",
                                      "{\"suspects\": [1000]}",
                                      "{\"suspects\": 3}"};
    (void)state;
    v.status = (struct protocol_status){.role = QRT_ROLE_LEADER, .term = 9, .leader = 3, .last = 12};
    v.counts = (struct host_counts){1, 2, 3, 4, 5, 6, 7, 8, 9};
    v.suspects[1] = 1; /* node 65 */
    snprintf(v.why_uncaptured, sizeof v.why_uncaptured, "disk full");
    memset(v.why_down, 'x', sizeof v.why_down - 1);
    json_t *o = view_write(&v, 65);
    assert_true(view_read(o, &read));
    assert_memory_equal(&v.status, &read.status, sizeof v.status);
    assert_memory_equal(&v.counts, &read.counts, sizeof v.counts);
    assert_memory_equal(v.suspects, read.suspects, sizeof v.suspects);
    assert_string_equal(v.why_down, read.why_down);
    assert_string_equal(v.why_uncaptured, read.why_uncaptured);
    assert_true(read.node == 3 && read.up && !read.paused && read.pid == 77 && read.metrics_port == 9100 &&
                read.shut == 5 && read.memory == 1 << 30);
    json_decref(o);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = json_loads(bad[i], 0, NULL);
        assert_non_null(o);
        if (view_read(o, &read)) fail_msg("%s was taken for a view", bad[i]);
        json_decref(o);
    }
}

static void send_raw(void *socket, struct envelope head, const void *body, size_t size) {
    uint8_t *message = mem_alloc(sizeof head + size);
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, body, size);
    assert_true(zmq_send(socket, message, sizeof head + size, 0) >= 0);
    free(message);
}

/* ---- connections, seen from the other end ---- */

struct wire {
    void *context, *socket, *monitor;
    bool ended;
};

static void hear(struct wire *w, uint16_t wanted, int wait_ms) {
    zmq_pollitem_t item = {w->monitor, 0, ZMQ_POLLIN, 0};
    for (uint16_t kind = 0; kind != wanted && zmq_poll(&item, 1, wait_ms) > 0;) {
        uint8_t event[6], address[128];
        assert_int_equal(zmq_recv(w->monitor, event, sizeof event, 0), sizeof event);
        assert_true(zmq_recv(w->monitor, address, sizeof address, 0) >= 0);
        memcpy(&kind, event, sizeof kind);
        w->ended = w->ended || kind == ZMQ_EVENT_DISCONNECTED;
    }
}

static bool has_ended(struct wire *w, int wait_ms) {
    if (!w->ended) hear(w, ZMQ_EVENT_DISCONNECTED, wait_ms);
    return w->ended;
}

/* To node 1, with the handshake done. */
static struct wire wire_open(struct rig *r, int who) {
    struct wire w = {.context = zmq_ctx_new()};
    char endpoint[64];
    w.socket = zmq_socket(w.context, ZMQ_DEALER);
    w.monitor = zmq_socket(w.context, ZMQ_PAIR);
    zmq_setsockopt(w.socket, ZMQ_CURVE_SERVERKEY, r->public_keys[0], HAND_KEY_TEXT - 1);
    zmq_setsockopt(w.socket, ZMQ_CURVE_PUBLICKEY, r->public_keys[who], HAND_KEY_TEXT - 1);
    zmq_setsockopt(w.socket, ZMQ_CURVE_SECRETKEY, r->secret_keys[who], HAND_KEY_TEXT - 1);
    zmq_setsockopt(w.socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(w.socket, ZMQ_RCVTIMEO, &(int){10000}, sizeof(int));
    assert_int_equal(zmq_socket_monitor(w.socket, "inproc://monitor", ZMQ_EVENT_ALL), 0);
    assert_int_equal(zmq_connect(w.monitor, "inproc://monitor"), 0);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/n1.socket", r->folder);
    assert_int_equal(zmq_connect(w.socket, endpoint), 0);
    hear(&w, ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 10000);
    return w;
}

/* Asks, and is answered. */
static void wire_speak(struct wire *w) {
    static const char ask[] = "{\"number\":1,\"ask\":\"status\"}";
    char answer[4096];
    send_raw(w->socket, (struct envelope){QRT_CLIENT + 1, 1, HAND_CONTROL, 0}, ask, sizeof ask - 1);
    assert_true(zmq_recv(w->socket, answer, sizeof answer, 0) > 0);
}

static void wire_close(struct wire *w) {
    zmq_socket_monitor(w->socket, NULL, 0);
    zmq_close(w->monitor);
    zmq_close(w->socket);
    zmq_ctx_term(w->context);
}

/* Without bob, what he has open ends; what others have open does not, whether they have spoken by it or not. */
static void test_reload_closes_only_who_went(void **state) {
    struct rig *r = *state;
    struct wire alice = wire_open(r, ALICE), silent = wire_open(r, ALICE);
    struct wire bobs[] = {wire_open(r, BOB), wire_open(r, BOB)};
    wire_speak(&alice);
    for (int i = 0; i < 2; i++) wire_speak(&bobs[i]);
    reload(r, 0, true);
    for (int i = 0; i < 2; i++) assert_true(has_ended(&bobs[i], 10000));
    wire_speak(&alice);
    wire_speak(&silent);
    assert_false(has_ended(&alice, 100));
    assert_false(has_ended(&silent, 0));
    for (int i = 0; i < 2; i++) wire_close(&bobs[i]);
    wire_close(&alice);
    wire_close(&silent);
}

/* One of bob's that has said nothing ends too; alice stays, because she has spoken. */
static void test_reload_closes_the_silent(void **state) {
    struct rig *r = *state;
    struct wire alice = wire_open(r, ALICE), bob = wire_open(r, BOB);
    wire_speak(&alice);
    reload(r, 0, true);
    assert_true(has_ended(&bob, 10000));
    assert_false(has_ended(&alice, 100));
    wire_close(&alice);
    wire_close(&bob);
}

/* Another key for the same name: the old one's connection ends, and the new one is let in. */
static void test_reload_with_another_key(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    struct wire alice = wire_open(r, ALICE), bob = wire_open(r, BOB);
    wire_speak(&alice);
    wire_speak(&bob);
    assert_int_equal(hand_key_new(r->public_keys[BOB], r->secret_keys[BOB], &e), QRT_OK);
    reload(r, 0, false);
    assert_true(has_ended(&bob, 10000));
    struct wire again = wire_open(r, BOB);
    wire_speak(&again);
    assert_false(has_ended(&alice, 100));
    wire_close(&again);
    wire_close(&alice);
    wire_close(&bob);
}

static uint64_t rejected(struct rig *r) {
    struct node_view v;
    r->nodes[0]->class->view(r->nodes[0]->runtime, 1, &v);
    return v.counts.rejected;
}

/* Whatever a key that may read sends: it is rejected and counted, and the node goes on. */
static void test_nonsense_from_an_allowed_key(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64], endpoint[64];
    void *context = zmq_ctx_new(), *s = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, r->public_keys[0], HAND_KEY_TEXT - 1);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, r->public_keys[BOB], HAND_KEY_TEXT - 1);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, r->secret_keys[BOB], HAND_KEY_TEXT - 1);
    zmq_setsockopt(s, ZMQ_LINGER, &(int){0}, sizeof(int));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/n1.socket", r->folder);
    assert_int_equal(zmq_connect(s, endpoint), 0);
    uint64_t before = rejected(r), bad = 0;
    struct envelope frame = {QRT_CLIENT + 1, 1, 0, 0}, control = {QRT_CLIENT + 1, 1, HAND_CONTROL, 0};
    uint8_t bytes[200] = {0};
    char *large = mem_alloc(HAND_CONTROL_MAX + 1), deep[3000];
    memset(large, ' ', HAND_CONTROL_MAX + 1);
    memset(deep, '[', sizeof deep);
    send_raw(s, frame, bytes, 0), bad++;
    send_raw(s, frame, bytes, sizeof bytes), bad++;
    send_raw(s, (struct envelope){2, 1, 0, 0}, bytes, sizeof bytes), bad++; /* as node 2 */
    send_raw(s, (struct envelope){QRT_CLIENT + 1, 1, 7, 0}, bytes, sizeof bytes), bad++;
    send_raw(s, control, large, HAND_CONTROL_MAX + 1), bad++;
    zmq_send(s, "x", 1, 0), bad++;
    zmq_send(s, bytes, 100, ZMQ_SNDMORE), zmq_send(s, bytes, 100, 0), bad++;
    send_raw(s, control, deep, sizeof deep);
    send_raw(s, control, "\xff\xfe", 2);
    send_raw(s, control, "{\"ask\": 7, \"number\": {}}", 24);
    send_raw(s, control, "{\"ask\": \"trace\", \"last\": -1}", 28);
    send_raw(s, control, "{\"ask\": \"fault\", \"plan\": 3}", 27);
    struct cluster *alice = start(r, ALICE);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    for (int i = 0; i < 5000 && rejected(r) < before + bad; i++) {
        operate(alice, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_true(rejected(r) >= before + bad);
    assert_non_null(hand_ask(alice->runtime, 1, "{\"ask\": \"status\"}", &e));
    cluster_free(alice);
    free(large);
    zmq_close(s);
    zmq_ctx_term(context);
}

/* To node 1, by the key of any of them. */
static struct raw_peer raw_to_first(const struct rig *r, int who) {
    char endpoint[64];
    uint8_t server[32];
    struct raw_key key;
    struct raw_peer p;
    zmq_z85_decode(server, r->public_keys[0]);
    zmq_z85_decode(key.public, r->public_keys[who]);
    zmq_z85_decode(key.secret, r->secret_keys[who]);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/n1.socket", r->folder);
    assert_true(raw_open(&p, raw_connect(endpoint), server, &key, NULL, 0));
    return p;
}

#define FAR 1000 /* a term that no election here comes to */

/* What makes a node adopt that term, if it gets to the protocol. */
static void send_append(const struct rig *r, struct raw_peer *p, uint16_t envelope, uint16_t frame, uint16_t to) {
    const struct live *l = r->nodes[0]->runtime;
    struct envelope head = {envelope, to, 0, 0};
    struct message m = {.kind = WIRE_APPEND_REQUEST, .from = frame, .to = to};
    struct buffer out = {0};
    m.as.append_request.term = FAR;
    buffer_append(&out, &head, sizeof head);
    size_t size = wire_append(&m, &out);
    wire_seal(out.data + sizeof head, size, (uint64_t)frame << 40 | 9999, l->cluster_id);
    raw_frame(p, 0, out.data, out.size);
    assert_true(raw_flush(p));
    buffer_free(&out);
}

static struct node_view view_of_first(struct rig *r) {
    struct node_view v;
    r->nodes[0]->class->view(r->nodes[0]->runtime, 1, &v);
    return v;
}

/* A node's key speaks for that node alone, in the envelope and in the frame, and to whom it has a connection. The same words
 * in its own name are heard. */
static void test_nodes_speak_for_themselves(void **state) {
    static const uint16_t lies[][3] = {{2, 2, 1}, {2, 3, 1}, {3, 2, 1}, {3, 3, 2}}; /* envelope, frame, to */
    struct rig *r = *state;
    struct raw_peer third = raw_to_first(r, 2);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint64_t before = rejected(r);
        send_append(r, &third, lies[i][0], lies[i][1], lies[i][2]);
        for (int end = 10000; end && rejected(r) == before; end--) nanosleep(&(struct timespec){0, 1000000}, NULL);
        assert_true(rejected(r) > before);
        assert_true(view_of_first(r).status.term < FAR);
    }
    send_append(r, &third, 3, 3, 1);
    for (int end = 10000; end && view_of_first(r).status.term < FAR; end--)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_true(view_of_first(r).status.term >= FAR);
    raw_shut(&third);
}

static void pause_first(struct cluster *by, const char *verb) {
    char json[64];
    struct plan plan = {0};
    struct directive d;
    struct error e = {0};
    snprintf(json, sizeof json, "{\"do\":\"%s\",\"node\":1}", verb);
    assert_int_equal(directive_parse(&d, bytes_text(json), NODES, &e), QRT_OK);
    plan_add(&plan, &d);
    assert_int_equal(by->class->fault(by->runtime, &plan, &e), QRT_OK);
    plan_free(&plan);
}

static uint64_t dropped_by_first(struct rig *r, qrt_drop why) {
    struct shown *shown = ((struct live *)r->nodes[0]->runtime)->nodes[1].shown;
    robust_lock(&shown->mutex);
    uint64_t dropped = shown->meters.drops[why];
    pthread_mutex_unlock(&shown->mutex);
    return dropped;
}

/* An answer to a client that has gone is counted as dropped: a ROUTER says nothing of it unless it is told to. */
static void test_an_answer_to_nobody_is_counted(void **state) {
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct envelope head = {QRT_CLIENT + 1, 1, 0, 0};
    struct message m = {.kind = WIRE_CLIENT_REQUEST, .from = QRT_CLIENT + 1, .to = 1};
    struct buffer out = {0};
    struct cluster *alice = start(r, ALICE);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    pause_first(alice, "pause");
    while (!view_of_first(r).paused) nanosleep(&(struct timespec){0, 1000000}, NULL);
    m.as.client_request.number = 1;
    m.as.client_request.operation = CLIENT_STALE;
    buffer_append(&out, &head, sizeof head);
    size_t size = wire_append(&m, &out);
    wire_seal(out.data + sizeof head, size, 1, ((struct live *)r->nodes[0]->runtime)->cluster_id);
    struct raw_peer bob = raw_to_first(r, BOB);
    uint64_t before = dropped_by_first(r, QRT_DROP_DOWN), bad = rejected(r);
    raw_frame(&bob, 0, out.data, out.size);
    assert_true(raw_flush(&bob));
    nanosleep(&(struct timespec){0, 200000000},
              NULL); /* until it waits for the node; a frame is lost with its connection */
    raw_shut(&bob);
    nanosleep(&(struct timespec){0, 200000000}, NULL); /* until the node's ROUTER knows */
    pause_first(alice, "resume");
    for (int end = 10000; end && dropped_by_first(r, QRT_DROP_DOWN) == before; end--)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(rejected(r), bad);
    assert_int_equal(dropped_by_first(r, QRT_DROP_DOWN), before + 1);
    buffer_free(&out);
    cluster_free(alice);
}

/* What waits for a node that is paused has a limit in bytes: a member that sends large frames meanwhile cannot fill the memory. */
static void test_what_waits_for_a_paused_node_has_a_limit(void **state) {
    enum { FRAMES = 100, SIZE = 512 << 10 };
    struct rig *r = *state;
    struct error e = {0};
    char answer[64];
    struct envelope head = {2, 1, 0, 0};
    uint8_t *message = mem_zero(1, sizeof head + SIZE);
    struct cluster *alice = start(r, ALICE);
    assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    pause_first(alice, "pause");
    while (!view_of_first(r).paused) nanosleep(&(struct timespec){0, 1000000}, NULL);
    struct raw_peer peer = raw_to_first(r, 1);
    memcpy(message, &head, sizeof head);
    for (int i = 0; i < FRAMES; i++) {
        raw_frame(&peer, 0, message, sizeof head + SIZE);
        assert_true(raw_flush(&peer));
        nanosleep(&(struct timespec){0, 10000000}, NULL); /* who sends more than the node takes is shut by the guard */
    }
    for (int i = 0; i < 10000 && dropped_by_first(r, QRT_DROP_FULL) < FRAMES - LIVE_DELAYED_BYTES / SIZE; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_in_range(dropped_by_first(r, QRT_DROP_FULL), FRAMES - LIVE_DELAYED_BYTES / SIZE, FRAMES);
    pause_first(alice, "resume");
    assert_int_equal(operate(alice, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    raw_shut(&peer);
    free(message);
    cluster_free(alice);
}

static uint64_t most_owed(const struct live *l) {
    uint64_t most = 0;
    for (int fd = 0; fd < GUARD_DESCRIPTORS; fd++) most = l->owed[fd] > most ? l->owed[fd] : most;
    return most;
}

/* Who asks and reads no answer is shut before what he is owed fills the memory; others are served meanwhile. */
static void test_who_reads_no_answers_is_shut(void **state) {
    static const char ask[] = "{\"number\": 1, \"ask\": \"trace\", \"last\": 2000}";
    struct rig *r = *state;
    struct live *l = r->nodes[0]->runtime;
    struct {
        struct envelope head;
        char text[sizeof ask];
    } question = {{QRT_CLIENT + 1, 1, HAND_CONTROL, 0}, ""};
    struct error e = {0};
    char answer[64];
    uint64_t most = 0;
    struct cluster *alice = start(r, ALICE);
    memcpy(question.text, ask, sizeof ask - 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(operate(alice, QRT_PUT, "x", "1", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    struct raw_peer bob = raw_to_first(r, BOB);
    for (int i = 0; i < 10000 && !atomic_load(&l->shut); i++) {
        raw_frame(&bob, 0, &question, sizeof question.head + sizeof ask - 1);
        raw_flush(&bob);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        uint64_t owed = most_owed(l);
        most = owed > most ? owed : most;
    }
    assert_int_equal(atomic_load(&l->shut), 1);
    assert_in_range(most, LIVE_LINK_BYTES / 2, LIVE_LINK_BYTES + (2 << 20)); /* and one answer more */
    assert_int_equal(operate(alice, QRT_GET, "x", "", answer, sizeof answer, PATIENCE, &e), QRT_OK);
    raw_shut(&bob);
    cluster_free(alice);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_c_api, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_refused_key_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why_a_node_is_not_reached, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_address_in_use_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_status_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_reasons, set_up, tear_down),
        cmocka_unit_test(test_views_cross),
        cmocka_unit_test_setup_teardown(test_reload_closes_only_who_went, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_closes_the_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_with_another_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nonsense_from_an_allowed_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nodes_speak_for_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_reads_no_answers_is_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_to_nobody_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_a_paused_node_has_a_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
