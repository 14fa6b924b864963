--- Campaigns: thousands of seeds, each a whole run that is broken and judged; on all cores, inside C. And
--- benchmarks.
local arguments = require "quorate.arguments"
local core = require "quorate.core"
local display = require "quorate.display"
local plan = require "quorate.plan"
local turns = require "quorate.turns"

--- What a campaign found. `properties` counts violations by name, `sometimes` the seeds that met each
--- condition; one that is 0 was never exercised. `hash` covers all trace hashes, in the order of the seeds,
--- whatever the jobs. `rows` has one row a seed: seed, hash, events, faults, violated (a bit per property),
--- seconds, nodes, clients, verdict.
---@class quorate.CampaignResult
---@field ok boolean no violation, and progress after healing on every seed
---@field seeds integer
---@field violations { seed: integer, properties: string[], time: number?, run: table, assumption: table? }[]
---@field stuck any[]
---@field properties table<string, integer>
---@field sometimes table<string, integer>
---@field events integer
---@field seconds number
---@field hash string
---@field rows table[]
local result = {}

local function counted(t, header)
   local rows = {}
   for i, name in ipairs(display.names(t)) do
      rows[i] = { name, t[name] }
   end
   return display.table(rows, header)
end

local function broken(a)
   return a and string.format("; it assumes that %s, which %s broke at %.6g s", a.assumes, a.broken_by, a.time) or ""
end

function result.__tostring(r)
   local speed = r.seconds > 0 and r.events / r.seconds / 1e6 or 0
   local lines = {
      string.format("%d seeds, %d events in %.3g s (%.3g million a second)", r.seeds, r.events, r.seconds, speed),
      string.format("%d violated, %d stuck; hash %s", #r.violations, #r.stuck, r.hash),
      counted(r.properties, { "property", "violations" }),
      counted(r.sometimes, { "sometimes", "seeds" }),
   }
   for i = 1, math.min(10, #r.violations) do
      local v = r.violations[i]
      local properties = table.concat(v.properties, ", ")
      lines[#lines + 1] = string.format("seed %d violates %s%s", v.seed, properties, broken(v.assumption))
   end
   for i = 1, math.min(10, #r.stuck) do
      lines[#lines + 1] = string.format("seed %d makes no progress%s", r.stuck[i].seed, broken(r.stuck[i].assumption))
   end
   return table.concat(lines, "\n")
end

---@class quorate.CampaignSpec
---@field protocol string?
---@field seeds integer?
---@field first integer?
---@field nodes integer?
---@field bug string?
---@field plan quorate.Plan|string|table|nil
---@field jobs integer?
---@field outside boolean?
---@field damage boolean?
---@field events integer?

local campaign = {}

local function spec_of(given)
   if given ~= nil and type(given) ~= "table" then
      arguments.misuse("campaign takes its arguments by name, { protocol = \"raft\", seeds = 1000 }, not a %s",
         type(given))
   end
   local spec = { protocol = "raft", seeds = 1000 }
   for name, value in pairs(given or {}) do
      spec[name] = value
   end
   if spec.plan then
      spec.plan = core.json_decode(plan.text(spec.plan))
   end
   return spec
end

local function rows_of(made)
   local rows = {}
   repeat
      local row = made:_row(#rows + 1)
      rows[#rows + 1] = row
   until not row
   return rows
end

--- Runs `seeds` seeds from `first` on, each at least `events` events long, with faults drawn inside the
--- protocol's fault model (with `outside`, beyond it), and judges every run. `nodes`: default, 3 to 7 are
--- drawn. `bug` switches on a published mistake. `damage` draws damaged disks too,
--- where the model stands a lost one. `plan` replaces the drawn one. `jobs`: threads, by default
--- all cores; the result is the same with any number. `progress(done, total)` is called now and then.
---@param given quorate.CampaignSpec?
---@param progress fun(done: integer, total: integer)?
---@return quorate.CampaignResult?, string?, string?
function campaign.run(given, progress)
   local made <close>, message, name = core.campaign(spec_of(given))
   if not made then
      return nil, message, name
   end
   local done, why, what = turns.until_done(function()
      return made:_run()
   end, progress and function(_, some, all)
      progress(some, all)
   end)
   if not done then
      return nil, why, what
   end
   local report = made:_report()
   report.rows = rows_of(made)
   report.ok = #report.violations == 0 and #report.stuck == 0
   return setmetatable(report, result)
end

--- The run of one seed of a campaign as JSON text: what `replay` takes.
---@param given quorate.CampaignSpec
---@param seed integer
---@return string?, string?, string?
function campaign.run_file(given, seed)
   return core.run_file(spec_of(given), seed)
end

--- Runs a benchmark: a group ("sim", "paxos", "store", "checkpoint", "live", "large", "place", "detect"), or one
--- result's name, as "schedule/64" is. A list of name, value, unit, baseline, ratio, note.
---@param benchmark string?
---@return table[]?, string?, string?
function campaign.bench(benchmark)
   local made <close>, message, name = core.bench(benchmark or "sim")
   if not made then
      return nil, message, name
   end
   local done, why, what = turns.until_done(function()
      return made:_run()
   end)
   if not done then
      return nil, why, what
   end
   return made:_report().results
end

return campaign
