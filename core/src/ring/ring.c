/* The circle's nodes, its cells and its lookup; see ring.h for the picture and the invariants. */
#include "ring/ring.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* clang-format off */
static const struct option_spec ring_specs[] = {
    {"dialect", OPTION_CHOICE, offsetof(struct ring_options, dialect), 0, 0, "xxh3", RING_DIALECTS,
     "whose points and key hash"},
    {"rule", OPTION_CHOICE, offsetof(struct ring_options, rule), 0, 0, "clockwise", "clockwise|nearest",
     "a key belongs to the next point around the circle, or to the nearest"},
    {"vnodes", OPTION_INTEGER, offsetof(struct ring_options, vnodes), 0, 65536, "0", NULL,
     "points of a node of weight 1; 0: the dialect's own number"},
    {"bits", OPTION_INTEGER, offsetof(struct ring_options, bits), 8, 64, "64", NULL,
     "precision of a position; few bits provoke collisions"},
    {"bug", OPTION_CHOICE, offsetof(struct ring_options, bug), 0, 0, "none", "none|ring-order-dependent",
     "a published mistake to switch on"},
    {0},
};
/* clang-format on */
const struct option_table ring_option_table = {"ring", ring_specs};

/* bug="ring-order-dependent": a point overwrites the one that stood at its position (pekko#3279). */
static bool bug_overwrites(const struct ring *r) {
    return r->options.bug == 1;
}

qrt_status ring_init(struct ring *r, const struct ring_options *options, struct error *e) {
    *r = (struct ring){.options = *options};
    if (options->dialect >= RING_LIBMEMCACHED && options->vnodes)
        return error_set(e, QRT_EINVAL,
                         "the ketama dialects fix their own number of points: vnodes=%lld cannot be honoured; leave "
                         "it out, or take dialect xxh3",
                         (long long)options->vnodes);
    return QRT_OK;
}

static void cells_free(struct ring *r) {
    free(r->winners);
    free(r->bounds);
    free(r->owners);
    free(r->index);
    r->winners = NULL;
    r->bounds = NULL;
    r->owners = r->index = NULL;
    r->cell_count = 0;
}

void ring_free(struct ring *r) {
    for (uint32_t i = 0; i < r->slot_count; i++) free(r->nodes[i].name);
    for (uint32_t i = 0; i < r->zone_count; i++) free(r->zones[i]);
    free(r->nodes);
    free(r->by_name);
    free(r->zones);
    free(r->points);
    cells_free(r);
    *r = (struct ring){0};
}

static struct bytes node_name(const struct ring *r, uint32_t slot) {
    return bytes_text(r->nodes[slot].name);
}

/* The place of a name in by_name, or where it would stand. */
static uint32_t name_place(const struct ring *r, struct bytes name) {
    uint32_t low = 0, high = r->node_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(node_name(r, r->by_name[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t ring_find(const struct ring *r, struct bytes name) {
    uint32_t place = name_place(r, name);
    if (place == r->node_count || !bytes_equal(node_name(r, r->by_name[place]), name)) return RING_NONE;
    return r->by_name[place];
}

static int point_order(const void *left, const void *right) {
    uint64_t a = ((const struct ring_point *)left)->position, b = ((const struct ring_point *)right)->position;
    return (a > b) - (a < b);
}

/* Is a before b under invariant 1? */
static bool point_before(const struct ring *r, struct ring_point a, struct ring_point b) {
    if (a.position != b.position) return a.position < b.position;
    return bytes_compare(node_name(r, a.node), node_name(r, b.node)) < 0;
}

/* Orders points [first, last) by (position, name): by position at first, then the few that share one. */
static void points_sort(struct ring *r, size_t first, size_t last) {
    if (last - first > 1) qsort(r->points + first, last - first, sizeof *r->points, point_order);
    for (size_t i = first + 1; i < last; i++) {
        struct ring_point moving = r->points[i];
        size_t j = i;
        for (; j > first && point_before(r, moving, r->points[j - 1]); j--) r->points[j] = r->points[j - 1];
        r->points[j] = moving;
    }
}

/* Merges the sorted points [0, middle) and [middle, point_count). */
static void points_merge(struct ring *r, size_t middle) {
    size_t count = r->point_count, old = middle, new = count - middle;
    if (!old || !new) return;
    struct ring_point *added = mem_copy(r->points + middle, new * sizeof *added);
    for (size_t at = count; new;) {
        bool take_old = old && point_before(r, added[new - 1], r->points[old - 1]);
        r->points[--at] = take_old ? r->points[--old] : added[--new];
    }
    free(added);
}

/* The mistake: what stood at the position of a point from `middle` on is gone. */
static void points_overwrite(struct ring *r, size_t middle) {
    size_t kept = 0;
    for (size_t i = 0; i < middle; i++) {
        if (!bsearch(&r->points[i], r->points + middle, r->point_count - middle, sizeof *r->points, point_order))
            r->points[kept++] = r->points[i];
    }
    memmove(r->points + kept, r->points + middle, (r->point_count - middle) * sizeof *r->points);
    size_t added = r->point_count - middle;
    r->point_count = kept + added;
    points_merge(r, kept);
}

/* Keeps, of the points at one position, the first. */
static void winners_pick(struct ring *r) {
    r->winners = mem_alloc(r->point_count * sizeof *r->winners);
    for (size_t i = 0; i < r->point_count; i++) {
        if (r->cell_count && r->winners[r->cell_count - 1].position == r->points[i].position) continue;
        r->winners[r->cell_count++] = r->points[i];
    }
}

static void bounds_clockwise(struct ring *r) {
    for (uint32_t i = 0; i < r->cell_count; i++) {
        r->bounds[i] = r->winners[i].position;
        r->owners[i] = r->winners[i].node;
    }
}

/* A cell ends half way to the next point; the last cell's end may lie behind zero, and is then the first
 * bound. */
static void bounds_nearest(struct ring *r) {
    uint32_t n = r->cell_count;
    uint64_t from_last = r->winners[0].position - r->winners[n - 1].position;
    uint64_t wrapped = r->winners[n - 1].position + (from_last - 1) / 2;
    uint32_t turned = n > 1 && wrapped < r->winners[n - 1].position;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t position = r->winners[i].position, gap = r->winners[(i + 1) % n].position - position;
        uint32_t cell = (i + turned) % n;
        r->bounds[cell] = position + (gap - 1) / 2;
        r->owners[cell] = r->winners[i].node;
    }
}

static void index_fill(struct ring *r) {
    uint32_t bits = 1;
    while (((uint64_t)1 << bits) < 2 * (uint64_t)r->cell_count) bits++;
    r->shift = 64 - bits;
    r->index = mem_alloc(((size_t)1 << bits) * sizeof *r->index);
    uint32_t cell = 0;
    for (uint64_t bucket = 0; bucket < (uint64_t)1 << bits; bucket++) {
        while (cell < r->cell_count && r->bounds[cell] < bucket << r->shift) cell++;
        r->index[bucket] = cell;
    }
}

/* Counts the nodes that own a cell, and their zones. */
static void placed_count(struct ring *r) {
    uint8_t *zone_seen = mem_zero(r->zone_count, 1), *node_seen = mem_zero(r->slot_count, 1);
    r->placed_nodes = r->placed_zones = 0;
    for (uint32_t i = 0; i < r->cell_count; i++) {
        uint32_t slot = r->owners[i], zone = r->nodes[slot].zone;
        if (node_seen[slot]) continue;
        node_seen[slot] = 1;
        r->placed_nodes++;
        if (zone == RING_NONE || !zone_seen[zone]) r->placed_zones++;
        if (zone != RING_NONE) zone_seen[zone] = 1;
    }
    free(zone_seen);
    free(node_seen);
}

static void cells_build(struct ring *r) {
    cells_free(r);
    if (!r->point_count) return;
    winners_pick(r);
    r->bounds = mem_alloc((r->cell_count + 1) * sizeof *r->bounds);
    r->owners = mem_alloc((r->cell_count + 1) * sizeof *r->owners);
    if (r->options.rule == RING_NEAREST)
        bounds_nearest(r);
    else
        bounds_clockwise(r);
    r->bounds[r->cell_count] = UINT64_MAX; /* no position is beyond the sentinel */
    r->owners[r->cell_count] = r->owners[0];
    index_fill(r);
    placed_count(r);
}

static double weight_total(const struct ring *r) {
    double total = 0; /* in order of name: a sum of floats must not depend on the order of insertion either */
    for (uint32_t i = 0; i < r->node_count; i++) total += r->nodes[r->by_name[i]].weight;
    return total;
}

/* Brings the points up to date after nodes joined: `joined` of them, the rest stands. */
static void points_update(struct ring *r, const uint32_t *joined, size_t count) {
    double total = weight_total(r);
    if (ring_weights_relative(r)) {
        r->point_count = 0;
        for (uint32_t slot = 0; slot < r->slot_count; slot++) {
            size_t middle = r->point_count;
            if (!r->nodes[slot].name) continue;
            ring_append_points(r, slot, total);
            points_sort(r, middle, r->point_count);
            if (bug_overwrites(r)) points_overwrite(r, middle);
        }
        if (!bug_overwrites(r)) points_sort(r, 0, r->point_count);
        return;
    }
    size_t middle = r->point_count;
    for (size_t i = 0; i < count; i++) {
        if (bug_overwrites(r)) middle = r->point_count;
        ring_append_points(r, joined[i], total);
        if (!bug_overwrites(r)) continue;
        points_sort(r, middle, r->point_count);
        points_overwrite(r, middle);
    }
    if (bug_overwrites(r)) return;
    points_sort(r, middle, r->point_count);
    points_merge(r, middle);
}

static qrt_status member_validate(const struct ring *r, const struct ring_member *m, struct error *e) {
    int shown = (int)(m->name.size < 60 ? m->name.size : 60);
    const char *name = (const char *)m->name.data;
    if (!m->name.size) return error_set(e, QRT_EINVAL, "a node's name must not be empty");
    if (m->name.size > RING_NAME_MAX || m->zone.size > RING_NAME_MAX)
        return error_set(e, QRT_ETOOLARGE, "node '%.*s...': names of nodes and zones have at most %d bytes", shown,
                         name, RING_NAME_MAX);
    if (memchr(m->name.data, 0, m->name.size) || (m->zone.size && memchr(m->zone.data, 0, m->zone.size)))
        return error_set(e, QRT_EINVAL, "node '%.*s': a name must not hold a zero byte", shown, name);
    if (!(m->weight > 0) || m->weight - m->weight != 0)
        return error_set(e, QRT_ERANGE, "node '%.*s': a weight must be a positive number, not %g", shown, name,
                         m->weight);
    if (ring_weights_relative(r) && (m->weight > 1e30 || m->weight < 1e-30))
        return error_set(e, QRT_ERANGE,
                         "node '%.*s': this dialect computes with single floats and takes weights "
                         "between 1e-30 and 1e30, not %g",
                         shown, name, m->weight);
    if (ring_find(r, m->name) != RING_NONE)
        return error_set(e, QRT_EINVAL, "node '%.*s' is on the ring already", shown, name);
    return QRT_OK;
}

/* Also refuses a ring whose points would not fit, before anything is changed. */
static qrt_status members_validate(const struct ring *r, const struct ring_member *members, size_t count,
                                   struct error *e) {
    if (count > RING_NODES_MAX - r->node_count)
        return error_set(e, QRT_ETOOLARGE, "a ring has at most %d nodes; this would make %zu", RING_NODES_MAX,
                         r->node_count + count);
    size_t points = ring_weights_relative(r) ? 160 * (r->node_count + count) : r->point_count;
    for (size_t i = 0; i < count; i++) {
        qrt_status status = member_validate(r, &members[i], e);
        if (status) return status;
        if (!ring_weights_relative(r)) points += ring_points_of(r, members[i].weight, 0, 0);
        if (points > RING_POINTS_MAX)
            return error_set(e, QRT_ETOOLARGE,
                             "a ring has at most %d points; lower vnodes or the weights (node '%.*s' of weight %g "
                             "takes it past that)",
                             RING_POINTS_MAX, (int)members[i].name.size, (const char *)members[i].name.data,
                             members[i].weight);
    }
    return QRT_OK;
}

static uint32_t zone_number(struct ring *r, struct bytes zone) {
    for (uint32_t i = 0; i < r->zone_count; i++)
        if (bytes_equal(bytes_text(r->zones[i]), zone)) return i;
    r->zones = mem_grow(r->zones, &r->zone_capacity, r->zone_count + 1, sizeof *r->zones);
    r->zones[r->zone_count] = mem_format("%.*s", (int)zone.size, (const char *)zone.data);
    return r->zone_count++;
}

static uint32_t slot_take(struct ring *r) {
    for (uint32_t slot = 0; r->node_count < r->slot_count && slot < r->slot_count; slot++)
        if (!r->nodes[slot].name) return slot;
    r->nodes = mem_grow(r->nodes, &r->node_capacity, r->slot_count + 1, sizeof *r->nodes);
    return r->slot_count++;
}

static uint32_t node_insert(struct ring *r, const struct ring_member *m) {
    uint32_t slot = slot_take(r);
    r->nodes[slot] = (struct ring_node){.weight = m->weight, .zone = RING_NONE};
    if (m->zone.size) r->nodes[slot].zone = zone_number(r, m->zone);
    r->nodes[slot].name = mem_format("%.*s", (int)m->name.size, (const char *)m->name.data);
    r->by_name = mem_grow(r->by_name, &r->by_name_capacity, r->node_count + 1, sizeof *r->by_name);
    uint32_t place = name_place(r, m->name);
    memmove(r->by_name + place + 1, r->by_name + place, (r->node_count - place) * sizeof *r->by_name);
    r->by_name[place] = slot;
    r->node_count++;
    return slot;
}

static void node_forget(struct ring *r, uint32_t slot) {
    uint32_t place = name_place(r, node_name(r, slot));
    memmove(r->by_name + place, r->by_name + place + 1, (r->node_count - place - 1) * sizeof *r->by_name);
    r->node_count--;
    free(r->nodes[slot].name);
    r->nodes[slot].name = NULL;
}

qrt_status ring_add_many(struct ring *r, const struct ring_member *members, size_t count, struct error *e) {
    qrt_status status = members_validate(r, members, count, e);
    if (status) return status;
    uint32_t *joined = mem_alloc(count * sizeof *joined);
    for (size_t i = 0; i < count; i++) {
        if (ring_find(r, members[i].name) != RING_NONE) { /* named twice in this call */
            while (i-- > 0) node_forget(r, joined[i]);
            free(joined);
            return error_set(e, QRT_EINVAL, "a node is named twice: names on a ring are unique");
        }
        joined[i] = node_insert(r, &members[i]);
    }
    points_update(r, joined, count);
    cells_build(r);
    free(joined);
    return QRT_OK;
}

qrt_status ring_remove(struct ring *r, struct bytes name, struct error *e) {
    uint32_t slot = ring_find(r, name);
    if (slot == RING_NONE)
        return error_set(e, QRT_ENOTFOUND, "node '%.*s' is not on the ring", (int)(name.size < 60 ? name.size : 60),
                         (const char *)name.data);
    node_forget(r, slot);
    size_t kept = 0;
    for (size_t i = 0; i < r->point_count; i++)
        if (r->points[i].node != slot) r->points[kept++] = r->points[i];
    r->point_count = kept;
    if (ring_weights_relative(r)) points_update(r, NULL, 0);
    cells_build(r);
    return QRT_OK;
}

void ring_clone(struct ring *to, const struct ring *from) {
    *to = *from;
    to->nodes = mem_copy(from->nodes, from->node_capacity * sizeof *to->nodes);
    for (uint32_t i = 0; i < from->slot_count; i++)
        if (from->nodes[i].name) to->nodes[i].name = mem_string(from->nodes[i].name);
    to->zones = mem_copy(from->zones, from->zone_capacity * sizeof *to->zones);
    for (uint32_t i = 0; i < from->zone_count; i++) to->zones[i] = mem_string(from->zones[i]);
    to->by_name = mem_copy(from->by_name, from->by_name_capacity * sizeof *to->by_name);
    to->points = mem_copy(from->points, from->point_capacity * sizeof *to->points);
    to->winners = NULL;
    to->bounds = NULL;
    to->owners = to->index = NULL;
    cells_build(to);
}

uint64_t ring_fingerprint(const struct ring *r) {
    uint64_t hash = hash_fold((uint64_t)r->options.dialect, (uint64_t)r->options.rule);
    hash = hash_fold(hash, r->cell_count);
    for (uint32_t i = 0; i < r->cell_count; i++) {
        struct bytes name = node_name(r, r->owners[i]);
        hash = hash_fold(hash_fold(hash, r->bounds[i]), hash_bytes(name.data, name.size, 0));
    }
    return hash;
}

static qrt_status refuse_empty(struct error *e) {
    return error_set(e, QRT_EINVAL, "the ring has no nodes: add one before looking up keys");
}

qrt_status ring_lookup_numbers(const struct ring *r, const uint64_t *keys, size_t count, uint32_t *slots,
                               struct error *e) {
    if (!r->cell_count) return refuse_empty(e);
    if (r->options.dialect != RING_XXH3 || r->options.bits < 64) {
        for (size_t i = 0; i < count; i++) slots[i] = ring_owner(r, ring_hash_number(r, keys[i]));
        return QRT_OK;
    }
    for (size_t i = 0; i < count; i++) slots[i] = ring_owner(r, hash_bytes(&keys[i], sizeof keys[i], 0));
    return QRT_OK;
}

qrt_status ring_lookup_texts(const struct ring *r, const char *text, const int64_t *offsets, size_t count,
                             uint32_t *slots, struct error *e) {
    if (!r->cell_count) return refuse_empty(e);
    for (size_t i = 0; i < count; i++) {
        if (offsets[i] < 0 || offsets[i] > offsets[i + 1] || offsets[i + 1] - offsets[i] > UINT32_MAX)
            return error_set(e, QRT_EINVAL, "key %zu: its offsets must be ascending and not negative", i);
        slots[i] = ring_owner(r, ring_hash_text(r, bytes_of(text + offsets[i], (size_t)(offsets[i + 1] - offsets[i]))));
    }
    return QRT_OK;
}
