-- Placement, quorum rules and failure detectors from Lua: the published vectors, tables, errors in words.
local lu = require "luaunit"
local q = require "quorate"

TestPlacement = {}

local weights = { 600, 300, 200, 350, 1000, 800, 950, 100 }

local function vectors(name)
   local roots = { os.getenv "QUORATE_DATA", "../shared/data", "../../shared/data", "../../../shared/data" }
   for i = 1, 4 do
      local file = roots[i] and io.open(roots[i] .. "/hashing/" .. name)
      if file then
         local rows = {}
         file:read "l" -- the heading
         for line in file:lines() do
            local row = {}
            for field in line:gmatch "[^\t]+" do row[#row + 1] = field end
            rows[#rows + 1] = row
         end
         file:close()
         return rows
      end
   end
   lu.skip(name .. " is not here; set QUORATE_DATA")
end

function TestPlacement:test_libmemcached_vectors()
   local nodes, keys, want = {}, {}, {}
   for i, w in ipairs(weights) do nodes["10.0.1." .. i] = w end
   local ring <close> = q.ring { nodes = nodes, dialect = "libmemcached" }
   for i, row in ipairs(vectors "libmemcached-ketama.tsv") do keys[i], want[i] = row[1], row[4] end
   lu.assertEquals(ring:lookup_many(keys), want)
end

function TestPlacement:test_md5_index_example()
   local ring = q.ring { "node1", "node2", "node3", dialect = "md5-index" }
   lu.assertEquals(ring:lookup "example", "node2")
end

function TestPlacement:test_jump_vectors()
   for _, row in ipairs(vectors "jump.tsv") do
      local key = 0 -- digit by digit: the last key is above the greatest integer, and wraps to its 64 bits
      for digit in row[1]:gmatch "%d" do key = key * 10 + math.tointeger(digit) end
      lu.assertEquals(q.jump(key, math.tointeger(row[2])), math.tointeger(row[3]))
   end
end

function TestPlacement:test_moves_are_minimal()
   local before = q.ring { "a", "b", "c", "d" }
   local after = before:copy():add("e")
   local share = 0
   for _, move in ipairs(before:moves(after)) do
      lu.assertEquals(move.target, "e")
      share = share + move.share
   end
   lu.assertAlmostEquals(share, after:balance().shares.e, 1e-9)
   lu.assertEquals(after:remove("e"):fingerprint(), before:fingerprint())
   lu.assertEquals(q.ring({ "d", "c", "b", "a" }):fingerprint(), before:fingerprint())
   lu.assertEquals(#before:replicas("k", 3), 3)
   lu.assertStrContains(before:svg(), "<svg")
end

function TestPlacement:test_quorum()
   local rule = q.quorum("byzantine", 7)
   lu.assertEquals({ rule.size, rule.crashes, rule.liars }, { 5, 2, 2 })
   lu.assertErrorMsgContains("2 + 3 is not more than 5", q.quorum, "flexible:2,3", 5)
   lu.assertErrorMsgContains("share a voter", q.quorum, "flexible:2,4", 5, { reads_meet = true })
   local grid = q.quorum("flexible:2,4", 5)
   lu.assertEquals({ grid:met { 1, 2, 3, 4 }, grid:met { 1, 2, 3 }, grid:met({ 4, 5 }, "read") }, { true, false, true })
   lu.assertErrorMsgContains("there is no node 6 among 5", grid.met, grid, { 6 })
   lu.assertErrorMsgContains('a phase is "read" or "write", not all', grid.met, grid, {}, "all")
   lu.assertStrContains(tostring(rule), "5")
end

-- Eisenbud and others, 3.4: entries differ by one at most. Thaler and Ravishankar: a node that goes moves its own keys.
function TestPlacement:test_maglev_and_rendezvous()
   local names, count = { "a", "b", "c" }, { a = 0, b = 0, c = 0 }
   local entries = q.maglev(names, 1009)
   for _, name in ipairs(entries) do count[name] = count[name] + 1 end
   lu.assertEquals(#entries, 1009)
   for _, n in pairs(count) do lu.assertTrue(n == 336 or n == 337) end
   lu.assertEquals(#q.maglev(names), 65537)
   lu.assertErrorMsgContains("prime", q.maglev, names, 1000)
   local keys = {}
   for i = 1, 500 do keys[i] = i end
   local before, after = q.rendezvous_many(names, keys), q.rendezvous_many({ "a", "b" }, keys)
   for i = 1, 500 do lu.assertTrue(after[i] == before[i] or before[i] == "c") end
   local heavy, share = q.rendezvous_many({ a = 9, b = 1 }, keys), 0
   for i = 1, 500 do share = share + (heavy[i] == "a" and 1 or 0) end
   lu.assertTrue(share > 420 and share < 480)
   lu.assertErrorMsgContains("named twice", q.rendezvous_many, { "a", "a" }, keys)
end

function TestPlacement:test_options_are_listed()
   local vnodes
   for _, option in ipairs(q.ring_options()) do vnodes = option.name == "vnodes" and option or vnodes end
   lu.assertEquals(vnodes.type, "integer")
   lu.assertEquals(q.detector_kinds()[1], "timeout")
   for _, kind in ipairs(q.detector_kinds()) do lu.assertTrue(#q.detector_options(kind) >= 0) end
   lu.assertErrorMsgContains("did you mean 'phi'", q.detector_options, "phy")
end

function TestPlacement:test_bad_rings_are_refused_in_words()
   lu.assertErrorMsgContains("named twice", q.ring, { "a", "a" })
   lu.assertErrorMsgContains("must not be empty", q.ring, { "" })
   lu.assertErrorMsgContains("positive", q.ring, { nodes = { a = 0 } })
   lu.assertErrorMsgContains("vnodes", q.ring, { "a", vnods = 3 })
   local ring = q.ring()
   lu.assertErrorMsgContains("no nodes", ring.lookup, ring, "k")
   ring:close()
   lu.assertErrorMsgContains("closed", ring.lookup, ring, "k")
end

TestDetect = {}

function TestDetect:test_phi_vectors()
   local cases = { [0] = 0, [500] = .1, [1000] = .3, [1200] = 1.6, [1400] = 4.7, [1600] = 10.8 }
   for t, want in pairs(cases) do lu.assertAlmostEquals(q.phi(t, 1000, 100), want, .1) end
   lu.assertAlmostEquals(q.phi(10, 0, 1), 38, 1)
   lu.assertEquals(q.phi(-25, 0, 1), 0.0)
end

function TestDetect:test_one_at_a_time_is_all_at_once()
   local times, one, many = {}, q.detector("phi", { threshold = 8 }), q.detector("phi", { threshold = 8 })
   for i = 1, 200 do times[i] = i + (i * 37 % 10) / 100 end
   local suspicions = many:observe_many(times)
   for i, t in ipairs(times) do
      lu.assertEquals(one:suspicion(t), suspicions[i])
      one:observe(t)
   end
   lu.assertEquals(one:fingerprint(300), many:fingerprint(300))
   lu.assertEquals(q.detector_load(one:save()):fingerprint(300), many:fingerprint(300))
   lu.assertTrue(one:suspected(one:deadline() + 1e-6))
end

function TestDetect:test_window_of_the_vector()
   local d, t = q.detector("phi", { window = 5, learn_late = true }):observe(0), 0
   for _, interval in ipairs { .100, .200, .125, .340, .130 } do
      t = t + interval
      d:observe(t)
   end
   local window = d:window()
   lu.assertAlmostEquals(window.mean, .179, 1e-9)
   lu.assertAlmostEquals(window.variance, .007584, 1e-9)
end

function TestDetect:test_mixture_and_quality()
   local mixture = q.mixture(2, 1):fit { 0, 1, 2, 10, 11, 12 }
   mixture:label_by({ 0, 1, 2, 10, 11, 12 }, { false, false, false, true, true, true })
   local p = mixture:failure_probability { 1, 11 }
   lu.assertTrue(p[1] < 1e-6 and p[2] > 1 - 1e-6)
   lu.assertTrue(q.detector(mixture, .5):observe(0, { 11 }):suspected(0))
   local theory = q.nfd_quality(1, 1, .01, .02)
   lu.assertAlmostEquals(theory.recurrence, 101.01, .005)
   local times = {}
   for i = 1, 100 do times[i] = i end
   local seen = q.detector("timeout", { timeout = 2 }):measure(times, { crash = 100, stop = 200 })
   lu.assertEquals({ seen.detected, seen.mistakes, seen.detection }, { true, 0, 2.0 })
   lu.assertNil(seen.recurrence)
   local own = q.measure_opinions({ 10, 12, 50, 51, 101.5 }, { true, false, true, false, true }, {
      begin = 0, crash = 100, stop = 200,
   })
   lu.assertEquals({ own.detected, own.mistakes, own.detection, own.recurrence }, { true, 2, 1.5, 40 })
   lu.assertErrorMsgContains("2 times and 1 opinions", q.measure_opinions, { 1, 2 }, { true }, { stop = 3 })
end

function TestDetect:test_bad_input_is_refused_in_words()
   lu.assertErrorMsgContains("did you mean 'phi'", q.detector, "phy")
   lu.assertErrorMsgContains("threshold", q.detector, "phi", { treshold = 8 })
   local d = q.detector("phi"):observe(5)
   lu.assertErrorMsgContains("runs backwards", d.observe, d, 4)
   lu.assertErrorMsgContains("NaN", d.observe, d, 0 / 0)
   local mixture = q.mixture(2, 1)
   lu.assertErrorMsgContains("no parameters", mixture.score, mixture, { 1 })
   lu.assertErrorMsgContains("dimension 0 is NaN", mixture.fit, mixture, { 1, 0 / 0, 2 })
   lu.assertErrorMsgContains("singular", mixture.fit, mixture, { 1, 1, 1 }, { regularisation = 0 })
   local nothing, message, name = q.detector_load "nonsense"
   lu.assertNil(nothing)
   lu.assertStrContains(message, "no saved failure detector")
   lu.assertEquals(name, "corrupt")
end

os.exit(lu.LuaUnit.run())
