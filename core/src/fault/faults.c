/* The fault engine. It holds every directive of its plans as an item, a heap of moments (a directive
 * begins, repeats or ends), and the list of what stands. From what stands it derives, at every change, the
 * tables that a message asks.
 *
 * 1. A verdict is a keyed function of (seed, directive id, link, sequence): no other directive, message or
 * call
 *    changes it. What is drawn at a firing is keyed by (seed, id, number of the firing).
 * 2. Moments come in the order (time, id, number, end after begin, node), which is total: the heap's shape
 * is nothing.
 * 3. The derived tables (cuts, links, clocks, calm) depend on `standing` alone; faults_refresh makes them
 * anew.
 * 4. An item lives as long as a moment or a standing condition refers to it; so a long script's verbs do
 * not pile up. */
#include "fault/faults.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define APPLIED_ID 0x80000000u /* ids of a script's own verbs; a plan's stay below */
#define NO_ITEM UINT32_MAX
#define SEED_SALT 0x6661756c74732121u /* no other keyed draw of the run's seed meets ours */
#define CUT_WORDS (FAULT_NODES_MAX / 64)

/* What the keyed bits of one firing or verdict are used for. */
enum draw { DRAW_VERDICT = 0, DRAW_DELAY = 1, DRAW_BIT = 2, DRAW_SHUFFLE = 3, DRAW_LIE = 4 };

struct item {
    struct directive d; /* times of the run, absolute */
    int64_t end;        /* of the latest firing; INT64_MAX: none */
    uint32_t references;
    uint32_t next_free;
};

struct moment {
    int64_t time;
    uint32_t id, number, item;
    uint16_t node; /* an end that concerns this node alone; 0: what the directive says */
    bool ends;
};

struct condition { /* one that stands */
    uint32_t item, number;
    bool open;       /* has no end of its own */
    uint16_t leader; /* FAULT_SOLO: whom the runtime named */
    uint64_t random;
    uint64_t freed[(FAULT_NODES_MAX + 63) / 64]; /* FAULT_FILL: the nodes whose disks were freed since */
};

struct link {     /* a link condition as a message asks it */
    uint64_t key; /* directive id in the upper half */
    struct distribution delay;
    double probability;
    int64_t rate;
    uint16_t from, to;
    uint8_t verb;
    bool both;
};

struct faults {
    bool calm;
    uint16_t nodes;
    uint64_t seed;
    uint64_t cuts[FAULT_NODES_MAX + 1][CUT_WORDS]; /* cuts[from]: a bit for each node (id - 1) it cannot reach */
    struct link *links;                            /* in id order */
    size_t link_count, link_capacity;
    int64_t offsets[FAULT_NODES_MAX + 1], slowness[FAULT_NODES_MAX + 1];
    double drifts[FAULT_NODES_MAX + 1];
    bool full[FAULT_NODES_MAX + 1];
    struct item *items;
    size_t item_count, item_capacity;
    uint32_t free_item, applied_count;
    struct moment *moments; /* a binary heap */
    size_t moment_count, moment_capacity;
    struct condition *standing; /* in the order in which they began */
    size_t standing_count, standing_capacity;
};

static int64_t time_add(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static uint64_t draw_bits(uint64_t bits, enum draw use, uint64_t position) {
    return random_mix(bits ^ (position << 8 | (uint64_t)use) * 0xd1342543de82ef95u);
}

/* Items and moments. */

static uint32_t item_new(struct faults *f, const struct directive *d, int64_t origin) {
    uint32_t i = f->free_item;
    if (i == NO_ITEM) {
        f->items = mem_grow(f->items, &f->item_capacity, f->item_count + 1, sizeof *f->items);
        i = (uint32_t)f->item_count++;
    } else {
        f->free_item = f->items[i].next_free;
    }
    struct item *it = &f->items[i];
    memset(it, 0, sizeof *it);
    it->d = *d;
    it->d.at = time_add(origin, d->at);
    bool has_until = d->timing == FAULT_EVERY || d->timing == FAULT_DURING;
    if (has_until && d->until != INT64_MAX) it->d.until = time_add(origin, d->until);
    it->end = INT64_MAX;
    return i;
}

static void item_release(struct faults *f, uint32_t i) {
    struct item *it = &f->items[i];
    CHECK(it->references > 0);
    if (--it->references) return;
    it->next_free = f->free_item;
    f->free_item = i;
}

static uint32_t item_find(const struct faults *f, uint32_t id) {
    for (size_t i = 0; i < f->item_count; i++)
        if (f->items[i].references && f->items[i].d.id == id) return (uint32_t)i;
    return NO_ITEM;
}

static bool moment_before(const struct moment *a, const struct moment *b) {
    if (a->time != b->time) return a->time < b->time;
    if (a->id != b->id) return a->id < b->id;
    if (a->number != b->number) return a->number < b->number;
    if (a->ends != b->ends) return b->ends;
    return a->node < b->node;
}

static void moment_push(struct faults *f, struct moment m) {
    if (m.time == INT64_MAX) return;
    f->items[m.item].references++;
    f->moments = mem_grow(f->moments, &f->moment_capacity, f->moment_count + 1, sizeof *f->moments);
    size_t i = f->moment_count++;
    while (i > 0 && moment_before(&m, &f->moments[(i - 1) / 2])) {
        f->moments[i] = f->moments[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    f->moments[i] = m;
}

/* The caller releases the moment's item when it is done with it. */
static struct moment moment_pop(struct faults *f) {
    struct moment least = f->moments[0], last = f->moments[--f->moment_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < f->moment_count; i = child) {
        if (child + 1 < f->moment_count && moment_before(&f->moments[child + 1], &f->moments[child])) child++;
        if (!moment_before(&f->moments[child], &last)) break;
        f->moments[i] = f->moments[child];
    }
    f->moments[i] = last;
    return least;
}

/* Who and where: targets and shapes. */

static bool is_node_verb(uint8_t verb) {
    return verb >= FAULT_CRASH && verb <= FAULT_RESUME;
}

static bool is_link_verb(uint8_t verb) {
    return (verb >= FAULT_LOSS && verb <= FAULT_CORRUPT) || verb == FAULT_LIE || verb == FAULT_BANDWIDTH;
}

/* Fisher and Yates, from keyed bits. */
static void shuffle(uint16_t *ids, uint16_t count, uint64_t random) {
    for (uint16_t i = 0; i + 1 < count; i++) {
        uint16_t j = (uint16_t)(i + random_scale(draw_bits(random, DRAW_SHUFFLE, i), (uint64_t)(count - i)));
        uint16_t swapped = ids[i];
        ids[i] = ids[j];
        ids[j] = swapped;
    }
}

static uint16_t shuffled_nodes(uint16_t *ids, uint16_t nodes, uint64_t random) {
    for (uint16_t i = 0; i < nodes; i++) ids[i] = (uint16_t)(i + 1);
    shuffle(ids, nodes, random);
    return nodes;
}

static int id_order(const void *a, const void *b) {
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* How many of the shuffled candidates a target takes. */
static uint16_t target_count(uint8_t target, uint16_t candidates, uint16_t nodes, uint64_t random) {
    switch (target) {
    case FAULT_ALL: return candidates;
    case FAULT_MAJORITY: return (uint16_t)(nodes / 2 + 1);
    case FAULT_MINORITY: {
        uint16_t most = (uint16_t)((nodes - 1) / 2);
        return most ? (uint16_t)(1 + random_scale(draw_bits(random, DRAW_BIT, 0), most)) : 0;
    }
    default: return candidates ? 1 : 0;
    }
}

uint16_t fault_targets(const struct directive *d, uint64_t random, uint16_t nodes, uint16_t leader, const bool *up,
                       uint16_t *out) {
    CHECK(nodes >= 1 && nodes <= FAULT_NODES_MAX);
    if (d->target == FAULT_NODE || d->target == FAULT_LEADER) {
        out[0] = d->target == FAULT_NODE ? d->node : leader;
        return out[0] >= 1 && out[0] <= nodes ? 1 : 0;
    }
    uint16_t ids[FAULT_NODES_MAX], count = shuffled_nodes(ids, nodes, random), candidates = 0;
    bool picky = d->target == FAULT_FOLLOWER || d->target == FAULT_RANDOM;
    bool wants_up = d->verb != FAULT_RESTART && d->verb != FAULT_RESUME;
    for (uint16_t i = 0; i < count; i++) {
        if (picky && up && up[ids[i]] != wants_up) continue;
        if (d->target == FAULT_FOLLOWER && ids[i] == leader) continue;
        out[candidates++] = ids[i];
    }
    uint16_t taken = target_count(d->target, candidates, nodes, random);
    qsort(out, taken, sizeof *out, id_order);
    return taken;
}

static void cut_one(struct faults *f, uint16_t from, uint16_t to) {
    f->cuts[from][(to - 1) / 64] |= (uint64_t)1 << ((to - 1) % 64);
}

/* Nodes of different groups, and a node in no group from all others; the bridge (0: none) is cut from
 * nobody. */
static void cut_groups(struct faults *f, const uint8_t *group_of, bool one_way, uint16_t bridge) {
    for (uint16_t from = 1; from <= f->nodes; from++)
        for (uint16_t to = 1; to <= f->nodes; to++) {
            bool apart = group_of[from] != group_of[to] || group_of[from] == 0;
            if (from == to || !apart || from == bridge || to == bridge) continue;
            if (one_way && group_of[from] != 1) continue;
            cut_one(f, from, to);
        }
}

/* The nodes stand on a shuffled ring, and each keeps its links to the nearest k on either side, the fewest
 * that make a majority with itself; of three, where that would be all, one link is cut. One way, each
 * hears exactly a majority: the window of m = n/2 + 1 nodes around it (Jepsen's majorities ring). */
static void cut_ring(struct faults *f, uint64_t random, bool one_way) {
    uint16_t ids[FAULT_NODES_MAX], n = shuffled_nodes(ids, f->nodes, random);
    unsigned m = n / 2u + 1, before = one_way ? (m - 1) / 2 : m / 2, after = m / 2;
    if (n == 3 && !one_way) {
        cut_one(f, ids[0], ids[1]);
        cut_one(f, ids[1], ids[0]);
        return;
    }
    for (unsigned at = 0; at < n; at++)
        for (unsigned step = after + 1; step + before < n; step++) cut_one(f, ids[(at + step) % n], ids[at]);
}

/* Shapes that cut off whom the runtime names: whoever leads, or stands for election, when it fires. */
static bool names_node(const struct directive *d) {
    return d->shape == FAULT_SOLO || d->shape == FAULT_RUNNER;
}

static void cut_shape(struct faults *f, const struct directive *d, uint64_t random, uint16_t leader) {
    uint16_t ids[FAULT_NODES_MAX], n = shuffled_nodes(ids, f->nodes, random);
    uint16_t alone = names_node(d) ? leader : d->node ? d->node : ids[0];
    uint16_t bridge = d->shape == FAULT_BRIDGE ? alone : 0, rest = (uint16_t)(bridge ? n - 1 : n);
    uint16_t half = (uint16_t)((rest + (draw_bits(random, DRAW_BIT, 0) & 1)) / 2);
    uint8_t group_of[FAULT_NODES_MAX + 1] = {0};
    if (names_node(d) && !leader) return;
    for (uint16_t i = 0, placed = 0; i < n; i++) {
        if (d->shape == FAULT_HALVES || (bridge && ids[i] != bridge))
            group_of[ids[i]] = placed++ < half ? 1 : 2;
        else
            group_of[ids[i]] = ids[i] == alone ? 1 : 2;
    }
    cut_groups(f, group_of, d->one_way, bridge);
}

static void cut_partition(struct faults *f, const struct directive *d, const struct condition *c) {
    if (d->shape == FAULT_GROUPS)
        cut_groups(f, d->group_of, d->one_way, 0);
    else if (d->shape == FAULT_RING)
        cut_ring(f, c->random, d->one_way);
    else
        cut_shape(f, d, c->random, c->leader);
}

/* What stands, and the tables made from it. */

/* Every message of the link meets it. */
static bool is_certain(uint8_t verb) {
    return verb == FAULT_DELAY || verb == FAULT_BANDWIDTH;
}

static void link_insert(struct faults *f, const struct directive *d) {
    if (!is_certain(d->verb) && !(d->probability > 0)) return;
    f->links = mem_grow(f->links, &f->link_capacity, f->link_count + 1, sizeof *f->links);
    uint64_t key = (uint64_t)d->id << 32;
    size_t i = f->link_count++;
    for (; i > 0 && f->links[i - 1].key > key; i--) f->links[i] = f->links[i - 1];
    f->links[i] = (struct link){key, d->delay, d->probability, d->rate, d->from, d->to, d->verb, d->both};
}

/* Clocks, slowness, disks. */
static void node_set(struct faults *f, const struct directive *d, const struct condition *c) {
    uint16_t who[FAULT_NODES_MAX], count = fault_targets(d, c->random, f->nodes, 0, NULL, who);
    for (uint16_t i = 0; i < count; i++) {
        if (d->verb == FAULT_SLOW) {
            f->slowness[who[i]] = d->delay.a;
            continue;
        }
        if (d->verb == FAULT_FILL) {
            bool freed = c->freed[(who[i] - 1) / 64] >> (who[i] - 1) % 64 & 1;
            f->full[who[i]] |= !freed;
            continue;
        }
        f->offsets[who[i]] = d->offset_ns;
        f->drifts[who[i]] = d->drift_ppm;
    }
}

static void faults_refresh(struct faults *f) {
    memset(f->cuts, 0, sizeof f->cuts);
    memset(f->offsets, 0, sizeof f->offsets);
    memset(f->slowness, 0, sizeof f->slowness);
    memset(f->drifts, 0, sizeof f->drifts);
    memset(f->full, 0, sizeof f->full);
    f->link_count = 0;
    for (size_t i = 0; i < f->standing_count; i++) {
        const struct condition *c = &f->standing[i];
        const struct directive *d = &f->items[c->item].d;
        if (d->verb == FAULT_PARTITION)
            cut_partition(f, d, c);
        else if (is_link_verb(d->verb))
            link_insert(f, d);
        else
            node_set(f, d, c);
    }
    uint64_t any_cut = 0;
    int64_t any_slow = 0;
    for (uint16_t from = 1; from <= f->nodes; from++) {
        any_slow |= f->slowness[from];
        for (unsigned w = 0; w < CUT_WORDS; w++) any_cut |= f->cuts[from][w];
    }
    f->calm = !any_cut && !any_slow && f->link_count == 0;
}

static void standing_remove(struct faults *f, size_t at) {
    item_release(f, f->standing[at].item);
    f->standing_count--;
    memmove(&f->standing[at], &f->standing[at + 1], (f->standing_count - at) * sizeof *f->standing);
}

static bool same_selectors(const struct directive *a, const struct directive *b) {
    if (a->verb != b->verb) return false;
    if (is_link_verb(a->verb)) return a->from == b->from && a->to == b->to && a->both == b->both;
    if (a->verb == FAULT_PARTITION)
        return a->shape == FAULT_GROUPS && b->shape == FAULT_GROUPS && a->one_way == b->one_way &&
               memcmp(a->group_of, b->group_of, sizeof a->group_of) == 0;
    return a->target == FAULT_NODE && b->target == FAULT_NODE && a->node == b->node;
}

static void standing_add(struct faults *f, struct condition c) {
    const struct directive *d = &f->items[c.item].d;
    f->items[c.item].references++;
    for (size_t i = f->standing_count; i-- > 0;) {
        const struct condition *s = &f->standing[i];
        bool replaced = c.open && s->open && same_selectors(&f->items[s->item].d, d);
        if (s->item == c.item || replaced) standing_remove(f, i);
    }
    f->standing = mem_grow(f->standing, &f->standing_capacity, f->standing_count + 1, sizeof *f->standing);
    f->standing[f->standing_count++] = c;
    faults_refresh(f);
}

static bool is_of_node(uint8_t verb) {
    return verb == FAULT_SKEW || verb == FAULT_SLOW || verb == FAULT_FILL;
}

/* Ends what stands: all of it, or partitions and link conditions only. */
static void standing_end(struct faults *f, bool nodes_too) {
    for (size_t i = f->standing_count; i-- > 0;) {
        uint8_t verb = f->items[f->standing[i].item].d.verb;
        if (nodes_too || !is_of_node(verb)) standing_remove(f, i);
    }
    faults_refresh(f);
}

/* For these nodes, whatever fill hit them: others that it hit stay full. */
static void free_disks(struct faults *f, const struct directive *d, uint64_t random) {
    uint16_t who[FAULT_NODES_MAX], count = fault_targets(d, random, f->nodes, 0, NULL, who);
    for (size_t i = f->standing_count; i-- > 0;) {
        struct condition *c = &f->standing[i];
        if (f->items[c->item].d.verb != FAULT_FILL) continue;
        for (uint16_t k = 0; k < count; k++) c->freed[(who[k] - 1) / 64] |= UINT64_C(1) << (who[k] - 1) % 64;
        if (d->target == FAULT_ALL) standing_remove(f, i);
    }
    faults_refresh(f);
}

static struct condition *standing_find(struct faults *f, uint32_t item, uint32_t number) {
    for (size_t i = 0; i < f->standing_count; i++)
        if (f->standing[i].item == item && f->standing[i].number == number) return &f->standing[i];
    return NULL;
}

/* Moments become actions. */

static void schedule_repeat(struct faults *f, const struct moment *m, const struct directive *d) {
    if (d->timing != FAULT_EVERY) return;
    int64_t next = time_add(m->time, d->period);
    if (next <= d->until) moment_push(f, (struct moment){next, m->id, m->number + 1, m->item, 0, false});
}

static bool begin(struct faults *f, const struct moment *m, struct fault_action *action) {
    struct directive d = f->items[m->item].d;
    uint64_t random = random_keyed(f->seed, d.id, m->number);
    int64_t end = d.timing == FAULT_DURING ? d.until : d.hold > 0 ? time_add(m->time, d.hold) : INT64_MAX;
    bool ends = fault_verb_undo(d.verb) && end != INT64_MAX;
    f->items[m->item].end = ends ? end : INT64_MAX;
    schedule_repeat(f, m, &d);
    if (ends) moment_push(f, (struct moment){end, m->id, m->number, m->item, 0, true});
    bool needs_leader = d.verb == FAULT_PARTITION && names_node(&d);
    *action = (struct fault_action){d, random, m->number, !is_node_verb(d.verb) && !needs_leader};
    if (d.verb == FAULT_HEAL)
        standing_end(f, false);
    else if (d.verb == FAULT_FREE)
        free_disks(f, &d, random);
    else if (!is_node_verb(d.verb))
        standing_add(f, (struct condition){m->item, m->number, !ends, 0, random, {0}});
    return true;
}

/* Another crash (or pause) with an end still holds this node. */
static bool held_longer(const struct faults *f, uint16_t node, uint8_t verb) {
    for (size_t i = 0; i < f->moment_count; i++) {
        const struct moment *m = &f->moments[i];
        const struct directive *d = &f->items[m->item].d;
        if (!m->ends || d->verb != verb) continue;
        if (m->node == node || (!m->node && d->target == FAULT_NODE && d->node == node)) return true;
    }
    return false;
}

/* The end of a firing; false when there is nothing left to undo. */
static bool finish(struct faults *f, const struct moment *m, struct fault_action *action) {
    struct directive d = f->items[m->item].d;
    if (is_node_verb(d.verb)) {
        uint16_t node = m->node ? m->node : d.target == FAULT_NODE ? d.node : 0;
        if (!node || held_longer(f, node, d.verb)) return false;
        d.target = FAULT_NODE;
        d.node = node;
        d.disk = QRT_DISK_KEPT;
        d.guarded = false;
        d.effect = -1;
    } else {
        struct condition *c = standing_find(f, m->item, m->number);
        if (!c) return false;
        standing_remove(f, (size_t)(c - f->standing));
        faults_refresh(f);
    }
    uint8_t verb = d.verb;
    d.verb = fault_verb_undo(verb);
    uint64_t random = random_keyed(f->seed, d.id, m->number);
    *action = (struct fault_action){d, random, m->number, !is_node_verb(verb)};
    return true;
}

bool faults_take(struct faults *f, int64_t now, struct fault_action *action) {
    while (f->moment_count && f->moments[0].time <= now) {
        struct moment m = moment_pop(f);
        bool due = m.ends ? finish(f, &m, action) : begin(f, &m, action);
        item_release(f, m.item);
        if (due) return true;
    }
    return false;
}

int64_t faults_next(const struct faults *f) {
    return f->moment_count ? f->moments[0].time : INT64_MAX;
}

void faults_hit(struct faults *f, const struct fault_action *action, uint16_t node) {
    const struct directive *d = &action->directive;
    uint32_t item = item_find(f, d->id);
    if (item == NO_ITEM || d->target == FAULT_NODE || !fault_verb_undo(d->verb)) return;
    moment_push(f, (struct moment){f->items[item].end, d->id, action->number, item, node, true});
}

void faults_partition(struct faults *f, const struct fault_action *action, uint16_t leader) {
    uint32_t item = item_find(f, action->directive.id);
    struct condition *c = item == NO_ITEM ? NULL : standing_find(f, item, action->number);
    if (!c) return;
    c->leader = leader <= f->nodes ? leader : 0;
    faults_refresh(f);
}

/* Adding and removing. */

static void directive_schedule(struct faults *f, const struct directive *d, int64_t origin, bool taken) {
    uint32_t item = item_new(f, d, origin);
    struct directive *own = &f->items[item].d;
    if (!own->id || taken) own->id = APPLIED_ID + f->applied_count++;
    bool never = own->timing == FAULT_EVERY && own->at > own->until;
    f->items[item].references++; /* while it may be that no moment holds it */
    if (!never) moment_push(f, (struct moment){own->at, own->id, 0, item, 0, false});
    item_release(f, item);
}

void faults_add(struct faults *f, const struct plan *plan, int64_t now) {
    int64_t previous = 0;
    bool fresh = f->item_count == 0; /* ids are unique within a plan */
    for (size_t i = 0; plan && i < plan->count; i++) {
        struct directive d = plan->directives[i];
        if (d.timing == FAULT_AFTER) d.at = time_add(previous, d.at);
        previous = d.at;
        directive_schedule(f, &d, now, !fresh && item_find(f, d.id) != NO_ITEM);
    }
}

void faults_apply(struct faults *f, const struct directive *d, int64_t now) {
    directive_schedule(f, d, now, item_find(f, d->id) != NO_ITEM);
}

void faults_heal(struct faults *f) {
    standing_end(f, true);
}

struct faults *faults_new(const struct plan *plan, uint64_t seed, uint16_t nodes) {
    CHECK(nodes >= 1 && nodes <= FAULT_NODES_MAX);
    struct faults *f = mem_zero(1, sizeof *f);
    f->seed = random_mix(seed ^ SEED_SALT);
    f->nodes = nodes;
    f->free_item = NO_ITEM;
    f->calm = true;
    faults_add(f, plan, 0);
    return f;
}

void faults_free(struct faults *f) {
    if (!f) return;
    free(f->links);
    free(f->items);
    free(f->moments);
    free(f->standing);
    free(f);
}

struct faults *faults_clone(const struct faults *f) {
    struct faults *copy = mem_copy(f, sizeof *f);
    copy->links = mem_copy(f->links, f->link_count * sizeof *f->links);
    copy->items = mem_copy(f->items, f->item_count * sizeof *f->items);
    copy->moments = mem_copy(f->moments, f->moment_count * sizeof *f->moments);
    copy->standing = mem_copy(f->standing, f->standing_count * sizeof *f->standing);
    copy->link_capacity = f->link_count;
    copy->item_capacity = f->item_count;
    copy->moment_capacity = f->moment_count;
    copy->standing_capacity = f->standing_count;
    return copy;
}

/* Questions. */

bool faults_calm(const struct faults *f) {
    return f->calm;
}

bool faults_cut(const struct faults *f, uint16_t from, uint16_t to) {
    if (from < 1 || from > f->nodes || to < 1 || to > f->nodes) return false;
    return f->cuts[from][(to - 1) / 64] >> ((to - 1) % 64) & 1;
}

static bool link_matches(const struct link *l, uint16_t from, uint16_t to) {
    if ((!l->from || l->from == from) && (!l->to || l->to == to)) return true;
    return l->both && (!l->from || l->from == to) && (!l->to || l->to == from);
}

/* The key is (seed, directive, link), the position the message's sequence number: see 1. above. */
static int64_t wire_time(uint32_t bytes, int64_t rate) {
    __int128 ns = (__int128)bytes * 1000000000 / rate;
    return ns > FAULT_TIME_MAX_NS ? FAULT_TIME_MAX_NS : (int64_t)ns;
}

static int64_t longer(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t link_lateness(const struct link *l, uint64_t bits) {
    bool never =
        l->verb == FAULT_LOSS || l->verb == FAULT_CORRUPT || l->verb == FAULT_LIE || l->verb == FAULT_BANDWIDTH;
    return never ? 0 : distribution_draw(&l->delay, draw_bits(bits, DRAW_DELAY, 0));
}

static void link_judge(const struct faults *f, const struct link *l, uint64_t way, uint64_t sequence,
                       uint32_t frame_size, struct fault_fate *fate) {
    uint64_t bits = random_keyed(f->seed, l->key | way, sequence);
    if (!is_certain(l->verb) && random_unit_of(bits) >= l->probability) return;
    int64_t late = link_lateness(l, bits);
    switch (l->verb) {
    case FAULT_LOSS: fate->drop = QRT_DROP_LOSS; break;
    case FAULT_DELAY: fate->extra_ns = time_add(fate->extra_ns, late); break;
    case FAULT_REORDER:
        fate->reorder = true;
        fate->extra_ns = time_add(fate->extra_ns, late);
        break;
    case FAULT_DUPLICATE:
        fate->duplicate = true;
        fate->duplicate_ns = time_add(fate->duplicate_ns, late);
        break;
    case FAULT_BANDWIDTH: fate->wire_ns = longer(fate->wire_ns, wire_time(frame_size, l->rate)); break;
    case FAULT_LIE:
        if ((way & UINT16_MAX) < QRT_CLIENT) fate->lie = draw_bits(bits, DRAW_LIE, 0) | 1;
        break;
    default: /* FAULT_CORRUPT */
        fate->corrupt = frame_size > 0;
        fate->corrupt_bit = (uint32_t)random_scale(draw_bits(bits, DRAW_BIT, 0), (uint64_t)frame_size * 8);
    }
}

void faults_message(const struct faults *f, uint16_t from, uint16_t to, uint64_t sequence, uint32_t frame_size,
                    struct fault_fate *fate) {
    *fate = (struct fault_fate){0};
    if (f->calm) return;
    if (faults_cut(f, from, to)) {
        fate->drop = QRT_DROP_PARTITION;
        return;
    }
    uint64_t way = (uint64_t)from << 16 | to;
    for (size_t i = 0; i < f->link_count; i++)
        if (link_matches(&f->links[i], from, to)) link_judge(f, &f->links[i], way, sequence, frame_size, fate);
}

int64_t faults_offset(const struct faults *f, uint16_t node) {
    return node <= f->nodes ? f->offsets[node] : 0;
}

double faults_drift(const struct faults *f, uint16_t node) {
    return node <= f->nodes ? f->drifts[node] : 0;
}

bool faults_full(const struct faults *f, uint16_t node) {
    return node <= f->nodes && f->full[node];
}

int64_t faults_slowness(const struct faults *f, uint16_t node) {
    return node <= f->nodes ? f->slowness[node] : 0;
}

/* Fingerprint. */

static uint64_t bits_of(double x) {
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

/* What the directive does, without when: moments carry the times. */
static uint64_t directive_hash(const struct directive *d) {
    const uint64_t fields[] = {d->id,
                               (uint64_t)d->verb << 32 | (uint64_t)d->timing << 24 | (uint64_t)d->target << 16 |
                                   (uint64_t)d->disk << 8 | d->shape,
                               (uint64_t)d->one_way << 2 | (uint64_t)d->guarded << 1 | d->both,
                               (uint64_t)d->node << 32 | (uint64_t)d->from << 16 | d->to,
                               (uint64_t)(int64_t)d->effect,
                               (uint64_t)d->period,
                               (uint64_t)d->hold,
                               bits_of(d->probability),
                               d->delay.kind,
                               (uint64_t)d->delay.a,
                               (uint64_t)d->delay.b,
                               bits_of(d->delay.shape),
                               (uint64_t)d->offset_ns,
                               bits_of(d->drift_ppm),
                               d->group_count,
                               (uint64_t)d->rate};
    return hash_bytes(d->group_of, sizeof d->group_of, hash_bytes(fields, sizeof fields, 0));
}

/* Times count from the next moment. Moments are summed, because a heap's order depends on its history. */
uint64_t faults_fingerprint(const struct faults *f) {
    uint64_t sum = 0, hash = hash_fold(f->seed, f->nodes);
    int64_t base = f->moment_count ? f->moments[0].time : 0;
    for (size_t i = 0; i < f->moment_count; i++) {
        const struct moment *m = &f->moments[i];
        const struct item *it = &f->items[m->item];
        uint64_t h = hash_fold(directive_hash(&it->d), (uint64_t)(m->time - base));
        h = hash_fold(h, (uint64_t)m->number << 32 | (uint64_t)m->node << 1 | m->ends);
        if (it->d.timing == FAULT_EVERY && it->d.until != INT64_MAX) h = hash_fold(h, (uint64_t)(it->d.until - base));
        sum += h;
    }
    hash = hash_fold(hash_fold(hash, sum), f->applied_count);
    for (size_t i = 0; i < f->standing_count; i++) {
        const struct condition *c = &f->standing[i];
        hash = hash_fold(hash, directive_hash(&f->items[c->item].d));
        hash = hash_fold(hash, (uint64_t)c->number << 32 | (uint64_t)c->leader << 1 | c->open);
        hash = hash_fold(hash, c->random);
        for (size_t w = 0; w < sizeof c->freed / sizeof *c->freed; w++)
            if (c->freed[w]) hash = hash_fold(hash_fold(hash, w), c->freed[w]);
    }
    return hash;
}
