"""Proposals and operations under way: waited for, looked at, or awaited."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from quorate._ffi import bytes_at, error_of, ffi, lib, status_name
from quorate.base import ClusterBase
from quorate.errors import QuorateError
from quorate.results import Committed, Elected
from quorate.turns import STEP_NS, Turns

T = TypeVar("T")
Convert = Callable[[Any, QuorateError | None], T]  # a qrt_result, and its error if it ended with one


class Pending(Generic[T]):
    """What has been asked of the cluster and may not have been answered yet.

    ``result()`` runs the cluster until the answer is there; ``await pending`` does the same in turns with the
    other tasks of an event loop. Both raise as the blocking call would. After a deadline
    has passed it may be waited for again: an unknown outcome may become known.
    """

    __slots__ = ("_cluster", "_convert", "_error", "_value", "ticket")

    def __init__(self, cluster: ClusterBase, ticket: int, convert: Convert[T]) -> None:
        self.ticket = ticket
        self._cluster = cluster
        self._convert = convert
        self._value: list[T] = []  # one, once it has ended well
        self._error: QuorateError | None = None

    def _settle(self, function: Any, *args: Any) -> bool:
        """Calls for the result; true when there is one, which is then kept."""
        result = ffi.new("qrt_result *")
        try:
            with self._cluster._handle.held() as pointer:
                status = function(pointer, self.ticket, *args, result)
                if status < 0:
                    raise error_of(status, pointer)
                if status == lib.QRT_OK:
                    self._keep(result, error_of(result.status, pointer) if result.status < 0 else None)
        finally:
            if self._cluster._machines is not None:
                self._cluster._machines.raise_interrupt()
        return bool(status == lib.QRT_OK)

    def _keep(self, result: Any, error: QuorateError | None) -> None:
        try:
            self._value = [self._convert(result, error)]
            self._error = None
        except QuorateError as raised:
            self._error = raised

    @property
    def done(self) -> bool:
        """Whether it has ended by now; nothing runs."""
        return bool(self._value) or self._settle(lib.qrt_cluster_result)

    def result(self, timeout: float | None = None) -> T:
        """Runs the cluster until it has ended (at most `timeout` seconds; default: the option `timeout`)."""
        if self._value:
            return self._value[0]
        return self.await_until(self._cluster._deadline(timeout))

    def await_until(self, deadline_ns: int) -> T:
        """As `result`, with an absolute deadline in nanoseconds."""
        with self._cluster._handle.held():
            while not self._value and not self._settle(lib.qrt_cluster_await, deadline_ns):
                pass
        return self._outcome()

    def _outcome(self) -> T:
        if self._value:
            return self._value[0]
        assert self._error is not None
        raise self._error

    @property
    def aio(self) -> AwaitablePending[T]:
        """``await pending.aio.result(timeout)``; ``await pending`` is short for the default one."""
        return AwaitablePending(self)

    def __await__(self) -> Generator[Any, None, T]:
        return self.aio.result().__await__()

    def __repr__(self) -> str:
        state = f": {self._value[0]}" if self._value else f" raised {self._error}" if self._error else ""
        return f"<Pending {self.ticket}{state}>"


class AwaitablePending(Generic[T]):
    """The waiting calls of a Pending, to be awaited; see :mod:`quorate.aio`."""

    __slots__ = ("_pending",)

    def __init__(self, pending: Pending[T]) -> None:
        self._pending = pending

    async def result(self, timeout: float | None = None) -> T:
        """Waits until it has ended."""
        return await self.await_until(self._pending._cluster._deadline(timeout))

    async def await_until(self, deadline_ns: int) -> T:
        """As `result`, with an absolute deadline in nanoseconds."""
        p = self._pending
        turns = Turns(p._cluster)
        if turns.live:
            if not p._value:
                await turns.reach(deadline_ns, lambda until: not p._settle(lib.qrt_cluster_await, until))
            return p._outcome()
        while not p.done and (now := p._cluster._now_ns()) < deadline_ns:
            until = min(now + STEP_NS, deadline_ns)
            await turns.turn(lib.qrt_cluster_await, p.ticket, until, ffi.new("qrt_result *"))
        return p.await_until(deadline_ns)


def committed(result: Any, error: QuorateError | None) -> Committed:
    """The outcome of a proposal: executed, with whatever answer; or the error."""
    if error is not None and result.status not in (lib.QRT_ECAS, lib.QRT_ENOTFOUND):
        raise error
    answer = bytes_at(result.data, result.size)
    latency = result.latency_ns / 1e9
    return Committed(result.index, result.term, latency, result.node, answer, status_name(result.status))


def elected(result: Any, error: QuorateError | None) -> Elected:
    """The outcome of an election; or the error."""
    if error is not None:
        raise error
    return Elected(result.leader, result.term, result.latency_ns / 1e9, result.node)
