/* A load that a node makes by itself; see live_load.h. Its proposals have tickets of their own, which no owner hears of:
 * LOAD_TICKET, the load's number, the proposal's. What an earlier load left unanswered is passed over by that number. */
#include "runtime/live/live_load.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/live/live.h"

enum { NUMBER_BITS = 24, LOAD_BITS = 32 };

struct load {
    struct load_spec spec;
    uint64_t ticket; /* the owner's; 0: none is under way */
    uint64_t run;    /* which load it is */
    uint32_t proposed, done;
    int64_t began;
    int64_t *times; /* [i]: when proposal i was due, then how long it took */
    uint8_t *value;
};

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void load_summary(struct load_report *r, int64_t *times, uint32_t count, int64_t ns) {
    *r = (struct load_report){.committed = count, .ns = ns};
    if (!count) return;
    uint64_t last = count - 1;
    qsort(times, count, sizeof *times, compare_times);
    r->p50 = times[last / 2];
    r->p99 = times[last * 99 / 100];
    r->p999 = times[last * 999 / 1000];
    r->max = times[last];
}

static void load_end(struct live_node *n, qrt_status status, uint16_t leader) {
    struct load *k = n->load;
    struct load_report r = {.committed = k->done};
    if (status == QRT_OK) load_summary(&r, k->times, k->done, n->actor.time - k->began);
    struct answer a = {.ticket = k->ticket, .status = status, .leader = leader, .data = bytes_of(&r, sizeof r)};
    k->ticket = 0;
    live_port.answer(n->actor.live, &n->host, &a);
}

/* The order's bytes come from this library's own live_load. */
void load_begin(struct live_node *n, const struct order *o) {
    struct load *k = n->load = n->load ? n->load : mem_zero(1, sizeof *n->load);
    CHECK(o->data.size == sizeof k->spec);
    memcpy(&k->spec, o->data.data, sizeof k->spec);
    k->ticket = o->ticket;
    k->run++;
    k->proposed = k->done = 0;
    k->began = n->actor.time;
    k->times = mem_resize(k->times, k->spec.count * sizeof *k->times);
    k->value = mem_resize(k->value, k->spec.size);
    memset(k->value, 'x', k->spec.size);
    if (!n->host.up) load_end(n, QRT_EDOWN, 0);
}

static bool load_waits(const struct load *k) {
    return !k || !k->ticket || k->proposed == k->spec.count || k->proposed - k->done >= k->spec.window;
}

int64_t load_due(const struct live_node *n) {
    const struct load *k = n->load;
    return load_waits(k) ? NEVER : k->began + k->proposed * k->spec.interval;
}

bool load_propose(struct live_node *n) {
    struct load *k = n->load;
    if (load_waits(k) || !n->host.up) return false;
    int64_t now = k->spec.interval ? live_now(n->actor.live) : NEVER;
    bool any = false;
    for (int64_t due; n->host.up && !n->host.dying && (due = load_due(n)) <= now && due != NEVER; any = true) {
        uint64_t run = k->run & ((UINT64_C(1) << LOAD_BITS) - 1),
                 ticket = LOAD_TICKET | run << NUMBER_BITS | k->proposed;
        node_input(n, 0);
        k->times[k->proposed++] = k->spec.interval ? due : n->actor.time;
        host_propose(&n->host, 0, bytes_of(k->value, k->spec.size), ticket);
        node_input_end(n);
    }
    return any;
}

void load_answered(struct live_node *n, const struct answer *a) {
    struct load *k = n->load;
    uint64_t number = a->ticket & ((UINT64_C(1) << NUMBER_BITS) - 1);
    uint64_t run = (a->ticket & ~LOAD_TICKET) >> NUMBER_BITS;
    if (!k->ticket || run != (k->run & ((UINT64_C(1) << LOAD_BITS) - 1))) return;
    k->times[number] = n->actor.time - k->times[number];
    if (a->status)
        load_end(n, a->status, a->leader);
    else if (++k->done == k->spec.count)
        load_end(n, QRT_OK, a->leader);
}

void load_stop(struct live_node *n) {
    if (n->load) n->load->ticket = 0;
}

void load_free(struct live_node *n) {
    if (!n->load) return;
    free(n->load->times);
    free(n->load->value);
    free(n->load);
    n->load = NULL;
}
