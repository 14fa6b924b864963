"""What protocols cost, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from quorate._ffi import encode, lib, library_text
from quorate._json import written
from quorate.campaigns import list_plan
from quorate.display import html_table, text_table
from quorate.errors import ArgumentError
from quorate.plan import Plan
from quorate.progress import Progress

_ROWS = {
    "verdict": "verdict",
    "messages a proposal": "proposal.messages",
    "message delays a proposal": "proposal.delays",
    "writes a proposal": "proposal.writes",
    "operations": "operations",
    "ok": "ok",
    "failed": "failed",
    "unknown": "unknown",
    "latency p50, ms": "p50",
    "latency p99, ms": "p99",
    "unavailable, ms": "unavailable",
    "messages": "messages",
    "bytes": "bytes",
    "writes": "writes",
    "syncs": "syncs",
    "x/(x+y)": "ratios.x/(x+y)",
    "x/(x+z)": "ratios.x/(x+z)",
    "x/(x+w)": "ratios.x/(x+w)",
    "x/(x+u)": "ratios.x/(x+u)",
    "x/(x+v)": "ratios.x/(x+v)",
}


class Comparison(dict[str, dict[str, Any]]):
    """A report a protocol, by its name; shows itself as a table, a column a protocol."""

    def _cells(self) -> list[list[str]]:
        reports = list(self.values())
        return [[label, *(_shown(label, r, path) for r in reports)] for label, path in _ROWS.items()]

    def __str__(self) -> str:
        return text_table(self._cells(), ("", *self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._cells(), ("", *self))

    def to_pandas(self) -> Any:
        """The table as a DataFrame: a row a figure, a column a protocol. Times are seconds."""
        import pandas

        found = {name: [_at(report, path) for path in _ROWS.values()] for name, report in self.items()}
        return pandas.DataFrame(found, index=list(_ROWS))


def _at(report: Mapping[str, Any], path: str) -> Any:
    first, _, rest = path.partition(".")
    value = report.get(first)
    return _at(value, rest) if rest and isinstance(value, Mapping) else value


def _shown(label: str, report: Mapping[str, Any], path: str) -> str:
    value = _at(report, path)
    if value is None:
        return ""
    if label.endswith(", ms"):
        return f"{value * 1000:.3g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare(
    protocols: Iterable[str],
    *,
    nodes: int = 5,
    seed: int = 1,
    clients: int = 4,
    operations: int = 400,
    plan: Plan | str | Mapping[str, Any] | None = None,
    **options: Any,
) -> Comparison:
    """Runs each protocol on the same seed, load and plan, and then single proposals without faults in which
    every message takes one delay. What each figure means stands at ``qrt_compare`` in quorate.h. `options` go
    to every cluster. Raises NotFoundError, OptionError, RangeError.
    """
    spec: dict[str, Any] = {"nodes": nodes, "seed": seed, "clients": clients, "operations": operations}
    if plan is not None:
        spec["plan"] = list_plan(plan)
    spec["options"] = {name: str(value) for name, value in options.items()}
    names = list(protocols)
    if not names:
        raise ArgumentError("a comparison needs at least one protocol")
    result = Comparison()
    with Progress("compare", unit="protocols") as progress:
        for name in names:
            wanted = encode(written({**spec, "protocol": name}))
            result[name] = json.loads(library_text(lib.qrt_compare(wanted)))
            progress.update(len(result))
    return result
