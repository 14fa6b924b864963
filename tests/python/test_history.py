"""Histories: in and out, and every published verdict."""

import os
import re
import time
from pathlib import Path

import pytest
import quorate as q


def data(relative: str) -> Path:
    """A file or folder of the shared test data, or a skip that says so."""
    roots = [os.environ.get("QUORATE_DATA"), *(p / "shared/data" for p in Path(__file__).resolve().parents)]
    for root in filter(None, roots):
        path = Path(root) / relative
        if path.exists():
            return path
    pytest.skip(f"{relative} is not here; set QUORATE_DATA")


def test_published_verdicts():
    """Every history of verdicts.tsv; the fifty logs of etcd together in well under a second."""
    folder = data("histories")
    rows = [line.split("\t") for line in (folder / "verdicts.tsv").read_text().splitlines()[1:] if line]
    spent = 0.0
    for name, model, linearizable, *_ in rows:
        match = re.fullmatch(r"([\w-]+)\((.*)\)", model)
        assert match
        initial = None if match[2] == "nil" else match[2].strip("'")
        with q.History.load(folder / name) as history:
            began = time.perf_counter()
            verdict = history.check(match[1], initial)
            spent += time.perf_counter() - began if name.startswith("etcd") else 0
        assert verdict.ok == (linearizable == "yes"), (name, str(verdict))
    assert spent < 1.0


def test_export_and_import():
    """JSON comes back exactly, EDN with the same operations; a saved file is recognised."""
    with q.Cluster("raft", nodes=3, seed=6) as c:
        c.apply(q.Plan().every(0.3, "crash", node="leader", for_="200ms"))
        c.load(clients=4, operations=200)
        history = c.history()
    text = history.json()
    again = q.History.parse(text)
    assert again.json() == text and len(again) == len(history) == len(history.operations)
    edn = q.History.parse(history.edn())
    assert len(edn) == len(history)
    assert again.check("kv").ok and edn.check("kv").ok
    frame = history.to_pandas()
    assert len(frame) == len(history) and frame["latency"].min() > 0


def test_files(tmp_path):
    """save() and load()."""
    with q.Cluster("raft") as c:
        kv = c.client()
        kv.put("k", "v")
        assert kv.get("k") == "v"
        for name in ("h.json", "h.edn"):
            c.history().save(tmp_path / name)
            assert len(q.History.load(tmp_path / name)) == 2


def test_a_violation_is_explained():
    """The first bad operation, and why."""
    text = """{"history": [
{"process": 1, "f": "put", "key": "k", "value": "a", "outcome": "ok", "invoke_order": 0, "return_order": 1},
{"process": 2, "f": "get", "key": "k", "result": "b", "outcome": "ok", "invoke_order": 2, "return_order": 3}
]}"""
    with q.History.parse(text) as history:
        verdict = history.check("kv")
    assert verdict.verdict == "violated" and verdict.bad == 1 and verdict.prefix == 1
    assert '"b"' in verdict.explanation and "violated" in str(verdict)


def test_budget_is_honoured():
    """A hard history ends as unknown soon after its budget of time."""
    operations = [
        f'{{"process": {p}, "f": "write", "value": "{p}", "outcome": "ok", "invoke_order": {p}, '
        f'"return_order": {1000 + p}}}'
        for p in range(60)
    ]
    operations += [
        f'{{"process": {100 + p}, "f": "cas", "expected": "{p}", "value": "{(p * 7 + 3) % 60}", '
        f'"outcome": "ok", "invoke_order": {100 + p}, "return_order": {2000 + p}}}'
        for p in range(60)
    ]
    operations.append(
        '{"process": 500, "f": "read", "result": "nobody wrote this", "outcome": "ok", "invoke_order": 3000, '
        '"return_order": 3001}'
    )
    with q.History.parse('{"history": [' + ",\n".join(operations) + "]}") as history:
        began = time.process_time()
        verdict = history.check("cas-register", seconds=0.3)
        assert time.process_time() - began < 2
    assert verdict.verdict in ("unknown", "violated")
