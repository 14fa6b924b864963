-- A protocol of your own: a value is done when a majority has echoed it. Graded under drawn faults.
local q = require "quorate"

local Echo = { name = "Echo" }

function Echo:on_start()
   self.state = { waiting = {} } -- ticket -> value and who has echoed it; gone when the node crashes
end

function Echo:on_propose(value, ticket)
   self.state.waiting[ticket] = { value = value, echoed = { [self.id] = true }, count = 1 }
   self:send_all { "ping", ticket, value }
   self:set_timer("again", 0.05)
end

function Echo:on_message(sender, message)
   local kind, ticket, value = table.unpack(message)
   local waiting = self.state.waiting[ticket]
   if kind == "ping" then
      self:send(sender, { "pong", ticket, value })
   elseif waiting and not waiting.echoed[sender] then -- a message may come twice
      waiting.echoed[sender] = true
      waiting.count = waiting.count + 1
      if 2 * waiting.count > #self.peers + 1 then
         self.state.waiting[ticket] = nil
         self:reply(ticket, value)
      end
   end
end

function Echo:on_timer()
   local tickets = {}
   for ticket in pairs(self.state.waiting) do
      tickets[#tickets + 1] = ticket
   end
   table.sort(tickets) -- pairs has no order that lasts, and every run must be the same
   for _, ticket in ipairs(tickets) do -- a message may be lost
      self:send_all { "ping", ticket, self.state.waiting[ticket].value }
   end
   if #tickets > 0 then
      self:set_timer("again", 0.05)
   end
end

local c <close> = q.cluster { protocol = Echo, nodes = 3, seed = 1 }
print(c:propose("hello").answer)
c:isolate(3)
print(c:propose("two are a majority").answer)
print(c:inspect(1).state)
print(q.grade(Echo, { seeds = 20, events = 3000 }))
