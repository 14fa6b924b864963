/* What the C files of the Lua module `quorate.core` share.
 *
 * Each function checks its arguments, makes one call of quorate.h and pushes the result. What goes wrong is said once,
 * in the core's words: misuse (a wrong type, an unknown option, a closed handle) raises, with the place in the user's
 * script; what a cluster could not do, and data that is wrong, comes back as nil, message, name. Loops over QRT_MORE are
 * written in Lua, so that a debug hook (Ctrl-C in `lua`) gets its turn.
 *
 * A handle lives in a full userdata that holds its pointer; NULL says that it was closed. */
#ifndef LUA_FACE_H
#define LUA_FACE_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "quorate.h"

/* --- errors.c --- */

/* Raises a sentence; the position before it is that of the innermost function that is not of quorate's own files. */
void face_raise(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* The result of a failed call on that handle (NULL: a call without one): nil, message, name; or raises. */
int face_fail(lua_State *L, qrt_status status, const void *handle);
/* The same for the calls that return text, and NULL on error. */
int face_fail_text(lua_State *L, const void *handle);
/* Pushes a name and a message for a status of a result, without judging it. */
void face_push_status(lua_State *L, qrt_status status, const void *handle);
/* core.home(prefix): whose files' positions are not shown. */
int face_home(lua_State *L);

/* --- handles.c --- */

/* A new userdata of that type with a NULL pointer in it, to be filled; closed by __gc, __close and close. */
void **face_new(lua_State *L, const char *type);
/* The pointer of the userdata at that index; raises when it is another thing, or closed. */
void *face_handle(lua_State *L, int index, const char *type);
/* The userdata's place for the pointer, be it closed or not; raises when it is another thing. */
void **face_place(lua_State *L, int index, const char *type);
/* Pushes the metatable of a new type; its __index is the table of methods, until Lua sets another. */
void face_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction close);

#define FACE_CLUSTER "quorate.cluster"
#define FACE_TRACE "quorate.trace"
#define FACE_COLUMN "quorate.column"
#define FACE_HISTORY "quorate.history"
#define FACE_CAMPAIGN "quorate.campaign"
#define FACE_BENCH "quorate.bench"
#define FACE_REPLAY "quorate.replay"

/* --- arguments (errors.c): what is wrong with one is said with its name --- */

uint16_t face_node(lua_State *L, int index); /* an id; nil is 0 */
uint16_t face_client(lua_State *L, int index);
uint64_t face_count(lua_State *L, int index, const char *name); /* not negative */
const char *face_bytes(lua_State *L, int index, const char *name, size_t *size);
const char *face_text(lua_State *L, int index, const char *name); /* no zero byte inside */
double face_number(lua_State *L, int index, const char *name, double standard);

/* --- json.c --- */

#define FACE_DEPTH_MAX 64

/* Pushes the value of a JSON text; null is nil. */
void face_push_json(lua_State *L, const char *text);
/* The value at that index as JSON text, pushed and returned: fields in order of their names, a sequence as an array, an
 * empty table as an array (as an object where `object` says so, at the top). */
const char *face_json(lua_State *L, int index, bool object);
int face_json_encode(lua_State *L);
int face_json_decode(lua_State *L);

/* --- machine.c: state machines as Lua functions --- */

struct machines;
struct machines *machines_new(lua_State *L, int driver, const char *name);
struct machines *machines_ref(struct machines *m);
void machines_unref(struct machines *m);
const qrt_machine *machines_table(const struct machines *m);
/* Raises what interrupted a machine's function (Ctrl-C), once C has returned. */
void machines_interrupt(lua_State *L, struct machines *m);

/* --- script.c: protocols as Lua functions --- */

struct scripts;
struct scripts *scripts_new(lua_State *L, int driver); /* a table: see lua/quorate/node.lua */
struct scripts *scripts_ref(struct scripts *s);
void scripts_unref(struct scripts *s);
const qrt_script *scripts_table(const struct scripts *s);
void scripts_launch(lua_State *L, struct scripts *s, int driver); /* what it points to lies on the stack */
void scripts_interrupt(lua_State *L, struct scripts *s);          /* as machines_interrupt */
void script_open(lua_State *L);

/* --- one file a type: pushes nothing, registers its type, adds its constructors to the table on top --- */

void cluster_open(lua_State *L);
void trace_open(lua_State *L);
void history_open(lua_State *L);
void campaign_open(lua_State *L);

/* For the constructors of the other types. */
struct face_cluster {
    qrt_cluster *cluster; /* NULL: closed */
    struct machines *machines;
    struct scripts *scripts;
};
qrt_cluster *cluster_handle(lua_State *L, int index);
int cluster_push(lua_State *L, qrt_cluster *c, struct machines *m); /* takes both */

#endif
