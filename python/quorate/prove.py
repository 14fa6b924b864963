"""Proof that mistakes are caught: each one's own property fires within so many seeds, or this says that
it does not. The mistakes switched on in built-in protocols run as campaigns, the museum's scripts seed by
seed; where an exhibit has a right version, it must hold on the same seeds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from quorate.campaigns import Campaign, CampaignResult, campaign_spec
from quorate.catalogue import Table, bugs
from quorate.museum import EXHIBITS, Exhibit
from quorate.progress import Progress

SEEDS = 1000  # within which a mistake must be caught
_ROUND, _ROUND_SLOW = 100, 10  # seeds between two looks at whether it was; of a script


@dataclass(frozen=True)
class Proof:
    """One mistake: of `seeds` seeds `hits` violated its property, the `first` of them first. `right` says
    on how many of these seeds the right version broke it; None: there is none.
    """

    name: str
    protocol: str
    violates: str
    mistake: str
    seeds: int
    hits: int
    first: int | None
    right: int | None
    seconds: float

    @property
    def caught(self) -> bool:
        """The property fired, and not on the right version."""
        return self.hits > 0 and not self.right

    @property
    def row(self) -> dict[str, Any]:
        """For a table and for JSON."""
        rate = f"{self.hits} of {self.seeds}"
        verdict = "caught" if self.caught else "false alarm" if self.right else "not caught"
        right = "" if self.right is None else "holds" if not self.right else f"broken on {self.right}"
        words = {"property": self.violates, "rate": rate, "verdict": verdict, "mended": right}
        return {**asdict(self), **words, "caught": self.caught}


HEADER = ("name", "protocol", "property", "first", "rate", "mended", "verdict")


def listed(protocol: str | None = None) -> Table:
    """The mistakes of one protocol ("museum": the exhibits), or of all: name, protocol, mistake, property,
    source; of exhibits also their story.
    """
    rows: list[dict[str, Any]] = list(bugs(protocol)) if protocol != "museum" else []
    if protocol in (None, "museum"):
        rows += [
            {
                "name": x.name, "protocol": "museum", "mistake": x.mistake, "property": x.violates,
                "source": x.source, "story": x.story,
            }
            for x in EXHIBITS
        ]  # fmt: skip
    return Table(rows, ("name", "protocol", "property", "mistake"))


def prove(
    names: Iterable[str] = (), *, protocol: str | None = None, seeds: int = SEEDS, jobs: int | None = None
) -> Iterator[Proof]:
    """One Proof after the other: of the mistakes named, or of all those of a protocol, or of all. Each
    runs in rounds of 100 seeds (a script of 10) until its property has fired, at most `seeds`. Raises
    KeyError for an unknown name.
    """
    known = listed(protocol)
    wanted = [known[name] for name in names] or list(known)
    exhibits = {x.name: x for x in EXHIBITS}
    with Progress("prove", len(wanted), "mistakes") as progress:
        for i, row in enumerate(wanted):
            if row["protocol"] == "museum":
                yield _prove_exhibit(exhibits[row["name"]], seeds)
            else:
                yield _prove_bug(row, seeds, jobs)
            progress.update(i + 1)


def _rounds(seeds: int, size: int) -> Iterator[range]:
    for first in range(1, seeds + 1, size):
        yield range(first, min(first + size, seeds + 1))


def _prove_bug(row: dict[str, Any], seeds: int, jobs: int | None) -> Proof:
    begun, run, hits = time.perf_counter(), 0, []
    for some in _rounds(seeds, _ROUND):
        fields = {"bug": row["name"], "jobs": jobs}
        whole = Campaign(campaign_spec(row["protocol"], some, fields))
        try:
            hits += _seeds_of(whole.run(), row["property"])
        finally:
            whole.close()
        run += len(some)
        if hits:
            break
    return _proof(row, run, hits, None, begun)


def _seeds_of(result: CampaignResult, name: str) -> list[int]:
    """The seeds that violate a property."""
    entries = [*result.report["violations"], *result.report["stuck"]]
    return sorted(int(e["seed"]) for e in entries if name in e["properties"])


def _prove_exhibit(x: Exhibit, seeds: int) -> Proof:
    row = {"name": x.name, "protocol": "museum", "property": x.violates, "mistake": x.mistake}
    begun, run, hits, broken = time.perf_counter(), 0, [], 0
    for some in _rounds(seeds, _ROUND_SLOW):
        hits += [seed for seed in some if x.broken(seed)]
        broken += sum(x.broken(seed, mended=True) for seed in some) if x.has_mended else 0
        run += len(some)
        if hits:
            break
    return _proof(row, run, hits, broken if x.has_mended else None, begun)


def _proof(row: dict[str, Any], run: int, hits: list[int], right: int | None, begun: float) -> Proof:
    first = hits[0] if hits else None
    seconds = time.perf_counter() - begun
    return Proof(
        row["name"], row["protocol"], row["property"], row["mistake"], run, len(hits), first, right, seconds
    )
