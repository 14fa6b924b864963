"""Campaigns from Python: what they report, inside a protocol's fault model and beyond it."""

import pytest
import quorate as q


def test_a_mistake_is_caught_by_its_property_and_its_run_replays():
    result = q.campaign("raft", seeds=30, bug="late-heartbeat-truncates")
    assert not result.ok
    violation = result.violations[0]
    assert "committed-never-truncated" in violation.properties
    assert violation.assumption is None  # the plan stayed inside the model: the protocol is to blame
    with q.replay(violation.run) as c:
        assert c.check().hash == violation.run["hash"]


def test_a_failing_run_is_made_small():
    """The same property is violated under fewer faults; what does not fail, and a folder, are refused."""
    violation = q.campaign("raft", seeds=40, bug="vote-before-sync").violations[0]
    small = q.shrink(violation.run)
    assert small["shrunk"]["to"] == len(small["plan"]["directives"]) < small["shrunk"]["from"]
    assert tuple(small["violated"]) == violation.properties
    with q.replay(small) as c:
        assert c.check().hash == small["hash"]
    options = {k: v for k, v in violation.run["options"].items() if k != "bug"}
    sound = {**violation.run, "options": options, "hash": "0"}
    with pytest.raises(q.ArgumentError, match="violates nothing and is not stuck"):
        q.shrink(sound)


def test_beyond_the_fault_model_the_broken_assumption_is_named():
    result = q.campaign("raft", seeds=120, outside=True)
    lied = [v for v in result.violations if v.assumption["broken_by"] == "lie"]
    assert lied and lied[0].assumption["assumes"] == "no node lies" and lied[0].assumption["time"] > 0
    assert "it assumes that no node lies, which lie broke at" in str(result)
    # A majority without its disks makes no progress, but says nothing wrong.
    wiped = [run["assumption"] for run in result.stuck if run["assumption"]["broken_by"] == "crash"]
    assert wiped and wiped[0]["assumes"] == "no more than a minority loses its disks before it caught up"
    assert "makes no progress; it assumes that no more than a minority" in str(result)


def test_rows_stand_in_seed_order_and_do_not_depend_on_the_jobs():
    one = q.campaign("raft", seeds=range(100, 108), jobs=1)
    two = q.campaign("raft", seeds=range(100, 108), jobs=2)
    assert one.hash == two.hash
    assert list(one.rows["seed"]) == list(range(100, 108))
    assert list(one.rows["hash"]) == list(two.rows["hash"])
    assert (one.rows["events"] >= 10_000).all() and (one.rows["faults"] >= 5).all()
