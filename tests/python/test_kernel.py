"""A live cluster in a notebook: the kernel stays with its user, and its end leaves nothing behind."""

import os
import queue
import time
from pathlib import Path

import pytest

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

# What a user's cells leave running: a cluster under load, a paused node, a task in the background.
CELL = """
import asyncio, os, quorate as q
c = await q.aio.cluster("raft", nodes=3, runtime="live", transport="tcp")
leader = await c.aio.wait_leader()
await c.aio.propose("x = 1")
c.load(clients=2, operations=0, wait=False)
c.pause(leader)
running = asyncio.create_task(c.aio.run(1e6))
print(os.getpid())
"""
LATER = """
await asyncio.sleep(0)
new = await c.aio.wait_leader(other_than=leader)
print(new != leader, not running.done(), c.now > 0)
display(c.trace, c.load_report(), await c.aio.check())
c
"""


def processes(folder: Path) -> set[int]:
    """The node processes, and the janitor, of the kernel whose temporary files are in `folder`."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "cmdline").read_bytes().split(b"\0")[0]
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if program.endswith(b"quorate-node") and os.fsencode(f"TMPDIR={folder}") in environment:
            found.add(int(process.name))
    return found


def ports(pids: set[int]) -> set[str]:
    """The local addresses on which these processes listen over tcp."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[3] == "0A" and line[9] in inodes}


def listening() -> set[str]:
    """Every local address on which somebody listens."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[3] == "0A"}


def run(client, code: str) -> str:
    """What a cell prints; what it shows at its end comes after that."""
    said = []

    def hear(message) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            said.append(content["text"])
        elif message["msg_type"] in ("execute_result", "display_data"):
            said.extend(content["data"].values())

    reply = {"content": {"status": "aborted"}}
    while reply["content"]["status"] == "aborted":  # for a moment after an error a kernel takes nothing
        reply = client.execute_interactive(code, timeout=60, output_hook=hear)
    assert reply["content"]["status"] == "ok", reply["content"].get("traceback")
    return "".join(said)


def gone(folder: Path, taken: set[str]) -> bool:
    """Whether no process, no folder and no port is left."""
    return not processes(folder) and not list(folder.glob("quorate*")) and not taken & listening()


@pytest.mark.parametrize("end", ["restart", "restart now", "kill", "shutdown"])
def test_the_end_of_a_kernel_leaves_nothing_behind(end, tmp_path):
    """Restarting (politely or at once), killing, shutting down: its nodes end, paused ones too."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3", env=environment)
    try:
        run(client, CELL)
        shown = run(client, LATER)
        assert shown.startswith("True True True"), shown
        assert shown.count("<table") == 3 and "<svg" in shown, shown
        ours = processes(tmp_path)
        taken = ports(ours)
        assert len(ours) >= 3 and len(taken) == 3 and list(tmp_path.glob("quorate*"))
        began = time.monotonic()
        if end.startswith("restart"):
            manager.restart_kernel(now=end.endswith("now"), env=environment)
        elif end == "kill":
            manager.shutdown_kernel(now=True)
        else:
            manager.shutdown_kernel()
        print(end, "took", time.monotonic() - began, "s")
        while not gone(tmp_path, taken):
            assert time.monotonic() - began < 30, (processes(tmp_path), list(tmp_path.iterdir()))
            time.sleep(0.01)
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("wait", ["await c.aio.run(1e6)", "c.run(1e6)"])
def test_an_interrupt_ends_the_wait_alone(wait, tmp_path):
    """The kernel's interrupt goes to its whole process group; the nodes are not in it, and live on."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3", env=environment)
    try:
        run(client, "import quorate as q; c = await q.aio.cluster('raft', runtime='live', transport='tcp')")
        run(client, "await c.aio.wait_leader()")
        ours = processes(tmp_path)
        asked = client.execute(f"print('waits', flush=True)\n{wait}")
        while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
            pass
        while True:  # an interrupt that comes before the wait has begun is an interrupt as well
            manager.interrupt_kernel()
            try:
                reply = client.get_shell_msg(timeout=1)
            except queue.Empty:
                continue
            if reply["parent_header"]["msg_id"] == asked:
                break
        assert reply["content"]["status"] == "error"
        assert "committed" in run(client, "print(await c.aio.propose('x'))")
        assert processes(tmp_path) == ours
        run(client, "await c.aio.close()")
        assert not processes(tmp_path)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
