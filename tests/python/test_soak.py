"""The soaks, in short; `quorate soak --rounds 100` and `quorate soak --growth` are the long forms."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import quorate as q
from quorate.cli import main
from quorate.growth import SPARE, Amounts, Growth, growth
from quorate.soak import PATIENCE, _write, soak
from quorate.trouble import FAULTS, choose_faults, trouble


def live() -> None:
    """Skips where the build has no live runtime."""
    try:
        q.Cluster(runtime="live", transport="tcp").close()
    except q.UnsupportedError as error:
        pytest.skip(str(error))


def test_a_short_soak_with_everything_mixed():
    """Kills and every other fault at once; every acknowledged write is there."""
    live()
    done = soak(6, nodes=3, clients=4)
    assert done.ok, str(done)
    assert done.kills == 9 and done.load.ok > 100 and done.faults == FAULTS
    assert 0 < done.memory < done.memory_budget
    assert "every acknowledged write is there" in str(done)


OTHERS = [(str(p["name"]), {}) for p in q.protocols() if p["name"] not in ("raft", "null")]
FORMS = [("2pc", {"form": form}) for form in ("presumed-nothing", "participant-initiated", "presumed-commit")]
MODES = [("primary-backup", {"mode": mode}) for mode in ("semi-sync", "async")]


SYNCHRONOUS = {"3pc": ("kill", "duplicate", "skew")}  # the others of its kind stand kills only


@pytest.mark.parametrize(("protocol", "options"), [*OTHERS, *FORMS, *MODES])
def test_every_protocol_has_its_soak(protocol: str, options: dict[str, str], tmp_path: Path):
    """With all the faults that its model has room for, and no others: nothing is violated, answers come again
    after each round, and what was captured replays.
    """
    live()
    done = soak(3, protocol=protocol, nodes=3, clients=3, capture=str(tmp_path / "run"), **options)
    assert done.ok, str(done)
    model = q.fault_model(protocol)
    assert done.kills == (3 if model["synchrony"] else 4) and len(done.outages) == 3
    others = tuple(fault for fault in FAULTS if fault != "damage")  # which raft alone stands
    assert done.faults == (SYNCHRONOUS.get(protocol, ("kill",)) if model["synchrony"] else others)
    assert done.load.ok >= 9 and done.result.counts["crashes"] == done.kills
    safe = protocol == "primary-backup" and not options  # which has writes, answered when they are safe
    assert ("every acknowledged write is there" in str(done)) == safe
    assert f"\n{protocol}: 3 rounds of {', '.join(done.faults)}: " in str(done)


def test_a_soak_stays_inside_the_model():
    """A fault that the protocol does not stand is refused with its assumption; so is what is no protocol."""
    assert choose_faults(None, "3pc") == SYNCHRONOUS["3pc"] and choose_faults(None) == FAULTS
    for fault in ("loss", "delay", "bandwidth", "reorder"):
        with pytest.raises(q.RangeError, match=rf"3pc does not stand the fault '{fault}'.*it stands kill"):
            soak(1, protocol="3pc", faults=["kill", fault])
    with pytest.raises(q.NotFoundError, match="did you mean 'raft'"):
        soak(1, protocol="ralf")
    for wrong, why in (
        ({"rounds": 0}, "a soak takes at least 1 rounds, not 0"),
        ({"nodes": 1}, "a soak takes at least 2 nodes, not 1"),
        ({"faults": []}, "a soak takes at least one fault; it has kill, pause"),
    ):
        with pytest.raises(q.RangeError, match=why):
            soak(**{"rounds": 1, **wrong})
    with pytest.raises(q.RangeError, match="growth takes at least 1 rounds, not 0"):
        growth(0)


def test_the_soak_of_the_command_line(capfd: pytest.CaptureFixture[str]):
    """It hands the protocol and the cluster's options on, and says what is wrong with them."""
    live()
    command = ["soak", "--rounds", "1", "--nodes", "3", "--clients", "2", "--protocol", "ring", "--json"]
    assert main([*command, "--option", "arrangement=descending"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["protocol"] == "ring" and data["faults"] == ["kill"] and data["kills"] == 1
    wrongs = {
        "arrangement": "takes NAME=VALUE",
        "arangement=x": "did you mean 'arrangement'",
        "nodes=3": "say --nodes instead of 'nodes=3'",
    }
    for wrong, why in wrongs.items():
        assert main([*command, "--option", wrong]) == 2
        assert why in capfd.readouterr().err


def test_the_faults_of_a_soak_are_chosen():
    """Without kills nothing is killed; a fault that there is not is refused by its name."""
    live()
    done = soak(4, faults=["loss", "pause"], nodes=3, clients=2, seed=3)
    assert done.ok and done.kills == 0
    assert done.result.counts["crashes"] == 0 and done.result.counts["corrupted"] == 0
    with pytest.raises(q.RangeError, match=r"has no fault 'rain'; it has kill, .*, bandwidth, skew"):
        choose_faults("kill,rain")


def test_what_a_round_does_follows_from_the_seed():
    """The same seed, the same plans; over many rounds every fault occurs, and every one ends."""
    plans = [[trouble(random.Random(seed), [1, 2, 3], FAULTS) for seed in range(40)] for _ in range(2)]
    assert [plan.to_json() for plan in plans[0]] == [plan.to_json() for plan in plans[1]]
    text = "".join(plan.to_json() for plan in plans[0])
    shown = {"cut": "partition", "damage": "crash"}
    verbs = [shown.get(fault, fault) for fault in FAULTS if fault != "kill"]
    assert all(f'"do": "{verb}"' in text for verb in verbs)
    for plan in plans[0]:
        assert plan.to_json().count('"do"') == plan.to_json().count('"for"')


def test_a_write_of_which_nobody_knows_is_sent_again():
    """A client's session may be lost with a switch-over where answers come early; not for longer than its
    patience lasts, in which a cluster that keeps its word would have answered.
    """
    clock = SimpleNamespace(now=0.0)
    steps = _write(clock, None, "k")
    next(steps)
    assert callable(steps.throw(q.UnknownOutcome("the operation was sent but not answered")))
    with pytest.raises(StopIteration):
        steps.send(None)
    steps = _write(clock, None, "k")
    next(steps)
    clock.now = PATIENCE
    with pytest.raises(q.UnknownOutcome):
        steps.throw(q.UnknownOutcome("the operation was sent but not answered"))


def test_growth_in_short():
    """Over a few rounds of churn neither descriptors nor threads nor memory grow, in the owner or a node."""
    live()
    done = growth(6, nodes=3)
    assert done.ok, str(done)
    assert [name for name, _, _ in done.parts] == ["owner", "n3", "clusters opened and closed"]
    assert "6 rounds: nothing grows" in str(done)


def test_growth_is_seen():
    """One descriptor, one thread, or more memory than an allocator keeps."""
    middle = Amounts(10, 4, 100 << 20)
    grown = (Amounts(11, 4, 100 << 20), Amounts(10, 5, 100 << 20), Amounts(10, 4, (100 << 20) + SPARE + 1))
    for end in grown:
        done = Growth(2, (("owner", middle, end),))
        assert not done.ok and "GROWN: owner" in str(done)
    assert Growth(2, (("owner", middle, Amounts(9, 4, (100 << 20) + SPARE)),)).ok


def test_what_a_soak_disturbs_is_disturbed(tmp_path: Path):
    """Messages that are late, overtaken and doubled, a link short of bandwidth and a wrong clock: each is
    carried out, nothing is lost, and the capture replays.
    """
    live()
    faults = ["delay", "reorder", "duplicate", "bandwidth", "skew"]
    done = soak(4, faults=faults, nodes=3, clients=3, seed=2, capture=str(tmp_path / "run"))
    assert done.ok, str(done)
    counts = done.result.counts
    assert done.kills == 0 and counts["duplicated"] > 0 and counts["reordered"] > 0
    plans = random.Random(2)
    drawn = "".join(trouble(plans, [1, 2, 3], faults).to_json() for _ in range(4))
    assert counts["faults"] == 2 * drawn.count('"do"')  # each begins and ends
    assert f"{counts['duplicated']} duplicated, {counts['reordered']} reordered" in str(done)
