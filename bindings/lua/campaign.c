/* Campaigns and benchmarks: made, run in slices, reported. */
#include <stdlib.h>

#include "face.h"

static qrt_campaign *self_campaign(lua_State *L) {
    return face_handle(L, 1, FACE_CAMPAIGN);
}

static int campaign_create(lua_State *L) {
    const char *spec = face_json(L, 1, true);
    void **place = face_new(L, FACE_CAMPAIGN);
    qrt_campaign *c = NULL;
    qrt_status s = qrt_campaign_new(&c, spec);
    *place = c;
    return s ? face_fail(L, s, NULL) : 1;
}

static int campaign_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_CAMPAIGN);
    qrt_campaign *c = *place;
    qrt_campaign_free(&c);
    *place = NULL;
    return 0;
}

/* Whether it is done, how many seeds are, and of how many. */
static int campaign_run(lua_State *L) {
    qrt_campaign *c = self_campaign(L);
    uint64_t done = 0, total = 0;
    qrt_status s = qrt_campaign_run(c, &done, &total);
    if (s < 0) return face_fail(L, s, c);
    lua_pushboolean(L, s == QRT_OK);
    lua_pushinteger(L, (lua_Integer)done);
    lua_pushinteger(L, (lua_Integer)total);
    return 3;
}

static int campaign_report(lua_State *L) {
    qrt_campaign *c = self_campaign(L);
    const char *report = qrt_campaign_report(c);
    if (!report) return face_fail_text(L, c);
    face_push_json(L, report);
    return 1;
}

static void set_number(lua_State *L, const char *name, uint64_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* The i-th seed's row, or nil after the last. */
static int campaign_row(lua_State *L) {
    size_t count;
    const qrt_campaign_row *rows = qrt_campaign_rows(self_campaign(L), &count);
    static const char *const verdicts[] = {"ok", "violated", "unknown", "stuck"};
    uint64_t i = face_count(L, 2, "the number of a row");
    if (i < 1 || i > count) return 0;
    const qrt_campaign_row *r = &rows[i - 1];
    lua_createtable(L, 0, 9);
    set_number(L, "seed", r->seed);
    set_number(L, "hash", r->hash);
    set_number(L, "events", r->events);
    set_number(L, "faults", r->faults);
    set_number(L, "violated", r->violated);
    set_number(L, "nodes", r->nodes);
    set_number(L, "clients", r->clients);
    lua_pushnumber(L, r->seconds);
    lua_setfield(L, -2, "seconds");
    lua_pushstring(L, verdicts[r->verdict & 3]);
    lua_setfield(L, -2, "verdict");
    return 1;
}

static int campaign_run_file(lua_State *L) {
    const char *text = qrt_campaign_run_file(face_json(L, 1, true), (uint64_t)luaL_checkinteger(L, 2));
    if (!text) return face_fail_text(L, NULL);
    lua_pushstring(L, text);
    return 1;
}

static int compare(lua_State *L) {
    const char *report = qrt_compare(face_json(L, 1, true));
    if (!report) return face_fail_text(L, NULL);
    face_push_json(L, report);
    return 1;
}

/* --- benchmarks --- */

static qrt_bench *self_bench(lua_State *L) {
    return face_handle(L, 1, FACE_BENCH);
}

static int bench_create(lua_State *L) {
    const char *name = face_text(L, 1, "a benchmark");
    void **place = face_new(L, FACE_BENCH);
    qrt_bench *b = NULL;
    qrt_status s = qrt_bench_new(&b, name);
    *place = b;
    return s ? face_fail(L, s, NULL) : 1;
}

static int bench_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_BENCH);
    qrt_bench *b = *place;
    qrt_bench_free(&b);
    *place = NULL;
    return 0;
}

static int bench_run(lua_State *L) {
    qrt_bench *b = self_bench(L);
    qrt_status s = qrt_bench_run(b);
    if (s < 0) return face_fail(L, s, b);
    lua_pushboolean(L, s == QRT_OK);
    return 1;
}

static int bench_report(lua_State *L) {
    qrt_bench *b = self_bench(L);
    const char *report = qrt_bench_report(b);
    if (!report) return face_fail_text(L, b);
    face_push_json(L, report);
    return 1;
}

/* --- replays of captures --- */

static qrt_replay *self_replay(lua_State *L) {
    return face_handle(L, 1, FACE_REPLAY);
}

/* capture(folder, bug or nil) */
static int replay_create(lua_State *L) {
    const char *folder = face_text(L, 1, "a capture's folder");
    const char *bug = lua_isnoneornil(L, 2) ? NULL : face_text(L, 2, "bug");
    void **place = face_new(L, FACE_REPLAY);
    qrt_replay *r = NULL;
    qrt_status s = qrt_replay_new(&r, folder, bug);
    *place = r;
    return s ? face_fail(L, s, NULL) : 1;
}

static int replay_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_REPLAY);
    qrt_replay *r = *place;
    qrt_replay_free(&r);
    *place = NULL;
    return 0;
}

static int replay_run(lua_State *L) {
    qrt_replay *r = self_replay(L);
    qrt_status s = qrt_replay_run(r);
    if (s < 0) return face_fail(L, s, r);
    lua_pushboolean(L, s == QRT_OK);
    return 1;
}

/* _record(events): before the first _run */
static int replay_record(lua_State *L) {
    qrt_replay *r = self_replay(L);
    lua_Integer events = luaL_checkinteger(L, 2);
    qrt_status s = qrt_replay_record(r, events < 0 ? 0 : (uint64_t)events);
    if (s) return face_fail(L, s, r);
    lua_pushboolean(L, true);
    return 1;
}

static int replay_trace(lua_State *L) {
    qrt_replay *r = self_replay(L);
    void **place = face_new(L, FACE_TRACE);
    qrt_trace *t = NULL;
    qrt_status s = qrt_replay_trace(r, &t);
    *place = t;
    return s ? face_fail(L, s, r) : 1;
}

static int replay_report(lua_State *L) {
    qrt_replay *r = self_replay(L);
    const char *report = qrt_replay_report(r);
    if (!report) return face_fail_text(L, r);
    face_push_json(L, report);
    return 1;
}

static const luaL_Reg replay_methods[] = {
    {"close", replay_close},    {"_run", replay_run},     {"_record", replay_record},
    {"_report", replay_report}, {"_trace", replay_trace}, {NULL, NULL},
};

static const luaL_Reg campaign_methods[] = {
    {"close", campaign_close}, {"_run", campaign_run}, {"_report", campaign_report},
    {"_row", campaign_row},    {NULL, NULL},
};

static const luaL_Reg bench_methods[] = {
    {"close", bench_close}, {"_run", bench_run}, {"_report", bench_report}, {NULL, NULL}};

void campaign_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"campaign", campaign_create}, {"run_file", campaign_run_file},
                                         {"bench", bench_create},       {"compare", compare},
                                         {"capture", replay_create},    {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_CAMPAIGN, campaign_methods, campaign_close);
    lua_setfield(L, -2, "Campaign");
    face_type(L, FACE_BENCH, bench_methods, bench_close);
    lua_setfield(L, -2, "Bench");
    face_type(L, FACE_REPLAY, replay_methods, replay_close);
    lua_setfield(L, -2, "Replay");
}
