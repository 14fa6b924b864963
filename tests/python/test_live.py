"""The same script in real time, over ZeroMQ threads: the same verdicts."""

import time

import pytest
import quorate as q


def live(**options) -> q.Cluster:
    """A live cluster, or a skip where the build has none."""
    try:
        return q.Cluster("raft", runtime="live", **options)
    except q.UnsupportedError as error:
        pytest.skip(str(error))


def test_the_main_job_live():
    """Simulated and live agree on every verdict."""
    verdicts = []
    for make in (lambda: q.Cluster("raft", nodes=5, seed=7), lambda: live(nodes=5, seed=7)):
        with make() as c:
            old = c.wait_leader()
            c.propose("x = 1")
            c.crash(old)
            new = c.wait_leader()
            assert new != old
            c.propose("x = 2")
            c.partition([[new], [n for n in c.nodes if n != new]])
            c.run(1.0)
            c.heal()
            c.restart(old)
            c.run(0.5)
            kv = c.client()
            kv.put("k", "v")
            assert kv.get("k") == "v"
            c.load(q.Workload(clients=4, operations=300))
            verdicts.append(c.check().verdicts)
            assert len(c.trace) > 1000
    assert verdicts[0] == verdicts[1] and set(verdicts[0].values()) == {"ok"}


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_what_nobody_looks_at_is_only_counted(transport):
    """No trace, no hash; faults, clients and their history are as ever."""
    with live(transport=transport, record="none", check=False) as c:
        old = c.wait_leader()
        before = c.check().events
        c.crash(old)
        assert c.wait_leader() != old
        c.restart(old)
        c.load(q.Workload(clients=4, operations=300))
        result = c.check()
        assert result.verdicts == {"linearizability": "ok"}
        assert result.events > before + 300
        assert len(c.trace) == 0 and int(c.hash, 16) == 0
        assert str(result).splitlines()[-1].endswith("none recorded")
    with live(transport=transport, record="none") as c:
        c.wait_leader()
        assert int(c.hash, 16) and c.check().verdict == "ok"


def test_live_time_is_real_and_clusters_close():
    """run(0.3) takes that long; what only a simulation can do is refused; closing ends the threads."""
    with live(nodes=3) as c:
        began = time.monotonic()
        c.run(0.3)
        assert 0.29 < time.monotonic() - began < 2
        with pytest.raises(q.UnsupportedError):
            c.step()
        with pytest.raises(q.UnsupportedError):
            c.fork()
    with pytest.raises(q.ClosedError):
        c.run(1)
