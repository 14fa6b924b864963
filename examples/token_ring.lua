-- Mutual exclusion by a token that goes round a ring, and is made anew when it is lost.
local q = require "quorate"

local WORK <const>, PATIENCE <const> = 0.005, 0.08

-- Who holds the token works. A token is { epoch, hop }; an older one than was seen is thrown away.
local TokenRing = { name = "TokenRing", judged_by = "" } -- what it decides was not proposed

function TokenRing:on_start()
   self.state = { seen = self.stored or { 0, 0 }, holds = false, waiting = {} }
   self:wait()
end

function TokenRing:wait()
   self:set_timer("lost", PATIENCE * (1 + self:random()))
end

function TokenRing:on_propose(_, ticket)
   table.insert(self.state.waiting, ticket)
end

function TokenRing:on_message(_, token)
   local seen = self.state.seen
   if token[1] > seen[1] or (token[1] == seen[1] and token[2] > seen[2]) then
      self:enter(token) -- else it came twice, or another has been made since
   end
end

function TokenRing:enter(token)
   self.state.seen, self.state.holds = token, true
   self:persist(token)
   self:clear_timer "lost"
   self:decide(token[1] << 32 | token[2], "n" .. self.id .. " works") -- as the replies: once that is durable
   for _, ticket in ipairs(self.state.waiting) do
      self:reply(ticket)
   end
   self.state.waiting = {}
   self:set_timer("leave", WORK)
end

function TokenRing:on_timer(name)
   local epoch, hop = table.unpack(self.state.seen)
   if name == "leave" then
      self.state.holds = false
      self:send(self.id % (#self.peers + 1) + 1, { epoch, hop + 1 })
      self:wait()
   else -- a new epoch, which is this node's own
      self:enter { (epoch // 256 + 1) * 256 + self.id, 0 }
   end
end

-- No hop of a token is held twice.
local function one_holder(run)
   local held = {}
   for _, event in ipairs(run:events "decide") do
      assert(not held[event.index], "a token was held twice")
      held[event.index] = true
   end
end

local c <close> = q.cluster { protocol = TokenRing, nodes = 4, seed = 5 }
print(c:propose "work")
c:crash(2)
print(c:propose "work without n2")
print(q.grade(TokenRing, { seeds = 20, events = 3000, properties = { ["one-holder"] = one_holder } }))
