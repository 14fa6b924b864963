-- Logs and metrics of live nodes from Lua: the same options, the same place in the status.
local lu = require "luaunit"
local q = require "quorate"

TestLiveObserve = {}

-- A line a role; the port of each process; the reason where an option makes no sense.
function TestLiveObserve:test_log_and_metrics()
   local path = os.tmpname()
   local c, why, what = q.cluster { runtime = "live", transport = "ipc", metrics = 0, log = "info:" .. path }
   lu.skipIf(what == "unsupported", why)
   local leader = assert(c:wait_leader())
   local seen = {}
   for _, node in ipairs(c:status().nodes) do
      lu.assertTrue(node.metrics_port > 0)
      lu.assertNil(seen[node.metrics_port])
      seen[node.metrics_port] = true
   end
   c:close()
   local file <close> = assert(io.open(path))
   lu.assertStrContains(file:read "a", " info n" .. leader .. " is leader of term ")
   os.remove(path)
   lu.assertErrorMsgContains("it is a level (off, error, warn, info, debug)", q.cluster,
      { runtime = "live", log = "loud" })
   lu.assertErrorMsgContains("they need runtime=live", q.cluster, { metrics = 0 })
end

-- What a fault did to a protocol that needs a bound on delays is said in the report, as in Python and C.
function TestLiveObserve:test_a_broken_assumption_is_named()
   local c, why, what = q.cluster { protocol = "bully", nodes = 3, runtime = "live", reply_timeout = "100ms" }
   lu.skipIf(what == "unsupported", why)
   c:delay("80ms", { link = { 1, "any" } })
   c:propose_later("elect", { node = 1 })
   c:run(0.3)
   local result = c:check()
   lu.assertEquals(result.assumption.broken_by, "a fault of the plan: delay")
   lu.assertStrMatches(result.notes[1], "assumption broken: a fault of the plan: delay at .* s; bully assumes that .*")
   lu.assertStrContains(tostring(result), "\n" .. result.notes[1])
   c:close()
end

os.exit(lu.LuaUnit.run(), true)
