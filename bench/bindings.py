"""What the front ends cost over C: one run of a million simulated events, and steps of a hundred.

``python bench/bindings.py [--json] [ROUNDS]``. A cluster of five Raft nodes with the same seed does exactly
the same each time, and C makes the same calls: so what differs is the front end. C, Python and Lua take
turns within a round, in processor time. Reported are the median of the rounds' ratios, and the ratio of the
fastest on each side, which a busy machine disturbs less. The C loop stands in bindings.c: for Python it
calls the very code that Python has loaded; for Lua it is a program built like the Lua module.

"loaded" has eight clients, whose events are ordinary ones; "idle" has heartbeats alone, the cheapest events
that there are, so the calls weigh most.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import quorate as q
from quorate._ffi import ffi, lib

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev"))
EVENTS, CHUNK = 1_000_000, 100
WANTED = {"run": 0.01, "steps": 0.08}
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
local left = until_s - c.now
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


def spent(function: Any, *args: Any) -> float:
    """Processor seconds of a call."""
    begun = time.process_time()
    function(*args)
    return time.process_time() - begun


def python_steps(c: q.Cluster) -> None:
    """A million events in steps."""
    for _ in range(EVENTS // CHUNK):
        c.step(CHUNK)


class Python:
    """Python against C within this process."""

    def __init__(self, folder: Path) -> None:
        self.c = ctypes.CDLL(str(folder / "bindings.so"))
        self.turn = False
        self.c.drive_run.restype = self.c.drive_steps.restype = ctypes.c_double

    def _in_c(self, kind: str, c: q.Cluster, until: float) -> float:
        pointer = ctypes.c_void_p(int(ffi.cast("uintptr_t", c._handle.pointer)))
        if kind == "run":
            run = ctypes.c_void_p(address("qrt_cluster_run"))
            return float(self.c.drive_run(run, pointer, ctypes.c_int64(round(until * 1e9))))
        step = ctypes.c_void_p(address("qrt_cluster_step"))
        return float(self.c.drive_steps(step, pointer, ctypes.c_int64(EVENTS), ctypes.c_int64(CHUNK)))

    def _in_python(self, kind: str, c: q.Cluster, until: float) -> float:
        return spent(c.run, until - c.now) if kind == "run" else spent(python_steps, c)

    def round(self, workload: str, until: float) -> dict[str, tuple[float, float]]:
        """Seconds in C and in Python, of a run and of steps: one cluster at a time, by turns."""
        found = {}
        self.turn = not self.turn
        for kind in WANTED:
            seconds = {}
            for side in sorted((self._in_c, self._in_python), key=lambda s: s.__name__, reverse=self.turn):
                with make(workload) as c:
                    seconds[side.__name__] = side(kind, c, until)
            found[kind] = (seconds["_in_c"], seconds["_in_python"])
        return found


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
        """Seconds in C and in Lua, of a run and of steps."""
        in_c = self._seconds(*self.program, workload, round(until * 1e9), EVENTS, CHUNK)
        ours = self._seconds(*self.lua, workload, until, EVENTS, CHUNK)
        return {"run": (in_c[0], ours[0]), "steps": (in_c[1], ours[1])}


def build(folder: Path) -> None:
    """Compiles bindings.c both ways."""
    source = [str(ROOT / "bench/bindings.c"), "-std=c11", "-D_GNU_SOURCE", "-O2", f"-I{ROOT}/core/include"]
    subprocess.run(["cc", *source, "-shared", "-fPIC", "-o", folder / "bindings.so"], check=True)
    link = [f"-L{BUILD}", "-lquorate", f"-Wl,-rpath,{BUILD}"]
    subprocess.run(["cc", *source, "-DPROGRAM", "-o", folder / "bindings", *link], check=True)


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each front end, load and kind of call."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        sides = {"python": Python(Path(name)), "lua": Lua(Path(name))}
        for load, workload in LOADS.items():
            with make(workload) as c:
                c.step(EVENTS)
                until = c.now
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


def main() -> None:
    """Measures and prints."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    rows = measure(numbers[0] if numbers else 9)
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for r in rows:
        rate = EVENTS / r["seconds in C"] / 1e6
        median, best = 100 * r["over C"], 100 * r["fastest over C"]
        print(
            f"{r['front end']:7} {r['load']:7} {r['calls']:6} {median:+6.1f} % over C in the median, "
            f"{best:+6.1f} % by the fastest "
            f"({rate:.1f} M events/s in C; wanted: at most {100 * r['wanted']:.0f} %)"
        )


if __name__ == "__main__":
    main()
