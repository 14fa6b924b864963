"""Every function of the C interface with NULL, zero and the largest numbers: refused, and the process lives.

Found by introspection of the declarations that cffi has compiled; each call in a child process of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from quorate._ffi import ffi, lib

FUNCTIONS = sorted(name for name in dir(lib) if name.startswith("qrt_") and callable(getattr(lib, name)))
NOT_CALLED = {"qrt_node_main"}  # makes the process a node
ENDLESS = {"qrt_cluster_step"}  # so many events take for ever, as was asked for
PATIENCE = 60  # seconds
LARGEST = {"uint8_t": 2**8 - 1, "uint16_t": 2**16 - 1, "uint32_t": 2**32 - 1, "int": 2**31 - 1}


def _made(kind: str, function: Callable[..., int], *args: Any) -> Any:
    place = ffi.new(f"{kind} **")
    assert function(place, *args) == 0
    return place[0]


def handles() -> dict[str, Any]:
    """One of each kind that a call may be about."""
    cluster = _made("qrt_cluster", lib.qrt_cluster_new, b"raft", ffi.NULL, 0, ffi.NULL)
    of_cluster = {
        "qrt_trace": lambda place: lib.qrt_cluster_trace(cluster, place),
        "qrt_history": lambda place: lib.qrt_cluster_history(cluster, place),
    }
    made = {kind: _made(kind, make) for kind, make in of_cluster.items()}
    made["qrt_cluster"] = cluster
    made["qrt_campaign"] = _made("qrt_campaign", lib.qrt_campaign_new, b'{"seeds": 1}')
    made["qrt_ring"] = _made("qrt_ring", lib.qrt_ring_new, ffi.NULL, 0)
    made["qrt_detector"] = _made("qrt_detector", lib.qrt_detector_new, b"phi", ffi.NULL, 0)
    made["qrt_bench"] = _made("qrt_bench", lib.qrt_bench_new, b"schedule/64")
    return made


def _least(kind: Any) -> Any:
    return ffi.NULL if kind.kind in ("pointer", "function") else 0


def _most(kind: Any) -> Any:
    if kind.kind in ("pointer", "function"):
        return ffi.NULL
    if kind.cname in ("_Bool", "bool"):
        return True
    if kind.cname == "double":
        return float("nan")
    return LARGEST.get(kind.cname, 2**31 - 1 if kind.kind == "enum" else 2**63 - 1)


def survives(name: str, number: Callable[[Any], Any], with_handle: bool) -> str:
    """Calls it in a child; how that ended, or ""."""
    kinds = ffi.typeof(getattr(lib, name)).args
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        given = [number(kind) for kind in kinds]
        if with_handle:
            given[0] = handles()[_handle_of(name)]
        getattr(lib, name)(*given)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with_what = "a handle and " if with_handle else ""
    return f"{name} with {with_what}{number.__name__.strip('_')} numbers and NULL: {code}" if code else ""


def _handle_of(name: str) -> str:
    """The kind of handle that its first argument points to, or ""."""
    kinds = ffi.typeof(getattr(lib, name)).args
    first = kinds[0].cname.replace("const ", "").replace("struct ", "").removesuffix(" *") if kinds else ""
    known = ("cluster", "trace", "history", "campaign", "ring", "detector", "bench")
    return first if first in {f"qrt_{kind}" for kind in known} else ""


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in NOT_CALLED])
def test_null_and_numbers_without_sense_are_refused(name: str) -> None:
    """Zero and the largest number; without a handle, and with a sound one."""
    tries = [(number, False) for number in (_least, _most)]
    if _handle_of(name):
        tries += [(number, True) for number in (_least, _most)]
    if name in ENDLESS:
        tries.remove((_most, True))
    wrong = [said for number, with_handle in tries if (said := survives(name, number, with_handle))]
    assert not wrong, "\n".join(wrong)
