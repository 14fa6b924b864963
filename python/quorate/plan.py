"""Plans of faults: data, saved as JSON, built by hand or drawn from a seed; the same in every runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quorate._ffi import c_text, checked_path, encode, lib, library_text, to_ns
from quorate._json import written
from quorate.display import html_table

Seconds = float | str  # a number of seconds, or text with a unit: "150ms"


def directive(verb: str, fields: dict[str, Any]) -> dict[str, Any]:
    """One directive as the core reads it; ``from_`` and ``for_`` lose their underscore, None is left out."""
    given = {name.rstrip("_"): value for name, value in fields.items() if value is not None}
    return {"do": verb, **{name: plain(value) for name, value in given.items()}}


def plain(value: Any) -> Any:
    """A value as JSON knows it: a client as "c3", any integer type as int, any iterable as a list."""
    if hasattr(value, "_directive_id"):
        return value._directive_id()
    if isinstance(value, dict):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        return int(value)
    return value


class Plan:
    """An immutable list of directives; every verb returns a longer plan.

    >>> plan = (
    ...     Plan()
    ...     .at(1.0, "crash", node="leader")
    ...     .after(0.5, "restart", node="all")
    ...     .every(2.0, "pause", node="random", for_="300ms")
    ...     .during(3.0, 4.0, "loss", probability=0.1)
    ... )

    Verbs and their fields: crash (node, disk: kept | unsynced | wiped | damaged, effect, guarded), restart,
    pause, resume (node), partition (groups, or shape: halves | one | leader | ring | bridge; node, one_way),
    heal, loss and corrupt (probability), delay (delay: seconds or ``{"uniform": [a, b]}``), reorder and
    duplicate (probability, spread), skew (node, offset, drift in parts per million), slow (node, delay),
    fill and free (node: its disk has no room, or has again; not leader or follower). Link verbs take from_,
    to, both. A node is an id, or "leader", "follower", "random", "all", "majority", "minority". A malformed
    directive raises at once.
    """

    __slots__ = ("_directives",)

    def __init__(self, directives: list[dict[str, Any]] | tuple[dict[str, Any], ...] = ()) -> None:
        directives = tuple(dict(d) for d in directives)
        self._directives: tuple[dict[str, Any], ...] = directives
        if directives:
            text = library_text(lib.qrt_plan_canonical(encode(self._dump(directives)), 0))
            self._directives = tuple(json.loads(text)["directives"])

    @staticmethod
    def _dump(directives: tuple[dict[str, Any], ...]) -> str:
        return written({"directives": directives})

    # --- building ---

    def at(self, time: Seconds, verb: str, **fields: Any) -> Plan:
        """Once, `time` seconds after the plan is applied."""
        return self._add({"at": time}, verb, fields)

    def after(self, time: Seconds, verb: str, **fields: Any) -> Plan:
        """Once, `time` seconds after the previous directive began."""
        return self._add({"after": time}, verb, fields)

    def every(
        self,
        period: Seconds,
        verb: str,
        *,
        start: Seconds | None = None,
        until: Seconds | None = None,
        **fields: Any,
    ) -> Plan:
        """Again and again, from `start` (default: one period) until `until` (default: for ever)."""
        when = {"every": period, "start": start, "until": until}
        return self._add({k: v for k, v in when.items() if v is not None}, verb, fields)

    def during(self, begin: Seconds, end: Seconds, verb: str, **fields: Any) -> Plan:
        """Stands from `begin` to `end`, and is undone then."""
        return self._add({"during": [begin, end]}, verb, fields)

    def _add(self, when: dict[str, Any], verb: str, fields: dict[str, Any]) -> Plan:
        return Plan([*self._directives, {**when, **directive(verb, fields)}])

    def __add__(self, other: Plan) -> Plan:
        without_ids = [{k: v for k, v in d.items() if k != "id"} for d in other]
        return Plan([*self._directives, *without_ids])

    # --- reading and writing ---

    @classmethod
    def draw(cls, protocol: str = "raft", nodes: int = 5, seed: int = 1, duration: float = 10.0) -> Plan:
        """A plan drawn from a seed, inside the protocol's fault model; healed by its end."""
        return cls.from_json(library_text(lib.qrt_plan_draw(c_text(protocol), nodes, seed, to_ns(duration))))

    @classmethod
    def from_json(cls, text: str, nodes: int = 0) -> Plan:
        """From JSON. Errors name line and column, or the directive and its field. `nodes` bounds ids, if not
        0.
        """
        plan = cls()
        plan._directives = tuple(
            json.loads(library_text(lib.qrt_plan_canonical(c_text(text), nodes)))["directives"]
        )
        return plan

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """From a file."""
        return cls.from_json(checked_path(path).read_text(encoding="utf-8", errors="surrogateescape"))

    def to_json(self) -> str:
        """In canonical form: printed, read and printed again it is the same text."""
        return library_text(lib.qrt_plan_canonical(encode(self._dump(self._directives)), 0))

    def save(self, path: str | Path) -> None:
        """Into a file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    # --- as data ---

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(d) for d in self._directives)

    def __len__(self) -> int:
        return len(self._directives)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._directives == other._directives

    def __hash__(self) -> int:
        return hash(self._dump(self._directives))

    def __repr__(self) -> str:
        return f"Plan({list(self._directives)!r})"

    def _repr_html_(self) -> str:
        rows = []
        for d in self._directives:
            when = next((f"{k} {d[k]}" for k in ("at", "after", "every", "during") if k in d), "now")
            rest = {k: v for k, v in d.items() if k not in ("at", "after", "every", "during", "do", "id")}
            rows.append((d.get("id", ""), when, d["do"], ", ".join(f"{k}={v}" for k, v in rest.items())))
        return html_table(rows, ("id", "when", "do", "what"), f"a plan of {len(self)} directives")
