"""Primary-backup from Python: the client of every protocol, its modes, its campaign and its mistakes."""

import re
from pathlib import Path

import pytest
import quorate as q

PAGE = (Path(__file__).resolve().parents[2] / "docs/primary-backup.md").read_text(encoding="utf-8")


def test_the_client_runs_on_it_unchanged():
    """Puts, gets and cas across a switch-over."""
    with q.Cluster("primary-backup", nodes=3, seed=3) as c:
        old = c.wait_leader()
        kv = c.client()
        kv.put("k", "1")
        c.crash(old)
        kv.put("k", "2")
        assert kv.get("k") == "2"
        assert c.leader not in (None, old)
        c.restart(old)
        c.run(1.0)
        assert c.inspect(c.leader)["in_sync"] == "n1 n2 n3"
        result = c.check()
        assert result.ok and result["linearizability"].verdict == "ok"
        assert result["no-acknowledged-write-lost"].verdict == "ok"


def test_early_answers_promise_no_linearizability():
    """What is not promised is not judged; what is lost is told."""
    with q.Cluster("primary-backup", nodes=3, seed=5, mode="async", check_quorum=False) as c:
        old = c.wait_leader()
        c.run(0.1)
        c.isolate(old)
        for _ in range(4):
            assert c.propose("lost", node=old).node == old
        c.run(1.0)
        c.heal()
        c.run(1.0)
        result = c.check()
        assert result.ok and "linearizability" not in result.verdicts
        assert result["lost-window"].text.startswith("4 answered entries were lost in 1 switch-overs")
        assert "4 answered entries" in str(result)


def test_no_majority_is_said():
    """The error is the one that every protocol with a majority gives."""
    with q.Cluster("primary-backup", nodes=3, seed=1) as c:
        c.wait_leader()
        c.crash(1)
        c.crash(2)
        with pytest.raises(q.NoLeaderError, match="1 of 3 nodes are up, 2 are needed"):
            c.propose("x", timeout=1.0)


def test_the_page_names_every_mistake_and_property():
    """docs/primary-backup.md lists all bugs with their properties, and the checker's properties."""
    for bug in q.bugs("primary-backup"):
        name, broken = bug["name"], bug["property"]
        assert re.search(rf"^\| `{name}` \|.*\| `{broken}` \|", PAGE, re.M), name
    with q.Cluster("primary-backup", seed=1, mode="async") as c:
        for p in c.check():
            assert f"| `{p.name}` |" in PAGE, p.name
