"""Histories: what clients asked and were told, and whether one copy of the data could have answered so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quorate._ffi import Handle, c_text, checked_path, encode, ffi, lib
from quorate.progress import Progress
from quorate.turns import until_done

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class HistoryVerdict:
    """Whether a history is linearizable: "ok", "violated" or, when the budget was spent, "unknown".

    `prefix` is the length of the longest legal prefix found, `order` the numbers of its operations; `bad` is
    the number of the first operation that cannot be explained, and `explanation` says why. `key` is the key
    that it is about.
    """

    verdict: str
    seconds: float
    prefix: int
    bad: int | None = None
    explanation: str = ""
    key: str | None = None
    partitions: int = 0
    states: int = 0
    order: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """It is linearizable."""
        return self.verdict == "ok"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        text = f"linearizability: {self.verdict} ({self.seconds:.3g} s, {self.prefix} operations are legal)"
        return f"{text}\n{self.explanation}" if self.explanation else text


class History:
    """A snapshot of what clients saw, or a history of your own.

    Read with ``History.parse`` or ``load``: etcd's Jepsen log lines, EDN, or our JSON; the format is
    recognised.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def parse(cls, text: str | bytes) -> History:
        """From text. Raises ParseError with line and column."""
        data = encode(text)
        return cls(Handle.make("history", lib.qrt_history_free, lib.qrt_history_parse, data, len(data)))

    @classmethod
    def load(cls, path: str | Path) -> History:
        """From a file. Raises StorageError where it cannot be read."""
        return cls.parse(checked_path(path).read_bytes())

    def __len__(self) -> int:
        with self._handle.held() as pointer:
            return int(lib.qrt_history_count(pointer))

    def edn(self) -> str:
        """For Jepsen's tools: one map a line."""
        return self._handle.text(lib.qrt_history_print, b"edn")

    def json(self) -> str:
        """Our own form, which reads back to exactly the same history."""
        return self._handle.text(lib.qrt_history_print, b"json")

    def save(self, path: str | Path) -> None:
        """Into a file: EDN where its name ends so, else JSON."""
        text = self.edn() if str(path).endswith(".edn") else self.json()
        Path(path).write_text(text, encoding="utf-8", errors="surrogateescape")

    @property
    def operations(self) -> list[Mapping[str, Any]]:
        """The operations as plain data: process, f, key, value, expected, result, outcome, invoke_ns,
        return_ns.
        """
        return list(json.loads(self.json())["history"])

    def to_pandas(self) -> pandas.DataFrame:
        """The operations as a DataFrame, with `latency` in seconds (missing where there was no answer)."""
        import pandas

        names = ["process", "f", "key", "value", "expected", "result", "outcome", "invoke_ns", "return_ns"]
        frame: pandas.DataFrame = pandas.DataFrame(self.operations).reindex(columns=names)
        frame["latency"] = (frame["return_ns"] - frame["invoke_ns"]) / 1e9
        return frame

    def check(
        self, model: str = "kv", initial: str | None = None, seconds: float = 60.0, memory: int = 0
    ) -> HistoryVerdict:
        """Linearizability under a model: "cas-register", "append-kv", "kv", "counter", "lock".

        `initial` is the first value (None: nil). Gives "unknown" after `seconds` of work or beyond `memory`
        bytes (0: 256 MiB). Raises NotFoundError for an unknown model.
        """
        more = self._checking(model, initial, seconds, memory)
        with self._handle.held(), Progress("check") as progress:
            rounds = 0
            while more():
                rounds += 1
                progress.update(rounds * 0.02)
        return self._verdict()

    def _checking(self, model: str, initial: str | None, seconds: float, memory: int) -> Callable[[], bool]:
        start = ffi.NULL if initial is None else c_text(initial)
        wanted = (c_text(model), start, float(seconds), memory)
        return lambda: self._handle.more(lib.qrt_history_check, *wanted)

    def _verdict(self) -> HistoryVerdict:
        report = self._handle.json(lib.qrt_history_report)
        known = {name: report[name] for name in HistoryVerdict.__dataclass_fields__ if name in report}
        return HistoryVerdict(**{**known, "order": tuple(report.get("order", ()))})

    @property
    def aio(self) -> AwaitableHistory:
        """``await history.aio.check("kv")``; see :mod:`quorate.aio`."""
        return AwaitableHistory(self)

    def close(self) -> None:
        """Frees it; again is harmless."""
        self._handle.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<History, closed>" if self._handle.closed else f"<History of {len(self)} operations>"


class AwaitableHistory:
    """The waiting call of a history, to be awaited; see :mod:`quorate.aio`."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def check(
        self, model: str = "kv", initial: str | None = None, seconds: float = 60.0, memory: int = 0
    ) -> HistoryVerdict:
        """Linearizability under a model."""
        more = self._history._checking(model, initial, seconds, memory)
        await until_done(self._history._handle, False, more)
        return self._history._verdict()
