/* Errors and arguments: one sentence each, and the place in the user's script that it is about. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "face.h"

static const char HOME; /* the registry's key of the prefix of quorate's own Lua files */

int face_home(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &HOME);
    return 0;
}

static bool is_own(lua_State *L, const lua_Debug *at) {
    bool own = at->currentline < 0; /* a C function, or Lua's own */
    if (!own && lua_rawgetp(L, LUA_REGISTRYINDEX, &HOME) == LUA_TSTRING) {
        const char *home = lua_tostring(L, -1);
        own = strncmp(at->source, home, strlen(home)) == 0;
    }
    if (at->currentline >= 0) lua_pop(L, 1);
    return own;
}

/* Pushes "file:line: " of the user's call, or "". */
static void push_where(lua_State *L) {
    lua_Debug at;
    for (int level = 1; lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (is_own(L, &at)) continue;
        lua_pushfstring(L, "%s:%d: ", at.short_src, at.currentline);
        return;
    }
    lua_pushliteral(L, "");
}

static void raise_text(lua_State *L, const char *text) __attribute__((noreturn));
static void raise_text(lua_State *L, const char *text) {
    push_where(L);
    lua_pushstring(L, text);
    lua_concat(L, 2);
    lua_error(L);
    __builtin_unreachable();
}

void face_raise(lua_State *L, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    raise_text(L, text);
}

/* Misuse is the script's mistake; so is what should never happen. The rest is for the script to handle. */
static bool is_misuse(qrt_status s) {
    if (s == QRT_EPARSE) return false;
    return s >= QRT_ENOTFOUND || s == QRT_EINTERNAL || s == QRT_ENOMEM;
}

static const char *sentence(qrt_status s, const void *handle) {
    const char *text = qrt_last_error(handle);
    return *text ? text : qrt_strerror(s);
}

int face_fail(lua_State *L, qrt_status s, const void *handle) {
    if (is_misuse(s)) raise_text(L, sentence(s, handle));
    lua_pushnil(L);
    face_push_status(L, s, handle);
    return 3;
}

int face_fail_text(lua_State *L, const void *handle) {
    return face_fail(L, qrt_last_status(handle), handle);
}

void face_push_status(lua_State *L, qrt_status s, const void *handle) {
    lua_pushstring(L, s < 0 ? sentence(s, handle) : qrt_strerror(s));
    lua_pushstring(L, qrt_status_name(s));
}

/* --- arguments --- */

/* The value as a message shows it. */
static const char *shown(lua_State *L, int index) {
    size_t size;
    int type = lua_type(L, index);
    if (type == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &size);
        if (size <= 40) return lua_pushfstring(L, "'%s'", text);
        return lua_pushfstring(L, "a text of %I bytes", (LUAI_UACINT)size);
    }
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TNIL) return luaL_tolstring(L, index, NULL);
    return lua_pushfstring(L, "a %s", luaL_typename(L, index));
}

static lua_Integer whole(lua_State *L, int index, const char *name) {
    int exact;
    lua_Integer n = lua_tointegerx(L, index, &exact);
    if (!exact || lua_type(L, index) != LUA_TNUMBER)
        face_raise(L, "%s is a whole number, not %s", name, shown(L, index));
    return n;
}

uint16_t face_node(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return 0;
    lua_Integer n = whole(L, index, "a node");
    if (n < 1 || n >= QRT_CLIENT) face_raise(L, "there is no node %lld; ids count from 1", (long long)n);
    return (uint16_t)n;
}

uint16_t face_client(lua_State *L, int index) {
    lua_Integer n = whole(L, index, "a client");
    if (n <= QRT_CLIENT || n > UINT16_MAX) face_raise(L, "there is no client %lld", (long long)n);
    return (uint16_t)n;
}

uint64_t face_count(lua_State *L, int index, const char *name) {
    lua_Integer n = whole(L, index, name);
    if (n < 0) face_raise(L, "%s must not be negative: %lld", name, (long long)n);
    return (uint64_t)n;
}

const char *face_bytes(lua_State *L, int index, const char *name, size_t *size) {
    if (!lua_isstring(L, index)) face_raise(L, "%s is text, not %s", name, shown(L, index));
    return lua_tolstring(L, index, size);
}

const char *face_text(lua_State *L, int index, const char *name) {
    size_t size;
    const char *text = face_bytes(L, index, name, &size);
    if (strlen(text) != size) face_raise(L, "%s must not hold a zero byte", name);
    return text;
}

double face_number(lua_State *L, int index, const char *name, double standard) {
    if (lua_isnoneornil(L, index)) return standard;
    if (lua_type(L, index) != LUA_TNUMBER) face_raise(L, "%s is a number, not %s", name, shown(L, index));
    double v = lua_tonumber(L, index);
    if (isnan(v)) face_raise(L, "%s must be a number, not nan", name);
    return v;
}
