"""Consensus protocols: proposing everywhere at once, the ballots of a run, the examples as they stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import quorate as q
from quorate.campaigns import run_file

ROOT = Path(__file__).resolve().parents[2]
PROTOCOLS = ["paxos", "floodset", "benor"]


def lua_environment() -> dict[str, str]:
    """Where Lua finds the sources and the built module; skips where there is none."""
    module = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev")) / "lua"
    if not shutil.which("lua5.4") or not (module / "quorate/core.so").exists():
        pytest.skip("no lua5.4, or the Lua module is not built")
    return {"LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;", "LUA_CPATH": f"{module}/?.so;;"}


def printed(command: list[str], **environment: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rivals_are_told_one_value(protocol: str):
    """In each instance, all who proposed there are told the same value, and one of them proposed it."""
    with q.Cluster(protocol, nodes=4, seed=2) as c:
        told: dict[int, bytes] = {}
        proposed: set[bytes] = set()
        for i in range(10):
            values = {node: f"{i} by n{node}" for node in c.nodes}
            proposed |= {v.encode() for v in values.values()}
            for p in [c.propose_later(v, node=node) for node, v in values.items()]:
                answer = p.result()
                assert told.setdefault(answer.index, answer.answer) == answer.answer
                assert answer.answer in proposed
        assert c.check().ok


def test_ballots():
    """Every instance has one chosen value; a quorum is a majority, and knows its proposer and its time."""
    with q.Cluster("paxos", nodes=5, seed=3) as c:
        rivals = [c.propose_later(f"by n{node}", node=node) for node in c.nodes]
        answers = [p.result() for p in rivals]
        ballots = c.trace.ballots()
        chosen = {b.instance: b for b in ballots if b.chosen}
        assert {a.index for a in answers} <= set(chosen)
        for b in chosen.values():
            assert len(b.quorum) >= 3 and b.ballot == b.round << 16 | b.node and b.time is not None
            assert {x.value for x in ballots if x.instance == b.instance and x.chosen} == {b.value}
            assert f"round {b.round} of n{b.node}" in str(b)
    with q.Cluster("raft", seed=1) as c:
        c.propose("x")
        assert c.trace.ballots() == []


def test_a_node_that_takes_no_proposals_says_so():
    """Roles apart: an acceptor refuses, and names a node that takes proposals."""
    with q.Cluster("paxos", nodes=5, acceptors=3) as c:
        with pytest.raises(q.NotLeaderError, match=r"n5 takes no proposals.*propose at n1"):
            c.propose("x", node=5)
        assert c.propose("x").answer == b"x"


def test_bench():
    """Single decrees take ten messages each among three, learning included; simulated ones retry at times."""
    bare, simulated = q.bench("paxos")
    assert bare["unit"] == simulated["unit"] == "decisions/s" and bare["value"] > 0
    assert bare["note"] == "10.00 messages a decision, learning included"
    assert 10 <= float(simulated["note"].split()[0]) < 10.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_campaign(protocol: str):
    """Default seeds are clean, make progress, and meet every condition; with jobs as without."""
    result = q.campaign(protocol, 60)
    assert result.ok, result
    assert all(result.sometimes.values()), result.sometimes


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_run_file_replays_to_the_same_hash(protocol: str):
    """A run file holds all of a run: drawn from the seed or read from the file, its trace is the same."""
    rows = q.campaign(protocol, range(3, 5)).rows
    for row in rows:
        file = run_file({"protocol": protocol}, int(row["seed"]))
        with q.replay(file) as c:
            assert int(c.hash, 16) == int(row["hash"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_examples(protocol: str):
    """The scripts run, and end in a verdict without a violation."""
    told = printed([sys.executable, f"examples/{protocol}.py"])
    assert "agreement" in told and "violated" not in told and "trace hash" in told
    lua = printed(["lua5.4", f"examples/{protocol}.lua"], **lua_environment())
    assert "agreement" in lua and "violated" not in lua and "trace hash" in lua
