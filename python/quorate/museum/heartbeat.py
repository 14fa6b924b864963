"""A failure detector by heartbeats: naive, and right."""

from __future__ import annotations

from typing import Any

from quorate.node import Node
from quorate.seedrun import SeedRun

BEAT, TIMEOUT = 0.02, 0.06
BOUND = 0.15  # seconds after which a silent node must be suspected
TRUSTED, SUSPECTED = 0, 1


class SendersClock(Node):
    """Every node says the time now and then, and each notes that time as when it last heard of the other. So
    it is the sender who sets the receiver's clock: with clocks that differ by some seconds, a node whose
    clock was ahead is trusted long after it died, and one whose clock is behind is never trusted at all.
    """

    judged_by = ""
    # It is about clocks: what is late, repeated or held back would excuse it.
    fault_model = {"synchrony": True, "reorder": False, "duplicates": False, "pause": False}  # noqa: RUF012

    def on_start(self) -> None:
        self.state: Any = {"heard": {p: self.clock() for p in self.peers}, "suspected": []}
        for p in self.peers:
            self.note("state", index=p, detail=TRUSTED)
        self.on_timer("beat")

    def clock(self) -> float:
        """The clock that silence is measured by."""
        return self.wall

    def heard_at(self, message: float) -> float:
        """When the sender was last heard of."""
        return message

    def on_message(self, sender: int, message: float) -> None:
        self.state["heard"][sender] = self.heard_at(message)

    def on_timer(self, name: str) -> None:
        self.send_all(self.clock())
        for p in self.peers:
            silent = self.clock() - self.state["heard"][p] > TIMEOUT
            if silent != (p in self.state["suspected"]):
                self.note("state", index=p, detail=SUSPECTED if silent else TRUSTED)
                self.state["suspected"] = sorted(set(self.state["suspected"]) ^ {p})
        self.set_timer("beat", BEAT)


class OwnClock(SendersClock):
    """The same by the receiver's own clock, which never jumps, and is read when the heartbeat comes in."""

    def clock(self) -> float:
        return self.now

    def heard_at(self, message: float) -> float:
        return self.now


def completeness(run: SeedRun) -> str:
    """A node that has been down for BOUND seconds is suspected by every node that was at work all that
    time.
    """
    spans = _spans(run)
    for node, began, ended in spans["down"]:
        for other, since, until in spans["work"]:
            due = max(began, since) + BOUND
            if other == node or due >= min(ended, until):
                continue
            opinion = [
                e.state for e in run.entered if e.node == other and e.instance == node and e.time <= due
            ]
            if opinion[-1:] != [SUSPECTED]:
                return f"n{node} is down from {began:.3f} s on, but n{other} trusts it at {due:.3f} s"
    return ""


def _spans(run: SeedRun) -> dict[str, list[tuple[int, float, float]]]:
    """When each node was down, and when it was at work: up and not paused."""
    found: dict[str, list[tuple[int, float, float]]] = {"down": [], "work": []}
    now: dict[int, tuple[str, float]] = {}
    after = {"start": "work", "resume": "work", "pause": "paused", "crash": "down"}
    moments = [
        (e["number"], e["time"] / 1e9, e["node"], after[kind]) for kind in after for e in run.events(kind)
    ]
    end = run.cluster.now
    for _, time, node, what in sorted(moments):
        if node in now and now[node][0] in found:
            found[now[node][0]].append((node, now[node][1], time))
        now[node] = (what, time)
    for node, (what, time) in now.items():
        if what in found:
            found[what].append((node, time, end))
    return found
