"""The trace of a run: events as columns of C memory, lines for people, a space-time diagram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from quorate._ffi import Handle, ffi, lib, text_at, view
from quorate.ballots import Ballot
from quorate.display import html_table

if TYPE_CHECKING:
    import numpy
    import pandas

# name, format of struct, and NumPy's name of the type
COLUMNS = {
    "time": ("q", "int64"),
    "node": ("H", "uint16"),
    "group": ("H", "uint16"),
    "kind": ("B", "uint8"),
    "detail": ("B", "uint8"),
    "peer": ("H", "uint16"),
    "term": ("Q", "uint64"),
    "index": ("Q", "uint64"),
    "link": ("Q", "uint64"),
    "value": ("Q", "uint64"),
}
LINE_SIZE = 512


class Trace:
    """An immutable snapshot of the recorded events.

    ``trace["time"]`` and its like are read-only NumPy arrays of shape ``(len(trace),)`` over the trace's own
    memory, which they keep alive: time (int64, ns since the run began), node, group, peer (uint16; clients
    from 32769 on), kind and detail (uint8; see `kinds`), term, index, link, value (uint64; what they mean
    depends on the kind, see quorate.h). Without NumPy they are memoryviews. `first` is the number of the
    first event that is kept.

    There is no close(): the memory goes when the trace and the last array over it are gone.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        with handle.held() as pointer:
            self._columns = lib.qrt_trace_columns(pointer)
        self._count = int(self._columns.count)
        self.first = int(self._columns.first)

    def __len__(self) -> int:
        return self._count

    def column(self, name: str) -> memoryview:
        """One column as a read-only memoryview. KeyError for one that there is not."""
        if name not in COLUMNS:
            raise KeyError(f"a trace has no column {name!r}; there are {', '.join(COLUMNS)}")
        form, _ = COLUMNS[name]
        size = self._count * ffi.sizeof(f"{_CTYPES[form]}")
        return view(self._handle, getattr(self._columns, name), size, form)

    def __getitem__(self, name: str) -> numpy.ndarray[Any, Any]:
        memory = self.column(name)
        try:
            import numpy
        except ImportError:
            return memory  # type: ignore[return-value]
        return numpy.frombuffer(memory, dtype=COLUMNS[name][1])

    @property
    def kinds(self) -> dict[int, str]:
        """The name of each kind of event."""
        return _names(lib.qrt_kind_name)

    @property
    def messages(self) -> dict[int, str]:
        """The name of each kind of message: the detail of "send" and "receive"."""
        return _names(lib.qrt_message_name)

    def to_numpy(self) -> numpy.ndarray[Any, Any]:
        """All columns as one structured array (a copy)."""
        import numpy

        array = numpy.empty(self._count, dtype=[(name, kind) for name, (_, kind) in COLUMNS.items()])
        for name in COLUMNS:
            array[name] = self[name]
        return array

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame whose columns are the trace's own, without a copy, and `what`: the kind's name as a
        category.

        Its index is the event's number.
        """
        import pandas

        known = self.kinds
        size = max(known) + 1
        categories = [known.get(i, f"kind-{i}") for i in range(size)]
        codes: Any = self["kind"].astype("int8")
        frame: pandas.DataFrame = pandas.DataFrame(
            {name: self[name] for name in COLUMNS},
            index=pandas.RangeIndex(self.first, self.first + self._count, name="event"),
            copy=False,
        )
        categorical: Any = pandas.Categorical
        frame["what"] = categorical.from_codes(codes, categories)
        return frame

    def line(self, i: int) -> str:
        """The i-th kept event for people."""
        if not -self._count <= i < self._count:
            raise IndexError(f"the trace holds {self._count} events, no number {i}")
        out = ffi.new("char[]", LINE_SIZE)
        with self._handle.held() as pointer:
            lib.qrt_trace_line(pointer, i % self._count, out, LINE_SIZE)
        return text_at(out)

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The lines of the kept events from start to stop, as a slice would have them."""
        for i in range(*slice(start, stop).indices(self._count)):
            yield self.line(i)

    def svg(self, around: int | None = None, *, between: tuple[int, int] | None = None) -> str:
        """A space-time diagram of at most 300 events around what matters.

        `around` is the number of an event, whose causes are drawn; None: the first violation, else the last
        election. `between`: every event from one number to another. Raises NotFoundError when that event was
        not recorded, RangeError for more than 300.
        """
        if between is not None:
            return self._handle.text(lib.qrt_trace_svg_between, *between)
        return self._handle.text(lib.qrt_trace_svg, 2**64 - 1 if around is None else around)

    def ballots(self) -> list[Ballot]:
        """The ballots whose value was asked for or accepted, in the order in which they were first heard of.

        Computed from the recorded events, so the whole trace must be recorded. See
        :class:`quorate.Ballot`; empty for protocols without ballots.
        """
        rows = self._handle.json(lib.qrt_trace_ballots)
        return [Ballot.from_report(row) for row in rows]

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        if not self._count:
            return html_table([], ("event",), "an empty trace")
        return self.svg()

    def __repr__(self) -> str:
        return f"<Trace of {self._count} events from number {self.first}>"


_CTYPES = {"q": "int64_t", "H": "uint16_t", "B": "uint8_t", "Q": "uint64_t"}


def _names(function: Any) -> dict[int, str]:
    """What a naming function of the core calls each number; unknown numbers share one name."""
    unknown = text_at(function(255))
    named = {i: text_at(function(i)) for i in range(1, 128)}
    return {i: name for i, name in named.items() if name != unknown}
