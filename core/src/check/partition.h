/* One partition of a history (the operations on one key) under search. Internal to check/linear*.c. */
#ifndef CHECK_PARTITION_H
#define CHECK_PARTITION_H

#include "check/model.h"

#define CALL_NONE UINT32_MAX
#define POSSIBLE_MAX 6

/* What to search: operations of one key, as if the history ended after the event `until`. */
struct partition_task {
    const size_t *numbers; /* in order of invocation */
    size_t count;
    uint64_t until; /* UINT64_MAX: the whole history */
    bool explain;   /* the call that returns there is the first bad one: what could have been instead? */
};

struct call {                   /* an operation that takes part */
    size_t number;              /* in the history */
    uint64_t invoked, returned; /* positions; returned UINT64_MAX: open */
    struct step step;
    uint32_t slot; /* its bit in a configuration's mask */
    uint32_t twin; /* open: the call before it with the same step, which goes first */
    bool done;     /* linearised */
    bool demands;  /* its demand on the value is counted */
};

/* The doubly linked list of the calls that return: node 2i is call i's invocation, 2i + 1 its return. */
struct node {
    uint32_t next, previous;
    uint64_t position;
};

struct frame { /* one linearised call, to be undone */
    uint32_t call, state;
    bool forced; /* there was nothing else worth trying */
};

struct partition {
    const struct history *history;
    struct budget *budget;
    struct model model;
    struct call *calls; /* those that return first, then the open ones, both in order of invocation */
    size_t call_count, closed_count;
    struct node *nodes; /* the last one is the list's head */
    uint32_t head;
    size_t *dropped; /* open writes of values that nobody sees; they explain nothing and forbid nothing */
    size_t dropped_count;
    size_t foreign; /* number of an operation that the model does not know; SIZE_MAX */

    /* For each value, how many calls that are left must see it, and how many may still make it. */
    bool counting;
    bool hopeless; /* a value must be seen that nobody makes */
    uint32_t *demands, *makers;

    /* The configuration: what is linearised, the state after it, and how it was reached. */
    uint64_t *mask;
    size_t mask_words;
    uint32_t state, first; /* first: node of the first return that is not linearised */
    struct frame *stack;
    size_t depth, stack_capacity;

    /* Where the search stands in the configuration. */
    bool fresh;
    uint32_t cursor; /* node to try next; the head: go on with the open calls */
    size_t open_next;

    /* Configurations seen: words of state and first, then the mask; 0 is free. */
    uint64_t *seen, *seen_old; /* old: what is left of the table before, being moved while the search goes on */
    size_t seen_words, seen_count, seen_capacity, seen_old_capacity, seen_moved; /* capacities in words */

    /* The furthest return that the search was stuck at, the longest order that leads there, what could be
     * then. */
    uint64_t furthest;
    uint32_t furthest_node;
    uint32_t *best;
    size_t best_count, best_capacity, best_common; /* common: how much of it is still the stack's beginning */
    uint32_t possible[POSSIBLE_MAX];
    size_t possible_count; /* POSSIBLE_MAX + 1: more than that */
    size_t states;
};

enum partition_answer {
    PARTITION_OK,
    PARTITION_VIOLATED,
    PARTITION_FULL, /* the budget of memory is spent */
    PARTITION_MORE, /* not decided yet */
};

/* The value that a step makes; STATE_ILLEGAL when it makes none. */
uint32_t step_makes(const struct step *step);
bool partition_init(struct partition *p, const struct history *h, const struct partition_task *task,
                    const struct linear_options *options, struct budget *budget);
void partition_free(struct partition *p);
/* Up to `work` tries. */
enum partition_answer partition_search(struct partition *p, size_t work);
/* The return that the search was stuck at: exactly the first bad event where nothing is counted; else there
 * or later. */
const struct call *partition_stuck(const struct partition *p);
/* One or two sentences on why an operation fits nowhere, and what could have been where the search was stuck.
 * complete: the search came to its end. */
void partition_explain(const struct partition *p, size_t number, bool complete, char *out, size_t size);

#endif
