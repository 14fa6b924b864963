"""Bad input: each wrong thing gives its own exception, with a sentence that says what to do."""

import contextlib
import gc
import os
import threading

import pytest
import quorate as q
from quorate import errors
from quorate._ffi import lib, text_at

OPTIONS = [
    ({"nodez": 3}, q.OptionError, "nodes"),
    ({"election_timout": 1}, q.OptionError, "election_timeout"),
    ({"nodes": "many"}, q.WrongTypeError, "nodes"),
    ({"nodes": [3]}, q.WrongTypeError, "list"),
    ({"pre_vote": "perhaps"}, q.WrongTypeError, "pre_vote"),
    ({"nodes": 0}, q.RangeError, "nodes"),
    ({"nodes": 1000}, q.RangeError, "nodes"),
    ({"delay": -1}, q.RangeError, "delay"),
    ({"runtime": "dream"}, q.QuorateError, "sim"),
    ({"heartbeat_interval": 1}, q.RangeError, "heartbeat_interval must be below election_timeout"),
    ({"election_timeout": "30ms"}, q.RangeError, "heartbeat_interval must be below election_timeout"),
    ({"detector": "polling", "detector_timeout": "20ms"}, q.RangeError, "above detector_interval"),
    ({"data": "/tmp"}, q.ArgumentError, "disk=folder"),
    ({"data": "/tmp", "disk": "folder"}, q.ArgumentError, "runtime=live"),
    ({"machine": "k\0v"}, q.ArgumentError, "zero byte"),
    ({"bug": "vote-before-sink"}, q.NotFoundError, "vote-before-sync"),
    ({"machine": "kw"}, q.NotFoundError, "kv"),
]


@pytest.mark.parametrize(("options", "error", "says"), OPTIONS)
def test_wrong_options(options, error, says):
    """Unknown names the nearest known one; type and range say what was expected."""
    with pytest.raises(error, match=says):
        q.Cluster("raft", **options)


def test_wrong_protocol():
    """The nearest protocol is named."""
    with pytest.raises(q.NotFoundError, match="did you mean 'raft'"):
        q.Cluster("ralf")
    with pytest.raises(q.NotFoundError):
        q.options("ralf")


PLANS = [
    ('{"directives": [', q.ParseError, "line 1"),
    ('{"directives": [{"at": 1, "do": "crush", "node": 1}]}', q.QuorateError, "crash"),
    ('{"directives": [{"at": 1, "do": "crash", "nod": 1}]}', q.QuorateError, "node"),
    ('{"directives": [{"at": 1, "do": "crash", "node": 9}]}', q.RangeError, "node"),
    ('{"directives": [{"at": 1, "do": "loss", "probability": 2}]}', q.RangeError, "probability"),
    ('{"directives": [{"at": -1, "do": "heal"}]}', q.RangeError, "at"),
    ('{"directives": 3}', q.QuorateError, "directives"),
]


@pytest.mark.parametrize(("text", "error", "says"), PLANS)
def test_malformed_plans(text, error, says):
    """A plan is refused as a whole, with line and column or the directive and field."""
    with q.Cluster("raft", nodes=3) as c:
        c.run(0.5)
        before = c.fingerprint
        with pytest.raises(error, match=says):
            c.apply(text)
        assert c.fingerprint == before
        assert c.propose("still here").index


HISTORIES = [
    ("nonsense", "line 1"),
    ('{"history": [\n{"process": 1, "f": "gat"}]}', "line 2"),
    ("{:type :invoke, :f :read, :process 0\n{:type", "line"),
]


@pytest.mark.parametrize(("text", "says"), HISTORIES)
def test_malformed_histories(text, says):
    """Line and column."""
    with pytest.raises(q.QuorateError, match=says):
        q.History.parse(text)


def test_wrong_model_of_a_history():
    """The known models are listed."""
    with q.History.parse('{"history": []}') as h, pytest.raises(q.NotFoundError, match="cas-register"):
        h.check("cas-registry")


def test_wrong_arguments():
    """Times, nodes, counts, values of the wrong kind."""
    with q.Cluster("raft", nodes=3) as c:
        for call, error in [
            (lambda: c.run(-1), q.RangeError),
            (lambda: c.run(float("nan")), q.RangeError),
            (lambda: c.step(-1), q.RangeError),
            (lambda: c.propose(3), q.WrongTypeError),
            (lambda: c.propose("x", node=9), q.NotFoundError),
            (lambda: c.propose("x", node="leader"), q.WrongTypeError),
            (lambda: c.inspect(0), q.RangeError),
            (lambda: c.inspect(4), q.NotFoundError),
            (lambda: c.crash(9), q.RangeError),
            (lambda: c.crash("leaders"), q.QuorateError),
            (lambda: c.crash(1, disk="gone"), q.QuorateError),
            (lambda: c.partition([[1], [1, 2]]), q.QuorateError),
            (lambda: c.run_until("leader is 3"), q.ParseError),
            (lambda: c.load(operations=0), q.RangeError),
            (lambda: c.load(clients=0), q.RangeError),
            (lambda: c.load(mix={"gett": 1}), q.OptionError),
            (lambda: c.client().start("steal", "k"), q.NotFoundError),
            (lambda: c.trace["tyme"], KeyError),
            (lambda: c.trace.svg(10**9), q.NotFoundError),
            (lambda: c.check()["linearisability"], KeyError),
            (lambda: q.campaign("raft", seeds=range(0)), q.ArgumentError),
            (lambda: q.campaign("raft", seeds=1, bug="none-such"), q.NotFoundError),
            (lambda: q.replay("{}"), q.QuorateError),
            (lambda: q.replay("/no/such/file"), OSError),
            (lambda: q.bench("none-such"), q.NotFoundError),
        ]:
            with pytest.raises(error) as caught:
                call()
            assert str(caught.value)


def test_no_leader_says_why():
    """The reason in the user's terms, and nothing was proposed."""
    with q.Cluster("raft", nodes=5) as c:
        c.wait_leader()
        for node in (1, 2, 3):
            c.crash(node)
        c.run(1)
        with pytest.raises(q.NoLeaderError, match="2 of 5 nodes are up, 3 are needed"):
            c.wait_leader(timeout=1)
        with pytest.raises(q.NoLeaderError, match=r"2 of 5 nodes are up, 3 are needed.*nothing was proposed"):
            c.propose("x", timeout=1)
        with pytest.raises(q.NodeDownError):
            c.propose("x", node=1)
        with pytest.raises(q.FailedError, match="not executed; no leader: 2 of 5 nodes are up, 3 are needed"):
            c.client().get("x")


def test_protocols_that_need_no_leader_do_not_miss_one():
    """Their status says so, and their nodes are up, not followers; elections are asked for."""
    with q.Cluster("2pc", nodes=3) as c:
        c.transaction([1, 2])
        for text in (repr(c), repr(c.status()), str(c.status()).splitlines()[0]):
            assert "3 of 3 nodes are up and reach each other" in text and "lead" not in text
        assert {n.role for n in c.status().nodes} == {"up"}
        with pytest.raises(q.NoLeaderError, match="no leader: 2pc needs none; 3 of 3 nodes are up"):
            c.wait_leader(timeout=1)
        c.crash("all")
        with pytest.raises(q.OperatingError, match=r"^0 of 3 nodes are up"):
            c.propose(b"x", timeout=1)
    with q.Cluster("bully", nodes=3) as c:
        with pytest.raises(q.NoLeaderError, match="one leads once it is asked to elect"):
            c.wait_leader(timeout=1)
        with pytest.raises(q.UnsupportedError, match="bully elects and runs no state machine"):
            c.load(operations=5)


def test_unknown_is_not_failure():
    """A proposal that its node could not finish may still be committed: no FailedError."""
    with q.Cluster("raft", nodes=3) as c:
        leader = c.wait_leader()
        c.partition([[leader], [n for n in c.nodes if n != leader]])
        with pytest.raises(q.UnknownOutcome) as caught:
            c.propose("x", node=leader, timeout=1)
        assert not isinstance(caught.value, q.FailedError)
        follower = next(n for n in c.nodes if n != leader)
        c.heal()
        c.run(1)
        if c.leader != follower:
            with pytest.raises(q.NotLeaderError):
                c.propose("x", node=follower)


def test_too_large_a_value():
    """The limit is stated, and the cluster goes on."""
    with q.Cluster("raft") as c:
        for call in (lambda v: c.propose(v), lambda v: c.client().put("k", v), lambda v: c.client().call(v)):
            with pytest.raises(q.TooLargeError, match="262144"):
                call(b"x" * 300_000)
        assert c.propose(b"x" * 262144).index


def test_closed_handles():
    """Every use after close is refused, closing again is harmless."""
    c = q.Cluster("raft")
    kv, trace, history = c.client(), c.trace, c.history()
    c.close()
    c.close()
    history.close()
    for call in (
        lambda: c.run(1),
        lambda: c.nodes and c.now,
        lambda: c.status(),
        lambda: c.check(),
        lambda: c.trace,
        lambda: c.fork(),
        lambda: kv.get("k"),
        lambda: len(history),
    ):
        with pytest.raises(q.ClosedError, match="closed"):
            call()
    assert "closed" in repr(c) and "closed" in c._repr_html_()
    assert len(trace) >= 0 and trace.svg()


def test_after_fork_in_the_child():
    """A child of fork(2) is refused, and its end does not harm the parent's cluster."""
    with q.Cluster("raft") as c:
        c.run(0.5)
        before = c.fingerprint
        child = os.fork()
        if child == 0:
            code = 1
            try:
                c.run(1)
            except q.ForkedError as error:
                code = 0 if "fork" in str(error) else 2
            finally:
                c.close()
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert c.fingerprint == before
        assert c.propose("x").index


def test_two_threads_at_once():
    """The second is refused with BusyError, the first does not notice; on two clusters both run."""
    with q.Cluster("raft", nodes=5, record="none") as c, q.Cluster("raft", nodes=5, record="none") as alone:
        inside, leave = threading.Event(), threading.Event()

        def predicate(c: q.Cluster) -> bool:
            inside.set()
            return leave.wait(10)

        def run() -> None:
            c.run_until(predicate)
            c.run(100)

        thread = threading.Thread(target=run)
        thread.start()
        inside.wait(10)
        for call in (c.status, lambda: c.run(1), lambda: c.propose("x"), c.check, c.close):
            with pytest.raises(q.BusyError, match="another thread"):
                call()
        leave.set()
        thread.join()
        alone.run_until(lambda c: True)
        alone.run(100)
        assert c.hash == alone.hash
    with q.Cluster("raft") as a, q.Cluster("raft", seed=1) as b:
        threads = [threading.Thread(target=cluster.run, args=(5,)) for cluster in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert a.hash == b.hash


def test_a_cluster_that_is_closed_while_others_step_it():
    """Each step of four threads is let in alone or refused by name, and after the close by that name."""
    for _ in range(10):
        c = q.Cluster("raft", record="none")
        ended: list[type] = []

        def step(c: q.Cluster = c, ended: list[type] = ended) -> None:
            while True:
                try:
                    assert c.step(10) == 10
                except q.BusyError:
                    continue
                except q.QuorateError as error:
                    ended.append(type(error))
                    return

        threads = [threading.Thread(target=step) for _ in range(4)]
        for thread in threads:
            thread.start()
        while not c._handle.closed:
            with contextlib.suppress(q.BusyError):
                c.close()
        for thread in threads:
            thread.join()
        assert ended == [q.ClosedError] * 4


def test_a_number_of_events_is_not_negative():
    """The core says so, in the same words with a machine of one's own and without."""
    for c in (q.Cluster("raft"), q.Cluster("raft", machine=q.StateMachine)):
        with c, pytest.raises(q.RangeError, match="a number of events must not be negative: -3"):
            c.step(-3)


def test_handles_are_freed_by_the_collector():
    """Clusters that nobody closes do not pile up."""
    for _ in range(50):
        q.Cluster("raft").run(0.01)
    gc.collect()


def test_names_and_numbers_are_those_of_c():
    """Each exception's name and number are what the core says."""
    for status, cls in errors._CLASSES.items():
        assert cls.status == status
        assert cls.name == text_at(lib.qrt_status_name(status))
    declared = {
        getattr(lib, name) for name in dir(lib) if name.startswith("QRT_E") and getattr(lib, name) < 0
    }
    assert declared == set(errors._CLASSES)
