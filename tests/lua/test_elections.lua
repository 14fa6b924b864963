-- Elections and primary-backup in Lua: the same nouns and verbs as in Python.
local lu = require "luaunit"
local q = require "quorate"

TestElections = {}

-- Leader and epoch as data; a dead leader is replaced in a later epoch.
function TestElections:test_elect()
   for _, protocol in ipairs { "timestamp", "bully", "ring" } do
      local c <close> = q.cluster { protocol = protocol, nodes = 5, seed = 7 }
      local first = assert(c:elect(2))
      lu.assertEquals(first.node, 2)
      lu.assertEquals(math.type(first.epoch), "integer")
      lu.assertStrContains(tostring(first), "n" .. first.leader .. " leads epoch " .. first.epoch)
      c:run(1.0)
      lu.assertEquals(c.leader, first.leader)
      c:crash(first.leader)
      local second = assert(c:elect())
      lu.assertNotEquals(second.leader, first.leader)
      lu.assertTrue(second.epoch > first.epoch)
      lu.assertTrue(c:check().ok)
   end
end

-- Errors come back as values: nil, message, name.
function TestElections:test_errors()
   local c <close> = q.cluster { protocol = "timestamp", nodes = 3, seed = 1 }
   c:crash(1)
   c:crash(2)
   local r, _, name = c:elect(1)
   lu.assertNil(r)
   lu.assertEquals(name, "down")
   r, _, name = c:elect(3, { timeout = 1.0 })
   lu.assertNil(r)
   lu.assertEquals(name, "unknown")
   lu.assertErrorMsgContains("timout", function() c:elect(3, { timout = 1 }) end)
end

function TestElections:test_only_protocols_that_elect_are_asked_to()
   local c <close> = q.cluster { protocol = "raft", nodes = 3 }
   lu.assertErrorMsgContains("here wait for the leader", function() assert(c:elect()) end)
   lu.assertErrorMsgContains("faults=5 needs 6 nodes", function()
      assert(q.cluster { protocol = "floodset", nodes = 2, faults = 5 })
   end)
   lu.assertErrorMsgContains("at least one protocol", function() assert(q.compare {}) end)
end

-- What an early answer loses is told with the check, and is no violation.
function TestElections:test_primary_backup_lost_window()
   local c <close> = q.cluster { protocol = "primary-backup", nodes = 3, seed = 5, mode = "async",
      check_quorum = false }
   local old = assert(c:wait_leader())
   c:run(0.1)
   c:isolate(old)
   for _ = 1, 4 do
      assert(c:propose("lost", { node = old }))
   end
   c:run(1.0)
   c:heal()
   c:run(1.0)
   local result = assert(c:check())
   lu.assertTrue(result.ok)
   lu.assertNil(result.verdicts["linearizability"])
   lu.assertStrContains(result["lost-window"].text, "4 answered entries were lost in 1 switch-overs")
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
