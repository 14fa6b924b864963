"""Campaigns: thousands of seeds, each a whole run that is broken and judged; on all cores, inside C."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from quorate._ffi import Handle, c_text, checked_path, encode, ffi, lib, library_text, view
from quorate._json import written
from quorate.awaits import AwaitableCampaign
from quorate.captures import CaptureReplay, is_capture, replay_capture
from quorate.cluster import Cluster
from quorate.display import html_table, text_table
from quorate.errors import ArgumentError
from quorate.plan import Plan
from quorate.progress import Progress

if TYPE_CHECKING:
    import numpy
    import pandas

Run = dict[str, Any]  # a failing run's file: versions, options, profile, workload, plan, seed, hash

_FIELDS = {
    "seed": "<u8",
    "hash": "<u8",
    "events": "<u8",
    "faults": "<u8",
    "violated": "<u8",
    "seconds": "<f8",
    "nodes": "<u2",
    "clients": "<u2",
    "verdict": "u1",
}


def _broken(assumption: Mapping[str, Any] | None) -> str:
    text = "; it assumes that {assumes}, which {broken_by} broke at {time:.6g} s"
    return text.format(**assumption) if assumption else ""


@dataclass(frozen=True)
class Violation:
    """A seed that broke something: which properties, when, and the run as data. A plan that went beyond the
    protocol's fault model names the first assumption that it broke: `assumption` has the keys assumes,
    broken_by (a verb) and time (s).
    """

    seed: int
    properties: tuple[str, ...]
    time: float | None
    run: Run = field(repr=False)
    assumption: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"seed {self.seed} violates {', '.join(self.properties)}{_broken(self.assumption)}"

    def save(self, path: str | Path) -> Path:
        """The run as a file that ``quorate replay`` takes."""
        path = Path(path)
        path.write_text(json.dumps(self.run, indent=1) + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True, repr=False)
class CampaignResult:
    """What a campaign found. `properties` counts violations by name, `sometimes` the seeds that met each
    condition; one that is 0 was never exercised. `unknown` counts seeds whose check spent its budget. `hash`
    covers all trace hashes, in the order of the seeds, whatever the jobs.
    """

    seeds: int
    violations: tuple[Violation, ...]
    stuck: tuple[Any, ...]
    unknown: int
    properties: Mapping[str, int]
    sometimes: Mapping[str, int]
    events: int
    seconds: float
    hash: str
    report: Mapping[str, Any] = field(repr=False)
    _rows: memoryview = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """No violation, and progress after healing on every seed."""
        return not self.violations and not self.stuck

    @property
    def rows(self) -> numpy.ndarray[Any, Any]:
        """One row a seed, as a read-only structured array of shape ``(seeds,)`` over the campaign's own
        memory: seed, hash, events, faults, violated (a bit per property), seconds, nodes, clients, verdict (0
        ok, 1 violated, 2 unknown, 3 stuck).
        """
        import numpy

        offsets = [ffi.offsetof("qrt_campaign_row", name) for name in _FIELDS]
        size = ffi.sizeof("qrt_campaign_row")
        dtype = numpy.dtype(
            {"names": list(_FIELDS), "formats": list(_FIELDS.values()), "offsets": offsets, "itemsize": size}
        )
        return numpy.frombuffer(self._rows, dtype=dtype)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a DataFrame with the seed as its index and the verdict in words."""
        import pandas

        rows = self.rows
        frame: pandas.DataFrame = pandas.DataFrame({name: rows[name] for name in _FIELDS}).set_index("seed")
        codes: Any = rows["verdict"].astype("int8")
        categorical: Any = pandas.Categorical
        frame["verdict"] = categorical.from_codes(codes, ["ok", "violated", "unknown", "stuck"])
        return frame

    def __repr__(self) -> str:
        bad = f"{len(self.violations)} violated, {len(self.stuck)} stuck, {self.unknown} unknown"
        return f"<CampaignResult of {self.seeds} seeds: {bad}; hash {self.hash}>"

    def __str__(self) -> str:
        speed = self.events / self.seconds if self.seconds else 0.0
        lines = [f"{self.seeds} seeds, {self.events} events, {self.seconds:.3g} s ({speed / 1e6:.3g} M/s)"]
        lines.append(
            f"{len(self.violations)} violated, {len(self.stuck)} stuck, "
            f"{self.unknown} unknown; hash {self.hash}"
        )
        lines.append(text_table(sorted(self.properties.items()), ("property", "violations")))
        lines.append(text_table(sorted(self.sometimes.items()), ("sometimes", "seeds")))
        for violation in self.violations[:10]:
            lines.append(str(violation))
        for entry in self.stuck[:10]:
            lines.append(f"seed {entry['seed']} makes no progress{_broken(entry.get('assumption'))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        verdict = "ok" if self.ok else "violated"
        properties = html_table(sorted(self.properties.items()), ("property", "violations"))
        sometimes = html_table(sorted(self.sometimes.items()), ("sometimes", "seeds"))
        return f"<p>{self.seeds} seeds, {self.events} events: {verdict}</p>{properties}{sometimes}"


class Campaign:
    """A campaign to be run in pieces; :func:`campaign` is the short form. Its threads end with it."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.spec = dict(spec)
        self._handle = Handle.make(
            "campaign", lib.qrt_campaign_free, lib.qrt_campaign_new, encode(written(self.spec))
        )

    def run(self) -> CampaignResult:
        """Runs every seed. Ctrl-C stops it at once."""
        done, total = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        with self._handle.held(), Progress("campaign", self.spec.get("seeds", 0), "seeds") as progress:
            while self._handle.more(lib.qrt_campaign_run, done, total):
                progress.update(int(done[0]))
        return self._result()

    @property
    def aio(self) -> AwaitableCampaign:
        """``await campaign.aio.run()``; see :mod:`quorate.aio`."""
        return AwaitableCampaign(self)

    def _result(self) -> CampaignResult:
        report = self._handle.json(lib.qrt_campaign_report)
        count = ffi.new("size_t *")
        with self._handle.held() as pointer:
            rows = lib.qrt_campaign_rows(pointer, count)
        memory = view(self._handle, rows, int(count[0]) * ffi.sizeof("qrt_campaign_row"), "B")
        found = tuple(
            Violation(v["seed"], tuple(v["properties"]), v.get("time"), v.get("run", {}), v.get("assumption"))
            for v in report["violations"]
        )
        return CampaignResult(
            report["seeds"],
            found,
            tuple(report["stuck"]),
            report.get("unknown", 0),
            report["properties"],
            report["sometimes"],
            report["events"],
            report["seconds"],
            report["hash"],
            report,
            memory,
        )

    def close(self) -> None:
        """Stops its threads and frees it; not while arrays over its rows are in use."""
        self._handle.close()


def campaign_spec(protocol: str, seeds: int | range, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign as the core reads it; None is left out."""
    if isinstance(seeds, range):
        if seeds.step != 1 or not seeds:
            raise ArgumentError(f"seeds must be a count or a range of step 1 that is not empty, not {seeds}")
        fields = {**fields, "first": seeds.start}
        seeds = len(seeds)
    plan = fields.get("plan")
    given = {**fields, "plan": list_plan(plan) if plan is not None else None}
    return {"protocol": protocol, "seeds": seeds, **{k: v for k, v in given.items() if v is not None}}


def list_plan(plan: Plan | str | Mapping[str, Any]) -> dict[str, Any]:
    """A plan as a JSON object."""
    if isinstance(plan, Plan):
        return dict(json.loads(plan.to_json()))
    return dict(json.loads(Plan.from_json(plan).to_json()) if isinstance(plan, str) else plan)


def campaign(
    protocol: str = "raft",
    seeds: int | range = 1000,
    *,
    nodes: int | None = None,
    bug: str | None = None,
    plan: Plan | str | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    outside: bool | None = None,
    damage: bool | None = None,
    events: int | None = None,
) -> CampaignResult:
    """Runs that many seeds (or a range of them), each at least `events` events long, with faults drawn inside
    the protocol's fault model (or, with `outside`, beyond it), and judges every run.

    `nodes`: None draws 3 to 7. `bug` switches on a published mistake; see :func:`bugs`. `damage` draws
    damaged disks too, as often as lost ones, where the model stands those. `plan` replaces the drawn one.
    `jobs`: threads, None: all cores; the result is the same with any number. Raises NotFoundError,
    ArgumentError, RangeError.
    """
    fields = {"nodes": nodes, "bug": bug, "plan": plan, "jobs": jobs, "outside": outside}
    fields |= {"damage": damage, "events": events}
    whole = Campaign(campaign_spec(protocol, seeds, fields))
    try:
        return whole.run()
    except BaseException:
        whole.close()
        raise


def run_file(spec: Mapping[str, Any], seed: int) -> Run:
    """The run of one seed of a campaign as data: what :func:`replay` takes."""
    text = library_text(lib.qrt_campaign_run_file(encode(written(dict(spec))), seed))
    run: Run = json.loads(text)
    return run


@overload
def replay(run: Run, bug: None = None, record: None = None) -> Cluster: ...
@overload
def replay(run: str | Path, bug: str, record: int | None = None) -> CaptureReplay: ...
@overload
def replay(run: str | Path, bug: None, record: int) -> CaptureReplay: ...
@overload
def replay(run: str | Path, bug: None = None, *, record: int) -> CaptureReplay: ...
@overload
def replay(run: str | Path, bug: None = None, record: None = None) -> Cluster | Any: ...
def replay(
    run: str | Path | Run, bug: str | None = None, record: int | None = None
) -> Cluster | CaptureReplay:
    """Runs a failing run's file (or its data, or JSON text) again, to its end; the Cluster stands there for
    inspection.

    A folder is a capture (option ``capture``). Its inputs are fed to the nodes again, with the mistake `bug`
    switched on if you like, and a :class:`CaptureReplay` says what differs. Its `trace` has the last `record`
    events (default: 20,000).

    Raises ParseError, NewerError, or CorruptError when the trace hash is another one than the file says.
    """
    if is_capture(run):
        return replay_capture(cast("str | Path", run), bug, record)
    handle = replay_handle(run, bug, record)
    Progress.replay(handle, lib.qrt_cluster_replay_run)
    return Cluster._from_handle(handle)


def replay_handle(run: str | Path | Run, bug: str | None, record: int | None = None) -> Handle:
    """A replay of a run's file that has not begun."""
    if bug is not None:
        raise ArgumentError("bug= is for captures: a run's file says itself which mistake is on")
    if record is not None:
        raise ArgumentError("record= is for captures: a run's file says itself what is recorded")
    if isinstance(run, Mapping):
        text = written(run)
    elif isinstance(run, str) and run.lstrip().startswith("{"):
        text = run
    else:
        text = checked_path(run).read_text(encoding="utf-8", errors="surrogateescape")
    return Handle.make("cluster", lib.qrt_cluster_free, lib.qrt_cluster_replay, c_text(text))
