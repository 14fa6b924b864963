/* Loads that a node makes by itself, and the bare rounds that they are measured against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "runtime/live/live_bare.h"
#include "runtime/live/live_parcel.h"

#define SECOND INT64_C(1000000000)

static struct cluster *cluster_with(const char *transport, const char *disk) {
    struct setting settings[] = {{"runtime", "live"},       {"nodes", "3"},           {"disk", disk},
                                 {"election_timeout", "2"}, {"transport", transport}, {"curve", "false"}};
    struct error e = {0};
    struct cluster *c = cluster_new("raft", settings, sizeof settings / sizeof *settings, NULL, &e);
    if (!c) fail_msg("%s", e.text);
    if (cluster_run(c, 30 * SECOND, "leader", 0, &e)) fail_msg("%s", e.text);
    return c;
}

static uint64_t begin(struct cluster *c, uint16_t node, const struct load_spec *spec) {
    uint64_t number;
    assert_int_equal(live_load(c->runtime, node, spec, &number), QRT_OK);
    return number;
}

static qrt_status end(struct cluster *c, uint64_t number, struct load_report *r) {
    struct condition answered = {CONDITION_TICKET, 0, number};
    struct ticket t;
    struct bytes data;
    assert_int_equal(c->class->run(c->runtime, c->class->now(c->runtime) + 60 * SECOND, &answered, 0), QRT_OK);
    assert_true(c->class->ticket(c->runtime, number, &t, &data));
    if (data.size == sizeof *r) memcpy(r, data.data, sizeof *r);
    return t.status;
}

/* All is committed, and nothing is lost on the way: a queue that is not full never looks full, however fast the burst. */
static void loads(const char *transport, const char *disk, uint32_t count) {
    struct cluster *c = cluster_with(transport, disk);
    struct load_spec spec = {.window = 64, .count = count, .size = 128};
    struct load_report r = {0};
    struct runtime_counts counts;
    struct error e = {0};
    uint16_t leader = c->class->leader(c->runtime);
    assert_int_equal(end(c, begin(c, leader, &spec), &r), QRT_OK);
    assert_int_equal(r.committed, count);
    assert_true(0 < r.p50 && r.p50 <= r.p99 && r.p99 <= r.p999 && r.p999 <= r.max && r.max <= r.ns);
    char reached[32]; /* a node shows what it is at the end of its burst, a moment after the answer */
    snprintf(reached, sizeof reached, "commit >= %u", count);
    assert_int_equal(cluster_run(c, c->class->now(c->runtime) + 10 * SECOND, reached, 0, &e), QRT_OK);
    c->class->counts(c->runtime, &counts);
    assert_int_equal(counts.dropped, 0);
    while (cluster_check(c, 20, 0, 20000000, &e) == QRT_MORE) continue;
    assert_int_equal(c->verdict, VERDICT_OK);
    cluster_free(c);
}

static void test_live_load_on_threads(void **state) {
    (void)state;
    loads("inproc", "memory", 20000);
}

static void test_live_load_on_processes(void **state) {
    (void)state;
    loads("tcp", "memory", 20000);
}

static void test_live_load_on_disk(void **state) {
    (void)state;
    loads("ipc", "sim", 2000);
}

/* An open load proposes at its times; the first refusal ends a load, and so does the end of its node. */
static void test_live_load_times_and_ends(void **state) {
    (void)state;
    static const char *const transports[] = {"inproc", "tcp"};
    for (int i = 0; i < 2; i++) {
        struct cluster *c = cluster_with(transports[i], "memory");
        struct load_report r = {0};
        struct load_spec open = {.window = 1000, .count = 50, .size = 16, .interval = 2000000};
        struct load_spec endless = {.window = 1, .count = 3, .size = 16, .interval = 3600 * SECOND};
        uint16_t leader = c->class->leader(c->runtime);
        assert_int_equal(end(c, begin(c, leader, &open), &r), QRT_OK);
        assert_true(r.ns >= 49 * open.interval);
        assert_int_equal(end(c, begin(c, (uint16_t)(leader % 3 + 1), &open), &r), QRT_ENOTLEADER);
        uint64_t number = begin(c, leader, &endless);
        struct plan plan = {0};
        struct directive d;
        struct error e = {0};
        char crash[64];
        snprintf(crash, sizeof crash, "{\"do\": \"crash\", \"node\": %u}", leader);
        assert_int_equal(directive_parse(&d, bytes_text(crash), 3, &e), QRT_OK);
        plan_add(&plan, &d);
        c->class->fault(c->runtime, &plan, NULL);
        plan_free(&plan);
        assert_int_equal(end(c, number, &r), QRT_EUNKNOWN);
        cluster_free(c);
    }
}

static void test_live_load_refuses_nonsense(void **state) {
    (void)state;
    struct cluster *c = cluster_with("inproc", "memory");
    uint64_t number;
    struct load_spec none = {.window = 1}, blind = {.count = 1}, huge = {.window = 1, .count = LOAD_COUNT_MAX + 1};
    assert_int_equal(live_load(c->runtime, 1, &none, &number), QRT_ERANGE);
    assert_int_equal(live_load(c->runtime, 1, &blind, &number), QRT_ERANGE);
    assert_int_equal(live_load(c->runtime, 1, &huge, &number), QRT_ERANGE);
    cluster_free(c);
}

static void test_live_bare_rounds(void **state) {
    (void)state;
    struct error e = {0};
    for (int tcp = 0; tcp < 2; tcp++) {
        const int cpus[] = {0, 0, 0};
        struct bare *b = bare_new(tcp, tcp ? 1u << 16 : BARE_LEAST, tcp ? cpus : NULL, &e);
        assert_non_null(b);
        struct load_spec closed = {.window = 16, .count = 1000},
                         open = {.window = 16, .count = 20, .interval = 1000000};
        struct load_report r;
        assert_int_equal(bare_rounds(b, &closed, &r, &e), QRT_OK);
        assert_int_equal(r.committed, 1000);
        assert_int_equal(bare_rounds(b, &open, &r, &e), QRT_OK);
        assert_true(r.committed == 20 && r.ns >= 19000000);
        bare_free(b);
    }
}

static struct blob *frame_of(uint32_t size, uint8_t byte) {
    struct blob *b = blob_room(OUTBOX_ROOM + size);
    memset(b->data + OUTBOX_ROOM, byte, size);
    return b;
}

/* One large frame to two receivers is one piece of memory, and it is there until the last of them has closed it. */
static void test_live_parcels_share_memory(void **state) {
    (void)state;
    void *context = zmq_ctx_new(), *in[2], *out[2];
    struct blob *frame = frame_of(100000, 7);
    struct parcel p = parcel_large((struct envelope){1, 2, 0, 42}, frame);
    struct blob *kept = parcel_keep(&p);
    struct parcel later = parcel_kept(kept);
    zmq_msg_t m[2];
    assert_ptr_equal(kept, frame);
    for (int i = 0; i < 2; i++) {
        char address[24];
        snprintf(address, sizeof address, "inproc://parcels-%d", i);
        in[i] = zmq_socket(context, ZMQ_PULL), out[i] = zmq_socket(context, ZMQ_PUSH);
        assert_int_equal(zmq_bind(in[i], address) | zmq_connect(out[i], address), 0);
        assert_true(parcel_pack(&m[i], i ? &later : &p, NULL));
        assert_true(zmq_msg_send(&m[i], out[i], 0) > 0);
    }
    blob_unref(&kept);
    assert_int_equal(frame->references, 3); /* ours and two messages */
    for (int i = 0; i < 2; i++) {
        struct envelope head;
        zmq_msg_init(&m[i]);
        assert_int_equal(zmq_msg_recv(&m[i], in[i], 0), sizeof head + 100000);
        memcpy(&head, zmq_msg_data(&m[i]), sizeof head);
        assert_true(head.from == 1 && head.to == 2 && head.sent == 42);
        assert_ptr_equal(zmq_msg_data(&m[i]), frame->data);
        zmq_msg_close(&m[i]);
        assert_int_equal(frame->references, 2 - i);
    }
    blob_unref(&frame);
    for (int i = 0; i < 2; i++) assert_int_equal(zmq_close(in[i]) | zmq_close(out[i]), 0);
    zmq_ctx_term(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_load_on_threads),       cmocka_unit_test(test_live_load_on_processes),
        cmocka_unit_test(test_live_load_on_disk),          cmocka_unit_test(test_live_load_times_and_ends),
        cmocka_unit_test(test_live_load_refuses_nonsense), cmocka_unit_test(test_live_bare_rounds),
        cmocka_unit_test(test_live_parcels_share_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
