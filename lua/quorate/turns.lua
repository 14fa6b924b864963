--- Long calls of the core: they come back again and again, so that Lua hears of Ctrl-C, until they are done.
local turns = {}

--- Calls `more`, which gives false as long as there is more to do, then true; or nil, message, name, which are given
--- back. `between` gets what each call gave.
---@param more fun(): boolean?, any, any
---@param between fun(done: boolean, first: any, second: any)?
---@return true?, string?, string?
function turns.until_done(more, between)
   while true do
      local done, first, second = more()
      if done == nil then
         return nil, first, second
      end
      if between then
         between(done, first, second)
      end
      if done then
         return true
      end
   end
end

return turns
