--- Histories: what clients asked and were told, and whether one copy of the data could have answered so.
local arguments = require "quorate.arguments"
local core = require "quorate.core"
local turns = require "quorate.turns"

--- Whether a history is linearizable: "ok", "violated" or, when the budget was spent, "unknown". `prefix` is
--- the length of the longest legal prefix found, `order` the numbers of its operations; `bad` is the number
--- of the first operation that cannot be explained, `explanation` says why, `key` is the key that it is
--- about.
---@class quorate.HistoryVerdict
---@field verdict "ok"|"violated"|"unknown"
---@field ok boolean
---@field seconds number
---@field prefix integer
---@field bad integer?
---@field explanation string
---@field key string?
---@field order integer[]
local verdict = {
   __tostring = function(v)
      local text = string.format("linearizability: %s (%.3g s, a legal prefix of %d operations)", v.verdict, v.seconds,
         v.prefix)
      return v.explanation ~= "" and text .. "\n" .. v.explanation or text
   end,
}

--- A snapshot of what clients saw, or a history of your own. `#history` is the number of operations.
---@class quorate.History
---@field operations table[] process, f, key, value, expected, result, outcome, invoke_ns, return_ns
---@operator len: integer
local History = {}

--- For Jepsen's tools: one map a line.
---@return string
function History:edn()
   return self:_print "edn"
end

--- Our own form, which reads back to exactly the same history.
---@return string
function History:json()
   return self:_print "json"
end

--- Into a file: EDN where its name ends so, else JSON. True, or nil, message, "io".
---@param path string
function History:save(path)
   arguments.text(path, "a file's path")
   return arguments.write_file(path, path:match "%.edn$" and self:edn() or self:json())
end

local CHECK = { initial = true, seconds = true, memory = true }

--- Linearizability under a model: "cas-register", "append-kv", "kv" (the default), "counter", "lock".
--- `initial` is the first value (default: nil). Gives "unknown" after `seconds` of work or beyond `memory`
--- bytes.
---@param model string?
---@param named { initial: string?, seconds: number?, memory: integer? }?
---@return quorate.HistoryVerdict?, string?, string?
function History:check(model, named)
   named = arguments.named(named, "check", CHECK)
   local done, message, name = turns.until_done(function()
      return self:_check(model or "kv", named.initial, named.seconds, named.memory)
   end)
   if not done then
      return nil, message, name
   end
   local report = self:_report()
   report.ok = report.verdict == "ok"
   return setmetatable(report, verdict)
end

local getters = {
   operations = function(history)
      return core.json_decode(history:json()).history
   end,
}

local metatable = core.History
local primitives = metatable.__index

function metatable.__index(history, key)
   local getter = getters[key]
   if getter then
      return getter(history)
   end
   return History[key] or primitives[key]
end

function metatable.__len(history)
   return history:_count()
end

function metatable.__tostring(history)
   return string.format("<History of %d operations>", #history)
end

local history = { of = core.history }

--- From text: etcd's Jepsen log lines, EDN, or our JSON; the format is recognised. Errors name line and
--- column.
---@param text string
---@return quorate.History?, string?, string?
function history.parse(text)
   return core.history_parse(text)
end

--- From a file.
---@param path string
---@return quorate.History?, string?, string?
function history.load(path)
   local text, message, name = arguments.read_file(path)
   if not text then
      return nil, message, name
   end
   return core.history_parse(text)
end

return history
