"""What the front ends cost over C: one run of a million simulated events, and steps of a hundred.

``python bench/bindings.py [--json] [--instructions | ROUNDS]``. A cluster of five Raft nodes with the same
seed does exactly the same each time, so the work is the same and only the calls differ: "steps" are set
against one call of C for all events, "same steps" against C that steps by a hundred too. C, Python and Lua
take turns within a round, in processor time. Reported are the median of the rounds' ratios, and the ratio of
the fastest on each side, which a busy machine disturbs less. The C loop stands in bindings.c: for Python it
calls the very code that Python has loaded; for Lua it is a program built like the Lua module.

With ``--instructions`` callgrind counts them instead, which a busy machine does not disturb: each program
once with the calls and once without, and the difference is what the calls took (a quarter of an hour).

"loaded" has eight clients, whose events are ordinary ones; "idle" has heartbeats alone, the cheapest events
that there are, so the calls weigh most.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import quorate as q
from quorate._ffi import ffi, lib

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev"))
EVENTS, CHUNK = 1_000_000, 100
WANTED = {"run": 0.01, "steps": 0.08, "same steps": 0.08}
LOADS = {"loaded": '{"clients": 8, "operations": 0}', "idle": ""}

LUA = """
local q = require "quorate"
local workload, until_s, events, chunk = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local function make()
   local c = q.cluster { protocol = "raft", nodes = 5, seed = 7, record = "none" }
   c:wait_leader()
   if workload ~= "" then
      c:load({ clients = 8, operations = 0 }, { wait = false })
   end
   return c
end
local c <close> = make()
local left = math.max(until_s - c.now, 0)
local begun = os.clock()
c:run(left)
local run = os.clock() - begun
c:close() -- its memory is used again, as in C
local d <close> = make()
begun = os.clock()
for _ = 1, events // chunk do
   d:step(chunk)
end
print(run, os.clock() - begun)
"""


def make(workload: str) -> q.Cluster:
    """The cluster that everybody makes."""
    c = q.Cluster("raft", nodes=5, seed=7, record="none")
    c.wait_leader()
    if workload:
        c.load(q.Workload.from_json(workload), wait=False)
    return c


def address(name: str) -> int:
    """Where a function of the library lies in this process."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))


def pointer(c: q.Cluster) -> ctypes.c_void_p:
    """A cluster as C has it."""
    return ctypes.c_void_p(int(ffi.cast("uintptr_t", c._handle.pointer)))


def spent(function: Any, *args: Any) -> float:
    """Processor seconds of a call."""
    begun = time.process_time()
    function(*args)
    return time.process_time() - begun


def python_steps(c: q.Cluster, events: int = EVENTS, chunk: int = CHUNK) -> None:
    """A million events in steps."""
    for _ in range(events // chunk):
        c.step(chunk)


class Python:
    """Python against C within this process."""

    def __init__(self, folder: Path) -> None:
        self.c = ctypes.CDLL(str(folder / "bindings.so"))
        self.turn = False
        self.c.drive_run.restype = self.c.drive_steps.restype = ctypes.c_double

    def run_in_c(self, c: q.Cluster, until: float) -> float:
        run = ctypes.c_void_p(address("qrt_cluster_run"))
        return float(self.c.drive_run(run, pointer(c), ctypes.c_int64(round(until * 1e9))))

    def steps_in_c(self, c: q.Cluster, events: int, chunk: int) -> float:
        step = ctypes.c_void_p(address("qrt_cluster_step"))
        return float(self.c.drive_steps(step, pointer(c), ctypes.c_int64(events), ctypes.c_int64(chunk)))

    def round(self, workload: str, until: float) -> dict[str, tuple[float, float]]:
        """Seconds in C and in Python, of each kind of call: one cluster at a time, by turns."""
        calls: dict[str, Callable[[q.Cluster], float]] = {
            "run in C": lambda c: self.run_in_c(c, until),
            "run": lambda c: spent(c.run, until - c.now),
            "one step in C": lambda c: self.steps_in_c(c, EVENTS, EVENTS),
            "steps": lambda c: spent(python_steps, c),
            "steps in C": lambda c: self.steps_in_c(c, EVENTS, CHUNK),
        }
        self.turn = not self.turn
        s = {}
        for name in sorted(calls, reverse=self.turn):
            with make(workload) as c:
                s[name] = calls[name](c)
        return {
            "run": (s["run in C"], s["run"]),
            "steps": (s["one step in C"], s["steps"]),
            "same steps": (s["steps in C"], s["steps"]),
        }


class Lua:
    """Lua against C, each in a process."""

    def __init__(self, folder: Path) -> None:
        self.program = [str(folder / "bindings")]
        self.lua = ["lua5.4", str(folder / "bindings.lua")]
        (folder / "bindings.lua").write_text(LUA)
        lua = ROOT / "lua"
        self.environment = {
            **os.environ,
            "LUA_PATH": f"{lua}/?.lua;{lua}/?/init.lua;;",
            "LUA_CPATH": f"{BUILD}/lua/?.so;;",
        }

    def _seconds(self, *command: object) -> list[float]:
        words = [str(word) for word in command]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True)
        return [float(word) for word in done.stdout.split()]

    def round(self, workload: str, until: float) -> dict[str, tuple[float, float]]:
        """Seconds in C and in Lua, of each kind of call."""
        run, one_step = self._seconds(*self.program, workload, round(until * 1e9), EVENTS, EVENTS)
        ours = self._seconds(*self.lua, workload, until, EVENTS, CHUNK)
        _, steps = self._seconds(*self.program, workload, round(until * 1e9), EVENTS, CHUNK)
        return {"run": (run, ours[0]), "steps": (one_step, ours[1]), "same steps": (steps, ours[1])}


class Instructions:
    """Each front end and its C, in processes under callgrind."""

    def __init__(self, folder: Path) -> None:
        lua = Lua(folder)
        own = [sys.executable, str(Path(__file__).resolve()), "--drive", str(folder)]
        self.environment = lua.environment | {"PYTHONHASHSEED": "0"}
        self.pairs = {"python": ([*own, "c"], [*own, "python"]), "lua": (lua.program, lua.lua)}

    def _count(self, program: list[str], workload: str, until: str, events: int, chunk: int) -> int:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *program]
        command += [workload, until, str(events), str(chunk)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        found = re.search(r"Collected : (\d+)", done.stderr)
        assert found, done.stderr
        return int(found[1])

    def _taken(self, program: list[str], workload: str, until: float) -> dict[str, int]:
        """By each kind of call."""
        end = str(until) if program[0] == "lua5.4" else str(round(until * 1e9))
        nothing = self._count(program, workload, "0", 0, CHUNK)
        return {
            "run": self._count(program, workload, end, 0, CHUNK) - nothing,
            "steps": self._count(program, workload, "0", EVENTS, EVENTS) - nothing,
            "same steps": self._count(program, workload, "0", EVENTS, CHUNK) - nothing,
        }

    def rows(self, load: str, workload: str, until: float) -> list[dict[str, Any]]:
        """What each front end's calls take, beside C's."""
        rows = []
        for side, (program, front_end) in self.pairs.items():
            c, ours = (self._taken(one, workload, until) for one in (program, front_end))
            ours["steps"] = ours["same steps"]
            for kind, wanted in WANTED.items():
                row = {"front end": side, "load": load, "calls": kind, "instructions in C": c[kind]}
                rows.append(row | {"over C": ours[kind] / c[kind] - 1, "wanted": wanted})
        return rows


def drive(folder: str, how: str, workload: str, *numbers: str) -> None:
    """What bindings.c does as a program: in Python, or in C within Python."""
    until, events, chunk = (int(word) for word in numbers)
    one = Python(Path(folder))
    with make(workload) as c:
        if how == "c":
            one.run_in_c(c, until / 1e9)
        else:
            c.run(max(until / 1e9 - c.now, 0))
    with make(workload) as c:
        if how == "c":
            one.steps_in_c(c, events, chunk)
        else:
            python_steps(c, events, chunk)


def build(folder: Path) -> None:
    """Compiles bindings.c both ways."""
    source = [str(ROOT / "bench/bindings.c"), "-std=c11", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}/core/include"]
    subprocess.run(["cc", *source, "-shared", "-fPIC", "-o", folder / "bindings.so"], check=True)
    link = [f"-L{BUILD}", "-lquorate", f"-Wl,-rpath,{BUILD}"]
    subprocess.run(["cc", *source, "-DPROGRAM", "-o", folder / "bindings", *link], check=True)


def end_of(workload: str) -> float:
    """When the million events are over."""
    with make(workload) as c:
        c.step(EVENTS)
        return c.now


def count() -> list[dict[str, Any]]:
    """A row for each front end, load and kind of call, in instructions."""
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        one = Instructions(Path(name))
        return [row for load, workload in LOADS.items() for row in one.rows(load, workload, end_of(workload))]


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each front end, load and kind of call."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        sides = {"python": Python(Path(name)), "lua": Lua(Path(name))}
        for load, workload in LOADS.items():
            until = end_of(workload)
            found = [{side: one.round(workload, until) for side, one in sides.items()} for _ in range(rounds)]
            for side in sides:
                for kind, wanted in WANTED.items():
                    ratios = [r[side][kind][1] / r[side][kind][0] for r in found]
                    best = [min(r[side][kind][i] for r in found) for i in (0, 1)]
                    rows.append(
                        {
                            "front end": side,
                            "load": load,
                            "calls": kind,
                            "seconds in C": best[0],
                            "over C": statistics.median(ratios) - 1,
                            "fastest over C": best[1] / best[0] - 1,
                            "wanted": wanted,
                        }
                    )
    return rows


def show(r: dict[str, Any]) -> str:
    """A row, in a line."""
    what = f"{r['front end']:7} {r['load']:7} {r['calls']:10} {100 * r['over C']:+6.1f} % over C"
    wanted = f"wanted: at most {100 * r['wanted']:.0f} %"
    if "instructions in C" in r:
        return f"{what} ({r['instructions in C'] / 1e6:.0f} M instructions in C; {wanted})"
    rate, best = EVENTS / r["seconds in C"] / 1e6, 100 * r["fastest over C"]
    return f"{what} in the median, {best:+6.1f} % by the fastest ({rate:.1f} M events/s in C; {wanted})"


def main() -> None:
    """Measures and prints."""
    if "--drive" in sys.argv:
        drive(*sys.argv[2:])
        return
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    rows = count() if "--instructions" in sys.argv else measure(numbers[0] if numbers else 9)
    print(json.dumps(rows) if "--json" in sys.argv else "\n".join(show(r) for r in rows))


if __name__ == "__main__":
    main()
