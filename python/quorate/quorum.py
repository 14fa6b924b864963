"""Quorum rules: how many nodes decide, and what that stands.

>>> q.quorum("byzantine", 4)
Quorum(rule='byzantine', nodes=4, read=3, write=3, crashes=1, liars=1, ...)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from quorate._ffi import c_text, error_of, ffi, lib, text_at
from quorate.errors import ArgumentError, RangeError


@dataclass(frozen=True)
class Quorum:
    """A rule over `nodes` nodes: the sizes of its smallest read and write quorums, and how many crashes and
    liars, whichever nodes they are, it stands."""

    rule: str
    nodes: int
    read: int
    write: int
    crashes: int
    liars: int
    text: str = field(repr=False)

    @property
    def size(self) -> int:
        """Of a quorum that decides (writes)."""
        return self.write

    def met(self, members: Iterable[int], *, phase: str = "write") -> bool:
        """Do these nodes (ids from 1) hold a quorum to "write" or to "read"?"""
        flags, place = bytearray(self.nodes), ffi.new("bool *")
        for member in members:
            if not 1 <= member <= self.nodes:
                raise RangeError(f"there is no node {member} among {self.nodes}; ids count from 1")
            flags[member - 1] = 1
        if phase not in ("read", "write"):
            raise ArgumentError(f'a phase is "read" or "write", not {phase!r}')
        number = int(phase == "write")
        status = lib.qrt_quorum_met(c_text(self.rule), self.nodes, number, bytes(flags), place)
        if status < 0:
            raise error_of(status)
        return bool(place[0])

    def __str__(self) -> str:
        return self.text


def quorum(rule: str, nodes: int, *, reads_meet: bool = False, writes_meet: bool = False) -> Quorum:
    """What a rule makes of a number of nodes.

    rule: "majority", "two-thirds" (or "byzantine"), "all", "weighted:3,1,1", "flexible:2,4", "grid:2x3".
    Raises ArgumentError, with the arithmetic, when quorums that must meet need not: a read and a write quorum
    always; two of a kind where asked (`reads_meet`: one vote a term elects one leader only then).
    """
    place = ffi.new("qrt_quorum *")
    needs = lib.QRT_QUORUM_READS_MEET * reads_meet | lib.QRT_QUORUM_WRITES_MEET * writes_meet
    status = lib.qrt_quorum_rule(c_text(rule), max(0, nodes), needs, place)
    if status < 0:
        raise error_of(status)
    return Quorum(rule, place.nodes, place.read, place.write, place.crashes, place.liars, text_at(place.text))
