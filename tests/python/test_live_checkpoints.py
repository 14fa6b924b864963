"""A large state machine's checkpoints hold up nobody: written on a thread, they cost no leader its office."""

from __future__ import annotations

from pathlib import Path

import pytest
import quorate as q

VALUE = "v" * (255 * 1024)
KEYS = 256  # 64 MiB


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_large_checkpoint_costs_no_office(tmp_path: Path, transport: str) -> None:
    """Checkpoints of 64 MiB on all nodes at once, under load: the same leader in the same term, and all is
    read back after a restart of everything. Where others keep the disk so busy that syncs take 0.1 s or
    more, which the log says, offices are lost without any checkpoint.
    """
    log = tmp_path / "log"
    options = {"disk": "folder", "data": str(tmp_path), "snapshot_threshold": 100, "snapshot_keep": 10}
    options["log"] = f"warn:{log}"
    with q.Cluster(nodes=3, runtime="live", transport=transport, record="last", timeout=60, **options) as c:
        leader = c.wait_leader()
        term = c.status().nodes[leader - 1].term
        client = c.client()
        for number in range(KEYS + 300):
            client.put(f"k{number % KEYS}", VALUE)
        status = c.status()
        stays = status.leader == leader and status.nodes[leader - 1].term == term
        assert stays or (log.exists() and "its disk is slow" in log.read_text(encoding="utf-8"))
        sizes = [one.stat().st_size for one in tmp_path.glob("n*/checkpoint-*")]
        assert len(sizes) >= 3 and max(sizes) >= KEYS * len(VALUE)
        for node in (1, 2, 3):
            c.crash(node)
        for node in (1, 2, 3):
            c.restart(node)
        c.wait_leader()
        assert all(c.client().get(f"k{number}") == VALUE for number in range(0, KEYS, 16))
        assert c.check().verdict == "ok"
