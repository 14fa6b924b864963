"""How the awaitable forms wait: in short turns on the event loop's own thread; nothing else is held up.

A live cluster needs nobody to run; its turns only look, with a rest between them that grows while nothing
happens. A simulated one is run for a thousand events or so. Between two turns the event loop belongs to
everybody else, and a task may be cancelled there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from quorate._ffi import Handle, ffi, lib
from quorate.base import ClusterBase
from quorate.errors import WaitTimeout

if TYPE_CHECKING:
    from quorate.cluster import Cluster

T = TypeVar("T")

BRIEF_NS = 4_000_000  # of work in a turn
LOOK_NS = 0  # a turn that only looks
STEP_NS, LEAP_NS = 1_000_000, 512_000_000  # of a simulated cluster's time: the shortest turn, and the longest
FEW, MANY = 1000, 10000  # events in a turn: then the next one is longer, or shorter
SHORT, LONG = 0.0002, 0.005  # seconds of rest: the first, and the longest


class Rest:
    """The pauses of one wait: none where there is work to do, and growing ones where others do it."""

    def __init__(self, others_work: bool) -> None:
        self._pause = SHORT if others_work else 0.0

    async def __call__(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 1.5, LONG)


def brief(handle: Handle, slice_ns: int, call: Callable[[], T]) -> T:
    """Makes a long call come back after that much work; 0: at once."""
    handle.call(lib.qrt_slice, slice_ns)
    try:
        return call()
    finally:
        handle.call(lib.qrt_slice, -1)


async def until_done(handle: Handle, others_work: bool, more: Callable[[], bool]) -> None:
    """Calls `more`, a long call of that handle, until it is false."""
    rest = Rest(others_work)
    while brief(handle, LOOK_NS if others_work else BRIEF_NS, more):
        await rest()


class Turns:
    """The waits of one cluster.

    Where the turns of a simulated cluster end is a matter of its own time and events, never of real time:
    tasks that share one take turns in the same order in every run, so seed and script still decide every
    event. While one task judges, the others rest: running makes a judgement begin anew.
    """

    def __init__(self, cluster: ClusterBase) -> None:
        self.cluster = cluster
        self.live = cluster._live
        self._slice_ns = STEP_NS
        self._events = 0
        self._place = ffi.new("uint64_t *")

    def _until(self, deadline: int) -> int:
        """Where the next turn of a simulated cluster ends; longer ones where little happens."""
        self.cluster._call(lib.qrt_cluster_hash, ffi.NULL, self._place)
        events = int(self._place[0])
        if self._events and events - self._events < FEW:
            self._slice_ns = min(self._slice_ns * 2, LEAP_NS)
        elif events - self._events > MANY:
            self._slice_ns = max(self._slice_ns // 2, STEP_NS)
        self._events = events
        return min(self.cluster._now_ns() + self._slice_ns, deadline)

    async def run(self, deadline: int, condition: Any) -> None:
        """Runs until that time or condition; WaitTimeout as of the blocking call."""

        def more(until: int) -> bool:
            try:
                if self.work(lib.qrt_cluster_run, until, condition):
                    return True
            except WaitTimeout:
                if until >= deadline:
                    raise
                return True
            return bool(condition == ffi.NULL and until < deadline)

        await self.reach(deadline, more)

    def work(self, function: Any, *args: Any) -> bool:
        """Makes a long call; a simulated cluster's whole turn, however long it takes."""
        while self.cluster._call(function, *args) == lib.QRT_MORE:
            if self.live:
                return True
        return False

    async def turn(self, function: Any, *args: Any) -> None:
        """One turn of a simulated cluster."""
        await self._while_judged()
        self.work(function, *args)
        await asyncio.sleep(0)

    async def reach(self, deadline: int, more: Callable[[int], bool]) -> None:
        """Calls `more` with the time where its turn ends, until it is false."""
        rest = Rest(self.live)
        again = True
        while again:
            await self._while_judged()
            if self.live:
                again = brief(self.cluster._handle, LOOK_NS, lambda: more(deadline))
            else:
                again = more(self._until(deadline))
            await (rest() if again else asyncio.sleep(0))

    async def _while_judged(self) -> None:
        while self.cluster._judged:
            await asyncio.sleep(SHORT if self.live else 0)
        if self.cluster._closing is not None and not self.cluster._closing.done():
            await asyncio.wait([self.cluster._closing])  # and then it is closed, for this call as for others

    async def judge(self, more: Callable[[], bool]) -> None:
        """As `reach`, of a check, which works in this thread."""
        await self._while_judged()
        self.cluster._judged = True
        try:
            await until_done(self.cluster._handle, False, more)
        finally:
            self.cluster._judged = False


async def in_thread(make: Callable[[], T], discard: Callable[[T], object] | None = None) -> T:
    """What the core does in one piece, on another thread; `discard` gets what nobody waits for any more."""
    made = asyncio.ensure_future(asyncio.to_thread(make))
    try:
        return await asyncio.shield(made)
    except asyncio.CancelledError:
        if discard is not None:
            drop = discard
            made.add_done_callback(lambda f: None if f.cancelled() or f.exception() else drop(f.result()))
        raise


async def close(cluster: Cluster) -> None:
    """Closes on another thread: processes are waited for. Who comes meanwhile waits for it too."""
    closing = cluster._closing
    if closing is None or closing.done():
        closing = cluster._closing = asyncio.ensure_future(asyncio.to_thread(cluster.close))
    await asyncio.shield(closing)
