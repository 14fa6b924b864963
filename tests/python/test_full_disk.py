"""Full disks: who has no room refuses and votes, the others go on, and what was acknowledged stays."""

from __future__ import annotations

import pytest
import quorate as q

ROUTES = [{"runtime": "sim"}, {"runtime": "live"}, {"runtime": "live", "transport": "tcp"}]


def cluster(**options: object) -> q.Cluster:
    if options.get("runtime") == "live":
        options["election_timeout"] = "600ms"
    return q.Cluster("raft", nodes=3, seed=5, machine="kv", **options)


@pytest.mark.parametrize("options", ROUTES, ids=["sim", "live", "tcp"])
def test_a_full_leader_makes_room(options: dict[str, object]) -> None:
    """Another one leads, writes go on, and with room the node has what the others have."""
    with cluster(**options) as c:
        old = c.wait_leader(timeout=20)
        c.propose("before", timeout=20)
        c.run(1.0)
        c.fill_disk(old)
        c.run(3.0)
        assert c.wait_leader(timeout=20) != old
        for i in range(20):
            c.propose(f"while {i}", timeout=20)
        n = c.status().nodes[old - 1]
        assert n.up and n.disk["full"] and n.disk["reserve"] > 10_000
        assert f"the disk of n{old} is full (" in c.status().headline
        assert n.warning.endswith("make room there; it still votes")
        c.free_disk(old)
        c.run(2.0)
        nodes = c.status().nodes
        assert not nodes[old - 1].disk["full"]
        assert len({n.commit for n in nodes}) == 1
        assert c.check().ok


@pytest.mark.parametrize("options", ROUTES, ids=["sim", "live", "tcp"])
def test_a_full_majority_acknowledges_nothing(options: dict[str, object]) -> None:
    """Writes are refused with the reason, reads are served; kill -9 changes none of it."""
    with cluster(**options) as c:
        client = c.client()
        client.put("k", "v", timeout=20)
        leader = c.wait_leader(timeout=20)
        first, second = (n for n in (1, 2, 3) if n != leader)
        c.run(0.5)
        c.fill_disk(first)
        c.fill_disk(second)
        c.run(2.0)
        with pytest.raises(q.FullError, match=rf"the disks of n{first}, n{second} are full: make room there"):
            c.propose("refused", timeout=2)
        assert client.get("k", timeout=20) == "v"
        c.crash(first)
        c.run(0.5)
        c.restart(first)
        c.run(2.0)
        assert c.status().nodes[first - 1].disk["full"]
        assert c.client().get("k", timeout=20) == "v"
        c.free_disk()
        c.run(2.0)
        c.propose("after", timeout=20)
        assert c.check().ok
