-- Voting in synchronous rounds: the least value wins, also when a voter dies in the middle of a broadcast.
local q = require "quorate"

local c <close> = assert(q.cluster { protocol = "floodset", nodes = 5, faults = 2, seed = 4 })
c:crash(1, { effect = 2 })
local votes = {}
for node = 1, 5 do
   votes[node] = assert(c:propose_later(node .. " points", { node = node }))
end
for node = 2, 5 do
   print("n" .. node .. " is told: " .. assert(votes[node]:result()).answer)
end
c:restart(1)
c:run(0.2)
print("then:", assert(c:propose("0 points", { node = 1 })))
print(c:check())
