"""Every public callable with arguments that make no sense: an error that says which, or it just works.

Found by introspection, so that a new method is tested too. Nothing may hang, and the process must live.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quorate as q

PATIENCE = 60.0  # seconds for one call on a loaded machine: then it hangs
BAD: list[Any] = [
    None,
    "x",
    "\0",
    "\ud800",
    b"x",
    float("nan"),
    float("inf"),
    -1,
    2**63,
    2**70,
    -(2**70),
    1.5,
    True,
    [],
    {"a": object()},
    [object()],
    (1, 2),
    object(),
    int,
    complex(1, 2),
    lambda *_: None,
    np.int64(-1),
    np.float32("nan"),
    np.array([1, 2]),
    "/dev/zero",
]
# What a parameter without a default is given while others are tried.
SOUND: dict[str, Any] = {
    "node": 1,
    "seconds": 0.01,
    "condition": "leader",
    "values": ["a"],
    "operation": "get",
    "groups": [[1], [2, 3]],
    "probability": 0.1,
    "delay": 0.01,
    "rate": 1000,
    "plan": q.Plan(),
    "verb": "heal",
    "time": 0.1,
    "text": '{"history": []}',
    "protocol": "raft",
    "rule": "majority",
    "nodes": 3,
    "members": [1, 2],
    "times": [1.0, 2.0],
    "now": 1.0,
    "kind": "timeout",
    "saved": b"",
    "elapsed": 1.0,
    "mean": 1.0,
    "spec": {"protocol": "raft", "seeds": 1},
    "begin": 0.0,
    "end": 1.0,
    "period": 1.0,
    "work": {1: "a"},
    "components": 1,
    "dimensions": 1,
    "seeds": 1,
}
# Long by request, or about something else; each is tested by itself elsewhere.
LEFT = {"bench", "soak", "compare", "grade", "campaign", "twice", "close", "from_report", "aio", "load"}


def cluster(protocol: str = "raft") -> q.Cluster:
    c = q.Cluster(protocol, nodes=3, record="last")
    c.run(0.5)
    return c


OBJECTS: dict[str, Callable[[], Any]] = {
    "Cluster": cluster,
    "Cluster.aio": lambda: cluster().aio,
    "of 2pc": lambda: cluster("2pc"),
    "Client": lambda: cluster().client(),
    "Client.aio": lambda: cluster().client().aio,
    "Pending": lambda: cluster().propose_later("x"),
    "Plan": lambda: q.Plan().at(1, "crash", node=1),
    "History": lambda: q.History.parse('{"history": []}'),
    "History.aio": lambda: q.History.parse('{"history": []}').aio,
    "Trace": lambda: cluster().trace,
    "Ring": lambda: q.Ring(["a", "b"]),
    "Detector": lambda: q.Detector("timeout", timeout=1),
    "PollingDetector": lambda: q.PollingDetector(timeout=1),
    "ThresholdDetector": q.ThresholdDetector,
    "GaussianMixture": lambda: q.GaussianMixture(1, 1),
    "Quorum": lambda: q.quorum("majority", 3),
    "Status": lambda: cluster().status(),
    "Table": q.protocols,
    "Workload": q.Workload,
}


class HangsError(BaseException):
    """Not to be caught by what hangs."""


def _alarm(*_: object) -> None:
    raise HangsError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is written by a relative name goes to a folder of its own, and a call that hangs is ended."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, _alarm)
    yield
    signal.signal(signal.SIGALRM, before)


def fault_of(call: Callable[[], Any]) -> str:
    """What is wrong with how it ended, or ""."""
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        made = call()
        if inspect.iscoroutine(made):
            asyncio.run(made)
    except (q.QuorateError, OSError, KeyError, IndexError) as error:
        return "" if len(str(error)) > 12 else f"says too little: {error!r}"
    except HangsError:
        return "hangs"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def faults(shown: str, function: Callable[..., Any]) -> list[str]:
    """Each parameter in turn with each bad value."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    bare = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    needed = {name: SOUND.get(name, "x") for name in bare}
    found = []
    for p in parameters:
        for bad in BAD:
            if p.kind is p.VAR_POSITIONAL:
                wrong = fault_of(partial(function, *needed.values(), bad))
            else:
                given = {**needed, p.name: bad}
                first = [given.pop(o.name) for o in parameters if o.kind is o.POSITIONAL_ONLY]
                wrong = fault_of(partial(function, *first, **given))
            if wrong:
                found.append(f"{shown}({p.name}={bad!r:.40}): {wrong}")
    return found


def _own_methods(one: Any) -> list[str]:
    ours = [vars(cls) for cls in type(one).__mro__ if cls.__module__.startswith("quorate")]
    return sorted(
        {
            name
            for members in ours
            for name, member in members.items()
            if not name.startswith("_") and name not in LEFT and not isinstance(member, property)
            if callable(member) or isinstance(member, classmethod | staticmethod)
        }
    )


@pytest.mark.parametrize("shown", OBJECTS)
def test_every_method_says_what_is_wrong(shown: str) -> None:
    """Each with a fresh object, which it may use up."""
    make = OBJECTS[shown]
    found = []
    for name in _own_methods(make()):
        found += faults(f"{shown}.{name}", getattr(make(), name))
    assert not found, "\n" + "\n".join(found)


def test_every_function_says_what_is_wrong() -> None:
    """And every class that users make: those that are given a handle are made by others."""
    inner = {"Trace", "Client", "Pending", "History", "Remote", "Node", "StateMachine", "SeedRun"}
    inner |= {"Comparison"}  # what `compare` gives
    found = []
    for name in q.__all__:
        one = getattr(q, name)
        kind = inspect.isclass(one)
        if name in LEFT | inner or not (kind or inspect.isfunction(one)):
            continue
        if kind and issubclass(one, BaseException):
            continue
        if not (kind and dataclasses.is_dataclass(one)):
            found += faults(name, one)
    assert not found, "\n" + "\n".join(found)


def test_messages_name_the_argument() -> None:
    """Which call, which argument, what it takes and what it was."""
    with q.Cluster("raft") as c:
        for call, error, says in [
            (lambda: c.step("a"), q.WrongTypeError, "step takes a number of events, not 'a'"),
            (lambda: c.step(2**70), q.RangeError, "does not fit 64 bits"),
            (lambda: c.run("a"), q.WrongTypeError, r"run takes a number as seconds, not 'a' \(str\)"),
            (lambda: c.run(float("inf")), q.RangeError, "would never end"),
            (lambda: c.propose_many(3), q.WrongTypeError, "each is text or bytes as values, not 3"),
            (lambda: c.client().put("k", None), q.WrongTypeError, "text or bytes, not NoneType"),
            (lambda: c.loss(object()), q.WrongTypeError, "neither a number nor text"),
            (lambda: c.delay(float("nan")), q.RangeError, "nan"),
            (lambda: q.Cluster("raft\0"), q.ArgumentError, "zero byte"),
            (lambda: q.quorum("majority", 2**70), q.RangeError, "out of range"),
            (lambda: q.Workload.from_json("{"), q.ParseError, "line 1, column 2"),
            (lambda: q.fault_model("ralf"), q.NotFoundError, "raft"),
        ]:
            with pytest.raises(error, match=says):
                call()


def test_numbers_of_numpy_are_numbers() -> None:
    """As whole numbers, as seconds, as options, as nodes, in plans."""
    with q.Cluster("raft", nodes=np.int64(3), seed=np.uint8(4), delay=np.float32(0.001)) as c:
        assert c.step(np.int32(3)) == 3
        c.run(np.float64(0.5))
        c.crash(np.int16(1))
        c.loss(np.float32(0.5), link=(np.int8(1), np.int8(2)))
        assert not c.status().nodes[0].up
        assert q.Plan().at(np.float32(0.5), "pause", node=np.int64(1))
        assert q.campaign("raft", seeds=np.int64(1), nodes=np.int64(3), events=np.int32(1000)).seeds == 1


def test_what_a_callback_raises_is_not_touched() -> None:
    """Not even where it is a TypeError."""
    with q.Cluster("raft") as c:
        for error in (TypeError("mine"), ValueError("mine"), KeyError("mine")):

            def raises(_: q.Cluster, error: Exception = error) -> bool:
                raise error

            with pytest.raises(type(error), match="mine") as caught:
                c.run_until(raises)
            assert caught.value is error


def test_too_few_arguments_stay_pythons() -> None:
    """It says that well."""
    with q.Cluster("raft") as c, pytest.raises(TypeError, match="missing 1 required positional argument"):
        c.run()  # type: ignore[call-arg]
