"""Every script under examples/ runs and ends in a verdict."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py")) + sorted((ROOT / "examples").glob("*.lua"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda p: p.name)
def test_example(script: Path, tmp_path: Path):
    build = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev"))
    command = [sys.executable, str(script)]
    environment = dict(os.environ)
    if script.suffix == ".lua":
        lua = shutil.which("lua5.4")
        if not lua or not (build / "lua/quorate/core.so").exists():
            pytest.skip("no lua5.4, or the Lua module is not built")
        command = [lua, str(script)]
        environment["LUA_PATH"] = f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;"
        environment["LUA_CPATH"] = f"{build}/lua/?.so;;"
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout.split()
    assert "violated" not in done.stdout.split()
