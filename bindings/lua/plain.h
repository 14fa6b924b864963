/* Plain data as bytes, one form for each value: deterministic CBOR (RFC 8949, section 4.2), as the Python package
 * writes it. Plain data is nil, booleans, numbers, strings (text where they are UTF-8, else bytes), and tables of
 * these: lists, or tables whose keys are strings and whole numbers. Floats are 64 bits; null is nil. */
#ifndef LUA_PLAIN_H
#define LUA_PLAIN_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>

struct plain { /* bytes that grow, and are kept between uses */
    uint8_t *data;
    size_t size, capacity;
};

/* The value at that index, in place of what b held. Raises, naming the place, where it is no plain data. */
void plain_encode(lua_State *L, int index, const char *place, struct plain *b);
/* Pushes the value of such bytes; raises where they are malformed. */
void plain_decode(lua_State *L, const uint8_t *data, size_t size);
/* core.plain_encode(value, place), core.plain_decode(bytes) */
int plain_encode_function(lua_State *L);
int plain_decode_function(lua_State *L);

#endif
