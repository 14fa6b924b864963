--- Protocols of your own: a Lua table, of which every node of a cluster runs an instance.
---
---     local Echo = { name = "Echo" }
---     function Echo:on_propose(value, ticket) -- a client, or cluster:propose(), asks this node for something
---        self.state = { ticket = ticket, missing = #self.peers }
---        self:send_all { "ping", value }
---     end
---     function Echo:on_message(sender, message)
---        local kind, value = message[1], message[2]
---        if kind == "ping" then
---           self:send(sender, { "pong", value })
---        else
---           self.state.missing = self.state.missing - 1
---           if self.state.missing == 0 then
---              self:reply(self.state.ticket, value)
---           end
---        end
---     end
---     local c = q.cluster { protocol = Echo, nodes = 3, seed = 1 }
---     print(c:propose "hello")
---
--- It runs beside the built-in protocols, simulated, or live with each node an interpreter of its own (see
--- docs/scripts.md), under the same faults, trace and checkers. What a
--- node knows is `self.state`, one value of plain data: it is what `fork()` copies and `fingerprint` hashes,
--- and it is gone when the node crashes; `persist` what must come back. Messages are plain data as well: nil,
--- booleans, numbers, strings, lists, and tables whose keys are strings and whole numbers. A handler must be
--- deterministic: its only randomness is `self:random()`, its only clocks are `self:now()` and `self:wall()`,
--- and it must not go by the order of `pairs`.
---
--- Limits of one step: 10,000 effects, 4 MiB, 512 KiB a message, 10 million instructions of Lua. What goes
--- beyond, and what raises, crashes that node; `cluster.tracebacks` has the traceback. Calling the cluster from
--- a handler is refused.
local arguments = require "quorate.arguments"
local core = require "quorate.core"

---@class quorate.ScriptNode
---@field name string?
---@field judged_by string? checkers that judge its decisions, separated by spaces
---@field fault_model table<string, boolean|string>? what it does not stand: { loss = false, crashes = "0" }
---@field state any plain data; what a node starts with
---@field id integer the node's id, from 1
---@field peers integer[] the others' ids
---@field how "format"|"recovered"|"wiped"|"damaged" in on_start: how it starts
---@field stored any in on_start: what was persisted last and came back
---@field on_start fun(self)?
---@field on_message fun(self, sender: integer, message: any)?
---@field on_timer fun(self, name: string)?
---@field on_opinion fun(self, peer: integer, suspected: boolean, suspicion: number)? with the option detector
---@field on_propose fun(self, value: string, ticket: integer)?
---@field send fun(self, to: integer, message: any, named: { at_once: boolean? }?)
---@field send_all fun(self, message: any, named: { at_once: boolean? }?)
---@field set_timer fun(self, name: string, seconds: number)
---@field clear_timer fun(self, name: string)
---@field persist fun(self, value: any) what follows waits until it is durable
---@field reply fun(self, ticket: integer, answer: string?, named: { index: integer?, term: integer? }?)
---@field refuse fun(self, ticket: integer, leader: integer?) this node does not lead
---@field fail fun(self, ticket: integer, answer: string?) certainly not executed
---@field decide fun(self, instance: integer, value: any, named: { ballot: integer?, outcome: integer? }?)
---@field note fun(self, kind: string, fields: table<string, integer>?) an event of the trace; see quorate.h
---@field become fun(self, role: string, fields: { term: integer?, leader: integer? }?)
---@field hash fun(self, value: any): integer the 64 bits by which events name a value
---@field random fun(self, low: integer?, high: integer?): number as math.random
---@field now fun(self): number seconds by its own clock, which drifts but never jumps
---@field wall fun(self): number seconds since 1970 by its wall clock, which may jump
local Base = core.Node

function Base:on_start() end

function Base:on_message() end

function Base:on_timer() end

function Base:on_opinion() end

function Base:on_propose(_, ticket)
   self:_unsupported(ticket)
end

local FIELDS = { id = true, peers = true, state = true, how = true, stored = true }
local STARTS = { "format", "recovered", "wiped", "damaged" }

local node = {}

--- The state as bytes; raises, naming the field, where there is more than can be saved.
local function save(own)
   for name in pairs(own) do
      if not FIELDS[name] then
         error(string.format("n%d has the field '%s' beside self.state; only self.state is copied, so put it there",
            own.id, tostring(name)), 0)
      end
   end
   return core.plain_encode(own.state, "self.state")
end

local function shown(value, depth)
   if type(value) ~= "table" then
      return type(value) == "string" and string.format("%q", value) or tostring(value)
   elseif depth > 8 then
      return "{..}"
   end
   local names, parts = {}, {}
   for name in pairs(value) do
      names[#names + 1] = name
   end
   table.sort(names, function(a, b)
      return tostring(a) < tostring(b)
   end)
   for i, name in ipairs(names) do
      parts[i] = string.format("%s = %s", tostring(name), shown(value[name], depth + 1))
   end
   return "{ " .. table.concat(parts, ", ") .. " }"
end

local function validate(class)
   if type(class) ~= "table" then
      arguments.misuse("a protocol is a name, or a table with on_message and its like, not a %s", type(class))
   end
   local any = false
   for _, name in ipairs { "on_start", "on_message", "on_timer", "on_propose", "on_opinion" } do
      local handler = class[name]
      any = any or handler ~= nil
      if handler ~= nil and type(handler) ~= "function" then
         arguments.misuse("a protocol's %s is a function, not a %s", name, type(handler))
      end
   end
   if not any then
      arguments.misuse "a protocol has at least one of on_start, on_message, on_timer, on_propose"
   end
   if getmetatable(class) == nil then
      setmetatable(class, { __index = Base })
   end
end

--- What the C side calls; it holds the nodes by number.
---@param class quorate.ScriptNode
---@return table driver
function node.driver(class)
   validate(class)
   local driver = {
      class = class,
      name = type(class.name) == "string" and class.name or "script",
      judged_by = class.judged_by or "consensus",
      fault_model = class.fault_model or {},
      tracebacks = {},
      opinion = class.on_opinion ~= Base.on_opinion,
      latest = {}, -- the number of the node made last, by id
   }
   local instance = { __index = class }

   function driver.create(number, id, peers)
      local state = core.plain_decode(core.plain_encode(class.state, "state"))
      driver.latest[id] = number
      driver[number] = setmetatable({ id = id, peers = peers, state = state }, instance)
   end

   function driver.destroy(number)
      driver[number] = nil
   end

   function driver.start(number, how, stored)
      local own = driver[number]
      own.how = STARTS[how]
      own.stored = stored and core.plain_decode(stored)
      own:on_start()
      own.how, own.stored = nil, nil
   end

   function driver.save(number)
      return save(driver[number])
   end

   function driver.load(number, bytes)
      driver[number].state = core.plain_decode(bytes)
   end

   function driver.describe(number)
      return shown(driver[number].state, 0)
   end

   return driver
end

return node
