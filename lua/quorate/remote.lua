--- Clusters of nodes that were started by hand, each on its host: a client's side of them.
local arguments = require "quorate.arguments"
local cluster = require "quorate.cluster"
local core = require "quorate.core"
local plan = require "quorate.plan"

--- A cluster whose nodes run elsewhere, as a client of it; `quorate.connect` makes one. Everything of a live
--- cluster that a client can do works as there: `leader`, `status`, `inspect`, `wait_leader`, `propose`, `client`,
--- `load`, the verbs that break nodes. `put`, `get` and their like are those of one client of its own. What the key
--- has no right to gives nil, message, "denied", and so does everything where no node knows the key. A verb for a node
--- that does not answer gives nil, message, "down"; the others were told.
---@class quorate.Remote: quorate.Cluster
---@field cluster quorate.Cluster what stands behind it
local Remote = {}

for _, verb in ipairs { "get", "put", "delete", "append", "cas", "scan" } do
   Remote[verb] = function(remote, ...)
      local own = rawget(remote, "own")
      if not own then
         own = remote.cluster:client()
         rawset(remote, "own", own)
      end
      return own[verb](own, ...)
   end
end

local function ask(remote, node, question)
   return remote.cluster:_ask(node, core.json_encode(question, true))
end

--- One directive of a plan, now: `remote:fault("pause", { node = 2 })`; see `quorate.plan`.
---@param verb string
---@param fields table?
---@return true?, string?, string?
function Remote:fault(verb, fields)
   return self.cluster:_fault(plan.directive(verb, fields or {}))
end

--- The last events (at most `count`, default 50) of a node's own trace: number, time (s since 1970 by that host's
--- clock), node, kind, peer, term, index, text.
---@param node integer
---@param count integer?
---@return table[]?, string?, string?
function Remote:last_events(node, count)
   local answer, message, name = ask(self, node, { ask = "trace", last = count or 50 })
   if not answer then
      return nil, message, name
   end
   for _, event in ipairs(answer.events) do
      event.time = event.time / 1e9
   end
   return answer.events
end

--- Ends a node's process, once everything under way is on its disk.
---@param node integer
---@return true?, string?, string?
function Remote:stop(node)
   local answer, message, name = ask(self, node, { ask = "stop" })
   if not answer then
      return nil, message, name
   end
   return true
end

function Remote:close()
   self.cluster:close()
end

local metatable = { __name = "quorate.remote", __close = Remote.close }

--- Everything else is the cluster's; its methods are called with the cluster as their self.
function metatable.__index(remote, key)
   if Remote[key] ~= nil then
      return Remote[key]
   end
   local found = rawget(remote, "cluster")[key]
   if type(found) ~= "function" then
      return found
   end
   return function(_, ...)
      return found(remote.cluster, ...)
   end
end

local remote = {}

--- A client of the cluster that the file describes: `q.connect("cluster.toml", { key = "keys/alice.key" })`; key: the
--- file of its secret key, not given where the cluster has no keys. Waits at most 1.5 s for every node's first answer.
---@param file string
---@param named { key: string? }?
---@return quorate.Remote?, string?, string?
function remote.connect(file, named)
   local key = arguments.named(named, "connect", { key = true }).key
   local made, message, name = cluster.connect(file, key)
   if not made then
      return nil, message, name
   end
   return setmetatable({ cluster = made }, metatable)
end

--- Makes keys for the nodes and clients of a cluster file that have none; or, with a name ("n2" is node 2), a new one
--- for that one. Secrets go to keys/NAME.key beside the file, public keys into it: { { name, public, file }, .. }.
---@param file string
---@param name string?
---@return table[]?, string?, string?
function remote.keygen(file, name)
   return core.keygen(file, name)
end

return remote
