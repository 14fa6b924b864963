"""The ballots of a run, read off its trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quorate.display import seconds_text


@dataclass(frozen=True)
class Ballot:
    """One ballot of one instance of consensus: a numbered proposal (Lamport 2001).

    `ballot` is round << 16 | node, where `node` is its proposer; `value` the hash of the bytes that it asked
    for (hexadecimal); `quorum` the acceptors that accepted it; `time` the seconds until enough of them had
    done so, and the value was chosen (None: that never came).
    """

    instance: int
    ballot: int
    round: int
    node: int
    value: str
    quorum: tuple[int, ...]
    time: float | None
    group: int = 0

    @classmethod
    def from_report(cls, row: Mapping[str, Any]) -> Ballot:
        """From a row of the JSON of ``qrt_trace_ballots``."""
        return cls(**{**row, "quorum": tuple(row["quorum"])})

    @property
    def chosen(self) -> bool:
        """A quorum accepted it."""
        return self.time is not None

    def __str__(self) -> str:
        nodes = ", ".join(f"n{n}" for n in self.quorum) or "nobody"
        after = "never chosen" if self.time is None else f"chosen after {seconds_text(self.time)}"
        return (
            f"instance {self.instance}, round {self.round} of n{self.node}: "
            f"{self.value} accepted by {nodes}, {after}"
        )
