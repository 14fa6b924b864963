/* A partition's operations made ready for the search: steps, the list of events, bits, and four reductions
 * that need no search.
 *
 * Twins. Of two open calls with the same step, the one invoked first can stand wherever the other stands, so
 * only orders in which it goes first are tried.
 *
 * Unseen writes. Let an open call make the value v, while no call demands v, and let every call that is no
 * write demand one value (no append, no delete that found something, no cas that only says "another value").
 * In a legal order with that call, what follows it up to the next write has to be legal at v, so it is open
 * swaps without effect; without these and the call the order is legal still. So it is left out, and again
 * from the beginning, because a swap left out demands nothing any more. Every beginning of the history has
 * fewer demands, so this changes no first bad event either.
 *
 * Unseen values. Where no value is appended to, a state is no different from another when both are values
 * (not nil) that no call demands or excludes: what is legal after one is legal after the other. They become
 * one value, which makes twins of their open writes. Not where a violation is explained, because people want
 * their values' names.
 *
 * Demands. Where no value is appended to, a value that calls still have to see, and that no call is left to
 * make, must not be overwritten: for each value both are counted. */
#include <stdlib.h>

#include "base/check.h"
#include "check/partition.h"

static bool call_is_open(const struct call *c) {
    return c->returned == UINT64_MAX;
}

/* False when the budget does not allow the values. */
static bool calls_make(struct partition *p, const struct partition_task *task) {
    for (size_t i = 0; i < task->count; i++) {
        const struct history_operation *op = &p->history->operations[task->numbers[i]];
        struct call c = {.number = task->numbers[i], .invoked = op->invoke_order, .twin = CALL_NONE};
        if (op->invoke_order > task->until) continue;
        c.returned = op->outcome == HISTORY_OK && op->return_order <= task->until ? op->return_order : UINT64_MAX;
        enum step_use use = model_step_of(&p->model, op, &c.step);
        if (use == STEP_NO_ROOM) return false;
        if (use == STEP_FOREIGN_FUNCTION && p->foreign == SIZE_MAX) p->foreign = task->numbers[i];
        if (call_is_open(&c) && c.step.pure) continue;
        if (use == STEP_USED) p->calls[p->call_count++] = c;
    }
    return true;
}

/* Counts, for every value, who demands it; false when somebody's demand is none of one value. */
static bool demands_count(const struct partition *p, uint32_t *demands) {
    for (size_t i = 0; i < p->call_count; i++) {
        const struct step *s = &p->calls[i].step;
        if (s->kind == STEP_OBSERVE || s->kind == STEP_SWAP)
            demands[s->a]++;
        else if (s->kind != STEP_PUT && s->kind != STEP_IMPOSSIBLE)
            return false;
    }
    return true;
}

static void unseen_drop(struct partition *p) {
    uint32_t *demands = mem_zero(p->model.value_count, sizeof *demands);
    bool again = demands_count(p, demands);
    while (again) {
        again = false;
        size_t kept = 0;
        for (size_t i = 0; i < p->call_count; i++) {
            const struct call *c = &p->calls[i];
            bool swap = c->step.kind == STEP_SWAP;
            bool unseen =
                call_is_open(c) && (swap || c->step.kind == STEP_PUT) && demands[swap ? c->step.b : c->step.a] == 0;
            if (unseen && swap) demands[c->step.a]--;
            if (unseen) p->dropped[p->dropped_count++] = c->number;
            if (!unseen) p->calls[kept++] = *c;
        }
        again = kept < p->call_count;
        p->call_count = kept;
    }
    free(demands);
}

uint32_t step_makes(const struct step *s) {
    if (s->kind == STEP_PUT) return s->a;
    if (s->kind == STEP_SWAP) return s->b;
    return s->kind == STEP_TAKE ? STATE_NIL : STATE_ILLEGAL;
}

static bool has_appends(const struct partition *p) {
    for (size_t i = 0; i < p->call_count; i++)
        if (p->calls[i].step.kind == STEP_APPEND) return true;
    return false;
}

/* "Nil or empty" is nil where nobody writes the empty value. */
static void empty_resolve(struct partition *p, const uint32_t *makers) {
    for (size_t i = 0; i < p->call_count; i++) {
        struct step *s = &p->calls[i].step;
        if (s->kind != STEP_EMPTY || makers[s->a] || p->state == s->a) continue;
        s->kind = STEP_OBSERVE;
        s->a = STATE_NIL;
    }
}

static void unseen_merge(struct partition *p) {
    bool *seen = mem_zero(p->model.value_count, sizeof *seen);
    seen[STATE_NIL] = seen[p->state] = true;
    for (size_t i = 0; i < p->call_count; i++) {
        const struct step *s = &p->calls[i].step;
        if (s->kind != STEP_PUT) seen[s->a] = true;
    }
    uint32_t unseen = STATE_NIL;
    for (size_t i = 0; i < p->call_count; i++) {
        struct step *s = &p->calls[i].step;
        uint32_t *made = s->kind == STEP_SWAP ? &s->b : s->kind == STEP_PUT ? &s->a : NULL;
        if (!made || seen[*made]) continue;
        if (unseen == STATE_NIL) unseen = *made;
        *made = unseen;
    }
    free(seen);
}

static void demands_begin(struct partition *p, uint64_t exempt) {
    p->demands = mem_zero(p->model.value_count, sizeof *p->demands);
    p->counting = true;
    for (size_t i = 0; i < p->call_count; i++) {
        struct call *c = &p->calls[i];
        c->demands =
            !call_is_open(c) && c->returned != exempt && (c->step.kind == STEP_OBSERVE || c->step.kind == STEP_SWAP);
        if (c->demands) p->demands[c->step.a]++;
    }
    for (size_t i = 0; i < p->model.value_count; i++)
        if (p->demands[i] && !p->makers[i] && i != p->state) p->hopeless = true;
}

static void makers_count(struct partition *p) {
    free(p->makers);
    p->makers = mem_zero(p->model.value_count, sizeof *p->makers);
    for (size_t i = 0; i < p->call_count; i++) {
        uint32_t makes = step_makes(&p->calls[i].step);
        if (makes != STATE_ILLEGAL) p->makers[makes]++;
    }
}

/* The reductions for models whose state is one value. */
static void values_reduce(struct partition *p, const struct partition_task *task) {
    if (has_appends(p)) return;
    makers_count(p);
    empty_resolve(p, p->makers);
    unseen_drop(p);
    if (!task->explain) unseen_merge(p);
    makers_count(p);
    demands_begin(p, task->explain ? task->until : UINT64_MAX);
}

static int call_order(const void *a, const void *b) {
    const struct call *x = a, *y = b;
    if (call_is_open(x) != call_is_open(y)) return call_is_open(x) ? 1 : -1;
    if (x->invoked != y->invoked) return x->invoked < y->invoked ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static bool step_equal(const struct step *x, const struct step *y) {
    return x->kind == y->kind && x->a == y->a && x->b == y->b && x->number == y->number;
}

static int twin_order(const void *a, const void *b, void *context) {
    const struct call *calls = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct step *x = &calls[i].step, *y = &calls[j].step;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return (i > j) - (i < j);
}

static void twins_find(struct partition *p) {
    size_t count = p->call_count - p->closed_count;
    uint32_t *order = mem_alloc(count * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)(p->closed_count + i);
    qsort_r(order, count, sizeof *order, twin_order, p->calls);
    for (size_t i = 1; i < count; i++)
        if (step_equal(&p->calls[order[i - 1]].step, &p->calls[order[i]].step)) p->calls[order[i]].twin = order[i - 1];
    free(order);
}

/* At one position an invocation comes first: calls that touch overlap. */
static int node_order(const void *a, const void *b, void *context) {
    const struct node *nodes = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (nodes[x].position != nodes[y].position) return nodes[x].position < nodes[y].position ? -1 : 1;
    if ((x ^ y) & 1) return x & 1 ? 1 : -1;
    return (x > y) - (x < y);
}

/* Links the nodes in order and gives each call a slot that no call shares while both are under way. */
static void list_make(struct partition *p) {
    size_t count = 2 * p->closed_count, free_count = 0, slots = 0;
    uint32_t *order = mem_alloc(count * sizeof *order), *freed = mem_alloc(count * sizeof *freed), last;
    p->nodes = mem_alloc((count + 1) * sizeof *p->nodes);
    p->head = last = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
        p->nodes[i].position = i % 2 ? p->calls[i / 2].returned : p->calls[i / 2].invoked;
    }
    qsort_r(order, count, sizeof *order, node_order, p->nodes);
    for (size_t i = 0; i < count; i++) {
        struct call *c = &p->calls[order[i] / 2];
        if (order[i] % 2)
            freed[free_count++] = c->slot;
        else
            c->slot = free_count ? freed[--free_count] : (uint32_t)slots++;
        p->nodes[last].next = order[i];
        p->nodes[order[i]].previous = last;
        last = order[i];
    }
    p->nodes[last].next = p->head;
    p->nodes[p->head].previous = last;
    p->nodes[p->head].position = UINT64_MAX;
    for (size_t i = p->closed_count; i < p->call_count; i++) p->calls[i].slot = (uint32_t)slots++;
    p->mask_words = (slots + 63) / 64;
    free(order);
    free(freed);
}

bool partition_init(struct partition *p, const struct history *h, const struct partition_task *task,
                    const struct linear_options *options, struct budget *budget) {
    *p = (struct partition){.history = h, .budget = budget, .foreign = SIZE_MAX, .fresh = true};
    CHECK(task->count < UINT32_MAX / 2 - 1);
    bool room = model_init(&p->model, options->model, budget);
    bool values = options->model != LINEAR_COUNTER && options->model != LINEAR_LOCK;
    p->calls = mem_alloc(task->count * sizeof *p->calls);
    p->dropped = mem_alloc(task->count * sizeof *p->dropped);
    room = room && calls_make(p, task);
    if (room) p->state = model_initial(&p->model, options->initial);
    room = room && p->state != STATE_FULL;
    if (!room) p->call_count = 0;
    if (room && values) values_reduce(p, task);
    qsort(p->calls, p->call_count, sizeof *p->calls, call_order);
    while (p->closed_count < p->call_count && !call_is_open(&p->calls[p->closed_count])) p->closed_count++;
    twins_find(p);
    list_make(p);
    p->mask = mem_zero(p->mask_words, sizeof *p->mask);
    p->seen_words = 1 + p->mask_words;
    return room;
}

void partition_free(struct partition *p) {
    budget_free(p->budget, &p->stack, &p->stack_capacity, sizeof *p->stack);
    budget_free(p->budget, &p->seen, &p->seen_capacity, sizeof *p->seen);
    budget_free(p->budget, &p->seen_old, &p->seen_old_capacity, sizeof *p->seen_old);
    budget_free(p->budget, &p->best, &p->best_capacity, sizeof *p->best);
    model_free(&p->model);
    free(p->calls);
    free(p->dropped);
    free(p->nodes);
    free(p->mask);
    free(p->demands);
    free(p->makers);
}
