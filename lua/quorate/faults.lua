--- The verbs that break a cluster, and mend it. Each takes effect now; a plan is the same with times.
local arguments = require "quorate.arguments"
local plan = require "quorate.plan"

---@alias quorate.Node integer|"leader"|"follower"|"random"|"all"|"majority"|"minority"
---@alias quorate.Seconds number|string seconds, or text with a unit: "150ms"
---@alias quorate.Delay quorate.Seconds|table seconds, or a distribution: { uniform = { a, b } }

---@class quorate.Cluster
local Faults = {}

local CRASH = { disk = true, effect = true }
local PARTITION = { node = true, one_way = true }
local LINK = { link = true, both = true }
local LIE = { to = true }
local SPREAD = { link = true, both = true, spread = true }
local SKEW = { offset = true, drift = true }

local function fault(cluster, verb, fields)
   return cluster:_fault(plan.directive(verb, fields))
end

--- Without `link` every link; with { 1, 2 } what n1 sends to n2, and with `both` the other way as well.
local function link_fault(cluster, verb, fields, named)
   if named.link then
      fields.from, fields.to = named.link[1], named.link[2]
   end
   fields.both = named.both or nil
   fields.spread = named.spread
   return fault(cluster, verb, fields)
end

--- Kills a node. `disk`: "unsynced" (the default) loses what was not synced and may tear the last write,
--- "kept" keeps all, "wiped" nothing; "damaged" is as "unsynced", and flips bits of its log. `effect`: dies
--- after that many effects of its next step, instead of now.
---@param node quorate.Node
---@param named { disk: "unsynced"|"kept"|"wiped"|"damaged"|nil, effect: integer? }?
function Faults:crash(node, named)
   named = arguments.named(named, "crash", CRASH)
   return fault(self, "crash", { node = node, disk = named.disk or "unsynced", effect = named.effect })
end

--- Starts a crashed node from what its disk holds.
---@param node quorate.Node
function Faults:restart(node)
   return fault(self, "restart", { node = node })
end

--- Stops a node; what arrives waits in order.
---@param node quorate.Node
function Faults:pause(node)
   return fault(self, "pause", { node = node })
end

--- Continues a paused node.
---@param node quorate.Node
function Faults:resume(node)
   return fault(self, "resume", { node = node })
end

--- Cuts the network into groups of nodes; a node in no group is cut off from all. Or by shape: "halves",
--- "one" (`node`, or a random one), "leader", "ring", "bridge". `one_way` cuts only what the first group
--- sends to the others.
---@param groups integer[][]|string
---@param named { node: integer?, one_way: boolean? }?
function Faults:partition(groups, named)
   named = arguments.named(named, "partition", PARTITION)
   local fields = { node = named.node, one_way = named.one_way or nil }
   if type(groups) ~= "table" then
      fields.shape = groups
      return fault(self, "partition", fields)
   end
   fields.groups = {}
   for _, group in ipairs(groups) do
      if type(group) ~= "table" or #group > 0 then
         table.insert(fields.groups, group)
      end
   end
   return fault(self, "partition", fields)
end

--- Cuts one node off from all others.
---@param node integer
function Faults:isolate(node)
   return fault(self, "partition", { shape = "one", node = node })
end

--- Ends every partition and every condition of a link. Crashed nodes stay down, paused ones stopped.
function Faults:heal()
   return fault(self, "heal", {})
end

--- Loses each message with that probability.
---@param probability number
---@param named { link: table?, both: boolean? }?
function Faults:loss(probability, named)
   return link_fault(self, "loss", { probability = probability }, arguments.named(named, "loss", LINK))
end

--- Adds to the links' delay: seconds, { uniform = { a, b } }, { normal = { mean, deviation } }, { exponential
--- = mean }, { pareto = { scale, shape } }.
---@param delay quorate.Delay
---@param named { link: table?, both: boolean? }?
function Faults:delay(delay, named)
   return link_fault(self, "delay", { delay = delay }, arguments.named(named, "delay", LINK))
end

--- Lets each message be overtaken with that probability, by up to `spread`.
---@param probability number
---@param named { spread: quorate.Delay?, link: table?, both: boolean? }?
function Faults:reorder(probability, named)
   return link_fault(self, "reorder", { probability = probability }, arguments.named(named, "reorder", SPREAD))
end

--- Delivers each message twice with that probability, the copy late by up to `spread`.
---@param probability number
---@param named { spread: quorate.Delay?, link: table?, both: boolean? }?
function Faults:duplicate(probability, named)
   return link_fault(self, "duplicate", { probability = probability }, arguments.named(named, "duplicate", SPREAD))
end

--- Flips one bit of each frame with that probability.
---@param probability number
---@param named { link: table?, both: boolean? }?
function Faults:corrupt(probability, named)
   return link_fault(self, "corrupt", { probability = probability }, arguments.named(named, "corrupt", LINK))
end

--- Lets a link carry `rate` bytes a second: messages leave one after the other, and wait for each other.
---@param rate integer
---@param named { link: table?, both: boolean? }?
function Faults:bandwidth(rate, named)
   return link_fault(self, "bandwidth", { rate = rate }, arguments.named(named, "bandwidth", LINK))
end

--- Makes what a node tells its peers (or only `to`) false with that probability: one field of the message, drawn anew
--- for each, under a sound seal. Clients hear the truth.
---@param node integer
---@param probability number
---@param named { to: integer? }?
function Faults:lie(node, probability, named)
   named = arguments.named(named, "lie", LIE)
   return fault(self, "lie", { from = node, to = named.to or "any", probability = probability })
end

--- Puts a node's wall clock off by `offset` seconds and lets both its clocks drift (parts per million).
---@param node quorate.Node
---@param named { offset: quorate.Seconds?, drift: number? }?
function Faults:skew(node, named)
   named = arguments.named(named, "skew", SKEW)
   return fault(self, "skew", { node = node, offset = named.offset or 0, drift = named.drift or 0 })
end

--- Delays every step of a node.
---@param node quorate.Node
---@param delay quorate.Seconds
function Faults:slow(node, delay)
   return fault(self, "slow", { node = node, delay = delay })
end

--- Leaves a node's disk without room until it is freed: it refuses proposals and takes no entries of others, and
--- goes on voting with what its log has in reserve. Outlasts heals and restarts. An id, "random", "all", "majority" or
--- "minority".
---@param node quorate.Node
function Faults:fill_disk(node)
   return fault(self, "fill", { node = node })
end

--- Gives a node's disk (default: all) room again; it takes part again by itself.
---@param node quorate.Node?
function Faults:free_disk(node)
   return fault(self, "free", { node = node or "all" })
end

--- Begins a plan (or its JSON); its times count from now. Malformed JSON gives nil, message, name.
---@param given quorate.Plan|string
function Faults:apply(given)
   return self:_plan(plan.text(given))
end

return Faults
