-- luacheck settings for the Lua front end, its tests and examples.
std = "lua54"
self = false -- a method need not use it
max_line_length = 120
files["tests/lua"] = {
   -- LuaUnit finds test tables among the globals.
   allow_defined_top = true,
   ignore = { "131" },
}
files["examples"] = { allow_defined_top = true }
