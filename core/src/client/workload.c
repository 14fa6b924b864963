/* Workloads: their JSON form and the draw of commands. See workload.h. */
#include "client/workload.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/real.h"

#define RETRY_STANDARD_NS 200000000 /* 0.2 s, but at most a quarter of the timeout */
#define WRONG_SHARE 0.125           /* of the cas that expect a value nobody wrote */
#define SCAN_LIMIT "10"

/* ---- which commands a machine has, and how often each is drawn where nothing is said ---- */

struct machine_mix {
    const char *machine;
    struct {
        uint8_t operation;
        double weight;
    } mix[WORKLOAD_MIX_MAX];
};

static const struct machine_mix MIXES[] = {
    {"kv",
     {{COMMAND_GET, 0.5},
      {COMMAND_PUT, 0.25},
      {COMMAND_CAS, 0.15},
      {COMMAND_APPEND, 0.05},
      {COMMAND_DELETE, 0.05},
      {COMMAND_SCAN, 0}}},
    {"register", {{COMMAND_READ, 0.5}, {COMMAND_WRITE, 0.25}, {COMMAND_CAS, 0.25}}},
    {"counter", {{COMMAND_ADD, 0.5}, {COMMAND_READ, 0.5}}},
    {"lock", {{COMMAND_ACQUIRE, 0.5}, {COMMAND_RELEASE, 0.5}}},
    {"values", {{COMMAND_PROPOSE, 1}}}, /* no machine: a protocol that decides values */
};
#define MIX_COUNT (sizeof MIXES / sizeof *MIXES)

static const struct machine_mix *mix_find(const char *machine) {
    for (size_t i = 0; i < MIX_COUNT; i++)
        if (strcmp(MIXES[i].machine, machine) == 0) return &MIXES[i];
    return NULL;
}

static int64_t retry_standard(int64_t timeout_ns) {
    return timeout_ns / 4 < RETRY_STANDARD_NS ? timeout_ns / 4 : RETRY_STANDARD_NS;
}

void workload_standard(struct workload *w, const char *machine) {
    const struct machine_mix *from = mix_find(machine);
    if (!from) from = &MIXES[0]; /* a user's own machine: the commands of the key-value store */
    *w = (struct workload){.clients = 8, .operations = 2000, .keys = 5, .value_size = 8, .retry = true};
    snprintf(w->machine, sizeof w->machine, "%s", from->machine);
    for (uint32_t i = 0; i < WORKLOAD_MIX_MAX && from->mix[i].operation; i++) {
        if (from->mix[i].weight == 0) continue; /* only when asked for */
        w->mix[w->mix_count].operation = from->mix[i].operation;
        w->mix[w->mix_count++].weight = from->mix[i].weight;
    }
    w->timeout_ns = 1000000000;
    w->retry_ns = retry_standard(w->timeout_ns);
}

/* ---- reading JSON ---- */

enum field_kind { FIELD_U32 = 1, FIELD_U64, FIELD_REAL, FIELD_TIME, FIELD_MACHINE, FIELD_MIX, FIELD_RETRY };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    double low, high; /* inclusive */
};

static const struct field FIELDS[] = {
    {"clients", FIELD_U32, offsetof(struct workload, clients), 1, 1000},
    {"operations", FIELD_U64, offsetof(struct workload, operations), 0, 1e12},
    {"machine", FIELD_MACHINE, 0, 0, 0},
    {"mix", FIELD_MIX, 0, 0, 0},
    {"keys", FIELD_U32, offsetof(struct workload, keys), 1, 1e6},
    {"key_skew", FIELD_REAL, offsetof(struct workload, key_skew), 0, 10},
    {"value_size", FIELD_U32, offsetof(struct workload, value_size), 0, WORKLOAD_VALUE_MAX},
    {"timeout", FIELD_TIME, offsetof(struct workload, timeout_ns), 1e-6, 1e6},
    {"retry", FIELD_RETRY, 0, 0, 0},
    {"retry_after", FIELD_TIME, offsetof(struct workload, retry_ns), 1e-6, 1e6},
    {"think", FIELD_TIME, offsetof(struct workload, think_ns), 0, 1e6},
};
#define FIELD_COUNT (sizeof FIELDS / sizeof *FIELDS)

/* What a reader knows; jansson keeps no positions, so that errors look their field up in the text again. */
struct parse {
    struct workload *w;
    struct bytes text;
    struct error *e;
};

/* Line and column of the first `"name":` of the text. */
static void field_position(struct bytes text, const char *name, int *line, int *column) {
    const char *at = (const char *)text.data, *end = at + text.size;
    size_t length = strlen(name);
    *line = *column = 1;
    for (; at < end; at++) {
        bool fits = (size_t)(end - at) >= length + 2;
        if (*at == '"' && fits && memcmp(at + 1, name, length) == 0 && at[length + 1] == '"') {
            const char *after = at + length + 2;
            while (after < end && strchr(" \t\r\n", *after)) after++;
            if (after < end && *after == ':') return;
        }
        *column = *at == '\n' ? 1 : *column + 1;
        *line += *at == '\n';
    }
    *line = *column = 1;
}

static qrt_status __attribute__((format(printf, 4, 5)))
refuse(const struct parse *p, const char *name, qrt_status status, const char *format, ...) {
    char text[ERROR_TEXT_MAX / 2];
    int line, column;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    field_position(p->text, name, &line, &column);
    return error_set(p->e, status, "workload, line %d, column %d: %.64s: %s", line, column, name, text);
}

static qrt_status read_real(const struct parse *p, const char *name, const json_t *value, double low, double high,
                            double *out) {
    if (!json_is_number(value)) return refuse(p, name, QRT_ETYPE, "expects a number");
    *out = json_number_value(value);
    if (*out >= low && *out <= high) return QRT_OK;
    return refuse(p, name, QRT_ERANGE, "%g is outside %g to %g", *out, low, high);
}

static qrt_status read_integer(const struct parse *p, const struct field *f, const json_t *value, uint64_t *out) {
    double real;
    if (!json_is_integer(value)) return refuse(p, f->name, QRT_ETYPE, "expects a whole number");
    qrt_status status = read_real(p, f->name, value, f->low, f->high, &real);
    if (status == QRT_OK) *out = (uint64_t)json_integer_value(value);
    return status;
}

static qrt_status read_time(const struct parse *p, const struct field *f, const json_t *value, int64_t *ns) {
    struct error inner = {0};
    double seconds;
    if (json_is_string(value)) {
        if (option_parse_duration(json_string_value(value), ns, &inner))
            return refuse(p, f->name, inner.status, "%s", inner.text);
        seconds = (double)*ns * 1e-9;
    } else if (json_is_number(value)) {
        seconds = json_number_value(value);
        *ns = real_to_ns(seconds);
    } else {
        return refuse(p, f->name, QRT_ETYPE, "expects seconds, or text with a unit such as \"250ms\"");
    }
    if (seconds >= f->low && seconds <= f->high) return QRT_OK;
    return refuse(p, f->name, QRT_ERANGE, "%g s is outside %g to %g s", seconds, f->low, f->high);
}

static qrt_status read_retry(const struct parse *p, const struct field *f, const json_t *value) {
    p->w->retry = json_is_true(value);
    return json_is_boolean(value) ? QRT_OK : refuse(p, f->name, QRT_ETYPE, "expects true or false");
}

static bool machine_has(const struct machine_mix *m, uint8_t operation) {
    for (size_t i = 0; i < WORKLOAD_MIX_MAX && m->mix[i].operation; i++)
        if (m->mix[i].operation == operation) return true;
    return false;
}

static qrt_status refuse_operation(const struct parse *p, const char *name) {
    const char *known[WORKLOAD_MIX_MAX];
    size_t count = 0;
    const struct machine_mix *m = mix_find(p->w->machine);
    for (size_t i = 0; i < WORKLOAD_MIX_MAX && m->mix[i].operation; i++)
        known[count++] = command_name(m->mix[i].operation);
    const char *nearest = option_nearest(name, known, count);
    struct buffer list = {0};
    for (size_t i = 0; i < count; i++) buffer_printf(&list, "%s%s", i ? ", " : "", known[i]);
    qrt_status status = nearest ? refuse(p, name, QRT_EOPTION, "no operation of the machine %s; did you mean %s?",
                                         p->w->machine, nearest)
                                : refuse(p, name, QRT_EOPTION, "no operation of the machine %s, which has %s",
                                         p->w->machine, buffer_text(&list));
    buffer_free(&list);
    return status;
}

/* The place of an operation in its machine's list. */
static size_t machine_place(const struct machine_mix *m, uint8_t operation) {
    size_t i = 0;
    while (i < WORKLOAD_MIX_MAX && m->mix[i].operation != operation) i++;
    return i;
}

/* Adds in the order of the machine's list, not of the text: a draw goes by order, and languages whose objects have
 * none (Lua's tables) would give other runs. */
static void mix_insert(struct workload *w, const struct machine_mix *m, uint8_t operation, double weight) {
    uint32_t at = w->mix_count++;
    for (; at && machine_place(m, w->mix[at - 1].operation) > machine_place(m, operation); at--)
        w->mix[at] = w->mix[at - 1];
    w->mix[at].operation = operation;
    w->mix[at].weight = weight;
}

static qrt_status read_mix(const struct parse *p, json_t *mix) {
    const struct machine_mix *m = mix_find(p->w->machine);
    const char *name;
    json_t *value;
    double total = 0;
    if (!json_is_object(mix)) return refuse(p, "mix", QRT_ETYPE, "expects an object, such as {\"get\": 0.5}");
    p->w->mix_count = 0;
    json_object_foreach(mix, name, value) {
        uint8_t operation = command_by_name(name);
        if (!machine_has(m, operation)) return refuse_operation(p, name);
        double weight;
        qrt_status status = read_real(p, name, value, 0, 1e9, &weight);
        if (status) return status;
        mix_insert(p->w, m, operation, weight);
        total += weight;
    }
    if (total <= 0) return refuse(p, "mix", QRT_ERANGE, "at least one weight must be above 0");
    return QRT_OK;
}

static qrt_status read_machine(const struct parse *p, const json_t *value) {
    const char *known[MIX_COUNT];
    for (size_t i = 0; i < MIX_COUNT; i++) known[i] = MIXES[i].machine;
    if (!json_is_string(value)) return refuse(p, "machine", QRT_ETYPE, "expects a name");
    const char *name = json_string_value(value);
    if (mix_find(name)) {
        workload_standard(p->w, name);
        return QRT_OK;
    }
    const char *nearest = option_nearest(name, known, MIX_COUNT);
    if (nearest) return refuse(p, "machine", QRT_ENOTFOUND, "there is no \"%.64s\"; did you mean %s?", name, nearest);
    return refuse(p, "machine", QRT_ENOTFOUND, "there is no \"%.64s\"; known are kv, register, counter, lock, values",
                  name);
}

static qrt_status read_field(const struct parse *p, const struct field *f, json_t *value) {
    char *place = (char *)p->w + f->offset;
    uint64_t number = 0;
    qrt_status status = QRT_OK;
    switch (f->kind) {
    case FIELD_U32:
        status = read_integer(p, f, value, &number);
        if (status == QRT_OK) *(uint32_t *)(void *)place = (uint32_t)number;
        return status;
    case FIELD_U64: return read_integer(p, f, value, (uint64_t *)(void *)place);
    case FIELD_REAL: return read_real(p, f->name, value, f->low, f->high, (double *)(void *)place);
    case FIELD_TIME: return read_time(p, f, value, (int64_t *)(void *)place);
    case FIELD_MACHINE: return status; /* read before all others */
    case FIELD_MIX: return read_mix(p, value);
    case FIELD_RETRY: return read_retry(p, f, value);
    }
    return status;
}

static qrt_status refuse_field(const struct parse *p, const char *name) {
    const char *known[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++) known[i] = FIELDS[i].name;
    const char *nearest = option_nearest(name, known, FIELD_COUNT);
    if (nearest) return refuse(p, name, QRT_EOPTION, "no field of a workload; did you mean %s?", nearest);
    return refuse(p, name, QRT_EOPTION, "no field of a workload");
}

static qrt_status read_fields(const struct parse *p, json_t *root) {
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value) {
        size_t i = 0;
        while (i < FIELD_COUNT && strcmp(FIELDS[i].name, name) != 0) i++;
        qrt_status status = i < FIELD_COUNT ? read_field(p, &FIELDS[i], value) : refuse_field(p, name);
        if (status) return status;
    }
    if (json_object_get(root, "timeout") && !json_object_get(root, "retry_after"))
        p->w->retry_ns = retry_standard(p->w->timeout_ns);
    return QRT_OK;
}

qrt_status workload_parse(struct workload *w, struct bytes json, struct error *e) {
    struct workload fresh = *w;
    struct parse p = {&fresh, json, e};
    json_error_t at;
    json_t *root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        return error_set(e, QRT_EPARSE, "workload, line %d, column %d: %.160s", at.line > 0 ? at.line : 1,
                         at.column > 0 ? at.column : 1, at.text);
    qrt_status status = QRT_OK;
    const json_t *machine = json_object_get(root, "machine");
    if (!json_is_object(root)) status = error_set(e, QRT_ETYPE, "workload, line 1, column 1: expects an object");
    if (status == QRT_OK && machine) status = read_machine(&p, machine);
    if (status == QRT_OK) status = read_fields(&p, root);
    if (status == QRT_OK) *w = fresh;
    json_decref(root);
    return status;
}

/* ---- writing JSON ---- */

static void print_seconds(struct buffer *out, int64_t ns) {
    buffer_printf(out, "%" PRId64 ".%09" PRId64, ns / 1000000000, ns % 1000000000);
    while (out->data[out->size - 1] == '0' && out->data[out->size - 2] != '.') out->size--;
}

/* The shortest text that reads back as the same number. */
static void print_real(struct buffer *out, double x) {
    char text[32];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    buffer_printf(out, "%s", text);
}

void workload_print(const struct workload *w, struct buffer *out) {
    buffer_printf(out, "{\"clients\": %" PRIu32 ", \"operations\": %" PRIu64 ", \"machine\": \"%s\", \"mix\": {",
                  w->clients, w->operations, w->machine);
    for (uint32_t i = 0; i < w->mix_count; i++) {
        buffer_printf(out, "%s\"%s\": ", i ? ", " : "", command_name(w->mix[i].operation));
        print_real(out, w->mix[i].weight);
    }
    buffer_printf(out, "}, \"keys\": %" PRIu32 ", \"key_skew\": ", w->keys);
    print_real(out, w->key_skew);
    buffer_printf(out, ", \"value_size\": %" PRIu32 ", \"timeout\": ", w->value_size);
    print_seconds(out, w->timeout_ns);
    buffer_printf(out, ", \"retry\": %s, \"retry_after\": ", w->retry ? "true" : "false");
    print_seconds(out, w->retry_ns);
    buffer_printf(out, ", \"think\": ");
    print_seconds(out, w->think_ns);
    buffer_printf(out, "}");
}

/* ---- drawing ---- */

static uint8_t draw_operation(const struct workload *w, struct random *r) {
    double total = 0;
    for (uint32_t i = 0; i < w->mix_count; i++) total += w->mix[i].weight;
    double at = random_unit(r) * total;
    uint8_t last = 0;
    for (uint32_t i = 0; i < w->mix_count; i++) {
        if (w->mix[i].weight <= 0) continue;
        last = w->mix[i].operation;
        if (at < w->mix[i].weight) break;
        at -= w->mix[i].weight;
    }
    return last;
}

/* Uniform, or by inverting the distribution function of a bounded Pareto density x^-s on [1, keys + 1): as a
 * Zipf law in its tail, and without a table. */
static uint64_t draw_key(const struct workload *w, struct random *r) {
    if (w->key_skew <= 0 || w->keys == 1) return random_below(r, w->keys);
    double u = random_unit(r), n = (double)w->keys + 1, s = 1 - w->key_skew, x;
    if (s > -1e-9 && s < 1e-9)
        x = real_pow(n, u);
    else
        x = real_pow(u * (real_pow(n, s) - 1) + 1, 1 / s);
    uint64_t key = x > 1 ? (uint64_t)(x - 1) : 0;
    return key < w->keys ? key : w->keys - 1;
}

/* The scratch of a draw is filled from its beginning. */
struct scratch {
    char *at, *end;
};

static struct bytes __attribute__((format(printf, 2, 3))) scratch_print(struct scratch *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(s->at, (size_t)(s->end - s->at), format, args);
    va_end(args);
    struct bytes b = bytes_of(s->at, (size_t)size);
    s->at += size;
    return b;
}

/* "c3-17....": the digits end before the dots, so that no two values are equal. */
static struct bytes draw_value(const struct workload *w, struct scratch *s, char letter, uint16_t client, uint64_t n) {
    struct bytes b = scratch_print(s, "%c%u-%" PRIu64, letter, client, n);
    while (b.size < w->value_size) {
        *s->at++ = '.';
        b.size++;
    }
    return b;
}

static void draw_cas(const struct workload *w, struct random *r, uint16_t client, uint64_t written,
                     const struct tree *seen, struct command *c, struct scratch *s) {
    struct bytes last;
    if (random_chance(r, WRONG_SHARE)) {
        c->has_expected = true;
        c->expected = scratch_print(s, "w%u-%" PRIu64, client, written);
    } else if (tree_get(seen, c->key, &last)) {
        c->has_expected = true;
        c->expected = last;
    }
    c->value = draw_value(w, s, 'c', client, written);
}

static struct bytes draw_delta(struct random *r, struct scratch *s) {
    int64_t size = random_between(r, 1, 9);
    return scratch_print(s, "%" PRId64, random_chance(r, 0.25) ? -size : size);
}

void workload_draw(const struct workload *w, struct random *r, uint16_t client, uint64_t *written,
                   const struct tree *seen, struct workload_draw *draw) {
    struct command *c = &draw->command;
    struct scratch s = {(char *)draw->scratch, (char *)draw->scratch + sizeof draw->scratch};
    *c = (struct command){.operation = draw_operation(w, r)};
    bool keyed = strcmp(w->machine, "register") && strcmp(w->machine, "counter") && strcmp(w->machine, "values");
    if (keyed) c->key = scratch_print(&s, "k%" PRIu64, draw_key(w, r));
    switch ((enum command_operation)c->operation) {
    case COMMAND_PUT:
    case COMMAND_APPEND:
    case COMMAND_PROPOSE:
    case COMMAND_WRITE: c->value = draw_value(w, &s, 'c', client, ++*written); break;
    case COMMAND_CAS: draw_cas(w, r, client, ++*written, seen, c, &s); break;
    case COMMAND_ADD: c->value = draw_delta(r, &s); break;
    case COMMAND_ACQUIRE:
    case COMMAND_RELEASE: c->value = scratch_print(&s, "c%u", client); break;
    case COMMAND_SCAN:
        c->has_expected = true;
        c->value = scratch_print(&s, "%s", SCAN_LIMIT);
        break;
    case COMMAND_GET:
    case COMMAND_DELETE:
    case COMMAND_READ: break;
    }
}
