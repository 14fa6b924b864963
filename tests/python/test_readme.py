"""What README.md shows is what happens: its Python and Lua blocks are run, and their output compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import quorate as q

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)


def run(command: list[str], **environment: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lua_environment() -> dict[str, str]:
    """Where Lua finds the sources and the built module; skips where there is none."""
    module = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev")) / "lua"
    if not shutil.which("lua5.4") or not (module / "quorate/core.so").exists():
        pytest.skip("no lua5.4, or the Lua module is not built")
    return {"LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;", "LUA_CPATH": f"{module}/?.so;;"}


def test_python():
    """The twenty lines print what the README says, to the last digit of the trace hash."""
    [program], [printed] = blocks(ROOT / "README.md", "python"), blocks(ROOT / "README.md", "text")
    assert run([sys.executable, "-c", program]) == printed


def test_lua():
    """The twin prints the same, but for nil before the reason and the order of the mix."""
    [program], [printed] = blocks(ROOT / "README.md", "lua"), blocks(ROOT / "README.md", "text")
    lua = run(["lua5.4", "-e", program], **lua_environment())

    def plain(text: str) -> str:
        text = re.sub(r"^nil\t(.*)\t[a-z-]+$", r"\1", text, flags=re.M)
        return re.sub(r"\(([^()]*)\)", lambda mix: str(sorted(mix[1].split(", "))), text)

    assert plain(lua) == plain(printed)


def test_c(tmp_path: Path):
    """The C example compiles without a warning against the built library, and every property is ok."""
    build = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev"))
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler or not (build / "libquorate.so").exists():
        pytest.skip("no C compiler, or the library is not built")
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    place = [f"-I{ROOT}/core/include", f"-L{build}", f"-Wl,-rpath,{build}"]
    program = str(tmp_path / "first_cluster")
    run([compiler, *warnings, str(ROOT / "examples/first_cluster.c"), *place, "-lquorate", "-o", program])
    printed = run([program])
    assert printed.count("committed at index") == 2
    verdicts = json.loads(printed[printed.index("{") :])
    assert {p["verdict"] for p in verdicts["properties"]} == {"ok"}


def test_examples_are_the_same():
    """The files under examples/ are the blocks of the README."""
    assert blocks(ROOT / "README.md", "python")[0] in (ROOT / "examples/readme.py").read_text()
    assert blocks(ROOT / "README.md", "lua")[0] in (ROOT / "examples/readme.lua").read_text()


@pytest.mark.parametrize("page", [p for p in DOCS if p.name != "README.md"], ids=lambda p: p.name)
def test_pages_run(page: Path, tmp_path: Path):
    """The Python blocks of the other pages run without an error."""
    for program in blocks(page, "python"):
        if "q.connect(" in program:  # it needs nodes by hand, which test_by_hand.py has
            continue
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_directive_of_the_plans_page_is_one():
    """The table of docs/plans.md has directives that the core reads, of every verb."""
    page = (ROOT / "docs/plans.md").read_text(encoding="utf-8")
    found = [json.loads(text) for text in re.findall(r"`(\{\"do\".*?\})` \|", page)]
    assert len({d["do"] for d in found}) == 17
    for directive in found:
        q.Plan([{"at": 1, **directive}])


def test_links_and_examples():
    """Every link to a file has its file, and every example is mentioned somewhere."""
    everything = ""
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        everything += text
        for target in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    for example in (ROOT / "examples").iterdir():
        assert example.name in everything or example.name.startswith((".", "__")), example.name


def test_the_design_page_lists_every_mistake_and_property():
    """docs/design.md names every switchable mistake with its property, and every property."""
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    for bug in q.bugs("raft"):
        name, broken = bug["name"], bug["property"]
        assert re.search(rf"^\| `{name}` \|.*\| `{broken}` \|$", design, re.M), name
    with q.Cluster("raft", seed=1) as c:
        for p in c.check():
            assert f"| `{p.name}` |" in design, p.name
