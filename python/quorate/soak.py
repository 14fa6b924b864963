"""The soak: live processes are killed and disturbed again and again under load; at the end all is judged.

Rounds take turns: one random process is killed, then a random majority at once, with kill -9 from outside, as
an operator or the kernel would do it; what a process had not synced is lost with it. The other faults begin
with their round and last for a part of it. The killed processes are started again on what their folders hold.
Each round is over when a client's write was acknowledged; at the end every such write is read back.

A protocol that decides values has no writes: a round is over when clients have decisions of proposals that
they made after it began. The faults are those that the protocol's model has room for; where it needs a bound
on delays, one process is killed at a time, and the bounds are wider than by default, since a busy machine
holds processes up.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from quorate.captures import CaptureReplay, replay_capture
from quorate.catalogue import fault_model
from quorate.client import Client
from quorate.cluster import Cluster
from quorate.errors import NodeDownError, QuorateError, UnknownOutcome, UnsupportedError
from quorate.plan import Plan
from quorate.progress import Progress
from quorate.results import CheckResult, LoadReport
from quorate.trouble import TROUBLE, at_least, choose_faults, trouble
from quorate.workload import Workload

CALM = 0.1  # seconds of load in a round after its write
CAPTURE = "16GiB"  # of a node, at most
PATIENCE = 60.0  # seconds that an operation may take
COUNTED = ("pauses", "dropped", "corrupted", "duplicated", "reordered")
LOOK = 0.001  # seconds between two looks for what was killed
BOUNDS = {  # of the protocols that need one
    "floodset": {"bound": 0.1},
    "bully": {"reply_timeout": 0.5},
    "ring": {"reply_timeout": 0.5},
    "3pc": {"phase_timeout": 0.5},
}

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
    protocol: str = "raft"

    @property
    def ok(self) -> bool:
        """Nothing is lost and nothing violated; where it was captured, every step is replayed the same."""
        return not self.lost and self.result.verdict == "ok" and (self.replay is None or self.replay.ok)

    def __str__(self) -> str:
        ordered = sorted(self.outages) or [0.0]
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        lost = f"\nLOST: {', '.join(self.lost)}" if self.lost else ""
        if not lost and "linearizability" in self.result.verdicts:
            lost = "\nevery acknowledged write is there"
        what = "write" if "linearizability" in self.result.verdicts else "answer"
        counts = self.result.counts
        done = ", ".join(f"{counts.get(name, 0)} {name}" for name in COUNTED)
        replayed = f"\n{self.replay.last_line}" if self.replay else ""
        return (
            f"{self.result}\n{self.load}\n{self.protocol}: {self.rounds} rounds of {', '.join(self.faults)}: "
            f"{self.kills} processes killed, {done}, in {self.seconds:.1f} s\n"
            f"from a kill to the next acknowledged {what} {middle:.3f} s in the median, {worst:.3f} at most\n"
            f"a node took {self.memory / 2**20:.1f} MiB at most; its budget is "
            f"{self.memory_budget / 2**20:.0f} MiB{lost}{replayed}"
        )


def _killed(c: Cluster, nodes: Iterable[int]) -> Callable[[Cluster], bool]:
    """kill -9 from outside; what holds once the cluster has seen it. The round's plan may have come first."""
    victims = [n for n in c.status().nodes if n.node in set(nodes)]
    for victim in victims:
        if not victim.up and victim.why_down:
            raise NodeDownError(f"n{victim.node} did not come back: {victim.why_down}")
        with suppress(ProcessLookupError):  # the plan's crash came first
            if victim.up:
                os.kill(victim.pid, signal.SIGKILL)
    killed = {victim.pid for victim in victims if victim.up}  # a plan may start a node again meanwhile
    return lambda c: not any(n.up and n.pid in killed for n in c.status().nodes)


def kill_processes(c: Cluster, nodes: Iterable[int]) -> None:
    """kill -9 from outside, and waits until the cluster has seen it."""
    c.run_until(_killed(c, nodes), every=LOOK)


def _load(c: Cluster, clients: int) -> Client | None:
    """Starts the load that has no end; a client for writes, or None where the protocol decides values."""
    try:
        c.load(Workload(clients=clients, operations=0, keys=64), wait=False)
    except UnsupportedError:
        c.load(Workload(clients=clients, operations=0, machine="values"), wait=False)
        return None
    return c.client()


def _answered(c: Cluster) -> Callable[[Cluster], bool]:
    """What holds once the clients, who ask one thing at a time, know of one that they asked from now on."""
    load = c.load_report()
    return lambda c: c.load_report().ok > load.ok + load.clients


def _write(c: Cluster, kv: Client, key: str) -> Generator[Wait, Any, None]:
    """Writes until it is acknowledged. Where answers come before they are safe, a switch-over may lose a
    client's session, and with it what became of the write: it is sent again.
    """
    end = c.now + PATIENCE
    while True:
        try:
            yield lambda form: form(kv).put(key, key)
            return
        except UnknownOutcome:
            if c.now >= end:
                raise


def _round(
    c: Cluster, kv: Client | None, key: str, victims: list[int], plan: Plan
) -> Generator[Wait, Any, float]:
    """Disturbs, kills, restarts, and writes; the seconds without an acknowledged write, or answer."""
    c.apply(plan)
    began = c.now
    seen = _killed(c, victims)
    yield lambda form: form(c).run_until(seen, every=LOOK)
    for node in victims:
        c.restart(node)
    if kv:
        yield from _write(c, kv, key)
    else:
        answered = _answered(c)
        yield lambda form: form(c).run_until(answered, timeout=PATIENCE, every=LOOK)
    outage = c.now - began
    yield lambda form: form(c).run(CALM)
    return outage


@dataclass(frozen=True)
class Soaking:
    """What a soak is to do; the waits of :meth:`steps` are made by whoever runs it, each in its form."""

    protocol: str
    rounds: int
    faults: tuple[str, ...]
    nodes: int
    clients: int
    seed: int
    options: dict[str, Any]

    def victims(self, choose: random.Random, number: int) -> list[int]:
        """Who is killed in that round: one, and in turn a majority where nothing hangs on time."""
        most = 1 if fault_model(self.protocol)["synchrony"] else self.nodes // 2 + 1
        many = 0 if "kill" not in self.faults else most if number % 2 else 1
        return choose.sample(range(1, self.nodes + 1), many)

    def steps(self, c: Cluster) -> Generator[Wait, Any, Soak]:
        """The whole soak of a cluster that was just made."""
        choose = random.Random(self.seed)
        outages: list[float] = []
        kills = memory = budget = 0
        kv = _load(c, self.clients)
        answered = _answered(c)
        yield lambda form: form(c).run_until(answered, timeout=PATIENCE, every=LOOK)
        with Progress("soak", self.rounds, "rounds") as progress:
            for number in range(self.rounds):
                victims = self.victims(choose, number)
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
            if kv and (yield partial(_read_back, kv, f"round {number}")) != f"round {number}":
                lost.append(f"round {number}")
        result = yield lambda form: form(c).check()
        load = c.load_report()
        return Soak(
            result=result,
            load=load,
            rounds=self.rounds,
            faults=self.faults,
            kills=kills,
            seconds=c.now,
            outages=tuple(outages),
            lost=tuple(lost) if "linearizability" in result.verdicts else (),  # not where answers come early
            memory=memory,
            memory_budget=budget,
            protocol=self.protocol,
        )


def _read_back(kv: Client, key: str, form: Form) -> Any:
    return form(kv).get(key)


def plan_soak(
    rounds: int,
    protocol: str,
    faults: Iterable[str] | None,
    transport: str,
    nodes: int,
    clients: int,
    seed: int,
    capture: str | None,
    more: dict[str, Any],
) -> Soaking:
    """What :func:`soak` of these arguments does."""
    rounds, nodes = at_least(1, "a soak", "rounds", rounds), at_least(2, "a soak", "nodes", nodes)
    chosen = choose_faults(None if faults is None else ",".join(faults), protocol)
    options: dict[str, Any] = {"capture": capture, "capture_size": CAPTURE} if capture else {}
    options.update(protocol=protocol, nodes=nodes, seed=seed, runtime="live", transport=transport)
    options.update({"record": "last", "timeout": PATIENCE, **BOUNDS.get(protocol, {}), **more})
    return Soaking(protocol, rounds, chosen, nodes, clients, seed, options)


def soak(
    rounds: int = 100,
    *,
    protocol: str = "raft",
    faults: Iterable[str] | None = None,
    transport: str = "tcp",
    nodes: int = 5,
    clients: int = 8,
    seed: int = 1,
    capture: str | None = None,
    **options: Any,
) -> Soak:
    """Kills and disturbs the processes of a live cluster for that many rounds, under the load of `clients`.

    `faults`: of "kill", "pause", "cut" (one way), "loss", "corrupt", "delay", "reorder", "duplicate",
    "bandwidth", "skew" (a wrong clock), "damage" (bits of a log flip while its node is down), "fill" (a disk
    has no room); None: all that the protocol's fault model has room for. They follow from the seed; what
    comes between them is real time.
    `options`: others of the cluster, such as ``form="presumed-commit"`` of 2pc. With `capture`, a folder,
    what the nodes do is captured there and replayed when all is over. Raises UnsupportedError where this
    build has no live runtime, RangeError for a fault outside of the model.
    """
    plan = plan_soak(rounds, protocol, faults, transport, nodes, clients, seed, capture, options)
    with Cluster(**plan.options) as c, closing(plan.steps(c)) as steps:
        waited: Any = None
        try:
            while True:
                wait = steps.throw(waited) if isinstance(waited, QuorateError) else steps.send(waited)
                try:
                    waited = wait(lambda o: o)
                except QuorateError as error:
                    waited = error
        except StopIteration as ended:
            done: Soak = ended.value
    return replace(done, replay=replay_capture(capture)) if capture else done
