"""Is a script deterministic? One seed of it, twice, in fresh processes that hash differently.

What goes by the order of a set, by ``id()``, ``hash()``, the time of day, or ``random`` itself, makes the
runs differ; the first event that does is named.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate.errors import ArgumentError, ScriptError
from quorate.node import Node
from quorate.seedrun import SeedRun

_INSIDE = "QUORATE_TWICE"


@dataclass(frozen=True)
class Twice:
    """Whether both runs were the same; else the number of the first event that differs, and both."""

    same: bool
    hashes: tuple[str, str]
    event: int | None = None
    lines: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """In words; "" when they were the same."""
        if self.same:
            return ""
        return f"event {self.event} differs: {self.lines[0] or 'no event'}; {self.lines[1] or 'no event'}"

    def __bool__(self) -> bool:
        return self.same


def importable(kind: type[Node]) -> bool:
    """Whether a fresh process can find the class: it stands at the top of a module or script."""
    module = sys.modules.get(kind.__module__)
    return (
        "<locals>" not in kind.__qualname__
        and getattr(module, "__file__", None) is not None
        and _INSIDE not in os.environ
    )


def twice(kind: type[Node], seed: int = 1, *, spec: Mapping[str, Any] | None = None) -> Twice:
    """Runs one seed of a class derived from Node twice, as a campaign draws it (`spec`: events, nodes, plan),
    each time in a process of its own.

    The class must stand at the top of a file, whose other work stands below ``if __name__ == "__main__"``.
    Raises ArgumentError where it does not, ScriptError where a run fails.
    """
    if not importable(kind):
        raise ArgumentError(
            f"twice() runs {kind.__qualname__} in fresh processes: put it at the top of a file, "
            'and what runs it below if __name__ == "__main__"'
        )
    with tempfile.TemporaryDirectory(prefix="quorate-") as folder:
        paths = [Path(folder, name) for name in ("first", "second")]
        hashes = [_child(kind, seed, dict(spec or {}), path, i + 1) for i, path in enumerate(paths)]
        if hashes[0] == hashes[1]:
            return Twice(True, (hashes[0], hashes[1]))
        event, lines = _first_difference(*paths)
        return Twice(False, (hashes[0], hashes[1]), event, lines)


def _child(kind: type[Node], seed: int, spec: dict[str, Any], out: Path, number: int) -> str:
    file = getattr(sys.modules[kind.__module__], "__file__", "")
    module = "" if kind.__module__ == "__main__" else kind.__module__
    where = {"module": module, "file": file, "name": kind.__qualname__}
    request = json.dumps({**where, "seed": seed, "spec": spec, "out": str(out)})
    environment = {
        **os.environ,
        _INSIDE: "1",
        "PYTHONHASHSEED": str(number),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, "-m", "quorate.twice", request]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ScriptError(f"a fresh process could not run {kind.__qualname__}: {done.stderr.strip()[-2000:]}")
    return done.stdout.split()[-1]


def _first_difference(first: Path, second: Path) -> tuple[int, tuple[str, str]]:
    with first.open(encoding="utf-8") as a, second.open(encoding="utf-8") as b:
        for i, (x, y) in enumerate(itertools.zip_longest(a, b, fillvalue="")):
            if x != y:
                return i, (x.strip(), y.strip())
    return 0, ("", "")


def _load(request: Mapping[str, Any]) -> Any:
    if request["module"]:
        found: Any = importlib.import_module(request["module"])
    else:
        sys.path.insert(0, str(Path(request["file"]).parent))
        spec = importlib.util.spec_from_file_location("quorate_script", request["file"])
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    for name in request["name"].split("."):
        found = getattr(found, name)
    return found


def _main(text: str) -> None:
    """One run, in a fresh process: its events into a file, its hash to standard output."""
    request = json.loads(text)
    run = SeedRun(_load(request), request["spec"], request["seed"])
    with Path(request["out"]).open("w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in run.trace.lines())
    print(run.hash)


if __name__ == "__main__":
    _main(sys.argv[1])
