/* Captures and their replay. A simulated cluster is captured, which makes every case repeatable: the replay must do in every
 * step what the run did, under every fault, and must name the first step that it does not; and files that are cut, damaged or
 * another cluster's are seen. Live captures have the same files (test_live.c, tests/python/test_capture.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <cmocka.h>

#include "support/captures.h"

#define SECOND INT64_C(1000000000)

static char *const folder = captures_folder;

static void say(const struct error *e) {
    if (e->status) print_error("%s\n", e->text);
}

static struct cluster *cluster_of(const char *protocol, const struct setting *more, size_t count) {
    struct setting settings[16] = {{"nodes", "5"}, {"seed", "11"}, {"capture", folder}};
    struct error e = {0};
    for (size_t i = 0; i < count; i++) settings[3 + i] = more[i];
    struct cluster *c = cluster_new(protocol, settings, 3 + count, NULL, &e);
    say(&e);
    assert_non_null(c);
    return c;
}

static void load(struct cluster *c, uint64_t operations) {
    struct workload w;
    struct error e = {0};
    workload_standard(&w, "kv");
    w.clients = 4;
    w.operations = operations;
    qrt_status s = cluster_load(c, &w, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
}

static void plan(struct cluster *c, const char *json) {
    struct plan p = {0};
    struct error e = {0};
    qrt_status s = plan_parse(&p, bytes_text(json), (uint16_t)c->config.options.nodes, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
    c->class->fault(c->runtime, &p, NULL);
    plan_free(&p);
}

static void run(struct cluster *c, int64_t until) {
    struct error e = {0};
    assert_int_equal(cluster_run(c, until, NULL, 0, &e), QRT_OK);
}

static json_t *replay(const char *bug) {
    struct error e = {0};
    struct capture_replay *r = capture_replay_new(folder, bug, &e);
    say(&e);
    assert_non_null(r);
    while (!capture_replay_run(r, 1000000)) continue;
    json_t *report = json_loads(capture_replay_report(r), 0, NULL);
    capture_replay_free(r);
    assert_non_null(report);
    return report;
}

static json_int_t number(json_t *report, const char *name) {
    return json_integer_value(json_object_get(report, name));
}

static const char *text(json_t *report, const char *name) {
    return json_string_value(json_object_get(report, name));
}

/* Everything was compared but what kills cut short, and nothing differs. */
static void assert_whole(json_t *report) {
    if (strcmp(text(report, "verdict"), "ok")) print_error("%s\n", json_dumps(report, JSON_INDENT(1)));
    assert_string_equal(text(report, "verdict"), "ok");
    assert_true(number(report, "steps") > 100);
    assert_int_equal(number(report, "matched") + number(report, "uncompared"), number(report, "steps"));
    assert_int_equal(number(report, "uncompared"), 0);
    assert_int_equal(number(report, "gaps"), 0);
    json_decref(report);
}

static const char *const faults =
    "[{\"at\": 1, \"do\": \"crash\", \"node\": 1}, {\"at\": 1.2, \"do\": \"crash\", \"node\": 2, \"effect\": 3},"
    " {\"at\": 1.5, \"do\": \"restart\", \"node\": \"all\"}, {\"at\": 1.8, \"do\": \"pause\", \"node\": 3},"
    " {\"at\": 2.1, \"do\": \"resume\", \"node\": 3},"
    " {\"at\": 2.2, \"do\": \"crash\", \"node\": 4, \"disk\": \"wiped\"},"
    " {\"at\": 2.4, \"do\": \"restart\", \"node\": 4}, {\"at\": 2.5, \"do\": \"skew\", \"node\": 2, \"drift\": 900},"
    " {\"at\": 2.6, \"do\": \"partition\", \"groups\": [[1, 2], [3, 4, 5]]}, {\"at\": 3, \"do\": \"heal\"},"
    " {\"at\": 3.1, \"do\": \"crash\", \"node\": \"leader\", \"effect\": 2, \"disk\": \"kept\"},"
    " {\"at\": 3.2, \"do\": \"crash\", \"node\": \"majority\"}, {\"at\": 3.5, \"do\": \"restart\", \"node\": \"all\"}]";

/* Each step of a run without faults comes out as it was, over its state and all its events. */
static void test_capture_replays(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", NULL, 0);
    load(c, 300);
    run(c, 3 * SECOND);
    cluster_free(c);
    assert_whole(replay(NULL));
}

/* The same under crashes between effects, lost and wiped disks, a pause and a partition. */
static void test_capture_replays_faults(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", (struct setting[]){{"detector", "phi"}}, 1);
    plan(c, faults);
    load(c, 500);
    run(c, 5 * SECOND);
    cluster_free(c);
    assert_whole(replay(NULL));
}

static bool has_restored(struct cluster *c, uint16_t node) {
    const struct trace *t = c->class->trace(c->runtime);
    for (uint64_t i = 0; i < t->count; i++) {
        const qrt_event *e = trace_at(t, i);
        if (e && e->kind == QRT_KIND_RESTORE && e->node == node) return true;
    }
    return false;
}

/* A snapshot that has become durable although its node died before it knew: what the next life recovers is newer than all that the
 * one before had in its log, and nothing is missing all the same. */
static void test_capture_replays_a_snapshot_that_nobody_was_told_of(void **state) {
    (void)state;
    const struct setting slow[] = {{"snapshot_threshold", "10"}, {"snapshot_keep", "2"}, {"sync", "50ms"}};
    struct cluster *c = cluster_of("raft", slow, 3);
    plan(c, "[{\"at\": 1, \"do\": \"partition\", \"groups\": [[5], [1, 2, 3, 4]]}, {\"at\": 4, \"do\": \"heal\"}]");
    load(c, 200);
    int64_t now = 0;
    while (!has_restored(c, 5) && now < 60 * SECOND) run(c, now += SECOND / 1000);
    plan(c, "[{\"at\": 0.001, \"do\": \"crash\", \"node\": 5, \"disk\": \"kept\"},"
            " {\"at\": 1, \"do\": \"restart\", \"node\": 5}]");
    run(c, now + 5 * SECOND);
    assert_true(has_restored(c, 5));
    cluster_free(c);
    assert_whole(replay(NULL));
}

/* ---- clients ---- */

static struct buffer history_of(struct cluster *c) {
    struct buffer text = {0};
    history_print_json(c->class->history(c->runtime), &text);
    return text;
}

/* The clients' history in the folder, as far as it goes. */
static struct buffer captured_text(struct captured_history *h) {
    struct buffer about = {0}, text = {0};
    struct error e = {0};
    assert_int_equal(capture_about(folder, &about, &e), QRT_OK);
    captured_history_open(h, folder, capture_identity(bytes_of(about.data, about.size)));
    while (!captured_history_read(h, 7)) continue;
    history_print_json(&h->history, &text);
    buffer_free(&about);
    return text;
}

static const char *linearizability(json_t *report, const char **why) {
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(report, "properties"), i, p) {
        if (strcmp(text(p, "name"), "linearizability")) continue;
        if (why) *why = text(p, "text");
        return text(p, "verdict");
    }
    return "none";
}

/* What clients asked and were told comes back as it was, byte for byte: times, orders, nil and "", what is open. */
static void test_capture_holds_the_history(void **state) {
    (void)state;
    struct captured_history h;
    struct cluster *c = cluster_of("raft", NULL, 0);
    plan(c, faults);
    load(c, 100000);
    run(c, 33 * SECOND / 10); /* a majority is down, and operations are open */
    struct buffer live = history_of(c);
    cluster_free(c);
    struct buffer read = captured_text(&h);
    assert_false(h.ended);
    assert_true(h.history.count > 200);
    assert_string_equal(buffer_text(&read), buffer_text(&live));
    captured_history_close(&h);
    buffer_free(&read);
    buffer_free(&live);
    json_t *report = replay(NULL);
    assert_string_equal(linearizability(report, NULL), "ok");
    assert_true(json_integer_value(json_object_get(json_object_get(report, "history"), "unknown")) > 0);
    assert_whole(report);
}

/* One operation of a client, to its end. */
static void operate(struct cluster *c, uint16_t client, uint8_t operation, const char *value) {
    struct error e = {0};
    struct buffer data = {0};
    uint64_t ticket;
    char condition[32];
    struct command command = {.operation = operation, .key = bytes_text("x"), .value = bytes_text(value)};
    command_encode(&command, &data);
    uint8_t kind = command_is_read(operation) ? CLIENT_READ : CLIENT_WRITE;
    assert_int_equal(cluster_submit(c, client, kind, bytes_of(data.data, data.size), &ticket, &e), QRT_OK);
    snprintf(condition, sizeof condition, "ticket %llu", (unsigned long long)ticket);
    qrt_status s = cluster_run(c, c->class->now(c->runtime) + 5 * SECOND, condition, 0, &e);
    say(&e);
    assert_int_equal(s, QRT_OK);
    buffer_free(&data);
}

/* A cut-off leader that serves reads: each node's steps are in order, and the clients' history tells. */
static void test_capture_judges_the_history(void **state) {
    (void)state;
    const char *why = NULL;
    char cut[96];
    struct cluster *c =
        cluster_of("raft", (struct setting[]){{"bug", "read-before-confirm"}, {"check_quorum", "false"}}, 2);
    uint16_t reader = c->class->client(c->runtime, NULL, 0), writer = c->class->client(c->runtime, NULL, 0);
    run(c, SECOND);
    operate(c, writer, COMMAND_PUT, "old");
    operate(c, reader, COMMAND_GET, ""); /* it knows the leader now */
    int leader = c->class->leader(c->runtime), next = leader % 5 + 1, third = next % 5 + 1;
    snprintf(cut, sizeof cut, "[{\"at\": 0, \"do\": \"partition\", \"groups\": [[%d], [%d, %d, %d]]}]", leader, next,
             third, third % 5 + 1);
    plan(c, cut);
    operate(c, writer, COMMAND_PUT, "new");
    operate(c, reader, COMMAND_GET, "");
    cluster_free(c);
    json_t *report = replay(NULL);
    assert_string_equal(linearizability(report, &why), "violated");
    assert_string_equal(text(report, "verdict"), "violated");
    assert_non_null(strstr(why, "old"));
    assert_int_equal(number(report, "matched"), number(report, "steps"));
    json_decref(report);
    struct capture_replay *r = captures_replayed();
    assert_int_equal(captures_judged(&r->replay->history.history), VERDICT_VIOLATED); /* as the nodes tell it, too */
    capture_replay_free(r);
}

/* ---- what clients asked, as the nodes tell it ---- */

/* Of the nodes' history: the operation of that function and written value, which workloads write once. */
static const struct history_operation *written(const struct history *h, const struct history_operation *op) {
    for (size_t i = 0; i < h->count; i++) {
        const struct history_operation *other = &h->operations[i];
        if (other->function == op->function && bytes_equal(other->key, op->key) && bytes_equal(other->value, op->value))
            return other;
    }
    return NULL;
}

/* The nodes' captures tell what clients were told: every write that a client knows of, with its answer, within the client's own
 * interval; what was never answered is open. It is linearizable, as the clients' own history is. */
static void test_capture_nodes_tell_the_history(void **state) {
    (void)state;
    size_t compared = 0, told[2] = {0};
    struct cluster *c = cluster_of("raft", NULL, 0);
    plan(c, faults);
    load(c, 100000);
    run(c, 4 * SECOND);
    cluster_free(c);
    struct capture_replay *r = captures_replayed();
    const struct history *clients = &r->clients.history, *nodes = &r->replay->history.history;
    for (size_t i = 0; i < clients->count; i++) {
        const struct history_operation *op = &clients->operations[i], *same;
        told[0] += op->outcome == HISTORY_OK;
        if (op->outcome != HISTORY_OK || (op->function != HISTORY_PUT && op->function != HISTORY_APPEND)) continue;
        same = written(nodes, op);
        assert_non_null(same);
        assert_int_equal(same->outcome, HISTORY_OK);
        assert_int_equal(same->status, op->status);
        assert_true(bytes_equal(same->result, op->result));
        assert_true(same->invoke_ns >= op->invoke_ns && same->return_ns <= op->return_ns);
        compared++;
    }
    for (size_t i = 0; i < nodes->count; i++) told[1] += nodes->operations[i].outcome == HISTORY_OK;
    assert_true(compared > 100);
    assert_true(told[1] >= told[0] && told[1] < nodes->count); /* an answer may be lost on its way */
    assert_int_equal(r->replay->unsent, 0);
    assert_int_equal(captures_judged(nodes), VERDICT_OK);
    capture_replay_free(r);
}

/* Every protocol that is there: what its host does depends on its inputs alone. */
static void test_capture_replays_every_protocol(void **state) {
    struct error e = {0};
    uint64_t ticket;
    for (size_t i = 0; protocol_at(i); i++) {
        const char *name = protocol_at(i)->name;
        if (!strcmp(name, "null")) continue;
        captures_setup(state);
        struct cluster *c = cluster_of(name, (struct setting[]){{"capture_size", "64MiB"}}, 1);
        plan(c, faults);
        for (int k = 1; k <= 12; k++) {
            cluster_propose(c, 0, bytes_text("x"), &ticket, &e); /* refused or not: that is an input too */
            run(c, k * SECOND / 4);
        }
        cluster_free(c);
        json_t *report = replay(NULL);
        if (!json_is_null(json_object_get(report, "differs"))) print_error("%s: %s\n", name, text(report, "text"));
        assert_true(json_is_null(json_object_get(report, "differs")));
        assert_int_equal(number(report, "matched"), number(report, "steps"));
        json_decref(report);
        captures_teardown(state);
    }
}

/* A build that behaves in another way is seen, with the step, the input and both fingerprints. */
static void test_capture_names_what_differs(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", NULL, 0);
    load(c, 100);
    run(c, 2 * SECOND);
    cluster_free(c);
    json_t *report = replay("vote-before-sync"), *d = json_object_get(report, "differs");
    assert_string_equal(text(report, "verdict"), "differs");
    assert_non_null(strstr(text(d, "input"), "vote"));
    assert_true(number(d, "step") >= 1 && number(d, "node") >= 1);
    json_t *then = json_object_get(d, "recorded"), *now = json_object_get(d, "replayed");
    assert_false(json_equal(then, now));
    assert_true(json_is_number(json_object_get(report, "judged_until")));
    json_decref(report);
    assert_whole(replay(""));
}

/* What follows a life that differs is no gap, though more is recovered than was followed. */
static void test_capture_differs_and_goes_on(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", NULL, 0);
    plan(c, faults);
    load(c, 500);
    run(c, 5 * SECOND);
    cluster_free(c);
    json_t *report = replay("vote-before-sync");
    assert_string_equal(text(report, "verdict"), "differs");
    assert_int_equal(number(report, "gaps"), 0);
    assert_true(number(report, "matched") > 500); /* of later lives, from what they recovered */
    json_decref(report);
}

/* ---- files ---- */

static void path_of(char path[128], uint16_t node, uint32_t segment) {
    char name[CAPTURE_NAME_MAX];
    capture_name(name, node, segment);
    snprintf(path, 128, "%s/%s", folder, name);
}

static struct buffer read_whole(const char *path) {
    struct buffer b = {0};
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n = 1; n;) {
        buffer_extend(&b, 65536);
        b.size -= 65536;
        n = fread(b.data + b.size, 1, 65536, f);
        b.size += n;
    }
    fclose(f);
    return b;
}

static void write_whole(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void capture_short(void) {
    struct cluster *c = cluster_of("raft", NULL, 0);
    load(c, 20);
    run(c, SECOND);
    cluster_free(c);
}

static void assert_gap(json_t *report, const char *words) {
    json_t *note = json_array_get(json_object_get(report, "notes"), 0);
    assert_true(number(report, "gaps") >= 1);
    assert_true(json_is_null(json_object_get(report, "differs")));
    if (!strstr(text(note, "text"), words)) print_error("%s\n", text(note, "text"));
    assert_non_null(strstr(text(note, "text"), words));
    assert_string_not_equal(text(report, "verdict"), "violated");
}

/* A file that ends anywhere is cut at its last sound record: said, counted, and all before it still matches. */
static void test_capture_truncated(void **state) {
    (void)state;
    char path[128];
    capture_short();
    path_of(path, 2, 1);
    struct buffer whole = read_whole(path);
    assert_true(whole.size > 4096);
    for (size_t size = 0; size < whole.size; size += size < 600 ? 61 : whole.size / 23 + 5) {
        write_whole(path, whole.data, size);
        json_t *report = replay(NULL);
        assert_gap(report, size < CAPTURE_HEAD ? "shorter than its head" : "end");
        assert_string_equal(text(report, "verdict"), "unknown");
        assert_true(number(report, "steps") - number(report, "matched") <= 1); /* whose outcome is gone */
        json_decref(report);
    }
    buffer_free(&whole);
}

/* A bit flipped anywhere is found by a check, and nothing behind it is believed. */
static void test_capture_damaged(void **state) {
    (void)state;
    char path[128];
    capture_short();
    path_of(path, 3, 1);
    struct buffer whole = read_whole(path);
    for (size_t at = 8; at + 8 < whole.size; at += at < 400 ? 8 : whole.size / 31 + 3) {
        bool counted = at >= offsetof(struct capture_head, used) && at < CAPTURE_HEAD;
        whole.data[at] ^= 4;
        write_whole(path, whole.data, whole.size);
        json_t *report = replay(NULL);
        if (!counted) assert_true(number(report, "gaps") >= 1);
        assert_true(json_is_null(json_object_get(report, "differs")));
        assert_true(number(report, "steps") - number(report, "matched") <= 1); /* whose outcome is gone */
        json_decref(report);
        whole.data[at] ^= 4;
    }
    buffer_free(&whole);
}

/* Flips a bit of the 20th record of that kind of node 4, and makes its check good again. at: in its body. */
static void forge(enum capture_kind kind, size_t at) {
    char path[128];
    struct capture_record_head r;
    struct capture_head head;
    path_of(path, 4, 1);
    struct buffer whole = read_whole(path);
    memcpy(&head, whole.data, sizeof head);
    size_t place = CAPTURE_HEAD, count = 0;
    for (;; place += capture_room(r.size - sizeof r)) {
        memcpy(&r, whole.data + place, sizeof r);
        assert_true(r.size >= sizeof r);
        if (r.kind == kind && ++count == 20) break;
    }
    size_t last = r.size - sizeof r - 1;
    whole.data[place + sizeof r + (at < last ? at : last)] ^= 1;
    r.check = capture_check(capture_seed(&head), place, &r, whole.data + place + sizeof r);
    memcpy(whole.data + place, &r, sizeof r);
    write_whole(path, whole.data, whole.size);
    buffer_free(&whole);
}

/* The first step that differs is of the node whose capture was changed: an input, of which the frame's seal does not hold any
 * more; the fingerprint of the state behind a step; that of the step's events. */
static void test_capture_forged(void **state) {
    (void)state;
    static const struct {
        enum capture_kind kind;
        size_t at;
    } forgeries[] = {{CAPTURE_FRAME, SIZE_MAX}, {CAPTURE_OUTCOME, 0}, {CAPTURE_OUTCOME, 8}};
    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
        capture_short();
        forge(forgeries[i].kind, forgeries[i].at);
        json_t *report = replay(NULL), *d = json_object_get(report, "differs");
        assert_string_equal(text(report, "verdict"), "differs");
        assert_int_equal(number(d, "node"), 4);
        json_decref(report);
        captures_teardown(NULL);
        captures_setup(NULL);
    }
}

/* Options that are not those of the segments, another format, no capture at all: each says so. */
static void test_capture_foreign(void **state) {
    (void)state;
    char path[128];
    struct error e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, CAPTURE_FILE);
    assert_null(capture_replay_new(folder, NULL, &e));
    assert_int_equal(e.status, QRT_ENOTFOUND);
    capture_short();
    struct buffer about = read_whole(path);
    char *text_of = buffer_text(&about), *seed = strstr(text_of, "\"seed\": \"11\""),
         *format = strstr(text_of, "e\": 2");
    assert_non_null(seed);
    assert_non_null(format);
    memcpy(seed + 9, "12", 2);
    write_whole(path, about.data, about.size);
    json_t *report = replay(NULL);
    assert_gap(report, "another capture");
    assert_int_equal(number(report, "gaps"), 5);
    assert_int_equal(number(report, "steps"), 0);
    json_decref(report);
    format[4] = '3';
    write_whole(path, about.data, about.size);
    assert_null(capture_replay_new(folder, NULL, &e));
    assert_int_equal(e.status, QRT_ENEWER);
    write_whole(path, "{", 1);
    assert_null(capture_replay_new(folder, NULL, &e));
    assert_int_equal(e.status, QRT_EPARSE);
    buffer_free(&about);
}

/* One folder, one capture; and a segment that is missing is seen by its number. */
static void test_capture_folders(void **state) {
    (void)state;
    char path[128];
    struct error e = {0};
    capture_short();
    struct setting again[] = {{"capture", folder}};
    assert_null(cluster_new("raft", again, 1, NULL, &e));
    assert_int_equal(e.status, QRT_EINVAL);
    assert_non_null(strstr(e.text, "holds a capture already"));
    path_of(path, 6, 1);
    write_whole(path, "of another cluster", 18);
    json_t *report = replay(NULL);
    assert_string_equal(text(report, "verdict"), "ok"); /* it is not read, and said */
    assert_non_null(strstr(text(report, "text"), "n6: its segments are left out: the captured cluster has 5 nodes"));
    json_decref(report);
    path_of(path, 1, 1);
    unlink(path);
    report = replay(NULL);
    assert_gap(report, "no segment");
    json_decref(report);
}

/* Clients' files that are cut or damaged anywhere, or not there: nothing is ok that is not known, nothing is violated, and the
 * nodes' steps are compared all the same. */
static void test_capture_of_clients_damaged(void **state) {
    (void)state;
    char path[128];
    const char *why = NULL;
    struct captured_history h;
    size_t found_out = 0;
    capture_short();
    path_of(path, QRT_CLIENT, 1);
    struct buffer history = captured_text(&h);
    captured_history_close(&h);
    assert_non_null(strstr(path, "/clients-000001.capture"));
    struct buffer whole = read_whole(path);
    assert_true(whole.size > 2048);
    for (size_t at = 8; at + 8 < whole.size; at += at < 400 ? 56 : whole.size / 31 + 3) {
        for (int cut = 0; cut < 2; cut++) {
            whole.data[at] ^= cut ? 0 : 4;
            write_whole(path, whole.data, cut ? at : whole.size);
            json_t *report = replay(NULL);
            struct buffer found = captured_text(&h);
            bool same = !strcmp(buffer_text(&found), buffer_text(&history)); /* a bit between two records */
            if (!same) assert_non_null(strstr(h.why, "clients-000001.capture, byte"));
            if (!same || h.ended) assert_string_equal(linearizability(report, &why), "unknown");
            if (!same || h.ended) assert_string_equal(text(report, "verdict"), "unknown");
            if (same && !h.ended) assert_string_equal(linearizability(report, &why), "ok");
            found_out += !same;
            captured_history_close(&h);
            buffer_free(&found);
            assert_int_equal(number(report, "gaps"), 0);
            assert_int_equal(number(report, "matched"), number(report, "steps"));
            json_decref(report);
            whole.data[at] ^= cut ? 0 : 4;
        }
    }
    assert_true(found_out > 50);
    buffer_free(&whole);
    buffer_free(&history);
    unlink(path);
    json_t *report = replay(NULL);
    assert_string_equal(linearizability(report, &why), "unknown");
    assert_string_equal(why, "no client's history was captured");
    assert_string_equal(text(report, "verdict"), "unknown"); /* it ought to be there */
    assert_true(json_is_null(json_object_get(report, "history")));
    json_decref(report);
}

/* A history above its budget ends in the file, with the reason, and everything before it is there; the clients go on. */
static void test_capture_of_clients_budget(void **state) {
    (void)state;
    static char value[4096];
    struct history h = {0};
    struct captured_history read;
    struct error e = {0};
    assert_int_equal(capture_begin(folder, bytes_text("{}"), false, &e), QRT_OK);
    struct capture *c = capture_history_open(folder, 8 << 20, &h);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 3000; i++) {
        struct history_operation op = {
            .process = 1, .function = HISTORY_WRITE, .invoke_ns = 2 * i, .value = bytes_of(value, sizeof value)};
        history_return(&h, history_invoke(&h, &op), HISTORY_OK, QRT_OK, (struct bytes){0}, 2 * i + 1);
    }
    assert_int_equal(h.count, 3000);
    assert_true(capture_lost(c) > 1000);
    capture_history_close(&c, &h);
    struct buffer text = captured_text(&read);
    assert_true(read.ended);
    assert_non_null(strstr(read.why, "the capture stopped here: its budget of 8388608 bytes"));
    assert_in_range(read.history.count, 1800, 2100);
    const struct history_operation *last = &read.history.operations[read.history.count - 1];
    assert_int_equal(last->value.size, sizeof value);
    assert_int_equal(last->invoke_ns, 2 * (int64_t)(read.history.count - 1));
    captured_history_close(&read);
    buffer_free(&text);
    history_free(&h);
}

/* A full disk (here: files may grow no further) stops captures, is counted and said, and the nodes go on as before. */
static void test_capture_disk_full(void **state) {
    (void)state;
    struct rlimit before, small = {0};
    struct node_view v;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct cluster *c = cluster_of("raft", NULL, 0);
    run(c, SECOND);
    small = (struct rlimit){65536, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    load(c, 12000);
    run(c, 20 * SECOND);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    c->class->view(c->runtime, c->class->leader(c->runtime), &v);
    assert_true(v.uncaptured > 100);
    assert_non_null(strstr(v.why_uncaptured, "a segment cannot be made"));
    assert_true(v.status.commit > 1000);
    cluster_free(c);
    json_t *report = replay(NULL);
    assert_gap(report, "the capture stopped here: a segment cannot be made");
    assert_string_equal(text(report, "verdict"), "unknown");
    assert_true(number(report, "matched") > 1000);
    json_decref(report);
}

/* The same for a budget that is used up. */
static void test_capture_budget(void **state) {
    (void)state;
    struct cluster *c = cluster_of("raft", (struct setting[]){{"capture_size", "8MiB"}}, 1);
    load(c, 30000);
    run(c, 40 * SECOND);
    cluster_free(c);
    json_t *report = replay(NULL);
    assert_gap(report, "its budget of 8388608 bytes");
    json_decref(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_capture_replays, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_replays_faults, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_replays_a_snapshot_that_nobody_was_told_of, captures_setup,
                                        captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_holds_the_history, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_judges_the_history, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_nodes_tell_the_history, captures_setup, captures_teardown),
        cmocka_unit_test(test_capture_replays_every_protocol),
        cmocka_unit_test_setup_teardown(test_capture_names_what_differs, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_differs_and_goes_on, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_truncated, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_damaged, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_forged, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_foreign, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_folders, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_of_clients_damaged, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_of_clients_budget, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_disk_full, captures_setup, captures_teardown),
        cmocka_unit_test_setup_teardown(test_capture_budget, captures_setup, captures_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
