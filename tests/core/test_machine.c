/* The built-in machines against naive models, their clones and their snapshots. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "machine/command.h"
#include "machine/machine.h"
#include "machine/tree.h"

#define KEYS 40

static struct bytes text(const char *s) {
    return bytes_text(s);
}

static qrt_status apply(const struct machine_class *m, void *state, const struct command *c, struct buffer *reply) {
    struct buffer bytes = {0};
    struct error e = {0};
    command_encode(c, &bytes);
    buffer_clear(reply);
    qrt_status status = m->apply(state, 1, bytes_of(bytes.data, bytes.size), reply, &e);
    buffer_free(&bytes);
    return status;
}

static void assert_reply(const struct buffer *reply, const char *expected) {
    assert_int_equal(reply->size, strlen(expected));
    if (reply->size) assert_memory_equal(reply->data, expected, reply->size);
}

/* ---- the codec ---- */

static struct command command_random(struct random *r, const struct bytes *pool, size_t count) {
    struct command c = {.operation = (uint8_t)random_between(r, COMMAND_GET, COMMAND_RELEASE)};
    c.key = pool[random_below(r, count)];
    c.value = pool[random_below(r, count)];
    c.has_expected = c.operation == COMMAND_SCAN || random_chance(r, 0.7);
    if (c.has_expected) c.expected = pool[random_below(r, count)];
    return c;
}

/* What is encoded decodes to the same, and every strict prefix and every longer text is rejected or another
 * command. */
static void test_command_codec_round_trips(void **unused) {
    (void)unused;
    const struct bytes pool[] = {text(""), text("k1"), text("a longer value, with\na line"), text("0")};
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    for (int i = 0; i < 5000; i++) {
        struct command c = command_random(&r, pool, 4), d;
        struct buffer b = {0}, again = {0};
        command_encode(&c, &b);
        assert_true(command_decode(bytes_of(b.data, b.size), &d));
        command_encode(&d, &again);
        assert_int_equal(b.size, again.size);
        assert_memory_equal(b.data, again.data, b.size);
        for (size_t size = 0; size < b.size; size++) {
            struct buffer whole = {0};
            if (!command_decode(bytes_of(b.data, size), &d)) continue;
            command_encode(&d, &whole);
            assert_int_equal(whole.size, size); /* a cas without its expected value */
            assert_int_equal(d.operation, COMMAND_CAS);
            buffer_free(&whole);
        }
        buffer_free(&b);
        buffer_free(&again);
    }
}

/* Keys and values over their limits, unknown operations and trailing bytes are no commands. */
static void test_command_limits(void **unused) {
    (void)unused;
    struct buffer b = {0}, big = {0};
    struct command d, c = {.operation = COMMAND_PUT, .key = text("k")};
    buffer_extend(&big, COMMAND_VALUE_MAX + 1);
    memset(big.data, 'x', big.size);
    c.value = bytes_of(big.data, COMMAND_VALUE_MAX);
    command_encode(&c, &b);
    assert_true(command_decode(bytes_of(b.data, b.size), &d));
    buffer_append(&b, "x", 1);
    assert_false(command_decode(bytes_of(b.data, b.size), &d));
    buffer_clear(&b);
    c.value = bytes_of(big.data, COMMAND_VALUE_MAX + 1);
    command_encode(&c, &b);
    assert_false(command_decode(bytes_of(b.data, b.size), &d));
    buffer_clear(&b);
    c = (struct command){.operation = COMMAND_GET, .key = bytes_of(big.data, COMMAND_KEY_MAX + 1)};
    command_encode(&c, &b);
    assert_false(command_decode(bytes_of(b.data, b.size), &d));
    assert_false(command_decode(text("x = 1"), &d));
    assert_false(command_decode(bytes_of("\0", 1), &d));
    buffer_free(&b);
    buffer_free(&big);
}

/* Numbers are canonical decimals over the whole range of 64 bits. */
static void test_command_number(void **unused) {
    (void)unused;
    int64_t n;
    assert_true(command_number(text("-9223372036854775808"), &n) && n == INT64_MIN);
    assert_true(command_number(text("9223372036854775807"), &n) && n == INT64_MAX);
    assert_true(command_number(text("0"), &n) && n == 0);
    const char *const wrong[] = {"", "-", "-0", "01", "+1", "1 ", "9223372036854775808", "-9223372036854775809", "1e3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(command_number(text(wrong[i]), &n));
}

/* ---- the key-value store against a naive model ---- */

struct model {
    struct {
        bool there;
        char key[8];
        struct buffer value;
    } rows[KEYS]; /* ascending */
};

static void model_init(struct model *m) {
    memset(m, 0, sizeof *m);
    for (int i = 0; i < KEYS; i++) snprintf(m->rows[i].key, sizeof m->rows[i].key, "k%02d", i);
}

static void model_free(struct model *m) {
    for (int i = 0; i < KEYS; i++) buffer_free(&m->rows[i].value);
}

static void model_copy(struct model *to, const struct model *from) {
    *to = *from;
    for (int i = 0; i < KEYS; i++) {
        to->rows[i].value = (struct buffer){0};
        buffer_append(&to->rows[i].value, from->rows[i].value.data, from->rows[i].value.size);
    }
}

static void model_set(struct model *m, int i, struct bytes value) {
    buffer_clear(&m->rows[i].value);
    buffer_append(&m->rows[i].value, value.data, value.size);
    m->rows[i].there = true;
}

static struct bytes model_value(const struct model *m, int i) {
    return bytes_of(m->rows[i].value.data, m->rows[i].there ? m->rows[i].value.size : 0);
}

static void model_scan(const struct model *m, const struct command *c, struct buffer *reply) {
    int64_t limit = INT64_MAX;
    if (c->value.size) command_number(c->value, &limit);
    for (int i = 0; i < KEYS && limit > 0; i++) {
        struct bytes key = text(m->rows[i].key), value = model_value(m, i);
        if (!m->rows[i].there || bytes_compare(key, c->key) < 0) continue;
        if (c->expected.size && bytes_compare(key, c->expected) >= 0) continue;
        buffer_append(reply, &key.size, 4);
        buffer_append(reply, key.data, key.size);
        buffer_append(reply, &value.size, 4);
        buffer_append(reply, value.data, value.size);
        limit--;
    }
}

static qrt_status model_cas(struct model *m, int i, const struct command *c, struct buffer *reply) {
    bool there = m->rows[i].there;
    if (there != c->has_expected || (there && !bytes_equal(model_value(m, i), c->expected))) {
        buffer_append(reply, model_value(m, i).data, model_value(m, i).size);
        return QRT_ECAS;
    }
    model_set(m, i, c->value);
    return QRT_OK;
}

static qrt_status model_apply(struct model *m, int i, const struct command *c, struct buffer *reply) {
    bool there = m->rows[i].there;
    buffer_clear(reply);
    switch (c->operation) {
    case COMMAND_GET:
        buffer_append(reply, model_value(m, i).data, model_value(m, i).size);
        return there ? QRT_OK : QRT_ENOTFOUND;
    case COMMAND_PUT: model_set(m, i, c->value); return QRT_OK;
    case COMMAND_DELETE: m->rows[i].there = false; return there ? QRT_OK : QRT_ENOTFOUND;
    case COMMAND_APPEND:
        if (!there) buffer_clear(&m->rows[i].value);
        buffer_append(&m->rows[i].value, c->value.data, c->value.size);
        m->rows[i].there = true;
        buffer_printf(reply, "%zu", m->rows[i].value.size);
        return QRT_OK;
    case COMMAND_CAS: return model_cas(m, i, c, reply);
    default: model_scan(m, c, reply); return QRT_OK;
    }
}

static struct command kv_random(struct random *r, const struct model *m, int i, char scratch[64]) {
    struct command c = {.operation = (uint8_t)random_between(r, COMMAND_GET, COMMAND_SCAN)};
    int size = snprintf(scratch, 64, "v%0*d", (int)random_between(r, 1, 30), (int)random_below(r, 1000));
    c.key = text(m->rows[i].key);
    c.value = bytes_of(scratch, (size_t)size);
    if (c.operation == COMMAND_APPEND && m->rows[i].value.size > 200) c.operation = COMMAND_PUT;
    if (c.operation == COMMAND_CAS && random_chance(r, 0.8)) {
        c.has_expected = m->rows[i].there;
        c.expected = model_value(m, i);
    }
    if (c.operation == COMMAND_SCAN) {
        c.has_expected = true;
        if (random_chance(r, 0.5)) c.expected = text(m->rows[random_below(r, KEYS)].key);
        c.value = random_chance(r, 0.5) ? text("") : text("3");
    }
    return c;
}

static void check_kv(const struct machine_class *kv, const void *state, const struct model *m, uint64_t seed) {
    struct command all = {.operation = COMMAND_SCAN, .has_expected = true};
    struct buffer bytes = {0}, got = {0}, expected = {0};
    struct error e;
    command_encode(&all, &bytes);
    assert_int_equal(kv->query(state, bytes_of(bytes.data, bytes.size), &got, &e), QRT_OK);
    model_scan(m, &all, &expected);
    if (got.size != expected.size || (got.size && memcmp(got.data, expected.data, got.size) != 0))
        fail_msg("seed %lu: the store holds something else than the model", (unsigned long)seed);
    buffer_free(&bytes);
    buffer_free(&got);
    buffer_free(&expected);
}

/* 100,000 random commands answer as the naive model does. */
static void test_kv_agrees_with_model(void **unused) {
    (void)unused;
    const struct machine_class *kv = machine_find("kv");
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        void *state = kv->create(kv->context);
        struct model m;
        struct buffer reply = {0}, expected = {0};
        model_init(&m);
        for (int n = 0; n < 25000; n++) {
            char scratch[64];
            int i = (int)random_below(&r, KEYS);
            struct command c = kv_random(&r, &m, i, scratch);
            qrt_status status = apply(kv, state, &c, &reply);
            qrt_status wanted = model_apply(&m, i, &c, &expected);
            bool same = reply.size == expected.size && (!reply.size || !memcmp(reply.data, expected.data, reply.size));
            if (status != wanted || !same)
                fail_msg("seed %lu, command %d: %s answers %d, the model %d", (unsigned long)seed, n,
                         command_name(c.operation), status, wanted);
        }
        check_kv(kv, state, &m, seed);
        kv->destroy(state);
        model_free(&m);
        buffer_free(&reply);
        buffer_free(&expected);
    }
}

/* A clone and its origin go their own ways; equal contents have equal fingerprints, whatever led to them. */
static void test_kv_clones_are_independent(void **unused) {
    (void)unused;
    const struct machine_class *kv = machine_find("kv");
    struct random r = random_stream(7, 0, RANDOM_BENCH);
    enum { COPIES = 6 };
    void *states[COPIES];
    struct model models[COPIES];
    struct buffer reply = {0}, expected = {0};
    states[0] = kv->create(NULL);
    model_init(&models[0]);
    for (int i = 1; i < COPIES; i++) {
        states[i] = kv->clone(states[0]);
        model_copy(&models[i], &models[0]);
    }
    for (int n = 0; n < 20000; n++) {
        char scratch[64];
        int which = (int)random_below(&r, COPIES), i = (int)random_below(&r, KEYS);
        if (random_chance(&r, 0.01)) {
            int from = (int)random_below(&r, COPIES);
            if (from == which) continue;
            kv->destroy(states[which]);
            model_free(&models[which]);
            states[which] = kv->clone(states[from]);
            model_copy(&models[which], &models[from]);
            assert_true(kv->fingerprint(states[which]) == kv->fingerprint(states[from]));
        }
        struct command c = kv_random(&r, &models[which], i, scratch);
        apply(kv, states[which], &c, &reply);
        model_apply(&models[which], i, &c, &expected);
        if (n % 100 == 0)
            for (int k = 0; k < COPIES; k++) check_kv(kv, states[k], &models[k], 7);
    }
    for (int k = 0; k < COPIES; k++) {
        kv->destroy(states[k]);
        model_free(&models[k]);
    }
    buffer_free(&reply);
    buffer_free(&expected);
}

static void *change_for_a_while(void *state) {
    const struct machine_class *kv = machine_find("kv");
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    struct buffer reply = {0};
    struct model m;
    model_init(&m);
    for (int n = 0; n < 20000; n++) {
        char scratch[64];
        int i = (int)random_below(&r, KEYS);
        struct command c = kv_random(&r, &m, i, scratch);
        apply(kv, state, &c, &reply);
        if (n % 50) continue;
        void *clone = kv->clone(state);
        apply(kv, clone, &c, &reply);
        kv->destroy(clone);
    }
    buffer_free(&reply);
    return NULL;
}

/* Clones that share nodes may be changed on several threads at once; neither sees what the other does. */
static void test_kv_clones_on_two_threads(void **unused) {
    (void)unused;
    const struct machine_class *kv = machine_find("kv");
    void *a = kv->create(NULL), *b;
    struct buffer reply = {0};
    for (int i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%02d", i);
        struct command c = {.operation = COMMAND_PUT, .key = text(key), .value = text("shared")};
        apply(kv, a, &c, &reply);
    }
    b = kv->clone(a);
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, change_for_a_while, a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, change_for_a_while, b), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_true(kv->fingerprint(a) == kv->fingerprint(b)); /* both did the same */
    kv->destroy(a);
    kv->destroy(b);
    buffer_free(&reply);
}

/* The tree stays balanced and its fingerprint is that of a tree filled in another order. */
static void test_tree_fingerprint_ignores_order(void **unused) {
    (void)unused;
    struct tree up = {0}, down = {0};
    char key[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "some long prefix %d", i);
        tree_put(&up, text(key), text("x"));
        snprintf(key, sizeof key, "some long prefix %d", 2999 - i);
        tree_put(&down, text(key), text("y"));
        tree_put(&down, text(key), text("x"));
        tree_put(&down, text("gone"), text("z"));
        tree_delete(&down, text("gone"));
    }
    assert_true(tree_fingerprint(&up) == tree_fingerprint(&down));
    struct tree_cursor cursor;
    tree_seek(&up, text(""), &cursor);
    assert_in_range(cursor.depth, 6, 17); /* an AVL tree of 3000 nodes is at most 1.44 log2 3000 = 16.6 high */
    tree_put(&up, text(key), text("xx"));
    assert_true(tree_fingerprint(&up) != tree_fingerprint(&down));
    tree_free(&up);
    tree_free(&down);
}

/* Keys order as memcmp does, the shorter first, also where the first eight bytes say nothing. */
static void test_tree_orders_awkward_keys(void **unused) {
    (void)unused;
    static const struct {
        const char *data;
        uint32_t size;
    } keys[] = {{"", 0},          {"\0", 1},  {"\0\0", 2}, {"\0\0\0\0\0\0\0\0", 8}, {"\0\0\0\0\0\0\0\0\0", 9},
                {"a", 1},         {"a\0", 2}, {"a\1", 2},  {"abcdefgh", 8},         {"abcdefgh\0", 9},
                {"abcdefghi", 9}, {"b", 1},   {"\xff", 1}, {"\xff\xff", 2}};
    enum { COUNT = sizeof keys / sizeof *keys };
    struct tree t = {0};
    for (int i = 0; i < COUNT; i++) {
        int k = i * 5 % COUNT; /* 5 and 14 have no common factor */
        tree_put(&t, bytes_of(keys[k].data, keys[k].size), text("v"));
    }
    assert_int_equal(t.count, COUNT);
    struct tree_cursor cursor;
    struct bytes key, value;
    for (int from = 0; from < COUNT; from++) {
        tree_seek(&t, bytes_of(keys[from].data, keys[from].size), &cursor);
        for (int i = from; i < COUNT; i++) {
            assert_true(tree_next(&cursor, &key, &value));
            assert_true(bytes_equal(key, bytes_of(keys[i].data, keys[i].size)));
        }
        assert_false(tree_next(&cursor, &key, &value));
    }
    tree_free(&t);
}

/* A value grows to the stated limit and not a byte further. */
static void test_kv_refuses_too_large_append(void **unused) {
    (void)unused;
    const struct machine_class *kv = machine_find("kv");
    void *state = kv->create(NULL);
    struct buffer big = {0}, reply = {0};
    buffer_extend(&big, COMMAND_VALUE_MAX);
    memset(big.data, 'x', big.size);
    struct command c = {.operation = COMMAND_PUT, .key = text("k"), .value = bytes_of(big.data, big.size - 1)};
    assert_int_equal(apply(kv, state, &c, &reply), QRT_OK);
    c = (struct command){.operation = COMMAND_APPEND, .key = text("k"), .value = text("y")};
    assert_int_equal(apply(kv, state, &c, &reply), QRT_OK);
    assert_reply(&reply, "262144");
    uint64_t before = kv->fingerprint(state);
    assert_int_equal(apply(kv, state, &c, &reply), QRT_ETOOLARGE);
    assert_reply(&reply, "");
    assert_true(kv->fingerprint(state) == before);
    kv->destroy(state);
    buffer_free(&big);
    buffer_free(&reply);
}

/* ---- the small machines ---- */

/* A register has no value before its first write; cas tells what it found. */
static void test_register(void **unused) {
    (void)unused;
    const struct machine_class *m = machine_find("register");
    void *state = m->create(NULL);
    struct buffer reply = {0};
    struct command read = {.operation = COMMAND_READ};
    assert_int_equal(apply(m, state, &read, &reply), QRT_ENOTFOUND);
    struct command c = {.operation = COMMAND_CAS, .value = text("a")};
    assert_int_equal(apply(m, state, &c, &reply), QRT_OK);
    assert_int_equal(apply(m, state, &c, &reply), QRT_ECAS);
    assert_reply(&reply, "a");
    c = (struct command){.operation = COMMAND_CAS, .value = text("b"), .has_expected = true, .expected = text("a")};
    assert_int_equal(apply(m, state, &c, &reply), QRT_OK);
    c = (struct command){.operation = COMMAND_WRITE, .value = text("")};
    assert_int_equal(apply(m, state, &c, &reply), QRT_OK);
    assert_int_equal(apply(m, state, &read, &reply), QRT_OK);
    assert_reply(&reply, "");
    m->destroy(state);
    buffer_free(&reply);
}

/* A counter refuses what would overflow 64 bits and stays as it was. */
static void test_counter_refuses_overflow(void **unused) {
    (void)unused;
    const struct machine_class *m = machine_find("counter");
    void *state = m->create(NULL);
    struct buffer reply = {0};
    struct command c = {.operation = COMMAND_ADD, .value = text("9223372036854775807")};
    assert_int_equal(apply(m, state, &c, &reply), QRT_OK);
    c.value = text("1");
    assert_int_equal(apply(m, state, &c, &reply), QRT_ERANGE);
    assert_reply(&reply, "");
    c.value = text("-7");
    assert_int_equal(apply(m, state, &c, &reply), QRT_OK);
    assert_reply(&reply, "9223372036854775800");
    c.value = text("seven");
    assert_int_equal(apply(m, state, &c, &reply), QRT_EINVAL);
    m->destroy(state);
    buffer_free(&reply);
}

/* Fencing tokens grow over the machine's life, whatever the name, across releases and snapshots. */
static void test_lock_tokens_grow(void **unused) {
    (void)unused;
    const struct machine_class *m = machine_find("lock");
    void *state = m->create(NULL);
    struct random r = random_stream(3, 0, RANDOM_BENCH);
    struct buffer reply = {0}, snapshot = {0};
    struct error e;
    int64_t last = 0, token;
    for (int n = 0; n < 5000; n++) {
        char name[4] = {'l', (char)('0' + random_below(&r, 5)), 0},
             owner[4] = {'o', (char)('0' + random_below(&r, 3)), 0};
        uint8_t operation = random_chance(&r, 0.5) ? COMMAND_ACQUIRE : COMMAND_RELEASE;
        struct command c = {.operation = operation, .key = text(name), .value = text(owner)};
        qrt_status status = apply(m, state, &c, &reply);
        if (operation == COMMAND_ACQUIRE && status == QRT_OK) {
            assert_true(command_number(bytes_of(reply.data, reply.size), &token));
            assert_true(token > last);
            last = token;
            assert_int_equal(apply(m, state, &c, &reply), QRT_ECAS);
            assert_reply(&reply, owner);
        }
        if (n % 500) continue;
        buffer_clear(&snapshot);
        assert_int_equal(m->snapshot(state, &snapshot, &e), QRT_OK);
        m->destroy(state);
        state = m->create(NULL);
        assert_int_equal(m->restore(state, bytes_of(snapshot.data, snapshot.size), &e), QRT_OK);
    }
    assert_true(last > 100);
    m->destroy(state);
    buffer_free(&reply);
    buffer_free(&snapshot);
}

/* ---- all of them ---- */

static void *machine_filled(const struct machine_class *m) {
    void *state = m->create(m->context);
    struct buffer reply = {0};
    for (int i = 0; i < 30; i++) {
        char key[24], value[24];
        snprintf(key, sizeof key, "key number %d", i);
        snprintf(value, sizeof value, "%d", i);
        for (uint8_t operation = COMMAND_PUT; operation <= COMMAND_ACQUIRE; operation++) {
            struct command c = {.operation = operation, .key = text(key), .value = text(value)};
            if (operation != COMMAND_DELETE) apply(m, state, &c, &reply);
        }
    }
    buffer_free(&reply);
    return state;
}

/* A snapshot restores the same state; a cut, lengthened, altered or foreign one changes nothing. */
static void test_snapshots_round_trip_and_reject(void **unused) {
    (void)unused;
    for (size_t i = 0; machine_at(i); i++) {
        const struct machine_class *m = machine_at(i), *other = machine_at(i ? 0 : 1);
        void *full = machine_filled(m), *empty = m->create(m->context), *foreign = other->create(other->context);
        struct buffer snapshot = {0}, altered = {0};
        struct error e = {0};
        uint64_t before = m->fingerprint(empty);
        assert_int_equal(m->snapshot(full, &snapshot, &e), QRT_OK);
        assert_int_equal(other->restore(foreign, bytes_of(snapshot.data, snapshot.size), &e), QRT_ECORRUPT);
        for (size_t size = 0; size < snapshot.size; size++) {
            uint8_t *exact = mem_copy(snapshot.data, size); /* so that a sanitizer sees a read beyond */
            assert_int_equal(m->restore(empty, bytes_of(exact, size), &e), QRT_ECORRUPT);
            free(exact);
        }
        for (size_t at = 0; at < snapshot.size; at++) {
            buffer_clear(&altered);
            buffer_append(&altered, snapshot.data, snapshot.size);
            altered.data[at] ^= (uint8_t)(1u << (at % 8));
            if (m->restore(empty, bytes_of(altered.data, altered.size), &e) != QRT_ECORRUPT)
                fail_msg("%s: a snapshot with bit %zu of byte %zu flipped is accepted", m->name, at % 8, at);
        }
        buffer_clear(&altered);
        buffer_append(&altered, snapshot.data, snapshot.size);
        buffer_append(&altered, "x", 1);
        assert_int_equal(m->restore(empty, bytes_of(altered.data, altered.size), &e), QRT_ECORRUPT);
        assert_true(m->fingerprint(empty) == before);
        assert_int_equal(m->restore(empty, bytes_of(snapshot.data, snapshot.size), &e), QRT_OK);
        assert_true(m->fingerprint(empty) == m->fingerprint(full));
        m->destroy(full);
        m->destroy(empty);
        other->destroy(foreign);
        buffer_free(&snapshot);
        buffer_free(&altered);
    }
}

/* Opaque proposals, and commands of another machine, answer QRT_EINVAL and change nothing; random bytes do no
 * harm. */
static void test_machines_refuse_what_is_no_command(void **unused) {
    (void)unused;
    struct random r = random_stream(5, 0, RANDOM_BENCH);
    for (size_t i = 0; machine_at(i); i++) {
        const struct machine_class *m = machine_at(i);
        void *state = machine_filled(m);
        struct buffer reply = {0};
        struct error e;
        uint64_t before = m->fingerprint(state);
        assert_int_equal(m->apply(state, 1, text("x = 1"), &reply, &e), QRT_EINVAL);
        assert_int_equal(m->apply(state, 1, text(""), &reply, &e), QRT_EINVAL);
        struct command c = {.operation = i == 3 ? COMMAND_PUT : COMMAND_ACQUIRE, .key = text("a"), .value = text("b")};
        assert_int_equal(apply(m, state, &c, &reply), QRT_EINVAL);
        assert_true(m->fingerprint(state) == before);
        for (int n = 0; n < 20000; n++) {
            uint8_t bytes[24];
            size_t size = random_below(&r, sizeof bytes);
            for (size_t k = 0; k < size; k++) bytes[k] = (uint8_t)random_below(&r, k % 4 == 1 ? 12 : 2);
            bytes[0] = (uint8_t)random_below(&r, 13);
            buffer_clear(&reply);
            m->apply(state, 1, bytes_of(bytes, size), &reply, &e);
            m->query(state, bytes_of(bytes, size), &reply, &e);
        }
        m->destroy(state);
        buffer_free(&reply);
    }
    assert_null(machine_find("abacus"));
}

/* A query changes nothing and answers as apply does. */
static void test_query_agrees_with_apply(void **unused) {
    (void)unused;
    for (size_t i = 0; machine_at(i); i++) {
        const struct machine_class *m = machine_at(i);
        void *state = machine_filled(m);
        for (uint8_t operation = COMMAND_GET; operation <= COMMAND_RELEASE; operation++) {
            struct command c = {
                .operation = operation, .key = text("key number 3"), .has_expected = operation == COMMAND_SCAN};
            struct buffer bytes = {0}, asked = {0}, applied = {0};
            struct error e;
            command_encode(&c, &bytes);
            uint64_t before = m->fingerprint(state);
            qrt_status status = m->query(state, bytes_of(bytes.data, bytes.size), &asked, &e);
            assert_true(m->fingerprint(state) == before);
            if (!command_is_read(operation))
                assert_int_equal(status, QRT_EINVAL);
            else {
                assert_int_equal(m->apply(state, 1, bytes_of(bytes.data, bytes.size), &applied, &e), status);
                assert_int_equal(asked.size, applied.size);
                if (asked.size) assert_memory_equal(asked.data, applied.data, asked.size);
            }
            buffer_free(&bytes);
            buffer_free(&asked);
            buffer_free(&applied);
        }
        m->destroy(state);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_codec_round_trips),
        cmocka_unit_test(test_command_limits),
        cmocka_unit_test(test_command_number),
        cmocka_unit_test(test_kv_agrees_with_model),
        cmocka_unit_test(test_kv_clones_are_independent),
        cmocka_unit_test(test_kv_clones_on_two_threads),
        cmocka_unit_test(test_tree_fingerprint_ignores_order),
        cmocka_unit_test(test_tree_orders_awkward_keys),
        cmocka_unit_test(test_kv_refuses_too_large_append),
        cmocka_unit_test(test_register),
        cmocka_unit_test(test_counter_refuses_overflow),
        cmocka_unit_test(test_lock_tokens_grow),
        cmocka_unit_test(test_snapshots_round_trip_and_reject),
        cmocka_unit_test(test_machines_refuse_what_is_no_command),
        cmocka_unit_test(test_query_agrees_with_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
