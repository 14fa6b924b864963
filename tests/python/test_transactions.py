"""Two-phase commit from Python: outcomes, votes, who is blocked, and what is refused."""

import pytest
import quorate as q


def test_commit_and_abort():
    """All commit, or none does; a read-only participant leaves after its vote."""
    with q.Cluster("2pc", nodes=4, seed=1) as c:
        done = c.transaction({2: "debit 5", 3: b"credit \xff"}, read_only=[4], coordinator=1)
        assert done and done.committed and done.outcome == "commit" and done.coordinator == 1
        assert done.votes == {2: "yes", 3: "yes", 4: "read-only"}
        assert 0 < done.latency < 0.1 and not done.blocked and not done.why
        refused = c.transaction([1, 2, 3], refuse=[3])
        assert not refused and refused.outcome == "abort" and refused.votes[3] == "no"
        assert refused.index == done.index + 1 and refused.coordinator == 1
        c.run(1)
        verdict = c.check()
        assert verdict.ok and set(verdict.verdicts) == {
            "atomicity",
            "decision-stable",
            "commit-validity",
            "non-triviality",
        }
        assert verdict.transactions["committed"] == verdict.transactions["aborted"] == 1
        assert "2 transactions: 1 committed, 1 aborted" in str(verdict)


FORMS = ["presumed-nothing", "presumed-abort", "presumed-commit", "participant-initiated"]


@pytest.mark.parametrize("form", FORMS)
def test_blocking_is_named_and_measured(form: str):
    """Its coordinator dies after the votes: the participants wait for it, and the result says so."""
    with q.Cluster("2pc", nodes=3, seed=1, form=form, delay="1ms", delay_kind="constant") as c:
        c.run(0.01)
        c.apply(q.Plan([{"at": 0.0015, "do": "crash", "node": 1, "for": 3}]))
        result = c.transaction([1, 2, 3], timeout=2)
        assert result.outcome == "unknown" and not result
        assert result.states == {1: "down", 2: "blocked", 3: "blocked"}
        assert set(result.blocked) == {2, 3}
        assert all(1.5 < seconds < 2 for seconds in result.blocked.values())
        assert "n1, which took the transaction, is down; 2 of 3 participants wait" in result.why
        assert "blocked: n" in str(result)
        assert c.check().ok and c.check().transactions["undecided"] == 2
        c.run(2)
        verdict = c.check()
        assert verdict.ok and verdict.transactions["undecided"] == 0
        assert {b["node"] for b in verdict.transactions["blocked"]} == {2, 3}
        assert all(not b["lasts"] and b["waits_for"] == 1 for b in verdict.transactions["blocked"])


def test_three_phase_commit_does_not_block():
    """Its participants decide without their coordinator, within a few rounds, and it learns of it."""
    with q.Cluster("3pc", nodes=3, seed=1, delay="1ms", delay_kind="constant") as c:
        assert c.transaction([1, 2, 3]).committed
        c.apply(q.Plan([{"at": 0.0025, "do": "crash", "node": 1, "for": 3}]))
        began = c.now
        result = c.transaction([1, 2, 3], timeout=2)
        assert result.outcome == "unknown" and not result.blocked
        assert result.states[2] == result.states[3] != "prepared" and c.now - began < 1
        c.run(4)
        verdict = c.check()
        assert verdict.ok and verdict.transactions["undecided"] == verdict.transactions["times_blocked"] == 0


def test_three_phase_commit_is_split_by_a_partition():
    """Outside of its fault model: a seed finds it, and the broken assumption is named."""
    result = q.campaign("3pc", seeds=100, outside=True, jobs=1)
    assert result.properties["atomicity"] > 0
    assert not q.fault_model("3pc")["partition"] and q.fault_model("3pc")["synchrony"]


def test_wrong_participants():
    """A node that there is none of, one that is down, one listed for nothing: said before anything begins."""
    with q.Cluster("2pc", nodes=3, seed=1) as c:
        with pytest.raises(q.NotFoundError, match="there is no node 9 to take part; nodes are 1 to 3"):
            c.transaction([1, 9])
        c.crash(2)
        with pytest.raises(q.NodeDownError, match="n2 is down and cannot take part: restart it, or leave it"):
            c.transaction([1, 2])
        c.pause(3)
        with pytest.raises(q.NodeDownError, match="n3 is paused and cannot coordinate: resume it"):
            c.transaction([1], coordinator=3)
        with pytest.raises(q.RangeError, match="1 to 128 participants, not 0"):
            c.transaction([])
        with pytest.raises(q.TooLargeError, match="what n1 is to do"):
            c.transaction({1: b"x" * 300_000})
        assert c.check().transactions["begun"] == 0
    with q.Cluster("raft", nodes=3) as c, pytest.raises(q.UnsupportedError, match="raft has no transactions"):
        c.transaction([1, 2])
    c = q.Cluster("2pc", nodes=3, form="participant-initiated")
    with c, pytest.raises(q.UsageError, match="must take part"):
        c.transaction([2, 3], coordinator=1)


def test_values_and_load():
    """Opaque proposals are transactions of all members; their clients are told the outcome."""
    with q.Cluster("2pc", nodes=5, seed=2, refuse=0.1) as c:
        answers = {bytes(r.answer) for r in c.propose_many([f"v{i}" for i in range(60)])}
        assert answers == {b"commit", b"abort"}
        assert str(c.propose("one more")).startswith(("commit of transaction 28", "abort of transaction 28"))
        report = c.load(machine="values", clients=4, operations=200)
        assert report.ok == 200
        c.run(1)
        assert c.check().ok and c.check().transactions["begun"] == 261
        with pytest.raises(q.UnsupportedError, match="values"):
            c.load(clients=1, operations=1)


@pytest.mark.parametrize("bug", ["commit-before-decision-durable", "refuse-after-yes"])
def test_mistakes_are_caught(bug: str):
    """By the property that the list of mistakes names."""
    assert q.bugs("2pc")[bug]["property"] == "atomicity"
    result = q.campaign("2pc", seeds=40, bug=bug, jobs=1)
    assert result.properties["atomicity"] > 0


def test_live():
    """The same over ZeroMQ threads."""
    try:
        c = q.Cluster("2pc", nodes=3, runtime="live")
    except q.UnsupportedError:
        pytest.skip("built without the live runtime")
    with c:
        for i in range(5):
            assert c.transaction({1: "a", 2: "b", 3: "c"}, refuse=[2] if i == 3 else []).committed == (i != 3)
        assert c.check().ok
