"""Damaged logs: a member takes what it lost from its peers, in every runtime; a single node halts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest
import quorate as q
from quorate._ffi import lib
from quorate.remote import node_command
from test_by_hand import PATIENCE, ByHand, eventually
from test_capture import live, quorate, whole

SECTOR = 512
START, DAMAGED = lib.QRT_KIND_START, lib.QRT_START_DAMAGED


def damage(folder: Path, place: float = 0.5) -> str:
    """Flips bytes in the middle of what the node's log holds; the file's name."""
    path = sorted(folder.glob("wal-*"))[0]
    content = bytearray(path.read_bytes())
    used = [at for at in range(SECTOR, len(content), SECTOR) if any(content[at : at + SECTOR])]
    at = used[int(len(used) * place)] + 100
    content[at : at + 8] = bytes(byte ^ 0x55 for byte in content[at : at + 8])
    path.write_bytes(content)
    return path.name


def test_a_simulated_member_says_what_it_takes_from_its_peers() -> None:
    with q.Cluster("raft", nodes=3, seed=1) as c:
        c.load(clients=4, operations=400)
        for node in (1, 2):
            c.crash(node, disk="damaged")
        c.restart("all")
        warning = c.status().nodes[0].warning
        assert warning.startswith("damaged: wal-") and " in the record of index " in warning
        assert "; records of index " in warning and warning.endswith(" are taken from the peers")
        assert warning in str(c.status())
        c.run(5)
        said = str(c.status())
        assert "2 of them lost their data and may not vote yet, 2 are needed; n1 is damaged: wal-" in said
    with q.Cluster("raft", nodes=3, seed=1) as c:
        c.load(clients=4, operations=400)
        c.crash(1, disk="damaged")
        c.restart(1)
        assert c.status().nodes[0].role == "recovering"
        c.run(1)
        assert not c.status().nodes[0].warning and c.status().nodes[0].role != "recovering"
        assert c.check().ok


def test_scripts_hear_that_their_store_is_damaged() -> None:
    """A script whose fault model stands a lost disk starts with what is sound; others stay down, named."""

    class Keeper(q.Node):
        fault_model: ClassVar = {"crash_wipes": True}

        def on_start(self):
            self.state = [self.how, self.stored]

        def on_propose(self, value, ticket):
            self.persist({"value": value})
            self.reply(ticket, json.dumps(self.state))

    class Plain(Keeper):
        fault_model: ClassVar = {"crash_wipes": False}

    for script, stands in ((Keeper, True), (Plain, False)):
        with q.Cluster(script, nodes=3, seed=3) as c:
            for value in range(30):
                c.propose(str(value), node=1)
            c.crash(1, disk="damaged")
            c.restart(1)
            if stands:
                how, stored = json.loads(c.propose("a", node=1).answer)
                assert how == "damaged" and (stored is None or int(stored["value"]) < 29)
                c.restart(1)
            else:
                assert "Plain does not stand a lost disk; put back" in c.status().nodes[0].why_down


def test_campaigns_draw_damage_when_asked(tmp_path: Path) -> None:
    result = q.campaign("raft", 40, damage=True)
    assert not result.violations and not result.stuck
    assert result.hash != q.campaign("raft", 40).hash
    with pytest.raises(q.RangeError, match="paxos does not stand a lost disk"):
        q.campaign("paxos", 10, damage=True)
    ended = quorate("campaign", "--seeds", 20, "--damage", "--json", "--save", tmp_path)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_live_members_catch_up(tmp_path: Path, transport: str) -> None:
    """By a plan, and by bytes that change in the folder; every acknowledged write is there; it replays."""
    data, folder = tmp_path / "data", tmp_path / "capture"
    try:
        made = live(folder, transport, disk="folder", data=str(data))
    except q.UnsupportedError as error:
        pytest.skip(str(error))
    with made as c:
        kv = c.client()
        for i in range(20):
            kv.put(f"a{i}", str(i))
        c.crash(1, disk="damaged")
        c.restart(1)
        assert eventually(lambda: c.status().nodes[0].role in ("follower", "leader"))
        for i in range(20):
            kv.put(f"b{i}", str(i))
        c.crash(2)
        name = damage(data / "n2")
        c.restart(2)
        assert eventually(lambda: c.status().nodes[1].role in ("follower", "leader"))
        assert [path.name for path in (data / "n2").glob("damaged-*")] == [name.replace("wal", "damaged")]
        c.crash(3)  # so that what the two others hold is needed
        for i in range(20):
            assert kv.get(f"a{i}") == str(i) and kv.get(f"b{i}") == str(i)
        result = c.check()
        assert result.ok, str(result)
        columns = (c.trace.column(name) for name in ("kind", "detail", "node"))
        damaged = [node for kind, how, node in zip(*columns, strict=True) if (kind, how) == (START, DAMAGED)]
        assert damaged[-1] == 2 and set(damaged) <= {1, 2}
    whole(folder, 5, 80)


def test_by_hand(tmp_path: Path) -> None:
    """It starts without any flag, and says what it lost until it has caught up; then its word counts."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    hand = ByHand(tmp_path)
    try:
        with hand.connect() as r:
            for i in range(30):
                r.put(f"k{i}", str(i), timeout=PATIENCE)
            assert eventually(lambda: len({n.applied for n in r.status().nodes}) == 1)
            hand.kill(1)
            hand.kill(2)
            name = damage(hand.folder / "data" / "n1")
            hand.start(1)
            assert eventually(lambda: f"damaged: {name} is damaged at" in r.status().nodes[0].warning)
            assert eventually(lambda: "may not vote yet, 2 are needed; n1 is damaged: " in str(r.status()))
            hand.start(2)
            assert eventually(lambda: r.status().nodes[0].role in ("follower", "leader"))
            assert not r.status().nodes[0].warning
            hand.kill(3)
            assert all(r.get(f"k{i}", timeout=PATIENCE) == str(i) for i in range(30))
        said = hand.said(1)
        assert f"its data is damaged: {name} is damaged at offset" in said
        assert "are taken from the peers" in said
    finally:
        hand.close()


def test_a_single_node_by_hand_halts(tmp_path: Path) -> None:
    """It has no peers: the record is named, nothing is changed, and a sound copy starts."""
    try:
        node_command("run", "x", 1)
    except q.QuorateError as error:
        pytest.skip(str(error))
    hand = ByHand(tmp_path, nodes=1)
    try:
        with hand.connect() as r:
            for i in range(20):
                r.put(f"k{i}", str(i), timeout=PATIENCE)
        hand.kill(1)
        folder = tmp_path / "data" / "n1"
        path = sorted(folder.glob("wal-*"))[0]
        sound = path.read_bytes()
        damage(folder)
        damaged = path.read_bytes()
        command = node_command("run", hand.file, 1)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert ended.returncode == 4
        assert f"data/n1: {path.name} is damaged at offset" in ended.stderr
        assert "in the record of index" in ended.stderr and "--lost-data" not in ended.stderr
        assert "a single node has no peers to take it from; put back an undamaged copy" in ended.stderr
        assert path.read_bytes() == damaged
        path.write_bytes(sound)
        hand.start(1)
        with hand.connect() as r:
            assert all(r.get(f"k{i}", timeout=PATIENCE) == str(i) for i in range(20))
    finally:
        hand.close()
