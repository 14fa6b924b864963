"""Live, a protocol that needs a bound on delays: where the bound was broken, the report says so."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import quorate as q

try:
    q.Cluster("raft", runtime="live").close()
except q.UnsupportedError as error:  # a build without the live runtime
    pytest.skip(str(error), allow_module_level=True)

BOUND = {
    "floodset": {"bound": 0.1},
    "bully": {"reply_timeout": 0.2},
    "ring": {"reply_timeout": 0.2},
    "3pc": {"phase_timeout": 0.2},
}


def ask(c: q.Cluster) -> None:
    """A decision, or an election; how it ends is no matter here."""
    try:
        if c.status().protocol == "3pc":
            c.transaction([1, 2, 3])
        else:
            c.propose("x")
    except q.OperatingError:
        pass


@pytest.mark.parametrize("protocol", BOUND)
def test_a_process_that_was_stopped_is_named(protocol: str):
    """By a SIGSTOP from outside, which no plan knows of: what waited, or rang late, is named."""
    with q.Cluster(
        protocol, nodes=3, runtime="live", transport="tcp", timeout=20, **BOUND[protocol]
    ) as c:
        ask(c)
        pid = c.status().nodes[1].pid
        os.kill(pid, signal.SIGSTOP)
        if protocol == "3pc":
            ask(c)
        else:
            c.propose_later("while it is stopped", node=1)
            time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        ask(c)
        c.run(0.1)
        broken = c.check().assumption
        assert broken and 0 < broken["time"] < c.now
        assert broken["broken_by"].startswith("delay bound 100 ms, ")
        assert broken["text"].startswith(f"assumption broken: {broken['broken_by']} at ")
        assert f"{protocol} assumes that messages and steps take no longer than a known" in broken["text"]


def test_a_violation_beyond_the_bound_stays_one_and_is_explained(tmp_path: Path):
    """n1's messages are late: it alone knows its value in time, and decides another one than the rest."""
    folder = str(tmp_path / "run")
    with q.Cluster(
        "floodset", nodes=3, runtime="live", bound="50ms", timeout=20, capture=folder, capture_size="64MiB"
    ) as c:
        c.delay("1s", (1, "any"))
        for node, value in ((1, "a"), (2, "b"), (3, "b")):
            c.propose_later(value, node=node)
        c.run(1)
        result = c.check()
    assert result.verdict == "violated"
    assert result.assumption and result.assumption["broken_by"] == "a fault of the plan: delay"
    assert "\nassumption broken: a fault of the plan: delay at " in str(result)
    replayed = q.replay(folder)
    assert replayed.verdict == "violated"


def test_who_needs_no_bound_has_none_to_break():
    """Raft stands delays: nothing is said of them."""
    with q.Cluster("raft", nodes=3, runtime="live") as c:
        c.wait_leader()
        c.delay("100ms")
        c.run(0.3)
        result = c.check()
        assert result.assumption is None and "assumption" not in str(result)


def test_a_replay_names_what_was_broken_too(tmp_path: Path):
    """From the captured times: a message that a fault held up for longer than the bound."""
    folder = str(tmp_path / "run")
    with q.Cluster("bully", nodes=3, runtime="live", reply_timeout="1s", timeout=20, capture=folder) as c:
        c.delay("800ms", (1, "any"))
        c.propose_later("elect", node=1)
        c.run(2)
    assert "assumption broken: delay bound 500 ms, n1 to n" in str(q.replay(folder))
