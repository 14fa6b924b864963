-- Every public function and method with arguments that make no sense, found by introspection: what is raised says so
-- at the place of the user's call, and never comes out of the middle of the library.
local lu = require "luaunit"
local q = require "quorate"

TestErrorsApi = {}

local ENDLESS = 2000 -- millions of instructions
-- Long by request, or tested elsewhere.
local LEFT = { bench = true, campaign = true, compare = true, grade = true, twice = true, run_file = true, close = true,
   run = true, step = true, load = true }

local function circle()
   local round = {}
   round.round = round
   return round
end

local BAD = {
   { "true", true },
   { "-1", -1 },
   { "1.5", 1.5 },
   { "2^63", 2 ^ 63 },
   { "nan", 0 / 0 },
   { "inf", math.huge },
   { "maxinteger", math.maxinteger },
   { "text", "x" },
   { "a zero byte", "\0" },
   { "no UTF-8", "\xff\xfe" },
   { "{}", {} },
   { "{1, 2}", { 1, 2 } },
   { "{print}", { print } },
   { "what holds itself", circle() },
   { "a function", function()
      return true
   end },
   { "a coroutine", coroutine.create(print) },
   { "a device", "/dev/zero" },
   { "nil", nil },
}

--- What is wrong with how the call ended, or nil.
local function fault(f, ...)
   local millions = 0
   debug.sethook(function()
      millions = millions + 1
      if millions > ENDLESS then
         error("it hangs", 0)
      end
   end, "", 1000000)
   local done, message = pcall(f, ...)
   debug.sethook()
   if done then
      return nil
   end
   message = tostring(message):match "[^\n]*"
   local ours = message:match "test_errors_api%.lua:%d+: " or message:match "bad argument #%d"
   return (not ours or message:match "attempt to") and message or nil
end

--- Tries each bad value as the first argument, and as the second behind one that may do; fixed: what comes before.
local function try(found, shown, f, ...)
   local before = table.pack(...)
   for _, bad in ipairs(BAD) do
      for _, first in ipairs { false, 1, "x" } do
         local given = table.pack(table.unpack(before, 1, before.n))
         local count = before.n + 1
         if first then
            given[count], count = first, count + 1
         end
         given[count] = bad[2]
         local wrong = fault(f, table.unpack(given, 1, count))
         if wrong then
            local second = first and first .. " and " or ""
            found[#found + 1] = string.format("%s with %s%s: %s", shown, second, bad[1], wrong)
         end
      end
   end
end

--- The tables in which an object's methods are looked up: those behind a function, too.
local function tables_of(index)
   if type(index) ~= "function" then
      return { index }
   end
   local found = {}
   for i = 1, debug.getinfo(index, "u").nups do
      found[#found + 1] = select(2, debug.getupvalue(index, i))
   end
   return found
end

local function methods(object)
   local names, sorted = {}, {}
   for _, members in ipairs(tables_of(getmetatable(object).__index)) do
      for name, f in pairs(type(members) == "table" and members or {}) do
         local public = type(name) == "string" and type(f) == "function" and not name:match "^_" and not LEFT[name]
         local there, method = pcall(function()
            return object[name]
         end)
         names[name] = public and there and method == f or nil
      end
   end
   for name in pairs(names) do
      sorted[#sorted + 1] = name
   end
   table.sort(sorted)
   return sorted
end

local function cluster()
   local c = q.cluster { nodes = 3, timeout = 0.2 }
   c:run(0.5)
   return c
end

local OBJECTS = {
   cluster = cluster,
   client = function()
      return cluster():client()
   end,
   plan = function()
      return q.plan():at(1, "heal")
   end,
   history = function()
      return q.history.parse '{"history": []}'
   end,
   trace = function()
      return cluster():trace()
   end,
   ring = function()
      return q.ring { "a", "b" }
   end,
   detector = function()
      return q.detector("timeout", { timeout = 1 })
   end,
   status = function()
      return cluster():status()
   end,
}

function TestErrorsApi:test_functions()
   local found, tried = {}, 0
   for name, f in pairs(q) do
      if type(f) == "function" and not LEFT[name] then
         try(found, name, f)
         tried = tried + 1
      end
   end
   for _, part in ipairs { "plan", "history" } do
      for name, f in pairs(q[part]) do
         try(found, part .. "." .. name, f)
      end
   end
   lu.assertTrue(tried > 15)
   lu.assertEquals(table.concat(found, "\n"), "")
end

function TestErrorsApi:test_methods()
   local found, tried = {}, 0
   for shown, make in pairs(OBJECTS) do
      for _, name in ipairs(methods(make())) do
         local object = make()
         try(found, shown .. ":" .. name, object[name], object)
         tried = tried + 1
      end
   end
   lu.assertTrue(tried > 60, tried)
   lu.assertEquals(table.concat(found, "\n"), "")
end

os.exit(lu.LuaUnit.run())
