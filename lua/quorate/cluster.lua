--- A cluster: built, run, asked, broken, judged.
local arguments = require "quorate.arguments"
local capture = require "quorate.capture"
local client = require "quorate.client"
local core = require "quorate.core"
local history = require "quorate.history"
local machine = require "quorate.machine"
local scripts = require "quorate.node"
local livenode = require "quorate.livenode"
local pending = require "quorate.pending"
local report = require "quorate.report"
local results = require "quorate.results"
local trace = require "quorate.trace"
local turns = require "quorate.turns"
local workload = require "quorate.workload"

local NEVER <const> = math.maxinteger

--- A cluster, formatted and started. `quorate.cluster` makes one. Closed by `close()`, at the end of the
--- scope of a `local c <close>`, or by the garbage collector.
---@class quorate.Cluster
---@field nodes integer[] the members' ids: 1, 2, ..
---@field now number seconds since the run began: virtual when simulated, real when live
---@field leader integer? who leads now; nil when nobody does
---@field trace quorate.Trace the events recorded so far: a snapshot; also `c:trace()`
---@field hash string the hash of all events so far, in hexadecimal: the same whatever is recorded (zeros: only counted)
---@field events integer how many there were so far
---@field fingerprint integer 64 bits of the pure state: equal for a fork and its parent as long as both did the same
---@field metrics table<string, integer> what the network and the faults did so far, as counts
---@field tracebacks string[] what the code of your own state machine or protocol has raised
local Cluster = {}

local metatable = core.Cluster
local primitives = metatable.__index
local step = primitives._step
local getmetatable = getmetatable

local function slip(self, name)
   arguments.misuse("%s is called as a method of a cluster, with a colon: c:%s(..); it got a %s", name, name,
      type(self))
end

for name, verb in pairs(require "quorate.faults") do
   Cluster[name] = verb
end
for name, verb in pairs(require "quorate.transactions") do
   Cluster[name] = verb
end

---@class quorate.ClusterFacts
---@field title string
---@field nodes integer[]
---@field timeout integer ns
---@field driver table? of its own state machines
---@field between function? called between two turns of a call that waits

local facts = setmetatable({}, { __mode = "k" }) ---@type table<quorate.Cluster, quorate.ClusterFacts>

-- Life.

--- Frees the cluster; again is harmless. Traces, histories and columns taken from it stay valid.
function Cluster:close()
   if report.wanted() and not self:_closed() then
      report.note((self:_hash()))
   end
   self:_close()
end

local function adopt(cluster, driver)
   local status = cluster:_status()
   local nodes = {}
   for i, n in ipairs(status.nodes) do
      nodes[i] = n.node
   end
   local title = string.format("%s, %d nodes, seed %s, %s", status.protocol, #nodes, status.options.seed,
      status.runtime)
   local timeout = math.tointeger(tonumber((status.options.timeout:gsub("ns$", ""))))
   facts[cluster] = { title = title, nodes = nodes, timeout = timeout, driver = driver }
   return cluster
end

--- An independent copy of the whole running cluster, as it is now. Simulated clusters only.
---@return quorate.Cluster
function Cluster:fork()
   return adopt(self:_fork(), facts[self].driver)
end

-- Time.

--- The time, in ns since the run began, until which a call waits.
---@param seconds number?
---@return integer
function Cluster:_deadline(seconds)
   local now = self:_now()
   if seconds == nil then
      return now + facts[self].timeout
   end
   local wait = core.to_ns(seconds, "a time to wait")
   if wait < 0 then
      arguments.misuse("a time to wait must not be negative: %s", seconds)
   end
   return wait > NEVER - now and NEVER or now + wait
end

--- Calls `each` between two turns of every call that waits, so that an event loop need not be held up:
--- `c:between(coroutine.yield)` makes all of them awaitable within a coroutine. A turn works for at most `slice`
--- seconds (default: 0.004; 0 only looks, which is enough for a live cluster, that runs by itself). nil: no longer.
---@param each function?
---@param slice number?
function Cluster:between(each, slice)
   if each ~= nil and type(each) ~= "function" then
      arguments.misuse("between takes a function to call between two turns, not a %s", type(each))
   end
   facts[self].between = each
   self:_slice(each and core.to_ns(slice or 0.004, "the length of a turn") or -1)
end

--- Between two turns of a call that waits.
function Cluster:_rest()
   local each = facts[self].between
   if each then
      each()
   end
end

local function run(cluster, deadline, condition)
   while true do
      local done, message, name = cluster:_run(deadline, condition)
      if done then
         return true
      elseif done == nil then
         return nil, message, name
      end
      cluster:_rest()
   end
end

--- Lets that much time pass.
---@param seconds number
---@return true?, string?, string?
function Cluster:run(seconds)
   if seconds == nil then
      arguments.misuse("run takes the seconds to run")
   end
   return run(self, self:_deadline(seconds))
end

local function run_until_true(cluster, condition, deadline, pause)
   while not condition(cluster) do
      local now = cluster:_now()
      if now >= deadline then
         return nil, "the condition did not come true in time", "timeout"
      end
      local done, message, name = run(cluster, math.min(now + pause, deadline))
      if not done then
         return nil, message, name
      end
   end
   return true
end

--- Runs until the condition holds. Text is looked at after every event: "leader", "leader != 3", "commit >=
--- 10", "applied >= 10", "term >= 4", "events >= 1000", "idle" (the load is done). A function of the cluster
--- is called every `every` seconds (default: 0.01). nil, message, "timeout" when it does not hold within
--- `timeout` (default: the option).
---@param condition string|fun(cluster: quorate.Cluster): any
---@param timeout number?
---@param named { every: number? }?
---@return true?, string?, string?
function Cluster:run_until(condition, timeout, named)
   named = arguments.named(named, "run_until", { every = true })
   local deadline = self:_deadline(timeout)
   if type(condition) == "function" then
      return run_until_true(self, condition, deadline, math.max(core.to_ns(named.every or 0.01, "a pause"), 1))
   end
   local done, message, name = run(self, deadline, condition or "")
   if name == "parse" then
      arguments.misuse("%s", message)
   elseif done then
      return true
   end
   return nil, message, name
end

--- Carries out that many events (default: 1) of a simulated cluster; how many there were.
---@param count integer?
---@return integer
function Cluster:step(count)
   if getmetatable(self) ~= metatable then
      slip(self, "step")
   end
   count = count or 1
   if count <= 10000 then
      return step(self, count)
   end
   local all = 0
   repeat
      local done = step(self, count < 10000 and count or 10000)
      all, count = all + done, count - done
   until done == 0 or count <= 0
   return all
end

--- Runs until somebody leads (another one than `other_than`); the leader's id. nil, message, "no-leader",
--- with the reason, when that does not happen within `timeout`.
---@param named { timeout: number?, other_than: integer? }|number|nil
---@return integer?, string?, string?
function Cluster:wait_leader(named)
   named = type(named) == "number" and { timeout = named } or named
   named = arguments.named(named, "wait_leader", { timeout = true, other_than = true })
   local condition = named.other_than and string.format("leader != %d", named.other_than) or "leader"
   local done, message, name = run(self, self:_deadline(named.timeout), condition)
   if not done and self.leader then
      return nil, message, name
   end
   return self:_leader()
end

-- Proposals and clients.

local PROPOSE = { node = true, timeout = true }

--- Proposes a value (at `node`, or at the leader as soon as there is one) and runs until it is committed.
--- nil, message and "no-leader" when it was never proposed, "not-leader" when `node` does not lead, "down",
--- "failed" (certainly not committed), "unknown" (it may or may not be, now or later), "too-large".
---@param value string
---@param named { node: integer?, timeout: number? }?
---@return quorate.Committed?, string?, string?
function Cluster:propose(value, named)
   named = arguments.named(named, "propose", PROPOSE)
   local sent, message, name = self:propose_later(value, { node = named.node })
   if not sent then
      return nil, message, name
   end
   return sent:result(named.timeout)
end

--- Proposes without running; `result()` gets the outcome.
---@param value string
---@param named { node: integer? }?
---@return quorate.Pending?, string?, string?
function Cluster:propose_later(value, named)
   local node = arguments.named(named, "propose_later", { node = true }).node
   local ticket, message, name = self:_propose(value, node)
   if not ticket then
      return nil, message, name
   end
   return pending.new(self, ticket, results.committed)
end

--- Asks the node `at` (or any that is up) to have a leader elected, and runs until it knows whom. For the protocols
--- timestamp, bully and ring. Gives what `propose` gives when it fails.
---@param at integer?
---@param named { timeout: number? }?
---@return quorate.Elected?, string?, string?
function Cluster:elect(at, named)
   local asked, message, name = self:elect_later(at)
   if not asked then
      return nil, message, name
   end
   return asked:result(arguments.named(named, "elect", { timeout = true }).timeout)
end

--- Asks without running; `result()` gets the outcome.
---@param at integer?
---@return quorate.Pending?, string?, string?
function Cluster:elect_later(at)
   local ticket, message, name = self:_elect(at)
   if not ticket then
      return nil, message, name
   end
   return pending.new(self, ticket, results.elected)
end

--- Proposes all values at once and runs until each has ended; in their order. The first that failed decides
--- what is given, after all have ended; `timeout` counts from the call.
---@param values string[]
---@param named { node: integer?, timeout: number? }?
---@return quorate.Committed[]?, string?, string?
function Cluster:propose_many(values, named)
   named = arguments.named(named, "propose_many", PROPOSE)
   local first, message, name = self:_propose_many(values, named.node)
   if not first then
      return nil, message, name
   end
   local deadline, ended = self:_deadline(named.timeout), {}
   for i = 1, #values do
      local one, why, what = pending.new(self, first + i - 1, results.committed):await_until(deadline)
      ended[i] = one or false
      if not one and not name then
         message, name = why, what
      end
   end
   if name then
      return nil, message, name
   end
   return ended
end

--- A client with its own id, links and session.
---@return quorate.Client
function Cluster:client()
   return client.new(self, self:_client())
end

--- Starts a workload's clients beside what runs, and, unless { wait = false }, runs until they are done.
---@param given quorate.Workload|table|nil
---@param named { wait: boolean? }?
---@return quorate.LoadReport?, string?, string?
function Cluster:load(given, named)
   local wait = arguments.named(named, "load", { wait = true }).wait ~= false
   local wanted = workload.of(given)
   if wait and wanted.operations == 0 then
      arguments.misuse("a workload without end cannot be waited for: { wait = false }")
   end
   local done, message, name = self:_load(wanted:to_json())
   if done and wait then
      done, message, name = run(self, NEVER, "idle")
   end
   if not done then
      return nil, message, name
   end
   return self:load_report()
end

--- Tells every client of a workload to stop after its present operation.
---@return quorate.LoadReport
function Cluster:stop_load()
   self:_load_stop()
   return self:load_report()
end

--- What the clients have seen so far.
---@return quorate.LoadReport
function Cluster:load_report()
   return results.load(self:_load_report())
end

-- What it shows.

--- Judges everything up to now: each property of the protocol, and the linearizability of what clients saw.
--- What cannot be decided within `seconds` of work (default: 60) and `memory` bytes (default: 256 MiB) is
--- "unknown".
---@param named { seconds: number?, memory: integer? }?
---@return quorate.CheckResult?, string?, string?
function Cluster:check(named)
   named = arguments.named(named, "check", { seconds = true, memory = true })
   local checked, message, name = turns.until_done(function()
      return self:_check(named.seconds or 60, named.memory)
   end, function(done)
      return done or self:_rest()
   end)
   if not checked then
      return nil, message, name
   end
   local result = results.check(self:_report())
   report.note(result.hash, result.verdicts)
   return result
end

--- What the clients asked and were told so far: a snapshot.
---@return quorate.History
function Cluster:history()
   return history.of(self)
end

--- Every node as it stands, the options, and why there is no leader.
---@return quorate.Status
function Cluster:status()
   return results.status(self:_status())
end

--- The protocol's own fields of one node that is up; nil, message, "down" otherwise.
---@param node integer
---@return table<string, string>?, string?, string?
function Cluster:inspect(node)
   return self:_inspect(node)
end

-- `c.run(1)` for `c:run(1)` is the slip that everybody makes.
for name, verb in pairs(Cluster) do
   if name ~= "step" then -- which looks for itself: a step of a hundred events lasts as long as ten calls
      Cluster[name] = function(self, ...)
         if getmetatable(self) ~= metatable then
            slip(self, name)
         end
         return verb(self, ...)
      end
   end
end

local getters = {
   now = function(cluster)
      return cluster:_now() / 1e9
   end,
   leader = function(cluster)
      return (cluster:_leader())
   end,
   nodes = function(cluster)
      local nodes = facts[cluster].nodes
      return table.move(nodes, 1, #nodes, 1, {})
   end,
   trace = trace,
   hash = function(cluster)
      return (cluster:_hash())
   end,
   events = function(cluster)
      return select(2, cluster:_hash())
   end,
   fingerprint = function(cluster)
      return cluster:_fingerprint()
   end,
   metrics = function(cluster)
      return cluster:_status().counts
   end,
   tracebacks = function(cluster)
      local driver = facts[cluster].driver
      local own = driver and driver.tracebacks or {}
      return table.move(own, 1, #own, 1, cluster:_tracebacks())
   end,
}

local collect = metatable.__gc

function metatable.__index(cluster, key)
   local method = Cluster[key] or primitives[key]
   if method then
      return method
   end
   if getters[key] then
      return getters[key](cluster)
   end
   arguments.misuse("a cluster has no '%s'", tostring(key))
end

metatable.__close = Cluster.close

function metatable.__gc(cluster)
   if report.wanted() then
      pcall(Cluster.close, cluster)
   end
   collect(cluster)
end

function metatable.__tostring(cluster)
   local title = facts[cluster] and facts[cluster].title or "being made"
   if cluster:_closed() then
      return "<Cluster " .. title .. ", closed>"
   end
   return string.format("<Cluster %s, at %.6g s, %s>", title, cluster.now, cluster:status().headline)
end

--- An option's value as the core reads it.
local function option_text(name, value)
   local kind = math.type(value)
   if kind == "float" then
      return string.format("%.17g", value)
   elseif kind == "integer" or type(value) == "boolean" or type(value) == "string" then
      return tostring(value)
   end
   arguments.misuse("option '%s' takes text, a number or a truth value, not a %s", name, type(value))
end

local function option_list(given)
   local list = {}
   for name, value in pairs(given) do
      if type(name) ~= "string" then
         arguments.misuse("options are named: cluster { protocol = \"raft\", nodes = 5 }, not %s", tostring(value))
      elseif name ~= "protocol" and not (name == "machine" and type(value) ~= "string") then
         list[#list + 1] = { name, option_text(name, value) }
      end
   end
   table.sort(list, function(a, b)
      return a[1] < b[1]
   end)
   return list
end

local cluster = {}

--- A cluster: { protocol = "raft", nodes = 3, seed = 1, runtime = "sim", machine = "kv", .. };
--- `quorate.options "raft"` lists every option. Unknown ones raise, naming the nearest. `machine` is "kv",
--- "register", "counter", "lock", or your own. `protocol` may be a table of your own: see quorate.node.
---@param given table<string, any>?
---@return quorate.Cluster
function cluster.new(given)
   given = given or {}
   if type(given) ~= "table" then
      arguments.misuse("options are named: cluster { protocol = \"raft\", nodes = 5 }, not a %s", type(given))
   end
   local driver, name
   if type(given.protocol) == "table" then
      if given.machine ~= nil then
         arguments.misuse("a script decides values itself: it takes no machine")
      end
      driver = scripts.driver(given.protocol)
      if given.runtime == "live" and (given.transport == "tcp" or given.transport == "ipc") then
         driver.launch, driver.cargo = livenode.launch(given.protocol)
      end
      local made, message, what = core.script(driver, option_list(given))
      return made and adopt(made, driver), message, what
   end
   if given.machine ~= nil and type(given.machine) ~= "string" then
      driver, name = machine.driver(given.machine)
   end
   local made, message, what = core.cluster(given.protocol or "raft", option_list(given), driver, name)
   if not made then
      return nil, message, what
   end
   return adopt(made, driver)
end

--- The cluster of a run's file, once the run has come to its end.
local function finish(made, driver)
   local done, message, name = turns.until_done(function()
      return made:_replay_run()
   end)
   if not done then
      return nil, message, name
   end
   return adopt(made, driver)
end

--- One seed of a campaign over a protocol of your own, to its end: the cluster stands there for inspection.
---@param driver table of quorate.node
---@param spec table a campaign's
---@param seed integer
---@param record boolean?
---@return quorate.Cluster?, string?, string?
function cluster.seed(driver, spec, seed, record)
   local made, message, name = core.seed(driver, core.json_encode(spec, true), seed, record or false)
   if not made then
      return nil, message, name
   end
   return finish(made, driver)
end

--- What `quorate.connect` stands on: see quorate.remote.
---@param file string
---@param key string?
---@return quorate.Cluster?, string?, string?
function cluster.connect(file, key)
   local made, message, name = core.connect(file, key)
   if not made then
      return nil, message, name
   end
   return adopt(made)
end

local RUN_HINT = "%s takes a run file's path, its text or its data, not a %s"

--- The replay of a run's file, its text or its data, which has not begun.
local function begin_replay(given, what)
   local text, message, name = given, nil, nil
   if type(given) == "table" then
      text = core.json_encode(given, true)
   elseif type(given) ~= "string" then
      arguments.misuse(RUN_HINT, what, type(given))
   elseif not given:match "^%s*{" then
      text, message, name = arguments.read_file(given)
   end
   if not text then
      return nil, message, name
   end
   return core.replay(text)
end

--- Runs a failing run's file (its path, its JSON text, or its data) again, to its end; the cluster stands
--- there for inspection. nil, message, name where the file is malformed, or its trace hash is another one.
---
--- A folder is a capture (option `capture`): its inputs are fed to the nodes again, with the mistake `bug` switched on
--- if you like, and what comes back says which steps matched.
---@param given string|table
---@param bug string?
---@param record integer? of a capture: how many of the last events its trace keeps
---@return quorate.Cluster|quorate.CaptureReplay|nil, string?, string?
function cluster.replay(given, bug, record)
   if type(given) == "string" and capture.present(given) then
      return capture.replay(given, bug, record)
   end
   local made, message, name = begin_replay(given, "replay")
   if not made then
      return nil, message, name
   end
   return finish(made)
end

--- The same failure under a smaller plan of faults, as JSON text that `replay` takes. Directives are dropped and what
--- is left is made shorter and plainer, as long as a property that was violated still is (delta debugging). Each try
--- runs the whole seed; the text's "shrunk" says from how many directives to how many, and in how many tries. A run
--- that does not fail is misuse.
---@param given string|table a failing run's file, its JSON text or its data
---@param progress fun(tries: integer, directives: integer)?
---@return string?, string?, string?
function cluster.shrink(given, progress)
   if type(given) == "string" and capture.present(given) then
      arguments.misuse "a capture is of a live run, which cannot be made again under a smaller plan"
   end
   local made, message, name = begin_replay(given, "shrink")
   if not made then
      return nil, message, name
   end
   local c, why, what = finish(made)
   if not c then
      return nil, why, what
   end
   local done
   done, why, what = turns.until_done(function()
      return made:_shrink()
   end, progress and function(_, tries, directives)
      progress(tries, directives)
   end)
   if not done then
      c:close()
      return nil, why, what
   end
   local text = made:_shrunk()
   c:close()
   return text
end

return cluster
