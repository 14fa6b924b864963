"""The fail-over bench: the same script live and simulated."""

from quorate.failover import failover


def test_failover():
    """Both medians lie beyond the least election timeout; how near they are is for the bench to say."""
    row = failover(2, transport="inproc")
    assert row["name"] == "failover" and row["unit"] == "ms"
    assert row["value"] > 50 and row["baseline"] > 100
    assert row["ratio"] == row["value"] / row["baseline"]
