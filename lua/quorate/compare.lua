--- What protocols cost, side by side.
local arguments = require "quorate.arguments"
local core = require "quorate.core"
local display = require "quorate.display"
local plan = require "quorate.plan"

local figures = {
   { "verdict", "verdict" },
   { "messages a proposal", "proposal", "messages" },
   { "message delays a proposal", "proposal", "delays" },
   { "writes a proposal", "proposal", "writes" },
   { "operations", "operations" },
   { "ok", "ok" },
   { "failed", "failed" },
   { "unknown", "unknown" },
   { "latency p50, s", "p50" },
   { "latency p99, s", "p99" },
   { "unavailable, s", "unavailable" },
   { "messages", "messages" },
   { "bytes", "bytes" },
   { "writes", "writes" },
   { "syncs", "syncs" },
   { "x/(x+y)", "ratios", "x/(x+y)" },
   { "x/(x+z)", "ratios", "x/(x+z)" },
   { "x/(x+w)", "ratios", "x/(x+w)" },
   { "x/(x+u)", "ratios", "x/(x+u)" },
   { "x/(x+v)", "ratios", "x/(x+v)" },
}

--- A report a protocol, in the order asked for; shows itself as a table, a column a protocol.
---@class quorate.Comparison
local comparison = {
   __tostring = function(c)
      local rows, header = {}, { "" }
      for k, report in ipairs(c) do
         header[k + 1] = report.protocol
      end
      for i, figure in ipairs(figures) do
         rows[i] = { figure[1] }
         for k, report in ipairs(c) do
            local value = report[figure[2]]
            if figure[3] then
               value = value and value[figure[3]]
            end
            rows[i][k + 1] = math.type(value) == "float" and string.format("%.4g", value) or value or ""
         end
      end
      return display.table(rows, header)
   end,
}

local known = { nodes = true, seed = true, clients = true, operations = true }

--- Runs each protocol on the same seed, load and plan, and then single proposals without faults in which every
--- message takes one delay: `q.compare { "raft", "paxos", nodes = 5, plan = p }`. What is neither nodes, seed, clients,
--- operations nor plan is an option of every cluster.
---@param given table
---@return quorate.Comparison?, string?, string?
return function(given)
   if #given == 0 then
      arguments.misuse "a comparison needs at least one protocol"
   end
   local spec, options = {}, {}
   for name, value in pairs(given) do
      if known[name] then
         spec[name] = value
      elseif name == "plan" then
         spec.plan = core.json_decode(plan.text(value))
      elseif type(name) == "string" then
         options[name] = tostring(value)
      end
   end
   spec.options = next(options) and options or nil
   local result = {}
   for i, protocol in ipairs(given) do
      spec.protocol = protocol
      local report, message, name = core.compare(spec)
      if not report then
         return nil, message, name
      end
      result[i] = report
   end
   return setmetatable(result, comparison)
end
