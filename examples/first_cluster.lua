-- A Raft cluster: built, broken, judged. Simulated, in virtual time: every run with this seed is the same, event
-- by event.
local q = require "quorate"

local c <close> = q.cluster { protocol = "raft", nodes = 5, seed = 7 }
local old = c:wait_leader()
print(c:propose "x = 1") -- waits until committed (or its timeout): index, term, latency
c:crash(old)
local new = c:wait_leader()
print(c:propose "x = 2")

local others = {}
for _, n in ipairs(c.nodes) do
   others[#others + 1] = n ~= new and n or nil
end
c:partition { { new }, others } -- the leader alone on one side
c:run(2.0)
c:heal()
c:restart(old)
c:run(1.0)

local kv = c:client() -- a linearizable key-value store on the same cluster
kv:put("k", "v")
print("k is " .. kv:get "k")
print(c:load { clients = 8, operations = 2000, mix = { get = .5, put = .3, cas = .2 } })

print(c:check()) -- each property: ok, violated or unknown; the trace hash
print(c:status())
for i, line in c.trace:lines(1, 5) do -- the trace: lines, columns (c.trace.time[1]), a diagram (c.trace:svg())
   print(i, line)
end
