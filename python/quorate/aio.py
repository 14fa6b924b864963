"""Awaitable forms of every call that waits: put ``aio.`` before its name.

>>> async with q.aio.cluster("raft", nodes=5, runtime="live", transport="tcp") as c:
...     await c.aio.wait_leader()
...     await c.aio.propose("x = 1")
...     await c.client().aio.put("k", "v")
...     print(await c.aio.check())

Arguments, answers and errors are those of the call without ``aio.``. Nothing blocks the event loop, so a
notebook's kernel stays with its user: a live cluster runs by itself and is looked at every now and then; a
simulated one is run a thousand events or so at a time, in the same pieces in every run. No thread waits for
it either, but for what the core does in one piece: making and closing a cluster, a measurement of `bench`, a
protocol of `compare`, `twice`.

Cancelling a task stops the waiting and nothing else: the cluster stays usable, and a proposal that was made
may still be committed. Several tasks may wait for one cluster at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from quorate import benchmarks, campaigns, captures, grading, shrinking
from quorate import compare as comparing
from quorate import soak as soaking
from quorate import twice as repeating
from quorate._ffi import Handle, c_text, ffi, lib
from quorate.campaigns import CampaignResult, Run
from quorate.catalogue import Table
from quorate.cluster import Cluster
from quorate.compare import Comparison
from quorate.errors import ArgumentError, QuorateError
from quorate.grading import Grade
from quorate.node import Node
from quorate.plan import Plan
from quorate.soak import Soak
from quorate.turns import close, in_thread, until_done
from quorate.twice import Twice

__all__ = ["bench", "campaign", "cluster", "compare", "grade", "replay", "soak", "twice"]


class Opening:
    """A cluster on its way: ``await`` it, or use it as an ``async with`` block, which closes it."""

    def __init__(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._args, self._named = args, named
        self._cluster: Cluster | None = None

    async def _make(self) -> Cluster:
        return await in_thread(lambda: Cluster(*self._args, **self._named), Cluster.close)

    def __await__(self) -> Generator[Any, None, Cluster]:
        return self._make().__await__()

    async def __aenter__(self) -> Cluster:
        self._cluster = await self._make()
        return self._cluster

    async def __aexit__(self, *_: object) -> None:
        if self._cluster is not None:
            await close(self._cluster)


def cluster(*args: Any, **named: Any) -> Opening:
    """A :class:`quorate.Cluster`, made without holding up the event loop."""
    return Opening(args, named)


async def campaign(
    protocol: str = "raft",
    seeds: int | range = 1000,
    *,
    nodes: int | None = None,
    bug: str | None = None,
    plan: Plan | str | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    outside: bool | None = None,
    damage: bool | None = None,
    events: int | None = None,
) -> CampaignResult:
    """As :func:`quorate.campaign`. Cancelling it stops its threads."""
    fields = {"nodes": nodes, "bug": bug, "plan": plan, "jobs": jobs, "outside": outside}
    fields |= {"damage": damage, "events": events}
    whole = campaigns.Campaign(campaigns.campaign_spec(protocol, seeds, fields))
    try:
        return await whole.aio.run()
    except BaseException:
        whole.close()
        raise


async def replay(run: str | Path | Run, bug: str | None = None, record: int | None = None) -> Any:
    """As :func:`quorate.replay`, of a run or a capture."""
    if captures.is_capture(run):
        captured = captures.capture_handle(cast("str | Path", run), bug, record)
        await until_done(captured, False, lambda: captured.more(lib.qrt_replay_run))
        return captures.capture_report(captured)
    handle = campaigns.replay_handle(run, bug, record)
    await until_done(handle, False, lambda: handle.more(lib.qrt_cluster_replay_run))
    return Cluster._from_handle(handle)


async def shrink(run: str | Path | Run) -> Run:
    """As :func:`quorate.shrink`."""
    handle = shrinking.shrink_handle(run)
    await until_done(handle, False, lambda: handle.more(lib.qrt_cluster_replay_run))
    await until_done(handle, False, lambda: handle.more(lib.qrt_cluster_shrink, ffi.NULL, ffi.NULL))
    return shrinking.shrunk(handle)


async def bench(name: str = "sim") -> Table:
    """As :func:`quorate.bench`; a measurement at a time, on another thread."""
    handle = Handle.make("bench", lib.qrt_bench_free, lib.qrt_bench_new, c_text(name))
    while await in_thread(lambda: handle.more(lib.qrt_bench_run)):
        pass
    return benchmarks.table(handle)


async def compare(protocols: Iterable[str], **fields: Any) -> Comparison:
    """As :func:`quorate.compare`; a protocol at a time, on another thread."""
    result = Comparison()
    names = list(protocols)
    if not names:
        raise ArgumentError("a comparison needs at least one protocol")
    for name in names:
        result.update(await in_thread(lambda name=name: comparing.compare([name], **fields)))  # type: ignore[misc]
    return result


async def grade(implementation: type[Node], seeds: int | range = 400, **fields: Any) -> Grade:
    """As :func:`quorate.grade`; a seed at a time."""
    steps = grading.grading(implementation, seeds, **fields)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: Grade = ended.value
            return result
        await asyncio.sleep(0)


async def soak(
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
    """As :func:`quorate.soak`. Cancelling it ends its processes."""
    plan = soaking.plan_soak(rounds, protocol, faults, transport, nodes, clients, seed, capture, options)
    async with cluster(**plan.options) as c:
        waited: Any = None
        with closing(plan.steps(c)) as steps:
            try:
                while True:
                    wait = steps.throw(waited) if isinstance(waited, QuorateError) else steps.send(waited)
                    try:
                        waited = await wait(lambda o: o.aio)
                    except QuorateError as error:
                        waited = error
            except StopIteration as ended:
                done: Soak = ended.value
    return replace(done, replay=await replay(capture)) if capture else done


async def twice(kind: type[Node], seed: int = 1, *, spec: Mapping[str, Any] | None = None) -> Twice:
    """As :func:`quorate.twice`, whose two processes are waited for on another thread."""
    return await in_thread(lambda: repeating.twice(kind, seed, spec=spec))
