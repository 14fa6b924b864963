"""Every function of quorate.h can be reached from Python and from Lua, or there is a reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "core/include/quorate.h"

BUILT_WITH = "for programs that meet a library of another age; a front end is built with its own"
ONE_THREAD = "a Lua state is one thread's, so nobody else comes with the pointer"
NOT_REACHED = {
    "Python": {
        "qrt_abi_version": BUILT_WITH,
        "qrt_cluster_size": "the status has the nodes",
        "qrt_maglev_fill": "of offsets and skips, which follow from names: qrt_maglev_names",
    },
    "Lua": {
        "qrt_abi_version": BUILT_WITH,
        "qrt_close": ONE_THREAD + "; close() frees at once",
        "qrt_hold": ONE_THREAD,
        "qrt_release": ONE_THREAD,
        "qrt_maglev_fill": "of offsets and skips, which follow from names: qrt_maglev_names",
        "qrt_ring_lookup_texts": "a crossing costs less than joining the keys: lookup_many makes one a key",
    },
}
SOURCES = {
    "Python": (r"\blib\.(qrt_\w+)", ROOT / "python/quorate", "*.py"),
    "Lua": (r"\b(qrt_\w+)\b", ROOT / "bindings/lua", "*.c"),
}


def functions(header: str) -> set[str]:
    """What a header declares with QRT_API."""
    declared = re.findall(r"^QRT_API\b[^;]*?\b(qrt_\w+)\(", header, re.MULTILINE)
    assert len(declared) == len(set(declared))
    return set(declared)


def used(front_end: str) -> set[str]:
    """The functions that a front end's sources name."""
    pattern, folder, names = SOURCES[front_end]
    found = {
        name
        for path in sorted(folder.rglob(names))
        for name in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    return found & functions(HEADER.read_text(encoding="utf-8"))


def faults(declared: set[str], reached: set[str], excused: set[str]) -> list[str]:
    """What is wrong with the reach of a front end."""
    return [
        *(f"{name} cannot be reached; no reason is given" for name in sorted(declared - reached - excused)),
        *(f"{name} is reached: its excuse is old" for name in sorted(excused & reached)),
        *(f"{name} is excused and does not exist" for name in sorted(excused - declared)),
    ]


@pytest.mark.parametrize("front_end", sorted(SOURCES))
def test_every_function_is_reached_or_excused(front_end: str) -> None:
    """A function that only C can call is an oversight until somebody says why."""
    declared = functions(HEADER.read_text(encoding="utf-8"))
    assert len(declared) > 150
    found = faults(declared, used(front_end), set(NOT_REACHED[front_end]))
    assert not found, "\n" + "\n".join(found)


def test_the_judge_can_say_no() -> None:
    """Missing, stale and invented: each is told."""
    header = "QRT_API int qrt_a(void);\nQRT_API const char *\nqrt_b(int x);\n"
    assert functions(header) == {"qrt_a", "qrt_b"}
    assert faults({"qrt_a", "qrt_b"}, {"qrt_a"}, {"qrt_b"}) == []
    found = faults({"qrt_a", "qrt_b"}, {"qrt_a"}, {"qrt_a", "qrt_c"})
    assert [line.split()[0] for line in found] == ["qrt_b", "qrt_a", "qrt_c"]
