/* Histories: a cluster's, or a text's; printed, and checked in slices. */
#include "face.h"

static qrt_history *self_history(lua_State *L) {
    return face_handle(L, 1, FACE_HISTORY);
}

static int push_text(lua_State *L, qrt_history *h, const char *text) {
    if (!text) return face_fail_text(L, h);
    lua_pushstring(L, text);
    return 1;
}

/* history(cluster) */
static int history_create(lua_State *L) {
    qrt_cluster *c = cluster_handle(L, 1);
    void **place = face_new(L, FACE_HISTORY);
    qrt_history *h = NULL;
    qrt_status s = qrt_cluster_history(c, &h);
    *place = h;
    return s ? face_fail(L, s, c) : 1;
}

static int history_parse(lua_State *L) {
    size_t size;
    const char *text = face_bytes(L, 1, "a history", &size);
    void **place = face_new(L, FACE_HISTORY);
    qrt_history *h = NULL;
    qrt_status s = qrt_history_parse(&h, text, size);
    *place = h;
    return s ? face_fail(L, s, NULL) : 1;
}

static int history_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_HISTORY);
    qrt_history *h = *place;
    qrt_history_free(&h);
    *place = NULL;
    return 0;
}

static int history_count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)qrt_history_count(self_history(L)));
    return 1;
}

static int history_print(lua_State *L) {
    qrt_history *h = self_history(L);
    return push_text(L, h, qrt_history_print(h, face_text(L, 2, "a format")));
}

/* check(model, initial, seconds, memory): true when done, false: again. */
static int history_check(lua_State *L) {
    qrt_history *h = self_history(L);
    const char *model = face_text(L, 2, "a model");
    const char *initial = lua_isnoneornil(L, 3) ? NULL : face_text(L, 3, "an initial value");
    double seconds = face_number(L, 4, "a budget of seconds", 60);
    size_t memory = lua_isnoneornil(L, 5) ? 0 : (size_t)face_count(L, 5, "a budget of bytes");
    qrt_status s = qrt_history_check(h, model, initial, seconds, memory);
    if (s < 0) return face_fail(L, s, h);
    lua_pushboolean(L, s == QRT_OK);
    return 1;
}

static int history_report(lua_State *L) {
    qrt_history *h = self_history(L);
    const char *report = qrt_history_report(h);
    if (!report) return face_fail_text(L, h);
    face_push_json(L, report);
    return 1;
}

static const luaL_Reg methods[] = {
    {"close", history_close},  {"_count", history_count},   {"_print", history_print},
    {"_check", history_check}, {"_report", history_report}, {NULL, NULL},
};

void history_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"history", history_create}, {"history_parse", history_parse}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_HISTORY, methods, history_close);
    lua_setfield(L, -2, "History");
}
