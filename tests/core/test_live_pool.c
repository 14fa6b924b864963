/* The memory of small messages: what was given back is used again, nobody has a piece that another has, and none is lost when
 * its owner leaves first. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#include <cmocka.h>

#include "runtime/live/live_parcel.h"
#include "runtime/live/live_pool.h"

enum { GIVERS = 3, PLACES = 16, ROUNDS = 200000, MANY = 1000 };

/* A piece that came back is the next that is taken when the owner has no other; so a steady flow allocates nothing. */
static void test_live_pool_uses_pieces_again(void **state) {
    (void)state;
    struct pool *p = pool_new();
    void *first = pool_take(p), *second = pool_take(p);
    assert_ptr_not_equal(first, second);
    pool_give_back(first, NULL);
    assert_ptr_equal(pool_take(p), first);
    pool_give_back(second, NULL);
    pool_give_back(first, NULL);
    void *again = pool_take(p), *other = pool_take(p);
    assert_true((again == first && other == second) || (again == second && other == first));
    pool_give_back(again, NULL);
    pool_give_back(other, NULL);
    pool_leave(p);
    pool_leave(NULL);
}

/* A burst leaves no more behind than the pool keeps; all pieces of it were distinct. */
static void test_live_pool_after_a_burst(void **state) {
    (void)state;
    static uint8_t *taken[MANY];
    struct pool *p = pool_new();
    for (int i = 0; i < MANY; i++) memset(taken[i] = pool_take(p), i % 251, POOL_ROOM);
    for (int i = 0; i < MANY; i++) {
        for (size_t k = 0; k < POOL_ROOM; k++) assert_int_equal(taken[i][k], i % 251);
        pool_give_back(taken[i], NULL);
    }
    void *one = pool_take(p); /* takes all of them in */
    pool_leave(p);
    pool_give_back(one, NULL);
}

struct belt { /* pieces on their way to the givers */
    _Atomic(uint64_t *) places[GIVERS][PLACES];
    atomic_bool over;
    atomic_uint_fast64_t sum;
};

struct giver {
    struct belt *belt;
    int number;
    pthread_t thread;
};

static bool give_what_came(struct giver *g) {
    bool any = false;
    for (int i = 0; i < PLACES; i++) {
        uint64_t *piece = atomic_exchange(&g->belt->places[g->number][i], NULL);
        if (!piece) continue;
        any = true;
        atomic_fetch_add(&g->belt->sum, piece[0] == piece[POOL_ROOM / 8 - 1] ? piece[0] : 0);
        pool_give_back(piece, NULL);
    }
    return any;
}

static void *give(void *giver) {
    struct giver *g = giver;
    bool over = false;
    while (give_what_came(g) || !over) over = atomic_load(&g->belt->over);
    return NULL;
}

/* Three threads give back what the owner takes, while it takes, and some of it after it has left: what was written into each piece
 * is what its receiver finds. AddressSanitizer's leak check sees what would be lost. */
static void test_live_pool_between_threads(void **state) {
    (void)state;
    static struct belt belt;
    struct giver givers[GIVERS];
    struct pool *p = pool_new();
    uint64_t sum = 0;
    for (int i = 0; i < GIVERS; i++) {
        givers[i] = (struct giver){&belt, i, 0};
        assert_int_equal(pthread_create(&givers[i].thread, NULL, give, &givers[i]), 0);
    }
    for (uint64_t i = 1, place = 0; i <= ROUNDS; place++) {
        _Atomic(uint64_t *) *at = &belt.places[place % GIVERS][place / GIVERS % PLACES];
        if (atomic_load(at)) continue;
        uint64_t *piece = pool_take(p);
        piece[0] = piece[POOL_ROOM / 8 - 1] = i;
        sum += i++;
        atomic_store(at, piece);
    }
    pool_leave(p);
    atomic_store(&belt.over, true);
    for (int i = 0; i < GIVERS; i++) pthread_join(givers[i].thread, NULL);
    assert_int_equal(atomic_load(&belt.sum), sum);
}

/* A message is in the pool's memory where it fits a piece, and whole in either case; libzmq gives the piece back. */
static void test_live_pool_holds_small_messages(void **state) {
    (void)state;
    static const uint32_t sizes[] = {0, 17, 18, 200, POOL_ROOM - 16, POOL_ROOM - 15, 5000};
    static uint8_t frame[5000];
    struct pool *p = pool_new();
    void *piece = pool_take(p);
    pool_give_back(piece, NULL);
    for (size_t i = 0; i < sizeof frame; i++) frame[i] = (uint8_t)(i % 253);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct parcel parcel = {{1, 2, 0, 42}, frame, sizes[i], NULL};
        size_t size = sizeof parcel.head + sizes[i];
        zmq_msg_t m;
        assert_true(parcel_pack(&m, &parcel, p));
        assert_int_equal(zmq_msg_size(&m), size);
        assert_memory_equal(zmq_msg_data(&m), &parcel.head, sizeof parcel.head);
        assert_memory_equal((uint8_t *)zmq_msg_data(&m) + sizeof parcel.head, frame, sizes[i]);
        assert_int_equal(zmq_msg_data(&m) == piece, size > 33 && size <= POOL_ROOM);
        zmq_msg_close(&m);
    }
    pool_leave(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_pool_uses_pieces_again),
        cmocka_unit_test(test_live_pool_after_a_burst),
        cmocka_unit_test(test_live_pool_between_threads),
        cmocka_unit_test(test_live_pool_holds_small_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
