/* The bare loop that the simulator is measured against: what an event queue costs with nothing around it. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/stopwatch.h"
#include "cluster/bench.h"

struct loop_message { /* 64 bytes */
    uint64_t kind, from, to, term, hops, a, b, c;
};

int64_t bench_bare_loop(uint32_t pending, uint64_t events) {
    struct heap h;
    uint8_t(*frames)[64] = mem_zero(pending, 64);
    uint64_t key = random_keyed(1, RANDOM_BENCH, 0), draws = 0;
    heap_init(&h);
    for (uint32_t i = 0; i < pending; i++)
        heap_push(&h, 250000 + (int64_t)random_scale(random_mix(key + draws++ * 0x9e3779b97f4a7c15u), 100001), i);
    int64_t begin = stopwatch_ns();
    for (uint64_t n = 0; n < events; n++) {
        struct heap_key k = heap_pop(&h);
        uint32_t slot = heap_slot(k);
        struct loop_message m;
        memcpy(&m, frames[slot], sizeof m);
        m.hops++;
        m.term ^= m.hops;
        m.from = m.to;
        m.to = (m.to + 1) & 15;
        memcpy(frames[slot], &m, sizeof m);
        int64_t delay = 250000 + (int64_t)random_scale(random_mix(key + draws++ * 0x9e3779b97f4a7c15u), 100001);
        heap_push(&h, k.time + delay, slot);
    }
    int64_t spent = stopwatch_ns() - begin;
    heap_free(&h);
    free(frames);
    return spent;
}
