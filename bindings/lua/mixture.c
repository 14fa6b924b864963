/* Gaussian mixtures. Samples are a table of rows; components are numbered from 1, as tables are. */
#include "arrays.h"

static qrt_mixture *self_mixture(lua_State *L) {
    return face_handle(L, 1, FACE_MIXTURE);
}

static int mixture_result(lua_State *L, qrt_mixture *m, qrt_status s) {
    if (s) return face_fail(L, s, m);
    lua_settop(L, 1);
    return 1;
}

static uint32_t count_of(lua_State *L, int index, const char *name) {
    uint64_t count = face_count(L, index, name);
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

/* mixture(components, dimensions, "full" or "diag") */
static int mixture_create(lua_State *L) {
    static const char *const shapes[] = {"full", "diag", NULL};
    uint32_t components = count_of(L, 1, "a number of components"),
             dimensions = count_of(L, 2, "a number of dimensions");
    bool diagonal = luaL_checkoption(L, 3, "full", shapes) == 1;
    void **place = face_new(L, FACE_MIXTURE);
    qrt_mixture *m = NULL;
    qrt_status s = qrt_mixture_new(&m, components, dimensions, diagonal);
    *place = m;
    return s ? face_fail(L, s, NULL) : 1;
}

static int mixture_close(lua_State *L) {
    void **place = face_place(L, 1, FACE_MIXTURE);
    qrt_mixture *m = *place;
    qrt_mixture_free(&m);
    *place = NULL;
    return 0;
}

static qrt_mixture_info info_of(lua_State *L, qrt_mixture *m) {
    qrt_mixture_info info = {0};
    qrt_status s = qrt_mixture_info_get(m, &info);
    if (s) face_fail(L, s, m);
    return info;
}

static double *rows_of(lua_State *L, qrt_mixture *m, int index, size_t *rows) {
    size_t count, dimensions = info_of(L, m).dimensions;
    double *samples = face_numbers(L, index, "samples", &count);
    if (count % dimensions)
        face_raise(L, "samples have %d dimensions each, and here are %d numbers", (int)dimensions, (int)count);
    *rows = count / dimensions;
    return samples;
}

static double *exactly(lua_State *L, int index, const char *name, size_t wanted) {
    size_t count;
    double *numbers = face_numbers(L, index, name, &count);
    if (count != wanted) face_raise(L, "%s hold %d numbers, not %d", name, (int)wanted, (int)count);
    return numbers;
}

static size_t block_of(const qrt_mixture_info *info) {
    return info->diagonal ? info->dimensions : (size_t)info->dimensions * info->dimensions;
}

/* set(weights, means, covariances) */
static int mixture_set(lua_State *L) {
    qrt_mixture *m = self_mixture(L);
    qrt_mixture_info info = info_of(L, m);
    size_t k = info.components;
    lua_settop(L, 4);
    double *weights = exactly(L, 2, "weights", k), *means = exactly(L, 3, "means", k * info.dimensions);
    return mixture_result(L, m, qrt_mixture_set(m, weights, means, exactly(L, 4, "covariances", k * block_of(&info))));
}

static double option_number(lua_State *L, int index, const char *name, double standard) {
    if (!lua_istable(L, index)) return standard;
    lua_getfield(L, index, name);
    double value = face_number(L, lua_gettop(L), name, standard);
    lua_pop(L, 1);
    return value;
}

/* fit(samples, {regularisation =, tolerance =, iterations =, seed =}) */
static int mixture_fit(lua_State *L) {
    qrt_mixture *m = self_mixture(L);
    size_t rows;
    lua_settop(L, 3);
    double *samples = rows_of(L, m, 2, &rows), iterations = option_number(L, 3, "iterations", 100);
    double seed = option_number(L, 3, "seed", 0);
    if (!(iterations >= 1 && iterations < 4e9) || !(seed >= 0 && seed < 9e15))
        face_raise(L, "iterations and seed are whole numbers, and there is at least one iteration");
    return mixture_result(L, m,
                          qrt_mixture_fit(m, samples, rows, option_number(L, 3, "regularisation", 1e-6),
                                          option_number(L, 3, "tolerance", 1e-3), (uint32_t)iterations,
                                          (uint64_t)seed));
}

static int numbers_of(lua_State *L, qrt_status (*function)(qrt_mixture *, const double *, size_t, double *)) {
    qrt_mixture *m = self_mixture(L);
    size_t rows;
    double *samples = rows_of(L, m, 2, &rows), *out = face_array(L, rows, sizeof *out);
    qrt_status s = function(m, samples, rows, out);
    if (s) return face_fail(L, s, m);
    face_push_numbers(L, out, rows);
    return 1;
}

static int mixture_score(lua_State *L) {
    return numbers_of(L, qrt_mixture_score);
}

static int mixture_failure(lua_State *L) {
    return numbers_of(L, qrt_mixture_failure);
}

/* label(component, failed) */
static int mixture_label(lua_State *L) {
    qrt_mixture *m = self_mixture(L);
    bool failed = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
    return mixture_result(L, m, qrt_mixture_label(m, count_of(L, 2, "a component") - 1, failed));
}

/* label_by(samples, {true, false, ...}) */
static int mixture_label_by(lua_State *L) {
    qrt_mixture *m = self_mixture(L);
    size_t rows;
    luaL_checktype(L, 3, LUA_TTABLE);
    double *samples = rows_of(L, m, 2, &rows);
    if ((size_t)luaL_len(L, 3) != rows) face_raise(L, "there must be as many flags as samples");
    uint8_t *failed = face_array(L, rows, 1);
    for (size_t i = 0; i < rows; i++) {
        lua_geti(L, 3, (lua_Integer)i + 1);
        failed[i] = (uint8_t)lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return mixture_result(L, m, qrt_mixture_label_by(m, samples, failed, rows));
}

/* info(): what was fitted, flat arrays row by row */
static int mixture_info(lua_State *L) {
    qrt_mixture *m = self_mixture(L);
    qrt_mixture_info info = info_of(L, m);
    size_t k = info.components;
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, info.iterations), lua_setfield(L, -2, "iterations");
    lua_pushboolean(L, info.converged), lua_setfield(L, -2, "converged");
    lua_pushboolean(L, info.fitted), lua_setfield(L, -2, "fitted");
    lua_pushnumber(L, info.log_likelihood), lua_setfield(L, -2, "log_likelihood");
    face_push_numbers(L, info.weights, k), lua_setfield(L, -2, "weights");
    face_push_numbers(L, info.means, k * info.dimensions), lua_setfield(L, -2, "means");
    face_push_numbers(L, info.covariances, k * block_of(&info)), lua_setfield(L, -2, "covariances");
    uint8_t *failed = face_array(L, k, 1);
    qrt_status s = qrt_mixture_failed(m, failed);
    if (s) return face_fail(L, s, m);
    face_push_flags(L, failed, k);
    lua_setfield(L, -3, "failed");
    lua_pop(L, 1);
    return 1;
}

static const luaL_Reg methods[] = {
    {"set", mixture_set},
    {"fit", mixture_fit},
    {"score", mixture_score},
    {"failure_probability", mixture_failure},
    {"label", mixture_label},
    {"label_by", mixture_label_by},
    {"info", mixture_info},
    {"close", mixture_close},
    {NULL, NULL},
};

void mixture_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"mixture", mixture_create}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    face_type(L, FACE_MIXTURE, methods, mixture_close);
    lua_setfield(L, -2, "Mixture");
}
