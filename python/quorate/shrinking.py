"""A failing run made small."""

from __future__ import annotations

from pathlib import Path

from quorate._ffi import Handle, ffi, lib
from quorate.campaigns import Run, replay_handle
from quorate.captures import is_capture
from quorate.errors import ArgumentError
from quorate.progress import Progress

__all__ = ["shrink"]


def shrink(run: str | Path | Run) -> Run:
    """The same failure under a smaller plan of faults, as data that :func:`quorate.replay` takes.

    `run` is a failing run's file, or its data, or JSON text. Directives are dropped and what is left is made
    shorter and plainer, as long as a property that was violated still is (delta debugging; Zeller and
    Hildebrandt 2002). Each try runs the whole seed; ``result["shrunk"]`` says from how many directives to how
    many, and in how many tries.

    Raises ArgumentError where the run does not fail; ParseError, NewerError or CorruptError as `replay` does.
    """
    handle = shrink_handle(run)
    Progress.replay(handle, lib.qrt_cluster_replay_run)
    tries = ffi.new("uint64_t *")
    with handle.held(), Progress("shrink", unit=" runs") as progress:
        while handle.more(lib.qrt_cluster_shrink, tries, ffi.NULL):
            progress.update(tries[0])
    return shrunk(handle)


def shrink_handle(run: str | Path | Run) -> Handle:
    """The replay of a run that is to be shrunk, which has not begun."""
    if is_capture(run):
        raise ArgumentError("a capture is of a live run, which cannot be made again under a smaller plan")
    return replay_handle(run, None)


def shrunk(handle: Handle) -> Run:
    """What it has come to."""
    run: Run = handle.json(lib.qrt_cluster_shrunk)
    return run
