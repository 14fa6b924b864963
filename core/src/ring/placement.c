/* What is asked of a whole ring: who holds the replicas of a key, how even the shares are, what moves between
 * two rings. */
#include <stdlib.h>

#include "base/check.h"
#include "base/real.h"
#include "ring/ring.h"

/* The way from a position over the points: forward around the circle, or always to the nearer side. */
struct walk {
    const struct ring *ring;
    uint64_t position;
    uint32_t ahead, behind; /* winners not yet visited on either side */
    uint32_t left;
};

static struct walk walk_from(const struct ring *r, uint64_t position) {
    uint32_t low = 0, high = r->cell_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->winners[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t n = r->cell_count;
    return (struct walk){r, position, low % n, (low + n - 1) % n, n};
}

static uint32_t walk_next(struct walk *w) {
    const struct ring_point *winners = w->ring->winners;
    uint32_t n = w->ring->cell_count;
    w->left--;
    uint64_t forward = winners[w->ahead].position - w->position;
    uint64_t backward = w->position - winners[w->behind].position;
    uint32_t taken = w->ahead;
    if (w->ring->options.rule == RING_NEAREST && backward < forward) {
        taken = w->behind;
        w->behind = (w->behind + n - 1) % n;
    } else {
        w->ahead = (w->ahead + 1) % n;
    }
    return winners[taken].node;
}

static bool slots_hold(const uint32_t *slots, uint32_t count, uint32_t slot) {
    for (uint32_t i = 0; i < count; i++)
        if (slots[i] == slot) return true;
    return false;
}

static bool zone_used(const struct ring *r, const uint32_t *slots, uint32_t count, uint32_t slot) {
    uint32_t zone = r->nodes[slot].zone;
    for (uint32_t i = 0; zone != RING_NONE && i < count; i++)
        if (r->nodes[slots[i]].zone == zone) return true;
    return false;
}

/* Takes nodes of new zones first; those passed over wait in order, and fill what is left. */
static void replicas_walk(const struct ring *r, uint64_t position, uint32_t count, uint32_t *slots) {
    uint32_t passed[RING_REPLICAS_MAX], passed_count = 0, taken = 0;
    uint32_t by_zone = r->placed_zones < count ? r->placed_zones : count;
    struct walk w = walk_from(r, position);
    while (w.left && (taken < by_zone || taken + passed_count < count)) {
        uint32_t slot = walk_next(&w);
        if (slots_hold(slots, taken, slot) || slots_hold(passed, passed_count, slot)) continue;
        if (!zone_used(r, slots, taken, slot))
            slots[taken++] = slot;
        else if (passed_count < count)
            passed[passed_count++] = slot;
    }
    for (uint32_t i = 0; taken < count; i++) {
        CHECK(i < passed_count);
        slots[taken++] = passed[i];
    }
}

qrt_status ring_replicas(const struct ring *r, uint64_t position, uint32_t count, uint32_t *slots, struct error *e) {
    if (!r->cell_count) return error_set(e, QRT_EINVAL, "the ring has no nodes: add one before looking up keys");
    if (!count || count > RING_REPLICAS_MAX)
        return error_set(e, QRT_ERANGE, "a key has between 1 and %d replicas, not %u", RING_REPLICAS_MAX, count);
    if (count > r->placed_nodes)
        return error_set(e, QRT_ERANGE, "%u replicas on distinct nodes need %u nodes, and the ring has %u", count,
                         count, r->placed_nodes);
    replicas_walk(r, position, count, slots);
    return QRT_OK;
}

qrt_status ring_measure(const struct ring *r, double *shares, struct ring_balance *balance, struct error *e) {
    if (!r->cell_count) return error_set(e, QRT_EINVAL, "the ring has no nodes: there is no balance to measure");
    double *share = mem_zero(r->slot_count, sizeof *share), total = 0;
    for (uint32_t i = 0; i < r->cell_count; i++) {
        uint64_t length = r->bounds[i] - r->bounds[i ? i - 1 : r->cell_count - 1];
        share[r->owners[i]] += r->cell_count == 1 ? 1 : (double)length * 0x1p-64;
    }
    for (uint32_t i = 0; i < r->node_count; i++) total += r->nodes[r->by_name[i]].weight;
    double n = r->node_count, mean = 0, squares = 0;
    *balance = (struct ring_balance){.least = 1e300, .most = 0};
    for (uint32_t i = 0; i < r->node_count; i++) {
        uint32_t slot = r->by_name[i];
        double load = share[slot] / (r->nodes[slot].weight / total);
        mean += load / n;
        squares += load * load / n;
        if (load < balance->least) balance->least = load;
        if (load > balance->most) balance->most = load;
    }
    double variance = squares - mean * mean;
    balance->sigma_over_mu = variance > 0 ? real_sqrt(variance) / mean : 0;
    if (shares) memcpy(shares, share, r->slot_count * sizeof *share);
    free(share);
    return QRT_OK;
}

struct move_list {
    struct ring_move *moves;
    size_t count, capacity;
};

/* Adds the arc, or lengthens the last one when it goes on with the same owners. */
static void move_add(struct move_list *list, struct ring_move move) {
    struct ring_move *tail = list->count ? &list->moves[list->count - 1] : NULL;
    if (tail && tail->from == move.from && tail->to == move.to && tail->last + 1 == move.first) {
        tail->last = move.last;
        return;
    }
    list->moves = mem_grow(list->moves, &list->capacity, list->count + 1, sizeof *list->moves);
    list->moves[list->count++] = move;
}

static void moves_sweep(const struct ring *before, const struct ring *after, const uint32_t *same,
                        struct move_list *list) {
    uint64_t first = 0;
    for (uint32_t i = 0, j = 0;;) { /* both rings end in a sentinel at the last position, owned by cell 0 */
        uint64_t end_before = before->bounds[i], end_after = after->bounds[j];
        uint64_t last = end_before < end_after ? end_before : end_after;
        uint32_t from = before->owners[i], to = after->owners[j];
        if (same[from] != to) move_add(list, (struct ring_move){first, last, from, to});
        if (last == UINT64_MAX) return;
        i += end_before == last;
        j += end_after == last;
        first = last + 1;
    }
}

static bool keys_stand_alike(const struct ring *a, const struct ring *b) {
    bool ketama = a->options.dialect >= RING_LIBMEMCACHED && b->options.dialect >= RING_LIBMEMCACHED;
    return (ketama || a->options.dialect == b->options.dialect) && a->options.bits == b->options.bits;
}

qrt_status ring_moves(const struct ring *before, const struct ring *after, struct ring_move **moves, size_t *count,
                      struct error *e) {
    if (!before->cell_count || !after->cell_count)
        return error_set(e, QRT_EINVAL, "the ring %s has no nodes: keys cannot move from or to nowhere",
                         before->cell_count ? "after" : "before");
    if (!keys_stand_alike(before, after))
        return error_set(e, QRT_EINVAL,
                         "the two rings hash keys differently (dialect or bits): nearly every key would move, and "
                         "not by arcs");
    uint32_t *same = mem_alloc(before->slot_count * sizeof *same);
    for (uint32_t slot = 0; slot < before->slot_count; slot++) {
        const char *name = before->nodes[slot].name;
        same[slot] = name ? ring_find(after, bytes_text(name)) : RING_NONE;
    }
    struct move_list list = {0};
    moves_sweep(before, after, same, &list);
    free(same);
    *moves = list.moves;
    *count = list.count;
    return QRT_OK;
}
