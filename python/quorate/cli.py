"""The command line ``quorate``: what it takes, and where each command is carried out.

Exit codes, the same for every command:

====  =========================================================================================
0     everything is ok
1     a property is violated, a seed is stuck, the demo's text did not come back whole; a `cas` failed
2     the command line, an option or a file is wrong
3     the verdict is unknown: a budget was spent, or a large campaign never exercised something
4     the cluster or a script could not do it (no leader, an exception)
130   interrupted
====  =========================================================================================

With ``--json`` one object is written to standard output, and nothing else; everything for people goes to
standard error.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence

from quorate import catalogue, cli_commands, cli_hand, cli_run, cli_scripts
from quorate.errors import DataError, QuorateError, UsageError
from quorate.trouble import FAULTS

Command = Callable[[argparse.Namespace], int]

OK, VIOLATED, USAGE, UNKNOWN, FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130

_CODES = "exit codes: 0 ok, 1 violated, 2 usage, 3 unknown, 4 could not be done, 130 interrupted"


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="quorate",
        description="Build a cluster out of fault-tolerance protocols, break it on purpose, get a verdict.",
        epilog=_CODES,
    )
    top.add_argument("--version", action="version", version=f"quorate {catalogue.version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", epilog=_CODES
        )
        sub.add_argument(
            "--json", action="store_true", help="one JSON object on standard output, nothing else"
        )
        sub.set_defaults(run=run)
        return sub

    _add_runs(add)
    _add_judges(add)
    _add_lists(add)
    cli_hand.add_commands(add)
    return top


Add = Callable[[str, Command, str], argparse.ArgumentParser]


def _add_runs(add: Add) -> None:
    demo = add(
        "demo", cli_run.demo, "load a text into a replicated store while leaders crash and links break"
    )
    demo.add_argument("--nodes", type=int, default=5, help="members of the cluster (default: 5)")
    demo.add_argument(
        "--clients", type=int, default=6, help="clients that write at the same time (default: 6)"
    )
    demo.add_argument("--seed", type=int, default=7, help="of everything random (default: 7)")
    demo.add_argument(
        "--transport",
        choices=("inproc", "ipc", "tcp"),
        help="live, in real time: a thread a node, or a process a node (default: simulated)",
    )
    demo.add_argument("--text", metavar="FILE", help="the text to load (default: the project's own licence)")
    demo.add_argument("--picture", metavar="FILE", help="write the space-time diagram of an election as SVG")
    soak = add("soak", cli_run.soak, "kill and disturb live processes under load, again and again")
    soak.add_argument("--rounds", metavar="R", type=int, default=100, help="how many (default: 100)")
    soak.add_argument(
        "--protocol", metavar="P", default="raft", help="see `quorate protocols` (default: raft)"
    )
    soak.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="of the cluster, see `quorate options P`; repeatable",
    )
    soak.add_argument("--transport", choices=("ipc", "tcp"), default="tcp", help="default: tcp")
    soak.add_argument("--nodes", metavar="N", type=int, default=5, help="processes (default: 5)")
    soak.add_argument("--clients", metavar="C", type=int, default=8, help="that load it (default: 8)")
    soak.add_argument("--seed", metavar="S", type=int, default=1, help="of who is killed (default: 1)")
    soak.add_argument("--capture", metavar="DIR", help="capture what the nodes do there, and replay it")
    soak.add_argument(
        "--faults",
        metavar="LIST",
        help=f"of {','.join(FAULTS)}, with commas between them (default: all that the protocol stands)",
    )
    soak.add_argument(
        "--growth",
        action="store_true",
        help="instead: count descriptors, threads and memory over so many rounds of churn",
    )
    run = add("run", cli_run.run, "run a Python or Lua script")
    run.add_argument("script", metavar="SCRIPT", help="a file that ends in .py or .lua")
    run.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="handed to the script")


def _add_judges(add: Add) -> None:
    campaign = add("campaign", cli_commands.campaign, "run many seeds, each broken and judged")
    campaign.add_argument(
        "--protocol", metavar="P", default="raft", help="see `quorate protocols` (default: raft)"
    )
    campaign.add_argument("--nodes", metavar="N", type=int, help="members (default: drawn from 3 to 7)")
    campaign.add_argument(
        "--seeds", metavar="K", type=int, default=1000, help="how many seeds (default: 1000)"
    )
    campaign.add_argument("--first", metavar="S", type=int, default=1, help="the first seed (default: 1)")
    campaign.add_argument("--bug", metavar="B", help="switch on a published mistake; see `quorate bugs`")
    campaign.add_argument("--plan", metavar="F", help="a plan of faults (JSON) instead of drawn ones")
    campaign.add_argument("--jobs", metavar="J", type=int, help="threads (default: all cores)")
    campaign.add_argument("--events", metavar="E", type=int, help="events a seed at least (default: 10000)")
    campaign.add_argument(
        "--outside", action="store_true", help="draw faults beyond the protocol's fault model"
    )
    campaign.add_argument(
        "--damage", action="store_true", help="draw damaged disks too, where the model stands a lost one"
    )
    campaign.add_argument("--save", metavar="DIR", default=".", help="where failing runs go (default: here)")
    replay = add("replay", cli_commands.replay, "run a failing run's file, or a captured run, again")
    replay.add_argument("file", metavar="FILE", help="written by a campaign; or a capture's folder")
    replay.add_argument("--bug", metavar="B", help="of a capture: switch on a mistake and see what differs")
    replay.add_argument("--last", metavar="K", type=int, help="of a capture: print its last K events first")
    replay.add_argument("--id", metavar="N", type=int, help="with --last: those of node N only")
    replay.add_argument(
        "--picture", metavar="FILE", help="write the space-time diagram of what is violated or differs as SVG"
    )
    shrink = add("shrink", cli_commands.shrink, "make a failing run's plan of faults small")
    shrink.add_argument("file", metavar="FILE", help="written by a campaign")
    shrink.add_argument("--out", metavar="FILE", help="where the smaller run goes (default: beside it)")
    check = add("check", cli_commands.check, "judge the linearizability of histories")
    check.add_argument("histories", metavar="HISTORY", nargs="+", help="etcd's Jepsen log, EDN or JSON")
    check.add_argument(
        "--model", metavar="M", default="cas-register", help="cas-register, append-kv, kv, ..."
    )
    check.add_argument("--initial", metavar="V", default="nil", help="the first value (default: nil)")
    check.add_argument(
        "--seconds", type=float, default=60.0, help="of the processor, a history at most (default: 60)"
    )
    check.add_argument("--memory", type=int, default=0, help="budget in bytes (default: 256 MiB)")
    compare = add("compare", cli_commands.compare, "what protocols cost, side by side")
    compare.add_argument("protocols", metavar="P", nargs="+", help="see `quorate protocols`")
    compare.add_argument("--nodes", metavar="N", type=int, default=5, help="members (default: 5)")
    compare.add_argument("--seed", metavar="S", type=int, default=1, help="of everything random (default: 1)")
    compare.add_argument("--clients", metavar="C", type=int, default=4, help="default: 4")
    compare.add_argument("--operations", metavar="K", type=int, default=400, help="altogether (default: 400)")
    compare.add_argument("--plan", metavar="F", help="a plan of faults (JSON; default: none)")
    bench = add("bench", cli_commands.bench, "measure the library against bare loops that it carries along")
    known = "sim, paxos, store, checkpoint, live, large, failover, place, detect, or one result's name"
    bench.add_argument("name", metavar="NAME", nargs="?", default="sim", help=known)


def _add_lists(add: Add) -> None:
    add("protocols", cli_commands.protocols, "list the protocols")
    options = add("options", cli_commands.options, "list the options of a protocol's clusters")
    options.add_argument("protocol", metavar="P", nargs="?", default="raft", help="default: raft")
    bugs = add("bugs", cli_scripts.bugs, "list the published mistakes that can be switched on, or prove them")
    bugs.add_argument("protocol", metavar="P", nargs="?", help="of one protocol, or museum (default: of all)")
    bugs.add_argument("--prove", action="store_true", help="run each until its property fires")
    bugs.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="prove that one; repeatable"
    )
    bugs.add_argument("--seeds", metavar="K", type=int, default=1000, help="at most (default: 1000)")
    bugs.add_argument("--jobs", metavar="J", type=int, help="threads of a campaign (default: all cores)")
    grade = add("grade", cli_scripts.grade, "grade a protocol written as a Python class: points a property")
    grade.add_argument("file", metavar="FILE", help="the Python file; FILE:CLASS where it has several")
    grade.add_argument("--seeds", metavar="K", type=int, default=400, help="how many seeds (default: 400)")
    grade.add_argument("--secret", metavar="TEXT", help="draw the seeds from this, and do not name them")
    grade.add_argument("--nodes", metavar="N", type=int, help="members (default: drawn from 3 to 7)")
    grade.add_argument(
        "--events", metavar="E", type=int, default=10000, help="a seed at least (default: 10000)"
    )
    twice = add(
        "twice", cli_scripts.twice, "run a seed of a Python class twice in fresh processes, and compare"
    )
    twice.add_argument("file", metavar="FILE", help="the Python file; FILE:CLASS where it has several")
    twice.add_argument("--seed", metavar="S", type=int, default=1, help="default: 1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out one command line; its exit code."""
    try:
        given = parser().parse_args(arguments)
        code: int = given.run(given)
        if sys.stdout is not None:  # None: it was closed before we began
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("quorate: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not fail once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (UsageError, DataError, UnicodeDecodeError) as error:
        print(f"quorate: {error}", file=sys.stderr)
        return USAGE
    except QuorateError as error:
        print(f"quorate: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"quorate: {name}{error.strerror or error}", file=sys.stderr)
        return FAILED if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else USAGE


if __name__ == "__main__":
    sys.exit(main())
