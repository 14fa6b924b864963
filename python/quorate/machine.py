"""State machines of your own: a Python class, replicated.

A machine must be deterministic: the same commands give the same answers on every node. It has four methods::

    class Stack(q.StateMachine):
        def __init__(self):
            self.state = []

        def apply(self, index, command):  # a committed command, in log order on every node
            self.state.append(command.decode())
            return str(len(self.state))

        def query(self, command):  # a linearizable read: changes nothing
            return self.state[-1] if self.state else ""

    with q.Cluster("raft", machine=Stack) as c:
        c.client().call("push this")

Snapshots: StateMachine saves ``self.state`` as JSON, which must therefore be plain data (None, bool, int,
finite float, str, lists, dicts with str keys); anything else raises, naming the place. A class may instead
define ``snapshot() -> bytes`` and ``restore(data)`` itself; then it need not derive from StateMachine.

A method that raises crashes its node, and the report holds the traceback. Calling the cluster from a method
is refused.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable
from typing import Any

from quorate._ffi import bytes_at, encode, ffi, lib
from quorate.errors import WrongTypeError

MachineFactory = Callable[[], Any]
_METHODS = ("apply", "query", "snapshot", "restore")


class StateMachine:
    """A base class that saves ``self.state``, which must be plain data; see the module."""

    state: Any = None

    def apply(self, index: int, command: bytes) -> bytes | str | None:
        """Executes the committed command of log index `index`; the answer goes to whoever proposed it."""
        raise NotImplementedError(f"{type(self).__name__} has no apply(index, command)")

    def query(self, command: bytes) -> bytes | str | None:
        """Answers a read without changing anything."""
        raise NotImplementedError(f"{type(self).__name__} has no query(command)")

    def snapshot(self) -> bytes:
        """The state as bytes: canonical JSON of ``self.state``."""
        check_plain(self.state, "state")
        return json.dumps(self.state, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    def restore(self, data: bytes) -> None:
        """The state from such bytes."""
        self.state = json.loads(data)


def check_plain(value: Any, place: str) -> None:
    """Raises TypeError, naming the place, where a value would not come back from JSON as it went in."""
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{place} is {value}, which a snapshot cannot hold")
    elif type(value) is list:
        for i, item in enumerate(value):
            check_plain(item, f"{place}[{i}]")
    elif type(value) is dict:
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(
                    f"{place} has the key {key!r}; keys must be text, or write snapshot() and restore()"
                )
            check_plain(item, f"{place}[{key!r}]")
    else:
        kind = type(value).__name__
        raise TypeError(
            f"{place} is of type {kind}, no plain data; use a list or dict, or write snapshot() and restore()"
        )


class Machines:
    """The machines of one cluster and its forks: the other side of the C callbacks.

    `interrupted` holds a KeyboardInterrupt that arrived inside a method, to be raised once C has returned.
    """

    def __init__(self, factory: MachineFactory) -> None:
        if not callable(factory):
            raise WrongTypeError(f"machine is the class of the machines, not one of them: {factory!r}")
        name = getattr(factory, "__name__", type(factory).__name__)
        first = factory()
        missing = [m for m in _METHODS if not callable(getattr(first, m, None))]
        if missing:
            raise WrongTypeError(
                f"{name} is no state machine: it has no {', '.join(missing)}; derive it from StateMachine"
            )
        self._factory = factory
        self._machines: dict[int, Any] = {}
        self._made = 0
        self.interrupted: BaseException | None = None
        self.tracebacks: list[str] = []  # of what methods raised
        self._handle = ffi.new_handle(self)
        self._name = ffi.new("char[]", name.encode())
        self.struct = ffi.new("qrt_machine *")
        self.struct.name = self._name
        self.struct.context = self._handle
        for method in ("create", "destroy", *_METHODS):
            setattr(self.struct, method, getattr(lib, f"machine_{method}"))

    def create(self) -> int:
        """A new machine's id. Where the constructor raises, every method of the machine raises the same."""
        self._made += 1
        try:
            self._machines[self._made] = self._factory()
        except BaseException as error:
            self._machines[self._made] = _Broken(error)
        return self._made

    def destroy(self, machine: int) -> None:
        self._machines.pop(machine, None)

    def run(self, machine: int, reply: Any, method: str, *args: Any) -> None:
        """Calls a method and puts its answer, or its traceback, into the reply."""
        try:
            answer = getattr(self._machines[machine], method)(*args)
            if answer is not None and method != "restore":
                data = encode(answer)
                lib.qrt_reply_put(reply, data, len(data))
        except BaseException as error:
            if not isinstance(error, Exception):
                self.interrupted = error
            self.tracebacks.append("".join(traceback.format_exception(error)))
            lib.qrt_reply_raise(reply, _explain(method, error).encode("utf-8", "replace"))

    def raise_interrupt(self) -> None:
        """Raises what interrupted a method, once."""
        error, self.interrupted = self.interrupted, None
        if error is not None:
            raise error


class _Broken:
    """Stands for a machine whose constructor raised."""

    def __init__(self, error: BaseException) -> None:
        def fail(*_: object) -> bytes:
            raise error

        self.apply = self.query = self.snapshot = self.restore = fail


def _explain(method: str, error: BaseException) -> str:
    """The error first, then where: the core cuts long text at its end."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({last[0].filename.rsplit('/', 1)[-1]}, line {last[0].lineno}: {last[0].line})" if last else ""
    return f"{method}() raised {type(error).__name__}: {error}{where}"


@ffi.def_extern(error=0)  # type: ignore[untyped-decorator]
def machine_create(context: Any) -> int:
    return int(ffi.from_handle(context).create())


@ffi.def_extern()  # type: ignore[untyped-decorator]
def machine_destroy(context: Any, machine: int) -> None:
    ffi.from_handle(context).destroy(machine)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def machine_apply(context: Any, machine: int, index: int, command: Any, size: int, reply: Any) -> None:
    ffi.from_handle(context).run(machine, reply, "apply", index, bytes_at(command, size))


@ffi.def_extern()  # type: ignore[untyped-decorator]
def machine_query(context: Any, machine: int, command: Any, size: int, reply: Any) -> None:
    ffi.from_handle(context).run(machine, reply, "query", bytes_at(command, size))


@ffi.def_extern()  # type: ignore[untyped-decorator]
def machine_snapshot(context: Any, machine: int, reply: Any) -> None:
    ffi.from_handle(context).run(machine, reply, "snapshot")


@ffi.def_extern()  # type: ignore[untyped-decorator]
def machine_restore(context: Any, machine: int, snapshot: Any, size: int, reply: Any) -> None:
    ffi.from_handle(context).run(machine, reply, "restore", bytes_at(snapshot, size))
