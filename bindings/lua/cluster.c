/* Clusters: what the core can do in one call each. The verbs that users know are written in Lua on top of these
 * (lua/quorate/cluster.lua); names with an underscore are for there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "face.h"

static struct face_cluster *self_place(lua_State *L) {
    struct face_cluster *self = luaL_testudata(L, 1, FACE_CLUSTER);
    if (!self) face_raise(L, "this is called as a method of a cluster, with a colon; it got a %s", luaL_typename(L, 1));
    return self;
}

qrt_cluster *cluster_handle(lua_State *L, int index) {
    struct face_cluster *self = luaL_testudata(L, index, FACE_CLUSTER);
    if (!self)
        face_raise(L, "this is called as a method of a cluster, with a colon; it got a %s", luaL_typename(L, index));
    if (!self->cluster) face_raise(L, "the cluster is closed");
    return self->cluster;
}

static qrt_cluster *self_handle(lua_State *L) {
    return cluster_handle(L, 1);
}

static struct face_cluster *cluster_place_new(lua_State *L) {
    struct face_cluster *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (struct face_cluster){0};
    luaL_setmetatable(L, FACE_CLUSTER);
    return self;
}

/* What ran machines of the user's own ends here: an interrupt that one of them met goes on to the caller. */
static void settle(lua_State *L) {
    struct face_cluster *self = lua_touserdata(L, 1);
    if (self->machines) machines_interrupt(L, self->machines);
    if (self->scripts) scripts_interrupt(L, self->scripts);
}

static int push_done(lua_State *L, qrt_status s) {
    settle(L);
    if (s < 0) return face_fail(L, s, self_handle(L));
    lua_pushboolean(L, s == QRT_OK);
    return 1;
}

static int push_text(lua_State *L, const char *json) {
    settle(L);
    if (!json) return face_fail_text(L, self_handle(L));
    face_push_json(L, json);
    return 1;
}

/* --- life --- */

/* {{name, value}, ..} at that index; the table keeps the texts, a userdata on the stack the array. */
static qrt_option *push_options(lua_State *L, int index, size_t *count) {
    luaL_checktype(L, index, LUA_TTABLE);
    *count = (size_t)lua_rawlen(L, index);
    qrt_option *options = lua_newuserdatauv(L, (*count + 1) * sizeof *options, 0);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        options[i] = (qrt_option){face_text(L, -2, "the name of an option"), face_text(L, -1, "an option")};
        lua_pop(L, 3);
    }
    return options;
}

/* new(protocol, {{name, value}, ..}, driver or nil, machine's name) */
static int cluster_create(lua_State *L) {
    const char *protocol = face_text(L, 1, "a protocol");
    size_t count;
    const qrt_option *options = push_options(L, 2, &count);
    struct face_cluster *self = cluster_place_new(L);
    if (!lua_isnoneornil(L, 3)) {
        self->machines = machines_new(L, 3, face_text(L, 4, "the name of a state machine"));
        lua_pushvalue(L, 3);
        lua_setiuservalue(L, -2, 1);
    }
    qrt_status s = qrt_cluster_new(&self->cluster, protocol, options, count, machines_table(self->machines));
    if (self->machines) machines_interrupt(L, self->machines);
    return s ? face_fail(L, s, NULL) : 1;
}

/* The place of a cluster of a driver's script. */
static struct face_cluster *push_scripted(lua_State *L, int driver) {
    struct face_cluster *self = cluster_place_new(L);
    int place = lua_gettop(L);
    self->scripts = scripts_new(L, driver);
    lua_settop(L, place);
    lua_pushvalue(L, driver);
    lua_setiuservalue(L, place, 1);
    return self;
}

/* script(driver, {{name, value}, ..}) */
static int cluster_script(lua_State *L) {
    size_t count;
    const qrt_option *options = push_options(L, 2, &count);
    struct face_cluster *self = push_scripted(L, 1);
    int place = lua_gettop(L);
    scripts_launch(L, self->scripts, 1);
    qrt_status s = qrt_cluster_new_script(&self->cluster, scripts_table(self->scripts), options, count);
    lua_settop(L, place);
    scripts_interrupt(L, self->scripts);
    return s ? face_fail(L, s, NULL) : 1;
}

/* seed(driver, spec, seed, record) */
static int cluster_seed(lua_State *L) {
    const char *spec = face_text(L, 2, "a campaign");
    uint64_t seed = face_count(L, 3, "a seed");
    bool record = lua_toboolean(L, 4);
    struct face_cluster *self = push_scripted(L, 1);
    qrt_status s = qrt_cluster_seed(&self->cluster, scripts_table(self->scripts), spec, seed, record);
    scripts_interrupt(L, self->scripts);
    return s ? face_fail(L, s, NULL) : 1;
}

static int cluster_replay(lua_State *L) {
    const char *run = face_text(L, 1, "a run file");
    struct face_cluster *self = cluster_place_new(L);
    qrt_status s = qrt_cluster_replay(&self->cluster, run);
    return s ? face_fail(L, s, NULL) : 1;
}

/* connect(file, key's file or nil) */
static int cluster_connect(lua_State *L) {
    const char *file = face_text(L, 1, "a cluster file");
    const char *key = lua_isnoneornil(L, 2) ? NULL : face_text(L, 2, "a key file");
    struct face_cluster *self = cluster_place_new(L);
    qrt_status s = qrt_connect(&self->cluster, file, key);
    return s ? face_fail(L, s, NULL) : 1;
}

/* keygen(file, name or nil) */
static int cluster_keygen(lua_State *L) {
    const char *name = lua_isnoneornil(L, 2) ? NULL : face_text(L, 2, "a name");
    const char *made = qrt_keygen(face_text(L, 1, "a cluster file"), name);
    if (!made) return face_fail_text(L, NULL);
    face_push_json(L, made);
    return 1;
}

static int cluster_program(lua_State *L) {
    const char *path = qrt_node_program();
    if (!path) return face_fail_text(L, NULL);
    lua_pushstring(L, path);
    return 1;
}

/* Refused inside a callback of its own machines. In a child of fork(2) nothing is freed: it is the parent's. */
static int cluster_close(lua_State *L) {
    struct face_cluster *self = self_place(L);
    if (!self->cluster) {
        machines_unref(self->machines); /* the constructor failed */
        scripts_unref(self->scripts);
        self->machines = NULL;
        self->scripts = NULL;
        return 0;
    }
    qrt_cluster *c = self->cluster;
    qrt_cluster_free(&self->cluster);
    if (!self->cluster) {
        machines_unref(self->machines);
        scripts_unref(self->scripts);
        self->machines = NULL;
        self->scripts = NULL;
        return 0;
    }
    uint16_t nodes;
    if (qrt_cluster_size(c, &nodes) == QRT_EBUSY) return face_fail(L, QRT_EBUSY, c);
    self->cluster = NULL;
    return 0;
}

static int cluster_closed(lua_State *L) {
    lua_pushboolean(L, self_place(L)->cluster == NULL);
    return 1;
}

static int cluster_fork(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    struct face_cluster *from = lua_touserdata(L, 1), *self = cluster_place_new(L);
    qrt_status s = qrt_cluster_fork(c, &self->cluster);
    settle(L);
    if (s) return face_fail(L, s, c);
    if (from->machines || from->scripts) {
        self->machines = from->machines ? machines_ref(from->machines) : NULL;
        self->scripts = from->scripts ? scripts_ref(from->scripts) : NULL;
        lua_getiuservalue(L, 1, 1);
        lua_setiuservalue(L, -2, 1);
    }
    return 1;
}

/* --- time --- */

static int cluster_now(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    int64_t now;
    qrt_status s = qrt_cluster_now(c, &now);
    if (s) return face_fail(L, s, c);
    lua_pushinteger(L, now);
    return 1;
}

/* How much work, in ns, a long call does before it comes back; less than 0: the default. */
static int cluster_slice(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    qrt_status s = qrt_slice(c, luaL_checkinteger(L, 2));
    return s ? face_fail(L, s, c) : 0;
}

/* True when the time or the condition has come, false: call again. */
static int cluster_run(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    int64_t until = luaL_checkinteger(L, 2);
    const char *condition = lua_isnoneornil(L, 3) ? NULL : face_text(L, 3, "a condition");
    return push_done(L, qrt_cluster_run(c, until, condition));
}

static int cluster_step(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    int64_t done = qrt_cluster_step(c, (int64_t)face_count(L, 2, "a number of events"));
    settle(L);
    if (done < 0) return face_fail(L, (qrt_status)done, c);
    lua_pushinteger(L, (lua_Integer)done);
    return 1;
}

static int cluster_leader(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint16_t node;
    qrt_status s = qrt_cluster_leader(c, &node);
    if (s) return face_fail(L, s, c);
    lua_pushinteger(L, node);
    return 1;
}

/* --- proposals and operations --- */

static int push_ticket(lua_State *L, qrt_cluster *c, qrt_status s, const uint64_t *ticket) {
    settle(L);
    if (s) return face_fail(L, s, c);
    lua_pushinteger(L, (lua_Integer)*ticket);
    return 1;
}

static int cluster_propose(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    size_t size;
    uint64_t ticket = 0;
    const char *data = face_bytes(L, 2, "a proposed value", &size);
    uint16_t node = face_node(L, 3);
    return push_ticket(L, c, qrt_cluster_propose(c, node, (const uint8_t *)data, size, &ticket), &ticket);
}

static int cluster_elect(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t ticket = 0;
    return push_ticket(L, c, qrt_cluster_elect(c, face_node(L, 2), &ticket), &ticket);
}

static int cluster_propose_many(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t first = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    uint16_t node = face_node(L, 3);
    size_t count = (size_t)lua_rawlen(L, 2), size;
    uint32_t *sizes = lua_newuserdatauv(L, (count + 1) * sizeof *sizes, 0);
    luaL_Buffer all;
    luaL_buffinit(L, &all);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        face_bytes(L, -1, "a proposed value", &size);
        if (size > UINT32_MAX) face_raise(L, "a proposed value is longer than 4 GiB");
        sizes[i] = (uint32_t)size;
        luaL_addvalue(&all);
    }
    luaL_pushresult(&all);
    qrt_status s = qrt_cluster_propose_many(c, node, (const uint8_t *)lua_tostring(L, -1), sizes, count, &first);
    return push_ticket(L, c, s, &first);
}

/* --- transactions --- */

static uint8_t vote_of(lua_State *L, int index) {
    static const char *const names[] = {"yes", "no", "read-only", NULL};
    return (uint8_t)(QRT_VOTE_YES + luaL_checkoption(L, index, NULL, names));
}

/* transact({{node, vote, work}, ..}, coordinator or nil) */
static int cluster_transact(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t ticket = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    uint16_t coordinator = face_node(L, 3);
    size_t count = (size_t)lua_rawlen(L, 2);
    qrt_participant *parts = lua_newuserdatauv(L, (count + 1) * sizeof *parts, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        for (int k = 1; k <= 3; k++) lua_rawgeti(L, -k, k);
        size_t size;
        const char *work = face_bytes(L, -1, "what a participant is to do", &size);
        parts[i] = (qrt_participant){face_node(L, -3), vote_of(L, -2), (const uint8_t *)work, size};
        lua_pop(L, 4); /* the table keeps the text */
    }
    return push_ticket(L, c, qrt_cluster_transact(c, coordinator, parts, count, &ticket), &ticket);
}

static int cluster_transaction_await(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t ticket = (uint64_t)luaL_checkinteger(L, 2);
    return push_done(L, qrt_cluster_transaction_await(c, ticket, luaL_checkinteger(L, 3)));
}

static int cluster_transaction(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_text(L, qrt_cluster_transaction(c, (uint64_t)luaL_checkinteger(L, 2)));
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* false while it has not ended; then a table, of which the field `message` says what went wrong, if anything. */
static int push_result(lua_State *L, qrt_cluster *c, qrt_status s, const qrt_result *r) {
    settle(L);
    if (s < 0) return face_fail(L, s, c);
    if (s == QRT_MORE) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lua_createtable(L, 0, 9);
    lua_pushlstring(L, r->data ? (const char *)r->data : "", r->size);
    lua_setfield(L, -2, "answer");
    lua_pushnumber(L, (double)r->latency_ns / 1e9);
    lua_setfield(L, -2, "latency");
    set_integer(L, "index", r->index);
    set_integer(L, "term", r->term);
    set_integer(L, "node", r->node);
    set_integer(L, "leader", r->leader);
    face_push_status(L, r->status, c);
    lua_setfield(L, -3, "status");
    if (r->status < 0)
        lua_setfield(L, -2, "message");
    else
        lua_pop(L, 1);
    return 1;
}

static int cluster_await(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    qrt_result r;
    uint64_t ticket = (uint64_t)luaL_checkinteger(L, 2);
    return push_result(L, c, qrt_cluster_await(c, ticket, luaL_checkinteger(L, 3), &r), &r);
}

static int cluster_result(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    qrt_result r;
    return push_result(L, c, qrt_cluster_result(c, (uint64_t)luaL_checkinteger(L, 2), &r), &r);
}

static int cluster_client(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint16_t client;
    qrt_status s = qrt_client_new(c, &client);
    settle(L);
    if (s) return face_fail(L, s, c);
    lua_pushinteger(L, client);
    return 1;
}

/* submit(client, operation's number, key, value, expected or nil) */
static int cluster_submit(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint16_t client = face_client(L, 2);
    qrt_command m = {.operation = (uint8_t)luaL_checkinteger(L, 3)};
    uint64_t ticket = 0;
    m.key = (const uint8_t *)face_bytes(L, 4, "a key", &m.key_size);
    m.value = (const uint8_t *)face_bytes(L, 5, "a value", &m.value_size);
    if (!lua_isnoneornil(L, 6)) m.expected = (const uint8_t *)face_bytes(L, 6, "an expected value", &m.expected_size);
    return push_ticket(L, c, qrt_client_submit(c, client, &m, &ticket), &ticket);
}

static int cluster_submit_raw(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint16_t client = face_client(L, 2);
    size_t size;
    uint64_t ticket = 0;
    const char *data = face_bytes(L, 4, "a command", &size);
    qrt_status s = qrt_client_submit_raw(c, client, lua_toboolean(L, 3), (const uint8_t *)data, size, &ticket);
    return push_ticket(L, c, s, &ticket);
}

static int cluster_load(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_done(L, qrt_cluster_load(c, face_text(L, 2, "a workload")));
}

static int cluster_load_stop(lua_State *L) {
    return push_done(L, qrt_cluster_load_stop(self_handle(L)));
}

static int cluster_load_report(lua_State *L) {
    return push_text(L, qrt_cluster_load_report(self_handle(L)));
}

/* --- faults --- */

static int cluster_fault(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_done(L, qrt_cluster_fault(c, face_json(L, 2, true)));
}

static int cluster_plan(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_done(L, qrt_cluster_plan(c, face_text(L, 2, "a plan")));
}

/* --- what it shows --- */

static int cluster_check(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    double seconds = face_number(L, 2, "a budget of seconds", 0);
    size_t memory = lua_isnoneornil(L, 3) ? 0 : (size_t)face_count(L, 3, "a budget of bytes");
    return push_done(L, qrt_cluster_check(c, seconds, memory));
}

static int cluster_report(lua_State *L) {
    return push_text(L, qrt_cluster_report(self_handle(L)));
}

static int cluster_status(lua_State *L) {
    return push_text(L, qrt_cluster_status(self_handle(L)));
}

static int cluster_inspect(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_text(L, qrt_cluster_inspect(c, face_node(L, 2)));
}

static int cluster_tracebacks(lua_State *L) {
    return push_text(L, qrt_cluster_tracebacks(self_handle(L)));
}

static int cluster_ask(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    return push_text(L, qrt_node_ask(c, face_node(L, 2), face_text(L, 3, "a question")));
}

static int cluster_fingerprint(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t fingerprint;
    qrt_status s = qrt_cluster_fingerprint(c, &fingerprint);
    settle(L);
    if (s) return face_fail(L, s, c);
    lua_pushinteger(L, (lua_Integer)fingerprint);
    return 1;
}

/* The hash in hexadecimal, and the number of events. */
static int cluster_hash(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t hash, events;
    char text[20];
    qrt_status s = qrt_cluster_hash(c, &hash, &events);
    if (s) return face_fail(L, s, c);
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    lua_pushstring(L, text);
    lua_pushinteger(L, (lua_Integer)events);
    return 2;
}

static int cluster_replay_run(lua_State *L) {
    return push_done(L, qrt_cluster_replay_run(self_handle(L)));
}

/* Whether it is done, in how many tries so far, and how many directives are left. */
static int cluster_shrink(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    uint64_t tries = 0, directives = 0;
    qrt_status s = qrt_cluster_shrink(c, &tries, &directives);
    if (s < 0) return face_fail(L, s, c);
    lua_pushboolean(L, s == QRT_OK);
    lua_pushinteger(L, (lua_Integer)tries);
    lua_pushinteger(L, (lua_Integer)directives);
    return 3;
}

static int cluster_shrunk(lua_State *L) {
    qrt_cluster *c = self_handle(L);
    const char *text = qrt_cluster_shrunk(c);
    if (!text) return face_fail_text(L, c);
    lua_pushstring(L, text);
    return 1;
}

static int cluster_seed_report(lua_State *L) {
    return push_text(L, qrt_cluster_seed_report(self_handle(L)));
}

static const luaL_Reg methods[] = {
    {"_close", cluster_close},
    {"_closed", cluster_closed},
    {"_fork", cluster_fork},
    {"_now", cluster_now},
    {"_slice", cluster_slice},
    {"_run", cluster_run},
    {"_step", cluster_step},
    {"_leader", cluster_leader},
    {"_propose", cluster_propose},
    {"_elect", cluster_elect},
    {"_propose_many", cluster_propose_many},
    {"_transact", cluster_transact},
    {"_transaction_await", cluster_transaction_await},
    {"_transaction", cluster_transaction},
    {"_await", cluster_await},
    {"_result", cluster_result},
    {"_client", cluster_client},
    {"_submit", cluster_submit},
    {"_submit_raw", cluster_submit_raw},
    {"_load", cluster_load},
    {"_load_stop", cluster_load_stop},
    {"_load_report", cluster_load_report},
    {"_fault", cluster_fault},
    {"_plan", cluster_plan},
    {"_check", cluster_check},
    {"_report", cluster_report},
    {"_status", cluster_status},
    {"_inspect", cluster_inspect},
    {"_ask", cluster_ask},
    {"_tracebacks", cluster_tracebacks},
    {"_fingerprint", cluster_fingerprint},
    {"_hash", cluster_hash},
    {"_replay_run", cluster_replay_run},
    {"_seed_report", cluster_seed_report},
    {"_shrink", cluster_shrink},
    {"_shrunk", cluster_shrunk},
    {NULL, NULL},
};

void cluster_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"cluster", cluster_create},       {"replay", cluster_replay},
                                         {"script", cluster_script},        {"seed", cluster_seed},
                                         {"connect", cluster_connect},      {"keygen", cluster_keygen},
                                         {"node_program", cluster_program}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_CLUSTER, methods, cluster_close);
    lua_setfield(L, -2, "Cluster");
}
