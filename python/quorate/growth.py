"""The growth soak: what grows over churn? Descriptors, threads and memory are counted.

First one cluster of processes: all but its last node are killed, started again, paused and cut off, round
after round, and every connection of the last is made anew each time. Then clusters that are opened and
closed, threads and processes in turn. Each part is counted at its middle, when all that is
allocated once has been, and at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quorate.cluster import Cluster
from quorate.progress import Progress
from quorate.soak import kill_processes
from quorate.trouble import at_least

SPARE = 4 << 20  # bytes by which memory may differ: what an allocator keeps
SETTLE = 5.0  # seconds for connections that are being made again
TRACE = 1000  # events that are kept


@dataclass(frozen=True)
class Amounts:
    """What a process has."""

    descriptors: int
    threads: int
    memory: int  # bytes, resident

    def __str__(self) -> str:
        memory = self.memory / 2**20
        return f"{self.descriptors} descriptors, {self.threads} threads, {memory:.1f} MiB"

    def exceeds(self, other: Amounts) -> bool:
        """Has it grown beyond the other?"""
        more = self.descriptors > other.descriptors or self.threads > other.threads
        return more or self.memory > other.memory + SPARE


@dataclass(frozen=True)
class Growth:
    """What was counted: for each part its name, and the amounts at its middle and its end."""

    rounds: int
    parts: tuple[tuple[str, Amounts, Amounts], ...]

    @property
    def grown(self) -> tuple[str, ...]:
        """The parts that grew."""
        return tuple(name for name, middle, end in self.parts if end.exceeds(middle))

    def to_data(self) -> list[dict[str, Any]]:
        """For JSON: a part's name, and what was counted at its middle and its end."""
        return [{"part": name, "middle": asdict(m), "end": asdict(e)} for name, m, e in self.parts]

    @property
    def ok(self) -> bool:
        """Nothing has grown."""
        return not self.grown

    def __str__(self) -> str:
        lines = [f"{name}: {middle} at the middle, {end} at the end" for name, middle, end in self.parts]
        verdict = f"GROWN: {', '.join(self.grown)}" if self.grown else "nothing grows"
        return "\n".join([*lines, f"{self.rounds} rounds: {verdict}"])


def amounts(pid: int) -> Amounts:
    """Of a process, by what the kernel says."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
    tasks, descriptors = os.listdir(folder / "task"), os.listdir(folder / "fd")
    return Amounts(len(descriptors), len(tasks), pages * os.sysconf("SC_PAGESIZE"))


def _settled(c: Cluster, take: Callable[[], Amounts], most: Amounts | None) -> Amounts:
    """The amounts, once they are no more than `most`, or after a while."""
    end = c.now + SETTLE
    now = take()
    while c.now < end and (most is None or now.exceeds(most)):
        c.run(0.1)
        fewer = take()
        if most is None and fewer.descriptors >= now.descriptors and c.now > end - SETTLE + 1:
            break
        now = fewer
    return now


def _churn(c: Cluster, number: int) -> None:
    """One round: everything that can happen to a node but its removal."""
    others = c.nodes[:-1]
    victim, second = others[number % len(others)], others[(number + 1) % len(others)]
    kill_processes(c, others if number % 5 == 0 else [victim])
    c.restart("all")
    c.wait_leader()
    c.crash(second)
    c.pause(c.nodes[-1])
    c.isolate(victim)
    c.loss(0.1)
    c.restart(second)
    c.resume(c.nodes[-1])
    c.heal()
    c.wait_leader()
    c.propose(f"round {number}")


def _parts_of(c: Cluster) -> dict[str, Callable[[], Amounts]]:
    last = c.nodes[-1]
    return {
        "owner": lambda: amounts(os.getpid()),
        f"n{last}": lambda: amounts(next(n.pid for n in c.status().nodes if n.node == last)),
    }


def _one_cluster(rounds: int, nodes: int, progress: Progress) -> list[tuple[str, Amounts, Amounts]]:
    with Cluster(
        nodes=nodes, runtime="live", transport="tcp", record="last", record_last=TRACE, timeout=60
    ) as c:
        c.wait_leader()
        parts, middle = _parts_of(c), {}
        for number in range(rounds):
            _churn(c, number)
            progress.update(number + 1)
            if number + 1 == (rounds + 1) // 2:
                middle = {name: _settled(c, take, None) for name, take in parts.items()}
        end = {name: _settled(c, take, middle[name]) for name, take in parts.items()}
        return [(name, middle[name], end[name]) for name in parts]


def _many_clusters(rounds: int, progress: Progress) -> tuple[str, Amounts, Amounts]:
    middle = end = amounts(os.getpid())
    for number in range(rounds):
        for transport in ("inproc", "tcp", "ipc"):
            with Cluster(runtime="live", transport=transport, record="none") as c:
                c.wait_leader()
                c.propose("x = 1")
        progress.update(rounds + number + 1)
        end = amounts(os.getpid())
        if number + 1 == (rounds + 1) // 2:
            middle = end
    return "clusters opened and closed", middle, end


def growth(rounds: int = 50, *, nodes: int = 5) -> Growth:
    """Churns for that many rounds and opens three times as many clusters; what has grown.

    Raises UnsupportedError where this build has no live runtime.
    """
    rounds, nodes = at_least(1, "growth", "rounds", rounds), at_least(3, "growth", "nodes", nodes)
    with Progress("growth", 2 * rounds, "rounds") as progress:
        parts = _one_cluster(rounds, nodes, progress)
        parts.append(_many_clusters(rounds, progress))
    return Growth(rounds, tuple(parts))
