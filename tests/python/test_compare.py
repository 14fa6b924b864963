"""What protocols cost: figures that follow from how a protocol works, and that do not depend on who asks."""

import pytest
import quorate as q


@pytest.mark.parametrize("nodes", [3, 5, 7])
def test_raft_costs_what_it_must(nodes: int):
    """2 (n - 1) messages, 2 message delays and a write at every node: append, and its answer."""
    proposal = q.compare(["raft"], nodes=nodes)["raft"]["proposal"]
    assert proposal == {"messages": 2.0 * (nodes - 1), "delays": 2.0, "writes": float(nodes)}


def test_a_plan_shows_in_the_time_without_success():
    crash = q.Plan().at(0.2, "crash", node="leader", for_=1.0)
    calm = q.compare(["raft"], operations=300)["raft"]
    broken = q.compare(["raft"], operations=300, plan=crash)["raft"]
    assert calm["verdict"] == broken["verdict"] == "ok"
    assert calm["unavailable"] < 0.05 < 0.1 < broken["unavailable"]
    assert broken["hash"] == q.compare(["raft"], operations=300, plan=crash)["raft"]["hash"]


def test_it_shows_itself_as_a_table():
    result = q.compare(["raft"], operations=50)
    assert "message delays a proposal  2" in str(result)
    assert "<table" in result._repr_html_()
    assert result.to_pandas().loc["ok", "raft"] == 50


def test_errors():
    with pytest.raises(q.NotFoundError, match="did you mean 'raft'"):
        q.compare(["rafft"])
    with pytest.raises(q.OptionError, match="did you mean 'pre_vote'"):
        q.compare(["raft"], prevote=True)
    with pytest.raises(q.RangeError, match="nodes must be a whole number"):
        q.compare(["raft"], nodes=0)
    with pytest.raises(q.ArgumentError, match="at least one protocol"):
        q.compare([])
