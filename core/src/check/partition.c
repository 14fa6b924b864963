/* The search for a legal order of one partition's operations.
 *
 *   list:  call 0, call 1, return 1, call 2, return 0, return 2     first = return 1: calls 0, 1 may go next
 *   open:  call 3 (position 4), call 4 (position 9)                 may go next when invoked before `first`
 *
 * A configuration is what is linearised and the state after it. Linearising a call takes its two nodes out
 * of the list; undoing it puts them back. When no call before `first` can go next, the configuration is a
 * dead end.
 *
 * Invariants:
 *  1. All calls that returned before `first` are linearised, and none that was invoked after it. So `first`
 *     and one bit for each call under way there say what is linearised. A slot's bit is the parity of its
 *     linearised calls: of those that returned before `first` there is a fixed number, and at most one other
 *     is under way.
 *  2. A configuration is looked into once: `seen` holds it exactly, not a hash of it.
 *  3. A legal call that changes no state whatever that is (a read, a failed cas) goes at once and alone: in
 *     a legal order in which it goes later it can be moved to here.
 *  4. Where nothing is counted, the furthest `first` of all dead ends is the first bad event: to get past a
 *     return, all calls that returned up to it are linearised, with calls invoked before it only, and the
 *     search tries all such orders. Where demands are counted (partition_build.c), what a later call must
 *     see makes dead ends earlier, so that a violation is found much faster, but not where it shows first:
 *     linear.c narrows that down. */
#include "check/partition.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"

static void node_lift(struct partition *p, uint32_t node) {
    struct node *n = &p->nodes[node];
    p->nodes[n->previous].next = n->next;
    p->nodes[n->next].previous = n->previous;
}

static void node_unlift(struct partition *p, uint32_t node) {
    struct node *n = &p->nodes[node];
    p->nodes[n->previous].next = node;
    p->nodes[n->next].previous = node;
}

static bool call_is_closed(const struct partition *p, uint32_t call) {
    return call < p->closed_count;
}

static void call_toggle(struct partition *p, uint32_t call) {
    struct call *c = &p->calls[call];
    c->done = !c->done;
    p->mask[c->slot / 64] ^= 1ull << c->slot % 64;
}

/* Whether going on to that state overwrites a value that must still be seen and cannot be made again. */
static bool call_overwrites(const struct partition *p, uint32_t call, uint32_t state) {
    if (!p->counting || state == p->state) return false;
    const struct call *c = &p->calls[call];
    uint32_t own = c->demands && c->step.a == p->state;
    return p->demands[p->state] > own && p->makers[p->state] == 0;
}

static void call_count(struct partition *p, uint32_t call, uint32_t by) {
    const struct call *c = &p->calls[call];
    uint32_t makes = step_makes(&c->step);
    if (!p->counting) return;
    if (c->demands) p->demands[c->step.a] += by;
    if (makes != STATE_ILLEGAL) p->makers[makes] += by;
}

static bool call_linearise(struct partition *p, uint32_t call, uint32_t state, bool forced) {
    if (!budget_grow(p->budget, &p->stack, &p->stack_capacity, p->depth + 1, sizeof *p->stack)) return false;
    p->stack[p->depth++] = (struct frame){call, p->state, forced};
    if (call_is_closed(p, call)) {
        node_lift(p, 2 * call);
        node_lift(p, 2 * call + 1);
    }
    call_toggle(p, call);
    call_count(p, call, UINT32_MAX); /* one less */
    p->state = state;
    p->fresh = true;
    return true;
}

/* Back to before the last call, to go on with what comes after it. */
static struct frame call_undo(struct partition *p) {
    struct frame f = p->stack[--p->depth];
    if (p->best_common > p->depth) p->best_common = p->depth;
    call_toggle(p, f.call);
    call_count(p, f.call, 1);
    p->state = f.state;
    if (call_is_closed(p, f.call)) {
        node_unlift(p, 2 * f.call + 1);
        node_unlift(p, 2 * f.call);
        p->cursor = p->nodes[2 * f.call].next;
        p->open_next = p->closed_count;
    } else {
        p->cursor = p->head;
        p->open_next = f.call + 1;
    }
    return f;
}

static uint32_t first_find(const struct partition *p) {
    uint32_t node = p->nodes[p->head].next;
    while (node != p->head && node % 2 == 0) node = p->nodes[node].next;
    return node;
}

/* The place of a configuration in a table, or the free one where it belongs. */
static uint64_t *seen_place(const struct partition *p, uint64_t *table, size_t capacity,
                            const uint64_t *configuration) {
    uint64_t hash = 0;
    for (size_t i = 0; i < p->seen_words; i++) hash = hash_fold(hash, configuration[i]);
    size_t entries = capacity / p->seen_words, i = random_scale(random_mix(hash), entries);
    uint64_t *at = table + i * p->seen_words;
    while (*at && memcmp(at, configuration, p->seen_words * sizeof *at) != 0) {
        if (++i == entries) i = 0;
        at = table + i * p->seen_words;
    }
    return at;
}

/* Begins a table of twice the size. Its entries move over a few at a time, so that no step takes long. */
static bool seen_widen(struct partition *p) {
    size_t capacity = p->seen_capacity ? 2 * p->seen_capacity : 64 * p->seen_words;
    if (p->seen_old || !budget_take(p->budget, capacity, sizeof *p->seen)) return false;
    p->seen_old = p->seen;
    p->seen_old_capacity = p->seen_capacity;
    p->seen_moved = 0;
    p->seen = mem_zero(capacity, sizeof *p->seen);
    p->seen_capacity = capacity;
    return true;
}

static void seen_move(struct partition *p) {
    for (int i = 0; i < 8 && p->seen_old; i++, p->seen_moved += p->seen_words) {
        if (p->seen_moved + p->seen_words > p->seen_old_capacity) {
            budget_free(p->budget, &p->seen_old, &p->seen_old_capacity, sizeof *p->seen_old);
            return;
        }
        const uint64_t *entry = p->seen_old + p->seen_moved;
        if (*entry) memcpy(seen_place(p, p->seen, p->seen_capacity, entry), entry, p->seen_words * sizeof *entry);
    }
}

enum seen { SEEN_NEW, SEEN_BEFORE, SEEN_FULL };

/* Where the budget allows no larger table this one is filled a little further, and no more. */
static enum seen seen_insert(struct partition *p, const uint64_t *configuration) {
    size_t entries = p->seen_capacity / p->seen_words;
    seen_move(p);
    if (p->seen_count * 3 >= entries * 2 && !seen_widen(p) && p->seen_count * 16 >= entries * 15) return SEEN_FULL;
    if (p->seen_old_capacity && *seen_place(p, p->seen_old, p->seen_old_capacity, configuration)) return SEEN_BEFORE;
    uint64_t *place = seen_place(p, p->seen, p->seen_capacity, configuration);
    if (*place) return SEEN_BEFORE;
    memcpy(place, configuration, p->seen_words * sizeof *place);
    p->seen_count++;
    p->states++;
    return SEEN_NEW;
}

/* `first` counts from 1 in a configuration, so that none is all 0. */
static enum seen seen_add(struct partition *p) {
    uint64_t local[8], *configuration = p->seen_words <= 8 ? local : mem_alloc(p->seen_words * sizeof *local);
    configuration[0] = (uint64_t)(p->first + 1) << 32 | p->state;
    memcpy(configuration + 1, p->mask, p->mask_words * sizeof *configuration);
    enum seen answer = seen_insert(p, configuration);
    if (configuration != local) free(configuration);
    return answer;
}

/* Keeps the order that led here. What it shares with the one kept last is not copied again, so that all
 * copies together cost no more than the search. */
static bool best_keep(struct partition *p) {
    if (!budget_grow(p->budget, &p->best, &p->best_capacity, p->depth, sizeof *p->best)) return false;
    for (size_t i = p->best_common; i < p->depth; i++) p->best[i] = p->stack[i].call;
    p->best_count = p->best_common = p->depth;
    return true;
}

/* Notes how far the search has come: position 0 is before everything, so `furthest` holds position + 1. */
static bool progress_note(struct partition *p) {
    uint64_t here = p->nodes[p->first].position + 1;
    if (p->first == p->head) here = UINT64_MAX;
    if (here < p->furthest) return true;
    if (here > p->furthest) p->possible_count = 0;
    bool better = here > p->furthest || p->depth > p->best_count;
    p->furthest = here;
    p->furthest_node = p->first;
    size_t i = 0;
    while (i < p->possible_count && i < POSSIBLE_MAX && p->possible[i] != p->state) i++;
    if (i == p->possible_count && i < POSSIBLE_MAX)
        p->possible[p->possible_count++] = p->state;
    else if (i == POSSIBLE_MAX)
        p->possible_count = POSSIBLE_MAX + 1;
    return !better || best_keep(p);
}

/* A new configuration: its first return, whether it was seen, and the calls that need no choice. */
static enum partition_answer configuration_enter(struct partition *p) {
    p->fresh = false;
    p->cursor = p->head;
    p->open_next = p->call_count; /* nothing to try, unless it turns out otherwise below */
    p->first = first_find(p);
    if (!progress_note(p)) return PARTITION_FULL;
    if (p->first == p->head) return PARTITION_OK;
    bool forced = p->depth > 0 && p->stack[p->depth - 1].forced;
    enum seen seen = forced ? SEEN_NEW : seen_add(p);
    if (seen == SEEN_FULL) return PARTITION_FULL;
    if (seen == SEEN_BEFORE) return PARTITION_MORE;
    for (uint32_t node = p->nodes[p->head].next; node != p->first; node = p->nodes[node].next) {
        const struct step *step = &p->calls[node / 2].step;
        if (!step->pure || model_step(&p->model, step, p->state) == STATE_ILLEGAL) continue;
        return call_linearise(p, node / 2, p->state, true) ? PARTITION_MORE : PARTITION_FULL;
    }
    p->cursor = p->nodes[p->head].next;
    p->open_next = p->closed_count;
    return PARTITION_MORE;
}

/* The next call to try in this configuration; CALL_NONE when there is none. An open call that would change
 * nothing is not worth a try. */
static uint32_t candidate_next(struct partition *p) {
    if (p->cursor != p->head && p->cursor % 2 == 0) {
        uint32_t call = p->cursor / 2;
        p->cursor = p->nodes[p->cursor].next;
        return call;
    }
    p->cursor = p->head;
    while (p->open_next < p->call_count) {
        const struct call *c = &p->calls[p->open_next];
        if (c->invoked > p->nodes[p->first].position) break;
        p->open_next++;
        if (!c->done && (c->twin == CALL_NONE || p->calls[c->twin].done)) return (uint32_t)p->open_next - 1;
    }
    p->open_next = p->call_count;
    return CALL_NONE;
}

static enum partition_answer candidate_try(struct partition *p, uint32_t call) {
    const struct step *step = &p->calls[call].step;
    uint32_t state = step->pure ? STATE_ILLEGAL : model_step(&p->model, step, p->state);
    if (state == STATE_FULL) return PARTITION_FULL;
    if (state == STATE_ILLEGAL || (state == p->state && !call_is_closed(p, call))) return PARTITION_MORE;
    if (call_overwrites(p, call, state)) return PARTITION_MORE;
    return call_linearise(p, call, state, false) ? PARTITION_MORE : PARTITION_FULL;
}

static enum partition_answer dead_end_leave(struct partition *p) {
    struct frame f;
    do {
        if (p->depth == 0) return PARTITION_VIOLATED;
        f = call_undo(p);
    } while (f.forced);
    p->first = first_find(p);
    return PARTITION_MORE;
}

enum partition_answer partition_search(struct partition *p, size_t work) {
    enum partition_answer answer = p->hopeless ? PARTITION_VIOLATED : PARTITION_MORE;
    for (size_t i = 0; i < work && answer == PARTITION_MORE; i++) {
        if (p->fresh) {
            answer = configuration_enter(p);
            continue;
        }
        uint32_t call = candidate_next(p);
        answer = call == CALL_NONE ? dead_end_leave(p) : candidate_try(p, call);
    }
    return answer;
}

const struct call *partition_stuck(const struct partition *p) {
    return &p->calls[p->furthest_node / 2];
}
