"""How many messages a second a script's nodes handle and send on: tokens that go round a ring of three.

``python bench/scripts.py [--json]`` measures Python, and Lua where lua5.4 and the built module are there;
simulated, and live over ipc and tcp, with one token and with 64. (Threads run no script: there is no inproc.)
Medians of five runs; each message is decoded, handled, and sent on with one number less. The simulator's rate
is of processor time; a live one is of real time and of all three processes together, over two seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import quorate as q

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, TOKENS, HOPS = 5, 4, 100_000
WANTED = {"python": 400_000, "lua": 2_000_000}
TRANSPORTS, FLIGHTS, SECONDS = ("ipc", "tcp"), (1, 64), 2.0
ENDLESS = 10**9

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
"""

LUA_SIM = """
local c <close> = q.cluster { protocol = Ring, nodes = 3, record = "none" }
for _ = 1, TOKENS do
   c:propose("HOPS")
end
local begun = os.clock()
c:run(10000)
print(c.metrics.delivered / (os.clock() - begun))
"""

LUA_LIVE = """
local c <close> = q.cluster {
   protocol = Ring, nodes = 3, record = "none", runtime = "live", transport = "TRANSPORT",
}
for _ = 1, TOKENS do
   c:propose("HOPS")
end
c:run(0.5)
local begun, before = c.now, c.metrics.delivered
c:run(SECONDS)
print((c.metrics.delivered - before) / (c.now - begun))
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


def python_live(transport: str, tokens: int) -> float:
    """Messages a second, of three interpreters."""
    with q.Cluster(Ring, nodes=3, record="none", runtime="live", transport=transport) as c:
        for _ in range(tokens):
            c.propose(str(ENDLESS))
        c.run(0.5)
        begun, before = c.now, c.metrics["delivered"]
        c.run(SECONDS)
        return (c.metrics["delivered"] - before) / (c.now - begun)


def lua_rate(program: str, **given: object) -> float | None:
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
    program = LUA + program
    for name, value in given.items():
        program = program.replace(name, str(value))
    done = subprocess.run([lua, "-e", program], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measures() -> dict[str, Callable[[], float | None]]:
    """What is measured, by its name."""
    found: dict[str, Callable[[], float | None]] = {
        "python": python_rate,
        "lua": lambda: lua_rate(LUA_SIM, TOKENS=TOKENS, HOPS=5 * HOPS),
    }
    for transport, tokens in product(TRANSPORTS, FLIGHTS):
        found[f"python, {transport}, {tokens}"] = partial(python_live, transport, tokens)
        given = {"TRANSPORT": transport, "TOKENS": tokens, "HOPS": ENDLESS, "SECONDS": SECONDS}
        found[f"lua, {transport}, {tokens}"] = partial(lua_rate, LUA_LIVE, **given)
    return found


def main() -> None:
    """Measures, in turns."""
    rates: dict[str, list[float]] = {name: [] for name in measures()}
    for _ in range(ROUNDS):
        for name, measure in measures().items():
            found = measure()
            if found is not None:
                rates[name].append(found)
    medians = {name: statistics.median(values) for name, values in rates.items() if values}
    if "--json" in sys.argv:
        print(json.dumps(medians))
        return
    for name, value in medians.items():
        wanted = f" (wanted: {WANTED[name] / 1e6:g})" if name in WANTED else ""
        print(f"{name:16} {value / 1e6:6.3f} million messages a second{wanted}")
    for name in rates.keys() - medians.keys():
        print(f"{name:16} not measured: it is not built here")


if __name__ == "__main__":
    main()
