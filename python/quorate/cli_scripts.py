"""The commands about scripts and mistakes: bugs, grade, twice."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path

from quorate._ffi import checked_path
from quorate.catalogue import Table
from quorate.cli_commands import EXIT, show, tell
from quorate.errors import ArgumentError, NotFoundError
from quorate.grading import grade as run_grade
from quorate.node import Node
from quorate.prove import HEADER, listed, prove
from quorate.twice import twice as run_twice


def bugs(arguments: argparse.Namespace) -> int:
    """Lists the mistakes, or proves that each is caught; it fails where one is not."""
    table = listed(arguments.protocol)
    if not arguments.prove and not arguments.only:
        show(arguments, {"bugs": list(table)}, table)
        return EXIT["ok"]
    for name in arguments.only:
        if name not in [row["name"] for row in table]:
            raise NotFoundError(f"there is no mistake '{name}'; `quorate bugs` lists them all")
    proofs = []
    for proof in prove(
        arguments.only, protocol=arguments.protocol, seeds=arguments.seeds, jobs=arguments.jobs
    ):
        proofs.append(proof)
        where = f"seed {proof.first}, {proof.seconds:.1f} s"
        tell(f"{proof.row['verdict']}: {proof.name} by {proof.violates}, {where}")
    rows = [proof.row for proof in proofs]
    caught = all(proof.caught for proof in proofs)
    show(arguments, {"caught": caught, "proofs": rows}, Table(rows, HEADER))
    return EXIT["ok" if caught else "violated"]


def load_class(where: str) -> type[Node]:
    """The class derived from Node of a file, or FILE:CLASS."""
    path, _, name = where.partition(":")
    checked_path(path)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(path).resolve().parent))
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f" (line {own[-1].lineno}: {own[-1].line})" if own else ""
        raise ArgumentError(f"{path} cannot be loaded: {type(error).__name__}: {error}{where}") from error
    found = {
        n: c
        for n, c in vars(module).items()
        if inspect.isclass(c) and issubclass(c, Node) and c.__module__ == module.__name__
    }
    if name and name not in found:
        raise NotFoundError(f"{path} has no class {name} derived from quorate.Node; it has {list(found)}")
    if not found:
        raise NotFoundError(f"{path} has no class derived from quorate.Node")
    if not name and len(found) != 1:
        raise ArgumentError(
            f"{path} has the classes {list(found)} derived from quorate.Node; say which: FILE:CLASS"
        )
    return found[name or next(iter(found))]


def grade(arguments: argparse.Namespace) -> int:
    """Grades the class; it fails where a property does not hold."""
    result = run_grade(
        load_class(arguments.file),
        arguments.seeds,
        secret=arguments.secret,
        nodes=arguments.nodes,
        events=arguments.events,
    )
    show(arguments, result.data(), result)
    return EXIT["ok" if result.ok else "violated"]


def twice(arguments: argparse.Namespace) -> int:
    """Compares two runs of a seed."""
    result = run_twice(load_class(arguments.file), arguments.seed)
    data = {"same": result.same, "hashes": result.hashes, "event": result.event, "lines": result.lines}
    show(arguments, data, f"the same: {result.hashes[0]}" if result else f"not the same: {result.text}")
    return EXIT["ok" if result else "violated"]
