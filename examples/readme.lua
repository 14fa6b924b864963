-- The README's example in Lua.
local q = require "quorate"

local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7 }
local old = c:wait_leader()
print(c:propose "x = 1")

c:crash(old)
print("n" .. old .. " is down, n" .. c:wait_leader() .. " leads")
c:restart(old)

for n = 3, 5 do
   c:crash(n)
end
print(c:propose("x = 2", { timeout = 1 })) -- nil, why, and a short name
for n = 3, 5 do
   c:restart(n)
end

print(c:load { clients = 4, operations = 500 })
print(c:check())
