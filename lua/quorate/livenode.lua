--- Nodes of a live cluster that run a table of your own: each is an interpreter of its own.
---
--- The cluster's process packs the table once (quorate.carry); every interpreter that it starts, the first time and
--- after each crash, unpacks it and becomes the node. The interpreter is the one that runs this script, or what
--- the environment variable QUORATE_LUA names.
local arguments = require "quorate.arguments"
local carry = require "quorate.carry"
local core = require "quorate.core"

local livenode = {}

local CARGO = "/proc/self/fd/7"

--- The program that runs this script: before all arguments, in `arg`.
local function interpreter()
   local first = 0
   while type(arg) == "table" and arg[first - 1] do
      first = first - 1
   end
   return os.getenv "QUORATE_LUA" or first < 0 and arg[first] or "lua5.4"
end

--- The command that starts a node's interpreter, and what that has to unpack.
---@param class table
---@return string[] command
---@return string cargo
function livenode.launch(class)
   local done, cargo = pcall(carry.pack, class, tostring(class.name or "the protocol"))
   if not done then
      arguments.misuse("the protocol cannot run live: %s", cargo)
   end
   local begin = string.format("package.path, package.cpath = %q, %q; require('quorate.livenode').main()",
      package.path, package.cpath)
   return { interpreter(), "-e", begin }, cargo
end

--- Makes this interpreter a node; it is one until the cluster's process ends it.
function livenode.main()
   io.stdout:setvbuf "line"
   local done, driver = xpcall(function()
      local cargo = assert(arguments.read_file(CARGO))
      return require "quorate.node".driver(carry.unpack(cargo))
   end, debug.traceback)
   if done then
      os.exit(core.node_main(driver), false)
   end
   core.node_fail(driver)
   os.exit(1, false)
end

return livenode
