/* Protocols of the user's own: the callbacks of qrt_script, as calls of Lua functions.
 *
 * The Lua side (lua/quorate/node.lua) gives a driver: a table of nodes by number, with create(number, id, peers),
 * start(number, how, stored), save(number), load(number, state) and describe(number); messages, timers and proposals
 * go straight to the node's on_message, on_timer, on_propose. Callbacks run on the main state inside lua_pcall: an error
 * becomes qrt_ctx_raise with its traceback. A step may execute INSTRUCTIONS_MAX instructions of the virtual machine;
 * then it is taken for an endless loop, at the same instruction in every run. The driver belongs to its clusters'
 * userdata (user value 1); here it is only known weakly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"
#include "plain.h"

#define INSTRUCTIONS_MAX 10000000
#define TRACEBACKS_MAX 100

static const char DRIVERS; /* the registry's key: light pointer -> driver, weak */

/* The node whose handler runs, on this thread; NULL between handlers. */
static _Thread_local qrt_ctx *now;

struct scripts {
    lua_State *main;
    int references;
    uint64_t made;
    bool interrupted, apart; /* apart: this process is a live node */
    char name[64], judged_by[128], model[512];
    qrt_script table;
};

struct call { /* what a callback hands through lua_pcall */
    struct scripts *scripts;
    const char *method;
    uint64_t node, number; /* number: an id, a sender, how, a ticket */
    const uint8_t *data;
    size_t size;
    const uint16_t *peers;
    qrt_reply *reply;
    bool suspected;
    double suspicion;
};

static void push_drivers(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &DRIVERS) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &DRIVERS);
}

static int push_driver(lua_State *L, const struct scripts *s) {
    push_drivers(L);
    int type = lua_rawgetp(L, -1, s);
    lua_remove(L, -2);
    return type;
}

/* Keeps the traceback for `cluster.tracebacks`; it begins with the error, because the core cuts at the end. */
static int explain(lua_State *L) {
    static const char interrupt[] = "interrupted!";
    struct scripts *s = lua_touserdata(L, lua_upvalueindex(1));
    const char *text = luaL_tolstring(L, 1, NULL);
    size_t length = strlen(text), end = sizeof interrupt - 1;
    if (length >= end && !strcmp(text + length - end, interrupt)) s->interrupted = true;
    luaL_traceback(L, L, text, 1);
    if (s->apart) qrt_node_traceback(lua_tostring(L, -1));
    if (push_driver(L, s) == LUA_TTABLE && lua_getfield(L, -1, "tracebacks") == LUA_TTABLE) {
        lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
        lua_pushvalue(L, 3);
        if (count < TRACEBACKS_MAX) lua_rawseti(L, -2, count + 1);
    }
    lua_settop(L, 3);
    return 1;
}

/* ---- a handler: message, timer, proposal ---- */

static int push_arguments(lua_State *L, const struct call *call) {
    const char *what = call->method + 3; /* on_... */
    if (*what == 'o') {
        lua_pushinteger(L, (lua_Integer)call->number);
        lua_pushboolean(L, call->suspected);
        lua_pushnumber(L, call->suspicion);
        return 3;
    }
    if (*what == 'm') {
        lua_pushinteger(L, (lua_Integer)call->number);
        plain_decode(L, call->data, call->size);
        return 2;
    }
    lua_pushlstring(L, (const char *)call->data, call->size);
    if (*what == 't') return 1;
    lua_pushinteger(L, (lua_Integer)call->number);
    return 2;
}

static int handle(lua_State *L) {
    const struct call *call = lua_touserdata(L, 1);
    if (push_driver(L, call->scripts) != LUA_TTABLE) return 0;
    lua_rawgeti(L, -1, (lua_Integer)call->node);
    lua_getfield(L, -1, call->method);
    lua_insert(L, -2);
    lua_call(L, 1 + push_arguments(L, call), 0);
    return 0;
}

/* ---- the other calls, which the driver makes ---- */

static int push_driven(lua_State *L, const struct call *call) {
    lua_pushinteger(L, (lua_Integer)call->node);
    if (!strcmp(call->method, "create")) {
        lua_pushinteger(L, (lua_Integer)call->number);
        lua_createtable(L, (int)call->size, 0);
        for (size_t i = 0; i < call->size; i++) {
            lua_pushinteger(L, call->peers[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return 3;
    }
    if (!strcmp(call->method, "start")) lua_pushinteger(L, (lua_Integer)call->number);
    if (call->data) lua_pushlstring(L, (const char *)call->data, call->size);
    return lua_gettop(L) - 3;
}

static int drive(lua_State *L) {
    const struct call *call = lua_touserdata(L, 1);
    size_t size;
    luaL_checkstack(L, 12, "a script");
    if (push_driver(L, call->scripts) != LUA_TTABLE) return 0;
    lua_getfield(L, -1, call->method);
    lua_call(L, push_driven(L, call), 1);
    const char *answer = lua_tolstring(L, -1, &size);
    if (answer && call->reply) qrt_reply_put(call->reply, (const uint8_t *)answer, size);
    return 0;
}

/* ---- both ---- */

static void endless(lua_State *L, lua_Debug *at) {
    (void)at;
    luaL_where(L, 0);
    lua_pushfstring(L, "%sthe handler executed more than %d instructions: an endless loop?", lua_tostring(L, -1),
                    INSTRUCTIONS_MAX);
    lua_error(L);
}

/* The error, or NULL; it lies on the stack until the caller resets its top. */
static const char *perform(lua_CFunction function, const struct call *call) {
    lua_State *L = call->scripts->main;
    if (!lua_checkstack(L, 16)) return "out of Lua's stack";
    bool limited = lua_gethook(L) == NULL;
    lua_pushlightuserdata(L, call->scripts);
    lua_pushcclosure(L, explain, 1);
    int handler = lua_gettop(L);
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, (void *)(uintptr_t)call);
    if (limited) lua_sethook(L, endless, LUA_MASKCOUNT, INSTRUCTIONS_MAX);
    int status = lua_pcall(L, 1, 0, handler);
    if (limited && lua_gethook(L) == endless) lua_sethook(L, NULL, 0, 0);
    if (status == LUA_OK) return NULL;
    const char *text = lua_tostring(L, -1);
    return text ? text : "an error that is no text";
}

static void perform_step(lua_CFunction function, const struct call *call, qrt_ctx *x) {
    lua_State *L = call->scripts->main;
    int top = lua_gettop(L);
    qrt_ctx *before = now;
    now = x;
    const char *failure = perform(function, call);
    now = before;
    if (failure) {
        char text[480];
        snprintf(text, sizeof text, "%s() raised %s", call->method, failure);
        qrt_ctx_raise(x, text);
    }
    lua_settop(L, top);
}

static bool perform_driven(const struct call *call) {
    lua_State *L = call->scripts->main;
    int top = lua_gettop(L);
    const char *failure = perform(drive, call);
    if (failure && call->reply) {
        char text[480];
        snprintf(text, sizeof text, "%.*s", (int)strcspn(failure, "\n"), failure);
        qrt_reply_raise(call->reply, text);
    }
    lua_settop(L, top);
    return !failure;
}

static uint64_t script_create(void *context, uint16_t id, const uint16_t *peers, size_t count) {
    struct scripts *s = context;
    struct call call = {
        .scripts = s, .method = "create", .node = ++s->made, .number = id, .peers = peers, .size = count};
    return perform_driven(&call) ? call.node : 0;
}

static void script_destroy(void *context, uint64_t node) {
    struct call call = {.scripts = context, .method = "destroy", .node = node};
    perform_driven(&call);
}

static void script_save(void *context, uint64_t node, qrt_reply *reply) {
    struct call call = {.scripts = context, .method = "save", .node = node, .reply = reply};
    perform_driven(&call);
}

static void script_load(void *context, uint64_t node, const uint8_t *state, size_t size, qrt_reply *reply) {
    struct call call = {context, "load", node, 0, state, size, NULL, reply};
    perform_driven(&call);
}

static void script_describe(void *context, uint64_t node, qrt_reply *reply) {
    struct call call = {.scripts = context, .method = "describe", .node = node, .reply = reply};
    perform_driven(&call);
}

static void script_start(void *context, uint64_t node, qrt_ctx *x, uint8_t how, const uint8_t *stored, size_t size) {
    struct call call = {context, "start", node, how, stored, size, NULL, NULL};
    perform_step(drive, &call, x);
}

static void script_message(void *context, uint64_t node, qrt_ctx *x, uint16_t from, const uint8_t *data, size_t size) {
    struct call call = {context, "on_message", node, from, data, size, NULL, NULL};
    perform_step(handle, &call, x);
}

static void script_timer(void *context, uint64_t node, qrt_ctx *x, const char *name) {
    struct call call = {context, "on_timer", node, 0, (const uint8_t *)name, strlen(name), NULL, NULL};
    perform_step(handle, &call, x);
}

static void script_propose(void *context, uint64_t node, qrt_ctx *x, uint64_t ticket, const uint8_t *value,
                           size_t size) {
    struct call call = {context, "on_propose", node, ticket, value ? value : (const uint8_t *)"", size, NULL, NULL};
    perform_step(handle, &call, x);
}

static void script_opinion(void *context, uint64_t node, qrt_ctx *x, uint16_t peer, bool suspected, double suspicion) {
    struct call call = {.scripts = context,
                        .method = "on_opinion",
                        .node = node,
                        .number = peer,
                        .suspected = suspected,
                        .suspicion = suspicion};
    perform_step(handle, &call, x);
}

struct scripts *scripts_new(lua_State *L, int driver) {
    driver = lua_absindex(L, driver);
    lua_getfield(L, driver, "name");
    lua_getfield(L, driver, "judged_by");
    lua_getfield(L, driver, "fault_model");
    const char *name = face_text(L, -3, "a script's name"), *judged_by = face_text(L, -2, "a script's judged_by");
    const char *model = face_json(L, lua_gettop(L), true);
    push_drivers(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    struct scripts *s = calloc(1, sizeof *s);
    if (!s) face_raise(L, "out of memory");
    s->main = main;
    s->references = 1;
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->judged_by, sizeof s->judged_by, "%s", judged_by);
    snprintf(s->model, sizeof s->model, "%s", model);
    s->table = (qrt_script){s->name,         s->judged_by,   s->model,       s,
                            script_create,   script_destroy, script_save,    script_load,
                            script_describe, script_start,   script_message, script_timer,
                            script_propose};
    lua_getfield(L, driver, "opinion");
    if (lua_toboolean(L, -1)) s->table.opinion = script_opinion;
    lua_pop(L, 1);
    lua_pushvalue(L, driver);
    lua_rawsetp(L, -2, s);
    return s;
}

/* The driver's `launch`, {program, argument, ..}, and `cargo`, where it has them; the core copies both. */
void scripts_launch(lua_State *L, struct scripts *s, int driver) {
    size_t count = 0;
    if (lua_getfield(L, driver, "launch") != LUA_TTABLE) return;
    int words = lua_gettop(L);
    count = (size_t)lua_rawlen(L, words);
    const char **argv = lua_newuserdatauv(L, (count + 1) * sizeof *argv, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, words, (lua_Integer)i + 1);
        argv[i] = face_text(L, -1, "a word of an interpreter's command");
        lua_pop(L, 1);
    }
    argv[count] = NULL;
    s->table.launch = argv;
    lua_getfield(L, driver, "cargo");
    s->table.cargo = (const uint8_t *)face_bytes(L, -1, "the cargo", &s->table.cargo_size);
}

/* node_main(driver): the exit code, when it comes back at all */
static int node_main(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    struct scripts *s = scripts_new(L, 1);
    s->apart = true;
    lua_pushinteger(L, qrt_node_main(&s->table));
    return 1;
}

static int node_fail(lua_State *L) {
    const char *why = face_text(L, 1, "why a node cannot be");
    qrt_node_traceback(why);
    qrt_node_fail(why);
    return 0;
}

struct scripts *scripts_ref(struct scripts *s) {
    s->references++;
    return s;
}

void scripts_unref(struct scripts *s) {
    if (s && --s->references == 0) free(s);
}

const qrt_script *scripts_table(const struct scripts *s) {
    return &s->table;
}

void scripts_interrupt(lua_State *L, struct scripts *s) {
    if (!s->interrupted) return;
    s->interrupted = false;
    face_raise(L, "interrupted!");
}

/* ---- what a handler may ask for: methods of a node ---- */

static qrt_ctx *ctx(lua_State *L) {
    if (!now) face_raise(L, "this can be called only by a handler, while the cluster runs it");
    return now;
}

static const struct plain *encoded(lua_State *L, int index, const char *place) {
    static _Thread_local struct plain b;
    plain_encode(L, index, place, &b);
    return &b;
}

static bool at_once(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return false;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "at_once");
    bool wanted = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return wanted;
}

static int send_to(lua_State *L, uint16_t to, int index) {
    qrt_ctx *x = ctx(L);
    bool now_ = at_once(L, index + 1);
    const struct plain *b = encoded(L, index, "the message");
    if (now_)
        qrt_ctx_send_now(x, to, b->data, b->size);
    else
        qrt_ctx_send(x, to, b->data, b->size);
    return 0;
}

static int node_send(lua_State *L) {
    if (lua_isnoneornil(L, 2)) face_raise(L, "send takes a node and a message; send_all reaches them all");
    return send_to(L, face_node(L, 2), 3);
}

static int node_send_all(lua_State *L) {
    return send_to(L, 0, 2);
}

static int node_set_timer(lua_State *L) {
    const char *name = face_text(L, 2, "a timer's name");
    double ns = face_number(L, 3, "a timer's seconds", 0) * 1e9;
    qrt_ctx_timer(ctx(L), name, ns >= 9.2e18 ? INT64_MAX : ns <= -9.2e18 ? -1 : (int64_t)(ns + (ns >= 0 ? 0.5 : -0.5)));
    return 0;
}

static int node_clear_timer(lua_State *L) {
    qrt_ctx_timer(ctx(L), face_text(L, 2, "a timer's name"), INT64_MAX);
    return 0;
}

static int node_persist(lua_State *L) {
    qrt_ctx *x = ctx(L);
    const struct plain *b = encoded(L, 2, "the persisted value");
    qrt_ctx_persist(x, b->data, b->size);
    return 0;
}

static uint64_t field(lua_State *L, int index, const char *name) {
    if (lua_isnoneornil(L, index)) return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && !lua_isinteger(L, -1)) face_raise(L, "%s is a whole number", name);
    uint64_t value = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static int answer(lua_State *L, qrt_status status) {
    size_t size = 0;
    const char *data = lua_isnoneornil(L, 3) ? "" : face_bytes(L, 3, "an answer", &size);
    uint64_t ticket = (uint64_t)luaL_checkinteger(L, 2);
    qrt_ctx_answer(ctx(L), ticket, status, 0, field(L, 4, "term"), field(L, 4, "index"), (const uint8_t *)data, size);
    return 0;
}

static int node_reply(lua_State *L) {
    return answer(L, QRT_OK);
}

static int node_answer_fail(lua_State *L) {
    return answer(L, QRT_EFAILED);
}

static int node_unsupported(lua_State *L) {
    return answer(L, QRT_EUNSUPPORTED);
}

static int node_refuse(lua_State *L) {
    qrt_ctx_answer(ctx(L), (uint64_t)luaL_checkinteger(L, 2), QRT_ENOTLEADER, face_node(L, 3), 0, 0, NULL, 0);
    return 0;
}

/* Text as it was proposed; other plain data encoded. */
static const uint8_t *named_bytes(lua_State *L, int index, size_t *size) {
    if (lua_type(L, index) == LUA_TSTRING) return (const uint8_t *)lua_tolstring(L, index, size);
    const struct plain *b = encoded(L, index, "the value");
    *size = b->size;
    return b->data;
}

/* decide(instance, value, { ballot = 0, outcome = 0 }) */
static int node_decide(lua_State *L) {
    qrt_ctx *x = ctx(L);
    size_t size;
    uint64_t instance = (uint64_t)luaL_checkinteger(L, 2), ballot = field(L, 4, "ballot");
    uint8_t outcome = (uint8_t)field(L, 4, "outcome");
    const uint8_t *data = named_bytes(L, 3, &size);
    qrt_ctx_decide(x, instance, ballot, outcome, data, size);
    return 0;
}

static int node_hash(lua_State *L) {
    size_t size;
    const uint8_t *data = named_bytes(L, 2, &size);
    lua_pushinteger(L, (lua_Integer)qrt_hash(data, size));
    return 1;
}

/* note(kind, { detail, peer, term, index, link, value }) */
static int node_note(lua_State *L) {
    const char *kind = face_text(L, 2, "a kind of event");
    uint8_t number = 1;
    while (number < 32 && strcmp(qrt_kind_name(number), kind)) number++;
    if (number == 32) face_raise(L, "there is no kind of event '%s'", kind);
    qrt_ctx_note(ctx(L), number, (uint8_t)field(L, 3, "detail"), (uint16_t)field(L, 3, "peer"), field(L, 3, "term"),
                 field(L, 3, "index"), field(L, 3, "link"), field(L, 3, "value"));
    return 0;
}

/* become(role, { term, leader }) */
static int node_become(lua_State *L) {
    const char *role = face_text(L, 2, "a role");
    uint8_t number = 0;
    while (number <= QRT_ROLE_RECOVERING && strcmp(qrt_role_name(number), role)) number++;
    if (number > QRT_ROLE_RECOVERING) face_raise(L, "there is no role '%s'", role);
    qrt_ctx_note(ctx(L), QRT_KIND_ROLE, number, (uint16_t)field(L, 3, "leader"), field(L, 3, "term"), 0, 0, 0);
    return 0;
}

/* As math.random: (): a float in [0, 1); (n): 1 to n; (m, n): m to n. One draw each, as Python's. */
static int node_random(lua_State *L) {
    uint64_t bits = qrt_ctx_random(ctx(L));
    if (lua_isnoneornil(L, 2)) {
        lua_pushnumber(L, (double)(bits >> 11) * 0x1p-53);
        return 1;
    }
    lua_Integer low = lua_isnoneornil(L, 3) ? 1 : luaL_checkinteger(L, 2);
    lua_Integer high = luaL_checkinteger(L, lua_isnoneornil(L, 3) ? 2 : 3);
    if (low > high) face_raise(L, "there is no whole number from %lld to %lld", (long long)low, (long long)high);
    unsigned __int128 bound = (unsigned __int128)((uint64_t)high - (uint64_t)low) + 1;
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + (uint64_t)((bits * bound) >> 64)));
    return 1;
}

static int node_now(lua_State *L) {
    lua_pushnumber(L, (double)qrt_ctx_mono(ctx(L)) / 1e9);
    return 1;
}

static int node_wall(lua_State *L) {
    lua_pushnumber(L, (double)qrt_ctx_wall(ctx(L)) / 1e9);
    return 1;
}

static const luaL_Reg methods[] = {
    {"send", node_send},
    {"send_all", node_send_all},
    {"set_timer", node_set_timer},
    {"persist", node_persist},
    {"reply", node_reply},
    {"clear_timer", node_clear_timer},
    {"refuse", node_refuse},
    {"fail", node_answer_fail},
    {"_unsupported", node_unsupported},
    {"decide", node_decide},
    {"hash", node_hash},
    {"note", node_note},
    {"become", node_become},
    {"random", node_random},
    {"now", node_now},
    {"wall", node_wall},
    {NULL, NULL},
};

void script_open(lua_State *L) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "Node");
    lua_pushcfunction(L, plain_encode_function);
    lua_setfield(L, -2, "plain_encode");
    lua_pushcfunction(L, node_main);
    lua_setfield(L, -2, "node_main");
    lua_pushcfunction(L, node_fail);
    lua_setfield(L, -2, "node_fail");
    lua_pushcfunction(L, plain_decode_function);
    lua_setfield(L, -2, "plain_decode");
}
