/* Userdata that own a handle: made before the handle, so that no error can lose one. */
#include "face.h"

void **face_new(lua_State *L, const char *type) {
    void **place = lua_newuserdatauv(L, sizeof *place, 1);
    *place = NULL;
    luaL_setmetatable(L, type);
    return place;
}

void **face_place(lua_State *L, int index, const char *type) {
    void **place = luaL_testudata(L, index, type);
    if (!place)
        face_raise(L, "this is called as a method of a %s, with a colon; it got a %s", type, luaL_typename(L, index));
    return place;
}

void *face_handle(lua_State *L, int index, const char *type) {
    void **place = face_place(L, index, type);
    if (!*place) face_raise(L, "the %s is closed", luaL_tolstring(L, lua_upvalueindex(1), NULL));
    return *place;
}

/* Every method has its type's noun as upvalue 1, for messages. */
void face_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction close) {
    static const char *const closers[] = {"__gc", "__close"};
    const char *noun = type + sizeof "quorate." - 1;
    luaL_newmetatable(L, type);
    for (size_t i = 0; close && i < 2; i++) {
        lua_pushstring(L, noun);
        lua_pushcclosure(L, close, 1);
        lua_setfield(L, -2, closers[i]);
    }
    lua_newtable(L);
    lua_pushstring(L, noun);
    luaL_setfuncs(L, methods, 1);
    lua_setfield(L, -2, "__index");
}
