"""Nodes as processes: the same script, the same verdicts, and nothing is left behind, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import quorate as q
from test_readme import README, ROOT, lua_environment

APART = ("ipc", "tcp")
PATIENCE = 10.0


def cluster(transport: str, **options: object) -> q.Cluster:
    """A cluster of processes, or a skip where the build has no live runtime."""
    try:
        return q.Cluster("raft", runtime="live", transport=transport, **options)
    except q.UnsupportedError as error:
        pytest.skip(str(error))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true, in real time: other processes need some."""
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    return holds()


def state(pid: int) -> str:
    """The process's state as Linux has it: "S", "R", "T"; "" when there is none, or only its corpse."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if found in "ZX" else found


def pids(c: q.Cluster) -> list[int]:
    """Of all nodes."""
    return [n.pid for n in c.status().nodes]


def children() -> set[int]:
    """Our own processes of the node program, the janitor among them."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text(encoding="utf-8").split()}
    return found


def own_things() -> tuple[int, int, set[int]]:
    """Descriptors, threads and children of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), children()


@pytest.mark.parametrize("transport", APART)
def test_the_script_of_the_readme(transport: str):
    """README.md's script, word for word but for its runtime: the same lines, and every property ok."""
    [program] = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    changed = program.replace("seed=7)", f'seed=7, runtime="live", transport="{transport}")')
    assert changed != program
    cluster(transport).close()
    printed = subprocess.run([sys.executable, "-c", changed], capture_output=True, text=True, timeout=60)
    assert printed.returncode == 0, printed.stderr
    assert re.search(r"^n\d is down, n\d leads$", printed.stdout, re.M)
    assert "2 of 5 nodes are up, 3 are needed" in printed.stdout
    assert len(re.findall(r"^[a-z-]+ +ok ", printed.stdout, re.M)) == 11


@pytest.mark.parametrize("transport", APART)
def test_the_script_of_the_readme_in_lua(transport: str):
    """The same from Lua."""
    [program] = re.findall(r"^```lua\n(.*?)^```$", README, re.M | re.S)
    changed = program.replace("seed = 7 }", f'seed = 7, runtime = "live", transport = "{transport}" }}')
    assert changed != program
    environment = {**os.environ, **lua_environment()}
    cluster(transport).close()
    printed = subprocess.run(
        ["lua5.4", "-e", changed], capture_output=True, text=True, timeout=60, env=environment
    )
    assert printed.returncode == 0, printed.stderr
    assert re.search(r"^n\d is down, n\d leads$", printed.stdout, re.M)
    assert len(re.findall(r"^[a-z-]+ +ok ", printed.stdout, re.M)) == 11


def test_examples():
    """The two examples end in a verdict."""
    cluster("tcp").close()
    environment = {**os.environ, **lua_environment()}
    for command in ([sys.executable, "processes.py"], ["lua5.4", "processes.lua"]):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT / "examples"
        )
        assert done.returncode == 0, done.stderr
        assert "linearizability            ok" in done.stdout


def test_faults_are_what_the_system_knows_them_by():
    """crash ends the process, pause stops it, resume continues it; each shows in the system's own tables."""
    with cluster("tcp", nodes=3) as c:
        c.wait_leader()
        first, second, _ = pids(c)
        c.pause(1)
        assert eventually(lambda: state(first) == "T")
        assert c.inspect(1)  # it is woken for that, and stops again
        assert eventually(lambda: state(first) == "T")
        os.kill(first, signal.SIGCONT)  # whoever does that: the plan says that it is paused
        assert eventually(lambda: state(first) == "T")
        c.skew(1, offset=0.5)
        c.resume(1)
        assert eventually(lambda: state(first) in ("S", "R"))
        c.crash(2)
        assert state(second) == "" and pids(c)[1] == 0
        c.restart(2)
        assert pids(c)[1] not in (0, second)
        os.kill(first, signal.SIGKILL)
        c.run_until(lambda c: not c.status().nodes[0].up)
        assert "signal 9" in c.status().nodes[0].why_down
        c.restart(1)
        assert c.load(clients=4, operations=200).ok == 200
        assert c.check().verdict == "ok"


BOUNDS = {
    "floodset": {"bound": 0.5},
    "3pc": {"phase_timeout": 1},
    "bully": {"reply_timeout": 1},
    "ring": {"reply_timeout": 1},
}
ANSWERING = [str(p["name"]) for p in q.protocols() if p["name"] != "null"]  # null only passes messages on


@pytest.mark.parametrize("protocol", ANSWERING)
def test_every_protocol_runs_in_processes(protocol: str):
    """With its options, detector and quorum rule handed over, and a node killed and started again."""
    cluster("tcp").close()
    options = {"quorum": "flexible:3,2"} if protocol in ("raft", "paxos") else BOUNDS.get(protocol, {})
    with q.Cluster(
        protocol, nodes=4, runtime="live", transport="tcp", detector="phi", timeout=10, **options
    ) as c:
        try:
            c.load(clients=2, operations=50)
        except q.UnsupportedError:
            c.load(clients=2, operations=50, machine="values")
        c.crash(4)
        c.run_until(lambda c: any(4 in n.suspects for n in c.status().nodes))
        c.restart(4)
        c.run_until(lambda c: all(n.up and 4 not in n.suspects for n in c.status().nodes))
        result = c.check()
        assert result.verdict == "ok" or result.assumption, str(result)  # a machine so busy breaks the bound


def test_nodes_say_what_they_take():
    """A process's memory is within its budget, which follows from the options; a thread has neither."""
    cluster("tcp").close()
    budgets = []
    for nodes, pending in ((3, "64MiB"), (5, "64MiB"), (3, "128MiB")):
        with q.Cluster(nodes=nodes, runtime="live", transport="tcp", max_pending_bytes=pending) as c:
            c.wait_leader()
            for node in c.status().nodes:
                assert 0 < node.memory < node.memory_budget
                assert node.refused == node.shut == node.unaccepted == 0
            budgets.append(c.status().nodes[0].memory_budget)
    assert budgets[1] > budgets[0] and budgets[2] == budgets[0] + (64 << 20)
    with q.Cluster(runtime="live") as c:
        assert c.status().nodes[0].memory_budget == 0


@pytest.mark.parametrize("transport", APART)
def test_closing_leaves_nothing(transport: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No process, folder, descriptor or thread stays: closed, left by an exception, or never begun."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cluster(transport).close()
    before = own_things()
    for ending in ("close", "exception", "stopped"):
        with pytest.raises(ZeroDivisionError), cluster(transport, nodes=3) as c:
            mine = pids(c)
            assert len(children()) > len(before[2]) and list(tmp_path.iterdir())
            if ending == "stopped":
                c.pause("all")
            if ending == "close":
                c.close()
            raise ZeroDivisionError
        assert not any(state(pid) for pid in mine)
    with pytest.raises(q.QuorateError):
        cluster(transport, disk="folder", data="/proc/none/of/this")
    assert own_things() == before and not list(tmp_path.iterdir())


ORPHAN = """
import json, os, signal, sys
import quorate as q
c = q.Cluster(runtime="live", transport=sys.argv[1], nodes=3)
c.wait_leader()
c.pause(2)
children = [p for t in os.listdir("/proc/self/task")
            for p in open(f"/proc/self/task/{t}/children").read().split()]
print(json.dumps([int(p) for p in children]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("transport", APART)
def test_a_killed_owner_leaves_nothing(transport: str, tmp_path: Path):
    """kill -9 of the owner, with one node stopped: every process ends and the private folder goes."""
    cluster(transport).close()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.run(
        [sys.executable, "-c", ORPHAN, transport], capture_output=True, text=True, env=environment, timeout=60
    )
    assert owner.returncode == -signal.SIGKILL, owner.stderr
    orphans = json.loads(owner.stdout)
    assert len(orphans) == 4  # three nodes and the janitor
    assert eventually(lambda: not any(state(pid) for pid in orphans))
    assert eventually(lambda: not list(tmp_path.iterdir()))


def test_processes_that_the_system_holds_up_go_on():
    """Stopped from outside in the middle of their work, again and again, for longer than a heartbeat: no
    timer rings without end afterwards, and the cluster works on.
    """
    with cluster("tcp", nodes=3, seed=4, election_timeout=0.06, heartbeat_interval=0.01, log="error") as c:
        c.wait_leader()
        everybody = pids(c)
        for i in range(60):
            for _ in range(200):
                c.propose_later(f"x = {i}")
            held = everybody[i % 3]
            os.kill(held, signal.SIGSTOP)
            time.sleep(0.025)
            os.kill(held, signal.SIGCONT)
        assert c.propose("the end", timeout=PATIENCE).index > 0
        assert c.metrics["dropped"] < 100_000
        assert c.check().ok


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A simulated cluster has no transport; a node program that is not there, or not one, is named."""
    with pytest.raises(q.ArgumentError, match="need runtime=live"):
        q.Cluster(transport="tcp")
    cluster("tcp").close()
    monkeypatch.setenv("QUORATE_NODE", str(tmp_path / "none"))
    with pytest.raises(q.NotFoundError, match="QUORATE_NODE names"):
        cluster("tcp")
    monkeypatch.setenv("QUORATE_NODE", "/bin/true")
    with pytest.raises(q.QuorateError, match="ended at once"):
        cluster("tcp")
    assert not children()


def test_a_folder_that_cannot_be_opened_again_is_named(tmp_path: Path):
    """A restart that finds no usable folder says so, and the next one, when there is one again, works."""
    folder = tmp_path / "data" / "n1"
    with cluster("tcp", nodes=3, disk="folder", data=str(tmp_path / "data")) as c:
        c.wait_leader()
        c.crash(1)
        folder.rename(tmp_path / "away")
        folder.write_text("not a folder")
        c.restart(1)
        why = c.status().nodes[0].why_down
        assert "n1 failed: Not a directory" in why and "signal" not in why
        assert c.load(clients=2, operations=50).ok == 50
        folder.unlink()
        (tmp_path / "away").rename(folder)
        c.restart(1)
        assert c.status().nodes[0].up and c.load(clients=2, operations=50).ok == 100
        assert c.check().verdict == "ok"


@pytest.mark.parametrize("transport", APART)
def test_twenty_processes(transport: str):
    """More peers, keys and connections than any table of theirs begins with."""
    slow = {"election_timeout": 2.0, "heartbeat_interval": 0.2}  # twenty processes on few processors
    with cluster(transport, nodes=20, timeout=30, **slow) as c:
        old = c.wait_leader(timeout=60)
        first = pids(c)
        c.crash(old)
        c.wait_leader(timeout=60, other_than=old)
        c.restart(old)
        assert c.load(clients=4, operations=100).ok == 100
        assert [pid for n, pid in enumerate(pids(c), 1) if n != old] == [
            pid for n, pid in enumerate(first, 1) if n != old
        ]
        assert c.status().nodes[old - 1].shut == 0 and c.check().verdict == "ok"


def listening(pid: int) -> set[str]:
    """The addresses, as Linux writes them, on which a process's TCP sockets listen."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(entry))
        except FileNotFoundError:
            continue  # closed meanwhile
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
            local, state_of, inode = (line.split()[i] for i in (1, 3, 9))
            if state_of == "0A" and f"socket:[{inode}]" in own:
                found.add(local.partition(":")[0])
    return found


def test_nobody_listens_beyond_this_host():
    """Neither the nodes nor their owner take connections on another address than 127.0.0.1."""
    with cluster("tcp", nodes=3, metrics=0) as c:
        c.wait_leader()
        loopback = f"{int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder):08X}"
        before = listening(os.getpid())
        assert before == {loopback}
        for pid in pids(c):
            assert listening(pid) == {loopback}
