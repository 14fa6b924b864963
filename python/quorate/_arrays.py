"""Arrays across the border without a copy where the type fits: NumPy's, array.array, memoryviews, or any
sequence."""

from __future__ import annotations

import array
from collections.abc import Iterable
from typing import Any

from quorate._ffi import c_text, ffi

# Type codes of array.array, their C types, and the formats that other buffers call them by.
_CTYPES = {"d": "double[]", "q": "int64_t[]", "Q": "uint64_t[]", "I": "uint32_t[]", "B": "uint8_t[]"}
_ALIKE = {"d": "d", "q": "lq", "Q": "LQ", "I": "I", "B": "B?"}
_DTYPES = {"d": "float64", "q": "int64", "Q": "uint64", "I": "uint32", "B": "uint8"}


class Given:
    """An array from the caller: `pointer` for C, `count` numbers, kept alive by this object."""

    def __init__(self, values: Any, code: str) -> None:
        self._keep = _buffer(values, code)
        self.pointer = ffi.from_buffer(_CTYPES[code], self._keep)
        self.count: int = len(self.pointer)
        shape = getattr(values, "shape", None)
        self.shape: tuple[int, ...] = tuple(shape) if shape else (self.count,)


def _buffer(values: Any, code: str) -> Any:
    try:
        view = memoryview(values)
        if view.c_contiguous and view.format.lstrip("@=<") in _ALIKE[code] and view.format[:1] != ">":
            return view
    except (TypeError, ValueError):
        pass
    if hasattr(values, "__array__"):
        import numpy as np

        given = np.asarray(values)
        if given.dtype.kind == "f" and np.dtype(_DTYPES[code]).kind in "iu":  # as array.array does
            raise TypeError(f"an array of whole numbers is needed, not one of {given.dtype}")
        return np.ascontiguousarray(given, dtype=_DTYPES[code])
    return array.array(code, _flat(values))


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


class Made:
    """An array for C to fill; `result` gives it to the caller, read-only: NumPy's if there is NumPy."""

    def __init__(self, code: str, count: int, shape: tuple[int, ...] | None = None) -> None:
        self._shape = shape
        try:
            import numpy as np

            self._array: Any = np.empty(count, dtype=_DTYPES[code])
        except ImportError:
            self._array = array.array(code, bytes(array.array(code).itemsize * count))
        self.pointer = ffi.from_buffer(_CTYPES[code], self._array, require_writable=True)

    def result(self, kind: str | None = None) -> Any:
        """The filled array; kind "bool" reads bytes as truth values."""
        if isinstance(self._array, array.array):
            view = memoryview(self._array).toreadonly()
            return view.cast("B").cast("?") if kind == "bool" else view
        made = self._array.view(bool) if kind == "bool" else self._array
        if self._shape is not None:
            made = made.reshape(self._shape)
        made.flags.writeable = False
        return made


class Texts:
    """C strings: `pointer` is a const char *const *."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._keep = [ffi.new("char[]", c_text(text)) for text in texts]
        self.count = len(self._keep)
        self.pointer = ffi.new("const char *[]", self._keep)
