/* The driver, under a protocol of the test's own: each step carries out a script of effects, so that what leaves the node,
 * when, and in which order can be seen. Persist before send, numbered effects with crash points between, completions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <semaphore.h>

#include <cmocka.h>

#include "machine/command.h"
#include "runtime/host.h"
#include "support/folder.h"

#define CLUSTER UINT64_C(7)

/* ---- a protocol that does as it is told ---- */

enum { DO_END = 0, DO_PERSIST, DO_SEND, DO_EARLY, DO_VOTE, DO_ACK, DO_NOTE, DO_TIMER, DO_REPLY, DO_CHECKPOINT };

struct puppet {
    uint64_t stored, serial;
};

static const uint8_t *script;         /* of the next proposal; a reply answers it */
static const uint8_t *stored_script;  /* of each EVENT_STORED */
static uint64_t stored_cookies[4096]; /* as they came */
static size_t stored_count;
static struct { /* of each EVENT_CHECKPOINT */
    unsigned count;
    uint64_t index, hash;
} saved;

static void *puppet_create(const struct protocol_config *c) {
    (void)c;
    return mem_zero(1, sizeof(struct puppet));
}
static void puppet_destroy(void *state) {
    free(state);
}
static void *puppet_clone(const void *state) {
    return mem_copy(state, sizeof(struct puppet));
}
static uint64_t puppet_fingerprint(const void *state) {
    return ((const struct puppet *)state)->serial;
}

static void do_one(struct puppet *p, uint8_t what, uint64_t token, struct outbox *out) {
    struct message ping = {.kind = WIRE_PING};
    uint64_t n = ++p->serial;
    ping.as.ping.hops = n;
    switch (what) {
    case DO_PERSIST: memcpy(outbox_persist(out, 8, n, 1), &n, 8); break;
    case DO_SEND: outbox_send(out, 2, &ping, 0, 1, n); break;
    case DO_EARLY: outbox_send(out, 2, &ping, FX_BEFORE_DURABLE, 1, n); break;
    case DO_VOTE: outbox_note(out, QRT_KIND_VOTE, 0, 2, 1, n, 0, 0); break;
    case DO_ACK: outbox_note(out, QRT_KIND_ACK, 0, 2, 1, n, 0, 0); break;
    case DO_NOTE: outbox_note(out, QRT_KIND_TERM, 0, 0, 1, n, 0, 0); break;
    case DO_TIMER: outbox_timer(out, (uint32_t)n, 5); break;
    case DO_REPLY: outbox_reply(out, token, QRT_ENOTLEADER, 2); break;
    case DO_CHECKPOINT: outbox_add(out, FX_CHECKPOINT)->index = n; break;
    default: abort();
    }
}

static void puppet_step(void *state, const struct event *e, struct outbox *out) {
    struct puppet *p = state;
    const uint8_t *s = NULL;
    uint64_t token = 0;
    if (e->kind == EVENT_PROPOSE) s = script, token = e->as.propose.token;
    if (e->kind == EVENT_STORED) {
        s = stored_script;
        stored_cookies[stored_count++ % 4096] = e->as.stored.index;
    }
    if (e->kind == EVENT_CHECKPOINT) {
        saved.count++;
        saved.index = e->as.checkpoint.index;
        saved.hash = e->as.checkpoint.blob->hash;
    }
    while (s && *s) do_one(p, *s++, token, out);
}
static void puppet_status(const void *state, struct protocol_status *s) {
    (void)state;
    *s = (struct protocol_status){.role = QRT_ROLE_FOLLOWER};
}

static const struct option_spec no_options[] = {{0}};
static const struct protocol puppet = {.name = "puppet",
                                       .options = {"puppet", no_options},
                                       .options_size = 1,
                                       .create = puppet_create,
                                       .destroy = puppet_destroy,
                                       .clone = puppet_clone,
                                       .fingerprint = puppet_fingerprint,
                                       .step = puppet_step,
                                       .status = puppet_status};

/* ---- a runtime that writes down what it is told ---- */

struct bench {
    struct host host;
    struct trace trace;
    char log[4096]; /* a letter an effect: s send, t timer, a answer, V vote, A ack, N note, w persist */
    bool flush_wanted, died;
    uint64_t last_hops;
    struct host_port port;
    struct blob *kept;
    sem_t ended; /* the disk's thread */
};

static void note(struct bench *b, char c) {
    size_t n = strlen(b->log);
    assert_true(n + 1 < sizeof b->log);
    b->log[n] = c;
    b->log[n + 1] = 0;
}
static void port_send(void *runtime, struct host *h, uint16_t to, const uint8_t *frame, uint32_t size) {
    struct message m;
    assert_int_equal(to, 2);
    assert_true(wire_decode(bytes_of(frame, size), h->config.cluster_id, &m));
    ((struct bench *)runtime)->last_hops = m.as.ping.hops;
    note(runtime, 's');
}
static void port_timer(void *runtime, struct host *h, uint16_t group, uint32_t id, int64_t delay) {
    (void)h, (void)group, (void)id, (void)delay;
    note(runtime, 't');
}
static void port_persist(void *runtime, struct host *h) {
    (void)h;
    ((struct bench *)runtime)->flush_wanted = true;
}
static void port_answer(void *runtime, struct host *h, const struct answer *a) {
    (void)h;
    assert_int_equal(a->status, QRT_ENOTLEADER);
    note(runtime, 'a');
}
static void port_died(void *runtime, struct host *h, qrt_status why, const char *text) {
    (void)h, (void)text;
    assert_int_equal(why, QRT_OK);
    ((struct bench *)runtime)->died = true;
}
/* Keeps the last frame. */
static void port_send_large(void *runtime, struct host *h, uint16_t to, struct blob *frame) {
    struct bench *b = runtime;
    port_send(b, h, to, frame->data + OUTBOX_ROOM, frame->size - OUTBOX_ROOM);
    b->log[strlen(b->log) - 1] = 'S';
    blob_unref(&b->kept);
    b->kept = blob_ref(frame);
}
/* On the disk's thread. */
static void port_saved(void *runtime, struct host *h) {
    (void)h;
    sem_post(&((struct bench *)runtime)->ended);
}
static const struct host_port port = {.send = port_send,
                                      .timer = port_timer,
                                      .persist = port_persist,
                                      .answer = port_answer,
                                      .died = port_died,
                                      .send_large = port_send_large,
                                      .saved = port_saved};

static void see(void *context, const qrt_event *e, uint64_t number) {
    (void)number;
    if (e->kind == QRT_KIND_VOTE) note(context, 'V');
    if (e->kind == QRT_KIND_ACK) note(context, 'A');
    if (e->kind == QRT_KIND_TERM) note(context, 'N');
    if (e->kind == QRT_KIND_PERSIST) note(context, 'w');
}

/* large: bytes from which on frames have memory of their own; 0: none has. */
static void begin_on(struct bench *b, uint32_t large, struct disk *on) {
    static const uint16_t members[] = {1, 2};
    struct host_config config = {.node = 1,
                                 .cluster_id = CLUSTER,
                                 .seed = 1,
                                 .members = members,
                                 .member_count = 2,
                                 .protocol = &puppet,
                                 .machine = machine_find("kv"),
                                 .sessions_limit = 8};
    struct store *store = NULL;
    struct error e = {0};
    bool wiped;
    memset(b, 0, sizeof *b);
    b->port = port;
    b->port.large = large;
    script = stored_script = NULL;
    stored_count = saved.count = 0;
    sem_init(&b->ended, 0, 0);
    trace_init(&b->trace, 0);
    b->trace.sink = (struct trace_sink){
        1u << QRT_KIND_VOTE | 1u << QRT_KIND_ACK | 1u << QRT_KIND_TERM | 1u << QRT_KIND_PERSIST, see, b};
    assert_int_equal(store_open(&store, on, (struct store_identity){CLUSTER, 1}, true, &wiped, &e), QRT_OK);
    host_init(&b->host, &config, store, &b->port, b, &b->trace);
    assert_int_equal(host_start(&b->host, QRT_START_FORMAT, &e), QRT_OK);
    b->log[0] = 0;
}

static void begin_with(struct bench *b, uint32_t large) {
    struct disk_sim_options disk = {1, 1, 1};
    begin_on(b, large, disk_sim_new(&disk, 1, 1));
}

static void begin(struct bench *b) {
    begin_with(b, 0);
}

static void end(struct bench *b) {
    host_free(&b->host);
    blob_unref(&b->kept);
    trace_free(&b->trace);
}

static void propose(struct bench *b, const uint8_t *effects) {
    script = effects;
    host_propose(&b->host, 0, bytes_text("x"), 1);
    script = NULL;
}

static void flush(struct bench *b) {
    struct error e = {0};
    b->flush_wanted = false;
    assert_true(host_flush_begin(&b->host, &e));
    assert_int_equal(host_flush_end(&b->host, &e), QRT_OK);
}

#define SCRIPT(...) ((const uint8_t[]){__VA_ARGS__, DO_END})

/* ---- persist before send ---- */

/* DESIGN 2: every send and reply waits for all earlier writes of its node; votes and acknowledgements, which are promises
 * about the disk, too. Timers and other notes do not. What is before the write leaves at once. */
static void test_driver_sends_and_promises_wait_for_the_disk(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    propose(&b, SCRIPT(DO_SEND, DO_VOTE, DO_PERSIST, DO_SEND, DO_VOTE, DO_ACK, DO_NOTE, DO_TIMER, DO_REPLY));
    assert_string_equal(b.log, "sVwNt");
    assert_true(b.flush_wanted);
    flush(&b);
    assert_string_equal(b.log, "sVwNtsVAa");
    end(&b);
}

/* DESIGN 2: only what is flagged before_durable overtakes the disk; and it does not take the others with it. */
static void test_driver_before_durable_overtakes_the_disk(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_EARLY, DO_SEND));
    assert_string_equal(b.log, "ws");
    assert_int_equal(b.last_hops, 3); /* the third effect */
    flush(&b);
    assert_string_equal(b.log, "wsss");
    assert_int_equal(b.last_hops, 4);
    end(&b);
}

/* A large frame leaves in its turn like any other, the same to the byte; what its port keeps of it stays as it was. */
static void test_driver_large_frames_leave_in_turn(void **unused) {
    (void)unused;
    struct bench small, large;
    const uint8_t *effects = SCRIPT(DO_SEND, DO_PERSIST, DO_SEND, DO_EARLY, DO_SEND);
    begin(&small);
    propose(&small, effects);
    begin_with(&large, 1);
    propose(&large, effects);
    assert_string_equal(small.log, "sws");
    assert_string_equal(large.log, "SwS");
    assert_int_equal(host_state_fingerprint(&large.host), host_state_fingerprint(&small.host)); /* of what is held */
    struct blob *early = blob_ref(large.kept);
    struct bytes before = bytes_of(mem_copy(early->data, early->size), early->size);
    flush(&small);
    flush(&large);
    assert_string_equal(large.log, "SwSSS");
    assert_int_equal(large.last_hops, small.last_hops);
    assert_memory_equal(early->data, before.data, before.size);
    assert_int_equal(early->references, 1); /* the driver has let go of it */
    assert_int_equal(large.kept->references, 1);
    blob_unref(&early);
    free((void *)before.data);
    end(&small);
    end(&large);
}

/* What a crash finds waiting for the disk is gone, large frames with it: the sanitizer would find one that is left. */
static void test_driver_large_frames_die_with_their_host(void **unused) {
    (void)unused;
    struct bench b;
    begin_with(&b, 1);
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_SEND));
    assert_string_equal(b.log, "w");
    struct host other;
    host_clone(&other, &b.host, &b, &b.trace);
    end(&b);
    host_free(&other);
}

/* Written is not durable: between the write and the sync nothing leaves. */
static void test_driver_written_but_unsynced_is_not_durable(void **unused) {
    (void)unused;
    struct bench b;
    struct error e = {0};
    begin(&b);
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND));
    assert_true(host_flush_begin(&b.host, &e));
    assert_string_equal(b.log, "w");
    assert_int_equal(stored_count, 0);
    propose(&b, SCRIPT(DO_SEND)); /* a later step waits for the earlier one's record too */
    assert_string_equal(b.log, "w");
    assert_int_equal(host_flush_end(&b.host, &e), QRT_OK);
    assert_string_equal(b.log, "wss");
    end(&b);
}

/* A record that comes while a flush is under way belongs to the next: what stands behind it waits for that one. */
static void test_driver_a_record_during_a_flush_waits_for_the_next(void **unused) {
    (void)unused;
    struct bench b;
    struct error e = {0};
    begin(&b);
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_VOTE));
    assert_true(host_flush_begin(&b.host, &e));
    propose(&b, SCRIPT(DO_PERSIST, DO_ACK));
    b.flush_wanted = false;
    assert_int_equal(host_flush_end(&b.host, &e), QRT_OK);
    assert_string_equal(b.log, "wwsV");
    assert_int_equal(stored_count, 1);
    assert_true(b.flush_wanted);
    flush(&b);
    assert_string_equal(b.log, "wwsVA");
    assert_int_equal(stored_count, 2);
    end(&b);
}

/* Order of what waits is the outbox's, over many steps and flushes. */
static void test_driver_keeps_the_order_of_what_waits(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    for (uint64_t round = 0; round < 50; round++) {
        uint64_t before = b.last_hops;
        for (int i = 0; i < 5; i++) propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_SEND));
        assert_int_equal(b.last_hops, before);
        flush(&b);
        assert_int_equal(b.last_hops, (round + 1) * 15);
    }
    end(&b);
}

/* Completions come one for each record, with its cookie, in the order of the records, after what waited was sent. */
static void test_driver_completions_come_in_order(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    for (int i = 0; i < 40; i++) propose(&b, SCRIPT(DO_PERSIST));
    flush(&b);
    assert_int_equal(stored_count, 40);
    for (uint64_t i = 0; i < 40; i++) assert_int_equal(stored_cookies[i], i + 1);
    end(&b);
}

/* The same when every completion makes two records more: no cookie is lost or handed out twice. */
static void test_driver_completions_that_persist_lose_no_cookie(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    for (int i = 0; i < 16; i++) propose(&b, SCRIPT(DO_PERSIST));
    stored_script = SCRIPT(DO_PERSIST, DO_PERSIST);
    for (int i = 0; i < 5; i++) flush(&b);
    stored_script = NULL;
    flush(&b);
    assert_int_equal(stored_count, 16 * 63);
    for (uint64_t i = 0; i < stored_count; i++)
        if (stored_cookies[i] != i + 1)
            fail_msg("completion %llu has the cookie of record %llu", (unsigned long long)i + 1,
                     (unsigned long long)stored_cookies[i]);
    end(&b);
}

/* ---- crashes between effects ---- */

/* DESIGN 2: effects are numbered, and a crash may fall between any two of them. Armed after k, exactly k are carried out and
 * nothing behind them, for every k; armed behind the last, it falls after all. */
static void test_driver_a_crash_falls_between_any_two_effects(void **unused) {
    (void)unused;
    const char whole[] = "NsVtAsN";
    for (size_t k = 0; k <= 7; k++) {
        struct bench b;
        begin(&b);
        b.host.crash_after = k;
        propose(&b, SCRIPT(DO_NOTE, DO_SEND, DO_VOTE, DO_TIMER, DO_ACK, DO_SEND, DO_NOTE));
        char expected[16] = "";
        memcpy(expected, whole, k);
        if (strcmp(b.log, expected)) fail_msg("armed after %zu effects: %s", k, b.log);
        assert_int_equal(b.host.effects_done, k);
        assert_true(b.died && b.host.dying);
        end(&b);
    }
}

/* Armed beyond the step's effects it does not fall in this step but in the next that is long enough. */
static void test_driver_an_armed_crash_waits_for_a_step_that_is_long_enough(void **unused) {
    (void)unused;
    struct bench b;
    begin(&b);
    b.host.crash_after = 3;
    propose(&b, SCRIPT(DO_SEND, DO_SEND));
    assert_false(b.died);
    assert_string_equal(b.log, "ss");
    propose(&b, SCRIPT(DO_NOTE, DO_NOTE, DO_SEND, DO_SEND));
    assert_true(b.died);
    assert_string_equal(b.log, "ssNNs");
    end(&b);
}

/* Between a write and a send: the record was written down but nothing was promised, and what waited dies with the node. */
static void test_driver_a_crash_between_write_and_send_promises_nothing(void **unused) {
    (void)unused;
    for (uint64_t k = 1; k <= 3; k++) {
        struct bench b;
        struct error e = {0};
        begin(&b);
        b.host.crash_after = k;
        propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_VOTE));
        assert_true(b.died);
        assert_string_equal(b.log, "w");
        host_stop(&b.host);
        struct disk *disk = store_release(&b.host.store);
        disk_sim_crash(disk, QRT_DISK_UNSYNCED_LOST);
        bool wiped;
        assert_int_equal(store_open(&b.host.store, disk, (struct store_identity){CLUSTER, 1}, false, &wiped, &e),
                         QRT_OK);
        assert_int_equal(host_start(&b.host, QRT_START_RECOVERED, &e), QRT_OK);
        assert_string_equal(b.log, "w");
        propose(&b, SCRIPT(DO_SEND)); /* a new incarnation owes nothing to the old one's disk */
        assert_string_equal(b.log, "ws");
        end(&b);
    }
}

/* The crash may fall among what a finished sync sets free: exactly k of them leave, and no completion is told. */
static void test_driver_a_crash_falls_among_released_effects(void **unused) {
    (void)unused;
    for (size_t k = 0; k <= 4; k++) {
        struct bench b;
        begin(&b);
        propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_VOTE, DO_SEND, DO_ACK));
        b.host.crash_after = k;
        flush(&b);
        char expected[16] = "w";
        memcpy(expected + 1, "sVsA", k);
        if (strcmp(b.log, expected)) fail_msg("armed after %zu effects: %s", k, b.log);
        if (k < 4) assert_int_equal(stored_count, 0);
        assert_true(b.died);
        end(&b);
    }
}

/* ---- checkpoints ---- */

static void put(struct bench *b, const char *value) {
    struct instance *in = &b->host.instances[0];
    struct command c = {.operation = COMMAND_PUT, .key = bytes_text("k"), .value = bytes_text(value)};
    struct buffer command = {0};
    struct error e = {0};
    command_encode(&c, &command);
    assert_int_equal(in->machine->apply(in->machine_state, 1, bytes_of(command.data, command.size), &in->reply, &e),
                     QRT_OK);
    buffer_free(&command);
}

/* Where the disk has no thread, the checkpoint is durable with the step's flush. Returns its hash, with k = "old". */
static uint64_t checkpoint_at_once(void) {
    struct bench b;
    begin(&b);
    put(&b, "old");
    propose(&b, SCRIPT(DO_CHECKPOINT));
    assert_true(b.flush_wanted);
    assert_int_equal(saved.count, 0);
    flush(&b);
    assert_int_equal(saved.count, 1);
    assert_int_equal(b.host.saving, 0);
    end(&b);
    return saved.hash;
}

/* Where it has one, flushes go on meanwhile and say nothing of it; its snapshot is that of the step, whatever was applied since; and
 * the protocol hears of it once, when the thread has ended. */
static void test_driver_a_checkpoint_does_not_hold_up_its_node(void **unused) {
    (void)unused;
    uint64_t hash = checkpoint_at_once();
    struct bench b;
    struct error e = {0};
    begin_on(&b, 0, disk_posix_new(folder, &e));
    put(&b, "old");
    propose(&b, SCRIPT(DO_CHECKPOINT));
    assert_false(b.flush_wanted);
    put(&b, "new");
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND));
    flush(&b);
    assert_string_equal(b.log, "ws");
    assert_false(b.flush_wanted);
    assert_int_equal(saved.count, 0);
    sem_wait(&b.ended);
    assert_true(host_saving_ended(&b.host));
    assert_int_equal(host_saved(&b.host, &e), QRT_OK);
    assert_int_equal(saved.count, 1);
    assert_int_equal(saved.index, 1);
    assert_true(saved.hash == hash);
    assert_false(host_saving_ended(&b.host));
    propose(&b, SCRIPT(DO_PERSIST));
    flush(&b);
    assert_int_equal(saved.count, 1);
    end(&b);
}

/* Two in one step: the second waits for the first on the node's thread, and is told. */
static void test_driver_a_second_checkpoint_is_told(void **unused) {
    (void)unused;
    struct bench b;
    struct error e = {0};
    begin_on(&b, 0, disk_posix_new(folder, &e));
    propose(&b, SCRIPT(DO_CHECKPOINT, DO_CHECKPOINT));
    sem_wait(&b.ended);
    sem_wait(&b.ended);
    assert_int_equal(host_saved(&b.host, &e), QRT_OK);
    assert_int_equal(saved.count, 1);
    assert_int_equal(saved.index, 2);
    end(&b);
}

/* A node that dies while the thread is at work: its next life hears of no saving, and finds the checkpoint or not. */
static void test_driver_a_crash_ends_the_saving(void **unused) {
    (void)unused;
    struct bench b;
    struct error e = {0};
    bool wiped;
    begin_on(&b, 0, disk_posix_new(folder, &e));
    propose(&b, SCRIPT(DO_PERSIST, DO_CHECKPOINT));
    host_stop(&b.host);
    assert_int_equal(b.host.saving, 0);
    struct disk *disk = store_release(&b.host.store);
    assert_int_equal(store_open(&b.host.store, disk, (struct store_identity){CLUSTER, 1}, false, &wiped, &e), QRT_OK);
    assert_int_equal(host_start(&b.host, QRT_START_RECOVERED, &e), QRT_OK);
    assert_true(saved.count <= 1);
    assert_false(host_saving_ended(&b.host));
    end(&b);
}

/* ---- clone ---- */

/* DESIGN 2: pending effects belong to the state: a clone taken while they wait sends them itself, once, as its parent does. */
static void test_driver_clones_carry_what_waits(void **unused) {
    (void)unused;
    struct bench b, c;
    begin(&b);
    propose(&b, SCRIPT(DO_PERSIST, DO_SEND, DO_VOTE, DO_SEND));
    memset(&c, 0, sizeof c);
    trace_init(&c.trace, 0);
    c.trace.sink = (struct trace_sink){1u << QRT_KIND_VOTE, see, &c};
    host_clone(&c.host, &b.host, &c, &c.trace);
    assert_true(host_fingerprint(&b.host) == host_fingerprint(&c.host));
    flush(&b);
    assert_string_equal(b.log, "wsVs");
    assert_string_equal(c.log, "");
    assert_true(host_fingerprint(&b.host) != host_fingerprint(&c.host));
    flush(&c);
    assert_string_equal(c.log, "sVs");
    assert_int_equal(c.last_hops, b.last_hops);
    assert_true(host_fingerprint(&b.host) == host_fingerprint(&c.host));
    end(&b);
    end(&c);
}

/* ---- bytes from peers ---- */

/* Corrupt frames, and frames for or from somebody else, are rejected and counted; the protocol never sees them. */
static void test_driver_rejects_what_is_corrupt_or_foreign(void **unused) {
    (void)unused;
    const struct {
        uint16_t from, to, group;
        uint8_t kind;
        bool taken;
    } cases[] = {
        {2, 1, 0, WIRE_PING, true},
        {2, 3, 0, WIRE_PING, false},
        {1, 1, 0, WIRE_PING, false},
        {0, 1, 0, WIRE_PING, false},
        {2, 1, 1, WIRE_PING, false},
        {QRT_CLIENT + 1, 1, 0, WIRE_PING, false},
        {2, 1, 0, WIRE_CLIENT_REQUEST, false},
    };
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m = {.kind = cases[i].kind, .group = cases[i].group, .from = cases[i].from, .to = cases[i].to};
        uint8_t frame[128];
        size_t size = wire_size(&m);
        uint64_t received = b.host.counts.received, rejected = b.host.counts.rejected;
        wire_encode(&m, frame);
        wire_seal(frame, size, i + 1, CLUSTER);
        host_receive(&b.host, bytes_of(frame, size));
        if (b.host.counts.received - received != cases[i].taken) fail_msg("case %zu", i);
        if (b.host.counts.rejected - rejected == cases[i].taken) fail_msg("case %zu", i);
        for (size_t cut = 0; cut < size; cut++) host_receive(&b.host, bytes_of(frame, cut));
        assert_int_equal(b.host.counts.received - received, cases[i].taken);
    }
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_driver_sends_and_promises_wait_for_the_disk),
        cmocka_unit_test(test_driver_before_durable_overtakes_the_disk),
        cmocka_unit_test(test_driver_large_frames_leave_in_turn),
        cmocka_unit_test(test_driver_large_frames_die_with_their_host),
        cmocka_unit_test(test_driver_written_but_unsynced_is_not_durable),
        cmocka_unit_test(test_driver_a_record_during_a_flush_waits_for_the_next),
        cmocka_unit_test(test_driver_keeps_the_order_of_what_waits),
        cmocka_unit_test(test_driver_completions_come_in_order),
        cmocka_unit_test(test_driver_completions_that_persist_lose_no_cookie),
        cmocka_unit_test(test_driver_a_crash_falls_between_any_two_effects),
        cmocka_unit_test(test_driver_an_armed_crash_waits_for_a_step_that_is_long_enough),
        cmocka_unit_test(test_driver_a_crash_between_write_and_send_promises_nothing),
        cmocka_unit_test(test_driver_a_crash_falls_among_released_effects),
        cmocka_unit_test_setup_teardown(test_driver_a_checkpoint_does_not_hold_up_its_node, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_driver_a_second_checkpoint_is_told, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_driver_a_crash_ends_the_saving, folder_make, folder_remove),
        cmocka_unit_test(test_driver_clones_carry_what_waits),
        cmocka_unit_test(test_driver_rejects_what_is_corrupt_or_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
