"""What calls give back: frozen data with a readable face. Times are seconds, node ids count from 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from quorate.display import html_table, seconds_text, text_table

T = TypeVar("T")


@dataclass(frozen=True)
class Committed:
    """A proposal that was committed.

    `index` and `term` are its place in the log, `latency` the seconds from the call to the answer, `node` the
    one that proposed it, `answer` what the state machine said (b"" where the value is no command of the
    machine; b"commit" or b"abort" of a transaction), `status` how the machine ended it: "ok", or
    "cas-mismatch" and its like.
    """

    index: int
    term: int
    latency: float
    node: int
    answer: bytes = b""
    status: str = "ok"

    def __str__(self) -> str:
        after = seconds_text(self.latency)
        if not self.term and self.answer in (b"commit", b"abort"):
            return f"{self.answer.decode()} of transaction {self.index} by n{self.node} after {after}"
        return f"committed at index {self.index} in term {self.term} by n{self.node} after {after}"


@dataclass(frozen=True)
class Elected:
    """Who leads in which epoch, as the `node` that was asked came to know it after `latency` seconds."""

    leader: int
    epoch: int
    latency: float
    node: int

    def __str__(self) -> str:
        after = seconds_text(self.latency)
        return f"n{self.leader} leads epoch {self.epoch}, says n{self.node} after {after}"


@dataclass(frozen=True)
class Property:
    """One property of a check: its name, what it says, and its verdict ("ok", "violated", "unknown").

    Of a violation, `text` is the shortest explanation, `event` the number of the first bad event in the
    trace, `time` when that was, `node` where (above 32768: a client).
    """

    name: str
    says: str
    verdict: str
    text: str = ""
    event: int | None = None
    time: float | None = None
    node: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict} ({self.text or self.says})"


@dataclass(frozen=True, repr=False)
class CheckResult:
    """The verdict on everything that a run did so far.

    ``result["linearizability"]`` is one property; iterating gives all. `hash` is the hash of the whole trace,
    in hexadecimal: the same seed and script give the same hash. `consistency` holds the share of time during
    which the nodes agreed and the first moment when they did not; `consensus` when all had agreed; `history`
    counts the client operations by outcome; `counts` what the network and the faults did; `transactions`, of
    atomic commit, how many there were and who was blocked for how long; `assumption`, live, which one was
    broken first (assumes, broken_by, time, text) of a protocol that needs a bound on delays.
    """

    verdict: str
    hash: str
    events: int
    time: float
    properties: tuple[Property, ...]
    consistency: Mapping[str, Any] = field(default_factory=dict)
    consensus: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    transactions: Mapping[str, Any] = field(default_factory=dict)
    assumption: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()  # lines for people: the assumption that was broken, a plan that came late

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> CheckResult:
        """From the JSON of ``qrt_cluster_report``."""
        properties = tuple(known(Property, p) for p in report["properties"])
        return known(cls, {**report, "properties": properties})

    @property
    def ok(self) -> bool:
        """Nothing is violated, and nothing is left open."""
        return self.verdict == "ok"

    @property
    def verdicts(self) -> dict[str, str]:
        """Each property's name with its verdict."""
        return {p.name: p.verdict for p in self.properties}

    @property
    def violations(self) -> tuple[Property, ...]:
        """The violated properties."""
        return tuple(p for p in self.properties if p.verdict == "violated")

    def __getitem__(self, name: str) -> Property:
        for p in self.properties:
            if p.name == name:
                return p
        raise KeyError(f"no property {name!r} was checked; there are {', '.join(self.verdicts)}")

    def __iter__(self) -> Iterator[Property]:
        return iter(self.properties)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        bad = "".join(f", {p.name} {p.verdict}" for p in self.properties if p.verdict != "ok")
        return f"<CheckResult {self.verdict}: {len(self.properties)} properties{bad}; trace hash {self.hash}>"

    def _notes(self) -> list[str]:
        lines = [f"{p.name}: {p.text}" for p in self.properties if p.text]
        lines += self.notes
        share = self.consistency.get("share")
        if share is not None:
            lines.append(f"the nodes' logs agreed {share * 100:.4g} % of the time")
        if self.transactions:
            t = self.transactions
            lines.append(
                f"{t['begun']} transactions: {t['committed']} committed, {t['aborted']} aborted; "
                f"{t['undecided']} votes wait for a decision, participants were blocked "
                f"{t['times_blocked']} times"
            )
        if self.history.get("operations"):
            h = self.history
            lines.append(
                f"{h['operations']} client operations: "
                f"{h['ok']} ok, {h['failed']} failed, {h['unknown']} unknown"
            )
        recorded = f"trace hash {self.hash}" if int(self.hash, 16) else "none recorded"
        lines.append(f"{self.events} events in {seconds_text(self.time)}, {recorded}")
        return lines

    def __str__(self) -> str:
        rows = [(p.name, p.verdict, p.says) for p in self.properties]
        return "\n".join([*([text_table(rows)] if rows else []), *self._notes()])

    def _repr_html_(self) -> str:
        rows = [(p.name, p.verdict, p.text or p.says) for p in self.properties]
        table = html_table(rows, ("property", "verdict", "what it says"), self.verdict)
        return table + f"<p>{'<br>'.join(html_notes(self._notes()))}</p>"


def html_notes(lines: list[str]) -> list[str]:
    """Lines made safe for HTML."""
    from html import escape

    return [escape(line) for line in lines]


@dataclass(frozen=True)
class LoadReport:
    """What the clients of a cluster have seen: how operations ended, and latencies in seconds."""

    clients: int
    operations: int
    ok: int
    failed: int
    unknown: int
    latency: Mapping[str, float | None]
    by_operation: Mapping[str, int]

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> LoadReport:
        """From the JSON of ``qrt_cluster_load_report``."""
        return known(cls, report)

    def __str__(self) -> str:
        latency = ", ".join(
            f"{name} {seconds_text(value)}" for name, value in self.latency.items() if value is not None
        )
        mix = ", ".join(f"{count} {name}" for name, count in self.by_operation.items())
        return (
            f"{self.operations} operations by {self.clients} clients ({mix}): "
            f"{self.ok} ok, {self.failed} failed, {self.unknown} unknown; {latency}"
        )

    def _repr_html_(self) -> str:
        ends = (("ok", self.ok), ("failed", self.failed), ("unknown", self.unknown))
        latencies = [(name, seconds_text(value)) for name, value in self.latency.items() if value is not None]
        rows = [*ends, *self.by_operation.items(), *latencies]
        return html_table(rows, ("", ""), f"{self.operations} operations by {self.clients} clients")


def known(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance from the values that its class knows; a newer core may say more."""
    names = {f.name for f in fields(cast(Any, cls))}
    return cls(**{name: value for name, value in values.items() if name in names})
