"""Ctrl-C, as a terminal sends it: whatever a command is at, it ends soon, with 130, and leaves no process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import quorate as q

BUSY = 20.0  # seconds; an idle machine takes a tenth of one. What does not hear of it goes on for longer

# The command line, which tells by closing a pipe that its interpreter has come so far.
COMMAND = """
import os, sys
from quorate.cli import main
os.close(int(sys.argv.pop(1)))
sys.exit(main())
"""
LUA_SCRIPT = """
local q = require "quorate"
print "begun"
io.stdout:flush()
for _ = 1, 1000 do assert(q.bench "raft/n3-w1-flat") end
"""
LUA_SIMULATION = """
local q = require "quorate"
local c <close> = assert(q.cluster { nodes = 5 })
print "begun"
io.stdout:flush()
c:run(1e7)
"""
PYTHON_SCRIPT = """
import quorate as q
with q.Cluster(nodes=3, runtime="live", transport="tcp") as c:
    c.wait_leader()
    print("begun", flush=True)
    c.run(600)
"""
COMMANDS = {
    "bench-live": ["bench", "live/tcp-w64"],
    "bench-inproc": ["bench", "live/inproc-w1"],
    "bench-durable": ["bench", "live/durable-w1"],
    "bench-sim": ["bench", "raft/n3-w1-flat"],
    "bench-store": ["bench", "store/group-256"],
    "bench-large": ["bench", "large/tcp-64k-w1"],
    "bench-failover": ["bench", "failover"],
    "soak": ["soak", "--rounds", "1000", "--nodes", "3"],
    "campaign": ["campaign", "--seeds", "100000000"],
    "lua-bench": ["run", "script.lua"],
    "lua-sim": ["run", "simulation.lua"],
    "python": ["run", "script.py"],
}


def session_of(pid: int) -> list[int]:
    """The processes of that session that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = entry / "stat" if entry.name.isdigit() else Path(os.devnull)
            text = stat.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        after = text.rpartition(")")[2].split()
        if after and int(after[3]) == pid and after[0] != "Z":
            found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def interrupt(words: list[str], folder: Path, after: float) -> tuple[int, float, str]:
    """Runs it in a session of its own, with Ctrl-C after a while: exit code, seconds, what it said."""
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "QUORATE_LOG": "error"}
    (folder / "tmp").mkdir()
    begun, begins = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(begins), *words],
        cwd=folder, env=environment, start_new_session=True, text=True, pass_fds=(begins,),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        os.close(begins)
        os.read(begun, 1)
        os.close(begun)
        time.sleep(after)
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        took = time.monotonic() - began
        assert wait_for(lambda: not session_of(process.pid), BUSY), session_of(process.pid)
        return process.returncode, took, said
    finally:
        for pid in session_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_ends_a_command(name: str, tmp_path: Path):
    """At once, with 130, without a process, a folder, or a traceback of ours."""
    try:
        q.Cluster(runtime="live", transport="tcp").close()
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    words = COMMANDS[name]
    if words[0] == "run" and words[1].endswith(".lua") and not shutil.which("lua5.4"):
        pytest.skip("no Lua 5.4 here")
    texts = {"script.lua": LUA_SCRIPT, "simulation.lua": LUA_SIMULATION, "script.py": PYTHON_SCRIPT}
    for file, text in texts.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    code, took, said = interrupt(words, tmp_path, 0.7)
    assert code == 130, said
    assert took < BUSY, said
    assert "interrupted" in said
    left = {path.name for path in tmp_path.iterdir()} - {*texts, "tmp"}
    assert not left and not list((tmp_path / "tmp").iterdir())
