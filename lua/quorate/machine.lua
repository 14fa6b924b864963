--- State machines of your own: a Lua table, replicated.
---
--- A machine must be deterministic: the same commands give the same answers on every node (`pairs` has no
--- order to rely on). It is a table of functions, from which each node gets its own copy:
---
---     local Stack = { name = "stack", state = {} }
---     function Stack:apply(index, command) -- a committed command, in log order on every node
---        self.state[#self.state + 1] = command
---        return tostring(#self.state)
---     end
---     function Stack:query(command) -- a linearizable read: changes nothing
---        return self.state[#self.state] or ""
---     end
---     local c = q.cluster { machine = Stack }
---     c:client():call("push this")
---
--- Snapshots save `self.state`, which must therefore be plain data; see quorate.plain. A machine may instead
--- define snapshot() -> bytes and restore(bytes) itself. A function in place of the table is called once a
--- node and gives the node's own table. A function that raises crashes its node, and `cluster.tracebacks`
--- holds how. Calling the cluster from a machine is refused.
local arguments = require "quorate.arguments"
local plain = require "quorate.plain"

---@class quorate.Machine
---@field name string?
---@field state any plain data
---@field apply fun(self: quorate.Machine, index: integer, command: string): string?
---@field query fun(self: quorate.Machine, command: string): string?
---@field snapshot (fun(self: quorate.Machine): string)?
---@field restore fun(self: quorate.Machine, snapshot: string)?

local machine = {}

local Base = {}

function Base:snapshot()
   return plain.encode(self.state, "state")
end

function Base:restore(bytes)
   self.state = plain.decode(bytes)
end

--- A new node's machine from the user's table.
local function copy_of(given)
   local instance = { state = plain.decode(plain.encode(given.state, "state")) }
   return setmetatable(instance, {
      __index = function(_, key)
         local value = given[key]
         if value == nil then
            value = Base[key]
         end
         return value
      end,
   })
end

--- A new node's machine from the user's function.
local function made_by(factory)
   local instance = factory()
   if type(instance) ~= "table" then
      error("a state machine's function must give a table, not a " .. type(instance), 0)
   end
   for name, method in pairs(Base) do
      if instance[name] == nil then
         instance[name] = method
      end
   end
   return instance
end

local function validate(given)
   if type(given) ~= "table" and type(given) ~= "function" then
      arguments.misuse("a state machine is a name, a table or a function that gives one, not a %s", type(given))
   end
   local make = type(given) == "table" and copy_of or made_by
   local done, first = pcall(make, given)
   if not done then
      arguments.misuse("%s", tostring(first))
   end
   for _, name in ipairs { "apply", "query" } do
      if type(first[name]) ~= "function" then
         arguments.misuse("the state machine has no function %s", name)
      end
   end
   if (first.snapshot == Base.snapshot) ~= (first.restore == Base.restore) then
      arguments.misuse("a state machine defines both snapshot and restore, or neither")
   end
   return make, type(first.name) == "string" and first.name or "custom"
end

--- What the C side calls: create, destroy, run. Machines live here, by number.
---@param given quorate.Machine|fun(): quorate.Machine
---@return table driver, string name
function machine.driver(given)
   local make, name = validate(given)
   local machines, driver = {}, { tracebacks = {} }

   function driver.create(id)
      local done, made = pcall(make, given)
      machines[id] = done and made or nil
   end

   function driver.destroy(id)
      machines[id] = nil
   end

   function driver.run(method, id, ...)
      local own = machines[id] or error("the state machine could not be made", 0)
      local answer = own[method](own, ...)
      if method == "restore" then
         return nil
      end
      if answer ~= nil and type(answer) ~= "string" then
         error(method .. " must give text or nothing, not a " .. type(answer), 0)
      end
      return answer
   end

   return driver, name
end

return machine
