--- A client: its own id, links and session; one operation at a time, exactly once however often it is resent.
local arguments = require "quorate.arguments"
local pending = require "quorate.pending"

local FIRST = 0x8000 -- client ids count from here

local OPERATIONS = {
   get = 1, put = 2, delete = 3, append = 4, cas = 5, scan = 6, read = 7, write = 8, add = 9, acquire = 10,
   release = 11,
}
local TIMEOUT = { timeout = true }
local CALL = { timeout = true, read = true }

--- Asks the cluster's state machine, and waits for the answer in the cluster's time. Every call takes {
--- timeout = seconds } last (default: the cluster's option) and gives nil, message, name when the operation
--- was certainly not executed ("failed", "no-leader", "too-large", "session") or may have been ("unknown";
--- the client is busy until it knows).
---
--- `client:start("put", key, value)` sends without waiting; several clients may so have operations under way
--- at once.
---@class quorate.Client
---@field cluster quorate.Cluster
---@field id integer
---@field name string as plans and histories call it: "c1"
local Client = {}

-- Answers, by what they mean.

local function failed(r)
   return r.status ~= "ok" and r.message ~= nil
end

local function answer(r)
   if failed(r) then
      return nil, r.message, r.status
   end
   return r.answer
end

local function done(r)
   if failed(r) then
      return nil, r.message, r.status
   end
   return true
end

local function found(r)
   if r.status == "not-found" then
      return false
   end
   return done(r)
end

--- False and what was found instead, where something else was found.
local function swapped(r)
   if r.status == "cas-mismatch" then
      return false, r.answer
   end
   return found(r)
end

local function integer(r)
   if failed(r) then
      return nil, r.message, r.status
   end
   return math.tointeger(tonumber(r.answer))
end

--- False and the owner, where somebody holds the lock.
local function token(r)
   if r.status == "cas-mismatch" then
      return false, r.answer
   end
   return integer(r)
end

local function pairs_of(r)
   if failed(r) then
      return nil, r.message, r.status
   end
   local list, at = {}, 1
   while at <= #r.answer do
      local key, value
      key, value, at = string.unpack("<s4s4", r.answer, at)
      list[#list + 1] = { key, value }
   end
   return list
end

local CONVERT = {
   get = answer, put = done, delete = found, append = integer, cas = swapped, scan = pairs_of, read = answer,
   write = done, add = integer, acquire = token, release = swapped,
}

local function submit(client, operation, key, value, expected)
   local ticket, message, name = client.cluster:_submit(client.id, OPERATIONS[operation], key, value, expected)
   if not ticket then
      return nil, message, name
   end
   return pending.new(client.cluster, ticket, CONVERT[operation])
end

local function perform(client, named, operation, key, value, expected)
   local timeout = arguments.named(named, operation, TIMEOUT).timeout
   local sent, message, name = submit(client, operation, key, value, expected)
   if not sent then
      return nil, message, name
   end
   return sent:result(timeout)
end

--- Sends an operation of a built-in machine by its name; its `result()` is what the method of that name
--- gives.
---@param operation string
---@param key string?
---@param value string?
---@param expected string?
---@return quorate.Pending?, string?, string?
function Client:start(operation, key, value, expected)
   if not OPERATIONS[operation] then
      arguments.misuse("there is no operation '%s'; there are get, put, delete, append, cas, scan, read, write, add, "
         .. "acquire, release", tostring(operation))
   end
   if (operation == "acquire" or operation == "release") and (value or "") == "" then
      value = self.name
   end
   return submit(self, operation, key or "", value or "", expected)
end

-- The key-value store (machine = "kv").

--- The value of a key; nil, message, "not-found" where there is none. A linearizable read.
---@param key string
---@return string?, string?, string?
function Client:get(key, named)
   return perform(self, named, "get", key, "")
end

--- Sets a key.
---@param key string
---@param value string
---@return true?, string?, string?
function Client:put(key, value, named)
   return perform(self, named, "put", key, value)
end

--- Removes a key; whether it was there.
---@param key string
---@return boolean?, string?, string?
function Client:delete(key, named)
   return perform(self, named, "delete", key, "")
end

--- Appends to a key's value (absent: empty); the new length in bytes.
---@param key string
---@param value string
---@return integer?, string?, string?
function Client:append(key, value, named)
   return perform(self, named, "append", key, value)
end

--- Compare and set: puts `value` if the key holds `expected` (nil: is absent); whether it did, and if not,
--- what it holds. A register is named by the empty key: `client:cas("", "1", "2")`.
---@param key string
---@param expected string?
---@param value string
---@return boolean?, string?, string?
function Client:cas(key, expected, value, named)
   return perform(self, named, "cas", key, value, expected)
end

--- Keys and values in order of the keys' bytes, from `start` up to, and without, `finish` ("": all): { { key,
--- value }, .. }.
---@param start string?
---@param finish string?
---@param limit integer?
---@return string[][]?, string?, string?
function Client:scan(start, finish, limit, named)
   return perform(self, named, "scan", start or "", limit and string.format("%d", limit) or "", finish or "")
end

-- Register, counter, lock.

--- The value of a register or counter; nil, message, "not-found" from a register never written.
---@return string?, string?, string?
function Client:read(named)
   return perform(self, named, "read", "", "")
end

--- Sets a register.
---@param value string
---@return true?, string?, string?
function Client:write(value, named)
   return perform(self, named, "write", "", value)
end

--- Adds to a counter (default: 1); its new value.
---@param delta integer?
---@return integer?, string?, string?
function Client:add(delta, named)
   if delta ~= nil and not math.tointeger(delta) then
      arguments.misuse("a counter adds whole numbers, not %s", tostring(delta))
   end
   return perform(self, named, "add", "", string.format("%d", delta or 1))
end

--- Takes a lock for `owner` (default: this client); its fencing token, or false and the owner where somebody
--- holds it.
---@param lock string
---@param owner string?
---@return integer|false|nil, string?, string?
function Client:acquire(lock, owner, named)
   return perform(self, named, "acquire", lock, owner or self.name)
end

--- Gives a lock back; false where it is free or held by another.
---@param lock string
---@param owner string?
---@return boolean?, string?, string?
function Client:release(lock, owner, named)
   return perform(self, named, "release", lock, owner or self.name)
end

-- A machine of your own.

--- Sends a command through the log, or with { read = true } as a linearizable query; the machine's answer.
---@param command string
---@param named { read: boolean?, timeout: number? }?
---@return string?, string?, string?
function Client:call(command, named)
   named = arguments.named(named, "call", CALL)
   local sent, message, name = self:start_call(command, { read = named.read })
   if not sent then
      return nil, message, name
   end
   return sent:result(named.timeout)
end

--- As `call`, without waiting.
---@param command string
---@param named { read: boolean? }?
---@return quorate.Pending?, string?, string?
function Client:start_call(command, named)
   local read = arguments.named(named, "start_call", { read = true }).read
   local ticket, message, name = self.cluster:_submit_raw(self.id, read or false, command)
   if not ticket then
      return nil, message, name
   end
   return pending.new(self.cluster, ticket, answer)
end

local metatable = {
   __index = Client,
   __name = "quorate.client",
   __tostring = function(client)
      return "<Client " .. client.name .. ">"
   end,
}

local client = {}

---@param cluster quorate.Cluster
---@param id integer
---@return quorate.Client
function client.new(cluster, id)
   local name = "c" .. id - FIRST
   return setmetatable({ cluster = cluster, id = id, name = name, _directive_id = name }, metatable)
end

return client
