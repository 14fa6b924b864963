-- Two-phase commit: a coordinator dies between the votes and its decision, and blocks who has voted yes.
local q = require "quorate"

local c <close> = q.cluster { protocol = "2pc", nodes = 4, seed = 1 }
print(c:transaction({ [2] = "debit 5", [3] = "credit 5" }, { read_only = { 4 }, coordinator = 1 }))
print(c:transaction({ [2] = "debit 5", [3] = "credit 5" }, { refuse = { 2 }, coordinator = 1 }))

c:crash(1, { effect = 4 }) -- behind the fourth effect of its next step: it has asked, and not decided
local result = c:transaction({ [2] = "debit 5", [3] = "credit 5" }, { coordinator = 1, timeout = 2 })
print(result)
for node = 2, 3 do
   print("n" .. node, result.votes[node], result.states[node])
end
print(result.why)

c:restart(1)
c:run(0.5)
local verdict = c:check()
for _, b in ipairs(verdict.transactions.blocked) do
   print(string.format("n%d was blocked for %.2f s, waiting for n%d", b.node, b.seconds, b.waits_for))
end
print(verdict)
