#include "plain.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

#define DEPTH_MAX 64
#define SIZE_MAX_BYTES ((size_t)64 << 20)

struct place { /* where a value stands, for messages: a chain towards the root */
    const struct place *above;
    const char *name;
    lua_Integer number; /* when name is NULL */
};

struct pair {
    size_t start, key_end, end; /* of an encoded key and its value, in the buffer */
};

/* ---- out ---- */

static uint8_t *room(lua_State *L, struct plain *b, size_t size) {
    if (b->size + size > b->capacity) {
        size_t capacity = 2 * (b->size + size) + 64;
        uint8_t *grown = capacity < SIZE_MAX_BYTES ? realloc(b->data, capacity) : NULL;
        if (!grown) face_raise(L, "plain data of more than %d MiB", (int)(SIZE_MAX_BYTES >> 21));
        b->data = grown;
        b->capacity = capacity;
    }
    uint8_t *at = b->data + b->size;
    b->size += size;
    return at;
}

/* A major type with its number in the fewest bytes. */
static void put_head(lua_State *L, struct plain *b, uint8_t major, uint64_t n) {
    int bytes = n < 24 ? 0 : n <= 0xff ? 1 : n <= 0xffff ? 2 : n <= 0xffffffff ? 4 : 8;
    uint8_t *at = room(L, b, 1 + (size_t)bytes);
    uint8_t low = bytes == 0 ? (uint8_t)n : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27;
    *at++ = (uint8_t)(major << 5 | low);
    for (int i = bytes; i-- > 0;) *at++ = (uint8_t)(n >> (8 * i));
}

static void name_place(luaL_Buffer *text, lua_State *L, const struct place *p) {
    if (p->above) name_place(text, L, p->above);
    if (!p->above) {
        luaL_addstring(text, p->name);
    } else if (p->name) {
        luaL_addchar(text, '.');
        luaL_addstring(text, p->name);
    } else {
        lua_pushfstring(L, "[%I]", (LUAI_UACINT)p->number);
        luaL_addvalue(text);
    }
}

static void refuse(lua_State *L, const struct place *p, const char *why) __attribute__((noreturn));
static void refuse(lua_State *L, const struct place *p, const char *why) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    name_place(&text, L, p);
    luaL_pushresult(&text);
    face_raise(L, "%s %s", lua_tostring(L, -1), why);
}

/* Continuation bytes where they belong; overlong forms and surrogates are left to whoever reads the text. */
static bool is_text(const uint8_t *s, size_t size) {
    size_t i = 0;
    while (i < size && s[i] < 0x80) i++;
    while (i < size) {
        uint8_t first = s[i++];
        int more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >> 4 == 0xe ? 2 : 3;
        if (first >= 0x80 && (first < 0xc2 || first > 0xf4)) return false;
        if (more > 0 && i < size && first == 0xe0 && s[i] < 0xa0) return false;
        if (more > 0 && i < size && first == 0xed && s[i] > 0x9f) return false;
        if (more > 0 && i < size && first == 0xf0 && s[i] < 0x90) return false;
        if (more > 0 && i < size && first == 0xf4 && s[i] > 0x8f) return false;
        for (; more > 0; more--, i++)
            if (i >= size || s[i] >> 6 != 2) return false;
    }
    return true;
}

static void put_string(lua_State *L, int index, struct plain *b) {
    size_t size;
    const uint8_t *s = (const uint8_t *)lua_tolstring(L, index, &size);
    put_head(L, b, is_text(s, size) ? 3 : 2, size);
    if (size) memcpy(room(L, b, size), s, size);
}

static void put_integer(lua_State *L, lua_Integer n, struct plain *b) {
    put_head(L, b, n < 0, n < 0 ? (uint64_t)(-1 - n) : (uint64_t)n);
}

static void put_float(lua_State *L, double v, const struct place *p, struct plain *b) {
    uint64_t bits;
    if (!isfinite(v)) refuse(L, p, "is infinite or not a number, which is no plain data");
    memcpy(&bits, &v, sizeof bits);
    uint8_t *at = room(L, b, 9);
    at[0] = 0xfb;
    for (int i = 0; i < 8; i++) at[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
}

static void put_value(lua_State *L, int index, const struct place *p, int depth, struct plain *b);

static void put_list(lua_State *L, int index, lua_Unsigned count, const struct place *p, int depth, struct plain *b) {
    put_head(L, b, 4, count);
    for (lua_Unsigned i = 1; i <= count; i++) {
        struct place item = {p, NULL, (lua_Integer)i};
        lua_rawgeti(L, index, (lua_Integer)i);
        put_value(L, lua_gettop(L), &item, depth + 1, b);
        lua_pop(L, 1);
    }
}

static const struct plain *sorted; /* whose bytes compare_pairs looks at */

static int compare_pairs(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    size_t m = x->key_end - x->start, n = y->key_end - y->start;
    int order = memcmp(sorted->data + x->start, sorted->data + y->start, m < n ? m : n);
    return order ? order : (m > n) - (m < n);
}

/* Pairs were written as they came; they are put into the order of their keys' bytes. */
static void sort_pairs(lua_State *L, struct pair *pairs, size_t count, size_t start, struct plain *b) {
    sorted = b;
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    size_t size = b->size - start, at = 0;
    uint8_t *copy = lua_newuserdatauv(L, size + 1, 0);
    memcpy(copy, b->data + start, size);
    for (size_t i = 0; i < count; i++) {
        size_t length = pairs[i].end - pairs[i].start;
        memcpy(b->data + start + at, copy + pairs[i].start - start, length);
        at += length;
    }
    lua_pop(L, 1);
}

static void put_map(lua_State *L, int index, size_t count, const struct place *p, int depth, struct plain *b) {
    struct pair *pairs = lua_newuserdatauv(L, (count + 1) * sizeof *pairs, 0);
    put_head(L, b, 5, count);
    size_t start = b->size, i = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), i++) {
        struct place item = {p, NULL, 0};
        pairs[i].start = b->size;
        if (lua_type(L, -2) == LUA_TSTRING) {
            item.name = lua_tostring(L, -2);
            put_string(L, -2, b);
        } else if (lua_isinteger(L, -2)) {
            item.number = lua_tointeger(L, -2);
            put_integer(L, item.number, b);
        } else {
            refuse(L, p, "has a key that is neither text nor a whole number");
        }
        pairs[i].key_end = b->size;
        put_value(L, lua_gettop(L), &item, depth + 1, b);
        pairs[i].end = b->size;
    }
    sort_pairs(L, pairs, count, start, b);
    lua_pop(L, 1);
}

static void put_table(lua_State *L, int index, const struct place *p, int depth, struct plain *b) {
    size_t count = 0;
    if (depth > DEPTH_MAX) refuse(L, p, "is nested deeper than 64, or holds itself");
    luaL_checkstack(L, 8, "plain data");
    if (lua_getmetatable(L, index)) refuse(L, p, "has a metatable, which is no plain data");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    if (count == lua_rawlen(L, index))
        put_list(L, index, count, p, depth, b);
    else
        put_map(L, index, count, p, depth, b);
}

/* index is absolute */
static void put_value(lua_State *L, int index, const struct place *p, int depth, struct plain *b) {
    switch (lua_type(L, index)) {
    case LUA_TNIL: *room(L, b, 1) = 0xf6; break;
    case LUA_TBOOLEAN: *room(L, b, 1) = lua_toboolean(L, index) ? 0xf5 : 0xf4; break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            put_integer(L, lua_tointeger(L, index), b);
        else
            put_float(L, lua_tonumber(L, index), p, b);
        break;
    case LUA_TSTRING: put_string(L, index, b); break;
    case LUA_TTABLE: put_table(L, index, p, depth, b); break;
    default:
        lua_pushfstring(L, "is a %s, no plain data; use numbers, text and tables", luaL_typename(L, index));
        refuse(L, p, lua_tostring(L, -1));
    }
}

void plain_encode(lua_State *L, int index, const char *place, struct plain *b) {
    struct place root = {NULL, place, 0};
    b->size = 0;
    put_value(L, lua_absindex(L, index), &root, 0, b);
}

/* ---- in ---- */

struct input {
    const uint8_t *at, *end;
};

static void malformed(lua_State *L) __attribute__((noreturn));
static void malformed(lua_State *L) {
    face_raise(L, "the plain data is malformed");
}

static uint64_t take_number(lua_State *L, struct input *in, uint8_t low) {
    if (low < 24) return low;
    int bytes = low <= 27 ? 1 << (low - 24) : 0;
    uint64_t n = 0;
    if (!bytes || in->end - in->at < bytes) malformed(L);
    for (int i = 0; i < bytes; i++) n = n << 8 | *in->at++;
    return n;
}

static void push_value(lua_State *L, struct input *in, int depth);

static void push_simple(lua_State *L, struct input *in, uint8_t first) {
    double v;
    switch (first) {
    case 0xf4: lua_pushboolean(L, 0); break;
    case 0xf5: lua_pushboolean(L, 1); break;
    case 0xf6: lua_pushnil(L); break;
    case 0xfb: {
        uint64_t bits = take_number(L, in, 27);
        memcpy(&v, &bits, sizeof v);
        lua_pushnumber(L, v);
        break;
    }
    default: malformed(L);
    }
}

static void push_list(lua_State *L, struct input *in, uint64_t count, int depth) {
    lua_createtable(L, (int)count, 0);
    for (uint64_t i = 1; i <= count; i++) {
        push_value(L, in, depth + 1);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
}

static void push_map(lua_State *L, struct input *in, uint64_t count, int depth) {
    lua_createtable(L, 0, (int)count);
    for (uint64_t i = 0; i < count; i++) {
        push_value(L, in, depth + 1);
        if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1)) malformed(L);
        push_value(L, in, depth + 1);
        lua_rawset(L, -3);
    }
}

static void push_integer(lua_State *L, uint64_t n, bool negative) {
    if (n > INT64_MAX) malformed(L);
    lua_pushinteger(L, negative ? -1 - (lua_Integer)n : (lua_Integer)n);
}

static void push_value(lua_State *L, struct input *in, int depth) {
    if (in->at == in->end || depth > DEPTH_MAX + 1) malformed(L);
    uint8_t first = *in->at++, major = first >> 5;
    if (major == 7) {
        push_simple(L, in, first);
        return;
    }
    uint64_t n = take_number(L, in, first & 31), left = (uint64_t)(in->end - in->at);
    if (major >= 2 && n > left) malformed(L); /* an item takes a byte at least */
    luaL_checkstack(L, 4, "plain data");
    switch (major) {
    case 0:
    case 1: push_integer(L, n, major == 1); break;
    case 2:
    case 3:
        lua_pushlstring(L, (const char *)in->at, (size_t)n);
        in->at += n;
        break;
    case 4: push_list(L, in, n, depth); break;
    case 5: push_map(L, in, n, depth); break;
    default: malformed(L);
    }
}

void plain_decode(lua_State *L, const uint8_t *data, size_t size) {
    struct input in = {data, data + size};
    push_value(L, &in, 0);
    if (in.at != in.end) malformed(L);
}

int plain_encode_function(lua_State *L) {
    static struct plain b; /* kept: an error of Lua must not lose it */
    plain_encode(L, 1, luaL_optstring(L, 2, "the value"), &b);
    lua_pushlstring(L, (const char *)b.data, b.size);
    return 1;
}

int plain_decode_function(lua_State *L) {
    size_t size;
    const char *bytes = face_bytes(L, 1, "plain data", &size);
    plain_decode(L, (const uint8_t *)bytes, size);
    return 1;
}
