-- Ben-Or: bits decided by majorities and coins, while messages get lost and a node is down.
local q = require "quorate"

local c <close> = assert(q.cluster { protocol = "benor", nodes = 5, seed = 6 })
c:loss(0.1)
c:crash(5)
local rounds, last = {}, ""
for i = 1, 20 do
   local votes = {}
   for node = 1, 4 do
      votes[node] = assert(c:propose_later(i .. ": " .. node % 2, { node = node }))
   end
   for _, vote in ipairs(votes) do
      local told = assert(vote:result())
      rounds[i], last = told.term, told.answer
   end
end
print("rounds to decide: " .. table.concat(rounds, " "))
print("the last decision: " .. last)
print(c:check())
