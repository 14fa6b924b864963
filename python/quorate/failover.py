"""Fail-over, live and predicted: from the kill of the leader to the next acknowledged write.

The live cluster's own link delays and the disk's sync are measured first; the simulator then runs the same
script with these figures and the same options, above all the same election timeout and client retry.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from typing import Any

from quorate.cluster import Cluster
from quorate.progress import Progress

SIMULATED = 400  # rounds of the simulator at least: its median costs little
PROBES = 200  # writes whose messages tell the delay of a link, and syncs
NEVER_LESS = 1e-6  # seconds; 0 would mean the profile's figure
RETRY = 0.02  # of the client, seconds


def _spread(samples: list[float]) -> tuple[float, float]:
    """The least, but for outliers, and what is added to it at most: uniform, with the same median."""
    samples.sort()
    low, middle = samples[len(samples) // 10], samples[len(samples) // 2]
    return max(low, NEVER_LESS), max(2 * (middle - low), NEVER_LESS)


def _sync_times() -> list[float]:
    times = []
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096 * PROBES))
        os.fsync(file.fileno())
        for number in range(PROBES):
            os.pwrite(file.fileno(), b"x" * 4096, 4096 * number)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def _link_delays(transport: str, nodes: int) -> list[float]:
    """Of messages between nodes, by the trace: seconds from each send to its receive."""
    with Cluster(nodes=nodes, runtime="live", transport=transport, check=False) as c:
        c.wait_leader()
        kv = c.client()
        for number in range(PROBES):
            kv.put("probe", str(number))
        trace = c.trace
        kind = {name: number for number, name in trace.kinds.items()}
        columns = zip(*(trace.column(name) for name in ("time", "kind", "node", "peer", "link")), strict=True)
        sent: dict[int, int] = {}
        delays = []
        for at, what, node, peer, link in columns:
            if node > nodes or peer > nodes:
                continue
            if what == kind["send"]:
                sent[link] = at
            elif what == kind["receive"] and link in sent:
                delays.append((at - sent[link]) / 1e9)
        return delays


def _outages(rounds: int, seed: int, progress: Progress, **options: Any) -> list[float]:
    """The same script in both runtimes; seconds, sorted."""
    choose = random.Random(seed)
    outages = []
    with Cluster(seed=seed, record="none", check=False, timeout=30.0, client_retry=RETRY, **options) as c:
        kv = c.client()
        for number in range(rounds):
            leader = c.wait_leader()
            kv.put("before", str(number))
            c.run(choose.uniform(0.1, 0.2))  # the kill falls anywhere between two heartbeats
            began = c.now
            c.crash(leader)
            kv.put("after", str(number))
            outages.append(c.now - began)
            c.restart(leader)
            progress.update(number + 1)
    outages.sort()
    return outages


def failover(rounds: int = 100, *, transport: str = "tcp", nodes: int = 3, seed: int = 1) -> dict[str, Any]:
    """Measures both; a row of `bench`: value is the live median in ms, baseline the simulated one.

    Raises UnsupportedError where this build has no live runtime.
    """
    delay, jitter = _spread(_link_delays(transport, nodes))
    sync, sync_jitter = _spread(_sync_times())
    with Progress("fail-over, live", rounds, "rounds") as progress:
        live = _outages(rounds, seed, progress, runtime="live", transport=transport, nodes=nodes)
    figures = {"delay": delay, "jitter": jitter, "sync": sync, "disk_jitter": sync_jitter}
    many = max(rounds, SIMULATED)
    with Progress("fail-over, simulated", many, "rounds") as progress:
        simulated = _outages(many, seed, progress, nodes=nodes, **figures)
    value, baseline = live[len(live) // 2] * 1e3, simulated[len(simulated) // 2] * 1e3
    note = (
        f"median of {rounds} kills of the leader to the next acknowledged write, over {transport}; against "
        f"the simulator with the measured link ({delay * 1e6:.0f} us + up to {jitter * 1e6:.0f} us) and sync "
        f"({sync * 1e6:.0f} us + up to {sync_jitter * 1e6:.0f} us); the worst {live[-1] * 1e3:.0f} ms"
    )
    return {
        "name": "failover",
        "value": value,
        "unit": "ms",
        "baseline": baseline,
        "ratio": value / baseline,
        "note": note,
    }
