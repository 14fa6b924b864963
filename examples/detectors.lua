-- A cluster whose nodes watch each other: who suspects whom, and how soon a dead leader is replaced.
local q = require "quorate"

local outages = {}
for _, detector in ipairs { "none", "phi" } do
   local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7, detector = detector }
   local old = assert(c:wait_leader())
   c:crash(old)
   local began = c.now
   assert(c:wait_leader())
   outages[detector] = c.now - began
   print(string.format("detector=%s: no leader for %.0f ms", detector, outages[detector] * 1000))
   print(c:status())
   local result = assert(c:check())
   print(result.verdict)
   assert(result.verdict == "ok", tostring(result))
end
assert(outages.phi < outages.none)
