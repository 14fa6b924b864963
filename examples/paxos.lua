-- Rivals propose at once to a Paxos cluster that loses messages; one value is chosen in each instance.
local q = require "quorate"

local c <close> = assert(q.cluster { protocol = "paxos", nodes = 5, seed = 3 })
c:loss(0.1)
for _ = 1, 3 do
   local rivals = {}
   for node = 1, 5 do
      rivals[node] = assert(c:propose_later("n" .. node .. "'s choice", { node = node }))
   end
   for node, rival in ipairs(rivals) do
      print("n" .. node .. " is told: " .. assert(rival:result()).answer)
   end
end
for _, ballot in ipairs(c.trace:ballots()) do
   print(ballot)
end
print(c:check())
