--- Transactions of a protocol of atomic commit: begun, waited for, and who was blocked.
local arguments = require "quorate.arguments"
local display = require "quorate.display"

---@class quorate.Cluster
local Transactions = {}

--- How a transaction ended, or stands.
---@class quorate.Transaction
---@field outcome "commit"|"abort"|"unknown" unknown: its coordinator did not live to say; `why` says more
---@field index integer its number
---@field latency number seconds from the call to the answer; unknown: until now
---@field coordinator integer
---@field committed boolean
---@field votes table<integer, string> "yes", "no", "read-only", "none"
---@field states table<integer, string> "committed", "aborted", "prepared", "blocked", "down", "none"
---@field blocked table<integer, number> seconds up to now, of those who found nobody that knew the decision
---@field why string
local metatable = {
   __tostring = function(r)
      local nodes, waiting = {}, ""
      for node in pairs(r.blocked) do
         nodes[#nodes + 1] = node
      end
      table.sort(nodes)
      for i, node in ipairs(nodes) do
         waiting = waiting .. (i == 1 and "; blocked: n" or ", n") .. node .. " " .. display.seconds(r.blocked[node])
      end
      return string.format("%s by n%d after %s%s", r.outcome, r.coordinator, display.seconds(r.latency), waiting)
   end,
}

local function of(report)
   local votes, states, blocked = {}, {}, {}
   for _, p in ipairs(report.participants) do
      votes[p.node], states[p.node] = p.vote, p.state
   end
   for _, b in ipairs(report.blocked) do
      blocked[b.node] = (blocked[b.node] or 0) + b.seconds
   end
   report.participants = nil
   report.votes, report.states, report.blocked = votes, states, blocked
   report.committed = report.outcome == "commit"
   return setmetatable(report, metatable)
end

local TRANSACTION = { refuse = true, read_only = true, coordinator = true, timeout = true }

--- { {node, vote, work}, .. } in order of the nodes.
local function parts_of(work, named)
   local votes, nodes, parts = {}, {}, {}
   for vote, list in pairs { no = named.refuse or {}, ["read-only"] = named.read_only or {} } do
      for _, node in ipairs(list) do
         votes[node] = vote
      end
   end
   for node in pairs(work) do
      nodes[#nodes + 1] = node
   end
   for node in pairs(votes) do
      nodes[#nodes + 1] = work[node] == nil and node or nil
   end
   for i, node in ipairs(nodes) do
      parts[i] = { node, votes[node] or "yes", work[node] or "" }
   end
   return parts
end

--- Runs a transaction: all participants commit, or none does. `work` says for each participant what it is to do:
--- { [1] = "debit 5", [3] = "credit 5" }. Those in `refuse` vote no, those in `read_only` leave after their vote.
--- `coordinator` takes it (default: the first participant). When the coordinator dies before it answers, the
--- cluster runs on until every participant that is up has decided, or `timeout` is over; the result says who is
--- blocked. nil, message, "down" when a participant is not up; a node that there is none of raises.
---@param work table<integer, string>
---@param named { refuse: integer[]?, read_only: integer[]?, coordinator: integer?, timeout: number? }?
---@return quorate.Transaction?, string?, string?
function Transactions:transaction(work, named)
   named = arguments.named(named, "transaction", TRANSACTION)
   if type(work) ~= "table" then
      arguments.misuse("a transaction maps nodes to what they are to do: { [1] = \"debit 5\" }, not a %s", type(work))
   end
   local ticket, message, name = self:_transact(parts_of(work, named), named.coordinator)
   if not ticket then
      return nil, message, name
   end
   local deadline = self:_deadline(named.timeout)
   repeat
      local done, why, what = self:_transaction_await(ticket, deadline)
      if done == nil then
         return nil, why, what
      elseif not done then
         self:_rest()
      end
   until done
   return of(self:_transaction(ticket))
end

return Transactions
