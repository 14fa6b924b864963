"""Captures of live nodes: whatever kills them, the replay does in every step what they did."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import quorate as q


def quorate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quorate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


FAST = {"election_timeout": "150ms", "heartbeat_interval": "30ms"}


def live(folder: Path, transport: str = "tcp", **more: Any) -> q.Cluster:
    return q.Cluster(
        "raft", nodes=3, seed=5, runtime="live", transport=transport, capture=str(folder), **{**FAST, **more}
    )


def whole(folder: Path, incarnations: int, operations: int = 0) -> q.CaptureReplay:
    """Nothing differs or is missing; only a kill's last steps could not be compared. So many operations, or
    more, of clients are judged."""
    replayed = q.replay(folder)
    assert replayed.verdict == "ok", str(replayed)
    lives = [one for node in replayed.nodes for one in node["incarnations"]]
    assert len(lives) >= incarnations
    assert replayed.matched + replayed.uncompared == replayed.steps
    assert replayed.uncompared <= len(lives)
    assert replayed.matched > 100
    assert replayed.history["whole"] and replayed.history["operations"] >= operations
    assert replayed.verdicts.get("linearizability", "none") == ("ok" if operations else "none")
    return replayed


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_kills_and_pauses_replay(tmp_path: Path, transport: str) -> None:
    folder = tmp_path / "capture"
    with live(folder, transport) as c:
        leader = c.wait_leader()
        c.load(clients=4, operations=200)
        c.crash(leader)
        other = c.wait_leader(other_than=leader)
        c.restart(leader)
        c.load(clients=4, operations=100)
        c.pause(other)
        c.wait_leader(other_than=other)
        c.resume(other)
        c.crash(leader, disk="wiped")
        c.restart(leader)
        c.load(clients=4, operations=100)
        assert c.check().verdict == "ok"
        status = c.status().nodes[leader - 1]  # in its third life, however little that has written yet
        assert status.capture["bytes"] > 10000 and status.capture["lost"] == 0
    replayed = whole(folder, 5, 400)
    assert replayed.history["operations"] == 400 and "400 client operations: " in str(replayed)
    assert len(replayed.trace) == min(replayed.report["events"], 20000)
    assert set(replayed.trace.column("node")[-500:]) >= {1, 2, 3}
    other = q.replay(folder, bug="vote-before-sync")
    assert other.verdict == "differs" and "vote" in other.differs["input"], str(other)
    shown = other.differs["node"], round(other.differs["time"] * 1e9)
    last = other.trace.column("node")[-1], other.trace.column("time")[-1]
    assert shown == last and "<svg" in other.trace.svg()
    assert f"the first step that differs: n{other.differs['node']}" in str(other)


def test_a_majority_killed_from_outside(tmp_path: Path) -> None:
    """All nodes but one die at once, in the middle of whatever they do."""
    folder = tmp_path / "capture"
    with live(folder) as c:
        c.wait_leader()
        for _ in range(3):
            c.load(clients=4, operations=300, wait=False)
            wanted = c.load_report().ok + 50  # somewhere in it
            c.run_until(lambda c, wanted=wanted: c.load_report().ok >= wanted)
            for node in c.status().nodes[:2]:
                os.kill(node.pid, signal.SIGKILL)
            c.run_until(lambda c: not any(n.up for n in c.status().nodes[:2]))
            c.restart(1)
            c.restart(2)
            c.wait_leader()
        assert c.check().verdict == "ok"
    whole(folder, 9, 150)


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_checkpoints_and_kills_replay(tmp_path: Path, transport: str) -> None:
    """Checkpoints that a thread saves, every few entries, and snapshots for who was away: when each became
    durable is replayed, and a kill may come before that or behind it."""
    folder = tmp_path / "capture"
    options = {"snapshot_threshold": 12, "snapshot_keep": 4, "disk": "folder", "data": str(tmp_path / "data")}
    with live(folder, transport, **options) as c:
        c.wait_leader()
        for turn in range(6):
            victim = turn % 3 + 1
            c.crash(victim)
            c.load(clients=4, operations=100)
            c.restart(victim)
            c.load(clients=4, operations=60)
        assert c.check().verdict == "ok"
    replayed = whole(folder, 9, 960)
    kinds = {name: number for number, name in replayed.trace.kinds.items()}
    seen = replayed.trace.column("kind").tolist()
    assert seen.count(kinds["checkpoint"]) > 20 and seen.count(kinds["restore"]) > 0


def test_the_command_line(tmp_path: Path) -> None:
    """0: all the same; 4: a step differs; 3: a part is missing. What is printed says which."""
    folder = tmp_path / "capture"
    with live(folder) as c:
        c.wait_leader()
        c.load(clients=4, operations=100)
    replayed = whole(folder, 3, 100)
    again = quorate("replay", folder, "--json")
    assert again.returncode == 0 and json.loads(again.stdout)["hash"] == replayed.hash
    differs = quorate("replay", folder, "--bug", "vote-before-sync")
    assert differs.returncode == 4 and "the first step that differs: n" in differs.stdout
    shown = quorate("replay", folder)
    assert shown.returncode == 0 and "n1 incarnation 1" in shown.stdout
    lines = quorate("replay", folder, "--last", 5, "--id", 2, "--picture", tmp_path / "it.svg")
    assert lines.returncode == 0 and all(" n2 " in line for line in lines.stdout.splitlines()[:5]), lines
    assert "<svg" in (tmp_path / "it.svg").read_text(encoding="utf-8")
    assert json.loads(quorate("replay", folder, "--last", 3, "--json").stdout)["last"]
    assert len(q.replay(folder, record=7).trace) == 7
    first = next(folder.glob("n2-*.capture"))
    first.write_bytes(first.read_bytes()[:2000])
    cut = quorate("replay", folder)
    assert cut.returncode == 3 and f"n2: {first.name}, byte " in cut.stdout
    assert "; 1 gap in the capture" in cut.stdout
    for wrong, why in ((("--last", 0), "from 1 on, not 0"), (("--last", 1, "--id", 9), "nodes are 1 to 3")):
        refused = quorate("replay", folder, *wrong)
        assert refused.returncode == 2 and why in refused.stderr
    clients = folder / "clients-000001.capture"
    clients.write_bytes(clients.read_bytes()[:9000])
    ended = q.replay(folder)
    assert ended.verdicts["linearizability"] == "unknown" and not ended.history["whole"]
    assert 0 < ended.history["operations"] < 100
    assert f"the history ends: {clients.name}, byte " in str(ended)
    first.unlink()
    none = q.replay(folder)
    assert none.verdict == "unknown" and none.report["judged_until"] == 0
    assert "could be followed: one of them not even at its beginning" in str(none)


def test_what_cannot_be_captured(tmp_path: Path) -> None:
    """A folder holds one capture; a protocol of the user's own is refused; bug= is for captures."""
    q.Cluster(capture=str(tmp_path)).close()
    with pytest.raises(q.ArgumentError, match="holds a capture already"):
        q.Cluster(capture=str(tmp_path))

    class Own(q.Node):
        pass

    with pytest.raises(q.UnsupportedError, match="cannot be captured"):
        q.Cluster(Own, capture=str(tmp_path / "own"))
    with pytest.raises(q.ArgumentError, match="captures"):
        q.replay("{}", bug="even-quorum")
    with pytest.raises(q.NotFoundError, match="holds no capture"):
        q.replay(tmp_path.parent)


def test_a_capture_that_stops_is_said(tmp_path: Path) -> None:
    """Budgets are used up: the nodes and clients go on, and log, status and replay say what is missing."""
    folder, log = tmp_path / "capture", tmp_path / "log"
    with live(folder, "inproc", capture_size="8MiB", log=f"warn:{log}", metrics=0, disk="memory") as c:
        c.wait_leader()
        said = False
        for _ in range(20):
            c.load(clients=8, operations=20000)
            said = log.exists() and "clients' history stops: its budget" in log.read_text(encoding="utf-8")
            if said:
                break
        assert said
        c.client().put("x", "1")
        while not c.status().nodes[0].capture["lost"]:  # a follower's inputs are larger and fewer
            c.load(clients=8, operations=5000)
        c.run_until(
            lambda _: " n1 its capture stops: its budget" in log.read_text(encoding="utf-8"), every=0.05
        )
    replayed = q.replay(folder)
    assert replayed.verdict == "unknown" and replayed.verdicts["linearizability"] == "unknown"
    assert replayed.history["operations"] > 10000 and not replayed.history["whole"]
    assert "behind which the history ends: clients-" in str(replayed)
    assert log.read_text(encoding="utf-8").count("clients' history stops") == 1


OWNER = """
import os, signal, sys
import quorate as q
c = q.Cluster("raft", nodes=3, runtime="live", transport="tcp", capture=sys.argv[1], election_timeout="150ms")
c.wait_leader()
c.load(clients=4, operations=100)
c.crash(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_owner_leaves_a_capture(tmp_path: Path) -> None:
    """With the owner every node dies at once, and nobody ends the files: what is in them replays."""
    folder = tmp_path / "capture"
    done = subprocess.run([sys.executable, "-c", OWNER, str(folder)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    whole(folder, 3, 100)


@pytest.mark.parametrize("protocol", ["paxos", "2pc", "primary-backup"])
def test_other_protocols_replay_live(tmp_path: Path, protocol: str) -> None:
    """Timers, detectors, refusals, a crash and a restart of a protocol that is not Raft."""
    with q.Cluster(
        protocol, nodes=3, runtime="live", transport="ipc", capture=str(tmp_path / "it"), detector="timeout"
    ) as c:
        for step in range(4):
            with contextlib.suppress(q.QuorateError):
                c.propose(f"x{step}", timeout=0.2)
            if step == 1:
                c.crash(2)
            if step == 2:
                c.restart(2)
        c.run(0.1)
    whole(tmp_path / "it", 4)


def test_a_captured_soak_replays(tmp_path: Path) -> None:
    """Kills of one and of a majority, pauses, cuts, loss and corrupt frames, by the users' command."""
    sized = ("--rounds", "4", "--nodes", "3", "--clients", "4")
    done = quorate("soak", *sized, "--capture", tmp_path / "it", "--json")
    assert done.returncode == 0, done.stdout
    replayed = json.loads(done.stdout)["replay"]
    assert replayed["verdict"] == "ok" and replayed["matched"] > 500
    assert replayed["history"]["whole"] and replayed["history"]["operations"] > 100
