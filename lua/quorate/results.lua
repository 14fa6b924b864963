--- What calls give back: tables that print themselves. Times are seconds, node ids count from 1.
local display = require "quorate.display"

local results = {}

--- A proposal that was committed. `status` says how the machine ended it: "ok", or "cas-mismatch" and its
--- like.
---@class quorate.Committed
---@field index integer its place in the log
---@field term integer
---@field latency number seconds from the call to the answer
---@field node integer who proposed it
---@field answer string what the state machine said; "" where the value is no command of the machine
---@field status string
local committed = {
   __tostring = function(r)
      if r.term == 0 and (r.answer == "commit" or r.answer == "abort") then
         return string.format("%s of transaction %d by n%d after %s", r.answer, r.index, r.node,
            display.seconds(r.latency))
      end
      return string.format("committed at index %d in term %d by n%d after %s", r.index, r.term, r.node,
         display.seconds(r.latency))
   end,
}

--- Executed, with whatever answer; or nil, message, name.
---@param result table
---@return quorate.Committed?, string?, string?
function results.committed(result)
   local status = result.status
   if status ~= "ok" and status ~= "cas-mismatch" and status ~= "not-found" then
      return nil, result.message, status
   end
   result.message = nil
   return setmetatable(result, committed)
end

--- Who leads in which epoch, as the node that was asked came to know it.
---@class quorate.Elected
---@field leader integer
---@field epoch integer
---@field latency number seconds from the call to the answer
---@field node integer who was asked
local elected = {
   __tostring = function(r)
      return string.format("n%d leads epoch %d, says n%d after %s", r.leader, r.epoch, r.node,
         display.seconds(r.latency))
   end,
}

--- The outcome of an election; or nil, message, name.
---@param result table
---@return quorate.Elected?, string?, string?
function results.elected(result)
   if result.status ~= "ok" then
      return nil, result.message, result.status
   end
   return setmetatable({ leader = result.leader, epoch = result.term, latency = result.latency, node = result.node },
      elected)
end

--- One property of a check. Of a violation, `text` is the shortest explanation, `event` the number of the
--- first bad event, `time` when that was, `node` where (above 32768: a client).
---@class quorate.Property
---@field name string
---@field says string
---@field verdict "ok"|"violated"|"unknown"
---@field text string
---@field event integer?
---@field time number?
---@field node integer

--- The verdict on everything that a run did so far. `result.linearizability` is one property by its name (any
--- name with `result["raft/election-safety"]`); `result.properties` lists all. `hash` is that of the whole
--- trace.
---@class quorate.CheckResult
---@field verdict "ok"|"violated"|"unknown"
---@field ok boolean nothing is violated, and nothing is left open
---@field hash string
---@field events integer
---@field time number
---@field properties quorate.Property[]
---@field verdicts table<string, string> each property's name with its verdict
---@field violations quorate.Property[]
---@field consistency table the share of time during which the nodes agreed, and the first moment when they did not
---@field consensus table when all had agreed
---@field history table client operations by outcome
---@field counts table what the network and the faults did
---@field transactions table? of atomic commit: how many there were, and who was blocked for how long
---@field assumption table? live, where a bound is needed: what was broken first (assumes, broken_by, time, text)
local check_getters = {}

function check_getters.ok(r)
   return r.verdict == "ok"
end

function check_getters.verdicts(r)
   local verdicts = {}
   for _, p in ipairs(r.properties) do
      verdicts[p.name] = p.verdict
   end
   return verdicts
end

function check_getters.violations(r)
   local violations = {}
   for _, p in ipairs(r.properties) do
      if p.verdict == "violated" then
         violations[#violations + 1] = p
      end
   end
   return violations
end

local function check_notes(r)
   local lines = {}
   for _, p in ipairs(r.properties) do
      if p.text ~= "" then
         lines[#lines + 1] = p.name .. ": " .. p.text
      end
   end
   table.move(rawget(r, "notes") or {}, 1, #(rawget(r, "notes") or {}), #lines + 1, lines)
   if r.consistency and r.consistency.share then
      lines[#lines + 1] = string.format("the nodes' logs agreed %.4g %% of the time", r.consistency.share * 100)
   end
   local t = rawget(r, "transactions")
   if t then
      lines[#lines + 1] = string.format("%d transactions: %d committed, %d aborted; "
         .. "%d votes wait for a decision, participants were blocked %d times", t.begun, t.committed, t.aborted,
         t.undecided, t.times_blocked)
   end
   local h = r.history
   if h and h.operations > 0 then
      lines[#lines + 1] = string.format("%d client operations: %d ok, %d failed, %d unknown", h.operations, h.ok,
         h.failed, h.unknown)
   end
   local recorded = r.hash:find "[^0]" and "trace hash " .. r.hash or "none recorded"
   lines[#lines + 1] = string.format("%d events in %s, %s", r.events, display.seconds(r.time), recorded)
   return table.concat(lines, "\n")
end

local check = {
   __index = function(r, key)
      if check_getters[key] then
         return check_getters[key](r)
      end
      for _, p in ipairs(rawget(r, "properties")) do
         if p.name == key then
            return p
         end
      end
   end,
   __tostring = function(r)
      local rows = {}
      for i, p in ipairs(r.properties) do
         rows[i] = { p.name, p.verdict, p.says }
      end
      local notes = check_notes(r)
      return #rows > 0 and display.table(rows) .. "\n" .. notes or notes
   end,
}

---@return quorate.CheckResult
function results.check(report)
   return setmetatable(report, check)
end

--- What the clients of a cluster have seen: how operations ended, and latencies (p50, p99, p999, max) in
--- seconds.
---@class quorate.LoadReport
---@field clients integer
---@field operations integer
---@field ok integer
---@field failed integer
---@field unknown integer
---@field latency table<string, number>
---@field by_operation table<string, integer>
local load = {
   __tostring = function(r)
      local mix, latency = {}, {}
      for i, name in ipairs(display.names(r.by_operation)) do
         mix[i] = r.by_operation[name] .. " " .. name
      end
      for _, name in ipairs { "p50", "p99", "p999", "max" } do
         if r.latency[name] then
            latency[#latency + 1] = name .. " " .. display.seconds(r.latency[name])
         end
      end
      return string.format("%d operations by %d clients (%s): %d ok, %d failed, %d unknown; %s", r.operations,
         r.clients, table.concat(mix, ", "), r.ok, r.failed, r.unknown, table.concat(latency, ", "))
   end,
}

---@return quorate.LoadReport
function results.load(report)
   return setmetatable(report, load)
end

--- One node as it stands.
---@class quorate.NodeStatus
---@field node integer
---@field up boolean
---@field paused boolean
---@field role string "leader", "follower", "down", ..
---@field term integer
---@field leader integer
---@field first integer
---@field last integer
---@field commit integer
---@field applied integer
---@field sent integer
---@field received integer
---@field rejected integer
---@field persisted integer
---@field pid integer? of the node's own process, with transport "ipc" or "tcp"
---@field refused integer? connections of strangers
---@field shut integer? connections that made the node hold too much
---@field unaccepted integer? connections for which the system had no descriptor
---@field memory integer? bytes, resident
---@field memory_budget integer? bytes that it may take beside the data of its log and its machine
---@field capture table? bytes, lost (inputs), why it stopped
---@field metrics_port integer? of 127.0.0.1, where its metrics are served
---@field other_version integer frames that came from nodes or clients of another version
---@field warning string what is wrong with a node that is up
---@field why_down string
---@field suspects integer[] whom its failure detector suspects

--- A cluster as it stands. `reason` says why there is no leader, where there is none; `headline` who leads, or that; of
--- a protocol without leaders, how many nodes are up.
---@class quorate.Status
---@field protocol string
---@field runtime string
---@field machine string
---@field now number
---@field leader integer 0: none
---@field reason string
---@field headline string
---@field nodes quorate.NodeStatus[]
---@field counts table<string, integer>
---@field options table<string, string>
local status = {
   __tostring = function(s)
      local title = string.format("%s, %d nodes, %s, at %.6g s: %s", s.protocol, #s.nodes, s.runtime, s.now, s.headline)
      local rows, down, watched = {}, {}, s.options.detector ~= "none"
      for i, n in ipairs(s.nodes) do
         local state = not n.up and "down" or n.paused and "paused" or n.role
         local leader = n.leader > 0 and "n" .. n.leader or ""
         rows[i] = { "n" .. n.node, state, n.term, leader, n.first .. ".." .. n.last, n.commit, n.applied, n.sent,
            n.received }
         if watched then
            rows[i][10] = #n.suspects > 0 and "n" .. table.concat(n.suspects, ", n") or ""
         end
         if n.why_down ~= "" then
            down[#down + 1] = "\nn" .. n.node .. " is down: " .. n.why_down
         end
         if n.warning ~= "" then
            down[#down + 1] = "\nn" .. n.node .. ": " .. n.warning
         end
      end
      local header = { "node", "state", "term", "leader", "log", "commit", "applied", "sent", "received" }
      header[10] = watched and "suspects" or nil
      return title .. "\n" .. display.table(rows, header) .. table.concat(down)
   end,
}

---@return quorate.Status
function results.status(report)
   return setmetatable(report, status)
end

return results
