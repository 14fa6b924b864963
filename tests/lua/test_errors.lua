-- Bad input: a clear error, the same sentence as in C and Python. Misuse raises at the place of the user's call;
-- what the cluster could not do, and data that is wrong, comes back as nil, message, name.
local lu = require "luaunit"
local q = require "quorate"

TestErrors = {}

--- The message of what f raises, which must name this file.
local function raised(f, ...)
   local done, message = pcall(f, ...)
   lu.assertFalse(done)
   lu.assertStrMatches(message, "[^\n]*test_errors%.lua:%d+: [^\n]*")
   return (message:gsub("^.-:%d+: ", ""))
end

local function raises(sentence, f, ...)
   lu.assertStrContains(raised(f, ...), sentence)
end

local function gives(sentence, short, value, message, name)
   lu.assertNil(value)
   lu.assertStrContains(message, sentence)
   lu.assertEquals(name, short)
end

local function started(options)
   local c = q.cluster(options or {})
   c:wait_leader()
   return c
end

-- Unknown option: the nearest known one is named. Wrong type, range, number of nodes.
function TestErrors:test_options()
   local function made(options)
      return function()
         q.cluster(options)
      end
   end
   raises("there is no option 'nodez'; did you mean 'nodes'?", made { nodez = 3 })
   raises("did you mean 'election_timeout'?", made { election_timeot = 1 })
   raises("there is no protocol 'ralf'; did you mean 'raft'?", q.bugs, "ralf")
   raises("must lie between 1 and 128, not 0", made { nodes = 0 })
   raises("must lie between 1 and 128, not 1000", made { nodes = 1000 })
   raises("option 'nodes' takes a", made { nodes = "many" })
   raises("option 'nodes' takes a", made { nodes = 2.5 })
   raises("option 'nodes' takes text, a number or a truth value, not a table", made { nodes = {} })
   raises("option 'delay' takes a duration", made { delay = "soon" })
   raises("heartbeat_interval must be below election_timeout", made { heartbeat_interval = 1 })
   raises("detector_timeout must be above detector_interval", made { detector = "timeout", detector_timeout = "9ms" })
   raises("max_interval must not be below interval", function()
      q.detector("phi-exponential", { interval = 3 })
   end)
   raises("is one of sim|live", made { runtime = "dream" })
   raises("did you mean 'raft'?", made { protocol = "raftt" })
   raises("there is no state machine 'kw'; did you mean 'kv'?", made { machine = "kw" })
   raises("has no switchable mistake", made { bug = "vote-befor-sync" })
   raises("options are named", made { "raft", 5 })
   raises("options are named", function()
      q.cluster "raft"
   end)
   raises("a protocol has at least one of on_start", made { protocol = {} })
   raises("zero byte", made { protocol = "ra\0ft" })
end

-- A malformed plan or history names line and column; a malformed directive, its field.
function TestErrors:test_malformed_text()
   gives("line 2, column", "parse", q.plan.from_json '{"directives": [\n {"at": 1 "do": "heal"}]}')
   gives("line 1, column", "parse", q.history.parse '{"history": [}')
   gives("cannot be read: No such file", "io", q.plan.load "/nowhere/plan.json")
   gives("cannot be read: No such file", "io", q.history.load "/nowhere/history.edn")
   gives("cannot be read: No such file", "io", q.replay "/nowhere/run.json")
   gives("", "parse", q.replay "{}")
   local c <close> = started()
   gives("line 1, column", "parse", c:apply '{"directives": ')
   raises("'crash' needs 'node'", function()
      q.plan():at(1, "crash")
   end)
   raises("did you mean 'crash'?", function()
      q.plan():at(1, "crsh", { node = 1 })
   end)
   raises("a list or has names, not both", function()
      c:apply { { at = 1, ["do"] = "heal" }, x = 1 }
   end)
   raises("a function cannot be written as JSON", function()
      q.plan():at(1, "crash", { node = print })
   end)
   raises("workload", function()
      c:load { clientz = 3 }
   end)
   raises("did you mean", function()
      c:load { mix = { git = 1 } }
   end)
   raises("holds itself", function()
      local loop = {}
      loop.mix = loop
      c:load(loop)
   end)
   raises("is no condition", function()
      c:run_until "leader = 3"
   end)
end

-- Wrong types and names of arguments, to every verb.
function TestErrors:test_arguments()
   local c <close> = started()
   local kv = c:client()
   raises("a time to wait is a number, not 'long'", function() c:run "long" end)
   raises("must not be negative", function() c:run(-1) end)
   raises("must be a number, not nan", function() c:run(0 / 0) end)
   raises("run takes the seconds", function() c:run() end)
   raises("a proposed value is text, not a table", function() c:propose {} end)
   raises("propose has no argument 'nod'; there are: node, timeout", function() c:propose("x", { nod = 1 }) end)
   raises("takes its further arguments by name", function() c:propose("x", 1) end)
   raises("a node is a whole number, not 'one'", function() c:propose("x", { node = "one" }) end)
   raises("there is no node 0; ids count from 1", function() c:inspect(0) end)
   raises("there is no node 9", function() c:inspect(9) end)
   raises("'node' must be", function() c:crash(9) end)
   raises("did you mean 'wiped'?", function() c:crash(1, { disk = "wipd" }) end)
   raises("'probability' must be a number between 0 and 1, not 2", function() c:loss(2) end)
   raises("a key is text, not nil", function() kv:put(nil, "v") end)
   raises("a value is text, not a table", function() kv:put("k", {}) end)
   raises("there is no operation 'git'", function() kv:start "git" end)
   raises("a counter adds whole numbers", function() kv:add(1.5) end)
   raises("a cluster has no 'leder'", function() return c.leder end)
   raises("a trace has no column 'nods'; there are time, node", function() return c.trace.nods end)
   raises("no number", function() c.trace:line(0) end)
   raises("with a colon: c:step(..); it got a nil", function() c.step() end)
   raises("with a colon", function() c.run(io.stdout, 1) end)
   raises("cannot be waited for", function() c:load { operations = 0 } end)
   raises("a number of events must not be negative", function() c:step(-1) end)
   raises("printed as 'edn' or 'json'", function() c:history():_print "xml" end)
   raises("there is no model 'kw'", function() c:history():check "kw" end)
   raises("campaign takes its arguments by name", function() q.campaign "raft" end)
   raises("did you mean 'seeds'?", function() q.campaign { seedz = 3 } end)
   lu.assertTrue(c:run(0.1)) -- and it goes on as if nothing had been said
   lu.assertTrue(assert(c:check()).ok)
end

-- A value too large, a client that is busy, an operation of another machine.
function TestErrors:test_operations()
   local c <close> = started()
   local kv = c:client()
   gives("at most", "too-large", kv:put("k", ("v"):rep(256 * 1024 + 1)))
   gives("at most", "too-large", kv:put(("k"):rep(2000), "v"))
   lu.assertTrue(kv:put("k", ("v"):rep(64 * 1024)))
   kv:start("put", "k", "1")
   raises("still waits for its last operation", function() kv:get "k" end)
end

-- A handle after close: every verb refuses, and closing again is harmless.
function TestErrors:test_closed()
   local c = started()
   local kv, history, later = c:client(), c:history(), c:propose_later "x"
   c:close()
   c:close()
   lu.assertStrContains(tostring(c), "closed")
   local arguments = { run = 1, propose = "x" }
   for _, verb in ipairs { "run", "step", "wait_leader", "propose", "client", "load", "heal", "check", "history",
      "status", "fork", "stop_load", "load_report" } do
      raises("the cluster is closed", function() c[verb](c, arguments[verb]) end)
   end
   for _, field in ipairs { "leader", "now", "hash", "events", "trace", "fingerprint", "metrics" } do
      raises("the cluster is closed", function() return c[field] end)
   end
   raises("the cluster is closed", function() kv:get "k" end)
   raises("the cluster is closed", function() later:result() end)
   lu.assertEquals(#history, 0)
   history:close()
   history:close()
   raises("the history is closed", function() history:json() end)
end

-- A live cluster cannot be stepped or forked, and says so (where this build has the live runtime).
function TestErrors:test_live_refuses_what_it_cannot()
   local made, c = pcall(q.cluster, { runtime = "live", nodes = 3 })
   if not made then
      lu.assertStrContains(c, "no live runtime")
      return
   end
   lu.assertIsNumber(c:wait_leader())
   lu.assertIsNumber(assert(c:propose "x").index)
   raises("sim", function() c:step() end)
   raises("fork", function() c:fork() end)
   c:close()
end

os.exit(lu.LuaUnit.run(), true) -- closes the state, so that what leaks is seen
