/* Placement and quorum rules. A ring is made from a table: a list of names, or names with weights in `nodes`,
 * options beside them: Ring{"a", "b", rule = "nearest"}, Ring{nodes = {a = 1, b = 2}, zones = {a = "east"}}.
 */
#include <string.h>

#include "arrays.h"

enum { MAGLEV_SIZE = 65537 }; /* as the paper's small table; a prime */

static const char *const ring_fields[] = {"nodes", "zones", NULL};

static qrt_ring *self_ring(lua_State *L) {
    return face_handle(L, 1, FACE_RING);
}

static int ring_result(lua_State *L, qrt_ring *r, qrt_status s) {
    if (s) return face_fail(L, s, r);
    lua_settop(L, 1); /* the ring, so that calls can be chained */
    return 1;
}

struct members {
    const char **names, **zones;
    double *weights;
    size_t count;
};

/* Appends one; its text is kept alive by the tables that it came from. */
static void member_add(lua_State *L, struct members *m, int zones, const char *name, double weight) {
    m->names[m->count] = name;
    m->weights[m->count] = weight;
    m->zones[m->count] = "";
    if (zones && lua_getfield(L, zones, name) == LUA_TSTRING) m->zones[m->count] = lua_tostring(L, -1);
    if (zones) lua_pop(L, 1);
    m->count++;
}

static size_t table_count(lua_State *L, int index) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    return count;
}

/* Reads names from a list, or names and weights from fields; `options` says that other fields are no nodes.
 */
static void members_read(lua_State *L, int index, int zones, bool options, struct members *m) {
    lua_Integer length = luaL_len(L, index);
    for (lua_Integer i = 1; i <= length; i++) {
        if (lua_geti(L, index, i) != LUA_TSTRING)
            face_raise(L, "a node's name is text, not a %s", luaL_typename(L, -1));
        member_add(L, m, zones, lua_tostring(L, -1), 1);
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); !options && lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        if (lua_type(L, -1) != LUA_TNUMBER)
            face_raise(L, "node '%s': a weight is a number, not a %s", lua_tostring(L, -2), luaL_typename(L, -1));
        member_add(L, m, zones, lua_tostring(L, -2), lua_tonumber(L, -1));
    }
}

static qrt_status ring_fill(lua_State *L, qrt_ring *r, int index) {
    lua_getfield(L, index, "nodes");
    int nodes = lua_gettop(L), zones = 0;
    if (lua_getfield(L, index, "zones") == LUA_TTABLE) zones = lua_gettop(L);
    size_t room = table_count(L, index) + (lua_istable(L, nodes) ? table_count(L, nodes) : 0);
    struct members m = {.names = face_array(L, room, sizeof *m.names),
                        .zones = face_array(L, room, sizeof *m.zones),
                        .weights = face_array(L, room, sizeof *m.weights)};
    members_read(L, index, zones, true, &m);
    if (lua_istable(L, nodes)) members_read(L, nodes, zones, false, &m);
    return qrt_ring_add(r, m.names, m.weights, m.zones, m.count);
}

static int ring_create(lua_State *L) {
    if (lua_isnoneornil(L, 1)) lua_settop(L, 0), lua_newtable(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    void **place = face_new(L, FACE_RING);
    struct face_options o = face_options(L, 1, ring_fields);
    qrt_ring *r = NULL;
    qrt_status s = qrt_ring_new(&r, o.all, o.count);
    *place = r;
    if (s) return face_fail(L, s, NULL);
    if ((s = ring_fill(L, r, 1))) return face_fail(L, s, r);
    lua_settop(L, 2);
    return 1;
}

static int ring_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_RING);
    qrt_ring *r = *place;
    qrt_ring_free(&r);
    *place = NULL;
    return 0;
}

/* add(name, weight, zone) */
static int ring_add(lua_State *L) {
    qrt_ring *r = self_ring(L);
    const char *name = face_text(L, 2, "a node's name"), *zone = lua_isnoneornil(L, 4) ? "" : face_text(L, 4, "a zone");
    double weight = luaL_optnumber(L, 3, 1);
    return ring_result(L, r, qrt_ring_add(r, &name, &weight, &zone, 1));
}

static int ring_remove(lua_State *L) {
    qrt_ring *r = self_ring(L);
    return ring_result(L, r, qrt_ring_remove(r, face_text(L, 2, "a node's name")));
}

static qrt_status slot_of(lua_State *L, qrt_ring *r, int index, uint32_t *slot) {
    size_t size;
    if (lua_isinteger(L, index)) {
        uint64_t key = (uint64_t)lua_tointeger(L, index);
        return qrt_ring_lookup_many(r, &key, 1, slot);
    }
    const char *key = face_bytes(L, index, "a key", &size);
    return qrt_ring_lookup(r, (const uint8_t *)key, size, slot, NULL);
}

static int ring_lookup(lua_State *L) {
    qrt_ring *r = self_ring(L);
    uint32_t slot;
    qrt_status s = slot_of(L, r, 2, &slot);
    if (s) return face_fail(L, s, r);
    lua_pushstring(L, qrt_ring_node(r, slot));
    return 1;
}

/* lookup_many(keys): their nodes, in order. */
static int ring_lookup_many(lua_State *L) {
    qrt_ring *r = self_ring(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer length = luaL_len(L, 2);
    lua_createtable(L, length < INT32_MAX ? (int)length : 0, 0);
    for (lua_Integer i = 1; i <= length; i++) {
        uint32_t slot;
        lua_geti(L, 2, i);
        qrt_status s = slot_of(L, r, lua_gettop(L), &slot);
        if (s) return face_fail(L, s, r);
        lua_pop(L, 1);
        lua_pushstring(L, qrt_ring_node(r, slot));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static int ring_replicas(lua_State *L) {
    qrt_ring *r = self_ring(L);
    size_t size;
    const char *key = face_bytes(L, 2, "a key", &size);
    uint64_t count = face_count(L, 3, "a number of replicas");
    uint32_t slots[64] = {0};
    qrt_status s =
        qrt_ring_replicas(r, (const uint8_t *)key, size, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX, slots);
    if (s) return face_fail(L, s, r);
    lua_createtable(L, (int)count, 0);
    for (uint64_t i = 0; i < count; i++) {
        lua_pushstring(L, qrt_ring_node(r, slots[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* nodes(): {name = weight} */
static int ring_nodes(lua_State *L) {
    qrt_ring *r = self_ring(L);
    lua_newtable(L);
    for (uint32_t slot = 0; slot < qrt_ring_slots(r); slot++) {
        if (!qrt_ring_node(r, slot)) continue;
        lua_pushnumber(L, qrt_ring_weight(r, slot));
        lua_setfield(L, -2, qrt_ring_node(r, slot));
    }
    return 1;
}

static int ring_balance(lua_State *L) {
    qrt_ring *r = self_ring(L);
    double *shares = face_array(L, qrt_ring_slots(r), sizeof *shares);
    qrt_ring_balance b;
    qrt_status s = qrt_ring_measure(r, shares, &b);
    if (s) return face_fail(L, s, r);
    lua_newtable(L);
    lua_pushnumber(L, b.sigma_over_mu), lua_setfield(L, -2, "sigma_over_mu");
    lua_pushnumber(L, b.least), lua_setfield(L, -2, "least");
    lua_pushnumber(L, b.most), lua_setfield(L, -2, "most");
    lua_newtable(L);
    for (uint32_t slot = 0; slot < qrt_ring_slots(r); slot++)
        if (qrt_ring_node(r, slot)) lua_pushnumber(L, shares[slot]), lua_setfield(L, -2, qrt_ring_node(r, slot));
    lua_setfield(L, -2, "shares");
    return 1;
}

/* moves(before, after), before:moves(after): a list of {first, last, source, target, share}; positions are
 * unsigned. */
static int ring_moves(lua_State *L) {
    qrt_ring *before = self_ring(L), *after = face_handle(L, 2, FACE_RING);
    const qrt_ring_move *moves;
    size_t count;
    qrt_status s = qrt_ring_moves(before, after, &moves, &count);
    if (s) return face_fail(L, s, after);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 5);
        lua_pushinteger(L, (lua_Integer)moves[i].first), lua_setfield(L, -2, "first");
        lua_pushinteger(L, (lua_Integer)moves[i].last), lua_setfield(L, -2, "last");
        lua_pushstring(L, qrt_ring_node(before, moves[i].from)), lua_setfield(L, -2, "source");
        lua_pushstring(L, qrt_ring_node(after, moves[i].to)), lua_setfield(L, -2, "target");
        lua_pushnumber(L, ((double)(moves[i].last - moves[i].first) + 1) * 0x1p-64), lua_setfield(L, -2, "share");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int ring_copy(lua_State *L) {
    qrt_ring *r = self_ring(L), *twin = NULL;
    void **place = face_new(L, FACE_RING);
    qrt_status s = qrt_ring_clone(r, &twin);
    *place = twin;
    return s ? face_fail(L, s, r) : 1;
}

static int ring_fingerprint(lua_State *L) {
    qrt_ring *r = self_ring(L);
    uint64_t fingerprint;
    qrt_status s = qrt_ring_fingerprint(r, &fingerprint);
    if (s) return face_fail(L, s, r);
    lua_pushinteger(L, (lua_Integer)fingerprint);
    return 1;
}

static int ring_svg(lua_State *L) {
    qrt_ring *r = self_ring(L);
    const char *text = qrt_ring_svg(r);
    if (!text) return face_fail_text(L, r);
    lua_pushstring(L, text);
    return 1;
}

static int jump(lua_State *L) {
    uint64_t key = (uint64_t)luaL_checkinteger(L, 1), buckets = face_count(L, 2, "a number of buckets");
    uint32_t bucket;
    qrt_status s = qrt_jump_many(&key, 1, buckets < UINT32_MAX ? (uint32_t)buckets : UINT32_MAX, &bucket);
    if (s) return face_fail(L, s, NULL);
    lua_pushinteger(L, bucket);
    return 1;
}

static void push_field(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static bool flag_of(lua_State *L, int index, const char *name) {
    if (!lua_istable(L, index)) return false;
    lua_getfield(L, index, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

/* quorum(rule, nodes, {reads_meet =, writes_meet =}) */
static int quorum(lua_State *L) {
    const char *rule = face_text(L, 1, "a quorum rule");
    uint64_t nodes = face_count(L, 2, "a number of nodes");
    uint32_t needs = (flag_of(L, 3, "reads_meet") ? QRT_QUORUM_READS_MEET : 0) |
                     (flag_of(L, 3, "writes_meet") ? QRT_QUORUM_WRITES_MEET : 0);
    qrt_quorum q;
    qrt_status s = qrt_quorum_rule(rule, nodes < UINT32_MAX ? (uint32_t)nodes : UINT32_MAX, needs, &q);
    if (s) return face_fail(L, s, NULL);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, rule), lua_setfield(L, -2, "rule");
    push_field(L, "nodes", q.nodes);
    push_field(L, "size", q.write);
    push_field(L, "read", q.read);
    push_field(L, "write", q.write);
    push_field(L, "crashes", q.crashes);
    push_field(L, "liars", q.liars);
    lua_pushstring(L, q.text), lua_setfield(L, -2, "text");
    return 1;
}

/* quorum_met(rule, nodes, write, ids): do these nodes hold a quorum to write, or else to read? */
static int quorum_met(lua_State *L) {
    const char *rule = face_text(L, 1, "a quorum rule");
    uint64_t nodes = face_count(L, 2, "a number of nodes");
    luaL_checktype(L, 4, LUA_TTABLE);
    qrt_quorum known;
    qrt_status s = qrt_quorum_rule(rule, nodes < UINT32_MAX ? (uint32_t)nodes : UINT32_MAX, 0, &known);
    if (s) return face_fail(L, s, NULL);
    uint8_t *members = memset(face_array(L, nodes, sizeof *members), 0, nodes);
    lua_Integer length = luaL_len(L, 4);
    for (lua_Integer i = 1; i <= length; i++) {
        lua_geti(L, 4, i);
        uint16_t node = face_node(L, lua_gettop(L));
        if (!node || node > nodes)
            face_raise(L, "there is no node %d among %d; ids count from 1", (int)node, (int)nodes);
        members[node - 1] = 1;
        lua_pop(L, 1);
    }
    bool met;
    s = qrt_quorum_met(rule, (uint32_t)nodes, lua_toboolean(L, 3), members, &met);
    if (s) return face_fail(L, s, NULL);
    lua_pushboolean(L, met);
    return 1;
}

/* The nodes of the table at index 1: names, or names with weights. What a call of two arguments has beyond them goes. */
static struct members members_of(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    size_t room = table_count(L, 1);
    struct members m = {.names = face_array(L, room, sizeof *m.names),
                        .zones = face_array(L, room, sizeof *m.zones),
                        .weights = face_array(L, room, sizeof *m.weights)};
    members_read(L, 1, 0, false, &m);
    return m;
}

/* Pushes the names that those numbers stand for, in their order. */
static int push_chosen(lua_State *L, const struct members *m, const uint32_t *chosen, size_t count) {
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, m->names[chosen[i]]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* maglev(names, size): the name of each of `size` entries. */
static int maglev(lua_State *L) {
    struct members m = members_of(L);
    uint64_t size = lua_isnoneornil(L, 2) ? MAGLEV_SIZE : face_count(L, 2, "the size of a table");
    if (size > UINT32_MAX) size = 0; /* which is refused too */
    uint32_t *table = face_array(L, size, sizeof *table);
    qrt_status s = qrt_maglev_names(m.names, m.count, table, (uint32_t)size);
    return s ? face_fail(L, s, NULL) : push_chosen(L, &m, table, size);
}

/* rendezvous_many(nodes, keys): the winning node of each key. */
static int rendezvous_many(lua_State *L) {
    struct members m = members_of(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = (size_t)luaL_len(L, 2);
    uint64_t *keys = face_array(L, count, sizeof *keys);
    uint32_t *winners = face_array(L, count, sizeof *winners);
    for (size_t i = 0; i < count; i++) {
        lua_geti(L, 2, (lua_Integer)i + 1);
        keys[i] = (uint64_t)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    qrt_status s = qrt_rendezvous_many(m.names, m.weights, m.count, keys, count, winners);
    return s ? face_fail(L, s, NULL) : push_chosen(L, &m, winners, count);
}

/* Every option of a ring. */
static int ring_options(lua_State *L) {
    face_push_json(L, qrt_ring_options());
    return 1;
}

static const luaL_Reg methods[] = {
    {"add", ring_add},
    {"remove", ring_remove},
    {"lookup", ring_lookup},
    {"lookup_many", ring_lookup_many},
    {"replicas", ring_replicas},
    {"nodes", ring_nodes},
    {"balance", ring_balance},
    {"moves", ring_moves},
    {"copy", ring_copy},
    {"fingerprint", ring_fingerprint},
    {"svg", ring_svg},
    {"close", ring_close},
    {NULL, NULL},
};

void placement_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"ring", ring_create},
                                         {"ring_options", ring_options},
                                         {"jump", jump},
                                         {"maglev", maglev},
                                         {"rendezvous_many", rendezvous_many},
                                         {"quorum", quorum},
                                         {"quorum_met", quorum_met},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_RING, methods, ring_close);
    lua_setfield(L, -2, "Ring");
}
