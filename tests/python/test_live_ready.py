"""A live cluster is ready when it is made: what is proposed at once loses no message, over any transport."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import quorate as q
from live_protocols import Notebook

try:
    q.Cluster("raft", runtime="live").close()
except q.UnsupportedError as error:  # a build without the live runtime
    pytest.skip(str(error), allow_module_level=True)

FIRST: dict[str, Callable[[q.Cluster], object]] = {
    "benor": lambda c: c.propose("x"),
    "bully": lambda c: c.elect(),
    "floodset": lambda c: c.propose("x"),
    "paxos": lambda c: c.propose("x"),
    "raft": lambda c: c.propose("x"),
    "2pc": lambda c: c.transaction([1, 2, 3, 4, 5]),
    "timestamp": lambda c: c.elect(),
}


@pytest.mark.parametrize("protocol", FIRST)
@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_the_first_proposal_loses_no_message(protocol: str, transport: str):
    """Every link stood before the first message: none was dropped."""
    with q.Cluster(protocol, nodes=5, runtime="live", transport=transport, timeout=30) as c:
        FIRST[protocol](c)
        c.run(0.05)
        assert c.check().counts["dropped"] == 0


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_the_first_proposal_of_a_script_is_heard(transport: str):
    """A script that sends once what it is told: all the others hear it, though interpreters start slowly."""
    with q.Cluster(Notebook, nodes=3, runtime="live", transport=transport, timeout=30) as c:
        for node in c.nodes:
            c.propose(f"from {node}", node=node)
        heard = [{f"'from {n}'" for n in c.nodes if n != node} for node in c.nodes]
        c.run_until(
            lambda c: all(text in c.inspect(n)["state"] for n in c.nodes for text in heard[n - 1]), timeout=30
        )
        assert c.check().counts["dropped"] == 0
