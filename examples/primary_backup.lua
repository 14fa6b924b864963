-- Primary-backup: writes while a backup and then the primary die; the key-value client is the one of every protocol.
local q = require "quorate"

local c <close> = q.cluster { protocol = "primary-backup", nodes = 5, seed = 3 }
local old = assert(c:wait_leader())
local kv = c:client()
assert(kv:put("k", "1"))
c:crash(old % 5 + 1) -- a backup: the monitors remove it from the view
assert(kv:put("k", "2"))
print("in sync: " .. c:inspect(old).in_sync)
c:crash(old) -- the primary: one of its view takes over
local new = assert(c:wait_leader { other_than = old })
print(string.format("n%d, then n%d in epoch %d; k is %s", old, new, c:inspect(new).epoch, kv:get "k"))
c:restart(old)
c:restart(old % 5 + 1)
c:run(1.0)
print("in sync: " .. c:inspect(new).in_sync)
local result = assert(c:check())
print(result)
assert(result.ok)
