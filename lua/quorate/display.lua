--- Tables and numbers as people read them; the same form as the Python face has.
local display = {}

---@param cell string
local function is_number(cell)
   return cell == "" or tonumber(cell) ~= nil
end

--- Columns padded to their widest cell, two spaces apart; numbers to the right.
---@param rows any[][]
---@param header string[]?
---@return string
function display.table(rows, header)
   local cells, widths, right, lines = {}, {}, {}, {}
   for _, row in ipairs(rows) do
      local texts = {}
      for i = 1, #row do
         texts[i] = tostring(row[i])
         right[i] = right[i] ~= false and is_number(texts[i])
      end
      cells[#cells + 1] = texts
   end
   if header then
      table.insert(cells, 1, header)
   end
   for _, row in ipairs(cells) do
      for i, cell in ipairs(row) do
         widths[i] = math.max(widths[i] or 0, #cell)
      end
   end
   for _, row in ipairs(cells) do
      local padded = {}
      for i, cell in ipairs(row) do
         padded[i] = string.format(right[i] and "%" .. widths[i] .. "s" or "%-" .. widths[i] .. "s", cell)
      end
      lines[#lines + 1] = (table.concat(padded, "  "):gsub("%s+$", ""))
   end
   return table.concat(lines, "\n")
end

--- A duration in the unit that people would use.
---@param seconds number?
---@return string
function display.seconds(seconds)
   if not seconds then
      return ""
   end
   local size = math.abs(seconds)
   if size == 0 or size >= 1 then
      return string.format("%.6g s", seconds)
   end
   if size >= 1e-3 then
      return string.format("%.4g ms", seconds * 1e3)
   end
   return string.format("%.4g us", seconds * 1e6)
end

--- The keys of a table in order, for whatever is printed or sent.
---@param t table<string, any>
---@return string[]
function display.names(t)
   local names = {}
   for name in pairs(t) do
      names[#names + 1] = name
   end
   table.sort(names)
   return names
end

return display
