/* The check of a whole history: its partitions one after another, within the budget. See linear.h,
 * partition.c.
 *
 * A hard partition must not hide an easy violation in another, so each gets little work at first, and those
 * that are left get sixteen times as much in each further round, from the beginning. After a violation the
 * others are searched only for an earlier one, and only to the end of the round.
 *
 *   SEARCH --violated, demands counted--> NARROW (halving: the first return up to which there is no order)
 *     |                                      |
 *     '--violated, nothing counted--.        '--> EXPLAIN (up to that return, its own demand not counted)
 *                                   v                 v
 *                             the first bad event, its partition's longest order, what could have been */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/stopwatch.h"
#include "check/partition.h"

#define BATCH ((size_t)64)                  /* tries between two looks at the clock */
#define WORK_FIRST ((size_t)1 << 16)        /* tries for each partition in the first round */
#define WORK_NARROW ((size_t)1 << 22)       /* tries for each question on the way to the first bad event */
#define MEMORY_STANDARD ((size_t)256 << 20) /* bytes */

enum stage { STAGE_SEARCH, STAGE_NARROW, STAGE_EXPLAIN };

struct part {
    size_t start, count; /* in numbers */
    bool decided;
};

struct linear {
    struct history history;
    struct linear_options options;
    struct linear_result result;
    uint8_t *initial; /* the options' text, copied */
    size_t *numbers;  /* of operations, by key */
    struct part *parts;
    size_t part_count, undecided, next;
    size_t work_limit, work_left; /* of this round; of the partition under way */
    struct partition partition;   /* under way */
    struct budget budget;
    enum stage stage;
    uint64_t *returns;           /* NARROW: the partition's, in order */
    size_t low, high;            /* up to those below low there is an order, from high on there is none */
    size_t prefix_part;          /* how many operations the partition has whose order the result shows */
    int64_t spent_ns, worked_ns; /* real time; the processor's, of calls before the present one */
    bool under_way, done;
};

static const char *const model_names[] = {
    [LINEAR_CAS_REGISTER] = "cas-register", [LINEAR_APPEND_KV] = "append-kv", [LINEAR_KV] = "kv",
    [LINEAR_COUNTER] = "counter",           [LINEAR_LOCK] = "lock",
};

const char *linear_model_name(enum linear_model model) {
    return model >= LINEAR_CAS_REGISTER && model <= LINEAR_LOCK ? model_names[model] : NULL;
}

enum linear_model linear_model_find(const char *name) {
    for (enum linear_model m = LINEAR_CAS_REGISTER; m <= LINEAR_LOCK; m++)
        if (strcmp(name, model_names[m]) == 0) return m;
    return 0;
}

static int number_order(const void *a, const void *b, void *context) {
    const struct history_operation *operations = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = bytes_compare(operations[x].key, operations[y].key);
    return order ? order : (x > y) - (x < y);
}

static void parts_make(struct linear *l) {
    const struct history_operation *operations = l->history.operations;
    size_t count = l->history.count;
    l->numbers = mem_alloc(count * sizeof *l->numbers);
    l->parts = mem_alloc(count * sizeof *l->parts);
    for (size_t i = 0; i < count; i++) l->numbers[i] = i;
    qsort_r(l->numbers, count, sizeof *l->numbers, number_order, l->history.operations);
    for (size_t i = 0; i < count; i++) {
        size_t n = l->numbers[i];
        if (i == 0 || !bytes_equal(operations[n].key, operations[l->numbers[i - 1]].key))
            l->parts[l->part_count++] = (struct part){.start = i};
        l->parts[l->part_count - 1].count++;
    }
    l->undecided = l->result.partitions = l->part_count;
}

struct linear *linear_new(const struct history *h, const struct linear_options *options) {
    CHECK(linear_model_name(options->model));
    int64_t start = stopwatch_ns(), work = stopwatch_work_ns();
    struct linear *l = mem_zero(1, sizeof *l);
    l->options = *options;
    if (options->initial.data) {
        l->initial = mem_copy(options->initial.data, options->initial.size);
        l->options.initial.data = l->initial;
    }
    l->budget.limit = options->memory ? options->memory : MEMORY_STANDARD;
    l->result.bad = SIZE_MAX;
    l->result.bad_event = UINT64_MAX;
    history_clone(&l->history, h);
    parts_make(l);
    l->work_limit = l->part_count > 1 ? WORK_FIRST : SIZE_MAX;
    l->spent_ns = stopwatch_ns() - start;
    l->worked_ns = stopwatch_work_ns() - work;
    return l;
}

void linear_free(struct linear *l) {
    if (!l) return;
    if (l->under_way) partition_free(&l->partition);
    history_free(&l->history);
    free(l->initial);
    free(l->numbers);
    free(l->parts);
    free(l->returns);
    free(l->result.prefix);
    free(l);
}

const struct linear_result *linear_result(const struct linear *l) {
    return &l->result;
}

/* The order found in the partition under way becomes the one that the result shows. */
static void prefix_take(struct linear *l) {
    const struct partition *p = &l->partition;
    const struct part *part = &l->parts[l->next];
    free(l->result.prefix);
    l->result.prefix = mem_alloc(p->best_count * sizeof *l->result.prefix);
    for (size_t i = 0; i < p->best_count; i++) l->result.prefix[i] = p->calls[p->best[i]].number;
    l->result.prefix_count = p->best_count;
    l->result.key = l->history.operations[l->numbers[part->start]].key;
    l->prefix_part = part->count;
}

static void take_ok(struct linear *l) {
    bool larger = l->parts[l->next].count > l->prefix_part;
    if (l->result.verdict == VERDICT_OK && larger) prefix_take(l);
}

static void take_unknown(struct linear *l, const char *why) {
    if (l->result.verdict == VERDICT_VIOLATED) return;
    bool first = l->result.verdict == VERDICT_OK;
    if (!first && l->parts[l->next].count <= l->prefix_part) return;
    l->result.verdict = VERDICT_UNKNOWN;
    prefix_take(l);
    struct buffer key = {0};
    if (l->result.key.size) {
        buffer_printf(&key, " on key ");
        model_print_text(l->result.key, &key);
    }
    snprintf(l->result.explanation, sizeof l->result.explanation,
             "%s; a legal order of %zu of the %zu operations%s was found until then", why, l->result.prefix_count,
             l->partition.call_count, buffer_text(&key));
    buffer_free(&key);
}

static void take_violated(struct linear *l, size_t number, bool complete) {
    l->result.verdict = VERDICT_VIOLATED;
    l->result.bad = number;
    l->result.bad_event = l->history.operations[number].return_order;
    prefix_take(l);
    partition_explain(&l->partition, number, complete, l->result.explanation, sizeof l->result.explanation);
}

static void take_foreign(struct linear *l) {
    const struct history_operation *op = &l->history.operations[l->partition.foreign];
    char why[128];
    const char *name = history_function_name(op->function);
    snprintf(why, sizeof why, "operation %zu is a %s, which the model %s does not know", l->partition.foreign,
             name ? name : "stranger", linear_model_name(l->options.model));
    take_unknown(l, why);
}

/* Searches the present part up to an event. False when the budget does not allow its values. */
static bool partition_begin(struct linear *l, enum stage stage, uint64_t until) {
    const struct part *part = &l->parts[l->next];
    struct partition_task task = {l->numbers + part->start, part->count, until, stage == STAGE_EXPLAIN};
    l->stage = stage;
    l->under_way = true;
    l->work_left = stage == STAGE_SEARCH ? l->work_limit : WORK_NARROW;
    return partition_init(&l->partition, &l->history, &task, &l->options, &l->budget);
}

static void partition_end(struct linear *l) {
    l->result.states += l->partition.states;
    partition_free(&l->partition);
    l->under_way = false;
}

static void part_end(struct linear *l, bool decided) {
    l->parts[l->next].decided = decided;
    l->undecided -= decided;
    partition_end(l);
    l->next++;
}

/* The next undecided partition of this round, or the first of the next round, which a violation makes
 * needless. */
static bool part_find(struct linear *l) {
    while (l->next < l->part_count && l->parts[l->next].decided) l->next++;
    if (l->next < l->part_count) return true;
    if (l->undecided == 0 || l->result.verdict == VERDICT_VIOLATED) return false;
    bool last = l->undecided == 1 || l->work_limit > SIZE_MAX / 16;
    l->work_limit = last ? SIZE_MAX : l->work_limit * 16;
    for (l->next = 0; l->parts[l->next].decided;) l->next++;
    return true;
}

/* Takes up a partition; false when nothing is left to search. */
static bool part_begin(struct linear *l) {
    while (part_find(l)) {
        uint64_t until = l->result.verdict == VERDICT_VIOLATED ? l->result.bad_event - 1 : UINT64_MAX;
        bool room = partition_begin(l, STAGE_SEARCH, until);
        if (room && l->partition.foreign == SIZE_MAX) return true;
        if (room)
            take_foreign(l);
        else
            take_unknown(l, "the budget of memory is smaller than the values of the history");
        part_end(l, true);
    }
    return false;
}

static int position_order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* There is no order of the whole; asks whether there is one up to the middle of what is left, or explains. */
static void narrow(struct linear *l) {
    if (l->low == l->high) {
        partition_begin(l, STAGE_EXPLAIN, l->returns[l->low]);
    } else {
        partition_begin(l, STAGE_NARROW, l->returns[(l->low + l->high) / 2]);
    }
}

static void narrow_begin(struct linear *l) {
    const struct partition *p = &l->partition;
    l->returns = mem_resize(l->returns, p->closed_count * sizeof *l->returns);
    for (size_t i = 0; i < p->closed_count; i++) l->returns[i] = p->calls[i].returned;
    qsort(l->returns, p->closed_count, sizeof *l->returns, position_order);
    l->low = 0;
    l->high = p->closed_count - 1;
    partition_end(l);
    narrow(l);
}

/* What cannot be told within reason is taken as it is known: there is no order up to `high`. */
static void narrow_answer(struct linear *l, enum partition_answer answer) {
    size_t middle = (l->low + l->high) / 2;
    if (answer == PARTITION_OK)
        l->low = middle + 1;
    else if (answer == PARTITION_VIOLATED)
        l->high = middle;
    else
        l->low = l->high;
    partition_end(l);
    narrow(l);
}

static size_t returned_at(const struct linear *l, uint64_t position) {
    const size_t *number = l->numbers + l->parts[l->next].start, *end = number + l->parts[l->next].count;
    while (number < end && l->history.operations[*number].return_order != position) number++;
    CHECK(number < end);
    return *number;
}

static void search_answer(struct linear *l, enum partition_answer answer) {
    if (answer == PARTITION_VIOLATED && l->partition.counting) {
        narrow_begin(l);
        return;
    }
    if (answer == PARTITION_OK) take_ok(l);
    if (answer == PARTITION_VIOLATED) take_violated(l, partition_stuck(&l->partition)->number, true);
    if (answer == PARTITION_FULL) take_unknown(l, "the budget of memory is spent");
    part_end(l, answer != PARTITION_MORE);
}

/* The search came to an end, or to the end of the work that it was given. */
static void part_answer(struct linear *l, enum partition_answer answer) {
    switch (l->stage) {
    case STAGE_SEARCH: search_answer(l, answer); break;
    case STAGE_NARROW: narrow_answer(l, answer); break;
    case STAGE_EXPLAIN:
        take_violated(l, returned_at(l, l->returns[l->high]), answer == PARTITION_VIOLATED);
        part_end(l, true);
        break;
    }
}

/* What counts is work: a busy machine, or a stop of the whole program, makes no verdict unknown. Work is at most the time that
 * has passed, which is cheaper to read. */
static bool budget_is_spent(const struct linear *l, int64_t elapsed_ns, int64_t work_start) {
    double limit = l->options.seconds * 1e9;
    if (limit <= 0 || (double)(l->spent_ns + elapsed_ns) < limit) return false;
    return (double)(l->worked_ns + stopwatch_work_ns() - work_start) >= limit;
}

static void give_up(struct linear *l) {
    char why[96];
    snprintf(why, sizeof why, "the budget of %.3g s is spent after %zu states", l->options.seconds,
             l->result.states + (l->under_way ? l->partition.states : 0));
    l->prefix_part = 0; /* what was under way at the end is worth showing, however small */
    l->done = true;
    if (!l->under_way && !part_begin(l)) return;
    if (l->stage == STAGE_SEARCH)
        take_unknown(l, why);
    else
        take_violated(l, returned_at(l, l->returns[l->high]), false);
    part_end(l, true);
}

bool linear_step(struct linear *l, int64_t slice_ns) {
    int64_t start = stopwatch_ns(), work_start = stopwatch_work_ns(), elapsed = 0;
    while (!l->done) {
        if (budget_is_spent(l, elapsed, work_start)) {
            give_up(l);
        } else if (!l->under_way && !part_begin(l)) {
            l->done = true;
        } else {
            size_t work = l->work_left < BATCH ? l->work_left : BATCH;
            l->work_left -= l->work_left == SIZE_MAX ? 0 : work;
            enum partition_answer answer = partition_search(&l->partition, work);
            if (answer != PARTITION_MORE || l->work_left == 0) part_answer(l, answer);
        }
        elapsed = stopwatch_ns() - start;
        if (elapsed >= slice_ns) break;
    }
    l->spent_ns += elapsed;
    l->worked_ns += stopwatch_work_ns() - work_start;
    l->result.seconds = (double)l->spent_ns * 1e-9;
    return l->done;
}
