"""Plain data as bytes, one form for each value: deterministic CBOR (RFC 8949, section 4.2).

Plain data is None, bool, int (64 bits, signed), finite float, str, bytes, and lists, tuples and dicts of
these; keys of dicts are str or int. Dicts are written in order of their keys' bytes, floats in 64 bits, so
equal values have equal bytes in every process. A tuple comes back as a list. quorate.plain in Lua writes the
same.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

DEPTH_MAX = 64
_MEMO_MAX = 4096  # small scalars whose bytes are remembered, in either direction
_MEMO_SIZE = 64  # bytes
_PACK_WORD = struct.Struct(">BI").pack
_PACK_DOUBLE = struct.Struct(">Bd").pack
_UNPACK_DOUBLE = struct.Struct(">d").unpack_from


def _head(major: int, n: int) -> bytes:
    """A major type with its number in the fewest bytes."""
    if n < 24:
        return bytes((major << 5 | n,))
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes((major << 5 | low,)) + n.to_bytes(size, "big")
    raise OverflowError(n)


_SMALL = [_head(0, n) for n in range(1024)]


def _encode_int(value: int) -> bytes:
    if 0 <= value < 1024:
        return _SMALL[value]
    if 0xFFFF < value <= 0xFFFFFFFF:
        return _PACK_WORD(0x1A, value)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(value)
    return _head(0, value) if value >= 0 else _head(1, -1 - value)


_TEXTS: dict[str, bytes] = {}


def _encode_str(value: str) -> bytes:
    known = _TEXTS.get(value)
    if known is not None:
        return known
    data = value.encode("utf-8", "surrogateescape")
    whole = _head(3, len(data)) + data
    if len(whole) <= _MEMO_SIZE:
        if len(_TEXTS) >= _MEMO_MAX:
            _TEXTS.clear()
        _TEXTS[value] = whole
    return whole


def _encode_float(value: float) -> bytes:
    if not math.isfinite(value):
        raise ValueError(value)
    return _PACK_DOUBLE(0xFB, value)


def _encode_list(value: list[Any] | tuple[Any, ...]) -> bytes:
    return _head(4, len(value)) + b"".join([_ENCODERS[type(item)](item) for item in value])


def _encode_key(key: Any) -> bytes:
    if type(key) is str:
        return _encode_str(key)
    if type(key) is int:
        return _encode_int(key)
    raise TypeError(key)


def _encode_dict(value: dict[Any, Any]) -> bytes:
    pairs = sorted([(_encode_key(key), _ENCODERS[type(item)](item)) for key, item in value.items()])
    return _head(5, len(pairs)) + b"".join([key + item for key, item in pairs])


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\xf6",
    bool: lambda value: b"\xf5" if value else b"\xf4",
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: lambda value: _head(2, len(value)) + value,
    list: _encode_list,
    tuple: _encode_list,
    dict: _encode_dict,
}


def encode(value: Any, place: str = "the message") -> bytes:
    """The bytes of a value. Raises TypeError, naming the place within it, for what is no plain data."""
    try:
        return _ENCODERS[type(value)](value)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        explain(value, place)
        raise TypeError(f"{place} cannot be written as plain data: {error}") from error


def explain(value: Any, place: str, *, tuples: bool = True, depth: int = 0) -> None:
    """Raises TypeError for the first place where a value is no plain data (or, not `tuples`, is a tuple)."""
    kind = type(value)
    if depth > DEPTH_MAX:
        raise TypeError(f"{place} is nested deeper than {DEPTH_MAX}, or holds itself")
    if kind is tuple and not tuples:
        raise TypeError(f"{place} is a tuple, which would come back as a list; use a list")
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        raise TypeError(f"{place} is {value}, which does not fit 64 bits")
    if kind is float and not math.isfinite(value):
        raise TypeError(f"{place} is {value}, which is no plain data")
    if kind in (list, tuple):
        for i, item in enumerate(value):
            explain(item, f"{place}[{i}]", tuples=tuples, depth=depth + 1)
    elif kind is dict:
        for key, item in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"{place} has the key {key!r}; keys are text or whole numbers")
            explain(item, f"{place}[{key!r}]", tuples=tuples, depth=depth + 1)
    elif kind not in _ENCODERS:
        raise TypeError(
            f"{place} is of type {kind.__name__}, no plain data; use numbers, text, lists and dicts"
        )


_KNOWN: dict[bytes, Any] = {}
_MISSING = object()
_CONSTANTS = {0xF4: False, 0xF5: True, 0xF6: None}


def decode(data: bytes) -> Any:
    """The value of such bytes. Raises ValueError where they are malformed."""
    first = data[0] if data else 0xFF
    if first == 0x1A and len(data) == 5:
        return int.from_bytes(data[1:], "big")
    value = _KNOWN.get(data, _MISSING)
    if value is not _MISSING:
        return value
    try:
        value, end = _decode(data, 0, 0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError("the plain data is malformed") from error
    if end != len(data):
        raise ValueError("the plain data is malformed: bytes are left over")
    if end <= _MEMO_SIZE and type(value) not in (list, dict):
        if len(_KNOWN) >= _MEMO_MAX:
            _KNOWN.clear()
        _KNOWN[data] = value
    return value


def _decode_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    first = data[at]
    at += 1
    if first >= 0xE0:
        if first == 0xFB:
            return _UNPACK_DOUBLE(data, at)[0], at + 8
        if first not in _CONSTANTS:
            raise ValueError("the plain data is malformed")
        return _CONSTANTS[first], at
    n = first & 31
    if n >= 24:
        if n > 27:
            raise ValueError("the plain data is malformed")
        size = 1 << (n - 24)
        n = int.from_bytes(data[at : at + size], "big")
        at += size
    major = first >> 5
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if depth > DEPTH_MAX or (n > len(data) - at):  # an item takes a byte at least
        raise ValueError("the plain data is malformed")
    if major == 2:
        return data[at : at + n], at + n
    if major == 3:
        return _decode_text(data[at : at + n]), at + n
    return _decode_list(data, at, n, depth) if major == 4 else _decode_dict(data, at, n, depth)


def _decode_list(data: bytes, at: int, n: int, depth: int) -> tuple[Any, int]:
    items: list[Any] = []
    for _ in range(n):
        first = data[at]
        if first < 24:  # the commonest by far: small numbers, short texts
            items.append(first)
            at += 1
        elif 0x60 <= first < 0x78 and at + first - 0x5F <= len(data):
            items.append(_decode_text(data[at + 1 : at + first - 0x5F]))
            at += first - 0x5F
        else:
            item, at = _decode(data, at, depth + 1)
            items.append(item)
    return items, at


def _decode_dict(data: bytes, at: int, n: int, depth: int) -> tuple[Any, int]:
    pairs = {}
    for _ in range(n):
        key, at = _decode(data, at, depth + 1)
        pairs[key], at = _decode(data, at, depth + 1)
    return pairs, at
