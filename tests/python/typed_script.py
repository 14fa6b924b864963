"""What a user writes, as mypy --strict sees it (make lint): a lost type, or a lost name, is an error here.

Nothing runs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import quorate as q


class Echo(q.Node):
    """A protocol of one's own."""

    def on_message(self, sender: int, message: Any) -> None:
        self.send(sender, message)


class Counter(q.StateMachine):
    """A state machine of one's own."""

    def apply(self, index: int, command: bytes) -> bytes:
        return command


def simulated() -> None:
    """A cluster, its faults, clients, and verdicts."""
    with q.Cluster("raft", nodes=5, seed=7, machine=Counter, delay="2ms") as c:
        leader: int = c.wait_leader()
        done: q.Committed = c.propose("x = 1", timeout=1.0)
        later: q.Pending[q.Committed] = c.propose_later(b"x = 2")
        index: int = done.index + later.result().index
        c.crash(leader)
        c.apply(q.Plan().at(1.0, "crash", node="leader"))
        steps: int = c.step(100) + index
        found: str | None = c.client().get("k")
        report: q.LoadReport = c.load(q.Workload(clients=4, operations=steps))
        result: q.CheckResult = c.check()
        names: list[str] = [p.name for p in result.properties if p.verdict == "ok"]
        verdict: q.HistoryVerdict = c.history().check("kv")
        events: int = len(c.trace) + len(c.fork().trace)
        print(found, report.ok, names, verdict.verdict, events, c.status().nodes[0].role)


def judged(run: Path) -> None:
    """Campaigns, replays, grades."""
    for violation in q.campaign("raft", seeds=10, bug="vote-before-sync").violations:
        seed: int = violation.seed
        again: q.Cluster = q.replay(violation.run)
        print(seed, again.hash)
    capture: q.CaptureReplay = q.replay("folder", "vote-before-sync")
    print(q.replay(run).hash, capture.verdict, q.grade(Echo).points)
    row: dict[str, Any] = q.options("raft")["nodes"]
    print(row)


def without_a_cluster() -> None:
    """Placement, quorums, detectors."""
    owner: str = q.Ring({"a": 1.0, "b": 2.0}, vnodes=100).lookup("k")
    met: bool = q.quorum("majority", 5).met([1, 2, 3])
    suspicion: float = q.PhiDetector(threshold=8).suspicion(2.0)
    mistakes: int = q.measure_opinions([1.0], [True], end=2.0).mistakes
    print(owner, met, suspicion, mistakes, q.ring_options()[0])


async def live() -> None:
    """The same, awaited."""
    async with q.aio.cluster("raft", nodes=3, runtime="live") as c:
        leader: int = await c.aio.wait_leader()
        done: q.Committed = await c.aio.propose("x")
        again: q.Committed = await c.propose_later("y", node=leader)
        result: q.CheckResult = await c.aio.check()
        print(done.index, again.index, result.verdict)
