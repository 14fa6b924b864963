"""Logs and metrics of live nodes: lines that keep their form, numbers that a parser reads, bad requests."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import quorate as q
from live_protocols import Notebook
from prometheus_client.parser import text_string_to_metric_families
from test_by_hand import ByHand, ports

try:
    q.Cluster("raft", runtime="live").close()
except q.UnsupportedError as error:  # a build without the live runtime
    pytest.skip(str(error), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
TRANSPORTS = ("inproc", "tcp")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (error|warn|info|debug) (n\d+|cluster) \S.*")


def live(transport: str = "tcp", kind: str | type[q.Node] = "raft", **options: object) -> q.Cluster:
    return q.Cluster(kind, nodes=3, runtime="live", transport=transport, timeout=10, **options)


def lines(text: str) -> list[str]:
    """What the log says, without its times; every line has the form that the page promises."""
    found = text.splitlines()
    assert all(LINE.fullmatch(line) for line in found), text
    return [line.split(" ", 1)[1] for line in found]


def calm(text: str) -> list[str]:
    """The same but for what a busy machine adds: a sync that takes long, a queue that fills meanwhile."""
    busy = ("its disk is slow: ", "messages dropped, as their receiver is slow or gone: ")
    return [line for line in lines(text) if not any(what in line for what in busy)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_folder_of_logs(transport: str, tmp_path: Path):
    """A life in lines: started, leads, crashed, recovered; a file for threads, one a process."""
    with live(transport, log=f"debug:{tmp_path}/logs/") as c:
        leader = c.wait_leader()
        c.load(clients=2, operations=20)
        other = leader % 3 + 1
        c.crash(other)
        c.restart(other)
        c.pause(other)
        c.resume(other)
    files = {path.name: lines(path.read_text()) for path in (tmp_path / "logs").iterdir()}
    own = files["cluster.log"] if transport == "inproc" else files[f"n{other}.log"]
    every = [line for found in files.values() for line in found]
    assert len(files) == (1 if transport == "inproc" else 4)
    assert f"info n{other} started for the first time" in own
    back = rf"info n{other} started, and recovered term \d+ and its log to index \d+"
    assert any(re.match(back, x) for x in own)
    assert any(re.match(rf"info n{leader} is leader of term \d+", x) for x in every)
    assert any(re.match(rf"debug n\d votes for n{leader} in term \d+", x) for x in every)
    assert any(re.match(rf"info n{other} crashed; ", x) for x in every)
    assert f"info n{other} is paused" in own and f"info n{other} goes on" in own


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_quiet_by_default(transport: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """What a plan does is no warning; `off` is silent; the environment speaks where the option does not."""
    monkeypatch.delenv("QUORATE_LOG", raising=False)
    for level in ("", "off", "info"):
        if level == "info":
            monkeypatch.setenv("QUORATE_LOG", level)
        with live(transport, **({"log": "off"} if level == "off" else {})) as c:
            c.wait_leader()
            c.crash(1)
            c.restart(1)
        said = calm(capfd.readouterr().err)
        assert bool(said) == (level == "info")


def test_what_is_wrong_is_said(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """A node ended from outside, a script that raised, in words; a script's prints go to its node's file."""
    with live(kind=Notebook) as c:
        os.kill(c.status().nodes[1].pid, signal.SIGKILL)
        c.run_until(lambda c: not c.status().nodes[1].up)
        with pytest.raises(q.UnknownOutcome):
            c.propose("raise", node=1)
    said = calm(capfd.readouterr().err)
    assert "warn n2 is down: its process was ended from outside, by signal 9 (Killed)" in said
    assert any(re.match(r"error n1 stops: on_propose\(\) raised ValueError: it was told to", x) for x in said)
    assert len(said) == 2
    file = tmp_path / "all.log"
    with live(kind=Notebook, log=f"error:{file}") as c:
        assert c.propose("print", node=3).answer == b"n3 noted print"
        c.run_until(lambda c: "n3 prints this" in file.read_text())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"log": "loud"}, r"log=loud: it is a level \(off, error, warn, info, debug\)"),
        ({"log": "info:"}, "it is a level"),
        ({"log": "info:/no/such/place/"}, "the folder for logs, /no/such/place/, cannot be made"),
        ({"log": "info:/no/such/place"}, "the log /no/such/place cannot be written"),
        ({"metrics": 70000}, "metrics"),
        ({"runtime": "sim", "log": "info"}, "log= and metrics= are of live clusters"),
        ({"runtime": "sim", "metrics": 0}, "log= and metrics= are of live clusters"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, object], reason: str):
    for transport in ("inproc",) if "runtime" in options else TRANSPORTS:
        with pytest.raises(q.QuorateError, match=reason):
            q.Cluster("raft", **{"runtime": "live", "transport": transport, **options})


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def samples(port: int) -> dict[tuple[str, str], float]:
    """By name and node (or reason), as Prometheus's own parser reads them."""
    found = {}
    for family in text_string_to_metric_families(page(port)):
        assert family.documentation.endswith(".") and family.type in ("gauge", "counter")
        for sample in family.samples:
            found[sample.name, sample.labels.get("reason", sample.labels.get("node", ""))] = sample.value
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_metrics(transport: str):
    """They agree with the status, are described, survive a restart; time without a leader."""
    with live(transport, metrics=0, log="error") as c:
        c.load(clients=2, operations=50)
        leader = c.wait_leader()
        other = leader % 3 + 1
        c.run_until(lambda c: len({n.commit for n in c.status().nodes}) == 1)
        c.run(0.1)
        ports = {n.node: n.metrics_port for n in c.status().nodes}
        assert len(set(ports.values())) == (1 if transport == "inproc" else 3)
        with pytest.raises(ConnectionRefusedError):  # it listens on 127.0.0.1, and on no other address
            socket.create_connection(("127.0.0.2", ports[leader]), timeout=5)
        seen = samples(ports[leader])
        name = str(leader)
        assert seen["quorate_leader", name] == seen["quorate_up", name] == 1
        assert seen["quorate_known_leader", name] == leader
        assert seen["quorate_commit_index", name] == c.status().nodes[leader - 1].commit > 0
        assert seen["quorate_messages_sent_total", name] > 50 < seen["quorate_messages_received_total", name]
        assert seen["quorate_sent_bytes_total", name] > 50 * seen["quorate_flushes_total", name] > 0
        assert 0 < seen["quorate_leaderless_seconds_total", name] < 10
        names = {key[0] for key in seen}
        described = (ROOT / "docs/observing.md").read_text()
        assert not [name for name in names if f"`{name}`" not in described]
        assert names == set(re.findall(r"`(quorate_[a-z_]+)`", described))
        before = samples(ports[other])
        c.crash(other)
        c.restart(other)
        assert c.status().nodes[other - 1].metrics_port == ports[other]
        c.run_until(lambda c: samples(ports[other])["quorate_up", str(other)] == 1)
        after = samples(ports[other])
        assert after["quorate_restarts_total", str(other)] == 1
        totals = [key for key in before if key[0].endswith("_total")]
        assert all(after[key] >= before[key] for key in totals)
        for node in {1, 2, 3} - {leader}:
            c.crash(node)
        c.run_until(lambda c: samples(ports[leader])["quorate_known_leader", name] == 0)
        first = samples(ports[leader])["quorate_leaderless_seconds_total", name]
        c.run_until(lambda c: samples(ports[leader])["quorate_leaderless_seconds_total", name] > first)


def test_a_node_by_hand_has_both(tmp_path: Path):
    """By two lines of its file: a log in the words of every live node, and a page on the port named."""
    (port,) = ports(1)
    node = ByHand(tmp_path, 1, (f"metrics = {port}", f'log = "info:{tmp_path}/logs/"'))
    try:
        with node.connect() as r:
            assert r.wait_leader(10) == 1
            r.put("x", "1")
        seen = samples(port)
        assert seen["quorate_leader", "1"] == 1 and seen["quorate_applied_index", "1"] > 0
    finally:
        node.close()
    said = lines((tmp_path / "logs/n1.log").read_text())
    assert said[0].startswith("info n1 started") and "info n1 is leader of term 1" in said


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        answer = b""
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                answer += more
        except OSError:
            pass  # it did not read all of a request that was too long
        return answer


def test_nobodys_bad_request():
    """Garbage, what is too long or not text, other verbs and paths are told so; the silent get a second."""
    with live("inproc", metrics=0) as c:
        port = c.status().nodes[0].metrics_port
        assert ask(port, b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 200 OK\r\n")
        assert ask(port, b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.0 200 OK\r\n")
        assert ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
        assert b" 404 " in ask(port, b"GET /metricsx HTTP/1.1\r\n\r\n")
        assert b" 404 " in ask(port, b"GET \r\n\r\n")
        assert b" 405 " in ask(port, b"POST /metrics HTTP/1.1\r\n\r\n")
        assert b" 400 " in ask(port, b"GET /metrics HTTP/1.1\r\n")
        assert b" 400 " in ask(port, b"GET /me\0rics\r\n\r\n")
        ask(port, b"GET /" + b"x" * 100_000 + b"\r\n\r\n")
        draw = random.Random(7)
        for _ in range(200):
            ask(port, draw.randbytes(draw.randrange(1, 200)) + b"\r\n\r\n" * draw.randrange(2))
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        assert samples(port)["quorate_up", "1"] == 1
        for s in silent:
            s.close()
        with pytest.raises(q.QuorateError, match=f"n1 cannot listen on 127.0.0.1:{port}: Address already"):
            live("tcp", metrics=port)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        c.wait_leader()
