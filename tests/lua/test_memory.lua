-- Who owns what: to-be-closed variables, the garbage collector at the worst moments, cycles, what outlives what.
local lu = require "luaunit"
local q = require "quorate"

TestMemory = {}

local function collect()
   collectgarbage()
   collectgarbage()
end

-- A to-be-closed variable closes at the end of its scope, also when an error leaves it.
function TestMemory:test_to_be_closed()
   local escaped
   do
      local c <close> = q.cluster {}
      escaped = c
      c:wait_leader()
   end
   lu.assertStrContains(tostring(escaped), "closed")
   pcall(function()
      local c <close> = q.cluster {}
      escaped = c
      error "away"
   end)
   lu.assertStrContains(tostring(escaped), "closed")
   local history
   do
      local c <close> = q.cluster {}
      local h <close> = c:history()
      history = h
   end
   lu.assertErrorMsgContains("closed", history.json, history)
end

-- The collector runs at every allocation of a whole session.
function TestMemory:test_collector_at_every_step()
   local Adder = { name = "adder", state = { sum = 0 } }
   function Adder:apply(_, command)
      self.state = { sum = self.state.sum + #command }
      return tostring(self.state.sum)
   end

   function Adder:query()
      return tostring(self.state.sum)
   end

   collectgarbage("incremental", 0, 1000)
   for seed = 1, 4 do
      local c <close> = q.cluster { nodes = 3, seed = seed, machine = Adder, snapshot_threshold = 10 }
      assert(c:wait_leader())
      local client = c:client()
      for i = 1, 25 do
         lu.assertEquals(client:call "xy", tostring(2 * i))
      end
      local f <close> = c:fork()
      f:crash(f.leader)
      f:run(0.5)
      lu.assertTrue(assert(c:check()).ok)
      lu.assertTrue(#c.trace > 0 and c.trace:event(1).time == 0)
      c:status()
   end
   collectgarbage("incremental", 200, 100)
end

-- Clusters that are only dropped are freed; a machine that knows its own cluster is no leak.
function TestMemory:test_dropped_clusters_are_freed()
   local alive = setmetatable({}, { __mode = "k" })
   for seed = 1, 20 do
      local c
      local Knows = { state = 0 }
      function Knows:apply()
         return tostring(c ~= nil)
      end

      function Knows:query()
         return ""
      end

      c = q.cluster { nodes = 3, seed = seed, machine = Knows }
      c:wait_leader()
      lu.assertEquals(c:client():call "x", "true")
      alive[c] = true
      local f = c:fork()
      f:run(0.1)
      alive[f] = true
   end
   collect()
   collect()
   lu.assertNil(next(alive))
end

-- What was taken from a cluster outlives it.
function TestMemory:test_views_outlive_their_cluster()
   local function taken()
      local c <close> = q.cluster { nodes = 3 }
      c:wait_leader()
      c:load { clients = 2, operations = 50 }
      return c.trace.time, c.trace, c:history(), assert(c:check()), c:status()
   end
   local time, trace, history, result, status = taken()
   collect()
   lu.assertTrue(time[#time] > 0 and #trace == result.events and #history == 50)
   lu.assertStrContains(tostring(status), "raft")
   lu.assertIsString(history:json())
   lu.assertIsString(trace:line(#trace))
end

-- Errors in the middle of conversions lose nothing (seen by valgrind and ASan; here: by not growing).
function TestMemory:test_errors_do_not_grow()
   local c <close> = q.cluster { nodes = 3 }
   c:wait_leader()
   local bad = { clients = 3, mix = { get = { { { print } } } } }
   local function fail_often()
      for _ = 1, 2000 do
         pcall(c.load, c, bad)
         pcall(c.crash, c, 99)
         pcall(q.cluster, { nodez = 1 })
         q.plan.from_json "{"
      end
      collect()
      return collectgarbage "count"
   end
   local before = fail_often()
   lu.assertTrue(fail_often() < before + 64)
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
