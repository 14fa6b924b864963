"""What the pages show can be typed: command lines, cluster files, Lua blocks; option tables are true."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import quorate as q
from quorate.cli import main, parser
from quorate.remote import node_command
from test_by_hand import ByHand, by_hand, eventually
from test_readme import DOCS, ROOT, blocks, lua_environment

DEPLOY = ROOT / "docs/deploy.md"
SHELL = r"^```(?:sh)?\n(.*?)^```$"


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def command_lines(page: Path) -> Iterator[str]:
    """Every `quorate ...` of the page, in blocks and within sentences, without what stands behind a #."""
    shown = [line for block in re.findall(SHELL, text(page), re.M | re.S) for line in block.splitlines()]
    shown += re.findall(r"`(quorate [^`]+)`", text(page).replace("\n", " "))
    for line in shown:
        if re.match(r"quorate [a-z]", line) and not re.search(r"\.\.\.|\w\|\w", line):
            yield line


@pytest.mark.parametrize("page", DOCS, ids=lambda p: p.name)
def test_command_lines_are_ones(page: Path) -> None:
    """The command line's own parser takes each of them."""
    for line in command_lines(page):
        words = shlex.split(line, comments=True)[1:]
        try:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                parser().parse_args(words)
        except SystemExit:
            # One that is only named stands for its help: `quorate grade`.
            assert len(words) == 1 and "required" in said.getvalue(), f"{line}: {said.getvalue()}"


def test_lines_fit_a_screen() -> None:
    """128 characters, but for tables."""
    for page in (p for p in DOCS if p.name != "README.md"):
        long = [line for line in text(page).splitlines() if len(line) > 128 and not line.startswith("|")]
        assert not long, f"{page.name}: {long[0]}"


@pytest.mark.parametrize("page", [p for p in DOCS if p.name != "README.md"], ids=lambda p: p.name)
def test_lua_blocks_run(page: Path, tmp_path: Path) -> None:
    """Those of the README are compared with what it prints; those of nodes by hand need nodes."""
    for program in blocks(page, "lua"):
        if "q.connect(" in program:
            continue
        environment = lua_environment()
        done = subprocess.run(
            ["lua5.4", "-e", program], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_the_cluster_file_is_one(tmp_path: Path) -> None:
    """keygen, check and format take it as it is printed, but for where it keeps its data."""
    [file] = blocks(DEPLOY, "toml")
    written = tmp_path / "cluster.toml"
    written.write_text(file.replace("/var/lib/quorate", str(tmp_path / "data")), encoding="utf-8")
    try:
        assert len(q.keygen(written)) == 4
        done = subprocess.run(node_command("format", written, 1), capture_output=True, text=True)
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    program = node_command("format", written, 1)[0]
    assert subprocess.run([program, "check", str(written)]).returncode == 0


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[ByHand]:
    yield from by_hand(tmp_path)


def test_nodes_by_hand_as_the_page_uses_them(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its blocks in their order: the commands, Python, Lua; and how long clients wait when a leader goes."""
    monkeypatch.chdir(hand.folder)
    with hand.connect() as r:
        r.wait_leader(20)
    use = text(DEPLOY).split("## Using it")[1].split("\n## ")[0]
    [commands] = re.findall(r"^```sh\n(.*?)^```$", use, re.M | re.S)
    for line in commands.splitlines():
        words = shlex.split(line, comments=True)[1:]
        assert main(words) == 0, line
        if words[0] == "fault":  # what it paused goes on
            resumed = [*words[:-1], words[-1].replace("pause", "resume")]
            assert eventually(lambda: main(resumed) == 0)  # noqa: B023
    assert "n3 stops" in capsys.readouterr().out
    assert eventually(lambda: hand.running[3].poll() is not None)
    hand.start(3)
    with hand.connect() as r:
        assert eventually(lambda: all(n.up for n in r.status().nodes) and r.leader)
    programs = [p for p in blocks(DEPLOY, "python") if "q.connect(" in p]
    assert len(programs) == 2
    for program in programs:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ", 0 unknown" in done.stdout
    [lua] = blocks(DEPLOY, "lua")
    done = subprocess.run(["lua5.4", "-e", lua], env=lua_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_unit_is_one(tmp_path: Path) -> None:
    """systemd knows every line of it; the program is the one that was built."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    try:
        program = node_command("run", "x", 1)[0]
    except q.QuorateError as error:
        pytest.skip(str(error))
    unit = text(ROOT / "examples/quorate@.service").replace("/usr/local/bin/quorate-node", program)
    (tmp_path / "quorate@.service").write_text(unit, encoding="utf-8")
    (tmp_path / "wrong@.service").write_text(unit.replace("UMask", "Umask"), encoding="utf-8")

    def said(name: str) -> str:
        command = ["systemd-analyze", "verify", str(tmp_path / f"{name}@1.service")]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert "quorate@" not in said("quorate") and "Umask" in said("wrong")


PAGES = {
    "raft": ["raft"],
    "paxos": ["paxos"],
    "floodset": ["floodset"],
    "benor": ["benor"],
    "elections": ["timestamp", "bully", "ring"],
    "primary-backup": ["primary-backup"],
    "two-phase-commit": ["2pc"],
    "three-phase-commit": ["3pc"],
    "live": ["raft"],
    "detectors": ["raft"],
}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def plain(value: str) -> str | float:
    """Durations as seconds, so that 20 ms is 0.02."""
    number = re.fullmatch(r"([\d.]+) ?(us|ms|s)?", value)
    return float(number[1]) * SECONDS[number[2] or "s"] if number else value.replace(" ", "")


@pytest.mark.parametrize(("page", "protocols"), PAGES.items(), ids=list(PAGES))
def test_option_tables_say_what_holds(page: str, protocols: list[str]) -> None:
    """Every option of a page's table exists and has the default that stands there."""
    known = {o["name"]: o["default"] for p in protocols for o in q.options(p)}
    rows = re.findall(r"^\| option .*?(?=^[^|]|\Z)", text(ROOT / f"docs/{page}.md"), re.M | re.S)
    assert rows, page
    header, _, *lines = rows[-1].strip().splitlines()
    column = [cell.strip() for cell in header.strip("|").split("|")].index("default")
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`(\w+)`", cells[0])
        defaults = [d.strip(" `") for d in cells[column].split(", ")]
        if len(defaults) != len(names):  # QUORATE_LOG, or warn
            defaults = [""] * len(names)
        for name, default in zip(names, defaults, strict=True):
            assert name in known, f"{page}: {name}"
            if default not in ("", "none") or known[name] == "none":
                assert plain(default) == plain(known[name]), f"{page}: {name}"
