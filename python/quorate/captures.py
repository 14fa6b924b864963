"""Captures of a cluster's nodes, and their replay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quorate._ffi import Handle, c_text, ffi, lib
from quorate.progress import Progress
from quorate.trace import Trace


@dataclass(frozen=True, repr=False)
class CaptureReplay:
    """What became of a capture's replay; as text it says all of it.

    `verdict` is "ok", "violated" (a property), "differs" (a step did something else than then) or
    "unknown" (nothing of the two, but part of the capture is missing). `steps` of all nodes, `matched` among
    them; `uncompared`: cut short by a kill, or behind a gap or difference. `differs` is the first
    step that does: node, incarnation, step, time (s), input, and both fingerprints. `notes` say what is
    missing, and where. `history` counts the clients' operations that were judged: operations, ok, failed,
    unknown, whether it is whole, and of whom it is: "clients", by their own capture, or "nodes", by what
    those received and answered; None where it ought to be there and is not. `trace` has the last events of
    the replay, 20,000 unless `record` said otherwise: those before the difference, if a step differs.
    """

    verdict: str
    steps: int
    matched: int
    uncompared: int
    gaps: int
    differs: Mapping[str, Any] | None
    nodes: tuple[Mapping[str, Any], ...]
    notes: tuple[Mapping[str, Any], ...]
    verdicts: Mapping[str, str]
    history: Mapping[str, Any] | None
    hash: str
    trace: Trace = field(repr=False)
    report: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Every step that could be compared matched, nothing is missing, and no property is violated."""
        return self.verdict == "ok"

    @property
    def last_line(self) -> str:
        """How many steps there were, and how many of them matched."""
        return str(self.report["text"]).rsplit("\n", 1)[-1]

    def __str__(self) -> str:
        return str(self.report["text"])

    __repr__ = __str__


def is_capture(path: object) -> bool:
    """Whether this names a folder, as captures are."""
    return (
        isinstance(path, str | os.PathLike) and not str(path).lstrip().startswith("{") and Path(path).is_dir()
    )


def replay_capture(
    folder: str | os.PathLike[str], bug: str | None = None, record: int | None = None
) -> CaptureReplay:
    """Feeds the captured inputs to the nodes' hosts again; `bug` switches a mistake on for it."""
    handle = capture_handle(folder, bug, record)
    try:
        Progress.replay(handle, lib.qrt_replay_run)
        return capture_report(handle)
    finally:
        handle.close()


def capture_handle(folder: str | os.PathLike[str], bug: str | None, record: int | None = None) -> Handle:
    """A replay of a capture that has not begun."""
    name = ffi.NULL if bug is None else c_text(bug)
    handle = Handle.make("replay", lib.qrt_replay_free, lib.qrt_replay_new, c_text(os.fspath(folder)), name)
    if record is not None:
        handle.call(lib.qrt_replay_record, record)
    return handle


def capture_report(handle: Handle) -> CaptureReplay:
    """What became of one that is done."""
    report = handle.json(lib.qrt_replay_report)
    place = ffi.new("qrt_trace **")
    handle.call(lib.qrt_replay_trace, place)
    return CaptureReplay(
        verdict=report["verdict"],
        steps=report["steps"],
        matched=report["matched"],
        uncompared=report["uncompared"],
        gaps=report["gaps"],
        differs=report["differs"],
        nodes=tuple(report["nodes"]),
        notes=tuple(report["notes"]),
        verdicts={entry["name"]: entry["verdict"] for entry in report["properties"]},
        history=report["history"],
        hash=report["hash"],
        trace=Trace(Handle(place, lib.qrt_trace_free)),
        report=report,
    )
