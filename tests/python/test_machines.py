"""State machines of one's own: replicated, snapshotted, forked; what raises crashes its node and is told."""

import pytest
import quorate as q


class Stack(q.StateMachine):
    """Pushes text; a query gives the top."""

    def __init__(self) -> None:
        self.state: list[str] = []

    def apply(self, index: int, command: bytes) -> str:
        if command == b"raise":
            raise RuntimeError("this command is cursed")
        self.state.append(command.decode())
        return str(len(self.state))

    def query(self, command: bytes) -> str:
        return self.state[-1] if self.state else ""


class Adder:
    """Has the four methods without the base class, and its own snapshots."""

    def __init__(self) -> None:
        self.total = 0

    def apply(self, index: int, command: bytes) -> bytes:
        self.total += int(command)
        return b"%d" % self.total

    def query(self, command: bytes) -> bytes:
        return b"%d" % self.total

    def snapshot(self) -> bytes:
        return b"%d" % self.total

    def restore(self, data: bytes) -> None:
        self.total = int(data)


def test_a_machine_is_replicated_and_recovers():
    """Its state survives crashes, wiped disks and snapshots: every node comes to the same."""
    with q.Cluster(
        "raft", nodes=3, seed=2, machine=Adder, snapshot_threshold=10, snapshot_keep=2, timeout=30
    ) as c:
        client = c.client()
        for i in range(1, 61):
            assert int(client.call(str(i))) == i * (i + 1) // 2
            if i == 20:
                c.crash("leader")
            if i == 40:
                c.restart("all")
                c.crash("follower", disk="wiped")
                c.run(0.1)
                c.restart("all")
        assert client.call("", read=True) == b"1830"
        c.run(2)
        machines = c._machines
        assert machines is not None
        assert {m.total for m in machines._machines.values()} == {1830}
        assert c.check().ok


def test_proposals_answer_with_what_apply_said():
    """propose() gives the machine's answer."""
    with q.Cluster("raft", machine=Stack) as c:
        assert c.propose("one").answer == b"1"
        assert c.propose("two").answer == b"2"
        assert c.client().call("?", read=True) == b"two"


def test_fork_copies_machines():
    """Both sides go on from the same state, apart."""
    with q.Cluster("raft", machine=Stack) as c:
        c.propose("one")
        with c.fork() as f:
            f.propose("two")
            assert q.Client(f, f.client().id).call("", read=True) == b"two"
            assert c.client().call("", read=True) == b"one"


def test_an_exception_crashes_the_node_and_is_told():
    """The node is down with the exception in words; the others do the same when they apply it; the traceback
    is kept.
    """
    with q.Cluster("raft", nodes=3, machine=Stack) as c:
        c.propose("fine")
        with pytest.raises(q.OperatingError):
            c.propose("raise", timeout=1)
        why = [n.why_down for n in c.status().nodes if not n.up]
        assert why and all("RuntimeError: this command is cursed" in w for w in why)
        assert "test_machines.py" in why[0]
        assert "Traceback" in c.tracebacks[0] and "cursed" in c.tracebacks[0]
        assert c.check()["state-machine-safety"].verdict == "ok"


def test_calling_the_cluster_from_a_machine_is_refused():
    """Callbacks cannot re-enter."""
    clusters: list[q.Cluster] = []

    class Reentrant(Stack):
        def apply(self, index: int, command: bytes) -> str:
            for call in (clusters[0].status, clusters[0].close, lambda: clusters[0].run(1)):
                with pytest.raises(q.BusyError):
                    call()
            return super().apply(index, command)

    with q.Cluster("raft", machine=Reentrant) as c:
        clusters.append(c)
        assert c.propose("x").answer == b"1"


def test_an_operation_of_another_machine_is_refused():
    """Which machine it is, and what it does not have."""
    why = "machine=lock refuses this: it has no such operation, or none with such a value"
    with q.Cluster("raft", machine="lock") as c, pytest.raises(q.ArgumentError, match=why):
        c.client().put("a", "b")


def test_what_is_no_machine_is_refused():
    """A class without the methods, one whose constructor raises, a state that is no plain data."""
    with pytest.raises(TypeError, match="apply"):
        q.Cluster("raft", machine=object)
    with pytest.raises(TypeError, match="class"):
        q.Cluster("raft", machine=Stack())

    class Broken(Stack):
        def __init__(self) -> None:
            raise OSError("cannot be made")

    with pytest.raises(OSError, match="cannot be made"):
        q.Cluster("raft", machine=Broken)


PLACES = [
    ({1: "a"}, "keys must be text"),
    ({"a": (1, 2)}, r"state\['a'\] is of type tuple"),
    ([1, [2, {"b": b"x"}]], r"state\[1\]\[1\]\['b'\] is of type bytes"),
    (float("inf"), "state is inf"),
    ({"a": {1, 2}}, "of type set"),
]


@pytest.mark.parametrize(("state", "says"), PLACES)
def test_state_must_be_plain_data(state, says):
    """What JSON would change in silence is named with its place."""
    machine = Stack()
    machine.state = state
    with pytest.raises(TypeError, match=says):
        machine.snapshot()


def test_plain_state_round_trips():
    """Snapshots of plain data come back equal, and equal states give equal bytes."""
    one, other = Stack(), Stack()
    one.state = {"b": [1, 2.5, None, True, "ü"], "a": {}}
    other.restore(one.snapshot())
    assert other.state == one.state and other.snapshot() == one.snapshot()
