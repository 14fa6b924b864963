"""A museum of mistakes: small protocols as textbooks print them, each with what is wrong with it, and proof.

Every exhibit is a script of a page (see :class:`quorate.Node`) or a ring of nodes, a story, and the property
that it violates within 1,000 drawn seeds; where a few lines mend it, the class ``right`` has them and holds
on the same seeds.
`quorate bugs` lists the exhibits beside the mistakes that can be switched on in the built-in protocols;
`quorate bugs --prove` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quorate.museum.commit import SecondThoughts, SteadyCommit
from quorate.museum.heartbeat import OwnClock, SendersClock, completeness
from quorate.museum.paxos import FirstValue, Synod
from quorate.museum.placement import last_come
from quorate.museum.raft import ElectedBlind, ElectedByLog
from quorate.museum.vote import SmallerValue
from quorate.node import Node
from quorate.seedrun import SeedRun


@dataclass(frozen=True)
class Exhibit:
    """One mistake: what it is called, what it is (a class, or a function that tries it with a seed), and the
    name of the property that it violates.
    """

    name: str
    naive: type[Node] | Callable[[bool, int], bool]
    mistake: str
    violates: str
    source: str
    judges: tuple[Callable[[SeedRun], Any], ...] = ()
    right: type[Node] | None = None
    spec: dict[str, Any] = field(default_factory=lambda: {"events": 3000})

    def broken(self, seed: int, *, mended: bool = False) -> bool:
        """Whether that seed violates the property; `mended`: of the right version."""
        if not isinstance(self.naive, type):
            return self.naive(not mended, seed)
        kind = self.right if mended else self.naive
        assert kind is not None
        run = SeedRun(kind, self.spec, seed, record=bool(self.judges))
        try:
            return bool(run.judge(self.judges)[self.violates])
        finally:
            run.close()

    @property
    def has_mended(self) -> bool:
        """Whether there is a right version."""
        return self.right is not None or not isinstance(self.naive, type)

    @property
    def story(self) -> str:
        """What goes wrong, and why it looked right: its docstring."""
        return " ".join((self.naive.__doc__ or "").split())


EXHIBITS = (
    Exhibit(
        "heartbeat-senders-clock",
        SendersClock,
        "the sender of a heartbeat sets the receiver's clock",
        "completeness",
        "a textbook's failure detector",
        (completeness,),
        OwnClock,
    ),
    Exhibit(
        "paxos-first-value",
        FirstValue,
        "an acceptor takes the first value it sees, and there are no ballots",
        "progress",
        "a textbook's Paxos",
        (),
        Synod,
    ),
    Exhibit(
        "vote-smaller-value",
        SmallerValue,
        "a vote only copies the smaller value",
        "agreement",
        "a textbook's consensus by voting",
    ),
    Exhibit(
        "raft-no-log-check",
        ElectedBlind,
        "a vote is granted without comparing logs",
        "agreement",
        "a textbook's Raft",
        (),
        ElectedByLog,
    ),
    Exhibit(
        "commit-second-thoughts",
        SecondThoughts,
        "a participant that voted yes thinks twice",
        "atomicity",
        "a textbook's two-phase commit",
        (),
        SteadyCommit,
    ),
    Exhibit(
        "ring-order-dependent",
        last_come,
        "a virtual node takes the place of the one that it collides with",
        "placement-independent-of-order",
        "pekko#3279",
    ),
)
