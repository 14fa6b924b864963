"""A cluster from Python: the main job end to end, clients, faults, forks, awaitables."""

import asyncio

import pytest
import quorate as q


def test_the_main_job():
    """The script at the head of the project's description, as it stands there."""
    with q.Cluster("raft", nodes=5, seed=7) as c:
        old = c.wait_leader()
        first = c.propose("x = 1")
        c.crash(old)
        new = c.wait_leader()
        assert new != old
        second = c.propose("x = 2")
        assert (second.index, second.term) > (first.index, first.term)
        assert 0 < first.latency < 1
        c.partition([[new], [n for n in c.nodes if n != new]])
        c.run(2.0)
        c.heal()
        c.restart(old)
        c.run(1.0)
        kv = c.client()
        kv.put("k", "v")
        assert kv.get("k") == "v"
        report = c.load(q.Workload(clients=8, operations=2000, mix={"get": 0.5, "put": 0.3, "cas": 0.2}))
        assert report.ok + report.failed + report.unknown == report.operations >= 2000
        result = c.check()
        assert result.ok and result["linearizability"].verdict == "ok"
        assert str(result).endswith(f"trace hash {c.hash}")
        assert len(c.trace.to_pandas()) == c.events
        assert "<table>" in c._repr_html_() and "<svg" in c.trace._repr_html_()


def test_key_value_client():
    """Every operation of the store, and what it says of absent keys."""
    with q.Cluster("raft", seed=3) as c:
        kv = c.client()
        assert kv.get("k") is None and kv.get_bytes("k") is None
        kv.put("k", "grüße")
        assert kv.get("k") == "grüße"
        assert kv.append("k", b"\xff") == len("grüße".encode()) + 1
        assert kv.get_bytes("k") == "grüße".encode() + b"\xff"
        assert kv.get("k") == "grüße\udcff"  # what is no UTF-8 comes back as it would from a file name
        assert kv.cas("k", "else", "x") is False
        assert kv.cas("new", None, "1") is True
        assert kv.cas("new", None, "2") is False
        assert kv.cas("new", "1", "2") is True
        assert kv.cas("absent", "1", "2") is False
        assert [key for key, _ in kv.scan()] == ["k", "new"]
        assert kv.scan("l") == [("new", "2")]
        assert kv.scan("", "l", limit=5) == [("k", "grüße\udcff")]
        assert kv.scan(limit=1) == [("k", "grüße\udcff")]
        assert kv.delete("k") is True
        assert kv.delete("k") is False
        assert c.check().ok


def test_register_counter_and_lock():
    """The other machines, through the same client."""
    with q.Cluster("raft", machine="register") as c:
        register = c.client()
        assert register.read() is None
        register.write("1")
        assert register.cas("", "1", "2") and register.read() == "2"
        assert c.check()["linearizability"].verdict == "ok"
    with q.Cluster("raft", machine="counter") as c:
        counter = c.client()
        assert [counter.add(), counter.add(41), counter.add(-2)] == [1, 42, 40]
        assert counter.read() == "40"
    with q.Cluster("raft", machine="lock") as c:
        one, other = c.client(), c.client()
        token = one.acquire("door")
        assert token is not None and other.acquire("door") is None
        assert other.release("door") is False
        assert one.release("door") is True
        later = other.acquire("door")
        assert later is not None and later > token


def test_batches_and_latencies():
    """propose_many keeps the order, and the values take consecutive places in the log."""
    with q.Cluster("raft", nodes=3) as c:
        results = c.propose_many([f"value {i}" for i in range(500)])
        indexes = [r.index for r in results]
        assert len(results) == 500 and indexes == list(range(indexes[0], indexes[0] + 500))
        assert c.propose_many([]) == []


def test_pending_operations_overlap():
    """Two clients have operations under way at the same time; a third look needs no time."""
    with q.Cluster("raft", seed=2) as c:
        c.wait_leader()
        one, other = c.client(), c.client()
        one.put("warm", "up")
        other.put("warm", "up")
        pending = [one.start("put", "a", "1"), other.start("put", "b", "2")]
        assert not any(p.done for p in pending)
        for p in pending:
            p.result()
        assert all(p.done for p in pending)
        operations = c.history().operations
        puts = [o for o in operations if o["f"] == "put" and o["key"] in "ab"]
        assert puts[1]["invoke_ns"] < puts[0]["return_ns"]


def test_awaitables():
    """The same in an event loop: tasks share the cluster's time."""

    async def writer(c: q.Cluster, name: str) -> None:
        client = c.client()
        for i in range(20):
            await client.start("append", "log", f"{name}{i} ")

    async def both(c: q.Cluster) -> None:
        await asyncio.gather(writer(c, "a"), writer(c, "b"))
        assert (await c.propose_later("done")).index > 0

    with q.Cluster("raft") as c:
        asyncio.run(both(c))
        words = (c.client().get("log") or "").split()
        assert [w for w in words if w[0] == "a"] == [f"a{i}" for i in range(20)]
        assert [w for w in words if w[0] == "b"] == [f"b{i}" for i in range(20)]
        assert c.check().ok


def test_every_fault_verb():
    """Each verb is understood, and a healed and restarted cluster goes on."""
    with q.Cluster("raft", nodes=5, seed=11, timeout=30) as c:
        client = c.client()
        c.wait_leader()
        c.crash("leader", disk="kept")
        c.crash("follower", disk="wiped", effect=2)
        c.run(1)
        c.restart("all")
        c.pause("random")
        c.run(0.2)
        c.resume("all")
        for shape in ("halves", "one", "leader", "ring", "bridge"):
            c.partition(shape)
            c.run(0.1)
            c.heal()
        c.isolate(1)
        c.partition([[1, 2], [3, 4, 5]], one_way=True)
        c.heal()
        c.loss(0.1)
        c.loss(0.2, (1, 2), both=True)
        c.loss(0.1, (client, "any"))
        c.delay("2ms")
        c.delay({"pareto": ["1ms", 1.5]}, (1, 3))
        c.reorder(0.2, "5ms")
        c.duplicate(0.1)
        c.corrupt(0.02)
        c.skew(2, offset=-0.08, drift=200)
        c.slow(3, "1ms")
        c.lie(3, 0.1, to=4)
        c.bandwidth(1_000_000, (1, 2), both=True)
        client.put("k", "v")
        c.heal()
        c.apply(q.Plan().at(0.1, "crash", node="leader").after(0.2, "restart", node="all"))
        c.run(1)
        assert client.get("k") == "v"
        result = c.check()
        assert result.ok, str(result)
        assert c.metrics["crashes"] >= 2


def test_fork_is_independent():
    """A fork has the same future, and what is done to one does not touch the other."""
    with q.Cluster("raft", nodes=3, seed=5) as c:
        kv = c.client()
        kv.put("k", "before")
        with c.fork() as f:
            assert f.fingerprint == c.fingerprint and f.hash == c.hash
            f.crash("leader")
            f.run(1)
            c.run(1)
            assert f.fingerprint != c.fingerprint
            assert f.metrics["crashes"] == 1 and c.metrics["crashes"] == 0
            assert q.Client(f, kv.id).get("k") == "before"
            kv.put("k", "after")
            assert q.Client(f, kv.id).get("k") == "before"
            assert c.check().ok and f.check().ok


def test_run_until_text_or_function():
    """A condition is text for C, or a function of the cluster looked at now and then."""
    with q.Cluster("raft", nodes=3) as c:
        c.run_until("commit >= 1")
        c.run_until(lambda c: c.now > 1.0, timeout=5)
        assert 1.0 < c.now < 1.1
        with pytest.raises(q.WaitTimeout, match="did not come true"):
            c.run_until(lambda c: False, timeout=0.5)
        assert c.step(10) == 10
        events = c.events
        c.run_until(f"events >= {events + 100}")
        assert events + 100 <= c.events < events + 110


def test_status_and_inspect():
    """Every node's fields; why there is no leader."""
    with q.Cluster("raft", nodes=3) as c:
        leader = c.wait_leader()
        status = c.status()
        assert status.leader == leader and status.nodes[leader - 1].state == "leader"
        assert c.inspect(leader)
        c.crash(1)
        c.crash(2)
        c.run(1)
        assert c.leader is None
        assert "1 of 3 nodes are up, 2 are needed" in c.status().reason
        assert "down" in str(c.status())
        with pytest.raises(q.NodeDownError):
            c.inspect(1)


def test_bug_is_caught():
    """A switched mistake violates its property within a few seeds; the seed is replayed to the same hash."""
    result = q.campaign("raft", seeds=60, bug="vote-before-sync")
    assert result.violations
    first = result.violations[0]
    with q.replay(first.run) as c:
        assert c.hash == first.run["hash"]
        again = c.check()
    assert again.verdict == "violated" and again.violations[0].name in first.properties
    assert "violated" in again._repr_html_()


def test_a_narrow_link_holds_messages_up():
    """Over 10,000 bytes a second a message of 2,000 takes 0.2 s, and the next one waits for it."""
    with q.Cluster("raft", nodes=3, seed=2, election_timeout=5) as c:
        leader = c.wait_leader(timeout=60)
        assert c.propose("x" * 2000).latency < 0.01
        c.bandwidth(10_000, (leader, "any"))
        first = [c.propose_later("x" * 2000, node=leader) for _ in range(2)]
        one, two = (pending.result(10) for pending in first)
        assert 0.2 < one.latency < 0.3
        assert 0.4 < two.latency < 0.6
        c.heal()
        c.run(1)
        assert c.propose("x" * 2000).latency < 0.01
        assert c.check().ok
