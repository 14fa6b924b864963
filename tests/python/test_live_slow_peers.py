"""A dead or slow peer never delays a live one: what finds its queue full is dropped and counted."""

from __future__ import annotations

import statistics

import pytest
import quorate as q

FULL = 6  # QRT_DROP_FULL
VALUE = "v" * 65536
OPTIONS = {
    "election_timeout": 2,
    "max_in_flight": 4096,  # the leader goes on sending for as long as it can
    "max_in_flight_bytes": "1GiB",
    "snapshot_threshold": 100_000,
    "disk": "memory",
    "timeout": 30,
}


def dropped_as_full(c: q.Cluster, node: int) -> bool:
    """Was anything for that node dropped because its queue was full?"""
    trace = c.trace
    kind = next(number for number, name in trace.kinds.items() if name == "drop")
    return bool(((trace["kind"] == kind) & (trace["node"] == node) & (trace["detail"] == FULL)).any())


def write_time(c: q.Cluster, client: q.Client, writes: int) -> float:
    """The median seconds of a write, one after the other."""
    times = []
    for number in range(writes):
        before = c.now
        client.put(f"k{number % 8}", VALUE)
        times.append(c.now - before)
    return statistics.median(times)


def times_around(c: q.Cluster, client: q.Client, how: str, victim: int) -> tuple[float, float]:
    """The time of a write while all take part, and while that node takes nothing and its queue is full."""
    write_time(c, client, 20)
    before = write_time(c, client, 100)
    getattr(c, how)(victim)
    for _ in range(20):
        if how == "crash" or dropped_as_full(c, victim):
            return before, write_time(c, client, 100)
        write_time(c, client, 100)
    pytest.fail("the paused node's queue never came to be full")


@pytest.mark.parametrize("how", ["pause", "crash"])
def test_a_peer_that_takes_nothing_delays_nobody(how: str):
    """Commits among the rest are as fast as before; the leader and its term stay. What else the machine does
    may slow one part of the comparison, but not every time.
    """
    try:
        c = q.Cluster(nodes=5, runtime="live", transport="tcp", **OPTIONS)
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    with c:
        leader = c.wait_leader()
        term = c.status().nodes[leader - 1].term
        victim = leader % 5 + 1
        client = c.client()
        for _ in range(5):
            before, after = times_around(c, client, how, victim)
            print(f"{how}: a write took {before * 1e3:.2f} ms before, {after * 1e3:.2f} ms after")
            if after < 2 * before + 0.005:
                break
            c.resume(victim) if how == "pause" else c.restart(victim)
        else:
            pytest.fail("a write took longer each time")
        assert c.status().leader == leader and c.status().nodes[leader - 1].term == term
