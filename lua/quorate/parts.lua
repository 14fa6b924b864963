--- Parts that need no cluster: placement, quorum rules, failure detectors. The objects are C's; their methods are
--- described here for editors.
local arguments = require "quorate.arguments"
local core = require "quorate.core"

---@class quorate.Ring
---@field add fun(self, name: string, weight: number?, zone: string?): quorate.Ring
---@field remove fun(self, name: string): quorate.Ring
---@field lookup fun(self, key: string|integer): string
---@field lookup_many fun(self, keys: (string|integer)[]): string[]
---@field replicas fun(self, key: string, count: integer): string[]
---@field nodes fun(self): table<string, number>
---@field balance fun(self): { sigma_over_mu: number, least: number, most: number, shares: table<string, number> }
---@field moves fun(self, after: quorate.Ring): quorate.Move[]
---@field copy fun(self): quorate.Ring
---@field fingerprint fun(self): integer
---@field svg fun(self): string
---@field close fun(self)

--- Keys at positions first to last leave one node for another; positions are unsigned integers of 64 bits.
---@alias quorate.Move { first: integer, last: integer, source: string, target: string, share: number }

---@class quorate.Detector
---@field observe fun(self, time: number, value: number|number[]?): quorate.Detector
---@field observe_many fun(self, times: number[], values: number[]?): number[], boolean[]
---@field evaluate_many fun(self, times: number[]): number[], boolean[]
---@field suspicion fun(self, now: number): number
---@field suspected fun(self, now: number): boolean
---@field poll fun(self, now: number): boolean
---@field ping fun(self, time: number): quorate.Detector
---@field deadline fun(self): number?
---@field window fun(self): { count: integer, mean: number, variance: number }
---@field set_parameter fun(self, parameter: number): quorate.Detector
---@field measure fun(self, times: number[], options: quorate.Measured): quorate.Quality
---@field copy fun(self): quorate.Detector
---@field fingerprint fun(self, now: number): integer
---@field save fun(self): string
---@field close fun(self)

--- Seconds. crash: when the peer fails, if it does. values: of the arrivals, for detectors that want them.
---@alias quorate.Measured { begin: number?, stop: number?, crash: number?, values: number[]? }

--- Seconds; a field that is not defined (too few mistakes) is nil.
---@class quorate.Quality
---@field detection number?
---@field recurrence number?
---@field duration number?
---@field accuracy number?
---@field rate number?
---@field mistakes integer
---@field detected boolean

---@class quorate.Mixture
---@field set fun(self, weights: number[], means: number[][], covariances: number[][]): quorate.Mixture
---@field fit fun(self, samples: number[][], options: table?): quorate.Mixture
---@field score fun(self, samples: number[][]): number[]
---@field label fun(self, component: integer, failed: boolean?): quorate.Mixture
---@field label_by fun(self, samples: number[][], failed: boolean[]): quorate.Mixture
---@field failure_probability fun(self, samples: number[][]): number[]
---@field info fun(self): table
---@field close fun(self)

local parts = {}

--- A ring of nodes: `q.ring { "a", "b", rule = "nearest" }`,
--- `q.ring { nodes = { a = 1, b = 2 }, zones = { a = "east" } }`.
---@type fun(options: table?): quorate.Ring
parts.ring = core.ring

--- Every option of a ring: section, name, type, unit, low, high, default, choices, help.
---@type fun(): table[]
parts.ring_options = core.ring_options

--- Jump hash: the bucket, from 0, of a key.
---@type fun(key: integer, buckets: integer): integer
parts.jump = core.jump

--- Maglev's table of `size` entries, a prime (65,537): the name at hash(key) % size + 1 has the key.
---@type fun(names: string[], size: integer?): string[]
parts.maglev = core.maglev

--- Rendezvous hashing: the name of the winning node for each integer key. Nodes are names, or names with weights.
---@type fun(nodes: string[]|table<string, number>, keys: integer[]): string[]
parts.rendezvous_many = core.rendezvous_many

---@class quorate.Quorum
---@field rule string
---@field nodes integer
---@field size integer of a quorum that decides (writes)
---@field read integer
---@field write integer
---@field crashes integer how many, whichever nodes they are, it stands
---@field liars integer
---@field text string
local Quorum = {}
Quorum.__index = Quorum

--- Do these nodes (ids from 1) hold a quorum to "write" (or to "read")?
---@param members integer[]
---@param phase "write"|"read"|nil
---@return boolean
function Quorum:met(members, phase)
   if phase ~= nil and phase ~= "read" and phase ~= "write" then
      arguments.misuse("a phase is \"read\" or \"write\", not %s", tostring(phase))
   end
   return core.quorum_met(self.rule, self.nodes, phase ~= "read", members)
end

function Quorum:__tostring()
   return self.text
end

--- What a quorum rule makes of a number of nodes: size, read, write, crashes, liars, text.
---@param rule string "majority", "two-thirds" ("byzantine"), "all", "weighted:3,1,1", "flexible:2,4", "grid:2x3"
---@param nodes integer
---@param needs { reads_meet: boolean?, writes_meet: boolean? }?
---@return quorate.Quorum
function parts.quorum(rule, nodes, needs)
   return setmetatable(core.quorum(rule, nodes, needs), Quorum)
end

--- A failure detector: `q.detector("phi", { threshold = 8 })`, or of a fitted and labelled mixture.
---@type fun(kind: string|quorate.Mixture, options: table|number?): quorate.Detector
parts.detector = core.detector
---@type fun(saved: string): quorate.Detector?, string?, string?
parts.detector_load = core.detector_load

--- The kinds of detectors, by name.
---@type fun(): string[]
parts.detector_kinds = core.detector_kinds

--- Every option of a kind: section, name, type, unit, low, high, default, choices, help.
---@type fun(kind: string): table[]
parts.detector_options = core.detector_options

--- The quality of service of a detector of your own: from times[i] on it suspects the peer, or trusts it. Times are
--- seconds; begin and stop are the first and the last of them unless they are given.
---@type fun(times: number[], suspected: boolean[], options: quorate.Measured): quorate.Quality
parts.measure_opinions = core.measure_opinions

--- The bare formula of phi: normal intervals with a deviation, exponential ones without.
---@type fun(elapsed: number, mean: number, deviation: number?): number
parts.phi = core.phi

--- What NFD-S attains with losses and exponentially distributed delays.
---@type fun(interval: number, shift: number, loss: number, delay: number): quorate.Quality
parts.nfd_quality = core.nfd_quality

--- A Gaussian mixture: components, dimensions, "full" or "diag".
---@type fun(components: integer, dimensions: integer, covariance: string?): quorate.Mixture
parts.mixture = core.mixture

return parts
