"""The command line: its JSON, its exit codes, and that it says how to replay what failed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quorate.cli import main

LUA = Path(sys.prefix) / "lib" / "lua" / "5.4" / "quorate" / "core.so"


def quorate(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one command line."""
    command = [sys.executable, "-m", "quorate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def spoken(done: subprocess.CompletedProcess[str], code: int) -> dict:
    """The one object on standard output, after the exit code was looked at."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_demo(tmp_path):
    """The text comes back whole, the verdicts are ok, the picture is there; the same seed gives the same
    hash.
    """
    picture = tmp_path / "demo.svg"
    done = quorate("demo", "--json", "--picture", picture)
    data = spoken(done, 0)
    assert data["whole"] and set(data["verdicts"].values()) == {"ok"} and len(data["hash"]) == 16
    assert "leads" in done.stderr
    assert picture.read_text().lstrip().startswith("<svg")
    assert spoken(quorate("demo", "--json"), 0)["hash"] == data["hash"]
    text = tmp_path / "text"
    text.write_text("a\n\n b  c\t")
    said = quorate("demo", "--text", text, "--nodes", 3, "--clients", 2, "--seed", 1)
    assert said.returncode == 0 and "whole" in said.stdout and "linearizability" in said.stdout
    live = spoken(quorate("demo", "--json", "--text", text, "--nodes", 3, "--transport", "ipc"), 0)
    assert live["whole"] and set(live["verdicts"].values()) == {"ok"}


def test_run_python(tmp_path):
    """Prints go to standard error under --json; hash and verdicts are those of the last check."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, quorate as q\n"
        "print('hello', sys.argv[1:], __name__)\n"
        "with q.Cluster('raft', seed=3) as c:\n"
        "    c.propose('x')\n"
        "    result = c.check()\n"
        "print('hash', result.hash)\n"
    )
    done = quorate("run", "--json", script, "one", "--two")
    data = spoken(done, 0)
    assert "hello ['one', '--two'] __main__" in done.stderr and f"hash {data['hash']}" in done.stderr
    assert data["verdicts"]["election-safety"] == "ok"
    plain = quorate("run", script)
    assert plain.returncode == 0 and f"hash {data['hash']}" in plain.stdout


def test_run_without_check_or_with_a_failure(tmp_path):
    """A closed cluster's hash without verdicts; a violation, an exception, an exit code of its own."""
    script = tmp_path / "script.py"
    script.write_text("import quorate as q\nwith q.Cluster('raft') as c: c.run(1)\n")
    data = spoken(quorate("run", "--json", script), 0)
    assert len(data["hash"]) == 16 and data["verdicts"] == {}
    script.write_text("import quorate as q\nq.Cluster('raft').propose('x', node=2, timeout=0)\n")
    done = quorate("run", script)
    assert done.returncode == 4 and "Traceback" in done.stderr and "runpy" not in done.stderr
    script.write_text("import sys\nsys.exit(7)\n")
    assert quorate("run", script).returncode == 7
    script.write_text(
        "import quorate as q\n"
        "v = q.campaign('raft', seeds=60, bug='vote-before-sync').violations[0]\n"
        "print(q.replay(v.run).check().verdict)\n"
    )
    done = quorate("run", "--json", script)
    assert done.returncode == 1 and "violated" in json.loads(done.stdout)["verdicts"].values()
    assert quorate("run", tmp_path / "none.py").returncode == 2
    other = tmp_path / "script.txt"
    other.write_text("")
    assert quorate("run", other).returncode == 2


@pytest.mark.skipif(
    not LUA.exists() or not shutil.which("lua5.4"), reason="the Lua module is not installed here"
)
def test_run_lua_gives_the_hash_of_python(tmp_path):
    """The same script in two languages: the same hash."""
    lua, python = tmp_path / "s.lua", tmp_path / "s.py"
    lua.write_text(
        'local q = require "quorate"\n'
        'local c = q.cluster{protocol = "raft", nodes = 5, seed = 7}\n'
        'local old = c:wait_leader()\nc:propose("x = 1")\nc:crash(old)\nc:wait_leader()\nc:propose("x = 2")\n'
        "print(c:check())\n"
    )
    python.write_text(
        "import quorate as q\n"
        "c = q.Cluster('raft', nodes=5, seed=7)\n"
        "old = c.wait_leader()\nc.propose('x = 1')\nc.crash(old)\nc.wait_leader()\nc.propose('x = 2')\n"
        "print(c.check())\n"
    )
    assert spoken(quorate("run", "--json", lua), 0) == spoken(quorate("run", "--json", python), 0)
    lua.write_text("error('no')")
    assert quorate("run", lua).returncode == 4


def test_campaign_and_replay(tmp_path):
    """A failing seed is written and replayed by the command that is printed; a clean campaign ends with 0."""
    clean = spoken(quorate("campaign", "--seeds", 20, "--events", 2000, "--json", cwd=tmp_path), 0)
    assert clean["seeds"] == 20 and clean["violations"] == [] and clean["stuck"] == []
    names = {"seeds", "violations", "stuck", "properties", "sometimes", "events", "seconds", "hash"}
    assert names <= set(clean) and clean["events"] >= 20 * 2000
    done = quorate(
        "campaign", "--protocol", "raft", "--seeds", 60, "--bug", "vote-before-sync", "--json", cwd=tmp_path
    )
    data = spoken(done, 1)
    command = data["violations"][0]["replay"].split()
    assert f"replay it: {' '.join(command)}" in done.stderr
    picture = tmp_path / "violation.svg"
    again = quorate(*command[1:], "--json", "--picture", picture, cwd=tmp_path)
    verdicts = spoken(again, 1)["verdicts"]
    assert verdicts[data["violations"][0]["properties"][0]] == "violated"
    assert picture.read_text().lstrip().startswith("<svg")
    shrunk = quorate("shrink", command[2], cwd=tmp_path)
    assert shrunk.returncode == 0 and " directives, now " in shrunk.stdout, shrunk.stderr
    small = shrunk.stdout.splitlines()[-1].removeprefix("replay it: quorate replay ")
    assert small == command[2].replace(".run.json", ".small.run.json")
    assert spoken(quorate("replay", small, "--json", cwd=tmp_path), 1)["same"]
    run = json.loads((tmp_path / command[2]).read_text())
    run["hash"] = "0" * 16
    (tmp_path / "other.json").write_text(json.dumps(run))
    assert quorate("replay", "other.json", cwd=tmp_path).returncode in (2, 4)


def test_campaign_with_a_plan(tmp_path):
    """A plan of one's own instead of drawn faults."""
    plan = tmp_path / "plan.json"
    plan.write_text('{"directives": [{"every": 1, "do": "crash", "node": "leader", "for": "300ms"}]}')
    command = ("campaign", "--seeds", 5, "--plan", plan, "--nodes", 3, "--jobs", 1, "--json")
    data = spoken(quorate(*command, cwd=tmp_path), 0)
    assert data["sometimes"]["leader-crashed"] == 5 and data["sometimes"]["partition-dropped"] == 0
    plan.write_text("{")
    assert quorate("campaign", "--seeds", 5, "--plan", plan).returncode == 2


def test_check(tmp_path):
    """One history: its verdict; several: a list, and the worst verdict as the exit code."""
    good, bad = tmp_path / "good.edn", tmp_path / "bad.edn"
    good.write_text(
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n"
        "{:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 1}\n"
    )
    bad.write_text(good.read_text().replace(":read, :value 1", ":read, :value 2"))
    data = spoken(quorate("check", good, "--model", "cas-register", "--json"), 0)
    assert data["verdict"] == "ok" and data["prefix"] == 2 and data["seconds"] >= 0
    data = spoken(quorate("check", good, bad, "--model", "cas-register", "--initial", "nil", "--json"), 1)
    assert [entry["verdict"] for entry in data["files"]] == ["ok", "violated"]
    assert spoken(quorate("check", good, "--model", "cas-register(0)", "--json"), 0)["verdict"] == "ok"
    text = quorate("check", bad, "--model", "cas-register")
    assert text.returncode == 1 and "violated" in text.stdout
    bad.write_text("{:process")
    done = quorate("check", bad, "--model", "cas-register")
    assert done.returncode == 2 and "line 1" in done.stderr and "bad.edn" in done.stderr


LISTS = [(("protocols",), "protocols"), (("options", "raft"), "options"), (("bugs",), "bugs")]


@pytest.mark.parametrize(("arguments", "name"), LISTS)
def test_lists(arguments, name):
    """Names for people, data for programs."""
    rows = spoken(quorate(*arguments, "--json"), 0)[name]
    assert rows and all("name" in row for row in rows)
    assert rows[0]["name"] in quorate(*arguments).stdout


UNLOADED = {
    "class A(q.Node)\n    pass\n": r"file.py cannot be loaded: SyntaxError: .*line 1",
    "import sys\nx = 1 / 0\n": r"file.py cannot be loaded: ZeroDivisionError: .*\(line 2: x = 1 / 0\)",
    "raise SystemExit(3)\n": r"file.py cannot be loaded: SystemExit: 3",
    "x = 1\n": r"file.py has no class derived from quorate.Node",
}


@pytest.mark.parametrize("text", UNLOADED)
def test_a_file_that_cannot_be_graded(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One line, and exit code 2: it is the file that is wrong, and no property is violated."""
    (tmp_path / "file.py").write_text(text, encoding="utf-8")
    for command in ("grade", "twice"):
        assert main([command, str(tmp_path / "file.py")]) == 2
        said = capsys.readouterr().err
        assert re.search(UNLOADED[text], said) and said.count("\n") == 1, said


def test_what_there_is_not_is_said(capsys: pytest.CaptureFixture[str]):
    """A protocol without a list of mistakes because there is none; a demo without clients."""
    assert main(["bugs", "ralf"]) == 2 and "did you mean 'raft'" in capsys.readouterr().err
    assert main(["bugs", "museum"]) == main(["bugs", "raft"]) == 0
    assert main(["demo", "--clients", "0"]) == 2 and "at least 1 client, not 0" in capsys.readouterr().err


def test_options_show_what_may_be_chosen():
    """Behind the help of an option that is a choice."""
    printed = quorate("options", "2pc").stdout
    assert "how delays are distributed (constant, uniform, normal, exponential, pareto)" in printed
    assert "participant-initiated" in printed


def test_bench():
    """Name, value, unit, baseline, ratio."""
    (row,) = spoken(quorate("bench", "schedule/64", "--json"), 0)["results"]
    assert row["name"] == "schedule/64" and row["value"] > 0 and row["ratio"] > 0 and row["unit"]
    assert row["baseline"] > 0
    shown = quorate("bench", "schedule/64").stdout.splitlines()[1].split()
    assert all(re.fullmatch(r"\d{1,3}(,\d{3})+|\d*\.\d{1,4}|\d{1,3}", shown[i]) for i in (1, 3, 4)), shown


USAGE = [
    (),
    ("fly",),
    ("campaign", "--seeds", "many"),
    ("campaign", "--protocol", "ralf"),
    ("campaign", "--bug", "none-such"),
    ("campaign", "--nodes", "1000"),
    ("campaign", "--seeds", "0"),
    ("check", "/no/such/file"),
    ("replay", "/no/such/file"),
    ("options", "ralf"),
    ("bench", "none-such"),
    ("demo", "--nodes", "0"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_errors(arguments):
    """Exit code 2, one sentence, no traceback."""
    done = quorate(*arguments)
    assert done.returncode == 2 and done.stderr and "Traceback" not in done.stderr and not done.stdout
