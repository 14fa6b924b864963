"""The commands that judge and list: campaign, replay, check, bench, protocols, options, bugs."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from quorate import campaigns, catalogue, shrinking
from quorate._ffi import checked_path
from quorate.benchmarks import bench as run_bench
from quorate.captures import is_capture, replay_capture
from quorate.catalogue import Table
from quorate.compare import compare as run_compare
from quorate.errors import NotFoundError, QuorateError, RangeError
from quorate.history import History, HistoryVerdict
from quorate.plan import Plan
from quorate.results import CheckResult
from quorate.trace import Trace

EXIT = {"ok": 0, "violated": 1, "unknown": 3}
LARGE = 1000  # seeds from which on a campaign must have exercised everything
LOOKED_AT = 1_000_000  # events of a capture, of which the last are shown: 48 MB
SAVED = 10  # failing runs that are written to files


def show(arguments: argparse.Namespace, data: object, text: object) -> None:
    """The JSON object or, for people, the text."""
    print(json.dumps(data) if arguments.json else text)


def tell(*lines: str) -> None:
    """For people, whatever goes to standard output."""
    print(*lines, sep="\n", file=sys.stderr)


def worst(verdicts: list[str]) -> str:
    """One violation makes the whole violated; one unknown makes it unknown."""
    return next((v for v in ("violated", "unknown") if v in verdicts), "ok")


# --- campaigns and replays ---


def campaign(arguments: argparse.Namespace) -> int:
    """Runs the seeds, writes failing runs to files, and says how to replay each."""
    plan = Plan.load(arguments.plan) if arguments.plan else None
    fields = {name: getattr(arguments, name) for name in ("first", "nodes", "bug", "jobs", "events")}
    fields.update(plan=plan, outside=arguments.outside or None, damage=arguments.damage or None)
    spec = campaigns.campaign_spec(arguments.protocol, arguments.seeds, fields)
    result = campaigns.Campaign(spec).run()
    saved = [_save(arguments, violation) for violation in result.violations[:SAVED]]
    stuck = [_save_stuck(arguments, spec, entry) for entry in result.stuck[: SAVED - len(saved)]]
    show(arguments, _campaign_data(result, saved), result)
    for path in [*saved, *stuck]:
        tell(f"replay it: quorate replay {shlex.quote(str(path))}")
    if not result.ok:
        return EXIT["violated"]
    missed = [name for name, seeds in result.sometimes.items() if not seeds]
    if missed:
        tell(f"never exercised: {', '.join(missed)}")
    return EXIT["unknown"] if result.unknown or (missed and result.seeds >= LARGE) else EXIT["ok"]


def _path(arguments: argparse.Namespace, seed: int) -> Path:
    bug = f"-{arguments.bug}" if arguments.bug else ""
    folder = Path(arguments.save)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{arguments.protocol}{bug}-{seed}.run.json"


def _save(arguments: argparse.Namespace, violation: campaigns.Violation) -> Path:
    return violation.save(_path(arguments, violation.seed))


def _save_stuck(arguments: argparse.Namespace, spec: dict[str, Any], entry: Any) -> Path:
    seed = int(entry["seed"] if isinstance(entry, dict) else entry)
    path = _path(arguments, seed)
    run = entry.get("run") if isinstance(entry, dict) else None
    path.write_text(json.dumps(run or campaigns.run_file(spec, seed), indent=1) + "\n", encoding="utf-8")
    return path


def _campaign_data(result: campaigns.CampaignResult, saved: list[Path]) -> dict[str, Any]:
    """The report, each violation with the file that replays it in place of the whole run."""
    violations = []
    for i, violation in enumerate(result.report["violations"]):
        entry = {name: value for name, value in violation.items() if name != "run"}
        if i < len(saved):
            entry.update(file=str(saved[i]), replay=f"quorate replay {shlex.quote(str(saved[i]))}")
        violations.append(entry)
    return {**result.report, "violations": violations}


def replay(arguments: argparse.Namespace) -> int:
    """Runs the file's run again; the verdict, and whether the hash is the file's. A folder is a capture."""
    if is_capture(arguments.file):
        if arguments.last is not None and arguments.last < 1:
            raise RangeError(f"--last takes a number of events from 1 on, not {arguments.last}")
        replayed = replay_capture(arguments.file, arguments.bug, LOOKED_AT if arguments.last else None)
        if arguments.picture:
            Path(arguments.picture).write_text(replayed.trace.svg(), encoding="utf-8")
        if arguments.id is not None and arguments.id not in (n["node"] for n in replayed.nodes):
            raise NotFoundError(f"there is no node {arguments.id}; nodes are 1 to {len(replayed.nodes)}")
        lines = _last_events(replayed.trace, arguments.id, arguments.last or 0)
        data = {**replayed.report, "last": lines} if arguments.last else dict(replayed.report)
        show(arguments, data, "\n".join([*lines, str(replayed)]))
        return EXIT.get(replayed.verdict, 4)
    text = checked_path(arguments.file).read_text(encoding="utf-8", errors="surrogateescape")
    with campaigns.replay(text) as cluster:
        result = cluster.check()
        expected = json.loads(text).get("hash")
        if arguments.picture:
            Path(arguments.picture).write_text(cluster.trace.svg(), encoding="utf-8")
    same = expected is None or int(str(expected), 16) == int(result.hash, 16)
    if not same:
        tell(f"the trace hash is {result.hash}, the file says {expected}: is it of another version?")
    show(arguments, {**check_data(result), "same": same}, result)
    return EXIT[result.verdict] if same else 4


def shrink(arguments: argparse.Namespace) -> int:
    """Writes the smaller run's file beside the first, and says what is left of its plan."""
    path = checked_path(arguments.file)
    run = shrinking.shrink(path)
    name = f"{path.name.removesuffix('.json').removesuffix('.run').removesuffix('.small')}.small.run.json"
    out = Path(arguments.out) if arguments.out else path.with_name(name)
    out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    counts = run["shrunk"]
    lines = [f"{counts['from']} directives, now {counts['to']}, after {counts['tries']} runs"]
    lines += [f"  {json.dumps(directive)}" for directive in run["plan"]["directives"]]
    lines.append(f"still violated: {', '.join(run['violated'])}")
    lines.append(f"replay it: quorate replay {shlex.quote(str(out))}")
    show(arguments, {**run, "file": str(out)}, "\n".join(lines))
    return EXIT["ok"]


def _last_events(trace: Trace, node: int | None, count: int) -> list[str]:
    """The last `count` lines, of that node or of all."""
    numbers = [i for i, n in enumerate(trace.column("node")) if node in (None, n)] if count else []
    return [trace.line(i) for i in numbers[max(0, len(numbers) - count) :]]


def check_data(result: CheckResult) -> dict[str, Any]:
    """What `run`, `demo` and `replay` say of a check."""
    return {"hash": result.hash, "verdicts": result.verdicts}


# --- histories ---


def check(arguments: argparse.Namespace) -> int:
    """Judges each history; the worst verdict is the exit code."""
    model, initial = _model(arguments.model, arguments.initial)
    entries = [_check_file(arguments, path, model, initial) for path in arguments.histories]
    verdict = worst([str(entry["verdict"]) for entry in entries])
    single = {name: entries[0][name] for name in entries[0] if name != "file"}
    several = {"verdict": verdict, "seconds": sum(e["seconds"] for e in entries), "files": entries}
    if arguments.json:
        print(json.dumps(single if len(entries) == 1 else several))
    return EXIT[verdict]


def _model(model: str, initial: str) -> tuple[str, str | None]:
    """``cas-register(0)`` says both; nil is no value."""
    match = re.fullmatch(r"([\w-]+)\((.*)\)", model)
    if match:
        model, initial = match[1], match[2]
    if len(initial) >= 2 and initial[0] == initial[-1] and initial[0] in "'\"":
        return model, initial[1:-1]
    return model, None if initial == "nil" else initial


def _check_file(arguments: argparse.Namespace, path: str, model: str, initial: str | None) -> dict[str, Any]:
    try:
        with History.load(path) as history:
            verdict = history.check(model, initial, arguments.seconds, arguments.memory)
    except QuorateError as error:
        raise error if path in str(error) else type(error)(f"{path}: {error}") from error
    if not arguments.json:
        print(f"{path}: {verdict}")
    return {"file": path, **_verdict_data(verdict)}


def _verdict_data(verdict: HistoryVerdict) -> dict[str, Any]:
    names = ("verdict", "seconds", "prefix", "bad", "explanation", "key")
    return {name: getattr(verdict, name) for name in names}


# --- lists and measurements ---


def compare(arguments: argparse.Namespace) -> int:
    """Measures each on the same seed, load and plan."""
    plan = Plan.load(arguments.plan) if arguments.plan else None
    fields = {name: getattr(arguments, name) for name in ("nodes", "seed", "clients", "operations")}
    result = run_compare(arguments.protocols, plan=plan, **fields)
    show(arguments, {"protocols": result}, result)
    return EXIT[worst([report["verdict"] for report in result.values()])]


def bench(arguments: argparse.Namespace) -> int:
    """Measures; there is no verdict in it."""
    table = run_bench(arguments.name)
    show(arguments, {"results": list(table)}, table)
    return 0


def _list(arguments: argparse.Namespace, name: str, table: Table) -> int:
    show(arguments, {name: list(table)}, table)
    return 0


def protocols(arguments: argparse.Namespace) -> int:
    """Lists the protocols."""
    return _list(arguments, "protocols", catalogue.protocols())


def options(arguments: argparse.Namespace) -> int:
    """Lists a protocol's options."""
    return _list(arguments, "options", catalogue.options(arguments.protocol))
