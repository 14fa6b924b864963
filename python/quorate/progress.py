"""A progress bar for calls that take long: tqdm's, where tqdm is installed and somebody is watching."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from quorate._ffi import Handle

PATIENCE = 0.5  # seconds of real time before a bar appears
WITH_END = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f} of {total:.1f} s"  # a rate of seconds says nothing
WITHOUT_END = "{desc}: {n:.1f} s"
SLICE = 0.02  # seconds of real time after which a long call comes back


def _watched() -> bool:
    """A terminal, or a notebook's kernel."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stderr, "isatty", lambda: False)())


class Progress:
    """``with Progress("run", total, "s") as p: p.update(done)``: nothing is shown in the first half second.

    `total` and `done` are in `unit`; a total of 0 shows a bar without an end.
    """

    def __init__(self, what: str, total: float = 0, unit: str = "s") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._due = time.monotonic() + PATIENCE
        self._bar: Any = None
        self._off = not _watched()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: float) -> None:
        """`done` of the total are done."""
        if self._off or (self._bar is None and time.monotonic() < self._due):
            return
        if self._bar is None:
            self._bar = self._open()
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    @classmethod
    def replay(cls, handle: Handle, function: Any) -> None:
        """Makes a long call until it is done: a replay, whose end nobody knows before. Ctrl-C ends it."""
        with handle.held(), cls("replay") as progress:
            rounds = 0
            while handle.more(function):
                rounds += 1
                progress.update(rounds * SLICE)

    def _open(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about widgets that are missing; text does, too
                from tqdm.auto import tqdm
        except ImportError:
            self._off = True
            return None
        seconds = WITH_END if self._total else WITHOUT_END
        form = seconds if self._unit == "s" else None
        total = self._total or None
        return tqdm(total=total, desc=self._what, unit=self._unit, leave=False, bar_format=form)
