"""A client: its own id, links and session; one operation at a time, executed once however often resent."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from quorate._ffi import bytes_at, encode, ffi, lib
from quorate.awaits import AwaitableClient
from quorate.errors import NotFoundError, QuorateError
from quorate.pending import Pending

if TYPE_CHECKING:
    from quorate.cluster import Cluster

T = TypeVar("T")
Value = str | bytes

_OPERATIONS = (
    "get",
    "put",
    "delete",
    "append",
    "cas",
    "scan",
    "read",
    "write",
    "add",
    "acquire",
    "release",
)


class Client:
    """Asks the cluster's state machine, and waits for the answer in the cluster's time.

    Keys and values are text (UTF-8) or bytes. Every call takes `timeout` in seconds (default: the cluster's
    option) and raises FailedError when the operation was certainly not executed, UnknownOutcome when it may
    have been (then the client is busy until it knows), NoLeaderError, TooLargeError, SessionError.

    ``client.start("put", key, value)`` sends without waiting and gives a :class:`quorate.Pending`; several
    clients may so have operations under way at the same time.
    """

    def __init__(self, cluster: Cluster, id: int) -> None:
        self.cluster = cluster
        self.id = id

    @property
    def name(self) -> str:
        """As plans and histories call it: "c1"."""
        return f"c{self.id - int(lib.QRT_CLIENT)}"

    def _directive_id(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    @property
    def aio(self) -> AwaitableClient:
        """Every operation, to be awaited: ``await client.aio.put("k", "v")``; see :mod:`quorate.aio`."""
        return AwaitableClient(self)

    # --- sending ---

    def start(
        self, operation: str, key: Value = b"", value: Value = b"", expected: Value | None = None
    ) -> Pending[Any]:
        """Sends an operation of a built-in machine by its name; its `result()` is what the method of that
        name gives.
        """
        if operation not in _OPERATIONS:
            known = ", ".join(_OPERATIONS)
            raise NotFoundError(f"there is no operation {operation!r}; there are {known}")
        if operation in ("acquire", "release") and not value:
            value = self.name
        if operation == "cas":
            return self._submit(operation, _swapped, key, value, expected)
        return self._submit(operation, _CONVERT[operation], key, value, expected)

    def _submit(
        self,
        operation: str,
        convert: Callable[[Any, QuorateError | None], T],
        key: Value = b"",
        value: Value = b"",
        expected: Value | None = None,
    ) -> Pending[T]:
        parts = [encode(key), encode(value), encode(expected) if expected is not None else None]
        held = [ffi.from_buffer("uint8_t[]", part) if part is not None else ffi.NULL for part in parts]
        command = ffi.new("qrt_command *")
        command.operation = _OPERATIONS.index(operation) + 1
        command.key, command.value, command.expected = held
        command.key_size, command.value_size, command.expected_size = (len(part or b"") for part in parts)
        ticket = ffi.new("uint64_t *")
        self.cluster._call(lib.qrt_client_submit, self.id, command, ticket)
        return Pending(self.cluster, int(ticket[0]), convert)

    # --- the key-value store (machine="kv") ---

    def get(self, key: Value, timeout: float | None = None) -> str | None:
        """The value of a key as text; None where there is none. A linearizable read."""
        return self._submit("get", _text, key).result(timeout)

    def get_bytes(self, key: Value, timeout: float | None = None) -> bytes | None:
        """As `get`, as bytes."""
        return self._start_get_bytes(key).result(timeout)

    def _start_get_bytes(self, key: Value) -> Pending[bytes | None]:
        return self._submit("get", _bytes, key)

    def put(self, key: Value, value: Value, timeout: float | None = None) -> None:
        """Sets a key."""
        self._submit("put", _done, key, value).result(timeout)

    def delete(self, key: Value, timeout: float | None = None) -> bool:
        """Removes a key; whether it was there."""
        return self._submit("delete", _found, key).result(timeout)

    def append(self, key: Value, value: Value, timeout: float | None = None) -> int:
        """Appends to a key's value (absent: empty); the new length in bytes."""
        return self._submit("append", _integer, key, value).result(timeout)

    def cas(self, key: Value, expected: Value | None, value: Value, timeout: float | None = None) -> bool:
        """Compare and set: puts `value` if the key holds `expected` (None: is absent); whether it did.

        A register is named by the empty key: ``cas("", "1", "2")``.
        """
        return self._submit("cas", _swapped, key, value, expected).result(timeout)

    def scan(
        self, start: Value = "", end: Value = "", limit: int | None = None, timeout: float | None = None
    ) -> list[tuple[str, str]]:
        """Keys and values in the keys' order, from `start` up to, and without, `end` ("": all)."""
        limit_text = "" if limit is None else str(int(limit))
        return self._submit("scan", _pairs, start, limit_text, end).result(timeout)

    # --- register, counter, lock ---

    def read(self, timeout: float | None = None) -> str | None:
        """The value of a register or counter as text; None from a register never written."""
        return self._submit("read", _text).result(timeout)

    def write(self, value: Value, timeout: float | None = None) -> None:
        """Sets a register."""
        self._submit("write", _done, b"", value).result(timeout)

    def add(self, delta: int = 1, timeout: float | None = None) -> int:
        """Adds to a counter; its new value."""
        return self._submit("add", _integer, b"", str(int(delta))).result(timeout)

    def acquire(self, lock: Value, owner: Value = "", timeout: float | None = None) -> int | None:
        """Takes a lock for `owner` (default: this client); its fencing token, None where it is held."""
        return self._submit("acquire", _token, lock, owner or self.name).result(timeout)

    def release(self, lock: Value, owner: Value = "", timeout: float | None = None) -> bool:
        """Gives a lock back; False where it is free or held by another."""
        return self._submit("release", _swapped, lock, owner or self.name).result(timeout)

    # --- a machine of your own ---

    def call(self, command: Value, *, read: bool = False, timeout: float | None = None) -> bytes:
        """Sends a command through the log, or with `read` as a linearizable query; the machine's answer."""
        return self.start_call(command, read=read).result(timeout)

    def start_call(self, command: Value, *, read: bool = False) -> Pending[bytes]:
        """As `call`, without waiting."""
        data = encode(command)
        ticket = ffi.new("uint64_t *")
        self.cluster._call(lib.qrt_client_submit_raw, self.id, read, data, len(data), ticket)
        return Pending(self.cluster, int(ticket[0]), _answer)


# --- answers, by what they mean; see machine/command.h ---


def _answer(result: Any, error: QuorateError | None) -> bytes:
    if error is not None:
        raise error
    return bytes_at(result.data, result.size)


def _done(result: Any, error: QuorateError | None) -> None:
    _answer(result, error)


def _bytes(result: Any, error: QuorateError | None) -> bytes | None:
    return None if result.status == lib.QRT_ENOTFOUND else _answer(result, error)


def _text(result: Any, error: QuorateError | None) -> str | None:
    data = _bytes(result, error)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _found(result: Any, error: QuorateError | None) -> bool:
    return _bytes(result, error) is not None


def _swapped(result: Any, error: QuorateError | None) -> bool:
    if result.status in (lib.QRT_ECAS, lib.QRT_ENOTFOUND):
        return False
    _answer(result, error)
    return True


def _integer(result: Any, error: QuorateError | None) -> int:
    return int(_answer(result, error))


def _token(result: Any, error: QuorateError | None) -> int | None:
    return None if result.status == lib.QRT_ECAS else _integer(result, error)


def _pairs(result: Any, error: QuorateError | None) -> list[tuple[str, str]]:
    data, at, texts = _answer(result, error), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        texts.append(data[at + 4 : at + 4 + size].decode("utf-8", "surrogateescape"))
        at += 4 + size
    return list(zip(texts[::2], texts[1::2], strict=True))


_CONVERT: dict[str, Callable[[Any, QuorateError | None], Any]] = {
    "get": _text,
    "put": _done,
    "delete": _found,
    "append": _integer,
    "scan": _pairs,
    "read": _text,
    "write": _done,
    "add": _integer,
    "acquire": _token,
    "release": _swapped,
}
