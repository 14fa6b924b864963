-- A state machine of your own, replicated by Raft: a bank that loses no money, whatever is done to its nodes.
local q = require "quorate"

local Bank = { name = "bank", state = {} } -- the state is plain data: snapshots, forks and restarts save it

-- A committed command, in log order on every node. It must be deterministic: same commands, same answers.
function Bank:apply(_, command)
   local from, to, amount = command:match "^(%w+) (%w+) (%d+)$"
   amount = math.tointeger(tonumber(amount))
   if not from then
      error("no command of a bank: " .. command) -- crashes the node, which is probably not what you want
   elseif from ~= "mint" and (self.state[from] or 0) < amount then
      return "refused"
   end
   self.state[from] = (self.state[from] or 0) - amount
   self.state[to] = (self.state[to] or 0) + amount
   return "done"
end

-- A linearizable read: changes nothing.
function Bank:query(name)
   return tostring(self.state[name] or 0)
end

local c <close> = q.cluster { nodes = 5, seed = 11, machine = Bank, snapshot_threshold = 100 }
c:apply(q.plan()
   :every(0.3, "crash", { node = "leader", ["for"] = 0.2 })
   :during(0.5, 2.5, "loss", { probability = 0.05 })
   :at(1.0, "partition", { shape = "halves", ["for"] = 0.4 }))

local names, teller = { "ann", "ben", "cem" }, c:client()
assert(teller:call "mint ann 1000")
for i = 1, 300 do
   local order = string.format("%s %s %d", names[i % 3 + 1], names[(i + 1 + i % 2) % 3 + 1], 7 * i % 100)
   local answer, message, name = teller:call(order)
   if not answer then
      print(order .. ": " .. name .. ", " .. message)
      teller = c:client() -- the old one is busy until it knows what became of its order
   end
end

local total = 0
for _, name in ipairs(names) do
   local balance = assert(teller:call(name, { read = true }))
   print(name, balance)
   total = total + balance
end
print("together", total)
print(c:check())
