"""The soak: processes are killed again and again (kill -9) under load, and at the end everything is judged.

Rounds take turns: one random node, then a random majority at once. The processes are killed from outside, as
an operator or the kernel would, and started again on what their folders hold. Each round is over when a
client's write was acknowledged; at the end every such write is read back.
"""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass

from quorate.client import Client
from quorate.cluster import Cluster
from quorate.errors import NodeDownError
from quorate.progress import Progress
from quorate.results import CheckResult, LoadReport
from quorate.workload import Workload

CALM = 0.1  # seconds of undisturbed load in a round
PATIENCE = 30.0  # seconds that an operation may take


@dataclass(frozen=True)
class Soak:
    """How it went. `outages`: for each round the seconds from its kills to the next acknowledged write."""

    result: CheckResult
    load: LoadReport
    rounds: int
    kills: int
    seconds: float
    outages: tuple[float, ...]
    lost: tuple[str, ...]  # keys of acknowledged writes that could not be read back

    @property
    def ok(self) -> bool:
        """Nothing is lost and nothing violated."""
        return not self.lost and self.result.verdict == "ok"

    def __str__(self) -> str:
        ordered = sorted(self.outages) or [0.0]
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        lost = f"LOST: {', '.join(self.lost)}" if self.lost else "every acknowledged write is there"
        return (
            f"{self.result}\n{self.load}\n{self.rounds} rounds, {self.kills} processes killed in "
            f"{self.seconds:.1f} s; from a kill to the next acknowledged write {middle:.3f} s in the median, "
            f"{worst:.3f} s at most\n{lost}"
        )


def _kill(c: Cluster, nodes: list[int]) -> None:
    victims = [n for n in c.status().nodes if n.node in nodes]
    for victim in victims:
        if not victim.up:
            raise NodeDownError(f"n{victim.node} did not come back: {victim.why_down}")
        os.kill(victim.pid, signal.SIGKILL)
    c.run_until(lambda c: not any(n.up for n in c.status().nodes if n.node in nodes), every=0.001)


def _round(c: Cluster, kv: Client, key: str, nodes: list[int]) -> float:
    """Kills, restarts, and writes; the seconds without an acknowledged write."""
    began = c.now
    _kill(c, nodes)
    for node in nodes:
        c.restart(node)
    kv.put(key, key)
    outage = c.now - began
    c.run(CALM)
    return outage


def soak(
    rounds: int = 100,
    *,
    transport: str = "tcp",
    nodes: int = 5,
    clients: int = 8,
    seed: int = 1,
) -> Soak:
    """Kills processes of a live cluster for that many rounds, under the load of `clients`; the verdict.

    The kills follow from the seed; what comes between them is real time. Raises UnsupportedError where this
    build has no live runtime.
    """
    choose = random.Random(seed)
    outages: list[float] = []
    kills = 0
    with Cluster(
        nodes=nodes, seed=seed, runtime="live", transport=transport, record="last", timeout=PATIENCE
    ) as c:
        c.wait_leader()
        kv = c.client()
        c.load(Workload(clients=clients, operations=0, keys=64), wait=False)
        with Progress("soak", rounds, "rounds") as progress:
            for number in range(rounds):
                victims = choose.sample(c.nodes, nodes // 2 + 1 if number % 2 else 1)
                outages.append(_round(c, kv, f"round {number}", victims))
                kills += len(victims)
                progress.update(number + 1)
        c.stop_load()
        c.run_until("idle", timeout=PATIENCE)
        keys = [f"round {number}" for number in range(rounds)]
        lost = tuple(key for key in keys if kv.get(key) != key)
        return Soak(c.check(), c.load_report(), rounds, kills, c.now, tuple(outages), lost)
