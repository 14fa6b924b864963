"""The layers and budgets of docs/design.md hold for every file, and the judges that say so can say no."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import budgets
import layers

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (".c", ".h", ".py", ".pyi", ".lua")

# Paths of one machine or one person do not belong into the project; written so that this line is not one.
MACHINE_PATHS = re.compile(r"(?<![\w.-])/(?:work|home|root)/[\w.]")


def project_files() -> list[str]:
    """Every file of the project, new ones too, without what is built."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        skip = {"build", "dist", "__pycache__"}
        listed = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in skip and not name.startswith(".")]
            listed += [str((Path(folder) / name).relative_to(ROOT)) for name in names]
    return sorted({name for name in listed if (ROOT / name).is_file()})


FILES = project_files()


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def core() -> dict[str, str]:
    """The core's sources by their path below core/src."""
    prefix = "core/src/"
    return {
        path.removeprefix(prefix): read(path)
        for path in FILES
        if path.startswith(prefix) and path.endswith((".c", ".h"))
    }


def report(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def test_includes_follow_the_layers() -> None:
    """Dependencies point one way, protocols are pure, ZeroMQ stays in runtime/live."""
    sources = core()
    protocols = layers.find_protocols(sources)
    report(
        [
            fault
            for path, text in sources.items()
            for fault in layers.judge(path, text, protocols, sources.__contains__)
        ]
    )


def test_files_and_functions_keep_their_budgets() -> None:
    """A function has at most 70 lines, a file 900, a module of the Python package 300."""
    report([fault for path in FILES if path.endswith(SOURCES) for fault in budgets.judge(path, read(path))])


def test_one_python_module_touches_cffi() -> None:
    """The extension is imported in one place, so that the rest is plain typed Python."""
    pattern = re.compile(r"^\s*(from|import)\s+(cffi|quorate\._quorate|\._quorate)\b|import _quorate\b", re.M)
    modules = [p for p in FILES if p.startswith("python/quorate/") and p.endswith(".py")]
    touching = [path for path in modules if pattern.search(read(path))]
    assert len(touching) <= 1, touching


def test_no_path_of_one_machine() -> None:
    """The project works from its repository alone."""
    report(
        [
            f"{path}:{number}: {line.strip()[:100]}"
            for path in FILES
            for number, line in enumerate(read(path).splitlines(), 1)
            if MACHINE_PATHS.search(line)
        ]
    )


def test_versions_agree() -> None:
    """CMake and Python call the same thing by the same version."""
    cmake = re.search(r"project\(quorate VERSION (\S+)", read("CMakeLists.txt"))
    python = re.search(r'^version = "([^"]+)"', read("pyproject.toml"), re.MULTILINE)
    assert cmake and python and cmake[1] == python[1]


# --- The judges can say no ----------------------------------------------------------------------------------

SAMPLE = {
    "base/heap.h": "",
    "wire/wire.h": "",
    "check/raft.h": "",
    "runtime/sim.h": "",
    "cluster/cluster.h": "",
    "runtime/live/net.h": "",
    "machine/kv.h": "",
    "protocol/protocol.h": "",
    "protocol/quorum.h": "",
    "protocol/quorum.c": "int quorum(int n) { return n / 2 + 1; }\n",
    "protocol/raft.h": "",
    "protocol/raft_log.h": "",
    "protocol/raft.c": "const struct protocol raft = {\n};\n",
    "protocol/bully.c": "const struct protocol bully = {\n};\n",
    "protocol/pbft/pbft.h": "",
}


@pytest.mark.parametrize(
    ("path", "include", "message"),
    [
        ("base/x.c", '"wire/wire.h"', "base must not include wire"),
        ("wire/x.c", '"protocol/protocol.h"', "wire must not include protocol"),
        ("protocol/raft.c", '"machine/kv.h"', "protocol must not include machine"),
        ("protocol/bully.c", '"protocol/raft.h"', "includes protocol raft"),
        ("protocol/bully.c", '"protocol/raft_log.h"', "includes protocol raft"),
        ("protocol/bully.c", '"protocol/pbft/pbft.h"', "includes protocol pbft"),
        ("protocol/pbft/pbft.c", '"protocol/raft.h"', "includes protocol raft"),
        ("protocol/quorum.c", '"protocol/raft.h"', "a pure part includes"),
        ("protocol/raft.c", "<stdio.h>", "a protocol has no"),
        ("protocol/raft.c", "<time.h>", "a protocol has no"),
        ("protocol/raft.c", "<sodium.h>", "a protocol has no"),
        ("protocol/raft.c", '"runtime/sim.h"', "protocol must not include runtime"),
        ("runtime/sim.c", '"check/raft.h"', "runtime must not include check"),
        ("runtime/sim.c", '"runtime/live/net.h"', "without live"),
        ("runtime/sim.c", "<zmq.h>", "only runtime/live"),
        ("runtime/sim.c", '"cluster/cluster.h"', "runtime must not include cluster"),
        ("check/raft.c", '"protocol/raft.h"', "check must not include protocol"),
        ("detect/phi.c", "<math.h>", "libm"),
        ("detect/phi.c", "<sys/socket.h>", "no clock"),
        ("base/heap.c", '"heap.h"', "relative to core/src"),
        ("base/heap.c", '"../base/heap.h"', "relative to core/src"),
        ("base/heap.c", '"base/gone.h"', "no such file"),
        ("base/heap.c", "<quorate.h>", "in quotes"),
        ("misc/x.c", "<stdint.h>", "no such part"),
    ],
)
def test_layers_refuse(path: str, include: str, message: str) -> None:
    """Each broken rule is named, with its line."""
    text = f"/* prose */\n#include {include}\n"
    faults = layers.judge(path, text, layers.find_protocols(SAMPLE), SAMPLE.__contains__)
    assert len(faults) == 1 and message in faults[0]


def test_layers_refuse_impure_calls() -> None:
    """What a permitted header offers beyond pure functions is refused by name."""
    text = "#include <stdlib.h>\nint f(void) { return rand(); }\nint g(struct s *p) { return p->random(); }\n"
    faults = layers.judge("protocol/raft.c", text, frozenset(), SAMPLE.__contains__)
    assert faults == ["core/src/protocol/raft.c:2: calls rand, which no replay repeats"]


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("base/heap.c", '"quorate.h"'),
        ("protocol/raft.c", '"protocol/quorum.h"'),
        ("protocol/raft_log.c", '"protocol/raft.h"'),
        ("protocol/raft.c", '"protocol/raft_log.h"'),
        ("protocol/registry.c", '"protocol/raft.h"'),
        ("runtime/live/net.c", "<zmq.h>"),
        ("runtime/live/net.c", '"runtime/live/net.h"'),
        ("runtime/sim.c", '"protocol/protocol.h"'),
        ("cluster/cluster.c", '"check/raft.h"'),
        ("abi/cluster.c", '"cluster/cluster.h"'),
        ("abi/cluster.c", '"runtime/live/net.h"'),
        ("detect/gmm.c", "<math.h>"),
    ],
)
def test_layers_permit(path: str, include: str) -> None:
    """What the design allows is not refused."""
    text = f"#include {include}\n"
    assert not layers.judge(path, text, layers.find_protocols(SAMPLE), SAMPLE.__contains__)


C_SAMPLE = r"""
#define OPEN {
#define LONG(x) \
    { x
/* { */ // }
struct pair { int a; struct { int b; } c; };
static const int table[] = { '{', '"', 3 };
static const struct ops ops = { .step = step };
__attribute__((cold)) static int
first(const char *s, int (*f)(int)) {
    if (s[0] == '{') { return f('\''); } // it's }
    return (struct pair){ 1, { 2 } }.a;
}
#ifdef __cplusplus
extern "C" {
#endif
int second(void) { return 0; }
#ifdef __cplusplus
}
#endif
enum kind { ONE, TWO };
"""


def test_c_scanner_finds_functions() -> None:
    """Braces in strings, comments, macros, types and initialisers are not functions."""
    assert list(budgets.c_functions(C_SAMPLE)) == [("first", 9, 5), ("second", 17, 1)]


@pytest.mark.parametrize("text", ["int f(void) {\n", "}\n", 'extern "C" {\n}\n}\n'])
def test_c_scanner_refuses_unbalanced_braces(text: str) -> None:
    """A file that the scanner cannot follow is a fault, not a pass."""
    assert "cannot be read" in budgets.judge("core/src/base/x.c", text)[0]


LUA_SAMPLE = """
local t = { "function", 'end' } -- function
--[[ function
if ]]
function t.first(a)
   if a then return 1 elseif t then return 2 else return 3 end
   for i = 1, 2 do a = i end
   while a do break end
   repeat a = nil until not a
   local inner = function() return [==[ end ]==] end
   return inner
end
local function second() end
"""


def test_lua_scanner_finds_functions() -> None:
    """Blocks, strings and comments do not confuse it."""
    found = list(budgets.lua_functions(LUA_SAMPLE))
    assert found == [("(anonymous)", 10, 1), ("t.first", 5, 8), ("second", 13, 1)]


@pytest.mark.parametrize(
    ("path", "head", "line", "tail"),
    [
        ("core/src/base/x.c", "int f(int a) {", "    a++;", "}"),
        ("lua/quorate/x.lua", "local function f(a)", "   a = a + 1", "end"),
        ("python/quorate/x.py", "def f(a):", "    a += 1", ""),
    ],
)
def test_budgets_refuse_long_functions(path: str, head: str, line: str, tail: str) -> None:
    """Seventy lines pass, seventy-one do not."""
    inner = 69 if not tail else 68
    good = "\n".join([head, *[line] * inner, tail]).rstrip() + "\n"
    bad = "\n".join([head, *[line] * (inner + 1), tail]).rstrip() + "\n"
    assert not budgets.judge(path, good)
    assert "f has 71 lines" in budgets.judge(path, bad)[0]


@pytest.mark.parametrize(
    ("path", "limit"), [("core/src/base/x.h", 900), ("python/quorate/x.py", 300), ("tests/python/x.py", 900)]
)
def test_budgets_refuse_long_files(path: str, limit: int) -> None:
    """A file may be as long as its budget and not a line longer."""
    assert not budgets.judge(path, "\n" * limit)
    assert f"at most {limit}" in budgets.judge(path, "\n" * (limit + 1))[0]


def test_machine_paths_are_found() -> None:
    """The search for somebody's own paths finds one."""
    assert MACHINE_PATHS.search("see /ho" + "me/someone/x") and not MACHINE_PATHS.search("src/net/home/x")
