-- Two-phase commit from Lua: outcomes, votes, who is blocked, and what is refused, in the words that Python uses.
local lu = require "luaunit"
local q = require "quorate"

TestTransactions = {}

function TestTransactions:test_commit_and_abort()
   local c <close> = q.cluster { protocol = "2pc", nodes = 4, seed = 1 }
   local done = c:transaction({ [2] = "debit 5", [3] = "credit 5" }, { read_only = { 4 }, coordinator = 1 })
   lu.assertEquals(done.outcome, "commit")
   lu.assertEquals(done.votes, { [2] = "yes", [3] = "yes", [4] = "read-only" })
   lu.assertTrue(done.committed and next(done.blocked) == nil and done.why == "")
   local refused = c:transaction({ "a", "b", "c" }, { refuse = { 3 } })
   lu.assertEquals(refused.outcome, "abort")
   lu.assertEquals(refused.votes[3], "no")
   lu.assertEquals(refused.index, done.index + 1)
   c:run(1)
   local verdict = c:check()
   lu.assertTrue(verdict.ok)
   lu.assertEquals(verdict.transactions.committed, 1)
   lu.assertStrContains(tostring(verdict), "2 transactions: 1 committed, 1 aborted")
end

function TestTransactions:test_blocking_is_named_and_measured()
   local c <close> = q.cluster { protocol = "2pc", nodes = 3, seed = 1, delay = "1ms", delay_kind = "constant" }
   c:run(0.01)
   c:apply(q.plan():at(0.0015, "crash", { node = 1, ["for"] = 3 }))
   local result = c:transaction({ "a", "b", "c" }, { timeout = 2 })
   lu.assertEquals(result.outcome, "unknown")
   lu.assertEquals(result.states, { "down", "blocked", "blocked" })
   lu.assertTrue(result.blocked[2] > 1.5 and result.blocked[3] > 1.5 and result.blocked[1] == nil)
   lu.assertStrContains(result.why, "n1, which took the transaction, is down; 2 of 3 participants wait")
   c:run(2)
   lu.assertEquals(c:check().transactions.undecided, 0)
end

function TestTransactions:test_three_phase_commit_does_not_block()
   local c <close> = q.cluster { protocol = "3pc", nodes = 3, seed = 1, delay = "1ms", delay_kind = "constant" }
   c:run(0.01)
   c:apply(q.plan():at(0.0025, "crash", { node = 1, ["for"] = 3 }))
   local result = c:transaction({ "a", "b", "c" }, { timeout = 2 })
   lu.assertEquals(result.outcome, "unknown")
   lu.assertEquals(result.states[2], result.states[3])
   lu.assertTrue(next(result.blocked) == nil and c.now < 1)
   c:run(4)
   lu.assertTrue(c:check().ok)
end

function TestTransactions:test_wrong_participants()
   local c <close> = q.cluster { protocol = "2pc", nodes = 3, seed = 1 }
   lu.assertErrorMsgContains("there is no node 9 to take part; nodes are 1 to 3", function()
      c:transaction { [1] = "a", [9] = "b" }
   end)
   c:crash(2)
   local none, message, name = c:transaction { "a", "b" }
   lu.assertNil(none)
   lu.assertEquals(message, "n2 is down and cannot take part: restart it, or leave it out")
   lu.assertEquals(name, "down")
   lu.assertErrorMsgContains("1 to 128 participants, not 0", function()
      c:transaction {}
   end)
   lu.assertErrorMsgContains("transaction has no argument 'refuses'", function()
      c:transaction({ "a" }, { refuses = { 1 } })
   end)
   local raft <close> = q.cluster { nodes = 3 }
   lu.assertErrorMsgContains("raft has no transactions", function()
      raft:transaction { "a" }
   end)
end

os.exit(lu.LuaUnit.run())
