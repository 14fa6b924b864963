--- Plain data as bytes, one form for each value: deterministic CBOR (RFC 8949, section 4.2).
---
--- Plain data is nil, booleans, integers, finite floats, strings, and tables of these: lists, or tables whose
--- keys are strings and integers. Tables are written in order of their keys' bytes, because Lua's own order
--- changes from process to process. Anything else raises, naming the place.
local plain = {}

local DEPTH_MAX = 64

--- A major type with its number in the fewest bytes.
local function head(major, n)
   if n < 24 then
      return string.pack("B", major << 5 | n)
   elseif n <= 0xff then
      return string.pack(">BB", major << 5 | 24, n)
   elseif n <= 0xffff then
      return string.pack(">BI2", major << 5 | 25, n)
   elseif n <= 0xffffffff then
      return string.pack(">BI4", major << 5 | 26, n)
   end
   return string.pack(">BI8", major << 5 | 27, n)
end

local encode

local function encode_number(value, place)
   if math.type(value) == "integer" then
      return value >= 0 and head(0, value) or head(1, -1 - value)
   end
   if value ~= value or value == math.huge or value == -math.huge then
      error(place .. " is " .. tostring(value) .. ", which a snapshot cannot hold", 0)
   end
   return string.pack(">Bd", 0xfb, value)
end

local function encode_list(list, place, depth)
   local parts = { head(4, #list) }
   for i, item in ipairs(list) do
      parts[i + 1] = encode(item, place .. "[" .. i .. "]", depth + 1)
   end
   return table.concat(parts)
end

local function encode_map(map, place, depth)
   local keys, values = {}, {}
   for key, value in pairs(map) do
      if type(key) ~= "string" and math.type(key) ~= "integer" then
         error(place .. " has the key " .. tostring(key) .. "; keys are text or whole numbers", 0)
      end
      local bytes = encode(key, place, depth + 1)
      keys[#keys + 1] = bytes
      local name = type(key) == "string" and place .. "." .. key or place .. "[" .. key .. "]"
      values[bytes] = encode(value, name, depth + 1)
   end
   table.sort(keys)
   local parts = { head(5, #keys) }
   for i, key in ipairs(keys) do
      parts[i + 1] = key .. values[key]
   end
   return table.concat(parts)
end

local function encode_table(value, place, depth)
   if depth > DEPTH_MAX then
      error(place .. " is nested deeper than " .. DEPTH_MAX .. ", or holds itself", 0)
   end
   if getmetatable(value) ~= nil then
      error(place .. " has a metatable, which a snapshot cannot hold; write snapshot() and restore()", 0)
   end
   local count = 0
   for _ in pairs(value) do
      count = count + 1
   end
   if count == #value then
      return encode_list(value, place, depth)
   end
   return encode_map(value, place, depth)
end

function encode(value, place, depth)
   local kind = type(value)
   if kind == "nil" then
      return "\xf6"
   elseif kind == "boolean" then
      return value and "\xf5" or "\xf4"
   elseif kind == "number" then
      return encode_number(value, place)
   elseif kind == "string" then
      return head(2, #value) .. value
   elseif kind == "table" then
      return encode_table(value, place, depth)
   end
   error(place .. " is a " .. kind .. ", no plain data; write snapshot() and restore()", 0)
end

--- The bytes of a value. `place` is what it is called when it is no plain data.
---@param value any
---@param place string
---@return string
function plain.encode(value, place)
   return encode(value, place, 0)
end

local SIZES = { [24] = ">B", [25] = ">I2", [26] = ">I4", [27] = ">I8" }

local decode

local function decode_number(bytes, low, at)
   if low < 24 then
      return low, at
   end
   return string.unpack(SIZES[low] or error("the snapshot is malformed", 0), bytes, at)
end

local function decode_map(bytes, count, at, depth)
   local map = {}
   for _ = 1, count do
      local key, value
      key, at = decode(bytes, at, depth + 1)
      value, at = decode(bytes, at, depth + 1)
      map[key] = value
   end
   return map, at
end

local function decode_list(bytes, count, at, depth)
   local list = {}
   for i = 1, count do
      list[i], at = decode(bytes, at, depth + 1)
   end
   return list, at
end

local SIMPLE = { [0xf4] = false, [0xf5] = true }

function decode(bytes, at, depth)
   local first = string.byte(bytes, at)
   if not first or depth > DEPTH_MAX + 1 then
      error("the snapshot is malformed", 0)
   elseif first >= 0xe0 then
      if first == 0xfb then
         return string.unpack(">d", bytes, at + 1)
      end
      return SIMPLE[first], at + 1
   end
   local n
   n, at = decode_number(bytes, first & 31, at + 1)
   local major = first >> 5
   if major == 0 then
      return n, at
   elseif major == 1 then
      return -1 - n, at
   elseif major == 2 then
      return bytes:sub(at, at + n - 1), at + n
   elseif major == 4 then
      return decode_list(bytes, n, at, depth)
   elseif major == 5 then
      return decode_map(bytes, n, at, depth)
   end
   error("the snapshot is malformed", 0)
end

--- The value of such bytes.
---@param bytes string
---@return any
function plain.decode(bytes)
   local value, at = decode(bytes, 1, 0)
   if at ~= #bytes + 1 then
      error("the snapshot is malformed", 0)
   end
   return value
end

return plain
