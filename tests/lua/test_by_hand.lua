-- Nodes started by hand, from Lua: the same calls as from Python, by the same functions of the core.
local core = require "quorate.core"
local lu = require "luaunit"
local q = require "quorate"

local program = core.node_program()

local function free_ports(count)
   local found = {}
   for line in io.popen("python3 -c 'import socket\nall = [socket.create_server((\"127.0.0.1\", 0)) for _ in range("
      .. count .. ")]\nfor s in all: print(s.getsockname()[1])'"):lines() do
      found[#found + 1] = line
   end
   return found
end

local function write(path, text)
   local file <close> = assert(io.open(path, "w"))
   file:write(text)
end

TestByHand = {}

function TestByHand:setUp()
   if not program then
      lu.skip "there is no quorate-node"
   end
   self.folder = os.tmpname()
   os.remove(self.folder)
   assert(os.execute("mkdir " .. self.folder))
   self.file = self.folder .. "/cluster.toml"
   local text = '[cluster]\nname = "lua"\n[client.alice]\nrole = "admin"\n[client.carol]\nrole = "read"\n'
   for i, port in ipairs(free_ports(3)) do
      text = text .. string.format('[node.%d]\nendpoint = "tcp://127.0.0.1:%s"\n', i, port)
   end
   write(self.file, text)
   lu.assertEquals(#assert(q.keygen(self.file)), 5)
   for i = 1, 3 do
      assert(os.execute(string.format("%s format %s %d >/dev/null", program, self.file, i)))
      -- Whatever becomes of this test, none of them outlives it by much.
      assert(os.execute(string.format("timeout 60 %s run %s %d 2>>%s/err &", program, self.file, i, self.folder)))
   end
end

function TestByHand:tearDown()
   if self.folder then
      os.execute("rm -rf " .. self.folder)
   end
end

-- put, get, status, faults, trace, roles, stop.
function TestByHand:test_connect()
   local r <close> = assert(q.connect(self.file, { key = self.folder .. "/keys/alice.key" }))
   lu.assertEquals(#r.nodes, 3)
   local leader = assert(r:wait_leader(20))
   lu.assertTrue(r:put("x", "1", { timeout = 20 }))
   lu.assertEquals(r:append("x", "2"), 2)
   lu.assertEquals(r:get "x", "12")
   lu.assertEquals(r:status().leader, leader)
   assert(r:fault("pause", { node = leader }))
   lu.assertTrue(r:put("x", "3", { timeout = 20 }))
   assert(r:resume(leader))
   lu.assertTrue(#assert(r:last_events(leader, 10)) > 0)

   local carol <close> = assert(q.connect(self.file, { key = self.folder .. "/keys/carol.key" }))
   local done, why, name = carol:put("x", "4")
   lu.assertNil(done)
   lu.assertEquals(name, "denied")
   lu.assertStrContains(why, "carol has the role read")
   lu.assertEquals(carol:get("x", { timeout = 20 }), "3")

   -- A key that the nodes do not know is told so at once.
   local strange = self.folder .. "/strange"
   assert(os.execute(string.format("mkdir %s && cp -r %s %s/keys %s", strange, self.file, self.folder, strange)))
   assert(q.keygen(strange .. "/cluster.toml", "alice"))
   local stranger <close> = assert(q.connect(strange .. "/cluster.toml", { key = strange .. "/keys/alice.key" }))
   done, why, name = stranger:get "x"
   lu.assertNil(done)
   lu.assertEquals(name, "denied")
   lu.assertStrContains(why, "no node answers; n1: it refuses this key")
   lu.assertStrContains(tostring(stranger:status()), "n1 is down: it refuses this key")
   for i = 1, 3 do
      assert(r:stop(i))
   end
end

-- What is wrong with a file is a value, with its line.
function TestByHand:test_bad_file()
   write(self.folder .. "/bad.toml", '[cluster]\nname = "a"\nprotcol = "raft"\n')
   local r, why, name = q.connect(self.folder .. "/bad.toml")
   lu.assertNil(r)
   lu.assertEquals(name, "parse")
   lu.assertStrContains(why, "line 3: [cluster] has no 'protcol'; did you mean 'protocol'?")
end

os.exit(lu.LuaUnit.run(), true)
