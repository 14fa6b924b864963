"""Files that are none: refused at once, in the same words everywhere; nothing blocks, or is read for ever."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import quorate as q
from quorate.demo import load_text

SAYS = {
    "folder": "is a folder, not a file",
    "pipe": "is a pipe, not a file",
    "device": "is a device, not a file",
    "huge": "bytes, and such a file has at most",
    "missing": "cannot be read: No such file or directory",
}
READERS = {
    "plan": q.Plan.load,
    "history": q.History.load,
    "run": q.replay,
    "cluster file": q.connect,
    "key file": lambda path: q.connect(_cluster_file(path), key=path),
    "keygen": q.keygen,
    "text": load_text,
}
LUA = Path(sys.prefix) / "lib" / "lua" / "5.4" / "quorate" / "core.so"


def _cluster_file(path: Path) -> Path:
    """With a key, so that a client needs one."""
    file = path.parent / "with-key.toml"
    key = "a" * 40
    file.write_text(f'[cluster]\nname = "a"\n[node.1]\nendpoint = "tcp://127.0.0.1:1"\nkey = "{key}"\n')
    return file


def _make(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        path.touch(0o600)
        os.truncate(path, 2**40)
    return path


@pytest.mark.parametrize("kind", SAYS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused(tmp_path, reader, kind):
    """A pipe would block, a device might never end, a terabyte is no plan."""
    path = _make(tmp_path, kind)
    if reader == "run" and kind == "folder":
        with pytest.raises(q.NotFoundError, match="holds no capture"):
            q.replay(path)
        return
    with pytest.raises(q.StorageError, match=str(path)) as caught:
        READERS[reader](path)
    assert SAYS[kind] in str(caught.value) and isinstance(caught.value, OSError)


COMMANDS = [
    ("check",),
    ("replay",),
    ("campaign", "--seeds", "1", "--plan"),
    ("compare", "raft", "--plan"),
    ("run",),
    ("grade",),
    ("twice",),
    ("demo", "--text"),
    ("keygen", "--config"),
    ("status", "--config"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_refuses_a_pipe(tmp_path, command):
    """Exit code 2, one sentence that says which file, at once."""
    path = tmp_path / ("pipe.py" if command[0] == "run" else "pipe")
    os.mkfifo(path)
    line = [sys.executable, "-m", "quorate", *command, str(path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and SAYS["pipe"] in done.stderr, done.stderr
    assert done.stderr.count(str(path)) == 1 and "Traceback" not in done.stderr


def test_a_capture_of_pipes_is_refused(tmp_path):
    """In a folder that is named as a capture."""
    os.mkfifo(tmp_path / "capture.json")
    with pytest.raises(q.StorageError, match=SAYS["pipe"]):
        q.replay(tmp_path)


def test_a_log_that_nobody_reads_is_refused(tmp_path):
    """A pipe without a reader: opening it for writing would wait for one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    try:
        with pytest.raises(q.StorageError, match="nobody reads"):
            q.Cluster("raft", runtime="live", log=f"info:{path}")
    except q.UnsupportedError as error:
        pytest.skip(str(error))


def test_plans_that_are_no_text(tmp_path):
    """Bytes that are no UTF-8: line and column, no error of the decoder's."""
    path = tmp_path / "plan.json"
    path.write_bytes(b'{"directives": ["\xff\xfe"]}')
    for read in (q.Plan.load, q.replay, q.History.load):
        with pytest.raises(q.ParseError, match="line 1"):
            read(path)


@pytest.mark.skipif(
    not LUA.exists() or not shutil.which("lua5.4"), reason="the Lua module is not installed here"
)
def test_lua_says_the_same(tmp_path):
    """nil, the sentence, "io"."""
    for kind, says in SAYS.items():
        path = _make(tmp_path, kind)
        calls = ["q.plan.load", "q.history.load", "q.connect"] + ["q.replay"] * (kind != "folder")
        script = tmp_path / "s.lua"
        body = "".join(f"print(select(2, {call}[[{path}]]), select(3, {call}[[{path}]]))\n" for call in calls)
        script.write_text(f'local q = require "quorate"\n{body}')
        line = [sys.executable, "-m", "quorate", "run", str(script)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert len(said) == len(calls) and all(says in one and one.endswith("io") for one in said), said
