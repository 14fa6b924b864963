"""Protocols of one's own as live processes: packed, started, killed, recovered; and how they fail."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import quorate as q
from live_protocols import Notebook
from quorate import livenode
from quorate.cli_scripts import load_class
from test_live_processes import eventually, own_things, pids, state

try:
    q.Cluster("raft", runtime="live").close()
except q.UnsupportedError as error:  # a build without the live runtime
    pytest.skip(str(error), allow_module_level=True)


def live(kind: type[q.Node], transport: str = "ipc", **options: object) -> q.Cluster:
    return q.Cluster(kind, runtime="live", transport=transport, timeout=10, **options)


def up(c: q.Cluster, node: int) -> bool:
    return c.status().nodes[node - 1].up


def heard(c: q.Cluster, node: int) -> str:
    return c.inspect(node)["state"]


def first_is_heard(c: q.Cluster) -> bool:
    """What was proposed once; every link stands when the cluster is made."""
    return all("'first'" in heard(c, node) for node in (2, 3))


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_script_lives_dies_and_comes_back(transport: str):
    """Messages, a crash that is SIGKILL, a recovery that finds what was persisted, a wipe that does not."""
    with live(Notebook, transport, nodes=3) as c:
        assert c.propose("first", node=1).answer == b"n1 noted first"
        c.run_until(first_is_heard, every=0.1)
        old = pids(c)[0]
        c.crash(1)
        assert state(old) == ""
        with pytest.raises(q.NodeDownError):
            c.inspect(1)
        c.restart(1)
        assert pids(c)[0] not in (0, old)
        assert "'how': 'recovered', 'stored': 'first', 'heard': []" in heard(c, 1)
        c.crash(1, disk="wiped")
        c.restart(1)
        assert "'how': 'wiped', 'stored': None" in heard(c, 1)
        c.pause(2)
        assert eventually(lambda: state(pids(c)[1]) == "T")
        c.resume(2)
        assert c.propose("second", node=2).answer == b"n2 noted second"
        kinds = {c.trace.kinds[k] for k in set(c.trace.column("kind"))}
        assert {"start", "send", "receive", "persist", "stored", "crash", "pause", "resume"} <= kinds
        assert c.check().verdict == "ok"


def test_what_a_handler_raises_is_that_nodes_crash():
    """The reason stands in the status, the traceback in the cluster; the others go on; limits hold."""
    reasons = {"raise": "ValueError: it was told to", "loop": "EndlessLoop", "much": "512"}
    with live(Notebook, nodes=3) as c:
        for node, (what, reason) in enumerate(reasons.items(), 1):
            with pytest.raises(q.UnknownOutcome):
                c.propose(what, node=node)
            c.run_until(lambda c, node=node: not up(c, node))
            assert reason in c.status().nodes[node - 1].why_down.replace("524288", "512 KiB")
        assert len(c.tracebacks) == 2 and "live_protocols.py" in c.tracebacks[0]
        c.restart("all")
        assert all(up(c, node) for node in c.nodes)
        assert c.propose("third", node=1).answer == b"n1 noted third"
        assert c.status().counts["raised"] == 3


def test_closing_leaves_nothing_even_of_a_node_that_never_comes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A handler that sleeps in C is no obstacle."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    live(Notebook).close()
    before = own_things()
    with live(Notebook) as c:
        mine = pids(c)
        c.propose_later("late", node=1)
        c.run(0.1)
    assert not any(state(pid) for pid in mine)
    assert own_things() == before and not list(tmp_path.iterdir())


def test_a_detectors_opinion_reaches_the_script():
    """Live, and simulated."""
    for options in ({"runtime": "live", "transport": "ipc"}, {}):
        with q.Cluster(Notebook, nodes=3, detector="phi", timeout=10, **options) as c:
            c.run(0.3)
            c.crash(3)
            c.run_until(lambda c: "'suspects': [3]" in heard(c, 1))
            c.restart(3)
            c.run_until(lambda c: "'suspects': []" in heard(c, 1))


OWNER = """
import json, os, signal, sys
import quorate as q
greeting = "hello"

class Greeter(q.Node):
    state = {}
    def on_propose(self, value, ticket):
        self.reply(ticket, greeting + " " + value)

c = q.Cluster(Greeter, nodes=2, runtime="live", transport="tcp")
assert c.propose("world", node=2).answer == b"hello world"
pids = [n.pid for n in c.status().nodes]
print(json.dumps(pids), flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_class_of_main_travels_by_value_and_dies_with_its_owner():
    """As in a notebook: no file, a global that it uses; kill -9 of the owner leaves no interpreter."""
    pytest.importorskip("cloudpickle")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout and owner.stdin
        mine = json.loads(owner.stdout.readline())
        assert all(state(pid) for pid in mine)
        owner.stdin.write("go\n")
        owner.stdin.flush()
    assert eventually(lambda: not any(state(pid) for pid in mine))


def test_a_class_of_a_file_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As `quorate grade FILE.py` loads it: by value, with the module's globals."""
    pytest.importorskip("cloudpickle")
    file = tmp_path / "homework.py"
    file.write_text(
        textwrap.dedent(
            """
            import quorate as q
            WORD = "done"
            def word(): return WORD
            class Homework(q.Node):
                state = 0
                def on_propose(self, value, ticket):
                    self.reply(ticket, word())
            """
        )
    )
    kind = load_class(str(file))
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    with live(kind, nodes=2) as c:
        assert c.propose("x", node=1).answer == b"done"


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Threads, classes that cannot be packed or loaded, interpreters that are none: why, what to do."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = own_things()
    with pytest.raises(q.UnsupportedError, match='use transport="tcp" or "ipc"'):
        q.Cluster(Notebook, runtime="live")
    with pytest.raises(q.UnsupportedError, match="cannot be forked"):
        c = live(Notebook)
        try:
            c.fork()
        finally:
            c.close()

    class Local(q.Node):
        held = threading.Lock()

    with pytest.raises(q.UsageError, match="the class Local cannot be handed to the interpreters"):
        live(Local)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(q.UnsupportedError, match="pip install cloudpickle"):
        live(Local)
    monkeypatch.setenv("LIVE_PROTOCOLS_FAIL", "1")
    with pytest.raises(q.QuorateError, match=r"node 1 cannot start: .*the module does not like it here"):
        live(Notebook)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(q.QuorateError, match="/no/such/python cannot be started: No such file"):
        live(Notebook)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(q.QuorateError, match="/bin/true of node 1 ended before it was a node"):
        live(Notebook)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(q.UnsupportedError, match="cannot say where it is"):
        live(Notebook)
    assert own_things() == before and not list(tmp_path.iterdir())


def test_packing_by_name_where_that_works():
    """A class of an importable module is its name, and needs no cloudpickle."""
    assert len(livenode.pack(Notebook)) < 80
