"""Elections from Python: elect, what it gives, what it raises; the page."""

import asyncio
import re
from pathlib import Path

import pytest
import quorate as q

PAGE = (Path(__file__).resolve().parents[2] / "docs/elections.md").read_text(encoding="utf-8")
PROTOCOLS = ("timestamp", "bully", "ring")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_elect(protocol: str):
    """Leader and epoch as data; a later election has a later epoch; a dead leader is replaced."""
    with q.Cluster(protocol, nodes=5, seed=7) as c:
        first = c.elect(2)
        assert isinstance(first, q.Elected) and first.node == 2 and first.latency >= 0
        assert str(first).startswith(f"n{first.leader} leads epoch {first.epoch}")
        c.run(1.0)
        assert c.leader == first.leader
        c.crash(first.leader)
        second = c.elect()
        assert second.leader != first.leader and second.epoch > first.epoch
        assert c.check().ok


def test_several_are_asked_at_once():
    """All learn of one leader in one epoch, awaited or not."""
    with q.Cluster("ring", nodes=4, seed=3, arrangement="descending") as c:
        asked = [c.elect_later(n) for n in c.nodes]

        async def all_of_them():
            return await asyncio.gather(*asked)

        results = asyncio.run(all_of_them())
        assert {(r.leader, r.epoch) for r in results} == {(4, results[0].epoch)}


def test_what_elect_raises():
    """A node that is down is refused; without a majority nobody can say who leads."""
    with q.Cluster("timestamp", nodes=3, seed=1) as c:
        c.crash(1)
        with pytest.raises(q.NodeDownError):
            c.elect(1)
        c.crash(2)
        with pytest.raises(q.UnknownOutcome):
            c.elect(3, timeout=1.0)


def test_only_protocols_that_elect_are_asked_to():
    with q.Cluster("raft", nodes=3) as c, pytest.raises(q.UnsupportedError, match="here wait for the leader"):
        c.elect()
    with q.Cluster("2pc", nodes=3) as c, pytest.raises(q.UnsupportedError, match="timestamp, bully and ring"):
        c.elect()


def test_options_must_fit_the_nodes():
    """Options that are each in range may ask for more nodes than there are: refused, with the arithmetic."""
    with pytest.raises(q.RangeError, match="faults=5 needs 6 nodes, there are 2"):
        q.Cluster("floodset", nodes=2, faults=5)
    with pytest.raises(q.RangeError, match="acceptors=9 needs as many nodes, there are 3"):
        q.Cluster("paxos", nodes=3, acceptors=9)
    with pytest.raises(q.RangeError, match="there are 2 of 5"):
        q.Cluster("paxos", nodes=5, acceptors=3, proposers=3)
    with pytest.raises(q.RangeError, match="there is no node 7 to be the manager"):
        q.Cluster("2pc", nodes=3, form="participant-initiated", manager=7)


def test_values_have_no_client_of_a_store():
    """There is no machine: the store's operations are refused, with the reason."""
    with q.Cluster("bully", nodes=3, seed=1) as c, pytest.raises(q.QuorateError):
        c.client().put("k", "v")


def test_the_page_names_every_mistake_and_property():
    """docs/elections.md lists all bugs with their properties, and the checkers' properties."""
    for protocol in PROTOCOLS:
        for bug in q.bugs(protocol):
            name, broken = bug["name"], bug["property"]
            assert re.search(rf"^\| `{protocol}` \| `{name}` \|.*\| `{broken}` \|$", PAGE, re.M), name
        with q.Cluster(protocol, seed=1) as c:
            for p in c.check():
                assert f"| `{p.name}` |" in PAGE, p.name
