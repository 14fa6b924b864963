--- Captures of a cluster's nodes, and their replay.
local core = require "quorate.core"
local turns = require "quorate.turns"

---@class quorate.CaptureReplay
---@field ok boolean every step that could be compared matched, nothing is missing, no property is violated
---@field verdict string "ok", "violated", "differs" (a step did something else) or "unknown" (part is missing)
---@field steps integer of all nodes
---@field matched integer
---@field uncompared integer cut short by a kill, or behind a gap or difference
---@field gaps integer
---@field differs table? the first step that does: node, incarnation, step, time, input, recorded, replayed
---@field nodes table[]
---@field notes table[] what is missing, and where
---@field properties table[]
---@field history table? what clients were told: operations, ok, failed, unknown, whole; of: "clients", by their own
--- capture, or "nodes", by what those received and answered; nil where it ought to be there and is not
---@field trace quorate.Trace the last events of the replay: those before the difference, if a step differs
---@field text string all of it in words; tostring gives it too
local replayed = {}
replayed.__index = replayed

function replayed:__tostring()
   return self.text
end

local capture = {}

--- Whether there is a capture in this folder.
---@param folder string
---@return boolean
function capture.present(folder)
   return core.check_file(folder .. "/capture.json") == true
end

--- Feeds the captured inputs to the nodes again; `bug` switches a mistake on for it. `record`: how many of the last
--- events its trace keeps (default: 20,000).
---@param folder string
---@param bug string?
---@param record integer?
---@return quorate.CaptureReplay?, string?, string?
function capture.replay(folder, bug, record)
   local made <close>, message, name = core.capture(folder, bug)
   if not made then
      return nil, message, name
   end
   if record then
      made:_record(record)
   end
   local done, why, what = turns.until_done(function()
      return made:_run()
   end)
   if not done then
      return nil, why, what
   end
   local report = made:_report()
   report.ok = report.verdict == "ok"
   report.trace = made:_trace()
   return setmetatable(report, replayed)
end

return capture
