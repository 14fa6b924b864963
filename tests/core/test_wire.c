/* Frames: what is encoded is read back; what was damaged, cut, lengthened or made up is refused, and costs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "wire/wire.h"

#define CLUSTER UINT64_C(0x51554f52)

static const uint8_t kinds[] = {
#define M(number, name, NAME) number,
    WIRE_MESSAGES(M)
#undef M
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const char *const names[] = {
#define M(number, name, NAME) #name,
    WIRE_MESSAGES(M)
#undef M
};

/* ---- random messages ---- */

static uint8_t blob_bytes_of[70000];

static struct bytes draw_blob(struct random *r) {
    static const uint32_t sizes[] = {0, 1, 7, 64, 300, 5000, 65536};
    struct bytes b = {blob_bytes_of, (uint32_t)random_below(r, sizes[random_below(r, 7)] + 1)};
    if (!b.size && random_chance(r, 0.5)) b.data = NULL;
    return b;
}

static void draw_message(struct random *r, uint8_t kind, struct message *m) {
    memset(m, 0, sizeof *m);
    m->kind = kind;
    m->group = (uint16_t)random_u64(r);
    m->from = (uint16_t)random_u64(r);
    m->to = (uint16_t)random_u64(r);
    switch ((enum wire_kind)kind) {
#define F(type, name) to->name = (type)random_u64(r);
#define B(name) to->name = draw_blob(r);
#define M(number, name, NAME)                                \
    case number: {                                           \
        struct wire_##name *to = &m->as.name;                \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) break; \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
#undef F
    }
}

static bool same_fields(const struct message *a, const struct message *b) {
    bool same = a->kind == b->kind && a->group == b->group && a->from == b->from && a->to == b->to;
    switch ((enum wire_kind)a->kind) {
#define F(type, name) same = same && x->name == y->name;
#define B(name) same = same && bytes_equal(x->name, y->name);
#define M(number, name, NAME)                                        \
    case number: {                                                   \
        const struct wire_##name *x = &a->as.name, *y = &b->as.name; \
        WIRE_##NAME##_FIXED(F) WIRE_##NAME##_BLOBS(B) break;         \
    }
        WIRE_MESSAGES(M)
#undef M
#undef B
#undef F
    }
    return same;
}

/* A sealed frame in memory of exactly its size, so that a sanitizer sees every step too far. */
static uint8_t *sealed(const struct message *m, uint64_t id, size_t *size) {
    *size = wire_size(m);
    uint8_t *frame = mem_alloc(*size);
    wire_encode(m, frame);
    wire_seal(frame, *size, id, CLUSTER);
    return frame;
}

static uint8_t *sealed_small(struct random *r, uint8_t kind, size_t *size) {
    struct message m;
    do draw_message(r, kind, &m);
    while (wire_size(&m) > 200);
    return sealed(&m, random_u64(r), size);
}

/* ---- the tests ---- */

/* DESIGN 1: every message once, as an X-macro; so each is written and read back whole, id and checksum too. */
static void test_wire_every_message_comes_back_whole(void **unused) {
    (void)unused;
    struct random r = random_stream(1, 0, RANDOM_BENCH);
    for (size_t i = 0; i < sizeof blob_bytes_of; i++) blob_bytes_of[i] = (uint8_t)random_u64(&r);
    for (size_t k = 0; k < KINDS; k++)
        for (int round = 0; round < 300; round++) {
            struct message m, back;
            size_t size;
            draw_message(&r, kinds[k], &m);
            uint64_t id = random_u64(&r);
            uint8_t *frame = sealed(&m, id, &size);
            if (!wire_decode(bytes_of(frame, size), CLUSTER, &back)) fail_msg("%s, round %d: refused", names[k], round);
            if (!same_fields(&m, &back)) fail_msg("%s, round %d: came back changed", names[k], round);
            assert_true(back.id == id && wire_id(frame) == id);
            free(frame);
        }
}

/* The seal is for one cluster: a frame of another is refused. */
static void test_wire_refuses_another_clusters_frames(void **unused) {
    (void)unused;
    struct random r = random_stream(2, 0, RANDOM_BENCH);
    struct message back;
    size_t size;
    uint8_t *frame = sealed_small(&r, WIRE_APPEND_REQUEST, &size);
    assert_true(wire_decode(bytes_of(frame, size), CLUSTER, &back));
    assert_false(wire_decode(bytes_of(frame, size), CLUSTER + 1, &back));
    free(frame);
}

/* Issue, part 2: the codec survives every truncation; and bytes behind the end are refused too. */
static void test_wire_refuses_every_truncation_and_every_addition(void **unused) {
    (void)unused;
    struct random r = random_stream(3, 0, RANDOM_BENCH);
    struct message back;
    for (size_t k = 0; k < KINDS; k++) {
        size_t size;
        uint8_t *frame = sealed_small(&r, kinds[k], &size);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *part = mem_copy(frame, cut);
            if (wire_decode(bytes_of(part, cut), CLUSTER, &back))
                fail_msg("%s cut to %zu bytes is taken", names[k], cut);
            if (wire_decode_unsealed(bytes_of(part, cut), &back))
                fail_msg("%s cut to %zu bytes is well formed", names[k], cut);
            free(part);
        }
        uint8_t *longer = mem_zero(1, size + 9);
        memcpy(longer, frame, size);
        for (size_t more = 1; more <= 9; more++) {
            wire_seal(longer, size + more, 1, CLUSTER); /* whoever sealed it */
            if (wire_decode(bytes_of(longer, size + more), CLUSTER, &back))
                fail_msg("%s with %zu bytes more is taken", names[k], more);
        }
        free(longer);
        free(frame);
    }
}

/* A corrupt frame: the simulator flips one bit; whichever it is, the frame is refused. */
static void test_wire_refuses_every_flipped_bit(void **unused) {
    (void)unused;
    struct random r = random_stream(4, 0, RANDOM_BENCH);
    struct message back;
    for (size_t k = 0; k < KINDS; k++) {
        size_t size;
        uint8_t *frame = sealed_small(&r, kinds[k], &size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            frame[bit / 8] = (uint8_t)(frame[bit / 8] ^ (1u << (bit % 8)));
            if (wire_decode(bytes_of(frame, size), CLUSTER, &back))
                fail_msg("%s with bit %zu flipped is taken", names[k], bit);
            frame[bit / 8] = (uint8_t)(frame[bit / 8] ^ (1u << (bit % 8)));
        }
        assert_true(wire_decode(bytes_of(frame, size), CLUSTER, &back));
        free(frame);
    }
}

/* A lie is a sound message that differs from the truth in one place, and a frame that is not whole holds none. */
static void test_wire_lies_in_sound_frames(void **unused) {
    (void)unused;
    struct random r = random_stream(5, 0, RANDOM_BENCH);
    struct message truth, lie;
    for (size_t k = 0; k < KINDS; k++) {
        size_t size;
        uint8_t *frame = sealed_small(&r, kinds[k], &size);
        uint8_t *told = mem_copy(frame, size);
        assert_true(wire_decode(bytes_of(frame, size), CLUSTER, &truth));
        for (uint64_t bits = 1; bits < 100; bits++) {
            memcpy(told, frame, size);
            if (!wire_lie(told, size, bits, CLUSTER)) fail_msg("%s cannot lie", names[k]);
            if (!wire_decode(bytes_of(told, size), CLUSTER, &lie)) fail_msg("a lie in %s is no message", names[k]);
            assert_int_equal(memcmp(told + 8, frame + 8, WIRE_HEADER - 8), 0);
            assert_int_not_equal(memcmp(told + WIRE_HEADER, frame + WIRE_HEADER, size - WIRE_HEADER), 0);
        }
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *part = mem_copy(frame, cut);
            assert_false(wire_lie(part, cut, 7, CLUSTER));
            free(part);
        }
        free(told);
        free(frame);
    }
}

/* A sealed frame whose lengths lie: a peer that knows the seal cannot make a reader leave the frame. */
static void test_wire_refuses_lengths_that_lie(void **unused) {
    (void)unused;
    static const uint32_t lies[] = {11, 13, 20, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    struct message m = {.kind = WIRE_SNAPSHOT_CHUNK, .from = 1, .to = 2}, back;
    m.as.snapshot_chunk.data = bytes_text("hello, world");
    size_t size, at;
    uint8_t *frame = sealed(&m, 1, &size);
    at = size - 16;
    assert_int_equal(frame[at], 12);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(frame + at, &lies[i], 4);
        wire_seal(frame, size, 1, CLUSTER);
        if (wire_decode(bytes_of(frame, size), CLUSTER, &back))
            fail_msg("a length of %u for 12 bytes is taken", lies[i]);
    }
    free(frame);
}

/* A kind that does not exist, or another version, is refused whatever follows; and has a name all the same. */
static void test_wire_refuses_unknown_kinds_and_versions(void **unused) {
    (void)unused;
    uint8_t frame[400] = {0};
    struct message back, m;
    for (int kind = 0; kind < 256; kind++) {
        bool known = false;
        for (size_t k = 0; k < KINDS; k++) {
            if (kinds[k] != kind) continue;
            known = true;
            assert_string_equal(wire_kind_name((uint8_t)kind), names[k]);
        }
        m = (struct message){.kind = (uint8_t)kind};
        assert_int_equal(wire_size(&m) != 0, known);
        if (known) continue;
        assert_string_equal(wire_kind_name((uint8_t)kind), "unknown");
        frame[8] = WIRE_VERSION;
        frame[9] = (uint8_t)kind;
        for (size_t size = 0; size <= sizeof frame; size++)
            assert_false(wire_decode_unsealed(bytes_of(frame, size), &back));
    }
    for (int version = 0; version < 256; version++) {
        m = (struct message){.kind = WIRE_PING};
        wire_encode(&m, frame);
        frame[8] = (uint8_t)version;
        assert_int_equal(wire_decode_unsealed(bytes_of(frame, wire_size(&m)), &back), version == WIRE_VERSION);
    }
}

/* No frame is larger than the limit: the sender learns it from the size, the receiver refuses it. */
static void test_wire_limits_frames(void **unused) {
    (void)unused;
    uint8_t *data = mem_zero(1, WIRE_FRAME_MAX + 100);
    struct message m = {.kind = WIRE_APPEND_REQUEST}, back;
    m.as.append_request.entries = bytes_of(data, 0);
    size_t around = wire_size(&m);
    m.as.append_request.entries.size = (uint32_t)(WIRE_FRAME_MAX - around);
    assert_int_equal(wire_size(&m), WIRE_FRAME_MAX);
    m.as.append_request.entries.size++;
    assert_int_equal(wire_size(&m), 0);
    m.as.append_request.entries.size = UINT32_MAX;
    assert_int_equal(wire_size(&m), 0);
    data[8] = WIRE_VERSION;
    data[9] = WIRE_APPEND_REQUEST;
    assert_false(wire_decode_unsealed(bytes_of(data, WIRE_FRAME_MAX + 1), &back));
    free(data);
}

/* Whatever is taken is taken exactly: encoded again it is the same bytes. */
static void check_random(const uint8_t *data, uint32_t size, uint64_t seed, uint64_t *taken) {
    struct message m;
    uint8_t again[512];
    if (!wire_decode_unsealed(bytes_of(data, size), &m)) return;
    ++*taken;
    if (wire_size(&m) != size)
        fail_msg("seed %llu: %u bytes were taken as %zu", (unsigned long long)seed, size, wire_size(&m));
    wire_encode(&m, again);
    if (memcmp(again + 8, data + 8, size - 8) != 0)
        fail_msg("seed %llu: what was taken is encoded otherwise", (unsigned long long)seed);
}

/* Issue, part 2: millions of random buffers, in bounded time. Half of them begin like a frame, and of those half have the
 * size of a message without blobs, so that some are taken. */
static void test_wire_survives_two_million_random_buffers(void **unused) {
    (void)unused;
    uint64_t taken = 0;
    clock_t begin = clock();
    for (uint64_t seed = 0; seed < 2000000; seed++) {
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        uint64_t words[24];
        for (int i = 0; i < 24; i++) words[i] = random_u64(&r);
        uint32_t size = (uint32_t)random_below(&r, sizeof words + 1);
        uint8_t *data = (uint8_t *)words;
        if (seed & 1) data[8] = WIRE_VERSION, data[9] = kinds[seed % KINDS];
        if ((seed & 3) == 3) {
            uint8_t kind = kinds[random_below(&r, KINDS)];
            size = (uint32_t)wire_size(&(struct message){.kind = kind});
            data[9] = kind;
            if (size + 4 <= sizeof words && random_chance(&r, 0.5)) memset(data + size - 4, 0, 4); /* an empty blob */
        }
        check_random(data, size, seed, &taken);
    }
    assert_true(taken > 100000);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 8);
}

/* The line for people keeps to its room, however little, and names what is in the message. */
static void test_wire_describes_in_bounds(void **unused) {
    (void)unused;
    struct random r = random_stream(5, 0, RANDOM_BENCH);
    for (size_t k = 0; k < KINDS; k++) {
        struct message m;
        char whole[1024], part[1025];
        draw_message(&r, kinds[k], &m);
        wire_describe(&m, whole, sizeof whole);
        assert_int_equal(strncmp(whole, names[k], strlen(names[k])), 0);
        for (size_t size = 1; size < 300; size++) {
            part[size] = 0x5a;
            wire_describe(&m, part, size);
            assert_int_equal(part[size], 0x5a);
            assert_int_equal(strncmp(whole, part, strlen(part)), 0);
        }
    }
    struct message m = {.kind = WIRE_VOTE_REQUEST, .from = 3, .to = 5};
    char line[200];
    m.as.vote_request.term = 17;
    wire_describe(&m, line, sizeof line);
    assert_non_null(strstr(line, "vote_request n3->n5 term=17"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_every_message_comes_back_whole),
        cmocka_unit_test(test_wire_refuses_another_clusters_frames),
        cmocka_unit_test(test_wire_refuses_every_truncation_and_every_addition),
        cmocka_unit_test(test_wire_refuses_every_flipped_bit),
        cmocka_unit_test(test_wire_lies_in_sound_frames),
        cmocka_unit_test(test_wire_refuses_lengths_that_lie),
        cmocka_unit_test(test_wire_refuses_unknown_kinds_and_versions),
        cmocka_unit_test(test_wire_limits_frames),
        cmocka_unit_test(test_wire_survives_two_million_random_buffers),
        cmocka_unit_test(test_wire_describes_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
