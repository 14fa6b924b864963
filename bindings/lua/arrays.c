#include "arrays.h"

#include <stdlib.h>
#include <string.h>

void *face_array(lua_State *L, size_t count, size_t size) {
    return lua_newuserdatauv(L, (count ? count : 1) * size, 0);
}

static bool name_in(const char *name, const char *const *names) {
    for (; names && *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

static int order_names(const void *a, const void *b) {
    return strcmp(((const qrt_option *)a)->name, ((const qrt_option *)b)->name);
}

/* How many fields are options; every key must be text. */
static size_t options_count(lua_State *L, int index, const char *const *skip) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TNUMBER) continue; /* a list beside the options: the caller's */
        if (lua_type(L, -2) != LUA_TSTRING) face_raise(L, "options have names, not a %s", luaL_typename(L, -2));
        count += !name_in(lua_tostring(L, -2), skip);
    }
    return count;
}

struct face_options face_options(lua_State *L, int index, const char *const *skip) {
    struct face_options o = {0};
    lua_newtable(L); /* anchors the values' text */
    int anchor = lua_gettop(L);
    if (lua_isnoneornil(L, index) || index >= anchor) return o;
    luaL_checktype(L, index, LUA_TTABLE);
    size_t room = options_count(L, index, skip);
    o.all = face_array(L, room, sizeof *o.all);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && !name_in(lua_tostring(L, -2), skip))
            o.all[o.count++].name = lua_tostring(L, -2);
    qsort(o.all, o.count, sizeof *o.all, order_names);
    for (size_t i = 0; i < o.count; i++) {
        lua_getfield(L, index, o.all[i].name);
        o.all[i].value = luaL_tolstring(L, -1, NULL);
        lua_rawseti(L, anchor, (lua_Integer)i + 1);
        lua_pop(L, 1);
    }
    return o;
}

/* Copies a table's numbers, rows within it one level deep; with out NULL only counts them. */
static size_t numbers_copy(lua_State *L, int index, const char *name, double *out) {
    size_t count = 0;
    lua_Integer length = luaL_len(L, index);
    for (lua_Integer i = 1; i <= length; i++) {
        int type = lua_geti(L, index, i);
        if (type == LUA_TTABLE) {
            count += numbers_copy(L, lua_gettop(L), name, out ? out + count : NULL);
        } else {
            if (type != LUA_TNUMBER)
                face_raise(L, "%s holds numbers; entry %lld is a %s", name, (long long)i, luaL_typename(L, -1));
            if (out) out[count] = lua_tonumber(L, -1);
            count++;
        }
        lua_pop(L, 1);
    }
    return count;
}

double *face_numbers(lua_State *L, int index, const char *name, size_t *count) {
    if (lua_type(L, index) != LUA_TTABLE)
        face_raise(L, "%s is a table of numbers, not a %s", name, luaL_typename(L, index));
    luaL_checkstack(L, 130, "rows within rows");
    *count = numbers_copy(L, index, name, NULL);
    double *numbers = face_array(L, *count, sizeof *numbers);
    numbers_copy(L, index, name, numbers);
    return numbers;
}

int64_t *face_times(lua_State *L, int index, size_t *count) {
    double *seconds = face_numbers(L, index, "times", count);
    int64_t *ns = face_array(L, *count, sizeof *ns);
    qrt_status s = qrt_seconds_to_ns(seconds, *count, ns);
    if (s) face_fail(L, s, NULL);
    return ns;
}

int64_t face_time(lua_State *L, int index) {
    double seconds = luaL_checknumber(L, index);
    int64_t ns = 0;
    qrt_status s = qrt_seconds_to_ns(&seconds, 1, &ns);
    if (s) face_fail(L, s, NULL);
    return ns;
}

void face_push_numbers(lua_State *L, const double *values, size_t count) {
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushnumber(L, values[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void face_push_flags(lua_State *L, const uint8_t *flags, size_t count) {
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushboolean(L, flags[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}
