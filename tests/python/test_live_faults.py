"""What each verb of a plan does to the frames and clocks of live nodes, threads and processes alike.

The counters of a fault say that it was drawn. Here the trace says what became of the messages: one link is
troubled, and what went over it is looked at, one message after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import quorate as q

LOSS, PARTITION = 1, 2  # qrt_drop
MS = 1_000_000
PATIENCE = 30.0  # seconds


@dataclass
class Message:
    """A frame from one node to another: when it left, when it arrived, and how often; why it did not."""

    sent: int
    received: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)


@pytest.fixture(params=["inproc", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[q.Cluster, int, int]]:
    """A cluster, its leader and a follower. The leader writes every 10 ms; who hears nothing of it finds no
    votes, because the third node does."""
    options = {"election_timeout": "1s", "heartbeat_interval": "10ms"}
    try:
        c = q.Cluster("raft", nodes=3, runtime="live", transport=request.param, **options)
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    with c:
        leader = c.wait_leader()
        c.propose("first")
        yield c, leader, leader % 3 + 1


def messages(c: q.Cluster, source: int, target: int, begin: float, end: float) -> list[Message]:
    """What the source sent to the target between two times, in order."""
    trace = c.trace
    kinds = {name: number for number, name in trace.kinds.items()}
    columns = ("kind", "node", "peer", "link", "time", "detail")
    found: dict[int, Message] = {}
    for kind, node, peer, link, time, detail in zip(*(trace[name].tolist() for name in columns), strict=True):
        if kind == kinds["send"] and (node, peer) == (source, target):
            found[link] = Message(time)
        elif kind == kinds["receive"] and link in found and node == target:
            found[link].received.append(time)
        elif kind == kinds["drop"] and link in found and node == target:
            found[link].dropped.append(detail)
    return [m for m in found.values() if begin * 1e9 <= m.sent <= end * 1e9]


def heal(c: q.Cluster) -> None:
    """And what the cut held back has long arrived, if it does."""
    c.heal()
    c.run(0.5)


def assert_none_came(found: list[Message]) -> None:
    assert found and all(m.dropped == [PARTITION] and not m.received for m in found)


def eventually(c: q.Cluster, holds: Callable[[], object]) -> None:
    """Runs until it does; a busy machine sends and receives little."""
    c.run_until(lambda _: holds(), timeout=PATIENCE, every=0.1)


def trouble(
    c: q.Cluster, source: int, target: int, verb: Callable[[], None], arrivals: int = 0
) -> list[Message]:
    """What went over that link from then on for 0.2 s, or longer where that was little. All had another 0.3 s
    to arrive, and as long as it takes where they are to arrive so many times.
    """
    verb()
    begin = c.now
    c.run(0.2)
    eventually(c, lambda: len(messages(c, source, target, begin, c.now)) >= 8)
    end = c.now
    c.run(0.3)
    eventually(c, lambda: all(len(m.received) >= arrivals for m in messages(c, source, target, begin, end)))
    return messages(c, source, target, begin, end)


def test_loss(pair: tuple[q.Cluster, int, int]) -> None:
    """What is lost arrives nowhere; the way back is open."""
    c, leader, follower = pair
    for m in trouble(c, leader, follower, lambda: c.loss(1.0, (leader, follower))):
        assert m.dropped == [LOSS] and not m.received
    c.loss(0, (leader, follower))
    c.loss(1.0, (follower, leader))
    begin = c.now
    c.run(0.3)
    eventually(c, lambda: any(m.received for m in messages(c, leader, follower, begin, c.now)))
    assert all(m.dropped == [LOSS] for m in messages(c, follower, leader, begin, c.now))


def test_delay(pair: tuple[q.Cluster, int, int]) -> None:
    """Each message arrives that much later, and none overtakes another."""
    c, leader, follower = pair
    found = trouble(c, leader, follower, lambda: c.delay("100ms", (leader, follower)), 1)
    assert all(m.received[0] - m.sent >= 100 * MS for m in found)
    assert [m.received[0] for m in found] == sorted(m.received[0] for m in found)


def test_slow(pair: tuple[q.Cluster, int, int]) -> None:
    """A slow node sees everything late."""
    c, leader, follower = pair
    found = trouble(c, leader, follower, lambda: c.slow(follower, "80ms"), 1)
    assert all(m.received[0] - m.sent >= 80 * MS for m in found)


def test_bandwidth(pair: tuple[q.Cluster, int, int]) -> None:
    """What is large waits for its bytes to leave, and what comes behind it waits as well."""
    c, leader, follower = pair
    c.bandwidth(100_000, (leader, follower))
    begin = c.now
    c.propose("x" * 20_000)  # the other follower's answer is enough
    def arrived() -> list[Message]:
        return [m for m in messages(c, leader, follower, begin, c.now) if m.received]

    eventually(c, lambda: any(m.received[0] - m.sent >= 200 * MS for m in arrived()))
    large = next(m for m in arrived() if m.received[0] - m.sent >= 200 * MS)
    eventually(c, lambda: arrived()[-1].sent > large.sent)
    assert all(m.received[0] >= large.received[0] for m in arrived() if m.sent > large.sent)


def test_duplicate(pair: tuple[q.Cluster, int, int]) -> None:
    """Each message arrives twice."""
    c, leader, follower = pair
    for m in trouble(c, leader, follower, lambda: c.duplicate(1.0, "1ms", (leader, follower)), 2):
        assert len(m.received) == 2


def test_corrupt(pair: tuple[q.Cluster, int, int]) -> None:
    """A frame with a wrong bit arrives, and is rejected before anybody reads it."""
    c, leader, follower = pair
    found = trouble(c, leader, follower, lambda: c.corrupt(1.0, (leader, follower)))
    assert not any(m.received for m in found)
    eventually(c, lambda: c.status().nodes[follower - 1].rejected >= len(found))


def test_reorder(pair: tuple[q.Cluster, int, int]) -> None:
    """Some messages are overtaken by later ones."""
    c, leader, follower = pair
    found = trouble(c, leader, follower, lambda: c.reorder(0.5, "100ms", (leader, follower)), 1)
    arrivals = [m.received[0] for m in found]
    assert arrivals != sorted(arrivals)


def test_a_partition_drops_at_both_ends(pair: tuple[q.Cluster, int, int]) -> None:
    """What was under way when it comes does not arrive; what is sent while it stands does not leave, even if
    it would arrive when it has gone. One way is one way."""
    c, leader, follower = pair
    others = [n for n in c.nodes if n != leader]
    c.delay("1s", (leader, follower))
    begin = c.now
    c.run(0.3)
    eventually(c, lambda: messages(c, leader, follower, c.now - 0.3, c.now))
    c.partition([[leader], others], one_way=True)
    cut = c.now  # what was sent in the second before would arrive after it
    c.run(1.2)
    healed = c.now
    heal(c)
    assert_none_came(messages(c, leader, follower, max(begin, cut - 0.9), cut))
    assert all(not m.dropped for m in messages(c, follower, leader, begin, healed))
    c.delay("200ms", (leader, follower))
    c.partition([[leader], others], one_way=True)
    begin = c.now
    eventually(c, lambda: messages(c, leader, follower, begin, c.now))
    end = c.now
    heal(c)
    assert_none_came(messages(c, leader, follower, begin, end))


class Clock(q.Node):
    """Has a timer that rings every 0.1 s by its clock, and tells its clocks."""

    def on_start(self):
        self.set_timer("tick", 0.1)

    def on_timer(self, name):
        self.set_timer("tick", 0.1)

    def on_propose(self, value, ticket):
        self.reply(ticket, f"{self.now} {self.wall}")


def clocks(c: q.Cluster) -> tuple[float, float, float]:
    """Of node 1: its clock that never jumps, its wall clock; and the true time."""
    mono, wall = c.propose("?", node=1).answer.decode().split()
    return float(mono), float(wall), c.now


def least_time_between_rings(c: q.Cluster, begin: float) -> float:
    """Of node 1 from then on; true seconds."""
    trace = c.trace
    rings = next(number for number, name in trace.kinds.items() if name == "timer")
    of_node = (trace["kind"] == rings) & (trace["node"] == 1) & (trace["time"] >= begin * 1e9)
    times = trace["time"][of_node].tolist()
    return min(b - a for a, b in pairwise(times)) / 1e9


def test_skew() -> None:
    """The wall clock jumps, the other never; drift makes both run faster, and so timers ring early."""
    try:
        c = q.Cluster(Clock, nodes=2, runtime="live", transport="tcp", timeout=10)
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    with c:
        mono, wall, time = clocks(c)
        c.run(0.5)
        assert least_time_between_rings(c, 0) >= 0.1
        c.skew(1, offset=-100)
        mono_after, wall_after, time_after = clocks(c)
        assert wall_after - wall == pytest.approx(time_after - time - 100, abs=1)
        assert mono_after - mono == pytest.approx(time_after - time, abs=1)
        c.skew(1, drift=500_000)
        mono, wall, time = clocks(c)
        c.run(1)
        mono_after, wall_after, time_after = clocks(c)
        assert (mono_after - mono) / (time_after - time) == pytest.approx(1.5, abs=0.2)
        assert (wall_after - wall) / (time_after - time) == pytest.approx(1.5, abs=0.2)
        eventually(c, lambda: least_time_between_rings(c, time) < 0.09)
