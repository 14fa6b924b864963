/* Sequential models for the linearizability checker. A state is a small number, equal exactly when the
 * states are equal, and an operation is reduced to one step: what it demands of the state and what it makes
 * of it.
 *
 *   register, key-value   state = a value's number; 0 is nil, which for a key means absent
 *   counter               state = the number of a 64-bit sum
 *   lock                  state = the number of a pair (owner, index of the last known fencing token)
 *
 * Values are hash-consed. What an append makes is a rope, (what was there, what was appended), so that no
 * state copies its text; a rope whose bytes equal a known value is that value. */
#ifndef CHECK_MODEL_H
#define CHECK_MODEL_H

#include <stdbool.h>

#include "check/linear.h"

/* Bytes that a check may hold for its states; never exceeded, also while a table moves to a larger one. */
struct budget {
    size_t used, limit;
};
/* Room for `need` elements; false when the budget does not allow it, and nothing has changed then. */
bool budget_grow(struct budget *b, void *array, size_t *capacity, size_t need, size_t element_size);
/* Takes count elements out of the budget, for memory that the caller gets himself. */
bool budget_take(struct budget *b, size_t count, size_t element_size);
void budget_free(struct budget *b, void *array, size_t *capacity, size_t element_size);

struct value {
    uint64_t hash, power; /* polynomial over the bytes, and its base to the length: so that ropes need not be read */
    uint64_t length;
    const uint8_t *text;     /* NULL: a rope */
    uint32_t parent, suffix; /* of a rope; the suffix is never one */
};

/* Numbers for 64-bit words, in order of their appearance. */
struct words {
    uint64_t *items;
    uint32_t *slots; /* open addressing; 0 is free, else number + 1 */
    size_t count, capacity, slot_count;
};

enum { STATE_NIL = 0 };
#define STATE_ILLEGAL UINT32_MAX    /* the step is not possible in this state */
#define STATE_FULL (UINT32_MAX - 1) /* the budget is spent */

enum step_kind {
    STEP_OBSERVE = 1, /* the value is a */
    STEP_DIFFER,      /* the value is not a */
    STEP_EMPTY,       /* the value is nil or a, which is "" */
    STEP_PUT,         /* the value becomes a */
    STEP_SWAP,        /* the value is a and becomes b */
    STEP_TAKE,        /* the value is not nil and becomes nil */
    STEP_APPEND,      /* a is appended; checked: the length is number then */
    STEP_ADD,         /* number is added; checked: the sum is `sum` then */
    STEP_SUM,         /* the sum is number */
    STEP_ACQUIRE,     /* nobody owns the lock; a does then, with token b (0: not told) */
    STEP_RELEASE,     /* a owns the lock; nobody does then */
    STEP_OWNED,       /* a owns the lock; a nil: somebody */
    STEP_FOREIGN,     /* somebody other than a owns the lock */
    STEP_FREE,        /* nobody owns the lock */
    STEP_IMPOSSIBLE,  /* no machine answers so */
};

struct step {
    uint8_t kind; /* enum step_kind */
    bool pure;    /* changes no state, whatever it is */
    bool checked;
    uint32_t a, b;
    int64_t number, sum;
};

struct model {
    enum linear_model kind;
    struct budget *budget;
    struct value *values;
    size_t value_count, value_capacity;
    uint32_t *content; /* values by hash; open addressing; 0 is free */
    size_t content_count;
    struct words words; /* states of counters and locks */
    struct words ropes; /* pairs (parent, suffix), and what each is */
    uint32_t *rope_values;
    size_t rope_capacity;
    uint64_t *tokens;
    size_t token_count, token_capacity;
};

/* False when the budget does not even allow that. */
bool model_init(struct model *m, enum linear_model kind, struct budget *budget);
void model_free(struct model *m);
uint32_t model_initial(struct model *m, struct bytes initial); /* may be STATE_FULL */

enum step_use { STEP_USED, STEP_DROPPED, STEP_FOREIGN_FUNCTION, STEP_NO_ROOM };
/* The step that an operation is. Dropped are operations that constrain nothing: failed ones, refused ones,
 * open ones that only observe, scans (which are not checked). */
enum step_use model_step_of(struct model *m, const struct history_operation *op, struct step *step);
/* The state after the step, STATE_ILLEGAL or STATE_FULL. */
uint32_t model_step(struct model *m, const struct step *step, uint32_t state);
/* The state in words, such as "v5" or "nobody"; cut to about 40 characters. */
void model_print(const struct model *m, uint32_t state, struct buffer *out);
/* Text for people: quoted, cut to about 40 characters; nil for NULL. */
void model_print_text(struct bytes text, struct buffer *out);

#endif
