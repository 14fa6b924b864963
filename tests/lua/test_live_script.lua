-- Protocols of the user's own in Lua as live processes, and how values get into another interpreter.
local carry = require "quorate.carry"
local core = require "quorate.core"
local lu = require "luaunit"
local q = require "quorate"

TestCarry = {}
-- luacheck: globals TheWord TheFile TheOther

-- What functions share stays shared, cycles stay cycles, modules are themselves, numbers keep every bit.
function TestCarry:test_there_and_back()
   local count, limit = 0, math.huge
   local list = { 1.5, -0.0, 0 / 0, "\xff\0", [7] = true, [2.5] = "x" }
   list.list, list.insert, list.q, list.base = list, table.insert, q, core.Node
   local function up() count = count + 1 return count end
   local function down() count = count - 1 return count, limit end
   local packed = carry.pack(setmetatable({ up = up, down = down, list = list }, { __index = { more = 3 } }), "it")
   count = 10
   local it = carry.unpack(packed)
   lu.assertEquals({ it.up(), it.up(), it.down() }, { 1, 2, 1, math.huge })
   lu.assertEquals({ count, it.more, it.list[1], it.list[4] }, { 10, 3, 1.5, "\xff\0" })
   lu.assertEquals({ it.list[7], it.list[2.5] }, { true, "x" })
   lu.assertEquals(1 / it.list[2], -math.huge)
   lu.assertTrue(it.list[3] ~= it.list[3])
   lu.assertIs(it.list.list, it.list)
   lu.assertIs(it.list.insert, table.insert)
   lu.assertIs(it.list.q, q)
   lu.assertIs(it.list.base, core.Node)
end

-- Globals go along, but for those that cannot; what cannot is named by its place.
function TestCarry:test_globals_and_refusals()
   TheWord, TheFile, TheOther = "said", io.stdout, { io.stdout }
   local packed = carry.pack(function() return TheWord, TheFile, TheOther end, "it")
   TheWord, TheFile, TheOther = nil, nil, nil
   local f = carry.unpack(packed)
   lu.assertEquals({ f() }, { "said" })
   TheWord = nil
   local file = io.tmpfile()
   lu.assertErrorMsgEquals("it.deep.2 is a userdata, which cannot be handed to another interpreter",
      carry.pack, { deep = { 1, file } }, "it")
   lu.assertErrorMsgEquals("'file' in it.say is a userdata, which cannot be handed to another interpreter",
      carry.pack, { say = function() return file end }, "it")
   lu.assertErrorMsgContains("which cannot be handed", carry.pack, string.gmatch("a", "a"), "it")
end

TestLiveScript = {}

local WORD = "noted"

local Notes = { name = "Notes" }

function Notes:on_start()
   self.state = { how = self.how, stored = self.stored, heard = {} }
end

function Notes:on_propose(value, ticket)
   if value == "raise" then
      error "it was told to"
   end
   while value == "loop" do end -- luacheck: ignore 542
   self:persist(value)
   self:send_all(value)
   self:reply(ticket, "n" .. self.id .. " " .. WORD .. " " .. value)
end

function Notes:on_message(_, message)
   table.insert(self.state.heard, message)
end

function Notes:on_opinion(peer, suspected)
   self.state.suspects = suspected and peer or "nobody"
end

local function live(transport)
   local c, why, what = q.cluster { protocol = Notes, runtime = "live", transport = transport, detector = "phi" }
   lu.skipIf(what == "unsupported", why)
   return assert(c, why)
end

local function shows(node, text)
   return function(c)
      local fields = c:inspect(node)
      return fields and fields.state:find(text, 1, true)
   end
end

-- Messages, a kill, a recovery that finds what was persisted, a detector's opinion.
function TestLiveScript:test_lives_dies_and_comes_back()
   local c <close> = live "tcp"
   lu.assertEquals(assert(c:propose("first", { node = 1 })).answer, "n1 noted first")
   assert(c:run_until(shows(2, "first")))
   local old = c:status().nodes[1].pid
   c:crash(1)
   assert(c:run_until(shows(2, "suspects = 1")))
   c:restart(1)
   lu.assertNotEquals(c:status().nodes[1].pid, old)
   lu.assertStrContains(c:inspect(1).state, 'how = "recovered", stored = "first"')
   assert(c:run_until(shows(2, 'suspects = "nobody"')))
   lu.assertTrue(assert(c:check()).ok)
end

-- An error and an endless loop are crashes: the reason in the status, the traceback in the cluster.
function TestLiveScript:test_errors_and_limits()
   local c <close> = live "ipc"
   for node, value in ipairs { "raise", "loop" } do
      local _, _, name = c:propose(value, { node = node })
      lu.assertEquals(name, "unknown")
      assert(c:run_until(function() return not c:status().nodes[node].up end))
   end
   lu.assertStrContains(c:status().nodes[1].why_down, "it was told to")
   lu.assertStrContains(c:status().nodes[2].why_down, "an endless loop?")
   lu.assertEquals(#c.tracebacks, 2)
   lu.assertStrContains(c.tracebacks[1], "stack traceback")
   c:restart "all"
   lu.assertEquals(assert(c:propose("again", { node = 1 })).answer, "n1 noted again")
end

-- Threads are refused, and so is what cannot be packed, with the reason.
function TestLiveScript:test_what_cannot_be_is_said()
   live("ipc"):close()
   lu.assertErrorMsgContains('use transport="tcp"', q.cluster, { protocol = Notes, runtime = "live" })
   local thread = coroutine.create(print)
   local Bad = { name = "Bad", on_timer = function() return thread end }
   lu.assertErrorMsgContains("'thread' in Bad.on_timer is a thread", q.cluster,
      { protocol = Bad, runtime = "live", transport = "tcp" })
   local Late = { name = "Late", on_start = 3 }
   lu.assertErrorMsgContains("a protocol's on_start is a function", q.cluster,
      { protocol = Late, runtime = "live", transport = "tcp" })
end

os.exit(lu.LuaUnit.run(), true)
