/* Traces: an immutable snapshot, its columns as userdata that read C memory in place and keep the snapshot alive. */
#include <string.h>

#include "face.h"

#define LINE_SIZE 512

struct column {
    const void *data;
    size_t count;
    uint8_t size;
};

static qrt_trace *self_trace(lua_State *L) {
    return face_handle(L, 1, FACE_TRACE);
}

/* _trace(cluster) */
static int trace_create(lua_State *L) {
    qrt_cluster *c = cluster_handle(L, 1);
    void **place = face_new(L, FACE_TRACE);
    qrt_trace *t = NULL;
    qrt_status s = qrt_cluster_trace(c, &t);
    *place = t;
    return s ? face_fail(L, s, c) : 1;
}

static int trace_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_TRACE);
    qrt_trace *t = *place;
    qrt_trace_free(&t);
    *place = NULL;
    return 0;
}

/* How many events, and the number of the first. */
static int trace_count(lua_State *L) {
    const qrt_columns *c = qrt_trace_columns(self_trace(L));
    lua_pushinteger(L, (lua_Integer)c->count);
    lua_pushinteger(L, (lua_Integer)c->first);
    return 2;
}

static const void *column_data(const qrt_columns *c, const char *name, uint8_t *size) {
    const struct {
        const char *name;
        const void *data;
        uint8_t size;
    } columns[] = {
        {"time", c->time, 8},     {"node", c->node, 2},   {"group", c->group, 2}, {"kind", c->kind, 1},
        {"detail", c->detail, 1}, {"peer", c->peer, 2},   {"term", c->term, 8},   {"index", c->index, 8},
        {"link", c->link, 8},     {"value", c->value, 8},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (strcmp(columns[i].name, name)) continue;
        *size = columns[i].size;
        return columns[i].data;
    }
    *size = 0;
    return NULL;
}

/* nil where there is no column of that name. */
static int trace_column(lua_State *L) {
    const qrt_columns *c = qrt_trace_columns(self_trace(L));
    uint8_t size;
    const void *data = column_data(c, luaL_checkstring(L, 2), &size);
    if (!size) return 0;
    struct column *column = lua_newuserdatauv(L, sizeof *column, 1);
    *column = (struct column){data, c->count, size};
    luaL_setmetatable(L, FACE_COLUMN);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static int trace_line(lua_State *L) {
    qrt_trace *t = self_trace(L);
    lua_Integer i = luaL_checkinteger(L, 2);
    size_t count = qrt_trace_columns(t)->count;
    char line[LINE_SIZE] = "";
    if (i < 1 || (size_t)i > count) face_raise(L, "the trace holds %zu events, no number %lld", count, (long long)i);
    qrt_trace_line(t, (size_t)i - 1, line, sizeof line);
    lua_pushstring(L, line);
    return 1;
}

static int trace_svg(lua_State *L) {
    qrt_trace *t = self_trace(L);
    uint64_t around = lua_isnoneornil(L, 2) ? UINT64_MAX : face_count(L, 2, "the number of an event");
    bool window = !lua_isnoneornil(L, 3);
    uint64_t last = window ? face_count(L, 3, "the number of an event") : 0;
    const char *svg = window ? qrt_trace_svg_between(t, around, last) : qrt_trace_svg(t, around);
    if (!svg) return face_fail_text(L, t);
    lua_pushstring(L, svg);
    return 1;
}

/* The rows of qrt_trace_ballots, as JSON. */
static int trace_ballots(lua_State *L) {
    qrt_trace *t = self_trace(L);
    const char *json = qrt_trace_ballots(t);
    if (!json) return face_fail_text(L, t);
    face_push_json(L, json);
    return 1;
}

/* --- columns --- */

/* 64-bit values are Lua integers of the same bits. */
static lua_Integer column_value(const struct column *c, size_t i) {
    switch (c->size) {
    case 1: return ((const uint8_t *)c->data)[i];
    case 2: return ((const uint16_t *)c->data)[i];
    default: return ((const int64_t *)c->data)[i];
    }
}

static int column_index(lua_State *L) {
    const struct column *c = luaL_checkudata(L, 1, FACE_COLUMN);
    int exact;
    lua_Integer i = lua_tointegerx(L, 2, &exact);
    if (!exact || i < 1 || (size_t)i > c->count) return 0;
    lua_pushinteger(L, column_value(c, (size_t)i - 1));
    return 1;
}

static int column_length(lua_State *L) {
    const struct column *c = luaL_checkudata(L, 1, FACE_COLUMN);
    lua_pushinteger(L, (lua_Integer)c->count);
    return 1;
}

/* A plain table of all values: column(). */
static int column_table(lua_State *L) {
    const struct column *c = luaL_checkudata(L, 1, FACE_COLUMN);
    if (c->count > INT32_MAX) face_raise(L, "%zu events are too many for a table", c->count);
    lua_createtable(L, (int)c->count, 0);
    for (size_t i = 0; i < c->count; i++) {
        lua_pushinteger(L, column_value(c, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* --- names --- */

static int name_kind(lua_State *L) {
    lua_pushstring(L, qrt_kind_name((uint8_t)luaL_checkinteger(L, 1)));
    return 1;
}

static int name_message(lua_State *L) {
    lua_pushstring(L, qrt_message_name((uint8_t)luaL_checkinteger(L, 1)));
    return 1;
}

static int name_role(lua_State *L) {
    lua_pushstring(L, qrt_role_name((uint8_t)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"_count", trace_count}, {"_column", trace_column},   {"_line", trace_line},
    {"_svg", trace_svg},     {"_ballots", trace_ballots}, {NULL, NULL},
};

void trace_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"trace", trace_create},
        {"kind_name", name_kind},
        {"message_name", name_message},
        {"role_name", name_role},
        {NULL, NULL},
    };
    static const luaL_Reg column_methods[] = {
        {"__index", column_index},
        {"__len", column_length},
        {"__call", column_table},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_TRACE, methods, trace_close);
    lua_setfield(L, -2, "Trace");
    luaL_newmetatable(L, FACE_COLUMN);
    luaL_setfuncs(L, column_methods, 0);
    lua_pop(L, 1);
}
