"""Protocols of one's own in Python: handlers and effects, errors, limits, forks, determinism, grades."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import quorate as q
from quorate import plain

ROOT = Path(__file__).resolve().parents[2]


class Echo(q.Node):
    """Answers when all others have said the value back."""

    def on_start(self):
        self.state = {"ticket": 0, "missing": 0}

    def on_propose(self, value, ticket):
        self.state = {"ticket": ticket, "missing": len(self.peers)}
        self.send_all(["ping", value])

    def on_message(self, sender, message):
        kind, value = message
        if kind == "ping":
            self.send(sender, ["pong", value])
        else:
            self.state["missing"] -= 1
            if self.state["missing"] == 0:
                self.reply(self.state["ticket"], value, index=5, term=2)


class SetOrder(Echo):
    """Goes by the order of a set, which differs from process to process."""

    def on_propose(self, value, ticket):
        super().on_propose(value, ticket)
        for name in {"north", "east", "south", "west"}:
            self.send(self.peers[0], ["word", name])

    def on_message(self, sender, message):
        if message[0] != "word":
            super().on_message(sender, message)


class Stubborn(q.Node):
    """Answers to nobody, and says so at once."""

    def on_propose(self, value, ticket):
        self.refuse(ticket) if value == "refuse" else self.fail(ticket, "no")


def test_a_script_runs_and_answers():
    """Messages, replies with an index, and what people see."""
    with q.Cluster(Echo, nodes=5, seed=1) as c:
        done = c.propose("hello")
        assert (done.answer, done.index, done.term) == (b"hello", 5, 2)
        assert c.propose(b"\xff\x00").answer == b"\xff\x00"
        assert c.status().protocol == "Echo"
        assert "'missing': 0" in c.inspect(1)["state"]
        assert c.check()["agreement"].verdict == "ok"
        assert c.load(clients=2, operations=20, machine="values").ok == 20


def test_python_and_lua_make_the_same_trace():
    """DESIGN 3: same script and seed, same trace hash, in either language."""
    build = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev"))
    lua = shutil.which("lua5.4")
    if not lua or not (build / "lua/quorate/core.so").exists():
        pytest.skip("no lua5.4, or the Lua module is not built")
    environment = {
        **os.environ,
        "LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;",
        "LUA_CPATH": f"{build}/lua/?.so;;",
    }
    program = """
    local q = require "quorate"
    local N = { name = "Both" }
    function N:on_start() self:set_timer("t", 0.01 + self:random() / 100) end
    function N:on_timer(name)
       self:send_all { name, self:random(10), 1.5, true, { x = -3, y = "\\u{e9}" } }
       self:persist { self:random(0, 99) }
       self:set_timer("t", 0.01 + self:random() / 100)
    end
    function N:on_propose(value, ticket) self:decide(1, value) self:reply(ticket, value) end
    local c <close> = q.cluster { protocol = N, nodes = 4, seed = 9 }
    c:propose "x"
    c:crash(2) c:run(0.5) c:restart(2) c:run(0.5)
    print(c.hash)
    """

    class Both(q.Node):
        def on_start(self):
            self.set_timer("t", 0.01 + self.random.random() / 100)

        def on_timer(self, name):
            self.send_all([name, self.random.randint(1, 10), 1.5, True, {"y": "\u00e9", "x": -3}])
            self.persist([self.random.randint(0, 99)])
            self.set_timer("t", 0.01 + self.random.random() / 100)

        def on_propose(self, value, ticket):
            self.decide(1, value)
            self.reply(ticket, value)

    with q.Cluster(Both, nodes=4, seed=9) as c:
        c.propose("x")
        c.crash(2)
        c.run(0.5)
        c.restart(2)
        c.run(0.5)
        mine = c.hash
    done = subprocess.run([lua, "-e", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == mine


def test_an_error_crashes_its_node_alone():
    """The node is down with the error in words, the traceback is kept, and it may be restarted."""

    class Fragile(Echo):
        def on_propose(self, value, ticket):
            if value == "boom":
                raise RuntimeError("it is cursed")
            super().on_propose(value, ticket)

    with q.Cluster(Fragile, seed=2) as c:
        with pytest.raises(q.UnknownOutcome):
            c.propose("boom", node=2, timeout=1)
        [down] = [n for n in c.status().nodes if not n.up]
        assert down.node == 2
        assert "on_propose() raised RuntimeError: it is cursed" in down.why_down
        assert "Traceback" in c.tracebacks[0]
        c.restart(2)
        assert c.propose("fine", node=2).answer == b"fine"


def test_an_endless_loop_is_cut():
    """A handler that never ends crashes its node, even where it swallows every exception."""

    class Endless(q.Node):
        time_limit = 1.0

        def on_propose(self, value, ticket):
            while True:
                try:
                    self.state = 1
                except Exception:
                    continue

    with q.Cluster(Endless, seed=2) as c:
        with pytest.raises(q.UnknownOutcome):
            c.propose("x", node=1, timeout=1)
        assert "EndlessLoop" in c.status().nodes[0].why_down
        assert c.status().nodes[1].up


def test_limits_and_mistakes_in_a_handler():
    """What a handler may not ask for raises in words, or crashes the node in words."""
    asked: list[str] = []

    class Greedy(q.Node):
        def on_propose(self, value, ticket):
            asked.append(value)
            if value == "flood":
                while True:
                    self.send_all("x")
            if value == "set":
                self.send(self.peers[0], {"names": [1, {2, 3}]})
            if value == "self":
                self.send(self.id, "x")
            if value == "kind":
                self.note("appendix")
            self.reply(ticket)

    words = {"flood": "endless loop", "set": "the message['names'][1] is of type set", "self": "it is itself"}
    words["kind"] = "there is no kind of event 'appendix'"
    for value, text in words.items():
        with q.Cluster(Greedy, seed=2) as c:
            with pytest.raises(q.UnknownOutcome):
                c.propose(value, node=1, timeout=1)
            assert text in c.status().nodes[0].why_down
    with pytest.raises(q.UsageError, match="only by a handler"):
        next(iter(_nodes_of(Greedy))).send(1, "x")


def _nodes_of(kind):
    from quorate.scripts import Scripts

    scripts = Scripts(kind)
    scripts.create(1, [2, 3])
    return scripts.nodes.values()


def test_forks_copy_the_state_and_nothing_else():
    """Both sides go on alike, apart; a field beside self.state, or what is no plain data, refuses by name."""
    with q.Cluster(Echo, seed=3) as c:
        c.propose("one")
        with c.fork() as f:
            assert f.fingerprint == c.fingerprint
            f.propose("two")
            assert f.fingerprint != c.fingerprint
            assert c.propose("two").answer == b"two"
            assert f.hash == c.hash

    class Field(Echo):
        def on_start(self):
            super().on_start()
            self.cache = {}

    class Tuple(Echo):
        def on_start(self):
            self.state = {"a": [1, (2, 3)]}

    for kind, words in (
        (Field, r"n1 has the field self\.cache"),
        (Tuple, r"self\.state\['a'\]\[1\] is a tuple"),
    ):
        with q.Cluster(kind, seed=3) as c:
            with pytest.raises(q.UnsupportedError, match=words):
                c.fork()
            with pytest.raises(q.UnsupportedError, match=words):
                _ = c.fingerprint


def test_the_random_stream_is_the_clusters():
    """It forks with the node, and random itself plays no part."""

    class Dice(q.Node):
        def on_start(self):
            self.state = []

        def on_propose(self, value, ticket):
            deck = list(range(10))
            self.random.shuffle(deck)
            self.state += [self.random.randrange(10**30), self.random.getrandbits(100) % 1000, deck[0]]
            self.state[0] %= 1000
            self.state += [self.random.random(), self.random.gauss(0, 1), self.random.choice("ab")]
            with pytest.raises(NotImplementedError):
                self.random.getstate()
            self.reply(ticket, json.dumps(self.state))

    with q.Cluster(Dice, seed=3) as c, c.fork() as f, q.Cluster(Dice, seed=4) as other:
        first = c.propose("x", node=1).answer
        assert first == f.propose("x", node=1).answer
        assert first != other.propose("x", node=1).answer


def test_refusals_take_time():
    """A node that refuses at once is asked again, but never twice at one time: the call ends."""
    with q.Cluster(Stubborn, seed=1) as c:
        with pytest.raises(q.NoLeaderError):
            c.propose("refuse", timeout=0.2)
        with pytest.raises(q.FailedError):
            c.propose("fail", timeout=0.2)
    assert q.grade(Stubborn, seeds=2, events=1000)["progress"].points == 0


def test_persisted_values_come_back():
    """`stored` is what was durable; `how` says how the node starts."""

    class Keeper(q.Node):
        def on_start(self):
            self.state = [self.how, self.stored]

        def on_propose(self, value, ticket):
            self.persist({"value": value})
            self.reply(ticket, json.dumps(self.state))

    with q.Cluster(Keeper, seed=1) as c:
        assert json.loads(c.propose("a", node=1).answer) == ["format", None]
        for disk, expected in (("unsynced", ["recovered", {"value": "a"}]), ("wiped", ["wiped", None])):
            c.crash(1, disk=disk)
            c.restart(1)
            assert json.loads(c.propose("a", node=1).answer) == expected


def test_calling_the_cluster_from_a_handler_is_refused():
    """Handlers cannot re-enter; another cluster they may use."""
    clusters: list[q.Cluster] = []

    class Reentrant(q.Node):
        def on_propose(self, value, ticket):
            with pytest.raises(q.BusyError):
                clusters[0].run(1)
            with q.Cluster(Echo, seed=1) as inner:
                inner.propose("inner")
            self.reply(ticket)

    with q.Cluster(Reentrant, seed=1) as c:
        clusters.append(c)
        c.propose("x")


def test_what_is_no_protocol_is_refused():
    """Another class, a machine beside a script, threads, an unknown checker."""
    with pytest.raises(TypeError, match="derived from"):
        q.Cluster(dict)  # type: ignore[arg-type]
    with pytest.raises(q.ArgumentError, match="no machine"):
        q.Cluster(Echo, machine="register")
    with pytest.raises(q.UnsupportedError, match="on no thread but yours"):
        q.Cluster(Echo, runtime="live")

    class Unjudged(Echo):
        judged_by = "concensus"

    with pytest.raises(q.NotFoundError, match="did you mean 'consensus'"):
        q.Cluster(Unjudged)


def test_twice_names_the_first_event_that_differs():
    """A seed of a deterministic script runs alike in fresh processes; one that goes by a set's order does
    not.
    """
    assert q.twice(Echo, 1, spec={"events": 500})
    found = q.twice(SetOrder, 1, spec={"events": 500})
    assert not found
    assert found.event is not None and "send" in found.lines[0] and found.lines[0] != found.lines[1]
    assert q.grade(SetOrder, seeds=1, events=500)["determinism"].verdict == "violated"

    class Local(Echo):
        pass

    with pytest.raises(q.ArgumentError, match="top of a file"):
        q.twice(Local)


def test_grades():
    """Points a property, all or nothing; seeds behind a secret; JSON."""

    def even_seeds_hold(run):
        assert run.seed % 2 == 0, f"seed {run.seed} is odd"

    grade = q.grade(Echo, seeds=4, events=500, properties=[even_seeds_hold], points={"even-seeds-hold": 5})
    row = grade["even-seeds-hold"]
    assert (row.points, row.of, row.held, row.seeds, row.first) == (0, 5, 2, 4, 1)
    assert row.text.startswith("seed 1 is odd")
    data = json.loads(grade.to_json())
    assert data["of"] == grade.of and data["properties"][0]["name"] == "agreement"
    hidden = q.grade(Echo, seeds=2, events=500, secret="term project")
    assert hidden["agreement"].held == 2
    with pytest.raises(q.ArgumentError, match="points for"):
        q.grade(Echo, seeds=1, events=500, points={"agreemnt": 1})


def test_a_run_shows_its_decisions_and_states():
    """What a property may look at."""

    class Decider(q.Node):
        state = "ready"  # of every node, a copy of its own

        def on_propose(self, value, ticket):
            self.note("state", index=3, detail=2)
            self.decide(1, value, ballot=4)
            self.reply(ticket)

    def looks(run):
        first = run.decisions[0]
        assert (first.instance, first.ballot) == (1, 4) and isinstance(first.value, str)
        assert (run.entered[0].instance, run.entered[0].state) == (3, 2)
        assert set(run.states.values()) == {"ready"}
        assert len(run.events("fault")) > 0

    grade = q.grade(Decider, seeds=1, events=500, properties=[looks])
    assert grade["looks"].text == ""
    assert grade["agreement"].verdict == "violated"
    assert "instance 1" in grade["agreement"].text


def test_plain_data_has_one_form():
    """Equal values have equal bytes; what comes back is what went in, tuples as lists."""
    values = [
        None,
        True,
        0,
        23,
        24,
        255,
        256,
        65536,
        2**32,
        -1,
        -(2**63),
        2**63 - 1,
        1.5,
        "",
        "é" * 40,
        b"\xff",
    ]
    values += [[], [1, "two", [3.0]], {}, {"b": 1, "a": {"c": [None]}, 7: "seven"}]
    for value in values:
        assert plain.decode(plain.encode(value)) == value
    assert plain.encode({"b": 1, "a": 2}) == plain.encode({"a": 2, "b": 1})
    assert plain.encode((1, 2)) == plain.encode([1, 2])
    assert plain.encode({"k": 1}).hex() == "a1616b01"
    for bad in (2**63, float("nan"), {1.5: 1}, object()):
        with pytest.raises(TypeError):
            plain.encode([bad])
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="holds itself"):
        plain.encode(loop)
    for malformed in (
        b"",
        b"\x18",
        b"\x82\x01",
        b"\xff",
        b"\x1c",
        b"\x01\x01",
        b"\xa1\x80\x01",
        b"\x9a\xff\xff\xff\xff",
    ):
        with pytest.raises(ValueError, match="malformed"):
            plain.decode(malformed)
