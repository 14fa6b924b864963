"""What a soak does to a cluster beside its load, and what a protocol stands of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from quorate.base import whole
from quorate.catalogue import fault_model
from quorate.errors import RangeError
from quorate.plan import Plan

FAULTS = (
    "kill", "pause", "cut", "loss", "corrupt", "delay", "reorder", "duplicate", "bandwidth", "skew",
    "damage", "fill",
)  # fmt: skip
TROUBLE = 0.25  # seconds that a round's other faults last
SHARE = 0.1  # of the messages that are lost, corrupted, overtaken or doubled
SPREAD = ("1ms", "30ms")  # how late a message is, at least and at most
RATE = 250_000  # bytes a second of a link that is short of bandwidth
OFFSET, DRIFT = 0.2, 500  # a wrong clock, at most: seconds, and parts per million
ROOM = {  # what a fault model says of each
    "kill": "crash_recovers",
    "pause": "pause",
    "cut": "partition",
    "loss": "loss",
    "corrupt": "corruption",
    "reorder": "reorder",
    "duplicate": "duplicates",
    "skew": "skew",
    "damage": "crash_wipes",
    "fill": "loss",  # whoever has no room drops what it would write
}
TIMELY = ("delay", "bandwidth")  # what breaks a bound on delays, where the model needs one


def _has_room(model: Mapping[str, Any], fault: str) -> bool:
    return not model["synchrony"] if fault in TIMELY else bool(model[ROOM[fault]])


def at_least(least: int, what: str, name: str, number: int) -> int:
    """A number of rounds or nodes, or RangeError for one with which there is nothing to disturb."""
    if whole(f"{what} takes a number of {name}", number) < least:
        raise RangeError(f"{what} takes at least {least} {name}, not {number}")
    return number


def choose_faults(text: str | None, protocol: str = "raft") -> tuple[str, ...]:
    """The faults that a list with commas names; None: all that the protocol's model has room for. RangeError
    for none, one that there is not, or one that is outside of the model.
    """
    model = fault_model(protocol)
    room = tuple(name for name in FAULTS if _has_room(model, name))
    if text is None:
        return room
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    if not chosen:
        raise RangeError(f"a soak takes at least one fault; it has {', '.join(room)}")
    for name in chosen:
        if name not in FAULTS:
            raise RangeError(f"the soak has no fault {name!r}; it has {', '.join(FAULTS)}")
        if name not in room:
            raise RangeError(
                f"{protocol} does not stand the fault {name!r}: {model['assumes']}; it stands "
                f"{', '.join(room)}"
            )
    return chosen


def _directive(choose: random.Random, nodes: list[int], fault: str) -> tuple[str, dict[str, Any]]:
    """What one fault of a round is: its verb and fields."""
    node, other = choose.sample(nodes, 2)
    if fault == "cut":
        rest = [n for n in nodes if n != other]
        groups = [[other], rest] if choose.random() < 0.5 else [rest, [other]]
        return "partition", {"groups": groups, "one_way": True}
    if fault == "bandwidth":
        return fault, {"from_": node, "rate": RATE}
    if fault == "skew":
        offset, drift = choose.uniform(-OFFSET, OFFSET), choose.randint(-DRIFT, DRIFT)
        return fault, {"node": node, "offset": round(offset, 3), "drift": drift}
    if fault == "damage":
        return "crash", {"node": node, "disk": "damaged", "guarded": True}
    if fault in ("pause", "fill"):
        return fault, {"node": node}
    late: dict[str, dict[str, Any]] = {
        "delay": {"from_": node, "delay": {"uniform": list(SPREAD)}},
        "reorder": {"probability": SHARE, "spread": SPREAD[1]},
        "duplicate": {"probability": SHARE, "spread": SPREAD[1]},
    }
    return fault, late.get(fault, {"probability": SHARE})


def trouble(choose: random.Random, nodes: list[int], faults: Iterable[str]) -> Plan:
    """What a round does beside its kills: each fault with even chances, over in `TROUBLE` seconds."""
    plan = Plan()
    for fault in faults:
        verb, fields = _directive(choose, nodes, fault)
        if fault != "kill" and choose.random() < 0.5:
            plan = plan.at(0, verb, for_=TROUBLE, **fields)
    return plan
