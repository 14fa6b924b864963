"""A plan that crashes and restarts faster than processes start: nothing hangs, and what came late is said."""

from __future__ import annotations

import time

import pytest
import quorate as q

try:
    q.Cluster("raft", runtime="live").close()
except q.UnsupportedError as error:  # a build without the live runtime
    pytest.skip(str(error), allow_module_level=True)

PATIENCE = 20.0  # seconds; the plan has no end, and held the cluster for as long as it lasted


def test_a_plan_that_is_always_ahead_holds_nobody_up():
    """Crashes every 2 ms of processes that start more slowly: statuses, faults and the end come through."""
    began = time.monotonic()
    with q.Cluster("raft", nodes=3, runtime="live", transport="tcp", log="off") as c:
        c.apply(q.Plan().every("2ms", "crash", node="random", for_="1ms"))
        c.run(2.5)
        result = c.check()
        c.loss(0.1)
        assert c.status().counts["faults"] > result.counts["faults"]
    assert time.monotonic() - began < PATIENCE
    counts = result.counts
    assert result.ok and counts["crashes"] > 3 and counts["late"] > 0 and counts["left_out"] > 0
    (line,) = result.notes
    assert line.startswith(f"the plan was ahead of its processes: {counts['late']} faults came late, the ")
    assert f"; {counts['left_out']} crashes and pauses, overdue by a second, were left out" in line
    assert line in str(result)


def test_a_plan_that_can_be_kept_up_with_is_not_late():
    """Simulated time waits for everybody."""
    with q.Cluster("raft", nodes=3) as c:
        c.apply(q.Plan().every("15ms", "crash", node="random", for_="10ms", until=1))
        c.run(2)
        result = c.check()
    assert result.counts["late"] == result.counts["left_out"] == 0 and not result.notes
