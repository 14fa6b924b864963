/* State machines of the user's own: the callbacks of qrt_machine, as calls of Lua functions.
 *
 * The Lua side (lua/quorate/machine.lua) gives a driver, a table of create(id), destroy(id) and run(method, id, ..). The
 * callbacks run on the main state, never on a stored coroutine, inside lua_pcall: an error becomes qrt_reply_raise
 * with its traceback. The driver belongs to its clusters' userdata (user value 1), so that a machine that refers to its
 * own cluster is no leak; here it is only known weakly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

#define DRIVERS "quorate.drivers" /* in the registry: light pointer -> driver, weak */
#define TRACEBACKS_MAX 100

struct machines {
    lua_State *main;
    int references;
    uint64_t made;
    bool interrupted;
    char name[64];
    qrt_machine table;
};

struct call { /* what a callback hands through lua_pcall */
    struct machines *machines;
    const char *method; /* NULL: create, "" destroy */
    uint64_t machine, index;
    const uint8_t *data;
    size_t size;
    qrt_reply *reply;
};

static void push_drivers(lua_State *L) {
    if (luaL_getsubtable(L, LUA_REGISTRYINDEX, DRIVERS)) return;
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* Pushes the driver, or nil while the garbage collector takes it together with its last cluster. */
static int push_driver(lua_State *L, const struct machines *m) {
    push_drivers(L);
    return lua_rawgetp(L, -1, m);
}

/* The debug hook of `lua` raises this on SIGINT, wherever Lua is: it is not the machine's error, and goes on. */
static void note_interrupt(struct machines *m, const char *text) {
    static const char interrupt[] = "interrupted!";
    size_t length = strlen(text), end = sizeof interrupt - 1;
    if (length >= end && !strcmp(text + length - end, interrupt)) m->interrupted = true;
}

/* Keeps the traceback for `cluster.tracebacks`; it begins with the error, because the core cuts at the end. */
static int explain(lua_State *L) {
    struct machines *m = lua_touserdata(L, lua_upvalueindex(1));
    const char *text = luaL_tolstring(L, 1, NULL);
    note_interrupt(m, text);
    luaL_traceback(L, L, text, 1);
    if (push_driver(L, m) == LUA_TTABLE && lua_getfield(L, -1, "tracebacks") == LUA_TTABLE) {
        lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
        lua_pushvalue(L, 3);
        if (count < TRACEBACKS_MAX) lua_rawseti(L, -2, count + 1);
    }
    lua_settop(L, 3);
    return 1;
}

/* Pushes the driver's function and its arguments; how many. */
static int push_call(lua_State *L, const struct call *call) {
    const char *method = call->method;
    lua_getfield(L, -1, !method ? "create" : *method ? "run" : "destroy");
    bool run = method && *method;
    if (run) lua_pushstring(L, method);
    lua_pushinteger(L, (lua_Integer)call->machine);
    if (!run) return 1;
    if (call->index) lua_pushinteger(L, (lua_Integer)call->index);
    lua_pushlstring(L, call->data ? (const char *)call->data : "", call->size);
    return call->index ? 4 : 3;
}

/* Gives the traceback of an error, or nothing. */
static int carry_out(lua_State *L) {
    const struct call *call = lua_touserdata(L, 1);
    luaL_checkstack(L, 12, "a state machine");
    lua_pushlightuserdata(L, call->machines);
    lua_pushcclosure(L, explain, 1);
    int handler = lua_gettop(L);
    if (push_driver(L, call->machines) != LUA_TTABLE) return 0;
    int count = push_call(L, call);
    if (lua_pcall(L, count, 1, handler) != LUA_OK) return 1;
    size_t size;
    const char *answer = lua_tolstring(L, -1, &size);
    if (answer && call->reply) qrt_reply_put(call->reply, (const uint8_t *)answer, size);
    return 0;
}

static void perform(const struct call *call) {
    lua_State *L = call->machines->main;
    const char *failure = "out of Lua's stack";
    int top = lua_gettop(L);
    if (lua_checkstack(L, 4)) {
        lua_pushcfunction(L, carry_out); /* neither this nor the next can fail */
        lua_pushlightuserdata(L, (void *)(uintptr_t)call);
        bool caught = lua_pcall(L, 1, 1, 0) == LUA_OK; /* not so when the hook raises at the very call */
        failure = lua_tostring(L, -1);
        if (!caught && failure) note_interrupt(call->machines, failure);
        if (!failure && !lua_isnil(L, -1)) failure = "an error that is no text";
    }
    if (failure && call->reply) {
        char text[480];
        snprintf(text, sizeof text, "%s() raised %s", call->method, failure);
        qrt_reply_raise(call->reply, text);
    }
    lua_settop(L, top);
}

static uint64_t machine_create(void *context) {
    struct machines *m = context;
    struct call call = {.machines = m, .machine = ++m->made};
    perform(&call);
    return call.machine;
}

static void machine_destroy(void *context, uint64_t machine) {
    struct call call = {.machines = context, .method = "", .machine = machine};
    perform(&call);
}

static void machine_apply(void *context, uint64_t machine, uint64_t index, const uint8_t *command, size_t size,
                          qrt_reply *reply) {
    struct call call = {context, "apply", machine, index, command, size, reply};
    perform(&call);
}

static void machine_query(void *context, uint64_t machine, const uint8_t *command, size_t size, qrt_reply *reply) {
    struct call call = {context, "query", machine, 0, command, size, reply};
    perform(&call);
}

static void machine_snapshot(void *context, uint64_t machine, qrt_reply *reply) {
    struct call call = {context, "snapshot", machine, 0, NULL, 0, reply};
    perform(&call);
}

static void machine_restore(void *context, uint64_t machine, const uint8_t *snapshot, size_t size, qrt_reply *reply) {
    struct call call = {context, "restore", machine, 0, snapshot, size, reply};
    perform(&call);
}

struct machines *machines_new(lua_State *L, int driver, const char *name) {
    driver = lua_absindex(L, driver);
    luaL_checktype(L, driver, LUA_TTABLE);
    push_drivers(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    struct machines *m = calloc(1, sizeof *m);
    if (!m) face_raise(L, "out of memory");
    m->main = main;
    m->references = 1;
    snprintf(m->name, sizeof m->name, "%s", name);
    m->table = (qrt_machine){
        m->name, m, machine_create, machine_destroy, machine_apply, machine_query, machine_snapshot, machine_restore};
    lua_pushvalue(L, driver);
    lua_rawsetp(L, -2, m);
    lua_pop(L, 1);
    return m;
}

struct machines *machines_ref(struct machines *m) {
    m->references++;
    return m;
}

void machines_unref(struct machines *m) {
    if (m && --m->references == 0) free(m);
}

const qrt_machine *machines_table(const struct machines *m) {
    return m ? &m->table : NULL;
}

void machines_interrupt(lua_State *L, struct machines *m) {
    if (!m->interrupted) return;
    m->interrupted = false;
    face_raise(L, "interrupted!");
}
