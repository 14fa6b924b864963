-- State machines of the user's own: tables and functions, snapshots, errors, coroutines, and calls that are refused.
local lu = require "luaunit"
local plain = require "quorate.plain"
local q = require "quorate"

TestMachine = {}

--- A stack that keeps what was pushed; "boom" raises, "spin" calls into the cluster.
local function stack()
   local Stack = { name = "stack", state = { items = {} } }
   function Stack:apply(index, command)
      lu.assertEquals(math.type(index), "integer")
      if command == "boom" then
         error "it went boom"
      elseif command == "object" then
         return {}
      end
      table.insert(self.state.items, command)
      return tostring(#self.state.items)
   end

   function Stack:query(command)
      if command == "boom" then
         error("the query went boom", 0)
      end
      return self.state.items[#self.state.items] or ""
   end

   return Stack
end

local function started(options)
   local c = q.cluster(options)
   lu.assertIsNumber(c:wait_leader())
   return c
end

-- Commands through the log, queries that change nothing; each node has its own copy of the state.
function TestMachine:test_apply_and_query()
   local Stack = stack()
   local c <close> = started { machine = Stack, nodes = 3 }
   local client = c:client()
   lu.assertEquals(client:call "a\0b", "1")
   lu.assertEquals(client:call "c", "2")
   lu.assertEquals(client:call("", { read = true }), "c")
   lu.assertEquals(#Stack.state.items, 0)
   lu.assertEquals(c:status().machine, "stack")
   lu.assertTrue(assert(c:check()).ok)
end

-- A function in place of the table makes each node's own.
function TestMachine:test_factory()
   local made = 0
   local c <close> = started { nodes = 3, machine = function()
      made = made + 1
      local sum = 0
      return {
         apply = function(_, _, command)
            sum = sum + tonumber(command)
            return tostring(sum)
         end,
         query = function()
            return tostring(sum)
         end,
         snapshot = function()
            return string.format("%d", sum)
         end,
         restore = function(_, bytes)
            sum = math.tointeger(tonumber(bytes))
         end,
      }
   end }
   lu.assertTrue(made >= 3)
   lu.assertEquals(c:client():call "40", "40")
   local f <close> = c:fork()
   lu.assertEquals(c:client():call "2", "42")
   lu.assertEquals(f:client():call "1", "41")
end

-- Snapshots, restarts and forks carry the state.
function TestMachine:test_snapshots()
   local c <close> = started { machine = stack(), nodes = 3, snapshot_threshold = 20 }
   local client = c:client()
   for i = 1, 60 do
      lu.assertEquals(client:call("v" .. i), tostring(i))
   end
   local f <close> = c:fork()
   for n = 1, 3 do
      c:crash(n, { disk = "unsynced" })
      c:restart(n)
      lu.assertIsNumber(c:wait_leader())
   end
   lu.assertEquals(c:client():call "more", "61")
   lu.assertEquals(f:client():call("", { read = true }), "v60")
   lu.assertTrue(assert(c:check()).ok)
end

-- An error inside a machine crashes that node, is told with its traceback, and harms nothing else.
function TestMachine:test_errors_crash_the_node()
   local c <close> = started { machine = stack(), nodes = 3 }
   local client = c:client()
   lu.assertEquals(client:call "a", "1")
   local answer, _, name = client:call("boom", { timeout = 0.5 })
   lu.assertNil(answer)
   lu.assertIsString(name)
   local down = 0
   for _, n in ipairs(c:status().nodes) do
      if not n.up then
         down = down + 1
         lu.assertStrContains(n.why_down, "it went boom")
         lu.assertStrContains(n.why_down, "apply() raised")
      end
   end
   lu.assertTrue(down >= 1)
   lu.assertTrue(c.metrics.raised >= 1)
   lu.assertStrContains(c.tracebacks[1], "stack traceback")
   lu.assertStrContains(c.tracebacks[1], "test_machine.lua")
end

-- What is no text is an error of the machine, too.
function TestMachine:test_answers_are_text()
   local c <close> = started { machine = stack(), nodes = 1 }
   c:client():call("object", { timeout = 0.2 })
   lu.assertStrContains(c.tracebacks[1], "apply must give text or nothing, not a table")
end

-- Calling the cluster from a machine is refused, closing it as well; the cluster lives on.
function TestMachine:test_calls_from_inside_are_refused()
   local c, refusals = nil, {}
   local Nosy = { name = "nosy", state = 0 }
   function Nosy:apply()
      for _, call in ipairs { c.run, c.step, c.close, c.status } do
         local done, message = pcall(call, c, 1)
         refusals[#refusals + 1] = not done and message or "was done"
      end
      return "answer"
   end

   Nosy.query = Nosy.apply
   c = started { machine = Nosy, nodes = 3 }
   lu.assertEquals(c:client():call "x", "answer")
   lu.assertTrue(#refusals >= 4)
   for _, message in ipairs(refusals) do
      lu.assertStrContains(message, "in use")
   end
   lu.assertTrue(assert(c:check()).ok)
   c:close()
end

--- A cluster that was made and driven inside a coroutine.
local function made_in_a_coroutine()
   local inside = coroutine.wrap(function()
      local c = started { machine = stack(), nodes = 3 }
      local client = c:client()
      coroutine.yield(client:call "a")
      coroutine.yield(client:call "b")
      return c
   end)
   lu.assertEquals(inside(), "1")
   collectgarbage()
   lu.assertEquals(inside(), "2")
   return inside()
end

-- It outlives the coroutine.
function TestMachine:test_coroutines()
   local c <close> = made_in_a_coroutine()
   collectgarbage()
   collectgarbage()
   lu.assertEquals(c:client():call "c", "3")
end

-- Yielding across C is an error of the machine, not of the process.
function TestMachine:test_yield_inside()
   local Lazy = { state = 0, query = function() end }
   function Lazy:apply()
      coroutine.yield()
   end

   local c <close> = q.cluster { machine = Lazy, nodes = 1 }
   coroutine.wrap(function()
      c:wait_leader()
      c:client():call("x", { timeout = 0.2 })
   end)()
   lu.assertStrContains(c.tracebacks[1] or "", "yield")
end

-- An endless recursion inside a machine is caught as any error is.
function TestMachine:test_stack_overflow_inside()
   local Deep = { state = 0, query = function() end }
   function Deep:apply()
      return self:apply() .. "x"
   end

   local c <close> = started { machine = Deep, nodes = 1 }
   c:client():call("x", { timeout = 0.2 })
   lu.assertStrContains(c.tracebacks[1] or "", "stack overflow")
end

-- What is no machine raises where it is given.
function TestMachine:test_no_machine()
   local function misuse(machine, sentence)
      local done, message = pcall(function() q.cluster { machine = machine } end)
      lu.assertFalse(done)
      lu.assertStrContains(message, "test_machine.lua")
      lu.assertStrContains(message, sentence)
   end
   misuse(1, "a name, a table or a function")
   misuse({}, "no function apply")
   misuse({ apply = print }, "no function query")
   misuse({ apply = print, query = print, snapshot = print }, "both snapshot and restore, or neither")
   misuse(function() return 3 end, "must give a table, not a number")
   misuse({ apply = print, query = print, state = { f = print } }, "state.f is a function, no plain data")
   local c <close> = started { machine = stack(), nodes = 1 }
   local done, message = pcall(function() c:load { operations = 1 } end)
   lu.assertFalse(done)
   lu.assertStrContains(message, "built-in machines")
end

-- Plain data comes back as it went in, and equal data gives equal bytes.
function TestMachine:test_plain_data()
   local values = {
      0, 23, 24, 255, 256, 65535, 65536, 1 << 32, math.maxinteger, -1, -24, -25, math.mininteger, 0.5, -1e300, 3.0,
      "", "text", "\0\255", ("x"):rep(70000), true, false, {}, { 1, 2, { 3 } }, { a = 1, [5] = "b", c = { d = {} } },
   }
   for _, value in ipairs(values) do
      local back = plain.decode(plain.encode(value, "value"))
      lu.assertEquals(back, value)
      lu.assertEquals(math.type(back), math.type(value))
   end
   lu.assertNil(plain.decode(plain.encode(nil, "value")))
   local one, other = {}, {}
   for i = 1, 200 do
      one["k" .. i], other["k" .. 201 - i] = i, 201 - i
   end
   lu.assertEquals(plain.encode(one, "one"), plain.encode(other, "other"))
   lu.assertErrorMsgContains("state.list[2] is nan", function()
      local nan = 0 / 0
      plain.encode({ list = { 1, nan < 0 and nan or -nan } }, "state")
   end)
   lu.assertErrorMsgContains("holds itself", function()
      local loop = {}
      loop[1] = loop
      plain.encode(loop, "state")
   end)
   lu.assertErrorMsgContains("has a metatable", plain.encode, setmetatable({}, {}), "state")
end

-- Bytes that are no plain data are rejected, whatever they are.
function TestMachine:test_malformed_bytes()
   local good = plain.encode({ a = { 1, 2.5, "x" }, b = true }, "value")
   for i = 0, #good - 1 do
      lu.assertFalse(pcall(plain.decode, good:sub(1, i)))
   end
   math.randomseed(1)
   for _ = 1, 20000 do
      local at = math.random(#good)
      pcall(plain.decode, good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
   end
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
