"""Who may include whom: the layers of the core, as a table and a function that judges one file.

base <- wire, trace <- protocol, detect, ring, machine, fault, store, client <- runtime;
trace <- check; cluster joins runtime and check; abi sees everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath

L2 = ("protocol", "detect", "ring", "machine", "fault", "store", "client")
BELOW_L2 = frozenset({"base", "wire", "trace"})
RUNTIME = frozenset({"base", "wire", "trace", "runtime", *L2})

# For each folder of core/src, the folders it may include besides itself.
ALLOWED: dict[str, frozenset[str]] = {
    "base": frozenset(),
    "wire": frozenset({"base"}),
    "trace": frozenset({"base", "wire"}),
    **dict.fromkeys(L2, BELOW_L2),
    "runtime": RUNTIME,
    "check": frozenset({"base", "wire", "trace"}),
    # A cluster is a runtime with its checkers plugged in.
    "cluster": RUNTIME | {"check"},
    "abi": RUNTIME | {"check", "cluster"},
}

# Neighbours of the same level that one part needs, each with its reason.
NEIGHBOURS: dict[str, frozenset[str]] = {
    # A workload speaks the commands of the machine that it drives; a client reads who leads in a status.
    "client": frozenset({"machine", "protocol"}),
}

# The public header belongs to no layer: base gives its status codes and enums to all others.
PUBLIC = "quorate.h"

# A protocol is a pure function, so it may use the language's own headers and nothing of the system; and of
# these headers not what reaches outside.
LANGUAGE = ("inttypes", "limits", "stdalign", "stdarg", "stdbool", "stddef", "stdint", "stdlib", "string")
PURE_HEADERS = frozenset(f"{name}.h" for name in LANGUAGE)
IMPURE_CALL = re.compile(r"(?<![\w.>])(s?rand|random|getenv|secure_getenv|setenv|system|exit)\s*\(")
# Who else has no clock, socket, file or thread, though it may format text or take memory.
IMPURE = re.compile(
    r"(time|unistd|poll|fcntl|pthread|threads|netdb|signal|dirent|zmq|zmq_utils|sodium)\.h$"
    r"|(sys|arpa|netinet|net|sodium|nettle)/"
)
PURE_FOLDERS = frozenset({"wire", "trace", "protocol", "detect", "machine", "check"})

# Only these may use libm, for reports and models that no event depends on.
LIBM = frozenset({"core/src/detect/gmm.c", "core/src/check/report.c"})

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
# A file that ends in an interface table holds a protocol; one without is a pure part beside them.
TABLE = re.compile(r"^(?:static )?const struct protocol \w+ = \{", re.MULTILINE)


def includes(text: str) -> list[tuple[int, str, bool]]:
    """Every include of a file as (line, path, whether it is quoted)."""
    return [
        (text.count("\n", 0, match.start()) + 1, match[1] or match[2], match[1] is not None)
        for match in INCLUDE.finditer(text)
    ]


def protocol_of(path: str, protocols: frozenset[str]) -> str | None:
    """Which protocol a file below core/src/protocol belongs to; None for what they share.

    A folder protocol/raft/ is one protocol; of the files directly in protocol/, each belongs to the protocol
    whose name its own begins with (raft.c, raft_log.h).
    """
    parts = PurePosixPath(path).parts
    if len(parts) > 2:
        return parts[1]
    stem = PurePosixPath(path).stem
    owners = [name for name in protocols if stem == name or stem.startswith(name + "_")]
    return max(owners, key=len, default=None)


def find_protocols(files: dict[str, str]) -> frozenset[str]:
    """The names of the protocols among the sources, given as {path below core/src: text}."""
    names = set()
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        if parts[0] == "protocol":
            if len(parts) > 2:
                names.add(parts[1])
            elif path.endswith(".c") and TABLE.search(text):
                names.add(PurePosixPath(path).stem)
    return frozenset(names)


def judge_quoted(path: str, target: str, protocols: frozenset[str]) -> str | None:
    """What is wrong with an include of one of our own headers."""
    if target == PUBLIC:
        return None
    if target.startswith(".") or "/" not in target:
        return "is not written relative to core/src"
    here, there = PurePosixPath(path).parts[0], PurePosixPath(target).parts[0]
    if there != here and there not in ALLOWED.get(here, frozenset()) | NEIGHBOURS.get(here, frozenset()):
        return f"{here} must not include {there}"
    if here == there == "protocol":
        mine, other = protocol_of(path, protocols), protocol_of(target, protocols)
        if mine and other and mine != other:
            return f"protocol {mine} includes protocol {other}: what both need is a pure part beside them"
        if other and not mine and PurePosixPath(path).stem != "registry":
            return f"a pure part includes protocol {other}; only protocol/registry.c lists them"
    inside = path.startswith("runtime/live/")
    if here == "runtime" and target.startswith("runtime/live/") and not inside:
        return "the runtime must build without live/"
    return None


def judge_system(path: str, target: str) -> str | None:
    """What is wrong with an include of a header that is not ours."""
    folder = PurePosixPath(path).parts[0]
    if target == PUBLIC:
        return "the public header is ours: include it in quotes"
    if target in ("zmq.h", "zmq_utils.h") and not path.startswith("runtime/live/"):
        return "only runtime/live may include ZeroMQ"
    if target in ("math.h", "tgmath.h", "complex.h") and "core/src/" + path not in LIBM:
        return "libm differs from machine to machine; base/real.h has log, exp and pow"
    if folder == "protocol" and target not in PURE_HEADERS:
        return "a protocol has no clock, file, socket, thread or stdio"
    if folder in PURE_FOLDERS and IMPURE.search(target):
        return f"{folder} has no clock, socket, file or thread"
    return None


def judge(path: str, text: str, protocols: frozenset[str], exists: Callable[[str], bool]) -> list[str]:
    """Every broken rule of one file, given by its path below core/src, as 'path:line: message'."""
    faults = []
    if PurePosixPath(path).parts[0] not in ALLOWED:
        faults.append(f"core/src/{path}:1: no such part of the core")
    for line, target, quoted in includes(text):
        fault = judge_quoted(path, target, protocols) if quoted else judge_system(path, target)
        if quoted and not fault and target != PUBLIC and not exists(target):
            fault = "there is no such file below core/src"
        if fault:
            faults.append(f"core/src/{path}:{line}: {target}: {fault}")
    if PurePosixPath(path).parts[0] in PURE_FOLDERS:
        for match in IMPURE_CALL.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            faults.append(f"core/src/{path}:{line}: calls {match[1]}, which no replay repeats")
    return faults
