"""How the awaitable forms wait: in short turns on the event loop's own thread; nothing else is held up.

A live cluster needs nobody to run; its turns only look, with a rest between them that grows while nothing
happens. A simulated one is run for a few milliseconds a turn. Between two turns the event loop belongs to
everybody else, and a task may be cancelled there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from quorate._ffi import Handle, lib
from quorate.base import ClusterBase

if TYPE_CHECKING:
    from quorate.cluster import Cluster

T = TypeVar("T")

BRIEF_NS = 4_000_000  # of work in a turn
LOOK_NS = 0  # a turn that only looks
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
    """The waits of one cluster. While one judges, the others rest: running makes a judgement begin anew."""

    def __init__(self, cluster: ClusterBase) -> None:
        self.cluster = cluster
        self.live = cluster._live

    async def run(self, function: Any, *args: Any) -> None:
        """Makes a call of the cluster until it no longer wants to be made again."""
        await self.until(lambda: self.cluster._call(function, *args) == lib.QRT_MORE)

    async def until(self, more: Callable[[], bool]) -> None:
        """As `run`, of any function that makes such a call."""
        rest = Rest(self.live)
        while True:
            if not self.cluster._judged:
                if not brief(self.cluster._handle, LOOK_NS if self.live else BRIEF_NS, more):
                    break
                await rest()
                self.cluster._rested = time.perf_counter()
            else:
                await asyncio.sleep(SHORT)
        # Many short calls, each done at once, must not hold up the loop either.
        now = time.perf_counter()
        if now > self.cluster._rested + BRIEF_NS / 1e9:
            self.cluster._rested = now
            await asyncio.sleep(0)

    async def judge(self, more: Callable[[], bool]) -> None:
        """As `until`, of a check, which works in this thread."""
        while self.cluster._judged:
            await asyncio.sleep(SHORT)
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
    """Closes on another thread: processes are waited for."""
    await in_thread(cluster.close)
