"""What ``cluster.aio`` and ``client.aio`` give: the calls that wait, to be awaited (:mod:`quorate.aio`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from quorate._ffi import NEVER, c_text, ffi, lib, to_ns
from quorate.base import whole
from quorate.errors import QuorateError, RangeError, WaitTimeout
from quorate.turns import Turns, close, until_done
from quorate.workload import Workload

if TYPE_CHECKING:
    from quorate.campaigns import Campaign, CampaignResult
    from quorate.client import Client, Value
    from quorate.cluster import Cluster
    from quorate.results import CheckResult, Committed, Elected, LoadReport
    from quorate.transactions import Transaction, Work

STEPS = 5000  # events of a simulated cluster in one turn


class AwaitableCluster:
    """The waiting calls of a cluster. Each takes what the cluster's method of that name takes, and gives and
    raises the same.
    """

    __slots__ = ("_cluster", "_turns")

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._turns = Turns(cluster)

    async def _run(self, until: int, condition: Any) -> None:
        await self._turns.run(until, condition)

    async def run(self, seconds: float) -> None:
        """Lets that much time pass."""
        await self._run(self._cluster._span(seconds), ffi.NULL)

    async def run_until(
        self,
        condition: str | Callable[[Cluster], object],
        timeout: float | None = None,
        *,
        every: float = 0.01,
    ) -> None:
        """Runs until the condition holds."""
        deadline = self._cluster._deadline(timeout)
        if isinstance(condition, str):
            return await self._run(deadline, c_text(condition))
        pause = max(to_ns(every), 1)
        while not condition(self._cluster):
            now = self._cluster._now_ns()
            if now >= deadline:
                raise WaitTimeout("the condition did not come true in time")
            await self._run(min(now + pause, deadline), ffi.NULL)

    async def step(self, count: int = 1) -> int:
        """Carries out that many events of a simulated cluster; how many there were."""
        count = whole("step takes a number of events", count)
        if count < 0:
            raise RangeError(f"a number of events must not be negative: {count}")
        done = made = 0
        while done < count:
            made = self._cluster.step(min(count - done, STEPS))
            done += made
            if not made:
                break
            await asyncio.sleep(0)
        return done

    async def wait_leader(self, timeout: float | None = None, other_than: int | None = None) -> int:
        """Runs until somebody leads (another one than `other_than`); the leader's id."""
        c = self._cluster
        condition = "leader" if other_than is None else f"leader != {int(other_than)}"
        try:
            await self._run(c._deadline(timeout), c_text(condition))
        except WaitTimeout:
            if c.leader is None:
                c._leader_or_why()
            raise
        return c._leader_or_why()

    async def propose(
        self, value: str | bytes, node: int | None = None, timeout: float | None = None
    ) -> Committed:
        """Proposes a value and waits until it is committed."""
        return await self._cluster.propose_later(value, node).aio.result(timeout)

    async def propose_many(
        self, values: Iterable[str | bytes], node: int | None = None, timeout: float | None = None
    ) -> list[Committed]:
        """Proposes all values at once and waits until each has ended; in their order."""
        everything = self._cluster._propose_all(values, node)
        deadline = self._cluster._deadline(timeout)
        ended: list[Committed] = []
        failed: list[QuorateError] = []
        for pending in everything:
            try:
                ended.append(await pending.aio.await_until(deadline))
            except QuorateError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return ended

    async def elect(self, node: int | None = None, timeout: float | None = None) -> Elected:
        """Asks for an election and waits until it is known who leads."""
        return await self._cluster.elect_later(node).aio.result(timeout)

    async def load(self, workload: Workload | None = None, **fields: Any) -> LoadReport:
        """Starts a workload's clients and waits until they are done."""
        workload = Workload(**fields) if workload is None else workload
        workload.must_end()
        self._cluster.load(workload, wait=False)
        await self._run(NEVER, b"idle")
        return self._cluster.load_report()

    async def transaction(
        self,
        work: Work,
        *,
        refuse: Iterable[int] = (),
        read_only: Iterable[int] = (),
        coordinator: int | None = None,
        timeout: float | None = None,
    ) -> Transaction:
        """Runs a transaction: all participants commit, or none does."""
        ticket = self._cluster._begin(work, refuse, read_only, coordinator)
        deadline = self._cluster._deadline(timeout)
        await self._turns.reach(
            deadline, lambda _: self._turns.work(lib.qrt_cluster_transaction_await, ticket, deadline)
        )
        return self._cluster._transaction(ticket)

    async def check(self, seconds: float = 60.0, memory: int = 0) -> CheckResult:
        """Judges everything up to now."""
        c = self._cluster
        await self._turns.judge(
            lambda: c._call(lib.qrt_cluster_check, float(seconds), memory) == lib.QRT_MORE
        )
        return c._judgement()

    async def close(self) -> None:
        """Frees the cluster; waits for its processes on another thread."""
        await close(self._cluster)


class Awaits:
    """What makes a cluster awaitable."""

    @property
    def aio(self) -> AwaitableCluster:
        """Every call that waits, to be awaited: ``await c.aio.wait_leader()``; see :mod:`quorate.aio`."""
        return AwaitableCluster(cast("Cluster", self))

    async def __aenter__(self) -> Cluster:
        return cast("Cluster", self)

    async def __aexit__(self, *_: object) -> None:
        await self.aio.close()


class AwaitableClient:
    """The operations of a client. Each takes what the client's method of that name takes, and gives and
    raises the same.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, key: Value, timeout: float | None = None) -> str | None:
        """The value of a key as text."""
        found = await self.get_bytes(key, timeout)
        return None if found is None else found.decode("utf-8", "surrogateescape")

    async def get_bytes(self, key: Value, timeout: float | None = None) -> bytes | None:
        """The value of a key as bytes."""
        found: bytes | None = await self._client._start_get_bytes(key).aio.result(timeout)
        return found

    async def put(self, key: Value, value: Value, timeout: float | None = None) -> None:
        """Sets a key."""
        await self._client.start("put", key, value).aio.result(timeout)

    async def delete(self, key: Value, timeout: float | None = None) -> bool:
        """Removes a key; whether it was there."""
        return bool(await self._client.start("delete", key).aio.result(timeout))

    async def append(self, key: Value, value: Value, timeout: float | None = None) -> int:
        """Appends to a key's value; the new length in bytes."""
        return int(await self._client.start("append", key, value).aio.result(timeout))

    async def cas(
        self, key: Value, expected: Value | None, value: Value, timeout: float | None = None
    ) -> bool:
        """Compare and set; whether it did."""
        return bool(await self._client.start("cas", key, value, expected).aio.result(timeout))

    async def scan(
        self, start: Value = "", end: Value = "", limit: int | None = None, timeout: float | None = None
    ) -> list[tuple[str, str]]:
        """Keys and values in the keys' order."""
        limit_text = "" if limit is None else str(int(limit))
        return list(await self._client.start("scan", start, limit_text, end).aio.result(timeout))

    async def read(self, timeout: float | None = None) -> str | None:
        """The value of a register or counter as text."""
        found: str | None = await self._client.start("read").aio.result(timeout)
        return found

    async def write(self, value: Value, timeout: float | None = None) -> None:
        """Sets a register."""
        await self._client.start("write", b"", value).aio.result(timeout)

    async def add(self, delta: int = 1, timeout: float | None = None) -> int:
        """Adds to a counter; its new value."""
        return int(await self._client.start("add", b"", str(int(delta))).aio.result(timeout))

    async def acquire(self, lock: Value, owner: Value = "", timeout: float | None = None) -> int | None:
        """Takes a lock; its fencing token, None where it is held."""
        token: int | None = await self._client.start("acquire", lock, owner).aio.result(timeout)
        return token

    async def release(self, lock: Value, owner: Value = "", timeout: float | None = None) -> bool:
        """Gives a lock back; False where it is free or held by another."""
        return bool(await self._client.start("release", lock, owner).aio.result(timeout))

    async def call(self, command: Value, *, read: bool = False, timeout: float | None = None) -> bytes:
        """Sends a command to a machine of your own; its answer."""
        return await self._client.start_call(command, read=read).aio.result(timeout)


class AwaitableCampaign:
    """The waiting call of a campaign, to be awaited."""

    def __init__(self, whole: Campaign) -> None:
        self._whole = whole

    async def run(self) -> CampaignResult:
        """Runs every seed, on threads of its own."""
        handle = self._whole._handle
        done, total = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        await until_done(handle, True, lambda: handle.more(lib.qrt_campaign_run, done, total))
        return self._whole._result()
