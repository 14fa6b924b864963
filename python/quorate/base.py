"""What every part of a cluster's face stands on: its handle, its clock, and runs in slices.

A long call of the core comes back after about 20 ms; looping here is what lets Ctrl-C through, and a bar be
drawn.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quorate._ffi import NEVER, Handle, c_text, ffi, lib, to_ns
from quorate.errors import NoLeaderError, RangeError, WrongTypeError
from quorate.machine import Machines
from quorate.progress import Progress
from quorate.scripts import Scripts

if TYPE_CHECKING:
    import asyncio


class ClusterBase:
    """A handle and its clock."""

    _handle: Handle
    _machines: Machines | Scripts | None  # what has callbacks
    _timeout_ns: int
    _live: bool
    _judged: bool = False  # a check is under way that an event loop takes turns with
    _closing: asyncio.Future[None] | None = None  # it is being closed, on another thread

    def _call(self, function: Any, *args: Any) -> int:
        try:
            return self._handle.call(function, *args)
        finally:
            if self._machines is not None:
                self._machines.raise_interrupt()

    def _number(self, function: Any, ctype: str) -> int:
        place = ffi.new(f"{ctype} *")
        self._call(function, place)
        return int(place[0])

    @property
    def now(self) -> float:
        """Seconds since the run began: virtual when simulated, real when live."""
        return self._now_ns() / 1e9

    def _now_ns(self) -> int:
        return self._number(lib.qrt_cluster_now, "int64_t")

    @property
    def leader(self) -> int | None:
        """Who leads now; None when nobody does."""
        try:
            return self._number(lib.qrt_cluster_leader, "uint16_t")
        except NoLeaderError:
            return None

    def _deadline(self, seconds: float | None) -> int:
        wait = self._timeout_ns if seconds is None else to_ns(seconds)
        if wait < 0:
            raise RangeError(f"a time to wait must not be negative: {seconds}")
        return min(self._now_ns() + wait, NEVER)

    def _span(self, seconds: float) -> int:
        """The deadline of a run that ends by itself."""
        if to_ns(seconds) == NEVER:
            raise RangeError(f"a run of {seconds} seconds would never end; run_until waits for a condition")
        return self._deadline(seconds)

    def _run(self, until: int, condition: Any = ffi.NULL) -> None:
        start = self._now_ns()
        total = 0.0 if until == NEVER else (until - start) / 1e9
        with self._handle.held(), Progress("run", total) as progress:
            while self._call(lib.qrt_cluster_run, until, condition) == lib.QRT_MORE:
                progress.update((self._now_ns() - start) / 1e9)


def node_id(node: int | None) -> int:
    """A node's id as C takes it; None is 0."""
    if node is None:
        return 0
    if isinstance(node, bool):
        raise WrongTypeError(f"a node is a number, not {node!r}")
    number = whole("a node is a number", node)
    if not 1 <= number < lib.QRT_CLIENT:
        raise RangeError(f"there is no node {node}; ids count from 1")
    return number


def whole(what: str, number: Any) -> int:
    """A whole number as C takes one; NumPy's too. `what` is the beginning of the sentence."""
    try:
        value = operator.index(number)
    except TypeError:
        raise WrongTypeError(f"{what}, not {number!r:.60}") from None
    if not -(2**63) <= value < 2**63:
        raise RangeError(f"{what}, and {value} does not fit 64 bits")
    return value


def option_text(name: str, value: Any) -> str:
    """An option's value as the core reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "__index__") and not isinstance(value, type):
        return str(int(value))
    if hasattr(value, "__float__") and not isinstance(value, type):
        return repr(float(value))
    message = f"option {name!r} takes text, a number or a truth value, not {type(value).__name__}: {value!r}"
    raise WrongTypeError(message)


# By C memory, the C memory that it points to.
_kept: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def option_array(given: Mapping[str, Any]) -> Any:
    """Options as an array of qrt_option; it keeps its texts alive."""
    texts = [(c_text(name), c_text(option_text(name, value))) for name, value in given.items()]
    places = [(ffi.new("char[]", name), ffi.new("char[]", value)) for name, value in texts]
    array = ffi.new("qrt_option[]", [{"name": name, "value": value} for name, value in places])
    _kept[array] = places
    return array
