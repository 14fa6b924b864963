-- The verbs of a cluster in Lua: elections, proposals, clients, faults, plans, loads, verdicts, the trace, forks.
local lu = require "luaunit"
local q = require "quorate"

TestCluster = {}

local function started(options)
   options = options or {}
   options.nodes = options.nodes or 3
   local c = q.cluster(options)
   lu.assertIsNumber(c:wait_leader())
   return c
end

-- The job that a user comes with: elect, propose, break, mend, judge.
function TestCluster:test_first_hour()
   local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7 }
   lu.assertEquals(c.nodes, { 1, 2, 3, 4, 5 })
   lu.assertNil(c.leader)
   local old = assert(c:wait_leader())
   local committed = assert(c:propose "x = 1")
   lu.assertEquals(committed.node, old)
   lu.assertEquals(math.type(committed.index), "integer")
   lu.assertTrue(committed.term >= 1 and committed.latency > 0)
   lu.assertStrContains(tostring(committed), "committed at index " .. committed.index)
   lu.assertTrue(c:crash(old))
   local new = assert(c:wait_leader { other_than = old })
   lu.assertNotEquals(new, old)
   assert(c:propose "x = 2")
   lu.assertTrue(c:isolate(new))
   lu.assertTrue(c:run(1.0))
   lu.assertTrue(c:heal())
   lu.assertTrue(c:restart(old))
   lu.assertTrue(c:run(1.0))
   local result = assert(c:check())
   lu.assertTrue(result.ok)
   lu.assertEquals(result.verdict, "ok")
   lu.assertEquals(result.verdicts["election-safety"], "ok")
   lu.assertEquals(result["log-matching"].verdict, "ok")
   lu.assertEquals(result.hash, c.hash)
   lu.assertStrMatches(tostring(result), ".*trace hash " .. c.hash)
end

-- Time is virtual: a second takes no second, and the clock stands exactly where it was told to.
function TestCluster:test_time()
   local c <close> = started()
   local now = c.now
   c:run(0.5)
   lu.assertAlmostEquals(c.now, now + 0.5, 1e-9)
   lu.assertEquals(c:step(100), 100)
   lu.assertTrue(c:run_until("commit >= 1", 5))
   local calls = 0
   lu.assertTrue(c:run_until(function(same)
      lu.assertIs(same, c)
      calls = calls + 1
      return calls == 10
   end, 5, { every = 0.001 }))
   local done, message, name = c:run_until("commit >= 1000000", 0.1)
   lu.assertNil(done)
   lu.assertEquals(name, "timeout")
   lu.assertStrContains(message, "commit >= 1000000")
   lu.assertEquals(select(3, c:run_until(function() return false end, 0.1)), "timeout")
end

-- No leader is an operating error, and says why.
function TestCluster:test_no_leader_says_why()
   local c <close> = started { nodes = 5, seed = 3 }
   for n = 1, 3 do c:crash(n) end
   c:run(1)
   local leader, message, name = c:wait_leader(0.5)
   lu.assertNil(leader)
   lu.assertEquals(name, "no-leader")
   lu.assertEquals(message, "no leader: 2 of 5 nodes are up, 3 are needed")
   local committed, why, short = c:propose("lost", { timeout = 0.5 })
   lu.assertNil(committed)
   lu.assertStrContains(why, "2 of 5 nodes are up")
   lu.assertEquals(short, "no-leader")
   lu.assertStrContains(tostring(c), "no leader: 2 of 5 nodes are up, 3 are needed")
end

-- Where every member is as good as any other, nothing is said of leaders.
function TestCluster:test_no_leader_is_missed_where_none_is_needed()
   local c <close> = assert(q.cluster { protocol = "benor", nodes = 3 })
   for _, text in ipairs { tostring(c), tostring(c:status()):match "^[^\n]*" } do
      lu.assertStrContains(text, "3 of 3 nodes are up and reach each other")
      lu.assertNotStrContains(text, "lead")
   end
   lu.assertEquals(c:status().leader, 0)
end

-- Proposals: at a node, many at once, later; failure and ignorance are different errors.
function TestCluster:test_proposals()
   local c <close> = started { seed = 5 }
   local leader = c.leader
   local follower = leader % 3 + 1
   lu.assertEquals(select(3, c:propose("x", { node = follower })), "not-leader")
   local all = assert(c:propose_many { "a", "b", "c" })
   lu.assertEquals(#all, 3)
   lu.assertEquals(all[3].index, all[1].index + 2)
   local later = c:propose_later "d"
   lu.assertFalse(later.done)
   lu.assertTrue(later:result().index > all[3].index)
   lu.assertTrue(later.done)
   lu.assertEquals(later:result().index, later:result().index)
   c:crash(follower)
   lu.assertEquals(select(3, c:propose("x", { node = follower })), "down")
   lu.assertEquals(select(3, c:propose(("v"):rep(300 * 1024))), "too-large")
   c:partition { { leader }, { leader % 3 + 1, (leader + 1) % 3 + 1 } }
   lu.assertEquals(select(3, c:propose("x", { node = leader, timeout = 0.2 })), "unknown")
end

-- The built-in machines through their clients.
function TestCluster:test_key_value_store()
   local c <close> = started()
   local kv = c:client()
   lu.assertEquals(kv.name, "c1")
   local value, _, name = kv:get "k"
   lu.assertNil(value)
   lu.assertEquals(name, "not-found")
   lu.assertTrue(kv:put("k", "v\0\255"))
   lu.assertEquals(kv:get "k", "v\0\255")
   lu.assertEquals(kv:append("k", "!"), 4)
   lu.assertTrue(kv:cas("k", "v\0\255!", "w"))
   local swapped, holds = kv:cas("k", "other", "x")
   lu.assertFalse(swapped)
   lu.assertEquals(holds, "w")
   lu.assertTrue(kv:cas("new", nil, "1"))
   lu.assertEquals(kv:scan(), { { "k", "w" }, { "new", "1" } })
   lu.assertEquals(kv:scan("l", "z", 1), { { "new", "1" } })
   lu.assertTrue(kv:delete "k")
   lu.assertFalse(kv:delete "k")
end

function TestCluster:test_register_counter_lock()
   local register <close> = started { machine = "register" }
   local r = register:client()
   lu.assertEquals(select(3, r:read()), "not-found")
   lu.assertTrue(r:write "1")
   lu.assertTrue(r:cas("", "1", "2"))
   lu.assertEquals(r:read(), "2")
   local counter <close> = started { machine = "counter" }
   local n = counter:client()
   lu.assertEquals(n:add(5), 5)
   lu.assertEquals(n:add(-7), -2)
   lu.assertEquals(n:add(), -1)
   local lock <close> = started { machine = "lock" }
   local a, b = lock:client(), lock:client()
   local token = a:acquire "door"
   lu.assertEquals(math.type(token), "integer")
   local held, owner = b:acquire "door"
   lu.assertFalse(held)
   lu.assertEquals(owner, "c1")
   lu.assertFalse(b:release "door")
   lu.assertTrue(a:release "door")
   lu.assertTrue(b:acquire "door" > token)
end

-- Several clients have operations under way at the same time.
function TestCluster:test_overlapping_operations()
   local c <close> = started()
   local a, b = c:client(), c:client()
   local one, other = a:start("put", "k", "1"), b:start("append", "k", "2")
   lu.assertEquals(select(3, pcall(function() return a:start("get", "k") end)), nil)
   lu.assertTrue(one:result())
   lu.assertIsNumber(other:result())
   lu.assertEquals(#c:history(), 2)
   lu.assertEquals(c:history():check("kv").verdict, "ok")
end

-- Loads, reports and histories; a history reads back to itself.
function TestCluster:test_load_and_history()
   local c <close> = started { seed = 2 }
   local report = assert(c:load { clients = 4, operations = 200, mix = { get = 1, put = 1 } })
   lu.assertEquals(report.operations, 200)
   lu.assertEquals(report.by_operation.get + report.by_operation.put, 200)
   lu.assertTrue(report.latency.p50 > 0)
   lu.assertStrContains(tostring(report), "200 operations by 4 clients")
   lu.assertEquals(assert(c:check()).linearizability.verdict, "ok")
   local h = c:history()
   local again = assert(q.history.parse(h:json()))
   lu.assertEquals(again:json(), h:json())
   lu.assertEquals(#again.operations, 200)
   lu.assertTrue(assert(q.history.parse(h:edn())):check("kv").ok)
   c:load({ clients = 2, operations = 0 }, { wait = false })
   c:run(0.2)
   lu.assertTrue(c:stop_load().operations > 200)
end

-- The order in which a table's fields come differs between processes; the run must not.
function TestCluster:test_mix_has_no_order()
   local function hash(mix)
      local c <close> = started { seed = 9 }
      c:load { operations = 100, mix = mix }
      return c.hash
   end
   local names, mixes = { "append", "cas", "delete", "get", "put", "scan" }, {}
   for i = 1, #names do
      mixes[i] = {}
      for k = 1, #names do
         mixes[i][names[(i + k) % #names + 1]] = 1
      end
   end
   for i = 2, #mixes do
      lu.assertEquals(hash(mixes[i]), hash(mixes[1]))
   end
end

-- Full disks: what is refused is an operating error with its reason, and room ends it.
function TestCluster:test_full_disks()
   local c <close> = started { nodes = 3 }
   c:wait_leader()
   lu.assertTrue(c:fill_disk "all")
   lu.assertTrue(c:run(2))
   local result, why, name = c:propose("x", { timeout = 1 })
   lu.assertNil(result)
   lu.assertEquals(name, "full")
   lu.assertStrContains(why, "the disks of n1, n2, n3 are full: make room there; they still vote")
   lu.assertTrue(c:free_disk())
   lu.assertTrue(c:run(1))
   lu.assertNotNil(c:propose "y")
end

-- Faults by verb, and the same as a plan.
function TestCluster:test_faults_and_plans()
   local c <close> = started { nodes = 5 }
   local client = c:client()
   lu.assertTrue(c:loss(0.1))
   lu.assertTrue(c:loss(1, { link = { client, 1 }, both = true }))
   lu.assertTrue(c:delay({ uniform = { 0.001, 0.002 } }, { link = { 1, 2 } }))
   lu.assertTrue(c:reorder(0.2, { spread = "2ms" }))
   lu.assertTrue(c:duplicate(0.2))
   lu.assertTrue(c:corrupt(0.01))
   lu.assertTrue(c:bandwidth(1000000, { link = { 1, 2 } }))
   lu.assertTrue(c:lie(5, 0.01, { to = 4 }))
   lu.assertTrue(c:skew(2, { offset = 0.5, drift = 100 }))
   lu.assertTrue(c:slow(3, "1ms"))
   lu.assertTrue(c:pause(4))
   lu.assertTrue(c:run(1))
   lu.assertTrue(c:resume(4))
   lu.assertTrue(c:partition "halves")
   lu.assertTrue(c:run(1))
   lu.assertTrue(c:heal())
   lu.assertTrue(c:crash(5, { disk = "wiped" }))
   lu.assertTrue(c:restart(5))
   lu.assertTrue(c:crash(1, { effect = 1 }))
   local plan = q.plan()
      :at(0.1, "crash", { node = "leader" })
      :after(0.3, "restart", { node = "all" })
      :every(0.5, "pause", { node = "random", ["for"] = "100ms", ["until"] = 2 })
      :during(0.2, 0.6, "loss", { probability = 0.2 })
   lu.assertEquals(#plan, 4)
   lu.assertTrue(c:apply(plan))
   lu.assertTrue(c:run(2))
   lu.assertTrue(c.metrics.crashes >= 2)
   lu.assertTrue(assert(c:check()).ok)
end

-- A damaged member says what it takes from its peers, catches up, and the run is sound.
function TestCluster:test_damage()
   local c <close> = q.cluster { nodes = 3, seed = 1 }
   assert(c:load { clients = 4, operations = 400 })
   assert(c:crash(1, { disk = "damaged" }))
   assert(c:restart(1))
   local node = c:status().nodes[1]
   lu.assertEquals(node.role, "recovering")
   lu.assertStrContains(node.warning, "damaged: wal-")
   lu.assertStrContains(node.warning, "are taken from the peers")
   assert(c:run(1))
   lu.assertEquals(c:status().nodes[1].warning, "")
   lu.assertTrue(assert(c:check()).ok)
end

-- A plan is data: what it prints reads back to itself.
function TestCluster:test_plans_as_data()
   local plan = q.plan():at(1, "crash", { node = 2, disk = "kept" }):during(2, 3, "loss", { probability = 0.5 })
   local again = assert(q.plan.from_json(plan:to_json()))
   lu.assertEquals(again, plan)
   lu.assertEquals(again:to_json(), plan:to_json())
   lu.assertEquals(#(plan .. again), 4)
   local path = os.tmpname()
   assert(plan:save(path))
   lu.assertEquals(assert(q.plan.load(path)), plan)
   os.remove(path)
   local drawn = q.plan.draw { nodes = 5, seed = 4 }
   lu.assertEquals(drawn, q.plan.draw { nodes = 5, seed = 4 })
   lu.assertNotEquals(drawn:to_json(), q.plan.draw({ nodes = 5, seed = 5 }):to_json())
   for i, directive in plan:each() do
      lu.assertEquals(directive["do"], i == 1 and "crash" or "loss")
   end
end

--- All that a trace offers; one column of it.
local function check_trace(c, trace)
   lu.assertEquals(#trace, c.events)
   lu.assertEquals(#c:trace(), #trace)
   lu.assertEquals(trace.first, 0)
   local time, kind = trace.time, trace.kind
   lu.assertEquals(#time, #trace)
   lu.assertNil(time[0])
   lu.assertNil(time[#time + 1])
   local copy = time()
   lu.assertEquals(#copy, #time)
   for i = 2, #time do
      lu.assertTrue(time[i] >= time[i - 1] and copy[i] == time[i])
   end
   lu.assertEquals(trace.kinds[kind[1]], trace:event(1).what)
   local lines = 0
   for i, line in trace:lines() do
      lines = i
      lu.assertIsString(line)
   end
   lu.assertEquals(lines, #trace)
   return time
end

-- The trace as columns that outlive their cluster.
function TestCluster:test_trace()
   local time
   do
      local c <close> = started()
      time = check_trace(c, c.trace)
   end
   local last = time[#time]
   collectgarbage()
   collectgarbage()
   lu.assertEquals(time[#time], last)
end

function TestCluster:test_svg()
   local c <close> = started()
   local svg = c.trace:svg()
   lu.assertStrMatches(svg, "<svg.*")
end

-- Both go on as one, until something is done to one of them.
function TestCluster:test_fork()
   local c <close> = started { seed = 8 }
   local f <close> = c:fork()
   lu.assertEquals(f.fingerprint, c.fingerprint)
   c:run(0.3)
   f:run(0.3)
   lu.assertEquals(f.hash, c.hash)
   lu.assertEquals(f.fingerprint, c.fingerprint)
   f:crash(f.leader)
   f:run(0.3)
   c:run(0.3)
   lu.assertNotEquals(f.hash, c.hash)
   local hash = c.hash
   f:close()
   lu.assertEquals(c.hash, hash)
end

-- What it shows of itself.
function TestCluster:test_status_and_inspect()
   local c <close> = started { seed = 4 }
   local status = c:status()
   lu.assertEquals(status.protocol, "raft")
   lu.assertEquals(#status.nodes, 3)
   lu.assertEquals(status.nodes[c.leader].role, "leader")
   lu.assertEquals(status.options.nodes, "3")
   lu.assertStrContains(tostring(status), "n" .. c.leader .. " leads")
   lu.assertEquals(c:inspect(c.leader).role, "leader")
   local leader = c.leader
   c:crash(leader)
   local fields, message, name = c:inspect(leader)
   lu.assertNil(fields)
   lu.assertEquals(name, "down")
   lu.assertStrContains(message, "n" .. leader .. " is down")
end

-- A switched mistake is seen, its run is a file, and the file replays to the same hash.
function TestCluster:test_compare()
   local costs = assert(q.compare { "raft", nodes = 3, operations = 50 })
   lu.assertEquals(costs[1].proposal, { messages = 4.0, delays = 2.0, writes = 3.0 })
   lu.assertStrContains(tostring(costs), "message delays a proposal")
   lu.assertErrorMsgContains("did you mean 'raft'", function() q.compare { "rafft" } end)
end

function TestCluster:test_campaign_and_replay()
   local clean = assert(q.campaign { seeds = 6, nodes = 3, events = 2000, jobs = 2 })
   lu.assertEquals(clean.seeds, 6)
   lu.assertEquals(#clean.rows, 6)
   lu.assertTrue(clean.ok)
   lu.assertEquals(clean.hash, assert(q.campaign { seeds = 6, nodes = 3, events = 2000, jobs = 1 }).hash)
   lu.assertStrContains(tostring(clean), "6 seeds")
   local again = assert(q.replay(assert(q.run_file({ nodes = 3, events = 2000 }, 4))))
   lu.assertEquals(string.format("%016x", clean.rows[4].hash), again.hash)
   again:close()
end

-- The same failure under fewer faults; what does not fail is refused.
function TestCluster:test_shrink()
   local tries
   local small = assert(q.shrink(assert(q.run_file({ bug = "vote-before-sync" }, 3)), function(n) tries = n end))
   local from, to = small:match '"shrunk":%s*{%s*"from":%s*(%d+),%s*"to":%s*(%d+)'
   lu.assertTrue(tonumber(to) < tonumber(from) and tries > 10, small)
   local again <close> = assert(q.replay(small))
   lu.assertEquals(again:check().verdict, "violated")
   lu.assertErrorMsgContains("violates nothing and is not stuck", q.shrink, assert(q.run_file({ events = 2000 }, 1)))
end

-- What there is.
function TestCluster:test_catalogue()
   lu.assertStrMatches(q.version, "%d+%.%d+%.%d+")
   lu.assertEquals(q.protocols()[1].name ~= nil, true)
   local names = {}
   for _, option in ipairs(q.options "raft") do names[option.name] = option.type end
   lu.assertEquals(names.nodes, "integer")
   lu.assertEquals(names.election_timeout, "duration")
   lu.assertTrue(#q.machines() >= 4)
   lu.assertTrue(#q.bugs "raft" >= 8)
   lu.assertIsTable(q.fault_model())
end

-- `quorate run script.lua --json` hears of the last check.
function TestCluster:test_report_file()
   local path, script = os.tmpname(), os.tmpname()
   local file = assert(io.open(script, "w"))
   file:write [[
      local q = require "quorate"
      local c <close> = q.cluster { nodes = 3 }
      c:wait_leader()
      print(c:check().hash)
   ]]
   file:close()
   local pipe = assert(io.popen(string.format("QUORATE_REPORT=%s %s %s", path, arg[-1] or "lua5.4", script)))
   local hash = pipe:read "l"
   lu.assertTrue(pipe:close())
   local report = assert(io.open(path)):read "a"
   lu.assertStrContains(report, '"hash": "' .. hash .. '"')
   lu.assertStrMatches(report, '.*"election%-safety": ?"ok".*')
   os.remove(path)
   os.remove(script)
end

-- Between two turns of a call that waits somebody else may run: here another coroutine, with a cluster of its own.
function TestCluster:test_between_turns()
   local turns, hashes = { 0, 0 }, {}
   local function life(number)
      local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7 }
      if number > 0 then
         c:between(function()
            turns[number] = turns[number] + 1
            coroutine.yield()
         end, 0)
      end
      c:wait_leader()
      assert(c:propose "x = 1")
      assert(c:load { clients = 4, operations = 500 })
      c:run(5)
      hashes[number] = c:check().hash
      c:between(nil)
      c:run(0.1)
   end
   life(0)
   local both = { coroutine.create(life), coroutine.create(life) }
   local alive = true
   while alive do
      alive = false
      for number, one in ipairs(both) do
         if coroutine.status(one) ~= "dead" then
            assert(coroutine.resume(one, number))
            alive = true
         end
      end
   end
   lu.assertTrue(turns[1] > 10 and turns[2] > 10)
   lu.assertEquals(hashes, { [0] = hashes[0], hashes[0], hashes[0] })
   local c <close> = started()
   lu.assertErrorMsgContains("between takes a function", c.between, c, 1)
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
