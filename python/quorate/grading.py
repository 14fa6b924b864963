"""Grades for protocols of one's own: many drawn seeds, each broken and judged; points a property."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quorate._ffi import lib
from quorate.campaigns import list_plan
from quorate.display import html_table, text_table
from quorate.errors import ArgumentError
from quorate.node import Node
from quorate.plan import Plan
from quorate.progress import Progress
from quorate.seedrun import PropertyFunction, SeedRun
from quorate.twice import importable, twice

TWICE_EVERY = 100  # one seed in so many runs twice and must hash alike, as in a campaign


@dataclass(frozen=True)
class Points:
    """One property: its points are earned when it held on every seed. `first` is the first seed that violates
    it (with a secret: its number, from 1), `text` how.
    """

    name: str
    points: float
    of: float
    held: int
    seeds: int
    first: int | None
    text: str

    @property
    def verdict(self) -> str:
        """ "ok", or "violated"."""
        return "ok" if self.first is None else "violated"


@dataclass(frozen=True, repr=False)
class Grade:
    """What an implementation earned."""

    name: str
    seeds: int
    properties: tuple[Points, ...]
    events: int
    seconds: float

    @property
    def points(self) -> float:
        """Earned, of `of`."""
        return sum(p.points for p in self.properties)

    @property
    def of(self) -> float:
        """The most that can be earned."""
        return sum(p.of for p in self.properties)

    @property
    def ok(self) -> bool:
        """Every property held on every seed."""
        return all(p.first is None for p in self.properties)

    def __getitem__(self, name: str) -> Points:
        for p in self.properties:
            if p.name == name:
                return p
        raise KeyError(f"no property {name!r} was judged; there are {[p.name for p in self.properties]}")

    def data(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {**asdict(self), "points": self.points, "of": self.of, "ok": self.ok}

    def to_json(self) -> str:
        """Everything as JSON text."""
        return json.dumps(self.data(), indent=1)

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (p.name, p.verdict, f"{p.points:g} of {p.of:g}", f"{p.held} of {p.seeds}", _where(p), p.text)
            for p in self.properties
        ]

    _HEADER = ("property", "verdict", "points", "held", "first", "what happened")

    def __str__(self) -> str:
        total = f"{self.name}: {self.points:g} of {self.of:g} points on {self.seeds} seeds"
        return (
            f"{total}, {self.events} events, {self.seconds:.3g} s\n{text_table(self._rows(), self._HEADER)}"
        )

    def __repr__(self) -> str:
        return f"<Grade of {self.name}: {self.points:g} of {self.of:g} points on {self.seeds} seeds>"

    def _repr_html_(self) -> str:
        return html_table(self._rows(), self._HEADER, f"{self.name}: {self.points:g} of {self.of:g} points")


def _where(p: Points) -> str:
    return "" if p.first is None else f"seed {p.first}"


def grade(
    implementation: type[Node],
    seeds: int | range = 400,
    *,
    properties: Iterable[PropertyFunction] = (),
    points: Mapping[str, float] | None = None,
    secret: str | None = None,
    nodes: int | None = None,
    events: int = 10000,
    plan: Plan | str | Mapping[str, Any] | None = None,
    outside: bool = False,
) -> Grade:
    """Runs that many seeds of a class derived from Node, as a campaign would (faults drawn inside its
    `fault_model`, or with `outside` beyond it), and gives points for each property that held on all of them.

    Judged are the checkers that the class names, "progress" (after healing a proposal is answered; where it
    takes proposals), "no-exception", "determinism" (a seed runs twice, the first in two fresh processes) and
    the given `properties`: functions of a :class:`quorate.SeedRun`. `points` says how many each is worth
    (default: 1). With a `secret` the seeds are drawn from it, and the grade does not name them.
    """
    steps = grading(
        implementation,
        seeds,
        properties=properties,
        points=points,
        secret=secret,
        nodes=nodes,
        events=events,
        plan=plan,
        outside=outside,
    )
    total = len(seeds) if isinstance(seeds, range) else seeds
    with Progress("grade", total, "seeds") as progress:
        while True:
            try:
                progress.update(next(steps))
            except StopIteration as ended:
                result: Grade = ended.value
                return result


def grading(
    implementation: type[Node],
    seeds: int | range = 400,
    *,
    properties: Iterable[PropertyFunction] = (),
    points: Mapping[str, float] | None = None,
    secret: str | None = None,
    nodes: int | None = None,
    events: int = 10000,
    plan: Plan | str | Mapping[str, Any] | None = None,
    outside: bool = False,
) -> Generator[int, None, Grade]:
    """As :func:`grade`, a seed at a time: gives how many are done, and the grade at the end."""
    begun, tally = time.perf_counter(), _Tally(dict(points or {}))
    spec: dict[str, Any] = {"events": events, "outside": outside}
    spec.update({"nodes": nodes} if nodes else {}, **({"plan": list_plan(plan)} if plan is not None else {}))
    numbers, functions, done = _numbers(seeds, secret), list(properties), 0
    for i, seed in enumerate(numbers):
        shown = i + 1 if secret is not None else seed
        run = SeedRun(implementation, spec, seed, record=bool(functions))
        tally.enter(shown, run.judge(functions))
        done += int(run.report["events"])
        if i % TWICE_EVERY == 0:
            again = _again(implementation, spec, seed, run.hash, fresh=i == 0)
            tally.enter(shown, {"determinism": again})
        run.close()
        yield i + 1
    rows = tally.rows()
    return Grade(implementation.__name__, len(numbers), rows, done, time.perf_counter() - begun)


def _numbers(seeds: int | range, secret: str | None) -> list[int]:
    wanted = seeds if isinstance(seeds, range) else range(1, seeds + 1)
    if not wanted:
        raise ArgumentError(f"a grade needs at least one seed, not {seeds}")
    if secret is None:
        return list(wanted)
    texts = [f"{secret}/{i}".encode() for i in wanted]
    return [int(lib.qrt_hash(text, len(text))) >> 2 for text in texts]


def _again(kind: type[Node], spec: Mapping[str, Any], seed: int, first: str, *, fresh: bool) -> str:
    """How a second run of the seed differed, or ""."""
    if fresh and importable(kind):
        return twice(kind, seed, spec=spec).text
    run = SeedRun(kind, spec, seed, record=False)
    second = run.hash
    run.close()
    return (
        "" if first == second else f"two runs of the seed hash {first} and {second}: quorate.twice says where"
    )


class _Tally:
    """Counts, property by property, in the order in which they were first judged."""

    def __init__(self, worth: dict[str, float]) -> None:
        self._worth = worth
        self._held: dict[str, int] = {}
        self._seeds: dict[str, int] = {}
        self._first: dict[str, tuple[int, str]] = {}

    def enter(self, seed: int, judged: Mapping[str, str]) -> None:
        for name, text in judged.items():
            self._seeds[name] = self._seeds.get(name, 0) + 1
            self._held[name] = self._held.get(name, 0) + (not text)
            if text:
                self._first.setdefault(name, (seed, text))

    def rows(self) -> tuple[Points, ...]:
        unknown = set(self._worth) - set(self._seeds)
        if unknown:
            raise ArgumentError(f"points for {sorted(unknown)}, but judged were only {list(self._seeds)}")
        return tuple(self._row(name) for name in self._seeds)

    def _row(self, name: str) -> Points:
        of = self._worth.get(name, 1.0)
        seed, text = self._first.get(name, (None, ""))
        return Points(name, 0.0 if text else of, of, self._held[name], self._seeds[name], seed, text)
