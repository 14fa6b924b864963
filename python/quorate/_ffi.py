"""The only module that touches cffi: text, statuses, handles, and views of C memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from quorate._quorate import ffi, lib
from quorate.errors import ArgumentError, QuorateError, RangeError, WrongTypeError, error_from

__all__ = [
    "Handle",
    "bytes_at",
    "c_text",
    "checked_path",
    "encode",
    "error_of",
    "ffi",
    "lib",
    "library_text",
    "text_at",
    "to_ns",
    "view",
]

NEVER = 2**63 - 1  # ns: a time that does not come


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds, rounded and bounded as the core does it (base/real.c)."""
    ns = float(seconds) * 1e9
    if ns != ns:
        raise RangeError("a time in seconds must be a number, not nan")
    if abs(ns) >= 9.2e18:
        return NEVER if ns > 0 else -NEVER
    return int(ns + (0.5 if ns >= 0 else -0.5))


def encode(text: str | bytes | bytearray | memoryview) -> bytes:
    """The bytes of a value: text as UTF-8, bytes as they are."""
    if isinstance(text, str):
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ArgumentError(f"text has a lone surrogate, and so no UTF-8: {text[:60]!r}") from None
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    message = f"a value is text or bytes, not {type(text).__name__}: {text!r}"
    raise WrongTypeError(message)


def c_text(text: str | bytes | bytearray | memoryview) -> bytes:
    """A name, a path or the like for C, to which it would end at a zero byte."""
    data = encode(text)
    if b"\0" in data:
        raise ArgumentError(f"a name, path or document holds no zero byte: {text[:60]!r}")
    return data


def text_at(pointer: Any) -> str:
    """A C string; what is not UTF-8 in it is kept as surrogates."""
    return ffi.string(pointer).decode("utf-8", "surrogateescape")


def bytes_at(pointer: Any, size: int) -> bytes:
    """A copy of `size` bytes."""
    return bytes(ffi.buffer(pointer, size)) if size else b""


def status_name(status: int) -> str:
    """The short name of a status: "no-leader"."""
    return text_at(lib.qrt_status_name(status))


def error_of(status: int, pointer: Any = ffi.NULL) -> QuorateError:
    """The exception for the last failed call on a handle (NULL: of this thread, without one)."""
    message = text_at(lib.qrt_last_error(pointer)) or text_at(lib.qrt_strerror(status))
    return error_from(status, message)


def library_text(pointer: Any) -> str:
    """The text of a call without a handle, which is NULL on error."""
    if pointer == ffi.NULL:
        raise error_of(lib.qrt_last_status(ffi.NULL))
    return text_at(pointer)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path of a file that can be read whole; no pipe, device or folder is opened for it."""
    status = lib.qrt_file_check(c_text(os.fspath(path)))
    if status < 0:
        raise error_of(status)
    return Path(path)


class Handle:
    """Owns one C handle, frees it once, and turns its statuses into exceptions.

    `keep` is whatever must live as long as the handle does. Nothing is locked here: the core lets one thread
    in at a time, refuses what was closed, and keeps the pointer sound until it is freed, which happens when
    nobody can call with it any more.
    """

    __slots__ = ("__weakref__", "_free", "_place", "closed", "keep", "pointer")

    def __init__(self, place: Any, free: Callable[[Any], None], keep: object = None) -> None:
        self.keep = keep
        self.pointer = place[0]
        self.closed = False
        self._place = place
        self._free = free

    @classmethod
    def make(
        cls, noun: str, free: Callable[[Any], None], function: Any, *args: Any, keep: object = None
    ) -> Handle:
        """A handle from a constructor without a handle of its own: ``function(place, *args)``."""
        place = ffi.new(f"qrt_{noun} **")
        status = function(place, *args)
        if status < 0:
            raise error_of(status)
        return cls(place, free, keep)

    @contextmanager
    def held(self) -> Iterator[Any]:
        """The C pointer, for this thread alone: for a call in slices, and for a text that lives until the
        next one.
        """
        pointer = self.pointer
        if (status := lib.qrt_hold(pointer)) < 0:
            raise error_of(status, pointer)
        try:
            yield pointer
        finally:
            lib.qrt_release(pointer)

    def call(self, function: Any, *args: Any) -> int:
        """Calls ``function(handle, *args)``; an error status becomes an exception, others are returned."""
        status: int = function(self.pointer, *args)
        if status < 0:
            raise error_of(status, self.pointer)
        return status

    def more(self, function: Any, *args: Any) -> bool:
        """As `call`; true when the call wants to be made again."""
        return bool(self.call(function, *args) == lib.QRT_MORE)

    def text(self, function: Any, *args: Any) -> str:
        """The text that ``function(handle, *args)`` gives, which is NULL on error."""
        with self.held() as pointer:
            text = function(pointer, *args)
            if text == ffi.NULL:
                raise error_of(lib.qrt_last_status(pointer), pointer)
            return text_at(text)

    def json(self, function: Any, *args: Any) -> Any:
        """As `text`, parsed."""
        return json.loads(self.text(function, *args))

    def close(self) -> None:
        """Frees what it owns; again is harmless. In a child of fork nothing: it is its parent's."""
        if (status := lib.qrt_close(self.pointer)) < 0:
            raise error_of(status, self.pointer)
        self.closed = True

    def __del__(self) -> None:
        # Modules may be half gone at the end of the interpreter, when the process frees everything anyway.
        try:  # noqa: SIM105
            self._free(self._place)
        except Exception:
            pass


def view(owner: object, pointer: Any, size: int, form: str) -> memoryview:
    """A read-only view of `size` bytes of C memory that keeps its owner alive, cast to a format of
    ``struct``.

    ffi.buffer alone would not: the owner is held by the destructor of a pointer that the buffer holds.
    """
    if not size:
        return memoryview(b"").cast(cast("Literal['B']", form))
    own = ffi.gc(pointer, lambda _, keep=owner: None)
    return memoryview(ffi.buffer(own, size)).toreadonly().cast("B").cast(cast("Literal['B']", form))
