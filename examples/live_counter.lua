-- A counter by gossip on real processes: each node is a Lua of its own, and a crash is kill -9.
local q = require "quorate"

local function join(mine, theirs)
   for node, count in pairs(theirs) do
      mine[node] = math.max(mine[node] or 0, count)
   end
end

local Counter = { name = "Counter" }

function Counter:on_start()
   self.state = { counts = self.stored or {} }
   self:on_timer "gossip"
end

function Counter:on_propose(_, ticket)
   local counts, own = self.state.counts, "n" .. self.id
   counts[own] = (counts[own] or 0) + 1
   self:persist(counts) -- the reply waits until this is durable
   self:reply(ticket, tostring(counts[own]))
end

function Counter:on_timer()
   self:send_all(self.state.counts)
   self:set_timer("gossip", 0.02)
end

function Counter:on_message(_, message)
   join(self.state.counts, message)
end

local c <close> = assert(q.cluster { protocol = Counter, nodes = 3, runtime = "live", transport = "tcp" })
for _, node in ipairs(c.nodes) do
   print("n" .. node .. " has counted to", assert(c:propose("one more", { node = node })).answer)
end
c:crash(2)
print("n2 is killed; n1 counts to", assert(c:propose("one more", { node = 1 })).answer)
c:restart(2) -- a new interpreter; it finds what it had persisted, and hears of the rest
assert(c:run_until(function()
   return c:inspect(2).state:find("n1 = 2", 1, true)
end))
print("n2 knows", c:inspect(2).state)
print(c:check())
