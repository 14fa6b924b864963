/* JSON and Lua values, both ways.
 *
 * Lua's tables have no order that lasts from one process to the next, so fields are written in order of their names. A
 * jansson value under way belongs to a userdata, so that an error of Lua in the middle loses nothing. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

#define BOX "quorate.json"

struct box {
    json_t *root;
    char *text;
};

static int box_gc(lua_State *L) {
    struct box *b = lua_touserdata(L, 1);
    json_decref(b->root);
    free(b->text);
    *b = (struct box){0};
    return 0;
}

static struct box *box_push(lua_State *L) {
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct box){0};
    if (luaL_newmetatable(L, BOX)) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

/* --- JSON to Lua --- */

static void push_value(lua_State *L, const json_t *v, int depth);

static void push_object(lua_State *L, const json_t *v, int depth) {
    const char *name;
    json_t *field;
    lua_createtable(L, 0, (int)json_object_size(v));
    json_object_foreach((json_t *)(uintptr_t)v, name, field) {
        push_value(L, field, depth + 1);
        lua_setfield(L, -2, name);
    }
}

static void push_array(lua_State *L, const json_t *v, int depth) {
    lua_createtable(L, (int)json_array_size(v), 0);
    for (size_t i = 0; i < json_array_size(v); i++) {
        push_value(L, json_array_get(v, i), depth + 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_value(lua_State *L, const json_t *v, int depth) {
    if (depth > FACE_DEPTH_MAX) face_raise(L, "the JSON is nested deeper than %d", FACE_DEPTH_MAX);
    luaL_checkstack(L, 4, "JSON");
    switch (json_typeof(v)) {
    case JSON_OBJECT: push_object(L, v, depth); return;
    case JSON_ARRAY: push_array(L, v, depth); return;
    case JSON_STRING: lua_pushlstring(L, json_string_value(v), json_string_length(v)); return;
    case JSON_INTEGER: lua_pushinteger(L, (lua_Integer)json_integer_value(v)); return;
    case JSON_REAL: lua_pushnumber(L, json_real_value(v)); return;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(v)); return;
    case JSON_NULL: break;
    }
    lua_pushnil(L);
}

void face_push_json(lua_State *L, const char *text) {
    json_error_t e;
    struct box *b = box_push(L);
    b->root = json_loads(text, JSON_DECODE_ANY, &e);
    if (!b->root) face_raise(L, "the core gave text that is no JSON: line %d, column %d: %s", e.line, e.column, e.text);
    push_value(L, b->root, 0);
    lua_remove(L, -2);
}

int face_json_decode(lua_State *L) {
    size_t size;
    json_error_t e;
    const char *text = face_bytes(L, 1, "JSON", &size);
    struct box *b = box_push(L);
    b->root = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (b->root) {
        push_value(L, b->root, 0);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "line %d, column %d: %s", e.line, e.column, e.text);
    lua_pushstring(L, qrt_status_name(QRT_EPARSE));
    return 3;
}

/* --- Lua to JSON --- */

static json_t *read_value(lua_State *L, int index, int depth, bool object);

/* Whether all keys are 1..n. Raises on a mixture: half of it would be lost. */
static bool is_sequence(lua_State *L, int index, bool object) {
    lua_Unsigned length = lua_rawlen(L, index), numbers = 0, names = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && (lua_Unsigned)lua_tointeger(L, -2) <= length)
            numbers++;
        else if (lua_type(L, -2) == LUA_TSTRING)
            names++;
        else
            face_raise(L, "a table for JSON has the key %s; keys are names, or 1, 2, ...", luaL_tolstring(L, -2, NULL));
    }
    if (numbers && (names || numbers != length)) face_raise(L, "a table for JSON is a list or has names, not both");
    return numbers || (!names && !object);
}

/* Borrowed references of values that were just added to `parent`, which owns them: an error on the way loses none. */
static void read_array(lua_State *L, int index, int depth, json_t *array) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        struct box *b = box_push(L);
        lua_rawgeti(L, index, i);
        b->root = read_value(L, lua_gettop(L), depth + 1, false);
        json_array_append(array, b->root);
        lua_pop(L, 2);
    }
}

static void sort_names(lua_State *L) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, LUA_TABLIBNAME);
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, -4);
    lua_call(L, 1, 0);
    lua_pop(L, 2);
}

static void read_object(lua_State *L, int index, int depth, json_t *object) {
    lua_newtable(L);
    int names = lua_gettop(L);
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, names, ++count);
    }
    sort_names(L);
    for (lua_Integer i = 1; i <= count; i++) {
        struct box *b = box_push(L);
        lua_rawgeti(L, names, i);
        const char *name = face_text(L, -1, "a name in JSON");
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        b->root = read_value(L, lua_gettop(L), depth + 1, false);
        if (json_object_set(object, name, b->root)) face_raise(L, "the name '%s' is not UTF-8", name);
        lua_settop(L, names);
    }
    lua_pop(L, 1);
}

static json_t *read_table(lua_State *L, int index, int depth, bool object) {
    if (depth > FACE_DEPTH_MAX) face_raise(L, "the table is nested deeper than %d, or holds itself", FACE_DEPTH_MAX);
    luaL_checkstack(L, 12, "JSON");
    struct box *b = box_push(L);
    bool sequence = is_sequence(L, index, object);
    b->root = sequence ? json_array() : json_object();
    if (sequence)
        read_array(L, index, depth, b->root);
    else
        read_object(L, index, depth, b->root);
    json_t *root = json_incref(b->root);
    lua_pop(L, 1);
    return root;
}

static json_t *read_value(lua_State *L, int index, int depth, bool object) {
    size_t size;
    const char *text;
    json_t *v;
    switch (lua_type(L, index)) {
    case LUA_TNIL: return json_null();
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) return json_integer((json_int_t)lua_tointeger(L, index));
        v = json_real(lua_tonumber(L, index));
        if (!v) face_raise(L, "JSON has no number %s", luaL_tolstring(L, index, NULL));
        return v;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        v = json_stringn(text, size);
        if (!v) face_raise(L, "a text of %d bytes is not UTF-8, as JSON must be", (int)size);
        return v;
    case LUA_TTABLE: return read_table(L, index, depth, object);
    default: face_raise(L, "a %s cannot be written as JSON", luaL_typename(L, index));
    }
}

const char *face_json(lua_State *L, int index, bool object) {
    index = lua_absindex(L, index);
    struct box *b = box_push(L);
    b->root = read_value(L, index, 0, object);
    b->text = json_dumps(b->root, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    if (!b->text) face_raise(L, "out of memory while writing JSON");
    const char *text = lua_pushstring(L, b->text);
    lua_remove(L, -2);
    return text;
}

int face_json_encode(lua_State *L) {
    face_json(L, 1, lua_toboolean(L, 2));
    return 1;
}
