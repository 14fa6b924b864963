"""Every call that waits can be awaited, without holding up the event loop, and cancelled."""

import asyncio
import contextlib
import inspect
import statistics
import time
from pathlib import Path

import pytest
import quorate as q
from quorate.awaits import AwaitableClient, AwaitableCluster

WAITING = {
    "run", "run_until", "step", "wait_leader", "propose", "propose_many", "elect", "load", "transaction",
    "check", "close",
}  # fmt: skip
OPERATIONS = {
    "get", "get_bytes", "put", "delete", "append", "cas", "scan", "read", "write", "add", "acquire",
    "release", "call",
}  # fmt: skip
LIVE = {"runtime": "live", "election_timeout": "60ms", "heartbeat_interval": "15ms"}


def awaited(coroutine):
    """The answer of a coroutine, within a minute."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@contextlib.asynccontextmanager
async def watched():
    """The loop's other tasks wait for at most 50 ms of this thread's work, and seldom for anything else. Real
    time alone would measure what else the machine does.
    """
    work, waits, over = [], [], False

    async def watch():
        then = time.thread_time(), time.perf_counter()
        while not over:
            await asyncio.sleep(0)
            now = time.thread_time(), time.perf_counter()
            work.append(now[0] - then[0])
            waits.append(now[1] - then[1])
            then = now

    task = asyncio.create_task(watch())
    yield
    over = True
    await task
    assert len(work) > 100 and max(work) < 0.05, (len(work), max(work))
    assert statistics.median(waits) < 0.01, statistics.median(waits)


@pytest.mark.parametrize(
    ("face", "blocking", "names"),
    [(AwaitableCluster, q.Cluster, WAITING), (AwaitableClient, q.Client, OPERATIONS)],
)
def test_every_waiting_call_has_an_awaitable_form(face, blocking, names):
    """The same names, and the same parameters in the same order, with the same defaults."""
    assert {name for name in vars(face) if not name.startswith("_")} == names
    for name in names:
        ours = inspect.signature(getattr(face, name)).parameters
        theirs = inspect.signature(getattr(blocking, name)).parameters
        shape = [(p.name, p.kind, p.default) for p in theirs.values() if p.name != "wait"]
        assert [(p.name, p.kind, p.default) for p in ours.values()] == shape, name
    for name in ("campaign", "replay", "shrink", "bench", "twice"):
        assert list(inspect.signature(getattr(q.aio, name)).parameters) == list(
            inspect.signature(getattr(q, name)).parameters
        )


def test_a_simulated_run_is_the_same_awaited():
    """Slices do not change a run: awaited, it has the hash that the blocking calls give."""

    def blocking():
        with q.Cluster("raft", nodes=5, seed=7) as c:
            c.crash(c.wait_leader())
            c.wait_leader()
            c.propose_many(["x", "y"])
            c.load(clients=4, operations=500)
            c.run(2)
            return c.check().hash

    async def other():
        async with q.Cluster("raft", nodes=5, seed=7) as c:
            c.crash(await c.aio.wait_leader())
            await c.aio.wait_leader()
            await c.aio.propose_many(["x", "y"])
            await c.aio.load(clients=4, operations=500)
            await c.aio.run(2)
            return (await c.aio.check()).hash

    assert awaited(other()) == blocking()


def test_tasks_that_share_a_simulated_cluster_repeat():
    """Real time decides nothing: three tasks on one cluster give the same hash, whatever the machine does."""

    async def write(client, count):
        for i in range(count):
            await client.aio.append("k", str(i))

    async def work(delay):
        async with q.Cluster("raft", nodes=5, seed=3) as c:
            running = asyncio.create_task(c.aio.run(3))
            await c.aio.wait_leader()
            writers = [asyncio.create_task(write(c.client(), 30)) for _ in range(3)]
            for _ in range(5):
                time.sleep(delay)  # the machine is busy
                await c.aio.run_until(lambda c: True)
                await c.aio.propose("x")
            await asyncio.gather(running, *writers)
            return c.hash

    assert awaited(work(0)) == awaited(work(0.01))


def test_the_loop_is_not_held_up():
    """Neither by a simulated cluster under load nor by a check, a campaign, a live cluster."""

    async def work():
        async with watched():
            async with q.aio.cluster("raft", nodes=5, record="none") as c:
                c.load(clients=8, operations=0, wait=False)
                await c.aio.run(10)
                await c.aio.run_until(lambda c: c.now > 20, 100)
                for i in range(2000):
                    await c.aio.propose(str(i))
            assert (await q.aio.campaign("raft", seeds=10)).ok
            async with q.aio.cluster("raft", **LIVE) as c:
                await c.aio.wait_leader()
                await asyncio.gather(*(c.client().aio.put(f"k{i}", "v") for i in range(20)))
                assert (await c.aio.check()).verdict == "ok"

    awaited(work())


def test_errors_are_the_same():
    """An awaited call raises what the blocking one raises, in the same words."""

    async def work():
        async with q.Cluster("raft", nodes=3, seed=1) as c:
            c.crash(1)
            c.crash(2)
            with pytest.raises(q.NoLeaderError, match="1 of 3 nodes are up"):
                await c.aio.propose("x", timeout=0.5)
            with pytest.raises(q.NoLeaderError):
                await c.aio.wait_leader(timeout=0.5)
            with pytest.raises(q.WaitTimeout):
                await c.aio.run_until("commit >= 10", timeout=0.5)
            with pytest.raises(q.WaitTimeout):
                await c.aio.run_until(lambda c: False, timeout=0.5)
            with pytest.raises(q.RangeError):
                await c.aio.load(operations=0)
        with pytest.raises(q.ClosedError):
            await c.aio.run(1)

    awaited(work())


@pytest.mark.parametrize("options", [{}, LIVE], ids=["sim", "live"])
def test_cancelling_stops_the_wait_alone(options):
    """A cancelled wait leaves the cluster usable; what was proposed can still be asked for."""

    async def work():
        async with q.aio.cluster("raft", nodes=3, timeout=1000, **options) as c:
            await c.aio.wait_leader()
            for condition in (None, lambda c: False, "commit >= 1000000"):
                wait = c.aio.run_until(condition, 1e9) if condition else c.aio.run(1e9)
                task = asyncio.create_task(wait)
                await asyncio.sleep(0.02)
                task.cancel()
                began = time.perf_counter()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert time.perf_counter() - began < 0.5
            for n in (1, 2):
                c.crash(n)
            pending = c.propose_later("x")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pending.aio.result(1e9), 0.05)
            c.restart("all")
            assert (await pending).index
            assert (await c.aio.check()).verdict == "ok"

    awaited(work())


def test_a_cancelled_campaign_ends_its_threads():
    """And so does a cluster that was still being made."""

    async def work():
        task = asyncio.create_task(q.aio.campaign("raft", seeds=10**6))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        opening = asyncio.create_task(q.aio.cluster("raft", **LIVE)._make())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    awaited(work())


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_close_that_is_waited_for_twice(transport):
    """Two tasks close it, one is cancelled, the block ends: it is closed once, and who waits is told."""

    async def work():
        async with q.aio.cluster("raft", nodes=3, transport=transport, **LIVE) as c:
            running = asyncio.create_task(c.aio.run(1e6))
            await c.aio.wait_leader()
            cancelled = asyncio.create_task(c.aio.close())
            other = asyncio.create_task(c.aio.close())
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await other
        with pytest.raises(q.ClosedError):
            await running
        await c.aio.close()

    awaited(work())


def test_several_tasks_wait_for_one_cluster():
    """A check among them comes to its end although another task runs the cluster."""

    async def work():
        async with q.aio.cluster("raft", nodes=3, **LIVE) as c:
            running = asyncio.create_task(c.aio.run(1e6))
            client = c.client().aio
            assert await client.append("k", "v") == 1
            await asyncio.gather(c.aio.propose("x"), client.get("k"), c.aio.wait_leader())
            assert (await c.aio.check()).verdict == "ok"
            running.cancel()
        async with q.Cluster("2pc", nodes=3) as c:
            running = asyncio.create_task(c.aio.run(1e6))
            assert await c.aio.transaction({1: "a", 2: "b"})
            running.cancel()
        async with q.Cluster("bully", nodes=3) as c:
            assert (await c.aio.elect()).leader

    awaited(work())


def test_what_is_not_a_cluster():
    """Comparison, grades, histories, replays."""

    async def work():
        both = await q.aio.compare(["raft", "paxos"], operations=50)
        assert set(both) == {"raft", "paxos"}
        async with q.Cluster("raft") as c:
            await c.aio.load(operations=100)
            assert (await c.history().aio.check("kv")).verdict == "ok"
        found = await q.aio.campaign("raft", seeds=50, bug="vote-before-sync")
        async with await q.aio.replay(found.violations[0].run) as again:
            assert again.hash == found.violations[0].run["hash"]
        assert await q.aio.shrink(found.violations[0].run) == q.shrink(found.violations[0].run)
        grade = await q.aio.grade(Quiet, seeds=2, events=500)
        assert grade.seeds == 2

    awaited(work())


def test_a_soak(tmp_path: Path) -> None:
    """While it is awaited others go on; cancelled, it leaves no process."""

    async def work() -> None:
        task = asyncio.create_task(q.aio.soak(3, nodes=3, clients=2, capture=str(tmp_path / "run")))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        done = await task
        assert done.ok and done.kills == 4 and done.replay is not None, str(done)
        assert turns > 20
        before = children()
        task = asyncio.create_task(q.aio.soak(1000, nodes=3, clients=2))
        while len(children()) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while children() - before:  # a cluster that is still being made is closed once it is there
            await asyncio.sleep(0.01)

    awaited(work())


def children() -> set[str]:
    """The ids of this process's child processes."""
    tasks = Path("/proc/self/task").iterdir()
    return {number for task in tasks for number in (task / "children").read_text().split()}


class Quiet(q.Node):
    """Does nothing."""
