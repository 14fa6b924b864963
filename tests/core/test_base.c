/* The ground that everything stands on: status words, byte cursors, random streams, real functions that have the same bits
 * everywhere, the event queue, the option table. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "base/option.h"
#include "base/random.h"
#include "base/real.h"
#include "base/status.h"

/* ---- status ---- */

static const qrt_status codes[] = {
    QRT_OK,        QRT_MORE,       QRT_EINVAL,  QRT_EOPTION,  QRT_ETYPE,        QRT_ERANGE,
    QRT_EPARSE,    QRT_ECLOSED,    QRT_EBUSY,   QRT_EFORKED,  QRT_EUNSUPPORTED, QRT_ENOTFOUND,
    QRT_ENOLEADER, QRT_ENOTLEADER, QRT_EDOWN,   QRT_EFAILED,  QRT_EUNKNOWN,     QRT_ETOOLARGE,
    QRT_ETIMEOUT,  QRT_EFULL,      QRT_ECAS,    QRT_ESESSION, QRT_ECORRUPT,     QRT_EFOREIGN,
    QRT_ENEWER,    QRT_EIO,        QRT_ESCRIPT, QRT_ENOMEM,   QRT_EINTERNAL,
};

/* STYLE: one list gives code, name and text; so every code has a name of its own, and a sentence. */
static void test_base_every_status_has_words_of_its_own(void **unused) {
    (void)unused;
    size_t n = sizeof codes / sizeof *codes;
    for (size_t i = 0; i < n; i++) {
        assert_string_not_equal(status_name(codes[i]), "unknown-status");
        assert_true(strlen(status_text(codes[i])) > 5 || codes[i] == QRT_OK);
        assert_string_equal(qrt_status_name(codes[i]), status_name(codes[i]));
        assert_string_equal(qrt_strerror(codes[i]), status_text(codes[i]));
        for (size_t j = 0; j < i; j++) assert_string_not_equal(status_name(codes[i]), status_name(codes[j]));
    }
}

/* Any number can come back over the ABI: one that is no code has words too, and no crash. */
static void test_base_a_number_that_is_no_status_has_words(void **unused) {
    (void)unused;
    for (int i = -200; i < 200; i++) assert_non_null(status_text((qrt_status)i));
    assert_string_equal(status_name((qrt_status)-39), "unknown-status");
}

/* A long name from outside must not overrun the sentence that quotes it. */
static void test_base_errors_are_cut_to_their_room(void **unused) {
    (void)unused;
    struct error e;
    char *name = malloc(5000);
    memset(name, 'x', 4999);
    name[4999] = 0;
    assert_int_equal(error_set(&e, QRT_EINVAL, "there is no %s", name), QRT_EINVAL);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    assert_int_equal(error_set(NULL, QRT_EIO, "%s", name), QRT_EIO);
    free(name);
}

/* ---- bytes ---- */

/* A reader never goes past its end: after a short read everything is zero, however much is asked. */
static void test_base_reader_stops_at_its_end(void **unused) {
    (void)unused;
    uint8_t data[32];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i + 1);
    for (uint32_t size = 0; size <= 15; size++) {
        uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a step too far */
        memcpy(exact, data, size);
        struct reader r = reader_of(bytes_of(exact, size));
        uint8_t a = read_u8(&r);
        uint16_t b = read_u16(&r);
        uint32_t c = read_u32(&r);
        uint64_t d = read_u64(&r);
        assert_int_equal(r.failed, size < 15);
        assert_int_equal(a, size >= 1 ? 1 : 0);
        assert_int_equal(b, size >= 3 ? 0x0302 : 0);
        assert_int_equal(c, size >= 7 ? 0x07060504 : 0);
        assert_true(d == (size >= 15 ? UINT64_C(0x0f0e0d0c0b0a0908) : 0));
        assert_int_equal(reader_left(&r), 0);
        free(exact);
    }
    struct reader none = reader_of((struct bytes){0});
    assert_int_equal(read_u8(&none), 0);
    assert_true(none.failed);
}

/* A length that lies, from a peer or a disk, is refused, and what follows is not read as something else. */
static void test_base_reader_refuses_lengths_that_lie(void **unused) {
    (void)unused;
    const uint32_t lies[] = {5, 6, 1000, 0x7fffffff, 0xfffffffc, 0xffffffff};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t data[8] = {0};
        memcpy(data, &lies[i], 4);
        struct reader r = reader_of(bytes_of(data, sizeof data));
        struct bytes b = read_bytes(&r);
        assert_true(r.failed);
        assert_int_equal(b.size, 0);
        assert_int_equal(read_u8(&r), 0);
    }
    uint8_t honest[8] = {4, 0, 0, 0, 'a', 'b', 'c', 'd'};
    struct reader r = reader_of(bytes_of(honest, sizeof honest));
    assert_true(bytes_equal(read_bytes(&r), bytes_text("abcd")));
    assert_false(r.failed);
}

/* A writer that runs out of room writes no byte more, not even a smaller value that would still fit. */
static void test_base_writer_stops_at_its_end(void **unused) {
    (void)unused;
    for (size_t size = 0; size < 12; size++) {
        uint8_t exact[64];
        exact[size] = 0x5a;
        struct writer w = writer_of(exact, size);
        write_u64(&w, UINT64_MAX);
        write_u32(&w, 7);
        write_u8(&w, 1);
        assert_true(w.failed);
        if (size < 8) assert_true(w.at == exact);
        assert_int_equal(exact[size], 0x5a);
    }
}

/* memcmp order with the shorter first is what the ordered trees and canonical encodings rest on. */
static void test_base_bytes_compare_as_memcmp_with_the_shorter_first(void **unused) {
    (void)unused;
    const char *sorted[] = {"", "a", "aa", "ab", "b", "\xff"};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            int order = bytes_compare(bytes_text(sorted[i]), bytes_text(sorted[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(bytes_equal(bytes_text(sorted[i]), bytes_text(sorted[j])), i == j);
        }
}

/* ---- random ---- */

/* The streams are xoshiro256** seeded by splitmix64: the reference implementations' first numbers. */
static void test_base_random_gives_the_published_numbers(void **unused) {
    (void)unused;
    static const uint64_t xoshiro[] = {UINT64_C(11520),
                                       0,
                                       UINT64_C(1509978240),
                                       UINT64_C(1215971899390074240),
                                       UINT64_C(1216172134540287360),
                                       UINT64_C(607988272756665600),
                                       UINT64_C(16172922978634559625),
                                       UINT64_C(8476171486693032832),
                                       UINT64_C(10595114339597558777),
                                       UINT64_C(2904607092377533576)};
    static const uint64_t splitmix[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                        UINT64_C(16408922859458223821)};
    struct random r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 10; i++) assert_true(random_u64(&r) == xoshiro[i]);
    for (uint64_t i = 0; i < 5; i++) assert_true(random_mix(1234567 + i * UINT64_C(0x9e3779b97f4a7c15)) == splitmix[i]);
}

/* Chi-square over 256 cells, 255 degrees of freedom: beyond 370 by chance about once in a million. */
static double chi_square(const uint32_t *cells, double samples) {
    double sum = 0, expected = samples / 256;
    for (int i = 0; i < 256; i++) sum += ((double)cells[i] - expected) * ((double)cells[i] - expected) / expected;
    return sum;
}

/* DESIGN 3: a fault's verdict is a keyed function of (seed, link, sequence number). It must be uniform along each of
 * the three, in its high and in its low bits, and tell neighbours apart. */
static void test_base_keyed_draws_are_uniform_along_every_key(void **unused) {
    (void)unused;
    for (int along = 0; along < 3; along++) {
        uint32_t high[256] = {0}, low[256] = {0}, flips = 0;
        uint64_t before = 0;
        for (uint64_t i = 0; i < 65536; i++) {
            uint64_t key[3] = {7, 65538, 3};
            key[along] = i;
            uint64_t v = random_keyed(key[0], key[1], key[2]);
            high[v >> 56]++;
            low[v & 255]++;
            flips += (uint32_t)__builtin_popcountll(v ^ before);
            before = v;
        }
        assert_true(chi_square(high, 65536) < 370);
        assert_true(chi_square(low, 65536) < 370);
        double mean = flips / 65536.0;
        assert_true(mean > 31.9 && mean < 32.1);
    }
}

/* A stream per (node, purpose): nobody's draws repeat another's. */
static void test_base_streams_of_nodes_and_purposes_differ(void **unused) {
    (void)unused;
    uint64_t seen[7 * 10 * 3];
    size_t n = 0;
    for (uint64_t seed = 0; seed < 3; seed++)
        for (uint64_t node = 0; node < 7; node++)
            for (int purpose = 1; purpose <= 10; purpose++) {
                struct random r = random_stream(seed, node, (enum random_purpose)purpose), again = r;
                seen[n] = random_u64(&r);
                assert_true(seen[n] == random_u64(&again));
                for (size_t i = 0; i < n; i++) assert_true(seen[i] != seen[n]);
                n++;
            }
}

/* Bounded draws stay inside their bounds, reach both ends, and an interval may be a single number. */
static void test_base_bounded_draws_keep_their_bounds(void **unused) {
    (void)unused;
    struct random r = random_stream(1, 1, RANDOM_CONFIG);
    bool low = false, high = false;
    for (int i = 0; i < 10000; i++) {
        int64_t v = random_between(&r, -3, 4);
        assert_true(v >= -3 && v <= 4);
        low = low || v == -3;
        high = high || v == 4;
        assert_int_equal(random_between(&r, 5, 5), 5);
        assert_int_equal(random_below(&r, 1), 0);
        double u = random_unit(&r);
        assert_true(u >= 0 && u < 1);
    }
    assert_true(low && high);
    assert_false(random_chance(&r, 0));
    assert_true(random_chance(&r, 1));
    assert_true(random_unit_of(UINT64_MAX) < 1);
}

/* ---- real functions ---- */

static int64_t ordinal(double x) {
    int64_t b;
    memcpy(&b, &x, sizeof b);
    return b < 0 ? INT64_MIN - b : b;
}

static double ulps(double a, double b) {
    return fabs((double)(ordinal(a) - ordinal(b)));
}

static uint64_t bits_of(double x) {
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

/* base/real.h: errors below one unit in the last place for log and exp; libm, itself within one, allows two. */
static void test_base_log_and_exp_are_within_two_ulps_of_libm(void **unused) {
    (void)unused;
    struct random r = random_stream(3, 0, RANDOM_BENCH);
    for (int i = 0; i < 300000; i++) {
        double wide = ldexp(1 + random_unit(&r), (int)random_between(&r, -1050, 1020));
        double near = 0.5 + 1.5 * random_unit(&r), x = -700 + 1400 * random_unit(&r);
        if (ulps(real_log(wide), log(wide)) > 2) fail_msg("log(%a): %a, libm %a", wide, real_log(wide), log(wide));
        if (ulps(real_log(near), log(near)) > 2) fail_msg("log(%a): %a, libm %a", near, real_log(near), log(near));
        if (ulps(real_exp(x), exp(x)) > 2) fail_msg("exp(%a): %a, libm %a", x, real_exp(x), exp(x));
        if (ulps(real_exp(x / 1000), exp(x / 1000)) > 2) fail_msg("exp(%a)", x / 1000);
        if (ulps(real_log10(wide), log10(wide)) > 3) fail_msg("log10(%a)", wide);
        assert_true(real_sqrt(wide) == sqrt(wide));
    }
}

/* pow loses the bits that y log x has beyond 53: some 2^-53 times its exponent. cos of a turn is for Box-Muller: 1e-15. */
static void test_base_pow_and_cos_are_near_libm(void **unused) {
    (void)unused;
    struct random r = random_stream(4, 0, RANDOM_BENCH);
    for (int i = 0; i < 300000; i++) {
        double x = 1e-6 + 100 * random_unit(&r), y = -5 + 10 * random_unit(&r), turn = random_unit(&r);
        double p = real_pow(x, y), q = pow(x, y), c = real_cos_turn(turn),
               d = (double)cosl(2 * acosl(-1) * (long double)turn);
        if (fabs(p - q) > 3e-16 * (4 + fabs(y * log(x))) * q) fail_msg("pow(%a, %a): %a, libm %a", x, y, p, q);
        if (fabs(c - d) > 1e-15) fail_msg("cos of turn %a: %a, libm %a", turn, c, d);
    }
}

/* The edges, where a drawn delay would otherwise become a NaN and a NaN a time. */
static void test_base_real_functions_at_their_edges(void **unused) {
    (void)unused;
    assert_true(real_log(1) == 0 && real_exp(0) == 1 && real_cos_turn(0) == 1);
    assert_true(isinf(real_log(0)) && real_log(0) < 0);
    assert_true(isnan(real_log(-1)) && isnan(real_log(NAN)) && isnan(real_exp(NAN)));
    assert_true(isinf(real_log(INFINITY)));
    assert_true(isinf(real_exp(710)) && real_exp(-746) == 0 && real_exp(-INFINITY) == 0 && isinf(real_exp(INFINITY)));
    assert_true(real_exp(709.7) < INFINITY && real_exp(-745) > 0);
    assert_true(real_pow(0, 2) == 0 && ulps(real_pow(2, 10), 1024) <= 8);
    assert_true(fabs(real_cos_turn(0.5) + 1) < 1e-15 && fabs(real_cos_turn(0.25)) < 1e-15);
    assert_int_equal(real_to_ns(1.5), 1500000000);
    assert_int_equal(real_to_ns(-0.25), -250000000);
    assert_int_equal(real_to_ns(NAN), 0);
    assert_true(real_to_ns(1e300) == INT64_MAX && real_to_ns(-1e300) == INT64_MIN);
    assert_true(real_to_ns(INFINITY) == INT64_MAX);
    assert_int_equal(real_to_ns(0.1), 100000000); /* rounded, not cut */
}

/* DESIGN 3: same bits with gcc and clang, at -O0 and -O3, on x86-64 and AArch64. These are the bits. */
static void test_base_real_functions_have_the_same_bits_everywhere(void **unused) {
    (void)unused;
    assert_true(bits_of(real_log(10)) == UINT64_C(0x40026bb1bbb55516));
    assert_true(bits_of(real_exp(1)) == UINT64_C(0x4005bf0a8b14576a));
    assert_true(bits_of(real_pow(2.5, -1.5)) == UINT64_C(0x3fd030dc4ea03a72));
    assert_true(bits_of(real_cos_turn(0.3)) == UINT64_C(0xbfd3c6ef372fe94e));
    uint64_t all = 0;
    struct random r = {{1, 2, 3, 4}};
    for (int i = 0; i < 20000; i++) {
        double unit = random_unit(&r), y = random_unit(&r);
        double x = ldexp(unit, (int)random_between(&r, -40, 40));
        all = random_mix(all ^ bits_of(real_log(x + 1e-300)));
        all = random_mix(all ^ bits_of(real_exp(y * 200 - 100)));
        all = random_mix(all ^ bits_of(real_pow(x + 1e-9, y * 4 - 2)));
        all = random_mix(all ^ bits_of(real_cos_turn(y)));
        all = random_mix(all ^ bits_of(real_sqrt(x)));
    }
    if (all != UINT64_C(0x1e082e74e56c3b69)) fail_msg("20,000 of each give %016llx", (unsigned long long)all);
}

/* ---- heap ---- */

/* The event queue: by time, and ties by order of insertion, whatever was pushed and popped between. */
static void test_base_heap_orders_by_time_and_insertion(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct heap h;
        struct random r = random_stream(seed, 0, RANDOM_BENCH);
        int64_t times[4000], now = 0;
        uint64_t last_order = 0;
        uint32_t pushed = 0, popped = 0;
        heap_init(&h);
        while (popped < 4000) {
            if (pushed < 4000 && (!h.count || random_chance(&r, 0.55))) {
                times[pushed] = now + random_between(&r, 0, 5); /* many ties */
                heap_push(&h, times[pushed], pushed);
                pushed++;
                continue;
            }
            struct heap_key k = heap_pop(&h);
            if (k.time < now || times[heap_slot(k)] != k.time)
                fail_msg("seed %llu: time goes back", (unsigned long long)seed);
            if (popped && k.time == now && k.order < last_order)
                fail_msg("seed %llu: a tie out of order", (unsigned long long)seed);
            now = k.time;
            last_order = k.order;
            popped++;
        }
        assert_int_equal(h.count, 0);
        heap_free(&h);
    }
}

/* fork() rests on it: a clone pops the same, and what is done to one is nothing to the other. */
static void test_base_heap_clone_is_equal_and_apart(void **unused) {
    (void)unused;
    struct heap a, b;
    struct random r = random_stream(9, 0, RANDOM_BENCH);
    heap_init(&a);
    for (uint32_t i = 0; i < 1000; i++) heap_push(&a, random_between(&r, 0, 100), i);
    heap_clone(&b, &a);
    heap_push(&b, 0, 77);
    heap_push(&a, 0, 78);
    assert_int_equal(a.count, b.count);
    for (int i = 0; i < 1001; i++) {
        struct heap_key x = heap_pop(&a), y = heap_pop(&b);
        assert_int_equal(x.time, y.time);
        if (heap_slot(x) != heap_slot(y)) assert_true(heap_slot(x) == 78 && heap_slot(y) == 77);
    }
    heap_free(&a);
    heap_free(&b);
}

/* ---- options ---- */

struct sample {
    bool flag;
    int64_t count, wait, room, seed;
    double rate;
    int32_t kind;
    char name[OPTION_TEXT_MAX];
};
#define AT(field) offsetof(struct sample, field)
static const struct option_spec sample_specs[] = {
    {"flag", OPTION_BOOL, AT(flag), 0, 0, "true", NULL, "a \"quoted\" help"},
    {"count", OPTION_INTEGER, AT(count), 1, 9, "3", NULL, "h"},
    {"seed", OPTION_INTEGER, AT(seed), 0, 18446744073709551615.0, "1", NULL, "h"},
    {"election_timeout", OPTION_DURATION, AT(wait), 0, 3600, "150ms", NULL, "h"},
    {"room", OPTION_SIZE, AT(room), 1, 1073741824, "64KiB", NULL, "h"},
    {"rate", OPTION_REAL, AT(rate), 0, 1, "0.25", NULL, "h"},
    {"kind", OPTION_CHOICE, AT(kind), 0, 0, "two", "one|two|three", "h"},
    {"name", OPTION_TEXT, AT(name), 0, 0, "kv", NULL, "h"},
    {0},
};
static const struct option_table sample_table = {"sample", sample_specs};

static qrt_status set(struct sample *s, const char *name, const char *text, struct error *e) {
    void *place = s;
    return option_set(&sample_table, &place, 1, name, text, e);
}

/* Issue, part 13: one list gives the defaults; each is the value that its text says. */
static void test_base_options_have_their_defaults(void **unused) {
    (void)unused;
    struct sample s;
    memset(&s, 0xee, sizeof s);
    option_defaults(&sample_table, &s);
    assert_true(s.flag);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.wait, 150000000);
    assert_int_equal(s.room, 65536);
    assert_true(s.rate == 0.25);
    assert_int_equal(s.kind, 1);
    assert_string_equal(s.name, "kv");
}

/* Seconds, or a unit; a seed is any of 2^64 numbers. */
static void test_base_options_read_units(void **unused) {
    (void)unused;
    struct sample s;
    struct error e = {0};
    const struct {
        const char *text;
        int64_t ns;
    } durations[] = {
        {"0.15", 150000000}, {"150ms", 150000000}, {"150 ms", 150000000},           {"7ns", 7},
        {"2us", 2000},       {"1.5s", 1500000000}, {"2min", INT64_C(120000000000)}, {"1h", INT64_C(3600000000000)}};
    option_defaults(&sample_table, &s);
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        assert_int_equal(set(&s, "election_timeout", durations[i].text, &e), QRT_OK);
        assert_int_equal(s.wait, durations[i].ns);
    }
    assert_int_equal(set(&s, "room", "2MiB", &e), QRT_OK);
    assert_int_equal(s.room, 2097152);
    assert_int_equal(set(&s, "seed", "18446744073709551615", &e), QRT_OK);
    assert_true((uint64_t)s.seed == UINT64_MAX);
    assert_int_equal(set(&s, "seed", "9007199254740993", &e), QRT_OK); /* 2^53 + 1: not through a double */
    assert_true((uint64_t)s.seed == UINT64_C(9007199254740993));
    assert_int_equal(set(&s, "flag", "no", &e), QRT_OK);
    assert_false(s.flag);
}

/* Bad input: wrong type and range are refused, the sentence names the option, and nothing is changed. */
static void test_base_options_refuse_wrong_types_and_ranges(void **unused) {
    (void)unused;
    const struct {
        const char *name, *text;
        qrt_status status;
    } bad[] = {
        {"count", "x", QRT_ETYPE},
        {"count", "", QRT_ETYPE},
        {"count", "3.5", QRT_ETYPE},
        {"count", "3 apples", QRT_ETYPE},
        {"count", "0", QRT_ERANGE},
        {"count", "10", QRT_ERANGE},
        {"count", "-1", QRT_ERANGE},
        {"count", "1e300", QRT_ERANGE},
        {"count", "nan", QRT_ETYPE},
        {"count", "inf", QRT_ETYPE},
        {"rate", "1.01", QRT_ERANGE},
        {"rate", "-0.1", QRT_ERANGE},
        {"rate", "1e999", QRT_ETYPE},
        {"election_timeout", "5 parsecs", QRT_ETYPE},
        {"election_timeout", "2h", QRT_ERANGE},
        {"election_timeout", "-1ms", QRT_ERANGE},
        {"room", "12s", QRT_ETYPE},
        {"room", "0", QRT_ERANGE},
        {"room", "1.5", QRT_ETYPE},
        {"kind", "four", QRT_ETYPE},
        {"kind", "", QRT_ETYPE},
        {"kind", "on", QRT_ETYPE},
        {"kind", "one|two", QRT_ETYPE},
        {"flag", "maybe", QRT_ETYPE},
        {"seed", "-1", QRT_ERANGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sample s, before;
        struct error e = {0};
        memset(&s, 0, sizeof s);
        option_defaults(&sample_table, &s);
        before = s;
        qrt_status status = set(&s, bad[i].name, bad[i].text, &e);
        if (status != bad[i].status) fail_msg("%s=%s: %s", bad[i].name, bad[i].text, status_name(status));
        assert_non_null(strstr(e.text, bad[i].name));
        assert_memory_equal(&s, &before, sizeof s);
    }
    struct sample s;
    struct error e = {0};
    char text[400];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(set(&s, "name", text, &e), QRT_ERANGE);
    text[OPTION_TEXT_MAX - 1] = 0;
    assert_int_equal(set(&s, "name", text, &e), QRT_OK);
}

/* Bad input: an unknown option names the nearest known one; a word that is near nothing names none. */
static void test_base_an_unknown_option_names_the_nearest(void **unused) {
    (void)unused;
    struct sample s;
    struct error e = {0};
    assert_int_equal(set(&s, "election_timout", "1", &e), QRT_EOPTION);
    assert_non_null(strstr(e.text, "did you mean 'election_timeout'"));
    assert_int_equal(set(&s, "COUNT", "1", &e), QRT_EOPTION);
    assert_non_null(strstr(e.text, "'count'"));
    assert_int_equal(set(&s, "zzzzzzzzzzzzzzzzzzzz", "1", &e), QRT_EOPTION);
    assert_null(strstr(e.text, "did you mean"));
    assert_int_equal(set(&s, "", "1", &e), QRT_EOPTION);
    char huge[2000];
    memset(huge, 'q', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_int_equal(set(&s, huge, "1", &e), QRT_EOPTION);
}

/* What is printed reads back to the same value: run files carry options as text. */
static void test_base_options_print_what_they_read(void **unused) {
    (void)unused;
    struct sample s, again;
    struct error e = {0};
    memset(&s, 0, sizeof s);
    memset(&again, 0, sizeof again);
    option_defaults(&sample_table, &s);
    s.rate = 0.1;
    s.wait = 123456789;
    s.seed = -2; /* 2^64 - 2 */
    s.kind = 2;
    s.flag = false;
    option_defaults(&sample_table, &again);
    for (const struct option_spec *o = sample_specs; o->name; o++) {
        struct buffer out = {0};
        option_print(o, &s, &out);
        if (set(&again, o->name, buffer_text(&out), &e)) fail_msg("%s=%s: %s", o->name, (char *)out.data, e.text);
        buffer_free(&out);
    }
    assert_true(s.rate == again.rate && s.wait == again.wait && s.seed == again.seed && s.kind == again.kind &&
                s.flag == again.flag);
}

/* Python and Lua make their keywords and help from this JSON; so it is JSON, and has every field. */
static void test_base_options_as_json(void **unused) {
    (void)unused;
    struct buffer out = {0};
    option_json(&sample_table, 1, &out);
    json_t *root = json_loads(buffer_text(&out), 0, NULL), *o;
    assert_int_equal(json_array_size(root), 8);
    size_t i;
    json_array_foreach(root, i, o) {
        static const char *const fields[] = {"section", "name", "type", "unit", "default", "choices", "help"};
        for (size_t k = 0; k < 7; k++) assert_true(json_is_string(json_object_get(o, fields[k])));
        assert_string_equal(json_string_value(json_object_get(o, "name")), sample_specs[i].name);
    }
    assert_string_equal(json_string_value(json_object_get(json_array_get(root, 0), "help")), "a \"quoted\" help");
    assert_int_equal(json_number_value(json_object_get(json_array_get(root, 1), "high")), 9);
    json_decref(root);
    buffer_free(&out);
}

/* Every option of the library itself: a default that its own parser accepts, inside its range, and a line of help. */
static void test_base_every_option_of_every_protocol_is_sound(void **unused) {
    (void)unused;
    json_t *protocols = json_loads(qrt_protocols(), 0, NULL), *p;
    size_t i;
    assert_true(json_array_size(protocols) > 0);
    json_array_foreach(protocols, i, p) {
        const char *name = json_string_value(json_object_get(p, "name"));
        json_t *options = json_loads(qrt_options(name), 0, NULL), *o;
        size_t k;
        assert_true(json_array_size(options) > 10);
        json_array_foreach(options, k, o) {
            const char *option = json_string_value(json_object_get(o, "name"));
            if (strlen(json_string_value(json_object_get(o, "help"))) < 8)
                fail_msg("%s of %s has no help", option, name);
            qrt_option one = {option, json_string_value(json_object_get(o, "default"))};
            qrt_cluster *c = NULL;
            if (qrt_cluster_new(&c, name, &one, 1, NULL))
                fail_msg("%s: %s=%s: %s", name, option, one.value, qrt_last_error(NULL));
            qrt_cluster_free(&c);
        }
        json_decref(options);
    }
    json_decref(protocols);
    assert_null(qrt_options("no such protocol"));
    assert_non_null(strstr(qrt_last_error(NULL), "no such protocol"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_every_status_has_words_of_its_own),
        cmocka_unit_test(test_base_a_number_that_is_no_status_has_words),
        cmocka_unit_test(test_base_errors_are_cut_to_their_room),
        cmocka_unit_test(test_base_reader_stops_at_its_end),
        cmocka_unit_test(test_base_reader_refuses_lengths_that_lie),
        cmocka_unit_test(test_base_writer_stops_at_its_end),
        cmocka_unit_test(test_base_bytes_compare_as_memcmp_with_the_shorter_first),
        cmocka_unit_test(test_base_random_gives_the_published_numbers),
        cmocka_unit_test(test_base_keyed_draws_are_uniform_along_every_key),
        cmocka_unit_test(test_base_streams_of_nodes_and_purposes_differ),
        cmocka_unit_test(test_base_bounded_draws_keep_their_bounds),
        cmocka_unit_test(test_base_log_and_exp_are_within_two_ulps_of_libm),
        cmocka_unit_test(test_base_pow_and_cos_are_near_libm),
        cmocka_unit_test(test_base_real_functions_at_their_edges),
        cmocka_unit_test(test_base_real_functions_have_the_same_bits_everywhere),
        cmocka_unit_test(test_base_heap_orders_by_time_and_insertion),
        cmocka_unit_test(test_base_heap_clone_is_equal_and_apart),
        cmocka_unit_test(test_base_options_have_their_defaults),
        cmocka_unit_test(test_base_options_read_units),
        cmocka_unit_test(test_base_options_refuse_wrong_types_and_ranges),
        cmocka_unit_test(test_base_an_unknown_option_names_the_nearest),
        cmocka_unit_test(test_base_options_print_what_they_read),
        cmocka_unit_test(test_base_options_as_json),
        cmocka_unit_test(test_base_every_option_of_every_protocol_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
