"""The soak: live processes are killed and disturbed again and again under load; at the end all is judged.

Rounds take turns: one random process is killed, then a random majority at once, with kill -9 from outside, as
an operator or the kernel would do it; what a process had not synced is lost with it. The other faults begin
with their round and last for a part of it. The killed processes are started again on what their folders hold.
Each round is over when a client's write was acknowledged; at the end every such write is read back.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from quorate.captures import CaptureReplay, replay_capture
from quorate.client import Client
from quorate.cluster import Cluster
from quorate.errors import NodeDownError, RangeError
from quorate.plan import Plan
from quorate.progress import Progress
from quorate.results import CheckResult, LoadReport
from quorate.workload import Workload

FAULTS = ("kill", "pause", "cut", "loss", "corrupt")
CALM = 0.1  # seconds of load in a round after its write
TROUBLE = 0.25  # seconds that a round's pause, cut, loss and corruption last
SHARE = 0.1  # of the messages that are lost or corrupted
CAPTURE = "16GiB"  # of a node, at most
PATIENCE = 60.0  # seconds that an operation may take
LOOK = 0.001  # seconds between two looks for what was killed

Form = Callable[[Any], Any]  # of a cluster or client: itself, or its `aio`
Wait = Callable[[Form], Any]  # makes a call that waits, in that form


@dataclass(frozen=True)
class Soak:
    """How it went. `outages`: for each round the seconds from its kills to the next acknowledged write."""

    result: CheckResult
    load: LoadReport
    rounds: int
    faults: tuple[str, ...]
    kills: int
    seconds: float
    outages: tuple[float, ...]
    lost: tuple[str, ...]  # keys of acknowledged writes that could not be read back
    memory: int = 0  # bytes: the most that a node was seen to take
    memory_budget: int = 0  # bytes that it may take
    replay: CaptureReplay | None = None  # of what the nodes did, where it was captured

    @property
    def ok(self) -> bool:
        """Nothing is lost and nothing violated; where it was captured, every step is replayed the same."""
        return not self.lost and self.result.verdict == "ok" and (self.replay is None or self.replay.ok)

    def __str__(self) -> str:
        ordered = sorted(self.outages) or [0.0]
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        lost = f"LOST: {', '.join(self.lost)}" if self.lost else "every acknowledged write is there"
        counts = self.result.counts
        done = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("pauses", "dropped", "corrupted"))
        replayed = f"\n{self.replay.last_line}" if self.replay else ""
        return (
            f"{self.result}\n{self.load}\n{self.rounds} rounds of {', '.join(self.faults)}: {self.kills} "
            f"processes killed, {done}, in {self.seconds:.1f} s\n"
            f"from a kill to the next acknowledged write {middle:.3f} s in the median, {worst:.3f} at most\n"
            f"a node took {self.memory / 2**20:.1f} MiB at most; its budget is "
            f"{self.memory_budget / 2**20:.0f} MiB\n{lost}{replayed}"
        )


def choose_faults(text: str) -> tuple[str, ...]:
    """The faults that a list with commas names; RangeError for one that there is not."""
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in chosen:
        if name not in FAULTS:
            raise RangeError(f"the soak has no fault {name!r}; it has {', '.join(FAULTS)}")
    return chosen


def _killed(c: Cluster, nodes: Iterable[int]) -> Callable[[Cluster], bool]:
    """kill -9 from outside; what holds once the cluster has seen it."""
    victims = [n for n in c.status().nodes if n.node in set(nodes)]
    for victim in victims:
        if not victim.up:
            raise NodeDownError(f"n{victim.node} did not come back: {victim.why_down}")
        os.kill(victim.pid, signal.SIGKILL)
    killed = {victim.node for victim in victims}
    return lambda c: not any(n.up for n in c.status().nodes if n.node in killed)


def kill_processes(c: Cluster, nodes: Iterable[int]) -> None:
    """kill -9 from outside, and waits until the cluster has seen it."""
    c.run_until(_killed(c, nodes), every=LOOK)


def trouble(choose: random.Random, nodes: list[int], faults: Iterable[str]) -> Plan:
    """What a round does beside its kills: each fault with even chances, over in `TROUBLE` seconds."""
    plan = Plan()
    for fault in faults:
        node, other = choose.sample(nodes, 2)
        if choose.random() < 0.5:
            continue
        if fault == "pause":
            plan = plan.at(0, "pause", node=node, for_=TROUBLE)
        elif fault == "cut":
            rest = [n for n in nodes if n != other]
            groups = [[other], rest] if choose.random() < 0.5 else [rest, [other]]
            plan = plan.at(0, "partition", groups=groups, one_way=True, for_=TROUBLE)
        elif fault in ("loss", "corrupt"):
            plan = plan.at(0, fault, probability=SHARE, for_=TROUBLE)
    return plan


def _round(c: Cluster, kv: Client, key: str, victims: list[int], plan: Plan) -> Generator[Wait, Any, float]:
    """Disturbs, kills, restarts, and writes; the seconds without an acknowledged write."""
    c.apply(plan)
    began = c.now
    seen = _killed(c, victims)
    yield lambda form: form(c).run_until(seen, every=LOOK)
    for node in victims:
        c.restart(node)
    yield lambda form: form(kv).put(key, key)
    outage = c.now - began
    yield lambda form: form(c).run(CALM)
    return outage


@dataclass(frozen=True)
class Soaking:
    """What a soak is to do; the waits of :meth:`steps` are made by whoever runs it, each in its form."""

    rounds: int
    faults: tuple[str, ...]
    nodes: int
    clients: int
    seed: int
    options: dict[str, Any]

    def steps(self, c: Cluster) -> Generator[Wait, Any, Soak]:
        """The whole soak of a cluster that was just made."""
        choose = random.Random(self.seed)
        outages: list[float] = []
        kills = memory = budget = 0
        yield lambda form: form(c).wait_leader()
        kv = c.client()
        c.load(Workload(clients=self.clients, operations=0, keys=64), wait=False)
        with Progress("soak", self.rounds, "rounds") as progress:
            for number in range(self.rounds):
                many = 0 if "kill" not in self.faults else self.nodes // 2 + 1 if number % 2 else 1
                victims = choose.sample(c.nodes, many)
                plan = trouble(choose, c.nodes, self.faults)
                outages.append((yield from _round(c, kv, f"round {number}", victims, plan)))
                kills += len(victims)
                taken = [(n.memory, n.memory_budget) for n in c.status().nodes]
                memory, budget = max(memory, *(m for m, _ in taken)), max(b for _, b in taken)
                progress.update(number + 1)
        yield lambda form: form(c).run(TROUBLE)
        c.stop_load()
        yield lambda form: form(c).run_until("idle", timeout=PATIENCE)
        lost = []
        for number in range(self.rounds):
            if (yield partial(_read_back, kv, f"round {number}")) != f"round {number}":
                lost.append(f"round {number}")
        result = yield lambda form: form(c).check()
        load = c.load_report()
        return Soak(
            result, load, self.rounds, self.faults, kills, c.now, tuple(outages), tuple(lost), memory, budget
        )


def _read_back(kv: Client, key: str, form: Form) -> Any:
    return form(kv).get(key)


def plan_soak(
    rounds: int,
    faults: Iterable[str],
    transport: str,
    nodes: int,
    clients: int,
    seed: int,
    capture: str | None,
) -> Soaking:
    """What :func:`soak` of these arguments does."""
    chosen = choose_faults(",".join(faults))
    options: dict[str, Any] = {"capture": capture, "capture_size": CAPTURE} if capture else {}
    options.update(nodes=nodes, seed=seed, runtime="live", transport=transport)
    options.update(record="last", timeout=PATIENCE)
    return Soaking(rounds, chosen, nodes, clients, seed, options)


def soak(
    rounds: int = 100,
    *,
    faults: Iterable[str] = FAULTS,
    transport: str = "tcp",
    nodes: int = 5,
    clients: int = 8,
    seed: int = 1,
    capture: str | None = None,
) -> Soak:
    """Kills and disturbs the processes of a live cluster for that many rounds, under the load of `clients`.

    `faults`: of "kill", "pause", "cut" (one way), "loss", "corrupt". They follow from the seed; what comes
    between them is real time. With `capture`, a folder, what the nodes do is captured there and replayed when
    all is over. Raises UnsupportedError where this build has no live runtime.
    """
    plan = plan_soak(rounds, faults, transport, nodes, clients, seed, capture)
    with Cluster(**plan.options) as c:
        waited: Any = None
        with closing(plan.steps(c)) as steps:
            try:
                while True:
                    waited = steps.send(waited)(lambda o: o)
            except StopIteration as ended:
                done: Soak = ended.value
    return replace(done, replay=replay_capture(capture)) if capture else done
