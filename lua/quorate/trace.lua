--- The trace of a run: events as columns of C memory, lines for people, a space-time diagram.
local arguments = require "quorate.arguments"
local core = require "quorate.core"
local display = require "quorate.display"

local COLUMNS = { "time", "node", "group", "kind", "detail", "peer", "term", "index", "link", "value" }

--- Numbers of one column, read in place: `column[1]` .. `column[#column]`; `column()` copies them into a
--- table.
---@class quorate.Column: { [integer]: integer }
---@operator call: integer[]

--- An immutable snapshot of the recorded events. `trace.time` and its like are columns: time (ns since the
--- run began), node, group, peer (clients from 32769 on), kind and detail (see `kinds`), term, index, link,
--- value (64 bits, as a signed integer; what they mean depends on the kind, see quorate.h). `first` is the
--- number of the first event that is kept.
---@class quorate.Trace
---@field first integer
---@field time quorate.Column
---@field node quorate.Column
---@field group quorate.Column
---@field kind quorate.Column
---@field detail quorate.Column
---@field peer quorate.Column
---@field term quorate.Column
---@field index quorate.Column
---@field link quorate.Column
---@field value quorate.Column
---@field kinds table<integer, string> the name of each kind of event
---@field messages table<integer, string> of each kind of message: the detail of "send" and "receive"
---@operator len: integer
local Trace = {}

--- The column of that name.
---@param name string
---@return quorate.Column
function Trace:column(name)
   return self:_column(name)
      or arguments.misuse("a trace has no column '%s'; there are %s", tostring(name), table.concat(COLUMNS, ", "))
end

--- The i-th kept event as a table of its fields, with the kind's name as `what`.
---@param i integer
---@return table<string, any>
function Trace:event(i)
   local event = {}
   for _, name in ipairs(COLUMNS) do
      event[name] = self:_column(name)[i]
   end
   if not event.kind then
      arguments.misuse("the trace holds %d events, no number %s", #self, tostring(i))
   end
   event.what = core.kind_name(event.kind)
   return event
end

--- The i-th kept event for people.
---@param i integer
---@return string
function Trace:line(i)
   return self:_line(i)
end

--- Iterates over the lines of the kept events from `start` to `stop`: `for i, line in trace:lines() do`.
---@param start integer?
---@param stop integer?
function Trace:lines(start, stop)
   arguments.whole(start, "the first event")
   arguments.whole(stop, "the last event")
   local i, last = (start or 1) - 1, math.min(stop or #self, #self)
   return function()
      i = i + 1
      if i <= last then
         return i, self:_line(i)
      end
   end
end

--- A space-time diagram (SVG text) of at most 300 events around what matters: the event of that number, or
--- the first violation, else the last election. With `last`: every event from the one number to the other. nil,
--- message, name when there is nothing to show.
---@param around integer?
---@param last integer?
---@return string?, string?, string?
function Trace:svg(around, last)
   return self:_svg(around, last)
end

--- One ballot of one instance of consensus. `ballot` is round << 16 | node, where `node` is its proposer; `value`
--- the hash of the bytes that it asked for (hexadecimal); `quorum` the acceptors that accepted it; `time` the
--- seconds until enough of them had done so, and the value was chosen (nil: that never came).
---@class quorate.Ballot
---@field instance integer
---@field ballot integer
---@field round integer
---@field node integer
---@field value string
---@field quorum integer[]
---@field time number?
---@field group integer

local ballot = {
   __tostring = function(b)
      local nodes = #b.quorum > 0 and "n" .. table.concat(b.quorum, ", n") or "nobody"
      local after = b.time and "chosen after " .. display.seconds(b.time) or "never chosen"
      return string.format("instance %d, round %d of n%d: %s accepted by %s, %s", b.instance, b.round, b.node, b.value,
         nodes, after)
   end,
}

--- The ballots whose value was asked for or accepted, in the order in which they were first heard of. Computed from
--- the recorded events, so the whole trace must be recorded; empty for protocols without ballots.
---@return quorate.Ballot[]
function Trace:ballots()
   local rows = self:_ballots()
   for i = 1, #rows do
      setmetatable(rows[i], ballot)
   end
   return rows
end

local function names_of(name)
   local unknown, names = name(255), {}
   for i = 1, 127 do
      names[i] = name(i) ~= unknown and name(i) or nil
   end
   return names
end

local getters = {
   first = function(trace)
      return select(2, trace:_count())
   end,
   kinds = function()
      return names_of(core.kind_name)
   end,
   messages = function()
      return names_of(core.message_name)
   end,
}

local metatable = core.Trace
local primitives = metatable.__index

function metatable.__index(trace, key)
   local method = Trace[key] or primitives[key]
   if method then
      return method
   end
   if getters[key] then
      return getters[key](trace)
   end
   return Trace.column(trace, key)
end

function metatable.__len(trace)
   return (trace:_count())
end

--- `cluster:trace()` is `cluster.trace`.
function metatable.__call(trace)
   return trace
end

function metatable.__tostring(trace)
   local count, first = trace:_count()
   return string.format("<Trace of %d events from number %d>", count, first)
end

return core.trace
