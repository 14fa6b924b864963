--- Named arguments: `c:crash(3, { disk = "wiped" })`. A name that a call does not know raises, and says which
--- it does.
local core = require "quorate.core"
local display = require "quorate.display"

local arguments = {}

--- Raises misuse as the core does: one sentence, at the place of the user's call.
---@param format string
function arguments.misuse(format, ...)
   core.raise(string.format(format, ...))
end

--- Raises where the value is no text.
---@param what string
function arguments.text(value, what)
   if type(value) ~= "string" then
      arguments.misuse("%s is text, not %s", what, type(value) == "number" and value or "a " .. type(value))
   end
end

--- Raises where the value is neither a whole number nor nil.
---@param what string
function arguments.whole(value, what)
   if value ~= nil and math.type(value) ~= "integer" then
      arguments.misuse("%s is a whole number, not %s", what, type(value) == "number" and value or "a " .. type(value))
   end
end

--- The named arguments of a call; an empty table where none were given.
---@param given table?
---@param call string
---@param known table<string, boolean>
---@return table
function arguments.named(given, call, known)
   if given == nil then
      return {}
   end
   if type(given) ~= "table" then
      arguments.misuse("%s takes its further arguments by name (%s), not a %s", call,
         table.concat(display.names(known), ", "), type(given))
   end
   for name in pairs(given) do
      if not known[name] then
         arguments.misuse("%s has no argument '%s'; there are: %s", call, tostring(name),
            table.concat(display.names(known), ", "))
      end
   end
   return given
end

--- The whole of a file, or nil, message, "io": also for what is no file, of which a pipe would hold us up.
---@param path string
---@return string?, string?, string?
function arguments.read_file(path)
   local sound, why, name = core.check_file(path)
   if not sound then
      return nil, why, name
   end
   local file, problem = io.open(path, "rb")
   if not file then
      return nil, "cannot read " .. problem, "io"
   end
   local text = file:read "a"
   file:close()
   if not text then
      return nil, "cannot read " .. path, "io"
   end
   return text
end

--- True, or nil, message, "io".
---@param path string
---@param text string
---@return true?, string?, string?
function arguments.write_file(path, text)
   local file, problem = io.open(path, "wb")
   if not file then
      return nil, "cannot write " .. problem, "io"
   end
   local done = file:write(text)
   if not file:close() or not done then
      return nil, "cannot write " .. path, "io"
   end
   return true
end

return arguments
