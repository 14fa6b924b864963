--- What a crowd of clients asks of a cluster: seeded data, run by actors beside the nodes.
local core = require "quorate.core"

--- `clients` actors ask `operations` things in all (0: until `stop_load`), overlapping in time. `mix` gives
--- each operation's weight. Keys are drawn from `keys` names, uniformly or with the Zipf-like exponent
--- `key_skew`; values have `value_size` bytes and are all different. An operation that is not answered within
--- `timeout` seconds ends unknown. `retry`: true, false, or the seconds after which the next node is asked.
--- `think`: mean pause, in seconds.
---@class quorate.Workload
---@field clients integer?
---@field operations integer?
---@field mix table<string, number>?
---@field keys integer?
---@field key_skew number?
---@field value_size integer?
---@field timeout quorate.Seconds?
---@field retry boolean|quorate.Seconds|nil
---@field think quorate.Seconds?
---@field machine string?
local Workload = {}

local workload = {}
local metatable = { __index = Workload, __name = "quorate.workload" }

--- As the core reads it. Unknown fields and ranges are checked there, when it is loaded.
---@return string
function Workload:to_json()
   local fields = {}
   for name, value in pairs(self) do
      fields[name] = value
   end
   return core.json_encode(fields, true)
end

metatable.__tostring = Workload.to_json

---@param fields table?
---@return quorate.Workload
function workload.new(fields)
   local made = { clients = 8, operations = 2000 }
   for name, value in pairs(fields or {}) do
      made[name] = value
   end
   return setmetatable(made, metatable)
end

--- A workload as it is, or one of these fields.
---@param given quorate.Workload|table|nil
---@return quorate.Workload
function workload.of(given)
   return getmetatable(given) == metatable and given or workload.new(given)
end

return workload
