"""Nodes started by hand: each a process of its own, found by a cluster file, admitted by keys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import quorate as q
from quorate.remote import node_command

PATIENCE = 20.0


def eventually(holds: Callable[[], object]) -> bool:
    """Whether it comes true, in real time: other processes need some."""
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(holds())


def ports(count: int) -> list[int]:
    """That nobody listens on, outside of those that the system gives away, where it leaves any: else one that
    a killed node is to come back to might meanwhile be another test's.
    """
    given_away = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    low, high = map(int, given_away)
    left = [*range(10_000, low), *range(high + 1, 65_536)] or range(10_000, 65_536)
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(left)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found += [port] if port not in found else []
    return found


class ByHand:
    """Three nodes of a cluster file, started as a person would."""

    def __init__(self, folder: Path, nodes: int = 3, more: tuple[str, ...] = ()) -> None:
        self.folder, self.file = folder, folder / "cluster.toml"
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        lines = ["[cluster]", 'name = "orders"', 'client_retry = "50ms"', *more]
        for i, port in enumerate(ports(nodes), 1):
            lines += [f"[node.{i}]", f'endpoint = "tcp://127.0.0.1:{port}"']
        for name, role in (("alice", "admin"), ("bob", "write"), ("carol", "read")):
            lines += [f"[client.{name}]", f'role = "{role}"']
        self.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        q.keygen(self.file)
        for i in range(1, nodes + 1):
            subprocess.run(node_command("format", self.file, i), check=True, stdout=subprocess.DEVNULL)
            self.start(i)

    def start(self, node: int, *options: str) -> None:
        with (self.folder / f"n{node}.err").open("ab") as said:
            self.running[node] = subprocess.Popen(node_command("run", self.file, node, *options), stderr=said)

    def said(self, node: int) -> str:
        return (self.folder / f"n{node}.err").read_text(encoding="utf-8")

    def kill(self, node: int, number: int = signal.SIGKILL) -> int:
        process = self.running.pop(node)
        process.send_signal(number)
        return process.wait(PATIENCE)

    def connect(self, name: str = "alice") -> q.Remote:
        return q.connect(self.file, key=self.folder / "keys" / f"{name}.key")

    def close(self) -> None:
        for node in list(self.running):
            self.kill(node)


def test_what_nodes_by_hand_did_is_captured_and_replays(tmp_path: Path) -> None:
    """After kill -9, a restart and a stop every step repeats, here from one folder for all."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    captured = tmp_path / "captured"
    hand = ByHand(tmp_path, more=(f'capture = "{captured}"', 'capture_size = "64MiB"'))
    try:
        with hand.connect() as r:
            first = r.wait_leader(PATIENCE)
            r.put("x", "1")
            assert r.get("x") == "1"  # answered in a later step: so that of the write is written down whole
            hand.kill(first)
            r.put("x", "2", timeout=PATIENCE)
            hand.start(first)
            assert eventually(lambda: all(n.pid == hand.running[n.node].pid for n in r.status().nodes))
            r.put("x", "3", timeout=PATIENCE)
        for node in (1, 2, 3):
            assert hand.kill(node, signal.SIGTERM) == 0, hand.said(node)
    finally:
        hand.close()
    replayed = q.replay(captured)
    assert replayed.ok, str(replayed)
    assert replayed.verdicts["linearizability"] == "ok"  # as the nodes received and answered
    assert replayed.history["of"] == "nodes" and replayed.history["whole"] and replayed.history["ok"] >= 3
    assert "client operations, as the nodes received and answered them: " in str(replayed)
    assert not (tmp_path / "cluster.toml").parent.joinpath("capture.json").exists()


def test_a_life_without_a_capture_is_seen(tmp_path: Path) -> None:
    """All nodes ran without their captures in between: nothing is said of what clients were told."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    captured = tmp_path / "captured"
    hand = ByHand(tmp_path, more=(f'capture = "{captured}"',))
    whole = hand.file.read_text(encoding="utf-8")
    try:
        for text, value in ((whole, "1"), (whole.replace("capture =", "# "), "2"), (whole, "3")):
            if text != hand.file.read_text(encoding="utf-8"):  # nobody may be at reading it
                assert not hand.running
                hand.file.write_text(text, encoding="utf-8")
            for node in (1, 2, 3):
                if node not in hand.running:
                    hand.start(node)
            with hand.connect() as r:
                r.wait_leader(PATIENCE)
                r.put("x", value, timeout=PATIENCE)
                assert value == "1" or r.cas("x", value, value)
            for node in (1, 2, 3):
                assert hand.kill(node, signal.SIGTERM) == 0, hand.said(node)
    finally:
        hand.close()
    replayed = q.replay(captured)
    assert replayed.verdict == "unknown" and replayed.verdicts["linearizability"] == "unknown", str(replayed)
    assert "it ran without a capture in between" in str(replayed)
    assert not replayed.history["whole"] and replayed.history["ok"] >= 1


def by_hand(folder: Path, more: tuple[str, ...] = ()) -> Iterator[ByHand]:
    """Such nodes, for a fixture; a skip where the build has none."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    cluster = ByHand(folder, more=more)
    yield cluster
    cluster.close()


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[ByHand]:
    yield from by_hand(tmp_path)


def test_what_was_never_sent_is_said_to_be_so(hand: ByHand) -> None:
    """Where no node could be reached, a write has certainly failed, and is not sent later either."""
    with hand.connect() as r:
        r.wait_leader(PATIENCE)
        r.put("x", "1")
        for node in (1, 2, 3):
            hand.kill(node)
        assert eventually(lambda: not any(n.up for n in r.status().nodes))
        for call in (lambda: r.put("x", "2", timeout=0.3), lambda: r.client().put("x", "2", timeout=0.3)):
            with pytest.raises(q.FailedError, match="was not sent, and so not executed: 0 of 3 nodes answer"):
                call()
        for node in (1, 2, 3):
            hand.start(node)
        assert r.wait_leader(PATIENCE)
        assert r.get("x", timeout=PATIENCE) == "1"
        for process in hand.running.values():
            process.send_signal(signal.SIGSTOP)
        with pytest.raises(q.UnknownOutcome, match="may still be executed"):
            r.put("x", "3", timeout=0.3)  # their kernels have taken it


def test_three_nodes_serve_and_survive_kill_and_restart(hand: ByHand) -> None:
    """A leader is killed with -9 and the others go on; all are stopped and started, and the data is there."""
    with hand.connect() as r:
        first = r.wait_leader(PATIENCE)
        assert eventually(lambda: r.status().nodes[0].memory_budget)
        budget = r.status().nodes[0].memory_budget >> 20
        assert f"memory beside that at most {budget} MiB" in hand.said(1)
        r.put("x", "1")
        assert r.append("x", "2") == 2
        assert r.cas("x", "12", "3") and not r.cas("x", "12", "4")
        assert hand.kill(first) == -signal.SIGKILL
        r.put("y", "after", timeout=PATIENCE)
        assert r.wait_leader(PATIENCE, other_than=first) != first
        placed = r.propose("z", timeout=PATIENCE)
        assert placed.index > 0 and placed.node == r.leader
        with pytest.raises(q.UnsupportedError, match="raft has no transactions"):
            r.transaction({1: "a"})
        hand.start(first)
        assert eventually(lambda: all(n.pid == hand.running[n.node].pid for n in r.status().nodes))
        assert r.get("x", timeout=PATIENCE) == "3"
    for node in (1, 2, 3):
        assert hand.kill(node, signal.SIGTERM) == 0, hand.said(node)
        assert "stopped" in hand.said(node)
    for node in (1, 2, 3):
        hand.start(node)
    with hand.connect("bob") as r:
        assert r.get("x", timeout=PATIENCE) == "3"
        assert r.get("y") == "after"


@pytest.mark.parametrize("protocol", ["floodset", "benor", "2pc", "bully"])
def test_protocols_without_a_leader(tmp_path: Path, protocol: str) -> None:
    """Nodes that were formatted begin at the beginning, also where nothing is ever written; once."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    hand = ByHand(tmp_path, more=(f'protocol = "{protocol}"',))
    try:
        with hand.connect() as r:
            assert r.propose("v", timeout=PATIENCE).node in (1, 2, 3)
            if protocol == "2pc":
                with pytest.raises(q.UnsupportedError, match="propose instead; all nodes take part"):
                    r.transaction({1: "a"})
        assert not (hand.folder / "data" / "n1" / "formatted").exists()
    finally:
        hand.close()


def test_its_waits_can_be_awaited(hand: ByHand) -> None:
    """As those of every cluster: with ``aio.`` before their names."""

    async def work() -> None:
        async with hand.connect() as r:
            assert await r.aio.wait_leader(PATIENCE)
            assert (await r.aio.propose("z", timeout=PATIENCE)).index > 0
            client = r.client().aio
            await client.put("k", "v", timeout=PATIENCE)
            assert await client.get("k") == "v"

    asyncio.run(work())


def test_status_says_why_nobody_leads(hand: ByHand) -> None:
    """Two of three nodes are gone: reads and writes say who answers and who is needed."""
    with hand.connect() as r:
        r.wait_leader(PATIENCE)
        hand.kill(1)
        hand.kill(2)
        assert eventually(lambda: "1 of 3 nodes answer, 2 are needed" in r.status().reason)
        with pytest.raises(q.NoLeaderError, match="1 of 3 nodes answer, 2 are needed"):
            r.propose("x", timeout=0.2)
        assert r.status().nodes[0].why_down.startswith("it does not answer: nobody takes a connection to ")
        assert "n1 is down: it does not answer: nobody takes" in str(r.status())


def test_roles(hand: ByHand) -> None:
    """Who may read may not write, and who may write may not break; the refusal says what is missing."""
    with hand.connect("bob") as bob, hand.connect("carol") as carol:
        bob.put("x", "1", timeout=PATIENCE)
        assert carol.get("x") == "1"
        with pytest.raises(q.DeniedError, match=r"carol has the role read; .* needs write"):
            carol.put("x", "2")
        with pytest.raises(q.DeniedError, match="bob has the role write; fault needs admin"):
            bob.pause(1)
        with pytest.raises(q.DeniedError, match="stop needs admin"):
            bob.stop(1)
        assert carol.last_events(1, 10)
        assert bob.get("x") == "1"


def test_faults_and_stop(hand: ByHand) -> None:
    """An admin breaks running nodes: each carries out what concerns it."""
    with hand.connect() as r:
        leader = r.wait_leader(PATIENCE)
        r.put("x", "1")
        r.pause("leader")
        assert eventually(lambda: r.status().nodes[leader - 1].paused)
        r.put("x", "2", timeout=PATIENCE)
        r.resume(leader)
        r.crash(leader)
        assert eventually(lambda: not r.status().nodes[leader - 1].up)
        r.restart(leader)
        assert eventually(lambda: r.status().nodes[leader - 1].up)
        r.fault("partition", shape="one", node=leader)
        r.put("x", "3", timeout=PATIENCE)
        r.heal()
        assert eventually(lambda: r.get("x", timeout=PATIENCE) == "3")
        assert {e.kind for e in r.last_events(leader, 2000)} >= {"crash", "start", "fault"}
        r.stop(2)
        assert hand.running.pop(2).wait(PATIENCE) == 0
        with pytest.raises(q.NodeDownError, match=r"n2: it does not answer: .*; those that answer were told"):
            r.pause(2)
        r.heal()  # which names nobody


def test_wrong_key_is_refused_and_counted(hand: ByHand, tmp_path: Path) -> None:
    """A stranger ends at the handshake, whatever his own file says; the nodes count him."""
    strange = tmp_path / "strange"
    shutil.copytree(hand.folder / "keys", strange / "keys")
    shutil.copy(hand.file, strange)
    q.keygen(strange / "cluster.toml", "bob")
    with q.connect(strange / "cluster.toml", key=strange / "keys" / "bob.key") as r:
        assert not any(n.up for n in r.status().nodes)
        for ask in (lambda: r.get("x"), lambda: r.put("x", "1"), lambda: r.propose("x"), lambda: r.stop(1)):
            with pytest.raises(q.DeniedError, match="n1: it refuses this key"):
                ask()
        with pytest.raises(q.DeniedError, match="no node was told: n1: it refuses this key"):
            r.heal()
    with hand.connect() as r:
        assert eventually(lambda: r.status().nodes[0].refused > 0)
    with pytest.raises(q.DeniedError, match="is of no client"):
        q.connect(hand.file, key=strange / "keys" / "bob.key")


def test_a_removed_key_is_cut_off(hand: ByHand) -> None:
    """A key that goes from the file is closed out of running nodes; the others stay."""
    with hand.connect() as alice, hand.connect("bob") as bob:
        bob.put("x", "1", timeout=PATIENCE)
        before = hand.file.read_text(encoding="utf-8")
        hand.file.write_text(before.split("[client.bob]")[0] + before[before.index("[client.carol]") :])
        for process in hand.running.values():
            process.send_signal(signal.SIGHUP)
        assert eventually(lambda: not any(n.up for n in bob.status().nodes))
        with pytest.raises(q.DeniedError, match=r"no node answers; n\d: it refuses this key"):
            bob.get("x", timeout=0.2)
        assert "0 of 3 nodes answer, 2 are needed; n1: it refuses this key" in bob.status().reason
        assert alice.get("x", timeout=PATIENCE) == "1"
        assert "read again\n" in hand.said(1)
        other = before.replace('client_retry = "50ms"', 'data = "elsewhere"\nlog = "error"')
        hand.file.write_text(other, encoding="utf-8")
        what = "read again; restart the node to take over: data, log, client_retry\n"
        assert eventually(lambda: what in hand.said(1))
        hand.file.write_text(before.replace('name = "orders"', 'name = "others"'))
        assert eventually(lambda: "not taken over" in hand.said(1))
        assert alice.get("x", timeout=PATIENCE) == "1"


def test_a_key_that_is_added_later_is_let_in(hand: ByHand, tmp_path: Path) -> None:
    """A client that was refused gets in when the nodes learn of his key, without connecting anew."""
    before = hand.file.read_text(encoding="utf-8")
    with_dave = before + '[client.dave]\nrole = "write"\n'
    (tmp_path / "dave").mkdir()
    file = tmp_path / "dave" / "cluster.toml"
    file.write_text(with_dave, encoding="utf-8")
    q.keygen(file)
    with q.connect(file, key=tmp_path / "dave" / "keys" / "dave.key") as r:
        assert not any(n.up for n in r.status().nodes)
        shutil.copy(file, hand.file)  # which the nodes find by themselves
        assert eventually(lambda: any(n.up for n in r.status().nodes))
        r.put("x", "1", timeout=PATIENCE)


def test_a_node_with_a_stale_key_is_met_calmly(tmp_path: Path) -> None:
    """Whose file has another key for it try about once a second; with the right one it is back as ever."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    folder, other = tmp_path / "run", tmp_path / "other"
    folder.mkdir()
    hand = ByHand(folder)
    try:
        with hand.connect() as r:
            r.wait_leader(PATIENCE)
            hand.kill(3)
            shutil.copytree(folder, other)
            q.keygen(other / "cluster.toml", "n3")
            command = node_command("run", other / "cluster.toml", 3)
            hand.running[3] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            with q.connect(other / "cluster.toml", key=other / "keys" / "alice.key") as to_stale:
                assert eventually(lambda: to_stale.status().nodes[2].up)
                time.sleep(4)  # until the others have seen that it is none that is just starting
                before = to_stale.status().nodes[2].refused
                time.sleep(4)
                met = to_stale.status().nodes[2].refused - before
                assert 0 < met <= 16, met  # of two nodes and a client
            assert "n3, or is stopped" in hand.said(1) + hand.said(2)
            hand.kill(3)
            hand.start(3)
            began = time.monotonic()
            assert eventually(lambda: r.status().nodes[2].up and r.status().nodes[2].leader)
            assert time.monotonic() - began < PATIENCE / 2
    finally:
        hand.close()


def test_a_second_start_and_an_empty_folder_are_refused(hand: ByHand) -> None:
    """One process a data folder; no node begins over data, nor with nothing unless told that it is right."""
    ended = subprocess.run(node_command("run", hand.file, 1), capture_output=True, text=True, check=False)
    assert ended.returncode == 4
    assert "in use by another node or process" in ended.stderr
    hand.kill(1)
    data = hand.folder / "data" / "n1"
    before = sorted(data.iterdir())
    ended = subprocess.run(node_command("format", hand.file, 1), capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "already holds a store" in ended.stderr
    assert sorted(data.iterdir()) == before  # a mark left there would make the next start its first life
    shutil.rmtree(hand.folder / "data" / "n1")
    ended = subprocess.run(node_command("run", hand.file, 1), capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "holds no data of node 1" in ended.stderr
    assert "--lost-data" in ended.stderr


def test_a_node_that_lost_its_data_and_one_with_another_key_come_back(hand: ByHand) -> None:
    """Told of the loss it catches up, and then its vote counts; a new key counts once all have it."""
    with hand.connect() as r:
        r.put("x", "1", timeout=PATIENCE)
        hand.kill(1)
        shutil.rmtree(hand.folder / "data" / "n1")
        hand.start(1, "--lost-data")
        assert eventually(lambda: r.status().nodes[0].pid == hand.running[1].pid)
        assert eventually(lambda: r.status().nodes[0].role in ("follower", "leader"))
        hand.kill(2)
        r.put("x", "2", timeout=PATIENCE)
        assert q.keygen(hand.file, "n1")[0].name == "n1"
        assert eventually(lambda: "the node's own key has changed: restart it" in hand.said(1))
        assert eventually(lambda: "read again" in hand.said(3))
        assert hand.kill(1, signal.SIGTERM) == 0
        hand.start(1)
    with hand.connect() as r:
        r.put("x", "3", timeout=PATIENCE)
        assert r.get("x") == "3"


def test_damage_and_addresses_are_said(hand: ByHand) -> None:
    """A damaged file, an address that is taken, one of another host: which, why, what to do; exit code 4."""

    def run(node: int) -> str:
        command = node_command("run", hand.file, node)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert ended.returncode == 4
        return ended.stderr

    with hand.connect() as r:
        r.put("x", "1", timeout=PATIENCE)
        assert eventually(lambda: all(n.commit > 1 for n in r.status().nodes))
    hand.kill(1)
    hand.kill(2)
    root = hand.folder / "data" / "n1" / "root"
    sound = root.read_bytes()
    root.write_bytes(bytes(64) + sound[64:])
    assert re.search(r"data/n1: the head of root .* damaged; .*move it away: .*, with --lost-data", run(1))
    root.unlink()
    assert "data/n1: the file root is missing" in run(1)
    root.write_bytes(sound)
    text = hand.file.read_text(encoding="utf-8")
    port = re.findall(r"tcp://127.0.0.1:\d+", text)
    second = f'endpoint = "{port[1]}"'
    hand.file.write_text(text.replace(second, f'{second}\nbind = "{port[2]}"'))
    assert f"node 2 cannot listen on {port[2]}: Address already in use; another process has it" in run(2)
    elsewhere = 'bind = "tcp://192.0.2.1:7001"'
    hand.file.write_text(text.replace(second, f"{second}\n{elsewhere}"))
    assert "it is no address of this host: `bind` says where it listens" in run(2)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB, which is a node's log file and a half beside what it begins with."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def move_data(hand: ByHand, node: int, place: Path) -> None:
    """That node's folder, which is down, is there from now on."""
    data = hand.folder / "data" / f"n{node}"
    shutil.move(data, place)
    data.symlink_to(place / f"n{node}")


def ballast(place: Path) -> Path:
    """A file that takes all the room that is left there."""
    path = place / "ballast"
    with path.open("wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(1 << 16))
    return path


def test_a_full_disk_refuses_and_votes(hand: ByHand, small: Path) -> None:
    """A leader whose disk is full makes room for another and goes on voting; the status says why. It stands
    kill -9 and a start without any room, and takes part again by itself when the ballast goes. Whatever was
    acknowledged is there.
    """
    value = "x" * 32768
    with hand.connect() as r:
        leader = r.wait_leader(PATIENCE)
        hand.kill(leader)
        assert eventually(lambda: r.status().leader not in (0, leader))
        other = r.status().leader
        move_data(hand, leader, small)
        hand.start(leader)
        assert eventually(lambda: r.status().nodes[leader - 1].up)
        hand.kill(other)  # the quorum is now of the third and the one whose disk will be full
        third = 6 - leader - other
        weight = ballast(small)
        acknowledged = []
        with hand.connect() as writer, contextlib.suppress(q.OperatingError):
            for i in range(100):
                writer.put(f"k{i}", value, timeout=2.0)
                acknowledged.append(f"k{i}")
        assert 20 < len(acknowledged) < 100
        assert eventually(lambda: r.status().nodes[leader - 1].disk["full"])
        full = f"the disk of n{leader} is full ("
        assert full in r.status().headline
        assert full in r.status().nodes[leader - 1].warning
        with hand.connect() as writer, pytest.raises(q.OperatingError, match=re.escape(full)):
            writer.put("refused", "1", timeout=1.0)
        assert all(r.get(key, timeout=PATIENCE) == value for key in acknowledged)
        assert "its disk is full: it refuses proposals" in hand.said(leader)
        hand.kill(leader)
        hand.start(leader)  # without any room
        assert eventually(lambda: r.status().nodes[leader - 1].up and bool(r.status().leader))
        hand.start(other)
        assert eventually(lambda: r.status().leader in (other, third))
        for i in range(100, 140):
            r.put(f"k{i}", value, timeout=PATIENCE)
            acknowledged.append(f"k{i}")
        hand.kill(leader)
        hand.start(leader)
        assert eventually(lambda: r.status().nodes[leader - 1].up)
        weight.unlink()
        assert eventually(lambda: not r.status().nodes[leader - 1].disk["full"])
        r.put("last", "1", timeout=PATIENCE)
        assert eventually(lambda: len({n.commit for n in r.status().nodes}) == 1)
        assert all(r.get(key, timeout=PATIENCE) == value for key in acknowledged)
        assert hand.running[leader].poll() is None


def test_a_disk_without_room_for_the_beginning(hand: ByHand) -> None:
    """Nobody wrote anything wrong, so systemd is to try again: another code than that of a wrong file."""

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    hand.kill(1)
    shutil.rmtree(hand.folder / "data" / "n1")
    for verb, options in (("run", ["--lost-data"]), ("format", [])):
        command = node_command(verb, hand.file, 1, *options)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=no_room)
        assert ended.returncode == 4, verb
        assert "File too large" in ended.stderr


def test_keys_are_kept_secret(hand: ByHand) -> None:
    """A secret key is for its owner's eyes, and belongs to one node."""
    key = hand.folder / "keys" / "alice.key"
    assert os.stat(key).st_mode & 0o777 == 0o600
    assert key.read_text().split("secret = ")[1].strip() not in hand.file.read_text()
    key.chmod(0o644)
    with pytest.raises(q.DeniedError, match="others may read the secret key"):
        hand.connect()
    shutil.copy(hand.folder / "keys" / "n2.key", hand.folder / "keys" / "n1.key")
    hand.kill(1)
    ended = subprocess.run(node_command("run", hand.file, 1), capture_output=True, text=True, check=False)
    assert "is not that of node 1" in ended.stderr


BAD = [
    ("", r"\[cluster\] has no name"),
    ("[cluster]\nname = orders", r"line 2: the value makes no sense"),
    ('[cluster]\nname = "a b"', r"line 2: name 'a b' is at most"),
    ('[cluster]\nname = "a"\ndatta = "x"', r"line 3: \[cluster\] has no 'datta'; did you mean 'data'"),
    ('[cluster]\nname = "a"', r"there is no node"),
    ('[cluster]\nname = "a"\n[node.0]', r"line 3: \[node.0\]: nodes are numbered from 1"),
    ('[cluster]\nname = "a"\n[node.2]\nendpoint = "tcp://127.0.0.1:1"', r"\[node.1\] has no endpoint"),
    ('[cluster]\nname = "a"\n[node.1]\nendpoint = "udp://h:1"', r"line 4: endpoint 'udp://h:1' is no"),
    ('[cluster]\nname = "a"\n[node.1]\nendpoint = "tcp://10.0.0.1:70"', r"node 1 listens on .*without keys"),
    ('[cluster]\nname = "a"\n[options]\nelection_timeout = "x"', r"line 4: .*election_timeout"),
    ('[cluster]\nname = "a"\nprotocol = "rafd"', r"rafd"),
    ('[cluster]\nname = "a"\n[client.x]\nrole = "root"', r"line 4: role is"),
    ('[cluster]\nname = "a"\nname = "b"', r"line 3: this key was there before"),
    ('[cluster]\nname = "a"\n[node.1]\nkey = "short"', r"line 4: key is no public key"),
    ('[cluster]\nname = "a"\n[node.1]\nendpoint = "tcp://*:70"', r"line 4: .* and this as bind"),
    ('[cluster]\nname = "a"\nsessions = "many"', r"line 3: option 'sessions' takes an integer, not 'many'"),
]

# Options that are sound one by one, and do not fit.
UNFIT = [
    ('machine = "kw"', r"there is no state machine 'kw'; did you mean 'kv'"),
    ('quorum = "most"', r"quorum"),
    ('quorum = "weighted:3,1"', r"weight"),
    ('log = "loud"', r"loud"),
]


@pytest.mark.parametrize(("lines", "why"), UNFIT)
def test_check_finds_what_a_start_would_refuse(tmp_path: Path, lines: str, why: str) -> None:
    """``quorate-node check`` says of the whole file whether nodes will start with it."""
    file = tmp_path / "cluster.toml"
    text = '[cluster]\nname = "a"\n%s\n[node.1]\nendpoint = "tcp://127.0.0.1:70"\n'
    try:
        program = node_command("check", file, 1)[0]
    except q.QuorateError as error:
        pytest.skip(str(error))
    for given, code in ((lines, 2), ('machine = "kv"', 0)):
        file.write_text(text % given, encoding="utf-8")
        ended = subprocess.run([program, "check", file], capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        assert code == 0 or re.search(rf"cluster\.toml: .*{why}", ended.stderr), ended.stderr


@pytest.mark.parametrize(("text", "why"), BAD)
def test_bad_files(tmp_path: Path, text: str, why: str) -> None:
    """What is wrong with a cluster file is said with its name, its line and the reason."""
    file = tmp_path / "cluster.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(q.ParseError, match=rf"cluster\.toml: .*{why}"):
        q.connect(file)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(q.StorageError, match=r"the cluster file .*cluster\.toml cannot be read"):
        q.connect(tmp_path / "cluster.toml")


def test_what_is_read_and_written_is_toml(tmp_path: Path) -> None:
    """What our reader takes, and what keygen makes of it, any TOML reader takes."""
    tomllib = pytest.importorskip("tomllib")
    corpus = Path(__file__).parents[1] / "fuzz" / "corpus" / "fuzz_hand_file"
    text = (corpus / "whole.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    assert read["cluster"]["sessions"] == 1000
    assert read["cluster"]["data"] == "/var/lib/quorate\u00e9"
    file = tmp_path / "cluster.toml"
    for line in range(len(text.splitlines())):
        kept = [t for i, t in enumerate(text.splitlines()) if i != line]
        file.write_text("\n".join(kept), encoding="utf-8")
        try:
            q.keygen(file)
        except q.ParseError:
            continue
        after = tomllib.loads(file.read_text(encoding="utf-8"))
        assert after["node"]["1"]["endpoint"] == read["node"]["1"]["endpoint"]
        assert len(after["node"]["1"]["key"]) == len(after["client"]["alice"]["key"]) == 40


def test_over_namespaces() -> None:
    """Three nodes with an address each; the leader's cable is cut. Where namespaces may be made."""
    script = Path(__file__).parents[2] / "examples" / "namespaces.sh"
    program = Path(sys.executable).with_name("quorate")
    given = {**os.environ, "QUORATE": str(program)}
    if not program.exists() or not shutil.which("ip"):
        pytest.skip("no ip (iproute2), or the package is not installed")
    told = ["bash", str(script)]
    done = subprocess.run(told, env=given, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "all stopped" in done.stdout
    assert "\n2\n" in done.stdout


def test_command_line(hand: ByHand) -> None:
    """The same from a shell: what is printed, and the exit codes."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command, *rest = words
        line = [sys.executable, "-m", "quorate", command, "--config", str(hand.file), *rest]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    alice = ("--key", str(hand.folder / "keys" / "alice.key"))
    carol = ("--key", str(hand.folder / "keys" / "carol.key"))
    assert run("put", *alice, "--timeout", "20", "x", "1").stdout == "ok\n"
    assert run("get", *carol, "x").stdout == "1\n"
    failed = run("cas", *alice, "x", "0", "2")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "quorate: not swapped: the value is 1\n"
    failed = run("cas", *alice, "z", "0", "2")
    assert (failed.returncode, failed.stderr) == (1, "quorate: not swapped: there is no value\n")
    failed = run("cas", *alice, "--json", "--absent", "x", "2")
    assert (failed.returncode, json.loads(failed.stdout)) == (1, {"swapped": False, "value": "1"})
    done = run("cas", *alice, "--absent", "y", "2")
    assert (done.returncode, done.stdout) == (0, "ok\n")
    for words in (("y", "3"), ("--absent", "y", "2", "3")):
        assert "cas wants KEY EXPECTED VALUE, or --absent KEY VALUE" in run("cas", *alice, *words).stderr
    refused = run("put", *carol, "x", "2")
    assert refused.returncode == 2
    assert "carol has the role read" in refused.stderr
    status = json.loads(run("status", *carol, "--json").stdout)
    assert status["headline"] == f"n{status['leader']} leads" and status["protocol"] == "raft"
    for wrong, why in (("{}", "has no 'do'"), ('[{"do": "heal"}]', "plan's file"), ("", "plan's file")):
        failed = run("fault", *alice, wrong)
        assert failed.returncode == 2 and why in failed.stderr
        assert 'a directive is JSON such as {"do": "pause", "node": 2}' in failed.stderr
    assert run("fault", *alice, '{"do": "pause", "node": 2}').returncode == 0
    assert "pause" in run("trace", *alice, "--id", "2", "--last", "5").stdout
    events = json.loads(run("trace", *alice, "--id", "2", "--last", "5", "--json").stdout)["events"]
    assert len(events) == 5 and {e["node"] for e in events} <= {1, 2, 3}
    none = run("trace", *alice, "--id", "2", "--last", "0")
    assert none.returncode == 2 and "counted from 1: ask for between 1 and 2000" in none.stderr
    assert run("keygen").stdout == "everyone in the file has a key\n"
    assert json.loads(run("keygen", "--json").stdout) == {"keys": []}
    assert run("stop", *alice, "--id", "3").returncode == 0
    assert hand.running.pop(3).wait(PATIENCE) == 0
