-- Consistent hashing: who has a key, what moves when a node comes, and how even it is. No cluster is needed.
local q = require "quorate"

local ring = assert(q.ring { nodes = { a = 1, b = 1, c = 2 }, vnodes = 100 })
print("user:1 is on " .. ring:lookup "user:1" .. "; its replicas are on " .. table.concat(ring:replicas("user:1", 2), " and "))

local after = assert(ring:copy())
assert(after:add "d")
local share, others = 0, 0
for _, move in ipairs(ring:moves(after)) do
   share = share + move.share
   others = others + (move.target == "d" and 0 or 1)
end
print(string.format("d takes %.1f %% of the circle; %d moves go between the others", share * 100, others))
assert(others == 0)

local balance = ring:balance()
print(string.format("the fullest node has %.2f of its fair share, the emptiest %.2f", balance.most, balance.least))
assert(balance.most < 1.6 and balance.least > 0.5)
print "ok"
