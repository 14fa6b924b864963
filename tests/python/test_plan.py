"""Plans and workloads as data, and the lists of what there is."""

import json

import pytest
import quorate as q

PLAN = (
    q.Plan()
    .at(1.5, "crash", node="leader", disk="wiped")
    .after("250ms", "restart", node="all")
    .every(2, "pause", node=1, start=0.5, until=10, for_="300ms")
    .during(3, 4, "loss", from_=1, to="any", both=True, probability=0.1)
    .at(5, "partition", groups=[[1, 2], [3]], one_way=True)
    .at(6, "delay", delay={"pareto": ["5ms", 1.5]})
    .at(7, "skew", node=2, offset="-80ms", drift=200)
)


def test_builder_and_json():
    """What is built is what is written; printed, read and printed again it is the same text."""
    assert len(PLAN) == 7
    text = PLAN.to_json()
    assert q.Plan.from_json(text) == PLAN and q.Plan.from_json(text).to_json() == text
    assert hash(q.Plan.from_json(text)) == hash(PLAN)
    first, second, third, fourth, *_ = json.loads(text)["directives"]
    assert first["at"] == 1.5 and first["node"] == "leader" and first["disk"] == "wiped"
    assert second["after"] == 0.25 and third["for"] == 0.3 and fourth["from"] == 1
    assert "Plan" in repr(PLAN) and "partition" in PLAN._repr_html_()


def test_plans_are_immutable_and_add_up(tmp_path):
    """Every verb gives a new plan; two in a row have distinct ids; files."""
    base = q.Plan().at(1, "heal")
    longer = base.at(2, "heal")
    assert len(base) == 1 and len(longer) == 2 and base != longer
    both = longer + PLAN
    ids = [d["id"] for d in both]
    assert len(both) == 9 and len(set(ids)) == 9
    both.save(tmp_path / "plan.json")
    assert q.Plan.load(tmp_path / "plan.json") == both


def test_mistakes_are_found_where_they_are_made():
    """At the verb, not at apply()."""
    with pytest.raises(q.QuorateError, match="crash"):
        q.Plan().at(1, "crush", node=1)
    with pytest.raises(q.QuorateError, match="probability"):
        q.Plan().during(1, 2, "loss")
    with pytest.raises(q.RangeError):
        q.Plan().during(2, 1, "loss", probability=0.1)


def test_drawn_plans():
    """From a seed; the same seed gives the same plan, and a cluster under it keeps its promises."""
    plan = q.Plan.draw("raft", nodes=5, seed=4, duration=5.0)
    assert plan == q.Plan.draw("raft", nodes=5, seed=4, duration=5.0) != q.Plan.draw("raft", nodes=5, seed=5)
    assert len(plan) > 5
    with q.Cluster("raft", nodes=5, seed=4) as c:
        c.apply(plan)
        c.load(clients=4, operations=300)
        c.run(6)
        assert c.wait_leader() and c.check().ok
    with pytest.raises(q.UsageError, match="protocol"):
        q.Plan.draw("ralf")


ROOM = {  # a verb, and what a fault model says of it
    "pause": "pause",
    "partition": "partition",
    "loss": "loss",
    "reorder": "reorder",
    "duplicate": "duplicates",
    "corrupt": "corruption",
    "skew": "skew",
}


@pytest.mark.parametrize("protocol", [p["name"] for p in q.protocols()])
def test_drawn_plans_stay_inside_the_fault_model(protocol: str):
    """No verb that the model has no room for, no lie, no delay where there is a bound; all others are drawn;
    and the protocol stands them.
    """
    model = q.fault_model(protocol)
    plans = [q.Plan.draw(protocol, nodes=5, seed=seed, duration=3.0) for seed in range(60)]
    drawn = {directive["do"] for plan in plans for directive in plan} - {"restart", "resume", "heal"}
    room = {"crash"} | {verb for verb, name in ROOM.items() if model[name]}
    room |= set() if model["synchrony"] else {"delay", "slow", "bandwidth"}
    room |= {"lie"} if model["liars"] != "0" else set()
    assert drawn == (room if protocol != "floodset" else {"crash"})
    for seed, plan in enumerate(plans[:12]):
        with q.Cluster(protocol, nodes=5, seed=seed) as c:
            c.apply(plan)
            workload = q.Workload(clients=4, operations=0, machine=None if kv(c) else "values")
            c.load(workload, wait=False)
            c.run(3.5)
            assert c.check().ok, f"{protocol}, seed {seed}"


def kv(c: q.Cluster) -> bool:
    """Whether its clients ask a state machine, and not for decisions."""
    try:
        c.load(clients=1, operations=1, wait=False)
    except q.UnsupportedError:
        return False
    return True


def test_workloads():
    """Only what is given is written; it reads back."""
    workload = q.Workload(clients=3, operations=10, mix={"get": 1}, retry=False, timeout=0.5)
    data = json.loads(workload.to_json())
    assert data == {"clients": 3, "operations": 10, "mix": {"get": 1}, "retry": False, "timeout": 0.5}
    assert q.Workload.from_json(workload.to_json()) == workload
    with q.Cluster("raft") as c:
        report = c.load(workload)
        assert report.by_operation == {"get": 10} and "10 operations" in str(report)
        c.load(q.Workload(clients=2, operations=0), wait=False)
        c.run(1)
        assert c.stop_load().operations > 20


def test_catalogue():
    """Protocols, options with their help, machines, mistakes."""
    raft = q.protocols()["raft"]
    assert raft["summary"] and raft["fault_model"] == q.fault_model("raft")
    option = q.options("raft")["election_timeout"]
    assert option["section"] == "raft" and option["help"] and option["default"]
    assert {m["name"] for m in q.machines()} >= {"kv", "register", "counter", "lock"}
    names = {b["name"] for b in q.bugs("raft")}
    assert names >= {
        "vote-before-sync",
        "step-down-clears-vote",
        "even-quorum",
        "follower-commit-uncapped",
        "late-heartbeat-truncates",
        "commit-older-term",
        "read-before-confirm",
        "amnesia-votes",
    }
    assert "election_timeout" in str(q.options()) and "<table>" in q.options()._repr_html_()
    assert q.__version__.count(".") == 2


def test_options_reach_the_core():
    """Numbers, text with units and truth values mean what they say."""
    with q.Cluster("raft", pre_vote=False, election_timeout="0.2s", delay=0.001, seed=2**64 - 1) as c:
        options = c.status().options
        assert options["pre_vote"] == "false" and options["election_timeout"] == "200000000ns"
        assert options["delay"] == "1000000ns" and options["seed"] == str(2**64 - 1)
