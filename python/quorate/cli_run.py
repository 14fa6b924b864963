"""The commands that run something: a script in Python or Lua, and the demo."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quorate import _report
from quorate._ffi import checked_path
from quorate.cli_commands import EXIT, check_data, show, tell, worst
from quorate.demo import load_text, play
from quorate.errors import ArgumentError, NotFoundError
from quorate.growth import growth
from quorate.soak import soak as run_soak
from quorate.trouble import choose_faults

FAILED = 4  # the script raised
LUA = "5.4"
NAMED = ("protocol", "transport", "nodes", "clients", "seed", "capture")  # options of their own of a soak


def run(arguments: argparse.Namespace) -> int:
    """Runs a script; its exit code is the script's own, else that of its last check."""
    script = Path(arguments.script)
    if arguments.arguments[:1] == ["--json"]:  # right behind the script's name it is ours
        arguments.json, arguments.arguments = True, arguments.arguments[1:]
    checked_path(script)
    runners = {".py": _run_python, ".lua": _run_lua}
    if script.suffix not in runners:
        raise ArgumentError(f"{script} is neither a Python (.py) nor a Lua (.lua) script")
    code, report = runners[script.suffix](script, arguments.arguments, arguments.json)
    data = {"hash": report.get("hash"), "verdicts": report.get("verdicts", {})}
    if arguments.json:
        print(json.dumps(data))
    return code or EXIT[worst(list(data["verdicts"].values()))]


@contextlib.contextmanager
def _prints_apart(apart: bool) -> Iterator[None]:
    """Everything that the script prints goes to standard error, where asked."""
    with contextlib.redirect_stdout(sys.stderr) if apart else contextlib.nullcontext():
        yield


def _run_python(script: Path, arguments: list[str], apart: bool) -> tuple[int, dict[str, Any]]:
    _report.watch()
    before = sys.argv, sys.path[:]
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    code = 0
    try:
        with _prints_apart(apart):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ended:
        code = _exit_code(ended)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _print_error(error)
        code = FAILED
    finally:
        sys.argv, sys.path[:] = before
    return code, _report.last


def _exit_code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    tell(str(ended.code))
    return 1


def _print_error(error: BaseException) -> None:
    """The script's own part of the traceback: not ours, nor runpy's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "runpy" not in f.filename and f.filename != __file__]
    tell("Traceback (most recent call last):")
    tell("".join(traceback.format_list(own)).rstrip())
    tell("".join(traceback.format_exception_only(error)).rstrip())


def _run_lua(script: Path, arguments: list[str], apart: bool) -> tuple[int, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        done = subprocess.run(
            [_find_lua(), str(script), *arguments],
            env={**os.environ, **_lua_paths(), "QUORATE_REPORT": str(path)},
            stdout=sys.stderr if apart else None,
            check=False,
        )
        report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    code = done.returncode
    if code < 0:
        return 128 - code, report
    return (FAILED if code == 1 else code), report


def _find_lua() -> str:
    """An interpreter of Lua 5.4: no other loads the module."""
    for name in ("lua5.4", "lua54", "lua"):
        path = shutil.which(name)
        if path and f"Lua {LUA}" in subprocess.run([path, "-v"], capture_output=True, text=True).stdout:
            return path
    raise NotFoundError("there is no Lua 5.4 interpreter; on Debian: apt install lua5.4")


def _lua_paths() -> dict[str, str]:
    """Where `make build` and `cmake --install` put the Lua files and the module of this environment."""
    share, lib = Path(sys.prefix) / "share" / "lua" / LUA, Path(sys.prefix) / "lib" / "lua" / LUA
    files = os.environ.get("LUA_PATH", ";")
    modules = os.environ.get("LUA_CPATH", ";")
    return {"LUA_PATH": f"{share}/?.lua;{share}/?/init.lua;{files};", "LUA_CPATH": f"{lib}/?.so;{modules};"}


def demo(arguments: argparse.Namespace) -> int:
    """Plays the demo; 1 when the text did not come back whole or a property is violated."""
    text = load_text(arguments.text)
    with _prints_apart(arguments.json):
        story = play(text, arguments.nodes, arguments.clients, arguments.seed, print, arguments.transport)
    if arguments.picture:
        Path(arguments.picture).write_text(story.picture, encoding="utf-8")
        tell(f"the picture is in {arguments.picture}")
    data = {**check_data(story.result), "whole": story.whole, "sha256": story.sha256}
    show(arguments, data, story.result)
    return EXIT[story.result.verdict] if story.whole else EXIT["violated"]


def option_pair(text: str) -> tuple[str, str]:
    """Of NAME=VALUE; the core judges both."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ArgumentError(f"--option takes NAME=VALUE of an option of the cluster, not {text!r}")
    if name in (*NAMED, "rounds", "faults"):
        raise ArgumentError(f"--option takes other options of the cluster: say --{name} instead of {text!r}")
    return name, value


def soak(arguments: argparse.Namespace) -> int:
    """Kills processes under load; 1 when a write is lost, a property violated, or something grows."""
    os.environ.setdefault("QUORATE_LOG", "error")  # that nodes are killed is no news here
    if arguments.growth:
        grown = growth(arguments.rounds, nodes=arguments.nodes)
        show(arguments, {"rounds": grown.rounds, "grown": grown.grown, "parts": grown.to_data()}, grown)
        return 0 if grown.ok else EXIT["violated"]
    faults = choose_faults(arguments.faults, arguments.protocol)
    options: dict[str, Any] = dict(option_pair(text) for text in arguments.option)
    options.update({name: getattr(arguments, name) for name in NAMED})
    done = run_soak(arguments.rounds, faults=faults, **options)
    data = {**check_data(done.result), "rounds": done.rounds, "kills": done.kills, "lost": done.lost}
    data.update(seconds=done.seconds, outages=done.outages, operations=done.load.operations)
    data.update(
        protocol=done.protocol, faults=done.faults, memory=done.memory, memory_budget=done.memory_budget
    )
    if done.replay:
        data["replay"] = dict(done.replay.report)
    show(arguments, data, done)
    if done.lost:
        return EXIT["violated"]
    if done.replay and not done.replay.ok and done.result.verdict == "ok":
        return EXIT.get(done.replay.verdict, 4)
    return EXIT[done.result.verdict]
