"""Live clusters where something of the system is missing: said at once, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import quorate as q

PATIENCE = 30.0  # seconds
HOLD = """
import quorate as q
print("begins", flush=True)
c = q.Cluster("raft", nodes=5, runtime="live", transport="{transport}", log="off")
c.run(1000)
"""


@pytest.fixture(autouse=True)
def live() -> None:
    """A skip where the build has no live runtime."""
    try:
        q.Cluster("raft", nodes=1, runtime="live").close()
    except q.UnsupportedError as error:
        pytest.skip(str(error))


def refused(error: type[q.QuorateError], says: str, **options: str) -> None:
    with pytest.raises(error, match=says):
        q.Cluster("raft", runtime="live", log="off", **options)


def test_a_folder_with_too_long_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Unix socket's path holds 107 bytes: what to do stands in the message; tcp needs no such path."""
    long = tmp_path / ("x" * 110)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    refused(q.RangeError, "too long a name for Unix sockets.*set TMPDIR to another", transport="ipc")
    with q.Cluster("raft", runtime="live", transport="tcp", log="off") as c:
        assert c.wait_leader(PATIENCE)
    longer = long / ("y" * 200)
    longer.mkdir()
    monkeypatch.setenv("TMPDIR", str(longer))
    refused(q.RangeError, "too long a name for data", transport="tcp")
    assert not list(longer.iterdir())


def test_a_folder_with_odd_letters(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Spaces, quotes and letters beyond ASCII in every path."""
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    request.addfinalizer(lambda: shutil.rmtree(short))
    odd = short / "a ü'\"\\ b"
    odd.mkdir()
    monkeypatch.setenv("TMPDIR", str(odd))
    with q.Cluster("raft", runtime="live", transport="ipc", log=f"info:{odd}/", capture=str(odd / "c")) as c:
        c.wait_leader(PATIENCE)
        c.propose("x", timeout=PATIENCE)
    assert q.replay(odd / "c").ok
    assert sorted(p.name for p in odd.iterdir()) == ["c", "cluster.log", "n1.log", "n2.log", "n3.log"]


@pytest.mark.parametrize(
    ("program", "error", "says"),
    [
        ("/nowhere", q.NotFoundError, "no program that can be run"),
        ("/tmp", q.NotFoundError, "no program that can be run"),
        ("/dev/null", q.NotFoundError, "no program that can be run"),
        ("/bin/true", q.StorageError, "ended at once; is /bin/true of this version"),
    ],
)
def test_another_program_than_the_node(program, error, says, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is named, and what is wrong with it."""
    monkeypatch.setenv("QUORATE_NODE", program)
    refused(error, says, transport="tcp")


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_an_owner_that_is_killed_while_it_starts_leaves_nothing(transport: str, tmp_path: Path) -> None:
    """Whenever kill -9 comes: no process, no folder."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("XDG_RUNTIME_DIR", None)
    for i in range(10):
        line = [sys.executable, "-c", HOLD.format(transport=transport)]
        owner = subprocess.Popen(line, stdout=subprocess.PIPE, env=environment)
        assert owner.stdout and owner.stdout.readline() == b"begins\n"
        time.sleep(i * 0.005)  # into the middle of it
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE)
        owner.stdout.close()
    end = time.monotonic() + PATIENCE
    while list(tmp_path.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not list(tmp_path.iterdir())


def test_output_that_nobody_reads() -> None:
    """A closed pipe and a full device: no traceback, and an exit code that is not 0."""
    command = [sys.executable, "-m", "quorate", "options"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 4 and not done.stderr
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4 and done.stderr == "quorate: No space left on device\n"


def test_streams_that_are_closed() -> None:
    """Sockets and files get other descriptors than 0, 1 and 2."""
    script = f"exec {sys.executable} -m quorate soak --rounds 1 --nodes 3 <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", script], check=False, timeout=120).returncode == 0
