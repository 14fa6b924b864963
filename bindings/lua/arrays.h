/* Lua tables as the arrays of C, and tables of options. What is made lives in userdata on the stack: the
 * caller's lua_settop, or its return, frees it, and an error on the way loses nothing. */
#ifndef LUA_ARRAYS_H
#define LUA_ARRAYS_H

#include "face.h"

#define FACE_RING "quorate.ring"
#define FACE_DETECTOR "quorate.detector"
#define FACE_MIXTURE "quorate.mixture"
#define FACE_METER "quorate.meter"

struct face_options {
    qrt_option *all;
    size_t count;
};

/* The fields of the table at that index (nil: none) but those in `skip` (NULL-terminated), in order of name;
 * pushes what keeps them alive. */
struct face_options face_options(lua_State *L, int index, const char *const *skip);
/* A table of numbers, or of rows of numbers (all flattened); pushes its memory. */
double *face_numbers(lua_State *L, int index, const char *name, size_t *count);
/* A table of seconds as nanoseconds; pushes its memory. */
int64_t *face_times(lua_State *L, int index, size_t *count);
/* One time in seconds as nanoseconds. */
int64_t face_time(lua_State *L, int index);
/* Memory for an array, pushed. */
void *face_array(lua_State *L, size_t count, size_t size);
/* Pushes a table of that array. */
void face_push_numbers(lua_State *L, const double *values, size_t count);
void face_push_flags(lua_State *L, const uint8_t *flags, size_t count);

void placement_open(lua_State *L);
void detect_open(lua_State *L);
void mixture_open(lua_State *L);

#endif
