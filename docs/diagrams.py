"""Draws the message diagrams of the documentation's pages, each from the trace of a run.

    python docs/diagrams.py [FOLDER]

Runs repeat bit for bit, and so do the pictures: a test draws them anew and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import quorate as q

FOLDER = Path(__file__).parent / "diagrams"
QUIET = {"jitter": 0, "disk_jitter": 0}  # every message takes as long as every other


def _drawn(c: q.Cluster, act: Callable[[], object], rest: float = 0.01) -> str:
    """What `act` brings about, and the `rest` seconds behind it."""
    first = c.trace.first + len(c.trace)
    act()
    c.run(rest)
    return c.trace.svg(between=(first, c.trace.first + len(c.trace) - 1))


def raft() -> str:
    with q.Cluster("raft", nodes=3, seed=4, **QUIET) as c:
        c.wait_leader()
        c.run(0.2)
        return _drawn(c, lambda: c.propose("x = 1"), 0.05)


def raft_election() -> str:
    with q.Cluster("raft", nodes=3, seed=4, **QUIET) as c:
        return _drawn(c, c.wait_leader, 0.001)


def paxos() -> str:
    with q.Cluster("paxos", nodes=3, seed=1, thrifty=False, **QUIET) as c:
        return _drawn(c, lambda: c.propose("blue", node=1), 0.002)


def _values(protocol: str, *values: str, rest: float = 0.002, **options: object) -> str:
    with q.Cluster(protocol, nodes=3, seed=1, **QUIET, **options) as c:

        def act() -> None:
            for pending in [c.propose_later(value, node=i) for i, value in enumerate(values, 1)]:
                pending.result()

        return _drawn(c, act, rest)


def floodset() -> str:
    return _values("floodset", "c", "a", "b", bound="1ms", rest=0.01)


def benor() -> str:
    return _values("benor", "0", "1", "1")


def bully() -> str:
    with q.Cluster("bully", nodes=4, seed=1, **QUIET) as c:
        c.run(0.1)
        c.crash(4)
        return _drawn(c, lambda: c.elect(node=2), 0.01)


def primary_backup() -> str:
    with q.Cluster("primary-backup", nodes=3, seed=2, **QUIET) as c:
        c.wait_leader()
        c.run(0.2)
        return _drawn(c, lambda: c.propose("x = 1"), 0.05)


def _transaction(protocol: str) -> str:
    with q.Cluster(protocol, nodes=3, seed=1, **QUIET) as c:
        return _drawn(c, lambda: c.transaction({2: "debit 5", 3: "credit 5"}, coordinator=1))


def two_phase_commit() -> str:
    return _transaction("2pc")


def three_phase_commit() -> str:
    return _transaction("3pc")


def blocked() -> str:
    with q.Cluster("2pc", nodes=3, seed=1, **QUIET) as c:
        c.crash(1, effect=6)
        return _drawn(c, lambda: c.transaction({2: "debit 5", 3: "credit 5"}, coordinator=1, timeout=0.4), 0)


def detector() -> str:
    with q.Cluster("raft", nodes=3, seed=4, detector="timeout", **QUIET) as c:
        leader = c.wait_leader()
        c.run(0.2)
        return _drawn(c, lambda: (c.crash(leader), c.wait_leader(other_than=leader)), 0.001)


DIAGRAMS = {
    "raft": raft,
    "raft-election": raft_election,
    "paxos": paxos,
    "floodset": floodset,
    "benor": benor,
    "bully": bully,
    "primary-backup": primary_backup,
    "two-phase-commit": two_phase_commit,
    "two-phase-commit-blocked": blocked,
    "three-phase-commit": three_phase_commit,
    "detector": detector,
}


def main(folder: Path = FOLDER) -> None:
    """Draws them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DIAGRAMS.items():
        (folder / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
