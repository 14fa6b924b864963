"""Measurements that the library makes of itself, each against a bare loop that it carries along."""

from __future__ import annotations

from quorate._ffi import Handle, c_text, lib
from quorate.catalogue import Table
from quorate.failover import failover
from quorate.progress import Progress

COLUMNS = ("name", "value", "unit", "baseline", "ratio", "note")


def bench(name: str = "sim") -> Table:
    """Runs a benchmark: a group ("sim", "paxos", "store", "checkpoint", "live", "large", "failover", "place",
    "detect"), or one result's name such as "schedule/64".

    Gives a table: name, value and its unit, baseline, ratio of the two, note. Raises NotFoundError.
    """
    if name == "failover":
        return Table([failover()], COLUMNS)
    handle = Handle.make("bench", lib.qrt_bench_free, lib.qrt_bench_new, c_text(name))
    try:
        made = 0
        with Progress(f"bench {name}", unit="measurements") as progress:
            while handle.more(lib.qrt_bench_run):
                made += 1
                progress.update(made)
        return table(handle)
    finally:
        handle.close()


def table(handle: Handle) -> Table:
    """The results of a benchmark that is done."""
    results = handle.json(lib.qrt_bench_report)["results"]
    return Table(results, COLUMNS)
