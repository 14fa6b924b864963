--- Where `quorate run` hears what a script found: the environment variable QUORATE_REPORT names a file for
--- {"hash": .., "verdicts": {..}} of the last check, or for the hash of the last cluster closed when none was
--- checked.
local core = require "quorate.core"

local report = {}
local checked = false

---@return boolean
function report.wanted()
   return (os.getenv "QUORATE_REPORT" or "") ~= ""
end

--- The result of a check; without verdicts: of a closed cluster.
---@param hash string
---@param verdicts table<string, string>?
function report.note(hash, verdicts)
   if not report.wanted() or (checked and not verdicts) then
      return
   end
   checked = checked or verdicts ~= nil
   local file = assert(io.open(os.getenv "QUORATE_REPORT", "w"))
   file:write('{"hash": "', hash, '", "verdicts": ', core.json_encode(verdicts or {}, true), "}\n")
   file:close()
end

return report
