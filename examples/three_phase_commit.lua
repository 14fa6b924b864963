-- Three-phase commit beside two-phase commit: the coordinator dies between the votes and its decision.
local q = require "quorate"

for _, protocol in ipairs { "2pc", "3pc" } do
   local c <close> = q.cluster { protocol = protocol, nodes = 4, seed = 1, delay = "1ms", delay_kind = "constant" }
   c:run(0.01)
   c:apply(q.plan():at(0.002, "crash", { node = 1, ["for"] = 3 })) -- the votes are on their way
   local work = { [2] = "debit 5", [3] = "credit 5", [4] = "log" }
   local result = c:transaction(work, { coordinator = 1, timeout = 2 })
   print(string.format("%s: after %.2f s without n1, n2 is %s", protocol, c.now, result.states[2]))
   c:run(3)
   local verdict = c:check()
   print(verdict.transactions.times_blocked .. " times blocked")
   print(verdict)
end
