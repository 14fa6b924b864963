-- Elections as data: who leads, in which epoch; the ring's messages by arrangement of the ids.
local q = require "quorate"

for _, arrangement in ipairs { "ascending", "descending" } do
   local c <close> = q.cluster { protocol = "ring", nodes = 5, seed = 3, arrangement = arrangement }
   local asked = {}
   for _, n in ipairs(c.nodes) do
      asked[n] = assert(c:elect_later(n)) -- all at once
   end
   local elected = assert(asked[1]:result())
   c:run(1.0)
   print(arrangement .. ": " .. tostring(elected))
   assert(elected.leader == 5)
   local result = assert(c:check())
   print(result.verdict)
   assert(result.ok)
end
