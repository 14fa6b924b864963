"""What is installed is found: by CMake, pkg-config and Lua; and the extension keeps to the stable ABI."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("QUORATE_BUILD", ROOT / "build" / "dev"))

PROGRAM = """
#include <quorate.h>
int main(void) { return qrt_abi_version() > 0 ? QRT_OK : 1; }
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(quorate 0.1 REQUIRED)
add_executable(user main.c)
target_link_libraries(user PRIVATE quorate::quorate)
"""


def run(*command: object, **environment: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load_script(path: Path):  # type: ignore[no-untyped-def]
    """A module of the build, which is not installed."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix into which the library and the Lua module were installed."""
    if not (BUILD / "CMakeCache.txt").exists() or not shutil.which("cmake", path="/usr/bin:/usr/local/bin"):
        pytest.skip(f"nothing is built in {BUILD}: make build")
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", BUILD, "--prefix", folder)
    return folder


def test_pkg_config_finds_the_library(prefix: Path, tmp_path: Path) -> None:
    """A C program compiles with what pkg-config says, and runs."""
    pc = next(prefix.rglob("quorate.pc"))
    source = tmp_path / "main.c"
    source.write_text(PROGRAM)
    flags = run("pkg-config", "--cflags", "--libs", "quorate", PKG_CONFIG_PATH=str(pc.parent)).split()
    run("cc", "-Wall", "-Werror", "-std=c11", source, *flags, "-o", tmp_path / "main")
    run(tmp_path / "main", LD_LIBRARY_PATH=str(pc.parent.parent))


def test_find_package_finds_the_library(prefix: Path, tmp_path: Path) -> None:
    """find_package(quorate) gives quorate::quorate."""
    (tmp_path / "main.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "b")
    run(tmp_path / "b" / "user")


def test_library_exports_its_interface_alone(prefix: Path) -> None:
    """Only qrt_ names are visible, and the library carries its SOVERSION."""
    library = next(path for path in prefix.rglob("libquorate.so"))
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    assert exported and all(name.startswith("qrt_") for name in exported), exported
    assert re.search(r"SONAME.*libquorate\.so\.0\b", run("readelf", "-d", library))


def test_lua_finds_the_module(prefix: Path) -> None:
    """Below an installed prefix, Lua's own search pattern finds the Lua files and the C module."""
    if not shutil.which("lua5.4"):
        pytest.skip("there is no lua5.4 here")
    run(
        "lua5.4",
        "-e",
        'assert(type(require "quorate") == "table")',
        LUA_PATH=f"{prefix}/share/lua/5.4/?.lua;{prefix}/share/lua/5.4/?/init.lua",
        LUA_CPATH=f"{prefix}/lib/lua/5.4/?.so",
    )
    module = prefix / "lib/lua/5.4/quorate/core.so"
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", module).splitlines()]
    assert exported and all(name.startswith("luaopen_quorate") for name in exported), exported
    assert "liblua" not in run("readelf", "-d", module)


def test_extension_keeps_to_the_stable_abi() -> None:
    """The installed extension is an .abi3.so that exports its init function and nothing else."""
    spec = importlib.util.find_spec("quorate._quorate")
    if spec is None or not spec.origin:
        pytest.skip("the extension is not installed")
    checker = load_script(ROOT / "bindings/python/check_wheel.py")
    assert checker.faults_of_library(Path(spec.origin)) == []


def test_missing_packages_are_named_at_once(tmp_path: Path) -> None:
    """Without the libraries, configuring fails and names every Debian package to install."""
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(tmp_path), "-DQUORATE_TESTS=ON"],
        env=os.environ | {"PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    line = next(line for line in done.stderr.splitlines() if "apt install" in line)
    wanted = "libjansson-dev libsodium-dev nettle-dev libxxhash-dev libzmq3-dev liblua5.4-dev libcmocka-dev"
    assert set(wanted.split()) <= set(line.split()), done.stderr


@pytest.mark.parametrize(
    ("header", "message"),
    [("int f(void);\n", "must hold"), ("BEGIN\n#define X 1\nEND\n", "line 2: no preprocessor")],
)
def test_header_extraction_refuses(header: str, message: str) -> None:
    """Missing markers and preprocessor lines between them are reported, not passed on to cffi."""
    script = load_script(ROOT / "bindings/python/build_ffi.py")
    with pytest.raises(ValueError, match=message):
        script.extract(header.replace("BEGIN", script.BEGIN).replace("END", script.END))


def test_header_extraction_strips_attributes() -> None:
    """cffi sees the declarations without export and attribute macros."""
    script = load_script(ROOT / "bindings/python/build_ffi.py")
    body = "QRT_API QRT_MUST_USE int f(void);\nQRT_API\nint g(int QRT_API_x);"
    header = f"{script.BEGIN}\n{body}\n{script.END}\n"
    assert "QRT_MUST_USE" not in script.extract(header)
    assert re.sub(r"\s+", " ", script.extract(header)).strip() == "int f(void); int g(int QRT_API_x);"
