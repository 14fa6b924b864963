/* The Lua module `quorate.core`: the functions of quorate.h without a handle, and the types. Scripts use
 * `require "quorate"`, which is written in Lua on top of it. */
#include "arrays.h"
#include "face.h"

static int push_catalogue(lua_State *L, const char *json) {
    if (!json) return face_fail_text(L, NULL);
    face_push_json(L, json);
    return 1;
}

static int core_protocols(lua_State *L) {
    return push_catalogue(L, qrt_protocols());
}

static int core_options(lua_State *L) {
    return push_catalogue(L, qrt_options(face_text(L, 1, "a protocol")));
}

static int core_machines(lua_State *L) {
    return push_catalogue(L, qrt_machines());
}

static int core_version(lua_State *L) {
    lua_pushstring(L, qrt_version());
    return 1;
}

static int push_plan(lua_State *L, const char *plan) {
    if (!plan) return face_fail_text(L, NULL);
    lua_pushstring(L, plan);
    return 1;
}

static int plan_canonical(lua_State *L) {
    return push_plan(L, qrt_plan_canonical(face_text(L, 1, "a plan"), face_node(L, 2)));
}

/* plan_draw(protocol, nodes, seed, duration in ns) */
static int plan_draw(lua_State *L) {
    const char *protocol = face_text(L, 1, "a protocol");
    uint64_t seed = (uint64_t)luaL_checkinteger(L, 3);
    return push_plan(L, qrt_plan_draw(protocol, face_node(L, 2), seed, luaL_checkinteger(L, 4)));
}

/* Raises misuse that Lua code finds: the same form, the same place. */
static int core_raise(lua_State *L) {
    face_raise(L, "%s", luaL_checkstring(L, 1));
}

/* Seconds as whole nanoseconds, rounded and bounded as the core does it. */
static int core_to_ns(lua_State *L) {
    double ns = face_number(L, 1, luaL_optstring(L, 2, "a time in seconds"), 0) * 1e9;
    if (ns >= 9.2e18 || ns <= -9.2e18)
        lua_pushinteger(L, ns > 0 ? INT64_MAX : -INT64_MAX);
    else
        lua_pushinteger(L, (lua_Integer)(ns + (ns >= 0 ? 0.5 : -0.5)));
    return 1;
}

/* check_file(path): true, or nil and why it cannot be read whole. */
static int core_check_file(lua_State *L) {
    qrt_status s = qrt_file_check(face_text(L, 1, "a file's path"));
    if (s < 0) return face_fail(L, s, NULL);
    lua_pushboolean(L, true);
    return 1;
}

static const luaL_Reg functions[] = {
    {"protocols", core_protocols},
    {"options", core_options},
    {"machines", core_machines},
    {"version", core_version},
    {"plan_draw", plan_draw},
    {"plan_canonical", plan_canonical},
    {"home", face_home},
    {"raise", core_raise},
    {"to_ns", core_to_ns},
    {"json_encode", face_json_encode},
    {"json_decode", face_json_decode},
    {"check_file", core_check_file},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_quorate_core(lua_State *L) {
    luaL_newlib(L, functions);
    cluster_open(L);
    trace_open(L);
    history_open(L);
    campaign_open(L);
    script_open(L);
    placement_open(L);
    detect_open(L);
    mixture_open(L);
    return 1;
}
