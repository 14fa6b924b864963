-- Protocols of the user's own in Lua: handlers and effects, errors, limits, forks, determinism, grades.
local core = require "quorate.core"
local lu = require "luaunit"
local q = require "quorate"

TestScript = {}

--- Answers when all others have said the value back.
local function echo()
   local Echo = { name = "Echo" }
   function Echo:on_start()
      self.state = { missing = 0 }
   end

   function Echo:on_propose(value, ticket)
      self.state = { ticket = ticket, missing = #self.peers }
      self:send_all { "ping", value }
   end

   function Echo:on_message(sender, message)
      if message[1] == "ping" then
         self:send(sender, { "pong", message[2] })
      else
         self.state.missing = self.state.missing - 1
         if self.state.missing == 0 then
            self:reply(self.state.ticket, message[2], { index = 5, term = 2 })
         end
      end
   end
   return Echo
end

-- Messages, replies with an index, what people see, verdicts.
function TestScript:test_runs_and_answers()
   local c <close> = q.cluster { protocol = echo(), nodes = 5, seed = 1 }
   local done = assert(c:propose "hello")
   lu.assertEquals({ done.answer, done.index, done.term }, { "hello", 5, 2 })
   lu.assertEquals(assert(c:propose "\xff\0").answer, "\xff\0")
   lu.assertEquals(c:status().protocol, "Echo")
   lu.assertStrContains(c:inspect(1).state, "missing = 0")
   lu.assertTrue(assert(c:check()).ok)
end

-- An error, an endless loop and a wish beyond the limits crash the node that had them, in words.
function TestScript:test_errors_and_limits()
   local words = {
      boom = "it went boom",
      spin = "more than 10000000 instructions",
      flood = "more than 10000 effects",
      deep = "the message.names[2] is a function",
      meta = "has a metatable",
      kind = "there is no kind of event 'appendix'",
      self = "it is itself",
      infinite = "is infinite or not a number",
   }
   local Bad = { name = "Bad" }
   function Bad:on_propose(value, ticket)
      local wishes = {
         boom = function() error("it went boom", 0) end,
         spin = function() while true do end end,
         flood = function() while true do self:send_all "x" end end,
         deep = function() self:send_all { names = { 1, print } } end,
         meta = function() self:send_all(setmetatable({}, {})) end,
         kind = function() self:note "appendix" end,
         self = function() self:send(self.id, "x") end,
         infinite = function() self:persist { 1 / 0 } end,
      }
      wishes[value]()
      self:reply(ticket)
   end
   for value, text in pairs(words) do
      local c <close> = q.cluster { protocol = Bad, seed = 2 }
      local _, _, name = c:propose(value, { node = 2, timeout = 1 })
      lu.assertEquals(name, "unknown")
      lu.assertFalse(c:status().nodes[2].up)
      lu.assertStrContains(c:status().nodes[2].why_down, text)
      lu.assertTrue(c:status().nodes[1].up)
   end
end

-- A fork is a copy of the state and of the random stream; a field beside self.state refuses by name.
function TestScript:test_forks()
   local Dice = { name = "Dice", state = { 0 } }
   function Dice:on_propose(value, ticket)
      self.extra = value == "extra" or nil
      self.state = { self:random(6), self:random(-5, 5), self:random() }
      self:reply(ticket, table.concat(self.state, " "))
   end
   local c <close> = q.cluster { protocol = Dice, seed = 3 }
   local f <close> = c:fork()
   lu.assertEquals(c.fingerprint, f.fingerprint)
   local first = assert(c:propose("x", { node = 1 })).answer
   lu.assertEquals(assert(f:propose("x", { node = 1 })).answer, first)
   lu.assertEquals(c.fingerprint, f.fingerprint)
   assert(c:propose("extra", { node = 1 }))
   lu.assertErrorMsgContains("n1 has the field 'extra'", c.fork, c)
end

-- What is persisted comes back; how says how the node starts.
function TestScript:test_persists()
   local Keeper = { name = "Keeper" }
   function Keeper:on_start()
      self.state = { how = self.how, value = self.stored and self.stored.value or "none" }
   end

   function Keeper:on_propose(value, ticket)
      self:persist { value = value }
      self:reply(ticket, self.state.how .. " " .. self.state.value)
   end
   local c <close> = q.cluster { protocol = Keeper, seed = 1 }
   lu.assertEquals(assert(c:propose("a", { node = 1 })).answer, "format none")
   c:crash(1, { disk = "unsynced" })
   c:restart(1)
   lu.assertEquals(assert(c:propose("b", { node = 1 })).answer, "recovered a")
   c:crash(1, { disk = "wiped" })
   c:restart(1)
   lu.assertEquals(assert(c:propose("b", { node = 1 })).answer, "wiped none")
end

-- A script that stands a lost disk hears that a part of it is damaged.
function TestScript:test_damaged()
   local Keeper = { name = "Keeper", fault_model = { crash_wipes = true } }
   function Keeper:on_start()
      self.state = self.how
   end

   function Keeper:on_propose(value, ticket)
      self:persist(value)
      self:reply(ticket, self.state)
   end
   local c <close> = q.cluster { protocol = Keeper, seed = 3 }
   for i = 1, 30 do
      assert(c:propose(tostring(i), { node = 1 }))
   end
   c:crash(1, { disk = "damaged" })
   c:restart(1)
   lu.assertEquals(assert(c:propose("b", { node = 1 })).answer, "damaged")
end

-- Timers, clocks, refusals; and calls from outside a handler.
function TestScript:test_timers_and_misuse()
   local node
   local Clock = { name = "Clock" }
   function Clock:on_start()
      node, self.state = self, { rings = 0, began = self:now() }
      self:set_timer("tick", 0.1)
      self:set_timer("never", 0.05)
      self:clear_timer "never"
   end

   function Clock:on_timer(name)
      lu.assertEquals(name, "tick")
      self.state.rings = self.state.rings + 1
      lu.assertTrue(self:now() - self.state.began > 0.099 and self:wall() > 1.6e9)
      self:set_timer("tick", 0.1)
   end

   function Clock:on_propose(_, ticket)
      self:refuse(ticket, 2)
   end
   local c <close> = q.cluster { protocol = Clock, seed = 1 }
   c:run(1.05)
   lu.assertStrContains(c:inspect(1).state, "rings = 10")
   local _, _, name = c:propose("x", { node = 1 })
   lu.assertEquals(name, "not-leader")
   lu.assertErrorMsgContains("only by a handler", function()
      node:send(1, "x")
   end)
   lu.assertErrorMsgContains("at least one of", q.cluster, { protocol = {} })
   lu.assertErrorMsgContains("no machine", q.cluster, { protocol = Clock, machine = "register" })
   lu.assertErrorMsgContains("did you mean 'consensus'", q.cluster, {
      protocol = { judged_by = "concensus", on_start = print },
   })
end

-- Plain data has one form, and what comes back is what went in.
function TestScript:test_plain_data()
   for _, value in ipairs {
      true, 0, 23, 24, 255, 256, 65536, 2 ^ 32 | 0, -1, math.mininteger, math.maxinteger, 1.5, "", ("é"):rep(40),
      "\xff", { 1, "two", { 3.0 } }, { b = 1, a = { c = { false } }, [7] = "seven" },
   } do
      lu.assertEquals(core.plain_decode(core.plain_encode(value)), value)
   end
   lu.assertEquals(core.plain_encode { k = 1 }, "\xa1\x61k\x01")
   lu.assertEquals(core.plain_encode "\xc3\xa9", "\x62\xc3\xa9")
   lu.assertEquals(core.plain_encode "\xff", "\x41\xff")
   for _, bad in ipairs {
      "", "\x18", "\x82\x01", "\xff", "\x1c", "\x01\x01", "\xa1\x80\x01", "\x9a\xff\xff\xff\xff",
   } do
      lu.assertErrorMsgContains("malformed", core.plain_decode, bad)
   end
end

-- Points a property, all or nothing; a secret; JSON.
function TestScript:test_grades()
   local function even(run)
      assert(run.seed % 2 == 0, "an odd seed")
   end
   local grade = q.grade(echo(), { seeds = 4, events = 500, properties = { even = even }, points = { even = 5 } })
   local found = {}
   for _, p in ipairs(grade.properties) do
      found[p.name] = p
   end
   lu.assertEquals({ found.even.points, found.even.of, found.even.held, found.even.first }, { 0, 5, 2, 1 })
   lu.assertEquals(found.agreement.points, 1)
   lu.assertEquals(found.determinism.points, 1)
   lu.assertFalse(grade.ok)
   lu.assertEquals(core.json_decode(grade:to_json()).of, grade.of)
   lu.assertStrContains(tostring(grade), "an odd seed")
   lu.assertEquals(q.grade(echo(), { seeds = 2, events = 500, secret = "x" }).properties[1].held, 2)
end

local function write(text)
   local path = os.tmpname()
   local file <close> = assert(io.open(path, "w"))
   file:write(text)
   return path
end

-- A seed runs alike in fresh processes; what goes by the order of pairs does not, and the event is named.
function TestScript:test_twice()
   local body = [[
      local N = { name = "N" }
      function N:on_propose(value, ticket)
         for name in %s { "north", "east", "south", "west", north = 1, east = 2, south = 3, west = 4 } do
            self:send_all(name)
         end
         self:reply(ticket)
      end
      function N:on_message() end
      return N
   ]]
   local sound, wild = write(body:format "ipairs"), write(body:format "pairs")
   lu.assertTrue(q.twice(sound))
   local same, event, first, second = q.twice(wild, { seed = 2 })
   lu.assertFalse(same)
   lu.assertTrue(event >= 0 and first ~= second)
   lu.assertErrorMsgContains("must return the protocol", q.twice, write "return nil")
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
