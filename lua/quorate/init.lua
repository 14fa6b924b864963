--- Quorate: build a cluster out of fault-tolerance protocols, propose values, break it on purpose, get a
--- verdict.
---
---     local q = require "quorate"
---     local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7 }
---     local old = c:wait_leader()
---     c:propose("x = 1")
---     c:crash(old)
---     c:wait_leader()
---     print(c:check())
---
--- Operating errors (no leader, a timeout, malformed data) come back as nil, message, name: the sentence says
--- what happened and why, the name is short ("no-leader"). Misuse (an unknown option, a wrong type, a closed
--- cluster) raises.
local core = require "quorate.core"

-- Errors are reported at the place of the user's call: the first outside of the folder of this file.
core.home((debug.getinfo(1, "S").source:gsub("init%.lua$", "")))

local arguments = require "quorate.arguments"
local campaign = require "quorate.campaign"
local cluster = require "quorate.cluster"
local grading = require "quorate.grading"
local history = require "quorate.history"
local parts = require "quorate.parts"
local plan = require "quorate.plan"
local remote = require "quorate.remote"
local workload = require "quorate.workload"

---@class quorate
---@field version string
local quorate = { version = core.version() }

quorate.cluster = cluster.new

--- A plan of faults, from a list of directives or empty: `q.plan():at(1, "crash", { node = "leader" })`. Also
--- `plan.draw`, `plan.from_json`, `plan.load`.
quorate.plan = setmetatable({ draw = plan.draw, from_json = plan.from_json, load = plan.load }, {
   __call = function(_, directives)
      return plan.new(directives)
   end,
})

quorate.workload = workload.new
quorate.connect = remote.connect
quorate.keygen = remote.keygen
quorate.campaign = campaign.run
quorate.run_file = campaign.run_file
quorate.replay = cluster.replay
quorate.shrink = cluster.shrink
quorate.bench = campaign.bench
quorate.compare = require "quorate.compare"
quorate.grade = grading.grade
quorate.twice = grading.twice

-- ring, jump, quorum, detector, detector_load, phi, nfd_quality, mixture
for name, part in pairs(parts) do
   quorate[name] = part
end

--- Histories of your own: `history.parse(text)`, `history.load(path)`.
quorate.history = { parse = history.parse, load = history.load }

--- Every protocol: name, summary, fault_model (what it stands), bugs.
---@return { name: string, summary: string, fault_model: table, bugs: table[] }[]
function quorate.protocols()
   return core.protocols()
end

--- Every option of a cluster of that protocol: section, name, type, unit, low, high, default, choices, help.
---@param protocol string?
---@return table[]
function quorate.options(protocol)
   return core.options(protocol or "raft")
end

--- The built-in state machines: name, summary.
---@return { name: string, summary: string }[]
function quorate.machines()
   return core.machines()
end

--- Every switchable mistake, of one protocol or of all: name, protocol, mistake, property, source.
---@param protocol string?
---@return table[]
function quorate.bugs(protocol)
   local bugs = {}
   core.options(protocol or "raft") -- which there is, or raises what says so
   for _, p in ipairs(core.protocols()) do
      for _, bug in ipairs((protocol or p.name) == p.name and p.bugs or {}) do
         bug.protocol = p.name
         bugs[#bugs + 1] = bug
      end
   end
   return bugs
end

--- What a protocol stands: crashes, liars, loss, and so on, as data.
---@param protocol string?
---@return table<string, any>
function quorate.fault_model(protocol)
   for _, p in ipairs(core.protocols()) do
      if p.name == (protocol or "raft") then
         return p.fault_model
      end
   end
   arguments.misuse("there is no protocol '%s'", tostring(protocol))
end

return quorate
