--- Grades for protocols of one's own: many drawn seeds, each broken and judged; points a property. And whether
--- a script is deterministic: one seed of it twice, in fresh processes.
local arguments = require "quorate.arguments"
local cluster = require "quorate.cluster"
local core = require "quorate.core"
local node = require "quorate.node"

local grading = {}

local TWICE_EVERY <const> = 100 -- one seed in so many runs twice and must hash alike, as in a campaign

--- A run to its end: first faults, then healing and a demand for progress, then a drain.
---@class quorate.SeedRun
---@field seed integer
---@field cluster quorate.Cluster as it stands
---@field report table of the core: verdict, violated, properties, events, faults, hash
---@field driver table
local Run = {}
Run.__index = Run

local function run_seed(class, spec, seed, record)
   local driver = node.driver(class)
   local made, message = cluster.seed(driver, spec, seed, record)
   if not made then
      arguments.misuse("%s", message)
   end
   return setmetatable({ seed = seed, cluster = made, report = made:_seed_report(), driver = driver }, Run)
end

--- The state of each node that is up, by its id.
---@return table<integer, any>
function Run:states()
   local states = {}
   for _, n in ipairs(self.cluster:status().nodes) do
      local own = n.up and self.driver[self.driver.latest[n.node]]
      states[n.node] = own and own.state or nil
   end
   return states
end

--- The events of a kind ("crash", "decide", "state", ..), in order.
---@param kind string
---@return table<string, any>[]
function Run:events(kind)
   local trace, found = self.cluster.trace, {}
   local number
   for i, name in pairs(trace.kinds) do
      number = name == kind and i or number
   end
   local kinds = trace.kind
   for i = 1, #trace do
      if kinds[i] == number then
         found[#found + 1] = trace:event(i)
      end
   end
   return found
end

local function judge(run, class, properties)
   local found, names = {}, {}
   local function put(name, text)
      if found[name] == nil then
         names[#names + 1] = name
      end
      found[name] = text
   end
   for _, name in ipairs(run.report.properties) do
      if name ~= "progress" or rawget(class, "on_propose") then
         put(name, "")
      end
   end
   local texts = {}
   for _, p in ipairs(#run.report.violated > 0 and run.cluster:check().properties or {}) do
      texts[p.name] = p.text
   end
   for _, name in ipairs(run.report.violated) do
      if found[name] then
         put(name, texts[name] and texts[name] ~= "" and texts[name] or "it does not hold")
      end
   end
   put("no-exception", (run.driver.tracebacks[1] or ""):match "^[^\n]*")
   for _, name in ipairs(properties.names) do
      local done, answer = pcall(properties.functions[name], run)
      local text = not done and tostring(answer) or answer == false and "it does not hold" or answer
      put(name, (answer == nil or text == true) and "" or tostring(text))
   end
   return found, names
end

local function sorted_properties(given)
   local names = {}
   for name, judged in pairs(given or {}) do
      if type(name) ~= "string" or type(judged) ~= "function" then
         arguments.misuse "properties are named functions: { conserves = function(run) .. end }"
      end
      names[#names + 1] = name
   end
   table.sort(names)
   return { names = names, functions = given or {} }
end

local Grade = {}
Grade.__index = Grade

--- Everything as JSON text.
---@return string
function Grade:to_json()
   return core.json_encode({
      name = self.name, seeds = self.seeds, properties = self.properties, events = self.events,
      points = self.points, of = self.of, ok = self.ok,
   }, true)
end

function Grade:__tostring()
   local lines = { string.format("%s: %g of %g points on %d seeds, %d events", self.name, self.points, self.of,
      self.seeds, self.events) }
   for _, p in ipairs(self.properties) do
      local verdict = p.first and "violated" or "ok"
      local why = p.first and string.format("   seed %d: %s", p.first, p.text) or ""
      lines[#lines + 1] = string.format("%-16s %s   %g of %g   held on %d of %d%s", p.name, verdict, p.points, p.of,
         p.held, p.seeds, why)
   end
   return table.concat(lines, "\n")
end

local function tally_of(worth)
   local tally = { order = {} }
   function tally.enter(seed, judged, names)
      for _, name in ipairs(names) do
         local p = tally[name]
         if not p then
            p = { name = name, of = worth[name] or 1, held = 0, seeds = 0, text = "" }
            tally[name] = p
            tally.order[#tally.order + 1] = p
         end
         p.seeds = p.seeds + 1
         if judged[name] == "" then
            p.held = p.held + 1
         elseif not p.first then
            p.first, p.text = seed, judged[name]
         end
      end
   end
   return tally
end

local function finish(class, tally, seeds, events)
   local grade = { name = class.name or "script", seeds = seeds, properties = tally.order, events = events,
      points = 0, of = 0, ok = true }
   for _, p in ipairs(tally.order) do
      p.points = p.first and 0 or p.of
      grade.points, grade.of = grade.points + p.points, grade.of + p.of
      grade.ok = grade.ok and not p.first
   end
   return setmetatable(grade, Grade)
end

local NAMED = { seeds = true, properties = true, points = true, secret = true, nodes = true, events = true,
   outside = true, plan = true }

--- Runs that many seeds (default: 400) of a protocol of your own, as a campaign would (faults drawn inside its
--- `fault_model`, or with `outside` beyond it), and gives points for each property that held on all of them.
---
--- Judged are the checkers that it names, "progress" (after healing a proposal is answered; where it takes
--- proposals), "no-exception", "determinism" (one seed in 100 runs twice) and the given `properties`, by name:
--- functions of a run that violate by an error, by false, or by giving a text. `points` says how many each is
--- worth (default: 1). With a `secret` the seeds are drawn from it, and the grade does not name them.
---@param class quorate.ScriptNode
---@param named table?
---@return table grade points, of, ok, properties { name, points, of, held, seeds, first, text }, to_json()
function grading.grade(class, named)
   named = arguments.named(named, "grade", NAMED)
   local seeds, properties = named.seeds or 400, sorted_properties(named.properties)
   local tally = tally_of(named.points or {})
   local spec = { protocol = "script", events = named.events or 10000, nodes = named.nodes, outside = named.outside }
   spec.plan = named.plan and core.json_decode(named.plan:to_json())
   local events = 0
   for i = 1, seeds do
      local seed = named.secret and core.Node.hash(nil, named.secret .. "/" .. i) >> 2 or i
      local run = run_seed(class, spec, seed, #properties.names > 0)
      tally.enter(i, judge(run, class, properties))
      events = events + run.report.events
      if (i - 1) % TWICE_EVERY == 0 then
         local again = run_seed(class, spec, seed, false)
         local text = again.report.hash == run.report.hash and "" or "two runs of the seed hash differently"
         tally.enter(i, { determinism = text }, { "determinism" })
         again.cluster:close()
      end
      run.cluster:close()
   end
   return finish(class, tally, seeds, events)
end

local CHILD = [[
local q = require "quorate"
local grading = require "quorate.grading"
grading.child(...)
]]

local function quoted(text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- For the fresh processes of twice(): writes the events of one seed to a file.
---@param path string
---@param seed string
---@param out string
function grading.child(path, seed, out)
   local class = assert(dofile(path), path .. " must return the protocol")
   local run = run_seed(class, { protocol = "script" }, assert(math.tointeger(tonumber(seed))), true)
   local file <close> = assert(io.open(out, "w"))
   for _, line in run.cluster.trace:lines() do
      file:write(line, "\n")
   end
end

local function first_difference(first, second)
   local a, b = assert(io.open(first)), assert(io.open(second))
   local number = 0
   while true do
      local x, y = a:read "l", b:read "l"
      if x ~= y or x == nil then
         a:close()
         b:close()
         return x ~= y and number or nil, x, y
      end
      number = number + 1
   end
end

--- Runs one seed (default: 1) of the protocol that a Lua file returns twice, in fresh processes, whose tables
--- have different orders. True; or false and the number of the first event that differs, and both.
---@param path string
---@param named { seed: integer? }?
---@return boolean same, integer? event, string? first, string? second
function grading.twice(path, named)
   named = arguments.named(named, "twice", { seed = true })
   local lua = arg and arg[-1] or "lua5.4"
   local outs = { os.tmpname(), os.tmpname() }
   for _, out in ipairs(outs) do
      local call = string.format("%q, %q, %q", path, named.seed or 1, out)
      local program = CHILD:gsub("%.%.%.", (call:gsub("%%", "%%%%")))
      local command = string.format("LUA_PATH=%s LUA_CPATH=%s %s -e %s 2>&1 < /dev/null", quoted(package.path),
         quoted(package.cpath), lua, quoted(program))
      local pipe = assert(io.popen(command))
      local said = pipe:read "a"
      if not pipe:close() then
         arguments.misuse("a fresh process could not run %s: %s", path, said)
      end
   end
   local event, first, second = first_difference(outs[1], outs[2])
   os.remove(outs[1])
   os.remove(outs[2])
   if event then
      return false, event, first, second
   end
   return true
end

return grading
