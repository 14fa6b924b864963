-- One script in three languages: this one, same_hash.py, and the first test of tests/core/test_determinism.c. What they
-- do is the same, call for call, with the data of same_hash.json; so is the trace hash that each prints.
local core = require "quorate.core"
local q = require "quorate"

local folder = arg[0]:match "^(.*)/" or "."
local file <close> = assert(io.open(folder .. "/same_hash.json"))
local data = assert(core.json_decode(file:read "a"))

data.options.protocol = "raft"
local c <close> = q.cluster(data.options)

local old = assert(c:wait_leader())
assert(c:propose "x = 1")
c:crash(old)
local new = assert(c:wait_leader())
assert(c:propose "x = 2")

local others = {}
for _, node in ipairs(c.nodes) do
   others[#others + 1] = node ~= new and node or nil
end
c:partition { { new }, others }
c:run(0.5)
c:heal()
c:restart(old)
c:run(0.25)

local kv = c:client()
assert(kv:put("k", "v"))
assert(kv:get "k" == "v")
assert(kv:cas("k", "v", "w"))
assert(kv:append("k", "!") == 2)

c:apply(core.json_encode(data.plan))
assert(c:load(data.workload))
c:run(1.0)

local result = assert(c:check())
assert(result.ok, tostring(result))
print(result.hash)
