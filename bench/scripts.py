"""How many messages a second a script's node handles and sends on: tokens that go round a ring of three.

``python bench/scripts.py [--json]`` measures Python, and Lua where lua5.4 and the built module are there.
Medians of five runs; each message is decoded, handled, and sent on with one number less.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import quorate as q

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, TOKENS, HOPS = 5, 4, 100_000
WANTED = {"python": 400_000, "lua": 2_000_000}

LUA = """
local q = require "quorate"
local Ring = { name = "Ring" }
function Ring:on_propose(hops, ticket)
   self:send(self.id % 3 + 1, math.tointeger(hops))
   self:reply(ticket)
end
function Ring:on_message(_, hops)
   if hops > 0 then
      self:send(self.id % 3 + 1, hops - 1)
   end
end
local c <close> = q.cluster { protocol = Ring, nodes = 3, record = "none" }
for _ = 1, TOKENS do
   c:propose("HOPS")
end
local begun = os.clock()
c:run(10000)
print(c.metrics.delivered / (os.clock() - begun))
"""


class Ring(q.Node):
    """Sends a number on, less one, until it is 0."""

    def on_propose(self, value, ticket):
        self.send(self.id % 3 + 1, int(value))
        self.reply(ticket)

    def on_message(self, sender, hops):
        if hops:
            self.send(self.id % 3 + 1, hops - 1)


def python_rate() -> float:
    """Messages a second of processor time."""
    with q.Cluster(Ring, nodes=3, record="none") as c:
        for _ in range(TOKENS):
            c.propose(str(HOPS))
        begun = time.process_time()
        c.run(10000)
        return c.metrics["delivered"] / (time.process_time() - begun)


def lua_rate() -> float | None:
    """The same in Lua; None where it cannot run."""
    module = Path(os.environ.get("QUORATE_BUILD", ROOT / "build/dev")) / "lua"
    lua = shutil.which("lua5.4")
    if not lua or not (module / "quorate/core.so").exists():
        return None
    environment = {
        **os.environ,
        "LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/lua/?/init.lua;;",
        "LUA_CPATH": f"{module}/?.so;;",
    }
    program = LUA.replace("TOKENS", str(TOKENS)).replace("HOPS", str(5 * HOPS))
    done = subprocess.run([lua, "-e", program], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Measures, in turns."""
    rates: dict[str, list[float]] = {"python": [], "lua": []}
    for _ in range(ROUNDS):
        rates["python"].append(python_rate())
        found = lua_rate()
        if found is not None:
            rates["lua"].append(found)
    medians = {name: statistics.median(values) for name, values in rates.items() if values}
    if "--json" in sys.argv:
        print(json.dumps(medians))
        return
    for name, value in medians.items():
        print(f"{name:8} {value / 1e6:6.2f} million messages a second (wanted: {WANTED[name] / 1e6:g})")
    for name in rates.keys() - medians.keys():
        print(f"{name:8} not measured: it is not built here")


if __name__ == "__main__":
    main()
