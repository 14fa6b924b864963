"""What a live cluster shares with the processes that its owner or a node forks: it lives, dies and ends as if
they were not there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_live_processes import APART, cluster

ALL = ("inproc", *APART)
HERE = Path(__file__).parent
BEGIN = """
import os, signal, sys, time
import quorate as q

def forked(body):
    "A child that runs body to the end as a program does, with all that Python does on its way out."
    pid = os.fork()
    if pid:
        return pid
    body()
    sys.exit(0)

def reaped(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(program: str, *arguments: str) -> str:
    """A program of its own, so that one that hangs is ended; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=HERE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("transport", ALL)
def test_a_child_neither_uses_nor_ends_its_parents_cluster(transport: str):
    """The child's calls are refused by name; its exit and a cluster of its own leave the parent's at work."""
    cluster(transport).close()
    printed = run(
        """
transport = sys.argv[1]
c = q.Cluster(nodes=3, runtime="live", transport=transport)
c.wait_leader()
c.propose("before")

def child():
    global c
    try:
        c.propose("from the child")
    except q.ForkedError as error:
        print("refused:", error)
    c.close()
    c = None
    with q.Cluster(nodes=3, runtime="live", transport=transport) as own:
        print("own:", own.propose("x = 1").index > 0, own.check().verdict)

assert reaped(forked(child)) == 0
for i in range(20):
    c.propose(f"x = {i}")
old = c.leader
c.crash(old)
c.wait_leader(other_than=old)
c.restart(old)
assert c.load(clients=2, operations=100).ok == 100
print("parent:", c.check().verdict)
c.close()
""",
        transport,
    )
    assert "refused: the cluster was made before fork(2) by another process" in printed
    assert "own: True ok" in printed and "parent: ok" in printed


@pytest.mark.parametrize("transport", APART)
def test_a_child_that_stays_holds_nothing_up(transport: str):
    """Children that live on have the letters' sockets too: killed nodes are seen dead all the same, closing
    ends everything.
    """
    cluster(transport).close()
    printed = run(
        """
c = q.Cluster(nodes=3, runtime="live", transport=sys.argv[1])
c.wait_leader()
stays = [forked(lambda: time.sleep(100)) for _ in range(3)]
for node in c.nodes:
    c.crash(node)
    c.restart(node)
    os.kill(c.status().nodes[node - 1].pid, signal.SIGKILL)
    c.run_until(lambda c: not c.status().nodes[node - 1].up)
    c.restart(node)
assert c.load(clients=2, operations=100).ok == 100
print(c.check().verdict)
pids = [n.pid for n in c.status().nodes]
c.close()
print(not any(os.path.exists(f"/proc/{pid}") for pid in pids))
for pid in stays:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""",
        transport,
    )
    assert printed.split() == ["ok", "True"]


def test_what_a_scripts_node_starts_holds_nothing_up():
    """A node that forks, and starts a program, dies alone: the owner sees its death, though both of its
    children live on and the fork has its letters' socket. Its folder is still locked by the fork, and that is
    what a restart says.
    """
    cluster("tcp").close()
    printed = run(
        """
from live_protocols import Parent

def inherited(pid):
    return [fd for fd in os.listdir(f"/proc/{pid}/fd") if 3 <= int(fd) <= 7]

def children(c):
    return [int(pid) for pid in c.propose("two children", node=1).answer.split()]

with q.Cluster(Parent, nodes=2, runtime="live", transport="tcp") as c:
    first = children(c)
    end = time.monotonic() + 10  # execve lets the caller go on before it has closed what is to be closed
    while (left := inherited(first[1])) and time.monotonic() < end:
        time.sleep(0.01)
    print("inherited:", left)
    c.crash(1)
    print("down:", not c.status().nodes[0].up, all(os.path.exists(f"/proc/{pid}") for pid in first))
    c.restart(1)
    print(c.status().nodes[0].why_down)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    while not c.status().nodes[0].up:
        c.restart(1)
    second = children(c)
    print("again:", len(second))
    for pid in second:
        os.kill(pid, signal.SIGKILL)
"""
    )
    inherited, down, why, again = printed.splitlines()
    assert (inherited, down, again) == ("inherited: []", "down: True True", "again: 2")
    assert "the data folder" in why and "is in use by another node or process" in why


@pytest.mark.parametrize("ignored", (False, True))
def test_an_owner_that_leaves_no_exit_status(ignored: bool):
    """Where SIGCHLD is ignored, or the program waits for every child, nodes still die, return and end; what
    cannot be known of their end is said.
    """
    cluster("tcp").close()
    printed = run(
        """
if sys.argv[1] == "True":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
c = q.Cluster(nodes=3, runtime="live", transport="tcp")
c.wait_leader()
for node in c.nodes:
    c.pause(node)
    c.crash(node)
    c.restart(node)
    os.kill(c.status().nodes[node - 1].pid, signal.SIGKILL)
    if sys.argv[1] == "False":
        while c.status().nodes[node - 1].pid:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
    c.run_until(lambda c: not c.status().nodes[node - 1].up)
    print(c.status().nodes[node - 1].why_down)
    c.restart(node)
assert c.load(clients=2, operations=100).ok == 100
print(c.check().verdict)
c.close()
""",
        str(ignored),
    )
    *reasons, verdict = printed.splitlines()
    assert verdict == "ok" and len(reasons) == 3
    if ignored:
        assert all("it ignores SIGCHLD, or waits for every child" in reason for reason in reasons)
    else:
        assert all("signal 9" in reason or "waits for every child" in reason for reason in reasons)


@pytest.mark.parametrize("transport", ALL)
def test_a_child_does_not_keep_a_closed_clusters_folder(transport: str, tmp_path: Path):
    """A child that lives on has its parent's locks; the closed cluster's folder is free all the same."""
    cluster(transport).close()
    printed = run(
        """
options = {"nodes": 3, "runtime": "live", "transport": sys.argv[1], "disk": "folder", "data": sys.argv[2]}
with q.Cluster(**options) as c:
    c.wait_leader()
    kv = c.client()
    kv.put("x", "1")
    stays = forked(lambda: time.sleep(100))
with q.Cluster(**options) as c:
    c.wait_leader()
    print(c.client().get("x"))
os.kill(stays, signal.SIGKILL)
""",
        transport,
        str(tmp_path / "data"),
    )
    assert printed.split() == ["1"]
