--- Values of Lua as bytes that another interpreter of the same version turns back into values: tables with their
--- metatables, functions with what they refer to, and whatever these reach; shared parts stay shared. What a
--- module holds travels as its name, and is required there anew. Of the globals go along those that are not
--- Lua's own; of these, what cannot is left behind. Userdata, coroutines and nameless C functions cannot.
---
--- Lua has no library for this that systems package (Python's cloudpickle is its like), and `string.dump` alone
--- loses what a function refers to.
---
--- The form, as plain data: { objects, cells, root, globals }. A value is { 1, it }, { 2, an object's number }, or
--- { 3 } for nil; an object says its kind; a cell is a local variable that functions share.
local core = require "quorate.core"

local carry = {}

local OWN = {} -- globals that every interpreter has
for name in ([[_G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile
   math next os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table
   tonumber tostring type utf8 warn xpcall]]):gmatch "%S+" do
   OWN[name] = true
end

--- Whether another interpreter can require that module.
local function requirable(name)
   return OWN[name] or package.searchpath(name, package.path) or package.searchpath(name, package.cpath)
end

--- Objects that have a name: modules, and the functions and tables that they hold.
local function named()
   local names = { [_G] = { "_G" } }
   for module, value in pairs(package.loaded) do
      if type(value) == "table" and type(module) == "string" and requirable(module) then
         names[value] = { module }
         for field, held in pairs(value) do
            local kind = type(held)
            if module ~= "_G" and type(field) == "string" and (kind == "table" or kind == "function") then
               names[held] = names[held] or { module, field }
            end
         end
      end
   end
   for name in pairs(OWN) do
      if type(_G[name]) == "function" then
         names[_G[name]] = { "_G", name }
      end
   end
   return names
end

local Packer = {}
Packer.__index = Packer

local function refuse(place, value)
   error(string.format("%s is a %s, which cannot be handed to another interpreter", place, type(value)), 0)
end

function Packer:table(entry, value, place)
   entry.kind, entry.pairs = "table", {}
   for key, held in next, value do
      local at = place .. "." .. tostring(key)
      table.insert(entry.pairs, { self:value(key, at), self:value(held, at) })
   end
   entry.meta = self:value(debug.getmetatable(value), "the metatable of " .. place)
end

function Packer:cell(value, i, place)
   local identity = debug.upvalueid(value, i)
   if not self.cell_of[identity] then
      local name, held = debug.getupvalue(value, i)
      local number = #self.cells + 1
      self.cells[number] = {}
      self.cell_of[identity] = number
      self.cells[number] = self:value(held, string.format("'%s' in %s", name, place))
   end
   return self.cell_of[identity]
end

function Packer:func(entry, value, place)
   if debug.getinfo(value, "S").what == "C" then
      refuse(place .. ", of C without a name,", value)
   end
   entry.kind, entry.code, entry.cells = "function", string.dump(value), {}
   for i = 1, debug.getinfo(value, "u").nups do
      entry.cells[i] = self:cell(value, i, place)
   end
end

--- The number of an object; what it refers to gets numbers too.
function Packer:object(value, place)
   local number = self.number_of[value]
   if number then
      return number
   end
   number = #self.objects + 1
   local entry = {}
   self.objects[number], self.number_of[value] = entry, number
   if self.names[value] then
      entry.kind, entry.path = "named", self.names[value]
   elseif type(value) == "table" then
      self:table(entry, value, place)
   elseif type(value) == "function" then
      self:func(entry, value, place)
   else
      refuse(place, value)
   end
   return number
end

function Packer:value(value, place)
   local kind = type(value)
   if kind == "nil" then
      return { 3 }
   elseif kind == "number" and math.type(value) == "float" then
      return { 4, string.pack("<d", value) } -- infinities, and no numbers, too
   elseif kind == "number" or kind == "boolean" or kind == "string" then
      return { 1, value }
   end
   return { 2, self:object(value, place) }
end

--- What a failed attempt has entered is taken out again.
function Packer:attempt(value, place)
   local objects, cells = #self.objects, #self.cells
   local done, packed = pcall(self.value, self, value, place)
   if done then
      return packed
   end
   for _, list in ipairs { { self.objects, self.number_of, objects }, { self.cells, self.cell_of, cells } } do
      for key, number in pairs(list[2]) do
         if number > list[3] then
            list[2][key] = nil
         end
      end
      for number = #list[1], list[3] + 1, -1 do
         list[1][number] = nil
      end
   end
end

--- The value as bytes. Raises, naming the place, where something cannot go.
---@param value any
---@param place string
---@return string
function carry.pack(value, place)
   local packer = setmetatable({ objects = {}, number_of = {}, cells = {}, cell_of = {}, names = named() }, Packer)
   local root, globals = packer:value(value, place), {}
   for name, held in pairs(_G) do
      if type(name) == "string" and not OWN[name] then
         globals[name] = packer:attempt(held, name)
      end
   end
   return core.plain_encode { objects = packer.objects, cells = packer.cells, root = root, globals = globals }
end

local function find(path)
   local module = path[1] == "_G" and _G or require(path[1])
   return path[2] and module[path[2]] or module
end

local function skeleton(entry)
   if entry.kind == "named" then
      return find(entry.path)
   elseif entry.kind == "table" then
      return {}
   end
   return assert(load(entry.code, "a function", "b"))
end

--- The value again.
---@param bytes string
---@return any
function carry.unpack(bytes)
   local packed = core.plain_decode(bytes)
   local objects, cells = {}, {}
   local function value(v)
      if v[1] == 2 then
         return objects[v[2]]
      elseif v[1] == 4 then
         return (string.unpack("<d", v[2]))
      end
      return v[2]
   end
   for i, entry in ipairs(packed.objects) do
      objects[i] = skeleton(entry)
   end
   for i, entry in ipairs(packed.objects) do
      for _, pair in ipairs(entry.pairs or {}) do
         rawset(objects[i], value(pair[1]), value(pair[2]))
      end
      for at, cell in ipairs(entry.cells or {}) do
         if cells[cell] then
            debug.upvaluejoin(objects[i], at, table.unpack(cells[cell]))
         else
            cells[cell] = { objects[i], at }
            debug.setupvalue(objects[i], at, value(packed.cells[cell]))
         end
      end
   end
   for i, entry in ipairs(packed.objects) do
      if entry.meta and entry.meta[1] ~= 3 then
         debug.setmetatable(objects[i], value(entry.meta))
      end
   end
   for name, held in pairs(packed.globals) do
      _G[name] = value(held)
   end
   return value(packed.root)
end

return carry
