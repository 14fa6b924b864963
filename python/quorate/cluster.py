"""A cluster: built, run, asked, broken, judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from quorate import _report
from quorate._ffi import NEVER, Handle, c_text, encode, error_of, ffi, lib, to_ns
from quorate.awaits import Awaits
from quorate.base import node_id, option_array, whole
from quorate.client import Client
from quorate.errors import ArgumentError, QuorateError, RangeError, WaitTimeout
from quorate.faults import Faults
from quorate.machine import MachineFactory, Machines
from quorate.node import Node
from quorate.pending import Pending, committed, elected
from quorate.progress import Progress
from quorate.results import Committed, Elected, LoadReport
from quorate.scripts import Scripts
from quorate.transactions import Transactions
from quorate.views import Views
from quorate.workload import Workload

Option = bool | int | float | str

_step = lib.qrt_cluster_step  # looked up once: a step of a hundred events lasts as long as ten calls
_STEPS = 10000  # events in one call of C: some milliseconds


class Cluster(Faults, Views, Transactions, Awaits):
    """A cluster of `nodes` members that run `protocol`, formatted and started.

    >>> with q.Cluster("raft", nodes=5, seed=7) as c:
    ...     c.wait_leader()
    ...     c.propose("x = 1")

    Simulated (``runtime="sim"``) it lives in virtual time, and protocol, options, seed and script decide
    every event; ``runtime="live"`` runs the same on ZeroMQ in real time, each node a thread, or a process of
    its own with ``transport="ipc"`` or ``"tcp"``. `machine` is the replicated
    state machine: "kv", "register", "counter", "lock", or a class of your own (see
    :class:`quorate.StateMachine`). `protocol` may be a class of your own as well (see :class:`quorate.Node`).
    Every other keyword is an option; ``q.options("raft")`` lists them all.
    Seconds are numbers, or text with a unit: ``delay="2ms"``.

    Raises OptionError for an unknown option (naming the nearest), WrongTypeError and RangeError for a bad
    value, NotFoundError for an unknown protocol, machine or bug.

    One thread at a time: BusyError otherwise. ``close()``, or the end of a ``with`` block, frees it.
    """

    def __init__(
        self,
        protocol: str | type[Node] = "raft",
        *,
        nodes: int = 3,
        seed: int = 1,
        runtime: str = "sim",
        machine: str | MachineFactory = "kv",
        **options: Option,
    ) -> None:
        given: dict[str, Any] = {"nodes": nodes, "seed": seed, "runtime": runtime, **options}
        own: Machines | Scripts | None = None
        if not isinstance(machine, str):
            own = Machines(machine)
        if own is None and machine != "kv":
            given["machine"] = machine
        array = option_array(given)
        if isinstance(protocol, str):
            machines = ffi.NULL if own is None else own.struct
            make: tuple[Any, ...] = (lib.qrt_cluster_new, c_text(protocol), array, len(array), machines)
        else:
            if machine != "kv":
                raise ArgumentError("a script decides values itself: it takes no machine")
            scripts = own = Scripts(protocol)
            if runtime == "live" and options.get("transport") in ("ipc", "tcp"):
                scripts.launch()
            make = (lib.qrt_cluster_new_script, scripts.struct, array, len(array))
        self._machines = own
        try:
            self._adopt(Handle.make("cluster", lib.qrt_cluster_free, *make, keep=(own, array)))
        finally:
            if own is not None:
                own.raise_interrupt()

    def _adopt(self, handle: Handle) -> None:
        self._handle = handle
        self._pointer = handle.pointer
        self._quick = _STEPS if self._machines is None else -1
        status = self.status()
        seed = status.options.get("seed")
        self._title = f"{status.protocol}, {len(status.nodes)} nodes, seed {seed}, {status.runtime}"
        self._live = status.runtime != "sim"
        self._nodes = [n.node for n in status.nodes]
        self._timeout_ns = int(status.options.get("timeout", "5000000000ns").removesuffix("ns"))

    @classmethod
    def _from_handle(cls, handle: Handle, machines: Machines | Scripts | None = None) -> Cluster:
        cluster = cls.__new__(cls)
        cluster._machines = machines
        cluster._adopt(handle)
        return cluster

    # --- life ---

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the cluster; again is harmless. Traces, histories and arrays taken from it stay valid."""
        if not self._handle.closed and _report.wanted():
            _report.note(self.hash, {})
        self._handle.close()

    def fork(self) -> Cluster:
        """An independent copy of the whole running cluster, as it is now. Simulated clusters only."""
        place = ffi.new("qrt_cluster **")
        self._call(lib.qrt_cluster_fork, place)
        return self._from_handle(Handle(place, lib.qrt_cluster_free, self._machines), self._machines)

    # --- time ---

    @property
    def nodes(self) -> list[int]:
        """The members' ids: 1, 2, ..."""
        return list(self._nodes)

    def run(self, seconds: float) -> None:
        """Lets that much time pass."""
        self._run(self._span(seconds))

    def run_until(
        self,
        condition: str | Callable[[Cluster], object],
        timeout: float | None = None,
        *,
        every: float = 0.01,
    ) -> None:
        """Runs until the condition holds.

        Text is looked at after every event: "leader", "leader != 3", "commit >= 10", "applied >= 10", "term
        >= 4", "events >= 1000", "idle" (the load is done). A function of the cluster is called every `every`
        seconds. Raises WaitTimeout, saying why it may be, when it does not hold within `timeout` (default:
        the option `timeout`).
        """
        deadline = self._deadline(timeout)
        if isinstance(condition, str):
            self._run(deadline, c_text(condition))
            return
        pause = max(to_ns(every), 1)
        with self._handle.held():
            while not condition(self):
                now = self._now_ns()
                if now >= deadline:
                    raise WaitTimeout("the condition did not come true in time")
                self._run(min(now + pause, deadline))

    def step(self, count: int = 1) -> int:
        """Carries out that many events of a simulated cluster; how many there were."""
        if type(count) is int and 0 <= count <= self._quick:
            done: int = _step(self._pointer, count)
            if done < 0:
                raise error_of(done, self._pointer)
            return done
        return self._step_slowly(whole("step takes a number of events", count))

    def _step_slowly(self, count: int) -> int:
        """In pieces, between which Ctrl-C gets its turn, and with what machines and scripts raise."""
        if count < 0:
            raise RangeError(f"a number of events must not be negative: {count}")
        done, made = 0, -1
        while made and done < count:
            made = self._call(_step, min(count - done, _STEPS))
            done += made
        return done

    # --- leaders ---

    def wait_leader(self, timeout: float | None = None, other_than: int | None = None) -> int:
        """Runs until somebody leads (another one than `other_than`); the leader's id.

        Raises NoLeaderError, with the reason, when that does not happen within `timeout`.
        """
        condition = "leader" if other_than is None else f"leader != {int(other_than)}"
        try:
            self._run(self._deadline(timeout), c_text(condition))
        except WaitTimeout:
            if self.leader is None:
                self._leader_or_why()
            raise
        return self._leader_or_why()

    def _leader_or_why(self) -> int:
        return self._number(lib.qrt_cluster_leader, "uint16_t")

    # --- proposals and clients ---

    def propose(self, value: str | bytes, node: int | None = None, timeout: float | None = None) -> Committed:
        """Proposes a value (at `node`, or at the leader as soon as there is one) and runs until it is
        committed.

        Raises NoLeaderError when it was never proposed, NotLeaderError when `node` does not lead,
        NodeDownError, FailedError (certainly not committed), UnknownOutcome (it may or may not be, now or
        later), TooLargeError.
        """
        return self.propose_later(value, node).result(timeout)

    def propose_later(self, value: str | bytes, node: int | None = None) -> Pending[Committed]:
        """Proposes without running; ``result()`` or ``await`` gets the outcome."""
        data = encode(value)
        ticket = ffi.new("uint64_t *")
        self._call(lib.qrt_cluster_propose, node_id(node), data, len(data), ticket)
        return Pending(self, int(ticket[0]), committed)

    def propose_many(
        self, values: Iterable[str | bytes], node: int | None = None, timeout: float | None = None
    ) -> list[Committed]:
        """Proposes all values at once and runs until each has ended; in their order.

        Raises what the first that failed raises, after all have ended; `timeout` counts from the call.
        """
        pending = self._propose_all(values, node)
        deadline = self._deadline(timeout)
        ended: list[Committed] = []
        failed: list[QuorateError] = []
        with self._handle.held(), Progress("propose", len(pending), "values") as progress:
            for i, one in enumerate(pending):
                try:
                    ended.append(one.await_until(deadline))
                except QuorateError as error:
                    failed.append(error)
                progress.update(i + 1)
        if failed:
            raise failed[0]
        return ended

    def _propose_all(self, values: Iterable[str | bytes], node: int | None) -> list[Pending[Committed]]:
        data = [encode(value) for value in values]
        first = ffi.new("uint64_t *")
        sizes = ffi.new("uint32_t[]", [len(d) for d in data])
        self._call(lib.qrt_cluster_propose_many, node_id(node), b"".join(data), sizes, len(data), first)
        return [Pending(self, int(first[0]) + i, committed) for i in range(len(data))]

    def elect(self, node: int | None = None, timeout: float | None = None) -> Elected:
        """Asks `node` (or any that is up) to have a leader elected, and runs until it knows whom.

        For the protocols timestamp, bully and ring; UnsupportedError from others. Raises as `propose` does.
        """
        return self.elect_later(node).result(timeout)

    def elect_later(self, node: int | None = None) -> Pending[Elected]:
        """Asks without running; ``result()`` or ``await`` gets the outcome."""
        ticket = ffi.new("uint64_t *")
        self._call(lib.qrt_cluster_elect, node_id(node), ticket)
        return Pending(self, int(ticket[0]), elected)

    def client(self) -> Client:
        """A client with its own id, links and session; see :class:`quorate.Client`."""
        return Client(self, self._number(lib.qrt_client_new, "uint16_t"))

    def load(self, workload: Workload | None = None, *, wait: bool = True, **fields: Any) -> LoadReport:
        """Starts a workload's clients beside what runs, and, with `wait`, runs until they are done.

        ``c.load(clients=4)`` is short for a Workload of these fields. The report is of all workloads so far.
        """
        workload = Workload(**fields) if workload is None else workload
        if wait:
            workload.must_end()
        self._call(lib.qrt_cluster_load, encode(workload.to_json()))
        if wait:
            self._run(NEVER, b"idle")
        return self.load_report()

    def stop_load(self) -> LoadReport:
        """Tells every client of a workload to stop after its present operation."""
        self._call(lib.qrt_cluster_load_stop)
        return self.load_report()

    def load_report(self) -> LoadReport:
        """What the clients have seen so far."""
        return LoadReport.from_report(self._handle.json(lib.qrt_cluster_load_report))

    def __repr__(self) -> str:
        if self._handle.closed:
            return f"<Cluster {self._title}, closed>"
        return f"<Cluster {self._title}, at {self.now:.6g} s, {self.status().headline}>"

    def _repr_html_(self) -> str:
        return (
            f"<p>{self!r}</p>".replace("<C", "&lt;C") if self._handle.closed else self.status()._repr_html_()
        )
