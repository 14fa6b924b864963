"""A machine that proposes and breaks, driven by Hypothesis: never violated, nothing acknowledged is ever
lost.
"""

from __future__ import annotations

import contextlib

import quorate as q
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

NODES = 5
KEYS = ["a", "b", "c"]
DISKS = st.sampled_from(["kept", "unsynced"])
NODE = st.integers(1, NODES)


class Breaker(RuleBasedStateMachine):
    """One client appends words and remembers what it was told; everything else happens to the cluster."""

    cluster: q.Cluster

    @initialize(seed=st.integers(0, 2**32), pre_vote=st.booleans())
    def start(self, seed: int, pre_vote: bool) -> None:
        self.cluster = q.Cluster("raft", nodes=NODES, seed=seed, pre_vote=pre_vote)
        self.client = self.cluster.client()
        self.known: dict[str, str] = dict.fromkeys(KEYS, "")  # acknowledged
        self.doubt: dict[str, list[str]] = {key: [] for key in KEYS}  # words of unknown outcome
        self.words = 0
        self.wiped: set[int] = set()

    @rule(key=st.sampled_from(KEYS))
    def append(self, key: str) -> None:
        self.words += 1
        word = f"<{self.words}>"
        try:
            self.client.append(key, word, timeout=1.0)
            self.known[key] += word
        except q.UnknownOutcome:
            self.doubt[key].append(word)
            self.client = self.cluster.client()  # the old one waits for its answer
        except (q.FailedError, q.NoLeaderError, q.SessionError):
            self.client = self.cluster.client()

    @rule(key=st.sampled_from(KEYS))
    def read(self, key: str) -> None:
        try:
            value = self.client.get(key, timeout=1.0) or ""
        except q.OperatingError:
            self.client = self.cluster.client()
            return
        self.compare(key, value)

    def compare(self, key: str, value: str) -> None:
        """The value is what was acknowledged, in order, with doubtful words anywhere, each at most once."""
        for word in self.doubt[key]:
            assert value.count(word) <= 1, f"{word} was executed twice: {value}"
            value = value.replace(word, "")
        assert value == self.known[key], f"acknowledged {self.known[key]}, found {value}"

    @rule(value=st.text(max_size=20))
    def propose(self, value: str) -> None:
        with contextlib.suppress(q.OperatingError):
            assert self.cluster.propose(value, timeout=0.5).index > 0

    @rule(node=NODE, disk=DISKS, effect=st.none() | st.integers(0, 6))
    def crash(self, node: int, disk: str, effect: int | None) -> None:
        self.cluster.crash(node, disk, effect)

    @rule(node=NODE)
    def wipe(self, node: int) -> None:
        """Loses a disk, but never those of more than a minority before they have caught up again."""
        recovering = {n.node for n in self.cluster.status().nodes if not n.up or n.role == "recovering"}
        self.wiped &= recovering
        if len(self.wiped | {node}) <= NODES // 2:
            self.cluster.crash(node, "wiped")
            self.wiped.add(node)

    @rule(node=NODE)
    def restart(self, node: int) -> None:
        self.cluster.restart(node)

    @rule(node=NODE)
    def pause(self, node: int) -> None:
        self.cluster.pause(node)

    @rule(shape=st.sampled_from(["halves", "one", "leader", "ring", "bridge"]), one_way=st.booleans())
    def partition(self, shape: str, one_way: bool) -> None:
        self.cluster.partition(shape, one_way=one_way and shape in ("halves", "one", "leader"))

    @rule(probability=st.floats(0, 0.3), verb=st.sampled_from(["loss", "reorder", "duplicate", "corrupt"]))
    def disturb(self, probability: float, verb: str) -> None:
        getattr(self.cluster, verb)(probability)

    @rule()
    def mend(self) -> None:
        self.cluster.heal()
        self.cluster.resume("all")
        self.cluster.restart("all")

    @rule(seconds=st.floats(0, 1))
    def run_for(self, seconds: float) -> None:
        self.cluster.run(seconds)

    @invariant()
    def never_violated(self) -> None:
        if hasattr(self, "cluster"):
            result = self.cluster.check(seconds=2)
            assert result.verdict != "violated", str(result)

    def teardown(self) -> None:
        """Mended, the cluster leads and answers, and everything acknowledged is there."""
        if not hasattr(self, "cluster"):
            return
        with self.cluster as c:
            self.mend()
            c.run(1)  # a crash that waited for its effect happens now
            self.mend()
            c.run(5)
            c.wait_leader(timeout=10)
            reader = c.client()
            for key in KEYS:
                self.compare(key, reader.get(key, timeout=10) or "")
            assert c.check().verdict != "violated"


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
