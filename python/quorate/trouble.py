"""What a soak does to a cluster beside its load, and what a protocol stands of it."""

from __future__ import annotations

import random
from collections.abc import Iterable

from quorate.catalogue import fault_model
from quorate.errors import RangeError
from quorate.plan import Plan

FAULTS = ("kill", "pause", "cut", "loss", "corrupt")
TROUBLE = 0.25  # seconds that a round's pause, cut, loss and corruption last
SHARE = 0.1  # of the messages that are lost or corrupted
ROOM = {  # what a fault model says of each
    "kill": "crash_recovers",
    "pause": "pause",
    "cut": "partition",
    "loss": "loss",
    "corrupt": "corruption",
}


def choose_faults(text: str | None, protocol: str = "raft") -> tuple[str, ...]:
    """The faults that a list with commas names; None: all that the protocol's model has room for. RangeError
    for one that there is not, or that is outside of the model.
    """
    model = fault_model(protocol)
    room = tuple(name for name in FAULTS if model[ROOM[name]])
    if text is None:
        return room
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in chosen:
        if name not in FAULTS:
            raise RangeError(f"the soak has no fault {name!r}; it has {', '.join(FAULTS)}")
        if name not in room:
            raise RangeError(
                f"{protocol} does not stand the fault {name!r}: {model['assumes']}; it stands "
                f"{', '.join(room)}"
            )
    return chosen


def trouble(choose: random.Random, nodes: list[int], faults: Iterable[str]) -> Plan:
    """What a round does beside its kills: each fault with even chances, over in `TROUBLE` seconds."""
    plan = Plan()
    for fault in faults:
        node, other = choose.sample(nodes, 2)
        if choose.random() < 0.5:
            continue
        if fault == "pause":
            plan = plan.at(0, "pause", node=node, for_=TROUBLE)
        elif fault == "cut":
            rest = [n for n in nodes if n != other]
            groups = [[other], rest] if choose.random() < 0.5 else [rest, [other]]
            plan = plan.at(0, "partition", groups=groups, one_way=True, for_=TROUBLE)
        elif fault in ("loss", "corrupt"):
            plan = plan.at(0, fault, probability=SHARE, for_=TROUBLE)
    return plan
