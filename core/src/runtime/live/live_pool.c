/* The pool; see live_pool.h. A message is written on one thread and let go of on another. Malloc takes such memory back behind
 * the lock of the thread that it came from, so the threads of a cluster met there: one commit in ten waited in the kernel.
 *
 *   take <-- free pieces <--(all at once, when there are none)-- pieces that came back <-- give_back, on any thread
 *
 * Those that came back are a stack to which anybody adds and from which only the owner takes, and then everything: so the usual
 * trouble of such stacks, a piece that goes and returns between two looks, does no harm here.
 *
 * The owner may leave while pieces are under way. The stack is then closed, and each that comes is freed; the last frees the
 * pool. `away` counts them from then on: those who come count down, also before the owner has added how many there are. */
#include "runtime/live/live_pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

enum { POOL_KEPT = 256 }; /* free pieces that are kept */

struct piece {
    struct pool *pool;
    struct piece *next;
    uint8_t room[POOL_ROOM];
};

struct pool {
    struct piece *free;
    int64_t made; /* and not freed, by the owner */
    _Atomic(struct piece *) back;
    atomic_int_fast64_t away;
};

static struct piece closed; /* what `back` is when the owner has left */

struct pool *pool_new(void) {
    return mem_zero(1, sizeof(struct pool));
}

static int64_t free_all(struct piece *list) {
    int64_t count = 0;
    for (struct piece *next; list; list = next, count++) {
        next = list->next;
        free(list);
    }
    return count;
}

void pool_leave(struct pool *p) {
    if (!p) return;
    struct piece *back = atomic_exchange_explicit(&p->back, &closed, memory_order_acq_rel);
    int64_t left = p->made - free_all(back) - free_all(p->free);
    if (atomic_fetch_add_explicit(&p->away, left, memory_order_acq_rel) + left == 0) free(p);
}

/* Takes in all that came back, and frees what is more than is kept. */
static void take_in(struct pool *p) {
    struct piece *at = p->free = atomic_exchange_explicit(&p->back, NULL, memory_order_acquire);
    for (int i = 1; at && i < POOL_KEPT; i++) at = at->next;
    if (!at) return;
    p->made -= free_all(at->next);
    at->next = NULL;
}

void *pool_take(struct pool *p) {
    if (!p->free) take_in(p);
    struct piece *one = p->free;
    if (one) {
        p->free = one->next;
        return one->room;
    }
    one = mem_alloc(sizeof *one);
    one->pool = p;
    p->made++;
    return one->room;
}

void pool_give_back(void *piece, void *unused) {
    struct piece *one = (struct piece *)((uint8_t *)piece - offsetof(struct piece, room));
    struct pool *p = one->pool;
    struct piece *top = atomic_load_explicit(&p->back, memory_order_relaxed);
    (void)unused;
    do {
        if (top == &closed) {
            free(one);
            if (atomic_fetch_sub_explicit(&p->away, 1, memory_order_acq_rel) == 1) free(p);
            return;
        }
        one->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&p->back, &top, one, memory_order_release, memory_order_relaxed));
}
