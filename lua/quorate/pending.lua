--- Proposals and operations under way.

--- What has been asked of the cluster and may not have been answered yet. Once it has ended it stays so.
---@class quorate.Pending
---@field ticket integer
---@field done boolean whether it has ended by now; nothing runs
---@field cluster quorate.Cluster
---@field private convert function
---@field private outcome table?
local Pending = {}

local getters = {}

---@param pending quorate.Pending
---@param result table|false|nil the core's result
local function settle(pending, result, message, name)
   if result then
      pending.outcome = table.pack(pending.convert(result))
   elseif result == nil then
      pending.outcome = table.pack(nil, message, name)
   end
   return pending.outcome ~= nil
end

function getters.done(pending)
   return pending.outcome ~= nil or settle(pending, pending.cluster:_result(pending.ticket))
end

--- Runs the cluster until it has ended, for at most `timeout` seconds (default: the option `timeout`); gives
--- what the blocking call would.
---@param timeout number?
function Pending:result(timeout)
   if not self.outcome then
      self:await_until(self.cluster:_deadline(timeout))
   end
   return table.unpack(self.outcome, 1, self.outcome.n)
end

--- As `result`, with a deadline in nanoseconds since the run began.
---@param deadline integer
function Pending:await_until(deadline)
   while not self.outcome do
      if not settle(self, self.cluster:_await(self.ticket, deadline)) then
         self.cluster:_rest()
      end
   end
   return table.unpack(self.outcome, 1, self.outcome.n)
end

local metatable = {
   __name = "quorate.pending",
   __index = function(pending, key)
      local getter = getters[key]
      if getter then
         return getter(pending)
      end
      return Pending[key]
   end,
   __tostring = function(pending)
      local outcome = rawget(pending, "outcome")
      local how = outcome and ": " .. tostring(outcome[2] or outcome[1]) or ""
      return string.format("<Pending %d%s>", pending.ticket, how)
   end,
}

local pending = {}

--- A ticket of the core; `convert` makes values of its result.
---@param cluster quorate.Cluster
---@param ticket integer
---@param convert fun(result: table): ...
---@return quorate.Pending
function pending.new(cluster, ticket, convert)
   return setmetatable({ cluster = cluster, ticket = ticket, convert = convert }, metatable)
end

return pending
