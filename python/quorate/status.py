"""A cluster and its nodes as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quorate.display import html_table, text_table
from quorate.results import known


@dataclass(frozen=True)
class NodeStatus:
    """One node as it stands: its role ("leader", "follower", "down", ...), log and counters."""

    node: int
    up: bool
    paused: bool
    role: str
    term: int
    leader: int
    first: int
    last: int
    commit: int
    applied: int
    sent: int = 0
    received: int = 0
    rejected: int = 0
    persisted: int = 0
    pid: int = 0  # of the node's own process, with transport "ipc" or "tcp"
    refused: int = 0  # connections of strangers
    shut: int = 0  # connections that made the node hold too much
    unaccepted: int = 0  # connections for which the system had no descriptor
    memory: int = 0  # bytes, resident
    memory_budget: int = 0  # bytes that it may take beside the data of its log and its machine
    disk: Mapping[str, Any] | None = None  # full; bytes of reserve; proposals refused; checkpoints skipped
    capture: Mapping[str, Any] | None = None  # bytes, lost inputs, why it stopped; None: there is none
    metrics_port: int = 0  # of 127.0.0.1, where its metrics are served; 0: nowhere
    other_version: int = 0  # frames that came from nodes or clients of another version
    warning: str = ""  # what is wrong with a node that is up
    why_down: str = ""
    suspects: tuple[int, ...] = ()

    @property
    def state(self) -> str:
        """The role in one word, "paused" or "down" where that is what matters."""
        return "down" if not self.up else "paused" if self.paused else self.role


@dataclass(frozen=True, repr=False)
class Status:
    """A cluster as it stands; `headline` says who leads, or else, as `reason`, why nobody does."""

    protocol: str
    runtime: str
    machine: str
    now: float
    leader: int
    reason: str
    nodes: tuple[NodeStatus, ...]
    counts: Mapping[str, int]
    options: Mapping[str, str]
    headline: str

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> Status:
        """From the JSON of ``qrt_cluster_status``."""
        views = ({**n, "suspects": tuple(n.get("suspects", ()))} for n in report["nodes"])
        nodes = tuple(known(NodeStatus, view) for view in views)
        return known(cls, {"machine": "", **report, "nodes": nodes})

    @property
    def _watched(self) -> bool:
        return self.options.get("detector", "none") != "none"

    def _header(self) -> tuple[str, ...]:
        header = ("node", "state", "term", "leader", "log", "commit", "applied", "sent", "received")
        return (*header, "suspects") if self._watched else header

    def _rows(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for n in self.nodes:
            leader = f"n{n.leader}" if n.leader else ""
            log = f"{n.first}..{n.last}"
            row = (f"n{n.node}", n.state, n.term, leader, log, n.commit, n.applied, n.sent, n.received)
            suspects = ", ".join(f"n{peer}" for peer in n.suspects)
            rows.append((*row, suspects) if self._watched else row)
        return rows

    def _title(self) -> str:
        when = f"{self.runtime}, at {self.now:.6g} s"
        return f"{self.protocol}, {len(self.nodes)} nodes, {when}: {self.headline}"

    def __repr__(self) -> str:
        return f"<Status of {self._title()}>"

    def __str__(self) -> str:
        down = [f"\nn{n.node} is down: {n.why_down}" for n in self.nodes if n.why_down]
        down += [f"\nn{n.node}: {n.warning}" for n in self.nodes if n.warning]
        return self._title() + "\n" + text_table(self._rows(), self._header()) + "".join(down)

    def _repr_html_(self) -> str:
        return html_table(self._rows(), self._header(), self._title())
