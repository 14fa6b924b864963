--- Parts that need no cluster: placement, quorum rules, failure detectors. The objects are C's; their methods are
--- described here for editors.
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
---@field measure fun(self, times: number[], options: table): quorate.Quality
---@field copy fun(self): quorate.Detector
---@field fingerprint fun(self, now: number): integer
---@field save fun(self): string
---@field close fun(self)

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

--- Jump hash: the bucket, from 0, of a key.
---@type fun(key: integer, buckets: integer): integer
parts.jump = core.jump

--- What a quorum rule makes of a number of nodes: size, read, write, crashes, liars, text.
---@type fun(rule: string, nodes: integer, needs: { reads_meet: boolean?, writes_meet: boolean? }?): table
parts.quorum = core.quorum

--- A failure detector: `q.detector("phi", { threshold = 8 })`, or of a fitted and labelled mixture.
---@type fun(kind: string|quorate.Mixture, options: table|number?): quorate.Detector
parts.detector = core.detector
---@type fun(saved: string): quorate.Detector?, string?, string?
parts.detector_load = core.detector_load

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
