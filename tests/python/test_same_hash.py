"""One script and seed, the same trace hash from C, Python and Lua (tests/scenarios/same_hash.*).

The C program and the Lua module are those of the build that QUORATE_BUILD names, build/dev by default.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "tests" / "scenarios" / "same_hash"
BUILD = Path(os.environ.get("QUORATE_BUILD", ROOT / "build" / "dev"))


def printed(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    hash = done.stdout.strip()
    assert re.fullmatch("[0-9a-f]{16}", hash), f"{' '.join(command)} printed no hash: {hash!r}"
    return hash


def hash_in_python(**environment: str) -> str:
    return printed([sys.executable, f"{SCENARIO}.py"], **environment)


def test_python_twice() -> None:
    """Another process, with another order of sets, gives the same hash."""
    assert hash_in_python(PYTHONHASHSEED="1") == hash_in_python(PYTHONHASHSEED="2")


def test_c_and_python() -> None:
    """The script in C, in the build's own test program."""
    program = BUILD / "tests" / "test_determinism"
    if not program.exists():
        pytest.skip(f"{program} was not built")
    assert printed([str(program), "--hash"]) == hash_in_python()


def test_lua_and_python() -> None:
    """The script in Lua, with the files of lua/ and the module of the build."""
    lua = shutil.which("lua5.4")
    if lua is None or not (BUILD / "lua" / "quorate" / "core.so").exists():
        pytest.skip("lua5.4 is missing, or the Lua module was not built")
    path = {"LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;", "LUA_CPATH": f"{BUILD}/lua/?.so;;"}
    assert printed([lua, f"{SCENARIO}.lua"], **path) == hash_in_python()
