"""The museum of mistakes: each exhibit violates its own property, and what mends it holds on the same
seeds.
"""

import json
import subprocess
import sys

import pytest
import quorate as q
from quorate.museum import EXHIBITS, Exhibit
from quorate.prove import listed, prove

QUORATE = [sys.executable, "-m", "quorate"]


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda x: x.name)
def test_exhibit(exhibit: Exhibit):
    """Within 1,000 seeds (these need fewer), by the named property; the story is told."""
    [proof] = prove([exhibit.name], seeds=1000)
    assert proof.caught, proof
    assert proof.right in (None, 0)
    assert proof.first is not None and proof.first <= 1000
    assert len(exhibit.story) > 100


@pytest.mark.parametrize("exhibit", [x for x in EXHIBITS if x.right], ids=lambda x: x.name)
def test_what_mends_it_is_sound(exhibit: Exhibit):
    """On further seeds the right version violates nothing at all."""
    assert exhibit.right is not None
    grade = q.grade(exhibit.right, seeds=range(5001, 5011), properties=exhibit.judges, **exhibit.spec)
    assert grade.ok, str(grade)


def test_the_list_has_every_mistake():
    """Those of the protocols and those of the museum, by name."""
    names = {row["name"] for row in listed()}
    assert names == {row["name"] for row in q.bugs()} | {x.name for x in EXHIBITS}
    assert {row["protocol"] for row in listed("museum")} == {"museum"}


def test_prove_on_the_command_line():
    """One JSON object; the exit code tells whether all were caught."""
    command = [
        *QUORATE,
        "bugs",
        "--json",
        "--only",
        "late-heartbeat-truncates",
        "--only",
        "vote-smaller-value",
    ]
    done = subprocess.run([*command, "--jobs", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["caught"] and [p["verdict"] for p in data["proofs"]] == ["caught", "caught"]
    few = subprocess.run([*command, "--seeds", "1"], capture_output=True, text=True, check=False)
    assert few.returncode == 1
    assert json.loads(few.stdout)["proofs"][1]["verdict"] == "not caught"
    unknown = subprocess.run([*command, "--only", "nonsense"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "nonsense" in unknown.stderr
