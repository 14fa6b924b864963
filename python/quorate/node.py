"""Protocols of your own: a Python class, of which every node of a cluster runs an instance.

::

    class Echo(q.Node):
        def on_propose(self, value, ticket):  # a client, or cluster.propose(), asks this node for something
            self.state = {"ticket": ticket, "missing": len(self.peers)}
            self.send_all(["ping", value])

        def on_message(self, sender, message):
            kind, value = message
            if kind == "ping":
                self.send(sender, ["pong", value])
            else:
                self.state["missing"] -= 1
                if self.state["missing"] == 0:
                    self.reply(self.state["ticket"], value)

    with q.Cluster(Echo, nodes=3, seed=1) as c:
        print(c.propose("hello"))

It runs beside the built-in protocols, simulated, or live with each node an interpreter of its own (see
docs/scripts.md), under the same faults, trace and checkers. What a node knows is ``self.state``, one value of
plain data (see quorate.plain): it is what ``fork()`` copies and
``fingerprint`` hashes, and it is gone when the node crashes; `persist` what must come back. Messages are
plain data as well. A handler must be deterministic: its only randomness is ``self.random``, its only clocks
are ``self.now`` and ``self.wall``, and it must not go by the order of a set.

Limits of one step: 10,000 effects, 4 MiB, 512 KiB a message, and `time_limit` seconds of real time, after
which a handler is taken for an endless loop. What goes beyond, and what raises, crashes that node; the report
says so, and ``cluster.tracebacks`` has the traceback. Calling the cluster from a handler is refused.
"""

from __future__ import annotations

from typing import Any, ClassVar

from quorate import plain
from quorate._ffi import NEVER, c_text, encode, lib, text_at, to_ns
from quorate.errors import UsageError
from quorate.randomness import NodeRandom

_KINDS = {text_at(lib.qrt_kind_name(i)): i for i in range(1, 32)}
_ROLES = {text_at(lib.qrt_role_name(i)): i for i in range(lib.QRT_ROLE_RECOVERING + 1)}
_START = {
    lib.QRT_START_FORMAT: "format",
    lib.QRT_START_RECOVERED: "recovered",
    lib.QRT_START_WIPED: "wiped",
    lib.QRT_START_DAMAGED: "damaged",
}


class Node:
    """A node of a protocol of your own; see the module. `id` counts from 1, `peers` are the others' ids.

    In `on_start`, `how` is "format" (the first start), "recovered", "wiped" (its disk is gone) or "damaged"
    (a part of it is), and `stored` what was persisted last and came back, else None.
    """

    __slots__ = {
        "_scripts": "",
        "_x": "",
        "how": 'In `on_start`: "format" (the first start), "recovered", "wiped" or "damaged".',
        "id": "Its number, from 1.",
        "peers": "The other members' ids, ascending.",
        "random": "Its only randomness: a stream of its own; see :class:`quorate.randomness.NodeRandom`.",
        "stored": "In `on_start`: what was persisted last and came back, else None.",
    }

    judged_by: ClassVar[str] = "consensus"  # checkers that judge its decisions, separated by spaces
    fault_model: ClassVar[dict[str, Any]] = {}  # what it does not stand: {"loss": False, "crashes": "0"}
    time_limit: ClassVar[float] = 10.0  # real seconds that a handler may take

    state: Any
    id: int
    peers: list[int]
    random: NodeRandom
    how: str
    stored: Any
    _scripts: Any  # the cluster's, and while a handler runs the C side of this node
    _x: Any

    # --- what you write ---

    def on_start(self) -> None:
        """The node starts, or starts again."""

    def on_message(self, sender: int, message: Any) -> None:
        """A message of another node."""

    def on_timer(self, name: str) -> None:
        """A timer of that name rings."""

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        """Somebody proposes a value (text, or bytes that are no UTF-8); `reply` ends the proposal."""
        self._answer(ticket, lib.QRT_EUNSUPPORTED, 0, 0, 0, b"")

    def on_opinion(self, peer: int, suspected: bool, suspicion: float) -> None:
        """The failure detector (option `detector`) begins or ceases to suspect a peer."""

    # --- what it may ask for ---

    def send(self, to: int, message: Any, *, at_once: bool = False) -> None:
        """Sends plain data to another node, once everything persisted before is durable (`at_once`: before
        that).
        """
        x = self._x
        if x is None:
            raise _outside("send")
        data = plain.encode(message)
        if at_once:
            lib.qrt_ctx_send_now(x, to, data, len(data))
        else:
            lib.qrt_ctx_send(x, to, data, len(data))

    def send_all(self, message: Any, *, at_once: bool = False) -> None:
        """Sends the same to all other nodes."""
        self.send(0, message, at_once=at_once)

    def set_timer(self, name: str, seconds: float) -> None:
        """Lets on_timer(name) be called that much later by the node's own clock, in place of an earlier
        setting.
        """
        lib.qrt_ctx_timer(self._ctx("set_timer"), c_text(name), to_ns(seconds))

    def clear_timer(self, name: str) -> None:
        """The timer does not ring."""
        lib.qrt_ctx_timer(self._ctx("clear_timer"), c_text(name), NEVER)

    def persist(self, value: Any) -> None:
        """Writes plain data to disk, in place of what was persisted before; a restart finds it in `stored`.

        Messages, replies and decisions that follow wait until it is durable.
        """
        data = plain.encode(value, "the persisted value")
        lib.qrt_ctx_persist(self._ctx("persist"), data, len(data))

    def reply(self, ticket: int, answer: str | bytes = b"", *, index: int = 0, term: int = 0) -> None:
        """Ends a proposal that was made at this node: it is done, at that index and term if it has one."""
        self._answer(ticket, lib.QRT_OK, 0, term, index, encode(answer))

    def refuse(self, ticket: int, leader: int | None = None) -> None:
        """Ends a proposal: this node does not lead, but perhaps `leader` does."""
        self._answer(ticket, lib.QRT_ENOTLEADER, leader or 0, 0, 0, b"")

    def fail(self, ticket: int, answer: str | bytes = b"") -> None:
        """Ends a proposal: it was certainly not executed."""
        self._answer(ticket, lib.QRT_EFAILED, 0, 0, 0, encode(answer))

    def decide(self, instance: int, value: Any, *, ballot: int = 0, outcome: int = 0) -> None:
        """Decides a value (text and bytes as they were proposed, or plain data) in an instance: an event that
        checkers judge. `outcome` of a transaction: 1 commit, 2 abort.
        """
        x = self._ctx("decide")
        data = encode(value) if isinstance(value, str | bytes) else plain.encode(value, "the decided value")
        self._scripts.values[int(lib.qrt_hash(data, len(data)))] = value
        lib.qrt_ctx_decide(x, instance, ballot, outcome, data, len(data))

    def note(self, kind: str, *, detail: int = 0, peer: int = 0, term: int = 0, index: int = 0, link: int = 0,
             value: int = 0) -> None:  # fmt: skip
        """An event of the trace, of a kind that protocols emit: "term", "vote", "append", "commit", "state",
        "note", ...; quorate.h says what its fields mean.
        """
        x = self._ctx("note")
        if kind not in _KINDS:
            raise ValueError(f"there is no kind of event {kind!r}; there are {', '.join(_KINDS)}")
        lib.qrt_ctx_note(x, _KINDS[kind], detail, peer, term, index, link, value)

    def become(self, role: str, *, term: int = 0, leader: int | None = None) -> None:
        """Says what the node is now: "leader", "follower", "candidate", ..., and whom it takes for the
        leader.
        """
        if role not in _ROLES:
            raise ValueError(f"there is no role {role!r}; there are {', '.join(_ROLES)}")
        self.note("role", detail=_ROLES[role], term=term, peer=leader or 0)

    @staticmethod
    def hash(value: Any) -> int:
        """The 64 bits by which events name a value: of text and bytes as they are, of plain data encoded."""
        data = encode(value) if isinstance(value, str | bytes) else plain.encode(value, "the value")
        return int(lib.qrt_hash(data, len(data)))

    @property
    def now(self) -> float:
        """Seconds by the node's own clock, which drifts but never jumps: to measure how long something
        took.
        """
        return float(lib.qrt_ctx_mono(self._ctx("now")) / 1e9)

    @property
    def wall(self) -> float:
        """Seconds since 1970 by the node's wall clock, which may be wrong, and may jump."""
        return float(lib.qrt_ctx_wall(self._ctx("wall")) / 1e9)

    # --- for the other side of the callbacks ---

    def _ctx(self, call: str) -> Any:
        if self._x is None:
            raise _outside(call)
        return self._x

    def _answer(self, ticket: int, status: int, leader: int, term: int, index: int, data: bytes) -> None:
        lib.qrt_ctx_answer(self._ctx("reply"), ticket, status, leader, term, index, data, len(data))

    def _bits(self) -> int:
        return int(lib.qrt_ctx_random(self._ctx("random")))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} n{self.id}: {self.__dict__.get('state')!r}>"


def _outside(call: str) -> UsageError:
    return UsageError(f"{call}() can be called only by a handler, while the cluster runs it")


def how_text(how: int) -> str:
    """What `how` says."""
    return _START[how]
