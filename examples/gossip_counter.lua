-- A counter by gossip: every node counts for itself, and the counts meet. No leader, and nobody waits.
local q = require "quorate"

local GossipCounter = { name = "GossipCounter" }

function GossipCounter:on_start()
   self.state = { counts = self.stored or {} }
   self:on_timer "gossip"
end

function GossipCounter:on_propose(_, ticket)
   local counts, sum = self.state.counts, 0
   local own = "n" .. self.id
   counts[own] = (counts[own] or 0) + 1
   self:persist(counts) -- the reply waits until this is durable
   for _, count in pairs(counts) do -- a sum has no order
      sum = sum + count
   end
   self:reply(ticket, tostring(sum))
end

function GossipCounter:on_timer()
   self:send(self.peers[self:random(#self.peers)], self.state.counts)
   self:set_timer("gossip", 0.02)
end

function GossipCounter:on_message(_, message)
   local counts = self.state.counts
   for node, count in pairs(message) do
      counts[node] = math.max(counts[node] or 0, count)
   end
end

-- Two seconds after the last fault all nodes know the same counts, and nothing that was answered is lost.
local function counts_meet(run)
   run.cluster:run(2)
   local answered, least = 0, math.huge
   for _, event in ipairs(run:events "return") do
      answered = answered + (event.detail == 0 and 1 or 0)
   end
   for _, state in pairs(run:states()) do
      local sum = 0
      for _, count in pairs(state.counts) do
         sum = sum + count
      end
      least = math.min(least, sum)
   end
   assert(least >= answered, "a count was lost")
end

local c <close> = q.cluster { protocol = GossipCounter, nodes = 5, seed = 3 }
for _, node in ipairs(c.nodes) do
   assert(c:propose("one more", { node = node }))
end
c:run(1)
print(c:inspect(1).state)
print(q.grade(GossipCounter, { seeds = 20, events = 3000, properties = { ["counts-meet"] = counts_meet } }))
