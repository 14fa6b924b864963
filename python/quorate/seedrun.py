"""One seed of a campaign over a script: drawn, run, broken, judged; and what a property may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from quorate._ffi import Handle, encode, lib
from quorate._json import written
from quorate.cluster import Cluster
from quorate.node import Node
from quorate.scripts import Scripts
from quorate.trace import Trace

PropertyFunction = Callable[["SeedRun"], Any]


@dataclass(frozen=True)
class Decision:
    """A node decided: `value` is what it gave to decide() (its hash where another process did)."""

    time: float
    node: int
    instance: int
    ballot: int
    outcome: int
    value: Any


@dataclass(frozen=True)
class Entered:
    """A node entered a state of an instance: what ``note("state")`` said."""

    time: float
    node: int
    instance: int
    state: int


class SeedRun:
    """A run to its end: first faults, then healing and a demand for progress, then a drain.

    `seed`; `cluster` as it stands; `trace`; `report` of the core (verdict, violated, events, faults, hash).
    """

    def __init__(self, kind: type[Node], spec: Mapping[str, Any], seed: int, *, record: bool = True) -> None:
        self.seed = seed
        self._scripts = Scripts(kind)
        text = encode(written({"protocol": "script", **spec}))
        handle = Handle.make(
            "cluster", lib.qrt_cluster_free, lib.qrt_cluster_seed, self._scripts.struct, text, seed, record,
            keep=self._scripts,
        )  # fmt: skip
        try:
            while handle.more(lib.qrt_cluster_replay_run):
                self._scripts.raise_interrupt()
        finally:
            self._scripts.raise_interrupt()
        self.cluster = Cluster._from_handle(handle, self._scripts)
        self.report: dict[str, Any] = handle.json(lib.qrt_cluster_seed_report)

    @cached_property
    def trace(self) -> Trace:
        """The events of the run."""
        return self.cluster.trace

    @property
    def hash(self) -> str:
        """The trace hash."""
        return str(self.report["hash"])

    @property
    def tracebacks(self) -> list[str]:
        """What handlers raised."""
        return self._scripts.tracebacks

    @property
    def states(self) -> dict[int, Any]:
        """The state of each node that is up, by its id."""
        up = [n.node for n in self.cluster.status().nodes if n.up]
        return {node: self._scripts.nodes[node].state for node in up if node in self._scripts.nodes}

    def events(self, kind: str) -> list[dict[str, int]]:
        """The events of a kind ("crash", "decide", "state", ...) as dicts of the trace's columns, and their
        number.
        """
        number = {name: i for i, name in self.trace.kinds.items()}[kind]
        kinds = self.trace.column("kind")
        names = ("time", "node", "detail", "peer", "term", "index", "link", "value")
        columns = {name: self.trace.column(name) for name in names}
        return [
            {"number": i, **{name: column[i] for name, column in columns.items()}}
            for i, k in enumerate(kinds)
            if k == number
        ]

    @cached_property
    def decisions(self) -> list[Decision]:
        """Every decision that left a node, in order of time."""
        return [self._decision(e) for e in self.events("decide")]

    def _decision(self, e: dict[str, int]) -> Decision:
        value = self._scripts.values.get(e["value"], e["value"])
        return Decision(e["time"] / 1e9, e["node"], e["index"], e["term"], e["detail"], value)

    @cached_property
    def entered(self) -> list[Entered]:
        """Every state that a node entered, in order of time."""
        return [Entered(e["time"] / 1e9, e["node"], e["index"], e["detail"]) for e in self.events("state")]

    def close(self) -> None:
        """Frees the cluster."""
        self.cluster.close()

    def judge(self, properties: Iterable[PropertyFunction] = ()) -> dict[str, str]:
        """Each property that was judged, with what violates it, or "".

        A property is a function of the run; it violates by raising AssertionError, or by giving False or a
        text. Its name is the function's, with hyphens.
        """
        found = dict.fromkeys(self.report["properties"], "")
        if self.report["violated"]:
            texts = {p.name: p.text for p in self.cluster.check()}
            found.update({name: texts.get(name) or "it does not hold" for name in self.report["violated"]})
        if self._scripts.kind.on_propose is Node.on_propose:
            found.pop("progress", None)  # nothing can be proposed to it
        found["no-exception"] = self.tracebacks[0].strip().splitlines()[-1] if self.tracebacks else ""
        for function in properties:
            found[name_of(function)] = judge_one(function, self)
        return found


def name_of(function: PropertyFunction) -> str:
    """What a property is called."""
    return str(getattr(function, "__name__", repr(function))).replace("_", "-")


def judge_one(function: PropertyFunction, run: SeedRun) -> str:
    """What violates a property, or ""."""
    try:
        answer = function(run)
    except AssertionError as error:
        return str(error) or "an assertion failed"
    if answer is None or answer is True:
        return ""
    return answer if isinstance(answer, str) else "it does not hold" if answer is False else str(answer)
