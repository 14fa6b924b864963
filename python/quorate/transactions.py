"""Transactions of a protocol of atomic commit: begun, waited for, and who was blocked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quorate._ffi import encode, ffi, lib
from quorate.base import ClusterBase, node_id
from quorate.display import seconds_text
from quorate.progress import Progress

Work = Mapping[int, str | bytes] | Iterable[int]


@dataclass(frozen=True)
class Transaction:
    """How a transaction ended, or stands.

    `outcome` is "commit", "abort", or "unknown" when its coordinator did not live to say; `why` says more
    then. `index` is its number, `latency` the seconds from the call to the answer (unknown: until now).
    `votes` and `states` tell what each participant has voted ("yes", "no", "read-only", "none") and where it
    stands ("committed", "aborted", "prepared", "blocked", "down", "none"). `blocked` holds, for each
    participant that voted yes and then found nobody who knew the decision, for how many seconds it was
    blocked up to now.
    """

    outcome: str
    index: int
    latency: float
    coordinator: int
    votes: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, str] = field(default_factory=dict)
    blocked: Mapping[int, float] = field(default_factory=dict)
    why: str = ""

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> Transaction:
        """From the JSON of ``qrt_cluster_transaction``."""
        blocked: dict[int, float] = {}
        for b in report["blocked"]:
            blocked[b["node"]] = blocked.get(b["node"], 0.0) + b["seconds"]
        return cls(
            report["outcome"],
            report["index"],
            report["latency"],
            report["coordinator"],
            {p["node"]: p["vote"] for p in report["participants"]},
            {p["node"]: p["state"] for p in report["participants"]},
            blocked,
            report["why"],
        )

    @property
    def committed(self) -> bool:
        """Whether it has committed."""
        return self.outcome == "commit"

    def __bool__(self) -> bool:
        return self.committed

    def __str__(self) -> str:
        after = seconds_text(self.latency)
        waiting = ", ".join(f"n{node} {seconds_text(seconds)}" for node, seconds in self.blocked.items())
        blocked = f"; blocked: {waiting}" if waiting else ""
        return f"{self.outcome} by n{self.coordinator} after {after}{blocked}"


class Transactions(ClusterBase):
    """What a cluster of two-phase commit and its like takes."""

    def transaction(
        self,
        work: Work,
        *,
        refuse: Iterable[int] = (),
        read_only: Iterable[int] = (),
        coordinator: int | None = None,
        timeout: float | None = None,
    ) -> Transaction:
        """Runs a transaction: all participants commit, or none does.

        `work` maps each participant to what it is to do (text or bytes), or just lists the participants.
        Those in `refuse` vote no, those in `read_only` leave after their vote. `coordinator` takes it
        (default: the first participant). When the coordinator dies before it answers, the cluster runs on
        until every participant that is up has decided, or `timeout` is over; the result says who is blocked.

        Raises NotFoundError for a node that there is none of, NodeDownError for one that is down or paused,
        UnsupportedError when the protocol has no transactions.
        """
        ticket = self._begin(work, refuse, read_only, coordinator)
        deadline = self._deadline(timeout)
        with self._handle.held(), Progress("transaction") as progress:
            turns = 0
            while self._call(lib.qrt_cluster_transaction_await, ticket, deadline) == lib.QRT_MORE:
                turns += 1
                progress.update(turns * 0.02)
        return self._transaction(ticket)

    def _transaction(self, ticket: int) -> Transaction:
        return Transaction.from_report(self._handle.json(lib.qrt_cluster_transaction, ticket))

    def _begin(
        self, work: Work, refuse: Iterable[int], read_only: Iterable[int], coordinator: int | None
    ) -> int:
        votes = {node_id(n): lib.QRT_VOTE_NO for n in refuse}
        votes.update({node_id(n): lib.QRT_VOTE_READ_ONLY for n in read_only})
        given = work if isinstance(work, Mapping) else dict.fromkeys(work, b"")
        parts = {node_id(n): encode(what) for n, what in given.items()}
        parts.update({n: b"" for n in votes if n not in parts})
        kept = [
            (n, votes.get(n, lib.QRT_VOTE_YES), ffi.new("uint8_t[]", what), len(what))
            for n, what in parts.items()
        ]
        ticket = ffi.new("uint64_t *")
        array = ffi.new("qrt_participant[]", kept)
        self._call(lib.qrt_cluster_transact, node_id(coordinator), array, len(kept), ticket)
        return int(ticket[0])
