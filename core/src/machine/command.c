/* The codec of the commands: one table says which byte strings an operation has. See command.h. */
#include "machine/command.h"

#include <string.h>

enum field {
    FIELD_KEY = 1,
    FIELD_VALUE = 2,
    FIELD_EXPECTED = 4,
    FIELD_OPTIONAL = 8 /* expected may be absent */
};

struct shape {
    const char *name;
    uint8_t fields;
    bool read;
};

static const struct shape SHAPES[] = {
    [COMMAND_GET] = {"get", FIELD_KEY, true},
    [COMMAND_PUT] = {"put", FIELD_KEY | FIELD_VALUE, false},
    [COMMAND_DELETE] = {"delete", FIELD_KEY, false},
    [COMMAND_APPEND] = {"append", FIELD_KEY | FIELD_VALUE, false},
    [COMMAND_CAS] = {"cas", FIELD_KEY | FIELD_VALUE | FIELD_EXPECTED | FIELD_OPTIONAL, false},
    [COMMAND_SCAN] = {"scan", FIELD_KEY | FIELD_VALUE | FIELD_EXPECTED, true},
    [COMMAND_READ] = {"read", 0, true},
    [COMMAND_WRITE] = {"write", FIELD_VALUE, false},
    [COMMAND_ADD] = {"add", FIELD_VALUE, false},
    [COMMAND_ACQUIRE] = {"acquire", FIELD_KEY | FIELD_VALUE, false},
    [COMMAND_RELEASE] = {"release", FIELD_KEY | FIELD_VALUE, false},
    [COMMAND_PROPOSE] = {"propose", FIELD_VALUE, false},
};
#define SHAPE_COUNT (sizeof SHAPES / sizeof *SHAPES)

static const struct shape *shape_of(uint8_t operation) {
    return operation < SHAPE_COUNT && SHAPES[operation].name ? &SHAPES[operation] : NULL;
}

static void append_string(struct buffer *out, struct bytes b) {
    uint8_t *at = buffer_extend(out, 4 + (size_t)b.size);
    memcpy(at, &b.size, 4);
    if (b.size) memcpy(at + 4, b.data, b.size);
}

void command_encode(const struct command *c, struct buffer *out) {
    const struct shape *shape = shape_of(c->operation);
    uint8_t fields = shape ? shape->fields : 0;
    buffer_append(out, &c->operation, 1);
    if (fields & FIELD_KEY) append_string(out, c->key);
    if (fields & FIELD_VALUE) append_string(out, c->value);
    if (fields & FIELD_EXPECTED && (c->has_expected || !(fields & FIELD_OPTIONAL))) append_string(out, c->expected);
}

/* Reads one string when the operation has it. */
static bool string_read(struct reader *r, bool wanted, uint32_t size_max, struct bytes *out) {
    if (!wanted) return true;
    *out = read_bytes(r);
    return !r->failed && out->size <= size_max;
}

bool command_decode(struct bytes data, struct command *c) {
    *c = (struct command){0};
    if (data.size == 0) return false;
    const struct shape *shape = shape_of(data.data[0]);
    if (!shape) return false;
    struct reader r = {data.data + 1, data.data + data.size, false};
    c->operation = data.data[0];
    if (!string_read(&r, shape->fields & FIELD_KEY, COMMAND_KEY_MAX, &c->key)) return false;
    if (!string_read(&r, shape->fields & FIELD_VALUE, COMMAND_VALUE_MAX, &c->value)) return false;
    c->has_expected = shape->fields & FIELD_EXPECTED && (r.at < r.end || !(shape->fields & FIELD_OPTIONAL));
    if (!string_read(&r, c->has_expected, COMMAND_VALUE_MAX, &c->expected)) return false;
    return r.at == r.end;
}

bool command_is_read(uint8_t operation) {
    const struct shape *shape = shape_of(operation);
    return shape && shape->read;
}

const char *command_name(uint8_t operation) {
    const struct shape *shape = shape_of(operation);
    return shape ? shape->name : NULL;
}

uint8_t command_by_name(const char *name) {
    for (uint8_t i = 0; i < SHAPE_COUNT; i++)
        if (SHAPES[i].name && strcmp(SHAPES[i].name, name) == 0) return i;
    return 0;
}

bool command_number(struct bytes text, int64_t *number) {
    bool negative = text.size && text.data[0] == '-';
    uint32_t i = negative, digits = text.size - i;
    if (digits == 0 || digits > 19) return false;
    if (text.data[i] == '0' && (digits > 1 || negative)) return false;
    uint64_t value = 0; /* 19 digits fit into 64 bits */
    for (; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value > (uint64_t)INT64_MAX + negative) return false;
    *number = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
