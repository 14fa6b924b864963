"""The other side of the callbacks of a script: the nodes of one cluster and its forks, and what they
raise.
"""

from __future__ import annotations

import inspect
import itertools
import json
import traceback
from typing import Any

from quorate import plain, watchdog
from quorate._ffi import bytes_at, encode, ffi, lib, text_at
from quorate.errors import WrongTypeError
from quorate.livenode import Launch
from quorate.machine import _explain
from quorate.node import Node, how_text
from quorate.randomness import NodeRandom

_CALLBACKS = ("create", "destroy", "save", "load", "describe", "start", "message", "timer", "propose")
_TRACEBACKS_MAX = 100

_nodes: dict[int, Node] = {}  # of all clusters of this process, by the number that C knows them by
_numbers = itertools.count(1)


def is_script(protocol: object) -> bool:
    """Whether that is a protocol of the user's own."""
    return inspect.isclass(protocol) and issubclass(protocol, Node)


class Scripts:
    """The nodes of one cluster and its forks.

    `interrupted` holds a KeyboardInterrupt that arrived inside a handler, to be raised once C has returned.
    """

    def __init__(self, kind: type[Node]) -> None:
        if not is_script(kind):
            raise WrongTypeError(f"a protocol is a name, or a class derived from quorate.Node, not {kind!r}")
        self.kind = kind
        self.interrupted: BaseException | None = None
        self.tracebacks: list[str] = []
        self.nodes: dict[int, Node] = {}  # made last, by id
        self.values: dict[int, Any] = {}  # what was decided, by its hash
        self.apart = False  # this process is a live node
        self._handle = ffi.new_handle(self)
        texts = (kind.__name__, kind.judged_by, json.dumps(kind.fault_model))
        self._texts = [ffi.new("char[]", encode(text)) for text in texts]
        self.struct = ffi.new("qrt_script *")
        self.struct.name, self.struct.judged_by, self.struct.fault_model = self._texts
        self.struct.context = self._handle
        for name in _CALLBACKS:
            setattr(self.struct, name, getattr(lib, f"script_{name}"))
        if kind.on_opinion is not Node.on_opinion:
            self.struct.opinion = lib.script_opinion
        watchdog.watch(self)

    def launch(self) -> None:
        """Lets a live cluster start its nodes."""
        self._launch = Launch(self.kind)
        self.struct.launch = self._launch.argv
        self.struct.cargo, self.struct.cargo_size = self._launch.cargo, len(self._launch.bytes)

    def create(self, node: int, peers: list[int]) -> int:
        """A new node's number; 0 where its constructor raises."""
        made = self.kind.__new__(self.kind)
        made._scripts, made._x, made.id, made.peers = self, None, node, peers
        made.how, made.stored = "", None
        made.random = NodeRandom()
        made.random._node = made
        made.state = plain.decode(plain.encode(getattr(self.kind, "state", None), "state"))
        try:
            made.__init__()  # type: ignore[misc]
        except BaseException as error:
            self.raised("__init__", error)
            return 0
        number = next(_numbers)
        _nodes[number] = self.nodes[node] = made
        return number

    def raised(self, method: str, error: BaseException) -> bytes:
        """Keeps what a handler raised; in words."""
        if not isinstance(error, Exception | watchdog.EndlessLoop):
            self.interrupted = error
        whole = "".join(traceback.format_exception(error))
        if len(self.tracebacks) < _TRACEBACKS_MAX:
            self.tracebacks.append(whole)
        if self.apart:
            lib.qrt_node_traceback(encode(whole))
        return _explain(method, error).encode("utf-8", "replace")

    def raise_interrupt(self) -> None:
        """Raises what interrupted a handler, once."""
        error, self.interrupted = self.interrupted, None
        if error is None and _escaped:
            error = _escaped.pop()
        if error is not None:
            raise error


def save(node: Node) -> bytes:
    """The node's state as bytes. Raises TypeError, naming the field, where there is more than can be
    saved.
    """
    for name in vars(node):
        if name != "state":
            raise TypeError(
                f"n{node.id} has the field self.{name} beside self.state; "
                "only self.state is copied, so put it there"
            )
    plain.explain(node.state, "self.state", tuples=False)
    return plain.encode(node.state, "self.state")


def _run(node: Node, x: Any, method: str, *args: Any) -> None:
    node._x = x
    try:
        if node._scripts.interrupted is not None:
            raise node._scripts.interrupted  # C has not come back yet: nothing long begins
        getattr(node, method)(*args)
    except BaseException as error:
        lib.qrt_ctx_raise(x, node._scripts.raised(method, error))
    finally:
        node._x = None


def _give(node: Node, reply: Any, function: Any, *args: Any) -> None:
    try:
        data = function(node, *args)
        if data:
            lib.qrt_reply_put(reply, data, len(data))
    except Exception as error:
        lib.qrt_reply_raise(reply, encode(str(error)))


def _load(node: Node, data: bytes) -> None:
    vars(node).clear()
    node.state = plain.decode(data)


_escaped: list[BaseException] = []  # of callbacks that belong to no node's step


def on_error(_: Any, error: BaseException, trace: Any) -> None:
    """What a callback raised outside of its handler: a Ctrl-C between two lines of this file."""
    found = trace.tb_frame.f_locals if trace is not None else {}
    node = _nodes.get(found.get("node", 0))
    if node is not None and "x" in found:
        lib.qrt_ctx_raise(found["x"], node._scripts.raised("a handler", error))
        node._x = None
    else:
        _escaped.append(error)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


@ffi.def_extern(error=0, onerror=on_error)  # type: ignore[untyped-decorator]
def script_create(context: Any, node: int, peers: Any, count: int) -> int:
    return int(ffi.from_handle(context).create(node, [peers[i] for i in range(count)]))


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_destroy(context: Any, node: int) -> None:
    _nodes.pop(node, None)


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_save(context: Any, node: int, reply: Any) -> None:
    _give(_nodes[node], reply, save)


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_load(context: Any, node: int, state: Any, size: int, reply: Any) -> None:
    _give(_nodes[node], reply, _load, bytes_at(state, size))


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_describe(context: Any, node: int, reply: Any) -> None:
    _give(_nodes[node], reply, lambda n: encode(repr(n.state)))


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_start(context: Any, node: int, x: Any, how: int, stored: Any, size: int) -> None:
    own = _nodes[node]
    own.how = how_text(how)
    own.stored = None if stored == ffi.NULL else plain.decode(bytes_at(stored, size))
    _run(own, x, "on_start")
    own.stored = None


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_message(context: Any, node: int, x: Any, sender: int, data: Any, size: int) -> None:
    own = _nodes[node]
    own._x = x
    try:
        own.on_message(sender, plain.decode(ffi.buffer(data, size)[:]))
    except BaseException as error:
        lib.qrt_ctx_raise(x, own._scripts.raised("on_message", error))
    own._x = None


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_timer(context: Any, node: int, x: Any, name: Any) -> None:
    _run(_nodes[node], x, "on_timer", text_at(name))


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_propose(context: Any, node: int, x: Any, ticket: int, value: Any, size: int) -> None:
    _run(_nodes[node], x, "on_propose", _text(bytes_at(value, size)), ticket)


@ffi.def_extern(onerror=on_error)  # type: ignore[untyped-decorator]
def script_opinion(context: Any, node: int, x: Any, peer: int, suspected: bool, suspicion: float) -> None:
    _run(_nodes[node], x, "on_opinion", peer, bool(suspected), suspicion)


_STEPS = (script_start, script_message, script_timer, script_propose, script_opinion)
HANDLERS = frozenset(f.__code__ for f in _STEPS)
watchdog.HANDLERS = HANDLERS
