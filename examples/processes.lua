-- Nodes as processes, over Unix sockets: a crash is a kill -9, a pause a SIGSTOP.
local q = require "quorate"

local c <close> = q.cluster { protocol = "raft", nodes = 3, runtime = "live", transport = "ipc" }
local old = c:wait_leader()
assert(c:propose "x = 1")

c:crash(old)
local new = c:wait_leader()
print("n" .. old .. " was killed, n" .. new .. " leads")
c:restart(old)

c:pause(new)
print("n" .. new .. " sleeps, n" .. c:wait_leader() .. " leads")
c:resume(new)

print(c:load { clients = 4, operations = 500 })
print(c:check())
