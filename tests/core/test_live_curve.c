/* Who may speak to a live node, and as whom. Each attempt sends a frame that, if it got to the protocol, would show at
 * once: an append request of a far higher term makes a follower adopt that term. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>
#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live_share.h"

#define SECOND INT64_C(1000000000)
#define FAR 1000 /* a term that no election here comes to */

static struct cluster *cluster_with(const char *transport, const char *curve) {
    struct setting settings[] = {{"runtime", "live"},           {"nodes", "3"},           {"disk", "memory"},
                                 {"election_timeout", "300ms"}, {"transport", transport}, {"curve", curve}};
    struct error e = {0};
    struct cluster *c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    if (!c) fail_msg("%s", e.text);
    return c;
}

static uint16_t wait_leader(struct cluster *c) {
    struct error e = {0};
    if (cluster_run(c, c->class->now(c->runtime) + 10 * SECOND, "leader", 0, &e)) fail_msg("%s", e.text);
    return c->class->leader(c->runtime);
}

static struct node_view view_of(struct cluster *c, uint16_t node) {
    struct node_view v;
    c->class->view(c->runtime, node, &v);
    return v;
}

/* What an attempt has: keys, or none, and the names under which it speaks; to whom instead of the receiver, and by how much too
 * early. */
struct attempt {
    const char *public_key, *secret_key;
    uint16_t envelope, frame, other;
    int64_t ahead;
    uint8_t version; /* of the frame; 0: ours */
};

static void make_message(const struct live *l, const struct attempt *a, uint16_t to, struct buffer *out) {
    struct envelope head = {a->envelope, a->other ? a->other : to, 0, live_now(l) + a->ahead};
    struct message m = {.kind = WIRE_APPEND_REQUEST, .from = a->frame, .to = to};
    m.as.append_request.term = FAR;
    buffer_append(out, &head, sizeof head);
    size_t size = wire_append(&m, out);
    if (a->version) out->data[sizeof head + 8] = a->version;
    wire_seal(out->data + sizeof head, size, (uint64_t)a->frame << 40 | 9999, l->cluster_id);
}

/* Says it again and again, until `done` or for half a second. */
static void try(struct cluster *c, const struct attempt *a, uint16_t to, bool (*done)(struct cluster *c, uint16_t to)) {
    struct live *l = c->runtime;
    struct error e = {0};
    int none = 0;
    void *context = zmq_ctx_new(), *s = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none);
    if (a->public_key) {
        assert_int_equal(zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, l->gates.public_keys[to], KEY_TEXT - 1), 0);
        assert_int_equal(zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, a->public_key, KEY_TEXT - 1), 0);
        assert_int_equal(zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, a->secret_key, KEY_TEXT - 1), 0);
    }
    assert_int_equal(zmq_connect(s, l->gates.endpoints[to]), 0);
    for (int i = 0; i < 50 && !done(c, to); i++) {
        struct buffer message = {0};
        make_message(l, a, to, &message);
        zmq_send(s, message.data, message.size, ZMQ_DONTWAIT);
        buffer_free(&message);
        assert_int_equal(cluster_run(c, c->class->now(c->runtime) + SECOND / 100, NULL, 0, &e), QRT_OK);
    }
    zmq_close(s);
    zmq_ctx_term(context);
}

static bool adopted(struct cluster *c, uint16_t to) {
    return view_of(c, to).status.term >= FAR;
}

static bool rejected(struct cluster *c, uint16_t to) {
    return view_of(c, to).counts.rejected > 0;
}

static bool refused(struct cluster *c, uint16_t to) {
    return view_of(c, to).refused > 0;
}

static uint16_t follower_of(struct cluster *c) {
    return wait_leader(c) % 3 + 1;
}

static void still_led(struct cluster *c, uint16_t leader) {
    assert_int_equal(c->class->leader(c->runtime), leader);
    for (uint16_t i = 1; i <= 3; i++) assert_true(view_of(c, i).status.term < FAR);
}

static const char *transports[] = {"ipc", "tcp"};

/* A key that is not of this run does not get through the handshake; nor does a peer without a key. */
static void test_live_strangers_are_refused(void **state) {
    (void)state;
    char public_key[KEY_TEXT], secret_key[KEY_TEXT];
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    for (int i = 0; i < 4; i++) {
        struct cluster *c = cluster_with(transports[i % 2], "true");
        uint16_t leader = wait_leader(c), to = follower_of(c), peer = leader;
        try(c, &(struct attempt){i < 2 ? public_key : NULL, secret_key, peer, peer}, to, refused);
        assert_true(refused(c, to) || i >= 2); /* one without a key may hang up before it is turned away */
        assert_int_equal(view_of(c, to).counts.rejected, 0); /* not a byte came to the node */
        still_led(c, leader);
        cluster_free(c);
    }
}

/* A node's own key opens the door, but speaks for that node alone: in the envelope, and in the frame. */
static void test_live_nodes_speak_for_themselves(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct cluster *c = cluster_with(transports[i % 2], "true");
        struct live *l = c->runtime;
        uint16_t leader = wait_leader(c), to = follower_of(c), thief = (uint16_t)(6 - leader - to);
        struct attempt a = {l->gates.public_keys[thief], process_share(l, thief)->gates.secret_key,
                            i < 2 ? leader : thief, leader};
        try(c, &a, to, rejected);
        assert_true(rejected(c, to));
        assert_int_equal(view_of(c, to).refused, 0);
        still_led(c, leader);
        cluster_free(c);
    }
}

/* What is addressed to another node, or has a time that has not come, is no sound peer's: the time would hold the receiver's own
 * up, since a receive stands behind its send. */
static void test_live_envelopes_make_sense(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct cluster *c = cluster_with("tcp", "true");
        struct live *l = c->runtime;
        uint16_t leader = wait_leader(c), to = follower_of(c);
        struct attempt a = {
            l->gates.public_keys[leader], process_share(l, leader)->gates.secret_key, leader, leader, i ? 0 : leader,
            i ? 10 * SECOND : 0};
        try(c, &a, to, rejected);
        assert_true(rejected(c, to));
        still_led(c, leader);
        cluster_free(c);
    }
}

/* The clients' key is no node's. */
static void test_live_the_owner_is_no_node(void **state) {
    (void)state;
    struct cluster *c = cluster_with("tcp", "true");
    struct live *l = c->runtime;
    uint16_t leader = wait_leader(c), to = follower_of(c);
    struct attempt a = {l->gates.public_keys[0], l->gates.secret_key, leader, leader};
    try(c, &a, to, rejected);
    assert_true(rejected(c, to));
    still_led(c, leader);
    cluster_free(c);
}

/* The same frame from whom it says it is from arrives: what the tests above send is good for its purpose. With
 * curve=false that is anybody. */
static void test_live_the_right_key_is_heard(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct cluster *c = cluster_with("tcp", i ? "true" : "false");
        struct live *l = c->runtime;
        uint16_t leader = wait_leader(c), to = follower_of(c);
        const struct share *s = process_share(l, leader);
        struct attempt a = {i ? l->gates.public_keys[leader] : NULL, s->gates.secret_key, leader, leader};
        try(c, &a, to, adopted);
        assert_true(adopted(c, to));
        cluster_free(c);
    }
}

static bool of_another_version(struct cluster *c, uint16_t to) {
    return view_of(c, to).counts.other_version > 0;
}

/* A member that speaks another version of the wire's format is rejected as ever, and is named where people look. */
static void test_live_another_version_is_named(void **state) {
    (void)state;
    struct cluster *c = cluster_with("tcp", "true");
    struct live *l = c->runtime;
    uint16_t leader = wait_leader(c), to = follower_of(c);
    char text[160], says[256];
    const struct share *s = process_share(l, leader);
    struct attempt a = {l->gates.public_keys[leader], s->gates.secret_key, leader, leader, .version = WIRE_VERSION + 2};
    try(c, &a, to, of_another_version);
    struct node_view v = view_of(c, to);
    assert_true(v.counts.other_version > 0 && v.counts.rejected >= v.counts.other_version);
    assert_true(view_version_text(&v, text, sizeof text));
    snprintf(says, sizeof says, "messages of n%u are of another version (theirs %d, ours %d): upgrade one of them",
             leader, WIRE_VERSION + 2, WIRE_VERSION);
    assert_string_equal(text, says);
    assert_non_null(strstr(report_status(c), says));
    v = view_of(c, leader);
    assert_false(view_version_text(&v, text, sizeof text));
    still_led(c, leader);
    cluster_free(c);
}

/* A process has its own secret key and no other. */
static void test_live_secrets_are_apart(void **state) {
    (void)state;
    struct cluster *c = cluster_with("ipc", "true");
    struct live *l = c->runtime;
    for (uint16_t i = 0; i <= 3; i++) {
        char public_key[KEY_TEXT];
        const char *secret = i ? process_share(l, i)->gates.secret_key : l->gates.secret_key;
        assert_int_equal(zmq_curve_public(public_key, secret), 0);
        assert_string_equal(public_key, l->gates.public_keys[i]);
    }
    cluster_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_another_version_is_named),   cmocka_unit_test(test_live_strangers_are_refused),
        cmocka_unit_test(test_live_nodes_speak_for_themselves), cmocka_unit_test(test_live_the_owner_is_no_node),
        cmocka_unit_test(test_live_the_right_key_is_heard),     cmocka_unit_test(test_live_envelopes_make_sense),
        cmocka_unit_test(test_live_secrets_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
