/* Sequential models: see model.h. */
#include "check/model.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"

#define PRIME ((1ull << 61) - 1) /* of the polynomial hash (Karp and Rabin 1987) */
#define BASE 0x0f8a34c1b2e97d53ull

bool budget_grow(struct budget *b, void *array, size_t *capacity, size_t need, size_t element_size) {
    if (need <= *capacity) return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    while (wanted < need) wanted *= 2;
    size_t old = *capacity * element_size, fresh = wanted * element_size;
    if (fresh > b->limit || b->used > b->limit - fresh) return false; /* the old one lives until the copy is made */
    void *p;
    memcpy(&p, array, sizeof p);
    p = mem_resize(p, fresh);
    memcpy(array, &p, sizeof p);
    b->used += fresh - old;
    *capacity = wanted;
    return true;
}

bool budget_take(struct budget *b, size_t count, size_t element_size) {
    size_t size = count * element_size;
    if (size > b->limit || b->used > b->limit - size) return false;
    b->used += size;
    return true;
}

void budget_free(struct budget *b, void *array, size_t *capacity, size_t element_size) {
    void *p;
    memcpy(&p, array, sizeof p);
    free(p);
    memset(array, 0, sizeof p);
    b->used -= *capacity * element_size;
    *capacity = 0;
}

static size_t words_slot(const struct words *w, uint64_t word) {
    size_t mask = w->slot_count - 1, i = random_mix(word) & mask;
    while (w->slots[i] && w->items[w->slots[i] - 1] != word) i = (i + 1) & mask;
    return i;
}

static bool words_widen(struct words *w, struct budget *b) {
    uint32_t *slots = NULL;
    size_t capacity = 0, old = w->slot_count;
    if (!budget_grow(b, &slots, &capacity, old ? old * 2 : 16, sizeof *slots)) return false;
    memset(slots, 0, capacity * sizeof *slots);
    budget_free(b, &w->slots, &w->slot_count, sizeof *w->slots);
    w->slots = slots;
    w->slot_count = capacity;
    for (size_t i = 0; i < w->count; i++) w->slots[words_slot(w, w->items[i])] = (uint32_t)i + 1;
    return true;
}

static uint32_t words_intern(struct words *w, uint64_t word, struct budget *b) {
    if (w->count * 2 >= w->slot_count && !words_widen(w, b)) return STATE_FULL;
    size_t slot = words_slot(w, word);
    if (w->slots[slot]) return w->slots[slot] - 1;
    if (!budget_grow(b, &w->items, &w->capacity, w->count + 1, sizeof *w->items)) return STATE_FULL;
    w->items[w->count++] = word;
    w->slots[slot] = (uint32_t)w->count;
    return (uint32_t)w->count - 1;
}

static void words_free(struct words *w, struct budget *b) {
    budget_free(b, &w->items, &w->capacity, sizeof *w->items);
    budget_free(b, &w->slots, &w->slot_count, sizeof *w->slots);
    w->count = 0;
}

static uint64_t multiply(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t sum = ((uint64_t)product & PRIME) + (uint64_t)(product >> 61);
    return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    uint64_t sum = a + b;
    return sum >= PRIME ? sum - PRIME : sum;
}

static struct value value_flat(struct bytes text) {
    struct value v = {.power = 1, .length = text.size, .text = text.data};
    for (uint32_t i = 0; i < text.size; i++) {
        v.hash = plus(multiply(v.hash, BASE), text.data[i] + 1u);
        v.power = multiply(v.power, BASE);
    }
    return v;
}

/* A place in a value, read backwards: the bytes of one piece that are left of it. */
struct tail {
    uint32_t value;
    const uint8_t *text;
    uint64_t left;
};

static struct tail tail_of(const struct model *m, uint32_t value) {
    const struct value *v = &m->values[value], *piece = v->text ? v : &m->values[v->suffix];
    return (struct tail){value, piece->text, piece->length};
}

static void tail_move(const struct model *m, struct tail *t, uint64_t size) {
    t->left -= size;
    while (t->left == 0 && !m->values[t->value].text) *t = tail_of(m, m->values[t->value].parent);
}

/* Whether two values of one length have the same bytes; ropes on the same stem are not compared below it. */
static bool values_same(const struct model *m, uint32_t a, uint32_t b) {
    struct tail x = tail_of(m, a), y = tail_of(m, b);
    tail_move(m, &x, 0);
    tail_move(m, &y, 0);
    for (uint64_t left = m->values[a].length; left > 0;) {
        if (x.value == y.value && x.left == y.left) return true;
        uint64_t size = x.left < y.left ? x.left : y.left;
        if (memcmp(x.text + x.left - size, y.text + y.left - size, size) != 0) return false;
        left -= size;
        tail_move(m, &x, size);
        tail_move(m, &y, size);
    }
    return true;
}

static size_t content_slot(const struct model *m, uint32_t number) {
    const struct value *v = &m->values[number];
    size_t mask = m->content_count - 1, i = random_mix(v->hash ^ v->length) & mask;
    for (; m->content[i]; i = (i + 1) & mask) {
        const struct value *known = &m->values[m->content[i]];
        bool alike = known->hash == v->hash && known->length == v->length;
        if (alike && values_same(m, m->content[i], number)) break;
    }
    return i;
}

static bool content_widen(struct model *m) {
    uint32_t *content = NULL;
    size_t capacity = 0;
    size_t need = m->content_count ? m->content_count * 2 : 64;
    if (!budget_grow(m->budget, &content, &capacity, need, sizeof *content)) return false;
    memset(content, 0, capacity * sizeof *content);
    budget_free(m->budget, &m->content, &m->content_count, sizeof *m->content);
    m->content = content;
    m->content_count = capacity;
    for (size_t i = 1; i < m->value_count; i++) {
        const struct value *v = &m->values[i]; /* all differ: the first free place is right */
        size_t slot = random_mix(v->hash ^ v->length) & (capacity - 1);
        while (content[slot]) slot = (slot + 1) & (capacity - 1);
        content[slot] = (uint32_t)i;
    }
    return true;
}

static uint32_t value_intern(struct model *m, struct value v) {
    if (m->value_count * 2 >= m->content_count && !content_widen(m)) return STATE_FULL;
    if (!budget_grow(m->budget, &m->values, &m->value_capacity, m->value_count + 1, sizeof *m->values))
        return STATE_FULL;
    m->values[m->value_count] = v;
    size_t slot = content_slot(m, (uint32_t)m->value_count);
    if (m->content[slot]) return m->content[slot];
    m->content[slot] = (uint32_t)m->value_count;
    return (uint32_t)m->value_count++;
}

/* Text is borrowed from the history. STATE_FULL when the budget is spent. */
static uint32_t model_value(struct model *m, struct bytes text) {
    return text.data ? value_intern(m, value_flat(text)) : STATE_NIL;
}

/* What was there with a suffix after it. Each pair is looked at once; nil is as good as nothing. */
static uint32_t rope_intern(struct model *m, uint32_t parent, uint32_t suffix) {
    if (parent == STATE_NIL) return suffix;
    size_t known = m->ropes.count;
    uint32_t pair = words_intern(&m->ropes, (uint64_t)parent << 32 | suffix, m->budget);
    if (pair == STATE_FULL) return STATE_FULL;
    if (pair < known) return m->rope_values[pair];
    const struct value *p = &m->values[parent], *s = &m->values[suffix];
    struct value v = {.hash = plus(multiply(p->hash, s->power), s->hash),
                      .power = multiply(p->power, s->power),
                      .length = p->length + s->length,
                      .parent = parent,
                      .suffix = suffix};
    if (!budget_grow(m->budget, &m->rope_values, &m->rope_capacity, known + 1, sizeof *m->rope_values))
        return STATE_FULL;
    return m->rope_values[pair] = value_intern(m, v);
}

bool model_init(struct model *m, enum linear_model kind, struct budget *budget) {
    *m = (struct model){.kind = kind, .budget = budget, .value_count = 1, .token_count = 1};
    bool room = budget_grow(budget, &m->values, &m->value_capacity, 1, sizeof *m->values) &&
                budget_grow(budget, &m->tokens, &m->token_capacity, 1, sizeof *m->tokens);
    if (!room) return false;
    m->values[0] = (struct value){0};
    m->tokens[0] = 0;
    return true;
}

void model_free(struct model *m) {
    budget_free(m->budget, &m->values, &m->value_capacity, sizeof *m->values);
    budget_free(m->budget, &m->content, &m->content_count, sizeof *m->content);
    words_free(&m->words, m->budget);
    words_free(&m->ropes, m->budget);
    budget_free(m->budget, &m->rope_values, &m->rope_capacity, sizeof *m->rope_values);
    budget_free(m->budget, &m->tokens, &m->token_capacity, sizeof *m->tokens);
}

/* Decimal text of 64 bits, as the machines write it. */
static bool number_parse(struct bytes text, int64_t *number) {
    char digits[24] = {0}, *end;
    if (text.size == 0 || text.size >= sizeof digits) return false;
    memcpy(digits, text.data, text.size);
    if (digits[0] != '-' && (digits[0] < '0' || digits[0] > '9')) return false;
    *number = strtoll(digits, &end, 10);
    return end == digits + text.size;
}

uint32_t model_initial(struct model *m, struct bytes initial) {
    int64_t sum = 0;
    if (m->kind == LINEAR_COUNTER) {
        number_parse(initial, &sum);
        return words_intern(&m->words, (uint64_t)sum, m->budget);
    }
    uint32_t value = model_value(m, initial);
    if (m->kind != LINEAR_LOCK || value == STATE_FULL) return value;
    return words_intern(&m->words, (uint64_t)value << 32, m->budget);
}

static const uint32_t functions_known[] = {
    [LINEAR_CAS_REGISTER] = 1u << HISTORY_READ | 1u << HISTORY_WRITE | 1u << HISTORY_CAS,
    [LINEAR_APPEND_KV] = 1u << HISTORY_GET | 1u << HISTORY_PUT | 1u << HISTORY_APPEND,
    [LINEAR_KV] = 1u << HISTORY_GET | 1u << HISTORY_PUT | 1u << HISTORY_DELETE | 1u << HISTORY_APPEND |
                  1u << HISTORY_CAS | 1u << HISTORY_SCAN,
    [LINEAR_COUNTER] = 1u << HISTORY_READ | 1u << HISTORY_ADD,
    [LINEAR_LOCK] = 1u << HISTORY_ACQUIRE | 1u << HISTORY_RELEASE,
};

/* A cas that found another value tells which; but a machine answers "" both for nil and for "", and a file
 * may tell nothing at all. */
static struct step step_of_mismatch(struct model *m, const struct history_operation *op) {
    struct bytes expected = op->expected, found = op->result, empty = bytes_text("");
    if (!found.data) return (struct step){.kind = STEP_DIFFER, .pure = true, .a = model_value(m, expected)};
    if (found.size == 0 && expected.data && expected.size > 0)
        return (struct step){.kind = STEP_EMPTY, .pure = true, .a = model_value(m, empty)};
    if (found.size == 0 && expected.data) found = (struct bytes){0}; /* it was not "" */
    if (expected.data && bytes_equal(found, expected) && found.data)
        return (struct step){.kind = STEP_IMPOSSIBLE, .pure = true};
    return (struct step){.kind = STEP_OBSERVE, .pure = true, .a = model_value(m, found)};
}

static struct step step_of_value(struct model *m, const struct history_operation *op, bool open) {
    bool absent = !open && op->status == QRT_ENOTFOUND;
    struct step observe_nil = {.kind = STEP_OBSERVE, .pure = true, .a = STATE_NIL};
    switch (op->function) {
    case HISTORY_GET:
    case HISTORY_READ:
        if (absent) return observe_nil;
        return (struct step){.kind = STEP_OBSERVE, .pure = true, .a = model_value(m, op->result)};
    case HISTORY_PUT:
    case HISTORY_WRITE: return (struct step){.kind = STEP_PUT, .a = model_value(m, op->value)};
    case HISTORY_DELETE:
        if (absent) return observe_nil;
        return (struct step){.kind = open ? STEP_PUT : STEP_TAKE, .a = STATE_NIL};
    case HISTORY_CAS:
        if (absent) return observe_nil;
        if (!open && op->status == QRT_ECAS) return step_of_mismatch(m, op);
        return (struct step){.kind = STEP_SWAP, .a = model_value(m, op->expected), .b = model_value(m, op->value)};
    default: break;
    }
    struct step append = {.kind = STEP_APPEND, .checked = !open && op->result.size > 0};
    append.a = model_value(m, op->value.data ? op->value : bytes_text(""));
    if (append.checked && !number_parse(op->result, &append.number)) append.number = -1;
    return append;
}

static struct step step_of_counter(const struct history_operation *op, bool open) {
    int64_t result = 0;
    struct step impossible = {.kind = STEP_IMPOSSIBLE, .pure = true};
    if (op->function == HISTORY_READ) {
        if (!number_parse(op->result, &result)) return impossible;
        return (struct step){.kind = STEP_SUM, .pure = true, .number = result};
    }
    struct step add = {.kind = STEP_ADD, .checked = !open && op->result.size > 0};
    if (!number_parse(op->value, &add.number)) return impossible;
    if (add.checked && !number_parse(op->result, &add.sum)) return impossible;
    return add;
}

static struct step step_of_lock(struct model *m, const struct history_operation *op, bool open) {
    struct bytes owner = op->value.data ? op->value : bytes_text("");
    struct step step = {.kind = STEP_ACQUIRE, .a = model_value(m, owner)};
    bool mismatch = !open && op->status == QRT_ECAS;
    if (mismatch && op->result.size > 0)
        return (struct step){.kind = STEP_OWNED, .pure = true, .a = model_value(m, op->result)};
    if (mismatch && op->function == HISTORY_ACQUIRE) return (struct step){.kind = STEP_OWNED, .pure = true};
    if (mismatch) return (struct step){.kind = STEP_FOREIGN, .pure = true, .a = step.a};
    if (!open && op->status == QRT_ENOTFOUND) return (struct step){.kind = STEP_FREE, .pure = true};
    if (op->function == HISTORY_RELEASE) {
        step.kind = STEP_RELEASE;
        return step;
    }
    int64_t token;
    if (open || !number_parse(op->result, &token)) return step;
    if (!budget_grow(m->budget, &m->tokens, &m->token_capacity, m->token_count + 1, sizeof *m->tokens)) {
        step.a = STATE_FULL;
        return step;
    }
    step.b = (uint32_t)m->token_count;
    m->tokens[m->token_count++] = (uint64_t)token;
    return step;
}

enum step_use model_step_of(struct model *m, const struct history_operation *op, struct step *step) {
    bool open = op->outcome != HISTORY_OK;
    if (op->outcome == HISTORY_FAILED || op->function == HISTORY_SCAN) return STEP_DROPPED;
    if (op->function > HISTORY_RELEASE || !(functions_known[m->kind] >> op->function & 1)) return STEP_FOREIGN_FUNCTION;
    bool answered = op->status == QRT_OK || op->status == QRT_ECAS || op->status == QRT_ENOTFOUND;
    if (!open && !answered) return STEP_DROPPED; /* refused by the machine, which changes nothing then */
    if (open && (op->function == HISTORY_GET || op->function == HISTORY_READ)) return STEP_DROPPED;
    bool told = op->result.data || op->status != QRT_OK || op->function != HISTORY_READ;
    if (m->kind == LINEAR_CAS_REGISTER && !told) return STEP_DROPPED; /* as knossos reads nil; see history_edn.c */
    if (m->kind == LINEAR_COUNTER)
        *step = step_of_counter(op, open);
    else if (m->kind == LINEAR_LOCK)
        *step = step_of_lock(m, op, open);
    else
        *step = step_of_value(m, op, open);
    if (open && step->pure) return STEP_DROPPED;
    return step->a == STATE_FULL || step->b == STATE_FULL ? STEP_NO_ROOM : STEP_USED;
}

static uint32_t step_counter(struct model *m, const struct step *step, uint32_t state) {
    int64_t sum = (int64_t)m->words.items[state];
    if (step->kind == STEP_SUM) return sum == step->number ? state : STATE_ILLEGAL;
    if (__builtin_add_overflow(sum, step->number, &sum)) return STATE_ILLEGAL; /* the machine refuses to overflow */
    if (step->checked && sum != step->sum) return STATE_ILLEGAL;
    return words_intern(&m->words, (uint64_t)sum, m->budget);
}

static uint32_t step_lock(struct model *m, const struct step *step, uint32_t state) {
    uint32_t owner = (uint32_t)(m->words.items[state] >> 32), last = (uint32_t)m->words.items[state];
    bool legal = false;
    switch (step->kind) {
    case STEP_OWNED: legal = owner != STATE_NIL && (step->a == STATE_NIL || owner == step->a); break;
    case STEP_FOREIGN: legal = owner != STATE_NIL && owner != step->a; break;
    case STEP_FREE: legal = owner == STATE_NIL; break;
    case STEP_RELEASE:
        if (owner != step->a) return STATE_ILLEGAL;
        return words_intern(&m->words, last, m->budget);
    default:
        if (owner != STATE_NIL || (step->b && m->tokens[step->b] <= m->tokens[last])) return STATE_ILLEGAL;
        return words_intern(&m->words, (uint64_t)step->a << 32 | (step->b ? step->b : last), m->budget);
    }
    return legal ? state : STATE_ILLEGAL;
}

static uint32_t step_append(struct model *m, const struct step *step, uint32_t state) {
    uint64_t length = (state ? m->values[state].length : 0) + m->values[step->a].length;
    if (step->checked && (step->number < 0 || length != (uint64_t)step->number)) return STATE_ILLEGAL;
    return rope_intern(m, state, step->a);
}

uint32_t model_step(struct model *m, const struct step *step, uint32_t state) {
    switch (step->kind) {
    case STEP_OBSERVE: return state == step->a ? state : STATE_ILLEGAL;
    case STEP_DIFFER: return state != step->a ? state : STATE_ILLEGAL;
    case STEP_EMPTY: return state == STATE_NIL || state == step->a ? state : STATE_ILLEGAL;
    case STEP_PUT: return step->a;
    case STEP_SWAP: return state == step->a ? step->b : STATE_ILLEGAL;
    case STEP_TAKE: return state != STATE_NIL ? STATE_NIL : STATE_ILLEGAL;
    case STEP_APPEND: return step_append(m, step, state);
    case STEP_ADD:
    case STEP_SUM: return step_counter(m, step, state);
    case STEP_IMPOSSIBLE: return STATE_ILLEGAL;
    default: return step_lock(m, step, state);
    }
}

enum { PRINT_MAX = 40 };

void model_print_text(struct bytes text, struct buffer *out) {
    if (!text.data) {
        buffer_append(out, "nil", 3);
        return;
    }
    buffer_append(out, "\"", 1);
    for (uint32_t i = 0; i < text.size && i < PRINT_MAX; i++) {
        uint8_t c = text.data[i];
        buffer_printf(out, c < 0x20 || c >= 0x7f ? "\\x%02x" : c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    buffer_append(out, "\"", 1);
    if (text.size > PRINT_MAX) buffer_printf(out, "... (%" PRIu32 " bytes)", text.size);
}

/* The end of a rope is what tells one from another. */
static void rope_print(const struct model *m, uint32_t value, struct buffer *out) {
    uint8_t tail[PRINT_MAX];
    size_t left = PRINT_MAX;
    struct tail t = tail_of(m, value);
    tail_move(m, &t, 0);
    while (left > 0 && t.left > 0) {
        tail[--left] = t.text[t.left - 1];
        tail_move(m, &t, 1);
    }
    uint64_t length = m->values[value].length;
    if (length > PRINT_MAX) buffer_printf(out, "(%" PRIu64 " bytes) ...", length);
    model_print_text(bytes_of(tail + left, PRINT_MAX - left), out);
}

void model_print(const struct model *m, uint32_t state, struct buffer *out) {
    uint32_t value = state;
    if (m->kind == LINEAR_COUNTER) {
        buffer_printf(out, "%" PRId64, (int64_t)m->words.items[state]);
        return;
    }
    if (m->kind == LINEAR_LOCK) value = (uint32_t)(m->words.items[state] >> 32);
    if (value == STATE_NIL)
        buffer_printf(out, m->kind == LINEAR_LOCK ? "nobody" : "nil");
    else if (m->values[value].text)
        model_print_text(bytes_of(m->values[value].text, (size_t)m->values[value].length), out);
    else
        rope_print(m, value, out);
}
