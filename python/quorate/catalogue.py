"""What there is: protocols with their fault models and mistakes, options, state machines, detectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quorate._ffi import c_text, lib, library_text, text_at
from quorate.display import html_table, text_table


def _shown(value: object) -> str:
    """For people: 2,174,790 and 0.661, where the data have all digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value)


class Table(list[dict[str, Any]]):
    """A list of dicts that shows itself as a table of some of their fields."""

    def __init__(self, rows: list[dict[str, Any]], header: tuple[str, ...]) -> None:
        super().__init__(rows)
        self._header = header

    def _cells(self) -> list[list[str]]:
        return [[_shown(row.get(h)) for h in self._header] for row in self]

    def __str__(self) -> str:
        return text_table(self._cells(), self._header)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_table(self._cells(), self._header)

    def __getitem__(self, which: Any) -> Any:
        """By number, or by name."""
        if isinstance(which, str):
            for row in self:
                if row.get("name") == which:
                    return row
            raise KeyError(which)
        return super().__getitem__(which)


class Options(Table):
    """Options; behind the help of one that is a choice stand the choices."""

    def _cells(self) -> list[list[str]]:
        choices = [str(row.get("choices") or "").replace("|", ", ") for row in self]
        return [
            [*cells[:-1], f"{cells[-1]} ({those})"] if those else cells
            for cells, those in zip(super()._cells(), choices, strict=True)
        ]


def protocols() -> Table:
    """Every protocol: name, summary, fault_model (what it stands), bugs."""
    return Table(json.loads(library_text(lib.qrt_protocols())), ("name", "summary"))


def options(protocol: str = "raft") -> Table:
    """Every option of a cluster of that protocol: section, name, type, unit, low, high, default, choices,
    help.
    """
    return _options(lib.qrt_options(c_text(protocol)))


def ring_options() -> Options:
    """Every option of a :class:`quorate.Ring`, as of :func:`options`."""
    return _options(lib.qrt_ring_options())


def detector_kinds() -> list[str]:
    """The kinds of :class:`quorate.Detector`, by name."""
    return [text_at(lib.qrt_detector_kind(i)) for i in range(lib.QRT_DETECTOR_KINDS)]


def detector_options(kind: str) -> Options:
    """Every option of a detector of that kind, as of :func:`options`."""
    return _options(lib.qrt_detector_options(c_text(kind)))


def _options(text: Any) -> Options:
    return Options(json.loads(library_text(text)), ("section", "name", "type", "default", "help"))


def machines() -> Table:
    """The built-in state machines: name, summary."""
    return Table(json.loads(library_text(lib.qrt_machines())), ("name", "summary"))


def bugs(protocol: str | None = None) -> Table:
    """Every switchable mistake, of one protocol or of all: name, protocol, mistake, property, source."""
    if protocol is not None:
        options(protocol)  # which there is, or raises what says so
    rows = [
        {**bug, "protocol": p["name"]}
        for p in protocols()
        for bug in p["bugs"]
        if protocol in (None, p["name"])
    ]
    return Table(rows, ("name", "protocol", "property", "mistake"))


def fault_model(protocol: str = "raft") -> Mapping[str, Any]:
    """What a protocol stands: crashes, liars, loss, and so on, as data."""
    options(protocol)  # which there is, or raises what says so
    found: Mapping[str, Any] = protocols()[protocol]["fault_model"]
    return found


def version() -> str:
    """The core's version."""
    return text_at(lib.qrt_version())
