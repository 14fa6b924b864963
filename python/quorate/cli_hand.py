"""The commands for nodes started by hand: keygen, format, node; and, as a client: status, put, get, append,
cas, fault, trace, stop.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from quorate._json import read
from quorate.cli_commands import show, tell
from quorate.errors import ArgumentError, ParseError, QuorateError
from quorate.plan import Plan
from quorate.remote import Remote, connect, keygen, node_command

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


NOT_DONE = 1  # a comparison that failed
SUCH = 'a directive is JSON such as {"do": "pause", "node": 2}'

# --- keys and nodes ---


def make_keys(arguments: argparse.Namespace) -> int:
    """Makes the missing keys, or a new one."""
    made = keygen(arguments.config, arguments.name)
    lines = [f"{key.name}: {key.public}, its secret in {key.file}" for key in made]
    text = "\n".join(lines) or "everyone in the file has a key"
    show(arguments, {"keys": [asdict(key) for key in made]}, text)
    return 0


def format_node(arguments: argparse.Namespace) -> int:
    """Formats a node's data folder."""
    command = node_command("format", arguments.config, arguments.id)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.returncode:
        show(arguments, {"ok": True}, done.stdout.rstrip())
    return done.returncode


def run_node(arguments: argparse.Namespace) -> int:
    """Becomes the node: this process is replaced by quorate-node."""
    options = ["--lost-data"] if arguments.lost_data else []
    if arguments.key:
        options += ["--key", arguments.key]
    command = node_command("run", arguments.config, arguments.id, *options)
    os.execv(command[0], list(command))


# --- clients ---


def _with(ask: Callable[[Remote, argparse.Namespace], tuple[Any, Any]]) -> Command:
    """A command of a client: connects, asks, shows (data, text). What was not done exits with 1."""

    def run(arguments: argparse.Namespace) -> int:
        with connect(arguments.config, arguments.key) as remote:
            data, text = ask(remote, arguments)
            done = not isinstance(data, dict) or data.get("swapped", True)
            if done or arguments.json:
                show(arguments, data, text)
            else:
                tell(f"quorate: {text}")
        return 0 if done else NOT_DONE

    return run


def _status(remote: Remote, _: argparse.Namespace) -> tuple[Any, Any]:
    status = remote.status()
    told = ("protocol", "headline", "leader", "reason")
    data = {name: getattr(status, name) for name in told}
    return {**data, "nodes": [asdict(n) for n in status.nodes]}, str(status)


def _get(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    value = remote.get(arguments.key_name, arguments.timeout)
    return {"value": value}, "(nothing)" if value is None else value


def _put(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    remote.put(arguments.key_name, arguments.value, arguments.timeout)
    return {"ok": True}, "ok"


def _append(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    size = remote.append(arguments.key_name, arguments.value, arguments.timeout)
    return {"size": size}, f"{size} bytes"


def _cas(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    if arguments.absent == (arguments.expected is not None):
        raise ArgumentError("cas wants KEY EXPECTED VALUE, or --absent KEY VALUE")
    if remote.cas(arguments.key_name, arguments.expected, arguments.value, arguments.timeout):
        return {"swapped": True}, "ok"
    try:  # after the comparison, and so perhaps not what it met
        value = remote.get(arguments.key_name, arguments.timeout)
    except QuorateError as error:
        return {"swapped": False}, f"not swapped: the value is another; what it is was not told: {error}"
    now = "there is no value" if value is None else f"the value is {value}"
    return {"swapped": False, "value": value}, f"not swapped: {now}"


def _directive(text: str) -> tuple[Any, dict[str, Any]]:
    try:
        fields: dict[str, Any] = read(text)
    except ParseError as error:
        raise ArgumentError(f"{SUCH}: {error}") from error
    if "do" not in fields:
        raise ArgumentError(f"{SUCH}: this has no 'do'; a plan of several is given as a file")
    return fields.pop("do"), fields


def _fault(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    if arguments.plan.lstrip()[:1] in ("", "["):
        raise ArgumentError(f"{SUCH}, or PLAN names a plan's file, which may have several")
    if arguments.plan.lstrip().startswith("{"):
        verb, fields = _directive(arguments.plan)
        remote.fault(verb, **fields)
    else:
        remote.apply(Plan.load(arguments.plan))
    return {"ok": True}, "told"


def _trace(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    events = remote.last_events(arguments.id, arguments.last)
    return {"events": [asdict(e) for e in events]}, "\n".join(map(str, events))


def _stop(remote: Remote, arguments: argparse.Namespace) -> tuple[Any, Any]:
    remote.stop(arguments.id)
    return {"ok": True}, f"n{arguments.id} stops"


# --- what they take ---


def add_commands(add: Add) -> None:
    """Adds them to the command line's parser."""

    def config(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub = add(name, run, text)
        sub.add_argument("--config", metavar="FILE", default="cluster.toml", help="default: cluster.toml")
        return sub

    def client(name: str, ask: Callable[..., tuple[Any, Any]], text: str) -> argparse.ArgumentParser:
        sub = config(name, _with(ask), f"{text}, of nodes started by hand")
        sub.add_argument("--key", metavar="FILE", help="your secret key; see `quorate keygen`")
        return sub

    keys = config("keygen", make_keys, "make the keys that nodes and clients of a cluster file lack")
    keys.add_argument("name", metavar="NAME", nargs="?", help='make a new one for that one ("n2" is node 2)')
    first = config("format", format_node, "make a node's data folder, once, before its first start")
    node = config("node", run_node, "run a node of a cluster file, in the foreground")
    for sub in (first, node):
        sub.add_argument("--id", metavar="N", type=int, required=True, help="which node")
    node.add_argument("--key", metavar="FILE", help="its secret key (default: keys/nN.key beside the file)")
    node.add_argument("--lost-data", action="store_true", help="its data is gone: catch up before it votes")
    client("status", _status, "who leads and how the nodes stand")
    _add_operations(client)
    fault = client("fault", _fault, "break running nodes")
    fault.add_argument("plan", metavar="PLAN", help='{"do": "pause", "node": 2}, or a plan\'s file')
    trace = client("trace", _trace, "show the last events of a node")
    stop = client("stop", _stop, "end a node's process")
    for sub in (trace, stop):
        sub.add_argument("--id", metavar="N", type=int, required=True, help="which node")
    trace.add_argument("--last", metavar="K", type=int, default=50, help="how many events (default: 50)")


def _add_operations(client: Callable[..., argparse.ArgumentParser]) -> None:
    subs = {
        "get": client("get", _get, "read a key"),
        "put": client("put", _put, "set a key"),
        "append": client("append", _append, "append to a key's value"),
        "cas": client("cas", _cas, "set a key if it holds what is expected"),
    }
    for sub in subs.values():
        sub.add_argument("key_name", metavar="KEY")
        sub.add_argument("--timeout", metavar="S", type=float, help="seconds (default: the file's `timeout`)")
    subs["cas"].add_argument("expected", metavar="EXPECTED", nargs="?", help="what it holds now")
    subs["cas"].add_argument("--absent", action="store_true", help="the key has no value now")
    for name in ("put", "append", "cas"):
        subs[name].add_argument("value", metavar="VALUE")
