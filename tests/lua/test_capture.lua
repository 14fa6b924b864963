-- Captures and their replay: the same words and figures as in Python, by the same calls.
local lu = require "luaunit"
local q = require "quorate"

TestCapture = {}

function TestCapture:setUp()
   self.folder = os.tmpname()
   os.remove(self.folder)
end

function TestCapture:tearDown()
   os.execute("rm -r '" .. self.folder .. "'")
end

-- A thread a node, a crash, a restart: every step comes out as it was; with a mistake switched on one does not.
function TestCapture:test_replay()
   local given = { runtime = "live", nodes = 3, election_timeout = "150ms", heartbeat_interval = "30ms" }
   given.capture = self.folder
   local c <close> = q.cluster(given)
   local old = c:wait_leader()
   c:load { clients = 2, operations = 50 }
   c:crash(old)
   c:wait_leader { other_than = old }
   c:restart(old)
   c:load { clients = 2, operations = 50 }
   c:close()
   local replayed = assert(q.replay(self.folder))
   lu.assertTrue(replayed.ok, tostring(replayed))
   lu.assertTrue(replayed.matched > 100)
   lu.assertEquals(replayed.matched + replayed.uncompared, replayed.steps)
   lu.assertStrContains(tostring(replayed), "n1 incarnation 1")
   lu.assertStrContains(tostring(replayed), "linearizability           ok")
   lu.assertEquals(replayed.history.operations, 100)
   lu.assertEquals(replayed.history.of, "clients")
   lu.assertEquals(#replayed.trace, replayed.events)
   lu.assertStrContains(replayed.trace:svg(), "<svg")
   local last = assert(q.replay(self.folder, nil, 10)).trace
   lu.assertEquals(#last, 10)
   lu.assertEquals(last:line(10), replayed.trace:line(#replayed.trace))
   local other = assert(q.replay(self.folder, "vote-before-sync"))
   lu.assertEquals(other.verdict, "differs")
   lu.assertStrContains(other.text, "the first step that differs: n" .. other.differs.node)
   lu.assertErrorMsgContains("did you mean 'vote-before-sync'?", q.replay, self.folder, "vote-befor-sync")
end

-- A folder holds one capture.
function TestCapture:test_one_folder_one_capture()
   q.cluster({ capture = self.folder }):close()
   lu.assertErrorMsgContains("holds a capture already", q.cluster, { capture = self.folder })
end

os.exit(lu.LuaUnit.run(), true)
