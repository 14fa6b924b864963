"""The demo: a real text, loaded word by word into a replicated store while leaders crash and links break.

Several clients work at once. Each chunk of words belongs to whoever claims it first, by a compare-and-set
that expects its claim to be absent; the owner then appends the chunk's words, one by one, to the chunk's key.
At the end the text is put together from a scan, and must be the same byte for byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from quorate._ffi import checked_path
from quorate.client import Client
from quorate.cluster import Cluster
from quorate.errors import RangeError, StorageError, UnknownOutcome
from quorate.plan import Plan
from quorate.results import CheckResult
from quorate.trace import Trace

CHUNK = 25  # words
CALM = 0.5  # seconds before the first fault
PATIENCE = 60.0  # seconds that an operation may take, in the cluster's time

Say = Callable[[str], None]


@dataclass(frozen=True)
class Story:
    """How the demo went: verdicts, whether the text is whole, its hash, a space-time diagram as SVG."""

    result: CheckResult
    whole: bool
    sha256: str
    picture: str


def load_text(path: str | None = None) -> str:
    """The text of a file, or the project's licence as it was installed."""
    if path:
        return checked_path(path).read_text(encoding="utf-8")
    try:
        installed = metadata.distribution("quorate")
        text = installed.read_text("licenses/LICENSE") or installed.read_text("LICENSE")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        beside = Path(__file__).resolve().parents[2] / "LICENSE"
        if not beside.is_file():
            raise StorageError(
                "the licence was not installed with the package; name another text with --text"
            )
        text = beside.read_text(encoding="utf-8")
    return text


def plan() -> Plan:
    """What goes wrong meanwhile: leaders crash, links lose and delay, the network splits."""
    return (
        Plan()
        .every(1.0, "crash", start=CALM, node="leader", disk="unsynced", for_=0.4)
        .every(1.5, "partition", start=CALM + 0.6, shape="halves", for_=0.3)
        .every(0.7, "loss", start=CALM + 0.3, probability=0.1, for_=0.3)
        .every(1.1, "delay", start=CALM, delay={"uniform": ["1ms", "8ms"]}, for_=0.2)
        .every(1.3, "duplicate", start=CALM, probability=0.2, for_=0.2)
    )


@dataclass
class Work:
    """What all writers share: the chunks, and how far they are."""

    cluster: Cluster
    chunks: list[list[str]]
    say: Say
    written: int = 0
    leaders: list[int] = field(default_factory=list)

    def tell(self) -> None:
        """Says when somebody else leads."""
        leader = self.cluster.leader
        if leader is not None and self.leaders[-1:] != [leader]:
            self.leaders.append(leader)
            words = sum(map(len, self.chunks))
            self.say(
                f"{self.cluster.now:8.3f} s  n{leader} leads; {self.written} of {words} words are written"
            )


async def write(work: Work, client: Client) -> None:
    """One writer: claims chunks that nobody has, and appends their words."""
    for number, words in enumerate(work.chunks):
        if not await claim(client, f"claim/{number:05}"):
            continue
        for i in range(len(words)):
            await append(client, f"text/{number:05}", words, i)
            work.written += 1
            work.tell()


async def claim(client: Client, key: str) -> bool:
    """Whether the claim is ours: compare-and-set from absent, asked again where the outcome is unknown."""
    try:
        return bool(await client.start("cas", key, client.name, expected=None))
    except UnknownOutcome:
        return bool(await client.start("get", key) == client.name)


async def append(client: Client, key: str, words: list[str], i: int) -> None:
    """Appends the i-th word of our chunk; where the outcome is unknown, the chunk itself tells."""
    try:
        await client.start("append", key, words[i])
    except UnknownOutcome:
        if (await client.start("get", key) or "") == "".join(words[:i]):
            await client.start("append", key, words[i])


def play(
    text: str,
    nodes: int = 5,
    clients: int = 6,
    seed: int = 7,
    say: Say = print,
    transport: str | None = None,
) -> Story:
    """Plays it on a simulated cluster, or live over `transport`; a few seconds of the cluster's time."""
    if clients < 1:
        raise RangeError(f"the demo takes at least 1 client, not {clients}: nobody would load the text")
    words = re.findall(r"\s*\S+|\s+$", text)
    chunks = [words[i : i + CHUNK] for i in range(0, len(words), CHUNK)]
    expected = hashlib.sha256(text.encode()).hexdigest()
    live = {"runtime": "live", "transport": transport} if transport else {}
    with Cluster("raft", nodes=nodes, seed=seed, timeout=PATIENCE, **live) as cluster:
        say(f"{len(words)} words, {clients} clients, {nodes} nodes; sha256 {expected[:16]}...")
        work = Work(cluster, chunks, say)
        cluster.wait_leader()
        cluster.apply(plan())
        asyncio.run(_write_all(work, clients))
        say(f"{cluster.now:8.3f} s  all words are written; {_faults(cluster)}")
        picture = cluster.trace.svg(_first_commit(cluster.trace))
        pairs = cluster.client().scan("text/", "text0", timeout=PATIENCE)
        found = "".join(value for _, value in pairs)
        sha256 = hashlib.sha256(found.encode()).hexdigest()
        whole = sha256 == expected
        say(
            f"{cluster.now:8.3f} s  read back: sha256 {sha256[:16]}..., {'whole' if whole else 'NOT WHOLE'}\n"
        )
        return Story(cluster.check(), whole, sha256, picture)


async def _write_all(work: Work, clients: int) -> None:
    await asyncio.gather(*(write(work, work.cluster.client()) for _ in range(clients)))


def _first_commit(trace: Trace) -> int | None:
    """Where the picture ends: a follower learns that the first client's entry is committed (the first
    entry of all is the leader's own). Until there it shows an election and how a log is replicated.
    """
    commit = next(number for number, name in trace.kinds.items() if name == "commit")
    for i, (kind, index, led) in enumerate(zip(trace["kind"], trace["index"], trace["detail"], strict=True)):
        if kind == commit and index > 1 and not led:
            return trace.first + i
    return None


def _faults(cluster: Cluster) -> str:
    m = cluster.metrics
    return f"{m['crashes']} crashes, {m['restarts']} restarts, {m['dropped']} messages dropped"
