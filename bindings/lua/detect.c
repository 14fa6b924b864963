/* Failure detectors and their meter. Times are seconds: detector("phi", {threshold = 8}):observe(t). */
#include <math.h>

#include "arrays.h"

static qrt_detector *self_detector(lua_State *L) {
    return face_handle(L, 1, FACE_DETECTOR);
}

static int detector_result(lua_State *L, qrt_detector *d, qrt_status s) {
    if (s) return face_fail(L, s, d);
    lua_settop(L, 1);
    return 1;
}

/* detector(kind, options), detector(mixture, threshold) */
static int detector_create(lua_State *L) {
    qrt_detector *d = NULL;
    qrt_mixture *m = luaL_testudata(L, 1, FACE_MIXTURE) ? face_handle(L, 1, FACE_MIXTURE) : NULL;
    qrt_status s;
    lua_settop(L, 2);
    void **place = face_new(L, FACE_DETECTOR);
    if (m) {
        double threshold = luaL_optnumber(L, 2, 0.5);
        s = qrt_detector_of_mixture(&d, m, threshold);
    } else {
        struct face_options o = face_options(L, 2, NULL);
        s = qrt_detector_new(&d, face_text(L, 1, "a kind of detector"), o.all, o.count);
    }
    *place = d;
    if (s) return face_fail(L, s, m && qrt_last_status(m) ? (const void *)m : NULL);
    lua_settop(L, 3);
    return 1;
}

static int detector_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_DETECTOR);
    qrt_detector *d = *place;
    qrt_detector_free(&d);
    *place = NULL;
    return 0;
}

/* observe(time, value); of a mixture observe(time, {sample}) */
static int detector_observe(lua_State *L) {
    qrt_detector *d = self_detector(L);
    int64_t time = face_time(L, 2);
    if (!lua_istable(L, 3)) return detector_result(L, d, qrt_detector_observe(d, time, luaL_optnumber(L, 3, NAN)));
    size_t size;
    double *sample = face_numbers(L, 3, "a sample", &size);
    return detector_result(L, d, qrt_detector_observe_vector(d, time, sample, size));
}

static double *values_given(lua_State *L, int index, size_t count) {
    size_t values;
    if (lua_isnoneornil(L, index)) return NULL;
    double *given = face_numbers(L, index, "values", &values);
    if (values != count) face_raise(L, "%d times and %d values: there must be as many", (int)count, (int)values);
    return given;
}

static int push_opinions(lua_State *L, const double *suspicions, const uint8_t *suspected, size_t count) {
    face_push_numbers(L, suspicions, count);
    face_push_flags(L, suspected, count);
    return 2;
}

/* observe_many(times, values): suspicions and suspected, just before each arrival */
static int detector_observe_many(lua_State *L) {
    qrt_detector *d = self_detector(L);
    size_t count;
    lua_settop(L, 3);
    int64_t *times = face_times(L, 2, &count);
    double *values = values_given(L, 3, count), *suspicions = face_array(L, count, sizeof *suspicions);
    uint8_t *suspected = face_array(L, count, 1);
    qrt_status s = qrt_detector_observe_many(d, times, values, count, suspicions, suspected, NULL);
    return s ? face_fail(L, s, d) : push_opinions(L, suspicions, suspected, count);
}

static int detector_evaluate_many(lua_State *L) {
    qrt_detector *d = self_detector(L);
    size_t count;
    int64_t *times = face_times(L, 2, &count);
    double *suspicions = face_array(L, count, sizeof *suspicions);
    uint8_t *suspected = face_array(L, count, 1);
    qrt_status s = qrt_detector_evaluate_many(d, times, count, suspicions, suspected);
    return s ? face_fail(L, s, d) : push_opinions(L, suspicions, suspected, count);
}

static int detector_suspicion(lua_State *L) {
    qrt_detector *d = self_detector(L);
    double suspicion;
    qrt_status s = qrt_detector_evaluate(d, face_time(L, 2), &suspicion, NULL);
    if (s) return face_fail(L, s, d);
    lua_pushnumber(L, suspicion);
    return 1;
}

static int push_opinion(lua_State *L, qrt_detector *d, qrt_status s, bool suspected) {
    if (s) return face_fail(L, s, d);
    lua_pushboolean(L, suspected);
    return 1;
}

static int detector_suspected(lua_State *L) {
    qrt_detector *d = self_detector(L);
    bool suspected = false;
    qrt_status s = qrt_detector_evaluate(d, face_time(L, 2), NULL, &suspected);
    return push_opinion(L, d, s, suspected);
}

static int detector_poll(lua_State *L) {
    qrt_detector *d = self_detector(L);
    bool suspected = false;
    qrt_status s = qrt_detector_poll(d, face_time(L, 2), &suspected);
    return push_opinion(L, d, s, suspected);
}

static int detector_ping(lua_State *L) {
    qrt_detector *d = self_detector(L);
    return detector_result(L, d, qrt_detector_ping(d, face_time(L, 2)));
}

static int detector_set_parameter(lua_State *L) {
    qrt_detector *d = self_detector(L);
    return detector_result(L, d, qrt_detector_set_parameter(d, luaL_checknumber(L, 2)));
}

/* deadline(): seconds, or nil when it will not suspect */
static int detector_deadline(lua_State *L) {
    qrt_detector *d = self_detector(L);
    int64_t deadline;
    qrt_status s = qrt_detector_deadline(d, &deadline);
    if (s) return face_fail(L, s, d);
    if (deadline == INT64_MAX)
        lua_pushnil(L);
    else
        lua_pushnumber(L, (double)deadline * 1e-9);
    return 1;
}

/* window(): {count, mean, variance}, in seconds */
static int detector_window(lua_State *L) {
    qrt_detector *d = self_detector(L);
    size_t count;
    double mean, variance;
    qrt_status s = qrt_detector_window(d, &count, &mean, &variance);
    if (s) return face_fail(L, s, d);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)count), lua_setfield(L, -2, "count");
    lua_pushnumber(L, mean / 1e9), lua_setfield(L, -2, "mean");
    lua_pushnumber(L, variance / 1e18), lua_setfield(L, -2, "variance");
    return 1;
}

static int detector_copy(lua_State *L) {
    qrt_detector *d = self_detector(L), *twin = NULL;
    void **place = face_new(L, FACE_DETECTOR);
    qrt_status s = qrt_detector_clone(d, &twin);
    *place = twin;
    return s ? face_fail(L, s, d) : 1;
}

static int detector_fingerprint(lua_State *L) {
    qrt_detector *d = self_detector(L);
    uint64_t fingerprint;
    qrt_status s = qrt_detector_fingerprint(d, face_time(L, 2), &fingerprint);
    if (s) return face_fail(L, s, d);
    lua_pushinteger(L, (lua_Integer)fingerprint);
    return 1;
}

static int detector_save(lua_State *L) {
    qrt_detector *d = self_detector(L);
    const uint8_t *data;
    size_t size;
    qrt_status s = qrt_detector_save(d, &data, &size);
    if (s) return face_fail(L, s, d);
    lua_pushlstring(L, (const char *)data, size);
    return 1;
}

static int detector_load(lua_State *L) {
    size_t size;
    const char *saved = face_bytes(L, 1, "a saved detector", &size);
    void **place = face_new(L, FACE_DETECTOR);
    qrt_detector *d = NULL;
    qrt_status s = qrt_detector_load(&d, (const uint8_t *)saved, size);
    *place = d;
    return s ? face_fail(L, s, NULL) : 1;
}

/* phi(elapsed, mean, deviation); without a deviation exponential */
static int phi(lua_State *L) {
    double elapsed = luaL_checknumber(L, 1), mean = luaL_checknumber(L, 2);
    bool normal = !lua_isnoneornil(L, 3);
    lua_pushnumber(L,
                   normal ? qrt_phi_normal(elapsed, mean, luaL_checknumber(L, 3)) : qrt_phi_exponential(elapsed, mean));
    return 1;
}

static void push_real(lua_State *L, const char *name, double value) {
    if (isnan(value)) return; /* not defined: the field is nil */
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static int push_quality(lua_State *L, const qrt_quality *q) {
    lua_createtable(L, 0, 7);
    push_real(L, "detection", q->detection);
    push_real(L, "recurrence", q->recurrence);
    push_real(L, "duration", q->duration);
    push_real(L, "accuracy", q->accuracy);
    push_real(L, "rate", q->rate);
    lua_pushinteger(L, (lua_Integer)q->mistakes), lua_setfield(L, -2, "mistakes");
    lua_pushboolean(L, q->detected), lua_setfield(L, -2, "detected");
    return 1;
}

static int nfd_quality(lua_State *L) {
    qrt_quality q;
    qrt_status s = qrt_nfd_quality(luaL_checknumber(L, 1), luaL_checknumber(L, 2), luaL_checknumber(L, 3),
                                   luaL_checknumber(L, 4), &q);
    return s ? face_fail(L, s, NULL) : push_quality(L, &q);
}

static int meter_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_METER);
    qrt_meter *m = *place;
    qrt_meter_free(&m);
    *place = NULL;
    return 0;
}

/* An optional time in a table. */
static int64_t time_field(lua_State *L, int index, const char *name, int64_t standard) {
    if (lua_getfield(L, index, name) == LUA_TNIL) return standard;
    return face_time(L, lua_gettop(L));
}

/* The userdata that will own a meter, pushed, with the meter in it. */
static qrt_status meter_push(lua_State *L, int64_t begin, int64_t crash, qrt_meter **m) {
    void **place = face_new(L, FACE_METER);
    qrt_status s = qrt_meter_new(m, begin, crash);
    *place = *m;
    return s;
}

/* measure(detector, times, {stop =, begin =, crash =, values =}): the quality of its opinions over a trace */
static int measure(lua_State *L) {
    qrt_detector *d = self_detector(L);
    size_t count;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    int64_t *times = face_times(L, 2, &count);
    if (!count) face_raise(L, "there are no arrivals to measure a detector on");
    lua_getfield(L, 3, "values");
    double *values = values_given(L, lua_gettop(L), count);
    int64_t end = time_field(L, 3, "stop", times[count - 1]);
    int64_t begin = time_field(L, 3, "begin", times[0]), crash = time_field(L, 3, "crash", INT64_MAX);
    qrt_meter *m = NULL;
    qrt_status s = meter_push(L, begin, crash, &m);
    if (s) return face_fail(L, s, NULL);
    qrt_quality q;
    s = qrt_meter_run(m, d, times, values, count);
    if (!s) s = qrt_meter_finish(m, d, end);
    if (!s) s = qrt_meter_read(m, end, &q);
    return s ? face_fail(L, s, m) : push_quality(L, &q);
}

/* measure_opinions(times, suspected, {stop =, begin =, crash =}): the same of a detector of one's own */
static int measure_opinions(lua_State *L) {
    size_t count;
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    int64_t *times = face_times(L, 1, &count);
    if ((size_t)luaL_len(L, 2) != count)
        face_raise(L, "%d times and %d opinions: there must be as many", (int)count, (int)luaL_len(L, 2));
    int64_t begin = time_field(L, 3, "begin", count ? times[0] : 0);
    int64_t end = time_field(L, 3, "stop", count ? times[count - 1] : begin);
    qrt_meter *m = NULL;
    qrt_status s = meter_push(L, begin, time_field(L, 3, "crash", INT64_MAX), &m);
    if (s) return face_fail(L, s, NULL);
    for (size_t i = 0; i < count && !s; i++) {
        lua_geti(L, 2, (lua_Integer)i + 1);
        s = qrt_meter_opinion(m, times[i], lua_toboolean(L, -1));
        lua_pop(L, 1);
    }
    qrt_quality q;
    if (!s) s = qrt_meter_read(m, end, &q);
    return s ? face_fail(L, s, m) : push_quality(L, &q);
}

/* The kinds of detectors. */
static int detector_kinds(lua_State *L) {
    lua_newtable(L);
    for (uint32_t i = 0; qrt_detector_kind(i); i++) {
        lua_pushstring(L, qrt_detector_kind(i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* Every option of a kind. */
static int detector_options(lua_State *L) {
    const char *text = qrt_detector_options(face_text(L, 1, "a kind of detector"));
    if (!text) return face_fail_text(L, NULL);
    face_push_json(L, text);
    return 1;
}

static const luaL_Reg methods[] = {
    {"observe", detector_observe},
    {"observe_many", detector_observe_many},
    {"evaluate_many", detector_evaluate_many},
    {"suspicion", detector_suspicion},
    {"suspected", detector_suspected},
    {"poll", detector_poll},
    {"ping", detector_ping},
    {"set_parameter", detector_set_parameter},
    {"deadline", detector_deadline},
    {"window", detector_window},
    {"copy", detector_copy},
    {"fingerprint", detector_fingerprint},
    {"save", detector_save},
    {"measure", measure},
    {"close", detector_close},
    {NULL, NULL},
};

void detect_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"detector", detector_create},          {"detector_kinds", detector_kinds},
                                         {"detector_load", detector_load},       {"detector_options", detector_options},
                                         {"measure_opinions", measure_opinions}, {"phi", phi},
                                         {"nfd_quality", nfd_quality},           {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_DETECTOR, methods, detector_close);
    lua_setfield(L, -2, "Detector");
    face_type(L, FACE_METER, none, meter_close);
    lua_pop(L, 1);
}
