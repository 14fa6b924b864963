--- Plans of faults: data, saved as JSON, built by hand or drawn from a seed; the same in every runtime.
local arguments = require "quorate.arguments"
local core = require "quorate.core"

local plan = {}

--- An immutable list of directives; every verb returns a longer plan.
---
---     local p = q.plan()
---        :at(1.0, "crash", { node = "leader" })
---        :after(0.5, "restart", { node = "all" })
---        :every(2.0, "pause", { node = "random", ["for"] = "300ms" })
---        :during(3.0, 4.0, "loss", { probability = 0.1 })
---
--- Verbs and their fields: crash (node, disk: kept | unsynced | wiped | damaged, effect, guarded), restart,
--- pause, resume (node), partition (groups, or shape: halves | one | leader | ring | bridge; node, one_way), heal,
--- loss and corrupt (probability), delay (delay), reorder and duplicate (probability, spread), skew (node,
--- offset, drift), slow (node, delay), fill and free (node: its disk has no room, or has again). Link verbs take
--- from, to, both. A malformed directive raises at once.
---@class quorate.Plan
---@field private directives table[]
local Plan = {}

--- One directive as the core reads it: a client stands for its name.
---@param verb string
---@param fields table?
---@return table
function plan.directive(verb, fields)
   local directive = {}
   for name, value in pairs(fields or {}) do
      directive[name] = type(value) == "table" and value._directive_id or value
   end
   directive["do"] = verb
   return directive
end

local metatable = { __index = Plan, __name = "quorate.plan" }

local function adopt(text)
   return setmetatable({ directives = core.json_decode(text).directives }, metatable)
end

local function dump(directives)
   return '{"directives": ' .. core.json_encode(directives) .. "}"
end

--- What the script itself wrote is misuse when it is wrong.
local function build(directives)
   local text, message = core.plan_canonical(dump(directives))
   if not text then
      arguments.misuse("%s", message)
   end
   return adopt(text)
end

local function longer(self, when, verb, fields)
   if fields ~= nil and type(fields) ~= "table" then
      arguments.misuse("a directive's fields are a table, { node = 1 }, not a %s", type(fields))
   end
   local directive = plan.directive(verb, fields)
   for name, value in pairs(when) do
      directive[name] = value
   end
   local directives = table.move(self.directives, 1, #self.directives, 1, {})
   directives[#directives + 1] = directive
   return build(directives)
end

--- Once, `time` seconds after the plan is applied.
---@param time quorate.Seconds
---@param verb string
---@param fields table?
---@return quorate.Plan
function Plan:at(time, verb, fields)
   return longer(self, { at = time }, verb, fields)
end

--- Once, `time` seconds after the previous directive began.
---@param time quorate.Seconds
---@param verb string
---@param fields table?
---@return quorate.Plan
function Plan:after(time, verb, fields)
   return longer(self, { after = time }, verb, fields)
end

--- Again and again; the fields `start` (default: one period) and `until` (default: for ever) say from when to
--- when.
---@param period quorate.Seconds
---@param verb string
---@param fields table?
---@return quorate.Plan
function Plan:every(period, verb, fields)
   return longer(self, { every = period }, verb, fields)
end

--- Stands from `begin` to `finish`, and is undone then.
---@param begin quorate.Seconds
---@param finish quorate.Seconds
---@param verb string
---@param fields table?
---@return quorate.Plan
function Plan:during(begin, finish, verb, fields)
   return longer(self, { during = { begin, finish } }, verb, fields)
end

--- In canonical form: printed, read and printed again it is the same text.
---@return string
function Plan:to_json()
   return (core.plan_canonical(dump(self.directives)):gsub("\n$", ""))
end

--- Into a file. True, or nil, message, "io".
---@param path string
function Plan:save(path)
   arguments.text(path, "a file's path")
   return arguments.write_file(path, self:to_json() .. "\n")
end

--- Its directives, as plain tables.
---@return fun(): integer?, table?
function Plan:each()
   return ipairs(core.json_decode(self:to_json()).directives)
end

function metatable.__len(self)
   return #self.directives
end

function metatable.__concat(a, b)
   local directives = table.move(a.directives, 1, #a.directives, 1, {})
   for _, directive in b:each() do
      directive.id = nil
      directives[#directives + 1] = directive
   end
   return build(directives)
end

function metatable.__eq(a, b)
   return a:to_json() == b:to_json()
end

function metatable.__tostring(self)
   return self:to_json()
end

--- A plan, from a list of directives or empty.
---@param directives table[]?
---@return quorate.Plan
function plan.new(directives)
   if directives ~= nil and type(directives) ~= "table" then
      arguments.misuse("a plan is made from a list of directives, not from a %s", type(directives))
   end
   return build(directives and directives.directives or directives or {})
end

--- From JSON; nil, message, name where that is malformed. `nodes` bounds node ids, if given.
---@param text string
---@param nodes integer?
---@return quorate.Plan?, string?, string?
function plan.from_json(text, nodes)
   local canonical, message, name = core.plan_canonical(text, nodes)
   if not canonical then
      return nil, message, name
   end
   return adopt(canonical)
end

--- From a file.
---@param path string
---@return quorate.Plan?, string?, string?
function plan.load(path)
   local text, message, name = arguments.read_file(path)
   if not text then
      return nil, message, name
   end
   return plan.from_json(text)
end

local DRAW = { protocol = true, nodes = true, seed = true, duration = true }

--- A plan drawn from a seed, inside the protocol's fault model; healed by its end.
---@param named { protocol: string?, nodes: integer?, seed: integer?, duration: number? }?
---@return quorate.Plan
function plan.draw(named)
   named = arguments.named(named, "plan.draw", DRAW)
   local duration = core.to_ns(named.duration or 10.0, "a duration")
   return adopt(core.plan_draw(named.protocol or "raft", named.nodes or 5, named.seed or 1, duration))
end

--- The JSON of a plan, of a list of directives, or of text.
---@param given quorate.Plan|string|table
---@return string
function plan.text(given)
   if getmetatable(given) == metatable then
      return given:to_json()
   end
   return type(given) == "table" and plan.new(given):to_json() or given
end

return plan
