"""The same script and seed give the same trace hash, however they are run."""

import subprocess
import sys

import quorate as q


def story(c: q.Cluster, run=lambda c, seconds: c.run(seconds)) -> str:
    """Some of everything; `run` lets time pass."""
    run(c, 1.0)
    c.crash("leader")
    run(c, 0.5)
    c.partition("halves")
    run(c, 1.25)
    c.heal()
    c.restart("all")
    c.loss(0.05)
    c.load(clients=3, operations=60, wait=False)
    run(c, 3.0)
    return c.hash


def test_same_seed_same_hash_and_another_seed_another():
    """In one process, and in another with another hash seed."""
    with q.Cluster("raft", nodes=5, seed=9) as a, q.Cluster("raft", nodes=5, seed=9) as b:
        first = story(a)
        assert first == story(b)
    with q.Cluster("raft", nodes=5, seed=10) as other:
        assert story(other) != first
    script = (
        "import test_determinism as t, quorate as q\n"
        "with q.Cluster('raft', nodes=5, seed=9) as c: print(t.story(c))"
    )
    folder = __file__.rsplit("/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == first


def test_one_call_or_many():
    """Running in pieces, in event steps, or with looks in between changes nothing."""

    def pieces(c: q.Cluster, seconds: float) -> None:
        for _ in range(10):
            c.run(seconds / 10)
            c.status()
            _ = c.trace

    def waits(c: q.Cluster, seconds: float) -> None:
        end = c.now + seconds
        c.run_until(lambda c: c.now >= end, timeout=seconds + 1, every=0.013)
        c.run(max(end - c.now, 0))

    hashes = []
    for run in (lambda c, s: c.run(s), pieces):
        with q.Cluster("raft", nodes=5, seed=9) as c:
            hashes.append(story(c, run))
    assert len(set(hashes)) == 1
    with q.Cluster("raft", nodes=3, seed=4) as a, q.Cluster("raft", nodes=3, seed=4) as b:
        a.run_until("events >= 5000", timeout=100)
        while b.events < 5000:
            b.step(7 if b.events < 4900 else 1)
        assert a.hash == b.hash and a.fingerprint == b.fingerprint


def test_recording_and_checking_change_nothing():
    """Everything kept, the last events, or none; checked or not."""
    hashes = set()
    for options in ({}, {"record": "none"}, {"record": "last", "record_last": 100}, {"check": False}):
        with q.Cluster("raft", nodes=5, seed=9, **options) as c:
            hashes.add(story(c))
            kept = len(c.trace)
            assert kept == c.events if options in ({}, {"check": False}) else kept <= 100
    assert len(hashes) == 1


def test_campaign_hash_does_not_depend_on_jobs():
    """One thread or two: the same rows."""
    one = q.campaign("raft", seeds=12, jobs=1, events=3000)
    two = q.campaign("raft", seeds=12, jobs=2, events=3000)
    assert one.hash == two.hash
    assert (one.rows["hash"] == two.rows["hash"]).all()
